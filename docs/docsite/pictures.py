# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the pictures in the guides from the lines above them.

``python docs/docsite/pictures.py`` writes them into the pages.  A picture shows a host in layers,
what lies on what.  A line is the name of a layer, the line below it, further in, its boxes::

   logical volumes
      +web1*2 | +web2 | ~free

``+`` is what a task makes, ``~`` what is empty, and the rest was there before; ``*2`` is twice as
wide.
"""

from __future__ import annotations

import re
import typing as t
from html import escape
from pathlib import Path

PAGES = Path(__file__).parent / "rst"
WIDTH, HEIGHT, CAPTION, GAP = 360, 32, 18, 6  # pixels; it fits a phone as it is
LETTER = 7.2  # the width of one, at most, in the boxes' size
STYLES = {
    "+": 'fill="#1976d2" fill-opacity=".18" stroke="#1976d2"',
    "~": 'fill="none" stroke="currentColor" stroke-opacity=".6" stroke-dasharray="4 3"',
    "": 'fill="currentColor" fill-opacity=".06" stroke="currentColor" stroke-opacity=".6"',
}
SOURCE = r"\.\. Drawn by docs/docsite/pictures\.py from these lines:\n\n((?:   .*\n)+)"
PICTURE = re.compile(rf"({SOURCE})\n\.\. raw:: html\n\n(?:   .*\n)*")


def boxes(line: str, top: int) -> list[str]:
    """A row of boxes, that share the width."""
    named = [re.fullmatch(r"([+~]?)(.*?)(?:\*(\d+))?", part.strip()) for part in line.split("|")]
    parts = [(found[1], found[2], int(found[3] or 1)) for found in named if found]
    unit = (WIDTH - 2 - GAP * (len(parts) - 1)) / sum(share for _kind, _name, share in parts)
    drawn, left = [], 1.0
    for kind, name, share in parts:
        width = unit * share
        if len(name) * LETTER > width:
            raise SystemExit(f"no room for {name!r} in {width:.0f} pixels")
        size = f'x="{left:.1f}" y="{top}" width="{width:.1f}" height="{HEIGHT}" rx="4"'
        middle = f'x="{left + width / 2:.1f}" y="{top + 21}" text-anchor="middle"'
        drawn += [f"<rect {size} {STYLES[kind]}/>", f"<text {middle}>{escape(name)}</text>"]
        left += width + GAP
    return drawn


def draw(lines: list[str]) -> str:
    """A picture as an SVG element."""
    drawn, top = [], 0
    for line in lines:
        if line.startswith(" "):
            drawn += boxes(line, top)
            top += HEIGHT + GAP
        else:
            place = f'x="1" y="{top + 13}" font-size="12" fill-opacity=".75"'
            drawn.append(f"<text {place}>{escape(line)}</text>")
            top += CAPTION
    said = escape("; ".join(re.sub(r"[+~]|\*\d+", "", line).strip() for line in lines))
    first = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img" '
        f'aria-label="{said}" style="width: 100%; max-width: 30em" font-family="sans-serif" '
        'font-size="13" fill="currentColor">'
    )
    return "\n".join([first, *drawn, "</svg>"])


def redrawn(page: str) -> str:
    """A page with its pictures as their lines say."""

    def picture(found: t.Match[str]) -> str:
        svg = draw([line[3:] for line in found[2].splitlines()])
        shown = "".join(f"   {line}\n" for line in svg.splitlines())
        return f"{found[1]}\n.. raw:: html\n\n{shown}"

    return PICTURE.sub(picture, page)


if __name__ == "__main__":
    for each in sorted(PAGES.glob("*.rst")):
        text = each.read_text(encoding="utf-8")
        if redrawn(text) != text:
            each.write_text(redrawn(text), encoding="utf-8")
