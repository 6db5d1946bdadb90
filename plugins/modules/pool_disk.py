#!/usr/bin/python
# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.poolwright.storage.plugins.module_utils._pools.disk import Disk
from ansible_collections.poolwright.storage.plugins.module_utils._run_pool import run_pool


def main() -> None:
    run_pool(Disk)


if __name__ == "__main__":
    main()
