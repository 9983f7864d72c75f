// SPDX-License-Identifier: MIT
// lin_windows: runs windows of every part and prints a line for each; exit code 1 if one is not linearizable.
//
//   --windows N    in all, over the parts by their shares (default: $HOLDFAST_LIN_WINDOWS; --default-windows; 200000)
//   --seed S       of the scripts (default 1)
//   --seconds T    stops after this many, with what there is by then (default 300)
//   --part TEXT    only the parts whose name contains it, all windows to be divided among them
//   --strict       fails also if there were fewer windows than asked for, or less than 85 % of them overlapped
//   --faults       instead: runs parts with a fault in them; fails unless a window shows each
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "parts.hpp"
#include "support/proof_fact.hpp"

namespace holdfast_lin {
namespace {

struct arguments {
  std::uint64_t windows = 0;
  std::uint64_t seed = 1;
  std::uint64_t seconds = 300;
  std::string_view part;
  bool strict = false;
  bool faults = false;
};

bool read_number(std::string_view text, std::uint64_t& to) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
  return error == std::errc{} && end == text.data() + text.size();
}

bool read_arguments(int argc, char** argv, arguments& to) {
  std::uint64_t default_windows = 200'000;
  std::uint64_t wanted = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const std::string_view value = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--strict") {
      to.strict = true;
    } else if (name == "--faults") {
      to.faults = true;
    } else if (name == "--part") {
      to.part = value;
      ++i;
    } else {
      std::uint64_t* const number = name == "--windows"           ? &wanted
                                    : name == "--default-windows" ? &default_windows
                                    : name == "--seed"            ? &to.seed
                                    : name == "--seconds"         ? &to.seconds
                                                                  : nullptr;
      if (number == nullptr || !read_number(value, *number)) return false;
      ++i;
    }
  }
  const char* const environment = std::getenv("HOLDFAST_LIN_WINDOWS");
  if (wanted == 0 && environment != nullptr && !read_number(environment, wanted)) return false;
  to.windows = wanted != 0 ? wanted : default_windows;
  return true;
}

double percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

void print(const char* name, const window_totals& t) {
  std::printf("LIN %s: windows=%llu overlapping=%.1f%% failures=%llu (%.1f s, %.0f windows/s, %.1f operations each)\n",
              name, static_cast<unsigned long long>(t.windows), percent(t.overlapping, t.windows),
              static_cast<unsigned long long>(t.failures), t.seconds, static_cast<double>(t.windows) / t.seconds,
              t.windows == 0 ? 0.0 : static_cast<double>(t.operations) / static_cast<double>(t.windows));
  std::fflush(stdout);
}

std::vector<window_part> parts_named(const arguments& asked) {
  std::vector<window_part> all;
  const auto add = [&](std::span<const window_part> some) {
    std::copy_if(some.begin(), some.end(), std::back_inserter(all), [&](const window_part& p) {
      return std::string_view(p.name).find(asked.part) != std::string_view::npos;
    });
  };
  if (asked.faults) {
    add(faulty_parts());
  } else {
    for (const auto table : {queue_parts, mpmc_parts, broadcast_parts, bulkhead_parts, budget_parts, rate_parts,
                             breaker_parts, cache_parts})
      add(table());
  }
  return all;
}

bool run_all(const arguments& asked, const std::vector<window_part>& parts, const stamp_clock& clock) {
  std::uint64_t shares = 0;
  for (const window_part& p : parts) shares += p.share;
  if (shares == 0) return false;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(asked.seconds);
  std::uint64_t shares_left = shares;
  window_totals sum;
  for (const window_part& p : parts) {
    // Of the time that is left, as of the windows: a slow machine does less of every part, not all of the first few.
    const auto now = std::chrono::steady_clock::now();
    const window_options options{.windows = asked.windows * p.share / shares,
                                 .seed = asked.seed,
                                 .end = now + (end - now) * p.share / shares_left};
    shares_left -= p.share;
    const window_totals t = p.run(p.name, options, clock);
    print(p.name, t);
    sum.windows += t.windows;
    sum.overlapping += t.overlapping;
    sum.operations += t.operations;
    sum.failures += t.failures;
    sum.seconds += t.seconds;
  }
  print("all", sum);
  using test_support::proof_fact;
  if (!proof_fact("lin.windows", sum.windows, "windows") ||
      !proof_fact("lin.overlapping_percent", static_cast<std::uint64_t>(percent(sum.overlapping, sum.windows)), "%") ||
      !proof_fact("lin.failures", sum.failures, "windows")) {
    return false;
  }
  if (sum.windows < asked.windows) {
    std::printf("LIN: stopped after %llu s with fewer windows than asked for\n",
                static_cast<unsigned long long>(asked.seconds));
    if (asked.strict) return false;
  }
  if (asked.strict && percent(sum.overlapping, sum.windows) < 85) {
    std::printf("LIN: less than 85 %% of the windows overlapped\n");
    return false;
  }
  return sum.failures == 0 && sum.windows != 0;
}

// A fault may need threads that meet in a certain way: each part goes on until a window shows it.
bool all_faults_shown(const arguments& asked, const std::vector<window_part>& parts, const stamp_clock& clock) {
  std::size_t shown = 0;
  for (const window_part& p : parts) {
    const auto limit = std::chrono::seconds(std::max<std::uint64_t>(1, asked.seconds / parts.size()));
    const window_options options{.windows = ~std::uint64_t{0} / 2,
                                 .seed = asked.seed,
                                 .end = std::chrono::steady_clock::now() + limit,
                                 .most_failures = 1,
                                 .tell = false};
    const window_totals t = p.run(p.name, options, clock);
    std::printf("LIN fault %s: %s within %llu windows (%.2f s)\n", p.name, t.failures != 0 ? "caught" : "NOT CAUGHT",
                static_cast<unsigned long long>(t.windows), t.seconds);
    std::fflush(stdout);
    shown += t.failures != 0 ? 1U : 0U;
  }
  std::printf("LIN faults: %zu of %zu caught\n", shown, parts.size());
  return shown == parts.size() && shown != 0;
}

}  // namespace
}  // namespace holdfast_lin

int main(int argc, char** argv) {
  using namespace holdfast_lin;
  arguments asked;
  if (!read_arguments(argc, argv, asked)) {
    std::fputs("usage: lin_windows [--windows N] [--seed S] [--seconds T] [--part TEXT] [--strict] [--faults]\n",
               stderr);
    return 2;
  }
  const stamp_clock clock = best_stamp_clock();
  const std::vector<window_part> parts = parts_named(asked);
  std::printf("LIN stamps by %s, seed %llu\n", clock.uses_counter() ? "the time stamp counter" : "steady_clock",
              static_cast<unsigned long long>(asked.seed));
  return (asked.faults ? all_faults_shown : run_all)(asked, parts, clock) ? 0 : 1;
}
