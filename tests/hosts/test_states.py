# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Every state goes through the four steps; every kind of dirt is refused and stays what it is."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import DISK, Driven, Result, blank, on_one_host, task, thorough

ATTIC = {"name": "attic", "device": blank(0), "path": "/srv/attic"}
GUESTS = {"name": "guests", "devices": [blank(1), blank(2)]}
IMAGES = {"name": "images", "path": "/srv/a/images"}

DIRT = {
    "ext4": f"{DISK}d0000000",
    "LVM2_member": f"{DISK}d0000001",
    "gpt": f"{DISK}d0000002",
    "crypto_LUKS": f"{DISK}d0000003",
    "swap": f"{DISK}d0000004",
    "unknown data": f"{DISK}d0000005",
}
INPUTS = Path(__file__).resolve().parent.parent / "unit" / "inputs.yml"


def four(host: Driven, *steps: Result) -> None:
    """Asserts the four steps of each task.

    ``still`` in one says that nothing is to do, ``told`` that only libvirtd learns something.
    """
    for step, found in zip(steps, host.drive("four", steps=steps), strict=True):
        if "shell" in step:
            assert found["shell"].strip() == step.get("says", ""), step
            continue
        foreseen, done = found["foreseen"], found["done"]
        assert not done.get("failed"), (step, done["msg"])
        assert not foreseen.get("failed"), (step, foreseen["msg"])
        assert done["changed"] == (not step.get("still")), (step, done["plan"])
        assert foreseen["plan"] == done["plan"], step
        assert foreseen["diff"] == done["diff"], step
        assert foreseen["changed"] == done["changed"]
        for later in (found["again"], found["checked"]):
            assert not later.get("failed"), (step, later["msg"])
            assert not later["changed"], (step, later["plan"])
            assert later["plan"] == []
        assert found["touched"] == [], step
        assert found["seen"] == (done["changed"] and not step.get("told")), step


def sh(script: str, says: str = "") -> Result:
    return {"shell": script, "says": says}


def still(step: Result) -> Result:
    return {**step, "still": True}


def test_dir(each_host: Driven) -> None:
    stop = task("pool_dir", name="images", state="inactive")
    four(
        each_host,
        task("pool_dir", **IMAGES, state="present", autostart=False),
        task("pool_dir", **IMAGES, mode="0750", group="adm"),
        sh("stat -c '%a %U %G' /srv/a/images", "750 root adm"),
        stop if each_host.libvirt else still(stop),
        task("pool_dir", name="images", state="inactive", autostart=False),
        task("pool_dir", name="images", state="absent"),
        sh("test -d /srv/a/images && ls /etc/libvirt/storage/*.xml 2>/dev/null"),
        still(task("pool_dir", name="images", state="undefined")),
        task("pool_dir", **IMAGES),
        sh("touch /srv/a/images/precious"),
        task("pool_dir", name="images", state="deleted", allow=["delete"]),
        sh("ls -A /srv/a"),
    )


def test_fs(each_host: Driven) -> None:
    unit = "" if each_host.libvirt else "srv-attic.mount"
    four(
        each_host,
        task("pool_fs", **ATTIC, format="ext4", state="present"),
        task("pool_fs", **ATTIC, format="ext4", mode="0700", mount_options=["noatime"]),
        sh("findmnt -no FSTYPE /srv/attic; stat -c %a /srv/attic", "ext4\n700"),
        task("pool_fs", **ATTIC, mode="0750", mount_options=["ro"]),
        sh(
            "findmnt -no OPTIONS -O ro,noexec /srv/attic | cut -c 1,2; stat -c %a /srv/attic",
            "ro\n750",
        ),
        task("pool_fs", **ATTIC, mount_options=[]),
        sh("touch /srv/attic/written && rm /srv/attic/written"),
        sh("cd /etc/systemd/system/local-fs.target.wants 2>/dev/null && ls srv-*", unit),
        task("pool_fs", name="attic", state="inactive"),
        task("pool_fs", name="attic", state="absent"),
        task("pool_fs", **ATTIC),
        sh("findmnt -no FSTYPE /srv/attic", "ext4"),
        task("pool_fs", name="attic", state="undefined"),
        task("pool_fs", **ATTIC, format="ext4", autostart=False),
        task("pool_fs", name="attic", state="deleted"),
        sh(f"wipefs --no-act {blank(0)}; ls -d /srv/attic /etc/systemd/system/srv-* 2>/dev/null"),
    )


@pytest.mark.parametrize(
    "kind",
    ["xfs", *(pytest.param(kind, marks=thorough) for kind in ("ext2", "ext3", "vfat", "udf"))],
)
def test_fs_formats(host: Driven, kind: str) -> None:
    four(
        host,
        task("pool_fs", **ATTIC, format=kind),
        sh("findmnt -no FSTYPE /srv/attic", kind),
        task("volumes", pool="attic", volumes=[{"name": "one", "capacity": "1M"}]),
        sh("stat -c %s /srv/attic/one", "1048576"),
        task("pool_fs", name="attic", state="deleted", allow=["delete"]),
    )


def test_logical(each_host: Driven) -> None:
    four(
        each_host,
        task("pool_logical", name="guests", devices=[blank(1)], state="present"),
        task("pool_logical", **GUESTS, autostart=False),
        sh("vgs --noheadings -o pv_count,vg_autoactivation guests", "2"),
        task("volumes", pool="guests", volumes=[{"name": "web", "capacity": "20M"}]),
        task("pool_logical", name="guests", state="inactive", autostart=False),
        sh("lvs --noheadings -o lv_active guests"),
        task("pool_logical", name="guests"),
        task("pool_logical", name="guests", state="absent"),
        still(task("pool_logical", name="guests", state="undefined")),
        task("pool_logical", name="other", volume_group="guests"),
        task("pool_logical", name="other", state="deleted", allow=["delete"]),
        sh(f"vgs guests 2>/dev/null; wipefs --no-act {blank(1)} {blank(2)}"),
    )


@on_one_host
def test_volumes(each_host: Driven) -> None:
    rows: list[dict[str, Any]] = [
        {"name": "a raw one", "capacity": "10M"},
        {"name": "full", "capacity": "4M", "allocation": "4M", "mode": "0640", "group": "adm"},
        {"name": "thin,é.qcow2", "capacity": "1000001", "format": "qcow2"},
    ]
    grown = [{**row, "capacity": "20M"} for row in rows]
    four(
        each_host,
        task("pool_dir", **IMAGES),
        task("volumes", pool="images", volumes=rows),
        sh("stat -c '%a %G %s' /srv/a/images/full", "640 adm 4194304"),
        sh(
            "qemu-img info /srv/a/images/thin,* | grep -o '[0-9]* bytes' | head -1", "1000448 bytes"
        ),
        task("volumes", pool="images", volumes=grown),
        task("volume", pool="images", name="full", state="absent", allow=["delete"]),
        task("volumes", pool="images", volumes=rows[:1], purge=True, allow=["delete", "shrink"]),
        sh("ls /srv/a/images", "a raw one"),
        task("pool_dir", name="images", state="deleted", allow=["delete"]),
        task("pool_logical", **GUESTS),
        task(
            "volumes",
            pool="guests",
            volumes=[
                {"name": "web", "capacity": "10M"},
                {"name": "half", "capacity": "50%"},
                {"name": "rest", "capacity": "100%FREE"},
            ],
        ),
        sh("vgs --noheadings -o vg_free_count guests", "0"),
        task("volume", pool="guests", name="half", state="absent", allow=["delete"]),
        task("volume", pool="guests", name="web", capacity="30M"),
        task("volume", pool="guests", name="web", capacity="10M", allow=["shrink"]),
        task("pool_logical", name="guests", state="deleted", allow=["delete"]),
    )


def digest(host: Driven) -> list[str]:
    """Checksums of all of every dirty disk, read from outside."""
    host.sh("sync")
    found = []
    for name in ("ext4", "lvm", "gpt", "luks", "swap", "random"):
        with (host.host.disks / f"{name}.raw").open("rb") as disk:
            found.append(hashlib.file_digest(disk, "sha256").hexdigest())
    return found


@on_one_host
def test_dirt_is_refused(each_host: Driven) -> None:
    tasks = [
        asked
        for device in DIRT.values()
        for asked in (
            task("pool_fs", name="taken", device=device, path="/srv/taken", format="xfs"),
            task("pool_logical", name="taken", devices=[device]),
            task("pool_disk", name="taken", device=device, format="dos"),
        )
    ]
    before = digest(each_host)
    found = each_host.drive("refused", tasks=tasks)
    assert digest(each_host) == before
    assert found["touched"] == []
    whats = [what for what in DIRT for _ in range(3)]
    for what, asked, answers in zip(whats, tasks, found["answers"], strict=True):
        foreseen, earnest = answers
        assert earnest.get("failed"), asked
        assert earnest["msg"] == foreseen["msg"]
        assert earnest["msg"].startswith("Nothing was changed")
        assert not earnest["changed"]
        word = "labother" if what == "LVM2_member" else what
        assert word in earnest["msg"], earnest["msg"]
        assert ("allow: [overwrite]" in earnest["msg"]) == (what != "LVM2_member")


def test_wrong_input_is_refused(host: Driven) -> None:
    cases = yaml.safe_load(INPUTS.read_text(encoding="utf-8"))
    assert len(cases) >= 60
    found = host.drive("refused", tasks=[task(case["module"], **case["args"]) for case in cases])
    assert found["touched"] == []
    for case, answers in zip(cases, found["answers"], strict=True):
        for answer in answers:
            assert answer.get("failed"), case
            assert not answer.get("changed"), case
            assert [fault for fault in case["faults"] if fault not in answer["msg"]] == [], answer
            assert "Traceback" not in str(answer)
