# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records what real tools print on a fresh lab host, for test_tools.py.

Run it for one suite with the engine and the lab on the path, from a collection tree:

    PYTHONPATH=../../..:tests/lab python3 tests/unit/record.py bookworm
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Sequence

from ansible_collections.poolwright.storage.plugins.module_utils._host import Reader
from ansible_collections.poolwright.storage.plugins.module_utils._tools import block, lvm, virsh
from poolwright_lab import Host

RECORDINGS = Path(__file__).parent / "recordings"
SYSTEM = "qemu:///system"
DIRT = {
    "blank": "virtio-LABVIRTIO0",
    "ext4": "wwn-0x5000c500d0000000",
    "lvm": "wwn-0x5000c500d0000001",
    "gpt": "wwn-0x5000c500d0000002",
    "luks": "wwn-0x5000c500d0000003",
    "swap": "wwn-0x5000c500d0000004",
    "random": "wwn-0x5000c500d0000005",
}


class Recorder:
    """Runs on a lab host what a `Reader` asks, and keeps each answer after its question."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self.folder = folder
        self.name = ""

    def __call__(self, argv: Sequence[str], _stdin: str) -> tuple[int, str, str]:
        command = shlex.join(argv[3:] if argv[0] == "timeout" else argv)
        answer = self.host.run(f"LC_ALL=C.UTF-8 {command}", check=True, timeout=300).stdout
        if argv == ("lvm", "systemid"):  # which a look at groups asks besides
            return 0, answer, ""
        (self.folder / f"{self.name}.txt").write_text(f"$ {command}\n{answer}", encoding="utf-8")
        return 0, answer, ""

    def record(self, name: str, *argv: str) -> None:
        self.name = name
        self(argv, "")

    def reader(self, name: str) -> Reader:
        self.name = name
        return Reader(self)


def record(host: Host, folder: Path) -> None:
    recorder = Recorder(host, folder)
    for name, by_id in DIRT.items():
        device = host.run(f"readlink -f /dev/disk/by-id/{by_id}", check=True).stdout.strip()
        block.signatures(recorder.reader(f"wipefs-{name}"), [device])
    host.run(
        f"sh -s <<'END'\n{(RECORDINGS / 'prepare.sh').read_text()}END", check=True, timeout=1200
    )
    lvm.look(recorder.reader("lvm"))
    virsh.pools(recorder.reader("virsh-pools"), SYSTEM)
    virsh.definition(recorder.reader("virsh-definition"), SYSTEM, "plain pool")
    virsh.listing(recorder.reader("virsh-listing"), SYSTEM, "plain pool")
    recorder.record("mountinfo", "cat", "/proc/self/mountinfo")
    recorder.record("sockets", "cat", "/proc/net/unix")
    for image in ("v2", "v3", "child", "extended"):
        path = f"/var/lib/pools/plain pool/{image}.qcow2"
        recorder.record(f"qcow2-{image}", "od", "-An", "-v", "-tx1", "-N", "1024", path)
    recorder.record(
        "versions", "dpkg-query", "-W", "lvm2", "util-linux", "qemu-utils", "libvirt-clients"
    )


def main(suite: str) -> None:
    folder = RECORDINGS / suite
    folder.mkdir(parents=True, exist_ok=True)
    host = Host(f"record-{suite}")
    host.up(suite=suite)
    try:
        record(host, folder)
    finally:
        host.destroy()
    print(json.dumps(sorted(file.name for file in folder.iterdir())))


if __name__ == "__main__":
    main(*sys.argv[1:])
