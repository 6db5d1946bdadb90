# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Disk pools and their partitions; what sfdisk and the data say is what must not change."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Driven, Result, blank, on_one_host, task, thorough
from test_states import four, sh, still

DATA = {"name": "data", "device": blank(0)}
NVME = "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_LABNVME0"
GONE = task("pool_disk", name="data", state="deleted", allow=["delete"])
BLANK = sh(
    f"wipefs --no-act {blank(0)}; cmp -n 1048576 {blank(0)} /dev/zero; ls {blank(0)}-* 2>/dev/null"
)
CANARY = "canary of a neighbour"


def volumes(*rows: Result, **options: Any) -> Result:
    return task("volumes", pool="data", volumes=list(rows), **options)


def row(name: str, capacity: str, kind: str | None = None) -> Result:
    return {"name": name, "capacity": capacity, **({"format": kind} if kind else {})}


def gone(*names: str) -> Result:
    rows = [{"name": name, "state": "absent"} for name in names]
    return volumes(*rows, allow=["delete"])


def kernel_name(host: Driven, path: str) -> str:
    return host.sh(f"basename $(readlink -f {path})").strip()


def dump(says: str) -> Result:
    """The table: start, size and type of each partition."""
    script = (
        f"sfdisk --dump {blank(0)} | sed -n 's/.* : start= *//; T; s/ uuid=[^,]*,//; s/ //g; p'"
    )
    return sh(script, says)


def canary(name: str) -> Result:
    return sh(f"printf '{CANARY}' > /dev/{name}; sync")


def kept(name: str) -> Result:
    return sh(f"head -c {len(CANARY)} /dev/{name}", CANARY)


def refused_with(host: Driven, asked: Result, *words: str) -> None:
    """What is asked is refused with these words, foreseen as in earnest, and nothing is touched."""
    found = host.drive("refused", tasks=[asked])
    assert found["touched"] == []
    foreseen, earnest = found["answers"][0]
    assert earnest.get("failed")
    assert foreseen["msg"] == earnest["msg"]
    assert earnest["msg"].startswith("Nothing was changed: ")
    for word in words:
        assert word in earnest["msg"]


GPT_TABLE = (
    '2048,size=204800,type=0FC63DAF-8483-4772-8E79-3D69D8477DE4,name="linux"\n'
    '206848,size=102400,type=E6D6D379-F507-44C2-A23C-238F2A3DF928,name="linux-lvm"\n'
    '309248,size=58594,type=A19D880F-05FC-4D3B-A006-743F0F84911E,name="linux-raid"\n'
    '368640,size=131072,type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F,name="linux-swap"\n'
    '499712,size=81920,type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7,name="fat32"\n'
    '581632,size={last},type=0FC63DAF-8483-4772-8E79-3D69D8477DE4,name="none"'
)


@on_one_host
def test_gpt(each_host: Driven) -> None:
    n = kernel_name(each_host, blank(0))
    rows = [
        row(f"{n}1", "100M", "linux"),
        row(f"{n}2", "50M", "linux-lvm"),
        row(f"{n}3", "30000000", "linux-raid"),
        row(f"{n}4", "64M", "linux-swap"),
        row(f"{n}5", "40M", "fat32"),
        row(f"{n}6", "10M"),
    ]
    nameless = [{key: each[key] for key in each if key != "name"} for each in rows[4:]]
    four(
        each_host,
        task("pool_disk", **DATA),
        volumes(*rows[:4], *nameless),
        dump(GPT_TABLE.format(last=20480)),
        canary(f"{n}1"),
        canary(f"{n}3"),
        gone(f"{n}2"),
        # Exactly the gap that is left: in it, and not behind all others.
        volumes(*rows[:2], row(f"{n}6", "20M")),
        dump(GPT_TABLE.format(last=40960)),
        kept(f"{n}1"),
        kept(f"{n}3"),
        task("pool_disk", name="data", state="absent"),
        task("pool_disk", **DATA, state="present", autostart=False),
        kept(f"{n}1"),
        GONE,
        BLANK,
    )


@thorough
def test_dos(each_host: Driven) -> None:
    n = kernel_name(each_host, blank(0))
    rows = [
        row(f"{n}1", "100M", "linux"),
        row(f"{n}2", "600M", "extended"),
        row(f"{n}5", "50M", "linux-swap"),
        row(f"{n}6", "50M", "linux-lvm"),
        row(f"{n}7", "20M", "fat16"),
        row(f"{n}3", "40M", "fat32"),
        row(f"{n}4", "100%FREE", "linux-raid"),
    ]
    stopped = task("pool_disk", name="data", state="inactive")
    table = (
        "2048,size=204800,type=83\n206848,size=1228800,type=f\n"
        "1435648,size=81920,type=c\n1517568,size=2676736,type=fd\n"
        "208896,size=102400,type=82\n313344,size=102400,type=8e\n417792,size=40960,type=e"
    )
    four(
        each_host,
        task("pool_disk", **DATA, format="dos"),
        volumes(*rows),
        dump(table),
        canary(f"{n}1"),
        canary(f"{n}6"),
        gone(f"{n}7", f"{n}3"),
        kept(f"{n}1"),
        kept(f"{n}6"),
        gone(f"{n}2", f"{n}5", f"{n}6", f"{n}7"),
        kept(f"{n}1"),
        stopped if each_host.libvirt else still(stopped),
        GONE,
        BLANK,
    )


@thorough
@pytest.mark.parametrize("label", ["dvh", "mac", "bsd", "pc98", "sun"])
def test_other_labels(each_host: Driven, label: str) -> None:
    host = each_host
    made = task("pool_disk", **DATA, format=label)
    if label == "mac" and host.libvirt:
        # libvirt wants devices for its partitions, and the lab's kernel has none.
        refused_with(host, made, "libvirt could not start pool data")
        return
    host.tasks(made)
    info = host.tasks(made, task("pool_info", name="data", volumes=True))
    assert not info[0]["changed"], info[0]["plan"]
    there = [volume["name"] for volume in info[1]["pools"][0]["volumes"]]
    refused = host.drive("refused", tasks=[volumes(row(_next(host, there), "100M"))])["answers"][0]
    for answer in refused:
        assert f"because it has a {label} table" in answer["msg"]
    host.tasks(GONE)
    assert host.sh(str(BLANK["shell"]), check=False).strip() == BLANK["says"]


def _next(host: Driven, there: list[str]) -> str:
    """Tables of mac and dvh have partitions of their own."""
    n = kernel_name(host, blank(0))
    return next(f"{n}{k}" for k in range(1, 20) if f"{n}{k}" not in there)


@thorough
def test_nvme(each_host: Driven) -> None:
    """A p stands behind a digit, and the partition that goes is the one that was named."""
    host = each_host
    n = kernel_name(host, NVME) + "p"
    wanted = volumes(*(row(f"{n}{number}", "100M") for number in (1, 2, 3)))
    found = host.tasks(task("pool_disk", name="data", device=NVME), wanted, wanted, gone(f"{n}2"))
    assert [each["changed"] for each in found] == [True, True, False, True]
    assert host.sh(f"ls /dev/{n}*").split() == [f"/dev/{n}1", f"/dev/{n}3"]
    host.tasks(GONE)
    assert host.sh(f"ls /dev/{n}*", check=False) == ""


@thorough
def test_in_use(each_host: Driven) -> None:
    """What is in use stays, and is not in the way of the others."""
    host = each_host
    n = kernel_name(host, blank(0))
    rows = [row(f"{n}{k}", "100M") for k in range(1, 6)]
    host.tasks(task("pool_disk", **DATA), volumes(*rows))
    host.sh(f"""set -e
        mkfs.ext4 -q /dev/{n}1; mkdir -p /mnt/one; mount /dev/{n}1 /mnt/one
        mkswap -q /dev/{n}2; swapon /dev/{n}2
        vgcreate -q busy /dev/{n}3
        echo precious > /mnt/one/file
    """)
    whats = {1: "mounted at /mnt/one", 2: "used as swap", 3: "volume group busy"}
    tasks = [gone(f"{n}{k}") for k in whats]
    tasks.append(task("pool_disk", name="data", state="deleted", allow=["delete", "interrupt"]))
    tasks.append(task("pool_disk", **DATA, format="dos", allow=["overwrite", "interrupt"]))
    tasks.append(volumes(row("wrong", "10M")))
    found = host.drive("refused", tasks=tasks)
    assert found["touched"] == []
    messages = []
    for foreseen, earnest in found["answers"]:
        assert earnest.get("failed")
        assert foreseen["msg"] == earnest["msg"]
        assert earnest["msg"].startswith("Nothing was changed: ")
        messages.append(earnest["msg"])
    for message, what in zip(messages, [*whats.values(), "mounted", "mounted"], strict=False):
        assert what in message
    assert f"can only be {n}6" in messages[-1]
    changed = host.tasks(gone(f"{n}4"), volumes(row(f"{n}4", "80M"), row(f"{n}5", "120M")))
    assert [each["changed"] for each in changed] == [True, True]
    assert host.sh("cat /mnt/one/file").strip() == "precious"
    host.sh(f"umount /mnt/one; swapoff /dev/{n}2; vgremove -q busy; pvremove -q /dev/{n}3")
    host.tasks(GONE)


OLD_GROUP = f"""set -e
    parted -s {blank(0)} mklabel gpt mkpart a 1MiB 101MiB mkpart b 101MiB 105MiB
    udevadm settle; disk=$(readlink -f {blank(0)})
    vgcreate -q old ${{disk}}1; lvcreate -qq -Wn -Zn -n precious -L 20M old
    head -c 4M /dev/urandom > ${{disk}}2
    vgchange -qan old; udevadm settle
    parted -s {blank(0)} rm 1; udevadm settle
"""
NO_GROUP = '  Volume group "old" not found\n  Cannot process volume group old\n'
SUM = f"sha256sum < $(readlink -f {blank(0)})2"
QUIET = "udevadm settle; systemctl list-jobs | grep -q '^No jobs'"


@on_one_host
def test_a_new_partition_is_blank(each_host: Driven) -> None:
    """An old volume group at the place never wakes up, and the neighbour stays as it is."""
    host = each_host
    host.sh(OLD_GROUP)
    host.sh(f"parted -s {blank(0)} mkpart a 1MiB 101MiB")
    host.until(f"{QUIET} && vgs old")  # as it would; whether udev then wakes it up is a race
    host.sh(f"vgchange -qan old && parted -s {blank(0)} rm 1", check=False)
    # What parted does to the disk can wake it up (once more).
    forget = f"vgchange -qan old; partx --delete --nr 1 {blank(0)}; udevadm settle"
    host.until(f"{forget}; ! test -b {blank(0)}-part1")
    before, n = host.sh(SUM), kernel_name(host, blank(0))
    host.tasks(task("pool_disk", **DATA), volumes(row(f"{n}1", "100M")))
    host.until(QUIET)
    assert host.sh("lvs --noheadings old 2>&1; ls /dev/old", check=False) == NO_GROUP
    assert (
        host.sh(f"wipefs --no-act /dev/{n}1; head -c 8M /dev/{n}1 | tr -d '\\0' | wc -c") == "0\n"
    )
    assert host.sh(SUM) == before
    host.tasks(GONE)


@on_one_host
@pytest.mark.parametrize("label", ["dos", pytest.param("gpt", marks=thorough)])
def test_what_a_guest_writes(each_host: Driven, label: str) -> None:
    """A signature in a partition, here of VMFS, never changes what the pool is."""
    host, n = each_host, kernel_name(each_host, blank(0))
    made = task("pool_disk", **DATA, format=label, allow=["overwrite"])
    wanted = volumes(row(f"{n}1", "100M"))
    host.tasks(made, wanted)
    host.sh(f"printf '\\015\\320\\001\\300' > /dev/{n}1; sync")
    assert "VMFS" in host.sh(f"wipefs --no-act {blank(0)}")
    before = host.sh(f"head -c 2M {blank(0)} | sha256sum")
    found = host.tasks(made, wanted)
    assert [each["changed"] for each in found] == [False, False]
    assert host.sh(f"head -c 2M {blank(0)} | sha256sum") == before
    host.tasks(GONE)
    assert host.sh(str(BLANK["shell"]), check=False).strip() == BLANK["says"]


@on_one_host
@pytest.mark.parametrize("sector", [512, pytest.param(4096, marks=thorough)])
def test_a_disk_that_has_grown(each_host: Driven, sector: int) -> None:
    """The table moves its end along, as part of the plan, when a partition needs that."""
    host = each_host
    host.sh("rm -f /root/disk; truncate -s 300M /root/disk")
    loop = host.sh(f"losetup -b {sector} -f --show -P /root/disk").strip()
    n = loop.rpartition("/")[2] + "p"
    made = task("pool_disk", name="data", device=loop)
    host.tasks(made, volumes(row(f"{n}1", "100M")))
    host.sh(f"printf '{CANARY}' > /dev/{n}1; truncate -s 600M /root/disk; losetup -c {loop}")
    wanted = volumes(row(f"{n}2", "400M"), row(f"{n}3", "100%FREE"))
    foreseen = host.drive("twice", tasks=[{**wanted, "check": True}])[0][0]
    found = host.tasks(wanted, wanted, made)
    assert [each["changed"] for each in found] == [True, False, False]
    assert found[0]["plan"] == foreseen["plan"]
    assert "--relocate" in found[0]["plan"][0]["command"]
    assert host.sh(f"head -c {len(CANARY)} /dev/{n}1") == CANARY
    assert host.sh(f"blockdev --getsize64 /dev/{n}2").strip() == str(400 << 20)
    assert "No errors detected" in host.sh(f"sfdisk --verify {loop} 2>&1")
    host.tasks(GONE)
    host.sh(f"losetup -d {loop}; rm /root/disk")
