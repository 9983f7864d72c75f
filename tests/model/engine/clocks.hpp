// SPDX-License-Identifier: MIT
// clocks: what a thread knows: which steps of which threads happen before it, and which messages it may no longer read.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace holdfast_model {

using thread_id = unsigned;
inline constexpr thread_id main_thread = 0;  // sets a scenario up and looks at it afterwards
inline constexpr unsigned max_threads = 8;   // with the main one

// Happens-before: event n of thread t happens before whoever has at least n in place t.
class vector_clock {
 public:
  [[nodiscard]] std::uint32_t of(thread_id t) const noexcept { return events_[t]; }
  [[nodiscard]] bool covers(thread_id t, std::uint32_t event) const noexcept { return events_[t] >= event; }
  [[nodiscard]] bool covers(const vector_clock& other) const noexcept {
    for (unsigned t = 0; t < max_threads; ++t) {
      if (events_[t] < other.events_[t]) return false;
    }
    return true;
  }
  void advance(thread_id t) noexcept { ++events_[t]; }
  void set(thread_id t, std::uint32_t event) noexcept { events_[t] = event; }
  void join(const vector_clock& other) noexcept {
    for (unsigned t = 0; t < max_threads; ++t) events_[t] = std::max(events_[t], other.events_[t]);
  }

 private:
  std::array<std::uint32_t, max_threads> events_{};
};

// A message's place in the modification order of its location. Gaps are left for messages inserted later.
using stamp = std::uint64_t;

// For each location the oldest message that may still be read. A location it has no word of is at its beginning.
class view {
 public:
  [[nodiscard]] stamp of(std::size_t location) const noexcept {
    return location < oldest_.size() ? oldest_[location] : 0;
  }
  [[nodiscard]] bool covers(const view& other) const noexcept {
    for (std::size_t i = 0; i < other.oldest_.size(); ++i) {
      if (of(i) < other.oldest_[i]) return false;
    }
    return true;
  }
  void raise(std::size_t location, stamp to) {
    if (location >= oldest_.size()) oldest_.resize(location + 1, 0);
    oldest_[location] = std::max(oldest_[location], to);
  }
  void join(const view& other) {
    if (other.oldest_.size() > oldest_.size()) oldest_.resize(other.oldest_.size(), 0);
    for (std::size_t i = 0; i < other.oldest_.size(); ++i) oldest_[i] = std::max(oldest_[i], other.oldest_[i]);
  }
  void clear() noexcept { oldest_.clear(); }

 private:
  std::vector<stamp> oldest_;
};

struct knowledge {
  vector_clock events;
  view messages;

  void join(const knowledge& other) {
    events.join(other.events);
    messages.join(other.messages);
  }
  void clear() noexcept {
    events = {};
    messages.clear();
  }
};

}  // namespace holdfast_model
