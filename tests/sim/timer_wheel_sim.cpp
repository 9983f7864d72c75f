// SPDX-License-Identifier: MIT
// An hour of a service's timers, in order, to the nanosecond, whatever machine or compiler runs them: a hash of them all is known.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/time/timer_wheel.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point zero{1'000h};

// Some thousand connections. Each has a timer that beats, an idle timeout that every request puts off, and requests with a timeout
// that is mostly cancelled, and with tries in growing distances else.
class service {
 public:
  service(std::uint64_t seed, std::size_t most)
      : bits_(seed), most_(most), wheel_({.capacity = 4 * connections}, zero) {
    for (std::uint32_t i = 0; i < connections; ++i) {
      each_.push_back({});
      each_[i].beat = wheel_.schedule(zero + milliseconds(1'000 + i % 97), {i, kind::beat, 0});
      each_[i].idle = wheel_.schedule(zero + 30s, {i, kind::idle, 0});
    }
  }

  void run(duration lasts) {
    for (time_point now = zero; now < zero + lasts;) {
      now += duration(static_cast<std::int64_t>(uniform_up_to(bits_, 20'000'000)));
      for (int i = 0; i < 3; ++i) request(static_cast<std::uint32_t>(uniform_up_to(bits_, connections - 1)), now);
      while (wheel_.advance(now, most_, [&](const expired_timer<what>& e) { fire(e, now); }).more) {
      }
    }
  }
  [[nodiscard]] std::uint64_t hash() const { return hash_; }
  [[nodiscard]] const timer_wheel_counts& counts() const { return wheel_.counts(); }

 private:
  using milliseconds = std::chrono::milliseconds;
  static constexpr std::uint32_t connections = 1'500;
  enum class kind : std::uint8_t { beat, idle, timeout, retry };
  struct what {
    std::uint32_t of;
    kind why;
    std::uint8_t tries;
  };
  struct connection {
    timer_id beat;
    timer_id idle;
    timer_id request;
  };

  void request(std::uint32_t of, time_point now) {
    connection& one = each_[of];
    if (wheel_.is_set(one.request) && !wheel_.cancel(one.request)) std::abort();
    one.request = bits_() % 8 == 0 ? timer_id() : wheel_.schedule(now + 250ms, {of, kind::timeout, 0});
    if (!wheel_.extend(one.idle, now + 30s)) one.idle = wheel_.schedule(now + 30s, {of, kind::idle, 0});
  }
  void fire(const expired_timer<what>& e, time_point now) {
    add(e.what.of);
    add(static_cast<std::uint64_t>(e.what.why) << 8U | e.what.tries);
    add(static_cast<std::uint64_t>(e.due.time_since_epoch().count()));
    add(static_cast<std::uint64_t>(now.time_since_epoch().count()));
    connection& one = each_[e.what.of];
    switch (e.what.why) {
      case kind::beat: wheel_.reschedule(e.id, e.due + milliseconds(1'000 + e.what.of % 97)); break;
      case kind::idle: wheel_.cancel(one.request); break;
      default: {
        if (e.what.tries == 5) break;
        const auto tries = static_cast<std::uint8_t>(e.what.tries + 1);
        one.request = wheel_.schedule_within(now + milliseconds(50 << tries), now + milliseconds(60 << tries),
                                             {e.what.of, kind::retry, tries});
      }
    }
  }
  void add(std::uint64_t word) { hash_ = splitmix64_mix(hash_ ^ word); }

  splitmix64 bits_;
  std::size_t most_;
  timer_wheel<what> wheel_;
  std::vector<connection> each_;
  std::uint64_t hash_ = 0;
};

}  // namespace

TEST_CASE("an hour of a wheel's timers are known to the last one, also where each advance does little", "[sim]") {
  constexpr std::uint64_t known = 12'268'804'693'908'693'659U;
  const auto begun = std::chrono::steady_clock::now();
  service whole(7, ~std::size_t{0});
  whole.run(1h);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  std::printf("an hour of timers: %llu fired, %llu cancelled, %llu moved, hash %llu, in %.2f s\n",
              static_cast<unsigned long long>(whole.counts().fired),
              static_cast<unsigned long long>(whole.counts().cancelled),
              static_cast<unsigned long long>(whole.counts().moved), static_cast<unsigned long long>(whole.hash()),
              took.count());
  CHECK(whole.hash() == known);
  CHECK(whole.counts().refused == 0);
  CHECK(whole.counts().fired > 9'000'000);
  service in_steps(7, 5);
  in_steps.run(10min);
  service at_once(7, ~std::size_t{0});
  at_once.run(10min);
  CHECK(in_steps.hash() == at_once.hash());
  service other(8, ~std::size_t{0});
  other.run(10min);
  CHECK(other.hash() != at_once.hash());
}
