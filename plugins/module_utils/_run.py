# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a task to its result; the only file that knows Ansible."""

from __future__ import annotations

import traceback
import typing as t
from dataclasses import dataclass, replace

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.common.respawn import (
    has_respawned,
    probe_interpreters_for_module,
    respawn_module,
)
from ansible.module_utils.errors import AnsibleValidationError, UnsupportedError

from . import _xml
from ._host import HostError, Reader
from ._model import Refused
from ._plan import Action, Stopped, apply, guard
from ._process import detach, execute, locked
from ._writer import Writer

SYSTEM_PYTHONS = ("/usr/bin/python3", "/usr/libexec/platform-python", "/usr/bin/python")


@dataclass(frozen=True)
class Look:
    """What was seen and decided at one moment.

    ``before`` and ``after`` are the definition, where the task is about one.  ``rescan`` are steps
    that make the kernel look for volumes by itself; they are done before the plan, and are a change
    where ``volumes`` are others afterwards.
    """

    plan: tuple[Action, ...]
    result: t.Mapping[str, t.Any]
    title: str = ""
    before: str = ""
    after: str = ""
    warnings: tuple[str, ...] = ()
    rescan: tuple[Action, ...] = ()
    volumes: tuple[str, ...] = ()


class Module(AnsibleModule):
    """Reports every fault of the input at once, where AnsibleModule stops at its first."""

    def __init__(
        self,
        spec: t.Mapping[str, t.Any],
        faults: t.Callable[[t.Mapping[str, t.Any]], t.Iterator[str]],
        **options: t.Any,
    ) -> None:
        self._checking: list[str] = []
        super().__init__(  # type: ignore[no-untyped-call]
            argument_spec=dict(spec), supports_check_mode=True, **options
        )
        found = list(dict.fromkeys([*self._checking, *faults(self.params)]))
        self._checking = []
        self._ready = True
        if found:
            self.fail_json(msg=f"Nothing was changed: {'; '.join(found)}.", **NOTHING_DONE)
        if _xml.LXML_ERROR:
            self._find_lxml()
        detach()

    def fail_json(self, msg: str, **results: t.Any) -> t.NoReturn:  # type: ignore[misc]
        if getattr(self, "_ready", False) or not hasattr(self, "validation_result"):
            super().fail_json(msg=msg, **results)
        # Called while the argument spec is checked: remember, and go on to our own checks.
        self._checking = [_fault(error) for error in self.validation_result.errors]

    def _find_lxml(self) -> None:
        if not has_respawned():
            python = probe_interpreters_for_module(SYSTEM_PYTHONS, "lxml")
            if python:
                respawn_module(python)
        self.fail_json(msg=missing_required_lib("lxml"), exception=_xml.LXML_ERROR, **NOTHING_DONE)

    def execute(self, argv: t.Sequence[str], stdin: str) -> tuple[int, str, str]:
        """Runs a command in the C locale; see `_host.Exec`."""
        program = self.get_bin_path(argv[0])
        if not program:
            return 127, "", f"{argv[0]} is not installed on this host"
        return execute(self.run_command, (program, *argv[1:]), stdin)


def _fault(error: AnsibleValidationError) -> str:
    unsupported = "unsupported option " if isinstance(error, UnsupportedError) else ""
    return f"{unsupported}{error.msg.rstrip('.')}"


NOTHING_DONE: t.Mapping[str, t.Any] = {"changed": False, "plan": [], "done": [], "left": []}


def perform(module: Module, look: t.Callable[[Reader], Look]) -> t.NoReturn:
    """Look, plan, guard, apply, look again; ends the module with a result."""
    try:
        with locked():
            result = _performed(module, look)
    except Refused as refusal:
        module.fail_json(msg=str(refusal), **NOTHING_DONE)
    except HostError as error:
        module.fail_json(msg=f"Nothing was changed: {error}", **NOTHING_DONE)
    except Stopped as stop:
        done, total = len(stop.done), len(stop.done) + len(stop.left)
        begin = (
            f"{done} of {total} steps were done, then this failed" if done else "Nothing was done"
        )
        end = " Run the task again when the cause is gone; it goes on from there." if done else ""
        module.fail_json(
            msg=f"{begin}: {stop}.{end}",
            changed=bool(done),
            plan=[*stop.done, *stop.left],
            done=stop.done,
            left=stop.left,
        )
    except Exception as error:  # the last resort: a user gets a sentence, not a traceback
        module.fail_json(msg=bug(error))
    module.exit_json(**result)


def bug(error: Exception) -> str:
    """What a user is told of a fault of ours."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"What was changed is not known: poolwright.storage has a fault, {type(error).__name__}: "
        f"{error} (line {last.lineno} of {last.filename}). Run the task with --check to see what "
        "is left to do, and report this."
    )


def _performed(module: Module, look: t.Callable[[Reader], Look]) -> dict[str, t.Any]:
    earnest = not module.check_mode
    seen = look(Reader(module.execute))
    if earnest and seen.rescan:
        seen = _rescanned(module, look, seen)
    guard(seen.plan, module.params["allow"])
    result = {
        "changed": bool(seen.plan),
        "plan": [action.shown() for action in seen.plan],
        "diff": _diff(seen),
    }
    if earnest and seen.plan:
        apply(seen.plan, Writer(module.execute))
        seen = _again(look, Reader(module.execute), seen.plan)
    for text in seen.warnings:
        module.warn(text)
    return {**seen.result, **result}


def _rescanned(module: Module, look: t.Callable[[Reader], Look], seen: Look) -> Look:
    guard(seen.plan, module.params["allow"])
    apply(seen.rescan, Writer(module.execute))
    fresh = look(Reader(module.execute))
    if fresh.volumes == seen.volumes:
        return fresh
    return replace(fresh, plan=(*seen.rescan, *fresh.plan))


def _again(look: t.Callable[[Reader], Look], host: Reader, done: t.Sequence[Action]) -> Look:
    try:
        seen = look(host)
    except (HostError, Refused) as error:
        raise Stopped(f"the look afterwards: {error}", done, ()) from error
    if seen.plan:
        texts = ", ".join(action.text for action in seen.plan)
        raise Stopped(f"the steps left something to do: {texts}", done, seen.plan)
    return seen


def _diff(seen: Look) -> list[dict[str, str]]:
    shown = [{"prepared": "".join(f"+ {action.text}\n" for action in seen.plan)}]
    if seen.before != seen.after:
        header = {"before_header": seen.title, "after_header": seen.title}
        shown.append({**header, "before": seen.before, "after": seen.after})
    return shown
