# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this host serves to others through the kernel's targets (LIO, NVMe), from configfs."""

from __future__ import annotations

import re
import typing as t

from .._host import Reader

_CORE = "/sys/kernel/config/target/core"
_SUBSYSTEMS = "/sys/kernel/config/nvmet/subsystems"


def backing(host: Reader) -> list[tuple[str, str]]:
    """The files and devices behind backstores: the path, and in words what it is."""
    return [*_scsi(host), *_nvme(host)]


def _scsi(host: Reader) -> t.Iterator[tuple[str, str]]:
    for kind in host.names(_CORE) or []:
        for name in host.names(f"{_CORE}/{kind}") or []:
            folder = f"{_CORE}/{kind}/{name}"
            info = re.search(r"\bFile: (.+?)  ", host.read(f"{folder}/info") or "")
            path = (host.read(f"{folder}/udev_path") or "").strip() or (info[1] if info else "")
            if path.startswith("/"):
                yield path, f"served by this host's SCSI target (backstore {name})"


def _nvme(host: Reader) -> t.Iterator[tuple[str, str]]:
    for name in host.names(_SUBSYSTEMS) or []:
        for number in host.names(f"{_SUBSYSTEMS}/{name}/namespaces") or []:
            file = f"{_SUBSYSTEMS}/{name}/namespaces/{number}/device_path"
            path = (host.read(file) or "").strip()
            if path.startswith("/"):
                yield path, f"served by this host's NVMe target (subsystem {name})"
