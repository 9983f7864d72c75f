// SPDX-License-Identifier: MIT
#include <array>
#include <cstdio>
#include <fstream>

#include "demo/charts.hpp"
#include "demo/page_parts.hpp"
#include "demo/report.hpp"
#include "demo/svg.hpp"

namespace holdfast::demo {
namespace {

std::string percent(const request_ends& e) {
  const double share = e.all() > 0 ? 100.0 * static_cast<double>(e.errors()) / static_cast<double>(e.all()) : 0;
  std::array<char, 32> out{};
  std::snprintf(out.data(), out.size(), share == 0 ? "0 %%" : share < 0.1 ? "%.3f %%" : "%.1f %%", share);
  return out.data();
}

std::string card(std::string_view title, const std::string& figure, const std::string& against) {
  return "<div class=\"card\"><h3>" + escaped(title) + "</h3><div class=\"figure\">" + escaped(figure) +
         "</div><div class=\"against\">" + escaped(against) + "</div></div>\n";
}

std::string cards(const demonstration& d) {
  const client_counts on = counts_in(d.on, whole_run);
  const client_counts on_outage = counts_in(d.on, during_faults(d.on));
  const client_counts on_before = counts_in(d.on, before_faults(d.on));
  const auto against = [&](const std::string& what) { return d.has_off ? "without policies " + what : std::string(); };
  const client_counts off = counts_in(d.off, whole_run);
  const client_counts off_outage = counts_in(d.off, during_faults(d.off));
  return "<div class=\"cards\">\n" +
         card("Reads that failed", grouped(on.reads.errors()) + " of " + grouped(on.reads.all()),
              against(grouped(off.reads.errors()) + " of " + grouped(off.reads.all()) + ", " + percent(off.reads))) +
         card("Reads that failed during the outage", percent(on_outage.reads), against(percent(off_outage.reads))) +
         card("p99 of reads, before and during the outage",
              text_of(on_before.read_time.quantile(990)) + " → " + text_of(on_outage.read_time.quantile(990)),
              against(text_of(off_outage.read_time.quantile(990)) + " during it")) +
         "</div>\n";
}

std::string_view mark_of(judgement j) {
  switch (j) {
    case judgement::kept: return "✓ kept";
    case judgement::broken: return "✗ broken";
    case judgement::unknown: break;
  }
  return "–";
}

std::string_view class_of(judgement j) {
  switch (j) {
    case judgement::kept: return "kept";
    case judgement::broken: return "broken";
    case judgement::unknown: break;
  }
  return "unknown";
}

// A figure may be broken over two lines, but not a number in it.
std::string figure_cell(const std::string& figure) {
  std::string out;
  for (std::size_t i = 0; i < figure.size(); ++i) {
    const auto digit = [&](std::size_t at) { return at < figure.size() && figure[at] >= '0' && figure[at] <= '9'; };
    const bool inside = figure[i] == ' ' && i > 0 && digit(i - 1) && digit(i + 1);
    out += inside ? std::string("&#160;") : escaped(std::string_view(figure).substr(i, 1));
  }
  return out;
}

std::string promise_table(const demonstration& d) {
  std::string out = "<table>\n<tr><th>Promise</th><th></th><th>Policies on</th>";
  out += d.has_off ? "<th>Policies off</th></tr>\n" : "</tr>\n";
  for (std::size_t i = 0; i < d.on_promises.size(); ++i) {
    const promise& p = d.on_promises[i];
    out += "<tr><td>" + escaped(p.what) + "</td><td class=\"mark " + std::string(class_of(p.verdict)) + "\">" +
           std::string(mark_of(p.verdict)) + "</td><td>" + figure_cell(p.figure) + "</td>";
    if (d.has_off) {
      const promise& q = d.off_promises[i];
      out += "<td class=\"" + std::string(q.verdict == judgement::broken ? "broken" : "soft") + "\">" +
             figure_cell(q.figure) + "</td>";
    }
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

std::string swatch(const std::string& style, std::string_view name, std::string_view kind = {}) {
  return "<span><i class=\"" + std::string(kind) + "\" style=\"background:var(--" + style + ")\"></i>" + escaped(name) +
         "</span>\n";
}

std::string legend(const demonstration& d) {
  std::string out = "<div class=\"legend\">\n";
  const std::array<std::string_view, 5> names{"primary database", "read replica", "cache (stale when it must be)",
                                              "CDN", "static default"};
  for (std::size_t t = 0; t < names.size(); ++t) out += swatch("t" + std::to_string(t), names[t]);
  out += swatch("failed", "failed");
  out += "</div><div class=\"legend\">" + swatch("t0", "policies on (thin: p50)", "stroke");
  if (d.has_off) out += swatch("off", "policies off (thin: p50)", "stroke");
  out += swatch("idle", "breaker closed") + swatch("half", "half-open") + swatch("failed", "open") +
         swatch("fault", "fault; retries") + swatch("t1", "retries still allowed", "stroke");
  return out + "</div>\n";
}

std::string what_was_done(const demonstration& d) {
  const demo_options& o = d.options;
  std::string out =
      "<h2>What was done</h2>\n<p>A <code>holdfast serve</code> with " +
      grouped(static_cast<std::uint64_t>(o.profiles)) + " profiles got " + std::to_string(o.rate) +
      " requests a second over " + std::to_string(o.connections) +
      " kept-alive loopback connections: reads with Zipf-distributed ids, 3 % PUT on the ETag seen last, "
      "1 % POST with an Idempotency-Key. Requests are due at times fixed beforehand and their latency counts "
      "from then, so a stall cannot slow the load down to hide itself. A client gives up after " +
      text_of(client_patience) + ".</p>\n<ul>\n";
  for (std::size_t f = 0; f < fault_count; ++f) {
    const auto what = static_cast<fault>(f);
    const milliseconds from = time_of(d.on, what, true, {});
    const milliseconds to = time_of(d.on, what, false, d.on.plan.total);
    out += "<li>" + text_of(from) + " to " + text_of(to) + ": " + escaped(method_of(what)) + ".</li>\n";
  }
  out += "</ul>\n<p>Breakers open after " + std::to_string(d.on.rules.consecutive_failures) + " failures in a row or " +
         std::to_string(d.on.rules.failure_permille / 10) + " % of at least " + std::to_string(d.on.rules.min_calls) +
         " calls, for " + text_of(d.on.rules.times.open_base) + " at first and " + text_of(d.on.rules.times.open_max) +
         " at most, and close after " + std::to_string(d.on.rules.probes) + " probes.";
  if (d.has_off) {
    out +=
        " Without policies the same service asks the primary, waits for it as SQLite's busy handler does, and passes "
        "its failure on.";
  }
  return out + "</p>\n<p class=\"soft\"><code>" + escaped(o.command) + "</code> (seed " + std::to_string(o.seed) +
         ")<br>" + escaped(d.machine) + "<br>" + escaped(d.made_at) +
         "<br>Client and service shared the machine; the figures are the client's own.</p>\n";
}

// In a script element only `<` could be more than text.
std::string for_script(const std::string& json) {
  std::string out;
  for (const char c : json) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

std::string headline(const demonstration& d) {
  const client_counts on = counts_in(d.on, whole_run);
  if (!d.on.trouble.empty()) return "The demonstration was cut short: " + d.on.trouble;
  if (on.reads.errors() > 0) return grouped(on.reads.errors()) + " reads failed while what the service calls did";
  return "Primary, replica and CDN failed; not one of " + grouped(on.reads.all()) + " reads did";
}

}  // namespace

std::string to_html(const demonstration& d) {
  std::string charts = draw_charts(d.on, d.has_off ? &d.off : nullptr);
  const std::string span = " data-span=\"" + coordinate(plot_left) + " " + coordinate(plot_right) + " " +
                           std::to_string(d.on.plan.total.count()) + "\"";
  charts.insert(charts.find(' '), span);
  std::string out =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>holdfast demo report</title>\n<style>";
  out.append(page_style).append("</style>\n</head>\n<body>\n<p class=\"soft\">holdfast demo report</p>\n<h1>");
  out += escaped(headline(d)) + "</h1>\n" + cards(d) + "<h2>Promises</h2>\n" + promise_table(d) +
         "<h2>The timeline</h2>\n" + legend(d) + "<div class=\"figure-box\">\n" + charts + "</div>\n" +
         what_was_done(d) + "<div id=\"readout\"></div>\n<script type=\"application/json\" id=\"data\">" +
         for_script(to_json(d)) + "</script>\n<script>";
  out.append(page_script).append("</script>\n</body>\n</html>\n");
  return out;
}

bool write_text(const std::string& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  return static_cast<bool>(out);
}

}  // namespace holdfast::demo
