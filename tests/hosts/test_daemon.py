# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""A libvirt daemon comes, goes and comes back: one play leads to one storage, and it agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conftest import Driven, Hosts, Result, blank, task, thorough

if TYPE_CHECKING:
    from collections.abc import Callable

PLAY = [
    task("pool_dir", name="images", path="/srv/images", mode="0751"),
    task(
        "volumes",
        pool="images",
        volumes=[
            {"name": "a", "capacity": "8 MiB"},
            {"name": "b", "capacity": "1 GiB", "format": "qcow2"},
        ],
    ),
    task("pool_fs", name="attic", device=blank(0), path="/srv/attic", format="ext4"),
    task("pool_logical", name="guests", devices=[blank(1)]),
    task("volume", pool="guests", name="web", capacity="64 MiB"),
    # A directory that is there is active to every libvirtd that starts, so that is not tried here.
    task(
        "pool_fs",
        name="spare",
        device=blank(3),
        path="/srv/s",
        format="ext4",
        state="inactive",
        autostart=False,
    ),
]
GONE = [
    task("pool_dir", name="images", state="deleted", allow=["delete"]),
    task("pool_fs", name="attic", state="deleted", allow=["delete"]),
    task("pool_logical", name="guests", state="deleted", allow=["delete"]),
    task("pool_fs", name="spare", state="deleted", allow=["delete"]),
]
CONTENT = """
set -e
head -c 8M /dev/urandom >/srv/images/a
head -c 64M /dev/urandom >/dev/guests/web
head -c 1M /dev/urandom >/srv/attic/file
sync
"""
STORAGE = """
set -e
sha256sum /srv/images/a /srv/attic/file /dev/guests/web
stat -c '%n %a %s' /srv/images /srv/images/b
findmnt --noheadings --output TARGET,SOURCE,FSTYPE /srv/attic
! findmnt --noheadings /srv/s
blkid --output value --match-tag UUID $(readlink -f DISK0) $(readlink -f DISK3)
lvs --noheadings --options vg_name,lv_name,lv_size,lv_active
grep -h '<uuid>' /etc/libvirt/storage/*.xml
""".replace("DISK0", blank(0)).replace("DISK3", blank(3))
# Names, states and marks, as libvirt shows them.
WANTED = {
    "attic": ("active", "yes"),
    "guests": ("active", "yes"),
    "images": ("active", "yes"),
    "spare": ("inactive", "no"),
}


def shown(host: Driven) -> dict[str, tuple[str, str]]:
    rows = (line.split() for line in host.sh("virsh -q pool-list --all").splitlines())
    return {name: (state, mark) for name, state, mark in rows}


def settled(host: Driven) -> list[str]:
    """The steps of a run of the play, after which a second one finds nothing to do."""
    done = host.tasks(*PLAY)
    again: list[Result] = host.tasks(*PLAY)
    assert [each["plan"] for each in again] == [[] for _ in again]
    return [step["text"] for each in done for step in each["plan"]]


@thorough
def test_the_daemon_comes_and_goes(libvirt_host: Driven) -> None:
    host = libvirt_host
    files = " ".join(["/usr/bin/virsh", *(f"/usr/sbin/{name}" for name in host.daemons)])
    stop, start = (
        f"systemctl {verb} {host.sockets} {host.services}\n" for verb in ("stop", "start")
    )
    remove = f"{stop}for file in {files}; do mv $file $file.away; done"
    install = f"for file in {files}; do test -e $file || mv $file.away $file; done\n{start}"
    host.sh(remove)
    try:
        settled(host)
        host.sh(CONTENT)
        before = host.sh(STORAGE)
        steps: list[tuple[str, Callable[[], object]]] = [
            ("installed", lambda: host.sh(install)),
            ("restarted", lambda: host.sh(f"systemctl restart {host.services}")),
            ("stopped", lambda: host.sh(stop)),
            ("started", lambda: host.sh(start)),
            ("removed", lambda: host.sh(remove)),
        ]
        for name, step in steps:
            step()
            runs = name not in ("stopped", "removed")
            assert not runs or shown(host) == WANTED, name
            planned = settled(host)
            # Who mounts at boot changes with the daemon, and nothing else does.
            allowed = ("boot", "srv-attic.mount", "let systemd read its units again")
            rest = [text for text in planned if not any(word in text for word in allowed)]
            assert rest == [], name
            assert host.sh(STORAGE) == before, name
            assert not runs or shown(host) == WANTED, name
    finally:
        host.sh(install)
        host.tasks(*GONE)


@thorough
def test_a_daemon_for_each_driver(hosts: Hosts) -> None:
    """That of storage is enough, and is asleep until somebody asks it."""
    host = hosts.get("trixie", True, split=True)
    others = " ".join(each for each in host.sockets.split() if "storage" not in each)
    try:
        host.sh(f"systemctl stop {others} virtqemud.service virtsecretd.service")
        settled(host)
        host.sh("systemctl stop virtstoraged.service")
        assert settled(host) == []
        assert host.sh("systemctl is-active virtstoraged.service") == "active\n"
        host.sh(f"systemctl start {others}")
        assert settled(host) == []
        assert shown(host) == WANTED
    finally:
        host.sh(f"systemctl start {others}")
        host.tasks(*GONE)
