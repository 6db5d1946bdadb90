# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""virsh: what libvirtd knows of pools, and how it is told."""

from __future__ import annotations

import base64
import re
import typing as t

from .._host import Reader
from .._plan import Action, run

# Seconds: a daemon that waits for a dead server may answer nobody.  A start and a refresh open
# every image of a pool.
_LIMIT, _LONG = 60, 300
_LONGEST = 100_000  # characters of a script, which is one argument
_MARK = "/"  # between lists of names: the one character that no name has


def _argv(uri: str, *words: str) -> tuple[str, ...]:
    return ("virsh", "--connect", uri, "--quiet", *words)


def _ask(host: Reader, uri: str, *words: str) -> str:
    return host.ask("virsh", "--readonly", *_argv(uri, *words)[1:], limit=_LIMIT)


class Pools(t.NamedTuple):
    """The names of the pools that libvirtd has."""

    defined: frozenset[str]
    active: frozenset[str]
    autostart: frozenset[str]


def pools(host: Reader, uri: str) -> Pools:
    """All pools, with one command.  A transient pool is active and not defined."""
    lists = ("--all --persistent", "", "--all --autostart")
    script = f"; echo {_MARK}; ".join(f"pool-list --name {which}".strip() for which in lists)
    # virsh pads names with blanks and ends what it echoes without a line feed.
    parts = _ask(host, uri, script).split(_MARK)
    return Pools(*(frozenset(line.rstrip(" ") for line in p.split("\n") if line) for p in parts))


def definition(host: Reader, uri: str, name: str) -> str:
    """The definition that the pool will have at its next start."""
    return _ask(host, uri, "pool-dumpxml", "--inactive", f"--pool={name}")


def listing(host: Reader, uri: str, name: str) -> tuple[frozenset[str], list[str]]:
    """The volumes of an active pool as `row` has them, and those of their names that are plain."""
    lines = _ask(host, uri, "vol-list", f"--pool={name}").split("\n")
    plain = [line.split()[0] for line in lines if re.fullmatch(r" *[\w.:+-]+ +/\S+ *", line)]
    return frozenset(_comparable(line) for line in lines if line.strip()), plain


def row(name: str, path: str) -> str:
    """A volume as it is in `listing`."""
    return _comparable(f"{name} {path}".replace("\\x", "\\x5cx"))


def _comparable(text: str) -> str:
    """What virsh prints, without what it prints of different letters in one way.

    It escapes what its locale cannot print, all bytes that are no letter alike, and pads columns.
    """
    letters = "".join(c if c.isascii() or c.isalnum() else "\0" for c in text)
    return " ".join(re.sub(r"(\\x[0-9a-f]{2}|[\0-\x1f\x7f])+", "?", letters).split())


def volumes(host: Reader, uri: str, pool: str, names: t.Sequence[str]) -> str:
    """The XML of volumes, one after the other, of all with one command; "" where they are many."""
    script = "".join(f"vol-dumpxml --pool='{pool}' --vol='{name}'; " for name in names)
    if not names or "'" in pool or len(script) > _LONGEST:
        return ""
    return _ask(host, uri, f"{script}echo")  # one that has gone is left out


def define(uri: str, name: str, xml: str) -> Action:
    return run(f"define pool {name}", *_argv(uri, "pool-define", "/dev/stdin"), stdin=xml)


def undefine(uri: str, name: str) -> Action:
    return run(f"undefine pool {name}", *_argv(uri, "pool-undefine", f"--pool={name}"))


def start(uri: str, name: str) -> Action:
    text = f"tell libvirt that pool {name} runs"
    return run(text, *_argv(uri, "pool-start", f"--pool={name}"), limit=_LONG)


def stop(uri: str, name: str) -> Action:
    text = f"tell libvirt that pool {name} is stopped"
    return run(text, *_argv(uri, "pool-destroy", f"--pool={name}"), limit=_LIMIT)


def refresh(uri: str, name: str) -> Action:
    text = f"let libvirt look at the volumes of pool {name} again"
    return run(text, *_argv(uri, "pool-refresh", f"--pool={name}"), limit=_LONG)


def define_secret(uri: str, whose: str, xml: str) -> Action:
    argv = _argv(uri, "secret-define", "/dev/stdin")
    return run(f"make a libvirt secret for {whose}", *argv, stdin=xml)


def set_secret(uri: str, whose: str, uuid: str, value: str) -> Action:
    argv = _argv(uri, "secret-set-value", f"--secret={uuid}", "--file=/dev/stdin")
    encoded = base64.b64encode(value.encode()).decode()
    return run(f"tell libvirt the password of {whose}", *argv, stdin=encoded)


def undefine_secret(uri: str, whose: str, uuid: str) -> Action:
    argv = _argv(uri, "secret-undefine", f"--secret={uuid}")
    return run(f"remove the libvirt secret of {whose}", *argv)


def autostart(uri: str, name: str, wanted: bool) -> Action:
    words = ["pool-autostart", f"--pool={name}"] + ([] if wanted else ["--disable"])
    text = f"let libvirt {'' if wanted else 'no longer '}start pool {name} by itself"
    return run(text, *_argv(uri, *words))
