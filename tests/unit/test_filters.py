# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the shipped playbooks write: variables that can be read, and what differs from them."""

from __future__ import annotations

import typing as t

import yaml
from ansible_collections.poolwright.storage.plugins.filter.pool_drift import (
    FilterModule as Drift,
)
from ansible_collections.poolwright.storage.plugins.filter.pool_variables import (
    FilterModule as Variables,
)

drift, variables = Drift().filters()["pool_drift"], Variables().filters()["pool_variables"]


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


STEP = {"text": "mount it", "command": "mount", "risk": ""}
SAME: dict[str, t.Any] = {"name": "same", "plan": [], "msg": None}
OTHER = {"name": "other", "plan": [STEP], "msg": None}
BAD = {"name": "bad", "plan": [STEP], "msg": "Nothing was changed: no."}


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
