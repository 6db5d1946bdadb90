# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures many volumes made, left and removed: by the bare tools, by us, and by the modules that
others would use in a loop.

All is one play on one lab host with libvirt, so that the times differ by the tools alone.  Needs
the collections community.general and community.libvirt besides ours, where
ANSIBLE_COLLECTIONS_PATH says, and ansible on the path.

    python benchmark_peers.py [VOLUMES [PARTITIONS [BY_PEERS]]]

Modules in a loop take the same time for each volume, so that BY_PEERS of them are enough.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from typing import Any

import timed
from conftest import LIBVIRTD, Driven, blank
from poolwright_lab import Host, inventory

VOLUMES = int(sys.argv[1]) if len(sys.argv) > 1 else 100
PARTITIONS = int(sys.argv[2]) if len(sys.argv) > 2 else 50
BY_PEERS = int(sys.argv[3]) if len(sys.argv) > 3 else VOLUMES
SHARES = "/srv/shares"
HEADS = (
    *("Volumes", "make, bare", "ours", "the others", "remove, bare", "ours", "the others"),
    *("again, ours", "again, the others"),
)
Task = dict[str, Any]
Rivals = dict[str, tuple[Task, Task]]  # what makes and what removes, by who does it

XML = (
    "<volume><name>{{ item }}</name><capacity unit='M'>4</capacity>"
    "<target><format type='%s'/></target></volume>"
)
POOLS: list[Task] = [
    {"poolwright.storage.pool_logical": {"name": "many", "devices": [blank(2)]}},
    {"poolwright.storage.pool_dir": {"name": "files", "path": "/srv/files"}},
    {"poolwright.storage.pool_disk": {"name": "parts", "device": blank(1)}},
    {
        "poolwright.storage.pool_fs": {
            "name": "shares",
            "path": SHARES,
            "device": blank(3),
            "format": "xfs",
        }
    },
    {
        "ansible.builtin.shell": f"head -c 512M /dev/urandom > {SHARES}/full"
        f" && truncate -s 1G {SHARES}/full && sync && virsh -q pool-refresh shares"
    },
]


def names(count: int) -> list[str]:
    return [f"v{number:04}" for number in range(count)]


def shell(script: str) -> Task:
    return {"ansible.builtin.shell": f"set -e\n{script}"}


def loop(count: int, command: str) -> Task:
    return shell(f"for n in $(seq 0 {count - 1}); do {command}; done")


def ours(pool: str, rows: list[dict[str, Any]]) -> Task:
    return {"poolwright.storage.volumes": {"pool": pool, "volumes": rows, "allow": ["delete"]}}


def each(module: str, options: dict[str, Any], items: list[Any]) -> Task:
    return {module: options, "loop": items, "loop_control": {"label": ""}}


def logical() -> Rivals:
    """Logical volumes."""
    made = [{"name": name, "capacity": "4 MiB"} for name in names(VOLUMES)]
    gone = [{"name": name, "state": "absent"} for name in names(VOLUMES)]
    peer = {"vg": "many", "lv": "{{ item }}"}
    return {
        "bare": (
            loop(VOLUMES, "lvcreate -qq -y -W y -L 4M -n b$n many"),
            loop(VOLUMES, "lvremove -qq -y many/b$n"),
        ),
        "ours": (ours("many", made), ours("many", gone)),
        "peer": (
            each("community.general.lvol", {**peer, "size": "4m"}, names(BY_PEERS)),
            each(
                "community.general.lvol",
                {**peer, "state": "absent", "force": True},
                names(BY_PEERS),
            ),
        ),
    }


def images(format: str, bare: str) -> Rivals:
    """Files in a directory."""
    made = [{"name": name, "capacity": "4 MiB", "format": format} for name in names(VOLUMES)]
    gone = [{"name": name, "state": "absent"} for name in names(VOLUMES)]
    peer = {"pool": "files", "name": "{{ item }}"}
    return {
        "bare": (loop(VOLUMES, bare), loop(VOLUMES, "rm /srv/files/b$n")),
        "ours": (ours("files", made), ours("files", gone)),
        "peer": (
            each(
                "community.libvirt.virt_volume",
                {**peer, "state": "present", "xml": XML % format},
                names(BY_PEERS),
            ),
            each("community.libvirt.virt_volume", {**peer, "state": "absent"}, names(BY_PEERS)),
        ),
    }


def partitions(disk: str) -> Rivals:
    """Partitions of 4 MiB on a disk, by its kernel's name."""
    made = [{"name": f"{disk}{n}", "capacity": "4 MiB"} for n in range(1, PARTITIONS + 1)]
    gone = [{"name": row["name"], "state": "absent"} for row in made]
    peer = {"device": f"/dev/{disk}", "number": "{{ item }}", "label": "gpt"}
    numbers = list(range(1, min(PARTITIONS, BY_PEERS) + 1))
    span = {"part_start": "{{ item * 4 }}MiB", "part_end": "{{ item * 4 + 4 }}MiB"}
    begin = f"parted --script /dev/{disk}"
    return {
        "bare": (
            loop(PARTITIONS, f"{begin} mkpart x $((n * 4 + 4))MiB $((n * 4 + 8))MiB"),
            loop(PARTITIONS, f"{begin} rm $((n + 1))"),
        ),
        "ours": (ours("parts", made), ours("parts", gone)),
        "peer": (
            each("community.general.parted", {**peer, **span, "state": "present"}, numbers),
            each("community.general.parted", {**peer, "state": "absent"}, numbers),
        ),
    }


def copies() -> dict[str, Rivals]:
    """One image of 1 GiB, half full, copied in a pool that can share blocks, and converted."""
    found = {}
    for kind, format, bare in (
        ("clone", "raw", "cp --sparse=always --reflink=auto {0}/full {0}/b"),
        ("convert", "qcow2", "qemu-img convert -O qcow2 {0}/full {0}/b"),
    ):
        row = {"pool": "shares", "name": f"c{format}"}
        clone = "virsh -q vol-clone --pool shares full p"
        convert = (
            "virsh -q vol-create-from shares /dev/stdin full --inputpool shares <<'E'\n"
            "<volume><name>p</name><capacity unit='G'>1</capacity>"
            "<target><format type='qcow2'/></target></volume>\nE"
        )
        found[f"{kind} of 1 GiB, half full"] = {
            "bare": (shell(bare.format(SHARES)), shell(f"rm {SHARES}/b; sync")),
            "ours": (
                {
                    "poolwright.storage.volume": {
                        **row,
                        "format": format,
                        "clone_from": {"volume": "full"},
                    }
                },
                {"poolwright.storage.volume": {**row, "state": "absent", "allow": ["delete"]}},
            ),
            "peer": (
                shell(clone if format == "raw" else convert),
                shell("virsh -q vol-delete p shares; sync"),
            ),
        }
    return found


def steps(disk: str) -> list[tuple[str, int, Task]]:
    """Every task of the play, its name, and how many things it makes or removes."""
    kinds: dict[str, tuple[int, Rivals]] = {
        "logical volumes": (VOLUMES, logical()),
        "raw files": (VOLUMES, images("raw", "truncate -s 4M /srv/files/b$n")),
        "qcow2 files": (VOLUMES, images("qcow2", "qemu-img create -q -f qcow2 /srv/files/b$n 4M")),
        "partitions": (PARTITIONS, partitions(disk)),
        **{kind: (1, who) for kind, who in copies().items()},
    }
    ping: Task = {"ansible.builtin.ping": {}}
    found = [("ping", 1, ping)]
    for kind, (many, who) in kinds.items():
        for name, (make, remove) in who.items():
            count = min(many, BY_PEERS) if name == "peer" else many
            found.append((f"{kind}, {name}, make", count, make))
            if "ansible.builtin.shell" not in make:
                found.append((f"{kind}, {name}, again", count, make))
            found += [(f"{kind}, {name}, remove", count, remove), ("ping", 1, ping)]
    return found


def table(measured: list[tuple[str, int, float]]) -> str:
    """The table of the page on benchmarks, in reStructuredText.

    Seconds of the bare tools, and how many times that the others take; where there is nothing to
    do, how many times a ping.  What a loop took is taken for as many as the others made.
    """
    pings = statistics.median(seconds for name, _count, seconds in measured if name == "ping")
    each = {name: (count, seconds) for name, count, seconds in measured if name != "ping"}
    lines = [".. list-table::", "   :header-rows: 1", ""]
    lines += _row(HEADS)
    for kind in dict.fromkeys(name.rpartition(", ")[0].rpartition(", ")[0] for name in each):
        many = each[f"{kind}, bare, make"][0]

        def of(who: str, what: str, unit: float, kind: str = kind, many: int = many) -> str:
            if f"{kind}, {who}, {what}" not in each:
                return "no"
            count, seconds = each[f"{kind}, {who}, {what}"]
            return f"{seconds * many / count / unit:.2f}"

        cells = [f"{many} {kind}" if many > 1 else kind]
        for what in ("make", "remove"):
            bare = each[f"{kind}, bare, {what}"][1]
            cells += [f"{bare:.1f} s", of("ours", what, bare), of("peer", what, bare)]
        lines += _row([*cells, of("ours", "again", pings), of("peer", "again", pings)])
    return "\n".join([*lines, "", f"A ping: {pings:.2f} s."])


def _row(cells: Sequence[str]) -> list[str]:
    return [f"   {'*' if not number else ' '} - {cell}" for number, cell in enumerate(cells)]


def main() -> None:
    host = Host("hosts-peers")
    try:
        host.up(fresh=True)
        disk = Driven(host, LIBVIRTD).sh(f"basename $(readlink -f {blank(1)})").strip()
        wanted = steps(disk)
        tasks = [*POOLS, *({"name": name, **task} for name, _count, task in wanted)]
        plays = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
        took = timed.play(plays, inventory.text([host]))[len(POOLS) :]
        measured = [
            (name, count, seconds)
            for (name, count, _task), (_name, seconds) in zip(wanted, took, strict=True)
        ]
        for name, count, seconds in measured:
            print(f"{seconds / count:9.3f} s, {count:4} times: {name}")
        print(table(measured))
    finally:
        host.destroy()


if __name__ == "__main__":
    main()
