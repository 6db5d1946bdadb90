# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes that are files in a directory."""

from __future__ import annotations

import hashlib
import shlex
import typing as t
from dataclasses import replace

from .._host import Entry, Reader
from .._model import Refused, Volume
from .._plan import Steps, call
from .._size import round_up, show
from .._tools import files, fs, qemu_img
from . import base

# A file is made under such a name, and gets its own only when it is whole.
_MAKING = ".poolwright-"


class Files(base.Volumes):
    def __init__(self, path: str) -> None:
        self.path = path.rstrip("/")
        self._leftovers: list[str] = []
        self._space = (0, 0)

    def look(self, host: Reader, users: bool = False) -> list[Volume]:
        self._space = host.space(self.path)
        entries = host.entries(self.path)
        self._leftovers = [entry.name for entry in entries if entry.name.startswith(_MAKING)]
        volumes = [self._volume(e) for e in entries if not e.name.startswith(_MAKING)]
        if users:
            held = fs.holders(host, [volume.path for volume in volumes])
            volumes = [replace(volume, users=held[volume.path]) for volume in volumes]
        return volumes

    def _volume(self, entry: Entry) -> Volume:
        node, path = entry.node, f"{self.path}/{entry.name}"
        found = Volume(
            entry.name, path, path, permissions=node.permissions, timestamps=base.times(node)
        )
        if node.kind == "dir":
            return replace(found, type="dir", format="dir")
        image = qemu_img.read(entry.header)
        backing = image.backing_path
        if backing and not backing.startswith("/") and ":" not in backing.split("/")[0]:
            backing = f"{self.path}/{backing}"
        return replace(
            found,
            format=image.format,
            capacity=node.size if image.capacity is None else image.capacity,
            allocation=node.allocated,
            physical=node.size,
            compat=image.compat,
            cluster_size=image.cluster_size,
            features=image.features,
            backing_path=backing,
            backing_format=image.backing_format,
            data=node.allocated > 0,
        )

    def room(self) -> base.Room:
        return base.Room(*self._space)

    def step(self, format: str) -> int:
        return 1 if format == "raw" else 512

    def faults(self, wanted: base.Wanted) -> t.Iterator[str]:
        if wanted.capacity and wanted.capacity.free:
            yield f"{wanted.name}: a file's capacity cannot be a share of the space that is free"
        if wanted.allocation and wanted.format == "qcow2":
            yield f"{wanted.name}: a qcow2 image takes space as it fills, so leave allocation out"

    def cost(self, wanted: base.Wanted, capacity: int, allocation: int) -> int:
        return allocation if wanted.format in ("", "raw") else 0

    def create(self, wanted: base.Wanted, capacity: int, allocation: int) -> Steps:
        format = wanted.format or "raw"
        if format not in qemu_img.CREATABLE:
            raise Refused(
                f"Nothing was changed: volume {wanted.name} is to be made as {format}, and only "
                "raw and qcow2 volumes are made. Correct format."
            )
        path, making = f"{self.path}/{wanted.name}", f"{self.path}/{_MAKING}{_digest(wanted.name)}"
        text = f"make {format} volume {wanted.name} of {show(capacity)}"
        if format == "raw":
            quoted = shlex.quote(making)
            command = f"truncate --size={capacity} {quoted}"
            if allocation:
                command += f" && fallocate --length={allocation} {quoted}"
            yield call(text, "make_file", making, capacity, allocation, command=command)
        else:
            yield qemu_img.create(text, making, format, capacity)
        wish = wanted.permissions
        owner = -1 if wish.owner is None else wish.owner
        group = -1 if wish.group is None else wish.group
        text = f"give volume {wanted.name} its name"
        command = f"mv --no-clobber {shlex.quote(making)} {shlex.quote(path)}"
        yield call(text, "publish", path, making, wish.mode, owner, group, command=command)

    def resize(self, seen: Volume, capacity: int) -> Steps:
        shrink = capacity < seen.capacity
        verb = "shrink" if shrink else "grow"
        text = f"{verb} volume {seen.name} from {show(seen.capacity)} to {show(capacity)}"
        if seen.format == "raw":
            risk = "shrink" if shrink else ""
            command = f"truncate --size={capacity} {shlex.quote(seen.path)}"
            yield call(text, "truncate", seen.path, capacity, risk=risk, command=command)
        elif seen.format in qemu_img.CREATABLE:
            yield qemu_img.resize(text, seen.path, seen.format, capacity, shrink)
        else:
            raise Refused(
                f"Nothing was changed: volume {seen.name} is a {seen.format} image of "
                f"{show(seen.capacity)}, and only raw and qcow2 volumes are resized."
            )

    def allocate(self, seen: Volume, allocation: int) -> Steps:
        # A file system may count some more or fewer blocks than it was asked for.
        if seen.format == "raw" and round_up(seen.allocation, 4096) < allocation:
            text = f"reserve {show(allocation)} for volume {seen.name}"
            command = f"fallocate --length={allocation} {shlex.quote(seen.path)}"
            yield call(text, "allocate", seen.path, allocation, command=command)

    def delete(self, seen: Volume) -> Steps:
        if seen.type == "dir":
            raise Refused(
                f"Nothing was changed: {seen.path} is a directory. Remove it by other means, or "
                "leave it out of the task."
            )
        risk = "delete" if seen.data else ""
        yield files.remove(seen.path, f"remove volume {seen.name}", risk)

    def leftovers(self) -> Steps:
        for name in self._leftovers:
            text = f"remove {name}, which an interrupted run left"
            yield files.remove(f"{self.path}/{name}", text)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
