# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the volume modules: their argument specs, what is wrong with them, what they wish."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
import urllib.parse

from . import _image_options, _lvm_options, _options, _size
from ._host import Reader
from ._model import Cipher, Encryption, Ivgen, Permissions, Secret, Seed, Volume
from ._options import Params, Spec
from ._volumes.base import Wanted
from ._volumes.content import Origin

_HASHES = ("md5", "ripemd160", "sha1", "sha224", "sha256", "sha384", "sha512")
WIPE: Spec = {
    "wipe": {
        "type": "str",
        "choices": [
            *("zero", "nnsa", "dod", "bsi", "gutmann", "schneier", "pfitzner7", "pfitzner33"),
            *("random", "trim"),
        ],
    }
}
FORMATS = ("raw", "iso", "qcow2", "qcow", "qed", "vmdk", "vpc", "vdi")
CONTENT: Spec = {
    "clone_from": {
        "type": "dict",
        "options": {
            "volume": {"type": "str", "required": True},
            "pool": {"type": "str"},
            "reflink": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
        },
    },
    "source": {
        "type": "dict",
        "options": {
            "path": {"type": "str"},
            "url": {"type": "str"},
            "upload": {"type": "str"},
            "checksum": {"type": "str"},
            "format": {"type": "str", "choices": [*FORMATS]},
            "decompress": {"type": "str", "choices": ["auto", "never"], "default": "auto"},
            "sync": {"type": "bool", "default": False},
        },
    },
}
ENCRYPTION: Spec = {
    "encryption": {
        "type": "dict",
        "options": {
            "passphrase": {"type": "str", "no_log": True},
            "secret": {"type": "str", "no_log": False},  # a name
            "format": {"type": "str", "choices": ["luks"], "default": "luks"},
            "cipher": {
                "type": "dict",
                "options": {
                    "name": {
                        "type": "str",
                        "required": True,
                        "choices": ["aes", "cast5", "serpent", "twofish"],
                    },
                    "size": {"type": "int", "required": True, "choices": [128, 192, 256]},
                    "mode": {"type": "str", "choices": ["xts", "cbc", "ctr", "ecb"]},
                    "hash": {"type": "str", "choices": [*_HASHES]},
                },
            },
            "ivgen": {
                "type": "dict",
                "options": {
                    "name": {
                        "type": "str",
                        "required": True,
                        "choices": ["plain", "plain64", "essiv"],
                    },
                    "hash": {"type": "str", "choices": [*_HASHES]},
                },
            },
        },
    }
}
CLOUD_INIT: Spec = {
    "cloud_init": {
        "type": "dict",
        # Not no_log, because then all words of it would be taken out of every text.
        "options": {
            "user_data": {"type": "raw"},
            "meta_data": {"type": "raw"},
            "network_config": {"type": "raw"},
        },
    }
}
_SEEDED = ("name", "state", "format", "cloud_init", *_options.OWNERSHIP)  # what a seed has
_VOLUME: Spec = {
    "name": {"type": "str", "aliases": ["volume"]},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "capacity": {"type": "str"},
    "allocation": {"type": "str"},
    "format": {"type": "str"},
    **_image_options.IMAGE,
    **_options.OWNERSHIP,
    **ENCRYPTION,
    **CLOUD_INIT,
    **WIPE,
    **CONTENT,
    **_lvm_options.LVM,
}
_PLACES = ("path", "url", "upload")  # where a source can be
_SUMS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
_ABSENT = ("name", "state", "wipe")  # what belongs to a volume that goes
# The action plugin reads it.
_CONTROL: Spec = {"progress": {"type": "bool", "default": True}}
VOLUME: Spec = {
    "pool": {"type": "str", "required": True},
    **_VOLUME,
    **_CONTROL,
    **_options.ALLOW,
    **_options.LIBVIRT,
}
VOLUMES: Spec = {
    "pool": {"type": "str", "required": True},
    "volumes": {"type": "list", "elements": "dict", "required": True, "options": _VOLUME},
    "purge": {"type": "bool", "default": False},
    "details": {"type": "bool", "default": False},
    **_CONTROL,
    **_options.ALLOW,
    **_options.LIBVIRT,
}


EXPORT: Spec = {
    "pool": {"type": "str", "required": True},
    "name": {"type": "str", "required": True, "aliases": ["volume"]},
    "dest": {"type": "str", "required": True},
    "format": {"type": "str", "choices": [f for f in FORMATS if f != "iso"]},
    "offset": {"type": "str"},
    "length": {"type": "str"},
    **_options.OWNERSHIP,
    **_CONTROL,
    **_options.ALLOW,
    **_options.LIBVIRT,
}


def export_faults(params: Params) -> t.Iterator[str]:
    yield from _options.libvirt_faults(params)
    yield from _options.name_faults(params.get("pool"), "pool", _options.LONGEST_NAME)
    yield from _options.name_faults(params.get("name"), "name", 255)
    yield from _options.path_faults(params, "dest")
    yield from _options.permission_faults(params)
    if isinstance(params.get("dest"), str) and params["dest"].endswith("/"):
        yield "dest: is the path of a file, and ends with a slash"
    for key in ("offset", "length"):
        yield from _options.size_faults(params, key)
        if "%" in str(params.get(key)):
            yield f"{key}: {params[key]!r} is a share; write bytes"


def volume_faults(params: Params) -> t.Iterator[str]:
    yield from _options.libvirt_faults(params)
    yield from _options.name_faults(params.get("pool"), "pool", _options.LONGEST_NAME)
    yield from _row_faults(params)


def volumes_faults(params: Params) -> t.Iterator[str]:
    yield from _options.libvirt_faults(params)
    yield from _options.name_faults(params.get("pool"), "pool", _options.LONGEST_NAME)
    rows = params.get("volumes")
    rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    names = [row.get("name") for row in rows]
    for number, row in enumerate(rows):
        yield from _row_faults(row, f"volumes[{number}]: ")
        if row.get("name") is not None and row["name"] in names[:number]:
            yield f"volumes[{number}]: name: {row['name']!r} is in the list twice"
    yield from _image_options.list_faults(rows)
    if params.get("purge") and any(row.get("name") is None for row in rows):
        yield "purge: belongs to a list in which every volume has a name"
    if params.get("purge") and "delete" not in (params.get("allow") or ()):
        yield "purge: removes volumes that are not listed, which needs allow: [delete]"


def _row_faults(params: Params, where: str = "") -> t.Iterator[str]:
    """What is wrong with the options of one volume; ``where`` names it in a list."""
    faults = [
        *_options.name_faults(params.get("name"), "name", 255),
        *_options.permission_faults(params),
    ]
    for key in ("capacity", "allocation"):
        faults += _options.size_faults(params, key)
    if params.get("state") == "absent":
        given = [key for key in _VOLUME if key not in _ABSENT and params.get(key) is not None]
        faults += [f"{key}: belongs to state present, and state is absent" for key in given]
    else:
        faults += [*_image_options.faults(params), *_lvm_options.faults(params)]
        if params.get("wipe") is not None:
            faults.append("wipe: belongs to state absent, and state is present")
    faults += _content_faults(params)
    faults += _encryption_faults(params)
    faults += _seed_faults(params)
    if params.get("name") is None:
        faults += _nameless_faults(params)
    yield from (f"{where}{fault}" for fault in faults)


def _content_faults(params: Params) -> t.Iterator[str]:
    """What is wrong with where the first content comes from."""
    clone, source = params.get("clone_from"), params.get("source")
    if clone is not None and source is not None:
        yield "clone_from and source: a volume has one first content, so leave out one of them"
    if isinstance(clone, dict):
        yield from _options.name_faults(clone.get("volume"), "clone_from.volume", 255)
        own = clone.get("pool") in (None, params.get("pool"))
        if own and clone.get("volume") == params.get("name"):
            yield "clone_from: a volume is not cloned from itself"
    if isinstance(source, dict):
        given = [key for key in _PLACES if source.get(key) is not None]
        if len(given) != 1:
            yield f"source: has one of {', '.join(_PLACES)}, and here are {len(given)}"
        yield from (f"source.{fault}" for fault in _source_faults(source))
        if source.get("sync") and source.get("path") is None:
            yield "source.sync: is for a path; have a file fetched or sent before, and name that"
        if source.get("sync") and params.get("encryption") is not None:
            yield "source.sync: nothing is compared with what is encrypted; leave it out"


def _source_faults(source: Params) -> t.Iterator[str]:
    yield from _options.path_faults(source, "path")
    url = urllib.parse.urlsplit(str(source.get("url") or "https://"))
    if url.scheme not in ("https", "http", "file"):
        yield f"url: {source['url']!r} does not begin with https, http or file"
    if url.password is not None:
        # Not the url itself: this text is shown and logged.
        yield "url: has a password in it, which all would see who see the plan. Leave it out"
    if url.scheme == "http" and source.get("checksum") is None:
        yield "checksum: is required with http, where anybody on the way can change what is fetched"
    kind, colon, digits = str(source.get("checksum") or "").partition(":")
    if colon or kind:
        sizes = {name: hashlib.new(name).digest_size for name in sorted(_SUMS)}
        if kind not in sizes:
            yield f"checksum: {kind!r} is none of {', '.join(sizes)}, which come before a colon"
        elif not re.fullmatch(f"[0-9a-fA-F]{{{2 * sizes[kind]}}}", digits):
            yield f"checksum: a {kind} has {2 * sizes[kind]} hexadecimal digits"


def _seed_faults(params: Params) -> t.Iterator[str]:
    said = params.get("cloud_init")
    if not isinstance(said, dict):
        return
    for key, value in said.items():
        if not isinstance(value, (str, dict, type(None))):
            yield f"cloud_init.{key}: is neither a text nor a mapping"
    if params.get("format") not in (None, "iso", "raw"):
        yield "format: a seed is an iso"
    given = [key for key in _VOLUME if params.get(key) is not None and key not in _SEEDED]
    yield from (f"{key}: a seed has all that it needs from cloud_init" for key in given)


def _seed(row: Params) -> Seed | None:
    """The files of a seed; JSON is YAML."""
    said = row["cloud_init"]
    if said is None:
        return None
    meta = said["meta_data"]
    texts = {
        "meta-data": _text({"instance-id": row["name"]} if meta is None else meta),
        "user-data": _text(said["user_data"] or "", "#cloud-config\n"),
    }
    if said["network_config"] is not None:
        texts["network-config"] = _text(said["network_config"])
    return Seed(tuple((name, text.encode()) for name, text in sorted(texts.items())))


def _text(said: t.Any, begin: str = "") -> str:
    if isinstance(said, str):
        return said
    return begin + json.dumps(said, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _encryption_faults(params: Params) -> t.Iterator[str]:
    said = params.get("encryption")
    if not isinstance(said, dict):
        return
    if bool(said.get("passphrase")) == bool(said.get("secret")):
        yield "encryption: needs either passphrase or secret, and not both"
    if _options.is_placeholder(said.get("passphrase")):
        yield f"encryption: passphrase is still {said['passphrase']}. Write the passphrase there"
    if said.get("ivgen") and not said.get("cipher"):
        yield "encryption: ivgen belongs to a cipher, which is not given"


def _encryption(row: Params) -> Encryption | None:
    said = row["encryption"]
    if not said:
        return None
    cipher, ivgen, secret = said["cipher"], said["ivgen"], said["secret"]
    named = _options.UUID.fullmatch(secret) if secret else None
    return Encryption(
        said["format"],
        (Secret(uuid=secret) if named else Secret(secret),) if secret else (),
        Cipher(cipher["name"], cipher["size"], cipher["mode"] or "", cipher["hash"] or "")
        if cipher
        else None,
        Ivgen(ivgen["name"], ivgen["hash"] or "") if ivgen else None,
        passphrase=said["passphrase"] or "",
    )


def _nameless_faults(params: Params) -> t.Iterator[str]:
    """A volume without a name is known by its size."""
    if params.get("state") == "absent":
        yield "name: is missing, which says what volume goes"
    elif "%" in str(params.get("capacity") or "%"):
        yield "name: is missing, and capacity is not given as bytes, which could stand in for it"


def row(params: Params) -> Params:
    """What a task says of one volume."""
    return {key: params.get(key) for key in _VOLUME}


def wanted(host: Reader, row: Params, there: Volume | None, pool: str, sent: Params) -> Wanted:
    """What is wanted of a volume; ``sent`` tells path and checksum of uploads."""
    mode = there.permissions.mode if there else "0600"
    return Wanted(
        row["name"] or "",
        row["state"] == "present",
        _size.parse(row["capacity"]) if row["capacity"] else None,
        _size.parse(row["allocation"]) if row["allocation"] else None,
        row["format"] or ("iso" if row["cloud_init"] else ""),
        _options.permissions(host, row, Permissions(), mode),
        _image_options.target(row),
        _image_options.below(row, pool),
        encryption=_encryption(row),
        seed=_seed(row),
        wipe=row["wipe"] or "",
        origin=_origin(row, pool, sent),
        lvm=_lvm_options.kind(row["lvm"]),
    )


def _origin(row: Params, pool: str, sent: Params) -> Origin | None:
    """Where the first content comes from; a file's url is its path."""
    clone, source = row["clone_from"], row["source"]
    if clone:
        other = "" if clone["pool"] in (None, pool) else clone["pool"]
        return Origin(clone["volume"], other, clone["reflink"])
    if not source:
        return None
    url = urllib.parse.urlsplit(source["url"] or "")
    local = urllib.parse.unquote(url.path) if url.scheme == "file" else ""
    upload = source["upload"] or ""
    path, checksum = sent.get(upload, ("", ""))
    return Origin(
        path=path or source["path"] or local,
        url="" if local else source["url"] or "",
        upload=upload,
        checksum=source["checksum"] or checksum,
        format=source["format"] or "",
        unpack=source["decompress"] == "auto",
        sync=source["sync"],
    )
