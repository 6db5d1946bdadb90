# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools that are a directory of a server, mounted."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field, replace

from .. import _options
from .._host import LIMIT, Node, Reader
from .._kernel import Mount
from .._model import Offer, Permissions, Place, Pool, Seen, SourceHost
from .._plan import Steps
from .._tools import files, fs
from .._volumes.files import Files
from .base import Backend

FORMATS = ["auto", "nfs", "glusterfs", "cifs"]

# What libvirt puts before the options of the pool.
_FIRST = {"glusterfs": ("direct-io-mode=1",), "cifs": ("guest",)}


@dataclass(frozen=True)
class SeenRemote(Seen):
    """``mount`` is the one at the path, ``node`` its root."""

    mount: Mount | None = None
    node: Node | None = None
    unit: fs.Unit = field(default_factory=fs.Unit)
    path_there: bool = False
    path_empty: bool = True


class Netfs(Backend[SeenRemote]):
    type = "netfs"
    options: t.ClassVar[_options.Spec] = {
        "host": {"type": "str"},
        "dir": {"type": "str"},
        "path": {"type": "path"},
        "format": {"type": "str", "choices": FORMATS},
        "protocol_version": {"type": "str"},
        "mount_options": {"type": "list", "elements": "str"},
        **_options.PERMISSIONS,
    }
    required = ("host", "dir", "path")
    formatted = True

    @classmethod
    def define(cls, host: Reader, params: t.Mapping[str, t.Any], pool: Pool) -> Pool:
        format = _options.text(params, "format", pool.format or "auto")
        server, options = params["host"], params["mount_options"]
        if server and ":" in server and not server.startswith("[") and format != "cifs":
            server = f"[{server}]"  # mount takes an IPv6 address only so, and libvirt adds nothing
        return replace(
            pool,
            hosts=pool.hosts if server is None else (SourceHost(server),),
            dir=_options.path(params, "dir", pool.dir),
            path=_options.path(params, "path", pool.path),
            format=format,
            protocol_version=_options.text(params, "protocol_version", pool.protocol_version),
            mount_options=pool.mount_options if options is None else tuple(options),
            permissions=_options.permissions(host, params, pool.permissions),
        )

    @classmethod
    def faults(cls, params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
        yield from _options.path_faults(params, "path")
        yield from _options.permission_faults(params)
        yield from _options.mount_option_faults(params)
        server, folder, format = params.get("host"), params.get("dir"), params.get("format")
        if isinstance(server, str) and not re.fullmatch(r"[^\s/,-][^\s/,]*", server):
            yield f"host: {server!r} is neither a name nor an address"
        if isinstance(folder, str):
            yield from _dir_faults(folder, format)
        version = params.get("protocol_version")
        if version and format in ("glusterfs", "cifs"):
            yield f"protocol_version: is for NFS, and format is {format}"
        if version and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", str(version)):
            yield f"protocol_version: {version!r} is not a version, as in '4.1'"

    @classmethod
    def offers(cls, host: Reader, params: t.Mapping[str, t.Any]) -> t.Iterator[Offer]:
        for folder in fs.exports(host, params["host"]):
            yield Offer(cls.type, {"host": params["host"], "dir": folder, "format": "nfs"})

    def sources(self, host: Reader, pool: Pool) -> frozenset[str]:
        return frozenset({_plain(_source(pool))} if pool.type == self.type and pool.hosts else ())

    @property
    def _words(self) -> tuple[str, ...]:
        pool = self.pool
        version = [f"nfsvers={pool.protocol_version}"] if pool.protocol_version else []
        return (*version, *_FIRST.get(pool.format, ()), *pool.mount_options)

    @property
    def _kind(self) -> str:
        return "" if self.pool.format == "auto" else self.pool.format

    def probe(self, host: Reader) -> SeenRemote:
        source = _source(self.pool)
        mount = fs.at(host.mounts(), self.pool.path)
        ours = bool(mount and _plain(mount.source) == _plain(source))
        if mount and not self.leaving:
            self._no_other(mount, source)
        seen = SeenRemote(
            state="ready", active=ours, mount=mount, unit=fs.unit(host, self.pool.path, fs.REMOTE)
        )
        what = f"{source} at {self.pool.path}" if ours else self.pool.path
        if not ours or not self.leaving or self.given.get("info"):
            return host.within(what, lambda: self._inside(host, seen))
        # Enough to unmount it, even if the server is dead.
        below = [f"{path} is mounted below it" for path in fs.below(host.mounts(), self.pool.path)]
        users = (*below, *fs.processes(host, self.pool.path))
        return replace(seen, users=users, path_there=True)

    def _no_other(self, mount: Mount, source: str) -> None:
        if mount.source == source:
            return
        if _plain(mount.source) != _plain(source):
            raise self.nothing(
                f"{mount.source} is mounted at {self.pool.path}, where pool {self.pool.name} "
                f"belongs with {source}. Unmount it, or name another path."
            )
        raise self.nothing(
            f"{self.pool.path} is mounted as {mount.source}, and libvirt would mount {source} on "
            f"top of it, because it compares the text. Run umount {self.pool.path}, or write host "
            "and dir as they are mounted."
        )

    def _inside(self, host: Reader, seen: SeenRemote) -> SeenRemote:
        path, node = self.pool.path, host.node(self.pool.path)
        if not self.leaving and host.real(path) != path:
            raise self.nothing(
                f"{path} leads through a symbolic link, and libvirt would not know the mount "
                f"again. Write path: {host.real(path)}."
            )
        if node and node.kind != "dir" and not self.leaving:
            raise self.nothing(f"{path} is there and is not a directory.")
        seen = replace(seen, path_there=node is not None, path_empty=not host.names(path))
        if not seen.active:
            return seen
        capacity, available = host.space(path)
        return replace(
            seen,
            node=node,
            capacity=capacity,
            available=available,
            allocation=capacity - available,
            volumes=tuple(Files(path).look(host)),
        )

    def amend(self, seen: SeenRemote) -> Steps:
        if not seen.path_there:
            wanted = Permissions(self.pool.permissions.mode)
            yield files.make_directory(self.pool.path, wanted)
        if seen.node:
            yield from files.permissions(self.pool.path, self.permissions, seen.node.permissions)

    def start(self, seen: SeenRemote, daemon: bool) -> Steps:
        pool = self.pool
        if not seen.path_empty:
            raise self.nothing(
                f"{pool.path} is not empty, and mounting pool {pool.name} would cover what is in "
                "it. Move it away, or name another path."
            )
        yield fs.mount(_source(pool), pool.path, self._kind, self._words, limit=LIMIT)
        yield from files.permissions(pool.path, self.permissions, Permissions())

    def stop(self, seen: SeenRemote, daemon: bool) -> Steps:
        if seen.users:
            raise self.nothing(
                f"pool {self.pool.name} at {self.pool.path} is in use: {', '.join(seen.users)}. "
                "Stop what uses it, then run the task again."
            )
        yield fs.unmount(Place(self.pool.path), limit=LIMIT)

    def boot(self, seen: SeenRemote, autostart: bool, daemon: bool) -> Steps:
        if not autostart or daemon:
            return fs.no_boot(seen.unit, self.pool.path)
        return fs.boot(seen.unit, _source(self.pool), self.pool.path, self._kind, self._words)

    def delete(self, seen: SeenRemote) -> Steps:
        yield from fs.no_boot(seen.unit, self.pool.path)
        if seen.path_there and (seen.active or seen.path_empty) and (seen.active or not seen.mount):
            yield files.remove_directory(self.pool.path)

    def volumes(self) -> Files:
        return Files(self.pool.path)


def _source(pool: Pool) -> str:
    """What libvirt mounts, and looks for in the mount table, to the letter."""
    server = pool.hosts[0].name if pool.hosts else ""
    return f"//{server}/{pool.dir}" if pool.format == "cifs" else f"{server}:{pool.dir}"


def _plain(source: str) -> str:
    """A source, however it is spelled."""
    found = re.fullmatch(r"//([^/]+)/(.*)|(\[[^]]*\]|[^/:]*):(.*)", source)
    if not found:
        return source
    server, folder = found[1] or found[3] or "", found[2] or found[4] or ""
    kind = "//" if found[1] else ""
    return f"{kind}{server.strip('[]').lower()}:/{folder.strip('/')}"


def _dir_faults(folder: str, format: str | None) -> t.Iterator[str]:
    if re.search(r"[\x00-\x1f\x7f]", folder):
        yield f"dir: {folder!r} has a line feed or another control character"
    if format == "cifs" and (folder.startswith("/") or not folder):
        yield f"dir: {folder!r} is not the name of a share, which has no slash before it"
    if format == "glusterfs" and not folder.startswith("/"):
        yield f"dir: {folder!r} does not begin with a slash. Write dir: /{folder}"
    if format == "nfs" and not folder.startswith("/"):
        yield f"dir: {folder!r} is not absolute"
