# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What the lab raises when it cannot do as asked."""

from __future__ import annotations


class LabError(Exception):
    """A sentence for the person who asked, never a traceback."""
