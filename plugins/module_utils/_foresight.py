# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tasks before this one would have left, had they not only looked.

In check mode the action plugin keeps of each task what it foresees of its pool, and hands that to
the tasks after it.  Without check mode there is never anything.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, field, replace

from ._host import Reader
from ._model import Pool, Seen, Stored, Volume
from ._options import plain_path
from ._pools.base import Backend
from ._registry import Registry
from ._run import Unforeseen
from ._tools import block
from ._volumes.base import Volumes
from ._xml import poolxml


@dataclass(frozen=True)
class Left:
    """What would be left of a pool.

    ``xml`` is its definition, "" where it is forgotten, ``None`` where no task is about that, and
    ``was`` what it was before it is left or stopped.
    ``given`` are the options of its type, ``made`` tells whether its storage is new, and so empty,
    and ``grown`` whether it is another than can be seen now.
    ``volumes`` are those that would be made, changed or removed in ``folder``, and ``rows`` what
    was said of new ones that a task could as well have said itself.  ``blank`` are the numbers of
    the devices that would hold nothing any more.  ``devices`` are those of ``volumes``, by each
    path: as `Reader.foreseen` of one that would be new and blank, nothing of what cannot be told.
    ``unknown`` says why nothing can be told of the pool.
    """

    xml: str | None = None
    was: str = ""
    given: t.Mapping[str, t.Any] = field(default_factory=dict)
    autostart: bool = False
    active: bool = False
    made: bool = False
    grown: bool = False
    volumes: t.Sequence[str] = ()
    folder: str = ""
    rows: t.Sequence[t.Mapping[str, t.Any]] = ()
    blank: t.Sequence[str] = ()
    devices: t.Mapping[str, t.Sequence[t.Any]] = field(default_factory=dict)
    unknown: str = ""

    @property
    def volumes_are_told(self) -> bool:
        return {row["name"] for row in self.rows} >= set(self.volumes)


class Foresight:
    def __init__(self, control: t.Mapping[str, t.Any]) -> None:
        found = control.get("foreseen") or {}
        self._pools = {name: Left(**left) for name, left in found.items()}

    def on(self, host: Reader) -> Reader:
        """The host with the blank devices that there would be."""
        devices = self._devices().items()
        host.foreseen = {path: (what[0], what[1]) for path, what in devices if what}
        return host

    def of(self, name: str) -> Left | None:
        """What would be left of a pool; ``None`` where no task was about it."""
        left = self._pools.get(name)
        if left and left.unknown:
            raise Unforeseen(f"what comes of pool {name} cannot be told, because {left.unknown}")
        return left

    def stored(self, host: Reader, registry: Registry, name: str) -> Stored:
        """What would be registered under a name."""
        left, stored = self.of(name), registry.look(host, name)
        if left is None or left.xml is None:
            return stored
        pool = poolxml.parse(left.xml) if left.xml else None
        active = left.active if registry.daemon else None
        return Stored(pool, left.xml, left.autostart, active, secret=stored.secret)

    def names(self, host: Reader, registry: Registry) -> list[str]:
        """The names of all pools that would be defined."""
        told = {name: left.xml for name, left in self._pools.items() if left.xml is not None}
        known = [name for name in registry.names(host) if name not in told]
        return sorted([*known, *(name for name, xml in told.items() if xml)])

    def others(self, host: Reader, registry: Registry, name: str) -> list[Pool]:
        """All other pools, as they would be."""
        known = {each for each, left in self._pools.items() if left.xml is not None}
        found = [pool for pool in registry.others(host, name) if pool.name not in known]
        for each, left in self._pools.items():
            if left.xml and each != name:
                pool = poolxml.parse(left.xml)
                named = tuple(left.given.get("devices") or pool.devices)
                found.append(replace(pool, devices=named))
        return found

    def running(self, host: Reader, registry: Registry) -> list[str]:
        """The names of all pools that libvirtd would have active."""
        told = {name: left.active for name, left in self._pools.items() if left.xml is not None}
        known = [name for name in registry.running(host) if name not in told]
        return [*known, *(name for name, active in told.items() if active and registry.daemon)]

    def given(self, name: str) -> t.Mapping[str, t.Any]:
        """The options of its type that a task gives of a pool."""
        left = self.of(name)
        return left.given if left else {}

    def probe(self, host: Reader, backend: Backend[t.Any]) -> t.Any:
        """What a probe of a pool would see."""
        name = backend.pool.name
        left = self.of(name)
        if left and left.volumes and backend.given.get("state") == "deleted":
            raise _later(f"what pool {name} holds")
        if left is None or left.xml is None:
            self._builds_on(host, backend)
            return backend.probe(host)
        seen = self._made(host, backend, left) if left.made else backend.probe(host)
        if seen is None or not left.xml or (left.active and seen.active is False):
            raise _later(f"what pool {name} holds")
        return replace(seen, active=left.active if seen.active is not None else None)

    def _made(self, host: Reader, backend: Backend[t.Any], left: Left) -> t.Any:
        """What a probe would see of a pool that a task before would make."""
        options = {key: backend.given.get(key) for key in backend.options}
        if any(value not in (None, left.given.get(key)) for key, value in options.items()):
            return None
        return type(backend)(poolxml.parse(left.xml or ""), left.given).foreseen(host)

    def _builds_on(self, host: Reader, backend: Backend[t.Any]) -> None:
        """Raises `Unforeseen` where what a pool is made of, or holds, would be another by then."""
        if not self._pools:
            return
        pool = backend.pool
        for left in self._pools.values():
            other = poolxml.parse(left.xml or left.was) if left.xml or left.was else None
            mounted = other and other.type in ("fs", "netfs") and not left.made
            if other and mounted and pool.path.startswith(f"{other.path}/"):
                raise _later(f"what is in {other.path}")
            if other and left.was and backend.leaving and _is_on(other, pool):
                raise _later(f"what pool {pool.name} holds without pool {other.name}")
        paths = [*backend.pool.devices, *(backend.given.get("devices") or ())]
        folders = [poolxml.parse(left.xml).path for left in self._pools.values() if left.xml]
        blank = {number for left in self._pools.values() for number in left.blank}
        unsure = {path for path, what in self._devices().items() if not what} | blank
        for path in (path for path in paths if path.startswith("/dev/")):
            there = block.find(host, path)
            made = not there and any(path.startswith(f"{folder}/") for folder in folders)
            names = {*block.names(host, path), (there and there.number) or path}
            foreseen = there and there.foreseen and not backend.on_foreseen
            if made or foreseen or names & unsure:
                raise _later(f"what is on {path}")

    def _devices(self) -> dict[str, t.Sequence[t.Any]]:
        return {
            path: () if left.unknown else what
            for left in self._pools.values()
            for path, what in left.devices.items()
        }

    def volumes(
        self, host: Reader, volumes: Volumes, name: str, seen: Seen, users: bool
    ) -> list[Volume]:
        """The volumes of a pool that there would be."""
        left = self.of(name)
        volumes.foretold = left.volumes if left else ()
        if left and left.made:
            volumes.foresee(host, seen)
            return []
        return volumes.look(host, users=users)

    def earlier(
        self, name: str, rows: t.Sequence[t.Mapping[str, t.Any]], purge: bool
    ) -> list[t.Mapping[str, t.Any]]:
        """What tasks before say of volumes that they would make, and that come before ``rows``.

        Raises `Unforeseen` where that is not enough to tell what those would find.
        """
        left = self.of(name) or Left()
        told = {row["name"]: row for row in left.rows}
        below = {volume for row in left.rows for _pool, volume in self._needed(row, name)}
        # Where one is not known, or others go, those that are cannot be planned once more.
        adds = not purge and all(row["state"] == "present" and row["name"] for row in rows)
        whole = adds and left.volumes_are_told
        unknown = set() if whole else set(left.volumes)
        for row in rows:
            other = told.get(row["name"], row) != row or row["name"] in unknown
            if other or (row["state"] == "absent" and row["name"] in below):
                raise _later(f"volume {row['name']} of pool {name}")
            # Another task goes by what is there, where the same one would know it from the wish.
            looks = row["backing"] and not row["backing"].get("format")
            for pool, volume in self._needed(row, name) if row not in left.rows else ():
                if pool != name or volume in unknown or looks:
                    self.read(pool, volume)
        # What a file really takes of its file system is seen only then.
        sure = not unknown and (left.devices or not told) and not _is_new_filesystem(left)
        if (left.grown or not sure) and (purge or any(map(_depends_on_others, rows))):
            raise _later(f"the room that is left in pool {name}")
        return [*told.values()] if whole else []

    def sure(self, name: str) -> None:
        """Raises `Unforeseen` where a fault need not be one by then."""
        left = self.of(name)
        if left and (left.grown or not left.volumes_are_told):
            raise _later(f"what pool {name} has room for")

    def read(self, name: str, volume: str) -> None:
        """Raises `Unforeseen` where a volume is another by then."""
        left = self.of(name)
        if left and volume in left.volumes:
            raise _later(f"volume {volume} of pool {name}")

    def read_path(self, host: Reader, path: str) -> None:
        """Raises `Unforeseen` where what a path leads to is another by then."""
        for pool, volume in self._at(path):
            self.read(pool, volume)
        if path.startswith("/dev/") and block.number(host, path) in self._devices():
            raise _later(f"what is on {path}")

    def _needed(self, row: t.Mapping[str, t.Any], own: str) -> t.Iterator[tuple[str, str]]:
        """The volumes that a row builds on, with their pools."""
        lvm = row.get("lvm") or {}
        yield from ((own, lvm[key]) for key in ("thin_pool", "origin") if lvm.get(key))
        for named in (row.get(key) or {} for key in ("backing", "clone_from")):
            if named.get("volume"):
                yield named.get("pool") or own, named["volume"]
            yield from self._at(named.get("path") or "")

    def _at(self, path: str) -> t.Iterator[tuple[str, str]]:
        """The volumes that a path can be of, with the pools that tasks before have."""
        folder, slash, name = plain_path(path).rpartition("/")
        for pool, left in self._pools.items():
            if slash and left.folder == folder:
                yield pool, name

    def with_pool(self, name: str, left: Left, gone: bool) -> dict[str, t.Any]:
        """What the tasks after one on a pool are told, with what those before it leave in it."""
        there = self._pools.get(name)
        if there and not gone:
            # What does not run has no devices.
            devices = there.devices if left.active else dict.fromkeys(there.devices, ())
            left = replace(
                left,
                made=left.made or (there.made and bool(left.xml)),
                grown=left.grown or there.grown,
                given={**there.given, **left.given},
                volumes=there.volumes,
                folder=there.folder,
                rows=there.rows,
                devices=devices,
            )
        return told(name, left)

    def with_volumes(
        self,
        pool: Pool,
        touched: t.Sequence[str],
        rows: t.Sequence[t.Mapping[str, t.Any]],
        devices: t.Mapping[str, t.Sequence[t.Any]],
    ) -> dict[str, t.Any]:
        """What the tasks after one on volumes are told, which would touch some."""
        left = self.of(pool.name) or Left()
        again = [row for row in left.rows if row["name"] not in touched]
        return told(
            pool.name,
            replace(
                left,
                folder=pool.path,
                volumes=[*left.volumes, *touched],
                rows=[*again, *rows],
                devices={**left.devices, **devices},
            ),
        )


def _depends_on_others(row: t.Mapping[str, t.Any]) -> bool:
    return "%" in str(row.get("capacity")) or not row["name"]


def _is_new_filesystem(left: Left) -> bool:
    return bool(left.made and left.xml) and poolxml.parse(left.xml or "").type == "fs"


def _is_on(other: Pool, pool: Pool) -> bool:
    """Whether a pool is made of volumes of another one, going by their names."""
    folder = pool.devices[0] if pool.type == "disk" and pool.devices else f"{pool.path}/"
    return any(path.startswith(folder) for path in (other.path, *other.devices))


def _later(what: str) -> Unforeseen:
    return Unforeseen(f"{what} is not known before a task before this one is carried out")


def told(name: str, left: Left) -> dict[str, t.Any]:
    """What the action plugin keeps of a task."""
    return {name: asdict(left)}
