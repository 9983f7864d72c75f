// SPDX-License-Identifier: MIT
// Timers here are real, since Asio's are; no outcome depends on how fast the machine is: what must lose never answers by itself,
// and what must answer has minutes.
#include "holdfast/interop/asio_hedge.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/interop/asio_pipeline.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

const error reset = make_error(std::make_error_code(std::errc::connection_reset));
constexpr hedge_policy soon{.options = {.max_hedges = 2, .delay = 1ms}};
constexpr call_context repeatable{.safety = idempotency::idempotent};

asio::awaitable<void> forever() {
  asio::steady_timer never(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
  co_await never.async_wait(asio::use_awaitable);
}

struct stage {
  asio::io_context io;
  bulkhead room{bulkhead_options{.limit = 4}};
  circuit_breaker judge{circuit_breaker_options{.consecutive_failures = 1}};
  retry_budget budget{retry_budget_options{.ratio_permille = 0, .min_per_second = 0, .burst = 10}};
  guard protects{.room = &room, .breaker = &judge, .budget = &budget};
  std::optional<outcome<int>> answer;
  std::size_t in_flight = 0;  // when the call had its answer

  template <class Op>
  void begin(Op op, const hedge_policy& how = soon, asio::cancellation_slot slot = {}) {
    asio::co_spawn(
        io,
        [this, op, how]() -> asio::awaitable<void> {
          const outcome<int> got = co_await async_hedge<2>(protects, how, repeatable, op);
          answer = got;
          in_flight = room.in_flight();
        },
        asio::bind_cancellation_slot(slot, asio::detached));
  }
  template <class Op>
  const outcome<int>& call(Op op, const hedge_policy& how = soon) {
    begin(op, how);
    io.run_for(60s);
    REQUIRE(answer.has_value());
    return *answer;
  }
  [[nodiscard]] std::uint32_t tokens() const { return budget.balance_milli(steady_clock::now()) / 1000; }
};

}  // namespace

TEST_CASE("a call on Asio that is answered in time has one attempt", "[asio_hedge]") {
  stage on;
  const auto& got = on.call([](const stoppable_attempt& a) -> asio::awaitable<outcome<int>> { co_return a.number; },
                            {.options = {.delay = 1h}});
  REQUIRE(got.ok());
  CHECK(*got == 1);
  CHECK(on.tokens() == 10);
  CHECK(on.room.in_flight() == 0);
}

TEST_CASE("H1, H3 the first answer on Asio is the call's, and its losers are cancelled", "[asio_hedge]") {
  for (const int winner : {1, 2, 3}) {
    stage on;
    int begun = 0;
    int stopped = 0;
    const auto op = [&, winner](const stoppable_attempt& which) -> asio::awaitable<outcome<int>> {
      const stoppable_attempt a = which;
      // The first one is answered when the others are there.
      ++begun;
      if (a.number == winner) {
        asio::steady_timer soon_after(co_await asio::this_coro::executor);
        while (begun < 3) {
          soon_after.expires_after(100us);
          co_await soon_after.async_wait(asio::use_awaitable);
        }
        co_return a.number;
      }
      try {
        co_await forever();
      } catch (...) {
        stopped += a.stop.stop_requested() ? 1 : 0;
      }
      co_return reset;
    };
    const auto& got = on.call(op);
    REQUIRE(got.ok());
    CHECK(*got == winner);
    CHECK(begun == 3);
    CHECK(stopped == 2);
    CHECK(on.tokens() == 8);
    CHECK(on.in_flight == 2);  // the answer has waited for nobody
    CHECK(on.room.in_flight() == 0);
    CHECK(on.judge.state() == breaker_state::closed);
  }
}

TEST_CASE("H1 a failure on Asio is followed at once, and the last one comes back", "[asio_hedge]") {
  stage on;
  on.protects.breaker = nullptr;
  const auto fails = [](const stoppable_attempt&) -> asio::awaitable<outcome<int>> { co_return reset; };
  const auto& got = on.call(fails, {.options = {.max_hedges = 2, .delay = 1h}});
  CHECK(got.error().code == reset.code);
  CHECK(got.error().attempts == 3);
  CHECK(got.error().stopped_by == errc::attempts_exhausted);
  CHECK(on.tokens() == 8);
  CHECK(on.room.in_flight() == 0);
}

TEST_CASE("H2 a call on Asio without tokens is not hedged", "[asio_hedge]") {
  stage on;
  REQUIRE(on.budget.try_take(steady_clock::now(), 10));
  int begun = 0;
  const auto& got = on.call([&](const stoppable_attempt&) -> asio::awaitable<outcome<int>> {
    ++begun;
    asio::steady_timer later(co_await asio::this_coro::executor, 20ms);
    co_await later.async_wait(asio::use_awaitable);
    co_return 1;
  });
  CHECK(*got == 1);
  CHECK(begun == 1);
}

TEST_CASE("H4 an attempt on Asio that is left behind keeps its place until it has ended", "[asio_hedge]") {
  stage on;
  on.protects.attempt_timeout = 5ms;
  on.protects.breaker = nullptr;
  asio::steady_timer release(on.io, asio::steady_timer::time_point::max());
  int ended = 0;
  const auto stubborn = [&](const stoppable_attempt&) -> asio::awaitable<outcome<int>> {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await release.async_wait(asio::as_tuple(asio::use_awaitable));
    ++ended;
    co_return 1;
  };
  on.begin(stubborn);
  for (int most = 60'000; !on.answer.has_value() && most != 0; --most) on.io.run_for(1ms);
  REQUIRE(on.answer.has_value());
  CHECK(on.answer->error().code == errc::attempt_timeout);
  CHECK(on.answer->error().attempts == 3);
  CHECK(ended == 0);
  CHECK(on.room.in_flight() == 3);
  release.cancel();
  on.io.run_for(60s);
  CHECK(ended == 3);
  CHECK(on.room.in_flight() == 0);
}

TEST_CASE("H3 a cancelled caller on Asio gets an outcome, its attempts are stopped, and nobody is judged",
          "[asio_hedge]") {
  stage on;
  asio::cancellation_signal stop;
  int begun = 0;
  int ended = 0;
  const auto hangs = [&](const stoppable_attempt&) -> asio::awaitable<outcome<int>> {
    if (++begun == 2) asio::post(on.io, [&] { stop.emit(asio::cancellation_type::terminal); });
    try {
      co_await forever();
    } catch (...) {
      ++ended;
    }
    co_return 1;
  };
  on.begin(hangs, {.options = {.max_hedges = 1, .delay = 1ms}}, stop.slot());
  on.io.run_for(60s);
  REQUIRE(on.answer.has_value());
  CHECK(on.answer->error().code == errc::cancelled);
  CHECK(begun == 2);
  CHECK(ended == 2);
  CHECK(on.room.in_flight() == 0);
  CHECK(on.judge.state() == breaker_state::closed);
}

TEST_CASE("what an attempt on Asio throws is an error like any other, and another may still answer", "[asio_hedge]") {
  stage on;
  on.protects.breaker = nullptr;
  const auto& got = on.call([](const stoppable_attempt& a) -> asio::awaitable<outcome<int>> {
    if (a.number == 1) throw boost::system::system_error(asio::error::connection_refused);
    co_return a.number;
  });
  CHECK(*got == 2);
}

TEST_CASE("attempts whose context ends without them give back what they hold", "[asio_hedge]") {
  bulkhead room({.limit = 4});
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 10});
  const guard protects{.room = &room, .budget = &budget};
  {
    asio::io_context io;
    int begun = 0;
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
          static_cast<void>(co_await async_hedge(protects, {.options = {.delay = 1ms}}, repeatable,
                                                 [&](const stoppable_attempt&) -> asio::awaitable<outcome<int>> {
                                                   ++begun;
                                                   co_await forever();
                                                   co_return 1;
                                                 }));
        },
        asio::detached);
    for (int most = 60'000; begun < 2 && most != 0; --most) io.run_for(1ms);
    CHECK(room.in_flight() == 2);
  }
  CHECK(room.in_flight() == 0);
}

TEST_CASE("a pipeline with a hedge ends in any of Asio's tokens, and falls back", "[asio_hedge][asio_pipeline]") {
  asio::io_context io;
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 10});
  const auto usual = std::make_unique<latency_sketch>(latency_sketch_options{});
  const pipeline pipe(
      "x", with::fallback(with::tier("cache", [](const error&, const call_context&) { return outcome<int>(8); })),
      with::deadline(60s), with::hedge({.most = 1ms}, *usual, budget, with::idempotent));
  const auto second_answers = [](const stoppable_attempt& which) -> asio::awaitable<outcome<int>> {
    const stoppable_attempt a = which;
    if (a.number == 1) co_await forever();
    co_return a.context.safety == idempotency::idempotent ? 2 : 0;
  };
  const auto fails = [](const attempt&) -> asio::awaitable<outcome<int>> { co_return reset; };
  std::optional<served<int>> first;
  std::optional<served<int>> second;
  async_call(io.get_executor(), pipe, {}, second_answers, [&](served<int> got) { first = std::move(got); });
  io.run_for(60s);
  io.restart();
  async_call(io.get_executor(), pipe, {}, fails, [&](served<int> got) { second = std::move(got); });
  io.run_for(60s);
  REQUIRE(first.has_value());
  CHECK(*first->result == 2);
  CHECK_FALSE(first->degraded());
  CHECK(usual->recent(steady_clock::now()).count() == 1);
  REQUIRE(second.has_value());
  CHECK(*second->result == 8);
  CHECK(second->origin.attempts == 2);
  CHECK(budget.balance_milli(steady_clock::now()) == 8'000);
}
