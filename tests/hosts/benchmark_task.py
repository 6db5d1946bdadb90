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

import statistics
import sys
from typing import Any

import timed

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 9
VOLUMES = int(sys.argv[2]) if len(sys.argv) > 2 else 200
LIMIT = 1200  # seconds that the play may take

# What the play may change goes away with its namespace.
APART = """
mount -t tmpfs -o size=32M tmpfs /run
mkdir /run/upper /run/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work overlay /etc
mount -t tmpfs -o size=32M tmpfs /srv
exec "$@"
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


def play() -> list[dict[str, Any]]:
    """What makes the things, then every task in each round."""
    made = [{"name": f"make {name}", **task} for name, task in TASKS.items()]
    again = [named(name) for _ in range(ROUNDS) for name in TASKS]
    return [
        {
            "hosts": "all",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": "/usr/bin/python3"},
            "tasks": [*made, *again],
        }
    ]


def took() -> dict[str, list[float]]:
    """The seconds of every task by its name."""
    found: dict[str, list[float]] = {name: [] for name in TASKS}
    local = "all: {hosts: {localhost: {ansible_connection: local}}}"
    apart = ("unshare", "--mount", "sh", "-euc", APART, "sh")
    for name, seconds in timed.play(play(), local, apart, LIMIT):
        # Those that make things first have a name of two words.
        if (word := name.split()[0]) in found:
            found[word].append(seconds)
    return found


def main() -> None:
    found = took()
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.2f} s, {median / medians['ping']:.2f} pings")


if __name__ == "__main__":
    main()
