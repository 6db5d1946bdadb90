# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes that are logical volumes of an LVM volume group."""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

from .._host import Reader
from .._model import UNFINISHED, Device, Extent, Permissions, Refused, Source, Volume
from .._plan import Steps
from .._size import round_up, show
from .._tools import block, files, luks, lvm, qemu_img, wipe
from . import base, content

_THIN = ("t", "V")  # the first character of lv_attr: a thin pool, a volume of one
_LONGEST_MAPPED = 127  # device mapper's names
_LONGEST = 124  # LVM's, of a group and a volume together
_BEGINNINGS = ("snapshot", "pvmove")
# Names of what LVM makes for itself have such a part.
_PARTS = (
    *("_cdata", "_cmeta", "_corig", "_cpool", "_cvol", "_imeta", "_iorig", "_mimage", "_mlog"),
    *("_pmspare", "_rimage", "_rmeta", "_tdata", "_tmeta", "_vdata", "_vorigin", "_wcorig"),
)


class Layout(t.NamedTuple):
    """How a volume grows: by ``areas`` of one size on as many devices, ``own`` of them for data.

    A volume of a thin pool takes no area of the group.
    """

    kind: str = "linear"
    areas: int = 1
    own: int = 1


_NEW = Layout()
_RESIZED = ("linear", "striped", "mirror", "thin", "raid0", "raid1", "raid4", "raid5", "raid6")


class Space(base.Room):
    """The room of a group by device, because some volumes take as much of each of several."""

    def __init__(self, group: lvm.Group) -> None:
        super().__init__(group.size, sum(group.frees.values()))
        self.group = group
        self.layouts = layouts(group)
        self.frees = dict(group.frees)
        self.count = len(group.volumes)
        # What removals give back, where only LVM's own parts of the volume tell on which device.
        self.somewhere = 0

    def free_for(self, wanted: base.Wanted, there: Volume | None) -> int:
        layout = self._layout(there)
        return self._largest(layout.areas) * layout.own

    def _layout(self, there: Volume | None) -> Layout:
        return self.layouts.get(there.key, _NEW) if there else _NEW

    def _largest(self, areas: int) -> int:
        """How large areas of one size can be that are on as many devices, in several pieces."""
        if areas < 2:
            return (sum(self.frees.values()) + self.somewhere) * areas
        step, frees = self.group.extent_size, list(self.frees.values())
        low, high = 0, sum(frees) // areas // step
        while low < high:
            size = (low + high + 1) // 2
            enough = sum(min(free // step, size) for free in frees) >= size * areas
            low, high = (size, high) if enough else (low, size - 1)
        return low * step

    def take(self, count: int, wanted: base.Wanted, there: Volume | None) -> str:
        layout = self._layout(there)
        free = self._largest(layout.areas) * layout.own
        if layout.areas and count > free:
            where = f" for it, on each of {layout.areas} devices" if layout.areas > 1 else ""
            return f"takes {show(count)}, and the pool has {show(free)} free{where}"
        self.count += there is None
        if self.group.most_volumes and self.count > self.group.most_volumes:
            return f"is one more than the {self.group.most_volumes} volumes that the group may have"
        self._use(count // max(1, layout.own), layout.areas)
        return ""

    def _use(self, size: int, areas: int) -> None:
        """Takes areas as LVM does, where most is free first; gives back where negative."""
        left = size * areas
        if left < 0:
            self.somewhere -= size
            return
        while left > 0 and any(self.frees.values()):
            for device in sorted(self.frees, key=lambda name: -self.frees[name])[:areas]:
                count = min(self.frees[device], size, left)
                self.frees[device] -= count
                left -= count
        self.somewhere = max(0, self.somewhere - left)

    def give(self, gone: Volume) -> None:
        self.count -= 1
        here = [extent for extent in gone.extents if extent.device in self.frees]
        for extent in here:
            self.frees[extent.device] += extent.end - extent.start
        if not here and self._layout(gone).areas:
            self.somewhere += gone.allocation


class LogicalVolumes(base.Volumes):
    """``judges`` tells whether LVM cuts off the end of a volume only where it holds nothing."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.group: lvm.Group | None = None
        self.members: tuple[Device, ...] = ()
        self.rows: dict[str, lvm.Row] = {}
        self.layouts: dict[str, Layout] = {}
        self.judges = False
        self.mark = ""
        self._leftovers: list[Volume] = []
        self._kinds: t.Mapping[str, t.Collection[str]] = {}

    def look(self, host: Reader, users: bool = False) -> list[Volume]:
        self.group = lvm.look(host).named(self.name)
        if not self.group:
            return []
        self.members = lvm.members(host, self.group)
        self.rows = {row["lv_name"]: row for row in self.group.volumes}
        self.layouts = layouts(self.group)
        self.judges = users and lvm.judges_content(host)
        self.mark = lvm.mark(host)
        found = read(host, self.group)
        self._leftovers = [v for v in found if lvm.unfinished(self.rows[v.name], self.mark)]
        active = [each for v in self._leftovers for each in v.devices if each.number]
        self._kinds = block.kinds(host, active)
        return [volume for volume in found if volume not in self._leftovers]

    def _there(self) -> lvm.Group:
        """The group; raises `Refused` where it cannot be changed."""
        group = self.group
        if group is None:
            raise Refused(f"Nothing was changed: there is no volume group {self.name}.")
        if group.barred:
            raise Refused(f"Nothing was changed: volume group {self.name} {group.barred}.")
        if group.missing:
            raise Refused(
                f"Nothing was changed: volume group {self.name} is partial: "
                f"{', '.join(group.missing)} is missing. Attach it, or repair the group with "
                "vgreduce --removemissing."
            )
        return group

    def room(self) -> base.Room:
        if not self.group:
            return base.Room(0, 0)
        space = Space(self.group)
        for left in self._leftovers:
            space.give(left)
        return space

    def step(self, format: str) -> int:
        return self.group.extent_size if self.group else 1

    def grain(self, there: Volume | None, format: str) -> int:
        layout = self.layouts.get(there.key, _NEW) if there else _NEW
        return self.step(format) * max(1, layout.own)

    def faults(self, wanted: base.Wanted) -> t.Iterator[str]:
        yield from content.unknown(wanted.name, wanted.content, wanted.capacity)
        name = wanted.name
        if not re.fullmatch(r"(?!-|\.\.?$)[A-Za-z0-9+_.-]+", name):
            yield (
                f"{name}: a logical volume's name has letters, digits and + _ . - only, does not "
                "begin with -, and is not . or .."
            )
        yield from (f"{name}: {fault}" for fault in self._name_faults(name))
        if wanted.format not in ("", "raw"):
            yield f"{name}: a logical volume has no format, so leave format out"
        if wanted.allocation and wanted.allocation != wanted.capacity:
            yield (
                f"{name}: a logical volume takes all its space at once (a sparse one would "
                "break when it is full), so leave allocation out"
            )
        if wanted.encryption and wanted.origin:
            yield f"{wanted.name}: only a file is encrypted while it is filled, and not a device"
        yield from self._there_faults(wanted)

    def _name_faults(self, name: str) -> t.Iterator[str]:
        mapped = len(lvm.mapped_name(self.name, name))
        longest = _LONGEST - len(self.name)
        if len(name) > longest or mapped > _LONGEST_MAPPED:
            yield (
                f"is too long: in volume group {self.name}, a volume's name has up to "
                f"{longest} characters, and each - counts twice where it makes the name of the "
                f"device longer than {_LONGEST_MAPPED}"
            )
        if name.startswith(UNFINISHED):
            yield f"names that begin with {UNFINISHED} are those of unfinished volumes"
        if name.startswith(_BEGINNINGS):
            yield f"LVM keeps names that begin with {' or '.join(_BEGINNINGS)} for itself"
        kept = [part for part in _PARTS if part in name]
        if kept:
            yield f"LVM keeps names with {kept[0]} in them for itself"

    def _there_faults(self, wanted: base.Wanted) -> t.Iterator[str]:
        """What is impossible about a volume that is there."""
        row = self.rows.get(wanted.name)
        if row is None:
            return
        if row["lv_active"] != "active" and wanted.permissions != Permissions():
            yield (
                f"{wanted.name}: is not active, so that it has no device which could get the "
                f"permissions; activate it with lvchange --activate y {self.name}/{wanted.name}, "
                "or leave them out"
            )
        size = wanted.capacity
        if size and size.free and self.layouts[row["lv_uuid"]].kind == "thin":
            yield (
                f"{wanted.name}: is a volume of a thin pool, which takes no room of the group of "
                "its own; write a capacity in bytes"
            )

    def cost(self, wanted: base.Wanted, capacity: int, allocation: int) -> int:
        return capacity

    def create(self, wanted: base.Wanted, capacity: int, allocation: int) -> Steps:
        group, name, source = self._there(), wanted.name, wanted.content
        if source or wanted.encryption:
            name = lvm.unfinished_name(self.mark, name)
        yield lvm.create_volume(group, self.members, name, capacity, self.mark)
        if source:
            said = wanted.origin.format if wanted.origin else ""
            how = content.onto(wanted.name, source, said, capacity)
            yield lvm.fill_volume(group, self.members, name, how, source.shown)
        elif wanted.encryption:
            yield lvm.encrypt_volume(group, self.members, name, wanted.encryption, capacity)
        if name != wanted.name:
            yield lvm.rename_volume(group, self.members, name, wanted.name)
        path = f"/dev/{self.name}/{wanted.name}"
        yield from files.permissions(path, wanted.permissions, Permissions())

    def header(self, wanted: base.Wanted) -> int:
        return luks.ROOM if wanted.encryption else 0

    def inspect(self, host: Reader, there: Volume, wanted: base.Wanted) -> Volume:
        if not wanted.encryption or not there.devices or not there.devices[0].number:
            return there
        header = host.head(there.path, unpack=False).header
        return replace(there, encryption=luks.seen(header, wanted.encryption))

    def unlock(self, seen: Volume) -> Steps:
        if seen.encryption:
            yield qemu_img.unlock_device(seen.devices[0], seen.encryption)

    def source(self, seen: Volume) -> Source:
        if not seen.devices or not seen.devices[0].number:
            raise Refused(
                f"Nothing was changed: {self.name}/{seen.name} has no device of its own to read "
                f"now. If it is inactive: lvchange --activate y {self.name}/{seen.name}."
            )
        return content.of_device(seen, seen.devices[0])

    def made(self, wanted: base.Wanted, capacity: int) -> Source:
        path = f"/dev/{self.name}/{wanted.name}"
        size = round_up(capacity, self.step(""))
        return content.new_device(wanted.name, path, size)

    def resizable(self, seen: Volume, capacity: int) -> None:
        row, kind = self.rows[seen.name], self.layouts[seen.key].kind
        name, roles = f"{self.name}/{seen.name}", row["lv_role"].split(",")
        fault = ""
        if lvm.pool_inside(row):
            fault = "is a pool in which other volumes live"
        elif "thicksnapshot" in roles:
            fault = f"is a snapshot, which is as large as {row['origin']}"
        elif "thickorigin" in roles:
            fault = "has snapshots, and LVM resizes no volume that has; remove them first"
        elif not kind.startswith(_RESIZED):
            fault = f"is a volume of the kind {kind}, which only LVM's own tools resize"
        if fault:
            raise Refused(
                f"Nothing was changed: {name} has {show(seen.capacity)}, {show(capacity)} are "
                f"wanted, and it {fault}. Write capacity: {show(seen.capacity)} to keep it."
            )

    def resize(self, seen: Volume, capacity: int) -> Steps:
        group = self._there()
        if capacity > seen.capacity:
            # What a thin volume gets holds nothing, and a read-only one cannot be written to.
            old = (
                self.layouts[seen.key].kind != "thin" and self.rows[seen.name]["lv_attr"][1] == "w"
            )
            yield lvm.extend_volume(group, self.members, seen, capacity, old)
        else:
            yield lvm.reduce_volume(group, self.members, seen, capacity, self.judges)

    def wipe(self, seen: Volume, algorithm: str) -> Steps:
        row, name = self.rows[seen.name], f"{self.name}/{seen.name}"
        fault = ""
        if row["lv_active"] != "active":
            fault = (
                "is not active, so that nothing of it can be reached; activate it with lvchange "
                f"--activate y {name}"
            )
        elif row["origin"]:
            fault = f"is a snapshot, and what it shows is that of {row['origin']}"
        elif self.layouts[seen.key].kind == "thin" and wipe.scrubs(algorithm):
            fault = (
                "is a thin volume, which would take all its size of its thin pool then; write "
                "wipe: zero or wipe: trim"
            )
        if fault:
            raise Refused(f"Nothing was changed: {name} is to be wiped, and {fault}.")
        if not lvm.pool_inside(row):
            yield lvm.wipe_volume(self._there(), self.members, seen, algorithm)

    def delete(self, seen: Volume) -> Steps:
        if lvm.pool_inside(self.rows[seen.name]):
            raise Refused(
                f"Nothing was changed: {self.name}/{seen.name} is a pool in which other volumes "
                f"live. Remove it with lvremove {self.name}/{seen.name}."
            )
        yield lvm.remove_volume(self._there(), self.members, seen)

    def leftovers(self) -> Steps:
        for left in self._leftovers:
            # Under its final name somebody may have put it to use, though its task failed.
            unnamed = left.name.startswith(f"{self.mark}-")
            risk = "" if unnamed or not any(map(self._used, left.devices)) else "delete"
            yield lvm.clear_volume(self._there(), self.members, left, risk)

    def _used(self, device: Device) -> bool:
        """Whether a device may hold more than a second table, which was there before."""
        return not device.number or bool(set(self._kinds.get(device.number, ())) - {"gpt"})


def layouts(group: lvm.Group) -> dict[str, Layout]:
    """How each volume grows, by its UUID: as the last of its segments."""
    return {row["lv_uuid"]: _layout(row) for row in group.segments}


def _layout(row: lvm.Row) -> Layout:
    kind, areas = row["segtype"], int(row["stripes"] or 1)
    if kind == "thin":
        return Layout(kind, 0, 0)
    if kind.startswith(("mirror", "raid1")) and not kind.startswith("raid10"):
        return Layout(kind, areas, 1)
    own = {"raid4": areas - 1, "raid5": areas - 1, "raid6": areas - 2, "raid10": areas // 2}
    return Layout(kind, areas, next((own[k] for k in own if kind.startswith(k)), areas))


def read(host: Reader, group: lvm.Group) -> list[Volume]:
    """The volumes of a group, thin pools among them, from what has been read of it."""
    segments: dict[str, list[lvm.Row]] = {}
    for row in group.segments:
        segments.setdefault(row["lv_uuid"], []).append(row)
    return [_volume(host, group, row, segments.get(row["lv_uuid"], [])) for row in group.volumes]


def _volume(host: Reader, group: lvm.Group, row: lvm.Row, segments: t.Sequence[lvm.Row]) -> Volume:
    active = row["lv_attr"][4] == "a"
    thin = row["lv_attr"][0] in _THIN
    path = f"/dev/{group.name}/{row['lv_name']}"
    node = host.node(path) if active else None
    size = int(row["lv_size"])
    origin = row["origin"]
    return Volume(
        name=row["lv_name"],
        path=path,
        key=row["lv_uuid"],
        type="block",
        format="thin-pool" if row["lv_attr"][0] == "t" else "",
        capacity=_node_size(host, row) or size,
        allocation=size,
        physical=size,
        permissions=node.permissions if node else Permissions(),
        timestamps=base.times(node) if node else (),
        backing_path=f"/dev/{group.name}/{origin}" if origin and origin[0] != "[" else "",
        extents=tuple(extent for segment in segments for extent in _extents(group, segment)),
        listed=active and not thin and not row["lv_name"].startswith(UNFINISHED),
        devices=lvm.devices_of(host, group, row),
    )


def _node_size(host: Reader, row: lvm.Row) -> int:
    """The size of the device: of a sparse volume or snapshot LVM tells the size of its store."""
    number = f"{row['lv_kernel_major']}:{row['lv_kernel_minor']}"
    return int(host.read(f"/sys/dev/block/{number}/size") or 0) * 512


def _extents(group: lvm.Group, segment: lvm.Row) -> t.Iterator[Extent]:
    for device, first in re.findall(r"([^,]+)\((\d+)\)", segment["devices"]):
        start = int(first) * group.extent_size
        yield Extent(device, start, start + int(segment["seg_size"]))
