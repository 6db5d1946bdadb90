# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No unit test can run a command, whatever it calls."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import typing as t

import pytest

# Where the controller's half of Ansible is installed, its modules import it when they first run,
# and that import asks ldconfig: do it before commands are refused.
if importlib.util.find_spec("jinja2"):
    importlib.import_module("ansible.utils.display")


@pytest.fixture(autouse=True)
def no_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: t.Any, **_options: t.Any) -> t.NoReturn:
        pytest.fail(f"a unit test ran a command: {args}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    for name in ("system", "popen", "posix_spawn", "posix_spawnp", "execv", "execve"):
        monkeypatch.setattr(os, name, refuse)
