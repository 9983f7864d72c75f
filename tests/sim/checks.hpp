// SPDX-License-Identifier: MIT
// What the simulations are judged by: windows over times, the promises that hold in every world with policies, and how
// many seeds there are. HOLDFAST_LONG=1 asks for many.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "chain_world.hpp"

namespace sim {

inline std::uint64_t seeds(std::uint64_t usual, std::uint64_t in_a_long_run) noexcept {
  const char* const wish = std::getenv("HOLDFAST_LONG");
  return wish != nullptr && *wish != '\0' && std::string_view(wish) != "0" ? in_a_long_run : usual;
}

constexpr duration since_start(time_point t) noexcept {
  return t - timeline::zero;
}

// The most of `times` (in order, from `from` on) that lie in any half-open window of length `width`.
template <class Times, class At>
std::size_t fullest_window(const Times& times, duration width, time_point from, At at) {
  std::size_t most = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < times.size(); ++i) {
    if (at(times[i]) < from) {
      first = i + 1;
      continue;
    }
    while (at(times[first]) <= at(times[i]) - width) ++first;
    most = std::max(most, i - first + 1);
  }
  return most;
}

// How much of what the store may be sent under total failure it was sent, in the second where that was most; 1: all of it.
// That is its calls of that second, a `ratio` of them, and what the purse holds and earns. A retry is paid for when it is
// decided and sent up to `longest_wait` later, so the calls and the time that may have paid for it begin so much earlier.
struct amplification {
  double of_bound = 0;
  double of_calls = 0;  // in a second with calls enough to say so
};
inline amplification worst_amplification(const std::vector<server::arrival>& sent,
                                         const holdfast::retry_budget_options& budget, duration longest_wait) {
  constexpr duration window = std::chrono::seconds(1);
  amplification worst;
  std::size_t first = 0;
  std::size_t first_paying = 0;
  std::uint64_t calls = 0;
  std::uint64_t paying = 0;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    calls += sent[i].first ? 1U : 0U;
    paying += sent[i].first ? 1U : 0U;
    for (; sent[first].at <= sent[i].at - window; ++first) calls -= sent[first].first ? 1U : 0U;
    for (; sent[first_paying].at <= sent[i].at - window - longest_wait; ++first_paying) {
      paying -= sent[first_paying].first ? 1U : 0U;
    }
    const auto all = static_cast<double>(i - first + 1);
    const double earned = std::chrono::duration<double>(window + longest_wait).count() * budget.min_per_second;
    const double most = static_cast<double>(calls) + static_cast<double>(paying) * budget.ratio_permille / 1000.0 +
                        budget.burst + earned;
    worst.of_bound = std::max(worst.of_bound, all / most);
    if (calls >= 100) worst.of_calls = std::max(worst.of_calls, all / static_cast<double>(calls));
  }
  return worst;
}

// The same where it is paid: of the tokens that the budget may pay in a second, how many it paid, at most.
inline double worst_payment(const layer& of, const holdfast::retry_budget_options& budget) {
  double worst = 0;
  const auto& calls = of.calls_begun();
  const auto& granted = of.retries();
  std::size_t first = 0;
  std::size_t first_call = 0;
  std::size_t next_call = 0;
  std::uint64_t paid = 0;
  for (std::size_t i = 0; i < granted.size(); ++i) {
    const time_point begins = granted[i].at - std::chrono::seconds(1);
    paid += granted[i].price;
    for (; granted[first].at <= begins; ++first) paid -= granted[first].price;
    while (next_call < calls.size() && calls[next_call] <= granted[i].at) ++next_call;
    while (first_call < next_call && calls[first_call] <= begins) ++first_call;
    // A second has parts of 1,001 milliseconds.
    const double most = budget.burst + static_cast<double>(next_call - first_call) * budget.ratio_permille / 1000.0 +
                        budget.min_per_second * 1.001;
    worst = std::max(worst, static_cast<double>(paid) / most);
  }
  return worst;
}

// Of the clients who asked in [from, to), how many were served in time, in percent.
inline double served_percent(const chain_world& world, duration from, duration to) {
  std::uint64_t asked = 0;
  std::uint64_t served = 0;
  for (const wish& w : world.clients().wishes()) {
    if (since_start(w.sent) < from || since_start(w.sent) >= to) continue;
    ++asked;
    served += w.in_time() ? 1U : 0U;
  }
  return asked == 0 ? 0 : 100.0 * static_cast<double>(served) / static_cast<double>(asked);
}

}  // namespace sim
