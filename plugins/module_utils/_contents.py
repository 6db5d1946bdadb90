# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the volumes of a task are filled with and based on, found in order: one can be another's."""

from __future__ import annotations

import functools
import typing as t
from dataclasses import replace

from ._host import Reader
from ._model import Backing, Refused, Source, Volume
from ._volumes import backing, content
from ._volumes.base import Below, Volumes, Wanted, behind
from ._volumes.content import Origin
from ._volumes.files import Files

# The volumes of another pool, and what was seen of them, by the pool's name.
Find = t.Callable[[str], t.Tuple[Volumes, t.Mapping[str, Volume]]]
# The name of the other pool that has a directory, or "".
Owner = t.Callable[[str], str]


class Contents:
    """The contents of wishes for volumes of one pool; ``seen`` are those that it has."""

    def __init__(
        self,
        host: Reader,
        volumes: Volumes,
        seen: t.Mapping[str, Volume],
        wanted: t.Sequence[Wanted],
        find: Find,
        owner: Owner,
    ) -> None:
        self.host = host
        self.volumes = volumes
        self.seen = seen
        self.find = find
        self.owner = owner
        self.wishes = {wish.name: wish for wish in wanted if wish.name}
        self.found: dict[str, Wanted] = {}
        self.under_way: list[str] = []

    def of(self, wish: Wanted) -> Wanted:
        """The wish with what it is based on and, if it is to be made, its content."""
        if wish.name in self.found:
            return self.found[wish.name]
        if wish.origin is None and wish.below is None:
            return wish
        if wish.name in self.under_way:
            circle = " from ".join([*self.under_way, wish.name])
            raise Refused(f"Nothing was changed: a circle of volumes: {circle}. Break it.")
        self.under_way.append(wish.name)
        full = wish
        if wish.below and isinstance(self.volumes, Files):
            found = self._backing(wish, wish.below, self.volumes.path)
            full = replace(full, target=replace(wish.target, backing=found))
        full = replace(full, content=self._content(full, self.seen.get(wish.name)))
        self.under_way.pop()
        if wish.name:
            self.found[wish.name] = full
        return full

    @functools.cached_property
    def _things(self) -> dict[t.Any, str]:
        """The names of the volumes, by what they are to the kernel."""
        volumes = self.seen.items()
        return {each.identity: name for name, v in volumes for each in self.volumes.things(v)}

    def _content(self, wish: Wanted, there: Volume | None) -> Source | None:
        """What a volume is to be filled from, if it is to be new or kept equal to something."""
        origin, filled = wish.origin, there and not there.mark
        if origin is None or (filled and not origin.sync):
            return None
        source = self._source(wish, origin)
        if there and filled and content.equal(self.host, source, there):
            return replace(source, equal=True)
        return source

    def ordered(self, wanted: t.Sequence[Wanted]) -> list[Wanted]:
        """The wishes as they are listed, but each behind that for what it is made from."""
        return behind(wanted, self._needs)

    def _needs(self, wish: Wanted) -> t.Iterator[str]:
        """The volumes of this pool that a wish is cloned from, kept equal to or based on."""
        if wish.origin and not wish.origin.pool:
            yield wish.origin.volume
        if wish.origin and wish.origin.sync and wish.content and wish.content.thing:
            yield self._things.get(wish.content.thing.identity, "")
        if wish.below and not wish.below.pool and isinstance(self.volumes, Files):
            place, name = wish.below.path.rpartition("/")[::2]
            yield wish.below.volume or (name if place == self.volumes.path else "")

    def _backing(self, wish: Wanted, below: Below, folder: str) -> Backing:
        """What an image is to be based on."""
        place, name = below.path.rpartition("/")[::2]
        if place == folder and name in {*self.seen, *self.wishes}:
            below = replace(below, volume=name, path="")
        elif below.path and not below.format and self.owner(place):
            # What a guest can write to is not asked what it is, by whatever name.
            below = replace(below, volume=name, path="", pool=self.owner(place))
        if below.path:
            return self._whole(wish, backing.on_path(self.host, wish.name, below))
        volumes, seen = self.find(below.pool) if below.pool else (self.volumes, self.seen)
        other = None if below.pool else self.wishes.get(below.volume)
        base = self.of(other) if other else None
        if below.volume in seen:
            found = backing.on_volume(wish.name, below, volumes, seen[below.volume])
            return self._whole(wish, backing.resized(found, base) if base else found)
        if base and base.present:
            return backing.on_new(wish, below, base, folder)
        pool = f" of pool {below.pool}" if below.pool else ""
        raise Refused(
            f"Nothing was changed: volume {wish.name} is to be based on volume {below.volume}"
            f"{pool}, which is not there. Correct backing, or make it first."
        )

    def _whole(self, wish: Wanted, found: Backing) -> Backing:
        """What an image is to be based on; only of a new one that has to be in order."""
        return found if wish.name in self.seen else backing.whole(self.host, wish.name, found)

    def _source(self, wish: Wanted, origin: Origin) -> Source:
        if not origin.volume:
            return content.found(self.host, origin, wish.name, bool(wish.target.backing))
        if origin.pool:
            volumes, seen = self.find(origin.pool)
            source = self._there(wish, origin, volumes, seen)
            return replace(source, shown=f"{source.shown} of pool {origin.pool}")
        other = self.wishes.get(origin.volume)
        if other and not other.present:
            raise Refused(
                f"Nothing was changed: volume {wish.name} is to be cloned from {origin.volume}, "
                "which the same task removes. Remove it in a task of its own, later."
            )
        if other and origin.volume not in self.seen:
            other = self.of(other)
            backing.cloned_anew(wish, other)
            if other.encryption and wish.capacity and isinstance(self.volumes, Files):
                raise Refused(
                    f"Nothing was changed: volume {wish.name} is to be cloned from {other.name}, "
                    "which the same task encrypts, and how long a file is with its header is not "
                    "known before. Leave capacity out, or clone it in a task of its own, later."
                )
            return self.volumes.made(other, self.volumes.takes(other))
        return self._there(wish, origin, self.volumes, self.seen)

    def _there(
        self, wish: Wanted, origin: Origin, volumes: Volumes, seen: t.Mapping[str, Volume]
    ) -> Source:
        if origin.volume not in seen:
            raise Refused(
                f"Nothing was changed: volume {wish.name} is to be cloned from {origin.shown}, "
                "which is not there. Correct clone_from, or make it first."
            )
        return volumes.source(backing.cloned(wish, seen[origin.volume]))


def unforeseen(wanted: t.Sequence[Wanted]) -> t.Iterator[str]:
    """What a plan cannot tell, in words for whoever only foresees."""
    for wish in wanted:
        if wish.content and wish.content.url:
            yield (
                f"{wish.name}: {wish.content.url} is looked at only when it is fetched. Whether it "
                "is there, has its checksum and is no image that is refused is not foreseen."
            )
