# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tasks of the volume modules: one volume, or many of one pool, as one plan."""

from __future__ import annotations

import functools
import typing as t
from dataclasses import replace

from . import _lifecycle, _options, _registry, _results, _volume_options
from ._contents import Contents, Find, unforeseen
from ._fetch import fetch
from ._foresight import Foresight
from ._host import Reader
from ._model import Pool, Refused, Seen, Stored, Volume
from ._plan import Action, joined
from ._pools import all as pools
from ._pools.base import Backend
from ._results import Result
from ._run import Look, Module, judge, perform
from ._tools import block
from ._volumes.base import Volumes, Wanted


def run_volume() -> None:
    """The whole of ``main`` of the module volume."""
    module = Module(_volume_options.VOLUME, _volume_options.volume_faults, fetch)
    task = _Task(module.params, [module.params], False, module.control)

    def look(host: Reader) -> Look:
        seen = task.look(task.before.on(host))
        return replace(seen, result={"volume": seen.result["volumes"][0]["volume"]})

    def tell(result: Result, work: t.Mapping[str, Result]) -> None:
        for facts in work.values():
            result.update(facts)

    perform(module, look, tell)


def run_volumes() -> None:
    """The whole of ``main`` of the module volumes."""
    module = Module(_volume_options.VOLUMES, _volume_options.volumes_faults, fetch)
    rows, purge = module.params["volumes"], module.params["purge"]
    task = _Task(module.params, rows, purge, module.control)
    changed: dict[str, bool] = {}

    def look(host: Reader) -> Look:
        seen = task.look(task.before.on(host))
        for row in seen.result["volumes"]:
            # What the first look plans is what the task changes.
            row["changed"] = changed.setdefault(row["name"], row["changed"])
        return seen

    def tell(result: Result, work: t.Mapping[str, Result]) -> None:
        for row in result["volumes"]:
            row.update(work.get(row["name"], {}))

    perform(module, look, tell)


# What finds contents, given what is seen and what is wanted.
_Contents = t.Callable[[t.Mapping[str, Volume], t.Sequence[Wanted]], Contents]
# What tasks after are not told: secrets, and what is fetched to be looked at.
_HIDDEN = ("encryption", "cloud_init", "source", "clone_from")


class _Task:
    """What is wanted of the volumes of one pool."""

    def __init__(
        self,
        params: _options.Params,
        rows: t.Sequence[_options.Params],
        purge: bool,
        control: _options.Params,
    ) -> None:
        self.params = params
        self.before = Foresight(control)
        self.sent = control.get("sent", {})
        self.tells = "foreseen" in control
        self.rows = rows
        self.purge = purge

    def look(self, host: Reader) -> Look:
        name = self.params["pool"]
        registry = _registry.find(host, self.params["libvirt"], self.params["libvirt_uri"])
        earlier = self._earlier()
        stored = self.before.stored(host, registry, name)
        pool, users = stored.pool, self._takes_away
        backend, volumes, there = active_pool(host, registry, name, pool, self.before, users)
        seen = {volume.name: volume for volume in there}
        wanted = self._wanted(host, seen, earlier)
        secrets = self._secrets(host, registry, backend.pool)
        contents = self._contents(host, registry, volumes)
        named = _named(host, volumes, wanted, seen, contents)
        seen = secrets.named(_as_said(host, volumes, named, seen))
        wanted = _filled(volumes, named, seen, contents(seen, named))
        wanted += _purged(wanted, seen.values()) if self.purge else []
        faults = list(_lifecycle.volume_faults(backend.pool, volumes, wanted, seen))
        if faults:
            self.before.sure(name)
            raise Refused(f"Nothing was changed: {'; '.join(faults)}.")
        before = {wish.name for wish in named[: len(earlier)]}
        steps = self._steps(secrets, volumes, wanted, seen, before)
        plan = [*volumes.leftovers(), *joined(action for way in steps.values() for action in way)]
        plan += [*(volumes.settle() if plan else ()), *_told(registry, stored, seen.values(), plan)]
        judge(host, plan, functools.partial(self.before.others, host, registry, name))
        names = self._names(named, earlier)
        shown = self._shown(backend, dict.fromkeys([*names, *steps]), steps, seen)
        warnings = (*volumes.warnings(), *unforeseen(wanted))
        left = self._left(host, backend.pool, volumes, wanted, seen, names, steps)
        view = tuple(registry.refresh(name))
        return Look(tuple(plan), {"volumes": shown}, warnings=warnings, view=view, foreseen=left)

    def _left(
        self,
        host: Reader,
        pool: Pool,
        volumes: Volumes,
        wanted: t.Sequence[Wanted],
        seen: t.Mapping[str, Volume],
        names: t.Sequence[str],
        steps: t.Mapping[str, t.Sequence[Action]],
    ) -> dict[str, t.Any]:
        """What the tasks after this one are told, if it only looks."""
        if not self.tells:
            return {}
        devices: dict[str, t.Sequence[t.Any]] = {}
        touched = [*filter(steps.get, steps)]
        is_device = any(map(volumes.devices, touched))
        sizes = _lifecycle.capacities(volumes, wanted, seen) if is_device else {}
        for wish in wanted if sizes else ():
            there, size = seen.get(wish.name), sizes.get(wish.name, 0)
            paths = volumes.devices(wish.name)
            known = [size, paths[0]] if volumes.blank(wish) and not there else []
            if wish.name in touched:
                own = [block.number(host, there.path) or there.path] if there else paths
                devices.update({path: known for path in own})
        rows = [
            {**_volume_options.row(row), "name": name}
            for row, name in zip(self.rows, names)
            if name in touched and name not in seen and not any(map(row.get, _HIDDEN))
        ]
        return self.before.with_volumes(pool, touched, rows, devices)

    def _shown(
        self,
        backend: Backend[t.Any],
        names: t.Iterable[str],
        steps: t.Mapping[str, t.Sequence[Action]],
        seen: t.Mapping[str, Volume],
    ) -> list[dict[str, t.Any]]:
        pool, details = backend.pool.name, self.params.get("details", True)
        found = []
        for name in names:
            there = seen.get(name)
            volume = _results.volume(pool, there, backend.formatted, details) if there else None
            found.append({"name": name, "changed": bool(steps.get(name)), "volume": volume})
        return found

    def _names(self, named: t.Sequence[Wanted], earlier: t.Sequence[_options.Params]) -> list[str]:
        """The names of the task's volumes, as it lists them; ``named`` begins with the others."""
        own = iter(named[len(earlier) :])
        known = [row["name"] for row in earlier]
        return [row["name"] if row["name"] in known else next(own).name for row in self.rows]

    def _earlier(self) -> list[_options.Params]:
        """What tasks before say of volumes that they would make, in check mode."""
        own = [_volume_options.row(row) for row in self.rows]
        return [*self.before.earlier(self.params["pool"], own, self.purge)]

    def _wanted(
        self,
        host: Reader,
        seen: t.Mapping[str, Volume],
        earlier: t.Sequence[_options.Params],
    ) -> list[Wanted]:
        """The wishes of tasks before, then those of this one."""
        faults: list[str] = []
        for number, row in enumerate(self.rows):
            where = "" if row is self.params else f"volumes[{number}]: "
            faults += _options.account_faults(host, row, where)
        if faults:
            raise Refused(f"Nothing was changed: {'; '.join(faults)}.")
        pool, sent = self.params["pool"], self.sent
        own = [row for row in self.rows if _volume_options.row(row) not in earlier]
        rows = ((row, seen.get(row["name"])) for row in (*earlier, *own))
        wanted = [_volume_options.wanted(host, row, there, pool, sent) for row, there in rows]
        for wish in wanted:
            if wish.origin and wish.origin.path:
                self.before.read_path(host, wish.origin.path)
        return [_with_passphrase(host, wish) for wish in wanted]

    def _contents(self, host: Reader, registry: _registry.Registry, volumes: Volumes) -> _Contents:
        """Each other pool that is asked for is looked at once."""
        others = functools.partial(self.before.others, host, registry, self.params["pool"])
        find = self._elsewhere(host, registry)
        return functools.partial(
            Contents, host, volumes, find=find, owner=lambda path: _owner(others(), path)
        )

    def _elsewhere(self, host: Reader, registry: _registry.Registry) -> Find:
        """What finds the volumes of another pool, each pool once."""

        @functools.lru_cache(None)
        def find(name: str) -> tuple[Volumes, t.Mapping[str, Volume]]:
            pool = self.before.stored(host, registry, name).pool
            volumes, there = active_pool(host, registry, name, pool, self.before)[1:]
            return volumes, {volume.name: volume for volume in there}

        return find

    def _secrets(
        self, host: Reader, registry: _registry.Registry, pool: Pool
    ) -> _lifecycle.Secrets:
        """Looked at only where volumes come or go that may have one."""
        needed = self._takes_away or any(row["encryption"] for row in self.rows)
        return _lifecycle.Secrets(registry, pool, registry.secrets(host) if needed else {})

    def _steps(
        self,
        secrets: _lifecycle.Secrets,
        volumes: Volumes,
        wanted: t.Sequence[Wanted],
        seen: t.Mapping[str, Volume],
        before: t.Collection[str],
    ) -> dict[str, tuple[Action, ...]]:
        """The way to each wish but those of tasks before.

        A secret comes before its volume, and goes behind it.
        """
        ways = _lifecycle.volume_steps(volumes, wanted, seen, self.params["allow"])
        steps = {name: tuple(way) for name, way in ways}
        for wish in wanted:
            way = steps.get(wish.name, ())
            secret = tuple(secrets.steps(volumes, wish, seen.get(wish.name)))
            steps[wish.name] = (*secret, *way) if wish.present else (*way, *secret)
        return {name: way for name, way in steps.items() if name not in before}

    @property
    def _takes_away(self) -> bool:
        absent = any(row["state"] == "absent" for row in self.rows)
        return self.purge or absent or "shrink" in self.params["allow"]


def _named(
    host: Reader,
    volumes: Volumes,
    wanted: t.Sequence[Wanted],
    seen: t.Mapping[str, Volume],
    contents: _Contents,
) -> list[Wanted]:
    """The wishes, each with a name."""
    nameless = [wish for wish in wanted if not wish.name]
    if not nameless:
        return list(wanted)
    closed = next((wish for wish in nameless if wish.encryption), None)
    if closed:
        seen = {name: volumes.inspect(host, there, closed) for name, there in seen.items()}
    found = contents(seen, wanted)
    named = volumes.named([found.of(wish) for wish in wanted], seen)
    return [replace(wish, name=each.name) for wish, each in zip(wanted, named)]


def _filled(
    volumes: Volumes,
    wanted: t.Sequence[Wanted],
    seen: t.Mapping[str, Volume],
    contents: Contents,
) -> list[Wanted]:
    """The wishes with contents, in an order in which they can be fulfilled."""
    full = [contents.of(wish) for wish in wanted]
    return _lifecycle.settled(volumes, volumes.ordered(contents.ordered(full)), seen)


def _with_passphrase(host: Reader, wish: Wanted) -> Wanted:
    said = wish.encryption
    if not said:
        return wish
    return replace(wish, encryption=replace(said, passphrase=_registry.passphrase(host, said)))


def _as_said(
    host: Reader, volumes: Volumes, wanted: t.Sequence[Wanted], seen: t.Mapping[str, Volume]
) -> dict[str, Volume]:
    """What is seen, each volume as the task says of its content, if it can be so."""
    said = {wish.name: wish for wish in wanted if wish.present}
    return {
        name: volumes.told(volumes.inspect(host, volume, said[name]), said[name])
        if name in said
        else volume
        for name, volume in seen.items()
    }


def _purged(wanted: t.Sequence[Wanted], seen: t.Iterable[Volume]) -> list[Wanted]:
    """Directories stay, and what libvirt does not list, such as thin pools, but thin volumes."""
    named = {wish.name for wish in wanted}
    going = (v for v in seen if (v.listed or (v.within and v.active)) and v.type != "dir")
    return [Wanted(volume.name, present=False) for volume in going if volume.name not in named]


def active_pool(
    host: Reader,
    registry: _registry.Registry,
    name: str,
    pool: Pool | None,
    before: Foresight,
    users: bool = False,
) -> tuple[Backend[t.Any], Volumes, t.Sequence[Volume]]:
    """The pool and its volumes; raises `Refused` where they cannot be reached now.

    With ``users`` it is looked at who uses them.
    """
    if pool is None:
        unknown = _registry.unknown(before.names(host, registry), name)
        raise Refused(
            f"{unknown} Define it with the module of its type first, for example pool_dir."
        )
    backend = pools.backend(pool, before.given(name))
    seen: Seen = before.probe(host, backend)
    _reachable(pool, seen)
    volumes = backend.volumes()
    if volumes is None:
        raise Refused(
            f"Nothing was changed: the volumes of pool {name} are made by others; those of "
            f"{pool.type} pools are only listed."
        )
    return backend, volumes, before.volumes(host, volumes, name, seen, users)


def _reachable(pool: Pool, seen: Seen) -> None:
    if seen.state != "ready" or seen.active is False:
        raise Refused(
            f"Nothing was changed: pool {pool.name} is not active, so its volumes cannot be "
            f"reached. Start it with pool_{pool.type} and state: active."
        )
    if seen.error:
        raise Refused(f"Nothing was changed: {seen.error}.")


def _told(
    registry: _registry.Registry,
    stored: Stored,
    seen: t.Iterable[Volume],
    plan: t.Sequence[Action],
) -> t.Iterator[Action]:
    """What makes libvirt look again, where it runs the pool and its list is or will be old."""
    if stored.active and stored.pool and (plan or not _lifecycle.listed(stored, list(seen))):
        yield from registry.refresh(stored.pool.name)


def _owner(pools_there: t.Sequence[Pool], path: str) -> str:
    """The name of the pool of files that has a directory, or ""."""
    owners = (p.name for p in pools_there if p.path == path and p.type in ("dir", "fs", "netfs"))
    return next(owners, "")
