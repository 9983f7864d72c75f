// SPDX-License-Identifier: MIT
// rate_part: windows of threads with clocks that differ a little, at one rate limiter.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "holdfast/core/random.hpp"
#include "holdfast/policy/rate_limiter.hpp"

#include "rate_spec.hpp"
#include "windows.hpp"

namespace holdfast_lin {

template <class Limiter, unsigned Threads>
class rate_part {
 public:
  using spec = rate_spec;
  static constexpr unsigned threads = Threads;

  spec renew(holdfast::splitmix64& random, recorder& opening) {
    const holdfast::rate_limiter_options options{.permits = 1,
                                                 .per = holdfast::duration(1 + static_cast<std::int64_t>(random() % 4)),
                                                 .burst = static_cast<std::uint32_t>(1 + random() % 3)};
    limiter_.emplace(options);
    for (std::uint64_t left = random() % 4; left != 0; --left)
      opening.note(take(first_ns + static_cast<std::int64_t>(random() % 4), 1));
    return spec({options.per.count(), options.burst});
  }

  void run(unsigned, holdfast::splitmix64& random, recorder& made, const stamp_clock& clock) {
    std::int64_t now = first_ns + 2;
    holdfast::rate_reservation held;
    for (int i = 0; i < 5; ++i) {
      const std::uint64_t bits = random();
      now = std::max(first_ns, now + static_cast<std::int64_t>(bits % 6) - 2);
      const auto permits = static_cast<std::uint32_t>((bits >> 8U) % 4);
      switch ((bits >> 16U) % 8) {
        case 0:
        case 1:
          made.record(clock, [&] {
            const auto longest = static_cast<std::int64_t>((bits >> 24U) % 8);
            held = limiter_->reserve(at(now), holdfast::duration(longest), permits);
            return spec::reserve(now, permits, longest, told(held.code, held.retry_after),
                                 held.starts_at.time_since_epoch().count(), spec::word(held.taken.before),
                                 held.taken.until);
          });
          break;
        case 2:
        case 3:
          made.record(clock, [&] {
            const holdfast::rate_span span = held.taken;
            return spec::give_back(spec::word(span.before), span.until, limiter_->give_back(held));
          });
          break;
        case 4: made.record(clock, [&] { return look(now); }); break;
        default: made.record(clock, [&] { return take(now, permits); }); break;
      }
    }
  }

  void close(recorder& closing) {
    // Older than all: the word as it stands. Younger: permits that are there.
    closing.note(look(first_ns));
    closing.note(look(first_ns + 10));
  }

 private:
  static constexpr std::int64_t first_ns = 1'000'000;

  static holdfast::time_point at(std::int64_t ns) { return holdfast::time_point(holdfast::duration(ns)); }
  static std::int64_t told(holdfast::errc code, holdfast::duration wait) {
    return code == holdfast::errc::rate_infeasible ? spec::infeasible : wait.count();
  }
  operation take(std::int64_t now, std::uint32_t permits) {
    const holdfast::rate_answer a = limiter_->try_take(at(now), permits);
    return spec::take(now, permits, told(a.code, a.retry_after));
  }
  operation look(std::int64_t now) {
    const holdfast::rate_snapshot s = limiter_->snapshot(at(now));
    return spec::look(now, s.available, s.full_in.count());
  }

  std::optional<Limiter> limiter_;
};

}  // namespace holdfast_lin
