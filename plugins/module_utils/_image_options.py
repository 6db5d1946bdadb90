# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that say how a file is made: what is wrong with them, what they wish."""

from __future__ import annotations

import typing as t

from . import _options, _size
from ._model import PLAIN, Target
from ._options import Params, Spec
from ._tools import qemu_img
from ._volumes.base import Below

IMAGE: Spec = {
    "compat": {"type": "str", "choices": ["0.10", "1.1"]},
    "cluster_size": {"type": "str"},
    "features": {
        "type": "list",
        "elements": "str",
        "choices": ["lazy_refcounts", "extended_l2"],
    },
    "nocow": {"type": "bool"},
    "preallocation": {"type": "str", "choices": ["off", "metadata", "falloc", "full"]},
    "backing": {
        "type": "dict",
        "options": {
            "volume": {"type": "str"},
            "pool": {"type": "str"},
            "path": {"type": "str"},
            "format": {"type": "str"},
        },
    },
}
# Which formats have what; "" is a raw file that is not said to be one.
_RAW = ("", *PLAIN)
_HAVE: t.Mapping[str, t.Sequence[str]] = {
    "compat": ("qcow2",),
    "cluster_size": ("qcow2", "qed"),
    "features": ("qcow2",),
    "nocow": (*_RAW, *qemu_img.MADE),
    "preallocation": (*_RAW, "qcow2"),
    "backing": ("qcow2",),  # other images do not tell what format that has
}
_CLUSTERS = {"qcow2": (512, 2 << 20), "qed": (4 << 10, 64 << 20)}
_EXTENDED = 16 << 10  # the least cluster size with extended_l2
_LONGEST_PATH = 1023  # of what an image is based on


def faults(params: Params) -> t.Iterator[str]:
    """What is wrong with the options of a file that is to be there."""
    format = str(params.get("format") or "")
    yield from _format_faults(params, format)
    yield from _compat_faults(params)
    yield from _preallocation_faults(params)
    yield from _cluster_faults(params, format)
    yield from _largest_faults(params, format)
    if isinstance(params.get("backing"), dict):
        for key in ("clone_from", "source"):
            yield from _copy_faults(params, key, params.get(key))
        yield from _backing_faults(params["backing"], params.get("name"))


def _copy_faults(params: Params, key: str, origin: t.Any) -> t.Iterator[str]:
    """An image that is based on another one is copied as it is."""
    if not isinstance(origin, dict):
        return
    for word in ("compat", "cluster_size", "features", "preallocation", "nocow", "encryption"):
        if params.get(word):
            yield f"{word}: does not go with both backing and {key}, which copy an image as it is"
    if origin.get("sync"):
        yield f"{key}: sync does not go with backing"
    if origin.get("format") in PLAIN:
        yield f"{key}: a raw disk is based on nothing, so leave backing or its format out"


def _format_faults(params: Params, format: str) -> t.Iterator[str]:
    """Options of other formats; a partition's type has none of them."""
    for key, having in _HAVE.items():
        if params.get(key) is not None and format not in having:
            listed = " or ".join(word for word in having if word)
            yield f"{key}: belongs to format {listed}, and format is {format or 'not given'}"
    for filled in ("clone_from", "source"):
        for key in ("nocow", "preallocation"):
            if params.get(filled) is not None and params.get(key) and format in _RAW:
                yield f"{key}: does not go with {filled}, unless format is qcow2"
    for key in ("capacity", "allocation"):
        if format == "dir" and params.get(key) is not None:
            yield f"{key}: is not given for a directory, which has no size of its own"


def _compat_faults(params: Params) -> t.Iterator[str]:
    if params.get("compat") == "0.10" and params.get("features"):
        yield f"features: {', '.join(params['features'])} need compat 1.1, and compat is 0.10"


def _preallocation_faults(params: Params) -> t.Iterator[str]:
    wanted = params.get("preallocation")
    if wanted in (None, "off"):
        return
    if wanted == "metadata" and (params.get("format") or "raw") in PLAIN:
        yield "preallocation: a raw file has no metadata. Write falloc or full, or leave it out"
    if params.get("allocation") is not None:
        yield f"allocation: is not given with preallocation {wanted}, which reserves all"
    if params.get("backing"):
        yield (
            f"preallocation: {wanted} would hide what the image is based on, so it does not go "
            "with backing"
        )


def _cluster_faults(params: Params, format: str) -> t.Iterator[str]:
    wrong = list(_options.size_faults(params, "cluster_size"))
    yield from wrong
    if wrong or params.get("cluster_size") is None:
        return
    size = _size.parse(params["cluster_size"])
    least, most = _CLUSTERS.get(format, _CLUSTERS["qcow2"])
    if not least <= size.bytes <= most or size.bytes & (size.bytes - 1):
        yield (
            f"cluster_size: {params['cluster_size']!r} is not a power of two from "
            f"{_size.show(least)} to {_size.show(most)}"
        )
    elif "extended_l2" in (params.get("features") or ()) and size.bytes < _EXTENDED:
        yield f"features: extended_l2 needs a cluster_size of {_size.show(_EXTENDED)} or more"


def _largest_faults(params: Params, format: str) -> t.Iterator[str]:
    wrong = [*_options.size_faults(params, "capacity"), *_cluster_faults(params, format)]
    if wrong or params.get("capacity") is None or format not in qemu_img.MADE:
        return
    capacity, given = _size.parse(params["capacity"]), params.get("cluster_size")
    cluster = _size.parse(given).bytes if given else 0
    most = qemu_img.largest(format, cluster, "extended_l2" in (params.get("features") or ()))
    if most and capacity.bytes > most:
        way = ", or write a larger cluster_size" if format in _CLUSTERS else ""
        yield (
            f"capacity: a {format} image {'of such clusters ' if given else ''}has no more than "
            f"{_size.show(most)}. Write less{way}"
        )


def _backing_faults(backing: Params, own: t.Any) -> t.Iterator[str]:
    volume, path = backing.get("volume"), backing.get("path")
    if (volume is None) == (path is None):
        yield "backing: needs either volume or path"
    if backing.get("pool") is not None and volume is None:
        yield "backing: pool belongs to volume"
    yield from _options.name_faults(volume, "backing: volume", 255)
    yield from _options.name_faults(backing.get("pool"), "backing: pool", _options.LONGEST_NAME)
    if isinstance(path, str):
        yield from _options.path_text_faults(path, "backing: path")
        if len(path.encode("utf-8", "surrogateescape")) > _LONGEST_PATH:
            yield f"backing: path: {path[:20]!r}… is longer than {_LONGEST_PATH} bytes"
    if volume is not None and volume == own and backing.get("pool") is None:
        yield f"backing: volume {volume} cannot be based on itself"
    format = backing.get("format")
    if format is not None and format not in qemu_img.READ:
        yield f"backing: format: {format!r} is none of {', '.join(qemu_img.READ)}"


def list_faults(rows: t.Sequence[Params]) -> t.Iterator[str]:
    """What is wrong about volumes that are based on others of one list."""
    named = {row.get("name"): row for row in rows}
    for number, row in enumerate(rows):
        chain = [row.get("name")]
        while _base(named.get(chain[-1])) in named and len(set(chain)) == len(chain):
            chain.append(_base(named[chain[-1]]))
        if len(chain) > 2 and chain[0] == chain[-1]:
            yield f"volumes[{number}]: backing: {' on '.join(map(str, chain))} is a circle"
        base = named.get(_base(row))
        if base and base.get("state") == "absent":
            yield f"volumes[{number}]: backing: {base.get('name')} is to be absent"


def _base(row: Params | None) -> t.Any:
    """The volume of the same pool that a row is based on."""
    backing = (row or {}).get("backing")
    given = backing if isinstance(backing, dict) else {}
    # A name that no volume can have stands for none.
    return given.get("volume") if given.get("pool") is None and given.get("volume") else ""


def target(row: Params) -> Target:
    cluster = row["cluster_size"]
    return Target(
        row["compat"] or "",
        _size.parse(cluster).bytes if cluster else 0,
        None if row["features"] is None else tuple(row["features"]),
        bool(row["nocow"]),
        row["preallocation"] or "",
    )


def below(row: Params, pool: str) -> Below | None:
    given = row["backing"]
    if given is None:
        return None
    path = "" if given["path"] is None else _options.plain_path(given["path"])
    format = "raw" if given["format"] in PLAIN else given["format"] or ""
    other = "" if given["pool"] in (None, pool) else given["pool"]
    return Below(given["volume"] or "", other, path, format)
