# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the volume modules: their argument specs, what is wrong with them, what they wish."""

from __future__ import annotations

import typing as t

from . import _options, _size
from ._host import Reader
from ._model import Permissions, Volume
from ._options import Params, Spec
from ._volumes.base import Wanted

WIPE: Spec = {
    "wipe": {
        "type": "str",
        "choices": [
            *("zero", "nnsa", "dod", "bsi", "gutmann", "schneier", "pfitzner7", "pfitzner33"),
            *("random", "trim"),
        ],
    }
}
_VOLUME: Spec = {
    "name": {"type": "str", "aliases": ["volume"]},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "capacity": {"type": "str"},
    "allocation": {"type": "str"},
    "format": {"type": "str"},
    **_options.OWNERSHIP,
    **WIPE,
}
_ABSENT = ("name", "state", "wipe")  # what belongs to a volume that goes
# The action plugin reads it.
_CONTROL: Spec = {"progress": {"type": "bool", "default": True}}
VOLUME: Spec = {
    "pool": {"type": "str", "required": True},
    **_VOLUME,
    **_CONTROL,
    **_options.ALLOW,
    **_options.LIBVIRT,
}
VOLUMES: Spec = {
    "pool": {"type": "str", "required": True},
    "volumes": {"type": "list", "elements": "dict", "required": True, "options": _VOLUME},
    "purge": {"type": "bool", "default": False},
    **_CONTROL,
    **_options.ALLOW,
    **_options.LIBVIRT,
}


def volume_faults(params: Params) -> t.Iterator[str]:
    yield from _options.libvirt_faults(params)
    yield from _options.name_faults(params.get("pool"), "pool", _options.LONGEST_NAME)
    yield from _row_faults(params)


def volumes_faults(params: Params) -> t.Iterator[str]:
    yield from _options.libvirt_faults(params)
    yield from _options.name_faults(params.get("pool"), "pool", _options.LONGEST_NAME)
    rows = params.get("volumes")
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    names = [row.get("name") for row in rows]
    for number, row in enumerate(rows):
        yield from _row_faults(row, f"volumes[{number}]: ")
        if row.get("name") is not None and row["name"] in names[:number]:
            yield f"volumes[{number}]: name: {row['name']!r} is in the list twice"
    if params.get("purge") and any(row.get("name") is None for row in rows):
        yield "purge: belongs to a list in which every volume has a name"
    if params.get("purge") and "delete" not in (params.get("allow") or ()):
        yield "purge: removes volumes that are not listed, which needs allow: [delete]"


def _row_faults(params: Params, where: str = "") -> t.Iterator[str]:
    """What is wrong with the options of one volume; ``where`` names it in a list."""
    faults = [
        *_options.name_faults(params.get("name"), "name", 255),
        *_options.permission_faults(params),
    ]
    for key in ("capacity", "allocation"):
        faults += _options.size_faults(params, key)
    if params.get("state") == "absent":
        given = [key for key in _VOLUME if key not in _ABSENT and params.get(key) is not None]
        faults += [f"{key}: belongs to state present, and state is absent" for key in given]
    elif params.get("wipe") is not None:
        faults.append("wipe: belongs to state absent, and state is present")
    if params.get("name") is None:
        faults += _nameless_faults(params)
    yield from (f"{where}{fault}" for fault in faults)


def _nameless_faults(params: Params) -> t.Iterator[str]:
    """A volume without a name is known by its size."""
    if params.get("state") == "absent":
        yield "name: is missing, which says what volume goes"
    elif "%" in str(params.get("capacity") or "%"):
        yield "name: is missing, and capacity is not given as bytes, which could stand in for it"


def wanted(host: Reader, row: Params, there: Volume | None) -> Wanted:
    mode = there.permissions.mode if there else "0600"
    return Wanted(
        row["name"] or "",
        row["state"] == "present",
        _size.parse(row["capacity"]) if row["capacity"] else None,
        _size.parse(row["allocation"]) if row["allocation"] else None,
        row["format"] or "",
        _options.permissions(host, row, Permissions(), mode),
        wipe=row["wipe"] or "",
    )
