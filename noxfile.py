# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is checked: settings in antsibull-nox.toml, and here what it has no setting for."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import antsibull_nox
import nox

# ansible-core → the Pythons its controller runs on; 3.14 is here for machines that have it.
CORES = {"2.18": range(11, 14), "2.19": range(11, 14), "2.20": range(12, 15), "2.21": range(12, 15)}
# Pythons of managed hosts
TARGETS = [f"3.{minor}" for minor in range(8, 15)]

nox.options.reuse_venv = "yes"
antsibull_nox.load_antsibull_nox_toml()


def found(python: str) -> bool:
    return shutil.which(f"python{python}") is not None


def controller_python(core: str) -> str | None:
    """The newest Python here that this ansible-core runs on."""
    pythons = [f"3.{minor}" for minor in CORES[core]]
    return max(filter(found, pythons), key=pythons.index, default=None)


RUNNABLE = [core for core in CORES if controller_python(core)]
OLDEST_AND_NEWEST = list(dict.fromkeys(RUNNABLE[:1] + RUNNABLE[-1:]))
FOUND = list(filter(found, TARGETS))


def place(session: nox.Session) -> Path:
    """Make a tree in which the checkout sits where its imports say."""
    collections = Path(session.create_tmp()).resolve()
    link = collections / "ansible_collections/poolwright/storage"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(Path.cwd())
    return collections


def copy_to(collections: Path) -> Path:
    """Copy what is not ignored; ansible-test follows no link."""
    copy = collections / "ansible_collections/poolwright/storage"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, text=True).rstrip("\0").split("\0"):
        if Path(name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, copy / name)
    return copy


def home_of_ansible_test() -> Path:
    """A home for its caches, where it finds a get-pip that needs nothing but PyPI."""
    home = Path(".nox/ansible-test-home").resolve()
    cache = home / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in ("24_2", "24_3_1", "25_0_1", "25_2", "25_3"):
        (cache / f"get_pip_{version}.py").write_text(GET_PIP, encoding="utf-8")
    return home


GET_PIP = """
import subprocess, sys
ours = ("--no-setuptools", "--no-wheel")
subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
subprocess.check_call(
    [sys.executable, "-m", "pip", "install", *(word for word in sys.argv[1:] if word not in ours)]
)
"""


def ansible_test(session: nox.Session, core: str, *command: str) -> None:
    session.install(f"ansible-core=={core}.*", "--upgrade")
    home = home_of_ansible_test()
    with tempfile.TemporaryDirectory() as collections, session.chdir(copy_to(Path(collections))):
        session.run(
            *("ansible-test", *command, "--requirements", *session.posargs),
            env={"HOME": str(home)},
        )


# antsibull-nox's own sessions want containers and GitHub; these need PyPI only.
def add_ansible_test(core: str) -> None:
    python = controller_python(core) or f"3.{CORES[core][0]}"

    @nox.session(name=f"ansible-test-sanity-{core}", python=python, default=False)
    def sanity(session: nox.Session) -> None:
        # These run on the controller, and are no part of what is published.
        ours = [f"--exclude=tests/{folder}/" for folder in ("lab", "hosts", "pages")]
        ansible_test(session, core, "sanity", *ours)

    @nox.session(name=f"ansible-test-units-{core}", python=python, default=False)
    def units(session: nox.Session) -> None:
        # With --force-python it is another one.
        ansible_test(session, core, "units", "--python", str(session.python))

    sanity.__doc__ = f"Run the sanity tests of ansible-core {core}."
    units.__doc__ = f"Run the unit tests as ansible-core {core} does."


for core in CORES:
    add_ansible_test(core)


@nox.session(requires=[f"ansible-test-sanity-{core}" for core in OLDEST_AND_NEWEST], python=False)
def sanity(_session: nox.Session) -> None:
    """Run the sanity tests of the oldest and the newest ansible-core."""


@nox.session(
    name="sanity-of-all",
    requires=[f"ansible-test-sanity-{core}" for core in RUNNABLE],
    python=False,
    default=False,
)
def sanity_of_all(_session: nox.Session) -> None:
    """Run the sanity tests of every ansible-core that a Python here can run."""


@nox.session(python=FOUND, venv_backend="venv")
def pytest(session: nox.Session) -> None:
    """Run the unit tests as plain pytest on a Python of managed hosts."""
    collections = place(session)
    session.install("-r", "tests/unit/requirements.txt")
    # The whole ansible-core does not install on older Pythons; what it sends to hosts runs there.
    session.install("--no-deps", "--ignore-requires-python", "ansible-core==2.18.*")
    session.run(
        *("python", "-m", "pytest", *(session.posargs or ["tests/unit"])),
        env={"PYTHONPATH": str(collections), "PYTHONDONTWRITEBYTECODE": "1"},
    )


@nox.session(
    requires=[f"pytest-{FOUND[0]}", *(f"ansible-test-units-{core}" for core in OLDEST_AND_NEWEST)],
    python=False,
)
def units(_session: nox.Session) -> None:
    """Run the unit tests on the oldest Python found, and as ansible-test does on the newest."""


@nox.session
def changelog(session: nox.Session) -> None:
    """Check the changelog fragments."""
    session.install("antsibull-changelog==0.36.0")
    session.run("antsibull-changelog", "lint")


@nox.session(default=False)
def release(session: nox.Session) -> None:
    """Turn the fragments into the changelog of the version that is named; nothing is committed."""
    (version,) = session.posargs
    galaxy = Path("galaxy.yml")
    text = re.sub(r"(?m)^version: .*", f"version: {version}", galaxy.read_text(encoding="utf-8"))
    galaxy.write_text(text, encoding="utf-8")
    session.install("ansible-core", "antsibull-changelog==0.36.0")
    # What came after a first try joins the same version.
    session.run("antsibull-changelog", "release", "--version", version, "--update-existing")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the docs site; a warning is an error."""
    session.install("ansible-core", "antsibull-docs==2.28.0", "sphinx-ansible-theme==0.10.4")
    env = {"ANSIBLE_COLLECTIONS_PATH": str(place(session))}
    site = Path(session.create_tmp()).resolve() / "site"
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(mode=0o755)
    session.run(
        *("antsibull-docs", "sphinx-init", "--use-current", "--squash-hierarchy"),
        *("--fail-on-error", "--dest-dir", str(site), "poolwright.storage"),
        env=env,
        silent=True,
    )
    with (site / "conf.py").open("a", encoding="utf-8") as conf:
        # What is not ours is on other sites, and their lists of labels need a network.
        conf.write("extensions.remove('sphinx.ext.intersphinx')\n")
        conf.write("title = html_short_title = project = 'poolwright.storage'\n")
        conf.write("copyright = 'poolwright.storage contributors'\n")
        ours = r"ansible_collections\.poolwright\.storage\."
        conf.write(f"nitpick_ignore_regex = [('.*', r'(?!{ours}).*')]\n")
    session.run("bash", str(site / "build.sh"), env={**env, "NO_COLOR": "1"}, external=True)
    session.log(f"The docs site is {site / 'build/html/index.html'}")


@nox.session
def pages(session: nox.Session) -> None:
    """Look at the report's page in a browser; Debian's chromium must be there."""
    session.install("ansible-core", "axe-playwright-python==0.1.8", "playwright==1.65.2", "pytest")
    env = {"ANSIBLE_COLLECTIONS_PATH": str(place(session))}
    session.run("python", "-m", "pytest", *(session.posargs or ["tests/pages"]), env=env)
