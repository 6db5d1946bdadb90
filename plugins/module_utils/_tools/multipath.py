# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Multipath maps: which there are, and how well (sysfs, dmsetup).  Nothing here changes them."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._host import Reader

_PID = "/run/multipathd.pid"
# In the status of a map: a path's number, whether it is active or failed, and its failures so far.
_PATH = re.compile(r"\b(\d+:\d+) ([AF]) \d+")


@dataclass(frozen=True)
class Map:
    """A multipath map with so many ``paths``, of which ``failed`` do not work, by kernel name."""

    name: str
    kernel: str  # dm-0
    size: int
    paths: int
    failed: tuple[str, ...] = ()


def maps(host: Reader) -> list[Map]:
    """All maps in the order of their kernel numbers; one command, and none where no map is."""
    kernels = [name for name in host.names("/sys/block") or [] if _is_map(host, name)]
    states = status(host.ask("dmsetup", "status", "--target", "multipath")) if kernels else {}
    return [_map(host, name, states) for name in sorted(kernels, key=lambda name: int(name[3:]))]


def status(text: str) -> dict[str, list[tuple[str, str]]]:
    """For each map, its paths: number and state, ``A`` active or ``F`` failed."""
    found = {}
    for line in text.splitlines():
        name = line.split(": ")[0]
        found[name] = _PATH.findall(line[len(name) :])
    return found


def running(host: Reader) -> bool:
    """Whether multipathd runs; its socket tells nothing, because systemd may hold it."""
    pid = (host.read(_PID) or "").strip()
    return bool(pid) and (host.read(f"/proc/{pid}/comm") or "").strip() == "multipathd"


def _is_map(host: Reader, name: str) -> bool:
    return (host.read(f"/sys/block/{name}/dm/uuid") or "").startswith("mpath-")


def _map(host: Reader, kernel: str, states: t.Mapping[str, t.Sequence[tuple[str, str]]]) -> Map:
    name = (host.read(f"/sys/block/{kernel}/dm/name") or "").strip()
    paths = states.get(name, ())
    failed = tuple(_kernel_name(host, number) for number, state in paths if state == "F")
    size = int(host.read(f"/sys/block/{kernel}/size") or 0) * 512
    return Map(name, kernel, size, len(paths), failed)


def _kernel_name(host: Reader, number: str) -> str:
    return host.real(f"/sys/dev/block/{number}").rpartition("/")[2]
