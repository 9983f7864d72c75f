// SPDX-License-Identifier: MIT
// cached_call: a read through an swr_cache: what is kept at once, what is not kept fetched by one for all who ask.
//
//   operation      caller       progress                          allocates   when refused
//   get_or_fetch   any thread   fresh, stale, negative: as ask;   as `fetch`  the failure of the fetch, its own or the one that it
//                               leads: as `fetch`;                            followed; deadline_exceeded
//                               follows: blocking
//   refresh        any thread   as `fetch`                        as `fetch`  the fetch's failure; cancelled: another leads
//
// In short: any thread | as ask, or as what it fetches with; a follower sleeps | never by itself | the fetch's error, its own or
// the one it followed; or deadline_exceeded
//
//   auto read = get_or_fetch(profiles, id, {.until = deadline::after(clock.now(), 200ms)}, clock,
//                            [&](const call_context& c) { return database(c, query); });   // exec/pipeline.hpp
//   if (read.due) later.push([&, due = std::move(read.due)]() mutable {       // not before the answer has gone out
//     refresh(profiles, std::move(due), background, clock, query_all); });
//
// `fetch(context)` answers an outcome of the cache's value, through whatever pipeline it likes. It is called on
// this thread, at most once a get_or_fetch, and only where nothing is kept: a stale value comes back at once, and with it, to one
// caller, the right to refresh it. Where that one drops it, the next reader gets it.
//
// A follower waits until its own deadline, whatever time its leader has. If the leader gives up, dies, or loses its lease, one
// follower takes the lead. The leader gets what it has fetched itself, even if it came too late for others.
// If the table of flights is full the caller fetches by itself, without a lead.
//
// An exception from `fetch` goes through to the caller, and the next one leads. The clock is one that agrees with
// std::chrono::steady_clock, in which followers sleep; one that is behind it (coarse_clock) makes a follower of a dead leader
// look again and again until it has caught up.
//
// When to use: for reads on threads that may block. Who must not block uses swr_cache's ask, landed, publish and fail.
// Memory: none of its own. Method: policy/swr_cache.hpp. Proof: unit/cached_call_test.cpp,
// unit/cached_call_exception_test.cpp, stress/swr_cache_stress.cpp, bench/single_flight_bench.cpp.
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "holdfast/core/error.hpp"
#include "holdfast/core/outcome.hpp"
#include "holdfast/exec/guard.hpp"
#include "holdfast/policy/swr_cache.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

enum class answered_by : std::uint8_t {
  fresh,     // a value that was kept
  stale,     // an older one
  negative,  // a failure that was kept
  fetch,     // this call's own
  flight,    // the fetch of another that this one waited for
  deadline,  // nobody in time
};

constexpr std::string_view name_of(answered_by who) noexcept {
  switch (who) {
    case answered_by::fresh: return "fresh";
    case answered_by::stale: return "stale";
    case answered_by::negative: return "negative";
    case answered_by::fetch: return "fetch";
    case answered_by::flight: return "flight";
    case answered_by::deadline: return "deadline";
  }
  return "unknown";
}

template <class Cache>
struct [[nodiscard]] cached_answer {
  outcome<typename Cache::value_type> result;
  answered_by by = answered_by::deadline;
  duration age{0};             // of the value or the failure
  error why{};                 // stale: why it was not refreshed lately; no code if nobody failed to
  typename Cache::lead due{};  // stale: the right to refresh it, within the lease; to be used off this path
};

// How a follower waits: true: look again; false: it is `until`. A test that owns the time brings its own.
struct park_until_landed {
  template <class Follower>
  bool operator()(const Follower& followed, deadline until) const noexcept {
    return followed.wait(until);
  }
};

// What came of a fetch by a leader, and whether others got it.
template <class Cache>
struct [[nodiscard]] refreshed {
  outcome<typename Cache::value_type> result;
  swr_publish published = swr_publish::dropped;
};

// Fetches, and shares what comes of it.
template <class Cache, clock_source Clock, class Fetch>
refreshed<Cache> fetch_and_share(Cache& cache, typename Cache::lead mine, const call_context& context,
                                 const Clock& clock, Fetch& fetch) {
  const time_point begun = clock.now();
  outcome<typename Cache::value_type> result = fetch(context);
  // What failed because this caller's time was over says nothing to those who have more.
  if (!result.ok() && context.until.passed(clock.now())) return {std::move(result), swr_publish::not_shared};
  const swr_publish published = result.ok() ? cache.publish(std::move(mine), result.value(), begun)
                                            : cache.fail(std::move(mine), result.error(), begun, clock.now());
  return {std::move(result), published};
}

// Uses the right that came with a stale value, within its lease. Does not fetch if somebody else has taken over since:
// cancelled, and dropped.
template <class Cache, clock_source Clock, class Fetch>
refreshed<Cache> refresh(Cache& cache, typename Cache::lead&& due, const call_context& context, const Clock& clock,
                         Fetch&& fetch) {
  if (!due.flight.leads()) return {errc::cancelled, swr_publish::dropped};
  return fetch_and_share(cache, std::move(due), context, clock, fetch);
}

// Where nothing fresh is kept. Apart, so that a hit does not make room for all this.
template <class Cache, clock_source Clock, class Fetch, class Wait>
[[gnu::noinline]] cached_answer<Cache> get_stale_or_fetch(Cache& cache, const typename Cache::key_type& key,
                                                          const call_context& context, const Clock& clock,
                                                          time_point now,
                                                          const cache_lookup<typename Cache::value_type>& kept,
                                                          Fetch& fetch, Wait& wait) {
  auto asked = cache.ask(key, now, kept);
  for (;; now = clock.now(), asked = cache.ask(key, now)) {
    const auto& found = asked.found;
    if (found.has_value()) {
      const auto by = found.state == swr_state::fresh ? answered_by::fresh : answered_by::stale;
      return {found.value, by, found.age, found.why, std::move(asked.mine)};
    }
    if (found.state == swr_state::negative) return {found.why, answered_by::negative, found.age, {}, {}};
    if (context.until.passed(now)) return {errc::deadline_exceeded, answered_by::deadline, {}, {}, {}};
    if (asked.mine) {
      auto fetched = fetch_and_share(cache, std::move(asked.mine), context, clock, fetch);
      return {std::move(fetched.result), answered_by::fetch, clock.now() - now, {}, {}};
    }
    if (!asked.other) {
      // Without a flight nothing says whether the key was forgotten meanwhile, so what is fetched is not kept.
      return {fetch(context), answered_by::fetch, clock.now() - now, {}, {}};
    }
    const bool in_time = wait(asked.other, context.until);
    const auto landed = cache.landed(key, asked.other, clock.now());
    if (landed.has_value()) return {landed.value, answered_by::flight, landed.age, {}, {}};
    if (landed.state == swr_state::negative) return {landed.why, answered_by::flight, landed.age, {}, {}};
    if (!in_time) return {errc::deadline_exceeded, answered_by::deadline, {}, {}, {}};
  }
}

template <class Cache, clock_source Clock, class Fetch, class Wait = park_until_landed>
cached_answer<Cache> get_or_fetch(Cache& cache, const typename Cache::key_type& key, const call_context& context,
                                  const Clock& clock, Fetch&& fetch, Wait&& wait = {}) {
  static_assert(std::same_as<std::invoke_result_t<Fetch&, const call_context&>, outcome<typename Cache::value_type>>);
  const time_point now = clock.now();
  const auto kept = cache.values().get(key, now);
  if (kept.state == cache_state::fresh) [[likely]]
    return {kept.value, answered_by::fresh, kept.age, {}, {}};
  return get_stale_or_fetch(cache, key, context, clock, now, kept, fetch, wait);
}

}  // namespace holdfast
