# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What is on a host becomes options that change nothing there, whoever has made it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from conftest import SERVE, TARGET, Driven, Result, blank, task, thorough
from test_listed import scsi_host
from test_states import four, still

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES = {"dir", "disk", "fs", "iscsi", "logical", "mpath", "netfs", "scsi"}
NFS = {"host": "127.0.0.1", "dir": "/exports/nfs", "path": "/srv/templates", "format": "nfs"}
VIRSH = f"""
set -e
mkdir -p /srv/attic /srv/templates
wipefs --quiet --all {blank(0)} {blank(1)} /dev/vdb
mkfs.ext4 -q {blank(0)}
virsh -q pool-define-as images dir --target /srv/images
virsh -q pool-define-as attic fs --source-dev {blank(0)} --source-format ext4 --target /srv/attic
virsh -q pool-define-as guests logical --source-dev $(readlink -f {blank(1)}) \\
    --target /dev/guests
virsh -q pool-define-as scratch disk --source-dev /dev/vdb --source-format gpt --target /dev
virsh -q pool-define-as templates netfs --source-host 127.0.0.1 --source-path /exports/nfs \\
    --source-format nfs --target /srv/templates
virsh -q pool-define-as backups iscsi --source-host 127.0.0.1 --source-dev {TARGET} \\
    --target /dev/disk/by-path
virsh -q pool-define-as luns scsi --adapter-name host%s --target /dev/disk/by-path
virsh -q pool-define-as maps mpath --target /dev/mapper
for pool in images attic guests scratch; do virsh -q pool-build $pool; done
for pool in images attic guests scratch templates backups luns maps; do
    virsh -q pool-start $pool
    virsh -q pool-autostart $pool
done
virsh -q vol-create-as guests web 64M
virsh -q vol-create-as scratch vdb1 64M
virsh -q vol-create-as images disk.qcow2 10M --format qcow2
udevadm settle
virsh -q pool-refresh scratch
"""


@pytest.fixture
def served(each_host: Driven) -> Iterator[Driven]:
    """A host that has servers of its own; all of its pools and the servers go afterwards."""
    each_host.sh(SERVE)
    each_host.sh("systemctl start multipathd.service")
    yield each_host
    clear(each_host)


def clear(host: Driven) -> None:
    rows = reversed(listed(host))
    gone = {"state": "deleted", "allow": ["delete"]}
    host.tasks(*(task(f"pool_{row['type']}", name=row["name"], **gone) for row in rows))
    host.sh(
        "systemctl stop multipathd.socket multipathd.service; multipath -F;"
        "targetcli clearconfig confirm=True >/dev/null; systemctl stop nfs-server; rm -rf /exports",
        check=False,
    )


def listed(host: Driven) -> list[dict[str, Any]]:
    found = host.tasks(task("pool_info", volumes=True))[0]
    assert [pool["error"] for pool in found["pools"] if pool["error"]] == []
    rows: list[dict[str, Any]] = found["pools_list"]
    return rows


def tasks(rows: list[dict[str, Any]]) -> list[Result]:
    """What the role does with them."""
    steps = []
    for row in rows:
        ends = ("type", "volumes")
        steps.append(
            task(f"pool_{row['type']}", **{key: row[key] for key in row if key not in ends})
        )
        if "volumes" in row:
            steps.append(task("volumes", pool=row["name"], volumes=row["volumes"]))
    return steps


def made(host: Driven) -> list[Result]:
    return [
        task("pool_dir", name="images", path="/srv/images", mode="0750", group="adm"),
        task(
            "pool_fs",
            **{"name": "attic", "device": blank(0), "path": "/srv/attic", "format": "ext4"},
            mount_options=["noatime"],
        ),
        task("pool_logical", name="guests", devices=[blank(1), blank(2)], extent_size="8 MiB"),
        task("pool_disk", name="scratch", device="/dev/vdb"),
        task("pool_netfs", name="templates", **NFS),
        task("pool_iscsi", name="backups", host="127.0.0.1", target=TARGET),
        task("pool_scsi", name="luns", adapter={"name": f"host{scsi_host(host, blank(3))[0]}"}),
        task("pool_mpath", name="maps"),
        task("volumes", pool="guests", volumes=[{"name": "web", "capacity": "64 MiB"}]),
        task("volumes", pool="images", volumes=[{"name": "a", "capacity": "1M"}]),
    ]


@thorough
def test_what_we_made(served: Driven) -> None:
    served.tasks(*made(served))
    rows = listed(served)
    assert {row["type"] for row in rows} == TYPES
    four(served, *map(still, tasks(rows)))
    assert [key for row in rows for key in row if key in ("uuid", "state", "autostart")] == []
    leave = ("images", "attic", "guests", "templates", "backups")
    stop = [
        task(f"pool_{row['type']}", name=row["name"], state="inactive", autostart=False)
        for row in rows
        if row["name"] in leave
    ]
    served.tasks(*stop)
    four(served, *map(still, tasks(listed(served))))


@thorough
def test_what_virsh_made(libvirt_host: Driven) -> None:
    host = libvirt_host
    host.sh(SERVE)
    host.sh("systemctl start multipathd.service")
    host.sh(VIRSH % scsi_host(host, blank(3))[0])
    rows = listed(host)
    assert {row["type"] for row in rows} == TYPES
    before = host.sh("for each in /etc/libvirt/storage/*.xml; do cat $each; done")
    four(host, *map(still, tasks(rows)))
    assert host.sh("for each in /etc/libvirt/storage/*.xml; do cat $each; done") == before
    clear(host)


BY_HAND = f"""
set -e
wipefs --quiet --all {blank(0)} {blank(1)} {blank(2)}
mkfs.ext4 -q {blank(0)}
mkdir -p /srv/attic /srv/templates
mount -o noatime,nosuid,nodev {blank(0)} /srv/attic
mount 127.0.0.1:/exports/nfs /srv/templates
vgcreate --yes --quiet guests {blank(1)} {blank(2)}
lvcreate --yes --quiet --size 64M --name web guests
iscsiadm -m discovery -t sendtargets -p 127.0.0.1
iscsiadm -m node -T {TARGET} -p 127.0.0.1 --login
udevadm settle
"""
STORAGE = """
findmnt -no SOURCE,OPTIONS /srv/attic; findmnt -no SOURCE,OPTIONS /srv/templates
vgs --noheadings -o vg_name,vg_uuid,pv_count guests; lvs --noheadings -o lv_name,lv_active guests
iscsiadm -m session | cut -d' ' -f2-4
"""


@thorough
def test_what_was_made_by_hand(served: Driven) -> None:
    """It becomes pools that go on with the mounts, the group and the session that are there."""
    served.sh(BY_HAND)
    before = served.sh(STORAGE)
    asked = {
        "fs": {},
        "netfs": {"host": "127.0.0.1"},
        "logical": {},
        "iscsi": {"host": "127.0.0.1"},
    }
    made = []
    for kind, server in asked.items():
        found = served.tasks(task("pool_source_info", type=kind, **server))[0]["sources"]
        ours = [each["options"] for each in found if is_ours(each["options"])]
        assert len(ours) == 1, found
        made.append(task(f"pool_{kind}", **ours[0]))
    assert made[0]["args"]["mount_options"] == ["exec", "noatime"]
    four(served, *made)
    assert served.sh(STORAGE) == before
    four(served, *map(still, tasks(listed(served))))


def is_ours(options: dict[str, Any]) -> bool:
    """Whether it is what was made by hand, and not a blank disk."""
    return (
        options.get("path") in ("/srv/attic", "/srv/templates")
        or options.get("volume_group") == "guests"
        or options.get("target") == TARGET
    )


def play(name: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    book = Path(__file__).resolve().parents[2] / "playbooks" / f"{name}.yml"
    command = ["ansible-playbook", "-i", str(folder / "hosts.yml"), str(book), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@thorough
def test_playbooks(each_host: Driven, tmp_path: Path) -> None:
    """One host of two has drifted; here they are two names of one, which have other pools."""
    each_host.tasks(
        # libvirt's definition has all of them when it has one.
        task("pool_dir", name="images", path="/srv/images", mode="0750", owner="0", group="0"),
        task("volumes", pool="images", volumes=[{"name": "a", "capacity": "1M"}]),
    )
    variables = each_host.host.variables()
    hosts = {"all": {"hosts": {"one": variables, "two": variables}}}
    (tmp_path / "hosts.yml").write_text(json.dumps(hosts), encoding="utf-8")
    done = play("export", tmp_path)
    assert done.returncode == 0, done.stdout
    written = [tmp_path / "host_vars" / name / "storage.yml" for name in ("one", "two")]
    pool: Result = {"name": "images", "type": "dir", "mode": "0750", "path": "/srv/images"}
    pool.update(owner="0", group="0")
    pool["volumes"] = [{"name": "a", "capacity": "1 MiB"}]
    for file in written:
        assert yaml.safe_load(file.read_text(encoding="utf-8")) == {"pools_list": [pool]}
    assert play("drift", tmp_path).returncode == 0
    text = written[1].read_text(encoding="utf-8")
    written[1].write_text(text.replace("0750", "0700"), encoding="utf-8")
    before = each_host.sh("stat -c '%a %Z' /srv/images; ls -lR /etc/libvirt/storage")
    assert play("drift", tmp_path).returncode == 2
    report = json.loads((tmp_path / "drift.json").read_text(encoding="utf-8"))["hosts"]
    assert report["one"] == {"drift": False, "pools": []}
    steps = ["change the mode of /srv/images to 0700", "define pool images"]
    differs = [{"name": "images", "differs": steps, "error": None}]
    assert report["two"] == {"drift": True, "pools": differs}
    assert "## two" in (tmp_path / "drift.md").read_text(encoding="utf-8")
    assert each_host.sh("stat -c '%a %Z' /srv/images; ls -lR /etc/libvirt/storage") == before
    refused = play("export", tmp_path)
    assert refused.returncode == 2
    assert "is there and says something else" in refused.stdout
    assert written[1].read_text(encoding="utf-8") != text
    assert play("export", tmp_path, "-e", "export_overwrite=true").returncode == 0
    assert written[1].read_text(encoding="utf-8") == text
    each_host.tasks(task("pool_dir", name="images", state="deleted", allow=["delete"]))


@thorough
def test_report_and_preview(each_host: Driven, tmp_path: Path) -> None:
    """Three hosts: one that has drifted, one without variables, and one that is not there."""
    odd = "<b>{{ 1 + 1 }}"
    each_host.tasks(
        task("pool_dir", name="images", path="/srv/images"),
        task("pool_dir", name=odd, path="/srv/odd", autostart=False),
    )
    variables = each_host.host.variables()
    lost = {**variables, "ansible_host": "127.0.0.1", "ansible_port": 1}
    hosts = {"all": {"hosts": {"one": variables, "two": variables, "lost": lost}}}
    (tmp_path / "hosts.yml").write_text(json.dumps(hosts), encoding="utf-8")
    (tmp_path / "host_vars").mkdir()
    listed = {
        "pools_list": [{"name": "images", "type": "dir", "path": "/srv/images", "mode": "0700"}]
    }
    (tmp_path / "host_vars/one.yml").write_text(json.dumps(listed), encoding="utf-8")
    before = each_host.sh("stat -c '%a %Z' /srv/images; ls -lR /etc/libvirt/storage")
    done = play("report", tmp_path)
    assert done.returncode == 0, done.stdout
    assert f"The report is {tmp_path}/storage.html" in done.stdout
    assert each_host.sh("stat -c '%a %Z' /srv/images; ls -lR /etc/libvirt/storage") == before
    page = (tmp_path / "storage.html").read_text(encoding="utf-8")
    assert "3 hosts, 4 pools" in page
    assert "of 1 that were compared" in page
    assert "change the mode of /srv/images to 0700" in page
    assert page.count('<span class="chip bad">unreachable</span>') == 1
    assert odd not in page
    assert "&lt;b&gt;{{ 1 + 1 }}" in page
    assert page.count("It does not come back after a reboot.") == 4  # in both lists, for both hosts
    shown = play("preview", tmp_path)
    assert shown.returncode == 0, shown.stdout  # nobody asks the lost one, which has no variables
    assert '"one: 2 steps"' in shown.stdout
    assert '"images: change the mode of /srv/images to 0700"' in shown.stdout
    assert '"two: nothing"' in shown.stdout
    assert each_host.sh("stat -c '%a %Z' /srv/images; ls -lR /etc/libvirt/storage") == before
    refused = json.dumps({"pools_list": [{**listed["pools_list"][0], "path": "srv"}]})
    (tmp_path / "host_vars/two.yml").write_text(refused, encoding="utf-8")
    shown = play("preview", tmp_path)
    assert shown.returncode == 2, shown.stdout
    assert '"two: nothing, refused: images"' in shown.stdout
    # Nobody answers: the reports are written all the same, and drift fails.
    for name, code, file in (("report", 0, "storage.html"), ("drift", 2, "drift.json")):
        assert play(name, tmp_path, "--limit", "lost").returncode == code
        assert "127.0.0.1" in (tmp_path / file).read_text(encoding="utf-8") or name == "drift"
    told = json.loads((tmp_path / "drift.json").read_text(encoding="utf-8"))
    assert told == {"hosts": {"lost": {"drift": None, "pools": []}}}
    each_host.tasks(
        task("pool_dir", name="images", state="deleted", allow=["delete"]),
        task("pool_dir", name=odd, state="deleted", allow=["delete"]),
    )
