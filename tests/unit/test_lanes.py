# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that are filled at once."""

from __future__ import annotations

import functools
import io
import os
import threading
import typing as t
from email.message import Message
from pathlib import Path

import pytest
from ansible_collections.poolwright.storage.plugins.module_utils._lanes import Abandoned, Lanes
from ansible_collections.poolwright.storage.plugins.module_utils._model import (
    File,
    Filling,
    Permissions,
    Source,
)
from ansible_collections.poolwright.storage.plugins.module_utils._plan import (
    Action,
    Stopped,
    apply,
    call,
)
from ansible_collections.poolwright.storage.plugins.module_utils._tools import files, filling
from ansible_collections.poolwright.storage.plugins.module_utils._writer import Writer

LONG = 10  # seconds that no test lasts


def test_so_many_at_once_and_no_more() -> None:
    lanes, gates, at_work = Lanes(2), [threading.Event() for _number in range(4)], [0]
    most: list[int] = []

    def work(number: int) -> None:
        at_work[0] += 1
        most.append(at_work[0])
        if number == 2:  # has begun in place of the second, while the first is still waited for
            gates[0].set()
        assert gates[number].wait(LONG)
        at_work[0] -= 1

    lanes.offer({str(number): functools.partial(work, number) for number in range(4)})
    for gate in gates[1:]:
        gate.set()
    assert [lanes.take(str(number)) for number in range(3)] == [True] * 3
    lanes.take("3")  # which may have been left to its turn
    assert max(most) == 2


def test_what_goes_wrong_is_told_in_its_turn() -> None:
    lanes = Lanes(2)
    lanes.offer({"a": lambda: None, "b": lambda: 1 / 0})  # type: ignore[dict-item]
    assert lanes.take("a")
    with pytest.raises(ZeroDivisionError):
        lanes.take("b")


def test_what_was_not_begun_is_left_to_its_turn() -> None:
    lanes, gate, done = Lanes(1), threading.Event(), [""]

    def work() -> None:
        assert gate.wait(LONG)

    lanes.offer({"a": work, "b": lambda: done.append("b")})
    assert not lanes.take("b")
    gate.set()
    assert lanes.take("a")
    assert not lanes.take("c")
    assert done == [""]


def test_abandoned_work_ends_and_no_more_begins() -> None:
    lanes, gate, ended = Lanes(1), threading.Event(), threading.Event()

    def work() -> None:
        gate.wait(LONG)
        try:
            lanes.check()
        except Abandoned:
            ended.set()

    lanes.offer({"a": work, "b": lambda: pytest.fail("begun")})
    lanes.abandon()
    gate.set()
    assert ended.wait(LONG)


class Server:
    """Gives nothing before as many as ``together`` have asked; ``bad`` is not there."""

    def __init__(self, together: int) -> None:
        self._meeting = threading.Barrier(together)

    def __call__(self, url: str, _headers: t.Mapping[str, str]) -> t.Any:
        if url.endswith("bad"):
            raise OSError(0, "nothing is there")
        return Answer(self._meeting, url.encode() * 1000)


class Answer(io.BytesIO):
    headers = Message()

    def __init__(self, meeting: threading.Barrier, content: bytes) -> None:
        super().__init__(content)
        self._meeting = meeting

    def read(self, size: int | None = -1) -> bytes:
        if not self.tell():
            self._meeting.wait(LONG)
        return super().read(size)


def filled(place: File, name: str) -> list[Action]:
    source = Source(f"http://server/{name}", url=f"http://server/{name}")
    how = Filling(name, source, lambda _begin: ("raw", 0), format="raw")
    return [
        filling.file(place, how, f"make {name}"),
        files.publish(place, name, Permissions("0600")),
    ]


@pytest.fixture
def place(tmp_path: Path) -> File:
    there = tmp_path.stat()
    return File(str(tmp_path), there.st_dev, there.st_ino)


@pytest.fixture(autouse=True)
def _processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1, 2})


def writer(fetch: t.Any) -> Writer:
    return Writer(lambda *_words: (1, "", "no command"), None, fetch)


def test_what_servers_give_comes_at_once(place: File) -> None:
    names = ["a", "b", "c"]
    plan = [action for name in names for action in filled(place, name)]
    apply(plan, writer(Server(3)))
    assert sorted(os.listdir(place.path)) == names
    for name in names:
        assert Path(place.path, name).read_text() == f"http://server/{name}" * 1000


def test_what_is_done_stays_and_the_rest_leaves_nothing(place: File) -> None:
    plan = [action for name in ("a", "bad", "c") for action in filled(place, name)]
    with pytest.raises(Stopped, match="nothing is there") as stop:
        apply(plan, writer(Server(2)))
    texts = [step["text"] for step in stop.value.left]
    assert texts[0] == "make bad"
    assert len(texts) == 4
    assert os.listdir(place.path) == ["a"]


@pytest.mark.parametrize(
    ("source", "rebase", "apart"),
    [
        (Source("a", url="https://server/a"), (), True),
        (Source("a", url="https://server/a"), ("qemu-img",), False),  # on what may be made before
        (Source("a", "/a", File("/a", 1, 2)), (), False),
        (Source("a", "/a", File("/a", 1, 2), packed="xz"), (), True),
        (Source("a", "/a", place=File("/", 1, 2), packed="xz"), (), False),  # made before
        (Source("a", "/a", place=File("/", 1, 2), packed="auto", upload="a"), (), True),
    ],
)
def test_what_can_be_filled_early(
    place: File, source: Source, rebase: tuple[str, ...], apart: bool
) -> None:
    how = Filling("a", source, lambda _begin: ("raw", 0), rebase=rebase)
    assert filling.file(place, how, "make a").apart == apart


def test_nothing_is_begun_any_more_once_it_is_abandoned(place: File) -> None:
    late = writer(Server(1))
    late.abandon()
    with pytest.raises(Abandoned):
        late.make_file(place, "a", 1, 0)
    assert os.listdir(place.path) == []


def test_one_step_between_others_waits(place: File) -> None:
    """What may be in the way of a step is done before, so that the second server waits alone."""
    between = call("make it", "mkdir", f"{place.path}/folder", "0700", -1, -1)
    plan = [*filled(place, "a"), between, *filled(place, "b")]
    apply(plan, writer(Server(1)))
    assert sorted(os.listdir(place.path)) == ["a", "b", "folder"]
