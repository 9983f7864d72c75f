#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Pipelines that must not compile, each for the reason that it must give, and some beside them that do.

    pipeline_orders.py INCLUDE_DIR COMPILER...
"""
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = """#include "holdfast/exec/pipeline.hpp"
using namespace holdfast;
using namespace std::chrono_literals;
outcome<int> answer(const error&, const call_context&);
outcome<int> ask(const attempt&);
void compose(rate_limiter& door, rate_limiter& pace, bulkhead& room, circuit_breaker& judge, retry_budget& budget,
             latency_sketch& usual) {{
{pipelines}}}
"""
FALLBACK = 'with::fallback(with::tier("y", answer))'
RETRY = "with::retry({}, budget, with::idempotent)"
HEDGE = "with::hedge({}, budget, with::idempotent)"
HEDGES = "with::hedge<2>({.max_hedges = 2}, usual, budget, with::idempotent_with_key)"
DEADLINE, RATE, ROOM, BREAKER = "with::deadline(1s)", "with::rate(door)", "with::bulkhead(room)", "with::breaker(judge)"
TIMEOUT, WHOLE, PACE = "with::attempt_timeout(1s)", "with::breaker(judge, with::whole_call)", "with::rate(pace)"

GOOD = [
    [FALLBACK, DEADLINE, RATE, ROOM, RETRY, BREAKER, PACE, TIMEOUT],
    [ROOM, WHOLE, RETRY, PACE, TIMEOUT],
    [DEADLINE, RETRY, ROOM, BREAKER, PACE],
    ["with::retry({.max_attempts = 3}, with::no_budget)"],
    [FALLBACK, DEADLINE, RATE, HEDGE, ROOM, BREAKER, PACE, TIMEOUT],
    [HEDGES, BREAKER, PACE],
]
# Layers, and a part of what the compiler says.
BAD = [
    ([RETRY, RETRY], "a layer stands twice"),
    ([DEADLINE, FALLBACK], "with::fallback comes first"),
    ([RETRY, DEADLINE], "with::deadline comes before all but"),
    ([ROOM, RATE, RETRY], "with::rate comes before with::bulkhead"),
    ([RETRY, PACE, BREAKER], "with::rate comes after with::breaker"),
    ([RETRY, PACE, ROOM], "with::rate comes after with::bulkhead"),
    ([WHOLE, RATE, RETRY], "with::rate comes before with::breaker(judge, with::whole_call)"),
    ([BREAKER, RETRY], "with::breaker comes after with::retry"),
    ([RETRY, WHOLE], "with::whole_call comes before with::retry"),
    ([BREAKER, ROOM], "with::bulkhead comes before with::breaker"),
    ([TIMEOUT, RETRY], "with::attempt_timeout comes last"),
    # Whoever wants retries without a budget says so.
    (["with::retry({.max_attempts = 3})"], "with::retry"),
    ([HEDGE, HEDGE], "a layer stands twice"),
    ([RETRY, HEDGE], "with::hedge and with::retry are for pipelines of their own"),
    ([HEDGE, RETRY], "with::hedge and with::retry are for pipelines of their own"),
    ([ROOM, HEDGE], "with::bulkhead comes after with::hedge"),
    ([BREAKER, HEDGE], "with::breaker comes after with::hedge"),
    ([WHOLE, HEDGE], "with::hedge goes with a breaker that judges each attempt"),
    ([HEDGE, DEADLINE], "with::deadline comes before all but"),
    ([HEDGE, PACE, BREAKER], "with::rate comes after with::breaker"),
    ([HEDGE, TIMEOUT, BREAKER], "with::attempt_timeout comes last"),
    # What a hedge needs, and what it is not for.
    (["with::hedge({}, budget, with::unsafe)"], "with::hedge is not for unsafe operations"),
    (["with::hedge({}, usual, budget, with::unsafe)"], "with::hedge is not for unsafe operations"),
    (["with::hedge({}, budget)"], "with::hedge says with::idempotent"),
    (["with::hedge({}, with::no_budget, with::idempotent)"], "with::hedge has a budget"),
]
# A call of one that compiles by itself.
BAD_CALLS = [([HEDGE], "static_cast<void>({}({{}}, ask));", "a call that blocks its thread cannot be hedged")]


def main():
    include, compiler = sys.argv[1], sys.argv[2:]
    version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=False).stdout
    all_errors = ["-ferror-limit=0"] if "clang" in version else []

    def errors_of(pipelines, calls=()):
        lines = "".join(f'  [[maybe_unused]] const pipeline p{n}("x", {", ".join(layers)});\n'
                        for n, layers in enumerate(pipelines))
        lines += "".join(f'  const pipeline c{n}("x", {", ".join(layers)});\n  {call.format(f"c{n}")}\n'
                         for n, (layers, call, _) in enumerate(calls))
        with tempfile.TemporaryDirectory(prefix="holdfast-orders-") as folder:
            source = Path(folder, "pipelines.cpp")
            source.write_text(SOURCE.format(pipelines=lines))
            made = subprocess.run([*compiler, "-std=c++20", *all_errors, "-fsyntax-only", f"-I{include}", source], timeout=300,
                                  capture_output=True, text=True, check=False)
        return made.returncode, made.stderr

    wrong = []
    status, errors = errors_of(GOOD)
    if status != 0:
        wrong.append(f"pipelines that are right do not compile:\n{errors}")
    _, errors = errors_of([layers for layers, _ in BAD], BAD_CALLS)
    reasons = [line for line in errors.split("\n") if "error:" in line]
    for layers, reason in BAD:
        if not any(reason in line for line in reasons):
            wrong.append(f"[{', '.join(layers)}] is not refused with '{reason}'")
    for layers, call, reason in BAD_CALLS:
        if not any(reason in line for line in reasons):
            wrong.append(f"{call} of [{', '.join(layers)}] is not refused with '{reason}'")
    refused = sum("static assertion failed" in line or "static_assert failed" in line for line in reasons)
    expected = len(BAD) + len(BAD_CALLS) - 1
    if refused != expected:
        wrong.append(f"{refused} static assertions failed, not one for each of {expected} orders:\n{errors}")
    print("\n".join(wrong) or f"{len(GOOD)} pipelines compile, and {len(BAD)} do not, nor {len(BAD_CALLS)} call, each for its reason")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
