# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a volume is filled with when it is made.

An image can name other files, which qemu-img reads with all rights of root.  So it is looked at
before it is used, here or, where it has to be fetched or unpacked, once that has been done.
"""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass, replace

from .._host import Reader
from .._model import PLAIN, Device, Encryption, File, Filling, Lacking, Refused, Source, Volume
from .._size import Size
from .._tools import block, files, luks, qemu_img


@dataclass(frozen=True)
class Origin:
    """Where content comes from, in the words of the task: another volume, a path, a url, an upload.

    An upload that has been sent has a path.
    """

    volume: str = ""
    pool: str = ""  # "" is the volume's own
    reflink: str = "auto"
    path: str = ""
    url: str = ""
    upload: str = ""
    checksum: str = ""
    format: str = ""
    unpack: bool = False
    sync: bool = False

    @property
    def shown(self) -> str:
        pool = f" of pool {self.pool}" if self.pool else ""
        return f"volume {self.volume}{pool}" if self.volume else self.path or self.url


def understood(shown: str, said: str, based: bool, header: bytes) -> tuple[str, int]:
    """The format and the capacity of what begins so; raises `Refused` where it names files.

    What is ``said`` to be raw is, whatever its first bytes are.  Where the task says what it is
    ``based`` on, that is all that it may name, and nobody follows the name.
    """
    if said in PLAIN:
        return said, 0
    image = qemu_img.read(header)
    if said and image.format != said:
        raise Refused(
            f"Nothing was changed: {shown} is said to be a {said} image, and begins like "
            f"{'none' if image.format == 'raw' else f'one of format {image.format}'}. Correct the "
            "format of source, or leave it out."
        )
    why = qemu_img.strange(header, image)
    if based and (image.format, bool(image.backing_path)) != ("qcow2", True):
        raise Refused(
            f"Nothing was changed: {shown} is no qcow2 image that is based on another, and "
            "backing says that it is. Leave backing out."
        )
    if why and not (based and "data_file" not in image.features):
        raise Refused(refusal(shown, image.format, why))
    return image.format, image.capacity or 0


def refusal(shown: str, format: str, why: str) -> str:
    """What is told of an image that needs other files."""
    return (
        f"Nothing was changed: {shown} is a {format} image that {why}. An image must not make this "
        "host read other files. Say with backing what it is based on, or make one without that of "
        "it (qemu-img convert), or, if it is a raw disk in which a guest wrote that, name its path "
        "in source, with format: raw."
    )


def found(host: Reader, origin: Origin, name: str, based: bool) -> Source:
    """What a path leads to, or all that is known of what has to be fetched or sent.

    It may be ``based`` on what the task says.
    """
    packed = "auto" if origin.unpack else ""
    if origin.upload:
        place = host.file(origin.path.rpartition("/")[0]) if origin.path else None
        upload = Source(origin.upload, origin.path, place=place, upload=origin.upload)
        return replace(upload, checksum=origin.checksum, packed=packed)
    if origin.url:
        return Source(origin.url, url=origin.url, checksum=origin.checksum, packed=packed)
    path, stray = origin.path, host.stray(origin.path)
    node, file = host.node(path), host.file(path)
    if stray:
        raise Refused(f"Nothing was changed: {files.led(path, stray)}")
    if node is None or file is None or node.kind not in ("file", "block"):
        what = "is neither a file nor a block device" if node else "is not there"
        raise Refused(
            f"Nothing was changed: volume {name} is to be filled from {path}, which {what}. "
            "Correct source."
        )
    thing = block.find(host, path) if node.kind == "block" else file
    return _read(host, origin, based, Source(path, path, thing, checksum=origin.checksum))


def _read(host: Reader, origin: Origin, based: bool, source: Source) -> Source:
    """The same, with what the first bytes tell."""
    head = host.head(source.path, origin.unpack)
    if head.packed == "zstd" and not host.has("zstd"):
        raise Lacking(
            f"Nothing was changed: {source.path} is compressed, and this host has no zstd to "
            "unpack it. Install zstd (as Debian calls it)."
        )
    format, capacity = understood(source.path, origin.format, based, head.header)
    return replace(
        source,
        packed=head.packed,
        format=format,
        capacity=head.size if format in PLAIN and not head.packed else capacity,
        size=head.size,
        allocation=head.node.allocated if isinstance(source.thing, File) else head.size,
    )


def equal(host: Reader, source: Source, there: Volume) -> bool:
    """Whether a volume begins with the content of a source, as a guest sees both."""
    format = there.format if there.type == "file" else "raw"
    if source.packed:
        raise Refused(
            f"Nothing was changed: volume {there.name} is to be kept equal to {source.shown}, "
            "which is compressed. Unpack it before, and name what comes out."
        )
    if there.capacity < source.capacity:
        return False
    if format in PLAIN and source.format in PLAIN:
        return host.same(source.path, 0, source.size, there.path)
    return qemu_img.alike(host, replace(source, count=source.capacity), there.path, format)


def of_device(volume: Volume, device: Device) -> Source:
    """A volume that is a device, as a source."""
    size = volume.capacity
    shown = f"volume {volume.name}"
    return Source(
        shown, volume.path, device, format="raw", capacity=size, size=size, allocation=size
    )


def new_device(name: str, path: str, size: int) -> Source:
    """The same of one that is still to be made."""
    return Source(f"volume {name}", path, format="raw", capacity=size, size=size, allocation=size)


def unknown(wanted_name: str, source: Source | None, capacity: Size | None) -> t.Iterator[str]:
    """What is missing where a volume is made before its content is there."""
    if source and not source.capacity and not capacity:
        yield (
            f"{wanted_name}: how large {source.shown} is turns out only when it is fetched or "
            "unpacked, and the volume is made before, so write its capacity"
        )


def onto(
    name: str,
    source: Source,
    said: str,
    size: int,
    blank: bool = False,
    encryption: Encryption | None = None,
) -> Filling:
    """How a volume that is a device of some size is filled; a thin one is ``blank``."""
    if encryption is None:
        convert = qemu_img.converting_on(blank)
        return filling(
            name, source, said, format="raw", capacity=size, blank=blank, convert=convert
        )
    how: dict[str, t.Any] = {
        "make": qemu_img.encrypting(encryption, size),
        "convert": qemu_img.converting("raw", encryption),
        "key": encryption.passphrase,
    }
    return filling(name, source, said, format="raw", capacity=size - luks.ROOM, **how)


def filling(name: str, source: Source, said: str, based: bool = False, **more: t.Any) -> Filling:
    """How a volume is filled from a source, which is ``said`` to have a format.

    It may be ``based`` on what the task says.
    """
    return Filling(name, source, functools.partial(understood, source.shown, said, based), **more)
