# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the README and the guides show as YAML is YAML, and each task in it would be accepted."""

from __future__ import annotations

import importlib
import json
import re
import textwrap
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils import basic
from ansible_collections.poolwright.storage.plugins.module_utils import _host, _run

ROOT = Path(__file__).parents[2]
FILES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("roles/*/README.md")),
    *sorted(ROOT.glob("docs/docsite/rst/*.rst")),
]
FENCED = re.compile(r"^```yaml\n(.*?)^```", re.M | re.S)
BLOCK = re.compile(r"^\.\. code-block:: yaml.*\n(?:   +:.*\n)*\n((?:   +.*\n|\n)+)", re.M)
OURS = "poolwright.storage."
PACKAGE = "ansible_collections.poolwright.storage.plugins.modules"
MODULES = {path.stem for path in ROOT.glob("plugins/modules/*.py")}
Task = t.Tuple[str, t.Dict[str, t.Any]]


class Accepted(BaseException):
    """The options are fine: the task begins to look at its host."""


def snippets() -> t.Iterator[t.Any]:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        for found in (FENCED if path.suffix == ".md" else BLOCK).finditer(text):
            line = text.count("\n", 0, found.start(1)) + 1
            yield pytest.param(
                textwrap.dedent(found.group(1)), id=f"{path.relative_to(ROOT)}:{line}"
            )


SNIPPETS = list(snippets())


def parts(node: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """Every mapping in what was read, at any depth."""
    if isinstance(node, dict):
        yield node
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from parts(part)


def tasks(node: t.Any) -> t.Iterator[Task]:
    """The tasks of this collection, and those that the role ``pools`` would make of its list."""
    for part in parts(node):
        for key, value in part.items():
            if key.startswith(OURS) and key[len(OURS) :] in MODULES:
                yield key[len(OURS) :], value
            elif key == "pools_list" and isinstance(value, list):
                for row in value:
                    yield from of_the_role(row)


def of_the_role(row: dict[str, t.Any]) -> t.Iterator[Task]:
    for_volumes = ("volumes", "purge")
    options = {key: row[key] for key in row if key not in ("type", *for_volumes)}
    yield f"pool_{row['type']}", options
    if "volumes" in row:
        more = {key: row[key] for key in (*for_volumes, "allow") if key in row}
        yield "volumes", {"pool": row["name"], **more}


def filled(value: t.Any, words: t.Mapping[str, t.Any]) -> t.Any:
    """Options without templates: the play's own variables, and for the rest a 1, as text.

    A list that is computed is taken for an empty one.
    """
    if isinstance(value, dict):
        given = {key: filled(each, words) for key, each in value.items()}
        return {**given, "volumes": []} if isinstance(value.get("volumes"), str) else given
    if isinstance(value, list):
        return [filled(each, words) for each in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"\{\{ *(\w*).*?\}\}", lambda found: str(words.get(found[1], 1)), value)


def accept(*_args: t.Any, **_options: t.Any) -> t.NoReturn:
    raise Accepted


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_it_would_be_accepted(
    snippet: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    monkeypatch.setattr(_host.Reader, "__init__", accept)
    monkeypatch.setattr(_run, "locked", accept)
    read = yaml.safe_load(snippet)
    words = {key: value for part in parts(read) for key, value in part.get("vars", {}).items()}
    for name, args in tasks(read):
        given = json.dumps({"ANSIBLE_MODULE_ARGS": filled(args, words)})
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", given.encode())
        module = importlib.import_module(f"{PACKAGE}.{name}")
        try:
            with pytest.raises(Accepted):
                module.main()
        except SystemExit:
            pytest.fail(f"{name}: {json.loads(capsys.readouterr().out)['msg']}")


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_roles_get_what_they_take(snippet: str) -> None:
    for part in parts(yaml.safe_load(snippet)):
        calls = [
            part,
            *(part[key] for key in part if key.endswith(("include_role", "import_role"))),
        ]
        named = [call.get("role") or call.get("name") for call in calls if isinstance(call, dict)]
        for role in (str(name)[len(OURS) :] for name in named if str(name).startswith(OURS)):
            path = ROOT / "roles" / role / "meta/argument_specs.yml"
            spec = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]
            assert set(part.get("vars", {})) <= set(spec["options"])


def test_every_module_is_shown() -> None:
    shown = {
        name for snippet in SNIPPETS for name, _args in tasks(yaml.safe_load(snippet.values[0]))
    }
    assert shown >= {name for name in MODULES if not name.endswith(("_info", "_export"))}


def test_the_role_hands_every_option_on() -> None:
    path = ROOT / "roles/pools"
    spec = yaml.safe_load((path / "meta/argument_specs.yml").read_text(encoding="utf-8"))
    known = spec["argument_specs"]["main"]["options"]["pools_list"]["options"]
    tasks_ = yaml.safe_load((path / "tasks/pool.yml").read_text(encoding="utf-8"))
    assert {*tasks_[0]["args"]} == {*known} - {"type", "volumes", "purge"}
