#!/usr/bin/python
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volumes
version_added: 1.0.0
short_description: Manage many volumes of a storage pool at once
description:
  - Makes, grows and removes the volumes of one pool, with one look at the pool and one plan for the whole list.
  - Either the whole list is possible, or nothing is changed. Volumes are removed first, so that their space can be used.
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
  volumes:
    description: The volumes, each as M(poolwright.storage.volume) takes it. No name may be there twice.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the volume. See O(poolwright.storage.volume#module:name).
          - Where it is left out, each item of the list is a partition of its own, so that a list can have several of one size.
            Items with names come first.
          - A partition that is there with the size and type of an item is taken for it, whatever it holds, unless the item is a copy of
            it, or is to be encrypted where it is not.
        type: str
        aliases:
          - volume
      state:
        description: Whether it is there. With V(absent) no other option but O(volumes[].wipe) is given. See O(poolwright.storage.volume#module:state).
        type: str
        choices:
          - present
          - absent
        default: present
      capacity:
        description: The size that a guest sees, such as V(20 GiB), V(50%) or V(100%FREE). See O(poolwright.storage.volume#module:capacity).
        type: str
      allocation:
        description: How many bytes of a raw file are reserved at once. See O(poolwright.storage.volume#module:allocation).
        type: str
      format:
        description: V(raw), V(qcow2) and others for files, the type for partitions. See O(poolwright.storage.volume#module:format).
        type: str
      mode:
        description: The permission bits, as text, octal or symbolic. Octal digits need quotes.
        type: raw
      owner:
        description: The owner, by name or number.
        type: str
      group:
        description: The group, by name or number.
        type: str
      compat:
        description: The version of a V(qcow2) image, as text in quotes. See O(poolwright.storage.volume#module:compat).
        type: str
        choices:
          - '0.10'
          - '1.1'
      cluster_size:
        description: In what pieces an image takes space. See O(poolwright.storage.volume#module:cluster_size).
        type: str
      features:
        description: The features of a V(qcow2) image. See O(poolwright.storage.volume#module:features).
        type: list
        elements: str
        choices:
          - lazy_refcounts
          - extended_l2
      nocow:
        description: Whether btrfs overwrites a new file in place. See O(poolwright.storage.volume#module:nocow).
        type: bool
      preallocation:
        description: What of a new file is made at once. See O(poolwright.storage.volume#module:preallocation).
        type: str
        choices:
          - 'off'
          - metadata
          - falloc
          - full
      backing:
        description: What a V(qcow2) image is based on. See O(poolwright.storage.volume#module:backing).
        type: dict
        suboptions:
          volume:
            description: The name of a volume, which can be one of this list.
            type: str
          pool:
            description: Its pool, if that is another one than O(pool).
            type: str
          path:
            description: An absolute path of a file or a block device.
            type: str
          format:
            description: The format that it is read as. See O(poolwright.storage.volume#module:backing.format).
            type: str
      clone_from:
        description: The volume that this one gets its content from when it is made. See O(poolwright.storage.volume#module:clone_from).
        type: dict
        suboptions:
          volume:
            description: The name of the other volume, which can be one of this list.
            type: str
            required: true
          pool:
            description: Its pool, if that is another one than O(pool).
            type: str
          reflink:
            description: Whether the two share blocks. See O(poolwright.storage.volume#module:clone_from.reflink).
            type: str
            choices:
              - auto
              - always
              - never
            default: auto
      source:
        description: Where the volume gets its content from when it is made. See O(poolwright.storage.volume#module:source).
        type: dict
        suboptions:
          path:
            description: A file or a block device on the managed host.
            type: str
          url:
            description: What the managed host fetches. See O(poolwright.storage.volume#module:source.url).
            type: str
          upload:
            description: A file on the controller. See O(poolwright.storage.volume#module:source.upload).
            type: str
          checksum:
            description: The checksum of the file as it is. See O(poolwright.storage.volume#module:source.checksum).
            type: str
          format:
            description: The format of the content. See O(poolwright.storage.volume#module:source.format).
            type: str
            choices: [raw, iso, qcow2, qcow, qed, vmdk, vpc, vdi]
          decompress:
            description: Whether what is compressed is unpacked. See O(poolwright.storage.volume#module:source.decompress).
            type: str
            choices:
              - auto
              - never
            default: auto
          sync:
            description: Whether the content is kept equal. See O(poolwright.storage.volume#module:source.sync).
            type: bool
            default: false
      cloud_init:
        description: Makes a seed for cloud-init. See O(poolwright.storage.volume#module:cloud_init).
        type: dict
        suboptions:
          user_data:
            description: A text, which begins with C(#cloud-config) or C(#!), or a mapping, which is written as C(#cloud-config).
            type: raw
          meta_data:
            description: A text or a mapping. If it is not given, C(instance-id) is the name of the volume.
            type: raw
          network_config:
            description: A text or a mapping. If it is not given, there is none.
            type: raw
      encryption:
        description: Makes an encrypted volume. See O(poolwright.storage.volume#module:encryption).
        type: dict
        suboptions:
          passphrase:
            description: What opens the volume. Exactly one of this and O(volumes[].encryption.secret) is required.
            type: str
          secret:
            description:
              - The UUID, or what names the use, of a libvirt secret that has the passphrase. It has to be one that libvirt keeps in
                C(/etc/libvirt/secrets).
            type: str
          format:
            description: The way of encryption. qemu-img makes LUKS 1.
            type: str
            choices:
              - luks
            default: luks
          cipher:
            description: What encrypts, if not what qemu-img takes by itself, which is AES with 256 bits and XTS.
            type: dict
            suboptions:
              name:
                description: The cipher.
                type: str
                required: true
                choices:
                  - aes
                  - cast5
                  - serpent
                  - twofish
              size:
                description: The size of the key in bits.
                type: int
                required: true
                choices:
                  - 128
                  - 192
                  - 256
              mode:
                description: How blocks are chained.
                type: str
                choices:
                  - xts
                  - cbc
                  - ctr
                  - ecb
              hash:
                description: The hash by which the passphrase becomes a key.
                type: str
                choices:
                  - md5
                  - ripemd160
                  - sha1
                  - sha224
                  - sha256
                  - sha384
                  - sha512
          ivgen:
            description: How the vector of each sector is made. It belongs to O(volumes[].encryption.cipher).
            type: dict
            suboptions:
              name:
                description: The way.
                type: str
                required: true
                choices:
                  - plain
                  - plain64
                  - essiv
              hash:
                description: The hash for V(essiv).
                type: str
                choices:
                  - md5
                  - ripemd160
                  - sha1
                  - sha224
                  - sha256
                  - sha384
                  - sha512
      wipe:
        description: How what it holds is made unreadable before it goes. See O(poolwright.storage.volume#module:wipe).
        type: str
        choices:
          - zero
          - nnsa
          - dod
          - bsi
          - gutmann
          - schneier
          - pfitzner7
          - pfitzner33
          - random
          - trim
      lvm:
        description: The kind of a logical volume. See O(poolwright.storage.volume#module:lvm).
        type: dict
        suboptions:
          type:
            description: What it is. See O(poolwright.storage.volume#module:lvm.type).
            type: str
            choices:
              - linear
              - striped
              - raid1
              - thin-pool
              - thin
              - snapshot
            default: linear
          thin_pool:
            description: The thin pool that a V(thin) volume is in, which may be another row.
            type: str
          origin:
            description: The volume that a V(snapshot) is of, which may be another row.
            type: str
          stripes:
            description: On how many devices a V(striped) volume lies.
            type: int
          stripe_size:
            description: How much of a V(striped) volume lies on a device in one piece, a power of two.
            type: str
          mirrors:
            description: How many copies a V(raid1) volume has besides the first.
            type: int
          chunk_size:
            description: In what pieces a V(thin-pool) gives space away, a multiple of 64 KiB.
            type: str
          metadata_size:
            description: The space for the metadata of a V(thin-pool).
            type: str
          overcommit:
            description:
              - Whether the volumes of its pool may be larger together than that. See O(poolwright.storage.volume#module:lvm.overcommit).
            type: bool
            default: false
  purge:
    description:
      - Whether the volumes that O(volumes) does not list are removed. This needs O(allow=delete).
      - Directories stay, and thin pools, and what is not active; thin volumes go.
      - It is refused with volumes whose name is left out, because it is not the task that says which ones these are.
    type: bool
    default: false
  details:
    description: Whether the result has of each volume also what is long, C(timestamps), C(extents) and C(xml).
    type: bool
    default: false
  progress:
    description:
      - Whether a task that copies, wipes, fetches or fills shows how far it is. That is a line for each volume, with percent and
        speed, every few seconds. Nothing is shown of what takes less than about five seconds.
    type: bool
    default: true
requirements:
  - qemu-img (Debian C(qemu-utils)) to make images
  - xorriso, genisoimage or mkisofs for O(volumes[].cloud_init)
  - scrub for those patterns of O(volumes[].wipe) that are its own
  - zstd to unpack what is compressed with it
  - lvm2 for the volumes of M(poolwright.storage.pool_logical), and for thin ones thin_check (Debian C(thin-provisioning-tools))
notes:
  - The pool is defined and active, or the task is refused.
  - A volume in use is not removed and not shrunk. The message names the process that has it open.
  - A size that the pool rounds up, to a whole extent or sector, is equal to what it was rounded to.
  - Work that takes long goes on in a process of its own on the host, which ends within half a minute when the controller is gone or
    the task is cancelled. No process and no half volume is left then.
seealso:
  - module: poolwright.storage.volume
  - module: poolwright.storage.volume_info
  - ref: ansible_collections.poolwright.storage.docsite.guide_safety
    description: What is refused, and what each word of O(allow) means.
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: Guest disks live in a volume group on two disks
  poolwright.storage.pool_logical:
    name: guests
    devices:
      - /dev/disk/by-id/scsi-35000c500a0000000
      - /dev/disk/by-id/scsi-35000c500a0000001

- name: Every web server has its disk
  poolwright.storage.volumes:
    pool: guests
    volumes:
      - {name: web1, capacity: 512 MiB}
      - {name: web2, capacity: 512 MiB}
      - {name: web3, capacity: 512 MiB}

- name: The third one leaves, and the second one grows
  poolwright.storage.volumes:
    pool: guests
    volumes:
      - {name: web2, capacity: 1 GiB}
      - {name: web3, state: absent}
    allow: [delete]

- name: The first one and a store on all that is free are there, and nothing else
  poolwright.storage.volumes:
    pool: guests
    volumes:
      - {name: web1, capacity: 512 MiB}
      - {name: store, capacity: 100%FREE}
    purge: true
    allow: [delete]

- name: Test systems share a thin pool, and are larger together than it is
  poolwright.storage.volumes:
    pool: guests
    volumes:
      - {name: store, state: absent}
      - {name: thins, capacity: 1 GiB, lvm: {type: thin-pool}}
      - {name: test1, capacity: 800 MiB, lvm: {type: thin, thin_pool: thins}}
      - {name: test2, capacity: 800 MiB, lvm: {type: thin, thin_pool: thins, overcommit: true}}
    allow: [delete]

- name: The first system is kept as it is now, and a mirror holds what must not get lost
  poolwright.storage.volumes:
    pool: guests
    volumes:
      - {name: before-update, lvm: {type: snapshot, origin: test1, overcommit: true}}
      - {name: web1-before, allocation: 128 MiB, lvm: {type: snapshot, origin: web1}}
      - {name: books, capacity: 256 MiB, lvm: {type: raid1}}

- name: The snapshots go
  poolwright.storage.volumes:
    pool: guests
    volumes:
      - {name: before-update, state: absent}
      - {name: web1-before, state: absent}
    allow: [delete]

- name: The volume group goes, with its volumes, and the disks are blank
  poolwright.storage.pool_logical:
    name: guests
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
    - text: create logical volume guests/web1
      command: lvcreate --yes --wipesignatures y --name web1 --size 536870912b guests
      risk: ""
volumes:
  description: A result for each volume of the list, in its order, followed by those that were purged.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The volume's name.
      type: str
    changed:
      description: Whether the task changed, or in check mode would change, this volume.
      type: bool
    bytes:
      description: How many bytes were copied, fetched, written or wiped.
      returned: when that was done
      type: int
      sample: 1073741824
    seconds:
      description: How long that took.
      returned: when that was done
      type: float
      sample: 4.2
    volume:
      description:
        - The volume as it is now, in check mode as it was before. Sizes are bytes, and what there is not is null.
        - Null if there is no such volume.
      type: dict
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
          returned: with O(details=true)
          type: dict
        compat:
          description: The version of the qcow2 format.
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
        extents:
          description: Where a logical volume or partition lies.
          returned: with O(details=true)
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
              description: As O(volumes[].lvm.type), or LVM's type of segment where it is none of these.
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
          description: The volume as C(virsh vol-dumpxml) would show it.
          returned: with O(details=true)
          type: str
  sample:
    - name: web1.qcow2
      changed: true
      volume:
        allocation: 196608
        backing: null
        capacity: 1073741824
        cluster_size: 65536
        compat: "1.1"
        encryption: null
        features: []
        format: qcow2
        key: /srv/images/web1.qcow2
        lvm: null
        name: web1.qcow2
        path: /srv/images/web1.qcow2
        permissions: {group: 0, label: null, mode: "0600", owner: 0}
        physical: 196928
        pool: images
        type: file
msg:
  description: What happened to the host, why, and the way out.
  returned: on failure
  type: str
  sample: >-
    Nothing was changed: volumes[1]: name: 'web1' is in the list twice.
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

from ansible_collections.poolwright.storage.plugins.module_utils._run_volumes import run_volumes


def main() -> None:
    run_volumes()


if __name__ == "__main__":
    main()
