# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools that are directories."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .. import _options
from .._host import NoAnswer, Node, Reader
from .._model import File, Pool, Seen
from .._plan import Action, Steps, run
from .._tools import files, fs
from .._volumes.files import Files
from .base import Backend

# Below these, other things live as well; no consent removes one of them as a whole.
_SHARED = (
    "/",
    "/etc",
    "/home",
    "/mnt",
    "/opt",
    "/root",
    "/srv",
    "/tmp",
    "/usr",
    "/var",
    "/var/lib",
)


@dataclass(frozen=True)
class SeenDirectory(Seen):
    """``inside`` are its entries; ``cow`` is "yes", "no", or "" where not asked.

    ``link`` is the target of the path, where that is a symbolic link, and ``stray`` a link in it
    that leads where its owner wants.  ``foreign`` are files that another host makes.
    """

    node: Node | None = None
    there: File | None = None
    link: str = ""
    stray: str = ""
    foreign: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    cow: str = ""


class Dir(Backend[SeenDirectory]):
    type = "dir"
    options: t.ClassVar[_options.Spec] = {
        "path": {"type": "path"},
        "cow": {"type": "bool"},
        **_options.PERMISSIONS,
    }
    required = ("path",)
    formatted = True

    @classmethod
    def define(cls, host: Reader, params: t.Mapping[str, t.Any], pool: Pool) -> Pool:
        return replace(
            pool,
            path=_options.path(params, "path", pool.path),
            cow=_options.yes_no(params, "cow", pool.cow),
            permissions=_options.permissions(host, params, pool.permissions),
        )

    @classmethod
    def faults(cls, params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
        yield from _options.path_faults(params, "path")
        yield from _options.permission_faults(params)

    def described(self, host: Reader, seen: SeenDirectory | None) -> t.Mapping[str, t.Any]:
        pool = self.pool
        there = seen.node.permissions if seen and seen.node else None
        cow = pool.cow if not there or not seen or seen.cow == pool.cow else ""
        return {
            "path": pool.path,
            "cow": _options.flag(cow),
            **_options.described(pool.permissions, there),
        }

    def sources(self, host: Reader, pool: Pool) -> frozenset[str]:
        return fs.directory(host, pool)

    def probe(self, host: Reader) -> SeenDirectory:
        try:
            return self._look(host)
        except NoAnswer as problem:
            # Enough to forget it, even if it is on a server that is dead.
            return SeenDirectory("ready", error=str(problem))

    def foreseen(self, host: Reader) -> SeenDirectory:
        path = self.pool.path
        around = files.there(host, path)
        capacity, available = host.space(around)
        mode = self.pool.permissions.mode or files.DEFAULT_DIRECTORY_MODE
        return SeenDirectory(
            state="ready",
            node=Node("dir", replace(self.pool.permissions, mode=mode), 0),
            there=File(path, 0, 0),
            cow=self.pool.cow,
            capacity=capacity,
            available=available,
            holding=fs.holding(host, around),
        )

    def _look(self, host: Reader) -> SeenDirectory:
        path, stray = self.pool.path, host.stray(self.pool.path)
        node, link = host.node(path), host.link(path)
        if node is None:
            return SeenDirectory("missing", link=link, stray=stray)
        if node.kind != "dir":
            raise self.nothing(
                f"{path}, the directory of pool {self.pool.name}, is there and is not a directory. "
                "Move it away, or name another path."
            )
        capacity, available = host.space(path)
        files_there = self.volumes()
        volumes = tuple(files_there.look(host))
        return SeenDirectory(
            state="ready",
            node=node,
            there=host.file(host.real(path)),
            link=link,
            stray=stray,
            inside=tuple(host.names(path) or []),
            cow=self._cow(host),
            capacity=capacity,
            available=available,
            allocation=capacity - available,
            volumes=volumes,
            foreign=tuple(files_there.foreign),
        )

    def _cow(self, host: Reader) -> str:
        if not self.pool.cow:
            return ""
        flags = host.ask("lsattr", "-d", self.pool.path).split()[0]
        return "no" if "C" in flags else "yes"

    def fit(self, seen: SeenDirectory) -> None:
        if seen.error:
            raise self.nothing(f"{seen.error}.")

    def build(self, seen: SeenDirectory) -> Steps:
        self._led(seen)
        if seen.link:
            raise self.nothing(
                f"{self.pool.path}, the directory of pool {self.pool.name}, is a link to "
                f"{seen.link}, which is not there. Make that, or remove the link."
            )
        yield files.make_directory(self.pool.path, self.pool.permissions)
        if self.pool.cow == "no":
            yield _copy_on_write(self.pool)

    def amend(self, seen: SeenDirectory) -> Steps:
        steps: list[Action] = []
        if seen.node:
            there = seen.node.permissions
            steps += files.permissions(self.pool.path, self.permissions, there, seen.there)
        if self.pool.cow and self.pool.cow != seen.cow:
            steps.append(_copy_on_write(self.pool))
        if steps:
            self._led(seen)
        yield from steps

    def delete(self, seen: SeenDirectory) -> Steps:
        self.fit(seen)
        if seen.there is None:
            return
        self._led(seen)
        why = f"it is a link to {seen.link}" if seen.link else ""
        if seen.foreign:
            why = f"another host makes {seen.foreign[0]} in it (if it does not, remove that)"
        if seen.there.path in _SHARED:
            why = "others live in it"
        if why:
            raise self.nothing(
                f"{self.pool.path}, the directory of pool {self.pool.name}, is not removed, "
                f"because {why}. Forget the pool with state: absent."
            )
        yield files.remove_tree(seen.there, seen.inside, seen.volumes)

    def _led(self, seen: SeenDirectory) -> None:
        if seen.stray:
            raise self.nothing(files.led(self.pool.path, seen.stray))

    def volumes(self) -> Files:
        return Files(self.pool.path)


def _copy_on_write(pool: Pool) -> Action:
    flag = "+C" if pool.cow == "no" else "-C"
    text = f"{'no longer copy' if flag == '+C' else 'copy'} on write in {pool.path}"
    return run(text, "chattr", flag, pool.path)
