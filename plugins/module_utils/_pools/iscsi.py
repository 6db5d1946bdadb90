# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools that are an iSCSI target, logged in to."""

from __future__ import annotations

import functools
import re
import typing as t
from dataclasses import dataclass, replace

from .. import _options
from .._host import Reader
from .._model import Auth, Device, Offer, Pool, Seen, SourceHost, Volume
from .._plan import Steps
from .._tools import files, iscsi, network
from .._volumes import luns
from .base import Backend

_PORT = 3260
_SECRETS = ("password", "password_in")


@dataclass(frozen=True)
class SeenTarget(Seen):
    """``record`` is the one there is; ``broken`` are files where it would be that are none.

    ``interfaces`` are those with the pool's initiator; one may have been made for this pool.
    ``sessions`` are the pool's own, ``others`` those of the same target that are not, ``devices``
    the disks of the own ones and their partitions.  ``folder`` is open-iscsi's, and ``offers`` asks
    the server.
    """

    record: iscsi.Record | None = None
    broken: tuple[str, ...] = ()
    folder: str = ""
    addresses: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()
    sessions: tuple[iscsi.Session, ...] = ()
    others: tuple[iscsi.Session, ...] = ()
    devices: tuple[Device, ...] = ()
    replaced: tuple[luns.Replaced, ...] = ()
    offers: t.Callable[[], list[tuple[iscsi.Portal, str]]] = list


class Iscsi(Backend[SeenTarget]):
    type = "iscsi"
    options: t.ClassVar[_options.Spec] = {
        "host": {"type": "str"},
        "target": {"type": "str"},
        "port": {"type": "int"},
        "initiator": {"type": "str"},
        "chap": {
            "type": "dict",
            "options": {
                "username": {"type": "str"},
                "password": {"type": "str", "no_log": True},
                "username_in": {"type": "str"},
                "password_in": {"type": "str", "no_log": True},
            },
        },
        "path": {"type": "path"},
    }
    required = ("host", "target")

    @classmethod
    def define(cls, host: Reader, params: t.Mapping[str, t.Any], pool: Pool) -> Pool:
        return replace(
            pool,
            hosts=_hosts(params, pool),
            devices=pool.devices if params["target"] is None else (params["target"],),
            initiator=_options.text(params, "initiator", pool.initiator),
            auth=_auth(params["chap"], pool),
            path=_options.path(params, "path", pool.path or "/dev/disk/by-path"),
        )

    @classmethod
    def faults(cls, params: t.Mapping[str, t.Any]) -> t.Iterator[str]:
        yield from _options.path_faults(params, "path")
        yield from luns.path_faults(params)
        server, port = params.get("host"), params.get("port")
        if isinstance(server, str) and not re.fullmatch(r"[^\s/,\[\]-][^\s/,\[\]]*", server):
            yield f"host: {server!r} is neither a name nor an address"
        if isinstance(port, int) and not 0 < port < 65536:
            yield f"port: {port} is not between 1 and 65535"
        for key in ("target", "initiator"):
            name = params.get(key)
            if isinstance(name, str) and not re.fullmatch(r"(iqn|eui|naa)\.[^\s/,]{1,219}", name):
                yield f"{key}: {name!r} is not like iqn.2026-01.org.example:disks"
        if isinstance(params.get("chap"), dict):
            yield from _chap_faults(params["chap"])

    @classmethod
    def offers(cls, host: Reader, params: t.Mapping[str, t.Any]) -> t.Iterator[Offer]:
        portal = iscsi.Portal(params["host"], str(params["port"] or _PORT))
        for where, target in iscsi.discover(host, portal.server):
            name = target.rpartition(":")[2]
            options: dict[str, t.Any] = {"name": name, "host": where.address, "target": target}
            if where.port != str(_PORT):
                options["port"] = int(where.port)
            yield Offer(cls.type, {**options, **_logged_in(host, name, where, target)})

    def described(self, host: Reader, seen: SeenTarget | None) -> t.Mapping[str, t.Any]:
        pool = self.pool
        server = pool.hosts[0] if pool.hosts else SourceHost("")
        record = seen.record if seen else None
        return {
            "host": server.name,
            "port": server.port if server.port not in (0, _PORT) else None,
            "target": pool.devices[0] if pool.devices else "",
            "initiator": pool.initiator,
            "chap": _described(pool, record.chap if record else iscsi.Chap()),
            "path": _options.other(pool.path, "/dev/disk/by-path"),
        }

    def sources(self, host: Reader, pool: Pool) -> frozenset[str]:
        if pool.type != self.type or not pool.devices:
            return frozenset()
        initiator = f" as {pool.initiator}" if pool.initiator else ""
        return frozenset({f"iSCSI target {pool.devices[0]}{initiator}"})

    @property
    def password(self) -> str:
        return str((self.given.get("chap") or {}).get("password") or "")

    @property
    def _chap(self) -> iscsi.Chap | None:
        """The credentials that the task gives; ``None`` leaves those of the record alone."""
        chap = self.given.get("chap")
        return None if chap is None else iscsi.Chap(**{k: v or "" for k, v in chap.items()})

    def probe(self, host: Reader) -> SeenTarget:
        pool = self.pool
        target = pool.devices[0] if pool.devices else ""
        server = pool.hosts[0].name if pool.hosts else ""
        addresses = tuple(network.known_as(host, server))
        names = iscsi.interfaces(host, pool.initiator) if pool.initiator else [iscsi.DEFAULT]
        here = self._here(addresses, names or [self._own_interface])
        every = list(iscsi.sessions(host, target))
        own = tuple(filter(here, every))
        if own:
            here = self._here(addresses, [own[0].interface])
        records = list(filter(here, iscsi.records(host, target)))
        record = next((each for each in records if each.whole), None)
        seen = SeenTarget(
            state="ready" if record else "missing",
            active=bool(own),
            record=record,
            broken=tuple(each.path for each in records if not each.whole),
            addresses=addresses,
            interfaces=tuple(names),
            sessions=own,
            others=tuple(each for each in every if each not in own),
            folder=iscsi.base(host),
            offers=functools.partial(
                iscsi.discover, host, self._portal([*addresses, server]).server
            ),
            warnings=tuple(self._warnings(host, record)),
        )
        return self._with_luns(host, seen) if own else seen

    def _warnings(self, host: Reader, record: iscsi.Record | None) -> t.Iterator[str]:
        if record and record.automatic and not iscsi.at_boot(host):
            yield (
                f"Nothing logs in to the target of pool {self.pool.name} after a reboot, because "
                "open-iscsi's service is not enabled. Run systemctl enable open-iscsi (iscsi on "
                "Red Hat and its like)."
            )

    def _here(
        self, addresses: t.Sequence[str], interfaces: t.Sequence[str]
    ) -> t.Callable[[iscsi.Session | iscsi.Record], bool]:
        """Whether a session or a record is of this server and under this name.

        A server that has only a name is every server: the pool's target is known, and no other
        pool is on that.
        """
        known = any(map(network.is_address, addresses))

        def here(each: iscsi.Session | iscsi.Record) -> bool:
            way = each.portal
            server = not known or network.plain(way.address) in addresses
            return server and way.port == str(self._port) and each.interface in interfaces

        return here

    @property
    def _own_interface(self) -> str:
        return f"poolwright-{self.pool.uuid[:8]}"

    @property
    def _port(self) -> int:
        return (self.pool.hosts[0].port if self.pool.hosts else 0) or _PORT

    def _portal(self, addresses: t.Sequence[str]) -> iscsi.Portal:
        """The way in that the definition says; by an address of the server, if it has one."""
        first = next(filter(network.is_address, addresses), addresses[0])
        return iscsi.Portal(first, str(self._port))

    def _offered(self, seen: SeenTarget) -> iscsi.Portal:
        """The way in to a target of which there is no record yet: the server is asked."""
        pool, target = self.pool, self.pool.devices[0]
        if not any(map(network.is_address, seen.addresses)):
            raise self.nothing(
                f"the server of pool {pool.name}, {pool.hosts[0].name}, has no address on this "
                "host. Correct host, or let the name be known here."
            )
        found = seen.offers()
        portals = [portal for portal, name in found if name == target]
        if not portals and not pool.initiator:
            there = ", ".join(sorted({name for dummy, name in found})) or "no target"
            raise self.nothing(
                f"{pool.hosts[0].name} does not offer {target} of pool {pool.name}, but {there}. "
                "Correct target, or let the server offer it to this host."
            )
        first = self._portal(seen.addresses)
        same = [each for each in portals if each.same(first)]
        return same[0] if same else replace(first, group=portals[0].group) if portals else first

    def _record(self, seen: SeenTarget) -> iscsi.Record:
        """The record there is, or the one to be made."""
        if seen.record:
            return seen.record
        own = next(iter(seen.sessions), None)
        interface = own.interface if own else [*seen.interfaces, self._own_interface][0]
        portal = own.portal if own else self._offered(seen)
        return iscsi.new_record(seen.folder, self.pool.devices[0], portal, interface)

    def _with_luns(self, host: Reader, seen: SeenTarget) -> SeenTarget:
        number = seen.sessions[0].host
        volumes = tuple(luns.read(host, number, self.pool.path))
        first = min((*seen.sessions, *seen.others), key=lambda session: f"session{session.number}")
        size = sum(volume.capacity for volume in volumes)
        hosts = [session.host for session in seen.sessions]
        replaced = tuple(luns.replaced(host, number))
        taken = [lun for each in hosts for lun in luns.devices(host, each, self.pool.path)]
        return replace(
            seen,
            capacity=size,
            allocation=size,
            volumes=volumes,
            shown=tuple(luns.read(host, first.host, self.pool.path)),
            devices=tuple(taken),
            replaced=replaced,
            news=tuple(luns.news(self.pool, replaced)),
            warnings=(*seen.warnings, *self._lun_warnings(seen, first, volumes)),
        )

    def _lun_warnings(
        self, seen: SeenTarget, first: iscsi.Session, volumes: t.Sequence[Volume]
    ) -> t.Iterator[str]:
        yield from luns.warnings(self.pool, seen.sessions[0].host, volumes)
        if first in seen.others:
            yield (
                f"libvirt shows the LUNs of pool {self.pool.name} as {_sessions([first])} has "
                "them, because it takes the first session of a target for the pool's."
            )
        if not volumes:
            yield (
                f"The target of pool {self.pool.name}, {self.pool.devices[0]}, offers no LUN to "
                "this host. Let the server map one to this host's initiator."
            )

    def build(self, seen: SeenTarget) -> Steps:
        record = self._record(seen)
        if not seen.interfaces:
            yield from iscsi.make_interface(record.interface, self.pool.initiator)
        for path in seen.broken:
            yield files.remove(path, f"remove {path}, which is no record and in the way of one")
        yield iscsi.make_record(record)
        yield iscsi.claim(record)
        if self._chap:
            yield iscsi.credentials(record, self._chap)
        elif self.pool.auth:
            raise self._no_password()
        yield from self._anew(seen)

    def amend(self, seen: SeenTarget) -> Steps:
        if seen.record and self._chap is not None and self._chap != seen.record.chap:
            yield iscsi.credentials(seen.record, self._chap)
        yield from luns.renew(seen.replaced)
        yield from self._anew(seen)

    def _anew(self, seen: SeenTarget) -> Steps:
        """A session keeps the credentials that it began with."""
        if not seen.sessions or self._chap in (None, seen.sessions[0].chap):
            return
        yield from iscsi.logout(seen.sessions, seen.devices, risk="interrupt")
        yield from iscsi.login(self._record(seen), risk="interrupt")

    def prove(self, seen: SeenTarget, daemon: bool) -> Steps:
        if not seen.sessions:
            yield from iscsi.login(self._record(seen))
        # libvirt takes a session without LUNs for one that is broken.
        if daemon and not seen.volumes:
            yield iscsi.expect_luns(self._record(seen), self._undone(seen))

    def _undone(self, seen: SeenTarget) -> iscsi.Undo:
        """What takes away again what a login and its record have made."""
        own = not seen.interfaces
        return iscsi.Undo(not seen.sessions, not seen.record, own)

    def stop(self, seen: SeenTarget, daemon: bool) -> Steps:
        theirs = [each for each in seen.others if self._taken_by_libvirt(seen, each)]
        if daemon and theirs:
            raise self.nothing(
                f"libvirt would log out of {_sessions(theirs)} as well, with which this host is "
                f"logged in to the target of pool {self.pool.name} under another name. Log out of "
                "it first, if it is not wanted, then run the task again."
            )
        if daemon and seen.others:
            # Logging out is left to libvirt, which fails where it finds none of these sessions.
            yield from luns.release(seen.devices)
        else:
            yield from iscsi.logout(seen.sessions, seen.devices)

    def daemon_stops(self, seen: SeenTarget) -> None:
        if seen.others and not seen.sessions:
            raise self.nothing(
                f"libvirt takes pool {self.pool.name} for running, because this host is logged in "
                f"to its target by {_sessions(seen.others)}, and can stop it only by logging out "
                "of the pool's own session, which there is not. Run the task with state: active "
                "first, then this one."
            )

    def _taken_by_libvirt(self, seen: SeenTarget, other: iscsi.Session) -> bool:
        """Whether libvirt, which names only the portal, would log out of another's session."""
        if self.pool.initiator:
            return False
        return any(other.portal.same(own.portal) for own in seen.sessions)

    def boot(self, seen: SeenTarget, autostart: bool, daemon: bool) -> Steps:
        # Also with a daemon: it would write the record anew, without what it does not know of CHAP.
        if self.given.get("state") in ("absent", "undefined"):
            yield from self._forget(seen)
            return
        record = seen.record if self.leaving else self._record(seen)
        wanted = "automatic" if autostart else "manual"
        if daemon and self.kept and autostart and record and not record.chap.username_in:
            return  # libvirt's own mark is enough for a pool of its own
        if record and record.values.get("node.startup") != wanted:
            yield iscsi.startup(record, wanted)

    def delete(self, seen: SeenTarget) -> Steps:
        return self._forget(seen)

    def _forget(self, seen: SeenTarget) -> Steps:
        """Takes away what this collection has made; what others have is left."""
        record = seen.record
        if record and (record.ours or record.interface == self._own_interface):
            yield iscsi.remove_record(record)
        elif record and record.automatic:
            yield iscsi.startup(record, "manual")
        in_use = seen.sessions and not record
        if self._own_interface in seen.interfaces and not in_use:
            yield iscsi.remove_interface(self._own_interface)

    def rescan(self, seen: SeenTarget) -> Steps:
        for session in seen.sessions:
            yield from iscsi.rescan(session)

    def _no_password(self) -> Exception:
        return self.nothing(
            f"pool {self.pool.name} logs in with CHAP, and this host has no record with its "
            "password. Give chap with username and password."
        )


def _sessions(sessions: t.Sequence[iscsi.Session]) -> str:
    return " and ".join(
        f"session {each.number} ({each.portal.server}, interface {each.interface})"
        for each in sessions
    )


def _logged_in(host: Reader, name: str, portal: iscsi.Portal, target: str) -> dict[str, t.Any]:
    """What a session that is there adds to the options of a pool on its target."""
    here = (each for each in iscsi.sessions(host, target) if each.portal.same(portal))
    session = next(here, None)
    if session is None:
        return {}
    own = session.interface not in ("", iscsi.DEFAULT)
    auth = Auth("chap", session.chap.username) if session.chap.username else None
    told = {
        "initiator": session.initiator if own else "",
        "chap": _described(Pool("iscsi", name, auth=auth), session.chap),
    }
    return {key: value for key, value in told.items() if value}


def _hosts(params: t.Mapping[str, t.Any], pool: Pool) -> tuple[SourceHost, ...]:
    kept = pool.hosts[0] if pool.hosts else SourceHost("")
    name = kept.name if params["host"] is None else params["host"]
    port = kept.port if params["port"] is None else params["port"]
    if (port or _PORT) == (kept.port or _PORT):
        port = kept.port  # libvirt writes its default into some definitions
    return (SourceHost(name, port),) if name else ()


def _auth(chap: t.Mapping[str, t.Any] | None, pool: Pool) -> Auth | None:
    if chap is None:
        return pool.auth
    if not chap["username"]:
        return None
    kept = pool.auth or Auth("chap", "", usage=f"poolwright.storage/{pool.name}")
    return replace(kept, username=chap["username"])


def _described(pool: Pool, chap: iscsi.Chap) -> dict[str, str] | None:
    """The way back from `_auth`, with variables where the passwords are."""
    if not pool.auth:
        return None
    told = {"username": pool.auth.username, "password": _options.secret(pool, "chap_password")}
    if chap.username_in:
        told["username_in"] = chap.username_in
        told["password_in"] = _options.secret(pool, "chap_password_in")
    return told


def _chap_faults(chap: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    for suffix in ("", "_in"):
        if bool(chap.get(f"username{suffix}")) != bool(chap.get(f"password{suffix}")):
            yield f"chap: username{suffix} and password{suffix} belong together"
    if chap.get("username_in") and not chap.get("username"):
        yield "chap: username_in is for mutual CHAP, which needs username too"
    for key, value in chap.items():
        if _options.is_placeholder(value):
            yield f"chap: {key} is still {value}. Write the password there, or leave chap out"
            continue
        if isinstance(value, str) and not re.fullmatch(r"[^\s\x00-\x1f\x7f]{0,255}", value):
            yield f"chap: {key} has a blank or a control character, or is longer than 255"
