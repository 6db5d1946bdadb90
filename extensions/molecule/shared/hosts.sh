#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
#
# The dynamic inventory of the scenarios: the lab's hosts that run now, with the ports they have.
# deb12 has libvirt; deb13-plain does not.
set -eu
lab=$(dirname "$0")/../../../tests/lab/lab
exec "$lab" inventory --list deb12 deb13-plain
