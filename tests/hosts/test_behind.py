# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What others do to a pool behind our back is told in the plan, and undone."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import NamedTuple

import pytest
from conftest import Driven, task, thorough

UUID = "5ba2ed1e-5a3c-4a4d-8d2f-6f1c8e3b7a10"
POOL = task("pool_dir", name="images", path="/srv/images", uuid=UUID, allow=["interrupt"])
START = "tell libvirt that pool images runs"
STOP = "tell libvirt that pool images is stopped"
MOVE = "move pool images from path /srv/other to /srv/images"
DEFINE = "define pool images"
MARK = "let libvirt start pool images by itself"
REFRESH = "let libvirt look at the volumes of pool images again"

MAKE = f"""
set -e
define() {{
    echo "<pool type='dir'><name>images</name><uuid>{UUID}</uuid>
        <target><path>$1</path></target></pool>" > /tmp/pool.xml
}}
elsewhere() {{ mkdir -p /srv/other; define /srv/other; virsh -q pool-define /tmp/pool.xml; }}
back() {{ define /srv/images; virsh -q pool-define /tmp/pool.xml; }}
again() {{ virsh -q pool-destroy images; virsh -q pool-start images; }}
down() {{ systemctl stop $sockets $services; }}
up() {{ systemctl start $sockets; virsh -q pool-list; }}
boot() {{ rm -r /run/libvirt/storage; up; }}
file=/etc/libvirt/storage/images.xml mark=/etc/libvirt/storage/autostart/images.xml
"""


class Behind(NamedTuple):
    """What somebody does, and the plan; with ``gone`` nothing knows the UUID any more."""

    title: str
    script: str
    plan: tuple[str, ...]
    gone: bool = False
    quick: bool = False


CASES = [
    Behind("redefined", "elsewhere", (DEFINE,)),
    Behind("redefined and restarted", "elsewhere; again", (STOP, MOVE, START)),
    Behind("redefined and stopped", "elsewhere; virsh -q pool-destroy images", (MOVE, START)),
    Behind("running elsewhere", "elsewhere; again; back", (STOP, START), quick=True),
    Behind("stopped", "virsh -q pool-destroy images", (START,)),
    Behind(
        "undefined",
        "virsh -q pool-destroy images; virsh -q pool-undefine images",
        (DEFINE, START, MARK),
        gone=True,
    ),
    Behind("not started by itself", "virsh -q pool-autostart images --disable", (MARK,)),
    Behind("a new file, refreshed", "touch /srv/images/new; virsh -q pool-refresh images", ()),
    Behind("a new file", "touch /srv/images/newer", (REFRESH,)),
    Behind("restarted", "down; up", ()),
    Behind("booted", "down; boot", ()),
    Behind(
        "edited while down", "down; sed -i s:/srv/images:/srv/other: $file; boot", (MOVE, START)
    ),
    Behind(
        "edited while down, running", "down; sed -i s:/srv/images:/srv/other: $file; up", (DEFINE,)
    ),
    Behind("removed while down, running", "down; rm $mark $file; up", (DEFINE, MARK)),
    Behind("removed while down", "down; rm $mark $file; boot", (DEFINE, START, MARK), gone=True),
    # To a daemon that starts, a directory that is there runs.
    Behind("unmarked while down", "down; rm $mark; boot", (MARK,)),
    Behind(
        "transient",
        "virsh -q pool-destroy images; virsh -q pool-undefine images; "
        "define /srv/images; virsh -q pool-create /tmp/pool.xml",
        (DEFINE, MARK),
    ),
    Behind(
        "transient elsewhere",
        "virsh -q pool-destroy images; virsh -q pool-undefine images; mkdir -p /srv/other; "
        "define /srv/other; virsh -q pool-create /tmp/pool.xml",
        (STOP, MOVE, START, MARK),
    ),
]


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=c.title, marks=() if c.quick else thorough) for c in CASES],
)
def test_behind_our_back(libvirt_host: Driven, case: Behind) -> None:
    """The plan tells it, and undoes it; the UUID stays, though the task does not say it."""
    host = libvirt_host
    plain = {**POOL, "args": {key: POOL["args"][key] for key in ("name", "path", "allow")}}
    volume = task("volume", pool="images", name="a", capacity="1M")
    host.tasks(POOL, volume)
    host.sh(f"sockets='{host.sockets}' services='{host.services}'\n{MAKE}{case.script}")
    seen, again, info = host.tasks(plain, plain, task("pool_info", volumes=True))
    assert [step["text"] for step in seen["plan"]] == list(case.plan)
    assert again["plan"] == []
    [row] = info["pools"]
    assert (row["state"], row["autostart"], row["path"]) == ("active", True, "/srv/images")
    assert "a" in [each["name"] for each in row["volumes"]]
    for which in ("", "--inactive"):
        theirs = ET.fromstring(host.sh(f"virsh pool-dumpxml {which} images"))
        assert theirs.findtext("target/path") == "/srv/images"
        assert (theirs.findtext("uuid") == UUID) != case.gone
    host.tasks(task("pool_dir", name="images", state="deleted", allow=["delete"]))
    host.sh("rm -rf /srv/other")
