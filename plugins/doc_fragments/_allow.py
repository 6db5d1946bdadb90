# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option of every module that may lose something: what the user accepts."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  allow:
    description:
      - The losses that you accept. A task that would lose something else changes nothing, and says which word would let it go on.
      - V(overwrite) destroys what is on a device now.
      - V(delete) destroys the data inside the pool or volume.
      - V(shrink) cuts off the end of a volume.
      - V(interrupt) takes away something that is in use.
      - No word buys a device that belongs to another volume group, pool or mount, that is swap, part of an array or of a multipath
        map, or that holds the root file system.
      - There is no word for everything.
    type: list
    elements: str
    choices:
      - overwrite
      - delete
      - shrink
      - interrupt
    default: []
"""
