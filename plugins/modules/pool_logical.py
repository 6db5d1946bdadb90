#!/usr/bin/python
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_logical
version_added: 1.0.0
short_description: Manage storage pools that are LVM volume groups
description:
  - The volumes are the logical volumes of a volume group.
  - The group is made of blank devices, and extended by blank devices that are added to O(devices). A group that exists is taken as
    it is.
  - This is libvirt's pool type V(logical).
extends_documentation_fragment:
  - poolwright.storage._allow
  - poolwright.storage._attributes
  - poolwright.storage._attributes.changes
  - poolwright.storage._libvirt
  - poolwright.storage._pool
options:
  devices:
    description:
      - The disks or partitions that make up the group. Take names that stay, such as those in C(/dev/disk/by-id).
      - Needed to make the group. If it is given later, it lists all of them; one that is no member yet is added.
      - A member that is not listed is an error. This module never reduces a group.
      - They are compared by what they are, not by how they are spelled. Each is named once.
      - Their sectors are of one size, and each has room for at least one extent.
    type: list
    elements: path
  volume_group:
    description:
      - The name of the group, with up to 127 letters, digits and C(+ _ . -).
      - If it is not given, it is O(name).
      - Nothing else in C(/dev) can have the name. Where two groups have it, the task is refused and names both.
    type: str
  extent_size:
    description:
      - The size of the extents of a group that is made, a power of two of at least 1 KiB, for example V(8 MiB). LVM's own default is
        4 MiB.
      - The group's extents never change after that, and the option is not looked at.
    type: str
  grow_to_fill:
    description:
      - Whether the group takes what its devices have got, when they have become larger by an extent or more.
      - A device that is a partition grows first, where its disk has 16 MiB and an extent or more free right behind it. Other partitions
        stay as they are, and may be in use. A partition inside an extended one, of a disk that is a pool itself, or of another table
        than C(dos) and C(gpt) is not made larger, and one of a damaged table with a warning.
      - If it is not given, nothing grows.
    type: bool
requirements:
  - lvm2
  - wipefs (Debian C(util-linux))
  - sfdisk (Debian C(fdisk)) and partx (C(util-linux)) for O(grow_to_fill) on partitions
notes:
  - The pool runs if any of its volumes is active. An empty group has nothing to start or stop.
  - O(autostart) is LVM's autoactivation of the group, see C(man 8 vgchange), and with a libvirt daemon also the daemon's mark.
  - The definition names the group and no devices, because libvirt only finds a device there if LVM spells it in the same way, and
    kernel names change from boot to boot.
  - Thin pools and thin volumes are shown and never endangered. libvirt does not show them.
  - A group of which a device is missing is an error that names the device. So is one that is exported or belongs to another host.
    O(state=absent) forgets the pool of such a group and leaves the group as it is.
  - A group with an open volume is not stopped.
  - With O(state=deleted) the group goes with its volumes, and the devices are blank again.
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: Guest disks live in a volume group on two disks
  poolwright.storage.pool_logical:
    name: guests
    devices:
      - /dev/disk/by-id/scsi-35000c500a0000000
      - /dev/disk/by-id/scsi-35000c500a0000001

- name: The disks have become larger, and so does the group
  poolwright.storage.pool_logical:
    name: guests
    grow_to_fill: true

- name: A third disk makes it larger
  poolwright.storage.pool_logical:
    name: guests
    devices:
      - /dev/disk/by-id/scsi-35000c500a0000000
      - /dev/disk/by-id/scsi-35000c500a0000001
      - /dev/disk/by-id/scsi-35000c500a0000002

- name: The volumes are not activated, also after a reboot
  poolwright.storage.pool_logical:
    name: guests
    state: inactive
    autostart: false

- name: The host forgets the pool and keeps the volume group
  poolwright.storage.pool_logical:
    name: guests
    state: absent

- name: The volume group becomes a pool of another name
  poolwright.storage.pool_logical:
    name: web
    volume_group: guests

- name: The volume group goes, with its volumes, and the disks are blank
  poolwright.storage.pool_logical:
    name: web
    state: deleted
    allow: [delete]
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
    - text: create volume group guests on /dev/disk/by-id/scsi-35000c500a0000000, /dev/disk/by-id/scsi-35000c500a0000001
      command: vgcreate guests /dev/disk/by-id/scsi-35000c500a0000000 /dev/disk/by-id/scsi-35000c500a0000001
      risk: ""
    - text: define pool guests
      command: install --mode=0600 /dev/stdin /etc/libvirt/storage/guests.xml
      risk: ""
    - text: mark pool guests for autostart
      command: ln --symbolic /etc/libvirt/storage/guests.xml /etc/libvirt/storage/autostart/guests.xml
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
    allocation: 0
    autostart: true
    available: 4286578688
    built: true
    capacity: 4286578688
    mount_options: []
    name: guests
    path: /dev/guests
    permissions: {group: null, label: null, mode: null, owner: null}
    source:
      adapter: null
      auth: null
      devices: []
      format: lvm2
      name: guests
      dir: null
      hosts: []
      initiator: null
      protocol_version: null
    state: active
    type: logical
    uuid: 6e3f9e3c-5a43-5f0c-8f6b-0d8f3a6c1f52
    xml: "<pool type='logical'>...</pool>"
msg:
  description: What happened to the host, why, and the way out.
  returned: on failure
  type: str
  sample: >-
    Nothing was changed: /dev/disk/by-id/scsi-35000c500a0000000 belongs to volume group backup, not to guests of pool
    guests. Name another device.
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

from ansible_collections.poolwright.storage.plugins.module_utils._pools.logical import Logical
from ansible_collections.poolwright.storage.plugins.module_utils._run_pool import run_pool


def main() -> None:
    run_pool(Logical)


if __name__ == "__main__":
    main()
