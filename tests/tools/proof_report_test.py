#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/proof_report.py and tools/coverage.py on figures whose truth is known.

With an argument, a program that calls proof_fact(name, value, unit) with its own arguments, the C++ helper as well."""
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import coverage  # noqa: E402
import proof_report as report  # noqa: E402

PROGRAM = None


def fact(name, value, **more):
    return {"name": name, "value": value, "unit": "", "command": "./cmd", "commit": "abc", "begun": "now", **more}


def row(name, *facts):
    return {r["name"]: r for r in report.rows_of(list(facts))}[name]


class Rows(unittest.TestCase):
    def test_every_figure_has_a_row_and_what_was_not_measured_is_no_guess(self):
        rows = report.rows_of([])
        self.assertEqual(len(rows), len(report.FIGURES))
        for r in rows:
            self.assertEqual((r["figure"], r["met"], r["value"]), ("not measured", "not measured", None))

    def test_a_goal_is_met_at_its_limit_and_not_below(self):
        self.assertEqual(row("tsan.operations", fact("tsan.operations", 10**8))["met"], "yes")
        self.assertEqual(row("tsan.operations", fact("tsan.operations", 10**8 - 1))["met"], "NO")
        self.assertEqual(row("tsan.reports", fact("tsan.reports", 0))["met"], "yes")
        self.assertEqual(row("tsan.reports", fact("tsan.reports", 1))["met"], "NO")

    def test_counts_of_several_programs_are_added_and_shares_are_the_least(self):
        self.assertEqual(row("model.executions", fact("model.executions", 2), fact("model.executions", 3))["value"], 5)
        self.assertEqual(row("lin.overlapping_percent", fact("lin.overlapping_percent", 99.5),
                             fact("lin.overlapping_percent", 84.9))["met"], "NO")

    def test_the_weakest_fuzz_target_speaks_for_all(self):
        self.assertEqual(row("fuzz.executions.*", fact("fuzz.executions.json", 6_000_000),
                             fact("fuzz.executions.log", 2_000_000), fact("fuzz.executions.log", 2_000_001))["value"], 4_000_001)

    def test_the_command_is_that_which_measured(self):
        self.assertEqual(row("asan.operations", fact("asan.operations", 1, command="./a"),
                             fact("asan.operations", 1, command="./b"))["command"], "./a; ./b")

    def test_a_figure_without_goal_is_shown(self):
        self.assertEqual(row("mutants.order_justified", fact("mutants.order_justified", 3))["met"], "-")


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="holdfast-proof-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, name, *lines):
        (self.folder / name).write_text("".join(line + "\n" for line in lines))

    def run_main(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = report.main(list(arguments), self.folder)
        return code, out.getvalue(), err.getvalue()

    def test_the_report_is_printed_and_kept(self):
        self.write("stress-thread.jsonl", '{"run": "./tools/stress", "commit": "abc", "begun": "then"}',
                   '{"name": "tsan.operations", "value": 123000000, "unit": "operations"}')
        code, out, _ = self.run_main()
        self.assertEqual(code, 0)
        self.assertIn("| operations under gcc ThreadSanitizer | 123,000,000 | ≥ 100,000,000 | yes | `./tools/stress` |", out)
        self.assertIn("`./tools/stress` at abc, begun then", out)
        self.assertIn("not measured |", out)
        self.assertEqual(out, (self.folder / "report.md").read_text() + "\n")

    def test_a_run_of_some_tests_replaces_their_figures_and_no_others(self):
        self.write("release.jsonl", '{"run": "./all", "commit": "abc", "begun": "then"}',
                   '{"name": "model.executions", "value": 5000000}', '{"name": "lin.windows", "value": 100}',
                   '{"name": "lin.windows", "value": 100}', '{"run": "./some", "commit": "abc", "begun": "later"}',
                   '{"name": "lin.windows", "value": 6000000}', '{"name": "lin.windows", "value": 4000000}')
        rows = {r["name"]: r for r in report.rows_of(report.read_facts(self.folder))}
        self.assertEqual((rows["model.executions"]["value"], rows["model.executions"]["command"]), (5_000_000, "./all"))
        self.assertEqual((rows["lin.windows"]["value"], rows["lin.windows"]["command"]), (10_000_000, "./some"))

    def test_a_missed_goal_ends_with_one(self):
        self.write("a.jsonl", '{"name": "asan.reports", "value": 2}')
        code, out, _ = self.run_main()
        self.assertEqual(code, 1)
        self.assertIn("| 2 | ≤ 0 | NO |", out)

    def test_a_line_that_is_no_fact_is_an_error(self):
        for line in ("half a li", "[]", '{"name": "a"}', '{"name": "a b", "value": 1}', '{"name": "a", "value": "1"}',
                     '{"name": "a", "value": true}', "7"):
            self.write("a.jsonl", '{"name": "ok", "value": 1}', line)
            code, out, err = self.run_main()
            self.assertEqual((code, out), (2, ""), line)
            self.assertIn("a.jsonl:2: not a fact", err)

    def test_a_figure_that_nobody_asked_for_is_shown_too(self):
        self.write("a.jsonl", '{"name": "own.figure", "value": 1234, "unit": "things"}')
        self.assertIn("own.figure: 1,234 things", self.run_main()[1])

    def test_arguments_are_refused(self):
        self.assertEqual(self.run_main("now")[0], 2)

    def test_the_helper_in_cpp_appends_a_line(self):
        if PROGRAM is None:
            self.skipTest("no program was given")
        path = self.folder / "cpp.jsonl"
        for value in (1, 2**64 - 1):
            subprocess.run([PROGRAM, "model.executions", str(value), "executions"], check=True, timeout=20,
                           env={**os.environ, "HOLDFAST_PROOF": str(path)})
        self.assertEqual([f["value"] for f in report.read_facts(self.folder)], [1, 2**64 - 1])
        self.assertEqual(json.loads(path.read_text().splitlines()[0])["unit"], "executions")

    def test_the_helper_in_cpp_says_when_it_cannot_and_is_silent_when_nobody_asks(self):
        if PROGRAM is None:
            self.skipTest("no program was given")
        bare = {k: v for k, v in os.environ.items() if k != "HOLDFAST_PROOF"}
        self.assertEqual(subprocess.run([PROGRAM, "a", "1", "b"], env=bare, timeout=20).returncode, 0)
        self.assertEqual(subprocess.run([PROGRAM, "a", "1", "b"], timeout=20, env={
            **bare, "HOLDFAST_PROOF": str(self.folder / "missing" / "x")}).returncode, 1)


class Coverage(unittest.TestCase):
    CODE = {1: "if (a)", 2: "HOLDFAST_ASSERT(b);", 3: "while (c)", 4: "}"}

    def judged(self, listed, *counts):
        total, uncovered = coverage.uncovered_of({("x.hpp", n): taken for n, taken in counts}, lambda _, n: self.CODE[n])
        return coverage.judge(total, uncovered, coverage.read_exceptions(listed))

    def test_branches_are_counted_and_assertions_are_not(self):
        percent, unlisted, idle = self.judged("", (1, [1, 0]), (2, [1, 0]), (3, [5, 5]), (4, [0, 0]))
        self.assertEqual((percent, unlisted, idle), (75.0, [("x.hpp", 1, "if (a)", 1)], []))

    def test_a_listed_branch_is_let_be_and_a_line_that_is_covered_must_go(self):
        percent, unlisted, idle = self.judged("# why\nx.hpp | if (a) | cannot be\nx.hpp | while (c) | old\n",
                                              (1, [1, 0]), (3, [1, 1]))
        self.assertEqual((unlisted, idle), ([], [("x.hpp", "while (c)")]))
        self.assertEqual(percent, 75.0)

    @staticmethod
    def built(file, *lines):
        """What gcov says of one object: of each line its number and its branches, t for one to a handler."""
        return {"current_working_directory": "/r/build/p", "files": [{"file": file, "lines": [
            {"line_number": n, "branches": [{"count": c, "throw": kind == "t", "fallthrough": kind == "f"}
                                            for c, kind in branches]} for n, branches in lines]}]}

    def test_a_branch_is_taken_when_one_build_of_its_line_takes_it(self):
        header = "../../include/holdfast/a.hpp"
        reports = [self.built(header, (7, [(3, "f"), (0, "")]), (7, [(0, "f"), (0, "")]), (9, [])),
                   # The same choice behind a call that might throw.
                   self.built(header, (7, [(2, "f"), (0, "t"), (0, "f"), (2, "")])),
                   self.built("../../tests/model/include/holdfast/a.hpp", (7, [(0, "f"), (0, "")]))]
        self.assertEqual(coverage.merged(reports, Path("/r")),
                         {("include/holdfast/a.hpp", 7): [3, 2], ("include/holdfast/a.hpp", 9): []})

    def test_builds_that_made_other_branches_of_a_line_are_not_mixed(self):
        reports = [self.built("/r/include/holdfast/a.hpp", (7, [(1, "f"), (0, "")]), (7, [(0, "f"), (4, ""), (0, ""), (1, "")]))]
        self.assertEqual(list(coverage.merged(reports, Path("/r")).values()), [[1, 0, 0, 4, 0, 1]])

    def test_nothing_measured_is_not_all_covered(self):
        self.assertEqual(self.judged("")[0], 0.0)

    def test_a_listing_without_a_reason_is_refused(self):
        for text in ("x.hpp | if (a)", "x.hpp | if (a) | ", "x.hpp if (a)", "x | y | z\nx | y | z"):
            with self.assertRaises(ValueError):
                coverage.read_exceptions(text)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else None
    unittest.main()
