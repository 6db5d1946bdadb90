# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which steps lead from what was seen to what is wanted: the life of a pool and of volumes.

Everything here is pure: it gets what has been looked at, and yields actions.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ._model import Pool, Refused, Seen, Stored, Volume
from ._plan import Steps
from ._pools.base import Backend
from ._registry import Registry
from ._size import Size, round_up, show
from ._tools import files
from ._volumes.base import Room, Volumes, Wanted


@dataclass(frozen=True)
class Wish:
    """What a task wants of a pool's life; the meaning of the words is in the option docs."""

    state: str
    build: str = "auto"
    autostart: bool = True
    refresh: bool = True


def pool_steps(
    backend: Backend[t.Any], registry: Registry, stored: Stored, seen: Seen, wish: Wish
) -> Steps:
    """The way of a pool to the wanted state; empty where it is there already."""
    if wish.state in ("present", "active"):
        yield from _reach(backend, registry, stored, seen, wish)
    elif wish.state == "inactive":
        yield from _stop(backend, registry, stored, seen)
        if stored.pool:
            yield from _autostart(backend, registry, stored, seen, wish.autostart)
    else:
        yield from _leave(backend, registry, stored, seen, wish.state == "deleted")


def _reach(
    backend: Backend[t.Any], registry: Registry, stored: Stored, seen: Seen, wish: Wish
) -> Steps:
    backend.fit(seen)
    if seen.state == "ready":
        yield from backend.amend(seen)
    elif wish.build == "never":
        raise Refused(
            f"Nothing was changed: pool {backend.pool.name} is not built, and the task says build: "
            "never. Build it, or leave build out."
        )
    else:
        yield from backend.build(seen)
    keep = kept(backend, seen, stored)
    yield from registry.secret(keep, backend.password, stored)
    yield from registry.define(keep, stored)
    started = False
    if wish.state == "active" and seen.active is False:
        started = True
        yield from backend.start(seen, registry.daemon)
    if wish.state == "active" and stored.active is False:
        yield from registry.start(backend.pool.name)
    elif wish.refresh and stored.active and (started or not listed(stored, seen.volumes)):
        yield from registry.refresh(backend.pool.name)
    yield from _autostart(backend, registry, stored, seen, wish.autostart)


def kept(backend: Backend[t.Any], seen: Seen, stored: Stored) -> Pool:
    """The definition to keep, with no more of a mode than libvirt takes: nine bits."""
    pool = backend.stored(seen, stored.pool)
    mode = pool.permissions.mode and f"0{pool.permissions.mode[-3:]}"
    return replace(pool, permissions=replace(pool.permissions, mode=mode))


def _autostart(
    backend: Backend[t.Any], registry: Registry, stored: Stored, seen: Seen, wanted: bool
) -> Steps:
    yield from backend.boot(seen, wanted, registry.daemon)
    if stored.autostart != wanted:
        yield from registry.autostart(backend.pool.name, wanted)


def _stop(backend: Backend[t.Any], registry: Registry, stored: Stored, seen: Seen) -> Steps:
    if seen.active:
        yield from backend.stop(seen, registry.daemon)
    if stored.active:
        yield from registry.stop(backend.pool.name)


def _leave(
    backend: Backend[t.Any], registry: Registry, stored: Stored, seen: Seen, delete: bool
) -> Steps:
    yield from _stop(backend, registry, stored, seen)
    if delete:
        yield from backend.delete(seen)
    else:
        yield from backend.boot(seen, False, registry.daemon)
    # Last, because an interrupted run finds in the definition what is left to do.
    yield from registry.forget(stored, backend.pool.name)


def listed(stored: Stored, volumes: t.Sequence[Volume]) -> bool:
    """Whether libvirt's list of the volumes is the one that it would make now."""
    there = {" ".join(f"{v.name} {v.path}".split()) for v in volumes if v.listed}
    return stored.listing is None or stored.listing == there


def volume_faults(
    pool: Pool, volumes: Volumes, wanted: t.Sequence[Wanted], seen: t.Mapping[str, Volume]
) -> t.Iterator[str]:
    """What is impossible about wishes in this pool, before anything is done."""
    room = _freed(volumes, wanted, seen)
    for wish in wanted:
        if not wish.present:
            continue
        yield from volumes.faults(wish)
        there = seen.get(wish.name)
        if there is None and wish.capacity is None:
            yield f"{wish.name}: is not there, and capacity does not say how large it is to be"
            continue
        if there and wish.format and not volumes.same(there, wish.format):
            yield f"{wish.name}: is a {there.format} volume, and {wish.format} is wanted"
        yield from _space_faults(pool, volumes, wish, there, room)


def _space_faults(
    pool: Pool, volumes: Volumes, wish: Wanted, there: Volume | None, room: Room
) -> t.Iterator[str]:
    own = there.capacity if there else 0
    capacity, allocation = _sizes(volumes, wish, there, room)
    if capacity <= 0:
        yield f"{wish.name}: nothing of pool {pool.name} is free for it"
        return
    if allocation > capacity:
        yield f"{wish.name}: allocation {show(allocation)} is more than capacity {show(capacity)}"
    cost = volumes.cost(wish, capacity, allocation) - volumes.cost(wish, own, 0)
    fault = room.take(cost, wish, there)
    if fault:
        yield f"{wish.name}: {fault}"


def _freed(volumes: Volumes, wanted: t.Sequence[Wanted], seen: t.Mapping[str, Volume]) -> Room:
    """The pool's space once the volumes that go have gone."""
    room = volumes.room()
    for wish in wanted:
        if not wish.present and wish.name in seen:
            room.give(seen[wish.name])
    return room


def volume_steps(
    volumes: Volumes,
    wanted: t.Sequence[Wanted],
    seen: t.Mapping[str, Volume],
    allow: t.Collection[str],
) -> t.Iterator[tuple[str, Steps]]:
    """For each wish, by name, the way to it; ``volume_faults`` has been asked before.

    Removals come first, so that what they free can be used.
    """
    going = [seen[wish.name] for wish in wanted if not wish.present and wish.name in seen]
    staying = [volume for volume in seen.values() if volume not in going]
    for volume in volumes.removal(list(_top_first(going))):
        yield volume.name, _remove(volumes, volume, staying)
    room = _freed(volumes, wanted, seen)
    for wish in wanted:
        if wish.present:
            yield wish.name, _want(volumes, wish, seen.get(wish.name), room, allow)


def _want(
    volumes: Volumes, wish: Wanted, there: Volume | None, room: Room, allow: t.Collection[str]
) -> Steps:
    capacity, allocation = _sizes(volumes, wish, there, room)
    if there is None:
        room.take(volumes.cost(wish, capacity, allocation), wish, None)
        yield from volumes.create(wish, capacity, allocation)
        return
    own = there.capacity
    if capacity < own and "shrink" not in allow:
        raise Refused(
            f"Nothing was changed: volume {there.name} has {show(own)}, and {show(capacity)} is "
            f"less. Write capacity: {show(own)} to keep it, or consent with allow: [shrink] to cut "
            "off its end."
        )
    if capacity != own:
        if capacity < own:
            _unused(there)
        room.take(volumes.cost(wish, capacity, 0) - volumes.cost(wish, own, 0), wish, there)
        yield from volumes.resize(there, capacity)
    yield from volumes.allocate(there, allocation)
    yield from files.permissions(there.path, wish.permissions, there.permissions)


def _sizes(volumes: Volumes, wish: Wanted, there: Volume | None, room: Room) -> tuple[int, int]:
    """Capacity and allocation in bytes; what is not given stays as it is."""
    own = there.capacity if there else 0
    step = volumes.step(there.format if there else wish.format or "raw")
    capacity = _bytes(wish.capacity, room, wish, there, step) if wish.capacity else own
    return capacity, _bytes(wish.allocation, room, wish, there, 1)


def _top_first(volumes: t.Sequence[Volume]) -> t.Iterator[Volume]:
    """The volumes, each before the one that it is based on."""
    left = list(volumes)
    while left:
        below = {volume.backing_path for volume in left}
        top = [volume for volume in left if volume.path not in below] or left
        yield from top
        left = [volume for volume in left if volume not in top]


def _remove(volumes: Volumes, there: Volume, staying: t.Sequence[Volume]) -> Steps:
    _unused(there)
    above = [volume.name for volume in staying if volume.backing_path == there.path]
    if above:
        raise Refused(
            f"Nothing was changed: volume {there.name} is not removed, because "
            f"{', '.join(above)} is based on it. Remove that first."
        )
    yield from volumes.delete(there)


def _unused(volume: Volume) -> None:
    if volume.users:
        raise Refused(
            f"Nothing was changed: volume {volume.name} is in use: {', '.join(volume.users)}. "
            "Stop what uses it, then run the task again."
        )


def _bytes(size: Size | None, room: Room, wish: Wanted, there: Volume | None, step: int) -> int:
    """A wish in bytes; what the volume has already counts as free to itself."""
    if size is None:
        return 0
    if not size.relative:
        return round_up(size.bytes, step)
    own = there.capacity if there else 0
    of = room.free_for(wish, there) + own if size.free else room.total
    return int(of * size.share) // step * step
