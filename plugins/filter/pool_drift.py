# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pool_drift
version_added: 1.0.0
short_description: Tell in what a host differs from its variables
description:
  - Turns what the role P(poolwright.storage.pools#role) would do in check mode into a report on the host.
positional: found, unlisted
options:
  _input:
    description: The variable C(pools_results) of the role.
    type: list
    elements: dict
    required: true
  found:
    description: What M(poolwright.storage.pool_info) has told of all pools of the host.
    type: dict
    required: true
  unlisted:
    description: Whether a pool that is there and not in the variables counts.
    type: bool
    default: true
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: The host is compared with its variables
  ansible.builtin.import_role:
    name: poolwright.storage.pools
  check_mode: true
  vars:
    pools_check_mode: true

- name: All pools are looked at
  poolwright.storage.pool_info:
  register: found

- name: What differs is shown
  ansible.builtin.debug:
    msg: "{{ pools_results | poolwright.storage.pool_drift(found) }}"
"""

RETURN = r"""
_value:
  description: The report.
  type: dict
  contains:
    drift:
      description: Whether anything differs.
      type: bool
    pools:
      description: The pools that differ.
      type: list
      elements: dict
      contains:
        name:
          description: The name.
          type: str
        differs:
          description: What the role would do, a sentence for each step.
          type: list
          elements: str
        error:
          description: Why it could not tell. Null if it could.
          type: str
  sample:
    drift: true
    pools:
      - name: images
        differs: [change the mode of /srv/images to 0711]
        error: null
"""

import typing as t

Said = t.Mapping[str, t.Any]

UNLISTED = "is there, and not in the variables"


def pool_drift(results: t.Sequence[Said], found: Said, unlisted: bool = True) -> dict[str, t.Any]:
    rows = [_row(each["name"], each["steps"], each["msg"]) for each in results]
    listed = {each["name"] for each in results}
    there = found.get("pools") or ()
    if unlisted:
        rows += [_row(pool["name"], [UNLISTED]) for pool in there if pool["name"] not in listed]
    if found.get("msg"):
        rows.append(_row("all", [], found["msg"]))
    pools = [row for row in rows if row["differs"] or row["error"]]
    return {"drift": bool(pools), "pools": pools}


def _row(name: str, differs: t.Sequence[str], error: str | None = None) -> dict[str, t.Any]:
    # What was planned before a refusal is not what is to be done.
    return {"name": name, "differs": [] if error else [*differs], "error": error}


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"pool_drift": pool_drift}
