# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""File systems and mounts: mkfs, mount, umount."""

from __future__ import annotations

import contextlib
import re
import typing as t

from .._host import LIMIT, HostError, NoAnswer, Reader
from .._kernel import Mount
from .._model import Claim, Device, Permissions, Place, Pool, Refused
from .._plan import Action, mount_use, run

# libvirt's default on Linux; a later option, such as exec, undoes an earlier one.
DEFAULT_OPTIONS = ("nodev", "nosuid", "noexec")
_UNDOES = {"dev": "nodev", "suid": "nosuid", "exec": "noexec", "rw": "ro"}

# Options that somebody has chosen where the mount table shows them.
_SAID = {
    *("ro", "noatime", "nodiratime", "strictatime", "lazytime"),
    *("sync", "dirsync", "discard", "soft", "nosharecache"),
}

# Where mkfs is not called mkfs.FORMAT, and where the kernel has another word than libvirt.
_MKFS = {"hfs+": "mkfs.hfsplus", "gfs2": "mkfs.gfs2", "iso9660": ""}
_REHEARSAL = {
    **{kind: (f"mkfs.{kind}", "-n", "-q") for kind in ("ext2", "ext3", "ext4")},
    "xfs": ("mkfs.xfs", "-N"),
}
_KERNEL = {"hfs+": "hfsplus"}

GROWING = ("ext3", "ext4", "xfs")  # while it is mounted
_EXT = (("dumpe2fs", "-h"), r"^Block count:\s+(\d+)$.*^Block size:\s+(\d+)$")
_TOLD = {"xfs": (("xfs_growfs", "-n"), r"^data\s*=\s*bsize=(\d+)\s+blocks=(\d+)")}

# What format auto mounts, by the names that libblkid gives.
MOUNTABLE = frozenset(
    [
        "ext2",
        "ext3",
        "ext4",
        "ufs",
        "iso9660",
        "udf",
        "gfs",
        "gfs2",
        "vfat",
        "hfsplus",
        "xfs",
        "ocfs2",
        "vmfs",
        "btrfs",
        "f2fs",
        "jfs",
        "ntfs",
        "exfat",
        "nilfs2",
        "bcachefs",
    ]
)


# The largest file of file systems with blocks of 4096 bytes, where guests' disks come near it.
_SHARING = frozenset(["bcachefs", "btrfs", "ocfs2", "xfs"])
_LARGEST = {"vfat": (4 << 30) - 1, "ext2": 2 << 40, "ext3": 2 << 40, "ext4": (16 << 40) - 4096}


# File systems, or options of theirs, with which names are as in Windows, and with which case does
# not tell them apart.
_NARROW = frozenset(["exfat", "msdos", "vfat", "windows_names"])
_ALIKE = frozenset(["exfat", "msdos", "vfat"])  # without modes and owners
_CASELESS = frozenset(["exfat", "hfsplus", "msdos", "nocase", "vfat"])
_NOT_IN_NAMES = '"*:<>?|\\'


def kernel_name(format: str) -> str:
    """What mount and blkid call a format of libvirt's."""
    return _KERNEL.get(format, format)


def libvirt_name(format: str) -> str:
    """What libvirt calls a format of mount's and blkid's."""
    return next((name for name, kernel in _KERNEL.items() if kernel == format), format)


def maker(format: str) -> str:
    """The command that makes file systems of a format; "" where nobody has one."""
    return _MKFS.get(format, f"mkfs.{format}")


def rehearse(host: Reader, format: str, device: Device) -> str:
    """What the tool says against making a file system; "" where it would, or cannot tell."""
    argv = _REHEARSAL.get(format)
    if not argv or not host.has(argv[0]):
        return ""
    foreseen = host.zeros(device.size) if device.foreseen else contextlib.nullcontext(device.path)
    with foreseen as path:
        code, output, errors = host.rehearse(*argv, path)
    said = (errors or output).replace(path, device.path).strip()
    return said or "it does not say why" if code else ""


def make(format: str, device: Device) -> Action:
    """Makes a file system on a blank device."""
    text = f"make an {format} file system on {device.path}"
    return run(text, maker(format), device.path, claims=(Claim(device),))


def size(host: Reader, kind: str, device: Device, mounted: str = "") -> int:
    """The bytes that a file system has; ``mounted`` is where.  0 of one that does not grow."""
    if kind not in GROWING:
        return 0
    if kind == "xfs" and not mounted:
        block, count = (host.integer(device.path, place).to_bytes(8, "little") for place in (4, 8))
        return int.from_bytes(block[:4], "big") * int.from_bytes(count, "big")
    # While it is mounted, only its own tool knows; the device need not show what it shows then.
    argv, pattern = _TOLD.get(kind, _EXT)
    text = host.ask(*argv, mounted if kind == "xfs" else device.path)
    found = re.search(pattern, text, re.M | re.S)
    if not found:
        raise HostError(f"{argv[0]} does not tell how large the file system on {device.path} is")
    return int(found[1]) * int(found[2])


def grow(kind: str, device: Device, target: str) -> Action:
    """Lets a file system that is mounted fill its device."""
    argv = ("xfs_growfs", "-d", target) if kind == "xfs" else ("resize2fs", device.path)
    text = f"let the file system on {device.path} fill it"
    claims = (Claim(device, alone=False, keeps=True),)
    return run(text, *argv, claims=claims, frees=frozenset([mount_use(target)]))


def exports(host: Reader, server: str) -> list[str]:
    """The directories that an NFS server offers; a directory may have blanks, its clients none."""
    argv = ("showmount", "--no-headers", "--exports", server)
    lines = host.ask(*argv, limit=LIMIT).split("\n")
    return [line.rsplit(None, 1)[0] for line in lines if line.startswith("/")]


def at(mounts: t.Sequence[Mount], target: str) -> Mount | None:
    """What is mounted at a path: the last mount there covers those before it."""
    return next((mount for mount in reversed(mounts) if mount.target == target), None)


def holding(host: Reader, path: str) -> frozenset[str]:
    """The format of the file system at a path, with its options; nothing where it is not told."""
    node, every = host.node(path), host.mounts()
    mounts = [m for m in every if node and m.device == node.filesystem]
    # The files of btrfs have another number than its mounts.
    around = mount_of(every, host.real(path))
    mounts += [around] if around.format == "btrfs" else []
    return frozenset(word for mount in mounts for word in (mount.format, *mount.options))


def largest_file(words: t.Collection[str]) -> int:
    """How large a file can be on such a file system; 0 where nothing is known that matters."""
    return min((_LARGEST[word] for word in words if word in _LARGEST), default=0)


def shares_blocks(words: t.Collection[str]) -> bool:
    """Whether files of such a file system can have blocks in common."""
    return bool(_SHARING.intersection(words))


def refused_name(words: t.Collection[str], name: str) -> str:
    """What such a file system has against a name; "" where that is nothing."""
    if not _NARROW.intersection(words):
        return ""
    wrong = sorted(set(name).intersection(_NOT_IN_NAMES))
    if wrong:
        return f"a {_told(words)} file system takes no name with {' or '.join(wrong)} in it"
    if name.endswith((".", " ")):
        return f"a {_told(words)} file system takes no name that ends with a dot or a blank"
    return ""


def refused_permissions(words: t.Collection[str], wanted: Permissions) -> str:
    """What such a file system has against permissions of a file; "" where that is nothing."""
    if not _ALIKE.intersection(words):
        return ""
    options = {key: value for key, dummy, value in (word.partition("=") for word in words)}
    owner, group = (int(options.get(key, 0)) for key in ("uid", "gid"))
    mode = 0o777 & ~int(options.get("fmask", "0"), 8)
    modes = (mode, mode & 0o555)  # it knows files that cannot be written
    if (
        wanted.owner in (None, owner)
        and wanted.group in (None, group)
        and (not wanted.mode or int(wanted.mode, 8) in modes)
    ):
        return ""
    return (
        f"to a {_told(words)} file system all files have mode {mode:04o}, owner {owner} and group "
        f"{group}; mount it with other fmask, uid and gid, or leave mode, owner and group out"
    )


def same_name(words: t.Collection[str], name: str) -> str:
    """A name as such a file system compares it."""
    return name.lower() if _CASELESS.intersection(words) else name


def _told(words: t.Collection[str]) -> str:
    return next(iter(sorted(_CASELESS.intersection(words))), "Windows")


def mount_of(mounts: t.Sequence[Mount], path: str) -> Mount:
    """The mount that a path is in: the longest of its targets, and of equal ones the last."""
    around = (m for m in mounts if f"{path}/".startswith(f"{m.target.rstrip('/')}/"))
    nowhere = Mount("", "/", "/", "", "", frozenset())  # a chroot need not show what / is
    return max(reversed(list(around)), key=lambda mount: len(mount.target), default=nowhere)


def under(base: str, path: str, above: str) -> str:
    """The path below ``above``, put below ``base``."""
    rest = path[len(above.rstrip("/")) :]
    return f"{base.rstrip('/')}{rest}" or "/"


def real(host: Reader, path: str) -> str:
    """A path without links; as it is written where it is a dead server's, which would not tell."""
    try:
        return host.real(path)
    except NoAnswer:
        return path


def plain(host: Reader, path: str) -> str:
    """A path without links and, where the whole of a file system is mounted, without binds."""
    mounts, path = host.mounts(), real(host, path)
    own = mount_of(mounts, path)
    inside = under(own.root, path, own.target)
    around = [m for m in mounts if m.device == own.device and is_below(inside, m.root)]
    best = min(around, key=lambda mount: len(mount.root), default=own)
    return under(best.target, inside, best.root)


def directory(host: Reader, pool: Pool) -> frozenset[str]:
    """The directory that a pool of files has, so that no two pools have one."""
    if pool.type not in ("dir", "fs", "netfs"):
        return frozenset()
    # Of another server's mount the text is enough, so that it need not be asked.
    path = pool.path if pool.type == "netfs" else plain(host, pool.path)
    return frozenset({f"directory {path}"})


def is_below(path: str, above: str) -> bool:
    """Whether a path is another one, or below it."""
    return f"{path}/".startswith(f"{above.rstrip('/')}/")


def below(mounts: t.Sequence[Mount], target: str) -> list[str]:
    """The mount points below a path."""
    return [mount.target for mount in mounts if mount.target.startswith(target.rstrip("/") + "/")]


def refuse_place(path: str, real: str, kind: str) -> None:
    """Raises `Refused` where a path cannot be a mount point.

    It has to be the path that the mount table would show; ``kind`` is what is there, if anything.
    """
    if kind not in ("", "dir"):
        raise Refused(
            f"Nothing was changed: {path} is there and is not a directory. Name another path."
        )
    if real != path:
        raise Refused(
            f"Nothing was changed: {path} leads through a symbolic link, and libvirt would not "
            f"know the mount again. Write path: {real}."
        )


def mount(
    source: str, target: str, format: str, options: t.Sequence[str], **facts: t.Any
) -> Action:
    """Mounts; ``facts`` as in `run`."""
    kind = ["-t", format] if format else []
    argv = ["mount", "-o", ",".join((*DEFAULT_OPTIONS, *options)), *kind, source, target]
    return run(f"mount {source} at {target}", *argv, **facts)


def remount(target: str, options: t.Sequence[str]) -> Action:
    # rw has to be said: without a word on it a remount leaves a mount read-only.
    argv = ["mount", "-o", ",".join(("remount", "rw", *DEFAULT_OPTIONS, *options)), target]
    return run(f"change the mount options of {target}", *argv)


def unmount(place: Place, limit: int = 0) -> Action:
    """Takes away a mount in which nobody has anything open."""
    return run(
        f"unmount {place.path}",
        *("umount", place.path),
        limit=limit,
        claims=(Claim(place, alone=False),),
        frees=frozenset([mount_use(place.path)]),
    )


def described(mount: Mount | None) -> dict[str, t.Any]:
    """A mount as options of a pool: nothing where there is none."""
    if mount is None:
        return {}
    undone = [
        word for word, undoes in _UNDOES.items() if word != "rw" and undoes not in mount.options
    ]
    options = [*undone, *sorted(mount.options & _SAID)]
    told = {"name": mount.target.rpartition("/")[2], "path": mount.target}
    return {**told, "mount_options": options} if options else told


def mounted_with(mount: Mount, options: t.Sequence[str]) -> bool:
    """Whether a mount has the options, as far as the mount table shows them as they are written."""
    wanted = set(DEFAULT_OPTIONS)
    for option in options:  # the last word wins
        wanted.discard(_UNDOES.get(option, ""))
        wanted.update({option}.intersection(_UNDOES.values()))
    return wanted == mount.options.intersection(_UNDOES.values())
