# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real Reader and Writer, on a folder of their own."""

from __future__ import annotations

import contextlib
import errno
import io
import mmap
import os
import socket
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.poolwright.storage.plugins.module_utils import (
    _host,
    _kernel,
    _process,
    _writer,
)
from ansible_collections.poolwright.storage.plugins.module_utils._host import (
    HEADER,
    MIB,
    ZEROS,
    HostError,
    Reader,
)
from ansible_collections.poolwright.storage.plugins.module_utils._model import (
    Claim,
    Device,
    File,
    NewVolume,
    Place,
    Refused,
    VolumeGroup,
)
from ansible_collections.poolwright.storage.plugins.module_utils._plan import (
    Stopped,
    apply,
    call,
    guard,
    run,
)
from ansible_collections.poolwright.storage.plugins.module_utils._process import (
    execute,
    execute_within,
)
from ansible_collections.poolwright.storage.plugins.module_utils._writer import (
    Writer,
    zero_both_ends,
)


class Heard:
    """An Exec that answers all commands alike and keeps what it heard."""

    def __init__(self, code: int = 0, output: str = "", errors: str = "") -> None:
        self.answer = code, output, errors
        self.commands: list[tuple[str, ...]] = []

    def __call__(self, argv: t.Sequence[str], stdin: str) -> tuple[int, str, str]:
        self.commands.append((*argv, stdin) if stdin else tuple(argv))
        return self.answer


@pytest.fixture
def writer() -> Writer:
    return Writer(Heard())


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


CONNECT = "error: failed to connect to the hypervisor\n"
RESET = "error: Cannot recv data: Connection reset by peer"


@pytest.mark.parametrize(
    ("errors", "times"),
    [
        (CONNECT + RESET, 2),
        (CONNECT + "error: End of file while reading data: Input/output error", 2),
        (CONNECT + "error: Failed to connect socket to '/run/libvirt/x': No such file", 1),
        (f"error: Failed to start pool a\n{RESET}", 1),  # it may have been done
    ],
)
def test_a_daemon_that_ended_just_then_is_asked_again(errors: str, times: int) -> None:
    heard = Heard(1, "", errors)
    with pytest.raises(HostError):
        Writer(heard).run(("virsh", "--connect", "test:///default", "pool-start"))
    assert len(heard.commands) == times


@pytest.mark.parametrize(
    "argv",
    [
        ("rm", "-rf", "/"),
        ("virsh", "pool-list"),
        ("virsh", "--connect", "qemu:///system", "pool-destroy", "a"),
        ("wipefs", "--all", "/dev/sda"),
        ("lvm", "vgremove", "guests"),
        ("lvm",),
    ],
)
def test_only_commands_that_look_are_asked(argv: tuple[str, ...]) -> None:
    heard = Heard()
    with pytest.raises(HostError, match="not a command that only looks"):
        Reader(heard).ask(*argv)
    assert heard.commands == []


def test_the_same_question_is_asked_once() -> None:
    heard = Heard(output="answer")
    reader = Reader(heard)
    assert [reader.ask("lvm", "fullreport") for dummy in range(3)] == ["answer"] * 3
    assert len(heard.commands) == 1


def test_a_failure_is_an_error_and_never_nothing() -> None:
    with pytest.raises(HostError, match="lvm fullreport: it broke"):
        Reader(Heard(5, "", " it broke\n")).ask("lvm", "fullreport")
    with pytest.raises(HostError, match="lvm fullreport: read error"):
        Reader(Heard(2, errors="read error")).ask("lvm", "fullreport", nothing="no group")
    with pytest.raises(HostError, match="without a word"):
        Reader(Heard(2)).ask("lvm", "fullreport", nothing="no group")
    heard = Heard(2, "ignored", "no group at all")
    assert Reader(heard).ask("lvm", "fullreport", nothing="no group") == ""


def test_what_is_not_there(tmp_path: Path) -> None:
    reader, path = Reader(Heard()), str(tmp_path / "nothing")
    assert (reader.read(path), reader.names(path), reader.node(path)) == (None, None, None)
    (tmp_path / "file").touch()
    below = f"{tmp_path}/file/below"
    assert (reader.read(below), reader.names(below), reader.node(below)) == (None, None, None)


def test_what_cannot_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    loop = str(tmp_path / "loop")
    for look in (Reader(Heard()).read, Reader(Heard()).names, Reader(Heard()).node):
        with pytest.raises(HostError, match="loop"):
            look(loop)


def test_entries(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"QFI\xfb" + bytes(HEADER))
    (tmp_path / "folder").mkdir()
    (tmp_path / "good link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "control\x01").touch()
    os.link(tmp_path / "file", tmp_path / "second name")
    (tmp_path / os.fsdecode(b"latin\xe9")).touch()
    os.mkfifo(tmp_path / "pipe")
    here = os.getcwd()
    os.chdir(tmp_path)  # a socket's path must be short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
            entries = {entry.name: entry for entry in Reader(Heard()).entries(str(tmp_path))}
    finally:
        os.chdir(here)
    hidden = {name: entry.hidden for name, entry in entries.items() if entry.hidden}
    assert hidden == {
        "dangling": "a link that leads nowhere",
        "loop": "a link that leads nowhere",
        "control\x01": "a name that libvirt passes over",
        "pipe": "a pipe, a socket or a device",
        "socket": "a pipe, a socket or a device",
    }
    found = {name: entry for name, entry in entries.items() if name not in hidden}
    listed = {"file", "second name", "folder", "good link", os.fsdecode(b"latin\xe9")}
    assert set(found) == listed
    assert found["file"].header[:4] == b"QFI\xfb"
    assert len(found["file"].header) == HEADER
    kinds = {name: entry.node.kind for name, entry in found.items() if entry.node}
    assert (kinds["folder"], kinds["good link"]) == ("dir", "file")
    file, link = found["file"], found["good link"]
    assert (link.link, link.real, file.linked) == ("file", file.real, 2)
    assert link.file != file.file


def test_each_entry_may_take_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcd":
        (tmp_path / name).write_text("")
    slow = 0.2
    real = os.stat

    def stat(path: str, **options: t.Any) -> os.stat_result:
        time.sleep(slow)
        return real(path, **options)

    reader = Reader(Heard())
    monkeypatch.setattr(_host, "LIMIT", 0.5)
    monkeypatch.setattr("os.stat", stat)
    found = reader.within("files", lambda: reader.entries(str(tmp_path)))
    assert [entry.name for entry in found] == ["a", "b", "c", "d"]
    slow = 60
    with pytest.raises(_host.HostError, match=r"files: no answer within 0.5 seconds"):
        reader.within("files", lambda: reader.entries(str(tmp_path)))


def mounted_at(monkeypatch: pytest.MonkeyPatch, *targets: str) -> None:
    """Puts mounts of a server in place of those of this machine."""
    lines = [f"22 1 0:5 / {target} rw - nfs4 nas:/x rw\n" for target in targets]
    real = _kernel._text
    said = {"/proc/self/mountinfo": "".join(lines)}
    monkeypatch.setattr(_kernel, "_text", lambda path: said.get(path) or real(path))


def test_what_leads_to_a_server_is_found_without_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server, here = tmp_path / "server", tmp_path / "here"
    (tmp_path / "link").symlink_to("here/../server/below")
    (tmp_path / "loop").symlink_to("loop")
    here.mkdir()
    (here / "link").symlink_to(server)
    mounted_at(monkeypatch, str(server))
    reader = Reader(Heard())
    for path in ("server", "server/a/b", "link", "here/link/c", "here/./link//c"):
        assert reader.server(f"{tmp_path}/{path}") == str(server)
    for path in ("", "here", "server-2", "loop", "link-2", "here/../server-2/x"):
        assert reader.server(f"{tmp_path}/{path}") == ""
    assert reader.server("/dev/../srv") == ""


def test_a_server_that_is_dead_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to("server")
    mounted_at(monkeypatch, f"{tmp_path}/server")
    monkeypatch.setattr(_host, "LIMIT", 0.2)
    monkeypatch.setattr("os.stat", lambda *_words, **_more: time.sleep(60))
    monkeypatch.setattr("os.listdir", lambda *_words, **_more: time.sleep(60))
    reader, began = Reader(Heard()), time.monotonic()
    for look in (reader.node, reader.names, reader.file, reader.entries, reader.real):
        with pytest.raises(_host.NoAnswer, match="no answer"):
            look(f"{tmp_path}/link/a")
    assert time.monotonic() - began < 5
    assert reader.dead == {f"{tmp_path}/server"}


def test_what_is_there_of_a_server_that_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mounted_at(monkeypatch, str(tmp_path))
    (tmp_path / "file").write_text("one\r\n", encoding="utf-8")
    reader, path = Reader(Heard()), str(tmp_path / "file")
    assert (reader.read(path), reader.names(str(tmp_path))) == ("one\r\n", ["file"])
    assert (reader.names(f"{tmp_path}/x"), reader.node(f"{tmp_path}/x")) == (None, None)
    assert [entry.name for entry in reader.entries(str(tmp_path))] == ["file"]
    with pytest.raises(HostError, match="Is a directory"):
        reader.read(str(tmp_path))


def test_mounts(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
        "90 22 0:50 /sub /srv/a\\040b\\134c ro,nosuid - btrfs /dev/a\\040b rw\n"
        "91 22 0:51 / /empty rw - tmpfs  rw\n"
    )
    monkeypatch.setattr(Reader, "read", lambda _self, _path: text)
    root, bound, empty = Reader(Heard()).mounts()
    assert (root.device, root.target, root.format, root.source) == ("8:1", "/", "ext4", "/dev/sda1")
    assert {"relatime", "errors=remount-ro"} <= root.options
    assert (bound.root, bound.target, bound.source) == ("/sub", "/srv/a b\\c", "/dev/a b")
    assert {"ro", "nosuid"} <= bound.options
    assert empty.source == ""


def test_what_a_process_has_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path, own = tmp_path / "open", str(os.getpid())
    monkeypatch.setattr(_kernel, "_pids", lambda *_own: [own])
    with path.open("w", encoding="utf-8"):
        there = os.stat(path)
        [found] = [each for each in Reader(Heard()).opened() if each.path == str(path)]
    assert (found.device, found.inode, found.number) == (there.st_dev, there.st_ino, "")
    assert found.who.endswith(f" ({os.getpid()})")


def test_what_processes_have_open_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(_pid: str) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_kernel, "_target", hidden)
    for look in (Reader(Heard()).opened, Reader(Heard()).mounts_elsewhere):
        with pytest.raises(HostError, match="a container needs CAP_SYS_PTRACE: Permission denied"):
            look()


def test_what_clients_of_our_nfs_server_have_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_kernel, "_CLIENTS", str(tmp_path))
    assert _kernel.served() == []
    client = tmp_path / "3"
    client.mkdir()
    (client / "info").write_text('clientid: 0x1\naddress: "192.0.2.7:876"\n', encoding="utf-8")
    begin, end = "- 0x0:  { type:", 'superblock: "fd:10:13649", filename: "a" }\n'
    (client / "states").write_text(
        f"{begin} open, access: r-, deny: --, {end}{begin} lock, {end}"
        f"{begin} open, access: rw, deny: --, {end}{begin} layout, superblock: ?\n",
        encoding="utf-8",
    )
    found = _kernel.served()
    assert {(each.who, each.device, each.inode) for each in found} == {
        ("NFS client 192.0.2.7:876", os.makedev(0xFD, 0x10), 13649)
    }
    assert [each.writes for each in found] == [False, False, True]


def test_what_a_process_has_mapped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "mapped"
    path.write_bytes(bytes(4096))
    monkeypatch.setattr(_kernel, "_pids", lambda *_own: [str(os.getpid())])
    with path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 4096)
    there = os.stat(path)
    with mapped:
        found = [each for each in _kernel.opened(0, lambda: None) if each.path == str(path)]
    assert [each.inode for each in found] == [there.st_ino] * 2  # mmap keeps a descriptor, too


@pytest.mark.parametrize(
    ("group", "counts"),
    [
        ("0::/system.slice/systemd-udevd.service/udev\n", False),
        ("4:memory:/\n1:name=systemd:/system.slice/systemd-udevd.service\n", False),
        ("0::/machine.slice/guest/system.slice/systemd-udevd.service\n", True),
        ("0::/system.slice/systemd-udevd.service.d/mine\n", True),
        ("0::/user.slice\n", True),
    ],
)
def test_udev_is_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, group: str, counts: bool
) -> None:
    path = tmp_path / "disk"
    path.touch()
    said = {"comm": "(udev-worker)\n", "cgroup": group, "mountinfo": ""}
    monkeypatch.setattr(_kernel, "_pids", lambda *_own: [str(os.getpid())])
    monkeypatch.setattr(_kernel, "_text", lambda path: said.get(path.rpartition("/")[2]))
    with path.open("rb"):
        found = [each.who for each in _kernel.opened(0, lambda: None) if each.path == str(path)]
    assert bool(found) == counts


def test_one_self_is_nobody() -> None:
    own = os.getpid()
    assert str(own) not in _kernel._pids()
    # What looks is a child.
    assert str(own) not in Reader(Heard()).within("processes", lambda: _kernel._pids(own))


def test_users() -> None:
    reader = Reader(Heard())
    assert (reader.user_id("root"), reader.group_id("root"), reader.user_id("12")) == (0, 0, 12)
    assert (reader.user_id("no-such-name"), reader.group_id("no-such-name")) == (None, None)


def test_write_is_whole_and_private(writer: Writer, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "pool.xml"
    writer.write(str(path), "one", "0600")
    assert (path.read_text(encoding="utf-8"), mode(path)) == ("one", 0o600)
    before = path.open(encoding="utf-8")
    (path.parent / "pool.xml.new").write_text("left by an interrupted run", encoding="utf-8")
    writer.write(str(path), "two", "0644")
    with before:
        assert before.read() == "one"  # who reads meanwhile sees the old one, whole
    assert (path.read_text(encoding="utf-8"), mode(path)) == ("two", 0o644)
    assert os.listdir(path.parent) == ["pool.xml"]


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        (Heard(output="  abc-1\n"), ""),
        (Heard(output="  xyz-2\n"), "volume group guests: it is another one by now"),
        (Heard(5, errors='  Volume group "guests" not found\n'), "not found"),
    ],
)
def test_a_group_is_the_one_that_was_seen(heard: Heard, words: str) -> None:
    claim = Claim(VolumeGroup("guests", "abc-1"), alone=False)
    plan = [run("remove volume group guests", "vgremove", "--force", "guests", claims=(claim,))]
    if words:
        with pytest.raises(Stopped, match=words):
            apply(plan, Writer(heard))
    else:
        apply(plan, Writer(heard))
    assert ("vgremove", "--force", "guests") in heard.commands or words
    assert not words or len(heard.commands) == 1


def test_mkdir(writer: Writer, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c"
    writer.mkdir(str(path), "0750", -1, -1)
    assert (mode(path), mode(path.parent), mode(tmp_path / "a")) == (0o750, 0o755, 0o755)
    with pytest.raises(HostError, match="File exists"):
        writer.mkdir(str(path), "0750", -1, -1)


@pytest.mark.parametrize("size", [1000, MIB, MIB + 1, 3 * MIB])
def test_both_ends(writer: Writer, tmp_path: Path, size: int) -> None:
    path = tmp_path / "disk"
    path.write_bytes(b"\xff" * size)
    assert writer.ends(str(path)) != ZEROS
    with path.open("r+b", buffering=0) as file:
        zero_both_ends(file)
    left = path.read_bytes()
    assert len(left) == size
    assert not any(left[:MIB] + left[-MIB:])
    assert left.count(b"\xff") == max(0, size - 2 * MIB)
    assert writer.ends(str(path)) == ZEROS


@pytest.mark.parametrize("at", [0, MIB - 1, 2 * MIB, 3 * MIB - 1])
def test_one_byte_at_an_end_is_not_blank(writer: Writer, tmp_path: Path, at: int) -> None:
    path = tmp_path / "disk"
    data = bytearray(3 * MIB)
    data[at] = 1
    path.write_bytes(data)
    assert writer.ends(str(path)) != ZEROS


def test_removing(writer: Writer, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    with pytest.raises(HostError):
        writer.rmdir(str(tmp_path / "folder"))
    writer.symlink(str(tmp_path / "links" / "link"), str(tmp_path / "folder" / "file"))
    writer.remove(str(tmp_path / "links" / "link"))
    assert (tmp_path / "folder" / "file").exists()
    writer.rmdir(str(tmp_path / "links"))
    assert os.listdir(tmp_path) == ["folder"]


def test_a_plan_stops_at_its_first_failure(tmp_path: Path) -> None:
    plan = [
        call("make a", "mkdir", str(tmp_path / "a"), "0700", -1, -1),
        call("remove b", "rmdir", str(tmp_path / "b")),
        call("make c", "mkdir", str(tmp_path / "c"), "0700", -1, -1),
    ]
    with pytest.raises(Stopped, match="No such file") as stop:
        apply(plan, Writer(Heard()))
    assert [action["text"] for action in stop.value.done] == ["make a"]
    assert [action["text"] for action in stop.value.left] == ["remove b", "make c"]
    assert os.listdir(tmp_path) == ["a"]


def test_commands_of_a_plan() -> None:
    heard = Heard()
    action = run("define", "virsh", "pool-define", "a b", stdin="<secret/>")
    apply([action], Writer(heard))
    assert heard.commands == [("virsh", "pool-define", "a b", "<secret/>")]
    assert action.shown() == {"text": "define", "command": "virsh pool-define 'a b'", "risk": ""}
    with pytest.raises(Stopped, match="virsh pool-define a b: it broke"):
        apply([action], Writer(Heard(1, "", "it broke")))


def test_guard() -> None:
    plan = [run("wipe a", "x", risk="overwrite"), run("b", "x"), run("cut c", "x", risk="shrink")]
    guard(plan, ["shrink", "overwrite"])
    with pytest.raises(Refused) as refusal:
        guard(plan, ["delete"])
    assert str(refusal.value) == (
        "Nothing was changed, because the task would wipe a, which destroys what is on a device "
        "now; cut c, which cuts off the end of a volume (consent with allow: [overwrite, shrink])."
    )


def test_what_a_command_prints_is_whole_though_nothing_comes_through_the_pipe() -> None:
    def run_command(argv: list[str], **options: t.Any) -> tuple[int, str, str]:
        for number, text in zip(options["pass_fds"], (b"name\xff\n", b"warning\n")):
            assert f"/proc/self/fd/{number}" in argv[2]
            os.write(number, text)
        assert argv[:2] == ["/bin/sh", "-c"]
        assert argv[-2:] == ["/sbin/lvm", "$HOME ~"]
        assert options["data"] == "said"
        return 3, "", ""

    found = execute(run_command, ("/sbin/lvm", "$HOME ~"), "said")
    assert found == (3, "name\udcff\n", "warning\n")


def test_why_no_shell_could_be_started_is_told() -> None:
    found = execute(lambda *_argv, **_options: (2, "", "no memory"), ("/sbin/lvm",), "")
    assert found == (2, "", "no memory")


COMMANDS = os.execve  # before it is taken from the tests


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a test run commands, which change nothing."""
    monkeypatch.setattr("os.execve", COMMANDS)


@pytest.mark.usefixtures("commands")
def test_a_command_that_ends_in_time() -> None:
    script = "cat; printf out; printf wrong >&2; exit 3"
    found = execute_within(["/bin/sh", "-c", script], "said ", 10)
    assert found == (3, "said out", "wrong")


@pytest.mark.usefixtures("commands")
def test_a_command_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "_MOMENT", 0.3)
    argv = ["/bin/sh", "-c", "trap '' TERM; echo begun; sleep 60 & wait; sleep 60"]
    began = time.monotonic()
    code, output, _errors = execute_within(argv, "", 0.3)
    assert (code, output) == (_host.TIMED_OUT, "begun\n")
    assert time.monotonic() - began < 5
    reader = Reader(lambda _argv, _stdin: (_host.TIMED_OUT, "", ""))
    with pytest.raises(HostError, match="lvm fullreport: no answer within 150 seconds"):
        reader.ask("lvm", "fullreport")


@pytest.mark.usefixtures("commands")
def test_a_command_that_the_kernel_does_not_let_go_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "_MOMENT", 0.1)
    monkeypatch.setattr("os.killpg", lambda *_words: None)  # as if it waited for a disk
    began = time.monotonic()
    assert execute_within(["/bin/sleep", "3"], "", 0.1)[0] == _host.TIMED_OUT
    assert time.monotonic() - began < 2


DISK = Device("/dev/disk", "8:16", 4096, sequence=7, ends="as seen")
FOUND = {"device": ("8:16", 7, 4096), "ends": "as seen", "busy": False}
FAULTS: t.Mapping[str, t.Mapping[str, t.Any]] = {
    "/dev/disk: it is another device by now (8:32, and 8:16 was seen)": {
        "device": ("8:32", 7, 4096)
    },
    "/dev/disk: it is another device by now (8:16, and 8:16 was seen)": {
        "device": ("8:16", 8, 4096)
    },
    "/dev/disk: it has 8192 bytes by now, and had 4096": {"device": ("8:16", 7, 8192)},
    "/dev/disk: what is on it has changed since it was seen": {"ends": "new"},
    "/dev/disk: somebody has begun to use it": {"busy": True},
}


def machine(monkeypatch: pytest.MonkeyPatch, found: t.Mapping[str, t.Any]) -> None:
    """Puts a device in place of those of this machine."""

    def opened(_path: str, flags: int = 0) -> io.BytesIO:
        if found["busy"] and flags & os.O_EXCL:
            raise OSError(errno.EBUSY, "busy")
        return io.BytesIO()

    monkeypatch.setattr(_writer, "open_device", opened)
    monkeypatch.setattr(_writer, "identify", lambda _file: found["device"])
    monkeypatch.setattr(_writer, "read_ends", lambda _file: found["ends"])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_device_is_compared_right_before_a_step(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    machine(monkeypatch, {**FOUND, **FAULTS[fault]})
    heard = Heard()
    action = run("wipe it", "wipefs", "--all", "/dev/disk", claims=(Claim(DISK),))
    with pytest.raises(Stopped) as stop:
        apply([action], Writer(heard))
    assert (str(stop.value), stop.value.begun, heard.commands) == (fault, False, [])


def test_a_device_that_is_as_it_was_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dict(FOUND)
    machine(monkeypatch, found)
    monkeypatch.setattr(Writer, "ends", lambda _self, _path: "as we left it")
    heard = Heard()
    action = run("wipe it", "wipefs", "--all", "/dev/disk", claims=(Claim(DISK),))
    writer = Writer(heard)
    apply([action], writer)
    with pytest.raises(Stopped, match="what is on it has changed"):
        apply([action], writer)
    found["ends"] = "as we left it"
    apply([action], writer)
    assert len(heard.commands) == 2


def test_what_others_may_have_a_part_of_is_compared_by_what_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine(monkeypatch, {**FOUND, "busy": True, "ends": "new"})
    action = run("add to it", "parted", "/dev/disk", claims=(Claim(DISK, alone=False),))
    apply([action], Writer(Heard()))


def test_a_file_that_was_replaced_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"one")
    there = path.stat()
    action = run("x", "shred", str(path), claims=(Claim(File(str(path), there.st_dev, 1)),))
    heard = Heard()
    with pytest.raises(Stopped, match="it is something else by now"):
        apply([action], Writer(heard))
    assert not heard.commands


def test_what_was_put_into_a_directory_meanwhile_stays(tmp_path: Path) -> None:
    (tmp_path / "seen").touch()
    there = tmp_path.stat()
    place = Place(str(tmp_path), there.st_dev, there.st_ino, inside=("seen", "gone"))
    action = run("x", "rm", str(tmp_path), claims=(Claim(place),))
    apply([action], Writer(Heard()))
    (tmp_path / "lost+found").touch()
    apply([action], Writer(Heard()))
    (tmp_path / "new\n").touch()
    with pytest.raises(Stopped, match=r"'new\\n' is in it by now, and was not seen") as stop:
        apply([action], Writer(Heard()))
    assert not stop.value.begun


@pytest.mark.parametrize("argv", [("mkfs.ext4", "/dev/disk"), ("rm", "a"), ("lvremove", "a/b")])
def test_a_command_that_claims_nothing_is_not_run(argv: tuple[str, ...]) -> None:
    heard = Heard()
    with pytest.raises(Stopped, match="it does not say what it writes to"):
        apply([run("x", *argv)], Writer(heard))
    assert not heard.commands


@pytest.mark.parametrize("before", [0, 3 * MIB, 30 * MIB, 49 * MIB + 5])
def test_what_is_blanked_where_a_device_grows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: int
) -> None:
    path, end = tmp_path / "volume", 50 * MIB
    path.write_bytes(b"\xff" * before)

    def grow(_self: Writer, _argv: t.Sequence[str]) -> None:
        with path.open("ab") as file:
            file.write(b"\xff" * (end - before))

    monkeypatch.setattr(_writer, "identify", lambda _file: ("253:1", 7, 1))
    monkeypatch.setattr(Writer, "run", grow)
    Writer(Heard()).grow_device(["lvextend"], Device(str(path), "253:1", sequence=7))
    found = path.read_bytes()
    assert len(found) == end
    assert not found[:before].strip(b"\xff")
    assert not any(found[before : before + 8 * MIB] + found[max(before, end - 3 * MIB) :])
    assert found.count(b"\xff") == before + max(0, end - before - 11 * MIB)


def test_another_device_is_not_grown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path, heard = tmp_path / "volume", Heard()
    path.write_bytes(b"\xff" * 100)
    monkeypatch.setattr(_writer, "identify", lambda _file: ("253:2", 8, 100))
    with pytest.raises(HostError, match="it is another device by now"):
        Writer(heard).grow_device(["lvextend"], Device(str(path), "253:1", sequence=7))
    assert (heard.commands, path.read_bytes()) == ([], b"\xff" * 100)


ANY = (Claim(File("/dev/disk", 0, 0)),)


def lvm_told(argv: t.Sequence[str], stdin: str) -> tuple[int, str, str]:
    """An Exec in which LVM makes and removes all but what is called bad."""
    if argv == ("lvm",):
        words, told = "", "Logical volume made\n"
        for line in stdin.splitlines():
            name = line.split(" ")[-1]
            if line.startswith("lvs"):
                tags = {"a": "ours", "c": "ours", "other": "its"}
                told += "".join(
                    f"  LVM2_LV_NAME='{name}' LVM2_LV_TAGS='{tag}'\n" for name, tag in tags.items()
                )
            elif line.startswith("lvcreate"):
                words += f"  No room for {name}\n" if "bad" in name else "  WARNING: so be it\n"
            else:
                words += f"  No such command '{line}'.  Try 'help'.\n"
        return 0, told, words
    if argv[:2] == ("lvm", "lvs"):
        return 0, "  LVM2_LV_NAME='bad' LVM2_LV_TAGS=''\n", ""
    return (5 if any("bad" in word for word in argv) else 0), "", "bad is open"


def test_what_failed_of_many_volumes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[t.Sequence[str]] = []
    blanked: list[str] = []

    def execute(argv: t.Sequence[str], stdin: str) -> tuple[int, str, str]:
        heard.append(argv)
        return lvm_told(argv, stdin)

    monkeypatch.setattr(Writer, "_blank_new", lambda _self, new: blanked.append(new.name))
    news = [
        NewVolume("g", name, "LVM-x", "ours", name != "c") for name in ("a", "bad", "c", "other")
    ]
    plan = [
        call("first", "wait", lambda _host: True),
        *(
            call(new.name, "make_volumes", ("lvcreate", "g", new.name), new, batch=True, claims=ANY)
            for new in news
        ),
        call("last", "wait", lambda _host: True),
    ]
    with pytest.raises(Stopped) as stop:
        apply(plan, Writer(execute))
    assert str(stop.value) == "lvcreate g bad: No room for bad"
    assert [action["text"] for action in stop.value.done] == ["first", "a", "c"]
    assert [action["text"] for action in stop.value.left] == ["bad", "other", "last"]
    assert blanked == ["a"]  # what has another's mark, or nothing of before, is not written to
    assert [argv[0] for argv in heard] == ["lvm", "lvchange"]
    assert heard[1] == ("lvchange", "--deltag", "ours", "g/a", "g/c")


LACKED = "device-mapper: reload ioctl on  (253:6) failed: No data available"
ANEW = (("lvremove",), ("lvcreate",))
BEGUN = ((("lvchange", "--activate"),), ANEW, ("lvchange", "--deltag"))


@pytest.mark.parametrize(
    ("activated", "runs"),
    [
        ("", ["lvchange --activate", "lvchange --deltag"]),
        (LACKED, ["lvchange --activate", "lvremove", "lvcreate", "lvchange --deltag"]),
        ("Check of pool g/pool failed", ["lvchange --activate"]),  # there may be much in it
    ],
)
def test_only_a_thin_volume_that_its_pool_lacks_is_made_anew(
    activated: str, runs: list[str]
) -> None:
    heard: list[str] = []

    def execute(argv: t.Sequence[str], _stdin: str) -> tuple[int, str, str]:
        heard.append(" ".join(argv))
        fails = activated if "--activate" in argv else ""
        return int(bool(fails)), "", fails

    plan = [call("finish", "finish_volume", *BEGUN, claims=ANY)]
    with pytest.raises(Stopped) if len(runs) == 1 else contextlib.nullcontext():
        apply(plan, Writer(execute))
    assert heard == runs


def test_what_is_left_of_many_volumes_is_told() -> None:
    plan = [
        call(name, "remove_volumes", ("lvremove", "--yes"), "g", name, batch=True, claims=ANY)
        for name in ("a", "bad", "c")
    ]
    with pytest.raises(Stopped, match="lvremove --yes g/a g/bad g/c: bad is open") as stop:
        apply(plan, Writer(lvm_told))
    assert [action["text"] for action in stop.value.done] == ["a", "c"]
    assert [action["text"] for action in stop.value.left] == ["bad"]


@pytest.mark.parametrize(
    ("device", "looks"),
    [
        (Device("/dev/sdb1", "8:17", partition=1), 3),
        (Device("/dev/guests/web", "253:0", uuid="LVM-abc"), 3),
        (Device("/dev/sdb", "8:16"), 0),
    ],
)
def test_a_name_that_udev_makes_may_be_late(
    device: Device, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = iter([None, None, "there"])
    seen: list[str] = []

    def node(_writer: object, path: str) -> str | None:
        seen.append(path)
        return next(names)

    monkeypatch.setattr(Writer, "node", node)
    monkeypatch.setattr(_writer, "open_device", lambda path, flags: (path, flags))
    assert t.cast(t.Any, Writer(Heard())._open_again(device, 0)) == (device.path, 0)
    assert seen == [device.path] * looks
