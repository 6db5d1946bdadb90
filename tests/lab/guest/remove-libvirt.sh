#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
#
# Turn a tree into one that never had libvirt. Usage: remove-libvirt.sh ROOT
set -eux

root=$1

# shellcheck disable=SC2016 # dpkg-query expands them
packages() {
    chroot "$root" dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n' '*libvirt*' |
        sed -n 's/ ii *$//p'
}

# shellcheck disable=SC2046 # package names are words
DEBIAN_FRONTEND=noninteractive chroot "$root" dpkg --purge --force-depends $(packages)
for folder in etc var/lib var/log var/cache; do
    rm -rf "${root:?}/$folder/libvirt"
done
find "$root/etc/systemd/system" -name '*virt*' -delete

left() {
    packages
    for program in virsh libvirtd virtqemud virtstoraged; do
        chroot "$root" sh -c "command -v $program" || true
    done
    find "$root/etc/systemd/system" "$root/usr/lib/systemd/system" \
        -name 'libvirt*' -o -name 'virt[a-z]*d*.s*'
    find "$root/etc" -maxdepth 1 -name libvirt
}

[ -z "$(left)" ]
