# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is shown of long work."""

from __future__ import annotations

import typing as t

SHORT = 5  # seconds of work of which nothing is shown, and between two lines


class Lines:
    """What is shown of long work, a line for each volume every few seconds."""

    def __init__(self, host: str, began: float) -> None:
        self.host = host
        self.shown = began
        self.before: dict[str, tuple[int, float]] = {}

    def new(self, state: t.Mapping[str, tuple[int, int, float]], now: float) -> list[str]:
        if now < self.shown + SHORT:
            return []
        self.shown = now
        found = []
        for name, (done, total, seconds) in state.items():
            earlier, then = self.before.get(name, (0, 0.0))
            if done > earlier:
                speed = (done - earlier) / max(seconds - then, 0.001)
                found.append(f"{self.host}: {name}: {_share(done, total)}, {show(speed)}/s")
                self.before[name] = (done, seconds)
        return found


def _share(done: int, total: int) -> str:
    return f"{min(100, done * 100 // total)}% of {show(total)}" if total else show(done)


def show(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
