# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps that fill a volume, with the commands that would do the same by hand."""

from __future__ import annotations

import typing as t

from .._host import FORMAT, FROM, HERE, KEY, SECRET, SIZE, START
from .._model import PLAIN, Claim, Device, File, Filling, Source
from .._plan import Action, call
from . import files

Claims = t.Sequence[Claim]


def file(place: File, filling: Filling, text: str) -> Action:
    """Makes a file with the content that a volume is to have.

    Several at once are faster where they wait for servers, or for a processor that unpacks.  Those
    that are read from one disk and written to another are not, and what one is based on may be made
    by a step before.
    """
    command = _command(filling, files.making(place))
    args, source = (place, filling.name, filling), filling.source
    packed = source.packed and (source.thing or source.upload)
    apart = bool(source.url or packed) and not filling.rebase
    claims = reading(source)
    return call(text, "fill_file", *args, command=command, claims=claims, apart=apart)


def device(
    path: str,
    begin: str,
    filling: Filling,
    text: str,
    undo: t.Sequence[str],
    own: Claims,
    frees: frozenset[str] = frozenset(),
) -> Action:
    """Fills a device that has just been made, of which ``begin`` tells that it is that.

    Where it fails, ``undo`` takes it away again.  ``own`` are the claims of what it is a part of,
    with the uses that those free.
    """
    args = (path, begin, filling, (tuple(undo),))
    claimed = (*own, *reading(filling.source))
    command = _onto(filling, path)
    return call(text, "fill_device", *args, command=command, claims=claimed, frees=frees)


def again(device: Device, mark: str, filling: Filling, text: str) -> Action:
    """Fills a partition that an interrupted run has left."""
    claimed = (Claim(device), *reading(filling.source))
    command = _onto(filling, device.path)
    args = (device, mark, filling)
    return call(text, "finish_partition", *args, command=command, claims=claimed)


def over(
    device: Device,
    begin: str,
    filling: Filling,
    claims: Claims,
    frees: frozenset[str] = frozenset(),
) -> Action:
    """Gives a device other content; ``begin`` as in `device`, where a mark is written before."""
    text = f"overwrite {device.path} with {filling.source.shown}"
    read = reading(filling.source)
    facts: dict[str, t.Any] = {"risk": "overwrite", "frees": frees, "claims": (*claims, *read)}
    args, command = (device, begin, filling), _onto(filling, device.path)
    return call(text, "refill_device", *args, command=command, **facts)


def reading(source: Source) -> tuple[Claim, ...]:
    """That nobody writes to a source while it is read."""
    return (Claim(source.thing, alone=False, reads=True),) if source.thing else ()


def _command(filling: Filling, made: str) -> str:
    source = filling.source
    known, target = source.format, files.quoted(made)
    flow = _flow(source)
    if (not known and not filling.key) or filling.copies(known, source.capacity):
        clone = "" if filling.reflink == "auto" else f"--reflink={filling.reflink} "
        copy = f"cp {clone}--sparse=always {files.quoted(source.path)} {target}"
        if source.count:
            where = f"if={files.quoted(source.path)} of={target} skip={source.start}B"
            copy = f"dd {where} count={source.count}B conv=sparse"
        words = [f"{flow} >{target}" if flow else copy]
        words += [_words(filling.rebase, {HERE: made})] if filling.rebase else []
        words += _grown(filling, made)
        return " && ".join(words)
    words = [f"{flow} >SPOOL"] if flow else []
    path = "SPOOL" if flow else source.path
    size = str(filling.capacity or source.capacity or source.size)
    said = {
        HERE: made,
        FROM: path,
        FORMAT: known,
        SIZE: size,
        START: str(source.start),
        KEY: SECRET,
    }
    words += [_words(argv, said) for argv in (filling.make, filling.convert) if argv]
    return " && ".join(words)


def _grown(filling: Filling, made: str) -> list[str]:
    """What gives a copy its capacity; of a source that is not known yet that is not known."""
    source, size = filling.source, str(filling.capacity)
    if not source.format or filling.capacity <= source.capacity or source.count:
        return []
    if source.format in PLAIN:
        return [f"truncate --size={size} {files.quoted(made)}"]
    return [_words(filling.grow, {HERE: made, SIZE: size})]


def _onto(filling: Filling, path: str) -> str:
    if filling.key:
        return _command(filling, path)
    source, target = filling.source, files.quoted(path)
    flow = _flow(source)
    if source.format in ("", *PLAIN):
        return f"{flow or f'cat {files.quoted(source.path)}'} >{target}"
    words = [f"{flow} >SPOOL"] if flow else []
    told = "SPOOL" if flow else source.path
    format = source.format
    convert = ("qemu-img", "convert", "-n", "-f", format, "-O", "raw", told, path)
    return " && ".join([*words, _words(convert, {})])


def _flow(source: Source) -> str:
    """What makes a source flow that has to be fetched, sent or unpacked; "" of others."""
    if source.upload:
        return f"ssh CONTROLLER cat {files.quoted(source.upload)}"
    if source.url:
        return f"curl --fail --location {files.quoted(source.url)}"
    unpack = source.packed  # whose tool has the same name
    return f"{unpack} --decompress --stdout {files.quoted(source.path)}" if unpack else ""


def _words(argv: t.Sequence[str], said: t.Mapping[str, str]) -> str:
    words = list(argv)
    for stands, word in said.items():
        words = [each.replace(stands, word) for each in words]
    return " ".join(map(files.quoted, words))
