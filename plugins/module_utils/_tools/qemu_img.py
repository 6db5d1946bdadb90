# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Image files: which format a header tells (pure), and qemu-img, which makes and resizes them.

Formats, their magic and their order are libvirt's; see https://libvirt.org/formatstorage.html
and, for qcow2, docs/interop/qcow2.txt of QEMU.
"""

from __future__ import annotations

import json
import re
import struct
import typing as t
from dataclasses import dataclass

from .._host import FORMAT, FROM, HERE, KEY, SECRET, SIZE, START, Entry, HostError, Reader
from .._model import PLAIN, Backing, Device, Encryption, File, Link, Source, Target, Volume
from .._plan import Action, call
from . import files, luks

# What a new image can be, and what qemu-img gives another size, larger or any.
MADE = ("qcow2", "qcow", "qed", "vmdk", "vpc", "vdi")
GROWN = ("qcow2", "qed")
SHRUNK = ("qcow2",)
COPIED = ("qcow", "vmdk", "vpc", "vdi")  # into a larger one, because it gives these no other size
# A source of such a format, without what it is based on.
_ALONE = f'{{"driver":"{FORMAT}","file.filename":"{FROM}","backing":null}}'
_CLUSTER = 1 << 16  # their size without a word
_CONVERT = ("qemu-img", "convert", "-q", "-n")
# What is kept where it is, all that there is, and what qemu can base an image on.
KEPT = ("bochs", "cloop", "cow", "dmg", "ploop")
KNOWN = (*PLAIN, *MADE, "dir", *KEPT)
READ = (*PLAIN, *MADE, "bochs", "cloop", "dmg")


@dataclass(frozen=True)
class Image:
    """What a header says; ``capacity`` is ``None`` where only the file's size tells."""

    format: str
    capacity: int | None = None
    compat: str = ""
    cluster_size: int = 0
    features: tuple[str, ...] = ()
    backing_path: str = ""
    backing_format: str = ""
    data_file: str = ""
    encryption: Encryption | None = None
    clusters: int = 0  # where libvirt shows no cluster size, too


_NOTHING = Image("")
# What begins a name of a file that has a protocol before it.
_FILES = ("file:", "host_device:")
_DESCRIPTOR = b"# Disk DescriptorFile"  # of vmdk images that are in other files


class _Kind(t.NamedTuple):
    format: str
    magic: bytes
    at: int
    version: tuple[str, int, tuple[int, ...]]  # struct format, offset, accepted values
    capacity: tuple[str, int, int]  # struct format, offset, unit in bytes


_KINDS = (
    _Kind("iso", b"CD001", 32769, ("", 0, ()), ("", 0, 0)),
    _Kind("vpc", b"conectix", 0, (">I", 12, (0x10000,)), (">Q", 40, 1)),
    _Kind("vdi", b"\x7f\x10\xda\xbe", 64, ("<I", 68, (0x00010001,)), ("<Q", 368, 1)),
    _Kind("ploop", b"WithouFreSpacExt", 0, ("", 0, ()), ("<Q", 36, 512)),
    _Kind("cow", b"OOOM", 0, (">I", 4, (2,)), (">Q", 1036, 1)),
    _Kind("qcow", b"QFI\xfb", 0, (">I", 4, (1,)), (">Q", 24, 1)),
    _Kind("qcow2", b"QFI\xfb", 0, (">I", 4, (2, 3)), (">Q", 24, 1)),
    _Kind("qed", b"QED\0", 0, ("", 0, ()), ("<Q", 48, 1)),
    _Kind("vmdk", b"KDMV", 0, ("<I", 4, (1, 2, 3)), ("<Q", 12, 512)),
)

_BACKING_FORMAT, _DATA_FILE_NAME = 0xE2792ACA, 0x44415441  # header extensions
_METHODS = {1: "qcow", 2: "luks"}  # of encryption, as libvirt calls them
_LAZY_REFCOUNTS = 1 << 0  # compatible feature
_DATA_FILE = 1 << 2  # incompatible features
_EXTENDED_L2 = 1 << 4


def read(header: bytes) -> Image:
    """The image that begins with ``header``; what nothing else claims is raw."""
    for kind in _KINDS:
        if not header.startswith(kind.magic, kind.at):
            continue
        layout, at, accepted = kind.version
        if layout and _number(header, layout, at) not in accepted:
            continue
        layout, at, unit = kind.capacity
        count = _number(header, layout, at) if layout else None
        capacity = None if count is None else count * unit
        if kind.format == "qcow2":
            return _qcow2(header, capacity)
        clusters = _number(header, "<I", 4) or 0 if kind.format == "qed" else 0
        below = _backing(header, kind.format)
        return Image(kind.format, capacity, backing_path=below, clusters=clusters)
    return Image("raw", encryption=luks.read(header))


def names(header: bytes, image: Image) -> list[str]:
    """All files that an image may need besides itself, as its header has them written.

    More rather than less: what is no file's name leads nowhere.
    """
    found = [image.backing_path, image.data_file]
    if image.format == "vmdk" or header.startswith(_DESCRIPTOR):
        found += [_text(name) for name in re.findall(rb'"([^"\0\n]+)"', header)]
    for text in tuple(found):
        found.append(text.partition(":")[2] if text.startswith(_FILES) else "")
        found += _strings(text[len("json:") :]) if text.startswith("json:") else []
    return [text for text in dict.fromkeys(found) if text]


def strange(header: bytes, image: Image) -> str:
    """What other file an image needs, in words that go behind "that"; "" where it needs none."""
    if image.backing_path:
        return f"is based on {files.shown(image.backing_path)}"
    if image.data_file or "data_file" in image.features:
        return f"has its data in {files.shown(image.data_file) or 'another file'}"
    if header.startswith(_DESCRIPTOR):
        return "only describes an image in other files"
    return _strange_vmdk(header, image) if image.format == "vmdk" else ""


def _strange_vmdk(header: bytes, image: Image) -> str:
    """The text that describes a vmdk image is somewhere in it, as its header tells."""
    start, count = (_number(header, "<Q", at) or 0 for at in (28, 36))
    text = header[start * 512 : (start + count) * 512]
    if not image.capacity or len(text) < count * 512:
        return "does not tell in its first sectors whether it needs other files"
    parent = re.search(rb'parentFileNameHint="([^"]+)', text)
    return f"is based on {files.shown(_text(parent[1]))}" if parent else ""


def all_of(entries: t.Sequence[Entry]) -> dict[str, Image]:
    """What the entries of a directory are, by name."""
    return {entry.name: read(entry.header) for entry in entries}


def needs(
    host: Reader, path: str, entries: t.Sequence[Entry], images: t.Mapping[str, Image]
) -> dict[str, tuple[File, ...]]:
    """The files that images in a directory are based on, by name, as far as they are there."""
    wanted: dict[str, list[str]] = {}
    for entry in entries:
        listed = names(entry.header, images[entry.name])
        folders = {path, (entry.real or entry.file).path.rpartition("/")[0]}
        wanted[entry.name] = [_joined(folder, name) for name in listed for folder in folders]
    there = host.leads({each for paths in wanted.values() for each in paths})
    return {
        name: tuple(dict.fromkeys(there[each] for each in paths if each in there))
        for name, paths in wanted.items()
        if paths
    }


def made_with(image: Volume) -> Target:
    """What a qcow2 or qed image was made with, also where libvirt does not show it."""
    compat = image.compat or "0.10" if image.format == "qcow2" else ""
    chosen = tuple(sorted(set(image.features) & {"lazy_refcounts", "extended_l2"}))
    return Target(compat, image.clusters, chosen)


def described(image: Volume) -> dict[str, t.Any]:
    """What of it is not the default, as options."""
    own = made_with(image)
    found: dict[str, t.Any] = {"compat": own.compat} if own.compat == "0.10" else {}
    if own.cluster_size not in (0, _CLUSTER):
        found["cluster_size"] = str(own.cluster_size)
    if own.features:
        found["features"] = list(own.features)
    return found


def is_on(image: Volume, backing: Backing) -> bool:
    """Whether an image is based on a file, and reads it as what it is said to be."""
    if not image.chain:
        return bool(image.backing_path) and image.backing_path == backing.path
    first = image.chain[0]
    here = first.path == backing.path or same(first.file, backing.file)
    plain = first.format in PLAIN and backing.format in PLAIN
    return here and (plain or first.format == backing.format)


def chains(
    host: Reader, folder: str, entries: t.Sequence[Entry], images: t.Mapping[str, Image]
) -> dict[str, tuple[Link, ...]]:
    """The files that images in a directory are based on, in their order, by name."""
    known = {f"{folder}/{e.name}": (e.real or e.file, images[e.name]) for e in entries}
    starts = {
        name: _next(f"{folder}/{name}", image)
        for name, image in images.items()
        if image.backing_path
    }
    return {name: tuple(links) for name, links in _followed(host, starts, known).items()}


def chain(host: Reader, path: str, format: str) -> tuple[Link, ...]:
    """A file, and what it is based on; a file that comes twice is the last one."""
    return tuple(_followed(host, {"": (path, format)}, {})[""])


def below(host: Reader, starts: t.Mapping[str, tuple[str, str]]) -> dict[str, list[Link]]:
    """What files are based on, each read as the format that comes with its path."""
    found = _followed(host, {key: start for key, start in starts.items() if start[1]}, {})
    return {key: links[1:] for key, links in found.items()}


_Known = t.Dict[str, t.Tuple[File, Image]]


def _followed(
    host: Reader, starts: t.Mapping[str, tuple[str, str]], known: _Known
) -> dict[str, list[Link]]:
    """What comes from each start on; all are looked at together, one file further each time."""
    found: dict[str, list[Link]] = {key: [] for key in starts}
    waiting = dict(starts)
    while waiting:
        asked = {path for path, _format in waiting.values() if path.startswith("/")}
        begins = host.headers(asked - set(known))
        known.update({path: (file, read(header)) for path, (file, header) in begins.items()})
        for key, (path, format) in tuple(waiting.items()):
            del waiting[key]
            there, image = known.get(path, (None, _NOTHING))
            link = Link(path, format or (image.format if there else ""), there)
            again = there and any(same(each.file, there) for each in found[key])
            found[key].append(link)
            if image.backing_path and link.format == image.format and not again:
                waiting[key] = _next(path, image)
    return found


def _next(path: str, image: Image) -> tuple[str, str]:
    """The path and, as far as it is told, the format of what an image is based on."""
    name = image.backing_path
    for begin in _FILES:
        name = name[len(begin) :] if name.startswith(begin) else name
    return beside(path.rpartition("/")[0], name), image.backing_format


def same(one: File | None, other: File | None) -> bool:
    """Whether two are one file, whatever leads to it."""
    return one is not None and other is not None and one.identity == other.identity


def _joined(folder: str, name: str) -> str:
    return name if name.startswith("/") else f"{folder}/{name}"


def beside(folder: str, name: str) -> str:
    """A backing file as libvirt shows it: what has no protocol is in the image's directory."""
    return name if not name or ":" in name.split("/")[0] else _joined(folder, name)


def based(host: Reader, path: str) -> dict[str, tuple[File, ...]]:
    """The files that the images in a pool's directory are based on, by their paths."""

    def look() -> list[Entry]:
        return [] if host.names(path) is None else host.entries(path)

    entries = host.within(f"images in {path}", look)
    found = needs(host, path, entries, all_of(entries))
    return {f"{path}/{name}": files for name, files in found.items() if files}


def _strings(text: str) -> list[str]:
    """All strings in a piece of JSON, those in it that are JSON themselves included."""
    try:
        left, found = [json.loads(text)], []
    except (ValueError, RecursionError):
        return []
    while left:
        part = left.pop()
        if isinstance(part, str):
            found += _strings(part[len("json:") :]) if part.startswith("json:") else [part]
            found += [part.partition(":")[2]] if part.startswith(_FILES) else []
        elif isinstance(part, (list, dict)):
            left += part.values() if isinstance(part, dict) else part
    return found


def create(
    place: File, name: str, text: str, argv: tuple[str, ...], encryption: Encryption | None = None
) -> Action:
    """Makes an image as `creating` says."""
    shown = _shown(argv, files.making(place))
    key = (encryption.passphrase,) if encryption else ()
    return call(text, "make_image", place, name, argv, *key, command=shown)


def creating(
    format: str,
    capacity: int,
    target: Target,
    encryption: Encryption | None = None,
) -> tuple[str, ...]:
    """The command that makes an image, its words in the order of libvirt's.

    Without a ``capacity`` an image gets that of what it is based on.
    """
    secret = luks.hand_over() if encryption else ()
    encrypted = luks.options(encryption, format) if encryption else ()
    below = ("-b", target.backing.path) if target.backing else ()
    told = options(format, target, encrypted)
    words = ("-o", ",".join(told)) if told else ()
    size = (_size(capacity),) if capacity else ()
    return ("qemu-img", "create", "-q", "-f", format, *below, *secret, *words, HERE, *size)


def options(format: str, target: Target, encrypted: t.Sequence[str] = ()) -> list[str]:
    """The options of an image, in libvirt's order."""
    compat = target.compat or "1.1" if format == "qcow2" else ""
    features = target.features or ()
    said = (
        (target.backing, f"backing_fmt={target.backing.format if target.backing else ''}"),
        *((True, option) for option in encrypted),
        (target.preallocation not in ("", "off"), f"preallocation={target.preallocation}"),
        (target.nocow, "nocow=on"),
        (compat, f"compat={compat}"),
        (format == "vpc", "force_size=on"),  # else the nearest that cylinders and heads can say
        (target.cluster_size, f"cluster_size={target.cluster_size}"),
        ("lazy_refcounts" in features, "lazy_refcounts"),
        ("extended_l2" in features, "extended_l2=on"),
    )
    return [option for given, option in said if given]


def largest(format: str, cluster: int, extended: bool) -> int:
    """The largest capacity that qemu-img gives to an image; 0 where it is beyond any disk."""
    cluster = cluster or _CLUSTER
    if format == "qcow2":
        return (1 << 22) * (cluster // (16 if extended else 8)) * cluster  # its first table is full
    if format == "qed":
        return (cluster // 2) ** 2 * cluster
    return 2040 << 30 if format == "vpc" else 0


def _size(capacity: int) -> str:
    """A size as libvirt writes it, but an odd number of sectors, which that would round up."""
    return str(capacity) if capacity % 1024 else f"{capacity // 1024}K"


def converting(format: str, encryption: Encryption | None = None) -> tuple[str, ...]:
    """The command that fills an image that has just been made.

    What the source is based on is not read, whatever it says of itself.
    """
    if encryption:
        # Where nothing has been written, what a raw file decrypts to is noise.
        zero = ("--target-is-zero",) if format == "qcow2" else ()
        driver = "luks" if format == "raw" else format
        told = {"driver": driver, "file.filename": HERE, **luks.opened(format)}
        target = ",".join(f"{key}={word}" for key, word in told.items())
        words = (*zero, *luks.hand_over(), "--target-image-opts")
        return (*_CONVERT, *words, f"json:{_ALONE}", target)
    return (*_CONVERT, "--target-is-zero", "-O", format, f"json:{_ALONE}", HERE)


def converting_part(format: str) -> tuple[str, ...]:
    """The command that fills an image that has just been made with a part of another one."""
    part = f'json:{{"driver":"raw","offset":{START},"size":{SIZE},"file":{_ALONE}}}'
    return (*_CONVERT, "--target-is-zero", "-O", format, part, HERE)


def alike(host: Reader, source: Source, path: str, format: str) -> bool:
    """Whether a guest sees the same in an image, or in its part, and in the file at a path."""
    told: dict[str, t.Any] = {
        "driver": source.format,
        "file.filename": source.path,
        "backing": None,
    }
    if source.count:
        told = {"driver": "raw", "offset": source.start, "size": source.count, "file": told}
    other: dict[str, t.Any] = {"driver": format, "file.filename": path}
    if format not in PLAIN:
        other["backing"] = None
    if source.count:
        other = {"driver": "raw", "size": source.count, "file": other}
    both = (f"json:{json.dumps(each)}" for each in (told, other))
    code, _output, errors = host.rehearse("qemu-img", "compare", "-U", *both)
    if code > 1:
        raise HostError(f"{path} cannot be compared with {source.shown}: {errors.strip()}")
    return code == 0


def converting_on(blank: bool) -> tuple[str, ...]:
    """The command that writes a part of an image's content to the same place on a device."""
    zeros = ("--target-is-zero",) if blank else ()
    source = f'json:{{"driver":"raw","offset":{START},"size":{SIZE},"file":{_ALONE}}}'
    target = f"driver=raw,offset={START},size={SIZE},file.filename={HERE}"
    return (*_CONVERT, *zeros, "--target-image-opts", source, target)


def rebasing(backing: Backing) -> tuple[str, ...]:
    """The command that writes into an image that has been copied what it is based on.

    Neither that nor what it named before is opened.
    """
    below, format = backing.path, "qcow2"
    # -- this forces nothing: -F is the format of what it is based on
    words = ("-f", format, "-b", below, "-F", backing.format)
    return ("qemu-img", "rebase", "-q", "-u", *words, HERE)


def growing(format: str) -> tuple[str, ...]:
    """The command that grows an image that has just been copied; none where that cannot be."""
    return ("qemu-img", "resize", "-q", "-f", format, HERE, SIZE) if format in GROWN else ()


def resize(text: str, place: File, image: Volume, capacity: int, **facts: t.Any) -> Action:
    """Grows an image, or shrinks it.

    It is not opened by its name, so what it is based on is told where the header could mean it to
    be beside the image.
    """
    shrink = ["--shrink"] if capacity < image.capacity else []
    words, told = ["qemu-img", "resize", "-q"], _opening(image)
    format = image.format
    argv = [*words, "-f", format, *shrink, HERE, str(capacity)]
    shown = _shown(argv, image.path)
    key = (image.encryption.passphrase,) if image.encryption else ()
    if told:
        handed = luks.hand_over() if image.encryption else ()
        options = ",".join(f"{name}={value}" for name, value in told.items())
        argv = [*words, *shrink, *handed, "--image-opts", options, str(capacity)]
    if image.encryption:
        shown = _shown(argv, image.path.replace(",", ",,"))
    return call(text, "work_on", image.file, place, tuple(argv), *key, command=shown, **facts)


def unlock(place: File, image: Volume) -> Action:
    """Opens an image, for which the passphrase has to be right, also while a guest has it."""
    format = "luks" if image.format == "raw" else image.format
    told = {"driver": format, "file.filename": HERE, **luks.opened(format)}
    argv = _measuring(told)
    key = image.encryption.passphrase if image.encryption else ""
    text = f"see that the passphrase opens volume {files.shown(image.name)}"
    shown = _shown(argv, image.path.replace(",", ",,"))
    return call(text, "work_on", image.file, place, argv, key, command=shown)


def encrypting(encryption: Encryption, size: int) -> tuple[str, ...]:
    """The command that makes a device of a size an encrypted one."""
    return creating("luks", size - luks.ROOM, Target(), encryption)


def encrypt(
    device: Device,
    begin: str,
    encryption: Encryption,
    size: int,
    undo: t.Sequence[t.Sequence[str]] = (),
    **facts: t.Any,
) -> Action:
    """Encrypts a device that has nothing on it, of which ``begin`` tells that it was made so."""
    argv = encrypting(encryption, size)
    args = (device, begin, argv, encryption.passphrase, *([tuple(undo)] if undo else ()))
    text, shown = f"encrypt {device.path}", _shown(argv, device.path)
    return call(text, "encrypt_device", *args, command=shown, **facts)


def unlock_device(device: Device, encryption: Encryption) -> Action:
    told = {"driver": "luks", "file.filename": HERE, **luks.opened("luks")}
    argv = _measuring(told)
    text = f"see that the passphrase opens {device.path}"
    args = (device.path, argv, encryption.passphrase)
    return call(text, "unlock", *args, command=_shown(argv, device.path))


def _measuring(told: t.Mapping[str, str]) -> tuple[str, ...]:
    options = ",".join(f"{name}={value}" for name, value in told.items())
    return ("qemu-img", "measure", "-U", *luks.hand_over(), "-O", "raw", "--image-opts", options)


def _opening(image: Volume) -> dict[str, str]:
    """How an image is opened that its name alone does not open; else nothing."""
    options = {"driver": image.format, "file.filename": HERE}
    if image.encryption:
        options.update(luks.opened(image.format))
    if image.backing_path.startswith("/"):
        if image.backing_format:
            options["backing.driver"] = image.backing_format
        options["backing.file.filename"] = image.backing_path.replace(",", ",,")
    return options if len(options) > 2 else {}


def _shown(argv: t.Sequence[str], path: str) -> str:
    words = (word.replace(HERE, path).replace(KEY, SECRET) for word in argv)
    return " ".join(map(files.quoted, words))


def _qcow2(header: bytes, capacity: int | None) -> Image:
    version, method = _number(header, ">I", 4), _number(header, ">I", 32)
    features = []
    if version == 3:
        incompatible, compatible = _number(header, ">Q", 72) or 0, _number(header, ">Q", 80) or 0
        known = (
            (compatible & _LAZY_REFCOUNTS, "lazy_refcounts"),
            (incompatible & _EXTENDED_L2, "extended_l2"),
            (incompatible & _DATA_FILE, "data_file"),
        )
        features = [name for bit, name in known if bit]
    more = _extensions(header, version)
    bits = min(_number(header, ">I", 20) or 0, 64)
    return Image(
        "qcow2",
        capacity,
        "1.1" if version == 3 else "",
        1 << bits,
        tuple(features),
        _backing(header, "qcow2"),
        _text(more.get(_BACKING_FORMAT, b"")),
        _text(more.get(_DATA_FILE_NAME, b"")),
        Encryption(_METHODS[method]) if method in _METHODS else None,
        1 << bits,
    )


def _backing(header: bytes, format: str) -> str:
    """The name of the file that an image is based on."""
    places = {
        "qcow": (">Q", 8, ">I", 16),
        "qcow2": (">Q", 8, ">I", 16),
        "qed": ("<I", 56, "<I", 60),
    }
    if format not in places:
        return ""
    where, at, size, then = places[format]
    offset, length = _number(header, where, at) or 0, _number(header, size, then) or 0
    return _text(header[offset : offset + length]) if offset and length < 1024 else ""


def _extensions(header: bytes, version: int | None) -> dict[int, bytes]:
    """The extensions of the header of a qcow2 image."""
    found: dict[int, bytes] = {}
    at = 72 if version == 2 else _number(header, ">I", 100) or 104
    while at + 8 <= len(header):
        kind, length = struct.unpack_from(">II", header, at)
        if kind == 0:
            break
        found.setdefault(kind, header[at + 8 : at + 8 + length])
        at += 8 + -(-length // 8) * 8
    return found


def _text(found: bytes) -> str:
    return found.decode("utf-8", "surrogateescape")


def _number(header: bytes, layout: str, at: int) -> int | None:
    if len(header) < at + struct.calcsize(layout):
        return None
    return int(struct.unpack_from(layout, header, at)[0])
