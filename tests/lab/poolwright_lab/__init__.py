# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Virtual test hosts with real disks, real storage tools and a real libvirtd.

from poolwright_lab import Host

host = Host("one")
host.up(suite="trixie")
print(host.run("lsblk").stdout)
"""

from __future__ import annotations

from .errors import LabError
from .host import Host, boot

__all__ = ["Host", "LabError", "boot"]
