# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""What nobody else is to read: encrypted volumes, seeds, and what is wiped before it goes."""

from __future__ import annotations

import pytest
from conftest import Driven, blank, on_one_host, task, thorough
from test_states import four, sh, still

IMAGES = {"name": "images", "path": "/srv/secrets"}
WORD = "nobody-is-to-read-this"
# Where the bytes of a file are on its disk, seen past the file.
SOME = ("zero", "dod", "trim")
REST = ("nnsa", "bsi", "gutmann", "schneier", "pfitzner7", "pfitzner33", "random")


def gone(name: str, algorithm: str) -> dict[str, object]:
    return {"name": name, "state": "absent", "wipe": algorithm}


def count(place: str) -> str:
    """How often the word is in the first bytes of a disk."""
    return f"sync; head -c 64M {place} | tr -d '\\0' | grep -c -a {WORD}"


@thorough
@on_one_host
def test_files(each_host: Driven) -> None:
    """The word is looked for on the disk, below the file system."""
    rows = [{"name": name, "capacity": "2M"} for name in (*SOME, "kept")]
    fill = "; ".join(f"yes {WORD} | head -c 1M >/srv/secrets/{row['name']}" for row in rows)
    small = f"vgcreate -q small {blank(0)} && lvcreate -q -L 64M -n fs small"
    four(
        each_host,
        sh(f"({small}) >/dev/null"),
        task("pool_fs", name="images", device="/dev/small/fs", path="/srv/secrets", format="ext4"),
        task("volumes", pool="images", volumes=rows),
        sh(fill),
        task("volumes", pool="images", volumes=[gone("zero", "zero")], allow=["delete"]),
        task("volumes", pool="images", volumes=[gone("dod", "dod")], allow=["delete"]),
        still(task("volumes", pool="images", volumes=[gone("dod", "dod")], allow=["delete"])),
        task("volumes", pool="images", volumes=[gone("trim", "trim")], allow=["delete"]),
        sh("ls -A /srv/secrets | grep -v lost", "kept"),
        sh("fstrim /srv/secrets"),
        sh(
            f"[ $({count('/dev/small/fs')}) = $(grep -c {WORD} /srv/secrets/kept) ] && echo same",
            "same",
        ),
        task("pool_fs", name="images", state="deleted", allow=["delete"]),
        sh(f"vgremove -q -y small >/dev/null && pvremove -q {blank(0)} >/dev/null"),
    )


@thorough
@on_one_host
def test_logical_volumes_and_partitions(each_host: Driven) -> None:
    rows = [{"name": name, "capacity": "8M"} for name in SOME]
    fill = "; ".join(f"yes {WORD} | head -c 8M >/dev/vault/{name}" for name in SOME)
    steps = [
        task("volumes", pool="vault", volumes=[gone(name, name)], allow=["delete"]) for name in SOME
    ]
    kernel = each_host.sh(f"basename $(readlink -f {blank(0)})").strip()
    four(
        each_host,
        task("pool_logical", name="vault", devices=[blank(0)]),
        task("volumes", pool="vault", volumes=rows),
        sh(f"{fill}; {count(blank(0))} >/dev/null && echo there", "there"),
        *steps,
        sh(f"lvs --noheadings vault; {count(blank(0))}", "0"),
        task("pool_logical", name="vault", state="deleted"),
        task("pool_disk", name="parts", device=blank(0)),
        task("volume", pool="parts", name=f"{kernel}1", capacity="8M"),
        sh(f"yes {WORD} | head -c 8M >/dev/{kernel}1; udevadm settle"),
        task("volumes", pool="parts", volumes=[gone(f"{kernel}1", "zero")], allow=["delete"]),
        sh(
            f"ls /dev/{kernel}?; {count(blank(0))}",
            f"ls: cannot access '/dev/{kernel}?': No such file or directory\n0",
        ),
        task("pool_disk", name="parts", state="deleted", allow=["delete"]),
    )


@pytest.mark.parametrize("algorithm", [pytest.param(each, marks=thorough) for each in REST])
def test_patterns_of_scrub(host: Driven, algorithm: str) -> None:
    four(
        host,
        task("pool_dir", **IMAGES),
        task("volume", pool="images", name="web", capacity="1M", allocation="1M"),
        task("volumes", pool="images", volumes=[gone("web", algorithm)], allow=["delete"]),
        sh("ls -A /srv/secrets"),
        task("pool_dir", name="images", state="deleted"),
    )


PASSPHRASE = "open, sesame é"
OPENS = f"printf '{PASSPHRASE}' | cryptsetup open --test-passphrase --key-file - --type luks"
OPTS = (
    f"printf '{PASSPHRASE}' >/run/key; qemu-io -r --object secret,id=s,file=/run/key --image-opts"
)


def encrypted(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "encryption": {"passphrase": PASSPHRASE}, "capacity": "8M", **more}


@thorough
def test_encrypted_files(each_host: Driven) -> None:
    serpent = {"cipher": {"name": "serpent", "size": 256, "mode": "xts", "hash": "sha512"}}
    rows = [
        encrypted("raw"),
        encrypted("image", format="qcow2"),
        encrypted("serpent", encryption={"passphrase": PASSPHRASE, **serpent}),
    ]
    grown = [{**row, "capacity": "12M"} for row in rows]
    known = "2" if each_host.libvirt else "0"
    secrets = "ls /etc/libvirt/secrets 2>/dev/null | grep -c base64"
    four(
        each_host,
        task("pool_dir", **IMAGES),
        task("volumes", pool="images", volumes=rows),
        sh(f"{OPENS} /srv/secrets/raw && {OPENS} /srv/secrets/serpent && echo opens", "opens"),
        sh(
            "cryptsetup luksDump /srv/secrets/serpent | grep -c '^Cipher.*serpent\\|^Hash.*sha512'",
            "2",
        ),
        sh(
            f"{OPTS} driver=luks,file.filename=/srv/secrets/raw,key-secret=s -c 'read 0 8M' | "
            "head -1",
            "read 8388608/8388608 bytes at offset 0",
        ),
        task("volumes", pool="images", volumes=grown),
        sh(
            f"{OPTS} driver=qcow2,file.filename=/srv/secrets/image,encrypt.key-secret=s -c "
            "'read 8M 4M' | head -1; rm /run/key",
            "read 4194304/4194304 bytes at offset 8388608",
        ),
        task("volume", pool="images", name="raw", state="absent", allow=["delete"]),
        sh(secrets, known),
        task("volume", pool="images", name="image", state="absent", allow=["delete"]),
        task("volume", pool="images", name="serpent", state="absent", allow=["delete"]),
        sh(secrets, "0"),
        task("pool_dir", name="images", state="deleted"),
    )


@thorough
@on_one_host
def test_encrypted_devices(each_host: Driven) -> None:
    """With 2 MiB for the header, 10 MiB are whole extents of 4 MiB."""
    kernel = each_host.sh(f"basename $(readlink -f {blank(0)})").strip()
    four(
        each_host,
        task("pool_logical", name="vault", devices=[blank(0)]),
        task("volumes", pool="vault", volumes=[encrypted("web", capacity="10M")]),
        sh(f"{OPENS} /dev/vault/web && echo opens", "opens"),
        sh(
            f"{OPTS} driver=luks,file.filename=/dev/vault/web,key-secret=s -c 'read 0 10M' | "
            "head -1; rm /run/key",
            "read 10485760/10485760 bytes at offset 0",
        ),
        task("volumes", pool="vault", volumes=[encrypted("web", capacity="14M")]),
        sh(f"{OPENS} /dev/vault/web && blockdev --getsize64 /dev/vault/web", "16777216"),
        task("volume", pool="vault", name="web", state="absent", allow=["delete"]),
        task("pool_logical", name="vault", state="deleted"),
        task("pool_disk", name="parts", device=blank(0)),
        task("volumes", pool="parts", volumes=[encrypted(f"{kernel}1", capacity="10M")]),
        sh(f"{OPENS} /dev/{kernel}1 && blockdev --getsize64 /dev/{kernel}1", "12582912"),
        task("volume", pool="parts", name=f"{kernel}1", state="absent", allow=["delete"]),
        task("pool_disk", name="parts", state="deleted", allow=["delete"]),
    )


@on_one_host
def test_encrypted_devices_are_filled(each_host: Driven) -> None:
    """From an image, from what is packed, and by a clone, into what is thin, too."""
    kernel = each_host.sh(f"basename $(readlink -f {blank(0)})").strip()
    each_host.sh(
        "mkdir -p /srv/secrets; cd /srv/secrets; head -c 5M /dev/urandom >raw; truncate -s 8M raw;"
        "gzip -k raw; qemu-img convert -O qcow2 raw image"
    )
    image = {"path": "/srv/secrets/image", "format": "qcow2"}
    packed = {"path": "/srv/secrets/raw.gz"}
    thin = {"type": "thin", "thin_pool": "thin"}
    by_image, plain = encrypted("a", source=image), {"name": "b", "source": image}
    del by_image["capacity"]
    four(
        each_host,
        task("pool_logical", name="vault", devices=[blank(0)]),
        task(
            "volumes",
            pool="vault",
            volumes=[
                by_image,
                plain,
                {"name": "thin", "capacity": "32M", "lvm": {"type": "thin-pool"}},
                encrypted("c", source=packed),
                encrypted("d", lvm=thin, clone_from={"volume": "b"}),
            ],
        ),
        sh(opened(*(f"/dev/vault/{name}" for name in "acd")), ""),
        task("pool_logical", name="vault", state="deleted", allow=["delete"]),
        task("pool_disk", name="parts", device=blank(0)),
        task(
            "volumes",
            pool="parts",
            volumes=[
                {**by_image, "name": f"{kernel}1"},
                encrypted(f"{kernel}2", source=packed),
                {**plain, "name": f"{kernel}3"},
                encrypted(f"{kernel}4", clone_from={"volume": f"{kernel}3"}),
            ],
        ),
        sh(opened(*(f"/dev/{kernel}{number}" for number in (1, 2, 4))), ""),
        task("pool_disk", name="parts", state="deleted", allow=["delete"]),
        sh("rm -r /srv/secrets", ""),
    )


def opened(*devices: str) -> str:
    """What tells of all encrypted devices whether they are equal to what they were filled with."""
    told = "driver=luks,file.filename=$each,key-secret=s"
    return f"""printf '{PASSPHRASE}' >/run/key
    for each in {" ".join(devices)}; do
      qemu-img convert --object secret,id=s,file=/run/key --image-opts -O raw {told} /run/opened
      cmp -n 8M /run/opened /srv/secrets/raw
    done; rm /run/opened /run/key"""


@thorough
def test_the_passphrase_is_nowhere(each_host: Driven) -> None:
    each_host.tasks(task("pool_dir", **IMAGES))
    make = task(
        "volumes", pool="images", volumes=[encrypted("raw"), encrypted("i", format="qcow2")]
    )
    grow = task("volume", pool="images", **encrypted("i", format="qcow2", capacity="9M"))
    for result in each_host.tasks(make, grow):
        assert "sesame" not in str(result)
    assert each_host.sh("grep -rl sesame /run /tmp /srv/secrets /var/log", check=False) == ""
    names = ["raw", "i"]
    rows = [{"name": name, "state": "absent"} for name in names]
    each_host.tasks(
        task("volumes", pool="images", volumes=rows, allow=["delete"]),
        task("pool_dir", name="images", state="deleted"),
    )


@thorough
def test_libvirt_opens_what_is_encrypted(libvirt_host: Driven) -> None:
    """The secret is found by the path of the volume, and no wrong passphrase takes its place."""
    libvirt_host.tasks(
        task("pool_dir", **IMAGES), task("volume", pool="images", **encrypted("raw"))
    )
    [info] = libvirt_host.tasks(task("volume_info", pool="images"))
    [found] = info["volumes"]
    uuid = found["encryption"]["secret"]["uuid"]
    assert libvirt_host.sh("virsh secret-list | grep -c 'volume */srv/secrets/raw'").strip() == "1"
    told = libvirt_host.sh("virsh vol-dumpxml --pool images --vol raw")
    assert f"uuid='{uuid}'" in told
    assert f"<capacity unit='bytes'>{found['capacity']}</capacity>" in told
    other = task("volume", pool="images", **encrypted("raw", encryption={"passphrase": "wrong"}))
    [[_, failed]] = libvirt_host.drive("refused", tasks=[other])["answers"]
    assert "Invalid password" in failed["msg"]
    libvirt_host.tasks(
        task("volume", pool="images", name="raw", state="absent", allow=["delete"]),
        task("pool_dir", name="images", state="deleted"),
    )
    assert "/srv/secrets" not in libvirt_host.sh("virsh secret-list")


def seed(**more: object) -> dict[str, object]:
    said = {"user_data": {"hostname": "web1"}, "meta_data": "instance-id: one\n", **more}
    return {"name": "web1.iso", "cloud_init": said}


@on_one_host
def test_seeds(each_host: Driven) -> None:
    mount = "mount -o loop,ro /srv/secrets/web1.iso /mnt && cat /mnt/*; umount /mnt"
    four(
        each_host,
        task("pool_dir", **IMAGES),
        task("volumes", pool="images", volumes=[seed()]),
        sh(mount, 'instance-id: one\n#cloud-config\n{\n  "hostname": "web1"\n}'),
        sh("blkid -o value -s LABEL /srv/secrets/web1.iso", "cidata"),
        task("volumes", pool="images", volumes=[seed(user_data="#!/bin/sh\n")]),
        task("volumes", pool="images", volumes=[{**seed(network_config={}), "mode": "0640"}]),
        sh("stat -c %a /srv/secrets/web1.iso; ls -A /srv/secrets", "640\nweb1.iso"),
        task("volume", pool="images", name="web1.iso", state="absent", allow=["delete"]),
        task("pool_dir", name="images", state="deleted"),
    )
