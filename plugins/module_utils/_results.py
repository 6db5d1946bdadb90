# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools and volumes as they stand in results: numbers in bytes, a missing element is null."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ._model import Encryption, Extent, Lvm, Offer, Permissions, Pool, Seen, Stored, Volume
from ._xml import volumexml

Result = t.Dict[str, t.Any]


def pool(wanted: Pool, stored: Stored, seen: Seen | None) -> Result:
    """A pool as it is now; ``seen`` is ``None`` where it could not be looked at."""
    running = _running(stored, seen)
    sized = seen if running else None
    return {
        "name": wanted.name,
        "type": wanted.type,
        "uuid": wanted.uuid or None,
        "state": "active" if running else "inactive",
        "autostart": stored.autostart,
        "built": None if seen is None else seen.state == "ready",
        "capacity": sized.capacity if sized else None,
        "allocation": sized.allocation if sized else None,
        "available": sized.available if sized else None,
        "path": wanted.path or None,
        "source": _source(wanted),
        "permissions": _permissions(wanted.permissions),
        "mount_options": list(wanted.mount_options),
        "free_extents": _extents(sized.free) if sized and sized.free is not None else None,
        "warnings": list(seen.warnings) if seen else [],
        "xml": stored.xml or None,
    }


def _running(stored: Stored, seen: Seen | None) -> bool:
    """What libvirtd says, where it is asked; else what the storage says by itself."""
    if stored.active is not None:
        return stored.active
    if seen is None or seen.state != "ready":
        return False
    return seen.active is not False


def _source(wanted: Pool) -> Result:
    return {
        "name": wanted.source or None,
        "devices": list(wanted.devices),
        "hosts": [{"name": host.name, "port": host.port or None} for host in wanted.hosts],
        "dir": wanted.dir or None,
        "format": wanted.format or None,
        "initiator": wanted.initiator or None,
        "protocol_version": wanted.protocol_version or None,
        "adapter": _given(wanted.adapter),
        "auth": _given(wanted.auth),
    }


def _given(part: t.Any) -> Result | None:
    return {key: value or None for key, value in vars(part).items()} if part else None


def _extents(extents: t.Sequence[Extent]) -> list[Result]:
    return [vars(extent) for extent in extents]


def _permissions(wanted: Permissions) -> Result:
    return {
        "mode": wanted.mode or None,
        "owner": wanted.owner,
        "group": wanted.group,
        "label": wanted.label or None,
    }


def offer(found: Offer) -> Result:
    """What a pool could be made from."""
    return {
        "type": found.type,
        "options": dict(found.options),
        "capacity": found.capacity,
        "content": found.content or None,
        "users": list(found.users),
        "error": found.error or None,
    }


def chain(found: Volume) -> list[Result]:
    """What an image is based on, file by file; of what is no file nobody knows whether it is."""
    return [
        {
            "path": link.path,
            "format": link.format or None,
            "exists": bool(link.file) if link.path.startswith("/") else None,
        }
        for link in found.chain
    ]


def _encryption(found: Encryption | None) -> Result | None:
    """How a volume is encrypted, as far as its header tells, and which secret is to open it."""
    if found is None:
        return None
    secret = found.secrets[0] if found.secrets else None
    return {
        "format": found.format,
        "cipher": _given(found.cipher),
        "ivgen": _given(found.ivgen),
        "secret": {"uuid": secret.uuid or None, "usage": secret.usage or None} if secret else None,
    }


def _as_libvirt(found: Volume) -> Volume:
    """Without the cipher, which libvirt does not read from a header."""
    own = found.encryption
    return replace(found, encryption=replace(own, cipher=None, ivgen=None)) if own else found


def volume(pool_name: str, found: Volume, formatted: bool, details: bool = True) -> Result:
    """A volume as it is now; ``details`` are what is long."""
    shown: Result = {
        "pool": pool_name,
        "name": found.name,
        "key": found.key or None,
        "path": found.path,
        "type": found.type,
        "format": found.format if formatted else None,
        "capacity": found.capacity,
        "allocation": found.allocation,
        "physical": found.physical,
        "permissions": _permissions(found.permissions),
        "compat": found.compat or None,
        "cluster_size": found.cluster_size or None,
        "features": list(found.features),
        "backing": {"path": found.backing_path, "format": found.backing_format or None}
        if found.backing_path
        else None,
        "encryption": _encryption(found.encryption),
        "lvm": _lvm(found.lvm),
    }
    if details:
        shown["timestamps"] = dict(found.timestamps) or None
        shown["extents"] = _extents(found.extents)
        shown["xml"] = volumexml.render(_as_libvirt(found), formatted)
    return shown


def _lvm(kind: Lvm | None) -> Result | None:
    """What a logical volume is; what its type has not is null."""
    if kind is None:
        return None
    hidden = ("overcommit", "check", "data_percent", "metadata_percent")
    told = {key: value or None for key, value in vars(kind).items() if key not in hidden}
    percents = {"data_percent": kind.data_percent, "metadata_percent": kind.metadata_percent}
    return {**told, **{key: float(value) if value else None for key, value in percents.items()}}
