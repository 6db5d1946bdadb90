# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task of the module volume_export: a volume's content as a file outside of the pool."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from . import _export, _options, _registry, _size, _volume_options
from ._foresight import Foresight
from ._host import Reader
from ._model import Permissions, Pool, Refused, Source
from ._plan import Steps
from ._results import Result
from ._run import Look, Module, judge, perform
from ._run_volumes import active_pool


def run_export() -> None:
    """The whole of ``main`` of the module."""
    module = Module(_volume_options.EXPORT, _volume_options.export_faults)
    params, before = module.params, Foresight(module.control)

    def look(host: Reader) -> Look:
        return _look(before.on(host), params, before)

    def tell(result: Result, work: t.Mapping[str, Result]) -> None:
        for facts in work.values():
            result.update(facts)

    perform(module, look, tell)


def _look(host: Reader, params: _options.Params, before: Foresight) -> Look:
    name = params["pool"]
    registry = _registry.find(host, params["libvirt"], params["libvirt_uri"])
    before.read(name, params["name"])
    pool = before.stored(host, registry, name).pool
    others = before.others(host, registry, name)
    faults = list(_options.account_faults(host, params))
    if faults:
        raise Refused(f"Nothing was changed: {'; '.join(faults)}.")
    source = _source(host, registry, pool, params, before)
    dest = _export.find(host, params["dest"], [*others, *([pool] if pool else [])])
    plan = tuple(_steps(host, params, source, dest))
    judge(host, plan, lambda: others)
    result = {"dest": dest.path, "size": dest.node.size if dest.node else None}
    return Look(plan, result)


def _source(
    host: Reader,
    registry: _registry.Registry,
    pool: Pool | None,
    params: _options.Params,
    before: Foresight,
) -> Source:
    """The part of the volume that is wanted."""
    volumes, there = active_pool(host, registry, params["pool"], pool, before)[1:]
    seen = {volume.name: volume for volume in there}
    if params["name"] not in seen:
        raise Refused(
            f"Nothing was changed: pool {params['pool']} has no volume {params['name']}. "
            "Correct name."
        )
    source = volumes.source(seen[params["name"]])
    start, count = (
        _size.parse(params[key]).bytes if params[key] else 0 for key in ("offset", "length")
    )
    return _export.part(source, start, count)


def _steps(host: Reader, params: _options.Params, source: Source, dest: _export.Dest) -> Steps:
    there = dest.node.permissions if dest.node else Permissions()
    mode = there.mode if dest.node else "0600"
    wanted = _options.permissions(host, params, Permissions(), mode)
    how = _export.filling(source, dest, params["format"] or "")
    if dest.node and _export.equal(host, how, dest):
        yield from _export.permit(dest, wanted)
        return
    # What a file has that is replaced stays, where nothing else is said.
    kept = there if dest.node else Permissions(mode="0600")
    given = {key: value for key, value in vars(wanted).items() if value not in (None, "")}
    yield from _export.make(how, dest, replace(kept, **given))
