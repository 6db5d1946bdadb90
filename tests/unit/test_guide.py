# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of all types and of all owners is so."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

from ansible_collections.poolwright.storage.plugins.module_utils._pools.all import BACKENDS

ROOT = Path(__file__).parents[2]


def test_each_type_has_a_scenario() -> None:
    scenarios = {path.parent.name for path in ROOT.glob("extensions/molecule/*/converge.yml")}
    assert scenarios == {*BACKENDS, "roles", "default"}


def test_the_guide_has_the_list() -> None:
    guide = (ROOT / "docs/docsite/rst/guide_safety.rst").read_text(encoding="utf-8")
    table = guide.partition("Begin of the table\n\n")[2].partition("\n.. End of the table")[0]
    # By its file: ansible-test's finder of modules has no room for a script among the tests.
    loader = SourceFileLoader("owners", str(ROOT / "tests/hosts/owners.py"))
    spec = spec_from_loader("owners", loader)
    assert spec, loader
    owners = module_from_spec(spec)
    loader.exec_module(owners)
    assert table == owners.table(), "copy what python tests/hosts/owners.py prints"
