# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel looks for volumes before the plan, which is a change only where it finds some.

What it finds is waited for.
"""

from __future__ import annotations

import typing as t
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.poolwright.storage.plugins.module_utils import _run, _writer
from ansible_collections.poolwright.storage.plugins.module_utils._plan import apply, call
from ansible_collections.poolwright.storage.plugins.module_utils._tools import scsi
from ansible_collections.poolwright.storage.plugins.module_utils._writer import Writer
from ansible_collections.poolwright.storage.tests.unit.fake_host import FakeHost


def test_sizes_of_known_luns_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scsi, "_LUNS", str(tmp_path))
    (tmp_path / "3:0:0:1" / "device").mkdir(parents=True)
    told = tmp_path / "3:0:0:1" / "device" / "rescan"
    told.touch()
    sizes, *others = scsi.rescan(3, ["0:0:1", "0:0:7"])  # of which the second has gone
    apply([sizes], Writer(lambda *_words: (1, "", "no command")))
    assert told.read_text(encoding="ascii") == "1"
    assert [each.text for each in scsi.rescan(3, [])] == [each.text for each in others]
    assert [each.text for each in others][:1] == ["look for new LUNs on host3"]


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("found", [False, True])
def test_rescan(tmp_path: Path, check: bool, found: bool) -> None:
    scan = tmp_path / "scan"
    scan.touch()
    rescan = call("look for new LUNs", "tell", str(scan), "- - -")

    def look(_host: object) -> _run.Look:
        there = ("/dev/sda", "/dev/sdb") if found and scan.read_text() else ("/dev/sda",)
        return _run.Look(
            (), {"pool": list(there)}, rescan=(rescan,), volumes=dict.fromkeys(there, "disk")
        )

    module: t.Any = SimpleNamespace(
        control={}, earnest=not check, execute=None, params={"allow": []}, warn=None, fetch=None
    )
    result = _run._performed(module, look, _run.Progress())
    assert scan.read_text() == ("" if check else "- - -")
    assert result["changed"] == (found and not check)
    assert [step["text"] for step in result["plan"]] == ["look for new LUNs"] * result["changed"]
    assert len(result["pool"]) == 1 + result["changed"]


@pytest.mark.parametrize(
    ("luns", "attached"),
    [
        ({}, True),
        ({"3:0:0:0": ("\0", ["sda"]), "3:0:0:1": ("\5", ["sr0"])}, True),
        ({"3:0:0:0": ("\0", ["sda"]), "3:0:0:1": ("\0", None)}, False),
        ({"3:0:0:0": ("\5", None)}, False),
        # Those of other hosts, enclosures, and units that are not connected.
        ({"33:0:0:0": ("\0", None), "3:0:0:0": ("\x0d", None), "3:0:0:1": ("\x20", None)}, True),
    ],
)
def test_attached(luns: dict[str, tuple[str, list[str] | None]], attached: bool) -> None:
    there = "/sys/class/scsi_device"
    said: dict[str, t.Any] = {"folders": {there: list(luns)}, "files": {}}
    for name, (kind, block) in luns.items():
        said["files"][f"{there}/{name}/device/inquiry"] = kind
        if block:
            said["folders"][f"{there}/{name}/device/block"] = block
    assert scsi.attached(FakeHost(said), 3) is attached


@pytest.mark.parametrize(("limit", "looks"), [(30, 3), (0, 1)])
def test_waiting(monkeypatch: pytest.MonkeyPatch, limit: int, looks: int) -> None:
    monkeypatch.setattr(_writer, "LIMIT", limit)
    asked = []
    heard: list[t.Sequence[str]] = []

    def ready(_host: object) -> bool:
        asked.append(1)
        return len(asked) == 3

    def execute(argv: t.Sequence[str], _stdin: str) -> tuple[int, str, str]:
        heard.append(argv)
        return 0, "", ""

    apply(list(scsi.wait(ready)), Writer(execute))
    assert len(asked) == looks
    assert heard == [("udevadm", "settle", "--timeout=30")]
