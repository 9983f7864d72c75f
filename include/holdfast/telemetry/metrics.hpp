// SPDX-License-Identifier: MIT
// metrics_registry: the named numbers of a process, registered once at start and read by whoever exports them.
//
//   operation       caller                       progress    allocates       when refused
//   constructor     one thread                   blocking    all its memory
//   add_*           one thread, before sharing   wait-free   never           no metric, and why: name, label or room
//   the metrics     any thread                   see there   never
//   for_each        any thread                   wait-free   never
//
// In short: one thread registers at the start; any thread reads | wait-free | at construction | no metric, and why
//
// Names, labels and their values are checked against the Prometheus data model when they are registered and fixed from
// then on: there is no label made at run time, so memory and series are bounded and a request's data cannot grow them.
// Series of one family share its kind and help. A read series is not stored: a function gives its value when somebody
// looks, which is how the state of a breaker or the balance of a budget is shown without a second copy.
//
// When not to use it: for what differs by request. That belongs into the log, where it can be found by correlation id.
//
// Memory: what metrics_options says, all of it at construction. Proof: unit/metrics_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "holdfast/core/option_error.hpp"
#include "holdfast/telemetry/counter.hpp"
#include "holdfast/telemetry/histogram.hpp"

namespace holdfast {

enum class metric_kind : std::uint8_t { counter, gauge, histogram };

struct metric_label {
  std::string_view name{};
  std::string_view value{};
};

// Reads a value of `self` when it is asked for; called by the exporter's thread.
using metric_reader = double (*)(const void* self) noexcept;

struct metrics_options {
  std::uint32_t counters = 64;
  std::uint32_t gauges = 64;
  std::uint32_t histograms = 16;
  std::uint32_t readers = 64;
  std::uint32_t text_bytes = 32 * 1024;  // names, help texts and labels
};

constexpr option_error validate(const metrics_options& o) noexcept {
  constexpr std::int64_t most = 1 << 20;
  return first_of(at_most("counters", o.counters, most), at_most("gauges", o.gauges, most),
                  at_most("histograms", o.histograms, most), at_most("readers", o.readers, most),
                  at_least("text_bytes", o.text_bytes, 1), at_most("text_bytes", o.text_bytes, std::int64_t{1} << 30));
}

// Why a metric was not registered.
enum class metric_errc : std::uint8_t {
  none,
  bad_name,   // not [a-zA-Z_:][a-zA-Z0-9_:]*
  bad_label,  // a label's name is not [a-zA-Z_][a-zA-Z0-9_]*, begins with __, is `le`, or comes twice
  too_many_labels,
  duplicate,   // this name has a series with these labels
  other_kind,  // this name, or one that a histogram writes, is registered with another kind
  no_room,     // metrics_options allows no more of this kind, or its text is full
};
constexpr std::string_view name_of(metric_errc why) noexcept {
  switch (why) {
    case metric_errc::none: return "none";
    case metric_errc::bad_name: return "bad_name";
    case metric_errc::bad_label: return "bad_label";
    case metric_errc::too_many_labels: return "too_many_labels";
    case metric_errc::duplicate: return "duplicate";
    case metric_errc::other_kind: return "other_kind";
    case metric_errc::no_room: return "no_room";
  }
  return "unknown";
}

template <class Metric>
struct registered {
  Metric* metric = nullptr;
  metric_errc why = metric_errc::none;
  explicit operator bool() const noexcept { return metric != nullptr; }
};

// One time series, as an exporter sees it: exactly one of the pointers is set.
struct metric_series {
  static constexpr std::size_t max_labels = 8;

  [[nodiscard]] std::span<const metric_label> labels() const noexcept { return {label.data(), label_count}; }

  std::string_view name{};
  std::string_view help{};
  metric_kind kind{};
  std::array<metric_label, max_labels> label{};
  std::size_t label_count = 0;
  const counter* count = nullptr;
  const gauge* level = nullptr;
  const histogram* distribution = nullptr;
  metric_reader read = nullptr;
  const void* self = nullptr;
};

class metrics_registry {
 public:
  explicit metrics_registry(const metrics_options& options);
  ~metrics_registry();
  metrics_registry(const metrics_registry&) = delete;
  metrics_registry& operator=(const metrics_registry&) = delete;

  // The metric lives as long as the registry. Names and texts are copied.
  registered<counter> add_counter(std::string_view name, std::string_view help,
                                  std::span<const metric_label> labels = {});
  registered<gauge> add_gauge(std::string_view name, std::string_view help, std::span<const metric_label> labels = {});
  // In nanoseconds here, in seconds where it is exported.
  registered<histogram> add_histogram(std::string_view name, std::string_view help,
                                      std::span<const metric_label> labels = {});
  // `self` outlives the registry. `kind` is counter or gauge.
  metric_errc add_reader(metric_kind kind, std::string_view name, std::string_view help, metric_reader read,
                         const void* self, std::span<const metric_label> labels = {});

  // Calls f(const metric_series&) for each series, those of one family one after another, families in the order in which
  // they were first registered.
  template <class F>
  void for_each(F&& f) const {
    for (const metric_series& first : all_series()) {
      if (!begins_family(first)) continue;
      for (const metric_series& one : all_series()) {
        if (one.name == first.name) f(one);
      }
    }
  }
  [[nodiscard]] std::span<const metric_series> all_series() const noexcept;

 private:
  struct storage;

  [[nodiscard]] bool begins_family(const metric_series& one) const noexcept;
  [[nodiscard]] metric_errc check(metric_kind kind, std::string_view name,
                                  std::span<const metric_label> labels) const noexcept;
  template <class Metric>
  registered<Metric> add(Metric* next, bool has_room, const Metric* metric_series::*where, metric_series&& series,
                         std::span<const metric_label> labels) noexcept;
  metric_errc append(metric_series&& series, std::span<const metric_label> labels) noexcept;

  std::unique_ptr<storage> storage_;
};

}  // namespace holdfast
