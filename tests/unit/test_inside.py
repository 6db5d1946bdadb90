# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What root does in a directory that others may write to, while they do."""

from __future__ import annotations

import errno
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.poolwright.storage.plugins.module_utils import _inside
from ansible_collections.poolwright.storage.plugins.module_utils._host import (
    HERE,
    MIB,
    HostError,
    Reader,
)
from ansible_collections.poolwright.storage.plugins.module_utils._model import UNFINISHED, File
from ansible_collections.poolwright.storage.plugins.module_utils._tools import files
from ansible_collections.poolwright.storage.plugins.module_utils._writer import Writer


class Heard:
    """An Exec that does to a file what it is told, in place of a tool."""

    def __init__(self, code: int = 0, errors: str = "") -> None:
        self.answer = code, "", errors
        self.commands: list[t.Sequence[str]] = []

    def __call__(self, argv: t.Sequence[str], stdin: str) -> tuple[int, str, str]:
        self.commands.append(argv)
        if not self.answer[0]:
            with open(argv[-1], "ab") as file:
                file.write(b"made")
        return self.answer


@pytest.fixture
def writer() -> Writer:
    return Writer(Heard())


@pytest.fixture
def place(tmp_path: Path) -> File:
    """A pool's directory; beside it is what nobody may touch."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "pool").mkdir()
    return known(tmp_path / "pool")


def known(path: Path) -> File:
    there = os.lstat(path)
    return File(str(path), there.st_dev, there.st_ino)


def untouched(tmp_path: Path) -> bool:
    there = tmp_path / "secret"
    return (there.read_text(), there.stat().st_mode & 0o777) == ("secret", 0o600)


def test_a_file_is_made_under_a_name_that_nobody_knows(writer: Writer, place: File) -> None:
    pool = Path(place.path)
    names = set()
    for number in range(2):
        writer.make_file(place, f"web{number}", 3 * MIB, MIB)
        (making,) = [name for name in os.listdir(pool) if name.startswith(writer.maker())]
        names.add(making)
        there = (pool / making).stat()
        assert (there.st_size, there.st_mode & 0o777) == (3 * MIB, 0o600)
        assert there.st_blocks * 512 >= MIB
        writer.publish(place, f"web{number}", "0640", -1, -1)
        assert (pool / f"web{number}").stat().st_mode & 0o777 == 0o640
    assert (len(names), sorted(os.listdir(pool))) == (2, ["web0", "web1"])


@pytest.mark.parametrize("cannot", [(), ("_renamed",), ("_renamed", "_linked")])
@pytest.mark.parametrize("taken", ["link", "dangling", "file", "folder"])
def test_what_appears_meanwhile_is_never_replaced(
    writer: Writer,
    place: File,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cannot: t.Sequence[str],
    taken: str,
) -> None:
    def unknown(*_words: t.Any) -> None:
        raise OSError(errno.EINVAL, "no such thing here")

    for way in cannot:
        monkeypatch.setattr(_inside, way, unknown)
    pool = Path(place.path)
    writer.make_file(place, "web", MIB, 0)
    links = {"link": tmp_path / "secret", "dangling": tmp_path / "new"}
    if taken in links:
        (pool / "web").symlink_to(links[taken])
    elif taken == "file":
        (pool / "web").write_text("mine")
    else:
        (pool / "web").mkdir()
    before = known(pool / "web")
    with pytest.raises(HostError, match="web: File exists"):
        writer.publish(place, "web", "0640", -1, -1)
    assert (os.listdir(pool), known(pool / "web")) == (["web"], before)
    assert untouched(tmp_path)
    assert not (tmp_path / "new").exists()
    writer.make_file(place, "other", MIB, 0)
    writer.publish(place, "other", "", -1, -1)
    assert sorted(os.listdir(pool)) == ["other", "web"]


def test_a_file_is_made_of_zeros(writer: Writer, place: File) -> None:
    size = MIB + 1000
    writer.make_file(place, "web", size, size, zeros=True)
    writer.publish(place, "web", "", -1, -1)
    there = Path(place.path) / "web"
    assert there.read_bytes() == bytes(size)
    assert there.stat().st_blocks * 512 >= size


def test_where_nothing_is_overwritten_in_place_no_file_is_left(
    writer: Writer, place: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_words: t.Any) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(_inside, "overwrite_in_place", refused)
    with pytest.raises(HostError, match="web: not here"):
        writer.make_file(place, "web", MIB, 0, nocow=True)
    assert os.listdir(place.path) == []


def test_folders(writer: Writer, place: File, tmp_path: Path) -> None:
    pool = Path(place.path)
    writer.make_folder(place, "new", "0751", -1, -1)
    made = known(pool / "new")
    assert (pool / "new").stat().st_mode & 0o777 == 0o751
    with pytest.raises(HostError, match="new: File exists"):
        writer.make_folder(place, "new", "0700", -1, -1)
    (pool / "new" / "file").write_text("kept")
    with pytest.raises(HostError, match="new: Directory not empty"):
        writer.remove_folder(made, place)
    (pool / "new").rename(pool / "old")
    (pool / "new").symlink_to(tmp_path)
    with pytest.raises(HostError, match="new: it is something else by now"):
        writer.remove_folder(made, place)
    (pool / "old" / "file").unlink()
    writer.remove_folder(known(pool / "old"), place)
    assert os.listdir(pool) == ["new"]
    assert untouched(tmp_path)


def test_a_tool_gets_the_file_and_no_name(place: File) -> None:
    heard = Heard()
    writer, pool = Writer(heard), Path(place.path)
    writer.make_image(place, "web", ("tool", HERE))
    writer.publish(place, "web", "", -1, -1)
    assert (pool / "web").read_bytes() == b"made"
    writer.work_on(known(pool / "web"), place, ("tool", HERE))
    assert (pool / "web").read_bytes() == b"mademade"
    assert {argv[1].rpartition("/")[0] for argv in heard.commands} == {f"/proc/{os.getpid()}/fd"}


@pytest.mark.parametrize("cannot", [(), ("_renamed",)])
def test_a_new_file_takes_the_place_of_another(
    writer: Writer, place: File, monkeypatch: pytest.MonkeyPatch, cannot: t.Sequence[str]
) -> None:
    def unknown(*_words: t.Any) -> None:
        raise OSError(errno.EINVAL, "no such thing here")

    for way in cannot:
        monkeypatch.setattr(_inside, way, unknown)
    web = Path(place.path, "web")
    web.write_text("old")
    web.chmod(0o640)
    writer.make_file(place, "web", MIB, 0)
    writer.exchange(known(web))
    assert os.listdir(place.path) == ["web"]
    assert (web.stat().st_size, web.stat().st_mode & 0o777) == (MIB, 0o640)


def test_what_came_in_between_keeps_its_name(
    writer: Writer, place: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    web, renamed = Path(place.path, "web"), _inside._renamed
    web.write_text("old")
    seen = known(web)

    def late(*words: t.Any) -> None:
        if web.read_text() == "old":
            web.rename(Path(place.path, "moved"))
            web.write_text("mine")
        renamed(*words)

    monkeypatch.setattr(_inside, "_renamed", late)
    writer.make_file(place, "web", MIB, 0)
    with pytest.raises(HostError, match="something else by now"):
        writer.exchange(seen)
    assert sorted(os.listdir(place.path)) == ["moved", "web"]
    assert web.read_text() == "mine"


def test_zeros_are_written_where_data_are(writer: Writer, place: File) -> None:
    web = Path(place.path, "web")
    with web.open("wb") as file:
        file.write(b"secret" * 1000)
        file.seek(9 * MIB)
        file.write(b"secret")
        file.seek(12 * MIB)
        file.write(bytes(MIB))
        file.truncate(20 * MIB + 1)
    before = web.stat()
    writer.overwrite(known(web), place)
    assert web.read_bytes() == bytes(20 * MIB + 1)
    after = web.stat()
    assert (after.st_ino, after.st_blocks) == (before.st_ino, before.st_blocks)


def test_a_tool_that_fails_leaves_nothing(place: File) -> None:
    writer = Writer(Heard(1, "no space left"))
    with pytest.raises(HostError, match=f"tool {place.path}/web: no space left"):
        writer.make_image(place, "web", ("tool", HERE))
    assert os.listdir(place.path) == []


def test_what_was_seen_and_is_another_one_now(writer: Writer, place: File, tmp_path: Path) -> None:
    web = Path(place.path, "web")
    web.write_text("mine")
    seen = known(web)
    secret = tmp_path / "secret"
    swaps: list[t.Callable[[], None]] = [
        lambda: web.symlink_to(secret),
        lambda: os.link(secret, web),
        web.mkdir,
    ]
    for number, swap in enumerate(swaps):
        web.rename(tmp_path / f"before{number}")
        swap()
        steps: list[t.Callable[[], None]] = [
            lambda: writer.truncate(seen, place, 0),
            lambda: writer.allocate(seen, place, MIB),
            lambda: writer.overwrite(seen, place),
            lambda: writer.work_on(seen, place, ("tool", HERE)),
            lambda: writer.chmod(seen.path, "0666", seen, place),
            lambda: writer.chown(seen.path, 0, 0, seen, place),
            lambda: writer.unlink(seen, place),
        ]
        for step in steps:
            with pytest.raises(HostError, match="web: "):
                step()
        assert untouched(tmp_path)


def test_a_directory_that_is_another_one_now(writer: Writer, place: File, tmp_path: Path) -> None:
    Path(place.path).rename(tmp_path / "before")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "web").write_text("secret")
    Path(place.path).symlink_to("etc")
    seen = known(tmp_path / "etc" / "web")
    steps: list[t.Callable[[], None]] = [
        lambda: writer.make_file(place, "new", MIB, 0),
        lambda: writer.truncate(seen, place, 0),
        lambda: writer.unlink(seen, place),
        lambda: writer.chmod(place.path, "0777", place),
        lambda: writer.rmtree(place),
    ]
    for step in steps:
        with pytest.raises(HostError, match="it is something else by now"):
            step()
    assert os.listdir(tmp_path / "etc") == ["web"]


def test_sizes_and_modes(writer: Writer, place: File) -> None:
    web = Path(place.path, "web")
    web.write_bytes(b"12345")
    seen = known(web)
    writer.truncate(seen, place, 2 * MIB)
    assert web.stat().st_size == 2 * MIB
    writer.allocate(seen, place, MIB)
    assert web.stat().st_blocks * 512 >= MIB
    assert web.read_bytes()[:6] == b"12345\0"
    writer.chmod(seen.path, "0640", seen, place)
    writer.chmod(place.path, "0700", place)
    assert (web.stat().st_mode & 0o777, os.stat(place.path).st_mode & 0o777) == (0o640, 0o700)
    writer.unlink(seen, place)
    assert os.listdir(place.path) == []


def test_a_tree_goes_and_what_its_links_lead_to_stays(
    writer: Writer, place: File, tmp_path: Path
) -> None:
    pool = Path(place.path)
    (pool / "a" / "b").mkdir(parents=True)
    (pool / "a" / "b" / "file").touch()
    (pool / "a" / "up").symlink_to(tmp_path)
    (pool / "secret").symlink_to(tmp_path / "secret")
    os.mkfifo(pool / "pipe")
    writer.rmtree(place)
    assert os.listdir(tmp_path) == ["secret"]
    assert untouched(tmp_path)


def test_a_tree_with_another_file_system_in_it_stays(
    writer: Writer, place: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    (Path(place.path) / "a" / "b").mkdir(parents=True)
    (Path(place.path) / "web").touch()
    mount = _inside._mount
    inode = (Path(place.path) / "a" / "b").stat().st_ino

    def mounted(handle: int) -> tuple[int, str]:
        return (0, "other") if os.fstat(handle).st_ino == inode else mount(handle)

    monkeypatch.setattr(_inside, "_mount", mounted)
    with pytest.raises(HostError, match="a/b is another file system or a mount"):
        writer.rmtree(place)
    assert sorted(os.listdir(place.path)) == ["a", "web"]


def test_a_new_directory_is_made_where_it_was_meant(writer: Writer, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    writer.mkdir(str(tmp_path / "link" / "a" / "b"), "0750", -1, -1)
    assert (tmp_path / "real" / "a" / "b").stat().st_mode & 0o777 == 0o750
    (tmp_path / "dangling").symlink_to("elsewhere")
    with pytest.raises(HostError, match="File exists"):
        writer.mkdir(str(tmp_path / "dangling"), "0750", -1, -1)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give links away")
def test_links_that_somebody_could_let_lead_elsewhere(tmp_path: Path) -> None:
    for name in ("real", "of user"):
        (tmp_path / name).mkdir()
    os.chown(tmp_path / "of user", 12345, 12345)
    targets = {"a": "real", "b": "real", "c": "of user", "d": "b", "e": "new", "f": "of user/new"}
    for name, target in targets.items():
        (tmp_path / name).symlink_to(target)
    for name in "bcef":
        os.chown(tmp_path / name, 12345, 12345, follow_symlinks=False)
    reader = Reader(Heard())
    found = {name: reader.stray(f"{tmp_path}/{name}/pool") for name in "abcdef"}
    strays = {"b": f"{tmp_path}/b", "d": f"{tmp_path}/b", "e": f"{tmp_path}/e"}
    assert found == {**dict.fromkeys("acf", ""), **strays}


def test_what_others_wrote_down_leads_somewhere_or_not(tmp_path: Path) -> None:
    (tmp_path / "base").touch()
    (tmp_path / "link").symlink_to("base")
    there = [f"{tmp_path}/base", f"{tmp_path}/./link"]
    nowhere = [f"{tmp_path}/none", "nul\0", f"/{'x' * 5000}", ""]
    found = Reader(Heard()).leads([*there, *nowhere])
    assert found == dict.fromkeys(there, known(tmp_path / "base"))


def test_unfinished_files_tell_the_host_that_made_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(machine: str, boot: str) -> str:
        told = {"/etc/machine-id": machine, "/proc/sys/kernel/random/boot_id": boot}
        monkeypatch.setattr(Reader, "read", lambda _self, path: told[path])
        return Reader(Heard()).maker()

    one, two = "1" * 32, "2" * 32
    assert made(one, one)[:-13] == made(one, two)[:-13] != made(two, one)[:-13]
    assert made("uninitialized", one)[:-13] != made("uninitialized", two)[:-13]
    assert made(one, one).startswith(UNFINISHED)


def test_names_of_any_bytes() -> None:
    name = os.fsdecode(b"caf\xe9 it's\n\\")
    assert files.quoted(f"/a/{name}") == r"$'/a/caf\xe9 it\'s\x0a\\'"
    assert files.quoted("/a/b c") == "'/a/b c'"
    assert files.shown(name) == r"caf\xe9 it's\x0a" + "\\\\"
    assert files.shown("é\\") == "é\\"
