#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
# Builds libvirt's modular daemons from Debian's own source, which does not package them; they load
# the drivers of its packages. Runs in a Debian of its own, as root, and leaves /daemons.tar.
set -eu
cd /root
apt-get -q update
# Not all mirrors keep the signature files; the checksums of both archives are in the signed list.
apt-get -q source --download-only --tar-only libvirt
apt-get -q source --download-only --diff-only libvirt
mkdir source
tar -xJf libvirt_*.orig.tar.xz -C source --strip-components=1
tar -xJf libvirt_*.debian.tar.xz -C source
cd source
while read -r patch; do
    patch -s -p1 <"debian/patches/$patch"
done <debian/patches/series

meson setup build --auto-features=disabled --prefix=/usr --sysconfdir=/etc --localstatedir=/var \
    --libdir="lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)" --libexecdir=/usr/lib/libvirt \
    -Drunstatedir=/run -Dno_git=true -Drpath=disabled -Dtests=disabled -Ddocs=disabled \
    -Dinit_script=systemd -Ddriver_libvirtd=enabled -Ddriver_remote=enabled \
    -Ddriver_qemu=enabled -Ddriver_secrets=enabled -Dstorage_dir=enabled -Dqemu_user=libvirt-qemu \
    -Dqemu_group=libvirt-qemu -Dlibnl=enabled "$@"
ninja -C build src/virtqemud src/virtsecretd src/virtstoraged

for daemon in virtqemud virtsecretd virtstoraged; do
    install -Ds "build/src/$daemon" "/daemons/usr/sbin/$daemon"
    install -Dm644 -t /daemons/usr/lib/systemd/system "build/src/$daemon.service" \
        "build/src/$daemon.socket" "build/src/$daemon-ro.socket" "build/src/$daemon-admin.socket"
done
tar -C /daemons -cf /daemons.tar .
