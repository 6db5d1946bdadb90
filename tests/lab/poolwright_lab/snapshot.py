# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Keep the memory of a running guest in a file and start it from there."""

from __future__ import annotations

import contextlib
import shlex
import time
from typing import TYPE_CHECKING

from .errors import LabError
from .qemu import Machine, Monitor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT = 120

# Exits 0 if nothing in the guest uses the NVMe disk.
NVME_IS_IDLE = """
cd /sys/block/nvme0n1 || exit 1
for user in holders/* nvme0n1p*/holders/*; do
    [ ! -e "$user" ] || exit 1
done
! grep -q '^/dev/nvme' /proc/mounts /proc/swaps
"""


@contextlib.contextmanager
def standing_still(machine: Machine, memory: Path | None) -> Iterator[None]:
    """Stop the guest, write its memory to a file, and let it go on when the block ends."""
    with contextlib.closing(Monitor(machine.socket, LIMIT)) as monitor:
        monitor.ask("stop")
        try:
            if memory:
                _write_memory(monitor, memory)
            yield
        finally:
            monitor.ask("cont")


def _write_memory(monitor: Monitor, memory: Path) -> None:
    monitor.ask("migrate-set-parameters", {"max-bandwidth": 1 << 34})
    monitor.ask("migrate", {"uri": f"exec:cat > {shlex.quote(str(memory))}"})
    end = time.monotonic() + LIMIT
    while (status := monitor.ask("query-migrate").get("status")) != "completed":
        if status in ("failed", "cancelled") or time.monotonic() > end:
            monitor.ask("migrate_cancel")
            raise LabError(f"the memory of the guest could not be saved ({status})")
        time.sleep(0.05)


def incoming(memory: Path) -> list[str]:
    """Return the QEMU arguments that start a guest from a file."""
    return ["-incoming", f"exec:cat {shlex.quote(str(memory))}"]


def go_on(machine: Machine) -> None:
    """Wait until the memory has been read, and let the guest run."""
    with contextlib.closing(Monitor(machine.socket, LIMIT)) as monitor:
        end = time.monotonic() + LIMIT
        while monitor.ask("query-status")["status"] == "inmigrate":
            machine.check(time.monotonic() < end)
            time.sleep(0.02)
        monitor.ask("cont")


def unplug(machine: Machine, device: str) -> None:
    """Take a device out of a running guest and wait until the guest has let go of it."""
    with contextlib.closing(Monitor(machine.socket, LIMIT)) as monitor:
        monitor.ask("device_del", {"id": device})
        end = time.monotonic() + 20
        while any(
            found["name"] == device
            for found in monitor.ask("qom-list", {"path": "/machine/peripheral"})
        ):
            if time.monotonic() > end:
                raise LabError(f"the guest does not let go of {device}")
            time.sleep(0.05)
