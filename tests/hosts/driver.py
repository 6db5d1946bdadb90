# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Runs on a lab host: performs tasks in processes of its own, and kills them where it is told.

Reads a job as JSON from standard input and prints what came of it as JSON.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import typing as t
import zlib

from ansible.module_utils import basic
from ansible_collections.poolwright.storage.plugins.module_utils import _model, _plan, _run, _writer
from ansible_collections.poolwright.storage.plugins.module_utils._xml import poolxml

Task = t.Mapping[str, t.Any]
MODULES = "ansible_collections.poolwright.storage.plugins.modules"
NAMES = (
    *(
        "pool_dir",
        "pool_disk",
        "pool_fs",
        "pool_iscsi",
        "pool_logical",
        "pool_mpath",
        "pool_netfs",
        "pool_scsi",
    ),
    *("volume", "volumes", "pool_info", "pool_source_info", "volume_info", "volume_export"),
)
MAINS = {name: importlib.import_module(f"{MODULES}.{name}").main for name in NAMES}


class Running:
    """One task in a process group of its own."""

    def __init__(self, task: Task, **options: t.Any) -> None:
        self.began = time.monotonic()
        self._output, output = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.dup2(output, 1)
            _perform(task, **options)
        os.close(output)

    def kill(self) -> None:
        """Ends the task and the commands that it runs, and waits until all have gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def result(self) -> dict[str, t.Any]:
        with open(self._output, encoding="utf-8") as file:
            text = file.read()
        _, status = os.waitpid(self.pid, 0)
        seconds = time.monotonic() - self.began
        lines = list(filter(None, text.splitlines()))
        found = json.loads(lines[0]) if lines else {}
        commands, claims = json.loads(lines[1]) if len(lines) > 1 else ([], [])
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        more = {"killed": killed, "commands": commands, "claims": claims, "seconds": seconds}
        return {**found, **more}


def _perform(
    task: Task,
    check: bool = False,
    after: int | None = None,
    fault: tuple[int, str] | None = None,
) -> t.NoReturn:
    """The task's process: the module as Ansible would start it.

    It is killed after the step number ``after``, or a script runs before a step, as ``fault`` says.
    """
    options = {
        **task["args"],
        "_ansible_check_mode": check,
        "_ansible_remote_tmp": "/tmp",
        "_ansible_keep_remote_files": False,
        "_ansible_tmpdir": "/tmp",
    }
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    commands: list[t.Sequence[str]] = []
    claims: list[list[bool]] = []  # of each step, whether each of its claims is to have it alone
    execute, holding = _run.Module.execute, _writer.Writer.holding

    def counted(self: _run.Module, argv: t.Sequence[str], stdin: str) -> tuple[int, str, str]:
        commands.append(argv)
        return execute(self, argv, stdin)

    def killed(plan: t.Sequence[_plan.Action], writer: t.Any) -> None:
        _plan.apply(plan[:after], writer)
        os.kill(os.getpid(), signal.SIGKILL)

    def held(self: _writer.Writer, wanted: tuple[_model.Claim, ...]) -> t.Any:
        if fault and fault[0] == len(claims):
            shell(fault[1])
        claims.append([claim.alone for claim in wanted])
        return holding(self, wanted)

    _run.Module.execute = counted  # type: ignore[method-assign]
    _writer.Writer.holding = held  # type: ignore[method-assign, assignment]
    if after is not None:
        _run.apply = killed  # type: ignore[attr-defined]
    try:
        MAINS[task["module"]]()
    except SystemExit:
        print(json.dumps([commands, claims]), flush=True)
    finally:
        os._exit(0)


def run(task: Task, **options: t.Any) -> dict[str, t.Any]:
    return Running(task, **options).result()


def tasks(job: Task) -> list[dict[str, t.Any]]:
    """Tasks, one after the other."""
    return [run(task) for task in job["tasks"]]


def twice(job: Task) -> list[list[dict[str, t.Any]]]:
    """Tasks, each two times; with ``check`` in check mode."""
    return [[run(task, check=task["check"]) for _ in range(2)] for task in job["tasks"]]


def written(job: Task) -> list[str]:
    """Definitions of pools as we write them."""
    return [poolxml.render(poolxml.parse(text)) for text in job["texts"]]


def together(job: Task) -> list[dict[str, t.Any]]:
    """Tasks, all at once."""
    running = [Running(task) for task in job["tasks"]]
    return [each.result() for each in running]


def four(job: Task) -> list[dict[str, t.Any]]:
    """The four steps for each task: check, run, run again, check again; a script just runs."""
    found: list[dict[str, t.Any]] = []
    now = None
    for step in job["steps"]:
        if "shell" in step:
            found.append({"shell": shell(step["shell"])})
            now = None
        else:
            answers, now = _four(step, now or snapshot())
            found.append(answers)
    return found


def _four(step: Task, before: list[str]) -> tuple[dict[str, t.Any], list[str]]:
    foreseen = run(step, check=True)
    looked = snapshot()
    done = run(step)
    after = snapshot()
    again, checked = run(step), run(step, check=True)
    last = snapshot()
    touched = [*_differing(before, looked), *_differing(after, last)]
    answers: dict[str, t.Any] = {
        "foreseen": foreseen,
        "done": done,
        "again": again,
        "checked": checked,
    }
    answers["seen"] = looked != after  # that nothing was touched is worth what this sees
    return {**answers, "touched": touched}, last


def refused(job: Task) -> dict[str, t.Any]:
    """Tasks that must fail, in check mode and in earnest, and what of the host differs then."""
    before = snapshot()
    answers = [[run(task, check=True), run(task)] for task in job["tasks"]]
    return {"answers": answers, "touched": _differing(before, snapshot())}


def owned(job: Task) -> list[dict[str, t.Any]]:
    """For each case: what somebody makes, tasks that must fail then, and what these touched."""
    return [_owned(case) for case in job["cases"]]


def _owned(case: Task) -> dict[str, t.Any]:
    first = shell(case["first"])
    before = [run(task) for task in case["before"]]
    made = shell(case["make"])
    there, answers = [*entries(), *writes()], []
    for task in case["tasks"]:
        answers.append([run(task, check=True), run(task)])
    touched = _differing(there, [*entries(), *writes()])
    after = [run(task) for task in case["after"]]
    undone = shell(case["undo"])
    prepared = [each.get("msg") for each in (*before, *after) if each.get("failed")]
    return {"made": [*prepared, first, made, undone], "answers": answers, "touched": touched}


def writes() -> list[str]:
    """How much has been written to each disk and discarded; to what is mounted the kernel does."""
    found = []
    for disk in _disks(("sd", "vdb", "nvme", "dm-", "md")):
        with open(f"/sys/block/{disk}/stat", encoding="ascii") as told:
            fields = told.read().split()
        found.append(f"{disk} wrote {fields[6]} sectors, discarded {fields[13]}")
    return found


def _differing(one: t.Sequence[str], other: t.Sequence[str]) -> list[str]:
    return list(difflib.unified_diff(one, other, lineterm="", n=0))


KEPT = (
    "/etc/libvirt/storage",
    "/etc/libvirt/secrets",
    "/etc/systemd/system",
    "/etc/iscsi",
    "/var/lib/iscsi",
    "/srv",
)


def snapshot() -> list[str]:
    """All of the host that a storage task could change, a line each."""
    ends = [f"{disk} {_ends(f'/dev/{disk}')}" for disk in _disks(("sd", "vdb", "nvme"))]
    return [*entries(), *ends]


def shown(_job: Task) -> list[str]:
    return snapshot()


def _disks(kinds: tuple[str, ...]) -> list[str]:
    """The disks but those that are mounted, to which the kernel writes by itself."""
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        mounted = {line.split()[2] for line in table}
    found = []
    for disk in sorted(os.listdir("/sys/block")):
        with open(f"/sys/block/{disk}/dev", encoding="ascii") as told:
            number = told.read().strip()
        if disk.startswith(kinds) and number not in mounted:
            found.append(disk)
    return found


def entries() -> list[str]:
    """The same without what is on the disks."""
    shown = []
    for file in ("/proc/self/mountinfo", "/proc/swaps"):
        with open(file, encoding="utf-8") as table:
            shown += table.read().splitlines()
    for folder in KEPT:
        for place, folders, files in os.walk(folder):
            shown += [_entry(os.path.join(place, name)) for name in sorted(folders + files)]
    # Active volumes and maps, and the pools that libvirtd has active, which looking may start
    daemons = ("driver.pid", "autostarted")
    for folder in ("/dev/mapper", "/run/libvirt/storage"):
        for place, _, files in os.walk(folder):
            shown += [f"{place}/{name}" for name in sorted(files) if name not in daemons]
    with contextlib.suppress(FileNotFoundError):
        shown += sorted(os.listdir("/sys/class/iscsi_session"))
    return shown


def _entry(path: str) -> str:
    there = os.lstat(path)
    what = f"{there.st_mode:o} {there.st_uid} {there.st_gid} {there.st_size} {there.st_mtime_ns}"
    target = os.readlink(path) if os.path.islink(path) else ""
    return f"{path} {what} {target}"


def _ends(device: str) -> int:
    """What signatures, tables and all of LVM's metadata are part of, as a checksum."""
    with open(device, "rb", buffering=0) as file:
        first = file.read(1 << 20)
        file.seek(-(1 << 17), os.SEEK_END)
        return zlib.crc32(first + file.read(1 << 17))


def shell(script: str) -> str:
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def sweep(job: Task) -> list[dict[str, t.Any]]:
    """Kills the task after each of its steps, and at some moments between; then it runs again."""
    ready(job)
    plan = run(job["task"], check=True).get("plan", [])
    whole = run(job["task"])
    found = [{"after": "nothing", "again": whole, **_second(job)}]
    for after in range(1, len(plan) + 1):
        before = ready(job)
        killed = run(job["task"], after=after)["killed"]
        found.append(_went_on(job, before, plan[after - 1]["text"], killed))
    moments = random.Random(job["name"])
    for _ in range(job["moments"]):
        before = ready(job)
        delay = whole["seconds"] * moments.uniform(0.2, 0.9)
        running = Running(job["task"])
        time.sleep(delay)
        running.kill()
        running.result()
        found.append(_went_on(job, before, f"{delay:.2f} s of {whole['seconds']:.2f} s", True))
    shell(job["restore"])
    return found


def ready(job: Task) -> str:
    """Makes everything as it is before the task; returns what must not get lost."""
    shell(job["restore"])
    for task in job["before"]:
        result = run(task)
        if result.get("failed"):
            raise SystemExit(f"{task}: {result.get('msg')}")
    shell(job["fill"])
    return shell(job["canary"])


def _went_on(job: Task, before: str, after: str, killed: bool) -> dict[str, t.Any]:
    again = run(job["task"])
    return {"after": after, "killed": killed, "before": before, "again": again, **_second(job)}


def _second(job: Task) -> dict[str, t.Any]:
    return {
        "second": run(job["task"]),
        "kept": shell(job["canary"]),
        "left": shell(f"{LEFT}; {job['left']}"),
    }


def faulty(job: Task) -> list[dict[str, t.Any]]:
    """A fault before each step that claims something; it is undone, and the task runs again.

    What is not to be had alone may well be in use, or change, so there it is only swapped.
    With ``few`` each fault comes once; ``steps`` is before how many of the first ones it comes.
    """
    ready(job)
    claims = run(job["task"])["claims"]
    rows = [
        (step, kind)
        for step, alone in enumerate(claims[: job["steps"]])
        for kind in (job["faults"] if any(alone) else {"swapped"} if alone else ())
    ]
    if job["few"]:  # each fault before one step
        rows = list({kind: (step, kind) for step, kind in reversed(rows)}.values())
    found = [_faulty(job, step, kind) for step, kind in rows]
    shell(job["restore"])
    return found


def _faulty(job: Task, step: int, kind: str) -> dict[str, t.Any]:
    before, fault = ready(job), job["faults"][kind]
    failed = run(job["task"], fault=(step, fault["make"]))
    undone = shell(fault["undo"])
    kept = shell(job["canary"])
    found = {"step": step, "kind": kind, "before": before, "kept": kept, "failed": failed}
    return {**found, "undone": undone, "again": run(job["task"]), "second": run(job["task"])}


LEFT = "find /etc/libvirt /etc/systemd /srv -name '.poolwright-*' -o -name '*.new'"

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps(globals()[asked["do"]](asked)))
