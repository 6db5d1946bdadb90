#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
# Puts the modular daemons of a tar archive on standard input in the place of libvirtd.
set -eu
tar -xf - -C / --no-overwrite-dir
# Debian's clients look for libvirtd, and without an address ask each driver's socket for one.
printf '%s = "%s"\n' remote_mode direct uri_default qemu:///system >>/etc/libvirt/libvirt.conf
systemctl daemon-reload
systemctl --quiet disable --now libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket \
    libvirtd.service
for daemon in virtqemud virtsecretd virtstoraged; do
    systemctl --quiet enable --now "$daemon.socket" "$daemon-ro.socket" "$daemon-admin.socket"
done
