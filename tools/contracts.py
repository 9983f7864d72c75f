#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The README's table of what is promised, from the headers: each that users call says it in a line of its own,

    // In short: who may call | progress | allocates | when it refuses

which stands after its table of operations and may go over several lines. The README cannot promise what no header does.

usage: contracts.py           says whether the README has what the headers say
       contracts.py --write   writes it there
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("queue", "policy", "ipc", "exec", "telemetry", "interop")
BEGIN = "<!-- From the headers, by tools/contracts.py --write -->"
END = "<!-- The end of what comes from the headers -->"
HEAD = ["| part | who may call | progress | allocates | when it refuses |", "|---|---|---|---|---|"]


def opening(text):
    """The comment that a header begins with, a line each, without the slashes."""
    lines = []
    for line in text.splitlines()[1:]:
        if not line.startswith("//"):
            break
        lines.append(line[2:].strip())
    return lines


def in_short(lines):
    """The four columns, or None."""
    for at, line in enumerate(lines):
        if line.startswith("In short: "):
            words = [line.removeprefix("In short: ")]
            for more in lines[at + 1:]:
                if not more:
                    break
                words.append(more)
            return [column.strip() for column in " ".join(words).split(" | ")]
    return None


def judge(part, text):
    """The row of a header, or what is wrong with it; (None, None) for one that needs no row."""
    lines = opening(text)
    columns = in_short(lines)
    if columns is not None:
        if len(columns) != 4 or not all(columns):
            return None, f"{part}: `In short:` has {len(columns)} columns; expected who may call | progress | allocates | when it refuses"
        return f"| `{part}` | {' | '.join(columns)} |", None
    has_operations = any(re.match(r"operation\s+\S", line) for line in lines)
    by_itself = not any("not by itself" in line for line in lines)
    if has_operations and by_itself:
        return None, f"{part}: has operations, and neither an `In short:` line nor says that it is not for use by itself"
    return None, None


def table(include):
    """The rows, and what is wrong."""
    rows, wrong = [], []
    for room in ROOMS:
        for header in sorted((include / room).glob("*.hpp")):
            row, why = judge(f"{room}/{header.stem}", header.read_text(encoding="utf-8"))
            if row:
                rows.append(row)
            if why:
                wrong.append(why)
    return rows, wrong


def put_in(readme, rows):
    """The README with these rows between its marks; None if it has no marks."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return None
    return before + "\n".join([BEGIN, *HEAD, *rows, END]) + after


def main():
    rows, wrong = table(ROOT / "include" / "holdfast")
    path = ROOT / "README.md"
    readme = path.read_text(encoding="utf-8")
    written = put_in(readme, rows)
    if written is None:
        wrong.append(f"README.md: has not both marks, `{BEGIN}` and `{END}`")
    elif sys.argv[1:] == ["--write"]:
        path.write_text(written, encoding="utf-8")
    elif written != readme:
        wrong.append("README.md: what is promised differs from what the headers say; tools/contracts.py --write")
    for line in wrong:
        print(line)
    print(f"contracts: {len(rows)} parts, {len(wrong)} findings")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
