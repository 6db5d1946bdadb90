# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an image is to be based on.

What a guest has written into a raw disk can look like an image that is based on any file of the
host.  So a volume is read as what the task says that it is, and a file as an image only where that
needs no other file, or where the task says that, too.
"""

from __future__ import annotations

from dataclasses import replace

from .._host import Reader
from .._model import PLAIN, Backing, Refused, Volume
from .._size import round_up
from .._tools import files, qemu_img
from .base import Below, Volumes, Wanted

_TOLD = ("qcow2", "qcow", "qed", "vdi")  # images that always begin as such


def on_path(host: Reader, name: str, below: Below) -> Backing:
    """A file or device that is no volume of the pool's."""
    path, stray, node = below.path, host.stray(below.path), host.node(below.path)
    if stray:
        raise Refused(f"Nothing was changed: {files.led(path, stray)}")
    if node is None or node.kind not in ("file", "block"):
        what = "is neither a file nor a block device" if node else "is not there"
        raise Refused(
            f"Nothing was changed: volume {name} is to be based on {path}, which {what}. Correct "
            "backing."
        )
    head = host.head(path, False)
    image = qemu_img.read(head.header)
    strange = "" if below.format else qemu_img.strange(head.header, image)
    if strange:
        raise Refused(
            f"Nothing was changed: {path} is a {image.format} image that {strange}, or a raw disk "
            f"in which a guest wrote that. Write the format in backing: {image.format} or raw."
        )
    format = _read_as(name, path, below.format, image.format)
    capacity = head.size if format in PLAIN or image.capacity is None else image.capacity
    return Backing(path, format, capacity, host.file(path))


def on_volume(name: str, below: Below, volumes: Volumes, there: Volume) -> Backing:
    """A volume that is there."""
    if there.type not in ("file", "block"):
        raise Refused(
            f"Nothing was changed: volume {name} is to be based on {there.path}, which is a "
            "directory. Correct backing."
        )
    if there.encryption:
        raise _encrypted(name, there.path)
    there = volumes.told(there, Wanted(there.name, format=below.format)) if below.format else there
    if there.probed and there.format not in PLAIN and not below.format:
        raise Refused(
            f"Nothing was changed: {there.path}, which volume {name} is to be based on, begins "
            f"with the header of a {there.format} image. It does not tell whether it is one, or a "
            "raw disk in which a guest wrote that. Write the format in backing: "
            f"{there.format} or raw."
        )
    format = _read_as(name, there.path, below.format, there.format or "raw")
    return Backing(there.path, format, there.capacity, there.real)


def on_new(wish: Wanted, below: Below, base: Wanted, folder: str) -> Backing:
    """A volume that the same task makes before, in the same directory."""
    if base.encryption:
        raise _encrypted(wish.name, f"{folder}/{below.volume}")
    own = base.format or (base.content.format if base.content else "raw")
    if not own and not below.format:
        raise Refused(
            f"Nothing was changed: volume {wish.name} is to be based on {base.name}, whose format "
            f"is not known before it is fetched. Write format for {base.name}."
        )
    path, format = f"{folder}/{below.volume}", below.format or own
    if own and _plain(format) != _plain(own):
        raise _other(wish.name, path, own, format)
    like = base.like
    capacity = base.capacity.bytes if base.capacity else like.capacity if like else 0
    return Backing(path, _plain(format), round_up(capacity, 512))


def cloned(wish: Wanted, there: Volume) -> Volume:
    """A volume that is cloned with what it is based on, where the task says what that is."""
    base = wish.target.backing
    if base and not qemu_img.is_on(there, base):
        raise _other_base(wish.name, there.name, there.backing_path, base)
    return replace(there, strange="") if base and "data_file" not in there.features else there


def cloned_anew(wish: Wanted, other: Wanted) -> None:
    """Raises `Refused` where a clone of what the same task makes would be based on another file."""
    base, own = wish.target.backing, other.target.backing
    if base and (own is None or (own.path, own.format) != (base.path, base.format)):
        raise _other_base(wish.name, other.name, own.path if own else "", base)


def resized(backing: Backing, base: Wanted) -> Backing:
    """What is known of a volume that the same task grows or shrinks before."""
    capacity = base.capacity.bytes if base.capacity else backing.capacity
    return Backing(backing.path, backing.format, capacity, backing.file)


def whole(host: Reader, name: str, backing: Backing) -> Backing:
    """The same; raises `Refused` where not all is there that it is based on itself."""
    links = qemu_img.chain(host, backing.path, backing.format)
    for upper, link in zip(links, links[1:]):
        if link.file is None:
            raise Refused(
                f"Nothing was changed: volume {name} is to be based on {backing.path}, and "
                f"{upper.path} on {files.shown(link.path)}, which is not there. Bring that back, "
                "or name another volume."
            )
    again = [link for link in links[:-1] if qemu_img.same(link.file, links[-1].file)]
    if again:
        raise Refused(
            f"Nothing was changed: volume {name} is to be based on {backing.path}, which is based "
            f"on itself, by {files.shown(again[0].path)}. Name another one."
        )
    return backing


def _read_as(name: str, path: str, said: str, seen: str) -> str:
    """The format to read it as, which is written into the image."""
    if said in _TOLD and said != seen:
        raise _other(name, path, seen, said)
    return _plain(said or seen)


def _other(name: str, path: str, seen: str, said: str) -> Refused:
    return Refused(
        f"Nothing was changed: volume {name} is to be based on {path}, which is {seen}, and its "
        f"backing says {said}. Correct format in backing."
    )


def _other_base(name: str, source: str, own: str, base: Backing) -> Refused:
    return Refused(
        f"Nothing was changed: volume {name} is to be cloned from {source}, which is based on "
        f"{files.shown(own) or 'nothing'}, and backing says {base.path} ({base.format}). Correct "
        "backing, or leave it out."
    )


def _encrypted(name: str, path: str) -> Refused:
    return Refused(
        f"Nothing was changed: volume {name} is to be based on {path}, which is encrypted, so that "
        "nobody could open both. Correct backing."
    )


def _plain(format: str) -> str:
    """As qemu calls it, for which there are no other names of raw disks."""
    return "raw" if format in PLAIN else format
