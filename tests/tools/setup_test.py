#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/setup where nothing may be installed: what it finds, what it names, and how it ends. Installs nothing itself:
every run here either misses nothing or has no apt-get in its PATH."""
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

SETUP = Path(__file__).resolve().parent.parent.parent / "tools" / "setup"
# What the script itself runs on, and no build tool.
BARE = ["bash", "env", "sed", "grep", "tr", "sort", "head", "id"]


def run(*arguments, path=None):
    env = {**os.environ, "CI": "true"}
    if path is not None:
        env["PATH"] = str(path)
    return subprocess.run([shutil.which("bash"), SETUP, *arguments], env=env, stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=60)


class Setup(unittest.TestCase):
    def bare_path(self, *more):
        folder = tempfile.TemporaryDirectory(prefix="holdfast-setup-")
        self.addCleanup(folder.cleanup)
        for name in [*BARE, *more]:
            os.symlink(shutil.which(name), Path(folder.name, name))
        return folder.name

    def test_without_apt_it_names_what_is_missing_and_stops(self):
        ended = run("demo", path=self.bare_path())
        self.assertEqual(ended.returncode, 3)
        for package in ("g++", "ninja-build", "meson", "python3", "libboost1.81-dev", "libsqlite3-dev"):
            self.assertIn(package, ended.stderr)
        self.assertIn("https://mesonbuild.com", ended.stderr)
        self.assertNotIn("catch2", ended.stderr, "the demo needs no test framework")
        self.assertNotIn("running:", ended.stdout + ended.stderr)

    def test_what_is_there_is_not_named(self):
        ended = run("demo", path=self.bare_path("ninja", "python3"))
        self.assertEqual(ended.returncode, 3)
        self.assertNotIn("ninja-build", ended.stderr)
        self.assertIn("meson", ended.stderr)

    def test_each_purpose_needs_more_than_the_one_before(self):
        needs = [run("--list", purpose, path=self.bare_path()).stdout.count("MISSING")
                 for purpose in ("demo", "check", "all")]
        self.assertEqual(needs, sorted(set(needs)))

    def test_a_wrong_argument_is_refused_with_the_usage(self):
        ended = run("everything")
        self.assertEqual(ended.returncode, 2)
        self.assertIn("tools/setup [demo|check|all]", ended.stderr)

    def test_with_nothing_missing_it_does_nothing(self):
        if "MISSING" in run("--list", "check").stdout:
            self.skipTest("something is missing here")
        begun = time.monotonic()
        ended = run("check")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertEqual(ended.stdout, "setup: all that 'check' needs is there\n")
        self.assertNotIn("running:", ended.stdout)
        print(f"took {time.monotonic() - begun:.2f} s", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
