# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Boot once for many: a new host of the usual shape goes on from the memory of a booted one.

Under TCG a boot costs half a minute of processor time for each host, and going on three seconds.
"""

from __future__ import annotations

import secrets
import shlex
import time
from typing import TYPE_CHECKING

from . import emulator
from .process import lock, say

if TYPE_CHECKING:
    from pathlib import Path

    from .host import Host
    from .image import Image

BOOT_LIMIT = 600

# The generator of random numbers goes on too: without new seed two hosts would make equal UUIDs.
RESEED = 'python3 -c \'import fcntl; fcntl.ioctl(open("/dev/urandom", "wb"), 0x5207)\''


def folder(image: Image, libvirt: bool) -> Path:
    """Return where the state of a booted host of this image is kept."""
    return image.folder / f"warm-{emulator.version()}{'' if libvirt else '-without-libvirt'}"


def ensure(image: Image, libvirt: bool, template: Host) -> Path:
    """Return the kept state; the first time, boot the template host and keep its state."""
    kept = folder(image, libvirt)
    with lock(f"warm-{image.folder.name}-{libvirt}", BOOT_LIMIT):
        if kept.exists():
            return kept
        say(f"booting a host of {image.folder.name} once, from which others go on")
        try:
            template.boot_new(image, libvirt)
            template.save(go_on=False)
            if (template.saved / "memory").exists():
                (template.saved / "host.json").unlink()
                template.saved.rename(kept)
        finally:
            template.destroy()
    return kept


def wake(host: Host) -> None:
    """Tell a guest that went on from a file who it is and what time it is."""
    words = [
        f"date -s @{time.time():.0f}",
        f"/usr/local/sbin/lab-identity {shlex.quote(host.name)}",
        f"echo {secrets.token_hex(64)} >/dev/urandom",
        RESEED,
    ]
    host.run(" && ".join(words), timeout=60)
