# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Pools whose volumes are only listed: multipath maps, and the LUNs of a SCSI host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Driven, Result, blank, on_one_host, task, thorough
from test_states import four, sh

MAPS = task("pool_mpath", name="maps")
MAP = "/dev/mapper/mpatha"
INFO = task("pool_info", name="maps", volumes=True)


def paths(host: Driven) -> list[str]:
    """The kernel names of the disk that is there twice."""
    return host.sh(f"ls /sys/block/$(basename $(readlink -f {MAP}))/slaves").split()


@pytest.fixture
def mpath_host(each_host: Driven) -> Iterator[Driven]:
    """A host whose multipathd has made a map, and makes none any more in the end."""
    host = each_host
    first = host.tasks(MAPS)[0]
    assert "multipathd is not running" in str(first["warnings"]), first["warnings"]
    assert host.tasks(INFO)[0]["pools"][0]["volumes"] == []
    host.sh("systemctl start multipathd.service")
    host.until(f"test -b {MAP}")
    yield host
    host.drive("tasks", tasks=[task("pool_mpath", name="maps", state="absent")])
    host.sh("systemctl stop multipathd.socket multipathd.service; multipath -F", check=False)


def named(info: Result) -> list[tuple[Any, ...]]:
    rows = info["pools"][0]["volumes"]
    return [(row["name"], row["path"], row["capacity"], row["type"]) for row in rows]


@thorough
def test_mpath(mpath_host: Driven) -> None:
    host = mpath_host
    four(host, {**MAPS, "told" if host.libvirt else "still": True})
    info = host.tasks(INFO)[0]
    kernel = host.sh(f"basename $(readlink -f {MAP})").strip()
    assert named(info) == [(kernel, MAP, 1 << 30, "block")]
    assert info["pools"][0]["warnings"] == []
    if host.libvirt:
        assert host.sh("virsh -q vol-list maps").split() == [kernel, MAP]
    check_paths_are_refused(host)
    check_a_failed_path(host)
    four(host, task("pool_mpath", name="maps", state="deleted"), sh(f"test -b {MAP}"))


def check_paths_are_refused(host: Driven) -> None:
    """Whatever is allowed; the map is named."""
    allow = ["overwrite", "delete", "interrupt"]
    path = f"/dev/{paths(host)[0]}"
    asked = [
        task("pool_fs", name="p", device=path, path="/srv/p", format="ext4", allow=allow),
        task("pool_logical", name="p", devices=[path], allow=allow),
        task("pool_disk", name="p", device=path, allow=allow),
    ]
    found = host.drive("refused", tasks=asked)
    assert found["touched"] == []
    for foreseen, earnest in found["answers"]:
        assert earnest.get("failed")
        assert foreseen["msg"] == earnest["msg"]
        assert MAP in earnest["msg"]


def check_a_failed_path(host: Driven) -> None:
    """It is told of, and no more when it is back."""
    failed = paths(host)[1]
    host.sh(f"echo offline > /sys/block/{failed}/device/state")
    host.sh(f"multipathd fail path {failed}")
    host.until(f"dmsetup status {MAP} | grep -q ' F '")
    told = host.tasks(MAPS)[0]
    assert f"1 of 2 paths failed ({failed})" in str(told["warnings"])
    assert not told["changed"]
    host.sh(f"echo running > /sys/block/{failed}/device/state")
    host.sh(f"multipathd reinstate path {failed}")
    host.until(f"! dmsetup status {MAP} | grep -q ' F '")
    assert not host.tasks(MAPS)[0].get("warnings")


@thorough
def test_disk_on_a_map(mpath_host: Driven) -> None:
    """Partitions of a map are device mapper devices of their own."""
    host = mpath_host
    if host.libvirt:
        pytest.skip("not tried with a daemon")
    rows = [{"name": f"mpatha{n}", "capacity": "100M"} for n in (1, 2)]
    less: Result = {"name": "mpatha1", "state": "absent"}
    four(
        host,
        task("pool_disk", name="data", device=MAP),
        task("volumes", pool="data", volumes=rows),
        sh(f"sfdisk --dump {MAP} | grep -c start=", "2"),
        task("volumes", pool="data", volumes=[less], allow=["delete"]),
        sh(f"sfdisk --dump {MAP} | grep -c start=", "1"),
        task("pool_disk", name="data", state="deleted", allow=["delete"]),
        sh(f"ls {MAP}?* 2>/dev/null; wipefs --no-act {MAP}"),
    )


def scsi_host(host: Driven, device: str) -> tuple[int, str]:
    """The number of a disk's SCSI host, and its PCI address."""
    where = host.sh(f"readlink -f /sys/block/$(basename $(readlink -f {device}))/device").strip()
    parts = where.split("/")
    number = next(part for part in parts if part.startswith("host"))
    address = [part for part in parts if part.count(":") == 2 and "." in part][-1]
    return int(number[4:]), address


@on_one_host
def test_scsi(each_host: Driven) -> None:
    host = each_host
    number, address = scsi_host(host, blank(3))
    unique_id = int(host.sh(f"cat /sys/class/scsi_host/host{number}/unique_id"))
    by_name = task("pool_scsi", name="luns", adapter={"name": f"host{number}"})
    stable = {"address": address, "unique_id": unique_id}
    by_address = task("pool_scsi", name="luns", adapter=stable)
    lun = host.sh(f"lsblk -dno HCTL {blank(3)}").strip().partition(":")[2]
    rows = host.sh(f"ls -d /sys/bus/scsi/devices/{number}:*/block | wc -l")
    four(host, by_name)
    info = task("pool_info", name="luns", volumes=True)
    found = host.tasks(info)[0]["pools"][0]["volumes"]
    assert len(found) == int(rows)
    ours = next(row for row in found if row["name"] == f"unit:{lun}")
    assert ours["path"].startswith("/dev/disk/by-path/")
    assert ours["capacity"] == 2 << 30
    if host.libvirt:
        theirs = [line.split() for line in host.sh("virsh -q vol-list luns").splitlines()]
        assert sorted(theirs) == sorted([row["name"], row["path"]] for row in found)
    other = host.drive(
        "refused", tasks=[{**by_address, "args": {**by_address["args"], "name": "x"}}]
    )
    assert f"SCSI host host{number}, on which pool luns lives" in other["answers"][0][1]["msg"]
    host.sh(f"echo 1 > /sys/block/$(basename $(readlink -f {blank(3)}))/device/delete")
    check, done, again = host.tasks(info, by_name, by_name)
    assert f"unit:{lun}" not in [row["name"] for row in check["pools"][0]["volumes"]]
    assert done["changed"]
    rescan = f"echo '- - -' > /sys/class/scsi_host/host{number}/scan"
    assert rescan in [step["command"] for step in done["plan"]]
    assert not again["changed"]
    assert f"unit:{lun}" in [row["name"] for row in host.tasks(info)[0]["pools"][0]["volumes"]]
    host.sh(f"test -b {blank(3)}")
    four(
        host,
        task("pool_scsi", name="luns", state="absent"),
        by_address,
        task("pool_scsi", name="luns", state="deleted"),
        sh(f"test -b {blank(3)}"),
    )
