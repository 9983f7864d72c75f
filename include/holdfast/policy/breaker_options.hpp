// SPDX-License-Identifier: MIT
// circuit_breaker_options: when a circuit breaker opens, for how long, and how it tries again.
//
// An aggregate; every default is sensible. validate() names the field that is wrong, its value and its limit, and is
// constexpr: `static_assert(!validate(my_options))` refuses a constant mistake at compile time.
//
// Proof: unit/circuit_breaker_test.cpp.
#pragma once

#include <chrono>
#include <cstdint>
#include <type_traits>

#include "holdfast/core/option_error.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

// What happens when every probe is out and the lease of the youngest has passed without a report.
enum class lease_expiry : std::uint8_t {
  renew,   // the lost probes are forgotten and new ones are let through
  reopen,  // a lost probe counts as a failed one
};

struct circuit_breaker_options {
  // Opens at this many failures in a row, whatever the time between them; 0: off; at most 511.
  std::uint16_t consecutive_failures = 0;
  // Opens when at least this share of the calls in the window failed, in thousandths; 0: off.
  std::uint16_t failure_permille = 500;
  // A call whose report says that it took so long, or longer, is a slow one, whether it succeeded or failed; 0: none is; at
  // most an hour.
  duration slow_call{0};
  // Opens when at least this share of the calls in the window were slow, in thousandths; 0: off, they are only counted.
  std::uint16_t slow_permille = 0;
  // ... both shares provided that the window holds this many calls.
  std::uint32_t min_calls = 20;
  // How long a result counts: at least this long, at most a fifteenth longer.
  duration window = std::chrono::seconds(10);
  // A second window: of the last so many calls that say something, whenever they were; 0: none; at most 1024. It has shares of
  // its own, and each result is one exchange of a word that all threads share (policy/count_window.hpp).
  std::uint16_t last_calls = 0;
  // Opens when at least this share of the last calls failed, in thousandths; 0: off.
  std::uint16_t last_failure_permille = 0;
  // Opens when at least this share of the last calls were slow, in thousandths; 0: off.
  std::uint16_t last_slow_permille = 0;
  // ... both provided that there were this many since the circuit closed; at most last_calls.
  std::uint16_t last_min_calls = 20;
  // Half-open, this many calls are let through, and as many successes close the circuit; at most 31.
  std::uint8_t probes = 3;
  // How long a probe may go without a report before its place is given to another. Longer than the call's own timeout.
  duration probe_lease = std::chrono::seconds(5);
  lease_expiry on_lease_over = lease_expiry::renew;
  // Open time: open_base doubled with each opening not yet forgotten, cut to open_max, and then jittered by this many
  // thousandths either way.
  duration open_base = std::chrono::seconds(1);
  duration open_max = std::chrono::seconds(60);
  std::uint16_t jitter_permille = 100;
  // One opening is forgotten for each such span of closed time with a success in it.
  duration healthy_decay = std::chrono::seconds(60);
  // A throttled call (HTTP 429) says nothing about health; with this it counts as a failure.
  bool throttled_is_failure = false;
  // Breakers with the same seed and history jitter alike: give each its own, or they wake in step.
  std::uint64_t seed = 1;
};
static_assert(std::is_aggregate_v<circuit_breaker_options>);

constexpr option_error validate(const circuit_breaker_options& o) noexcept {
  using std::chrono::hours;
  using std::chrono::milliseconds;
  const auto shortest = [](std::string_view field, duration value, duration limit) {
    return at_least(field, value.count(), limit.count());
  };
  const auto longest = [](std::string_view field, duration value, duration limit) {
    return at_most(field, value.count(), limit.count());
  };
  return first_of(
      at_most("consecutive_failures", o.consecutive_failures, 511),
      // A breaker without a rule would never open.
      at_least("failure_permille", o.failure_permille,
               o.consecutive_failures == 0 && o.slow_permille == 0 && o.last_calls == 0 ? 1 : 0),
      at_most("failure_permille", o.failure_permille, 1000), at_most("slow_permille", o.slow_permille, 1000),
      // A share of slow calls without a word on which are slow would never be reached.
      shortest("slow_call", o.slow_call, duration(o.slow_permille != 0 || o.last_slow_permille != 0 ? 1 : 0)),
      longest("slow_call", o.slow_call, hours(1)), at_least("min_calls", o.min_calls, 1),
      at_most("min_calls", o.min_calls, 1'000'000'000), shortest("window", o.window, milliseconds(100)),
      longest("window", o.window, hours(1)),
      // A share without calls that it is of, and calls without a share of them.
      at_least("last_calls", o.last_calls, o.last_failure_permille != 0 || o.last_slow_permille != 0 ? 1 : 0),
      at_most("last_calls", o.last_calls, 1024),
      at_least("last_failure_permille", o.last_failure_permille,
               o.last_calls != 0 && o.last_slow_permille == 0 ? 1 : 0),
      at_most("last_failure_permille", o.last_failure_permille, 1000),
      at_most("last_slow_permille", o.last_slow_permille, 1000), at_least("last_min_calls", o.last_min_calls, 1),
      at_most("last_min_calls", o.last_min_calls, o.last_calls != 0 ? o.last_calls : 1024),
      at_least("probes", o.probes, 1), at_most("probes", o.probes, 31),
      shortest("probe_lease", o.probe_lease, milliseconds(2)), longest("probe_lease", o.probe_lease, hours(1)),
      static_cast<std::uint8_t>(o.on_lease_over) <= 1
          ? option_error{}
          : option_error{"on_lease_over", static_cast<std::uint8_t>(o.on_lease_over), "renew (0) or reopen (1)", 1},
      shortest("open_base", o.open_base, milliseconds(2)), shortest("open_max", o.open_max, o.open_base),
      longest("open_max", o.open_max, hours(24)), at_most("jitter_permille", o.jitter_permille, 1000),
      shortest("healthy_decay", o.healthy_decay, milliseconds(2)),
      longest("healthy_decay", o.healthy_decay, hours(24)));
}
static_assert(!validate(circuit_breaker_options{}));

}  // namespace holdfast
