# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What nobody else is to read: volumes that are wiped before they go."""

from __future__ import annotations

import pytest
from conftest import Driven, blank, on_one_host, task, thorough
from test_states import four, sh, still

IMAGES = {"name": "images", "path": "/srv/secrets"}
WORD = "nobody-is-to-read-this"
# Where the bytes of a file are on its disk, seen past the file.
SOME = ("zero", "dod", "trim")
REST = ("nnsa", "bsi", "gutmann", "schneier", "pfitzner7", "pfitzner33", "random")


def gone(name: str, algorithm: str) -> dict[str, object]:
    return {"name": name, "state": "absent", "wipe": algorithm}


def count(place: str) -> str:
    """How often the word is on a disk."""
    return f"sync; echo 3 >/proc/sys/vm/drop_caches; grep -c -a {WORD} {place}"


@on_one_host
def test_files(each_host: Driven) -> None:
    """The word is looked for on the whole disk, below the file system."""
    rows = [{"name": name, "capacity": "2M"} for name in (*SOME, "kept")]
    fill = "; ".join(f"yes {WORD} | head -c 1M >/srv/secrets/{row['name']}" for row in rows)
    four(
        each_host,
        task("pool_fs", name="images", device=blank(0), path="/srv/secrets", format="ext4"),
        task("volumes", pool="images", volumes=rows),
        sh(f"{fill}; fstrim /srv/secrets"),
        task("volumes", pool="images", volumes=[gone("zero", "zero")], allow=["delete"]),
        task("volumes", pool="images", volumes=[gone("dod", "dod")], allow=["delete"]),
        still(task("volumes", pool="images", volumes=[gone("dod", "dod")], allow=["delete"])),
        task("volumes", pool="images", volumes=[gone("trim", "trim")], allow=["delete"]),
        sh("ls -A /srv/secrets | grep -v lost", "kept"),
        sh(f"[ $({count(blank(0))}) = $(grep -c {WORD} /srv/secrets/kept) ] && echo same", "same"),
        task("pool_fs", name="images", state="deleted", allow=["delete"]),
    )


@on_one_host
def test_logical_volumes_and_partitions(each_host: Driven) -> None:
    rows = [{"name": name, "capacity": "8M"} for name in SOME]
    fill = "; ".join(f"yes {WORD} | head -c 8M >/dev/vault/{name}" for name in SOME)
    steps = [
        task("volumes", pool="vault", volumes=[gone(name, name)], allow=["delete"]) for name in SOME
    ]
    kernel = each_host.sh(f"basename $(readlink -f {blank(0)})").strip()
    four(
        each_host,
        task("pool_logical", name="vault", devices=[blank(0)]),
        task("volumes", pool="vault", volumes=rows),
        sh(f"{fill}; {count(blank(0))} >/dev/null && echo there", "there"),
        *steps,
        sh(f"lvs --noheadings vault; {count(blank(0))}", "0"),
        task("pool_logical", name="vault", state="deleted"),
        task("pool_disk", name="parts", device=blank(0)),
        task("volume", pool="parts", name=f"{kernel}1", capacity="8M"),
        sh(f"yes {WORD} | head -c 8M >/dev/{kernel}1; udevadm settle"),
        task("volumes", pool="parts", volumes=[gone(f"{kernel}1", "zero")], allow=["delete"]),
        sh(
            f"ls /dev/{kernel}?; {count(blank(0))}",
            f"ls: cannot access '/dev/{kernel}?': No such file or directory\n0",
        ),
        task("pool_disk", name="parts", state="deleted", allow=["delete"]),
    )


@pytest.mark.parametrize("algorithm", [pytest.param(each, marks=thorough) for each in REST])
def test_patterns_of_scrub(host: Driven, algorithm: str) -> None:
    four(
        host,
        task("pool_dir", **IMAGES),
        task("volume", pool="images", name="web", capacity="1M", allocation="1M"),
        task("volumes", pool="images", volumes=[gone("web", algorithm)], allow=["delete"]),
        sh("ls -A /srv/secrets"),
        task("pool_dir", name="images", state="deleted"),
    )
