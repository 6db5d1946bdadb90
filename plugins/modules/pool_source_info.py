#!/usr/bin/python
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_source_info
version_added: 1.0.0
short_description: Tell what storage pools could be made from
description:
  - Tells what a host has, or a server offers to it, that a storage pool of a type could be made from.
  - What is there already, such as a volume group, a mount or a target that is logged in to, is described as it is, so that the module
    of the type takes it as a pool and changes nothing of it.
extends_documentation_fragment:
  - poolwright.storage._attributes
  - poolwright.storage._attributes.info
options:
  type:
    description:
      - The type of the pools.
      - V(disk) tells about disks, V(fs) about disks and partitions, V(logical) about volume groups, V(netfs) about the exports of an NFS
        server, V(iscsi) about the targets of a server, V(scsi) about SCSI and Fibre Channel hosts, and V(mpath) about multipath maps.
    type: str
    required: true
    choices: [disk, fs, iscsi, logical, mpath, netfs, scsi]
  host:
    description:
      - The server's name or address.
      - Required if O(type) is V(netfs) or V(iscsi).
    type: str
  port:
    description: The server's port for V(iscsi), 3260 if it is not given.
    type: int
requirements:
  - showmount (Debian C(nfs-common)) for V(netfs), iscsiadm (Debian C(open-iscsi)) for V(iscsi), lvm2 for V(logical)
seealso:
  - module: poolwright.storage.pool_info
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: The disks are looked at
  poolwright.storage.pool_source_info:
    type: disk
  register: found

- name: Those that are blank and not in use are told
  ansible.builtin.debug:
    msg: "{{ found.sources | rejectattr('error') | rejectattr('content') | rejectattr('users') | map(attribute='options.device') }}"

- name: The volume groups are looked at
  poolwright.storage.pool_source_info:
    type: logical
  register: groups
"""

RETURN = r"""
sources:
  description: What pools of the type could be made from.
  returned: success
  type: list
  elements: dict
  contains:
    type:
      description: The type of the pools.
      type: str
    options:
      description:
        - Options of the module C(pool_TYPE) for a pool made from it, with a name that can be changed. Those of O(type=fs) and
          O(type=netfs) have a path where it is mounted; elsewhere the path is yours to choose.
        - Passwords are not told; C(chap) names the variables to fill.
      type: dict
    capacity:
      description: Its size in bytes. Null if it is not known.
      type: int
    content:
      description: What is on it now, in words. Null if it is blank or a server does not tell.
      type: str
    users:
      description: Who uses it now, in words.
      type: list
      elements: str
    error:
      description: Why it could not be looked at. Null if it could.
      type: str
  sample:
    - type: disk
      options:
        name: scsi-35000c500a0000000
        device: /dev/disk/by-id/scsi-35000c500a0000000
      capacity: 2147483648
      content: ext4
      users: []
      error: null
msg:
  description: What went wrong.
  returned: on failure
  type: str
  sample: "showmount --no-headers --exports nfs.example.com: no answer within 30 seconds"
"""

from ansible_collections.poolwright.storage.plugins.module_utils._run_info import (
    run_pool_source_info,
)


def main() -> None:
    run_pool_source_info()


if __name__ == "__main__":
    main()
