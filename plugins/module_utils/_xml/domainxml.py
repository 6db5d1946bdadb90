# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a guest needs of its host's storage, as its definition says."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import tree

# A status of a guest that runs, and a snapshot, hold a whole definition of a guest.
_GUESTS = ("domain", "inactiveDomain")
# Files that a guest boots from
_BOOT = ("loader", "nvram", "kernel", "initrd", "dtb")


@dataclass(frozen=True)
class Disk:
    """A path and the format that it is read as, or the name of a ``volume`` in a ``pool``.

    The format is "" of what holds no image.
    """

    path: str = ""
    format: str = ""
    pool: str = ""
    volume: str = ""


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
        if node.tag in _BOOT and node.text.strip().startswith("/"):
            yield Disk(node.text.strip())
        format = node.get("type", "driver") or node.get("type", "format")
        for source in node.all("source"):
            volume, path = source.get("volume"), ""
            for attribute in ("file", "dev", "dir"):
                path = path or source.get(attribute)
            if volume or path.startswith("/"):
                yield Disk(path, format, source.get("pool"), volume)


def _all(node: tree.Node) -> t.Iterator[tree.Node]:
    yield node
    for child in node.children:
        yield from _all(child)
