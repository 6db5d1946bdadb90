# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""A task that is killed leaves nothing lost, and goes on from there when it runs again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import DISK, SERVE, TARGET, Driven, blank, task, thorough

NAME = "kill"
PATH = "/srv/kill"
DISKS = (blank(0), blank(1))

# Everything that a case may leave goes; what others have stays.
RESTORE = f"""
exec >/dev/null 2>&1
[ -z "$TOLD" ] || virsh 'pool-destroy {NAME}; pool-undefine {NAME}'
umount {PATH}
rm -rf {PATH} /etc/libvirt/storage/{NAME}.xml /etc/libvirt/storage/autostart/{NAME}.xml
units=$(find /etc/systemd/system -name srv-kill.mount -print -delete)
[ -z "$units" ] || systemctl daemon-reload
[ -z "$(ls /etc/iscsi/nodes)" ] || {{
  iscsiadm --mode node --logoutall all
  iscsiadm --mode node --op delete
  rm /etc/iscsi/ifaces/poolwright-*
}}
case $(blkid -p {" ".join(DISKS)}) in *LVM2_member*) vgremove -ff -y {NAME};; esac
for disk in {" ".join(DISKS)}; do
  blkdiscard --force $disk
  blockdev --rereadpt $disk
done
udevadm settle
"""
OTHERS = " ".join(f"{DISK}d000000{number}" for number in (0, 2, 3, 4, 5))
CANARY = f"head -q -c 65536 {OTHERS} /dev/labother/precious | sha256sum\n"
DIR = task("pool_dir", name=NAME, path=PATH, mode="0711", owner="nobody", group="nogroup")
FS = task("pool_fs", name=NAME, path=PATH, device=blank(0), format="ext4", mode="0710")
GROUP = task("pool_logical", name=NAME, devices=[blank(0), blank(1)])
SMALL = task("pool_logical", name=NAME, devices=[blank(0)])


def volumes(*rows: tuple[str, str, str], **args: Any) -> dict[str, Any]:
    listed = [
        {"name": name, **({"format": format} if format else {}), "capacity": capacity}
        for name, format, capacity in rows
    ]
    return task("volumes", pool=NAME, volumes=listed, **args)


FILES = volumes(("a", "raw", "8M"), ("b", "qcow2", "16M"), ("c", "raw", "1M"))
CHANGED = volumes(("a", "raw", "9M"), ("b", "qcow2", "20M"), purge=True, allow=["delete"])
LVS = volumes(("a", "", "8M"), ("b", "", "8M"), ("c", "", "4M"))
THIN = {"type": "thin", "thin_pool": "pool"}
KINDS = task(
    "volumes",
    pool=NAME,
    volumes=[
        {"name": "pool", "capacity": "16M", "lvm": {"type": "thin-pool"}},
        {"name": "thin", "capacity": "8M", "lvm": THIN},
        {"name": "before", "lvm": {"type": "snapshot", "origin": "thin", "overcommit": True}},
        {"name": "base", "capacity": "4M"},
        {"name": "copy", "allocation": "4M", "lvm": {"type": "snapshot", "origin": "base"}},
    ],
)
CHANGED_LVS = volumes(("a", "", "12M"), ("b", "", "8M"), purge=True, allow=["delete"])
GONE = {"state": "deleted", "allow": ["delete"]}
WIPE = task("volume", pool=NAME, name="b", state="absent", wipe="zero", allow=["delete"])
FILE = f"{PATH}/a"
LV = f"/dev/{NAME}/a"
DD = "conv=notrunc,fsync status=none"
WHOLE = task("pool_disk", name=NAME, device=blank(0))
# KERNEL stands for the kernel's name of the disk, which the host tells.
PARTS = volumes(("KERNEL1", "linux", "8M"), ("KERNEL2", "", "8M"), ("KERNEL3", "", "8M"))
CHANGED_PARTS = volumes(
    ("KERNEL1", "linux", "8M"), ("KERNEL2", "", "12M"), purge=True, allow=["delete"]
)
RAW, PACKED, IMAGE = "/srv/content/raw", "/srv/content/raw.gz", "/srv/content/image"
CONTENT = f"""
test -e {IMAGE} || {{
  mkdir -p /srv/content
  head -c 6M /dev/urandom >{RAW}
  truncate -s 12M {RAW}
  head -c 4M /dev/urandom >>{RAW}
  gzip -k {RAW}
  qemu-img convert -c -O qcow2 {RAW} {IMAGE}
}}
"""
SAME = f"cd {PATH}; for n in b g h; do qemu-img compare -q -F raw $n {RAW} || echo $n; done"
SECRET = {"passphrase": "a word"}
# Prints where an encrypted device is not as large as, and equal to, what it was filled with.
OPENED = f"""
printf 'a word' >/run/word
opened() {{
  qemu-img convert --object secret,id=s,file=/run/word --image-opts -O raw \
    driver=luks,file.filename=$1,key-secret=s /run/opened && cmp -n 16M /run/opened {RAW}
  rm -f /run/opened
}}"""


def filled(*rows: Any, **args: Any) -> dict[str, Any]:
    return task("volumes", pool=NAME, volumes=list(rows), **args)


FILLED = filled(
    {"name": "a", "source": {"path": RAW}},
    {"name": "b", "format": "qcow2", "source": {"path": RAW}},
    {"name": "c", "capacity": "20M", "source": {"path": PACKED}},
    {"name": "d", "capacity": "16M", "source": {"path": PACKED}},
    {"name": "e", "format": "raw", "source": {"path": IMAGE, "format": "qcow2"}},
    {"name": "f", "format": "qcow2", "encryption": SECRET, "source": {"path": RAW}},
    {"name": "g", "clone_from": {"volume": "b"}},
    {"name": "h", "format": "qcow2", "backing": {"volume": "g", "format": "qcow2"}},
    {"name": "i", "cloud_init": {"user_data": "#cloud-config\n"}},
)
FILLED_LVS = filled(
    {"name": "a", "source": {"path": RAW}},
    {"name": "pool", "capacity": "32M", "lvm": {"type": "thin-pool"}},
    {"name": "b", "lvm": THIN, "source": {"path": IMAGE, "format": "qcow2"}},
    {"name": "c", "encryption": SECRET, "capacity": "24M"},
    {"name": "d", "clone_from": {"volume": "a"}},
    {"name": "e", "encryption": SECRET, "source": {"path": PACKED}, "capacity": "16M"},
)
FILLED_PARTS = filled(
    {"name": "KERNEL1", "capacity": "16M", "source": {"path": RAW}},
    {"name": "KERNEL2", "capacity": "24M", "encryption": SECRET},
    {"name": "KERNEL3", "capacity": "16M", "source": {"path": IMAGE, "format": "qcow2"}},
    {"name": "KERNEL4", "encryption": SECRET, "source": {"path": IMAGE, "format": "qcow2"}},
)


def over(name: str, path: str = IMAGE, format: str = "qcow2") -> dict[str, Any]:
    """Other content for what is there."""
    source = {"path": path, "format": format, "sync": True}
    return filled({"name": name, "source": source}, allow=["overwrite"])


OLD = "head -c 16M /dev/urandom | dd conv=notrunc status=none of="
NETFS = task("pool_netfs", name=NAME, host="127.0.0.1", dir="/exports/nfs", path=PATH)
ISCSI = task("pool_iscsi", name=NAME, host="127.0.0.1", target=TARGET, initiator=f"{TARGET}-me")

# "before" are tasks, "moments" counts kills between steps, "fill" makes what there is after these,
# "keep" is what a task must not lose, and what "wrong" prints is wrong in the end.
CASES: dict[str, dict[str, Any]] = {
    "dir": {"task": DIR},
    "fs": {"task": FS, "moments": 2},
    "fs-overwrite": {
        "task": task(
            "pool_fs", name=NAME, path=PATH, device=blank(0), format="xfs", allow=["overwrite"]
        ),
        "fill": f"mkfs.ext4 -q {blank(0)}; udevadm settle",
    },
    "fs-deleted": {"before": [FS], "task": task("pool_fs", name=NAME, **GONE)},
    "logical": {"task": GROUP, "moments": 2},
    "logical-extended": {"before": [SMALL, LVS], "task": GROUP, "keep": LV, "moments": 1},
    "logical-deleted": {"before": [GROUP, LVS], "task": task("pool_logical", name=NAME, **GONE)},
    "files": {"before": [DIR], "task": FILES, "moments": 2},
    "files-changed": {"before": [DIR, FILES], "task": CHANGED, "keep": FILE},
    "files-wiped": {
        "before": [DIR, FILES],
        "task": WIPE,
        "fill": f"head -c 64M /dev/urandom >{PATH}/b",
        "moments": 2,
    },
    "lvs-wiped": {
        "before": [SMALL, LVS],
        "task": WIPE,
        "fill": f"head -c 8M /dev/urandom >/dev/{NAME}/b",
        "moments": 1,
    },
    "lvs": {"before": [SMALL], "task": LVS, "moments": 1},
    "lvs-kinds": {"before": [SMALL], "task": KINDS, "moments": 6},
    "lvs-changed": {"before": [SMALL, LVS], "task": CHANGED_LVS, "keep": LV},
    "disk": {"task": WHOLE, "moments": 1},
    "disk-deleted": {"before": [WHOLE, PARTS], "task": task("pool_disk", name=NAME, **GONE)},
    "partitions": {"before": [WHOLE], "task": PARTS, "moments": 2},
    "partitions-changed": {
        "before": [WHOLE, PARTS],
        "task": CHANGED_PARTS,
        "keep": "/dev/KERNEL1",
        "moments": 1,
    },
    "files-filled": {
        "before": [DIR],
        "task": FILLED,
        "fill": CONTENT,
        "moments": 6,
        "wrong": f"{SAME}; for n in a c d e; do cmp -n 16M $n {RAW}; done",
    },
    "files-overwritten": {
        "before": [DIR, volumes(("a", "raw", "16M"))],
        "task": over("a"),
        "fill": f"{CONTENT} {OLD}{PATH}/a",
        "moments": 2,
        "wrong": f"cmp {RAW} {PATH}/a",
    },
    "lvs-filled": {
        "before": [SMALL],
        "task": FILLED_LVS,
        "fill": CONTENT,
        "moments": 6,
        "wrong": f"{OPENED}\ncd /dev/kill; for n in a b d; do cmp -n 16M $n {RAW}; done; opened e",
    },
    "lvs-overwritten": {
        "before": [SMALL, volumes(("a", "", "16M"))],
        "task": over("a"),
        "fill": f"{CONTENT} {OLD}/dev/{NAME}/a",
        "moments": 2,
        "wrong": f"cmp -n 16M {RAW} /dev/{NAME}/a",
    },
    "partitions-filled": {
        "before": [WHOLE],
        "task": FILLED_PARTS,
        "fill": CONTENT,
        "moments": 4,
        "wrong": f"{OPENED}\nfor n in 1 3; do cmp -n 16M /dev/KERNEL$n {RAW}; done\n"
        "opened /dev/KERNEL4",
    },
    "partitions-overwritten": {
        "before": [WHOLE, volumes(("KERNEL1", "", "16M"))],
        "task": over("KERNEL1", RAW, "raw"),
        "fill": f"{CONTENT} {OLD}/dev/KERNEL1",
        "moments": 2,
        "wrong": f"cmp -n 16M {RAW} /dev/KERNEL1",
    },
    "images-grown": {
        "before": [DIR, FILLED],
        "task": filled(
            {"name": "b", "format": "qcow2", "capacity": "24M"},
            {"name": "f", "format": "qcow2", "encryption": SECRET, "capacity": "24M"},
        ),
        "fill": CONTENT,
        "moments": 2,
        "wrong": SAME,
    },
    "netfs": {"task": NETFS, "moments": 1},
    "netfs-deleted": {"before": [NETFS], "task": task("pool_netfs", name=NAME, state="deleted")},
    "iscsi": {"task": ISCSI, "moments": 2},
    "iscsi-deleted": {"before": [ISCSI], "task": task("pool_iscsi", name=NAME, state="deleted")},
    "iscsi-absent": {"before": [ISCSI], "task": task("pool_iscsi", name=NAME, state="absent")},
}


BLANK = f"wipefs --no-act {blank(0)}; cmp -n 1048576 {blank(0)} /dev/zero"


def with_registry(job: dict[str, Any], libvirt: str) -> dict[str, Any]:
    return {**job, "args": {**job["args"], "libvirt": libvirt}}


SOME = {("fs", "required"), ("lvs", "ignored")}


@pytest.mark.parametrize(
    ("name", "libvirt"),
    [
        pytest.param(name, libvirt, marks=() if (name, libvirt) in SOME else thorough)
        for name in CASES
        for libvirt in ("ignored", "required")
    ],
)
def test_goes_on_after_a_kill(host: Driven, name: str, libvirt: str) -> None:
    kernel = host.sh(f"basename $(readlink -f {blank(0)})").strip()
    case = json.loads(json.dumps(CASES[name]).replace("KERNEL", kernel))
    host.sh("vgchange -ay labother >/dev/null 2>&1")
    if name.startswith(("netfs", "iscsi")):
        host.sh(f"test -e /exports/lun || {{ {SERVE} }}")
    keep = case.get("keep")
    sweep = host.drive(
        "sweep",
        name=name,
        restore=f"TOLD={libvirt.replace('ignored', '')}" + RESTORE,
        before=[with_registry(each, libvirt) for each in case.get("before", [])],
        task=with_registry(case["task"], libvirt),
        moments=case.get("moments", 0),
        fill=case.get("fill") or (keep and f"echo precious | dd of={keep} {DD}") or "",
        left=BLANK if name in ("fs-deleted", "disk-deleted") else case.get("wrong", ""),
        canary=CANARY + (f"head -c 9 {keep}" if keep else ""),
    )
    assert len(sweep) > 2, sweep
    for each in sweep:
        after = f"killed after: {each['after']}"
        for later in ("again", "second"):
            found = each[later]
            assert not found.get("failed"), (after, later, found["msg"], found)
        assert each["second"]["changed"] is False, (after, each["second"]["plan"])
        assert each.get("killed", True), after
        assert each["kept"] == each.get("before", each["kept"]), after
        assert each["left"] == "", after
