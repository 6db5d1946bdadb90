# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What volumes are filled with is there to the last byte, on every kind of them; or nothing is."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Driven, Result, blank, on_one_host, task, thorough
from test_files import four

if TYPE_CHECKING:
    from collections.abc import Iterator

ANY = ["delete", "shrink", "overwrite", "interrupt"]
POOLS = {
    "files": task("pool_dir", name="files", path="/srv/files"),
    "group": task("pool_logical", name="group", devices=[blank(0), blank(1)]),
    "disk": task("pool_disk", name="disk", device=blank(2)),
}
# Data at both ends and in the middle, holes between them, and an odd number of sectors.
CONTENT = """set -e
mkdir -p /srv/from; cd /srv/from
truncate -s 33554944 raw
random() { dd if=/dev/urandom of=raw bs=1M count=1 seek=$1 conv=notrunc status=none; }
for at in 0 1 9 31; do random $at; done
head -c 512 /dev/urandom | dd of=raw bs=512 seek=65536 conv=notrunc status=none
for to in qcow2 vmdk; do qemu-img convert -f raw -O $to raw $to; done
python3 -c '
import bz2, gzip, lzma
raw, qcow2 = (open(name, "rb").read() for name in ("raw", "qcow2"))
packed = {
    "qcow2.gz": gzip.compress(qcow2, 1),
    "raw.xz": lzma.compress(raw, preset=0),
    "qcow2.bz2": bz2.compress(qcow2, 1),
}
for name in packed:
    open(name, "wb").write(packed[name])
'
"""
END = """cd /; umount -R /mnt/there
vgremove --force --yes group; wipefs --all --force {disks}; partprobe {disks}
for disk in {disks}; do
    for at in 0 $(($(blockdev --getsz $disk) / 2048 - 1)); do
        dd if=/dev/zero of=$disk bs=1M count=1 seek=$at conv=fsync status=none
    done
done
rm -rf /srv/files /srv/from /srv/to /etc/libvirt/storage/*.xml /etc/libvirt/storage/autostart/*.xml
systemctl restart libvirtd; true"""


def volumes(pool: str, *rows: Result, **more: object) -> Result:
    return task("volumes", pool=pool, volumes=list(rows), allow=ANY, **more)


def names(host: Driven) -> str:
    return host.sh("ls -A /srv/files; lvs --noheadings -o lv_name group; ls /dev/sd* /var/tmp")


@pytest.fixture
def filled(each_host: Driven) -> Iterator[Driven]:
    """A host with a pool of each kind, and what volumes are filled with."""
    each_host.sh(CONTENT)
    each_host.tasks(*POOLS.values())
    yield each_host
    each_host.sh(END.format(disks=" ".join(map(blank, range(3)))), check=False)


def stem(host: Driven) -> str:
    return host.sh(f"basename $(readlink -f {blank(2)})").strip()


def path_of(host: Driven, pool: str, name: str) -> str:
    return {"files": "/srv/files/", "group": "/dev/group/", "disk": "/dev/"}[pool] + name


def same(host: Driven, path: str, format: str = "raw") -> None:
    """A guest sees the content, and behind it, where there is more, nothing of before."""
    if format == "raw":
        host.sh(f"cmp --bytes 33554944 /srv/from/raw {shlex.quote(path)}")
    else:
        host.sh(f"qemu-img compare -f {format} -F raw {shlex.quote(path)} /srv/from/raw")


@on_one_host
def test_every_kind_from_every_kind(filled: Driven) -> None:
    host = filled
    part = stem(host)
    size = "40 MiB"
    # What was on the disks shows through nowhere.
    host.sh(
        "lvcreate --quiet --yes --name old --size 64M group; "
        "yes | dd of=/dev/group/old bs=1M count=64 iflag=fullblock oflag=direct status=none; "
        "lvremove --quiet --yes group/old"
    )
    four(
        host,
        volumes("files", {"name": "a", "source": {"path": "/srv/from/qcow2"}, "capacity": size}),
        volumes("files", {"name": "b", "format": "raw", "clone_from": {"volume": "a"}}),
        volumes(
            "group",
            {"name": "two", "clone_from": {"volume": "one"}},
            {"name": "one", "clone_from": {"volume": "a", "pool": "files"}},
            {"name": "three", "source": {"path": "/srv/from/raw"}},
        ),
        volumes(
            "disk",
            {
                "name": f"{part}1",
                "capacity": size,
                "clone_from": {"volume": "two", "pool": "group"},
            },
            {"name": f"{part}2", "capacity": size, "source": {"path": "/srv/from/vmdk"}},
        ),
        volumes(
            "files",
            {
                "name": "c",
                "format": "qcow2",
                "capacity": "48 MiB",
                "clone_from": {"volume": f"{part}1", "pool": "disk"},
            },
            {"name": "d", "format": "vdi", "clone_from": {"volume": "three", "pool": "group"}},
        ),
        volumes("group", {"name": "four", "clone_from": {"volume": f"{part}2", "pool": "disk"}}),
    )
    same(host, "/srv/files/a", "qcow2")
    same(host, "/srv/files/b")
    for path in ("group/one", "group/two", "group/three", "group/four", f"{part}1", f"{part}2"):
        same(host, f"/dev/{path}")
    for name, format in (("c", "qcow2"), ("d", "vdi")):
        host.sh(f"qemu-img convert -f {format} -O raw /srv/files/{name} /srv/from/plain")
        same(host, "/srv/from/plain")
    told = host.sh("qemu-img info --output=json /srv/files/c")
    assert f'"virtual-size": {48 << 20}' in told
    allocated = host.sh("du --block-size=1 /srv/files/b | cut -f 1")
    assert int(allocated) < 8 << 20


@thorough
@on_one_host
def test_what_is_compressed(filled: Driven) -> None:
    rows: list[Result] = [
        {"name": kind, "source": {"path": f"/srv/from/{file}"}, "format": format}
        for kind, file, format in (
            ("gzip", "qcow2.gz", "qcow2"),
            ("xz", "raw.xz", "raw"),
            ("bzip2", "qcow2.bz2", "raw"),
        )
    ]
    four(filled, volumes("files", *rows))
    for row in rows:
        same(filled, f"/srv/files/{row['name']}", row["format"])
    row = {"name": "lv", "capacity": "64 MiB", "source": {"path": "/srv/from/qcow2.gz"}}
    four(filled, volumes("group", row))
    same(filled, "/dev/group/lv")


def failing(host: Driven, *expected: tuple[str, Result, str]) -> None:
    """Tasks that fail with words, and leave nothing."""
    before = names(host)
    for pool, row, words in expected:
        answer = host.drive("tasks", tasks=[volumes(pool, row)])[0]
        assert answer.get("failed"), row
        assert words in answer["msg"], answer["msg"]
        assert names(host) == before


@thorough
@on_one_host
def test_what_cannot_be_finished_leaves_nothing(filled: Driven) -> None:
    part = stem(filled)
    wrong = {"path": "/srv/from/raw", "checksum": f"sha256:{'1' * 64}"}
    size = "48 MiB"
    filled.sh("head -c 100000 /srv/from/raw.xz >/srv/from/cut.xz")
    filled.sh("mkdir -p /srv/to; mount -t tmpfs -o size=2M none /srv/to")
    filled.tasks(task("pool_dir", name="small", path="/srv/to/small"))
    failing(
        filled,
        ("files", {"name": "n", "source": wrong}, "has the sha256"),
        ("group", {"name": "n", "source": wrong}, "has the sha256"),
        ("disk", {"name": f"{part}1", "capacity": size, "source": wrong}, "has the sha256"),
        ("files", {"name": "n", "source": {"path": "/srv/from/cut.xz"}}, "end too early"),
        (
            "group",
            {"name": "n", "capacity": size, "source": {"path": "/srv/from/cut.xz"}},
            "end too early",
        ),
        (
            "group",
            {"name": "n", "capacity": "16 MiB", "source": {"path": "/srv/from/raw.xz"}},
            "bytes or more, and the volume's capacity is 16777216",
        ),
        (
            "files",
            {
                "name": "n",
                "format": "qcow2",
                "capacity": "16 MiB",
                "source": {"path": "/srv/from/raw.xz"},
            },
            "bytes or more, and the volume's capacity is 16777216",
        ),
        (
            "small",
            {"name": "n", "source": {"path": "/srv/from/raw.xz"}},
            "and the pool has 2 MiB free",
        ),
    )
    filled.sh("umount /srv/to")


@on_one_host
def test_content_that_is_kept_equal(filled: Driven) -> None:
    host, part = filled, stem(filled)
    source = {"path": "/srv/from/qcow2", "sync": True}
    rows: dict[str, Result] = {
        "files": {"name": "kept", "format": "raw", "capacity": "48 MiB", "source": source},
        "group": {"name": "kept", "capacity": "48 MiB", "source": source},
        "disk": {"name": f"{part}1", "capacity": "48 MiB", "source": source},
    }
    four(host, *(volumes(pool, row) for pool, row in rows.items()))
    paths = [path_of(host, pool, row["name"]) for pool, row in rows.items()]
    for path in paths:
        host.sh(f"echo guest | dd of={path} conv=notrunc,fsync status=none")
    for pool, row in rows.items():
        careful = task("volumes", pool=pool, volumes=[row])
        answer = host.drive("tasks", tasks=[careful])[0]
        assert "allow: [overwrite]" in answer["msg"]
    four(host, *(volumes(pool, row) for pool, row in rows.items()))
    for path in paths:
        same(host, path)


@on_one_host
def test_a_source_that_the_same_task_changes(filled: Driven) -> None:
    """What a volume is cloned from gets another size, other content or another file before."""
    host, part = filled, stem(filled)
    small: dict[str, Result] = {
        "files": {"name": "a", "format": "vdi", "capacity": "8M"},
        "group": {"name": "a", "capacity": "8M"},
        "disk": {"name": f"{part}1", "capacity": "8M"},
    }
    new = {"files": "b", "group": "b", "disk": f"{part}2"}
    kept = {"name": "k", "capacity": "33554944", "source": {"path": "/srv/from/raw", "sync": True}}
    four(host, *(volumes(pool, row) for pool, row in small.items()))
    four(host, volumes("files", {"name": "k", "capacity": "8M"}))
    for pool in ("group", "disk"):
        path = path_of(host, pool, small[pool]["name"])
        host.sh(f"head -c 8M /dev/urandom >{path}")
    grown = (
        volumes(
            pool,
            {**row, "capacity": "16M"},
            {"name": new[pool], "clone_from": {"volume": row["name"]}},
        )
        for pool, row in small.items()
    )
    shared = ({"name": "c", "capacity": "2%"}, {"name": "d", "clone_from": {"volume": "c"}})
    copied = {"name": "l", "clone_from": {"volume": "k"}}
    four(host, *grown, volumes("group", *shared), volumes("files", kept, copied))
    for pool, row in small.items():
        one, two = (path_of(host, pool, name) for name in (row["name"], new[pool]))
        host.sh(f"qemu-img compare {one} {two}")
        sizes = host.sh(f"for each in {one} {two}; do wc -c <$each; done").split()
        assert sizes[0] == sizes[1]
    same(host, "/srv/files/l")
    assert host.sh("cmp /dev/group/c /dev/group/d") == ""


@on_one_host
def test_blocks_are_shared_where_the_file_system_can(each_host: Driven) -> None:
    host = each_host
    pools = {
        "xfs": task("pool_fs", name="xfs", device=blank(0), path="/srv/xfs", format="xfs"),
        "ext4": task("pool_fs", name="ext4", device=blank(1), path="/srv/ext4", format="ext4"),
    }

    def clone(pool: str, how: str) -> Result:
        return volumes(pool, {"name": how, "clone_from": {"volume": "a", "reflink": how}})

    host.tasks(*pools.values())
    try:
        host.sh("head -c 8M /dev/urandom >/srv/xfs/a; cp /srv/xfs/a /srv/ext4; sync")
        four(
            host, *(clone("xfs", how) for how in ("always", "auto", "never")), clone("ext4", "auto")
        )
        host.sh("set -e; sync; for each in /srv/xfs/* /srv/ext4/a*; do cmp $each /srv/xfs/a; done")
        script = "for n in *; do filefrag -v $n | grep -q shared && echo $n; done; true"
        assert host.sh(f"cd /srv/xfs && {script}").split() == ["a", "always", "auto"]
        [answer] = host.drive("tasks", tasks=[clone("ext4", "always")])
        assert "the file system does not share blocks" in answer["msg"]
        assert host.sh("ls -A /srv/ext4").split() == ["a", "auto", "lost+found"]
    finally:
        gone = {"state": "deleted", "allow": ["delete"]}
        host.tasks(*(task("pool_fs", name=name, **gone) for name in pools))


@on_one_host
def test_what_is_kept_equal_to_what_the_same_task_changes(filled: Driven) -> None:
    host, size = filled, "33554944"
    four(
        host,
        volumes(
            "files",
            {"name": "one", "capacity": size},
            {"name": "two", "clone_from": {"volume": "one"}},
        ),
    )
    kept = (
        {"name": "two", "source": {"path": "/srv/files/one", "sync": True}},
        {"name": "one", "source": {"path": "/srv/from/raw", "sync": True}},
    )
    four(host, volumes("files", *kept))
    same(host, "/srv/files/two")


@on_one_host
def test_copies_without_names(filled: Driven) -> None:
    """Each partition is made once, and none is taken for what it is a copy of."""
    host, part = filled, stem(filled)
    four(host, volumes("disk", {"name": f"{part}1", "capacity": "8M"}))
    host.sh(f"head -c 8M /dev/urandom >/dev/{part}1")
    copy = {"capacity": "8M", "clone_from": {"volume": f"{part}1"}}
    closed = {**copy, "encryption": {"passphrase": "not a secret"}}
    path = {"capacity": "8M", "source": {"path": f"/dev/{part}1"}}
    four(host, volumes("disk", copy, closed, path, closed))
    script = f"for n in 2 4; do cmp /dev/{part}1 /dev/{part}$n; done; ls /dev/{part}*"
    assert host.sh(script).split() == [f"/dev/{part}{n}" for n in ("", *range(1, 6))]


@on_one_host
def test_export(filled: Driven) -> None:
    host = filled
    host.tasks(
        volumes("files", {"name": "a", "source": {"path": "/srv/from/qcow2"}}),
        volumes("group", {"name": "one", "source": {"path": "/srv/from/raw"}}),
    )
    host.sh("mkdir -p /srv/to")

    def export(file: str, pool: str, **args: Any) -> Result:
        dest = f"/srv/to/{file}"
        return task("volume_export", pool=pool, dest=dest, allow=ANY, **args)

    four(
        host,
        export("a", "files", name="a", mode="0640", group="adm"),
        export("raw", "files", name="a", format="raw"),
        export("lv", "group", name="one", length="33554944"),
        export("lv.qcow2", "group", name="one", format="qcow2"),
        export("part", "group", name="one", offset="1 MiB", length="1000"),
    )
    host.sh("cmp /srv/to/a /srv/from/qcow2; cmp /srv/to/lv /srv/from/raw")
    same(host, "/srv/to/raw")
    told = host.sh(
        "stat -c '%a %G' /srv/to/a; tail -c +1048577 /srv/from/raw | head -c 1000 | "
        "cmp - /srv/to/part"
    )
    assert told == "640 adm\n"
    host.sh("echo other >/srv/to/a")
    four(host, export("a", "files", name="a", mode="0640", group="adm"))
    host.sh("cmp /srv/to/a /srv/from/qcow2")
