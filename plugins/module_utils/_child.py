# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A command that runs beside the task, where Ansible's run_command has neither bounds nor pipes."""

from __future__ import annotations

import os
import signal
import time
import typing as t

NOT_FOUND = 127  # the exit status of what is not installed


class Child:
    """A command with its standard files; ``apart`` gives it a session of its own."""

    def __init__(
        self,
        argv: t.Sequence[str],
        files: tuple[int, int, int],
        environment: t.Mapping[str, str],
        apart: bool = False,
    ) -> None:
        self._code: int | None = None
        self.pid = os.fork()
        if not self.pid:
            _become(argv, files, {**os.environ, **environment}, apart)

    def wait(self, limit: float = float("inf")) -> int | None:
        """The exit status, or the negative signal of a killed one; ``None`` after the limit."""
        deadline, pause = time.monotonic() + limit, 0.001
        while self._code is None:
            pid, status = os.waitpid(self.pid, 0 if limit == float("inf") else os.WNOHANG)
            if pid:
                killed = os.WIFSIGNALED(status)
                self._code = -os.WTERMSIG(status) if killed else os.WEXITSTATUS(status)
            elif time.monotonic() > deadline:
                return None
            else:
                time.sleep(pause)
                pause = min(2 * pause, 0.05)
        return self._code

    def kill(self, how: int) -> None:
        if self._code is None:
            os.kill(self.pid, how)


def _become(
    argv: t.Sequence[str],
    files: tuple[int, int, int],
    environment: t.Mapping[str, str],
    apart: bool,
) -> t.NoReturn:
    """Makes this process the command."""
    try:
        if apart:
            os.setsid()
        for number, file in enumerate(files):
            os.dup2(file, number)
        for each in (signal.SIGPIPE, signal.SIGTERM):  # which Python and a job take for themselves
            signal.signal(each, signal.SIG_DFL)
        os.execvpe(argv[0], list(argv), environment)
    finally:
        os._exit(NOT_FOUND)
