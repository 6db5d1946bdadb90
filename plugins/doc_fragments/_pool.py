# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of every pool module."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description:
      - The name of the pool.
      - It names the pool's file in C(/etc/libvirt/storage), so it has no slash, no control character and at most 247 bytes, does not
        begin or end with a blank, and is neither V(.) nor V(..).
    type: str
    required: true
    aliases:
      - pool
  uuid:
    description:
      - The UUID of a new pool. If it is not given, one is derived from the host and O(name).
      - An existing pool keeps its own. Another one given is an error that names both.
    type: str
  state:
    description:
      - V(present) is defined and built. Whether it runs is left alone.
      - V(active) is also started.
      - V(inactive) is stopped. A pool that is not defined is defined and built with the options of its type, and not started. With
        nothing but a O(name) that is an error.
      - V(absent) and V(undefined) mean the same, stopped and forgotten. The storage and all data are kept.
      - V(deleted) is stopped, the storage is taken apart, and the pool is forgotten. If there are data in it, this needs
        O(allow=delete).
      - For V(inactive), V(absent), V(undefined) and V(deleted) only O(name) is needed. The rest is read from the pool's stored
        definition, and an option that says otherwise is an error.
    type: str
    choices:
      - present
      - active
      - inactive
      - absent
      - undefined
      - deleted
    default: active
  autostart:
    description:
      - Whether the pool comes back by itself after a reboot.
      - With a libvirt daemon that is the daemon's work, without one the host's own (systemd, LVM).
    type: bool
    default: true
  build:
    description:
      - V(auto) makes what is missing, and refuses to touch what is there and is something else.
      - V(never) makes nothing. If the pool is not built yet, that is an error.
    type: str
    choices:
      - auto
      - never
    default: auto
  refresh:
    description:
      - Whether at the end libvirt's view of the volumes is made current.
      - This counts as a change only if the list of volumes changes.
    type: bool
    default: true
notes:
  - A pool that is to be at another path, device, group or server than it is needs O(allow=interrupt). It is stopped, redefined with
    its UUID and started at the new place. Its old storage stays as it is, and a warning names it.
  - Options that are not given leave an existing pool as it is.
  - The pool's definition is kept as libvirt keeps it, in C(/etc/libvirt/storage). What the definition says and this module does not
    know stays in it.
  - Tasks of this collection on one host wait for each other.
seealso:
  - module: poolwright.storage.volumes
  - module: poolwright.storage.pool_info
  - ref: ansible_collections.poolwright.storage.docsite.guide_pools
    description: States, autostart, and how existing pools are adopted.
  - ref: ansible_collections.poolwright.storage.docsite.guide_safety
    description: What is refused, and what each word of O(allow) means.
  - name: Storage pool and volume XML format
    description: What libvirt's words mean.
    link: https://libvirt.org/formatstorage.html
"""
