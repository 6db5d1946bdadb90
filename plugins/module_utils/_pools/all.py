# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of pool types; only what deals with any pool imports it."""

from __future__ import annotations

import typing as t

from .base import Backend
from .dir import Dir
from .disk import Disk
from .fs import Fs
from .logical import Logical
from .mpath import Mpath

BACKENDS: t.Mapping[str, type[Backend[t.Any]]] = {
    kind.type: kind
    for kind in (
        Dir,
        Disk,
        Fs,
        Logical,
        Mpath,
    )
}
