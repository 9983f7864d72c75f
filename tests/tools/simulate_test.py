#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tools/simulate: what it refuses, that a seed repeats its page and its log, and that what it draws can be read.

The first argument is the simulation."""
import html.parser
import json
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
TOOL = ROOT / "tools" / "simulate"
WORLDS = ("calm", "brown_out", "outage", "silence", "slow", "flapping", "leap", "lag", "herd")

SIMULATION = None


def tool(*arguments):
    return subprocess.run([sys.executable, TOOL, *map(str, arguments)], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=240, env={**os.environ, "CI": "true"})


def simulation(*arguments):
    return subprocess.run([SIMULATION, *map(str, arguments)], stdin=subprocess.DEVNULL, text=True, capture_output=True,
                          timeout=240)


class Scratch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="holdfast-simulate-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def program(self, text):
        path = self.folder / "simulation"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path


class Arguments(Scratch):
    def refused(self, message, *arguments):
        ended = tool(*arguments)
        self.assertEqual(ended.returncode, 2, ended.stdout + ended.stderr)
        self.assertIn(message, ended.stderr)

    def test_what_is_no_world_is_refused_with_those_there_are(self):
        self.refused(f"no world is called 'storm'; there are: {', '.join(WORLDS)}", "--program", SIMULATION, "storm")

    def test_a_seed_or_a_program_that_is_none(self):
        for text in ("x", "-1", "1.5", "99999999999999999999", ""):
            self.refused("is no seed", f"--seed={text}")
        self.refused("cannot be run", "--program", "/nonexistent/simulation")

    def test_the_list_tells_every_world_and_what_goes_wrong_in_it(self):
        listed = tool("--program", SIMULATION, "--list").stdout
        self.assertEqual(tuple(re.findall(r"^  (\w+) +\S", listed, re.M)), WORLDS)

    def test_the_program_refuses_as_well(self):
        for arguments in ((), ("storm",), ("calm", "--seed"), ("calm", "--seed", "1x"), ("calm", "--log"), ("calm", "slow")):
            ended = simulation(*arguments)
            self.assertEqual((ended.returncode, ended.stdout), (2, ""), arguments)
            self.assertIn("usage: simulation", ended.stderr)

    def test_a_log_or_a_page_that_cannot_be_written_fails(self):
        nowhere = self.folder / "nowhere" / "file"
        self.assertEqual(simulation("calm", "--log", nowhere).returncode, 1)
        ended = tool("--program", SIMULATION, "calm", "--out", nowhere)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("cannot be written", ended.stderr)


class Programs(Scratch):
    def test_a_program_that_fails_or_prints_something_else_is_told(self):
        good = simulation("calm").stdout
        (self.folder / "other").write_text(good.replace('"asked": [', '"asked": [7, '))
        (self.folder / "world").write_text(good.replace('"calm"', '"storm"'))
        for text, why in (("exit 3", "ended with 3"), ("echo nothing", "cannot be read"), ("echo '{}'", "cannot be read"),
                          (f"cat {self.folder}/other", "cannot be read"), (f"cat {self.folder}/world", "cannot be read")):
            program = self.program(f'[ "$1" = --list ] && {{ printf "calm\\tquiet\\n"; exit 0; }}\n{text}')
            ended = tool("--program", program, "calm", "--out", self.folder / "page.html")
            self.assertEqual(ended.returncode, 1, text)
            self.assertIn(why, ended.stderr)
            self.assertFalse((self.folder / "page.html").exists())


class Worlds(Scratch):
    def test_i7_the_same_seed_gives_the_same_log_and_figures_in_another_process(self):
        for world in ("flapping", "herd"):
            runs = []
            for name, seed in (("a", 7), ("b", 7), ("c", 8)):
                log = self.folder / name
                runs.append((simulation(world, "--seed", seed, "--log", log).stdout, log.read_bytes()))
            self.assertEqual(runs[0], runs[1])
            self.assertNotEqual(runs[0][1], runs[2][1])
            self.assertEqual(json.loads(runs[0][0])["totals"]["log_lines"], runs[0][1].count(b"\n"))

    def test_the_bins_add_up_to_the_totals(self):
        for world in ("brown_out", "leap", "herd"):
            run = json.loads(simulation(world).stdout)
            self.assertEqual(sum(run["asked"]), run["totals"]["asked"], world)
            self.assertEqual(sum(run["asked_and_served"]), run["totals"]["served"], world)
            # What comes after the end of the axis is not drawn, and is little.
            drawn = sum(run["served"]) + sum(run["failed"])
            self.assertLessEqual(drawn, run["totals"]["asked"], world)
            self.assertGreater(drawn, run["totals"]["asked"] * 0.99, world)

    def test_with_policies_clients_are_served_again_after_the_fault_and_without_they_are_not(self):
        shares = []
        for options in ((), ("--without-policies",)):
            run = json.loads(simulation("outage", *options).stdout)
            last = slice(-8 * 1000 // run["bin_ms"], None)
            shares.append(sum(run["asked_and_served"][last]) / sum(run["asked"][last]))
        self.assertEqual(shares[0], 1)
        self.assertLess(shares[1], 0.05)

    def test_circuits_open_and_close_only_where_there_are_any(self):
        run = json.loads(simulation("outage").stdout)
        for layer in run["layers"]:
            states = [state for _, state in layer["states"]]
            self.assertTrue(layer["guarded"])
            self.assertEqual((states[0], states[-1]), ("open", "closed"))
        for layer in json.loads(simulation("outage", "--without-policies").stdout)["layers"]:
            self.assertEqual((layer["guarded"], layer["states"]), (False, []))


class Reader(html.parser.HTMLParser):
    """The charts of a page: their boxes, and the texts in them with where they stand."""

    VOID = {"meta", "rect", "path"}

    def __init__(self):
        super().__init__()
        self.open, self.charts, self.outside, self.text = [], [], [], None

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href"):
                self.outside.append(value)
        if tag == "svg" and "role" in given:
            self.charts.append({"box": [float(n) for n in given["viewbox"].split()], "label": given["aria-label"], "texts": [],
                                "shapes": 0})
        if tag == "text":
            self.text = {"x": float(given["x"]), "y": float(given["y"]), "anchor": given.get("text-anchor", "start"), "text": ""}
        if tag in ("rect", "path") and self.charts:
            self.charts[-1]["shapes"] += 1

    def handle_data(self, data):
        if self.text is not None:
            self.text["text"] += data

    def handle_endtag(self, tag):
        if tag == "text":
            self.charts[-1]["texts"].append(self.text)
            self.text = None


def box_of(text):
    """Of 12 px letters, as wide as those of a wide font."""
    width = 7.2 * len(text["text"])
    left = text["x"] - {"start": 0, "middle": width / 2, "end": width}[text["anchor"]]
    return left, text["y"] - 10, left + width, text["y"] + 3


class Pages(Scratch):
    def test_the_page_is_the_same_for_the_same_seed_needs_nothing_else_and_can_be_read(self):
        pages = []
        for name in ("a.html", "b.html"):
            path = self.folder / name
            ended = tool("--program", SIMULATION, "outage", "leap", "herd", "--seed", 5, "--out", path)
            self.assertEqual(ended.returncode, 0, ended.stderr)
            pages.append(path.read_text(encoding="utf-8"))
        self.assertEqual(*pages)
        self.assertIn("tools/simulate outage leap herd --seed 5", pages[0])
        self.assertNotIn("url(", pages[0])
        reader = Reader()
        reader.feed(pages[0])
        self.assertEqual(reader.outside, [])
        labels = [chart["label"] for chart in reader.charts]
        chain = ["load", "answers", "success", "repetitions", "circuits"]
        herd = ["load", "answers", "repetitions", "circuits"]
        self.assertEqual(labels, 4 * chain + 2 * herd)
        for chart in reader.charts:
            self.assertGreater(chart["shapes"], 3, chart["label"])
            boxes = [(box_of(text), text["text"]) for text in chart["texts"]]
            for i, (a, said) in enumerate(boxes):
                self.assertTrue(a[0] >= 0 and a[1] >= 0 and a[2] <= chart["box"][2] and a[3] <= chart["box"][3],
                                f"'{said}' leaves the chart of {chart['label']}")
                for b, other in boxes[i + 1:]:
                    apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
                    self.assertTrue(apart, f"'{said}' and '{other}' overlap in the chart of {chart['label']}")

    def test_what_is_told_is_what_is_drawn(self):
        path = self.folder / "page.html"
        ended = tool("--program", SIMULATION, "slow", "--out", path)
        runs = [json.loads(simulation("slow", *more).stdout) for more in ((), ("--without-policies",))]
        text = path.read_text(encoding="utf-8")
        for run in runs:
            self.assertIn(f"<td>{run['totals']['sent_to_store']:,}", text)
            share = 100 * run["totals"]["served"] / run["totals"]["asked"]
            self.assertIn(f"<td>{share:.1f} %", text)
            self.assertIn(f"{share:.1f} %", ended.stdout)


if __name__ == "__main__":
    SIMULATION = sys.argv.pop(1)
    unittest.main()
