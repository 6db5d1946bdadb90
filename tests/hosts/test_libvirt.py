# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""A real libvirtd agrees with what the info modules say, and what it made is adopted."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest
from conftest import SERVE, TARGET, Driven, Result, blank, task, thorough

if TYPE_CHECKING:
    from collections.abc import Iterator

POOLS = [
    task("pool_dir", name="images", path="/srv/images", mode="0751"),
    task("pool_fs", name="attic", device=blank(0), path="/srv/attic", format="ext4"),
    task("pool_logical", name="guests", devices=[blank(1), blank(2)]),
]
FILES = [
    {"name": "raw one", "capacity": "10M"},
    {"name": "full", "capacity": "4M", "allocation": "4M", "mode": "0640"},
    {"name": "thin.qcow2", "capacity": "1G", "format": "qcow2"},
]
GUESTS = [{"name": "web", "capacity": "10M"}, {"name": "db", "capacity": "2500M"}]
VOLUMES = [
    task("volumes", pool="images", volumes=FILES),
    task("volumes", pool="attic", volumes=FILES),
    task("volumes", pool="guests", volumes=GUESTS),
]
GONE = [
    task(f"pool_{kind}", name=name, state="deleted", allow=["delete"])
    for kind, name in (("dir", "images"), ("fs", "attic"), ("logical", "guests"))
]


def xml(host: Driven, *words: str) -> ET.Element:
    return ET.fromstring(host.sh(f"virsh {' '.join(words)}"))


def permissions(element: ET.Element) -> dict[str, str | int | None]:
    found = {key: element.findtext(f"target/permissions/{key}") for key in ("owner", "group")}
    numbers = {key: None if value is None else int(value) for key, value in found.items()}
    return {**numbers, "mode": element.findtext("target/permissions/mode")}


def agree(host: Driven, row: Result) -> None:
    theirs = xml(host, "pool-dumpxml", row["name"])
    facts = host.sh(f"LC_ALL=C virsh pool-info {row['name']}")
    assert "State:          running" in facts
    assert ("Autostart:      yes" in facts) == row["autostart"]
    assert row["state"] == "active"
    for key in ("uuid", "name"):
        assert theirs.findtext(key) == row[key]
    assert theirs.findtext("target/path") == row["path"]
    assert int(theirs.findtext("capacity") or 0) == row["capacity"]
    names = sorted(v["name"] for v in row["volumes"])
    listed = host.sh(f"virsh -q vol-list {row['name']}").splitlines()
    assert len(listed) == len(names)
    for volume in row["volumes"]:
        agree_on_volume(host, row["name"], volume)


def agree_on_volume(host: Driven, pool: str, ours: Result) -> None:
    theirs = xml(host, "vol-dumpxml", f"--pool={pool}", f"'--vol={ours['name']}'")
    assert theirs.get("type") == ours["type"]
    for key in ("name", "key"):
        assert theirs.findtext(key) == ours[key]
    for key in ("capacity", "allocation", "physical"):
        assert int(theirs.findtext(key) or 0) == ours[key], (ours["name"], key)
    assert theirs.findtext("target/path") == ours["path"]
    form = theirs.find("target/format")
    assert (None if form is None else form.get("type")) == ours["format"]
    if ours["type"] != "dir":
        wanted = {key: ours["permissions"][key] for key in ("mode", "owner", "group")}
        assert permissions(theirs) == wanted
    extents = [
        {"device": device.get("path"), **{k: int(e.get(k, "0")) for k in ("start", "end")}}
        for device in theirs.findall("source/device")
        for e in device.findall("extent")
    ]
    assert extents == ours["extents"]


@thorough
def test_libvirt_agrees(libvirt_host: Driven) -> None:
    host = libvirt_host
    host.tasks(*POOLS, *VOLUMES)
    info = host.tasks(task("pool_info", volumes=True))[0]
    assert len(info["pools"]) == len(POOLS)
    for row in info["pools"]:
        assert row["error"] is None
        agree(host, row)
    host.tasks(*GONE)


@thorough
@pytest.mark.parametrize("label", ["gpt", "dos"])
def test_libvirt_agrees_on_partitions(libvirt_host: Driven, label: str) -> None:
    host = libvirt_host
    host.tasks(task("pool_disk", name="data", device=blank(3), format=label))
    disk = host.sh(f"basename $(readlink -f {blank(3)})").strip()
    kinds = {1: "linux", 2: "extended", 5: "linux"} if label == "dos" else {1: "linux", 2: "fat32"}
    rows = [{"name": f"{disk}{n}", "capacity": "100M", "format": k} for n, k in kinds.items()]
    if label == "dos":
        rows[2]["capacity"] = "50M"
    host.tasks(task("volumes", pool="data", volumes=rows))
    row = host.tasks(task("pool_info", name="data", volumes=True))[0]["pools"][0]
    # A partition's type is what libvirt does not tell.
    assert [volume.pop("format") for volume in row["volumes"]] == list(kinds.values())
    row["volumes"] = [{**volume, "format": "none"} for volume in row["volumes"]]
    if label == "dos":
        # Of a dos table libvirt leaves out the last sectors; on this disk they are 64.
        row["capacity"] = int(xml(host, "pool-dumpxml data").findtext("capacity") or 0)
    else:
        free = xml(host, "pool-dumpxml data").findall("source/device/freeExtent")
        theirs = [{key: int(each.get(key, "0")) for key in ("start", "end")} for each in free]
        assert theirs == [{k: each[k] for k in ("start", "end")} for each in row["free_extents"]]
    agree(host, row)
    host.tasks(task("pool_disk", name="data", state="deleted", allow=["delete"]))


@thorough
def test_what_libvirt_made_is_adopted(libvirt_host: Driven) -> None:
    host = libvirt_host
    host.sh(f"""set -e
        virsh pool-define-as images dir --target /srv/images
        virsh pool-define-as attic fs --source-dev {blank(0)} --source-format ext4 \\
            --target /srv/attic
        a=$(readlink -f {blank(1)}) b=$(readlink -f {blank(2)})
        echo "<pool type='logical'><name>guests</name><source><device path='$a'/>
            <device path='$b'/></source></pool>" > /tmp/guests.xml
        virsh pool-define /tmp/guests.xml
        virsh pool-build images; virsh pool-build attic --no-overwrite; virsh pool-build guests
        for pool in images attic guests; do virsh pool-start $pool; virsh pool-autostart $pool; done
        virsh vol-create-as guests web 10M
        virsh vol-create-as attic thin.qcow2 1G --format qcow2
    """)
    web = {"name": "web", "capacity": "10M"}
    thin = {"name": "thin.qcow2", "capacity": "1G", "format": "qcow2"}
    adopted = host.tasks(
        task("pool_dir", name="images", path="/srv/images"),
        *POOLS[1:],
        task("volumes", pool="guests", volumes=[web]),
        task("volumes", pool="attic", volumes=[thin]),
    )
    assert [found["plan"] for found in adopted] == [[] for _ in adopted]
    host.tasks(*GONE)


@pytest.fixture
def served(libvirt_host: Driven) -> Iterator[Driven]:
    """A host that is a server as well, and has a multipath map."""
    host = libvirt_host
    host.sh(f"test -e /exports/lun || {{ {SERVE} }}")
    host.sh("systemctl start multipathd; until [ -b /dev/mapper/mpatha ]; do sleep 0.5; done")
    yield host
    host.drive("tasks", tasks=[{**each, "args": {**GONE_ARGS, **named(each)}} for each in OTHERS])
    host.sh("systemctl stop multipathd.socket multipathd; multipath -F", check=False)


GONE_ARGS = {"state": "deleted", "allow": ["delete"]}
ADAPTER = {"name": "host0"}
OTHERS = [
    task("pool_netfs", name="shared", host="127.0.0.1", dir="/exports/nfs", path="/srv/shared"),
    task("pool_iscsi", name="luns", host="127.0.0.1", target=TARGET),
    task("pool_scsi", name="disks", adapter=ADAPTER),
    task("pool_mpath", name="maps"),
    task("pool_disk", name="parts", device=blank(3), format="gpt"),
]


def named(asked: Result) -> Result:
    return {"name": asked["args"]["name"]}


@thorough
def test_libvirt_agrees_on_the_other_types(served: Driven) -> None:
    served.tasks(*OTHERS, task("volumes", pool="shared", volumes=FILES))
    info = served.tasks(task("pool_info", volumes=True))[0]
    assert len(info["pools"]) == len(OTHERS)
    for row in info["pools"]:
        assert row["error"] is None
        assert row["volumes"] or row["type"] == "disk"
        agree(served, row)


@thorough
def test_what_libvirt_made_of_the_other_types_is_adopted(served: Driven) -> None:
    served.sh(f"""set -e
        virsh pool-define-as shared netfs --source-host 127.0.0.1 --source-path /exports/nfs \\
            --target /srv/shared
        virsh pool-define-as luns iscsi --source-host 127.0.0.1 --source-dev {TARGET} \\
            --target /dev/disk/by-path
        virsh pool-define-as disks scsi --adapter-name {ADAPTER["name"]} --target /dev/disk/by-path
        virsh pool-define-as maps mpath --target /dev/mapper
        virsh pool-define-as parts disk --source-dev $(readlink -f {blank(3)}) \\
            --source-format gpt --target /dev
        virsh pool-build shared; virsh pool-build parts
        for p in shared luns disks maps parts; do virsh pool-start $p; virsh pool-autostart $p; done
        virsh vol-create-as parts $(basename $(readlink -f {blank(3)}))1 100M
    """)
    plans = [[step["text"] for step in found["plan"]] for found in served.tasks(*OTHERS)]
    # A disk is named by what lasts.
    assert plans == [[], [], [], [], ["define pool parts"]]
    assert not any(found["changed"] for found in served.tasks(*OTHERS))


def test_what_was_made_by_hand_is_adopted(libvirt_host: Driven) -> None:
    """Only registered, never rebuilt."""
    host = libvirt_host
    host.sh(f"""set -e
        mkdir -p /srv/images /srv/attic
        mkfs.ext4 -q {blank(0)} && mount {blank(0)} /srv/attic && echo precious > /srv/attic/kept
        vgcreate -q guests {blank(1)} {blank(2)} && lvcreate -q -n web -L 12M guests
    """)
    found = host.tasks(task("pool_dir", name="images", path="/srv/images"), *POOLS[1:])
    for each in found:
        assert all(step["command"].startswith("virsh ") for step in each["plan"]), each["plan"]
    assert host.sh("cat /srv/attic/kept; lvs --noheadings -o lv_name guests").split() == [
        "precious",
        "web",
    ]
    host.tasks(*GONE)


ODD = r"""set -e
    mkdir /srv/odd; cd /srv/odd
    python3 -c '
for name in (b"caf\351.img", b"a\nb", b"a\tb", b"a  b", b"\\x41", "\u00e9\u200b".encode()):
    open(name, "w").truncate(1 << 20)'
"""


def test_names_of_any_bytes(libvirt_host: Driven) -> None:
    host = libvirt_host
    host.sh(ODD)
    pool = task("pool_dir", name="odd", path="/srv/odd")
    volume = task("volume", pool="odd", name="caf\udce9.img", capacity="2M")
    first, again, grown, info = host.tasks(pool, pool, volume, task("pool_info", volumes=True))
    assert (first["changed"], again["plan"]) == (True, [])
    assert [step["text"] for step in grown["plan"]][-1].startswith("let libvirt look")
    found = {each["name"]: each for each in info["pools"][0]["volumes"]}
    assert set(found) == {"caf\udce9.img", "a\nb", "a\tb", "a  b", "\\x41", "\u00e9\u200b"}
    assert found["caf\udce9.img"]["capacity"] == 2 << 20
    assert "caf\ufffd.img" in found["caf\udce9.img"]["xml"]
    host.tasks(task("pool_dir", name="odd", state="deleted", allow=["delete"]))


def test_what_others_changed_is_seen(libvirt_host: Driven) -> None:
    """Libvirt looks at a logical volume once, and would go on with its old size, owner or UUID."""
    host = libvirt_host
    pool = task("pool_logical", name="guests")
    host.sh(f"vgcreate -q guests {blank(1)} && lvcreate -qy -n web -L 8M guests")
    host.tasks(pool)
    for script in (
        "lvextend -q -L 12M guests/web; chgrp 107 /dev/guests/web; chmod 600 /dev/guests/web",
        "lvremove -qy guests/web && lvcreate -qy -n web -L 12M guests",
    ):
        host.sh(f"{script}; udevadm settle")
        seen, again = host.tasks(pool, pool)
        assert [step["text"] for step in seen["plan"]] == [
            "let libvirt look at the volumes of pool guests again"
        ], script
        assert again["plan"] == [], script
        assert len(again["commands"]) <= 8
    host.tasks(task("pool_logical", name="guests", state="absent"))
    host.sh(f"vgremove -qy guests && blkdiscard --force {blank(1)}")
