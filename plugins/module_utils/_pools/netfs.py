# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools that are a directory of a server, mounted."""

from __future__ import annotations

import functools
import re
import typing as t
from dataclasses import dataclass, field, replace

from .. import _options
from .._host import LIMIT, HostError, Node, Reader
from .._kernel import Mount
from .._model import Offer, Permissions, Place, Pool, Seen, SourceHost
from .._plan import Steps
from .._tools import files, fs, network, units
from .._volumes.files import Files
from .base import Backend

FORMATS = ["auto", "nfs", "glusterfs", "cifs"]

# What libvirt puts before the options of the pool.
_APART = "nosharecache"  # a mount option of NFS
_NFS = ("auto", "nfs")
_FIRST = {"glusterfs": ("direct-io-mode=1",), "cifs": ("guest",)}


@dataclass(frozen=True)
class SeenRemote(Seen):
    """``mount`` is the one at the path, ``node`` its root, ``real`` the path without links.

    ``named`` tells that the mount table has the pool's source to the letter; ``twins`` are other
    names under which the server is mounted.  ``there`` is the kind of what is at the path.
    """

    mount: Mount | None = None
    named: bool = False
    twins: tuple[str, ...] = ()
    node: Node | None = None
    unit: units.Unit = field(default_factory=units.Unit)
    real: str = ""
    there: str = ""
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
        options = params["mount_options"]
        return replace(
            pool,
            hosts=_hosts(params["host"], format, pool),
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
        server = params["host"]
        names = functools.lru_cache(None)(lambda: network.all_of(host, network.plain(server)))
        mounts = {
            _parts(mount.source)[1]: mount
            for mount in host.mounts()
            if mount.format in ("nfs", "nfs4") and _servers(mount) & set(names())
        }
        exports = fs.exports(host, server)
        # What is mounted may be a folder of an export.
        for folder in dict.fromkeys([*exports, *mounts]):
            name = folder.rstrip("/").rpartition("/")[2] or server
            options = {"name": name, "host": server, "dir": folder, "format": "nfs"}
            mount = mounts.get(_parts(f":{folder}")[1])
            yield Offer(cls.type, {**options, **fs.described(mount)})

    def described(self, host: Reader, seen: SeenRemote | None) -> t.Mapping[str, t.Any]:
        pool = self.pool
        return {
            "host": pool.hosts[0].name if pool.hosts else "",
            "dir": pool.dir,
            "path": pool.path,
            "format": _options.other(pool.format, "auto"),
            "protocol_version": pool.protocol_version,
            "mount_options": _options.described_mount(pool.mount_options),
            **_options.described(
                pool.permissions, seen.node.permissions if seen and seen.node else None
            ),
        }

    def sources(self, host: Reader, pool: Pool) -> frozenset[str]:
        """An export by each name of its server, where the other pool could be on it, too."""
        if pool.type != self.type or not pool.hosts:
            return fs.directory(host, pool)
        server, folder = _parts(_source(pool))
        mine = _parts(_source(self.pool))[1]
        names = [server]
        if mine == folder or _inside(mine, folder) or _inside(folder, mine):
            names = network.all_of(host, server)
        folders = [folder]
        if pool != self.pool and folder != mine and self._one_export(host, names, folder, mine):
            folders.append(mine)
        exports = (f"{name}:{each}" for name in names for each in folders)
        return fs.directory(host, pool).union(exports)

    def _one_export(self, host: Reader, names: t.Sequence[str], one: str, other: str) -> bool:
        """Whether two paths are one directory: below the root of NFS 4, or all of it, as in NFS 3.

        Such a root is not in the server's list of exports, and what it leads to is.
        """
        short, long = sorted([one, other], key=len)
        same = set(names) & set(network.all_of(host, self.pool.hosts[0].name))
        if self.pool.format in ("cifs", "glusterfs") or not same or not _inside(long, short):
            return False
        try:
            exports = [each.rstrip("/") for each in fs.exports(host, sorted(same)[0])]
        except HostError:
            return False  # a server without a list has no NFS 3, in which the long path is one
        return _below(long, exports) and not _below(short, exports)

    def _words(self, seen: SeenRemote) -> tuple[str, ...]:
        """The options to mount with, behind those that are always there."""
        pool = self.pool
        version = [f"nfsvers={pool.protocol_version}"] if pool.protocol_version else []
        return (*version, *_FIRST.get(pool.format, ()), *self._options(seen))

    def _options(self, seen: SeenRemote) -> tuple[str, ...]:
        """Those of the pool, and what gives its mount a name of its own.

        The kernel shows all mounts of one file system of a server under the name of the first, and
        libvirt compares names.
        """
        options = self.pool.mount_options
        own = seen.mount and _APART in seen.mount.options if seen.active else seen.twins
        return (*options, _APART) if own and _APART not in options else options

    @property
    def _kind(self) -> str:
        return "" if self.pool.format == "auto" else self.pool.format

    def stored(self, seen: SeenRemote, stored: Pool | None) -> Pool:
        return replace(self.pool, mount_options=self._options(seen))

    def probe(self, host: Reader) -> SeenRemote:
        mounts, source = host.mounts(), _source(self.pool)
        mount = fs.at(mounts, self.pool.path)
        names = functools.lru_cache(None)(lambda: network.all_of(host, _parts(source)[0]))
        ours = bool(mount and _same(mount, source, names))
        unit = units.look(
            host, self.pool, units.REMOTE, lambda other: _parts(other) == _parts(source)
        )
        seen = SeenRemote(
            state="ready",
            active=ours,
            mount=mount,
            named=bool(mount and mount.source == source),
            twins=tuple(_twins(mounts, source)) if self.pool.format in _NFS else (),
            unit=unit,
            warnings=unit.warnings,
            real=self.pool.path,
        )
        what = f"{source} at {self.pool.path}" if ours else self.pool.path
        try:
            return host.within(what, lambda: self._look(host, seen))
        except HostError as problem:
            # Enough to unmount it, even if the server is dead.
            return replace(seen, there="dir", error=_told(str(problem), self.pool))

    def _look(self, host: Reader, seen: SeenRemote) -> SeenRemote:
        path, node = self.pool.path, host.node(self.pool.path)
        empty = not host.names(path)
        kind = node.kind if node else ""
        seen = replace(seen, real=host.real(path), there=kind, path_empty=empty)
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

    def fit(self, seen: SeenRemote) -> None:
        path, mount, source = self.pool.path, seen.mount, _source(self.pool)
        if seen.error:
            raise self.nothing(f"{seen.error}.")
        fs.refuse_place(path, seen.real, seen.there)
        if mount and not seen.active:
            raise self.nothing(
                f"{mount.source} is mounted at {path}, where pool {self.pool.name} belongs with "
                f"{source}. Unmount it, or name another path."
            )

    def amend(self, seen: SeenRemote) -> Steps:
        if not seen.there:
            wanted = Permissions(self.pool.permissions.mode)
            yield files.make_directory(self.pool.path, wanted)
        if seen.node:
            yield from files.permissions(self.pool.path, self.permissions, seen.node.permissions)

    def prove(self, seen: SeenRemote, daemon: bool) -> Steps:
        if daemon and seen.active and seen.mount and not seen.named:
            raise self.nothing(
                f"{self.pool.path} is mounted as {seen.mount.source}, and libvirt would mount "
                f"{_source(self.pool)} on top of it, because it compares the text. Run umount "
                f"{self.pool.path}, or write host and dir as they are mounted."
            )
        return iter(())

    def without(self, seen: SeenRemote, left: SeenRemote) -> SeenRemote:
        if left.active and left.mount == seen.mount:
            seen = replace(seen, mount=None, path_empty=True)
        return replace(seen, unit=seen.unit.left()) if left.unit == seen.unit else seen

    def start(self, seen: SeenRemote, daemon: bool) -> Steps:
        pool = self.pool
        if not seen.path_empty:
            raise self.nothing(
                f"{pool.path} is not empty, and mounting pool {pool.name} would cover what is in "
                "it. Move it away, or name another path."
            )
        yield fs.mount(_source(pool), pool.path, self._kind, self._words(seen), limit=LIMIT)
        yield from files.permissions(pool.path, self.permissions, Permissions())

    def stop(self, seen: SeenRemote, daemon: bool) -> Steps:
        yield fs.unmount(Place(self.pool.path), limit=LIMIT)

    def boot(self, seen: SeenRemote, autostart: bool, daemon: bool) -> Steps:
        if not autostart or daemon:
            return units.no_boot(seen.unit, self.pool.path)
        words = self._words(seen)
        return units.boot(seen.unit, _source(self.pool), self.pool.path, self._kind, words)

    def delete(self, seen: SeenRemote) -> Steps:
        yield from units.no_boot(seen.unit, self.pool.path)
        if seen.there == "dir" and (seen.active or (seen.path_empty and not seen.mount)):
            yield files.remove_directory(self.pool.path)

    def volumes(self) -> Files:
        return Files(self.pool.path)


def _source(pool: Pool) -> str:
    """What libvirt mounts, and looks for in the mount table, to the letter."""
    server = pool.hosts[0].name if pool.hosts else ""
    return f"//{server}/{pool.dir}" if pool.format == "cifs" else f"{server}:{pool.dir}"


def _parts(source: str) -> tuple[str, str]:
    """Server and directory of a source, however they are spelled; both "" where it has none."""
    found = re.fullmatch(r"//([^/]+)/(.*)|(\[[^]]*\]|[^/:]*):(.*)", source)
    if not found:
        return "", ""
    folder = "/".join(part for part in (found[2] or found[4] or "").split("/") if part)
    kind = "//" if found[1] else "/"
    return network.plain(found[1] or found[3] or ""), f"{kind}{folder}"


def _same(mount: Mount, source: str, names: t.Callable[[], t.Sequence[str]]) -> bool:
    """Whether a mount is of a source, by whatever name of its server."""
    (there, folder), (server, wanted) = _parts(mount.source), _parts(source)
    if folder != wanted or not there:
        return False
    return there == server or bool(_servers(mount) & set(names()))


def _servers(mount: Mount) -> set[str]:
    """The name and the addresses by which the mount table knows a server."""
    said = {option.partition("=")[2] for option in mount.options if option[:5] == "addr="}
    return {_parts(mount.source)[0], *map(network.plain, said)}


def _twins(mounts: t.Sequence[Mount], source: str) -> t.Iterator[str]:
    """The names of servers that are mounted and may be that of a source under another name.

    Whether they are, only the kernel finds out, which asks servers for who they are.
    """
    for mount in mounts:
        there, server = mount.source.partition(":")[0], source.partition(":")[0]
        shared = mount.format in ("nfs", "nfs4") and _APART not in mount.options
        if shared and there != server:
            yield there


def _inside(path: str, end: str) -> bool:
    """Whether a path ends with another one, and is longer."""
    return path != end and path.endswith(end) and end.startswith("/") and path[:2] != "//"


def _below(path: str, exports: t.Sequence[str]) -> bool:
    return any(f"{path}/".startswith(f"{each}/") for each in exports)


def _hosts(server: str | None, format: str, pool: Pool) -> tuple[SourceHost, ...]:
    if server is None:
        return pool.hosts
    if pool.hosts and network.plain(server) == network.plain(pool.hosts[0].name):
        return pool.hosts  # what is mounted has this spelling
    if ":" in server and not server.startswith("[") and format != "cifs":
        server = f"[{server}]"  # mount takes an IPv6 address only so, and libvirt adds nothing
    return (SourceHost(server),)


def _told(problem: str, pool: Pool) -> str:
    """A failed look with the way out, where the server has made what was mounted anew."""
    if "Stale file handle" not in problem:
        return problem
    return (
        f"{problem}: the server of pool {pool.name} has removed or replaced what is mounted. Stop "
        "the pool with state: inactive, then start it with state: active"
    )


def _dir_faults(folder: str, format: str | None) -> t.Iterator[str]:
    if re.search(r"[\x00-\x1f\x7f]", folder):
        yield f"dir: {folder!r} has a line feed or another control character"
    if format == "cifs" and (folder.startswith("/") or not folder):
        yield f"dir: {folder!r} is not the name of a share, which has no slash before it"
    if format == "glusterfs" and not folder.startswith("/"):
        yield f"dir: {folder!r} does not begin with a slash. Write dir: /{folder}"
    if format == "nfs" and not folder.startswith("/"):
        yield f"dir: {folder!r} is not absolute"
