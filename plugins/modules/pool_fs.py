#!/usr/bin/python
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_fs
version_added: 1.0.0
short_description: Manage storage pools that are file systems on block devices
description:
  - A disk or partition gets a file system, which is mounted, and the volumes are the files in it.
  - A blank device gets the file system that O(format) names. One that has it already is mounted as it is.
  - This is libvirt's pool type V(fs).
extends_documentation_fragment:
  - poolwright.storage._allow
  - poolwright.storage._attributes
  - poolwright.storage._attributes.changes
  - poolwright.storage._libvirt
  - poolwright.storage._permissions
  - poolwright.storage._permissions.pool
  - poolwright.storage._pool
options:
  device:
    description:
      - The disk, partition or other block device. Take a name that stays, such as one in C(/dev/disk/by-id).
      - It is compared by what it is, not by how it is spelled, and kept in the definition as it is spelled.
      - Required if O(state) is V(present) or V(active).
    type: path
  path:
    description:
      - Where the file system is mounted, an absolute path without V(..) and symbolic links. It is made if it is missing, and is
        empty otherwise.
      - Required if O(state) is V(present) or V(active).
    type: path
  format:
    description:
      - The file system, in libvirt's words.
      - V(auto) takes the one that is on the device, and refuses a blank device. This is what a new pool has if it is not given.
      - A device that holds another file system is refused without O(allow=overwrite).
      - It is made with C(mkfs.FORMAT) and that tool's own defaults, so the tool must be installed.
    type: str
    choices:
      - auto
      - ext2
      - ext3
      - ext4
      - ufs
      - iso9660
      - udf
      - gfs
      - gfs2
      - vfat
      - hfs+
      - xfs
      - ocfs2
      - vmfs
  grow_to_fill:
    description:
      - Whether the file system fills its device, when that has become larger by 16 MiB or more.
      - A device that is a partition grows first, where its disk has 16 MiB or more free right behind it. Other partitions stay as they
        are, and may be in use. A partition inside an extended one, of a disk that is a pool itself, or of another table than C(dos) and
        C(gpt) is not made larger, and one of a damaged table with a warning.
      - It grows while it is mounted. C(ext3), C(ext4) and C(xfs) can; of another one the task says so.
      - A logical volume is not made larger, nor is a partition that is a volume of a disk pool. They grow with
        O(poolwright.storage.volume#module:capacity).
      - If it is not given, nothing grows.
    type: bool
  mount_options:
    description:
      - Options of the C(mount) command (see C(man 8 mount)), one an item, after V(nodev), V(nosuid) and V(noexec), which libvirt always sets.
      - The last word wins, so that V(exec) takes V(noexec) back.
      - An empty list takes those away that the pool has.
    type: list
    elements: str
requirements:
  - mount, umount and wipefs (Debian C(mount), C(util-linux))
  - the C(mkfs) of the format (Debian C(e2fsprogs), C(xfsprogs), C(dosfstools), …) to make a file system
  - dumpe2fs and resize2fs (Debian C(e2fsprogs)) or xfs_growfs (C(xfsprogs)) for O(grow_to_fill), and for that of a partition
    sfdisk (C(fdisk)) and partx (C(util-linux))
  - qemu-img (Debian C(qemu-utils)) to make qcow2 volumes
notes:
  - O(mode), O(owner) and O(group) are those of the mounted file system's root directory.
  - Without a libvirt daemon O(autostart) is a systemd mount unit, which goes with O(autostart=false), O(state=absent) and
    O(state=deleted). A unit for the same path that somebody else wrote is never touched.
  - A file system in which a process has something open is not unmounted. The message names the process.
  - With O(state=deleted) the file system is wiped from the device, and an empty mount point is removed.
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: Spare disk space becomes a pool
  poolwright.storage.pool_fs:
    name: attic
    device: /dev/disk/by-id/scsi-35000c500a0000000
    path: /srv/attic
    format: ext4

- name: Reading leaves no trace, and only root looks into it
  poolwright.storage.pool_fs:
    name: attic
    device: /dev/disk/by-id/scsi-35000c500a0000000
    path: /srv/attic
    mount_options: [noatime]
    mode: '0700'

- name: The disk has become larger, and so does the file system
  poolwright.storage.pool_fs:
    name: attic
    device: /dev/disk/by-id/scsi-35000c500a0000000
    path: /srv/attic
    grow_to_fill: true

- name: The file system is unmounted until further notice
  poolwright.storage.pool_fs:
    name: attic
    state: inactive
    autostart: false

- name: The pool starts over with XFS, and what is on the disk is given up
  poolwright.storage.pool_fs:
    name: attic
    device: /dev/disk/by-id/scsi-35000c500a0000000
    path: /srv/attic
    format: xfs
    allow: [overwrite]

- name: The host forgets the pool, and the file system stays on the disk
  poolwright.storage.pool_fs:
    name: attic
    state: absent

- name: The file system that is on the disk becomes a pool again
  poolwright.storage.pool_fs:
    name: attic
    device: /dev/disk/by-id/scsi-35000c500a0000000
    path: /srv/attic
    format: auto

- name: The file system goes, with everything in it, and the disk is blank
  poolwright.storage.pool_fs:
    name: attic
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
    - text: make an ext4 file system on /dev/disk/by-id/scsi-35000c500a0000000
      command: mkfs.ext4 /dev/disk/by-id/scsi-35000c500a0000000
      risk: ""
    - text: make directory /srv/attic
      command: install --directory --mode=0711 /srv/attic
      risk: ""
    - text: define pool attic
      command: install --mode=0600 /dev/stdin /etc/libvirt/storage/attic.xml
      risk: ""
    - text: mount /dev/disk/by-id/scsi-35000c500a0000000 at /srv/attic
      command: mount -o nodev,nosuid,noexec -t ext4 /dev/disk/by-id/scsi-35000c500a0000000 /srv/attic
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
    allocation: 24576
    autostart: true
    available: 2040348672
    built: true
    capacity: 2040373248
    mount_options: []
    name: attic
    path: /srv/attic
    permissions: {group: null, label: null, mode: null, owner: null}
    source:
      adapter: null
      auth: null
      devices: [/dev/disk/by-id/scsi-35000c500a0000000]
      format: ext4
      name: null
      dir: null
      hosts: []
      initiator: null
      protocol_version: null
    state: active
    type: fs
    uuid: 6e3f9e3c-5a43-5f0c-8f6b-0d8f3a6c1f52
    xml: "<pool type='fs'>...</pool>"
msg:
  description: What happened to the host, why, and the way out.
  returned: on failure
  type: str
  sample: >-
    Nothing was changed, because the task would wipe xfs from /dev/disk/by-id/scsi-35000c500a0000000, which destroys what is
    on a device now; blank both ends of /dev/disk/by-id/scsi-35000c500a0000000, which destroys what is on a
    device now (consent with allow: [overwrite]).
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

from ansible_collections.poolwright.storage.plugins.module_utils._pools.fs import Fs
from ansible_collections.poolwright.storage.plugins.module_utils._run_pool import run_pool


def main() -> None:
    run_pool(Fs)


if __name__ == "__main__":
    main()
