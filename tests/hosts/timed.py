# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A play, and how long each of its tasks took: what the benchmarks share."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree


def play(
    plays: list[dict[str, Any]], inventory: str, before: tuple[str, ...] = (), limit: float = 14400
) -> list[tuple[str, float]]:
    """The names of the tasks and their seconds, as Ansible's junit callback tells them.

    ``inventory`` is the text of an inventory file, ``before`` the words before the command, and
    ``limit`` the seconds that all may take.  A play that fails ends the benchmark, with what had
    been timed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "hosts.yml").write_text(inventory)
        (folder / "play.yml").write_text(json.dumps(plays))
        environment = {
            **os.environ,
            "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.junit",
            "ANSIBLE_PIPELINING": "1",
            "JUNIT_OUTPUT_DIR": name,
        }
        command = [*before, "ansible-playbook", "-i", f"{name}/hosts.yml", f"{name}/play.yml"]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=limit, check=False
        )
        cases = [case for file in folder.glob("*.xml") for case in _cases(file)]
    # [host] play: the task's name, and after it the module's arguments
    took = [(case["name"].split(": ", 1)[1], float(case["time"])) for case in cases]
    if done.returncode:
        timed = "".join(f"{seconds:9.3f} s: {name}\n" for name, seconds in took)
        raise SystemExit(done.stdout + done.stderr + timed)
    return took


def _cases(report: Path) -> list[dict[str, str]]:
    return [case.attrib for case in ElementTree.parse(report).iter("testcase")]
