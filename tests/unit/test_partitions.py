# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partitions: what parted printed, where a new one goes, and how few commands that takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.poolwright.storage.plugins.module_utils._host import HostError, Reader
from ansible_collections.poolwright.storage.plugins.module_utils._model import (
    Device,
    Extent,
    Pool,
    Refused,
    Volume,
)
from ansible_collections.poolwright.storage.plugins.module_utils._plan import joined
from ansible_collections.poolwright.storage.plugins.module_utils._tools import block, partitions
from ansible_collections.poolwright.storage.plugins.module_utils._volumes.base import Wanted
from ansible_collections.poolwright.storage.plugins.module_utils._volumes.partitions import (
    Partitions,
    Space,
    known,
)
from ansible_collections.poolwright.storage.tests.unit.fake_host import FakeHost

MIB = 1 << 20

# parted 3.6: one primary, an extended with three logical ones, of which 7 lies before 6.
PRINTED = """BYT;
/dev/sdi:2147483648B:scsi:512:512:msdos:LAB BLANK3:;
1:1024B:1048575B:1047552B:free;
1:1048576B:53477375B:52428800B:::lvm;
2:53477376B:629145599B:575668224B:::lba;
1:53478400B:54312959B:834560B:free;
5:54525952B:106954751B:52428800B:::swap;
1:106954752B:115153919B:8199168B:free;
7:115343360B:136314879B:20971520B:::lba;
1:136314880B:200017919B:63703040B:free;
6:200278016B:221249535B:20971520B:::;
1:221249536B:629145599B:407896064B:free;
1:629145600B:2147483647B:1518338048B:free;
"""


def table() -> partitions.Table:
    found = partitions.parse(PRINTED)
    assert found
    parts = (replace(p, format="extended") if p.number == 2 else p for p in found.parts)
    return replace(found, parts=tuple(parts))


def gpt(*free: tuple[int, int]) -> Space:
    return Space(partitions.Table("gpt", 512, (), free), "sdb")


def test_a_table_is_read() -> None:
    found = table()
    assert found.label == "dos"
    assert [part.number for part in found.parts] == [1, 2, 5, 7, 6]
    assert found.parts[0] == partitions.Part(1, 1048576, 53477376)
    assert found.free[0] == (1024, 1048576)


@pytest.mark.parametrize("label", ["unknown", "loop"])
def test_what_is_no_table(label: str) -> None:
    assert partitions.parse(PRINTED.replace("msdos", label)) is None


@pytest.mark.parametrize("line", ["1:1048576B:2097151B:1048576B:free", "1:9B:99B:91B::x:"])
def test_a_partition_whose_name_makes_lines(line: str) -> None:
    text = (
        "BYT;\n/dev/sdb:2147483648B:scsi:512:512:gpt:x:;\n"
        f"1:1048576B:2097151B:1048576B::a\u2028b\n{line};\n:;\n"
    )
    with pytest.raises(HostError, match="/dev/sdb: what parted says of its partitions contradict"):
        partitions.parse(text)
    found = partitions.parse(text.replace(f"\n{line};\n", ""))
    assert found
    assert len(found.parts) == 1


def test_the_smallest_gap_that_fits_exactly() -> None:
    space = gpt((17408, 3072 * MIB), (5120 * MIB, 5220 * MIB))
    assert space.take(100 * MIB, Wanted("sdb1"), None) == ""
    assert space.placed["sdb1"].start == 5120 * MIB
    assert space.take(3071 * MIB, Wanted("sdb2"), None) == ""
    assert space.placed["sdb2"].start == MIB
    assert "the largest gap for it has 0 bytes" in space.take(MIB, Wanted("sdb3"), None)


def test_a_gap_ends_where_the_table_ends() -> None:
    whole = ((17408, 3 << 40),)
    dos = Space(partitions.Table("dos", 512, (), whole, last=2 << 40), "sdb")
    assert dos.free_for(Wanted("sdb1"), None) == (2 << 40) - MIB
    assert "the largest gap for it has" in dos.take(2 << 40, Wanted("sdb1"), None)
    part = partitions.Part(1, MIB, 2 << 40)
    beyond = partitions.Table("dos", 512, (part,), ((2 << 40, 3 << 40),), last=2 << 40)
    assert Space(beyond, "sdb").free_for(Wanted("sdb2"), None) == 0
    kept = partitions.Table("gpt", 512, (), whole, first=16 * MIB, last=20 * MIB)
    assert Space(kept, "sdb").take(4 * MIB, Wanted("sdb1"), None) == ""


def test_no_number_is_left() -> None:
    parts = tuple(partitions.Part(n, n * MIB, (n + 1) * MIB) for n in range(1, 5))
    free = ((5 * MIB, 9 * MIB),)
    for label, most in (("dos", 60), ("gpt", 4)):
        space = Space(partitions.Table(label, 512, parts, free, most=most), "sdb")
        fault = space.take(MIB, Wanted("sdb5"), None)
        assert fault == f"the {label} table has no number left for one more partition"
        assert space.next_name(MIB, ()) == ""


HEADS = [
    # size of the disk, sector, header, first, last, short
    (2048 * MIB, 512, {}, 17408, 2048 * MIB - 16896, 0),
    (2048 * MIB, 4096, {}, 24576, 2048 * MIB - 20480, 0),
    (600 * MIB, 512, {544: 614399, 560: 614366}, 17408, 600 * MIB - 16896, 300 * MIB - 16896),
]


@pytest.mark.parametrize(("size", "sector", "head", "first", "last", "short"), HEADS)
def test_where_a_gpt_table_ends(
    size: int, sector: int, head: dict[int, int], first: int, last: int, short: int
) -> None:
    table = f"BYT;\n/dev/sdb:{size}B:scsi:{sector}:{sector}:gpt:x:;\n1:24576B:99999B:75424B:free;\n"
    disk = {"number": "8:16", "size": size, "sector": sector, "table": table, "integers": head}
    host = FakeHost({"disks": {"/dev/sdb": disk}})
    device = block.find(host, "/dev/sdb")
    assert device
    found = partitions.look(host, device)
    assert found
    assert (found.first, found.last, found.short, found.most) == (first, last, short, 128)


# The label, the rows of the table, the partition, the header; up to where it grows (MiB).
GROWTHS: list[tuple[str, list[tuple[int, int]], int, dict[int, int], int | None]] = [
    ("gpt", [(1, 500)], 1, {}, 2047),
    ("gpt", [(1, 500), (700, 900)], 1, {}, 700),
    ("gpt", [(1, 500), (510, 900)], 1, {}, None),  # hardly anything is free
    ("gpt", [(1, 500), (700, 900)], 2, {}, 2047),
    ("gpt", [(700, 900), (1, 500)], 2, {}, 700),  # the numbers are in another order
    ("gpt", [(1, 500)], 1, {544: 2097151, 560: 2097118}, 2047),  # a disk that was of 1 GiB
    ("gpt", [(1, 800)], 1, {}, 2047),  # the kernel still knows 500 of its 799 MiB
    ("gpt", [(1, 800), (801, 900)], 1, {}, 800),
    ("gpt", [(2, 501)], 1, {}, None),  # the kernel has it begin elsewhere
    ("dos", [(1, 500)], 1, {}, 2048),
    ("dos", [(1, 500), (600, 700), (0, 0), (0, 0), (610, 650)], 5, {}, None),
    ("sun", [(1, 500)], 1, {}, None),
]


def grown(
    label: str, rows: list[tuple[int, int]], number: int, head: dict[int, int], **said: Any
) -> FakeHost:
    """A host with a table, of whose partitions the kernel knows one and those of ``more``."""
    unit = MIB // 512
    told = [
        {"node": f"/dev/sdb{n}", "start": start * unit, "size": (stop - start) * unit, "type": "x"}
        for n, (start, stop) in enumerate(rows, 1)
        if stop
    ]
    start, stop = rows[number - 1] if rows[0][0] != 2 else (1, 500)
    known = {number: (start, min(stop, start + 499)), **said.pop("more", {})}
    folders = {n: f"/sys/dev/block/8:{16 + n}" for n in known}
    disk = {
        "number": "8:16",
        "parts": {
            f"sdb{n}": {"number": f"8:{16 + n}", "size": (end - begin) * MIB}
            for n, (begin, end) in known.items()
        },
        "integers": head,
        "sfdisk": {"label": label, "partitions": told},
    }
    files = {"/sys/class/block/sdb/dev": "8:16\n"}
    for n, folder in folders.items():
        files[f"{folder}/partition"] = f"{n}\n"
        files[f"{folder}/start"] = f"{known[n][0] * unit}\n"
    real = {folder: {"real": f"/sys/devices/x/block/sdb/sdb{n}"} for n, folder in folders.items()}
    return FakeHost({"disks": {"/dev/sdb": disk}, "paths": real, "files": files, **said})


def growths(
    host: FakeHost, number: int, *pools: Pool
) -> tuple[tuple[partitions.Growth, ...], tuple[str, ...]]:
    device = block.find(host, f"/dev/sdb{number}")
    assert device
    return partitions.growths(host, [device], 16 * MIB, pools)


SOUND = {512: int.from_bytes(b"EFI PART", "little")}
FIRST, LAST = 17408, 2048 * MIB - 16896
# A label, the rows of its table (MiB) and its header; the gaps, or None where parted is asked.
GAPS: list[tuple[str, list[tuple[int, int]], dict[int, int], list[tuple[int, int]] | None]] = [
    ("gpt", [(1, 500)], SOUND, [(FIRST, MIB), (500 * MIB, LAST)]),
    (
        *("gpt", [(700, 900), (1, 500), (500, 600)], SOUND),
        [(FIRST, MIB), (600 * MIB, 700 * MIB), (900 * MIB, LAST)],
    ),
    ("gpt", [(1, 500), (499, 600)], SOUND, None),  # two overlap
    ("gpt", [(1, 2048)], SOUND, None),  # one is where the second table is
    ("gpt", [(1, 500)], {}, None),  # the first header is damaged
    ("gpt", [(1, 500)], {**SOUND, 592: 200 | 128 << 32}, None),  # room for more than usual
    (
        *("dos", [(700, 900), (1, 500)], {}),
        [(512, MIB), (500 * MIB, 700 * MIB), (900 * MIB, 2048 * MIB)],
    ),
    ("dos", [(1, 2048)], {}, [(512, MIB)]),
    ("dos", [(1, 500), (499, 600)], {}, None),
    ("dos", [(1, 2049)], {}, None),  # one is longer than the disk
    ("dos", [(1, 500), (600, 700), (0, 0), (0, 0), (610, 650)], {}, None),  # one is logical
]


@pytest.mark.parametrize(("label", "rows", "head", "gaps"), GAPS)
def test_a_sound_table_is_known_without_parted(
    label: str,
    rows: list[tuple[int, int]],
    head: dict[int, int],
    gaps: list[tuple[int, int]] | None,
) -> None:
    host = grown(label, rows, 1, head)
    device = block.find(host, "/dev/sdb")
    assert device
    found = partitions.look(host, device)
    asked = [line for line in host.asked if line.startswith("parted")]
    assert (found and [*found.free], bool(asked)) == (gaps, gaps is None)


def test_a_table_that_only_parted_knows_is_an_error() -> None:
    """sfdisk tells the types, and not having heard them is not that there are none."""
    part = "1:1048576B:2097151B:1048576B:::;\n"
    table = f"BYT;\n/dev/sdb:2147483648B:scsi:512:512:msdos:x:;\n{part}"
    none = {"code": 1, "errors": "sfdisk: /dev/sdb: does not contain a recognized partition table"}
    disks = {"/dev/sdb": {"number": "8:16", "table": table}}
    host = FakeHost({"disks": disks, "commands": {"sfdisk": none}})
    device = block.find(host, "/dev/sdb")
    assert device
    with pytest.raises(HostError, match="/dev/sdb: parted knows a dos table there, and sfdisk no"):
        partitions.look(host, device)


@pytest.mark.parametrize(("label", "rows", "number", "head", "end"), GROWTHS)
def test_what_a_partition_can_grow_to(
    label: str, rows: list[tuple[int, int]], number: int, head: dict[int, int], end: int | None
) -> None:
    found, warnings = growths(grown(label, rows, number, head), number)
    assert [growth.end // MIB for growth in found] == ([] if end is None else [end])
    assert warnings == ()


# What the table says, what the kernel knows besides; up to where partition 1 grows (MiB).
UNLISTED: list[tuple[tuple[int, int], tuple[int, int], int | None]] = [
    ((1, 500), (700, 900), 700),  # it is in no table
    ((1, 500), (501, 900), None),
    ((1, 800), (600, 900), None),  # it is where the table has partition 1 by now
    ((1, 800), (900, 950), 900),
]


@pytest.mark.parametrize(("row", "more", "end"), UNLISTED)
def test_a_partition_that_only_the_kernel_knows_is_in_the_way(
    row: tuple[int, int], more: tuple[int, int], end: int | None
) -> None:
    found, warnings = growths(grown("gpt", [row], 1, {}, more={7: more}), 1)
    assert [growth.end // MIB for growth in found] == ([] if end is None else [end])
    assert warnings == ()


SHORT = (
    "GPT PMBR size mismatch (1228799 != 1843199) will be corrected by write.\n"
    "The backup GPT table is not on the end of the device.\n"
    "MyLBA mismatch with real position at backup header.\n"
    "1 error detected.\n"
)
CORRUPT = "The {} GPT table is corrupt, but the {} appears OK, so that will be used.\n"


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (SHORT, ""),
        (SHORT + CORRUPT.format("backup", "primary"), "The backup GPT table is corrupt"),
        (CORRUPT.format("primary", "backup"), "The primary GPT table is corrupt"),
        ("Partition 1: overlaps partition 2.\n1 error detected.\n", "overlaps partition 2."),
    ],
)
def test_a_damaged_table_is_not_written(said: str, fault: str) -> None:
    """sfdisk writes all of it, also what it has not understood."""
    host = grown("gpt", [(1, 500)], 1, {}, rehearsals={"sfdisk": {"code": 0, "errors": said}})
    found, warnings = growths(host, 1)
    assert len(found) == (not fault)
    assert [fault in text and "/dev/sdb is damaged" in text for text in warnings] == (
        [True] if fault else []
    )


def test_a_table_that_cannot_be_verified_is_not_written() -> None:
    found, [warning] = growths(grown("gpt", [(1, 500)], 1, {}, rehearsals={"sfdisk": 1}), 1)
    assert found == ()
    assert "sfdisk --verify /dev/sdb: it failed without a word." in warning


def test_a_volume_of_a_disk_pool_keeps_its_size() -> None:
    host = grown("gpt", [(1, 500)], 1, {})
    pool = Pool("disk", "parts", devices=("/dev/sdb",))
    assert growths(host, 1, pool) == ((), ())
    assert len(growths(host, 1, replace(pool, type="fs"))[0]) == 1


def test_a_wrong_name_is_told_the_right_one() -> None:
    assert "can only be sdb1" in gpt((17408, 100 * MIB)).take(MIB, Wanted("sdb2"), None)
    assert "can only be sdi3 or sdi8" in Space(table(), "sdi").take(MIB, Wanted("x"), None)


def test_a_logical_partition_leaves_room_for_its_record() -> None:
    space = Space(table(), "sdi")
    assert space.take(59 * MIB, Wanted("sdi8"), None) == ""
    assert space.placed["sdi8"].start == 136314880 + MIB


def test_growing_takes_the_gap_behind() -> None:
    space = Space(table(), "sdi")
    there = Volume("sdi6", extents=(Extent("/dev/sdi", 200278016, 221249536),), number=6)
    assert space.free_for(Wanted("sdi6"), there) == 407896064
    assert "free behind it" in space.take(407896065, Wanted("sdi6"), there)
    assert space.take(407896064, Wanted("sdi6"), there) == ""
    assert space.free_for(Wanted("sdi6"), there) == 0


def test_growing_leaves_the_record_of_another_logical_partition() -> None:
    found = table()
    free = tuple(
        (start + 512, end) if start == 106954752 else (start, end) for start, end in found.free
    )
    there = Volume("sdi5", extents=(Extent("/dev/sdi", 54525952, 106954752),), number=5)
    fault = Space(replace(found, free=free), "sdi").take(512, Wanted("sdi5"), there)
    assert "has 0 bytes free behind it" in fault


def test_the_record_of_a_logical_partition_is_not_free() -> None:
    """sfdisk leaves it where it is, and parted does not know where that is."""
    start, end, record = 53477376, 106954752, 108003328
    entry, sector = start + 446 + 16, 512
    integers = {entry: 0xF << 32, entry + 8: (record - start) // sector | 1 << 32}
    types = {2048: "83", start // sector: "f"}
    disk = {"number": "8:16", "size": 2 << 30, "table": PRINTED, "types": types}
    host = FakeHost({"disks": {"/dev/sdi": {**disk, "integers": integers}}})
    device = block.find(host, "/dev/sdi")
    assert device
    found = partitions.look(host, device)
    assert found
    assert (end, record) in found.free
    assert (record + sector, 115153920) in found.free
    there = Volume("sdi5", extents=(Extent("/dev/sdi", 54525952, end),), number=5)
    assert Space(found, "sdi").free_for(Wanted("sdi5"), there) == record - end


@pytest.mark.parametrize("number", [1, 8])
def test_growing_stays_on_its_side_of_the_end_of_the_extended_partition(number: int) -> None:
    found = table()
    if number == 8:
        last = partitions.Part(8, 222298112, 629145600)
        free = tuple(gap for gap in found.free if gap[0] != 221249536)
        found = replace(found, parts=(*found.parts, last), free=free)
    start, end = {1: (1048576, 53477376), 8: (222298112, 629145600)}[number]
    there = Volume("x", extents=(Extent("/dev/sdi", start, end),), number=number)
    assert "has 0 bytes free behind it" in Space(found, "sdi").take(512, Wanted("x"), there)


def test_a_share_is_the_same_when_there_are_partitions() -> None:
    before = gpt((17408, 2048 * MIB - 16896))
    parts = (partitions.Part(1, MIB, MIB + 1073208832),)
    free = ((17408, MIB), (MIB + 1073208832, 2048 * MIB - 16896))
    assert Space(partitions.Table("gpt", 512, parts, free), "sdb").total == before.total


def test_a_logical_partition_takes_what_is_free_for_it() -> None:
    space = Space(table(), "sdi")
    assert space.free_for(Wanted("sdi8"), None) == 629145600 - 222298112
    assert space.free_for(Wanted("sdi3"), None) == 1518338048


def test_many_partitions_take_one_command() -> None:
    parts = [
        partitions.Part(n, n * MIB, (n + 1) * MIB, f) for n, f in ((1, "linux"), (2, "linux-lvm"))
    ]
    disk = Device("/dev/sdb", "8:16")
    plan = list(joined(partitions.make(disk, "gpt", part, False) for part in parts))
    assert [action.command for action in plan] == [
        "parted --script /dev/sdb mkpart linux ext2 1048576B 2097151B "
        "mkpart linux-lvm ext2 2097152B 3145727B set 2 lvm on"
    ]


def test_a_logical_partition_in_the_middle_stays() -> None:
    volumes = Partitions(Pool("disk", "d", devices=("/dev/sdi",)))
    volumes.table, volumes.stem = table(), "sdi"
    five, six, seven = (Volume(f"sdi{n}", number=n) for n in (5, 6, 7))
    with pytest.raises(Refused, match="sdi7 would get another name"):
        volumes.removal([five])
    assert volumes.removal([five, six, seven]) == [seven, six, five]


class Rereading(FakeHost):
    """A host whose udev is just reading the partition table again."""

    patiently = Reader.patiently
    looks = 0

    def names(self, path: str) -> list[str] | None:
        found = super().names(path)
        if path == "/sys/dev/block/8:16":
            self.looks += 1
            return found if self.looks > 2 else []
        return found


def test_a_moment_in_which_the_kernel_knows_no_partition() -> None:
    parts = {"sdb1": {"number": "8:17", "size": MIB}}
    host = Rereading({"disks": {"/dev/sdb": {"number": "8:16", "parts": parts}}})
    device = block.find(host, "/dev/sdb")
    assert device
    there = partitions.Table("gpt", 512, (partitions.Part(1, MIB, 2 * MIB),), ())
    assert [part.path for part in known(host, device, there)] == ["/dev/sdb1"]
    assert host.looks == 3


def test_nothing_is_resized_where_sfdisk_would_lose_partitions() -> None:
    volumes = Partitions(Pool("disk", "d", devices=("/dev/sdi",)))
    found = replace(table(), most=60)
    there = Volume("sdi6", extents=(Extent("/dev/sdi", 200278016, 221249536),), number=6)
    volumes.table = found
    volumes.resizable(there, 400 * MIB)
    volumes.table = replace(found, parts=(*found.parts, partitions.Part(61, MIB, MIB)))
    with pytest.raises(Refused, match="would lose the others of /dev/sdi"):
        volumes.resizable(there, 400 * MIB)
