# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What real tools print, recorded on lab hosts by record.py, is understood."""

from __future__ import annotations

import shlex
import typing as t
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.poolwright.storage.plugins.module_utils import _registry
from ansible_collections.poolwright.storage.plugins.module_utils._host import WITHIN, Reader
from ansible_collections.poolwright.storage.plugins.module_utils._model import Refused
from ansible_collections.poolwright.storage.plugins.module_utils._tools import (
    block,
    fs,
    lvm,
    qemu_img,
    virsh,
)
from ansible_collections.poolwright.storage.plugins.module_utils._volumes import lvs
from ansible_collections.poolwright.storage.plugins.module_utils._xml import poolxml

RECORDINGS = Path(__file__).parent / "recordings"
SUITES = sorted(path.name for path in RECORDINGS.iterdir() if path.is_dir())
SYSTEM = "qemu:///system"
MIB = 1 << 20
Answers = t.Dict[t.Tuple[str, ...], str]

pytestmark = pytest.mark.parametrize("suite", SUITES)


class Recorded(Reader):
    """Answers the recorded question with the recorded answer, and what else is said."""

    def __init__(self, suite: str, name: str, other: Answers | None = None) -> None:
        super().__init__(self.answer)
        self.other = other or {}
        path = RECORDINGS / suite / f"{name}.txt"
        if not path.exists():
            pytest.skip(f"{name} is not recorded on {suite}")
        question, self.text = path.read_text(encoding="utf-8").split("\n", 1)
        self.question = shlex.split(question[len("$ ") :])

    def answer(self, argv: t.Sequence[str], _stdin: str) -> tuple[int, str, str]:
        argv = argv[2:] if argv[0] == WITHIN else argv  # no part of the question
        if tuple(argv) in self.other:
            return 0, self.other[tuple(argv)], ""
        assert list(argv) == self.question
        return 0, self.text, ""

    def read(self, path: str, most: int = -1) -> str:
        assert ["cat", path] == self.question
        return self.text

    def node(self, path: str) -> None:
        """What is in /dev is not recorded."""


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("blank", []),
        ("random", []),
        ("ext4", ["ext4"]),
        ("lvm", ["LVM2_member"]),
        ("luks", ["crypto_LUKS", "crypto_LUKS"]),
        ("swap", ["swap"]),
        ("gpt", ["gpt", "gpt", "PMBR"]),
    ],
)
def test_signatures(suite: str, name: str, types: list[str]) -> None:
    host = Recorded(suite, f"wipefs-{name}")
    device = host.question[-1]
    rows = block.signatures(host, [device])
    assert [row["type"] for row in rows] == types
    assert {row["device"] for row in rows} <= {device.rpartition("/")[2]}


def test_groups(suite: str) -> None:
    host = Recorded(suite, "lvm", other={("lvm", "systemid"): "  system ID: \n"})
    found = lvm.look(host)
    names = sorted(group.name for group in found.groups.values())
    assert names == ["away", "guests", "labother", "partial", "sent", "twin", "twin"]
    assert len(found.orphans) == 1  # without the one whose metadata is damaged
    guests, partial, sent, away = (found.named(n) for n in ("guests", "partial", "sent", "away"))
    assert guests
    assert partial
    assert sent
    assert away
    assert guests.extent_size == 4 * MIB
    assert 0 < guests.free < guests.size < 4096 * MIB
    assert guests.size % guests.extent_size == guests.free % guests.extent_size == 0
    assert (len(guests.devices), guests.missing, guests.autoactivation) == (2, (), True)
    assert (len(partial.devices), len(partial.missing)) == (1, 1)
    assert (guests.barred, sent.barred) == ("", "is exported")
    assert away.barred == "belongs to the host with system ID elsewhere"
    assert all(device.startswith("/dev/") for device in guests.devices.values())
    number = next(iter(guests.devices))
    assert found.group_of(number) is guests
    assert found.group_of("99:99") is None


def test_two_groups_of_one_name(suite: str) -> None:
    found = lvm.look(Recorded(suite, "lvm", other={("lvm", "systemid"): "  system ID: \n"}))
    with pytest.raises(Refused) as refusal:
        found.named("twin")
    for group in found.groups.values():
        told = f"{group.uuid} on {', '.join(group.devices.values())}"
        assert (told in str(refusal.value)) == (group.name == "twin")


def test_volumes(suite: str) -> None:
    class Sizes(Recorded):
        def read(self, path: str, most: int = -1) -> str:
            assert path.startswith("/sys/dev/block/")
            return ""

    host = Sizes(suite, "lvm", other={("lvm", "systemid"): "  system ID: \n"})
    group = lvm.look(host).named("guests")
    assert group
    volumes = {volume.name: volume for volume in lvs.read(host, group)}
    assert set(volumes) == {
        *("plain", "behind", "striped", "raid", "snap", "thinpool", "thin", "thinsnap", "asleep")
    }
    assert {name for name, volume in volumes.items() if not volume.listed} == {
        *("thinpool", "thin", "thinsnap", "asleep")
    }
    assert volumes["plain"].capacity == 128 * MIB
    assert volumes["snap"].backing_path == "/dev/guests/plain"
    assert volumes["thinpool"].format == "thin-pool"
    assert {name for name, volume in volumes.items() if volume.users} == set()
    assert len(volumes["plain"].extents) == 2
    assert sum(extent.end - extent.start for extent in volumes["plain"].extents) == 128 * MIB
    assert {extent.device for extent in volumes["striped"].extents} == set(group.devices.values())


def test_pools(suite: str) -> None:
    pools = virsh.pools(Recorded(suite, "virsh-pools"), SYSTEM)
    assert pools.defined == {"plain pool", "two  blanks", "off"}
    assert pools.active == {"plain pool", "transient"}
    assert pools.autostart == {"plain pool", "off"}


def test_definition(suite: str) -> None:
    text = virsh.definition(Recorded(suite, "virsh-definition"), SYSTEM, "plain pool")
    pool = poolxml.parse(text)
    assert (pool.type, pool.name, pool.path) == ("dir", "plain pool", "/var/lib/pools/plain pool")
    assert len(pool.uuid) == 36
    assert poolxml.render(pool, text) == text


def test_listing(suite: str) -> None:
    folder = "/var/lib/pools/plain pool"
    names = {"v2.qcow2", "v3.qcow2", "child.qcow2", "extended.qcow2", "plain.raw"}
    rows, _plain = virsh.listing(Recorded(suite, "virsh-listing"), SYSTEM, "plain pool")
    assert rows == {virsh.row(name, f"{folder}/{name}") for name in (*names, "with blanks.raw")}


def test_mounts(suite: str) -> None:
    mounts = Recorded(suite, "mountinfo").mounts()
    covering = fs.at(mounts, "/var/lib/pools/covered")
    assert covering
    assert (covering.format, "ro" in covering.options, "nosuid" in covering.options) == (
        *("ext4", True, True),
    )
    bound, blanks = (
        fs.at(mounts, "/var/lib/pools/a\\b"),
        fs.at(mounts, "/var/lib/pools/two  blanks"),
    )
    assert bound
    assert blanks
    assert bound.root.endswith("/var/lib/pools/off")
    assert blanks.source == "a source"
    root = fs.at(mounts, "/")
    assert root
    assert bound.device == root.device
    assert len(fs.below(mounts, "/var/lib/pools")) == 4


class There(Recorded):
    def node(self, path: str) -> None:
        return t.cast(None, path)

    def has(self, command: str) -> bool:
        return True


@pytest.mark.parametrize(
    ("names", "uri"),
    [
        (["libvirt"], "qemu:///system"),
        (["virtqemud", "virtsecretd", "virtstoraged"], "qemu:///system"),
        (["virtsecretd", "virtstoraged"], "storage:///system"),
        (["virtqemud"], None),
    ],
)
def test_who_is_asked(suite: str, names: list[str], uri: str | None) -> None:
    """Where libvirt has a daemon for each driver, that of QEMU need not be there."""
    host = There(suite, "sockets")
    lines = (f"0: 00000002 00000000 00010000 0001 01 1 /run/libvirt/{name}-sock" for name in names)
    host.text = "\n".join(["Num", *lines, ""])
    found = _registry.find(host, "auto", "qemu:///system")
    assert found.daemon == bool(uri)
    assert getattr(found, "uri", None) == uri


def test_a_daemon_that_listens(suite: str) -> None:
    host = There(suite, "sockets")
    assert _registry._listening(host)
    # Anybody can give a socket a name with line feeds.
    fake = "0: 00000002 00000000 00010000 0001 01 12 /run/libvirt/libvirt-sock\n"
    host.text = f"Num\n0: 1 2 3 /tmp/a\n\n/run/libvirt/libvirt-sock\n x\n{fake}"
    assert _registry._listening(host)
    absent = Recorded(suite, "sockets")
    absent.text = host.text
    assert not _registry._listening(absent)


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("v2", qemu_img.Image("qcow2", 1 << 30, cluster_size=64 << 10)),
        ("v3", qemu_img.Image("qcow2", 1 << 30, "1.1", 128 << 10, ("lazy_refcounts",))),
        ("extended", qemu_img.Image("qcow2", 1 << 30, "1.1", 64 << 10, ("extended_l2",))),
        (
            "child",
            qemu_img.Image(
                *("qcow2", 1 << 30, "1.1", 64 << 10, ()),
                backing_path="v3.qcow2",
                backing_format="qcow2",
            ),
        ),
    ],
)
def test_images(suite: str, name: str, image: qemu_img.Image) -> None:
    header = bytes.fromhex("".join(Recorded(suite, f"qcow2-{name}").text.split()))
    clusters = image.clusters or image.cluster_size
    assert qemu_img.read(header) == replace(image, clusters=clusters)
