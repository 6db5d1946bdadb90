# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work: how it is counted and shown, and the process that does it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.poolwright.storage.plugins.module_utils import _job
from ansible_collections.poolwright.storage.plugins.plugin_utils._lines import Lines

NAME = "0123456789abcdef" * 2


def test_lines_come_every_few_seconds() -> None:
    lines = Lines("host", 100.0)
    assert lines.new({"a": (10 << 20, 100 << 20, 3.0)}, 103.0) == []
    assert lines.new({"a": (30 << 20, 100 << 20, 5.0)}, 105.0) == [
        "host: a: 30% of 100.0 MiB, 6.0 MiB/s"
    ]
    assert lines.new({"a": (40 << 20, 100 << 20, 6.0)}, 106.0) == []
    both = {"a": (100 << 20, 100 << 20, 10.0), "b": (512, 0, 1.0)}
    assert lines.new(both, 110.5) == [
        "host: a: 100% of 100.0 MiB, 14.0 MiB/s",
        "host: b: 512 bytes, 512 bytes/s",
    ]
    assert lines.new(both, 116.0) == []


def test_what_is_followed_is_counted() -> None:
    tally, done = _job.Tally(), [0]
    with tally.following("a", 100, lambda: done[0]):
        done[0] = 40
        tally.look()
        assert tally.state()["a"][:2] == (40, 100)
        done[0] = 100
    tally.note("b", 7, 0)
    assert {name: facts["bytes"] for name, facts in tally.told().items()} == {"a": 100, "b": 7}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_job, "FOLDER", str(tmp_path / "jobs"))
    for name, seconds in (("PATIENCE", 0), ("TICK", 0.1), ("GRACE", 0.5)):
        monkeypatch.setattr(_job, name, seconds)
    return tmp_path / "jobs" / NAME


def printed(run: t.Callable[[], None]) -> str:
    """What a process prints that does so and exits."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writing, 1)
        os.close(writing)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", closefd=False) for n in (1, 2))
        try:
            run()
        except SystemExit:
            sys.stdout.flush()
        except _job.Lost as lost:
            os.write(1, f"lost: {lost}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading, encoding="utf-8") as file:
        return file.read()


def task(work: t.Callable[[_job.Tally], None]) -> str:
    """What a task answers that does some work in a job."""

    def run() -> None:
        tally = _job.Tally()
        with _job.apart(NAME, tally):
            work(tally)
            print("result")
            raise SystemExit(0)

    return printed(run)


def fetched() -> str:
    return printed(lambda: _job.fetch(NAME))


def until(ready: t.Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def long(tally: _job.Tally) -> None:
    for number in range(200):
        tally.note("a", number, 200)
        time.sleep(0.05)


def gone(pid: int) -> bool:
    """Whether a process has ended; who nobody waits for stays as a zombie where init is none."""
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return True


def pid_of(folder: Path) -> int:
    return int((folder / "pid").read_text(encoding="ascii"))


def test_short_work_is_answered_at_once(folder: Path) -> None:
    assert task(lambda tally: tally.note("a", 1, 1)) == "result\n"
    assert not folder.exists()


def test_long_work_goes_on_alone(folder: Path) -> None:
    def work(tally: _job.Tally) -> None:
        for number in range(1, 6):
            tally.note("a", number, 5)
            time.sleep(0.2)

    assert json.loads(task(work)) == {"_job": NAME}
    name, total = "a", 5
    state = json.loads((folder / "state").read_text(encoding="utf-8"))
    assert 0 < state[name][0] <= state[name][1] == total
    assert folder.stat().st_mode & 0o777 == 0o700
    until((folder / "result").exists)
    until(lambda: gone(pid_of(folder)))
    assert fetched() == "result\n"
    assert not folder.exists()


def test_it_ends_with_its_commands_when_it_is_told(folder: Path, tmp_path: Path) -> None:
    marks = [tmp_path / name for name in ("command", "cleared")]

    def work(tally: _job.Tally) -> None:
        command = os.fork()
        if not command:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(60)
            os._exit(0)
        marks[0].write_text(str(command), encoding="ascii")
        try:
            long(tally)
        finally:
            marks[1].touch()

    assert json.loads(task(work)) == {"_job": NAME}
    pid, command = pid_of(folder), int(marks[0].read_text(encoding="ascii"))
    assert not gone(command)
    os.kill(pid, signal.SIGTERM)
    until(lambda: gone(pid), 20)
    assert gone(command)
    assert marks[1].exists()
    assert not folder.exists()


def test_it_ends_when_nobody_asks_for_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_job, "SILENCE", 0.5)
    assert json.loads(task(long)) == {"_job": NAME}
    pid = pid_of(folder)
    for _time in range(8):
        time.sleep(0.2)
        os.utime(folder / "beat")
    assert not gone(pid)
    until(lambda: gone(pid))
    assert not folder.exists()


def test_what_is_killed_is_told(folder: Path) -> None:
    def killed(_tally: _job.Tally) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def broken(_tally: _job.Tally) -> None:
        raise ZeroDivisionError("one")

    assert task(killed) == "lost: its process was killed"
    assert task(broken) == "lost: ZeroDivisionError: one"
    folder.mkdir()
    assert task(long).startswith("lost: ")


def test_what_nobody_fetched_goes(folder: Path) -> None:
    old = folder.parent / "old"
    old.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    os.utime(old, (0, 0))
    assert task(lambda _tally: None) == "result\n"
    assert list(folder.parent.iterdir()) == []
    folder.parent.chmod(0o777)
    assert "not a directory of root's alone" in task(lambda _tally: None)


def test_no_other_files_are_a_jobs(folder: Path) -> None:
    with pytest.raises(_job.Lost, match="is not the name of a job"):
        _job.fetch("../../etc")
    assert not folder.parent.exists()
