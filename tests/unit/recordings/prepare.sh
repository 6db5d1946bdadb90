#!/bin/sh
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes on a fresh lab host what the recordings are of; see ../record.py.
set -eux

disk() { readlink -f "/dev/disk/by-id/wwn-0x5000c500$1"; }
first=$(disk a0000000) second=$(disk a0000001) third=$(disk a0000002) fourth=$(disk a0000003)

vgcreate -q guests "$first" "$second"
lvcreate -q -y -L 64M -n plain guests "$first"
lvcreate -q -y -L 32M -n behind guests "$first"
lvextend -q -L 128M guests/plain "$first" # in two pieces, with behind between them
lvcreate -q -y -i 2 -L 64M -n striped guests
lvcreate -q -y --type raid1 -m 1 -L 32M -n raid guests
lvcreate -q -y -s -L 32M -n snap guests/plain
lvcreate -q -y -L 64M -T guests/thinpool
lvcreate -q -y -V 256M -T guests/thinpool -n thin
lvcreate -q -y -s -kn -n thinsnap guests/thin
lvcreate -q -y -L 32M -n asleep guests
lvchange -q -an guests/asleep

vgcreate -q partial "$third" "$fourth"
lvcreate -q -y -L 64M -n left partial "$third"
lvcreate -q -y -L 64M -n torn partial "$fourth"
vgchange -q -an partial
dd if=/dev/zero of="$fourth" bs=1M count=2 conv=fsync # LVM no longer knows it
pvcreate -q /dev/disk/by-id/virtio-LABVIRTIO0

nvme=$(readlink -f /dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_LABNVME0)
printf 'size=100M\nsize=100M\nsize=100M\nsize=100M\nsize=100M\n' | sfdisk -q --label gpt "$nvme"
udevadm settle
vgcreate -q sent "${nvme}p1"
vgexport -q sent
vgcreate -q away "${nvme}p2"
vgchange -q -y --systemid elsewhere away
vgcreate -q hurt "${nvme}p3"
dd if=/dev/zero of="${nvme}p3" bs=4096 seek=1 count=64 conv=notrunc,fsync # its metadata
vgcreate -q twin "${nvme}p4"
vgcreate -q --devices "${nvme}p5" twin "${nvme}p5" # seeing no other one

base=/var/lib/pools
mkdir -p "$base/plain pool" "$base/two  blanks" "$base/a\\b" "$base/off" "$base/covered"
mount -t tmpfs first "$base/covered"
mount -t ext4 -o ro,nosuid "$(disk d0000000)" "$base/covered"
mount --bind "$base/off" "$base/a\\b"
mount -t tmpfs 'a source' "$base/two  blanks"

cd "$base/plain pool"
qemu-img create -q -f qcow2 -o compat=0.10 v2.qcow2 1G
qemu-img create -q -f qcow2 -o compat=1.1,lazy_refcounts=on,cluster_size=128K v3.qcow2 1G
qemu-img create -q -f qcow2 -b v3.qcow2 -F qcow2 child.qcow2
qemu-img create -q -f qcow2 -o extended_l2=on extended.qcow2 1G
truncate -s 1M plain.raw 'with  blanks.raw'

pool() { virsh -q pool-define-as --name "$1" --type dir --target "$2"; }
pool 'plain pool' "$base/plain pool"
pool 'two  blanks' "$base/two  blanks"
pool off "$base/off"
virsh -q pool-start 'plain pool'
virsh -q pool-autostart 'plain pool'
virsh -q pool-autostart off
virsh -q pool-create-as --name transient --type dir --target "$base/covered"
