// SPDX-License-Identifier: MIT
#include "holdfast/interop/asio_context.hpp"

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/interop/asio_pipeline.hpp"

#include "support/catch.hpp"

namespace asio = boost::asio;
using namespace holdfast;
using namespace std::chrono_literals;

namespace {

context named(std::string_view id) {
  context made;
  made.correlation_id = id;
  return made;
}
std::string here() {
  return std::string(current_context().correlation_id.view());
}
using notes = std::vector<std::string>;

asio::awaitable<void> a_moment() {
  asio::steady_timer timer(co_await asio::this_coro::executor, 1us);
  co_await timer.async_wait(asio::use_awaitable);
}
asio::awaitable<outcome<int>> ask(notes& seen, int fails_until, int number) {
  seen.push_back("asks " + here());
  co_await a_moment();
  seen.push_back("asked " + here());
  if (number <= fails_until) co_return make_error(http_error(503));
  co_return number;
}

struct watcher {
  notes* seen;
  void on_attempt(const guard&, const attempt&, verdict, duration) const noexcept {
    seen->push_back("attempt " + here());
  }
  static void on_refusal(const guard&, const error&) noexcept {}
  static void on_transition(const guard&, const breaker_transition&) noexcept {}
  static void on_retry(const guard&, const error&, std::uint16_t, duration) noexcept {}
  static void on_give_up(const guard&, const error&) noexcept {}
};

constexpr retry_options twice{.max_attempts = 2, .backoff = {.base = 1us, .cap = 1us}};
const notes two_attempts{"asks request", "asked request", "attempt request",
                         "asks request", "asked request", "attempt request"};

}  // namespace

TEST_CASE("asio_context: a handler runs in the context that its executor was made with, and leaves none",
          "[asio_context]") {
  asio::io_context io;
  notes seen;
  {
    const context_scope of_request(named("request"));
    asio::post(carrying(io.get_executor()), [&] { seen.push_back(here()); });
    asio::post(io, [&] { seen.push_back(here()); });
    asio::dispatch(asio::any_io_executor(carrying(io.get_executor(), named("other"))), [&] { seen.push_back(here()); });
    asio::post(asio::make_strand(carrying(io.get_executor())), [&] { seen.push_back(here()); });
  }
  io.run();
  CHECK(seen == notes{"request", "", "other", "request"});
  CHECK(here().empty());
}

TEST_CASE("asio_context: executors of the same place and context are equal, others not", "[asio_context]") {
  asio::io_context io;
  asio::io_context other;
  const auto one = carrying(io.get_executor(), named("a"));
  const auto same = one;
  CHECK(one == same);
  CHECK_FALSE(one == carrying(io.get_executor(), named("a")));
  CHECK_FALSE(carrying(other.get_executor()) == carrying(io.get_executor()));
  CHECK(&asio::query(one, asio::execution::context) == &io);
  static_assert(sizeof(one) <= 3 * sizeof(void*));
}

TEST_CASE("asio_context: a coroutine keeps its context over suspensions, retries and the threads of a pool",
          "[asio_context]") {
  constexpr int many = 40;
  std::array<notes, many> seen;
  asio::thread_pool pool(3);
  const guard protects{.retry = twice};
  const auto body = [&](notes& mine) -> asio::awaitable<void> {
    mine.push_back(here());
    const auto op = [&](const attempt& which) { return ask(mine, 1, which.number); };
    const auto got = co_await async_call(protects, {.safety = idempotency::idempotent}, op, watcher{&mine});
    mine.push_back((got.ok() ? "ok " : "failed ") + here());
  };
  for (int i = 0; i < many; ++i) {
    const context_scope of_request(named("request " + std::to_string(i)));
    asio::co_spawn(carrying(asio::make_strand(pool)), body(seen[static_cast<std::size_t>(i)]), asio::detached);
  }
  pool.join();
  for (int i = 0; i < many; ++i) {
    const std::string mine = "request " + std::to_string(i);
    CHECK(seen[static_cast<std::size_t>(i)] == notes{mine, "asks " + mine, "asked " + mine, "attempt " + mine,
                                                     "asks " + mine, "asked " + mine, "attempt " + mine, "ok " + mine});
  }
}

TEST_CASE("asio_context: a call that ends in a token has the context of who began it, and so has what it ends in",
          "[asio_context]") {
  asio::io_context io;
  const guard protects{.retry = twice};
  notes seen;
  std::string ended;
  {
    const context_scope of_request(named("request"));
    async_call(
        io.get_executor(), protects, {.safety = idempotency::idempotent},
        [&](const attempt& which) { return ask(seen, 1, which.number); },
        [&](const outcome<int>& got) { ended = (got.ok() ? "ok " : "failed ") + here(); }, watcher{&seen});
  }
  io.run();
  CHECK(seen == two_attempts);
  CHECK(ended == "ok request");
  CHECK(here().empty());
}

TEST_CASE(
    "asio_context: a scope that is open over a suspension ends in the request's context, and not in one that is gone",
    "[asio_context]") {
  constexpr int many = 20;
  std::array<notes, many> seen;
  asio::thread_pool pool(2);
  const auto body = [](notes& mine) -> asio::awaitable<void> {
    {
      const context_scope scope(named("step"));
      mine.push_back(here());
      co_await a_moment();
      mine.push_back(here());
    }
    mine.push_back(here());
    co_await a_moment();
    mine.push_back(here());
  };
  for (int i = 0; i < many; ++i) {
    const context_scope of_request(named("request " + std::to_string(i)));
    asio::co_spawn(carrying(asio::make_strand(pool)), body(seen[static_cast<std::size_t>(i)]), asio::detached);
  }
  pool.join();
  for (int i = 0; i < many; ++i) {
    const std::string mine = "request " + std::to_string(i);
    CHECK(seen[static_cast<std::size_t>(i)] == notes{"step", mine, mine, mine});
  }
}

TEST_CASE(
    "asio_context: a scope that a coroutine opens when its call has ended comes back to a context that is there, too",
    "[asio_context]") {
  asio::io_context io;
  const guard protects{};
  notes seen;
  const auto body = [&]() -> asio::awaitable<void> {
    const auto op = [](const attempt&) -> asio::awaitable<outcome<int>> { co_return 7; };
    // Goes on inside the call's completion.
    const outcome<int> got = co_await async_call(io.get_executor(), protects, {}, op, asio::use_awaitable);
    {
      const context_scope scope(named(got.ok() ? "step" : "failed"));
      seen.push_back(here());
      co_await a_moment();
    }
    seen.push_back(here());
  };
  {
    const context_scope of_request(named("request"));
    asio::co_spawn(carrying(io.get_executor()), body, asio::detached);
  }
  io.run();
  CHECK(seen == notes{"step", "request"});
}
