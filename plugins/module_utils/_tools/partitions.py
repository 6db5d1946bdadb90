# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Partition tables: what is in them, and where there is room (parted, sfdisk)."""

from __future__ import annotations

import json
import re
import shlex
import typing as t
from dataclasses import dataclass, replace

from .._host import MIB, HostError, Reader, failed
from .._model import Claim, Device, Encryption, Filling, Pool
from .._plan import Action, Steps, call, run
from . import block, filling, qemu_img, wipe

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


_SIGNATURE = int.from_bytes(b"EFI PART", "little")  # of a gpt header
_ENTRIES = 128  # partitions that a gpt table has room for, unless somebody chose otherwise
_OF_ENTRIES = 16384  # bytes for so many

FIRST_LOGICAL = 5
# sfdisk reads no more (MAXIMUM_PARTS in libfdisk/src/dos.c), and where it writes, others are lost;
# parted tells the kernel of 64 (MAX_TOTAL_PART in libparted/labels/dos.c).
_MOST_DOS = 60


@dataclass(frozen=True)
class Part:
    """A partition: bytes ``start`` to ``end`` (exclusive); ``format`` as libvirt calls its type.

    ``label`` is its own name in a gpt table.
    """

    number: int
    start: int
    end: int
    format: str = "none"
    label: str = ""


@dataclass(frozen=True)
class Table:
    """A partition table; ``free`` are the gaps, from and to (exclusive).

    Between the bytes ``first`` and ``last`` it takes partitions, up to number ``most``.  A gpt
    table that was made when the disk was smaller takes them up to ``last`` once its second header
    has been moved, and until then up to ``short``.
    """

    label: str
    sector: int
    parts: tuple[Part, ...]
    free: tuple[tuple[int, int], ...]
    first: int = 0
    last: int = 1 << 63
    most: int = 128
    short: int = 0

    @property
    def extended(self) -> Part | None:
        return next((part for part in self.parts if part.format == "extended"), None)

    def is_logical(self, start: int) -> bool:
        """Whether what begins there is inside the extended partition."""
        outer = self.extended
        return outer is not None and outer.start < start < outer.end


@dataclass(frozen=True)
class Growth:
    """A partition that can reach ``end``, because nothing is between it and there on its disk.

    ``device`` is the partition as the kernel has it.
    """

    device: Device
    disk: Device
    table: Table
    part: Part
    end: int

    @property
    def size(self) -> int:
        return self.end - self.part.start

    def steps(self) -> Steps:
        """Makes it reach there, while it is in use."""
        disk, part = self.disk, self.part
        if self.end > part.end:
            if self.table.short and self.end > self.table.short:
                yield stretch(disk)
            yield blank(disk, replace(part, start=part.end, end=self.end), ())
            yield from resize(disk, part.number, self.size // self.table.sector, "", ())
        else:  # an interrupted run has told the table only
            yield tell_kernel(disk, part.number)
        # udev has it open for a moment, in which LVM would wait for it or leave it out.
        yield settle()


def growths(
    host: Reader, devices: t.Iterable[Device], least: int, pools: t.Iterable[Pool]
) -> tuple[tuple[Growth, ...], tuple[str, ...]]:
    """Those of the devices that can grow by so many bytes or more, and warnings.

    Not partitions of disks that are ``pools`` themselves: there they are volumes, of a size.
    """
    shared = {name for pool in pools if pool.type == "disk" for name in block.sources(host, pool)}
    found, warnings = [], []
    for device in devices:
        disk = block.disk(host, device) if device.partition else None
        if not disk or f"device {disk.number}" in shared:
            continue
        growth = _growth(host, disk, device, least)
        fault = _fault(host, disk) if growth else ""
        if growth and not fault:
            found.append(growth)
        elif growth:
            warnings.append(
                f"{device.path} is not made larger, because the partition table of {disk.path} is "
                f"damaged: {fault} Mend it, or leave grow_to_fill out."
            )
    return tuple(found), tuple(warnings)


def _growth(host: Reader, disk: Device, device: Device, least: int) -> Growth | None:
    """Where a partition can reach.

    Asked without parted, which would have udev make the nodes of the disk anew.  A partition inside
    an extended one is not grown, nor one that the kernel knows otherwise than the table has it.
    """
    table = _listed(host, disk, _told(host, disk))
    if table is None:
        return None
    part = next((part for part in table.parts if part.number == device.partition), None)
    plain = table.label == "gpt" or (table.label == "dos" and device.partition < FIRST_LOGICAL)
    start = _start(host, device)
    if not part or not plain or len(table.parts) > table.most or part.start != start:
        return None
    # The kernel can know partitions that are in no table, and where somebody is.
    others = {*(other.start for other in table.parts), *_starts(host, disk)} - {start}
    behind = [other for other in others if other >= start + min(device.size, part.end - start)]
    end = min([*behind, table.last]) // MIB * MIB
    end = end if end - part.end >= least else part.end
    free = min(behind, default=end) >= end and end - start >= device.size + least
    return Growth(device, disk, table, part, end) if free else None


def _start(host: Reader, device: Device) -> int:
    return int(host.read(f"{device.sysfs}/start") or 0) * 512


def _starts(host: Reader, disk: Device) -> t.Iterator[int]:
    return (_start(host, part) for part in block.parts(host, disk))


# What sfdisk says of a gpt table on a disk that has grown, which is no fault.
_GROWN = r"GPT PMBR size mismatch .*|The backup GPT table is not on the end of the device\."
_GROWN += r"|MyLBA mismatch with real position at backup header\.|1 error detected\."


def _fault(host: Reader, disk: Device) -> str:
    """What sfdisk finds wrong in a table of which it would write every copy."""
    argv = ("sfdisk", "--verify", disk.path)
    code, output, errors = host.rehearse(*argv)
    if code:
        return f"{failed(argv, output, errors)}."
    lines = (line.strip() for line in errors.splitlines())
    return " ".join(line for line in lines if line and not re.fullmatch(_GROWN, line))


_Told = t.Mapping[str, t.Any]


def _told(host: Reader, disk: Device) -> _Told:
    """What sfdisk tells of a table; nothing where it knows none on the disk."""
    text = host.ask("sfdisk", "--json", disk.path, nothing="recognized partition table")
    found: _Told = json.loads(text)["partitiontable"] if text else {}
    return found


def _listed(host: Reader, disk: Device, told: _Told) -> Table | None:
    """A table of a kind that sfdisk knows as it tells it, without the gaps and the types.

    Its partitions are in the order in which they lie on the disk, as parted and libvirt have them.
    """
    label, sector = told.get("label"), block.sector(host, disk)
    if label not in TYPED:
        return None
    parts = [
        Part(
            int(re.sub(r".*\D", "", row["node"])),
            row["start"] * sector,
            (row["start"] + row["size"]) * sector,
            label=row.get("name", ""),
        )
        for row in told.get("partitions", ())
    ]
    table = Table(label, sector, tuple(sorted(parts, key=lambda part: part.start)), ())
    if label == "gpt":
        return _gpt(host, disk, table)
    return replace(table, last=min(disk.size, sector << 32), most=_MOST_DOS)


def _typed(table: Table, told: _Told) -> Table:
    """The same, with the types that sfdisk tells, by the first sector of each partition."""
    types = {row["start"]: row["type"] for row in told.get("partitions", ())}
    known = {word: format for format, words in _TYPES[table.label].items() for word in words}
    parts = (
        replace(part, format=known.get(types.get(part.start // table.sector, ""), "none"))
        for part in table.parts
    )
    return replace(table, parts=tuple(parts))


def look(host: Reader, device: Device) -> Table | None:
    """The table on a device; ``None`` where nobody knows one there.

    Of a sound table without logical partitions all is known without parted.  That opens a disk as
    if to write to it, so that udev has the nodes of all partitions made anew, and what belongs to
    something larger is joined to it.
    """
    told = _told(host, device)
    table = _listed(host, device, told)
    table = _typed(table, told) if table else None
    free = _unused(host, device, table) if table else None
    if table and free is not None:
        return replace(table, free=free)
    return _asked(host, device, told)


def _unused(host: Reader, device: Device, table: Table) -> tuple[tuple[int, int], ...] | None:
    """The gaps in a table as parted has them; ``None`` where that may find fault with it.

    At either end of a gpt table it keeps clear of the header and the entries only, wherever
    partitions may begin.
    """
    if table.label == "gpt":
        place, last = _between_headers(device, table.sector)
        known = (host.integer(device.path, table.sector), table.most) == (_SIGNATURE, _ENTRIES)
    else:
        place, last = table.sector, device.size
        known = table.extended is None
    if not known:
        return None
    found = []
    for part in table.parts:
        if not place <= part.start < part.end <= last:
            return None
        found.append((place, part.start))
        place = part.end
    return tuple(gap for gap in [*found, (place, last)] if gap[0] < gap[1])


def _asked(host: Reader, device: Device, told: _Told) -> Table | None:
    """The table as parted tells it, but for the types."""
    argv = ("parted", "--machine", "--script", device.path, "unit", "B", "print", "free")
    table = parse(host.ask(*argv, nothing="unrecognised disk label"))
    host.ask("udevadm", "settle")  # until then the nodes have other permissions
    if table is None or table.label not in TYPED:
        return table
    if not told:
        raise HostError(f"{device.path}: parted knows a {table.label} table there, and sfdisk none")
    table = _typed(table, told)
    return _gpt(host, device, table) if table.label == "gpt" else _dos(host, device, table)


def fresh(device: Device, label: str, sector: int) -> Table | None:
    """The table that parted makes on a device; ``None`` where it is not known before.

    A gpt has its header in the second sector, and 16 KiB of entries at either end.
    """
    if label != "gpt":
        return None
    first, last = _between_headers(device, sector)
    return Table(label, sector, (), ((first, last),), first, last)


def _between_headers(device: Device, sector: int) -> tuple[int, int]:
    return 2 * sector + _OF_ENTRIES, device.size - sector - _OF_ENTRIES


def _dos(host: Reader, device: Device, table: Table) -> Table:
    """Places are numbers of 32 bits.

    parted calls free what it would not use for the records of logical partitions itself; where
    another tool has put one there, that is not free.
    """
    free = list(table.free)
    for record in _records(host, device, table):
        parts = [((start, record), (record + table.sector, end)) for start, end in free]
        inside = [gap[0] <= record < gap[1] for gap in free]
        cut = [each if there else (gap,) for each, there, gap in zip(parts, inside, free)]
        free = [gap for pieces in cut for gap in pieces if gap[0] < gap[1]]
    return replace(table, free=tuple(free), last=table.sector << 32, most=_MOST_DOS)


def _records(host: Reader, device: Device, table: Table) -> list[int]:
    """Where the records are that tell of logical partitions, each of which tells of the next."""
    found: list[int] = []
    at = table.extended.start if table.extended else None
    while at is not None and at not in found:
        found.append(at)
        at = _next_record(host, device, table, at)
    return found


def _next_record(host: Reader, device: Device, table: Table, at: int) -> int | None:
    for entry in range(at + 446, at + 510, 16):
        if host.integer(device.path, entry) >> 32 & 0xFF in (0x5, 0xF, 0x85) and table.extended:
            start = host.integer(device.path, entry + 8) & 0xFFFFFFFF
            return table.extended.start + start * table.sector
    return None


def _gpt(host: Reader, device: Device, table: Table) -> Table:
    """What the header says; it is in the second sector, and its copy belongs into the last one."""
    sector = table.sector

    def header(place: int) -> int:
        return host.integer(device.path, sector + place)

    copy, first, last = (header(place) * sector for place in (32, 40, 48))
    most, size = header(80) & 0xFFFFFFFF, header(80) >> 32  # entries of a partition each
    table = replace(table, first=first, last=last + sector, most=most)
    if copy + sector >= device.size:
        return table
    tail = sector - -most * size // sector * sector
    return replace(table, short=table.last, last=device.size - tail)


def parse(text: str) -> Table | None:
    """Reads what ``parted --machine DEVICE unit B print free`` prints."""
    rows = [line.rstrip(";").split(":") for line in text.split("\n")]
    device = next((n for n, row in enumerate(rows) if row[0].startswith("/")), None)
    if device is None or rows[device][5] in ("loop", "unknown"):
        return None
    label, parts, free = rows[device][5], [], []
    # A warning can stand before and behind.
    numbered = (row for row in rows[device + 1 :] if row[0].isdigit())
    for number, first, last, _size, kind, *rest in numbered:
        start, end = int(first[:-1]), int(last[:-1]) + 1
        if kind == "free":
            free.append((start, end))
        else:
            parts.append(Part(int(number), start, end, label="".join(rest[:1])))
    # A partition's name in a gpt table can have line feeds, and make lines that are none.
    crossed = any(part.start < end and start < part.end for part in parts for start, end in free)
    if label == "gpt" and (crossed or len({part.number for part in parts}) < len(parts)):
        raise HostError(f"{rows[device][0]}: what parted says of its partitions contradicts itself")
    return Table(_LIBVIRT.get(label, label), int(rows[device][3]), tuple(parts), tuple(free))


def kernel_knows(host: Reader, label: str) -> bool:
    """Whether the kernel can read tables of a kind; taken for granted where it does not tell."""
    names = host.read("/proc/kallsyms")
    return not names or f" {label}_partition\n" in names


def make_label(device: Device, label: str) -> Action:
    text = f"make a {label} partition table on {device.path}"
    words = ("mklabel", _PARTED.get(label, label))
    return run(text, "parted", "--script", device.path, *words, claims=(Claim(device),))


def stretch(device: Device) -> Action:
    """Lets a gpt table reach the end of a disk that has grown."""
    text = f"move the copy of the partition table to the end of {device.path}"
    argv = ("sfdisk", "--no-reread", "--no-tell-kernel", "--relocate", "gpt-bak-std", device.path)
    return run(text, *argv, claims=_beside(device))


def blank(device: Device, part: Part, lost: t.Iterable[Device], mark: str = "") -> Action:
    """Leaves no trace of what was there where a partition is to be, or to grow to.

    Before there is one, because udev has it looked at in the moment in which it appears.  ``lost``
    are partitions that are in no table any more, of which nobody must have one.  A ``mark`` is left
    where one is to be that gets content.
    """
    text = f"blank the place of partition {part.number} on {device.path}"
    command = f"blank {shlex.quote(device.path)} {part.start} {part.end}"
    args = (device, part.start, part.end, mark)
    claims = (*_beside(device), *map(Claim, lost))
    return call(text, "blank", *args, command=command, claims=claims)


def make(device: Device, label: str, part: Part, logical: bool) -> Action:
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
    text = f"make partition {part.number} on {device.path}"
    return _parted(device, text, *argv, claims=_beside(device))


def flag(there: str, format: str) -> str:
    """parted's word for what makes a plain partition one of a format; "" where there is none."""
    return _FLAGS.get(format, "") if there == "linux" else ""


def set_flag(device: Device, number: int, flag: str) -> Action:
    text = f"set the type of partition {number} on {device.path} to {flag}"
    return _parted(device, text, "set", str(number), flag, "on", claims=_beside(device))


def fill(device: Device, number: int, path: str, mark: str, how: Filling, text: str) -> Action:
    """Gives a partition that has just been made its content."""
    undo = ("parted", "--script", device.path, "rm", str(number))
    return filling.device(path, mark, how, text, undo, _beside(device))


def encrypt(
    device: Device, number: int, path: str, mark: str, encryption: Encryption, size: int
) -> Action:
    """Encrypts a partition that has just been made."""
    undo = (("parted", "--script", device.path, "rm", str(number)),)
    new, claims = Device(path, ""), _beside(device)
    return qemu_img.encrypt(new, mark, encryption, size, undo, claims=claims)


def unmark(device: Device) -> Action:
    """Makes a partition that an interrupted run has not filled an empty one."""
    text = f"clear {device.path}, which an interrupted run has not filled"
    command = f"dd if=/dev/zero of={shlex.quote(device.path)} bs=512 count=1"
    return call(text, "unmark", device, command=command, claims=(Claim(device),))


def remove(device: Device, number: int, kernel: t.Iterable[Device], risk: str = "delete") -> Action:
    """Removes a partition, which is ``kernel`` to the kernel."""
    text = f"remove partition {number} from {device.path}"
    claims = (*_beside(device), *map(Claim, kernel))
    return _parted(device, text, "rm", str(number), risk=risk, claims=claims)


def _parted(device: Device, text: str, *words: str, **facts: t.Any) -> Action:
    return run(text, "parted", "--script", device.path, *words, joins=3, **facts)


def resize(
    device: Device, number: int, sectors: int, risk: str, kernel: t.Iterable[Device]
) -> t.Iterator[Action]:
    """Sets a partition's size; its start, and every other partition, stay.

    Where it shrinks nobody may use it.
    """
    verb = "shrink" if risk else "grow"
    text = f"{verb} partition {number} of {device.path} to {sectors} sectors"
    # The kernel is told of this one partition only, so that others may be in use.
    argv = ("--no-reread", "--no-tell-kernel", "--partno", str(number), device.path)
    claims = (*_beside(device), *(map(Claim, kernel) if risk else ()))
    yield run(text, "sfdisk", *argv, risk=risk, stdin=f",{sectors}\n", claims=claims)
    yield tell_kernel(device, number)


def tell_kernel(device: Device, number: int, lost: t.Iterable[Device] = ()) -> Action:
    """Makes the kernel know one partition as it is in the table; ``lost`` is what it forgets."""
    text = f"tell the kernel of partition {number} of {device.path}"
    claims = (*_beside(device), *map(Claim, lost))
    return run(text, "partx", "--update", "--nr", str(number), device.path, claims=claims)


def wipe_one(device: Device, kernel: t.Sequence[Device], algorithm: str) -> Action:
    return wipe.device(kernel[-1], algorithm, claims=(*_beside(device), *map(Claim, kernel)))


def unmap(device: Device) -> Action:
    """Takes the device mapper's partitions of a map away; parted forgets the last one."""
    text = f"take away what is left of the partitions of {device.path}"
    return run(text, "kpartx", "-d", device.path, claims=_beside(device))


def settle(adopted: Device | None = None) -> Action:
    """Waits for udev; a disk that is ``adopted`` must not be in use as a whole."""
    claims = _beside(adopted) if adopted else ()
    return run("wait for the names of the partitions", "udevadm", "settle", claims=claims)


def _beside(device: Device) -> tuple[Claim, ...]:
    """The claim on a disk of which others may use the partitions."""
    return (Claim(device, alone=False),)
