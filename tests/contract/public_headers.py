#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the public headers as they are included, one a line: what meson makes the contract tests from."""
from pathlib import Path

include = Path(__file__).resolve().parent.parent.parent / "include"
print("\n".join(sorted(str(header.relative_to(include)) for header in include.rglob("*.hpp"))))
