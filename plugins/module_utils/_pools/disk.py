# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools that are a disk, whose partitions are the volumes."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .. import _options
from .._host import Reader
from .._model import Device, Extent, Offer, Pool, Seen
from .._plan import Steps
from .._tools import block, fs, lvm, partitions
from .._volumes.partitions import MAPS, Partitions, folder, known, read
from .base import Backend

FORMATS = ["gpt", "dos", "dvh", "mac", "bsd", "pc98", "sun"]
# What wipefs may call a device that holds a partition table; it knows no bsd label.
_TABLES = {"gpt", "PMBR", "dos", "sgi", "mac", "sun", block.UNKNOWN}


@dataclass(frozen=True)
class SeenDisk(Seen):
    """``mapped`` tells that it is one of the device mapper's."""

    mapped: bool = False
    device: Device | None = None


class Disk(Backend[SeenDisk]):
    type = "disk"
    options: t.ClassVar[_options.Spec] = {
        "device": {"type": "path"},
        "format": {"type": "str", "choices": FORMATS},
        "path": {"type": "path"},
        "part_separator": {"type": "bool"},
    }
    required = ("device",)
    formatted = True

    @classmethod
    def define(cls, host: Reader, params: t.Mapping[str, t.Any], pool: Pool) -> Pool:
        return replace(
            pool,
            devices=pool.devices[:1] if params["device"] is None else (params["device"],),
            format=_options.text(params, "format", pool.format or "gpt"),
            path=_options.path(params, "path", pool.path or "/dev"),
            part_separator=_options.yes_no(params, "part_separator", pool.part_separator),
        )

    @classmethod
    def faults(cls, params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
        yield from _options.path_faults(params, "device")
        yield from _options.path_faults(params, "path")
        path = params.get("path")
        if isinstance(path, str) and path.startswith("/") and f"{path}/"[:5] != "/dev/":
            yield f"path: {path!r} is not below /dev, where partitions have their names"

    def sources(self, host: Reader, pool: Pool) -> frozenset[str]:
        return block.sources(host, pool)

    @property
    def _device(self) -> str:
        return self.pool.devices[0]

    @property
    def _label(self) -> str:
        """libvirt itself takes "unknown" for dos."""
        return "dos" if self.pool.format == "unknown" else self.pool.format

    @classmethod
    def offers(cls, host: Reader, params: t.Mapping[str, t.Any]) -> t.Iterator[Offer]:
        return block.offers(host, cls.type)

    def probe(self, host: Reader) -> SeenDisk:
        device = block.find(host, self._device)
        if device is None:
            return SeenDisk("missing")
        mounts = host.mounts()
        users = block.own_users(host, device, mounts)
        if users and not self.leaving:
            raise self.nothing(
                f"{self._device}, the device of pool {self.pool.name}, is {' and '.join(users)}."
            )
        if not self.leaving and block.holds_root(host, device, mounts):
            raise self.nothing(
                f"{self._device}, the device of pool {self.pool.name}, holds the root file system "
                "of this host. Name another device."
            )
        dirt = block.dirt(host, [device]).get(device.path, "")
        table = None
        if dirt and set(dirt.split(" and ")) <= _TABLES:
            table = partitions.look(host, device.path)
        if table and table.label == self._label:
            return self._ready(host, device, table)
        return self._unbuilt(host, device, dirt, table)

    def _ready(self, host: Reader, device: Device, table: partitions.Table) -> SeenDisk:
        kernel = known(host, device, table)
        volumes = tuple(read(host, self.pool, device, table, kernel))
        free = tuple(Extent(self._device, start, end) for start, end in table.free)
        deleting = self.given.get("state") == "deleted"
        return SeenDisk(
            state="ready",
            users=tuple(_users(host, device, kernel)) if deleting else (),
            capacity=max(extent[1] for extent in [*table.free, *map(_span, table.parts)]),
            available=sum(gap.end - gap.start for gap in free),
            allocation=sum(v.allocation for v in volumes if v.format != "extended"),
            volumes=volumes,
            free=free,
            mapped=folder(host, device) == MAPS,
            device=device,
        )

    def _unbuilt(
        self, host: Reader, device: Device, dirt: str, table: partitions.Table | None
    ) -> SeenDisk:
        kernel = known(host, device, table) if table else []
        users = [] if self.leaving else _users(host, device, kernel)
        if users:
            raise self.nothing(
                f"{self._device} is not a disk of pool {self.pool.name} yet, and in use: "
                f"{' and '.join(users)}. Name another device, or stop what uses it."
            )
        if table:
            inside = [part.path for part in kernel]
            dirt = f"a {table.label} partition table" + (
                f" with {', '.join(inside)}" if inside else ""
            )
        return SeenDisk(
            "foreign" if dirt else "blank", dirt={device.path: dirt} if dirt else {}, device=device
        )

    def build(self, seen: SeenDisk) -> Steps:
        if seen.state == "missing":
            raise block.missing(self._device, self.pool.name)
        for device in [seen.device] if seen.device and seen.dirt else []:
            yield from block.wipe(device, seen.dirt[device.path])
        yield partitions.make_label(self._device, self._label)
        yield partitions.settle()

    def delete(self, seen: SeenDisk) -> Steps:
        if seen.state != "ready" or not seen.device:
            return
        if seen.users:
            raise self.nothing(
                f"pool {self.pool.name} is in use: {', '.join(seen.users)}. Stop what uses it, "
                "then run the task again."
            )
        yield from self._empty(seen)
        # Both ends first: after wipefs alone, the rest of a table would be somebody's data.
        inside = seen.volumes and self._label not in partitions.TYPED
        text = f"wipe the partition table from {self._device}"
        yield block.zero_ends(seen.device, text, risk="delete" if inside else "")
        text = f"wipe what is left of the partition table from {self._device}"
        yield block.wipe_signatures(seen.device, text, risk="")
        yield partitions.settle()

    def _empty(self, seen: SeenDisk) -> Steps:
        """Takes away the partitions, where parted can: a mac table is one of its own."""
        if self._label not in partitions.TYPED:
            return
        # The last first, because the kernel moves up logical ones behind a gap.
        for number in sorted((volume.number for volume in seen.volumes), reverse=True):
            yield partitions.remove(self._device, number)
        if seen.mapped:
            yield partitions.unmap(self._device)
        if seen.volumes:
            yield partitions.settle()

    def volumes(self) -> Partitions:
        return Partitions(self.pool)


def _users(host: Reader, device: Device, kernel: t.Sequence[Device]) -> list[str]:
    """Who uses a disk or its partitions; a volume group that is not active shows only in LVM."""
    users = block.users(host, device, host.mounts())
    groups = lvm.look(host) if host.has("lvm") else lvm.NOTHING
    for each in (device, *kernel):
        group = groups.group_of(each.number)
        users += [f"{each.path} belongs to volume group {group.name}"] if group else []
    return users + fs.opened(host, [device])


def _span(part: partitions.Part) -> tuple[int, int]:
    return part.start, part.end
