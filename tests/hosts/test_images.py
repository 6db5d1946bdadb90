# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Files of every format, what images are based on, and directories; seen with other tools."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Driven, Result, on_one_host, task, thorough
from test_files import refused
from test_libvirt import agree_on_volume
from test_states import four, sh

if TYPE_CHECKING:
    from collections.abc import Iterator

POOL = task("pool_dir", name="images", path="/srv/images")
HOME = "/srv/images"
# Sizes are whole sectors, because qemu-img tells no others.
FORMATS: list[dict[str, Any]] = [
    {"name": "disk.raw", "capacity": "1000448"},
    {"name": "disk.iso", "capacity": "1000448", "format": "iso"},
    {"name": "odd.qcow2", "capacity": "1000001", "format": "qcow2"},
    {"name": "old.qcow2", "capacity": "1M", "format": "qcow2", "compat": "0.10"},
    {
        "name": "wide.qcow2",
        "capacity": "10M",
        "format": "qcow2",
        "cluster_size": "128K",
        "features": ["lazy_refcounts", "extended_l2"],
        "preallocation": "metadata",
    },
    {"name": "small.qcow2", "capacity": "10M", "format": "qcow2", "cluster_size": "512"},
    {"name": "full.qcow2", "capacity": "2M", "format": "qcow2", "preallocation": "full"},
    {"name": "whole.qcow2", "capacity": "2M", "format": "qcow2", "preallocation": "falloc"},
    {"name": "disk.qcow", "capacity": "1000001", "format": "qcow"},
    {"name": "disk.qed", "capacity": "1000001", "format": "qed", "cluster_size": "8K"},
    {"name": "disk.vmdk", "capacity": "1000001", "format": "vmdk"},
    {"name": "disk.vpc", "capacity": "1000001", "format": "vpc"},
    {"name": "disk.vdi", "capacity": "1000001", "format": "vdi"},
    {"name": "folder", "format": "dir", "mode": "0711", "group": "adm"},
]
COPIED = ("qcow", "vmdk", "vpc", "vdi")  # where they grow


def volumes(*rows: Result, **more: object) -> Result:
    return task("volumes", pool="images", volumes=list(rows), **more)


def told(host: Driven, pool: str = "images") -> dict[str, Result]:
    found = host.tasks(task("volume_info", pool=pool))[0]["volumes"]
    return {volume["name"]: volume for volume in found}


def infos(host: Driven, paths: list[str]) -> list[list[Result]]:
    """What qemu-img says of images, and of all that each is based on."""
    script = (
        "echo '['; for f in {}; do qemu-img info --backing-chain --output=json $f; echo ,; done"
    )
    text = host.sh(f"{script.format(' '.join(paths))}; echo '[]]'")
    found: list[list[Result]] = json.loads(text)
    return found[:-1]


@pytest.fixture
def images(each_host: Driven) -> Iterator[Driven]:
    each_host.tasks(POOL)
    yield each_host
    for name in ("other", "images"):
        each_host.drive(
            "tasks", tasks=[task("pool_dir", name=name, state="deleted", allow=["delete"])]
        )


def qemu_agrees(host: Driven) -> None:
    """qemu-img finds all images in order, and sees in them what is told."""
    files = [each for each in told(host).values() if each["type"] != "dir"]
    theirs = infos(host, [each["path"] for each in files])
    for each, (first, *rest) in zip(files, theirs, strict=True):
        form = "raw" if each["format"] == "iso" else each["format"]
        assert (first["format"], first["virtual-size"]) == (form, each["capacity"]), each["name"]
        chain = [(link["path"], link["format"]) for link in each["backing_chain"]]
        assert [(link["filename"], link["format"]) for link in rest] == chain
        assert all(link["exists"] for link in each["backing_chain"])
        if form == "qcow2":
            agrees_on_qcow2(each, first)
    checked = [each for each in files if each["format"] in ("qcow2", "qed", "vdi")]
    host.sh(" && ".join(f"qemu-img check -q -f {v['format']} {v['path']}" for v in checked) or ":")


def agrees_on_qcow2(ours: Result, theirs: Result) -> None:
    own, options = theirs["format-specific"]["data"], ours["options"]
    assert own["compat"] == (ours["compat"] or "0.10") == options.get("compat", "1.1")
    clusters = int(options.get("cluster_size", 65536))
    assert theirs["cluster-size"] == ours["cluster_size"] == clusters
    flags = {"lazy_refcounts": "lazy-refcounts", "extended_l2": "extended-l2"}
    assert {name for name, flag in flags.items() if own.get(flag)} == set(ours["features"])


@on_one_host
def test_formats(images: Driven) -> None:
    grown = [
        {"name": each["name"], "capacity": "12M", "format": each.get("format", "raw")}
        for each in FORMATS
        if each.get("format") != "dir"
    ]
    content = [
        f"qemu-io -f {format} -c '%s -P 5 4096 65536' {HOME}/disk.{format}" for format in COPIED
    ]
    four(
        images,
        volumes(*FORMATS),
        sh(f"stat -c '%F %a %G' {HOME}/folder", "directory 711 adm"),
        sh(f"test $(stat -c '%b * 512' {HOME}/full.qcow2 | xargs expr) -ge 2097152 || echo less"),
    )
    qemu_agrees(images)
    if images.libvirt:
        images.sh("virsh pool-refresh images")
        for each in told(images).values():
            agree_on_volume(images, "images", each)
    four(
        images,
        sh(f"({'; '.join(content) % (('write',) * 4)}) >/dev/null; chown nobody {HOME}/disk.*"),
        volumes(*grown),
        sh(f"({'; '.join(content) % (('read',) * 4)}) | grep 'verification failed'"),
        sh(f"stat -c %U {HOME}/disk.* | sort -u", "nobody"),
    )
    qemu_agrees(images)
    refused(
        images,
        (volumes({**FORMATS[9], "capacity": "1M"}, allow=["shrink"]), "qemu-img can only shrink"),
        (volumes({"name": "new", "format": "bochs", "capacity": "1M"}), "which is only kept"),
        (volumes({"name": "new", "nocow": True, "capacity": "1M"}), "nocow is for pools on btrfs"),
        (
            volumes({"name": "old.qcow2", "format": "qcow2", "compat": "1.1"}),
            "old.qcow2: has compat 0.10, and 1.1 is wanted",
        ),
    )


LOWER = {"backing": {"volume": "bottom", "pool": "images", "format": "raw"}}


@on_one_host
def test_backing(images: Driven) -> None:
    host = images
    rows: list[Result] = [
        {"name": "top", "format": "qcow2", "backing": {"volume": "middle"}},
        {"name": "middle", "format": "qcow2", "capacity": "3M", "backing": {"volume": "bottom"}},
        {"name": "bottom", "capacity": "2M"},
    ]
    other: Result = {
        "name": "over",
        "format": "qcow2",
        "backing": {"volume": "top", "pool": "images"},
    }
    away = {"name": "away", "format": "qcow2", "backing": {"path": f"{HOME}/bottom"}}
    said = {**other, "backing": {**other["backing"], "format": "qcow2"}}
    four(
        host,
        volumes(*rows),
        sh(f"qemu-io -f raw -c 'write -P 7 0 64k' {HOME}/bottom >/dev/null"),
        sh(f"qemu-io -f qcow2 -c 'read -P 7 0 64k' {HOME}/top | grep -o 'verification failed'"),
        task("pool_dir", name="other", path="/srv/other"),
        task("volumes", pool="other", volumes=[said, away]),
        sh("qemu-io -f qcow2 -c 'read -P 7 0 64k' /srv/other/over | grep -o 'verification failed'"),
    )
    qemu_agrees(host)
    clones = [
        {**said, "name": "clone", "capacity": "4M", "clone_from": {"volume": "over"}},
        {**said, "name": "copy", "source": {"path": "/srv/other/over"}},
    ]
    four(
        host,
        # What hides something of what it is based on, with data and with zeros
        sh(
            "qemu-io -f qcow2 -c 'write -P 9 1M 64k' -c 'write -z 0 64k' /srv/other/over >/dev/null"
        ),
        task("volumes", pool="other", volumes=clones),
    )
    same = "for n in clone copy; do qemu-img compare /srv/other/over /srv/other/$n; done"
    assert host.sh(same).count("Images are identical") == 2
    chains = [each["backing_chain"] for each in told(host, "other").values()]
    assert [chain[0]["path"] for chain in chains].count(f"{HOME}/top") == 3
    assert [link["path"] for link in told(host, "other")["over"]["backing_chain"]] == [
        *(f"{HOME}/{name}" for name in ("top", "middle", "bottom")),
    ]
    gone = {"state": "absent"}
    refused(
        host,
        (task("volumes", pool="other", volumes=[{**other, "name": "new"}]), "format in backing"),
        (
            task("volumes", pool="other", volumes=[{**clones[0], "name": "new", **LOWER}]),
            f"which is based on {HOME}/top, and backing says {HOME}/bottom (raw)",
        ),
        (volumes({"name": "bottom", **gone}, allow=["delete"]), "middle is based on it"),
        (volumes({"name": "top", **gone}, allow=["delete"]), "/srv/other/over is based on"),
        (volumes({"name": "bottom", "capacity": "1M"}, allow=["shrink"]), "middle is based on it"),
        (
            volumes({"name": "top", "format": "qcow2", "backing": {"volume": "bottom"}}),
            f"top: is based on {HOME}/middle (qcow2), and {HOME}/bottom (raw) is wanted",
        ),
    )
    four(
        host,
        task("volumes", pool="other", volumes=[], purge=True, allow=["delete"]),
        volumes(*({"name": each["name"], **gone} for each in rows), allow=["delete"]),
        sh(f"ls -A {HOME} /srv/other | grep -v :"),
    )


@on_one_host
def test_options_make_the_same_again(images: Driven) -> None:
    """What is told as options of volumes makes such volumes, and then nothing is to do."""
    based = {"name": "top", "format": "qcow2", "backing": {"volume": "disk.raw", "format": "raw"}}
    images.tasks(volumes(*FORMATS, based))
    before = told(images)
    rows = [each["options"] for each in before.values()]
    [found] = images.drive("twice", tasks=[{**volumes(*rows), "check": True}])
    assert [answer.get("plan") for answer in found] == [[], []]
    images.tasks(
        task("pool_dir", name="images", state="deleted", allow=["delete"]), POOL, volumes(*rows)
    )
    after = told(images)
    keys = ("options", "format", "capacity", "compat", "cluster_size", "features", "permissions")
    for name, each in before.items():
        assert {key: after[name][key] for key in keys} == {key: each[key] for key in keys}


@thorough
@on_one_host
def test_directories(images: Driven) -> None:
    host = images
    folder, gone = {"name": "folder", "format": "dir"}, {"name": "folder", "state": "absent"}
    four(
        host,
        volumes(folder),
        sh(f"stat -c %a {HOME}/folder", "600"),
        volumes({**folder, "mode": "0750"}),
        volumes(gone),
        volumes(folder),
        sh(f"echo precious >{HOME}/folder/file"),
    )
    refused(
        host,
        (volumes(gone), "which destroys the data inside (consent with allow: [delete])"),
        (
            volumes({**folder, "format": "raw", "capacity": "1M"}),
            "is a dir volume, and raw is wanted",
        ),
        (volumes({"name": "folder", "capacity": "1M"}), "which has no size of its own"),
    )
    host.sh(f"mkdir {HOME}/folder/in && mount -t tmpfs none {HOME}/folder/in")
    refused(host, (volumes(gone, allow=["delete"]), "which is a mount point"))
    host.sh(f"umount {HOME}/folder/in; nohup sleep 600 <{HOME}/folder/file >/dev/null 2>&1 &")
    refused(host, (volumes(gone, allow=["delete"]), f"above {HOME}/folder/file, which is open in"))
    host.sh("pkill -x sleep")
    four(host, volumes(gone, allow=["delete"]), sh(f"ls -A {HOME}"))
