# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Logical volumes of every type, many at once, and what an interruption leaves of them."""

from __future__ import annotations

from typing import Any

from conftest import Driven, Result, blank, on_one_host, task, thorough
from test_states import four, sh, still

POOL = task("pool_logical", name="kinds", devices=[blank(1), blank(2)])
GONE = task("pool_logical", name="kinds", state="deleted", allow=["delete"])
DD = "conv=fsync status=none"
MARK = """cd /root/poolwright && python3 -c '
from ansible_collections.poolwright.storage.plugins.module_utils import _host, _tools
from ansible_collections.poolwright.storage.plugins.module_utils._tools import lvm
print(lvm.mark(_host.Reader(None)))'"""


def volumes(*rows: Result, **args: Any) -> Result:
    return task("volumes", pool="kinds", volumes=list(rows), **args)


def row(name: str, capacity: str = "", allocation: str = "", **lvm: Any) -> Result:
    """A volume of a type."""
    sizes = {"capacity": capacity, "allocation": allocation}
    given = {key: value for key, value in sizes.items() if value}
    return {"name": name, **given, **({"lvm": lvm} if lvm else {})}


def lvs(fields: str, *lines: str) -> Result:
    """What LVM tells of all volumes, a line each."""
    command = f"lvs --noheadings --units m --nosuffix --separator ' ' -o {fields} kinds"
    return sh(f"{command} | sed 's/  */ /g; s/^ //; s/ $//'", "\n".join(lines))


def gone(*names: str) -> Result:
    return volumes(*({"name": name, "state": "absent"} for name in names), allow=["delete"])


@on_one_host
def test_every_type(each_host: Driven) -> None:
    names = ("base", "copy", "later", "safe", "thin", "thins", "wide")
    four(
        each_host,
        POOL,
        volumes(row("base", "64M"), row("wide", "64M", type="striped", stripe_size="128K")),
        volumes(row("thins", "128M", type="thin-pool", chunk_size="128K")),
        volumes(
            row("safe", "32M", type="raid1"), row("thin", "64M", type="thin", thin_pool="thins")
        ),
        sh(f"for lv in base thin; do echo before | dd of=/dev/kinds/$lv {DD}; done"),
        volumes(
            row("copy", allocation="32M", type="snapshot", origin="base"),
            row("later", type="snapshot", origin="thin"),
        ),
        sh(f"for lv in base thin; do echo behind | dd of=/dev/kinds/$lv {DD}; done"),
        sh("head -qc 7 /dev/kinds/copy /dev/kinds/later", "before\nbefore"),
        lvs(
            "name,segtype,size,stripes,stripesize,origin,pool_lv",
            "base linear 64.00 1 0",
            "copy linear 32.00 1 0 base",
            "later thin 64.00 0 0 thin thins",
            "safe raid1 32.00 2 0",
            "thin thin 64.00 0 0 thins",
            "thins thin-pool 128.00 1 0",
            "wide striped 64.00 2 0.12",
        ),
        volumes(
            row("copy", allocation="40M", type="snapshot", origin="base"),
            row("later", "96M", type="snapshot", origin="thin"),
            row("thins", "160M", type="thin-pool", metadata_size="8M"),
            row("safe", "64M"),
            row("wide", "100M"),
            {"name": "base", "mode": "0600", "owner": "nobody"},
        ),
        lvs(
            "name,size,lv_metadata_size,tags",
            *("base 64.00", "copy 40.00", "later 96.00", "safe 64.00", "thin 64.00"),
            *("thins 160.00 8.00", "wide 104.00"),
        ),
        sh("stat -Lc '%a %U' /dev/kinds/base; head -qc 7 /dev/kinds/later", "600 nobody\nbefore"),
        still(volumes(*(row(name) for name in names))),
        gone("thin"),
        gone(*(name for name in names if name != "thin")),
        sh("lvs --noheadings -a kinds"),
        GONE,
    )


@thorough
@on_one_host
def test_all_that_is_free(each_host: Driven) -> None:
    """Foreseen to the last extent, with metadata and what LVM keeps for their repair."""
    all_of_it = "100%FREE"
    free = sh("vgs --noheadings --units m -o vg_free kinds | tr -d ' '", "0m")
    four(
        each_host,
        POOL,
        volumes(row("a", "100M"), row("b", all_of_it, type="raid1")),
        sh("vgs --noheadings --nosuffix --units m -o vg_free kinds | tr -d ' '", "100.00"),
        volumes(
            {"name": "a", "state": "absent"}, {"name": "b", "state": "absent"}, allow=["delete"]
        ),
        volumes(row("a", "25%"), row("b", all_of_it, type="thin-pool")),
        free,
        gone("a", "b"),
        volumes(row("a", "50%", type="striped"), row("b", all_of_it, type="striped")),
        free,
        GONE,
    )


@thorough
@on_one_host
def test_a_full_thin_pool(each_host: Driven) -> None:
    host = each_host
    thin = row("thin", "24M", type="thin", thin_pool="thins", overcommit=True)
    host.tasks(POOL, volumes(row("thins", "16M", type="thin-pool"), thin))
    host.sh(f"head -c 14M /dev/urandom | dd of=/dev/kinds/thin bs=1M iflag=fullblock {DD}")
    [found, told] = host.tasks(volumes(row("thins")), task("pool_info", name="kinds"))
    warned = "thin pool kinds/thins is nearly full: data 87.50 %, metadata "
    assert warned in str(found["warnings"])
    assert told["pools"][0]["warnings"][0].startswith(warned)
    host.sh(f"head -c 2M /dev/urandom | dd of=/dev/kinds/thin bs=1M seek=14 iflag=fullblock {DD}")
    more = row("more", "4M", type="thin", thin_pool="thins", overcommit=True)
    for asked in (volumes(more), volumes(row("thin", "28M", type="thin", thin_pool="thins"))):
        [failed] = host.drive("tasks", tasks=[asked])
        assert failed["msg"].startswith("Nothing was changed: "), failed["msg"]
    [refused] = host.drive("tasks", tasks=[volumes(more)])
    assert "because it is full (data 100.00 %" in refused["msg"]
    four(host, volumes(row("thins", "64M"), more), gone("more", "thin", "thins"), GONE)


@on_one_host
def test_what_fails_of_many_is_told(each_host: Driven) -> None:
    host = each_host
    host.tasks(POOL)
    many = volumes(*(row(name, "4M") for name in ("a", "b", "c", "d")))
    host.sh("dmsetup create kinds-b --table '0 8 zero'")
    [failed] = host.drive("tasks", tasks=[many])
    host.sh("dmsetup remove kinds-b")
    assert failed["msg"].startswith("3 of 4 steps were done, and this one may be partly done: cre")
    assert [each["text"][-1] for each in failed["done"]] == ["a", "c", "d"]
    assert [each["text"][-1] for each in failed["left"]] == ["b"]
    [again, gone_all] = host.tasks(many, gone("a", "b", "c", "d"))
    assert [each["text"][-1] for each in again["plan"]] == ["b"]
    assert [row["changed"] for row in again["volumes"]] == [False, True, False, False]
    assert sum(argv[0] == "lvremove" for argv in gone_all["commands"]) == 1
    host.tasks(GONE)


@thorough
@on_one_host
def test_what_was_not_finished(each_host: Driven) -> None:
    """A table at the end, which lvcreate passes over, does not come back."""
    host = each_host
    mark = host.sh(MARK).strip()
    host.tasks(POOL)
    begun = f"lvcreate -qy -Wn -Zn --addtag {mark} -L 16M"
    host.sh("lvcreate -qy -Wn -Zn -L 16M -n old kinds")
    host.sh("echo ',,' | sfdisk -q --label gpt /dev/kinds/old")
    host.sh("dd if=/dev/zero of=/dev/kinds/old bs=1M count=1 conv=notrunc status=none")
    host.sh(f"lvremove -qy kinds/old; {begun} -n web kinds; {begun} -n {mark}-0 kinds")
    assert "gpt" in host.sh("wipefs --no-act /dev/kinds/web")
    four(
        host,
        volumes(row("web", "16M")),
        sh("wipefs --no-act /dev/kinds/web"),
        lvs("name,tags", "web"),
    )
    host.sh(f"{begun} -n used kinds; mkfs.ext4 -q /dev/kinds/used")
    asked = volumes(row("web", "16M"))
    [refused] = host.drive("tasks", tasks=[asked])
    assert "remove logical volume kinds/used, which an interrupted run left" in refused["msg"]
    assert "consent with allow: [delete]" in refused["msg"]
    host.tasks({**asked, "args": {**asked["args"], "allow": ["delete"]}}, GONE)
