# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes that are logical volumes of an LVM volume group."""

from __future__ import annotations

import re
import typing as t

from .._host import Reader
from .._model import Extent, Permissions, Refused, Volume
from .._plan import Steps
from .._tools import files, lvm
from . import base

_THIN_POOL, _THIN_VOLUME = "t", "V"  # the first character of lv_attr


class LogicalVolumes(base.Volumes):
    def __init__(self, name: str) -> None:
        self.name = name
        self.group: lvm.Group | None = None

    def look(self, host: Reader, users: bool = False) -> list[Volume]:
        self.group = lvm.look(host).named(self.name)
        return read(host, self.group) if self.group else []

    def room(self) -> base.Room:
        return base.Room(self.group.size, self.group.free) if self.group else base.Room(0, 0)

    def step(self, format: str) -> int:
        return self.group.extent_size if self.group else 1

    def faults(self, wanted: base.Wanted) -> t.Iterator[str]:
        if not re.fullmatch(r"(?!-)[A-Za-z0-9+_.-]+", wanted.name) or len(wanted.name) > 127:
            yield f"{wanted.name}: a logical volume's name has letters, digits and + _ . - only"
        if wanted.format not in ("", "raw"):
            yield f"{wanted.name}: a logical volume has no format, so leave format out"
        if wanted.allocation and wanted.allocation != wanted.capacity:
            yield (
                f"{wanted.name}: a logical volume takes all its space at once (a sparse one would "
                "break when it is full), so leave allocation out"
            )

    def cost(self, wanted: base.Wanted, capacity: int, allocation: int) -> int:
        return capacity

    def create(self, wanted: base.Wanted, capacity: int, allocation: int) -> Steps:
        yield lvm.create_volume(self.name, wanted.name, capacity)
        path = f"/dev/{self.name}/{wanted.name}"
        yield from files.permissions(path, wanted.permissions, Permissions())

    def resize(self, seen: Volume, capacity: int) -> Steps:
        if capacity > seen.capacity:
            yield lvm.extend_volume(self.name, seen.name, capacity)
        else:
            yield lvm.reduce_volume(self.name, seen.name, capacity)

    def delete(self, seen: Volume) -> Steps:
        if seen.format == "thin-pool":
            raise Refused(
                f"Nothing was changed: {self.name}/{seen.name} is a thin pool, in which other "
                f"volumes live. Remove it with lvremove {self.name}/{seen.name}."
            )
        yield lvm.remove_volume(self.name, seen.name)


def read(host: Reader, group: lvm.Group) -> list[Volume]:
    """The volumes of a group, thin pools among them, from what has been read of it."""
    segments: dict[str, list[lvm.Row]] = {}
    for row in group.segments:
        segments.setdefault(row["lv_uuid"], []).append(row)
    return [_volume(host, group, row, segments.get(row["lv_uuid"], [])) for row in group.volumes]


def _volume(host: Reader, group: lvm.Group, row: lvm.Row, segments: t.Sequence[lvm.Row]) -> Volume:
    active = row["lv_attr"][4] == "a"
    thin = row["lv_attr"][0] in (_THIN_POOL, _THIN_VOLUME)
    path = f"/dev/{group.name}/{row['lv_name']}"
    node = host.node(path) if active else None
    size = int(row["lv_size"])
    origin = row["origin"]
    return Volume(
        name=row["lv_name"],
        path=path,
        key=row["lv_uuid"],
        type="block",
        format="thin-pool" if row["lv_attr"][0] == _THIN_POOL else "",
        capacity=_node_size(host, row) or size,
        allocation=size,
        physical=size,
        permissions=node.permissions if node else Permissions(),
        timestamps=base.times(node) if node else (),
        backing_path=f"/dev/{group.name}/{origin}" if origin and origin[0] != "[" else "",
        extents=tuple(extent for segment in segments for extent in _extents(group, segment)),
        listed=active and not thin,
        users=("an open device",) if _open(row) else (),
    )


def thin_pool(row: lvm.Row) -> bool:
    """Whether a volume is a thin pool, which LVM itself keeps open."""
    return row["lv_attr"][0] == _THIN_POOL


def _open(row: lvm.Row) -> bool:
    # Of an inactive volume LVM says "unknown": it has no device that could be open.
    return bool(row["lv_active"] and row["lv_device_open"]) and not thin_pool(row)


def _node_size(host: Reader, row: lvm.Row) -> int:
    """The size of the device: of a sparse volume or snapshot LVM tells the size of its store."""
    number = f"{row['lv_kernel_major']}:{row['lv_kernel_minor']}"
    return int(host.read(f"/sys/dev/block/{number}/size") or 0) * 512


def _extents(group: lvm.Group, segment: lvm.Row) -> t.Iterator[Extent]:
    for device, first in re.findall(r"([^,]+)\((\d+)\)", segment["devices"]):
        start = int(first) * group.extent_size
        yield Extent(device, start, start + int(segment["seg_size"]))
