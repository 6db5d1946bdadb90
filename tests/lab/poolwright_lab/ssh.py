# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""ssh into a host over one connection that is kept."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import LabError

if TYPE_CHECKING:
    from pathlib import Path

CONNECT_LIMIT = 60
TIMED_OUT = 124


@dataclass(frozen=True)
class Ssh:
    """How to reach one host."""

    folder: Path
    port: int
    key: Path
    known_hosts: Path

    @property
    def control(self) -> Path:
        """The socket of the kept connection."""
        return self.folder / "ssh.sock"

    def options(self) -> list[str]:
        """Return the options that every connection needs, without port and key."""
        chosen = {
            "HostKeyAlias": "poolwright-lab",
            "UserKnownHostsFile": str(self.known_hosts),
            "StrictHostKeyChecking": "yes",
            "KexAlgorithms": "curve25519-sha256",
            "LogLevel": "ERROR",
            "ConnectTimeout": "20",
            "ServerAliveInterval": "15",
            "ServerAliveCountMax": "8",
        }
        words = ["-F", "none"]
        for name, value in chosen.items():
            words += ["-o", f"{name}={value}"]
        return words

    def arguments(self) -> list[str]:
        """Return an ssh command that uses the kept connection if there is one."""
        there = ["-i", str(self.key), "-p", str(self.port), "-o", f"ControlPath={self.control}"]
        return ["ssh", *self.options(), *there, "root@127.0.0.1"]

    def connect(self) -> None:
        """Open the connection that is kept; it holds no file of the caller open."""
        if self.control.exists() and self._control("check"):
            return
        self.control.unlink(missing_ok=True)
        # ssh reads its options up to the host name: these go in front of it.
        command = self.arguments()
        command[1:1] = ["-M", "-N", "-f", "-o", "ControlPersist=900"]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            timeout=CONNECT_LIMIT,
            check=False,
        )
        if done.returncode:
            raise LabError(f"no ssh connection to {self.folder.name} on port {self.port}")

    def disconnect(self) -> None:
        """Close the kept connection."""
        if self.control.exists():
            self._control("exit")
        self.control.unlink(missing_ok=True)

    def _control(self, what: str) -> bool:
        command = self.arguments()
        command[1:1] = ["-O", what]
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=5,
                check=False,
            )
            return done.returncode == 0
        return False

    def run(
        self, command: str, timeout: float, *, capture: bool, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command in the guest; it is ended there and here when its time is over."""
        self.connect()
        bounded = f"timeout -k 5 {timeout:g} sh -c {shlex.quote(command)}"
        pipe = subprocess.PIPE if capture else None
        try:
            return subprocess.run(
                [*self.arguments(), bounded],
                input=stdin,
                stdin=subprocess.DEVNULL if capture and stdin is None else None,
                stdout=pipe,
                stderr=pipe,
                text=True,
                errors="replace",
                timeout=timeout + 15,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, TIMED_OUT, "", "no answer from the host\n")
