# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What a task costs, counted in commands on the host; and two tasks at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conftest import Driven, Result, blank, task

if TYPE_CHECKING:
    from collections.abc import Iterator

MANY = 200
FEW = 2
MADE = 10
MOST_LOOKS = 8
MOST_MORE = 12

GROUP = task("pool_logical", name="many", devices=[blank(2)], extent_size="1M")
DIR = task("pool_dir", name="together", path="/srv/together")


def volumes(names: list[str]) -> Result:
    return task("volumes", pool="many", volumes=[{"name": n, "capacity": "1M"} for n in names])


@pytest.fixture(scope="module")
def many(host: Driven) -> Iterator[Driven]:
    host.tasks(GROUP)
    yield host
    gone = [
        task("pool_logical", name="many", state="deleted", allow=["delete"]),
        task("pool_dir", name="together", state="deleted", allow=["delete"]),
    ]
    host.tasks(*gone)


def test_a_look_costs_the_same_for_many_volumes(many: Driven) -> None:
    names = [f"v{number:03}" for number in range(MANY)]
    made, *few = many.tasks(volumes(names[:FEW]), GROUP, volumes(names[:FEW]))
    assert len(made["commands"]) <= FEW + MOST_MORE
    more = many.tasks(volumes(names[FEW : FEW + MADE]))[0]
    assert more["changed"]
    assert len(more["commands"]) <= MADE + MOST_MORE
    make_volumes(many, names[FEW + MADE :])
    _, *lots = many.tasks(GROUP, GROUP, volumes(names))
    for one, other in zip(few, lots, strict=True):
        assert not one["changed"]
        assert not other["changed"], other["plan"]
        assert len(other["commands"]) == len(one["commands"]) <= MOST_LOOKS, other["commands"]


def make_volumes(host: Driven, names: list[str]) -> None:
    """The same volumes that the module makes, in one command and without waiting for udev."""
    script = "".join(f"lvcreate -an -Zn -Wn -n {name} -L 1M many\n" for name in names)
    host.sh(f"lvm >/dev/null <<'END' && vgchange -ay many && udevadm settle\n{script}END\n")


def test_two_tasks_at_once(host: Driven) -> None:
    host.tasks(DIR)
    halves = [
        task(
            "volumes",
            pool="together",
            volumes=[{"name": f"{half}{n}", "capacity": "1M"} for n in range(5)],
        )
        for half in "ab"
    ]
    for found in host.drive("together", tasks=halves):
        assert not found.get("failed"), found["msg"]
        assert found["changed"]
    assert not any(found["changed"] for found in host.tasks(DIR, *halves))


def test_two_definitions_at_once(host: Driven) -> None:
    """The second of two equal tasks finds the work done."""
    twin = task("pool_dir", name="twin", path="/srv/twin")
    found = host.drive("together", tasks=[twin, twin])
    assert not [each["msg"] for each in found if each.get("failed")]
    assert sorted(each["changed"] for each in found) == [False, True]
    host.tasks(task("pool_dir", name="twin", state="deleted"))
