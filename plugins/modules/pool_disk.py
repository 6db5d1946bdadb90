#!/usr/bin/python
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_disk
version_added: 1.0.0
short_description: Manage storage pools that are disks
description:
  - The volumes are the partitions of a disk.
  - A partition table is made on a blank disk. One of the wanted format that is there is taken as it is, and another one is refused.
  - This is libvirt's pool type V(disk).
extends_documentation_fragment:
  - poolwright.storage._allow
  - poolwright.storage._attributes
  - poolwright.storage._attributes.changes
  - poolwright.storage._libvirt
  - poolwright.storage._pool
options:
  device:
    description:
      - The disk. Take a name that stays, such as those in C(/dev/disk/by-id).
      - Required if O(state) is V(present) or V(active).
      - The definition keeps the name as it is given. It is compared with other pools by what it is.
    type: path
  format:
    description:
      - The format of the partition table. If it is not given, it is V(gpt).
      - Partitions are made, resized and removed with V(gpt) and V(dos). With the others they are only listed, and many kernels have
        no devices for them. A libvirt daemon does not start a pool with such partitions, of which V(mac) always has one, and the
        task is refused then.
    type: str
    choices:
      - gpt
      - dos
      - dvh
      - mac
      - bsd
      - pc98
      - sun
  path:
    description:
      - The directory in which the volumes have their names, C(/dev) or one below it, such as V(/dev/disk/by-id).
      - If it is not given, it is V(/dev).
    type: path
  part_separator:
    description:
      - Whether a C(p) stands between the name of a device mapper device and the number of a partition.
      - Behind a digit there is always one.
    type: bool
requirements:
  - parted
  - sfdisk (Debian C(fdisk))
  - wipefs and partx (Debian C(util-linux))
  - kpartx, if the disk is a multipath map
notes:
  - A volume's name is the kernel's name of the partition, such as V(sdb1) or V(nvme0n1p1), which depends on the boot. A wrong name
    of a new volume is an error that tells the right one. In a list, names of new volumes stand in the order of their numbers. The
    name can be left out, see O(poolwright.storage.volume#module:name).
  - A partition begins at a whole MiB, in the smallest gap that it fits into. The other partitions are never moved.
  - With V(dos), numbers from 5 on are logical partitions, which need a volume of format V(extended). One in the middle is only
    removed together with those behind it, because these would get other names.
  - A partition grows into the gap behind it. It never moves.
  - A new partition is blank. What was there before, such as an old volume group, is wiped before there is a partition, so that
    nothing wakes up.
  - A partition of type V(linux) becomes V(linux-lvm) or V(linux-raid) where the task says so. No other type is changed.
  - When a disk with a V(gpt) table has grown, the table is led to the new end with the first volume that needs it.
  - A libvirt daemon lists the partitions of a disk that is named by a link, but cannot itself make or remove them there. The modules
    of this collection can.
  - The partitions of a multipath map such as V(/dev/mapper/mpatha) are V(mpatha1) and so on, whatever device mapper calls them. This
    was tried without a libvirt daemon only.
  - libvirt shows every volume with the format V(none), whatever type the partition has.
  - The pool always runs. O(state=inactive) stops it for a libvirt daemon only.
  - With O(state=deleted) the partition table goes, and the disk is blank again.
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: The partitions of a disk are volumes
  poolwright.storage.pool_disk:
    name: disk
    device: /dev/disk/by-id/scsi-35000c500a0000000

- name: Two guests have a partition of one size, and a third one has a larger one
  poolwright.storage.volumes:
    pool: disk
    volumes:
      - capacity: 512 MiB
      - capacity: 512 MiB
      - capacity: 700 MiB
        format: linux-lvm

- name: An old disk with another partition table becomes a pool, and loses what is on it
  poolwright.storage.pool_disk:
    name: disk
    device: /dev/disk/by-id/scsi-35000c500a0000000
    format: dos
    allow: [overwrite]

- name: The partition table goes, with the partitions
  poolwright.storage.pool_disk:
    name: disk
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
    - text: make a gpt partition table on /dev/disk/by-id/scsi-35000c500a0000000
      command: parted --script /dev/disk/by-id/scsi-35000c500a0000000 mklabel gpt
      risk: ""
    - text: wait for the names of the partitions
      command: udevadm settle
      risk: ""
    - text: define pool disk
      command: install --mode=0600 /dev/stdin /etc/libvirt/storage/disk.xml
      risk: ""
    - text: mark pool disk for autostart
      command: ln --symbolic /etc/libvirt/storage/disk.xml /etc/libvirt/storage/autostart/disk.xml
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
    available: 2147449344
    built: true
    capacity: 2147466752
    free_extents:
      - {device: /dev/disk/by-id/scsi-35000c500a0000000, start: 17408, end: 2147466752}
    mount_options: []
    name: disk
    path: /dev
    permissions: {group: null, label: null, mode: null, owner: null}
    source:
      adapter: null
      auth: null
      devices: [/dev/disk/by-id/scsi-35000c500a0000000]
      format: gpt
      name: null
      dir: null
      hosts: []
      initiator: null
      protocol_version: null
    state: active
    type: disk
    uuid: 6e3f9e3c-5a43-5f0c-8f6b-0d8f3a6c1f52
    warnings: []
    xml: "<pool type='disk'>...</pool>"
msg:
  description: What happened to the host, why, and the way out.
  returned: on failure
  type: str
  sample: >-
    Nothing was changed, because the task would wipe a dos partition table with /dev/sdb1 from
    /dev/disk/by-id/scsi-35000c500a0000000, which destroys what is on a device now (consent with allow: [overwrite]).
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

from ansible_collections.poolwright.storage.plugins.module_utils._pools.disk import Disk
from ansible_collections.poolwright.storage.plugins.module_utils._run_pool import run_pool


def main() -> None:
    run_pool(Disk)


if __name__ == "__main__":
    main()
