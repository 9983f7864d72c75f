#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rules of the house that no compiler checks. Run as a test; see CONTRIBUTING.md.

    tools/tidy.py              check the tree (and first itself)
    tools/tidy.py --self-test  only itself: every rule must fire on its bad snippet and stay silent on a good one
    tools/tidy.py --rules      what is checked, one line a rule

A finding is `file:line: rule: what is wrong`. Exit code 1 when there is one. Needs nothing but Python 3.9.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The folder is the layer: what the headers and sources of a room may include. An arrow that is not here is refused.
LAYERS = {
    "core": {"core"},
    "queue": {"core", "time", "queue"},
    "time": {"core", "time"},
    "policy": {"core", "time", "policy"},
    "ipc": {"core", "time", "ipc"},
    "telemetry": {"core", "queue", "time", "telemetry"},
    "exec": {"core", "queue", "time", "policy", "telemetry", "exec"},
    "interop": {"core", "queue", "time", "policy", "telemetry", "exec", "interop"},
}

# The seam: the two files that may name std::atomic and orders without a label.
SEAM = "include/holdfast/core/atomic.hpp"
SEAM_FILES = (SEAM, "include/holdfast/core/memory_order.hpp")

# Who may use exceptions: the adapter that ends them, and the bridges to libraries that throw.
MAY_THROW = ("include/holdfast/exec/catch_errors.hpp", "include/holdfast/interop/", "src/interop/")

# Token -> what to use instead. Code only: comments and strings are blanked before.
BANNED = [
    (r"\bstd::atomic\w*|<atomic>", "std::atomic belongs to core/atomic.hpp; use holdfast::atomic"),
    (r"\bstd::memory_order\w*|\bmemory_order_\w+", "orders are tags: mo::acquire"),
    (r"\bvolatile\b(?!\s*\()", "volatile is no order; use holdfast::atomic"),
    (r"\bstd::(?:recursive_|timed_|shared_|recursive_timed_|shared_timed_)?mutex\b|<(?:shared_)?mutex>"
     r"|\bstd::condition_variable\w*|<condition_variable>|\bstd::(?:lock_guard|unique_lock|scoped_lock)\b"
     r"|\bpthread_(?:mutex|cond|rwlock)_\w+", "no locks in the library"),
    (r"\bstd::function\b|<functional>", "take a template parameter or a function pointer"),
    (r"<(?:iostream|ostream|istream|sstream|fstream|iomanip)>|\bstd::(?:cout|cerr|cin|clog|endl)\b",
     "no iostreams; write(2) or to_chars"),
    (r"<regex>|\bstd::regex\b", "no <regex>; a parser of ten lines allocates nothing"),
    (r"\btypeid\b|\bdynamic_cast\b", "works without RTTI"),
    (r"\bthread_local\s+static\b|\bstatic\s+thread_local\b", "a thread_local is constinit and at namespace scope"),
    (r"\busing\s+namespace\s+std\b(?!::)", "name what you use"),
    (r"\bassert\s*\(|<cassert>", "HOLDFAST_ASSERT"),
    (r"\brand\s*\(|\bstd::random_device\b|\bstd::mt19937\w*", "core/random.hpp; a seed is an option"),
]
# Bridges may share ownership as their library does: an Asio operation and who awaits it end in either order.
SHARING = (r"\bstd::shared_ptr\b|\bstd::make_shared\b", "no hidden reference counts; say who owns it")
EXCEPTIONS = (r"\bthrow\b|\btry\b(?=\s*\{)|\bcatch\s*\(", "errors are returned; only exec/catch_errors.hpp and interop/ may")

# The public macros. Anything else that a header defines must be undefined by it, and ends in an underscore until then.
MACROS = {"HOLDFAST_ASSERT", "HOLDFAST_ASSERTIONS", "HOLDFAST_LOG"}

# Headers without a unit test, and why.
NO_UNIT_TEST = {
    "core/assert.hpp": "ends the process; every test runs with it on in the sanitizer builds",
    "core/atomic.hpp": "forwards to std::atomic; its judge is the model build",
    "core/memory_order.hpp": "names only; what an order may not do is a matter of compilation",
    "core/prefetch.hpp": "a hint: there is nothing to observe but time",
}

STRONG = {"acquire", "release", "acq_rel", "seq_cst"}
READS, WRITES = {"acquire", "acq_rel", "seq_cst"}, {"release", "acq_rel", "seq_cst"}
REASON = re.compile(r"\b(?:own|counter|hint|init):")
USE = re.compile(r"\bmo::(relaxed|acquire|release|acq_rel|seq_cst)\b")
LABEL = r"\[[A-Z]+\d+[a-z]?\]"
PARTNER = rf"(?:{LABEL}|itself)"
# One label may have a clause for each of its orders: `[A4] acquire, pairs with [A2]: why; release, pairs with [A5]: why`.
CLAUSE = re.compile(rf"(?:({LABEL})\s+)?\b((?:acquire|release|acq_rel|seq_cst)\b[^:;\[]*?)pairs with\s+"
                    rf"({PARTNER}(?:(?:\s*,\s*and\s+|\s*,\s*|\s+and\s+){PARTNER})*)(?=\s*:\s*\S)")

RULES = {
    "license": "the first line of a source file names the licence",
    "intro": "a public header opens with a comment that says what it is, then #pragma once",
    "layer": "an include follows the arrows between the rooms",
    "order": "an acquire, release, acq_rel or seq_cst has a label: `[S2] release, pairs with [S3]: why`",
    "partner": "the partner that a label names exists in the part (its header and source), and one of the two writes",
    "label": "a label is defined once in a file",
    "relaxed": "a relaxed has its reason in a word: own:, counter:, hint: or init:",
    "banned": "what the library does without",
    "exceptions": "no exception but in the adapter and the bridges",
    "macro": "three public macros, not more",
    "test": "a public header has its tests/unit/<stem>_test.cpp, or its Proof: names the unit test that covers it",
    "listed": "a source or test file is named in its meson.build: what is not built proves nothing",
    "public": "tests and benchmarks include public headers only",
    "width": "no line is longer than 132 columns: code ends at 120, but clang-format leaves tables in comments alone",
}


class Source:
    """A file as lines of code with comments and strings blanked, and the comments by line."""

    def __init__(self, path, text):
        self.path, self.text, self.raw = path, text, text.split("\n")
        code, comment, self.includes = [], [], []
        block = False
        for number, line in enumerate(self.raw, 1):
            include = re.match(r'\s*#\s*include\s+(["<][^">]+[">])', line)
            if include and not block:
                self.includes.append((number, include.group(1)))
            out, note, i = "", "", 0
            while i < len(line):
                if block:
                    end = line.find("*/", i)
                    note += line[i:] if end < 0 else line[i:end]
                    block, i = end < 0, len(line) if end < 0 else end + 2
                elif line.startswith("//", i):
                    note, i = note + line[i + 2:], len(line)
                elif line.startswith("/*", i):
                    block, i = True, i + 2
                elif line[i] == '"' and not include:
                    end = i + 1
                    while end < len(line) and line[end] != '"':
                        end += 2 if line[end] == "\\" else 1
                    out, i = out + '""', end + 1
                elif line[i] == "'" and not (i and line[i - 1].isalnum() and line[i + 1:i + 2].isalnum()):
                    end = i + 1
                    while end < len(line) and line[end] != "'":
                        end += 2 if line[end] == "\\" else 1
                    out, i = out + "' '", end + 1
                else:
                    out, i = out + line[i], i + 1
            code.append(out)
            comment.append(note.strip())
        self.code, self.comment = code, comment

    def statement(self, index):
        """First and last line of the statement that line `index` belongs to."""
        def ends(i):
            tail = self.code[i].rstrip()
            return not tail or tail.endswith((";", "{", "}", ":")) or tail.lstrip().startswith("#")
        first = last = index
        while first > 0 and not ends(first - 1):
            first -= 1
        while last + 1 < len(self.code) and not ends(last):
            last += 1
        return first, last

    def notes(self, index):
        """The comments that speak for line `index`: on its statement, and the block directly above it."""
        first, last = self.statement(index)
        lines = list(range(first, last + 1))
        above = first - 1
        while above >= 0 and not self.code[above].strip() and self.comment[above]:
            lines.insert(0, above)
            above -= 1
        return " ".join(self.comment[i] for i in lines if self.comment[i])


def room_of(path):
    match = re.match(r"(?:include/holdfast|src)/(\w+)/", path)
    return match.group(1) if match else None


def definitions(source):
    """Every clause of a file, as scan() gives them. A definition may run over several comment lines."""
    found, block, starts = [], "", []
    for i, note in enumerate(source.comment + [""]):
        # A comment on a line of code is a block of its own; whole-line comments join the ones above them.
        alone = i < len(source.code) and not source.code[i].strip()
        if block and not (note and alone):
            found += scan(block, starts)
            block, starts = "", []
        if note:
            starts.append((len(block), i + 1))
            block += note + " "
    found += scan(block, starts)
    return found


def scan(block, starts):
    """The clauses of one comment: [(line, label, orders, partners, goes on)]; one without a label goes on with the last."""
    out, label = [], None
    for match in CLAUSE.finditer(block):
        label = match.group(1) or label
        if label is None:
            continue
        line = max(number for offset, number in starts if offset <= match.start())
        orders = set(re.findall(r"acquire|release|acq_rel|seq_cst", match.group(2)))
        out.append((line, label, orders, re.findall(LABEL, match.group(3).replace("itself", label)),
                    match.group(1) is None))
    return out


def check_library(source, family_labels):
    """Rules for include/ and src/. family_labels: label -> orders, of the header and source of the same stem."""
    path, found = source.path, []
    header = path.startswith("include/")

    def report(line, rule, what):
        found.append((path, line, rule, what))

    if header:
        body = [line for line in source.raw[1:] if line.strip()]
        if not body or not re.match(r"//\s*\S", body[0]):
            report(2, "intro", "the second line says in a sentence what this header is")
        first_code = next((line for line in source.code if line.strip()), "")
        if first_code.strip() != "#pragma once":
            report(1, "intro", "#pragma once comes before any code")
    room = room_of(path)
    if room not in LAYERS:
        report(1, "layer", f"no such room: {room}")
    else:
        for line, name in source.includes:
            target = re.match(r'"holdfast/(\w+)/', name)
            if target and target.group(1) not in LAYERS[room]:
                report(line, "layer", f"{room} must not include {name}: it knows {', '.join(sorted(LAYERS[room]))} only")
            if name.startswith('"') and not target and header:
                report(line, "layer", f'a public header includes by its full name "holdfast/...", not {name}')
    if path not in SEAM_FILES:
        check_orders(source, family_labels, report)
        for i, code in enumerate(source.code):
            code = re.sub(r"\basm\s+volatile\b", "asm", code)
            for pattern, instead in BANNED if room == "interop" else [*BANNED, SHARING]:
                for match in re.finditer(pattern, code):
                    report(i + 1, "banned", f"{match.group(0)}: {instead}")
    if not path.startswith(MAY_THROW):
        for i, code in enumerate(source.code):
            match = re.search(EXCEPTIONS[0], code)
            if match:
                report(i + 1, "exceptions", f"{match.group(0).strip()}: {EXCEPTIONS[1]}")
    if header:
        for i, code in enumerate(source.code):
            match = re.match(r"\s*#\s*define\s+(\w+)", code)
            if match and match.group(1) not in MACROS and not re.search(rf"#\s*undef\s+{match.group(1)}\b", source.text):
                if not (match.group(1).startswith("HOLDFAST_") and match.group(1).endswith("_")):
                    report(i + 1, "macro", f"{match.group(1)} would be a fourth public macro")
    return found


def check_orders(source, family_labels, report):
    mine = {}
    for line, label, orders, partners, more in definitions(source):
        if label in mine and not more:
            report(line, "label", f"{label} is defined twice")
        mine.setdefault(label, set()).update(orders)
    known = dict(family_labels)
    known.update(mine)
    for line, label, orders, partners, _ in definitions(source):
        for partner in partners:
            if partner not in known:
                report(line, "partner", f"{label} pairs with {partner}, which is nowhere")
            elif partner == label and not {"acq_rel", "seq_cst"} & orders:
                report(line, "partner", f"{label} pairs with itself")
            elif not (orders & WRITES and known[partner] & READS or orders & READS and known[partner] & WRITES):
                report(line, "partner", f"{label} {'/'.join(sorted(orders))} cannot pair with {partner} "
                                        f"{'/'.join(sorted(known[partner]))}")
    for i, code in enumerate(source.code):
        uses = USE.findall(code)
        if not uses:
            continue
        notes = source.notes(i)
        stated = set()
        for _, _, orders, _, _ in scan(notes, [(0, i)]):
            stated |= orders
        for order in sorted(set(uses)):
            if order in STRONG and order not in stated and not (order == "acq_rel" and {"acquire", "release"} <= stated):
                report(i + 1, "order", f"mo::{order} without `[L1] {order}, pairs with [L2]: why` on its line or above it")
            if order == "relaxed" and not REASON.search(notes):
                report(i + 1, "relaxed", "mo::relaxed without a reason: own:, counter:, hint: or init:")


def check_any(source):
    """Rules for every source file of the tree."""
    found = []
    where = source.raw[:3] if source.raw[0].startswith("#!") else source.raw[:1]
    if not any("SPDX-License-Identifier: MIT" in line for line in where):
        found.append((source.path, 1, "license", "the first line is `SPDX-License-Identifier: MIT` in a comment"))
    if source.path.endswith((".hpp", ".cpp")):
        for number, line in enumerate(source.raw, 1):
            if len(line) > 132 and "http" not in line and 'R"' not in line:
                found.append((source.path, number, "width", f"{len(line)} columns"))
        if source.path.startswith(("tests/", "bench/")):
            for line, name in source.includes:
                if name.startswith('"') and re.match(r'"(?:\.\./)*(?:src|include)/', name):
                    found.append((source.path, line, "public", f"{name}: only what is installed"))
    return found


def check_tree(paths, read):
    found = []
    sources = {p: Source(p, read(p)) for p in paths if p.endswith((".hpp", ".cpp"))}
    for path in paths:
        if path in sources:
            found += check_any(sources[path])
        elif path.endswith(".py") or read(path).startswith("#!"):
            found += check_any(Source(path, read(path)))
    library = {p: s for p, s in sources.items() if p.startswith(("include/holdfast/", "src/"))}
    labels = {}
    for path, source in library.items():
        for _, label, orders, _, _ in definitions(source):
            labels.setdefault(part_of(path), {}).setdefault(label, set()).update(orders)
    for path, source in library.items():
        found += check_library(source, labels.get(part_of(path), {}))
    names = set(paths)
    for path in library:
        if path.startswith("include/holdfast/"):
            stem = Path(path).stem
            public = path[len("include/holdfast/"):]
            own = f"tests/unit/{stem}_test.cpp"
            named = re.findall(r"\bunit/(\w+_test\.cpp)", "\n".join(library[path].comment))
            for test in named:
                if f"tests/unit/{test}" not in names:
                    found.append((path, 1, "test", f"names tests/unit/{test} as its proof, which does not exist"))
            if own not in names and not named and public not in NO_UNIT_TEST:
                found.append((path, 1, "test", f"{own} does not exist, and the header names no other unit/..._test.cpp"))
    for build, folder, pattern in (("src/meson.build", "src/", r"\.cpp$"),
                                   ("tests/meson.build", "tests/unit/", r"_test\.cpp$"),
                                   ("tests/meson.build", "tests/stress/", r"_stress\.cpp$"),
                                   ("tests/meson.build", "tests/alloc/", r"_test\.cpp$|_alloc\.cpp$")):
        if build not in names:
            continue
        listed = read(build)
        for path in paths:
            if path.startswith(folder) and re.search(pattern, path):
                short = path[len(build.split("/")[0]) + 1:]
                stem = re.sub(r"(_test|_stress|_alloc)?\.cpp$", "", Path(path).name)
                if short not in listed and not re.search(rf"'{stem}'", listed):
                    found.append((path, 1, "listed", f"{build} does not name it"))
    return found


def part_of(path):
    """The files that share one set of labels: header, source, and their neighbours with the same first word (log_...)."""
    room, _, name = re.sub(r"^(?:include/holdfast|src)/", "", path).rpartition("/")
    return room, re.split(r"[_.]", name)[0]


# --- the rules' own tests ---

HEAD = "// SPDX-License-Identifier: MIT\n// part: does a thing.\n#pragma once\n"
QUEUE = "include/holdfast/queue/part.hpp"
PAIR = ("  x.store(1, mo::release);  // [S1] release, pairs with [S2]: publishes y\n"
        "  // [S2] acquire, pairs with [S1]: sees y\n  return x.load(mo::acquire);\n")
# (rule that must fire, or None; files)
SNIPPETS = [
    (None, {QUEUE: HEAD + PAIR}),
    (None, {QUEUE: HEAD + '#include "holdfast/core/atomic.hpp"\nconst char* a = "throw std::mutex";  // throw, <mutex>\n'}),
    ("license", {QUEUE: "// part: does a thing.\n// More of it.\n#pragma once\n"}),
    ("license", {"tools/x.py": "#!/usr/bin/env python3\nimport os\n"}),
    (None, {"tools/x.py": "#!/usr/bin/env python3\n# SPDX-License-Identifier: MIT\nimport os\n"}),
    ("intro", {QUEUE: "// SPDX-License-Identifier: MIT\n#pragma once\n"}),
    ("intro", {QUEUE: "// SPDX-License-Identifier: MIT\n// part: x.\n#include <span>\n"}),
    ("layer", {QUEUE: HEAD + '#include "holdfast/policy/backoff.hpp"\n'}),
    ("layer", {"include/holdfast/policy/part.hpp": HEAD + '#include "holdfast/telemetry/context.hpp"\n'}),
    ("layer", {"include/holdfast/telemetry/part.hpp": HEAD + '#include "holdfast/policy/backoff.hpp"\n'}),
    ("layer", {"src/exec/part.cpp": HEAD + '#include "holdfast/interop/asio_call.hpp"\n'}),
    ("layer", {QUEUE: HEAD + '#include "other.hpp"\n'}),
    ("layer", {"include/holdfast/cellar/part.hpp": HEAD}),
    (None, {"src/exec/part.cpp": HEAD + '#include "holdfast/policy/backoff.hpp"\n'}),
    ("order", {QUEUE: HEAD + "  x.store(1, mo::release);\n"}),
    ("order", {QUEUE: HEAD + "  fence(mo::seq_cst);  // makes it safe\n"}),
    ("order", {QUEUE: HEAD + PAIR + "  int z = 0;\n  y.load(mo::acquire);\n"}),
    ("order", {QUEUE: HEAD + "  x.store(1, mo::release);  // [S1] release, pairs with [S2]\n"}),
    ("order", {QUEUE: HEAD + PAIR.replace("  return x.load(mo::acquire);", "\n  return x.load(mo::acquire);")}),
    ("order", {QUEUE: HEAD + "  // [S1] release, pairs with [S2]: x\n  x.exchange(1, mo::acq_rel);\n"
                             "  y.load(mo::acquire);  // [S2] acquire, pairs with [S1]: x\n"}),
    ("partner", {QUEUE: HEAD + "  x.store(1, mo::release);  // [S1] release, pairs with [S9]: publishes y\n"}),
    ("partner", {QUEUE: HEAD + PAIR.replace("[S2] acquire", "[S2] release").replace("mo::acquire", "mo::release")}),
    (None, {QUEUE: HEAD + PAIR.split("\n")[0], "src/queue/part.cpp": HEAD + "\n".join(PAIR.split("\n")[1:])}),
    (None, {QUEUE: HEAD + "  // [S1] acq_rel (acquire on failure), pairs with [S1]: both ways,\n  // over two lines\n"
                          "  x.compare_exchange_weak(a, b, mo::acq_rel,\n                          mo::acquire);\n"}),
    (None, {QUEUE: HEAD + "  // [S1] seq_cst, pairs with\n  // [S2]: store buffering\n  fence(mo::seq_cst);\n"
                          "  fence(mo::seq_cst);  // [S2] seq_cst, pairs with [S1]: the other side\n"}),
    (None, {QUEUE: HEAD + "  // [S1] acquire, pairs with [S2]: the place; release, pairs with [S3]: ours\n"
                          "  x.exchange(1, mo::acq_rel);\n  x.store(0, mo::release);  // [S2] release, pairs with [S1]: empty\n",
            "src/queue/part_engine.cpp": HEAD + "  x.load(mo::acquire);  // [S3] acquire, pairs with [S1]: sees it\n"}),
    ("partner", {QUEUE: HEAD + "  // [S1] release, pairs with [S3]: ours\n  x.store(1, mo::release);\n",
                 "src/queue/other.cpp": HEAD + "  x.load(mo::acquire);  // [S3] acquire, pairs with [S1]: sees it\n"}),
    (None, {QUEUE: HEAD + "  // [S1] seq_cst, pairs with itself: of two threads one sees both\n  fence(mo::seq_cst);\n"}),
    ("partner", {QUEUE: HEAD + "  x.store(1, mo::release);  // [S1] release, pairs with itself: no\n"}),
    ("label", {QUEUE: HEAD + PAIR + PAIR}),
    ("relaxed", {QUEUE: HEAD + "  x.load(mo::relaxed);\n"}),
    ("relaxed", {QUEUE: HEAD + "  x.load(mo::relaxed);  // fast\n"}),
    (None, {QUEUE: HEAD + "  x.load(mo::relaxed);  // counter:\n"}),
    (None, {QUEUE: HEAD + "  x.load(mo::relaxed);  // hint: a stale value costs one retry\n"}),
    (None, {QUEUE: HEAD + "  // own: this thread alone writes it\n  x.store(x.load(mo::relaxed) + 1,\n"
                          "          mo::relaxed);\n"}),
    ("banned", {QUEUE: HEAD + "std::atomic<int> a;\n"}),
    ("banned", {QUEUE: HEAD + "#include <atomic>\n"}),
    ("banned", {QUEUE: HEAD + "x.load(std::memory_order_relaxed);\n"}),
    ("banned", {QUEUE: HEAD + "#include <mutex>\n"}),
    ("banned", {QUEUE: HEAD + "std::shared_mutex m;\n"}),
    ("banned", {QUEUE: HEAD + "std::condition_variable c;\n"}),
    ("banned", {QUEUE: HEAD + "pthread_mutex_lock(&m);\n"}),
    ("banned", {QUEUE: HEAD + "std::function<void()> f;\n"}),
    ("banned", {QUEUE: HEAD + "std::shared_ptr<int> p;\n"}),
    (None, {"include/holdfast/interop/part.hpp": HEAD + "std::shared_ptr<int> p;\n"}),
    ("banned", {QUEUE: HEAD + "#include <iostream>\n"}),
    ("banned", {QUEUE: HEAD + "#include <regex>\n"}),
    ("banned", {QUEUE: HEAD + "dynamic_cast<A*>(b);\n"}),
    ("banned", {QUEUE: HEAD + "volatile int x;\n"}),
    ("banned", {QUEUE: HEAD + "static thread_local int x;\n"}),
    ("banned", {QUEUE: HEAD + "using namespace std;\n"}),
    (None, {QUEUE: HEAD + "using namespace std::chrono_literals;\n"}),
    ("banned", {QUEUE: HEAD + "assert(x);\n"}),
    ("banned", {QUEUE: HEAD + "std::mt19937 g;\n"}),
    (None, {QUEUE: HEAD + 'static_assert(x); asm volatile("pause"); catch_errors(f); operand(1); int n = 1\'000;\n'}),
    (None, {SEAM: HEAD + "#include <atomic>\nstd::atomic<int> a; x.load(std::memory_order_acquire);\n"}),
    ("exceptions", {QUEUE: HEAD + "throw 1;\n"}),
    ("exceptions", {QUEUE: HEAD + "try {\n"}),
    ("exceptions", {QUEUE: HEAD + "} catch (...) {\n"}),
    (None, {"include/holdfast/interop/part.hpp": HEAD + "throw 1;\n"}),
    ("macro", {QUEUE: HEAD + "#define HOLDFAST_QUEUE 1\n"}),
    (None, {QUEUE: HEAD + "#define HOLDFAST_ASSERT(x) x\n#define LOCAL 1\n#undef LOCAL\n"}),
    ("test", {"include/holdfast/queue/lonely.hpp": HEAD}),
    ("test", {"include/holdfast/queue/lonely.hpp": HEAD.replace("thing.", "thing. Proof: unit/gone_test.cpp.")}),
    (None, {"include/holdfast/queue/lonely.hpp": HEAD.replace("thing.", "thing. Proof: tests/unit/part_test.cpp."),
            "tests/unit/part_test.cpp": HEAD}),
    ("listed", {"tests/meson.build": "'unit/part_test.cpp'", "tests/unit/other_test.cpp": HEAD}),
    ("listed", {"src/meson.build": "", "src/core/part.cpp": HEAD}),
    (None, {"src/meson.build": "'core/part.cpp'", "src/core/part.cpp": HEAD}),
    ("public", {"tests/unit/part_test.cpp": HEAD + '#include "../src/core/x.hpp"\n'}),
    ("width", {QUEUE: HEAD + "// " + "x" * 132 + "\n"}),
]


def self_test():
    wrong, fired = [], set()
    for number, (rule, files) in enumerate(SNIPPETS):
        files = dict(files)
        if QUEUE in files:
            files.setdefault("tests/unit/part_test.cpp", HEAD)
        for path in list(files):
            if path.startswith("include/") and path not in ("include/holdfast/queue/lonely.hpp", SEAM) \
                    and path[len("include/holdfast/"):] not in NO_UNIT_TEST:
                files.setdefault(f"tests/unit/{Path(path).stem}_test.cpp", HEAD)
        got = {found[2] for found in check_tree(sorted(files), lambda p: files[p])}
        expected = {rule} if rule else set()
        fired |= expected
        if got != expected:
            wrong.append(f"snippet {number} {sorted(files)}: expected {sorted(expected)}, got {sorted(got)}")
    for rule in sorted(set(RULES) - fired):
        wrong.append(f"rule {rule} has no bad snippet")
    return wrong


def tracked_files():
    """What git knows, so that build folders do not count; outside of git, everything but them."""
    try:
        out = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"], check=True,
                             capture_output=True, timeout=20).stdout.decode()
        paths = [p for p in out.split("\0") if p]
    except (OSError, subprocess.SubprocessError):
        paths = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file()]
    mine = re.compile(r"^(?:include|src|tests|bench|tools|\.ci)/")
    kind = re.compile(r"\.(?:hpp|cpp|py|sh)$|(?:^|/)meson\.build$|^(?:tools|\.ci)/[\w-]+$")
    return sorted(p for p in paths if mine.match(p) and kind.search(p) and (ROOT / p).is_file())


def main():
    if "--rules" in sys.argv:
        for rule, text in RULES.items():
            print(f"{rule:<11} {text}")
        return 0
    wrong = self_test()
    for line in wrong:
        print(f"tidy.py is wrong about itself: {line}")
    if wrong or "--self-test" in sys.argv:
        print(f"tidy: {len(SNIPPETS)} snippets, {len(wrong)} wrong")
        return 1 if wrong else 0
    paths = tracked_files()
    found = check_tree(paths, lambda p: (ROOT / p).read_text(encoding="utf-8"))
    for path, line, rule, what in sorted(found):
        print(f"{path}:{line}: {rule}: {what}")
    print(f"tidy: {len(paths)} files, {len(RULES)} rules, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
