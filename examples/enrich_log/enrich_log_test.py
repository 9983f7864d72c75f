#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Has the service write a log of its own, enriches that, and looks for every line, in order, whole and with what was added.

usage: enrich_log_test.py PATH-TO-HOLDFAST PATH-TO-ENRICH-LOG

HOLDFAST_LONG=1: a log of 1 GB instead of a few MB.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

HOLDFAST, ENRICH = None, None
WANTED_BYTES = 1_000_000_000 if os.environ.get("HOLDFAST_LONG") == "1" else 6_000_000
AT_ONCE = 100  # requests that are sent before the answers are read


def keep_asking(port, log, number):
    """Requests on one connection until the log is long enough."""
    asked = b"".join(b"GET /profiles/u%06d HTTP/1.1\r\nHost: x\r\n\r\n" % ((number * 7919 + i * 31) % 250 + 1) for i in range(AT_ONCE))
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        while os.path.getsize(log) < WANTED_BYTES:
            connection.sendall(asked)
            answers = 0
            tail = b""
            while answers < AT_ONCE:
                part = connection.recv(1 << 20)
                if not part:
                    raise RuntimeError("the service closed the connection")
                answers += (tail + part).count(b"HTTP/1.1 ")
                tail = part[-8:]  # one byte less than what is looked for


def make_log(directory):
    """What the service wrote while it answered: some profiles are not there, so that not all answers are alike."""
    serve = subprocess.Popen([HOLDFAST, "serve", "--port", "0", "--data", directory, "--generate", "200"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        ready = json.loads(serve.stdout.readline())
        threads = [threading.Thread(target=keep_asking, args=(ready["port"], ready["log"], n)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        serve.send_signal(signal.SIGTERM)
        if serve.wait(60) != 0:
            raise RuntimeError("the service did not end well")
        return Path(ready["log"])
    finally:
        if serve.poll() is None:
            serve.kill()
            serve.wait()
        serve.stdout.close()


class EnrichLog(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory(prefix="holdfast-enrich-")
        cls.log = make_log(cls.directory.name)

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def enrich(self, log, *options, code=0):
        out = Path(self.directory.name, "enriched.jsonl")
        run = subprocess.run([ENRICH, log, out, *options], capture_output=True, text=True, timeout=1500, check=False)
        self.assertEqual(run.returncode, code, run.stderr)
        return out, json.loads(run.stdout) if run.stdout else None, run.stderr

    def check_all_lines(self, *options):
        out, told, _ = self.enrich(self.log, *options)
        lines, requests = 0, 0
        with open(self.log, encoding="utf-8") as before, open(out, encoding="utf-8") as after:
            for was, now in zip(before, after, strict=True):
                was, now = json.loads(was), json.loads(now)
                lines += 1
                self.assertEqual(list(now.items())[:len(was)], list(was.items()), f"line {lines}")
                if was.get("message") == "request":
                    requests += 1
                    self.assertEqual(now["route"], "/profiles/:id")
                    self.assertEqual(now["status_class"], f"{was['status'] // 100}xx")
                    self.assertEqual(now["slow"], was["duration_ns"] > 10_000_000)
        self.assertGreater(requests, WANTED_BYTES / 1000)
        for stage in told["stages"]:
            self.assertEqual((stage["arrived"], stage["done"]), (lines, lines), stage["name"])
        print(f"EXAMPLE enrich_log {' '.join(options)}: lines={lines} bytes={self.log.stat().st_size} "
              f"seconds={told['seconds']:.1f}", flush=True)

    def test_every_line_of_the_service_s_log_comes_out_in_order_and_enriched(self):
        self.check_all_lines("--workers", "3")

    def test_so_it_does_when_another_process_reads_the_log(self):
        self.check_all_lines("--two-processes")

    def test_a_line_that_is_no_json_is_told_with_its_number_and_stops_nothing(self):
        log = Path(self.directory.name, "bad.jsonl")
        log.write_text('{"a":1}\nnot json\n{"b":2}\n[3]\n{"c":3}', encoding="utf-8")
        for options in ((), ("--two-processes",)):
            out, told, errors = self.enrich(log, *options)
            self.assertEqual(out.read_text(encoding="utf-8"), '{"a":1}\n{"b":2}\n{"c":3}\n')
            self.assertIn("line 2:", errors)
            self.assertIn("line 4:", errors)
            self.assertEqual([s["failed"] for s in told["stages"]], [2, 0, 2])
            self.assertEqual(told["stages"][1]["passed"], 2)

    def test_a_log_that_is_not_there_is_told(self):
        for options in ((), ("--two-processes",)):
            _, _, errors = self.enrich(Path(self.directory.name, "nothing"), *options, code=1)
            self.assertIn("could not be read", errors)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    HOLDFAST, ENRICH = (os.path.abspath(path) for path in sys.argv[1:3])
    del sys.argv[1:3]
    unittest.main(verbosity=2)
