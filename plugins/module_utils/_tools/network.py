# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers: one spelling of each name and address, and the addresses that a name has."""

from __future__ import annotations

import ipaddress
import re

from .._host import Reader


def plain(server: str) -> str:
    """A name or an address in one spelling: ``FD00::0001`` in brackets is ``fd00::1``."""
    text = server.strip("[]").lower()
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text.rstrip(".")


def known_as(host: Reader, server: str) -> list[str]:
    """The name of a server and its addresses, each in one spelling.

    A name that has no address (any more) is known by its name only.
    """
    name = plain(server)
    if not name or is_address(name):
        return [name] if name else []
    return list(dict.fromkeys([name, *map(plain, host.addresses(name))]))


def all_of(host: Reader, server: str) -> list[str]:
    """The same, and of this host all of its addresses."""
    found, own = known_as(host, server), _own(host)
    here = own if any(each in own for each in found) else []
    return list(dict.fromkeys([*found, *here]))


def _own(host: Reader) -> list[str]:
    """The addresses of this host."""
    found = re.findall(r"\|-- (\S+)\n\s*/32 host LOCAL", host.read("/proc/net/fib_trie") or "")
    lines = (host.read("/proc/net/if_inet6") or "").splitlines()
    six = [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in lines]
    return list(dict.fromkeys([*found, *map(str, six)]))


def is_address(server: str) -> bool:
    try:
        ipaddress.ip_address(server)
    except ValueError:
        return False
    return True
