# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine, to change."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import re
import shutil
import threading
import typing as t

from . import _inside
from ._filling import Filler, Words, data
from ._host import (
    FROM,
    HERE,
    KEY,
    LIMIT,
    MARKED,
    MIB,
    SECRET,
    SECTOR,
    SEEDS,
    Exec,
    HostError,
    Partly,
    Reader,
    Undone,
    begins,
    failed,
    identify,
    open_device,
    read_ends,
)
from ._job import Tally
from ._lanes import Lanes
from ._model import Claim, Device, File, Filling, NewVolume, Place, Seed, VolumeGroup
from ._streams import Fetch

# Commands that destroy nothing, by how they begin.  All others need a claim.
HARMLESS = (
    ("chattr",),
    ("iscsiadm",),
    ("mount",),
    ("partx", "--update"),
    ("systemctl", "daemon-reload"),
    ("udevadm", "settle"),
    ("udevadm", "trigger"),
    ("umount",),
    ("virsh",),
)

# How many MiB at the start and at the end of a partition can have a signature in them: the second
# header of LUKS is up to 4 MiB behind the start, the superblock of a RAID 1.5 MiB before the end.
_HEAD, _TAIL = 8, 3
_MOMENT = 3  # seconds
_BLOCK = 4 * MIB  # that is read and written at once
_LANES = 4  # volumes that are filled at once, at most
_LVM_LIMIT = 120  # seconds for a look
_NEXT = "poolwright-next"  # no command of LVM's, so that its complaint ends those of one
_LACKED = os.strerror(errno.ENODATA)  # from device mapper, of a thin device
_LISTING = "--noheadings --nameprefixes --options lv_name,lv_tags"
_Made = t.Tuple[t.Tuple[str, ...], NewVolume]
_Removed = t.Tuple[t.Tuple[str, ...], str, str]
_Offer = t.Tuple[str, t.Tuple[t.Any, ...], t.Tuple[Claim, ...]]


class Writer(Reader):
    """The machine, to change.  Only ``_plan.apply`` is ever given one."""

    def __init__(
        self, execute: Exec, tally: Tally | None = None, fetch: Fetch | None = None
    ) -> None:
        super().__init__(execute)
        self._fetch = fetch
        self._fetching = threading.Lock()
        self._tally = tally or Tally()
        self._making: dict[str, _inside.Making] = {}
        self._beginning = threading.Lock()
        self._lanes = Lanes(min(_LANES, len(os.sched_getaffinity(0))))
        self._claims: tuple[Claim, ...] = ()
        self._ends: dict[str, str] = {}  # of devices, after the last step of ours on each

    def offer(self, steps: t.Sequence[_Offer]) -> None:
        """Begins to fill files of steps to come, as many at once as there are processors.

        Who has one to fill alone does it in its turn.
        """
        fillings = [(args, claims) for verb, args, claims in steps if verb == "fill_file"]
        self._lanes.offer(
            {
                f"{args[0].path}/{args[1]}": functools.partial(self._fill_early, args, claims)
                for args, claims in (fillings if len(fillings) > 1 else ())
            }
        )

    def _fill_early(self, args: tuple[t.Any, ...], claims: tuple[Claim, ...]) -> None:
        for claim in claims:
            self._confirm(claim)
        self._fill_file(*args)

    def abandon(self) -> None:
        """Leaves nothing of files that are unfinished."""
        with self._beginning:
            self._lanes.abandon()
        for making in list(self._making.values()):
            making.forget()

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
        if isinstance(thing, VolumeGroup):
            self._confirm_group(thing)
            return
        if not isinstance(thing, Device):
            self._confirm_file(thing)
            return
        if not thing.number:  # an inactive logical volume; its group's devices are claimed, too
            return
        with self._looking(thing.path):
            try:
                file = self._open_again(thing, os.O_EXCL if claim.alone else 0)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                raise HostError(f"{thing.path}: somebody has begun to use it") from error
            with file:
                self._compare(thing, *identify(file))
                seen = self._ends.get(thing.number, thing.ends)
                if claim.alone and seen and read_ends(file) != seen:
                    raise HostError(f"{thing.path}: what is on it has changed since it was seen")

    def _open_again(self, thing: Device, flags: int) -> io.FileIO:
        """The device.

        While udev reads a table again, a partition is away for a moment, and so is the name of a
        volume that has just been activated.
        """
        if thing.partition or thing.uuid:
            self.patiently(lambda: self.node(thing.path), bool, _MOMENT)
        return open_device(thing.path, flags)

    def _compare(self, seen: Device, number: str, sequence: int, size: int) -> None:
        if (number, sequence) != (seen.number, seen.sequence):
            raise HostError(
                f"{seen.path}: it is another device by now ({number}, and {seen.number} was seen)"
            )
        if seen.size not in (0, size):
            raise HostError(f"{seen.path}: it has {size} bytes by now, and had {seen.size}")
        if seen.uuid and (self.read(f"{seen.sysfs}/dm/uuid") or "").strip() != seen.uuid:
            raise HostError(f"{seen.path}: it is another device by now")

    def _confirm_group(self, seen: VolumeGroup) -> None:
        argv = ("lvm", "vgs", "--noheadings", "--options", "vg_uuid", seen.name)
        code, output, errors = self._bounded(argv, "", _LVM_LIMIT)
        if code:
            raise HostError(failed(argv, output, errors))
        if output.strip() != seen.uuid:
            raise HostError(f"volume group {seen.name}: it is another one by now")

    def _confirm_file(self, seen: File | Place) -> None:
        with self._looking(seen.path):
            if not seen.inode:
                return
            there = os.lstat(seen.path)
            if (there.st_dev, there.st_ino) != (seen.device, seen.inode):
                raise HostError(f"{seen.path}: it is something else by now")
            if isinstance(seen, Place) and seen.inside is not None:
                new = set(os.listdir(seen.path)).difference(seen.inside, ["lost+found"])
                if new:
                    name = ascii(min(new))
                    raise HostError(f"{seen.path}: {name} is in it by now, and was not seen")

    def _remember(self, claim: Claim) -> None:
        """Looks at what a step of ours has left on a device that is taken as a whole."""
        thing = claim.thing.on if isinstance(claim.thing, Place) else claim.thing
        whole = claim.alone or isinstance(claim.thing, Place)
        if isinstance(thing, Device) and (whole or thing.ends):
            self._ends.pop(thing.number, None)
            with contextlib.suppress(HostError):  # a partition or volume that went with the step
                self._ends[thing.number] = self.ends(thing.path)

    def run(self, argv: t.Sequence[str], stdin: str = "", limit: int = 0) -> None:
        """Runs a command; raises `HostError` with what it printed where it fails.

        One that takes longer than ``limit`` seconds is killed.
        """
        self._claimed(argv)
        code, output, errors = self._bounded(argv, stdin, limit)
        if code:
            raise HostError(failed(argv, output, errors))

    def _claimed(self, argv: t.Sequence[str]) -> None:
        harmless = any(tuple(argv[: len(begin)]) == begin for begin in HARMLESS)
        if not harmless and not self._claims:
            raise HostError(f"{' '.join(argv)}: it does not say what it writes to")

    def progress(self, name: str, done: int, total: int) -> None:
        """Tells how many bytes of a volume are done; a step calls it for every piece."""
        self._tally.note(name, done, total)

    def following(self, name: str, total: int, done: t.Callable[[], int]) -> t.ContextManager[None]:
        """Tells the same of what a tool does inside, whose bytes ``done`` counts meanwhile."""
        return self._tally.following(name, total, done)

    def wait(self, ready: t.Callable[[Reader], bool]) -> None:
        """Waits for what comes by itself; goes on without it after the limit."""
        self.patiently(lambda: ready(self), bool, LIMIT)

    def expect(
        self,
        ready: t.Callable[[Reader], bool],
        otherwise: str,
        undo: t.Sequence[t.Sequence[str]],
    ) -> None:
        """Raises `Undone` where something has not come about, after undoing what led there."""
        if not ready(self):
            for argv in undo:
                self.run(argv, limit=LIMIT)
            raise Undone(otherwise)

    def mkdir(self, path: str, mode: str, owner: int, group: int) -> None:
        """Makes a directory and its parents; only the last one gets the permissions."""
        with self._looking(path):
            _inside.make_folder(path, int(mode, 8), owner, group)

    def chmod(
        self, path: str, mode: str, seen: File | None = None, place: File | None = None
    ) -> None:
        """Changes the mode; of what was ``seen`` in a directory, if that is told."""
        with self._looking(path), _led(path, seen, place) as there:
            os.chmod(there, int(mode, 8))

    def chown(
        self, path: str, owner: int, group: int, seen: File | None = None, place: File | None = None
    ) -> None:
        """Changes the owner, the group or both; -1 leaves one as it is."""
        with self._looking(path), _led(path, seen, place) as there:
            os.chown(there, owner, group)

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

    def tell_each(self, paths: t.Sequence[str], text: str) -> None:
        """The same to several files; one that went meanwhile is passed over."""
        for path in paths:
            if self.node(path):
                self.tell(path, text)

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

    def unlink(self, seen: File, place: File) -> None:
        """Takes away a name in a directory that others may write to."""
        with self._looking(seen.path):
            _inside.unlink(seen, place)

    def rmtree(self, seen: File) -> None:
        with self._looking(seen.path):
            _inside.remove_tree(seen)

    def zero_ends(self, device: Device) -> None:
        """Writes zeros over the first and the last MiB of a device that nobody else has."""
        with self._looking(device.path), _alone(device.path) as file:
            self._compare(device, *identify(file))
            zero_both_ends(file)

    def blank(self, device: Device, start: int, end: int, mark: str = "") -> None:
        """Writes zeros where a signature can be between two bytes of a disk, in no partition.

        A ``mark`` comes first of what will be a partition, until that is filled.
        """
        with self._looking(device.path), _open(device.path) as file:
            self._compare(device, *identify(file))
            for part in self._spans(device):
                if part[0] < end and start < part[1]:
                    raise HostError(f"{device.path}: there is a partition at {start} by now")
            zero_signatures(file, start, end)
            if mark:
                _mark(file, mark, start)

    def _spans(self, device: Device) -> t.Iterator[tuple[int, int]]:
        """From where to where, in bytes, the partitions are that the kernel knows."""
        for name in self.names(device.sysfs) or []:
            start, size = (self.read(f"{device.sysfs}/{name}/{what}") for what in ("start", "size"))
            if start and size:
                yield int(start) * 512, (int(start) + int(size)) * 512

    def make_volumes(self, batch: t.Sequence[_Made]) -> None:
        """Runs commands that each make a logical volume, at whose ends nothing of before is left.

        One process of LVM works for many, and goes on after a command that fails.
        """
        errors: dict[_Made, str] = {}
        if len(batch) > 1:
            errors = self._made(batch)
        else:
            self.run(batch[0][0])
        done = [each for each in batch if each not in errors]
        for _argv, new in done:
            if new.blank:
                self._blank_new(new)
        if done:
            names = (new.shown for _argv, new in done)
            self.run(("lvchange", "--deltag", done[0][1].mark, *names))
        for (argv, _new), words in errors.items():
            raise Partly(failed(argv, "", words), done)

    def finish_volume(
        self,
        begin: t.Sequence[t.Sequence[str]],
        anew: t.Sequence[t.Sequence[str]],
        end: t.Sequence[str],
    ) -> None:
        """Activates a volume that an interrupted lvcreate left, and runs the command at the end.

        Where the kernel says that a thin pool does not have it, there is nothing of it yet.
        """
        try:
            for argv in begin:
                self.run(argv)
        except HostError as error:
            if _LACKED not in str(error):
                raise
            for argv in anew:
                self.run(argv)
        self.run(end)

    def _made(self, batch: t.Sequence[_Made]) -> dict[_Made, str]:
        """Runs commands of LVM; returns those that made no volume, with what LVM said."""
        self._claimed(batch[0][0])
        lines = [line for argv, _new in batch for line in (" ".join(argv), _NEXT)]
        look = f"lvs {_LISTING} {batch[0][1].group}"
        _code, output, errors = self._bounded(("lvm",), "\n".join([*lines, look, ""]), 0)
        there, told = _listed(output), re.split(f".*{_NEXT}.*\n", errors)
        # Where LVM did not get as far as that, each has the words of all.
        words = told if len(told) > len(batch) else [errors] * len(batch)
        return {
            each: said
            for each, said in zip(batch, words)
            if each[1].mark not in there.get(each[1].name, ())
        }

    def _blank_new(self, new: NewVolume) -> None:
        path = f"/dev/{new.shown}"
        with self._looking(path), _alone(path) as file:
            number = identify(file)[0]
            if not (self.read(f"/sys/dev/block/{number}/dm/uuid") or "").startswith(new.uuid):
                raise HostError(f"{path}: it is not what has just been made")
            zero_both_ends(file)

    def remove_volumes(self, batch: t.Sequence[_Removed]) -> None:
        """Removes logical volumes of a group, all with the first one's command."""
        group, names = batch[0][1], [name for _argv, _group, name in batch]
        argv = (*batch[0][0], *(f"{group}/{name}" for name in names))
        try:
            self.run(argv)
        except HostError as error:
            code, output, _errors = self._bounded(("lvm", "lvs", *_LISTING.split(), group), "", 0)
            left = names if code else _listed(output)
            if not set(left).intersection(names):  # one went with another one
                return
            done = [each for each in batch if each[2] not in left]
            raise Partly(str(error), done) from error

    def grow_device(self, argv: t.Sequence[str], device: Device) -> None:
        """Runs a command that grows a device, in whose new end nothing of before is to be left.

        Others may have it open, and have grown it since it was seen.
        """
        with self._looking(device.path), _open(device.path) as file:
            self._compare(device, *identify(file))
            before = file.seek(0, os.SEEK_END)
            self.run(argv)
            zero_signatures(file, before, file.seek(0, os.SEEK_END))

    def make_file(
        self,
        place: File,
        name: str,
        size: int,
        reserved: int,
        zeros: bool = False,
        nocow: bool = False,
    ) -> None:
        """Makes a raw file, of which the first bytes are reserved, or all are zeros on the disk.

        With ``nocow`` btrfs overwrites what is in it in place.
        """
        with self._new(place, name) as making:
            if nocow:
                _inside.overwrite_in_place(making.file)
            making.file.truncate(size)
            if reserved:
                os.posix_fallocate(making.file.fileno(), 0, reserved)
            for start in range(0, size if zeros else 0, MIB):
                making.file.write(bytes(min(MIB, size - start)))

    def make_folder(self, place: File, name: str, mode: str, owner: int, group: int) -> None:
        """Makes a directory in one that others may write to."""
        with self._looking(f"{place.path}/{name}"), _inside.folder(place) as inside:
            os.mkdir(name, 0o600, dir_fd=inside)
            own = os.stat(name, dir_fd=inside, follow_symlinks=False)
            made = File(f"{place.path}/{name}", own.st_dev, own.st_ino)
            with _inside.reached(made, place) as path:
                os.chown(path, owner, group)
                os.chmod(path, int(mode, 8))
            os.fsync(inside)

    def remove_folder(self, seen: File, place: File) -> None:
        """Removes an empty directory from one that others may write to."""
        with self._looking(seen.path):
            _inside.remove_folder(seen, place)

    def make_image(self, place: File, name: str, argv: t.Sequence[str], key: str = "") -> None:
        """Makes a file with a tool, which finds it at `HERE`."""
        with self._new(place, name) as making:
            self._tool(argv, making.path, f"{place.path}/{name}", key)

    def make_seed(self, place: File, name: str, argv: t.Sequence[str], seed: Seed) -> None:
        """Makes a file with a tool, of files that it finds in `SEEDS`, where only root can look."""
        with self._new(place, name) as making:
            shutil.rmtree(SEEDS, ignore_errors=True)  # what an interruption left
            os.mkdir(SEEDS, 0o700)
            try:
                for file, content in seed.files:
                    with open(f"{SEEDS}/{file}", "wb") as new:
                        new.write(content)
                self._tool(argv, making.path, f"{place.path}/{name}")
            finally:
                shutil.rmtree(SEEDS)

    def exchange(self, seen: File) -> None:
        """Gives a finished file the name and the permissions of another one, which goes."""
        with self._finished(seen.path) as making:
            making.exchange(seen)

    @contextlib.contextmanager
    def _finished(self, path: str) -> t.Iterator[_inside.Making]:
        """What has been made for a path; it goes where it cannot have its name."""
        making = self._making.pop(path)
        with self._looking(path):
            try:
                yield making
            except OSError:
                making.discard()
                raise

    @contextlib.contextmanager
    def _new(self, place: File, name: str) -> t.Iterator[_inside.Making]:
        path = f"{place.path}/{name}"
        with self._looking(path):
            with self._beginning:
                self._lanes.check()
                self._making[path] = making = _inside.Making(place, self.maker())
            try:
                yield making
            except BaseException:
                del self._making[path]
                making.discard()
                raise

    def fill_file(self, place: File, name: str, filling: Filling) -> None:
        """Makes a file with the content of another one, of a device or of what a url leads to."""
        if not self._lanes.take(f"{place.path}/{name}"):
            self._fill_file(place, name, filling)

    def _fill_file(self, place: File, name: str, filling: Filling) -> None:
        with self._new(place, name) as making:
            shown = {making.path: f"{place.path}/{name}"}
            self._filler(filling, shown).file(making.file, making.path, place)

    def fill_device(
        self, path: str, begin: str, filling: Filling, undo: t.Sequence[t.Sequence[str]]
    ) -> None:
        """Fills a device that the step before has made; it goes again where that fails.

        Of a logical volume ``begin`` is what device mapper's uuid begins with; of a partition, that
        has its name already, it is the mark in its first sector, which goes last.
        """
        with self._or_undone(undo), self._looking(path), _alone(path) as file:
            self._fill(file, path, begin, filling)

    @contextlib.contextmanager
    def _or_undone(self, undo: t.Sequence[t.Sequence[str]]) -> t.Iterator[None]:
        try:
            yield
        except BaseException:
            for argv in undo:
                self.run(argv)
            raise

    def encrypt_device(
        self,
        seen: Device,
        begin: str,
        argv: t.Sequence[str],
        key: str,
        undo: t.Sequence[t.Sequence[str]] = (),
    ) -> None:
        """Encrypts a device that has nothing on it; one that is new goes where that fails.

        ``begin`` is as in `fill_device`.
        """
        with self._or_undone(undo), self._looking(seen.path), _alone(seen.path) as file:
            found = identify(file)
            if seen.number:
                self._compare(seen, *found)
            with _marked_behind(file, self._mark_of(file, seen.path, begin)):
                self._tool(argv, _inside.path_of(file.fileno()), seen.path, key)

    def unlock(self, path: str, argv: t.Sequence[str], key: str) -> None:
        """Lets a tool read what is encrypted, for which the passphrase has to be right."""
        self._tool(argv, path, path, key)

    def finish_partition(self, device: Device, mark: str, filling: Filling) -> None:
        """Fills a partition that an interrupted run has left."""
        with self._looking(device.path), _alone(device.path) as file:
            self._compare(device, *identify(file))
            self._fill(file, device.path, mark, filling)

    def refill_device(self, device: Device, begin: str, filling: Filling) -> None:
        """Gives a device other content; a partition is marked before, as `fill_device` has it."""
        with self._looking(device.path), _alone(device.path) as file:
            self._compare(device, *identify(file))
            if not begin.startswith("LVM-"):
                _mark(file, begin)
            self._fill(file, device.path, begin, filling)

    def unmark(self, device: Device) -> None:
        """Leaves nothing of a mark."""
        with self._looking(device.path), _alone(device.path) as file:
            self._compare(device, *identify(file))
            _clear_marks(file)

    def _mark_of(self, file: io.FileIO, path: str, begin: str) -> str:
        """The mark of a device that has just been made, or ""; raises `HostError` of another."""
        if begin.encode() in begins(file):
            return begin
        uuid = self.read(f"/sys/dev/block/{identify(file)[0]}/dm/uuid") or ""
        if not (begin.startswith("LVM-") and uuid.startswith(begin)):
            raise HostError(f"{path}: it is not what has just been made")
        return ""

    def _fill(self, file: io.FileIO, path: str, begin: str, filling: Filling) -> None:
        mark, there = self._mark_of(file, path, begin), _inside.path_of(file.fileno())
        filler = self._filler(filling, {there: path})
        if filling.make:
            with _marked_behind(file, mark):
                filler.encrypted(file, there)
            return
        if mark:
            _mark(file, mark)
            _clear_marks(file, MARKED[1:])
        filler.device(file, there, MIB if mark else 0)

    def _filler(self, filling: Filling, shown: t.Mapping[str, str]) -> Filler:
        name = filling.name

        def tool(
            argv: t.Sequence[str], words: Words, total: int, done: t.Callable[[], int]
        ) -> None:
            with _whispered(filling.key) as whispered:
                argv = [_said(word, {**words, KEY: whispered}) for word in argv]
                with self.following(name, total, done) if total else contextlib.nullcontext():
                    code, output, errors = self._bounded(argv, "", 0)
            if code:
                told = {**shown, words.get(FROM, HERE): filling.source.shown}
                told.update({whispered: SECRET} if filling.key else {})
                raise HostError(_said(failed(argv, output, errors), told))

        def tell(done: int, total: int) -> None:
            self._lanes.check()
            self.progress(name, done, total)

        return Filler(filling, tool, self._fetched, tell)

    def _fetched(self, url: str, headers: t.Mapping[str, str]) -> t.Any:
        """A `Fetch`, one at a time: Ansible sets for the whole process how a url is opened."""
        with self._fetching:
            return t.cast(Fetch, self._fetch)(url, headers)

    def _tool(self, argv: t.Sequence[str], path: str, shown: str, key: str = "") -> None:
        """Runs a tool that finds its file at `HERE`, and at `KEY` the passphrase ``key``."""
        with _whispered(key) as whispered:
            names = {HERE: path, KEY: whispered}
            code, output, errors = self._bounded([_said(word, names) for word in argv], "", 0)
        if code:
            told = failed(
                [_said(word, {HERE: shown, KEY: SECRET}) for word in argv], output, errors
            )
            raise HostError(told.replace(path, shown).replace(whispered, SECRET))

    def publish(self, place: File, name: str, mode: str, owner: int, group: int) -> None:
        """Gives a finished file its permissions and its name; never replaces another one."""
        with self._finished(f"{place.path}/{name}") as making:
            _permit(making, mode, owner, group)
            making.publish(name)

    def replace(self, seen: File, mode: str, owner: int, group: int) -> None:
        """Gives a finished file its permissions and the name of one that is there, and goes."""
        with self._finished(seen.path) as making:
            _permit(making, mode, owner, group)
            making.replace(seen)

    def truncate(self, seen: File, place: File, size: int) -> None:
        with self._looking(seen.path), _inside.file(seen, place) as (file, _path):
            file.truncate(size)
            os.fsync(file.fileno())

    def allocate(self, seen: File, place: File, allocation: int) -> None:
        """Reserves the first ``allocation`` bytes of a file."""
        with self._looking(seen.path), _inside.file(seen, place) as (file, _path):
            os.posix_fallocate(file.fileno(), 0, allocation)
            os.fsync(file.fileno())

    def overwrite(self, seen: File | Device, place: File | None = None) -> None:
        """Writes zeros over all of a device, or over all of a file where it has data.

        What is zero already is left alone, so that what takes no space goes on to take none.
        """
        with self._looking(seen.path):
            if isinstance(seen, Device):
                with _alone(seen.path) as device:
                    number, sequence, size = identify(device)
                    self._compare(seen, number, sequence, size)
                    self._zero(device.fileno(), size, [(0, size)], seen.path)
            elif place:
                with _inside.file(seen, place) as (file, _path):
                    size = os.fstat(file.fileno()).st_size
                    self._zero(file.fileno(), size, data(file.fileno(), 0, size), seen.path)

    def _zero(self, handle: int, size: int, spans: t.Iterable[tuple[int, int]], path: str) -> None:
        for start, end in spans:
            for place in range(start, end, _BLOCK):
                self.progress(os.path.basename(path), place, size)
                zero(handle, place, min(_BLOCK, end - place))
        os.fsync(handle)
        self.progress(os.path.basename(path), size, size)

    def work_on(self, seen: File, place: File, argv: t.Sequence[str], key: str = "") -> None:
        """Lets a tool work on a file, which it finds at `HERE`."""
        with self._looking(seen.path), _inside.file(seen, place) as (_file, path):
            self._tool(argv, path, seen.path, key)


def _said(text: str, words: Words) -> str:
    """A text with words for what stands for them in it."""
    for stands, word in words.items():
        text = text.replace(stands, word)
    return text


@contextlib.contextmanager
def _led(path: str, seen: File | None, place: File | None) -> t.Iterator[str]:
    if seen:
        with _inside.reached(seen, place) as there:
            yield there
    else:
        yield path


def _listed(output: str) -> dict[str, list[str]]:
    """The tags of logical volumes, and that each has none, by name."""
    rows = re.findall("LVM2_LV_NAME='([^']*)' LVM2_LV_TAGS='([^']*)'", output)
    return {name: ["", *tags.split(",")] for name, tags in rows}


def zero_signatures(file: t.BinaryIO | io.FileIO, start: int, end: int) -> None:
    """Writes zeros where a signature of what lies between two places can be."""
    for place in (*range(start, end, MIB)[:_HEAD], *range(max(start, end - _TAIL * MIB), end, MIB)):
        file.seek(place)
        file.write(bytes(min(MIB, end - place)))
    os.fsync(file.fileno())


def zero_both_ends(file: io.FileIO) -> None:
    end = file.seek(0, os.SEEK_END)
    for start in (0, max(0, end - MIB)):
        file.seek(start)
        file.write(bytes(min(MIB, end)))
    os.fsync(file.fileno())


def _permit(making: _inside.Making, mode: str, owner: int, group: int) -> None:
    os.fchown(making.file.fileno(), owner, group)
    # A file system without modes, such as vfat, need not take the one nobody asked for.
    with contextlib.suppress(*(() if mode else (PermissionError,))):
        os.fchmod(making.file.fileno(), int(mode or "0600", 8))


def _mark(file: io.FileIO, mark: str, at: int = 0) -> None:
    """Writes a mark into a sector of its own; an empty one leaves nothing of another."""
    file.seek(at)
    file.write(mark.encode().ljust(SECTOR, b"\0"))
    os.fsync(file.fileno())


def _clear_marks(file: io.FileIO, places: t.Collection[int] = MARKED) -> None:
    for place, begin in zip(MARKED, begins(file)):
        if begin and place in places:
            _mark(file, "", place)


@contextlib.contextmanager
def _marked_behind(file: io.FileIO, mark: str) -> t.Iterator[None]:
    """Has a mark where the header of LUKS, that is made meanwhile, has nothing; then it goes."""
    if mark:
        _mark(file, mark, MARKED[1])
    yield
    if mark:
        _clear_marks(file, MARKED[1:])


def zero(handle: int, place: int, count: int) -> None:
    """Writes zeros where anything else is."""
    part = os.pread(handle, count, place)
    done = len(part) if part == bytes(len(part)) else 0
    while done < len(part):
        done += os.pwrite(handle, bytes(len(part) - done), place + done)


def _alone(path: str) -> io.FileIO:
    """A block device, to write, which the kernel gives to nobody else meanwhile."""
    return _open(path, os.O_EXCL)


def _open(path: str, flags: int = 0) -> io.FileIO:
    """A block device, to write."""
    return open(os.open(path, os.O_RDWR | os.O_CLOEXEC | flags), "r+b", 0)


@contextlib.contextmanager
def _whispered(key: str) -> t.Iterator[str]:
    """A path to a passphrase in memory, which only root can follow, and only meanwhile."""
    handle = os.memfd_create("passphrase")
    try:
        os.write(handle, key.encode("utf-8", "surrogateescape"))
        yield _inside.path_of(handle)
    finally:
        os.close(handle)


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
