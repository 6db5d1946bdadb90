# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Lab hosts for a test session, and how a test performs tasks on them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ansible.module_utils
import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab"))

from poolwright_lab import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

COLLECTION = "ansible_collections/poolwright/storage"
DRIVE = "PYTHONPATH=/root/poolwright python3 -m driver"
DISK = "/dev/disk/by-id/wwn-0x5000c500"

Result = dict[str, Any]


def blank(number: int) -> str:
    return f"{DISK}a00000{number:02x}"


def task(module: str, **args: Any) -> Result:
    return {"module": module, "args": args}


def pack() -> bytes:
    """What Ansible would send with each task, once for all."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(HERE / "driver.py", "driver.py")
        archive.addfile(tarfile.TarInfo("ansible/__init__.py"))
        archive.add(Path(ansible.module_utils.__path__[0]), "ansible/module_utils", filter=_source)
        for folder in ("modules", "module_utils"):
            part = f"{COLLECTION}/plugins/{folder}"
            archive.add(HERE.parent.parent / "plugins" / folder, part, filter=_source)
    return packed.getvalue()


def _source(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return info if info.isdir() or info.name.endswith(".py") else None


class Driven:
    """A lab host with the driver on it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.send()

    def send(self) -> None:
        packed = pack()
        # Compiled once and written down, so that not even a power cut makes it happen again.
        command = (
            "mkdir -p /root/poolwright && tar -xzmf /dev/stdin -C /root/poolwright && "
            "cd /root/poolwright && python3 -c 'import driver' && sync"
        )
        self.host.ssh.connect()
        subprocess.run([*self.host.ssh_args(), command], input=packed, check=True, timeout=300)

    def drive(self, do: str, **job: Any) -> list[Result]:
        text = json.dumps({"do": do, **job})
        done = self.host.run(DRIVE, stdin=text, timeout=600)
        found: list[Result] = json.loads(done.stdout)
        return found

    def tasks(self, *tasks: Result) -> list[Result]:
        """Performs tasks that must succeed."""
        found = self.drive("tasks", tasks=tasks)
        for each in found:
            assert not each.get("failed"), each["msg"]
        return found

    def sh(self, script: str, *, check: bool = True, timeout: float = 120) -> str:
        return str(self.host.run(script, check=check, timeout=timeout).stdout)


def _host(libvirt: bool) -> Iterator[Driven]:
    suite = os.environ.get("POOLWRIGHT_SUITE", "bookworm")
    host = Host(f"hosts-{suite}{'' if libvirt else '-plain'}")
    try:
        host.up(fresh=True, suite=suite, libvirt=libvirt)
        yield Driven(host)
    finally:
        host.destroy()


@pytest.fixture(scope="session")
def host() -> Iterator[Driven]:
    yield from _host(libvirt=True)


@pytest.fixture(scope="module")
def plain_host() -> Iterator[Driven]:
    """A host on which libvirt was never installed."""
    yield from _host(libvirt=False)
