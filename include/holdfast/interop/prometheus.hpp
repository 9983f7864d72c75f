// SPDX-License-Identifier: MIT
// prometheus: a metrics registry as a page in the Prometheus text format, version 0.0.4.
//
//   operation          caller       progress    allocates
//   write_prometheus   any thread   as `sink`   never; the sink may
//
// In short: any thread | as the sink | never | -
//
// `sink` is called with pieces of the page, in order, as std::string_view. Durations are in seconds, as Prometheus wants
// them. A histogram shows its buckets at powers of two, 2^10 ns (about 1 us) to 2^37 ns (about 137 s), where its own
// buckets end exactly, so that every cumulative count is exact; `_count` is that of `+Inf`.
//
// Serve it as `text/plain; version=0.0.4; charset=utf-8`. Source: Prometheus, "Exposition formats".
// Proof: unit/prometheus_test.cpp reads the page with a strict parser of its own.
#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "holdfast/telemetry/metrics.hpp"

namespace holdfast {

inline constexpr std::string_view prometheus_content_type = "text/plain; version=0.0.4; charset=utf-8";

template <class Sink>
class prometheus_writer {
 public:
  explicit prometheus_writer(Sink& sink) noexcept : sink_(sink) {}

  void operator()(const metric_series& s) {
    if (s.name != family_) header(s);
    if (s.count != nullptr) {
      sample(s, "", {}, s.count->value());
    } else if (s.level != nullptr) {
      sample(s, "", {}, s.level->value());
    } else if (s.distribution != nullptr) {
      distribution(s, s.distribution->snapshot());
    } else {
      sample(s, "", {}, s.read(s.self));
    }
  }

 private:
  static constexpr unsigned first_bound = 10;
  static constexpr unsigned last_bound = 37;

  void header(const metric_series& s) {
    family_ = s.name;
    sink_("# HELP ");
    sink_(s.name);
    sink_(" ");
    escaped(s.help, false);
    sink_("\n# TYPE ");
    sink_(s.name);
    switch (s.kind) {
      case metric_kind::counter: sink_(" counter\n"); break;
      case metric_kind::gauge: sink_(" gauge\n"); break;
      case metric_kind::histogram: sink_(" histogram\n"); break;
    }
  }

  template <class Value>
  void sample(const metric_series& s, std::string_view suffix, std::string_view upper_bound, Value value) {
    sink_(s.name);
    sink_(suffix);
    const char* before = "{";
    for (const metric_label& l : s.labels()) {
      label(before, l.name, l.value);
      before = ",";
    }
    if (!upper_bound.empty()) {
      label(before, "le", upper_bound);
      before = ",";
    }
    sink_(*before == ',' ? "} " : " ");
    number(value);
    sink_("\n");
  }

  void distribution(const metric_series& s, const histogram_snapshot& now) {
    std::array<char, 32> text{};
    for (unsigned bound = first_bound; bound <= last_bound; ++bound) {
      const auto end = std::to_chars(text.data(), text.data() + text.size(), std::ldexp(1e-9, static_cast<int>(bound)));
      sample(s, "_bucket", {text.data(), static_cast<std::size_t>(end.ptr - text.data())},
             now.count_up_to(duration((std::int64_t{1} << bound) - 1)));
    }
    const std::uint64_t all = now.count();
    sample(s, "_bucket", "+Inf", all);
    sample(s, "_sum", {}, static_cast<double>(now.sum.count()) * 1e-9);
    sample(s, "_count", {}, all);
  }

  void label(const char* before, std::string_view name, std::string_view value) {
    sink_(before);
    sink_(name);
    sink_("=\"");
    escaped(value, true);
    sink_("\"");
  }

  void escaped(std::string_view text, bool quotes_too) {
    std::size_t from = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (c != '\\' && c != '\n' && !(c == '"' && quotes_too)) continue;
      sink_(text.substr(from, i - from));
      sink_(c == '\n' ? "\\n" : (c == '"' ? "\\\"" : "\\\\"));
      from = i + 1;
    }
    sink_(text.substr(from));
  }

  template <class Value>
  void number(Value value) {
    if constexpr (std::is_floating_point_v<Value>) {
      if (std::isnan(value)) return sink_("NaN");
      if (std::isinf(value)) return sink_(value > 0 ? "+Inf" : "-Inf");
    }
    std::array<char, 32> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
    sink_(std::string_view(text.data(), static_cast<std::size_t>(end.ptr - text.data())));
  }

  Sink& sink_;
  std::string_view family_{};
};

template <class Sink>
void write_prometheus(const metrics_registry& registry, Sink&& sink) {
  registry.for_each(prometheus_writer(sink));
}

}  // namespace holdfast
