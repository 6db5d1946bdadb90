# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""The controller's side, with the real ansible-playbook: uploads, progress, and cancelled tasks."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Driven, Result, thorough
from poolwright_lab import inventory

if TYPE_CHECKING:
    from collections.abc import Iterator

POOL = "control"
PATH = "/srv/control"
MIB = 1 << 20
SIZE = 24  # MiB that the server gives
# A server of zeros, so many MiB a second as the path says; of /both nothing comes before two ask.
SERVER = f"""
import http.server, threading, time
both = threading.Barrier(2, timeout=60)
class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/none":
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str({SIZE} << 20))
        self.end_headers()
        speed = self.path[1:]
        if speed == "both":
            both.wait()
            speed = 50
        for _number in range({SIZE}):
            self.wfile.write(bytes(1 << 20))
            time.sleep(1 / float(speed))
http.server.ThreadingHTTPServer(("127.0.0.1", 8099), Slow).serve_forever()
"""
# All that can be left of a task, but its volumes.
LEFT = f"""
ls -A {PATH} | grep poolwright
ls -A /run/poolwright.storage
ls -d /tmp/ansible_*_payload_*
pgrep -fa '[A]nsiballZ'
"""


def slow(name: str, speed: str) -> Result:
    checksum = f"sha256:{hashlib.sha256(bytes(SIZE * MIB)).hexdigest()}"
    source = {"url": f"http://127.0.0.1:8099/{speed}", "checksum": checksum}
    return {"name": name, "capacity": f"{SIZE} MiB", "source": source}


class Controller:
    """Runs plays on one host, in a directory of its own."""

    def __init__(self, host: Driven, folder: Path) -> None:
        self.host = host
        self.folder = folder
        (folder / "inventory").write_text(inventory.text([host.host]), encoding="utf-8")
        (folder / "password").write_text("a word", encoding="utf-8")
        (folder / "files").mkdir()

    def start(self, *words: str, volumes: list[Result], **task: Any) -> subprocess.Popen[str]:
        args = {"pool": POOL, "libvirt": "ignored", "volumes": volumes}
        play = {"hosts": "all", "gather_facts": False}
        tasks = [{"poolwright.storage.volumes": args, "register": "found", **task}]
        tasks.append({"ansible.builtin.debug": {"msg": "FOUND {{ found | to_json }}"}})
        (self.folder / "play.yml").write_text(json.dumps([{**play, "tasks": tasks}]))
        command = ["ansible-playbook", "-i", "inventory", "--vault-password-file", "password"]
        return subprocess.Popen(
            [*command, *words, "play.yml"],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_STDOUT_CALLBACK": "default"},
        )

    def printed(self, *words: str, volumes: list[Result], **task: Any) -> tuple[str, int]:
        """What is printed, and the exit status."""
        running = self.start(*words, volumes=volumes, **task)
        return running.communicate(timeout=300)[0], running.returncode

    def run(self, *words: str, volumes: list[Result], **task: Any) -> tuple[str, Result]:
        """What is printed, and the result."""
        printed, status = self.printed(*words, volumes=volumes, **task)
        assert status == 0, printed
        found = re.search(r'"msg": "FOUND (\{.*\})"', printed)
        assert found, printed
        return printed, json.loads(json.loads(f'"{found[1]}"'))

    def left(self) -> str:
        return self.host.sh(LEFT, check=False)


@pytest.fixture
def controller(plain_host: Driven, tmp_path: Path) -> Iterator[Controller]:
    plain_host.sh(f"rm -rf {PATH}/*")
    pool = {"name": POOL, "path": PATH, "libvirt": "ignored"}
    plain_host.tasks({"module": "pool_dir", "args": pool})
    plain_host.sh(
        "systemctl is-active --quiet slow || "
        "systemd-run --quiet --unit slow python3 -c \"$(cat <<'END'\n" + SERVER + 'END\n)"'
    )
    yield Controller(plain_host, tmp_path)
    plain_host.sh("systemctl stop slow")
    gone = {"state": "deleted", "allow": ["delete"]}
    plain_host.tasks({"module": "pool_dir", "args": {**pool, **gone}})


def texts(result: Result) -> list[str]:
    return [step["text"] for step in result["plan"]]


def test_upload(controller: Controller) -> None:
    content = os.urandom(3 * MIB)
    for name in ("plain.img", "secret.img"):
        (controller.folder / "files" / name).write_bytes(content)
    subprocess.run(
        ["ansible-vault", "encrypt", "--vault-password-file", "password", "files/secret.img"],
        cwd=controller.folder,
        check=True,
        capture_output=True,
    )
    rows: list[Result] = [
        {"name": name, "capacity": "3 MiB", "source": {"upload": f"{name}.img"}}
        for name in ("plain", "secret")
    ]
    rows.append({"name": "again", "capacity": "4 MiB", "source": {"upload": "plain.img"}})
    foreseen = controller.run("--check", "-vvv", volumes=rows)
    done = controller.run("-vvv", volumes=rows)
    again = controller.run("-vvv", volumes=rows)
    assert texts(foreseen[1]) == texts(done[1])
    assert done[1]["changed"]
    assert not again[1]["changed"]
    # The file that two volumes are filled with is sent once, and nothing where nothing is made.
    sent = [
        len(re.findall("PUT .* TO .*/upload-", printed)) for printed, _ in (foreseen, done, again)
    ]
    assert sent == [0, 2, 0]
    sums = controller.host.sh(
        f"cd {PATH} && sha256sum plain secret && head -c 3M again | sha256sum"
    )
    assert sums.split()[::2] == [hashlib.sha256(content).hexdigest()] * 3
    assert controller.host.sh("find / -xdev -name 'upload-*'") == ""


def test_long_work_is_shown(controller: Controller) -> None:
    printed, found = controller.run(volumes=[slow("a", "2"), slow("b", "50")])
    lines = re.findall(rf": a: (\d+)% of {SIZE}\.0 MiB, [\d.]+ MiB/s\n", printed)
    assert lines == sorted(lines, key=int)
    assert 1 <= len(lines) <= 4, printed
    facts = {row["name"]: row for row in found["volumes"]}
    assert facts["a"]["bytes"] == facts["b"]["bytes"] == SIZE * MIB
    assert facts["a"]["seconds"] > 9
    assert controller.left() == ""


def test_several_are_fetched_at_once(controller: Controller) -> None:
    _printed, found = controller.run(volumes=[slow("a", "both"), slow("b", "both")])
    facts = {row["name"]: row["bytes"] for row in found["volumes"]}
    assert facts == {"a": SIZE * MIB, "b": SIZE * MIB}
    sums = controller.host.sh(f"cd {PATH} && sha256sum a b")
    assert set(sums.split()[::2]) == {hashlib.sha256(bytes(SIZE * MIB)).hexdigest()}


def test_one_of_several_fails(controller: Controller) -> None:
    """Those before it stay, and of those behind it nothing is left."""
    printed, status = controller.printed(
        volumes=[slow("a", "50"), slow("none", "none"), slow("b", "0.1"), slow("c", "0.1")]
    )
    assert status
    assert "2 of " in printed, printed
    assert "404" in printed
    assert controller.host.sh(f"ls -A {PATH}").split() == ["a"]
    assert controller.left() == ""


@thorough
@pytest.mark.parametrize("how", ["timeout", "interrupt"])
def test_cancelled(controller: Controller, how: str) -> None:
    """Nothing is left of a task that is cancelled, at once or half a minute later."""
    limit = {"timeout": 30} if how == "timeout" else {}
    running = controller.start(volumes=[slow("a", "0.1"), slow("b", "0.1")], **limit)
    assert running.stdout
    printed = ""
    if how == "interrupt":
        while " a: " not in printed:
            printed = running.stdout.readline()
            assert printed, "it has ended"
        assert ".poolwright-" in controller.left()
        os.killpg(running.pid, signal.SIGINT)
    printed = running.communicate(timeout=120)[0]
    assert running.returncode
    assert how == "interrupt" or "imed out after" in printed
    deadline = time.monotonic() + (5 if how == "timeout" else 60)
    while controller.left() and time.monotonic() < deadline:
        time.sleep(2)
    assert controller.left() == ""
    assert controller.run(volumes=[slow("a", "50")])[1]["changed"]
