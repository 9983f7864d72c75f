// SPDX-License-Identifier: MIT
#include "demo/summary.hpp"

namespace holdfast::demo {
namespace {

constexpr std::size_t page_columns = 100;

std::string verdict_text(judgement j, painter with) {
  switch (j) {
    case judgement::kept: return with(paint::good, "PASS");
    case judgement::broken: return with(paint::bad, "FAIL");
    case judgement::unknown: break;
  }
  return with(paint::dim, "  - ");
}

// One line a promise: verdict, promise, figure. 4 + 2 + 49 + 2 + 43 columns.
std::string promise_line(const promise& p, painter with) {
  return verdict_text(p.verdict, with) + "  " + fitted(p.what, 49) + "  " + fitted(p.figure, page_columns - 57) + "\n";
}

std::string contrast_line(std::string_view name, const run_record& run, painter with) {
  const client_counts all = counts_in(run, whole_run);
  const client_counts outage = counts_in(run, during_faults(run));
  const std::uint64_t failed = all.reads.errors();
  const std::string text = fitted(name, 14) + grouped(failed) + " of " + grouped(all.reads.all()) + " reads failed; " +
                           "p99 in the outage " + text_of(outage.read_time.quantile(990)) +
                           "; writes refused or lost " + grouped(all.writes.errors());
  return with(failed == 0 ? paint::good : paint::bad, fitted(text, page_columns)) + "\n";
}

}  // namespace

std::string summary(const demonstration& d, painter with) {
  std::string out = "\n" + with(paint::strong, "What the service promised, and what was seen (policies on)") + "\n";
  std::size_t broken = 0;
  for (const promise& p : d.on_promises) {
    out += promise_line(p, with);
    if (p.verdict == judgement::broken) ++broken;
  }
  out += "\n" + contrast_line("policies on", d.on, with);
  if (d.has_off) out += contrast_line("policies off", d.off, with);
  out += "\n" +
         (broken == 0 ? with(paint::good, "All promises were kept.")
                      : with(paint::bad, std::to_string(broken) + " promises were broken.")) +
         " Report: " + d.options.out + "\n";
  return out;
}

}  // namespace holdfast::demo
