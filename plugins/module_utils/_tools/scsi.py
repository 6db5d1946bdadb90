# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SCSI hosts: which one an adapter means (sysfs)."""

from __future__ import annotations

import re
import typing as t

from .._host import LIMIT, Reader
from .._model import Adapter, Claim, Device
from .._plan import Action, call, run

_WWNS = {"wwnn": "node_name", "wwpn": "port_name"}
_COUNTERS = ("npiv_vports_inuse", "max_npiv_vports")
_SCSI, _FC = "/sys/class/scsi_host", "/sys/class/fc_host"
_LUNS = "/sys/class/scsi_device"
_DISKS = ("\x00", "\x05")  # CD-ROM drives are disks, too


def number(host: Reader, adapter: Adapter) -> int | None:
    """The number of the host that an adapter means; ``None`` where there is none such."""
    if adapter.type == "fc_host":
        return next((n for n in _numbers(host, _FC) if _has_wwns(host, n, adapter)), None)
    if adapter.address:
        return next((n for n in _numbers(host, _SCSI) if _is_at(host, n, adapter)), None)
    wanted = int(adapter.name.rpartition("host")[2])
    return wanted if wanted in _numbers(host, _SCSI) else None


def adapters(host: Reader) -> t.Iterator[tuple[dict[str, t.Any], str]]:
    """The options that name each host best, and the kernel's name of it."""
    for number in _numbers(host, _SCSI):
        name, wwns = f"host{number}", f"{_FC}/host{number}"
        unique_id = (host.read(f"{_SCSI}/{name}/unique_id") or "").strip()
        pci = re.findall(r"/([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])(?=/)", _place(host, name))
        if number in _numbers(host, _FC):
            told = {key: _wwn(host.read(f"{wwns}/{file}") or "") for key, file in _WWNS.items()}
            yield {"type": "fc_host", **told}, name
        elif pci and unique_id:
            at = {"address": pci[-1], "unique_id": int(unique_id)}
            yield {"type": "scsi_host", **at}, name
        else:
            yield {"type": "scsi_host", "name": name}, name


def _place(host: Reader, name: str) -> str:
    return host.real(f"{_SCSI}/{name}")


def maker(host: Reader, number: int) -> str:
    """The directory of the host that a virtual one is made on; "" where it is not virtual."""
    found = re.search(r"/host(\d+)/vport-", host.real(f"{_FC}/host{number}"))
    return _folder(host, int(found[1])) if found else ""


def able(host: Reader, name: str) -> str:
    """The directory of the host that can make a virtual one: the named one, or the first."""
    numbers = _numbers(host, _FC)
    if name:
        wanted = int(name.rpartition("host")[2])
        return _folder(host, wanted) if wanted in numbers else ""
    return next((_folder(host, each) for each in numbers if _has_room(host, each)), "")


def _folder(host: Reader, number: int) -> str:
    """Where the kernel takes the commands for virtual hosts; drivers differ."""
    folders = (f"{base}/host{number}" for base in (_FC, _SCSI))
    return next((each for each in folders if "vport_create" in (host.names(each) or [])), "")


def _has_room(host: Reader, number: int) -> bool:
    folder = _folder(host, number)
    state = (host.read(f"{_FC}/host{number}/port_state") or "").strip()
    if not folder or state != "Online":
        return False
    now, most = (int(host.read(f"{folder}/{name}") or 0) for name in _COUNTERS)
    return now < most


def make_virtual(folder: str, adapter: Adapter) -> t.Iterator[Action]:
    yield _tell(folder, "create", adapter)
    yield run("wait for the names of the LUNs", "udevadm", "settle", f"--timeout={LIMIT}")


def remove_virtual(folder: str, adapter: Adapter, luns: t.Sequence[Device]) -> Action:
    """Takes away a virtual host, and with it its ``luns``."""
    return _tell(folder, "delete", adapter, tuple(Claim(lun, alone=False) for lun in luns))


def _tell(folder: str, what: str, adapter: Adapter, claims: tuple[Claim, ...] = ()) -> Action:
    names = f"{_wwn(adapter.wwpn)}:{_wwn(adapter.wwnn)}"
    path = f"{folder}/vport_{what}"
    text = f"{what} the virtual host {names} on {folder.rpartition('/')[2]}"
    return call(text, "tell", path, names, command=f"echo {names} > {path}", claims=claims)


def rescan(number: int, units: t.Iterable[str]) -> t.Iterator[Action]:
    """Makes the kernel look for LUNs on a host, and at the sizes of those that it knows.

    It does the second only where it is told so for each; ``units`` are their addresses.
    """
    paths = [f"{_LUNS}/{number}:{unit}/device/rescan" for unit in units]
    if paths:
        text = f"look for the sizes of the LUNs on host{number}"
        command = f'for path in {_LUNS}/{number}:*/device/rescan; do echo 1 > "$path"; done'
        yield call(text, "tell_each", paths, "1", command=command)
    path = f"{_SCSI}/host{number}/scan"
    text = f"look for new LUNs on host{number}"
    yield call(text, "tell", path, "- - -", command=f"echo '- - -' > {path}")
    yield from wait(lambda host: attached(host, number))


def has_units(host: Reader, number: int) -> bool:
    """Whether a host has any LUN, of whatever kind."""
    return any(name.startswith(f"{number}:") for name in host.names(_LUNS) or [])


def attached(host: Reader, number: int) -> bool:
    """Whether the LUNs of a host have their disks, which come behind the look for LUNs."""
    for name in host.names(_LUNS) or []:
        folder = f"{_LUNS}/{name}/device"
        # The first byte tells the type of a unit that is connected.
        kind = (host.read(f"{folder}/inquiry") or "")[:1] if name.startswith(f"{number}:") else ""
        if kind in _DISKS and not host.names(f"{folder}/block"):
            return False
    return True


def wait(ready: t.Callable[[Reader], bool]) -> t.Iterator[Action]:
    """The kernel makes disks of LUNs, and udev names them; neither is waited for without bound."""
    hint = "sleep 1  # until the LUNs have their disks"
    yield call("wait for the disks of the LUNs", "wait", ready, command=hint)
    yield run("wait for the names of the LUNs", "udevadm", "settle", f"--timeout={LIMIT}")


def _numbers(host: Reader, folder: str) -> list[int]:
    return sorted(int(name[4:]) for name in host.names(folder) or [] if name.startswith("host"))


def _is_at(host: Reader, number: int, adapter: Adapter) -> bool:
    folder = f"{_SCSI}/host{number}"
    unique_id = (host.read(f"{folder}/unique_id") or "").strip()
    return adapter.address in host.real(folder).split("/") and unique_id == adapter.unique_id


def _has_wwns(host: Reader, number: int, adapter: Adapter) -> bool:
    folder = f"{_FC}/host{number}"
    return all(
        _wwn(host.read(f"{folder}/{name}") or "") == _wwn(wanted)
        for name, wanted in (("node_name", adapter.wwnn), ("port_name", adapter.wwpn))
    )


def _wwn(text: str) -> str:
    text = text.strip().lower()
    return text[2:] if text.startswith("0x") else text
