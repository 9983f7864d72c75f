// SPDX-License-Identifier: MIT
// timer_service: a thread that fires the timers of a timer_lanes, and sleeps in between.
//
//   operation       caller       progress          allocates       when refused
//   start           its owner    blocking          the thread      the system's reason
//   stop            its owner    blocking          never           -
//   timers          any thread   as timer_lanes    never           as timer_lanes
//   lateness        any thread   wait-free         never           -
//
// In short: any thread; one starts and stops it | as `exec/timer_lanes` | at the start: a thread | as `exec/timer_lanes`
//
// Fire is called on that thread, as fire(timer_lanes<T>::fired_timer&) noexcept. It keeps all other timers waiting, so what may
// take long is handed to where that does no harm: to an executor (exec/runnable.hpp), say.
//
// stop(end) refuses further timers. timer_end::fires: those that are set fire now, whatever their time is, on the caller's thread,
// and not again. timer_end::cancels: they do not fire. timer_end::at_their_time: they fire at their time until none is left or the
// deadline has passed; one that has itself fire again goes on until then. What has not fired goes to take(const T&, due), once, and
// the counts add up. Calls of cancel() are exact until the end. An end without stop() is stop(timer_end::cancels).
//
// It sleeps with a timer slack of a nanosecond, or the kernel would wake it 50 microseconds late. `spin` is for whom what is left
// of that is too long: it wakes so long before a timer, and looks at the clock from then on, which takes the processor.
//
// When to use it: timers that many threads set. In a loop of one's own: timer_lanes with event_fd, or, of one thread, timer_wheel.
//
// Proof: unit/timer_service_test.cpp; what it is made of has its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <system_error>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/exec/crew.hpp"
#include "holdfast/exec/timer_lanes.hpp"
#include "holdfast/exec/timer_options.hpp"
#include "holdfast/telemetry/histogram.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

struct timer_service_options {
  timer_lanes_options timers{};
  std::uint32_t most_a_turn = 10'000;  // timers, before the clock is read again
  duration spin{};
};
static_assert(std::is_aggregate_v<timer_service_options>);

constexpr option_error validate(const timer_service_options& o) noexcept {
  return first_of(validate(o.timers), at_least("most_a_turn", o.most_a_turn, 1), at_least("spin", o.spin.count(), 0),
                  at_most("spin", o.spin.count(), duration(std::chrono::milliseconds(10)).count()));
}

enum class timer_end : std::uint8_t { cancels, fires, at_their_time };

// Its thread sleeps as exactly as the kernel can.
void sleep_exactly() noexcept;

template <class T, class Fire>
class timer_service {
 public:
  using lanes_type = timer_lanes<T>;
  using fired_timer = typename lanes_type::fired_timer;
  using lane = typename lanes_type::lane;
  static_assert(std::is_nothrow_invocable_v<Fire&, fired_timer&>, "timer_service: fire(fired_timer&) noexcept");

  explicit timer_service(const timer_service_options& options, Fire fire,
                         std::pmr::memory_resource* memory = std::pmr::get_default_resource()) noexcept
      : options_(options), fire_(std::move(fire)), timers_(options.timers, steady_clock::now(), memory) {
    HOLDFAST_ASSERT(!validate(options));
  }
  timer_service(const timer_service&) = delete;
  timer_service& operator=(const timer_service&) = delete;
  ~timer_service() { stop(timer_end::cancels); }

  [[nodiscard]] std::error_code start() noexcept {
    HOLDFAST_ASSERT(thread_.size() == 0);
    return thread_.start(
        1, "hf-timers", [](void* self) noexcept { static_cast<timer_service*>(self)->run(); }, this);
  }
  template <class Take>
  void stop(timer_end how, deadline until, Take&& take) noexcept {
    timers_.refuse();
    const time_point end = how == timer_end::at_their_time ? until.at() : time_point::min();
    ends_at_.store(end.time_since_epoch().count(), mo::relaxed);  // own: stir() shows it
    timers_.stir();
    thread_.join();
    // From here on this is the wheel's thread.
    timers_.close([this, how, &take](const T& what, time_point due) noexcept {
      if (how == timer_end::fires) {
        fired_timer call = lanes_type::last_call(what, due);
        fire_(call);
      } else {
        take(what, due);
      }
    });
  }
  void stop(timer_end how, deadline until = deadline::never()) noexcept {
    stop(how, until, [](const T&, time_point) noexcept {});
  }

  [[nodiscard]] lanes_type& timers() noexcept { return timers_; }
  // By how much timers fired after their time.
  [[nodiscard]] histogram_snapshot lateness() const noexcept { return lateness_.snapshot(); }

 private:
  // Who waits for the last timer is not told of a cancel.
  static constexpr duration look_again = std::chrono::milliseconds(10);

  void run() noexcept {
    sleep_exactly();
    for (;;) {
      const time_point now = steady_clock::now();
      const bool more = timers_
                            .run(now, options_.most_a_turn,
                                 [this, now](fired_timer& timer) noexcept {
                                   lateness_.record(deadline(now).remaining(timer.due));
                                   fire_(timer);
                                 })
                            .more;
      if (is_over(now)) return;
      if (more) continue;
      const time_point next = timers_.next_work();
      if (options_.spin > duration::zero() && deadline(next).remaining(now) <= options_.spin) {
        cpu_relax();
      } else {
        timers_.sleep(options_.spin, timers_.closed() ? std::min(ends_at(), now + look_again) : ends_at());
      }
    }
  }
  // Where timers fire at their time it is over when none is set any more.
  [[nodiscard]] bool is_over(time_point now) const noexcept {
    return now >= ends_at() || (timers_.closed() && timers_.set_approx() == 0);
  }
  [[nodiscard]] time_point ends_at() const noexcept {
    return time_point(duration(ends_at_.load(mo::relaxed)));  // own: as in stop()
  }

  const timer_service_options options_;
  Fire fire_;
  lanes_type timers_;
  histogram lateness_;
  atomic<std::int64_t> ends_at_{time_point::max().time_since_epoch().count()};
  crew thread_;
};

}  // namespace holdfast
