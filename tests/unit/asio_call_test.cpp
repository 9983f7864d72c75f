// SPDX-License-Identifier: MIT
// Timers here are real, since Asio's are; no outcome depends on how fast the machine is: what must time out never
// answers, and what must answer has minutes.
#include "holdfast/interop/asio_call.hpp"

#include <optional>
#include <stdexcept>
#include <thread>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "holdfast/core/error_domain.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

const error reset = make_error(std::make_error_code(std::errc::connection_reset));

// Runs one call to its end on an io_context of its own, with a bound that only a bug reaches.
template <class Op>
outcome<int> call_and_wait(const guard& g, call_context context, Op op) {
  asio::io_context io;
  std::optional<outcome<int>> answer;
  asio::co_spawn(
      io, [&]() -> asio::awaitable<void> { answer = co_await async_call(g, context, op); }, asio::detached);
  io.run_for(60s);
  REQUIRE(answer.has_value());
  return *answer;
}

asio::awaitable<void> forever() {
  asio::steady_timer never(co_await asio::this_coro::executor, asio::steady_timer::time_point::max());
  co_await never.async_wait(asio::use_awaitable);
}

}  // namespace

TEST_CASE("an awaited operation's answer comes back", "[asio_call]") {
  const auto answer =
      call_and_wait({}, {}, [](const attempt& a) -> asio::awaitable<outcome<int>> { co_return 40 + a.number; });
  REQUIRE(answer.ok());
  CHECK(*answer == 41);
}

TEST_CASE("a coroutine's call is retried without holding its thread", "[asio_call]") {
  const guard g{.retry = {.max_attempts = 3, .backoff = {.base = 1ms, .cap = 2ms}}};
  const auto answer =
      call_and_wait(g, {.safety = idempotency::idempotent}, [](const attempt& a) -> asio::awaitable<outcome<int>> {
        if (a.number < 3) co_return reset;
        co_return 7;
      });
  REQUIRE(answer.ok());
  CHECK(*answer == 7);
}

TEST_CASE("an attempt that hangs is left behind at its deadline, and counts as a timeout", "[asio_call]") {
  circuit_breaker breaker({.consecutive_failures = 1});
  const guard g{.breaker = &breaker, .attempt_timeout = 5ms};
  const auto answer = call_and_wait(g, {}, [](const attempt&) -> asio::awaitable<outcome<int>> {
    co_await forever();
    co_return 1;
  });
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == errc::attempt_timeout);
  CHECK(breaker.state() == breaker_state::open);
}

TEST_CASE("an operation that ignores its cancellation keeps the bulkhead's permit until it ends", "[asio_call]") {
  bulkhead room({.limit = 1});
  const guard g{.room = &room, .attempt_timeout = 5ms};
  asio::io_context io;
  asio::steady_timer release(io, asio::steady_timer::time_point::max());
  bool ended = false;
  std::optional<outcome<int>> first;
  std::optional<outcome<int>> second;
  const auto stubborn = [&](const attempt&) -> asio::awaitable<outcome<int>> {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await release.async_wait(asio::as_tuple(asio::use_awaitable));
    ended = true;
    co_return 1;
  };
  asio::co_spawn(
      io,
      [&]() -> asio::awaitable<void> {
        first = co_await async_call(g, {}, stubborn);
        CHECK_FALSE(ended);
        CHECK(room.in_flight() == 1);
        second = co_await async_call(g, {}, stubborn);
        release.cancel();
      },
      asio::detached);
  io.run_for(60s);
  REQUIRE(first.has_value());
  REQUIRE(second.has_value());
  CHECK(first->error().code == errc::attempt_timeout);
  CHECK(second->error().code == errc::bulkhead_full);
  CHECK(ended);
  CHECK(room.in_flight() == 0);
}

TEST_CASE("a call that finds its room full waits in the queue, until another leaves or its time is over",
          "[asio_call]") {
  bulkhead room({.limit = 1, .queue = 1});
  const bool leaves = GENERATE(true, false);
  CAPTURE(leaves);
  const guard g{.room = &room, .room_wait = leaves ? duration(10min) : duration(2ms)};
  auto held = room.try_acquire();
  std::thread other([&] {
    if (!leaves) return;
    while (room.waiting() == 0) std::this_thread::yield();
    held.release();
  });
  const auto answer = call_and_wait(g, {}, [](const attempt&) -> asio::awaitable<outcome<int>> { co_return 7; });
  other.join();
  if (leaves) {
    CHECK(*answer == 7);
  } else {
    CHECK(answer.error().code == errc::bulkhead_timeout);
    held.release();
  }
  CHECK(room.in_flight() == 0);
  CHECK(room.waiting() == 0);
}

TEST_CASE("a call that is cancelled or destroyed in the queue has left it", "[asio_call]") {
  const bool cancelled = GENERATE(true, false);
  CAPTURE(cancelled);
  bulkhead room({.limit = 1, .queue = 1});
  circuit_breaker breaker({.consecutive_failures = 1});
  const guard g{.room = &room, .room_wait = 10min, .breaker = &breaker};
  auto held = room.try_acquire();
  std::optional<outcome<int>> answer;
  {
    asio::io_context io;
    asio::cancellation_signal stop;
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
          answer = co_await async_call(g, {}, [](const attempt&) -> asio::awaitable<outcome<int>> { co_return 7; });
        },
        asio::bind_cancellation_slot(stop.slot(), asio::detached));
    io.poll();
    CHECK(room.waiting() == 1);
    if (cancelled) {
      stop.emit(asio::cancellation_type::terminal);
      io.restart();
      io.run_for(60s);
      REQUIRE(answer.has_value());
      CHECK(answer->error().code == errc::cancelled);
    }
  }
  CHECK(room.waiting() == 0);
  held.release();
  CHECK(room.in_flight() == 0);
  CHECK(room.try_acquire());
}

TEST_CASE("what an operation throws is an error like any other", "[asio_call]") {
  const auto answer = call_and_wait({}, {}, [](const attempt&) -> asio::awaitable<outcome<int>> {
    throw boost::system::system_error(asio::error::connection_refused);
    co_return 1;
  });
  CHECK(answer.error().code == std::errc::connection_refused);
  CHECK(answer.error().kind == verdict::transient);
}

TEST_CASE("a cancelled caller gets an outcome, and the breaker hears nothing of it", "[asio_call]") {
  circuit_breaker breaker({.consecutive_failures = 1});
  const guard g{.breaker = &breaker, .attempt_timeout = 10min};
  asio::io_context io;
  asio::cancellation_signal stop;
  std::optional<outcome<int>> answer;
  asio::co_spawn(
      io,
      [&]() -> asio::awaitable<void> {
        answer = co_await async_call(g, {}, [](const attempt&) -> asio::awaitable<outcome<int>> {
          co_await forever();
          co_return 1;
        });
      },
      asio::bind_cancellation_slot(stop.slot(), asio::detached));
  asio::post(io, [&] { stop.emit(asio::cancellation_type::terminal); });
  io.run_for(60s);
  REQUIRE(answer.has_value());
  CHECK(answer->error().code == errc::cancelled);
  CHECK(breaker.state() == breaker_state::closed);
}

TEST_CASE("a coroutine that is cancelled or destroyed while it waits for its retry gives the token back",
          "[asio_call]") {
  const bool cancelled = GENERATE(true, false);
  CAPTURE(cancelled);
  retry_budget budget({.ratio_permille = 0, .min_per_second = 0, .burst = 5});
  const guard g{.budget = &budget,
                .retry = {.max_attempts = 2, .backoff = {.kind = backoff_kind::constant, .base = 10min, .cap = 10min}}};
  std::optional<outcome<int>> answer;
  {
    asio::io_context io;
    asio::cancellation_signal stop;
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
          answer = co_await async_call(g, {.safety = idempotency::idempotent},
                                       [](const attempt&) -> asio::awaitable<outcome<int>> {
                                         co_return make_error(std::make_error_code(std::errc::connection_reset));
                                       });
        },
        asio::bind_cancellation_slot(stop.slot(), asio::detached));
    io.poll();
    REQUIRE_FALSE(answer.has_value());
    CHECK(budget.balance_milli({}) == 4'000);
    if (cancelled) {
      stop.emit(asio::cancellation_type::terminal);
      io.restart();
      io.run_for(60s);
      REQUIRE(answer.has_value());
      CHECK(answer->error().code == errc::cancelled);
    }
  }
  CHECK(budget.balance_milli({}) == 5'000);
}

TEST_CASE("Asio's own codes keep their meaning", "[boost_error]") {
  CHECK(from_boost(asio::error::eof).kind == verdict::transient);
  CHECK(from_boost(asio::error::broken_pipe).code == std::errc::connection_reset);
  CHECK(from_boost(asio::error::host_not_found_try_again).code == std::errc::resource_unavailable_try_again);
  CHECK(from_boost(asio::error::operation_aborted).kind == verdict::cancelled);
  CHECK(from_boost(asio::error::timed_out).kind == verdict::timeout);
  CHECK(from_boost(asio::error::access_denied).kind == verdict::permanent);
}

TEST_CASE("Boost's exceptions are translated, and others left to who knows them", "[boost_error]") {
  const boost_translator translate;
  const auto known = translate(std::make_exception_ptr(boost::system::system_error(asio::error::eof)));
  REQUIRE(known.has_value());
  CHECK(known->code == std::errc::connection_reset);
  CHECK_FALSE(translate(std::make_exception_ptr(std::runtime_error("another library's"))).has_value());
}
