# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sizes as people write them, and bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

LARGEST = 2**63 - 1  # libvirt keeps sizes in signed 64 bits

_LETTERS = "KMGTPE"
_UNITS: dict[str, int] = {"": 1, "B": 1, "BYTE": 1, "BYTES": 1}
for _power, _letter in enumerate(_LETTERS, start=1):
    _UNITS[_letter] = _UNITS[_letter + "IB"] = 1024**_power
    _UNITS[_letter + "B"] = 1000**_power

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>[A-Za-z]*)", re.ASCII)
_SHARE = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?% ?(?P<of>(?:FREE)?)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Size:
    """Either ``bytes``, or a ``share`` (0 to 1) of the pool or, with ``free``, of what is free."""

    bytes: int = 0
    share: Fraction = Fraction(0)
    free: bool = False

    @property
    def relative(self) -> bool:
        return bool(self.share)


def parse(text: str) -> Size:
    """Reads ``20 GiB``, ``1.5t``, ``4096``, ``50%``, ``100%FREE``; raises `ValueError` in words.

    Units are libvirt's (``K`` and ``KiB`` 1024, ``KB`` 1000), in either case, or bytes without.
    """
    text = text.strip()
    share = _SHARE.fullmatch(text)
    if share:
        return _share(text, Fraction(share["number"]), bool(share["of"]))
    size = _SIZE.fullmatch(text)
    if not size:
        raise ValueError(f"{text!r} is not a size like 20 GiB, 512M or 50%")
    factor = _UNITS.get(size["unit"].upper())
    if factor is None:
        raise ValueError(f"{size['unit']!r} is not a unit of size (B, K, KiB, KB … E, EiB, EB)")
    count = Fraction(size["number"]) * factor
    if count.denominator != 1:
        raise ValueError(f"{text!r} is not a whole number of bytes")
    if count > LARGEST:
        raise ValueError(f"{text!r} is more than the largest size, {LARGEST} bytes")
    return Size(bytes=int(count))


def _share(text: str, percent: Fraction, free: bool) -> Size:
    if not 0 < percent <= 100:
        raise ValueError(f"{text!r} is not between 0 and 100 percent")
    return Size(share=percent / 100, free=free)


def show(count: int) -> str:
    """Bytes as a short exact size: ``20 GiB``, ``1536 MiB``, ``1000 bytes``."""
    for power in range(len(_LETTERS), 0, -1):
        if count and count % 1024**power == 0:
            return f"{count // 1024**power} {_LETTERS[power - 1]}iB"
    return f"{count} bytes"


def round_up(count: int, step: int) -> int:
    """The smallest multiple of ``step`` that is not below ``count``."""
    return -(-count // step) * step
