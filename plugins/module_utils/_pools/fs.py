# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools that are a file system on a block device."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from .. import _options
from .._host import Mount, Node, Reader
from .._model import Offer, Permissions, Pool, Seen
from .._plan import Action, Steps
from .._tools import block, files, fs, lvm
from .._volumes.files import Files
from .base import Backend

FORMATS = [
    "auto",
    "ext2",
    "ext3",
    "ext4",
    "ufs",
    "iso9660",
    "udf",
    "gfs",
    "gfs2",
    "vfat",
    "hfs+",
    "xfs",
    "ocfs2",
    "vmfs",
]


@dataclass(frozen=True)
class SeenFileSystem(Seen):
    """``mount`` is the one at the path, ``node`` its root; ``inside`` are the root's entries."""

    mount: Mount | None = None
    node: Node | None = None
    inside: tuple[str, ...] = ()
    unit: fs.Unit = field(default_factory=fs.Unit)
    make: Action | None = None
    path_there: bool = False
    path_empty: bool = True


class Fs(Backend[SeenFileSystem]):
    type = "fs"
    options: t.ClassVar[_options.Spec] = {
        "device": {"type": "path"},
        "path": {"type": "path"},
        "format": {"type": "str", "choices": FORMATS},
        "mount_options": {"type": "list", "elements": "str"},
        **_options.PERMISSIONS,
    }
    required = ("device", "path")
    formatted = True

    @classmethod
    def define(cls, host: Reader, params: t.Mapping[str, t.Any], pool: Pool) -> Pool:
        options = params["mount_options"]
        return replace(
            pool,
            devices=pool.devices if params["device"] is None else (params["device"],),
            path=_options.path(params, "path", pool.path),
            format=_options.text(params, "format", pool.format or "auto"),
            mount_options=pool.mount_options if options is None else tuple(options),
            permissions=_options.permissions(host, params, pool.permissions),
        )

    @classmethod
    def faults(cls, params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
        yield from _options.path_faults(params, "device")
        yield from _options.path_faults(params, "path")
        yield from _options.permission_faults(params)
        yield from _options.mount_option_faults(params)

    def sources(self, host: Reader, pool: Pool) -> frozenset[str]:
        return block.sources(host, pool)

    @property
    def _device(self) -> str:
        return self.pool.devices[0]

    @classmethod
    def offers(cls, host: Reader, params: t.Mapping[str, t.Any]) -> t.Iterator[Offer]:
        return block.offers(host, cls.type, partitions=True)

    def probe(self, host: Reader) -> SeenFileSystem:
        device, mounts = block.find(host, self._device), host.mounts()
        target = host.real(self.pool.path)
        mount = fs.at(mounts, target)
        if target != self.pool.path and not self.leaving:
            raise self.nothing(
                f"{self.pool.path} leads through a symbolic link, and libvirt would not know the "
                f"mount again. Write path: {target}."
            )
        ours = bool(mount and device and block.mounted(host, mount, device))
        if mount and not ours and not self.leaving:
            raise self.nothing(
                f"{mount.source} is mounted at {self.pool.path}, where pool {self.pool.name} "
                "belongs. Unmount it, or name another path."
            )
        node = host.node(self.pool.path)
        if node and node.kind != "dir" and not self.leaving:
            raise self.nothing(f"{self.pool.path} is there and is not a directory.")
        seen = SeenFileSystem(
            state="ready",
            active=ours,
            unit=fs.unit(host, self.pool.path),
            path_there=node is not None,
            path_empty=not host.names(self.pool.path),
        )
        if mount and ours:
            return self._mounted(host, seen, mount, target)
        if device is None or (self.leaving and self.given["state"] != "deleted"):
            return replace(seen, state="missing")
        return self._unmounted(host, seen, device, mounts)

    def _mounted(
        self, host: Reader, seen: SeenFileSystem, mount: Mount, target: str
    ) -> SeenFileSystem:
        wanted = self.pool.format
        if not self.leaving and wanted != "auto" and fs.kernel_name(wanted) != mount.format:
            raise self.nothing(
                f"{self._device} holds {mount.format} and is mounted at {self.pool.path}; pool "
                f"{self.pool.name} wants {wanted}. Correct format, or stop the pool first."
            )
        capacity, available = host.space(self.pool.path)
        below = [f"{path} is mounted below it" for path in fs.below(host.mounts(), target)]
        return replace(
            seen,
            mount=mount,
            node=host.node(self.pool.path),
            inside=tuple(name for name in host.names(self.pool.path) or [] if name != "lost+found"),
            users=(*below, *fs.processes(host, target)) if self.leaving else (),
            capacity=capacity,
            available=available,
            allocation=capacity - available,
            volumes=tuple(Files(self.pool.path).look(host)),
        )

    def _unmounted(
        self, host: Reader, seen: SeenFileSystem, device: block.Device, mounts: t.Sequence[Mount]
    ) -> SeenFileSystem:
        users = block.users(host, device, mounts)
        if users:
            raise self.nothing(
                f"{self._device}, the device of pool {self.pool.name}, is {' and '.join(users)}."
            )
        fs.refuse_open(host, [device])
        dirt = block.dirt(host, [device]).get(device.path, "")
        wanted = fs.kernel_name(self.pool.format)
        if dirt and (dirt == wanted or self._adopts(dirt)):
            return seen
        if dirt == "LVM2_member":
            group = lvm.look(host).group_of(device.number)
            if group:
                raise self.nothing(
                    f"{self._device} belongs to volume group {group.name}, not to pool "
                    f"{self.pool.name}. Name another device."
                )
        make = self._make(host)
        return replace(
            seen,
            state="foreign" if dirt else "blank",
            dirt={device.path: dirt} if dirt else {},
            make=make,
        )

    def _adopts(self, dirt: str) -> bool:
        """Whether format auto takes what is on the device: a file system, and nothing besides."""
        return self.pool.format == "auto" and dirt in fs.MOUNTABLE

    def _make(self, host: Reader) -> Action | None:
        if self.pool.format == "auto" or self.leaving or self.given.get("build") == "never":
            return None
        return fs.make(host, self.pool.format, self._device)

    def build(self, seen: SeenFileSystem) -> Steps:
        if seen.state == "missing":
            raise block.missing(self._device, self.pool.name)
        if not seen.make:
            raise self.nothing(
                f"{self._device} holds {seen.dirt.get(self._device) or 'nothing'}, and format auto "
                f"does not say which file system pool {self.pool.name} is to have. Name a format."
            )
        for device, dirt in seen.dirt.items():
            yield from block.wipe(device, dirt)
        yield seen.make
        yield from self._mount_point(seen)

    def _mount_point(self, seen: SeenFileSystem) -> Steps:
        if not seen.path_there:
            yield files.make_directory(self.pool.path, Permissions(self.pool.permissions.mode))

    def amend(self, seen: SeenFileSystem) -> Steps:
        yield from self._mount_point(seen)
        if not seen.mount or not seen.node:
            return
        steps = list(files.permissions(self.pool.path, self.permissions, seen.node.permissions))
        asked = self.given.get("mount_options") is not None
        if asked and not fs.mounted_with(seen.mount, self.pool.mount_options):
            # Permissions are set while the mount can be written.
            place = 0 if "ro" in seen.mount.options else len(steps)
            steps.insert(place, fs.remount(self.pool.path, self.pool.mount_options))
        yield from steps

    def start(self, seen: SeenFileSystem, daemon: bool) -> Steps:
        if seen.path_there and not seen.path_empty:
            raise self.nothing(
                f"{self.pool.path} is not empty, and mounting pool {self.pool.name} would cover "
                "what is in it. Move it away, or name another path."
            )
        kind = fs.kernel_name(self.pool.format)
        yield fs.mount(self._device, self.pool.path, kind, self.pool.mount_options)
        # Those of the file system's root, which nobody has seen before it is mounted.
        yield from files.permissions(self.pool.path, self.permissions, Permissions())

    def stop(self, seen: SeenFileSystem, daemon: bool) -> Steps:
        if seen.users:
            raise self.nothing(
                f"pool {self.pool.name} at {self.pool.path} is in use: {', '.join(seen.users)}. "
                "Stop what uses it, then run the task again."
            )
        yield fs.unmount(self.pool.path)

    def boot(self, seen: SeenFileSystem, autostart: bool, daemon: bool) -> Steps:
        pool = self.pool
        if not autostart or daemon:
            return fs.no_boot(seen.unit, pool.path)
        kind = fs.kernel_name(pool.format)
        return fs.boot(seen.unit, self._device, pool.path, kind, pool.mount_options)

    def delete(self, seen: SeenFileSystem) -> Steps:
        yield from fs.no_boot(seen.unit, self.pool.path)
        if seen.state == "ready":
            empty = seen.active and not seen.inside
            # Both ends first: after wipefs alone, the rest would be somebody's data.
            text = f"wipe the file system from {self._device}"
            yield block.zero_ends(self._device, text, risk="" if empty else "delete")
            text = f"wipe what is left of the file system from {self._device}"
            yield block.wipe_signatures(self._device, text, risk="")
        if seen.path_there and (seen.active or seen.path_empty):
            yield files.remove_directory(self.pool.path)

    def volumes(self) -> Files:
        return Files(self.pool.path)
