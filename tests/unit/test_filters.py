# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the shipped playbooks write: variables that can be read, and what differs from them."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible_collections.poolwright.storage.plugins.filter.pool_drift import (
    FilterModule as Drift,
)
from ansible_collections.poolwright.storage.plugins.filter.pool_report import (
    FilterModule as Report,
)
from ansible_collections.poolwright.storage.plugins.filter.pool_variables import (
    FilterModule as Variables,
)

drift, variables = Drift().filters()["pool_drift"], Variables().filters()["pool_variables"]
report = Report().filters()["pool_report"]


class Tagged(str):
    """Text as Ansible marks what it does not trust."""


CHAP = {"username": "me", "password": "{{ pools_b_chap_password }}"}
FOUND: dict[str, t.Any] = {
    "pools": [
        {"name": "a", "error": "a: no such\ndevice"},
        {"name": Tagged("b"), "error": None},
    ],
    "pools_list": [
        {"chap": CHAP, "target": "iqn.x:y", "name": "b", "type": "iscsi", "host": "san"},
        {
            "volumes": [{"capacity": "1 GiB", "name": Tagged("é")}, {"mode": "0640", "name": "w"}],
            Tagged("path"): Tagged("/srv/a"),
            "mode": "0750",
            "name": "a",
            "type": Tagged("dir"),
        },
    ],
}
WRITTEN = """\
# Pool a could not be looked at: a: no such device
# Passwords are not exported. Fill, best in a vault: pools_b_chap_password.
pools_list:
  - name: b
    type: iscsi
    chap:
      username: me
      password: '{{ pools_b_chap_password }}'
    host: san
    target: iqn.x:y
  - name: a
    type: dir
    mode: '0750'
    path: /srv/a
    volumes:
      - {name: é, capacity: 1 GiB}
      - {name: w, mode: '0640'}
"""


def test_variables() -> None:
    assert variables(FOUND) == WRITTEN
    assert yaml.safe_load(WRITTEN)["pools_list"] == FOUND["pools_list"]


def test_variables_without_volumes() -> None:
    assert variables(FOUND, volumes=False) == WRITTEN[: WRITTEN.index("    volumes:")]


def test_no_pools() -> None:
    assert variables({"pools": [], "pools_list": []}) == "pools_list: []\n"


STEP = "mount it"
SAME: dict[str, t.Any] = {"name": "same", "steps": [], "msg": None}
OTHER = {"name": "other", "steps": [STEP], "msg": None}
BAD = {"name": "bad", "steps": [STEP], "msg": "Nothing was changed: no."}


def test_drift() -> None:
    found = {"pools": [{"name": "same"}, {"name": "extra"}]}
    rows = [
        {"name": "other", "differs": ["mount it"], "error": None},
        {"name": "bad", "differs": [], "error": "Nothing was changed: no."},
    ]
    extra = {"name": "extra", "differs": ["is there, and not in the variables"], "error": None}
    assert drift([SAME, OTHER, BAD], found) == {"drift": True, "pools": [*rows, extra]}
    assert drift([SAME, OTHER, BAD], found, unlisted=False) == {"drift": True, "pools": rows}
    assert drift([SAME], found, False) == {"drift": False, "pools": []}


def test_what_cannot_be_seen_is_drift() -> None:
    wrong = {"name": "all", "differs": [], "error": "no lxml"}
    assert drift([], {"msg": "no lxml"}) == {"drift": True, "pools": [wrong]}


GIB = 1 << 30
SOURCE: dict[str, t.Any] = {"hosts": [], "devices": [], "name": None, "dir": None}
SERVER = {**SOURCE, "hosts": [{"name": "nas"}], "dir": "/exports/all"}


def told(
    name: str, kind: str = "dir", size: int | None = None, used: int = 0, **more: t.Any
) -> dict[str, t.Any]:
    """A pool as pool_info tells it."""
    row: dict[str, t.Any] = {"name": name, "type": kind, "state": "active", "autostart": True}
    row.update(built=True, path=f"/srv/{name}", source=SOURCE, warnings=[], error=None)
    row.update(dict.fromkeys(("capacity", "allocation", "available")))
    if size is not None:
        row.update(capacity=size, allocation=used, available=size - used)
    return {**row, **more}


def page(*pools: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    """The report on two hosts that have the same pools."""
    host = {"found": {"pools": pools}, "drift": None, **more}
    made: dict[str, t.Any] = report({"a1": host, "a02": host})
    return made


def notes(*pools: dict[str, t.Any], **more: t.Any) -> list[tuple[str, str]]:
    """What is to be looked at on a host."""
    rows = report({"a": {"found": {"pools": pools}, "drift": None, **more}})["attention"]
    return [(note["level"], note["text"]) for row in rows for note in row["notes"]]


@pytest.mark.parametrize(
    ("pools", "text"),
    [
        # Two directories of one file system on each host
        (
            [told("a", size=GIB, used=GIB // 4), told("b", size=GIB, used=GIB // 4)],
            "512 MiB of 2.0 GiB",
        ),
        # Two file systems that happen to look alike
        ([told("a", "fs", GIB, 0), told("b", "fs", GIB, 0)], "0 bytes of 4.0 GiB"),
        # One server for both
        ([told("a", "netfs", 3 * GIB, GIB, source=SERVER)], "1.0 GiB of 3.0 GiB"),
        # LUNs, which are in other pools, and what does not run
        (
            [told("a", "iscsi", GIB, GIB), told("b", "scsi", GIB), told("c", "mpath", GIB)],
            "0 bytes of 0 bytes",
        ),
        ([told("a")], "0 bytes of 0 bytes"),
    ],
)
def test_what_is_shown_twice_counts_once(pools: list[dict[str, t.Any]], text: str) -> None:
    assert page(*pools)["fleet"]["use"]["text"] == text


def test_types() -> None:
    rows = page(told("a", size=GIB, used=GIB // 2), told("b", "iscsi", GIB, GIB))["types"]
    assert [(row["type"], row["pools"], row["hosts"]) for row in rows] == [
        ("dir", 2, 2),
        ("iscsi", 2, 2),
    ]
    assert [row["use"] and row["use"]["percent"] for row in rows] == [50, None]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, []),
        ({"error": "a: stale"}, [("bad", "a: stale")]),
        ({"built": False, "state": "inactive"}, [("warn", "Its storage is not there.")]),
        ({"state": "inactive"}, [("warn", "It is not running.")]),
        ({"autostart": False}, [("warn", "It does not come back after a reboot.")]),
        ({"warnings": ["a path failed"]}, [("warn", "a path failed")]),
    ],
)
def test_what_is_to_be_looked_at(more: dict[str, t.Any], expected: list[tuple[str, str]]) -> None:
    assert notes(told("a", **more)) == expected


def test_nearly_full_counts_where_files_grow() -> None:
    full = ("warn", "It is 95 % full, 5 bytes are free.")
    assert notes(told("a", "fs", 100, 95)) == [full]
    assert notes(told("a", "fs", 100, 89), told("b", "logical", 100, 100)) == []


def test_differences_stand_with_their_pools() -> None:
    rows = [
        {"name": "a", "differs": ["define it", "start it"], "error": None},
        {"name": "new", "differs": [], "error": "Nothing was changed: no."},
    ]
    host = report({"h": {"found": {"pools": [told("a")]}, "drift": {"drift": True, "pools": rows}}})
    assert [pool["state"] for pool in host["hosts"][0]["pools"]] == ["active", "missing"]
    # What is worst comes first.
    texts = [note["text"] for row in host["attention"] for note in row["notes"]]
    assert texts[0] == "The role refuses: Nothing was changed: no."
    assert texts[1] == "Differs from its variables: define it; start it."
    assert (host["fleet"]["compared"], host["fleet"]["differing"], host["fleet"]["pools"]) == (
        1,
        1,
        1,
    )


def test_hosts_that_told_nothing() -> None:
    lost = {"found": {"unreachable": True, "msg": "no route"}, "drift": None}
    made = report(
        {
            "b10": lost,
            "b9": {"found": {"msg": "no lxml"}, "drift": None},
            "c": {"found": {}, "drift": None},
        }
    )
    assert [row["name"] for row in made["hosts"]] == ["b9", "b10", "c"]
    assert [row["level"] for row in made["hosts"]] == ["bad", "bad", "bad"]
    assert [row["unreachable"] for row in made["hosts"]] == [False, True, False]
    assert [row["notes"][0]["text"] for row in made["attention"]] == [
        "no lxml",
        "no route",
        "Nothing is known of it.",
    ]
    assert made["fleet"]["unreachable"] == 1


def test_no_hosts() -> None:
    made = report({})
    assert (made["hosts"], made["attention"], made["types"]) == ([], [], [])
    assert [row["percent"] for row in made["fleet"]["levels"]] == [0, 0, 0]


def test_every_string_is_safe_as_html() -> None:
    odd = "<b>\"'&\x00\udcff\u202e\n"
    shown = "&lt;b&gt;&quot;&#x27;&amp;\\x00\\xff\\u202e "
    rows = [
        {"name": odd, "differs": [odd], "error": None},
        {"name": f"{odd}2", "differs": [], "error": odd},
    ]
    pool = told(odd, odd, state=odd, warnings=[odd], error=odd, path=odd)
    devices = told(f"{odd}3", source={**SOURCE, "devices": [odd]})
    server = told(f"{odd}4", source={**SERVER, "hosts": [{"name": odd}], "dir": odd})
    hosts = {
        odd: {"found": {"pools": [pool, devices, server]}, "drift": {"drift": True, "pools": rows}},
        "lost": {"found": {"msg": odd}, "drift": None},
    }
    made = report(hosts)
    strings = list(leaves(made))
    assert not [each for each in strings if set(each) & set("<>\"'\x00\udcff\u202e\n")]
    assert made["hosts"][0]["name"] == shown
    assert made["hosts"][0]["pools"][0]["source"] == shown


def leaves(value: t.Any) -> t.Iterator[str]:
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, str):
        yield value
    elif not isinstance(value, (int, float, type(None))):
        for each in value:
            yield from leaves(each)
