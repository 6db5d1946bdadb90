# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The room of a volume group, and how its volumes take it."""

from __future__ import annotations

import typing as t

from .._model import Lvm, Volume
from .._size import show
from .._tools import lvm
from . import base, lvkinds

# The kind of a wish, with what is known of what it is made in or of.
Resolve = t.Callable[[base.Wanted], Lvm]


class Layout(t.NamedTuple):
    """How a volume grows: by ``areas`` of one size on as many devices, ``own`` of them for data.

    A volume of a thin pool takes no area of the group.
    """

    kind: str = "linear"
    areas: int = 1
    own: int = 1


NEW = Layout()


class Space(base.Room):
    """The room of a group by device, because some volumes take as much of each of several.

    ``pools`` are the sizes of thin pools, and ``virtual`` what their volumes have together.
    """

    def __init__(self, group: lvm.Group, resolve: Resolve, volumes: t.Iterable[Volume]) -> None:
        super().__init__(group.size, sum(group.frees.values()))
        self.group = group
        self.resolve = resolve
        self.layouts = layouts(group)
        self.frees = dict(group.frees)
        self.count = len(group.volumes)
        # What removals give back, where only LVM's own parts of the volume tell on which device.
        self.somewhere = 0
        spare = (int(row["lv_size"]) for row in group.hidden if "spare" in row["lv_role"])
        self.spare = max(spare, default=0)  # for the repair of the largest metadata of a thin pool
        self.pools: dict[str, int] = {}
        self.virtual: dict[str, int] = {}
        for volume in volumes:
            self._count(volume.name, volume.lvm or Lvm(), volume.capacity)

    def _count(self, name: str, kind: Lvm, count: int) -> None:
        if kind.type == "thin-pool":
            self.pools[name] = self.pools.get(name, 0) + count
        elif kind.thin_pool:
            self.virtual[kind.thin_pool] = self.virtual.get(kind.thin_pool, 0) + count

    def free_for(self, wanted: base.Wanted, there: Volume | None) -> int:
        layout, step = self._layout(wanted, there), self.group.extent_size
        most = self._largest(layout.areas)
        low, high = 0, most // step
        while low < high:
            size = (low + high + 1) // 2 * step
            fits = size + self._besides(size * layout.own, wanted, there) <= most
            low, high = (size // step, high) if fits else (low, size // step - 1)
        return low * step * layout.own

    def _layout(self, wanted: base.Wanted, there: Volume | None) -> Layout:
        if there:
            return self.layouts.get(there.key, NEW)
        return layout(self.resolve(wanted))

    def _besides(self, size: int, wanted: base.Wanted, there: Volume | None) -> int:
        """What a volume takes of each device besides, of which a guest sees nothing."""
        step, wish = self.group.extent_size, self.resolve(wanted)
        if wish.type == "thin-pool" and (wish.metadata_size or not there):
            own = there.lvm.metadata_size if there and there.lvm else 0
            most = max(own, lvkinds.metadata(wish, size, step)[1])
            return most - own + max(0, most - self.spare)
        return step if wish.type == "raid1" and not there else 0

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
        layout = self._layout(wanted, there)
        besides = self._besides(count, wanted, there)
        area = count // max(1, layout.own) + besides
        free = self._largest(layout.areas)
        if layout.areas and area > free:
            where = f" for it, on each of {layout.areas} devices" if layout.areas > 1 else ""
            what = f" with the {show(besides)} that LVM needs besides" if besides else ""
            has = max(0, free - besides) * layout.own + besides
            return f"takes {show(count + besides)}{what}, and the pool has {show(has)} free{where}"
        self.count += there is None
        if self.group.most_volumes and self.count > self.group.most_volumes:
            return f"is one more than the {self.group.most_volumes} volumes that the group may have"
        self._use(area, layout.areas)
        wish = self.resolve(wanted)
        if wish.type == "thin-pool" and besides:
            self.spare = max(self.spare, lvkinds.metadata(wish, count, self.group.extent_size)[1])
        return self._virtual(count, wanted, there)

    def _virtual(self, count: int, wanted: base.Wanted, there: Volume | None) -> str:
        """Counts what guests see of thin pools; says where that is more than there is."""
        kind = there.lvm if there and there.lvm else self.resolve(wanted)
        self._count(wanted.name, kind, count)
        name, overcommit = kind.thin_pool, bool(wanted.lvm and wanted.lvm.overcommit)
        size, virtual = self.pools.get(name, 0), self.virtual.get(name, 0)
        if name not in self.pools or count <= 0 or overcommit or virtual <= size:
            return ""
        return (
            f"makes the volumes of thin pool {name} {show(virtual)} together, and it has "
            f"{show(size)}; they fail when it is full. Consent with lvm.overcommit: true"
        )

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
        kind = gone.lvm or Lvm()
        self._count(gone.name, kind, -gone.capacity)
        here = [extent for extent in gone.extents if extent.device in self.frees]
        for extent in here:
            self.frees[extent.device] += extent.end - extent.start
        if not here and self.layouts.get(gone.key, NEW).areas:
            self.somewhere += gone.allocation + kind.metadata_size


def layout(kind: Lvm) -> Layout:
    """How a new volume takes room."""
    if kind.type == "thin" or kind.thin_pool:
        return Layout("thin", 0, 0)
    if kind.type == "striped":
        return Layout(kind.type, kind.stripes, kind.stripes)
    return Layout(kind.type, kind.mirrors + 1, 1) if kind.type == "raid1" else NEW


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
