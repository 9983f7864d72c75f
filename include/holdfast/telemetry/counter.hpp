// SPDX-License-Identifier: MIT
// counter and gauge: the two plain numbers that a service shows of itself.
//
//   operation       caller       progress    cost                         allocates   when refused
//   counter::add    any thread   wait-free   one fetch_add on own line    never       -
//   counter::value  any thread   wait-free   8 loads                      never       -
//   gauge::set      any thread   wait-free   one store                    never       -
//   gauge::add      any thread   wait-free   one fetch_add                never       -
//
// In short: any thread | wait-free | never | -
//
// A counter is striped over eight cache lines by thread, so that threads that count the same thing do not pass a line
// around; value() sums the stripes: never less than what happened before the call on this thread, and exact once the
// writers are quiet. It never goes down and wraps after 2^64. A gauge is one word: the last set() wins.
//
// Memory: 512 bytes a counter, 8 a gauge.
// Proof: model/counter_model.cpp (every execution of small cases, the wrap among them), unit/metrics_test.cpp.
#pragma once

#include <array>
#include <cstdint>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/thread_slot.hpp"

namespace holdfast {

class counter {
 public:
  counter() noexcept = default;
  counter(const counter&) = delete;
  counter& operator=(const counter&) = delete;

  void add(std::uint64_t n = 1) noexcept {
    stripes_[thread_slot::current() % stripes].value.fetch_add(n, mo::relaxed);  // counter: publishes nothing
  }
  [[nodiscard]] std::uint64_t value() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& one : stripes_) sum += one.value.load(mo::relaxed);  // counter: as above
    return sum;
  }

 private:
  static constexpr std::uint32_t stripes = 8;
  struct alignas(cache_line_size) stripe {
    atomic<std::uint64_t> value{0};
  };
  std::array<stripe, stripes> stripes_{};
};

class gauge {
 public:
  gauge() noexcept = default;
  gauge(const gauge&) = delete;
  gauge& operator=(const gauge&) = delete;

  void set(std::int64_t value) noexcept { value_.store(value, mo::relaxed); }             // counter: publishes nothing
  void add(std::int64_t n) noexcept { value_.fetch_add(n, mo::relaxed); }                 // counter: as above
  [[nodiscard]] std::int64_t value() const noexcept { return value_.load(mo::relaxed); }  // counter: as above

 private:
  atomic<std::int64_t> value_{0};
};

}  // namespace holdfast
