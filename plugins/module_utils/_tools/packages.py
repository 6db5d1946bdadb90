# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which programs and file systems a host lacks, and the Debian packages that have them."""

from __future__ import annotations

import re
import typing as t

from .._host import Reader

_PROGRAMS = {
    "bcachefs-tools": "mkfs.bcachefs",
    "btrfs-progs": "mkfs.btrfs",
    "cifs-utils": "mount.cifs",
    "dosfstools": "mkfs.fat mkfs.vfat",
    "e2fsprogs": "chattr dumpe2fs e2fsck lsattr mkfs.ext2 mkfs.ext3 mkfs.ext4 resize2fs",
    "exfatprogs": "mkfs.exfat",
    "f2fs-tools": "mkfs.f2fs",
    "fdisk": "sfdisk",
    "genisoimage": "genisoimage mkisofs",
    "gfs2-utils": "mkfs.gfs2",
    "glusterfs-client": "mount.glusterfs",
    "hfsprogs": "mkfs.hfsplus",
    "kmod": "modprobe",
    "kpartx": "kpartx",
    "libvirt-clients": "virsh",
    "lvm2": "lvchange lvcreate lvextend lvm lvreduce lvremove lvrename lvresize pvcreate pvremove "
    "pvresize vgchange vgcreate vgextend vgremove",
    "dmsetup": "dmsetup",
    "mount": "mount umount",
    "multipath-tools": "multipath multipathd",
    "nfs-common": "mount.nfs showmount",
    "ocfs2-tools": "mkfs.ocfs2",
    "open-iscsi": "iscsiadm",
    "parted": "parted partprobe",
    "qemu-utils": "qemu-img",
    "scrub": "scrub",
    "systemd": "systemctl",
    "thin-provisioning-tools": "thin_check",
    "udev": "udevadm",
    "udftools": "mkfs.udf",
    "util-linux": "blkdiscard blkid fallocate partx wipefs",
    "xfsprogs": "mkfs.xfs xfs_growfs",
    "xorriso": "xorriso",
}
# What the role host installs.
_ROLES = frozenset(
    [
        *("cifs-utils", "dosfstools", "e2fsprogs", "fdisk", "glusterfs-client", "kpartx"),
        *("libvirt-clients", "lvm2", "mount", "multipath-tools", "nfs-common", "open-iscsi"),
        *("parted", "qemu-utils", "thin-provisioning-tools", "util-linux", "xfsprogs", "xorriso"),
    ]
)
# Words of lvcreate for what LVM does not activate without thin_check
_THIN = frozenset(["thin-pool", "--thinpool", "--setactivationskip"])
PACKAGES = {program: package for package, all_ in _PROGRAMS.items() for program in all_.split()}


def lacking(host: Reader, argv: t.Sequence[str]) -> t.Iterator[str]:
    """The programs and file systems that a command needs and the host has not."""
    kind = _mounted(argv)
    helper = f"mount.{kind}"
    if not host.has(argv[0]):
        yield argv[0]
    if argv[0] == "lvcreate" and _THIN.intersection(argv) and not host.has("thin_check"):
        yield "thin_check"
    if helper in PACKAGES and not host.has(helper):
        yield helper
    elif kind not in ("", "auto") and not _mountable(host, kind):
        yield f"the file system {kind} in its kernel"


def way(programs: t.Sequence[str]) -> str:
    """How to get what is missing."""
    named = sorted({PACKAGES[program] for program in programs if program in PACKAGES})
    if not named:
        return "Install what has it."
    role = ", for example with the role poolwright.storage.host" if _ROLES.issuperset(named) else ""
    return f"Install {' and '.join(named)} (as Debian calls it){role}."


def _mounted(argv: t.Sequence[str]) -> str:
    """The kind of file system that a command mounts; "" where it does not say, or mounts none.

    Where it is auto, mount itself finds out.
    """
    if argv[0] != "mount" or len(argv) < 3:
        return ""
    if "-t" in argv:
        return argv[argv.index("-t") + 1]
    return "nfs" if re.match("[^/]+:/", argv[-2]) else ""


def _mountable(host: Reader, kind: str) -> bool:
    """Whether the kernel knows a kind of file system, can load it, or a program has it."""
    known = [line.split()[-1] for line in (host.read("/proc/filesystems") or "").splitlines()]
    if kind in known or host.has(f"mount.{kind}") or not host.has("modprobe"):
        return True
    missing = "not found"
    return bool(host.ask("modprobe", "--dry-run", "--show-depends", f"fs-{kind}", nothing=missing))
