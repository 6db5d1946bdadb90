# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes that are LUNs of a SCSI host: listed from sysfs and udev's database, never made."""

from __future__ import annotations

import typing as t

from .._host import Reader
from .._model import Permissions, Pool, Volume
from .._tools import block, fs
from . import base

_SYSFS = "/sys/bus/scsi/devices"
_DISK, _CDROM = "0", "5"  # SCSI device types; libvirt passes over all others


def read(host: Reader, number: int, folder: str) -> list[Volume]:
    """The LUNs of SCSI host ``number``, without any command.

    A path is the LUN's name in ``folder``, such as /dev/disk/by-path.  A LUN that has none there
    (yet) gets its kernel name, and is not ``listed``: libvirt passes over it.
    """
    links = {} if folder == "/dev" else host.devices(folder)
    own = [name for name in host.names(_SYSFS) or [] if name.startswith(f"{number}:")]
    own.sort(key=lambda name: [int(part) for part in name.split(":")])
    found = (_lun(host, address, folder, links) for address in own)
    return [volume for volume in found if volume]


def _lun(host: Reader, address: str, folder: str, links: t.Mapping[str, str]) -> Volume | None:
    sysfs = f"{_SYSFS}/{address}"
    kind = (host.read(f"{sysfs}/type") or "").strip()
    kernel = (host.names(f"{sysfs}/block") or [""])[0]
    number = (host.read(f"{sysfs}/block/{kernel}/dev") or "").strip()
    if kind not in (_DISK, _CDROM) or not number:
        return None
    udev = properties(host, number)
    if kind == _CDROM and udev.get("ID_CDROM_MEDIA") != "1":
        return None
    path = links.get(number, f"/dev/{kernel}")
    node = host.node(path)
    size = int(host.read(f"{sysfs}/block/{kernel}/size") or 0) * 512
    return Volume(
        name=f"unit:{address.partition(':')[2]}",
        path=path,
        # What scsi_id prints, which is libvirt's key; udev asks it for SCSI disks only.
        key=(udev.get("ID_SERIAL") if udev.get("ID_BUS") == "scsi" else None) or path,
        type="block",
        capacity=size,
        allocation=size,
        physical=size,
        permissions=node.permissions if node else Permissions(),
        timestamps=base.times(node) if node else (),
        listed=folder == "/dev" or number in links,
    )


def users(host: Reader, volumes: t.Sequence[Volume]) -> t.Iterator[str]:
    """What uses LUNs, in words."""
    mounts = host.mounts()
    devices = [block.find(host, volume.path) for volume in volumes]
    there = [device for device in devices if device]
    for device in there:
        yield from (f"{device.path} is {user}" for user in block.users(host, device, mounts))
    yield from fs.opened(host, there)


def properties(host: Reader, number: str) -> dict[str, str]:
    """What udev knows of a block device; empty where it knows nothing."""
    lines = (host.read(f"/run/udev/data/b{number}") or "").splitlines()
    pairs = (line[2:].partition("=") for line in lines if line.startswith("E:"))
    return {key: value for key, dummy, value in pairs}


def path_faults(params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    path = params.get("path")
    if isinstance(path, str) and path.startswith("/") and f"{path}/"[:5] != "/dev/":
        yield f"path: {path!r} is not below /dev, where LUNs have their names"


def warnings(pool: Pool, volumes: t.Sequence[Volume]) -> t.Iterator[str]:
    for volume in volumes:
        if not volume.listed:
            yield (
                f"{volume.path} ({volume.name}) is not in {pool.path}, so libvirt does not show it "
                f"in pool {pool.name}. Take another path, such as /dev/disk/by-id."
            )
