# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Partition tables: what is in them, and where there is room (parted, sfdisk)."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, replace

from .._host import Reader
from .._plan import Action, run

# libvirt's names of labels where parted has another one.
_PARTED = {"dos": "msdos"}
_LIBVIRT = {"msdos": "dos"}
# Those that every kernel knows, and sfdisk the types of their partitions.  Of the others parted
# puts some partitions at whole cylinders only, and many kernels show none.
TYPED = ("dos", "gpt")

# Partition types by what libvirt calls them; the first is the one that parted writes.
_TYPES: t.Mapping[str, t.Mapping[str, t.Sequence[str]]] = {
    "dos": {
        "linux": ("83",),
        "fat16": ("e", "6", "4"),
        "fat32": ("c", "b"),
        "linux-swap": ("82",),
        "linux-lvm": ("8e",),
        "linux-raid": ("fd",),
        "extended": ("f", "5", "85"),
    },
    "gpt": {
        "linux": ("0FC63DAF-8483-4772-8E79-3D69D8477DE4",),
        "fat32": ("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7",),
        "linux-swap": ("0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",),
        "linux-lvm": ("E6D6D379-F507-44C2-A23C-238F2A3DF928",),
        "linux-raid": ("A19D880F-05FC-4D3B-A006-743F0F84911E",),
    },
}
FORMATS = ("none", *_TYPES["dos"])
_FLAGS = {"linux-lvm": "lvm", "linux-raid": "raid"}
_FS_TYPES = {"fat16": "fat16", "fat32": "fat32", "linux-swap": "linux-swap"}


@dataclass(frozen=True)
class Part:
    """A partition: bytes ``start`` to ``end`` (exclusive); ``format`` as libvirt calls its type."""

    number: int
    start: int
    end: int
    format: str = "none"


@dataclass(frozen=True)
class Table:
    """A partition table; ``free`` are the gaps, from and to (exclusive)."""

    label: str
    sector: int
    parts: tuple[Part, ...]
    free: tuple[tuple[int, int], ...]

    @property
    def extended(self) -> Part | None:
        return next((part for part in self.parts if part.format == "extended"), None)

    def is_logical(self, start: int) -> bool:
        """Whether what begins there is inside the extended partition."""
        outer = self.extended
        return outer is not None and outer.start < start < outer.end


def look(host: Reader, path: str) -> Table | None:
    """The table on a device; ``None`` where parted knows none there."""
    argv = ("parted", "--machine", "--script", path, "unit", "B", "print", "free")
    table = parse(host.ask(*argv, nothing="unrecognised disk label"))
    if table is None or table.label not in TYPED:
        return table
    types = _types(host.ask("sfdisk", "--json", path))
    known = {word: format for format, words in _TYPES[table.label].items() for word in words}
    parts = (
        replace(part, format=known.get(types.get(part.start // table.sector, ""), "none"))
        for part in table.parts
    )
    return replace(table, parts=tuple(parts))


def parse(text: str) -> Table | None:
    """Reads what ``parted --machine DEVICE unit B print free`` prints."""
    rows = [line.rstrip(";").split(":") for line in text.splitlines()]
    device = next((n for n, row in enumerate(rows) if row[0].startswith("/")), None)
    if device is None or rows[device][5] in ("loop", "unknown"):
        return None
    label, parts, free = rows[device][5], [], []
    for number, first, last, _size, kind, *_rest in rows[device + 1 :]:
        start, end = int(first[:-1]), int(last[:-1]) + 1
        if kind == "free":
            free.append((start, end))
        else:
            parts.append(Part(int(number), start, end))
    return Table(_LIBVIRT.get(label, label), int(rows[device][3]), tuple(parts), tuple(free))


def _types(text: str) -> dict[int, str]:
    """The type of each partition by its first sector."""
    rows = json.loads(text)["partitiontable"].get("partitions", [])
    return {row["start"]: row["type"] for row in rows}


def make_label(path: str, label: str) -> Action:
    text = f"make a {label} partition table on {path}"
    return run(text, "parted", "--script", path, "mklabel", _PARTED.get(label, label))


def make(path: str, label: str, part: Part, logical: bool) -> Action:
    """Makes a partition, and gives it its type."""
    words = ["extended"]
    if part.format != "extended":
        kind = "logical" if logical else "primary"
        # A gpt table has names in the place of kinds.
        words = [part.format if label == "gpt" else kind, _FS_TYPES.get(part.format, "ext2")]
    argv = ["mkpart", *words, f"{part.start}B", f"{part.end - 1}B"]
    flag = _FLAGS.get(part.format)
    if flag:
        argv += ["set", str(part.number), flag, "on"]
    text = f"make partition {part.number} on {path}"
    return run(text, "parted", "--script", path, *argv, joins=3)


def remove(path: str, number: int) -> Action:
    text = f"remove partition {number} from {path}"
    return run(text, "parted", "--script", path, "rm", str(number), risk="delete", joins=3)


def resize(path: str, number: int, sectors: int, risk: str) -> t.Iterator[Action]:
    """Sets a partition's size; its start, and every other partition, stay."""
    verb = "shrink" if risk else "grow"
    text = f"{verb} partition {number} of {path} to {sectors} sectors"
    # The kernel is told of this one partition only, so that others may be in use.
    argv = ("--no-reread", "--no-tell-kernel", "--partno", str(number), path)
    yield run(text, "sfdisk", *argv, risk=risk, stdin=f",{sectors}\n")
    yield tell_kernel(path, number)


def tell_kernel(path: str, number: int) -> Action:
    """Makes the kernel know one partition as it is in the table."""
    text = f"tell the kernel of partition {number} of {path}"
    return run(text, "partx", "--update", "--nr", str(number), path)


def unmap(path: str) -> Action:
    """Takes the device mapper's partitions of a map away; parted forgets the last one."""
    return run(f"take away what is left of the partitions of {path}", "kpartx", "-d", path)


def settle() -> Action:
    return run("wait for the names of the partitions", "udevadm", "settle")
