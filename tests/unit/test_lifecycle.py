# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of steps where there are many volumes."""

from __future__ import annotations

import sys
import typing as t
from dataclasses import replace
from types import FrameType

from ansible_collections.poolwright.storage.plugins.module_utils import _lifecycle
from ansible_collections.poolwright.storage.plugins.module_utils._model import File, Volume
from ansible_collections.poolwright.storage.plugins.module_utils._volumes.base import Wanted
from ansible_collections.poolwright.storage.plugins.module_utils._volumes.files import Files


def chain(count: int) -> dict[str, Volume]:
    """Images, each based on the next one."""
    own = [File(f"/srv/data/{number}", 1, number) for number in range(count + 1)]
    return {
        str(n): Volume(str(n), own[n].path, file=own[n], real=own[n], below=(own[n + 1],))
        for n in range(count)
    }


def counted(function: t.Callable[[], object]) -> int:
    """How many instructions of the interpreter a function takes, with all that it calls."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> t.Callable[..., t.Any]:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


def removals(count: int) -> None:
    seen, volumes = chain(count), Files("/srv/data")
    volumes._directory = File("/srv/data", 1, 0)
    wanted = [Wanted(name, present=False) for name in reversed(seen)]
    steps = dict(_lifecycle.volume_steps(volumes, wanted, seen, ()))
    order = [name for name, way in steps.items() if list(way)]
    assert order == list(seen)


def test_many_volumes_take_as_long_as_few_for_each() -> None:
    few, many = counted(lambda: removals(20)), counted(lambda: removals(200))
    assert few > 1000
    assert many < 11 * few


def test_images_that_are_based_on_each_other() -> None:
    one, two = chain(2).values()
    assert one.file
    ring = [one, replace(two, below=(one.file,))]
    assert sorted(volume.name for volume in _lifecycle._top_first(ring)) == ["0", "1"]
