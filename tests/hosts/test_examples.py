# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Every example of the documentation runs, and a second time changes nothing."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import SERVE, Driven, task, thorough

MODULES = sorted((Path(__file__).resolve().parents[2] / "plugins/modules").glob("*.py"))
PREFIX = "poolwright.storage."


def examples(module: Path) -> list[dict[str, Any]]:
    """The tasks of a module's EXAMPLES; those of other collections are not ours to run."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES":
            listed: list[dict[str, Any]] = yaml.safe_load(ast.literal_eval(node.value))
            return listed
    raise AssertionError(f"{module.name} has no examples")


# The servers that examples name are the host itself.
IQN = "iqn.2026-01.org.example"
PASSWORD = "a-word-for-the-vault"
SERVERS = f"""
    grep -q san.example.com /etc/hosts && exit
    {SERVE}
    mkdir -p /export/images /export/installers
    echo '/export/images *(rw,no_root_squash,no_subtree_check)' >>/etc/exports
    exportfs -ra
    printf '[installers]\npath = /export/installers\nguest ok = yes\n' >>/etc/samba/smb.conf
    systemctl restart smbd
    truncate -s 16M /exports/disks /exports/vault
    targetcli >/dev/null <<END
    backstores/fileio create disks /exports/disks
    backstores/fileio create vault /exports/vault
    iscsi/ create {IQN}:disks
    iscsi/{IQN}:disks/tpg1/luns create /backstores/fileio/disks
    iscsi/{IQN}:disks/tpg1 set attribute authentication=0 generate_node_acls=1
    iscsi/ create {IQN}:vault
    iscsi/{IQN}:vault/tpg1/luns create /backstores/fileio/vault
    iscsi/{IQN}:vault/tpg1/acls create {IQN}:host1
    iscsi/{IQN}:vault/tpg1/acls/{IQN}:host1 set auth userid=host1 password={PASSWORD}
    iscsi/{IQN}:vault/tpg1 set attribute authentication=1
    exit
END
    echo '127.0.0.1 san.example.com nfs.example.com files.example.com' >>/etc/hosts
"""
SOME = {"pool_dir", "pool_info", "volume_info"}


@pytest.mark.parametrize(
    "module",
    [pytest.param(m, id=m.stem, marks=() if m.stem in SOME else thorough) for m in MODULES],
)
def test_examples(host: Driven, module: Path) -> None:
    if module.stem in ("pool_iscsi", "pool_netfs"):
        host.sh(SERVERS)
    rows = examples(module)
    tasks = [
        {**task(key[len(PREFIX) :], **(row[key] or {})), "check": row.get("check_mode", False)}
        for row in rows
        for key in row
        if key.startswith(PREFIX)
    ]
    assert tasks
    tasks = json.loads(json.dumps(tasks).replace("{{ vault_password }}", PASSWORD))
    for asked, (first, second) in zip(tasks, host.drive("twice", tasks=tasks), strict=True):
        assert not first.get("failed"), (asked, first["msg"])
        assert not second.get("failed"), (asked, second["msg"])
        assert asked["check"] or not second["changed"], (asked, second["plan"])
