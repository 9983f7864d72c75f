// SPDX-License-Identifier: MIT
#include "holdfast/core/inplace_stop.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <type_traits>
#include <vector>

#include "holdfast/core/atomic.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

struct note {
  std::vector<int>& log;
  int id;
  void operator()() const { log.push_back(id); }
};
using noted = inplace_stop_callback<note>;

}  // namespace

TEST_CASE("S1 the first who asks for a stop is told so, and all who look see it", "[inplace_stop]") {
  inplace_stop_source source;
  const inplace_stop_token token = source.get_token();
  CHECK(token.stop_possible());
  CHECK_FALSE(token.stop_requested());
  CHECK_FALSE(source.stop_requested());
  CHECK(source.request_stop());
  CHECK_FALSE(source.request_stop());
  CHECK(source.stop_requested());
  CHECK(token.stop_requested());
}

TEST_CASE("a token of no source is never stopped, and tokens are the same where their source is", "[inplace_stop]") {
  const inplace_stop_token none;
  CHECK_FALSE(none.stop_possible());
  CHECK_FALSE(none.stop_requested());
  bool called = false;
  {
    const inplace_stop_callback never(none, [&] { called = true; });
  }
  CHECK_FALSE(called);
  inplace_stop_source one;
  inplace_stop_source other;
  CHECK(none == inplace_stop_token{});
  CHECK(one.get_token() == one.get_token());
  CHECK(one.get_token() != other.get_token());
  CHECK(one.get_token() != none);
}

TEST_CASE("S2 callbacks are called once each, the newest first, and those that come later at once", "[inplace_stop]") {
  std::vector<int> log;
  inplace_stop_source source;
  const noted first(source.get_token(), note{log, 1});
  const noted second(source.get_token(), note{log, 2});
  CHECK(log.empty());
  source.request_stop();
  CHECK(log == std::vector<int>{2, 1});
  const noted late(source.get_token(), note{log, 3});
  CHECK(log == std::vector<int>{2, 1, 3});
  source.request_stop();
  CHECK(log.size() == 3);
}

TEST_CASE("S3 a callback that is gone is not called, wherever it stood among the others", "[inplace_stop]") {
  for (int gone = 0; gone < 3; ++gone) {
    std::vector<int> log;
    inplace_stop_source source;
    std::optional<noted> callbacks[3];
    for (int i = 0; i < 3; ++i) callbacks[i].emplace(source.get_token(), note{log, i});
    callbacks[gone].reset();
    callbacks[gone].emplace(source.get_token(), note{log, gone + 10});
    callbacks[gone].reset();
    source.request_stop();
    std::vector<int> expected;
    for (int i = 2; i >= 0; --i) {
      if (i != gone) expected.push_back(i);
    }
    CHECK(log == expected);
  }
}

TEST_CASE("S3 a callback may destroy itself and others from its call, and make new ones", "[inplace_stop]") {
  std::vector<int> log;
  inplace_stop_source source;
  std::optional<noted> other;
  std::optional<noted> late;
  std::unique_ptr<inplace_stop_callback<std::function<void()>>> self;
  other.emplace(source.get_token(), note{log, 1});
  self = std::make_unique<inplace_stop_callback<std::function<void()>>>(source.get_token(), [&] {
    other.reset();
    late.emplace(source.get_token(), note{log, 2});
    CHECK_FALSE(source.request_stop());
    self.reset();
  });
  CHECK(source.request_stop());
  CHECK(log == std::vector<int>{2});
  CHECK(self == nullptr);
}

TEST_CASE("S3 a callback's end waits for its call on another thread", "[inplace_stop]") {
  inplace_stop_source source;
  atomic<bool> begun{false};
  atomic<bool> may_end{false};
  bool ended = false;
  const auto slow = [&] {
    begun.store(true, mo::release);  // [1] release, pairs with [2]: nothing but the flag
    begun.notify_one();
    may_end.wait(false, mo::acquire);  // [3] acquire, pairs with [4]: nothing but the flag
    ended = true;
  };
  std::optional<inplace_stop_callback<std::function<void()>>> callback;
  callback.emplace(source.get_token(), slow);
  std::thread asks([&] { source.request_stop(); });
  begun.wait(false, mo::acquire);  // [2] acquire, pairs with [1]: as said there
  std::thread lets_go([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    may_end.store(true, mo::release);  // [4] release, pairs with [3]: as said there
    may_end.notify_one();
  });
  callback.reset();
  CHECK(ended);  // not atomic: the end of the call is seen
  asks.join();
  lets_go.join();
}

TEST_CASE("what takes any token takes both kinds, and makes callbacks of the kind that goes with it",
          "[inplace_stop]") {
  STATIC_REQUIRE(stoppable_token<std::stop_token>);
  STATIC_REQUIRE(stoppable_token<inplace_stop_token>);
  STATIC_REQUIRE_FALSE(stoppable_token<int>);
  STATIC_REQUIRE(std::is_same_v<stop_callback_for<std::stop_token, note>, std::stop_callback<note>>);
  STATIC_REQUIRE(std::is_same_v<stop_callback_for<inplace_stop_token, note>, noted>);
  STATIC_REQUIRE(std::is_trivially_copyable_v<inplace_stop_token>);
  CHECK(sizeof(inplace_stop_source) <= 32);
  CHECK(sizeof(inplace_stop_token) == sizeof(void*));
}
