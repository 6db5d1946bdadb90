# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No unit test can run a command, whatever it calls."""

from __future__ import annotations

import os
import subprocess
import typing as t

import pytest


@pytest.fixture(autouse=True)
def no_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: t.Any, **_options: t.Any) -> t.NoReturn:
        pytest.fail(f"a unit test ran a command: {args}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    for name in ("system", "popen", "posix_spawn", "posix_spawnp", "execv", "execve"):
        monkeypatch.setattr(os, name, refuse)
