// SPDX-License-Identifier: MIT
// rate_limiter: any options, and any sequence of calls by clocks that go as they like, against a bucket of time in 128-bit
// numbers that remembers every grant: every answer, and G1 as a sum over every interval.
#include <vector>

#include "holdfast/policy/rate_limiter.hpp"

#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;

__extension__ using wide = __int128;

constexpr wide day = 86'400'000'000'000;

wide period_of(const rate_limiter_options& o) {
  return (wide{o.per.count()} + o.permits - 1) / o.permits;
}

void options(input& in) {
  const rate_limiter_options o{.permits = static_cast<std::uint32_t>(in.number(4) >> in.below(32)),
                               .per = duration(static_cast<std::int64_t>(in.number(8) >> in.below(64))),
                               .burst = static_cast<std::uint32_t>(in.number(4) >> in.below(32))};
  bool good = o.permits >= 1 && o.permits <= 1'000'000'000 && o.per.count() >= o.permits && o.per.count() <= day;
  good =
      good && period_of(o) < (wide{1} << 42U) && o.burst >= 1 && o.burst < (1U << 22U) && period_of(o) * o.burst <= day;
  const option_error wrong = validate(o);
  expect(!wrong == good, "validate refuses what is out of its limits, and nothing else");
  if (!good) {
    const std::int64_t value = wrong.field == "permits" ? o.permits : wrong.field == "per" ? o.per.count() : o.burst;
    expect(wrong.value == value, "it says the value of the field that it names");
    expect(wrong.relation == "at least" ? value < wrong.limit : value > wrong.limit, "which is beyond the limit");
    return;
  }
  rate_limiter limiter(o);
  const time_point now(duration(static_cast<std::int64_t>(in.number(8)) / 4));
  expect(limiter.snapshot(now).available == o.burst, "at the start there is a burst");
  expect(static_cast<bool>(limiter.try_take(now, o.burst)), "which can be taken");
  const rate_answer refusal = limiter.try_take(now);
  expect(refusal.code == errc::rate_limited && refusal.retry_after.count() == period_of(o), "and then one each period");
  expect(limiter.try_take(now, o.burst + 1).code == errc::rate_infeasible, "more than a burst is never granted");
}

// So much time is in it at the time that was noted last; a permit takes a period of it.
class bucket {
 public:
  explicit bucket(const rate_limiter_options& o) : period_(period_of(o)), burst_(o.burst), level_(full()) {}

  [[nodiscard]] wide full() const { return period_ * burst_; }
  // At an older time there was less in it.
  [[nodiscard]] wide level(wide now) const { return std::min(full(), level_ + (now - noted_)); }
  [[nodiscard]] wide wait(wide now, std::uint32_t cost) const {
    return cost == 0 ? 0 : std::max<wide>(0, cost * period_ - level(now));
  }
  [[nodiscard]] wide period() const { return period_; }
  [[nodiscard]] std::uint32_t burst() const { return burst_; }

  struct grant {
    wide start;
    wide noted, level;  // what the bucket was before, and goes back to
    wide full_at;       // as the take left it
    std::uint32_t cost;
    bool used = true;
  };
  // The number of the grant.
  std::size_t take(wide now, std::uint32_t cost) {
    grants_.push_back({now + wait(now, cost), noted_, level_, 0, cost});
    level_ = level(now) - cost * period_;
    noted_ = now;
    grants_.back().full_at = full_at();
    return grants_.size() - 1;
  }
  // Where the bucket is as this one left it.
  bool give_back(std::size_t which) {
    grant& g = grants_.at(which);
    if (!g.used || g.full_at != full_at()) return false;
    g.used = false;
    level_ = g.level;
    noted_ = g.noted;
    return true;
  }
  // What is owed stays owed in time, and a nanosecond more, but not much more than a burst of the new rate.
  void change(wide now, const rate_limiter_options& o) {
    const wide owed = full_at() - now;
    period_ = period_of(o);
    burst_ = o.burst;
    level_ = full() - (owed > full() + 1 ? full() : owed) - 1;
    noted_ = now;
    grants_.clear();
  }
  void judge() const {
    for (const grant& a : grants_) {
      for (const grant& b : grants_) {
        wide permits = 0;
        for (const grant& g : grants_) permits += g.used && g.start >= a.start && g.start <= b.start ? g.cost : 0;
        expect(b.start < a.start || permits <= burst_ + (b.start - a.start) / period_,
               "G1: no interval has more than the burst and what it earned");
      }
    }
  }

 private:
  [[nodiscard]] wide full_at() const { return noted_ + full() - level_; }

  wide period_;
  std::uint32_t burst_;
  wide level_;
  wide noted_ = -(wide{1} << 62U);
  std::vector<grant> grants_;
};

rate_limiter_options some_options(input& in) {
  constexpr duration periods[] = {duration(1), duration(3), duration(1'000), duration(333'333'334),
                                  duration(gcra::longest_period)};
  return {.permits = 1, .per = periods[in.below(5)], .burst = 1 + static_cast<std::uint32_t>(in.below(6))};
}

void calls(input& in) {
  rate_limiter_options o = some_options(in);
  rate_limiter mine(o);
  bucket oracle(o);
  struct held {
    rate_reservation reservation;
    std::size_t number;
  };
  std::vector<held> reserved;
  std::int64_t ns = 0;
  const auto refused_as = [&](errc code, duration told, std::uint32_t cost, wide longest) {
    if (cost > oracle.burst()) {
      expect(code == errc::rate_infeasible && told.count() == 0, "more than a burst is never granted");
      return true;
    }
    const wide wait = oracle.wait(ns, cost);
    if (wait <= longest) {
      expect(code == errc{} && told.count() == 0, "what is there in time is granted");
      return false;
    }
    expect(code == errc::rate_limited && told.count() == wait - longest, "what is not is refused until it would be");
    return true;
  };
  while (!in.empty()) {
    const std::uint8_t choice = in.byte();
    const auto n = std::int64_t{choice} >> 3U;
    const auto cost = static_cast<std::uint32_t>(n % 8);
    const auto now = time_point(duration(ns));
    switch (choice % 8) {
      case 0: ns += n * o.per.count() / 4; break;
      case 1: ns += n * o.per.count(); break;
      case 2: ns = std::max(ns - n * o.per.count() / 3, -(std::int64_t{1} << 60U)); break;
      case 3: {
        const rate_limiter_options next = some_options(in);
        mine.set_rate(now, next);
        if (next.per != o.per || next.burst != o.burst) {
          oracle.judge();
          oracle.change(ns, next);
          reserved.clear();  // what is out when the rate changes is used
        }
        o = next;
        break;
      }
      case 4: {
        const auto longest = std::min<std::int64_t>(in.byte() * o.per.count() / 4, gcra::longest_full);
        const rate_reservation r = mine.reserve(now, duration(longest), cost);
        if (refused_as(r.code, r.retry_after, cost, longest)) break;
        expect(r.starts_at.time_since_epoch().count() == ns + oracle.wait(ns, cost), "it begins when it is there");
        if (cost != 0) reserved.push_back({r, oracle.take(ns, cost)});
        break;
      }
      case 5: {
        if (reserved.empty()) break;
        const auto at = static_cast<std::size_t>(n) % reserved.size();
        held one = reserved[at];
        reserved.erase(reserved.begin() + static_cast<std::ptrdiff_t>(at));
        expect(mine.give_back(one.reservation) == oracle.give_back(one.number),
               "what nobody took after can be given back");
        expect(!mine.give_back(one.reservation), "once");
        break;
      }
      case 6: {
        auto a = mine.admit(now, cost);
        expect(static_cast<bool>(a) == (a.refusal.code == errc{}), "either a ticket or a refusal");
        if (refused_as(a.refusal.code, a.refusal.retry_after, cost, 0) || cost == 0) break;
        const std::size_t number = oracle.take(ns, cost);
        if (in.byte() % 2 == 0) {
          oracle.give_back(number);
        } else {
          a.ticket.keep();
        }
        break;
      }
      default: {
        const rate_answer a = mine.try_take(now, cost);
        if (!refused_as(a.code, a.retry_after, cost, 0) && cost != 0) oracle.take(ns, cost);
      }
    }
    const rate_snapshot s = mine.snapshot(time_point(duration(ns)));
    expect(s.available == std::max<wide>(0, oracle.level(ns)) / oracle.period(), "the permits that are there");
    expect(s.full_in.count() == oracle.full() - oracle.level(ns), "and when it is full");
    expect(s.period.count() == oracle.period() && s.burst == oracle.burst(), "the rate is what was set");
  }
  oracle.judge();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  if (in.byte() % 4 == 0) {
    options(in);
  } else {
    calls(in);
  }
  return 0;
}
