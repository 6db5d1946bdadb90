# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Which QEMU runs the guests: without KVM, version 10 needs a quarter less time than 7.2."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import paths
from .errors import LabError
from .process import lock, watched

OWN = ("qemu-system-x86_64",)
FAST_ENOUGH = 10
SUITE = "trixie"
FETCH_LIMIT = 600


@functools.lru_cache(maxsize=1)
def command() -> tuple[str, ...]:
    """Return the machine's own QEMU, or before version 10 Debian 13's in a folder of the lab."""
    if _major(OWN) >= FAST_ENOUGH:
        return OWN
    tree = paths.home() / f"qemu-{SUITE}"
    with lock(tree.name, FETCH_LIMIT):
        if not tree.exists():
            _fetch(tree)
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    return (
        *(str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries)),
        *(str(tree / "usr/bin/qemu-system-x86_64"), "-L", str(tree / "usr/share/qemu")),
        *("-L", str(tree / "usr/share/seabios")),
    )


def version() -> str:
    """Return what names the state of a guest's memory: another QEMU may not understand it."""
    return f"qemu-{_major(command())}"


@functools.lru_cache(maxsize=2)
def _major(emulator: tuple[str, ...]) -> int:
    done = subprocess.run(
        [*emulator, "--version"], capture_output=True, text=True, timeout=30, check=False
    )
    found = re.search(r"version (\d+)\.", done.stdout)
    if not found:
        raise LabError(f"{emulator[0]} does not tell its version: {done.stdout}{done.stderr}")
    return int(found[1])


def _fetch(tree: Path) -> None:
    """Unpack the packages without installing them: nothing of this machine changes."""
    work = Path(tempfile.mkdtemp(prefix=f".{tree.name}-", dir=paths.home()))
    work.chmod(0o755)  # for the user of the namespace
    try:
        mirror = os.environ.get("POOLWRIGHT_LAB_MIRROR")
        fetch = ["mmdebstrap", "--variant=extract", "--include=qemu-system-x86"]
        fetch += ["--aptopt=APT::Install-Recommends false", "--format=tar", SUITE]
        fetch += [str(work / "tree.tar"), *([mirror] if mirror else [])]
        watched(fetch, work / "log", f"fetching QEMU of {SUITE}", FETCH_LIMIT)
        (work / "tree").mkdir()
        # As oneself: what an ordinary user has unpacked can be removed by that user.
        unpack = ["tar", "-xf", str(work / "tree.tar"), "--no-same-owner", "--exclude=./dev"]
        unpack += ["-C", str(work / "tree"), "./usr"]
        watched(unpack, work / "log", "unpacking QEMU", FETCH_LIMIT)
        (work / "tree").rename(tree)
    finally:
        shutil.rmtree(work, ignore_errors=True)
