# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of every module: which libvirt is told."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  libvirt:
    description:
      - What to do about a libvirt storage daemon (C(libvirtd) or C(virtstoraged)) on the host.
      - V(auto) tells a daemon that is there about every change, and without one keeps libvirt's files by itself. A daemon is there
        if somebody listens on its socket, be it systemd on its behalf.
      - V(required) is an error if there is no daemon.
      - V(ignored) never speaks to a daemon, which then knows nothing of what is done until it is restarted.
      - The storage itself is made in the same way in all three cases.
    type: str
    choices:
      - auto
      - required
      - ignored
    default: auto
  libvirt_uri:
    description:
      - The connection to the daemon, as C(virsh --connect) takes it. It has to be the host's own, which is C(qemu:///system) or
        C(storage:///system). For root, C(qemu:///session) is the same daemon. Where C(virtstoraged) listens without C(virtqemud), it is
        asked by its own address, whatever is said here.
      - Another host's daemon, or an imitation such as C(test:///default), is refused, because the storage is made on this host.
    type: str
    default: qemu:///system
requirements:
  - root on the managed host
  - Python 3.8 or newer and C(lxml) (Debian C(python3-lxml)) on the managed host
  - virsh (Debian C(libvirt-clients)) if a libvirt daemon runs
"""
