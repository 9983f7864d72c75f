// SPDX-License-Identifier: MIT
#include "holdfast/exec/cached_call.hpp"

#include <iterator>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/exec/call.hpp"
#include "holdfast/policy/circuit_breaker.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {
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

struct world {
  numbers cache{options};
  manual_clock clock{time_point(1h)};
  int fetches = 0;

  auto fetching(outcome<int> result, duration takes = 0ns) {
    return [this, result, takes](const call_context&) -> outcome<int> {
      ++fetches;
      clock.advance(takes);
      return result;
    };
  }
  cached_answer<numbers> read(outcome<int> result, duration takes = 0ns, const call_context& context = {}) {
    return get_or_fetch(cache, 7, context, clock, fetching(result, takes), never_waits);
  }
  [[nodiscard]] deadline in(duration d) const { return deadline(clock.now() + d); }
  // For those of whom nobody waits.
  static constexpr auto never_waits = [](const numbers::follower&, deadline) {
    CHECK(false);
    return false;
  };
};
}  // namespace

TEST_CASE("what is not kept is fetched, and then kept", "[cached_call]") {
  world w;
  const auto first = w.read(70, 300ms);
  CHECK(first.by == answered_by::fetch);
  CHECK(first.result.value() == 70);
  CHECK(first.age == 300ms);
  const auto second = w.read(71);
  CHECK(second.by == answered_by::fresh);
  CHECK(second.result.value() == 70);
  CHECK(second.age == 300ms);
  CHECK_FALSE(second.due);
  CHECK(w.fetches == 1);
}

TEST_CASE("F2 a stale value is served without a fetch, and with it the right to refresh it later", "[cached_call]") {
  world w;
  static_cast<void>(w.read(70));
  w.clock.advance(2s);
  auto reader = w.read(71);
  CHECK(reader.by == answered_by::stale);
  CHECK(reader.result.value() == 70);
  CHECK(reader.age == 2s);
  REQUIRE(reader.due);
  CHECK(w.fetches == 1);
  // While it is refreshed the others have the old one at once (swr-cache PR #49).
  const auto other = w.read(72);
  CHECK(other.by == answered_by::stale);
  CHECK_FALSE(other.due);
  const auto done = refresh(w.cache, std::move(reader.due), {}, w.clock, w.fetching(73, 100ms));
  CHECK(done.published == swr_publish::kept);
  CHECK(done.result.value() == 73);
  const auto after = w.read(74);
  CHECK(after.by == answered_by::fresh);
  CHECK(after.result.value() == 73);
  CHECK(after.age == 100ms);
  CHECK(w.fetches == 2);
}

TEST_CASE("a refresh that fails leaves the stale value, and says why", "[cached_call]") {
  world w;
  static_cast<void>(w.read(70));
  w.clock.advance(2s);
  auto reader = w.read(71);
  CHECK_FALSE(reader.why.code);
  const auto done = refresh(w.cache, std::move(reader.due), {}, w.clock, w.fetching(overloaded));
  CHECK(done.published == swr_publish::kept);
  const auto next = w.read(72);
  CHECK(next.by == answered_by::stale);
  CHECK(next.result.value() == 70);
  CHECK(next.why == overloaded);
  CHECK_FALSE(next.due);
  w.clock.advance(2s);
  CHECK(w.read(73).due);
  CHECK(w.fetches == 2);
}

TEST_CASE("a failure is handed out for as long as it holds, without a call", "[cached_call]") {
  world w;
  const auto first = w.read(not_found);
  CHECK(first.by == answered_by::fetch);
  CHECK(first.result.error() == not_found);
  w.clock.advance(9s);
  const auto second = w.read(70);
  CHECK(second.by == answered_by::negative);
  CHECK(second.result.error() == not_found);
  CHECK(second.age == 9s);
  CHECK(w.fetches == 1);
  w.clock.advance(1s);
  CHECK(w.read(70).result.value() == 70);
}

TEST_CASE("F3 a follower has its leader's value, or its failure with its code", "[cached_call]") {
  for (const outcome<int>& came : {outcome<int>(70), outcome<int>(overloaded), outcome<int>(not_found)}) {
    world w;
    auto leader = w.cache.ask(7, w.clock.now());
    // While the follower waits the leader is done.
    const auto landing = [&](const numbers::follower&, deadline) {
      const time_point begun = w.clock.now();
      w.clock.advance(1500ms);
      static_cast<void>(came.ok() ? w.cache.publish(std::move(leader.mine), came.value(), begun)
                                  : w.cache.fail(std::move(leader.mine), came.error(), begun, w.clock.now()));
      return true;
    };
    const auto follower = get_or_fetch(w.cache, 7, {}, w.clock, w.fetching(99), landing);
    CHECK(follower.by == answered_by::flight);
    REQUIRE(follower.result.ok() == came.ok());
    if (came.ok()) CHECK(follower.result.value() == 70);
    if (!came.ok()) CHECK(follower.result.error() == came.error());
    CHECK(follower.age == 1500ms);
    CHECK(w.fetches == 0);
  }
}

TEST_CASE("F3 a follower waits until its own deadline, and then has the next tier", "[cached_call]") {
  world w;
  auto leader = w.cache.ask(7, w.clock.now());
  std::optional<deadline> waited_until;
  const auto gives_up = [&](const numbers::follower&, deadline until) {
    waited_until = until;
    w.clock.advance(50ms);
    return false;
  };
  const deadline mine = w.in(50ms);
  const auto follower = get_or_fetch(w.cache, 7, {.until = mine}, w.clock, w.fetching(99), gives_up);
  CHECK(waited_until == mine);
  CHECK(follower.by == answered_by::deadline);
  CHECK(follower.result.error().code == errc::deadline_exceeded);
  CHECK(leader.mine.flight.leads());
  CHECK(w.fetches == 0);
}

TEST_CASE("a result that comes with the end of the follower's time is taken", "[cached_call]") {
  world w;
  auto leader = w.cache.ask(7, w.clock.now());
  const auto late = [&](const numbers::follower&, deadline) {
    static_cast<void>(w.cache.publish(std::move(leader.mine), 70, w.clock.now()));
    return false;
  };
  CHECK(get_or_fetch(w.cache, 7, {.until = w.in(50ms)}, w.clock, w.fetching(99), late).result.value() == 70);
}

TEST_CASE("F3 a leader that gives up is followed by a follower: one fetch, with its own deadline", "[cached_call]") {
  world w;
  auto leader = w.cache.ask(7, w.clock.now());
  const auto given_up = [&](const numbers::follower&, deadline) {
    static_cast<void>(w.cache.fail(std::move(leader.mine), errc::deadline_exceeded, w.clock.now(), w.clock.now()));
    return true;
  };
  deadline fetched_until;
  const auto follower = get_or_fetch(
      w.cache, 7, {.until = w.in(1min)}, w.clock,
      [&](const call_context& c) -> outcome<int> {
        fetched_until = c.until;
        return 70;
      },
      given_up);
  CHECK(follower.by == answered_by::fetch);
  CHECK(follower.result.value() == 70);
  CHECK(fetched_until == w.in(1min));
}

TEST_CASE("F1 a leader that dies is taken over when its lease is over", "[cached_call]") {
  world w;
  const auto dead = w.cache.ask(7, w.clock.now());
  const auto to_its_end = [&](const numbers::follower& f, deadline) {
    w.clock.set(f.lease_over());
    return true;
  };
  const auto follower = get_or_fetch(w.cache, 7, {}, w.clock, w.fetching(70), to_its_end);
  CHECK(follower.by == answered_by::fetch);
  CHECK(w.fetches == 1);
  CHECK(w.cache.flights().taken_over() == 1);
}

TEST_CASE("a leader whose lease was taken over has what it fetched, and others do not", "[cached_call]") {
  world w;
  numbers::lead second;
  const auto slow = get_or_fetch(
      w.cache, 7, {}, w.clock,
      [&](const call_context&) -> outcome<int> {
        w.clock.advance(6s);
        second = w.cache.ask(7, w.clock.now()).mine;
        return 69;
      },
      world::never_waits);
  CHECK(slow.result.value() == 69);
  CHECK(slow.age == 6s);
  CHECK(w.cache.dropped() == 1);
  CHECK(w.cache.look(7, w.clock.now()).state == swr_state::none);
  CHECK(second.flight.leads());
}

TEST_CASE("F1 a refresh that comes to its turn when another has taken over does not fetch", "[cached_call]") {
  world w;
  static_cast<void>(w.read(70));
  w.clock.advance(2s);
  auto reader = w.read(71);
  REQUIRE(reader.due);
  w.clock.advance(6s);
  const auto next = w.read(72);
  CHECK(next.by == answered_by::stale);
  REQUIRE(next.due);
  const auto late = refresh(w.cache, std::move(reader.due), {}, w.clock, w.fetching(73));
  CHECK(late.published == swr_publish::dropped);
  CHECK(late.result.error().code == errc::cancelled);
  CHECK(w.fetches == 1);
}

TEST_CASE("a caller whose time is over is not sent, but has what is kept", "[cached_call]") {
  world w;
  const auto none = w.read(70, 0ns, {.until = w.in(0s)});
  CHECK(none.by == answered_by::deadline);
  CHECK(none.result.error().code == errc::deadline_exceeded);
  CHECK(w.fetches == 0);
  static_cast<void>(w.read(70));
  CHECK(w.read(71, 0ns, {.until = w.in(0s)}).result.value() == 70);
  w.clock.advance(2s);
  CHECK(w.read(71, 0ns, {.until = w.in(0s)}).by == answered_by::stale);
}

TEST_CASE("F3 a leader whose own time is over leaves nothing to those who have more", "[cached_call]") {
  world w;
  const call_context hurried{.until = deadline(w.clock.now() + 5ms)};
  const auto times_out = [&](const call_context&) -> outcome<int> {
    w.clock.advance(6ms);
    return make_error(std::make_error_code(std::errc::timed_out));
  };
  CHECK_FALSE(get_or_fetch(w.cache, 7, hurried, w.clock, times_out, world::never_waits).result.ok());
  const auto next = get_or_fetch(w.cache, 7, {}, w.clock, w.fetching(70), world::never_waits);
  REQUIRE(next.result.ok());
  CHECK(next.by == answered_by::fetch);
}

TEST_CASE("with too many flights a caller fetches by itself, and nothing of it is kept", "[cached_call]") {
  world w;
  swr_cache_options few = options;
  few.flights = 8;
  numbers cache(few);
  std::vector<numbers::lead> leads;
  for (std::uint64_t key = 100; key < 108; ++key) leads.push_back(cache.ask(key, w.clock.now()).mine);
  const auto alone = get_or_fetch(cache, 7, {}, w.clock, w.fetching(70), world::never_waits);
  CHECK(alone.by == answered_by::fetch);
  // Nobody could say whether the key was forgotten meanwhile.
  CHECK(*get_or_fetch(cache, 7, {}, w.clock, w.fetching(71), world::never_waits).result == 71);
  const auto failed = get_or_fetch(cache, 8, {}, w.clock, w.fetching(not_found), world::never_waits);
  CHECK(failed.result.error() == not_found);
}

TEST_CASE("it fetches through a pipeline, and a herd at an open breaker makes no call", "[cached_call]") {
  world w;
  circuit_breaker breaker;
  breaker.isolate(w.clock.now());
  const guard protects{.name = "db", .breaker = &breaker};
  const auto fetch = [&](const call_context& c) {
    return run(protects, c, w.clock, [&](const attempt&) -> outcome<int> {
      ++w.fetches;
      return 1;
    });
  };
  const auto refused = get_or_fetch(w.cache, 7, {}, w.clock, fetch, world::never_waits);
  CHECK(refused.result.error().code == errc::breaker_isolated);
  CHECK(get_or_fetch(w.cache, 7, {}, w.clock, fetch, world::never_waits).by == answered_by::negative);
  CHECK(w.fetches == 0);
}

TEST_CASE("a follower sleeps until the value is there", "[cached_call]") {
  numbers cache(options);
  const steady_clock clock;
  auto leader = cache.ask(7, clock.now());
  std::optional<cached_answer<numbers>> got;
  std::thread follower(
      [&] { got.emplace(get_or_fetch(cache, 7, {}, clock, [](const call_context&) -> outcome<int> { return 99; })); });
  CHECK(cache.publish(std::move(leader.mine), 70, clock.now()) == swr_publish::kept);
  follower.join();
  CHECK(got->result.value() == 70);
}

TEST_CASE("whoever may have answered has a name", "[cached_call]") {
  constexpr std::string_view names[] = {"fresh", "stale", "negative", "fetch", "flight", "deadline", "unknown"};
  for (std::size_t i = 0; i < std::size(names); ++i) CHECK(name_of(static_cast<answered_by>(i)) == names[i]);
}
