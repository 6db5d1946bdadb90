# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What guests need of this host's storage, running or not: read from libvirt's own files."""

from __future__ import annotations

import contextlib
import re
import typing as t

from ._host import Reader
from ._model import Pool
from ._tools import qemu_img
from ._xml import domainxml, poolxml, tree

POOLS = ("/etc/libvirt/storage", "/run/libvirt/storage")
# Definitions, of those that run the state, and folders of snapshots with a folder for each guest.
_GUESTS = (
    *("/etc/libvirt/qemu", "/run/libvirt/qemu"),
    *("/etc/libvirt/libxl", "/run/libvirt/libxl"),
    *("/etc/libvirt/lxc", "/run/libvirt/lxc"),
)
_SNAPSHOTS = "/var/lib/libvirt/qemu/snapshot"
_BY_PATH = "/dev/disk/by-path"
_LIMIT = 16 << 20  # characters; the state of a guest with many devices is long


def needs(host: Reader) -> dict[str, tuple[str, ...]]:
    """By path what guests are said to have there, in words that go behind "is"."""
    found: dict[str, list[str]] = {}
    starts: dict[str, tuple[str, str]] = {}
    for guest in _guests(host):
        for disk in guest.disks:
            for path in _paths(host, disk):
                found.setdefault(path, []).append(f"a disk of guest {guest.name}")
                starts[path] = (path, disk.format)
    for path, links in qemu_img.below(host, starts).items():
        for link in links:
            found.setdefault(link.path, []).append(f"what {path} is based on, {found[path][0]}")
    return {path: tuple(dict.fromkeys(words)) for path, words in found.items()}


def mountable(host: Reader) -> list[Pool]:
    """The pools of file systems, mounted or not, in which guests can have their files."""
    names = {name for folder in POOLS for name in host.names(folder) or [] if name.endswith(".xml")}
    pools = (_pool(host, name[: -len(".xml")]) for name in sorted(names))
    return [pool for pool in pools if pool and pool.type == "fs"]


def _guests(host: Reader) -> t.Iterator[domainxml.Guest]:
    folders = [f"{_SNAPSHOTS}/{name}" for name in host.names(_SNAPSHOTS) or []]
    for folder in (*_GUESTS, *folders):
        for name in host.names(folder) or []:
            text = host.read(f"{folder}/{name}", _LIMIT + 1) if name.endswith(".xml") else None
            with contextlib.suppress(tree.Wrong):  # libvirt does not load such a file
                guest = domainxml.parse(text, _LIMIT) if text else None
                if guest:
                    yield guest


def _paths(host: Reader, disk: domainxml.Disk) -> t.Iterator[str]:
    """Where a disk is; nowhere, where it is of a pool that nobody knows."""
    if disk.lun:
        names = host.names(f"/sys/bus/scsi/devices/{disk.lun}/block") or []
        yield from (f"/dev/{name}" for name in names)
    elif disk.volume:
        pool = _pool(host, disk.pool)
        yield from _volume(host, pool, disk.volume) if pool and pool.path else ()
    else:
        yield from _names(disk.path)


def _volume(host: Reader, pool: Pool, name: str) -> t.Iterator[str]:
    lun = re.fullmatch(r"unit:\d+:\d+:(\d+)", name)
    if pool.type == "iscsi" and pool.devices and lun:
        ending = f"-iscsi-{pool.devices[0]}-lun-{lun[1]}"
        links = host.names(_BY_PATH) or []
        yield from (f"{_BY_PATH}/{link}" for link in links if link.endswith(ending))
    else:
        yield f"{pool.path}/{name}"


def _names(path: str) -> t.Iterator[str]:
    yield path
    # An inactive logical volume has no device, and so must be known by its name.
    mapped = re.fullmatch(r"/dev/mapper/((?:[^-]|--)+)-((?:[^-]|--)+)", path)
    if mapped:
        yield "/dev/" + "/".join(part.replace("--", "-") for part in mapped.groups())


def _pool(host: Reader, name: str) -> Pool | None:
    for folder in POOLS:
        text = host.read(f"{folder}/{name}.xml", tree.LIMIT + 1) if "/" not in name else None
        with contextlib.suppress(tree.Wrong):
            if text:
                return poolxml.parse(text)
    return None
