# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what one more task with nothing to do costs inside a running play, in pings.

The play runs on this machine itself, in a mount namespace, so that what it makes goes away.
Needs root, python3-lxml, ansible on the path and the collection where ANSIBLE_COLLECTIONS_PATH
says.

    python benchmark_task.py [ROUNDS [VOLUMES]]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 9
VOLUMES = int(sys.argv[2]) if len(sys.argv) > 2 else 200
LIMIT = 1200  # seconds that the play may take

# What the play may change goes away with its namespace.
APART = """
mount -t tmpfs -o size=32M tmpfs /run
mkdir /run/upper /run/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work overlay /etc
mount -t tmpfs -o size=32M tmpfs /srv
exec ansible-playbook -i localhost, "$1"
"""
ROWS = [{"name": f"v{number:03}", "capacity": "1M"} for number in range(VOLUMES)]
POOL = {"name": "files", "path": "/srv/files", "libvirt": "ignored"}
TASKS: dict[str, dict[str, Any]] = {
    "ping": {"ansible.builtin.ping": {}},
    "pool_dir": {"poolwright.storage.pool_dir": POOL},
    "volumes": {
        "poolwright.storage.volumes": {"pool": "files", "volumes": ROWS, "libvirt": "ignored"}
    },
}


def named(name: str) -> dict[str, Any]:
    """A task that fails where it changes something."""
    return {
        "name": name,
        **TASKS[name],
        "register": "done",
        "failed_when": "done is failed or done is changed",
    }


def play() -> str:
    """What makes the things, then every task in each round."""
    made = [{"name": f"make {name}", **task} for name, task in TASKS.items()]
    again = [named(name) for _ in range(ROUNDS) for name in TASKS]
    return json.dumps(
        [
            {
                "hosts": "all",
                "connection": "local",
                "gather_facts": False,
                "vars": {"ansible_python_interpreter": "/usr/bin/python3"},
                "tasks": [*made, *again],
            }
        ]
    )


def took(folder: Path) -> dict[str, list[float]]:
    """The seconds of every task by its name, as Ansible's junit callback tells them."""
    environment = {
        **os.environ,
        "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.junit",
        "ANSIBLE_PIPELINING": "1",
        "JUNIT_OUTPUT_DIR": str(folder),
    }
    file = folder / "play.yml"
    file.write_text(play())
    command = ["unshare", "--mount", "sh", "-euc", APART, "sh", str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=LIMIT, check=False
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    found: dict[str, list[float]] = {name: [] for name in TASKS}
    [report] = folder.glob("*.xml")
    for case in ElementTree.parse(report).iter("testcase"):
        # [host] play: name and the module's arguments
        name = case.attrib["name"].split(": ", 1)[1].split()[0]
        if name in found:
            found[name].append(float(case.attrib["time"]))
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = took(Path(folder))
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.2f} s, {median / medians['ping']:.2f} pings")


if __name__ == "__main__":
    main()
