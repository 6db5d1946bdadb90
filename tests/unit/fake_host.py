# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host made of what a case says about it; any question beyond that fails the test.

What a case can say:

disks       path: {number, size, dirt: [types], noise, swap, holders: {name: dm uuid}, parts: {…},
            taken: whether the kernel gives it to nobody else, integers: {place: value}, sector,
            places: where signatures are, if not at the start, superblock: what dumpe2fs tells,
            used: the bytes that LVM has of it, metadata_at_end: of LVM, uuid: of what is on it}
groups      name: {devices, size, free, missing, autoactivation, volumes: {name: {size, …}}}, with
            name, uuid, exported, system_id, lock_type, frees (by device), most_volumes,
            most_devices where they matter; a volume with segtype, areas, role, attr, origin, tags,
            pool, shown (the size of the device), metadata, data_percent, metadata_percent,
            check_needed, stripe_size, chunk_size
system_id   of the host; lvm: the version of LVM
orphans     disks that are prepared for LVM and in no group
in_use      disks of which LVM says that a group has them, without knowing it
paths       path: {kind, mode, owner, group, space, real, links, cow, inside}; null: nothing is
mounts      target: {disk or device, format, source, options, root, peer}
elsewhere   the same in another mount namespace
loops       path of a loop device: what is behind it
rehearsals  program: what it says against what it would do, or its exit code, or {code, errors}
pools       name: what the definition says (fields of Pool), or its text
running     pools that libvirtd's files say run, as in pools
guests      path of a file that tells of a guest: its text
autostart   names of the pools that are marked
daemon      the state of libvirtd's pools: {active, autostart, transient, listings: {name: […]},
            volumes: {name: XML}}
fstab       the text of /etc/fstab
units       name: text of a systemd unit; wants: those that are linked
open        path: who has it open
users       name: number, of users and of groups alike
programs    what the host has
commands    program: {code, errors} where it fails
files       path: text, for what the kernel or udev tells there; folders: path: names
dead        what a look never ends of; silent: where a server that is dead is mounted
addresses   name of a server: its addresses
exports     what showmount tells of a server
targets     what iscsiadm tells of the targets of a server
secrets     uuid: {usage, value} of secrets that libvirtd has
xfs         path: what xfs_growfs tells of the file system at it
multipath   what dmsetup tells of multipath maps

A disk's ``table`` is what parted prints of it, ``types`` are the partition types by first sector,
and ``sfdisk`` is what that tells of the table where more is asked.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import struct
import typing as t
import zlib

from ansible_collections.poolwright.storage.plugins.module_utils import _registry
from ansible_collections.poolwright.storage.plugins.module_utils._host import (
    WITHIN,
    ZEROS,
    Entry,
    Head,
    HostError,
    NoAnswer,
    Node,
    Reader,
)
from ansible_collections.poolwright.storage.plugins.module_utils._kernel import (
    Loop,
    Mount,
    Open,
    read_mounts,
)
from ansible_collections.poolwright.storage.plugins.module_utils._model import (
    Adapter,
    File,
    Permissions,
    Pool,
    SourceHost,
)
from ansible_collections.poolwright.storage.plugins.module_utils._tools.units import (
    LOCAL,
    REMOTE,
    UNITS,
)
from ansible_collections.poolwright.storage.plugins.module_utils._xml import poolxml, secretxml

GIB = 1 << 30
EXTENT = 4 << 20
MACHINE = "0123456789abcdef0123456789abcdef"
BOOT = "/proc/sys/kernel/random/boot_id"
SNAPSHOTS = "/var/lib/libvirt/qemu/snapshot"
Said = t.Mapping[str, t.Any]


def definition(name: str, said: t.Any) -> str:
    """The text of a pool's definition."""
    if isinstance(said, str):
        return said
    fields: dict[str, t.Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in said.items()
    }
    fields["hosts"] = tuple(SourceHost(**host) for host in fields.get("hosts", ()))
    fields["permissions"] = Permissions(**fields.get("permissions", {}))
    fields["adapter"] = Adapter(**fields["adapter"]) if "adapter" in fields else None
    fields = {"name": name, "uuid": f"{0:08}-0000-0000-0000-{0:012}", **fields}
    return poolxml.render(Pool(**fields))


class FakeHost(Reader):
    def __init__(self, said: Said) -> None:
        super().__init__(self._answer)
        self.said = said
        self.asked: list[str] = []
        self.files: dict[str, str] = {"/etc/machine-id": f"{MACHINE}\n", BOOT: f"{MACHINE}\n"}
        self.files["/proc/net/fib_trie"] = (
            "Local:\n  +-- 0.0.0.0/0 2 0 2\n     |-- 127.0.0.1\n        /32 host LOCAL\n"
            "     |-- 192.0.2.99\n        /32 host LOCAL\n     |-- 192.0.2.255\n"
            "        /32 link BROADCAST\n"
        )
        self.files["/proc/net/if_inet6"] = f"{1:032x} 01 80 10 80       lo\n"
        self.files["/proc/stat"] = "cpu 1 2\nbtime 1000\n"
        self.folders: dict[str, list[str]] = {}
        self.nodes: dict[str, Node] = {}
        self._put_pools()
        for path, disk in self._get("disks").items():
            self._put_disk(path, disk)
        for name, group in self._get("groups").items():
            self._put_volumes(name, group)
        for path, what in self._get("paths").items():
            if what is not None and what.get("kind", "dir") != "link":
                self.nodes[path] = _node(what)
        self._put_secrets()
        self._put_guests()
        self._put_proc()
        self.folders["/dev"] = []
        self.files.update(self._get("files"))
        self.folders.update(self._get("folders"))

    def _get(self, key: str) -> Said:
        said = self.said.get(key) or {}
        return said if key == "paths" else {name: it for name, it in said.items() if it is not None}

    def _put_pools(self) -> None:
        definitions = {name: definition(name, said) for name, said in self._get("pools").items()}
        self.folders[_registry.FOLDER] = sorted(f"{name}.xml" for name in definitions)
        for name, text in definitions.items():
            self.files[f"{_registry.FOLDER}/{name}.xml"] = text
        running = {name: definition(name, said) for name, said in self._get("running").items()}
        self.folders[_registry.RUNNING] = sorted(f"{name}.xml" for name in running)
        for name, text in running.items():
            path = f"{_registry.RUNNING}/{name}.xml"
            self.files[path] = f"<!-- one -->\n<poolstate>{text}</poolstate>"
        marked = self.said.get("autostart") or []
        self.folders[f"{_registry.FOLDER}/autostart"] = [f"{name}.xml" for name in marked]
        for stage in (LOCAL, REMOTE):
            self.folders[f"{UNITS}/{stage}.wants"] = list(self.said.get("wants") or [])
        for name, text in self._get("units").items():
            self.files[f"{UNITS}/{name}"] = text
        self.folders[UNITS] = sorted(self._get("units"))
        self.files["/etc/fstab"] = self.said.get("fstab") or ""

    def _put_guests(self) -> None:
        for path, text in self._get("guests").items():
            folder, name = path.rpartition("/")[::2]
            self.files[path] = text
            self.folders.setdefault(folder, []).append(name)
            self.folders.setdefault(SNAPSHOTS, [])
            if folder.startswith(f"{SNAPSHOTS}/"):
                self.folders[SNAPSHOTS].append(folder[len(SNAPSHOTS) + 1 :])

    def _put_secrets(self) -> None:
        for uuid, said in self._get("secrets").items():
            folder, value = _registry.SECRETS, base64.b64encode(said["value"].encode())
            self.files[f"{folder}/{uuid}.xml"] = secretxml.render(uuid, "volume", said["usage"], "")
            self.files[f"{folder}/{uuid}.base64"] = value.decode()
            self.folders.setdefault(folder, []).append(f"{uuid}.xml")

    def _put_disk(self, path: str, disk: Said) -> None:
        number, size = disk["number"], disk.get("size", 2 * GIB)
        self.nodes[path] = Node("block", Permissions("0660", 0, 6), 0, number)
        sysfs = f"/sys/dev/block/{number}"
        self.files[f"{sysfs}/size"] = f"{size // 512}\n"
        self.folders[f"{sysfs}/holders"] = sorted(disk.get("holders", {}))
        for holder, uuid in disk.get("holders", {}).items():
            self._put_holder(holder, uuid)
        self.folders[sysfs] = ["holders", "size", *disk.get("parts", {})]
        for name, part in disk.get("parts", {}).items():
            count = name.rpartition("p" if name[0] == "n" else name[:3])[2] + "\n"
            self.files[f"{sysfs}/{name}/partition"] = count
            self.files[f"{sysfs}/{name}/dev"] = part["number"] + "\n"
            self.files[f"{sysfs}/{name}/size"] = f"{part.get('size', 0) // 512}\n"
            self._put_disk(f"/dev/{name}", part)

    def _put_holder(self, holder: str, uuid: str) -> None:
        number, folder = f"99:{zlib.crc32(holder.encode()) % 999}", f"/sys/class/block/{holder}"
        self.files[f"{folder}/dev"] = f"{number}\n"
        for where in (folder, f"/sys/dev/block/{number}"):
            if uuid:
                self.files[f"{where}/dm/uuid"] = f"{uuid}\n"
                self.files[f"{where}/dm/name"] = f"name-of-{holder}\n"

    def _put_volumes(self, name: str, group: Said) -> None:
        for number, (volume, said) in enumerate(group.get("volumes", {}).items()):
            if said.get("active", True):
                device = f"253:{number}"
                self.nodes[f"/dev/{name}/{volume}"] = _node({"kind": "block", **said}, device)
                self.files[f"/sys/dev/block/{device}/size"] = (
                    f"{said.get('shown', said['size']) // 512}\n"
                )

    def _put_proc(self) -> None:
        sockets = "Num RefCount Protocol Flags Type St Inode Path\n"
        if "daemon" in self.said:
            sockets += "0: 00000002 00000000 00010000 0001 01 1234 /run/libvirt/libvirt-sock\n"
            self.nodes["/run/libvirt/libvirt-sock"] = _node({"kind": "other"})
        swaps = [path for path, disk in self._get("disks").items() if disk.get("swap")]
        self.files["/proc/net/unix"] = sockets
        self.files["/proc/swaps"] = "Filename Type Size Used Priority\n" + "".join(
            f"{path} partition 1 0 -2\n" for path in swaps
        )
        self.files["/proc/self/mountinfo"] = "".join(
            self._mount(target, mount) for target, mount in self._get("mounts").items()
        )

    def _mount(self, target: str, mount: Said) -> str:
        disk = mount.get("disk", "")
        number = self.nodes[disk].device if disk else mount.get("device", "0:99")
        options = mount.get("options", "rw,nosuid,nodev,noexec")
        source = mount.get("source", disk or "none")
        where = target.replace(" ", "\\040")
        root, peer = mount.get("root", "/"), mount.get("peer", "")
        group = f" {peer}" if peer else ""
        kind = mount.get("format", "ext4")
        return f"1 2 {number} {root} {where} {options}{group} - {kind} {source} rw\n"

    def has(self, command: str) -> bool:
        lvm = ["lvm"] if {"groups", "orphans", "in_use"} & set(self.said) else []
        return command in (*(self.said.get("programs") or ()), *lvm, "virsh")

    def read(self, path: str, most: int = -1) -> str | None:
        if path not in self.files:
            self._must_be_known(path)
        return self.files.get(path)

    def names(self, path: str) -> list[str] | None:
        if path in self._get("paths"):
            what = self._get("paths")[path]
            return None if what is None else sorted(what.get("inside", ()))
        if path not in self.folders:
            inside = self._inside(path)
            if inside is not None and path not in self.files:
                return sorted(inside.get("inside", ()))
            if path not in self.files:
                self._must_be_known(path)
        return self.folders.get(path)

    def _inside(self, path: str) -> Said | None:
        """What a case says of an entry of a directory."""
        folder, name = path.rpartition("/")[::2]
        inside = (self._get("paths").get(folder) or {}).get("inside", {})
        return inside.get(name) if isinstance(inside, dict) else None

    def real(self, path: str) -> str:
        if path.startswith(self.said.get("silent") or "\0"):
            raise NoAnswer(f"{path}: no answer")
        return str((self._get("paths").get(path) or {}).get("real", path))

    def node(self, path: str) -> Node | None:
        if self.real(path) != path:
            return self.node(self.real(path))
        if path not in self.nodes:
            inside = self._inside(path)
            if inside is not None:
                return _node({"kind": "file", "mode": "0600", **inside})
            self._must_be_known(path)
        return self.nodes.get(path)

    def _must_be_known(self, path: str) -> None:
        """Fails but where the case says that there is nothing, or the kernel and we always know."""
        ours = (f"{UNITS}/", "/etc/libvirt/", "/run/libvirt/", SNAPSHOTS)
        systemds = ("/usr/lib/systemd/", "/usr/local/lib/systemd/", "/run/systemd/")
        known = path.startswith(("/sys/", "/dev/mapper/", *ours, *systemds))
        if not known and path not in self._get("paths"):
            raise AssertionError(f"the case does not say what is at {path}")

    def entries(self, path: str) -> list[Entry]:
        inside = self._get("paths")[path].get("inside", {})
        names = sorted(inside if isinstance(inside, dict) else {})
        return [self._said_entry(f"{path}/{name}", name, inside[name]) for name in names]

    def _said_entry(self, path: str, name: str, said: Said) -> Entry:
        own = self._identity(path, said)
        if "hidden" in said:
            return Entry(name, own, hidden=said["hidden"])
        link = str(said.get("link", ""))
        real = self._identity(link if link else path, said)
        node = _node({"kind": "file", "mode": "0600", **said}, said.get("device", ""))
        return Entry(name, own, node, real, _header(said), link, said.get("linked", 1))

    def _identity(self, path: str, said: Said) -> File:
        return File(path, 1, said.get("inode", zlib.crc32(path.encode())))

    def file(self, path: str) -> File | None:
        return self._identity(self.real(path), {}) if self.node(path) else None

    def link(self, path: str) -> str:
        return str((self._get("paths").get(path) or {}).get("link", ""))

    def stray(self, path: str) -> str:
        self.real(path)
        return str((self._get("paths").get(path) or {}).get("stray", ""))

    def leads(self, paths: t.Collection[str]) -> dict[str, File]:
        """What is in the directories that the case tells of."""
        if self.said.get("dead"):
            raise HostError(f"{self.said['dead']}: no answer")
        there = {
            os.path.normpath(f"{folder}/{name}"): self._identity(f"{folder}/{name}", said)
            for folder, what in self._get("paths").items()
            for name, said in (_inside(what)).items()
        }
        found = {path: there.get(os.path.normpath(path)) for path in paths}
        return {path: file for path, file in found.items() if file}

    def head(self, path: str, unpack: bool) -> Head:
        node, said = self.node(path), self._inside(path) or self._volume_said(path)
        assert node and said is not None, f"the case does not say what is in {path}"
        return Head(node, node.size, said.get("packed", "") if unpack else "", _header(said))

    def _volume_said(self, path: str) -> Said | None:
        """What a case says of a logical volume, or of a partition."""
        group, name = path.split("/")[-2:]
        found = self._get("groups").get(group, {}).get("volumes", {}).get(name)
        parts = (disk.get("parts", {}).get(name) for disk in self._get("disks").values())
        return found or next(filter(None, parts), None)

    def headers(self, paths: t.Collection[str]) -> dict[str, tuple[File, bytes]]:
        there = {path: self._inside(path) for path in paths}
        return {
            path: (self._identity(path, said), _header(said))
            for path, said in there.items()
            if said is not None
        }

    def content(self, seen: File, most: int) -> bytes:
        inside = self._inside(seen.path) or {}
        return _seed(inside["seed"]) if "seed" in inside else b""

    def ends(self, device: str) -> str:
        return "noise" if self._disk(device).get("noise") else ZEROS

    def taken(self, device: str) -> bool:
        return bool(self._disk(device).get("taken"))

    def same(self, path: str, start: int, count: int, other: str) -> bool:
        return bool((self._inside(path) or {}).get("equal"))

    def marks(self, devices: t.Sequence[str]) -> dict[str, str]:
        return {path: self._disk(path)["mark"] for path in devices if "mark" in self._disk(path)}

    def integer(self, device: str, place: int) -> int:
        disk = self._disk(device)
        said = disk.get("integers", {})
        return int(said.get(place, _gpt_header(disk).get(place, 0)))

    def _disk(self, path: str) -> Said:
        """What is said of the disk at a path; an active logical volume is like a blank one."""
        disks = dict(self._disks(self._get("disks")))
        node = self.nodes.get(self.real(path))
        return disks.get(node.device if node else "", {})

    def _disks(self, disks: Said) -> t.Iterator[tuple[str, Said]]:
        for disk in disks.values():
            yield disk["number"], disk
            yield from self._disks(disk.get("parts", {}))

    def links(self, path: str) -> list[str]:
        return [path, *((self._get("paths").get(path) or {}).get("links", ()))]

    def rehearse(self, *argv: str) -> tuple[int, str, str]:
        self.asked.append(shlex.join(argv))
        said = self._get("rehearsals").get(argv[0], 0)
        if isinstance(said, str):
            said = {"code": 1, "errors": said}
        if isinstance(said, int):
            said = {"code": said}
        return said["code"], "", said.get("errors", "")

    def mounts_elsewhere(self) -> list[Mount]:
        lines = "".join(self._mount(*item) for item in self._get("elsewhere").items())
        return read_mounts(lines, "container (99)")

    def loops(self) -> list[Loop]:
        return [self._loop(*item) for item in self._get("loops").items()]

    def _loop(self, path: str, backing: str) -> Loop:
        file, node = self.file(backing), self.node(backing)
        assert file and node
        return Loop(path, backing, file.device, file.inode, node.device)

    def opened(self) -> list[Open]:
        return [self._open(*item) for item in self._get("open").items()]

    def _open(self, path: str, who: str) -> Open:
        if path not in self.nodes and self._inside(path) is None:
            return Open(who, path)
        file, node = self.file(path), self.node(path)
        assert file and node
        pid = who.rpartition("(")[2].rstrip(")")
        info = next((name for name in self.files if name.startswith(f"/proc/{pid}/fdinfo/")), "")
        return Open(who, path, file.device, file.inode, node.device, info=info)

    def patiently(self, look: t.Callable[[], t.Any], *_others: t.Any) -> t.Any:
        return look()

    def within(self, what: str, look: t.Callable[[], t.Any]) -> t.Any:
        return look()

    def addresses(self, name: str) -> list[str]:
        return list(self._get("addresses").get(name, [name]))

    def space(self, path: str) -> tuple[int, int]:
        total, free = (self._get("paths")[path] or {}).get("space", (10 * GIB, 4 * GIB))
        return total, free

    def user_id(self, name: str) -> int | None:
        said = self._get("users")
        return int(said.get(name, name)) if name.isdigit() or name in said else None

    group_id = user_id

    def _answer(self, argv: t.Sequence[str], stdin: str) -> tuple[int, str, str]:
        if argv[0] == WITHIN:
            argv = argv[2:]
        line = shlex.join(argv)
        self.asked.append(line)
        said = self._get("commands").get(argv[0])
        if said:
            return said["code"], "", said["errors"]
        if argv[0] == "parted" and "table" not in self._disk(argv[3]):
            return 1, "", "unrecognised disk label"
        answers: dict[tuple[str, ...], t.Callable[..., str]] = {
            ("wipefs", "--no-act"): self._wipefs,
            ("lvm", "fullreport"): self._lvm,
            ("lvm", "pvs"): self._pvs,
            ("dumpe2fs", "-h"): lambda path: str(self._disk(path)["superblock"]),
            ("xfs_growfs", "-n"): lambda path: str(self.said["xfs"][path]),
            ("lvm", "version"): lambda: f"  LVM version: {self.said.get('lvm') or '2.03.16'}(2)\n",
            ("lvm", "systemid"): lambda: f"  system ID: {self.said.get('system_id') or ''}\n",
            ("virsh", "--readonly"): self._virsh,
            ("lsattr", "-d"): self._lsattr,
            ("parted", "--machine"): self._parted,
            ("sfdisk", "--json"): self._sfdisk,
            ("showmount", "--no-headers"): lambda *_words: str(self.said.get("exports") or ""),
            ("iscsiadm", "--mode"): lambda *_words: str(self.said.get("targets") or ""),
            ("udevadm", "settle"): lambda: "",
            ("dmsetup", "status"): lambda *_words: str(self.said.get("multipath") or ""),
        }
        return 0, answers[tuple(argv[:2])](*argv[2:]), ""

    def _wipefs(self, json_: str, *paths: str) -> str:
        rows = [
            {
                **{"device": path.rpartition("/")[2], "type": kind},
                **{"offset": self._place(path, kind), "uuid": self._disk(path).get("uuid")},
            }
            for path in paths
            for kind in self._disk(path).get("dirt", ())
        ]
        return json.dumps({"signatures": rows}) if rows else ""

    def _place(self, path: str, kind: str) -> str:
        return hex(self._disk(path).get("places", {}).get(kind, 0))

    def _parted(self, _script: str, path: str, *_words: str) -> str:
        return str(self._get("disks")[self.real(path)]["table"])

    def _sfdisk(self, path: str) -> str:
        disk = self._get("disks")[self.real(path)]
        rows = [{"start": start, "type": kind} for start, kind in disk.get("types", {}).items()]
        return json.dumps({"partitiontable": disk.get("sfdisk", {"partitions": rows})})

    def devices(
        self, path: str, order: t.Callable[[t.Iterable[str]], t.Iterable[str]] = iter
    ) -> dict[str, str]:
        inside = {p.rpartition("/")[2]: p for p in self.nodes if p.startswith(f"{path}/")}
        found: dict[str, str] = {}
        for name in order(inside):
            found.setdefault(self.nodes[inside[name]].device, inside[name])
        return found

    def _lsattr(self, path: str) -> str:
        return f"{'---C---' if self._get('paths')[path]['cow'] == 'no' else '-------'} {path}\n"

    def _lvm(self, *_options: str) -> str:
        reports = [self._report(name, group) for name, group in self._get("groups").items()]
        said = (*(self.said.get("orphans") or ()), *(self.said.get("in_use") or ()))
        orphans = [self._device(path) for path in said]
        if orphans:
            reports.append({"vg": [], "pv": orphans, "lv": [], "pvseg": [], "seg": []})
        return json.dumps({"report": reports})

    def _report(self, name: str, group: Said) -> dict[str, t.Any]:
        row = {
            "vg_uuid": group.get("uuid", f"UUID-{name}"),
            "vg_name": group.get("name", name),
            "vg_size": str(group.get("size", 2 * GIB)),
            "vg_free": str(group.get("free", GIB)),
            "vg_extent_size": str(EXTENT),
            "vg_autoactivation": "enabled" if group.get("autoactivation", True) else "",
            "vg_exported": "exported" if group.get("exported") else "",
            "vg_systemid": group.get("system_id", ""),
            "vg_lock_type": group.get("lock_type", ""),
            "max_lv": str(group.get("most_volumes", 0)),
            "max_pv": str(group.get("most_devices", 0)),
        }
        gone = {"pv_name": "[unknown]", "pv_missing": "missing", "pv_allocatable": ""}
        return {
            "vg": [row],
            "pv": [
                *self._members(group),
                *({**gone, "pv_uuid": uuid} for uuid in group.get("missing", ())),
            ],
            "lv": [
                _volume(number, *item)
                for number, item in enumerate(group.get("volumes", {}).items())
            ],
            "pvseg": [],
            "seg": [
                _segment(group["devices"][0], *item) for item in group.get("volumes", {}).items()
            ],
        }

    def _device(self, path: str) -> dict[str, str]:
        major, minor = self.nodes[path].device.split(":")
        in_use = "used" if path in (self.said.get("in_use") or ()) else ""
        numbers = {"pv_major": major, "pv_minor": minor, "pv_in_use": in_use, "pv_ext_vsn": "2"}
        return {"pv_name": path, "pv_uuid": "u", "pv_missing": "", "pv_free": "0", **numbers}

    def _members(self, group: Said) -> list[dict[str, str]]:
        """The devices of a group; where nothing else is said, all that is free is on the first."""
        first, *rest = group["devices"]
        frees = group.get("frees", [group.get("free", GIB), *(0 for dummy in rest)])
        return [
            {**self._device(path), "pv_free": str(free), "pv_allocatable": "allocatable"}
            for path, free in zip([first, *rest], frees)
        ]

    def _pvs(self, *words: str) -> str:
        name = words[-1].partition("=UUID-")[2]
        rows = [
            {"pv_name": path, "pe_start": str(1 << 20), "pv_mda_count": "1", **self._sizes(path)}
            for path in self._get("groups")[name]["devices"]
        ]
        return json.dumps({"report": [{"pv": rows}]})

    def _sizes(self, path: str) -> dict[str, str]:
        disk = self._disk(path)
        return {
            "dev_size": str(disk.get("size", 2 * GIB)),
            "pv_size": str(disk.get("used", 2 * GIB - EXTENT)),
            **({"pv_mda_count": "2"} if disk.get("metadata_at_end") else {}),
        }

    def _virsh(self, *words: str) -> str:
        daemon, defined = self._get("daemon"), sorted(self._get("pools"))
        active = [*(daemon.get("active") or ()), *(daemon.get("transient") or ())]
        command, name = words[3], words[-1].partition("=")[2]
        if command.startswith("pool-list"):
            lists = [defined, active, daemon.get("autostart") or ()]
            return "/".join("".join(f"{name}   \n" for name in names) for names in lists)
        if command == "vol-list":
            return "".join(f"{line}\n" for line in (daemon.get("listings") or {}).get(name, ()))
        if command.startswith("vol-dumpxml"):
            pool = command.split("'")[1]
            return str((daemon.get("volumes") or {}).get(pool, ""))
        assert command == "pool-dumpxml", words
        return self.files[f"{_registry.FOLDER}/{name}.xml"]


def _inside(what: t.Any) -> Said:
    inside = (what or {}).get("inside")
    return inside if isinstance(inside, dict) else {}


def _gpt_header(disk: Said) -> dict[int, int]:
    """What the header of a partition table for up to 128 partitions says, by place."""
    sector, size = disk.get("sector", 512), disk.get("size", 2 * GIB)
    entries = 16384 // sector
    values = {
        32: size // sector - 1,
        40: 2 + entries,
        48: size // sector - 2 - entries,
        80: (128 << 32) + 128,
    }
    return {sector + place: value for place, value in values.items()}


def _node(said: Said, device: str = "") -> Node:
    return Node(
        said.get("kind", "dir"),
        Permissions(said.get("mode", "0711"), said.get("owner", 0), said.get("group", 0)),
        said.get("size", 0),
        device,
        said.get("filesystem", ""),
        allocated=said.get("allocated", 0),
        times=(0, said.get("changed", 0) * 10**9, 0),
    )


def _volume(number: int, name: str, said: Said) -> dict[str, str]:
    active = said.get("active", True)
    return {
        "lv_name": name,
        "lv_uuid": f"uuid-of-{name}",
        "lv_size": str(said["size"]),
        "lv_active": "active" if active else "",
        "lv_device_open": "open" if said.get("open") else "" if active else "unknown",
        "lv_attr": said.get("attr", "-wi-a-----" if active else "-wi-------"),
        "origin": said.get("origin", ""),
        "lv_role": said.get("role", "public"),
        "lv_kernel_major": "253" if active else "-1",
        "lv_kernel_minor": str(number) if active else "-1",
        "lv_tags": ",".join(said.get("tags", ())),
        "pool_lv": said.get("pool", ""),
        "lv_metadata_size": str(said.get("metadata", "")),
        "data_percent": said.get("data_percent", ""),
        "metadata_percent": said.get("metadata_percent", ""),
        "lv_check_needed": said.get("check_needed", ""),
    }


def _segment(device: str, name: str, said: Said) -> dict[str, str]:
    kind, areas = said.get("segtype", "linear"), said.get("areas", 1)
    places = f"{device}(0)" if kind == "linear" else ""
    uuid, size = f"uuid-of-{name}", str(said["size"])
    row = {"lv_uuid": uuid, "segtype": kind, "stripes": str(areas)}
    sizes = {key: str(said.get(key, 0)) for key in ("stripe_size", "chunk_size")}
    return {**row, **sizes, "seg_size": size, "devices": places}


def _seed(said: t.Mapping[str, str]) -> bytes:
    """A CD with files in its first directory, of which only Joliet has the names."""
    image, names = bytearray(24 * 2048), [*said]
    image[16 * 2048 : 16 * 2048 + 7] = b"\1CD001\1"
    image[16 * 2048 + 40 : 16 * 2048 + 72] = b"cidata".ljust(32)
    image[17 * 2048 : 17 * 2048 + 7] = b"\2CD001\1"
    image[17 * 2048 + 88 : 17 * 2048 + 91] = b"%/E"
    struct.pack_into("<I4xI", image, 17 * 2048 + 158, 20, 2048)
    image[18 * 2048 : 18 * 2048 + 7] = b"\xffCD001\1"
    place = 20 * 2048
    for number, name in enumerate(["\0", "\1", *names]):
        text = name.encode("utf-16-be") if number > 1 else name.encode()
        row = bytearray(33) + text + b"\0" * (1 - len(text) % 2)
        row[0], row[25], row[32] = len(row), 2 * (number < 2), len(text)
        content = said.get(name, "").encode()
        struct.pack_into("<I4xI", row, 2, len(image) // 2048, len(content))
        image[place : place + len(row)] = row
        place += len(row)
        image += content.ljust(-(-len(content) // 2048) * 2048, b"\0")
    return bytes(image)


def _header(said: t.Mapping[str, t.Any]) -> bytes:
    if "seed" in said:
        return _seed(said["seed"])
    if said.get("format") == "luks":
        words = (b"LUKS\xba\xbe", 1, b"aes", b"xts-plain64", b"sha256", 4040, 64)
        slots = struct.pack(">I44x", 0x00AC71F3) + bytes(7 * 48)
        return struct.pack(">6sH32s32s32sII", *words).ljust(208, b"\0") + slots
    if said.get("format") == "qed":
        return struct.pack("<4sI40xQ", b"QED\0", 65536, said["capacity"]).ljust(512, b"\0")
    if said.get("format") == "qcow":
        return struct.pack(">4sI16xQ", b"QFI\xfb", 1, said["capacity"]).ljust(512, b"\0")
    if said.get("format") != "qcow2":
        return str(said.get("header", "")).encode()
    return _qcow2_header(said)


def _qcow2_header(said: t.Mapping[str, t.Any]) -> bytes:
    version, told = said.get("version", 3), str(said.get("backing_format", "")).encode()
    length = 104 if version == 3 else 72
    more = struct.pack(">II", 0xE2792ACA, len(told)) + told.ljust(-(-len(told) // 8) * 8, b"\0")
    more = (more if told else b"") + bytes(8)
    backing = str(said.get("backing", "")).encode()
    start = length + len(more) if backing else 0
    fixed = struct.pack(">4sIQIIQ", b"QFI\xfb", version, start, len(backing), 16, said["capacity"])
    fixed += struct.pack(">I", said.get("method", 0))
    fixed = fixed.ljust(100, b"\0") + struct.pack(">I", 104) if version == 3 else fixed
    return fixed.ljust(length, b"\0") + more + backing
