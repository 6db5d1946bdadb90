# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What volumes are filled with: copied as it is where it can be, else converted by qemu-img.

All raises `OSError` or `HostError`; who calls takes away what has been filled in part.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import fcntl
import os
import struct
import typing as t

from . import _inside, _streams
from ._host import (
    FORMAT,
    FROM,
    HEADER,
    HERE,
    SECTOR,
    SIZE,
    START,
    HostError,
    identify,
    open_device,
    open_file,
)
from ._model import PLAIN, Device, File, Filling, Refused, Source
from ._streams import PART, Fetch, Parts

_FICLONE = 0x40049409
_BLKZEROOUT = 0x127F
_SPOOLS = "/var/tmp"  # where there is room for what does not fit into memory
_BLOCK = 1 << 16  # in which zeros are looked for
_ZEROS = bytes(_BLOCK)

Words = t.Mapping[str, str]
# Runs a tool, whose words stand for others, while somebody counts what it has done.
Tool = t.Callable[[t.Sequence[str], Words, int, t.Callable[[], int]], None]


class Filler:
    """One volume that is being filled; ``tell`` is told how many bytes of how many are done."""

    def __init__(
        self, filling: Filling, tool: Tool, fetch: Fetch, tell: t.Callable[[int, int], None]
    ) -> None:
        self.filling = filling
        self.source = filling.source
        self._tool = tool
        self._fetch = fetch
        self._tell = tell
        # Of the source as it is, once it flows; 0 where nobody knows.
        self._size: t.Callable[[], int] = lambda: 0

    def file(self, target: t.BinaryIO, path: str, place: File) -> None:
        """Fills a new file, which the tools find at ``path``."""
        wanted = self.filling
        with contextlib.ExitStack() as stack:
            source = self._opened(stack)
            if wanted.copies(source.format, source.capacity):
                self._copied(source, target)
                if wanted.rebase:
                    self._tool(wanted.rebase, {HERE: path}, 0, lambda: 0)
                self._lengthened(source, target, path)
            else:
                self._convertible(source)
                size = self._caught(source, stack, place)
                if not wanted.make:
                    target.truncate(size)
                    _reserve(target, wanted.allocation)
                self._converted(source, path, size, lambda: _allocated(target))
            os.fsync(target.fileno())

    def device(self, target: t.BinaryIO, path: str, head: int) -> None:
        """Fills a device, whose first ``head`` bytes are written when all others are."""
        with contextlib.ExitStack() as stack:
            source = self._opened(stack)
            if source.format in PLAIN:
                begin = self._flooded(source, target, head)
            else:
                self._caught(source, stack, None)
                begin = self._parted(source, stack, path, min(head, source.capacity))
            os.fsync(target.fileno())
            for start, end in ((SECTOR, len(begin)), (0, SECTOR)) if head else ():
                _write(target, start, begin[start:end].ljust(SECTOR if not start else 0, b"\0"))
                os.fsync(target.fileno())

    def encrypted(self, target: t.BinaryIO, path: str) -> None:
        """Makes a device an encrypted one, and fills that."""
        with contextlib.ExitStack() as stack:
            source, written = self._opened(stack), _counted(path)
            size, before = self._caught(source, stack, None), written()
            self._converted(source, path, size, lambda: written() - before)
            os.fsync(target.fileno())

    def _convertible(self, source: _Opened) -> None:
        if not self.filling.format:
            what = f"is a {source.format} image, which does not grow; write format, or no capacity"
            raise _streams.Wrong(f"{self.source.shown} {what}")

    def _lengthened(self, source: _Opened, target: t.BinaryIO, path: str) -> None:
        """Gives a copy its capacity."""
        wanted, size = self.filling, os.fstat(target.fileno()).st_size
        if source.format in PLAIN:
            self._enough(size, wanted.capacity)
            target.truncate(max(size, wanted.capacity))
        elif wanted.capacity > source.capacity:
            words = {HERE: path, FORMAT: source.format, SIZE: str(wanted.capacity)}
            self._tool(wanted.grow, words, 0, lambda: 0)

    def _enough(self, size: int, most: int) -> None:
        if most and size > most:
            what = f"has {size} bytes or more, and the volume's capacity is {most}"
            raise _streams.Wrong(f"{self.source.shown} {what}")

    def _copied(self, source: _Opened, target: t.BinaryIO) -> None:
        """Copies bytes into a file that has none yet."""
        wanted = self.filling
        if source.file and not source.checked and self._cloned(source.file, target):
            _reserve(target, wanted.allocation)
            return
        _reserve(target, wanted.allocation)
        for at, part in self._passing(source):
            for start, end in _written(part):
                _write(target, at + start, memoryview(part)[start:end])
        target.truncate(max(source.size, wanted.allocation))

    def _cloned(self, source: t.BinaryIO, target: t.BinaryIO) -> bool:
        """Shares the blocks of a file, where the file system can."""
        reflink = self.filling.reflink
        if reflink == "never":
            return False
        try:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        except OSError as error:
            if reflink == "auto":
                return False
            why = "reflink: always, but the file system does not share blocks of the two"
            raise OSError(0, f"{why} ({error.strerror})") from error
        return True

    def _passing(self, source: _Opened) -> t.Iterator[tuple[int, bytes]]:
        """The parts of a source by their places, without holes where it shows them."""
        total = source.size
        if source.file and not source.checked:
            first = self.source.start
            for start, end in data(source.file.fileno(), first, first + source.size):
                source.file.seek(start)
                at = start
                while at < end:
                    part = source.file.read(min(PART, end - at))
                    if not part:
                        text = f"{self.source.shown} has become shorter meanwhile"
                        raise _streams.Wrong(text)
                    yield at - first, part
                    at += len(part)
                    self._tell(at - first, total)
            self._tell(total, total)
            return
        at = 0
        for part in source.parts:
            yield at, part
            at += len(part)
            self._tell(at, total)
        source.size = at

    def _caught(self, source: _Opened, stack: contextlib.ExitStack, place: File | None) -> int:
        """Has the source in a file, and says how many bytes the volume is to have."""
        self._enough(source.capacity, self.filling.capacity)
        if source.file is None:
            spool = stack.enter_context(_spool(place))
            for at, part in self._passing(source):
                _write(spool, at, part)
            source.file = spool
            self._enough(source.capacity or source.size, self.filling.capacity)
        elif source.checked:
            collections.deque(source.parts, 0)
        return self.filling.capacity or source.capacity or source.size

    def _converted(self, source: _Opened, path: str, size: int, done: t.Callable[[], int]) -> None:
        wanted = self.filling
        words = {
            HERE: path,
            FROM: _inside.path_of(t.cast(t.BinaryIO, source.file).fileno()),
            FORMAT: source.format,
            START: str(self.source.start),
            SIZE: str(size),
        }
        if wanted.make:
            self._tool(wanted.make, words, 0, lambda: 0)
        self._tool(wanted.convert, words, source.capacity or source.size, done)

    def _parted(self, source: _Opened, stack: contextlib.ExitStack, path: str, head: int) -> bytes:
        """Converts all but the first bytes, which it answers, on a device."""
        size, written, before = source.capacity, _counted(path), _counted(path)()
        if size > head:
            self._window(source, path, head, size - head, lambda: written() - before)
        if not head:
            return b""
        spool = stack.enter_context(_spool(None))
        spool.truncate(head)
        self._window(source, _inside.path_of(spool.fileno()), 0, head, lambda: size)
        return os.pread(spool.fileno(), head, 0)

    def _window(
        self, source: _Opened, path: str, start: int, count: int, done: t.Callable[[], int]
    ) -> None:
        words = {
            HERE: path,
            FROM: _inside.path_of(t.cast(t.BinaryIO, source.file).fileno()),
            FORMAT: source.format,
            START: str(start),
            SIZE: str(count),
        }
        self._tool(self.filling.convert, words, source.capacity, done)

    def _flooded(self, source: _Opened, target: t.BinaryIO, head: int) -> bytes:
        """Writes all but the first bytes, which it answers, on a device."""
        begin, end, most = bytearray(), 0, target.seek(0, os.SEEK_END)
        for at, part in self._passing(source):
            self._enough(at + len(part), most)
            if at > end:
                self._zeros(target, max(end, head), at)
            end = at + len(part)
            if at < head:
                begin.extend(bytes(at - len(begin)) + part[: head - at])
            if end > head:
                _write(target, max(at, head), memoryview(part)[max(0, head - at) :])
        self._zeros(target, max(end, head), source.size)
        return bytes(begin).ljust(min(head, source.size), b"\0")

    def _zeros(self, target: t.BinaryIO, start: int, end: int) -> None:
        if not self.filling.blank:
            _zero(target, start, end)

    def _opened(self, stack: contextlib.ExitStack) -> _Opened:
        """The source, with what its first bytes tell."""
        wanted = self.source
        file = None if wanted.url else stack.enter_context(_reached(wanted))
        with self._naming():
            begin, parts = _streams.peeked(self._parts(file), HEADER)
            packed = _streams.compression(begin) if wanted.packed == "auto" else wanted.packed
            size = 0 if packed else self._size()
            if packed:
                begin, parts = _streams.peeked(_streams.decompressed(parts, packed), HEADER)
        try:
            format, capacity = self.filling.read(begin)
        except Refused as refusal:
            raise HostError(str(refusal).replace("Nothing was changed: ", "")) from refusal
        file, checked = None if packed else file, bool(wanted.checksum)
        if wanted.count:
            capacity = size = wanted.count
        return _Opened(file, self._named(parts), size, format, capacity, checked)

    def _parts(self, file: t.BinaryIO | None) -> Parts:
        if file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            parts, self._size = _streams.read(file), lambda: size
        else:
            download = _streams.Download(self._fetch, self.source.url)
            parts, self._size = download.parts(), lambda: download.size or 0
        return _streams.summed(parts, self.source.checksum) if self.source.checksum else parts

    def _named(self, parts: Parts) -> Parts:
        """The same; what is wrong with the source is told with its name.

        What goes wrong while a part is written is not raised in here.
        """
        with self._naming():
            yield from parts

    @contextlib.contextmanager
    def _naming(self) -> t.Iterator[None]:
        try:
            yield
        except OSError as error:
            colon = "" if isinstance(error, _streams.Wrong) else ":"
            text = f"{self.source.shown}{colon} {error.strerror or error}"
            raise _streams.Wrong(text) from error


class _Opened:
    """A source that is open: a file that can be read anywhere, or ``None``, and all its parts.

    ``checked`` tells that all parts have to pass, because they are summed up.
    """

    def __init__(
        self,
        file: t.BinaryIO | None,
        parts: Parts,
        size: int,
        format: str,
        capacity: int,
        checked: bool,
    ) -> None:
        self.file, self.parts, self.size = file, parts, size
        self.format, self.capacity, self.checked = format, capacity, checked


def _written(part: bytes) -> t.Iterator[tuple[int, int]]:
    """From where to where something is in a part that is not zeros."""
    start: int | None = None
    for at in range(0, len(part), _BLOCK):
        block = part[at : at + _BLOCK]
        if block == (_ZEROS if len(block) == _BLOCK else bytes(len(block))):
            if start is not None:
                yield start, at
            start = None
        elif start is None:
            start = at
    if start is not None:
        yield start, len(part)


def data(handle: int, at: int, size: int) -> t.Iterator[tuple[int, int]]:
    """From where to where a file has data; what tells of no holes is data as a whole."""
    while at < size:
        try:
            start = os.lseek(handle, at, os.SEEK_DATA)
            at = os.lseek(handle, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            start, at = at, size
        yield start, min(at, size)


def _write(target: t.BinaryIO, at: int, part: bytes | memoryview) -> None:
    while part:
        count = os.pwrite(target.fileno(), part, at)
        at, part = at + count, part[count:]


def _zero(target: t.BinaryIO, start: int, end: int) -> None:
    """Writes zeros to a device, by the kernel where it can do so."""
    if start >= end:
        return
    edge = end // SECTOR * SECTOR
    with contextlib.suppress(OSError):
        fcntl.ioctl(target.fileno(), _BLKZEROOUT, struct.pack("QQ", start, edge - start))
        start = edge
    while start < end:
        part = min(PART, end - start)
        _write(target, start, bytes(part))
        start += part


def _reserve(target: t.BinaryIO, allocation: int) -> None:
    if allocation:
        os.posix_fallocate(target.fileno(), 0, allocation)


def _allocated(target: t.BinaryIO) -> int:
    return os.fstat(target.fileno()).st_blocks * 512


def _counted(path: str) -> t.Callable[[], int]:
    """Counts the bytes that have been written to a device since the host was booted."""
    found = os.stat(path)
    stats = f"/sys/dev/block/{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}/stat"

    def count() -> int:
        with open(stats, encoding="ascii") as file:
            return int(file.read().split()[6]) * 512

    return count


@contextlib.contextmanager
def _spool(place: File | None) -> t.Iterator[t.BinaryIO]:
    """A file without a name, beside the volume where that can be, and gone when it is closed."""
    handle = None
    if place:
        with contextlib.suppress(OSError), _inside.folder(place) as folder:
            flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
            handle = os.open(f"/proc/self/fd/{folder}", flags, 0o600)
    if handle is None:
        import tempfile  # only here, because it takes its time

        with tempfile.TemporaryFile(dir=_SPOOLS, buffering=0) as file:
            yield file
    else:
        with open(handle, "r+b", buffering=0) as file:
            yield file


@contextlib.contextmanager
def _reached(source: Source) -> t.Iterator[t.BinaryIO]:
    """What is at a source's path, which must be what was seen there."""
    thing = source.thing
    if isinstance(thing, Device) or not (thing or source.place):
        with open_device(source.path) as device:
            there = identify(device)[:2]
            if isinstance(thing, Device) and there != (thing.number, thing.sequence):
                raise OSError(errno.ESTALE, f"{source.path} is something else by now")
            yield device
    elif isinstance(thing, File):
        with _inside.reached(thing, source.place) as path, open_file(
            path, os.stat(path).st_uid
        ) as file:
            yield file
    else:
        with _inside.made(source.path, t.cast(File, source.place)) as file:
            yield file
