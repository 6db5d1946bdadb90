# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What lies on a device that becomes larger fills it, where asked for, and keeps its data."""

from __future__ import annotations

import pytest
from conftest import Driven, Result, blank, on_one_host, task, thorough
from test_states import four, sh, still

PART = f"{blank(0)}-part1"
MIB = 1 << 20
FILLS = {"ext4": "resize2fs", "xfs": "xfs_growfs"}


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
    host.sh(f"parted --script {blank(0)} mklabel gpt mkpart one 1MiB 500MiB && udevadm settle")
    group = task("pool_logical", name="guests", devices=[PART], grow_to_fill=True)
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
    four(host, group, volumes[0], *pools, stopped)
    host.sh("head -c 1M /dev/urandom >/srv/xfs/kept && sha256sum /srv/xfs/kept >/run/sums")
    four(
        host,
        still(xfs),
        sh(f"parted --script {blank(0)} resizepart 1 1000MiB && udevadm settle"),
        still(task("pool_logical", name="guests")),
        unseen(group),
        unseen(volumes[200]),
        still({**xfs, "args": {**xfs["args"], "grow_to_fill": False}}),
        ext4,  # which is not mounted
        unseen(xfs),
        sh("sha256sum --check --quiet /run/sums"),
    )
    assert 980 < size(host, "vgs --noheadings --units b --nosuffix -o vg_size guests") < 1000
    assert 250 < size(host, "df --output=size -B1 /srv/ext4 | tail -n 1") < 300
    assert 420 < size(host, "df --output=size -B1 /srv/xfs | tail -n 1") < 520
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
    assert [step.split()[0] for step in steps[-3:]] == ["sfdisk", "partx", FILLS[kind]], steps
    if label == "gpt":
        host.sh("sfdisk --quiet --relocate gpt-bak-std --no-reread /dev/loop7")
    host.sh("echo ', +' | sfdisk --quiet --no-reread --no-tell-kernel --partno 2 /dev/loop7")
    four(host, unseen(full))
    assert 1000 < size(host, megabytes) <= 1099
    host.sh("sha256sum --check --quiet /run/kept /run/neighbour")
    four(host, task("pool_fs", name="grows", state="deleted", allow=["delete"]))
    host.sh("losetup --detach /dev/loop7; rm /var/tmp/grows")
