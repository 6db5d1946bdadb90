# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of logical volumes: what one is, and what is against another one being wanted."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .._host import MIB
from .._model import Lvm
from .._size import round_up, show
from .._tools import lvm

NEARLY_FULL = 80  # percent, from which on a thin pool is warned of
_FULL = 100
_CHUNK = 64 << 10
_ENTRY = 64  # bytes of metadata for each chunk, as LVM reckons
_LEAST, _MOST = 2 * MIB, 128 * MIB  # of metadata that LVM takes by itself
_TYPES = ("linear", "striped", "raid1", "thin-pool", "thin", "snapshot")
_SIZES = ("stripe_size", "chunk_size", "metadata_size")
_FIXED = ("thin_pool", "origin", "stripes", "stripe_size", "mirrors", "chunk_size")


def read(row: lvm.Row, segment: lvm.Row) -> Lvm:
    """What a volume is, from LVM's words for it and for the last of its segments."""
    kind, origin = segment["segtype"], row["origin"].strip("[]")
    found = Lvm(kind, data_percent=row["data_percent"], metadata_percent=row["metadata_percent"])
    areas = int(segment["stripes"] or 1)
    if "thicksnapshot" in row["lv_role"].split(","):
        return replace(found, type="snapshot", origin=origin)
    if kind == "thin":
        type_ = "snapshot" if origin else kind
        return replace(found, type=type_, thin_pool=row["pool_lv"], origin=origin)
    if kind == "thin-pool":
        chunk, size = int(segment["chunk_size"] or 0), int(row["lv_metadata_size"] or 0)
        check = row["lv_check_needed"] == "check needed"
        return replace(found, chunk_size=chunk, metadata_size=size, check=check)
    if kind == "striped":
        return Lvm(kind, stripes=areas, stripe_size=int(segment["stripe_size"] or 0))
    return Lvm(kind, mirrors=areas - 1) if kind == "raid1" else Lvm(kind)


def whole(wish: Lvm) -> Lvm:
    """A wish for a new volume with the defaults in what it does not say."""
    if wish.type == "striped":
        return replace(wish, stripes=wish.stripes or 2)
    return replace(wish, mirrors=wish.mirrors or 1) if wish.type == "raid1" else wish


def metadata(wish: Lvm, size: int, extent: int) -> tuple[int, int]:
    """The sizes of the chunks and of the metadata of a new thin pool, as LVM would choose them."""
    chunk = wish.chunk_size or _CHUNK
    while not wish.chunk_size and size // chunk * _ENTRY > _MOST:
        chunk *= 2
    most = 2**63 if wish.chunk_size else _MOST
    wanted = wish.metadata_size or min(most, max(_LEAST, size // chunk * _ENTRY))
    return chunk, round_up(wanted, extent)


def differences(wish: Lvm, there: Lvm) -> t.Iterator[str]:
    """What of a volume that is there can never become what is wanted."""
    keys = ("type",) if wish.type != there.type else _FIXED
    for key in keys:
        wanted, has = getattr(wish, key), getattr(there, key)
        if wanted and wanted != has:
            yield f"has the {key} {_shown(key, has)}, and {_shown(key, wanted)} is wanted"


def _shown(key: str, value: t.Any) -> str:
    return show(value) if key in _SIZES else str(value or "none")


def described(kind: Lvm) -> dict[str, t.Any] | None:
    """The options that make a volume of a kind; ``None`` where none do."""
    if kind.type not in _TYPES:
        return None
    said = {"type": kind.type, **{key: getattr(kind, key) for key in (*_FIXED, "metadata_size")}}
    if kind.type == "snapshot":
        del said["thin_pool"]
    told = {key: show(value) if key in _SIZES else value for key, value in said.items() if value}
    return {} if told == {"type": "linear"} else told


def fill(pool: Lvm) -> float:
    """How full a thin pool is, in percent; what nobody can tell counts as nothing."""
    return max(float(percent or 0) for percent in (pool.data_percent, pool.metadata_percent))


def stuck(pool: Lvm) -> str:
    """Why nothing can be written to a thin pool, in words; "" where it can."""
    if pool.check:
        return "its metadata needs a check (deactivate it, then lvconvert --repair)"
    return f"it is full ({_percents(pool)})" if fill(pool) >= _FULL else ""


def warnings(group: str, pools: t.Mapping[str, Lvm]) -> t.Iterator[str]:
    """What an administrator should know about thin pools, by name."""
    for name, pool in pools.items():
        if pool.check:
            yield f"thin pool {group}/{name} needs a check: {stuck(pool)}."
        elif fill(pool) >= NEARLY_FULL:
            how = "full" if fill(pool) >= _FULL else "nearly full"
            yield (
                f"thin pool {group}/{name} is {how}: {_percents(pool)}. Give it a larger capacity "
                "or lvm.metadata_size before its volumes fail."
            )


def _percents(pool: Lvm) -> str:
    return f"data {pool.data_percent or '?'} %, metadata {pool.metadata_percent or '?'} %"
