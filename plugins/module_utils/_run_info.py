# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tasks of the info modules: what is there, in numbers; they never change anything."""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

from . import _describe, _lifecycle, _options, _registry, _results, _taking
from ._host import HostError, Reader
from ._model import Offer, Pool, Refused, Seen, Stored, Volume
from ._pools import all as pools
from ._pools.base import Backend
from ._run import Module, bug, failure

POOL_INFO: _options.Spec = {
    "name": {"type": "str", "aliases": ["pool"]},
    "volumes": {"type": "bool", "default": False},
    **_options.LIBVIRT,
}
VOLUME_INFO: _options.Spec = {
    "pool": {"type": "str", "required": True},
    "name": {"type": "str", "aliases": ["volume"]},
    **_options.LIBVIRT,
}
SOURCE_INFO: _options.Spec = {
    "type": {
        "type": "str",
        "required": True,
        "choices": ["disk", "fs", "iscsi", "logical", "mpath", "netfs", "scsi"],
    },
    "host": {"type": "str"},
    "port": {"type": "int"},
}


def run_pool_info() -> None:
    """The whole of ``main`` of the module pool_info."""
    module = Module(POOL_INFO, _name_faults)
    name = module.params["name"]

    def look(host: Reader) -> dict[str, t.Any]:
        registry = _registry.find(host, module.params["libvirt"], module.params["libvirt_uri"])
        names = registry.names(host) if name is None else [name]
        found = [_pool(module, host, registry, each) for each in names]
        rows = [pool for pool in found if pool]
        more = {"pools_list": _describe.listed(rows)} if module.params["volumes"] else {}
        return {"pools": rows, **more}

    _answer(module, look)


def run_volume_info() -> None:
    """The whole of ``main`` of the module volume_info."""
    module = Module(VOLUME_INFO, _name_faults)
    pool, name = module.params["pool"], module.params["name"]

    def look(host: Reader) -> dict[str, t.Any]:
        registry = _registry.find(host, module.params["libvirt"], module.params["libvirt_uri"])
        stored = registry.look(host, pool)
        if stored.pool is None:
            raise Refused(_registry.unknown(registry.names(host), pool))
        backend, seen = _probe(host, stored.pool)
        seen = _with_secrets(host, registry, stored.pool, seen)
        rows = _volumes(module, backend, seen)
        for text in seen.warnings:
            module.warn(text)
        return {"volumes": [row for row in rows if name in (None, row["name"])]}

    _answer(module, look)


def run_pool_source_info() -> None:
    """The whole of ``main`` of the module pool_source_info."""
    needed = [("type", kind, ["host"]) for kind in ("iscsi", "netfs")]
    module = Module(SOURCE_INFO, _server_faults, required_if=needed)
    kind = pools.BACKENDS[module.params["type"]]

    def look(host: Reader) -> dict[str, t.Any]:
        offers = _used(host, list(kind.offers(host, module.params)))
        return {"sources": [_results.offer(offer) for offer in offers]}

    _answer(module, look)


def _used(host: Reader, offers: t.Sequence[Offer]) -> list[Offer]:
    """The offers with who has a right to their devices already."""
    devices = [offer.device for offer in offers if offer.device]
    if not devices:
        return list(offers)
    found = _taking.users(host, devices, _registry.Files().others(host, ""))
    return [replace(o, users=found[o.device.number]) if o.device else o for o in offers]


def _server_faults(params: _options.Params) -> t.Iterator[str]:
    server, port = params.get("host"), params.get("port")
    if isinstance(server, str) and not re.fullmatch(r"[^\s/,-][^\s/,]*", server):
        yield f"host: {server!r} is neither a name nor an address"
    if isinstance(port, int) and not 0 < port < 65536:
        yield f"port: {port} is not between 1 and 65535"


def _answer(module: Module, look: t.Callable[[Reader], dict[str, t.Any]]) -> t.NoReturn:
    try:
        found = look(Reader(module.execute))
    except Exception as error:
        module.fail_json(msg=_wrong(module, error), **failure())
    module.exit_json(changed=False, **found)


def _wrong(module: Module, error: Exception) -> str:
    """What is wrong, in words."""
    if isinstance(error, HostError):
        return str(error)
    text = module.told(str(error)) if isinstance(error, Refused) else bug(error)
    return text[:1].upper() + text[1:]


def _name_faults(params: _options.Params) -> t.Iterator[str]:
    yield from _options.libvirt_faults(params)
    for key in ("pool", "name"):
        if params.get(key) is not None:
            yield from _options.name_faults(params[key], key, 255)


def _pool(
    module: Module, host: Reader, registry: _registry.Registry, name: str
) -> _results.Result | None:
    """One pool; what is wrong with it stands in ``error`` and hides no other pool."""
    stored, seen, error = Stored(), None, None
    backend: Backend[t.Any] | None = None
    try:
        stored = registry.look(host, name)
        if stored.pool is None:
            return None
        backend = pools.backend(stored.pool, {})
        seen = _with_secrets(host, registry, stored.pool, _probed(host, backend))
    except Exception as problem:  # a definition that nobody thought of, too
        error = _wrong(module, problem)
    row = {**_results.pool(stored.pool or Pool("", name), stored, seen), "options": None}
    if module.params["volumes"]:
        row["volumes"] = _volumes(module, backend, seen) if backend and seen else None
    try:
        row.update(_described(module, host, backend, seen, row) if backend else {})
    except Exception as problem:
        error = error or _wrong(module, problem)
    return {**row, "error": error}


def _described(
    module: Module,
    host: Reader,
    backend: Backend[t.Any],
    seen: Seen | None,
    row: _results.Result,
) -> _results.Result:
    told = _describe.options(host, backend, seen, row, module.params)
    return {"options": told, "warnings": [*row["warnings"], *_describe.warnings(backend, told)]}


def _probe(host: Reader, pool: Pool) -> tuple[Backend[t.Any], Seen]:
    backend = pools.backend(pool, {})
    return backend, _probed(host, backend)


def _probed(host: Reader, backend: Backend[t.Any]) -> Seen:
    seen: Seen = backend.probe(host)
    if seen.error:
        raise HostError(seen.error)
    return seen


def _with_secrets(host: Reader, registry: _registry.Registry, pool: Pool, seen: Seen) -> Seen:
    """With the libvirt secrets of what is encrypted."""
    if not any(volume.encryption for volume in seen.volumes):
        return seen
    secrets = _lifecycle.Secrets(registry, pool, registry.secrets(host))
    named = secrets.named({volume.name: volume for volume in seen.volumes})
    return replace(seen, volumes=tuple(named[volume.name] for volume in seen.volumes))


def _volumes(module: Module, backend: Backend[t.Any], seen: Seen) -> list[_results.Result]:
    return [_volume(module, backend, volume) for volume in seen.volumes]


def _volume(module: Module, backend: Backend[t.Any], volume: Volume) -> _results.Result:
    """One volume; what is wrong with it stands in ``error`` and hides no other one."""
    pool = backend.pool.name
    try:
        return {**_told(backend, volume), "error": None}
    except Exception as problem:
        nameless = _told(backend, Volume("-"))
        error = _wrong(module, problem)
        told = {"pool": pool, "name": volume.name, "path": volume.path, "error": error}
        return {**dict.fromkeys(nameless), **told}


def _told(backend: Backend[t.Any], volume: Volume) -> _results.Result:
    return {
        **_results.volume(backend.pool.name, volume, backend.formatted),
        "backing_chain": _results.chain(volume),
        "options": _describe.volume(backend, volume),
    }
