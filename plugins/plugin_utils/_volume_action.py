# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's side of tasks on volumes: it follows long work, and sends uploads."""

from __future__ import annotations

import hashlib
import json
import os
import time
import typing as t
import uuid

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.display import Display
from ansible_collections.poolwright.storage.plugins.plugin_utils._foreseeing_action import (
    ForeseeingAction,
)
from ansible_collections.poolwright.storage.plugins.plugin_utils._lines import Lines, show

Result = t.Dict[str, t.Any]

FOLDER = "/run/poolwright.storage"  # of jobs, as the module has it
LARGE = 64 << 20  # bytes of a file of which is shown that it is sent
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


class VolumeAction(ForeseeingAction):
    """Runs the module, sends what it needs, and shows what it does where that takes long."""

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        result: Result = super(ForeseeingAction, self).run(tmp, task_vars)
        self._vars = task_vars or {}
        uploads = self._uploads()
        if self._task.async_val:
            result.update(self._alone(uploads))
            return result
        done = self._followed()
        if "_unsent" in done:
            done = self._followed(
                sent={name: self._send(uploads[name]) for name in done["_unsent"]}
            )
        result.update(done)
        return result

    def _uploads(self) -> dict[str, str]:
        """The files on the controller that the task names, by these names."""
        rows = self._task.args.get("volumes", [self._task.args])
        rows = rows if isinstance(rows, list) else []
        sources = [row.get("source") for row in rows if isinstance(row, dict)]
        names = [source.get("upload") for source in sources if isinstance(source, dict)]
        return {str(name): self._found(str(name)) for name in names if name is not None}

    def _found(self, name: str) -> str:
        try:
            path = str(self._find_needle("files", name))
        except AnsibleError:
            raise _refused(
                f"{name!r} is not on the controller, neither in files/ of the role or beside the "
                "playbook nor there itself. Correct it, or name a file of the host with source.path"
            ) from None
        if not os.path.isfile(path):
            raise _refused(f"{path} is not a file")
        return path

    def _send(self, path: str) -> tuple[str, str]:
        """Sends a file; its path on the host, and its checksum."""
        real = self._loader.get_real_file(path)
        try:
            checksum, size = _sha256(real), os.path.getsize(real)
            if self._connection._shell.tmpdir is None:
                self._make_tmp_path()
            folder = self._connection._shell.tmpdir
            there = self._connection._shell.join_path(folder, f"upload-{checksum[:16]}")
            if self._shows() and size > LARGE:
                display.display(f"{self._host}: sending {path}, {show(size)}")
            self._transfer_file(real, there)
            self._fixup_perms2((folder, there))
        finally:
            self._loader.cleanup_tmp_file(real)
        return there, f"sha256:{checksum}"

    def _alone(self, uploads: t.Collection[str]) -> Result:
        """A task that nobody waits for."""
        if uploads:
            raise _refused(
                "a task with async sends no files. Leave async out, or send the file with a task "
                "before, and name it with source.path"
            )
        native = self._connection.has_native_async
        return self._foreseen(wrap_async=not native)

    def _followed(self, **control: t.Any) -> Result:
        job = uuid.uuid4().hex
        began = time.monotonic()
        try:
            done = self._foreseen(job=job, **control)
            if "_job" in done:
                self._follow(job, began)
                done = self._foreseen(fetch=job)
        except BaseException:  # also where the task takes too long
            self._shell(END, job)
            raise
        return done

    def _shell(self, script: str, job: str) -> str:
        text = script.replace("{folder}", f"{FOLDER}/{job}").replace("{parent}", FOLDER)
        done = self._low_level_execute_command(text, sudoable=True)
        return str(done.get("stdout", ""))

    def _follow(self, job: str, began: float) -> None:
        """Waits for the end of long work, and shows how far it is."""
        lines = Lines(self._host, began)
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
        return bool(boolean(self._task.args.get("progress", True), strict=False))


def _refused(why: str) -> AnsibleActionFail:
    """The failure, with what every failure of the module has."""
    facts: Result = {"changed": False, "plan": [], "done": [], "left": []}
    return AnsibleActionFail(f"Nothing was changed: source.upload: {why}.", result=facts)


def _sha256(path: str) -> str:
    found = hashlib.sha256()
    with open(path, "rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            found.update(part)
    return found.hexdigest()
