# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What lies on a device that becomes larger fills it, where asked for, and keeps its data."""

from __future__ import annotations

from conftest import Driven, blank, on_one_host, task
from test_states import four, sh, still

PART = f"{blank(0)}-part1"
MIB = 1 << 20


def size(host: Driven, script: str) -> int:
    return int(host.sh(script)) // MIB


@on_one_host
def test_grow_to_fill(each_host: Driven) -> None:
    host = each_host
    host.sh(f"parted --script {blank(0)} mklabel gpt mkpart one 1MiB 1GiB && udevadm settle")
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
    [*_, xfs] = pools
    volumes = {
        size: task(
            "volumes",
            pool="guests",
            volumes=[{"name": kind, "capacity": f"{size}M"} for kind in ("ext4", "xfs")],
        )
        for size in (400, 800)
    }
    stopped = task("pool_fs", name="ext4", state="inactive", autostart=False)
    four(host, group, volumes[400], *pools, stopped)
    host.sh("head -c 1M /dev/urandom >/srv/xfs/kept && sha256sum /srv/xfs/kept >/run/sums")
    four(
        host,
        still(xfs),
        sh(f"parted --script {blank(0)} resizepart 1 2GiB && udevadm settle"),
        still(task("pool_logical", name="guests")),
        group,
        volumes[800],
        still({**xfs, "args": {**xfs["args"], "grow_to_fill": False}}),
        *pools,  # one is mounted, the other is not
        sh("sha256sum --check --quiet /run/sums"),
    )
    assert 1980 < size(host, "vgs --noheadings --units b --nosuffix -o vg_size guests") < 2048
    for kind in ("ext4", "xfs"):
        assert 700 < size(host, f"df --output=size -B1 /srv/{kind} | tail -n 1") < 800
    going = {"state": "deleted", "allow": ["delete"]}
    host.tasks(
        *(task("pool_fs", name=kind, **going) for kind in ("ext4", "xfs")),
        task("pool_logical", name="guests", **going),
    )
    host.sh(f"wipefs --quiet --all {blank(0)} && partprobe {blank(0)} && udevadm settle")
