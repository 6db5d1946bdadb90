# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pool_order
version_added: 1.0.0
short_description: Put pools into an order in which they can be made real
description:
  - Finds which pools live on others by their paths, devices and names, and puts those first that others live on. Pools
    that leave come before those that they live on.
  - Pools between which there is nothing stay in the order of the list.
  - Fails where pools live on each other in a circle.
options:
  _input:
    description: Pools as in O(poolwright.storage.pools#role:main:pools_list).
    type: list
    elements: dict
    required: true
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: The order is shown
  ansible.builtin.debug:
    msg: "{{ pools_list | poolwright.storage.pool_order | map(attribute='name') }}"
"""

RETURN = r"""
_value:
  description: The same pools, in that order.
  type: list
  elements: dict
"""

import re
import typing as t

from ansible.errors import AnsibleFilterError

Pool = t.Mapping[str, t.Any]

_LEAVING = ("inactive", "absent", "deleted", "undefined")


def pool_order(pools: t.Sequence[Pool]) -> list[Pool]:
    """The pools, each behind those that it waits for."""
    waits = [
        [
            other
            for other in range(len(pools))
            if other != each and _waits(pools[each], pools[other])
        ]
        for each in range(len(pools))
    ]
    found: list[int] = []
    while len(found) < len(pools):
        ready = (
            each
            for each in range(len(pools))
            if each not in found and all(other in found for other in waits[each])
        )
        first = next(ready, None)
        if first is None:
            names = [str(pools[each]["name"]) for each in range(len(pools)) if each not in found]
            raise AnsibleFilterError(
                f"Nothing was changed: the pools {', '.join(names)} live on each other in a "
                "circle, so that none of them can be the first. Correct their paths and devices."
            )
        found.append(first)
    return [pools[each] for each in found]


def _waits(pool: Pool, other: Pool) -> bool:
    """Whether a pool comes behind another one."""
    if other.get("state") in _LEAVING:
        # What leaves goes before what it lives on; whoever stays on it tells so itself.
        upper, lower = other, pool
        return _lives_on(upper, lower)
    return pool.get("state") not in _LEAVING and _lives_on(pool, other)


def _lives_on(pool: Pool, other: Pool) -> bool:
    begins = tuple(_places(other))
    return _names(pool, str(other["name"])) or any(
        place.startswith(begins) for place in _needs(pool) if begins
    )


def _places(pool: Pool) -> t.Iterator[str]:
    """What the paths of a pool's volumes begin with."""
    kind, path = pool.get("type"), str(pool.get("path") or "")
    if kind in ("dir", "fs", "netfs") and path:
        yield f"{_plain(path)}/"
    elif kind == "logical":
        group = str(pool.get("volume_group") or pool["name"])
        yield f"/dev/{group}/"
        yield f"/dev/mapper/{group.replace('-', '--')}-"
    elif kind == "disk" and pool.get("device"):
        device = str(pool["device"])
        yield f"{device}-part"
        yield f"{device}p" if device[-1:].isdigit() else f"{device}1"
    elif kind == "iscsi":
        yield f"/dev/disk/by-path/ip-{pool.get('host')}:{pool.get('port') or 3260}-iscsi-{pool.get('target')}-"


def _needs(pool: Pool) -> t.Iterator[str]:
    """The paths that a pool and its volumes are made of."""
    for place in (pool.get("path"), pool.get("device"), *(pool.get("devices") or ())):
        if place and not (
            pool.get("type") in ("iscsi", "scsi", "mpath") and place == pool.get("path")
        ):
            yield _plain(str(place))
    for volume in pool.get("volumes") or ():
        for key in ("backing", "clone_from", "source"):
            place = (volume.get(key) or {}).get("path")
            if place:
                yield _plain(str(place))


def _names(pool: Pool, other: str) -> bool:
    """Whether a volume of a pool is made of a volume of another one."""
    made_of = [
        volume.get(key) or {}
        for volume in pool.get("volumes") or ()
        for key in ("backing", "clone_from")
    ]
    return any(each.get("pool") == other for each in made_of)


def _plain(path: str) -> str:
    return re.sub("/(\\./|/)*", "/", path).rstrip("/") or "/"


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"pool_order": pool_order}
