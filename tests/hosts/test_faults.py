# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Something else stands under a name, or is in use, right before a step that would write to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import DISK, EVERYTHING, Driven, Result, blank, on_one_host, task, thorough
from test_interrupt import NAME, PATH, RESTORE, volumes
from test_states import digest

ALLOW = ["delete", "interrupt", "overwrite", "shrink"]
VICTIM = blank(0)
OTHER = f"{DISK}d0000000"  # it holds ext4 with precious.txt


def there(module: str, **args: Any) -> Result:
    return task(module, name=NAME, allow=ALLOW, **args)


DELETED = {"state": "deleted"}
FS = there("pool_fs", device=VICTIM, path=PATH, format="ext4")
GROUP = there("pool_logical", devices=[VICTIM])
LARGER = there("pool_logical", devices=[blank(1), VICTIM])
TABLE = there("pool_disk", device=VICTIM)
DIR = there("pool_dir", path=PATH)
ABC = (("a", "", "8M"), ("b", "", "8M"), ("c", "", "8M"))
PARTS = volumes(*((f"KERNEL{number}", "", "8M") for number in (1, 2, 3)))
FILES = volumes(*((name, "raw", "8M") for name in "abc"))
LESS = {"purge": True, "allow": ALLOW}

# A disk under the name of another one; udev would make the link anew, but not before it is undone.
SWAPPED = {
    "make": f"ln -sfn $(readlink -f {OTHER}) {VICTIM}",
    "undo": f"ln -sfn /dev/KERNEL {VICTIM}",
}
# Two groups, volumes or files that change their names.
GROUPS = {
    "make": f"vgrename {NAME} gone; vgrename labother {NAME}",
    "undo": f"vgrename {NAME} labother; vgrename gone {NAME}; vgchange -ay labother",
}
LVS = {
    "make": f"lvrename {NAME} a z; lvrename {NAME} b a",
    "undo": f"lvrename {NAME} a b; lvrename {NAME} z a",
}
MOVED = {"make": f"cd {PATH}; mv a z; mv b a", "undo": f"cd {PATH}; mv a b; mv z a"}
HELD = (
    "import os, sys, time; os.open(sys.argv[1], os.O_EXCL); open('/run/held', 'w'); "
    "time.sleep(1000)"
)
TAKEN = {
    "make": f"""setsid python3 -c "{HELD}" $(readlink -f {VICTIM}) >/dev/null 2>&1 </dev/null &
        echo $! >/run/holder; until [ -e /run/held ]; do sleep 0.1; done""",
    "undo": "kill $(cat /run/holder); rm /run/held; udevadm settle",
}
# A signature is there now, and stays: all may be overwritten, but not unseen.
CHANGED = {"make": f"mkfs.xfs -q -f {VICTIM}; udevadm settle", "undo": ""}
ON_DISK = {"swapped": SWAPPED, "taken": TAKEN, "changed": CHANGED}
OLD = f"mkfs.ext2 -q -F {VICTIM}; udevadm settle"

# As in test_interrupt; "keep" is what the task must not lose, "faults" are tried before each step.
CASES: dict[str, dict[str, Any]] = {
    "fs": {"task": FS, "fill": OLD, "faults": ON_DISK},
    "fs-deleted": {
        "before": [FS],
        "task": there("pool_fs", **DELETED),
        "fill": f"echo precious >{PATH}/file; sync",
        "faults": ON_DISK,
    },
    "logical": {"task": GROUP, "fill": OLD, "faults": ON_DISK},
    "logical-extended": {
        "before": [there("pool_logical", devices=[blank(1)]), volumes(*ABC)],
        "task": LARGER,
        "fill": OLD,
        "keep": f"/dev/{NAME}/a",
        "faults": ON_DISK,
    },
    "logical-deleted": {
        "before": [GROUP, volumes(*ABC)],
        "task": there("pool_logical", **DELETED),
        "faults": {"swapped": GROUPS},
        "steps": 2,  # after them there is no group
    },
    "disk": {"task": TABLE, "fill": OLD, "faults": ON_DISK},
    "disk-deleted": {
        "before": [TABLE, PARTS],
        "task": there("pool_disk", **DELETED),
        "faults": {"swapped": SWAPPED, "taken": TAKEN},
    },
    "partitions": {"before": [TABLE], "task": PARTS, "faults": {"swapped": SWAPPED}},
    "partitions-removed": {
        "before": [TABLE, PARTS],
        "task": volumes(("KERNEL1", "", "8M"), **LESS),
        "keep": "/dev/KERNEL1",
        "faults": {"swapped": SWAPPED},
    },
    "lvs": {"before": [GROUP], "task": volumes(*ABC), "faults": {"swapped": GROUPS}},
    "lvs-removed": {
        "before": [GROUP, volumes(*ABC)],
        "task": volumes(*ABC[1:], **LESS),
        "keep": f"/dev/{NAME}/b",
        "faults": {"swapped": LVS},
    },
    "lvs-shrunk": {
        "before": [GROUP, volumes(*ABC)],
        "task": volumes(("a", "", "4M"), allow=ALLOW),
        "keep": f"/dev/{NAME}/b",
        "faults": {"swapped": LVS},
    },
    "files-removed": {
        "before": [DIR, FILES],
        "task": volumes(("b", "raw", "8M"), ("c", "raw", "8M"), **LESS),
        "keep": f"{PATH}/b",
        "faults": {"swapped": MOVED},
    },
    "files-shrunk": {
        "before": [DIR, FILES],
        "task": volumes(("a", "raw", "4M"), allow=ALLOW),
        "keep": f"{PATH}/b",
        "faults": {"swapped": MOVED},
    },
}
OTHERS = " ".join(f"{DISK}d000000{number}" for number in (0, 2, 3, 4, 5))
CANARY = f"head -q -c 65536 {OTHERS} /dev/labother/precious | sha256sum; "
FEW = ("fs", "logical", "disk", "lvs-removed", "files-removed")


@on_one_host
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FEW else thorough) for name in CASES]
)
def test_a_fault_before_a_step(each_host: Driven, name: str) -> None:
    host = each_host
    kernel = host.sh(f"basename $(readlink -f {VICTIM})").strip()
    case = json.loads(json.dumps(CASES[name]).replace("KERNEL", kernel))
    host.sh("vgchange -ay labother >/dev/null 2>&1")
    keep = case.get("keep")
    filled = f"; echo precious | dd of={keep} conv=notrunc,fsync status=none" if keep else ""
    others = digest(host)
    found = host.drive(
        "faulty",
        restore=f"TOLD={host.libvirt or ''}{RESTORE}ln -sfn /dev/{kernel} {VICTIM}\n",
        before=case.get("before", []),
        task=case["task"],
        fill=case.get("fill", ":") + filled,
        faults=case["faults"],
        few=not EVERYTHING,
        steps=case.get("steps", 99),
        canary=CANARY + (f"head -c 9 {keep}" if keep else ""),
    )
    assert found
    faults = [f"{each['kind']} before {each['step']}: {f}" for each in found for f in wrong(each)]
    assert not faults, "\n".join(faults)
    # Of a group that had another name meanwhile, only the content is as it was.
    same = slice(2, None) if GROUPS in case["faults"].values() else slice(None)
    assert digest(host)[same] == others[same]


def wrong(found: dict[str, Any]) -> list[str]:
    """What is not as it must be, of one fault."""
    step, failed = found["step"], found["failed"]
    faults = []
    if not failed.get("failed"):
        return ["the task went on"]
    if "Traceback" in str(failed) or "poolwright.storage has a fault" in failed["msg"]:
        faults.append(failed["msg"])
    if len(failed["done"]) < step or failed["plan"] != [*failed["done"], *failed["left"]]:
        faults.append(f"{len(failed['done'])} steps were done: {failed['msg']}")
    if found["kept"] != found["before"]:
        faults.append(f"{found['before']} became {found['kept']}")
    for later in (found["again"], found["second"]):
        if later.get("failed"):
            faults.append(f"afterwards: {later['msg']}")
    if found["second"]["changed"]:
        faults.append(f"not converged: {found['second']['plan']}")
    return faults
