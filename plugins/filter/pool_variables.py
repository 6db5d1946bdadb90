# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pool_variables
version_added: 1.0.0
short_description: Write what there is down as variables
description:
  - Turns what M(poolwright.storage.pool_info) tells into YAML for a file of variables, such as C(host_vars/HOST/storage.yml).
  - What could not be looked at, and which variables are to be filled with passwords, stands there as a comment.
positional: volumes
options:
  _input:
    description: What M(poolwright.storage.pool_info) has told with O(poolwright.storage.pool_info#module:volumes=true).
    type: dict
    required: true
  volumes:
    description: Whether the pools have their volumes with them.
    type: bool
    default: true
author:
  - poolwright.storage contributors (@poolwright)
"""

EXAMPLES = r"""
- name: All pools are looked at
  poolwright.storage.pool_info:
    volumes: true
  register: found

- name: They are shown as variables
  ansible.builtin.debug:
    msg: "{{ found | poolwright.storage.pool_variables }}"
"""

RETURN = r"""
_value:
  description: Lines of YAML with the variable O(poolwright.storage.pools#role:main:pools_list).
  type: str
  sample: |
    pools_list:
      - name: images
        type: dir
        path: /srv/images
"""

import re
import typing as t

import yaml


class _Row(t.Dict[str, t.Any]):
    """What is written on one line."""


class _Dumper(yaml.SafeDumper):
    """Indents lists, as ansible-lint wants it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        return True


def _row(dumper: _Dumper, row: _Row) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", row.items(), flow_style=True)


_Dumper.add_representer(_Row, _row)


def pool_variables(found: t.Mapping[str, t.Any], volumes: bool = True) -> str:
    pools = [_pool(_plain(pool), volumes) for pool in found["pools_list"]]
    text = yaml.dump(
        {"pools_list": pools}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120
    )
    lines = [f"# {line}\n" for line in (*_untold(found["pools"]), *_to_fill(text))]
    return "".join(lines) + text


def _plain(value: t.Any) -> t.Any:
    """Without what Ansible adds to values, such as where they come from."""
    if isinstance(value, t.Mapping):
        return {_plain(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    # str() would leave text that Ansible has marked as it is.
    return str.__str__(value) if isinstance(value, str) else value


def _pool(pool: dict[str, t.Any], volumes: bool) -> dict[str, t.Any]:
    """The name and the type first, the volumes last."""
    ends = {"name", "type", "volumes"}
    told = {key: pool[key] for key in ("name", "type", *sorted({*pool} - ends))}
    if volumes and "volumes" in pool:
        told["volumes"] = [_Row(_first(volume, "name")) for volume in pool["volumes"]]
    return told


def _first(told: dict[str, t.Any], first: str) -> dict[str, t.Any]:
    return {key: told[key] for key in sorted(told, key=lambda key: (key != first, key))}


def _untold(pools: t.Iterable[t.Mapping[str, t.Any]]) -> t.Iterator[str]:
    """What the variables lack, or may lack."""
    for pool in pools:
        if pool["error"]:
            yield " ".join(f"Pool {pool['name']} could not be looked at: {pool['error']}".split())


def _to_fill(text: str) -> t.Iterator[str]:
    names = sorted(set(re.findall(r"{{ (pools_\w+) }}", text)))
    if names:
        yield f"Passwords are not exported. Fill, best in a vault: {', '.join(names)}."


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"pool_variables": pool_variables}
