# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LVM: volume groups, their devices and volumes, all with one command."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import typing as t
from dataclasses import dataclass, field

from .._host import Reader
from .._model import (
    UNFINISHED,
    Claim,
    Device,
    Encryption,
    Filling,
    Lvm,
    NewVolume,
    Refused,
    Volume,
    VolumeGroup,
)
from .._plan import Action, call, group_use, run
from . import block, filling, qemu_img, wipe

_FIELDS = {
    "vg": "vg_uuid,vg_name,vg_size,vg_free,vg_extent_size,vg_autoactivation,vg_exported,"
    "vg_systemid,vg_lock_type,max_lv,max_pv",
    "pv": "pv_name,pv_uuid,pv_missing,pv_major,pv_minor,pv_in_use,pv_ext_vsn,pv_free,"
    "pv_allocatable",
    "lv": "lv_name,lv_uuid,lv_size,lv_active,lv_device_open,lv_attr,lv_role,origin,"
    "lv_kernel_major,lv_kernel_minor,lv_tags,pool_lv,lv_metadata_size,data_percent,"
    "metadata_percent,lv_check_needed",
    "pvseg": "pvseg_start",  # a report cannot be left out
    "seg": "lv_uuid,segtype,stripes,stripe_size,chunk_size,seg_size,devices",
}

Row = t.Dict[str, str]

_LIMIT = 120  # seconds; a disk whose paths have all failed may never answer

LINEAR = Lvm()
_BLANKED = ("linear", "striped", "raid1")  # of which a guest sees all that was there before
_NOUNS = {"thin-pool": "thin pool", "thin": "thin volume", "snapshot": "snapshot"}
_POOLS = ("t", "d")  # the first character of lv_attr: a thin pool, a vdo pool


@dataclass(frozen=True)
class Group:
    """A volume group.  ``devices`` maps ``major:minor`` to the name that LVM gives the device.

    ``foreign`` is the system ID of the other host that it belongs to, ``manager`` the lock manager
    by which hosts share it.  ``frees`` are the bytes that are free for volumes on each device, by
    the name that LVM gives it; ``most_volumes`` and ``most_devices`` are 0 where nothing limits it.
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
    frees: t.Mapping[str, int] = field(default_factory=dict)
    most_volumes: int = 0
    most_devices: int = 0
    hidden: tuple[Row, ...] = ()

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
        """The group, told from all others."""
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
    argv = ["lvm", "fullreport", "--all", "--foreign", "--shared", "--reportformat", "json"]
    argv += ["--units", "b", "--nosuffix"]
    for report, fields in _FIELDS.items():
        argv += ["--configreport", report, "--options", fields]
    groups: dict[str, Group] = {}
    orphans: set[str] = set()
    for report in json.loads(host.ask(*argv, limit=_LIMIT))["report"]:
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
        volumes=tuple(row for row in report["lv"] if row["lv_name"][0] != "["),
        hidden=tuple(row for row in report["lv"] if row["lv_name"][0] == "["),
        segments=tuple(report["seg"]),
        exported=bool(row["vg_exported"]),
        foreign=_foreign(host, row),
        manager=row["vg_lock_type"].replace("none", ""),
        frees={pv["pv_name"]: int(pv["pv_free"]) for pv in devices if pv["pv_allocatable"]},
        most_volumes=int(row["max_lv"]),
        most_devices=int(row["max_pv"]),
    )


def _foreign(host: Reader, row: Row) -> str:
    """The system ID of a group where it is not this host's."""
    owner = row["vg_systemid"]
    return owner if owner and owner != _system_id(host) else ""


def _system_id(host: Reader) -> str:
    return host.ask("lvm", "systemid").partition(":")[2].strip()


def _number(pv: Row) -> str:
    return f"{pv['pv_major']}:{pv['pv_minor']}"


def members(host: Reader, group: Group) -> tuple[Device, ...]:
    """The devices of a group."""
    named = sorted(group.devices.items(), key=lambda item: item[1])
    return tuple(block.known(host, path, number) for number, path in named)


def mark(host: Reader) -> str:
    """The tag of volumes that this host has begun to make; and how names of such begin."""
    return f"{UNFINISHED}{host.maker()[len(UNFINISHED) :].partition('-')[0]}"


def unfinished_name(mark: str, name: str) -> str:
    """Under which a volume is made that gets content before it gets its name."""
    return f"{mark}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def blanked(kind: Lvm) -> bool:
    """Whether what was in its place before is taken from a new volume of a kind."""
    return kind.type in _BLANKED


def begun(row: Row) -> bool:
    """Whether some host has not finished a volume."""
    return UNFINISHED in row["lv_tags"] or row["lv_name"].startswith(UNFINISHED)


def unfinished(row: Row, mark: str) -> bool:
    """Whether a volume is one that an interrupted run has left."""
    return mark in row["lv_tags"].split(",") or row["lv_name"].startswith(f"{mark}-")


def pool_inside(row: Row) -> bool:
    """Whether a volume is a pool of others, which LVM itself keeps open, under another name."""
    return row["lv_attr"][0] in _POOLS


def devices_of(host: Reader, group: Group, row: Row) -> tuple[Device, ...]:
    """The device of a volume; of an inactive one, which has none, the names that it would have."""
    if pool_inside(row):
        return ()
    name = row["lv_name"]
    path = f"/dev/{group.name}/{name}"
    number = f"{row['lv_kernel_major']}:{row['lv_kernel_minor']}"
    if row["lv_kernel_major"] == "-1":
        return Device(path, ""), Device(f"/dev/mapper/{mapped_name(group.name, name)}", "")
    sequence = int(host.read(f"/sys/dev/block/{number}/diskseq") or 0)
    uuid = _device_uuid(group, row["lv_uuid"])
    # The size of a volume in use may grow meanwhile.
    return (Device(path, number, sequence=sequence, uuid=uuid),)


def mapped_name(group: str, volume: str) -> str:
    """What device mapper calls a volume."""
    return "-".join(part.replace("-", "--") for part in (group, volume))


def _device_uuid(group: Group, volume: str) -> str:
    return f"LVM-{group.uuid}{volume}".replace("-", "").replace("LVM", "LVM-", 1)


def judges_content(host: Reader) -> bool:
    """Whether lvreduce looks for a file system, as it does from 2.03.17 on."""
    found = re.search(r"LVM version:\s+(\d+)\.(\d+)\.(\d+)", host.ask("lvm", "version"))
    return bool(found) and tuple(map(int, found.groups() if found else ())) >= (2, 3, 17)


def unfit(host: Reader, devices: t.Sequence[Device]) -> tuple[str, ...]:
    """Those of the devices, with nothing on them, that LVM does not take for members.

    They are logical volumes, unless it is set otherwise, or a filter or the devices file hides
    them.
    """
    paths = [device.path for device in devices]
    if not paths:
        return ()
    argv = ("lvm", "pvs", "--all", "--noheadings", "--options", "pv_name", *paths)
    errors = host.rehearse(*argv)[2]
    found = re.findall(r'Failed to find device "(.*)"', errors)
    return tuple(path for path in paths if path in found)


def create_group(name: str, devices: t.Sequence[Device], extent_size: int) -> Action:
    # vgcreate cannot rehearse: with --test it fails on a blank device, and wipes others for ever.
    extents = ["--physicalextentsize", f"{extent_size}b"] if extent_size else []
    paths = [device.path for device in devices]
    text = f"create volume group {name} on {', '.join(paths)}"
    return run(text, "vgcreate", *extents, name, *paths, claims=tuple(map(Claim, devices)))


def extend_group(group: Group, members: t.Sequence[Device], devices: t.Sequence[Device]) -> Action:
    paths = [device.path for device in devices]
    text = f"extend volume group {group.name} by {', '.join(paths)}"
    return _change(group, members, text, "vgextend", group.name, *paths, taken=devices)


def rooms(host: Reader, group: Group) -> dict[str, int]:
    """How many bytes of each device, by path, the group does not have.

    Not of those with metadata at their end, of which LVM does not tell what it needs there.
    """
    return {
        row["pv_name"]: int(row["dev_size"]) - int(row["pe_start"]) - int(row["pv_size"])
        for row in _spans(host, group)
        if int(row["pv_mda_count"]) < 2
    }


def starts(host: Reader, group: Group) -> dict[str, int]:
    """Where the first extent of each device is, in bytes, by path."""
    return {row["pv_name"]: int(row["pe_start"]) for row in _spans(host, group)}


def _spans(host: Reader, group: Group) -> list[Row]:
    fields = "pv_name,dev_size,pv_size,pe_start,pv_mda_count"
    argv = ["lvm", "pvs", "--reportformat", "json", "--units", "b", "--nosuffix"]
    argv += ["--options", fields, "--select", f"vg_uuid={group.uuid}"]
    rows: list[Row] = json.loads(host.ask(*argv, limit=_LIMIT))["report"][0]["pv"]
    return rows


def resize_members(
    name: str, uuid: str, members: t.Sequence[Device], paths: t.Sequence[str]
) -> Action:
    """Lets a group fill devices; its ``uuid`` is "" where a step before makes it."""
    text = f"let volume group {name} fill {', '.join(paths)}"
    claims = tuple(Claim(device, alone=False) for device in members)
    return run(text, "pvresize", *paths, claims=claims, frees=frozenset([group_use(uuid)]))


def remove_group(
    group: Group, members: t.Sequence[Device], volumes: t.Mapping[str, t.Sequence[Device]]
) -> Action:
    """Removes a group; with its volumes only where there are any, which then needs consent."""
    name = group.name
    if not volumes:
        facts = _claims(group, members, pinned=True)
        return run(f"remove volume group {name}", "vgremove", name, **facts)
    text = f"remove volume group {name} with {', '.join(volumes)}"
    taken = [device for devices in volumes.values() for device in devices]
    # --force is vgremove's own word for "with its volumes"; the guard has asked before.
    argv = ("vgremove", "--force", name)
    return _change(group, members, text, *argv, taken=taken, risk="delete")


def release(device: Device) -> Action:
    text = f"release {device.path} from LVM"
    return run(text, "pvremove", device.path, claims=(Claim(device),))


def activate(group: Group, members: t.Sequence[Device]) -> Action:
    argv = ("vgchange", "--activate", "y", group.name)
    return _change(group, members, f"activate volume group {group.name}", *argv)


def deactivate(
    group: Group, members: t.Sequence[Device], volumes: t.Sequence[Device], going: bool
) -> Action:
    """Takes away the devices of volumes, and where they are ``going``, soon the volumes, too."""
    argv = ("vgchange", "--activate", "n", group.name)
    text = f"deactivate volume group {group.name}"
    taken, left = (volumes, ()) if going else ((), volumes)
    return _change(group, members, text, *argv, taken=taken, left=left)


def autoactivate(group: Group, members: t.Sequence[Device], wanted: bool) -> Action:
    text = f"{'activate' if wanted else 'no longer activate'} volume group {group.name} at boot"
    argv = ("vgchange", "--setautoactivation", "y" if wanted else "n", group.name)
    return _change(group, members, text, *argv)


def no_autoactivation(name: str, devices: t.Sequence[Device]) -> Action:
    """The same for a group that a step before has made of devices."""
    claims = tuple(Claim(device, alone=False) for device in devices)
    text = f"no longer activate volume group {name} at boot"
    return run(text, "vgchange", "--setautoactivation", "n", name, claims=claims)


def create_volume(
    group: Group,
    members: t.Sequence[Device],
    name: str,
    size: int,
    mark: str,
    kind: Lvm = LINEAR,
) -> Action:
    """Makes a volume in which nothing is left of what was in its place before.

    Until it is whole it has the tag ``mark``, so that it is known where that is interrupted.
    """
    blank = blanked(kind)
    # --yes: an old signature in extents that nobody owns is wiped, not asked about.
    begin = ("lvcreate", "--yes", *(("--wipesignatures", "y") if blank else ()))
    words = (*_kind_words(kind), "--name", name, *_place_words(group, kind, size))
    argv, shown = (*begin, "--addtag", mark, *words), (*begin, *words)
    # lvcreate itself passes over a second GPT at the end.
    new = NewVolume(group.name, name, _device_uuid(group, ""), mark, blank)
    text = f"create {_NOUNS.get(kind.type, 'logical volume')} {group.name}/{name}"
    facts = _claims(group, members)
    return call(text, "make_volumes", argv, new, command=shlex.join(shown), batch=True, **facts)


def _kind_words(kind: Lvm) -> t.Iterator[str]:
    """The options of lvcreate that make a volume one of a kind."""
    if kind.type == "snapshot":
        yield "--snapshot"
        if kind.thin_pool:
            # LVM would make it, and let it have no device.
            yield from ("--setactivationskip", "n")
        return
    if kind.type != "linear":
        yield from ("--type", kind.type)
    numbers = {
        **{"stripes": str(kind.stripes), "stripesize": f"{kind.stripe_size}b"},
        **{"mirrors": str(kind.mirrors), "chunksize": f"{kind.chunk_size}b"},
        **{"poolmetadatasize": f"{kind.metadata_size}b"},
    }
    for option, value in numbers.items():
        if value not in ("0", "0b"):
            yield from (f"--{option}", value)


def _place_words(group: Group, kind: Lvm, size: int) -> tuple[str, ...]:
    """The options of lvcreate that tell where a volume is made, and how large."""
    if kind.type == "thin":
        return ("--virtualsize", f"{size}b", "--thinpool", kind.thin_pool, group.name)
    sized = () if kind.thin_pool else ("--size", f"{size}b")
    return (*sized, f"{group.name}/{kind.origin}" if kind.origin else group.name)


def rename_volume(group: Group, members: t.Sequence[Device], name: str, new: str) -> Action:
    """Gives a volume that was made under an unfinished name its own one."""
    text = f"give logical volume {group.name}/{new} its name"
    return _change(group, members, text, "lvrename", group.name, name, new)


def fill_volume(
    group: Group, members: t.Sequence[Device], name: str, how: Filling, shown: str
) -> Action:
    """Fills a volume that has just been made under an unfinished name."""
    text = f"fill logical volume {group.name}/{how.name} from {shown}"
    # --yes: nothing is lost, because it had not been filled.
    undo = ("lvremove", "--yes", f"{group.name}/{name}")
    path, uuid = f"/dev/{group.name}/{name}", _device_uuid(group, "")
    facts = _claims(group, members)
    return filling.device(path, uuid, how, text, undo, facts["claims"], facts["frees"])


def encrypt_volume(
    group: Group, members: t.Sequence[Device], name: str, encryption: Encryption, size: int
) -> Action:
    """Encrypts a volume that has just been made under an unfinished name."""
    device = Device(f"/dev/{group.name}/{name}", "")
    # --yes: nothing is lost, because nobody has written to it.
    undo = (("lvremove", "--yes", f"{group.name}/{name}"),)
    begin, facts = _device_uuid(group, ""), _claims(group, members)
    return qemu_img.encrypt(device, begin, encryption, size, undo, **facts)


def refill_volume(
    group: Group, members: t.Sequence[Device], volume: Volume, how: Filling
) -> Action:
    """Gives a volume other content."""
    facts = _claims(group, members, volume.devices)
    return filling.over(volume.devices[0], _device_uuid(group, ""), how, **facts)


def extend_volume(
    group: Group, members: t.Sequence[Device], volume: Volume, size: int, blanking: bool
) -> Action:
    """Grows a volume; with ``blanking`` nothing is left of what was where its new end is."""
    name = f"{group.name}/{volume.name}"
    text, argv = f"extend logical volume {name}", ("lvextend", "--size", f"{size}b", name)
    active = [device for device in volume.devices if device.number]
    if not blanking or not active:
        return _change(group, members, text, *argv)
    # The volume itself may be in use, and is compared by the step.
    facts = _claims(group, members)
    return call(text, "grow_device", argv, active[0], command=shlex.join(argv), **facts)


def extend_new_volume(group: Group, members: t.Sequence[Device], name: str, size: int) -> Action:
    """Grows a thin snapshot that a step before has made."""
    text, argv = f"extend logical volume {group.name}/{name}", ("lvextend", "--size", f"{size}b")
    return _change(group, members, text, *argv, f"{group.name}/{name}")


def extend_metadata(group: Group, members: t.Sequence[Device], name: str, size: int) -> Action:
    text = f"extend the metadata of thin pool {group.name}/{name}"
    argv = ("lvextend", "--poolmetadatasize", f"{size}b", f"{group.name}/{name}")
    return _change(group, members, text, *argv)


def reduce_volume(
    group: Group, members: t.Sequence[Device], volume: Volume, size: int, judges: bool
) -> Action:
    """Cuts off the end of a volume; ``judges``: LVM does it only where no file system has it."""
    text = f"reduce logical volume {group.name}/{volume.name}"
    ignore = ("--fs", "ignore") if judges else ()
    # --yes stands for the consent that the guard has asked for.
    argv = ("lvreduce", "--yes", *ignore, "--size", f"{size}b", f"{group.name}/{volume.name}")
    return _change(group, members, text, *argv, taken=volume.devices, risk="shrink")


def remove_volume(group: Group, members: t.Sequence[Device], volume: Volume) -> Action:
    text = f"remove logical volume {group.name}/{volume.name}"
    return _removal(group, members, volume, text, "delete")


def clear_volume(group: Group, members: t.Sequence[Device], volume: Volume, risk: str) -> Action:
    """Removes a volume that is not whole."""
    text = f"remove logical volume {group.name}/{volume.name}, which an interrupted run left"
    return _removal(group, members, volume, text, risk)


def loose(group: Group, volume: Volume) -> list[str]:
    """The parts of a volume's thin pool that an interruption left active without it."""
    kind = volume.lvm or LINEAR
    pool = volume.name if kind.type == "thin-pool" else kind.thin_pool
    if any(row["lv_name"] == pool and row["lv_active"] == "active" for row in group.volumes):
        return []
    names = {f"[{pool}_tmeta]", f"[{pool}_tdata]"}
    rows = (row for row in group.hidden if row["lv_active"] == "active")
    return [f"{group.name}/{row['lv_name'].strip('[]')}" for row in rows if row["lv_name"] in names]


def finish_volume(
    group: Group,
    members: t.Sequence[Device],
    volume: Volume,
    mark: str,
    active: bool,
    parts: t.Sequence[str],
) -> Action:
    """Ends what an interrupted lvcreate began; a thin volume that its pool lacks is made anew.

    LVM activates no thin pool, and nothing in it, of which ``parts`` are active without it.
    """
    name, kind = f"{group.name}/{volume.name}", volume.lvm or LINEAR
    # --yes: a snapshot is activated with its origin.
    activate = ("lvchange", "--yes", "--activate", "y", "--ignoreactivationskip", name)
    made = create_volume(group, members, volume.name, volume.capacity, mark, kind)
    # --yes: nothing is lost of what there is not.
    anew = (("lvremove", "--yes", name), made.args[0]) if kind.thin_pool else ()
    end = ("lvchange", "--deltag", mark, name)
    begin = [("lvchange", "--activate", "n", *parts)] if parts else []
    begin += [] if active else [activate]
    return call(
        f"finish logical volume {name}, which an interrupted run left",
        "finish_volume",
        tuple(begin),
        anew,
        end,
        command=" && ".join(map(shlex.join, (*begin, end))),
        **_claims(group, members),
    )


def _removal(
    group: Group, members: t.Sequence[Device], volume: Volume, text: str, risk: str
) -> Action:
    # --yes stands for the consent that the guard has asked for.
    argv = ("lvremove", "--yes")
    return call(
        text,
        "remove_volumes",
        argv,
        group.name,
        volume.name,
        command=f"{' '.join(argv)} {group.name}/{volume.name}",
        risk=risk,
        batch=True,
        **_claims(group, members, volume.devices, pinned=True),
    )


def wipe_volume(
    group: Group, members: t.Sequence[Device], volume: Volume, algorithm: str
) -> Action:
    return wipe.device(
        volume.devices[0], algorithm, **_claims(group, members, taken=volume.devices)
    )


def _change(
    group: Group,
    members: t.Sequence[Device],
    text: str,
    *argv: str,
    taken: t.Sequence[Device] = (),
    left: t.Sequence[Device] = (),
    risk: str = "",
) -> Action:
    """A command that writes to a group: ``taken`` goes, ``left`` may not be in use either."""
    facts = _claims(group, members, taken, left, pinned=bool(risk))
    return run(text, *argv, risk=risk, **facts)


def _claims(
    group: Group,
    members: t.Sequence[Device],
    taken: t.Sequence[Device] = (),
    left: t.Sequence[Device] = (),
    pinned: bool = False,
) -> dict[str, t.Any]:
    """The claims of a change of a group, whose own use of its devices is not in the way.

    Where something goes with it, the group itself is ``pinned``.
    """
    own = [Claim(device, alone=False) for device in (*members, *left)]
    itself = [Claim(VolumeGroup(group.name, group.uuid), alone=False)] if taken or pinned else []
    return {
        "claims": (*map(Claim, taken), *own, *itself),
        "frees": frozenset([group_use(group.uuid)]),
    }
