# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Pools of an iSCSI target, against a real target (LIO) in the same host."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from conftest import ALL, Driven, Result, name_of, task, thorough
from poolwright_lab import inventory
from test_netfs import failed
from test_states import four, sh, still

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVER = "192.0.2.7"  # an address of the host's own, which can be taken away
IQN = "iqn.2026-01.org.example"
PASSWORD, SECOND, TARGETS = "Hidden-Word-0001", "Hidden-Word-0002", "Hidden-Word-0003"
DISKS = {"name": "disks", "host": SERVER, "target": f"{IQN}:plain"}
VAULT = {
    "name": "vault",
    "host": SERVER,
    "target": f"{IQN}:vault",
    "initiator": f"{IQN}:me",
}
CHAP = {"username": "me", "password": PASSWORD}
SERVE = f"""
    ip address replace {SERVER}/32 dev lo
    mkdir -p /var/lib/lun
    for n in 0 1 2; do truncate -s 32M /var/lib/lun/$n; done
    targetcli >/dev/null 2>&1 <<X
    backstores/fileio create lun0 /var/lib/lun/0
    backstores/fileio create lun1 /var/lib/lun/1
    backstores/fileio create lun2 /var/lib/lun/2
    iscsi/ create {IQN}:plain
    iscsi/{IQN}:plain/tpg1/luns create /backstores/fileio/lun0
    iscsi/{IQN}:plain/tpg1 set attribute authentication=0 generate_node_acls=1
    iscsi/{IQN}:plain/tpg1 set attribute demo_mode_write_protect=0 cache_dynamic_acls=1
    iscsi/ create {IQN}:vault
    iscsi/{IQN}:vault/tpg1/luns create /backstores/fileio/lun2
    iscsi/{IQN}:vault/tpg1/acls create {IQN}:me
    iscsi/{IQN}:vault/tpg1/acls/{IQN}:me set auth userid=me password={PASSWORD}
    iscsi/{IQN}:vault/tpg1 set attribute authentication=1
    exit
X
"""
LUN = f"/dev/disk/by-path/ip-{SERVER}:3260-iscsi-{IQN}:plain-lun"
SESSIONS = "iscsiadm --mode session 2>/dev/null | cut -d' ' -f4"
BASE = "$(ls -d /var/lib/iscsi/nodes /etc/iscsi/nodes 2>/dev/null | head -1)"
RECORDS = f"find {BASE} -type f 2>/dev/null | sed 's,.*/nodes/,,' | sort"
STOP = "iscsiadm --mode node --logoutall=all; targetcli clearconfig confirm=True"


EMPTY = {"name": "empty", "host": SERVER, "target": f"{IQN}:empty"}
SERVE_EMPTY = f"""targetcli >/dev/null 2>&1 <<X
    iscsi/ create {IQN}:empty
    iscsi/{IQN}:empty/tpg1 set attribute authentication=0 generate_node_acls=1
    exit
X
"""

# What libvirt makes of sessions and LUNs is tried with it, on Debian 12.
with_libvirt = pytest.mark.parametrize(
    "each_host",
    [
        pytest.param(v, id=name_of(v), marks=() if v == ("bookworm", True) else thorough)
        for v in ALL
    ],
    indirect=True,
)


@pytest.fixture
def served(each_host: Driven) -> Iterator[Driven]:
    each_host.sh(f"{STOP} >/dev/null 2>&1; iscsiadm --mode node --op delete; true")
    each_host.sh(SERVE)
    yield each_host
    each_host.sh(f"{STOP} >/dev/null 2>&1; iscsiadm --mode node --op delete; true")


def auth(words: str) -> str:
    return f"targetcli /iscsi/{IQN}:vault/tpg1/acls/{IQN}:me set auth {words} >/dev/null"


@thorough
def test_states(served: Driven) -> None:
    record = f"{IQN}:plain/{SERVER},3260,1/default"
    four(
        served,
        task("pool_iscsi", **DISKS, state="present", autostart=False),
        sh(f"{RECORDS}; {SESSIONS}", record),
        task("pool_iscsi", **DISKS),
        sh(f"{SESSIONS}; ls {LUN}-*", f"{IQN}:plain\n{LUN}-0"),
        sh(f"grep ^node.startup {BASE}/{record}", "node.startup = automatic"),
        sh(f"stat -c %a {BASE}/{record}", "600"),
        still(task("pool_iscsi", **DISKS, port=3260)),
        task("pool_iscsi", name="disks", state="inactive", autostart=False),
        sh(f"{SESSIONS}; {RECORDS}", record),
        task("pool_iscsi", **DISKS),
        task("pool_iscsi", name="disks", state="absent"),
        sh(f"{SESSIONS}; {RECORDS}"),
        sh(f"iscsiadm --mode discovery --type sendtargets --portal {SERVER} >/dev/null"),
        task("pool_iscsi", **DISKS),
        task("pool_iscsi", name="disks", state="deleted"),
        sh(f"{SESSIONS}; {RECORDS} | grep plain", record),  # not ours
    )


@thorough
def test_luns(served: Driven) -> None:
    served.tasks(task("pool_iscsi", **DISKS))
    info = served.tasks(task("volume_info", pool="disks"))[0]
    assert [(row["path"], row["capacity"]) for row in info["volumes"]] == [(f"{LUN}-0", 32 << 20)]
    served.sh(f"targetcli /iscsi/{IQN}:plain/tpg1/luns create /backstores/fileio/lun1 >/dev/null")
    first, second = served.drive("tasks", tasks=[task("pool_iscsi", **DISKS)] * 2)
    assert first["changed"], first
    assert not second["changed"], second
    if served.libvirt:
        listed = served.sh("virsh -q vol-list disks | awk '{print $2}'").split()
        assert listed == [f"{LUN}-0", f"{LUN}-1"]
    made = task("volume", pool="disks", name="web", capacity="1M")
    assert failed(served, made)[0].startswith("Nothing was changed")
    served.sh(f"mkfs.ext4 -q {LUN}-0 && mkdir -p /mnt/lun && mount {LUN}-0 /mnt/lun")
    for state in ("inactive", "absent", "deleted"):
        assert (
            "mounted at /mnt/lun"
            in failed(served, task("pool_iscsi", name="disks", state=state))[0]
        )
    served.sh("umount /mnt/lun")
    other = task("pool_iscsi", **{**DISKS, "name": "other", "host": "127.0.0.1"})
    assert "pool disks lives already" in failed(served, other)[0]
    wrong = task("pool_iscsi", **{**DISKS, "name": "other", "target": f"{IQN}:typo"})
    assert f"does not offer {IQN}:typo" in failed(served, wrong)[0]
    served.tasks(task("pool_iscsi", name="disks", state="deleted"))


@thorough
def test_chap(served: Driven) -> None:
    secrets = "virsh -q secret-list | awk '{print $3}'" if served.libvirt else "true"
    secret = "poolwright.storage/vault" if served.libvirt else ""
    four(
        served,
        task("pool_iscsi", **VAULT, chap=CHAP),
        sh(SESSIONS, f"{IQN}:vault"),
        sh(secrets, secret),
        still(task("pool_iscsi", **VAULT)),
    )
    served.sh(auth(f"password={SECOND}"))
    new = task("pool_iscsi", **VAULT, chap={**CHAP, "password": SECOND})
    assert "allow: [interrupt]" in failed(served, new)[0]
    mutual = {**CHAP, "password": SECOND, "username_in": "target", "password_in": TARGETS}
    four(
        served,
        task("pool_iscsi", **VAULT, chap={**CHAP, "password": SECOND}, allow=["interrupt"]),
        sh(SESSIONS, f"{IQN}:vault"),
        sh(auth(f"mutual_userid=target mutual_password={TARGETS}")),
        task("pool_iscsi", **VAULT, chap=mutual, allow=["interrupt"]),
        sh("cat /sys/class/iscsi_session/session*/username_in", "target"),
        task("pool_iscsi", name="vault", state="inactive"),
        task("pool_iscsi", name="vault", state="absent"),
        sh(f"{SESSIONS}; {RECORDS}; {secrets}; iscsiadm --mode iface | grep -c poolwright", "0"),
    )


WATCH = """
while :; do
  cat /proc/[0-9]*/cmdline | tr '\\0' ' '; echo; sleep 0.05
done > /run/cmdlines 2>&1 </dev/null &
echo $! > /run/watcher
"""
FOUND = """
kill $(cat /run/watcher)
grep -q iscsiadm /run/cmdlines || echo nothing was watched
grep -ls 'Hidden-W[o]rd' /run/cmdlines
journalctl --no-pager | grep 'Hidden-W[o]rd'
find /etc /run /tmp /var /root -xdev -type f -perm /044 -not -path '/root/poolwright/*' \\
    -exec grep -ls 'Hidden-W[o]rd' {} +
grep -ls 'Hidden-W[o]rd' /etc/libvirt/storage/*
true
"""


def told(host: Driven, folder: Path, asked: Result) -> str:
    """All that Ansible tells of a task that must succeed."""
    hosts = folder / "hosts.yml"
    hosts.write_text(inventory.text([host.host]), encoding="utf-8")
    module, args = f"poolwright.storage.{asked['module']}", json.dumps(asked["args"])
    command = ["ansible", "-vvv", "--diff", "-i", str(hosts), "all", "-m", module, "-a", args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout + done.stderr


@thorough
def test_a_password_is_nowhere_to_be_seen(served: Driven, tmp_path: Path) -> None:
    served.sh("rm -rf /root/.targetcli")  # what it remembers is not ours
    served.sh(WATCH)
    tasks = [
        task("pool_iscsi", **VAULT, chap=CHAP),
        task("pool_iscsi", **VAULT, chap={**CHAP, "password": SECOND}),
        task("pool_info", volumes=True),
        task("pool_iscsi", name="vault", state="absent"),
    ]
    verbose = told(served, tmp_path, task("pool_iscsi", **VAULT, chap=CHAP))
    assert '"changed": true' in verbose
    assert "Hidden-Word" not in verbose
    served.tasks(task("pool_iscsi", name="vault", state="absent"))
    answers = served.drive("tasks", tasks=tasks)
    assert not answers[0].get("failed"), answers[0]["msg"]
    assert "interrupt" in answers[1]["msg"]
    assert served.sh(FOUND) == ""
    assert "Hidden-Word" not in str(answers)


@thorough
def test_a_dead_server(served: Driven) -> None:
    served.sh(f"ip address del {SERVER}/32 dev lo")
    found = served.drive("tasks", tasks=[task("pool_iscsi", **DISKS)])[0]
    assert found["failed"]
    assert found["msg"].startswith(f"Nothing was changed: {SERVER}:3260 tells no targets"), found
    assert found["seconds"] < 75
    served.sh(f"ip address add {SERVER}/32 dev lo")
    served.tasks(task("pool_iscsi", **DISKS), task("pool_iscsi", name="disks", state="deleted"))


@with_libvirt
def test_a_target_without_luns(served: Driven) -> None:
    """libvirt runs no such pool, which is told, and nothing is left; an empty record hides none."""
    host, folder = served, f"{BASE}/{IQN}:empty/{SERVER},3260,1"
    host.sh(SERVE_EMPTY)
    host.sh(f"mkdir -p {folder} && touch {folder}/default {BASE}/{IQN}:empty/README")
    done = host.drive("tasks", tasks=[task("pool_iscsi", **EMPTY)])[0]
    if host.libvirt:
        assert done["failed"]
        assert done["msg"].startswith(
            f"Nothing was done: target {IQN}:empty at {SERVER}:3260 offers no LUN"
        )
        assert not done["changed"]
        left = f"{SESSIONS}; find {BASE}/{IQN}:empty -type f -size +0; virsh -q pool-list --all"
        assert host.sh(left, check=False).strip() == ""
    else:
        assert "offers no LUN to this host" in str(done["warnings"])
    host.sh(f"targetcli /iscsi/{IQN}:empty/tpg1/luns create /backstores/fileio/lun1 >/dev/null")
    host.tasks(task("pool_iscsi", **EMPTY), task("pool_iscsi", name="empty", state="deleted"))


@thorough
def test_luns_that_go_and_change(served: Driven) -> None:
    """A LUN that went, and one that is another disk now, are told and shown as they are."""
    host, luns = served, f"targetcli /iscsi/{IQN}:plain/tpg1/luns"
    host.sh(f"{luns} create /backstores/fileio/lun1 5 >/dev/null")
    host.tasks(task("pool_iscsi", **DISKS))
    host.sh(f"{luns} delete 5 >/dev/null; {luns} delete 0 >/dev/null")
    host.sh("truncate -s 48M /var/lib/lun/new; truncate -s 64M /var/lib/lun/1")
    host.sh(
        "targetcli /backstores/fileio create new /var/lib/lun/new >/dev/null; "
        f"{luns} create /backstores/fileio/new 0 >/dev/null"
    )
    found = host.tasks(task("pool_iscsi", **DISKS), task("pool_iscsi", **DISKS))
    said = str([answer["warnings"] for answer in found])
    assert f"{LUN}-5" in said
    assert "is gone from its server" in said
    assert re.search(f"Volume {LUN}-0 is disk .* of 48 MiB now, and was disk .* of 32 MiB", said)
    assert not found[1]["changed"], found[1]["plan"]
    info = host.tasks(task("volume_info", pool="disks"))[0]
    sizes = {row["path"]: row["capacity"] for row in info["volumes"]}
    assert sizes[f"{LUN}-0"] == 48 << 20
    if host.libvirt:
        shown = host.sh(f"virsh -q vol-info --bytes --pool disks {LUN}-0")
        assert str(48 << 20) in shown
    host.tasks(task("pool_iscsi", name="disks", state="deleted"))


@thorough
def test_a_second_session_of_somebody_else(served: Driven) -> None:
    """The pool is left, and the other session lives on."""
    host = served
    host.tasks(task("pool_iscsi", **DISKS))
    host.sh(
        "iscsiadm --mode iface --op new --interface theirs >/dev/null; "
        f"iscsiadm --mode node --op new --targetname {IQN}:plain --portal {SERVER} "
        "--interface theirs >/dev/null; "
        f"iscsiadm --mode node --targetname {IQN}:plain --interface theirs --login >/dev/null"
    )
    leave = task("pool_iscsi", name="disks", state="absent")
    if host.libvirt:  # which would log out of both
        assert "interface theirs" in failed(host, leave)[0]
        host.sh("iscsiadm --mode node --interface theirs --logout >/dev/null")
        host.tasks(leave)
        assert host.sh(SESSIONS, check=False).strip() == ""
    else:
        four(host, leave)
        assert host.sh(SESSIONS).split() == [f"{IQN}:plain"]
        assert "theirs" in host.sh("iscsiadm --mode session -P 1 | grep Iface.Name")
    host.sh(
        "iscsiadm --mode node --interface theirs --logout; "
        "iscsiadm --mode node --interface theirs --op delete; "
        "iscsiadm --mode iface --op delete --interface theirs",
        check=False,
    )
