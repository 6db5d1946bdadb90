# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Definitions of pools, read and written as libvirt does.

Rules are those of libvirt 9.0 to 11.3: https://libvirt.org/formatstorage.html
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .._model import Adapter, Auth, Permissions, Pool, SourceHost
from . import common, tree
from .tree import Node


class _Kind(t.NamedTuple):
    """What a pool type has.  ``uses`` and ``needs`` name fields of `Pool`.

    ``named`` tells whether the pool and its source have one name where only one is said, and
    ``network`` that nothing of it is at a path of the host.
    """

    uses: t.Sequence[str] = ()
    needs: t.Sequence[str] = ()
    format: str = ""  # where none is said
    named: bool = False
    network: bool = False


_KINDS = {
    "dir": _Kind(("cow",), ("path",)),
    "fs": _Kind(("cow", "devices", "mount_options"), ("devices", "path"), "auto"),
    "netfs": _Kind(("hosts", "dir", "mount_options"), ("hosts", "dir", "path"), "auto"),
    "logical": _Kind(("devices", "source"), (), "lvm2", named=True),
    "disk": _Kind(("devices",), ("devices", "path"), "unknown"),
    "iscsi": _Kind(("hosts", "devices", "initiator"), ("hosts", "path")),
    "iscsi-direct": _Kind(("hosts", "devices", "initiator"), ("hosts", "initiator"), network=True),
    "scsi": _Kind(("adapter",), ("adapter", "path")),
    "mpath": _Kind((), ("path",)),
    "rbd": _Kind(("hosts", "source", "config_options"), ("hosts",), named=True, network=True),
    "sheepdog": _Kind(("hosts", "source"), ("hosts",), named=True, network=True),
    "gluster": _Kind(("hosts", "source", "dir"), ("hosts",), named=True, network=True),
    "zfs": _Kind(("devices", "source"), named=True),
    "vstorage": _Kind(("source",), ("path",), named=True),
}
# What a definition of a type that does not use it is without.
_ONLY_SOME = (
    "cow",
    "hosts",
    "devices",
    "dir",
    "adapter",
    "source",
    "initiator",
    "mount_options",
    "config_options",
)
_NEEDED = {
    "hosts": "host",
    "devices": "device",
    "dir": "dir",
    "adapter": "adapter",
    "initiator": "initiator",
    "path": "path in target",
}
_PCI = {"domain": 0xFFFF, "bus": 0xFF, "slot": 0x1F, "function": 7}
_FC_HOST = (
    *("parent", "parent_wwnn", "parent_wwpn", "parent_fabric_wwn", "managed"),
    *("wwnn", "wwpn"),
)

# All that libvirt takes from a definition: attributes begin with @, the rest are elements.
_KNOWN: t.Mapping[str, t.Any] = {
    "@type": None,
    "name": {},
    "uuid": {},
    "features": {"cow": {"@state": None}},
    "source": {
        "host": {"@name": None, "@port": None},
        "device": {"@path": None, "@part_separator": None},
        "dir": {"@path": None},
        "adapter": {
            **{f"@{key}": None for key in ("type", "name", *_FC_HOST)},
            "parentaddr": {
                "@unique_id": None,
                "address": {f"@{part}": None for part in _PCI},
            },
        },
        "name": {},
        "initiator": {"iqn": {"@name": None}},
        "format": {"@type": None},
        "auth": {
            **{"@type": None, "@username": None},
            "secret": {"@type": None, "@uuid": None, "@usage": None},
        },
        "protocol": {"@ver": None},
        "vendor": {"@name": None},
        "product": {"@name": None},
    },
    "target": {
        "path": {},
        "permissions": {"mode": {}, "owner": {}, "group": {}, "label": {}},
    },
    "refresh": {"volume": {"@allocation": None}},
    "fs:mount_opts": {"fs:option": {"@name": None}},
    "rbd:config_opts": {"rbd:option": {"@name": None, "@value": None}},
}
# What a refresh measures, and no definition says.
_SIZES = ("capacity", "allocation", "available")


def parse(text: str) -> Pool:
    """The pool that a definition describes; raises `Wrong`."""
    root = _root(text)
    kind = _KINDS.get(root.get("type"))
    pool = normal(_read(root))
    _name(root, pool)
    if pool.type == "rbd" and not root.said("source", "name"):
        raise root.wrong(f"rbd pool {pool.name} has no name in source")
    for field in kind.needs if kind else ():
        if not getattr(pool, field):
            raise root.wrong(f"{pool.type} pool {pool.name} has no {_NEEDED[field]}")
    return pool


def normal(pool: Pool) -> Pool:
    """The same pool as libvirt keeps it: with its defaults, without what its type does not use."""
    kind = _KINDS.get(pool.type)
    if kind is None:
        return pool
    name = pool.name or (pool.source if kind.named else "")
    source = pool.source or (name if kind.named else "")
    unused: dict[str, t.Any] = {
        field.name: field.default
        for field in dataclasses.fields(Pool)
        if field.name in _ONLY_SOME and field.name not in kind.uses
    }
    place = {"logical": f"/dev/{source}", "zfs": f"/dev/zvol/{source}"}
    said = dataclasses.replace(
        pool,
        name=name,
        adapter=_of_its_type(pool.adapter),
        source=source,
        dir=common.tidy(pool.dir or ("/" if pool.type == "gluster" else "")),
        format=(pool.format or kind.format) if kind.format else "",
        path="" if kind.network else common.tidy(place.get(pool.type, pool.path)),
        permissions=Permissions() if kind.network else pool.permissions,
        part_separator=pool.part_separator if "devices" in kind.uses else "",
    )
    return dataclasses.replace(said, **unused)


def render(pool: Pool, base: str = "") -> str:
    """The definition of a pool, as libvirt prints it.

    With ``base``, the definition that is registered, what libvirt and we do not know of it stays.
    What already means the same comes back as it was.
    """
    pool = normal(pool)
    if base and parse(base) == pool:
        return base
    root = _written(pool)
    if not base:
        return tree.write(root)
    _keep(root, _root(base), _KNOWN)
    return re.sub(r"<\?.*?\?>\s*", "", tree.prolog(base), flags=re.DOTALL) + tree.write(root)


def _root(text: str) -> Node:
    root = tree.read(text)
    if root.tag == "poolstate":  # of a running pool, in libvirtd's own file
        root = root.at("pool")
    if root.tag != "pool":
        raise root.wrong(f"its root element is {root.tag}, not pool")
    if not root.get("type"):
        raise root.wrong("the pool has no type")
    return root


def _name(root: Node, pool: Pool) -> None:
    if not pool.name:
        raise root.wrong("the pool has no name")
    if "/" in pool.name:
        raise root.at("name").wrong(f"the name {pool.name!r} has a slash")


def _read(root: Node) -> Pool:
    """What a definition says, as it says it."""
    source = root.at("source")
    return Pool(
        type=root.get("type"),
        name=root.said("name"),
        uuid=common.uuid(root.at("uuid"), root.said("uuid")),
        cow=_cow(root),
        hosts=tuple(map(_host, source.all("host"))),
        devices=_names(source.all("device"), "path"),
        part_separator=common.yes_no(source.at("device"), "part_separator"),
        dir=source.get("path", "dir"),
        adapter=_adapter(source.find("adapter")),
        source=source.said("name"),
        initiator=source.get("name", "initiator", "iqn"),
        format=source.get("type", "format"),
        auth=_auth(source.find("auth")),
        protocol_version=_protocol(root, source),
        path=root.said("target", "path"),
        permissions=_permissions(root),
        mount_options=_names(root.at("fs:mount_opts").all("fs:option")),
        vendor=source.get("name", "vendor"),
        product=source.get("name", "product"),
        refresh=common.one_of(root.at("refresh", "volume"), "allocation", "default", "capacity"),
        config_options=_config_options(root.at("rbd:config_opts")),
    )


def _names(nodes: t.Sequence[Node], attribute: str = "name") -> tuple[str, ...]:
    return tuple(common.must(node, attribute) for node in nodes)


def _config_options(node: Node) -> tuple[tuple[str, str], ...]:
    return tuple(
        (common.must(option, "name"), common.must(option, "value"))
        for option in node.all("rbd:option")
    )


def _permissions(root: Node) -> Permissions:
    kind = _KINDS.get(root.get("type"))
    ignored = bool(kind and kind.network)
    return Permissions() if ignored else common.permissions(root.at("target", "permissions"))


def _cow(root: Node) -> str:
    cow = root.find("features", "cow")
    if cow is None:
        return ""
    kind = _KINDS.get(root.get("type"))
    if kind and "cow" not in kind.uses:
        raise cow.wrong(f"a pool of type {root.get('type')} has no cow")
    return common.yes_no(cow, "state")


def _host(node: Node) -> SourceHost:
    port = node.attributes.get("port", "0")
    return SourceHost(common.must(node, "name"), common.number(node, port, "port"))


def _protocol(root: Node, source: Node) -> str:
    node = source.at("protocol")
    version, format = node.get("ver"), source.get("type", "format")
    if version and root.get("type") == "netfs" and format not in ("", "auto", "nfs"):
        raise node.wrong(f"a protocol is for nfs, and format is {format}")
    if "," in version:
        raise node.wrong(f"the protocol {version!r} has a comma")
    return version


def _adapter(node: Node | None) -> Adapter | None:
    """Only what an adapter of its type uses is kept."""
    if node is None:
        return None
    common.one_of(node, "type", "scsi_host", "fc_host")
    if node.get("type") == "fc_host":
        return _fc_host(node)
    parent = node.find("parentaddr")
    if not node.get("type") and (parent or any(map(node.get, ("wwnn", "wwpn", "parent")))):
        raise node.wrong("an adapter without a type has no more than a name")
    if bool(node.get("name")) == bool(parent):
        raise node.wrong("an adapter of type scsi_host has either a name or a parentaddr")
    if parent is None:
        return Adapter("scsi_host", node.get("name"))
    number = common.number(parent, common.must(parent, "unique_id"), "unique_id", least=0)
    return Adapter("scsi_host", address=_pci(parent), unique_id=str(number))


def _fc_host(node: Node) -> Adapter:
    common.must(node, "wwnn")
    common.must(node, "wwpn")
    common.yes_no(node, "managed")
    for key in ("wwnn", "wwpn", "parent_wwnn", "parent_wwpn", "parent_fabric_wwn"):
        if node.get(key) and not re.fullmatch("(0x)?[0-9a-fA-F]{16}", node.get(key)):
            raise node.wrong(f"{key} is not 16 hexadecimal digits: {node.get(key)!r}")
    if bool(node.get("parent_wwnn")) != bool(node.get("parent_wwpn")):
        raise node.wrong("an adapter has both parent_wwnn and parent_wwpn, or none of them")
    return Adapter("fc_host", **{key: node.get(key) for key in _FC_HOST})


def _of_its_type(adapter: Adapter | None) -> Adapter | None:
    """An adapter without what its type does not use."""
    if adapter and adapter.type == "scsi_host":
        return dataclasses.replace(adapter, **dict.fromkeys(_FC_HOST, ""))
    return adapter and dataclasses.replace(adapter, name="", address="", unique_id="")


def _pci(parent: Node) -> str:
    address = parent.find("address")
    if address is None:
        raise parent.wrong("parentaddr has no address")
    domain, bus, slot, function = (
        common.any_number(address, address.get(part) or "0", part, most)
        for part, most in _PCI.items()
    )
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def _auth(node: Node | None) -> Auth | None:
    if node is None:
        return None
    kind, secret = common.must(node, "type"), node.at("secret")
    if kind not in ("chap", "ceph"):
        raise node.wrong(f"type of auth is chap or ceph, not {kind!r}")
    return Auth(
        kind,
        common.must(node, "username"),
        *common.secret(secret),
        secret_type=secret.get("type"),
    )


def _written(pool: Pool) -> Node:
    root = Node("pool").set(type=pool.type)
    root.add("name", pool.name)
    root.say("uuid", pool.uuid)
    for size in _SIZES:
        root.add(size, "0").set(unit="bytes")
    if pool.cow:
        root.add("features").add("cow").set(state=pool.cow)
    _write_source(root.add("source", paired=True), pool)
    if not (pool.type in _KINDS and _KINDS[pool.type].network):
        target = root.add("target", paired=True)
        target.say("path", pool.path)
        common.write_permissions(target, pool.permissions)
    if pool.refresh:
        root.add("refresh").add("volume").set(allocation=pool.refresh)
    options = [(name, "") for name in pool.mount_options]
    _write_options(root, "fs", "mount_opts", options)
    _write_options(root, "rbd", "config_opts", pool.config_options)
    return root


def _write_source(source: Node, pool: Pool) -> None:
    for host in pool.hosts:
        source.add("host").set(name=host.name, port=host.port)
    for number, device in enumerate(pool.devices):
        separator = "" if number else pool.part_separator
        source.add("device").set(path=device, part_separator=separator)
    source.attribute("dir", "path", pool.dir)
    if pool.adapter:
        _write_adapter(source, pool.adapter)
    source.say("name", pool.source)
    if pool.initiator:
        source.add("initiator").attribute("iqn", "name", pool.initiator)
    source.attribute("format", "type", pool.format)
    if pool.auth:
        auth = source.add("auth").set(type=pool.auth.type, username=pool.auth.username)
        kept = {"uuid": pool.auth.uuid, "usage": pool.auth.usage}
        auth.add("secret").set(type=pool.auth.secret_type, **kept)
    source.attribute("protocol", "ver", pool.protocol_version)
    source.attribute("vendor", "name", pool.vendor)
    source.attribute("product", "name", pool.product)


def _write_adapter(source: Node, adapter: Adapter) -> None:
    element = source.add("adapter").set(type=adapter.type, name=adapter.name)
    element.set(**{key: getattr(adapter, key) for key in _FC_HOST})
    if adapter.address:
        parent = element.add("parentaddr").set(unique_id=adapter.unique_id)
        parts = zip(_PCI, re.split("[:.]", adapter.address))
        parent.add("address").set(**{part: f"0x{value}" for part, value in parts})


def _write_options(root: Node, prefix: str, tag: str, options: t.Sequence[tuple[str, str]]) -> None:
    if options:
        root.attributes[f"xmlns:{prefix}"] = tree.NAMESPACES[prefix]
        element = root.add(f"{prefix}:{tag}")
        for name, value in options:
            element.add(f"{prefix}:option").set(name=name, value=value)


def _keep(new: Node, old: Node, known: t.Mapping[str, t.Any]) -> None:
    """Adds what an older definition has and nobody knows: attributes, elements and comments.

    They keep their place before the next thing that is known.
    """
    for key, value in old.attributes.items():
        if f"@{key}" not in known and key not in new.attributes:
            new.attributes[key] = value
    place = len(new.children)
    for child in reversed(old.children):
        twin = _twin(new, child)
        if child.tag not in known and child.tag not in _SIZES:
            new.children.insert(place, child)
        elif twin is None:
            place = _keep_in_none(new, child, known[child.tag], place)
        elif child.tag in _SIZES:
            twin.text = child.text
        else:
            _keep(twin, child, known[child.tag])
            place = new.children.index(twin)


def _keep_in_none(new: Node, child: Node, known: t.Mapping[str, t.Any], place: int) -> int:
    """What nobody knows of an element that is there no more; not of one of many."""
    left = Node(child.tag)
    _keep(left, child, known)
    if (left.children or left.attributes) and child.tag not in ("host", "device"):
        new.children.insert(place, left)
    return place


def _twin(new: Node, child: Node) -> Node | None:
    """The element that says the same of the same thing."""
    found = [
        other
        for other in new.all(child.tag)
        if child.tag not in ("host", "device", "fs:option", "rbd:option")
        or all(other.get(key) == child.get(key) for key in ("name", "path"))
    ]
    return found[0] if found else None
