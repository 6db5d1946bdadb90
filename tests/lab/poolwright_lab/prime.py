# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Boot a new image once: prove it, make the dirty disks and the layer without libvirt."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from . import disks, guest, paths
from .errors import LabError
from .process import Progress, say
from .qemu import SAYS_SSH, Machine
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
    layer = work / image.without_libvirt.name
    disks.overlay(layer, str(image.root), "raw")
    machine = Machine(work)
    progress = Progress("first boot of the image")
    port = guest.start(machine, image, layer, work, disks.DIRTY, guest.Shape(name="prime"))
    ssh = Ssh(work, port, key, image.folder / "known_hosts")
    try:
        machine.wait_said(SAYS_SSH, BOOT_LIMIT, progress)
        _script(ssh, "dirt.sh")
        say(f"first boot of the image: {progress.seconds:.0f} s, its test disks are prepared")
        _script(ssh, "remove-libvirt.sh")
        ssh.run("systemctl poweroff", 20, capture=True)
        if not machine.wait_gone(60):
            raise LabError("the new image does not power off")
    finally:
        ssh.disconnect()
        machine.kill()
    image.dirt.mkdir()
    for disk in disks.DIRTY:
        shutil.move(disk.file(work), image.dirt)
    # Relative: the folder of the image gets its name only later.
    disks.rebase(layer, image.root.name)
    shutil.move(layer, image.without_libvirt)


def _script(ssh: Ssh, name: str) -> None:
    text = (paths.GUEST / name).read_text()
    done = ssh.run("sh -s", SCRIPT_LIMIT, capture=True, stdin=text)
    if done.returncode:
        raise LabError(f"{name} failed in the new image:\n{done.stdout}{done.stderr}")
