# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of the pool modules say stands in a definition, and is told from it."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.poolwright.storage.plugins.module_utils import _options
from ansible_collections.poolwright.storage.plugins.module_utils._model import Pool
from ansible_collections.poolwright.storage.plugins.module_utils._pools.all import BACKENDS
from ansible_collections.poolwright.storage.plugins.module_utils._xml import poolxml
from ansible_collections.poolwright.storage.tests.unit.fake_host import FakeHost
from ansible_collections.poolwright.storage.tests.unit.test_plans import params

HOST = FakeHost({"paths": {"/sys/class/fc_host": {}, "/sys/class/scsi_host": {}}, "folders": {}})
MAY = {"mode": "0750", "owner": "7", "group": "8", "label": "system_u:object_r:virt_image_t:s0"}
CHAP = {"username": "me", "password": "only-for-the-record"}
TOLD = {"username": "me", "password": "{{ pools_data_chap_password }}"}

# Tasks that together say all that a definition can; no default, which would not be told.
TASKS: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]] = {
    "dir": [{"path": "/srv/a & b", "cow": False, **MAY}, {"path": "/srv/a", "cow": True}],
    "disk": [
        {"device": "/dev/disk/by-id/a", "format": "sun", "path": "/dev/b", "part_separator": True},
        {"device": "/dev/sda", "part_separator": False},
    ],
    "fs": [
        {
            **{"device": "/dev/sda1", "path": "/srv/a", "format": "xfs"},
            **{"mount_options": ["noatime", 'context="a"'], **MAY},
        },
        {"device": "/dev/sda1", "path": "/srv/a"},
    ],
    "iscsi": [
        {
            **{"host": "fd00::7", "port": 3261, "target": "iqn.2026-01.org.example:a"},
            **{"initiator": "iqn.2026-01.org.example:me", "chap": CHAP, "path": "/dev/disk/by-id"},
        },
        {"host": "san", "target": "iqn.2026-01.org.example:a"},
    ],
    "logical": [{"volume_group": "vg0"}, {}],
    "mpath": [{"path": "/dev/mapper/a"}, {}],
    "netfs": [
        {
            **{"host": "nas", "dir": "/export/a", "path": "/srv/a", "format": "nfs"},
            **{"protocol_version": "4.2", "mount_options": ["soft"], **MAY},
        },
        {"host": "nas", "dir": "disks", "path": "/srv/a", "format": "cifs"},
        {"host": "nas", "dir": "/export", "path": "/srv/a"},
    ],
    "scsi": [
        {"adapter": {"name": "host3"}, "path": "/dev/disk/by-id"},
        {"adapter": {"address": "0000:03:1e.5", "unique_id": 9}},
        {
            "adapter": {
                **{"type": "fc_host", "parent": "scsi_host4", "managed": False},
                **{"wwnn": "20000000c9831b4b", "wwpn": "10000000c9831b4b"},
            }
        },
    ],
}
# What LVM keeps, or nobody, and libvirt has no word for.
ELSEWHERE = {"fs": {"grow_to_fill"}, "logical": {"devices", "extent_size", "grow_to_fill"}}
ROWS = [(kind, number) for kind, tasks in TASKS.items() for number in range(len(tasks))]


@pytest.mark.parametrize(("kind", "number"), ROWS)
def test_options(kind: str, number: int) -> None:
    task, backend = TASKS[kind][number], BACKENDS[kind]
    spec = {**_options.POOL, **backend.options}
    given = params(spec, {"name": "data", **task})
    assert not [*backend.faults(given)]
    pool = backend.define(HOST, given, Pool(kind, "data"))
    text = poolxml.render(pool)
    assert CHAP["password"] not in text
    read = poolxml.parse(text)
    assert read == pool
    told = dict(backend(read, {}).described(HOST, None))
    told = {key: value for key, value in told.items() if value not in (None, "", [])}
    assert told == {**task, **({"chap": TOLD} if "chap" in task else {})}
    again = backend.define(HOST, params(spec, {"name": "data", **told}), Pool(kind, "data"))
    assert again == pool


def test_all_options() -> None:
    assert set(TASKS) == set(BACKENDS)
    for kind, tasks in TASKS.items():
        said = {option for task in tasks for option in task}
        assert said | ELSEWHERE.get(kind, set()) == set(BACKENDS[kind].options)


def test_all_options_of_an_adapter() -> None:
    said = {key for task in TASKS["scsi"] for key in task["adapter"]}
    assert said == set(BACKENDS["scsi"].options["adapter"]["options"])
