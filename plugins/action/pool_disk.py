# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's side of the module pool_disk."""

from __future__ import annotations

from ansible_collections.poolwright.storage.plugins.plugin_utils._foreseeing_action import (
    ForeseeingAction,
)


class ActionModule(ForeseeingAction):
    """See the module, which has the documentation."""
