// SPDX-License-Identifier: MIT
// Clocks. Below exec/ nothing reads one: time is an argument, so a test owns it.
//
//   clock           now() costs      resolution        for
//   steady_clock    one vDSO call    1 ns              the default
//   coarse_clock    cheaper          1-4 ms (a tick)   counting windows, cache ages
//   tsc_clock       one rdtsc        about 1 ns        log stamps, latency histograms
//   manual_clock    one load         as set            tests and simulations
//   wall_clock      one vDSO call    1 ns              what a person reads: log lines, HTTP dates; never intervals
//
// All but wall_clock never go backwards and keep no calendar. All allocate nothing and may be read from any thread. All are
// wait-free but tsc_clock, which is lock-free: a read begins anew when it was recalibrated meanwhile. steady_clock is
// std::chrono's, so its time points come and go freely.
//
// Proof: unit/clock_test.cpp, model/seq_latch_model.cpp (recalibration).
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/seq_latch.hpp"

namespace holdfast {

using duration = std::chrono::nanoseconds;
using time_point = std::chrono::time_point<std::chrono::steady_clock, duration>;

template <class C>
concept clock_source = requires(const C& clock) {
  { clock.now() }
  noexcept->std::same_as<time_point>;
};

struct steady_clock {
  [[nodiscard]] static time_point now() noexcept { return std::chrono::steady_clock::now(); }
};

// CLOCK_MONOTONIC_COARSE: the kernel's last tick, without reading a counter.
struct coarse_clock {
  [[nodiscard]] static time_point now() noexcept;
  [[nodiscard]] static duration resolution() noexcept;
};

// The CPU's time stamp counter, scaled to steady time. Where the counter is not invariant and synchronised (the kernel
// says so in /proc/cpuinfo), or the CPU has none, it reads steady_clock instead and `uses_counter()` is false.
// Construction takes about 10 ms to measure the frequency; recalibrate() corrects drift against steady_clock and is
// called by one thread from time to time (the log sink's backend does); time never steps back when it does.
class tsc_clock {
 public:
  tsc_clock() noexcept;
  [[nodiscard]] time_point now() const noexcept { return at(ticks()); }
  // The raw stamp, to be converted later by at(): a reader far away pays for the conversion.
  [[nodiscard]] std::uint64_t ticks() const noexcept;
  [[nodiscard]] time_point at(std::uint64_t ticks) const noexcept;
  void recalibrate() noexcept;
  [[nodiscard]] bool uses_counter() const noexcept { return uses_counter_; }

 private:
  // One conversion line: steady ns = base_ns + (ticks - base_ticks) * scale / 2^32.
  struct line {
    std::uint64_t base_ticks = 0;
    std::int64_t base_ns = 0;
    std::uint64_t scale = 0;
  };
  [[nodiscard]] static time_point convert(const line& l, std::uint64_t ticks) noexcept;

  seq_latch<line> line_{line{}};  // written by the recalibrating thread
  line first_{};                  // the anchor the frequency is measured from; recalibrating thread only
  bool uses_counter_ = false;
};

// Time that moves only when told. Setting it back is allowed: a part under test must survive a clock that does.
class manual_clock {
 public:
  constexpr manual_clock() noexcept = default;
  constexpr explicit manual_clock(time_point start) noexcept : now_(start.time_since_epoch().count()) {}
  // counter: a time value publishes nothing but itself.
  [[nodiscard]] time_point now() const noexcept { return time_point(duration(now_.load(mo::relaxed))); }
  void advance(duration by) noexcept { now_.fetch_add(by.count(), mo::relaxed); }               // counter:
  void set(time_point to) noexcept { now_.store(to.time_since_epoch().count(), mo::relaxed); }  // counter:

 private:
  atomic<std::int64_t> now_{1'000'000'000};  // not zero, so that "one second ago" exists
};

struct wall_clock {
  // Nanoseconds since 1970-01-01T00:00:00Z.
  [[nodiscard]] static std::int64_t now_ns() noexcept;
};

static_assert(clock_source<steady_clock> && clock_source<coarse_clock> && clock_source<manual_clock>);

}  // namespace holdfast
