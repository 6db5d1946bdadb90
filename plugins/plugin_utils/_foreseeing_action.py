# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's side of every task that changes a host: in check mode it tells the next ones."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.poolwright.storage.plugins.plugin_utils import _foresight

Result = t.Dict[str, t.Any]


class ForeseeingAction(ActionBase):  # type: ignore[misc, unused-ignore]
    """Runs the module; in check mode with what those before it would have left."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        self._vars = task_vars or {}
        waits = self._task.async_val and not self._connection.has_native_async
        result.update(self._foreseen(waits))
        return result

    @property
    def _host(self) -> str:
        return str(self._task.delegate_to or self._vars.get("inventory_hostname", ""))

    def _foreseen(self, wrap_async: bool = False, **control: t.Any) -> Result:
        """The module's result, but for what only later tasks are told."""
        if self._task.check_mode:
            control["foreseen"] = _foresight.recall(self._host)
        args = {**self._task.args, **({"_control": control} if control else {})}
        done: Result = self._execute_module(
            module_args=args, task_vars=self._vars, wrap_async=wrap_async
        )
        if self._task.check_mode:
            _foresight.learn(self._host, done.pop("_foreseen", {}))
        else:
            _foresight.forget(self._host, str(args.get("pool", args.get("name"))))
        return done
