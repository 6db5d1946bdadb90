#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
#
# Run once in a new image: put something on each disk that a careless tool could destroy.
set -eux

disk() {
    for found in /dev/disk/by-id/scsi-SLAB_*_"$1"; do
        [ -b "$found" ] && echo "$found" && return
    done
    echo "no disk $1" >&2
    return 1
}

udevadm settle -t 30

mkfs.ext4 -q -F -L labdata "$(disk LABEXT4)"
mount "$(disk LABEXT4)" /mnt
echo 'do not lose me' >/mnt/precious.txt
umount /mnt

lvm=$(disk LABLVM)
pvcreate -q -y "$lvm"
vgcreate -q labother "$lvm"
lvcreate -q -y -Wn -L 64M -n precious labother
vgchange -q -an labother

printf 'size=100M,name=first\nname=second\n' | sfdisk -q --label gpt "$(disk LABGPT)"

printf 'not a secret' | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 \
    --pbkdf-force-iterations 1000 "$(disk LABLUKS)" -

mkswap -L labswap "$(disk LABSWAP)"

dd if=/dev/urandom of="$(disk LABRANDOM)" bs=1M count=1 conv=fsync
blkid -p "$(disk LABRANDOM)" && exit 1

rm -rf /etc/lvm/archive/* /etc/lvm/backup/* /etc/lvm/devices/*
sync
