# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to make pools from; the options must be those that the pool modules take."""

from __future__ import annotations

import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.poolwright.storage.plugins.module_utils import _options, _run_info
from ansible_collections.poolwright.storage.plugins.module_utils._pools.all import BACKENDS
from ansible_collections.poolwright.storage.plugins.module_utils._tools import fs
from ansible_collections.poolwright.storage.plugins.module_utils._xml import poolxml
from ansible_collections.poolwright.storage.tests.unit.fake_host import GIB, FakeHost
from ansible_collections.poolwright.storage.tests.unit.test_plans import CASES

OPTIONS = "rw,nosuid,nodev,noexec,soft,vers=4.2,addr=192.0.2.7"
SDA = "/sys/block/sda"
HOST: dict[str, t.Any] = {
    "exports": "/srv/a b   10.0.0.0/8,nfs\n/srv/c *\n",
    "targets": "[fd00::7]:3260,1 iqn.2026-01.org.example:disks\n",
    "disks": {"/dev/sda": {"number": "8:0", "dirt": ["ext4"], "swap": True}},
    "files": {f"{SDA}/size": "4194304", f"{SDA}/dev": "8:0\n"},
    "folders": {"/sys/block": ["loop0", "sda"], "/sys/class/scsi_host": ["host3"]},
    "paths": {
        "/sys/class/scsi_host/host3": {
            "real": "/sys/devices/pci0000:00/0000:00:06.0/virtio3/host3/scsi_host/host3"
        }
    },
    "groups": {"vg": {"devices": ["/dev/sda"], "volumes": {"web": {"size": GIB}}}},
}
OFFERS: dict[str, dict[str, t.Any]] = {
    "netfs": {"name": "a b", "host": "nfs", "dir": "/srv/a b", "format": "nfs"},
    "iscsi": {"name": "disks", "host": "fd00::7", "target": "iqn.2026-01.org.example:disks"},
    "disk": {"name": "sda", "device": "/dev/sda"},
    "fs": {"name": "sda", "device": "/dev/sda", "format": "ext4"},
    "logical": {"name": "vg", "volume_group": "vg", "devices": ["/dev/sda"]},
    "scsi": {"name": "host3", "adapter": {"name": "host3"}},
}


@pytest.mark.parametrize("kind", OFFERS)
def test_offers(kind: str) -> None:
    backend = BACKENDS[kind]
    found = list(backend.offers(FakeHost(HOST), {"host": "nfs", "port": None}))
    assert found[0].options == OFFERS[kind]
    for offer in found:
        task = {"name": "data", "path": "/dev/x", **offer.options}
        task = {key: task[key] for key in task if key in {"name", *backend.options}}
        spec = {**_options.POOL, **backend.options}
        assert not ArgumentSpecValidator(dict(spec)).validate(task).error_messages
        assert not list(backend.faults(task))


ISCSI = "/sys/class/iscsi_session/session4"
BY_HAND: dict[str, tuple[str, dict[str, t.Any], dict[str, t.Any]]] = {
    "a mounted disk": (
        "fs",
        {"mounts": {"/data/images": {"disk": "/dev/sda", "options": "rw,nosuid,nodev,noatime"}}},
        {"name": "images", "path": "/data/images", "mount_options": ["exec", "noatime"]},
    ),
    "a mounted disk with the options of libvirt": (
        "fs",
        {"mounts": {"/data": {"disk": "/dev/sda"}}},
        {"name": "data", "path": "/data"},
    ),
    "the root file system": ("fs", {"mounts": {"/": {"disk": "/dev/sda"}}}, {}),
    "a partition table": (
        "disk",
        {"disks": {"/dev/sda": {"number": "8:0", "dirt": ["dos"]}}},
        {"format": "dos"},
    ),
    "a group that is not activated by itself": (
        "logical",
        {"groups": {"vg": {"devices": ["/dev/sda"], "autoactivation": False}}},
        {"autostart": False},
    ),
    "a mounted export": (
        "netfs",
        {
            "mounts": {
                "/mnt/c": {"source": "nfs:/srv/a\\040b", "format": "nfs4", "options": OPTIONS}
            }
        },
        {"name": "c", "path": "/mnt/c", "mount_options": ["soft"]},
    ),
    "a session": (
        "iscsi",
        {
            "folders": {**HOST["folders"], "/sys/class/iscsi_session": ["session4"]},
            "paths": {f"{ISCSI}/device": {"real": "/sys/devices/platform/host6/session4"}},
            "files": {
                **HOST["files"],
                f"{ISCSI}/targetname": "iqn.2026-01.org.example:disks",
                f"{ISCSI}/tpgt": "1",
                f"{ISCSI}/ifacename": "own",
                f"{ISCSI}/initiatorname": "iqn.2026-01.org.example:me",
                f"{ISCSI}/username": "me",
                f"{ISCSI}/password": "secret",
                f"{ISCSI.replace('session', 'connection')}:0/persistent_address": "fd00::7",
                f"{ISCSI.replace('session', 'connection')}:0/persistent_port": "3260",
            },
        },
        {
            "initiator": "iqn.2026-01.org.example:me",
            "chap": {"username": "me", "password": "{{ pools_disks_chap_password }}"},
        },
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_what_is_there_is_described(name: str) -> None:
    kind, said, more = BY_HAND[name]
    host = FakeHost({**HOST, **said})
    first = next(iter(BACKENDS[kind].offers(host, {"host": "nfs", "port": None})))
    assert first.options == {**OFFERS[kind], **more}
    mount = next(iter(said.get("mounts", ())), "")
    if more and mount:
        found = fs.at(host.mounts(), mount)
        assert found
        assert fs.mounted_with(found, more.get("mount_options", ()))


def test_a_disk_says_what_is_on_it_and_who_uses_it() -> None:
    host = FakeHost(HOST)
    (disk,) = _run_info._used(host, list(BACKENDS["disk"].offers(host, {})))
    users = ("used as swap", "part of volume group vg")
    assert (disk.capacity, disk.content, disk.users) == (2 * GIB, "ext4", users)


def test_info_looks_into_a_directory_of_a_server() -> None:
    case = next(each for each in CASES if each["name"] == "a pool that runs stays as it is")
    host = FakeHost(case["host"])
    pool = poolxml.parse(host.read("/etc/libvirt/storage/data.xml") or "")
    assert _run_info._probe(host, pool)[1].capacity == 10 * GIB
