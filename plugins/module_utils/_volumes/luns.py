# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes that are LUNs of a SCSI host: listed from sysfs and udev's database, never made."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._host import LIMIT, Reader
from .._model import Claim, Device, Permissions, Pool, Volume
from .._plan import Steps, run
from .._tools import block
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
        # What scsi_id prints, which is libvirt's key; udev asks it for SCSI disks only, and of a
        # LUN that is gone there is no answer any more.
        key=(udev.get("ID_SERIAL") if udev.get("ID_BUS") == "scsi" and size else None) or path,
        type="block",
        capacity=size,
        allocation=size,
        physical=size,
        permissions=node.permissions if node else Permissions(),
        timestamps=base.times(node) if node else (),
        listed=folder == "/dev" or number in links,
    )


def devices(host: Reader, number: int, folder: str) -> t.Iterator[Device]:
    """The disks of SCSI host ``number``, by their names in ``folder``, and their partitions."""
    links = host.devices(folder)
    for name in host.names(_SYSFS) or []:
        if name.startswith(f"{number}:"):
            for kernel in host.names(f"{_SYSFS}/{name}/block") or []:
                where = (host.read(f"{_SYSFS}/{name}/block/{kernel}/dev") or "").strip()
                disk = block.known(host, links.get(where, f"/dev/{kernel}"), where)
                yield from (disk, *block.parts(host, disk))


def release(luns: t.Sequence[Device]) -> Steps:
    """What stands for a step of somebody else's that takes away disks."""
    claims = tuple(Claim(device, alone=False) for device in luns)
    if claims:
        yield run("wait until udev has read the LUNs", "udevadm", "settle", claims=claims)


@dataclass(frozen=True)
class Replaced:
    """A LUN that is another disk than the one that udev has seen; by serial numbers."""

    path: str
    name: str
    before: str
    now: str


def replaced(host: Reader, number: int) -> t.Iterator[Replaced]:
    """The LUNs of a SCSI host behind which the server has put another disk of the same size.

    The kernel sees that when it looks again, and tells nobody.
    """
    for name in host.names(_SYSFS) or []:
        folder = f"{_SYSFS}/{name}"
        for kernel in host.names(f"{folder}/block") or [] if name.startswith(f"{number}:") else []:
            udev = properties(host, (host.read(f"{folder}/block/{kernel}/dev") or "").strip())
            page = host.read(f"{folder}/vpd_pg80") or ""
            before, now = udev.get("ID_SCSI_SERIAL", ""), page[4:].strip("\0 \n")
            if before and now and before != now:
                yield Replaced(f"/dev/{kernel}", f"unit:{name.partition(':')[2]}", before, now)


def news(pool: Pool, found: t.Sequence[Replaced]) -> t.Iterator[str]:
    for each in found:
        yield (
            f"{each.path} ({each.name}) of pool {pool.name} is another disk than before: its "
            f"serial number is {each.now}, and was {each.before}."
        )


def renew(found: t.Sequence[Replaced]) -> Steps:
    """Tells udev of other disks behind known names, so that it names them anew."""
    for each in found:
        text = f"name {each.path} anew, which is another disk than before"
        yield run(text, "udevadm", "trigger", "--action=change", f"--name-match={each.path}")
    if found:
        yield run("wait for the names of the LUNs", "udevadm", "settle", f"--timeout={LIMIT}")


def properties(host: Reader, number: str) -> dict[str, str]:
    """What udev knows of a block device; empty where it knows nothing."""
    lines = (host.read(f"/run/udev/data/b{number}") or "").split("\n")
    pairs = (line[2:].partition("=") for line in lines if line.startswith("E:"))
    return {key: value for key, dummy, value in pairs}


def path_faults(params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    path = params.get("path")
    if isinstance(path, str) and path.startswith("/") and f"{path}/"[:5] != "/dev/":
        yield f"path: {path!r} is not below /dev, where LUNs have their names"


def warnings(pool: Pool, number: int, volumes: t.Sequence[Volume]) -> t.Iterator[str]:
    for volume in volumes:
        if not volume.capacity:
            address = f"{number}:{volume.name.partition(':')[2]}"
            yield (
                f"{volume.path} ({volume.name}) of pool {pool.name} is gone from its server: it "
                "has no size any more. Where it does not come back, echo 1 > "
                f"{_SYSFS}/{address}/delete lets go of it."
            )
        if not volume.listed:
            yield (
                f"{volume.path} ({volume.name}) is not in {pool.path}, so libvirt does not show it "
                f"in pool {pool.name}. Take another path, such as /dev/disk/by-id."
            )
