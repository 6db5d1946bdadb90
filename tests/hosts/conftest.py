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

from poolwright_lab import Host, LabError, modular

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

SERVE = (HERE.parent / "lab" / "serve.sh").read_text(encoding="utf-8")
TARGET = "iqn.2026-01.org.example:luns"  # which SERVE offers, beside NFS /exports/nfs
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


LIBVIRTD = ("libvirtd",)
MODULAR = ("virtqemud", "virtsecretd", "virtstoraged")  # a daemon for each driver


class Driven:
    """A lab host with the driver on it, and the daemons of libvirt that it has."""

    def __init__(self, host: Host, daemons: tuple[str, ...]) -> None:
        self.host = host
        self.daemons = daemons
        self.send()

    @property
    def libvirt(self) -> bool:
        return bool(self.daemons)

    @property
    def sockets(self) -> str:
        return " ".join(
            f"{name}{kind}.socket" for name in self.daemons for kind in ("", "-ro", "-admin")
        )

    @property
    def services(self) -> str:
        return " ".join(f"{name}.service" for name in self.daemons)

    def send(self) -> None:
        packed = pack()
        # Compiled once and written down, so that not even a power cut makes it happen again.
        command = (
            "mkdir -p /root/poolwright && tar -xzmf /dev/stdin -C /root/poolwright && "
            "cd /root/poolwright && python3 -c 'import driver' && sync"
        )
        self.host.ssh.connect()
        subprocess.run([*self.host.ssh_args(), command], input=packed, check=True, timeout=300)

    def drive(self, do: str, **job: Any) -> Any:
        """What the driver's function ``do`` answers to a job."""
        text = json.dumps({"do": do, **job})
        done = self.host.run(DRIVE, stdin=text, timeout=1200)
        if not self.host.running:
            raise LabError(f"{self.host.name} has died")
        return json.loads(done.stdout)

    def tasks(self, *tasks: Result) -> list[Result]:
        """Performs tasks that must succeed."""
        found: list[Result] = self.drive("tasks", tasks=tasks)
        for each in found:
            assert not each.get("failed"), each["msg"]
        return found

    def sh(self, script: str, *, check: bool = True, timeout: float = 120) -> str:
        return str(self.host.run(script, check=check, timeout=timeout).stdout)

    def until(self, script: str, seconds: int = 60) -> None:
        """Waits for what the host does by itself, and fails where it does not."""
        self.sh(f"for i in $(seq {2 * seconds}); do {script} && exit; sleep 0.5; done; exit 1")


SUITES = ("bookworm", "trixie")
ALL = [(suite, libvirt) for suite in SUITES for libvirt in (True, False)]
# Everything takes hours without KVM: CI runs the variants that differ most.
EVERYTHING = bool(os.environ.get("POOLWRIGHT_ALL"))
VARIANTS = ALL if EVERYTHING else [("bookworm", True), ("trixie", False)]
thorough = pytest.mark.skipif(not EVERYTHING, reason="takes long: POOLWRIGHT_ALL=1 runs it")


def name_of(variant: tuple[str, bool]) -> str:
    suite, libvirt = variant
    return suite if libvirt else f"{suite}-plain"


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """With pytest-xdist, the tests of a file that share a host run where it is."""
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        shared = params.get("each_host") or params.get("libvirt_host")
        group = f"{item.path.stem}-{shared or 'plain_host' in item.fixturenames}"
        item.add_marker(pytest.mark.xdist_group(group))


# For a test that would take long on every host: CI runs it on Debian 13 without libvirt.
on_one_host = pytest.mark.parametrize(
    "each_host",
    [pytest.param(v, id=name_of(v), marks=() if v == ("trixie", False) else thorough) for v in ALL],
    indirect=True,
)


class Hosts:
    """Hosts that are booted when the first test asks, and anew after one that failed."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, tuple[str, ...]], Driven] = {}

    def get(self, suite: str, libvirt: bool, *, split: bool = False) -> Driven:
        """A host; with ``split`` its libvirt has a daemon for each driver."""
        daemons = (MODULAR if split else LIBVIRTD) if libvirt else ()
        variant = (suite, daemons)
        there = self._running.get(variant)
        if there is None or not there.host.running:
            # Runs at the same time have hosts of their own.
            name = f"{name_of((suite, libvirt))}{'-split' if split else ''}"
            host = Host(f"hosts-{name}-{os.getpid()}")
            try:
                host.up(fresh=True, suite=suite, libvirt=libvirt)
                if split:
                    modular.switch(host)
                self._running[variant] = Driven(host, daemons)
            except BaseException:
                host.destroy()
                raise
        return self._running[variant]

    def destroy(self) -> None:
        while self._running:
            self._running.popitem()[1].host.destroy()


@pytest.fixture(scope="session")
def _hosts() -> Iterator[Hosts]:
    hosts = Hosts()
    try:
        yield hosts
    finally:
        hosts.destroy()


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # The session counts too late: where tests may run once more, only after the teardown.
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture
def hosts(_hosts: Hosts, request: pytest.FixtureRequest) -> Iterator[Hosts]:
    request.node.stash[FAILED] = False
    yield _hosts
    if request.node.stash[FAILED]:
        _hosts.destroy()


@pytest.fixture
def host(hosts: Hosts) -> Driven:
    return hosts.get("bookworm", True)


@pytest.fixture
def plain_host(hosts: Hosts) -> Driven:
    """A host on which libvirt was never installed."""
    return hosts.get("trixie", False)


@pytest.fixture(params=VARIANTS, ids=name_of)
def each_host(hosts: Hosts, request: pytest.FixtureRequest) -> Driven:
    """Debian 12 with libvirt and 13 without; with POOLWRIGHT_ALL also the other way round."""
    suite, libvirt = request.param
    return hosts.get(suite, libvirt)


@pytest.fixture(
    params=[
        "bookworm",
        pytest.param("trixie", marks=thorough),
        pytest.param("trixie-split", marks=thorough),
    ]
)
def libvirt_host(hosts: Hosts, request: pytest.FixtureRequest) -> Driven:
    """Debian 12 and 13 with libvirt, and once with a daemon for each of libvirt's drivers."""
    suite, _, split = request.param.partition("-")
    return hosts.get(suite, True, split=bool(split))
