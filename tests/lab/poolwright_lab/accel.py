# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Decide how guests run: with KVM only where a guest kernel really boots with it."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from . import emulator, paths

if TYPE_CHECKING:
    from pathlib import Path

TRIAL_SECONDS = 6


def arguments(kernel: Path) -> list[str]:
    """Return the QEMU arguments that choose the accelerator and the processor."""
    if chosen(kernel) == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "qemu64"]


def chosen(kernel: Path) -> str:
    """Return kvm or tcg, tried once for each boot of the outer machine."""
    wanted = os.environ.get("POOLWRIGHT_LAB_ACCEL")
    if wanted in ("kvm", "tcg"):
        return wanted
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as handle:
        boot = handle.read().strip()
    cache = paths.home() / "accel.json"
    try:
        known = json.loads(cache.read_text())
        if known["boot"] == boot:
            return str(known["accel"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = "kvm" if _kvm_boots(kernel) else "tcg"
    partial = cache.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps({"boot": boot, "accel": found}))
    partial.replace(cache)
    return found


def _kvm_boots(kernel: Path) -> bool:
    """Boot a kernel without a root disk: it works if the kernel gets as far as to say so."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    command = [*emulator.OWN, "-machine", "q35", "-accel", "kvm", "-cpu", "host"]
    command += ["-m", "256", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"]
    command += ["-kernel", str(kernel), "-append", "console=ttyS0 panic=-1 root=none"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TRIAL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and b"Unable to mount root" in done.stdout
