#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
#
# Run once in a new image: put something on each disk that a careless tool could destroy.
set -eux

# Print the device with a serial number.
disk() {
    lsblk -dnpo NAME,SERIAL | awk -v serial="$1" '
        $2 == serial { print $1; found = 1 }
        END { exit !found }'
}

udevadm settle -t 30
ext4=$(disk LABEXT4)
lvm=$(disk LABLVM)
gpt=$(disk LABGPT)
luks=$(disk LABLUKS)
swap=$(disk LABSWAP)
random=$(disk LABRANDOM)

mkfs.ext4 -q -F -L labdata "$ext4"
mount "$ext4" /mnt
echo 'do not lose me' >/mnt/precious.txt
umount /mnt

pvcreate -q -y "$lvm"
vgcreate -q labother "$lvm"
lvcreate -q -y -Wn -L 64M -n precious labother
vgchange -q -an labother

printf 'size=100M,name=first\nname=second\n' | sfdisk -q --label gpt "$gpt"

printf 'not a secret' | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 \
    --pbkdf-force-iterations 1000 "$luks" -

mkswap -L labswap "$swap"

dd if=/dev/urandom of="$random" bs=1M count=1 conv=fsync
blkid -p "$random" && exit 1

rm -rf /etc/lvm/archive/* /etc/lvm/backup/* /etc/lvm/devices/*
sync
