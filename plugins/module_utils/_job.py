# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work that takes long: how much of it is done, and a process of its own for it.

The action plugin names a job.  Then the work is done by a child of the task's process, and that
waits for it.  Where the work is long, it leaves the child alone and answers with the job's name.
From then on the action plugin asks how far the work is, in files that only root can read, gives a
sign of life with each question, and fetches the result in the end.  Without these signs the work
ends, as it does when it is told to, and what is unfinished goes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import sys
import time
import traceback
import types
import typing as t

FOLDER = "/run/poolwright.storage"
PATIENCE = 3  # seconds after which the task's process goes, if there is something to tell
SILENCE = 30  # seconds without a sign of life, after which the work ends
TICK = 1  # seconds between two looks at both
GRACE = 5  # seconds that commands have to end
FORGOTTEN = 3600  # seconds after which nobody fetches a result any more

_DONE = b"."


class Lost(Exception):
    """The work has ended without a result."""


class Cancelled(BaseException):
    """The work is to end: nobody waits for it any more."""


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

    def look(self) -> None:
        """Looks at what is followed."""
        for name, (done, total) in list(self._following.items()):
            with contextlib.suppress(OSError):
                self.note(name, done(), total)

    def state(self) -> dict[str, tuple[int, int, float]]:
        """For each volume how much is done, of how much, and in how many seconds."""
        return {
            name: (done, total, last - began)
            for name, (done, total, began, last) in list(self._work.items())
        }

    def told(self) -> dict[str, dict[str, t.Any]]:
        """For each volume the bytes and the seconds, as a result has them."""
        return {
            name: {"bytes": done, "seconds": round(seconds, 1)}
            for name, (done, _total, seconds) in self.state().items()
        }


@contextlib.contextmanager
def apart(name: str, tally: Tally) -> t.Iterator[None]:
    """Does what is inside, which prints a result and exits, in a process of its own.

    Who may not make its files does it here, and is refused there.
    """
    try:
        folder = _folder(name)
    except PermissionError:
        yield
        return
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        _attend(child, name, folder, reading)
    os.close(reading)
    with _Job(folder, tally, writing).at_work():
        yield


def _folder(name: str) -> str:
    """The files of a job; what nobody has fetched from before goes."""
    folder = _path(name)
    with contextlib.suppress(FileExistsError):
        os.mkdir(FOLDER, 0o700)
    there = os.lstat(FOLDER)
    if there.st_uid != os.geteuid() or there.st_mode & 0o170077 != 0o040000:
        raise Lost(f"{FOLDER} is not a directory of root's alone")
    for old in os.scandir(FOLDER):
        if old.stat(follow_symlinks=False).st_mtime < time.time() - FORGOTTEN:
            _forget(old.path)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        raise Lost("it was cancelled before it began") from None
    return folder


def _path(name: str) -> str:
    if not re.fullmatch("[0-9a-f]{32}", name):
        raise Lost(f"{name!r} is not the name of a job")
    return f"{FOLDER}/{name}"


def _forget(folder: str) -> None:
    """Takes away the files of a job, unless it is still at work."""
    if not _alive(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _alive(folder: str) -> bool:
    """Whether a job is at work: its process, which is known by where it stands."""
    try:
        with open(f"{folder}/pid", encoding="ascii") as file:
            return os.path.samefile(f"/proc/{int(file.read())}/cwd", folder)
    except (OSError, ValueError):
        return False


def _attend(child: int, name: str, folder: str, reading: int) -> t.NoReturn:
    """Waits for the work, and ends the task's process with its result, or with its name."""
    deadline = time.monotonic() + PATIENCE
    while not select.select([reading], [], [], TICK / 2)[0]:
        _touch(f"{folder}/beat")
        if time.monotonic() > deadline and os.path.exists(f"{folder}/state"):
            _touch(f"{folder}/left")
            os.write(1, json.dumps({"_job": name}).encode())
            # Not by way of Ansible, which would take away the module's code: the child does it.
            os._exit(0)
    os.waitpid(child, 0)
    _answer(folder)


def fetch(name: str) -> t.NoReturn:
    """Ends the task's process with the result of a job that is done."""
    _answer(_path(name))


def _answer(folder: str) -> t.NoReturn:
    try:
        with open(f"{folder}/result", encoding="utf-8") as file:
            result = file.read()
    except FileNotFoundError:
        raise Lost(_last_words(folder)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(result)
    raise SystemExit(0)


def _last_words(folder: str) -> str:
    """Why a job may have ended without a result."""
    with contextlib.suppress(OSError), open(f"{folder}/errors", encoding="utf-8") as file:
        words = file.read().strip().splitlines()
        if words:
            return words[-1]
    return "its process was killed"


class _Job:
    """The process of a job, from the inside."""

    def __init__(self, folder: str, tally: Tally, writing: int) -> None:
        self.folder = folder
        self.tally = tally
        self.writing = writing
        self.beat = ("", time.monotonic())  # the last sign of life, and when it was seen

    @contextlib.contextmanager
    def at_work(self) -> t.Iterator[None]:
        try:
            self._settle()
            yield
        except SystemExit:
            self._quiet()
            sys.stdout.flush()
            os.rename("output", "result")
            with contextlib.suppress(BrokenPipeError):  # the task's process has gone
                os.write(self.writing, _DONE)
            self._leave(0)
        except Cancelled:
            _end(signal.SIGKILL)
            self._leave(1)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    def _settle(self) -> None:
        """Gets a session of its own, and files for what is printed."""
        os.setsid()
        os.chdir(self.folder)
        for number, name in ((1, "output"), (2, "errors")):
            handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.dup2(handle, number)
            os.close(handle)
        _touch("beat")
        _replace("pid", str(os.getpid()))
        signal.signal(signal.SIGTERM, self._cancel)
        signal.signal(signal.SIGALRM, self._tick)
        signal.setitimer(signal.ITIMER_REAL, TICK, TICK)

    def _quiet(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def _leave(self, code: int) -> t.NoReturn:
        """Ends by way of Ansible only where the task's process has gone without that."""
        left = os.path.exists("left")
        if code:
            shutil.rmtree(self.folder, ignore_errors=True)
        if left:
            raise SystemExit(code)
        os._exit(code)

    def _tick(self, _signal: int, _frame: types.FrameType | None) -> None:
        """Now and then: tells how far the work is, and looks for a sign of life."""
        self.tally.look()
        now, seen = time.monotonic(), ""
        with contextlib.suppress(OSError):
            seen = str(os.stat("beat").st_mtime_ns)
            state = self.tally.state()
            if state:
                _replace("state", json.dumps(state))
        if seen != self.beat[0]:
            self.beat = (seen, now)
        elif now - self.beat[1] > SILENCE:
            self._cancel()

    def _cancel(self, *_signal: t.Any) -> None:
        self._quiet()
        _end(signal.SIGTERM)
        raise Cancelled


def _end(how: int) -> None:
    """Ends the commands that run, and waits until they have gone."""
    deadline = time.monotonic() + GRACE
    for pid in _others():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
    while _others() and time.monotonic() < deadline:
        time.sleep(0.05)


def _others() -> list[int]:
    """The other processes of this session that run."""
    found, own = [], os.getpid()
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
            state, _parent, _group, session = file.read().rpartition(b")")[2].split()[:4]
            if int(session) == own and int(pid) != own and state not in b"ZX":
                found.append(int(pid))
    return found


def _touch(path: str) -> None:
    with contextlib.suppress(OSError), open(path, "ab"):
        os.utime(path)


def _replace(path: str, text: str) -> None:
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(f"{path}.new", path)
