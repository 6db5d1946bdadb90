# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Image files: which format a header tells (pure), and qemu-img, which makes and resizes them.

Formats, their magic and their order are libvirt's; see https://libvirt.org/formatstorage.html
and, for qcow2, docs/interop/qcow2.txt of QEMU.
"""

from __future__ import annotations

import struct
import typing as t
from dataclasses import dataclass

from .._plan import Action, run

# What a new volume can be; others are seen and kept.
CREATABLE = ("raw", "qcow2")


@dataclass(frozen=True)
class Image:
    """What a header says; ``capacity`` is ``None`` where only the file's size tells."""

    format: str
    capacity: int | None = None
    compat: str = ""
    cluster_size: int = 0
    features: tuple[str, ...] = ()
    backing_path: str = ""
    backing_format: str = ""


class _Kind(t.NamedTuple):
    format: str
    magic: bytes
    at: int
    version: tuple[str, int, tuple[int, ...]]  # struct format, offset, accepted values
    capacity: tuple[str, int, int]  # struct format, offset, unit in bytes


_KINDS = (
    _Kind("iso", b"CD001", 32769, ("", 0, ()), ("", 0, 0)),
    _Kind("vpc", b"conectix", 0, (">I", 12, (0x10000,)), (">Q", 40, 1)),
    _Kind("vdi", b"\x7f\x10\xda\xbe", 64, ("<I", 68, (0x00010001,)), ("<Q", 368, 1)),
    _Kind("ploop", b"WithouFreSpacExt", 0, ("", 0, ()), ("<Q", 36, 512)),
    _Kind("cow", b"OOOM", 0, (">I", 4, (2,)), (">Q", 1036, 1)),
    _Kind("qcow", b"QFI\xfb", 0, (">I", 4, (1,)), (">Q", 24, 1)),
    _Kind("qcow2", b"QFI\xfb", 0, (">I", 4, (2, 3)), (">Q", 24, 1)),
    _Kind("qed", b"QED\0", 0, ("", 0, ()), ("<Q", 48, 1)),
    _Kind("vmdk", b"KDMV", 0, ("<I", 4, (1, 2, 3)), ("<Q", 12, 512)),
)

_BACKING_FORMAT = 0xE2792ACA  # header extension
_LAZY_REFCOUNTS = 1 << 0  # compatible feature
_DATA_FILE = 1 << 2  # incompatible features
_EXTENDED_L2 = 1 << 4


def read(header: bytes) -> Image:
    """The image that begins with ``header``; what nothing else claims is raw."""
    for kind in _KINDS:
        if not header.startswith(kind.magic, kind.at):
            continue
        layout, at, accepted = kind.version
        if layout and _number(header, layout, at) not in accepted:
            continue
        layout, at, unit = kind.capacity
        count = _number(header, layout, at) if layout else None
        capacity = None if count is None else count * unit
        return _qcow2(header, capacity) if kind.format == "qcow2" else Image(kind.format, capacity)
    return Image("raw")


def create(text: str, path: str, format: str, capacity: int) -> Action:
    """Makes an image; qemu-img counts in sectors and rounds up to them."""
    argv = ("qemu-img", "create", "-q", "-f", format, "-o", "compat=1.1", path, str(capacity))
    return run(text, *argv)


def resize(text: str, path: str, format: str, capacity: int, shrink: bool) -> Action:
    flags = ["--shrink"] if shrink else []
    argv = ("qemu-img", "resize", "-q", "-f", format, *flags, path, str(capacity))
    return run(text, *argv, risk="shrink" if shrink else "")


def _qcow2(header: bytes, capacity: int | None) -> Image:
    version = _number(header, ">I", 4)
    offset, length = _number(header, ">Q", 8) or 0, _number(header, ">I", 16) or 0
    backing = header[offset : offset + length] if offset and length < 1024 else b""
    features = []
    if version == 3:
        incompatible, compatible = _number(header, ">Q", 72) or 0, _number(header, ">Q", 80) or 0
        known = (
            (compatible & _LAZY_REFCOUNTS, "lazy_refcounts"),
            (incompatible & _EXTENDED_L2, "extended_l2"),
            (incompatible & _DATA_FILE, "data_file"),
        )
        features = [name for bit, name in known if bit]
    return Image(
        "qcow2",
        capacity,
        "1.1" if version == 3 else "",
        1 << (_number(header, ">I", 20) or 0) if version == 3 else 0,  # as libvirt shows it
        tuple(features),
        backing.decode("utf-8", "surrogateescape"),
        _backing_format(header, version),
    )


def _backing_format(header: bytes, version: int | None) -> str:
    at = 72 if version == 2 else _number(header, ">I", 100) or 104
    while at + 8 <= len(header):
        kind, length = struct.unpack_from(">II", header, at)
        if kind == 0:
            break
        if kind == _BACKING_FORMAT:
            return header[at + 8 : at + 8 + length].decode("ascii", "replace")
        at += 8 + -(-length // 8) * 8
    return ""


def _number(header: bytes, layout: str, at: int) -> int | None:
    if len(header) < at + struct.calcsize(layout):
        return None
    return int(struct.unpack_from(layout, header, at)[0])
