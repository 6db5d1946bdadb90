# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet would have told of its pools: always the same, with names nobody would choose."""

from __future__ import annotations

import random
from typing import Any

Row = dict[str, Any]

GIB = 1 << 30
SOURCE: Row = {
    **dict.fromkeys(("name", "dir", "format", "initiator", "protocol_version", "adapter", "auth")),
    "devices": [],
    "hosts": [],
}
SAN = [{"name": "san.example.com", "port": None}]
KINDS: list[tuple[str, str, Row]] = [
    ("images", "dir", {}),
    ("iso", "dir", {}),
    ("archive", "fs", {"devices": ["/dev/disk/by-id/wwn-0x5000c500a0000003"]}),
    ("guests", "logical", {"name": "guests", "devices": ["/dev/sdb", "/dev/sdc"]}),
    ("templates", "netfs", {"hosts": SAN, "dir": "/exports/templates"}),
    ("scratch", "disk", {"devices": ["/dev/nvme0n1"]}),
    (
        "luns",
        "iscsi",
        {"hosts": SAN, "devices": ["iqn.2026-01.org.example:storage.racks.guests.luns"]},
    ),
]
ODD = (
    "<script>alert('no')</script>",
    "quo\"te's & <b>bold</b>",
    "long-" * 40,
    "tab\t bell\x07 line\nturned\u202e round",
    "größe 大きさ 🗄",
)


def pool(name: str, kind: str, **more: Any) -> Row:
    """A pool as pool_info tells it."""
    row: Row = {"name": name, "type": kind, "state": "active", "autostart": True, "built": True}
    sizes = dict.fromkeys(("capacity", "allocation", "available"))
    row = {**row, **sizes, "path": f"/srv/{name}", "warnings": [], "error": None, **more}
    row["source"] = {**SOURCE, **more.get("source", {})}
    return row


def sized(size: int, used: int) -> Row:
    return {"capacity": size, "allocation": used, "available": size - used}


def fleet(count: int) -> dict[str, Row]:
    chance = random.Random(1)
    hosts = {f"kvm{number}.fra1.example.com": host(chance) for number in range(1, count + 1)}
    hosts["kvm3.fra1.example.com"] = {
        "found": {
            "unreachable": True,
            "msg": "Failed to connect to the host via ssh: connect to host 192.0.2.3 port 22: "
            "No route to host",
        },
        "drift": None,
    }
    hosts["kvm7.fra1.example.com"] = {
        "found": {"msg": "Nothing was changed: the module needs lxml, which python3-lxml has."},
        "drift": None,
    }
    hosts["kvm8.fra1.example.com"] = {"found": {"pools": []}, "drift": None}
    hosts["kvm9.fra1.example.com"] = {
        "found": {"pools": [pool(name, "dir", error=f"{name}: no") for name in ODD]},
        "drift": {"drift": True, "pools": [{"name": "a" * 99, "differs": ODD, "error": None}]},
    }
    hosts[ODD[0]] = hosts.pop(f"kvm{count}.fra1.example.com")
    return hosts


def host(chance: random.Random) -> Row:
    root = sized(440 * GIB, int(440 * GIB * chance.uniform(0.2, 0.98)))
    pools = [known(chance, *kind, root=root) for kind in KINDS[: chance.randrange(3, 8)]]
    drifted = [each["name"] for each in pools if chance.random() < 0.03]
    rows = [drift(name) for name in drifted]
    return {"found": {"pools": pools}, "drift": {"drift": bool(rows), "pools": rows}}


def drift(name: str) -> Row:
    return {
        "name": name,
        "differs": [f"change the mode of /srv/{name} to 0750", f"define pool {name}"],
        "error": None,
    }


def known(chance: random.Random, name: str, kind: str, source: Row, root: Row) -> Row:
    size = chance.choice((480, 960, 1920, 3840)) * GIB
    sizes = root if kind == "dir" else sized(size, int(size * chance.uniform(0, 0.97)))
    sizes = sized(20 << 40, 13 << 40) if kind == "netfs" else sizes
    wrong: list[Row] = [
        {"state": "inactive", **dict.fromkeys(("capacity", "allocation", "available"))},
        {"autostart": False},
        {"warnings": ["path 3:0:0:1 of multipath map mpatha has failed"]},
        {"error": f"Pool {name} could not be looked at: {name}: Stale file handle"},
    ]
    more = chance.choice(wrong) if chance.random() < 0.05 else {}
    return pool(name, kind, source=source, **{**sizes, **more})
