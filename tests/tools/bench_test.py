#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What tools/bench says about measurements whose truth is known."""

import html.parser
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "support"))
import report  # noqa: E402

MACHINE = {"commit": "0123456789ab", "compiler": "g++ 12", "flags": "-O3", "cpu": "Some <CPU> & more, 2 cores",
           "governor": "performance", "pinned_cores": "0,1", "date": "2026-01-01 00:00 UTC", "note": ""}
SUITES = {"queue": {"title": "Queues", "programs": ["q"], "about": "About.", "cases": {"stream": "text", "pair": "text"}}}


def run(name, value, unit="items", threads=1, share=1.0, **more):
    """One repetition as Google Benchmark writes it; time is divided by threads there, as it counts all iterations."""
    wall = 10.0 if unit == "items" else value
    result = {"name": name, "run_type": "iteration", "threads": threads, "time_unit": "ns", "iterations": 100,
              "real_time": wall / threads, "cpu_time": wall * share, **more}
    if unit == "items":
        result["items_per_second"] = value
    return result


def rows_from(*runs):
    samples = report.samples_of({"benchmarks": list(runs)})
    regimes = report.regimes_of(samples)
    rows = report.rows_of(samples, regimes[0][0] if regimes else None)
    return {(row["case"], row["measure"], row["contender"]): row for row in rows}


class Names(unittest.TestCase):
    def test_suffixes_of_google_benchmark_are_not_part_of_the_name(self):
        sample, = report.samples_of({"benchmarks": [run("q/stream/boost/real_time/threads:2", 5e6, threads=2)]})
        self.assertEqual((sample["program"], sample["case"], sample["contender"]), ("q", "stream", "boost"))

    def test_a_name_outside_the_convention_is_refused(self):
        with self.assertRaises(ValueError):
            report.samples_of({"benchmarks": [run("q/stream", 1)]})

    def test_roles_follow_from_names(self):
        self.assertEqual([report.role_of(n) for n in ("holdfast", "holdfast_batch", "boost", "floor_line", "holdfastlike")],
                         ["ours", "ours", "peer", "floor", "peer"])


class Figures(unittest.TestCase):
    def test_time_is_that_of_one_iteration_in_one_thread(self):
        rows = rows_from(run("q/rtt/x/threads:2", 300.0, unit="ns", threads=2))
        self.assertAlmostEqual(rows["rtt", "", "x"]["median"], 300.0)

    def test_time_units_become_nanoseconds(self):
        rows = rows_from(dict(run("q/rtt/x", 2.0, unit="ns"), time_unit="us"))
        self.assertAlmostEqual(rows["rtt", "", "x"]["median"], 2000.0)

    def test_median_and_quartiles(self):
        rows = rows_from(*[run("q/stream/x", v) for v in (1, 2, 3, 4, 100)])
        row = rows["stream", "", "x"]
        self.assertEqual((row["median"], row["q1"], row["q3"], row["min"], row["max"]), (3, 2, 4, 1, 100))

    def test_throughput_ratio_is_ours_over_the_best_peer(self):
        rows = rows_from(run("q/stream/holdfast", 90), run("q/stream/a", 30), run("q/stream/b", 10), run("q/stream/floor_x", 900))
        self.assertEqual(rows["stream", "", "holdfast"]["ratio_to_best_peer"], 3.0)
        self.assertEqual(rows["stream", "", "holdfast"]["best_peer"], "a")
        self.assertAlmostEqual(rows["stream", "", "b"]["ratio_to_best_peer"], 1 / 3)

    def test_time_ratio_is_the_best_peer_over_ours(self):
        rows = rows_from(run("q/pair/holdfast", 5.0, "ns"), run("q/pair/a", 10.0, "ns"), run("q/pair/b", 50.0, "ns"))
        self.assertEqual(rows["pair", "", "holdfast"]["ratio_to_best_peer"], 2.0)
        self.assertEqual(rows["pair", "", "holdfast"]["best_peer"], "a")

    def test_without_a_peer_there_is_no_ratio(self):
        self.assertIsNone(rows_from(run("q/stream/holdfast", 90))["stream", "", "holdfast"]["ratio_to_best_peer"])

    def test_counters_in_nanoseconds_are_measures_of_their_own(self):
        rows = rows_from(run("q/call/holdfast", 5.0, "ns", p99_ns=40.0), run("q/call/a", 6.0, "ns", p99_ns=10.0))
        self.assertEqual(rows["call", "p99", "holdfast"]["ratio_to_best_peer"], 0.25)
        self.assertEqual(report.title_of(rows["call", "p99", "a"]), "call, p99")

    def test_aggregates_and_failed_runs_are_no_samples(self):
        document = {"benchmarks": [dict(run("q/stream/x_mean", 1), run_type="aggregate"),
                                   dict(run("q/stream/x", 1), error_occurred=True, error_message="lost an item")]}
        self.assertEqual(report.samples_of(document), [])
        self.assertEqual(report.errors_of(document), ["q/stream/x: lost an item"])


class Selection(unittest.TestCase):
    def test_disturbed_samples_are_left_out(self):
        row = rows_from(*[run("q/stream/x", 100)] * 5, *[run("q/stream/x", 7, share=0.5)] * 6)["stream", "", "x"]
        self.assertEqual((row["median"], row["samples"], row["of"]), (100, 5, 11))

    def test_a_contender_that_sleeps_keeps_its_samples(self):
        row = rows_from(*[run("q/stream/x", 100, share=0.6)] * 4)["stream", "", "x"]
        self.assertEqual((row["samples"], row["of"]), (4, 4))

    def test_more_threads_than_cores_are_measured_by_what_they_can_get(self):
        runs = [run("q/stream/x", 100, threads=8, share=0.25)] * 5 + [run("q/stream/x", 7, threads=8, share=0.2)] * 6
        for context in ({"pinned_cores": "0,1", "num_cpus": 16}, {"pinned_cores": "none: no reason", "num_cpus": 2}):
            samples = report.samples_of({"context": context, "benchmarks": runs})
            self.assertEqual([s["cpu_share"] for s in samples], [1.0] * 5 + [0.8] * 6)
            row, = report.rows_of(samples)
            self.assertEqual((row["median"], row["samples"], row["of"]), (100, 5, 11))

    def test_only_the_most_frequent_placement_of_the_cores_counts(self):
        near = [run("q/stream/x", 50, regime_ns=70.0 + i, regime_drift=1.0) for i in range(6)]
        far = [run("q/stream/x", 5, regime_ns=360.0 + i, regime_drift=1.0) for i in range(4)]
        row = rows_from(*far, *near)["stream", "", "x"]
        self.assertEqual((row["median"], row["samples"], row["of"]), (50, 6, 10))

    def test_a_sample_during_which_the_cores_moved_is_left_out(self):
        runs = [run("q/stream/x", 50, regime_ns=70.0, regime_drift=1.0)] * 3
        runs.append(run("q/stream/x", 9, regime_ns=70.0, regime_drift=5.0))
        self.assertEqual(rows_from(*runs)["stream", "", "x"]["samples"], 3)

    def test_placements_are_told_most_frequent_first(self):
        samples = report.samples_of({"benchmarks": [run("q/s/x", 1, regime_ns=v) for v in (70, 72, 68, 365, 371, 29)]})
        self.assertEqual(report.regimes_of(samples), [(70, 3), (368.0, 2), (29, 1)])


class Goals(unittest.TestCase):
    def judge(self, **goal):
        rows = report.rows_of(report.samples_of({"benchmarks": [
            run("q/stream/holdfast", 90), run("q/stream/a", 30), run("q/pair/holdfast", 5.0, "ns"), run("q/pair/a", 10.0, "ns")]}))
        judged, = report.judge([dict({"suite": "q", "versus": "a"}, **goal)], rows)
        return judged["ratio"], judged["verdict"]

    def test_met_at_exactly_the_goal(self):
        self.assertEqual(self.judge(case="stream", at_least=3.0), (3.0, "met"))

    def test_missed_just_below(self):
        self.assertEqual(self.judge(case="stream", at_least=3.01), (3.0, "missed"))

    def test_time_goals_point_the_same_way(self):
        self.assertEqual(self.judge(case="pair", at_least=1.9), (2.0, "met"))

    def test_a_goal_of_another_form_than_holdfast_names_it(self):
        goal = {"case": "stream", "measure": "p50", "contender": "holdfast"}
        self.assertEqual(report.goal_title(goal), "stream, p50")
        self.assertEqual(report.goal_title(dict(goal, contender="holdfast_slots")), "stream, p50 (holdfast_slots)")

    def test_a_verdict_from_few_samples_says_so(self):
        for count, weak in ((4, " (only 4 samples kept)"), (5, "")):
            rows = report.rows_of(report.samples_of({"benchmarks": [run("q/stream/holdfast", 90), run("q/stream/a", 30)] * count}))
            judged, = report.judge([{"suite": "q", "case": "stream", "versus": "a", "at_least": 1}], rows)
            self.assertEqual((judged["verdict"], judged["weak"]), ("met", weak))

    def test_a_peer_that_was_not_measured_is_said(self):
        self.assertEqual(self.judge(case="stream", versus="elsewhere", at_least=1.0), (None, "not measured"))

    def test_the_goals_file_names_cases_and_contenders_that_exist_in_the_source(self):
        suites = json.loads((ROOT / "bench" / "suites.json").read_text())
        programs = {p for suite in suites.values() for p in suite["programs"]}
        for goal in json.loads((ROOT / "bench" / "goals.json").read_text())["goals"]:
            self.assertIn(goal["suite"], programs)
            self.assertGreater(goal["at_least"], 0)
            source = ROOT / "bench" / f"{goal['suite']}_bench.cpp"
            if source.exists():
                text = source.read_text()
                self.assertIn(f'"{goal["case"]}"', text)
                self.assertIn(f'"{goal["versus"]}"', text)

    def test_every_described_case_exists_in_its_source(self):
        for suite in json.loads((ROOT / "bench" / "suites.json").read_text()).values():
            sources = [ROOT / "bench" / f"{p}_bench.cpp" for p in suite["programs"]]
            text = "".join(source.read_text() for source in sources if source.exists())
            for case in suite["cases"]:
                if text:
                    self.assertIn(f'"{case}"', text)


class Words(unittest.TestCase):
    def test_figures_keep_three_digits(self):
        self.assertEqual([report.significant(v) for v in (0, 1.2345, 12.345, 123.45, 1234.5, 98765)],
                         ["0", "1.23", "12.3", "123", "1230", "98800"])

    def test_units_grow_with_the_figure(self):
        self.assertEqual(report.scale_of("items/s", 3.4e8), (1e6, "M items/s"))
        self.assertEqual(report.scale_of("ns", 3.4e4), (1e3, "us"))
        self.assertEqual(report.scale_of("ns", 3.4), (1.0, "ns"))


class Outside(html.parser.HTMLParser):
    """Collects whatever a browser would fetch, and checks that SVG elements are closed."""

    def __init__(self):
        super().__init__()
        self.fetched, self.open_svg, self.bars = [], 0, 0

    def handle_starttag(self, tag, attrs):
        self.fetched += [value for key, value in attrs if key in ("src", "href", "srcset", "data")]
        self.open_svg += tag == "svg"
        self.bars += tag == "rect" and dict(attrs).get("class") in ("ours", "peer", "floor")

    def handle_endtag(self, tag):
        self.open_svg -= tag == "svg"


class Pages(unittest.TestCase):
    def setUp(self):
        document = {"benchmarks": [run("q/stream/holdfast", 3e8), run("q/stream/a&b", 1e8), run("q/stream/floor_x", 9e8),
                                   run("q/pair/holdfast", 5.0, "ns"), run("q/pair/a&b", 4.0, "ns")]}
        goals = [{"suite": "q", "case": "stream", "versus": "a&b", "at_least": 4.5}]
        self.page, self.text, results, self.well = report.build([document], MACHINE, SUITES, goals, "tools/bench <q>")
        self.results = json.loads(results)

    def test_the_first_line_names_commit_compiler_flags_cpu_governor_and_cores(self):
        line = self.text.splitlines()[0]
        for part in ("0123456789ab", "g++ 12 -O3", "Some <CPU>", "governor performance", "pinned cores 0,1"):
            self.assertIn(part, line)
        body = re.sub(r"<style>.*?</style>", "", self.page, flags=re.S).split("<body>")[1]
        self.assertTrue(re.sub(r"<[^>]+>", "\n", body).strip().startswith("holdfast 0123456789ab | g++ 12 -O3 | Some &lt;CPU&gt; &amp;"))

    def test_the_page_fetches_nothing_and_draws_a_bar_for_each_row(self):
        parser = Outside()
        parser.feed(self.page)
        self.assertEqual((parser.fetched, parser.open_svg, parser.bars), ([], 0, 5 + 3))  # three are the key's
        self.assertNotIn("url(", self.page)
        self.assertIn("prefers-color-scheme:dark", self.page)

    def test_cases_of_one_name_in_two_programs_are_told_apart(self):
        suites = {"queue": {"title": "Queues", "programs": ["q", "r"], "cases": {"stream": "", "pair": ""}}}
        runs = [run(f"{program}/{case}/holdfast", 5.0, "ns") for case in ("pair", "stream") for program in ("r", "q")]
        page, text, _, _ = report.build([{"benchmarks": runs}], MACHINE, suites, [], "tools/bench")
        titles = ["q: stream", "q: pair", "r: stream", "r: pair"]
        self.assertEqual(re.findall(r"<h3>(.*?)</h3>", page), titles)
        self.assertEqual(re.findall(r"^\| ([qr]: \w+) ", text, re.M), titles)

    def test_names_are_escaped(self):
        self.assertIn("a&amp;b", self.page)
        self.assertNotIn("<q>", self.page)

    def test_a_missed_goal_is_said_everywhere_and_is_no_failure(self):
        self.assertTrue(self.well)
        self.assertIn("✗ missed", self.page)
        self.assertIn("| 3.00x | missed (only 1 samples kept) |", self.text)
        self.assertEqual(self.results["goals"][0]["verdict"], "missed")

    def test_results_have_a_row_for_every_case_and_contender(self):
        self.assertEqual(len(self.results["rows"]), 5)
        for row in self.results["rows"]:
            for key in ("median", "q1", "q3", "unit", "ratio_to_best_peer", "samples", "values"):
                self.assertIn(key, row)

    def test_method_and_limits_are_on_the_page(self):
        for text in (self.page, self.text):
            self.assertIn("Method", text)
            self.assertIn("Limits", text)
            self.assertIn("more than 1 is better", text)

    def test_a_wrong_result_fails_the_run(self):
        bad = {"benchmarks": [dict(run("q/stream/holdfast", 1), error_occurred=True, error_message="lost an item")]}
        page, text, _, well = report.build([bad], MACHINE, SUITES, [], "tools/bench")
        self.assertFalse(well)
        self.assertIn("lost an item", page)
        self.assertIn("lost an item", text)


class Commands(unittest.TestCase):
    def bench(self, *arguments):
        return subprocess.run([sys.executable, str(ROOT / "tools" / "bench"), *arguments], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)

    def test_an_unknown_suite_is_refused_with_the_known_ones(self):
        result = self.bench("nonsense")
        self.assertEqual(result.returncode, 2)
        self.assertIn("no suite is called 'nonsense'", result.stderr)
        self.assertIn("queue (spsc_queue, mpmc_queue, record_ring, broadcast_ring, waiting, stall)", result.stderr)

    def test_a_report_can_be_written_again_from_raw_measurements(self):
        with tempfile.TemporaryDirectory() as directory:
            earlier, later = pathlib.Path(directory, "a"), pathlib.Path(directory, "b")
            (earlier / "raw").mkdir(parents=True)
            raw = {"benchmarks": [run("spsc_queue/u64_1024_stream/holdfast", 3e8), run("spsc_queue/u64_1024_stream/boost", 6e7)]}
            (earlier / "raw" / "spsc_queue.0.json").write_text(json.dumps(raw))
            (earlier / "results.json").write_text(json.dumps({"machine": MACHINE, "command": "tools/bench queue"}))
            result = self.bench("queue", "--from", str(earlier), "--out", str(later))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("spsc_queue/u64_1024_stream: 5.00x of boost", result.stdout)
            self.assertTrue((later / "report.html").exists())


if __name__ == "__main__":
    unittest.main()
