# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that say of what kind a logical volume is: what is wrong with them, what they wish."""

from __future__ import annotations

import typing as t

from . import _options, _size
from ._model import Lvm
from ._options import Params, Spec

LVM: Spec = {
    "lvm": {
        "type": "dict",
        "options": {
            "type": {
                "type": "str",
                "choices": ["linear", "striped", "raid1", "thin-pool", "thin", "snapshot"],
                "default": "linear",
            },
            "thin_pool": {"type": "str"},
            "origin": {"type": "str"},
            "stripes": {"type": "int"},
            "stripe_size": {"type": "str"},
            "mirrors": {"type": "int"},
            "chunk_size": {"type": "str"},
            "metadata_size": {"type": "str"},
            "overcommit": {"type": "bool", "default": False},
        },
    }
}
_KIB, _GIB = 1 << 10, 1 << 30
# The types of logical volumes that an option of lvm belongs to, and the bounds of its value.
_OF_TYPES: t.Mapping[str, tuple[str, ...]] = {
    "thin_pool": ("thin",),
    "origin": ("snapshot",),
    "stripes": ("striped",),
    "stripe_size": ("striped",),
    "mirrors": ("raid1",),
    "chunk_size": ("thin-pool",),
    "metadata_size": ("thin-pool",),
    "overcommit": ("thin", "snapshot"),
}
_CONTENT = ("clone_from", "source", "cloud_init", "encryption")
# What volumes of a type have none of their own of.
_ALIEN = {"thin-pool": (*_CONTENT, *_options.OWNERSHIP), "snapshot": _CONTENT}
_NEEDED = {"thin": "thin_pool", "snapshot": "origin"}
_BOUNDS = {
    "stripes": (2, 128),
    "mirrors": (1, 9),
    "stripe_size": (4 * _KIB, _GIB),
    "chunk_size": (64 * _KIB, _GIB),
    "metadata_size": (2048 * _KIB, 16192 << 20),
}


def faults(params: Params) -> t.Iterator[str]:
    """What is wrong with the kind of a logical volume."""
    lvm = params.get("lvm")
    if not isinstance(lvm, dict):
        return
    type_ = str(lvm.get("type") or "linear")
    yield from (f"lvm.{fault}" for fault in _type_faults(lvm, type_))
    for key, bounds in _BOUNDS.items():
        yield from (f"lvm.{key}: {fault}" for fault in _bound_faults(lvm.get(key), key, *bounds))
    if type_ == "snapshot" and lvm.get("origin") == params.get("name"):
        yield "lvm.origin: a volume is no snapshot of itself"
    for key in _ALIEN.get(type_, ()):
        if params.get(key) is not None:
            yield f"{key}: a {type_} has none of its own, so leave it out"


def _type_faults(lvm: Params, kind: str) -> t.Iterator[str]:
    """What of the options belongs to other types, and what is missing."""
    for key, types in _OF_TYPES.items():
        if lvm.get(key) not in (None, False) and kind not in types:
            yield f"{key}: belongs to the type {' or '.join(types)}, and type is {kind}"
    needed = _NEEDED.get(kind)
    if needed and not lvm.get(needed):
        yield f"{needed}: is missing, which the type {kind} needs"


def _bound_faults(value: t.Any, key: str, least: int, most: int) -> t.Iterator[str]:
    """What is against a number, or against a size in words."""
    if value is None:
        return
    if isinstance(value, int):
        if not least <= value <= most:
            yield f"{value} is not between {least} and {most}"
        return
    try:
        size = _size.parse(str(value))
    except ValueError as error:
        yield str(error)
        return
    if size.relative or not least <= size.bytes <= most:
        yield f"{value!r} is not between {_size.show(least)} and {_size.show(most)}"
    elif key == "chunk_size" and size.bytes % least:
        yield f"{value!r} is not a multiple of {_size.show(least)}"
    elif key == "stripe_size" and size.bytes & (size.bytes - 1):
        yield f"{value!r} is not a power of two"


def kind(said: Params | None) -> Lvm | None:
    """The kind that a task wishes, if any."""
    if said is None:
        return None
    sizes = ("stripe_size", "chunk_size", "metadata_size")
    parsed = {key: _size.parse(said[key]).bytes for key in sizes if said[key]}
    return Lvm(**{**{key: value for key, value in said.items() if value}, **parsed})
