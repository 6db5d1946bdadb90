# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Put the parts together: start one guest of an image with its root layer and disks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import accel, disks, paths, qemu
from .errors import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .image import Image

PORT_TRIES = 5


@dataclass(frozen=True)
class Shape:
    """What one host has that others may not."""

    name: str
    memory: int = 1024
    network_ip: str = ""
    port: int | None = None


def start(
    machine: qemu.Machine,
    image: Image,
    layer: Path,
    folder: Path,
    order: Sequence[disks.Disk],
    shape: Shape,
    extra: Sequence[str] = (),
) -> int:
    """Start a guest and return the port on which its ssh is forwarded."""
    for attempt in range(PORT_TRIES):
        port = qemu.free_port(shape.port if attempt == 0 else None)
        arguments = [
            *qemu.hardware(shape.name, shape.memory, port),
            *accel.arguments(image.folder / "vmlinuz"),
            *image.boot_arguments(),
            *("-append", qemu.kernel_words(shape.name, shape.network_ip)),
            *disks.node("root", layer, "qcow2"),
            *("-device", "virtio-blk-pci,drive=root,id=root0,serial=LABROOT"),
            *(qemu.joined_network(shape.name, _group()) if shape.network_ip else ()),
            *disks.arguments(folder, order),
            *extra,
        ]
        try:
            machine.start(arguments)
        except LabError as error:
            if "forwarding" not in str(error):
                raise
            continue
        return port
    raise LabError("no free port on the loopback interface")


def _group() -> str:
    """Hosts of the same user and folder meet; those of another lab on this machine do not."""
    return f"{os.getuid()} {paths.home()}"
