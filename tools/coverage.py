# SPDX-License-Identifier: MIT
"""Branch coverage of the public headers by the tests of build/coverage, as gcov reads it.

What counts: every branch of include/holdfast that gcc made for the code as it is written. Left out are the two ways that
gcc gives every call that might throw, what it adds at a brace alone (a coroutine's frame), and the failing side of
HOLDFAST_ASSERT, which ends the process. A branch is covered when one build of its line takes it: one instantiation of a
template, in one of the test programs.

An uncovered branch that must stay so has a line in tests/coverage_exceptions.txt, `header | code of the line | reason`;
a line there that names nothing uncovered is an error as well, so that the list cannot outlive its reasons.
"""
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import workshop

EXCEPTIONS = workshop.ROOT / "tests" / "coverage_exceptions.txt"


def read_exceptions(text):
    """{(header, code of the line): reason}"""
    listed = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        # The code may have a bar in it, the others have none.
        header, _, rest = line.partition(" | ")
        parts = [header.strip(), *(part.strip() for part in rest.rsplit(" | ", 1))]
        if len(parts) != 3 or not all(parts):
            raise ValueError(f"line {number}: expected `header | code of the line | reason`")
        if (parts[0], parts[1]) in listed:
            raise ValueError(f"line {number}: listed twice")
        listed[parts[0], parts[1]] = parts[2]
    return listed


def choices(branches):
    """How often each branch was taken, without those of calls that might throw: on and to the handler, side by side."""
    kept = []
    for branch in branches:
        if not branch["throw"]:
            kept.append(branch)
        elif kept and kept[-1]["fallthrough"]:
            kept.pop()
    return [branch["count"] for branch in kept]


def merged(reports, root):
    """{(header, line): [how often each branch was taken]} over all builds of a line. gcov gives one entry a function and
    instantiation; those that made as many branches of a line made the same ones, others stand beside them."""
    lines = {}
    for report in reports:
        for file in report["files"]:
            path = (Path(report["current_working_directory"]) / file["file"]).resolve()
            if not path.is_relative_to(root / "include" / "holdfast"):
                continue
            for line in file["lines"]:
                taken = choices(line["branches"])
                shapes = lines.setdefault((path.relative_to(root).as_posix(), line["line_number"]), {})
                shapes[len(taken)] = [a + b for a, b in zip(taken, shapes.get(len(taken), [0] * len(taken)))]
    return {key: [n for _, counts in sorted(shapes.items()) for n in counts] for key, shapes in sorted(lines.items())}


def uncovered_of(lines, code_of):
    """Branches in all, and those that were never taken: (header, line, code, how many)."""
    total, uncovered = 0, []
    for (path, number), taken in lines.items():
        code = code_of(path, number)
        if code in ("", "{", "}") or "HOLDFAST_ASSERT" in code:
            continue
        total += len(taken)
        if 0 in taken:
            uncovered.append((path, number, code, taken.count(0)))
    return total, uncovered


def judge(total, uncovered, listed):
    """Per cent of branches taken, lines that nobody listed, and listed lines that are covered by now."""
    missed = sum(entry[3] for entry in uncovered)
    percent = 100 * (total - missed) / total if total else 0.0
    unlisted = [entry for entry in uncovered if (entry[0], entry[2]) not in listed]
    seen = {(entry[0], entry[2]) for entry in uncovered}
    return percent, unlisted, [key for key in listed if key not in seen]


def forget():
    """Before the tests: gcc's counters add up over runs, and what another run took is not taken by this one."""
    for counters in (workshop.BUILD / "coverage").rglob("*.gcda"):
        counters.unlink()


def read_counters(counters):
    command = ["gcov", "--json-format", "--stdout", "--branch-probabilities", "--branch-counts", counters]
    ended = subprocess.run(command, cwd=counters.parent, capture_output=True, text=True, timeout=300)
    if ended.returncode != 0:
        raise OSError(f"gcov failed on {counters}: {ended.stderr}")
    return json.loads(ended.stdout)


def report():
    """After the tests: prints and keeps the figure. Returns whether the list of exceptions is right, and rows to show."""
    try:
        with ThreadPoolExecutor(workshop.jobs()) as pool:
            reports = list(pool.map(read_counters, sorted((workshop.BUILD / "coverage").rglob("*.gcda"))))
    except (OSError, ValueError, subprocess.SubprocessError) as wrong:
        print(wrong)
        return False, [("coverage", "gcov failed")]
    sources = {}

    def code_of(path, number):
        if path not in sources:
            sources[path] = (workshop.ROOT / path).read_text(encoding="utf-8").splitlines()
        return sources[path][number - 1].split("//")[0].strip()

    total, uncovered = uncovered_of(merged(reports, workshop.ROOT), code_of)
    try:
        listed = read_exceptions(EXCEPTIONS.read_text(encoding="utf-8"))
    except (OSError, ValueError) as wrong:
        print(f"{EXCEPTIONS.relative_to(workshop.ROOT)}: {wrong}")
        return False, [("coverage", "the list of exceptions cannot be read")]
    percent, unlisted, idle = judge(total, uncovered, listed)
    print(f"\nbranches of the headers never taken ({sum(e[3] for e in uncovered)} of {total}):")
    for path, number, code, missed in uncovered:
        reason = listed.get((path, code), "NOT LISTED")
        print(f"  {path}:{number}: {missed} of `{code}`: {reason}")
    for path, code in idle:
        print(f"  listed and covered, take it off the list: {path}: `{code}`")
    with open(workshop.PROOF / "coverage.jsonl", "a", encoding="utf-8") as facts:
        for name, value, unit in (("coverage.branches_percent", round(percent, 2), "%"),
                                  ("coverage.unlisted", sum(e[3] for e in unlisted), "branches")):
            facts.write(json.dumps({"name": name, "value": value, "unit": unit}) + "\n")
    return not unlisted and not idle and percent >= 95, [
        ("branches of the headers", f"{percent:.2f} % of {total} taken (goal 95 %)"),
        ("never taken", f"{sum(e[3] for e in uncovered)}, of them not listed {sum(e[3] for e in unlisted)}")]
