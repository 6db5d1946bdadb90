# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a pool type is to the life of a pool."""

from __future__ import annotations

import abc
import typing as t

from .._host import Reader
from .._model import Offer, Permissions, Pool, Refused, Seen
from .._plan import Steps

if t.TYPE_CHECKING:
    from .._volumes.base import Volumes

S = t.TypeVar("S", bound=Seen)


class Backend(abc.ABC, t.Generic[S]):
    """One pool type's knowledge, for one pool.

    ``probe`` looks, and knows of the pool but not what the task wants of it.  The other methods are
    pure: they yield the steps that lead on from what was seen, and nothing where nothing is to do.
    Steps claim what they write to, and `_taking` finds who else has a right to it.  A type
    overrides what it has.
    """

    type: t.ClassVar[str]
    options: t.ClassVar[t.Mapping[str, t.Any]] = {}  # argument spec of what only this type has
    required: t.ClassVar[t.Sequence[str]] = ()  # needed for state present and active
    formatted: t.ClassVar[bool] = False  # its volumes have a format
    on_foreseen: t.ClassVar[bool] = False  # can be planned on a device that is `Device.foreseen`

    def __init__(self, pool: Pool, given: t.Mapping[str, t.Any], kept: Pool | None = None) -> None:
        self.pool = pool
        self.given = given  # the task's options; None is "not given"
        self.kept = kept  # the definition that is registered
        self.others: t.Sequence[Pool] = ()  # the host's other pools, where the task is on a pool

    @property
    def leaving(self) -> bool:
        """Whether the task wants less of the pool than there is, so that nothing is to be made."""
        return self.given.get("state") not in (None, "present", "active")

    @classmethod
    @abc.abstractmethod
    def define(cls, host: Reader, params: t.Mapping[str, t.Any], pool: Pool) -> Pool:
        """``pool``, as it is registered or new, changed to what the given options say."""

    @classmethod
    def faults(cls, params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
        """What is wrong with the options that an argument spec cannot say."""
        return iter(())

    @classmethod
    def offers(cls, host: Reader, params: t.Mapping[str, t.Any]) -> t.Iterator[Offer]:
        """What there is to make pools of the type from."""
        return iter(())

    @abc.abstractmethod
    def described(self, host: Reader, seen: S | None) -> t.Mapping[str, t.Any]:
        """The way back from `define`: the options of only this type that say this pool.

        What is empty or ``None`` needs not be said, as it is the default.  Where the definition
        and what was ``seen`` differ, neither is said, so that both stay as they are.  ``autostart``
        is said where the storage comes back by itself, whatever libvirt's mark is.
        """

    @abc.abstractmethod
    def probe(self, host: Reader) -> S:
        """What is there now.  Raises `HostError` where that cannot be seen."""

    def foreseen(self, host: Reader) -> S | None:
        """What a probe would see of the pool once it is made as it is defined, and so is empty.

        ``None`` where that cannot be told.
        """
        return None

    def sources(self, host: Reader, pool: Pool) -> frozenset[str]:
        """What a pool lives on, so that two pools on one thing are found by what it is."""
        return frozenset()

    def stored(self, seen: S, stored: Pool | None) -> Pool:
        """The definition to keep."""
        return self.pool

    def fit(self, seen: S) -> None:
        """Raises `Refused` where what is there cannot become the pool that is wanted."""
        return

    def without(self, seen: S, left: S) -> S:
        """What is seen once the pool has left the place where ``left`` was seen."""
        return seen

    def build(self, seen: S) -> Steps:
        """From ``missing``, ``blank`` or ``foreign`` to ``ready``; wiping has its own actions."""
        return iter(())

    def amend(self, seen: S) -> Steps:
        """From ``ready`` to ready as wanted: permissions, members."""
        return iter(())

    def prove(self, seen: S, daemon: bool) -> Steps:
        """Before the definition is kept: shows that the pool can start, or leaves nothing."""
        return iter(())

    def start(self, seen: S, daemon: bool) -> Steps:
        """From built to in use; with ``daemon`` libvirtd starts the pool after that."""
        return iter(())

    def stop(self, seen: S, daemon: bool) -> Steps:
        """The way back; with ``daemon`` libvirtd stops the pool after that."""
        return iter(())

    def daemon_stops(self, seen: S) -> None:
        """Raises `Refused` where libvirtd would fail to stop the pool, or stop more than that."""
        return

    def boot(self, seen: S, autostart: bool, daemon: bool) -> Steps:
        """After which the host by itself brings the pool back at boot, or does not.

        With ``daemon`` that is libvirtd's work.
        """
        return iter(())

    def delete(self, seen: S) -> Steps:
        return iter(())

    def rescan(self, seen: S) -> Steps:
        """Makes the kernel look for volumes that it does not know yet; loses and makes nothing."""
        return iter(())

    def volumes(self) -> Volumes | None:
        """The knowledge of this pool's volumes; ``None`` where they cannot be made."""
        return None

    @property
    def password(self) -> str:
        """What the task gives for the storage to be logged in to."""
        return ""

    @property
    def permissions(self) -> Permissions:
        """Those of the pool's permissions that the task gives; the others are left alone."""
        wanted = self.pool.permissions
        return Permissions(
            mode="" if self.given.get("mode") is None else wanted.mode,
            owner=None if self.given.get("owner") is None else wanted.owner,
            group=None if self.given.get("group") is None else wanted.group,
        )

    def nothing(self, text: str) -> Refused:
        """The refusal that begins as all of them do."""
        return Refused(f"Nothing was changed: {text}")
