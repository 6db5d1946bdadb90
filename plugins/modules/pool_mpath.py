#!/usr/bin/python
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_mpath
version_added: 1.0.0
short_description: Manage the storage pool of a host's multipath maps
description:
  - The volumes are the multipath maps of the host. They are listed, and never made, changed or removed.
  - This is libvirt's pool type V(mpath).
extends_documentation_fragment:
  - poolwright.storage._allow
  - poolwright.storage._attributes
  - poolwright.storage._attributes.changes
  - poolwright.storage._libvirt
  - poolwright.storage._pool
options:
  path:
    description:
      - The directory that the definition names. The maps are found in C(/dev/mapper) whatever it says, as with libvirt itself.
      - If it is not given, it is V(/dev/mapper).
    type: path
requirements:
  - dmsetup, if there are maps
notes:
  - A host has one such pool. A second one is refused, and the first one named.
  - This module never configures, starts or stops multipathd.
  - It warns if multipathd is not running, or if paths of a map have failed. The task does not fail, because the pool works.
  - The pool always runs. O(state=inactive) stops it for a libvirt daemon only, and O(state=deleted) leaves the maps as they are.
  - Partitions of a map are not listed.
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: libvirt lists the multipath maps
  poolwright.storage.pool_mpath:
    name: maps

- name: The host forgets the pool, and keeps the maps
  poolwright.storage.pool_mpath:
    name: maps
    state: absent
"""

RETURN = r"""
plan:
  description:
    - The steps that were done, or in check mode would be done, in their order. Empty if nothing is to do.
    - The same in check mode and in earnest.
  returned: always
  type: list
  elements: dict
  contains:
    text:
      description: The step in words.
      type: str
    command:
      description: The step as a line of shell.
      type: str
    risk:
      description: The word of O(allow) that the step needs. Empty if it loses nothing.
      type: str
  sample:
    - text: define pool maps
      command: install --mode=0600 /dev/stdin /etc/libvirt/storage/maps.xml
      risk: ""
    - text: mark pool maps for autostart
      command: ln --symbolic /etc/libvirt/storage/maps.xml /etc/libvirt/storage/autostart/maps.xml
      risk: ""
pool:
  description:
    - The pool as it is now, in check mode as it was before. Sizes are bytes, and what there is not is null.
    - Null if no such pool is defined.
  returned: success
  type: dict
  contains:
    name:
      description: The name.
      type: str
    type:
      description: libvirt's word for the type.
      type: str
    uuid:
      description: The UUID.
      type: str
    state:
      description: V(active) or V(inactive). With a libvirt daemon what it says, else what the storage says.
      type: str
    autostart:
      description: Whether it comes back by itself after a reboot.
      type: bool
    built:
      description: Whether the storage is there. Null if it could not be looked at.
      type: bool
    capacity:
      description: Its size in bytes. Null if it does not run.
      type: int
    allocation:
      description: The bytes that are taken. Null if it does not run.
      type: int
    available:
      description: The bytes that are free. Null if it does not run.
      type: int
    path:
      description: Where its volumes are found.
      type: str
    source:
      description: What it is made of. What its type does not have is null.
      type: dict
      contains:
        name:
          description: The name of the source, such as a volume group.
          type: str
        devices:
          description: The block devices, as the definition spells them.
          type: list
          elements: str
        hosts:
          description: The servers.
          type: list
          elements: dict
          contains:
            name:
              description: The name or address.
              type: str
            port:
              description: The port. Null for the protocol's own.
              type: int
        dir:
          description: The directory on the server.
          type: str
        format:
          description: The format of the source, such as a file system.
          type: str
        initiator:
          description: The initiator's name.
          type: str
        protocol_version:
          description: The version of the protocol.
          type: str
        adapter:
          description: The SCSI host, by what names it.
          type: dict
        auth:
          description: Who logs in, and which libvirt secret holds the password. Never the password itself.
          type: dict
    permissions:
      description: The permissions that the definition tells.
      type: dict
      contains:
        mode:
          description: The permission bits, octal.
          type: str
        owner:
          description: The owner's number.
          type: int
        group:
          description: The group's number.
          type: int
        label:
          description: The SELinux label.
          type: str
    mount_options:
      description: The mount options besides libvirt's own.
      type: list
      elements: str
    free_extents:
      description:
        - The gaps between the volumes, where a volume needs a gap of its own. Null for pools of other types and for one that does not
          run.
      type: list
      elements: dict
      contains:
        device:
          description: The device.
          type: str
        start:
          description: The first byte.
          type: int
        end:
          description: The byte behind the last one.
          type: int
    warnings:
      description: What an administrator should know though the pool works, such as a failed path of a multipath map.
      type: list
      elements: str
    xml:
      description: The definition as it is stored.
      type: str
  sample:
    allocation: 1073741824
    autostart: true
    available: 0
    built: true
    capacity: 1073741824
    free_extents: null
    mount_options: []
    name: maps
    path: /dev/mapper
    permissions: {group: null, label: null, mode: null, owner: null}
    source:
      adapter: null
      auth: null
      devices: []
      format: null
      name: null
      dir: null
      hosts: []
      initiator: null
      protocol_version: null
    state: active
    type: mpath
    uuid: 6e3f9e3c-5a43-5f0c-8f6b-0d8f3a6c1f52
    warnings: []
    xml: "<pool type='mpath'>...</pool>"
msg:
  description: What happened to the host, why, and the way out.
  returned: on failure
  type: str
  sample: >-
    Nothing was changed: pool more would live on this host's multipath maps, on which pool maps lives already. Use that pool, or
    forget it with state: absent.
done:
  description: The steps of RV(plan) that were done before the failure.
  returned: on failure
  type: list
  elements: dict
  sample: []
left:
  description:
    - The steps of RV(plan) that were not done. The first one is the one that failed.
    - Empty if the task was refused before the first step.
  returned: on failure
  type: list
  elements: dict
  sample: []
lacking:
  description: What the host lacks to carry out the plan, and how to get it. A task before this one may install it.
  returned: in check mode, where that is the case
  type: str
  sample: >-
    this host lacks what the task needs: mkfs.xfs. Install xfsprogs (as Debian calls it), for example with the role
    poolwright.storage.host.
unforeseen:
  description:
    - Why it cannot be told what the task would do, because it builds on what tasks before it have only foreseen, or needs a program
      to look at the host that is not installed yet. See
      R(the guide on check mode, ansible_collections.poolwright.storage.docsite.guide_check).
  returned: in check mode, where that is the case
  type: str
  sample: what is on /dev/guests/web is not known before a task before this one is carried out
"""

from ansible_collections.poolwright.storage.plugins.module_utils._pools.mpath import Mpath
from ansible_collections.poolwright.storage.plugins.module_utils._run_pool import run_pool


def main() -> None:
    run_pool(Mpath)


if __name__ == "__main__":
    main()
