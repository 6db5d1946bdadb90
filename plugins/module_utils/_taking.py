# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may be taken: the one room that decides it, for all pool types and for removals.

A step that writes to a device or a file claims it.  Here each claim meets everybody who has a
right to it.  Denied by default: what cannot be looked at is an error, and who holds a device that
the kernel gives to nobody else is a user even if nothing tells who it is.
"""

from __future__ import annotations

import contextlib
import functools
import re
import typing as t

from . import _guests
from ._host import NoAnswer, Reader
from ._kernel import Mount, Open
from ._model import Device, File, Place, Pool, Refused, VolumeGroup
from ._plan import Action, group_use, member_use, mount_use
from ._tools import block, fs, lvm, qemu_img, targets

# Who reads such a signature has more devices than this one, or keeps what others need on it.
_MEMBERS: t.Mapping[str, str] = {
    "LVM1_member": "a volume group of LVM 1",
    "linux_raid_member": "an md array, running or not",
    "zfs_member": "a ZFS pool",
    "ceph_bluestore": "a Ceph cluster",
    "drbd": "a DRBD resource",
    "bcache": "a bcache",
    "jbd": "a file system whose journal is on it",
    "mpath_member": "a multipath map",
    "stratis": "a Stratis pool",
    "xfs_external_log": "a file system whose log is on it",
    "oracleasm": "an Oracle ASM disk group",
    "mpool": "an mpool",
    "DM_snapshot_cow": "a snapshot of another device",
    "DM_verity_hash": "a device that its hashes are of",
    "drbdmanage_control_volume": "a DRBD cluster",
    "drbdproxy_datalog": "a DRBD resource",
}
_CONTENT_NAMES = ("by-label", "by-uuid", "by-partlabel", "by-partuuid")
# Where superblocks tell how many devices a file system has: the place of 64 bits, and the first and
# the number of those that count.
_COUNTS = {"btrfs": (0x10088, 0, 64), "bcachefs": (4096 + 120, 24, 8)}
_BTRFS_FLAGS, _SEEDING = 0x10038, 1 << 32


class Use(t.NamedTuple):
    """Who uses something, in words that go behind "is"; ``token`` stands in `Action.frees`.

    ``idle`` tells that nobody is at work there, so that the device may be away for a time.
    ``opened`` by a process that may only read it.  ``defined`` for a guest, which may be off.
    """

    words: str
    token: str = ""
    idle: bool = False
    opened: bool = False
    defined: bool = False

    @property
    def harmless(self) -> bool:
        """Whether who only reads the thing can do so meanwhile."""
        return self.opened or self.idle or self.defined


def judge(host: Reader, plan: t.Sequence[Action], others: t.Sequence[Pool]) -> None:
    """Raises `Refused` where a plan takes what somebody else has a right to.

    ``others`` are all other pools of the host, running or not.  A plan that claims nothing costs
    nothing.
    """
    claims = list(dict.fromkeys(claim for action in plan for claim in action.claims))
    if not claims:
        return
    freed = {token for action in plan for token in action.frees}
    devices = [
        c.thing for c in claims if isinstance(c.thing, Device) and c.alone and c.thing.number
    ]
    faults = [*_named_by_content(host, devices), *_named_twice(devices)]
    read = [c.thing for c in claims if isinstance(c.thing, Device) and c.reads]
    room = _Room(host, others, [*devices, *read])
    for claim in claims:
        thing = claim.thing
        if isinstance(thing, VolumeGroup):  # whose devices are claimed, too
            continue
        if claim.reads:
            words = room.written(thing)
        else:
            words = room.words(thing, claim.alone, freed, claim.keeps)
        faults += [f"{thing.path} is {' and '.join(words)}"] if words else []
    if faults:
        raise Refused(
            f"Nothing was changed: {'; '.join(dict.fromkeys(faults))}. Stop what uses it, or name "
            "something else."
        )


def users(
    host: Reader, devices: t.Sequence[Device], others: t.Sequence[Pool]
) -> dict[str, tuple[str, ...]]:
    """Who has a right to devices, in words that go behind "is", by number."""
    room = _Room(host, others, devices)
    found = ((each.number, room.words(each, alone=True)) for each in devices)
    return {number: tuple(words) for number, words in found}


def _named_by_content(host: Reader, devices: t.Sequence[Device]) -> t.Iterator[str]:
    """Two disks can answer to such a name, and the name goes when the device is wiped."""
    for device in devices:
        for link in host.links(device.path):
            if any(f"/{name}/" in link for name in _CONTENT_NAMES):
                yield (
                    f"{device.path} is a name that comes from what is on the device, which other "
                    "devices can have too; to take it, name it as /dev/disk/by-id does"
                )


def _named_twice(devices: t.Sequence[Device]) -> t.Iterator[str]:
    for number, device in enumerate(devices):
        for other in devices[:number]:
            if device.number and device.number == other.number and device.path != other.path:
                yield f"{other.path} and {device.path} are one device; name it once"


class _Inside(t.NamedTuple):
    """Any file of a file system, by the number of its device as stat has it."""

    device: int


class _Room:
    """Who uses what of the host, looked at once for all claims.

    ``uses`` are by number of a device, by device and inode of a file, and by path where a thing
    has no number, such as an inactive logical volume.
    """

    def __init__(self, host: Reader, others: t.Sequence[Pool], taken: t.Sequence[Device]) -> None:
        self.host, self.others = host, others
        self.lvm = lvm.look(host) if host.has("lvm") else lvm.NOTHING
        self.above = {device.number: block.above(host, device) for device in taken}
        every = [*taken, *(each for found in self.above.values() for each in found)]
        self.kinds = block.kinds(host, every)
        if host.has("udevadm"):  # a container has none
            host.ask("udevadm", "settle")  # udev opens what is new, for a moment
        self.here = host.mounts()
        self.mounts = [*self.here, *host.mounts_elsewhere()]
        self.uses: dict[t.Any, list[Use]] = {}
        self.paths: list[tuple[str, Use]] = []
        for uses in (
            self._mounted(),
            self._open(),
            self._backing(),
            self._owners(others),
            self._said_of_guests(),
        ):
            for key, use in uses:
                self.uses.setdefault(key, []).append(use)

    def _mounted(self) -> t.Iterator[tuple[str, Use]]:
        tied = {(mount.target, peer) for mount in self.here for peer in mount.peers}
        for mount in self.mounts:
            words, token = f"mounted at {mount.target}", mount_use(mount.target)
            if mount.elsewhere:
                # What is unmounted here goes there, too, where the kernel ties the two.
                if any((mount.target, peer) in tied for peer in mount.peers):
                    continue
                words, token = f"{words} in the mount namespace of {mount.elsewhere}", ""
            for number in block.numbers(self.host, mount):
                yield number, Use(words, token)
            layer = Use(f"a layer of the overlay at {mount.target}")
            self.paths += [(path, layer) for path in _layers(mount)]

    def _open(self) -> t.Iterator[tuple[t.Any, Use]]:
        who: dict[t.Any, set[str]] = {}
        for each in self.host.opened():
            file = (each.device, each.inode) if each.inode else each.path
            for key in (each.number, file, each.inode and _Inside(each.device)):
                who.setdefault(key, set()).add(each.who)
            self.paths.append((each.path, Use(f"open in {each.who}")))
        return (
            (key, Use(f"open in {_listed(whom)}", opened=True)) for key, whom in who.items() if key
        )

    def _backing(self) -> t.Iterator[tuple[t.Any, Use]]:
        for loop in self.host.loops():
            use = Use(f"behind {loop.path}")
            self.paths.append((loop.backing, use))
            yield loop.number or (loop.device, loop.inode), use
        for path, words in (*block.swaps(self.host), *targets.backing(self.host)):
            yield from self._at(path, Use(words))

    def _said_of_guests(self) -> t.Iterator[tuple[t.Any, Use]]:
        needs = _guests.needs(self.host)
        pools = _guests.mountable(self.host) if needs else []
        for path, uses in needs.items():
            # Of a file system that is not mounted, nothing but the path tells what is on it.
            on = [pool for pool in pools if path.startswith(f"{pool.path}/")]
            for words in uses:
                yield from self._at(path, Use(words, defined=True))
                below = Use(f"below {path}, which is {words}", idle=True, defined=True)
                yield from ((key, below) for pool in on for key in self._devices(pool))

    def _at(self, path: str, use: Use) -> t.Iterator[tuple[t.Any, Use]]:
        """A use of whatever is at a path that somebody has written down."""
        self.paths.append((path, use))
        number, file = "", None
        with contextlib.suppress(NoAnswer):  # a file of a server that is dead
            number, file = block.number(self.host, path), self.host.file(path)
        yield number, use
        yield (file.device, file.inode) if file else path, use

    def _owners(self, others: t.Sequence[Pool]) -> t.Iterator[tuple[str, Use]]:
        for group in self.lvm.groups.values():
            for number in group.devices:
                yield number, Use(f"part of volume group {group.name}", group_use(group.uuid), True)
        for pool in others:
            use = Use(f"what pool {pool.name} lives on")
            if pool.type in ("dir", "fs", "netfs"):
                real = pool.path if pool.type == "netfs" else fs.real(self.host, pool.path)
                self.paths.append((real, use))
            yield from ((key, use) for key in self._devices(pool))

    def _devices(self, pool: Pool) -> t.Iterator[str]:
        """The devices of a pool, by number where they have one."""
        if pool.type in ("fs", "logical", "disk"):
            yield from (block.number(self.host, path) or path for path in pool.devices)
        for group in self.lvm.groups.values():
            if pool.type == "logical" and group.name == pool.source:
                yield from group.devices

    def words(
        self,
        thing: Device | File | Place,
        alone: bool,
        freed: t.Collection[str] = (),
        keeps: bool = False,
    ) -> list[str]:
        """Who uses it, in words that go behind "is"; but for the uses that are freed."""
        if isinstance(thing, Place):
            found = list(self._below(thing, alone))
        elif isinstance(thing, File):
            key = (thing.device, thing.inode)
            found = self.uses.get(key) or self.uses.get(thing.path, [])
            found = [*found, *(_needed(self.images.get(key, ())) if alone else ())]
        elif not thing.number:
            found = self.uses.get(thing.path, [])
        else:
            whole = [use for use in self._whole(thing) if alone or not use.idle]
            found = [*whole, *(self._around(thing) if alone else ())]
            found += self._images_on(thing) if alone else ()
            # No pool of volumes has its own ones open, as that of partitions has the disk.
            whole_is_ours = alone or thing.uuid.startswith("LVM-")
            if whole_is_ours and not found and self.host.taken(thing.path):
                found = [Use("in use by the kernel, which does not tell for what")]
        found = [use for use in found if use.token not in freed and not (keeps and use.defined)]
        return list(dict.fromkeys(use.words for use in found))

    def written(self, thing: Device | File | Place) -> list[str]:
        """Who may write to it meanwhile, in words that go behind "is"."""
        if isinstance(thing, File):
            key = (thing.device, thing.inode)
            found = self.uses.get(key) or self.uses.get(thing.path, [])
            found = [use for use in found if not use.harmless]
            found += self._writers((key, thing.path))
        elif isinstance(thing, Device):
            found = []
            for each in (thing, *self.above[thing.number]):
                where = "" if each == thing else f"below {each.path}, which is "
                uses = [use for use in self._whole(each) if not use.harmless]
                for use in (*uses, *self._writers((each.number,))):
                    found.append(use._replace(words=f"{where}{use.words}"))
            if not found and self.host.taken(thing.path):
                found = [Use("in use by the kernel, which does not tell for what")]
        else:
            found = []
        return list(dict.fromkeys(use.words for use in found))

    def _writers(self, keys: t.Collection[t.Any]) -> t.Iterator[Use]:
        """The processes that have something open for writing."""
        for each in self.host.opened():
            file = (each.device, each.inode) if each.inode else each.path
            if (each.number in keys or file in keys) and _writes(self.host, each):
                yield Use(f"open for writing in {each.who}")

    def _below(self, place: Place, whole: bool) -> t.Iterator[Use]:
        """The uses of a directory and all that is in it, by all paths that lead there."""
        paths = [place.path, *self._aliases(place, whole)]
        found: dict[Use, list[str]] = {}
        for mount in self.mounts:
            here = mount.target in paths
            if (here and whole) or any(mount.target.startswith(f"{path}/") for path in paths):
                found.setdefault(Use("a mount point"), []).append(mount.target)
        for path, use in (*self.paths, *(self._images_outside(paths) if whole else ())):
            if any(f"{path}/".startswith(f"{each}/") for each in paths):
                found.setdefault(use, []).append(path)
        for use, where in found.items():
            yield use._replace(words=f"{_where(place, where)}{use.words}")

    def _aliases(self, place: Place, whole: bool) -> t.Iterator[str]:
        """The other paths by which a directory, or a part of it where it goes, can be reached."""
        own = fs.mount_of(self.here, place.path)
        inside = fs.under(own.root, place.path, own.target)
        for mount in self.mounts:
            if mount.device != own.device:
                continue
            if whole and f"{mount.root}/".startswith(f"{inside}/"):
                yield mount.target
            elif f"{inside}/".startswith(f"{mount.root.rstrip('/')}/"):
                yield fs.under(mount.target, inside, mount.root)

    @functools.cached_property
    def images(self) -> dict[tuple[int, int], list[tuple[File, str]]]:
        """What images in other pools are based on, by device and inode, with each image's path."""
        found: dict[tuple[int, int], list[tuple[File, str]]] = {}
        for pool in self.others:
            if pool.type not in ("dir", "fs", "netfs"):
                continue
            for path, files in qemu_img.based(self.host, pool.path).items():
                for file in files:
                    found.setdefault((file.device, file.inode), []).append((file, path))
        return found

    def _images_outside(self, paths: t.Sequence[str]) -> t.Iterator[tuple[str, Use]]:
        """What images that are not below any of the paths are based on."""
        for needed in self.images.values():
            for file, image in needed:
                if not any(fs.real(self.host, image).startswith(f"{path}/") for path in paths):
                    yield from ((file.path, use) for use in _needed([(file, image)]))

    def _images_on(self, device: Device) -> t.Iterator[Use]:
        """The images of other pools that are based on a device or on files on it."""
        node = self.host.file(device.path)
        numbers = {device.number, *(each.number for each in self.above.get(device.number, ()))}
        for key, needed in self.images.items():
            file = needed[0][0]
            if node and key == (node.device, node.inode):
                yield from _needed(needed)
            elif numbers.intersection(block.numbers(self.host, fs.mount_of(self.here, file.path))):
                for use in _needed(needed):
                    yield use._replace(words=f"below {file.path}, which is {use.words}")

    def _whole(self, device: Device) -> list[Use]:
        """The uses of a device as a whole, but for its partitions."""
        held = [_holder(each) for each in block.holders(self.host, device)]
        # Also where it is mounted nowhere any more, and only lives on in what is open.
        inside = self.uses.get(_Inside(block.filesystem(device)), []) if device.number else []
        return [*self.uses.get(device.number, []), *inside, *held]

    def _around(self, device: Device) -> t.Iterator[Use]:
        """The uses of what is on a device and of the disk that it is a part of."""
        yield from self._members(device)
        for each in self.above[device.number]:
            relation = f"the disk of {each.path}" if each.partition else f"below {each.path}"
            for use in (*self._whole(each), *self._members(each)):
                yield use._replace(words=f"{relation}, which is {use.words}")
        disk = block.disk(self.host, device)
        for use in (*self._whole(disk), *self._twins(disk)) if disk else ():
            yield use._replace(words=f"a part of {disk.path if disk else ''}, which is {use.words}")
        yield from self._twins(device)

    def _twins(self, disk: Device) -> t.Iterator[Use]:
        twins = block.disks_like(self.host, disk)
        if twins:
            yield Use(
                f"the same disk as {_listed(twins)}, going by world-wide name or serial number, "
                "and no multipath map joins them (start multipathd, and name the map)"
            )

    def _members(self, device: Device) -> t.Iterator[Use]:
        for kind in sorted(self.kinds.get(device.number, ())):
            token = member_use(device.number, kind)
            if kind == "LVM2_member":
                yield from (use._replace(token=token) for use in self._lvm_member(device))
            elif kind in _MEMBERS or kind.endswith("_member"):
                what = _MEMBERS.get(kind, f"something larger ({kind})")
                yield Use(f"a member of {what} ({_given_up(device, kind)})", token)
            elif kind in _COUNTS:
                yield from (use._replace(token=token) for use in self._one_of(device, kind))

    def _one_of(self, device: Device, kind: str) -> t.Iterator[Use]:
        place, first, bits = _COUNTS[kind]
        count = self.host.integer(device.path, place) >> first & (1 << bits) - 1
        if count > 1:
            yield Use(f"one of {count} devices of a {kind} file system")
        elif kind == "btrfs" and self.host.integer(device.path, _BTRFS_FLAGS) & _SEEDING:
            yield Use("a seed, on which other btrfs file systems can be based")

    def _lvm_member(self, device: Device) -> t.Iterator[Use]:
        if not self.host.has("lvm"):
            yield Use("prepared for LVM, and this host has no lvm2 to tell whose it is")
        elif not self.lvm.group_of(device.number) and device.number not in self.lvm.orphans:
            yield Use(
                "a member of a volume group that LVM does not show on this host: another host's, "
                "a damaged one, a guest's, or one that a filter or the devices file hides "
                f"({_given_up(device, 'LVM2_member')})"
            )


def _writes(host: Reader, opened: Open) -> bool:
    """Whether a process can write to what it has open; one that has closed it cannot."""
    told = host.read(opened.info) if opened.info else None
    flags = re.search(r"^flags:\s*0*([0-7]+)$", told or "", re.MULTILINE)
    return opened.writes or bool(flags and int(flags[1], 8) & 3)


def _given_up(device: Device, kind: str) -> str:
    """The way out where a member is not wanted any more; it takes no other signature away."""
    return f"if it is not wanted any more: wipefs --all --types {kind} {device.path}"


def _layers(mount: Mount) -> t.Iterator[str]:
    """The directories that an overlay is made of."""
    for option in mount.options if mount.format == "overlay" else ():
        key, value = option.partition("=")[::2]
        if key in ("lowerdir", "upperdir", "workdir"):
            yield from value.split(":")


def _needed(images: t.Sequence[tuple[File, str]]) -> list[Use]:
    return [Use(f"what {_listed(path for _file, path in images)} is based on")] if images else []


def _where(place: Place, paths: t.Sequence[str]) -> str:
    """The first of the paths, where none is the place itself."""
    if place.path in paths:
        return ""
    more = len(set(paths)) - 1
    return f"above {paths[0]}{f' and {more} more' if more else ''}, which is "


def _holder(holder: Device) -> Use:
    """A device on top of another one; device mapper tells by its uuid what it is for."""
    kind, rest = holder.uuid.partition("-")[::2]
    if kind == "LVM":
        return Use(f"part of logical volume {holder.path}", group_use(rest[:32]))
    words = {
        "mpath": f"a path of multipath map {holder.path}; name the map instead",
        "CRYPT": f"opened as encrypted volume {holder.path}",
    }
    array = f"a member of array {holder.path}" if holder.path.startswith("/dev/md") else ""
    return Use(words.get(kind) or array or f"held by {holder.path}")


def _listed(items: t.Iterable[str]) -> str:
    return ", ".join(sorted(set(items)))
