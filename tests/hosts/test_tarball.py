# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What is published, as somebody gets it who has no checkout."""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from pathlib import Path

import pytest
from conftest import Driven, thorough
from poolwright_lab import Host, paths

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs/docsite/rst/guide_molecule.rst"
BEGINNING = ROOT / "docs/docsite/rst/getting_started.rst"


def run(*command: str, home: Path, role: str = "") -> str:
    """What a command prints, of a user who has installed this collection and no other."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    env["POOLWRIGHT_LAB_HOME"] = str(paths.home())
    env["HOME"] = str(home)
    done = subprocess.run(
        command,
        cwd=home / role,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-9000:]
    return done.stdout


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a user for whom the collection is installed from its tarball."""
    home = tmp_path_factory.mktemp("user")
    build = ("ansible-galaxy", "collection", "build", "--output-path", str(home), str(ROOT))
    run(*build, home=home)
    (tarball,) = home.glob("*.tar.gz")
    run("ansible-galaxy", "collection", "install", "--offline", tarball.name, home=home)
    tarball.unlink()
    return home


def test_readme(empty: Path) -> None:
    """Whatever the README shows as a playbook is one, and what it names is there and described."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    plays = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.S) if "hosts:" in block]
    assert plays
    for number, play in enumerate(plays):
        (empty / f"{number}.yml").write_text(play, encoding="utf-8")
        run("ansible-playbook", "--syntax-check", f"{number}.yml", home=empty)
    modules = re.findall(r"^\| `(\w+)` \|", text, re.M)
    assert "pool_dir" in modules
    run("ansible-doc", *(f"poolwright.storage.{name}" for name in modules), home=empty)
    for playbook in re.findall(r"^\| playbook `(\w+)` \|", text, re.M):
        run("ansible-playbook", "--syntax-check", f"poolwright.storage.{playbook}", home=empty)
    roles = re.findall(r"^\| role \[`(\w+)`\]", text, re.M)
    assert "pools" in roles
    described = run(
        *("ansible-doc", "--type", "role", *(f"poolwright.storage.{name}" for name in roles)),
        home=empty,
    )
    assert all(f"poolwright.storage.{name}" in described for name in roles)


def test_links(empty: Path) -> None:
    """What the README's relative links lead to travels with it."""
    installed = empty / ".ansible/collections/ansible_collections/poolwright/storage"
    text = (installed / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert links
    assert not [link for link in links if not (installed / link).exists()]


@thorough
def test_getting_started(empty: Path, plain_host: Driven) -> None:
    """The three files of the guide, with a host of the lab for the one that they name."""
    text = BEGINNING.read_text(encoding="utf-8")
    blocks = re.findall(r":caption: (\S+)\n\n((?:   .*\n|\n)+)", text)
    files = {name: textwrap.dedent(block).strip() for name, block in blocks}
    assert len(files) == 3
    reached = plain_host.host.variables()
    told = " ".join(f"{key}={str(value)!r}" for key, value in reached.items())
    files["hosts.ini"] = files["hosts.ini"].replace("kvm1.example.org", f"kvm1.example.org {told}")
    user = empty / "beginner"
    for name, block in files.items():
        (user / name).parent.mkdir(parents=True, exist_ok=True)
        (user / name).write_text(f"{block}\n", encoding="utf-8")
    play = ("ansible-playbook", "-i", "hosts.ini", "storage.yml")
    foreseen = run(*play, "--check", home=empty, role=user.name)
    assert "create volume group guests" in foreseen
    plain_host.sh("test ! -e /srv/images && test ! -e /dev/guests")
    done = run(*play, home=empty, role=user.name)
    assert "create volume group guests" in done
    plain_host.sh("test -f /srv/images/web1.qcow2 && test -b /dev/guests/db1")
    assert " changed=0 " in run(*play, home=empty, role=user.name)


@thorough
def test_role_of_a_user(empty: Path) -> None:
    """The guide's scenario tests the guide's role, with the lab of the tarball."""
    text = GUIDE.read_text(encoding="utf-8")
    shown = r":caption: (\S+)\n\n((?:   .*\n|\n)+)"
    files = {name: textwrap.dedent(block).strip() for name, block in re.findall(shown, text)}
    scenario = [block for name, block in files.items() if name.startswith("molecule/")]
    assert sum(len(block.splitlines()) for block in scenario) <= 20
    role = empty / "stores"
    for name, block in files.items():
        (role / name).parent.mkdir(parents=True, exist_ok=True)
        (role / name).write_text(f"{block}\n", encoding="utf-8")
    try:
        printed = run("molecule", "test", home=empty, role=role.name)
    finally:
        Host("role-test").destroy()  # gone already, unless something has failed
    assert "changed=2" in printed
