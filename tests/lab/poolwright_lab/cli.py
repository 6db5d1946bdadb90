# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""The command line of the lab."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from . import image, inventory, paths
from .errors import LabError
from .host import Host, Wishes, boot, known_hosts
from .process import say

Command = Callable[[argparse.Namespace], int]


def _hosts(options: argparse.Namespace) -> list[Host]:
    if options.all:
        return known_hosts()
    if not options.names:
        raise LabError("which host? give names, or --all")
    return [Host(name) for name in options.names]


def _wanted(spec: str, shared: Wishes) -> tuple[Host, Wishes]:
    """Read NAME[:SUITE][:without-libvirt], where the parts count more than the options."""
    name, *parts = spec.split(":")
    wishes = dict(shared)
    for part in parts:
        if part == "without-libvirt":
            wishes["libvirt"] = False
        elif part in image.SUITES:
            wishes["suite"] = part
        else:
            raise LabError(f"what is {part!r} in {spec}?")
    return Host(name), wishes


def _up(options: argparse.Namespace) -> int:
    given = vars(options)
    fields = ("suite", "libvirt", "scsi", "memory", "network_ip")
    shared = {field: given[field] for field in fields if given[field] is not None}
    wanted = dict(_wanted(spec, shared) for spec in dict.fromkeys(options.names))
    if options.network_ip and len(wanted) > 1:
        raise LabError("--network-ip is for one host at a time")
    boot(wanted, fresh=options.fresh)
    for host in wanted:
        print(f"{host.name}: {shlex.join(host.ssh_args())}")
    return 0


def _run(options: argparse.Namespace) -> int:
    words: list[str] = options.command
    command = words[0] if len(words) == 1 else shlex.join(words)
    return Host(options.name).show(command, options.timeout)


def _ssh(options: argparse.Namespace) -> int:
    host = Host(options.name)
    host.ssh.connect()
    command = host.ssh_args()
    os.execvp(command[0], command)


def _timed(what: str, action: Callable[[], object]) -> int:
    began = time.monotonic()
    action()
    say(f"{what} in {time.monotonic() - began:.1f} s")
    return 0


def _save(options: argparse.Namespace) -> int:
    return _timed(f"{options.name} saved", Host(options.name).save)


def _reset(options: argparse.Namespace) -> int:
    return _timed(f"{options.name} reset", Host(options.name).reset)


def _reboot(options: argparse.Namespace) -> int:
    host = Host(options.name)
    return _timed(f"{host.name} rebooted", lambda: host.reboot(shuffle=options.shuffle))


def _cut(options: argparse.Namespace) -> int:
    for host in _hosts(options):
        _timed(f"{host.name} cut", host.cut)
    return 0


def _down(options: argparse.Namespace) -> int:
    for host in _hosts(options):
        _timed(f"{host.name} down", host.down)
    return 0


def _destroy(options: argparse.Namespace) -> int:
    for host in _hosts(options):
        host.destroy()
    return 0


def _list(_options: argparse.Namespace) -> int:
    for host in known_hosts():
        settings = host.settings
        state = f"port {settings.port}" if host.running else "off"
        libvirt = "libvirt" if settings.libvirt else "without libvirt"
        print(f"{host.name}\t{state}\t{settings.suite}\t{libvirt}")
    return 0


def _inventory(options: argparse.Namespace) -> int:
    hosts = _hosts(options)
    if options.list:
        print(inventory.script([host for host in hosts if host.running]))
    else:
        sys.stdout.write(inventory.text(hosts))
    return 0


def _qmp(options: argparse.Namespace) -> int:
    question = json.loads(options.json)
    answer = Host(options.name).qmp(question["execute"], question.get("arguments"))
    print(json.dumps(answer, indent=1))
    return 0


def _detach(options: argparse.Namespace) -> int:
    Host(options.name).detach(options.path)
    return 0


def _attach(options: argparse.Namespace) -> int:
    Host(options.name).attach(options.path)
    return 0


def _image(options: argparse.Namespace) -> int:
    for suite in options.suites:
        print(image.ensure(suite).folder)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="Virtual test hosts with real disks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, action: Command, about: str) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=about, description=about)
        found.set_defaults(action=action)
        return found

    _add_up(add("up", _up, "boot hosts, made now if they are new"))
    command = add("run", _run, "run a command as root; its exit status is passed on")
    command.add_argument("--timeout", type=float, default=300)
    command.add_argument("name")
    command.add_argument("command", nargs=argparse.REMAINDER)
    command = add("reboot", _reboot, "power off cleanly and boot again")
    command.add_argument("name")
    command.add_argument("--shuffle", action="store_true", help="attach the disks in another order")
    for name, action, about in (
        ("ssh", _ssh, "open a shell on the host"),
        ("save", _save, "keep the state of all disks"),
        ("reset", _reset, "go back to the state that was saved"),
    ):
        add(name, action, about).add_argument("name")
    for name, action, about in (
        ("cut", _cut, "cut the power; `up` boots the same disks again"),
        ("down", _down, "power off, or cut the power after a while"),
        ("destroy", _destroy, "cut the power and delete the disks"),
        ("inventory", _inventory, "print an Ansible inventory"),
    ):
        command = add(name, action, about)
        command.add_argument("names", nargs="*", metavar="name")
        command.add_argument("--all", action="store_true")
        if name == "inventory":
            command.add_argument("--list", action="store_true", help="as a dynamic inventory does")
    add("list", _list, "list the hosts")
    _add_devices(add)
    add("image", _image, "build images only").add_argument(
        "suites", nargs="+", choices=list(image.SUITES)
    )
    return parser


def _add_up(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="+", metavar="name[:suite][:without-libvirt]")
    command.add_argument("--suite", choices=list(image.SUITES))
    command.add_argument("--without-libvirt", dest="libvirt", action="store_false", default=None)
    command.add_argument("--scsi", type=int, metavar="N", help="blank SCSI disks (4)")
    command.add_argument("--memory", type=int, metavar="MIB", help="1024")
    command.add_argument("--network-ip", metavar="A.B.C.D", help="address on a /24 of all hosts")
    command.add_argument("--fresh", action="store_true", help="begin with new disks")


def _add_devices(add: Callable[[str, Command, str], argparse.ArgumentParser]) -> None:
    command = add("qmp", _qmp, "give QEMU one command")
    command.add_argument("name")
    command.add_argument("json", help='{"execute": "query-status"}')
    for name, action in (("detach", _detach), ("attach", _attach)):
        command = add(name, action, f"{name} one path to the multipath disk")
        command.add_argument("name")
        command.add_argument("path", choices=["mpa", "mpb"])


def _end(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> int:
    """Run one command; return the exit status."""
    # Also where a shell has started this in the background, with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    options = _parser().parse_args()
    try:
        paths.home()
        action: Command = options.action
        return action(options)
    except LabError as error:
        say(f"lab: {error}")
        return 1
    except subprocess.TimeoutExpired as error:
        say(f"lab: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
