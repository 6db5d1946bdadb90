# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""The test disks: what they are called, what is on them, and how QEMU attaches them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .process import quietly

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Disk:
    """One disk of a host. The serial number says what is on it."""

    name: str
    serial: str
    wwn: str
    size: int

    def file(self, folder: Path) -> Path:
        """Return the raw file behind the disk."""
        return folder / f"{self.name}.raw"


def _dirty(number: int, kind: str) -> Disk:
    return Disk(kind, f"LAB{kind.upper()}", f"0x5000c500d000000{number}", 512 * MIB)


def blank(count: int) -> list[Disk]:
    """Return the blank SCSI disks of a host."""
    return [
        Disk(f"blank{n}", f"LABBLANK{n}", f"0x5000c500a00000{n:02x}", 2 * GIB) for n in range(count)
    ]


# guest/dirt.sh puts these contents on them, once for each image.
DIRTY = [_dirty(n, kind) for n, kind in enumerate(("ext4", "lvm", "gpt", "luks", "swap", "random"))]
MULTIPATH = Disk("mpath", "LABMPATH0", "0x5000c500b0000000", GIB)
MULTIPATH_PATHS = ("mpa", "mpb")
VIRTIO = Disk("virtio", "LABVIRTIO0", "", GIB)
NVME = Disk("nvme", "LABNVME0", "", GIB)

# NVMe is plugged into this port after boot: QEMU cannot save a machine that began with one.
NVME_DEVICE: dict[str, object] = {
    "driver": "nvme",
    "id": "nvme0",
    "bus": "port0",
    "drive": NVME.name,
    "serial": NVME.serial,
}


def scsi_disks(count: int) -> list[Disk]:
    """Return all disks that sit on the first SCSI controller."""
    return [*blank(count), *DIRTY]


def create(folder: Path, blank_count: int, dirt: Path | None) -> None:
    """Make the files of all disks; the dirty ones are copies of what the image came with."""
    folder.mkdir(parents=True, exist_ok=True)
    for disk in [*blank(blank_count), MULTIPATH, VIRTIO, NVME, *([] if dirt else DIRTY)]:
        with disk.file(folder).open("wb") as handle:
            handle.truncate(disk.size)
    if dirt:
        copy_sparse([disk.file(dirt) for disk in DIRTY], folder)


def copy_sparse(files: Iterable[Path], folder: Path) -> None:
    """Copy files without writing their holes; where the file system can, share their blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    quietly(["cp", "--sparse=always", "--reflink=auto", *map(str, files), str(folder)], 300)


def overlay(path: Path, backing: Path) -> None:
    """Make the writable layer over a root disk that stays pristine."""
    layer = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(backing), "-F", "raw", str(path)]
    quietly(layer)


def node(name: str, path: Path, driver: str = "raw", *, shared: bool = False) -> list[str]:
    """Return the arguments that open a file as a block node.

    A completed write is in the page cache of the outer machine and survives SIGKILL. Flushes are
    passed no further than that: only a crash of the outer machine could tell the difference.
    """
    cache = {"direct": False, "no-flush": True}
    file: dict[str, object] = {"driver": "file", "filename": str(path), "cache": cache}
    if driver == "raw":
        file["discard"] = "unmap"
    if shared:
        file["locking"] = "off"
    spec = {"driver": driver, "node-name": name, "discard": "unmap", "cache": cache, "file": file}
    return ["-blockdev", json.dumps(spec)]


def path_device(path: str) -> dict[str, object]:
    """Return the device of one path to the multipath disk."""
    return {
        **_scsi(MULTIPATH, f"{path}.0", 0),
        "drive": path,
        "id": f"{path}-disk",
        "share-rw": True,
    }


def arguments(folder: Path, order: Sequence[Disk]) -> list[str]:
    """Return the QEMU arguments for all disks; the order decides the logical unit numbers."""
    found = ["-device", "virtio-scsi-pci,id=scsi0,num_queues=1"]
    for unit, disk in enumerate(order):
        found += node(disk.name, disk.file(folder))
        found += ["-device", json.dumps(_scsi(disk, "scsi0.0", unit))]
    for path in MULTIPATH_PATHS:
        found += ["-device", f"virtio-scsi-pci,id={path},num_queues=1"]
        found += node(path, MULTIPATH.file(folder), shared=True)
        found += ["-device", json.dumps(path_device(path))]
    found += node(VIRTIO.name, VIRTIO.file(folder))
    found += ["-device", f"virtio-blk-pci,drive={VIRTIO.name},id=vblk0,serial={VIRTIO.serial}"]
    return [*found, *node(NVME.name, NVME.file(folder))]


def _scsi(disk: Disk, bus: str, unit: int) -> dict[str, object]:
    return {
        "driver": "scsi-hd",
        "id": f"disk-{disk.name}",
        "drive": disk.name,
        "bus": bus,
        "channel": 0,
        "scsi-id": 0,
        "lun": unit,
        "serial": disk.serial,
        "wwn": int(disk.wwn, 16),
        "vendor": "LAB",
        "product": disk.serial.removeprefix("LAB"),
        "write-cache": "on",
    }
