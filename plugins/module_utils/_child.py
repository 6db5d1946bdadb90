# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A command that runs beside the task, where Ansible's run_command has neither bounds nor pipes."""

from __future__ import annotations

import os
import time
import typing as t


class Child:
    """A command with its standard files; raises `FileNotFoundError` where it is not installed.

    ``apart`` gives it a session of its own.
    """

    def __init__(
        self,
        argv: t.Sequence[str],
        files: tuple[int, int, int],
        environment: t.Mapping[str, str],
        apart: bool = False,
    ) -> None:
        handed = [(os.POSIX_SPAWN_DUP2, file, number) for number, file in enumerate(files)]
        self.pid = os.posix_spawnp(
            argv[0], list(argv), {**os.environ, **environment}, file_actions=handed, setsid=apart
        )
        self._code: int | None = None

    def wait(self, limit: float = float("inf")) -> int | None:
        """The exit status, or the negative signal of a killed one; ``None`` after the limit."""
        deadline, pause = time.monotonic() + limit, 0.001
        while self._code is None:
            pid, status = os.waitpid(self.pid, 0 if limit == float("inf") else os.WNOHANG)
            if pid:
                signal = os.WTERMSIG(status)
                self._code = -signal if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            elif time.monotonic() > deadline:
                return None
            else:
                time.sleep(pause)
                pause = min(2 * pause, 0.05)
        return self._code

    def kill(self, how: int) -> None:
        if self._code is None:
            os.kill(self.pid, how)
