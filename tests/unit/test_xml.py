# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools and volumes to XML and back.

``xml/pools`` and ``xml/volumes`` are definitions as people and tools write them, ``xml/printed``
what libvirt 9.0 and 11.3 print of them; tests/hosts/test_xml.py asks them.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.poolwright.storage.plugins.module_utils._host import Node
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
from ansible_collections.poolwright.storage.plugins.module_utils._volumes import base
from ansible_collections.poolwright.storage.plugins.module_utils._xml import (
    common,
    poolxml,
    secretxml,
    tree,
    volumexml,
)
from lxml import etree

FOLDER = Path(__file__).parent / "xml"
POOLS = sorted(file.stem for file in FOLDER.glob("pools/*.xml"))
VOLUMES = sorted(file.stem for file in FOLDER.glob("volumes/*.xml"))
SCHEMAS = Path("/usr/share/libvirt/schemas")
UUID = "0b6ff0a2-58d7-4d43-a2f5-1d9f2d3c4b66"

# The kinds of pools whose volumes have no format, and the volumes that are of one of these.
UNFORMATTED = ("logical", "logical-backing")

# What libvirt takes and prints, and its own schema has not.
BEYOND_SCHEMA = {"habit-later": "two devices of a file system", "habit-secret-type": "its type"}

PARSED = {
    "dir-cow": Pool("dir", "btr", cow="no", path="/srv/btr"),
    "dir-naming": Pool(
        "dir",
        """photos <2024> & "more" 'here'""",
        path="/srv/<media>/photos",
        permissions=Permissions("0700", label="a & b"),
    ),
    "habit-later": Pool(
        "fs",
        "later",
        cow="no",
        devices=("/dev/sdx", "/dev/sdy"),
        part_separator="yes",
        format="xfs",
        path="/srv/later",
    ),
    "netfs-protocol-ver": Pool(
        "netfs",
        "netfs-protocol-ver",
        hosts=(SourceHost("files.example.org"),),
        dir="/export/shared",
        format="nfs",
        protocol_version="4.2",
        path="/srv/shared",
    ),
    "habit-mount-options-prefix": Pool(
        "fs",
        "options first",
        devices=("/dev/disk/by-label/attic",),
        format="auto",
        path="/srv/options",
        mount_options=("noatime", 'context="system_u:object_r:virt_image_t:s0"'),
    ),
    "logical-noname": Pool(
        "logical",
        "vg3",
        devices=("/dev/sdw1",),
        source="vg3",
        format="lvm2",
        path="/dev/vg3",
    ),
    "iscsi-auth": Pool(
        "iscsi",
        "san-auth",
        hosts=(SourceHost("storage.example.org", 3261),),
        devices=("iqn.2024-01.org.example:two",),
        auth=Auth("chap", "reader", uuid="6f2f3a5e-1b1e-4ba7-8c6a-0e5a7f1f2a3b"),
        path="/dev/disk/by-path",
        permissions=Permissions("0640", 0, 6),
    ),
    "iscsi-multiiqn": Pool(
        "iscsi",
        "san-initiator",
        hosts=(SourceHost("storage.example.org"),),
        devices=("iqn.2024-01.org.example:three",),
        initiator="iqn.2024-01.org.example:host-7",
        path="/dev/disk/by-path",
    ),
    "habit-secret-type": Pool(
        "iscsi",
        "typed secret",
        hosts=(SourceHost("storage.example.org"),),
        devices=("iqn.2024-01.org.example:seven",),
        auth=Auth("chap", "reader", usage="typed", secret_type="iscsi"),
        path="/dev/disk/by-path",
    ),
    "habit-product-name": Pool(
        "logical",
        "backup",
        devices=("/dev/sdb",),
        source="vg_backup",
        format="lvm2",
        path="/dev/vg_backup",
        vendor="Example",
        product="RAID Box 3000",
    ),
    "scsi-type-scsi-host-stable": Pool(
        "scsi",
        "scsi-type-scsi-host-stable",
        adapter=Adapter("scsi_host", address="0000:03:1e.5", unique_id="9"),
        path="/dev/disk/by-path",
        permissions=Permissions("0700", 0, 0),
    ),
    "habit-fc-by-parent": Pool(
        "scsi",
        "parented",
        adapter=Adapter(
            "fc_host",
            wwnn="20000000c9831b4d",
            wwpn="10000000c9831b4d",
            parent_wwnn="20000000c9831b4a",
            parent_wwpn="10000000c9831b4a",
        ),
        path="/dev/disk/by-id",
    ),
    "rbd-ns-configopts": Pool(
        "rbd",
        "ceph-options",
        hosts=(SourceHost("mon1.example.org"),),
        source="guests",
        config_options=(("client_mount_timeout", "45"), ("rbd_cache", "false")),
    ),
    "rbd-refresh-volume-allocation": Pool(
        "rbd",
        "ceph-fast",
        hosts=(SourceHost("mon1.example.org"),),
        source="guests",
        refresh="capacity",
    ),
}


def given(name: str) -> str:
    return (FOLDER / "pools" / f"{name}.xml").read_text(encoding="utf-8")


def printed(kind: str, name: str) -> str:
    return (FOLDER / "printed" / f"{kind}-{name}.xml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", POOLS)
def test_pool(name: str) -> None:
    pool = poolxml.parse(given(name))
    assert poolxml.render(pool) == printed("pool", name)


@pytest.mark.parametrize("name", POOLS)
def test_printed_pool(name: str) -> None:
    """What libvirt prints is read as the same, and comes back as it is."""
    text = printed("pool", name)
    pool = poolxml.parse(text)
    assert pool == poolxml.parse(given(name))
    assert poolxml.render(pool) == text


@pytest.mark.parametrize("name", VOLUMES)
def test_volume(name: str) -> None:
    """What libvirt prints of a volume that is made as it is told."""
    text = (FOLDER / "volumes" / f"{name}.xml").read_text(encoding="utf-8")
    volume = as_made(volumexml.parse(text, format_of(name)))
    assert volumexml.render(volume, name not in UNFORMATTED) == printed("volume", name)


@pytest.mark.parametrize("name", VOLUMES)
def test_printed_volume(name: str) -> None:
    text = printed("volume", name)
    volume = volumexml.parse(text, format_of(name))
    assert volumexml.render(volume, name not in UNFORMATTED) == text


def as_made(volume: Volume) -> Volume:
    """Without what libvirt finds out by itself."""
    return dataclasses.replace(volume, timestamps=(), physical=0, extents=())


def format_of(name: str) -> str:
    return "" if name in UNFORMATTED else "none" if name == "partition" else "raw"


@pytest.mark.parametrize("name", PARSED)
def test_parsed(name: str) -> None:
    assert dataclasses.replace(poolxml.parse(given(name)), uuid="") == PARSED[name]


def test_every_field_is_tested() -> None:
    pools = [poolxml.parse(given(name)) for name in PARSED]
    for field in dataclasses.fields(Pool):
        assert any(getattr(pool, field.name) for pool in pools), field.name


@pytest.fixture(name="schema", scope="module")
def _schema(request: pytest.FixtureRequest) -> t.Any:
    file = SCHEMAS / f"storage{request.param}.rng"
    if not file.exists():
        pytest.skip("libvirt's schemas are not installed (Debian package libvirt0)")
    return etree.RelaxNG(etree.parse(str(file)))


@pytest.mark.parametrize("schema", ["pool"], indirect=True)
@pytest.mark.parametrize("name", POOLS)
def test_pool_is_valid(schema: t.Any, name: str) -> None:
    valid = schema.validate(etree.fromstring(printed("pool", name).encode()))
    assert valid == (name not in BEYOND_SCHEMA), schema.error_log


@pytest.mark.parametrize("schema", ["vol"], indirect=True)
@pytest.mark.parametrize("name", VOLUMES)
def test_volume_is_valid(schema: t.Any, name: str) -> None:
    schema.assertValid(etree.fromstring(printed("volume", name).encode()))


@pytest.mark.parametrize("name", POOLS)
def test_what_means_the_same_is_not_touched(name: str) -> None:
    assert poolxml.render(poolxml.parse(given(name)), given(name)) == given(name)


def test_what_nobody_knows_stays() -> None:
    text = given("habit-later")
    pool = dataclasses.replace(
        poolxml.parse(text), cow="", path="/srv/other", devices=("/dev/sdz", "/dev/sdx")
    )
    changed = poolxml.render(pool, text)
    assert changed == printed("changed", "habit-later")
    assert poolxml.parse(changed) == pool
    moved = dataclasses.replace(pool, path="/srv/moved")
    assert poolxml.render(moved, changed) == changed.replace("/srv/other", "/srv/moved")


def test_what_libvirt_measured_stays() -> None:
    """So that a difference shows what changes, and nothing else."""
    text = printed("pool", "disk").replace("'bytes'>0<", "'bytes'>512<")
    text = text.replace(
        "sdk'/>", "sdk'>\n      <freeExtent start='512' end='1024'/>\n    </device>"
    )
    pool = dataclasses.replace(poolxml.parse(text), path="/dev/disk/by-id")
    assert poolxml.render(pool, text) == text.replace("/dev<", "/dev/disk/by-id<")


def test_what_stands_before_stays() -> None:
    for name in ("habit-pool-edit", "habit-xml-declaration"):
        text = given(name)
        pool = dataclasses.replace(poolxml.parse(text), path="/srv/other")
        comment = text[text.index("<!--") : text.index("-->")]
        assert poolxml.render(pool, text).startswith(comment)


@pytest.mark.parametrize("name", POOLS)
def test_a_kind_uses_what_it_does(name: str) -> None:
    """A definition has no more than its type uses, and then all of it."""
    said: dict[str, t.Any] = {
        "cow": "yes",
        "hosts": (SourceHost("a", 1), SourceHost("b")),
        "devices": ("/dev/vdx", "/dev/vdy"),
        "dir": "/export/other",
        "source": "other",
        "initiator": "iqn.2024-01.org.example:other",
        "path": "/srv/other/",
        "permissions": Permissions("0700", 1, 2, "label"),
        "mount_options": ("nodiratime",),
        "config_options": (("a", "b"),),
        "adapter": Adapter("scsi_host", "host5", parent="scsi_host1", managed="yes"),
        "auth": Auth("chap", "writer", usage="other-secret"),
        "vendor": "Example",
        "product": "Box",
        "refresh": "default",
    }
    full = dataclasses.replace(poolxml.parse(given(name)), **said)
    pool = poolxml.normal(full)
    assert poolxml.normal(pool) == pool
    assert poolxml.parse(poolxml.render(full)) == pool
    assert (pool.auth, pool.vendor, pool.product) == (full.auth, "Example", "Box")


def test_a_type_that_is_not_known() -> None:
    """It is told later that it is not known; nothing of it is lost here."""
    pool = Pool("tape", "old", UUID, devices=("/dev/st0",), dir="/a/", path="/dev/tape/")
    assert poolxml.parse(poolxml.render(pool)) == pool


@pytest.mark.parametrize(
    ("path", "tidied"),
    [
        ("", ""),
        ("/", "/"),
        ("//", "//"),
        ("///", "/"),
        ("///////", "/"),
        ("/srv/", "/srv"),
        ("/srv//a///b//", "/srv/a/b"),
        ("//srv//a", "//srv/a"),
        ("///srv", "/srv"),
        ("a//b/", "a/b"),
        ("../../", "../.."),
        ("/a/./../b", "/a/./../b"),
        ("nfs://host//a/", "nfs://host//a/"),
        ("gluster://h//a/b", "gluster://h//a/b"),
        ("/a://b//c/", "/a:/b/c"),
        (" /a b/ ", " /a b/ "),
    ],
)
def test_tidy(path: str, tidied: str) -> None:
    assert common.tidy(path) == tidied


@pytest.mark.parametrize(
    "text",
    [
        UUID,
        UUID.upper(),
        UUID.replace("-", ""),
        " 0b6ff0a2-58d74d43a2f5-1d9f2d3c4b66\n",
    ],
)
def test_uuid(text: str) -> None:
    assert poolxml.parse(of("dir", PATH, f"<uuid>{text}</uuid>")).uuid == UUID


PATH = "<target><path>/a</path></target>"
HOST = "<host name='h'/>"
FC = "<adapter type='fc_host' wwnn='20000000c9831b4d'"


def of(kind: str, *parts: str) -> str:
    return f"<pool type='{kind}'>\n<name>a</name>\n{''.join(parts)}\n</pool>"


def with_permissions(text: str) -> str:
    return of("dir", f"<target><path>/a</path>\n<permissions>{text}</permissions></target>")


def with_auth(text: str) -> str:
    return of("iscsi", PATH, f"<source>{HOST}\n<auth {text}</auth></source>")


def with_adapter(text: str) -> str:
    return of("scsi", PATH, f"<source>\n{text}</source>")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is not XML: "),
        ("no xml", "it is not XML: Start tag expected, '<' not found, line 1, column 1"),
        ("<pool type='dir'>\n<name>a</nome>", "it is not XML: Opening and ending tag mismatch"),
        ("<network>\n</network>", "its root element is network, not pool (line 1)"),
        ("<pool xmlns='urn:a'/>", "its root element is {urn:a}pool, not pool"),
        ("<pool><name>a</name></pool>", "the pool has no type (line 1)"),
        ("<pool type='dir'></pool>", "the pool has no name (line 1)"),
        ("<pool type='dir'>\n<name>a/b</name></pool>", "the name 'a/b' has a slash (line 2)"),
        (of("dir", "<uuid>zz</uuid>"), "'zz' is not a UUID (line 3)"),
        (of("dir"), "dir pool a has no path in target (line 1)"),
        (of("fs", PATH), "fs pool a has no device (line 1)"),
        (of("netfs", PATH, f"<source>{HOST}</source>"), "netfs pool a has no dir (line 1)"),
        (of("netfs", PATH), "netfs pool a has no host (line 1)"),
        (of("scsi", PATH), "scsi pool a has no adapter (line 1)"),
        (of("iscsi-direct", f"<source>{HOST}</source>"), "iscsi-direct pool a has no initiator"),
        (of("rbd", f"<source>{HOST}</source>"), "rbd pool a has no name in source (line 1)"),
        (of("iscsi", "<source>\n<host port='1'/></source>"), "host has no name (line 4)"),
        (of("iscsi", "<source><host name='h' port='http'/></source>"), "port is not a number"),
        (of("fs", "<source>\n\n<device/></source>"), "device has no path (line 5)"),
        (
            of("disk", "<source><device path='/a' part_separator='1'/></source>"),
            "part_separator of device is yes or no, not '1' (line 3)",
        ),
        (
            of("netfs", "<features><cow state='no'/></features>"),
            "a pool of type netfs has no cow (line 3)",
        ),
        (of("dir", "<features><cow state='1'/></features>"), "state of cow is yes or no, not '1'"),
        (
            of("netfs", "<source><format type='cifs'/><protocol ver='3'/></source>"),
            "a protocol is for nfs, and format is cifs (line 3)",
        ),
        (of("netfs", "<source><protocol ver='3,x'/></source>"), "the protocol '3,x' has a comma"),
        (
            of("rbd", "<refresh><volume allocation='all'/></refresh>"),
            "allocation of volume is default or capacity, not 'all' (line 3)",
        ),
        (with_permissions("<mode>rwx</mode>"), "the mode 'rwx' is not octal, of no more than"),
        (with_permissions("<mode>1777</mode>"), "the mode '1777' is not octal, of no more than"),
        (with_permissions("<owner>bob</owner>"), "owner is not a number: 'bob' (line 4)"),
        (with_permissions("<owner></owner>"), "owner is not a number: '' (line 4)"),
        (with_permissions("<group>-2</group>"), "group cannot be -2 (line 4)"),
        (with_permissions("<group>4294967296</group>"), "group cannot be 4294967296 (line 4)"),
        (with_auth("username='u'>"), "auth has no type (line 4)"),
        (with_auth("type='none' username='u'>"), "type of auth is chap or ceph, not 'none'"),
        (with_auth("type='chap'><secret usage='a'/>"), "auth has no username (line 4)"),
        (with_auth("type='chap' username='u'>"), "a secret is named by either usage or uuid"),
        (
            with_auth(f"type='chap' username='u'><secret usage='a' uuid='{UUID}'/>"),
            "a secret is named by either usage or uuid (line 4)",
        ),
        (with_auth("type='chap' username='u'><secret uuid='a'/>"), "'a' is not a UUID"),
        (with_adapter("<adapter name='host1' parent='b'/>"), "an adapter without a type has no"),
        (with_adapter("<adapter type='fcoe'/>"), "type of adapter is scsi_host or fc_host"),
        (with_adapter("<adapter/>"), "an adapter of type scsi_host has either a name or a parent"),
        (with_adapter("<adapter type='scsi_host'><parentaddr/></adapter>"), "parentaddr has no"),
        (
            with_adapter("<adapter type='scsi_host'><parentaddr unique_id='1'/></adapter>"),
            "parentaddr has no address (line 4)",
        ),
        (
            with_adapter(
                "<adapter type='scsi_host'><parentaddr unique_id='1'>\n<address slot='0x20'/>"
                "</parentaddr></adapter>"
            ),
            "slot cannot be 32 (line 5)",
        ),
        (
            with_adapter(
                "<adapter type='scsi_host'><parentaddr unique_id='1'><address slot='8a'/>"
                "</parentaddr></adapter>"
            ),
            "slot is not a number: '8a' (line 4)",
        ),
        (with_adapter(f"{FC}/>"), "adapter has no wwpn (line 4)"),
        (with_adapter(f"{FC} wwpn='12'/>"), "wwpn is not 16 hexadecimal digits: '12' (line 4)"),
        (
            with_adapter(f"{FC} wwpn='10000000c9831b4d' parent_wwnn='10000000c9831b4d'/>"),
            "an adapter has both parent_wwnn and parent_wwpn, or none of them (line 4)",
        ),
    ],
)
def test_not_a_pool(text: str, reason: str) -> None:
    with pytest.raises(tree.Wrong) as error:
        poolxml.parse(text)
    assert str(error.value).startswith(reason)


@pytest.mark.parametrize("where", ["", "<?xml version='1.0'?>\n", "<!-- <!DOCTYPE b> -->\n "])
def test_no_document_type(where: str) -> None:
    text = f"{where}<!DOCTYPE pool SYSTEM 'file:///etc/passwd'>{of('dir', PATH)}"
    with pytest.raises(tree.Wrong, match="it has a document type, which no definition has"):
        poolxml.parse(text)


def test_a_comment_on_document_types() -> None:
    assert poolxml.parse(f"<!-- no <!DOCTYPE here -->{of('dir', PATH)}").name == "a"


def test_bombs() -> None:
    """What would grow, or is large, is refused before anybody works on it."""
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 20))
    texts = [
        f'<!DOCTYPE pool [<!ENTITY a0 "ha">{laughs}]>{of("dir", "&a19;")}',
        "<pool type='dir'>" + " " * (100 << 20),
        "<!--" * (25 << 20),
        "<pool>" * 10000,
        " " * tree.LIMIT + "<!--" * 10,
    ]
    began = time.monotonic()
    for text in texts:
        with pytest.raises(tree.Wrong):
            poolxml.parse(text)
    assert time.monotonic() - began < 5


def test_entities_are_not_there() -> None:
    with pytest.raises(tree.Wrong, match="Entity 'b' not defined"):
        poolxml.parse(of("dir", "<uuid>&b;</uuid>"))


def test_secret() -> None:
    text = secretxml.render(UUID, "iscsi", "poolwright.storage/a & b", "a & b")
    root = etree.fromstring(text.encode())
    assert root.findtext("usage/target") == "poolwright.storage/a & b"
    assert sorted(root.items()) == [("ephemeral", "no"), ("private", "yes")]
    assert secretxml.parse(text) == (UUID, "poolwright.storage/a & b")
    text = secretxml.render(UUID, "volume", "/srv/a & b", "")
    assert secretxml.parse(text) == (UUID, "/srv/a & b")


FULL = Volume(
    "web.qcow2",
    "/srv/web.qcow2",
    "/srv/web.qcow2",
    format="qcow2",
    capacity=1024,
    allocation=512,
    physical=600,
    permissions=Permissions("0600", 0, 0, "label"),
    timestamps=(("atime", "1.500000000"), ("mtime", "2"), ("ctime", "3"), ("btime", "0")),
    compat="1.1",
    cluster_size=65536,
    features=("lazy_refcounts", "extended_l2", "data_file"),
    backing_path="/srv/base",
    backing_format="raw",
    backing_permissions=Permissions("0644", 1, 2),
    backing_timestamps=(("atime", "4"),),
    encryption=Encryption(
        "luks",
        (Secret(usage="web"), Secret(uuid=UUID)),
        Cipher("aes", 256, "xts", "sha256"),
        Ivgen("plain64", "sha256"),
        engine="qemu",
    ),
    extents=(Extent("/dev/vdb", 0, 5), Extent("/dev/vdb", 9, 10), Extent("/dev/vdc", 0, 1)),
)


def test_full_volume() -> None:
    text = volumexml.render(FULL, formatted=True)
    assert text == printed("changed", "volume")
    assert volumexml.parse(text) == FULL
    plain = volumexml.render(Volume("web", "/dev/guests/web"), formatted=False)
    assert volumexml.parse_all(text + plain) == (FULL, Volume("web", "/dev/guests/web"))


@pytest.mark.parametrize(
    ("number", "size"),
    [
        ("<capacity>5</capacity>", 5),
        ("<capacity unit='bytes'>5</capacity>", 5),
        ("<capacity unit='B'>5</capacity>", 5),
        ("<capacity unit='k'>5</capacity>", 5 << 10),
        ("<capacity unit='KiB'>5</capacity>", 5 << 10),
        ("<capacity unit='kb'>5</capacity>", 5000),
        ("<capacity unit='M'>5</capacity>", 5 << 20),
        ("<capacity unit='GB'>5</capacity>", 5 * 10**9),
        ("<capacity unit='tib'>5</capacity>", 5 << 40),
        ("<capacity unit='PB'>5</capacity>", 5 * 10**15),
        ("<capacity unit='E'>5</capacity>", 5 << 60),
    ],
)
def test_units(number: str, size: int) -> None:
    text = f"<volume><name>a</name>{number}</volume>"
    assert volumexml.parse(text) == Volume("a", capacity=size, allocation=size)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<pool/>", "its root element is pool, not volume (line 1)"),
        ("<volume/>", "the volume has no name (line 1)"),
        ("<capacity unit='KiBi'>5</capacity>", "capacity is not a size: '5' KiBi (line 2)"),
        ("<capacity>-1</capacity>", "capacity is not a size: '-1' (line 2)"),
        ("<allocation unit='E'>8</allocation>", "allocation is too large: 8 E (line 2)"),
        ("<target><compat>new</compat></target>", "compat is like 1.1, not 'new' (line 2)"),
        ("<target>\n<features><b/></features></target>", "no format has the feature b (line 3)"),
        ("<target><encryption/></target>", "encryption has no format (line 2)"),
        (
            "<target><encryption format='luks'><secret usage='a'/></encryption></target>",
            "secret has no type (line 2)",
        ),
        (
            "<target><encryption format='luks'><ivgen name='b'/></encryption></target>",
            "an encryption with ivgen has a cipher as well (line 2)",
        ),
        (
            "<target><encryption format='luks'><cipher name='b'/></encryption></target>",
            "cipher has no size (line 2)",
        ),
        (
            "<source><device path='/a'><extent start='b' end='2'/></device></source>",
            "start is not a number: 'b' (line 2)",
        ),
    ],
)
def test_not_a_volume(text: str, reason: str) -> None:
    if not text.endswith(("<pool/>", "<volume/>")):
        text = f"<volume><name>a</name>\n{text}</volume>"
    with pytest.raises(tree.Wrong) as error:
        volumexml.parse(text)
    assert str(error.value) == reason


def test_names_that_xml_cannot_say() -> None:
    text = volumexml.render(Volume("caf\udce9\x01.img", "/srv/a\r\nb"), formatted=False)
    assert volumexml.parse(text).name == "caf\ufffd\ufffd.img"
    assert volumexml.parse(text).path == "/srv/a\r\nb"


def test_times() -> None:
    """A full second has no fraction, and nobody knows of a birth."""
    node = Node("file", Permissions(), 0, times=(10**9, 10**9 + 5, 0))
    shown = (("atime", "1"), ("mtime", "1.000000005"), ("ctime", "0"), ("btime", "0"))
    assert base.times(node) == shown
