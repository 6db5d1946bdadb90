# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every pool type has a page, and its picture is what the lines above it say."""

from __future__ import annotations

import re
import typing as t
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest
from ansible_collections.poolwright.storage.plugins.module_utils._pools.all import BACKENDS

DOCS = Path(__file__).parents[2] / "docs/docsite"


def pictures() -> t.Any:
    """The script, by its file, because it is in no package."""
    loader = SourceFileLoader("pictures", str(DOCS / "pictures.py"))
    spec = spec_from_loader("pictures", loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", BACKENDS)
def test_the_page_of_a_type(kind: str) -> None:
    page = (DOCS / f"rst/type_{kind}.rst").read_text(encoding="utf-8")
    assert "<svg " in page
    assert pictures().redrawn(page) == page, "run python docs/docsite/pictures.py"
    assert f"poolwright.storage.pool_{kind}:" in page
    listed = (DOCS / "rst/types.rst").read_text(encoding="utf-8")
    assert f"docsite.type_{kind}>" in listed


def test_what_does_not_fit() -> None:
    with pytest.raises(SystemExit, match="no room for"):
        pictures().draw(["disks", "   a name that is far too long for its box | b | c"])


def test_what_names_could_break() -> None:
    svg = pictures().draw(["<pool>", '   +"a" & b'])
    assert re.findall("<(?!/?(?:svg|rect|text)[ >])", svg) == []
    assert "&lt;pool&gt;" in svg
    assert "&amp; b" in svg
