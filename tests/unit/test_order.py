# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which the role pools makes pools real."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.poolwright.storage.plugins.filter.pool_order import FilterModule

pool_order = FilterModule().filters()["pool_order"]

BY_PATH = "/dev/disk/by-path/ip-192.0.2.7:3260-iscsi-iqn.2026-01.org.example:a-lun-0"
SAN = {"name": "san", "type": "iscsi", "host": "192.0.2.7", "target": "iqn.2026-01.org.example:a"}
GROUP = {"name": "guests", "type": "logical", "devices": [BY_PATH]}
ATTIC = {"name": "attic", "type": "fs", "device": "/dev/guests/attic", "path": "/srv/attic"}
INNER = {"name": "inner", "type": "dir", "path": "/srv//attic/./inner/"}
DISK = {"name": "disk", "type": "disk", "device": "/dev/disk/by-id/wwn-0x1"}
BACKED: dict[str, t.Any] = {
    "name": "children",
    "type": "dir",
    "path": "/srv/children",
    "volumes": [{"name": "a", "backing": {"pool": "bases", "volume": "golden"}}],
}
BASES: dict[str, t.Any] = {"name": "bases", "type": "dir", "path": "/srv/bases"}
COPIED: dict[str, t.Any] = {**BASES, "name": "copies", "path": "/srv/copies"}
COPIED["volumes"] = [{"name": "a", "source": {"path": "/srv/bases/golden"}}]
ROWS: list[tuple[list[dict[str, t.Any]], str]] = [
    ([INNER, ATTIC, GROUP, SAN], "san guests attic inner"),
    ([SAN, GROUP, ATTIC, INNER], "san guests attic inner"),
    ([{**each, "state": "absent"} for each in (SAN, GROUP, ATTIC)], "attic guests san"),
    ([SAN, GROUP, {**ATTIC, "state": "deleted"}], "san attic guests"),
    ([BASES, DISK, SAN], "bases disk san"),
    ([{**ATTIC, "device": f"{DISK['device']}-part1"}, DISK], "disk attic"),
    ([{**ATTIC, "device": "/dev/sdb1"}, {**DISK, "device": "/dev/sdb"}], "disk attic"),
    ([{**ATTIC, "device": "/dev/mapper/a--b-c"}, {**GROUP, "name": "a-b"}], "a-b attic"),
    ([BACKED, BASES], "bases children"),
    ([COPIED, BASES], "bases copies"),
    ([{**BASES, "path": "/srv/ba"}, BASES], "bases bases"),
    ([], ""),
]


@pytest.mark.parametrize(("pools", "order"), ROWS)
def test_order(pools: list[dict[str, t.Any]], order: str) -> None:
    assert " ".join(each["name"] for each in pool_order(pools)) == order


def test_a_circle_is_told() -> None:
    one: dict[str, t.Any] = {**BACKED, "name": "one"}
    one["volumes"] = [{"name": "a", "clone_from": {"pool": "two", "volume": "b"}}]
    two = {**BACKED, "name": "two", "path": "/srv/two"}
    two["volumes"] = [{"name": "b", "clone_from": {"pool": "one", "volume": "a"}}]
    with pytest.raises(
        AnsibleFilterError, match="the pools one, two live on each other in a circle"
    ):
        pool_order([SAN, one, two])
