# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes that are logical volumes of an LVM volume group."""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

from .._host import Reader
from .._model import (
    UNFINISHED,
    Device,
    Extent,
    Filling,
    Lvm,
    Permissions,
    Refused,
    Seen,
    Source,
    Volume,
)
from .._plan import Steps
from .._size import round_up, show
from .._tools import block, files, luks, lvm, qemu_img, wipe
from . import base, content, lvkinds
from .lvspace import NEW, Layout, Space, layout, layouts

_THIN = ("t", "V")  # the first character of lv_attr: a thin pool, a volume of one
_LONGEST_MAPPED = 127  # device mapper's names
_LONGEST = 124  # LVM's, of a group and a volume together
_BEGINNINGS = ("snapshot", "pvmove")
# Names of what LVM makes for itself have such a part.
_PARTS = (
    *("_cdata", "_cmeta", "_corig", "_cpool", "_cvol", "_imeta", "_iorig", "_mimage", "_mlog"),
    *("_pmspare", "_rimage", "_rmeta", "_tdata", "_tmeta", "_vdata", "_vorigin", "_wcorig"),
)


_RESIZED = ("linear", "striped", "mirror", "thin", "raid0", "raid1", "raid4", "raid5", "raid6")
# What the tools for thin pools are known by, which LVM itself runs.


class LogicalVolumes(base.Volumes):
    """``judges`` tells whether LVM cuts off the end of a volume only where it holds nothing.

    ``kinds`` are those of the volumes that are there, by name, and ``wishes`` those of the task.
    """

    logical = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.group: lvm.Group | None = None
        self.members: tuple[Device, ...] = ()
        self.rows: dict[str, lvm.Row] = {}
        self.layouts: dict[str, Layout] = {}
        self.judges = False
        self.mark = ""
        self.seen: dict[str, Volume] = {}
        self.kinds: dict[str, Lvm] = {}
        self.wishes: dict[str, base.Wanted] = {}
        self._leftovers: list[Volume] = []
        self._begun: list[Volume] = []
        self._kinds: t.Mapping[str, t.Collection[str]] = {}
        self._empty: t.Collection[str] = ()

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
        unfinished = [v for v in found if lvm.unfinished(self.rows[v.name], self.mark)]
        self._begun = [v for v in unfinished if self._has_all(v)]
        self._leftovers = [v for v in unfinished if v not in self._begun]
        active = [each for v in self._leftovers for each in v.devices if each.number]
        self._kinds = block.kinds(host, active)
        idle = [v for v in self._leftovers if not any(each.number for each in v.devices)]
        starts = lvm.starts(host, self.group) if idle else {}
        places = {v.name: _place(v, starts) for v in idle}
        self._empty = {n for n, place in places.items() if place and not block.holds(host, place)}
        whole = [volume for volume in found if volume not in self._leftovers]
        self.seen = {volume.name: volume for volume in whole}
        self.kinds = {volume.name: volume.lvm or Lvm() for volume in whole}
        return whole

    def foresee(self, host: Reader, seen: Seen) -> None:
        self.group, self.members = getattr(seen, "group", None), getattr(seen, "members", ())
        self.mark = lvm.mark(host)

    def ordered(self, wanted: t.Sequence[base.Wanted]) -> list[base.Wanted]:
        self.wishes = {wish.name: wish for wish in wanted}
        return base.behind(wanted, self._needs)

    def _needs(self, wish: base.Wanted) -> tuple[str, ...]:
        """The volumes that a wish is made in or of."""
        kind, content = self.kinds.get(wish.name) or self._resolved(wish), wish.origin
        return kind.thin_pool, kind.origin, content.volume if content else ""

    def warnings(self) -> t.Iterator[str]:
        return lvkinds.warnings(self.name, self.kinds)

    def _kind(self, name: str, above: t.Sequence[str] = ()) -> Lvm | None:
        """What a volume is or will be, which another one is to be made in or of."""
        wish = self.wishes.get(name)
        if name in self.kinds:
            return self.kinds[name] if wish is None or wish.present else None
        return self._resolved(wish, above) if wish and wish.present else None

    def _resolved(self, wanted: base.Wanted, above: t.Sequence[str] = ()) -> Lvm:
        """The kind of a wish, as far as that is known; a thin snapshot is where its origin is.

        ``above`` are snapshots that are wanted of it, so that a circle of them ends.
        """
        wish = lvkinds.whole(wanted.lvm or Lvm())
        if wish.type != "snapshot" or wish.origin in above:
            return wish
        origin = self._kind(wish.origin, (*above, wanted.name)) or Lvm()
        return replace(wish, thin_pool=origin.thin_pool)

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
        there = [*self.seen.values(), *self._leftovers]
        space = Space(self.group, self._resolved, there)
        for left in self._leftovers:
            space.give(left)
        return space

    def step(self, format: str) -> int:
        return self.group.extent_size if self.group else 1

    def grain(self, there: Volume | None, wanted: base.Wanted) -> int:
        wish = self._resolved(wanted)
        own = self.layouts.get(there.key, NEW).own if there else max(1, wish.stripes)
        return self.step("") * max(1, own)

    def devices(self, name: str) -> t.Sequence[str]:
        return f"/dev/{self.name}/{name}", f"/dev/mapper/{lvm.mapped_name(self.name, name)}"

    def blank(self, wanted: base.Wanted) -> bool:
        kind = self._resolved(wanted).type
        return kind not in ("snapshot", "thin-pool") and super().blank(wanted)

    def implied(self, wanted: base.Wanted) -> int:
        names = [wanted.name]
        while wanted.lvm and wanted.lvm.type == "snapshot":
            names.append(wanted.lvm.origin)
            there, other = self.seen.get(names[-1]), self.wishes.get(names[-1])
            if other and other.capacity and other.capacity.bytes:
                return round_up(self.takes(other), self.step(""))
            if there:
                return there.capacity
            if names[-1] in names[:-1] or other is None:
                return 0
            wanted = other
        return super().implied(wanted)

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
        yield from self._there_faults(wanted)
        there = self.kinds.get(name)
        kind = there or self._resolved(wanted)
        sized = kind.type == "snapshot" and not (there and kind.thin_pool)
        if wanted.allocation and wanted.allocation != wanted.capacity and not sized:
            yield (
                f"{name}: a logical volume takes all its space at once, or of its thin pool as it "
                "fills, so leave allocation out"
            )
        if there and wanted.lvm:
            for fault in lvkinds.differences(wanted.lvm, there):
                yield f"{name}: {fault}. Leave lvm out to keep it, or remove it with state: absent"
        elif not there and wanted.lvm:
            yield from (f"{name}: {fault}" for fault in self._new_faults(wanted, kind))

    def _new_faults(self, wanted: base.Wanted, kind: Lvm) -> t.Iterator[str]:
        """What is impossible about a volume of some kind that is to be made."""
        if wanted.encryption and kind.type in ("snapshot", "thin-pool"):
            yield f"is a {kind.type}, which is not encrypted by itself"
        areas, devices = layout(kind).areas, len(self.group.frees if self.group else ())
        if areas > devices:
            yield f"lies on {areas} devices, and the group has {devices} to use"
        if kind.type == "snapshot":
            yield from self._snapshot_faults(wanted, kind)
        if kind.type == "thin":
            pool = self._kind(kind.thin_pool)
            if pool is None or pool.type != "thin-pool":
                yield f"lvm.thin_pool {kind.thin_pool} is {_what(pool)}, and a thin-pool is needed"

    def _snapshot_faults(self, wanted: base.Wanted, kind: Lvm) -> t.Iterator[str]:
        origin = None if kind.origin == wanted.name else self._kind(kind.origin)
        if origin is None or origin.type == "thin-pool":
            yield f"lvm.origin {kind.origin} is {_what(origin)}, of which there is no snapshot"
        elif origin.type == "snapshot" and not origin.thin_pool:
            yield f"lvm.origin {kind.origin} is a snapshot itself, of which LVM makes none"
        elif bool(wanted.allocation) == bool(kind.thin_pool):
            way = "leave allocation out" if kind.thin_pool else "write as allocation how much"
            what = "takes of its thin pool" if kind.thin_pool else "needs room for what changes"
            yield f"is a snapshot that {what}, so {way}"
        own, size = self.implied(wanted), wanted.capacity
        if size and own and (size.bytes < own or (size.bytes > own and not kind.thin_pool)):
            yield f"is a snapshot of {show(own)}, the size of {kind.origin}, so leave capacity out"

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
        inactive = row["lv_active"] != "active" and wanted.name not in {v.name for v in self._begun}
        if inactive and wanted.permissions != Permissions():
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
        kind = self._resolved(wanted)
        store = kind.type == "snapshot" and not kind.thin_pool
        return round_up(allocation, self.step("")) if store else capacity

    def more(self, wanted: base.Wanted, there: Volume, capacity: int, allocation: int) -> int:
        if _store(there):
            return max(0, round_up(allocation, self.step("")) - there.allocation)
        return capacity - there.capacity

    def create(self, wanted: base.Wanted, capacity: int, allocation: int) -> Steps:
        group, kind, name = self._there(), self._resolved(wanted), wanted.name
        self._writable(name, kind)
        size = round_up(allocation, group.extent_size) if allocation else capacity
        if kind.type == "thin-pool":
            chunk, room = lvkinds.metadata(kind, capacity, group.extent_size)
            kind = replace(kind, chunk_size=chunk, metadata_size=room)
        if wanted.content or wanted.encryption:
            name = lvm.unfinished_name(self.mark, name)
        yield lvm.create_volume(group, self.members, name, size, self.mark, kind)
        yield from self._filled(wanted, name, capacity)
        if kind.type == "snapshot" and capacity > self.implied(wanted):
            yield lvm.extend_new_volume(group, self.members, name, capacity)
        path = f"/dev/{self.name}/{wanted.name}"
        yield from files.permissions(path, wanted.permissions, Permissions())

    def _filled(self, wanted: base.Wanted, name: str, capacity: int) -> Steps:
        """Fills a volume under an unfinished name, and gives it its own."""
        group, source = self._there(), wanted.content
        if source:
            how = self._filling(wanted, source, capacity, new=True)
            yield lvm.fill_volume(group, self.members, name, how, source.shown)
        elif wanted.encryption:
            yield lvm.encrypt_volume(group, self.members, name, wanted.encryption, capacity)
        if name != wanted.name:
            yield lvm.rename_volume(group, self.members, name, wanted.name)

    def _filling(self, wanted: base.Wanted, source: Source, capacity: int, new: bool) -> Filling:
        said = wanted.origin.format if wanted.origin else ""
        kind = self._resolved(wanted)
        pool = self.rows.get(kind.thin_pool) if kind.type == "thin" else None
        # A pool that does not clear what it gives away has the eighth letter otherwise.
        blank = new and pool is not None and pool["lv_attr"][7:8] == "z"
        return content.onto(wanted.name, source, said, capacity, blank, wanted.encryption)

    def _writable(self, name: str, kind: Lvm) -> None:
        """Refuses to fill a thin pool that is full; one that grows in the same task is not."""
        pool, grows = self.kinds.get(kind.thin_pool), self.wishes.get(kind.thin_pool)
        fault = lvkinds.stuck(pool) if pool else ""
        if fault and pool and (pool.check or not (grows and grows.capacity)):
            raise Refused(
                f"Nothing was changed: volume {name} cannot get anything of thin pool "
                f"{kind.thin_pool}, because {fault}. Make that good first."
            )

    def amend(self, seen: Volume, wanted: base.Wanted) -> Steps:
        group, kind = self._there(), seen.lvm or Lvm()
        size = round_up(wanted.lvm.metadata_size if wanted.lvm else 0, group.extent_size)
        if kind.type == "thin-pool" and size > kind.metadata_size:
            yield lvm.extend_metadata(group, self.members, seen.name, size)

    def allocate(self, seen: Volume, allocation: int) -> Steps:
        size = round_up(allocation, self.step(""))
        if _store(seen) and size > seen.allocation:
            yield lvm.extend_volume(self._there(), self.members, seen, size, blanking=False)

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

    def overwrite(self, wanted: base.Wanted, content: Source, seen: Volume, capacity: int) -> Steps:
        group, how = self._there(), self._filling(wanted, content, capacity, new=False)
        yield lvm.refill_volume(group, self.members, seen, how)

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

    def described(self, there: Volume) -> dict[str, t.Any] | None:
        kind = there.lvm
        pool = kind and kind.type == "thin-pool"
        if not (there.active or pool) or there.begun:
            return None
        told = lvkinds.described(kind) if kind else {}
        if told is None:
            return None
        store = {"allocation": show(there.allocation)} if _store(there) else {}
        sized = {} if store else {"capacity": show(there.capacity)}
        return {"name": there.name, **sized, **store, **({"lvm": told} if told else {})}

    def resizable(self, seen: Volume, capacity: int) -> None:
        row, kind = self.rows[seen.name], self.layouts[seen.key].kind
        name, roles = f"{self.name}/{seen.name}", row["lv_role"].split(",")
        fault = ""
        if lvm.pool_inside(row) and kind != "thin-pool":
            fault = "is a pool in which other volumes live"
        elif kind == "thin-pool" and capacity < seen.capacity:
            fault = "is a thin pool, which LVM makes no smaller"
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
            self._writable(seen.name, seen.lvm or Lvm())
            # What a thin volume gets holds nothing, and a read-only one cannot be written to.
            old = (
                not self.layouts[seen.key].kind.startswith("thin")
                and self.rows[seen.name]["lv_attr"][1] == "w"
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
        kind = self.layouts[seen.key].kind
        if lvm.pool_inside(self.rows[seen.name]) and kind != "thin-pool":
            raise Refused(
                f"Nothing was changed: {self.name}/{seen.name} is a pool in which other volumes "
                f"live. Remove it with lvremove {self.name}/{seen.name}."
            )
        yield lvm.remove_volume(self._there(), self.members, seen)

    def _has_all(self, volume: Volume) -> bool:
        """Whether a volume that is not finished need not be made anew."""
        kind, row = volume.lvm, self.rows[volume.name]
        if kind is None or lvm.blanked(kind) or volume.name.startswith(f"{self.mark}-"):
            return False
        # LVM cannot activate a pool that it has not finished, in which there can be nothing.
        full = any(other["pool_lv"] == volume.name for other in self.rows.values())
        return kind.type != "thin-pool" or row["lv_active"] == "active" or full

    def leftovers(self) -> Steps:
        loose: list[str] = []
        for begun in self._begun if not self.foretold else ():
            group, active = self._there(), self.rows[begun.name]["lv_active"] == "active"
            # The first volume takes its pool along.
            parts = [part for part in lvm.loose(group, begun) if part not in loose]
            loose += parts
            yield lvm.finish_volume(group, self.members, begun, self.mark, active, parts)
        for left in self._leftovers if not self.foretold else ():
            # Under its final name somebody may have put it to use, though its task failed.
            blank = left.name.startswith(f"{self.mark}-") or left.name in self._empty
            risk = "" if blank or not any(map(self._used, left.devices)) else "delete"
            yield lvm.clear_volume(self._there(), self.members, left, risk)

    def _used(self, device: Device) -> bool:
        """Whether a device may hold more than a second table, which was there before."""
        return not device.number or bool(set(self._kinds.get(device.number, ())) - {"gpt"})


def _what(kind: Lvm | None) -> str:
    return f"of the type {kind.type}" if kind else "not there, or goes"


def _store(there: Volume) -> bool:
    """Whether a volume is a snapshot with a store of its own for what changes."""
    return bool(there.lvm and there.lvm.type == "snapshot" and not there.lvm.thin_pool)


def read(host: Reader, group: lvm.Group) -> list[Volume]:
    """The volumes of a group, thin pools among them, from what has been read of it."""
    if any(map(lvm.begun, group.volumes)):
        # Nobody has waited for udev there, which may just be making the names of its device.
        host.ask("udevadm", "settle")
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
        # A thin snapshot needs its origin no more.
        backing_path=f"/dev/{group.name}/{origin}"
        if origin and origin[0] != "[" and not thin
        else "",
        lvm=lvkinds.read(row, segments[-1]) if segments else None,
        extents=tuple(extent for segment in segments for extent in _extents(group, segment)),
        listed=active and not thin and not row["lv_name"].startswith(UNFINISHED),
        begun=lvm.begun(row),
        devices=lvm.devices_of(host, group, row),
    )


def _place(volume: Volume, starts: t.Mapping[str, int]) -> Extent | None:
    """Where a volume lies, also one that is not active; ``None`` where it is in pieces."""
    [piece] = volume.extents if len(volume.extents) == 1 else [Extent("", 0, 0)]
    start, whole = starts.get(piece.device), piece.end - piece.start == volume.capacity
    if start is None or not whole:
        return None
    return Extent(piece.device, start + piece.start, start + piece.end)


def _node_size(host: Reader, row: lvm.Row) -> int:
    """The size of the device: of a sparse volume or snapshot LVM tells the size of its store."""
    number = f"{row['lv_kernel_major']}:{row['lv_kernel_minor']}"
    return int(host.read(f"/sys/dev/block/{number}/size") or 0) * 512


def _extents(group: lvm.Group, segment: lvm.Row) -> t.Iterator[Extent]:
    for device, first in re.findall(r"([^,]+)\((\d+)\)", segment["devices"]):
        start = int(first) * group.extent_size
        yield Extent(device, start, start + int(segment["seg_size"]))
