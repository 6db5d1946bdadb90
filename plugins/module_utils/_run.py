# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a task to its result; the only file that knows Ansible."""

from __future__ import annotations

import contextlib
import re
import traceback
import typing as t
from dataclasses import dataclass, field, replace

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.common.respawn import (
    has_respawned,
    probe_interpreters_for_module,
    respawn_module,
)
from ansible.module_utils.errors import AnsibleValidationError, UnsupportedError

from . import _job
from ._host import WITHIN, HostError, NotInstalled, Reader
from ._model import Filling, Lacking, Pool, Refused
from ._plan import Action, Stopped, apply, deciding, guard, sentence, unsent
from ._process import detach, execute, execute_within, locked
from ._streams import Fetch
from ._tools import packages

if t.TYPE_CHECKING:
    from ._writer import Writer
from ._xml import tree

# What others call an option of ours.
OTHERS_WORDS = {
    "size": "capacity",
    "force": "allow",
    "vg": "volume_group",
    "pvs": "devices",
    "src": "device",
    "fstype": "format",
    "opts": "mount_options",
    "portal": "host",
}

VIEW = (
    "libvirt has looked at the volumes of the pool again, and still sees others than there are. "
    "Compare virsh vol-list with the pool."
)

SYSTEM_PYTHONS = ("/usr/bin/python3", "/usr/libexec/platform-python", "/usr/bin/python")


@dataclass(frozen=True)
class Look:
    """What was seen and decided at one moment.

    ``before`` and ``after`` are the definition, where the task is about one.  ``rescan`` are steps
    that make the kernel look for volumes by itself; they are done before the plan, and are a change
    where ``volumes`` are others afterwards, by path and what is known of each.  ``parting`` warns
    of what the plan leaves behind.  ``view`` are the steps that make libvirt look again.
    ``foreseen`` is what `_foresight` tells the tasks after this one.
    """

    plan: tuple[Action, ...]
    result: t.Mapping[str, t.Any]
    title: str = ""
    before: str = ""
    after: str = ""
    warnings: tuple[str, ...] = ()
    parting: tuple[str, ...] = ()
    rescan: tuple[Action, ...] = ()
    volumes: t.Mapping[str, str] = field(default_factory=dict)
    view: tuple[Action, ...] = ()
    foreseen: t.Mapping[str, t.Any] = field(default_factory=dict)


class Module(AnsibleModule):
    """Reports every fault of the input at once, where AnsibleModule stops at its first.

    ``fetch`` is how what a url leads to is fetched.
    """

    def __init__(
        self,
        spec: t.Mapping[str, t.Any],
        faults: t.Callable[[t.Mapping[str, t.Any]], t.Iterator[str]],
        fetch: Fetch | None = None,
        **options: t.Any,
    ) -> None:
        self._checking: list[str] = []
        self.fetch = fetch
        self.looks_only = "allow" not in spec
        super().__init__(  # type: ignore[no-untyped-call]
            argument_spec=dict(spec), supports_check_mode=True, **options
        )
        found = list(dict.fromkeys([*self._checking, *faults(self.params)]))
        self._checking = []
        self._ready = True
        if found:
            self.fail_json(msg=self.told(f"Nothing was changed: {'; '.join(found)}."), **failure())
        if tree.LXML_ERROR:
            self._find_lxml()
        detach()

    def fail_json(self, msg: str, **results: t.Any) -> t.NoReturn:  # type: ignore[misc]
        if getattr(self, "_ready", False) or not hasattr(self, "validation_result"):
            super().fail_json(msg=msg, **results)
        # Called while the argument spec is checked: remember, and go on to our own checks.
        self._checking = [
            _fault(error, self.argument_spec) for error in self.validation_result.errors
        ]

    @property
    def earnest(self) -> bool:
        """Whether the plan is carried out."""
        return not self.check_mode

    def _load_params(self) -> None:
        """Takes out what the action plugin tells besides the options."""
        super()._load_params()  # type: ignore[no-untyped-call]
        self.control: t.Mapping[str, t.Any] = self.params.pop("_control", None) or {}

    def _log_invocation(self) -> None:
        """Ansible's log takes no name with bytes that are not UTF-8; the task goes on without."""
        params, self.params = self.params, kept_back(self.params)
        with contextlib.suppress(UnicodeEncodeError):
            super()._log_invocation()  # type: ignore[no-untyped-call]
        self.params = params

    def _return_formatted(self, kwargs: dict[str, t.Any]) -> None:
        kwargs.setdefault("invocation", {"module_args": kept_back(self.params)})
        super()._return_formatted(kwargs)  # type: ignore[no-untyped-call]

    def _find_lxml(self) -> None:
        if not has_respawned():
            python = probe_interpreters_for_module(SYSTEM_PYTHONS, "lxml")
            if python:
                respawn_module(python)
        text = (
            f"Nothing was changed: {missing_required_lib('lxml')} On Debian that is the package "
            "python3-lxml, which the role poolwright.storage.host installs."
        )
        if not self.earnest and not self.looks_only:
            self.exit_json(**uninstalled(self, text))
        self.fail_json(msg=self.told(text), exception=tree.LXML_ERROR, **failure())

    def told(self, text: str) -> str:
        """A message of ours: where nothing can change, that nothing did is no news."""
        begin = "Nothing was changed: "
        if self.looks_only and text.startswith(begin):
            return text[len(begin) :]
        return text

    def execute(self, argv: t.Sequence[str], stdin: str) -> tuple[int, str, str]:
        """Runs a command in the C locale; see `_host.Exec`."""
        limit, argv = (int(argv[1]), argv[2:]) if argv[0] == WITHIN else (0, argv)
        program = self.get_bin_path(argv[0])
        if not program:
            return 127, "", f"not installed on this host. {packages.way([argv[0]])}"
        argv = (program, *argv[1:])
        if limit:
            return execute_within(argv, stdin, limit)
        return execute(self.run_command, argv, stdin)


def kept_back(said: t.Any) -> t.Any:
    """Options without what a guest is told by its seed, which no log and no result has."""
    if isinstance(said, list):
        return [kept_back(each) for each in said]
    if not isinstance(said, dict):
        return said
    hidden = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    return {
        key: hidden if key == "cloud_init" and value is not None else kept_back(value)
        for key, value in said.items()
    }


def _fault(error: AnsibleValidationError, known: t.Collection[str]) -> str:
    text: str = error.msg.rstrip(".")
    if not isinstance(error, UnsupportedError):
        return text
    meant = [OTHERS_WORDS.get(word, "") for word in re.findall(r"\w+", text.split(". ")[0])]
    hint = " and ".join(word for word in meant if word in known)
    return f"unsupported option {text}{f'. Is {hint} meant?' if hint else ''}"


@dataclass
class Progress:
    """How far a task has come: its plan, whether steps of it have been begun, its long work."""

    plan: tuple[Action, ...] = ()
    begun: bool = False
    tally: _job.Tally = field(default_factory=_job.Tally)


class Unforeseen(Exception):
    """What a task builds on is not there yet, because those before it have only looked."""


class Unsent(Exception):
    """The action plugin has uploads still to send before anything can be done."""


Shown = t.Dict[str, str]


def failure(
    plan: t.Sequence[Shown] = (), done: t.Sequence[Shown] = (), changed: bool = False
) -> dict[str, t.Any]:
    """What every failure has besides its message."""
    left = plan[len(done) :]
    return {"changed": changed, "plan": [*plan], "done": [*done], "left": [*left]}


Result = t.Dict[str, t.Any]
Tell = t.Callable[[Result, t.Mapping[str, Result]], None]


def perform(
    module: Module, look: t.Callable[[Reader], Look], tell: Tell = lambda _result, _work: None
) -> t.NoReturn:
    """Look, plan, guard, apply, look again; ends the module with a result.

    ``tell`` puts into a result what was worked on each volume.
    """
    progress = Progress()
    try:
        if "fetch" in module.control:
            _job.fetch(module.control["fetch"])
        if "job" in module.control:
            with _job.apart(module.control["job"], progress.tally):
                _perform(module, look, tell, progress)
    except _job.Lost as error:
        text = sentence(f"What was changed is not known: the task has ended early: {error}")
        module.fail_json(msg=text, **failure(changed=True))
    _perform(module, look, tell, progress)


def _perform(
    module: Module, look: t.Callable[[Reader], Look], tell: Tell, progress: Progress
) -> t.NoReturn:
    try:
        with locked():
            result = _performed(module, look, progress)
        tell(result, progress.tally.told())
    except Unsent as lacking:
        result = {"_unsent": lacking.args[0]}
    except Unforeseen as unseen:
        result = later(module, str(unseen))
    except Exception as error:
        text, rest = _failed(error, progress)
        if module.earnest or not isinstance(error, (Lacking, NotInstalled)):
            module.fail_json(msg=text, **rest)
        result = uninstalled(module, text)
    module.exit_json(**result)


def uninstalled(module: Module, told: str) -> Result:
    """In check mode a task before may install what is not there."""
    why = told.partition("Nothing was changed: ")[2]
    return {**later(module, why), "lacking": why}


def later(module: Module, why: str) -> Result:
    """Where it cannot be told what a task would do, nor does it pretend."""
    module.warn(sentence(f"This task is not foreseen: {why}"))
    name = module.params.get("name" if "pool" not in module.params else "pool")
    left = {name: {"unknown": why}} if name else {}
    return {"changed": True, "plan": [], "diff": [], "unforeseen": why, "_foreseen": left}


def _failed(error: Exception, progress: Progress) -> tuple[str, dict[str, t.Any]]:
    """What is told of a failure, and what of the plan was done."""
    if isinstance(error, Stopped):
        text, changed = _stopped(error)
        return text, failure([*error.done, *error.left], error.done, changed)
    if isinstance(error, Refused):
        return str(error), failure([action.shown() for action in error.plan])
    plan = [action.shown() for action in progress.plan]
    if isinstance(error, HostError):
        return sentence(f"Nothing was changed: {error}"), failure(plan)
    known = "What was changed is not known" if progress.begun else "Nothing was changed"
    return f"{known}: {bug(error)}", failure(plan, changed=progress.begun)


def _stopped(stop: Stopped) -> tuple[str, bool]:
    """The words for a step that failed, and whether anything may have changed."""
    done, total = len(stop.done), len(stop.done) + len(stop.left)
    begin = f"{done} of {total} steps were done" if done else "Nothing was done"
    if stop.begun and stop.left:
        begin = begin if done else "No step was finished"
        begin += f", and this one may be partly done: {stop.left[0]['text']}. It failed"
    else:
        begin += ", then this failed" if done else ""
    changed = bool(done or stop.begun)
    end = " Run the task again when the cause is gone; it goes on from there." if changed else ""
    return sentence(f"{begin}: {stop}") + end, changed


def bug(error: Exception) -> str:
    """What a user is told of a fault of ours."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"poolwright.storage has a fault, {type(error).__name__}: {error} (line {last.lineno} of "
        f"{last.filename}). Report this, please."
    )


def _performed(
    module: Module,
    look: t.Callable[[Reader], Look],
    progress: Progress,
) -> dict[str, t.Any]:
    seen = look(Reader(module.execute))
    progress.plan = seen.plan
    if module.earnest and seen.rescan:
        seen = _rescanned(module, look, seen)
        progress.plan = seen.plan
    with deciding(seen.plan):
        guard(seen.plan, module.params["allow"])
        lacking = equipped(Reader(module.execute), seen.plan)
        if lacking and module.earnest:
            raise Lacking(f"Nothing was changed: {lacking}")
    result, parting = _planned(module, seen), seen.parting
    if module.earnest and unsent(seen.plan):
        raise Unsent(unsent(seen.plan))
    if module.earnest and seen.plan:
        progress.begun = True
        apply(seen.plan, _writer(module, progress.tally))
        seen = _again(look, Reader(module.execute), seen.plan)
    for text in (*seen.warnings, *parting, *([lacking] if lacking else ())):
        module.warn(text)
    return {**seen.result, **result, **({"lacking": lacking} if lacking else {})}


def judge(host: Reader, plan: t.Sequence[Action], others: t.Callable[[], t.Sequence[Pool]]) -> None:
    """Raises `Refused` where a plan takes what somebody else has a right to; see `_taking`."""
    if plan:
        from . import _taking  # only here, because it takes its time

        with deciding(plan):
            _taking.judge(host, plan, others())


def _planned(module: Module, seen: Look) -> dict[str, t.Any]:
    """What a result says of the plan."""
    told = {"_foreseen": seen.foreseen} if seen.plan and "foreseen" in module.control else {}
    return {
        "changed": bool(seen.plan),
        "plan": [action.shown() for action in seen.plan],
        "diff": _diff(seen),
        **told,
    }


def _writer(module: Module, tally: _job.Tally) -> Writer:
    from ._writer import Writer  # only here, because it takes its time

    return Writer(module.execute, tally, module.fetch)


def equipped(host: Reader, plan: t.Sequence[Action]) -> str:
    """What the host lacks to run the plan, and the way out; "" where that is nothing."""
    commands = [argv for action in plan for arg in action.args for argv in _commands(arg)]
    lacking = list(
        dict.fromkeys(need for argv in commands for need in packages.lacking(host, argv))
    )
    if not lacking:
        return ""
    told = ", ".join(lacking)
    return f"this host lacks what the task needs: {told}. {packages.way(lacking)}"


def _commands(arg: t.Any) -> t.Iterator[t.Sequence[str]]:
    """The commands that an argument of a step is or holds."""
    if isinstance(arg, tuple) and arg and all(isinstance(word, str) for word in arg):
        yield arg
    if isinstance(arg, Filling) and arg.source.format:
        copies = arg.copies(arg.source.format, arg.source.capacity)
        yield from [] if copies else [arg.convert]


def _rescanned(module: Module, look: t.Callable[[Reader], Look], seen: Look) -> Look:
    with deciding(seen.plan):
        guard(seen.plan, module.params["allow"])
    apply(seen.rescan, _writer(module, _job.Tally()))
    fresh = look(Reader(module.execute))
    if fresh.volumes == seen.volumes:
        return fresh
    parting = (*fresh.parting, *_news(seen.volumes, fresh.volumes))
    return replace(fresh, plan=(*seen.rescan, *fresh.plan), parting=parting)


def _news(before: t.Mapping[str, str], now: t.Mapping[str, str]) -> t.Iterator[str]:
    """What a look for volumes has found out about those that were known."""
    for path, was in before.items():
        if path not in now:
            yield f"Volume {path} is gone."
        elif now[path] != was:
            yield f"Volume {path} is {now[path]} now, and was {was}."


def _again(look: t.Callable[[Reader], Look], host: Reader, done: t.Sequence[Action]) -> Look:
    try:
        seen = look(host)
    except (HostError, Refused) as error:
        raise Stopped(f"the look afterwards: {error}", done, (), begun=False) from error
    left = [action for action in seen.plan if action not in seen.view]
    if left:
        texts = ", ".join(action.text for action in left)
        raise Stopped(f"the steps left something to do: {texts}", done, left, begun=False)
    if seen.plan:
        return replace(seen, warnings=(*seen.warnings, VIEW))
    return seen


def _diff(seen: Look) -> list[dict[str, str]]:
    shown = [{"prepared": "".join(f"+ {action.text}\n" for action in seen.plan)}]
    if seen.before != seen.after:
        header = {"before_header": seen.title, "after_header": seen.title}
        shown.append({**header, "before": seen.before, "after": seen.after})
    return shown
