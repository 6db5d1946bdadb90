# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may use what a pool or a volume consists of."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  mode:
    description:
      - The permission bits, as text. Octal with or without a leading zero, such as V('0750') or V('2770'), or symbolic, such as
        V('u=rwx,g=rx,o=').
      - A symbolic mode changes the one that is there. What is new begins with the one it gets without this option.
      - Octal digits need quotes. Without them YAML reads V(0644) as the number 420, which is refused.
      - The definition keeps the nine permission bits, as libvirt does.
    type: raw
  owner:
    description: The owner, by name or number. A name must be known on the managed host.
    type: str
  group:
    description: The group, by name or number. A name must be known on the managed host.
    type: str
"""

    # What pools that are directories have besides.
    POOL = r"""
options:
  label:
    description:
      - The SELinux label of the pool's directory, for the pool's definition.
      - It is written down for libvirt and not applied to the directory.
    type: str
"""
