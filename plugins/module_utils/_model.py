# Copyright (c) poolwright.storage contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wanted and what is there, as plain frozen data: no behaviour, no connection.

An empty string, tuple or ``None`` means "not said", never "there is none".
Field names follow the elements of libvirt's pool and volume XML.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

UNFINISHED = ".poolwright-"  # how the names of files begin that are being made
# What is a raw disk to everybody but libvirt, which calls some of them by what is on them.
PLAIN = ("raw", "iso")


class Refused(Exception):
    """The task would lose something, contradicts itself, or cannot be right on this host.

    ``plan`` holds the actions that were planned by then.
    """

    plan: tuple[t.Any, ...] = ()


class Lacking(Refused):
    """The host lacks a program or a kind of file system, which a task before may bring."""


@dataclass(frozen=True)
class Device:
    """A block device as it was looked at.  A path is only how to reach it; the rest is what it is.

    ``number`` is ``major:minor``; ``sequence`` the kernel's disk sequence number, which no two
    disks share while it runs (0 before Linux 5.15); ``size`` is in bytes, 0 where it may change
    meanwhile.  ``partition`` is its number in its table, 0 for a whole device; ``uuid`` is the
    device mapper's.  ``ends`` is a checksum of its first and last MiB, "" where nobody has looked.
    ``foreseen`` is one that is not there yet and will be blank: a task before would make it.
    """

    path: str
    number: str
    size: int = 0
    partition: int = 0
    sequence: int = 0
    uuid: str = ""
    ends: str = ""
    foreseen: bool = False

    @property
    def identity(self) -> str:
        return self.number

    @property
    def sysfs(self) -> str:
        return f"/sys/dev/block/{self.number}"


@dataclass(frozen=True)
class Lvm:
    """What a logical volume is, in LVM's words; a wish leaves to LVM, or as it is, what is 0 or "".

    Other kinds than volumes are made of have LVM's type of segment as ``type``.  ``check`` tells
    that the metadata of a thin pool are damaged.  With ``overcommit``, which only a wish has, the
    thin volumes of a pool may be larger than that.
    """

    type: str = "linear"
    thin_pool: str = ""
    origin: str = ""
    stripes: int = 0
    stripe_size: int = 0
    mirrors: int = 0
    chunk_size: int = 0
    metadata_size: int = 0
    data_percent: str = ""
    metadata_percent: str = ""
    check: bool = False
    overcommit: bool = False


@dataclass(frozen=True)
class NewVolume:
    """A logical volume that is to be made: ``group`` and ``name``.

    ``uuid`` is how device mapper's begins, by which it is known.  Until it is whole it has
    ``mark``, one of LVM's tags.  With ``blank`` something of before may be left at its ends.
    """

    group: str
    name: str
    uuid: str
    mark: str
    blank: bool

    @property
    def shown(self) -> str:
        return f"{self.group}/{self.name}"


@dataclass(frozen=True)
class File:
    """A file as it was looked at: ``device`` is the number of its file system, as stat has it."""

    path: str
    device: int
    inode: int

    @property
    def identity(self) -> tuple[int, int]:
        return self.device, self.inode


@dataclass(frozen=True)
class Place:
    """A directory that goes with all that is in it, or a mount that is taken away.

    ``device`` and ``inode`` as in `File`; 0 where a server would have to be asked.  ``on`` is what
    a mount writes to when it goes, ``inside`` the names in it where nothing may have been added.
    """

    path: str
    device: int = 0
    inode: int = 0
    on: Device | None = None
    inside: tuple[str, ...] | None = None


@dataclass(frozen=True)
class VolumeGroup:
    """A volume group: LVM's commands know it by its name, which another one can have by then."""

    name: str
    uuid: str


@dataclass(frozen=True)
class Claim:
    """What a step takes or writes to, compared with the machine right before the step.

    With ``alone`` nobody else may use any of it; without, others may use other parts of it, as the
    partitions of a disk of which one goes.  With ``reads`` it is only read, and others may read it.
    With ``keeps`` nothing that it holds goes, so that a guest that is off is not in the way.
    """

    thing: Device | File | Place | VolumeGroup
    alone: bool = True
    reads: bool = False
    keeps: bool = False


@dataclass(frozen=True)
class Source:
    """What a volume is filled from: what is at a path, what a url leads to, or an ``upload``.

    ``thing`` is what was there; ``None`` of a volume that the task itself makes before, in the
    directory ``place`` or as a device.  ``format`` "" and ``capacity`` 0 are not known before it is
    read.  ``packed`` tells how it is compressed, or "auto" where only its first bytes will.
    ``size`` and ``allocation`` are a file's.  The path of an upload, which is looked at no sooner
    than it is read, is "" until it has been sent.  What is to be kept ``equal`` to it is so now.
    """

    shown: str
    path: str = ""
    thing: File | Device | None = None
    place: File | None = None
    url: str = ""
    upload: str = ""
    checksum: str = ""
    packed: str = ""
    format: str = ""
    capacity: int = 0
    size: int = 0
    allocation: int = 0
    start: int = 0
    count: int = 0
    equal: bool = False


@dataclass(frozen=True)
class Filling:
    """How a volume is filled.

    ``read`` tells from the first bytes of a source its format and capacity, and raises `Refused`
    where it must not be used.  ``format`` is that of the volume, "" where it is the source's, and
    ``capacity`` 0 likewise.  Where ``alike`` a source of that format is copied as it is, based with
    ``rebase`` on what the task says, and resized with ``grow``; else it is converted with
    ``convert`` into what ``make`` has made, which the passphrase ``key`` opens.  Where ``blank``
    zeros are there already, and take no space.
    """

    name: str
    source: Source
    read: t.Callable[[bytes], tuple[str, int]]
    format: str = ""
    capacity: int = 0
    allocation: int = 0
    alike: bool = True
    reflink: str = "never"
    make: tuple[str, ...] = ()
    rebase: tuple[str, ...] = ()
    grow: tuple[str, ...] = ()
    convert: tuple[str, ...] = ()
    key: str = field(default="", repr=False)
    blank: bool = False

    def copies(self, format: str, capacity: int) -> bool:
        """Whether the bytes of a source of such a format and capacity become the volume's own."""
        if self.key:
            return False
        if (self.format or format) in PLAIN:
            return format in PLAIN
        same = self.alike and self.format in ("", format)
        return same and (self.capacity <= capacity or bool(self.grow))


@dataclass(frozen=True)
class SourceHost:
    """A server: ``source/host``.  ``port`` 0 is the protocol's default."""

    name: str
    port: int = 0


@dataclass(frozen=True)
class Adapter:
    """A SCSI host: ``source/adapter``; ``name``, or ``address`` with ``unique_id``, or WWNs."""

    type: str
    name: str = ""
    parent: str = ""
    wwnn: str = ""
    wwpn: str = ""
    address: str = ""  # PCI, 0000:00:1f.2
    unique_id: str = ""
    managed: str = ""  # yes, no
    parent_wwnn: str = ""
    parent_wwpn: str = ""
    parent_fabric_wwn: str = ""


@dataclass(frozen=True)
class Auth:
    """``source/auth``: who logs in, and which libvirt secret holds the password."""

    type: str
    username: str
    usage: str = ""
    uuid: str = ""
    secret_type: str = ""  # libvirt keeps it and does not need it


@dataclass(frozen=True)
class Permissions:
    """``target/permissions``.  ``mode`` is octal without prefix (``0711``)."""

    mode: str = ""
    owner: int | None = None
    group: int | None = None
    label: str = ""


@dataclass(frozen=True)
class Pool:
    """All that a pool definition can say, for every pool type."""

    type: str
    name: str
    uuid: str = ""
    cow: str = ""  # yes, no
    hosts: tuple[SourceHost, ...] = ()
    devices: tuple[str, ...] = ()
    part_separator: str = ""  # yes, no; of the first device, as libvirt uses no other's
    dir: str = ""
    adapter: Adapter | None = None
    source: str = ""  # source/name
    initiator: str = ""
    format: str = ""
    auth: Auth | None = None
    protocol_version: str = ""
    path: str = ""
    permissions: Permissions = Permissions()
    mount_options: tuple[str, ...] = ()
    vendor: str = ""
    product: str = ""
    refresh: str = ""  # refresh/volume/@allocation: default, capacity
    config_options: tuple[tuple[str, str], ...] = ()  # rbd:config_opts, names and values


@dataclass(frozen=True)
class Secret:
    """A libvirt secret that an encrypted volume is opened with: ``usage`` or ``uuid`` names it."""

    usage: str = ""
    uuid: str = ""
    type: str = "passphrase"


@dataclass(frozen=True)
class Cipher:
    """``encryption/cipher``."""

    name: str
    size: int
    mode: str = ""
    hash: str = ""


@dataclass(frozen=True)
class Ivgen:
    """``encryption/ivgen``: how the initialization vector is made."""

    name: str
    hash: str = ""


@dataclass(frozen=True)
class Encryption:
    """``target/encryption``.  ``format`` is luks, luks2, luks-any, qcow, or default.

    ``offset`` is where in a raw file what is encrypted begins.
    """

    format: str
    secrets: tuple[Secret, ...] = ()
    cipher: Cipher | None = None
    ivgen: Ivgen | None = None
    engine: str = ""
    passphrase: str = field(default="", repr=False)
    offset: int = 0


@dataclass(frozen=True)
class Backing:
    """What an image is based on: ``format`` is how it is read, ``capacity`` its own.

    0 is a ``capacity`` that is not known yet; without a ``file`` it is still to be made.
    """

    path: str
    format: str
    capacity: int = 0
    file: File | None = None


@dataclass(frozen=True)
class Link:
    """One file of those that an image is based on, one on the other.

    ``format`` is what it is read as.  ``file`` is ``None`` where it is not there, or is no file.
    """

    path: str
    format: str
    file: File | None = None


@dataclass(frozen=True)
class Target:
    """How a file is to be made, in the words of ``target``; libvirt has no preallocation there."""

    compat: str = ""
    cluster_size: int = 0
    features: tuple[str, ...] | None = None
    nocow: bool = False
    preallocation: str = ""
    backing: Backing | None = None


@dataclass(frozen=True)
class Seed:
    """What is on a seed of cloud-init: names of files, sorted, and what is in them."""

    files: tuple[tuple[str, bytes], ...] = field(repr=False)


@dataclass(frozen=True)
class Extent:
    """Where a volume lies: bytes ``start`` to ``end`` (exclusive) of ``device``."""

    device: str
    start: int
    end: int


@dataclass(frozen=True)
class Volume:
    """All that a volume definition can say.  Sizes are bytes.

    ``listed`` tells whether libvirt shows such a volume: it passes over thin and inactive ones.
    One that is ``begun`` was left by a run that was interrupted before it was whole.
    ``users`` says in words who has it open; ``data`` whether it may hold any.

    A file is known by ``file``, which is the entry of its directory, and by ``real``, which that
    leads to: something else where ``link`` is its target.  ``linked`` counts its names, ``node``
    is the number of the device whose node it is, and ``below`` is what it is based on, as far as
    that is there; ``chain`` is that in its order.  ``probed`` tells that only its content says that
    it has its format; ``clusters`` is their size where libvirt shows none, too.  ``inside`` are the
    names in a directory.
    ``devices`` are those of a logical volume, or the names of one that has none now.
    ``mark`` is in the first sector of one that an interrupted run has not filled.
    ``strange`` says what other file it needs, in words that go behind "that".

    ``featureless`` tells that a ``compat`` of 1.1 was written without ``features``, ``nocow`` that
    a definition asks for it; libvirt prints neither of an image that it has looked at.
    """

    name: str
    path: str = ""
    key: str = ""
    type: str = "file"
    format: str = ""
    capacity: int = 0
    allocation: int = 0
    physical: int = 0
    permissions: Permissions = Permissions()
    timestamps: tuple[tuple[str, str], ...] = ()
    compat: str = ""
    cluster_size: int = 0
    features: tuple[str, ...] = ()
    backing_path: str = ""
    backing_format: str = ""
    backing_permissions: Permissions = Permissions()
    backing_timestamps: tuple[tuple[str, str], ...] = ()
    encryption: Encryption | None = None
    extents: tuple[Extent, ...] = ()
    listed: bool = True
    begun: bool = False
    data: bool = True
    number: int = 0  # of a partition
    written: str = ""  # the format that libvirt's XML gives it, where that is not ``format``
    users: tuple[str, ...] = ()
    file: File | None = None
    real: File | None = None
    link: str = ""
    linked: int = 1
    node: str = ""
    below: tuple[File, ...] = ()
    probed: bool = False
    devices: tuple[Device, ...] = ()
    seed: Seed | None = None
    strange: str = ""
    mark: str = ""
    featureless: bool = False
    nocow: bool = False
    clusters: int = 0
    chain: tuple[Link, ...] = ()
    inside: tuple[str, ...] = ()
    lvm: Lvm | None = None

    @property
    def within(self) -> str:
        """The path of the thin pool that it is a volume of."""
        pool = self.lvm.thin_pool if self.lvm else ""
        return f"{self.path.rpartition('/')[0]}/{pool}" if pool else ""

    @property
    def active(self) -> bool:
        """Whether a logical volume has a device."""
        return any(device.number for device in self.devices)


@dataclass(frozen=True)
class Seen:
    """What a probe found.  Backends extend it with what only they need to know.

    ``state`` is one of

    * ``missing``: nothing is there, and nothing is in the way
    * ``blank``: what it is made of is there and holds nothing
    * ``foreign``: something else is there; ``dirt`` says what, by device
    * ``ready``: built

    ``active`` is ``None`` where the storage itself knows no difference (a directory).
    ``users`` says in words who uses the pool right now, ``warnings`` what an administrator should
    know though no task is the worse for it, ``news`` what the next look would not see any more, and
    libvirt has not seen.  ``error`` says why the inside of a pool cannot be seen.  ``shown`` are
    the volumes that libvirt shows, where those are others.  ``free`` are the gaps between the
    volumes, where a volume needs a gap of its own.  ``holding`` is the format of the file system
    that holds the volumes, with its options, where that is foreseen.
    """

    state: str
    active: bool | None = None
    dirt: t.Mapping[str, str] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    capacity: int = 0
    available: int = 0
    allocation: int = 0
    volumes: tuple[Volume, ...] = ()
    free: tuple[Extent, ...] | None = None
    warnings: tuple[str, ...] = ()
    news: tuple[str, ...] = ()
    error: str = ""
    shown: tuple[Volume, ...] | None = None
    holding: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Stored:
    """What is registered under a pool's name; ``secret`` is what libvirtd keeps as its password.

    ``active`` is libvirtd's word, ``None`` where no daemon is asked; ``listing`` is libvirtd's
    list of the volumes, as `virsh.row` has them, ``None`` where it has none; ``volumes`` is what it
    knows of those that it does not look at whenever it is asked.  ``running`` is the pool as it was
    started, by which libvirtd goes until it is stopped, whatever was defined since.
    """

    pool: Pool | None = None
    xml: str = ""
    autostart: bool = False
    active: bool | None = None
    listing: frozenset[str] | None = None
    volumes: tuple[Volume, ...] = ()
    secret: str | None = None
    running: Pool | None = None


@dataclass(frozen=True)
class Offer:
    """What a pool could be made from: ``options`` are those of the module of the type.

    ``device`` is the one that the pool would have for itself.
    """

    type: str
    options: t.Mapping[str, t.Any]
    capacity: int | None = None
    content: str = ""  # what is on it, in words; empty where it is blank or cannot tell
    users: tuple[str, ...] = ()
    error: str = ""
    device: Device | None = None
