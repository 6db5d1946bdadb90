# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""The hosts as an Ansible inventory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .host import Host


def text(hosts: Sequence[Host]) -> str:
    """Return an inventory in YAML: the group lab, parted by whether libvirt is installed."""
    lines = ["---", "lab:", "  children:"]
    for group, libvirt in (("with_libvirt", True), ("without_libvirt", False)):
        lines += [f"    {group}:", "      hosts:"]
        members = [host for host in hosts if host.settings.libvirt is libvirt]
        if not members:
            lines[-1] += " {}"
        for host in members:
            lines.append(f"        {host.name}:")
            # A JSON string is a YAML string.
            lines += [f"          {key}: {json.dumps(v)}" for key, v in host.variables().items()]
    return "\n".join(lines) + "\n"


def script(hosts: Sequence[Host]) -> str:
    """Return the same as JSON, in the form of a dynamic inventory."""
    groups: dict[str, list[str]] = {"with_libvirt": [], "without_libvirt": []}
    for host in hosts:
        groups["with_libvirt" if host.settings.libvirt else "without_libvirt"].append(host.name)
    found: dict[str, object] = {name: {"hosts": members} for name, members in groups.items()}
    found["lab"] = {"children": list(groups)}
    found["_meta"] = {"hostvars": {host.name: host.variables() for host in hosts}}
    return json.dumps(found, indent=1)
