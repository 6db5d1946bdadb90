# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools that are a disk, whose partitions are the volumes."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .. import _options
from .._host import MIB, Reader
from .._model import Device, Extent, Offer, Pool, Seen, Volume
from .._plan import Steps, member_use
from .._size import show
from .._tools import block, partitions
from .._volumes.partitions import MAPS, Partitions, folder, known, read
from .base import Backend

FORMATS = ["gpt", "dos", "dvh", "mac", "bsd", "pc98", "sun"]
# What wipefs may call a device that holds a partition table; it knows no bsd label.
_TABLES = {"gpt", "PMBR", "dos", "sgi", "mac", "sun", block.UNKNOWN}

# The formats of tables as wipefs calls them, but for the default.
_LABELS = {"dos": "dos", "sgi": "dvh", "mac": "mac", "sun": "sun"}

_SMALLEST = 2 * MIB  # of which partitions can have one


@dataclass(frozen=True)
class SeenDisk(Seen):
    """``kernel`` are the partitions that the kernel knows, ``hidden`` those that it does not.

    ``mapped`` tells that the disk is one of the device mapper's, ``root`` that the root file system
    is on it, through whatever lies between.  ``inner`` are the kinds of signatures that seem to be
    the disk's and are in partitions, where guests can write them.
    """

    mapped: bool = False
    root: bool = False
    device: Device | None = None
    kernel: tuple[Device, ...] = ()
    hidden: tuple[str, ...] = ()
    inner: frozenset[str] = frozenset()


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
            format=_format(params, pool),
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

    def described(self, host: Reader, seen: SeenDisk | None) -> t.Mapping[str, t.Any]:
        pool = self.pool
        return {
            "device": pool.devices[0] if pool.devices else "",
            "format": _options.other(self._label, "gpt"),
            "path": _options.other(pool.path, "/dev"),
            "part_separator": _options.flag(pool.part_separator),
        }

    def sources(self, host: Reader, pool: Pool) -> frozenset[str]:
        return block.sources(host, pool)

    @property
    def _device(self) -> str:
        return self.pool.devices[0]

    @property
    def _label(self) -> str:
        return _label(self.pool.format)

    @classmethod
    def offers(cls, host: Reader, params: t.Mapping[str, t.Any]) -> t.Iterator[Offer]:
        for offer in block.offers(host, cls.type):
            label = _LABELS.get(offer.content)
            more = {"format": label} if label else {}
            yield replace(offer, options={**offer.options, **more})

    def probe(self, host: Reader) -> SeenDisk:
        device = block.find(host, self._device)
        if device is None:
            return SeenDisk("missing")
        device = block.seen(host, device)
        dirt = block.dirt(host, [device]).get(device.path, "")
        known = self._registered(host, device)
        table = None
        # What a guest has written into a partition may look as if the disk were something else.
        if known or (dirt and set(dirt.split(" and ")) <= _TABLES):
            table = partitions.look(host, device)
        if table and table.label == self._label:
            return self._ready(host, device, table)
        return self._unbuilt(host, device, dirt, table)

    def _registered(self, host: Reader, device: Device) -> bool:
        """Whether this disk is the one of the definition that is kept, by whatever name."""
        devices = self.kept.devices[:1] if self.kept else ()
        return any(block.number(host, path) == device.number for path in devices)

    def _ready(self, host: Reader, device: Device, table: partitions.Table) -> SeenDisk:
        kernel = known(host, device, table)
        volumes = tuple(read(host, self.pool, device, table, kernel))
        free = tuple(Extent(self._device, start, end) for start, end in table.free)
        return SeenDisk(
            state="ready",
            capacity=max(extent[1] for extent in [*table.free, *map(_span, table.parts)]),
            available=sum(gap.end - gap.start for gap in free),
            allocation=sum(v.allocation for v in volumes if v.format != "extended"),
            volumes=volumes,
            free=free,
            mapped=folder(host, device) == MAPS,
            root=_holds_root(host, device),
            device=device,
            kernel=tuple(kernel),
            inner=frozenset(_inner(host, device, table)),
            hidden=tuple(_hidden(table, volumes, kernel)),
        )

    def _unbuilt(
        self, host: Reader, device: Device, dirt: str, table: partitions.Table | None
    ) -> SeenDisk:
        if table:
            inside = [part.path for part in known(host, device, table)]
            dirt = f"a {table.label} partition table" + (
                f" with {', '.join(inside)}" if inside else ""
            )
        # Such a table is a partition of itself.
        mac = self._label == "mac" and not partitions.kernel_knows(host, "mac")
        return SeenDisk(
            "foreign" if dirt else "blank",
            dirt={device.path: dirt} if dirt else {},
            device=device,
            hidden=("the table itself",) if mac else (),
        )

    def foreseen(self, host: Reader) -> SeenDisk | None:
        device = block.find(host, self._device)
        if device is None or not partitions.fresh(device, self._label, block.sector(host, device)):
            return None
        return SeenDisk(state="ready", device=device, mapped=folder(host, device) == MAPS)

    def fit(self, seen: SeenDisk) -> None:
        if seen.root:
            raise self.nothing(
                f"{self._device}, the device of pool {self.pool.name}, holds the root file system "
                "of this host. Name another device."
            )

    def amend(self, seen: SeenDisk) -> Steps:
        if not self.kept and seen.device:
            yield partitions.settle(seen.device)

    def build(self, seen: SeenDisk) -> Steps:
        device = seen.device
        if device is None:
            raise block.missing(self._device, self.pool.name)
        if device.size < _SMALLEST:
            raise self.nothing(
                f"{self._device} has {show(device.size)}, and a disk with a partition table needs "
                f"{show(_SMALLEST)}. Name a larger one."
            )
        if seen.dirt:
            yield from block.wipe(device, seen.dirt[device.path])
        yield partitions.make_label(device, self._label)
        yield partitions.settle()

    def boot(self, seen: SeenDisk, autostart: bool, daemon: bool) -> Steps:
        if daemon and seen.hidden and not self.leaving:
            raise self.nothing(
                f"libvirt could not start pool {self.pool.name}, because the kernel of this host "
                f"knows no {self._label} tables and has no device for {', '.join(seen.hidden)}. "
                "Name another format."
            )
        return iter(())

    def delete(self, seen: SeenDisk) -> Steps:
        if seen.state != "ready" or not seen.device:
            return
        yield from self._empty(seen, seen.device)
        # Both ends first: after wipefs alone, the rest of a table would be somebody's data.
        inside = seen.volumes and self._label not in partitions.TYPED
        text = f"wipe the partition table from {self._device}"
        frees = frozenset(member_use(seen.device.number, kind) for kind in seen.inner)
        zero = block.zero_ends(seen.device, text, risk="delete" if inside else "")
        yield replace(zero, frees=frees)
        text = f"wipe what is left of the partition table from {self._device}"
        yield block.wipe_signatures(seen.device, text, risk="")
        yield partitions.settle()

    def _empty(self, seen: SeenDisk, device: Device) -> Steps:
        """Takes away the partitions, where parted can: a mac table is one of its own."""
        if self._label not in partitions.TYPED:
            return
        # The last first, because the kernel moves up logical ones behind a gap.
        for number in sorted((volume.number for volume in seen.volumes), reverse=True):
            own = [part for part in seen.kernel if part.partition == number]
            yield partitions.remove(device, number, own)
        if seen.mapped:
            yield partitions.unmap(device)
        if seen.volumes:
            yield partitions.settle()

    def volumes(self) -> Partitions:
        return Partitions(self.pool)


def _label(format: str) -> str:
    """libvirt itself takes "unknown" for dos."""
    return "dos" if format == "unknown" else format


def _format(params: t.Mapping[str, t.Any], pool: Pool) -> str:
    given = _options.text(params, "format", pool.format or "gpt")
    return pool.format if given == _label(pool.format) else given


def _holds_root(host: Reader, device: Device) -> bool:
    roots = [mount for mount in host.mounts() if mount.target == "/"]
    numbers = {number for mount in roots for number in block.numbers(host, mount)}
    return any(each.number in numbers for each in (device, *block.above(host, device)))


def _inner(host: Reader, device: Device, table: partitions.Table) -> set[str]:
    inner: set[str] = set()
    outer: set[str] = set()
    for row in block.signatures(host, [host.real(device.path)]):
        place = int(row["offset"], 16)
        inside = any(part.start <= place < part.end for part in table.parts)
        (inner if inside else outer).add(row["type"])
    return inner - outer


def _span(part: partitions.Part) -> tuple[int, int]:
    return part.start, part.end


def _hidden(
    table: partitions.Table, volumes: t.Sequence[Volume], kernel: t.Sequence[Device]
) -> t.Iterator[str]:
    """The partitions without a device, which libvirt waits for, but for the header of dvh."""
    there = {part.partition for part in kernel}
    if table.label not in partitions.TYPED:
        for volume in volumes:
            if volume.number not in there and (table.label, volume.number) != ("dvh", 9):
                yield volume.name
