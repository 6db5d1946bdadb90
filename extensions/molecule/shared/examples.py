# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) poolwright.storage contributors
"""Prints the examples of a module, as the list of tasks that they are."""

import ast
import pathlib
import sys

PLUGINS = pathlib.Path(__file__).resolve().parents[3] / "plugins" / "modules"

tree = ast.parse((PLUGINS / f"{sys.argv[1]}.py").read_text())
for node in tree.body:
    if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES":
        print(ast.literal_eval(node.value))
