# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making data unreadable before its place is given up: by us with zeros, by scrub, by a discard.

It is done in place, under the name that the data have.  What is cut has its name still, so that the
same task finds it, begins again, and removes it at last.
"""

from __future__ import annotations

import typing as t

from .._host import HERE
from .._model import Device, File, Volume
from .._plan import Action, call, run
from . import files

RISK = "delete"


def scrubs(algorithm: str) -> bool:
    """Whether it is scrub that does it, which writes to every byte, holes included."""
    return algorithm not in ("zero", "trim")


def file(place: File, seen: Volume, algorithm: str, **facts: t.Any) -> Action:
    """Wipes a file in a directory that others may write to."""
    text = _text(f"volume {files.shown(seen.name)}", algorithm)
    if algorithm == "zero":
        command = f"shred --iterations=0 --zero {files.quoted(seen.path)}"
        args = (seen.file, place)
        return call(text, "overwrite", *args, command=command, risk=RISK, **facts)
    argv = _scrub(algorithm, HERE)
    if algorithm == "trim":
        argv = ("fallocate", "--punch-hole", "--length", str(seen.physical), HERE)
    command = " ".join(files.quoted(seen.path if word == HERE else word) for word in argv)
    return call(text, "work_on", seen.file, place, argv, command=command, risk=RISK, **facts)


def device(seen: Device, algorithm: str, **facts: t.Any) -> Action:
    """Wipes a device, which ``facts`` claim."""
    text = _text(seen.path, algorithm)
    if algorithm == "zero":
        command = f"shred --iterations=0 --zero {files.quoted(seen.path)}"
        return call(text, "overwrite", seen, command=command, risk=RISK, **facts)
    argv = _scrub(algorithm, seen.path) if scrubs(algorithm) else ("blkdiscard", seen.path)
    return run(text, *argv, risk=RISK, **facts)


def _text(what: str, algorithm: str) -> str:
    return f"discard what is on {what}" if algorithm == "trim" else f"wipe {what} by {algorithm}"


def _scrub(algorithm: str, path: str) -> tuple[str, ...]:
    # --force: what an earlier scrub has signed is wiped once more.
    return ("scrub", "--force", "--no-signature", "--pattern", algorithm, path)
