# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools that are an iSCSI target, logged in to."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from .. import _options
from .._host import Reader
from .._model import Auth, Offer, Pool, Seen, SourceHost
from .._plan import Steps
from .._tools import iscsi
from .._volumes import luns
from .base import Backend

_PORT = 3260
_SECRETS = ("password", "password_in")


@dataclass(frozen=True)
class SeenTarget(Seen):
    """``record`` is the one there is, or would be; ``known`` tells which.

    ``own_interface`` tells that there is one that was made for this pool.
    """

    record: iscsi.Record | None = None
    known: bool = False
    interface_known: bool = True
    own_interface: bool = False
    session: iscsi.Session | None = None


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
            options = {"host": where.address, "port": int(where.port), "target": target}
            yield Offer(cls.type, options)

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
        addresses = self._addresses(host)
        names = iscsi.interfaces(host, pool.initiator) if pool.initiator else [iscsi.DEFAULT]
        here = self._here(addresses, names or [self._own_interface])
        session = next(filter(here, iscsi.sessions(host, target)), None)
        here = self._here(addresses, [session.interface] if session else names)
        record = next(filter(here, iscsi.records(host, target)), None)
        seen = SeenTarget(
            state="ready" if record else "missing",
            active=session is not None,
            record=record,
            known=record is not None,
            interface_known=bool(names),
            own_interface=self._own_interface in names,
            session=session,
            warnings=self._warnings(host),
        )
        if not record and not self.leaving:
            portal = session.portal if session else self._portal(host, target, addresses)
            interface = session.interface if session else (names or [self._own_interface])[0]
            seen = replace(seen, record=iscsi.new_record(host, target, portal, interface))
        return self._with_luns(host, seen, session) if session else seen

    def _warnings(self, host: Reader) -> tuple[str, ...]:
        if self.leaving or not self.given.get("autostart") or iscsi.at_boot(host):
            return ()
        return (
            f"Nothing logs in to the target of pool {self.pool.name} after a reboot, because "
            "open-iscsi's service is not enabled. Run systemctl enable open-iscsi (iscsi on Red "
            "Hat and its like).",
        )

    def _here(
        self, addresses: t.Sequence[str], interfaces: t.Sequence[str]
    ) -> t.Callable[[iscsi.Session | iscsi.Record], bool]:
        """Whether a session or a record is of this server and under this name."""

        def here(each: iscsi.Session | iscsi.Record) -> bool:
            way = each.portal
            server = not addresses or way.address in addresses
            return server and way.port == str(self._port) and each.interface in interfaces

        return here

    @property
    def _own_interface(self) -> str:
        return f"poolwright-{self.pool.uuid[:8]}"

    @property
    def _port(self) -> int:
        return (self.pool.hosts[0].port if self.pool.hosts else 0) or _PORT

    def _addresses(self, host: Reader) -> list[str]:
        """All that the server is known by; none where its name has no address any more.

        Such a pool can be left: its target is known, and no other pool is on that.
        """
        name = self.pool.hosts[0].name if self.pool.hosts else ""
        found = host.addresses(name, required=not self.leaving)
        return list(dict.fromkeys([*found, name])) if found else []

    def _portal(self, host: Reader, target: str, addresses: t.Sequence[str]) -> iscsi.Portal:
        """The way in to a target of which there is no record yet: the server is asked."""
        pool, port = self.pool, str(self._port)
        first = iscsi.Portal(addresses[0], port)
        found = iscsi.discover(host, first.server)
        portals = [portal for portal, name in found if name == target]
        if not portals and not pool.initiator:
            there = ", ".join(sorted({name for dummy, name in found})) or "no target"
            raise self.nothing(
                f"{pool.hosts[0].name} does not offer {target} of pool {pool.name}, but {there}. "
                "Correct target, or let the server offer it to this host."
            )
        same = [each for each in portals if (each.address, each.port) == (first.address, port)]
        return same[0] if same else replace(first, group=portals[0].group) if portals else first

    def _with_luns(self, host: Reader, seen: SeenTarget, session: iscsi.Session) -> SeenTarget:
        volumes = tuple(luns.read(host, session.host, self.pool.path))
        size = sum(volume.capacity for volume in volumes)
        return replace(
            seen,
            users=tuple(luns.users(host, volumes)),
            capacity=size,
            allocation=size,
            volumes=volumes,
            warnings=(*seen.warnings, *luns.warnings(self.pool, volumes)),
        )

    def build(self, seen: SeenTarget) -> Steps:
        if not seen.record:
            return
        if not seen.interface_known:
            yield from iscsi.make_interface(seen.record.interface, self.pool.initiator)
        yield iscsi.make_record(seen.record)
        yield iscsi.claim(seen.record)
        if self._chap:
            yield iscsi.credentials(seen.record, self._chap)
        elif self.pool.auth:
            raise self._no_password()
        yield from self._anew(seen)

    def amend(self, seen: SeenTarget) -> Steps:
        if seen.record and self._chap is not None and self._chap != seen.record.chap:
            yield iscsi.credentials(seen.record, self._chap)
        yield from self._anew(seen)

    def _anew(self, seen: SeenTarget) -> Steps:
        """A session keeps the credentials that it began with."""
        if not (seen.session and seen.record) or self._chap in (None, seen.session.chap):
            return
        self._unused(seen)
        yield iscsi.logout(seen.session, risk="interrupt")
        yield from iscsi.login(seen.record, risk="interrupt")

    def start(self, seen: SeenTarget, daemon: bool) -> Steps:
        if seen.record:
            yield from iscsi.login(seen.record)

    def stop(self, seen: SeenTarget, daemon: bool) -> Steps:
        self._unused(seen)
        if seen.session:
            yield iscsi.logout(seen.session)

    def boot(self, seen: SeenTarget, autostart: bool, daemon: bool) -> Steps:
        # Also with a daemon: it would write the record anew, without what it does not know of CHAP.
        if self.given.get("state") in ("absent", "undefined"):
            yield from self._forget(seen)
            return
        wanted = "automatic" if autostart else "manual"
        if seen.record and seen.record.values.get("node.startup") != wanted:
            yield iscsi.startup(seen.record, wanted)

    def delete(self, seen: SeenTarget) -> Steps:
        return self._forget(seen)

    def _forget(self, seen: SeenTarget) -> Steps:
        """Takes away what this collection has made; what others have is left."""
        record = seen.record if seen.known else None
        if record and (record.ours or record.interface == self._own_interface):
            yield iscsi.remove_record(record)
        elif record and record.values.get("node.startup") == "automatic":
            yield iscsi.startup(record, "manual")
        in_use = seen.session and not record
        if seen.own_interface and not in_use:
            yield iscsi.remove_interface(self._own_interface)

    def rescan(self, seen: SeenTarget) -> Steps:
        if seen.session:
            yield from iscsi.rescan(seen.session)

    def _unused(self, seen: SeenTarget) -> None:
        if seen.users:
            raise self.nothing(
                f"pool {self.pool.name} is in use: {', '.join(seen.users)}. Stop what uses it, "
                "then run the task again."
            )

    def _no_password(self) -> Exception:
        return self.nothing(
            f"pool {self.pool.name} logs in with CHAP, and this host has no record with its "
            "password. Give chap with username and password."
        )


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


def _chap_faults(chap: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    for suffix in ("", "_in"):
        if bool(chap.get(f"username{suffix}")) != bool(chap.get(f"password{suffix}")):
            yield f"chap: username{suffix} and password{suffix} belong together"
    if chap.get("username_in") and not chap.get("username"):
        yield "chap: username_in is for mutual CHAP, which needs username too"
    for key, value in chap.items():
        if isinstance(value, str) and not re.fullmatch(r"[^\s\x00-\x1f\x7f]{0,255}", value):
            yield f"chap: {key} has a blank or a control character, or is longer than 255"
