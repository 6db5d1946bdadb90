# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""In check mode a play plans as it is carried out: each task from where those before it end."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from conftest import Driven, Result, blank, on_one_host, task, thorough

if TYPE_CHECKING:
    from pathlib import Path

NEW: list[tuple[str, Result]] = [
    ("pool_dir", {"name": "images", "path": "/srv/fresh/images", "mode": "0750"}),
    ("volumes", {"pool": "images", "volumes": [{"name": "a", "capacity": "8 MiB"}]}),
    ("volume", {"pool": "images", "name": "b", "capacity": "1 GiB", "format": "qcow2"}),
    ("pool_dir", {"name": "images", "path": "/srv/fresh/images", "mode": "0750"}),  # the same
    ("pool_logical", {"name": "guests", "devices": [blank(0), blank(1)]}),
    (
        "volumes",
        {
            "pool": "guests",
            "volumes": [
                {"name": "web", "capacity": "512 MiB"},
                {"name": "rest", "capacity": "100%FREE"},
            ],
        },
    ),
    ("pool_disk", {"name": "data", "device": blank(2)}),
    (
        "volumes",
        {"pool": "data", "volumes": [{"capacity": "100 MiB"}, {"capacity": "200 MiB"}]},
    ),
    (
        "pool_fs",
        {"name": "attic", "device": blank(3), "path": "/srv/fresh/attic", "format": "ext4"},
    ),
    ("volume", {"pool": "attic", "name": "old", "capacity": "8 MiB"}),
]
GONE: list[tuple[str, Result]] = [
    ("volume", {"pool": "attic", "name": "old", "state": "absent"}),
    ("pool_fs", {"name": "attic", "state": "inactive", "autostart": False}),
    ("volume", {"pool": "attic", "name": "new", "capacity": "8 MiB"}),  # refused
    ("pool_disk", {"name": "data", "state": "absent"}),
    ("volume", {"pool": "data", "capacity": "8 MiB"}),  # refused
    ("pool_logical", {"name": "guests", "state": "deleted", "allow": ["delete"]}),
    ("volume", {"pool": "guests", "name": "web", "capacity": "8 MiB"}),  # refused
]
LEFT = [
    task("pool_dir", name="images", state="deleted", allow=["delete"]),
    task("pool_fs", name="attic", state="deleted", allow=["delete"]),
]
CLEAN = f"""
for disk in {blank(0)} {blank(1)} {blank(2)} {blank(3)}; do
    blkdiscard --force $disk
    blockdev --rereadpt $disk
done
udevadm settle
rm -rf /srv/fresh
"""


def played(host: Driven, folder: Path, tasks: list[tuple[str, Result]], check: bool) -> Any:
    """What each task of a play answers."""
    play = [
        {
            "hosts": "all",
            "gather_facts": False,
            "tasks": [
                *(
                    {
                        f"poolwright.storage.{module}": options,
                        "register": f"answer{number}",
                        "ignore_errors": True,
                    }
                    for number, (module, options) in enumerate(tasks)
                ),
                {
                    "ansible.builtin.copy": {
                        "content": "{{ ["
                        + ",".join(f"answer{number}" for number in range(len(tasks)))
                        + "] | to_json }}",
                        "dest": str(folder / "answers.json"),
                        "mode": "0600",
                    },
                    "delegate_to": "localhost",
                    "check_mode": False,
                },
            ],
        }
    ]
    variables = host.host.variables()
    hosts = {"all": {"hosts": {"one": variables, "localhost": {"ansible_connection": "local"}}}}
    (folder / "hosts.yml").write_text(json.dumps(hosts), encoding="utf-8")
    (folder / "play.yml").write_text(json.dumps(play), encoding="utf-8")
    command = ["ansible-playbook", "-i", str(folder / "hosts.yml"), "--limit", "one"]
    command += ["--check"] if check else []
    done = subprocess.run(
        [*command, str(folder / "play.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "answers.json").read_text(encoding="utf-8"))


def same(foreseen: list[Result], done: list[Result]) -> None:
    for number, (before, after) in enumerate(zip(foreseen, done, strict=True)):
        assert before.get("failed", False) == after.get("failed", False), (number, before, after)
        assert before.get("msg") == after.get("msg"), number
        assert before["plan"] == after["plan"], number
        assert before["changed"] == after["changed"], number
        assert "_foreseen" not in before, number
        assert "unforeseen" not in before, number


@thorough
def test_a_play_is_foreseen(each_host: Driven, tmp_path: Path) -> None:
    host = each_host
    host.sh(CLEAN)
    before = host.drive("shown")
    foreseen = played(host, tmp_path, NEW, check=True)
    assert host.drive("shown") == before
    done = played(host, tmp_path, NEW, check=False)
    assert [number for number, answer in enumerate(done) if not answer["changed"]] == [3], done
    same(foreseen, done)
    before = host.drive("shown")
    foreseen = played(host, tmp_path, GONE, check=True)
    assert host.drive("shown") == before
    same(foreseen, played(host, tmp_path, GONE, check=False))
    host.tasks(*LEFT)
    host.sh(CLEAN)


STACK: list[tuple[str, Result]] = [
    ("pool_logical", {"name": "guests", "devices": [blank(0), blank(1)]}),
    (
        "volumes",
        {
            "pool": "guests",
            "volumes": [
                {"name": "web", "capacity": "64 MiB"},
                {"name": "small", "capacity": "64 MiB"},
                {"name": "thins", "capacity": "1 GiB", "lvm": {"type": "thin-pool"}},
            ],
        },
    ),
    (
        "volume",
        {
            "pool": "guests",
            "name": "thin",
            "capacity": "400 MiB",
            "lvm": {"type": "thin", "thin_pool": "thins"},
        },
    ),
    ("volume", {"pool": "guests", "name": "web", "capacity": "64 MiB"}),  # the same
    ("volume", {"pool": "guests", "name": "half", "capacity": "50%FREE"}),
    ("volume", {"pool": "guests", "name": "none", "capacity": "9 GiB"}),  # refused
    ("pool_logical", {"name": "guests", "devices": [blank(0), blank(1)]}),  # the same
    (
        "pool_fs",
        {"name": "web", "device": "/dev/guests/web", "path": "/srv/web", "format": "ext4"},
    ),
    (
        "pool_fs",
        {"name": "deep", "device": "/dev/mapper/guests-thin", "path": "/srv/deep", "format": "xfs"},
    ),
    ("pool_fs", {"name": "s", "device": "/dev/guests/small", "path": "/srv/s", "format": "xfs"}),
    ("pool_dir", {"name": "inner", "path": "/srv/deep/inner"}),
    (
        "volumes",
        {"pool": "web", "volumes": [{"name": "a", "format": "qcow2", "capacity": "1 GiB"}]},
    ),
    (
        "volume",
        {
            "pool": "web",
            "name": "child",
            "format": "qcow2",
            "backing": {"volume": "a", "format": "qcow2"},
        },
    ),
    ("volume", {"pool": "web", "name": "copy", "clone_from": {"volume": "a"}}),
    ("volume", {"pool": "inner", "name": "b", "capacity": "8 MiB"}),
    ("pool_fs", {"name": "twin", "device": "/dev/mapper/guests-web", "path": "/srv/t"}),  # refused
]
UNSTACK = [
    task("pool_dir", name="inner", state="deleted", allow=["delete"]),
    *(task("pool_fs", name=name, state="deleted", allow=["delete"]) for name in ("web", "deep")),
    task("pool_logical", name="guests", state="deleted", allow=["delete"]),
]


@on_one_host
def test_a_stack_is_foreseen(each_host: Driven, tmp_path: Path) -> None:
    host = each_host
    host.sh(CLEAN)
    before = host.drive("shown")
    foreseen = played(host, tmp_path, STACK, check=True)
    assert host.drive("shown") == before
    done = played(host, tmp_path, STACK, check=False)
    same(foreseen, done)
    unchanged = [number for number, answer in enumerate(done) if not answer["changed"]]
    assert unchanged == [3, 5, 6, 9, 15]
    host.tasks(*UNSTACK)
    host.sh(CLEAN)


BARE: list[tuple[str, Result]] = [
    ("pool_dir", {"name": "images", "path": "/srv/fresh/images"}),
    ("pool_fs", {"name": "fs", "device": blank(0), "path": "/srv/fresh/attic", "format": "xfs"}),
    ("pool_logical", {"name": "guests", "devices": [blank(1)]}),
    ("volumes", {"pool": "guests", "volumes": [{"name": "web", "capacity": "8 MiB"}]}),
    ("volume", {"pool": "images", "name": "a", "format": "qcow2", "capacity": "8 MiB"}),
]
PYTHON = "/usr/lib/python3/dist-packages/lxml"
PROGRAMS = ["/usr/sbin/lvm", "/usr/sbin/mkfs.xfs", "/usr/bin/qemu-img"]


@thorough
@on_one_host
def test_what_is_not_installed_yet(each_host: Driven, tmp_path: Path) -> None:
    host = each_host
    host.sh(CLEAN)
    host.sh("".join(f"mv {path} {path}.away\n" for path in PROGRAMS))
    try:
        before = host.drive("shown")
        folder, files, group, volumes, image = played(host, tmp_path, BARE, check=True)
        assert folder["plan"]
        assert "lacking" not in folder
        assert "mkfs.xfs" in files["lacking"]
        assert "lvm" in group["lacking"]
        assert "what comes of pool guests cannot be told" in volumes["unforeseen"]
        assert "qemu-img" in image["lacking"]
        for answer in (files, group, image):
            assert answer["unforeseen"] == answer["lacking"]
        host.sh(f"mv {PYTHON} {PYTHON}.away")
        bare = played(host, tmp_path, BARE, check=True)
        assert all("python3-lxml" in answer["lacking"] for answer in bare)
        for foreseen, refused in zip(bare, played(host, tmp_path, BARE, check=False), strict=True):
            assert foreseen["changed"]
            assert not foreseen.get("failed")
            assert refused["failed"]
            assert refused["msg"] == f"Nothing was changed: {foreseen['lacking']}"
        assert host.drive("shown") == before
    finally:
        back = [f"test -e {path} || mv {path}.away {path}\n" for path in [*PROGRAMS, PYTHON]]
        host.sh("".join(back))
