#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
#
# The customize hook of mmdebstrap: turns a Debian tree into a test host.
# Usage: customize.sh ROOT GUEST_FOLDER KERNEL_PACKAGE PUBLIC_KEY
set -eu

root=$1
guest=$2
kernel_package=$3
public_key=$4
units=$root/etc/systemd/system

# List the lines of a file that say something.
entries() {
    sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$1"
}

# Unpack the kernel by hand: installing it would bring an initramfs nobody needs.
unpack_kernel() {
    work=$root/tmp/kernel
    mkdir -p "$work/tree"
    package=$(APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-cache depends "$kernel_package" |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
    (cd "$work" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG \
        apt-get -o APT::Sandbox::User=root download "$package")
    dpkg-deb -x "$work"/linux-image-*.deb "$work/tree"
    cp "$work"/tree/boot/vmlinuz-* "$root/boot/vmlinuz"

    modules=$(echo "$work"/tree/lib/modules/* "$work"/tree/usr/lib/modules/* |
        tr ' ' '\n' | grep -v '\*$' | head -n 1)
    keep_modules "$modules" "$root/usr/lib/modules/${modules##*/}"
    chroot "$root" depmod "${modules##*/}"
    rm -rf "$work"
}

keep_modules() {
    mkdir -p "$2/kernel"
    cp "$1"/modules.order "$1"/modules.builtin* "$2/"
    entries "$guest/kernel-modules.txt" | while read -r sign path; do
        for found in "$1/kernel/$path"*; do
            case ${found#"$1/kernel/$path"} in '' | .xz | .zst) ;; *) continue ;; esac
            [ -e "$found" ] || continue
            if [ "$sign" = + ]; then
                mkdir -p "$2/kernel/${path%/*}"
                cp -a "$found" "$2/kernel/${path%/*}/"
            else
                rm -rf "$2/kernel/${found#"$1/kernel/"}"
            fi
        done
    done
}

set_units() {
    entries "$guest/masked-units.txt" | while read -r unit; do
        ln -sf /dev/null "$units/$unit"
    done
    entries "$guest/disabled-units.txt" | while read -r unit; do
        [ ! -e "$root/usr/lib/systemd/system/$unit" ] && [ ! -e "$root/etc/init.d/${unit%.*}" ] ||
            chroot "$root" systemctl -q disable "$unit" 2>/dev/null || true
    done
    mkdir -p "$units/sockets.target.wants"
    for daemon in libvirtd libvirtd-ro libvirtd-admin virtlogd virtlockd; do
        ln -sf "/usr/lib/systemd/system/$daemon.socket" "$units/sockets.target.wants/"
    done
    # Started on demand by its socket.
    rm -f "$root/usr/lib/systemd/system/multi-user.target.wants/dbus.service"
    mkdir -p "$root/etc/systemd/system-generators"
    for generator in bless-boot cryptsetup debug getty gpt-auto hibernate-resume integritysetup \
        rc-local run system-update sysv veritysetup; do
        ln -sf /dev/null "$root/etc/systemd/system-generators/systemd-$generator-generator"
    done
}

set_files() {
    cp -R "$guest/rootfs/." "$root/"
    install -d -m 700 "$root/root/.ssh"
    install -m 600 "$public_key" "$root/root/.ssh/authorized_keys"
    rm -f "$root"/etc/ssh/ssh_host_*
    chroot "$root" ssh-keygen -q -t ed25519 -N '' -C lab -f /etc/ssh/ssh_host_ed25519_key
    mkdir -p "$units/sysinit.target.wants" "$units/multi-user.target.wants"
    ln -sf ../lab-ssh.service "$units/sysinit.target.wants/"
    ln -sf ../lab-ready.service "$units/multi-user.target.wants/"
    : >"$root/etc/fstab"
    echo lab >"$root/etc/hostname"
    echo 127.0.0.1 localhost >"$root/etc/hosts"
    echo nameserver 10.0.2.3 >"$root/etc/resolv.conf"
}

shrink() {
    rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/log/apt
    rm -rf "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/*
    # Newer than /usr: systemd has nothing to bring up to date at the first boot.
    touch "$root/etc/.updated" "$root/var/.updated"
}

unpack_kernel
set_files
set_units
shrink
