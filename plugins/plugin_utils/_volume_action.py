# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's side of tasks on volumes: it follows long work."""

from __future__ import annotations

import json
import time
import typing as t
import uuid

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.poolwright.storage.plugins.plugin_utils._lines import Lines

Result = t.Dict[str, t.Any]

FOLDER = "/run/poolwright.storage"  # of jobs, as the module has it
CUT = 20  # seconds that a connection may be away; the work lives longer without it

# What is known of a job: nothing, that it is done, or how far it is.
ASK = """cd {folder} 2>/dev/null || { echo poolwright lost; exit 0; }
touch beat
alive=
[ "/proc/$(cat pid)/cwd" -ef . ] && alive=yes
if [ -e result ]; then echo poolwright done
elif [ -z "$alive" ]; then echo poolwright lost
else echo "poolwright at $(cat state)"
fi"""

# A job that has not begun yet finds its name taken.
END = """mkdir -m 700 {parent} 2>/dev/null
mkdir {folder} 2>/dev/null && exit 0
cd {folder} || exit 0
pid=$(cat pid) || exit 0
for signal in TERM KILL; do
  n=0
  while [ "/proc/$pid/cwd" -ef . ] && [ $n -lt 100 ]; do
    [ $n != 0 ] || kill -s $signal "$pid"
    sleep 0.1
    n=$((n + 1))
  done
done"""

display = Display()


class VolumeAction(ActionBase):  # type: ignore[misc, unused-ignore]
    """Runs the module, and shows what it does where that takes long."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        self._vars = task_vars or {}
        result.update(self._alone() if self._task.async_val else self._followed())
        return result

    def _alone(self) -> Result:
        """A task that nobody waits for."""
        native = self._connection.has_native_async
        done: Result = self._execute_module(task_vars=self._vars, wrap_async=not native)
        return done

    def _followed(self) -> Result:
        job = uuid.uuid4().hex
        began = time.monotonic()
        try:
            done = self._module(job=job)
            if "_job" in done:
                self._follow(job, began)
                done = self._module(fetch=job)
        except BaseException:  # also where the task takes too long
            self._shell(END, job)
            raise
        return done

    def _module(self, **control: t.Any) -> Result:
        args = {**self._task.args, "_control": control}
        done: Result = self._execute_module(module_args=args, task_vars=self._vars)
        return done

    def _shell(self, script: str, job: str) -> str:
        text = script.replace("{folder}", f"{FOLDER}/{job}").replace("{parent}", FOLDER)
        done = self._low_level_execute_command(text, sudoable=True)
        return str(done.get("stdout", ""))

    def _follow(self, job: str, began: float) -> None:
        """Waits for the end of long work, and shows how far it is."""
        lines = Lines(self._vars.get("inventory_hostname", ""), began)
        heard = time.monotonic()
        while True:
            try:
                answer = self._shell(ASK, job).rpartition("poolwright ")[2].strip()
                heard = time.monotonic()
            except AnsibleConnectionFailure:
                if time.monotonic() > heard + CUT:
                    raise
                answer = ""
            if answer in ("done", "lost"):
                return
            if answer.startswith("at ") and self._shows():
                for line in lines.new(json.loads(answer[3:]), time.monotonic()):
                    display.display(line)
            time.sleep(1)

    def _shows(self) -> bool:
        return self._task.args.get("progress", True) not in (False, "false")
