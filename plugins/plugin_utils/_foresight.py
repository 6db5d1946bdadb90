# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tasks in check mode have foreseen of a host, kept on the controller for those after them.

It is a file for each host in the directory that ansible has for itself while it runs, which all its
workers share and which goes when it ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import typing as t

from ansible import constants

Result = t.Dict[str, t.Any]


def recall(host: str) -> Result:
    """What is foreseen of the pools of a host, by name."""
    try:
        with open(_path(host), encoding="utf-8") as file:
            found: Result = json.load(file)
    except FileNotFoundError:
        return {}
    return found


def learn(host: str, foreseen: t.Mapping[str, t.Any]) -> None:
    """Takes in what one more task has foreseen; what it does not tell of a pool stays known."""
    if foreseen:
        known = recall(host)
        _write(host, {**known, **{n: {**known.get(n, {}), **left} for n, left in foreseen.items()}})


def forget(host: str, pool: str) -> None:
    """A task has worked on the pool in earnest, so that all can be seen."""
    known = recall(host)
    if known.pop(pool, None):
        _write(host, known)


def _write(host: str, known: t.Mapping[str, t.Any]) -> None:
    path = _path(host)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as file:
        json.dump(known, file)
    os.replace(file.name, path)


def _path(host: str) -> str:
    name = hashlib.sha256(host.encode("utf-8", "surrogateescape")).hexdigest()
    return os.path.join(vars(constants)["DEFAULT_LOCAL_TMP"], "poolwright.storage", name)
