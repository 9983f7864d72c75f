#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every line of the log parses with Python's strict json and with jq, and is the record that was written.

    log_lines_test.py PROGRAM [COUNT [SEED]]     PROGRAM is the built tests/support/log_lines.cpp
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

KEYS_FIRST = ["timestamp", "level", "message"]
KEYS_LAST = ["logger", "thread", "file", "line"]
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$")


def refuse(constant):
    raise ValueError(f"{constant} is no JSON")


def no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), f"a key appears twice: {keys}"
    return dict(pairs)


def main():
    program, count, seed = sys.argv[1], *(sys.argv[2:] + ["20000", "1"][len(sys.argv) - 2:])
    with tempfile.TemporaryDirectory(prefix="holdfast-log-") as folder:
        path = Path(folder) / "lines.log"
        done = subprocess.run([program, path, count, seed], stdout=subprocess.PIPE, check=True, timeout=120)
        written, lost = map(int, done.stdout.split())
        assert lost == 0, f"{lost} records lost"
        raw = path.read_bytes()
        assert raw.endswith(b"\n")
        lines = raw.decode("utf-8", "strict").split("\n")[:-1]
        assert len(lines) == written, f"{len(lines)} lines for {written} records"
        number = re.compile(r'"(?:number|price|single)":(null|-?\d+\.\d+(?:e[-+]\d+)?|-?\d+e[-+]\d+)[,}]')
        expected = 0
        for text in lines:
            line = json.loads(text, parse_constant=refuse, object_pairs_hook=no_duplicates)
            keys = list(line)
            assert keys[:3] == KEYS_FIRST, keys
            assert [key for key in keys[-5:] if key != "truncated"][-4:] == KEYS_LAST, keys
            assert TIME.match(line["timestamp"]), line["timestamp"]
            assert len(text.encode()) < 16 * 1024
            if line["message"] != "random":
                assert line["message"] == 'a "quoted" message \\ with\ttab'
                assert line["error"] == "HF-4" and line["error_kind"] == "rejected"
                continue
            assert line["i"] == expected and line["correlation_id"] == f"req-{expected}", text
            assert ("trace_id" in line) == (expected % 2 == 0)
            assert line["price"] == expected / 100
            assert len(number.findall(text)) == 3, f"a double without point or exponent: {text}"
            expected += 1
        assert expected == int(count)
        jq = shutil.which("jq")
        if jq is None:
            print("jq is not here: read by Python only")
        else:
            ids = subprocess.run([jq, "-r", "select(.message == \"random\") | .correlation_id", path],
                                 stdout=subprocess.PIPE, check=True, timeout=120).stdout.decode().split()
            assert ids == [f"req-{i}" for i in range(int(count))], "jq reads other lines"
        print(f"{written} lines, {len(raw)} bytes: all parse, ids and numbers in place")


main()
