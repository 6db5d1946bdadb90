# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Make QEMU's direct boot fast: an unpacked kernel and an initramfs of a few modules."""

from __future__ import annotations

import lzma
import shutil
import stat
import struct
import subprocess
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# What stands between the kernel and its disks and network card. The SCSI disks are not needed to
# boot, but the kernel finds them meanwhile, and so udev looks at each of them once only.
BOOT_MODULES = (
    *("virtio_pci", "virtio_blk", "virtio_net", "ext4", "crc32c_generic"),
    *("virtio_scsi", "sd_mod", "sg"),
)
UNPACKERS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x02\x21\x4c\x18": "lz4"}


def unpack_kernel(bzimage: bytes) -> bytes | None:
    """Return the ELF kernel inside a bzImage: under TCG it is slow at unpacking itself."""
    setup_sectors = bzimage[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    begin = (setup_sectors + 1) * 512 + offset
    payload = bzimage[begin : begin + length]
    if payload.startswith(b"\x1f\x8b"):
        kernel = zlib.decompressobj(31).decompress(payload)
    elif payload.startswith(b"\xfd7zXZ\0"):
        kernel = lzma.LZMADecompressor().decompress(payload)
    else:
        tool = shutil.which(UNPACKERS.get(payload[:4], ""))
        if not tool:
            return None
        # What follows the packed kernel (its length) is no error.
        done = subprocess.run([tool, "-dc"], input=payload, capture_output=True, check=False)
        kernel = done.stdout
    return kernel if kernel.startswith(b"\x7fELF") else None


def load_order(tree: Path) -> list[Path]:
    """Return the files of the boot modules, each after the ones that modules.dep says it needs."""
    needs: dict[str, list[str]] = {}
    for line in (tree / "modules.dep").read_text().splitlines():
        module, _, others = line.partition(":")
        needs[module] = others.split()
    by_name = {module.rpartition("/")[2].partition(".")[0]: module for module in needs}
    order: list[str] = []

    def add(module: str) -> None:
        for other in reversed(needs[module]):
            add(other)
        if module not in order:
            order.append(module)

    for name in BOOT_MODULES:
        if name in by_name:
            add(by_name[name])
    return [tree / module for module in order]


def _module(file: Path) -> bytes:
    data = file.read_bytes()
    return lzma.decompress(data) if file.suffix == ".xz" else data


class _Cpio:
    """A newc archive: the same members give the same bytes."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.count = 0

    def add(
        self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        path = name.encode() + b"\0"
        self.count += 1
        fields = (self.count, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
        self._append(b"070701" + b"".join(b"%08X" % field for field in fields) + path)
        self._append(data)

    def _append(self, data: bytes) -> None:
        self.data += data + bytes(-len(data) % 4)


def initramfs(init: bytes, busybox: bytes, modules: list[Path]) -> bytes:
    """Return an initramfs that runs `init` with busybox and these modules."""
    archive = _Cpio()
    for folder in ("bin", "dev", "modules", "proc", "root", "sys"):
        archive.add(folder, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("bin/busybox", stat.S_IFREG | 0o755, busybox)
    archive.add("init", stat.S_IFREG | 0o755, init)
    for number, file in enumerate(modules):
        name = f"modules/{number:02}-{file.name.partition('.')[0]}.ko"
        archive.add(name, stat.S_IFREG | 0o644, _module(file))
    archive.add("TRAILER!!!", 0)
    return bytes(archive.data)
