# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""XML read into plain nodes, and nodes written as libvirt writes them; only this file knows lxml.

A definition comes from whoever could write it: nothing in it is expanded, fetched, or large.
"""

from __future__ import annotations

import re
import traceback
import typing as t

LXML_ERROR: str | None = None
try:
    from lxml import etree
except ImportError:
    LXML_ERROR = traceback.format_exc()

# Bytes of one definition; those of libvirt have some hundred, and a server or disk takes fifty.
LIMIT = 1 << 20
NAMESPACES = {
    "fs": "http://libvirt.org/schemas/storagepool/fs/1.0",
    "rbd": "http://libvirt.org/schemas/storagepool/rbd/1.0",
}
_PREFIXES = {
    **{uri: prefix for prefix, uri in NAMESPACES.items()},
    "http://www.w3.org/XML/1998/namespace": "xml",
}
_PROLOG = re.compile(r"\ufeff?(?:\s+|<\?.*?\?>|<!--.*?-->)*", re.DOTALL)
_UNSAYABLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;", "\r": "&#13;"}
# What a reader takes for a blank, unless it is written by its number.
_BLANKS = {"\n": "&#10;", "\t": "&#9;"}


class Wrong(ValueError):
    """The text is not what it is to be; the message is a clause that says why, and where."""


class Node:
    """An element.  ``paired`` has it written on two lines where it is empty, ``raw`` as it says."""

    def __init__(self, tag: str, text: str = "", paired: bool = False, line: int = 0) -> None:
        self.tag = tag
        self.text = text
        self.paired = paired
        self.line = line
        self.raw = ""
        self.attributes: dict[str, str] = {}
        self.children: list[Node] = []

    def set(self, **attributes: str | int) -> Node:
        """Sets those attributes that are said."""
        said = {key: str(value) for key, value in attributes.items() if value not in ("", 0)}
        self.attributes.update(said)
        return self

    def add(self, tag: str, text: str | int = "", paired: bool = False) -> Node:
        child = Node(tag, str(text), paired)
        self.children.append(child)
        return child

    def say(self, tag: str, text: str) -> None:
        """Adds an element with a text, where that is said."""
        if text:
            self.add(tag, text)

    def attribute(self, tag: str, attribute: str, value: str) -> None:
        """Adds an element that has one attribute, where that is said."""
        if value:
            self.add(tag).set(**{attribute: value})

    def all(self, tag: str) -> list[Node]:
        return [child for child in self.children if child.tag == tag]

    def find(self, *path: str) -> Node | None:
        """The first element at a path."""
        node: Node | None = self
        for tag in path:
            node = next(iter(node.all(tag)), None) if node else None
        return node

    def at(self, *path: str) -> Node:
        """The first element at a path, or an empty one where there is none."""
        return self.find(*path) or Node(path[-1], line=self.line)

    def said(self, *path: str) -> str:
        """The text at a path; empty where there is none."""
        return self.at(*path).text

    def get(self, attribute: str, *path: str) -> str:
        """An attribute of what is at a path; empty where there is none."""
        node = self.at(*path) if path else self
        return node.attributes.get(attribute, "")

    def wrong(self, text: str) -> Wrong:
        """The error that this element has, to be raised."""
        return Wrong(f"{text} (line {self.line})" if self.line else text)


def read(text: str, limit: int = LIMIT) -> Node:
    """The root element of a text; raises `Wrong`."""
    if len(text) > limit:
        raise Wrong(f"it has more than {limit} characters")
    before = prolog(text)
    if text.startswith("<!DOCTYPE", len(before)):
        line = before.count("\n") + 1
        raise Wrong(f"it has a document type, which no definition has (line {line})")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=limit > LIMIT
    )
    try:
        root = etree.fromstring(text.encode("utf-8", "surrogateescape"), parser)
    except etree.XMLSyntaxError as error:
        raise Wrong(f"it is not XML: {error.msg}") from error
    return _node(root, {})


def prolog(text: str) -> str:
    """What stands before the root element: comments and the like."""
    found = _PROLOG.match(text)
    return found[0] if found else ""


def write(root: Node) -> str:
    """An element as libvirt writes it."""
    return "".join(f"{line}\n" for line in _lines(root, ""))


def _node(element: t.Any, outside: t.Mapping[str | None, str]) -> Node:
    if not isinstance(element.tag, str):
        return _raw(Node(""), element)
    inside = element.nsmap
    if element.prefix is None and None in inside:  # in no namespace that libvirt knows
        return _raw(Node(element.tag), element)
    node = Node(_name(element.tag, inside), line=element.sourceline or 0)
    for prefix, uri in inside.items():
        if outside.get(prefix) != uri and uri not in _PREFIXES:
            node.attributes[f"xmlns:{prefix}" if prefix else "xmlns"] = uri
    for key, value in element.attrib.items():
        node.attributes[_name(key, inside)] = value
    if any(isinstance(child.tag, str) for child in element):
        node.children = [_node(child, inside) for child in element]
    else:
        node.text = element.xpath("string()") if len(element) else element.text or ""
    return _raw(node, element) if _mixed(element) else node


def _raw(node: Node, element: t.Any) -> Node:
    node.raw = etree.tostring(element, encoding="unicode", with_tail=False)
    return node


def _mixed(element: t.Any) -> bool:
    """Whether an element has both text and elements, as nothing of libvirt's has."""
    tags = [child for child in element if isinstance(child.tag, str)]
    texts = [element.text, *(child.tail for child in element)]
    return bool(tags) and any(text and text.strip() for text in texts)


def _name(name: str, inside: t.Mapping[str | None, str]) -> str:
    """A name with the prefix that its namespace has in the text, or that libvirt gives it."""
    uri, brace, local = name[1:].partition("}")
    if not brace:
        return name
    prefix = _PREFIXES.get(uri) or next((key for key, to in inside.items() if to == uri), None)
    return f"{prefix}:{local}" if prefix else local


def _lines(node: Node, indent: str) -> t.Iterator[str]:
    if node.raw:
        yield f"{indent}{node.raw}"
        return
    said = (f" {key}='{_escaped(value, _BLANKS)}'" for key, value in node.attributes.items())
    tag = f"{node.tag}{''.join(said)}"
    if node.children or node.paired:
        yield f"{indent}<{tag}>"
        for child in node.children:
            yield from _lines(child, f"{indent}  ")
        yield f"{indent}</{node.tag}>"
    elif node.text:
        yield f"{indent}<{tag}>{_escaped(node.text, {})}</{node.tag}>"
    else:
        yield f"{indent}<{tag}/>"


def _escaped(text: str, more: t.Mapping[str, str]) -> str:
    """A text, which may have any byte in it, as far as XML can say it."""
    said = {**_ESCAPED, **more}
    return "".join(said.get(c, c) for c in _UNSAYABLE.sub("\N{REPLACEMENT CHARACTER}", text))
