# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What lies on a device that becomes larger fills it, where asked for, and keeps its data."""

from __future__ import annotations

import pytest
from conftest import Driven, Result, blank, on_one_host, task, thorough
from test_states import four, sh, still

PART = f"{blank(0)}-part1"
MIB = 1 << 20
NEIGHBOUR = "sha256sum {}-part2"
VG_SIZE = "vgs --noheadings --units b --nosuffix -o vg_size guests"


def size(host: Driven, script: str) -> int:
    return int(host.sh(script)) // MIB


DISK = """
truncate -s 600M /var/tmp/grows && losetup --partscan /dev/loop7 /var/tmp/grows
printf 'label: {label}\nsize=100M\nsize=320M\n' | sfdisk --quiet /dev/loop7 && udevadm settle
head -c 100M /dev/urandom >/dev/loop7p1 && sync && sha256sum /dev/loop7p1 >/run/neighbour
"""


def unseen(step: Result) -> Result:
    """A step whose traces are not where the driver looks."""
    return {**step, "told": True}


@thorough
@on_one_host
def test_grow_to_fill(each_host: Driven) -> None:
    host = each_host
    host.sh(
        f"parted --script {blank(0)} mklabel gpt mkpart one 1MiB 500MiB mkpart two 1GiB 1100MiB &&"
        f" udevadm settle; {NEIGHBOUR.format(blank(0))} >/run/neighbour"
    )
    group = task("pool_logical", name="guests", devices=[PART], grow_to_fill=True)
    small = task("pool_logical", name="guests", devices=[PART])
    pools = [
        task(
            "pool_fs",
            name=kind,
            device=f"/dev/guests/{kind}",
            path=f"/srv/{kind}",
            format=kind,
            grow_to_fill=True,
        )
        for kind in ("ext4", "xfs")
    ]
    ext4, xfs = pools
    volumes = {
        more: task(
            "volumes",
            pool="guests",
            volumes=[
                {"name": "ext4", "capacity": f"{100 + more}M"},
                {"name": "xfs", "capacity": f"{320 + more}M"},  # mkfs.xfs takes 300
            ],
        )
        for more in (0, 200)
    }
    stopped = task("pool_fs", name="ext4", state="inactive", autostart=False)
    four(host, small, volumes[0], *pools, stopped)
    host.sh("head -c 1M /dev/urandom >/srv/xfs/kept && sha256sum /srv/xfs/kept >/run/sums")
    host.tasks(xfs)  # libvirt sees the new file
    four(
        host,
        still(xfs),
        sh(f"parted --script {blank(0)} resizepart 1 800MiB && udevadm settle"),  # told to nobody
        still(small),
        group,
        unseen(volumes[200]),
        still({**xfs, "args": {**xfs["args"], "grow_to_fill": False}}),
        ext4,  # which is not mounted
        unseen(xfs),
        sh("sha256sum --check --quiet /run/sums"),
    )
    assert 1010 < size(host, VG_SIZE) < 1023
    assert host.sh(NEIGHBOUR.format(blank(0))) == host.sh("cat /run/neighbour")
    assert 250 < size(host, "df --output=size -B1 /srv/ext4 | tail -n 1") < 300
    assert 420 < size(host, "df --output=size -B1 /srv/xfs | tail -n 1") < 520
    host.sh(f"parted --script {blank(0)} rm 2 && udevadm settle")
    four(host, group)
    assert 2030 < size(host, VG_SIZE) < 2048
    host.sh("sha256sum --check --quiet /run/sums")
    going = {"state": "deleted", "allow": ["delete"]}
    host.tasks(
        *(task("pool_fs", name=kind, **going) for kind in ("ext4", "xfs")),
        task("pool_logical", name="guests", **going),
    )
    host.sh(f"wipefs --quiet --all {blank(0)} && partprobe {blank(0)} && udevadm settle")


@thorough
@on_one_host
@pytest.mark.parametrize(("label", "kind"), [("gpt", "ext4"), ("dos", "xfs")])
def test_a_partition_grows_with_its_disk(each_host: Driven, label: str, kind: str) -> None:
    """Its neighbour and its files stay what they were; what is stopped half-way goes on."""
    host, megabytes = each_host, "df --output=size -B1 /srv/grows | tail -n 1"
    host.sh(DISK.format(label=label))
    pool = {"name": "grows", "device": "/dev/loop7p2", "path": "/srv/grows", "format": kind}
    small, full = task("pool_fs", **pool), task("pool_fs", **pool, grow_to_fill=True)
    four(host, small)
    host.sh("head -c 1M /dev/urandom >/srv/grows/kept && sha256sum /srv/grows/kept >/run/kept")
    host.tasks(small)  # libvirt sees the new file
    four(host, still(small), unseen(full), still(small))
    assert 400 < size(host, megabytes) <= 499
    host.sh("truncate -s 900M /var/tmp/grows && losetup --set-capacity /dev/loop7")
    four(host, unseen(full))
    assert 700 < size(host, megabytes) <= 799
    # The table is told, and nobody else.
    host.sh("truncate -s 1200M /var/tmp/grows && losetup --set-capacity /dev/loop7")
    [[foreseen, _again]] = host.drive("twice", tasks=[{**full, "check": True}])
    steps = [each["command"] for each in foreseen["plan"]]
    assert [step.split()[0] for step in steps[-4:-2]] == ["sfdisk", "partx"], steps
    if label == "gpt":
        host.sh("sfdisk --quiet --relocate gpt-bak-std --no-reread /dev/loop7")
    host.sh("echo ', +' | sfdisk --quiet --no-reread --no-tell-kernel --partno 2 /dev/loop7")
    four(host, unseen(full))
    assert 1000 < size(host, megabytes) <= 1099
    host.sh("sha256sum --check --quiet /run/kept /run/neighbour")
    four(host, task("pool_fs", name="grows", state="deleted", allow=["delete"]))
    host.sh("losetup --detach /dev/loop7; rm /var/tmp/grows")


@thorough
@on_one_host
def test_a_new_group_fills_its_partitions(each_host: Driven) -> None:
    """One that is new, one that joins it, and one that LVM knows as smaller than it is."""
    host = each_host
    for number in range(3):
        host.sh(f"parted --script {blank(number)} mklabel gpt mkpart one 1MiB 300MiB")
    host.sh("udevadm settle")
    one, two, prepared = (f"{blank(number)}-part1" for number in range(3))
    host.sh(f"pvcreate --quiet {prepared}; parted --script {blank(2)} resizepart 1 600MiB")
    host.sh("udevadm settle")
    full = [
        task("pool_logical", name="guests", devices=devices, grow_to_fill=True)
        for devices in ([one], [one, two], [one, two, prepared])
    ]
    four(host, *full)
    assert 6100 < size(host, VG_SIZE) < 6144
    host.tasks(task("pool_logical", name="guests", state="deleted", allow=["delete"]))
    for number in range(3):
        host.sh(f"wipefs --quiet --all {blank(number)} && partprobe {blank(number)}")


@thorough
@on_one_host
def test_what_a_partition_does_not_grow_into(each_host: Driven) -> None:
    """No byte beside the partition changes, and the pool goes on as it is."""
    host = each_host
    host.sh(DISK.format(label="gpt"))
    pool = {"name": "grows", "device": "/dev/loop7p1", "path": "/srv/grows", "format": "ext4"}
    full = task("pool_fs", **pool, grow_to_fill=True)
    host.tasks(task("pool_fs", **pool, allow=["overwrite"]))
    # Somebody has it, and nobody finds it in the table.
    host.sh("sfdisk --no-reread --no-tell-kernel --delete /dev/loop7 2")
    assert grows_not(host, full).get("warnings", []) == []
    host.sh("partx --delete --nr 2 /dev/loop7")
    # One copy of the table is not what it was, and nobody knows which one is right.
    for place in (1, (600 << 11) - 1):
        host.sh(f"dd if=/dev/loop7 of=/run/sector bs=512 skip={place} count=1")
        host.sh(f"printf X | dd of=/dev/loop7 bs=1 seek={place * 512 + 60} conv=notrunc")
        warning = str(grows_not(host, full)["warnings"])
        assert "partition table of /dev/loop7 is damaged" in warning
        host.sh(f"dd if=/run/sector of=/dev/loop7 bs=512 seek={place} count=1 conv=notrunc")
    # It is a volume, whose size is another task's.
    host.tasks(task("pool_disk", name="parts", device="/dev/loop7"))
    assert grows_not(host, full).get("warnings", []) == []
    host.tasks(task("pool_disk", name="parts", state="absent"))
    four(host, full)
    assert 500 < size(host, "df --output=size -B1 /srv/grows | tail -n 1") < 600
    host.tasks(task("pool_fs", name="grows", state="deleted", allow=["delete"]))
    host.sh("losetup --detach /dev/loop7; rm /var/tmp/grows")


def grows_not(host: Driven, full: Result) -> Result:
    """What a task says that leaves every byte beside the partition as it is."""
    beside = "{ head -c 1M; tail -c 499M; } </dev/loop7 | sha256sum"
    before = host.sh(beside)
    four(host, still(full))
    assert host.sh(beside) == before
    return host.tasks(full)[0]
