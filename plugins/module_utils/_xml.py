# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools and volumes as libvirt's XML, and back; the only file that knows lxml.

Rules are those of libvirt 9.0 to 11.3: https://libvirt.org/formatstorage.html
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import traceback
import typing as t

from ._model import Adapter, Auth, Extent, Permissions, Pool, SourceHost, Volume

LXML_ERROR: str | None = None
try:
    from lxml import etree
except ImportError:
    LXML_ERROR = traceback.format_exc()

FS = "http://libvirt.org/schemas/storagepool/fs/1.0"
_OPTIONS, _OPTION = f"{{{FS}}}mount_opts", f"{{{FS}}}option"
_UNSAYABLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_UNSET = (-1, 2**32 - 1)  # what libvirt takes for "no owner"

_ORDER = {
    "pool": [
        "name",
        "uuid",
        "capacity",
        "allocation",
        "available",
        "features",
        "source",
        "target",
        "refresh",
    ],
    "source": [
        "host",
        "device",
        "dir",
        "adapter",
        "name",
        "initiator",
        "format",
        "auth",
        "protocol",
        "vendor",
        "product",
    ],
    "target": ["path", "format", "permissions"],
    "permissions": ["mode", "owner", "group", "label"],
}

Element = t.Any  # lxml has no types of its own


class NotAPool(ValueError):
    """The text is not the definition of a storage pool."""


def parse(text: str) -> Pool:
    """The pool that a definition describes; raises `NotAPool` in words."""
    root = _root(text)
    source, target = _find(root, "source"), _find(root, "target")
    name = root.findtext("name") or source.findtext("name") or ""
    kind = root.get("type", "")
    if not name or not kind:
        raise NotAPool("it has no name or no type")
    return Pool(
        type=kind,
        name=name,
        uuid=_uuid(root.findtext("uuid") or ""),
        cow=_find(root, "features/cow").get("state", ""),
        hosts=_hosts(source),
        devices=tuple(device.get("path", "") for device in source.findall("device")),
        part_separator=_find(source, "device").get("part_separator", ""),
        dir=tidy(_find(source, "dir").get("path", "")),
        adapter=_adapter(source.find("adapter")),
        source=source.findtext("name") or "",
        initiator=_find(source, "initiator/iqn").get("name", ""),
        format=_find(source, "format").get("type", ""),
        auth=_auth(source.find("auth")),
        protocol_version=_find(source, "protocol").get("ver", ""),
        path=tidy(target.findtext("path") or ""),
        permissions=_permissions(_find(target, "permissions")),
        mount_options=tuple(
            option.get("name", "") for option in _find(root, _OPTIONS).findall(_OPTION)
        ),
    )


def render(pool: Pool, base: str = "") -> str:
    """The definition of a pool.

    With ``base``, the definition that is registered: only what differs is touched, so that elements
    which are not ours, and their order, survive.  What already means the same comes back as it was.
    """
    old = parse(base) if base else Pool("", "")
    if old == pool:
        return base
    root = _root(base) if base else etree.Element("pool")
    _SETTERS["name"](root, pool.name)  # libvirt takes the source's name where there is none
    for field in dataclasses.fields(Pool):
        value = getattr(pool, field.name)
        if value != getattr(old, field.name):
            _SETTERS[field.name](root, value)
    _child(root, "source")
    if pool.mount_options and FS not in root.nsmap.values():
        root = _with_namespace(root)
    etree.indent(root, space="  ")
    return etree.tostring(root, encoding="unicode") + "\n"


def render_volume(volume: Volume, formatted: bool) -> str:
    """A volume as libvirt prints it; ``formatted`` where its kind of pool knows volume formats."""
    root = etree.Element("volume", type=volume.type)
    etree.SubElement(root, "name").text = _readable(volume.name)
    etree.SubElement(root, "key").text = _readable(volume.key)
    _extents(etree.SubElement(root, "source"), volume.extents)
    for size in ("capacity", "allocation", "physical"):
        if size != "physical" or volume.physical:
            etree.SubElement(root, size, unit="bytes").text = str(getattr(volume, size))
    _volume_target(root, volume, formatted)
    if volume.backing_path:
        backing = etree.SubElement(root, "backingStore")
        etree.SubElement(backing, "path").text = _readable(volume.backing_path)
        if volume.backing_format:
            etree.SubElement(backing, "format", type=volume.backing_format)
    etree.indent(root, space="  ")
    return str(etree.tostring(root, encoding="unicode")) + "\n"


def parse_volumes(text: str) -> tuple[Volume, ...]:
    """What libvirt prints of volumes, one after the other; no more than tells one from another."""
    found = []
    for root in _tree(f"<volumes>{text}</volumes>").findall("volume"):
        target = _find(root, "target")
        found.append(
            Volume(
                name=root.findtext("name") or "",
                path=target.findtext("path") or "",
                key=root.findtext("key") or "",
                capacity=int(root.findtext("capacity") or 0),
                permissions=_permissions(_find(target, "permissions")),
            )
        )
    return tuple(found)


def secret(uuid: str, usage: str, pool: str) -> str:
    """The definition of the libvirt secret that holds a pool's password."""
    root = etree.Element("secret", ephemeral="no", private="yes")
    etree.SubElement(root, "uuid").text = uuid
    etree.SubElement(root, "description").text = f"Password of the storage pool {pool}"
    element = etree.SubElement(root, "usage", type="iscsi")
    etree.SubElement(element, "target").text = usage
    return str(etree.tostring(root, encoding="unicode"))


def _extents(source: Element, extents: t.Sequence[Extent]) -> None:
    for device, parts in itertools.groupby(extents, lambda extent: extent.device):
        element = etree.SubElement(source, "device", path=device)
        for part in parts:
            etree.SubElement(element, "extent", start=str(part.start), end=str(part.end))


def _volume_target(root: Element, volume: Volume, formatted: bool) -> None:
    target = etree.SubElement(root, "target")
    etree.SubElement(target, "path").text = _readable(volume.path)
    if formatted:
        etree.SubElement(target, "format", type=volume.written or volume.format)
    _set_permissions(root, volume.permissions)
    if volume.timestamps:
        stamps = etree.SubElement(target, "timestamps")
        for name, value in volume.timestamps:
            etree.SubElement(stamps, name).text = value
    if volume.compat:
        etree.SubElement(target, "compat").text = volume.compat
    if volume.cluster_size:
        etree.SubElement(target, "clusterSize", unit="B").text = str(volume.cluster_size)
    if volume.compat == "1.1":
        features = etree.SubElement(target, "features")
        for feature in volume.features:
            etree.SubElement(features, feature)


def _readable(text: str) -> str:
    """A name that may have any byte, as far as XML can say it."""
    return _UNSAYABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def tidy(path: str) -> str:
    """A path as libvirt keeps it: no doubled or trailing slash; two leading slashes stay two."""
    if "://" in path and "/" not in path.split("://", 1)[0]:
        return path
    lead = "//" if re.match("//(?!/)", path) else "/" if path.startswith("/") else ""
    return lead + re.sub("/+", "/", path).strip("/")


def _tree(text: str) -> Element:
    parser = etree.XMLParser(remove_blank_text=True, resolve_entities=False, no_network=True)
    try:
        return etree.fromstring(text.encode("utf-8", "surrogateescape"), parser)
    except etree.XMLSyntaxError as error:
        raise NotAPool(f"it is not XML: {error}") from error


def _root(text: str) -> Element:
    root = _tree(text)
    if root.tag == "poolstate":  # of a running pool, in libvirtd's own file
        root = _find(root, "pool")
    if root.tag != "pool":
        raise NotAPool(f"its root element is {root.tag}")
    return root


def _find(root: Element, path: str) -> Element:
    """The element, or an empty one where there is none."""
    found = root.find(path)
    return etree.Element("none") if found is None else found


def _child(parent: Element, tag: str) -> Element:
    """The child of that name, made at its canonical place where it is missing."""
    found = parent.find(tag)
    if found is None:
        found = etree.Element(tag)
        _insert(parent, found)
    return found


def _insert(parent: Element, child: Element) -> None:
    order = _ORDER.get(parent.tag, [])
    rank = order.index(child.tag) if child.tag in order else len(order)
    before = [n for n, other in enumerate(parent) if other.tag in order[: rank + 1]]
    parent.insert(before[-1] + 1 if before else 0, child)


def _with_namespace(root: Element) -> Element:
    """The same element with the prefix fs declared, which lxml only does for a new one."""
    renamed = etree.Element(root.tag, root.attrib, nsmap={"fs": FS, **root.nsmap})
    renamed.extend(list(root))
    return renamed


def _text(*path: str) -> t.Callable[[Element, str], None]:
    def set_text(root: Element, value: str) -> None:
        for tag in path:
            root = _child(root, tag)
        root.text = value

    return set_text


def _attribute(attribute: str, *path: str) -> t.Callable[[Element, str], None]:
    def set_attribute(root: Element, value: str) -> None:
        for tag in path[:-1]:
            root = _child(root, tag)
        if value:
            _child(root, path[-1]).set(attribute, value)
        else:
            _drop(root, path[-1])

    return set_attribute


def _drop(parent: Element, tag: str) -> None:
    for child in parent.findall(tag):
        parent.remove(child)


def _set_hosts(root: Element, hosts: t.Sequence[SourceHost]) -> None:
    source = _child(root, "source")
    _drop(source, "host")
    for host in hosts:
        element = etree.Element("host", name=host.name)
        if host.port:
            element.set("port", str(host.port))
        _insert(source, element)


def _set_devices(root: Element, devices: t.Sequence[str]) -> None:
    source = _child(root, "source")
    separator = _find(source, "device").get("part_separator", "")
    _drop(source, "device")
    for device in devices:
        _insert(source, etree.Element("device", path=device))
    if separator:
        _set_part_separator(root, separator)


def _set_part_separator(root: Element, value: str) -> None:
    for device in root.findall("source/device"):
        device.set("part_separator", value)


def _hosts(source: Element) -> tuple[SourceHost, ...]:
    return tuple(
        SourceHost(host.get("name", ""), int(host.get("port") or 0))
        for host in source.findall("host")
    )


def _adapter(element: Element) -> Adapter | None:
    if element is None:
        return None
    parent = _find(element, "parentaddr")
    address = parent.find("address")
    return Adapter(
        type=element.get("type", "scsi_host"),
        unique_id=parent.get("unique_id", ""),
        address="" if address is None else _pci(address),
        **{key: element.get(key, "") for key in ("name", "parent", "wwnn", "wwpn", "managed")},
    )


def _pci(address: Element) -> str:
    domain, bus, slot, function = (
        int(address.get(part, "0"), 0) for part in ("domain", "bus", "slot", "function")
    )
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def _set_adapter(root: Element, adapter: Adapter | None) -> None:
    source = _child(root, "source")
    _drop(source, "adapter")
    if not adapter:
        return
    element = etree.Element("adapter", type=adapter.type)
    for key in ("name", "parent", "managed", "wwnn", "wwpn"):
        if getattr(adapter, key):
            element.set(key, getattr(adapter, key))
    if adapter.address:
        parent = etree.SubElement(element, "parentaddr", unique_id=adapter.unique_id)
        domain, bus, slot, function = re.split("[:.]", adapter.address)
        etree.SubElement(
            parent,
            "address",
            domain=f"0x{domain}",
            bus=f"0x{bus}",
            slot=f"0x{slot}",
            function=f"0x{function}",
        )
    _insert(source, element)


def _auth(element: Element) -> Auth | None:
    if element is None:
        return None
    secret = _find(element, "secret")
    return Auth(
        element.get("type", ""),
        element.get("username", ""),
        secret.get("usage", ""),
        secret.get("uuid", ""),
    )


def _set_auth(root: Element, auth: Auth | None) -> None:
    source = _child(root, "source")
    _drop(source, "auth")
    if auth:
        element = etree.Element("auth", type=auth.type, username=auth.username)
        kept = {"usage": auth.usage} if auth.usage else {"uuid": auth.uuid}
        etree.SubElement(element, "secret", kept)
        _insert(source, element)


def _permissions(element: Element) -> Permissions:
    mode = element.findtext("mode") or ""
    return Permissions(
        mode=f"{int(mode, 8):04o}" if mode else "",
        owner=_id(element.findtext("owner")),
        group=_id(element.findtext("group")),
        label=element.findtext("label") or "",
    )


def _id(text: str | None) -> int | None:
    return None if not text or int(text) in _UNSET else int(text)


def _set_permissions(root: Element, permissions: Permissions) -> None:
    target = _child(root, "target")
    if permissions == Permissions():
        _drop(target, "permissions")
        return
    element = _child(target, "permissions")
    for key in ("mode", "owner", "group", "label"):
        value = getattr(permissions, key)
        if value in ("", None):
            _drop(element, key)
        else:
            _child(element, key).text = str(value)


def _set_mount_options(root: Element, options: t.Sequence[str]) -> None:
    _drop(root, _OPTIONS)
    if options:
        element = etree.SubElement(root, _OPTIONS, nsmap={"fs": FS})
        for option in options:
            etree.SubElement(element, _OPTION, name=option)


def _uuid(text: str) -> str:
    digits = re.sub(r"[\s-]", "", text).lower()
    return re.sub(r"^(.{8})(.{4})(.{4})(.{4})(.{12})$", r"\1-\2-\3-\4-\5", digits)


_SETTERS: t.Mapping[str, t.Callable[[Element, t.Any], None]] = {
    "type": lambda root, value: root.set("type", value),
    "name": _text("name"),
    "uuid": _text("uuid"),
    "cow": _attribute("state", "features", "cow"),
    "hosts": _set_hosts,
    "devices": _set_devices,
    "part_separator": _set_part_separator,
    "dir": _attribute("path", "source", "dir"),
    "adapter": _set_adapter,
    "source": _text("source", "name"),
    "initiator": _attribute("name", "source", "initiator", "iqn"),
    "format": _attribute("type", "source", "format"),
    "auth": _set_auth,
    "protocol_version": _attribute("ver", "source", "protocol"),
    "path": _text("target", "path"),
    "permissions": _set_permissions,
    "mount_options": _set_mount_options,
}
