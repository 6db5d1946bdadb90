# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""A test host: what is remembered of it, and what can be done to it."""

from __future__ import annotations

import contextlib
import json
import random
import shlex
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import disks, guest, image, paths, snapshot, warm
from .errors import LabError
from .process import Progress, lock, say
from .qemu import SAYS_READY, SAYS_SSH, Machine
from .ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Wishes = dict[str, Any]

BOOT_LIMIT = 200
POWEROFF_LIMIT = 60
LOCK_LIMIT = 300


@dataclass(frozen=True)
class Settings:
    """What a host was asked to be; kept with its disks."""

    suite: str = "bookworm"
    libvirt: bool = True
    scsi: int = 4
    memory: int = 1024
    network_ip: str = ""
    image: str = ""
    port: int = 0
    order: tuple[str, ...] = ()


class Host:
    """One host, by name. Nothing is kept in memory: any process may use the same host."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = paths.host_folder(name)
        self.disks = self.folder / "disks"
        self.saved = self.folder / "saved"
        self.machine = Machine(self.folder)

    # What is known of it

    @property
    def exists(self) -> bool:
        """Whether it has disks, running or not."""
        return (self.folder / "host.json").exists()

    @property
    def running(self) -> bool:
        """Whether it is switched on."""
        return self.machine.pid is not None

    @property
    def settings(self) -> Settings:
        """What the host was asked to be."""
        try:
            values = json.loads((self.folder / "host.json").read_text())
        except FileNotFoundError:
            raise LabError(f"there is no host {self.name}") from None
        return Settings(**{**values, "order": tuple(values["order"])})

    def _remember(self, settings: Settings) -> None:
        partial = self.folder / "host.json.new"
        partial.write_text(json.dumps(asdict(settings), indent=1))
        partial.replace(self.folder / "host.json")

    @property
    def ssh(self) -> Ssh:
        """How to reach it."""
        settings = self.settings
        known_hosts = paths.images() / settings.image / "known_hosts"
        return Ssh(self.folder, settings.port, image.private_key(), known_hosts)

    def ssh_args(self) -> list[str]:
        """Return the command that opens a shell on the host, as a list of words."""
        return self.ssh.arguments()

    def variables(self) -> dict[str, str | int]:
        """Return what Ansible must know to reach the host."""
        ssh = self.ssh
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": ssh.port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(ssh.key),
            "ansible_ssh_common_args": shlex.join(ssh.options()),
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_pipelining": True,
        }

    # Switching it on and off

    def up(self, *, fresh: bool = False, **wishes: Any) -> None:
        """Boot the host, made anew if it is not there or `fresh`; one that runs stays as it is.

        The wishes are the fields of Settings: suite, libvirt, scsi, memory, network_ip.
        """
        boot({self: wishes}, fresh=fresh)

    def prepare(self, wishes: Wishes, *, fresh: bool) -> Path | None:
        """Make the disks if there are none yet; refuse what does not fit those that are there.

        Return the folder of a booted guest's memory that fits them, if there is one.
        """
        if fresh:
            self.destroy()
        if self.exists:
            self._compare(wishes)
            return None
        wanted = replace(Settings(), **wishes)
        found = image.ensure(wanted.suite)
        if wanted != replace(Settings(), suite=wanted.suite, libvirt=wanted.libvirt):
            self._make(wanted, found)
            return None
        template = Host(f"new-{found.folder.name}{'' if wanted.libvirt else '-plain'}")
        kept = warm.ensure(found, wanted.libvirt, template)
        self._make(wanted, found)
        disks.copy_sparse([kept / "root.qcow2"], self.folder)
        disks.copy_sparse(kept.glob("*.raw"), self.disks)
        return kept

    def _make(self, wanted: Settings, found: image.Image) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        disks.create(self.disks, wanted.scsi, found.dirt)
        root = found.root if wanted.libvirt else found.without_libvirt
        disks.overlay(self.folder / "root.qcow2", root)
        order = tuple(disk.name for disk in disks.scsi_disks(wanted.scsi))
        self._remember(replace(wanted, image=found.folder.name, order=order))

    def boot_new(self, found: image.Image, libvirt: bool) -> None:
        """Make and boot a host the slow way, and wait until it has nothing more to do."""
        self._make(Settings(libvirt=libvirt), found)
        self.switch_on()
        _wait_ready([self])
        self.run("systemctl is-system-running --wait", check=False, timeout=60)

    def _compare(self, wishes: Wishes) -> None:
        there = asdict(self.settings)
        other = [f"{key}={there[key]}" for key, wish in wishes.items() if there[key] != wish]
        if other:
            raise LabError(f"{self.name} exists with {', '.join(other)}: destroy it or use --fresh")

    def switch_on(self, extra: Sequence[str] = ()) -> None:
        """Start QEMU; the guest is not ready yet."""
        settings = self.settings
        by_name = {disk.name: disk for disk in disks.scsi_disks(settings.scsi)}
        port = guest.start(
            self.machine,
            image.Image(paths.images() / settings.image),
            self.folder / "root.qcow2",
            self.disks,
            [by_name[name] for name in settings.order],
            guest.Shape(self.name, settings.memory, settings.network_ip, settings.port or None),
            extra,
        )
        self._remember(replace(settings, port=port))

    def cut(self) -> None:
        """Cut the power: what the guest has not written yet is lost."""
        self.machine.kill()
        if self.exists:
            self.ssh.disconnect()

    def power_off(self) -> None:
        """Shut the guest down as its administrator would, and wait until it is off."""
        self.run("systemctl poweroff", check=False, timeout=20)
        off = self.machine.wait_gone(POWEROFF_LIMIT)
        self.cut()
        if not off:
            raise LabError(f"{self.name} did not power off in {POWEROFF_LIMIT} s: cut")

    def down(self) -> None:
        """Power off, and cut the power if that takes too long."""
        if self.running:
            try:
                self.power_off()
            except LabError as error:
                say(str(error))
        self.cut()

    def destroy(self) -> None:
        """Cut the power and delete the disks."""
        self.cut()
        shutil.rmtree(self.folder, ignore_errors=True)

    def reboot(self, *, shuffle: bool = False) -> None:
        """Power off and boot again; `shuffle` gives the SCSI disks other unit numbers."""
        self.power_off()
        if shuffle:
            settings = self.settings
            self._remember(replace(settings, order=shuffled(settings.order)))
        boot({self: {}})

    # Saving and going back

    def save(self, *, go_on: bool = True) -> None:
        """Keep the state of all disks as it is now, and of the memory too if that can be done.

        QEMU cannot save a guest with an NVMe disk. So it is pulled out for a moment; if something
        uses it, only the disks are kept, and `reset` boots instead of going on.
        """
        memory = self.saved / "memory"
        idle = self.run(f"sync; {snapshot.NVME_IS_IDLE}", check=False).returncode == 0
        self.ssh.disconnect()
        shutil.rmtree(self.saved, ignore_errors=True)
        self.saved.mkdir()
        if idle:
            snapshot.unplug(self.machine, str(disks.NVME_DEVICE["id"]))
        try:
            with snapshot.standing_still(self.machine, memory if idle else None):
                disks.copy_sparse(self._state_files(self.folder), self.saved)
        finally:
            if idle and go_on:
                self._plug_nvme()

    def reset(self) -> None:
        """Go back to the saved state: cut the power, put the disks back, go on (or boot)."""
        if not (self.saved / "host.json").exists():
            raise LabError(f"{self.name} has no saved state")
        port = self.settings.port
        self.cut()
        disks.copy_sparse(self.saved.glob("*.raw"), self.disks)
        disks.copy_sparse([self.saved / "root.qcow2", self.saved / "host.json"], self.folder)
        self._remember(replace(self.settings, port=port))
        if (self.saved / "memory").exists():
            self.go_on(self.saved)
        else:
            boot({self: {}})

    def go_on(self, kept: Path) -> None:
        """Start the guest from its memory as it was when its disks were as they are now."""
        try:
            self.switch_on(snapshot.incoming(kept / "memory"))
            snapshot.go_on(self.machine)
            warm.wake(self)
            self._plug_nvme()
        except BaseException:
            self.machine.kill()
            raise

    def _plug_nvme(self) -> None:
        self.qmp("device_add", disks.NVME_DEVICE)
        link = f"/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_{disks.NVME.serial}"
        self.run(f"until [ -e {link} ]; do sleep 0.1; done", timeout=90)

    def _state_files(self, folder: Path) -> list[Path]:
        # host.json is last: without it there is no saved state.
        return [*folder.glob("disks/*.raw"), folder / "root.qcow2", folder / "host.json"]

    # Using it

    def _require_running(self) -> None:
        if not self.running:
            raise LabError(f"{self.name} is not running")

    def run(
        self,
        command: str,
        *,
        check: bool = True,
        timeout: float = 120,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root; 124 is the exit status of one that took too long."""
        self._require_running()
        done = self.ssh.run(command, timeout, capture=True, stdin=stdin)
        if check and done.returncode:
            output = f"{done.stdout}{done.stderr}".strip()
            raise LabError(f"{self.name}: {command!r} gave {done.returncode}\n{output}")
        return done

    def show(self, command: str, timeout: float) -> int:
        """Run a shell command with the terminal's input and output; return its exit status."""
        self._require_running()
        return self.ssh.run(command, timeout, capture=False).returncode

    def qmp(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """Give the host's QEMU one command."""
        self._require_running()
        return self.machine.qmp(command, arguments)

    def detach(self, path: str) -> None:
        """Take one path (mpa or mpb) to the multipath disk away."""
        self.qmp("device_del", {"id": f"{_known_path(path)}-disk"})

    def attach(self, path: str) -> None:
        """Give the path back."""
        self.qmp("device_add", disks.path_device(_known_path(path)))

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Keep other lab commands from changing this host meanwhile."""
        return lock(f"host-{self.name}", LOCK_LIMIT)


def _known_path(path: str) -> str:
    if path not in disks.MULTIPATH_PATHS:
        raise LabError(f"no such path: {path} (there are {', '.join(disks.MULTIPATH_PATHS)})")
    return path


def shuffled(order: tuple[str, ...]) -> tuple[str, ...]:
    """Return another order in which no disk keeps its place."""
    turn = random.randrange(1, len(order))
    return order[turn:] + order[:turn]


def known_hosts() -> list[Host]:
    """Return every host that has disks."""
    return [Host(file.parent.name) for file in sorted(paths.hosts().glob("*/host.json"))]


def boot(wanted: Mapping[Host, Wishes], *, fresh: bool = False) -> None:
    """Boot hosts side by side; if that fails or is interrupted, none of them is left running."""
    began = time.monotonic()
    started: list[Host] = []
    booting: list[Host] = []
    with contextlib.ExitStack() as stack:
        for host in sorted(wanted, key=lambda host: host.name):
            stack.enter_context(host.locked())
        try:
            for host, wishes in wanted.items():
                kept = host.prepare(wishes, fresh=fresh)
                if host.running:
                    continue
                started.append(host)
                if kept:
                    host.go_on(kept)
                    say(f"{host.name} is up after {time.monotonic() - began:.1f} s")
                else:
                    host.switch_on()
                    booting.append(host)
            _wait_ready(booting)
        except BaseException:
            for host in started:
                host.machine.kill()
            raise


class _Booting:
    """A host between switched on and ready."""

    def __init__(self, host: Host, patience: float) -> None:
        self.host = host
        self.patience = patience
        self.began = time.monotonic()
        self.plugged = self.again = self.ready = False

    def look(self) -> None:
        """Do what is due: plug in the NVMe disk, connect, try once more, or give up."""
        machine = self.host.machine
        if not self.plugged and machine.said(SAYS_SSH):
            machine.qmp("device_add", disks.NVME_DEVICE)
            self.plugged = True
        if self.plugged and machine.said(SAYS_READY):
            # On a crowded machine the guest may have stopped to wait for its disks' names.
            self.host.run("udevadm settle -t 120", timeout=130)
            self.ready = True
            return
        late = time.monotonic() - self.began > self.patience
        if (late or machine.pid is None) and not self.again:
            # Seen under TCG on a crowded machine: the guest stops while it boots, or QEMU crashes.
            say(f"{self.host.name} does not get on: its power is cut, it boots once more")
            machine.kill()
            self.host.switch_on()
            self.again, self.plugged, self.began = True, False, time.monotonic()
        else:
            machine.check(not late)


def _wait_ready(hosts: list[Host]) -> None:
    progress = Progress(f"booting {', '.join(host.name for host in hosts)}")
    patience = BOOT_LIMIT * (1 + len(hosts) // 3)
    waiting = [_Booting(host, patience) for host in hosts]
    while waiting:
        for booting in waiting:
            booting.look()
            if booting.ready:
                say(f"{booting.host.name} is up after {progress.seconds:.1f} s")
        waiting = [booting for booting in waiting if not booting.ready]
        progress.tick(f"({len(waiting)} not ready)")
        time.sleep(0.05)
