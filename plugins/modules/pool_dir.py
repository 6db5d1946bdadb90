#!/usr/bin/python
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_dir
version_added: 1.0.0
short_description: Manage storage pools that are directories
description:
  - The volumes are the files in a directory of the host, raw or qcow2 images for example.
  - The directory is made if it is missing, with its parents. One that exists is taken as it is, with the files that are in it.
  - This is libvirt's pool type V(dir).
extends_documentation_fragment:
  - poolwright.storage._allow
  - poolwright.storage._attributes
  - poolwright.storage._attributes.changes
  - poolwright.storage._libvirt
  - poolwright.storage._permissions
  - poolwright.storage._permissions.pool
  - poolwright.storage._pool
options:
  path:
    description:
      - The directory, an absolute path without V(..). Doubled slashes, parts that are V(.) and a slash at the end mean nothing.
      - Required if O(state) is V(present) or V(active).
    type: path
  cow:
    description:
      - Whether new files in the directory are copied on write. V(false) is what disk images on btrfs want.
      - Set with C(chattr) and read with C(lsattr). A file system that does not know the attribute makes the task fail.
      - If it is not given, nothing is said about it and the directory keeps what it has.
    type: bool
requirements:
  - qemu-img (Debian C(qemu-utils)) to make qcow2 volumes
  - chattr and lsattr (Debian C(e2fsprogs)) for O(cow)
notes:
  - A new directory has the mode V('0711') if O(mode) is not given.
  - A directory knows no difference between running and stopped. Without a libvirt daemon O(state=active) and O(state=inactive) only
    differ from O(state=present) in what they say.
  - With O(state=deleted) the directory goes. If it is not empty, that needs O(allow=delete). A directory that others live in (such as
    C(/srv) or C(/var/lib)), or with something mounted in it, is never removed.
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: Guest images live in a directory
  poolwright.storage.pool_dir:
    name: images
    path: /srv/images

- name: Only root and the administrators may look into it
  poolwright.storage.pool_dir:
    name: images
    path: /srv/images
    owner: root
    group: adm
    mode: '0750'

- name: The pool rests, also after a reboot
  poolwright.storage.pool_dir:
    name: images
    state: inactive
    autostart: false

- name: The host forgets the pool and keeps the directory
  poolwright.storage.pool_dir:
    name: images
    state: absent

- name: The directory becomes a pool again, with what is in it
  poolwright.storage.pool_dir:
    name: images
    path: /srv/images

- name: The directory goes, with everything in it
  poolwright.storage.pool_dir:
    name: images
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
    - text: make directory /srv/images
      command: install --directory --mode=0711 /srv/images
      risk: ""
    - text: define pool images
      command: install --mode=0600 /dev/stdin /etc/libvirt/storage/images.xml
      risk: ""
    - text: mark pool images for autostart
      command: ln --symbolic /etc/libvirt/storage/images.xml /etc/libvirt/storage/autostart/images.xml
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
    allocation: 4026531840
    autostart: true
    available: 48495034368
    built: true
    capacity: 52521566208
    mount_options: []
    name: images
    path: /srv/images
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
    type: dir
    uuid: 6e3f9e3c-5a43-5f0c-8f6b-0d8f3a6c1f52
    xml: "<pool type='dir'>...</pool>"
msg:
  description: What happened to the host, why, and the way out.
  returned: on failure
  type: str
  sample: >-
    Nothing was changed, because the task would remove directory /srv/images with web1.qcow2, which destroys the data inside
    (consent with allow: [delete]).
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

from ansible_collections.poolwright.storage.plugins.module_utils._pools.dir import Dir
from ansible_collections.poolwright.storage.plugins.module_utils._run_pool import run_pool


def main() -> None:
    run_pool(Dir)


if __name__ == "__main__":
    main()
