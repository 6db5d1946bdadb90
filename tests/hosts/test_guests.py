# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""A guest's day: the disks of three guests from one cloud image, as the playbook has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from conftest import Driven, Result, blank, on_one_host, task
from jinja2 import Environment
from test_states import four, sh, still

PLAYBOOK = Path(__file__).resolve().parents[2] / "playbooks/guests.yml"
WORD = "a-word-for-the-vault"
PORT = 8017
CONTENT = 24  # MiB of it in the image
IMAGE = f"""
    mkdir -p /srv/www && cd /srv/www
    head -c {CONTENT}M /dev/urandom >raw && truncate -s 256M raw
    qemu-img convert -f raw -O qcow2 -c raw cloud.qcow2
    systemd-run --quiet --unit poolwright-www --working-directory /srv/www \
        python3 -m http.server --bind 127.0.0.1 {PORT}
    for second in $(seq 20); do
        python3 -c "import urllib.request as u; u.urlopen('http://127.0.0.1:{PORT}/')" 2>&1 && break
        sleep 1
    done >/dev/null
    sha256sum cloud.qcow2 | cut -d ' ' -f 1
"""
# What each disk begins with is what the image has, going by qemu-img and cmp.
RAW = f"cmp -n $(({CONTENT} << 20)) /srv/www/raw"
CHECK = f"""
    cd /srv/images
    qemu-img convert -O raw web1.qcow2 /srv/www/web1 && {RAW} /srv/www/web1 && echo web1
    printf {WORD} >/run/word
    qemu-img convert --object secret,id=word,file=/run/word --image-opts \
        driver=qcow2,encrypt.key-secret=word,file.filename=vault1.qcow2 -O raw /srv/www/vault1
    {RAW} /srv/www/vault1 && echo vault1
    {RAW} /dev/fast/db1 && echo db1
    for disk in /srv/www/web1 /srv/www/vault1 /dev/fast/db1; do
        python3 -c "import sys; print(open(sys.argv[1], 'rb').seek(0, 2) >> 20)" $disk
    done
    grep -l hostname *-seed.iso
    rm /run/word /srv/www/web1 /srv/www/vault1
"""
SEEDS = "db1-seed.iso\nvault1-seed.iso\nweb1-seed.iso"


def the_day(values: dict[str, str]) -> list[Result]:
    """The tasks of the playbook, with its variables."""
    play = yaml.safe_load(PLAYBOOK.read_text(encoding="utf-8"))[0]
    words = {**play["vars"], **values}

    def rendered(part: Any) -> Any:
        if isinstance(part, str):
            return Environment(autoescape=False).from_string(part).render(words)
        if isinstance(part, list):
            return [rendered(each) for each in part]
        if isinstance(part, dict):
            return {key: rendered(each) for key, each in part.items()}
        return part

    prefix = "poolwright.storage."
    return [
        task(key[len(prefix) :], **rendered(row[key]))
        for row in play["tasks"]
        for key in row
        if key.startswith(prefix)
    ]


@on_one_host
def test_a_guests_day(each_host: Driven) -> None:
    values = {
        "guests_image": f"http://127.0.0.1:{PORT}/cloud.qcow2",
        "guests_checksum": "sha256:" + each_host.sh(IMAGE).split()[-1],
        "guests_device": blank(0),
        "guests_password": WORD,
    }
    first = the_day({**values, "guests_disk": "512MiB"})
    later = the_day({**values, "guests_disk": "1536MiB"})
    four(each_host, *first, *map(still, first))
    four(each_host, sh(CHECK, f"web1\nvault1\ndb1\n512\n512\n512\n{SEEDS}"))
    four(each_host, *map(still, later[:2]), *later[2:])
    four(each_host, sh(CHECK, f"web1\nvault1\ndb1\n1536\n1536\n1536\n{SEEDS}"))
    each_host.sh("systemctl stop poolwright-www; rm -r /srv/www")
    four(
        each_host,
        task("pool_logical", name="fast", state="deleted", allow=["delete"]),
        task("pool_dir", name="images", state="deleted", allow=["delete"]),
    )
