// SPDX-License-Identifier: MIT
#include <stdexcept>

#include "holdfast/exec/cached_call.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

TEST_CASE("a fetch that throws hangs nobody: the exception is its caller's, and the next one leads (golang/go #33519)",
          "[cached_call]") {
  swr_cache<std::uint64_t, int> cache({});
  const manual_clock clock;
  swr_cache<std::uint64_t, int>::follower follower;
  const auto throwing = [&](const call_context&) -> outcome<int> {
    follower = cache.ask(7, clock.now()).other;
    throw std::runtime_error("the callee's");
  };
  CHECK_THROWS_AS(get_or_fetch(cache, 7, {}, clock, throwing), std::runtime_error);
  REQUIRE(follower);
  CHECK(follower.over());
  const auto next = get_or_fetch(cache, 7, {}, clock, [](const call_context&) -> outcome<int> { return 70; });
  CHECK(next.by == answered_by::fetch);
  CHECK(next.result.value() == 70);
}
