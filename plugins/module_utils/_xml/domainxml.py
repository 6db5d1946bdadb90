# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a guest needs of its host's storage, as its definition says."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from . import tree

# A status of a guest that runs, and a snapshot, hold a whole definition of a guest.
_GUESTS = ("domain", "inactiveDomain")
# Elements whose text is a path: of files that a guest boots from, and of a device that it is given
_PATHS = ("loader", "nvram", "kernel", "initrd", "dtb", "block")


@dataclass(frozen=True)
class Disk:
    """A path and the format that it is read as, the name of a ``volume`` in a ``pool``, or a LUN.

    The format is "" of what holds no image.  ``lun`` is a SCSI address, such as 2:0:0:1.
    """

    path: str = ""
    format: str = ""
    pool: str = ""
    volume: str = ""
    lun: str = ""


@dataclass(frozen=True)
class Guest:
    name: str
    disks: tuple[Disk, ...]


def parse(text: str, limit: int = tree.LIMIT) -> Guest | None:
    """The guest of a definition, a status or a snapshot; raises `Wrong` of what is no XML."""
    root = tree.read(text, limit)
    guests = [node for node in _all(root) if node.tag in _GUESTS]
    if not guests:
        return None
    needed = dict.fromkeys(disk for node in (root, *guests) for disk in _disks(node))
    return Guest(guests[0].said("name"), tuple(needed))


def _disks(guest: tree.Node) -> t.Iterator[Disk]:
    for node in _all(guest):
        if node.tag in _PATHS and node.text.strip().startswith("/"):
            yield Disk(node.text.strip())
        format = node.get("type", "driver") or node.get("type", "format")
        for source in node.all("source"):
            volume, path = source.get("volume"), ""
            for attribute in ("file", "dev", "dir"):
                path = path or source.get(attribute)
            if volume or path.startswith("/"):
                yield Disk(path, format, source.get("pool"), volume)
            adapter = re.fullmatch(r"scsi_host(\d+)", source.get("name", "adapter"))
            if adapter:
                parts = (source.get(part, "address") for part in ("bus", "target", "unit"))
                yield Disk(lun=":".join((adapter[1], *parts)))


def _all(node: tree.Node) -> t.Iterator[tree.Node]:
    yield node
    for child in node.children:
        if child.tag != "metadata":  # which is somebody else's
            yield from _all(child)
