# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documents refer to is there, and travels with them."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GUIDES = sorted(ROOT.glob("docs/docsite/rst/*.rst"))
MARKDOWN = sorted([*ROOT.glob("*.md"), *ROOT.glob("roles/*/README.md")])
LABEL = "ansible_collections.poolwright.storage.docsite."


def listed() -> list[str]:
    """The guides in the order of the site's contents."""
    contents = yaml.safe_load((ROOT / "docs/docsite/extra-docs.yml").read_text(encoding="utf-8"))
    return [name for section in contents["sections"] for name in section["toctree"]]


def left_out(path: Path) -> bool:
    """Whether ``galaxy.yml`` keeps a file out of the tarball, by itself or by a folder of it."""
    ignored = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["build_ignore"]
    names = [path, *path.parents][:-1]  # without the checkout itself
    return any(fnmatch.fnmatch(str(name), pattern) for name in names for pattern in ignored)


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_readme_leads_to_is_published(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text):
        there = (path.parent / link).resolve()
        assert there.exists(), link
        assert not left_out(there.relative_to(ROOT)), link


def test_the_contents_are_complete() -> None:
    assert sorted(listed()) == [path.stem for path in GUIDES]


def test_the_readme_names_every_guide_of_the_contents() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = [name for name in listed() if not name.startswith("type_")]
    assert [name for name in pages if f"(docs/docsite/rst/{name}.rst)" not in text] == []


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_a_guide_has_its_label_and_refers_to_others(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert f".. _{LABEL}{path.stem}:\n" in text
    labels = {
        label
        for guide in GUIDES
        for label in re.findall(r"^\.\. _(.+):$", guide.read_text(encoding="utf-8"), re.M)
    }
    referred = re.findall(r":ref:`(?:[^`<]*<)?([^`>]+)>?`", text)
    assert [label for label in referred if LABEL in label and label not in labels] == []


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_a_guide_names_what_there_is(path: Path) -> None:
    """Modules, filters, roles and playbooks, wherever a guide spells them out."""
    text = path.read_text(encoding="utf-8")
    folders = {
        "module": "plugins/modules/{}.py",
        "filter": "plugins/filter/{}.py",
        "role": "roles/{}",
    }
    for name, kind in re.findall(r"`poolwright\.storage\.(\w+)#(\w+)", text):
        assert (ROOT / folders[kind].format(name)).exists(), name
    for name in re.findall(r"ansible-playbook .*poolwright\.storage\.(\w+)", text):
        assert (ROOT / f"playbooks/{name}.yml").exists(), name
