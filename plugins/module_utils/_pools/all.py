# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of pool types; only what deals with any pool imports it.

A task is about one type, and each takes its time to import, so that is done when it is asked for.
"""

from __future__ import annotations

import typing as t

from .._model import Pool, Refused
from .base import Backend

Kind = t.Type[Backend[t.Any]]


def _dir() -> Kind:
    from .dir import Dir

    return Dir


def _disk() -> Kind:
    from .disk import Disk

    return Disk


def _fs() -> Kind:
    from .fs import Fs

    return Fs


def _iscsi() -> Kind:
    from .iscsi import Iscsi

    return Iscsi


def _logical() -> Kind:
    from .logical import Logical

    return Logical


def _mpath() -> Kind:
    from .mpath import Mpath

    return Mpath


def _netfs() -> Kind:
    from .netfs import Netfs

    return Netfs


def _scsi() -> Kind:
    from .scsi import Scsi

    return Scsi


_IMPORTS: t.Mapping[str, t.Callable[[], Kind]] = {
    "dir": _dir,
    "disk": _disk,
    "fs": _fs,
    "iscsi": _iscsi,
    "logical": _logical,
    "mpath": _mpath,
    "netfs": _netfs,
    "scsi": _scsi,
}


class _Backends(t.Mapping[str, Kind]):
    def __getitem__(self, kind: str) -> Kind:
        return _IMPORTS[kind]()

    def __iter__(self) -> t.Iterator[str]:
        return iter(_IMPORTS)

    def __len__(self) -> int:
        return len(_IMPORTS)


BACKENDS: t.Mapping[str, Kind] = _Backends()


def backend(pool: Pool, given: t.Mapping[str, t.Any]) -> Backend[t.Any]:
    """The backend of a registered pool of any type; raises `Refused` where that is not known."""
    kind = BACKENDS.get(pool.type)
    if kind is None:
        raise Refused(
            f"Nothing was changed: pool {pool.name} is of type {pool.type}, which this collection "
            "does not know."
        )
    return kind(pool, given, pool)
