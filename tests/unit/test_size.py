# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as people write them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from ansible_collections.poolwright.storage.plugins.module_utils import _size

EXACT = {
    "0": 0,
    "1": 1,
    "4096": 4096,
    " 12 ": 12,
    "1b": 1,
    "1 byte": 1,
    "2 bytes": 2,
    "1k": 1024,
    "1K": 1024,
    "1KiB": 1024,
    "1kib": 1024,
    "1KB": 1000,
    "1.5 K": 1536,
    "0.5KiB": 512,
    "1.5 KB": 1500,
    "1M": 2**20,
    "1 MiB": 2**20,
    "1 MB": 10**6,
    "20 GiB": 20 * 2**30,
    "20G": 20 * 2**30,
    "20 gb": 20 * 10**9,
    "1.5t": 3 * 2**39,
    "1TB": 10**12,
    "1 PiB": 2**50,
    "1 PB": 10**15,
    "1 E": 2**60,
    "7 EiB": 7 * 2**60,
    "9 EB": 9 * 10**18,
    "0.000000001 GB": 1,
    "9223372036854775807": 2**63 - 1,
}
SHARES = {
    "50%": (Fraction(1, 2), False),
    "50 %": (Fraction(1, 2), False),
    "12.5%": (Fraction(1, 8), False),
    "100%FREE": (Fraction(1), True),
    "33 % free": (Fraction(33, 100), True),
}
WRONG = {
    "": "is not a size",
    "GiB": "is not a size",
    "-1": "is not a size",
    "+1": "is not a size",
    "1 2": "is not a size",
    "1,5 GiB": "is not a size",
    ".5 GiB": "is not a size",
    "1. GiB": "is not a size",
    "1e3": "is not a size",
    "0x10": "is not a size",
    "1  GiB": "is not a size",
    "\u0661 GiB": "is not a size",  # an Arabic-Indic digit
    "1 Kbit": "is not a unit of size",
    "1 ZiB": "is not a unit of size",
    "1 GG": "is not a unit of size",
    "1.5": "is not a whole number of bytes",
    "1.0001 K": "is not a whole number of bytes",
    "8 E": "is more than the largest size",
    "9223372036854775808": "is more than the largest size",
    "0%": "is not between 0 and 100 percent",
    "100.1%": "is not between 0 and 100 percent",
    "50%USED": "is not a size",
}


@pytest.mark.parametrize("text", EXACT)
def test_exact(text: str) -> None:
    size = _size.parse(text)
    assert (size.bytes, size.relative) == (EXACT[text], False)


@pytest.mark.parametrize("text", SHARES)
def test_share(text: str) -> None:
    size = _size.parse(text)
    assert (size.share, size.free, size.relative) == (*SHARES[text], True)


@pytest.mark.parametrize("text", WRONG)
def test_wrong(text: str) -> None:
    with pytest.raises(ValueError, match=WRONG[text]):
        _size.parse(text)


@pytest.mark.parametrize("count", [0, 1, 999, 1024, 1536, 3 * 2**29, 2**30, 2**63 - 1, 5 * 10**9])
def test_what_is_shown_can_be_read(count: int) -> None:
    assert _size.parse(_size.show(count)).bytes == count


@pytest.mark.parametrize(
    ("count", "step", "up"),
    [(0, 512, 0), (1, 512, 512), (512, 512, 512), (513, 512, 1024), (7, 1, 7)],
)
def test_round_up(count: int, step: int, up: int) -> None:
    assert _size.round_up(count, step) == up
