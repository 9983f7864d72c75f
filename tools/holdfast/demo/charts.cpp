// SPDX-License-Identifier: MIT
#include "demo/charts.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "demo/svg.hpp"

namespace holdfast::demo {
namespace {

constexpr double width = 1000;
constexpr double title_height = 34;
constexpr double gap = 14;
constexpr double tier_height = 130;
constexpr double lane_height = 20;
constexpr double axis_height = 34;
// Percentiles of a quarter of a second are few requests: the lines are taken over the last second.
constexpr std::size_t samples_a_percentile = 4;
constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

struct span_of_fault {
  fault what;
  milliseconds from;
  milliseconds to;
};

std::vector<span_of_fault> faults_of(const run_record& run) {
  std::vector<span_of_fault> out;
  for (const event& e : run.events) {
    if (e.begins) {
      out.push_back({e.what, e.at, run.plan.total});
      continue;
    }
    for (auto& span : out) {
      if (span.what == e.what && span.to == run.plan.total) span.to = e.at;
    }
  }
  return out;
}

double per_second(double count, milliseconds span) {
  return span.count() > 0 ? 1000.0 * count / static_cast<double>(span.count()) : 0;
}

double share_of_errors(const sample& s) {
  const double all = static_cast<double>(s.client.reads.all());
  return all > 0 ? 100.0 * static_cast<double>(s.client.reads.errors()) / all : nothing;
}

// The samples that the timeline covers: the one after it only collects what was still in flight.
std::size_t samples_within(const run_record& run) {
  std::size_t n = run.samples.size();
  while (n > 0 && run.samples[n - 1].at > run.plan.total + sample_every) --n;
  return n;
}

double percentile_ms(const run_record& run, std::size_t at, std::uint32_t permille) {
  latency_histogram h;
  for (std::size_t i = at + 1 - std::min(at + 1, samples_a_percentile); i <= at; ++i) {
    h.add(run.samples[i].client.read_time);
  }
  return h.count() == 0 ? nothing : static_cast<double>(h.quantile(permille).count()) / 1e6;
}

class picture {
 public:
  picture(const run_record& on, const run_record* off) : on_(on), off_(off), faults_(faults_of(on)) {}

  std::string draw() {
    fault_lanes();
    const double full = usual_rate();
    tiers(on_, "Reads a second by who served them, policies on", full);
    if (off_ != nullptr) tiers(*off_, "The same without policies", full);
    errors();
    latency();
    breakers();
    retries();
    time_axis();
    const std::string height = coordinate(y_);
    return "<svg id=\"charts\" viewBox=\"0 0 " + coordinate(width) + " " + height +
           "\" role=\"img\" aria-label=\"Charts of the demonstration on one time axis\">\n" + shades() + svg_.str() +
           "<path id=\"pointer\" d=\"M0 " + coordinate(title_height) + "V" + height +
           "\" class=\"pointer\"/>\n</svg>\n";
  }

 private:
  [[nodiscard]] double x(milliseconds at) const {
    const double share = static_cast<double>(at.count()) / static_cast<double>(on_.plan.total.count());
    return plot_left + std::clamp(share, 0.0, 1.0) * (plot_right - plot_left);
  }
  [[nodiscard]] double middle(const sample& s) const { return x(s.at - s.span / 2); }

  // Behind everything, through all charts.
  [[nodiscard]] std::string shades() const {
    svg behind;
    for (const auto& f : faults_) {
      behind.rect(x(f.from), title_height, x(f.to) - x(f.from), y_ - axis_height - title_height, "shade");
    }
    return behind.str();
  }

  void title(std::string_view what, std::string_view unit = {}) {
    y_ += title_height;
    svg_.text({0, y_ - 13}, what, "title");
    if (!unit.empty()) svg_.text({width - 12, y_ - 13}, unit, "label end");
  }
  void grid_line(double y, const std::string& label) {
    svg_.line({plot_left, y}, {plot_right, y}, "grid");
    svg_.text({plot_left - 8, y + 4}, label, "label end");
  }
  void lane(double y, std::string_view name) { svg_.text({plot_left - 8, y + 14}, name, "label end"); }

  void fault_lanes() {
    title("What was broken");
    for (const auto& f : faults_) {
      svg_.rect(x(f.from), y_ + 2, std::max(2.0, x(f.to) - x(f.from)), lane_height - 4, "fault", method_of(f.what));
      const bool fits = x(f.to) - x(f.from) > 7.6 * static_cast<double>(name_of(f.what).size()) + 14;
      svg_.text({fits ? x(f.from) + 6 : x(f.to) + 6, y_ + 14}, name_of(f.what), fits ? "on-fault" : "label");
      y_ += lane_height;
    }
    y_ += gap;
  }

  // A third above what is usual: the burst of a client that had to wait is cut off, not what everything shrinks for.
  [[nodiscard]] double usual_rate() const {
    std::vector<double> rates;
    for (std::size_t i = 0; i < samples_within(on_); ++i) {
      const sample& s = on_.samples[i];
      rates.push_back(per_second(static_cast<double>(s.client.reads.all()), s.span));
    }
    if (rates.empty()) return 1;
    const auto middle_one = rates.begin() + static_cast<std::ptrdiff_t>(rates.size() / 2);
    std::nth_element(rates.begin(), middle_one, rates.end());
    return std::max(1.0, *middle_one) * 1.33;
  }

  void tiers(const run_record& run, std::string_view what, double full) {
    title(what, "reads/s");
    const double bottom = y_ + tier_height;
    const double step = full > 4000 ? 2000 : full > 2000 ? 1000 : full > 800 ? 500 : full > 200 ? 100 : 50;
    for (double v = 0; v <= full; v += step) grid_line(bottom - v / full * tier_height, coordinate(v));
    std::vector<double> base(samples_within(run), 0.0);
    for (std::size_t t = 0; t < tier_count; ++t) {
      layer(run, base, bottom, tier_height / full, "area t" + std::to_string(t),
            [t](const sample& s) { return static_cast<double>(s.client.reads_by_tier[t]); });
    }
    layer(run, base, bottom, tier_height / full, "area failed",
          [](const sample& s) { return static_cast<double>(s.client.reads.errors()); });
    svg_.line({plot_left, bottom}, {plot_right, bottom}, "axis");
    y_ = bottom + gap;
  }

  // One layer of the stack on top of `base`, which it raises.
  void layer(const run_record& run, std::vector<double>& base, double bottom, double scale, const std::string& classes,
             const std::function<double(const sample&)>& value) {
    std::vector<point> upper, lower;
    double sum = 0;
    for (std::size_t i = 0; i < base.size(); ++i) {
      const sample& s = run.samples[i];
      const double rate = per_second(value(s), s.span);
      sum += rate;
      const double left = i == 0 ? plot_left : middle(s);
      lower.push_back({left, bottom - std::min(base[i] * scale, tier_height)});
      base[i] += rate;
      upper.push_back({left, bottom - std::min(base[i] * scale, tier_height)});
    }
    if (sum <= 0 || upper.empty()) return;
    upper.push_back({x(run.samples[base.size() - 1].at), upper.back().y});
    lower.push_back({upper.back().x, lower.back().y});
    upper.insert(upper.end(), lower.rbegin(), lower.rend());
    svg_.polygon(upper, classes);
  }

  void each_run(const std::function<void(const run_record&, const std::string&)>& draw_run) {
    if (off_ != nullptr) draw_run(*off_, "off");
    draw_run(on_, "on");
  }

  void curve(const run_record& run, const std::string& classes, const std::function<double(std::size_t)>& y_at) {
    std::vector<point> points;
    for (std::size_t i = 0; i < samples_within(run); ++i) points.push_back({middle(run.samples[i]), y_at(i)});
    svg_.polyline(points, classes);
  }

  void errors() {
    constexpr double height = 80;
    title("Reads that failed for the client: 5xx, timeout, broken connection", "% of reads");
    const double bottom = y_ + height;
    for (const int v : {0, 50, 100}) grid_line(bottom - v / 100.0 * height, std::to_string(v));
    each_run([&](const run_record& run, const std::string& which) {
      curve(run, "curve " + which,
            [&](std::size_t i) { return bottom - share_of_errors(run.samples[i]) / 100 * height; });
    });
    y_ = bottom + gap;
  }

  void latency() {
    constexpr double height = 140;
    constexpr double least = -1;  // 0.1 ms
    constexpr double decades = 4.5;
    title("Latency of reads from the moment they were due, last second", "ms, logarithmic");
    const double bottom = y_ + height;
    const auto y_of = [&](double ms) {
      return bottom - std::clamp((std::log10(ms) - least) / decades, 0.0, 1.0) * height;
    };
    for (const auto& [ms, label] :
         {std::pair{0.1, "0.1"}, {1.0, "1"}, {10.0, "10"}, {100.0, "100"}, {1000.0, "1000"}}) {
      grid_line(y_of(ms), label);
    }
    each_run([&](const run_record& run, const std::string& which) {
      curve(run, "curve thin " + which, [&](std::size_t i) { return y_of(percentile_ms(run, i, 500)); });
      curve(run, "curve " + which, [&](std::size_t i) { return y_of(percentile_ms(run, i, 990)); });
    });
    y_ = bottom + gap;
  }

  void breakers() {
    title("Breakers, policies on");
    std::vector<std::string> names;
    for (const sample& s : on_.samples) {
      if (s.server.guards.empty()) continue;
      for (const auto& g : s.server.guards) names.push_back(g.name);
      break;
    }
    for (const std::string& name : names) {
      lane(y_, name == "primary_write" ? "writes" : name);
      breaker_lane(name);
      y_ += lane_height;
    }
    y_ += gap;
  }

  // From the log, where every transition has its time. Half-open is over in milliseconds: it is drawn last, and wide
  // enough to be seen.
  void breaker_lane(const std::string& name) {
    struct state_span {
      std::string state;
      milliseconds from, to;
    };
    std::vector<state_span> spans{{"closed", milliseconds(0), on_.plan.total}};
    for (const auto& t : on_.log.transitions) {
      if (t.breaker != name) continue;
      const milliseconds at(std::clamp<std::int64_t>(t.wall_ms - on_.wall_start_ms, 0, on_.plan.total.count()));
      spans.back().to = at;
      spans.push_back({t.to, at, on_.plan.total});
    }
    for (const bool brief : {false, true}) {
      for (const auto& s : spans) {
        if ((s.state == "half_open") != brief) continue;
        const auto seconds = [](milliseconds ms) { return coordinate(static_cast<double>(ms.count()) / 1000); };
        svg_.rect(x(s.from), y_ + 3, std::max(brief ? 2.5 : 0.0, x(s.to) - x(s.from)), lane_height - 6,
                  "breaker " + s.state,
                  name + " " + s.state + ", " + seconds(s.from) + " s to " + seconds(s.to) + " s");
      }
    }
  }

  void retries() {
    constexpr double height = 80;
    title("Retries, and what their budgets still allowed, policies on", "retries");
    const double bottom = y_ + height;
    double full = 1;
    for (const sample& s : on_.samples) {
      for (const auto& g : s.server.guards) full = std::max(full, g.budget_burst);
    }
    full *= 1.1;
    for (double v = 0; v <= full; v += full > 60 ? 50 : 25) grid_line(bottom - v / full * height, coordinate(v));
    for (std::size_t i = 1; i < samples_within(on_); ++i) {
      const double made = retries_between(on_.samples[i - 1], on_.samples[i]);
      if (made <= 0) continue;
      const double left = x(on_.samples[i - 1].at);
      const double tall = std::max(1.5, std::min(made / full, 1.0) * height);
      svg_.rect(left, bottom - tall, std::max(2.0, x(on_.samples[i].at) - left - 1), tall, "retry",
                coordinate(made) + " retries");
    }
    curve(on_, "curve allowed", [&](std::size_t i) {
      double least = nothing;
      for (const auto& g : on_.samples[i].server.guards) least = std::fmin(least, g.balance);
      return bottom - least / full * height;
    });
    svg_.line({plot_left, bottom}, {plot_right, bottom}, "axis");
    y_ = bottom + gap;
  }

  static double retries_between(const sample& a, const sample& b) {
    double sum = 0;
    for (const auto& g : b.server.guards) {
      const guard_view* before = a.server.find(g.name);
      if (before != nullptr) sum += static_cast<double>(g.retries) - static_cast<double>(before->retries);
    }
    return sum;
  }

  void time_axis() {
    y_ += axis_height - gap;
    const std::int64_t total = on_.plan.total.count();
    const std::int64_t step = total > 20'000 ? 4'000 : 1'000;
    for (std::int64_t at = 0; at <= total; at += step) {
      svg_.text({x(milliseconds(at)), y_ - 8}, std::to_string(at / 1000) + " s", at == 0 ? "label" : "label middle");
    }
  }

  const run_record& on_;
  const run_record* off_;
  std::vector<span_of_fault> faults_;
  svg svg_;
  double y_ = 0;
};

}  // namespace

std::string draw_charts(const run_record& on, const run_record* off) {
  return picture(on, off).draw();
}

}  // namespace holdfast::demo
