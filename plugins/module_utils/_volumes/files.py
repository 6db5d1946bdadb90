# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes that are files in a directory.

Others may write to the directory, and guests to the files: a name is never followed to change what
it leads to, and what a file says of itself is not believed before a tool works on it.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import replace

from .._host import SIZE, Entry, HostError, Node, Reader
from .._model import (
    PLAIN,
    UNFINISHED,
    Claim,
    File,
    Lacking,
    Link,
    Permissions,
    Place,
    Refused,
    Seed,
    Seen,
    Source,
    Target,
    Volume,
)
from .._plan import Action, Steps, call
from .._size import round_up, show
from .._tools import files, filling, fs, iso, luks, packages, qemu_img, wipe
from . import base, content

# A file is made under such a name, of the host, its boot and chance.
_MADE = re.compile(re.escape(UNFINISHED) + "([0-9a-f]{12})-[0-9a-f]{12}-[0-9a-f]{16}")
_ENCRYPTED = ("raw", "qcow2")
_RESERVING = ("falloc", "full")  # what of `Target.preallocation` takes all of the capacity
_QEMU_IMG = "qemu-img, which package qemu-utils (Debian) or qemu-img (others) has"


class Files(base.Volumes):
    seeds = True

    images = True

    def __init__(self, path: str) -> None:
        self.path = path.rstrip("/")
        self._directory: File | None = None
        self._stray = ""
        self._leftovers: list[File] = []
        self._unknown = ""
        self._needs: t.Mapping[str, tuple[File, ...]] = {}
        self._chains: t.Mapping[str, tuple[Link, ...]] = {}
        self.foreign: list[str] = []  # unfinished files that this host does not make
        self._hidden: dict[str, str] = {}
        self._space = (0, 0)
        self._tool = False
        self._seeder: tuple[str, ...] = ()
        self._holding: frozenset[str] = frozenset()
        self._names: dict[str, str] = {}  # as the file system compares them

    def look(self, host: Reader, users: bool = False) -> list[Volume]:
        self._space = host.space(self.path)
        self._directory, self._stray = host.file(self.path), host.stray(self.path)
        self._tool, self._seeder = host.has("qemu-img"), iso.tool(host)
        self._holding = fs.holding(host, self.path)
        entries, maker, booted = host.entries(self.path), host.maker(), host.booted()
        self._leftovers = [e.file for e in entries if _left_by(maker, booted, e)]
        made = [e.name for e in entries if _MADE.fullmatch(e.name)]
        own = {left.path for left in self._leftovers}
        self.foreign = [name for name in made if f"{self.path}/{name}" not in own]
        self._hidden = {e.name: e.hidden for e in entries if e.hidden}
        self._names = {fs.same_name(self._holding, e.name): e.name for e in entries}
        shown = [e for e in entries if e.node and not _MADE.fullmatch(e.name)]
        images = qemu_img.all_of(shown)
        self._look_below(host, shown, images)
        return [self._volume(entry, images[entry.name], host) for entry in shown]

    def foresee(self, host: Reader, seen: Seen) -> None:
        self._space = seen.capacity, seen.available
        self._directory = File(self.path, 0, 0)
        self._tool, self._seeder = host.has("qemu-img"), iso.tool(host)
        self._holding = seen.holding

    def _look_below(
        self, host: Reader, entries: t.Sequence[Entry], images: t.Mapping[str, qemu_img.Image]
    ) -> None:
        """What images are based on; a server that is dead is in the way of removals only."""
        try:
            self._needs = qemu_img.needs(host, self.path, entries, images)
            self._chains = qemu_img.chains(host, self.path, entries, images)
        except HostError as error:
            self._unknown = str(error)

    def _volume(self, entry: Entry, image: qemu_img.Image, host: Reader) -> Volume:
        node, path = t.cast(Node, entry.node), f"{self.path}/{entry.name}"
        names = [left for left in self._leftovers if left.inode == entry.file.inode]
        found = Volume(
            entry.name,
            path,
            path,
            permissions=node.permissions,
            timestamps=base.times(node),
            file=entry.file,
            real=entry.real,
            link=entry.link,
            linked=entry.linked - len(names),
            node=node.device,
            below=self._needs.get(entry.name, ()),
            chain=self._chains.get(entry.name, ()),
        )
        if node.kind == "dir":
            inside = tuple(host.names(entry.file.path) or ())
            return replace(found, type="dir", format="dir", inside=inside, data=bool(inside))
        payload = node.size - (image.encryption.offset if image.encryption else 0)
        capacity = max(0, payload) if image.capacity is None else image.capacity
        allocation, data = node.allocated, node.allocated > 0
        sized = replace(found, capacity=capacity, allocation=allocation, physical=node.size)
        strange = qemu_img.strange(entry.header, image)
        found = replace(self._image(sized, image), data=data, strange=strange)
        return replace(found, probed=image.format != "raw")

    def _image(self, found: Volume, image: qemu_img.Image) -> Volume:
        return replace(
            found,
            format=image.format,
            compat=image.compat,
            cluster_size=image.cluster_size,
            features=image.features,
            backing_path=qemu_img.beside(self.path, image.backing_path),
            backing_format=image.backing_format,
            encryption=image.encryption,
            clusters=image.clusters,
        )

    def told(self, there: Volume, wanted: base.Wanted) -> Volume:
        """What a guest may have written does not make its disk an image, or an encrypted one."""
        format, own = wanted.format, there.encryption
        if own and wanted.encryption:
            there = replace(there, encryption=luks.named(own, wanted.encryption))
        elif own and there.format == "raw":
            return replace(there, encryption=None, capacity=there.physical, probed=not format)
        if format in PLAIN and not there.encryption and (there.probed or there.format in PLAIN):
            raw = self._image(there, qemu_img.Image(format))
            told = replace(raw, capacity=there.physical, below=(), chain=(), probed=False)
            return replace(told, strange="")
        return replace(there, probed=False) if format == there.format else there

    def inspect(self, host: Reader, there: Volume, wanted: base.Wanted) -> Volume:
        if wanted.seed and there.real and there.type == "file":
            return replace(there, seed=iso.look(host, there.real))
        return there

    def _seed(self, wanted: base.Wanted, verb: str) -> Action:
        if not self._seeder:
            raise Lacking(
                f"Nothing was changed: to make the seed {wanted.name}, this host has none of "
                f"xorriso, genisoimage and mkisofs. {packages.way(['xorriso'])}"
            )
        text = f"{verb} seed {wanted.name}"
        seed = t.cast(Seed, wanted.seed)
        return iso.make(self._place(), wanted.name, self._seeder, seed, text)

    def reseed(self, there: Volume, wanted: base.Wanted) -> Steps:
        if there.seed != wanted.seed and wanted.seed:
            self._one_file(there)
            yield self._seed(wanted, "make a new")
            yield iso.exchange(self._place(), there, claims=_alone(there))

    def unlock(self, seen: Volume) -> Steps:
        self._has_tool(seen.name)
        yield qemu_img.unlock(self._place(), seen)

    def room(self) -> base.Room:
        return base.Room(*self._space)

    def step(self, format: str) -> int:
        return 1 if format in PLAIN else 512

    def faults(self, wanted: base.Wanted) -> t.Iterator[str]:
        if wanted.capacity and wanted.capacity.free:
            yield f"{wanted.name}: a file's capacity cannot be a share of the space that is free"
        plain = wanted.format in ("", *PLAIN) and not wanted.encryption
        if wanted.format and wanted.format not in qemu_img.KNOWN:
            yield f"{wanted.name}: format {wanted.format} is none of {', '.join(qemu_img.KNOWN)}"
        if wanted.target.nocow and "btrfs" not in self._holding:
            yield (
                f"{wanted.name}: nocow is for pools on btrfs, and this one's file system does not "
                "copy on write. Leave it out"
            )
        if wanted.allocation and not plain:
            what = "an encrypted" if wanted.encryption else f"a {wanted.format}"
            yield (f"{wanted.name}: {what} image takes space as it fills, so leave allocation out")
        raw = wanted.capacity if plain else None
        most = fs.largest_file(self._holding)
        if most and raw and not raw.relative and raw.bytes > most:
            yield f"{wanted.name}: a file of this pool can have no more than {show(most)}"
        fault = fs.refused_permissions(self._holding, wanted.permissions)
        if fault:
            yield f"{wanted.name}: {fault}"
        if wanted.encryption and wanted.format not in ("", *_ENCRYPTED):
            yield f"{wanted.name}: of files, only raw and qcow2 ones are encrypted"
        yield from (f"{wanted.name}: {fault}" for fault in self._name_faults(wanted.name))

    def _name_faults(self, name: str) -> t.Iterator[str]:
        if name in self._hidden:
            yield f"the name is taken by {self._hidden[name]}"
        if name.startswith(UNFINISHED):
            yield f"names that begin with {UNFINISHED} are those of unfinished files"
        fault = fs.refused_name(self._holding, name)
        if fault:
            yield fault
        # Of several names of one task the second one would find the first.
        other = self._names.setdefault(fs.same_name(self._holding, name), name)
        if other != name:
            yield f"is the same name as {other} to the file system of this pool"

    def cost(self, wanted: base.Wanted, capacity: int, allocation: int) -> int:
        taken = capacity if wanted.target.preallocation in _RESERVING else allocation
        return max(taken, self._content_cost(wanted, capacity))

    def _content_cost(self, wanted: base.Wanted, capacity: int) -> int:
        """What content takes at least, but where its blocks can be shared."""
        source = wanted.content
        if source is None:
            return 0
        file, own = source.thing, self._directory
        beside = isinstance(file, File) and own is not None and file.device == own.device
        shared = beside and fs.shares_blocks(self._holding) and not wanted.encryption
        return 0 if shared else min(source.allocation, capacity or source.allocation)

    def more(self, wanted: base.Wanted, there: Volume, capacity: int, allocation: int) -> int:
        copied = there.format in qemu_img.COPIED and capacity > there.capacity
        return there.allocation if copied else max(0, allocation - there.allocation)

    def create(self, wanted: base.Wanted, capacity: int, allocation: int) -> Steps:
        """Made aside, filled where it is to have content, and then given its name."""
        self._makeable(wanted)
        if wanted.format == "dir":
            yield files.make_folder(self._place(), wanted.name, wanted.permissions)
            return
        if wanted.seed:
            yield self._seed(wanted, "make")
        elif wanted.content:
            yield self._fill(wanted, wanted.content, capacity, allocation)
        else:
            yield self._make(wanted, capacity, allocation)
        yield files.publish(self._place(), wanted.name, wanted.permissions)

    def _make(self, wanted: base.Wanted, capacity: int, allocation: int) -> Action:
        format, place, target = wanted.format or "raw", self._place(), wanted.target
        kind = f"encrypted {format}" if wanted.encryption else format
        text = f"make {kind} volume {wanted.name} of {show(capacity)}"
        text += f" on {target.backing.path}" if target.backing else ""
        if format in PLAIN and not wanted.encryption:
            how = target.preallocation
            reserved = capacity if how in _RESERVING else allocation
            sizes = (capacity, reserved, how == "full")
            return files.make_raw(place, wanted.name, sizes, target.nocow, text)
        self._has_tool(wanted.name)
        # As libvirt does it, an image gets the capacity of what it is based on without a word.
        size = capacity if wanted.capacity or not target.backing else 0
        own = "luks" if wanted.encryption and format == "raw" else format
        argv = qemu_img.creating(own, size, target, wanted.encryption)
        return qemu_img.create(place, wanted.name, text, argv, wanted.encryption)

    def _makeable(self, wanted: base.Wanted) -> None:
        if wanted.format in qemu_img.KEPT:
            made = ", ".join((*PLAIN, *qemu_img.MADE, "dir"))
            raise Refused(
                f"Nothing was changed: volume {wanted.name} is to be made as {wanted.format}, "
                f"which is only kept where it is. Made are {made}."
            )

    def _fill(self, wanted: base.Wanted, source: Source, capacity: int, allocation: int) -> Action:
        name, format, target = wanted.name, wanted.format or source.format, wanted.target
        own, origin = wanted.encryption, t.cast(content.Origin, wanted.origin)
        if own:
            format = self._encrypted(wanted, format)
        kind = "luks" if own and format == "raw" else format
        backing, made = target.backing, bool(own) or format in qemu_img.MADE
        how = content.filling(
            name,
            source,
            origin.format,
            format=format,
            capacity=capacity,
            allocation=allocation,
            based=bool(backing),
            alike=replace(target, backing=None) == Target(),
            reflink=origin.reflink,
            make=(*qemu_img.creating(kind, 0, target, own), SIZE) if made else (),
            rebase=qemu_img.rebasing(backing) if backing else (),
            grow=qemu_img.growing(format or "qcow2"),
            convert=qemu_img.converting(format, own),
            key=own.passphrase if own else "",
        )
        if backing or not how.copies(source.format or format, source.capacity):
            self._has_tool(name)
        words = ["make", "encrypted" if own else "", format, "volume", name]
        size = f"of {show(capacity)}" if capacity else ""
        below = f"on {backing.path}" if backing else ""
        text = " ".join(filter(None, [*words, size, "from", source.shown, below]))
        return filling.file(self._place(), how, text)

    def overwrite(self, wanted: base.Wanted, content: Source, seen: Volume, capacity: int) -> Steps:
        self._one_file(seen)
        self._known(seen, "overwritten")
        given = {key: value for key, value in vars(wanted.permissions).items() if value}
        same = replace(wanted, format=wanted.format or seen.format)
        yield self._fill(same, content, capacity, 0)
        may, place = replace(seen.permissions, label="", **given), self._place()
        yield files.replace(place, t.cast(File, seen.file), may, "overwrite")

    def _encrypted(self, wanted: base.Wanted, format: str) -> str:
        """The format of an encrypted volume, which cannot wait for what its content has."""
        if format not in _ENCRYPTED:
            what = f"is a {format} image" if format else "is not there to tell its format"
            raise Refused(
                f"Nothing was changed: volume {wanted.name} is to be encrypted, and what it is "
                f"filled with {what}. Write format: {' or '.join(_ENCRYPTED)}."
            )
        return format

    def source(self, seen: Volume) -> Source:
        self._one_file(seen)
        if seen.type != "file":
            raise Refused(f"Nothing was changed: {seen.path} is a directory, and is not copied.")
        if seen.encryption and seen.format != "raw":
            raise _closed(seen.name, seen.format)
        if seen.strange:
            raise Refused(content.refusal(f"volume {seen.name}", seen.format, seen.strange))
        return Source(
            f"volume {seen.name}",
            seen.path,
            seen.file,
            self._directory,
            format=seen.format,
            capacity=seen.physical if seen.encryption else seen.capacity,
            size=seen.physical,
            allocation=seen.allocation,
        )

    def made(self, wanted: base.Wanted, capacity: int) -> Source:
        format = wanted.format or (wanted.content.format if wanted.content else "raw")
        if wanted.encryption and format != "raw":
            raise _closed(wanted.name, format)
        path = f"{self.path}/{wanted.name}"
        shown = f"volume {wanted.name}"
        return Source(shown, path, place=self._directory, format=format, capacity=capacity)

    def things(self, there: Volume) -> t.Sequence[File]:
        return (there.file,) if there.file else ()

    def settled(
        self, source: Source, wanted: base.Wanted, there: Volume | None, capacity: int
    ) -> Source:
        own = there.encryption if there else wanted.encryption
        if there is None:
            # How long the header is turns out when it is there.
            return replace(source, capacity=0 if own else capacity)
        copied = capacity != there.capacity and there.format in qemu_img.COPIED
        anew = copied or bool(wanted.content and not there.mark)
        size = capacity + (own.offset if own else 0)
        if anew:
            path = f"{self.path}/{wanted.name}"
            source = replace(source, path=path, thing=None, place=self._directory)
        return replace(source, capacity=size)

    def sized(self, format: str) -> bool:
        return format != "dir"

    def described(self, there: Volume) -> dict[str, t.Any] | None:
        strange = there.strange and not there.backing_path
        if there.link or there.node or strange or there.format in qemu_img.KEPT:
            return None
        found: dict[str, t.Any] = {"name": there.name, **files.described(there.permissions)}
        if there.format != "raw":
            found["format"] = there.format
        if there.type == "dir":
            return found
        found["capacity"] = show(there.capacity)
        if there.format in PLAIN and 0 < there.capacity <= there.allocation:
            found["allocation"] = found["capacity"]
        return self._with_backing(there, {**found, **qemu_img.described(there)})

    def _with_backing(self, there: Volume, found: dict[str, t.Any]) -> dict[str, t.Any] | None:
        """The same with what an image is based on, if that can be said."""
        if not there.backing_path:
            return found
        first = there.chain[0] if there.chain else None
        if there.format != "qcow2" or first is None or first.format not in qemu_img.READ:
            return None
        folder, name = first.path.rpartition("/")[::2]
        where = {"volume": name} if folder == self.path else {"path": first.path}
        return {**found, "backing": {**where, "format": first.format}}

    def differs(self, wanted: base.Wanted, there: Volume) -> t.Iterator[str]:
        """An image keeps what it was made with."""
        said, own = wanted.target, qemu_img.made_with(there)
        features = None if said.features is None else ", ".join(sorted(said.features)) or "none"
        pairs = (
            ("compat", said.compat or None, own.compat),
            ("cluster_size", said.cluster_size or None, own.cluster_size),
            ("features", features, ", ".join(own.features or ()) or "none"),
        )
        for key, wish, has in pairs:
            if wish not in (None, has):
                yield (
                    f"{wanted.name}: has {key} {has}, and {wish} is wanted, which only a new image "
                    f"gets. Leave {key} out to keep it"
                )
        if said.backing and not qemu_img.is_on(there, said.backing):
            first = there.chain[0] if there.chain else None
            own_format = f" ({first.format})" if first and first.format else ""
            yield (
                f"{wanted.name}: is based on {there.backing_path or 'nothing'}{own_format}, and "
                f"{said.backing.path} ({said.backing.format}) is wanted. Leave backing out to keep "
                "it, or rebase it by other means (qemu-img rebase)"
            )

    def resizable(self, seen: Volume, capacity: int) -> None:
        _has_size(seen)
        shrink = capacity < seen.capacity
        grown = (*qemu_img.GROWN, *qemu_img.COPIED)
        able = (*PLAIN, *(qemu_img.SHRUNK if shrink else grown))
        own = seen.encryption
        if own and seen.format != "raw" and not own.passphrase:
            raise Refused(
                f"Nothing was changed: volume {seen.name} is encrypted, and is resized by whoever "
                "has its passphrase only. Write encryption."
            )
        if seen.probed and seen.format == "raw":
            self._guessed(seen, shrink)
        elif seen.probed and seen.format in able:
            raise Refused(
                f"Nothing was changed: volume {seen.name} begins with the header of a "
                f"{seen.format} image of {show(seen.capacity)}, and {show(capacity)} is wanted. It "
                "does not tell whether it is one, or a raw disk in which a guest wrote that. Write "
                f"format: {seen.format} or format: raw."
            )
        if seen.format not in able:
            raw = " If a guest wrote that header into a raw disk, write format: raw."
            raise Refused(
                f"Nothing was changed: volume {seen.name} is a {seen.format} image of "
                f"{show(seen.capacity)}, and qemu-img can only {'shrink' if shrink else 'grow'} "
                f"{', '.join(able)}.{raw if seen.probed else ''}"
            )
        self._one_file(seen)

    def _guessed(self, seen: Volume, shrink: bool) -> None:
        """Of a disk that begins with LUKS, the end is cut off by those only who know what it is."""
        if shrink:
            raise Refused(
                f"Nothing was changed: volume {seen.name} begins with a header of LUKS, and "
                f"{show(seen.physical)} is its size with that. Write encryption if the volume is "
                "encrypted, or format: raw if a guest wrote that header."
            )

    def resize(self, seen: Volume, capacity: int) -> Steps:
        if seen.format in qemu_img.COPIED:
            yield from self._copy_larger(seen, capacity)
            return
        shrink = capacity < seen.capacity
        text = f"{'shrink' if shrink else 'grow'} volume {seen.name} from {show(seen.capacity)} to "
        text += show(capacity)
        # A raw file may grow below a guest; a tool works on an image only while nobody else does.
        alone = shrink or seen.format not in PLAIN
        if shrink:
            self._known(seen, "shrunk")
        risk, claims = "shrink" if shrink else "", _alone(seen, not shrink) if alone else ()
        place = self._place()
        if seen.format in PLAIN:
            size = capacity + (seen.encryption.offset if seen.encryption else 0)
            command = f"truncate --size={size} {files.quoted(seen.path)}"
            yield call(
                text,
                "truncate",
                seen.file,
                place,
                size,
                command=command,
                risk=risk,
                claims=claims,
            )
        else:
            self._has_tool(seen.name)
            yield qemu_img.resize(text, place, seen, capacity, risk=risk, claims=claims)

    def _copy_larger(self, seen: Volume, capacity: int) -> Steps:
        """Makes a larger image with the same content, that gets the place of the old one."""
        self._known(seen, "replaced")
        same = content.Origin(format=seen.format)
        wanted = base.Wanted(seen.name, format=seen.format, origin=same)
        text = f"copy volume {seen.name} of {show(seen.capacity)} into one of {show(capacity)}"
        yield replace(self._fill(wanted, self.source(seen), capacity, 0), text=text)
        may, file = replace(seen.permissions, label=""), t.cast(File, seen.file)
        yield files.replace(self._place(), file, may, "")

    def allocate(self, seen: Volume, allocation: int) -> Steps:
        # A file system may count some more or fewer blocks than it was asked for.
        if seen.format in PLAIN and round_up(seen.allocation, 4096) < allocation:
            self._one_file(seen)
            text = f"reserve {show(allocation)} for volume {seen.name}"
            command = f"fallocate --length={allocation} {files.quoted(seen.path)}"
            yield call(text, "allocate", seen.file, self._place(), allocation, command=command)

    def permit(self, seen: Volume, wanted: Permissions) -> Steps:
        steps = files.permissions(seen.path, wanted, seen.permissions, seen.file, self._directory)
        for step in steps:
            self._place()
            self._one_file(seen)
            yield step

    def wipe(self, seen: Volume, algorithm: str) -> Steps:
        self._one_file(seen)
        if not seen.data or seen.type == "dir":
            return
        holes = max(0, seen.physical - seen.allocation)
        if wipe.scrubs(algorithm) and holes > self._space[1]:
            raise Refused(
                f"Nothing was changed: scrub writes to all of volume {seen.name}, which would take "
                f"{show(holes)} more than it has, and the pool has {show(self._space[1])} free. "
                "Write wipe: zero, which writes only where something is."
            )
        yield wipe.file(self._place(), seen, algorithm, claims=_alone(seen))

    def delete(self, seen: Volume) -> Steps:
        self._known(seen, "removed")
        if seen.type == "dir" and not seen.link:
            yield from self._remove_folder(seen)
            return
        link = f", a link to {files.shown(seen.link)}" if seen.link else ""
        text = f"remove volume {files.shown(seen.name)}{link}"
        risk = "delete" if seen.data else ""
        file = t.cast(File, seen.file)
        yield files.remove_from(self._place(), file, text, risk=risk, claims=_alone(seen))

    def _remove_folder(self, seen: Volume) -> Steps:
        """Removes a directory; by consent with all that is in it, but for what is mounted there."""
        folder = t.cast(File, seen.file)
        if seen.inside:
            self._place()
            yield files.remove_tree(folder, seen.inside, ())
        else:
            claims = (Claim(Place(folder.path, folder.device, folder.inode)),)
            yield files.remove_folder(self._place(), folder, claims=claims)

    def removal(self, leaving: t.Sequence[Volume]) -> t.Sequence[Volume]:
        """Links go first, while it can be seen what they lead to."""
        return sorted(leaving, key=lambda volume: not volume.link)

    def leftovers(self) -> Steps:
        for left in self._leftovers if not self.foretold else ():
            text = f"remove {left.path}, which an interrupted run left"
            yield files.remove_from(self._place(), left, text)

    def _place(self) -> File:
        """The directory, to write to."""
        if self._stray:
            raise Refused(f"Nothing was changed: {files.led(self.path, self._stray)}")
        return t.cast(File, self._directory)

    def _known(self, seen: Volume, what: str) -> None:
        if self._unknown:
            raise Refused(
                f"Nothing was changed: volume {files.shown(seen.name)} is not {what}, because it "
                f"cannot be told whether images are based on it: {self._unknown}. Make that "
                "answer, then run the task again."
            )

    def _has_tool(self, name: str) -> None:
        if not self._tool:
            raise Lacking(
                f"Nothing was changed: volume {name} needs {_QEMU_IMG}, and this host has it not. "
                "Install it, or let the role poolwright.storage.host do it."
            )

    def _one_file(self, seen: Volume) -> None:
        """Refuses to change what somebody may have chosen by a link or a name of his own."""
        what = ""
        if seen.link:
            what = f"a link to {files.shown(seen.link)}, and what that is"
        elif seen.node:
            what = "the node of a device, and the device"
        elif seen.linked > 1 and seen.type != "dir":
            what = f"one of {seen.linked} names of a file, and what has the other names"
        if what:
            raise Refused(
                f"Nothing was changed: volume {seen.name} is {what} is not changed through it. "
                "Change that itself by other means, or leave this volume as it is."
            )


def _has_size(seen: Volume) -> None:
    if seen.type == "dir":
        raise Refused(
            f"Nothing was changed: volume {seen.name} is a directory, which has no size of its "
            "own. Leave capacity out."
        )


def _alone(seen: Volume, keeps: bool = False) -> tuple[Claim, ...]:
    """That nobody else may use a file, whatever leads to it."""
    return (Claim(seen.real, keeps=keeps),) if seen.real else ()


def leftovers(host: Reader, path: str) -> list[File]:
    """The unfinished files of this host in a directory."""
    if not any(_MADE.fullmatch(name) for name in host.names(path) or []):
        return []
    maker, booted = host.maker(), host.booted()
    return [entry.file for entry in host.entries(path) if _left_by(maker, booted, entry)]


def _left_by(maker: str, booted: int, entry: Entry) -> bool:
    """Whether an entry is an unfinished file of this host, on which no other task runs now.

    One that another host makes, on storage that they share, is left alone.  That may have the same
    identity, as copies of one image have; then it does not have our boot, and it goes on since.
    """
    made, node = _MADE.fullmatch(entry.name), entry.node
    if not made or not node or node.kind != "file" or entry.link:
        return False
    ours = maker.startswith(f"{UNFINISHED}{made[1]}-")
    return ours and (entry.name.startswith(maker) or node.times[1] < booted * 10**9)


def _closed(name: str, format: str) -> Refused:
    return Refused(
        f"Nothing was changed: volume {name} is an encrypted {format} image, and is not copied, "
        "because nobody says how it is opened."
    )
