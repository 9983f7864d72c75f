// SPDX-License-Identifier: MIT
// swr_cache: answers by key, told apart by age, and for each key one caller at a time who is to fetch a new one.
//
//   operation      caller           progress             cost                           allocates   when refused
//   look           any thread       lock-free, bounded   fresh: cache::get; else two    never       none
//   ask            any thread       lock-free, bounded   fresh: cache::get; else join   never       none, and nothing to follow:
//                                                        and another look               busy
//   landed         a follower       lock-free, bounded   two looks                      never       none: ask again
//   publish, fail  who leads        may doze             a put                          never       dropped: it leads no more
//   put            any thread       may doze             a put                          never       older, busy
//   forget         any thread       lock-free, bounded   two erasures                   never       -
//   construction   one thread       -                    O(capacity)                    thrice      asserted
//
// In short: any thread | lock-free; a write may doze | at construction | none, or `dropped`
//
//   F1 One fetch a key at a time, and while one is under way no other before its lease is over: ask() hands out one lead.
//      Whoever gets one after a flight has ended has looked again, so nobody fetches what has just come.
//   F2 A stale reader never waits: it has its value, and one of them a lead beside it, to be used off the reader's path.
//   F3 A leader's failure is its followers' too, with its code, and never an empty success; unless it says nothing about the
//      key (cancelled, or out of the leader's own time): then the next one fetches.
//   F4 An age is the time since the fetch that brought the answer began, of a value and of a failure.
//
// A failure is remembered beside the values, never in the place of one. That something is not so (verdict permanent: there
// is no such key) is an answer: it holds for `negative_for` and ends an older value. Any other failure says that the callee
// could not say: a value that is stale then goes on being served, and for `retry_after_failure`, or as long as the callee asked
// for, nobody is told to refresh it (stale-if-error). A failure that is over is never served. What was put later than the
// fetch began that failed, or came with a value, stays.
//
// A late publish is dropped: of a leader whose lease was taken over, and of one whose key was forgotten since its fetch began.
// It may be seen by readers until publish returns.
//
// When to use: in front of a dependency that is read often and may be slow or down; exec/cached_call.hpp drives it. To keep
// values alone, policy/cache.hpp.
//
// Memory: two caches and a table of flights; from the memory resource given at construction.
// Method: stale-while-revalidate and stale-if-error (RFC 5861), a table of flights (policy/single_flight.hpp). The result
// is put before the flight is ended, so whoever finds a flight over finds its result; a follower knows it by its time, and
// takes it even if it is stale at once.
// Proof: model/swr_cache_model.cpp, unit/swr_cache_test.cpp (F1-F4), stress/swr_cache_stress.cpp, fuzz/swr_cache_fuzz.cpp,
// alloc/policy_alloc_test.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <string_view>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/error.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/parking.hpp"
#include "holdfast/core/verdict.hpp"
#include "holdfast/policy/cache.hpp"
#include "holdfast/policy/single_flight.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

struct swr_cache_options {
  std::uint32_t capacity = 1024;  // values
  duration fresh_for = std::chrono::seconds(1);
  duration stale_for = std::chrono::minutes(10);
  std::uint32_t failures = 1024;  // remembered
  duration negative_for = std::chrono::seconds(10);
  duration retry_after_failure = std::chrono::seconds(1);
  std::uint32_t flights = 1024;  // four times as many as there are at once
  duration lease = std::chrono::seconds(5);
  std::uint64_t seed = 0;  // of the key hash
};
static_assert(std::is_aggregate_v<swr_cache_options>);

constexpr option_error validate(const swr_cache_options& o) noexcept {
  constexpr duration longest = std::chrono::hours(24);
  return first_of(validate(cache_options{o.capacity, o.fresh_for, o.stale_for, o.seed}),
                  at_least("failures", o.failures, 1), at_most("failures", o.failures, 1 << 28),
                  at_least("negative_for", o.negative_for.count(), 0),
                  at_most("negative_for", o.negative_for.count(), longest.count()),
                  at_least("retry_after_failure", o.retry_after_failure.count(), 0),
                  at_most("retry_after_failure", o.retry_after_failure.count(), longest.count()),
                  validate(single_flight_options{o.flights, o.lease}));
}

// A stale observer's view.
struct swr_cache_snapshot {
  cache_snapshot values{};
  cache_snapshot failures{};
  single_flight_snapshot flights{};
  std::uint64_t dropped = 0;  // results that came too late to be shared
};

enum class swr_state : std::uint8_t {
  none,      // nothing that may be served
  fresh,     // or brought by the flight that was followed
  stale,     // usable; `why` says why it was not refreshed, if somebody tried lately
  negative,  // a failure that holds; `why` is it
};

constexpr std::string_view name_of(swr_state state) noexcept {
  switch (state) {
    case swr_state::none: return "none";
    case swr_state::fresh: return "fresh";
    case swr_state::stale: return "stale";
    case swr_state::negative: return "negative";
  }
  return "unknown";
}

template <class Value>
struct [[nodiscard]] swr_answer {
  swr_state state = swr_state::none;
  bool fetch_due = true;  // it, or something newer, is to be fetched
  duration age{0};        // of the value or of the failure
  Value value{};          // fresh or stale
  error why{};

  [[nodiscard]] bool has_value() const noexcept { return state == swr_state::fresh || state == swr_state::stale; }
};

enum class swr_publish : std::uint8_t {
  kept,        // or a younger one is
  not_shared,  // the flight is over, and nothing is remembered: the failure says nothing about the key, or a put was refused
  dropped,  // taken over or forgotten: it was not the leader any more
};

constexpr std::string_view name_of(swr_publish result) noexcept {
  switch (result) {
    case swr_publish::kept: return "kept";
    case swr_publish::not_shared: return "not_shared";
    case swr_publish::dropped: return "dropped";
  }
  return "unknown";
}

template <class Key, class Value, class Hash = cache_hash, class Flights = single_flight>
class swr_cache {
 public:
  using key_type = Key;
  using value_type = Value;
  using answer = swr_answer<Value>;
  using follower = typename Flights::follower;

  // The right to fetch this key. Destroyed without a result: abandoned, the next to ask leads.
  struct [[nodiscard]] lead {
    Key key{};
    typename Flights::lead flight{};
    explicit operator bool() const noexcept { return static_cast<bool>(flight); }
  };

  struct [[nodiscard]] asked {
    answer found;
    lead mine{};       // fetch, and publish what comes of it
    follower other{};  // somebody does: its wait(until), then landed()
  };

  explicit swr_cache(const swr_cache_options& options,
                     std::pmr::memory_resource* memory = std::pmr::get_default_resource()) noexcept
      : options_(options),
        values_({options.capacity, options.fresh_for, options.stale_for, options.seed}, memory),
        failures_({options.failures, options.negative_for, {}, options.seed}, memory),
        flights_({options.flights, options.lease}, memory) {
    HOLDFAST_ASSERT(!validate(options));
  }

  // What there is, and nothing else.
  answer look(const Key& key, time_point now) const noexcept { return judged(key, now, values_.get(key, now)); }

  // What there is; and, if it is due, the right to fetch it or who has it. Neither: too many other flights.
  asked ask(const Key& key, time_point now) noexcept { return ask(key, now, values_.get(key, now)); }
  // For who has looked at values() already.
  asked ask(const Key& key, time_point now, const cache_lookup<Value>& kept) noexcept {
    asked result{judged(key, now, kept)};
    if (!result.found.fetch_due) return result;
    auto joined = flights_.join(hash_of(key), now);
    result.other = joined.other;
    if (!joined.mine) return result;
    // A flight may have ended since that look: its result is seen now.
    result.found = look(key, now);
    if (result.found.fetch_due) result.mine = {key, std::move(joined.mine)};
    return result;
  }

  // The result of the flight that was followed, whatever its age; none if it left none.
  answer landed(const Key& key, const follower& followed, time_point now) const noexcept {
    const duration longest = now - followed.begun();
    const auto kept = values_.get(key, now);
    if (kept.state != cache_state::miss && kept.age <= longest)
      return {swr_state::fresh, false, kept.age, kept.value, {}};
    const auto failed = failures_.get(key, now);
    if (failed.state != cache_state::miss && failed.age <= longest)
      return {swr_state::negative, false, failed.age, {}, failed.value.why};
    return {};
  }

  // `true_at`: the start of the call that brought it, not before the lead began.
  swr_publish publish(lead&& mine, const Value& value, time_point true_at) noexcept {
    if (!mine.flight.leads()) return dropped(mine);
    const cache_put stored = persist([&] { return values_.put(mine.key, value, true_at); });
    if (mine.flight.end()) return stored == cache_put::busy ? swr_publish::not_shared : swr_publish::kept;
    if (stored == cache_put::stored) values_.erase(mine.key);
    return dropped(mine);
  }

  // The fetch that began at `true_at` has failed, now.
  swr_publish fail(lead&& mine, const error& why, time_point true_at, time_point now) noexcept {
    if (!mine.flight.leads()) return dropped(mine);
    if (!is_shared(why)) return mine.flight.end() ? swr_publish::not_shared : dropped(mine);
    const failure_record record{why, holds_until(why, now)};
    // Before the flight ends: who is to know of this failure knows of its time, too.
    const std::int64_t until = record.holds_until.time_since_epoch().count();
    std::int64_t seen = failing_until_.load(mo::relaxed);  // hint: the exchange decides
    // hint: ordered by the end of the flight
    while (seen < until && !failing_until_.compare_exchange_weak(seen, until, mo::relaxed, mo::relaxed)) {
    }
    const cache_put stored = persist([&] { return failures_.put(mine.key, record, true_at); });
    if (!mine.flight.end()) {
      if (stored == cache_put::stored) failures_.erase(mine.key);
      return dropped(mine);
    }
    // Not looked at by whoever finds a fresh value; a younger one stays.
    if (is_answer(why.kind)) static_cast<void>(persist([&] { return values_.erase_until(mine.key, true_at); }));
    return stored == cache_put::busy ? swr_publish::not_shared : swr_publish::kept;
  }

  // A value that came another way, true at `true_at`: with a write, or a fetch outside any flight.
  cache_put put(const Key& key, const Value& value, time_point true_at) noexcept {
    return persist([&] { return values_.put(key, value, true_at); });
  }

  // The key has changed elsewhere: nothing that was fetched or began to be fetched before is served once this and any
  // publish that is under way have returned.
  void forget(const Key& key) noexcept {
    flights_.forget(hash_of(key));
    values_.erase(key);
    failures_.erase(key);
  }

  // For metrics and tests.
  [[nodiscard]] const cache<Key, Value, Hash>& values() const noexcept { return values_; }
  [[nodiscard]] const Flights& flights() const noexcept { return flights_; }
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_.load(mo::relaxed); }  // counter: late results
  [[nodiscard]] swr_cache_snapshot snapshot() const noexcept {
    return {values_.snapshot(), failures_.snapshot(), flights_.snapshot(), dropped()};
  }
  [[nodiscard]] const swr_cache_options& options() const noexcept { return options_; }

  // Does it say something about the key, or about the leader alone?
  [[nodiscard]] static bool is_shared(const error& why) noexcept {
    return why.kind != verdict::cancelled && why.kind != verdict::stale &&
           why.code != make_error_code(errc::deadline_exceeded) &&
           why.code != make_error_code(errc::deadline_infeasible) &&
           why.code != make_error_code(errc::bulkhead_timeout) && why.stopped_by != errc::deadline_infeasible;
  }

 private:
  struct failure_record {
    error why{};
    time_point holds_until{};
  };

  answer judged(const Key& key, time_point now, const cache_lookup<Value>& kept) const noexcept {
    if (kept.state == cache_state::fresh) return {swr_state::fresh, false, kept.age, kept.value, {}};
    answer found;
    if (kept.state == cache_state::stale) found = {swr_state::stale, true, kept.age, kept.value, {}};
    if (now.time_since_epoch().count() >= failing_until_.load(mo::relaxed)) return found;  // hint: see fail()
    const auto failed = failures_.get(key, now);
    if (failed.state == cache_state::miss || now >= failed.value.holds_until) return found;
    // What is younger than the failed fetch counts more than it.
    if (kept.state != cache_state::miss && kept.age < failed.age) return found;
    found.fetch_due = false;
    found.why = failed.value.why;
    if (found.state == swr_state::none || is_answer(found.why.kind)) {
      found.state = swr_state::negative;
      found.age = failed.age;
    }
    return found;
  }

  [[nodiscard]] std::uint64_t hash_of(const Key& key) const noexcept { return Hash{}(key, options_.seed); }

  [[nodiscard]] time_point holds_until(const error& why, time_point now) const noexcept {
    const duration asked_for = is_answer(why.kind) ? options_.negative_for : options_.retry_after_failure;
    return now + std::clamp<duration>(why.retry_after, asked_for, std::max(asked_for, most_retry_after));
  }

  swr_publish dropped(lead& mine) noexcept {
    static_cast<void>(mine.flight.end());
    dropped_.fetch_add(1, mo::relaxed);  // counter:
    return swr_publish::dropped;
  }

  // Another writer is in the set, for the time of a copy: what was fetched is worth waiting for that.
  template <class Put>
  static cache_put persist(Put&& put) noexcept {
    cache_put result = put();
    for (unsigned turn = 0; result == cache_put::busy && turn < most_dozes; ++turn) {
      doze(turn);
      result = put();
    }
    return result;
  }

  static constexpr unsigned most_dozes = 100;                            // some 20 ms at most
  static constexpr duration most_retry_after = std::chrono::minutes(1);  // a callee's word is not taken for longer

  const swr_cache_options options_;
  cache<Key, Value, Hash> values_;
  cache<Key, failure_record, Hash> failures_;
  Flights flights_;
  atomic<std::uint64_t> dropped_{0};  // by leaders that came too late
  // No failure holds longer; by leaders that fail. Where nothing fails, nobody looks for failures.
  atomic<std::int64_t> failing_until_{std::numeric_limits<std::int64_t>::min()};
};

}  // namespace holdfast
