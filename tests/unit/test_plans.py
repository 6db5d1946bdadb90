# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Given this task on this host: these commands, or this refusal.  The cases are data.

A case is a task, a host (see fake_host.py; it can build on one of the file's hosts by name) and
either the commands of its plan or a part of its refusal.  It can say what else is seen: fields of
the definition that is kept, parts of the files that are written, warnings, and what it leaves.
``foreseen`` is what tasks before it would leave, in check mode; where that is not enough to tell
what comes, ``unforeseen`` says why.  ``brings`` are the devices that tasks after it can count on.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.poolwright.storage.plugins.module_utils import (
    _lifecycle,
    _options,
    _run_pool,
    _run_volumes,
    _volume_options,
)
from ansible_collections.poolwright.storage.plugins.module_utils._foresight import Foresight
from ansible_collections.poolwright.storage.plugins.module_utils._host import HostError
from ansible_collections.poolwright.storage.plugins.module_utils._model import Refused
from ansible_collections.poolwright.storage.plugins.module_utils._plan import Action, guard
from ansible_collections.poolwright.storage.plugins.module_utils._pools.all import BACKENDS
from ansible_collections.poolwright.storage.plugins.module_utils._run import Look, Unforeseen
from ansible_collections.poolwright.storage.plugins.module_utils._writer import HARMLESS, Writer
from ansible_collections.poolwright.storage.plugins.module_utils._xml import poolxml
from ansible_collections.poolwright.storage.tests.unit.fake_host import FakeHost

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as fast
Case = t.Dict[str, t.Any]


def load(path: Path) -> t.Iterator[Case]:
    file = yaml.load(path.read_text(encoding="utf-8"), Loader)
    for case in file["cases"]:
        yield {"kind": path.stem, **case, "host": merged(file["hosts"], case.get("host", {}))}


def merged(hosts: Case, said: Case) -> Case:
    """What a case says of its host, on top of the host that it is like."""
    base = merged(hosts, hosts[said["like"]]) if "like" in said else {}
    both = [key for key in said if isinstance(said[key], dict) and isinstance(base.get(key), dict)]
    return {**base, **said, **{key: {**base[key], **said[key]} for key in both}}


CASES = [case for path in sorted(Path(__file__).parent.glob("plans/*.yml")) for case in load(path)]


def params(spec: _options.Spec, task: Case) -> Case:
    """The task's options as the module gets them."""
    checked = ArgumentSpecValidator(dict(spec)).validate(task)
    assert not checked.error_messages
    return dict(checked.validated_parameters)


def told(left: Case) -> Case:
    """What a task is told of a pool, with all that there is to say in each row."""
    task = {"pool": "data", "volumes": left.get("rows", [])}
    rows = params(_volume_options.VOLUMES, task)["volumes"]
    return {**left, "rows": [_volume_options.row(row) for row in rows]}


def look(case: Case, host: FakeHost) -> Look:
    """The module's look; ``foreseen`` of a case is what tasks before it would leave."""
    before = {"foreseen": {name: told(left) for name, left in case.get("foreseen", {}).items()}}
    if case["kind"] in BACKENDS:
        kind = BACKENDS[case["kind"]]
        given = params({**_options.POOL, **kind.options}, case["task"])
        assert not [*_options.pool_faults(given), *kind.faults(given)]
        wish = _lifecycle.Wish(*(given[key] for key in ("state", "build", "autostart", "refresh")))
        foresight = Foresight(before)
        found = _run_pool._look(foresight.on(host), kind, given, wish, foresight)
    else:
        given = params(_volume_options.VOLUMES, {"pool": "data", **case["task"]})
        task = _run_volumes._Task(given, given["volumes"], given["purge"], before)
        found = task.look(task.before.on(host))
    guard(found.plan, given["allow"])
    return found


def accounted(action: Action) -> bool:
    """Whether a step that can lose something says what it writes to, so that `_taking` decides."""
    loses = action.risk not in ("", "interrupt") or action.verb in ("run", "zero_ends", "rmtree")
    if action.claims or not loses:
        return True
    harmless = action.verb == "run" and any(
        tuple(action.args[0][: len(begin)]) == begin for begin in HARMLESS
    )
    return harmless and action.risk in ("", "interrupt")


@pytest.mark.parametrize("case", CASES, ids=[f"{c['kind']}: {c['name']}" for c in CASES])
def test_plan(case: Case) -> None:
    host = FakeHost(case["host"])
    if "refused" in case:
        with pytest.raises((Refused, HostError)) as refusal:
            look(case, host)
        assert case["refused"] in str(refusal.value)
        return
    if "unforeseen" in case:
        with pytest.raises(Unforeseen) as why:
            look(case, host)
        assert str(why.value) == case["unforeseen"]
        return
    found = look(case, host)
    assert [action.command for action in found.plan] == case["plan"]
    assert [action.verb for action in found.plan if not hasattr(Writer, action.verb)] == []
    assert [action.text for action in found.plan if not accounted(action)] == []
    assert len(host.asked) <= 8
    json.dumps(found.result)
    assert [text for text in case.get("warns", ()) if text not in found.warnings] == []
    assert case.get("leaves", "") in " ".join(found.parting)
    assert not (case.get("quiet") and found.parting)
    brought = {
        path: what for left in found.foreseen.values() for path, what in left["devices"].items()
    }
    assert brought == case.get("brings", brought)
    for key, value in case.get("definition", {}).items():
        kept = getattr(poolxml.parse(found.after), key)
        assert (list(kept) if isinstance(kept, tuple) else kept) == value
    written = {a.args[0]: a.args[1] for a in found.plan if a.verb == "write"}
    for path, parts in case.get("written", {}).items():
        assert [part for part in parts if part not in written[path]] == []


def test_names_are_unique() -> None:
    names = [(case["kind"], case["name"]) for case in CASES]
    assert len(set(names)) == len(names)
    assert len([name for kind, name in names if kind in BACKENDS]) >= 100


@pytest.mark.parametrize("kind", BACKENDS)
def test_new_and_inactive(kind: str) -> None:
    """Built and defined, but not started; and then it is as it is wanted."""
    first = next(case for case in CASES if case["kind"] == kind)
    task = {"path": "/dev/mapper"} if kind == "mpath" else {}
    case = {**first, "task": {**first["task"], **task, "state": "inactive"}}
    active = look(first, FakeHost(first["host"]))
    found = look(case, FakeHost(case["host"]))
    assert found.after == active.after
    plan = [action.command for action in found.plan]
    assert not [c for c in plan if c.startswith("mount") or "--login" in c or "pool-start" in c]
    assert any(step.startswith(("install --mode=0600", "virsh")) for step in plan)
    if kind == "disk":
        return  # once registered, its table has to be there
    pools = {case["task"]["name"]: found.after}
    again = look(case, FakeHost({**case["host"], "pools": pools}))
    assert not [action for action in again.plan if action.text.startswith("define")]


@pytest.mark.parametrize("kind", BACKENDS)
def test_inactive_and_nothing_said(kind: str) -> None:
    first = next(case for case in CASES if case["kind"] == kind)
    task = {"name": first["task"]["name"], "state": "inactive"}
    with pytest.raises(Refused, match="is defined on this host"):
        look({**first, "task": task}, FakeHost(first["host"]))
