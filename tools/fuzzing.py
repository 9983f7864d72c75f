#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the fuzz targets of tests/fuzz: what `tools/check fuzz` does after it has built them.

Each target starts from a copy of its committed inputs, so a run never changes the tree. What it finds new stays in
build/fuzz/inputs; what ends it lies in build/fuzz/found. To take new inputs into the tree, from there:

    tools/fuzzing.py keep TARGET...   the fewest inputs that reach everything that is reached
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "tests" / "fuzz"
FOLDER = ROOT / "build" / "fuzz"

EXECUTIONS = 5_000_000  # of each target in the short run
# These parse whole files with other people's libraries, or open files, which takes longest: they begin.
FIRST = ["serve_config", "serve_paths", "serve_rows"]
LONG_SECONDS = 600  # of each target in the long one
# A target that has not made its executions by then is too slow, or waits for something: a failure.
SHORT_LIMIT = 2400
# Longest input: enough for what a target does; longer ones only make it slow.
LENGTH = {"circuit_breaker": 48, "json_text": 64, "json_writer": 64, "spsc_queue": 24, "record_ring": 32, "cache": 32,
          "shared_record_ring": 64, "shared_segment": 1400, "broadcast_ring": 32, "mpmc_queue": 32, "limits": 64, "http_fields": 80,
          "co_queue": 48, "fan_in": 32, "intrusive_mpsc_list": 48, "resequencer": 32,
          "rate_limiter": 48, "adaptive_limit": 96, "swr_cache": 48, "timer_wheel": 128}
ENVIRONMENT = {"ASAN_OPTIONS": "quarantine_size_mb=8:detect_stack_use_after_return=0:abort_on_error=0",
               "UBSAN_OPTIONS": "print_stacktrace=1"}


def names():
    found = sorted(p.name[:-len("_fuzz.cpp")] for p in SOURCES.glob("*_fuzz.cpp"))
    return [n for n in FIRST if n in found] + [n for n in found if n not in FIRST]


def program(name):
    return FOLDER / "tests" / "fuzz" / f"fuzz_{name}"


def options(name):
    dictionary = SOURCES / f"{name}.dict"
    return [f"-max_len={LENGTH.get(name, 128)}"] + ([f"-dict={dictionary}"] if dictionary.exists() else [])


def run_one(name, long, log):
    """One target: its line of the report, whether it is good, and what to say if not."""
    inputs, found = FOLDER / "inputs" / name, FOLDER / "found"
    inputs.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    for file in (SOURCES / "corpus" / name).glob("*"):
        shutil.copy(file, inputs)
    wanted = 0 if long else EXECUTIONS
    command = [program(name), *options(name), f"-artifact_prefix={found}/{name}-", "-print_final_stats=1", "-timeout=20",
               f"-max_total_time={LONG_SECONDS if long else SHORT_LIMIT}", *([f"-runs={wanted}"] if wanted else []), inputs]
    begun = time.monotonic()
    ended = subprocess.run(list(map(str, command)), env={**os.environ, **ENVIRONMENT}, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=FOLDER)
    seconds = time.monotonic() - begun
    text = ended.stdout.decode(errors="replace")
    log.write(f"$ {' '.join(map(str, command))}\n{text}")
    log.flush()
    match = re.search(r"number_of_executed_units:\s*(\d+)", text)
    executions = int(match.group(1)) if match else 0
    crashes = 0 if ended.returncode == 0 else 1
    line = f"FUZZ {name}: executions={executions} seconds={seconds:.0f} crashes={crashes}"
    if crashes:
        artifact = re.search(r"Test unit written to (\S+)", text)
        said = [x for x in text.split("\n") if re.search(r"expected:|ERROR:|runtime error:|SUMMARY:", x)]
        how = [f"  {x}" for x in said[:4]]
        if artifact:
            where = os.path.relpath(FOLDER / artifact.group(1), ROOT)
            how += [f"  input      {where}", f"  reproduce  {os.path.relpath(program(name), ROOT)} {where}"]
        return line, False, how or [f"  ended with code {ended.returncode}; see the log"]
    if executions < wanted:
        return line, False, [f"  too slow: {executions} of {wanted} executions in {SHORT_LIMIT} s"]
    return line, True, []


def run(chosen, long, jobs, say, tell, log_path):
    """Runs targets (all when none is named), `jobs` at a time. Returns the lines and whether all are good."""
    unknown = sorted(set(chosen) - set(names()))
    if unknown:
        say(f"no such fuzz target: {', '.join(unknown)}; there are {', '.join(names())}")
        return [], False
    lines, good = [], True
    built = [n for n in chosen or names() if program(n).exists()]
    for name in sorted(set(chosen or names()) - set(built)):
        say(f"FUZZ {name}: was not built: a library that it needs is missing")
        good = False
    with open(log_path, "a", encoding="utf-8") as log, ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(run_one, name, long, log) for name in built]
        for done, future in enumerate(as_completed(waiting), 1):
            line, fine, more = future.result()
            say("\n".join([line, *more]))
            tell(done, len(built), line)
            lines.append(line)
            good = good and fine
    return lines, good and bool(built)


def facts(lines):
    """The lines of a run, for the proof report."""
    read = [re.fullmatch(r"FUZZ (\w+): executions=(\d+) seconds=\d+ crashes=(\d+)", line) for line in lines]
    return [{"name": f"fuzz.executions.{m.group(1)}", "value": int(m.group(2)), "unit": "executions"} for m in read] + [
        {"name": "fuzz.crashes", "value": sum(int(m.group(3)) for m in read), "unit": "inputs"}]


def keep(chosen):
    """Merges build/fuzz/inputs and the committed inputs by edges alone: tens of files, not thousands."""
    for name in chosen or names():
        corpus = SOURCES / "corpus" / name
        corpus.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="holdfast-fuzz-") as merged:
            subprocess.run([program(name), *options(name), "-merge=1", "-use_counters=0", merged, corpus,
                            FOLDER / "inputs" / name], check=True, env={**os.environ, **ENVIRONMENT},
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            files = sorted(Path(merged).iterdir())
            for old in corpus.iterdir():
                old.unlink()
            for file in files:
                shutil.copy(file, corpus)
            print(f"{name}: {len(files)} inputs, {sum(f.stat().st_size for f in files)} bytes")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] != "keep":
        sys.exit(__doc__.strip())
    keep(sys.argv[2:])
