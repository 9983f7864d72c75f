// SPDX-License-Identifier: MIT
#include "holdfast/policy/swr_cache.hpp"

#include <iterator>
#include <utility>
#include <vector>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/core/fixed_text.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {
constexpr time_point start{1h};
constexpr swr_cache_options options{.capacity = 64,
                                    .fresh_for = 1s,
                                    .stale_for = 60s,
                                    .failures = 64,
                                    .negative_for = 10s,
                                    .retry_after_failure = 2s,
                                    .flights = 64,
                                    .lease = 5s};
using numbers = swr_cache<std::uint64_t, int>;

const error not_found(http_error(404), verdict::permanent);
const error overloaded(http_error(503), verdict::transient);

// A key whose reading lets others do something: a cache makes one when it looks into a slot of the key.
struct meeting_key {
  static inline void (*others)() = nullptr;
  std::uint64_t id = 0;

  meeting_key() noexcept {
    if (others != nullptr) std::exchange(others, nullptr)();
  }
  explicit meeting_key(std::uint64_t n) noexcept : id(n) {}
  friend bool operator==(const meeting_key& a, const meeting_key& b) noexcept { return a.id == b.id; }
};
struct meeting_hash {
  std::uint64_t operator()(const meeting_key& key, std::uint64_t) const noexcept { return key.id + 1; }
};

void fetched(numbers& c, std::uint64_t key, int value, time_point at) {
  auto asked = c.ask(key, at);
  REQUIRE(asked.mine);
  CHECK(c.publish(std::move(asked.mine), value, at) == swr_publish::kept);
}
void failed(numbers& c, std::uint64_t key, const error& why, time_point at) {
  auto asked = c.ask(key, at);
  REQUIRE(asked.mine);
  CHECK(c.fail(std::move(asked.mine), why, at, at) == swr_publish::kept);
}
}  // namespace

TEST_CASE("F1 nothing kept: one is to fetch it, the others follow, and find what it brought", "[swr_cache]") {
  numbers c(options);
  auto first = c.ask(7, start);
  REQUIRE(first.mine);
  CHECK(first.found.state == swr_state::none);
  CHECK_FALSE(first.other);
  const auto second = c.ask(7, start + 1ms);
  CHECK_FALSE(second.mine);
  REQUIRE(second.other);
  CHECK(c.landed(7, second.other, start + 1ms).state == swr_state::none);
  CHECK(c.publish(std::move(first.mine), 70, start + 1ms) == swr_publish::kept);
  CHECK(second.other.wait(deadline::never()));
  const auto landed = c.landed(7, second.other, start + 100ms);
  CHECK(landed.state == swr_state::fresh);
  CHECK(landed.value == 70);
  CHECK(landed.age == 99ms);
  const auto third = c.ask(7, start + 100ms);
  CHECK(third.found.state == swr_state::fresh);
  CHECK_FALSE(third.mine);
  CHECK_FALSE(third.other);
}

TEST_CASE("F2 a stale value comes at once, and one of its readers is to refresh it (swr-cache 49)", "[swr_cache]") {
  numbers c(options);
  fetched(c, 7, 70, start);
  std::vector<numbers::lead> leads;
  for (int i = 0; i < 10; ++i) {
    auto asked = c.ask(7, start + 2s);
    CHECK(asked.found.state == swr_state::stale);
    CHECK(asked.found.value == 70);
    CHECK(asked.found.age == 2s);
    CHECK(asked.found.fetch_due);
    if (asked.mine) leads.push_back(std::move(asked.mine));
  }
  REQUIRE(leads.size() == 1);
  CHECK(c.publish(std::move(leads[0]), 71, start + 2s) == swr_publish::kept);
  CHECK(c.look(7, start + 2s).value == 71);
  CHECK(c.look(7, start + 2s).state == swr_state::fresh);
}

TEST_CASE("F2 a reader that does not want to refresh leaves that to the next", "[swr_cache]") {
  numbers c(options);
  fetched(c, 7, 70, start);
  for (int i = 0; i < 3; ++i) CHECK(c.ask(7, start + 2s).mine);
}

TEST_CASE("F4 ages are counted from the start of the fetch, of values and of failures", "[swr_cache]") {
  numbers c(options);
  auto slow = c.ask(7, start);
  CHECK(c.publish(std::move(slow.mine), 70, start) == swr_publish::kept);  // at start + 400 ms, say
  CHECK(c.look(7, start + 400ms).age == 400ms);
  auto failing = c.ask(8, start);
  CHECK(c.fail(std::move(failing.mine), not_found, start, start + 3s) == swr_publish::kept);
  const auto found = c.look(8, start + 4s);
  CHECK(found.state == swr_state::negative);
  CHECK(found.age == 4s);
}

TEST_CASE("that there is no such key is remembered with its code, for a time of its own", "[swr_cache]") {
  numbers c(options);
  failed(c, 7, not_found, start);
  const auto found = c.ask(7, start + 10s - 1ns);
  CHECK(found.found.state == swr_state::negative);
  CHECK(found.found.why == not_found);
  CHECK_FALSE(found.found.fetch_due);
  CHECK_FALSE(found.found.has_value());
  CHECK_FALSE(found.mine);
  CHECK(c.ask(7, start + 10s).mine);  // over, and never served again (apache/trafficserver #12029)
  CHECK(c.look(7, start + 10s).state == swr_state::none);
  fetched(c, 7, 70, start + 10s);
  CHECK(c.look(7, start + 10s).state == swr_state::fresh);
}

TEST_CASE("a fresh failure takes the place of an old one (apache/trafficserver #7417)", "[swr_cache]") {
  numbers c(options);
  failed(c, 7, overloaded, start);
  failed(c, 7, not_found, start + 2s);
  CHECK(c.look(7, start + 2s).why == not_found);
  CHECK(c.look(7, start + 11s).state == swr_state::negative);
  failed(c, 7, overloaded, start + 12s);
  CHECK(c.look(7, start + 13s).why == overloaded);
}

TEST_CASE("an error does not take a usable value away: stale-if-error", "[swr_cache]") {
  numbers c(options);
  fetched(c, 7, 70, start);
  for (int second = 2; second < 60; second += 2) {
    failed(c, 7, overloaded, start + second * 1s);
    const auto found = c.look(7, start + second * 1s);
    CHECK(found.state == swr_state::stale);
    CHECK(found.value == 70);
    CHECK(found.age == second * 1s);
    CHECK(found.why == overloaded);  // and it is said
  }
}

TEST_CASE("a callee that fails to refresh is left alone for a while (nginx/nginx #1000)", "[swr_cache]") {
  numbers c(options);
  fetched(c, 7, 70, start);
  failed(c, 7, overloaded, start + 5s);
  for (const duration after : {0ns, 1ns, 2'000'000'000ns - 1ns}) {
    const auto asked = c.ask(7, start + 5s + after);
    CHECK_FALSE(asked.found.fetch_due);
    CHECK_FALSE(asked.mine);
    CHECK(asked.found.state == swr_state::stale);
  }
  CHECK(c.ask(7, start + 7s).mine);
}

TEST_CASE("as long as the callee asks for, but not longer than a minute", "[swr_cache]") {
  numbers c(options);
  failed(c, 1, error(http_error(429), verdict::throttled, 20s), start);
  CHECK(c.look(1, start + 20s - 1ns).state == swr_state::negative);
  CHECK(c.look(1, start + 20s).state == swr_state::none);
  failed(c, 2, error(http_error(429), verdict::throttled, 24h), start);
  CHECK(c.look(2, start + 60s - 1ns).state == swr_state::negative);
  CHECK(c.look(2, start + 60s).state == swr_state::none);
  failed(c, 3, error(http_error(429), verdict::throttled, 1ms), start);
  CHECK(c.look(3, start + 1s).state == swr_state::negative);
}

TEST_CASE("that it is gone ends an older value; a younger one stays", "[swr_cache]") {
  numbers c(options);
  fetched(c, 7, 70, start);
  failed(c, 7, not_found, start + 2s);
  CHECK(c.look(7, start + 2s).state == swr_state::negative);
  CHECK(c.look(7, start + 12s).state == swr_state::none);
  // The key was written while the fetch that did not find it was under way.
  auto fetching = c.ask(8, start);
  CHECK(c.put(8, 80, start + 1s) == cache_put::stored);
  CHECK(c.fail(std::move(fetching.mine), not_found, start, start + 2s) == swr_publish::kept);
  CHECK(c.look(8, start + 2s - 1ns).state == swr_state::fresh);
  CHECK(c.look(8, start + 3s).state == swr_state::stale);
  CHECK(c.look(8, start + 3s).value == 80);
  CHECK(c.look(8, start + 3s).fetch_due);
  CHECK(c.put(8, 79, start) == cache_put::older);
}

TEST_CASE("an older value that is put after it was gone does not bring it back", "[swr_cache]") {
  numbers c(options);
  failed(c, 7, not_found, start);
  failed(c, 8, overloaded, start);  // and this one holds for a shorter time
  CHECK(c.put(7, 70, start - 5s) == cache_put::stored);
  CHECK(c.look(7, start).state == swr_state::negative);
  CHECK(c.look(7, start + 10s).state == swr_state::stale);
  // Where something fails, other keys do not.
  CHECK(c.look(9, start).state == swr_state::none);
  CHECK(c.look(9, start).fetch_due);
}

TEST_CASE("a follower that is woken late has the value of its flight, whatever failed since", "[swr_cache]") {
  numbers c(options);
  auto leader = c.ask(7, start);
  const auto follower = c.ask(7, start).other;
  CHECK(c.publish(std::move(leader.mine), 70, start) == swr_publish::kept);
  failed(c, 7, overloaded, start + 2s);
  const auto landed = c.landed(7, follower, start + 3s);
  CHECK(landed.state == swr_state::fresh);
  CHECK(landed.value == 70);
  CHECK(landed.age == 3s);
  // Nor is a failure from before the flight taken for its result.
  failed(c, 8, overloaded, start);
  auto next = c.ask(8, start + 2s);
  const auto other = c.ask(8, start + 2s).other;
  CHECK(c.landed(8, other, start + 2s).state == swr_state::none);
}

TEST_CASE("a put that others keep out of its set for too long is given up, and said to be", "[swr_cache]") {
  using meetings = swr_cache<meeting_key, int, meeting_hash>;
  static meetings* met = nullptr;
  static std::vector<meetings::lead> leads;
  static std::vector<swr_publish> ends;
  meetings c(options);
  met = &c;
  const meeting_key in_the_way(1);
  leads.clear();
  ends.clear();
  for (const std::uint64_t n : {std::uint64_t{2}, std::uint64_t{3}}) leads.push_back(c.ask(meeting_key(n), start).mine);
  CHECK(c.put(in_the_way, 1, start) == cache_put::stored);
  // In the middle of a put into the only set.
  meeting_key::others = [] { ends.push_back(met->publish(std::move(leads.at(0)), 20, start)); };
  CHECK(c.put(in_the_way, 2, start) == cache_put::stored);
  auto failing = c.ask(in_the_way, start + 2s);
  CHECK(c.fail(std::move(failing.mine), overloaded, start + 2s, start + 2s) == swr_publish::kept);
  failing = c.ask(in_the_way, start + 5s);
  meeting_key::others = [] { ends.push_back(met->fail(std::move(leads.at(1)), overloaded, start, start)); };
  CHECK(c.fail(std::move(failing.mine), overloaded, start + 5s, start + 5s) == swr_publish::kept);
  meeting_key::others = nullptr;
  CHECK(ends == std::vector<swr_publish>{swr_publish::not_shared, swr_publish::not_shared});
}

TEST_CASE("an expired value is not served, whoever refreshes it (ben-manes/caffeine #282, #373)", "[swr_cache]") {
  numbers c(options);
  fetched(c, 7, 70, start);
  const auto refreshing = c.ask(7, start + 2s);
  const auto found = c.look(7, start + 61s);
  CHECK(found.state == swr_state::none);
  CHECK_FALSE(found.has_value());
  // The one who refreshes it hangs; that ends with its lease.
  CHECK(c.ask(7, start + 61s).mine);
  CHECK_FALSE(refreshing.mine.flight.leads());
}

TEST_CASE("a value that takes longer to load than it is fresh is served all the same (ben-manes/caffeine #175)",
          "[swr_cache]") {
  numbers c(options);
  auto slow = c.ask(7, start);
  const auto follower = c.ask(7, start + 1s).other;
  CHECK(c.publish(std::move(slow.mine), 70, start) == swr_publish::kept);  // three seconds later
  // To those who waited, whatever its age: they do not fetch it one after the other (Varnish's waiting list).
  const auto landed = c.landed(7, follower, start + 3s);
  CHECK(landed.state == swr_state::fresh);
  CHECK(landed.age == 3s);
  CHECK_FALSE(landed.fetch_due);
  CHECK(c.look(7, start + 3s).state == swr_state::stale);
}

TEST_CASE("F3 a leader's failure is its followers', and never an empty success (hermes PR #4952)", "[swr_cache]") {
  numbers c(options);
  auto leader = c.ask(7, start);
  const auto follower = c.ask(7, start).other;
  CHECK(c.fail(std::move(leader.mine), overloaded, start, start + 1s) == swr_publish::kept);
  const auto landed = c.landed(7, follower, start + 30s);  // woken late: it is the result of that flight still
  CHECK(landed.state == swr_state::negative);
  CHECK(landed.why == overloaded);
  CHECK_FALSE(landed.has_value());
}

TEST_CASE("what was kept before a flight does not stand for its failure (PostHog/posthog PR #100666)", "[swr_cache]") {
  numbers c(options);
  CHECK(c.put(7, 70, start - 61s) == cache_put::stored);
  auto leader = c.ask(7, start);
  const auto follower = c.ask(7, start).other;
  REQUIRE(follower);
  CHECK(c.fail(std::move(leader.mine), overloaded, start, start) == swr_publish::kept);
  CHECK(c.landed(7, follower, start).state == swr_state::negative);
}

TEST_CASE("F3 a leader that runs out of its own time says nothing about the key (hmchangw/newchat #16)",
          "[swr_cache]") {
  // As a pipeline ends when no time is left for another attempt: the callee's code, and what stopped it.
  error no_time_left = make_error(http_error(503));
  no_time_left.stopped_by = errc::deadline_infeasible;
  for (const error& why : {error(errc::cancelled), error(errc::deadline_exceeded), error(errc::deadline_infeasible),
                           error(errc::bulkhead_timeout), no_time_left, error(http_error(200), verdict::stale)}) {
    numbers c(options);
    auto leader = c.ask(7, start);
    const auto follower = c.ask(7, start).other;
    CHECK(c.fail(std::move(leader.mine), why, start, start) == swr_publish::not_shared);
    CHECK(c.landed(7, follower, start).state == swr_state::none);
    CHECK(c.ask(7, start).mine);  // the follower takes over at once
  }
}

TEST_CASE("an answer of no takes no value away that is younger than the call that brought it", "[swr_cache]") {
  numbers c(options);
  auto leader = c.ask(7, start);
  REQUIRE(leader.mine);
  // A write on the way, by a clock that is a little ahead of the leader's.
  CHECK(c.put(7, 70, start + 3ms) == cache_put::stored);
  static_cast<void>(c.fail(std::move(leader.mine), make_error(http_error(404)), start, start));
  CHECK(c.look(7, start + 3ms).state == swr_state::fresh);
}

TEST_CASE("a leader that dies leaves its followers to one of them, not to all (flyingsquirrel0419/layercache #59)",
          "[swr_cache]") {
  numbers c(options);
  const auto dead = c.ask(7, start);
  int leads = 0;
  std::vector<numbers::lead> kept;
  for (int i = 0; i < 10; ++i) {
    auto asked = c.ask(7, start + 6s);
    if (!asked.mine) continue;
    ++leads;
    kept.push_back(std::move(asked.mine));
  }
  CHECK(leads == 1);
}

TEST_CASE("a publish that comes too late is dropped, and says so (dfinity PR #3995)", "[swr_cache]") {
  numbers c(options);
  auto late = c.ask(7, start);
  auto next = c.ask(7, start + 6s);
  REQUIRE(next.mine);
  CHECK(c.publish(std::move(late.mine), 69, start) == swr_publish::dropped);
  CHECK(c.look(7, start + 6s).state == swr_state::none);
  CHECK(c.publish(std::move(next.mine), 70, start + 6s) == swr_publish::kept);
  auto late_failure = c.ask(8, start);
  auto next_success = c.ask(8, start + 6s);
  CHECK(c.publish(std::move(next_success.mine), 80, start + 6s) == swr_publish::kept);
  CHECK(c.fail(std::move(late_failure.mine), not_found, start, start + 7s) == swr_publish::dropped);
  CHECK(c.look(8, start + 7s).value == 80);
  CHECK(c.dropped() == 2);
}

TEST_CASE("a worker that crashes while it refreshes does not leave the key updating for ever (nginx/nginx #880)",
          "[swr_cache]") {
  numbers c(options);
  fetched(c, 7, 70, start);
  const auto crashed = c.ask(7, start + 2s);
  CHECK_FALSE(c.ask(7, start + 3s).mine);
  CHECK(c.ask(7, start + 8s).mine);
}

TEST_CASE("what was fetched before the key was forgotten is not kept (ben-manes/caffeine #193)", "[swr_cache]") {
  numbers c(options);
  fetched(c, 7, 70, start);
  auto refreshing = c.ask(7, start + 2s);
  c.forget(7);
  CHECK(c.look(7, start + 2s).state == swr_state::none);
  auto after = c.ask(7, start + 2s);
  REQUIRE(after.mine);
  CHECK(c.publish(std::move(refreshing.mine), 71, start + 2s) == swr_publish::dropped);
  CHECK(c.look(7, start + 2s).state == swr_state::none);
  CHECK(c.publish(std::move(after.mine), 72, start + 2s) == swr_publish::kept);
  CHECK(c.look(7, start + 2s).value == 72);
  failed(c, 8, not_found, start);
  c.forget(8);
  CHECK(c.look(8, start).state == swr_state::none);
}

TEST_CASE("a lead that was got a moment too late finds what has come, and is not given", "[swr_cache]") {
  numbers c(options);
  auto leader = c.ask(7, start);
  CHECK(c.fail(std::move(leader.mine), not_found, start, start) == swr_publish::kept);
  const auto next = c.ask(7, start);
  CHECK_FALSE(next.mine);
  CHECK_FALSE(next.other);
  CHECK(next.found.state == swr_state::negative);
}

TEST_CASE("too many flights: neither to lead nor to follow", "[swr_cache]") {
  swr_cache_options few = options;
  few.flights = 8;
  numbers c(few);
  std::vector<numbers::lead> leads;
  for (std::uint64_t key = 0; key < 8; ++key) leads.push_back(c.ask(key, start).mine);
  const auto ninth = c.ask(8, start);
  CHECK_FALSE(ninth.mine);
  CHECK_FALSE(ninth.other);
  CHECK(ninth.found.fetch_due);
  CHECK(c.flights().busy() == 1);
}

TEST_CASE("keys of text and values of varying length are kept too", "[swr_cache]") {
  swr_cache<fixed_text<20>, byte_payload<50>> c(options);
  auto asked = c.ask("a name", start);
  byte_payload<50> value;
  REQUIRE(value.assign("what it stands for"));
  CHECK(c.publish(std::move(asked.mine), value, start) == swr_publish::kept);
  CHECK(c.look("a name", start).value.view() == "what it stands for");
}

TEST_CASE("every state and every end of a fetch has a name", "[swr_cache]") {
  constexpr std::string_view states[] = {"none", "fresh", "stale", "negative", "unknown"};
  for (std::size_t i = 0; i < std::size(states); ++i) CHECK(name_of(static_cast<swr_state>(i)) == states[i]);
  constexpr std::string_view ends[] = {"kept", "not_shared", "dropped", "unknown"};
  for (std::size_t i = 0; i < std::size(ends); ++i) CHECK(name_of(static_cast<swr_publish>(i)) == ends[i]);
}

TEST_CASE("options of an swr_cache name what is wrong", "[swr_cache]") {
  static_assert(!validate(swr_cache_options{}));
  static_assert(validate(swr_cache_options{.capacity = 0}).field == "capacity");
  static_assert(validate(swr_cache_options{.stale_for = -1ns}).field == "stale_for");
  static_assert(validate(swr_cache_options{.failures = 0}).field == "failures");
  static_assert(validate(swr_cache_options{.negative_for = -1ns}).field == "negative_for");
  static_assert(validate(swr_cache_options{.negative_for = 25h}).field == "negative_for");
  static_assert(validate(swr_cache_options{.retry_after_failure = -1ns}).field == "retry_after_failure");
  static_assert(validate(swr_cache_options{.flights = 0}).field == "flights");
  static_assert(validate(swr_cache_options{.lease = 0ns}).field == "lease");
}

TEST_CASE("a snapshot tells what a person asks of a cache and its flights", "[swr_cache]") {
  numbers c(options);
  CHECK(c.snapshot().values.size == 0);
  CHECK(c.snapshot().values.capacity == c.values().capacity());
  fetched(c, 7, 70, start);
  auto leads = c.ask(8, start);
  REQUIRE(leads.mine);
  CHECK(c.snapshot().values.size == 1);
  CHECK(c.snapshot().flights.under_way == 1);
  CHECK(c.fail(std::move(leads.mine), errc::fallback_exhausted, start, start) == swr_publish::kept);
  const auto failed = c.snapshot();
  CHECK(failed.failures.size == 1);
  CHECK(failed.flights.under_way == 0);
  // A lease that is over, and its result too late.
  auto slow = c.ask(9, start);
  auto next = c.ask(9, start + options.lease + 2ms);
  REQUIRE(next.mine);
  CHECK(c.publish(std::move(slow.mine), 90, start) == swr_publish::dropped);
  const auto late = c.snapshot();
  CHECK(late.flights.taken_over == 1);
  CHECK(late.flights.under_way == 1);
  CHECK(late.dropped == 1);
}
