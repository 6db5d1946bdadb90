# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LVM: volume groups, their devices and volumes, all with one command."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass

from .._host import Reader
from .._model import Refused
from .._plan import Action, group_use, run

_FIELDS = {
    "vg": "vg_uuid,vg_name,vg_size,vg_free,vg_extent_size,vg_autoactivation,vg_exported,"
    "vg_systemid,vg_lock_type,max_lv,max_pv",
    "pv": "pv_name,pv_uuid,pv_missing,pv_major,pv_minor,pv_in_use,pv_ext_vsn,pv_free,"
    "pv_allocatable",
    "lv": "lv_name,lv_uuid,lv_size,lv_active,lv_device_open,lv_attr,lv_role,origin,"
    "lv_kernel_major,lv_kernel_minor",
    "pvseg": "pvseg_start",  # a report cannot be left out
    "seg": "lv_uuid,segtype,stripes,data_copies,parity_chunks,seg_size,devices",
}

Row = t.Dict[str, str]


@dataclass(frozen=True)
class Group:
    """A volume group.  ``devices`` maps ``major:minor`` to the name that LVM gives the device.

    ``foreign`` is the system ID of the other host that it belongs to, ``manager`` the lock manager
    by which hosts share it.
    """

    uuid: str
    name: str
    size: int
    free: int
    extent_size: int
    autoactivation: bool
    devices: t.Mapping[str, str]
    missing: tuple[str, ...]
    volumes: tuple[Row, ...]
    segments: tuple[Row, ...]
    exported: bool = False
    foreign: str = ""
    manager: str = ""

    @property
    def barred(self) -> str:
        """Why this host cannot work with it, in words; "" where it can."""
        if self.exported:
            return "is exported"
        if self.manager:
            return f"is shared by the lock manager {self.manager}"
        return f"belongs to the host with system ID {self.foreign}" if self.foreign else ""

    @property
    def shown(self) -> str:
        """The group as only it can be meant."""
        places = ", ".join(sorted(self.devices.values()) + list(self.missing))
        return f"{self.name} with UUID {self.uuid} on {places}"


@dataclass(frozen=True)
class Found:
    """All groups by UUID, and the devices that are prepared for LVM but in no group.

    A device that LVM calls used without knowing its group is neither.
    """

    groups: t.Mapping[str, Group]
    orphans: frozenset[str]

    def group_of(self, number: str) -> Group | None:
        """The group that a device, named by ``major:minor``, belongs to."""
        return next((g for g in self.groups.values() if number in g.devices), None)

    def named(self, name: str) -> Group | None:
        """The group that LVM means by a name; raises `Refused` where that is not one."""
        named = [group for group in self.groups.values() if group.name == name]
        # LVM passes over what belongs to another host where one of our own has the name.
        own = [group for group in named if not group.foreign] or named
        if len(own) > 1:
            raise Refused(
                f"Nothing was changed: {len(own)} volume groups are called {name}: "
                f"{'; '.join(sorted(group.shown for group in own))}. Give all but one of them "
                f"another name with vgrename UUID NAME, then run the task again."
            )
        return own[0] if own else None


NOTHING = Found({}, frozenset())


def look(host: Reader) -> Found:
    """All that LVM knows; one command however many groups and volumes there are."""
    # What belongs to another host is no place for us either, so it is to be seen.
    argv = ["lvm", "fullreport", "--foreign", "--shared", "--reportformat", "json"]
    argv += ["--units", "b", "--nosuffix"]
    for report, fields in _FIELDS.items():
        argv += ["--configreport", report, "--options", fields]
    groups: dict[str, Group] = {}
    orphans: set[str] = set()
    for report in json.loads(host.ask(*argv))["report"]:
        if report.get("vg"):
            group = _group(host, report)
            groups[group.uuid] = group
        else:
            orphans.update(_number(row) for row in report.get("pv", []) if _unused(row))
    return Found(groups, frozenset(orphans))


def _unused(row: Row) -> bool:
    """Whether LVM itself says of a device in no group that it is in none, and can know it."""
    return not row["pv_in_use"] and int(row["pv_ext_vsn"] or 0) >= 2


def _group(host: Reader, report: t.Mapping[str, t.Any]) -> Group:
    row = report["vg"][0]
    devices = report["pv"]
    return Group(
        uuid=row["vg_uuid"],
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
        exported=bool(row["vg_exported"]),
        foreign=_foreign(host, row),
        manager=row["vg_lock_type"].replace("none", ""),
    )


def _foreign(host: Reader, row: Row) -> str:
    """The system ID of a group where it is not this host's."""
    owner = row["vg_systemid"]
    return owner if owner and owner != _system_id(host) else ""


def _system_id(host: Reader) -> str:
    return host.ask("lvm", "systemid").partition(":")[2].strip()


def _number(pv: Row) -> str:
    return f"{pv['pv_major']}:{pv['pv_minor']}"


def create_group(name: str, devices: t.Sequence[str], extent_size: int) -> Action:
    extents = ["--physicalextentsize", f"{extent_size}b"] if extent_size else []
    text = f"create volume group {name} on {', '.join(devices)}"
    return run(text, "vgcreate", *extents, name, *devices)


def extend_group(name: str, devices: t.Sequence[str]) -> Action:
    text = f"extend volume group {name} by {', '.join(devices)}"
    return run(text, "vgextend", name, *devices)


def remove_group(name: str, uuid: str, volumes: t.Sequence[str]) -> Action:
    """Removes a group; with its volumes only where there are any, which then needs consent."""
    frees = frozenset([group_use(uuid)])
    if not volumes:
        return run(f"remove volume group {name}", "vgremove", name, frees=frees)
    text = f"remove volume group {name} with {', '.join(volumes)}"
    # --force is vgremove's own word for "with its volumes"; the guard has asked before.
    return run(text, "vgremove", "--force", name, risk="delete", frees=frees)


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
