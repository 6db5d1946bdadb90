# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every pool of every host of the plans, told as options: given to its module, nothing changes."""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ansible_collections.poolwright.storage.plugins.module_utils import (
    _describe,
    _options,
    _registry,
    _results,
    _run_info,
    _volume_options,
)
from ansible_collections.poolwright.storage.plugins.module_utils._host import HostError
from ansible_collections.poolwright.storage.plugins.module_utils._model import (
    Auth,
    Pool,
    Refused,
    SourceHost,
)
from ansible_collections.poolwright.storage.plugins.module_utils._pools import all as pools
from ansible_collections.poolwright.storage.plugins.module_utils._pools.all import BACKENDS
from ansible_collections.poolwright.storage.tests.unit.fake_host import FakeHost
from ansible_collections.poolwright.storage.tests.unit.test_plans import CASES, Case, look, params


def own(case: Case) -> Case:
    """The case on a host where each pool that is data has a UUID of its own."""
    said = case["host"].get("pools") or {}
    ids = {name: f"{number:032}" for number, name in enumerate(said)}
    there = {k: {"uuid": ids[k], **v} if isinstance(v, dict) else v for k, v in said.items()}
    return {**case, "host": {**case["host"], "pools": there}}


AUTO: dict[str, t.Any] = {"libvirt": "auto", "libvirt_uri": "qemu:///system"}


def defined(case: Case) -> bool:
    """Whether the case's pool is there, as one of the case's type."""
    pool = (case["host"].get("pools") or {}).get(case["task"]["name"])
    return isinstance(pool, str) or bool(pool and pool["type"] == case["kind"])


DEFINED = [own(case) for case in CASES if case["kind"] in BACKENDS and defined(case)]
NAMES = [f"{case['kind']}: {case['name']}" for case in DEFINED]
# Definition and host differ, or the definition is not as libvirt writes it.
OTHERWISE = (
    "a pool at the same place, spelled otherwise",
    "options that are not given stay as they are",
)
PASSWORDS = {"password": "old", "password_in": "in"}


def looked(case: Case) -> tuple[Pool, dict[str, t.Any]]:
    """The case's pool as it is defined, and what pool_info tells as its options."""
    host = FakeHost(case["host"])
    stored = _registry.find(host, "auto", AUTO["libvirt_uri"]).look(host, case["task"]["name"])
    assert stored.pool
    backend = pools.backend(stored.pool, {})
    seen = backend.probe(host)
    row = _results.pool(stored.pool, stored, seen)
    told = _describe.options(host, backend, seen, row, AUTO)
    assert list(_describe.warnings(backend, told)) == []
    return stored.pool, told


def filled(told: dict[str, t.Any]) -> dict[str, t.Any]:
    """The options with passwords where they name variables."""
    if "chap" not in told:
        return told
    return {**told, "chap": {key: PASSWORDS.get(key, it) for key, it in told["chap"].items()}}


def plan(case: Case, task: dict[str, t.Any]) -> list[str]:
    """What the task would do, or why it would not."""
    try:
        found = look({**case, "task": task, "foreseen": {}}, FakeHost(case["host"]))
    except (HostError, Refused) as refusal:
        return [str(refusal)]
    return [action.command for action in found.plan]


@pytest.mark.parametrize("case", DEFINED, ids=NAMES)
def test_options_describe_the_pool(case: Case) -> None:
    """They do no more than a task that only leaves the pool as it is, and say all that it is."""
    try:
        pool, told = looked(case)
    except (HostError, Refused):
        return
    kind, task = BACKENDS[case["kind"]], filled(told)
    least = {key: told[key] for key in told if key in ("name", "state", "autostart")}
    if "state" not in least:
        least.update({key: told[key] for key in kind.required})
    steps = plan(case, task)
    assert steps == plan(case, least)
    if not steps and case["name"] not in OTHERWISE:
        given = params({**_options.POOL, **kind.options}, task)
        host, uuid = FakeHost(case["host"]), _options.new_uuid(FakeHost({}), pool.name)
        new = kind.define(host, given, Pool(pool.type, pool.name, uuid=given["uuid"] or uuid))
        assert new == replace(pool, devices=() if pool.type == "logical" else pool.devices)


# Their volumes are smaller than what LVM has, or no volumes yet.
ODD = (
    "a partition that was not filled",
    "a partition that was not filled, and is to be empty",
    "a partition that was not filled goes",
    "a partition that another host fills",
    "a volume that was not finished is made anew",
    "more volumes than the group may have",
    "a thin pool is not resized",
    "permissions of a volume that is not active",
    "an inactive logical volume that another pool lives on is not removed",
)
VOLUMES = [case for case in CASES if case["kind"] not in BACKENDS and case["name"] not in ODD]


def volumes(case: Case) -> list[dict[str, t.Any]]:
    """What is told as the options of all volumes of the case's pool."""
    host = FakeHost(case["host"])
    name = case["task"].get("pool", "data")
    stored = _registry.find(host, "auto", AUTO["libvirt_uri"]).look(host, name)
    if stored.pool is None:
        return []
    backend = pools.backend(stored.pool, {})
    found = (_describe.volume(backend, each) for each in backend.probe(host).volumes)
    return [told for told in found if told]


@pytest.mark.parametrize("case", VOLUMES, ids=[f"{c['kind']}: {c['name']}" for c in VOLUMES])
def test_options_describe_the_volumes(case: Case) -> None:
    try:
        rows = volumes(case)
    except (HostError, Refused):
        return
    if any("encryption" in row for row in rows):
        told = [row["encryption"]["passphrase"] for row in rows if "encryption" in row]
        assert all(re.fullmatch(r"{{ pools_data_\w+_passphrase }}", text) for text in told)
        return  # with the right one in their place, `volume` looks whether it opens them
    rows = [row for row in rows if "twin" not in row["name"]]  # each is based on the other
    task = {**case["task"], "purge": False, "allow": []}
    assert plan(case, {**task, "volumes": rows}) == plan(case, {**task, "volumes": []})
    given = params(_volume_options.VOLUMES, {"pool": "data", "volumes": rows})
    assert list(_volume_options.volumes_faults(given)) == []


def test_most_hosts_are_left_alone() -> None:
    still = [case["kind"] for case in DEFINED if case.get("plan") == []]
    assert set(still) | {"mpath"} == set(BACKENDS)


DIR = {"name": "data", "path": "/srv/data", "uuid": f"{0:08}-0000-0000-0000-{0:012}"}
PLACE = {"kind": "dir", "owner": 7, "group": 8, "mode": "2750", "inside": {}}
TOLD: dict[str, tuple[str, dict[str, t.Any], dict[str, t.Any]]] = {
    "a pool that is not there": (
        "dir",
        {"paths": {"/srv/data": None}},
        {**DIR, "state": "inactive"},
    ),
    "what the definition says": (
        "dir",
        {"pools": {"data": {"cow": "no", "permissions": {"mode": "0750", "owner": 7, "group": 9}}}},
        # The group is another one on the host, and stays out of it.
        {**DIR, "cow": False, "mode": "2750", "owner": "7"},
    ),
    "no password in mount options": (
        "netfs",
        {
            "pools": {
                "data": {
                    "hosts": [{"name": "nas"}],
                    "dir": "share",
                    "format": "cifs",
                    "mount_options": ["username=me", "password=secret"],
                }
            },
            "mounts": {},
        },
        {**DIR, "host": "nas", "dir": "share", "format": "cifs", "state": "inactive"},
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_is_told(name: str) -> None:
    kind, said, wanted = TOLD[name]
    pool = {"type": kind, "path": "/srv/data", **said.get("pools", {}).get("data", {})}
    said = {
        "paths": {"/srv/data": {**PLACE, "cow": "no"}},
        "autostart": ["data"],
        **said,
        "pools": {"data": pool},
    }
    module: t.Any = SimpleNamespace(params={**AUTO, "volumes": True}, told=str)
    host = FakeHost(said)
    row = _run_info._pool(module, host, _registry.Files(), "data")
    assert row and row["error"] is None
    assert row["options"] == wanted
    assert "secret" not in str(row["options"])
    assert [text for text in row["warnings"] if "have a password" in text] == [
        text for text in row["warnings"] if "password" in name
    ]


def test_a_group_that_lvm_activates_comes_back_by_itself() -> None:
    """Without autostart a task would turn that off, and guests would miss their disks."""
    case = next(case for case in DEFINED if case["kind"] == "logical" and case.get("plan") == [])
    assert "autostart" not in looked({**case, "host": {**case["host"], "autostart": []}})[1]
    groups = {k: {**v, "autoactivation": False} for k, v in case["host"]["groups"].items()}
    host = {**case["host"], "autostart": [], "groups": groups}
    assert looked({**case, "host": host})[1]["autostart"] is False


def test_passwords_are_variables() -> None:
    pool = Pool("iscsi", "the san", auth=Auth("chap", "me"), hosts=(SourceHost("san", 3261),))
    backend = BACKENDS["iscsi"](pool, {})
    row = {"state": "inactive", "autostart": True}
    told = _describe.options(FakeHost({}), backend, None, row, AUTO)
    assert told["chap"] == {"username": "me", "password": "{{ pools_the_san_chap_password }}"}
    assert (told["port"], "state" in told) == (3261, False)
    (fault,) = backend.faults({"chap": told["chap"]})
    assert fault.startswith("chap: password is still {{ pools_the_san_chap_password }}")


def test_the_list_is_in_an_order_that_can_be_made() -> None:
    volumes: list[dict[str, t.Any]] = [
        {"options": {"name": "v", "owner": "64055"}},
        {"options": None},
    ]
    volumes.append({"options": {"name": "lost+found", "format": "dir"}})
    rows: list[dict[str, t.Any]] = [
        {"type": "dir", "options": {"name": "b"}, "volumes": volumes},
        {"type": "dir", "options": {"name": "a", "state": "inactive"}, "volumes": volumes},
        {"type": "iscsi", "options": {"name": "c"}, "volumes": volumes},
    ]
    assert _describe.listed([*rows, {"type": "rbd", "options": None, "volumes": None}]) == [
        {"name": "c", "type": "iscsi", "volumes": [{"name": "v"}]},
        {"name": "a", "type": "dir", "state": "inactive"},
        {"name": "b", "type": "dir", "volumes": [{"name": "v"}]},
    ]
    assert set(_describe.LAYERS) == set(BACKENDS)
