// SPDX-License-Identifier: MIT
#include "holdfast/telemetry/metrics.hpp"

#include <algorithm>
#include <cstring>

#include "holdfast/core/assert.hpp"

namespace holdfast {
namespace {

constexpr bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

constexpr bool valid_name(std::string_view name) noexcept {
  const auto starts = [](char c) { return is_letter(c) || c == ':'; };
  return !name.empty() && starts(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return starts(c) || is_digit(c); });
}

// `le` and names that begin with two underscores belong to Prometheus.
constexpr bool valid_label_name(std::string_view name) noexcept {
  return !name.empty() && is_letter(name.front()) && !name.starts_with("__") && name != "le" &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_letter(c) || is_digit(c); });
}

bool same_labels(std::span<const metric_label> a, std::span<const metric_label> b) noexcept {
  return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const metric_label& x) {
           return std::any_of(b.begin(), b.end(),
                              [&](const metric_label& y) { return x.name == y.name && x.value == y.value; });
         });
}

// A histogram's series are written under three more names than its own.
bool written_by(std::string_view histogram_name, std::string_view name) noexcept {
  if (!name.starts_with(histogram_name)) return false;
  const auto suffix = name.substr(histogram_name.size());
  return suffix == "_bucket" || suffix == "_sum" || suffix == "_count";
}

std::size_t text_size(const metric_series& series, std::span<const metric_label> labels) noexcept {
  std::size_t size = series.name.size() + series.help.size();
  for (const auto& l : labels) size += l.name.size() + l.value.size();
  return size;
}

}  // namespace

struct metrics_registry::storage {
  explicit storage(const metrics_options& o)
      : counters(std::make_unique<counter[]>(o.counters)),
        gauges(std::make_unique<gauge[]>(o.gauges)),
        histograms(std::make_unique<histogram[]>(o.histograms)),
        series(std::make_unique<metric_series[]>(std::size_t{o.counters} + o.gauges + o.histograms + o.readers)),
        text(std::make_unique<char[]>(o.text_bytes)),
        limits(o) {}

  std::string_view keep(std::string_view words) noexcept {
    char* const to = text.get() + text_used;
    if (!words.empty()) std::memcpy(to, words.data(), words.size());
    text_used += words.size();
    return {to, words.size()};
  }

  std::unique_ptr<counter[]> counters;
  std::unique_ptr<gauge[]> gauges;
  std::unique_ptr<histogram[]> histograms;
  std::unique_ptr<metric_series[]> series;
  std::unique_ptr<char[]> text;
  metrics_options limits;
  std::uint32_t counters_used = 0;
  std::uint32_t gauges_used = 0;
  std::uint32_t histograms_used = 0;
  std::uint32_t readers_used = 0;
  std::size_t series_used = 0;
  std::size_t text_used = 0;
};

metrics_registry::metrics_registry(const metrics_options& options) : storage_(std::make_unique<storage>(options)) {
  HOLDFAST_ASSERT(!validate(options));
}
metrics_registry::~metrics_registry() = default;

std::span<const metric_series> metrics_registry::all_series() const noexcept {
  return {storage_->series.get(), storage_->series_used};
}

bool metrics_registry::begins_family(const metric_series& one) const noexcept {
  const auto all = all_series();
  return &*std::find_if(all.begin(), all.end(), [&](const metric_series& s) { return s.name == one.name; }) == &one;
}

metric_errc metrics_registry::check(metric_kind kind, std::string_view name,
                                    std::span<const metric_label> labels) const noexcept {
  if (!valid_name(name)) return metric_errc::bad_name;
  if (labels.size() > metric_series::max_labels) return metric_errc::too_many_labels;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (!valid_label_name(labels[i].name)) return metric_errc::bad_label;
    for (std::size_t j = 0; j < i; ++j) {
      if (labels[j].name == labels[i].name) return metric_errc::bad_label;
    }
  }
  for (const metric_series& other : all_series()) {
    if (other.kind == metric_kind::histogram && written_by(other.name, name)) return metric_errc::other_kind;
    if (kind == metric_kind::histogram && written_by(name, other.name)) return metric_errc::other_kind;
    if (other.name != name) continue;
    if (other.kind != kind) return metric_errc::other_kind;
    if (same_labels(other.labels(), labels)) return metric_errc::duplicate;
  }
  return metric_errc::none;
}

metric_errc metrics_registry::append(metric_series&& series, std::span<const metric_label> labels) noexcept {
  storage& s = *storage_;
  if (text_size(series, labels) > s.limits.text_bytes - s.text_used) return metric_errc::no_room;
  series.name = s.keep(series.name);
  series.help = s.keep(series.help);
  for (const auto& l : labels) series.label[series.label_count++] = {s.keep(l.name), s.keep(l.value)};
  s.series[s.series_used++] = series;
  return metric_errc::none;
}

template <class Metric>
registered<Metric> metrics_registry::add(Metric* next, bool has_room, const Metric* metric_series::*where,
                                         metric_series&& series, std::span<const metric_label> labels) noexcept {
  if (const auto why = check(series.kind, series.name, labels); why != metric_errc::none) return {nullptr, why};
  if (!has_room) return {nullptr, metric_errc::no_room};
  series.*where = next;
  if (const auto why = append(std::move(series), labels); why != metric_errc::none) return {nullptr, why};
  return {next, metric_errc::none};
}

registered<counter> metrics_registry::add_counter(std::string_view name, std::string_view help,
                                                  std::span<const metric_label> labels) {
  storage& s = *storage_;
  const auto made = add(s.counters.get() + s.counters_used, s.counters_used < s.limits.counters, &metric_series::count,
                        {.name = name, .help = help, .kind = metric_kind::counter}, labels);
  if (made) ++s.counters_used;
  return made;
}

registered<gauge> metrics_registry::add_gauge(std::string_view name, std::string_view help,
                                              std::span<const metric_label> labels) {
  storage& s = *storage_;
  const auto made = add(s.gauges.get() + s.gauges_used, s.gauges_used < s.limits.gauges, &metric_series::level,
                        {.name = name, .help = help, .kind = metric_kind::gauge}, labels);
  if (made) ++s.gauges_used;
  return made;
}

registered<histogram> metrics_registry::add_histogram(std::string_view name, std::string_view help,
                                                      std::span<const metric_label> labels) {
  storage& s = *storage_;
  const auto made =
      add(s.histograms.get() + s.histograms_used, s.histograms_used < s.limits.histograms, &metric_series::distribution,
          {.name = name, .help = help, .kind = metric_kind::histogram}, labels);
  if (made) ++s.histograms_used;
  return made;
}

metric_errc metrics_registry::add_reader(metric_kind kind, std::string_view name, std::string_view help,
                                         metric_reader read, const void* self, std::span<const metric_label> labels) {
  HOLDFAST_ASSERT(read != nullptr);
  HOLDFAST_ASSERT(kind != metric_kind::histogram);
  storage& s = *storage_;
  if (const auto why = check(kind, name, labels); why != metric_errc::none) return why;
  if (s.readers_used == s.limits.readers) return metric_errc::no_room;
  const auto why = append({.name = name, .help = help, .kind = kind, .read = read, .self = self}, labels);
  if (why == metric_errc::none) ++s.readers_used;
  return why;
}

}  // namespace holdfast
