# SPDX-License-Identifier: MIT
"""Turns Google Benchmark's JSON into rows, and rows into report.html, report.md and results.json.

Pure functions: what they need comes in as arguments, so that tests/tools/bench_test.py can judge them.
"""

import bisect
import html
import json
import re
import statistics

# A sample whose threads got less of the cores than this was disturbed by other processes.
LEAST_CPU_SHARE = 0.92
# Two round trips over one line that differ by more than this are not the same pair of cores.
REGIME_WIDTH = 1.4
MOST_DRIFT = 1.5
# Below so many samples a row is marked.
FEW = 5

_SUFFIX = re.compile(r"^(threads|repeats|iterations|min_time|min_warmup_time|real_time|process_time|manual_time)(:|$)")
_TO_NS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


def role_of(contender):
    """ours, floor or peer, by the naming rule of support/bench.hpp."""
    if contender == "holdfast" or contender.startswith("holdfast_"):
        return "ours"
    return "floor" if contender.startswith("floor_") else "peer"


def cores_of(document):
    """How many cores the benchmark's threads had to share, or None where that is not said."""
    context = document.get("context", {})
    pinned = context.get("pinned_cores", "")
    if re.fullmatch(r"\d+(,\d+)*", pinned):
        return pinned.count(",") + 1
    return context.get("num_cpus")


def samples_of(document):
    """Every repetition in one JSON document of Google Benchmark, as a list of samples."""
    samples = []
    cores = cores_of(document)
    for run in document.get("benchmarks", []):
        if run.get("run_type", "iteration") != "iteration" or run.get("error_occurred"):
            continue
        parts = run["name"].split("/")
        manual = "manual_time" in parts
        parts = [part for part in parts if not _SUFFIX.match(part)]
        if len(parts) != 3:
            raise ValueError(f"benchmark name '{run['name']}' is not <suite>/<case>/<contender>")
        threads = run.get("threads", 1)
        scale = _TO_NS[run.get("time_unit", "ns")]
        # Google Benchmark counts the iterations of all threads; we tell the time of one iteration in one thread.
        wall = run["real_time"] * scale * threads
        # Of what there was to get: eight threads on two cores get a quarter of their time each at best.
        most = min(1.0, cores / threads) if cores else 1.0
        share = None if manual or wall <= 0 else run["cpu_time"] * scale / wall / most
        common = {
            "program": parts[0], "case": parts[1], "contender": parts[2], "threads": threads, "cpu_share": share,
            "regime_ns": run.get("regime_ns"), "drift": run.get("regime_drift", 1.0),
        }
        if "items_per_second" in run:
            samples.append(dict(common, measure="", unit="items/s", value=run["items_per_second"]))
        else:
            samples.append(dict(common, measure="", unit="ns", value=wall))
        for key, value in run.items():
            if key.endswith("_ns") and key != "regime_ns":
                samples.append(dict(common, measure=key[:-3], unit="ns", value=value))
    return samples


def errors_of(document):
    """What the benchmarks themselves found wrong."""
    return [f"{run['name']}: {run.get('error_message', 'failed')}"
            for run in document.get("benchmarks", []) if run.get("error_occurred")]


def regimes_of(samples):
    """The kinds of core pairs that were seen, most frequent first: [(centre in ns, how many samples)]."""
    values = sorted(s["regime_ns"] for s in samples
                    if s["regime_ns"] and s["drift"] <= MOST_DRIFT and s["measure"] == "")
    found = []
    while values:
        def span(centre, sorted_values=values):
            return (bisect.bisect_left(sorted_values, centre / REGIME_WIDTH),
                    bisect.bisect_right(sorted_values, centre * REGIME_WIDTH))
        first, last = max((span(value) for value in values), key=lambda limits: limits[1] - limits[0])
        found.append((statistics.median(values[first:last]), last - first))
        values = values[:first] + values[last:]
    return sorted(found, key=lambda regime: -regime[1])


def in_regime(sample, centre):
    if sample["regime_ns"] is None or centre is None:
        return True
    return sample["drift"] <= MOST_DRIFT and centre / REGIME_WIDTH <= sample["regime_ns"] <= centre * REGIME_WIDTH


def undisturbed(samples):
    """Without the samples that other processes disturbed; all of them if the contender itself sleeps."""
    known = [s for s in samples if s["cpu_share"] is not None]
    full = [s for s in known if s["cpu_share"] >= LEAST_CPU_SHARE]
    if not known or len(full) * 4 < len(known):
        return samples
    return full


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def better(mine, theirs, unit):
    """How many times better `mine` is than `theirs`: more than 1 is better, whatever the unit."""
    if mine <= 0 or theirs <= 0:
        return None
    return mine / theirs if unit.endswith("/s") else theirs / mine


def rows_of(samples, centre=None):
    """One row per program, case, measure and contender, with the ratio to the case's best peer."""
    groups = {}
    for sample in samples:
        key = (sample["program"], sample["case"], sample["measure"], sample["contender"])
        groups.setdefault(key, []).append(sample)
    rows = []
    for (program, case, measure, contender), group in groups.items():
        kept = undisturbed([s for s in group if in_regime(s, centre)])
        if not kept:
            continue
        values = [s["value"] for s in kept]
        low, high = quartiles(values)
        rows.append({
            "suite": program, "case": case, "measure": measure, "contender": contender, "role": role_of(contender),
            "median": statistics.median(values), "q1": low, "q3": high, "min": min(values), "max": max(values),
            "unit": kept[0]["unit"], "threads": kept[0]["threads"], "samples": len(values), "of": len(group),
            "ratio_to_best_peer": None, "best_peer": None, "values": values,
        })
    for row in rows:
        peers = [r for r in rows if r["role"] == "peer" and case_key(r) == case_key(row)]
        if peers:
            best = max(peers, key=lambda peer: better(peer["median"], peers[0]["median"], peer["unit"]) or 0)
            row["best_peer"] = best["contender"]
            row["ratio_to_best_peer"] = better(row["median"], best["median"], row["unit"])
    order = {"ours": 0, "peer": 1, "floor": 2}
    rows.sort(key=lambda r: (case_key(r), order[r["role"]], -(r["ratio_to_best_peer"] or 0), r["contender"]))
    return rows


def case_key(row):
    return (row["suite"], row["case"], row["measure"])


def judge(goals, rows):
    """Each goal with what was measured: ratio, and met, missed or not measured."""
    judged = []
    for goal in goals:
        mine = _find(rows, goal, goal.get("contender", "holdfast"))
        theirs = _find(rows, goal, goal["versus"])
        ratio = better(mine["median"], theirs["median"], mine["unit"]) if mine and theirs else None
        verdict = "not measured" if ratio is None else "met" if ratio >= goal["at_least"] else "missed"
        samples = min(mine["samples"], theirs["samples"]) if ratio is not None else 0
        judged.append(dict(goal, contender=goal.get("contender", "holdfast"), measure=goal.get("measure", ""),
                           ratio=ratio, verdict=verdict, samples=samples,
                           weak=f" (only {samples} samples kept)" if 0 < samples < FEW else ""))
    return judged


def _find(rows, goal, contender):
    for row in rows:
        if case_key(row) == (goal["suite"], goal["case"], goal.get("measure", "")) and row["contender"] == contender:
            return row
    return None


# ---- words


def significant(value, digits=3):
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    if "e" in text:
        text = f"{float(text):.0f}"
    return text


def scale_of(unit, largest):
    """Divisor and spelling in which the figures of one case are short."""
    if unit == "items/s":
        steps = ((1e9, "G items/s"), (1e6, "M items/s"), (1e3, "k items/s"))
    else:
        steps = ((1e9, "s"), (1e6, "ms"), (1e3, "us"))
    for size, name in steps:
        if largest >= size:
            return size, name
    return 1.0, unit


def ratio_text(ratio):
    if ratio is None:
        return "–"
    return f"{ratio:.0f}x" if ratio >= 100 else f"{ratio:.1f}x" if ratio >= 10 else f"{ratio:.2f}x"


def title_of(row_or_case, measure=None):
    case, measure = (row_or_case["case"], row_or_case["measure"]) if measure is None else (row_or_case, measure)
    return f"{case}, {measure.replace('_', ' ')}" if measure else case


def goal_title(goal):
    """The case of a goal, and by which of our forms where it is not by the one that all cases have."""
    return title_of(goal) + ("" if goal["contender"] == "holdfast" else f" ({goal['contender']})")


def first_line(machine):
    return (f"holdfast {machine['commit']} | {machine['compiler']} {machine['flags']} | {machine['cpu']} | "
            f"governor {machine['governor']} | pinned cores {machine['pinned_cores']}")


def title_in(suite, row):
    """With the program where the suite has more than one, as cases of one name may be in several."""
    return f"{row['suite']}: {title_of(row)}" if len(suite["programs"]) > 1 else title_of(row)


def cases_of(rows, suite=None):
    """Rows by case: in the order of bench/suites.json, program by program, then in the order in which they come."""
    cases = {}
    for row in rows:
        cases.setdefault(case_key(row), []).append(row)
    suite = suite or {}
    programs = {program: number for number, program in enumerate(suite.get("programs", []))}
    place = {case: number for number, case in enumerate(suite.get("cases", {}))}
    return dict(sorted(cases.items(), key=lambda item: (programs.get(item[0][0], len(programs)),
                                                        place.get(item[0][1], len(place)))))


METHOD = [
    "All contenders of a suite run in one process, each repetition in random order (Google Benchmark's random "
    "interleaving), so what else the machine does meets all of them alike. A figure is the median over repetitions; the "
    "spread is the interquartile range.",
    "The ratio is oriented so that more than 1 is better for the row's own contender: ours divided by the best peer for "
    "throughput, the best peer divided by ours for time. Rows called floor_… are limits of the machine or the method "
    "and are never the best peer. A goal is a ratio to one named contender of the same run.",
    "Time is wall time of one iteration in one thread. Threads are pinned where the row says so. Results are checked "
    "in every sample; a wrong one fails the run.",
    f"Samples in which threads got less than {LEAST_CPU_SHARE:.0%} of their cores are left out (unless the contender "
    "itself sleeps, so that it never gets them). Two-thread samples are bracketed by a round trip over one cache line: "
    f"only those within a factor {REGIME_WIDTH} of the most frequent round trip count, because virtual cores move "
    "between sharing a core, sharing a cache and sharing nothing. Column n: samples kept of samples taken.",
]
LIMITS = [
    "One machine, and the compiler above; another processor can order contenders differently. Streams of one value at a "
    "time have more than one stable rhythm (the reader close behind the writer, or far): look at the spread before at the "
    "median.",
    "Nanosecond figures of single calls are throughput of a tight loop with everything in the nearest cache.",
    "On a virtual machine the frequency governor and the neighbours are out of reach.",
]


def regime_sentence(regimes):
    if not regimes:
        return ""
    text = (f"Round trip over one line between the two cores in the samples shown: {significant(regimes[0][0])} ns "
            f"({regimes[0][1]} samples).")
    if len(regimes) > 1:
        others = ", ".join(f"{significant(centre)} ns ({count})" for centre, count in regimes[1:])
        text += f" Also seen and left out: {others}."
    return text


def warnings_of(rows):
    return [f"{row['suite']}/{title_of(row)}/{row['contender']}: only {row['samples']} of {row['of']} samples kept"
            for row in rows if row["samples"] < FEW]


# ---- report.md


def markdown(machine, suites, rows, judged, regimes, errors, command):
    out = [first_line(machine), "", "# holdfast benchmarks", "", f"`{command}`, {machine['date']}", ""]
    if errors:
        out += ["**Failed:**", ""] + [f"- {error}" for error in errors] + [""]
    if judged:
        out += ["## Goals", "", "| suite | case | against | goal | measured | |", "|---|---|---|---:|---:|---|"]
        for goal in judged:
            out.append(f"| {goal['suite']} | {goal_title(goal)} | {goal['versus']} | {goal['at_least']}x | "
                       f"{ratio_text(goal['ratio'])} | {goal['verdict']}{goal['weak']} |")
        out.append("")
    for name, suite in suites.items():
        mine = [row for row in rows if row["suite"] in suite["programs"]]
        if not mine:
            continue
        out += [f"## {suite['title']}", "", suite.get("about", ""), ""]
        for program in suite["programs"]:
            sentence = regime_sentence(regimes.get(program, []))
            if sentence:
                out += [sentence, ""]
        out += ["| case | contender | median | spread (IQR) | unit | ratio to best peer | n |",
                "|---|---|---:|---:|---|---:|---:|"]
        for group in cases_of(mine, suite).values():
            size, unit = scale_of(group[0]["unit"], max(row["median"] for row in group))
            for row in group:
                kind = {"ours": "**{}**", "peer": "{} (peer)", "floor": "{} (floor)"}[row["role"]]
                out.append(f"| {title_in(suite, row)} | {kind.format(row['contender'])} | {significant(row['median'] / size)} | "
                           f"{significant(row['q1'] / size)} – {significant(row['q3'] / size)} | {unit} | "
                           f"{ratio_text(row['ratio_to_best_peer'])} | {row['samples']}/{row['of']} |")
        out.append("")
    out += ["## Method", ""] + bullets(METHOD) + ["## Limits", ""] + bullets(LIMITS)
    few = warnings_of(rows)
    if few:
        out += ["Rows with few samples: " + "; ".join(few) + ".", ""]
    return "\n".join(out)


def bullets(lines):
    return [f"- {line}" for line in lines] + [""]


# ---- report.html

_STYLE = """
:root{--bg:#ffffff;--ink:#1b2430;--soft:#5a6675;--line:#dde3ea;--card:#f7f9fb;--ours:#0a7d5a;--peer:#8b99ab;--floor:#c2a14d;
--good:#0a7d5a;--bad:#b3401f;--track:#e9eef3}
@media (prefers-color-scheme:dark){:root{--bg:#12171d;--ink:#e6ebf1;--soft:#9aa7b5;--line:#2b3540;--card:#19212a;--ours:#35c48f;
--peer:#66778a;--floor:#b8973f;--good:#46d19c;--bad:#ff8a66;--track:#222c36}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:20px 24px 60px}
.first{font:12.5px/1.5 ui-monospace,SFMono-Regular,"DejaVu Sans Mono",monospace;color:var(--soft);border-bottom:1px solid var(--line);
padding-bottom:10px;overflow-wrap:anywhere}
h1{font-size:28px;margin:22px 0 4px}h2{font-size:21px;margin:40px 0 6px}h3{font-size:15.5px;margin:0;overflow-wrap:anywhere}
p{margin:6px 0 12px}.soft{color:var(--soft)}code{font:12.5px ui-monospace,"DejaVu Sans Mono",monospace}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(480px,1fr));gap:16px;margin:16px 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:14px 16px 10px;min-width:0}
.card p{margin:1px 0 8px;font-size:13.5px;color:var(--soft);min-height:1.5em}
svg{display:block;width:100%;height:auto}svg text{fill:var(--ink);font-size:13px}svg .soft{fill:var(--soft)}
.ours{fill:var(--ours)}.peer{fill:var(--peer)}.floor{fill:none;stroke:var(--floor);stroke-width:1.5;stroke-dasharray:4 3}
.track{fill:var(--track)}.whisker{stroke:var(--ink);stroke-width:1.3;opacity:.75}
table{border-collapse:collapse;width:100%;font-size:13.5px;margin:10px 0}
th,td{padding:5px 9px;border-bottom:1px solid var(--line);text-align:right;font-variant-numeric:tabular-nums}
th{color:var(--soft);font-weight:600}th.t,td.t{text-align:left}tr.mine td{font-weight:600}
td.met{color:var(--good);font-weight:600}td.missed{color:var(--bad);font-weight:600}td.unknown{color:var(--soft)}
.key{display:flex;gap:20px;flex-wrap:wrap;font-size:13.5px;color:var(--soft);margin:10px 0}
.key svg{width:16px;height:12px;display:inline-block;vertical-align:-1px;margin-right:6px}
.wide{overflow-x:auto}.failed{border:1px solid var(--bad);border-radius:8px;padding:8px 14px;color:var(--bad)}
summary{cursor:pointer;color:var(--soft);margin-top:8px}ul{padding-left:20px}li{margin:4px 0}
@media (max-width:560px){.cards{grid-template-columns:1fr}main{padding:14px}}
"""


def bars(group):
    """One bar a contender, the interquartile range as a whisker; figures are written out beside the bars."""
    size, unit = scale_of(group[0]["unit"], max(row["median"] for row in group))
    label, width, right, height = 140, 230, 190, 28
    top = max(max(row["q3"], row["median"]) for row in group)
    total = len(group) * height + 4
    out = [f'<svg viewBox="0 0 {label + width + right} {total}" role="img" aria-label="{html.escape(title_of(group[0]))}">']
    for index, row in enumerate(group):
        y = index * height + 4
        middle = y + 10
        length = max(2.0, row["median"] / top * width)
        spread = (f"{significant(row['q1'] / size)} to {significant(row['q3'] / size)} {unit}, "
                  f"{row['samples']} of {row['of']} samples")
        weight = ' font-weight="600"' if row["role"] == "ours" else ""
        out.append(f"<g><title>{html.escape(row['contender'])}: {spread}</title>")
        out.append(f'<text x="{label - 10}" y="{middle + 5}" text-anchor="end"{weight}>{html.escape(row["contender"])}</text>')
        out.append(f'<rect class="track" x="{label}" y="{y}" width="{width}" height="20" rx="3"/>')
        out.append(f'<rect class="{row["role"]}" x="{label}" y="{y}" width="{length:.1f}" height="20" rx="3"/>')
        low, high = (label + row[q] / top * width for q in ("q1", "q3"))
        if high - low >= 1.5:
            out.append(f'<path class="whisker" fill="none" d="M{low:.1f} {middle - 4}v8M{low:.1f} {middle}H{high:.1f}'
                       f'M{high:.1f} {middle - 4}v8"/>')
        out.append(f'<text x="{label + width + 8}" y="{middle + 5}"{weight}>{significant(row["median"] / size)}'
                   f'<tspan class="soft" font-weight="400"> {unit if index == 0 else ""}</tspan></text>')
        if row["role"] != "floor" and row["ratio_to_best_peer"] is not None:
            out.append(f'<text class="soft" x="{label + width + right}" y="{middle + 5}" text-anchor="end"{weight}>'
                       f'{ratio_text(row["ratio_to_best_peer"])}</text>')
        out.append("</g>")
    out.append("</svg>")
    return "".join(out)


def page(machine, suites, rows, judged, regimes, others, errors, command):
    e = html.escape
    out = ["<!doctype html><html lang=en><head><meta charset=utf-8>",
           '<meta name=viewport content="width=device-width,initial-scale=1"><meta name=color-scheme content="light dark">',
           f"<title>holdfast benchmarks, {e(machine['commit'])}</title><style>{_STYLE}</style></head><body><main>",
           f"<div class=first>{e(first_line(machine))}</div>",
           f"<h1>holdfast benchmarks</h1><p class=soft><code>{e(command)}</code>, {e(machine['date'])}"
           f"{', ' + e(machine['note']) if machine.get('note') else ''}</p>"]
    if errors:
        out.append("<div class=failed><b>This run failed; its figures prove nothing.</b><ul>"
                   + "".join(f"<li>{e(error)}</li>" for error in errors) + "</ul></div>")
    if judged:
        met = sum(1 for goal in judged if goal["verdict"] == "met")
        known = sum(1 for goal in judged if goal["verdict"] != "not measured")
        out.append(f"<h2>Goals: {met} of {known} measured ones met</h2><div class=wide><table><tr><th class=t>suite<th class=t>case"
                   "<th class=t>against<th>goal<th>measured<th class=t></tr>")
        for goal in judged:
            kind = {"met": "met", "missed": "missed"}.get(goal["verdict"], "unknown")
            sign = {"met": "✓ met", "missed": "✗ missed"}.get(goal["verdict"], "not measured")
            out.append(f"<tr><td class=t>{e(goal['suite'])}<td class=t>{e(goal_title(goal))}<td class=t>{e(goal['versus'])}"
                       f"<td>≥ {goal['at_least']}x<td>{ratio_text(goal['ratio'])}<td class='t {kind}'>{sign}{goal['weak']}</tr>")
        out.append("</table></div>")
    key = "".join(f'<span><svg viewBox="0 0 16 12"><rect class="{role}" x="1" y="1" width="14" height="10" rx="2"/></svg>{text}</span>'
                  for role, text in (("ours", "holdfast"), ("peer", "peer library"), ("floor", "limit of the machine")))
    out.append(f'<div class=key>{key}<span>├─┤ middle half of the samples</span><span>1.00x = the best peer; more is '
               'better</span></div>')
    for _, suite in suites.items():
        mine = [row for row in rows if row["suite"] in suite["programs"]]
        if not mine:
            continue
        out.append(f"<h2>{e(suite['title'])}</h2><p>{e(suite.get('about', ''))}</p>")
        for program in suite["programs"]:
            sentence = regime_sentence(regimes.get(program, []))
            if sentence:
                out.append(f"<p class=soft>{e(sentence)}</p>")
        out.append("<div class=cards>")
        for (_, case, _), group in cases_of(mine, suite).items():
            about = suite.get("cases", {}).get(case, "")
            direction = "longer is better" if group[0]["unit"].endswith("/s") else "shorter is better"
            out.append(f"<section class=card><h3>{e(title_in(suite, group[0]))}</h3>"
                       f"<p>{e(about)}{': ' if about else ''}{direction}</p>{bars(group)}</section>")
        out.append("</div>" + _table(mine, suite))
        far = [row for row in others if row["suite"] in suite["programs"]]
        if far:
            out.append("<details><summary>The same rows in the samples that were left out because the cores were placed "
                       "otherwise</summary>" + _table(far, suite, regime=True) + "</details>")
    out.append("<h2>Method</h2><ul>" + "".join(f"<li>{e(line)}</li>" for line in METHOD) + "</ul>")
    out.append("<h2>Limits</h2><ul>" + "".join(f"<li>{e(line)}</li>" for line in LIMITS))
    few = warnings_of(rows)
    if few:
        out.append("<li>Rows with few samples: " + e("; ".join(few)) + ".</li>")
    out.append("</ul></main></body></html>\n")
    return "".join(out)


def _table(rows, suite, regime=False):
    e = html.escape
    out = ["<div class=wide><table><tr><th class=t>case<th class=t>contender<th class=t>" + ("round trip" if regime else "")
           + "<th>median<th>spread (IQR)<th class=t>unit<th>ratio to best peer<th>n</tr>"]
    for group in cases_of(rows, suite).values():
        size, unit = scale_of(group[0]["unit"], max(row["median"] for row in group))
        for row in group:
            kind = {"ours": "", "peer": "peer", "floor": "floor"}[row["role"]]
            if regime:
                kind = f"{significant(row['regime_ns'])} ns"
            out.append(f"<tr{' class=mine' if row['role'] == 'ours' else ''}><td class=t>{e(title_in(suite, row))}"
                       f"<td class=t>{e(row['contender'])}<td class='t soft'>{kind}<td>{significant(row['median'] / size)}"
                       f"<td>{significant(row['q1'] / size)} – {significant(row['q3'] / size)}<td class=t>{unit}"
                       f"<td>{ratio_text(row['ratio_to_best_peer'])}<td>{row['samples']}/{row['of']}</tr>")
    return "".join(out) + "</table></div>"


def build(documents, machine, suites, goals, command, errors=()):
    """Everything at once: (report.html, report.md, results.json) as texts, and whether all is well."""
    errors = list(errors)
    rows, others, regimes = [], [], {}
    by_program = {}
    for document in documents:
        errors += errors_of(document)
        for sample in samples_of(document):
            by_program.setdefault(sample["program"], []).append(sample)
    for program, samples in by_program.items():
        regimes[program] = regimes_of(samples)
        centres = [centre for centre, _ in regimes[program]]
        rows += rows_of(samples, centres[0] if centres else None)
        for centre in centres[1:]:
            far = rows_of([s for s in samples if s["regime_ns"] is not None and in_regime(s, centre)], centre)
            others += [dict(row, regime_ns=centre) for row in far if row["samples"] >= 2]
    others.sort(key=lambda row: (case_key(row), row["regime_ns"]))
    judged = judge([goal for goal in goals if goal["suite"] in by_program], rows)
    results = {"machine": machine, "command": command, "errors": errors, "goals": judged, "rows": rows,
               "other_regimes": others,
               "regimes": {program: [{"round_trip_ns": c, "samples": n} for c, n in found]
                           for program, found in regimes.items()}}
    return (page(machine, suites, rows, judged, regimes, others, errors, command),
            markdown(machine, suites, rows, judged, regimes, errors, command),
            json.dumps(results, indent=1) + "\n", not errors)
