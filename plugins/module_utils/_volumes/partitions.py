# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes that are partitions of a disk."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .._host import MARK, MIB, Reader
from .._model import (
    UNFINISHED,
    Claim,
    Device,
    Extent,
    Filling,
    Permissions,
    Pool,
    Refused,
    Seen,
    Source,
    Volume,
)
from .._plan import Action, Steps
from .._size import round_up, show
from .._tools import block, files, filling, luks, partitions, qemu_img
from . import base, content

MAPS = "/dev/mapper"  # where the partitions of maps are
PLAIN = ("none", "linux")  # what a partition without a wish for a type can be
_MOMENT = 3  # seconds


@dataclass(frozen=True)
class Gap:
    """Unused bytes ``start`` to ``end`` (exclusive); ``logical`` inside the extended partition."""

    start: int
    end: int
    logical: bool = False

    def room_from(self, sector: int) -> int:
        """Where a partition can begin: at a whole MiB, a logical one behind its own record."""
        return round_up(max(self.start, 1) + (2 * sector if self.logical else 0), MIB)


class Space(base.Room):
    """Gaps and numbers that are free, counted down while a list of volumes is planned."""

    def __init__(self, table: partitions.Table, stem: str) -> None:
        self.label, self.sector, self.stem = table.label, table.sector, stem
        self.most = table.most
        gaps = [(max(start, table.first), min(end, table.last)) for start, end in table.free]
        self.gaps = [Gap(*gap, table.is_logical(gap[0])) for gap in gaps if gap[0] < gap[1]]
        self.end = 0  # of what is placed
        self.parts = {part.number: part for part in table.parts}
        self.placed: dict[str, partitions.Part] = {}
        usable = sum(self._usable(gap) for gap in self.gaps)
        # A share is of the whole disk, so that it stays what it was when there are partitions.
        end = max([gap[1] for gap in table.free] + [part.end for part in table.parts], default=MIB)
        super().__init__((end // MIB - 1) * MIB, usable)

    def _usable(self, gap: Gap) -> int:
        return max(0, gap.end - gap.room_from(self.sector))

    def free_for(self, wanted: base.Wanted, there: Volume | None) -> int:
        if there is None:
            number = wanted.name[len(self.stem) :]
            logical = number.isdigit() and self._is_logical(int(number))
            fits = [self._usable(gap) for gap in self.gaps if gap.logical == logical]
            return max(fits, default=0)
        gap = self._behind(there)
        return gap.end - there.extents[0].end if gap else 0

    def _behind(self, there: Volume) -> Gap | None:
        """The gap that a partition can grow into; never across an end of the extended one."""
        # Between a logical partition and a gap that is not right behind it lies the record of
        # another one.
        logical, end = self._is_logical(there.number), there.extents[0].end
        found = (gap for gap in self.gaps if gap.logical == logical and gap.start == end)
        return next(found, None)

    def numbers(self) -> list[int]:
        """The numbers that the next partition can get: the kernel allows no other."""
        first = self.most + 1 if self.label != "dos" else partitions.FIRST_LOGICAL
        found = [n for n in range(1, first) if n not in self.parts][:1]
        if self.label == "dos" and any(p.format == "extended" for p in self.parts.values()):
            found.append(max([partitions.FIRST_LOGICAL - 1, *self.parts]) + 1)
        return [number for number in found if number <= self.most]

    def next_name(self, count: int, taken: t.Collection[str]) -> str:
        """The name of the next partition that has room for so many bytes; "" where none has."""
        for number in self.numbers():
            logical = self._is_logical(number)
            fits = any(g.logical == logical and self._usable(g) >= count for g in self.gaps)
            if fits and f"{self.stem}{number}" not in taken:
                return f"{self.stem}{number}"
        return ""

    def _is_logical(self, number: int) -> bool:
        return self.label == "dos" and number >= partitions.FIRST_LOGICAL

    def take(self, count: int, wanted: base.Wanted, there: Volume | None) -> str:
        if there:
            return self._grow(count, there)
        names = {f"{self.stem}{number}": number for number in self.numbers()}
        if not names:
            return f"the {self.label} table has no number left for one more partition"
        if wanted.name not in names:
            return (
                "the kernel names partitions by their numbers, and the next one can only be "
                f"{' or '.join(names)}"
            )
        number = names[wanted.name]
        logical = self._is_logical(number)
        fits = [g for g in self.gaps if g.logical == logical and self._usable(g) >= count]
        if not fits:
            largest = max((self._usable(g) for g in self.gaps if g.logical == logical), default=0)
            return f"takes {show(count)}, and the largest gap for it has {show(largest)}"
        gap = min(fits, key=self._usable)
        self._place(gap, number, count, wanted)
        return ""

    def _place(self, gap: Gap, number: int, count: int, wanted: base.Wanted) -> None:
        start = gap.room_from(self.sector)
        part = partitions.Part(number, start, start + count, wanted.format or "none")
        self.parts[number] = self.placed[wanted.name] = part
        self.end = max(self.end, part.end)
        self.gaps.remove(gap)
        self.gaps += [Gap(gap.start, start, gap.logical), Gap(part.end, gap.end, gap.logical)]
        if part.format == "extended":
            self.gaps.append(Gap(part.start + 2 * self.sector, part.end, True))

    def _grow(self, count: int, there: Volume) -> str:
        gap = self._behind(there)
        free = gap.end - there.extents[0].end if gap else 0
        if count > free:
            return f"has {show(free)} free behind it, and {show(count)} more are wanted"
        if gap and count > 0:
            self.gaps.remove(gap)
            self.end = max(self.end, there.extents[0].end + count)
            self.gaps.append(Gap(there.extents[0].end + count, gap.end, gap.logical))
        return ""

    def give(self, gone: Volume) -> None:
        lost = self.parts.pop(gone.number)
        logical = self._is_logical(lost.number)
        if lost.format == "extended":
            self.gaps = [gap for gap in self.gaps if not gap.logical]
        start, end = lost.start, lost.end
        for gap in [g for g in self.gaps if g.logical == logical]:
            if 0 <= gap.start - end < MIB or 0 <= start - gap.end < MIB:
                self.gaps.remove(gap)
                start, end = min(start, gap.start), max(end, gap.end)
        self.gaps.append(Gap(start, end, logical))


class Partitions(base.Volumes):
    """``stem`` is what the partitions' names begin with, and their numbers follow.

    ``kernel`` are the partitions that the kernel knows, by number: more than one of a number where
    the device mapper has it, too.  It should know ``unknown`` otherwise than it does, and has
    ``lost`` where the table has something else.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.path = pool.devices[0]
        self.device = Device(self.path, "")
        self.stem, self.folder = "", "/dev"
        self.kernel: dict[int, list[Device]] = {}
        self.unknown: list[int] = []
        self.lost: list[Device] = []
        self.table: partitions.Table | None = None
        self._space: Space | None = None
        self._last: int | None = None
        self._mark = ""  # of what this host fills
        self._marked: set[int] = set()
        self._others: dict[str, bool] = {}  # whether another host does
        self._blanked: list[partitions.Part] = []  # places, not whole partitions where they grow

    def look(self, host: Reader, users: bool = False) -> list[Volume]:
        device = block.find(host, self.path)
        self.table = partitions.look(host, device) if device else None
        if self.table is None or device is None:
            return []
        self.device = device
        self.stem = stem(host, self.pool, device)
        self.folder = folder(host, device)
        kernel = known(host, device, self.table)
        self.unknown = _unknown(host, device, self.table, kernel)
        self.lost = _lost(host, self.table, kernel)
        for part in kernel:
            self.kernel.setdefault(part.partition, []).append(part)
        found = read(host, self.pool, device, self.table, kernel)
        self._mark = f"{MARK}{host.maker()[len(UNFINISHED) :]}"
        shown = [v for v in found if v.number in self.kernel and v.format != "extended"]
        paths = {volume.name: self.kernel[volume.number][0].path for volume in shown}
        marks = host.marks([*paths.values()])
        return [self._marking(v, marks.get(paths.get(v.name, ""), "")) for v in found]

    def foresee(self, host: Reader, seen: Seen) -> None:
        self.device = t.cast(Device, block.find(host, self.path))
        self.table = partitions.fresh(
            self.device, self.pool.format, block.sector(host, self.device)
        )
        self.stem = stem(host, self.pool, self.device)
        self.folder = folder(host, self.device)
        self._mark = f"{MARK}{host.maker()[len(UNFINISHED) :]}"

    def _marking(self, volume: Volume, mark: str) -> Volume:
        """The same, with the mark of this host, if it has not filled it."""
        ours = bool(mark) and mark.split("-")[1] == self._mark.split("-")[1]
        self._others[volume.name] = bool(mark) and not ours
        return replace(volume, mark=mark) if ours else volume

    def room(self) -> Space:
        if self.table is None:
            raise Refused(f"Nothing was changed: {self.path} has no partition table.")
        self._space = Space(self.table, self.stem)
        return self._space

    def devices(self, name: str) -> t.Sequence[str]:
        return (f"{self.folder}/{name}",)

    def blank(self, wanted: base.Wanted) -> bool:
        return False  # a partition of one pool is not for another one to take

    def named(
        self, wanted: t.Sequence[base.Wanted], seen: t.Mapping[str, Volume]
    ) -> list[base.Wanted]:
        """A wish without a name is a partition of its size and type, else the next one.

        So it can be said twice: the next one is made once.
        """
        taken = {wish.name for wish in wanted if wish.name}
        space = self.room()
        named = []
        for wish in wanted:
            count = round_up(self.takes(wish), self.step(""))
            if not wish.name:
                wish = replace(wish, name=self._name(wish, count, space, seen, taken))
                taken.add(wish.name)
            if wish.present and wish.name not in seen:
                space.take(count, wish, None)
            named.append(wish)
        return named

    def _name(
        self,
        wish: base.Wanted,
        count: int,
        space: Space,
        seen: t.Mapping[str, Volume],
        taken: t.Collection[str],
    ) -> str:
        sized = [v for v in seen.values() if v.capacity == count and v.name not in taken]
        sized = [v for v in sized if self._can_be(v, wish)]
        for there in sized:
            if _same(there, wish.format) if wish.format else there.format in PLAIN:
                return there.name
        for there in sized:
            if self._unfinished(there, wish.format, taken):
                return there.name
        name = space.next_name(count, taken)
        if not name:
            raise Refused(
                f"Nothing was changed: {self.path} has no number or no gap for one more "
                f"partition of {show(count)}. What the task itself removes does not count; remove "
                "it in a task before, and write volumes with names before those without."
            )
        return name

    def _can_be(self, there: Volume, wish: base.Wanted) -> bool:
        """Whether a partition of that size can be one that is wanted: no copy is its own source."""
        source = wish.content.thing if wish.content else None
        numbers = [thing.identity for thing in self.things(there)]
        open_ = not there.encryption and not there.mark
        return not (source and source.identity in numbers) and not (wish.encryption and open_)

    def _unfinished(self, there: Volume, format: str, taken: t.Collection[str]) -> bool:
        """Whether parted was interrupted before it could set the type of a partition of ours.

        In a gpt table its name tells; in others that it has the number and the place that one
        would get if it were not there.
        """
        if not self.table or not partitions.flag(there.format, format):
            return False
        part = next(part for part in self.table.parts if part.number == there.number)
        if self.table.label == "gpt":
            return part.label == format
        space = Space(self.table, self.stem)
        space.give(there)
        if space.next_name(there.capacity, taken) != there.name:
            return False
        space.take(there.capacity, base.Wanted(there.name, format=format), None)
        return space.placed[there.name].start == part.start

    def step(self, format: str) -> int:
        return self.table.sector if self.table else 512

    def same(self, there: Volume, format: str) -> bool:
        return _same(there, format) or partitions.flag(there.format, format) != ""

    def faults(self, wanted: base.Wanted) -> t.Iterator[str]:
        yield from content.unknown(wanted.name, wanted.content, wanted.capacity)
        label = self.table.label if self.table else ""
        outer = self.table.extended if self.table else None
        if wanted.format and wanted.format not in partitions.FORMATS:
            yield (
                f"{wanted.name}: {wanted.format} is no type of a partition; there are "
                f"{', '.join(partitions.FORMATS)}"
            )
        elif wanted.format == "extended" and label != "dos":
            yield f"{wanted.name}: only a dos partition table has an extended partition"
        elif wanted.format == "extended" and outer and f"{self.stem}{outer.number}" != wanted.name:
            yield f"{wanted.name}: {self.path} has an extended partition already"
        yield from self._filled_faults(wanted)
        if self._others.get(wanted.name):
            yield f"{wanted.name}: another host has begun to fill it; if that is gone, remove it"
        if wanted.allocation and wanted.allocation != wanted.capacity:
            yield f"{wanted.name}: a partition takes all its space at once; leave allocation out"

    def _filled_faults(self, wanted: base.Wanted) -> t.Iterator[str]:
        """What is impossible of what is to be in a partition."""
        if wanted.encryption and (wanted.format == "extended" or self.folder == MAPS):
            yield f"{wanted.name}: an extended partition and one of a map are not encrypted"
        if wanted.origin and wanted.format == "extended":
            yield f"{wanted.name}: an extended partition has no content of its own"

    def cost(self, wanted: base.Wanted, capacity: int, allocation: int) -> int:
        return capacity

    def _only_listed(self) -> None:
        label = self.table.label if self.table else ""
        if label not in partitions.TYPED:
            raise Refused(
                f"Nothing was changed: the partitions of {self.path} are only listed, because it "
                f"has a {label} table. They are made and removed in gpt and dos tables."
            )

    def create(self, wanted: base.Wanted, capacity: int, allocation: int) -> Steps:
        self._only_listed()
        if self._space is None:
            return
        part = self._space.placed[wanted.name]
        logical = self._space.label == "dos" and part.number >= partitions.FIRST_LOGICAL
        if wanted.content or wanted.encryption:
            self._marked.add(part.number)
        yield from self._cleared(part, wanted.name)
        yield partitions.make(self.device, self._space.label, part, logical)
        if wanted.content:
            yield partitions.settle()
            yield self._fill(wanted, wanted.content, part)
        elif wanted.encryption:
            yield partitions.settle()
            path, size = f"{self.folder}/{wanted.name}", part.end - part.start
            how = (self.device, part.number, path, self._mark)
            yield partitions.encrypt(*how, wanted.encryption, size)
        if wanted.permissions != Permissions():
            # udev gives the node its own ones, and has to be done with it.
            yield partitions.settle()
            path = f"{self.folder}/{wanted.name}"
            yield from files.permissions(path, wanted.permissions, Permissions())

    def _fill(self, wanted: base.Wanted, source: Source, part: partitions.Part) -> Action:
        path, how = f"{self.folder}/{wanted.name}", self._filling(wanted, source, part)
        text = f"fill partition {part.number} of {self.device.path} from {source.shown}"
        return partitions.fill(self.device, part.number, path, self._mark, how, text)

    def _filling(self, wanted: base.Wanted, source: Source, part: partitions.Part) -> Filling:
        said = wanted.origin.format if wanted.origin else ""
        return content.onto(
            wanted.name, source, said, part.end - part.start, encryption=wanted.encryption
        )

    def overwrite(self, wanted: base.Wanted, content: Source, seen: Volume, capacity: int) -> Steps:
        kernel = self.kernel[seen.number]
        how = self._filling(wanted, content, partitions.Part(seen.number, 0, capacity))
        yield filling.over(kernel[0], self._mark, how, [*map(Claim, kernel)])

    def finish(self, wanted: base.Wanted, seen: Volume, capacity: int) -> Steps:
        kernel = self.kernel.get(seen.number, ())
        if not seen.mark or not kernel:
            return
        if not wanted.content and wanted.encryption:
            claims = (Claim(kernel[0]),)
            yield qemu_img.encrypt(kernel[0], seen.mark, wanted.encryption, capacity, claims=claims)
            return
        if not wanted.content:
            yield partitions.unmark(kernel[0])
            return
        part = partitions.Part(seen.number, 0, capacity)
        how = self._filling(wanted, wanted.content, part)
        text = f"fill partition {seen.number} of {self.device.path} from {wanted.content.shown}"
        yield filling.again(kernel[0], seen.mark, how, text)

    def _cleared(self, part: partitions.Part, name: str) -> Steps:
        """Blanks a place; before all other steps where it is free already."""
        if self._in_a_gap(part):
            self._blanked += [part] if name not in self.foretold else []
        else:
            yield self._blank(part)

    def _in_a_gap(self, part: partitions.Part) -> bool:
        """Whether the place is free already, and not after a removal only."""
        free = self.table.free if self.table else ()
        return any(start <= part.start and part.end <= end for start, end in free)

    def header(self, wanted: base.Wanted) -> int:
        return luks.ROOM if wanted.encryption else 0

    def inspect(self, host: Reader, there: Volume, wanted: base.Wanted) -> Volume:
        if not wanted.encryption or not self.kernel.get(there.number):
            return there
        header = host.head(there.path, unpack=False).header
        return replace(there, encryption=luks.seen(header, wanted.encryption))

    def unlock(self, seen: Volume) -> Steps:
        if seen.encryption:
            yield qemu_img.unlock_device(self.kernel[seen.number][0], seen.encryption)

    def things(self, there: Volume) -> t.Sequence[Device]:
        return self.kernel.get(there.number, ())

    def source(self, seen: Volume) -> Source:
        kernel = self.kernel.get(seen.number, ())
        if not kernel or seen.format == "extended":
            raise Refused(
                f"Nothing was changed: {seen.name} is not cloned, because it is an extended "
                "partition, or the kernel does not know it yet (partprobe)."
            )
        return content.of_device(seen, kernel[0])

    def made(self, wanted: base.Wanted, capacity: int) -> Source:
        size = round_up(capacity, self.step(""))
        return content.new_device(wanted.name, f"{self.folder}/{wanted.name}", size)

    def resizable(self, seen: Volume, capacity: int) -> None:
        self._only_listed()
        table, fault = self.table, ""
        if seen.format == "extended":
            fault = "is an extended partition, which is not resized"
        elif self.folder == MAPS:
            fault = (
                f"is a partition of multipath map {self.path}. Those are made and removed, and "
                "not resized"
            )
        elif table and table.label == "dos" and max(p.number for p in table.parts) > table.most:
            fault = (
                f"is not resized, because sfdisk, which does it, knows up to {table.most} "
                f"partitions of a dos table, and would lose the others of {self.path}"
            )
        if fault:
            raise Refused(f"Nothing was changed: {seen.name} {fault}.")

    def resize(self, seen: Volume, capacity: int) -> Steps:
        sectors, end = capacity // self.step(""), seen.extents[0].end
        if capacity > seen.capacity:
            # The superblock of an array, or a second table, can be where the new end is.
            grown = end + capacity - seen.capacity
            yield from self._cleared(partitions.Part(seen.number, end, grown), seen.name)
        risk = "shrink" if capacity < seen.capacity else ""
        kernel = self.kernel.get(seen.number, ())
        yield from partitions.resize(self.device, seen.number, sectors, risk, kernel)

    def retype(self, seen: Volume, format: str) -> Steps:
        """parted sets the type of a new partition after it has made it, and can be interrupted."""
        flag = partitions.flag(seen.format, format)
        if flag:
            yield partitions.set_flag(self.device, seen.number, flag)

    def wipe(self, seen: Volume, algorithm: str) -> Steps:
        kernel = self.kernel.get(seen.number, [])
        if seen.format == "extended" or not kernel:
            why = "an extended partition" if kernel else "not known to the kernel"
            raise Refused(
                f"Nothing was changed: {seen.name} is to be wiped, and it is {why}. Leave wipe out."
            )
        yield partitions.wipe_one(self.device, kernel, algorithm)
        # udev looks at what has been written to, and the kernel lets go of no partition meanwhile.
        yield partitions.settle()

    def delete(self, seen: Volume) -> Steps:
        self._only_listed()
        kernel, risk = self.kernel.get(seen.number, ()), "" if seen.mark else "delete"
        yield partitions.remove(self.device, seen.number, kernel, risk)
        if seen.number == self._last:
            yield partitions.unmap(self.device)

    def removal(self, leaving: t.Sequence[Volume]) -> t.Sequence[Volume]:
        """From the last to the first, because the kernel moves up logical ones behind a gap."""
        numbers = {volume.number for volume in leaving}
        for part in self.table.parts if self.table and self.table.label == "dos" else ():
            behind = part.number >= partitions.FIRST_LOGICAL and part.number not in numbers
            before = [v for v in leaving if partitions.FIRST_LOGICAL <= v.number < part.number]
            inside = [v for v in leaving if v.format == "extended"]
            if behind and (before or inside):
                gone, left = (before or inside)[0].name, f"{self.stem}{part.number}"
                raise Refused(
                    f"Nothing was changed: without partition {gone}, {left} would get another name "
                    f"or be lost. Remove {left} as well, or first."
                )
        if self.folder == MAPS and self.table and len(leaving) == len(self.table.parts):
            self._last = min(numbers, default=None)
        return sorted(leaving, key=lambda volume: volume.number, reverse=True)

    def leftovers(self) -> Steps:
        """What has to be right before: an interrupted run may have told the table only.

        What is free is blanked at once, so that one command can make all partitions.
        """
        table, space = self.table, self._space
        for number in self.unknown if not self.foretold else ():
            lost = [part for part in self.lost if part.partition == number]
            yield partitions.tell_kernel(self.device, number, lost)
        if table and space and table.short and space.end > table.short:
            yield partitions.stretch(self.device)
        for part in self._blanked:
            yield self._blank(part)

    def _blank(self, part: partitions.Part) -> Action:
        # Those of a map are not told away before.
        lost = self.lost if self.folder == MAPS else ()
        mark = self._mark if part.number in self._marked else ""
        return partitions.blank(self.device, part, lost, mark)

    def settle(self) -> Steps:
        yield partitions.settle()


def _same(there: Volume, format: str) -> bool:
    fat = {"fat16", "fat32"}  # GPT has one type for both
    return format in ("none", there.format) or {format, there.format} <= fat


def known(host: Reader, disk: Device, table: partitions.Table) -> list[Device]:
    """The partitions that the kernel knows.

    Whoever has opened a disk for writing, as parted does to look, makes udev read its table again,
    and for that moment the kernel knows no partition that is not in use.
    """
    return host.patiently(
        lambda: block.parts(host, disk),
        lambda kernel: not _unknown(host, disk, table, kernel),
        _MOMENT,
    )


def _unknown(
    host: Reader, disk: Device, table: partitions.Table, kernel: t.Sequence[Device]
) -> list[int]:
    """The partitions that the kernel should know as they are, and does not."""
    if table.label not in partitions.TYPED or folder(host, disk) == MAPS:
        return []
    there = {part.partition: part.size for part in kernel}
    wanted = {part.number: part.end - part.start for part in table.parts}
    outer = {table.extended.number} if table.extended else set()  # is always short to the kernel
    lost = {part.partition for part in _lost(host, table, kernel)}
    numbers = sorted({*there, *wanted} - outer)
    return [n for n in numbers if n in lost or there.get(n) != wanted.get(n)]


def _lost(host: Reader, table: partitions.Table, kernel: t.Sequence[Device]) -> list[Device]:
    """The partitions of the kernel that are no longer, or elsewhere, in the table."""
    starts = {part.number: part.start // 512 for part in table.parts}
    found = []
    for part in kernel:
        start = host.read(f"{part.sysfs}/start")  # which the device mapper does not tell
        place = int(start) if start else starts.get(part.partition)
        if place is None or place != starts.get(part.partition):
            found.append(part)
    return found


def folder(host: Reader, device: Device) -> str:
    """Where the kernel or udev has the nodes of a disk's partitions."""
    return MAPS if host.node(f"{device.sysfs}/dm") else "/dev"


def stem(host: Reader, pool: Pool, device: Device) -> str:
    """What the names of partitions begin with: that of the disk, and p after a digit."""
    mapped = folder(host, device) == MAPS
    name = (device.path if mapped else host.real(device.path)).rpartition("/")[2]
    apart = name[-1].isdigit() or (mapped and pool.part_separator == "yes")
    return f"{name}p" if apart else name


def read(
    host: Reader,
    pool: Pool,
    device: Device,
    table: partitions.Table,
    kernel: t.Sequence[Device],
) -> list[Volume]:
    """The partitions as volumes; ``kernel`` is what each one is to it."""
    links = {} if pool.path == "/dev" else host.devices(pool.path)
    begin = f"{folder(host, device)}/{stem(host, pool, device)}"
    nodes = {part.partition: part for part in kernel}
    return [
        _volume(host, pool, table, part, f"{begin}{part.number}", nodes.get(part.number), links)
        for part in table.parts
    ]


def _volume(
    host: Reader,
    pool: Pool,
    table: partitions.Table,
    part: partitions.Part,
    full: str,
    own: Device | None,
    links: t.Mapping[str, str],
) -> Volume:
    path = links.get(own.number, own.path) if own else full
    node = host.node(path)
    size = part.end - part.start
    return Volume(
        name=full.rpartition("/")[2],
        path=path,
        key=path,
        type="block",
        format=part.format,
        written="none",
        capacity=size,
        allocation=_used(table, part),
        physical=own.size if own else size,
        permissions=node.permissions if node else Permissions(),
        timestamps=base.times(node) if node else (),
        extents=(Extent(pool.devices[0], part.start, part.end),),
        number=part.number,
    )


def _used(table: partitions.Table, part: partitions.Part) -> int:
    """An extended partition has what its logical ones have."""
    if part.format != "extended":
        return part.end - part.start
    return sum(p.end - p.start for p in table.parts if table.is_logical(p.start))
