# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools that are LVM volume groups."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from .. import _options, _size
from .._host import Reader
from .._model import Device, Offer, Pool, Seen
from .._plan import Steps
from .._tools import block, fs, lvm
from .._volumes.lvs import LogicalVolumes, read, thin_pool
from .base import Backend


@dataclass(frozen=True)
class SeenGroup(Seen):
    """``added`` are wanted devices that are not members yet; ``members`` as LVM spells them."""

    members: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    uuid: str = ""
    autoactivation: bool = True
    inside: tuple[str, ...] = ()


class Logical(Backend[SeenGroup]):
    type = "logical"
    options: t.ClassVar[_options.Spec] = {
        "devices": {"type": "list", "elements": "path"},
        "volume_group": {"type": "str"},
        "extent_size": {"type": "str"},
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

    def sources(self, host: Reader, pool: Pool) -> frozenset[str]:
        return block.sources(host, pool, self._devices if pool is self.pool else ())

    @classmethod
    def offers(cls, host: Reader, params: t.Mapping[str, t.Any]) -> t.Iterator[Offer]:
        for group in lvm.look(host).groups.values():
            options = {"volume_group": group.name, "devices": list(group.devices.values())}
            content = ", ".join(row["lv_name"] for row in group.volumes)
            error = f"it {group.barred}" if group.barred else ""
            yield Offer(cls.type, options, group.size, content, group.missing, error)

    def probe(self, host: Reader) -> SeenGroup:
        found = lvm.look(host)
        group = found.named(self.pool.source)
        wanted = [block.find(host, path) for path in self._devices]
        if group is None:
            return self._unbuilt(host, found, wanted)
        self._keep_members(group, wanted)
        new = [d for d in wanted if d and d.number not in group.devices]
        dirt = self._dirt(host, found, new)
        volumes = read(host, group)
        return SeenGroup(
            state="ready",
            active=_active(group),
            dirt=dirt,
            users=tuple(f"{group.name}/{each.name} is open" for each in volumes if each.users),
            capacity=group.size,
            available=group.free,
            allocation=group.size - group.free,
            volumes=tuple(volumes),
            warnings=tuple(
                f"volume group {group.name} of pool {self.pool.name} is partial: {pv} is missing."
                for pv in group.missing
            ),
            members=tuple(sorted(group.devices.values())),
            added=tuple(device.path for device in new),
            devices=(*new, *_members(host, group)),
            uuid=group.uuid,
            autoactivation=group.autoactivation,
            inside=tuple(volume.name for volume in volumes),
        )

    def stored(self, seen: SeenGroup, stored: Pool | None) -> Pool:
        """Without devices that LVM calls otherwise by now, which libvirt would not find."""
        known = set(self.pool.devices) & set(seen.members)
        return self.pool if known else replace(self.pool, devices=())

    @property
    def _devices(self) -> t.Sequence[str]:
        return () if self.leaving else self.given.get("devices") or ()

    def _keep_members(self, group: lvm.Group, wanted: t.Sequence[Device | None]) -> None:
        if group.barred and (not self.leaving or self.given["state"] == "deleted"):
            raise self.nothing(
                f"volume group {group.name} of pool {self.pool.name} {group.barred}, so that it is "
                "not to be used here. Name another group, or make it this host's with the tools of "
                "LVM."
            )
        if group.missing and (not self.leaving or self.given["state"] == "deleted"):
            raise self.nothing(
                f"volume group {group.name} of pool {self.pool.name} is partial: "
                f"{', '.join(group.missing)} is missing. Attach it, or repair the group with "
                "vgreduce --removemissing."
            )
        for path, device in zip(self._devices, wanted):
            if device is None:
                raise block.missing(path, self.pool.name)
        listed = {device.number for device in wanted if device}
        left = [name for number, name in sorted(group.devices.items()) if number not in listed]
        if left and self._devices:
            raise self.nothing(
                f"volume group {group.name} of pool {self.pool.name} lives on {', '.join(left)} "
                "too, which devices does not list. A group is never reduced by this module: list "
                f"it, or take it out yourself with pvmove and vgreduce {group.name}."
            )

    def _unbuilt(
        self,
        host: Reader,
        found: lvm.Found,
        wanted: t.Sequence[Device | None],
    ) -> SeenGroup:
        there = [device for device in wanted if device]
        dirt = self._dirt(host, found, there)
        state = "missing" if not wanted or None in wanted else "foreign" if dirt else "blank"
        return SeenGroup(
            state, dirt=dirt, added=tuple(device.path for device in there), devices=tuple(there)
        )

    def _dirt(
        self, host: Reader, found: lvm.Found, devices: t.Sequence[Device]
    ) -> t.Mapping[str, str]:
        """What is on devices that are to become members; what others use is refused."""
        mounts = host.mounts()
        for device in devices:
            group = found.group_of(device.number)
            if group:
                raise self.nothing(
                    f"{device.path} belongs to volume group {group.name}, not to "
                    f"{self.pool.source} of pool {self.pool.name}. Name another device."
                )
            users = block.users(host, device, mounts)
            if users:
                raise self.nothing(
                    f"{device.path}, which is to become part of pool {self.pool.name}, is "
                    f"{' and '.join(users)}."
                )
        fs.refuse_open(host, devices)
        # A device that is prepared for LVM and in no group holds nothing.
        return block.dirt(host, [d for d in devices if d.number not in found.orphans])

    def build(self, seen: SeenGroup) -> Steps:
        if not self._devices:
            raise self.nothing(
                f"there is no volume group {self.pool.source} for pool {self.pool.name}, and "
                "devices does not say what to make it of."
            )
        for path in self._devices:
            if path not in seen.added:
                raise block.missing(path, self.pool.name)
        yield from _wiped(seen)
        size = _size.parse(self.given["extent_size"]).bytes if self.given.get("extent_size") else 0
        yield lvm.create_group(self.pool.source, self._devices, size)

    def amend(self, seen: SeenGroup) -> Steps:
        if seen.added:
            yield from _wiped(seen)
            yield lvm.extend_group(self.pool.source, seen.added)

    def start(self, seen: SeenGroup, daemon: bool) -> Steps:
        if seen.active is False:
            yield lvm.activate(self.pool.source)

    def stop(self, seen: SeenGroup, daemon: bool) -> Steps:
        self._unused(seen)
        yield lvm.deactivate(self.pool.source)

    def _unused(self, seen: SeenGroup) -> None:
        if seen.users:
            raise self.nothing(
                f"pool {self.pool.name} is in use: {', '.join(seen.users)}. Stop what uses it, "
                "then run the task again."
            )

    def boot(self, seen: SeenGroup, autostart: bool, daemon: bool) -> Steps:
        # LVM activates a group whenever its devices appear, libvirtd or not.
        there = seen.state == "ready" or not self.leaving
        if there and seen.autoactivation != autostart:
            yield lvm.autoactivate(self.pool.source, autostart)

    def delete(self, seen: SeenGroup) -> Steps:
        if seen.state != "ready":
            return
        self._unused(seen)
        yield lvm.remove_group(self.pool.source, seen.uuid, seen.inside)
        for device in seen.devices:
            yield lvm.release(device.path)
            yield block.zero_ends(device, f"blank both ends of {device.path}")

    def volumes(self) -> LogicalVolumes:
        return LogicalVolumes(self.pool.source)


def _members(host: Reader, group: lvm.Group) -> t.Iterator[Device]:
    for number, path in sorted(group.devices.items(), key=lambda item: item[1]):
        yield block.known(host, path, number)


def _active(group: lvm.Group) -> bool | None:
    """An empty group is as good as active, and cannot be stopped."""
    if not group.volumes:
        return None
    return any(row["lv_active"] == "active" for row in group.volumes if not thin_pool(row))


def _wiped(seen: SeenGroup) -> Steps:
    for device in seen.devices:
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
