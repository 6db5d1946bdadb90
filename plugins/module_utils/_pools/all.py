# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of pool types; only what deals with any pool imports it."""

from __future__ import annotations

import typing as t

from .._model import Pool, Refused
from .base import Backend
from .dir import Dir
from .disk import Disk
from .fs import Fs
from .iscsi import Iscsi
from .logical import Logical
from .mpath import Mpath
from .netfs import Netfs
from .scsi import Scsi

BACKENDS: t.Mapping[str, type[Backend[t.Any]]] = {
    kind.type: kind
    for kind in (
        Dir,
        Disk,
        Fs,
        Iscsi,
        Logical,
        Mpath,
        Netfs,
        Scsi,
    )
}


def backend(pool: Pool, given: t.Mapping[str, t.Any]) -> Backend[t.Any]:
    """The backend of a registered pool of any type; raises `Refused` where that is not known."""
    kind = BACKENDS.get(pool.type)
    if kind is None:
        raise Refused(
            f"Nothing was changed: pool {pool.name} is of type {pool.type}, which this collection "
            "does not know."
        )
    return kind(pool, given, pool)
