# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that modules share: their argument specs, what they mean, and what is wrong with them."""

from __future__ import annotations

import re
import typing as t
import uuid
from dataclasses import replace

from . import _size
from ._host import Reader
from ._model import Permissions, Pool

Spec = t.Mapping[str, t.Any]
Params = t.Mapping[str, t.Any]

LIBVIRT: Spec = {
    "libvirt": {"type": "str", "choices": ["auto", "required", "ignored"], "default": "auto"},
    "libvirt_uri": {"type": "str", "default": "qemu:///system"},
}
ALLOW: Spec = {
    "allow": {
        "type": "list",
        "elements": "str",
        "choices": ["overwrite", "delete", "shrink", "interrupt"],
        "default": [],
    }
}
POOL: Spec = {
    "name": {"type": "str", "required": True, "aliases": ["pool"]},
    "uuid": {"type": "str"},
    "state": {
        "type": "str",
        "choices": ["present", "active", "inactive", "absent", "undefined", "deleted"],
        "default": "active",
    },
    "autostart": {"type": "bool", "default": True},
    "build": {"type": "str", "choices": ["auto", "never"], "default": "auto"},
    "refresh": {"type": "bool", "default": True},
    **ALLOW,
    **LIBVIRT,
}
OWNERSHIP: Spec = {
    "mode": {"type": "raw"},  # as text, 0644 without quotes would be 420
    "owner": {"type": "str"},
    "group": {"type": "str"},
}
GROW_TO_FILL: Spec = {"grow_to_fill": {"type": "bool"}}
PERMISSIONS: Spec = {**OWNERSHIP, "label": {"type": "str"}}
# The file name NAME.xml.new must fit into the 255 bytes that file systems allow.
LONGEST_NAME = 247
_OCTAL = re.compile("(0o?)?[0-7]{1,4}")
_SYMBOLIC = re.compile("[ugoa]*([-+=][rwxXst]*)+(,[ugoa]*([-+=][rwxXst]*)+)*")
_URI = re.compile(r"(qemu|storage)(\+unix)?:///(system|session)")
_FSTAB = re.compile("(UUID|LABEL|PARTUUID|PARTLABEL|ID)=(.*)")
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}")


def name_faults(name: t.Any, what: str, longest: int) -> t.Iterator[str]:
    """What is wrong with a name that becomes a file's."""
    if not isinstance(name, str):
        return
    if name in ("", ".", ".."):
        yield f"{what}: {name!r} is not a name"
    if "/" in name:
        yield f"{what}: {name!r} has a slash"
    if re.search(r"[\x00-\x1f\x7f]", name):
        yield f"{what}: {name!r} has a line feed or another control character"
    if name != name.strip():
        yield f"{what}: {name!r} begins or ends with a blank"
    if len(name.encode("utf-8", "surrogateescape")) > longest:
        yield f"{what}: {name[:20]!r}… is longer than {longest} bytes"


def pool_faults(params: Params) -> t.Iterator[str]:
    """What is wrong with the options that all pool modules have."""
    yield from name_faults(params.get("name"), "name", LONGEST_NAME)
    yield from libvirt_faults(params)
    uuid = params.get("uuid")
    if uuid is not None and not UUID.fullmatch(str(uuid)):
        yield f"uuid: {uuid!r} is not 32 hexadecimal digits in groups of 8-4-4-4-12"


def new_uuid(host: Reader, name: str) -> str:
    """A new pool's UUID: of this host and this name, so that check mode foresees it."""
    machine = (host.read("/etc/machine-id") or "").strip()
    if not re.fullmatch("[0-9a-f]{32}", machine):  # not made yet, or said to be uninitialized
        machine = "0" * 32
    return str(uuid.uuid5(uuid.UUID(machine), f"poolwright.storage/pool/{name}"))


def libvirt_faults(params: Params) -> t.Iterator[str]:
    uri = params.get("libvirt_uri")
    if isinstance(uri, str) and not _URI.fullmatch(uri):
        yield (
            f"libvirt_uri: {uri!r} is not libvirt of this host, where the storage is. Write "
            "qemu:///system, and run the task on the host whose libvirt it is for"
        )


def path_faults(params: Params, key: str) -> t.Iterator[str]:
    """An absolute path that libvirt and the mount table can write down."""
    path = params.get(key)
    if isinstance(path, str):
        yield from path_text_faults(path, key)


def path_text_faults(path: str, key: str) -> t.Iterator[str]:
    tag = _FSTAB.fullmatch(path)
    if tag:
        yield (
            f"{key}: {path!r} is how mount and fstab name it. Write its name in /dev/disk, as in "
            f"/dev/disk/by-{tag[1].lower()}/{tag[2]}"
        )
    elif not path.startswith("/"):
        yield f"{key}: {path!r} is not absolute"
    elif plain_path(path) == "/":
        yield f"{key}: {path!r} is the root directory"
    if ".." in path.split("/"):
        yield f"{key}: {path!r} has a part .., which can lead elsewhere through a link"
    if re.search(r"[\x00-\x1f\x7f]", path):
        yield f"{key}: {path!r} has a line feed or another control character"


def permission_faults(params: Params) -> t.Iterator[str]:
    yield from _mode_faults(params.get("mode"))
    for key in ("owner", "group"):
        value = params.get(key)
        if isinstance(value, str) and not re.fullmatch(r"[^\s:/-][^\s:/]*", value):
            yield f"{key}: {value!r} is neither a name nor a number"
        elif isinstance(value, str) and value.isdigit() and int(value) >= 2**32 - 1:
            yield f"{key}: {value!r} is more than the largest number of a user or group"


def _mode_faults(mode: t.Any) -> t.Iterator[str]:
    if isinstance(mode, int) and not isinstance(mode, bool):
        # Who forgot the zero as well has digits that are too large as octal.
        octal = f"{mode:o}" if mode <= 0o777 else str(mode)
        yield (
            f"mode: {mode} is a number, as YAML reads what is octal and has no quotes. Write it "
            f"as text: mode: '{octal.zfill(4)}'"
        )
    elif mode is not None and not (
        isinstance(mode, str) and (_OCTAL.fullmatch(mode) or _SYMBOLIC.fullmatch(mode))
    ):
        yield f"mode: {mode!r} is neither octal, as in '0711', nor symbolic, as in 'u=rwx,g=rx,o='"


def account_faults(host: Reader, params: Params, where: str = "") -> t.Iterator[str]:
    """Users and groups that this host does not know."""
    for key, look in (("owner", host.user_id), ("group", host.group_id)):
        name = params.get(key)
        if name is not None and look(name) is None:
            kind = "user" if key == "owner" else "group"
            yield f"{where}{key}: there is no {kind} {name!r} on this host"


def mount_option_faults(params: Params) -> t.Iterator[str]:
    options = params.get("mount_options")
    for option in options if isinstance(options, list) else []:
        if not re.fullmatch(r"[^\s,\x00-\x1f]+", str(option)):
            yield f"mount_options: {option!r} is not one option (each is an item of the list)"
        elif tells_password(str(option)):
            # Not the option itself: this text is shown and logged.
            yield (
                f"mount_options: {str(option).partition('=')[0]} would show a password to all who "
                "see the mount table or the definition. Write it into a file that only root can "
                "read, and name that: credentials=FILE"
            )


def tells_password(option: str) -> bool:
    """Whether a mount option is or has a password."""
    return bool(re.match(r"pass(word)?2?=|passwd=|(user|username)=.*%", option, re.IGNORECASE))


def size_faults(params: Params, key: str) -> t.Iterator[str]:
    text = params.get(key)
    if isinstance(text, str):
        try:
            _size.parse(text)
        except ValueError as error:
            yield f"{key}: {error}"


def path(params: Params, key: str, kept: str) -> str:
    """The given path as libvirt writes it, else the one that is kept, and is the same place."""
    given = kept if params[key] is None else plain_path(params[key])
    return kept if plain_path(kept) == given else given


def plain_path(path: str) -> str:
    """A path without what says nothing: doubled slashes, parts ``.``, a slash at the end."""
    lead = "/" if path.startswith("/") else ""
    return lead + "/".join(part for part in path.split("/") if part not in ("", "."))


def yes_no(params: Params, key: str, kept: str) -> str:
    return kept if params[key] is None else "yes" if params[key] else "no"


def text(params: Params, key: str, kept: str) -> str:
    return kept if params[key] is None else str(params[key])


def permissions(
    host: Reader, params: Params, kept: Permissions, there: str = "0000"
) -> Permissions:
    """``kept``, changed to what is given; names of users and groups become numbers.

    A symbolic mode changes the one that is ``there``.
    """
    given: dict[str, t.Any] = {}
    if params.get("mode") is not None:
        given["mode"] = octal(params["mode"], there, folder=False)
    if params.get("owner") is not None:
        given["owner"] = host.user_id(params["owner"])
    if params.get("group") is not None:
        given["group"] = host.group_id(params["group"])
    if params.get("label") is not None:
        given["label"] = params["label"]
    return replace(kept, **given)


def relative(mode: str) -> bool:
    """Whether what a mode means depends on the mode that is there."""
    words = [word for word in mode.split(",") if not _OCTAL.fullmatch(mode)]
    said = {who for word in words for who in _who(word) if "=" in word}
    return bool(words) and (said != set("ugo") or any(set("+-X").intersection(w) for w in words))


def octal(mode: str, there: str, folder: bool) -> str:
    """A mode as four octal digits; a symbolic one changes the one that is ``there``."""
    if _OCTAL.fullmatch(mode):
        return f"{int(mode.replace('o', ''), 8):04o}"
    bits = int(there, 8)
    for word in mode.split(","):
        for sign, letters in re.findall(r"([-+=])([rwxXst]*)", word):
            for who in _who(word):
                bits = _changed(bits, who, sign, letters, folder)
    return f"{bits:04o}"


def _who(word: str) -> str:
    who = re.split("[-+=]", word)[0]
    return "ugo" if not who or "a" in who else who


def _changed(bits: int, who: str, sign: str, letters: str, folder: bool) -> int:
    """Bits of a mode after one symbolic change for the owner, the group or the others."""
    shift, special = {"u": (6, 0o4000), "g": (3, 0o2000), "o": (0, 0o1000)}[who]
    runs = "x" in letters or ("X" in letters and (folder or bits & 0o111))
    mask = (4 * ("r" in letters) + 2 * ("w" in letters) + bool(runs)) << shift
    if ("s" in letters and who != "o") or ("t" in letters and who == "o"):
        mask |= special
    if sign == "=":
        bits &= ~(7 << shift | (0 if folder else special))
    return bits & ~mask if sign == "-" else bits | mask


# The way back: what options say a part of a definition.


def other(value: str, default: str) -> str | None:
    return None if value in ("", default) else value


def flag(value: str) -> bool | None:
    return value == "yes" if value else None


def described(wanted: Permissions, there: Permissions | None) -> dict[str, t.Any]:
    """Permissions as options, but for those that are others where the definition tells of."""
    if there is None:
        there = wanted
    same = wanted.mode and wanted.mode[-3:] == there.mode[-3:]
    return {
        "mode": there.mode if same else None,
        "owner": _same_number(wanted.owner, there.owner),
        "group": _same_number(wanted.group, there.group),
        "label": wanted.label,
    }


def _same_number(wanted: int | None, there: int | None) -> str | None:
    return None if wanted is None or wanted != there else str(wanted)


def secret(pool: Pool, what: str) -> str:
    """What stands in for a secret: the variable to fill."""
    name = re.sub("[^A-Za-z0-9]+", "_", f"{pool.name}_{what}")
    return f"{{{{ pools_{name} }}}}"


def is_placeholder(value: t.Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"{{.*}}", value))


def described_mount(options: t.Sequence[str]) -> list[str]:
    """Mount options as an option, which is left alone where it would tell a password."""
    return [] if any(map(tells_password, options)) else list(options)
