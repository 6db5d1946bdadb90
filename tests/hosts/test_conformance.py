# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What our modules say of a pool and what libvirt says agree, field by field, running and stopped.

``conformance.py`` has what differs on purpose; whatever else differs fails.
"""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import conformance
import pytest
from conftest import SERVE, TARGET, Driven, Hosts, Result, blank, task, thorough

if TYPE_CHECKING:
    from collections.abc import Iterator

Fields = dict[str, Any]
FILES = [
    {"name": "raw one", "capacity": "10M"},
    {"name": "full", "capacity": "4M", "allocation": "4M", "mode": "0640"},
    {"name": "thin.qcow2", "capacity": "1G", "format": "qcow2"},
    {
        "name": "above.qcow2",
        "capacity": "1G",
        "format": "qcow2",
        "backing": {"volume": "thin.qcow2"},
    },
]
GUESTS = [{"name": "web", "capacity": "10M"}, {"name": "db", "capacity": "2500M"}]
POOLS: dict[str, list[Result]] = {
    "local": [
        task("pool_dir", name="images", path="/srv/quiet/images", mode="0751"),
        task("pool_fs", name="attic", device=blank(0), path="/srv/attic", format="ext4"),
        task("pool_logical", name="guests", devices=[blank(1), blank(2)]),
        task("pool_disk", name="parts", device=blank(3), format="gpt"),
    ],
    "served": [
        task("pool_netfs", name="shared", host="127.0.0.1", dir="/exports/nfs", path="/srv/shared"),
        task("pool_iscsi", name="luns", host="127.0.0.1", target=TARGET),
        task("pool_scsi", name="disks", adapter={"name": "host0"}),
        task("pool_mpath", name="maps"),
    ],
}


def fields(element: ET.Element, place: str = "") -> Fields:
    """An element as places and what is there, such as ``target/format@type``: ``raw``.

    What is empty is not there, but for a feature.
    """
    found = {f"{place}@{key}": value for key, value in element.attrib.items() if key != "unit"}
    text, seen = (element.text or "").strip(), dict.fromkeys((e.tag for e in element), 0)
    if text or place.startswith("target/features/"):
        found[place] = text
    for child in element:
        number, tag = seen[child.tag], re.sub("{.*}", "fs:", child.tag)
        seen[child.tag] += 1
        inner = f"{tag}[{number}]" if number else tag
        found |= fields(child, f"{place}/{inner}" if place else inner)
    return found


def parsed(text: str) -> Fields:
    return fields(ET.fromstring(text)) if text else {}


def listed(name: str, rows: list[Fields]) -> Fields:
    found: Fields = {}
    for number, row in enumerate(rows):
        place = f"{name}[{number}]" if number else name
        found |= {f"{place}{key}": value for key, value in row.items()}
    return found


def stated(said: Fields) -> Fields:
    """What is there as libvirt writes it: text."""
    return {key: str(value) for key, value in said.items() if value not in (None, "")}


def permissions(row: Result) -> Fields:
    return {f"target/permissions/{key}": value for key, value in row["permissions"].items()}


def told(row: Result) -> Fields:
    """A pool of a result, each field where libvirt has it."""
    source, adapter, auth = (row["source"], *(row["source"][k] or {} for k in ("adapter", "auth")))
    return stated(
        {
            **{key: row[key] for key in ("name", "uuid", "capacity", "allocation", "available")},
            "@type": row["type"],
            **listed("source/device", [{"@path": path} for path in source["devices"]]),
            **listed(
                "source/host", [{"@name": h["name"], "@port": h["port"]} for h in source["hosts"]]
            ),
            "source/dir@path": source["dir"],
            **{f"source/adapter@{key}": value for key, value in adapter.items()},
            "source/name": source["name"],
            "source/initiator/iqn@name": source["initiator"],
            "source/format@type": source["format"],
            **{f"source/auth@{key}": value for key, value in auth.items()},
            "source/protocol@ver": source["protocol_version"],
            "target/path": row["path"],
            **permissions(row),
            **listed("fs:mount_opts/fs:option", [{"@name": each} for each in row["mount_options"]]),
        }
    )


def free(row: Result) -> Fields:
    spans = [{"@start": each["start"], "@end": each["end"]} for each in row["free_extents"] or []]
    return stated(listed("source/device/freeExtent", spans))


def told_volume(row: Result) -> Fields:
    """A volume of a result, each field where libvirt has it."""
    devices = list(dict.fromkeys(each["device"] for each in row["extents"]))
    backing = row["backing"] or {"path": None, "format": None}
    secret = {
        f"encryption/secret@{k}": v
        for k, v in ((row["encryption"] or {}).get("secret") or {}).items()
    }
    return stated(
        {
            **{key: row[key] for key in ("name", "key", "capacity", "allocation")},
            "physical": row["physical"] or None,  # of a folder there is none
            "@type": row["type"],
            **listed(
                "source/device", [{"@path": device, **spans(row, device)} for device in devices]
            ),
            "target/path": row["path"],
            "target/format@type": row["format"],
            **permissions(row),
            **{f"target/timestamps/{k}": v for k, v in (row["timestamps"] or {}).items()},
            "target/compat": row["compat"],
            "target/clusterSize": row["cluster_size"],
            **secret,
            "backingStore/path": backing["path"],
            "backingStore/format@type": backing["format"],
        }
    ) | {f"target/features/{each}": "" for each in row["features"]}


def spans(row: Result, device: str) -> Fields:
    own = [each for each in row["extents"] if each["device"] == device]
    return listed("/extent", [{"@start": each["start"], "@end": each["end"]} for each in own])


def shown(size: int) -> str:
    """A size as virsh prints it."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024:
        value, units = value / 1024, units[1:]
    return f"{value:.2f} {units[0]}"


def row_of(volume: Result) -> str:
    sizes = [shown(volume[key]) for key in ("capacity", "allocation")]
    return " ".join([volume["name"], volume["path"], volume["type"], *sizes])


def differing(ours: Fields, theirs: Fields) -> dict[str, list[Any]]:
    keys = sorted({*ours, *theirs})
    return {k: [ours.get(k), theirs.get(k)] for k in keys if ours.get(k) != theirs.get(k)}


MARK = "@@@"


def said(host: Driven, words: list[str]) -> list[str]:
    """What virsh says to each of some words, all asked at once."""
    script = f"; echo {MARK}; ".join(words)
    found = host.host.run('LC_ALL=C virsh -q "$(cat)" 2>&1', stdin=script, check=False).stdout
    return [each.strip() for each in str(found).split(MARK)]


def ask(host: Driven, row: Result) -> tuple[dict[str, str], list[str]]:
    """Libvirt's answers on a pool, and on its volumes."""
    name, active = row["name"], row["state"] == "active"
    words = {
        "definition": f"pool-dumpxml --inactive {name}",
        "running": f"pool-dumpxml {name}",
        "figures": f"pool-info --bytes {name}",
        "listing": f"vol-list --details {name}" if active else "echo",
    }
    names = [volume["name"] for volume in row["volumes"] or []] if active else []
    volumes = [f"vol-dumpxml --pool={name} --vol='{volume}'" for volume in names]
    found = said(host, [*words.values(), *volumes])
    return dict(zip(words, found, strict=False)), found[len(words) :]


def figures(row: Result) -> Fields:
    sizes = ("capacity", "allocation", "available") if row["state"] == "active" else ()
    return {
        "Name": row["name"],
        "UUID": row["uuid"],
        "State": "running" if row["state"] == "active" else "inactive",
        "Persistent": "yes",
        "Autostart": "yes" if row["autostart"] else "no",
        **{key.capitalize(): str(row[key]) for key in sizes},
    }


def lines(text: str) -> Fields:
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def compared(host: Driven, row: Result, written: str) -> dict[str, dict[str, list[Any]]]:
    """What differs of a pool and its volumes, by operation."""
    answers, volumes = ask(host, row)
    theirs = parsed(answers["definition"])
    found = {
        "definition": differing(told(row) | free(row), theirs),
        "written": differing(parsed(written), theirs),
        "figures": differing(figures(row), lines(answers["figures"])),
    }
    if row["state"] == "active":
        found["running"] = differing(told(row) | free(row), parsed(answers["running"]))
        ours = {row_of(volume): "" for volume in row["volumes"]}
        lists = {" ".join(line.split()): "" for line in answers["listing"].splitlines()}
        found["listing"] = differing(ours, lists)
        found["volumes"], found["xml"] = {}, {}
        for volume, text in zip(row["volumes"], volumes, strict=True):
            found["volumes"] |= differing(told_volume(volume), parsed(text))
            found["xml"] |= differing(parsed(volume["xml"]), parsed(text))
    return found


class Cell:
    """One kind of daemon on one host: what is asked of us, and then of libvirt."""

    def __init__(self, host: Driven, daemon: str) -> None:
        self.host, self.daemon = host, daemon
        self.found: conformance.Found = {}

    def measure(self, tasks: list[Result]) -> None:
        """Our answers and libvirt's once the tasks are done; without a daemon it comes later."""
        host = self.host
        if self.daemon == "none":
            host.sh(f"systemctl stop {host.sockets} {host.services}; rm -rf /run/libvirt/storage")
        rows = host.tasks(*tasks, task("pool_info", volumes=True))[-1]["pools"]
        if self.daemon == "none":
            host.sh(f"systemctl start {host.sockets}")
        written = host.drive("written", texts=[row["xml"] for row in rows])
        for row, text in zip(rows, written, strict=True):
            assert row["error"] is None, row
            for operation, differs in compared(host, row, text).items():
                self.found.setdefault(row["type"], {}).setdefault(operation, {}).update(differs)


@pytest.fixture
def group_host(hosts: Hosts, request: pytest.FixtureRequest) -> Iterator[Driven]:
    """A new host, which goes with all of its pools; it is the server of those that need one."""
    suite, group, daemon = request.param
    hosts.destroy()
    host = hosts.get(suite, True, split=daemon == "virtstoraged")
    # Where nobody else writes, so that libvirt looks at the same a moment later.
    host.sh("mkdir /srv/quiet && mount -t tmpfs quiet /srv/quiet")
    if group == "served":
        host.sh(SERVE)
        host.sh("systemctl start multipathd; until [ -b /dev/mapper/mpatha ]; do sleep 0.5; done")
    yield host
    hosts.destroy()


def volumes(host: Driven, group: str) -> list[Result]:
    if group == "served":
        return [task("volumes", pool="shared", volumes=FILES)]
    disk = host.sh(f"basename $(readlink -f {blank(3)})").strip()
    kinds = enumerate(("linux", "fat32"), 1)
    parts = [{"name": f"{disk}{n}", "capacity": "100M", "format": kind} for n, kind in kinds]
    return [
        task("volumes", pool="images", volumes=FILES),
        task("volumes", pool="attic", volumes=FILES[:1]),
        task("volumes", pool="guests", volumes=GUESTS),
        task("volumes", pool="parts", volumes=parts),
    ]


CELLS = [
    pytest.param(
        (suite, group, daemon),
        id=f"{suite}-{daemon}-{group}",
        marks=() if (suite, daemon, group) == ("bookworm", "libvirtd", "local") else thorough,
    )
    for suite in conformance.SUITES
    for daemon in conformance.DAEMONS
    for group in POOLS
]


@pytest.mark.parametrize("group_host", CELLS, indirect=True)
def test_agreement(group_host: Driven, request: pytest.FixtureRequest) -> None:
    suite, group, daemon = request.node.callspec.params["group_host"]
    cell = Cell(group_host, daemon)
    cell.measure([*POOLS[group], *volumes(group_host, group)])
    stopped = {"state": "inactive", "autostart": False}
    cell.measure([{**each, "args": {**each["args"], **stopped}} for each in POOLS[group]])
    assert conformance.unexplained(cell.found, daemon) == []
    if os.environ.get("POOLWRIGHT_MEASURE"):
        conformance.keep(suite, group_host.sh("virsh --version").strip(), daemon, cell.found)
