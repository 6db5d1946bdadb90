# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a task runs on the machine: alone, without standard input, its commands in English."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import stat
import time
import typing as t

from ._child import Child
from ._host import TIMED_OUT
from ._model import Refused

LOCK = "/run/poolwright.storage.lock"
LOCK_PATIENCE = 600  # seconds

# LVM complains of files that it is handed open, such as ours for its words.
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "LANGUAGE": "", "LVM_SUPPRESS_FD_WARNINGS": "1"}

_MOMENT = 5  # seconds to end in, when asked to and when killed

TO_FILES = 'exec "$@" >/proc/self/fd/{} 2>/proc/self/fd/{}'


@contextlib.contextmanager
def locked() -> t.Iterator[None]:
    """Keeps every other task of this collection on the host out until left.

    The lock is a process's own: no child inherits it, and only root can open the file.
    """
    lock = _lock()
    try:
        deadline = time.monotonic() + LOCK_PATIENCE
        while not _taken(lock):
            if time.monotonic() > deadline:
                raise Refused(
                    "Nothing was changed: another poolwright.storage task has been at work on "
                    f"this host for {LOCK_PATIENCE} seconds. Wait for it, or end it."
                )
            time.sleep(0.1)
        yield
    finally:
        fcntl.lockf(lock, fcntl.LOCK_UN)
        os.close(lock)


def _lock() -> int:
    """The lock's file, opened; raises `Refused` where it cannot be trusted or made."""
    try:
        lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        way = (
            "Run the task as root, with become: true"
            if os.geteuid()
            else "It keeps two tasks from working on the storage at once, so it must be possible"
        )
        raise Refused(
            f"Nothing was changed: the lock {LOCK} cannot be opened: {error.strerror}. {way}."
        ) from error
    there = os.fstat(lock)
    if not stat.S_ISREG(there.st_mode) or there.st_uid != os.geteuid() or there.st_mode & 0o077:
        os.close(lock)
        raise Refused(
            f"Nothing was changed: {LOCK} is not a file that only root can open, so others could "
            "keep the lock. Remove it."
        )
    return lock


def _taken(lock: int) -> bool:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def detach() -> None:
    """Takes standard input away: a command that asks a question must fail, not wait."""
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)


def execute(
    run_command: t.Callable[..., tuple[int, str, str]], argv: t.Sequence[str], stdin: str
) -> tuple[int, str, str]:
    """Runs a command in English: an `Exec`.

    Not in the plain C locale, in which virsh of libvirt 11 prints names that are not ASCII as
    escapes, the same for all letters.

    What it prints goes to files: of a pipe, Ansible's run_command can miss the last words, and no
    words may mean a blank disk.
    """
    with _scratch() as output, _scratch() as errors:
        files = (output.fileno(), errors.fileno())
        code, _output, failed = run_command(
            ["/bin/sh", "-c", TO_FILES.format(*files), "sh", *argv],
            data=stdin or None,
            binary_data=True,
            pass_fds=files,
            environ_update=ENVIRONMENT,
            expand_user_and_vars=False,
        )
        return code, _printed(output), _printed(errors) or failed


def execute_within(argv: t.Sequence[str], stdin: str, limit: float) -> tuple[int, str, str]:
    """The same for a command that may never end: after ``limit`` seconds it is killed.

    One that the kernel does not let go, as it waits for a disk, is left behind.
    """
    with _scratch() as given, _scratch() as output, _scratch() as errors:
        given.write(stdin.encode("utf-8", "surrogateescape"))
        given.seek(0)
        files = (given.fileno(), output.fileno(), errors.fileno())
        child = Child(argv, files, ENVIRONMENT, apart=True)
        code = child.wait(limit)
        if code is None:
            code = _ended(child)
        return code, _printed(output), _printed(errors)


def _ended(child: Child) -> int:
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, how)
        if child.wait(_MOMENT) is not None:
            break
    return TIMED_OUT


def _scratch() -> t.BinaryIO:
    """A file in memory."""
    return t.cast(t.BinaryIO, os.fdopen(os.memfd_create("output"), "w+b"))


def _printed(file: t.BinaryIO) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "surrogateescape")
