# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
#
# Brings a host back to no pools, blank spare disks, and disks as dirty as the lab makes them.
export LC_ALL=C
systemctl stop multipathd.socket multipathd.service 2>/dev/null
multipath -F 2>/dev/null
for pool in $(virsh -q pool-list --all --uuid 2>/dev/null); do
    virsh -q pool-destroy "$pool" >/dev/null 2>&1
    virsh -q pool-undefine "$pool"
done
rm -rf /etc/libvirt/storage/*.xml* /etc/libvirt/storage/autostart/*
grep -rl 'Made by poolwright.storage' /etc/systemd/system | xargs -r rm -f
find -L /etc/systemd/system -name '*.mount' -type l -delete
systemctl daemon-reload
for dir in $(findmnt -rno TARGET | grep '^/srv/' | sort -r); do
    umount "$dir"
done
for group in $(vgs --noheadings -o vg_name | sort -u); do
    [ "$group" = labother ] || vgremove -qq -f -y "$group"
done
by_id=/dev/disk/by-id
for disk in $by_id/wwn-0x5000c500a000000[0-3] $by_id/virtio-LABVIRTIO0 $by_id/wwn-0x5000c500b0000000; do
    wipefs -qaf "$disk"
    dd if=/dev/zero of="$disk" bs=1M count=4 status=none
done
[ "$(blkid -po value -s TYPE $by_id/wwn-0x5000c500d0000000)" = ext4 ] ||
    mkfs.ext4 -q -F -L labdata $by_id/wwn-0x5000c500d0000000
if ! vgs -qq labother >/dev/null 2>&1; then
    wipefs -qaf $by_id/wwn-0x5000c500d0000001
    pvcreate -qq -ffy $by_id/wwn-0x5000c500d0000001
    vgcreate -qq labother $by_id/wwn-0x5000c500d0000001
    lvcreate -qq -y -Wn -L 64M -n precious labother
    vgchange -qq -an labother
fi
[ "$(blkid -po value -s PTTYPE $by_id/wwn-0x5000c500d0000002)" = gpt ] || {
    wipefs -qaf $by_id/wwn-0x5000c500d0000002
    printf 'size=100M,name=first\nname=second\n' |
        sfdisk -q --label gpt $by_id/wwn-0x5000c500d0000002
}
[ "$(blkid -po value -s TYPE $by_id/wwn-0x5000c500d0000003)" = crypto_LUKS ] ||
    printf 'not a secret' | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 \
        --pbkdf-force-iterations 1000 $by_id/wwn-0x5000c500d0000003 -
swapoff $by_id/wwn-0x5000c500d0000004 2>/dev/null
[ "$(blkid -po value -s TYPE $by_id/wwn-0x5000c500d0000004)" = swap ] || {
    wipefs -qaf $by_id/wwn-0x5000c500d0000004
    mkswap -q -L labswap $by_id/wwn-0x5000c500d0000004
}
wipefs -qaf $by_id/wwn-0x5000c500d0000005
dd if=/dev/urandom of=$by_id/wwn-0x5000c500d0000005 bs=1M count=1 conv=fsync status=none
rm -rf /srv/*
udevadm settle -t 30
virsh -q pool-list --all 2>/dev/null
ls /etc/libvirt/storage/*.xml 2>/dev/null
findmnt -rno TARGET | grep '^/srv/'
true
