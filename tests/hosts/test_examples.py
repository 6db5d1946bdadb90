# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Every example of the documentation runs, and a second time changes nothing."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Driven, task, thorough

MODULES = sorted((Path(__file__).resolve().parents[2] / "plugins/modules").glob("*.py"))
PREFIX = "poolwright.storage."


def examples(module: Path) -> list[dict[str, Any]]:
    """The tasks of a module's EXAMPLES; those of other collections are not ours to run."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES":
            listed: list[dict[str, Any]] = yaml.safe_load(ast.literal_eval(node.value))
            return listed
    raise AssertionError(f"{module.name} has no examples")


SOME = {"pool_dir", "pool_info", "volume_info"}


@pytest.mark.parametrize(
    "module",
    [pytest.param(m, id=m.stem, marks=() if m.stem in SOME else thorough) for m in MODULES],
)
def test_examples(host: Driven, module: Path) -> None:
    rows = examples(module)
    tasks = [
        {**task(key[len(PREFIX) :], **(row[key] or {})), "check": row.get("check_mode", False)}
        for row in rows
        for key in row
        if key.startswith(PREFIX)
    ]
    assert tasks
    for asked, (first, second) in zip(tasks, host.drive("twice", tasks=tasks), strict=True):
        assert not first.get("failed"), (asked, first["msg"])
        assert not second.get("failed"), (asked, second["msg"])
        assert asked["check"] or not second["changed"], (asked, second["plan"])
