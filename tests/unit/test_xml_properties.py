# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for any pool and any volume: nothing is lost between the model and its XML.

The same examples in each run, so that a fault that is found once is found by everybody.
"""

from __future__ import annotations

import dataclasses
import tempfile
import typing as t

from ansible_collections.poolwright.storage.plugins.module_utils._model import (
    Adapter,
    Auth,
    Cipher,
    Encryption,
    Extent,
    Ivgen,
    Permissions,
    Pool,
    Secret,
    SourceHost,
    Volume,
)
from ansible_collections.poolwright.storage.plugins.module_utils._xml import (
    common,
    poolxml,
    tree,
    volumexml,
)
from hypothesis import configuration, given, settings
from hypothesis import strategies as st
from lxml import etree

configuration.set_hypothesis_home_dir(tempfile.gettempdir())  # it keeps what it knows of Unicode
settings.register_profile("same", derandomize=True, database=None, deadline=None, max_examples=100)
settings.load_profile("same")

T = t.TypeVar("T")
KINDS = (
    *("dir", "fs", "netfs", "logical", "disk", "iscsi", "iscsi-direct", "scsi", "mpath"),
    *("rbd", "sheepdog", "gluster", "zfs", "vstorage"),
)
# What means something to XML or to the rules of definitions, or takes more than a byte.
LETTERS = """ab0-_.:;,/\\ <>&'"=[]!%é☃\N{PILE OF POO}\N{NO-BREAK SPACE}"""
TEXT = st.text(LETTERS, max_size=8)
WORD = st.text(LETTERS, min_size=1, max_size=8)
ANY = st.text(max_size=12)
NAME = WORD.filter(lambda text: "/" not in text)
YES_NO = st.sampled_from(["yes", "no"])
PATH = st.lists(st.sampled_from(["/", "//", "a", "b c", "..", "<&>", "'", '"', "é"]), max_size=6)
UUID = st.uuids().map(str)
DIGITS = st.text("0123456789abcdef", min_size=16, max_size=16)
NUMBER = st.integers(0, 2**63 - 1)
STAMP = st.builds("{}.{:09}".format, st.integers(0, 2**40), st.integers(0, 10**9 - 1))


def some(strategy: st.SearchStrategy[T], most: int = 3) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(strategy, max_size=most).map(tuple)


def maybe(strategy: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.just("") | strategy


def path() -> st.SearchStrategy[str]:
    return PATH.map(lambda parts: common.tidy(f"/{''.join(parts)}"))


PERMISSIONS = st.builds(
    Permissions,
    mode=maybe(st.integers(0, 0o777).map("{:04o}".format)),
    owner=st.none() | st.integers(0, 2**32 - 2),
    group=st.none() | st.integers(0, 2**32 - 2),
    label=TEXT,
)
PCI = st.builds(
    "{:04x}:{:02x}:{:02x}.{:x}".format,
    *map(st.integers, (0,) * 4, (0xFFFF, 0xFF, 0x1F, 7)),
)
ADAPTER = (
    st.builds(Adapter, st.just("scsi_host"), name=WORD)
    | st.builds(Adapter, st.just("scsi_host"), address=PCI, unique_id=st.integers(0, 99).map(str))
    | st.builds(
        Adapter,
        st.just("fc_host"),
        parent=TEXT,
        wwnn=DIGITS,
        wwpn=DIGITS,
        managed=maybe(YES_NO),
        parent_fabric_wwn=maybe(DIGITS),
    )
    | st.builds(
        Adapter,
        st.just("fc_host"),
        wwnn=DIGITS,
        wwpn=DIGITS,
        parent_wwnn=DIGITS,
        parent_wwpn=DIGITS,
    )
)
AUTH = st.builds(
    Auth, st.sampled_from(["chap", "ceph"]), WORD, usage=WORD, secret_type=TEXT
) | st.builds(Auth, st.sampled_from(["chap", "ceph"]), WORD, uuid=UUID)
POOL = st.builds(
    Pool,
    type=st.sampled_from(KINDS),
    name=NAME,
    uuid=maybe(UUID),
    cow=maybe(YES_NO),
    hosts=st.lists(st.builds(SourceHost, WORD, st.integers(0, 65535)), min_size=1, max_size=3).map(
        tuple
    ),
    devices=st.lists(WORD, min_size=1, max_size=3).map(tuple),
    part_separator=maybe(YES_NO),
    dir=path(),
    adapter=ADAPTER,
    source=TEXT,
    initiator=WORD,
    format=st.sampled_from(["", "ext4", "nfs", "gpt", "lvm2"]),
    auth=st.none() | AUTH,
    path=path(),
    permissions=PERMISSIONS,
    mount_options=some(WORD),
    vendor=TEXT,
    product=TEXT,
    refresh=st.sampled_from(["", "default", "capacity"]),
    config_options=some(st.tuples(WORD, WORD)),
)
OPENED = some(st.builds(Secret, usage=WORD) | st.builds(Secret, uuid=UUID), 2)
ENGINE = st.sampled_from(["", "qemu", "librbd"])
CIPHER = st.builds(Cipher, WORD, st.integers(1, 4096), TEXT, TEXT)
ENCRYPTION = (
    st.builds(
        Encryption,
        st.sampled_from(["luks", "luks2", "qcow", "default", "luks-any"]),
        OPENED,
        engine=ENGINE,
    )
    | st.builds(Encryption, st.just("luks"), OPENED, CIPHER, engine=ENGINE)
    | st.builds(Encryption, st.just("luks"), OPENED, CIPHER, st.builds(Ivgen, WORD, TEXT), ENGINE)
)
TIMES = st.just(()) | st.tuples(STAMP, STAMP, STAMP, STAMP).map(
    lambda said: tuple(zip(("atime", "mtime", "ctime", "btime"), said))
)
FEATURES = st.sampled_from([(), ("lazy_refcounts",), ("extended_l2", "data_file")])
VOLUME = st.builds(
    Volume,
    name=WORD,
    path=TEXT,
    key=TEXT,
    type=st.sampled_from(["file", "block", "dir", "network", "netdir", "ploop"]),
    format=st.sampled_from(["raw", "qcow2", "iso", "dir", "none", "linux"]),
    capacity=NUMBER,
    allocation=NUMBER,
    physical=NUMBER,
    permissions=PERMISSIONS,
    timestamps=TIMES,
    compat=st.sampled_from(["0.10", "1.1"]),
    cluster_size=NUMBER,
    features=FEATURES,
    backing_path=WORD,
    backing_format=st.sampled_from(["raw", "qcow2"]),
    backing_permissions=PERMISSIONS,
    backing_timestamps=TIMES,
    encryption=st.none() | ENCRYPTION,
    extents=some(st.builds(Extent, WORD, NUMBER, NUMBER)),
)


@given(POOL)
def test_pool(pool: Pool) -> None:
    kept = poolxml.normal(pool)
    text = poolxml.render(pool)
    assert poolxml.parse(text) == kept
    assert poolxml.normal(kept) == kept
    assert poolxml.render(kept) == text
    assert poolxml.render(kept, text) == text


@given(POOL, POOL)
def test_change(old: Pool, new: Pool) -> None:
    """A pool that is another one afterwards; nothing of what it was is left."""
    text = poolxml.render(old)
    assert poolxml.render(new, text) == poolxml.render(new)


@given(POOL, st.randoms(use_true_random=False))
def test_scrambled(pool: Pool, random: t.Any) -> None:
    """However somebody writes it, libvirt's way of it is the same."""
    text = poolxml.render(pool)
    root = etree.fromstring(text.encode())
    for element in [*root.iter()]:
        if element.tag in ("pool", "target", "permissions"):
            children = [*element]
            random.shuffle(children)
            element[:] = children
        attributes = [*element.items()]
        random.shuffle(attributes)
        element.attrib.clear()
        element.attrib.update(attributes)
        element.append(etree.Comment(" somebody "))
    scrambled = etree.tostring(root, encoding="unicode", pretty_print=random.random() < 0.5)
    assert poolxml.render(poolxml.parse(scrambled)) == text
    moved = dataclasses.replace(poolxml.parse(scrambled), vendor="another")
    kept = poolxml.render(moved, scrambled)
    assert "<!-- somebody -->" in kept
    assert poolxml.parse(kept) == moved
    assert poolxml.render(moved, kept) == kept


@given(VOLUME)
def test_volume(volume: Volume) -> None:
    text = volumexml.render(volume, formatted=True)
    assert volumexml.parse(text) == volume
    plain = volumexml.render(volume, formatted=False)
    assert volumexml.parse(plain) == dataclasses.replace(volume, format="")
    assert volumexml.parse_all(text + plain) == (volume, dataclasses.replace(volume, format=""))


@given(ANY, ANY)
def test_any_text(name: str, path: str) -> None:
    """Names of files have any bytes in them; what XML cannot say does not spoil it."""
    read = volumexml.parse(volumexml.render(Volume(f"a{name}", path), formatted=False))
    assert len(read.name) == len(name) + 1
    for ours, theirs in zip(f"a{name}{path}", f"{read.name}{read.path}"):
        assert ours == theirs or theirs == "\N{REPLACEMENT CHARACTER}"


@given(ANY)
def test_any_file(text: str) -> None:
    """Whatever is in the folder of definitions: a sentence, or a pool."""
    for said in (text, f"<pool type='{text}'><name>{text}</name></pool>"):
        try:
            pool = poolxml.parse(said)
        except tree.Wrong as error:
            assert str(error)
        else:
            assert pool.name
