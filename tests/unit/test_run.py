# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task that fails tells, and what it runs in: the lock, the tools, the modes."""

from __future__ import annotations

import contextlib
import os
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.poolwright.storage.plugins.module_utils import (
    _host,
    _options,
    _process,
    _registry,
    _results,
    _run,
    _run_info,
)
from ansible_collections.poolwright.storage.plugins.module_utils._model import (
    Filling,
    Lacking,
    Pool,
    Refused,
    Seen,
    Source,
    Volume,
)
from ansible_collections.poolwright.storage.plugins.module_utils._plan import Action, call, run
from ansible_collections.poolwright.storage.plugins.module_utils._pools.dir import Dir
from ansible_collections.poolwright.storage.plugins.module_utils._tools import packages
from ansible_collections.poolwright.storage.tests.unit.fake_host import FakeHost

Result = t.Dict[str, t.Any]
Looking = t.Callable[[t.Any], _run.Look]


class Ended(Exception):
    """The module has answered."""


class Module:
    """As much of a module as `perform` uses."""

    check_mode = False
    earnest = _run.Module.earnest
    control: t.ClassVar[Result] = {}
    fetch = None

    def __init__(self, code: int = 0, errors: str = "") -> None:
        self.params: Result = {"allow": []}
        self.answer = code, "", errors
        self.result: Result = {}
        self.warnings: list[str] = []

    def execute(self, _argv: t.Sequence[str], _stdin: str) -> tuple[int, str, str]:
        return self.answer

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def fail_json(self, **result: t.Any) -> t.NoReturn:
        self.result = {"failed": True, **result}
        raise Ended

    def exit_json(self, **result: t.Any) -> t.NoReturn:
        self.result = result
        raise Ended


def performed(module: Module, look: Looking, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.setattr(_run, "locked", contextlib.nullcontext)
    monkeypatch.setattr(_host.Reader, "has", lambda _host, _program: True)
    with pytest.raises(Ended):
        _run.perform(t.cast(t.Any, module), look)
    return module.result


def looked(*plan: Action, **more: t.Any) -> Looking:
    return lambda _host: _run.Look(plan, {"pool": None}, **more)


def texts(steps: t.Sequence[Result]) -> list[str]:
    return [step["text"] for step in steps]


def test_a_step_that_fails_may_be_partly_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = call("make it", "mkdir", str(tmp_path / "a"), "0700", -1, -1)
    fail = run("settle", "udevadm", "settle")
    result = performed(Module(1, "It broke."), looked(make, fail, make), monkeypatch)
    assert result["msg"] == (
        "1 of 3 steps were done, and this one may be partly done: settle. It failed: udevadm "
        "settle: It broke. Run the task again when the cause is gone; it goes on from there."
    )
    assert result["changed"]
    assert texts(result["plan"]) == ["make it", "settle", "make it"]
    assert (texts(result["done"]), texts(result["left"])) == (["make it"], ["settle", "make it"])


def test_a_refused_plan_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    lose = call("lose it", "remove", "/nothing", risk="delete")
    result = performed(Module(), looked(lose), monkeypatch)
    assert "consent with allow: [delete]" in result["msg"]
    assert (result["changed"], result["done"]) == (False, [])
    assert texts(result["plan"]) == texts(result["left"]) == ["lose it"]


def test_what_has_not_been_sent_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(upload: str, path: str) -> Action:
        source = Source(upload, path, upload=upload)
        return call("fill it", "fill_file", Filling("a", source, lambda _begin: ("raw", 0)))

    plan = [fill("a", ""), fill("b", "/tmp/b"), fill("a", ""), fill("c", "")]
    assert performed(Module(), looked(*plan), monkeypatch) == {"_unsent": ["a", "c"]}
    module = Module()
    module.check_mode = True
    assert len(performed(module, looked(*plan), monkeypatch)["plan"]) == len(plan)


@pytest.mark.parametrize(
    ("error", "begin"),
    [
        (Refused("Nothing was changed: no."), "Nothing was changed: no."),
        (_host.HostError("lvm: it says so."), "Nothing was changed: lvm: it says so."),
        (ZeroDivisionError("one"), "Nothing was changed: poolwright.storage has a fault"),
    ],
)
def test_every_failure_has_the_same_keys(
    error: Exception, begin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(_host: object) -> _run.Look:
        raise error

    result = performed(Module(), look, monkeypatch)
    assert result["msg"].startswith(begin)
    assert not result["msg"].endswith("..")
    assert [result[key] for key in ("changed", "plan", "done", "left")] == [False, [], [], []]


def test_what_a_plan_leaves_behind_is_told_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a"
    make = call("make it", "mkdir", str(place), "0700", -1, -1)

    def look(_host: object) -> _run.Look:
        plan = () if place.exists() else (make,)
        return _run.Look(plan, {}, parting=("the old one stays",) if plan else ())

    module = Module()
    assert performed(module, look, monkeypatch)["changed"]
    assert module.warnings == ["the old one stays"]


def test_what_the_host_lacks_is_named_before_the_first_step() -> None:
    host = FakeHost(
        {
            "programs": ["mount", "modprobe"],
            "files": {"/proc/filesystems": "nodev\tproc\n\text4\n"},
            "commands": {"modprobe": {"code": 1, "errors": "FATAL: Module fs-gfs2 not found."}},
        }
    )
    plan = [
        run("make", "mkfs.xfs", "/dev/a"),
        run("mount", "mount", "-o", "ro", "-t", "ext4", "/dev/a", "/a"),
        run("mount", "mount", "-o", "ro", "-t", "gfs2", "/dev/a", "/a"),
        run("mount", "mount", "-o", "ro", "server:/a", "/a"),
    ]
    assert _run.equipped(host, plan) == (
        "this host lacks what the task needs: mkfs.xfs, the file system gfs2 in its kernel, "
        "mount.nfs. Install nfs-common and xfsprogs (as Debian calls it), for example with the "
        "role poolwright.storage.host."
    )
    assert _run.equipped(host, plan[1:2]) == ""


@pytest.mark.parametrize(
    ("words", "lacking"),
    [
        (("--type", "thin-pool", "--name", "a", "g"), "thin_check"),
        (("--type", "thin", "--virtualsize", "4m", "--thinpool", "p", "g"), "thin_check"),
        (("--snapshot", "--setactivationskip", "n", "g/a"), "thin_check"),
        (("--snapshot", "--size", "4m", "g/a"), ""),
        (("--size", "4m", "g"), ""),
    ],
)
def test_what_thin_volumes_need(words: t.Sequence[str], lacking: str) -> None:
    host = FakeHost({"programs": ["lvcreate"]})
    assert ", ".join(packages.lacking(host, ("lvcreate", *words))) == lacking


LACKING = "this host lacks what the task needs: mkfs.gfs2. Install gfs2-utils (as Debian calls it)."


@pytest.mark.parametrize("check", [True, False])
def test_what_is_not_installed_yet(check: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In check mode a task before may bring it: the plan is shown, as far as it can be known."""
    module = Module()
    module.check_mode = check
    make = run("make it", "mkfs.gfs2", "/dev/a")
    monkeypatch.setattr(_run, "locked", contextlib.nullcontext)
    monkeypatch.setattr(_host.Reader, "has", lambda _host, program: program != "mkfs.gfs2")
    with pytest.raises(Ended):
        _run.perform(t.cast(t.Any, module), looked(make))
    assert texts(module.result["plan"]) == ["make it"]
    if check:
        assert (module.result["lacking"], module.warnings) == (LACKING, [LACKING])
    else:
        assert module.result["msg"] == f"Nothing was changed: {LACKING}"


@pytest.mark.parametrize(
    "error",
    [
        Lacking("Nothing was changed: there is no tool."),
        _host.NotInstalled("there is no tool."),
    ],
)
def test_what_is_needed_to_look_is_not_installed_yet(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(_host: object) -> _run.Look:
        raise error

    assert performed(Module(), look, monkeypatch)["msg"] == "Nothing was changed: there is no tool."
    module = Module()
    module.check_mode = True
    module.params["name"] = "a"
    result = performed(module, look, monkeypatch)
    assert (result["changed"], result["plan"]) == (True, [])
    assert result["unforeseen"] == result["lacking"] == "there is no tool."
    assert result["_foreseen"] == {"a": {"unknown": "there is no tool."}}
    assert module.warnings == ["This task is not foreseen: there is no tool."]


def test_a_program_that_is_not_there_is_no_failure_of_it() -> None:
    host = FakeHost({"commands": {"lsattr": {"code": 127, "errors": "not installed"}}})
    for programs in ([], ["lsattr"]):
        host.said = {**host.said, "programs": programs}
        with pytest.raises(_host.HostError) as error:
            host.ask("lsattr", "-d", "/")
        assert isinstance(error.value, _host.NotInstalled) == (not programs)


def test_the_lock_is_roots_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "lock"
    monkeypatch.setattr(_process, "LOCK", str(lock))
    monkeypatch.setattr(_process, "LOCK_PATIENCE", 0)

    def another() -> int:
        child = os.fork()
        if not child:
            try:
                with _process.locked():
                    os._exit(0)
            except Refused:
                os._exit(1)
        return os.WEXITSTATUS(os.waitpid(child, 0)[1])

    with _process.locked():
        assert lock.stat().st_mode & 0o7777 == 0o600
        assert another() == 1
    assert another() == 0
    lock.chmod(0o666)
    with pytest.raises(Refused, match="only root can open"), _process.locked():
        pass
    lock.unlink()
    lock.symlink_to("elsewhere")
    with pytest.raises(Refused, match="cannot be opened"), _process.locked():
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("mode", "there", "octal", "relative"),
    [
        ("644", "0000", "0644", False),
        ("0o750", "0000", "0750", False),
        ("02775", "0000", "2775", False),
        ("u=rwx,g=rx,o=", "0000", "0750", False),
        ("a=rX", "0755", "0555", True),
        ("=r", "0777", "0444", False),
        ("g+w", "0711", "0731", True),
        ("o-x,u+t", "1711", "1710", True),
        ("ug=rw,o=t", "0711", "1660", False),
        ("g+s", "0711", "2711", True),
        ("g=rx", "2770", "2750", True),
    ],
)
def test_modes(mode: str, there: str, octal: str, relative: bool) -> None:
    assert _options.octal(mode, there, folder=True) == octal
    assert _options.relative(mode) is relative


def test_one_broken_definition_hides_no_other() -> None:
    host = FakeHost(
        {
            "pools": {"bad": "<pool", "data": {"type": "dir", "path": "/srv/data"}},
            "paths": {"/srv/data": {"inside": {"a": {"size": 10}}}},
        }
    )
    module: t.Any = _run.Module.__new__(_run.Module)
    module.looks_only = True
    module.params = {"volumes": True, "libvirt": "auto", "libvirt_uri": "qemu:///system"}
    rows = {
        name: _run_info._pool(module, host, _registry.Files(), name) for name in ("bad", "data")
    }
    bad, good = rows["bad"], rows["data"]
    assert bad
    assert good
    assert bad["error"].startswith("/etc/libvirt/storage/bad.xml cannot be read, because")
    assert (good["error"], [each["error"] for each in good["volumes"]]) == (None, [None])


def test_one_broken_volume_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: t.Callable[..., Result] = _results.volume

    def volume(pool: str, found: Volume, formatted: bool) -> Result:
        if found.name == "bad":
            raise ValueError("no such thing")
        return shown(pool, found, formatted)

    monkeypatch.setattr(_results, "volume", volume)
    module: t.Any = _run.Module.__new__(_run.Module)
    module.looks_only = True
    backend = Dir(Pool("dir", "data", path="/srv/data"), {})
    seen = Seen("ready", volumes=(Volume("bad", "/srv/data/bad"), Volume("good", "/srv/data/good")))
    bad, good = _run_info._volumes(module, backend, seen)
    assert (bad["name"], bad["path"], good["error"]) == ("bad", "/srv/data/bad", None)
    assert "ValueError: no such thing" in bad["error"]
    assert "changed" not in bad["error"]
    assert set(bad) == set(good)


def test_what_is_long_is_told_when_it_is_asked_for() -> None:
    found = Volume("a", "/srv/a", timestamps=(("atime", "1"),))
    full, short = (_results.volume("pool", found, True, details) for details in (True, False))
    assert set(full) - set(short) == {"timestamps", "extents", "xml"}
    assert all(full[key] == value for key, value in short.items())


def test_the_role_installs_what_is_said_of_it() -> None:
    path = Path(__file__).parents[2] / "roles" / "host" / "vars" / "Debian.yml"
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    installed = {p for names in said["host_packages"].values() for p in names}
    installed.update(said["host_libvirt_packages"])
    assert installed >= packages._ROLES
    assert set(packages.PACKAGES.values()) & installed <= packages._ROLES
    assert packages.way(["mkfs.xfs"]).endswith("with the role poolwright.storage.host.")
    assert packages.way(["mkfs.btrfs"]) == "Install btrfs-progs (as Debian calls it)."


def test_what_mount_finds_out_is_no_kind_of_file_system() -> None:
    host = FakeHost({"programs": ["mount", "modprobe"], "files": {"/proc/filesystems": "\text4\n"}})
    assert not list(packages.lacking(host, ("mount", "-t", "auto", "/dev/vdb", "/srv/data")))
