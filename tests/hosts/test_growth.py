# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What grows holds nothing in its new end, and what a tool would lose or refuse is not begun."""

from __future__ import annotations

from conftest import Driven, blank, on_one_host, task, thorough
from test_disk import DATA, GONE, gone, kernel_name, refused_with, row, volumes
from test_states import four, sh

MIB = 1 << 20
GUESTS = {"name": "guests", "devices": [blank(1)]}
SRV = "/srv/fat"
# Noise, in which any signature may stand, from a place of a disk on.
NOISE = (
    "yes noise | dd of={0} bs=1M seek={1} count={2} iflag=fullblock conv=notrunc,fsync status=none"
)


def zeros(path: str, start: int, count: int) -> str:
    """What prints nothing where so many MiB are blank."""
    return f"dd if={path} bs=1M skip={start} count={count} status=none | tr -d '\\0' | head -c 9; "


@thorough
@on_one_host
def test_the_new_end_is_blank(each_host: Driven) -> None:
    host = each_host
    part = f"{kernel_name(host, blank(0))}1"
    lv = "/dev/guests/web"
    host.sh(NOISE.format(blank(0), 98, 60))
    host.sh(NOISE.format(blank(1), 98, 60))
    first = "printf first | dd of={0} bs=1M seek=99 conv=notrunc,fsync status=none"
    grown = {"name": "web", "capacity": "152M"}
    host.tasks(
        task("pool_disk", **DATA),
        task("pool_logical", **GUESTS),
        volumes(row(part, "100M")),
        task("volumes", pool="guests", volumes=[{**grown, "capacity": "100M"}]),
    )
    host.sh(f"{first.format(f'/dev/{part}')}; {first.format(lv)}")
    # A guest has it open meanwhile.
    host.sh(f"setsid sleep 500 3<>{lv} >/dev/null 2>&1 & echo $! >/run/guest")
    kept = "dd if={0} bs=1M skip=99 count=1 status=none | head -c 5; "
    inside = "dd if={0} bs=1M skip=120 count=1 status=none | grep -cm 1 noise; "
    four(
        host,
        volumes(row(part, "152M")),
        task("volumes", pool="guests", volumes=[grown]),
        *(
            sh(
                kept.format(path) + zeros(path, 100, 8) + zeros(path, 149, 3) + inside.format(path),
                "first1",
            )
            for path in (f"/dev/{part}", lv)
        ),
    )
    host.sh("kill $(cat /run/guest)")
    host.tasks(
        task("pool_logical", name="guests", state="deleted", allow=["delete"]),
        gone(part),
        GONE,
    )


LOGICAL = """start=8192,size=1600000,type=f
start=16384,size=20480,type=83
start=57344,size=20480,type=83
"""
# Puts the record of the second logical partition right behind the first one.
RECORD = """import os, struct, sys
disk, outer, new, start = os.open(sys.argv[1], os.O_RDWR), 8192, 36864, 57344
first = bytearray(os.pread(disk, 512, outer * 512))
old = outer + struct.unpack_from("<I", first, 470)[0]
second = bytearray(os.pread(disk, 512, old * 512))
struct.pack_into("<II", first, 470, new - outer, start + 20480 - new)
struct.pack_into("<I", second, 454, start - new)
os.pwrite(disk, bytes(512), old * 512)
os.pwrite(disk, second, new * 512)
os.pwrite(disk, first, outer * 512)
os.fsync(disk)
"""


@thorough
@on_one_host
def test_a_record_right_behind_a_logical_partition(each_host: Driven) -> None:
    """The next logical partition is known by a record, which must not be grown over."""
    host, disk = each_host, blank(0)
    n = kernel_name(host, disk)
    host.sh(f"sfdisk -q --label dos {disk} <<'END'\n{LOGICAL}END\nudevadm settle")
    host.sh(f"python3 - {disk} <<'END'\n{RECORD}END\nblockdev --rereadpt {disk}; udevadm settle")
    host.tasks(task("pool_disk", name="data", device=disk, format="dos", state="present"))
    table = host.sh(f"sfdisk --dump {disk}")
    refused_with(host, volumes(row(f"{n}5", "20M")), "free behind it")
    assert host.sh(f"sfdisk --dump {disk}") == table
    host.tasks(GONE)


@thorough
@on_one_host
def test_more_partitions_than_sfdisk_knows(each_host: Driven) -> None:
    host, disk = each_host, blank(0)
    n = kernel_name(host, disk)
    made = " ".join(f"mkpart logical ext2 {10 * k + 10}MiB {10 * k + 15}MiB" for k in range(1, 58))
    host.sh(f"parted --script {disk} mklabel msdos mkpart extended 10MiB 1000MiB {made}")
    host.sh("udevadm settle")
    host.tasks(task("pool_disk", name="data", device=disk, format="dos"))
    count = f"parted --machine --script {disk} print | grep -c '^[0-9]'"
    assert host.sh(count) == "58\n"
    refused_with(host, volumes(row(f"{n}6", "6M")), "up to 60 partitions of a dos table")
    refused_with(host, volumes(row(f"{n}62", "1M")), "no number left")
    host.tasks(volumes({"name": f"{n}61", "state": "absent"}, allow=["delete"]))
    host.tasks(volumes(row(f"{n}60", "6M")))
    assert host.sh(count) == "57\n"
    host.tasks(GONE)


@thorough
@on_one_host
def test_parted_was_interrupted(each_host: Driven) -> None:
    """A partition without a name is finished where its type was not set yet."""
    host, disk = each_host, blank(0)
    n = kernel_name(host, disk)
    for label in ("gpt", "dos"):
        host.tasks(task("pool_disk", name="data", device=disk, format=label))
        kind = "linux-lvm" if label == "gpt" else "primary"
        host.sh(f"parted --script {disk} mkpart {kind} ext2 1MiB 101MiB; udevadm settle")
        wanted = volumes({"capacity": "100M", "format": "linux-lvm"})
        found = host.tasks(wanted, wanted)
        assert [each["changed"] for each in found] == [True, False]
        assert [row["name"] for row in found[0]["volumes"]] == [f"{n}1"]
        assert len(host.sh(f"sfdisk --dump {disk} | grep start=").splitlines()) == 1
        host.tasks(GONE)


@thorough
@on_one_host
def test_what_a_file_system_does_not_take(each_host: Driven) -> None:
    host = each_host
    pool = {"name": "fat", "device": blank(0), "path": SRV, "format": "vfat"}
    host.tasks(task("pool_fs", **pool))

    def files(**wanted: object) -> dict[str, object]:
        return task("volumes", pool="fat", volumes=[{"capacity": "1M", **wanted}])

    four(host, files(name="web.img"), sh(f"ls {SRV}", "web.img"))
    for wanted, words in (
        ({"name": "a:b"}, "takes no name with : in it"),
        ({"name": "end."}, "ends with a dot or a blank"),
        ({"name": "WEB.img"}, "is the same name as web.img"),
        ({"name": "new", "mode": "0600"}, "all files have mode 0755, owner 0 and group 0"),
        ({"name": "new", "owner": "daemon"}, "all files have mode 0755, owner 0 and group 0"),
    ):
        refused_with(host, files(**wanted), words)
    four(host, files(name="new", mode="0755", owner="root"), sh(f"ls {SRV}", "new\nweb.img"))
    # What is foreseen as impossible is so.
    for tried in (f"touch {SRV}/a:b", f"chown daemon {SRV}/new"):
        assert host.sh(f"{tried} 2>/dev/null || echo no", check=False) == "no\n"
    assert host.sh(f"chmod 600 {SRV}/new; stat -c %a {SRV}/new") == "755\n"  # without a word
    host.tasks(task("pool_fs", name="fat", state="deleted", allow=["delete"]))
