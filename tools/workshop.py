#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What tools/check, tools/demo and .ci/run share: configuring, building and testing with a word on how long it takes.

    workshop.py check [release|tsan|tsan-all|tsan-clang|asan|asan-program|msan|coverage|fuzz|lint|lint-program]
                                                 build and test one configuration (default release)
    workshop.py check --long                     what takes an hour or more
    workshop.py check --proof-report             the figures that the last runs left, as Markdown
    workshop.py program                          build the holdfast program

Build folders are build/<configuration>. On a terminal one line shows how far it is; elsewhere a plain line comes every
ten seconds. Needs nothing but Python 3.9, meson and ninja.
"""
import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import fuzzing

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
PROOF = BUILD / "proof"  # figures of the suites, see proof_report.py
TERMINAL = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and os.environ.get("CI") != "true"

CLANG_SANITIZERS = {
    "compilers": {"CC": "clang", "CXX": "clang++"},
    "options": {"buildtype": "debugoptimized", "b_sanitize": "address,undefined", "b_lundef": "false",
                "tests": "enabled", "bench": "disabled"},
    "environment": {"ASAN_OPTIONS": "halt_on_error=1:detect_stack_use_after_return=1:strict_string_checks=1",
                    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"},
}

TSAN = {
    # Its reports need line numbers and no more: the rest of what debuggers read takes a quarter of the time to build.
    "options": {"buildtype": "debugoptimized", "b_sanitize": "thread", "cpp_args": "-g1", "tests": "enabled",
                "bench": "disabled", "tools": "disabled"},
    "wrapper": "randomisation",
    "environment": {"TSAN_OPTIONS": "halt_on_error=1:exitcode=66:history_size=7:second_deadlock_stack=1"},
}

# name: what it is, compilers, meson options, what is built and which tests are run (nothing said: all), their environment.
CONFIGURATIONS = {
    "release": {
        "about": "gcc, optimised, every test",
        "compilers": {"CC": "gcc", "CXX": "g++"},
        "options": {"buildtype": "release", "tests": "enabled", "bench": "enabled", "tools": "enabled"},
    },
    "tsan": {
        "about": "gcc ThreadSanitizer, the tests with many threads",
        "compilers": {"CC": "gcc", "CXX": "g++"},
        **TSAN,
        "targets": ["for_threads"],
        "tests": ["--suite", "stress", "--suite", "alloc"],
    },
    "tsan-all": {
        "about": "gcc ThreadSanitizer, every test of the library",
        "compilers": {"CC": "gcc", "CXX": "g++"},
        **TSAN,
    },
    "tsan-clang": {
        "about": "clang ThreadSanitizer, every test of the library",
        "compilers": {"CC": "clang", "CXX": "clang++"},
        **TSAN,
        "options": {**TSAN["options"], "b_lundef": "false"},
    },
    "asan": {
        "about": "clang AddressSanitizer and UndefinedBehaviorSanitizer, the library's tests but for those with many threads",
        **CLANG_SANITIZERS,
        "options": {**CLANG_SANITIZERS["options"], "tools": "disabled"},
        "targets": ["for_memory"],
        "tests": ["--no-suite", "stress"],
    },
    "asan-program": {
        "about": "the same two, every test, and the program with its tests",
        **CLANG_SANITIZERS,
        "options": {**CLANG_SANITIZERS["options"], "tools": "enabled"},
    },
    "fuzz": {
        "about": "clang's libFuzzer under the same two, the targets of tests/fuzz or those named, for five "
                 "million executions each; --long: ten minutes each",
        **CLANG_SANITIZERS,
        "options": {**CLANG_SANITIZERS["options"], "tools": "disabled"},
        "targets": ["fuzz"],
    },
}

# Debian's libstdc++ is not built for MemorySanitizer: what its compiled code writes, such as the links of a std::map's
# nodes, looks unwritten. The stress programs use none of that.
CONFIGURATIONS["msan"] = {
    "about": "clang-19 MemorySanitizer, the library's core under the stress programs",
    "compilers": {"CC": "clang-19", "CXX": "clang++-19"},
    "options": {"buildtype": "debugoptimized", "b_sanitize": "memory", "b_lundef": "false", "tests": "enabled",
                "bench": "disabled", "tools": "disabled"},
    "targets": ["tests/soak"],
    "tests": ["tools stress"],
    "environment": {"MSAN_OPTIONS": "halt_on_error=1:exitcode=66"},
}



def coverage_begin():
    import coverage  # which needs this module
    coverage.forget()


def coverage_report():
    import coverage
    return coverage.report()


# Without always_inline: gcc counts the branches of each inlined copy by themselves, and no caller takes them all.
CONFIGURATIONS["coverage"] = {
    "about": "gcc, branch coverage of the headers by the unit tests and by the model checker's executions at random",
    "compilers": {"CC": "gcc", "CXX": "g++"},
    "options": {"buildtype": "debug", "b_coverage": "true", "cpp_args": "-Dalways_inline=noinline", "tests": "enabled",
                "bench": "disabled", "tools": "disabled"},
    "targets": ["tests/unit_tests", "tests/unit_exceptions_tests", "tests/asio_tests", "tests/boost_queues_tests",
                "tests/moodycamel_queues_tests", "tests/model/model_tests"],
    "tests": ["--timeout-multiplier", "5", "unit", "unit exceptions", "asio", "boost queues", "moodycamel queues",
              "model at random", "model at random, readers", "model, a lap behind"],
    "before": coverage_begin,
    "after": coverage_report,
}

# What --long runs, one after the other; each is a command that can be typed as well.
LONG = [
    "./tools/stress --sanitizer none --ops 2^33 queue",  # each item is pushed and popped: 2^32 items
    "./tools/stress --sanitizer thread --for 20m",
    "./tools/stress --sanitizer thread-clang --for 10m",
    "./tools/stress --sanitizer address --for 10m",
    "./tools/stress --sanitizer memory --for 5m",
    "./tools/check fuzz --long",
    "./tools/check release model",  # builds it, too
    "build/release/tests/model/model_tests --random 2000 --at-least 1000000000",
]

# clang-tidy's two shares: what people link and include, with all headers in one source that the build makes; and what takes
# long, where templates are made by the dozen and Boost.Beast is included.
ALL_HEADERS = BUILD / "release" / "tests" / "contract" / "bare.cpp"
LINTS = {
    "lint": "clang-format, and clang-tidy over the library and all of its headers",
    "lint-program": "clang-tidy over the rest: the tests of every kind, the program, the benchmarks and the examples",
}

# Seconds that a step takes on two cores without a compiler cache; replaced by what the last run here took.
GUESSES = {"configure": 5, "build": 400, "test": 60, "format": 5, "clang-tidy": 400}


def clock(seconds):
    seconds = max(0, int(seconds + 0.5))
    return f"{seconds // 60}:{seconds % 60:02}"


class Course:
    """The steps of one run, how far it is, and how long is left."""

    def __init__(self, name, steps):
        self.name, self.steps, self.done = name, steps, []
        self.memory_file = BUILD / f".seconds-{name}.json"
        try:
            self.expected = {**GUESSES, **json.loads(self.memory_file.read_text())}
        except (OSError, ValueError):
            self.expected = dict(GUESSES)
        self.start = self.step_start = self.said = time.monotonic()
        self.step, self.drawn = None, False

    def begin(self, step, what):
        self.step, self.what, self.step_start = step, what, time.monotonic()
        self.say(f"[{len(self.done) + 1}/{len(self.steps)}] {what}, about {clock(self.left(0))} left")

    def left(self, fraction):
        """Seconds to the end of the run: the rest of this step, and the steps after it."""
        spent = time.monotonic() - self.step_start
        expected = self.expected[self.step]
        if fraction > 0.02 and spent > 2:
            # What is done speaks louder the more of it there is, and alone once the guess has been used up.
            trust = min(1.0, fraction + spent / max(expected, 1))
            expected = (1 - trust) * expected + trust * spent / fraction
            here = (1 - fraction) * expected
        else:
            here = max(expected - spent, 0)
        return here + sum(self.expected[s] for s in self.steps[len(self.done) + 1:])

    def tell(self, done, total, text=""):
        """Called as often as there is news."""
        now = time.monotonic()
        if not TERMINAL and now - self.said < 10:
            return
        line = (f"[{len(self.done) + 1}/{len(self.steps)}] {self.what} {done}/{total}, "
                f"about {clock(self.left(done / max(total, 1)))} left")
        if TERMINAL:
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write("\r\033[K" + f"{line}  {text}"[:width])
            sys.stdout.flush()
            self.drawn = True
        else:
            print(line, flush=True)
        self.said = now

    def say(self, line):
        if self.drawn:
            sys.stdout.write("\r\033[K")
            self.drawn = False
        print(line, flush=True)
        self.said = time.monotonic()

    def end(self, result):
        seconds = time.monotonic() - self.step_start
        self.done.append((self.step, seconds, result))
        self.say(f"[{len(self.done)}/{len(self.steps)}] {self.what}: {result} in {clock(seconds)}")
        try:
            self.expected[self.step] = round(seconds, 1)
            self.memory_file.write_text(json.dumps({s: t for s, t, _ in self.done}))
        except OSError:
            pass


def follow(command, on_line, log, env=None):
    """Runs a command; hands each line to on_line and to the log. Returns its exit code. Ctrl-C reaches it too."""
    with open(log, "a", encoding="utf-8") as out:
        out.write(f"$ {' '.join(map(str, command))}\n")
        process = subprocess.Popen(list(map(str, command)), cwd=ROOT, env=env, stdin=subprocess.DEVNULL, text=True,
                                   errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            for line in process.stdout:
                out.write(line)
                on_line(line.rstrip("\n"))
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise


def tail(lines, count=60):
    kept = lines[-count:]
    if len(lines) > count:
        print(f"  ... {len(lines) - count} lines before, in the log")
    for line in kept:
        print("  " + line)


def jobs():
    """As many compilers as there are cores, and no more than memory feeds: the largest file takes about 1.5 GB."""
    wanted = os.environ.get("HOLDFAST_JOBS", "")
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        memory = 4 << 30
    return max(1, min(cores, memory // (3 << 29)))


def configure(course, name, options, log):
    """meson setup, or the options that differ from those that the folder was made with."""
    chosen = CONFIGURATIONS[name]
    folder = BUILD / name
    course.begin("configure", f"configuring build/{name}")
    env = {**os.environ, **chosen["compilers"]}
    flags = [f"-D{key}={value}" for key, value in sorted(options.items())]
    made = folder / "meson-private" / "coredata.dat"
    stamp = folder / ".options"
    text = " ".join(flags)
    lines = []
    if made.exists() and stamp.exists() and stamp.read_text() == text:
        code = 0
    else:
        command = ["meson", "setup", *flags, folder] + (["--reconfigure"] if made.exists() else [])
        code = follow(command, lines.append, log, env)
        if code != 0 and made.exists():
            # A folder that another version of meson or another compiler made: start it again.
            shutil.rmtree(folder)
            code = follow(["meson", "setup", *flags, folder], lines.append, log, env)
    course.end("ready" if code == 0 else "FAILED")
    if code != 0:
        tail(lines)
        return False
    stamp.write_text(text)
    return True


def build(course, name, targets, log):
    course.begin("build", f"building build/{name}")
    failed, recent, state = [], [], {"failing": False}

    def on_line(line):
        match = re.match(r"@(\d+)/(\d+)@ ?(.*)", line)
        if match:
            state["failing"] = False
            course.tell(int(match.group(1)), int(match.group(2)), match.group(3))
        elif line.startswith("FAILED: "):
            state["failing"] = True
            failed.append(line)
        elif state["failing"]:
            failed.append(line)
        else:
            recent.append(line)

    env = {**os.environ, "NINJA_STATUS": "@%f/%t@ "}
    code = follow(["ninja", "-C", BUILD / name, "-j", jobs(), "-k", "20", *targets], on_line, log, env)
    course.end("done" if code == 0 else "FAILED")
    if code != 0:
        tail(failed or recent)
    return code == 0


def randomisation_wrapper(bits, setarch_works):
    """What ThreadSanitizer is started with, and the line that says so. Its runtimes here map what up to 28 bits give;
    beyond that they may end with `unexpected memory mapping` before main."""
    here = f"vm.mmap_rnd_bits is {bits}: ThreadSanitizer"
    if bits is None or bits <= 28:
        return [], f"{here} starts as it is" if bits else "vm.mmap_rnd_bits cannot be read: ThreadSanitizer starts as it is"
    if setarch_works():
        return ["setarch", "-R"], f"{here} starts under `setarch -R`, without address randomisation"
    return [], f"{here} would need `setarch -R`, which does not work here, and may refuse to start"


def wrapper_of(name):
    if CONFIGURATIONS[name].get("wrapper") != "randomisation":
        return [], ""
    try:
        bits = int(Path("/proc/sys/vm/mmap_rnd_bits").read_text())
    except (OSError, ValueError):
        bits = None
    return randomisation_wrapper(bits, lambda: shutil.which("setarch") is not None and subprocess.run(
        ["setarch", "-R", "true"], capture_output=True).returncode == 0)


def begin_facts(name, command, adds=False):
    """The file to which a run's suites append their figures, begun with a line about the run; anew, or after the figures of
    the runs before if this one `adds`: a part of the tests leaves the figures of the others as they are."""
    PROOF.mkdir(parents=True, exist_ok=True)
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True,
                            text=True, timeout=30)
    facts = PROOF / f"{name}.jsonl"
    with facts.open("a" if adds else "w", encoding="utf-8") as file:
        file.write(json.dumps({"run": command, "commit": commit.stdout.strip() or "unknown",
                               "begun": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}) + "\n")
    return facts


def run_tests(course, name, extra, log):
    chosen = CONFIGURATIONS[name]
    course.begin("test", "testing")
    facts = begin_facts(name, shlex.join(["./tools/check", *([name] if extra or name != "release" else []), *extra]),
                        bool(extra))
    env = {**os.environ, **chosen.get("environment", {}), "HOLDFAST_PROOF": str(facts)}
    command = ["meson", "test", "-C", BUILD / name, "--no-rebuild", "--print-errorlogs", *(extra or chosen.get("tests", []))]
    wrapper, word = wrapper_of(name)
    if word:
        course.say(word)
    command = [*wrapper, *command]
    results, lines = [], []

    def on_line(line):
        lines.append(line)
        match = re.match(r"\s*(\d+)/(\d+) (.*?)\s+(OK|FAIL|SKIP|TIMEOUT|ERROR|INTERRUPT|EXPECTEDFAIL|UNEXPECTEDPASS)\s+"
                         r"([\d.]+)s", line)
        if match:
            results.append((match.group(3), match.group(4), float(match.group(5))))
            course.tell(int(match.group(1)), int(match.group(2)), match.group(3))

    code = follow(command, on_line, log, env)
    bad = [r for r in results if r[1] not in ("OK", "SKIP", "EXPECTEDFAIL")]
    good = not bad and code == 0 and any(r[1] == "OK" for r in results)
    course.end("done" if good else "FAILED")
    if not good:
        tail(lines, 120)
    return results, good


def summary(title, rows, good, log):
    print()
    print(title)
    for left, right in rows:
        print(f"  {left:<34} {right}")
    print(f"  {'log':<34} {log.relative_to(ROOT)}")
    print("ALL GOOD" if good else "FAILED: see above")


def new_log(name):
    BUILD.mkdir(exist_ok=True)
    log = BUILD / f"{name}.log"
    log.write_text("")
    return log


def check(name, extra, long=False):
    if name in LINTS:
        return lint(name)
    chosen = CONFIGURATIONS[name]
    print(f"holdfast: {chosen['about']}; {jobs()} compilers at a time", flush=True)
    log = new_log(name)
    course = Course(name, ["configure", "build", "test"])
    good = configure(course, name, chosen["options"], log) and build(course, name, chosen.get("targets", []), log)
    rows, results = [], []
    if good and name == "fuzz":
        course.begin("test", "fuzzing")
        lines, good = fuzzing.run(extra, long, min(2, jobs()), course.say, course.tell, log)
        with open(begin_facts(name, " ".join(["./tools/check fuzz", *extra]), bool(extra)), "a", encoding="utf-8") as facts:
            facts.writelines(json.dumps(fact) + "\n" for fact in fuzzing.facts(lines))
        course.end("done" if good else "FAILED")
        rows += [tuple(line[len("FUZZ "):].split(": ", 1)) for line in sorted(lines)]
    elif good:
        if "before" in chosen:
            chosen["before"]()
        results, good = run_tests(course, name, extra, log)
        if good and "after" in chosen:
            good, more = chosen["after"]()
            rows += more
    rows += [(f"{step} {name}", f"{result}, {clock(seconds)}") for step, seconds, result in course.done]
    count = {state: sum(1 for r in results if r[1] == state) for state in ("OK", "SKIP")}
    if results:
        rows.append(("test programs", f"{count['OK']} passed, {len(results) - count['OK'] - count['SKIP']} failed"
                                      + (f", {count['SKIP']} skipped" if count["SKIP"] else "")))
        rows += [("  failed", f"{r[0]} ({r[1].lower()})") for r in results if r[1] not in ("OK", "SKIP")][:12]
        slow = sorted(results, key=lambda r: -r[2])[:3]
        rows.append(("slowest", ", ".join(f"{re.sub('^holdfast:', '', n)} {t:.1f} s" for n, _, t in slow)))
    summary(f"check {name}: {clock(time.monotonic() - course.start)}", rows, good, log)
    return 0 if good else 1


def program():
    """The holdfast program alone, in the release folder, with whatever else that folder was asked for before."""
    log = new_log("program")
    course = Course("program", ["configure", "build"])
    options = dict(CONFIGURATIONS["release"]["options"], tests="auto", bench="auto")
    if (BUILD / "release" / ".options").exists():  # tools/check has made it: it needs more, and its options do
        options = CONFIGURATIONS["release"]["options"]
    good = configure(course, "release", options, log) and build(course, "release", ["tools/holdfast/holdfast"], log)
    if not good:
        print(f"the program was not built; the log is {log.relative_to(ROOT)}")
    return 0 if good else 1


def long_run():
    begun, failed = time.monotonic(), []
    for index, command in enumerate(LONG, 1):
        print(f"\n== [{index}/{len(LONG)}] {command}", flush=True)
        if subprocess.run(command.split(), cwd=ROOT, stdin=subprocess.DEVNULL).returncode != 0:
            failed.append(command)
    print(f"\ncheck --long: {clock(time.monotonic() - begun)}")
    for command in failed:
        print(f"  FAILED: {command}")
    print(f"{len(LONG) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def own_sources(kinds):
    out = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z"], check=True,
                         capture_output=True, timeout=30).stdout.decode()
    return sorted(p for p in out.split("\0") if p.endswith(kinds) and (ROOT / p).is_file())


def in_parallel(course, commands, log, label):
    """Runs commands, jobs() at a time; returns the output of those that failed."""
    def one(name, command):
        begun = time.monotonic()
        ended = subprocess.run(list(map(str, command)), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace")
        return name, ended, time.monotonic() - begun

    bad = []
    with open(log, "a", encoding="utf-8") as out, ThreadPoolExecutor(jobs()) as pool:
        for done, future in enumerate(as_completed([pool.submit(one, *c) for c in commands]), 1):
            name, ended, seconds = future.result()
            course.tell(done, len(commands), name)
            out.write(f"$ {label} {name}: exit {ended.returncode}, {seconds:.1f} s\n{ended.stdout}")
            out.flush()
            if ended.returncode != 0:
                bad.append((name, ended.stdout))
    return bad


def alone(entries):
    """The compiler's commands, those for several sources at a time as if each were compiled alone."""
    for entry in entries:
        joined = BUILD / "release" / entry["file"]
        if not re.search(r"-unity\d+\.cpp$", entry["file"]):
            yield entry
            continue
        for source in re.findall(r"^#include ?[<\"](.+)[>\"]", joined.read_text(), re.MULTILINE):
            yield {**entry, "file": source, "command": entry["command"].replace(entry["file"], source)}


def lint(name):
    """clang-format over everything, then clang-tidy over those of our sources that LINTS gives to `name`."""
    log = new_log(name)
    course = Course(name, ["configure", "format", "clang-tidy"])
    if not configure(course, "release", CONFIGURATIONS["release"]["options"], log):
        return 1
    sources = own_sources((".hpp", ".cpp"))
    course.begin("format", f"clang-format over {len(sources)} files")
    wrong = in_parallel(course, [(f"{n} files", ["clang-format", "--dry-run", "-Werror", *sources[n:n + 40]])
                                 for n in range(0, len(sources), 40)], log, "clang-format")
    course.end("done" if not wrong else "FAILED")
    # A source that is built twice, for tests without exceptions, is read once: as users build it.
    once = {}
    for entry in alone(json.loads((BUILD / "release" / "compile_commands.json").read_text())):
        path = str((BUILD / "release" / entry["file"]).resolve())
        if path not in once or "-fno-exceptions" in once[path]["command"]:
            once[path] = entry
    database = BUILD / "lint"
    database.mkdir(exist_ok=True)
    (database / "compile_commands.json").write_text(json.dumps(list(once.values())))
    units = [s for s in sources if s.endswith(".cpp") and str(ROOT / s) in once]
    units = [s for s in units if s.startswith("src/") == (name == "lint")] + ([str(ALL_HEADERS)] if name == "lint" else [])
    course.begin("clang-tidy", f"clang-tidy over {len(units)} sources")
    tidy = ["clang-tidy", "-p", database, "--quiet", "--warnings-as-errors=*", "--extra-arg=-w",
            "--extra-arg=-Wno-unknown-warning-option"]
    found = in_parallel(course, [(u, [*tidy, u]) for u in units], log, "clang-tidy")
    course.end("done" if not found else "FAILED")
    for what, text in (wrong + found)[:10]:
        print(f"{what}:")
        tail([line for line in text.split("\n") if line.strip() and "warnings generated" not in line], 25)
    good = not wrong and not found
    summary(f"check {name}: {clock(time.monotonic() - course.start)}",
            [("clang-format", f"{len(sources)} files"), ("clang-tidy", f"{len(units)} sources, {len(found)} with findings")],
            good, log)
    return 0 if good else 1


def main():
    parser = argparse.ArgumentParser(prog="tools/check", description="Builds holdfast and passes its tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", prog="tools/check", description="Builds holdfast and passes its tests.",
                                   epilog="; ".join([f"{n}: {c['about']}" for n, c in CONFIGURATIONS.items()] + [f"{n}: {about}" for n, about in LINTS.items()])
                                   + ". HOLDFAST_JOBS=N sets how many compilers run.")
    checking.add_argument("configuration", nargs="?", default="release", choices=[*CONFIGURATIONS, *LINTS])
    checking.add_argument("--long", action="store_true", help="fuzz: ten minutes a target. Otherwise, instead: " + "; ".join(LONG))
    checking.add_argument("--proof-report", action="store_true",
                          help="instead: write the figures that the last runs left to build/proof/report.md, and show it")
    checking.add_argument("tests", nargs="*", help="names of tests, or arguments of meson test (after --)")
    commands.add_parser("program", description="Builds the holdfast program.")
    chosen = parser.parse_args()
    try:
        if chosen.command == "check" and chosen.proof_report:
            import proof_report
            return proof_report.main([])
        if chosen.command == "check" and chosen.long and chosen.configuration != "fuzz":
            return long_run()
        return check(chosen.configuration, chosen.tests, chosen.long) if chosen.command == "check" else program()
    except KeyboardInterrupt:
        print("\nstopped")
        return 130


if __name__ == "__main__":
    sys.exit(main())
