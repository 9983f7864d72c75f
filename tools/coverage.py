# SPDX-License-Identifier: MIT
"""Branch coverage of the public headers by the tests of build/coverage, as gcovr reads it.

What counts: every branch of include/holdfast that gcc made for the code as it is written. Left out are branches to
exception handlers, which gcc adds to every call that might throw, and the failing side of HOLDFAST_ASSERT, which ends
the process. A branch in a template is covered when one of its instantiations takes it.

An uncovered branch that must stay so has a line in tests/coverage_exceptions.txt, `header | code of the line | reason`;
a line there that names nothing uncovered is an error as well, so that the list cannot outlive its reasons.
"""
import json
import subprocess

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


def uncovered_of(report, code_of):
    """Branches in all, and those that were never taken: (header, line, code, how many)."""
    total, uncovered = 0, []
    for file in report["files"]:
        for line in file["lines"]:
            branches = [b for b in line.get("branches", []) if not b.get("throw")]
            if line.get("gcovr/noncode") or "HOLDFAST_ASSERT" in code_of(file["file"], line["line_number"]):
                continue
            total += len(branches)
            missed = sum(1 for b in branches if b["count"] == 0)
            if missed:
                uncovered.append((file["file"], line["line_number"], code_of(file["file"], line["line_number"]), missed))
    return total, uncovered


def judge(total, uncovered, listed):
    """Per cent of branches taken, lines that nobody listed, and listed lines that are covered by now."""
    missed = sum(entry[3] for entry in uncovered)
    percent = 100 * (total - missed) / total if total else 0.0
    unlisted = [entry for entry in uncovered if (entry[0], entry[2]) not in listed]
    seen = {(entry[0], entry[2]) for entry in uncovered}
    return percent, unlisted, [key for key in listed if key not in seen]


def report():
    """After the tests: prints and keeps the figure. Returns whether the list of exceptions is right, and rows to show."""
    build = workshop.BUILD / "coverage"
    out = build / "branches.json"
    command = ["gcovr", "--root", workshop.ROOT, "--filter", "include/holdfast/", "--exclude-throw-branches",
               "--exclude-unreachable-branches", "--gcov-ignore-parse-errors", "-j", str(workshop.jobs()), "--json", out, build]
    ended = subprocess.run(list(map(str, command)), cwd=workshop.ROOT, capture_output=True, text=True, timeout=900)
    if ended.returncode != 0:
        print(ended.stdout + ended.stderr)
        return False, [("coverage", "gcovr failed")]
    sources = {}

    def code_of(path, number):
        if path not in sources:
            sources[path] = (workshop.ROOT / path).read_text(encoding="utf-8").splitlines()
        return sources[path][number - 1].split("//")[0].strip()

    total, uncovered = uncovered_of(json.loads(out.read_text()), code_of)
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
