# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""libvirt's modular daemons on a host: Debian does not package them, so they are built here."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from . import paths
from .errors import LabError
from .process import lock, watched

if TYPE_CHECKING:
    from .host import Host

HERE = Path(__file__).resolve().parent.parent / "modular"
LIMIT = 1200
PACKAGES = (
    "ca-certificates",
    "dpkg-dev",
    "gcc",
    "libc6-dev",
    "libglib2.0-dev",
    "libgnutls28-dev",
    "libnl-3-dev",
    "libnl-route-3-dev",
    "libtirpc-dev",
    "libxml2-dev",
    "libxml2-utils",
    "meson",
    "ninja-build",
    "patch",
    "pkg-config",
    "python3-docutils",
    "rpcsvc-proto",
    "xsltproc",
)
# The package, and the option of libvirt's build, for JSON.
JSON = {
    "bookworm": ("libyajl-dev", "-Dyajl=enabled"),
    "trixie": ("libjson-c-dev", "-Djson_c=enabled"),
}


def switch(host: Host) -> None:
    """Replace libvirtd on a running host by virtqemud, virtsecretd and virtstoraged."""
    archive = _daemons(host.settings.suite).read_bytes()
    script = (HERE / "switch.sh").read_text()
    done = subprocess.run(
        [*host.ssh_args(), script], input=archive, capture_output=True, timeout=120, check=False
    )
    if done.returncode:
        raise LabError(f"{host.name}: no modular daemons: {done.stderr.decode(errors='replace')}")


def _daemons(suite: str) -> Path:
    """Return the archive of a suite's daemons, built now if there is none."""
    build = HERE / "build.sh"
    key = hashlib.sha256(build.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:12]
    final = paths.home() / f"modular-{suite}-{key}.tar"
    with lock(f"modular-{suite}", LIMIT):
        if not final.exists():
            work = Path(tempfile.mkdtemp(prefix=f".modular-{suite}-", dir=paths.home()))
            try:
                work.chmod(0o755)  # for the user of the namespace
                shutil.copy(build, work)
                _build(suite, work)
                (work / "daemons.tar").rename(final)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return final


def _build(suite: str, work: Path) -> None:
    package, option = JSON[suite]
    mirror = os.environ.get("POOLWRIGHT_LAB_MIRROR") or "http://deb.debian.org/debian"
    command = [
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join([*PACKAGES, package])}",
        "--aptopt=APT::Install-Recommends false",
        "--format=null",
        f"--customize-hook=copy-in {work}/build.sh /root",
        f'--customize-hook=chroot "$1" sh /root/build.sh {option}',
        f"--customize-hook=download /daemons.tar {work}/daemons.tar",
        suite,
        "/dev/null",
        *(f"{kind} {mirror} {suite} main" for kind in ("deb", "deb-src")),
    ]
    watched(command, work / "log", f"building the modular daemons of {suite}", LIMIT)
