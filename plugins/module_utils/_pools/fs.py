# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools that are a file system on a block device."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from .. import _options
from .._host import Node, Reader
from .._kernel import Mount
from .._model import Claim, Device, Lacking, Offer, Permissions, Place, Pool, Seen
from .._plan import Steps
from .._tools import block, files, fs, packages, units
from .._volumes.files import Files
from .base import Backend

if t.TYPE_CHECKING:
    from .._tools.partitions import Growth

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
    """``mount`` is the one at the path, ``node`` its root, ``place`` what it is by number.

    ``inside`` are the root's entries, ``whole`` tells whether they are all of the file system.
    ``room`` are the bytes of the device behind the file system, where it is to fill them, with
    those by which the device, a partition, can grow itself: ``growth``.
    ``real`` is the path without symbolic links, ``there`` the kind of thing at it.  ``rehearsed``
    is what the tool that would make the file system says against it, ``tool`` tells if there is
    one.
    """

    device: Device | None = None
    mount: Mount | None = None
    node: Node | None = None
    place: Place | None = None
    inside: tuple[str, ...] = ()
    whole: bool = False
    room: int = 0
    growth: Growth | None = None
    unit: units.Unit = field(default_factory=units.Unit)
    tool: bool = False
    rehearsed: str = ""
    real: str = ""
    there: str = ""
    path_empty: bool = True


class Fs(Backend[SeenFileSystem]):
    type = "fs"
    options: t.ClassVar[_options.Spec] = {
        "device": {"type": "path"},
        "path": {"type": "path"},
        "format": {"type": "str", "choices": FORMATS},
        "mount_options": {"type": "list", "elements": "str"},
        **_options.GROW_TO_FILL,
        **_options.PERMISSIONS,
    }
    required = ("device", "path")
    formatted = True
    on_foreseen = True

    def __init__(self, pool: Pool, given: t.Mapping[str, t.Any], kept: Pool | None = None) -> None:
        super().__init__(pool, given, kept)
        self._fills = bool(given.get("grow_to_fill"))  # which is a question more

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
        format = params.get("format")
        if params.get("grow_to_fill") and format not in (None, "auto", *fs.GROWING):
            yield (
                f"grow_to_fill: a file system of format {format} does not grow, only one of "
                f"{', '.join(fs.GROWING)}"
            )

    def described(self, host: Reader, seen: SeenFileSystem | None) -> t.Mapping[str, t.Any]:
        pool, mount = self.pool, seen.mount if seen and seen.active else None
        options = _options.described_mount(pool.mount_options)
        return {
            "device": pool.devices[0] if pool.devices else "",
            "path": pool.path,
            "format": _options.other(pool.format, "auto"),
            "mount_options": options if not mount or fs.mounted_with(mount, options) else [],
            **_options.described(
                pool.permissions, seen.node.permissions if seen and seen.node else None
            ),
        }

    def sources(self, host: Reader, pool: Pool) -> frozenset[str]:
        return block.sources(host, pool) | fs.directory(host, pool)

    @property
    def _device(self) -> str:
        return self.pool.devices[0]

    @classmethod
    def offers(cls, host: Reader, params: t.Mapping[str, t.Any]) -> t.Iterator[Offer]:
        mounts = [each for each in host.mounts() if each.root == "/" and each.target != "/"]
        for offer in block.offers(host, cls.type, partitions=True):
            device, there = offer.device, offer.content
            mount = next((m for m in mounts if device and block.mounted(host, m, device)), None)
            more = {"format": fs.libvirt_name(there)} if fs.libvirt_name(there) in FORMATS else {}
            yield replace(offer, options={**offer.options, **more, **fs.described(mount)})

    def probe(self, host: Reader) -> SeenFileSystem:
        path, real = self.pool.path, host.real(self.pool.path)
        device, mount = block.find(host, self._device), fs.at(host.mounts(), real)
        node = host.node(path)
        unit = units.look(
            host, self.pool, units.LOCAL, lambda source: self._is(host, source, device)
        )
        seen = SeenFileSystem(
            state="missing",
            active=bool(mount and device and block.mounted(host, mount, device)),
            device=device,
            mount=mount,
            unit=unit,
            warnings=unit.warnings,
            real=real,
            there=node.kind if node else "",
            path_empty=not host.names(path),
        )
        if seen.active and mount:
            seen = self._mounted(host, seen, mount)
        elif device:
            seen = self._unmounted(host, seen, block.seen(host, device))
        return self._with_room(host, seen)

    def _with_room(self, host: Reader, seen: SeenFileSystem) -> SeenFileSystem:
        device, mount = seen.device, seen.mount if seen.active else None
        if not self._fills or not device:
            return seen
        kind = mount.format if mount else fs.kernel_name(self.pool.format)
        if seen.state == "ready":
            size = fs.size(host, kind, device, self.pool.path if mount else "")
        else:  # the one that is to be made fills it
            size = device.size if kind in fs.GROWING else 0
        growth, warnings = self._growth(host, device) if size else (None, ())
        full = growth.size if growth else device.size
        warnings = (*seen.warnings, *warnings)
        return replace(seen, growth=growth, room=full - size if size else 0, warnings=warnings)

    def _growth(self, host: Reader, device: Device) -> tuple[Growth | None, tuple[str, ...]]:
        if not device.partition:
            return None, ()
        from .._tools import partitions  # only here, because it takes its time

        found, warnings = partitions.growths(host, [device], block.LEAST_ROOM, self.others)
        return next(iter(found), None), warnings

    def foreseen(self, host: Reader) -> SeenFileSystem | None:
        device = block.find(host, self._device)
        if device is None:
            return None
        return SeenFileSystem(
            state="ready",
            active=True,
            device=device,
            whole=True,
            # What the file system keeps for itself is not known before it is made.
            capacity=device.size,
            available=device.size,
            holding=frozenset({fs.kernel_name(self.pool.format)}),
        )

    def _is(self, host: Reader, source: str, device: Device | None) -> bool:
        """Whether a source, as others have written it, is the pool's device."""
        if source == self._device or not device or not source.startswith("/dev/"):
            return source == self._device
        node = host.node(source)
        if node:
            return node.device == device.number
        # udev can have missed that a file system was made: no link is no answer.
        return block.named_by_content(host, source, device)

    def _mounted(self, host: Reader, seen: SeenFileSystem, mount: Mount) -> SeenFileSystem:
        path = self.pool.path
        capacity, available = host.space(path)
        file = host.file(path)
        return replace(
            seen,
            state="ready",
            node=host.node(path),
            place=Place(seen.real, file.device, file.inode, seen.device) if file else None,
            inside=tuple(self._inside(host)),
            # A subvolume or a folder that is mounted says nothing of what lies beside it.
            whole=mount.root == "/",
            capacity=capacity,
            available=available,
            allocation=capacity - available,
            volumes=tuple(Files(path).look(host)),
        )

    def _inside(self, host: Reader) -> t.Iterator[str]:
        for name in host.names(self.pool.path) or []:
            if name != "lost+found" or host.names(f"{self.pool.path}/{name}"):
                yield name

    def _unmounted(self, host: Reader, seen: SeenFileSystem, device: Device) -> SeenFileSystem:
        dirt = block.dirt(host, [device]).get(device.path, "")
        seen = replace(seen, device=device)
        if self._holds(dirt):
            return replace(seen, state="ready")
        tool = fs.maker(self.pool.format)
        # Who has the device is told better than by the tool that does not get it.
        useless = dirt or (not device.foreseen and host.taken(device.path))
        return replace(
            seen,
            state="foreign" if dirt else "blank",
            dirt={device.path: dirt} if dirt else {},
            tool=bool(tool) and host.has(tool),
            rehearsed="" if useless else fs.rehearse(host, self.pool.format, device),
        )

    def _holds(self, dirt: str) -> bool:
        """Whether what is on the device is the pool's file system."""
        wanted, kinds = fs.kernel_name(self.pool.format), dirt.split(" and ")
        if self.pool.format == "auto":
            return dirt in fs.MOUNTABLE
        # A registered pool's is its own, whatever else seems to be there.
        known = self.kept and self.kept.devices == self.pool.devices
        return dirt == wanted or bool(known and wanted in kinds)

    def fit(self, seen: SeenFileSystem) -> None:
        path, mount = self.pool.path, seen.mount
        fs.refuse_place(path, seen.real, seen.there)
        if mount and not seen.active:
            raise self.nothing(
                f"{mount.source} is mounted at {path}, where pool {self.pool.name} belongs. "
                "Unmount it, or name another path."
            )
        wanted = self.pool.format
        if mount and wanted != "auto" and fs.kernel_name(wanted) != mount.format:
            raise self.nothing(
                f"{self._device} holds {mount.format} and is mounted at {path}; pool "
                f"{self.pool.name} wants {wanted}. Correct format, or stop the pool first."
            )

    def build(self, seen: SeenFileSystem) -> Steps:
        device = seen.device
        if device is None:
            raise block.missing(self._device, self.pool.name)
        dirt = seen.dirt.get(device.path)
        self._makeable(seen, f"holds {dirt}" if dirt else "is blank")
        if dirt:
            yield from block.wipe(device, dirt)
        yield fs.make(self.pool.format, device)
        yield from self._mount_point(seen)

    def _makeable(self, seen: SeenFileSystem, there: str) -> None:
        tool = fs.maker(self.pool.format)
        if self.pool.format == "auto":
            raise self.nothing(
                f"{self._device} {there}, and format auto does not say which file system "
                f"pool {self.pool.name} is to have. Name a format."
            )
        if not seen.tool:
            raise Lacking(
                f"Nothing was changed: {self._device} {there}, and this host has no "
                f"{tool or 'tool'} that makes file systems of format {self.pool.format}. "
                f"{packages.way([tool])} Or make the file system by other means."
            )
        if seen.rehearsed:
            raise self.nothing(
                f"{tool} would make no file system on {self._device}: {seen.rehearsed}"
            )

    def _mount_point(self, seen: SeenFileSystem) -> Steps:
        if not seen.there:
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
        yield from self._grow(seen)

    def _grow(self, seen: SeenFileSystem) -> Steps:
        device = seen.device
        if not device or seen.room < block.LEAST_ROOM:
            return
        if seen.growth:
            yield from seen.growth.steps()
            device = replace(device, size=0)  # of which the next step sees another size
        kind = seen.mount.format if seen.mount else fs.kernel_name(self.pool.format)
        yield fs.grow(kind, device, self.pool.path)

    def without(self, seen: SeenFileSystem, left: SeenFileSystem) -> SeenFileSystem:
        if left.active and left.mount == seen.mount:
            seen = replace(seen, mount=None, path_empty=True)
        return replace(seen, unit=seen.unit.left()) if left.unit == seen.unit else seen

    def start(self, seen: SeenFileSystem, daemon: bool) -> Steps:
        if seen.there and not seen.path_empty:
            raise self.nothing(
                f"{self.pool.path} is not empty, and mounting pool {self.pool.name} would cover "
                "what is in it. Move it away, or name another path."
            )
        kind, options = fs.kernel_name(self.pool.format), self.pool.mount_options
        claims = tuple(Claim(device, alone=False) for device in [seen.device] if device)
        yield fs.mount(self._device, self.pool.path, kind, options, claims=claims)
        # Those of the file system's root, which nobody has seen before it is mounted.
        yield from files.permissions(self.pool.path, self.permissions, Permissions())
        yield from self._grow(seen)

    def stop(self, seen: SeenFileSystem, daemon: bool) -> Steps:
        if seen.place:
            # Nobody is asked before a file system goes that is empty.
            goes = self.given.get("state") == "deleted" and self._empty(seen)
            yield fs.unmount(replace(seen.place, inside=()) if goes else seen.place)

    def boot(self, seen: SeenFileSystem, autostart: bool, daemon: bool) -> Steps:
        pool = self.pool
        if not autostart or daemon:
            return units.no_boot(seen.unit, pool.path)
        kind = fs.kernel_name(pool.format)
        return units.boot(seen.unit, self._device, pool.path, kind, pool.mount_options)

    def delete(self, seen: SeenFileSystem) -> Steps:
        yield from units.no_boot(seen.unit, self.pool.path)
        if seen.state == "ready" and seen.device:
            empty = self._empty(seen)
            # Both ends first: after wipefs alone, the rest would be somebody's data.
            text = f"wipe the file system from {self._device}"
            yield block.zero_ends(seen.device, text, risk="" if empty else "delete")
            text = f"wipe what is left of the file system from {self._device}"
            yield block.wipe_signatures(seen.device, text, risk="")
        if seen.there == "dir" and (seen.active or (seen.path_empty and not seen.mount)):
            yield files.remove_directory(self.pool.path)

    def _empty(self, seen: SeenFileSystem) -> bool:
        return bool(seen.active and seen.whole and not seen.inside)

    def volumes(self) -> Files:
        return Files(self.pool.path)
