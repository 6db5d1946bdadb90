# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Groups that are not ours, and what LVM would refuse, are refused before the first step."""

from __future__ import annotations

from typing import Any

from conftest import Driven, Result, blank, on_one_host, task

ALLOW = ["delete", "interrupt", "overwrite", "shrink"]
DISK, FIRST = blank(1), blank(2)
LARGE = "/run/large.img"

STRANGE = f"""set -e
part() {{ readlink -f {DISK}-part$1; }}
printf 'size=100M\\n%.0s' 1 2 3 4 5 6 | sfdisk -q --label gpt {DISK}; udevadm settle
vgcreate -q sent $(part 1); vgexport -q sent
vgcreate -q away $(part 2); vgchange -q -y --systemid elsewhere away
vgcreate -q hurt $(part 3)
dd if=/dev/zero of=$(part 3) bs=4096 seek=1 count=64 conv=notrunc,fsync status=none
vgcreate -q dup $(part 4); vgcreate -q --devices $(part 5) dup $(part 5)
truncate -s 64M {LARGE}; losetup --sector-size 4096 --find --show {LARGE}
"""


def group(name: str, **args: Any) -> Result:
    return task("pool_logical", name=name, allow=ALLOW, **args)


def refused(host: Driven, expected: list[tuple[Result, str]]) -> None:
    found = host.drive("refused", tasks=[asked for asked, _ in expected])
    assert found["touched"] == []
    for (asked, words), (foreseen, earnest) in zip(expected, found["answers"], strict=True):
        assert earnest.get("failed"), asked
        assert earnest["msg"] == foreseen["msg"]
        assert earnest["msg"].startswith("Nothing was changed"), earnest["msg"]
        assert words in earnest["msg"], earnest["msg"]
        assert "pvmove" not in earnest["msg"]


@on_one_host
def test_groups_that_are_not_ours(each_host: Driven) -> None:
    host = each_host
    loop = host.sh(STRANGE).split()[-1]
    hidden = "a member of a volume group that LVM does not show on this host"
    uuids = host.sh("vgs --noheadings -o vg_uuid --select vg_name=dup").split()
    one = group("dup", devices=[f"{DISK}-part4"])
    refused(
        host,
        [
            (one, f"with UUID {uuids[0]} on "),
            (one, f"with UUID {uuids[1]} on "),
            (group("other", devices=[f"{DISK}-part5"]), "is part of volume group dup"),
            (group("other", volume_group="dup"), "2 volume groups are called dup"),
            (group("sent"), "volume group sent of pool sent is exported"),
            (group("new", devices=[f"{DISK}-part1"]), "is part of volume group sent"),
            (group("away"), "belongs to the host with system ID elsewhere"),
            (group("new", devices=[f"{DISK}-part2"]), "is part of volume group away"),
            (group("new", devices=[f"{DISK}-part3"]), hidden),
            (group("new", devices=[DISK]), "the disk of"),
            (group("disk", devices=[FIRST]), "something else is at /dev/disk"),
            (group("new", devices=[FIRST, loop]), "sectors differ in size: it is 512 on"),
            (group("new", devices=[loop], extent_size="64M"), "needs 65 MiB"),
            (
                group("new", devices=[FIRST, "/dev/labother/precious"]),
                "LVM does not take /dev/labother/precious for volume group new",
            ),
            (group("new", devices=[FIRST, FIRST.replace("wwn-0x", "scsi-3")]), "are one device"),
        ],
    )
    host.sh(f"losetup -d {loop}; rm {LARGE}; wipefs -q -a {DISK}-part?; wipefs -q -a {DISK}")
    host.sh(f"blockdev --rereadpt {DISK}; blkdiscard -f {DISK}")
