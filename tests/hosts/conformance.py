# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Where we say something else than libvirt on purpose, and the guide's tables of what was measured.

``POOLWRIGHT_MEASURE=1`` lets test_conformance.py write what it measures into conformance.json;
``python conformance.py`` writes that into docs/docsite/rst/conformance.rst.
"""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    # What differs, of each type and operation: a field, and what it is in ours and in libvirt's.
    Found = dict[str, dict[str, dict[str, t.Any]]]

HERE = Path(__file__).resolve().parent
MEASURED = HERE / "conformance.json"
PAGE = HERE.parent.parent / "docs/docsite/rst/conformance.rst"
MARK = ".. Written by tests/hosts/conformance.py from what was measured:\n"
TYPES = ("dir", "fs", "netfs", "logical", "disk", "iscsi", "scsi", "mpath")
SUITES = {"bookworm": "Debian 12", "trixie": "Debian 13"}
DAEMONS = {"libvirtd": "``libvirtd``", "virtstoraged": "``virtstoraged``", "none": "no daemon"}
OPERATIONS = {
    "definition": "``pool-dumpxml --inactive``, and the result's fields",
    "written": "``pool-dumpxml --inactive``, and the definition that we write",
    "running": "``pool-dumpxml`` of a running pool, and the result's fields",
    "figures": "``pool-info``",
    "listing": "``vol-list --details``",
    "volumes": "``vol-dumpxml``, and the result's fields",
    "xml": "``vol-dumpxml``, and the result's ``xml``",
}


class Difference(t.NamedTuple):
    """A field of an answer that is not the same in ours and in libvirt's, and why.

    ``field`` is a regular expression for what the suite calls it; () is every operation, type or
    daemon.
    """

    name: str
    field: str
    reason: str
    operations: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    daemons: tuple[str, ...] = ()

    def covers(self, operation: str, kind: str, daemon: str, field: str) -> bool:
        sides = ((operation, self.operations), (kind, self.types), (daemon, self.daemons))
        matches = all(not some or one in some for one, some in sides)
        return matches and re.fullmatch(self.field, field) is not None


_SIZES = r"capacity|allocation|available|source/device/freeExtent(\[\d+\])?@(start|end)"
DIFFERENCES = (
    Difference(
        "sizes",
        _SIZES,
        "A definition says no sizes, so we write 0 and tell null of a pool that does not run. "
        "libvirt prints 0, or with a running pool's definition what it measured last.",
        operations=("definition", "written"),
    ),
    Difference(
        "folder",
        r"target/permissions/(mode|owner|group)",
        "Where a definition says no mode, owner or group, we tell none. A daemon that runs the "
        "pool has put in what it saw of the folder.",
        operations=("definition", "written", "running"),
        types=("dir", "fs", "netfs"),
        daemons=("none",),
    ),
    Difference(
        "group",
        "State|Capacity|Allocation|Available",
        "A volume group none of whose volumes are active is stopped. libvirt 11.3 takes it for "
        "running when it starts, until the next task stops the pool.",
        operations=("figures",),
        types=("logical",),
        daemons=("none",),
    ),
    Difference(
        "below",
        r"backingStore/(permissions|timestamps)/\w+",
        "Of the file that an image is based on we tell the path and the format; its permissions "
        "and times are told where it is a volume.",
        operations=("volumes", "xml"),
    ),
    Difference(
        "partition",
        "target/format@type",
        "The type of a partition is what its table says. libvirt takes it where it makes one, and "
        "tells ``none`` afterwards.",
        operations=("volumes",),
        types=("disk",),
    ),
    Difference(
        "moment",
        r"target/timestamps/\w+",
        "Times of a device's node are those of now; libvirt's are of the moment when it looked at "
        "the volume last.",
        operations=("volumes", "xml"),
        types=("logical", "disk", "iscsi", "scsi", "mpath"),
    ),
)


def _reasons(operation: str, kind: str, daemon: str, field: str) -> list[str]:
    return [each.name for each in DIFFERENCES if each.covers(operation, kind, daemon, field)]


def unexplained(found: Found, daemon: str) -> list[tuple[str, str, str, t.Any]]:
    """What differs and is in no row of the list."""
    return [
        (kind, operation, field, values)
        for kind, operations in found.items()
        for operation, differs in operations.items()
        for field, values in differs.items()
        if not _reasons(operation, kind, daemon, field)
    ]


def keep(suite: str, version: str, daemon: str, found: Found) -> None:
    """Writes down what was measured, in the place of what was before."""
    text = MEASURED.read_text(encoding="utf-8") if MEASURED.exists() else "{}"
    measured = json.loads(text)
    there = measured.setdefault(suite, {})
    there["libvirt"] = version
    for kind, operations in found.items():
        named = there.setdefault(daemon, {}).setdefault(kind, {})
        for operation, differs in operations.items():
            names = (_reasons(operation, kind, daemon, field) for field in differs)
            named[operation] = sorted({name for some in names for name in some})
    text = json.dumps(measured, indent=2, sort_keys=True)
    MEASURED.write_text(f"{text}\n", encoding="utf-8")


def tables(measured: t.Mapping[str, t.Any]) -> str:
    """What was measured, a table for each type, and the reasons."""
    lines = [
        text for kind in TYPES for text in [*_title(f"``{kind}``", "-"), *_table(measured, kind)]
    ]
    told = (f"{SUITES[suite]} has libvirt {each['libvirt']}." for suite, each in measured.items())
    lines += [*_title("What was measured", "-"), " ".join(told), "", *_title("Why we differ", "-")]
    for number, each in enumerate(DIFFERENCES, 1):
        lines += [f"({number}) {each.reason}", ""]
    return "\n".join(lines)


def _title(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


def _table(measured: t.Mapping[str, t.Any], kind: str) -> list[str]:
    columns = [(suite, daemon) for suite in SUITES for daemon in DAEMONS]
    rows = [["Asked of libvirt", *(f"{SUITES[s]}, {DAEMONS[d]}" for s, d in columns)]]
    for operation, title in OPERATIONS.items():
        cells = (measured.get(s, {}).get(d, {}) for s, d in columns)
        rows.append([title, *(_cell(cell, kind, operation) for cell in cells)])
    lines = [".. list-table::", "   :header-rows: 1", "   :stub-columns: 1", ""]
    for row in rows:
        lines += [f"   {'  -' if number else '* -'} {cell}" for number, cell in enumerate(row)]
    return [*lines, ""]


def _cell(measured: t.Mapping[str, t.Any], kind: str, operation: str) -> str:
    found = measured.get(kind, {}).get(operation)
    if found is None:
        return "not measured"
    names = [each.name for each in DIFFERENCES]
    numbers = ", ".join(f"({number})" for number in sorted(names.index(n) + 1 for n in found))
    return f"differs on purpose {numbers}" if found else "agrees"


def redrawn(page: str) -> str:
    """The page with what was measured."""
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    return f"{page.partition(MARK)[0]}{MARK}\n{tables(measured)}"


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
