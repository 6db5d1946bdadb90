# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What a task costs, counted in commands on the host; and two tasks at once."""

from __future__ import annotations

from conftest import Driven, Result, blank, task

MANY = 200
FEW = 2
MADE = 10
MOST_LOOKS = 8
MOST_MORE = 12

GROUP = task("pool_logical", name="many", devices=[blank(2)], extent_size="1M")
DIR = task("pool_dir", name="together", path="/srv/together")


def volumes(names: list[str]) -> Result:
    return task("volumes", pool="many", volumes=[{"name": n, "capacity": "1M"} for n in names])


def test_a_look_costs_the_same_for_many_volumes(host: Driven) -> None:
    host.tasks(GROUP)
    names = [f"v{number:03}" for number in range(MANY)]
    made, *few = host.tasks(volumes(names[:FEW]), GROUP, volumes(names[:FEW]))
    assert len(made["commands"]) <= FEW + MOST_MORE
    more = host.tasks(volumes(names[FEW : FEW + MADE]))[0]
    assert more["changed"]
    assert len(more["commands"]) <= MADE + MOST_MORE
    make_volumes(host, names[FEW + MADE :])
    _, *lots = host.tasks(GROUP, GROUP, volumes(names))
    for one, other in zip(few, lots, strict=True):
        assert not one["changed"]
        assert not other["changed"], other["plan"]
        assert len(other["commands"]) == len(one["commands"]) <= MOST_LOOKS, other["commands"]
    host.tasks(task("pool_logical", name="many", state="deleted", allow=["delete"]))


def make_volumes(host: Driven, names: list[str]) -> None:
    """The same volumes in one command, and not activated: udev would take minutes."""
    script = "".join(f"lvcreate -an -Zn -Wn -n {name} -L 1M many\n" for name in names)
    host.sh(f"lvm >/dev/null 2>&1 <<'END'\n{script}END\n", timeout=400)


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
    host.tasks(task("pool_dir", name="together", state="deleted", allow=["delete"]))


def test_two_definitions_at_once(host: Driven) -> None:
    """The second of two equal tasks finds the work done."""
    twin = task("pool_dir", name="twin", path="/srv/twin")
    found = host.drive("together", tasks=[twin, twin])
    assert not [each["msg"] for each in found if each.get("failed")]
    assert sorted(each["changed"] for each in found) == [False, True]
    host.tasks(task("pool_dir", name="twin", state="deleted"))
