# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories, files and their permissions: what coreutils would do, done by the module itself.

The commands say how the same is done by hand.
"""

from __future__ import annotations

import shlex
import typing as t

from .._host import Reader
from .._model import UNFINISHED, Claim, File, Permissions, Place, Volume
from .._plan import Action, Steps, call

DEFAULT_DIRECTORY_MODE = "0711"  # libvirt's for a directory that it makes


def make_directory(path: str, wanted: Permissions) -> Action:
    mode = wanted.mode or DEFAULT_DIRECTORY_MODE
    owner, group = _ids(wanted.owner, wanted.group)
    command = f"install --directory --mode={mode}"
    command += f" --owner={owner}" if owner >= 0 else ""
    command += f" --group={group}" if group >= 0 else ""
    command += f" {quoted(path)}"
    text = f"make directory {path}"
    return call(text, "mkdir", path, mode, owner, group, command=command)


def folder(path: str) -> str:
    """The directory that a path is in."""
    return path.rpartition("/")[0] or "/"


def there(host: Reader, path: str) -> str:
    """The nearest directory around a path that is there, or the path itself."""
    while path != "/" and host.node(path) is None:
        path = folder(path)
    return path


def permissions(
    path: str,
    wanted: Permissions,
    there: Permissions,
    seen: File | None = None,
    place: File | None = None,
) -> Steps:
    """Steps from the permissions that are there to what is said of those that are wanted.

    ``seen`` is whose they are, in a directory ``place``, where others could change what is there.
    """
    owner = None if wanted.owner == there.owner else wanted.owner
    group = None if wanted.group == there.group else wanted.group
    if owner is not None or group is not None:
        text = f"change the owner of {path}"
        whom = f"{'' if owner is None else owner}{'' if group is None else f':{group}'}"
        command = f"chown {whom} {quoted(path)}"
        yield call(text, "chown", path, *_ids(owner, group), seen, place, command=command)
    if wanted.mode and wanted.mode != there.mode:
        text = f"change the mode of {path} to {wanted.mode}"
        command = f"chmod {wanted.mode} {quoted(path)}"
        yield call(text, "chmod", path, wanted.mode, seen, place, command=command)


def described(there: Permissions) -> dict[str, str]:
    """Those of a new file that are not the default, as options."""
    found = {"mode": there.mode} if there.mode not in ("", "0600") else {}
    for key, number in (("owner", there.owner), ("group", there.group)):
        if number:
            found[key] = str(number)
    return found


def write(path: str, content: str, mode: str, text: str) -> Action:
    """Replaces a file as a whole; its content is in the diff, not in the command."""
    command = f"install --mode={mode} /dev/stdin {quoted(path)}"
    return call(text, "write", path, content, mode, command=command)


def link(path: str, target: str, text: str) -> Action:
    command = f"ln --symbolic {quoted(target)} {quoted(path)}"
    return call(text, "symlink", path, target, command=command)


def remove(path: str, text: str, risk: str = "") -> Action:
    return call(text, "remove", path, risk=risk, command=f"rm {quoted(path)}")


def remove_from(place: File, seen: File, text: str, **facts: t.Any) -> Action:
    """Takes away a name in a directory that others may write to."""
    command = f"rm {quoted(seen.path)}"
    return call(text, "unlink", seen, place, command=command, **facts)


def remove_directory(path: str) -> Action:
    """Removes a directory that is empty."""
    return call(f"remove directory {path}", "rmdir", path, command=f"rmdir {quoted(path)}")


def remove_tree(seen: File, inside: t.Sequence[str], volumes: t.Sequence[Volume]) -> Action:
    """Removes a directory, by consent with what is in it."""
    files = (Claim(volume.real) for volume in volumes if volume.real and volume.type != "dir")
    place = Place(seen.path, seen.device, seen.inode, inside=tuple(inside))
    claims = (Claim(place), *files)
    if not inside:
        text, command = f"remove directory {seen.path}", f"rmdir {quoted(seen.path)}"
        return call(text, "rmdir", seen.path, command=command, claims=claims)
    named = ", ".join(shown(name) for name in inside[:3])
    named += f" and {len(inside) - 3} more" if len(inside) > 3 else ""
    text = f"remove directory {seen.path} with {named}"
    command = f"rm --recursive {quoted(seen.path)}"
    return call(text, "rmtree", seen, risk="delete", command=command, claims=claims)


def make_raw(
    place: File, name: str, sizes: tuple[int, int, bool], nocow: bool, text: str
) -> Action:
    """Makes a raw file: how large it is, how much of that is reserved, whether with zeros in it."""
    capacity, reserved, zeros = sizes
    made = quoted(making(place))
    command = f"touch {made} && chattr +C {made} && " if nocow else ""
    command += f"truncate --size={capacity} {made}"
    command += f" && fallocate --length={reserved} {made}" if reserved else ""
    zero = f"dd if=/dev/zero of={made} bs=1M count={capacity} iflag=count_bytes conv=notrunc"
    command += f" && {zero}" if zeros else ""
    return call(text, "make_file", place, name, *sizes, nocow, command=command, apart=True)


def make_folder(place: File, name: str, wanted: Permissions) -> Action:
    """Makes a directory in one that others may write to."""
    mode, ids = wanted.mode or "0600", _ids(wanted.owner, wanted.group)
    path = quoted(f"{place.path}/{name}")
    command = f"mkdir --mode={mode} {path}"
    text = f"make directory {shown(name)}"
    return call(text, "make_folder", place, name, mode, *ids, command=command)


def remove_folder(place: File, seen: File, **facts: t.Any) -> Action:
    """Removes an empty directory from one that others may write to."""
    command = f"rmdir {quoted(seen.path)}"
    return call(
        f"remove directory {shown(seen.path)}",
        "remove_folder",
        seen,
        place,
        command=command,
        **facts,
    )


def publish(place: File, name: str, wanted: Permissions) -> Action:
    """Gives what has been made for a name its permissions and the name."""
    command = f"mv --no-clobber {quoted(making(place))} {quoted(f'{place.path}/{name}')}"
    text = f"give volume {shown(name)} its name"
    ids = _ids(wanted.owner, wanted.group)
    return call(text, "publish", place, name, wanted.mode, *ids, command=command, apart=True)


def replace(place: File, seen: File, wanted: Permissions, risk: str) -> Action:
    """Gives what has been made for a name its permissions and the name of the file there."""
    command = f"mv {quoted(making(place))} {quoted(seen.path)}"
    ids = _ids(wanted.owner, wanted.group)
    args = (seen, wanted.mode, *ids)
    facts: dict[str, t.Any] = {"command": command, "risk": risk, "claims": (Claim(seen),)}
    return call(f"replace {seen.path}", "replace", *args, **facts)


def led(path: str, stray: str) -> str:
    """Why nothing is written to a directory whose path goes through a link of somebody's."""
    return (
        f"{path} leads through {stray}, a link that its owner can let lead elsewhere. Name the "
        "path that it leads to now, or let root own the link "
        f"(chown --no-dereference root {stray})."
    )


def making(place: File) -> str:
    """What is shown as the name of a file that is being made, which nobody can foretell."""
    return f"{place.path}/{UNFINISHED}XXXXXXXX"


def quoted(path: str) -> str:
    """A path as a word of shell, whatever bytes it is made of."""
    if path.isprintable():
        return shlex.quote(path)
    return "$'" + "".join(map(_escaped, path)).replace("'", "\\'") + "'"


def shown(name: str) -> str:
    """A file's name as a message can show it."""
    return name if name.isprintable() else "".join(map(_escaped, name))


def _escaped(char: str) -> str:
    if char.isprintable():
        return "\\\\" if char == "\\" else char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def _ids(owner: int | None, group: int | None) -> tuple[int, int]:
    """As chown(2) takes them: -1 leaves one as it is."""
    return -1 if owner is None else owner, -1 if group is None else group
