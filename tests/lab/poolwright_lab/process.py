# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Commands with a bound, signs of life while they run, locks, and signals to the right process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import paths
from .errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SIGN_OF_LIFE = 8.0


def say(line: str) -> None:
    """Tell the person at the terminal what goes on."""
    print(line, file=sys.stderr, flush=True)


class Progress:
    """Prints a line now and then, so that no minute is silent."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.began = self.last = time.monotonic()

    @property
    def seconds(self) -> float:
        """Return how long it has taken so far."""
        return time.monotonic() - self.began

    def tick(self, detail: str = "") -> None:
        """Print a line if the last one is long ago."""
        if time.monotonic() - self.last >= SIGN_OF_LIFE:
            self.last = time.monotonic()
            say(f"{self.what}: {self.seconds:.0f} s {detail}".rstrip())


def quietly(command: Sequence[str], timeout: float = 60) -> None:
    """Run a short command; what it printed is shown only if it fails."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise LabError(f"{command[0]} failed ({done.returncode}): {done.stdout.strip()}")


def watched(
    command: Sequence[str],
    log: Path,
    what: str,
    timeout: float,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a long command into a log file, with signs of life; kill all of it when interrupted."""
    progress = Progress(what)
    with log.open("ab") as out:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )
        try:
            while child.poll() is None:
                if progress.seconds > timeout:
                    raise LabError(f"{what}: not done in {timeout:.0f} s\n{tail(log)}")
                progress.tick(tail(log, 1)[:90])
                time.sleep(0.1)
        finally:
            if child.poll() is None:
                _end_group(child)
    if child.returncode:
        raise LabError(f"{what}: {command[0]} failed ({child.returncode})\n{tail(log)}")


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Ask a command and its children to clean up and end; insist after ten seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(10)
            return


def tail(log: Path, lines: int = 25) -> str:
    """Return the last lines of a file that may be missing or hold any bytes."""
    try:
        text = log.read_bytes()[-20000:].decode(errors="replace")
    except OSError:
        return ""
    found = [line for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return "\n".join(found[-lines:])


@contextlib.contextmanager
def lock(name: str, timeout: float) -> Iterator[None]:
    """Hold a lock that ends with this process; wait for it no longer than the bound."""
    progress = Progress(f"waiting for another lab command ({name})")
    with (paths.locks() / name).open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if progress.seconds > timeout:
                    raise LabError(f"another lab command holds {name} for too long") from None
                progress.tick()
                time.sleep(0.1)
        yield


def has_argument(pid: int, argument: str) -> bool:
    """Return whether that process runs now and was started with that argument."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(") ")[2][:1]
    except OSError:
        return False
    return os.fsencode(argument) in arguments and state not in "ZX"


def processes_with(argument: str) -> list[int]:
    """Return every process that was started with that argument."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in numbers if has_argument(pid, argument)]


def kill(pid: int, argument: str) -> None:
    """SIGKILL a process, but only the one that was started with that argument.

    The file descriptor names the process, not its number: if the number was given to another
    process meanwhile, either the check fails or the signal goes nowhere.
    """
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if has_argument(pid, argument):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
    finally:
        os.close(handle)
