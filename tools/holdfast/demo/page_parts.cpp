// SPDX-License-Identifier: MIT
#include "demo/page_parts.hpp"

namespace holdfast::demo {

// The tiers' colours are those of Okabe and Ito (2008), which keep apart for colour-blind readers too.
const std::string_view page_style = R"css(
:root { color-scheme: light dark; --page: #fdfdfc; --ink: #1d2327; --soft: #5d6870; --rule: #e3e6e8; --shade: #d55e0014;
  --t0: #0072b2; --t1: #009e73; --t2: #e8b23a; --t3: #cc79a7; --t4: #9aa3a9; --t5: #56b4e9; --failed: #c8321e;
  --off: #c8321e; --good: #0a7a55; --bad: #c8321e; --fault: #b4532a; --idle: #cfe5dc; --half: #e8b23a; }
@media (prefers-color-scheme: dark) { :root { --page: #15191c; --ink: #e4e8ea; --soft: #98a3aa; --rule: #2c3338;
  --shade: #ff8a3d17; --t0: #3b9bdc; --t1: #2bbd90; --t2: #e0ae45; --t3: #d48fb6; --t4: #7d878e; --failed: #ef5f4b;
  --off: #ef5f4b; --good: #46c795; --bad: #ef5f4b; --fault: #c8683d; --idle: #23463a; --half: #e0ae45; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 20px 48px; max-width: 1040px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums; }
h1 { font-size: 25px; line-height: 1.25; margin: 0 0 6px; font-weight: 650; text-wrap: balance; }
h2 { font-size: 17px; margin: 34px 0 8px; font-weight: 650; }
p { margin: 6px 0; max-width: 76ch; }
.soft, caption { color: var(--soft); }
code { font: 13px/1.4 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(3, 1fr); gap: 12px; margin: 18px 0 6px; }
.card { border: 1px solid var(--rule); border-radius: 8px; padding: 12px 14px; }
.card h3 { margin: 0 0 6px; font-size: 13px; font-weight: 500; color: var(--soft); }
.card .figure { font-size: 25px; font-weight: 650; line-height: 1.2; }
.card .against { color: var(--soft); font-size: 13px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th:nth-child(1) { width: 35%; } th:nth-child(3) { width: 31%; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: 13px; }
th, td { padding: 5px 10px 5px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
td.mark { width: 74px; font-weight: 650; white-space: nowrap; }
.kept { color: var(--good); } .broken { color: var(--bad); } .unknown { color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13px; color: var(--soft); margin: 10px 0 0; }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 2px; margin-right: 6px; vertical-align: -1px; }
.legend i.stroke { height: 3px; vertical-align: 4px; width: 18px; } .legend i.thin { height: 1.5px; opacity: .75; }
.figure-box { position: relative; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-size: 12px; fill: var(--ink); } svg .title { font-size: 13.5px; font-weight: 600; }
svg .label { fill: var(--soft); font-size: 11.5px; } svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
svg .on-fault { fill: #fff; font-size: 11.5px; font-weight: 600; }
.grid { stroke: var(--rule); fill: none; } .axis { stroke: var(--soft); fill: none; stroke-width: .8; }
.shade { fill: var(--shade); } .fault { fill: var(--fault); rx: 3px; }
.area { stroke: none; } .t0 { fill: var(--t0); } .t1 { fill: var(--t1); } .t2 { fill: var(--t2); } .t3 { fill: var(--t3); }
.t4 { fill: var(--t4); } .t5 { fill: var(--t5); } .failed { fill: var(--failed); }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; } .curve.on { stroke: var(--t0); } .curve.off { stroke: var(--off); }
.curve.thin { stroke-width: 1.1; opacity: .75; } .curve.allowed { stroke: var(--t1); }
.retry { fill: var(--fault); } .breaker.closed { fill: var(--idle); } .breaker.open { fill: var(--failed); }
.breaker.half_open { fill: var(--half); } .breaker.forced_open { fill: var(--t3); }
.pointer { stroke: var(--soft); stroke-dasharray: 3 3; fill: none; display: none; }
#readout { position: fixed; right: 16px; bottom: 16px; display: none; background: var(--page); border: 1px solid var(--rule);
  border-radius: 8px; padding: 8px 12px; font-size: 13px; box-shadow: 0 4px 18px #0003; white-space: pre; }
@media (max-width: 700px) { .cards { grid-template-columns: 1fr; } }
@media print { #readout { display: none !important; } }
)css";

// What all charts say about the moment under the pointer.
const std::string_view page_script = R"js(
const report = JSON.parse(document.getElementById('data').textContent);
const charts = document.getElementById('charts'), pointer = document.getElementById('pointer');
const readout = document.getElementById('readout');
const [left, right, total] = charts.dataset.span.split(' ').map(Number);
const at = (run, ms) => run.samples.find(s => s.at_ms >= ms) || run.samples[run.samples.length - 1];
const rate = (n, s) => Math.round(1000 * n / s.span_ms);
function words(run, ms) {
  const s = at(run, ms);
  const tiers = Object.entries(s.tiers).filter(([, n]) => n > 0).map(([name, n]) => `${name} ${rate(n, s)}/s`);
  const failed = s.reads['5xx'] + s.reads.timeouts + s.reads.broken;
  if (failed > 0) tiers.push(`failed ${rate(failed, s)}/s`);
  return `policies ${run.policies}:  p50 ${s.p50_ms} ms  p99 ${s.p99_ms} ms\n  ${tiers.join('  ')}`;
}
charts.addEventListener('pointermove', e => {
  const box = charts.getBoundingClientRect();
  const x = (e.clientX - box.left) * 1000 / box.width;
  const inside = x >= left && x <= right;
  pointer.style.display = readout.style.display = inside ? 'block' : 'none';
  if (!inside) return;
  const ms = (x - left) / (right - left) * total;
  pointer.setAttribute('transform', `translate(${x} 0)`);
  readout.textContent = [`${(ms / 1000).toFixed(1)} s`, ...report.runs.map(r => words(r, ms))].join('\n');
});
charts.addEventListener('pointerleave', () => { pointer.style.display = readout.style.display = 'none'; });
)js";

}  // namespace holdfast::demo
