# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools and volumes to XML and back."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

import pytest
from ansible_collections.poolwright.storage.plugins.module_utils import _xml
from ansible_collections.poolwright.storage.plugins.module_utils._model import (
    Adapter,
    Auth,
    Extent,
    Permissions,
    Pool,
    SourceHost,
    Volume,
)
from lxml import etree

FILES = sorted(Path(__file__).parent.glob("xml/*.xml"))
SCHEMAS = Path("/usr/share/libvirt/schemas")
UUID = "0b6ff0a2-58d7-4d43-a2f5-1d9f2d3c4b"

PARSED = {
    "dir": Pool(
        "dir",
        'photos <2024> & "more"',
        "5d0c1f3e-7a4b-4e11-9c55-0a1b2c3d4e5f",
        cow="no",
        path="/srv/photos",
        permissions=Permissions("0750", label="system_u:object_r:virt_image_t:s0"),
    ),
    "scrambled": Pool(
        "dir",
        "by hand",
        "5d0c1f3e-7a4b-4e11-9c55-0a1b2c3d4e5f",
        path="//srv/a",
        permissions=Permissions("0711", group=7),
    ),
    "fs": Pool(
        "fs",
        "attic",
        f"{UUID}5a",
        devices=("/dev/disk/by-id/wwn-0x5000c500a0000001",),
        format="xfs",
        path="/srv/attic",
        permissions=Permissions("0755", 0, 6),
        mount_options=("noatime", "ro"),
    ),
    "netfs": Pool(
        "netfs",
        "shared",
        f"{UUID}5b",
        hosts=(SourceHost("2001:db8::1", 2049),),
        dir="/export/shared",
        format="nfs",
        protocol_version="4.2",
        path="/srv/shared",
        mount_options=("soft",),
    ),
    "logical": Pool(
        "logical",
        "guests",
        f"{UUID}5c",
        devices=("/dev/sdb", "/dev/sdc"),
        source="vg0",
        format="lvm2",
        path="/dev/vg0",
    ),
    "logical-noname": Pool(
        "logical", "vg1", f"{UUID}5d", source="vg1", format="lvm2", path="/dev/vg1"
    ),
    "disk": Pool(
        "disk",
        "whole",
        f"{UUID}5e",
        devices=("/dev/mapper/mpatha",),
        part_separator="yes",
        format="gpt",
        path="/dev",
    ),
    "iscsi": Pool(
        "iscsi",
        "san",
        f"{UUID}5f",
        hosts=(SourceHost("storage.example.org", 3260),),
        devices=("iqn.2024-01.org.example:one",),
        initiator="iqn.2024-01.org.example:host",
        auth=Auth("chap", "reader", usage="san-secret"),
        path="/dev/disk/by-path",
    ),
    "iscsi-direct": Pool(
        "iscsi-direct",
        "san-direct",
        f"{UUID}60",
        hosts=(SourceHost("192.0.2.7"),),
        devices=("iqn.2024-01.org.example:two",),
        initiator="iqn.2024-01.org.example:host",
        auth=Auth("chap", "reader", uuid="1b6ff0a2-58d7-4d43-a2f5-1d9f2d3c4b60"),
    ),
    "scsi": Pool(
        "scsi",
        "host-adapter",
        f"{UUID}61",
        adapter=Adapter("scsi_host", address="0000:03:0a.1", unique_id="3"),
        path="/dev/disk/by-path",
    ),
    "scsi-fc": Pool(
        "scsi",
        "fabric",
        f"{UUID}62",
        adapter=Adapter(
            "fc_host",
            parent="scsi_host4",
            managed="yes",
            wwnn="20000000c9831b4b",
            wwpn="10000000c9831b4b",
        ),
        path="/dev/disk/by-id",
    ),
    "mpath": Pool("mpath", "paths", f"{UUID}63", path="/dev/mapper"),
    "rbd": Pool(
        "rbd",
        "ceph",
        f"{UUID}64",
        hosts=(SourceHost("mon1.example.org", 6789), SourceHost("mon2.example.org")),
        source="rbd/guests",
        auth=Auth("ceph", "admin", uuid="1b6ff0a2-58d7-4d43-a2f5-1d9f2d3c4b64"),
    ),
    "unknown": Pool("dir", "later", f"{UUID}65", path="/srv/later"),
}

# For each field another value, to change a definition to.
OTHER: dict[str, t.Any] = {
    "uuid": f"{UUID}ff",
    "cow": "yes",
    "hosts": (SourceHost("a", 1), SourceHost("b")),
    "devices": ("/dev/vdx", "/dev/vdy"),
    "dir": "/export/other",
    "adapter": Adapter("scsi_host", name="host5"),
    "source": "other",
    "initiator": "iqn.2024-01.org.example:other",
    "format": "ext4",
    "auth": Auth("chap", "writer", usage="other-secret"),
    "protocol_version": "3",
    "path": "/srv/other",
    "permissions": Permissions("0700", 1, 2, "label"),
    "mount_options": ("nodiratime",),
}


def read(name: str) -> str:
    return (Path(__file__).parent / "xml" / f"{name}.xml").read_text(encoding="utf-8")


def test_every_file_and_field_is_tested() -> None:
    assert {file.stem for file in FILES} == set(PARSED)
    fields = {field.name for field in dataclasses.fields(Pool)}
    assert fields - {"type", "name", "part_separator"} == set(OTHER)
    for field in fields:
        assert any(getattr(pool, field) for pool in PARSED.values()), field


@pytest.mark.parametrize("name", PARSED)
def test_parse(name: str) -> None:
    assert _xml.parse(read(name)) == PARSED[name]


@pytest.mark.parametrize("name", PARSED)
def test_round_trip(name: str) -> None:
    assert _xml.parse(_xml.render(PARSED[name])) == PARSED[name]


@pytest.mark.parametrize("name", PARSED)
def test_what_means_the_same_is_not_touched(name: str) -> None:
    assert _xml.render(PARSED[name], read(name)) == read(name)


@pytest.mark.parametrize("field", OTHER)
@pytest.mark.parametrize("name", PARSED)
def test_change(name: str, field: str) -> None:
    """A change of one field is one, and touches nothing that is not ours."""
    wanted = dataclasses.replace(PARSED[name], **{field: OTHER[field]})
    changed = _xml.render(wanted, read(name))
    assert _xml.parse(changed) == wanted
    others = ["vendor", "product", "refresh", "metadata", "flavour", "encryption"]
    before, after = (etree.fromstring(text.encode()) for text in (read(name), changed))
    for tag in (*others, "{*}config_opts", "{https://example.org/later}*"):
        assert [shown(e) for e in after.iter(tag)] == [shown(e) for e in before.iter(tag)]


def shown(element: t.Any) -> t.Any:
    return element.tag, dict(element.attrib), (element.text or "").strip(), [*map(shown, element)]


@pytest.mark.parametrize("name", PARSED)
def test_canonical_order(name: str) -> None:
    """However a definition came about, its elements are in libvirt's order."""
    pool = dataclasses.replace(PARSED[name], **OTHER)
    root = etree.fromstring(_xml.render(pool, _xml.render(PARSED[name])).encode())
    parts = ["name", "uuid", "features", "source", "target", "mount_opts"]
    assert [etree.QName(child).localname for child in root] == parts
    source = ["host", "host", "device", "device", "dir", "adapter", "name", "initiator"]
    assert [child.tag for child in root.iterfind("source/*")] == [
        *source,
        "format",
        "auth",
        "protocol",
    ]
    assert [child.tag for child in root.iterfind("target/*")] == ["path", "permissions"]
    permissions = root.iterfind("target/permissions/*")
    assert [child.tag for child in permissions] == ["mode", "owner", "group", "label"]


def test_skeleton() -> None:
    text = _xml.render(Pool("dir", "a & b", f"{UUID}66", path="/srv/a"))
    assert text == (
        '<pool type="dir">\n  <name>a &amp; b</name>\n'
        f"  <uuid>{UUID}66</uuid>\n  <source/>\n"
        "  <target>\n    <path>/srv/a</path>\n  </target>\n</pool>\n"
    )


@pytest.mark.parametrize("name", PARSED)
def test_schema(name: str) -> None:
    schema = SCHEMAS / "storagepool.rng"
    if not schema.exists():
        pytest.skip("libvirt's schemas are not installed (Debian package libvirt0)")
    grammar = etree.RelaxNG(etree.parse(str(schema)))
    pool = dataclasses.replace(PARSED[name], name="plain")  # the schema wants a plain name
    grammar.assertValid(etree.fromstring(_xml.render(pool).encode()))


@pytest.mark.parametrize(
    ("path", "tidied"),
    [
        ("", ""),
        ("/", "/"),
        ("//", "//"),
        ("///", "/"),
        ("/srv/", "/srv"),
        ("/srv//a///b//", "/srv/a/b"),
        ("//srv//a", "//srv/a"),
        ("///srv", "/srv"),
        ("a//b/", "a/b"),
        ("../../", "../.."),
        ("/a/./../b", "/a/./../b"),
        ("nfs://host//a/", "nfs://host//a/"),
        ("/a://b//c/", "/a:/b/c"),
        (" /a b/ ", " /a b/ "),
    ],
)
def test_tidy(path: str, tidied: str) -> None:
    assert _xml.tidy(path) == tidied


@pytest.mark.parametrize(
    "text",
    [
        "0b6ff0a2-58d7-4d43-a2f5-1d9f2d3c4b66",
        "0B6FF0A2-58D7-4D43-A2F5-1D9F2D3C4B66",
        "0b6ff0a258d74d43a2f51d9f2d3c4b66",
        " 0b6ff0a2-58d74d43a2f5-1d9f2d3c4b66\n",
    ],
)
def test_uuid(text: str) -> None:
    pool = _xml.parse(f"<pool type='dir'><name>a</name><uuid>{text}</uuid></pool>")
    assert pool.uuid == f"{UUID}66"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no xml",
        "<pool type='dir'><name>a</name>",
        "<network type='dir'><name>a</name></network>",
        "<pool><name>a</name></pool>",
        "<pool type='dir'></pool>",
        "<pool type='dir'><name>a</name><source><host port='http'/></source></pool>",
        "<pool type='dir'><name>a</name><target><permissions><mode>rwx</mode></permissions>"
        "</target></pool>",
    ],
)
def test_not_a_pool(text: str) -> None:
    with pytest.raises(ValueError):
        _xml.parse(text)


def test_no_entities() -> None:
    text = '<!DOCTYPE pool [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    pool = _xml.parse(f"{text}<pool type='dir'><name>a&x;</name></pool>")
    assert pool.name == "a"


def test_volume() -> None:
    volume = Volume(
        "web.qcow2",
        "/srv/web.qcow2",
        "/srv/web.qcow2",
        format="qcow2",
        capacity=1024,
        allocation=512,
        physical=600,
        permissions=Permissions("0600", 0, 0),
        timestamps=(("atime", "1.5"),),
        compat="1.1",
        cluster_size=65536,
        features=("lazy_refcounts",),
        backing_path="/srv/base",
        backing_format="raw",
        extents=(Extent("/dev/vdb", 0, 5), Extent("/dev/vdb", 9, 10), Extent("/dev/vdc", 0, 1)),
    )
    root = etree.fromstring(_xml.render_volume(volume, True))
    sizes = ["capacity", "allocation", "physical"]
    assert [child.tag for child in root] == [
        "name",
        "key",
        "source",
        *sizes,
        "target",
        "backingStore",
    ]
    target = ["path", "format", "permissions", "timestamps", "compat", "clusterSize", "features"]
    assert [child.tag for child in root.iterfind("target/*")] == target
    assert root.xpath("source/device/@path") == ["/dev/vdb", "/dev/vdc"]
    assert root.xpath("source/device[1]/extent/@end") == ["5", "10"]
    assert root.xpath("string(backingStore/format/@type)") == "raw"
    plain = etree.fromstring(_xml.render_volume(Volume("web", "/dev/guests/web"), False))
    assert [child.tag for child in plain.iterfind("target/*")] == ["path"]
