# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What the roles do that needs no host: names for each distribution, and tags."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROLE = Path(__file__).resolve().parents[2] / "roles/host"
NAMES = ("host_packages", "host_services", "host_enabled")
LIBVIRT = tuple(f"host_libvirt_{name}" for name in ("packages", "services", "enabled", "drivers"))
# distribution, family, version, minor version of Python, its lxml, libvirt's way
HOSTS = [
    ("Debian", "Debian", "12.5", 11, "python3-lxml", "monolithic"),
    ("Debian", "Debian", "13.1", 13, "python3-lxml", "monolithic"),
    ("Ubuntu", "Debian", "24.04", 12, "python3-lxml", "monolithic"),
    ("RedHat", "RedHat", "8.10", 8, "python38-lxml", "monolithic"),
    ("Rocky", "RedHat", "8.10", 12, "python3.12-lxml", "monolithic"),
    ("AlmaLinux", "RedHat", "9.4", 9, "python3-lxml", "modular"),
    ("CentOS", "RedHat", "10", 12, "python3-lxml", "modular"),
    ("Fedora", "RedHat", "42", 13, "python3-lxml", "modular"),
    ("openSUSE Leap", "Suse", "15.6", 11, "python311-lxml", "monolithic"),
    ("SLES", "Suse", "16.0", 13, "python3-lxml", "modular"),
    ("openSUSE Tumbleweed", "Suse", "20260101", 13, "python3-lxml", "modular"),
]
TYPES = {"dir", "fs", "netfs", "logical", "disk", "iscsi", "scsi", "mpath"}


def facts(distribution: str, family: str, version: str, minor: int) -> dict[str, Any]:
    return {
        "distribution": distribution,
        "distribution_version": version,
        "distribution_major_version": version.partition(".")[0],
        "os_family": family,
        "python": {"version": {"minor": minor}},
        "cacheable": True,
    }


def play(
    tmp_path: Path, tasks: list[dict[str, Any]], *options: str
) -> subprocess.CompletedProcess[str]:
    plays = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
    book = tmp_path / "play.yml"
    book.write_text(json.dumps(plays), encoding="utf-8")
    command = (
        "ansible-playbook",
        "-i",
        "localhost,",
        "-c",
        "local",
        "--check",
        *options,
        str(book),
    )
    return subprocess.run(command, text=True, capture_output=True, check=False, timeout=120)


def test_names_of_each_distribution(tmp_path: Path) -> None:
    shown = {name: f"{{{{ {name} }}}}" for name in (*NAMES, *LIBVIRT)}
    tasks: list[dict[str, Any]] = []
    for number, row in enumerate(HOSTS):
        tasks += [
            {"set_fact": facts(*row[:4])},
            {"include_vars": f"{ROLE}/vars/main.yml"},
            {"include_vars": f"{ROLE}/vars/{row[1]}.yml"},
            {"copy": {"dest": f"{tmp_path}/{number}", "content": shown}, "check_mode": False},
        ]
    done = play(tmp_path, tasks)
    assert done.returncode == 0, done.stdout
    for number, (distribution, _family, version, _minor, lxml, way) in enumerate(HOSTS):
        found = json.loads((tmp_path / str(number)).read_text(encoding="utf-8"))
        packages = found["host_packages"]
        assert set(packages) == {"all", *TYPES}
        assert packages["all"] == [lxml, "util-linux"]
        daemon = "libvirtd" if way == "monolithic" else "virtstoraged"
        # It ends by itself, and is not started again and again.
        assert f"{daemon}.socket" in found["host_libvirt_services"]
        assert found["host_libvirt_enabled"] == [f"{daemon}.service"]
        split = (distribution, version) == ("Debian", "13.1")
        assert bool(found["host_libvirt_drivers"]) == split


@pytest.mark.parametrize("distribution", ["Alpine", "Archlinux"])
def test_other_distributions_are_refused(tmp_path: Path, distribution: str) -> None:
    done = play(
        tmp_path,
        [
            {"set_fact": facts(distribution, distribution, "1", 12)},
            {"import_role": {"name": "poolwright.storage.host"}},
        ],
    )
    assert done.returncode == 2
    assert f"Nothing was changed: the packages of {distribution} are not known" in done.stdout
    assert "changed=0 " in done.stdout


@pytest.mark.parametrize(
    ("options", "halves"),
    [
        ((), ["Foresee every pool", "Make every pool real"]),
        (("--tags", "pools"), ["Foresee every pool", "Make every pool real"]),
        (("--tags", "pools_preview"), ["Foresee every pool"]),
        (("--tags", "pools_make"), ["Make every pool real"]),
        (("--skip-tags", "pools_preview"), ["Make every pool real"]),
        (("--tags", "other"), []),
    ],
)
def test_tags(tmp_path: Path, options: tuple[str, ...], halves: list[str]) -> None:
    """The halves of the role pools can be chosen, with all that belongs to each."""
    done = play(tmp_path, [{"import_role": {"name": "poolwright.storage.pools"}}], *options)
    assert done.returncode == 0, done.stdout
    named = re.findall(r"TASK \[poolwright\.storage\.pools : (.*)\]", done.stdout)
    assert [
        name for name in named if name in ("Foresee every pool", "Make every pool real")
    ] == halves
    assert ("Begin without results" in named) == ("Foresee every pool" in halves)
