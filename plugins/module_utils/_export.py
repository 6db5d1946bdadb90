# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A volume's content as a file: where it may be, whether it is there, and the steps to it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ._host import SECTOR, SIZE, Node, Reader
from ._model import PLAIN, File, Filling, Permissions, Pool, Refused, Source, Target
from ._plan import Steps
from ._size import show
from ._tools import files, qemu_img
from ._tools import filling as tool
from ._volumes import content
from ._volumes.files import leftovers

_FOLDERS = ("dir", "fs", "netfs")


@dataclass(frozen=True)
class Dest:
    """A file that is there, or ``None`` and ``None``, in the directory ``place``."""

    path: str
    place: File
    file: File | None
    node: Node | None
    left: tuple[File, ...] = ()  # by interrupted runs

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def find(host: Reader, path: str, pools: t.Sequence[Pool]) -> Dest:
    """Where a file is to be; raises `Refused` where none of ours may be."""
    folder = files.folder(path)
    place, stray = host.file(folder), host.stray(folder)
    above = host.node(folder)
    fault = ""
    if place is None or above is None or above.kind != "dir":
        fault = f"there is no directory {folder}. Make it first, or correct dest"
    elif stray:
        fault = files.led(folder, stray).rstrip(".")
    else:
        node = None if host.link(path) else host.node(path)
        real = host.real(folder)
        homes = [p for p in pools if p.type in _FOLDERS]
        home = next((p.name for p in homes if f"{real}/".startswith(f"{p.path}/")), "")
        if home:
            fault = f"{path} is in pool {home}. Make it a volume there, with clone_from"
        elif host.link(path) or (node and node.kind != "file"):
            fault = f"{path} is there, and is no file. Correct dest, or remove it"
        else:
            left = tuple(leftovers(host, folder))
            return Dest(path, place, host.file(path) if node else None, node, left)
    raise Refused(f"Nothing was changed: {fault}.")


def part(source: Source, start: int, count: int) -> Source:
    """A part of what a volume has, with the rest where ``count`` is 0."""
    most = source.size if source.format in PLAIN else source.capacity
    if not start and not count:
        return source
    if start + max(count, 1) > most:
        raise Refused(
            f"Nothing was changed: {source.shown} has {show(most)}, and "
            f"{f'{show(count)} from' if count else 'what begins at'} {show(start)} is wanted. "
            "Correct offset and length."
        )
    if source.format not in PLAIN and (start % SECTOR or count % SECTOR):
        raise Refused(
            f"Nothing was changed: of a {source.format} image, offset and length are multiples of "
            f"{SECTOR} bytes."
        )
    return replace(source, start=start, count=count or most - start)


def filling(source: Source, dest: Dest, format: str) -> Filling:
    """How the file is filled; a part of an image is raw where nothing else is said."""
    whole = not source.count
    own = format or (source.format if whole or source.format in PLAIN else "raw")
    target, made = Target(), own in qemu_img.MADE
    convert = qemu_img.converting(own) if whole else qemu_img.converting_part(own)
    return content.filling(
        dest.name,
        source,
        source.format,
        format=own,
        capacity=source.count,
        alike=whole,
        reflink="auto" if whole else "never",
        make=(*qemu_img.creating(own, 0, target), SIZE) if made else (),
        convert=convert,
    )


def equal(host: Reader, how: Filling, dest: Dest) -> bool:
    """Whether the file has that content: byte for byte, or as a guest sees it."""
    source, size = how.source, dest.node.size if dest.node else 0
    if how.copies(source.format, source.capacity):
        count = source.count or source.size
        return size == count and host.same(source.path, source.start, count, dest.path)
    image = qemu_img.read(host.head(dest.path, False).header)
    plain = how.format in PLAIN
    if not plain and (image.format != how.format or image.backing_path):
        return False
    if (size if plain else image.capacity) != (source.count or source.capacity):
        return False
    return qemu_img.alike(host, source, dest.path, how.format)


def make(how: Filling, dest: Dest, wanted: Permissions) -> Steps:
    for left in dest.left:
        text = f"remove {left.path}, which an interrupted run left"
        yield files.remove_from(dest.place, left, text)
    text = f"write {how.source.shown} to {dest.path}"
    yield tool.file(dest.place, how, text)
    if dest.file:
        yield files.replace(dest.place, dest.file, wanted, "overwrite")
    else:
        yield files.publish(dest.place, dest.name, wanted)


def permit(dest: Dest, wanted: Permissions) -> Steps:
    there = dest.node.permissions if dest.node else Permissions()
    yield from files.permissions(dest.path, wanted, there, dest.file, dest.place)
