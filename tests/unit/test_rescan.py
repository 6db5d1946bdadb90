# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel looks for volumes before the plan, which is a change only where it finds some."""

from __future__ import annotations

import typing as t
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.poolwright.storage.plugins.module_utils import _run
from ansible_collections.poolwright.storage.plugins.module_utils._plan import call


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("found", [False, True])
def test_rescan(tmp_path: Path, check: bool, found: bool) -> None:
    scan = tmp_path / "scan"
    scan.touch()
    rescan = call("look for new LUNs", "tell", str(scan), "- - -")

    def look(_host: object) -> _run.Look:
        there = ("/dev/sda", "/dev/sdb") if found and scan.read_text() else ("/dev/sda",)
        return _run.Look((), {"pool": list(there)}, rescan=(rescan,), volumes=there)

    module: t.Any = SimpleNamespace(check_mode=check, execute=None, params={"allow": []}, warn=None)
    result = _run._performed(module, look)
    assert scan.read_text() == ("" if check else "- - -")
    assert result["changed"] == (found and not check)
    assert [step["text"] for step in result["plan"]] == ["look for new LUNs"] * result["changed"]
    assert len(result["pool"]) == 1 + result["changed"]
