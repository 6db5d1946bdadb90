# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools that are LVM volume groups."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field, replace

from .. import _options, _size
from .._host import MIB, Reader
from .._model import Device, Offer, Pool, Seen, Volume
from .._plan import Steps
from .._tools import block, lvm
from .._volumes import lvkinds
from .._volumes.lvs import LogicalVolumes, read
from .base import Backend

if t.TYPE_CHECKING:
    from .._tools.partitions import Growth

_EXTENT = 4 * MIB  # where a task says nothing
_BEFORE_EXTENTS = MIB  # of a device, which is for LVM itself


@dataclass(frozen=True)
class SeenGroup(Seen):
    """``members`` are the devices of the group.

    ``named`` are those that the task names, by that name; ``None`` is one that is not there.
    ``sectors`` are the sizes of all their sectors, by number.  ``taken`` tells that something else
    has the place of the group in /dev.  ``unnamed`` are volumes that an interrupted run left.
    ``unfit`` are devices that LVM does not take, by path.
    ``roomy`` are devices of which LVM does not know how large they are by now, where the group is
    to fill them, and ``growths`` those that are partitions and can become larger.
    """

    group: lvm.Group | None = None
    members: tuple[Device, ...] = ()
    named: t.Mapping[str, Device | None] = field(default_factory=dict)
    sectors: t.Mapping[str, int] = field(default_factory=dict)
    taken: bool = False
    unnamed: tuple[Volume, ...] = ()
    unfit: tuple[str, ...] = ()
    roomy: tuple[str, ...] = ()
    growths: tuple[Growth, ...] = ()

    @property
    def added(self) -> list[Device]:
        """The devices that are to become members."""
        known = self.group.devices if self.group else ()
        return [device for device in self.named.values() if device and device.number not in known]


class Logical(Backend[SeenGroup]):
    type = "logical"
    options: t.ClassVar[_options.Spec] = {
        "devices": {"type": "list", "elements": "path"},
        "volume_group": {"type": "str"},
        "extent_size": {"type": "str"},
        **_options.GROW_TO_FILL,
    }

    @classmethod
    def define(cls, host: Reader, params: t.Mapping[str, t.Any], pool: Pool) -> Pool:
        group = _options.text(params, "volume_group", pool.source or pool.name)
        # libvirt compares devices with what pvs prints, which changes from boot to boot; without
        # any, it goes by the group's name.
        return replace(pool, source=group, path=f"/dev/{group}", format="lvm2")

    @classmethod
    def faults(cls, params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
        devices = params.get("devices")
        if isinstance(devices, list):
            for device in devices:
                yield from _options.path_text_faults(str(device), "devices")
            yield from (f"devices: {d} is named twice" for d in sorted(set(_twice(devices))))
        group = params.get("volume_group")
        key = "name" if group is None else "volume_group"
        group = params.get("name") if group is None else group
        if isinstance(group, str) and not re.fullmatch(
            r"(?!-|\.\.?$)[A-Za-z0-9+_.-]{1,127}", group
        ):
            yield (
                f"{key}: {group!r} cannot name a volume group: up to 127 letters, digits and "
                "+ _ . -, not beginning with -"
            )
        yield from _options.size_faults(params, "extent_size")
        yield from _extent_faults(params.get("extent_size"))

    def __init__(self, pool: Pool, given: t.Mapping[str, t.Any], kept: Pool | None = None) -> None:
        super().__init__(pool, given, kept)
        # The definition does not tell them, and LVM only those that are members.
        self._devices: tuple[str, ...] = tuple(given.get("devices") or ())
        self._fills = bool(given.get("grow_to_fill"))  # which is a question more

    def described(self, host: Reader, seen: SeenGroup | None) -> t.Mapping[str, t.Any]:
        pool, group = self.pool, seen.group if seen else None
        names = block.lasting(host)
        members = [names.get(each.number, each.path) for each in (seen.members if seen else ())]
        return {
            "devices": sorted(members) or list(pool.devices),
            "volume_group": _options.other(pool.source, pool.name),
            **(_extent(group) if group else {}),
            "autostart": True if group and group.autoactivation else None,
        }

    def sources(self, host: Reader, pool: Pool) -> frozenset[str]:
        return block.sources(host, pool, self._devices if pool is self.pool else ())

    @classmethod
    def offers(cls, host: Reader, params: t.Mapping[str, t.Any]) -> t.Iterator[Offer]:
        names = block.lasting(host)
        for group in lvm.look(host).groups.values():
            options: dict[str, t.Any] = {
                "name": group.name,
                "volume_group": group.name,
                "devices": sorted(names.get(*item) for item in group.devices.items()),
                **_extent(group),
            }
            if not group.autoactivation:
                options["autostart"] = False
            content = ", ".join(row["lv_name"] for row in group.volumes)
            error = f"it {group.barred}" if group.barred else ""
            yield Offer(cls.type, options, group.size, content, group.missing, error)

    def probe(self, host: Reader) -> SeenGroup:
        found = lvm.look(host)
        group = found.named(self.pool.source)
        seen = SeenGroup(
            state="missing",
            group=group,
            members=lvm.members(host, group) if group else (),
            named={path: block.find(host, path) for path in self._devices},
            taken=not group and self.pool.source in (host.names("/dev") or ()),
        )
        seen = self._new(host, found, seen) if seen.added else seen
        seen = self._with_room(host, found, seen) if self._fills else seen
        if not group:
            whole = seen.named and None not in seen.named.values()
            state = "missing" if not whole else "foreign" if seen.dirt else "blank"
            return replace(seen, state=state)
        volumes, mark = read(host, group), lvm.mark(host)
        unnamed = tuple(v for v in volumes if v.name.startswith(f"{mark}-"))
        return replace(
            seen,
            state="ready",
            active=_active(group),
            capacity=group.size,
            available=group.free,
            allocation=group.size - group.free,
            volumes=tuple(v for v in volumes if v not in unnamed),
            unnamed=unnamed,
            warnings=(*seen.warnings, *self._warnings(group, volumes)),
        )

    def _with_room(self, host: Reader, found: lvm.Found, seen: SeenGroup) -> SeenGroup:
        group = seen.group
        rooms = lvm.rooms(host, group) if group else {}
        extent = group.extent_size if group else 0
        prepared = [device.path for device in seen.added if device.number in found.orphans]
        devices = [*(device for device in seen.members if device.path in rooms), *seen.added]
        growths, warnings = self._growths(host, devices, extent)
        return replace(
            seen,
            roomy=(*(path for path, room in rooms.items() if room >= extent), *prepared),
            growths=growths,
            warnings=warnings,
        )

    def _growths(
        self, host: Reader, devices: t.Sequence[Device], extent: int
    ) -> tuple[tuple[Growth, ...], tuple[str, ...]]:
        if not self._fills or not any(device.partition for device in devices):
            return (), ()
        from .._tools import partitions  # only here, because it takes its time

        return partitions.growths(host, devices, max(block.LEAST_ROOM, extent), self.others)

    def foreseen(self, host: Reader) -> SeenGroup | None:
        devices = [block.find(host, path) for path in self._devices]
        members = tuple(device for device in devices if device)
        if not members or len(members) != len(devices):
            return None
        text = self.given.get("extent_size")
        extent = _size.parse(text).bytes if text else _EXTENT
        larger = {growth.device: growth.size for growth in self._growths(host, members, 0)[0]}
        sizes = {device.path: larger.get(device, device.size) for device in members}
        frees = {p: (size - _BEFORE_EXTENTS) // extent * extent for p, size in sizes.items()}
        size, name = sum(frees.values()), self.pool.source
        numbers = {device.number: device.path for device in members}
        group = lvm.Group("", name, size, size, extent, True, numbers, (), (), (), frees=frees)
        return SeenGroup(state="ready", capacity=size, available=size, group=group, members=members)

    def _new(self, host: Reader, found: lvm.Found, seen: SeenGroup) -> SeenGroup:
        """What can be told of devices that are no members."""
        named = {
            path: block.seen(host, device) if device in seen.added and device else device
            for path, device in seen.named.items()
        }
        seen = replace(seen, named=named)
        # A device that is prepared for LVM and in no group holds nothing.
        new = [d for d in seen.added if d.number not in found.orphans]
        dirt = block.dirt(host, new)
        blank = [d for d in new if d.path not in dirt or d.uuid.startswith("LVM-")]
        free = [d for d in blank if not host.names(f"{d.sysfs}/holders")]  # else that is told
        return replace(
            seen,
            dirt=dirt,
            unfit=lvm.unfit(host, free),
            sectors={d.number: block.sector(host, d) for d in (*seen.added, *seen.members)},
        )

    def _warnings(self, group: lvm.Group, volumes: t.Sequence[Volume]) -> t.Iterator[str]:
        for pv in group.missing:
            yield f"volume group {group.name} of pool {self.pool.name} is partial: {pv} is missing."
        if group.barred:
            yield f"volume group {group.name} of pool {self.pool.name} {group.barred}."
        kinds = {volume.name: volume.lvm for volume in volumes if volume.lvm}
        yield from lvkinds.warnings(group.name, kinds)

    def stored(self, seen: SeenGroup, stored: Pool | None) -> Pool:
        """Without devices that LVM calls otherwise by now, which libvirt would not find."""
        known = {device.path for device in seen.members} & set(self.pool.devices)
        return self.pool if known else replace(self.pool, devices=())

    def fit(self, seen: SeenGroup) -> None:
        for path, device in seen.named.items():
            if device is None:
                raise block.missing(path, self.pool.name)
        self._named_once(seen)
        if seen.group:
            self._whole(seen.group)
            self._keep_members(seen, seen.group)

    def _named_once(self, seen: SeenGroup) -> None:
        paths: dict[str, str] = {}
        for path, device in seen.named.items():
            other = paths.setdefault(device.number if device else path, path)
            if other != path:
                raise self.nothing(f"devices: {other} and {path} are one device. Name it once.")

    def _whole(self, group: lvm.Group) -> None:
        """Refuses a group that this host cannot change."""
        if group.barred:
            raise self.nothing(
                f"volume group {group.name} of pool {self.pool.name} {group.barred}, so that it is "
                "not to be used here. Name another group, or make it this host's with the tools of "
                "LVM."
            )
        if group.missing:
            raise self.nothing(
                f"volume group {group.name} of pool {self.pool.name} is partial: "
                f"{', '.join(group.missing)} is missing. Attach it, or repair the group with "
                "vgreduce --removemissing."
            )

    def _keep_members(self, seen: SeenGroup, group: lvm.Group) -> None:
        listed = {device.number for device in seen.named.values() if device}
        left = [device.path for device in seen.members if device.number not in listed]
        if left and listed:
            raise self.nothing(
                f"volume group {group.name} of pool {self.pool.name} lives on {', '.join(left)} "
                "too, which devices does not list. A group is never reduced by this module: list "
                f"it, or take it out yourself with pvmove and vgreduce {group.name}."
            )

    def build(self, seen: SeenGroup) -> Steps:
        group = self.pool.source
        if not seen.named:
            raise self.nothing(
                f"there is no volume group {group} for pool {self.pool.name}, and devices does not "
                "say what to make it of."
            )
        if seen.taken:
            raise self.nothing(
                f"LVM makes no volume group {group}, because something else is at /dev/{group}. "
                "Name another group with volume_group."
            )
        text = self.given.get("extent_size")
        size = _size.parse(text).bytes if text else 0
        self._suitable(seen, size or _EXTENT)
        yield from _wiped(seen)
        yield lvm.create_group(group, seen.added, size)
        yield from _fill(seen, group, "")

    def amend(self, seen: SeenGroup) -> Steps:
        group = seen.group
        if not group:
            return
        if seen.added:
            yield from self._extend(seen, group)
        yield from _fill(seen, group.name, group.uuid)

    def _extend(self, seen: SeenGroup, group: lvm.Group) -> Steps:
        self._suitable(seen, group.extent_size)
        most, count = group.most_devices, len(seen.members) + len(seen.added)
        if most and count > most:
            raise self.nothing(
                f"volume group {group.name} may have {most} devices, and would have {count}. "
                f"vgchange --maxphysicalvolumes 0 {group.name} takes the limit away."
            )
        yield from _wiped(seen)
        yield lvm.extend_group(group, seen.members, seen.added)

    def _suitable(self, seen: SeenGroup, extent: int) -> None:
        """Refuses devices that LVM would not take, or could use nothing of."""
        least = max(2 * MIB, _BEFORE_EXTENTS + extent)
        for device in seen.added:
            if device.size < least:
                raise self.nothing(
                    f"{device.path} has {_size.show(device.size)}, and a device of volume group "
                    f"{self.pool.source} needs {_size.show(least)} to have room for an extent of "
                    f"{_size.show(extent)}. Name a larger one."
                )
        by_size: dict[int, list[str]] = {}
        for device in (*seen.members, *seen.added):
            by_size.setdefault(seen.sectors[device.number], []).append(device.path)
        if len(by_size) > 1:
            told = ", and ".join(
                f"{size} on {', '.join(by_size[size])}" for size in sorted(by_size)
            )
            raise self.nothing(
                f"LVM joins no devices whose sectors differ in size: it is {told}. Name devices "
                "with sectors of one size."
            )
        if seen.unfit:
            raise self.nothing(
                f"LVM does not take {', '.join(seen.unfit)} for volume group {self.pool.source}. "
                "That is so where a device is a logical volume (devices/scan_lvs), and where a "
                "filter or the devices file hides it. Name another device, or let "
                "/etc/lvm/lvm.conf allow this one."
            )

    def start(self, seen: SeenGroup, daemon: bool) -> Steps:
        if seen.active is False and seen.group:
            yield lvm.activate(seen.group, seen.members)

    def stop(self, seen: SeenGroup, daemon: bool) -> Steps:
        group = seen.group
        if group and group.barred:
            self._whole(group)
        if group:
            volumes = [*seen.volumes, *seen.unnamed]
            devices = [device for volume in volumes for device in volume.devices]
            active, going = [d for d in devices if d.number], self.given.get("state") == "deleted"
            yield lvm.deactivate(group, seen.members, active, going)

    def boot(self, seen: SeenGroup, autostart: bool, daemon: bool) -> Steps:
        # LVM activates a group whenever its devices appear, libvirtd or not.
        group, wanted = seen.group, autostart
        if not group:
            if not wanted and not self.leaving:
                yield lvm.no_autoactivation(self.pool.source, seen.added)
        elif group.autoactivation != wanted and not group.barred and not group.missing:
            yield lvm.autoactivate(group, seen.members, wanted)

    def delete(self, seen: SeenGroup) -> Steps:
        if not seen.group:
            return
        self._whole(seen.group)
        # An active volume loses its device, and is claimed, when the pool is stopped before.
        volumes = {v.name: [d for d in v.devices if not d.number] for v in seen.volumes}
        for left in seen.unnamed:
            yield lvm.clear_volume(seen.group, seen.members, replace(left, devices=()), "")
        yield lvm.remove_group(seen.group, seen.members, volumes)
        for device in seen.members:
            yield lvm.release(device)
            yield block.zero_ends(device, f"blank both ends of {device.path}")

    def volumes(self) -> LogicalVolumes:
        return LogicalVolumes(self.pool.source)


def _extent(group: lvm.Group) -> dict[str, str]:
    """The size of the extents of a group as an option, where it is not the default."""
    other = group.extent_size != _EXTENT
    return {"extent_size": _size.show(group.extent_size)} if other else {}


def _active(group: lvm.Group) -> bool | None:
    """An empty group is as good as active, and cannot be stopped."""
    # A pool of volumes tells only where there is nothing in it.
    rows = [row for row in group.volumes if not lvm.pool_inside(row)] or group.volumes
    if any(row["lv_active"] == "active" for row in rows):
        return True
    # What was interrupted before it was activated tells nothing.
    return None if all(map(lvm.begun, rows)) else False


def _fill(seen: SeenGroup, name: str, uuid: str) -> Steps:
    """Lets a group fill its devices, which may have to become larger for that."""
    grown = [growth.device for growth in seen.growths]
    for growth in seen.growths:
        yield from growth.steps()
    devices = [*seen.members, *seen.added]
    paths = [each.path for each in devices if each in grown or each.path in seen.roomy]
    # Of those the step sees another size.
    devices = [replace(each, size=0) if each in grown else each for each in devices]
    if paths:
        yield lvm.resize_members(name, uuid, devices, paths)


def _wiped(seen: SeenGroup) -> Steps:
    for device in seen.added:
        if device.path in seen.dirt:
            yield from block.wipe(device, seen.dirt[device.path])


def _twice(items: t.Sequence[str]) -> t.Iterator[str]:
    return (item for number, item in enumerate(items) if item in items[:number])


def _extent_faults(text: t.Any) -> t.Iterator[str]:
    try:
        size = _size.parse(text) if isinstance(text, str) else None
    except ValueError:
        return
    if size and (size.relative or size.bytes < 1024 or size.bytes & (size.bytes - 1)):
        yield f"extent_size: {text!r} is not a power of two of at least 1 KiB"
