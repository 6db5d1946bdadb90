# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What definitions of pools and of volumes have in common."""

from __future__ import annotations

import re

from .._model import Permissions
from .tree import Node

_UNSET = (-1, 2**32 - 1)  # what libvirt takes for "no owner"


def tidy(path: str) -> str:
    """A path as libvirt keeps it: no doubled or trailing slash; two leading slashes stay two."""
    if "://" in path and "/" not in path.split("://", 1)[0]:
        return path
    lead = "//" if re.match("//(?!/)", path) else "/" if path.startswith("/") else ""
    return lead + re.sub("/+", "/", path).strip("/")


def must(node: Node, attribute: str) -> str:
    """An attribute that an element has to have."""
    value = node.get(attribute)
    if not value:
        raise node.wrong(f"{node.tag} has no {attribute}")
    return value


def yes_no(node: Node, attribute: str) -> str:
    return one_of(node, attribute, "yes", "no")


def one_of(node: Node, attribute: str, *words: str) -> str:
    """An attribute that may be missing, and else is one of some words."""
    value = node.get(attribute)
    if attribute in node.attributes and value not in words:
        raise node.wrong(f"{attribute} of {node.tag} is {' or '.join(words)}, not {value!r}")
    return value


def number(node: Node, text: str, what: str, least: int | None = None) -> int:
    """A whole number, as C reads it."""
    if not re.fullmatch(r"\s*[-+]?[0-9]{1,19}", text):
        raise node.wrong(f"{what} is not a number: {text!r}")
    return _bound(node, int(text), what, least)


def any_number(node: Node, text: str, what: str, most: int) -> int:
    """A whole number that may be octal or hexadecimal, as C reads it."""
    found = re.fullmatch(
        r"\s*\+?(?:0[xX]([0-9a-fA-F]{1,16})|(0[0-7]{0,20})|([1-9][0-9]{0,18}))", text
    )
    if not found:
        raise node.wrong(f"{what} is not a number: {text!r}")
    base = 16 if found[1] else 8 if found[2] else 10
    return _bound(node, int(found[1] or found[2] or found[3], base), what, 0, most)


def _bound(
    node: Node, found: int, what: str, least: int | None = None, most: int | None = None
) -> int:
    if (least is not None and found < least) or (most is not None and found > most):
        raise node.wrong(f"{what} cannot be {found}")
    return found


def uuid(node: Node, text: str) -> str:
    """A UUID as libvirt writes it; empty where none is said."""
    digits = re.sub(r"[\s-]", "", text).lower()
    if digits and not re.fullmatch("[0-9a-f]{32}", digits):
        raise node.wrong(f"{text!r} is not a UUID")
    return re.sub(r"^(.{8})(.{4})(.{4})(.{4})(.{12})$", r"\1-\2-\3-\4-\5", digits)


def secret(node: Node) -> tuple[str, str]:
    """How a libvirt secret is named: by its usage or by its UUID."""
    usage, own = node.get("usage"), node.get("uuid")
    if bool(usage) == bool(own):
        raise node.wrong("a secret is named by either usage or uuid")
    return usage, uuid(node, own)


def permissions(node: Node) -> Permissions:
    mode = node.at("mode")
    if mode.text and not re.fullmatch(r"\s*\+?0*[0-7]{1,3}", mode.text):
        raise mode.wrong(f"the mode {mode.text!r} is not octal, of no more than nine bits")
    return Permissions(
        mode=f"{int(mode.text, 8):04o}" if mode.text else "",
        owner=_id(node, "owner"),
        group=_id(node, "group"),
        label=node.said("label"),
    )


def _id(parent: Node, tag: str) -> int | None:
    node = parent.find(tag)
    if node is None:
        return None
    found = _bound(node, number(node, node.text, tag), tag, -1, 2**32 - 1)
    return None if found in _UNSET else found


def write_permissions(target: Node, said: Permissions) -> None:
    if said == Permissions():
        return
    element = target.add("permissions")
    element.say("mode", f"0{int(said.mode, 8):o}" if said.mode else "")
    for key in ("owner", "group"):
        if getattr(said, key) is not None:
            element.add(key, getattr(said, key))
    element.say("label", said.label)
