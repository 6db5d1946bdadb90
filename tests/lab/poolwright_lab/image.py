# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""The root disk images: built with mmdebstrap, tried once, kept under a hash of their inputs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import kernel, paths, prime
from .errors import LabError
from .process import lock, quietly, say, watched

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITES = {"bookworm": "linux-image-cloud-amd64", "trixie": "linux-image-cloud-amd64"}
ROOT_SIZE = 3 << 30
BUILD_LIMIT = 1200
NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "ssh-keygen": "openssh-client",
    "mke2fs": "e2fsprogs",
}


@dataclass(frozen=True)
class Image:
    """One finished image; every file in its folder is read-only for the hosts."""

    folder: Path

    @property
    def root(self) -> Path:
        """The root disk with libvirt."""
        return self.folder / "root.img"

    @property
    def without_libvirt(self) -> Path:
        """The same root disk, but libvirt is not installed."""
        return self.folder / "without-libvirt.img"

    @property
    def dirt(self) -> Path:
        """The folder of the disks with something on them."""
        return self.folder / "dirt"

    def boot_arguments(self) -> list[str]:
        """Return the QEMU arguments for the kernel and its initramfs."""
        vmlinux = self.folder / "vmlinux"
        chosen = vmlinux if vmlinux.exists() else self.folder / "vmlinuz"
        return ["-kernel", str(chosen), "-initrd", str(self.folder / "initramfs")]


def private_key() -> Path:
    """Return the key that opens every host, made the first time."""
    key = paths.home() / "id_ed25519"
    with lock("key", 30):
        if not key.exists():
            quietly(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(key)])
    return key


def image_key(suite: str) -> str:
    """Return a hash over everything that decides what is in the image."""
    digest = hashlib.sha256()
    code = Path(__file__).resolve().parent
    inputs = [path for path in sorted(paths.GUEST.rglob("*")) if path.is_file()]
    inputs += [code / name for name in ("disks.py", "image.py", "kernel.py", "prime.py")]
    inputs.append(private_key().with_suffix(".pub"))
    for path in inputs:
        digest.update(f"{path.name} {path.stat().st_mode & 0o111} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    digest.update(f"{suite} {SUITES[suite]} {os.environ.get('POOLWRIGHT_LAB_MIRROR', '')}".encode())
    return digest.hexdigest()[:12]


def ensure(suite: str) -> Image:
    """Return the image of a suite, built now if there is none or its inputs changed."""
    if suite not in SUITES:
        raise LabError(f"no such suite: {suite} (there are {', '.join(SUITES)})")
    final = paths.images() / f"{suite}-{image_key(suite)}"
    if not final.exists():
        _check_tools()
        with lock(f"image-{suite}", BUILD_LIMIT):
            if not final.exists():
                _remove_leftovers(suite)
                _build(suite, final)
                _remove_older(suite, final)
    return Image(final)


def _check_tools() -> None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [package for tool, package in NEEDED.items() if not shutil.which(tool, path=path)]
    if missing:
        raise LabError(f"install these packages first: {' '.join(missing)}")


def _as_builder(*command: str) -> list[str]:
    """Return a command that may touch the files of a tree which mmdebstrap has made."""
    return list(command) if os.geteuid() == 0 else ["mmdebstrap", "--unshare-helper", *command]


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        with contextlib.suppress(LabError, subprocess.TimeoutExpired):
            quietly(_as_builder("rm", "-rf", str(folder)), 120)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _workshop(suite: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f".{suite}-", dir=paths.images()))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        _remove(folder)


def _build(suite: str, final: Path) -> None:
    """Build in a folder of its own; only a whole image that has booted gets the final name."""
    with _workshop(suite) as work:
        out = work / "out"
        out.mkdir()
        image = Image(out)
        log = work / "build.log"
        try:
            _debian_tree(suite, work, log)
            _boot_files(work / "tree", out)
            _root_disk(work / "tree", image.root, log)
            remove = _as_builder(str(work / "guest/remove-libvirt.sh"), str(work / "tree"))
            watched(remove, log, "removing libvirt from a second root disk", 120)
            _root_disk(work / "tree", image.without_libvirt, log)
            _remove(work / "tree")
            prime.prime(image, work / "prime", private_key())
        except LabError:
            kept = paths.images() / f"{suite}.log"
            shutil.copy(log, kept)
            say(f"the whole log of the failed build is {kept}")
            raise
        out.rename(final)


def _debian_tree(suite: str, work: Path, log: Path) -> None:
    # mmdebstrap may run as another user in a namespace: give it copies that it can read.
    guest = work / "guest"
    shutil.copytree(paths.GUEST, guest)
    public = work / "key.pub"
    shutil.copy(private_key().with_suffix(".pub"), public)
    quietly(["chmod", "-R", "u+w,go+rX", str(guest), str(public)])
    mirror = os.environ.get("POOLWRIGHT_LAB_MIRROR")
    command = [
        "mmdebstrap",
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        "--variant=minbase",
        f"--include={','.join(_packages(suite))}",
        "--aptopt=APT::Install-Recommends false",
        *(
            f"--dpkgopt=path-exclude=/usr/share/{part}/*"
            for part in ("doc", "info", "locale", "man")
        ),
        "--dpkgopt=force-unsafe-io",
        "--hook-dir=/usr/share/mmdebstrap/hooks/maybe-merged-usr",
        f'--customize-hook="{guest}/customize.sh" "$1" "{guest}" {SUITES[suite]} "{public}"',
        "--format=directory",
        suite,
        str(work / "tree"),
        *([mirror] if mirror else []),
    ]
    watched(command, log, f"building the {suite} image", BUILD_LIMIT)


def _packages(suite: str) -> list[str]:
    found = []
    for line in (paths.GUEST / "packages.txt").read_text().splitlines():
        where, _, package = line.partition("#")[0].rpartition(":")
        if package.strip() and where.strip() in ("", suite):
            found.append(package.strip())
    return found


def _boot_files(tree: Path, out: Path) -> None:
    vmlinuz = (tree / "boot/vmlinuz").read_bytes()
    (out / "vmlinuz").write_bytes(vmlinuz)
    if unpacked := kernel.unpack_kernel(vmlinuz):
        (out / "vmlinux").write_bytes(unpacked)
    modules = next((tree / "usr/lib/modules").iterdir())
    busybox = next(
        path for path in (tree / "usr/bin/busybox", tree / "bin/busybox") if path.exists()
    )
    init = (paths.GUEST / "init").read_bytes()
    data = kernel.initramfs(init, busybox.read_bytes(), kernel.load_order(modules))
    (out / "initramfs").write_bytes(data)
    public = (tree / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    (out / "known_hosts").write_text(f"poolwright-lab {public}")


def _root_disk(tree: Path, disk: Path, log: Path) -> None:
    with disk.open("wb") as handle:
        handle.truncate(ROOT_SIZE)
    disk.chmod(0o666)  # for the user of the namespace
    options = "lazy_itable_init=1,nodiscard,root_owner=0:0"
    mke2fs = shutil.which("mke2fs", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    command = [str(mke2fs), "-q", "-F", "-t", "ext4", "-L", "root", "-m", "0", "-J", "size=16"]
    command += ["-E", options, "-d", str(tree), str(disk)]
    watched(_as_builder(*command), log, "writing the root disk", 300)
    disk.chmod(0o444)


def _remove_leftovers(suite: str) -> None:
    """Remove what a killed build has left; nobody else builds this suite now."""
    for folder in paths.images().glob(f".{suite}-*"):
        _remove(folder)


def _remove_older(suite: str, final: Path) -> None:
    used = set()
    for file in paths.hosts().glob("*/host.json"):
        with contextlib.suppress(OSError, ValueError):
            used.add(json.loads(file.read_text()).get("image"))
    for folder in paths.images().glob(f"{suite}-*"):
        if folder != final and folder.name not in used:
            shutil.rmtree(folder, ignore_errors=True)
