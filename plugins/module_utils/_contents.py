# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the volumes of a task are filled with: found in order, so that one can be another's."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ._host import Reader
from ._model import Refused, Source, Volume
from ._volumes import content
from ._volumes.base import Volumes, Wanted
from ._volumes.content import Origin

# The volumes of another pool, and what was seen of them, by the pool's name.
Find = t.Callable[[str], t.Tuple[Volumes, t.Mapping[str, Volume]]]


class Contents:
    """The contents of wishes for volumes of one pool; ``seen`` are those that it has."""

    def __init__(
        self,
        host: Reader,
        volumes: Volumes,
        seen: t.Mapping[str, Volume],
        wanted: t.Sequence[Wanted],
        find: Find,
    ) -> None:
        self.host = host
        self.volumes = volumes
        self.seen = seen
        self.find = find
        self.wishes = {wish.name: wish for wish in wanted if wish.name}
        self.found: dict[str, Wanted] = {}
        self.under_way: list[str] = []

    def of(self, wish: Wanted) -> Wanted:
        """The wish with its content, if it is to be made and to have one."""
        if wish.name in self.found:
            return self.found[wish.name]
        origin = wish.origin
        if origin is None or wish.name in self.seen:
            return wish
        if wish.name in self.under_way:
            circle = " from ".join([*self.under_way, wish.name])
            raise Refused(f"Nothing was changed: a circle of clones: {circle}. Break it.")
        self.under_way.append(wish.name)
        full = replace(wish, content=self._source(wish, origin))
        self.under_way.pop()
        if wish.name:
            self.found[wish.name] = full
        return full

    def ordered(self, wanted: t.Sequence[Wanted]) -> list[Wanted]:
        """The wishes, each behind that for the volume which it is cloned from."""
        first = [name for name in self.found if name in self.wishes]
        place = {name: number for number, name in enumerate(first)}
        late = sorted((w for w in wanted if w.name in place), key=lambda w: place[w.name])
        return [*(wish for wish in wanted if wish.name not in place), *late]

    def _source(self, wish: Wanted, origin: Origin) -> Source:
        if not origin.volume:
            return content.found(self.host, origin, wish.name)
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
            return self.volumes.made(other, _capacity(other))
        return self._there(wish, origin, self.volumes, self.seen)

    def _there(
        self, wish: Wanted, origin: Origin, volumes: Volumes, seen: t.Mapping[str, Volume]
    ) -> Source:
        if origin.volume not in seen:
            raise Refused(
                f"Nothing was changed: volume {wish.name} is to be cloned from {origin.shown}, "
                "which is not there. Correct clone_from, or make it first."
            )
        return volumes.source(seen[origin.volume])


def _capacity(wish: Wanted) -> int:
    """What a volume that is still to be made will have; 0 where nobody knows yet."""
    if wish.capacity:
        return wish.capacity.bytes
    return wish.content.capacity if wish.content else 0
