# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Block devices: which one a path means, who uses it, and what is on it (sysfs, wipefs)."""

from __future__ import annotations

import json
import re
import shlex
import typing as t
from dataclasses import replace

from .._host import MIB, ZEROS, HostError, Reader, failed
from .._kernel import Mount, plain
from .._model import Claim, Device, Extent, Offer, Pool, Refused
from .._plan import Action, Steps, call, run

UNKNOWN = "unknown data"
# From how many bytes on something grows: tools leave what would not hold a group of blocks.
LEAST_ROOM = 16 * MIB


def find(host: Reader, path: str) -> Device | None:
    """The block device at a path; ``None`` where the path does not exist and is not foreseen."""
    node = host.node(path)
    if node is None:
        coming = host.foreseen.get(path)
        return Device(path, "", coming[0], foreseen=True) if coming else None
    if node.kind != "block":
        raise Refused(f"Nothing was changed: {path} is not a block device.")
    return known(host, path, node.device)


def names(host: Reader, path: str) -> tuple[str, ...]:
    """A path, and what the kernel would call the partition of a disk that it means."""
    found = re.fullmatch(r"(/dev/disk/.+)-part(\d+)", path)
    disk = host.real(found[1]) if found else ""
    return (path, f"{disk}{'p' if disk[-1].isdigit() else ''}{found[2]}") if found else (path,)


def known(host: Reader, path: str, number: str, partition: int = 0) -> Device:
    """The device with a number, as sysfs tells of it."""
    sysfs = f"/sys/dev/block/{number}"
    size = int(host.read(f"{sysfs}/size") or 0) * 512
    partition = partition or int(host.read(f"{sysfs}/partition") or 0)
    own = host.read(f"{sysfs}/diskseq") or host.read(f"{sysfs}/../diskseq")
    uuid = (host.read(f"{sysfs}/dm/uuid") or "").strip()
    return Device(path, number, size, partition, int(own or 0), uuid)


def sector(host: Reader, device: Device) -> int:
    """The size of a device's sectors, which those of a partition share."""
    files = (f"{device.sysfs}{place}/queue/logical_block_size" for place in ("", "/.."))
    return next((int(text) for file in files if (text := host.read(file))), 512)


def seen(host: Reader, device: Device) -> Device:
    """The device with a checksum of its ends, by which a step knows that it is as it was."""
    return replace(device, ends=ZEROS if device.foreseen else host.ends(device.path))


def offers(host: Reader, kind: str, partitions: bool = False) -> t.Iterator[Offer]:
    """The host's disks, with what is on each; one that fails hides no other."""
    names = lasting(host)
    for disk in _disks(host, names):
        for device in [disk, *(parts(host, disk) if partitions else ())]:
            path = names.get(device.number, device.path)
            device = replace(device, path=path)
            content, error = "", ""
            try:
                content = dirt(host, [device]).get(path, "")
            except HostError as problem:
                error = str(problem)
            options = {"name": path.rpartition("/")[2], "device": path}
            yield Offer(kind, options, device.size, content, (), error, device)


def lasting(host: Reader) -> dict[str, str]:
    """The name of each device in /dev/disk/by-id by which it is known before anything is on it."""
    return host.devices("/dev/disk/by-id", _lasting)


def _lasting(names: t.Iterable[str]) -> list[str]:
    return sorted(name for name in names if not re.match(r"(lvm-pv|dm|md)-uuid-|md-name-", name))


def _disks(host: Reader, names: t.Mapping[str, str]) -> t.Iterator[Device]:
    for name in host.names("/sys/block") or []:
        folder = f"/sys/block/{name}"
        mapped = (host.read(f"{folder}/dm/uuid") or "mpath-").startswith("mpath-")
        size = int(host.read(f"{folder}/size") or 0) * 512
        if size and mapped and not re.match(r"loop|ram|zram|sr|fd|md|nbd", name):
            number = (host.read(f"{folder}/dev") or "").strip()
            yield known(host, names.get(number, f"/dev/{name}"), number)


def missing(path: str, pool: str) -> Refused:
    """The refusal for a device that a pool is to be made of and that is not there."""
    return Refused(
        f"Nothing was changed: {path}, a device of pool {pool}, does not exist on this host. "
        "Attach it, or correct its name; /dev/disk/by-id lists names that stay."
    )


def identity(host: Reader, path: str) -> str:
    """What tells the device at a path from others, or whatever is said where none is."""
    coming = host.foreseen.get(path)
    return number(host, path) or (coming[1] if coming else path)


def sources(host: Reader, pool: Pool, more: t.Sequence[str] = ()) -> frozenset[str]:
    """What a pool on block devices lives on, by what the devices are and not by their names.

    ``more`` are devices that its definition does not tell.
    """
    if pool.type not in ("fs", "logical", "disk"):
        return frozenset()
    found = {f"volume group {pool.source}"} if pool.type == "logical" else set()
    for path in (*pool.devices, *more):
        found.add(f"device {identity(host, path)}")
    return frozenset(found)


def parts(host: Reader, device: Device) -> list[Device]:
    """The partitions that the kernel knows on a device, in the order of their names."""
    found = []
    for name in host.names(device.sysfs) or []:
        folder = f"{device.sysfs}/{name}"
        count = int(host.read(f"{folder}/partition") or 0)
        if count:
            found.append(_part(host, folder, f"/dev/{name}", count))
    for holder in host.names(f"{device.sysfs}/holders") or []:
        folder = f"/sys/class/block/{holder}"
        count = _mapped_partition(host, folder)
        if count:
            name = (host.read(f"{folder}/dm/name") or "").strip()
            found.append(_part(host, folder, f"/dev/mapper/{name}", count))
    return found


def _part(host: Reader, folder: str, path: str, count: int) -> Device:
    return known(host, path, (host.read(f"{folder}/dev") or "").strip(), count)


def disk(host: Reader, device: Device) -> Device | None:
    """The disk, or the map, that a partition is of."""
    if re.match(r"part\d+-", device.uuid):
        names = host.names(f"{device.sysfs}/slaves") or []
        return _block(host, names[0]) if names else None
    if not device.partition:
        return None
    # The folder of a partition lies in that of its disk.
    name = host.real(device.sysfs).split("/")[-2]
    return _block(host, name)


def holders(host: Reader, device: Device) -> list[Device]:
    """The devices on top of a device, but for partitions of its own."""
    found = host.names(f"{device.sysfs}/holders") or []
    return [
        _block(host, name)
        for name in found
        if not _mapped_partition(host, f"/sys/class/block/{name}")
    ]


def _block(host: Reader, name: str) -> Device:
    folder = f"/sys/class/block/{name}"
    label = (host.read(f"{folder}/dm/name") or "").strip()
    path = f"/dev/mapper/{label}" if label else f"/dev/{name.replace('!', '/')}"
    return known(host, path, (host.read(f"{folder}/dev") or "").strip())


def above(host: Reader, device: Device) -> list[Device]:
    """All that lies on a device: its partitions, what holds it or them, and so on."""
    found: list[Device] = []
    for each in [*parts(host, device), *holders(host, device)]:
        found += [each, *above(host, each)]
    return found


def disks_like(host: Reader, device: Device) -> list[str]:
    """Other disks with the same world-wide name or serial number: most likely the same disk."""
    own = _identity(host, device.sysfs)
    found = []
    for name in (host.names("/sys/block") or []) if own else []:
        folder = f"/sys/block/{name}"
        number = (host.read(f"{folder}/dev") or "").strip()
        if number != device.number and _identity(host, folder) == own:
            found.append(f"/dev/{name}")
    return found


def _identity(host: Reader, folder: str) -> str:
    for file in ("device/wwid", "wwid", "serial"):
        name = (host.read(f"{folder}/{file}") or "").strip()
        if name:
            # Cheap disks have one serial number for all; of different sizes they are not the same.
            return f"{name} {host.read(f'{folder}/size')}" if file == "serial" else name
    return ""


def _mapped_partition(host: Reader, folder: str) -> int:
    """The number of a partition of a device mapper device: one of its own, whose uuid tells."""
    found = re.match(r"part(\d+)-", host.read(f"{folder}/dm/uuid") or "")
    return int(found.group(1)) if found else 0


def dirt(host: Reader, devices: t.Sequence[Device]) -> dict[str, str]:
    """What is on devices, by path; a device is left out only where nothing at all is on it."""
    devices = [device for device in devices if not device.foreseen]
    if not devices:
        return {}
    # wipefs names a device by the last part of its path only.
    real = {host.real(device.path): device.path for device in devices}
    short = {path.rpartition("/")[2]: given for path, given in real.items()}
    found: dict[str, list[str]] = {}
    for row in signatures(host, list(real)):
        whats = found.setdefault(short[row["device"]], [])
        if row["type"] not in whats:
            whats.append(row["type"])
    for device in devices:
        if device.path not in found and (device.ends or host.ends(device.path)) != ZEROS:
            found[device.path] = [UNKNOWN]
    return {path: " and ".join(whats) for path, whats in found.items()}


def signatures(host: Reader, paths: t.Sequence[str]) -> list[dict[str, str]]:
    """Every signature that libblkid finds.

    They have ``type``, ``device`` (its last part), hex ``offset``, ``uuid`` and ``label``.
    """
    answer = host.ask("wipefs", "--no-act", "--json", *paths)
    rows: list[dict[str, str]] = json.loads(answer)["signatures"] if answer.strip() else []
    return rows


def named_by_content(host: Reader, source: str, device: Device) -> bool:
    """Whether a path in /dev/disk, which udev has not made, would lead to what is on a device."""
    tag, _slash, value = source.partition("/dev/disk/by-")[2].partition("/")
    if tag not in ("uuid", "label") or device.foreseen:
        return False
    return any(row.get(tag) == value for row in signatures(host, [host.real(device.path)]))


def wipe(device: Device, what: str) -> Steps:
    """Steps that make a device blank, which needs consent."""
    path = device.path
    if what != UNKNOWN:
        yield wipe_signatures(device, f"wipe {what} from {path}", risk="overwrite")
    text = f"overwrite {what} on {path}" if what == UNKNOWN else f"blank both ends of {path}"
    yield zero_ends(device, text, risk="overwrite")


def wipe_signatures(device: Device, text: str, risk: str) -> Action:
    return run(text, "wipefs", "--all", device.path, risk=risk, claims=(Claim(device),))


def zero_ends(device: Device, text: str, risk: str = "") -> Action:
    """Leaves no trace of a table or signature at either end of a device."""
    command = f"zero_ends {shlex.quote(device.path)}"
    return call(text, "zero_ends", device, risk=risk, command=command, claims=(Claim(device),))


def holds(host: Reader, place: Extent) -> bool:
    """Whether anything is known by its signature in a part of a device; one question."""
    span = ("--offset", str(place.start), "--size", str(place.end - place.start))
    argv = ("blkid", "--probe", *span, place.device)
    code, output, errors = host.rehearse(*argv)
    if code not in (0, 2, 8) or errors:  # found, found nothing, found more than one thing
        raise HostError(failed(argv, output, errors))
    return code != 2


def kinds(host: Reader, devices: t.Sequence[Device]) -> dict[str, set[str]]:
    """The types of all signatures on devices, as libblkid names them, by number; one question."""
    real = {host.real(device.path): device.number for device in devices}
    short = {path.rpartition("/")[2]: number for path, number in real.items()}
    found: dict[str, set[str]] = {}
    for row in signatures(host, list(real)) if devices else ():
        found.setdefault(short[row["device"]], set()).add(row["type"])
    return found


def swaps(host: Reader) -> list[tuple[str, str]]:
    """The devices and files that are swapped to: the path, and in words what it is."""
    lines = (host.read("/proc/swaps") or "").split("\n")[1:]
    return [(plain(line.split(" ")[0].split("\t")[0]), "used as swap") for line in lines if line]


def number(host: Reader, path: str) -> str:
    """The number of the block device at a path; "" where there is none."""
    node = host.node(path)
    return node.device if node else ""


def filesystem(device: Device) -> int:
    """The number that files of a file system on a device have as theirs, as stat writes it."""
    high, low = map(int, device.number.split(":"))
    return high << 8 & 0xFFF00 | high >> 12 << 44 | low & 0xFF | low >> 8 << 20


def numbers(host: Reader, mount: Mount) -> set[str]:
    """The numbers of the devices that a mount is known by."""
    # btrfs has device numbers of its own, so its mounts are known by their source.  Of what any
    # user can mount, the source is what that user has said.
    theirs = mount.format == "fuse" or mount.format.startswith("fuse.")
    named = mount.source.startswith("/dev/") and not theirs
    source = number(host, mount.source) if named else ""
    return {mount.device, source} - {""}


def mounted(host: Reader, mount: Mount, device: Device) -> bool:
    return device.number in numbers(host, mount)
