# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what a fleet costs its controller, on hosts that are namespaces of this machine.

Each host is an sshd with an /etc, a /run, a /srv and a home of its own, so that there are
directories and files only.  It has one pool of the type dir with raw volumes, made in two ways: by
a task for the pool and one for its volumes, and by a loop with a task for each thing that is made.
Needs root, openssh-server, python3-lxml, ansible on the path and the collection where
ANSIBLE_COLLECTIONS_PATH says.

    python benchmark_fleet.py [HOSTS...]
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = [int(word) for word in sys.argv[1:]] or [10, 50, 200]
VOLUMES = 5
FORKS = 8
PORT = 2217
ROOT = Path(__file__).resolve().parents[2]
LIMIT = 1200  # seconds that one run may take

# What the host may change goes away with it.
HOST = """
mount -t tmpfs -o size=32M tmpfs /run
mkdir -p /run/sshd /run/upper /run/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work overlay /etc
mount -t tmpfs -o size=32M tmpfs /srv
mount -t tmpfs -o size=32M tmpfs ~
exec /usr/sbin/sshd -D -f "$1" -o ListenAddress="$2"
"""
SSHD = """
Port {port}
HostKey {folder}/key
AuthorizedKeysFile {folder}/key.pub
StrictModes no
UsePAM no
PidFile none
MaxStartups 100
LogLevel ERROR
"""
NAMES = [f"web{number}.img" for number in range(VOLUMES)]
OURS: list[dict[str, Any]] = [
    {"poolwright.storage.pool_dir": {"name": "images", "path": "/srv/images"}},
    {
        "poolwright.storage.volumes": {
            "pool": "images",
            "volumes": [{"name": name, "capacity": "1 MiB"} for name in NAMES],
        }
    },
]
# As one would do it with a module for each step of a pool and one for each volume, which without a
# libvirt daemon are files and commands: build, define, autostart, and the volumes.
LOOP: list[dict[str, Any]] = [
    {"ansible.builtin.file": {"path": "/srv/loop", "state": "directory", "mode": "0755"}},
    {
        "ansible.builtin.copy": {
            "content": "<pool type='dir'><name>loop</name></pool>\n",
            "dest": "/srv/loop.xml",
            "mode": "0600",
        }
    },
    {"ansible.builtin.file": {"path": "/srv/auto", "src": "/srv/loop.xml", "state": "link"}},
    {
        "ansible.builtin.command": {
            "argv": ["truncate", "--size", "1M", "/srv/loop/{{ item }}"],
            "creates": "/srv/loop/{{ item }}",
        },
        "loop": NAMES,
    },
]


class Cost(NamedTuple):
    """What one run of ansible-playbook took of the controller; the hosts' part is not in cpu.

    Seconds from its start to its end, seconds of a core, and MiB of its largest process.
    """

    seconds: float
    cpu: float
    memory: float


@contextlib.contextmanager
def hosts(count: int, folder: Path) -> Iterator[Path]:
    """That many hosts, and an inventory of them."""
    config = folder / "sshd_config"
    config.write_text(SSHD.format(port=PORT, folder=folder), encoding="utf-8")
    addresses = [f"127.9.{number // 200}.{number % 200 + 1}" for number in range(count)]
    unshare = ["unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for address in addresses:
            script = ["sh", "-ec", HOST, "host", str(config), address]
            running.append(subprocess.Popen([*unshare, *script]))
        inventory = folder / "inventory.json"
        inventory.write_text(json.dumps({"all": known(addresses, folder)}), encoding="utf-8")
        yield inventory
    finally:
        for each in running:
            each.kill()  # --kill-child ends the sshd, and with it all that it has begun
        for each in running:
            each.wait()


def known(addresses: list[str], folder: Path) -> dict[str, Any]:
    options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    variables = {
        "ansible_port": PORT,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(folder / "key"),
        "ansible_ssh_common_args": options,
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    named = {f"host{number}": {"ansible_host": each} for number, each in enumerate(addresses, 1)}
    return {"hosts": named, "vars": variables}


def play(folder: Path, tasks: list[dict[str, Any]]) -> Path:
    book = folder / "play.yml"
    told = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
    book.write_text(json.dumps(told), encoding="utf-8")
    return book


def measured(inventory: Path, book: Path, *words: str, changes: bool | None = None) -> Cost:
    """One run; every host must have got to its end, and changed or not where that is said."""
    environment = {
        **os.environ,
        "ANSIBLE_FORKS": str(FORKS),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(inventory.parent),
    }
    output = inventory.parent / "output"
    began = time.monotonic()
    with output.open("wb") as file:
        running = subprocess.Popen(
            ["timeout", str(LIMIT), "ansible-playbook", "-i", str(inventory), str(book), *words],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            _, status, usage = os.wait4(running.pid, 0)
        except BaseException:
            running.terminate()
            running.wait()
            raise
    seconds = time.monotonic() - began
    text = output.read_text(encoding="utf-8")
    recap = [line for line in text.splitlines() if "unreachable=" in line]
    count = len(json.loads(inventory.read_text(encoding="utf-8"))["all"]["hosts"])
    good = [line for line in recap if changes in (None, "changed=0" not in line)]
    if status or len(good) != count:
        raise SystemExit(text[-4000:])
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def compared(inventory: Path, folder: Path, count: int) -> None:
    """Prints what each way costs: to make it all, and to find it as it should be."""

    def row(name: str, book: Path, *words: str, changes: bool | None = None) -> None:
        cost = measured(inventory, book, *words, changes=changes)
        told = f"{cost.seconds:.1f} s, {cost.cpu:.1f} s of a core, {cost.memory:.0f} MiB"
        print(f"{count} hosts: {name}: {told}", flush=True)

    row("connect and ping", play(folder, [{"ansible.builtin.ping": {}}]), changes=False)
    for name, tasks in {"pool_dir and volumes": OURS, "a loop": LOOP}.items():
        book = play(folder, tasks)
        row(f"{name}, first", book, changes=True)
        row(f"{name}, again", book, changes=False)
        if tasks is OURS:
            words = ("-e", "ansible_become=false", "-e", f"report_directory={folder}")
            row("report", ROOT / "playbooks" / "report.yml", *words)
    print(f"{count} hosts: page of {(folder / 'storage.html').stat().st_size} bytes", flush=True)


def main() -> None:
    for count in SIZES:
        with tempfile.TemporaryDirectory(prefix="fleet") as name:
            folder = Path(name)
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")],
                check=True,
            )
            with hosts(count, folder) as inventory:
                compared(inventory, folder, count)


if __name__ == "__main__":
    main()
