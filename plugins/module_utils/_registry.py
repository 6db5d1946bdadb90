# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where definitions live: in libvirt's own files, or with a running libvirtd, which is told."""

from __future__ import annotations

import abc
import base64
import contextlib
import re
import typing as t
import uuid

from ._host import Reader
from ._model import Encryption, Lacking, Pool, Refused, Stored, Volume
from ._plan import Steps, sentence
from ._tools import files, packages, virsh
from ._xml import poolxml, secretxml, tree, volumexml

FOLDER = "/etc/libvirt/storage"
SECRETS = "/etc/libvirt/secrets"
RUNNING = "/run/libvirt/storage"  # what libvirtd has active, transient pools as well

# Types whose volumes libvirt looks at only in a refresh.
_KEPT = ("disk", "iscsi", "logical", "mpath", "scsi")

# Where the storage driver of the system's daemon listens: the modular one, then the monolithic one.
_SOCKETS = ("/run/libvirt/virtstoraged-sock", "/run/libvirt/libvirt-sock")
_QEMU = "/run/libvirt/virtqemud-sock"  # who passes on to the modular one what it is asked
_LISTENING = 0x10000  # __SO_ACCEPTCON in the flags of /proc/net/unix


class Kept(t.NamedTuple):
    """A libvirt secret: ``value`` is ``None`` where it has none yet."""

    uuid: str
    value: str | None


class Registry(abc.ABC):
    """What is registered, and the steps that change it."""

    daemon: bool

    @abc.abstractmethod
    def names(self, host: Reader) -> list[str]:
        """The names of all defined pools."""

    @abc.abstractmethod
    def look(self, host: Reader, name: str) -> Stored:
        """What is registered under a name."""

    @abc.abstractmethod
    def define(self, pool: Pool, stored: Stored) -> Steps:
        """Steps that make the stored definition mean ``pool``."""

    @abc.abstractmethod
    def autostart(self, name: str, wanted: bool) -> Steps:
        """Steps that set or take away libvirt's own mark for a start at boot."""

    @abc.abstractmethod
    def forget(self, stored: Stored, name: str) -> Steps:
        """Steps after which nothing is registered under the name."""

    def others(self, host: Reader, name: str) -> list[Pool]:
        """All other pools, defined or only running; one that does both is there twice."""
        found = []
        for folder in (FOLDER, RUNNING):
            for other in _defined(host, folder):
                if other != name:
                    with contextlib.suppress(ValueError):  # libvirt does not load such a file
                        text = _definition(host, f"{folder}/{other}.xml")
                        found.append(poolxml.parse(text or ""))
        return found

    def running(self, host: Reader) -> list[str]:
        """The names of the pools that libvirtd has active."""
        return []

    def secret(self, pool: Pool, password: str, stored: Stored) -> Steps:
        """Steps after which libvirtd has the password that the pool logs in with."""
        return iter(())

    def secrets(self, host: Reader) -> dict[str, Kept]:
        """The secrets that libvirtd has, by what names their use: of a volume its path."""
        return {}

    def whisper(self, pool: Pool, name: str, passphrase: str, there: Kept | None) -> Steps:
        """Steps after which libvirtd has the passphrase of a volume; ``there`` is its secret."""
        return iter(())

    def unsay(self, pool: Pool, name: str, there: Kept) -> Steps:
        """Steps after which libvirtd has no secret of ours for a volume that goes."""
        return iter(())

    def start(self, name: str) -> Steps:
        return iter(())

    def stop(self, name: str) -> Steps:
        return iter(())

    def refresh(self, name: str) -> Steps:
        return iter(())


class Files(Registry):
    """libvirt's own files in libvirt's own place, for a host whose daemon does not run."""

    daemon = False

    def names(self, host: Reader) -> list[str]:
        return _defined(host, FOLDER)

    def look(self, host: Reader, name: str) -> Stored:
        path = _paths(name)[0]
        text = _definition(host, path)
        autostart = f"{name}.xml" in (host.names(f"{FOLDER}/autostart") or [])
        if text is None:
            return Stored(autostart=autostart)
        return Stored(_parsed(text, path), text, autostart)

    def define(self, pool: Pool, stored: Stored) -> Steps:
        if stored.pool != poolxml.normal(pool):
            path = _paths(pool.name)[0]
            text = poolxml.render(pool, stored.xml)
            yield files.write(path, text, "0600", f"define pool {pool.name}")

    def autostart(self, name: str, wanted: bool) -> Steps:
        path, link = _paths(name)
        if wanted:
            yield files.link(link, path, f"mark pool {name} for autostart")
        else:
            yield files.remove(link, f"no longer mark pool {name} for autostart")

    def forget(self, stored: Stored, name: str) -> Steps:
        path = _paths(name)[0]
        if stored.autostart:
            yield from self.autostart(name, False)
        if stored.pool:
            yield files.remove(path, f"undefine pool {name}")


class Daemon(Registry):
    """A running libvirtd (or virtstoraged); it keeps the files itself."""

    daemon = True

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def names(self, host: Reader) -> list[str]:
        return sorted(virsh.pools(host, self.uri).defined)

    def running(self, host: Reader) -> list[str]:
        return _defined(host, RUNNING)

    def look(self, host: Reader, name: str) -> Stored:
        pools = virsh.pools(host, self.uri)
        active = name in pools.active
        running = _running(host, name) if active else None
        if name not in pools.defined:
            return Stored(active=active, running=running)
        xml = virsh.definition(host, self.uri, name)
        pool = _parsed(xml, f"libvirt's pool {name}")
        listing, known = self._volumes(host, pool) if active else (None, ())
        secret, marked = self._secret(host, pool), name in pools.autostart
        return Stored(pool, xml, marked, active, listing, known, secret, running)

    def _volumes(self, host: Reader, pool: Pool) -> tuple[frozenset[str], tuple[Volume, ...]]:
        """Libvirt's view of the volumes of an active pool.

        At a file it looks again whenever it is asked; of others it knows what it saw last.
        """
        listing, names = virsh.listing(host, self.uri, pool.name)
        if pool.type not in _KEPT:
            return listing, ()
        return listing, volumexml.parse_all(virsh.volumes(host, self.uri, pool.name, names))

    def _secret(self, host: Reader, pool: Pool) -> str | None:
        own = _secret_of(pool)
        return _value(host, own) if own else None

    def secret(self, pool: Pool, password: str, stored: Stored) -> Steps:
        own = _secret_of(pool)
        if own and pool.auth and password and password != stored.secret:
            if stored.secret is None:
                text = f"Password of the storage pool {pool.name}"
                xml = secretxml.render(own, "iscsi", pool.auth.usage, text)
                yield virsh.define_secret(self.uri, f"pool {pool.name}", xml)
            yield virsh.set_secret(self.uri, f"pool {pool.name}", own, password)
        if stored.secret is not None and stored.pool and not own:
            yield virsh.undefine_secret(self.uri, f"pool {pool.name}", _secret_of(stored.pool))

    def secrets(self, host: Reader) -> dict[str, Kept]:
        return _secrets(host)

    def whisper(self, pool: Pool, name: str, passphrase: str, there: Kept | None) -> Steps:
        own, whose = there.uuid if there else _secret_for(pool, name), f"volume {name}"
        if not there:
            path = f"{pool.path}/{name}"
            xml = secretxml.render(own, "volume", path, f"Passphrase of the storage volume {path}")
            yield virsh.define_secret(self.uri, whose, xml)
        if not there or there.value != passphrase:
            yield virsh.set_secret(self.uri, whose, own, passphrase)

    def unsay(self, pool: Pool, name: str, there: Kept) -> Steps:
        if there.uuid == _secret_for(pool, name):
            yield virsh.undefine_secret(self.uri, f"volume {name}", there.uuid)

    def define(self, pool: Pool, stored: Stored) -> Steps:
        if stored.pool != poolxml.normal(pool):
            yield virsh.define(self.uri, pool.name, poolxml.render(pool, stored.xml))

    def autostart(self, name: str, wanted: bool) -> Steps:
        yield virsh.autostart(self.uri, name, wanted)

    def forget(self, stored: Stored, name: str) -> Steps:
        if stored.pool:
            if stored.secret is not None:
                yield virsh.undefine_secret(self.uri, f"pool {name}", _secret_of(stored.pool))
            yield virsh.undefine(self.uri, name)

    def start(self, name: str) -> Steps:
        yield virsh.start(self.uri, name)

    def stop(self, name: str) -> Steps:
        yield virsh.stop(self.uri, name)

    def refresh(self, name: str) -> Steps:
        yield virsh.refresh(self.uri, name)


def find(host: Reader, libvirt: str, uri: str) -> Registry:
    """The registry that the options ``libvirt`` and ``libvirt_uri`` ask for on this host."""
    if libvirt == "ignored":
        return Files()
    found = _listening(host)
    listening = not found.isdisjoint(_SOCKETS)
    if listening and host.has("virsh"):
        # Root's session is the system's daemon, and of its names virsh takes any.
        return Daemon("storage:///system" if found == {_SOCKETS[0]} else uri)
    if listening:
        raise Lacking(
            "Nothing was changed: libvirt's storage daemon runs on this host, but virsh is "
            f"missing. {packages.way(['virsh'])} Or set libvirt: ignored."
        )
    if libvirt == "required":
        raise Refused(
            "Nothing was changed: libvirt: required, but no libvirt storage daemon listens on "
            f"{' or '.join(_SOCKETS)}. Start libvirtd or virtstoraged, or set libvirt: auto."
        )
    return Files()


def unknown(names: t.Sequence[str], name: str) -> str:
    """What is told of a pool that is not defined, and which are."""
    there = ", ".join(names)
    known = f"Defined are: {there}." if there else "None is defined."
    return f"Nothing was changed: no pool {name!r} is defined on this host. {known}"


def _listening(host: Reader) -> set[str]:
    """The sockets on which somebody listens; seen without asking, which would start a daemon.

    Anybody can give a socket a name with line feeds, so that lines are there that are none.
    """
    text = host.read("/proc/net/unix") or ""
    found = re.findall(r"^\S+: \S+ \S+ ([0-9A-F]{8}) \S+ \S+ +\d+ (/.*)$", text, re.MULTILINE)
    listening = {path for flags, path in found if int(flags, 16) & _LISTENING}
    return {path for path in (*_SOCKETS, _QEMU) if path in listening and host.node(path)}


def _secret_of(pool: Pool) -> str:
    """The UUID of the secret that is this collection's; "" where the pool has none of ours."""
    ours = pool.auth and pool.auth.usage == f"poolwright.storage/{pool.name}"
    return str(uuid.uuid5(uuid.UUID(pool.uuid), "secret")) if ours and pool.uuid else ""


def _secret_for(pool: Pool, name: str) -> str:
    """The UUID of the secret that this collection makes for a volume."""
    return str(uuid.uuid5(uuid.UUID(pool.uuid), f"secret of volume {name}"))


def passphrase(host: Reader, said: Encryption) -> str:
    """The passphrase that a task gives, or that the libvirt secret has which it names."""
    if not said.secrets:
        return said.passphrase
    [named] = said.secrets
    found = _value(host, named.uuid) if named.uuid else None
    if named.usage:
        kept = _secrets(host).get(named.usage)
        found = kept.value if kept else None
    if found is None:
        raise Refused(
            f"Nothing was changed: {SECRETS} has no value of a libvirt secret "
            f"{named.uuid or named.usage!r}. Give it one with virsh secret-set-value, or give a "
            "passphrase."
        )
    return found


def _secrets(host: Reader) -> dict[str, Kept]:
    found = {}
    for name in host.names(SECRETS) or []:
        text = _definition(host, f"{SECRETS}/{name}") if name.endswith(".xml") else None
        with contextlib.suppress(ValueError):  # libvirt does not load such a file
            own, usage = secretxml.parse(text or "")
            found[usage] = Kept(own, _value(host, own))
    return found


def _value(host: Reader, own: str) -> str | None:
    """What a secret holds; libvirtd itself does not tell it of a private one."""
    text = host.read(f"{SECRETS}/{own}.base64")
    return None if text is None else base64.b64decode(text).decode("utf-8", "replace")


def _definition(host: Reader, path: str) -> str | None:
    """The text of a file, as far as it takes to see that it is too long for a definition."""
    return host.read(path, tree.LIMIT + 1)


def _defined(host: Reader, folder: str) -> list[str]:
    """The names of the pools that have a definition in a directory of libvirt's."""
    return [file[:-4] for file in host.names(folder) or [] if file.endswith(".xml")]


def _running(host: Reader, name: str) -> Pool | None:
    """The pool as libvirtd started it, in which a definition that came later changes nothing."""
    path = f"{RUNNING}/{name}.xml"
    text = _definition(host, path)
    return None if text is None else _parsed(text, path)


def _paths(name: str) -> tuple[str, str]:
    return f"{FOLDER}/{name}.xml", f"{FOLDER}/autostart/{name}.xml"


def _parsed(text: str, where: str) -> Pool:
    try:
        return poolxml.parse(text)
    except ValueError as error:
        text = sentence(f"Nothing was changed: {where} cannot be read, because {error}")
        raise Refused(text) from error
