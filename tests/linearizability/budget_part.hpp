// SPDX-License-Identifier: MIT
// budget_part: windows of threads with clocks that differ a little, at one retry budget.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "holdfast/core/random.hpp"
#include "holdfast/policy/retry_budget.hpp"

#include "budget_spec.hpp"
#include "windows.hpp"

namespace holdfast_lin {

template <class Budget, unsigned Threads>
class budget_part {
 public:
  using spec = budget_spec;
  static constexpr unsigned threads = Threads;

  spec renew(holdfast::splitmix64& random, recorder& opening) {
    const holdfast::retry_budget_options options{.ratio_permille = static_cast<std::uint32_t>(random() % 3 * 400),
                                                 .min_per_second = static_cast<std::uint32_t>(random() % 3 * 100),
                                                 .burst = static_cast<std::uint32_t>(1 + random() % 3)};
    budget_.emplace(options);
    for (std::uint64_t left = random() % 4; left != 0; --left) {
      opening.note(take(first_ms + static_cast<std::int64_t>(random() % 4), 1));
    }
    // One millisecond earns min_per_second thousandths of a token.
    return spec({options.ratio_permille, options.min_per_second, options.burst});
  }

  void run(unsigned, holdfast::splitmix64& random, recorder& made, const stamp_clock& clock) {
    std::int64_t now = first_ms + 2;
    for (int i = 0; i < 5; ++i) {
      const std::uint64_t bits = random();
      now = std::max(first_ms, now + static_cast<std::int64_t>(bits % 6) - 2);
      const auto tokens = static_cast<std::uint32_t>((bits >> 8U) % 3);
      switch ((bits >> 16U) % 8) {
        case 0:
        case 1:
          made.record(clock, [&] {
            budget_->on_first_attempt(at(now));
            return spec::first_attempt(now);
          });
          break;
        case 2:
          made.record(clock, [&] {
            // Without a clock it earns nothing and moves no time, as at the beginning of time.
            const bool timed = (bits >> 24U) % 2 == 0;
            timed ? budget_->give_back(at(now), tokens) : budget_->give_back(tokens);
            return spec::give_back(timed ? now : 0, tokens);
          });
          break;
        case 3: made.record(clock, [&] { return spec::balance(now, budget_->balance_milli(at(now))); }); break;
        default: made.record(clock, [&] { return take(now, tokens); }); break;
      }
    }
  }

  void close(recorder& closing) {
    // Older than all: the balance as it stands. Younger: whether the newest time was kept.
    closing.note(spec::balance(first_ms, budget_->balance_milli(at(first_ms))));
    closing.note(spec::balance(first_ms + 20, budget_->balance_milli(at(first_ms + 20))));
  }

 private:
  static constexpr std::int64_t first_ms = 1'000'000;

  static holdfast::time_point at(std::int64_t ms) { return holdfast::time_point(std::chrono::milliseconds(ms)); }
  operation take(std::int64_t now, std::uint32_t tokens) {
    return spec::take(now, tokens, budget_->try_take(at(now), tokens));
  }

  std::optional<Budget> budget_;
};

}  // namespace holdfast_lin
