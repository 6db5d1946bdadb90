# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""A pool of each type goes to another place when it may: what it had stays where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conftest import Driven, Result, blank, on_one_host, task, thorough
from test_iscsi import IQN, STOP
from test_netfs import failed
from test_states import four, sh

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = "192.0.2.7"
ONE, TWO = blank(0), blank(1)
SERVE = f"""set -e
ip address replace {SERVER}/32 dev lo
mkdir -p /exports/one /exports/two /var/lib/lun
echo '/exports/one *(rw,no_root_squash,no_subtree_check)' >/etc/exports
echo '/exports/two *(rw,no_root_squash,no_subtree_check)' >>/etc/exports
systemctl restart nfs-server
truncate -s 32M /var/lib/lun/0 /var/lib/lun/1
targetcli >/dev/null 2>&1 <<X
    backstores/fileio create lun0 /var/lib/lun/0
    backstores/fileio create lun1 /var/lib/lun/1
    iscsi/ create {IQN}:one
    iscsi/ create {IQN}:two
    iscsi/{IQN}:one/tpg1/luns create /backstores/fileio/lun0
    iscsi/{IQN}:two/tpg1/luns create /backstores/fileio/lun1
    iscsi/{IQN}:one/tpg1 set attribute authentication=0 generate_node_acls=1
    iscsi/{IQN}:two/tpg1 set attribute authentication=0 generate_node_acls=1
    exit
X
for target in one two; do
    iscsiadm --mode discovery --type sendtargets --portal {SERVER} >/dev/null
done
"""
CLEAN = f"""{STOP} >/dev/null 2>&1; iscsiadm --mode node --op delete
umount /srv/share /srv/attic; vgremove -qff -y one two
rm -rf /exports /srv/images /srv/other; systemctl stop nfs-server
blkdiscard -f {ONE}; blkdiscard -f {TWO}; blockdev --rereadpt {ONE} {TWO}; true
"""

# Module → what the pool is first and later, and what shows the canary at its old place.
PLACES: dict[str, tuple[dict[str, Any], dict[str, Any], str, str, str]] = {
    "pool_dir": (
        {"path": "/srv/images"},
        {"path": "/srv/other"},
        "echo precious >/srv/images/canary",
        "cat /srv/images/canary",
        "precious",
    ),
    "pool_fs": (
        {"path": "/srv/attic", "device": ONE, "format": "ext4"},
        {"path": "/srv/attic", "device": TWO, "format": "ext4"},
        "echo precious >/srv/attic/canary; sync",
        f"findmnt -no SOURCE {ONE}; mount -r {ONE} /mnt; cat /mnt/canary; umount /mnt",
        "precious",
    ),
    "pool_logical": (
        {"volume_group": "one", "devices": [ONE]},
        {"volume_group": "two", "devices": [TWO]},
        "lvcreate -qqy -Wn -L 8M -n canary one",
        "lvs --noheadings -o lv_name,lv_active one | xargs",
        "canary",
    ),
    "pool_disk": (
        {"device": ONE, "format": "gpt"},
        {"device": TWO, "format": "gpt"},
        f"echo ,8M | sfdisk -q -a {ONE}; udevadm settle; echo precious >{ONE}-part1",
        f"head -c 8 {ONE}-part1",
        "precious",
    ),
    "pool_netfs": (
        {"path": "/srv/share", "host": SERVER, "dir": "/exports/one"},
        {"path": "/srv/share", "host": SERVER, "dir": "/exports/two"},
        "echo precious >/srv/share/canary",
        "cat /exports/one/canary; findmnt -no SOURCE /srv/share | cut -d: -f2",
        "precious\n/exports/two",
    ),
    "pool_iscsi": (
        {"host": SERVER, "target": f"{IQN}:one"},
        {"host": SERVER, "target": f"{IQN}:two"},
        "echo precious >/var/lib/lun/0.note",
        "iscsiadm --mode session | cut -d' ' -f4",
        f"{IQN}:two",
    ),
}


@pytest.fixture
def served(each_host: Driven) -> Iterator[Driven]:
    each_host.sh(CLEAN, check=False)
    each_host.sh(SERVE)
    yield each_host
    each_host.sh(CLEAN, check=False)


@thorough
@on_one_host
@pytest.mark.parametrize("module", PLACES)
def test_a_pool_moves(served: Driven, module: str) -> None:
    here, there, mark, look, says = PLACES[module]
    first = task(module, name="mover", **here)
    made = served.tasks(first)[0]["pool"]
    served.sh(mark)
    away = task(module, name="mover", **there)
    (said,) = failed(served, away)
    assert "allow: [interrupt]" in said
    assert "moves from" in said or "move pool mover from" in said
    moving: Result = task(module, name="mover", **there, allow=["interrupt"])
    four(served, moving, sh(look, says))
    moved = served.tasks(away)[0]
    assert moved["pool"]["uuid"] == made["uuid"]
    assert moved["pool"]["state"] == "active"
    served.tasks(task(module, name="mover", state="absent"))
