# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""iSCSI: sessions (sysfs), the records of open-iscsi (its files), and iscsiadm.

Records are read and edited as files, because iscsiadm takes a password only on its command line.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from .._host import LIMIT, HostError, Reader
from .._model import Claim, Device
from .._plan import Action, Steps, call, run
from . import scsi
from .network import plain
from .units import UNITS

_BASES = ("/etc/iscsi", "/var/lib/iscsi")  # where open-iscsi keeps records; builds of it differ
_SERVICES = ("open-iscsi.service", "iscsi.service")  # Debian, Red Hat
_STAGES = ("sysinit", "remote-fs", "multi-user")
_SESSIONS, _CONNECTIONS = "/sys/class/iscsi_session", "/sys/class/iscsi_connection"
_NULL = ("<NULL>", "(null)")  # what the kernel prints where nothing was set
_AUTH = "node.session.auth."
_OURS = "# Made by poolwright.storage; it goes with the pool."
DEFAULT = "default"  # the interface that has the host's own initiator name
_GIVING_UP = ("connection login retries", "Could not perform SendTargets discovery")
_UNKNOWN = "-1"  # the group of a portal of which nobody has said it
# How the folder of a portal's records is called; without a group it is one record, and a file.
_FOLDER = re.compile(r"([^\s,]+),(\d+)(?:,(-?\d+))?")


@dataclass(frozen=True)
class Chap:
    """Who logs in; ``_in`` is what the target says of itself (mutual CHAP)."""

    username: str = ""
    password: str = ""
    username_in: str = ""
    password_in: str = ""


@dataclass(frozen=True)
class Portal:
    """A target's way in: ``group`` is the number of its portal group."""

    address: str
    port: str
    group: str = "1"

    @property
    def server(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"

    def same(self, other: Portal) -> bool:
        """Whether both are one way in, whatever group they say."""
        return (plain(self.address), self.port) == (plain(other.address), other.port)

    def __str__(self) -> str:
        return f"{self.server},{self.group}"


@dataclass(frozen=True)
class Session:
    """A login.  ``host`` is the number of the SCSI host that it is."""

    number: str
    host: int
    target: str
    portal: Portal
    interface: str
    initiator: str
    chap: Chap


@dataclass(frozen=True)
class Record:
    """What open-iscsi keeps of a target, a portal and an interface."""

    path: str
    target: str
    portal: Portal
    interface: str
    values: t.Mapping[str, str] = field(default_factory=dict)
    ours: bool = False

    @property
    def whole(self) -> bool:
        """Whether open-iscsi takes it for a record; a power cut can leave an empty file."""
        return "node.name" in self.values

    @property
    def automatic(self) -> bool:
        """Whether open-iscsi logs in with it at boot."""
        return self.values.get("node.startup") == "automatic"

    @property
    def chap(self) -> Chap:
        if self.values.get(f"{_AUTH}authmethod") != "CHAP":
            return Chap()
        return Chap(*(self.values.get(f"{_AUTH}{key}", "") for key in vars(Chap())))


class Undo(t.NamedTuple):
    """What a task has made, and takes away again where it comes to nothing."""

    session: bool
    record: bool
    interface: bool


def base(host: Reader) -> str:
    """Where this host's open-iscsi keeps its records."""
    return next((each for each in reversed(_BASES) if host.names(each) is not None), _BASES[0])


def at_boot(host: Reader) -> bool:
    """Whether systemd lets open-iscsi log in at boot."""
    wanted = (host.names(f"{UNITS}/{stage}.target.wants") or [] for stage in _STAGES)
    return any(name in _SERVICES for names in wanted for name in names)


def sessions(host: Reader, target: str) -> t.Iterator[Session]:
    for name in host.names(_SESSIONS) or []:
        folder = f"{_SESSIONS}/{name}"
        if _attribute(host, folder, "targetname") == target:
            number = name[len("session") :]
            connection = f"{_CONNECTIONS}/connection{number}:0"
            portal = Portal(
                _attribute(host, connection, "persistent_address"),
                _attribute(host, connection, "persistent_port"),
                _attribute(host, folder, "tpgt"),
            )
            found = re.search(r"/host(\d+)/", host.real(f"{folder}/device"))
            yield Session(
                number,
                int(found[1]) if found else -1,
                target,
                portal,
                _attribute(host, folder, "ifacename"),
                _attribute(host, folder, "initiatorname"),
                Chap(*(_attribute(host, folder, key) for key in vars(Chap()))),
            )


def _attribute(host: Reader, folder: str, name: str) -> str:
    text = (host.read(f"{folder}/{name}") or "").strip()
    return "" if text in _NULL else text


def records(host: Reader, target: str) -> t.Iterator[Record]:
    """The records of a target, also those that are not whole; what else lies there is left."""
    folder = f"{base(host)}/nodes/{target}"
    for name in host.names(folder) or []:
        found = _FOLDER.fullmatch(name)
        if not found:
            continue
        portal, inside = Portal(found[1], found[2], found[3] or _UNKNOWN), f"{folder}/{name}"
        files = [f"{inside}/{each}" for each in host.names(inside) or []]
        for path in files if found[3] else [inside]:
            text = _text(host, path)
            if text is not None:
                yield _record(path, target, portal, text)


def _record(path: str, target: str, portal: Portal, text: str) -> Record:
    values = _values(text)
    named = DEFAULT if portal.group == _UNKNOWN else path.rpartition("/")[2]
    interface = values.get("iface.iscsi_ifacename", named)
    return Record(path, target, portal, interface, values, _OURS in text.splitlines())


def _text(host: Reader, path: str) -> str | None:
    """The content of a file; ``None`` where there is something else."""
    return host.read(path) if host.names(path) is None else None


def new_record(folder: str, target: str, portal: Portal, interface: str) -> Record:
    """What iscsiadm would make below the folder of all that it keeps."""
    where = f"{portal.address},{portal.port},{portal.group}"
    return Record(f"{folder}/nodes/{target}/{where}/{interface}", target, portal, interface)


def interfaces(host: Reader, initiator: str) -> list[str]:
    """The interfaces that log in under an initiator's name."""
    folder = f"{base(host)}/ifaces"
    found = {name: _text(host, f"{folder}/{name}") or "" for name in host.names(folder) or []}
    key = "iface.initiatorname"
    return [name for name, text in found.items() if _values(text).get(key) == initiator]


def _values(text: str) -> dict[str, str]:
    pairs = (line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    return {key.strip(): value.strip() for key, value in pairs}


def discover(host: Reader, portal: str) -> list[tuple[Portal, str]]:
    """The targets of a server, asked without keeping a record of the answer."""
    words = ("--mode", "discovery", "--type", "sendtargets", "--op", "nonpersistent")
    found = []
    try:
        answer = host.ask("iscsiadm", *words, "--portal", portal, limit=LIMIT)
    except HostError as problem:
        raise HostError(f"{portal} tells no targets: {_why(str(problem))}") from problem
    for line in answer.splitlines():
        match = re.fullmatch(r"\[?([^]\s]+?)\]?:(\d+),(-?\d+) (\S+)", line.strip())
        if match:
            # As libvirt does where it knows no group: open-iscsi would make a record of old style.
            group = "1" if match[3] == _UNKNOWN else match[3]
            found.append((Portal(match[1], match[2], group), match[4]))
    return found


def _why(problem: str) -> str:
    """The line of iscsiadm's that says what is wrong: before it gives up, and says so, it tries."""
    lines = [line.rpartition("iscsiadm: ")[2].strip() for line in problem.split("\n")]
    causes = [line for line in lines if line and not line.startswith(_GIVING_UP)]
    return (causes or lines)[0]


def _node(record: Record, *words: str) -> tuple[str, ...]:
    which = ("--targetname", record.target, "--portal", str(record.portal))
    return ("iscsiadm", "--mode", "node", *which, "--interface", record.interface, *words)


def make_interface(name: str, initiator: str) -> t.Iterator[Action]:
    words = ("iscsiadm", "--mode", "iface", "--interface", name)
    yield run(f"make iSCSI interface {name}", *words, "--op", "new")
    value = ("--name", "iface.initiatorname", "--value", initiator)
    yield run(f"let {name} log in as {initiator}", *words, "--op", "update", *value)


def remove_interface(name: str) -> Action:
    words = ("iscsiadm", "--mode", "iface", "--interface", name, "--op", "delete")
    return run(f"remove iSCSI interface {name}", *words)


def make_record(record: Record) -> Action:
    text = f"make the record of {record.target} at {record.portal}"
    return run(text, *_node(record, "--op", "new"))


def remove_record(record: Record) -> Action:
    text = f"remove the record of {record.target} at {record.portal}"
    return run(text, *_node(record, "--op", "delete"))


def credentials(record: Record, chap: Chap) -> Action:
    """Writes them into the record's file, which only root can read."""
    values = {f"{_AUTH}{key}": value or None for key, value in vars(chap).items()}
    values[f"{_AUTH}authmethod"] = "CHAP" if chap.username else "None"
    what = f"the CHAP credentials of {chap.username}" if chap.username else "no credentials"
    return _edit(record, f"write {what} into {record.path}", values)


def startup(record: Record, wanted: str) -> Action:
    values = {"node.startup": wanted, "node.conn[0].startup": wanted}
    return _edit(record, f"set node.startup to {wanted} in {record.path}", values)


def claim(record: Record) -> Action:
    """Marks a record as one that goes with the pool."""
    return _edit(record, f"mark {record.path} as the pool's own", {}, _OURS)


def _edit(
    record: Record, text: str, values: t.Mapping[str, str | None], comment: str = ""
) -> Action:
    # Not beside the record: whatever is there, open-iscsi takes for one.
    folder = record.path.split("/nodes/")[0]
    making = f"{folder}/.record.new"
    command = f"editor {record.path}  # {', '.join(values) or 'with a comment'}"
    return call(text, "assign", record.path, making, values, comment, command=command)


def login(record: Record, risk: str = "") -> t.Iterator[Action]:
    text = f"log in to {record.target} at {record.portal}"
    yield run(text, *_node(record, "--login"), risk=risk, limit=LIMIT)
    # The look that a login begins may go on behind it; this one ends when it has ended.
    yield run(f"look for the LUNs of {record.target}", *_node(record, "--rescan"), limit=LIMIT)
    yield from _wait(record.target)


def expect_luns(record: Record, undo: Undo) -> Action:
    """Fails where a session has no LUN, and takes away again what the task has made of it."""

    def ready(host: Reader) -> bool:
        own = (each for each in sessions(host, record.target) if each.portal.same(record.portal))
        return any(scsi.has_units(host, session.host) for session in own)

    iface = ("iscsiadm", "--mode", "iface", "--interface", record.interface)
    steps = {
        _node(record, "--logout"): undo.session,
        _node(record, "--op", "delete"): undo.record,
        (*iface, "--op", "delete"): undo.interface,
    }
    otherwise = (
        f"target {record.target} at {record.portal.server} offers no LUN to this host, and libvirt "
        "runs no pool without one. Let the server map one to this host's initiator"
    )
    text = f"see that {record.target} has LUNs"
    command = f"iscsiadm --mode session --print 3  # that {record.target} has LUNs"
    wanted = tuple(argv for argv, made in steps.items() if made)
    return call(text, "expect", ready, otherwise, wanted, command=command)


def logout(sessions: t.Sequence[Session], luns: t.Sequence[Device], risk: str = "") -> Steps:
    """Leaves sessions, which takes away their ``luns``."""
    claims = tuple(Claim(device, alone=False) for device in luns)
    for session in sessions:
        text = f"log out of {session.target} at {session.portal}"
        words = ("iscsiadm", "--mode", "session", "--sid", session.number, "--logout")
        yield run(text, *words, risk=risk, limit=LIMIT, claims=claims)
        claims = ()  # with the first of the sessions all of them are looked at


def rescan(session: Session) -> t.Iterator[Action]:
    words = ("iscsiadm", "--mode", "session", "--sid", session.number, "--rescan")
    yield run(f"look for new LUNs of {session.target}", *words, limit=LIMIT)
    yield from _wait(session.target)


def _wait(target: str) -> t.Iterator[Action]:
    def ready(host: Reader) -> bool:
        return all(scsi.attached(host, session.host) for session in sessions(host, target))

    return scsi.wait(ready)
