# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Devices that fail under volumes: a sentence, nothing half, and the next run does it all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conftest import Driven, Result, blank, on_one_host, task, thorough

if TYPE_CHECKING:
    from collections.abc import Iterator

BAD = "/dev/mapper/bad"
# The middle of a disk, so that LVM does not find its mark on the disk as well; an eighth of it
# can be read when it is broken, and the end.
SIZE = "disk={disk}; size=$(($(blockdev --getsz $disk) - 4096)); first=$((size / 8))"
WHOLE = (
    SIZE
    + """
dmsetup create bad --table "0 $size linear $disk 2048"
"""
)
BROKEN = (
    SIZE
    + """
dmsetup suspend --noflush --nolockfs bad
dmsetup load bad <<T
0 $first linear $disk 2048
$first $((size - 32768 - first)) error
$((size - 32768)) 32768 linear $disk $((size - 32768 + 2048))
T
dmsetup resume bad; echo 3 >/proc/sys/vm/drop_caches
"""
)
MENDED = (
    SIZE
    + """
dmsetup suspend --noflush --nolockfs bad
dmsetup load bad --table "0 $size linear $disk 2048"; dmsetup resume bad
"""
)
SOURCE = "mkdir -p /srv/from; head -c 64M /dev/urandom >/srv/from/image"
GROUP = task("pool_logical", name="frail", devices=[BAD])
CLONE = {"pool": "frail", "volume": "base"}
FILES = task("pool_dir", name="sound", path="/srv/sound")


def volumes(pool: str, *rows: Result) -> Result:
    return task("volumes", pool=pool, volumes=list(rows), allow=["delete", "overwrite"])


@pytest.fixture
def frail(each_host: Driven) -> Iterator[Driven]:
    """A host with a device that can fail, and pools on it and beside it."""
    host, disk = each_host, blank(0)
    host.sh(SOURCE)
    host.sh(WHOLE.format(disk=disk))
    host.tasks(FILES, GROUP)
    yield host
    host.sh(MENDED.format(disk=disk), check=False)
    host.sh("vgremove -fy frail; pvremove -fy /dev/mapper/bad; dmsetup remove bad", check=False)
    host.sh(
        f"dd if=/dev/zero of={disk} bs=1M count=4 conv=fsync; rm -rf /srv/from /srv/sound",
        check=False,
    )
    host.sh("rm -f /etc/libvirt/storage/*.xml /etc/libvirt/storage/autostart/*", check=False)


def state(host: Driven) -> str:
    """The volumes that there are, and the content of one that no task is about."""
    return host.sh(
        "lvs --noheadings -o lv_name,lv_size frail; ls -A /srv/sound; sha256sum /srv/sound/canary"
    )


@thorough
@on_one_host
def test_a_device_that_cannot_be_written(frail: Driven) -> None:
    """A copy into a volume on it fails with words, and is made once the device is well."""
    row = {"name": "copy", "capacity": "100%FREE", "source": {"path": "/srv/from/image"}}
    fill = volumes("frail", row)
    frail.tasks(volumes("sound", {"name": "canary", "source": {"path": "/srv/from/image"}}))
    before = state(frail)
    # In front of the broken part, so that the copy is in it.
    frail.tasks(volumes("frail", {"name": "front", "capacity": "248M"}))
    frail.sh(BROKEN.format(disk=blank(0)))
    [failed] = frail.drive("tasks", tasks=[fill])
    assert failed.get("failed"), failed
    assert "Input/output error" in failed["msg"], failed["msg"]
    assert "Traceback" not in failed["msg"]
    assert failed["left"], failed
    assert "copy" not in frail.sh("lvs --noheadings -o lv_name frail").split()
    frail.sh(MENDED.format(disk=blank(0)))
    [done, again] = frail.tasks(fill, fill)
    assert done["changed"]
    assert not again["changed"], again["plan"]
    frail.sh("cmp --bytes 67108864 /srv/from/image /dev/frail/copy")
    frail.tasks(volumes("frail", *({"name": n, "state": "absent"} for n in ("copy", "front"))))
    assert state(frail) == before


@thorough
@on_one_host
def test_a_source_that_cannot_be_read(frail: Driven) -> None:
    """A clone of a volume on it fails with words and leaves nothing; the next run makes it."""
    frail.tasks(
        volumes("frail", {"name": "base", "capacity": "1G", "source": {"path": "/srv/from/image"}}),
        volumes("sound", {"name": "canary", "source": {"path": "/srv/from/image"}}),
    )
    frail.sh("dd if=/srv/from/image of=/dev/frail/base bs=1M seek=600 conv=fsync status=none")
    before = state(frail)
    clones = [
        volumes("sound", {"name": kind, "format": kind, "clone_from": CLONE})
        for kind in ("raw", "qcow2")
    ]
    frail.sh(BROKEN.format(disk=blank(0)))
    for clone in clones:
        [failed] = frail.drive("tasks", tasks=[clone])
        assert failed.get("failed"), failed
        assert "Input/output error" in failed["msg"], failed["msg"]
        assert "Traceback" not in failed["msg"]
    frail.sh(MENDED.format(disk=blank(0)))
    assert state(frail) == before
    for clone in clones:
        [done, again] = frail.tasks(clone, clone)
        assert done["changed"]
        assert not again["changed"], again["plan"]
    for kind in ("raw", "qcow2"):
        frail.sh(f"qemu-img compare -F raw -f {kind} /srv/sound/{kind} /dev/frail/base")


@thorough
@on_one_host
def test_a_wipe_that_fails(frail: Driven) -> None:
    """What could not be wiped is not let go; the next run wipes it whole and removes it."""
    frail.tasks(
        volumes("frail", {"name": "secret", "capacity": "1G"}),
        volumes("sound", {"name": "canary", "source": {"path": "/srv/from/image"}}),
    )
    gone = volumes("frail", {"name": "secret", "state": "absent", "wipe": "zero"})
    before = state(frail)
    frail.sh(BROKEN.format(disk=blank(0)))
    [failed] = frail.drive("tasks", tasks=[gone])
    assert failed.get("failed"), failed
    assert "Traceback" not in failed["msg"]
    frail.sh(MENDED.format(disk=blank(0)))
    assert state(frail) == before
    [done, again] = frail.tasks(gone, gone)
    assert done["changed"]
    assert not again["changed"], again["plan"]
    assert "secret" not in state(frail)


@thorough
@on_one_host
def test_a_pool_whose_device_has_failed(frail: Driven) -> None:
    """A look at a group whose device cannot be read is no answer, and nothing is made of it."""
    frail.tasks(volumes("frail", {"name": "kept", "capacity": "64M"}))
    frail.sh("dmsetup suspend --noflush --nolockfs bad; dmsetup wipe_table bad; true")
    for asked in (GROUP, volumes("frail", {"name": "more", "capacity": "8M"})):
        [failed] = frail.drive("tasks", tasks=[asked])
        assert failed.get("failed"), failed
        assert "Traceback" not in failed["msg"], failed["msg"]
        assert failed["msg"].startswith("Nothing was changed: "), failed["msg"]
    frail.sh(MENDED.format(disk=blank(0)))
    [found] = frail.tasks(GROUP)
    assert not found["changed"], found["plan"]
    assert "kept" in frail.sh("lvs --noheadings -o lv_name frail")
