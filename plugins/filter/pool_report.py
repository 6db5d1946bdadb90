# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pool_report
version_added: 1.0.0
short_description: Shape what hosts told of their pools into a page
description:
  - Turns what M(poolwright.storage.pool_info) has told on many hosts into the numbers, words and order of a report for people.
  - Storage that several pools show is counted once in sums. That is a server's directory on many hosts, and directories of one host whose
    sizes are equal to the byte.
  - Pools that only list LUNs (C(iscsi), C(scsi), C(mpath)) have a size, and are in no sum.
  - Every string is safe as text of HTML and in its quotes, and characters that cannot be printed stand as C(\xNN) or C(\uNNNN).
positional: full
options:
  _input:
    description:
      - What is known of each host. C(found) is what M(poolwright.storage.pool_info) has told, or how the task failed. C(drift) is what
        P(poolwright.storage.pool_drift#filter) has made of it, or null.
    type: dict
    required: true
  full:
    description: From how many percent on a directory or file system is nearly full.
    type: int
    default: 90
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: All pools are looked at
  poolwright.storage.pool_info:
  register: found

- name: How full the host is, in words
  ansible.builtin.debug:
    msg: "{{ ({inventory_hostname: {'found': found, 'drift': none}} | poolwright.storage.pool_report).fleet.use.text }}"
"""

RETURN = r"""
_value:
  description: The report. C(level) is V(ok), V(warn) or V(bad) everywhere.
  type: dict
  contains:
    fleet:
      description: Counts and sums of all hosts.
      type: dict
    types:
      description: The pools of each type.
      type: list
      elements: dict
    attention:
      description: What somebody should look at, what is worst first.
      type: list
      elements: dict
    hosts:
      description: The hosts with their pools, by name; C(web2) comes before C(web10).
      type: list
      elements: dict
"""

import html
import re
import typing as t

Said = t.Mapping[str, t.Any]
Row = t.Dict[str, t.Any]
Sizes = t.Dict[t.Tuple[t.Any, ...], t.Tuple[int, int]]  # by what the storage is: capacity, used

LEVELS = ("ok", "warn", "bad")
LUNS = ("iscsi", "scsi", "mpath")
UNKNOWN = "Nothing is known of it."
FILLING = ("dir", "fs", "netfs")  # where guests that run take more room by themselves


def pool_report(hosts: t.Mapping[str, Said], full: int = 90) -> Row:
    rows = [
        _host(number, name, hosts[name], full)
        for number, name in enumerate(sorted(hosts, key=_natural), 1)
    ]
    pools = [(name, pool) for name in hosts for pool in hosts[name]["found"].get("pools") or ()]
    return {
        "fleet": {**_fleet(rows), "use": _use(*_sum(pools))},
        "types": _types(pools),
        "attention": _attention(rows),
        "hosts": rows,
    }


def _natural(text: str) -> list[t.Any]:
    """A key by which web2 comes before web10: words and numbers alternate."""
    parts = re.split(r"([0-9]+)", str(text))
    return [int(part) if number % 2 else part for number, part in enumerate(parts)]


def _shown(text: t.Any) -> str:
    """One line of text for HTML in which every character can be seen, and none means anything."""
    line = html.escape(str(text).replace("\n", " "))
    return "".join(each if each.isprintable() else _code(ord(each)) for each in line)


def _code(number: int) -> str:
    if 0xDC80 <= number <= 0xDCFF:  # a byte that is no text
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def _size(number: float) -> str:
    """Bytes, in the unit in which there are three digits at most."""
    unit = "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB"):
        if number < 999.5:
            break
        number, unit = number / 1024, larger
    return f"{number:.{0 if unit == 'bytes' or number >= 9.95 else 1}f} {unit}"


def _use(capacity: int, used: int) -> Row:
    """A bar: how long it is in percent, and what it tells in words."""
    share = min(max(used / capacity, 0), 1) if capacity else 0
    return {
        "size": capacity,
        "percent": round(100 * share),
        "text": f"{_size(used)} of {_size(capacity)}",
        "free": _size(max(capacity - used, 0)),
    }


def _sum(pools: t.Iterable[tuple[str, Said]]) -> tuple[int, int]:
    """Capacity and use of pools, each with its host; what several of them show counts once."""
    sizes: Sizes = {}
    for host, pool in pools:
        if pool["capacity"] is not None and pool["type"] not in LUNS:
            sizes.setdefault(_storage(host, pool), (pool["capacity"], pool["allocation"] or 0))
    return sum(each[0] for each in sizes.values()), sum(each[1] for each in sizes.values())


def _storage(host: str, pool: Said) -> tuple[t.Any, ...]:
    source = pool["source"]
    if pool["type"] == "netfs":
        return (*(server["name"] for server in source["hosts"]), source["dir"])
    if pool["type"] == "dir":
        return (host, pool["capacity"], pool["available"])
    return (host, pool["name"])


def _host(number: int, name: str, told: Said, full: int) -> Row:
    there = told["found"].get("pools")
    notes = [] if there is not None else [_note("bad", told["found"].get("msg") or UNKNOWN)]
    drift = told["drift"] if there is not None else None
    differs = {row["name"]: row for row in drift["pools"]} if drift else {}
    pools = [_pool(pool, differs.pop(pool["name"], None), full) for pool in there or ()]
    pools += [_missing(row) for row in differs.values()]
    return {
        "name": _shown(name),
        "anchor": f"host-{number}",
        "level": _worst([*notes, *pools]),
        "unreachable": bool(told["found"].get("unreachable")),
        "notes": notes,
        "pools": sorted(pools, key=lambda pool: _natural(pool["name"])),
        "compared": drift is not None,
        "differs": bool(drift and drift["drift"]),
        "use": _use(*_sum((name, pool) for pool in there or ())),
    }


def _worst(rows: t.Iterable[Said]) -> str:
    return max((row["level"] for row in rows), key=LEVELS.index, default="ok")


def _note(level: str, text: t.Any) -> Row:
    return {"level": level, "text": _shown(text)}


def _pool(pool: Said, differs: Said | None, full: int) -> Row:
    sized = pool["capacity"] is not None
    use = _use(pool["capacity"], pool["allocation"] or 0) if sized else None
    filling = [*_filling(pool, use, full)]
    notes = [*_notes(pool), *filling, *_drifted(differs)]
    return {
        "name": _shown(pool["name"]),
        "type": _shown(pool["type"]),
        "source": _shown(_source(pool)),
        "state": _shown(pool["state"]),
        "autostart": pool["autostart"],
        "size": _size(pool["capacity"]) if sized and pool["type"] in LUNS else None,
        "use": use if pool["type"] not in LUNS else None,
        "filling": _worst(filling),
        "notes": notes,
        "level": _worst(notes),
    }


def _missing(differs: Said) -> Row:
    """A pool that only the variables know."""
    notes = [*_drifted(differs)]
    return {
        "name": _shown(differs["name"]),
        **dict.fromkeys(("type", "source", "autostart", "size", "use")),
        "state": "missing",
        "notes": notes,
        "level": _worst(notes),
    }


def _drifted(differs: Said | None) -> t.Iterator[Row]:
    if differs and differs["error"]:
        yield _note("bad", f"The role refuses: {differs['error']}")
    elif differs:
        yield _note("warn", f"Differs from its variables: {'; '.join(differs['differs'])}.")


def _source(pool: Said) -> str:
    """What the pool is made of, else where it is."""
    source = pool["source"]
    servers = ", ".join(server["name"] for server in source["hosts"])
    if servers:
        return f"{servers}:{source['dir'] or ' '.join(source['devices'])}"
    return ", ".join(source["devices"]) or source["name"] or pool["path"] or ""


def _notes(pool: Said) -> t.Iterator[Row]:
    if pool["error"]:
        yield _note("bad", pool["error"])
    elif pool["built"] is False:
        yield _note("warn", "Its storage is not there.")
    elif pool["state"] != "active":
        yield _note("warn", "It is not running.")
    if not pool["autostart"]:
        yield _note("warn", "It does not come back after a reboot.")
    for text in pool["warnings"]:
        yield _note("warn", text)


def _filling(pool: Said, use: Row | None, full: int) -> t.Iterator[Row]:
    if use and pool["type"] in FILLING and use["percent"] >= full:
        yield _note("warn", f"It is {use['percent']} % full, {use['free']} are free.")


def _fleet(rows: t.Sequence[Row]) -> Row:
    pools = [pool for row in rows for pool in row["pools"] if pool["state"] != "missing"]
    levels = [row["level"] for row in rows]
    return {
        "hosts": len(rows),
        "levels": [
            {
                "level": level,
                "count": levels.count(level),
                "percent": 100 * levels.count(level) / max(len(rows), 1),
            }
            for level in LEVELS
        ],
        "unreachable": sum(row["unreachable"] for row in rows),
        "pools": len(pools),
        "active": sum(pool["state"] == "active" for pool in pools),
        "autostart": sum(bool(pool["autostart"]) for pool in pools),
        "compared": sum(row["compared"] for row in rows),
        "differing": sum(bool(row["differs"]) for row in rows),
    }


def _types(pools: t.Sequence[tuple[str, Said]]) -> list[Row]:
    types = sorted({row[1]["type"] for row in pools})
    return [_type(name, [row for row in pools if row[1]["type"] == name]) for name in types]


def _type(name: str, pools: t.Sequence[tuple[str, Said]]) -> Row:
    return {
        "type": _shown(name),
        "pools": len(pools),
        "hosts": len({row[0] for row in pools}),
        "use": _use(*_sum(pools)) if name not in LUNS else None,
    }


def _attention(rows: t.Sequence[Row]) -> list[Row]:
    """What somebody should look at, a row for each host or pool, the worst first."""
    found = [
        {"host": row["name"], "anchor": row["anchor"], **each}
        for row in rows
        for each in _attention_of(row)
    ]
    return sorted(found, key=lambda each: -LEVELS.index(each["level"]))


def _attention_of(row: Row) -> t.Iterator[Row]:
    for each in ({**row, "name": None}, *row["pools"]):
        if each["notes"]:
            level = _worst(each["notes"])
            yield {"pool": each["name"], "level": level, "notes": each["notes"]}


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"pool_report": pool_report}
