# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LVM: volume groups, their devices and volumes, all with one command."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from .._host import Reader
from .._plan import Action, run

_FIELDS = {
    "vg": "vg_name,vg_size,vg_free,vg_extent_size,vg_autoactivation",
    "pv": "pv_name,pv_uuid,pv_missing,pv_major,pv_minor",
    "lv": "lv_name,lv_uuid,lv_size,lv_active,lv_device_open,lv_attr,origin,"
    "lv_kernel_major,lv_kernel_minor",
    "pvseg": "pvseg_start",  # a report cannot be left out
    "seg": "lv_uuid,seg_size,devices",
}

Row = t.Dict[str, str]


@dataclass(frozen=True)
class Group:
    """A volume group.  ``devices`` maps ``major:minor`` to the name that LVM gives the device."""

    name: str
    size: int
    free: int
    extent_size: int
    autoactivation: bool
    devices: t.Mapping[str, str]
    missing: tuple[str, ...]
    volumes: tuple[Row, ...]
    segments: tuple[Row, ...]


@dataclass(frozen=True)
class Found:
    """All groups by name, and the devices that are prepared for LVM but in no group."""

    groups: t.Mapping[str, Group]
    orphans: frozenset[str]

    def group_of(self, number: str) -> Group | None:
        """The group that a device, named by ``major:minor``, belongs to."""
        return next((g for g in self.groups.values() if number in g.devices), None)


NOTHING = Found({}, frozenset())


def look(host: Reader) -> Found:
    """All that LVM knows; one command however many groups and volumes there are."""
    argv = ["lvm", "fullreport", "--reportformat", "json", "--units", "b", "--nosuffix"]
    for report, fields in _FIELDS.items():
        argv += ["--configreport", report, "--options", fields]
    groups: dict[str, Group] = {}
    orphans: set[str] = set()
    for report in json.loads(host.ask(*argv))["report"]:
        if report.get("vg"):
            group = _group(report)
            groups[group.name] = group
        else:
            orphans.update(_number(row) for row in report.get("pv", []))
    return Found(groups, frozenset(orphans))


def _group(report: t.Mapping[str, t.Any]) -> Group:
    row = report["vg"][0]
    devices = report["pv"]
    return Group(
        name=row["vg_name"],
        size=int(row["vg_size"]),
        free=int(row["vg_free"]),
        extent_size=int(row["vg_extent_size"]),
        autoactivation=row["vg_autoactivation"] == "enabled",
        devices={_number(pv): pv["pv_name"] for pv in devices if not pv["pv_missing"]},
        missing=tuple(
            f"{pv['pv_name']} with UUID {pv['pv_uuid']}" for pv in devices if pv["pv_missing"]
        ),
        volumes=tuple(report["lv"]),
        segments=tuple(report["seg"]),
    )


def _number(pv: Row) -> str:
    return f"{pv['pv_major']}:{pv['pv_minor']}"


def create_group(name: str, devices: t.Sequence[str], extent_size: int) -> Action:
    extents = ["--physicalextentsize", f"{extent_size}b"] if extent_size else []
    text = f"create volume group {name} on {', '.join(devices)}"
    return run(text, "vgcreate", *extents, name, *devices)


def extend_group(name: str, devices: t.Sequence[str]) -> Action:
    text = f"extend volume group {name} by {', '.join(devices)}"
    return run(text, "vgextend", name, *devices)


def remove_group(name: str, volumes: t.Sequence[str]) -> Action:
    """Removes a group; with its volumes only where there are any, which then needs consent."""
    if not volumes:
        return run(f"remove volume group {name}", "vgremove", name)
    text = f"remove volume group {name} with {', '.join(volumes)}"
    # --force is vgremove's own word for "with its volumes"; the guard has asked before.
    return run(text, "vgremove", "--force", name, risk="delete")


def release(device: str) -> Action:
    return run(f"release {device} from LVM", "pvremove", device)


def activate(name: str) -> Action:
    return run(f"activate volume group {name}", "vgchange", "--activate", "y", name)


def deactivate(name: str) -> Action:
    return run(f"deactivate volume group {name}", "vgchange", "--activate", "n", name)


def autoactivate(name: str, wanted: bool) -> Action:
    text = f"{'activate' if wanted else 'no longer activate'} volume group {name} at boot"
    return run(text, "vgchange", "--setautoactivation", "y" if wanted else "n", name)


def create_volume(group: str, name: str, size: int) -> Action:
    text = f"create logical volume {group}/{name}"
    # --yes: an old signature in extents that nobody owns is wiped, not asked about.
    argv = ("--yes", "--wipesignatures", "y", "--name", name, "--size", f"{size}b", group)
    return run(text, "lvcreate", *argv)


def extend_volume(group: str, name: str, size: int) -> Action:
    return run(
        f"extend logical volume {group}/{name}", "lvextend", "--size", f"{size}b", f"{group}/{name}"
    )


def reduce_volume(group: str, name: str, size: int) -> Action:
    text = f"reduce logical volume {group}/{name}"
    # --yes stands for the consent that the guard has asked for.
    return run(text, "lvreduce", "--yes", "--size", f"{size}b", f"{group}/{name}", risk="shrink")


def remove_volume(group: str, name: str) -> Action:
    text = f"remove logical volume {group}/{name}"
    # --yes stands for the consent that the guard has asked for.
    return run(text, "lvremove", "--yes", f"{group}/{name}", risk="delete")
