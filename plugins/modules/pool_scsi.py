#!/usr/bin/python
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_scsi
version_added: 1.0.0
short_description: Manage storage pools that are SCSI hosts
description:
  - The volumes are the LUNs of a SCSI host. They are listed, and never made, changed or removed.
  - This is libvirt's pool type V(scsi).
extends_documentation_fragment:
  - poolwright.storage._allow
  - poolwright.storage._attributes
  - poolwright.storage._attributes.changes
  - poolwright.storage._libvirt
  - poolwright.storage._pool
options:
  adapter:
    description:
      - The SCSI host.
      - Required if O(state) is V(present) or V(active).
    type: dict
    suboptions:
      type:
        description:
          - V(scsi_host) is named by O(adapter.name), or by O(adapter.address) and O(adapter.unique_id).
          - V(fc_host) is named by O(adapter.wwnn) and O(adapter.wwpn). If there is none with these names, a virtual one is made (NPIV)
            when the pool starts.
        type: str
        choices:
          - scsi_host
          - fc_host
        default: scsi_host
      name:
        description: The kernel's name, such as V(host0). It may be another one after the next boot.
        type: str
      address:
        description: The PCI address, such as V(0000:00:1f.2), which stays.
        type: str
      unique_id:
        description: The number of the host among those at O(adapter.address), from C(unique_id) in C(/sys/class/scsi_host/host0).
        type: int
      wwnn:
        description: The world wide node name, 16 hexadecimal digits.
        type: str
      wwpn:
        description: The world wide port name, 16 hexadecimal digits.
        type: str
      parent:
        description:
          - The SCSI host on which a virtual one is made, such as V(scsi_host5).
          - If it is not given, it is the first that is online and has room for one more.
        type: str
      managed:
        description:
          - Whether the pool makes its virtual host when it starts, and removes it when it stops.
          - If it is not given, it does if it had to make it, as in libvirt.
        type: bool
  path:
    description:
      - The directory in which the LUNs have their names, C(/dev) or one below it.
      - If it is not given, it is V(/dev/disk/by-path).
    type: path
notes:
  - A LUN that has no name in O(path) is shown with its kernel name and a warning. libvirt does not show it.
  - With O(refresh=true) the kernel looks for new LUNs before anything else is done, which is a change if it finds some. In check mode it
    does not, because that would already change the host. A LUN that is gone stays listed until the kernel or an administrator removes it.
  - V(fc_host) was tried on descriptions of hosts only, never on hardware. With a libvirt daemon it is the daemon that makes and removes
    virtual hosts, and it does not start a pool whose virtual host is there already. Without one nothing makes them again at boot.
  - A pool without a virtual host always runs. O(state=inactive) stops it for a libvirt daemon only, and O(state=deleted) leaves the LUNs
    as they are.
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: The LUNs of a SCSI host are volumes
  poolwright.storage.pool_scsi:
    name: luns
    adapter:
      address: '0000:00:06.0'
      unique_id: 0
    path: /dev/disk/by-id

- name: The host forgets the pool, and keeps the LUNs
  poolwright.storage.pool_scsi:
    name: luns
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
    - text: define pool luns
      command: install --mode=0600 /dev/stdin /etc/libvirt/storage/luns.xml
      risk: ""
    - text: mark pool luns for autostart
      command: ln --symbolic /etc/libvirt/storage/luns.xml /etc/libvirt/storage/autostart/luns.xml
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
    name: luns
    path: /dev/disk/by-id
    permissions: {group: null, label: null, mode: null, owner: null}
    source:
      adapter: {address: "0000:00:06.0", managed: null, name: null, parent: null, type: scsi_host, unique_id: "0", wwnn: null, wwpn: null}
      auth: null
      devices: []
      format: null
      name: null
      dir: null
      hosts: []
      initiator: null
      protocol_version: null
    state: active
    type: scsi
    uuid: 6e3f9e3c-5a43-5f0c-8f6b-0d8f3a6c1f52
    warnings: []
    xml: "<pool type='scsi'>...</pool>"
msg:
  description: What happened to the host, why, and the way out.
  returned: on failure
  type: str
  sample: >-
    Nothing was changed: the SCSI host of pool luns, type scsi_host, name host7, does not exist. Attach it, or correct adapter;
    ls /sys/class/scsi_host lists those there are.
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

from ansible_collections.poolwright.storage.plugins.module_utils._pools.scsi import Scsi
from ansible_collections.poolwright.storage.plugins.module_utils._run_pool import run_pool


def main() -> None:
    run_pool(Scsi)


if __name__ == "__main__":
    main()
