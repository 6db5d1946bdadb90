# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The list of changes, who may agree to it, and the loop that performs it."""

from __future__ import annotations

import contextlib
import itertools
import shlex
import typing as t
from dataclasses import dataclass

from ._host import HostError, Partly, Undone
from ._model import Claim, Filling, Refused

if t.TYPE_CHECKING:
    from ._writer import Writer

RISKS = {
    "overwrite": "destroys what is on a device now",
    "delete": "destroys the data inside",
    "shrink": "cuts off the end of a volume",
    "interrupt": "takes away something that is in use",
}


@dataclass(frozen=True)
class Action:
    """One change, as data.

    ``verb`` is a method of `Writer`, ``args`` are its arguments.  ``command`` is how it reads as a
    line of shell.  ``risk`` is a key of `RISKS`, empty where nothing can be lost.  ``claims`` are
    what it writes to: `_taking` decides whether that may be, and the writer compares them once
    more.  ``frees`` are uses that are not in its way, because it ends them or is one of them.
    Neighbours of one verb with ``batch`` are one step, whose writer gets all their ``args``.
    Neighbours with ``apart`` have nothing to do with each other, so that the writer may begin the
    work of several before their turns.
    """

    text: str
    verb: str
    args: tuple[t.Any, ...]
    command: str
    risk: str = ""
    # with a neighbour that begins with the same so many words, one command does both
    joins: int = 0
    claims: tuple[Claim, ...] = ()
    frees: frozenset[str] = frozenset()
    batch: bool = False
    apart: bool = False

    def shown(self) -> dict[str, str]:
        """The action as it stands in a result."""
        return {"text": self.text, "command": self.command, "risk": self.risk}


Steps = t.Iterator[Action]


class Stopped(Exception):
    """An action failed: ``done`` are those before it, ``left`` itself and those after.

    ``begun`` tells that it had begun, so that it may be partly done.
    """

    def __init__(
        self,
        cause: str,
        done: t.Sequence[Action],
        left: t.Sequence[Action],
        begun: bool = True,
    ) -> None:
        super().__init__(cause)
        self.begun = begun
        self.done = [action.shown() for action in done]
        self.left = [action.shown() for action in left]


def group_use(uuid: str) -> str:
    """The use of devices by a volume group, as `Action.frees` has it."""
    return f"group {uuid.replace('-', '')}"


def member_use(number: str, kind: str) -> str:
    """The use of a device by what it has a signature of, as `Action.frees` has it."""
    return f"signature {kind} on {number}"


def mount_use(target: str) -> str:
    """The use of a device by a mount, as `Action.frees` has it."""
    return f"mount {target}"


def sentence(text: str) -> str:
    """A text with one full stop at its end, also where a tool has put one there."""
    return text.rstrip(" .\n") + "."


def run(text: str, *argv: str, stdin: str = "", limit: int = 0, **facts: t.Any) -> Action:
    """The action that runs a command, for at most ``limit`` seconds; ``stdin`` is never shown.

    ``facts`` are the other fields of `Action`.
    """
    command = " ".join(shlex.quote(arg) for arg in argv)
    return Action(text, "run", (argv, stdin, limit), command, **facts)


def joined(plan: t.Iterable[Action]) -> t.Iterator[Action]:
    """The plan with as few commands as will do."""
    last: Action | None = None
    for action in plan:
        both = _joined(last, action) if last else None
        if last and not both:
            yield last
        last = both or action
    if last:
        yield last


def _joined(one: Action, two: Action) -> Action | None:
    if not one.joins or (one.joins, one.risk) != (two.joins, two.risk):
        return None
    first, second = one.args[0], two.args[0]
    if first[: one.joins] != second[: two.joins]:
        return None
    argv = (*first, *second[two.joins :])
    return run(
        f"{one.text}, {two.text}",
        *argv,
        risk=one.risk,
        joins=one.joins,
        claims=tuple(dict.fromkeys([*one.claims, *two.claims])),
        frees=one.frees | two.frees,
    )


def call(text: str, verb: str, *args: t.Any, command: str = "", **facts: t.Any) -> Action:
    """The action that has no command of the host's behind it; ``facts`` as in `run`."""
    shown = command or " ".join([verb, *(shlex.quote(str(arg)) for arg in args)])
    return Action(text, verb, args, shown, **facts)


def unsent(plan: t.Iterable[Action]) -> list[str]:
    """The uploads that the plan needs, and that are not on the host yet."""
    fillings = [arg for action in plan for arg in action.args if isinstance(arg, Filling)]
    sources = [filling.source for filling in fillings if not filling.source.path]
    return list(dict.fromkeys(source.upload for source in sources if source.upload))


def guard(plan: t.Sequence[Action], allow: t.Collection[str]) -> None:
    """Raises `Refused` where the plan holds a loss that the task does not allow."""
    losses = [action for action in plan if action.risk and action.risk not in allow]
    if not losses:
        return
    needed = sorted({action.risk for action in losses})
    would = "; ".join(f"{action.text}, which {RISKS[action.risk]}" for action in losses)
    raise Refused(
        f"Nothing was changed, because the task would {would} "
        f"(consent with allow: [{', '.join(needed)}])."
    )


@contextlib.contextmanager
def deciding(plan: t.Sequence[Action]) -> t.Iterator[None]:
    """What is refused inside carries the plan that it is about."""
    try:
        yield
    except Refused as refusal:
        refusal.plan = tuple(plan)
        raise


def apply(plan: t.Sequence[Action], writer: Writer) -> None:
    """Performs the plan in its order; raises `Stopped` at the first action that fails."""
    try:
        _apply(plan, writer)
    finally:
        writer.abandon()


def _apply(plan: t.Sequence[Action], writer: Writer) -> None:
    number = offered = 0
    for step in _steps(plan):
        before, behind, begun = plan[:number], plan[number + len(step) :], False
        if step[0].apart and number >= offered:  # all of a row of such, once
            apart = [*itertools.takewhile(lambda action: action.apart, plan[number:])]
            writer.offer([(action.verb, action.args, action.claims) for action in apart])
            offered = number + len(apart)
        try:
            with writer.holding(tuple(dict.fromkeys(c for each in step for c in each.claims))):
                begun = True
                _perform(step, writer)
        except Undone as error:
            raise Stopped(str(error), (), plan, False) from error
        except Partly as error:
            done = [each for each in step if each.args in error.done]
            left = [each for each in step if each.args not in error.done]
            raise Stopped(str(error), [*before, *done], [*left, *behind]) from error
        except HostError as error:
            raise Stopped(str(error), before, plan[number:], begun) from error
        number += len(step)


def _steps(plan: t.Sequence[Action]) -> t.Iterator[list[Action]]:
    """The actions, those together that are one step."""
    step: list[Action] = []
    for action in plan:
        if step and not (action.batch and step[-1].batch and action.verb == step[-1].verb):
            yield step
            step = []
        step.append(action)
    if step:
        yield step


def _perform(step: t.Sequence[Action], writer: Writer) -> None:
    verb = getattr(writer, step[0].verb)
    if step[0].batch:
        verb([action.args for action in step])
    else:
        verb(*step[0].args)
