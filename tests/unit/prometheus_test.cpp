// SPDX-License-Identifier: MIT
#include "holdfast/interop/prometheus.hpp"

#include <cmath>
#include <limits>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

struct sample {
  std::string name;
  std::map<std::string, std::string> labels;
  double value = 0;
};

// A strict reader of the text format: every line is a HELP, a TYPE or a sample, in the order that the format asks for.
std::vector<sample> parse(const std::string& page) {
  static const std::regex help(R"(# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ((?:[^\\\n]|\\\\|\\n)*))");
  static const std::regex type(R"(# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram))");
  static const std::regex line(R"(([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (NaN|[+-]Inf|[-+0-9.eE]+))");
  static const std::regex label(R"re(([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$))re");
  REQUIRE((page.empty() || page.back() == '\n'));
  std::vector<sample> samples;
  std::set<std::string> typed;
  std::string family;
  std::istringstream lines(page);
  std::smatch m;
  for (std::string text; std::getline(lines, text);) {
    CAPTURE(text);
    if (std::regex_match(text, m, help)) {
      family = m[1];
      REQUIRE(typed.count(family) == 0);  // a family comes once
    } else if (std::regex_match(text, m, type)) {
      REQUIRE(family == m[1]);
      REQUIRE(typed.insert(family).second);
    } else {
      REQUIRE(std::regex_match(text, m, line));
      sample s{m[1], {}, std::stod(m[3])};
      REQUIRE(s.name.rfind(family, 0) == 0);
      std::string rest = m[2];
      while (!rest.empty()) {
        std::smatch l;
        REQUIRE(std::regex_search(rest, l, label, std::regex_constants::match_continuous));
        REQUIRE(s.labels.emplace(l[1], l[2]).second);
        rest = l.suffix();
      }
      samples.push_back(s);
    }
  }
  return samples;
}

std::string page_of(const metrics_registry& registry) {
  std::string page;
  write_prometheus(registry, [&](std::string_view piece) { page += piece; });
  return page;
}

}  // namespace

TEST_CASE("every kind of series comes out as a strict reader expects it", "[prometheus]") {
  metrics_registry registry({});
  const metric_label cache[] = {{"tier", "cache"}, {"verdict", "ok"}};
  registry.add_counter("requests_total", "Requests.", cache).metric->add(3);
  registry.add_gauge("depth", "Depth.").metric->set(-4);
  const double half = 0.5;
  CHECK(registry.add_reader(
            metric_kind::gauge, "ratio", "Ratio.",
            [](const void* self) noexcept { return *static_cast<const double*>(self); }, &half) == metric_errc::none);
  const auto samples = parse(page_of(registry));
  REQUIRE(samples.size() == 3);
  CHECK(samples[0].name == "requests_total");
  CHECK(samples[0].labels == std::map<std::string, std::string>{{"tier", "cache"}, {"verdict", "ok"}});
  CHECK(samples[0].value == 3);
  CHECK(samples[1].value == -4);
  CHECK(samples[2].value == 0.5);
}

TEST_CASE("a histogram's buckets are cumulative, end in +Inf, and agree with its count and sum", "[prometheus]") {
  metrics_registry registry({});
  auto* h = registry.add_histogram("latency_seconds", "Latency.").metric;
  REQUIRE(h != nullptr);
  h->record(500ns);
  h->record(2ms);
  h->record(2ms);
  h->record(1h);
  const auto samples = parse(page_of(registry));
  double previous = -1;
  double previous_bound = 0;
  double infinite = -1;
  std::map<std::string, double> scalar;
  for (const auto& s : samples) {
    if (s.name != "latency_seconds_bucket") {
      scalar[s.name] = s.value;
      continue;
    }
    CHECK(s.value >= previous);
    previous = s.value;
    const std::string le = s.labels.at("le");
    if (le == "+Inf") {
      infinite = s.value;
      continue;
    }
    const double bound = std::stod(le);
    CHECK(bound > previous_bound);
    previous_bound = bound;
    CHECK(s.value == (bound >= 0.002 ? 3 : 1));
  }
  CHECK(infinite == 4);
  CHECK(scalar.at("latency_seconds_count") == 4);
  CHECK(scalar.at("latency_seconds_sum") == Approx(3600.0040005));
}

TEST_CASE("texts are escaped so that no value can end its line or its quotes", "[prometheus]") {
  metrics_registry registry({});
  const metric_label hostile[] = {{"path", "a\"b\\c\nd"}};
  CHECK(registry.add_counter("x_total", "first\nsecond \\ \"quoted\"", hostile));
  const auto page = page_of(registry);
  CHECK(page.find("# HELP x_total first\\nsecond \\\\ \"quoted\"\n") != std::string::npos);
  const auto samples = parse(page);
  REQUIRE(samples.size() == 1);
  CHECK(samples[0].labels.at("path") == "a\\\"b\\\\c\\nd");
}

TEST_CASE("a value that is no finite number is written as Prometheus writes it", "[prometheus]") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  struct row {
    double value;
    const char* line;
  };
  for (const row& r : {row{std::nan(""), "odd NaN\n"}, row{infinity, "odd +Inf\n"}, row{-infinity, "odd -Inf\n"},
                       row{-0.5, "odd -0.5\n"}}) {
    metrics_registry registry({});
    CHECK(registry.add_reader(
              metric_kind::gauge, "odd", "?",
              [](const void* self) noexcept { return *static_cast<const double*>(self); },
              &r.value) == metric_errc::none);
    CHECK(page_of(registry).find(r.line) != std::string::npos);
  }
}

TEST_CASE("the series of one family share one header", "[prometheus]") {
  metrics_registry registry({});
  const metric_label ok[] = {{"verdict", "ok"}};
  const metric_label timeout[] = {{"verdict", "timeout"}};
  registry.add_counter("calls_total", "Calls.", ok).metric->add(2);
  registry.add_counter("calls_total", "Calls.", timeout).metric->add(3);
  const auto samples = parse(page_of(registry));  // a second header would be refused
  REQUIRE(samples.size() == 2);
  CHECK(samples[0].value == 2);
  CHECK(samples[1].labels.at("verdict") == "timeout");
}
