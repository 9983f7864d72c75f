// SPDX-License-Identifier: MIT
#include "holdfast/policy/fallback.hpp"

#include <string>

#include "holdfast/core/error_domain.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {
constexpr time_point now{1h};
constexpr fallback_plan reads{.tiers = {{{.name = "primary", .needs = 20ms},
                                         {.name = "replica", .needs = 10ms},
                                         {.name = "cache"},
                                         {.name = "cdn", .needs = 50ms},
                                         {.name = "default"}}}};
static_assert(!validate(reads) && reads.size() == 5);

error failed(verdict kind) {
  return {http_error(503), kind};
}
}  // namespace

TEST_CASE("what another tier might do better falls through, an answer and a cancellation do not", "[fallback]") {
  struct row {
    verdict kind;
    bool falls;
  };
  for (const row r : {row{verdict::transient, true}, row{verdict::throttled, true}, row{verdict::timeout, true},
                      row{verdict::rejected, true}, row{verdict::permanent, false}, row{verdict::cancelled, false},
                      row{verdict::stale, false}, row{verdict::ok, false}}) {
    CAPTURE(name_of(r.kind));
    CHECK(next_tier(reads, 0, failed(r.kind), now, {}) == (r.falls ? 1 : no_tier));
  }
  fallback_plan also_missing = reads;
  also_missing.tiers[1].falls_through = {verdict::permanent};
  CHECK(next_tier(also_missing, 1, failed(verdict::permanent), now, {}) == 2);
  CHECK(next_tier(also_missing, 1, failed(verdict::transient), now, {}) == no_tier);
}

TEST_CASE("a tier without the time it needs is passed over, one that needs none is always tried", "[fallback]") {
  const auto next = [](std::size_t current, duration left) {
    return next_tier(reads, current, failed(verdict::transient), now, deadline(now + left));
  };
  CHECK(next(0, 10ms) == 1);
  CHECK(next(0, 10ms - 1ns) == 2);
  CHECK(next(2, 50ms) == 3);
  CHECK(next(2, 49ms) == 4);
  CHECK(next(2, -1h) == 4);
  CHECK(next(4, 1h) == no_tier);
  CHECK(first_tier(reads, now, {}) == 0);
  CHECK(first_tier(reads, now, deadline(now + 15ms)) == 1);
  CHECK(first_tier(reads, now, deadline(now)) == 2);
  constexpr fallback_plan slow{.tiers = {{{.name = "only", .needs = 1s}}}};
  CHECK(first_tier(slow, now, deadline(now)) == no_tier);
}

TEST_CASE("a served fallback keeps visible why the first tier failed, who answered, and how old it is", "[fallback]") {
  fallback_walk walk(reads, now, deadline(now + 1s));
  REQUIRE(walk.tier_name() == "primary");
  CHECK(walk.failed({http_error(503), verdict::transient}, now));
  CHECK(walk.tier_name() == "replica");
  CHECK(walk.failed(error(errc::breaker_open), now));
  CHECK(walk.tier_name() == "cache");
  const auto answer = walk.answered(outcome<std::string>("profile"), 3s);
  CHECK(answer.ok());
  CHECK(answer.degraded());
  CHECK(*answer.result == "profile");
  CHECK(answer.tier == 2);
  CHECK(answer.tier_name == "cache");
  CHECK(answer.age == 3s);
  REQUIRE(answer.has_origin());
  CHECK(answer.origin.code == http_error(503));
  CHECK(answer.origin.tier == 0);
}

TEST_CASE("the first tier's own answer has no origin and no age", "[fallback]") {
  fallback_walk walk(reads, now, {});
  const auto answer = walk.answered(outcome<int>(5));
  CHECK(answer.ok());
  CHECK_FALSE(answer.degraded());
  CHECK_FALSE(answer.has_origin());
  CHECK(answer.age == 0s);
  CHECK(answer.tier_name == "primary");
}

TEST_CASE("when every tier failed the error is the last one's, and says that there were no more", "[fallback]") {
  fallback_walk walk(reads, now, {});
  for (std::size_t i = 0; i < 4; ++i)
    REQUIRE(walk.failed({http_error(static_cast<int>(500 + i)), verdict::transient}, now));
  CHECK_FALSE(walk.failed({http_error(504), verdict::timeout}, now));
  const auto answer = walk.exhausted<int>();
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.result.error().code == http_error(504));
  CHECK(answer.result.error().stopped_by == errc::fallback_exhausted);
  CHECK(answer.tier_name == "default");
  CHECK(answer.origin.code == http_error(500));
  CHECK(walk.failures() == 5);
}

TEST_CASE("a final word ends the walk and is not called exhaustion", "[fallback]") {
  fallback_walk walk(reads, now, {});
  REQUIRE(walk.failed({http_error(503), verdict::transient}, now));
  CHECK_FALSE(walk.failed({http_error(404), verdict::permanent}, now));
  const auto answer = walk.exhausted<int>();
  CHECK(answer.result.error().code == http_error(404));
  CHECK(answer.result.error().stopped_by == errc{});
  CHECK(answer.tier_name == "replica");
  CHECK(answer.result.error().tier == 1);
}

TEST_CASE("no tier can finish: deadline exceeded, by nobody", "[fallback]") {
  constexpr fallback_plan slow{.tiers = {{{.name = "only", .needs = 1s}}}};
  const fallback_walk walk(slow, now, deadline(now));
  CHECK_FALSE(walk.has_tier());
  const auto answer = walk.exhausted<int>();
  CHECK(answer.result.error().code == errc::deadline_exceeded);
  CHECK(answer.tier_name.empty());
  CHECK_FALSE(answer.has_origin());
}

TEST_CASE("a fallback plan names what is wrong", "[fallback]") {
  static_assert(validate(fallback_plan{}).field == "tiers");
  static_assert(validate(fallback_plan{.tiers = {{{.name = "a"}, {.name = "a"}}}}).field == "name");
  static_assert(validate(fallback_plan{.tiers = {{{.name = "a"}, {}, {.name = "b"}}}}).field == "name");
  static_assert(validate(fallback_plan{.tiers = {{{.name = "a", .needs = -1ns}}}}).field == "needs");
  static_assert(validate(fallback_plan{.tiers = {{{.name = "a", .falls_through = {verdict::cancelled}}}}}).field ==
                "falls_through");
  static_assert(validate(fallback_plan{.tiers = {{{.name = "a", .falls_through = {verdict::ok}}}}}).field ==
                "falls_through");
}

TEST_CASE("a plan made at run time may fill every tier, and names the one that is wrong", "[fallback]") {
  static constexpr std::string_view names[most_tiers] = {"a", "b", "c", "d", "e", "f", "g", "h"};
  fallback_plan full;
  CHECK(validate(full).field == "tiers");
  for (std::size_t i = 0; i < most_tiers; ++i) full.tiers[i].name = names[i];
  CHECK(full.size() == most_tiers);
  CHECK_FALSE(validate(full));
  const auto wrong = [&](std::size_t tier, auto change) {
    fallback_plan plan = full;
    change(plan.tiers[tier]);
    return validate(plan);
  };
  CHECK(wrong(7, [](auto& t) { t.needs = -5ns; }).value == -5);
  const auto ok = wrong(2, [](auto& t) { t.falls_through = {verdict::ok}; });
  CHECK(ok.field == "falls_through");
  CHECK(ok.value == 2);
  CHECK(wrong(3, [](auto& t) { t.falls_through = {verdict::cancelled}; }).value == 3);
  const auto twice = wrong(5, [](auto& t) { t.name = "b"; });
  CHECK(twice.value == 5);
  CHECK(twice.limit == 1);
  CHECK(wrong(4, [](auto& t) { t.name = {}; }).value == 4);  // a hole
}
