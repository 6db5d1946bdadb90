# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""A real libvirt prints what tests/unit/xml has as printed by it.

The daemon is asked for the pools of the types that it has, and libvirt's own test driver, which
reads and prints with the same code, for the others and for volumes.
"""

from __future__ import annotations

import json
import re
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Driven

FOLDER = Path(__file__).parents[1] / "unit" / "xml"
POOLS = sorted(file.stem for file in FOLDER.glob("pools/*.xml"))
VOLUMES = sorted(file.stem for file in FOLDER.glob("volumes/*.xml"))
DAEMON, DRIVER = "qemu:///system", "test:///default"
# What the test driver does not read; and it has volumes of files only.
EXTENDED = ("rbd-ns-configopts",)
NO_FILES = ("logical", "logical-backing", "partition")


def printed(kind: str, name: str) -> str:
    return (FOLDER / "printed" / f"{kind}-{name}.xml").read_text(encoding="utf-8")


SAVE = """
import json, os, sys
folder, files = json.load(sys.stdin)
os.makedirs(folder, exist_ok=True)
for name, text in files.items():
    with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
        file.write(text)
"""


def send(host: Driven, kind: str) -> None:
    files = {each.name: each.read_text(encoding="utf-8") for each in FOLDER.glob(f"{kind}/*.xml")}
    text = json.dumps([f"/tmp/{kind}", files])
    host.host.run(f"python3 -c {shlex.quote(SAVE)}", stdin=text)


def ask(host: Driven, uri: str, commands: dict[str, list[str]]) -> dict[str, str]:
    """What virsh says to the commands of each name."""
    lines = [line for name, each in commands.items() for line in (*each, f"echo END:{name}")]
    said = host.host.run(
        f"virsh --quiet --connect {uri} 2>&1", stdin="\n".join(lines) + "\n", timeout=300
    ).stdout
    found, rest = {}, str(said)
    for name in commands:
        text, _line, rest = rest.partition(f"END:{name}\n")
        root = re.search(r"<(pool|volume) type=.*</\1>\n", text, re.DOTALL)
        found[name] = root[0] if root else text
    return found


def define(name: str, inactive: str) -> list[str]:
    uuid = ET.fromstring(printed("pool", name)).findtext("uuid")
    dump = f"pool-dumpxml {inactive} {uuid}"
    return [f"pool-define /tmp/pools/{name}.xml", dump, f"pool-undefine {uuid}"]


def test_pools(libvirt_host: Driven) -> None:
    host = libvirt_host
    send(host, "pools")
    capabilities = ET.fromstring(host.sh(f"virsh --connect {DAEMON} pool-capabilities"))
    types = {each.get("type") for each in capabilities if each.get("supported") == "yes"}
    assert {"dir", "fs", "netfs", "logical", "disk", "iscsi", "scsi", "mpath"} <= types
    kinds = {name: ET.fromstring(printed("pool", name)).get("type") for name in POOLS}
    here = [name for name in POOLS if kinds[name] in types]
    others = [name for name in POOLS if kinds[name] not in types and name not in EXTENDED]
    said = ask(host, DAEMON, {name: define(name, "--inactive") for name in here})
    assert said == {name: printed("pool", name) for name in here}
    said = ask(host, DRIVER, {name: define(name, "") for name in others})
    assert {name: re.sub(r"'bytes'>\d+<", "'bytes'>0<", text) for name, text in said.items()} == {
        name: printed("pool", name) for name in others
    }


def test_volumes(libvirt_host: Driven) -> None:
    host = libvirt_host
    send(host, "volumes")
    names = {
        name: ET.fromstring(printed("volume", name)).findtext("name")
        for name in VOLUMES
        if name not in NO_FILES
    }
    pool = "--pool default-pool"
    commands = {
        name: [
            f"vol-create {pool} /tmp/volumes/{name}.xml",
            f"vol-dumpxml {pool} '{own}'",
            f"vol-delete {pool} '{own}'",
        ]
        for name, own in names.items()
    }
    said = ask(host, DRIVER, commands)
    assert {name: placeless(text) for name, text in said.items()} == {
        name: placeless(printed("volume", name)) for name in names
    }


def placeless(text: str) -> str:
    """A volume without where it is, which the test driver decides."""
    text = re.sub("\n  <key>.*</key>", "", text)
    return re.sub("\n    <path>.*</path>(.*</target>)", r"\1", text, count=1, flags=re.DOTALL)
