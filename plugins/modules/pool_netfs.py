#!/usr/bin/python
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_netfs
version_added: 1.0.0
short_description: Manage storage pools that are directories of a server
description:
  - A directory of an NFS, SMB or Gluster server is mounted, and the volumes are the files in it.
  - This is libvirt's pool type V(netfs).
extends_documentation_fragment:
  - poolwright.storage._allow
  - poolwright.storage._attributes
  - poolwright.storage._attributes.changes
  - poolwright.storage._libvirt
  - poolwright.storage._permissions
  - poolwright.storage._permissions.pool
  - poolwright.storage._pool
options:
  host:
    description:
      - The server's name or address. An IPv6 address of an NFS server is kept in brackets, as C(mount) takes it.
      - Required if O(state) is V(present) or V(active).
    type: str
  dir:
    description:
      - What is mounted. An absolute directory for NFS, a share's name without a slash before it for V(cifs), and a volume's name with a
        slash before it for V(glusterfs).
      - Required if O(state) is V(present) or V(active).
    type: str
  path:
    description:
      - Where it is mounted, an absolute path without V(..) and symbolic links. It is made if it is missing, and is empty otherwise.
      - Required if O(state) is V(present) or V(active).
    type: path
  format:
    description:
      - The kind of server, in libvirt's words.
      - V(auto) leaves it to C(mount). This is what a new pool has if it is not given.
      - V(cifs) is mounted as a guest, and V(glusterfs) with C(direct-io-mode=1), as libvirt does.
    type: str
    choices: [auto, nfs, glusterfs, cifs]
  protocol_version:
    description: The version of NFS, such as V(3) or V(4.1). The client chooses if it is not given.
    type: str
  mount_options:
    description:
      - Options of the C(mount) command (see C(man 8 mount)), one an item, after those that libvirt always sets.
      - The last word wins, so that V(exec) takes V(noexec) back.
      - They apply from the next mount on.
      - Passwords are refused, because the mount table shows them to all. V(credentials=FILE) names a file that has one.
      - Where another NFS server is mounted, or this one under another name, a pool of NFS gets V(nosharecache). Without it the kernel
        shows what is mounted from one server under the first of its names, and libvirt does not know the pool again.
      - An empty list takes those away that the pool has.
    type: list
    elements: str
requirements:
  - mount and umount (Debian C(mount))
  - the client of the format (Debian C(nfs-common), C(cifs-utils), C(glusterfs-client))
  - qemu-img (Debian C(qemu-utils)) to make qcow2 volumes
notes:
  - O(mode), O(owner) and O(group) are those of the mounted directory on the server.
  - Mounting, unmounting and looking at what is mounted end with an error if the server has not answered within 30 seconds.
  - Without a libvirt daemon O(autostart) is a systemd mount unit, which waits for the network and goes with O(autostart=false),
    O(state=absent) and O(state=deleted). A unit for the same path that somebody else wrote is never touched.
  - A directory in which a process has something open is not unmounted. The message names the process.
  - A server is the same by each of its names and addresses. One that has several addresses of which no name tells is not known again,
    so do not make two pools of one of its directories.
  - Where the server has replaced what is mounted, the pool is stopped with O(state=inactive) and started again.
  - With O(state=deleted) an empty mount point is removed. Nothing on the server is.
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: The images that all hosts share
  poolwright.storage.pool_netfs:
    name: shared
    host: nfs.example.com
    dir: /export/images
    path: /srv/shared
    format: nfs
    protocol_version: '4.2'

- name: A share of an SMB server
  poolwright.storage.pool_netfs:
    name: installers
    host: files.example.com
    dir: installers
    path: /srv/installers
    format: cifs

- name: The share is unmounted until further notice
  poolwright.storage.pool_netfs:
    name: installers
    state: inactive
    autostart: false
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
    - text: mount nfs.example.com:/export/images at /srv/shared
      command: mount -o nodev,nosuid,noexec,nfsvers=4.2 -t nfs nfs.example.com:/export/images /srv/shared
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
msg:
  description: What happened to the host, why, and the way out.
  returned: on failure
  type: str
  sample: >-
    Nothing was changed: nfs.example.com:/export/images at /srv/shared: no answer within 30 seconds
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

from ansible_collections.poolwright.storage.plugins.module_utils._pools.netfs import Netfs
from ansible_collections.poolwright.storage.plugins.module_utils._run_pool import run_pool


def main() -> None:
    run_pool(Netfs)


if __name__ == "__main__":
    main()
