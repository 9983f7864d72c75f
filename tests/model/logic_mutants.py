#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Seeds mistakes of logic into the library, one at a time, and asks whether the model's scenarios notice.

    logic_mutants.py --source ROOT --work DIR --engine LIB --library LIB ... --mutants FILE [--only WORD] -- COMPILER...

The file holds blocks of this form; the text after `-` stands exactly once in the file, and `+` takes its place (each may
have several lines):

    == what the mistake is
    file include/holdfast/queue/spsc_queue.hpp
    parts spsc_queue                   # scenarios that are run; tests/model/<part>_model.cpp is built
    sources src/policy/x.cpp           # also built again, because they include the file (optional)
    - the code
    + the mistake

A mutant whose text is not there any more, that does not compile, or that no scenario notices fails the run. All take
minutes, so a run tries a tenth of them, another one each day (UTC); HOLDFAST_LOGIC_MUTANTS=all tries all.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SECONDS = 120  # for the scenarios of one mutant: beyond that it hangs, which is noticed too


def read(path):
    mutants, block = [], None
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if line.startswith("== "):
            block = {"what": line[3:], "-": [], "+": [], "sources": []}
            mutants.append(block)
        elif line.startswith(("- ", "+ ")) or line in ("-", "+"):
            block[line[0]].append(line[2:])
        elif line.startswith(("file ", "parts ", "sources ")):
            key, *words = line.split("#")[0].split()
            block[key] = words[0] if key == "file" else words
        elif line.strip() and not line.startswith("#"):
            sys.exit(f"{path}:{number}: not understood: {line}")
    return mutants


def stale(options, mutant):
    """Why it cannot be seeded; nothing if it can."""
    times = (options.source / mutant["file"]).read_text().count("\n".join(mutant["-"]))
    return None if times == 1 else f"its text stands {times} times in {mutant['file']}"


def build_and_run(options, compiler, number, mutant):
    """(how it ended, the scenario or the reason)"""
    why = stale(options, mutant)
    if why:
        return "STALE", why
    text = (options.source / mutant["file"]).read_text()
    old, new = "\n".join(mutant["-"]), "\n".join(mutant["+"])
    work = options.work / f"{number:02}"
    shutil.rmtree(work, ignore_errors=True)  # a header of an earlier run would stand in the way of the library's own
    overlay = work / "include"
    changed = text.replace(old, new)
    sources = [options.source / "tests/model" / f"{part}_model.cpp" for part in mutant["parts"]]
    sources += [options.source / s for s in mutant["sources"]]
    if mutant["file"].startswith("include/"):
        target = overlay / Path(mutant["file"]).relative_to("include")
    else:  # its own headers stand beside it
        target = work / Path(mutant["file"]).name
        sources = [s for s in sources if s != options.source / mutant["file"]] + [target]
        compiler = [*compiler, f"-I{(options.source / mutant['file']).parent}"]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(changed)
    seam = options.source / "tests/model/include"
    program = work / "tests"
    command = [*compiler, "-std=c++20", "-O1", "-w", f"-I{seam}", f"-I{overlay}", f"-I{options.source / 'include'}",
               f"-I{options.source / 'tests'}", f"-I{options.source / 'src'}", *map(str, sources),
               "-Wl,--whole-archive", str(options.engine), "-Wl,--no-whole-archive", *map(str, options.library),
               "-pthread", "-o", str(program)]
    built = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if built.returncode != 0:
        return "DOES NOT COMPILE", built.stderr[-2000:]
    try:
        ran = subprocess.run([str(program), "--first-failure", *mutant["parts"]], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "killed", f"the scenarios hang (over {SECONDS} s)"
    lines = [line for line in ran.stdout.split("\n") if line.startswith(("FAILED", "NOT COMPLETE"))]
    if ran.returncode == 0:
        return "SURVIVED", ""
    if not lines:
        return "killed", f"the process ended with {ran.returncode}"
    return "killed", "by " + " ".join(lines[0].split()[1:3])


def main():
    parser = argparse.ArgumentParser()
    for name in ("source", "work", "engine", "mutants"):
        parser.add_argument(f"--{name}", type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument("--library", type=lambda text: Path(text).resolve(), action="append", default=[])
    parser.add_argument("--only", default="", help="mutants whose words have this in them")
    parser.add_argument("compiler", nargs="+")
    options = parser.parse_args()
    every = [m for m in read(options.mutants) if options.only in m["what"]]
    mutants = every
    if not options.only and os.environ.get("HOLDFAST_LOGIC_MUTANTS") != "all":
        turn = int(time.time() // 86_400) % 10
        mutants = [m for i, m in enumerate(every) if i % 10 == turn or stale(options, m)]
        print(f"logic: {len(mutants)} of {len(every)} mutants today; all with HOLDFAST_LOGIC_MUTANTS=all")
    begun = time.monotonic()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        ended = list(pool.map(lambda pair: build_and_run(options, options.compiler, *pair), enumerate(mutants, 1)))
    killed = 0
    for mutant, (state, reason) in zip(mutants, ended):
        killed += state == "killed"
        print(f"{state:<17} {mutant['file']}: {mutant['what']}\n{'':<17} {reason}")
    print(f"logic: {len(mutants)} mutants, {killed} killed, {len(mutants) - killed} wrong, {time.monotonic() - begun:.0f} s")
    if os.environ.get("HOLDFAST_PROOF"):
        with open(os.environ["HOLDFAST_PROOF"], "a", encoding="utf-8") as facts:
            for name, value in (("mutants.logic_killed", killed), ("mutants.logic_survived", len(mutants) - killed)):
                facts.write(json.dumps({"name": name, "value": value, "unit": "mutants"}) + "\n")
    return 0 if mutants and killed == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
