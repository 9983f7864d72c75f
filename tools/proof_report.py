#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Gathers the figures that the suites left under build/proof and writes one Markdown table: figure, goal, met or not.

    tools/check --proof-report

How a suite adds its figure. It appends one line of JSON to the file that the environment variable HOLDFAST_PROOF names:

    {"name": "model.executions", "value": 5200000, "unit": "executions", "command": "./tools/check release model"}

`name` and `value` are needed, the others are for the reader; the command defaults to that of the run. C++ does it with
tests/support/proof_fact.hpp. tools/check sets the variable for the tests that it runs, to build/proof/<configuration>.jsonl,
which it begins anew with each whole run; a run of named tests adds to it, and of each figure the newest run in the file that
measured it counts. A script of its own calls workshop.begin_facts(). A new figure becomes a row by a line in FIGURES below.
The goal stands there and nowhere else, so that a suite cannot move it.

Several lines of one name, from several programs, make one figure: their sum, least or greatest, as FIGURES says. A name
that ends in `.*` takes all that begin so, such as one a fuzz target. What was not measured is said to be not measured.
"""
import json
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parent.parent
PROOF = ROOT / "build" / "proof"

# name, what it is, how lines make one figure, goal, the command that measures it.
MODEL, MUTANTS, LIN = "./tools/check", "./tools/check", "./tools/check"
FIGURES = [
    ("model.executions", "executions explored by the model checker", sum, (">=", 5_000_000), MODEL),
    ("model.scenarios", "scenarios explored completely", sum, (">=", 1), MODEL),
    ("model.incomplete", "scenarios not complete", sum, ("<=", 0), MODEL),
    ("checker.litmus", "litmus programs of the checker as expected", min, (">=", 51), MODEL),
    ("checker.programs", "random programs, reduced search against brute force", sum, (">=", 20_000), MODEL),
    ("checker.differences", "differences between the two", sum, ("<=", 0), MODEL),
    ("checker.faults_caught", "seeded faults of the checker caught", sum, (">=", 8), MODEL),
    ("checker.faults_missed", "seeded faults of the checker missed", sum, ("<=", 0), MODEL),
    ("mutants.order_killed", "memory-order mutants killed", sum, (">=", 1), MUTANTS),
    ("mutants.order_justified", "memory-order mutants that survive, with a reason", sum, None, MUTANTS),
    ("mutants.order_unlisted", "memory-order mutants that survive without one", sum, ("<=", 0), MUTANTS),
    ("mutants.logic_killed", "logic mutants killed", sum, (">=", 20), MUTANTS),
    ("mutants.logic_survived", "logic mutants that survive", sum, ("<=", 0), MUTANTS),
    ("tsan.operations", "operations under gcc ThreadSanitizer", sum, (">=", 10**8), "./tools/stress --sanitizer thread"),
    ("tsan.reports", "its reports", sum, ("<=", 0), "./tools/stress --sanitizer thread"),
    ("tsan.suppressions", "its suppressions", max, ("<=", 0), "./tools/stress --sanitizer thread"),
    ("tsan-clang.operations", "operations under clang ThreadSanitizer", sum, None,
     "./tools/stress --sanitizer thread-clang"),
    ("tsan-clang.reports", "its reports", sum, ("<=", 0), "./tools/stress --sanitizer thread-clang"),
    ("asan.operations", "operations under clang AddressSanitizer and UBSan", sum, (">=", 10**9),
     "./tools/stress --sanitizer address"),
    ("asan.reports", "their reports", sum, ("<=", 0), "./tools/stress --sanitizer address"),
    ("msan.operations", "operations under clang-19 MemorySanitizer", sum, None, "./tools/stress --sanitizer memory"),
    ("msan.reports", "its reports", sum, ("<=", 0), "./tools/stress --sanitizer memory"),
    ("lin.windows", "linearizability windows checked", sum, (">=", 10**7), LIN),
    ("lin.overlapping_percent", "of them with operations that overlap", min, (">=", 85), LIN),
    ("lin.failures", "windows that no order explains", sum, ("<=", 0), LIN),
    ("fuzz.executions.*", "fuzz executions of the target that had the fewest", min, (">=", 5_000_000), "./tools/check fuzz"),
    ("fuzz.crashes", "fuzz inputs that fail", sum, ("<=", 0), "./tools/check fuzz"),
    ("faults.kill_rounds", "rounds of kill -9", sum, (">=", 1_000), "./tools/check"),
    ("faults.damaged_prefixes", "of them with a damaged prefix", sum, ("<=", 0), "./tools/check"),
    ("coverage.branches_percent", "branch coverage of the headers", min, (">=", 95), "./tools/check coverage"),
    ("coverage.unlisted", "uncovered branches that are not listed with a reason", sum, ("<=", 0), "./tools/check coverage"),
    ("ci.minutes", "minutes that the last CI run took", max, ("<=", 25), ".ci/run"),
]


def read_facts(folder):
    """The lines of all files, each with the run it is of: those of the newest run in the file that has its name. A line that
    cannot be read is an error, not a gap."""
    facts = []
    for path in sorted(Path(folder).glob("*.jsonl")):
        runs, newest = 0, {}
        run = {"run": path.name, "commit": "unknown", "begun": "unknown"}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                fact = json.loads(line)
                if "run" in fact:
                    run = fact
                    runs += 1
                    continue
                name, value = fact["name"], fact["value"]
                if not re.fullmatch(r"[a-z0-9_.-]+", name) or isinstance(value, bool) or not isinstance(value, (int, float)):
                    raise ValueError("name or value")
            except (ValueError, KeyError, TypeError, AttributeError) as wrong:
                raise ValueError(f"{path.name}:{number}: not a fact ({wrong}): {line[:120]}") from None
            fact = {"unit": "", "command": run["run"], **fact, "commit": run["commit"], "begun": run["begun"]}
            if newest.get(name, (None, []))[0] != runs:
                newest[name] = (runs, [])
            newest[name][1].append(fact)
        facts += [fact for _, some in newest.values() for fact in some]
    return facts


def matches(pattern, name):
    return name.startswith(pattern[:-1]) if pattern.endswith(".*") else name == pattern


def number_text(value):
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")


def rows_of(facts, figures=None):
    rows = []
    for name, text, join, goal, command in FIGURES if figures is None else figures:
        seen = [f for f in facts if matches(name, f["name"])]
        row = {"name": name, "text": text, "goal": f"{'≥' if goal[0] == '>=' else '≤'} {number_text(goal[1])}" if goal else "-",
               "figure": "not measured", "met": "not measured", "command": command, "value": None}
        if seen:
            # A target is one figure, whatever number of runs gave it; a row then joins the targets.
            one = {}
            for f in seen:
                one.setdefault(f["name"], []).append(f["value"])
            value = join(sum(v) if name.endswith(".*") else join(v) for v in one.values())
            met = goal is None or (value >= goal[1] if goal[0] == ">=" else value <= goal[1])
            row.update(value=value, figure=number_text(value), met="-" if goal is None else "yes" if met else "NO",
                       command="; ".join(dict.fromkeys(f["command"] for f in seen)))
        rows.append(row)
    return rows


def markdown(facts, rows):
    lines = ["# Proof report", "", "| figure | seen | goal | met | command |", "|---|---:|---:|---|---|"]
    lines += [f"| {r['text']} | {r['figure']} | {r['goal']} | {r['met']} | `{r['command'].replace('|', chr(92) + '|')}` |"
              for r in rows]
    runs = list(dict.fromkeys((f["command"], f["commit"], f["begun"]) for f in facts))
    count = {state: sum(1 for r in rows if r["met"] == state) for state in ("yes", "NO", "not measured")}
    lines += ["", f"{count['yes']} goals met, {count['NO']} missed, {count['not measured']} figures not measured.", ""]
    if runs:
        lines += ["Measured by:", ""] + [f"- `{command}` at {commit}, begun {begun}" for command, commit, begun in runs] + [""]
    known = [f[0] for f in FIGURES]
    spare = [f for f in facts if not any(matches(k, f["name"]) for k in known)]
    if spare:
        lines += ["Also measured:", ""]
        lines += [f"- {f['name']}: {number_text(f['value'])} {f['unit']}".rstrip() for f in spare] + [""]
    return "\n".join(lines)


def main(arguments, folder=PROOF):
    """Ends with 1 when a goal was missed; what was not measured is said, and is no failure."""
    if arguments:
        print("usage: tools/check --proof-report", file=sys.stderr)
        return 2
    try:
        facts = read_facts(folder)
    except ValueError as wrong:
        print(f"proof report: {wrong}", file=sys.stderr)
        return 2
    rows = rows_of(facts)
    text = markdown(facts, rows)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(text, encoding="utf-8")
    print(text)
    return 1 if any(r["met"] == "NO" for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
