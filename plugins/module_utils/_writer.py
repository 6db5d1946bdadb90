# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine, to change."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import typing as t

from ._host import LIMIT, MIB, Exec, HostError, Reader, failed, identify, open_device, read_ends
from ._model import Claim, Device, File, Place

# Commands that destroy nothing, by how they begin.  All others need a claim.
HARMLESS = (
    ("chattr",),
    ("iscsiadm",),
    ("lvm", "lvcreate"),
    ("mount",),
    ("partx", "--update"),
    ("qemu-img", "create"),  # under a name that nobody has
    ("systemctl", "daemon-reload"),
    ("udevadm", "settle"),
    ("umount",),
    ("vgchange",),
    ("virsh",),
)


class Writer(Reader):
    """The machine, to change.  Only ``_plan.apply`` is ever given one."""

    def __init__(self, execute: Exec) -> None:
        super().__init__(execute)
        self._claims: tuple[Claim, ...] = ()
        self._ends: dict[str, str] = {}  # of devices, after the last step of ours on each

    @contextlib.contextmanager
    def holding(self, claims: tuple[Claim, ...]) -> t.Iterator[None]:
        """Compares what a step is to write to with what was seen, lets it write, looks again."""
        for claim in claims:
            self._confirm(claim)
        self._claims = claims
        try:
            yield
        finally:
            self._claims = ()
        for claim in claims:
            self._remember(claim)

    def _confirm(self, claim: Claim) -> None:
        """Raises `HostError` where a path leads to something else by now, or somebody has it."""
        thing = claim.thing
        if not isinstance(thing, Device):
            self._confirm_file(thing)
            return
        if not thing.number:  # an inactive logical volume; its group's devices are claimed, too
            return
        with self._looking(thing.path):
            try:
                file = open_device(thing.path, os.O_EXCL if claim.alone else 0)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                raise HostError(f"{thing.path}: somebody has begun to use it") from error
            with file:
                self._compare(thing, *identify(file))
                seen = self._ends.get(thing.number, thing.ends)
                if claim.alone and seen and read_ends(file) != seen:
                    raise HostError(f"{thing.path}: what is on it has changed since it was seen")

    def _compare(self, seen: Device, number: str, sequence: int, size: int) -> None:
        if (number, sequence) != (seen.number, seen.sequence):
            raise HostError(
                f"{seen.path}: it is another device by now ({number}, and {seen.number} was seen)"
            )
        if seen.size not in (0, size):
            raise HostError(f"{seen.path}: it has {size} bytes by now, and had {seen.size}")
        if seen.uuid and (self.read(f"{seen.sysfs}/dm/uuid") or "").strip() != seen.uuid:
            raise HostError(f"{seen.path}: it is another device by now")

    def _confirm_file(self, seen: File | Place) -> None:
        with self._looking(seen.path):
            if not seen.inode:
                return
            there = os.lstat(seen.path)
            if (there.st_dev, there.st_ino) != (seen.device, seen.inode):
                raise HostError(f"{seen.path}: it is something else by now")

    def _remember(self, claim: Claim) -> None:
        thing = claim.thing.on if isinstance(claim.thing, Place) else claim.thing
        if isinstance(thing, Device) and thing.ends:
            self._ends.pop(thing.number, None)
            with contextlib.suppress(HostError):  # a partition or volume that went with the step
                self._ends[thing.number] = self.ends(thing.path)

    def run(self, argv: t.Sequence[str], stdin: str = "", limit: int = 0) -> None:
        """Runs a command; raises `HostError` with what it printed where it fails.

        One that takes longer than ``limit`` seconds is killed.
        """
        harmless = any(tuple(argv[: len(begin)]) == begin for begin in HARMLESS)
        if not harmless and not self._claims:
            raise HostError(f"{' '.join(argv)}: it does not say what it writes to")
        code, output, errors = self._bounded(argv, stdin, limit)
        if code:
            raise HostError(failed(argv, output, errors))

    def wait(self, ready: t.Callable[[Reader], bool]) -> None:
        """Waits for what comes by itself; goes on without it after the limit."""
        self.patiently(lambda: ready(self), bool, LIMIT)

    def mkdir(self, path: str, mode: str, owner: int, group: int) -> None:
        """Makes a directory and its parents; only the last one gets the permissions."""
        with self._looking(path):
            parent = os.path.dirname(path)
            os.makedirs(parent, mode=0o755, exist_ok=True)
            os.mkdir(path, 0o700)
            os.chown(path, owner, group)
            os.chmod(path, int(mode, 8))
            _sync(parent)

    def chmod(self, path: str, mode: str) -> None:
        with self._looking(path):
            os.chmod(path, int(mode, 8))

    def chown(self, path: str, owner: int, group: int) -> None:
        """Changes the owner, the group or both; -1 leaves one as it is."""
        with self._looking(path):
            os.chown(path, owner, group)

    def write(self, path: str, text: str, mode: str) -> None:
        """Replaces a file: a reader, and a power cut, see the old one or the new one, whole."""
        with self._looking(path):
            folder = os.path.dirname(path)
            os.makedirs(folder, mode=0o755, exist_ok=True)
            with _private(path + ".new") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
                os.fchmod(file.fileno(), int(mode, 8))
                file.flush()
                os.fsync(file.fileno())
            os.rename(path + ".new", path)
            _sync(folder)

    def assign(
        self, path: str, making: str, values: t.Mapping[str, str | None], comment: str
    ) -> None:
        """Sets ``key = value`` lines in a file that only root can read; ``None`` takes one out.

        The new file is made as ``making``.  A comment comes after the first line.
        """
        with self._looking(path):
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                first, *lines, last = file.read().splitlines()
            kept = [line for line in lines if line.split(" = ")[0].strip() not in values]
            told = [f"{key} = {value}" for key, value in values.items() if value is not None]
            text = [first, *([comment] if comment else []), *kept, *told, last, ""]
            with _private(making) as new:
                new.write("\n".join(text).encode("utf-8", "surrogateescape"))
                new.flush()
                os.fsync(new.fileno())
            os.rename(making, path)
            _sync(os.path.dirname(path))

    def tell(self, path: str, text: str) -> None:
        """Writes to a file of the kernel's, which takes it as a command."""
        with self._looking(path), open(path, "wb", buffering=0) as file:
            file.write(text.encode())

    def symlink(self, path: str, target: str) -> None:
        with self._looking(path):
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            os.symlink(target, path)
            _sync(os.path.dirname(path))

    def remove(self, path: str) -> None:
        with self._looking(path):
            os.unlink(path)
            _sync(os.path.dirname(path))

    def rmdir(self, path: str) -> None:
        with self._looking(path):
            os.rmdir(path)
            _sync(os.path.dirname(path))

    def rmtree(self, path: str) -> None:
        with self._looking(path):
            shutil.rmtree(path)
            _sync(os.path.dirname(path))

    def zero_ends(self, device: Device) -> None:
        """Writes zeros over the first and the last MiB of a device that nobody else has."""
        with self._looking(device.path), _alone(device.path) as file:
            self._compare(device, *identify(file))
            zero_both_ends(file)

    def make_file(self, making: str, size: int, allocation: int) -> None:
        """Makes a raw file, of which the first ``allocation`` bytes are reserved."""
        with self._looking(making), _private(making) as file:
            file.truncate(size)
            if allocation:
                os.posix_fallocate(file.fileno(), 0, allocation)

    def publish(self, path: str, making: str, mode: str, owner: int, group: int) -> None:
        """Gives a finished file its permissions and its name; never replaces another one."""
        with self._looking(path):
            if os.path.lexists(path):
                raise FileExistsError(errno.EEXIST, "it has appeared meanwhile")
            with open(making, "r+b") as file:
                os.fchown(file.fileno(), owner, group)
                # A file system without modes, such as vfat, need not take the one nobody asked for.
                with contextlib.suppress(*(() if mode else (PermissionError,))):
                    os.fchmod(file.fileno(), int(mode or "0600", 8))
                os.fsync(file.fileno())
            os.rename(making, path)
            _sync(os.path.dirname(path))

    def truncate(self, path: str, size: int) -> None:
        with self._looking(path), open(path, "r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())

    def allocate(self, path: str, allocation: int) -> None:
        """Reserves the first ``allocation`` bytes of a file."""
        with self._looking(path), open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, allocation)
            os.fsync(file.fileno())


def zero_both_ends(file: io.FileIO) -> None:
    end = file.seek(0, os.SEEK_END)
    for start in (0, max(0, end - MIB)):
        file.seek(start)
        file.write(bytes(min(MIB, end)))
    os.fsync(file.fileno())


def _alone(path: str) -> io.FileIO:
    """A block device, to write, which the kernel gives to nobody else meanwhile."""
    return open(os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC), "r+b", 0)


@contextlib.contextmanager
def _private(path: str) -> t.Iterator[t.BinaryIO]:
    """A new file that only root can read; what an interrupted run left under the name goes."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file


def _sync(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
