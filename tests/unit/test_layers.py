# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom, and whether every pool type and module is complete."""

from __future__ import annotations

import ast
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.poolwright.storage.plugins.module_utils import (
    _job,
    _options,
    _volume_options,
)
from ansible_collections.poolwright.storage.plugins.module_utils._pools.all import BACKENDS
from ansible_collections.poolwright.storage.tests.unit.test_plans import CASES

ROOT = Path(__file__).parents[2]
UTILS = ROOT / "plugins" / "module_utils"
MODULES = ROOT / "plugins" / "modules"
PREFIX = "ansible_collections.poolwright.storage.plugins.module_utils."
SOURCES = sorted([*UTILS.rglob("*.py"), *MODULES.glob("*.py")])
OURS = [*SOURCES, *ROOT.glob("plugins/action/*.py"), *ROOT.glob("plugins/plugin_utils/*.py")]
NAMES = [str(path.relative_to(ROOT / "plugins")) for path in SOURCES]

# What only the files that touch the machine may import, and what only one file may.
# _job is a process of its own, which its task looks after.
MACHINE = (
    *("_child", "_kernel", "_host", "_inside", "_streams", "_filling", "_writer", "_process"),
    "_job",
)
ONLY = {
    MACHINE: {
        "ctypes",
        "errno",
        "fcntl",
        "grp",
        "os",
        "pwd",
        "shutil",
        "socket",
        "stat",
        "time",
    },
    ("_run", "_fetch"): {"ansible"},
    ("_xml",): {"lxml"},
}
# Which of our files each layer may import; a folder stands for all that is in it.
TOOLS = {"_model", "_plan", "_kernel", "_host", "_tools"}
BACKEND = {*TOOLS, "_options", "_size", "_volumes"}
MAY = {
    "_model": set(),
    "_size": set(),
    "_kernel": set(),
    "_child": set(),
    "_streams": {"_child"},
    "_filling": {"_model", "_host", "_inside", "_streams"},
    "_host": {"_kernel", "_model", "_streams"},
    "_inside": {"_model"},
    "_job": set(),
    "_lanes": set(),
    "_writer": {"_model", "_host", "_inside", "_job", "_lanes", "_filling", "_streams"},
    "_process": {"_child", "_host", "_model"},
    "_plan": {"_model", "_host", "_writer"},
    "_xml": {"_model", "_xml"},
    "_results": {"_model", "_xml"},
    "_options": {"_model", "_host", "_size", "_xml"},
    "_lvm_options": {"_model", "_options", "_size"},
    "_image_options": {"_model", "_options", "_size", "_tools", "_volumes"},
    "_volume_options": {
        *("_host", "_image_options", "_lvm_options", "_model", "_options", "_size", "_volumes"),
    },
    "_tools": TOOLS,
    "_registry": {*TOOLS, "_xml"},
    "_volumes": {*TOOLS, "_size", "_volumes"},
    "_pools": {*BACKEND, "_pools"},
    "_guests": {*TOOLS, "_xml"},
    "_taking": {*TOOLS, "_guests"},
    "_describe": {"_model", "_host", "_options", "_pools", "_volume_options"},
    "_export": {"_host", "_model", "_plan", "_size", "_tools", "_volumes"},
    "_fetch": {"_streams"},
    "_contents": {"_model", "_host", "_volumes"},
    "_lifecycle": {"_model", "_plan", "_pools", "_registry", "_size", "_tools", "_volumes"},
    "_foresight": {
        *("_host", "_model", "_options", "_pools", "_registry", "_run", "_tools", "_volumes"),
        "_xml",
    },
    "_run": {
        "_job",
        "_model",
        "_plan",
        "_host",
        "_process",
        "_streams",
        "_taking",
        "_tools",
        "_writer",
        "_xml",
    },
}
RUNNERS = {"_run_pool", "_run_volumes", "_run_export", "_run_info"}


def imports(path: Path) -> t.Iterator[str]:
    """What a file imports, ours as the path of the file below module_utils."""
    inside = path.relative_to(UTILS).parts if UTILS in path.parents else ()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            folder = [".", *inside[: len(inside) - node.level]] if node.level else []
            whole = "/".join([*folder, *filter(None, (node.module or "").split("."))])
            if (node.level and not node.module) or (UTILS / whole).is_dir():
                yield from (f"{whole}/{alias.name}" for alias in node.names)
            else:
                yield whole if node.level else node.module or ""


def layer(path: Path) -> str:
    return path.relative_to(UTILS).parts[0].replace(".py", "")


def ours(path: Path) -> set[str]:
    """The layers of ours that a file imports."""
    return {name.split("/")[1] for name in imports(path) if name.startswith("./")}


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_imports(path: Path) -> None:
    outside = {name.split(".")[0] for name in imports(path) if not name.startswith("./")}
    if path.parent == MODULES:
        assert outside <= {"__future__", "ansible_collections"}
        found = [name[len(PREFIX) :] for name in imports(path) if name.startswith(PREFIX)]
        assert all(name.startswith(("_run_", "_pools.")) for name in found)
        return
    for owners, owned in ONLY.items():
        assert layer(path) in owners or not outside & owned
    if layer(path) not in RUNNERS:
        assert ours(path) <= MAY[layer(path)], f"{layer(path)} imports too much"


def test_only_what_deals_with_any_pool_imports_all_backends() -> None:
    users = {path.name for path in SOURCES if "./_pools/all" in imports(path)}
    assert users == {"_run_volumes.py", "_run_info.py"}


def test_planning_does_not_see_the_machine() -> None:
    assert "_host" not in ours(UTILS / "_lifecycle.py")


@pytest.mark.parametrize("kind", BACKENDS)
def test_looking_does_not_know_what_is_wanted(kind: str) -> None:
    """Nothing that a probe reaches in its class reads the task's options or its state."""
    path = UTILS / "_pools" / f"{kind}.py"
    body = ast.parse(path.read_text(encoding="utf-8")).body
    [own] = [n for n in body if isinstance(n, ast.ClassDef) and n.name == BACKENDS[kind].__name__]
    methods = {node.name: _of_self(node) for node in own.body if isinstance(node, ast.FunctionDef)}
    reached = ["probe"]
    for name in reached:
        reached += [each for each in methods.get(name, ()) if each not in reached]
    assert {"given", "leaving"}.isdisjoint(reached)


def _of_self(function: ast.FunctionDef) -> list[str]:
    """What a method uses of its object."""
    return [
        node.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    ]


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT / "plugins")))
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 30, node.name


def test_check_mode_is_mentioned_once() -> None:
    found = [
        line.strip()
        for path in UTILS.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "check_mode" in line and "supports_check_mode" not in line
    ]
    assert found == ["return not self.check_mode"]


def test_force_is_explained() -> None:
    """A tool is forced only where a comment right above says why."""
    flags = ('"-f"', '"-ff"', '"--force"', '"-y"', '"--yes"', '"-F"')
    for path in sorted((UTILS / "_tools").glob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for before, line in zip(lines, lines[1:]):
            # For qemu-img, -f is the format.
            forced = any(flag in line for flag in flags) and '"-f", format' not in line
            assert not forced or before.strip().startswith("# --"), f"{path.name}: {line}"


@pytest.mark.parametrize("kind", BACKENDS)
def test_type_is_complete(kind: str) -> None:
    name = kind.replace("-", "_")
    backend = BACKENDS[kind]
    assert backend.__name__ == name.title().replace("_", "")
    assert backend.__module__.endswith(f"._pools.{name}")
    module = (MODULES / f"pool_{name}.py").read_text(encoding="utf-8")
    assert f"run_pool({backend.__name__})" in module
    assert (ROOT / "tests" / "unit" / "plans" / f"{name}.yml").exists()


@pytest.mark.parametrize("kind", BACKENDS)
def test_every_option_is_in_a_case(kind: str) -> None:
    used = {option for case in CASES if case["kind"] == kind for option in case["task"]}
    assert {*_options.POOL, *BACKENDS[kind].options} - used - {
        "uuid",
        "refresh",
        "libvirt_uri",
    } == set()


def test_every_option_of_volumes_is_in_a_case() -> None:
    cases = [case["task"] for case in CASES if case["kind"] not in BACKENDS]
    rows = [row for task in cases for row in task["volumes"]]
    options = _volume_options.VOLUMES["volumes"]["options"]
    assert set(options) - {option for row in rows for option in row} == set()


def test_action_group() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    modules = sorted(path.stem for path in MODULES.glob("*.py"))
    assert sorted(runtime["action_groups"]["all"]) == modules


@pytest.mark.parametrize("path", sorted(MODULES.glob("*.py")), ids=lambda path: str(path.stem))
def test_module_is_documented(path: Path) -> None:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    said = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert yaml.safe_load(said["DOCUMENTATION"])["module"] == path.stem
    assert yaml.safe_load(said["EXAMPLES"])
    assert yaml.safe_load(said["RETURN"])


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("plugins/action/*.py")), ids=lambda path: path.stem
)
def test_action_has_a_module(path: Path) -> None:
    assert (MODULES / path.name).exists()


def test_the_controller_looks_where_the_job_is() -> None:
    action = (ROOT / "plugins/plugin_utils/_volume_action.py").read_text(encoding="utf-8")
    assert f'FOLDER = "{_job.FOLDER}"' in action
