# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
#
# Prints all of a host that a storage task could change, so that two prints can be compared.
export LC_ALL=C
cat /proc/self/mountinfo /proc/swaps
find /etc/libvirt/storage /etc/systemd/system /etc/lvm/devices /etc/fstab -xdev \
    \( -type f -exec md5sum {} + -o -printf '%p -> %l\n' \) 2>&1 | sort
find /srv -xdev -printf '%p %y %m %U %G %s %b %T@ %C@\n' 2>&1 | sort
lsblk -rno KNAME,SIZE,RO,TYPE,MAJ:MIN
for disk in /sys/block/*; do
    case ${disk##*/} in loop*|ram*|sr*|zram*) continue ;; esac
    echo "${disk##*/} $(dd if=/dev/${disk##*/} bs=1M count=1 status=none | md5sum)"
done
lvm fullreport --reportformat json 2>&1
if command -v virsh >/dev/null; then
    virsh -q pool-list --all --details 2>&1
    for pool in $(virsh -q pool-list --all --uuid); do
        virsh -q pool-dumpxml "$pool"
    done
fi
