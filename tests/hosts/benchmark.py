# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Measures how long tasks with nothing to do take, as multiples of Ansible's ping.

Needs the collection where ANSIBLE_COLLECTIONS_PATH says, and ansible on the path.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from conftest import LIBVIRTD, Driven, Result, blank, task
from poolwright_lab import Host, inventory
from test_cost import make_volumes

RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
SIZES = (1, 200)
GROUP = task("pool_logical", name="many", devices=[blank(2)], extent_size="1M")
DIR = task("pool_dir", name="files", path="/srv/files")


def names(count: int) -> list[str]:
    return [f"v{number:03}" for number in range(count)]


def volumes(pool: str, count: int) -> Result:
    rows = [{"name": name, "capacity": "1M"} for name in names(count)]
    return task("volumes", pool=pool, volumes=rows)


def measured(file: str, module: str, args: Result) -> float:
    """Seconds of one task, from the command line to its end."""
    command = ["ansible", "-i", file, "all", "-m", module]
    command += ["-a", json.dumps(args)] if args else []
    environment = {**os.environ, "ANSIBLE_PIPELINING": "1"}
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    took = time.monotonic() - began
    if done.returncode or re.search(r'"changed": true', done.stdout):
        raise SystemExit(done.stdout + done.stderr)
    return took


def row(file: str, count: int) -> list[str]:
    """One line of the table; a ping before each task, because the machine is not always as fast."""
    asked = [
        ("ansible.builtin.ping", {}),
        *(
            (f"poolwright.storage.{each['module']}", each["args"])
            for each in (GROUP, volumes("many", count), DIR, volumes("files", count))
        ),
    ]
    took = [[measured(file, *each) for each in asked] for _ in range(RUNS)]
    medians = [statistics.median(column) for column in zip(*took, strict=True)]
    multiples = [f"{median / medians[0]:.2f}" for median in medians[1:]]
    return [str(count), f"{medians[0]:.2f} s", *multiples]


def main() -> None:
    host = Host("hosts-benchmark")
    try:
        host.up(fresh=True)
        driven = Driven(host, LIBVIRTD)
        driven.tasks(GROUP, DIR)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "inventory"
            file.write_text(inventory.text([host]))
            print("volumes, ping, pool_logical, volumes (LVs), pool_dir, volumes (files)")
            for before, count in zip((0, *SIZES), SIZES, strict=False):
                make_volumes(driven, names(count)[before:])
                driven.tasks(GROUP, volumes("files", count))
                print(", ".join(row(str(file), count)), flush=True)
    finally:
        host.destroy()


if __name__ == "__main__":
    main()
