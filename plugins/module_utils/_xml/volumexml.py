# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes as libvirt prints and reads them."""

from __future__ import annotations

import itertools
import re
import typing as t
from dataclasses import replace

from .._model import Cipher, Encryption, Extent, Ivgen, Permissions, Secret, Volume
from . import common, tree
from .tree import Node

_STAMPS = ("atime", "mtime", "ctime", "btime")
_FEATURES = ("lazy_refcounts", "extended_l2", "data_file")
_ALL_OF_A_POOL = 64 << 20


def render(volume: Volume, formatted: bool) -> str:
    """A volume as libvirt prints it; ``formatted`` where its kind of pool knows volume formats."""
    root = Node("volume").set(type=volume.type)
    root.add("name", volume.name)
    root.say("key", volume.key)
    if volume.extents:
        _write_extents(root.add("source"), volume.extents)
    for size in ("capacity", "allocation", "physical"):
        if size != "physical" or volume.physical:
            root.add(size, getattr(volume, size)).set(unit="bytes")
    _write_target(root.add("target", paired=True), volume, formatted)
    if volume.backing_path:
        backing = root.add("backingStore")
        _write_place(
            backing,
            volume.backing_path,
            volume.backing_format,
            volume.backing_permissions,
            volume.backing_timestamps,
        )
    return tree.write(root)


def parse(text: str, format: str = "") -> Volume:
    """The volume that a definition describes; ``format`` is the one that stands for none.

    Sizes, times and places that libvirt prints are read as well, though it passes over them when
    it is given a definition.  Raises `tree.Wrong`.
    """
    return _volume(tree.read(text), format)


def parse_all(text: str) -> tuple[Volume, ...]:
    """What libvirt prints of volumes, one after the other."""
    root = tree.read(f"<volumes>{text}</volumes>", _ALL_OF_A_POOL)
    return tuple(_volume(node, "") for node in root.all("volume"))


def _write_extents(source: Node, extents: t.Sequence[Extent]) -> None:
    for device, parts in itertools.groupby(extents, lambda extent: extent.device):
        element = source.add("device").set(path=device)
        for part in parts:
            element.add("extent").set(start=str(part.start), end=str(part.end))


def _write_target(target: Node, volume: Volume, formatted: bool) -> None:
    format = (volume.written or volume.format) if formatted else ""
    _write_place(target, volume.path, format, volume.permissions, volume.timestamps)
    if volume.encryption:
        _write_encryption(target, volume.encryption)
    target.say("compat", volume.compat)
    if volume.cluster_size:
        target.add("clusterSize", volume.cluster_size).set(unit="B")
    if volume.features or (volume.compat == "1.1" and not volume.featureless):
        features = target.add("features")
        for feature in _FEATURES:
            if feature in volume.features:
                features.add(feature)


def _write_place(
    node: Node,
    path: str,
    format: str,
    permissions: Permissions,
    timestamps: t.Sequence[tuple[str, str]],
) -> None:
    """What a target and a backing store have in common."""
    node.say("path", path)
    if format:
        node.add("format").set(type=format)
    common.write_permissions(node, permissions)
    if timestamps:
        stamps = node.add("timestamps")
        for name, value in timestamps:
            stamps.add(name, value)


def _write_encryption(target: Node, said: Encryption) -> None:
    element = target.add("encryption", paired=True).set(format=said.format, engine=said.engine)
    for secret in said.secrets:
        element.add("secret").set(type=secret.type, uuid=secret.uuid, usage=secret.usage)
    if said.cipher:
        element.add("cipher").set(**vars(said.cipher))
    if said.ivgen:
        element.add("ivgen").set(**vars(said.ivgen))


def _volume(root: Node, format: str) -> Volume:
    if root.tag != "volume":
        raise root.wrong(f"its root element is {root.tag}, not volume")
    if not root.said("name"):
        raise root.wrong("the volume has no name")
    capacity = _size(root.at("capacity"))
    volume = Volume(
        name=root.said("name"),
        key=root.said("key"),
        type=root.get("type") or "file",
        extents=tuple(_extents(root.at("source"))),
        capacity=capacity,
        allocation=_size(root.at("allocation")) if root.said("allocation") else capacity,
        physical=_size(root.at("physical")),
    )
    return _with_backing(_with_target(volume, root.at("target"), format), root, format)


def _with_target(volume: Volume, target: Node, format: str) -> Volume:
    features = target.find("features")
    compat = _compat(target.at("compat")) or ("1.1" if features else "")
    return replace(
        volume,
        path=target.said("path"),
        format=target.get("type", "format") or format,
        permissions=common.permissions(target.at("permissions")),
        timestamps=_stamps(target),
        encryption=_encryption(target.find("encryption")),
        compat=compat,
        cluster_size=_size(target.at("clusterSize")),
        features=_features(features) if features else (),
        featureless=compat == "1.1" and not features,
        nocow=target.find("nocow") is not None,
    )


def _with_backing(volume: Volume, root: Node, format: str) -> Volume:
    backing = root.at("backingStore")
    if not backing.said("path"):
        return volume
    return replace(
        volume,
        backing_path=backing.said("path"),
        backing_format=backing.get("type", "format") or (format and "raw"),
        backing_permissions=common.permissions(backing.at("permissions")),
        backing_timestamps=_stamps(backing),
    )


def _size(node: Node) -> int:
    """A number of bytes, with or without a unit; 0 where none is said."""
    if not node.text:
        return 0
    unit = node.get("unit").lower()
    found = re.fullmatch("(b|bytes?)?|([kmgtpe])(i?b)?", unit)
    if not found or not re.fullmatch("[0-9]{1,20}", node.text):
        raise node.wrong(f"{node.tag} is not a size: {node.text!r} {node.get('unit')}".rstrip())
    base = 1000 if found[3] == "b" else 1024
    size: int = int(node.text) * base ** ("kmgtpe".index(found[2]) + 1 if found[2] else 0)
    if size >= 1 << (64 if node.tag == "clusterSize" else 63):
        raise node.wrong(f"{node.tag} is too large: {node.text} {node.get('unit')}".rstrip())
    return size


def _extents(source: Node) -> t.Iterator[Extent]:
    for device in source.all("device"):
        for part in device.all("extent"):
            start, end = (
                common.number(part, common.must(part, key), key, least=0)
                for key in ("start", "end")
            )
            yield Extent(common.must(device, "path"), start, end)


def _stamps(node: Node) -> tuple[tuple[str, str], ...]:
    stamps = node.at("timestamps")
    return tuple((name, stamps.said(name)) for name in _STAMPS if stamps.said(name))


def _compat(node: Node) -> str:
    if node.text and not re.fullmatch(r"[0-9]+\.[0-9]+", node.text):
        raise node.wrong(f"compat is like 1.1, not {node.text!r}")
    return node.text


def _features(node: Node) -> tuple[str, ...]:
    said = [child for child in node.children if child.tag]
    for child in said:
        if child.tag not in _FEATURES:
            raise child.wrong(f"no format has the feature {child.tag}")
    return tuple(feature for feature in _FEATURES if node.find(feature))


def _encryption(node: Node | None) -> Encryption | None:
    if node is None:
        return None
    said = Encryption(
        format=common.must(node, "format"),
        engine=node.get("engine"),
        secrets=tuple(_secret(secret) for secret in node.all("secret")),
    )
    if said.format != "luks":  # of others, libvirt reads no more
        return said
    cipher, ivgen = node.find("cipher"), node.find("ivgen")
    if ivgen and not cipher:
        raise node.wrong("an encryption with ivgen has a cipher as well")
    return replace(
        said,
        cipher=_cipher(cipher) if cipher else None,
        ivgen=Ivgen(common.must(ivgen, "name"), ivgen.get("hash")) if ivgen else None,
    )


def _secret(node: Node) -> Secret:
    return Secret(*common.secret(node), type=common.must(node, "type"))


def _cipher(node: Node) -> Cipher:
    size = common.number(node, common.must(node, "size"), "size", least=0)
    return Cipher(common.must(node, "name"), size, node.get("mode"), node.get("hash"))
