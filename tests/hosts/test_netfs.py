# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Pools of a server's directory, against a real NFS server in the same host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conftest import Driven, Result, on_one_host, task, thorough
from test_states import four, sh, still

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = "192.0.2.7"  # an address of the host's own, which can be taken away
SHARE = {"name": "share", "host": SERVER, "dir": "/exports/one", "path": "/srv/share"}
OTHER = {**SHARE, "dir": "/exports/two"}
SERVE = f"""set -e
    ip address replace {SERVER}/32 dev lo
    mkdir -p /exports/one /exports/two
    echo '/exports/one *(rw,no_root_squash,no_subtree_check)' > /etc/exports
    echo '/exports/two *(rw,no_root_squash,no_subtree_check)' >> /etc/exports
    systemctl restart nfs-server
"""
CUT = f"ip address del {SERVER}/32 dev lo; systemctl stop nfs-server"
WAIT = 75  # seconds: two looks of at most 30, on a slow machine


@pytest.fixture
def served(each_host: Driven) -> Iterator[Driven]:
    each_host.sh(SERVE)
    yield each_host
    each_host.sh("umount /srv/share; rm -rf /exports; systemctl stop nfs-server", check=False)


def failed(host: Driven, *tasks: Result) -> list[str]:
    """What tasks say that must fail, in check mode as in earnest, and touch nothing."""
    found = host.drive("refused", tasks=tasks)
    assert found["touched"] == []
    for foreseen, earnest in found["answers"]:
        assert earnest.get("failed"), earnest
        assert foreseen["msg"] == earnest["msg"]
    return [earnest["msg"] for _, earnest in found["answers"]]


@thorough
def test_nfs(served: Driven) -> None:
    unit = "" if served.libvirt else "srv-share.mount"
    options = ["nosuid", "soft"]
    four(
        served,
        task("pool_netfs", **SHARE, state="present", autostart=False),
        sh("findmnt -no SOURCE /srv/share"),
        task("pool_netfs", **SHARE, mode="0750", group="adm"),
        sh("findmnt -rno FSTYPE,SOURCE /srv/share", f"nfs4 {SERVER}:/exports/one"),
        sh("stat -c '%a %G' /exports/one", "750 adm"),
        sh("findmnt -nO nodev,nosuid,noexec -o TARGET /srv/share", "/srv/share"),
        sh("ls /etc/systemd/system/remote-fs.target.wants 2>/dev/null | grep ^srv-", unit),
        task("volumes", pool="share", volumes=[{"name": "web", "capacity": "4M"}]),
        sh("stat -c %s /exports/one/web", "4194304"),
        task("pool_netfs", name="share", state="inactive", autostart=False),
        sh("findmnt -no SOURCE /srv/share; ls -A /srv/share"),
        task("pool_netfs", **SHARE, format="nfs", protocol_version="3", mount_options=options),
        sh("findmnt -nO vers=3,soft -o FSTYPE /srv/share", "nfs"),
        still(task("pool_netfs", **{**SHARE, "dir": "/exports//one/"})),
        task("pool_netfs", name="share", state="absent"),
        sh("findmnt -no SOURCE /srv/share; ls -d /srv/share", "/srv/share"),
        still(task("pool_netfs", name="share", state="undefined")),
        task("pool_netfs", **SHARE, protocol_version="4.1", format="nfs"),
        task("pool_netfs", name="share", state="deleted"),
        sh("ls -d /srv/share /etc/systemd/system/srv-* 2>/dev/null; ls /exports/one", "web"),
    )


@on_one_host
def test_what_is_refused(served: Driven) -> None:
    served.sh(f"mkdir -p /srv/share && mount -t nfs {SERVER}:/exports/two /srv/share")
    assert failed(served, task("pool_netfs", **SHARE)) == [
        f"Nothing was changed: {SERVER}:/exports/two is mounted at /srv/share, where pool share "
        f"belongs with {SERVER}:/exports/one. Unmount it, or name another path."
    ]
    served.sh("umount /srv/share; touch /srv/share/hidden")
    assert "is not empty" in failed(served, task("pool_netfs", **SHARE))[0]
    served.sh("rm /srv/share/hidden")
    served.tasks(task("pool_netfs", **SHARE))
    second = task("pool_netfs", **{**SHARE, "name": "second", "path": "/srv/second"})
    assert "pool share lives already" in failed(served, second)[0]
    served.sh("cd /srv/share; nohup sleep 500 >/dev/null 2>&1 & echo $! > /run/holder")
    held = failed(served, *(task("pool_netfs", name="share", state=s) for s in LEAVE))
    pid = served.sh("cat /run/holder").strip()
    assert [text for text in held if f"open in sleep ({pid})" not in text] == []
    served.sh("kill $(cat /run/holder)")
    served.tasks(task("pool_netfs", name="share", state="deleted"))


LEAVE = ("inactive", "absent", "deleted")
NAME = "nas.example.org"
ROOT = f"""set -e
    grep -q {NAME} /etc/hosts || echo '{SERVER} {NAME} files.example.org' >> /etc/hosts
    mkdir -p /exports/all/a /exports/all/b
    echo '/exports/all *(rw,fsid=0,no_root_squash,no_subtree_check)' > /etc/exports
    echo '/exports/all/a *(rw,no_root_squash,no_subtree_check)' >> /etc/exports
    echo '/exports/all/b *(rw,root_squash,no_subtree_check)' >> /etc/exports
    systemctl restart nfs-server
"""


@on_one_host
def test_one_server_under_several_names(served: Driven) -> None:
    """The kernel shows the second mount under the first name, if nothing is done about it."""
    served.sh(ROOT)
    one = {"name": "one", "host": "127.0.0.1", "dir": "/a", "path": "/srv/one", "format": "nfs"}
    two = {"name": "two", "host": NAME, "dir": "/b", "path": "/srv/two", "format": "nfs"}
    served.sh("truncate -s 1M /exports/all/b/other; chmod 600 /exports/all/b/other")
    served.sh("chown 1234 /exports/all/b/other")  # which root may not read on this export
    tasks = [task("pool_netfs", **one), task("pool_netfs", **two)]
    first = served.tasks(*tasks)
    assert [each["changed"] for each in first] == [True, True]
    assert [each["changed"] for each in served.tasks(*tasks)] == [False, False]
    info = served.tasks(task("volume_info", pool="two"))[0]["volumes"]
    assert [(row["name"], row["capacity"]) for row in info] == [("other", 1 << 20)]
    again = [("files.example.org", "/a"), (SERVER, "/b"), ("127.0.0.1", "/exports/all/a")]
    asked = [
        task("pool_netfs", name="more", host=host, dir=folder, path="/srv/more")
        for host, folder in again
    ]
    said = failed(served, *asked)
    assert [text for text in said if "on which pool" not in text] == []
    tasks = [task("pool_netfs", name=name, state="deleted") for name in ("one", "two")]
    served.tasks(*tasks)
    assert served.sh("findmnt -rnt nfs,nfs4; ls /srv", check=False) == ""


GLUSTER = f"""set -e
    systemctl start glusterd
    gluster --mode=script volume create images {SERVER}:/exports/brick force
    gluster --mode=script volume start images
"""


@thorough
def test_gluster(served: Driven) -> None:
    served.sh(GLUSTER)
    share = {**SHARE, "dir": "/images", "format": "glusterfs"}
    four(
        served,
        task("pool_netfs", **share),
        sh("findmnt -rno FSTYPE,SOURCE /srv/share", f"fuse.glusterfs {SERVER}:/images"),
        task("volumes", pool="share", volumes=[{"name": "web", "capacity": "4M"}]),
        sh("stat -c %s /exports/brick/web", "4194304"),
        task("pool_netfs", name="share", state="deleted"),
        sh("ls /srv"),
    )
    served.sh("gluster --mode=script volume stop images force; systemctl stop glusterd")


@thorough
def test_a_dead_server(served: Driven) -> None:
    """Every task ends in time, and goes on when the server is back."""
    served.sh(CUT)
    asked = task("pool_netfs", **SHARE, libvirt="auto")
    never = served.drive("tasks", tasks=[asked])[0]
    assert never["failed"]
    assert "no answer within 30 seconds" in never["msg"], never
    assert never["seconds"] < WAIT
    served.sh(SERVE)
    served.tasks(asked)
    served.sh(CUT)
    tasks = [asked, task("pool_info"), task("pool_netfs", name="share", state="inactive")]
    active, info, stop = served.drive("tasks", tasks=tasks)
    assert active["failed"]
    assert active["msg"].startswith("Nothing was changed: "), active
    assert [pool["error"] for pool in info["pools"]] == [
        f"{SERVER}:/exports/one at /srv/share: no answer within 30 seconds"
    ]
    # Whether the kernel lets go of a mount without its server is up to the kernel.
    if stop.get("failed"):
        assert "umount /srv/share: no answer within 30 seconds" in stop["msg"], stop
    else:
        assert served.sh("findmnt -no SOURCE /srv/share", check=False) == ""
    assert max(each["seconds"] for each in (active, info, stop)) < WAIT
    served.sh(SERVE)
    served.tasks(asked)
    assert served.sh("findmnt -no SOURCE /srv/share").strip() == f"{SERVER}:/exports/one"
    served.tasks(task("pool_netfs", name="share", state="deleted"))


@thorough
def test_a_directory_of_a_dead_server(served: Driven) -> None:
    """It is answered for in time, is in nobody's way, and can be forgotten."""
    one, two = {"name": "one", "path": "/srv/link/one"}, {"name": "two", "path": "/srv/two"}
    served.sh(f"mkdir -p /srv/share; ln -s share /srv/link; mount {SERVER}:/exports/one /srv/share")
    served.tasks(task("pool_dir", **one), task("volume", pool="one", name="web", capacity="1M"))
    served.sh(CUT)
    dead, info, volume, other, gone = served.drive(
        "tasks",
        tasks=[
            task("pool_dir", **one),
            task("pool_info", name="one"),
            task("volume", pool="one", name="web", capacity="2M"),
            task("pool_dir", **two),
            task("pool_dir", name="two", state="deleted"),
        ],
    )
    for each in (dead, volume):
        assert each["msg"].startswith("Nothing was changed: /srv/link/one: no answer"), each
    assert "no answer" in info["pools"][0]["error"]
    assert other["changed"], other
    assert gone["changed"], gone
    assert max(each["seconds"] for each in (dead, info, volume, other, gone)) < WAIT
    if not served.libvirt:  # which looks itself, and waits
        absent = served.drive("tasks", tasks=[task("pool_dir", name="one", state="absent")])[0]
        assert absent["changed"], absent
    served.sh(SERVE)
    served.tasks(task("pool_dir", **one), task("pool_dir", name="one", state="absent"))
    assert served.sh("ls /exports/one/one") == "web\n"
    served.sh("umount /srv/share; rm /srv/link")


@thorough
def test_what_a_client_of_ours_has_open(served: Driven) -> None:
    served.tasks(
        task("pool_dir", name="images", path="/exports/one"),
        task("volume", pool="images", name="web", capacity="1M"),
    )
    served.sh(f"""set -e
        mkdir -p /srv/share; mount {SERVER}:/exports/one /srv/share
        setsid sleep 300 </srv/share/web >/dev/null 2>&1 & echo $! > /run/holder
    """)
    served.until("grep -q . /proc/fs/nfsd/clients/*/states")
    absent = task("volume", pool="images", name="web", state="absent", allow=["delete"])
    assert f"is open in NFS client {SERVER}" in failed(served, absent)[0]
    served.sh("kill $(cat /run/holder); umount /srv/share")
    served.until("! grep -q . /proc/fs/nfsd/clients/*/states")
    served.tasks(absent, task("pool_dir", name="images", state="absent"))
