# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide to messages quotes what the code says, and leaves out no refusal and no error."""

from __future__ import annotations

import ast
import re
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/docsite/rst/troubleshooting.rst"
CODE = sorted(
    path
    for place in ("module_utils", "plugin_utils", "filter")
    for path in (ROOT / "plugins" / place).rglob("*.py")
)
RAISED = {"Refused", "HostError", "Unforeseen", "nothing", "Use"}
HOLE = "…"
BEGIN = re.compile("^Nothing was changed[:,] ")


def spelled(node: ast.AST) -> str:
    """A text of the code, with a hole for each part that is not known before it runs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(spelled(part) for part in node.values)
    return HOLE


def texts() -> t.Iterator[tuple[str, bool]]:
    """All texts of the code, and whether one is what is raised or said of who uses something."""
    for path in CODE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Constant, ast.JoinedStr)):
                yield spelled(node), False
            elif isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
                if name in RAISED:
                    yield spelled(node.args[0]), True


TEXTS = list(dict.fromkeys(texts()))


def quotes() -> list[str]:
    """The terms of the guide's lists; a bar stands between several."""
    text = GUIDE.read_text(encoding="utf-8")
    terms = re.findall(r"^(?!\.\.)(\S.*)\n {3}\S", text, re.M)
    return [quote for term in terms for quote in term.split(" | ")]


def pattern(quote: str) -> t.Pattern[str]:
    """What a text has that a quote is of; a hole of the quote is any part of the text."""
    return re.compile(".*?".join(map(re.escape, re.split(" *… *", quote))), re.S)


QUOTES = quotes()


@pytest.mark.parametrize("quote", QUOTES)
def test_the_code_says_so(quote: str) -> None:
    assert any(pattern(quote).search(text) for text, _raised in TEXTS)


@pytest.mark.parametrize("text", sorted(text for text, raised in TEXTS if raised))
def test_the_guide_has_it(text: str) -> None:
    if len(re.findall("[a-z]+", BEGIN.sub("", text))) < 3:
        return  # what it says stands elsewhere in the code
    assert any(pattern(quote).search(text) for quote in QUOTES), text
