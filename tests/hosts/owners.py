# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Who can have what a task would take: the list that test_taking.py tests, cell by cell.

Run as a program, it prints the table that stands in the safety guide.
"""

from __future__ import annotations

import typing as t

# What would take something, as the head of its column in the guide
COLUMNS = {
    "fs": "a new ``pool_fs``",
    "logical": "a new or extended ``pool_logical``",
    "disk": "a new ``pool_disk``",
    "dir deleted": "``pool_dir`` deleted",
    "fs deleted": "``pool_fs`` deleted",
    "logical deleted": "``pool_logical`` deleted",
    "disk deleted": "``pool_disk`` deleted",
    "file": "file removed, shrunk",
    "lv": "logical volume removed, shrunk",
    "partition": "partition removed",
}
# Where the thing is that is owned, and which columns are tried there.  $D is it, $E another disk.
PLACES = {
    "disk": ("fs", "logical", "disk"),  # the disk that a task names
    "partition of the disk": ("fs", "logical", "disk"),
    "disk of the partition": ("fs", "logical"),
    "fs": ("fs deleted",),  # the device of a pool
    "file in fs": ("fs deleted",),
    "lv": ("lv", "logical deleted"),
    "partition": ("partition", "disk deleted"),
    "file": ("file", "dir deleted"),
    "file in a folder": ("dir deleted",),  # whose use is not in the way of the file alone
    "disk under two names": ("logical",),
}
TAKEN = ("disk", "partition of the disk")
VOLUMES = ("lv", "partition")
EVERYWHERE = (*TAKEN, *VOLUMES)
GROUPED = (*TAKEN, "partition")  # LVM takes no logical volume for a member
ELSEWHERE = (*TAKEN, "lv")  # where another pool can be: a partition is part of its disk's pool


class Owner(t.NamedTuple):
    """A kind of owner or user: in the guide's words, how it is made, and what is said of it.

    ``words`` is a regular expression.  ``quick`` are the places where it is tried in every run.
    """

    title: str
    make: str
    words: str
    places: tuple[str, ...] = EVERYWHERE
    quick: tuple[str, ...] = ()
    pool: t.Mapping[str, t.Any] = {}  # the other pool that has it, where it is one
    name: str = ""  # of the disk in the task, where that is another one
    consent: str = ""  # what lets a task take it all the same
    useful: tuple[str, ...] = ()  # columns that take it as it is, and lose nothing by it

    @property
    def both(self) -> bool:
        """Whether it has the other disk, too."""
        return "$E" in self.make or "two_of_btrfs" in self.make


PRELUDE = r"""
set -e
hold() { # a process that stays, under the name sleep when it is ready
    setsid "$@" >/dev/null 2>&1 </dev/null &
    echo $! >>/run/owners
    for _ in 0 1 2 3 4 5 6 7 8 9; do
        read -r name </proc/$!/comm && [ "$name" = sleep ] && return
        /bin/sleep 0.5
    done
    return 1
}
defined() { # a guest that is off, as libvirt keeps it
    mkdir -p /etc/libvirt/qemu
    echo "<domain type='qemu'><name>o</name><devices><disk>$1</disk></devices></domain>" \
        >/etc/libvirt/qemu/o.xml
}
opened() { hold sh -c 'exec sleep 1000 <"$0"' "$1"; }
filled() { mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$1"; }
mounted() {
    filled $D
    mount $D /mnt/o
    mkdir /mnt/o/in
    echo precious | tee /mnt/o/in/file >/mnt/o/file
}
configured() { cp /etc/lvm/lvmlocal.conf /run; echo "devices { $1 }" >/etc/lvm/lvmlocal.conf; }
group() { vgcreate -q -y o $D; lvcreate -q -y --extents 1 --name v o; }
written() { # bytes in octal, place
    printf "$1" | dd of=$D bs=1 seek=$2 conv=notrunc status=none
}
served() {
    core=/sys/kernel/config/target/core
    if [ -b $D ]; then
        mkdir -p $core/iblock_0/o
        echo udev_path=$D >$core/iblock_0/o/control
        echo $D >$core/iblock_0/o/udev_path
        echo 1 >$core/iblock_0/o/enable
    else
        mkdir -p $core/fileio_0/o
        echo fd_dev_name=$D,fd_dev_size=$(stat -c %s $D) >$core/fileio_0/o/control
        echo 1 >$core/fileio_0/o/enable
    fi
}
zfs() { # a label for old libblkid, which looks at uberblocks, and for new, which reads the list
    python3 - $D <<'END'
import struct, sys
def text(word):
    return struct.pack(">I", len(word)) + word.encode() + bytes(-len(word) % 4)
def pair(name, kind, value):
    body = text(name) + struct.pack(">II", kind, 1) + value
    return struct.pack(">II", len(body) + 8, len(body) + 8) + body
numbers = {"version": 5000, "state": 0, "txg": 4, "pool_guid": 1, "guid": 2}
pairs = [pair(name, 8, struct.pack(">Q", value)) for name, value in numbers.items()]
with open(sys.argv[1], "r+b") as disk:
    for place in (0, 1 << 18):
        disk.seek(place + (1 << 14))
        disk.write(b"\1\1\0\0" + struct.pack(">II", 0, 1) + pair("name", 9, text("tank")))
        disk.write(b"".join(pairs) + bytes(8))
        for number in range(4):
            disk.seek(place + (1 << 17) + number * 1024)
            disk.write(struct.pack("<QQ", 0x00BAB10C, 5000))
END
}
array() { echo y | mdadm --create /dev/md/o --level=1 --raid-devices=2 --run $D missing; }
two_of_btrfs() { mkfs.btrfs -q -f -d raid0 -m raid0 $E $D; }
locked() { # the key is in the open: only its kind matters
    printf secret | cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 $D -
}
"""

# As few programs as will do: each is slow to start on a virtual host.
UNDO = r"""
for file in /mnt/o/file /mnt/b/file; do
    [ ! -e $file ] || { echo 3 >/proc/sys/vm/drop_caches; grep -L precious $file; }
done
exec >/dev/null 2>&1
while read -r pid; do kill -9 $pid; done </run/owners
: >/run/owners
[ ! -e /dev/node ] || rm /dev/node
while read -r _ _ _ _ target _; do
    case $target in /mnt/*|*/below) umount $target;; esac
done </proc/self/mountinfo
while read -r path _; do case $path in /*) swapoff $path;; esac; done </proc/swaps
for served in /sys/kernel/config/target/core/*/o; do [ ! -d $served ] || rmdir $served; done
for loop in /sys/block/loop*/loop; do [ ! -d $loop ] || losetup -D; done
for array in /sys/block/md*; do [ ! -d $array ] || mdadm --stop /dev/${array##*/}; done
[ ! -e /run/lvmlocal.conf ] || mv /run/lvmlocal.conf /etc/lvm/lvmlocal.conf
[ ! -e /etc/lvm/devices/system.devices ] || rm /etc/lvm/devices/system.devices
for map in /dev/mapper/o /dev/mapper/o-* /dev/mapper/dup-*; do
    [ ! -e $map ] || dmsetup remove $map
done
[ ! -e /etc/libvirt/qemu/o.xml ] || rm /etc/libvirt/qemu/o.xml
for folder in /srv/attic/below /srv/images/below; do [ ! -d $folder ] || rmdir $folder; done
"""

BTRFS = "one of 2 devices of a btrfs file system"
GROUP = "(part of|belongs to) volume group o"
HIDDEN = "member of a volume group that LVM does not show"

OWNERS = [
    Owner(
        "a mount",
        "mounted",
        "mounted at /mnt/o",
    ),
    Owner(
        "a mount in another mount namespace only",
        "filled $D; hold unshare --mount --propagation private "
        "sh -c 'mount $0 /mnt/o; exec sleep 1000' $D",
        "mounted at /mnt/o in the mount namespace of sleep",
        quick=("lv",),
    ),
    Owner(
        "a second mount in another mount namespace",
        "hold unshare --mount --propagation private sh -c 'mount $0 /mnt/o; exec sleep 1000' $D",
        "mounted at /srv/attic in the mount namespace of sleep",
        ("fs",),
        ("fs",),
    ),
    Owner(
        "a bind mount of a folder, with a file open there",
        "mounted; mount --bind /mnt/o/in /mnt/b; umount /mnt/o; opened /mnt/b/file",
        "mounted at /mnt/b",
        quick=("partition",),
    ),
    Owner(
        "a bind mount of a folder of the pool",
        "mount --bind /srv/attic/lost+found /mnt/b",
        "mounted at /mnt/b",
        ("fs",),
        ("fs",),
    ),
    Owner(
        "a mount below it",
        "mkdir -p ${D%/*}/below; mount -t tmpfs none ${D%/*}/below",
        "/below, which is a mount point",
        ("file in fs", "file in a folder"),
        ("file in fs",),
    ),
    Owner(
        "swap",
        "[ -b $D ] || chmod 600 $D; mkswap -q $D; swapon $D",
        "used as swap",
        (*EVERYWHERE, "file", "file in fs"),
        ("file",),
    ),
    Owner(
        "a process that has it open",
        "opened $D",
        r"open in sleep \(\d+\)",
        (*EVERYWHERE, "disk of the partition", "file", "file in fs", "fs"),
        ("disk of the partition", "file in fs"),
    ),
    Owner(
        "a process that has it open through another node",
        "mknod /dev/node b $(stat -L -c '0x%t 0x%T' $D); opened /dev/node",
        r"open in sleep \(\d+\)",
        (*EVERYWHERE, "fs"),
    ),
    Owner(
        "a process that has it open through a bind mount",
        "mount --bind ${D%/*} /mnt/b; opened /mnt/b/${D##*/}; umount --lazy /mnt/b",
        r"open in sleep \(\d+\)",
        ("file", "file in fs"),
        ("file",),
    ),
    Owner(
        "a process that is in its folder",
        "hold sh -c 'cd $0; exec sleep 1000' ${D%/*}",
        r"open in sleep \(\d+\)",
        ("file in fs", "file in a folder"),
        ("file in fs",),
    ),
    Owner(
        "a process that wants it for itself alone",
        "hold python3 -c 'import os, sys; os.set_inheritable(os.open(sys.argv[1], "
        'os.O_EXCL), True); os.execlp("sleep", "sleep", "1000")\' $D',
        r"open in sleep \(\d+\)",
        (*EVERYWHERE, "disk of the partition"),
    ),
    Owner(
        "a loop device over it",
        "losetup --find $D",
        "behind /dev/loop",
        (*EVERYWHERE, "disk of the partition", "file", "file in fs"),
        ("file", "file in fs"),
    ),
    Owner(
        "a mount of the image",
        "mounted",
        "behind /dev/loop",
        ("file", "file in fs"),
        (),
    ),
    Owner(
        "this host's SCSI target, which serves it",
        "served",
        "served by this host's SCSI target",
        (*EVERYWHERE, "disk of the partition", "file", "file in fs"),
        ("lv", "file"),
    ),
    Owner(
        "an active volume group",
        "group",
        GROUP,
        GROUPED,
    ),
    Owner(
        "an inactive volume group",
        "group; vgchange -q -a n o",
        GROUP,
        GROUPED,
        quick=("disk", "partition of the disk"),
    ),
    Owner("an exported volume group", "group; vgchange -q -a n o; vgexport -q o", GROUP, GROUPED),
    Owner(
        "a volume group with the system ID of another host",
        "group; vgchange -q -a n o; vgchange -q -y --systemid elsewhere o",
        GROUP,
        GROUPED,
    ),
    Owner(
        "one of two volume groups of one name",
        "vgcreate -q -y --devices $D dup $D; vgcreate -q -y --devices $E dup $E",
        "(part of|belongs to) volume group dup",
        GROUPED,
    ),
    Owner(
        "a volume group that a filter or the devices file hides",
        "group; vgchange -q -a n o; configured 'global_filter = [ \"r|.*|\" ]'",
        # A pool that has lost its group so is refused for what stands in its place.
        f"(?:{HIDDEN}|something else is at /dev/guests)",
        TAKEN,
        quick=("disk",),
    ),
    Owner(
        "a volume group beside a leftover backup GPT",
        "sgdisk --clear $D >/dev/null; end=$(($(blockdev --getsz $D) - 33)); "
        "dd if=$D of=/run/gpt skip=$end status=none; wipefs -q -a $D; group; "
        "dd if=/run/gpt of=$D seek=$end conv=notrunc,fsync status=none; wipefs --no-act $D | "
        "grep -q gpt",
        GROUP,
        GROUPED,
        quick=("disk",),
    ),
    Owner("a running md array", "array", "a member of array /dev/md"),
    Owner(
        "a stopped md array",
        "array; mdadm --stop /dev/md/o",
        "a member of an md array, running or not",
        quick=("partition",),
    ),
    Owner(
        "a btrfs of several devices, mounted",
        "two_of_btrfs; mount $E /mnt/o",
        BTRFS,
        quick=("partition",),
    ),
    Owner(
        "a btrfs of several devices, not mounted",
        "two_of_btrfs",
        BTRFS,
        quick=("disk",),
    ),
    Owner(
        "an open encrypted volume",
        "locked; printf secret | cryptsetup open --key-file - $D o",
        "opened as encrypted volume /dev/mapper/o",
        quick=("lv",),
    ),
    Owner(
        "a device mapper device over it",
        'dmsetup create o --table "0 $(blockdev --getsz $D) linear $D 0"',
        "held by /dev/mapper/o",
        (*EVERYWHERE, "disk of the partition"),
    ),
    Owner(
        "a member of a ZFS pool",
        "zfs",
        "a member of a ZFS pool",
    ),
    Owner("a member of a Ceph cluster", "written 'bluestore block device' 0", "a Ceph cluster"),
    Owner(
        "a DRBD resource",
        # The magic number and, which newer libblkid wants, the bytes of a bit in the map
        "size=$(blockdev --getsize64 $D); place=$((size - size % 4096 - 4096)); "
        r"written '\203\164\002\153' $((place + 60)); written '\0\0\020\0' $((place + 80))",
        "a DRBD resource",
    ),
    Owner(
        "a bcache",
        r"written '\010' 4104; written '\306\205\163\366\116\032\105\312' 4120; "
        r"written '\202\145\365\177\110\272\155\201' 4128",
        "a member of a bcache",
    ),
    Owner(
        "the journal of another file system",
        "mke2fs -q -F -b 4096 -O journal_dev $D; mkfs.ext4 -q -F -b 4096 -J device=$D $E",
        "a file system whose journal is on it",
    ),
    Owner(
        "a guest, by its definition, running or not",
        "defined \"<source file='$D'/>\"",
        "a disk of guest o",
        (*EVERYWHERE, "disk of the partition", "file", "file in fs"),
        ("file in fs",),
    ),
    Owner(
        "a guest, by the volume that its definition names",
        "defined \"<source pool='images' volume='v'/>\"",
        "a disk of guest o",
        ("file",),
        ("file",),
    ),
    Owner(
        "another pool, active",
        "",
        "pool other lives",
        ELSEWHERE,
        # The kernel goes on making an ext4 while it is mounted.
        pool={"module": "pool_fs", "path": "/srv/other", "format": "ext2"},
    ),
    Owner(
        "another pool, not active",
        "",
        "pool other lives",
        ELSEWHERE,
        pool={"module": "pool_fs", "path": "/srv/other", "format": "ext4", "state": "present"},
        quick=("partition of the disk",),
    ),
    Owner(
        "another pool's volume group",
        "",
        "pool other lives",
        TAKEN,
        pool={"module": "pool_logical"},
    ),
    Owner(
        "another directory pool in it",
        "",
        "pool other lives",
        ("file in fs", "file in a folder"),
        ("file in fs",),
        pool={"module": "pool_dir"},
    ),
    Owner(
        "one disk on two paths that no multipath map joins",
        "",
        "the same disk as /dev/sd",
        ("disk",),
        name="/dev/disk/by-id/wwn-0x5000c500b0000000",
        quick=("disk",),
    ),
    Owner(
        "another disk with the name, where the name comes from content (``by-label``)",
        "for disk in $D $E; do mkfs.xfs -q -f -L DATA $disk; done; "
        "udevadm trigger $D $E; udevadm settle",
        "a name that comes from what is on the device",
        ("disk",),
        name="/dev/disk/by-label/DATA",
        quick=("disk",),
    ),
    Owner(
        "nobody: a file system that is not mounted",
        "mkfs.xfs -q -f $D",
        "wipe xfs from",
        ("disk",),
        consent="overwrite",
    ),
    Owner(
        "nobody: an encrypted volume that is not open",
        "locked",
        "wipe crypto_LUKS from",
        ("disk",),
        consent="overwrite",
    ),
    Owner(
        "nobody: a physical volume in no group",
        "pvcreate -q $D",
        "wipe LVM2_member from",
        ("disk",),
        ("disk",),
        consent="overwrite",
        useful=("logical",),
    ),
    Owner(
        "the task itself, by another name",
        "",
        "are one device",
        ("disk under two names",),
        ("disk under two names",),
    ),
]


def table() -> str:
    """The guide's table: what the list says, and so what is tested."""
    rows = [["In use or owned by", *COLUMNS.values()]]
    for owner in OWNERS:
        tried = {column for place in owner.places for column in PLACES[place]}
        cell = f"with ``{owner.consent}``" if owner.consent else "no"
        cells = {**dict.fromkeys(tried, cell), **dict.fromkeys(owner.useful, "yes, as it is")}
        rows.append([owner.title, *(cells.get(column, "\\-") for column in COLUMNS)])
    lines = [".. list-table::", "   :header-rows: 1", "   :stub-columns: 1", ""]
    for row in rows:
        lines += [f"   {'-' if number else '* -'} {cell}" for number, cell in enumerate(row)]
    return "".join(f"{'  ' if line.startswith('   - ') else ''}{line}\n" for line in lines)


if __name__ == "__main__":
    print(table(), end="")
