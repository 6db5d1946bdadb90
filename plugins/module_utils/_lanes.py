# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Long work of steps to come, begun before its turn."""

from __future__ import annotations

import threading
import typing as t

Work = t.Callable[[], None]

_TICK = 0.1  # seconds between two looks at which work is done


class Abandoned(Exception):
    """The work is not wanted any more."""


class Lanes:
    """Works at most ``most`` things at a time, each in a thread, in the order of their turns."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._offered: dict[str, Work] = {}
        self._begun: dict[str, _Lane] = {}
        self._abandoned = False

    def offer(self, works: t.Mapping[str, Work]) -> None:
        """Takes what may be done from now on."""
        self._offered = dict(works)
        self._go_on()

    def _go_on(self) -> None:
        busy = sum(lane.is_alive() for lane in self._begun.values())
        for name in [*self._offered][: max(0, self._most - busy)]:
            self._begun[name] = lane = _Lane(self._offered.pop(name))
            lane.start()

    def take(self, name: str) -> bool:
        """Waits for work whose turn has come, and raises what went wrong with it.

        Answers whether it has been begun before at all.
        """
        self._offered.pop(name, None)
        lane = self._begun.get(name)
        if lane is None:
            return False
        while lane.is_alive():
            lane.join(_TICK)
            self._go_on()
        del self._begun[name]
        if lane.error:
            raise lane.error
        self._go_on()
        return True

    def abandon(self) -> None:
        """Begins nothing more; what is being done ends at its next `check`, and is not awaited."""
        self._offered, self._abandoned = {}, True

    def check(self) -> None:
        """Raises `Abandoned` where the work that calls it is not wanted any more."""
        if self._abandoned:
            raise Abandoned


class _Lane(threading.Thread):
    def __init__(self, work: Work) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error
