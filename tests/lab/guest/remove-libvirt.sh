#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
#
# Run once in a new image, on a layer of its own: make the host one that never had libvirt.
set -eux

installed=$(dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n' '*libvirt*' |
    sed -n 's/ ii *$//p')
systemctl stop 'libvirtd*' 'virtlogd*' 'virtlockd*' 'libvirt-*' || true
# shellcheck disable=SC2086 # package names are words
DEBIAN_FRONTEND=noninteractive dpkg --purge --force-depends $installed
rm -rf /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /run/libvirt
find /etc/systemd/system -name '*virt*' -delete
systemctl daemon-reload

left() {
    for program in virsh libvirtd virtqemud virtstoraged; do
        command -v "$program"
    done
    systemctl list-unit-files --no-legend --no-pager | grep -E '^(libvirt|virt[a-z]+d)'
    dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n' '*libvirt*' | grep ' ii'
    find /etc/libvirt -maxdepth 0
}

[ -z "$(left)" ]
sync
