# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures many volumes made, left and removed: by the bare tools, by us, and by the modules that
others would use in a loop.

All is one play on one lab host with libvirt, so that the times differ by the tools alone.  Needs
the collections community.general and community.libvirt besides ours, where
ANSIBLE_COLLECTIONS_PATH says, and ansible on the path.

    python benchmark_peers.py [VOLUMES [PARTITIONS]]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from conftest import Driven, blank
from poolwright_lab import Host, inventory

VOLUMES = int(sys.argv[1]) if len(sys.argv) > 1 else 100
PARTITIONS = int(sys.argv[2]) if len(sys.argv) > 2 else 50
Task = dict[str, Any]

XML = (
    "<volume><name>{{ item }}</name><capacity unit='M'>4</capacity>"
    "<target><format type='%s'/></target></volume>"
)
POOLS: list[Task] = [
    {"poolwright.storage.pool_logical": {"name": "many", "devices": [blank(2)]}},
    {"poolwright.storage.pool_dir": {"name": "files", "path": "/srv/files"}},
    {"poolwright.storage.pool_disk": {"name": "parts", "device": blank(1)}},
]


def names(count: int) -> list[str]:
    return [f"v{number:04}" for number in range(count)]


def loop(count: int, command: str) -> Task:
    return {"ansible.builtin.shell": f"set -e\nfor n in $(seq 0 {count - 1}); do {command}; done"}


def ours(pool: str, rows: list[dict[str, Any]]) -> Task:
    return {"poolwright.storage.volumes": {"pool": pool, "volumes": rows, "allow": ["delete"]}}


def each(module: str, options: dict[str, Any], items: list[Any]) -> Task:
    return {module: options, "loop": items, "loop_control": {"label": ""}}


def logical() -> dict[str, tuple[Task, Task]]:
    """What makes and what removes logical volumes, by who does it."""
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
            each("community.general.lvol", {**peer, "size": "4m"}, names(VOLUMES)),
            each(
                "community.general.lvol", {**peer, "state": "absent", "force": True}, names(VOLUMES)
            ),
        ),
    }


def images(format: str, bare: str) -> dict[str, tuple[Task, Task]]:
    """The same of files."""
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
                names(VOLUMES),
            ),
            each("community.libvirt.virt_volume", {**peer, "state": "absent"}, names(VOLUMES)),
        ),
    }


def partitions(disk: str) -> dict[str, tuple[Task, Task]]:
    """The same of partitions of a disk, by its kernel's name, each of 4 MiB."""
    made = [{"name": f"{disk}{n}", "capacity": "4 MiB"} for n in range(1, PARTITIONS + 1)]
    gone = [{"name": row["name"], "state": "absent"} for row in made]
    peer = {"device": f"/dev/{disk}", "number": "{{ item }}"}
    numbers = list(range(1, PARTITIONS + 1))
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


def steps(disk: str) -> list[Task]:
    """Every task of the play; what a no-change run does not change is run twice."""
    kinds = {
        "logical volumes": logical(),
        "raw files": images("raw", "truncate -s 4M /srv/files/b$n"),
        "qcow2 files": images("qcow2", "qemu-img create -q -f qcow2 /srv/files/b$n 4M"),
        "partitions": partitions(disk),
    }
    found = [*POOLS, {"name": "ping", "ansible.builtin.ping": {}}]
    for kind, who in kinds.items():
        for name, (make, remove) in who.items():
            found.append({"name": f"{kind}|{name}|make", **make})
            if name != "bare":
                found.append({"name": f"{kind}|{name}|again", **make})
            found.append({"name": f"{kind}|{name}|remove", **remove})
            found.append({"name": "ping", "ansible.builtin.ping": {}})
    return found


def took(folder: Path, host: Host, disk: str) -> list[tuple[str, float]]:
    """The seconds of every task, as Ansible's junit callback tells them."""
    (folder / "hosts.yml").write_text(inventory.text([host]))
    (folder / "play.yml").write_text(
        json.dumps([{"hosts": "all", "gather_facts": False, "tasks": steps(disk)}])
    )
    environment = {
        **os.environ,
        "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.junit",
        "ANSIBLE_PIPELINING": "1",
        "JUNIT_OUTPUT_DIR": str(folder),
    }
    command = ["ansible-playbook", "-i", str(folder / "hosts.yml"), str(folder / "play.yml")]
    done = subprocess.run(command, env=environment, check=False, stdout=sys.stderr)
    if done.returncode:
        raise SystemExit(done.returncode)
    [report] = folder.glob("*.xml")
    return [
        (case.attrib["name"].split(": ", 1)[1], float(case.attrib["time"]))
        for case in ElementTree.parse(report).iter("testcase")
    ]


def main() -> None:
    host = Host("hosts-peers")
    try:
        host.up(fresh=True)
        disk = Driven(host, libvirt=True).sh(f"basename $(readlink -f {blank(1)})").strip()
        with tempfile.TemporaryDirectory() as folder:
            for name, seconds in took(Path(folder), host, disk):
                print(f"{seconds:8.2f}  {name}")
    finally:
        host.destroy()


if __name__ == "__main__":
    main()
