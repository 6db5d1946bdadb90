# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools that list the LUNs of a SCSI host."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from .. import _options
from .._host import Reader
from .._model import Adapter, Device, Offer, Pool, Seen
from .._plan import Steps
from .._tools import scsi
from .._volumes import luns
from .base import Backend

_ADAPTER: _options.Spec = {
    "type": {"type": "str", "choices": ["scsi_host", "fc_host"], "default": "scsi_host"},
    "name": {"type": "str"},
    "parent": {"type": "str"},
    "wwnn": {"type": "str"},
    "wwpn": {"type": "str"},
    "address": {"type": "str"},
    "unique_id": {"type": "int"},
    "managed": {"type": "bool"},
}
_PATTERNS = {
    "name": (r"(scsi_)?host\d+", "host0"),
    "parent": (r"scsi_host\d+", "scsi_host5"),
    "wwnn": (r"(0x)?[0-9a-fA-F]{16}", "20000000c9831b4b"),
    "wwpn": (r"(0x)?[0-9a-fA-F]{16}", "10000000c9831b4b"),
    "address": (r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", "0000:00:1f.2"),
}


@dataclass(frozen=True)
class SeenHost(Seen):
    """``number`` is the kernel's of the SCSI host, ``None`` where there is none.

    ``maker`` is the directory of the host on which it is, or would be, made as a virtual one.
    ``devices`` are the disks of the host and their partitions.
    """

    number: int | None = None
    maker: str = ""
    devices: tuple[Device, ...] = ()
    replaced: tuple[luns.Replaced, ...] = ()


class Scsi(Backend[SeenHost]):
    type = "scsi"
    options: t.ClassVar[_options.Spec] = {
        "adapter": {"type": "dict", "options": _ADAPTER},
        "path": {"type": "path"},
    }
    required = ("adapter",)

    @classmethod
    def define(cls, host: Reader, params: t.Mapping[str, t.Any], pool: Pool) -> Pool:
        given = params["adapter"]
        adapter = pool.adapter if given is None else _adapter(given, pool.adapter)
        # As libvirt does: a virtual host that the pool makes goes with it.
        reaches = params["state"] in ("present", "active")
        if reaches and adapter and adapter.type == "fc_host" and not adapter.managed:
            missing = scsi.number(host, adapter) is None
            adapter = replace(adapter, managed="yes") if missing else adapter
        return replace(
            pool,
            adapter=adapter,
            path=_options.path(params, "path", pool.path or "/dev/disk/by-path"),
        )

    @classmethod
    def faults(cls, params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
        yield from _options.path_faults(params, "path")
        yield from luns.path_faults(params)
        adapter = params.get("adapter")
        if isinstance(adapter, dict):
            yield from _adapter_faults(adapter)

    def described(self, host: Reader, seen: SeenHost | None) -> t.Mapping[str, t.Any]:
        adapter = self.pool.adapter
        return {
            "adapter": _described(adapter) if adapter else None,
            "path": _options.other(self.pool.path, "/dev/disk/by-path"),
        }

    def sources(self, host: Reader, pool: Pool) -> frozenset[str]:
        if pool.type != "scsi" or pool.adapter is None:
            return frozenset()
        number = scsi.number(host, pool.adapter)
        what = _words(pool.adapter) if number is None else f"host{number}"
        return frozenset({f"SCSI host {what}"})

    @classmethod
    def offers(cls, host: Reader, params: t.Mapping[str, t.Any]) -> t.Iterator[Offer]:
        for adapter, folder in scsi.adapters(host):
            told = _described(_adapter(adapter, None))
            yield Offer(cls.type, {"name": folder, "adapter": told}, content=folder)

    def probe(self, host: Reader) -> SeenHost:
        adapter = self.pool.adapter
        number = scsi.number(host, adapter) if adapter else None
        managed = bool(adapter and adapter.managed == "yes")
        if number is None:
            maker = scsi.able(host, adapter.parent) if adapter and managed else ""
            return SeenHost("ready" if maker else "missing", active=False, maker=maker)
        maker = scsi.maker(host, number) if managed else ""
        volumes = tuple(luns.read(host, number, self.pool.path))
        replaced = tuple(luns.replaced(host, number))
        size = sum(volume.capacity for volume in volumes)
        return SeenHost(
            state="ready",
            active=True if maker else None,
            number=number,
            maker=maker,
            devices=tuple(luns.devices(host, number, self.pool.path)) if maker else (),
            replaced=replaced,
            news=tuple(luns.news(self.pool, replaced)),
            capacity=size,
            allocation=size,
            volumes=volumes,
            warnings=tuple(luns.warnings(self.pool, number, volumes)),
        )

    def fit(self, seen: SeenHost) -> None:
        adapter = self.pool.adapter
        if seen.number is not None or seen.maker:
            return
        also = ""
        if adapter and adapter.managed == "yes":
            who = f"{adapter.parent} cannot" if adapter.parent else "no host can"
            also = f", and {who} make it as a virtual one"
        raise self.nothing(
            f"the SCSI host of pool {self.pool.name}, {_words(adapter)}, does not exist{also}. "
            "Attach it, or correct adapter; ls /sys/class/scsi_host lists those there are."
        )

    def amend(self, seen: SeenHost) -> Steps:
        return luns.renew(seen.replaced)

    def start(self, seen: SeenHost, daemon: bool) -> Steps:
        # libvirtd starts no pool on a virtual host that is there before it makes it.
        if seen.maker and self.pool.adapter and not daemon:
            yield from scsi.make_virtual(seen.maker, self.pool.adapter)

    def stop(self, seen: SeenHost, daemon: bool) -> Steps:
        if not seen.maker or not self.pool.adapter:
            return
        if daemon:
            yield from luns.release(seen.devices)
        else:
            yield scsi.remove_virtual(seen.maker, self.pool.adapter, seen.devices)

    def rescan(self, seen: SeenHost) -> Steps:
        if seen.number is not None:
            units = [volume.name.partition(":")[2] for volume in seen.volumes]
            yield from scsi.rescan(seen.number, units)


def _adapter(given: t.Mapping[str, t.Any], kept: Adapter | None) -> Adapter:
    told = {key: value for key, value in given.items() if value is not None}
    if "managed" in told:
        told["managed"] = "yes" if told["managed"] else "no"
    elif kept and kept.type == told["type"]:
        told["managed"] = kept.managed
    return Adapter(**{key: str(value) for key, value in told.items()})


def _described(adapter: Adapter) -> dict[str, t.Any]:
    """The way back from `_adapter`."""
    told = {key: value for key, value in vars(adapter).items() if value}
    if adapter.type == "scsi_host":
        del told["type"]
    if adapter.managed:
        told["managed"] = adapter.managed == "yes"
    if adapter.unique_id.isdigit():
        told["unique_id"] = int(adapter.unique_id)
    return told


def _adapter_faults(given: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    for key, (pattern, example) in _PATTERNS.items():
        value = given.get(key)
        if isinstance(value, str) and not re.fullmatch(pattern, value):
            yield f"adapter: {key}: {value!r} is not like {example}"
    told = {key for key, value in given.items() if value is not None} - {"type"}
    if given.get("type") == "fc_host":
        if not {"wwnn", "wwpn"} <= told <= {"wwnn", "wwpn", "parent", "managed"}:
            yield "adapter: fc_host needs wwnn and wwpn, and may have parent and managed"
    elif told not in ({"name"}, {"address", "unique_id"}):
        yield "adapter: scsi_host needs either name, or address and unique_id, and nothing else"


def _words(adapter: Adapter | None) -> str:
    told = vars(adapter).items() if adapter else ()
    return ", ".join(f"{key} {value}" for key, value in told if value and key != "managed")
