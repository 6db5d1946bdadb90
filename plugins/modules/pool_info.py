#!/usr/bin/python
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_info
version_added: 1.0.0
short_description: Tell what storage pools there are
description:
  - Tells about one pool or all pools that are defined on the host, whatever made them.
  - One pool that is broken does not hide the others.
  - What it tells as RV(pools[].options) describes the pool to the module of its type, so that a host that is there becomes a playbook
    that changes nothing.
extends_documentation_fragment:
  - poolwright.storage._attributes
  - poolwright.storage._attributes.info
  - poolwright.storage._libvirt
options:
  name:
    description: Only the pool of this name. If it is not given, all pools are told.
    type: str
    aliases:
      - pool
  volumes:
    description: Whether the volumes of each pool are told too, and RV(pools_list).
    type: bool
    default: false
requirements:
  - lvm2 for pools of M(poolwright.storage.pool_logical)
seealso:
  - module: poolwright.storage.volume_info
  - ref: ansible_collections.poolwright.storage.docsite.guide_pools
    description: States, autostart, and how existing pools are adopted.
  - name: Storage pool and volume XML format
    description: What libvirt's words mean.
    link: https://libvirt.org/formatstorage.html
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: There is a pool for guest images
  poolwright.storage.pool_dir:
    name: images
    path: /srv/images

- name: All pools are looked at
  poolwright.storage.pool_info:
  register: found

- name: Pools that a reboot would not bring back are told
  ansible.builtin.debug:
    msg: "{{ found.pools | rejectattr('autostart') | map(attribute='name') }}"

- name: One pool is looked at, with its volumes
  poolwright.storage.pool_info:
    name: images
    volumes: true
  register: images

- name: There is room for one more image
  ansible.builtin.assert:
    that: images.pools[0].available > 64 * 1024 ** 2

- name: The directory goes, with everything in it
  poolwright.storage.pool_dir:
    name: images
    state: deleted
    allow: [delete]
"""

RETURN = r"""
pools:
  description:
    - The pools. Empty if there is none, or none of the name. Sizes are bytes, and what there is not is null.
  returned: success
  type: list
  elements: dict
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
    options:
      description:
        - The options that, given to the module of the type, describe the pool as it is. What is not required and is the default is left
          out. Null if the definition cannot be read, or the type is none that this collection makes.
        - Passwords are not told. C(chap) names the variables to fill, such as C({{ pools_NAME_chap_password }}).
        - Permissions and mount options that are others in the definition than on the host are left out, so that both stay as they are.
      type: dict
    volumes:
      description: The volumes, as M(poolwright.storage.volume_info) tells them. Null if they could not be looked at.
      type: list
      elements: dict
      returned: if O(volumes) is V(true)
    error:
      description: What is wrong with the pool. Null if nothing is.
      type: str
  sample:
    - allocation: 4026531840
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
      options: {name: images, path: /srv/images}
      type: dir
      uuid: 6e3f9e3c-5a43-5f0c-8f6b-0d8f3a6c1f52
      xml: "<pool type='dir'>...</pool>"
      error: null
pools_list:
  description:
    - The pools as the role P(poolwright.storage.pools#role) takes them in O(poolwright.storage.pools#role:main:pools_list), in an order in
      which they can be made.
    - A pool that runs has its volumes with it, if they can be made. Their owners are left out, because libvirt gives a file to the guest
      that runs, and takes it back.
  returned: if O(volumes) is V(true)
  type: list
  elements: dict
  sample:
    - name: images
      type: dir
      path: /srv/images
msg:
  description: Why nothing could be told.
  returned: on failure
  type: str
  sample: "virsh --readonly --connect qemu:///system pool-list: error: failed to connect to the hypervisor"
"""

from ansible_collections.poolwright.storage.plugins.module_utils._run_info import run_pool_info


def main() -> None:
    run_pool_info()


if __name__ == "__main__":
    main()
