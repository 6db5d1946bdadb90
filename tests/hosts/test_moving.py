# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""The guides to moving here: what others have made stays as it is, and belongs to us then.

What is under *Before* in the guide is made with the tools that those others call, and what is under
*Now* is run.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import yaml
from conftest import SERVE, TARGET, Driven, Result, on_one_host, task, thorough
from test_export import clear, tasks
from test_states import four, still

GUIDE = Path(__file__).resolve().parents[2] / "docs/docsite/rst/moving.rst"
DISK = "/dev/disk/by-id/scsi-35000c500a000000"
DISKS = f"wipefs --quiet --all {DISK}0 {DISK}1 {DISK}2"
STORAGE = f"""
    cat /etc/fstab
    findmnt -no SOURCE,OPTIONS /srv/attic
    findmnt -no SOURCE,OPTIONS /srv/templates
    vgs --noheadings -o vg_name,vg_uuid; lvs --noheadings -o lv_name,lv_uuid,lv_size
    sfdisk --dump {DISK}2
    iscsiadm -m session
    find /srv -type f | sort | xargs --no-run-if-empty sha256sum
"""


def shown(title: str, caption: str) -> Any:
    """A block of the guide, read as YAML."""
    section = GUIDE.read_text(encoding="utf-8").partition(f"{title}\n---")[2]
    block = re.search(rf" +:caption: {caption}\n\n((?:   .*\n|\n)+)", section)
    assert block
    return yaml.safe_load(textwrap.dedent(block[1]))


def now(title: str) -> list[Result]:
    """The tasks of a guide, those of the role ``pools`` as it makes them of its list."""
    block = shown(title, "Now")
    if isinstance(block, dict):
        return tasks(block["pools_list"])
    ours = "poolwright.storage."
    return [
        task(key[len(ours) :], **row[key]) for row in block for key in row if key.startswith(ours)
    ]


def adopted(host: Driven, steps: list[Result]) -> None:
    """Asserts that nothing is done but what makes pools of what is there, and only once."""
    before = host.sh(STORAGE, check=False)
    done = host.tasks(*steps)
    texts = [action["text"] for each in done for action in each["plan"]]
    assert [text for text in texts if not re.match("(define|mark|start) pool|wait for", text)] == []
    assert len(texts) == len(set(texts)), texts
    assert host.sh(STORAGE, check=False) == before
    four(host, *map(still, steps))


def test_from_community_libvirt(libvirt_host: Driven) -> None:
    title = "From community.libvirt"
    xml = {
        key.rpartition(".")[2]: row[key]["xml"]
        for row in shown(title, "Before")
        for key in row
        if key != "name" and "xml" in row[key]
    }
    libvirt_host.sh(f"""
        set -e
        echo {shlex.quote(xml["virt_pool"])} >/run/pool.xml
        echo {shlex.quote(xml["virt_volume"])} >/run/volume.xml
        virsh -q pool-define /run/pool.xml
        virsh -q pool-build images
        virsh -q pool-start images
        virsh -q pool-autostart images
        virsh -q vol-create images /run/volume.xml
    """)
    before = libvirt_host.sh("virsh pool-dumpxml images; virsh vol-dumpxml web1.qcow2 images")
    four(libvirt_host, *map(still, now(title)))
    after = libvirt_host.sh("virsh pool-dumpxml images; virsh vol-dumpxml web1.qcow2 images")
    assert after == before
    clear(libvirt_host)


@thorough
def test_from_terraform(libvirt_host: Driven) -> None:
    libvirt_host.sh("""
        set -e
        virsh -q pool-define-as images dir --target /srv/images
        virsh -q pool-build images
        virsh -q pool-start images
        virsh -q pool-autostart images
        virsh -q vol-create-as images base.qcow2 64M --format qcow2
        virsh -q vol-create-as images web1.qcow2 20G --format qcow2 \
            --backing-vol /srv/images/base.qcow2 --backing-vol-format qcow2
    """)
    before = libvirt_host.sh("cd /srv/images && ls -l --full-time; sha256sum *")
    four(libvirt_host, *map(still, now("From Terraform's libvirt provider")))
    assert libvirt_host.sh("cd /srv/images && ls -l --full-time; sha256sum *") == before
    clear(libvirt_host)


@thorough
@on_one_host
def test_from_single_tools(each_host: Driven) -> None:
    each_host.sh(SERVE)
    each_host.sh(f"""
        set -e
        {DISKS}
        grep -q nfs.example.com /etc/hosts || echo '127.0.0.1 nfs.example.com' >>/etc/hosts
        vgcreate --yes --quiet guests {DISK}0
        lvcreate --yes --quiet --size 512m --name web1 guests
        mkfs.ext4 -q {DISK}1
        mkdir -p /srv/attic /srv/templates
        echo '{DISK}1 /srv/attic ext4 nodev,nosuid,noexec,noatime 0 0' >>/etc/fstab
        echo 'nfs.example.com:/exports/nfs /srv/templates nfs nodev,nosuid,noexec 0 0' >>/etc/fstab
        systemctl daemon-reload
        mount /srv/attic
        mount /srv/templates
        echo precious >/srv/attic/kept
        parted --script {DISK}2 mklabel gpt mkpart primary 1MiB 513MiB
        iscsiadm -m discovery -t sendtargets -p 127.0.0.1
        iscsiadm -m node -T {TARGET} -p 127.0.0.1 --login
        iscsiadm -m node -T {TARGET} -p 127.0.0.1 --op update -n node.startup -v automatic
        udevadm settle
    """)
    adopted(each_host, now("From modules for single tools"))
    each_host.sh(r"sed -i '\,/srv/,d' /etc/fstab; systemctl daemon-reload")
    clear(each_host)


@thorough
@on_one_host
def test_from_linux_system_roles(each_host: Driven) -> None:
    each_host.sh(f"""
        set -e
        {DISKS}
        vgcreate --yes --quiet guests {DISK}0
        lvcreate --yes --quiet --size 512m --name web1 guests
        lvcreate --yes --quiet --size 1g --name attic guests
        mkfs.ext4 -q /dev/guests/attic
        mkdir -p /srv/attic
        echo "UUID=$(blkid -o value -s UUID /dev/guests/attic) /srv/attic ext4 defaults 0 0" \
            >>/etc/fstab
        systemctl daemon-reload
        mount /srv/attic
        echo precious >/srv/attic/kept
    """)
    adopted(each_host, now("From linux-system-roles.storage"))
    each_host.sh(r"sed -i '\,/srv/,d' /etc/fstab; systemctl daemon-reload")
    clear(each_host)
