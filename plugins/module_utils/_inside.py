# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in directories that others may write to, reached so that no link of theirs is followed.

A directory is opened once and compared with what was seen.  What is in it is reached from its
descriptor, and handed on as a path below ``/proc`` that leads to this file and to no other, in this
process and in its children, whatever its name leads to by then.  All raises `OSError`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
import typing as t

from ._model import File

_NOREPLACE, _EXCHANGE = 1, 2  # RENAME_NOREPLACE, RENAME_EXCHANGE
# FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_NOCOW_FL
_GET_FLAGS, _SET_FLAGS = (place | struct.calcsize("l") << 16 for place in (0x80006601, 0x40006602))
_NOCOW = 0x00800000
# How file systems, and a kernel, say that they have no such thing.
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK)


@contextlib.contextmanager
def folder(seen: File) -> t.Iterator[int]:
    """The descriptor of a directory that is still the one that was seen."""
    handle = os.open(seen.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _same(os.fstat(handle), seen)
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def reached(seen: File, place: File | None) -> t.Iterator[str]:
    """A path that leads to what was seen in the directory ``place``, or anywhere without it."""
    with contextlib.ExitStack() as stack:
        inside = stack.enter_context(folder(place)) if place else None
        name = os.path.basename(seen.path) if place else seen.path
        flags = os.O_PATH | os.O_CLOEXEC | (os.O_NOFOLLOW if place else 0)
        handle = os.open(name, flags, dir_fd=inside)
        stack.callback(os.close, handle)
        _same(os.fstat(handle), seen)
        yield path_of(handle)


@contextlib.contextmanager
def file(seen: File, place: File) -> t.Iterator[tuple[t.BinaryIO, str]]:
    """A file to read and write, with its path."""
    with reached(seen, place) as path:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        with open(path, "r+b") as opened:
            yield opened, path


@contextlib.contextmanager
def made(path: str, place: File) -> t.Iterator[t.BinaryIO]:
    """A file to read that has been made in a directory since that was looked at."""
    with folder(place) as inside:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(os.path.basename(path), flags, dir_fd=inside), "rb", 0) as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is not a file")
            yield opened


def unlink(seen: File, place: File) -> None:
    """Takes away a name of a file, or a link."""
    name = os.path.basename(seen.path)
    with folder(place) as inside:
        _same(os.stat(name, dir_fd=inside, follow_symlinks=False), seen)
        os.unlink(name, dir_fd=inside)
        os.fsync(inside)


def remove_folder(seen: File, place: File) -> None:
    """Takes away an empty directory."""
    name = os.path.basename(seen.path)
    with folder(place) as inside:
        _same(os.stat(name, dir_fd=inside, follow_symlinks=False), seen)
        os.rmdir(name, dir_fd=inside)
        os.fsync(inside)


def overwrite_in_place(file: t.BinaryIO) -> None:
    """Sets the attribute C of an empty file, as chattr does it."""
    import fcntl  # only here, because few need it

    flags = bytearray(4)
    fcntl.ioctl(file, _GET_FLAGS, flags)
    (told,) = struct.unpack("I", flags)
    fcntl.ioctl(file, _SET_FLAGS, struct.pack("I", told | _NOCOW))


def make_folder(path: str, mode: int, owner: int, group: int) -> None:
    """Makes a directory and its parents; only the last one gets the permissions."""
    above, name = os.path.split(path)
    parent = _parents(os.path.realpath(above))
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
        made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        try:
            if os.listdir(made):
                raise OSError(errno.ESTALE, _OTHER)
            os.fchown(made, owner, group)
            os.fchmod(made, mode)
        finally:
            os.close(made)
        os.fsync(parent)
    finally:
        os.close(parent)


def remove_tree(seen: File) -> None:
    """Removes a directory with all that is in it, but never what is mounted there.

    All of it is looked at before the first file goes.
    """
    with _parent(seen) as (parent, name):
        own = (seen.device, _mount(parent)[1])
        for path, _folders, _files, handle in _walk(name, parent, topdown=True):
            if _mount(handle) != own:
                raise OSError(errno.EXDEV, f"{path} is another file system or a mount")
        for _where, folders, files, handle in _walk(name, parent, topdown=False):
            if _mount(handle) != own:
                raise OSError(errno.EXDEV, _OTHER)
            for each in (*files, *folders):
                _remove(each, handle)
        os.rmdir(name, dir_fd=parent)
        os.fsync(parent)


class Making:
    """A new file that only root can read, in a directory, until it gets its name.

    Meanwhile it has one that nobody can foretell, behind ``prefix``.
    """

    def __init__(self, place: File, prefix: str) -> None:
        self._open = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._folder = stack.enter_context(folder(place))
            self._name = prefix + os.urandom(8).hex()
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(self._name, flags, 0o600, dir_fd=self._folder)
            self.file = stack.enter_context(open(handle, "r+b"))
            self.path = path_of(handle)
            self._open = stack.pop_all()

    def publish(self, name: str) -> None:
        """Gives it its name; never replaces another file."""
        os.fsync(self.file.fileno())
        publish(self._folder, self._name, name)
        os.fsync(self._folder)
        self._open.close()

    def exchange(self, seen: File) -> None:
        """Takes the name and the permissions of a file, which goes; it is the one that was seen."""
        name = os.path.basename(seen.path)
        there = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        _same(there, seen)
        os.fchown(self.file.fileno(), there.st_uid, there.st_gid)
        os.fchmod(self.file.fileno(), stat.S_IMODE(there.st_mode))
        os.fsync(self.file.fileno())
        _exchanged(self._folder, self._name, name, seen)
        os.fsync(self._folder)
        self._open.close()

    def replace(self, seen: File) -> None:
        """Gives it the name of a file that was seen there, and takes that away."""
        name = os.path.basename(seen.path)
        os.fsync(self.file.fileno())
        _same(os.stat(name, dir_fd=self._folder, follow_symlinks=False), seen)
        os.rename(self._name, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        os.fsync(self._folder)
        self._open.close()

    def discard(self) -> None:
        with self._open:
            self.forget()

    def forget(self) -> None:
        """Takes its name away, while somebody may still write to it."""
        with contextlib.suppress(OSError):
            os.unlink(self._name, dir_fd=self._folder)


def publish(inside: int, making: str, name: str) -> None:
    """Renames in a directory; raises `FileExistsError` where the name is taken.

    There are three ways, because not every file system has the first or the second.
    """
    for way in (_renamed, _linked):
        try:
            way(inside, making, name)
            return
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
    _replaced(inside, making, name)


def _exchanged(inside: int, making: str, name: str, seen: File) -> None:
    """What somebody has put there meanwhile gets its name back, where the file system can do it."""
    try:
        _renamed(inside, making, name, _EXCHANGE)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        os.rename(making, name, src_dir_fd=inside, dst_dir_fd=inside)
        return
    try:
        _same(os.stat(making, dir_fd=inside, follow_symlinks=False), seen)
    except OSError:
        _renamed(inside, making, name, _EXCHANGE)
        raise
    os.unlink(making, dir_fd=inside)


def _renamed(inside: int, making: str, name: str, flag: int = _NOREPLACE) -> None:
    import ctypes  # only here, because it takes its time

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, "no renameat2")
    if rename(inside, os.fsencode(making), inside, os.fsencode(name), flag):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _linked(inside: int, making: str, name: str) -> None:
    os.link(making, name, src_dir_fd=inside, dst_dir_fd=inside, follow_symlinks=False)
    os.unlink(making, dir_fd=inside)


def _replaced(inside: int, making: str, name: str) -> None:
    """Keeps others from the name with an empty file of ours, which is then replaced."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(name, flags, 0o600, dir_fd=inside)
    try:
        there = os.stat(name, dir_fd=inside, follow_symlinks=False)
        if not os.path.samestat(os.fstat(handle), there):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.rename(making, name, src_dir_fd=inside, dst_dir_fd=inside)
    finally:
        os.close(handle)


_OTHER = "it is something else by now"


def _same(there: os.stat_result, seen: File) -> None:
    if (there.st_dev, there.st_ino) != (seen.device, seen.inode):
        raise OSError(errno.ESTALE, _OTHER)


def path_of(handle: int) -> str:
    """A path that leads to what is open, for this process and its children."""
    return f"/proc/{os.getpid()}/fd/{handle}"


def _parents(path: str) -> int:
    """The descriptor of a directory without links in its path; what is missing of it is made."""
    inside = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in filter(None, path.split("/")):
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=inside)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            below = os.open(name, flags, dir_fd=inside)
        finally:
            os.close(inside)
        inside = below
    return inside


@contextlib.contextmanager
def _parent(seen: File) -> t.Iterator[tuple[int, str]]:
    """The descriptor of the directory that what was seen is in, and its name there."""
    above, name = os.path.split(seen.path)
    parent = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _same(os.stat(name, dir_fd=parent, follow_symlinks=False), seen)
        yield parent, name
    finally:
        os.close(parent)


def _walk(
    name: str, parent: int, topdown: bool
) -> t.Iterator[tuple[str, list[str], list[str], int]]:
    def raised(error: OSError) -> None:
        raise error

    return os.fwalk(name, topdown, raised, follow_symlinks=False, dir_fd=parent)


def _mount(handle: int) -> tuple[int, str]:
    """The file system and the mount that a directory is on."""
    with open(f"/proc/self/fdinfo/{handle}", encoding="ascii") as told:
        mount = next(line for line in told if line.startswith("mnt_id:"))
    return os.fstat(handle).st_dev, mount


def _remove(name: str, inside: int) -> None:
    there = os.stat(name, dir_fd=inside, follow_symlinks=False)
    if stat.S_ISDIR(there.st_mode):
        os.rmdir(name, dir_fd=inside)
    else:
        os.unlink(name, dir_fd=inside)
