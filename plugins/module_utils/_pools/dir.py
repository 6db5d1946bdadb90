# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools that are directories."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .. import _options
from .._host import Node, Reader
from .._kernel import Mount
from .._model import Pool, Seen
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
    """``inside`` are its entries; ``cow`` is "yes", "no", or "" where not asked."""

    node: Node | None = None
    inside: tuple[str, ...] = ()
    cow: str = ""
    mounts: tuple[str, ...] = ()
    real: str = ""


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

    def sources(self, host: Reader, pool: Pool) -> frozenset[str]:
        return frozenset({f"directory {host.real(pool.path)}"} if pool.type == "dir" else ())

    def probe(self, host: Reader) -> SeenDirectory:
        path = self.pool.path
        node = host.node(path)
        if node is None:
            return SeenDirectory("missing")
        if node.kind != "dir":
            raise self.nothing(
                f"{path}, the directory of pool {self.pool.name}, is there and is not a directory. "
                "Move it away, or name another path."
            )
        capacity, available = host.space(path)
        return SeenDirectory(
            state="ready",
            node=node,
            inside=tuple(host.names(path) or []),
            cow=self._cow(host),
            mounts=tuple(_mounted(host.mounts(), host.real(path))),
            real=host.real(path),
            capacity=capacity,
            available=available,
            allocation=capacity - available,
            volumes=tuple(Files(path).look(host)),
        )

    def _cow(self, host: Reader) -> str:
        if not self.pool.cow:
            return ""
        flags = host.ask("lsattr", "-d", self.pool.path).split()[0]
        return "no" if "C" in flags else "yes"

    def build(self, seen: SeenDirectory) -> Steps:
        yield files.make_directory(self.pool.path, self.pool.permissions)
        if self.pool.cow == "no":
            yield _copy_on_write(self.pool)

    def amend(self, seen: SeenDirectory) -> Steps:
        if seen.node:
            yield from files.permissions(self.pool.path, self.permissions, seen.node.permissions)
        if self.pool.cow and self.pool.cow != seen.cow:
            yield _copy_on_write(self.pool)

    def delete(self, seen: SeenDirectory) -> Steps:
        if seen.real in _SHARED or seen.mounts:
            what = (
                f"{', '.join(seen.mounts)} is mounted there" if seen.mounts else "others live in it"
            )
            raise self.nothing(
                f"{self.pool.path}, the directory of pool {self.pool.name}, is not removed, "
                f"because {what}. Forget the pool with state: absent."
            )
        if seen.inside:
            yield files.remove_tree(self.pool.path, seen.inside)
        elif seen.node:
            yield files.remove_directory(self.pool.path)

    def volumes(self) -> Files:
        return Files(self.pool.path)


def _mounted(mounts: t.Sequence[Mount], real: str) -> list[str]:
    here = [real] if fs.at(mounts, real) else []
    return here + fs.below(mounts, real)


def _copy_on_write(pool: Pool) -> Action:
    flag = "+C" if pool.cow == "no" else "-C"
    text = f"{'no longer copy' if flag == '+C' else 'copy'} on write in {pool.path}"
    return run(text, "chattr", flag, pool.path)
