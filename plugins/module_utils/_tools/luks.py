# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LUKS: what a header says of it (pure), and the words with which qemu-img makes one.

The header is that of the LUKS On-Disk Format, versions 1 and 2.
"""

from __future__ import annotations

import json
import struct
import typing as t
from dataclasses import replace

from .._host import KEY
from .._model import Cipher, Encryption, Ivgen, Volume

MAGIC = b"LUKS\xba\xbe"
# What libvirt adds to a device for the header.
ROOM = 2 << 20
_SECTOR = 512
_SLOTS, _SLOT, _SLOT_SIZE, _ACTIVE = 8, 208, 48, 0x00AC71F3
_JSON, _JSON_END = 4096, 16384  # where a header of version 2 tells of its segments
_ID = "secret0"


def read(header: bytes) -> Encryption | None:
    """What begins with ``header``; ``None`` where it is not encrypted, or no key opens it."""
    if not header.startswith(MAGIC) or len(header) < _SLOT + _SLOTS * _SLOT_SIZE:
        return None
    version = struct.unpack_from(">H", header, len(MAGIC))[0]
    if version == 1:
        return _first(header)
    return _second(header) if version == 2 else None


def seen(header: bytes, wanted: Encryption) -> Encryption | None:
    """What begins with ``header``, with the passphrase that opens it."""
    found = read(header)
    return named(found, wanted) if found else None


def named(there: Encryption, wanted: Encryption) -> Encryption:
    """What is there, with the passphrase that opens it."""
    return replace(there, secrets=wanted.secrets, passphrase=wanted.passphrase)


def _first(header: bytes) -> Encryption | None:
    places = range(_SLOT, _SLOT + _SLOTS * _SLOT_SIZE, _SLOT_SIZE)
    if not any(struct.unpack_from(">I", header, place)[0] == _ACTIVE for place in places):
        return None
    name, mode, digest = (_text(header[at : at + 32]) for at in (8, 40, 72))
    payload, length = struct.unpack_from(">II", header, 104)
    return _encryption(name, mode, length * 8, payload * _SECTOR, digest)


def _second(header: bytes) -> Encryption | None:
    try:
        told = json.loads(header[_JSON:_JSON_END].split(b"\0")[0])
        [segment] = told["segments"].values()
        name, _dash, mode = segment["encryption"].partition("-")
        return _encryption(name, mode, 0, int(segment["offset"]), "", "luks2")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _encryption(
    name: str, mode: str, bits: int, offset: int, digest: str, format: str = "luks"
) -> Encryption:
    """The kernel writes a mode with what makes its vectors: cbc-essiv:sha256."""
    mode, _dash, vectors = mode.partition("-")
    ivgen, _colon, ivgen_hash = vectors.partition(":")
    size = bits // 2 if mode == "xts" else bits
    vector = Ivgen(ivgen, ivgen_hash) if ivgen else None
    return Encryption(format, (), Cipher(name, size, mode, digest), vector, offset=offset)


def _text(found: bytes) -> str:
    return found.split(b"\0")[0].decode("ascii", "replace")


def hand_over() -> tuple[str, str]:
    """The words by which a tool gets the passphrase."""
    return "--object", f"secret,id={_ID},file={KEY}"


def options(wanted: Encryption, format: str) -> list[str]:
    """The options of an image that is encrypted, in libvirt's order."""
    begin = "encrypt." if format == "qcow2" else ""
    cipher, ivgen = wanted.cipher or Cipher("", 0), wanted.ivgen or Ivgen("")
    said = (
        ("key-secret", _ID),
        ("cipher-alg", f"{cipher.name}-{cipher.size}" if cipher.name else ""),
        ("cipher-mode", cipher.mode),
        ("hash-alg", cipher.hash),
        ("ivgen-alg", ivgen.name),
        ("ivgen-hash-alg", ivgen.hash),
    )
    whole = ["encrypt.format=luks"] if begin else []
    return [*whole, *(f"{begin}{key}={value}" for key, value in said if value)]


def opened(format: str) -> dict[str, str]:
    """What opens an image, as words of --image-opts."""
    return {"encrypt.key-secret" if format == "qcow2" else "key-secret": _ID}


def faults(wanted: Encryption, there: Volume) -> t.Iterator[str]:
    """Why a volume that is there is not the encrypted one that is wanted."""
    found = there.encryption
    if there.mark:
        return
    if found is None:
        yield (
            f"{there.name}: is not encrypted, and encryption is wanted. What is there is never "
            "encrypted in place; leave encryption out, or remove it with state: absent first"
        )
        return
    both = [("cipher", wanted.cipher, found.cipher), ("ivgen", wanted.ivgen, found.ivgen)]
    other = [
        f"{what} {key} {vars(own)[key]}, and not {value}"
        for what, new, own in both
        if new and own
        for key, value in vars(new).items()
        if value and vars(own)[key] and value != vars(own)[key]
    ]
    if other:
        yield (
            f"{there.name}: is encrypted otherwise than wanted: {'; '.join(other)}. Leave cipher "
            "and ivgen out to keep it, or remove it with state: absent first"
        )
