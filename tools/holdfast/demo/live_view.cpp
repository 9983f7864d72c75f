// SPDX-License-Identifier: MIT
#include "demo/live_view.hpp"

#include <array>
#include <cmath>

#include "demo/promises.hpp"

namespace holdfast::demo {
namespace {

constexpr std::size_t bar_columns = 24;
constexpr std::size_t history_columns = 40;
constexpr milliseconds text_every{2'000};

double per_second(std::uint64_t count, milliseconds span) {
  return span.count() > 0 ? 1000.0 * static_cast<double>(count) / static_cast<double>(span.count()) : 0;
}

template <class Value>
std::vector<double> history(const run_record& run, Value value) {
  std::vector<double> out;
  for (const sample& s : run.samples) out.push_back(value(s));
  return out;
}

std::string clock_text(milliseconds at) {
  std::array<char, 16> out{};
  std::snprintf(out.data(), out.size(), "%5.1f s", static_cast<double>(at.count()) / 1000);
  return out.data();
}

std::string rate_text(double rate) {
  std::array<char, 16> out{};
  std::snprintf(out.data(), out.size(), "%6.0f/s", rate);
  return out.data();
}

// What is broken now, in the order of the timeline.
std::vector<fault> broken_now(const run_record& run) {
  std::array<bool, fault_count> broken{};
  for (const event& e : run.events) broken[static_cast<std::size_t>(e.what)] = e.begins;
  std::vector<fault> out;
  for (std::size_t i = 0; i < fault_count; ++i) {
    if (broken[i]) out.push_back(static_cast<fault>(i));
  }
  return out;
}

std::string joined(const std::vector<fault>& faults) {
  std::string out;
  for (const fault f : faults) out += (out.empty() ? "" : ", ") + std::string(name_of(f));
  return out;
}

double errors_per_second(const sample& s) {
  return per_second(s.client.reads.errors(), s.span);
}

}  // namespace

live_view::~live_view() {
  finish_picture();
}

void live_view::on_start(const run_record& run) {
  last_text_ = {};
  if (picture_) {
    std::fputs("\x1b[?25l", out_);  // no cursor while the picture moves
    return;
  }
  std::fprintf(out_, "policies %s: the service was ready after %s, the timeline takes %s\n",
               run.policies ? "on" : "off", text_of(run.ready_after).c_str(), text_of(run.plan.total).c_str());
  std::fflush(out_);
}

void live_view::on_event(const run_record& run, const event& what) {
  if (picture_) return;
  std::fprintf(out_, "%s  policies %-3s  %s: %s\n", clock_text(what.at).c_str(), run.policies ? "on" : "off",
               what.begins ? std::string(name_of(what.what)).c_str() : "healed",
               std::string(what.begins ? method_of(what.what) : healing_of(what.what)).c_str());
  std::fflush(out_);
}

void live_view::on_sample(const run_record& run) {
  if (picture_) return draw(frame(run));
  const milliseconds at = run.samples.back().at;
  if (at - last_text_ < text_every) return;
  last_text_ = at;
  std::fprintf(out_, "%s\n", text_line(run).c_str());
  std::fflush(out_);
}

void live_view::on_end(const run_record& run) {
  finish_picture();
  if (run.trouble.empty() || run.trouble == "stopped") return;
  std::fprintf(out_, "%s\n", run.trouble.c_str());
}

void live_view::finish_picture() {
  if (!picture_ || lines_drawn_ == 0) return;
  lines_drawn_ = 0;
  std::fputs("\x1b[?25h\n", out_);
  std::fflush(out_);
}

// Over the last picture, in one write, so that nothing flickers.
void live_view::draw(const std::vector<std::string>& lines) {
  std::string out;
  if (lines_drawn_ > 0) out += "\x1b[" + std::to_string(lines_drawn_) + "A\r";
  for (const auto& line : lines) out += line + "\x1b[K\n";
  lines_drawn_ = lines.size();
  std::fwrite(out.data(), 1, out.size(), out_);
  std::fflush(out_);
}

std::vector<std::string> live_view::frame(const run_record& run) const {
  std::vector<std::string> lines{head_line(run), now_line(run), ""};
  for (std::size_t t = 0; t < static_cast<std::size_t>(tier::other); ++t) lines.push_back(tier_line(run, t));
  lines.push_back(error_line(run));
  lines.emplace_back();
  lines.push_back(latency_line(run, "p50", 500));
  lines.push_back(latency_line(run, "p99", 990));
  lines.emplace_back();
  lines.push_back(guard_line(run));
  lines.push_back(budget_line(run));
  return lines;
}

std::string live_view::head_line(const run_record& run) const {
  const milliseconds at = std::min(run.samples.back().at, run.plan.total);
  const double share = static_cast<double>(at.count()) / static_cast<double>(run.plan.total.count());
  const std::string run_name = run.policies ? "policies on" : "policies off";
  return paint_(paint::strong, "holdfast demo") + "  " + paint_(run.policies ? paint::good : paint::warning, run_name) +
         "  " + paint_(paint::dim, bar(share, bar_columns)) + " " + clock_text(at) + " of" +
         clock_text(run.plan.total) + "  " + paint_(paint::dim, std::to_string(options_.rate) + " requests/s");
}

std::string live_view::now_line(const run_record& run) const {
  const auto broken = broken_now(run);
  std::string next;
  for (const step& s : run.plan.steps) {
    if (s.at <= run.samples.back().at) continue;
    next = "  next: " + std::string(s.begins ? name_of(s.what) : healing_of(s.what)) + " in" +
           clock_text(s.at - run.samples.back().at);
    break;
  }
  const std::string now = broken.empty() ? paint_(paint::good, run.events.empty() ? "all is well" : "all is mended")
                                         : paint_(paint::bad, joined(broken));
  return now + paint_(paint::dim, next);
}

std::string live_view::tier_line(const run_record& run, std::size_t t) const {
  const auto rate = [t](const sample& s) { return per_second(s.client.reads_by_tier[t], s.span); };
  const double now = rate(run.samples.back());
  const auto full = static_cast<double>(options_.rate);
  const paint with = paint_of(static_cast<tier>(t));
  return fitted(tier_names[t], 9) + paint_(with, bar(now / full, bar_columns)) + " " + rate_text(now) + "  " +
         paint_(with, sparkline(history(run, rate), history_columns, full));
}

std::string live_view::error_line(const run_record& run) const {
  const double now = errors_per_second(run.samples.back());
  const auto full = static_cast<double>(options_.rate);
  return fitted("errors", 9) + paint_(paint::bad, bar(now / full, bar_columns)) + " " + rate_text(now) + "  " +
         paint_(paint::bad, sparkline(history(run, errors_per_second), history_columns, full));
}

std::string live_view::latency_line(const run_record& run, const char* name, std::uint32_t permille) const {
  const auto& last = run.samples.back().client.read_time;
  // A step of the line for every factor of about 2.4: from 0.1 ms to the clients' patience.
  const auto height = [permille](const sample& s) {
    const double ms = static_cast<double>(s.client.read_time.quantile(permille).count()) / 1e6;
    return ms > 0 ? std::max(0.0, std::log10(ms / 0.1)) : 0.0;
  };
  return fitted(name, 9) + fitted(last.count() == 0 ? "-" : text_of(last.quantile(permille)), bar_columns + 11) +
         sparkline(history(run, height), history_columns, std::log10(2000.0 / 0.1));
}

std::string live_view::guard_line(const run_record& run) const {
  if (!run.policies) return paint_(paint::dim, "breakers  none: every request waits for the primary");
  const server_view& server = run.samples.back().server;
  if (!server.reached) return "breakers " + paint_(paint::warning, "the service did not say in time");
  std::string out = "breakers";
  for (const auto& g : server.guards) {
    const paint with = g.state == "closed" ? paint::good : g.state == "half_open" ? paint::warning : paint::bad;
    out += "  " + g.name + " " + paint_(with, g.state);
  }
  return out;
}

std::string live_view::budget_line(const run_record& run) const {
  const server_view& server = run.samples.back().server;
  std::uint64_t retries = 0, denied = 0;
  for (const auto& g : server.guards) retries += g.retries, denied += g.denied;
  return paint_(paint::dim, "retries   " + grouped(retries) + " made, " + grouped(denied) +
                                " refused by their budget; log records lost: " + grouped(server.log_lost));
}

std::string live_view::text_line(const run_record& run) const {
  const sample& s = run.samples.back();
  std::string out = clock_text(s.at) + "  policies " + fitted(run.policies ? "on" : "off", 3);
  for (std::size_t t = 0; t < tier_count; ++t) {
    const double rate = per_second(s.client.reads_by_tier[t], s.span);
    if (rate >= 0.5) out += "  " + std::string(tier_names[t]) + " " + std::to_string(std::lround(rate)) + "/s";
  }
  const double errors = errors_per_second(s);
  if (errors > 0) out += "  errors " + std::to_string(std::lround(errors)) + "/s";
  return out + "  p50 " + text_of(s.client.read_time.quantile(500)) + "  p99 " +
         text_of(s.client.read_time.quantile(990));
}

}  // namespace holdfast::demo
