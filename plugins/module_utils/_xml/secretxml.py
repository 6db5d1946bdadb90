# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Definitions of libvirt's secrets."""

from __future__ import annotations

from . import tree

_USAGES = {"iscsi": "target", "volume": "volume"}  # the element that names the use


def render(uuid: str, kind: str, usage: str, text: str) -> str:
    """The definition of a libvirt secret; ``kind`` is that of its use."""
    root = tree.Node("secret").set(ephemeral="no", private="yes")
    root.add("uuid", uuid)
    root.add("description", text)
    root.add("usage").set(type=kind).add(_USAGES[kind], usage)
    return tree.write(root)


def parse(text: str) -> tuple[str, str]:
    """The UUID of a secret, and what names its use; raises `tree.Wrong`."""
    root = tree.read(text)
    usages = (root.said("usage", tag) for tag in ("volume", "target", "name"))
    return root.said("uuid"), next(filter(None, usages), "")
