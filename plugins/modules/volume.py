#!/usr/bin/python
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume
version_added: 1.0.0
short_description: Manage a volume of a storage pool
description:
  - Makes, grows and removes one volume of a pool of any type that has volumes to make.
  - In pools of M(poolwright.storage.pool_dir) and M(poolwright.storage.pool_fs) a volume is a file, in those of
    M(poolwright.storage.pool_logical) a logical volume, in those of M(poolwright.storage.pool_disk) a partition.
  - For more than one volume use M(poolwright.storage.volumes), which looks at the pool once.
extends_documentation_fragment:
  - poolwright.storage._allow
  - poolwright.storage._attributes
  - poolwright.storage._attributes.changes
  - poolwright.storage._libvirt
  - poolwright.storage._permissions
options:
  pool:
    description: The name of the pool.
    type: str
    required: true
  name:
    description:
      - The name of the volume, which for a file is the file's name.
      - It has no slash, no control character and at most 255 bytes, and does not begin or end with a blank. The name of a logical
        volume has letters, digits and C(+ _ . -), with the name of its group up to 124 of them, and is none that LVM keeps for
        itself, such as V(snapshot1) or V(a_rimage). A partition has the name that the kernel gives it, such as V(sdb1).
      - Only for a partition it can be left out. It then is one of exactly that O(capacity) and O(format) which is there, and where
        there is none, a new one that gets the next free name. RV(volume.name) tells it. Give the name where it matters which of
        several partitions of one size it is.
    type: str
    aliases:
      - volume
  state:
    description:
      - V(present) is there, as the other options say.
      - V(absent) is not there. If it has data, this needs O(allow=delete). No other option but O(wipe) and O(allow) goes with it.
    type: str
    choices:
      - present
      - absent
    default: present
  capacity:
    description:
      - The size that a guest sees. Required for a volume that is not there yet, but where O(clone_from) or O(source) tells it.
      - A number with a unit as libvirt reads it. V(K) and V(KiB) are 1024 bytes, V(KB) is 1000, and so on to V(E), in upper or
        lower case, with or without a blank. A number without a unit is bytes. Decimals are fine if the result is a whole number of
        bytes.
      - V(50%) is a share of the whole pool. V(100%FREE) is a share of what is free, for logical volumes and partitions only; what the
        volume has already counts as free. For a new partition it is a share of the largest gap.
      - A larger size grows the volume. A smaller one is refused without O(allow=shrink).
      - What is in the volume is not resized with it. Make a file system smaller before its volume. With O(allow=shrink) no
        lvreduce looks for one; newer ones are told so with C(--fs ignore).
    type: str
  allocation:
    description:
      - How many bytes of a raw file are reserved at once, written as O(capacity). If it is not given, a new file is sparse.
      - More than a file has reserves more. Less than it has changes nothing.
      - A qcow2 image takes its space as it fills, and a logical volume or partition all at once.
      - Of a snapshot that is not in a thin pool it is the space for what changes, see O(lvm.type).
    type: str
  format:
    description:
      - For a file that is made V(raw), V(qcow2), V(qcow), V(qed), V(vmdk), V(vpc) or V(vdi), V(iso) for a raw file that libvirt is to
        call so, or V(dir) for a directory. If it is not given, it is V(raw), or what O(clone_from) or O(source) is. Files of the
        formats V(bochs), V(cloop), V(cow), V(dmg) and V(ploop) are only kept.
      - The format of a volume never changes. Another one than it has is an error.
      - A file does not tell whether it is an image, or a raw disk into which a guest wrote the header of one. V(raw) says that
        it is a raw disk, whatever its content. An image is resized only if its format is given. C(qemu-img) grows V(qcow2) and
        V(qed) images and shrinks V(qcow2) ones, and no others. So V(qcow), V(vmdk), V(vpc) and V(vdi) images are copied into larger
        ones, which takes as much space as they have once more meanwhile.
      - A directory has no size. It goes if it is empty, and with O(allow=delete) with all that is in it.
      - A logical volume has no format. That of a partition is its type, one of V(none), V(linux), V(fat16), V(fat32), V(linux-swap),
        V(linux-lvm), V(linux-raid) and, with a dos table, V(extended).
    type: str
  compat:
    description:
      - The version of a V(qcow2) image, as text in quotes. V(0.10) is for QEMU before 1.1. If it is not given, it is V(1.1).
      - That of an image is never changed. Another one than it has is an error. So it is with O(cluster_size) and O(features).
    type: str
    choices:
      - '0.10'
      - '1.1'
  cluster_size:
    description:
      - In what pieces an image takes space, written as O(capacity). A power of two, for V(qcow2) from V(512) bytes to V(2 MiB), for
        V(qed) from V(4 KiB) to V(64 MiB). If it is not given, it is V(64 KiB).
      - Small clusters bound the size of an image. With V(512) bytes it is at most 128 GiB.
    type: str
  features:
    description:
      - The features of a V(qcow2) image, all of them. V(lazy_refcounts) saves writes, and takes a repair after a crash.
        V(extended_l2) divides clusters into 32 parts, and needs a O(cluster_size) of V(16 KiB) or more. Both need O(compat=1.1).
    type: list
    elements: str
    choices:
      - lazy_refcounts
      - extended_l2
  nocow:
    description:
      - Whether btrfs overwrites in place what is in a new file, which then has no checksums. On other file systems it is an error.
      - It is used only when the file is made.
    type: bool
  preallocation:
    description:
      - What of a new V(raw) or V(qcow2) file is made at once. V(off) is nothing, V(metadata) the tables of a V(qcow2) image, V(falloc)
        reserves all of its space, and V(full) writes zeros to all of it. If it is not given, it is V(off).
      - It is used only when the file is made, and not together with O(backing), nor for a V(raw) file with O(clone_from) or
        O(source).
    type: str
    choices:
      - 'off'
      - metadata
      - falloc
      - full
  backing:
    description:
      - What a V(qcow2) image is based on, either O(backing.volume) or O(backing.path). The image only keeps what differs from that.
        It needs O(format=qcow2), because other images do not tell the format of what they are based on.
      - If O(capacity) is not given, a new image is as large as that.
      - What others are based on is not removed and not shrunk, nor may it be written to, or they are spoilt.
      - All that it is based on itself has to be there. What an image is based on is never changed. Another one than is wanted is an
        error.
      - With O(clone_from) or O(source) a new image is a copy of one that is based on this already, as it is, and only a larger
        O(capacity) is applied. Of a volume it has to be the very same file. What the image of a O(source) calls it is not looked at,
        so that it can be another path on this host.
    type: dict
    suboptions:
      volume:
        description:
          - The name of a volume, which is there, or made in the same list of M(poolwright.storage.volumes), in any order.
        type: str
      pool:
        description: Its pool, if that is another one than O(pool).
        type: str
      path:
        description: An absolute path of a file or a block device.
        type: str
      format:
        description:
          - The format that it is read as, and that is written into the image. One of V(raw), V(iso), V(qcow2), V(qcow), V(qed), V(vmdk),
            V(vpc), V(vdi), V(bochs), V(cloop) and V(dmg).
          - If it is not given, it is that of the volume in the same list, or what the first bytes tell. They do not tell whether a
            volume is an image, or a raw disk in which a guest wrote the header of one. So for a volume that looks like an image the
            format has to be said, as for a file at O(backing.path) that looks like one that needs other files.
        type: str
  clone_from:
    description:
      - The volume that this one gets its content from when it is made. If the volume is there already, nothing is copied.
      - The two can be of any types and formats that are made, and the content is converted. What is sparse stays sparse.
      - If O(format) is not given, an image has the format of the other one. If O(capacity) is not given, it has its capacity, and a
        larger one is really applied.
      - The other volume is there, or made in the same list of M(poolwright.storage.volumes), in any order. Its pool is active, and
        nobody can write to it, so a guest that has it open is stopped before. Who only reads it is not in the way.
      - An image that names other files is refused, because it could make the host read what is not the guest's. One that is based on
        another is copied where O(backing) says on which.
    type: dict
    suboptions:
      volume:
        description: The name of the other volume.
        type: str
        required: true
      pool:
        description: Its pool, if that is another one than O(pool).
        type: str
      reflink:
        description:
          - Whether the two share the blocks that they have in common, which file systems such as xfs and btrfs can do for two files
            of one format. Copying then takes no time and no space.
          - V(auto) does where it can, V(always) is an error where it cannot, V(never) copies.
        type: str
        choices:
          - auto
          - always
          - never
        default: auto
  source:
    description:
      - Where the volume gets its content from when it is made, one of O(source.path), O(source.url) and O(source.upload). If the
        volume is there already, nothing is fetched, sent or copied.
      - Format, capacity and what is refused are as with O(clone_from).
      - A logical volume or partition is made before its content is fetched, sent or unpacked, so it then needs O(capacity). What has to
        be converted meanwhile is kept beside the volume, or in C(/var/tmp), in a file without a name.
    type: dict
    suboptions:
      path:
        description: A file or a block device on the managed host.
        type: str
      url:
        description:
          - What the managed host fetches, with C(https), C(http) or C(file). Proxies and certificates are those of
            M(ansible.builtin.get_url).
          - If the server breaks off, it goes on from there, or begins again if the server cannot do that.
          - What it is turns out only when it is fetched, so that check mode foresees neither a wrong O(source.checksum) nor an image
            that is refused. Then nothing is left of it.
        type: str
      upload:
        description:
          - A file on the controller, found as M(ansible.builtin.copy) finds its O(ansible.builtin.copy#module:src). What is encrypted with
            Ansible Vault is decrypted.
          - It is sent only if the volume is to be made, to a temporary directory of the task on the managed host. That needs the room,
            and is where the option C(remote_tmp) of the shell plugin says. Its checksum is compared when it is read there.
          - As with O(source.url), check mode does not look into it.
          - It cannot be used in a task with C(async).
        type: str
      checksum:
        description:
          - The checksum of the file as it is, before it is unpacked, as V(sha256:) and its hexadecimal digits. Also V(md5), V(sha1),
            V(sha224), V(sha384) and V(sha512).
          - Required with a O(source.url) of C(http).
        type: str
      format:
        description:
          - The format of the content. If it is not given, its first bytes tell.
          - V(raw) says that it is a raw disk even if it begins like an image, and may name other files.
        type: str
        choices: [raw, iso, qcow2, qcow, qed, vmdk, vpc, vdi]
      decompress:
        description:
          - With V(auto), what its first bytes tell to be compressed with gzip, xz, zstd or bzip2 is unpacked while it is written.
          - With V(never), it is used as it is.
        type: str
        choices:
          - auto
          - never
        default: auto
      sync:
        description:
          - With V(false), the content is only used when the volume is made, so that what a guest writes stays.
          - With V(true), the content is kept equal to that of O(source.path). Other content is refused without O(allow=overwrite).
            Raw content is compared byte for byte, else what a guest sees is, as C(qemu-img compare) does. Both are read by every
            task, in check mode as well. What a larger volume has behind is not compared.
          - Not with what is compressed or encrypted.
        type: bool
        default: false
  cloud_init:
    description:
      - Makes a seed for cloud-init, a small CD with the label C(cidata), as its data source NoCloud finds it. The O(format) is V(iso).
      - It has a size of its own, so that neither O(capacity) nor what else describes content is given.
      - Equal content is no change, whatever tool made the seed. Other content replaces it. The new seed is made aside and takes the
        name, the owner and the mode of the old one, all at once.
      - A seed that a guest has open is not replaced, and a file that is no seed is never.
      - What is in it is in no plan, result or log of the managed host. Where it holds secrets, C(no_log) keeps it from what the
        controller shows of the task itself.
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
    description:
      - Makes a volume that is encrypted with LUKS, a V(raw) or V(qcow2) file, a logical volume or a partition.
      - What is there is never encrypted in place. A volume that is there without it, or with another cipher than is given, is an error.
        One that is there is not opened to try the passphrase, which would take seconds each time; only where libvirt is to get another
        passphrase than it has, that is tried first.
      - A raw file is O(capacity) and its header, and encrypted only to a task that says so, because a guest can encrypt its disk by
        itself. Without O(encryption) it is a raw disk, of the size of the file.
      - To a logical volume or partition 2 MiB are added for the header, and RV(volume.capacity) is its size with that, as libvirt has
        it.
      - With O(clone_from) or O(source) the volume is encrypted and filled at once. What it is filled with is encrypted as it is, and not
        decrypted before.
      - Where libvirtd runs, a passphrase that is given becomes a libvirt secret, whose usage is the path of the volume in the pool's
        directory, so that guests need not name it. It is kept up to date, and removed with the volume.
      - The passphrase never is on a command line, in the environment or in a file on a disk but that of libvirt's secrets.
    type: dict
    suboptions:
      passphrase:
        description: What opens the volume. Exactly one of this and O(encryption.secret) is required.
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
        description: How the vector of each sector is made. It belongs to O(encryption.cipher).
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
    description:
      - How what a volume holds is made unreadable before it goes with O(state=absent). If it is not given, its place is only given up.
      - V(zero) writes zeros over what is there, in place. What is zero already is not written, so that holes of a sparse file stay
        holes, and a thin volume takes no more of its pool.
      - V(trim) discards it, so that the file system or the device may forget it. Nothing is overwritten, and a device need not do it.
      - The others are patterns of C(scrub), which writes to every byte one to 35 times. A sparse file takes all its size then, and is
        refused where the pool has not so much free; a thin volume is always.
      - It is done under the volume's own name. What is interrupted still has that name, so that the same task begins again, and then
        removes it. Of an image its header goes first, so that it is a raw file then.
      - Old copies are out of its reach, such as those in snapshots, on storage that writes elsewhere than it reads, or what a
        file had before it was moved.
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
  progress:
    description:
      - Whether a task that copies, wipes, fetches or fills shows how far it is. That is a line for each volume, with percent and
        speed, every few seconds. Nothing is shown of what takes less than about five seconds.
    type: bool
    default: true
  lvm:
    description:
      - The kind of a logical volume, in LVM's words. If it is not given, a new volume is V(linear), and one that is there stays what it
        is. Another kind than a volume has is an error that shows both.
      - In one list of M(poolwright.storage.volumes) it does not matter in which order a thin pool, its volumes and their snapshots are.
    type: dict
    suboptions:
      type:
        description:
          - V(linear) lies on any devices, V(striped) on several in turns, V(raid1) on several at once. LVM goes on copying a new
            mirror while it can be used already, and no task waits for that.
          - V(thin-pool) has a device of its own for nobody. Its O(capacity) is what all its volumes share; it also takes
            O(lvm.metadata_size), and once per group the same again, from which LVM repairs them. It grows and never shrinks.
            libvirt lists neither thin pools nor their volumes.
          - V(thin) takes space of O(lvm.thin_pool) as it fills. O(capacity) is what a guest sees.
          - V(snapshot) shows O(lvm.origin) as it is now. Of a thin volume it is another one of the same pool, and may grow later. Of any
            other volume it has the origin's size, so O(capacity) is left out, and O(allocation) is required, which is the space for
            what changes and can grow. When that is full, LVM gives the snapshot up.
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
        description: The name of the thin pool that a V(thin) volume is in.
        type: str
      origin:
        description: The name of the volume that a V(snapshot) is of.
        type: str
      stripes:
        description: On how many devices a V(striped) volume lies, V(2) to V(128). Without it a new one has two.
        type: int
      stripe_size:
        description: How much of a V(striped) volume lies on a device in one piece, a power of two of at least 4 KiB. LVM takes 64 KiB.
        type: str
      mirrors:
        description: How many copies a V(raid1) volume has besides the first, V(1) to V(9). Without it a new one has one.
        type: int
      chunk_size:
        description:
          - In what pieces a V(thin-pool) gives space away, a multiple of 64 KiB up to 1 GiB.
          - Without it, it is 64 KiB, doubled until the metadata need no more than 128 MiB, as LVM does it.
        type: str
      metadata_size:
        description:
          - The space for the metadata of a V(thin-pool), 2 MiB to 16192 MiB. More than it has makes it grow, less changes nothing.
          - Without it, a new one has 64 bytes for each chunk, and at least 2 MiB, rounded up to whole extents.
        type: str
      overcommit:
        description:
          - Whether a V(thin) volume or a V(snapshot) of one may be made, or grow, though the volumes of its pool are larger together
            than the pool. All of them fail when the pool is full.
          - A pool whose data or metadata are 80 % full is warned of. One that is full, or needs a check, gets no more volumes
            and none of its volumes grows, unless the pool grows in the same task.
        type: bool
        default: false
requirements:
  - qemu-img (Debian C(qemu-utils)) to make images
  - xorriso, genisoimage or mkisofs for O(cloud_init)
  - scrub for those patterns of O(wipe) that are its own
  - zstd to unpack what is compressed with it
  - lvm2 for the volumes of M(poolwright.storage.pool_logical), and for thin ones thin_check (Debian C(thin-provisioning-tools))
  - parted and sfdisk (Debian C(fdisk)) for those of M(poolwright.storage.pool_disk)
notes:
  - The pool is defined and active, or the task is refused.
  - A volume in use is not removed and not shrunk. The message names the process that has it open.
  - A size that the pool rounds up, to a whole extent or sector, is equal to what it was rounded to.
  - O(owner), O(group) and O(mode) of a logical volume or partition are those of its device node, which udev makes anew at every
    boot.
  - A new file has the mode V('0600') if O(mode) is not given.
  - Work that takes long goes on in a process of its own on the host, which ends within half a minute when the controller is gone or
    the task is cancelled. No process and no half volume is left then.
seealso:
  - module: poolwright.storage.volumes
  - module: poolwright.storage.volume_info
  - ref: ansible_collections.poolwright.storage.docsite.guide_safety
    description: What is refused, and what each word of O(allow) means.
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

- name: A guest has a disk image that takes its space as it fills
  poolwright.storage.volume:
    pool: images
    name: web1.qcow2
    format: qcow2
    capacity: 1 GiB

- name: The image grows
  poolwright.storage.volume:
    pool: images
    name: web1.qcow2
    capacity: 2 GiB

- name: A raw image has all its space reserved, and belongs to a group
  poolwright.storage.volume:
    pool: images
    name: db1.img
    capacity: 64M
    allocation: 64M
    group: adm
    mode: '0660'

- name: The raw image shrinks, and what is at its end is given up
  poolwright.storage.volume:
    pool: images
    name: db1.img
    capacity: 32M
    allow: [shrink]

- name: A disk is encrypted, and opened by a passphrase from the vault
  poolwright.storage.volume:
    pool: images
    name: ledger.qcow2
    format: qcow2
    capacity: 1 GiB
    encryption:
      passphrase: "{{ vault_password }}"

- name: A guest is told who it is when it boots for the first time
  poolwright.storage.volume:
    pool: images
    name: web1-seed.iso
    cloud_init:
      user_data:
        hostname: web1
        ssh_authorized_keys:
          - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9EcZuQ0aKk1mVJd0CqSjN1oX3mI0cF2tXb5H8rT9w admin@example.com
      network_config:
        version: 2
        ethernets:
          enp1s0:
            dhcp4: true

- name: The image goes, and what is in it is overwritten before
  poolwright.storage.volume:
    pool: images
    name: web1.qcow2
    state: absent
    wipe: zero
    allow: [delete]

- name: A template has a copy
  poolwright.storage.volume:
    pool: images
    name: db2.qcow2
    format: qcow2
    capacity: 64M
    clone_from:
      volume: db1.img

- name: A volume is filled from a file
  poolwright.storage.volume:
    pool: images
    name: db3.img
    source:
      path: /srv/images/db1.img
      format: raw

- name: There is a template for the disks of guests
  poolwright.storage.volume:
    pool: images
    name: template.img
    capacity: 1 GiB

- name: A guest's disk keeps only what differs from the template
  poolwright.storage.volume:
    pool: images
    name: web2.qcow2
    format: qcow2
    backing:
      volume: template.img
      format: raw

- name: The pool goes, with the volumes that are left
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
    - text: make qcow2 volume web1.qcow2 of 1 GiB
      command: qemu-img create -q -f qcow2 -o compat=1.1 /srv/images/.poolwright-4a1e0e4ba8a5c3c5 1048576K
      risk: ""
    - text: give volume web1.qcow2 its name
      command: mv --no-clobber /srv/images/.poolwright-4a1e0e4ba8a5c3c5 /srv/images/web1.qcow2
      risk: ""
volume:
  description:
    - The volume as it is now, in check mode as it was before. Sizes are bytes, and what there is not is null.
    - Null if there is no such volume.
  returned: success
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
          description: As O(lvm.type), or LVM's type of segment where it is none of these.
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
      type: str
  sample:
    allocation: 196608
    backing: null
    capacity: 1073741824
    cluster_size: 65536
    compat: "1.1"
    encryption: null
    extents: []
    features: []
    format: qcow2
    key: /srv/images/web1.qcow2
    lvm: null
    name: web1.qcow2
    path: /srv/images/web1.qcow2
    permissions: {group: 0, label: null, mode: "0600", owner: 0}
    physical: 196928
    pool: images
    timestamps: {atime: "1763848800.000000000", btime: "0", ctime: "1763848800.000000000", mtime: "1763848800.000000000"}
    type: file
    xml: "<volume type='file'>...</volume>"
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
msg:
  description: What happened to the host, why, and the way out.
  returned: on failure
  type: str
  sample: >-
    Nothing was changed: volume web1.qcow2 has 2 GiB, and 1 GiB is less. Write capacity: 2 GiB to keep it, or consent with
    allow: [shrink] to cut off its end.
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

from ansible_collections.poolwright.storage.plugins.module_utils._run_volumes import run_volume


def main() -> None:
    run_volume()


if __name__ == "__main__":
    main()
