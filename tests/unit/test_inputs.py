# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong tasks: all faults in one message, and the host is not even looked at."""

from __future__ import annotations

import importlib
import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils import basic
from ansible_collections.poolwright.storage.plugins.module_utils import _host, _run

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as fast
CASES = yaml.load(Path(__file__).with_name("inputs.yml").read_text(encoding="utf-8"), Loader)
MODULES = "ansible_collections.poolwright.storage.plugins.modules"


def untouched(*_args: t.Any, **_options: t.Any) -> t.NoReturn:
    pytest.fail("the host was looked at")


@pytest.mark.parametrize("case", CASES, ids=[f"{c['module']}: {c['name']}" for c in CASES])
def test_faults(
    case: dict[str, t.Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = json.dumps({"ANSIBLE_MODULE_ARGS": case["args"]})
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", given.encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    monkeypatch.setattr(_host.Reader, "__init__", untouched)
    monkeypatch.setattr(_run, "locked", untouched)
    module = importlib.import_module(f"{MODULES}.{case['module']}")

    with pytest.raises(SystemExit) as end:
        module.main()

    output = capsys.readouterr()
    result = json.loads(output.out)
    assert end.value.code == 1
    assert result["failed"]
    assert not result["changed"]
    looks = case["module"].endswith("_info")
    assert ("changed" in result["msg"]) != looks
    assert looks or result["msg"].startswith("Nothing was changed: ")
    assert [result[key] for key in ("plan", "done", "left")] == [[], [], []]
    assert [fault for fault in case["faults"] if fault not in result["msg"]] == [], result["msg"]
    assert result["msg"].count("; ") == case.get("count", len(case["faults"])) - 1, result["msg"]
    assert "Traceback" not in output.out + output.err


def test_enough() -> None:
    assert len(CASES) >= 60
    assert len({case["name"] for case in CASES}) == len(CASES)
