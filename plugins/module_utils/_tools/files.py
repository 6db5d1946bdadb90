# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories, files and their permissions: what coreutils would do, done by the module itself.

The commands say how the same is done by hand.
"""

from __future__ import annotations

import shlex
import typing as t

from .._model import Permissions
from .._plan import Action, Steps, call

DEFAULT_DIRECTORY_MODE = "0711"  # libvirt's for a directory that it makes


def make_directory(path: str, wanted: Permissions) -> Action:
    mode = wanted.mode or DEFAULT_DIRECTORY_MODE
    owner, group = _ids(wanted.owner, wanted.group)
    command = f"install --directory --mode={mode}"
    command += f" --owner={owner}" if owner >= 0 else ""
    command += f" --group={group}" if group >= 0 else ""
    command += f" {shlex.quote(path)}"
    text = f"make directory {path}"
    return call(text, "mkdir", path, mode, owner, group, command=command)


def permissions(path: str, wanted: Permissions, there: Permissions) -> Steps:
    """Steps from the permissions that are there to what is said of those that are wanted."""
    owner = None if wanted.owner == there.owner else wanted.owner
    group = None if wanted.group == there.group else wanted.group
    if owner is not None or group is not None:
        text = f"change the owner of {path}"
        whom = f"{'' if owner is None else owner}{'' if group is None else f':{group}'}"
        command = f"chown {whom} {shlex.quote(path)}"
        yield call(text, "chown", path, *_ids(owner, group), command=command)
    if wanted.mode and wanted.mode != there.mode:
        text = f"change the mode of {path} to {wanted.mode}"
        yield call(
            text, "chmod", path, wanted.mode, command=f"chmod {wanted.mode} {shlex.quote(path)}"
        )


def write(path: str, content: str, mode: str, text: str) -> Action:
    """Replaces a file as a whole; its content is in the diff, not in the command."""
    command = f"install --mode={mode} /dev/stdin {shlex.quote(path)}"
    return call(text, "write", path, content, mode, command=command)


def link(path: str, target: str, text: str) -> Action:
    command = f"ln --symbolic {shlex.quote(target)} {shlex.quote(path)}"
    return call(text, "symlink", path, target, command=command)


def remove(path: str, text: str, risk: str = "") -> Action:
    return call(text, "remove", path, risk=risk, command=f"rm {shlex.quote(path)}")


def remove_directory(path: str) -> Action:
    """Removes a directory that is empty."""
    return call(f"remove directory {path}", "rmdir", path, command=f"rmdir {shlex.quote(path)}")


def remove_tree(path: str, inside: t.Sequence[str]) -> Action:
    """Removes a directory with what is in it, which needs consent."""
    named = ", ".join(inside[:3]) + (f" and {len(inside) - 3} more" if len(inside) > 3 else "")
    text = f"remove directory {path} with {named}"
    return call(text, "rmtree", path, risk="delete", command=f"rm --recursive {shlex.quote(path)}")


def _ids(owner: int | None, group: int | None) -> tuple[int, int]:
    """As chown(2) takes them: -1 leaves one as it is."""
    return -1 if owner is None else owner, -1 if group is None else group
