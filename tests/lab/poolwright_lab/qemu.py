# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""One QEMU process: its command line, its monitor, its serial console."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

from . import emulator, process
from .errors import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START_LIMIT = 30
PORTS = range(20000, 30000)
SAYS_SSH = b"LAB-SAYS-SSH"
SAYS_READY = b"LAB-SAYS-READY"

# systemd and the kernel do less this way; each word saves time under TCG.
KERNEL_WORDS = (
    "console=ttyS0 quiet loglevel=3 systemd.show_status=0 mitigations=off net.ifnames=0"
    " tsc=reliable no_timer_check rcupdate.rcu_expedited=1 audit=0 apparmor=0 selinux=0"
)


class Machine:
    """The QEMU process of one folder; the folder is how it is found again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.serial = folder / "serial.log"
        self.socket = folder / "qmp.sock"
        self.pid_file = folder / "qemu.pid"

    @property
    def pid(self) -> int | None:
        """The process, if it runs now."""
        try:
            pid = int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None
        return pid if process.has_argument(pid, str(self.pid_file)) else None

    def start(self, arguments: Sequence[str]) -> None:
        """Start QEMU in the background; it holds no file of the caller open."""
        for leftover in (self.socket, self.pid_file, self.serial):
            leftover.unlink(missing_ok=True)
        command = [*emulator.command(), "-nodefaults", "-no-user-config", "-display", "none"]
        command += ["-daemonize", "-pidfile", str(self.pid_file), "-serial", f"file:{self.serial}"]
        command += ["-qmp", f"unix:{self.socket},server=on,wait=off", *arguments]
        log = self.folder / "qemu.log"
        try:
            with log.open("wb") as out:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    timeout=START_LIMIT,
                    check=False,
                )
        except BaseException:
            self.kill()
            raise
        if done.returncode:
            raise LabError(f"QEMU did not start: {process.tail(log)}")

    def kill(self) -> None:
        """End QEMU at once, as a power cut does; also one that was interrupted while it started."""
        end = time.monotonic() + 10
        while found := process.processes_with(str(self.pid_file)):
            for pid in found:
                process.kill(pid, str(self.pid_file))
            if time.monotonic() > end:
                raise LabError(f"QEMU does not end: {found}")
            time.sleep(0.02)

    def wait_gone(self, timeout: float) -> bool:
        """Wait until QEMU has ended by itself."""
        end = time.monotonic() + timeout
        while self.pid is not None:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def said(self, word: bytes) -> bool:
        """Return whether the guest wrote this word on its serial console."""
        try:
            return word in self.serial.read_bytes()
        except OSError:
            return False

    def wait_said(self, word: bytes, timeout: float, progress: process.Progress) -> None:
        """Wait until the guest has written this word."""
        end = time.monotonic() + timeout
        while not self.said(word):
            self.check(time.monotonic() < end)
            progress.tick()
            time.sleep(0.05)

    def check(self, in_time: bool) -> None:
        """Raise, with the end of the serial log, if the guest is dead or late."""
        if in_time and self.pid is not None:
            return
        why = "is not ready in time" if self.pid else "has died"
        qemu = process.tail(self.folder / "qemu.log", 5)
        raise LabError(f"{self.folder.name} {why}\n{qemu}\n{process.tail(self.serial, 30)}")

    def qmp(
        self, command: str, arguments: dict[str, Any] | None = None, timeout: float = 60
    ) -> Any:
        """Give QEMU one command and return its answer."""
        with contextlib.closing(Monitor(self.socket, timeout)) as monitor:
            return monitor.ask(command, arguments)


class Monitor:
    """A conversation with QEMU."""

    def __init__(self, path: Path, timeout: float = 60) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(str(path))
        except OSError as error:
            self.socket.close()
            raise LabError(f"no answer from {path}: {error}") from error
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.ask("qmp_capabilities")

    def close(self) -> None:
        """End the conversation."""
        self.file.close()
        self.socket.close()

    def ask(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """Return the answer to one command; events in between are dropped."""
        question = {"execute": command, **({"arguments": arguments} if arguments else {})}
        try:
            self.file.write(json.dumps(question) + "\n")
            self.file.flush()
            for line in self.file:
                answer = json.loads(line)
                if "error" in answer:
                    raise LabError(f"{command}: {answer['error']['desc']}")
                if "return" in answer:
                    return answer["return"]
        except OSError as error:
            raise LabError(f"{command}: {error}") from error
        raise LabError(f"{command}: QEMU has ended")


def free_port(wish: int | None) -> int:
    """Return a loopback port that nobody has now, the wished one if it is free."""
    candidates = [wish] if wish else []
    candidates += random.sample(PORTS, 50)
    for port in candidates:
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise LabError("no free port on the loopback interface")


def mac(name: str, card: int) -> str:
    """Return the address of a network card: always the same for the same host."""
    digest = hashlib.sha256(f"{name}/{card}".encode()).digest()
    return "52:54:00:" + digest[:3].hex(":")


def kernel_words(name: str, network_ip: str) -> str:
    """Return the kernel command line of a host."""
    machine_id = hashlib.sha256(f"machine {name}".encode()).hexdigest()[:32]
    words = f"{KERNEL_WORDS} systemd.hostname={name} systemd.machine_id={machine_id}"
    words += " lab.net0=10.0.2.15/24"
    return f"{words} lab.net1={network_ip}/24" if network_ip else words


def hardware(name: str, memory: int, port: int) -> list[str]:
    """Return the arguments for the machine itself and the network card that ssh uses."""
    forward = f"user,id=net0,hostfwd=tcp:127.0.0.1:{port}-:22"
    return [
        *("-name", name, "-machine", "q35", "-smp", "2", "-m", str(memory)),
        *("-device", "virtio-rng-pci", "-device", "pcie-root-port,id=port0,chassis=1"),
        *("-netdev", forward),
        *("-device", f"virtio-net-pci,netdev=net0,romfile=,mac={mac(name, 0)}"),
    ]


def joined_network(name: str, group: str) -> list[str]:
    """Return the arguments for a second card; hosts with the same group meet on it."""
    number = int.from_bytes(hashlib.sha256(group.encode()).digest()[:2], "big")
    where = f"mcast=230.0.{number >> 8}.{number & 255}:{10000 + number % 10000}"
    return [
        *("-netdev", f"socket,id=net1,{where},localaddr=127.0.0.1"),
        *("-device", f"virtio-net-pci,netdev=net1,romfile=,mac={mac(name, 1)}"),
    ]
