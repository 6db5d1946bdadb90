# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What root does in directories that others write to, and with files that guests write to."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Driven, Result, on_one_host, task

if TYPE_CHECKING:
    from collections.abc import Iterator

POOL = task("pool_dir", name="pool", path="/srv/pool")
CANARY = "stat -c '%n %a %u %s' /etc/secret* && cat /etc/secret*"
ANY = ["delete", "shrink", "overwrite", "interrupt"]


def volumes(*rows: Result, **more: object) -> Result:
    return task("volumes", pool="pool", volumes=list(rows), allow=ANY, **more)


def refused(host: Driven, *expected: tuple[Any, ...]) -> None:
    """Tasks that fail in check mode and in earnest with the same words, and touch nothing."""
    found = host.drive("refused", tasks=[each for each, *_words in expected])
    for (each, *words), answers in zip(expected, found["answers"], strict=True):
        said = [answer.get("msg", "it was not refused") for answer in answers]
        assert all(part in said[0] for part in words), (each, said)
        assert said[0] == said[1]
    assert found["touched"] == []


def four(host: Driven, *tasks: Result) -> list[Result]:
    """Tasks that are foreseen, done, and done once only."""
    found = host.drive("four", steps=list(tasks))
    for answers in found:
        for each in ("foreseen", "done", "again", "checked"):
            assert not answers[each].get("failed"), answers[each]["msg"]
        assert answers["foreseen"]["plan"] == answers["done"]["plan"] != []
        assert (answers["again"]["plan"], answers["checked"]["plan"]) == ([], [])
    return [answers["done"] for answers in found]


@pytest.fixture
def pool(each_host: Driven) -> Iterator[Driven]:
    each_host.sh("echo secret >/etc/secret.conf; echo secret >/etc/secret2; chmod 600 /etc/secret*")
    before = each_host.sh(CANARY)
    each_host.tasks(POOL)
    yield each_host
    assert each_host.sh(CANARY) == before
    each_host.sh(
        "umount /mnt/there; losetup -D; umount -R /srv/pool; rm -rf /srv/pool /srv/other "
        "/etc/secret* /mnt/there; virsh pool-destroy pool; rm -f /etc/libvirt/storage/pool.xml "
        "/etc/libvirt/storage/autostart/pool.xml; virsh pool-undefine pool; true",
        check=False,
    )


@on_one_host
def test_links_are_never_followed(pool: Driven) -> None:
    pool.sh(
        "cd /srv/pool && ln -s /etc/secret.conf disk1 && ln -s /etc/new dangling && mkfifo pipe && "
        "ln /etc/secret2 hard && mknod node b 7 0 && mknod char c 1 3 && ln -s disk1 twice"
    )
    link = "volume disk1 is a link to /etc/secret.conf"
    new = [{"name": name, "capacity": "1M", "format": "qcow2"} for name in ("dangling", "pipe")]
    taken = "dangling: the name is taken by a link that leads nowhere; pipe: the name is taken by a"
    refused(
        pool,
        (volumes({"name": "disk1", "mode": "0666"}), link),
        (volumes({"name": "disk1", "capacity": "1M"}), link),
        (volumes({"name": "hard", "mode": "0666"}), "volume hard is one of 2 names of a file"),
        (volumes({"name": "node", "mode": "0666"}), "volume node is the node of a device"),
        (volumes(*new), taken),
    )
    four(pool, volumes(*({"name": name, "state": "absent"} for name in ("disk1", "hard"))))
    assert "new" not in pool.sh("ls /etc")
    assert pool.sh("ls /srv/pool").split() == ["char", "dangling", "node", "pipe", "twice"]


@on_one_host
def test_a_path_that_a_user_lets_lead_elsewhere(pool: Driven) -> None:
    pool.sh(
        "mkdir /srv/other && chown 1234 /srv/other && ln -s /etc /srv/other/pool && "
        "chown -h 1234 /srv/other/pool"
    )
    words = "/srv/other/pool leads through /srv/other/pool, a link that its owner can let lead"
    there = task("pool_dir", name="there", path="/srv/other/pool", mode="0777")
    refused(pool, (there, words))
    pool.tasks(task("pool_dir", name="there", path="/srv/other/pool", libvirt="ignored"))
    make = task("volumes", pool="there", volumes=[{"name": "new", "capacity": "1M"}])
    gone = task("volume", pool="there", name="secret2", state="absent", allow=ANY)
    deleted = task("pool_dir", name="there", state="deleted", allow=ANY)
    tasks = [{**t, "args": {**t["args"], "libvirt": "ignored"}} for t in (make, gone, deleted)]
    refused(pool, *((each, words) for each in tasks))
    pool.tasks(task("pool_dir", name="there", state="absent", libvirt="ignored"))


HEADER = """
import struct
with open("/srv/pool/web", "r+b") as disk:
    disk.write(struct.pack(">4sIQIIQ", b"QFI\\xfb", 3, 0, 0, 16, 5 << 20).ljust(104, b"\\0"))
"""


@on_one_host
def test_what_a_guest_writes_is_not_what_a_volume_is(pool: Driven) -> None:
    pool.tasks(volumes({"name": "web", "capacity": "10M"}))
    pool.sh(f"python3 -c {shlex.quote(HEADER)}")
    before = pool.sh("sha256sum /srv/pool/web")
    words = "Write format: qcow2 or format: raw"
    refused(pool, *((volumes({"name": "web", "capacity": c}), words) for c in ("20M", "1M")))
    assert pool.sh("sha256sum /srv/pool/web") == before
    same = volumes({"name": "web", "capacity": "10M", "format": "raw"})
    assert pool.tasks(same)[0]["plan"] == []
    (done,) = four(pool, volumes({"name": "web", "capacity": "20M", "format": "raw"}))
    assert done["plan"][0]["command"].startswith("truncate --size=20971520")
    assert pool.sh("head -c 10M /srv/pool/web | sha256sum")[:64] == before[:64]
    assert done["volumes"][0]["volume"]["format"] == "raw"


@on_one_host
def test_images_grow_with_what_they_are_based_on(pool: Driven) -> None:
    pool.sh(
        "cd /srv/pool && qemu-img create -q -f raw base,1 30M && printf x | dd of=base,1 bs=1 "
        "seek=25M conv=notrunc status=none && "
        "qemu-img create -q -f qcow2 -b ./base,1 -F raw top 20M && "
        "qemu-img create -q -f qcow2 -b /srv/pool/top -F qcow2 more 20M"
    )
    row = {"capacity": "40M", "format": "qcow2"}
    four(pool, volumes({"name": "top", **row}, {"name": "more", **row}))
    for name in ("top", "more"):
        info = pool.sh(f"qemu-img info /srv/pool/{name}")
        assert "virtual size: 40 MiB" in info
        # What the larger file below has behind the old end must not come to light.
        pool.sh(f"cd /srv/pool && qemu-img convert -O raw {name} /root/raw && rm -f /root/raw")
        count = pool.sh(
            f"cd /srv/pool; qemu-img convert -O raw {name} raw; tr -d '\\0' <raw | wc -c"
        )
        assert count.strip() == "0"
        pool.sh("rm /srv/pool/raw")
    assert "backing file: ./base,1" in pool.sh("qemu-img info /srv/pool/top")


@on_one_host
def test_what_images_are_based_on_stays(pool: Driven) -> None:
    pool.sh(
        "cd /srv/pool && qemu-img create -q -f raw base 1M && ln -s base alias && "
        'json=\'json:{"driver":"raw","file":{"driver":"file","filename":"/srv/pool/base"}}\' && '
        "qemu-img create -q -f qcow2 -b base -F raw plain && "
        "qemu-img create -q -f qcow2 -b ./base -F raw dot && "
        "qemu-img create -q -f qcow2 -b alias -F raw link && "
        "qemu-img create -q -f qcow2 -b file:/srv/pool/base -F raw proto && "
        'qemu-img create -q -f qcow2 -b "$json" -F raw json && '
        "qemu-img create -q -f qcow2 -u -b nbd://localhost/x -F raw net 1M"
    )
    names = ["plain", "dot", "link", "proto", "json"]
    based = f"because {', '.join(sorted(names))} are based on it"
    base = {"name": "base", "state": "absent"}
    refused(
        pool,
        (volumes(base), based),
        (volumes({"name": "base", "capacity": "512K"}), based),
    )
    four(
        pool,
        volumes(
            base,
            {"name": "net", "state": "absent"},
            *({"name": name, "state": "absent"} for name in (*names, "alias")),
        ),
    )
    assert pool.sh("ls -A /srv/pool") == ""


@on_one_host
def test_what_is_in_use_stays(pool: Driven) -> None:
    """By whatever name it is used: a bind mount, a loop device, an image in another pool."""
    pool.sh(
        "mkdir /srv/other /mnt/there && cd /srv/pool && truncate -s 1M bound base looped && "
        "losetup -f looped && mkdir mnt && mount -t tmpfs none mnt && "
        "mount --bind /srv/pool /mnt/there && "
        "qemu-img create -q -f qcow2 -b /srv/pool/base -F raw /srv/other/child"
    )
    other = task("pool_dir", name="other", path="/srv/other", libvirt="ignored")
    pool.tasks(other)
    uses = {"bound": "open in sleep", "looped": "behind /dev/loop", "base": "what /srv/other/child"}
    words = [f"/srv/pool/{name} is {use}" for name, use in uses.items()]
    deleted = task("pool_dir", name="pool", state="deleted", allow=ANY)
    pool.sh("exec sleep 600 <>/mnt/there/bound >/dev/null 2>&1 &")
    refused(
        pool,
        (volumes(*({"name": name, "state": "absent"} for name in uses)), *words),
        (deleted, *words, "which is a mount point"),
    )
    pool.sh("pkill sleep; umount /srv/pool/mnt /mnt/there; losetup -D; rm /srv/other/child")
    four(pool, deleted)
    pool.tasks(task("pool_dir", name="other", state="absent", libvirt="ignored"))


@on_one_host
def test_a_file_system_without_modes_and_links(each_host: Driven) -> None:
    each_host.sh(
        "truncate -s 200M /root/fat && mkfs.vfat /root/fat && mkdir -p /srv/fat && "
        "mount -o loop /root/fat /srv/fat"
    )
    mine = {"pool": "fat", "allow": ANY}
    each_host.tasks(task("pool_dir", name="fat", path="/srv/fat"))
    rows = [
        {"name": "raw", "capacity": "2M", "allocation": "1M"},
        {"name": "image", "capacity": "10M", "format": "qcow2"},
    ]
    larger = [{**row, "capacity": "20M"} for row in rows]
    gone = [{"name": row["name"], "state": "absent"} for row in rows]
    four(each_host, *(task("volumes", volumes=each, **mine) for each in (rows, larger, gone)))
    assert each_host.sh("ls -A /srv/fat") == ""
    each_host.tasks(task("pool_dir", name="fat", state="absent"))
    each_host.sh("umount /srv/fat; rmdir /srv/fat; rm /root/fat")


@on_one_host
def test_unfinished_files(each_host: Driven) -> None:
    each_host.tasks(POOL)
    machine = each_host.sh(
        'python3 -c \'import hashlib; print(hashlib.sha256(b"poolwright.storage " + '
        'open("/etc/machine-id", "rb").read().strip()).hexdigest()[:12])\''
    ).strip()
    mine = f".poolwright-{machine}-0123456789ab-0123456789abcdef"
    theirs = ".poolwright-000000000000-0123456789ab-0123456789abcdef"
    each_host.sh(f"cd /srv/pool && touch -d @1000 {mine} && touch {theirs}")
    four(each_host, volumes({"name": "web", "capacity": "1M"}))
    assert each_host.sh("ls -A /srv/pool").split() == [theirs, "web"]
    assert each_host.tasks(volumes(purge=True))[0]["changed"]
    assert each_host.sh("ls -A /srv/pool").split() == [theirs]
    each_host.sh(f"rm /srv/pool/{theirs}")
    each_host.tasks(task("pool_dir", name="pool", state="deleted"))
