# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Pools of a second host, which is an NFS, SMB and iSCSI server and may go and come back."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from conftest import ALL, LIBVIRTD, SERVE, TARGET, Driven, Result, name_of, task, thorough
from poolwright_lab import Host, boot

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER, CLIENT = "10.9.0.2", "10.9.0.1"
NFS = task("pool_netfs", name="shared", host=SERVER, dir="/exports/nfs", path="/srv/shared")
SMB = task("pool_netfs", name="files", host=SERVER, dir="files", path="/srv/files", format="cifs")
ISCSI = task("pool_iscsi", name="luns", host=SERVER, target=TARGET)
POOLS = (NFS, SMB, ISCSI)
STOPS = [task(each["module"], name=each["args"]["name"], state="inactive") for each in POOLS]
BOUND = 180  # seconds: a look and a command of at most 30 each, virsh of 60, and a slow machine


@pytest.fixture(params=ALL, ids=name_of)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Driven, Host]]:
    """A client, and its server."""
    suite, libvirt = request.param
    client, server = (Host(f"{role}-{os.getpid()}") for role in ("client", "server"))
    wishes = {"suite": suite, "libvirt": libvirt, "network_ip": CLIENT}
    try:
        boot({client: wishes, server: {"libvirt": False, "network_ip": SERVER}}, fresh=True)
        server.run(SERVE)
        yield Driven(client, LIBVIRTD if libvirt else ()), server
    finally:
        client.destroy()
        server.destroy()


def states(info: Result) -> dict[str, str]:
    return {pool["name"]: pool["state"] for pool in info["pools"]}


def unchanged(client: Driven) -> None:
    assert [each["plan"] for each in client.tasks(*POOLS)] == [[], [], []]


@thorough
def test_a_server_goes_and_comes_back(pair: tuple[Driven, Host]) -> None:
    client, server = pair
    first = client.tasks(*POOLS)
    assert all(each["changed"] for each in first)
    unchanged(client)
    found = client.tasks(task("pool_info", volumes=True))[0]
    assert states(found) == {"files": "active", "luns": "active", "shared": "active"}
    client.sh("systemctl enable open-iscsi")
    client.tasks(task("volume", pool="files", name="web", capacity="1M"))
    assert server.run("stat -c %s /exports/smb/web").stdout == "1048576\n"
    while_it_is_slow(client, server)
    after_a_reboot(client)
    while_it_is_silent(client, server)
    after_a_reboot_without_it(client, server)
    gone = [task(each["module"], name=each["args"]["name"], state="deleted") for each in POOLS]
    client.tasks(*gone)
    left = (
        "findmnt -rnt nfs,nfs4,cifs; iscsiadm -m session 2>/dev/null; find /etc/iscsi/nodes -type f"
    )
    assert client.sh(f"{left}; ls /srv", check=False) == ""


def while_it_is_slow(client: Driven, server: Host) -> None:
    """Each packet waits for up to 200 ms, either way; all works, only later."""
    waits = {"id": "slow", "netdev": "net1", "interval": 200_000}
    server.qmp("object-add", {"qom-type": "filter-buffer", **waits})
    connect = f"import socket as s, time; s.create_connection(('{SERVER}', 2049), 20)"
    script = f"{connect}; b = time.time(); {connect}; print(time.time() - b)"
    assert float(client.sh(f'python3 -c "{script}"')) > 0.15
    unchanged(client)
    for found in client.tasks(*STOPS, *POOLS):
        assert found["changed"], found
        assert found["seconds"] < BOUND, found
    unchanged(client)
    server.qmp("object-del", {"id": "slow"})


def while_it_is_silent(client: Driven, server: Host) -> None:
    """It neither answers nor refuses."""
    server.qmp("stop")
    for asked in (*POOLS, task("pool_info", volumes=True), *STOPS):
        found = client.drive("tasks", tasks=[asked])[0]
        assert found["seconds"] < BOUND, (asked, found)
        assert "Traceback" not in str(found)
        if asked["module"] == "pool_info":
            errors = {pool["name"] for pool in found["pools"] if pool["error"]}
            assert {"files", "shared"} <= errors, found
        elif asked["args"].get("state") == "inactive" and asked["module"] == "pool_netfs":
            # Some kernels unmount without the server.
            gone = f"/srv/{asked['args']['name']} " not in client.sh("cat /proc/self/mountinfo")
            assert gone or "no answer within" in found["msg"], found
    server.qmp("cont")
    deadline = time.monotonic() + 180  # what is stuck in the kernel takes its time
    while any(each.get("failed") for each in client.drive("tasks", tasks=POOLS)):
        assert time.monotonic() < deadline
    unchanged(client)


def after_a_reboot(client: Driven) -> None:
    """All that has autostart comes back by itself, and only that."""
    client.tasks({**SMB, "args": {**SMB["args"], "autostart": False}})
    client.host.reboot(shuffle=True)
    if client.libvirt:
        client.sh("virsh pool-list")  # wakes the daemon, which the lab starts when it is asked
    mounted = "findmnt -rno TARGET -t nfs,nfs4 && iscsiadm -m session"
    client.until(mounted)
    assert client.sh("findmnt -rno TARGET -t nfs,nfs4,cifs") == "/srv/shared\n"
    changed = [each["changed"] for each in client.tasks(*POOLS)]
    assert changed == [False, True, False]


def after_a_reboot_without_it(client: Driven, server: Host) -> None:
    """The server comes later than the client."""
    client.host.cut()
    server.qmp("stop")
    boot({client.host: {}})
    server.qmp("cont")
    deadline = time.monotonic() + 180
    while any(each.get("failed") for each in client.drive("tasks", tasks=POOLS)):
        assert time.monotonic() < deadline
    unchanged(client)
    found = client.tasks(task("pool_info"))[0]
    assert states(found) == {"files": "active", "luns": "active", "shared": "active"}
