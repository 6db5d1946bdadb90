# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Nobody's data are taken: every kind of owner against whatever would take or remove a thing."""

from __future__ import annotations

import re
from typing import Any

import owners
import pytest
from conftest import EVERYTHING, Driven, Result, blank, on_one_host, task, thorough
from owners import OWNERS, PLACES, Owner

ALLOW = ["delete", "interrupt", "overwrite", "shrink"]
DISK, GUESTS, DATA, ATTIC = map(blank, range(4))
OTHER_DISK = "/dev/disk/by-id/virtio-LABVIRTIO0"

# $D for each place, and what makes it blank again.
THINGS = {
    "disk": DISK,
    "disk under two names": DISK,
    "partition of the disk": f"{DISK}-part1",
    "disk of the partition": DISK,
    "fs": ATTIC,
    "file in fs": "/srv/attic/v",
    "lv": "/dev/guests/v",
    "partition": f"{DATA}-part1",
    "file": "/srv/images/v",
    "file in a folder": "/srv/images/v",
}
READY = f"""set -e
modprobe -a target_core_mod target_core_iblock target_core_file
mkdir /srv/images /mnt/o /mnt/b
fallocate --length 64M /srv/images/v
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 {ATTIC}
vgcreate -q guests {GUESTS}
lvcreate -q --size 256M --name v guests
echo ,256M | sfdisk -q --label gpt {DATA}
udevadm settle
"""
# A partition table that the kernel knows, for what is done with one partition of the disk.
LABELLED = "echo ,256M | sfdisk -q --label gpt $D; udevadm settle\n"


def clean(owner: Owner, place: str) -> str:
    """What makes the disks blank again that an owner had, with few programs."""
    thing = THINGS[place]
    if place == "fs" or not thing.startswith("/dev/"):
        return ""
    parted = "part" in place and place != "partition"
    disks = [DISK if parted else thing, *([OTHER_DISK] if owner.both else [])]
    wiped = "".join(f"blkdiscard --force {disk}\n" for disk in disks)
    forget = "btrfs device scan --forget\n" if "btrfs" in owner.title else ""
    return f"{wiped}{forget}{f'blockdev --rereadpt {DISK}' if parted else ''}\nudevadm settle"


def made(name: str, device: str) -> dict[str, list[Result]]:
    """The tasks of the columns that make something of a device."""
    more = [blank(1), device]
    return {
        "fs": [
            task("pool_fs", name="p", device=device, path="/srv/p", format="ext4", allow=ALLOW),
        ],
        "logical": [
            task("pool_logical", name="p", devices=[device], allow=ALLOW),
            task("pool_logical", name="guests", devices=more, allow=ALLOW),
        ],
        "disk": [task("pool_disk", name="p", device=device, format="dos", allow=ALLOW)],
    }


def gone(kernel: str) -> dict[str, list[Result]]:
    """The tasks of the columns that remove something."""
    absent = {"state": "absent", "allow": ALLOW}
    deleted = {"state": "deleted", "allow": ALLOW}
    return {
        "fs deleted": [task("pool_fs", name="attic", **deleted)],
        "dir deleted": [task("pool_dir", name="images", **deleted)],
        "logical deleted": [task("pool_logical", name="guests", **deleted)],
        "disk deleted": [task("pool_disk", name="data", **deleted)],
        "file": [
            task("volume", pool="images", name="v", **absent),
            task("volume", pool="images", name="v", capacity="8M", allow=ALLOW),
        ],
        "lv": [
            task("volume", pool="guests", name="v", **absent),
            task("volume", pool="guests", name="v", capacity="8M", allow=ALLOW),
        ],
        "partition": [task("volume", pool="data", name=f"{kernel}1", **absent)],
    }


def tasks_of(place: str, owner: Owner, kernel: str) -> list[Result]:
    device = owner.name or THINGS[place]
    if place == "partition of the disk":
        device = DISK
    elif place == "disk of the partition":
        device = f"{DISK}-part1"
    columns = {**made("p", device), **gone(kernel)}
    tried = (column for column in PLACES[place] if column not in owner.useful)
    found = [each for column in tried for each in columns[column]]
    for each in found if owner.consent else ():
        del each["args"]["allow"]
    if place == "disk under two names":
        for each in found:
            each["args"]["devices"].append(DISK.replace("wwn-0x", "scsi-3"))
    return found


def case(owner: Owner, place: str, kernel: str) -> dict[str, Any]:
    thing = THINGS[place]
    parted = place in ("partition of the disk", "disk of the partition")
    begin = f"D={thing}\nE={OTHER_DISK}\n"
    return {
        "first": f"D={DISK}\n{LABELLED}" if parted else "",
        "before": [other(owner, thing)] if owner.pool else [],
        "make": f"{owners.PRELUDE}{begin}{owner.make}\nudevadm settle; sync; echo made",
        "tasks": tasks_of(place, owner, kernel),
        "after": [task(owner.pool["module"], name="other", state="absent")] if owner.pool else [],
        "undo": f"{owners.UNDO}{clean(owner, place)}",
    }


def other(owner: Owner, thing: str) -> Result:
    """What makes the other pool that has a thing."""
    module, options = owner.pool["module"], dict(owner.pool)
    del options["module"]
    if module == "pool_dir":
        options["path"] = f"{thing.rpartition('/')[0]}/below"
    elif module == "pool_logical":
        options["devices"] = [thing]
    else:
        options["device"] = thing
    return task(module, name="other", **options)


@pytest.fixture
def crowded(each_host: Driven) -> Driven:
    """A host with a pool of every type, each with a volume ``v``."""
    host = each_host
    if not host.sh("ls -d /srv/images", check=False):
        host.sh(READY)
        host.tasks(
            task("pool_dir", name="images", path="/srv/images"),
            task("pool_fs", name="attic", device=ATTIC, path="/srv/attic", format="ext4"),
            task("pool_logical", name="guests", devices=[GUESTS]),
            task("pool_disk", name="data", device=DATA, format="gpt"),
        )
        host.sh("fallocate --length 64M /srv/attic/v")
    return host


@on_one_host
@pytest.mark.parametrize(
    "place", [pytest.param(place, marks=() if place == "fs" else thorough) for place in PLACES]
)
def test_nobody_loses(crowded: Driven, place: str) -> None:
    host = crowded
    kernel = host.sh(f"basename $(readlink -f {DATA})").strip()
    here = [o for o in OWNERS if place in (o.places if EVERYTHING else o.quick)]
    found = host.drive("owned", cases=[case(owner, place, kernel) for owner in here])
    faults = []
    for owner, answer in zip(here, found, strict=True):
        tasks = tasks_of(place, owner, kernel)
        faults += [f"{owner.title}: {fault}" for fault in wrong(owner, tasks, answer)]
    assert not faults, "\n".join(faults)


def wrong(owner: Owner, tasks: list[Result], found: Result) -> list[str]:
    """What is not as it must be."""
    faults = [f"touched {line}" for line in found["touched"]]
    if [line for line in found["made"] if line and "made\n" not in line]:
        faults.append(f"not made: {found['made']}")
    for asked, (foreseen, earnest) in zip(tasks, found["answers"], strict=True):
        said = f"{asked['module']} {asked['args']}: {earnest.get('msg')}"
        if not earnest.get("failed") or earnest["changed"]:
            faults.append(f"not refused: {said}")
        elif earnest["msg"] != foreseen.get("msg"):
            faults.append(f"foreseen as {foreseen.get('msg')}: {said}")
        elif not re.match(f"Nothing was changed.*{owner.words}", earnest["msg"]):
            faults.append(f"not as {owner.words!r}: {said}")
        elif "".join(re.findall(r"allow: \[(.*)\]", earnest["msg"])) != owner.consent:
            faults.append(f"asks for consent, or does not: {said}")
    return faults


SUBVOLUMES = f"""set -e
mkfs.btrfs -q -f {DISK}
mount {DISK} /mnt/o
btrfs -q subvolume create /mnt/o/vms
btrfs -q subvolume create /mnt/o/home
echo precious >/mnt/o/home/file
umount /mnt/o
"""
BOUND = f"""set -e
mkfs.ext4 -q -F {DISK}
mount {DISK} /mnt/o
mkdir -p /mnt/o/empty /srv/part
echo precious >/mnt/o/file
mount --bind /mnt/o/empty /srv/part
umount /mnt/o
"""


@thorough
@on_one_host
@pytest.mark.parametrize(("script", "options"), [(SUBVOLUMES, ["subvol=vms"]), (BOUND, None)])
def test_a_part_is_not_all(crowded: Driven, script: str, options: list[str] | None) -> None:
    """An empty subvolume or folder says nothing of the file system that it is a part of."""
    host = crowded
    host.sh(script)
    pool = task("pool_fs", name="part", device=DISK, path="/srv/part", mount_options=options)
    host.tasks(pool)
    deleted = task("pool_fs", name="part", state="deleted")
    found = host.drive("refused", tasks=[deleted])
    assert found["touched"] == []
    for answer in found["answers"][0]:
        assert answer.get("failed")
        assert "(consent with allow: [delete])" in answer["msg"]
    host.tasks(task("pool_fs", name="part", state="absent"))
    host.sh(f"mount {DISK} /mnt/o; grep -r precious /mnt/o; umount /mnt/o; blkdiscard -f {DISK}")
