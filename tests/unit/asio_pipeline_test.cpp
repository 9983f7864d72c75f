// SPDX-License-Identifier: MIT
// Timers here are real, since Asio's are; no outcome depends on how fast the machine is: what must time out never
// answers, and what must answer has minutes.
#include "holdfast/interop/asio_pipeline.hpp"

#include <optional>
#include <thread>
#include <utility>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "holdfast/core/error_domain.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

const error reset = make_error(std::make_error_code(std::errc::connection_reset));

asio::awaitable<outcome<int>> number_of(const attempt& a) {
  co_return a.number;
}
asio::awaitable<outcome<int>> fails(const attempt& /*which*/) {
  co_return reset;
}
asio::awaitable<outcome<int>> never(const attempt& /*which*/) {
  asio::steady_timer timer(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
  co_await timer.async_wait(asio::use_awaitable);
  co_return 1;
}

constexpr retry_options quick{.max_attempts = 3, .backoff = {.base = 1ms, .cap = 2ms}};

}  // namespace

TEST_CASE("a pipeline is awaited by an Asio coroutine, with its retries", "[asio_pipeline]") {
  asio::io_context io;
  retry_budget budget(retry_budget_options{});
  const pipeline pipe("x", with::deadline(60s), with::retry(quick, budget, with::idempotent));
  std::optional<outcome<int>> answer;
  asio::co_spawn(
      io,
      [&]() -> asio::awaitable<void> {
        answer = co_await async_call(pipe, {}, [](const attempt& a) -> asio::awaitable<outcome<int>> {
          if (a.number < 3) co_return reset;
          co_return 7;
        });
      },
      asio::detached);
  io.run_for(60s);
  REQUIRE(answer.has_value());
  REQUIRE(answer->ok());
  CHECK(**answer == 7);
  CHECK(budget.granted() == 2);
}

TEST_CASE("a pipeline that falls back does so for an Asio coroutine", "[asio_pipeline]") {
  asio::io_context io;
  const pipeline pipe("x", with::fallback(with::tier("cache", [](const error&, const call_context&) -> aged<int> {
                        return {8, 5s};
                      })));
  std::optional<served<int>> answer;
  asio::co_spawn(
      io, [&]() -> asio::awaitable<void> { answer = co_await async_call(pipe, {}, fails); }, asio::detached);
  io.run_for(60s);
  REQUIRE(answer.has_value());
  CHECK(*answer->result == 8);
  CHECK(answer->age == 5s);
  CHECK(answer->origin.code == reset.code);
}

TEST_CASE("a call ends in a callback, on the handler's own executor", "[asio_pipeline]") {
  asio::io_context io;
  asio::thread_pool elsewhere(1);
  const guard plain;
  std::optional<outcome<int>> answer;
  std::thread::id where;
  async_call(io.get_executor(), plain, {}, number_of,
             asio::bind_executor(elsewhere.get_executor(), [&](outcome<int> got) {
               where = std::this_thread::get_id();
               answer = got;
             }));
  CHECK_FALSE(answer.has_value());  // never from inside the one who begins it
  io.run_for(60s);
  elsewhere.join();
  REQUIRE(answer.has_value());
  CHECK(**answer == 1);
  CHECK(where != std::this_thread::get_id());
}

TEST_CASE("a call ends in use_awaitable and in deferred, which begins it when it is called", "[asio_pipeline]") {
  asio::io_context io;
  retry_budget budget(retry_budget_options{});
  const pipeline pipe("x", with::retry(quick, budget));
  std::optional<outcome<int>> awaited;
  std::optional<outcome<int>> later;
  bool begun = false;
  const auto op = [&](const attempt& a) {
    begun = true;
    return number_of(a);
  };
  asio::co_spawn(
      io,
      [&]() -> asio::awaitable<void> {
        const auto executor = co_await asio::this_coro::executor;
        awaited = co_await async_call(executor, pipe, {}, number_of, asio::use_awaitable);
        auto package = async_call(executor, pipe, {}, op, asio::deferred);
        co_await asio::post(executor, asio::use_awaitable);
        CHECK_FALSE(begun);
        later = co_await std::move(package)(asio::use_awaitable);
      },
      asio::detached);
  io.run_for(60s);
  REQUIRE(awaited.has_value());
  CHECK(**awaited == 1);
  REQUIRE(later.has_value());
  CHECK(**later == 1);
}

TEST_CASE("a call with a token falls back to served", "[asio_pipeline]") {
  asio::io_context io;
  const pipeline pipe(
      "x", with::fallback(with::tier("static", [](const error&, const call_context&) -> outcome<int> { return 9; })));
  std::optional<served<int>> answer;
  async_call(io.get_executor(), pipe, {}, fails, [&](served<int> got) { answer = std::move(got); });
  io.run_for(60s);
  REQUIRE(answer.has_value());
  CHECK(*answer->result == 9);
  CHECK(answer->tier_name == "static");
}

TEST_CASE("a handler's cancellation slot ends its call, and only that one; total is not heard", "[asio_pipeline]") {
  asio::io_context io;
  circuit_breaker judge({.consecutive_failures = 1});
  bulkhead room({.limit = 2});
  const guard protects{.room = &room, .breaker = &judge};
  asio::cancellation_signal first;
  asio::cancellation_signal second;
  std::optional<outcome<int>> answers[2];
  async_call(io.get_executor(), protects, {}, never,
             asio::bind_cancellation_slot(first.slot(), [&](outcome<int> got) { answers[0] = got; }));
  async_call(io.get_executor(), protects, {}, never,
             asio::bind_cancellation_slot(second.slot(), [&](outcome<int> got) { answers[1] = got; }));
  io.poll();
  CHECK(room.in_flight() == 2);
  second.emit(asio::cancellation_type::total);
  io.poll();
  CHECK_FALSE(answers[1].has_value());
  first.emit(asio::cancellation_type::partial);
  io.poll();
  REQUIRE(answers[0].has_value());
  CHECK(answers[0]->error().code == errc::cancelled);
  CHECK_FALSE(answers[1].has_value());
  second.emit(asio::cancellation_type::terminal);
  io.run_for(60s);
  REQUIRE(answers[1].has_value());
  CHECK(answers[1]->error().code == errc::cancelled);
  CHECK(judge.state() == breaker_state::closed);
  CHECK(room.in_flight() == 0);
}

TEST_CASE("a call of a token that is cancelled in its wait ends at once", "[asio_pipeline]") {
  asio::io_context io;
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 10});
  const pipeline pipe(
      "x", with::retry({.max_attempts = 3, .backoff = {.kind = backoff_kind::constant, .base = 1h, .cap = 1h}}, budget,
                       with::idempotent));
  asio::cancellation_signal stop;
  std::optional<outcome<int>> answer;
  async_call(io.get_executor(), pipe, {}, fails,
             asio::bind_cancellation_slot(stop.slot(), [&](outcome<int> got) { answer = got; }));
  io.poll();
  CHECK_FALSE(answer.has_value());
  stop.emit(asio::cancellation_type::terminal);
  io.run_for(60s);
  REQUIRE(answer.has_value());
  CHECK(answer->error().code == errc::cancelled);
  CHECK(budget.balance_milli(steady_clock::now()) == 10'000);
}
