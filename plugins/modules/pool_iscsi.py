#!/usr/bin/python
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_iscsi
version_added: 1.0.0
short_description: Manage storage pools that are iSCSI targets
description:
  - The host logs in to a target, and the volumes are its LUNs. They are listed, and never made, changed or removed.
  - This is libvirt's pool type V(iscsi).
extends_documentation_fragment:
  - poolwright.storage._allow
  - poolwright.storage._attributes
  - poolwright.storage._attributes.changes
  - poolwright.storage._libvirt
  - poolwright.storage._pool
options:
  host:
    description:
      - The server's name, IPv4 or IPv6 address.
      - Required if O(state) is V(present) or V(active).
    type: str
  target:
    description:
      - The target's name, such as V(iqn.2026-01.org.example:disks).
      - Required if O(state) is V(present) or V(active).
    type: str
  port:
    description: The server's port, 3260 if it is not given.
    type: int
  initiator:
    description:
      - The name under which the host logs in, if it is not the host's own.
      - An interface record of open-iscsi that has it is used, else one is made for the pool.
    type: str
  chap:
    description:
      - What the host logs in with. An empty dictionary takes CHAP away.
      - If it is not given, what the host's record of the target has is left as it is.
    type: dict
    suboptions:
      username:
        description: The host's name.
        type: str
      password:
        description: The host's password, without blanks.
        type: str
      username_in:
        description: The name of the target, if it has to prove itself too (mutual CHAP).
        type: str
      password_in:
        description: The target's password.
        type: str
  path:
    description:
      - The directory in which the LUNs have their names, C(/dev) or one below it.
      - If it is not given, it is V(/dev/disk/by-path).
    type: path
requirements:
  - iscsiadm (Debian C(open-iscsi)) and udevadm
notes:
  - The server is asked for its targets only if the host has no record of the target yet, and what it answers is not kept. A record that is
    there keeps its settings.
  - A password is written into the record's file and into libvirt's secret, which only root can read. It is never on a command line.
  - A session keeps the password that it began with. Another one needs a new login, and with it O(allow=interrupt).
  - O(autostart) is C(node.startup) in the record, with a libvirt daemon too, so that open-iscsi logs in and libvirt finds the session. The
    service that does it (Debian C(open-iscsi.service)) has to be enabled. The record of a pool that libvirt has already stays as it is,
    and libvirt logs in by its own mark, unless the target has a password of its own.
  - Asking, logging in and logging out end with an error if the server has not answered within 30 seconds.
  - O(state=absent) and O(state=deleted) remove the record and the interface that this module has made, and the libvirt secret. Those of
    others are left.
  - A target one of whose LUNs is in use is not logged out of. The message names what uses it.
  - With O(refresh=true) the kernel looks for new LUNs before anything else is done, which is a change if it finds some, or if known ones
    have grown, gone or been replaced by another disk, of which warnings tell. In check mode it does not.
  - Sessions of others with the same target are left alone. Where libvirt would end one of them together with the pool's, the pool is not
    stopped, and the message names it.
  - libvirt runs no pool of a target without LUNs. With a libvirt daemon O(state=active) fails then, and undoes what it has done.
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: The LUNs of a target are volumes
  poolwright.storage.pool_iscsi:
    name: disks
    host: san.example.com
    target: iqn.2026-01.org.example:disks

- name: A target that wants a password, under a name of its own
  poolwright.storage.pool_iscsi:
    name: vault
    host: san.example.com
    target: iqn.2026-01.org.example:vault
    initiator: iqn.2026-01.org.example:host1
    chap:
      username: host1
      password: "{{ vault_password }}"

- name: The host logs out, and forgets the target
  poolwright.storage.pool_iscsi:
    name: vault
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
    - text: log in to iqn.2026-01.org.example:disks at 192.0.2.7:3260,1
      command: iscsiadm --mode node --targetname iqn.2026-01.org.example:disks --portal 192.0.2.7:3260,1 --interface default --login
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
    allocation: 2147483648
    autostart: true
    available: 0
    built: true
    capacity: 2147483648
    free_extents: null
    mount_options: []
    name: disks
    path: /dev/disk/by-path
    permissions: {group: null, label: null, mode: null, owner: null}
    source:
      adapter: null
      auth: {type: chap, username: host1, usage: poolwright.storage/disks, uuid: null}
      devices: [iqn.2026-01.org.example:disks]
      format: null
      name: null
      dir: null
      hosts: [{name: san.example.com, port: null}]
      initiator: null
      protocol_version: null
    state: active
    type: iscsi
    uuid: 6e3f9e3c-5a43-5f0c-8f6b-0d8f3a6c1f52
    warnings: []
    xml: "<pool type='iscsi'>...</pool>"
msg:
  description: What happened to the host, why, and the way out.
  returned: on failure
  type: str
  sample: >-
    Nothing was changed: san.example.com does not offer iqn.2026-01.org.example:disk of pool disks, but iqn.2026-01.org.example:disks.
    Correct target, or let the server offer it to this host.
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

from ansible_collections.poolwright.storage.plugins.module_utils._pools.iscsi import Iscsi
from ansible_collections.poolwright.storage.plugins.module_utils._run_pool import run_pool


def main() -> None:
    run_pool(Iscsi)


if __name__ == "__main__":
    main()
