// SPDX-License-Identifier: MIT
// backoff: how long to wait before retry n, as a pure function of the options, n, the wait before, and random bits.
//
//   operation   progress    cost                 allocates   notes
//   delay       wait-free   O(log n), n < 2^32   never       always in [0, longest_delay(options)]
//   validate    constexpr   O(1)                 never       empty: valid
//
// In short: any thread | wait-free | never | -
//
//   kind                 delay before retry n (0 is the first); c = min(cap, base * multiplier^n)
//   constant             base
//   linear               min(cap, base * (n + 1))
//   exponential          c
//   full_jitter          U(0, c)                                       the default
//   equal_jitter         c/2 + U(0, c/2)
//   decorrelated         U(base, min(cap, 3 * previous)), previous = base at first
//   proportional         c * U(1 - spread, 1 + spread)
//   smooth_exponential   h(n + U(0, 1)) - h(n - 1 + U(0, 1)), at first h(U(0, 1)); scaled down where that could pass cap;
//                        h(t) = base / 1.4 * 2^t * tanh(2 * sqrt(t))
//
// The cap is applied before the jitter, everywhere. Clamping afterwards, as most libraries do, piles the clients that
// failed together onto one instant: at the cap, 34 % (decorrelated as first published) to 99 % of them in one tenth of
// a second. For the same reason decorrelated and smooth_exponential cap their range and not their result. So
// proportional may exceed `cap` by its spread.
//
// When to use which: full_jitter spreads a crowd best. equal_jitter and proportional where a retry must not come at
// once. constant and linear for one client against a local resource (a busy database file), where there is no crowd.
// decorrelated where the wait should forget n. smooth_exponential where waits should come without steps: over all
// retries a crowd is spread without bumps and gaps, and half of it waits less than about `base` for its first retry.
//
// Method: integers only. base * multiplier^n is taken by squaring in 32.32 fixed point and saturates; no n, base or cap
// that validate() lets through can overflow. Sources: Brooker, "Exponential backoff and jitter", AWS 2015 (full, equal,
// decorrelated); gRPC proposal A6 (proportional); Polly's DecorrelatedJitterBackoffV2 (smooth_exponential), which keeps
// the point that the wait before ended at; here it is drawn anew, so that each wait is distributed as there and nothing
// is kept, and its range has a cap. tanh and the roots come from powers of two, to eight digits.
// Proof: unit/backoff_test.cpp (R3 jitter survives the cap, R4 no overflow for n up to 2^32).
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

enum class backoff_kind : std::uint8_t {
  constant,
  linear,
  exponential,
  full_jitter,
  equal_jitter,
  decorrelated,
  proportional,
  smooth_exponential
};

constexpr std::string_view name_of(backoff_kind kind) noexcept {
  switch (kind) {
    case backoff_kind::constant: return "constant";
    case backoff_kind::linear: return "linear";
    case backoff_kind::exponential: return "exponential";
    case backoff_kind::full_jitter: return "full_jitter";
    case backoff_kind::equal_jitter: return "equal_jitter";
    case backoff_kind::decorrelated: return "decorrelated";
    case backoff_kind::proportional: return "proportional";
    case backoff_kind::smooth_exponential: return "smooth_exponential";
  }
  return "unknown";
}

struct backoff_options {
  backoff_kind kind = backoff_kind::full_jitter;
  duration base = std::chrono::milliseconds(50);
  duration cap = std::chrono::seconds(10);
  std::uint32_t multiplier_permille = 2000;  // exponential, full_jitter, equal_jitter, proportional
  std::uint32_t spread_permille = 200;       // proportional
};
static_assert(std::is_aggregate_v<backoff_options>);

constexpr option_error validate(const backoff_options& o) noexcept {
  constexpr duration longest_cap = std::chrono::hours(24);
  return first_of(
      at_most("kind", static_cast<std::int64_t>(o.kind), static_cast<int>(backoff_kind::smooth_exponential)),
      at_least("base", o.base.count(), 0), at_least("cap", o.cap.count(), o.base.count()),
      at_most("cap", o.cap.count(), longest_cap.count()), at_least("multiplier_permille", o.multiplier_permille, 1000),
      at_most("multiplier_permille", o.multiplier_permille, 1'000'000),
      at_most("spread_permille", o.spread_permille, 1000));
}

namespace backoff_math {
__extension__ using wide = unsigned __int128;

constexpr int width(wide x) noexcept {
  const auto high = static_cast<std::uint64_t>(x >> 64U);
  return high != 0 ? 64 + static_cast<int>(std::bit_width(high))
                   : static_cast<int>(std::bit_width(static_cast<std::uint64_t>(x)));
}

// min(cap, base * (multiplier / 1000)^n)
constexpr std::uint64_t grown(std::uint64_t base, std::uint64_t cap, std::uint32_t multiplier_permille,
                              std::uint32_t n) noexcept {
  if (base == 0) return 0;
  wide factor = wide{1} << 32U;
  wide square = (wide{multiplier_permille} << 32U) / 1000U;
  // Two numbers whose product needs more than 128 bits make a factor above 2^62, past every cap in nanoseconds.
  for (; n != 0; n >>= 1U) {
    if ((n & 1U) != 0) {
      if (width(factor) + width(square) > 128) return cap;
      factor = (factor * square) >> 32U;
      if ((factor >> 32U) >= cap) return cap;
    }
    if (n > 1) {
      if (2 * width(square) > 128) return cap;
      square = (square * square) >> 32U;
    }
  }
  return static_cast<std::uint64_t>(std::min<wide>(cap, (wide{base} * factor) >> 32U));
}

// From here on all numbers are 32.32 fixed point.
constexpr std::uint64_t one = std::uint64_t{1} << 32U;

// 2^x for x <= 1: the series of e^(x ln 2), with 60 bits behind the point.
constexpr std::uint64_t power_of_two(std::uint64_t x) noexcept {
  constexpr std::uint64_t ln2 = 0xB17217F7D1CF79AB;  // 64 bits behind the point
  const wide exponent = (wide{x} * ln2) >> 36U;
  wide term = wide{1} << 60U;
  wide sum = term;
  for (unsigned k = 1; k <= 16; ++k) {
    term = ((term * exponent) >> 60U) / k;
    sum += term;
  }
  return static_cast<std::uint64_t>((sum + (1U << 27U)) >> 28U);  // rounded: 2^1 is exactly 2
}

// Of an integer of at most 72 bits, rounded down.
constexpr std::uint64_t square_root(wide x) noexcept {
  std::uint64_t root = 0;
  for (std::uint64_t bit = std::uint64_t{1} << 35U; bit != 0; bit >>= 1U) {
    if (wide{root | bit} * (root | bit) <= x) root |= bit;
  }
  return root;
}

// tanh(2 sqrt(t)) = 1 - 2 / (e^(4 sqrt(t)) + 1)
constexpr std::uint64_t tanh_of_two_roots(std::uint64_t t) noexcept {
  if (t >= 64 * one) return one;                        // 1 - 10^-13
  constexpr std::uint64_t log2_e = 0x171547652B82FE17;  // 60 bits behind the point
  const wide power = (wide{square_root(wide{t} << 32U)} * 4 * log2_e) >> 60U;
  const wide e = wide{power_of_two(static_cast<std::uint64_t>(power % one))} << static_cast<unsigned>(power / one);
  return one - static_cast<std::uint64_t>((wide{2} << 64U) / (e + one));
}

// `word` holds two numbers from 0 to 1: the higher half, and what the lower half leaves of 1. So a lower word is never a
// longer wait when one half stays as it is, 0 is the shortest one and the largest word the longest.
constexpr std::uint64_t smooth(std::uint64_t base, std::uint64_t cap, std::uint32_t n, std::uint64_t word) noexcept {
  // h / base * 1.4 in units of 2^(n - 1). From some n on the hyperbolic tangent is 1 and only the unit grows.
  const std::uint64_t index = std::min(n, 100U);
  const auto scaled = [](std::uint64_t whole, std::uint64_t fraction) {
    return static_cast<std::uint64_t>((wide{power_of_two(fraction)} * tanh_of_two_roots(whole * one + fraction)) >>
                                      32U);
  };
  const std::uint64_t end = 2 * scaled(index, word >> 32U);
  const std::uint64_t begin = n == 0 ? 0 : scaled(index - 1, one - (word & (one - 1)));
  const std::uint64_t range =
      4 * tanh_of_two_roots((index + 1) * one) - (n == 0 ? 0 : tanh_of_two_roots((index - 1) * one));
  // The range is cut to the cap and not what is drawn from it. It is longer than base * 2^n.
  const wide uncut = (wide{grown(base, cap, 2000, n)} * range * 5 / 14) >> 32U;
  const auto longest = static_cast<std::uint64_t>(std::min<wide>(cap, uncut));
  const std::uint64_t share = std::min(std::max(end, begin) - begin, range);
  return static_cast<std::uint64_t>(wide{longest} * share / range);
}
}  // namespace backoff_math

// The longest wait that delay() can return.
constexpr duration longest_delay(const backoff_options& o) noexcept {
  if (o.kind == backoff_kind::constant) return o.base;
  if (o.kind != backoff_kind::proportional) return o.cap;
  return o.cap + duration(o.cap.count() / 1000 * o.spread_permille + o.cap.count() % 1000 * o.spread_permille / 1000);
}

// The wait before retry `retry_index` (0: the first). `previous` is the wait before it, zero at first; only
// decorrelated looks at it.
template <class G>
  requires random_bits<G>
[[nodiscard]] constexpr duration delay(const backoff_options& o, std::uint32_t retry_index, duration previous,
                                       G&& bits) noexcept {
  HOLDFAST_ASSERT(!validate(o));
  using backoff_math::wide;
  const auto base = static_cast<std::uint64_t>(o.base.count());
  const auto cap = static_cast<std::uint64_t>(o.cap.count());
  const auto to_duration = [](std::uint64_t ns) { return duration(static_cast<std::int64_t>(ns)); };
  switch (o.kind) {
    case backoff_kind::constant: return o.base;
    case backoff_kind::linear:
      return to_duration(static_cast<std::uint64_t>(std::min<wide>(cap, wide{base} * (wide{retry_index} + 1))));
    case backoff_kind::decorrelated: {
      const auto before = static_cast<std::uint64_t>(std::clamp(previous, o.base, o.cap).count());
      const std::uint64_t top = before >= cap / 3 ? cap : std::max(base, before * 3);
      return to_duration(base + uniform_up_to(bits, top - base));
    }
    case backoff_kind::smooth_exponential: return to_duration(backoff_math::smooth(base, cap, retry_index, bits()));
    case backoff_kind::exponential:
    case backoff_kind::full_jitter:
    case backoff_kind::equal_jitter:
    case backoff_kind::proportional: break;
  }
  const std::uint64_t c = backoff_math::grown(base, cap, o.multiplier_permille, retry_index);
  switch (o.kind) {
    case backoff_kind::full_jitter: return to_duration(uniform_up_to(bits, c));
    case backoff_kind::equal_jitter: return to_duration(c - c / 2 + uniform_up_to(bits, c / 2));
    case backoff_kind::proportional: {
      const auto spread = static_cast<std::uint64_t>((wide{c} * o.spread_permille) / 1000U);
      return to_duration(c - spread + uniform_up_to(bits, 2 * spread));
    }
    default: return to_duration(c);
  }
}

}  // namespace holdfast
