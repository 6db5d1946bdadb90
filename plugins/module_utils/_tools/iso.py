# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Seeds of cloud-init: small CDs, as its data source NoCloud finds them.

They are made by whatever tool is there.  What is on one is read from its second directory, which
has whole names (Joliet), so that it does not matter by which tool, and when, it was made.
"""

from __future__ import annotations

import struct
import typing as t

from .._host import HERE, SEEDS, Reader
from .._model import File, Seed, Volume
from .._plan import Action, call
from . import files

LABEL = "cidata"
# In this order; each takes the words of mkisofs.
_TOOLS = {"xorriso": ("xorriso", "-as", "mkisofs"), "genisoimage": (), "mkisofs": ()}
_LARGEST = 64 << 20
_BLOCK, _FIRST = 2048, 16
_JOLIET = (b"%/@", b"%/C", b"%/E")
_FOLDER = 2  # a flag of an entry


def tool(host: Reader) -> tuple[str, ...]:
    """The words with which a tool of this host begins; none where there is none."""
    found = (words or (name,) for name, words in _TOOLS.items() if host.has(name))
    return next(found, ())


def look(host: Reader, file: File) -> Seed | None:
    """What is on a seed; ``None`` where a file is none."""
    return read(host.content(file, _LARGEST))


def read(image: bytes) -> Seed | None:
    """The same of a file's bytes."""
    label, root = "", None
    try:
        for place in range(_FIRST * _BLOCK, len(image), _BLOCK):
            kind, magic = image[place], image[place + 1 : place + 6]
            if magic != b"CD001" or kind == 255:
                break
            if kind == 1:
                label = image[place + 40 : place + 72].decode("ascii").rstrip()
            if kind == 2 and image[place + 88 : place + 91] in _JOLIET:
                root = _extent(image, image, place + 156)
        if label != LABEL or root is None:
            return None
        return Seed(tuple(sorted(_entries(image, root))))
    except (ValueError, IndexError, struct.error):  # of no disk that a tool has made
        return None


def _extent(image: bytes, folder: bytes, place: int) -> bytes:
    """What the entry at a place of a directory leads to."""
    block, size = (struct.unpack_from("<I", folder, place + at)[0] for at in (2, 10))
    return image[block * _BLOCK : block * _BLOCK + size]


def _entries(image: bytes, folder: bytes) -> t.Iterator[tuple[str, bytes]]:
    """The files of a directory; the first two entries are itself and what it is in."""
    for start in range(0, len(folder), _BLOCK):  # none of them crosses a block
        place = start
        while place < min(start + _BLOCK, len(folder)) and folder[place]:
            length = folder[place + 32]
            name = folder[place + 33 : place + 33 + length]
            if length > 1:
                if folder[place + 25] & _FOLDER:
                    raise ValueError("a seed has no directories")
                yield name.decode("utf-16-be").partition(";")[0], _extent(image, folder, place)
            place += folder[place]


def make(place: File, name: str, tool: t.Sequence[str], seed: Seed, text: str) -> Action:
    """Makes a seed; what is on it is neither in the command nor in the text."""
    argv = (*tool, "-quiet", "-volid", LABEL, "-joliet", "-rock", SEEDS)
    # xorriso writes to no link, and what leads to the file is one.
    shell = ("sh", "-c", 'out=$1; shift; exec "$@" >"$out"', "sh", HERE, *argv)
    shown = f"{' '.join(argv)} >{files.quoted(files.making(place))}"
    return call(text, "make_seed", place, name, shell, seed, command=shown)


def exchange(place: File, seen: Volume, **facts: t.Any) -> Action:
    """Puts a new seed in the place of another one."""
    path = files.quoted(seen.path)
    command = f"mv --exchange {files.quoted(files.making(place))} {path}"
    text = f"put it in the place of volume {files.shown(seen.name)}"
    return call(text, "exchange", seen.file, command=command, **facts)
