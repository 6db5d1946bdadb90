# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide's tables of where we agree with libvirt are what was measured."""

from __future__ import annotations

import json
import typing as t
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path


def conformance() -> t.Any:
    """The script, by its file, because it is in no package."""
    place = Path(__file__).parents[1] / "hosts/conformance.py"
    loader = SourceFileLoader("conformance", str(place))
    spec = spec_from_loader("conformance", loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_page_is_what_was_measured() -> None:
    script = conformance()
    page = script.PAGE.read_text(encoding="utf-8")
    assert script.redrawn(page) == page, "run python tests/hosts/conformance.py"


def test_every_reason_is_needed() -> None:
    script = conformance()
    measured = json.loads(script.MEASURED.read_text(encoding="utf-8"))
    told = {
        name
        for hosts in measured.values()
        for daemon in script.DAEMONS
        for operations in hosts.get(daemon, {}).values()
        for names in operations.values()
        for name in names
    }
    assert told == {each.name for each in script.DIFFERENCES}
