# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task of a pool module: one pool, to one state."""

from __future__ import annotations

import typing as t
from dataclasses import is_dataclass, replace
from functools import partial
from itertools import chain

from . import _lifecycle, _options, _registry, _results
from ._foresight import Foresight, Left
from ._host import Reader
from ._model import Device, Pool, Refused, Seen, SourceHost, Stored, Volume
from ._plan import Action, joined
from ._pools.base import Backend
from ._run import Look, Module, judge, perform
from ._size import show
from ._tools import block, files, fs
from ._xml import poolxml


def run_pool(kind: type[Backend[t.Any]]) -> None:
    """The whole of a pool module's ``main``."""
    required = [("state", state, list(kind.required)) for state in ("present", "active")]

    def faults(params: _options.Params) -> t.Iterator[str]:
        yield from _options.pool_faults(params)
        yield from kind.faults(params)

    module = Module({**_options.POOL, **kind.options}, faults, required_if=required)
    params = module.params
    wish = _lifecycle.Wish(*(params[key] for key in ("state", "build", "autostart", "refresh")))
    before = Foresight(module.control)
    perform(module, lambda host: _look(before.on(host), kind, params, wish, before))


def _look(
    host: Reader,
    kind: type[Backend[t.Any]],
    params: _options.Params,
    wish: _lifecycle.Wish,
    before: Foresight,
) -> Look:
    _no_strangers(host, params)
    registry = _registry.find(host, params["libvirt"], params["libvirt_uri"])
    stored = before.stored(host, registry, params["name"])
    others = before.others(host, registry, params["name"])
    _same(kind, params, stored, others)
    names = partial(before.names, host, registry)
    params, wish = _new_but_inactive(kind, params, wish, stored, names)
    if stored.pool is None and not wish.reaches:
        steps = registry.stop(params["name"]) if stored.active else iter(())
        return Look(tuple(steps), {"pool": None})
    backend = _backend(host, kind, params, stored, wish)
    backend.others = others
    left = None
    if wish.reaches:
        _no_conflict(host, backend, others)
        left = _left(host, backend, stored, before)
    elif stored.pool:
        _nothing_else(host, backend.pool, stored.pool)
    seen = before.probe(host, backend)
    found = _decided(backend, registry, stored, seen, wish, left)
    judge(host, found.plan, lambda: others)
    found = _shown_around(host, registry, found, others, before) if wish.refresh else found
    return replace(found, foreseen=_told(backend, stored, seen, wish, found, before))


def _no_strangers(host: Reader, params: _options.Params) -> None:
    """Refuses users and groups that the host does not know."""
    if faults := "; ".join(_options.account_faults(host, params)):
        raise Refused(f"Nothing was changed: {faults}.")


def _shown_around(
    host: Reader,
    registry: _registry.Registry,
    found: Look,
    others: t.Sequence[Pool],
    before: Foresight,
) -> Look:
    """The same, after which libvirt sees it in the pools that it runs around this one."""
    around = _around(host, found.plan, others)
    running = before.running(host, registry) if around else []
    told = [registry.refresh(name) for name in around if name in running]
    return replace(found, plan=(*found.plan, *chain.from_iterable(told)))


def _around(host: Reader, plan: t.Sequence[Action], others: t.Sequence[Pool]) -> t.Sequence[str]:
    """The pools that get or lose an entry, because a directory of this one is in theirs."""
    changed = [action for action in plan if action.verb in ("mkdir", "rmdir", "rmtree")]
    homes = {fs.real(host, pool.path): pool.name for pool in others if pool.path and changed}
    found = []
    for action in changed:
        thing = action.args[0]
        folder = files.folder(fs.real(host, thing if isinstance(thing, str) else thing.path))
        above = [home for home in homes if fs.is_below(folder, home)]
        while above and folder not in above and host.node(folder) is None:
            folder = files.folder(folder)  # which is made as well
        found += [homes[folder]] if folder in above else []
    return tuple(dict.fromkeys(found))


def _backend(
    host: Reader,
    kind: type[Backend[t.Any]],
    params: _options.Params,
    stored: Stored,
    wish: _lifecycle.Wish,
) -> Backend[t.Any]:
    """The pool that is wanted; one that is left without a word on what it is stays what it was."""
    name = params["name"]
    pool = stored.pool or Pool(kind.type, name, uuid=_uuid(host, params, stored))
    if wish.reaches or any(params[key] is not None for key in kind.options):
        params = _with_octal_mode(host, kind, params, pool)
        pool = kind.define(host, params, pool)
    return kind(pool, params, stored.pool)


def _uuid(host: Reader, params: _options.Params, stored: Stored) -> str:
    """The UUID of a pool that is not defined; one that only runs has its own already."""
    ran = stored.running.uuid if stored.running else ""
    return ran or params["uuid"] or _options.new_uuid(host, params["name"])


def _new_but_inactive(
    kind: type[Backend[t.Any]],
    params: _options.Params,
    wish: _lifecycle.Wish,
    stored: Stored,
    names: t.Callable[[], t.Sequence[str]],
) -> tuple[_options.Params, _lifecycle.Wish]:
    """The task and its wish where a pool is to be inactive and is not defined: it is made so."""
    if wish.state != "inactive" or stored.pool or stored.active:
        return params, wish
    missing = [key for key in kind.required if params[key] is None]
    if missing or all(params[key] is None for key in kind.options):
        what = " and ".join(missing) or "its options"
        unknown = _registry.unknown(names(), params["name"])
        raise Refused(f"{unknown} To define it and leave it inactive, give {what} as well.")
    return {**params, "state": "present"}, replace(wish, state="present", stopped=True)


def _with_octal_mode(
    host: Reader, kind: type[Backend[t.Any]], params: _options.Params, pool: Pool
) -> _options.Params:
    """The options with a symbolic mode made octal, by the mode of what is there."""
    mode = params.get("mode")
    if mode is None:
        return params
    place = _options.path(params, "path", pool.path)
    node = host.node(place)
    there = node.permissions.mode if node else files.DEFAULT_DIRECTORY_MODE
    if "mount_options" in kind.options and not fs.at(host.mounts(), place):
        there = "0000"  # that of the file system, which is seen once it is mounted
        if _options.relative(mode):
            raise Refused(
                f"Nothing was changed: mode: {mode!r} changes a mode that is not known before "
                f"{place} is mounted. Write it in octal, or say with = what u, g and o may."
            )
    return {**params, "mode": _options.octal(mode, there, folder=True)}


def _decided(
    backend: Backend[t.Any],
    registry: _registry.Registry,
    stored: Stored,
    seen: Seen,
    wish: _lifecycle.Wish,
    left: _lifecycle.Left | None,
) -> Look:
    after = stored.xml if wish.state == "inactive" else ""
    if wish.reaches:
        after = poolxml.render(_lifecycle.kept(backend, seen, stored), stored.xml)
    there = _results.pool(stored.pool, stored, seen) if stored.pool else None
    plan = tuple(joined(_lifecycle.pool_steps(backend, registry, stored, seen, wish, left)))
    return Look(
        plan,
        {"pool": there},
        title=f"definition of pool {backend.pool.name}",
        before=stored.xml,
        after=after,
        warnings=seen.warnings,
        rescan=tuple(backend.rescan(seen)) if wish.reaches and wish.refresh else (),
        parting=(*seen.news, *(left.warnings if left else ())),
        volumes={volume.path: _known(volume) for volume in seen.volumes},
        view=tuple(registry.refresh(backend.pool.name)),
    )


def _told(
    backend: Backend[t.Any],
    stored: Stored,
    seen: Seen,
    wish: _lifecycle.Wish,
    found: Look,
    before: Foresight,
) -> dict[str, t.Any]:
    """What the tasks after this one are told, if it only looks."""
    given = {key: backend.given.get(key) for key in backend.options if key != "chap"}
    left = Left(
        xml=found.after,
        was="" if wish.reaches else stored.xml,
        given={key: value for key, value in given.items() if value is not None},
        autostart=stored.autostart if wish.autostart is None else wish.autostart,
        active=wish.state == "active" or (wish.reaches and bool(stored.active or seen.active)),
        made=wish.reaches and seen.state != "ready",
        grown=wish.reaches
        and seen.state == "ready"
        and any(action.claims for action in found.plan),
        blank=list(_emptied(found.plan)) if wish.state == "deleted" else [],
    )
    return before.with_pool(backend.pool.name, left, gone=wish.state == "deleted")


def _emptied(plan: t.Sequence[Action]) -> t.Iterator[str]:
    """The devices that a plan takes all that is on them from."""
    for claim in (claim for action in plan for claim in action.claims):
        thing = claim.thing if claim.alone and not claim.reads else None
        if isinstance(thing, Device) and thing.number:
            yield thing.number


def _known(volume: Volume) -> str:
    return f"disk {volume.key} of {show(volume.capacity)}"


def _same(
    kind: type[Backend[t.Any]],
    params: _options.Params,
    stored: Stored,
    others: t.Sequence[Pool],
) -> None:
    """Refuses a name or UUID that belongs to something else."""
    name, given = params["name"], _plain(params["uuid"])
    there = stored.pool or stored.running
    if there and there.type != kind.type:
        raise Refused(
            f"Nothing was changed: pool {name} is a {there.type} pool, and this task is for "
            f"{kind.type} pools. Name another pool, or use "
            f"pool_{there.type.replace('-', '_')}."
        )
    if given and there and _plain(there.uuid) not in ("", given):
        raise Refused(
            f"Nothing was changed: pool {name} has the UUID {there.uuid}, which never "
            f"changes, and the task says {params['uuid']}. Leave uuid out."
        )
    for other in others:
        if given and _plain(other.uuid) == given:
            raise Refused(
                f"Nothing was changed: the UUID {params['uuid']} belongs to pool {other.name}, not "
                f"to {name}. Leave uuid out."
            )


def _differ(host: Reader, asked: Pool, stored: Pool) -> list[str]:
    """What is another thing in two definitions, and not only spelled otherwise."""
    new, old = _spelled(host, asked), _spelled(host, stored)
    return [key for key, value in new.items() if value != old[key]]


def _spelled(host: Reader, pool: Pool) -> dict[str, t.Any]:
    """A definition with one spelling for each device and server."""
    devices = [host.real(device) for device in pool.devices]
    servers = [(server.name.strip("[]").lower(), server.port) for server in pool.hosts]
    may = replace(pool.permissions, mode=pool.permissions.mode[-3:])
    path = fs.real(host, _options.plain_path(pool.path))
    return {**vars(pool), "devices": devices, "hosts": servers, "path": path, "permissions": may}


def _said(value: object) -> str:
    """A part of a definition as a message shows it."""
    if isinstance(value, tuple):
        return ", ".join(map(_said, value)) or "none"
    if isinstance(value, SourceHost):
        return f"{value.name}:{value.port}" if value.port else value.name
    if is_dataclass(value):
        return " ".join(f"{key} {said}" for key, said in vars(value).items() if said) or "none"
    return str(value or "none")


def _nothing_else(host: Reader, asked: Pool, stored: Pool) -> None:
    """Refuses to leave a pool that the task describes otherwise than it is."""
    differ = _differ(host, asked, stored)
    if differ:
        told = ", ".join(
            f"{key} {_said(getattr(asked, key))}, not {_said(getattr(stored, key))}"
            for key in differ
        )
        raise Refused(
            f"Nothing was changed: the task describes another pool than {stored.name} is: {told}. "
            "Leave these options out; the state needs only the name."
        )


def _no_conflict(host: Reader, backend: Backend[t.Any], others: t.Sequence[Pool]) -> None:
    """Refuses a second pool on the same thing, whatever it is called there."""
    mine = backend.sources(host, backend.pool)
    for other in others:
        common = mine & backend.sources(host, other)
        if common:
            told = ", ".join(sorted(_named(host, backend, common)))
            raise Refused(
                f"Nothing was changed: pool {backend.pool.name} would live on {told}, on which "
                f"pool {other.name} lives already. Use that pool, or forget it with state: absent."
            )


def _named(host: Reader, backend: Backend[t.Any], sources: t.Iterable[str]) -> t.Iterator[str]:
    """What a pool lives on, devices by the names that the task has for them."""
    paths = (*backend.pool.devices, *(backend.given.get("devices") or ()))
    devices = {block.identity(host, path): path for path in paths if path.startswith("/")}
    for source in sources:
        number = source.partition("device ")[2]
        yield f"device {devices[number]}" if number in devices else source


def _left(
    host: Reader, backend: Backend[t.Any], stored: Stored, before: Foresight
) -> _lifecycle.Left | None:
    """What a pool leaves behind that is to be at another place than it is, or than it runs at."""
    pool = stored.running or stored.pool
    if pool is None:
        return None
    where = ["path", "dir", "source", "hosts", "adapter", "initiator"]
    if not pool.source:  # a volume group is where it is by its name
        where.append("devices")
    moved = [key for key in _differ(host, backend.pool, pool) if key in where]
    if not moved:
        return None
    old, new = (_said(getattr(each, moved[0])) for each in (pool, backend.pool))
    there = type(backend)(pool, {"state": "absent"}, pool)
    along = moved == ["path"] and bool(pool.devices or pool.hosts or pool.adapter or pool.source)
    seen = before.probe(host, there)
    return _lifecycle.Left(there, seen, f"{moved[0]} {old}", new, along)


def _plain(text: str | None) -> str:
    return (text or "").replace("-", "").lower()
