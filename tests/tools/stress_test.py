#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/stress: what it refuses, what it says of programs that fail, hang or lie, and that each suite's checks can fail.

The first argument is the soak program."""
import os
import re
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
STRESS = ROOT / "tools" / "stress"
SUITES = ("queue", "waiting", "ring", "broadcast", "breaker", "budget", "rate", "bulkhead", "log", "cache", "metrics")
sys.path.insert(0, str(ROOT / "tools"))
import workshop  # noqa: E402

SOAK = None


def stress(*arguments):
    return subprocess.run([sys.executable, STRESS, *map(str, arguments)], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=120, env={**os.environ, "CI": "true"})


def soak(*arguments):
    return subprocess.run([SOAK, *map(str, arguments)], stdin=subprocess.DEVNULL, text=True, capture_output=True,
                          timeout=120, env={k: v for k, v in os.environ.items() if k != "HOLDFAST_PROOF"})


class Arguments(unittest.TestCase):
    def refused(self, message, *arguments):
        ended = stress(*arguments)
        self.assertEqual(ended.returncode, 2, ended.stdout + ended.stderr)
        self.assertIn(message, ended.stderr)

    def test_help_tells_every_suite_and_option(self):
        text = stress("--help").stdout
        for word in (*SUITES, "--sanitizer", "--for", "--ops", "--seed", "--at-least", "--program", "thread-clang"):
            self.assertIn(word, text)

    def test_what_is_no_suite_is_refused_with_those_there_are(self):
        self.refused("no suite is called 'queues'; there are: queue, waiting, ring", "queues")

    def test_a_sanitizer_that_there_is_not(self):
        self.refused("invalid choice: 'leak'", "--sanitizer", "leak")

    def test_times_counts_and_seeds_that_are_none(self):
        for text in ("0s", "soon", "60 s", "-5s", "1e9s", "30d", ""):
            self.refused("is no time", f"--for={text}")
        for text in ("0", "many", "-1", "1.5", "2^99", ""):
            self.refused("is no count", f"--ops={text}")
        for text in ("x", "-1", "99999999999999999999"):
            self.refused("is no seed", f"--seed={text}")

    def test_a_program_that_is_none(self):
        self.refused("cannot be run", "--program", "/nonexistent/soak")

    def test_the_suites_are_those_of_the_program(self):
        listed = re.findall(r"^  (\w+)  ", soak("--help").stdout.split("suites, and")[1], re.M)
        self.assertEqual(tuple(listed), SUITES)

    def test_the_program_refuses_as_well(self):
        for arguments in ((), ("nope",), ("queue", "ring"), ("queue", "--seconds"), ("queue", "--seconds", "-1"),
                          ("queue", "--ops", "0"), ("queue", "--ops", "1x"), ("queue", "--seed", "-1")):
            ended = soak(*arguments)
            self.assertEqual((ended.returncode, ended.stdout), (2, ""), arguments)
            self.assertIn("usage: soak", ended.stderr)


class Verdicts(unittest.TestCase):
    def program(self, text):
        folder = tempfile.TemporaryDirectory(prefix="holdfast-stress-")
        self.addCleanup(folder.cleanup)
        path = Path(folder.name, "soak")
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def judged(self, text, *arguments):
        path = self.program(text)
        return stress("--program", path, "--seed", 7, "--for", "1s", *arguments, "ring", "queue")

    def test_a_good_run_passes_and_its_operations_are_added_up(self):
        ended = self.judged('echo "STRESS $1: ops=1500 seconds=1.0 seed=7 failures=0 batched=100"', "--at-least", 3000)
        self.assertEqual(ended.returncode, 0, ended.stdout)
        self.assertRegex(ended.stdout, r"all +3,000 +200 ")
        self.assertTrue(ended.stdout.endswith("2 passed, 0 failed\n"))

    def test_a_floor_that_is_missed_fails(self):
        ended = self.judged('echo "STRESS $1: ops=1500 seconds=1.0 seed=7 failures=0"', "--at-least", 3001)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("3,000 operations are fewer than the 3,001", ended.stdout)

    def test_a_suite_that_fails_is_failed_with_seed_and_command(self):
        ended = self.judged('[ "$1" = queue ] && { echo "STRESS queue: ops=42 seconds=1.0 seed=7 failures=3"; exit 1; }\n'
                            'echo "STRESS $1: ops=10 seconds=1.0 seed=7 failures=0"')
        self.assertEqual(ended.returncode, 1)
        self.assertIn("queue: FAILED: 3 checks failed", ended.stdout)
        self.assertRegex(ended.stdout, r"seed 7; to repeat it: ./tools/stress .*--seed 7 --ops 42 .* queue\n")
        self.assertTrue(ended.stdout.endswith("1 passed, 1 failed\n"))

    def test_a_report_fails_though_the_program_says_that_all_is_well(self):
        for report in ("WARNING: ThreadSanitizer: data race (pid=1)", "==1==ERROR: AddressSanitizer: heap-use-after-free",
                       "==1==WARNING: MemorySanitizer: use-of-uninitialized-value", "a.cpp:1:1: runtime error: overflow",
                       "==1==ERROR: LeakSanitizer: detected memory leaks"):
            ended = self.judged(f'echo "{report}"\necho "STRESS $1: ops=10 seconds=1.0 seed=7 failures=0"')
            self.assertEqual(ended.returncode, 1, report)
            self.assertIn("the sanitizer reports", ended.stdout)

    def test_a_crash_silence_a_lie_and_nothing_done_fail(self):
        for text in ("exit 0", "kill -SEGV $$", 'echo "STRESS $1: ops=10 seconds=1.0 seed=7 failures=0"; exit 66',
                     'echo "STRESS other: ops=10 seconds=1.0 seed=7 failures=0"',
                     'echo "STRESS $1: ops=0 seconds=1.0 seed=7 failures=0"'):
            ended = self.judged(text)
            self.assertEqual(ended.returncode, 1, text)
            self.assertTrue(ended.stdout.endswith("0 passed, 2 failed\n"), text)


class Soak(unittest.TestCase):
    def test_each_suite_does_about_what_it_is_asked_for_and_passes(self):
        ended = stress("--program", SOAK, "--seed", 5, "--ops", 200_000)
        self.assertEqual(ended.returncode, 0, ended.stdout[-3000:])
        rows = dict(re.findall(r"^  (\w+) +([\d,]+) .* passed$", ended.stdout, re.M))
        self.assertEqual(tuple(rows), SUITES)
        for name, count in rows.items():
            self.assertGreaterEqual(int(count.replace(",", "")), 200_000, name)

    def test_each_suite_sees_a_thing_done_wrong(self):
        for suite in SUITES:
            ended = soak(suite, "--seconds", 1, "--sabotage", "--seed", 11)
            self.assertEqual(ended.returncode, 1, suite)
            self.assertIn(f"FAILURE {suite}: ", ended.stdout)
            self.assertRegex(ended.stdout, rf"STRESS {suite}: .* seed=11 failures=[1-9]")

    def test_time_bounds_a_run(self):
        ended = soak("metrics", "--seconds", 0.2)
        self.assertEqual(ended.returncode, 0, ended.stdout)
        self.assertLess(float(re.search(r"seconds=([\d.]+)", ended.stdout)[1]), 30)


class Randomisation(unittest.TestCase):
    def test_setarch_stands_before_thread_sanitizer_only_where_it_is_needed_and_is_told(self):
        self.assertEqual(workshop.randomisation_wrapper(28, lambda: True)[0], [])
        self.assertEqual(workshop.randomisation_wrapper(None, lambda: True)[0], [])
        wrapper, word = workshop.randomisation_wrapper(32, lambda: True)
        self.assertEqual(wrapper, ["setarch", "-R"])
        self.assertIn("vm.mmap_rnd_bits is 32", word)
        self.assertIn("setarch -R", word)

    def test_where_it_does_not_work_that_is_told(self):
        wrapper, word = workshop.randomisation_wrapper(32, lambda: False)
        self.assertEqual(wrapper, [])
        self.assertIn("does not work here", word)


if __name__ == "__main__":
    SOAK = sys.argv.pop(1)
    unittest.main()
