# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Boot a new image once: prove that it works, and make the disks with something on them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from . import disks, guest, paths
from .errors import LabError
from .process import Progress, say
from .qemu import SAYS_READY, SAYS_SSH, Machine
from .ssh import Ssh

if TYPE_CHECKING:
    from pathlib import Path

    from .image import Image

BOOT_LIMIT = 180
SCRIPT_LIMIT = 240


def prime(image: Image, work: Path, key: Path) -> None:
    """Complete an image with what only a running guest can make."""
    work.mkdir()
    disks.create(work, 0, None)
    layer = work / "root.qcow2"
    disks.overlay(layer, image.root)
    machine = Machine(work)
    progress = Progress("first boot of the image")
    port = guest.start(machine, image, layer, work, disks.DIRTY, guest.Shape(name="prime"))
    ssh = Ssh(work, port, key, image.folder / "known_hosts")
    try:
        machine.wait_said(SAYS_SSH, BOOT_LIMIT, progress)
        machine.qmp("device_add", disks.NVME_DEVICE)
        machine.wait_said(SAYS_READY, BOOT_LIMIT, progress)
        done = ssh.run(
            "sh -s", SCRIPT_LIMIT, capture=True, stdin=(paths.GUEST / "dirt.sh").read_text()
        )
        if done.returncode:
            raise LabError(f"dirt.sh failed in the new image:\n{done.stdout}{done.stderr}")
        say(f"first boot of the image: {progress.seconds:.0f} s, its test disks are prepared")
        ssh.run("systemctl poweroff", 20, capture=True)
        if not machine.wait_gone(60):
            raise LabError("the new image does not power off")
    finally:
        ssh.disconnect()
        machine.kill()
    image.dirt.mkdir()
    for disk in disks.DIRTY:
        shutil.move(disk.file(work), image.dirt)
