// SPDX-License-Identifier: MIT
// retry_budget, bulkhead and backoff: any options and any sequence of calls, against arithmetic without a shared word, a
// clock that wraps or fixed point: R1 and conservation.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "holdfast/policy/backoff.hpp"
#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/policy/retry_budget.hpp"

#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;

// The purse as its header describes it, in 64-bit numbers, and beside it R1 as a sum over every interval.
class purse {
 public:
  explicit purse(const retry_budget_options& o) : o_(o), full_(std::int64_t{o.burst} * 1000), balance_(full_) {}

  // A clock reading older than one already noted earns nothing, and earns nothing twice.
  [[nodiscard]] std::int64_t balance(std::int64_t ms) const {
    return std::min(full_, balance_ + std::max<std::int64_t>(0, ms - noted_) * o_.min_per_second);
  }
  // Into a full purse nothing goes, and nothing is noted.
  void add(std::int64_t milli, std::int64_t ms) {
    if (balance_ == full_) return;
    change(milli, ms);
    note(-milli);
  }
  bool take(std::int64_t milli, std::int64_t ms) {
    if (milli > balance(ms)) return false;
    if (milli == 0) return true;
    change(-milli, ms);
    note(milli);
    return true;
  }

 private:
  void change(std::int64_t by, std::int64_t ms) {
    balance_ = std::min(full_, balance(ms) + by);
    if (ms <= noted_) return;
    note((noted_ - ms) * o_.min_per_second);
    noted_ = ms;
  }
  // The largest sum of consecutive terms (taken, less deposited and earned) is what any interval overdraws.
  void note(std::int64_t term) {
    worst_ = std::max<std::int64_t>(worst_, 0) + term;
    expect(worst_ <= full_, "R1: no interval takes more than burst, deposits and reserve");
  }

  retry_budget_options o_;
  std::int64_t full_;
  std::int64_t balance_;
  std::int64_t noted_ = 0;
  std::int64_t worst_ = 0;
};

void budget(input& in) {
  const retry_budget_options o{.ratio_permille = static_cast<std::uint32_t>(in.below(10'001)),
                               .min_per_second = static_cast<std::uint32_t>(in.number(3) % 1'000'001),
                               .burst = 1 + static_cast<std::uint32_t>(in.number(3) % 67'000)};
  retry_budget mine(o);
  purse oracle(o);
  std::int64_t ns = 0;
  std::int64_t latest = 0;
  std::uint64_t granted = 0;
  std::uint64_t denied = 0;
  std::int64_t quiet_until = std::numeric_limits<std::int64_t>::min();
  std::uint64_t unsaid = 0;
  while (!in.empty()) {
    const std::uint8_t choice = in.byte();
    const auto cost = static_cast<std::uint32_t>(choice >> 6U);
    const auto n = std::int64_t{choice} >> 3U;
    const auto now = time_point(duration(ns));
    switch (choice % 8) {
      case 0: ns += n * 250'000; break;
      case 1: ns += n * 1'000'000'000; break;
      case 2: ns += n * 3'600'000'000'000; break;
      // Back, by less than the day up to which a reading counts as late.
      case 3: ns = std::max({std::int64_t{0}, latest - 80'000'000'000'000, ns - n * 1'000'000'000}); break;
      case 4:
        mine.on_first_attempt(now);
        oracle.add(o.ratio_permille, ns / 1'000'000);
        break;
      case 5:
        // Every other one without a clock: that earns nothing and moves no time.
        n % 2 == 0 ? mine.give_back(now, cost) : mine.give_back(cost);
        oracle.add(std::int64_t{cost} * 1000, n % 2 == 0 ? ns / 1'000'000 : 0);
        break;
      default: {
        const std::uint32_t price = choice % 8 == 6 ? cost : static_cast<std::uint32_t>(in.number(2));
        const bool wanted = oracle.take(std::int64_t{price} * 1000, ns / 1'000'000);
        const budget_answer answer = mine.try_take(now, price);
        expect(answer == wanted, "a take succeeds if the purse holds its price, all or nothing");
        if (price != 0) ++(wanted ? granted : denied);
        if (wanted) {
          expect(!answer.gives_notice, "only who is denied gives notice");
        } else if (answer.gives_notice) {
          expect(ns >= quiet_until, "no two notices in one cool-down");
          expect(answer.held_back == std::min(unsaid, std::uint64_t{cool_down::most_counted}), "what was held back");
          quiet_until = ns + o.notice_every.count();
          unsaid = 0;
        } else {
          expect(ns < quiet_until + cool_down::tick.count(), "a notice when its time has come");
          ++unsaid;
        }
      }
    }
    latest = std::max(latest, ns);
    expect(mine.balance_milli(time_point(duration(ns))) == oracle.balance(ns / 1'000'000),
           "the balance to the thousandth");
  }
  expect(mine.granted() == granted, "each grant is counted");
  expect(mine.denied() == denied, "each refusal is counted");
}

void places(input& in) {
  std::uint32_t limit = 1 + in.byte() % 8U;
  bulkhead room({.limit = limit});
  std::array<bulkhead::permit, 16> held;
  std::array<bool, 16> holds{};
  std::uint32_t out = 0;
  std::uint64_t refused = 0;
  while (!in.empty()) {
    const std::uint8_t choice = in.byte();
    const std::size_t at = choice >> 4U;
    const std::size_t to = in.byte() % 16U;
    switch (choice % 4) {
      case 0: {
        auto permit = room.try_acquire();
        expect(static_cast<bool>(permit) == (out < limit),
               "B1: a place if fewer than the limit are out, and only then");
        if (!permit) ++refused;
        out += permit ? 1U : 0U;
        out -= permit && holds.at(at) ? 1U : 0U;  // what the slot held leaves
        if (permit) held.at(at) = std::move(permit), holds.at(at) = true;
        break;
      }
      case 1:
        held.at(at).release();
        out -= std::exchange(holds.at(at), false) ? 1U : 0U;
        break;
      case 2:
        // B5: to a smaller limit too, or to the largest there is.
        limit = to == 15 ? largest_bulkhead : 1 + static_cast<std::uint32_t>(to);
        room.set_limit(limit);
        break;
      default:
        if (at == to) break;
        held.at(to) = std::move(held.at(at));
        out -= holds.at(to) ? 1U : 0U;
        holds.at(to) = std::exchange(holds.at(at), false);
    }
    expect(room.in_flight() == out, "B2: places free and permits out make up the limit");
    expect(room.limit() == limit, "the limit is what was set");
    for (std::size_t i = 0; i < held.size(); ++i)
      expect(static_cast<bool>(held.at(i)) == holds.at(i), "a permit moves");
  }
  expect(room.refused() == refused, "each refusal is counted");
}

// Always the same word: the lowest, the highest or one in between.
struct loaded_dice {
  std::uint64_t bits;
  std::uint64_t operator()() const { return bits; }
};

void waits(input& in) {
  const backoff_options o{.kind = static_cast<backoff_kind>(in.below(8)),
                          .base = duration(static_cast<std::int64_t>(in.number(8)) >> in.below(64)),
                          .cap = duration(static_cast<std::int64_t>(in.number(8)) >> in.below(64)),
                          .multiplier_permille = static_cast<std::uint32_t>(in.number(4) >> in.below(32)),
                          .spread_permille = static_cast<std::uint32_t>(in.number(2))};
  const auto n = static_cast<std::uint32_t>(in.number(4) >> in.below(32));
  const duration previous(static_cast<std::int64_t>(in.number(8)) >> in.below(64));
  const bool good = o.kind <= backoff_kind::smooth_exponential && o.base.count() >= 0 && o.cap >= o.base &&
                    o.cap <= std::chrono::hours(24) && o.multiplier_permille >= 1000 &&
                    o.multiplier_permille <= 1'000'000 && o.spread_permille <= 1000;
  expect(!validate(o) == good, "validate refuses what is out of its limits, and nothing else");
  if (!good) return;

  const auto base = static_cast<long double>(o.base.count());
  const auto cap = static_cast<long double>(o.cap.count());
  const auto low = delay(o, n, previous, loaded_dice{0}).count();
  const auto high = delay(o, n, previous, loaded_dice{~std::uint64_t{0}}).count();
  const std::uint64_t word = in.number(8);
  const auto some = delay(o, n, previous, loaded_dice{word}).count();
  expect(low >= 0 && low <= some && some <= high, "between its lowest and its highest");
  expect(duration(high) <= longest_delay(o), "never longer than longest_delay");

  // c = min(cap, base * multiplier^n), to the precision of 32 bits behind the point after so many squarings.
  const long double grown =
      o.base.count() == 0 ? 0.0L : base * std::pow(static_cast<long double>(o.multiplier_permille) / 1000, n);
  const long double c = std::min(cap, grown);
  const long double off = 1 + c * (static_cast<long double>(n) + 64) * 0x1p-30L;
  const auto is = [](std::int64_t value, long double wanted, long double tolerance) {
    return std::fabs(static_cast<long double>(value) - wanted) <= tolerance;
  };
  const long double linear = std::min(cap, base * (static_cast<long double>(n) + 1));
  const std::int64_t before = std::clamp(previous.count(), o.base.count(), o.cap.count());
  const auto spread = static_cast<long double>(o.spread_permille) / 1000;
  switch (o.kind) {
    case backoff_kind::constant: expect(low == o.base.count() && high == low, "constant: base"); break;
    case backoff_kind::linear: expect(is(low, linear, 1) && high == low, "linear: base, twice, three times"); break;
    case backoff_kind::exponential: expect(is(low, c, off) && high == low, "exponential: c"); break;
    case backoff_kind::full_jitter: expect(low == 0 && is(high, c, off), "full jitter: 0 to c"); break;
    case backoff_kind::equal_jitter: expect(is(low, c / 2, off) && is(high, c, off), "equal jitter: c/2 to c"); break;
    case backoff_kind::decorrelated:
      expect(low == o.base.count(), "decorrelated: from base");
      expect(is(high, std::min(cap, 3 * static_cast<long double>(before)), 3), "to three times the wait before");
      break;
    case backoff_kind::proportional:
      expect(is(low, c * (1 - spread), off + 1) && is(high, c * (1 + spread), 2 * off + 1), "proportional: both ways");
      break;
    case backoff_kind::smooth_exponential: {
      // In units of base / 1.4 * 2^(n - 1), which may be beyond all numbers.
      const auto curve = [n](long double t) { return 2 * std::exp2(t) * std::tanh(2 * std::sqrt(n + t)); };
      const long double range = curve(1) - (n == 0 ? 0 : curve(-1));
      const long double most = std::min(cap, base == 0 ? 0 : base / 2.8L * range * std::pow(2.0L, n));
      const auto follows = [&](std::int64_t value, std::uint64_t drawn) {
        const long double begin = n == 0 ? 0 : curve(-static_cast<long double>(drawn & 0xFFFF'FFFFU) * 0x1p-32L);
        const long double end = curve(static_cast<long double>(drawn >> 32U) * 0x1p-32L);
        return is(value, most * (end - begin) / range, 2 + most * (static_cast<long double>(n) + 64) * 0x1p-28L);
      };
      expect(low == 0, "smooth exponential: from 0");
      expect(follows(some, word) && follows(high, ~std::uint64_t{0}), "along its curve");
      break;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  switch (in.byte() % 3) {
    case 0: budget(in); break;
    case 1: places(in); break;
    default: waits(in); break;
  }
  return 0;
}
