# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes from where a volume's content comes: fetched, summed up and decompressed as they pass."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import time
import typing as t
import zlib

from ._child import NOT_FOUND, Child

PART = 1 << 20  # bytes that are read and written at once
_PATIENCE = 5  # times that a server may end too early in a row without a byte

_MODES = ("rb", "wb", "rb", "wb", "w+b")  # of two pipes and a file

_MAGIC = {
    "gzip": b"\x1f\x8b\x08",
    "xz": b"\xfd7zXZ\0",
    "zstd": b"\x28\xb5\x2f\xfd",
    "bzip2": b"BZh",
}

Parts = t.Iterator[bytes]


class Wrong(OSError):
    """What is wrong with a source, in words that go behind its name."""

    def __init__(self, words: str) -> None:
        super().__init__(0, words)


# (url, headers) -> a response as urllib has it; raises `Wrong`
Fetch = t.Callable[[str, t.Mapping[str, str]], t.Any]


def compression(begin: bytes) -> str:
    """How something is compressed that begins so; "" where it is not."""
    return next((kind for kind, magic in _MAGIC.items() if begin.startswith(magic)), "")


def opened(path: str) -> t.BinaryIO:
    """What is at a path, to read; a buffer reads as much as is asked for."""
    return open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def read(file: t.BinaryIO) -> Parts:
    """All that is in a file, from where it stands."""
    while True:
        part = file.read(PART)
        if not part:
            return
        yield part


def summed(parts: Parts, checksum: str) -> Parts:
    """The same; raises `Wrong` at the end where it has another checksum, as ``sha256:...``."""
    kind, _colon, wanted = checksum.partition(":")
    found = hashlib.new(kind)
    for part in parts:
        found.update(part)
        yield part
    if found.hexdigest() != wanted.lower():
        raise Wrong(f"has the {kind} {found.hexdigest()}, and {wanted} is wanted")


def peeked(parts: Parts, count: int) -> tuple[bytes, Parts]:
    """The first bytes, and all of it."""
    begin: list[bytes] = []
    for part in parts:
        begin.append(part)
        count -= len(part)
        if count <= 0:
            break

    def again() -> Parts:
        yield from begin
        yield from parts

    return b"".join(begin), again()


class Download:
    """What a url leads to.

    Where the server ends too early it goes on from there, or if the server cannot, begins again
    and passes over what is here already, which must be the same.
    """

    def __init__(
        self, fetch: Fetch, url: str, pause: t.Callable[[float], None] = time.sleep
    ) -> None:
        self._fetch, self._url, self._pause = fetch, url, pause
        self._answer: t.Any = None
        self._tag = ""
        self.size: int | None = None
        self._got, self._found, self._failures = 0, hashlib.sha256(), 0

    def parts(self) -> Parts:
        self._answer = self._fetch(self._url, {})
        self._tag, self.size = _tag(self._answer), _size(self._answer)
        while True:
            cause = "it ended"
            try:
                for part in read(self._answer):
                    self._got, self._failures = self._got + len(part), 0
                    self._found.update(part)
                    yield part
                if self.size in (None, self._got):
                    return
            except _broken() as error:
                cause = _words(error)
            while not self._resumed(cause):
                pass

    def _resumed(self, cause: str) -> bool:
        """Tries to go on after a while; raises `Wrong` where that has failed too often."""
        self._failures += 1
        if self._failures > _PATIENCE:
            of = "" if self.size is None else f" of {self.size}"
            raise Wrong(f"broke off after {self._got}{of} bytes: {cause}")
        self._pause(min(2 ** (self._failures - 1), 8))
        try:
            self._answer = self._behind()
        except Changed:
            raise
        except _broken():
            return False
        return True

    def _behind(self) -> t.Any:
        """An answer that begins behind what is here."""
        can = self._tag and self._got
        headers = {"Range": f"bytes={self._got}-", "If-Range": self._tag} if can else {}
        answer = self._fetch(self._url, headers)
        if str(answer.headers.get("Content-Range") or "").startswith(f"bytes {self._got}-"):
            return answer
        found, left = hashlib.sha256(), self._got
        while left:
            part = answer.read(min(PART, left))
            if not part:
                raise Wrong("it ended")
            found.update(part)
            left -= len(part)
        if found.digest() != self._found.digest():
            raise Changed("has become something else meanwhile")
        return answer


def _broken() -> tuple[type[Exception], ...]:
    """How a connection breaks off."""
    import http.client

    return OSError, http.client.HTTPException


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class Changed(Wrong):
    """What a url leads to has become something else meanwhile."""


def _tag(answer: t.Any) -> str:
    """What tells the server whether it still has the same; a weak tag does not."""
    tag = str(answer.headers.get("ETag") or "")
    strong = "" if tag.startswith("W/") else tag
    return strong or str(answer.headers.get("Last-Modified") or "")


def _size(answer: t.Any) -> int | None:
    told = str(answer.headers.get("Content-Length") or "")
    return int(told) if told.isdigit() else None


def decompressed(parts: Parts, kind: str) -> Parts:
    """What is compressed in parts; raises `Wrong` where it is damaged."""
    if kind == "zstd":
        return _zstd(parts)
    return _decoded(parts, kind)


class _Gzip:
    """zlib's decompressor with the manners of those of lzma and bz2."""

    def __init__(self) -> None:
        self._engine = zlib.decompressobj(31)
        self._full = False

    @property
    def needs_input(self) -> bool:
        return not self._full and not self._engine.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._engine.eof

    @property
    def unused_data(self) -> bytes:
        return self._engine.unused_data

    def decompress(self, part: bytes, most: int) -> bytes:
        found = self._engine.decompress(self._engine.unconsumed_tail + part, most)
        self._full = len(found) == most
        return found


def _engines(kind: str) -> t.Callable[[], t.Any]:
    import bz2  # only here, because they take their time
    import lzma

    if kind == "gzip":
        return _Gzip
    return lzma.LZMADecompressor if kind == "xz" else bz2.BZ2Decompressor


def _decoded(parts: Parts, kind: str) -> Parts:
    import lzma

    begin = _engines(kind)
    engine = begin()
    try:
        for part in parts:
            while part or not (engine.needs_input or engine.eof):
                if engine.eof:  # files of these kinds can follow each other, and zeros them
                    part = part.lstrip(b"\0")
                    engine = begin() if part else engine
                    continue
                found = engine.decompress(part, PART)
                part = engine.unused_data if engine.eof else b""
                if found:
                    yield found
    except (zlib.error, lzma.LZMAError, ValueError) as error:
        raise Wrong(f"has {kind} data that are damaged: {error}") from error
    if not engine.eof:
        raise Wrong(f"has {kind} data that end too early")


def _zstd(parts: Parts) -> Parts:
    """Python has no zstd before 3.14, so its tool does it."""
    import threading

    errors: list[BaseException] = []
    with _tool("zstd", "--decompress", "--stdout", "--quiet") as (tool, given, output, told):
        feeder = threading.Thread(target=_feed, args=(given, parts, errors), daemon=True)
        feeder.start()
        yield from read(output)
        feeder.join()
        code = tool.wait()
        told.seek(0)
        words = told.read().decode("utf-8", "replace").strip()
    for error in errors:
        if not isinstance(error, BrokenPipeError):
            raise error
    if code == NOT_FOUND:
        raise Wrong("is compressed, and this host has no zstd")
    if code:
        raise Wrong(f"has zstd data that are damaged: {words}")


def _feed(given: t.BinaryIO, parts: Parts, errors: list[BaseException]) -> None:
    """Hands a tool all parts; what goes wrong is remembered, because it happens in a thread."""
    try:
        for part in parts:
            given.write(part)
    except BaseException as error:
        errors.append(error)
    finally:
        with contextlib.suppress(OSError):
            given.close()


@contextlib.contextmanager
def _tool(*argv: str) -> t.Iterator[tuple[Child, t.BinaryIO, t.BinaryIO, t.BinaryIO]]:
    """A tool, which does not outlive us, what it reads, what it writes, and what it says."""
    with contextlib.ExitStack() as stack:
        ends = zip((*os.pipe(), *os.pipe(), os.memfd_create("told")), _MODES)
        opened = (stack.enter_context(open(handle, mode)) for handle, mode in ends)
        taken, given, output, made, told = (t.cast(t.BinaryIO, file) for file in opened)
        files = (taken.fileno(), made.fileno(), told.fileno())
        tool = Child(argv, files, {"LC_ALL": "C.UTF-8"})
        taken.close()
        made.close()
        try:
            yield tool, given, output, told
        finally:
            tool.kill(signal.SIGKILL)
            tool.wait()
