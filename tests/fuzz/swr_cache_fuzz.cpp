// SPDX-License-Identifier: MIT
// swr_cache: any sequence of asks, results, failures, late ones and forgotten keys, with any times between them, answers what
// maps of values, failures and flights without a limit would answer; whoever leads leads alone.
#include <array>
#include <optional>
#include <utility>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/policy/swr_cache.hpp"

#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;

constexpr std::size_t keys = 4;  // all fit into one set of either cache, and none is evicted
constexpr duration tick{packed_tick::nanoseconds};
constexpr swr_cache_options options{.capacity = 7,
                                    .fresh_for = tick * 4,
                                    .stale_for = tick * 20,
                                    .failures = 7,
                                    .negative_for = tick * 12,
                                    .retry_after_failure = tick * 6,
                                    .flights = 8,
                                    .lease = tick * 10};

// What a fetch may fail with: an answer, a failure of the callee with a hint or without, and what says nothing about the key.
const std::array<error, 4> failures = {error(http_error(404), verdict::permanent),
                                       error(http_error(503), verdict::transient),
                                       error(http_error(429), verdict::throttled, tick * 9), error(errc::cancelled)};

class trial {
 public:
  void step(input& in) {
    const std::uint8_t choice = in.byte();
    const std::size_t key = choice >> 3U & 3U;
    const std::size_t which = choice >> 5U;
    switch (choice % 8) {
      case 0:
      case 1: ask(key); break;
      case 2: publish(which % leads_.size(), in); break;
      case 3: fail(which % leads_.size(), failures.at(in.byte() % failures.size()), in); break;
      case 4: now_ += duration(in.byte()) * (tick.count() / 16); break;
      case 5: put(key, in); break;
      case 6: which < 2 ? forget(key) : look(key); break;
      default: drop(which % leads_.size()); break;
    }
  }
  void finish() {
    for (std::size_t key = 0; key < keys; ++key) look(key);
    expect(cache_.dropped() == dropped_, "each late result is counted, and nothing else");
    expect(cache_.flights().busy() == 0, "there is room for all flights");
  }

 private:
  struct stored {
    std::uint64_t value = 0;
    time_point at{};
  };
  struct failed {
    error why{};
    time_point at{};
    time_point until{};
  };
  struct truth {
    std::optional<stored> value{};
    std::optional<failed> failure{};
    std::size_t leader = none;  // of leads_
    time_point lease_over{};
    // Of its flight, or whatever flight a follower may still have in hand.
    std::optional<swr_cache<std::uint64_t, std::uint64_t>::follower> follower{};
    time_point followed_since{};
  };
  struct lead {
    swr_cache<std::uint64_t, std::uint64_t>::lead ticket{};
    std::size_t key = 0;
    time_point begun{};
    bool out = false;
  };
  static constexpr std::size_t none = 99;

  [[nodiscard]] duration age(time_point at) const { return now_ - at; }
  [[nodiscard]] bool under_way(const truth& t) const { return t.leader != none && now_ < t.lease_over; }

  // What should be answered now.
  void check(std::size_t key, const swr_answer<std::uint64_t>& got) {
    const truth& t = truths_.at(key);
    const bool usable = t.value && age(t.value->at) < options.fresh_for + options.stale_for;
    const bool fresh = usable && age(t.value->at) < options.fresh_for;
    const bool holds = t.failure && now_ < t.failure->until && !(t.value && t.value->at > t.failure->at);
    swr_state wanted = usable ? swr_state::stale : swr_state::none;
    if (fresh) {
      wanted = swr_state::fresh;
    } else if (holds && (!usable || t.failure->why.kind == verdict::permanent)) {
      wanted = swr_state::negative;
    }
    expect(got.state == wanted, "fresh, stale, a failure or nothing, by what came last and how long ago");
    expect(got.fetch_due == (!fresh && !holds),
           "a fetch is due unless there is an answer, or the callee is left alone");
    if (got.has_value()) {
      expect(got.value == t.value->value, "the last value");
      expect(got.age == age(t.value->at), "F4: its true age");
    }
    if (!fresh && holds) expect(got.why == t.failure->why, "the failure with its code");
    if (wanted == swr_state::negative) expect(got.age == age(t.failure->at), "F4: the failure's true age");
  }
  void look(std::size_t key) { check(key, cache_.look(key, now_)); }

  void ask(std::size_t key) {
    truth& t = truths_.at(key);
    auto asked = cache_.ask(key, now_);
    check(key, asked.found);
    const bool leads = asked.found.fetch_due && !under_way(t);
    expect(static_cast<bool>(asked.mine) == leads, "F1: leads if nobody else does");
    expect(static_cast<bool>(asked.other) == (asked.found.fetch_due && !leads), "or follows");
    if (asked.other) {
      const duration early = leads_.at(t.leader).begun - asked.other.begun();
      expect(early >= duration(0), "a flight is not taken to have begun later than it did");
      expect(early <= tick, "nor more than a tick earlier");
      expect(asked.other.lease_over() == t.lease_over, "until when it may last");
      t.follower = asked.other;
      t.followed_since = asked.other.begun();
    }
    if (!leads) return;
    lead& mine = leads_.at(next_);
    release(mine, next_);
    mine = {std::move(asked.mine), key, now_, true};
    t.leader = next_;
    const duration since = (now_ + options.lease).time_since_epoch();
    t.lease_over = time_point((since + tick - duration(1)) / tick * tick);
    next_ = (next_ + 1) % leads_.size();
  }

  // Is this one, which may be long overdue, the one whose result counts?
  [[nodiscard]] bool counts(std::size_t which) const {
    const lead& l = leads_.at(which);
    return l.out && truths_.at(l.key).leader == which;
  }
  void publish(std::size_t which, input& in) {
    lead& l = leads_.at(which);
    if (!l.out) return;
    truth& t = truths_.at(l.key);
    const bool counted = counts(which);
    const time_point true_at = std::min(now_, l.begun + duration(in.byte()) * (tick.count() / 64));
    const auto end = cache_.publish(std::move(l.ticket), serial_, true_at);
    expect(end == (counted ? swr_publish::kept : swr_publish::dropped), "kept, unless taken over or forgotten");
    if (counted) {
      if (!t.value || t.value->at <= true_at) t.value = stored{serial_, true_at};
      landed(l.key);
    }
    ended(which, counted);
  }
  void fail(std::size_t which, const error& why, input& in) {
    lead& l = leads_.at(which);
    if (!l.out) return;
    truth& t = truths_.at(l.key);
    const bool counted = counts(which);
    const bool shared = why.kind != verdict::cancelled;
    const time_point true_at = std::min(now_, l.begun + duration(in.byte()) * (tick.count() / 64));
    const auto end = cache_.fail(std::move(l.ticket), why, true_at, now_);
    expect(end == (!counted ? swr_publish::dropped
                   : shared ? swr_publish::kept
                            : swr_publish::not_shared),
           "remembered, if it says something about the key");
    if (counted && shared) {
      const duration asked_for = why.kind == verdict::permanent ? options.negative_for : options.retry_after_failure;
      if (!t.failure || t.failure->at <= true_at)
        t.failure = failed{why, true_at, now_ + std::max(asked_for, duration(why.retry_after))};
      if (why.kind == verdict::permanent && t.value && t.value->at <= true_at) t.value.reset();
      landed(l.key);
    }
    ended(which, counted);
  }
  // F3: whoever followed this flight has its result.
  void landed(std::size_t key) {
    truth& t = truths_.at(key);
    if (!t.follower || !t.follower->over()) return;
    const auto got = cache_.landed(key, *t.follower, now_);
    expect(got.state != swr_state::none, "a follower has a result");
    if (got.has_value()) {
      expect(t.value.has_value() && got.value == t.value->value, "the value that is there");
      expect(t.value->at >= t.followed_since, "which is not older than the flight");
    } else {
      expect(t.failure.has_value() && got.why == t.failure->why, "or the failure, with its code");
      expect(t.failure->at >= t.followed_since, "of that flight or a later one");
    }
    t.follower.reset();
  }
  void ended(std::size_t which, bool counted) {
    lead& l = leads_.at(which);
    l.out = false;
    if (counted) truths_.at(l.key).leader = none;
    if (!counted) ++dropped_;
    ++serial_;
  }
  void drop(std::size_t which) { release(leads_.at(which), which); }
  void release(lead& l, std::size_t which) {
    if (!l.out) return;
    if (counts(which)) truths_.at(l.key).leader = none;
    l = {};
  }

  void put(std::size_t key, input& in) {
    truth& t = truths_.at(key);
    const time_point true_at = now_ - duration(in.byte()) * (tick.count() / 8);
    const bool older = t.value && t.value->at > true_at;
    expect(cache_.put(key, serial_, true_at) == (older ? cache_put::older : cache_put::stored),
           "the younger one stays");
    if (!older) t.value = stored{serial_, true_at};
    ++serial_;
    look(key);
  }
  void forget(std::size_t key) {
    cache_.forget(key);
    truth& t = truths_.at(key);
    t.value.reset();
    t.failure.reset();
    t.leader = none;
    t.follower.reset();
    look(key);
  }

  swr_cache<std::uint64_t, std::uint64_t> cache_{options};
  std::array<truth, keys> truths_{};
  std::array<lead, 8> leads_{};
  std::size_t next_ = 0;
  std::uint64_t serial_ = 1;
  std::uint64_t dropped_ = 0;
  time_point now_{std::chrono::hours(1)};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  trial t;
  while (!in.empty()) t.step(in);
  t.finish();
  return 0;
}
