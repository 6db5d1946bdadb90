# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools as options: what, given to the module of its type, describes a pool that is there."""

from __future__ import annotations

import typing as t

from . import _options, _volume_options
from ._host import Reader
from ._model import Seen, Volume
from ._pools.base import Backend

# A pool is made of what is above its own type here.
LAYERS = ("iscsi", "scsi", "mpath", "disk", "logical", "fs", "netfs", "dir")

Described = t.Dict[str, t.Any]


def options(
    host: Reader,
    backend: Backend[t.Any],
    seen: Seen | None,
    row: t.Mapping[str, t.Any],
    params: _options.Params,
) -> Described:
    """What is required, and what differs from the defaults.

    ``row`` is the pool as results have it; ``params`` tell which libvirt was asked.
    """
    pool, told = backend.pool, backend.described(host, seen)
    found = {
        "name": pool.name,
        **told,
        "uuid": _options.other(pool.uuid, _options.new_uuid(host, pool.name)),
        "state": "inactive" if seen and row["state"] == "inactive" else None,
        "autostart": None if row["autostart"] or told.get("autostart") else False,
        **{
            key: _options.other(params[key], spec["default"])
            for key, spec in _options.LIBVIRT.items()
        },
    }
    return {key: value for key, value in found.items() if value not in (None, "", [])}


def volume(backend: Backend[t.Any], there: Volume) -> Described | None:
    """A volume as options of `volume`, which a row of `volumes` has, too."""
    volumes, own = backend.volumes(), there.encryption
    found = volumes.described(there) if volumes else None
    if found is None or (own and own.format != "luks"):
        return None
    wrong = [*_volume_options.volume_faults({"pool": backend.pool.name, **found})]
    if own:
        secret = own.secrets[0] if own.secrets else None
        variable = _options.secret(backend.pool, f"{there.name}_passphrase")
        known = {"secret": secret.uuid or secret.usage} if secret else {"passphrase": variable}
        found = {**found, "encryption": known}
    return None if wrong else found


def warnings(backend: Backend[t.Any], told: Described) -> t.Iterator[str]:
    """What of a pool cannot be said in options."""
    name = backend.pool.name
    if any(map(_options.tells_password, backend.pool.mount_options)):
        yield (
            f"the mount options of pool {name} have a password, so its options do not tell them. "
            "Write it into a file that only root can read, and name that: credentials=FILE."
        )
    # A variable stands in for the passwords.
    given = {key: value for key, value in told.items() if key != "chap"}
    faults = "; ".join([*_options.pool_faults(given), *backend.faults(given)])
    if faults:
        yield f"no task can describe pool {name} as it is: {faults}."


def listed(pools: t.Iterable[t.Mapping[str, t.Any]]) -> list[Described]:
    """Pools as the role ``pools`` takes them, in an order in which they can be made."""
    found = [_item(row) for row in pools if row["options"]]
    return sorted(found, key=lambda item: (LAYERS.index(item["type"]), item["name"]))


def _kept(told: Described) -> Described:
    """A volume without its owner: libvirt gives files to guests that run, and takes them back."""
    return {key: value for key, value in told.items() if key not in ("owner", "group")}


def _item(row: t.Mapping[str, t.Any]) -> Described:
    told = dict(row["options"])
    item = {"name": told.pop("name"), "type": row["type"], **told}
    rows = (each["options"] for each in row["volumes"] or () if each["options"])
    # A file system brings it along.
    volumes = [_kept(told) for told in rows if told["name"] != "lost+found"]
    return {**item, "volumes": volumes} if volumes and "state" not in item else item
