# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kernel tells of mounts, processes and loop devices, in every namespace.

A process that ends meanwhile is passed over; whatever else cannot be read raises `OSError`.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import struct
import typing as t
from dataclasses import dataclass, replace

# A look at a file of a server that is dead never ends; such files are known by their path only.
REMOTE = frozenset(
    ["nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "fuse.glusterfs", "fuse.sshfs"]
)
_MOST_LINKS = 40  # as many as the kernel follows
_LOOP_GET_STATUS64 = 0x4C05
# address, rights, offset, device, inode, path
_MAPPED = re.compile(r"^(\S+) (\S+) \S+ (\S+) ([1-9]\d*) +(/.*)$", re.MULTILINE)
# Where systemd has the process of udev, and those that it starts for each event.
_UDEV = re.compile(r":/system\.slice/systemd-udevd\.service(/|$)", re.M)
_CLIENTS = "/proc/fs/nfsd/clients"  # from Linux 5.3 on
_STATE = re.compile(r'superblock: "([0-9a-f]+):([0-9a-f]+):(\d+)"')
_WRITING = re.compile(r"(access: [r-]?w|type: write)")
_GONE = (FileNotFoundError, ProcessLookupError, NotADirectoryError)


@dataclass(frozen=True)
class Mount:
    """A line of mountinfo; a later one covers an earlier one at the same target.

    ``peers`` are its peer groups, by which what is unmounted in one place goes in others, too.
    ``elsewhere`` is a process of the mount namespace that it is in, "" for our own.
    """

    device: str  # major:minor
    root: str
    target: str
    format: str
    source: str
    options: frozenset[str]
    peers: frozenset[str] = frozenset()
    elsewhere: str = ""

    @property
    def remote(self) -> bool:
        """Whether a look may have to wait for somebody else: a server, or what answers for one."""
        return self.format in {*REMOTE, "autofs"} or self.format.startswith("fuse.")


@dataclass(frozen=True)
class Open:
    """What a process, ``name (pid)``, has open.

    ``device`` and ``inode`` are stat's, 0 where the path alone tells; ``number`` is a block
    device's, as ``major:minor``.  Whether it ``writes`` is told here of what it has mapped, and of
    what it has open by the file ``info``.
    """

    who: str
    path: str
    device: int = 0
    inode: int = 0
    number: str = ""
    writes: bool = False
    info: str = ""


@dataclass(frozen=True)
class Loop:
    """A loop device and what is behind it: a file, or the device ``number``."""

    path: str
    backing: str
    device: int
    inode: int
    number: str = ""


def number(device: int) -> str:
    """A device number as the kernel writes it."""
    return f"{os.major(device)}:{os.minor(device)}"


def read_mounts(text: str, elsewhere: str = "") -> list[Mount]:
    """Reads a mountinfo."""
    found = []
    for line in filter(None, text.split("\n")):
        before, after = line.split(" - ", 1)
        fields, (kind, source, *rest) = before.split(" "), after.split(" ")
        options = frozenset(fields[5].split(",") + [o for r in rest for o in r.split(",")])
        peers = (word.partition(":") for word in fields[6:])
        found.append(
            Mount(
                fields[2],
                plain(fields[3]),
                plain(fields[4]),
                kind,
                plain(source),
                options,
                frozenset(group for way, dummy, group in peers if way in ("shared", "master")),
                elsewhere,
            )
        )
    return found


def server(path: str) -> str:
    """The mount of a server that a path leads to, found without asking it; "" where none does."""
    mounts = read_mounts(_text("/proc/self/mountinfo") or "")
    remote = {mount.target for mount in mounts if mount.remote} - {"/"}
    at, left, links = "/", path.split("/")[::-1] if remote else [], 0
    while left and links < _MOST_LINKS:
        at = os.path.normpath(os.path.join(at, left.pop()))
        if at in remote:
            return at
        target = _link(at)
        if target:
            left += target.split("/")[::-1]
            at, links = "/" if target[0] == "/" else os.path.dirname(at), links + 1
    return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:  # no link, or nothing at all
        return ""


def plain(field: str) -> str:
    """A field of mountinfo or of swaps without its octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def mounts_elsewhere() -> list[Mount]:
    """The mounts of all mount namespaces but our own."""
    seen = {_namespace("self")}
    found: list[Mount] = []
    for pid in _pids():
        namespace = _namespace(pid)
        if namespace and namespace not in seen:
            seen.add(namespace)
            text = _text(f"/proc/{pid}/mountinfo")
            found += read_mounts(text or "", _name(pid))
    return found


def opened(own: int, alive: t.Callable[[], None]) -> list[Open]:
    """Every file and device that a process other than ``own`` and this one has open or mapped.

    ``alive`` is called after each process.
    """
    remote: dict[str, tuple[str, ...]] = {}
    found: list[Open] = []
    for pid in _pids(own):
        if not _target(f"/proc/{pid}/exe"):  # a thread of the kernel, which has nothing open
            continue
        namespace = _namespace(pid)
        if namespace not in remote:
            mounts = read_mounts(_text(f"/proc/{pid}/mountinfo") or "")
            remote[namespace] = tuple(m.target for m in mounts if m.format in REMOTE)
        who = _name(pid)
        if "udev" in who and _UDEV.search(_text(f"/proc/{pid}/cgroup") or ""):
            continue  # it looks at what is new or was closed, for a moment, for nobody
        found += [_look(each, remote[namespace]) for each in (*_links(pid, who), *_maps(pid, who))]
        alive()
    return [*found, *served()]


def served() -> list[Open]:
    """What clients of this host's own NFS server have open, of which no process here knows."""
    try:
        clients = os.listdir(_CLIENTS)
    except _GONE:
        return []
    return [each for name in clients for each in _states(f"{_CLIENTS}/{name}")]


def _states(folder: str) -> t.Iterator[Open]:
    address = re.search(r'^address: "(.+)"$', _text(f"{folder}/info") or "", re.MULTILINE)
    who = f"NFS client {address[1] if address else 'without an address'}"
    for state in (_text(f"{folder}/states") or "").split("\n"):
        found = _STATE.search(state)
        if found:
            device = os.makedev(int(found[1], 16), int(found[2], 16))
            yield Open(who, "", device, int(found[3]), writes=bool(_WRITING.search(state)))


def _pids(own: int = 0) -> list[str]:
    ours = {str(own), str(os.getpid())}
    return [pid for pid in os.listdir("/proc") if pid.isdigit() and pid not in ours]


def _namespace(pid: str) -> str:
    return _target(f"/proc/{pid}/ns/mnt")


def _name(pid: str) -> str:
    comm = (_text(f"/proc/{pid}/comm") or "").strip()  # which the process itself chooses
    return f"{comm if comm.isprintable() else 'a process'} ({pid})"


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return file.read()
    except _GONE:
        return None


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except _GONE:
        return ""


def _links(pid: str, who: str) -> t.Iterator[tuple[Open, str]]:
    """What is open by number, and the folders that a process is in."""
    folder = f"/proc/{pid}/fd"
    try:
        numbers = os.listdir(folder)
    except _GONE:
        numbers = []
    for link in (
        *(f"/proc/{pid}/{name}" for name in ("cwd", "root", "exe")),
        *_in(folder, numbers),
    ):
        path = _target(link)
        if path.startswith("/") and not path.startswith("/memfd:"):
            info = link.replace("/fd/", "/fdinfo/") if "/fd/" in link else ""
            yield Open(who, path, info=info), link


def _in(folder: str, names: t.Iterable[str]) -> t.Iterator[str]:
    return (f"{folder}/{name}" for name in names)


def _maps(pid: str, who: str) -> t.Iterator[tuple[Open, str]]:
    """What is mapped into memory; the kernel tells its numbers, and of a device the node's."""
    mapped: dict[t.Any, tuple[str, bool]] = {}
    for place, rights, *what in _MAPPED.findall(_text(f"/proc/{pid}/maps") or ""):
        writes = {"w", "s"} <= set(rights) or mapped.get(tuple(what), ("", False))[1]
        mapped[tuple(what)] = place, writes
    for (device, inode, path), (place, writes) in mapped.items():
        major, minor = device.split(":")
        number = os.makedev(int(major, 16), int(minor, 16))
        there = Open(who, path, number, int(inode), writes=writes)
        yield there, f"/proc/{pid}/map_files/{place}" if path.startswith("/dev/") else ""


def _look(found: tuple[Open, str], remote: tuple[str, ...]) -> Open:
    """The same with what stat says of it, unless a server would have to be asked."""
    each, link = found
    if not link or any(f"{each.path}/".startswith(f"{target}/") for target in remote):
        return each
    try:
        there = os.stat(link)
    except OSError:  # gone, or of a file system that lets nobody look
        return each
    block = number(there.st_rdev) if stat.S_ISBLK(there.st_mode) else ""
    return replace(each, device=there.st_dev, inode=there.st_ino, number=block)


def loops() -> list[Loop]:
    """All loop devices that something is behind."""
    found = []
    for name in os.listdir("/sys/block"):
        backing = _text(f"/sys/block/{name}/loop/backing_file") if name[:4] == "loop" else None
        if backing is not None:
            found += _loop(f"/dev/{name}", backing.rstrip("\n"))
    return found


def _loop(path: str, backing: str) -> list[Loop]:
    try:
        device = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            told = fcntl.ioctl(device, _LOOP_GET_STATUS64, bytes(232))
        finally:
            os.close(device)
    except OSError:  # no longer one
        return []
    where, inode, block = struct.unpack_from("=QQQ", told)
    return [Loop(path, backing, where, inode, number(block) if block else "")]
