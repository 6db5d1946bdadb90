# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a way of being a volume is to the life of a volume."""

from __future__ import annotations

import abc
import typing as t
from dataclasses import dataclass, field, replace

from .._host import Node, Reader
from .._model import (
    Backing,
    Device,
    Encryption,
    File,
    Lvm,
    Permissions,
    Refused,
    Seed,
    Seen,
    Source,
    Target,
    Volume,
)
from .._plan import Steps
from .._size import Size, show
from .._tools import files
from .content import Origin


@dataclass(frozen=True)
class Below:
    """What a volume is to be based on: a ``volume`` of this or another ``pool``, or a ``path``."""

    volume: str = ""
    pool: str = ""
    path: str = ""
    format: str = ""


@dataclass(frozen=True)
class Wanted:
    """What a task wants of one volume.  ``None`` and "" leave what is there alone.

    Without a name it is whatever `Volumes.named` makes of it.  ``content`` is what was found of its
    ``origin``, where it is to be used.
    """

    name: str
    present: bool = True
    capacity: Size | None = None
    allocation: Size | None = None
    format: str = ""
    permissions: Permissions = field(default_factory=Permissions)
    target: Target = field(default_factory=Target)
    below: Below | None = None
    encryption: Encryption | None = None
    seed: Seed | None = None
    wipe: str = ""  # how what it holds is made unreadable before it goes
    origin: Origin | None = None
    content: Source | None = None
    lvm: Lvm | None = None

    @property
    def like(self) -> Source | Backing | None:
        """What tells the capacity of a new volume, where the task does not."""
        return self.content or self.target.backing


class Room:
    """The pool's bytes, counted down while a list of volumes is planned."""

    def __init__(self, total: int, free: int) -> None:
        self.total = total
        self.free = free

    def free_for(self, wanted: Wanted, there: Volume | None) -> int:
        """How much more a volume can have; ``None`` is one that is still to be made."""
        return self.free

    def take(self, count: int, wanted: Wanted, there: Volume | None) -> str:
        """Takes ``count`` bytes (gives back where negative), or says what is against it."""
        if count > self.free:
            return f"takes {show(count)}, and the pool has {show(self.free)} free"
        self.free -= count
        return ""

    def give(self, gone: Volume) -> None:
        """Takes back what a volume has that is to be removed."""
        self.free += gone.allocation


class Volumes(abc.ABC):
    """Volumes of one pool.  ``look`` and ``inspect`` look; the others are pure.

    ``foretold`` are those that tasks before would make or change, which clear away what
    interrupted runs left.
    """

    foretold: t.Collection[str] = ()

    seeds = False  # whether a volume can be a seed

    images: t.ClassVar[bool] = False  # they can be

    logical: t.ClassVar[bool] = False  # whether LVM makes them

    @abc.abstractmethod
    def look(self, host: Reader, users: bool = False) -> list[Volume]:
        """All volumes, with as many commands for one as for many; ``users``: who has them open."""

    @abc.abstractmethod
    def foresee(self, host: Reader, seen: Seen) -> None:
        """Takes for looked at what would be ``seen`` of a pool that is made, and so is empty."""

    @abc.abstractmethod
    def room(self) -> Room:
        """The pool's space, as it was when last looked at; it is counted down while planning."""

    @abc.abstractmethod
    def step(self, format: str) -> int:
        """Sizes of volumes of a format are rounded up to multiples of it."""

    def grain(self, there: Volume | None, wanted: Wanted) -> int:
        """What the size of a volume is a multiple of; without ``there`` of a new one."""
        like = wanted.like.format if wanted.like else ""
        return self.step(there.format if there else wanted.format or like or "raw")

    def devices(self, name: str) -> t.Sequence[str]:
        """The paths that the device of a new volume will have; none where it is no device."""
        return ()

    def blank(self, wanted: Wanted) -> bool:
        """Whether a new volume is a device that holds nothing."""
        return not wanted.content and not wanted.encryption

    def implied(self, wanted: Wanted) -> int:
        """The capacity of a new volume for which the task gives none; 0 where it has to."""
        return wanted.like.capacity if wanted.like else 0

    def takes(self, wanted: Wanted) -> int:
        """The bytes that a new volume takes, as far as the wish tells; 0 where it does not."""
        own = wanted.capacity.bytes if wanted.capacity else self.implied(wanted)
        return own + self.header(wanted) if own else 0

    def ordered(self, wanted: t.Sequence[Wanted]) -> t.Sequence[Wanted]:
        """The wishes in an order in which they can be fulfilled."""
        return wanted

    def warnings(self) -> t.Iterator[str]:
        """What an administrator should know though no task is the worse for it."""
        return iter(())

    def named(self, wanted: t.Sequence[Wanted], seen: t.Mapping[str, Volume]) -> list[Wanted]:
        """The same, each with a name; raises `Refused` where names cannot be left out."""
        if not all(wish.name for wish in wanted):
            raise Refused(
                "Nothing was changed: a volume has no name. Only that of a partition can be left "
                "out, because the kernel gives it."
            )
        return list(wanted)

    def faults(self, wanted: Wanted) -> t.Iterator[str]:
        """What this kind of pool cannot do of what is wanted."""
        return iter(())

    @abc.abstractmethod
    def cost(self, wanted: Wanted, capacity: int, allocation: int) -> int:
        """How many bytes of the pool a new volume takes at once."""

    @abc.abstractmethod
    def create(self, wanted: Wanted, capacity: int, allocation: int) -> Steps:
        """Makes a volume that is not there, of exactly that capacity."""

    def finish(self, wanted: Wanted, seen: Volume, capacity: int) -> Steps:
        """Fills what an interrupted run has not; without content it becomes an empty volume."""
        return iter(())

    @abc.abstractmethod
    def overwrite(self, wanted: Wanted, content: Source, seen: Volume, capacity: int) -> Steps:
        """Gives a volume other content, with risk."""

    @abc.abstractmethod
    def resize(self, seen: Volume, capacity: int) -> Steps:
        """Grows, or by consent shrinks, a volume to exactly that capacity."""

    @abc.abstractmethod
    def wipe(self, seen: Volume, algorithm: str) -> Steps:
        """Makes unreadable, in place, what is in a volume that is removed then."""

    @abc.abstractmethod
    def delete(self, seen: Volume) -> Steps:
        """Removes a volume; with risk where it may hold data."""

    @abc.abstractmethod
    def source(self, seen: Volume) -> Source:
        """A volume as what another one is filled from; raises `Refused` where it cannot be."""

    @abc.abstractmethod
    def made(self, wanted: Wanted, capacity: int) -> Source:
        """The same of one that is made before; 0 is a ``capacity`` that is not known."""

    def things(self, there: Volume) -> t.Sequence[File | Device]:
        """What a volume is to the kernel."""
        return there.devices

    def settled(
        self, source: Source, wanted: Wanted, there: Volume | None, capacity: int
    ) -> Source:
        """A volume as a source, once what is wanted of it has been made of what is there."""
        thing = source.thing
        thing = replace(thing, size=capacity) if isinstance(thing, Device) else thing
        return replace(source, thing=thing, capacity=capacity, size=capacity, allocation=capacity)

    def told(self, there: Volume, wanted: Wanted) -> Volume:
        """A volume that is there, as it is if what the task says of its content is true."""
        return there

    def header(self, wanted: Wanted) -> int:
        """How many bytes of a volume are not what a guest sees."""
        return 0

    def inspect(self, host: Reader, there: Volume, wanted: Wanted) -> Volume:
        """A volume with what is looked at only where the task asks for it."""
        return there

    def reseed(self, there: Volume, wanted: Wanted) -> Steps:
        """Makes a seed that is there one of what is wanted."""
        return iter(())

    def unlock(self, seen: Volume) -> Steps:
        """A step that fails where a volume is not opened by the passphrase that comes with it."""
        return iter(())

    def more(self, wanted: Wanted, there: Volume, capacity: int, allocation: int) -> int:
        """How many bytes of the pool a volume takes more than it has."""
        return self.cost(wanted, capacity, allocation) - self.cost(wanted, there.capacity, 0)

    def described(self, there: Volume) -> dict[str, t.Any] | None:
        """The options that make such a volume, but for secrets; ``None`` where none do.

        What is the default of those that are not required is left out.
        """
        if not there.listed:
            return None
        format = {"format": there.format} if there.format not in ("", "none") else {}
        return {"name": there.name, "capacity": show(there.capacity), **format}

    def differs(self, wanted: Wanted, there: Volume) -> t.Iterator[str]:
        """What a volume that is there has otherwise than it is wanted, and keeps."""
        return iter(())

    def sized(self, format: str) -> bool:
        """Whether volumes of a format have a size."""
        return True

    def resizable(self, seen: Volume, capacity: int) -> None:
        """Raises `Refused` where a volume cannot have another capacity, by any consent."""
        return

    def permit(self, seen: Volume, wanted: Permissions) -> Steps:
        """Steps to the permissions that are wanted."""
        return files.permissions(seen.path, wanted, seen.permissions)

    def amend(self, seen: Volume, wanted: Wanted) -> Steps:
        """Steps to what only volumes of this kind have."""
        return iter(())

    def retype(self, seen: Volume, format: str) -> Steps:
        """Gives a volume the format that is wanted, where that changes no data."""
        return iter(())

    def allocate(self, seen: Volume, allocation: int) -> Steps:
        """Reserves space for the first bytes of a volume that has less."""
        return iter(())

    def same(self, there: Volume, format: str) -> bool:
        """Whether a volume that is there has the format that is wanted."""
        return there.format in ("", format)

    def removal(self, leaving: t.Sequence[Volume]) -> t.Sequence[Volume]:
        """The order in which volumes can be removed."""
        return leaving

    def settle(self) -> Steps:
        """Steps after all others, until the volumes can be seen as they are."""
        return iter(())

    def leftovers(self) -> Steps:
        """Steps that clear away what an interrupted run left."""
        return iter(())


def behind(
    wanted: t.Sequence[Wanted], needs: t.Callable[[Wanted], t.Iterable[str]]
) -> list[Wanted]:
    """The wishes as they are listed, but each behind those that it needs, by their names."""
    waiting = {wish.name: wish for wish in wanted}
    found: list[Wanted] = []

    def visit(wish: Wanted) -> None:
        del waiting[wish.name]
        for name in needs(wish):
            if name in waiting:
                visit(waiting[name])
        found.append(wish)

    for wish in wanted:
        if wish.name in waiting:
            visit(wish)
    return found


def times(node: Node) -> tuple[tuple[str, str], ...]:
    """A volume's timestamps as libvirt writes them; on Linux it never tells the time of birth."""
    return (*zip(("atime", "mtime", "ctime"), map(_time, node.times)), ("btime", "0"))


def _time(when: int) -> str:
    seconds, rest = divmod(when, 10**9)
    return f"{seconds}.{rest:09d}" if rest else str(seconds)
