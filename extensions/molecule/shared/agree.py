# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Prints where what pool_info says (JSON on stdin) is not what libvirtd says."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET

ENV = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def virsh(*argv):
    return subprocess.run(
        ["virsh", "-q", *argv], stdout=subprocess.PIPE, check=True, universal_newlines=True, env=ENV
    ).stdout


def number(node, path):
    return int(node.findtext(path)) if node.findtext(path) is not None else None


def permissions(node):
    found = node.find("target/permissions")
    if found is None:
        return None
    return (int(found.findtext("mode"), 8), number(found, "owner"), number(found, "group"))


def told(found):
    return (int(found["mode"] or "0", 8), found["owner"], found["group"])


def compare(where, **pairs):
    for key, (ours, theirs) in pairs.items():
        if ours != theirs:
            print(f"{where}: {key} is {ours!r} to pool_info, {theirs!r} to libvirtd")


def compare_pool(pool):
    name = pool["name"]
    info = dict(line.split(":", 1) for line in virsh("pool-info", name).splitlines())
    info = {key: value.strip() for key, value in info.items()}
    node = ET.fromstring(virsh("pool-dumpxml", name))
    active = info["State"] == "running"
    compare(
        name,
        state=(pool["state"], "active" if active else "inactive"),
        autostart=(pool["autostart"], info["Autostart"] == "yes"),
        uuid=(pool["uuid"], node.findtext("uuid")),
        type=(pool["type"], node.get("type")),
        path=(pool["path"], node.findtext("target/path")),
        source=(pool["source"]["name"], node.findtext("source/name")),
    )
    if pool["type"] != "dir":
        kind = node.find("source/format").get("type")
        compare(name, format=(pool["source"]["format"], kind))
    if not active:
        return
    sizes = {key: (pool[key], number(node, key)) for key in ("capacity", "allocation", "available")}
    compare(name, **sizes)
    ours = {volume["name"]: volume for volume in pool["volumes"]}
    # Two blanks and more divide the columns; names may hold single ones.
    theirs = {line.split("  ")[0].strip() for line in virsh("vol-list", name).splitlines() if line}
    compare(name, volumes=(sorted(ours), sorted(theirs)))
    for volume in sorted(theirs & set(ours)):
        node = ET.fromstring(virsh("vol-dumpxml", "--pool", name, volume))
        compare_volume(f"{name}/{volume}", ours[volume], node)


def compare_volume(where, ours, theirs):
    kind = theirs.find("target/format")
    extents = [
        (extents.get("path"), int(extent.get("start")), int(extent.get("end")))
        for extents in theirs.findall("source/device")
        for extent in extents.findall("extent")
    ]
    compare(
        where,
        key=(ours["key"], theirs.findtext("key")),
        type=(ours["type"], theirs.get("type")),
        path=(ours["path"], theirs.findtext("target/path")),
        capacity=(ours["capacity"], number(theirs, "capacity")),
        allocation=(ours["allocation"], number(theirs, "allocation")),
        format=(ours["format"], kind.get("type") if kind is not None else None),
        permissions=(told(ours["permissions"]), permissions(theirs)),
        extents=([(e["device"], e["start"], e["end"]) for e in ours["extents"]], extents),
    )


pools = json.load(sys.stdin)
listed = virsh("pool-list", "--all", "--name").split("\n")
compare("host", pools=(sorted(p["name"] for p in pools), sorted(filter(None, listed))))
for one in pools:
    compare_pool(one)
