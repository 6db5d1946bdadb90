# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine, to look at; `_writer` changes it.  Nothing else touches it."""

from __future__ import annotations

import contextlib
import errno
import functools
import grp
import hashlib
import io
import os
import pickle
import pwd
import re
import select
import signal
import socket
import stat
import time
import typing as t
from dataclasses import dataclass, replace

from . import _kernel, _streams
from ._kernel import Loop, Mount, Open
from ._model import UNFINISHED, File, Permissions

MIB = 1 << 20
SECTOR = 512
MARK = f"poolwright.storage fills this partition: {UNFINISHED}"
# Where a mark can be: in the first sector, or where a LUKS header, that is being made, has nothing.
MARKED = (0, 1024)

# Commands that only look, by how they begin.
READING = (
    ("dmsetup", "status"),
    ("dumpe2fs", "-h"),
    ("iscsiadm", "--mode", "discovery", "--type", "sendtargets", "--op", "nonpersistent"),
    ("lsattr", "-d"),
    ("lvm", "fullreport"),
    ("lvm", "pvs"),
    ("lvm", "systemid"),
    ("lvm", "version"),
    ("modprobe", "--dry-run"),
    ("parted", "--machine"),  # what changes a table is never asked for machine-readable output
    ("sfdisk", "--json"),
    ("showmount", "--no-headers", "--exports"),
    ("udevadm", "settle"),  # waits
    ("virsh", "--readonly"),
    ("wipefs", "--no-act"),
    ("xfs_growfs", "-n"),
)

ZEROS = "zeros"  # what `Reader.ends` answers where there is nothing else at either end

# Commands that say whether they would do a thing, and do not do it, or whether something is so.
REHEARSING = (
    ("blkid", "--probe"),
    ("lvm", "pvs"),  # which tells of each device what is against it
    ("mkfs.ext2", "-n"),
    ("mkfs.ext3", "-n"),
    ("mkfs.ext4", "-n"),
    ("mkfs.xfs", "-N"),
    ("qemu-img", "compare"),
    ("sfdisk", "--verify"),
)

LIMIT = 30  # seconds for what waits for a server
_LONGEST = 150  # for what may wait for a disk, or for udev, which gives itself 120
_ALIVE = b"."  # begins no pickle
# A daemon that systemd starts when it is asked ends by itself after a while, and hangs up on who
# has come just then, before it has heard anything.
_HUNG_UP = (
    r"failed to connect to the hypervisor\n.*"
    r"(Connection reset by peer|End of file while reading data|Broken pipe)"
)

HERE = "\0"  # stands in the words of a command where it finds the file that it works on
# Likewise the file that it reads, its format, and a place and a count of bytes.
FROM, FORMAT, START, SIZE = "\1", "\2", "\3", "\4"
KEY = "\5"  # the same of the file that a passphrase is in
SECRET = "/dev/fd/3"  # how that file is shown
SEEDS = "/run/poolwright.storage.seed"  # where files are that a seed is made of, meanwhile

_MOST_LINKS = 40  # as many as the kernel follows
_NEAR = ("/dev/", "/proc/", "/sys/")  # where no server is mounted
_PROC = "/proc does not tell what processes use, for which a container needs CAP_SYS_PTRACE"
_PASSED_OVER = {
    errno.ENOENT: "a link that leads nowhere",
    errno.ELOOP: "a link that leads nowhere",
    errno.EACCES: "what root may not read",
    errno.EPERM: "what root may not read",
}

# The largest header that tells an image's format: ISO 9660 has its magic at 32769.
HEADER = 0x8200

_T = t.TypeVar("_T")

# Before a command stands, where it has a bound, that it is to end within so many seconds.
WITHIN = "within"
TIMED_OUT = 124

# (argv, standard input) -> (exit code, output, errors), in a fixed locale
Exec = t.Callable[[t.Sequence[str], str], t.Tuple[int, str, str]]


class HostError(Exception):
    """A command or a look failed; the message says which, and what it printed."""


class NoAnswer(HostError):
    """A look did not end."""


class NotInstalled(HostError):
    """A look needs a program that the host has not, and that a task before may bring."""


class Undone(HostError):
    """A step failed, and has undone what the steps before it had done."""


class Partly(HostError):
    """A part of a step failed; ``done`` are the arguments of those that did not."""

    def __init__(self, text: str, done: t.Sequence[t.Any]) -> None:
        super().__init__(text)
        self.done = done


@dataclass(frozen=True)
class Node:
    """What ``stat`` says of a path.  ``device`` is a block device's ``major:minor``, else empty."""

    kind: str  # file, dir, block, other
    permissions: Permissions
    size: int
    device: str = ""
    filesystem: str = ""  # major:minor of the file system it lies on
    allocated: int = 0
    times: tuple[int, int, int] = (0, 0, 0)  # atime, mtime, ctime in nanoseconds


@dataclass(frozen=True)
class Entry:
    """A directory's entry: itself, and what it leads to, with the first bytes of a file.

    Of what libvirt passes over ``hidden`` says what it is, and there is no ``node``.  ``link`` is
    the target of a symbolic link, ``linked`` the number of a file's names.
    """

    name: str
    file: File
    node: Node | None = None
    real: File | None = None
    header: bytes = b""
    link: str = ""
    linked: int = 1
    hidden: str = ""


_LookT = t.TypeVar("_LookT", bound=t.Callable[..., t.Any])


def _answered(look: _LookT) -> _LookT:
    """Bounds a look at a path of a server that may be dead; see `Reader.within`."""

    @functools.wraps(look)
    def bounded(self: Reader, path: str, *others: t.Any, **named: t.Any) -> t.Any:
        server = self.server(path)
        if server in self.dead:
            raise NoAnswer(f"{path}: no answer from what is mounted at {server}")
        if not server:
            return look(self, path, *others, **named)
        try:
            return self.within(path, lambda: look(self, path, *others, **named))
        except NoAnswer:
            self.dead.add(server)
            raise

    return t.cast(_LookT, bounded)


@dataclass(frozen=True)
class Head:
    """How a file or a device begins, and how it is ``packed`` around that."""

    node: Node
    size: int
    packed: str
    header: bytes


class Reader:
    """The machine, to look at.

    Not having seen something never counts as its absence: where a method answers ``None`` or "",
    the kernel said that there is no such thing.  Whatever else goes wrong raises `HostError`.
    ``dead`` are mounts of servers that did not answer, which are not asked again.  ``foreseen`` are
    blank devices that tasks before would make, in check mode, by each path that they would have:
    bytes and the first path.
    """

    def __init__(self, execute: Exec) -> None:
        self._execute = execute
        self._answers: dict[tuple[str, ...], str] = {}
        self._opened: list[Open] | None = None
        self._waiting: int | None = None
        self.dead: set[str] = set()
        self.foreseen: t.Mapping[str, tuple[int, str]] = {}

    def server(self, path: str) -> str:
        """The mount of a server that a path leads to, found without asking that; "" where none."""
        if self._waiting is not None or path.startswith(_NEAR):
            return ""
        return _kernel.server(path)

    def ask(self, *argv: str, nothing: str = "", limit: int = _LONGEST) -> str:
        """What a command that only looks prints; "" where it fails with the words ``nothing``.

        One that takes longer than ``limit`` seconds is killed, or left behind.

        A reader is for one look: the same question gets the same answer.
        """
        if argv in self._answers:
            return self._answers[argv]
        if not any(argv[: len(begin)] == begin for begin in READING):
            raise HostError(f"{' '.join(argv)}: not a command that only looks.")
        code, output, errors = self._bounded(argv, "", limit)
        if code and not (nothing and nothing in errors):
            kind = HostError if self.has(argv[0]) else NotInstalled
            raise kind(failed(argv, output, errors))
        self._answers[argv] = "" if code else output
        return self._answers[argv]

    def rehearse(self, *argv: str) -> tuple[int, str, str]:
        """What a command answers that changes nothing: its exit code, its output, its errors."""
        if not any(argv[: len(begin)] == begin for begin in REHEARSING):
            raise HostError(f"{' '.join(argv)}: not a command that only rehearses.")
        return self._bounded(argv, "", _LONGEST)

    @contextlib.contextmanager
    def zeros(self, size: int) -> t.Iterator[str]:
        """A path to as many zeros, in memory, where a device that is foreseen is not there yet."""
        file = os.memfd_create("foreseen")
        try:
            os.ftruncate(file, size)
            yield f"/proc/{os.getpid()}/fd/{file}"
        finally:
            os.close(file)

    def _bounded(self, argv: t.Sequence[str], stdin: str, limit: int) -> tuple[int, str, str]:
        bound = (WITHIN, str(limit)) if limit else ()
        code, output, errors = self._execute((*bound, *argv), stdin)
        if code and argv[0] == "virsh" and re.search(_HUNG_UP, errors):
            code, output, errors = self._execute((*bound, *argv), stdin)
        if limit and code == TIMED_OUT:
            errors = f"no answer within {limit} seconds"
        return code, output, errors

    @contextlib.contextmanager
    def _looking(self, what: str) -> t.Iterator[None]:
        """Says what failed; within a bound, an answer is a sign of life."""
        try:
            yield
        except OSError as error:
            raise HostError(f"{what}: {error.strerror or error}") from error
        self._alive()

    def _alive(self) -> None:
        if self._waiting is not None:
            os.write(self._waiting, _ALIVE)

    def has(self, command: str) -> bool:
        """Whether the host has a command."""
        folders = [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/sbin"]
        return any(os.access(os.path.join(folder, command), os.X_OK) for folder in folders)

    @_answered
    def read(self, path: str, most: int = -1) -> str | None:
        """A text file's content; ``None`` where there is no such file.

        With ``most`` no more than so many characters.

        The kernel shows some attributes of a device, such as a name that it has not, as files that
        cannot be read.
        """
        with self._looking(path):
            try:
                with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
                    return file.read(most)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError as error:
                if path.startswith("/sys/") and error.errno in (errno.ENXIO, errno.EINVAL):
                    return None
                raise

    @_answered
    def names(self, path: str) -> list[str] | None:
        """A directory's entries, sorted; ``None`` where there is no such directory."""
        with self._looking(path):
            try:
                return sorted(os.listdir(path))
            except (FileNotFoundError, NotADirectoryError):
                return None

    @_answered
    def real(self, path: str) -> str:
        """The path without symbolic links; parts that do not exist stay as they are."""
        return "/" + os.path.realpath(path).lstrip("/")  # which leaves two at the beginning

    @_answered
    def link(self, path: str) -> str:
        """The target of a symbolic link, even of one that leads nowhere; "" of all else."""
        with self._looking(path):
            return os.readlink(path) if os.path.islink(path) else ""

    @_answered
    def file(self, path: str) -> File | None:
        """What is at a path, links followed, by what it is; ``None`` where nothing is."""
        with self._looking(path):
            try:
                return _file(path, os.stat(path))
            except (FileNotFoundError, NotADirectoryError):
                return None

    @_answered
    def node(self, path: str) -> Node | None:
        """What is at a path, links followed; ``None`` where nothing is."""
        with self._looking(path):
            try:
                return _node(os.stat(path))
            except (FileNotFoundError, NotADirectoryError):
                return None

    @_answered
    def links(self, path: str) -> list[str]:
        """The path, and what it leads to link by link."""
        found = [path]
        with self._looking(path):
            while os.path.islink(found[-1]) and len(found) < _MOST_LINKS:
                there = os.path.join(os.path.dirname(found[-1]), os.readlink(found[-1]))
                found.append(os.path.normpath(there))
        return found

    @_answered
    def devices(
        self, path: str, order: t.Callable[[t.Iterable[str]], t.Iterable[str]] = iter
    ) -> dict[str, str]:
        """The block devices in a directory: their paths there by number, links followed.

        Of several names of one device the first in ``order``, else in the directory's own order, as
        libvirt takes it.
        """
        found: dict[str, str] = {}
        with self._looking(path):
            try:
                names = os.listdir(path)
            except (FileNotFoundError, NotADirectoryError):
                return {}
        for name in order(names):
            full = os.path.join(path, name)
            node = self.node(full)
            if node and node.device:
                found.setdefault(node.device, full)
        return found

    @_answered
    def entries(self, path: str) -> list[Entry]:
        """One level of a directory, as libvirt reads it, and what it passes over.

        That is sockets, pipes, character devices, dangling links, what may not be opened, and names
        with control characters.  What vanishes meanwhile is left out.
        """
        with self._looking(path):
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            names = sorted(os.listdir(folder))
            found = [self._entry(path, name, folder) for name in names]
        finally:
            os.close(folder)
        return [entry for entry in found if entry]

    def _entry(self, path: str, name: str, folder: int) -> Entry | None:
        full = os.path.join(path, name)
        with self._looking(full):
            try:
                own = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                return None
            link = os.readlink(name, dir_fd=folder) if stat.S_ISLNK(own.st_mode) else ""
            entry = Entry(name, _file(full, own), link=link, linked=own.st_nlink)
            if any(char < " " and char not in "\t\n\r" for char in name):
                return replace(entry, hidden="a name that libvirt passes over")
            try:
                with _reached(name, folder) as handle:
                    return _read(entry, handle)
            except OSError as error:
                if error.errno not in _PASSED_OVER:
                    raise
                return replace(entry, hidden=_PASSED_OVER[error.errno])

    def leads(self, paths: t.Collection[str]) -> dict[str, File]:
        """What is at paths that others wrote down, as far as anything is."""

        def look() -> dict[str, File]:
            found = {}
            for path in paths:
                with contextlib.suppress(OSError, ValueError):
                    found[path] = _file(os.path.realpath(path), os.stat(path))
            return found

        return self.within("what images are based on", look) if paths else {}

    def headers(self, paths: t.Collection[str]) -> dict[str, tuple[File, bytes]]:
        """What begins the files and devices at paths that others wrote down, as far as any does."""

        def look() -> dict[str, tuple[File, bytes]]:
            found = {}
            for path in paths:
                with contextlib.suppress(OSError, ValueError):
                    there = os.stat(path)
                    if stat.S_ISREG(there.st_mode) or stat.S_ISBLK(there.st_mode):
                        with open_file(path, there.st_uid) as file:
                            header = file.read(HEADER) or b""
                        found[path] = (_file(os.path.realpath(path), there), header)
            return found

        return self.within("what images are based on", look) if paths else {}

    @_answered
    def stray(self, path: str) -> str:
        """A link in a path that its owner may have put there to lead elsewhere; else "".

        A link of root's leads where root wants it, and one of a user's to what is the user's.
        """
        at, parts, followed = "/", path.split("/"), 0
        with self._looking(path):
            while parts and followed < _MOST_LINKS:
                at = os.path.normpath(os.path.join(at, parts.pop(0)))
                if not os.path.islink(at):
                    continue
                owner = os.lstat(at).st_uid
                if owner and _owner(os.path.realpath(at)) != owner:
                    return at
                target = os.readlink(at)
                at = "/" if target.startswith("/") else os.path.dirname(at)
                parts, followed = [*target.split("/"), *parts], followed + 1
        return ""

    def maker(self) -> str:
        """How names begin under which this host makes files, on storage that it may share.

        After the host, which no two have in common, comes its boot.
        """
        boot = (self.read("/proc/sys/kernel/random/boot_id") or "").strip().replace("-", "")
        machine = (self.read("/etc/machine-id") or "").strip()
        known = machine if re.fullmatch("[0-9a-f]{32}", machine) else boot
        host = hashlib.sha256(f"poolwright.storage {known}".encode()).hexdigest()
        return f"{UNFINISHED}{host[:12]}-{boot[:12]}-"

    def booted(self) -> int:
        """When this host was booted, in seconds since 1970."""
        lines = (self.read("/proc/stat") or "").split("\n")
        return next((int(line[len("btime ") :]) for line in lines if line.startswith("btime ")), 0)

    @_answered
    def head(self, path: str, unpack: bool) -> Head:
        """How what is at a path begins; with ``unpack`` behind its compression."""
        with self._looking(path):
            found = os.stat(path)
            with open_file(path, found.st_uid) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(0)
                begin, parts = _streams.peeked(_streams.read(file), HEADER)
                packed = _streams.compression(begin) if unpack else ""
                if packed:
                    begin = _streams.peeked(_streams.decompressed(parts, packed), HEADER)[0]
        return Head(_node(found), size, packed, begin[:HEADER])

    def content(self, seen: File, most: int) -> bytes:
        """What is in a file that was seen; nothing of one that is larger than ``most``."""

        def look() -> bytes:
            with self._looking(seen.path), open_file(seen.path, os.stat(seen.path).st_uid) as file:
                found = os.fstat(file.fileno())
                if (found.st_dev, found.st_ino) != (seen.device, seen.inode):
                    raise HostError(f"{seen.path}: it is something else by now")
                return file.read() if found.st_size <= most else b""

        return self.within(seen.path, look)

    def ends(self, device: str) -> str:
        """A checksum of the first and the last MiB of a device, or `ZEROS`."""

        def look() -> str:
            with self._looking(device), open(device, "rb", buffering=0) as file:
                return read_ends(file)

        return self.within(device, look)

    def same(self, path: str, start: int, count: int, other: str) -> bool:
        """Whether so many bytes of what is at a path are those that another one begins with."""
        with self._looking(path), _streams.opened(path) as one, _streams.opened(other) as two:
            one.seek(start)
            while count:
                part = one.read(min(_streams.PART, count))
                if not part or part != two.read(len(part)):
                    return False
                count -= len(part)
        return True

    def marks(self, devices: t.Sequence[str]) -> dict[str, str]:
        """The marks of ours that are in the first sectors of devices, by the devices' paths."""

        def look() -> dict[str, str]:
            found = {}
            for path in devices:
                with self._looking(path), open_device(path) as file:
                    for begin in begins(file):
                        if begin.startswith(MARK.encode()) and begin.isascii():
                            found[path] = begin.decode()
            return found

        return self.within(", ".join(devices), look) if devices else {}

    def integer(self, device: str, place: int) -> int:
        """The 64 bits, the lowest byte first, at a place of a device."""
        with self._looking(device), open_device(device) as file:
            file.seek(place)
            return int.from_bytes(file.read(8) or b"", "little")

    def taken(self, device: str) -> bool:
        """Whether the kernel refuses the device to whoever wants it for himself alone."""
        with self._looking(device):
            try:
                open_device(device, os.O_EXCL).close()
            except OSError as error:
                if error.errno == errno.EBUSY:
                    return True
                raise
        return False

    @_answered
    def space(self, path: str) -> tuple[int, int]:
        """Capacity and free bytes of the file system at a path; free includes root's reserve."""
        with self._looking(path):
            found = os.statvfs(path)
        return found.f_frsize * found.f_blocks, found.f_frsize * found.f_bfree

    def mounts(self) -> list[Mount]:
        """The mount table, in the order of mounting."""
        return _kernel.read_mounts(self.read("/proc/self/mountinfo") or "")

    def mounts_elsewhere(self) -> list[Mount]:
        """The mounts of all other mount namespaces of the host."""
        with self._looking(_PROC):
            return _kernel.mounts_elsewhere()

    def opened(self) -> list[Open]:
        """All that processes have open, here and in other namespaces; looked at once."""

        def look() -> list[Open]:
            with self._looking(_PROC):
                return _kernel.opened(own, self._alive)

        own = os.getpid()
        if self._opened is None:
            self._opened = self.within("what processes have open", look)
        return self._opened

    def loops(self) -> list[Loop]:
        """The loop devices that something is behind."""
        with self._looking("/sys/block"):
            return _kernel.loops()

    def user_id(self, name: str) -> int | None:
        """The number of a user; ``None`` where there is none of that name."""
        with contextlib.suppress(KeyError):
            return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
        return None

    def group_id(self, name: str) -> int | None:
        """The number of a group; ``None`` where there is none of that name."""
        with contextlib.suppress(KeyError):
            return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
        return None

    def addresses(self, name: str) -> list[str]:
        """The addresses of a server; none where it has none, or where nobody tells in time."""

        def look() -> list[str]:
            with contextlib.suppress(OSError, UnicodeError):
                return [str(found[4][0]) for found in socket.getaddrinfo(name, None)]
            return []

        with contextlib.suppress(HostError):
            return list(dict.fromkeys(self.within(f"addresses of {name}", look)))
        return []

    def patiently(
        self, look: t.Callable[[], _T], whole: t.Callable[[_T], bool], limit: float
    ) -> _T:
        """What a look finds once it is ``whole``; after the limit what there is."""
        deadline, pause = time.monotonic() + limit, 0.001
        found = look()
        while not whole(found) and time.monotonic() < deadline:
            time.sleep(pause)
            found, pause = look(), min(2 * pause, 0.1)
        return found

    def within(self, what: str, look: t.Callable[[], _T]) -> _T:
        """What a look finds that would wait for ever for a dead server.

        A child looks, because a thread that waits for a server in the kernel cannot be ended.  The
        bound is for each answer, so that a long directory may take longer.
        """
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            self._waiting = writing
            _answer(writing, look)
        os.close(writing)
        with open(reading, "rb", buffering=0) as pipe:
            found = _all_of(pipe)
        os.kill(child, signal.SIGKILL)
        # One that the kernel does not let go is left behind.
        self.patiently(lambda: os.waitpid(child, os.WNOHANG)[0], bool, 0 if found is None else 1)
        told = (found or b"").lstrip(_ALIVE)
        if not told:
            raise NoAnswer(f"{what}: no answer within {LIMIT} seconds")
        answer = pickle.loads(told)
        if isinstance(answer, Exception):
            raise answer
        return t.cast(_T, answer)


def open_device(path: str, flags: int = 0) -> io.FileIO:
    """A block device, to read, without waiting for what is not there."""
    return open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags), "rb", 0)


def begins(file: io.FileIO) -> t.Iterator[bytes]:
    """What is in the sectors of a device in which a mark can be."""
    for place in MARKED:
        file.seek(place)
        yield (file.read(SECTOR) or b"").rstrip(b"\0")


def identify(device: io.FileIO) -> tuple[str, int, int]:
    """What `Reader.identity` answers, of an open device, whose number nobody else can get.

    It stands at its beginning then.
    """
    found = os.fstat(device.fileno())
    if not stat.S_ISBLK(found.st_mode):
        raise OSError(errno.ENOTBLK, "it is not a block device")
    number = _kernel.number(found.st_rdev)
    folder = f"/sys/dev/block/{number}"
    partition = os.path.exists(f"{folder}/partition")
    try:
        with open(f"{folder}{'/..' if partition else ''}/diskseq", encoding="ascii") as file:
            sequence = int(file.read())
    except FileNotFoundError:  # before Linux 5.15
        sequence = 0
    size = device.seek(0, os.SEEK_END)
    device.seek(0)
    return number, sequence, size


def read_ends(device: t.BinaryIO | io.FileIO) -> str:
    """What `Reader.ends` answers, of an open device."""
    end = device.seek(0, os.SEEK_END)
    found, blank = hashlib.sha256(), True
    for start in (0, max(0, end - MIB)):
        device.seek(start)
        part = device.read(min(MIB, end)) or b""
        blank = blank and not any(part)
        found.update(part)
    return ZEROS if blank else found.hexdigest()


def failed(argv: t.Sequence[str], output: str, errors: str) -> str:
    return f"{' '.join(argv)}: {errors.strip() or output.strip() or 'it failed without a word'}"


def _node(found: os.stat_result) -> Node:
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFBLK: "block"}
    kind = kinds.get(stat.S_IFMT(found.st_mode), "other")
    return Node(
        kind,
        Permissions(f"{stat.S_IMODE(found.st_mode):04o}", found.st_uid, found.st_gid),
        found.st_size,
        _kernel.number(found.st_rdev) if kind == "block" else "",
        _kernel.number(found.st_dev),
        found.st_blocks * 512,
        (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns),
    )


def _file(path: str, found: os.stat_result) -> File:
    return File(path, found.st_dev, found.st_ino)


def _owner(path: str) -> int:
    """Whose a path is, or the directory in which it would be made."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return os.lstat(path).st_uid


@contextlib.contextmanager
def _reached(name: str, folder: int) -> t.Iterator[int]:
    """The descriptor of what an entry leads to, which opens nothing yet."""
    handle = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield handle
    finally:
        os.close(handle)


def _read(entry: Entry, handle: int) -> Entry:
    found = os.fstat(handle)
    node = _node(found)
    if node.kind == "other":
        return replace(entry, hidden="a pipe, a socket or a device")
    real = os.path.realpath(entry.file.path) if entry.link else entry.file.path
    entry = replace(entry, node=node, real=_file(real, found))
    if node.kind == "dir":
        return entry
    with open_file(f"/proc/self/fd/{handle}", found.st_uid) as file:
        if node.kind == "block":
            node = _sized(node, file.seek(0, os.SEEK_END))
            file.seek(0)
        return replace(entry, node=node, header=file.read(HEADER) or b"")


def open_file(path: str, owner: int) -> io.FileIO:
    """A file to read; as its owner where a server keeps root out, as libvirt does it."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return open(os.open(path, flags), "rb", 0)
    except PermissionError:
        if os.geteuid() or not owner:
            raise
        os.seteuid(owner)
        try:
            return open(os.open(path, flags), "rb", 0)
        finally:
            os.seteuid(0)


def _sized(node: Node, size: int) -> Node:
    return Node(**{**node.__dict__, "size": size, "allocated": size})


def _answer(writing: int, look: t.Callable[[], object]) -> t.NoReturn:
    """Ends the child of ``within`` with what it found, or with what was raised."""
    try:
        try:
            answer = look()
        except Exception as error:
            answer = error
        with open(writing, "wb") as pipe:
            pipe.write(pickle.dumps(answer))
    finally:
        os._exit(0)


def _all_of(pipe: io.FileIO) -> bytes | None:
    """All that comes out of a pipe; ``None`` where nothing more comes within the limit."""
    found = b""
    while select.select([pipe], [], [], LIMIT)[0]:
        part = pipe.read(1 << 16)
        if not part:
            return found
        found += part
    return None
