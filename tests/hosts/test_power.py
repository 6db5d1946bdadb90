# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What is active comes back after a reboot; what a power cut interrupts goes on."""

from __future__ import annotations

import json

import pytest
from conftest import DRIVE, Driven, Result, blank, task, thorough
from test_listed import scsi_host

NVME = "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_LABNVME0"
POOLS = {
    True: [
        task("pool_dir", name="bootdir", path="/srv/bootdir"),
        task("pool_fs", name="bootfs", path="/srv/bootfs", device=blank(0), format="ext4"),
        task("pool_logical", name="bootvg", devices=[blank(1), blank(2)]),
        task("pool_disk", name="bootdisk", device=NVME),
        task("volume", pool="bootdisk", capacity="8M"),
        task("pool_mpath", name="bootmaps"),
    ],
    False: [
        task("pool_fs", name="latefs", path="/srv/latefs", device=blank(3), format="xfs"),
        task("pool_logical", name="latevg", devices=["/dev/disk/by-id/virtio-LABVIRTIO0"]),
    ],
}
LV = [{"name": "one", "capacity": "8M"}]
VOLUMES = [task("volumes", pool=pool, volumes=LV) for pool in ("bootvg", "latevg")]


def set_up(host: Driven) -> list[Result]:
    number, address = scsi_host(host, blank(0))
    unique_id = int(host.sh(f"cat /sys/class/scsi_host/host{number}/unique_id"))
    stable = {"address": address, "unique_id": unique_id}
    lasting = [*POOLS[True], task("pool_scsi", name="bootscsi", adapter=stable)]
    host.sh("systemctl enable --now multipathd")
    late = [task(each["module"], **each["args"], autostart=False) for each in POOLS[False]]
    host.tasks(*lasting, *late, *VOLUMES)
    return lasting


def assert_back(host: Driven, lasting: list[Result]) -> None:
    mounted = host.sh("cut -d' ' -f5 /proc/self/mountinfo").split()
    assert "/srv/bootfs" in mounted
    assert "/srv/latefs" not in mounted
    active = "lvs --noheadings --separator : -o vg_name,lv_active bootvg latevg"
    assert sorted(host.sh(active).split()) == ["bootvg:active", "latevg:"]
    for found in host.tasks(*lasting):
        assert not found["changed"], found["plan"]
    pools = host.tasks(task("pool_info", volumes=True))[0]["pools"]
    there = {pool["name"]: len(pool["volumes"]) for pool in pools if pool["state"] == "active"}
    assert there["bootdisk"] == 1
    assert there["bootscsi"] >= 10
    assert there["bootmaps"] >= 1


def clean_up(host: Driven, lasting: list[Result]) -> None:
    gone = {"state": "deleted", "allow": ["delete"]}
    every = [*lasting, *POOLS[False]]
    pools = [each for each in every if each["module"].startswith("pool_")]
    # A volume group that is not active may be removed like any other.
    host.tasks(*(task(each["module"], name=each["args"]["name"], **gone) for each in pools))
    host.sh("systemctl disable --now multipathd multipathd.socket; multipath -F", check=False)


@thorough
def test_reboot_with_libvirt(host: Driven) -> None:
    """systemd starts libvirtd when it is first asked, and libvirtd then starts the pools."""
    lasting = set_up(host)
    host.host.reboot(shuffle=True)
    listed = host.sh("virsh pool-list --name").split()
    assert set(listed) >= {"bootdir", "bootfs", "bootvg", "bootdisk", "bootscsi", "bootmaps"}
    assert not {"latefs", "latevg"} & set(listed)
    assert_back(host, lasting)
    clean_up(host, lasting)


@thorough
def test_reboot_without_libvirt(plain_host: Driven) -> None:
    lasting = set_up(plain_host)
    plain_host.host.reboot()
    assert_back(plain_host, lasting)
    plain_host.host.reboot(shuffle=True)
    assert_back(plain_host, lasting)
    clean_up(plain_host, lasting)


FILES = [{"name": f"r{n}", "capacity": "16M"} for n in range(30)]
FILES += [{"name": f"q{n}", "capacity": "16M", "format": "qcow2"} for n in range(10)]
LVS = [{"name": f"v{n}", "capacity": "4M"} for n in range(30)]
WHOLE = """
for file in /etc/libvirt/storage/*.xml; do
  python3 -c 'import sys, lxml.etree; lxml.etree.parse(sys.argv[1])' $file || exit 1
done
"""


MANY_FILES = (task("pool_dir", name="cut", path="/srv/cut"), FILES)
MANY_LVS = (task("pool_logical", name="cut", devices=[blank(1)]), LVS)


@thorough
@pytest.mark.parametrize(
    ("pool", "rows", "libvirt"),
    [
        (*MANY_FILES, "required"),
        (*MANY_FILES, "ignored"),
        (*MANY_LVS, "required"),
        (*MANY_LVS, "ignored"),
    ],
)
def test_power_cut(host: Driven, pool: Result, rows: list[Result], libvirt: str) -> None:
    pool = task(pool["module"], **pool["args"], libvirt=libvirt)
    many = task("volumes", pool="cut", volumes=rows, libvirt=libvirt)
    host.tasks(pool)
    job = json.dumps({"do": "tasks", "tasks": [many]})
    host.host.run("cat >/run/job", stdin=job)
    host.sh(
        f"{DRIVE} </run/job >/run/answer 2>&1 & "
        "until [ $(ls /srv/cut /dev/cut 2>/dev/null | wc -l) -ge 12 ]; do sleep 0.05; done"
    )
    host.host.cut()
    host.host.up()
    host.sh(WHOLE)
    again = host.tasks(pool, many)[1]
    assert again["changed"], "the power was cut too late"
    assert not any(each["changed"] for each in host.tasks(pool, many))
    left = "find /srv /etc/libvirt -name '.poolwright-*' -o -name '*.new'"
    assert not host.sh(left)
    host.tasks(task(pool["module"], name="cut", libvirt=libvirt, state="deleted", allow=["delete"]))
