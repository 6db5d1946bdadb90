# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which steps lead from what was seen to what is wanted: the life of a pool and of volumes.

Everything here is pure: it gets what has been looked at, and yields actions.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ._model import UNFINISHED, Pool, Refused, Secret, Seen, Source, Stored, Volume
from ._plan import Steps
from ._pools.base import Backend
from ._registry import Kept, Registry
from ._size import Size, round_up, show
from ._tools import luks, virsh
from ._volumes.base import Room, Volumes, Wanted

# What volumes are based on: paths, or files by device and inode.
_Key = t.Union[str, t.Tuple[int, int]]
_Above = t.Mapping[_Key, t.Sequence[Volume]]


@dataclass(frozen=True)
class Wish:
    """What a task wants of a pool's life; the meaning of the words is in the option docs.

    With ``stopped`` a pool that is new is to be inactive.
    """

    state: str
    build: str = "auto"
    autostart: bool = True
    refresh: bool = True
    stopped: bool = False

    @property
    def reaches(self) -> bool:
        """Whether the pool is to be there, rather than left."""
        return self.state in ("present", "active")


@dataclass(frozen=True)
class Left:
    """A place that a pool leaves for another one: what it is there, and the places in words.

    With ``along`` the storage is the same at both places.
    """

    backend: Backend[t.Any]
    seen: Seen
    old: str
    new: str
    along: bool

    @property
    def warnings(self) -> tuple[str, ...]:
        name = self.backend.pool.name
        text = (
            f"pool {name} moves from {self.old} to {self.new}: what it has there stays there, "
            "untouched, and is no longer part of the pool."
        )
        return () if self.along else (text,)


def pool_steps(
    backend: Backend[t.Any],
    registry: Registry,
    stored: Stored,
    seen: Seen,
    wish: Wish,
    left: Left | None = None,
) -> Steps:
    """The way of a pool to the wanted state; empty where it is there already."""
    if left:
        yield from _move(backend, registry, stored, seen, wish, left)
    elif wish.reaches:
        yield from _reach(backend, registry, stored, seen, wish)
        if wish.stopped:
            yield from _stop(backend, registry, stored, seen)
    elif wish.state == "inactive":
        yield from _stop(backend, registry, stored, seen)
        if stored.pool:
            yield from _autostart(backend, registry, stored, seen, wish.autostart)
    else:
        yield from _leave(backend, registry, stored, seen, wish.state == "deleted")


def _move(
    backend: Backend[t.Any], registry: Registry, stored: Stored, seen: Seen, wish: Wish, left: Left
) -> Steps:
    """The pool is stopped where it is, and goes on elsewhere; its storage stays."""
    for action in _stop(left.backend, registry, stored, left.seen):
        yield replace(action, risk=action.risk or "interrupt")
    yield from left.backend.boot(left.seen, False, registry.daemon)
    ran = bool(left.seen.active or stored.active)
    stopped = replace(stored, active=stored.active and False, listing=None, volumes=())
    wish = replace(wish, state="active") if ran else wish
    seen = backend.without(seen, left.seen)
    defining = list(registry.define(kept(backend, seen, stored), stored))
    for action in _reach(backend, registry, stopped, seen, wish):
        if action in defining:
            text = f"move pool {backend.pool.name} from {left.old} to {left.new}"
            yield replace(action, text=text, risk="interrupt")
        else:
            yield action


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
    if wish.state == "active" and False in (seen.active, stored.active):
        yield from backend.prove(seen, registry.daemon)
    keep = kept(backend, seen, stored)
    yield from registry.secret(keep, backend.password, stored)
    yield from registry.define(keep, stored)
    yield from _run(backend, registry, stored, seen, wish)
    yield from _autostart(backend, registry, stored, seen, wish.autostart)


def _run(
    backend: Backend[t.Any], registry: Registry, stored: Stored, seen: Seen, wish: Wish
) -> Steps:
    """Starts what does not run, or lets libvirtd see what it has not seen."""
    started = False
    if wish.state == "active" and seen.active is False:
        started = True
        yield from backend.start(seen, registry.daemon)
    if wish.state == "active" and stored.active is False:
        yield from registry.start(backend.pool.name)
    elif (
        wish.refresh
        and stored.active
        and (started or seen.news or not listed(stored, _shown(seen)))
    ):
        yield from registry.refresh(backend.pool.name)


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
    if stored.active:
        backend.daemon_stops(seen)
    if seen.active:
        yield from backend.stop(seen, bool(stored.active))
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


def _shown(seen: Seen) -> t.Sequence[Volume]:
    """The volumes that libvirt shows."""
    return seen.volumes if seen.shown is None else seen.shown


def listed(stored: Stored, volumes: t.Iterable[Volume]) -> bool:
    """Whether libvirt's view of the volumes is the one that it would have now.

    Unfinished files, which come and go, do not count.
    """
    if stored.listing is None:
        return True
    there = {volume.name: volume for volume in volumes if volume.listed}
    rows = {virsh.row(volume.name, volume.path) for volume in there.values()}
    return {row for row in stored.listing if not row.startswith(UNFINISHED)} == rows and all(
        known.name not in there or _facts(known) == _facts(there[known.name])
        for known in stored.volumes
    )


def _facts(volume: Volume) -> tuple[t.Any, ...]:
    """What is another device, or another one to a guest, though its name is the same."""
    may = volume.permissions
    return volume.key, volume.capacity, may.mode, may.owner, may.group


def volume_faults(
    pool: Pool, volumes: Volumes, wanted: t.Sequence[Wanted], seen: t.Mapping[str, Volume]
) -> t.Iterator[str]:
    """What is impossible about wishes in this pool, before anything is done."""
    room, going = _freed(volumes, wanted, seen), _going(volumes, wanted, seen)
    for wish in wanted:
        if wish.present:
            yield from volumes.faults(wish)
            yield from _file_faults(pool, volumes, wish)
            yield from _source_faults(wish, going)
            if wish.lvm and not volumes.logical:
                yield f"{wish.name}: lvm describes a logical volume, and pool {pool.name} has none"
            yield from _wish_faults(pool, volumes, wish, seen.get(wish.name), room)


def _file_faults(pool: Pool, volumes: Volumes, wish: Wanted) -> t.Iterator[str]:
    """What only files have, and these are none."""
    said = {**vars(wish.target), "backing": wish.below}
    for key, value in said.items():
        if not volumes.images and value not in (None, "", 0, False):
            yield f"{wish.name}: {key} is for files, and the volumes of pool {pool.name} are none"


def _going(
    volumes: Volumes, wanted: t.Sequence[Wanted], seen: t.Mapping[str, Volume]
) -> dict[_Key, str]:
    """The names of the volumes that are removed, by what they are to the kernel."""
    names = (wish.name for wish in wanted if not wish.present and wish.name in seen)
    return {thing.identity: name for name in names for thing in volumes.things(seen[name])}


def _source_faults(wish: Wanted, going: t.Mapping[_Key, str]) -> t.Iterator[str]:
    """What is removed comes first, and so would what another volume is filled from."""
    thing = wish.content.thing if wish.content else None
    if thing and thing.identity in going:
        yield (
            f"{wish.name}: is to be filled from {going[thing.identity]}, which the same task "
            "removes. Remove it in a task of its own, later"
        )


def _wish_faults(
    pool: Pool, volumes: Volumes, wish: Wanted, there: Volume | None, room: Room
) -> t.Iterator[str]:
    if wish.seed:
        yield from _seed_faults(volumes, wish, there)
        return
    sized = volumes.sized(wish.format)
    known = there or wish.capacity or wish.like or volumes.implied(wish)
    if sized and not known:
        yield f"{wish.name}: is not there, and capacity does not say how large it is to be"
        return
    if there and wish.encryption:
        yield from luks.faults(wish.encryption, there)
    if there and wish.format and not volumes.same(there, wish.format):
        yield (
            f"{wish.name}: is a {there.format} volume, and {wish.format} is wanted. Leave "
            "format out to keep it, or remove it with state: absent first"
        )
    elif there:
        yield from volumes.differs(wish, there)
    if sized:
        yield from _space_faults(pool, volumes, wish, there, room)


def _seed_faults(volumes: Volumes, wish: Wanted, there: Volume | None) -> t.Iterator[str]:
    if not volumes.seeds:
        yield f"{wish.name}: a seed is a file, and is made only in a pool whose volumes are files"
    elif there and there.seed is None:
        yield (
            f"{wish.name}: is there, and is no seed of cloud-init. Give another name, or remove it "
            "with state: absent first"
        )


def _space_faults(
    pool: Pool, volumes: Volumes, wish: Wanted, there: Volume | None, room: Room
) -> t.Iterator[str]:
    capacity, allocation = _sizes(volumes, wish, there, room)
    content = wish.content
    inside = capacity - volumes.header(wish)
    if content and (wish.capacity or there) and inside < content.capacity:
        yield (
            f"{wish.name}: capacity {show(inside)} is less than the {show(content.capacity)} of "
            f"{content.shown}"
        )
    if capacity <= 0 and (wish.capacity or not (there or wish.like)):
        yield f"{wish.name}: nothing of pool {pool.name} is free for it"
        return
    if allocation > capacity > 0:
        yield f"{wish.name}: allocation {show(allocation)} is more than capacity {show(capacity)}"
    fault = room.take(_cost(volumes, wish, there, capacity, allocation), wish, there)
    if fault:
        yield f"{wish.name}: {fault}"


def _cost(
    volumes: Volumes, wish: Wanted, there: Volume | None, capacity: int, allocation: int
) -> int:
    if there:
        return volumes.more(wish, there, capacity, allocation)
    return volumes.cost(wish, capacity, allocation)


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
    names = dict.fromkeys(wish.name for wish in wanted if not wish.present and wish.name in seen)
    staying = [volume for volume in seen.values() if volume.name not in names]
    above = _above([*staying, *_coming(wanted, seen)])
    wipes = {wish.name: wish.wipe for wish in wanted}
    for volume in volumes.removal(_top_first([seen[name] for name in names])):
        yield volume.name, _remove(volumes, volume, above, wipes[volume.name])
    room = _freed(volumes, wanted, seen)
    for wish in wanted:
        if wish.present:
            there = seen.get(wish.name)
            yield wish.name, _want(volumes, wish, there, room, allow, above)


def settled(
    volumes: Volumes, wanted: t.Sequence[Wanted], seen: t.Mapping[str, Volume]
) -> list[Wanted]:
    """The wishes, each in the order of the list filled from what the ones before have left.

    What is equal already to what it is to be kept equal to is filled only where that changes.
    """
    if not any(wish.content for wish in wanted):
        return list(wanted)
    room, going, found = _freed(volumes, wanted, seen), _going(volumes, wanted, seen), []
    done: dict[_Key, _Made] = {}
    for wish in wanted:
        if wish.content:
            origin = _origin(wish, wish.content)
            left = _left(volumes, wish.content, done.get(origin), origin in going)
            wish = replace(wish, content=left)
        found.append(wish)
        if wish.present:
            there = seen.get(wish.name)
            made = _Made(wish, there, _placed(volumes, wish, there, room)[0])
            done[wish.name] = made
            for thing in volumes.things(there) if there else ():
                done[thing.identity] = made
    return found


class _Made(t.NamedTuple):
    """A volume behind a wish for it."""

    wish: Wanted
    there: Volume | None
    capacity: int

    @property
    def changed(self) -> bool:
        old = self.there.capacity if self.there else 0
        return self.wish.content is not None or self.capacity != old


def _left(volumes: Volumes, source: Source, made: _Made | None, going: bool) -> Source | None:
    """What a volume is filled from, once that has been made what is wanted of it."""
    if source.equal and not going and not (made and made.changed):
        return None
    return volumes.settled(source, *made) if made else source


def _origin(wish: Wanted, source: Source) -> _Key:
    """What tells which volume of its pool a wish is filled from; "" where it is none."""
    if wish.origin and wish.origin.volume:
        return "" if wish.origin.pool else wish.origin.volume
    return source.thing.identity if source.thing else ""


def capacities(
    volumes: Volumes, wanted: t.Sequence[Wanted], seen: t.Mapping[str, Volume]
) -> dict[str, int]:
    """What new volumes get, by name; ``volume_faults`` has been asked before."""
    room, found = _freed(volumes, wanted, seen), {}
    for wish in wanted:
        if wish.present:
            found[wish.name] = _placed(volumes, wish, seen.get(wish.name), room)[0]
    return found


class Secrets:
    """What libvirtd knows of the passphrases of a pool's volumes, by the paths that they have."""

    def __init__(self, registry: Registry, pool: Pool, known: t.Mapping[str, Kept]) -> None:
        self.registry, self.pool, self.known = registry, pool, known

    def _of(self, name: str) -> Kept | None:
        return self.known.get(f"{self.pool.path}/{name}")

    def named(self, seen: t.Mapping[str, Volume]) -> dict[str, Volume]:
        """What is seen, with the secret of what is encrypted."""
        found = dict(seen)
        for name, there in seen.items():
            own, secret = there.encryption, self._of(name)
            if own and secret and not own.secrets:
                named = replace(own, secrets=(Secret(uuid=secret.uuid),))
                found[name] = replace(there, encryption=named)
        return found

    def steps(self, volumes: Volumes, wish: Wanted, there: Volume | None) -> Steps:
        """What makes libvirtd know how a volume is opened, or forget it.

        A passphrase takes the place of another one only where it is seen to be right, because that
        may be the only copy.
        """
        secret, said = self._of(wish.name), wish.encryption
        if secret and not wish.present:
            yield from self.registry.unsay(self.pool, wish.name, secret)
        if said and not said.secrets:
            steps = list(self.registry.whisper(self.pool, wish.name, said.passphrase, secret))
            if steps and there:
                yield from volumes.unlock(there)
            yield from steps


def _want(
    volumes: Volumes,
    wish: Wanted,
    there: Volume | None,
    room: Room,
    allow: t.Collection[str],
    above: _Above,
) -> Steps:
    capacity, allocation = _placed(volumes, wish, there, room)
    if there is None:
        yield from volumes.create(wish, capacity, allocation)
        return
    if capacity != there.capacity:
        yield from _resize(volumes, there, capacity, allow, above)
    if wish.content and not there.mark:
        yield from volumes.overwrite(wish, wish.content, there, capacity)
    yield from volumes.finish(wish, there, capacity)
    yield from volumes.amend(there, wish)
    yield from volumes.retype(there, wish.format)
    yield from volumes.allocate(there, allocation)
    yield from volumes.permit(there, wish.permissions)
    yield from volumes.reseed(there, wish)


def _resize(
    volumes: Volumes, there: Volume, capacity: int, allow: t.Collection[str], above: _Above
) -> Steps:
    own = there.capacity
    volumes.resizable(there, capacity)
    if capacity < own and "shrink" not in allow:
        raise Refused(
            f"Nothing was changed: volume {there.name} has {show(own)}, and {show(capacity)} is "
            f"less. Write capacity: {show(own)} to keep it, or consent with allow: [shrink] to cut "
            "off its end."
        )
    if capacity < own:
        _unused(there)
        _bare(there, above, "shrunk")
    yield from volumes.resize(there, capacity)


def _placed(volumes: Volumes, wish: Wanted, there: Volume | None, room: Room) -> tuple[int, int]:
    """Capacity and allocation in bytes of a wish that has room, which is taken."""
    capacity, allocation = _sizes(volumes, wish, there, room)
    room.take(_cost(volumes, wish, there, capacity, allocation), wish, there)
    return capacity, allocation


def _sizes(volumes: Volumes, wish: Wanted, there: Volume | None, room: Room) -> tuple[int, int]:
    """Capacity and allocation in bytes; what is not given stays as it is."""
    like = None if there else wish.like
    size, header = wish.capacity, volumes.header(wish)
    own = there.capacity if there else volumes.implied(wish) + header
    step = round_up(volumes.grain(there, wish), 512 if wish.encryption else 1)  # LUKS has sectors
    if size and not size.relative:
        size = replace(size, bytes=size.bytes + header)
    capacity = _bytes(size, room, wish, there, step) if size else own
    capacity = round_up(capacity, step) if like else capacity
    return capacity, _bytes(wish.allocation, room, wish, there, 1)


def _keys(volume: Volume) -> set[_Key]:
    """What a volume is known by to those that are based on it."""
    files = {file.identity for file in (volume.file, volume.real) if file}
    return {volume.path, *files}


def _above(volumes: t.Iterable[Volume]) -> _Above:
    """The volumes, by what they are based on."""
    found: dict[_Key, list[Volume]] = {}
    for volume in volumes:
        below = (file.identity for file in volume.below)
        paths = {path for path in (volume.backing_path, volume.within) if path}
        keys: set[_Key] = {*below, *paths}
        for key in keys:
            found.setdefault(key, []).append(volume)
    return found


def _coming(wanted: t.Sequence[Wanted], seen: t.Mapping[str, Volume]) -> t.Iterator[Volume]:
    """The volumes that are to be made, with no more than what they are based on."""
    for wish in wanted:
        if wish.target.backing and wish.name not in seen:
            yield Volume(wish.name, backing_path=wish.target.backing.path)


def _based_on(volume: Volume, above: _Above) -> dict[str, Volume]:
    found = (each for key in _keys(volume) for each in above.get(key, ()))
    return {each.name: each for each in found if each.name != volume.name}


def _top_first(volumes: t.Sequence[Volume]) -> list[Volume]:
    """The volumes, each before what it is based on."""
    above = _above(volumes)
    waiting = {volume.name: _based_on(volume, above) for volume in volumes}
    below: dict[str, list[Volume]] = {volume.name: [] for volume in volumes}
    for volume in volumes:
        for name in waiting[volume.name]:
            below[name].append(volume)
    first = [volume for volume in volumes if not waiting[volume.name]]
    for volume in first:
        for base in below[volume.name]:
            del waiting[base.name][volume.name]
            if not waiting[base.name]:
                first.append(base)
    return first + [volume for volume in volumes if waiting[volume.name]]  # based on each other


def _remove(volumes: Volumes, there: Volume, above: _Above, wipe: str) -> Steps:
    _unused(there)
    _bare(there, above, "removed")
    if wipe:
        yield from volumes.wipe(there, wipe)
    yield from volumes.delete(there)


def _bare(there: Volume, above: _Above, what: str) -> None:
    names = sorted(_based_on(there, above))
    if names:
        raise Refused(
            f"Nothing was changed: volume {there.name} is not {what}, because "
            f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} based on it. Remove "
            f"{'that' if len(names) == 1 else 'those'} first."
        )


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
