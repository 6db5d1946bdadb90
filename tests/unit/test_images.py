# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of images: what they are based on, and the options that describe them."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.poolwright.storage.plugins.module_utils import (
    _describe,
    _results,
)
from ansible_collections.poolwright.storage.plugins.module_utils._model import (
    Encryption,
    Pool,
    Secret,
    Volume,
)
from ansible_collections.poolwright.storage.plugins.module_utils._pools.dir import Dir
from ansible_collections.poolwright.storage.tests.unit.fake_host import FakeHost
from ansible_collections.poolwright.storage.tests.unit.test_plans import look

FILES: dict[str, t.Any] = {
    "pools": {"data": {"type": "dir", "path": "/srv/data"}},
    "programs": ["qemu-img"],
    "paths": {
        "/srv/data": {
            "inside": {
                "plain": {"size": 1 << 20, "allocated": 4096},
                "full": {"size": 1 << 20, "allocated": 1 << 20, "mode": "0640", "group": 6},
                "odd": {"size": 1000, "owner": 64055},
                "folder": {"kind": "dir", "mode": "0600"},
                "base": {"format": "qcow2", "capacity": 1 << 20},
                "old": {"format": "qcow2", "version": 2, "capacity": 1 << 20},
                "top": {"format": "qcow2", "capacity": 1 << 21, "backing": "middle"},
                "middle": {
                    "format": "qcow2",
                    "capacity": 1 << 20,
                    "backing": "/srv/data/base",
                    "backing_format": "qcow2",
                },
                "far": {"format": "qcow2", "capacity": 1 << 20, "backing": "/srv/else/disk"},
                "gone": {"format": "qcow2", "capacity": 1 << 20, "backing": "../gone"},
                "served": {"format": "qcow2", "capacity": 1 << 20, "backing": "nbd://host/disk"},
                "self": {"format": "qcow2", "capacity": 1 << 20, "backing": "/srv/data/self"},
                "link": {"link": "plain", "size": 1 << 20},
                "kept": {"header": "WithouFreSpacExt", "size": 512},
                " blank": {"size": 1},
            }
        },
        "/srv/else": {"inside": {"disk": {"size": 1 << 20}}},
    },
}
BACKEND = Dir(Pool("dir", "data", path="/srv/data"), {})


def seen(name: str) -> Volume:
    [found] = [v for v in BACKEND.volumes().look(FakeHost(FILES)) if v.name == name]
    return found


def chain(name: str) -> list[tuple[t.Any, ...]]:
    return [tuple(link.values()) for link in _results.chain(seen(name))]


@pytest.mark.parametrize(
    ("name", "links"),
    [
        ("plain", []),
        ("base", []),
        ("top", [("/srv/data/middle", "qcow2", True), ("/srv/data/base", "qcow2", True)]),
        ("middle", [("/srv/data/base", "qcow2", True)]),
        ("far", [("/srv/else/disk", "raw", True)]),
        ("gone", [("/srv/data/../gone", None, False)]),
        ("served", [("nbd://host/disk", None, None)]),
    ],
)
def test_chain(name: str, links: list[tuple[t.Any, ...]]) -> None:
    assert chain(name) == links


def test_a_circle_ends() -> None:
    assert chain("self") == [("/srv/data/self", "qcow2", True)] * 2


OPTIONS: list[tuple[str, dict[str, t.Any] | None]] = [
    ("plain", {"capacity": "1 MiB"}),
    ("full", {"capacity": "1 MiB", "allocation": "1 MiB", "mode": "0640", "group": "6"}),
    ("odd", {"capacity": "1000 bytes", "owner": "64055"}),
    ("folder", {"format": "dir"}),
    ("base", {"capacity": "1 MiB", "format": "qcow2"}),
    ("old", {"capacity": "1 MiB", "format": "qcow2", "compat": "0.10"}),
    (
        "top",
        {
            "capacity": "2 MiB",
            "format": "qcow2",
            "backing": {"volume": "middle", "format": "qcow2"},
        },
    ),
    (
        "far",
        {
            "capacity": "1 MiB",
            "format": "qcow2",
            "backing": {"path": "/srv/else/disk", "format": "raw"},
        },
    ),
    *((name, None) for name in ("gone", "served", "link", "kept", " blank")),
]


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=[name for name, _options in OPTIONS])
def test_options(name: str, options: dict[str, t.Any] | None) -> None:
    told = _describe.volume(BACKEND, seen(name))
    assert told == (options if options is None else {"name": name, **options})


@pytest.mark.parametrize("name", [name for name, options in OPTIONS if options])
def test_what_is_described_is_there(name: str) -> None:
    row = _describe.volume(BACKEND, seen(name))
    host = {**FILES, "users": {"64055": 64055, "6": 6}}
    found = look({"kind": "volumes", "task": {"volumes": [row]}}, FakeHost(host))
    assert [action.command for action in found.plan] == []


def test_passphrases_are_variables() -> None:
    encrypted = Volume("a b", capacity=512, format="raw", encryption=Encryption("luks"))
    told = _describe.volume(BACKEND, encrypted)
    assert told
    assert told["encryption"] == {"passphrase": "{{ pools_data_a_b_passphrase }}"}
    known = Encryption("luks", (Secret(uuid="11111111-1111-1111-1111-111111111111"),))
    told = _describe.volume(BACKEND, Volume("v", capacity=512, format="raw", encryption=known))
    assert told
    assert told["encryption"] == {"secret": "11111111-1111-1111-1111-111111111111"}
    old = Volume("v", capacity=512, format="qcow2", encryption=Encryption("qcow"))
    assert _describe.volume(BACKEND, old) is None
