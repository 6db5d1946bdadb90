# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools that list the multipath maps of a host."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .. import _options
from .._host import Reader
from .._model import Offer, Permissions, Pool, Seen, Volume
from .._tools import multipath
from .._volumes import base as volumes
from .base import Backend


class Mpath(Backend[Seen]):
    type = "mpath"
    options: t.ClassVar[_options.Spec] = {"path": {"type": "path"}}

    @classmethod
    def define(cls, host: Reader, params: t.Mapping[str, t.Any], pool: Pool) -> Pool:
        return replace(pool, path=_options.path(params, "path", pool.path or "/dev/mapper"))

    @classmethod
    def faults(cls, params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
        yield from _options.path_faults(params, "path")

    def described(self, host: Reader, seen: Seen | None) -> t.Mapping[str, t.Any]:
        return {"path": _options.other(self.pool.path, "/dev/mapper")}

    def sources(self, host: Reader, pool: Pool) -> frozenset[str]:
        return frozenset({"this host's multipath maps"} if pool.type == "mpath" else ())

    @classmethod
    def offers(cls, host: Reader, params: t.Mapping[str, t.Any]) -> t.Iterator[Offer]:
        maps = multipath.maps(host)
        if maps:
            size = sum(each.size for each in maps)
            names = ", ".join(each.name for each in maps)
            yield Offer(cls.type, {"name": "multipath"}, size, names)

    def probe(self, host: Reader) -> Seen:
        maps = multipath.maps(host)
        size = sum(each.size for each in maps)
        return Seen(
            "ready",
            capacity=size,
            allocation=size,
            volumes=tuple(_volume(host, each) for each in maps),
            warnings=tuple(_warnings(self.pool.name, maps, multipath.running(host))),
        )


def _volume(host: Reader, found: multipath.Map) -> Volume:
    path = f"/dev/mapper/{found.name}"
    node = host.node(path)
    return Volume(
        name=found.kernel,
        path=path,
        key=path,
        type="block",
        capacity=found.size,
        allocation=found.size,
        physical=found.size,
        permissions=node.permissions if node else Permissions(),
        timestamps=volumes.times(node) if node else (),
    )


def _warnings(pool: str, maps: t.Sequence[multipath.Map], running: bool) -> t.Iterator[str]:
    if not running:
        yield (
            f"multipathd is not running, so pool {pool} gets no new maps, and a path that fails is "
            "not taken into use again. Start it with systemctl start multipathd."
        )
    for found in maps:
        if found.failed:
            yield (
                f"multipath map {found.name} of pool {pool} is degraded: {len(found.failed)} of "
                f"{found.paths} paths failed ({', '.join(found.failed)}). "
                f"Look with multipath -ll {found.name}."
            )
