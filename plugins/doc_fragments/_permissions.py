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
      - The permission bits, octal and quoted, from V('0000') to V('0777').
      - Symbolic modes are not accepted.
    type: str
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
