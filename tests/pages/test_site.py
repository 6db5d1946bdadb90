# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The docs site on a phone and at a desk: whatever is wide scrolls by itself, and not the page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SITE = Path(__file__).parents[2] / ".nox/docs/tmp/site/build/html"
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SMALL = """
    [...document.querySelectorAll('svg[role=img] text')].filter(
        each => each.getBoundingClientRect().height < 11
    ).map(each => each.textContent)
"""


@pytest.fixture(scope="module")
def pages() -> list[Path]:
    if not (SITE / "index.html").exists():
        pytest.skip("./dev test docs builds the site")
    return sorted(SITE.rglob("*.html"))


@pytest.mark.parametrize("width", [400, 1400])
def test_pages_fit(browser: Browser, pages: list[Path], width: int) -> None:
    """Also the pictures' words are as large as others are there."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    context.route("http*://**", lambda route: route.abort())
    shown, wide, small = context.new_page(), [], []
    for path in pages:
        shown.goto(path.as_uri())
        wide += [path.name] if shown.evaluate(WIDE) else []
        small += [f"{path.name}: {text}" for text in shown.evaluate(SMALL)]
        keep = os.environ.get("POOLWRIGHT_PAGES")
        if keep and path.parent.name == "docsite":
            shown.screenshot(path=Path(keep) / f"{path.stem}-{width}.png", full_page=True)
    context.close()
    assert wide == []
    assert small == []
