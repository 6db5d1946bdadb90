# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of steps where there are many volumes."""

from __future__ import annotations

import time
from dataclasses import replace

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


def seconds(count: int) -> float:
    seen, volumes = chain(count), Files("/srv/data")
    volumes._directory = File("/srv/data", 1, 0)
    began = time.process_time()
    wanted = [Wanted(name, present=False) for name in reversed(seen)]
    steps = dict(_lifecycle.volume_steps(volumes, wanted, seen, ()))
    order = [name for name, way in steps.items() if list(way)]
    assert order == list(seen)
    return time.process_time() - began


def test_many_volumes_take_as_long_as_few_for_each() -> None:
    few, many = seconds(200), seconds(4000)
    assert many < 20 * few * 5


def test_images_that_are_based_on_each_other() -> None:
    one, two = chain(2).values()
    assert one.file
    ring = [one, replace(two, below=(one.file,))]
    assert sorted(volume.name for volume in _lifecycle._top_first(ring)) == ["0", "1"]
