#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The README promises what the headers say, and the tool that writes it there finds what is missing."""
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import contracts  # noqa: E402

HEADER = """// SPDX-License-Identifier: MIT
// thing: does something.
//
//   operation   caller   progress
//   act         anyone   wait-free
//
// {}
//
// When to use it: {}.
#pragma once
// In short: not | of | the | opening
"""


class Contracts(unittest.TestCase):
    def test_a_row_is_made_of_the_line_and_of_those_it_goes_on_in(self):
        text = HEADER.format("In short: any thread | wait-free,\n// mostly | never | -", "always")
        self.assertEqual(contracts.judge("queue/thing", text),
                         ("| `queue/thing` | any thread | wait-free, mostly | never | - |", None))

    def test_a_line_with_too_few_columns_is_told(self):
        row, wrong = contracts.judge("queue/thing", HEADER.format("In short: any thread | never | -", "always"))
        self.assertIsNone(row)
        self.assertIn("queue/thing: `In short:` has 3 columns", wrong)

    def test_operations_without_a_line_are_told_unless_they_are_not_for_users(self):
        row, wrong = contracts.judge("queue/thing", HEADER.format("Nothing.", "always"))
        self.assertIsNone(row)
        self.assertIn("queue/thing: has operations", wrong)
        self.assertEqual(contracts.judge("queue/thing", HEADER.format("Nothing.", "not by itself")), (None, None))

    def test_rows_go_between_the_marks_and_nothing_else_changes(self):
        readme = f"before\n{contracts.BEGIN}\nold\n{contracts.END}\nafter\n"
        written = contracts.put_in(readme, ["| a |"])
        self.assertEqual(written, "before\n" + "\n".join([contracts.BEGIN, *contracts.HEAD, "| a |", contracts.END]) + "\nafter\n")
        self.assertEqual(contracts.put_in(written, ["| a |"]), written)
        self.assertIsNone(contracts.put_in("no marks", []))

    def test_the_readme_has_what_the_headers_say(self):
        rows, wrong = contracts.table(ROOT / "include" / "holdfast")
        self.assertEqual(wrong, [])
        self.assertGreater(len(rows), 30)
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        self.assertEqual(contracts.put_in(readme, rows), readme, "write it there with tools/contracts.py --write")


if __name__ == "__main__":
    unittest.main(verbosity=2)
