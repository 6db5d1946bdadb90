# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What mounts a pool at boot: a systemd unit of ours, or what others have written."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from .._host import Reader
from .._model import Pool, Refused
from .._plan import Action, Steps, run
from . import files, fs

UNITS = "/etc/systemd/system"
_ELSEWHERE = ("/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
FSTAB = "/etc/fstab"
LOCAL, REMOTE = "local-fs.target", "remote-fs.target"  # what mounts a unit at boot
_OURS = "# Made by poolwright.storage; it goes when the pool no longer wants it.\n"
_POOL = "# Pool: "

Same = t.Callable[[str], bool]  # whether a source is the pool's


@dataclass(frozen=True)
class Other:
    """What others have for the place or the source of a pool; ``same`` tells whether for both."""

    where: str
    source: str
    target: str
    same: bool
    automatic: bool = True

    @property
    def words(self) -> str:
        return f"{self.where} mounts {f'{self.source!r} at ' if self.source else ''}{self.target!r}"


@dataclass(frozen=True)
class Unit:
    """What mounts a pool at boot; ``text`` is ``None`` where the place has no unit in /etc."""

    pool: str = ""
    text: str | None = None
    wanted: bool = False
    stage: str = LOCAL
    others: tuple[Other, ...] = ()

    @property
    def owner(self) -> str:
        """The pool whose unit it is; "" where it is not ours."""
        text = self.text or ""
        mark = text[len(_OURS) :].split("\n")[0]
        ours = text.startswith(_OURS) and mark.startswith(_POOL)
        return mark[len(_POOL) :] if ours else ""

    @property
    def ours(self) -> bool:
        return bool(self.pool) and self.owner == self.pool

    @property
    def warnings(self) -> tuple[str, ...]:
        """What an administrator should know of the others."""
        return tuple(
            f"{other.words} {_when(other)}. It is left as it is, with its own options."
            for other in self.others
        )

    def left(self) -> Unit:
        """What is there after `no_boot`."""
        return replace(self, text=None, wanted=False) if self.ours else self


def _when(other: Other) -> str:
    if other.automatic:
        return "by itself, with autostart: false as well"
    return "only when asked (noauto), so that the pool does not come back at boot"


def look(host: Reader, pool: Pool, stage: str, same: Same) -> Unit:
    """What systemd, fstab and automounts have for a pool's place and source."""
    name = unit_name(pool.path)
    there = Unit(
        pool.name,
        host.read(f"{UNITS}/{name}"),
        name in (host.names(f"{UNITS}/{stage}.wants") or []),
        stage,
    )
    units = [] if there.owner else [f"{UNITS}/{name}"]
    units += [f"{folder}/{name}" for folder in _ELSEWHERE]
    found = [*_in_fstab(host), *_automounts(host, pool.path), *_in_units(host, units)]
    mine = (other for other in found if same(other.source) or other.target == pool.path)
    others = tuple(
        replace(o, same=o.target == pool.path and (not o.source or same(o.source))) for o in mine
    )
    return replace(there, others=others)


def _in_fstab(host: Reader) -> t.Iterator[Other]:
    for line in (host.read(FSTAB) or "").split("\n"):
        fields = [
            re.sub(r"\\([0-7]{3})", _octal, field)
            for field in re.split(r"[ \t]+", line.strip(" \t"))
        ]
        if len(fields) > 2 and fields[2] != "swap" and not line.strip().startswith("#"):
            words = (fields[3] if len(fields) > 3 else "").split(",")
            target = "/" + "/".join(part for part in fields[1].split("/") if part)
            yield Other(FSTAB, _device(fields[0]), target, False, "noauto" not in words)


def _octal(match: t.Match[str]) -> str:
    return chr(int(match[1], 8))


def _device(source: str) -> str:
    """A source as a path, where fstab names it by what is on it."""
    tag, value = source.partition("=")[::2]
    known = tag in ("UUID", "LABEL", "PARTUUID", "PARTLABEL", "ID")
    return f"/dev/disk/by-{tag.lower()}/{value.strip(chr(34))}" if known else source


def _automounts(host: Reader, path: str) -> t.Iterator[Other]:
    """The automount that a path is, or lies in."""
    name = unit_name(path)[: -len("mount")] + "automount"
    for folder in (UNITS, *_ELSEWHERE):
        if host.read(f"{folder}/{name}") is not None:
            yield Other(f"{folder}/{name}", "", path, False)
    for mount in host.mounts():
        if mount.format == "autofs" and fs.is_below(path, mount.target):
            yield Other(f"the automount at {mount.target}", "", path, False)


def _in_units(host: Reader, paths: t.Sequence[str]) -> t.Iterator[Other]:
    """Units of others at the place, and all in /etc, whose source may be the pool's."""
    more = [f"{UNITS}/{n}" for n in host.names(UNITS) or [] if n.endswith(".mount")]
    for path in dict.fromkeys([*paths, *more]):
        text = host.read(path) or ""
        said = dict(re.findall(r"^(What|Where)\s*=\s*(.*?)\s*$", text, re.M))
        if "What" in said and "Where" in said and not text.startswith(_OURS):
            source, target = (said[key].replace("%%", "%") for key in ("What", "Where"))
            yield Other(path, _device(source), target.rstrip("/"), False)


def boot(there: Unit, source: str, target: str, format: str, options: t.Sequence[str]) -> Steps:
    """Steps after which the path is mounted at boot, by a unit of ours or by what others have."""
    path, link = _paths(target, there.stage)
    _refuse(there, path, source, target)
    if any(other.target == target for other in there.others):
        yield from no_boot(there, target)
        return
    text = _text(there, source, target, format, options)
    if there.text == text and there.wanted:
        return
    if there.text != text:
        yield files.write(path, text, "0644", f"write {path}")
    if not there.wanted:
        yield files.link(link, path, f"mount {target} at boot")
    yield _reload()


def _refuse(there: Unit, path: str, source: str, target: str) -> None:
    """Nothing of ours may come before what others want at the place."""
    if there.owner and not there.ours:
        raise Refused(
            f"Nothing was changed: {path} mounts {target} at boot for pool {there.owner}. Name "
            "another path, or leave that pool first, with state: absent."
        )
    for other in there.others:
        if other.target == target and not other.same:
            raise Refused(
                f"Nothing was changed: {other.words}, where pool {there.pool} belongs with "
                f"{source}. Take that away, name another path, or set autostart: false."
            )
    if there.text is not None and not there.owner and not there.others:
        raise Refused(
            f"Nothing was changed: {path} is not ours, and says nothing that could be mounted. "
            "Remove it, or set autostart: false."
        )


def no_boot(there: Unit, target: str) -> Steps:
    """Steps after which no unit of the pool mounts the path."""
    path, link = _paths(target, there.stage)
    if not there.ours:
        return
    if there.wanted:
        yield files.remove(link, f"no longer mount {target} at boot")
    yield files.remove(path, f"remove {path}")
    yield _reload()


def unit_name(target: str) -> str:
    """The name of the mount unit for a path, after systemd.unit(5), "String Escaping"."""

    def escape(match: t.Match[str]) -> str:
        return "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "surrogateescape"))

    path = re.sub(r"^\.|[^A-Za-z0-9:_./]", escape, target.strip("/"))
    return (path.replace("/", "-") or "-") + ".mount"


def _paths(target: str, stage: str) -> tuple[str, str]:
    name = unit_name(target)
    return f"{UNITS}/{name}", f"{UNITS}/{stage}.wants/{name}"


def _reload() -> Action:
    return run("let systemd read its units again", "systemctl", "daemon-reload")


def _text(there: Unit, source: str, target: str, format: str, options: t.Sequence[str]) -> str:
    def quoted(text: str) -> str:
        return text.replace("%", "%%")

    remote = ["_netdev"] if there.stage == REMOTE else []
    words = (*fs.DEFAULT_OPTIONS, *options, *remote)
    kind = f"Type={format}\n" if format and format != "auto" else ""
    return (
        f"{_OURS}{_POOL}{there.pool}\n[Unit]\nDescription=Storage pool at {quoted(target)}\n\n"
        f"[Mount]\nWhat={quoted(source)}\nWhere={quoted(target)}\n{kind}"
        f"Options={quoted(','.join(words))}\n\n"
        f"[Install]\nWantedBy={there.stage}\n"
    )
