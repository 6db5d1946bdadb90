#!/usr/bin/python
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_export
version_added: 1.0.0
short_description: Write the content of a volume to a file
description:
  - Writes what a volume of any pool has, or a part of it, to a file on the managed host that is in no pool.
  - The file is made aside and gets its name when it is whole. If it is there with that content, nothing is changed.
extends_documentation_fragment:
  - poolwright.storage._allow
  - poolwright.storage._attributes
  - poolwright.storage._attributes.changes
  - poolwright.storage._libvirt
options:
  pool:
    description: The name of the pool.
    type: str
    required: true
  name:
    description: The name of the volume.
    type: str
    required: true
    aliases:
      - volume
  dest:
    description:
      - The absolute path of the file. Its directory is there.
      - A file that is there with other content is replaced with O(allow=overwrite), and keeps its permissions if they are not
        given. What is no file, is in use, or is in the directory of a pool is refused.
    type: str
    required: true
  format:
    description:
      - The format of the file, to which the content is converted. If it is not given, it is that of the volume, or V(raw) for a
        part of it.
      - What is in that format already is copied as it is. Else two files are equal if a guest sees the same in both.
    type: str
    choices: [raw, qcow2, qcow, qed, vmdk, vpc, vdi]
  offset:
    description: Where the part begins, as a guest sees it, written as in O(poolwright.storage.volume#module:capacity).
    type: str
  length:
    description: How large the part is. If it is not given, it goes up to the end.
    type: str
  mode:
    description: The permission bits, as text, octal or symbolic. Octal digits need quotes. If it is not given, a new file has V('0600').
    type: raw
  owner:
    description: The owner, by name or number.
    type: str
  group:
    description: The group, by name or number.
    type: str
  progress:
    description:
      - Whether a task that copies shows how far it is. That is a line for each volume, with percent and
        speed, every few seconds. Nothing is shown of what takes less than about five seconds.
    type: bool
    default: true
requirements:
  - qemu-img (Debian C(qemu-utils)) to convert
  - lvm2 for the volumes of M(poolwright.storage.pool_logical)
  - parted and sfdisk (Debian C(fdisk)) for those of M(poolwright.storage.pool_disk)
notes:
  - The pool is defined and active, and nobody can write to the volume meanwhile, or the task is refused. Stop a guest before.
  - An image that names other files is refused, because it could make the host read what is not the guest's.
  - To see whether they are equal, both are read, in check mode as well.
  - Work that takes long goes on in a process of its own on the host, which ends within half a minute when the controller is gone or
    the task is cancelled. No process and no half file is left then.
seealso:
  - module: poolwright.storage.volume
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: There is a pool for guest images
  poolwright.storage.pool_dir:
    name: images
    path: /srv/images

- name: A guest has a disk
  poolwright.storage.volume:
    pool: images
    name: web1.img
    capacity: 64 MiB

- name: The disk is kept as a file of another format
  poolwright.storage.volume_export:
    pool: images
    name: web1.img
    dest: /var/tmp/web1.qcow2
    format: qcow2
    group: adm
    mode: '0640'

- name: Its first sector is kept as well
  poolwright.storage.volume_export:
    pool: images
    name: web1.img
    dest: /var/tmp/web1.mbr
    length: '512'
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
    - text: write volume web1.img to /var/tmp/web1.raw
      command: cp --sparse=always /srv/images/web1.img /var/tmp/.poolwright-4a1e0e4ba8a5c3c5
      risk: ""
    - text: give volume web1.raw its name
      command: mv --no-clobber /var/tmp/.poolwright-4a1e0e4ba8a5c3c5 /var/tmp/web1.raw
      risk: ""
dest:
  description: The path of the file.
  returned: success
  type: str
  sample: /var/tmp/web1.raw
size:
  description: Its size in bytes. Null if it is not there.
  returned: success
  type: int
  sample: 67108864
bytes:
  description: How many bytes were copied.
  returned: when that was done
  type: int
  sample: 1073741824
seconds:
  description: How long that took.
  returned: when that was done
  type: float
  sample: 4.2
msg:
  description: What happened to the host, why, and the way out.
  returned: on failure
  type: str
  sample: >-
    Nothing was changed: pool images has no volume web2.img. Correct name.
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

from ansible_collections.poolwright.storage.plugins.module_utils._run_export import run_export


def main() -> None:
    run_export()


if __name__ == "__main__":
    main()
