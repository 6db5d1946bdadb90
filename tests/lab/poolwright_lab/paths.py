# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Where the lab keeps its files: one folder in the cache, nothing in the checkout."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .errors import LabError

GUEST = Path(__file__).resolve().parent.parent / "guest"

# The kernel's limit for the path of a Unix socket is 107 bytes; ssh appends 17 while it connects.
LONGEST_FOLDER = 107 - 17 - len("/ssh.sock")


def home() -> Path:
    """Return the folder of all images and hosts, made when it is missing."""
    given = os.environ.get("POOLWRIGHT_LAB_HOME")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(given) if given else Path(cache) / "poolwright-lab"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def images() -> Path:
    """Return the folder in which each image has a folder named after its suite and key."""
    return _made(home() / "images")


def hosts() -> Path:
    """Return the folder in which each host has a folder with its name."""
    return _made(home() / "hosts")


def locks() -> Path:
    """Return the folder of the lock files."""
    return _made(home() / "locks")


def host_folder(name: str) -> Path:
    """Return the folder of one host; it need not exist yet."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        raise LabError(f"{name!r} is no host name: use a-z, 0-9 and -, at most 31 characters")
    folder = hosts() / name
    if len(os.fsencode(folder)) > LONGEST_FOLDER:
        raise LabError(
            f"{folder} is too long for a socket: set POOLWRIGHT_LAB_HOME to a shorter one"
        )
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
