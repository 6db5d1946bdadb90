# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module can: check mode, diff mode, idempotency."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  action_group:
    description: Use C(group/poolwright.storage.all) in C(module_defaults) to set options for every module at once.
    support: full
    membership:
      - poolwright.storage.all
  check_mode:
    description: Can run without changing the host and predict what would change.
    support: full
    details:
      - A task that would be refused in earnest is refused in check mode, with the same words. Only where the host lacks a program
        does it warn instead, because a task before it may install that.
  idempotent:
    description: Run again with the same options, it changes nothing.
    support: full
  platform:
    description: The systems that it manages.
    platforms: linux
    support: full
"""

    # For modules that change something.
    CHANGES = r"""
attributes:
  diff_mode:
    description: Shows what changed, or in check mode would change.
    support: full
    details:
      - First come the steps of the plan in words, then the pool's definition before and after, if it changes.
"""

    # For modules that only look.
    INFO = r"""
attributes:
  diff_mode:
    description: Shows what changed, or in check mode would change.
    support: N/A
    details:
      - The module changes nothing.
"""
