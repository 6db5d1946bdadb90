# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work that takes long: how much of it is done."""

from __future__ import annotations

import contextlib
import time
import typing as t


class Tally:
    """How many bytes of each volume have been copied, fetched, written or wiped by now."""

    def __init__(self) -> None:
        self._work: dict[str, tuple[int, int, float, float]] = {}
        self._following: dict[str, tuple[t.Callable[[], int], int]] = {}

    def note(self, name: str, done: int, total: int) -> None:
        """Remembers that so much is done; ``total`` is 0 where nobody knows.

        It costs next to nothing, and several threads may call it.
        """
        now = time.monotonic()
        began = self._work[name][2] if name in self._work else now
        self._work[name] = (done, total, began, now)

    @contextlib.contextmanager
    def following(self, name: str, total: int, done: t.Callable[[], int]) -> t.Iterator[None]:
        """Looks at what a tool has done, while it works, as often as somebody is told."""
        self.note(name, 0, total)
        self._following[name] = (done, total)
        try:
            yield
        finally:
            del self._following[name]
            self.note(name, done(), total)

    def told(self) -> dict[str, dict[str, t.Any]]:
        """For each volume the bytes and the seconds, as a result has them."""
        return {
            name: {"bytes": done, "seconds": round(last - began, 1)}
            for name, (done, _total, began, last) in self._work.items()
        }
