#!/usr/bin/python
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_info
version_added: 1.0.0
short_description: Tell what volumes a storage pool has
description:
  - Tells about one volume or all volumes of a pool, whatever made them.
  - A pool that does not run has no volumes to tell, unless its type knows no difference.
extends_documentation_fragment:
  - poolwright.storage._attributes
  - poolwright.storage._attributes.info
  - poolwright.storage._libvirt
options:
  pool:
    description: The name of the pool.
    type: str
    required: true
  name:
    description: Only the volume of this name. If it is not given, all volumes are told.
    type: str
    aliases:
      - volume
requirements:
  - lvm2 for pools of M(poolwright.storage.pool_logical)
seealso:
  - module: poolwright.storage.pool_info
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

- name: It has two images
  poolwright.storage.volumes:
    pool: images
    volumes:
      - {name: web1.qcow2, format: qcow2, capacity: 1 GiB}
      - {name: web2.qcow2, format: qcow2, capacity: 1 GiB}

- name: The volumes are looked at
  poolwright.storage.volume_info:
    pool: images
  register: found

- name: What is promised to the guests, in GiB, is told
  ansible.builtin.debug:
    msg: "{{ found.volumes | map(attribute='capacity') | sum / 1024 ** 3 }}"

- name: One volume is looked at
  poolwright.storage.volume_info:
    pool: images
    name: web1.qcow2
  register: web1

- name: It is not based on another image
  ansible.builtin.assert:
    that: web1.volumes[0].backing is none

- name: The directory goes, with everything in it
  poolwright.storage.pool_dir:
    name: images
    state: deleted
    allow: [delete]
"""

RETURN = r"""
volumes:
  description:
    - The volumes. Empty if there is none, or none of the name. Sizes are bytes, and what there is not is null.
  returned: success
  type: list
  elements: dict
  contains:
    pool:
      description: The pool's name.
      type: str
    name:
      description: The volume's name.
      type: str
    key:
      description: What identifies it, as libvirt has it. The path of a file, the UUID of a logical volume.
      type: str
    path:
      description: The path on the host.
      type: str
    type:
      description: V(file), V(block) or V(dir).
      type: str
    format:
      description: The format, told by the file's first bytes, or a partition's type. Null where volumes have none.
      type: str
    capacity:
      description: The size that a guest sees, in bytes.
      type: int
    allocation:
      description: The bytes that it takes of the pool.
      type: int
    physical:
      description: The size of the file or device, in bytes.
      type: int
    permissions:
      description: The permissions.
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
    timestamps:
      description: C(atime), C(mtime), C(ctime) and C(btime) in seconds since 1970, as libvirt writes them. Null if unknown.
      type: dict
    compat:
      description: The version of the qcow2 format. Null for V(0.10), of which libvirt shows none, nor the size of its clusters.
      type: str
    cluster_size:
      description: The cluster size of a qcow2 image in bytes.
      type: int
    features:
      description: The features of a qcow2 image, in libvirt's words.
      type: list
      elements: str
    backing:
      description: What the volume is based on. Null if nothing.
      type: dict
      contains:
        path:
          description: The path.
          type: str
        format:
          description: The format. Null if the image does not tell.
          type: str
    encryption:
      description: How it is encrypted, as its header tells. Null if it is not.
      type: dict
      contains:
        format:
          description: V(luks), V(luks2) or, of an old image, V(qcow).
          type: str
        cipher:
          description: The C(name), C(size), C(mode) and C(hash) of the cipher. Null where the header does not tell, as in a qcow2 image.
          type: dict
        ivgen:
          description: The C(name) and C(hash) of the vectors' way. Null where the header does not tell.
          type: dict
        secret:
          description: The C(uuid) or C(usage) of the libvirt secret with the passphrase. Null if none is known.
          type: dict
    backing_chain:
      description:
        - What it is based on, and what that is based on, and so on. It ends where a file is based on nothing, is not there, or comes
          a second time.
      type: list
      elements: dict
      contains:
        path:
          description: The path, or what else stands in the image.
          type: str
        format:
          description: The format that it is read as, which its first bytes tell if the image does not. Null if nothing does.
          type: str
        exists:
          description: Whether it is there. Null if it is no file of the host, such as C(nbd://server/disk).
          type: bool
    extents:
      description: Where a logical volume or partition lies.
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
          description: The byte after the last one.
          type: int
    lvm:
      description: What a logical volume is. Null for all else, and what its type has not is null.
      type: dict
      contains:
        type:
          description: As O(poolwright.storage.volume#module:lvm.type), or LVM's type of segment where it is none of these.
          type: str
        thin_pool:
          description: The thin pool that it is in.
          type: str
        origin:
          description: What it is a snapshot of.
          type: str
        stripes:
          description: On how many devices it lies in turns.
          type: int
        stripe_size:
          description: How much lies on a device in one piece, in bytes.
          type: int
        mirrors:
          description: How many copies it has besides the first.
          type: int
        chunk_size:
          description: In what pieces a thin pool gives space away, in bytes.
          type: int
        metadata_size:
          description: The space for the metadata of a thin pool, in bytes.
          type: int
        data_percent:
          description: How full a thin pool or the store of a snapshot is, or how much of a thin volume takes space.
          type: float
        metadata_percent:
          description: How full the metadata of a thin pool are.
          type: float
    xml:
      description:
        - The volume as C(virsh vol-dumpxml) would show it. What XML cannot say of a name is a replacement character in it.
      type: str
    options:
      description:
        - The options that, given to M(poolwright.storage.volume) or as a row of M(poolwright.storage.volumes), describe the volume as it
          is. What is not required and is the default is left out, as are owners and modes of what is no file.
        - Null where no task makes such a volume, such as a LUN, a link, or an image that is based on what is no file.
        - The passphrase of an encrypted volume is not told. Its place has the name of a variable to fill, such as
          C({{ pools_images_web1_passphrase }}).
      type: dict
    error:
      description: What is wrong with the volume, of which all else but its name and path is null then. Null if nothing is.
      type: str
  sample:
    - allocation: 196608
      backing: null
      backing_chain: []
      capacity: 1073741824
      cluster_size: 65536
      compat: "1.1"
      error: null
      encryption: null
      extents: []
      features: []
      format: qcow2
      key: /srv/images/web1.qcow2
      lvm: null
      name: web1.qcow2
      options: {name: web1.qcow2, capacity: 1 GiB, format: qcow2}
      path: /srv/images/web1.qcow2
      permissions: {group: 0, label: null, mode: "0600", owner: 0}
      physical: 196928
      pool: images
      timestamps: {atime: "1763848800.000000000", btime: "0", ctime: "1763848800.000000000", mtime: "1763848800.000000000"}
      type: file
      xml: "<volume type='file'>...</volume>"
msg:
  description: Why nothing could be told.
  returned: on failure
  type: str
  sample: "No pool 'images' is defined on this host. Defined are: attic, guests."
"""

from ansible_collections.poolwright.storage.plugins.module_utils._run_info import run_volume_info


def main() -> None:
    run_volume_info()


if __name__ == "__main__":
    main()
