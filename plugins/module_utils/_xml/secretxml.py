# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Definitions of libvirt's secrets."""

from __future__ import annotations

from . import tree


def render(uuid: str, usage: str, pool: str) -> str:
    """The definition of the libvirt secret that holds a pool's password."""
    root = tree.Node("secret").set(ephemeral="no", private="yes")
    root.add("uuid", uuid)
    root.add("description", f"Password of the storage pool {pool}")
    root.add("usage").set(type="iscsi").add("target", usage)
    return tree.write(root)
