// SPDX-License-Identifier: MIT
// Waiting for a place in a bulkhead. Most tests wait by waiters of their own, for which no thread is needed, and by a manual clock.
#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/policy/bulkhead.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

// Waits without a thread.
class caller : waiter {
 public:
  explicit caller(bulkhead& room) : waiter(note), room_(room) {}
  ~caller() {
    if (!waits()) return;
    static_cast<void>(give_up());
    static_cast<void>(collect());
  }

  // False: there is no room for it in the queue.
  bool wait(deadline until = deadline::never()) {
    mine_ = room_.enter(*this, until);
    return mine_.has_value();
  }
  [[nodiscard]] bool give_up() { return room_.cancel(*mine_); }
  [[nodiscard]] bool is_told() const { return told_.load(mo::acquire) != 0; }  // [1] acquire, pairs with [2]
  [[nodiscard]] bool waits() const { return mine_.has_value(); }
  bulkhead::admission collect() {
    // own: whoever tells it does so once, and not before its wait has ended
    REQUIRE(told_.load(mo::relaxed) == 1);
    told_.store(0, mo::relaxed);  // own: nobody tells it before it waits again
    return room_.collect(*std::exchange(mine_, std::nullopt));
  }

 private:
  static void note(waiter& self) noexcept {
    static_cast<caller&>(self).told_.fetch_add(1, mo::release);  // [2] release, pairs with [1]: what was done inside
  }

  bulkhead& room_;
  std::optional<bulkhead::waiting_place> mine_;
  atomic<int> told_{0};
};

void await_waiting(const bulkhead& room, std::uint32_t count) {
  test_support::patience waiting;
  while (room.waiting() != count) REQUIRE(waiting.wait());
}

const deadline far = deadline::after(steady_clock::now(), 24h);

}  // namespace

TEST_CASE("B3 a place that is left goes to who waits, in the order that was asked for", "[bulkhead]") {
  const auto order = GENERATE(waiting_order::oldest_first, waiting_order::newest_first);
  bulkhead room({.limit = 1, .queue = 3, .order = order});
  auto inside = room.try_acquire();
  std::array<caller, 3> callers{caller(room), caller(room), caller(room)};
  for (caller& one : callers) REQUIRE(one.wait());
  std::array expected{0U, 1U, 2U};
  if (order == waiting_order::newest_first) std::reverse(expected.begin(), expected.end());
  for (const unsigned next : expected) {
    for (const caller& one : callers) CHECK_FALSE(one.is_told());
    inside.release();
    REQUIRE(callers[next].is_told());
    CHECK(room.in_flight() == 1);  // it is counted before it is collected
    auto got = callers[next].collect();
    REQUIRE(got);
    CHECK(got.refusal == errc{});
    inside = std::move(got.place);
  }
  inside.release();
  CHECK(room.in_flight() == 0);
  CHECK(room.snapshot().served == 3);
}

TEST_CASE("B3 B6 threads and waiters stand in one line", "[bulkhead]") {
  bulkhead room({.limit = 1, .queue = 4});
  auto inside = room.try_acquire();
  std::vector<int> order;  // by who is inside, which is one at a time
  const auto thread_waits = [&](int number) {
    return std::thread([&, number] {
      const auto got = room.wait_acquire(far);
      if (got) order.push_back(number);
    });
  };
  std::thread first = thread_waits(1);
  await_waiting(room, 1);
  caller second(room);
  REQUIRE(second.wait());
  std::thread third = thread_waits(3);
  await_waiting(room, 3);
  inside.release();
  test_support::patience waiting;
  while (!second.is_told()) REQUIRE(waiting.wait());
  auto got = second.collect();
  REQUIRE(got);
  CHECK(order == std::vector{1});
  order.push_back(2);
  got.place.release();
  first.join();
  third.join();
  CHECK(order == std::vector{1, 2, 3});
  CHECK(room.in_flight() == 0);
}

TEST_CASE("B4 so many may wait as the queue says; one more is refused at once", "[bulkhead]") {
  const std::uint32_t queue = GENERATE(0U, 1U, 5U);
  bulkhead room({.limit = 1, .queue = queue});
  const auto inside = room.try_acquire();
  std::deque<caller> waiting;
  for (std::uint32_t i = 0; i < queue; ++i) REQUIRE(waiting.emplace_back(room).wait());
  CHECK(room.waiting() == queue);
  const auto refused = room.wait_acquire(far);
  CHECK_FALSE(refused);
  CHECK(refused.refusal == errc::bulkhead_full);
  caller late(room);
  CHECK_FALSE(late.wait());
  CHECK(room.refused() == 2);
}

TEST_CASE("B4 who gives up makes room, though the one before it waits on", "[bulkhead]") {
  bulkhead room({.limit = 1, .queue = 3});
  auto inside = room.try_acquire();
  caller patient(room);
  REQUIRE(patient.wait());
  for (int round = 0; round < 100; ++round) {
    caller a(room);
    caller b(room);
    REQUIRE(a.wait(deadline(time_point(1s))));
    REQUIRE(b.wait());
    REQUIRE(b.give_up());
    CHECK(b.collect().refusal == errc::cancelled);
    REQUIRE(room.expire(time_point(1s)) == 1);
    CHECK(a.collect().refusal == errc::bulkhead_timeout);
  }
  inside.release();
  CHECK(patient.collect());
}

TEST_CASE("B4 who was served is in nobody's way, though it has not woken up", "[bulkhead]") {
  bulkhead room({.limit = 1, .queue = 1});
  auto inside = room.try_acquire();
  caller first(room);
  caller next(room);
  caller third(room);
  REQUIRE(first.wait());
  CHECK_FALSE(next.wait());
  inside.release();
  CHECK(next.wait());
  CHECK_FALSE(third.wait());
  auto got = first.collect();
  got.place.release();
  CHECK(third.wait());
}

TEST_CASE("a deadline that has passed finds a place that is free, and waits for none", "[bulkhead]") {
  bulkhead room({.limit = 1, .queue = 1});
  const deadline past(time_point::min());
  auto got = room.wait_acquire(past);
  REQUIRE(got);
  const auto late = room.wait_acquire(past);
  CHECK_FALSE(late);
  CHECK(late.refusal == errc::bulkhead_timeout);
  CHECK(room.waiting() == 0);
  CHECK(room.snapshot().timed_out == 1);
  got.place.release();
  CHECK(room.wait_acquire(past));
}

TEST_CASE("deadlines are kept by whoever has the clock, those of threads too", "[bulkhead]") {
  bulkhead room({.limit = 1, .queue = 4});
  const auto inside = room.try_acquire();
  errc threads_end{};
  std::thread thread([&] { threads_end = room.wait_acquire(far).refusal; });
  await_waiting(room, 1);
  caller soon(room);
  caller later(room);
  caller never(room);
  manual_clock clock(time_point(10s));
  REQUIRE(soon.wait(deadline::after(clock.now(), 5ms)));
  REQUIRE(later.wait(deadline::after(clock.now(), 6ms)));
  REQUIRE(never.wait());
  CHECK(room.expire(clock.now()) == 0);
  clock.advance(5ms);
  CHECK(room.expire(clock.now()) == 1);
  CHECK(soon.collect().refusal == errc::bulkhead_timeout);
  clock.set(far.at());
  CHECK(room.expire(clock.now()) == 2);
  thread.join();
  CHECK(threads_end == errc::bulkhead_timeout);
  CHECK(later.collect().refusal == errc::bulkhead_timeout);
  CHECK_FALSE(never.is_told());
  CHECK(room.waiting() == 1);
}

TEMPLATE_TEST_CASE("a stop ends the wait of the thread that it is for", "[bulkhead]", std::stop_source,
                   inplace_stop_source) {
  bulkhead room({.limit = 1, .queue = 2});
  auto inside = room.try_acquire();
  TestType stop;
  errc stopped{};
  bool other = false;
  std::thread one([&] { stopped = room.wait_acquire(deadline::never(), stop.get_token()).refusal; });
  std::thread two([&] { other = static_cast<bool>(room.wait_acquire(deadline::never())); });
  await_waiting(room, 2);
  stop.request_stop();
  one.join();
  CHECK(stopped == errc::cancelled);
  CHECK(room.waiting() == 1);
  inside.release();
  two.join();
  CHECK(other);
  CHECK(room.snapshot().cancelled == 1);
}

TEMPLATE_TEST_CASE("a stop that was asked for before: what is free is taken, and nothing is waited for", "[bulkhead]",
                   std::stop_source, inplace_stop_source) {
  bulkhead room({.limit = 1, .queue = 1});
  TestType stop;
  stop.request_stop();
  const auto got = room.wait_acquire(deadline::never(), stop.get_token());
  CHECK(got);
  CHECK(room.wait_acquire(deadline::never(), stop.get_token()).refusal == errc::cancelled);
}

TEST_CASE("B5 a smaller limit holds for those who wait; a larger one lets them in at once", "[bulkhead]") {
  bulkhead room({.limit = 3, .queue = 8});
  std::vector<bulkhead::permit> inside;
  for (int i = 0; i < 3; ++i) inside.push_back(room.try_acquire());
  std::deque<caller> waiting;
  for (int i = 0; i < 6; ++i) REQUIRE(waiting.emplace_back(room).wait());
  const auto told = [&] { return std::count_if(waiting.begin(), waiting.end(), [](auto& c) { return c.is_told(); }); };
  room.set_limit(1);
  inside.pop_back();
  inside.pop_back();
  CHECK(told() == 0);
  CHECK(room.in_flight() == 1);
  inside.pop_back();
  CHECK(told() == 1);
  CHECK(room.in_flight() == 1);
  room.set_limit(4);
  CHECK(told() == 4);
  CHECK(room.in_flight() == 4);
  CHECK_FALSE(room.try_acquire());
  room.set_limit(100);
  CHECK(told() == 6);
  CHECK(room.in_flight() == 6);
  CHECK(room.try_acquire());  // and leaves at once
  for (caller& one : waiting) CHECK(one.collect());
  CHECK(room.in_flight() == 0);
}

TEST_CASE("B6 a place that is left is not for who comes by", "[bulkhead]") {
  bulkhead room({.limit = 1, .queue = 1});
  auto inside = room.try_acquire();
  caller waits(room);
  REQUIRE(waits.wait());
  inside.release();
  CHECK_FALSE(room.try_acquire());
  CHECK_FALSE(room.wait_acquire(deadline(time_point::min())));
  CHECK(waits.collect());
  CHECK(room.try_acquire());
}

// What has happened to the users of others.

TEST_CASE("embassy 6964: the first in line gives up, and the next one gets the place", "[bulkhead]") {
  bulkhead room({.limit = 1, .queue = 2});
  auto inside = room.try_acquire();
  caller first(room);
  caller next(room);
  REQUIRE(first.wait());
  REQUIRE(next.wait());
  CHECK(first.give_up());
  inside.release();  // before the first one has taken notice of its end
  CHECK(next.is_told());
  CHECK(first.collect().refusal == errc::cancelled);
  CHECK(next.collect());
}

TEST_CASE("shuttle 167: one that was handed a place and drops it hands it on", "[bulkhead]") {
  bulkhead room({.limit = 1, .queue = 3});
  auto inside = room.try_acquire();
  std::array<caller, 3> callers{caller(room), caller(room), caller(room)};
  for (caller& one : callers) REQUIRE(one.wait());
  inside.release();
  for (caller& one : callers) {
    REQUIRE(one.is_told());
    static_cast<void>(one.collect());  // nobody wants it any more
  }
  CHECK(room.in_flight() == 0);
}

TEST_CASE("Effect 6910: a place that was handed over is not lost where its receiver gives up before it takes it",
          "[bulkhead]") {
  bulkhead room({.limit = 1, .queue = 2});
  auto inside = room.try_acquire();
  caller first(room);
  caller next(room);
  REQUIRE(first.wait(deadline(time_point(1s))));
  REQUIRE(next.wait());
  inside.release();
  CHECK_FALSE(first.give_up());
  CHECK(room.expire(time_point(2s)) == 0);
  CHECK(room.in_flight() == 1);
  auto got = first.collect();
  REQUIRE(got);  // the place came first, and it is not taken back
  CHECK_FALSE(next.is_told());
  got = {};
  CHECK(next.collect());
}

TEST_CASE("failsafe 393: whoever waited in vain holds nothing", "[bulkhead]") {
  bulkhead room({.limit = 2, .queue = 2});
  auto a = room.try_acquire();
  auto b = room.try_acquire();
  for (int i = 0; i < 1'000; ++i) CHECK_FALSE(room.wait_acquire(deadline(time_point::min())));
  a.release();
  b.release();
  a = room.try_acquire();
  b = room.try_acquire();
  CHECK(a);
  CHECK(b);
  CHECK(room.snapshot().timed_out == 1'000);
}

TEST_CASE("a mark that is left behind by those who gave up costs nobody a place", "[bulkhead]") {
  bulkhead room({.limit = 2, .queue = 2});
  auto a = room.try_acquire();
  auto b = room.try_acquire();
  CHECK_FALSE(room.wait_acquire(deadline(time_point::min())));
  SECTION("who comes by finds it") {
    a.release();
    a = room.try_acquire();
    CHECK(a);
    CHECK_FALSE(room.try_acquire());
  }
  SECTION("a larger limit") {
    room.set_limit(3);
    CHECK(room.try_acquire());
  }
  CHECK(room.refused() <= 1);
}

TEST_CASE("B1 B2 B4 places and waits are conserved over random steps", "[bulkhead]") {
  const auto order = GENERATE(waiting_order::oldest_first, waiting_order::newest_first);
  constexpr std::uint32_t queue = 11;
  bulkhead room({.limit = 4, .queue = queue, .order = order});
  std::uint32_t limit = 4;
  std::vector<bulkhead::permit> inside;
  // The oracle: who waits, by arrival, with the deadline.
  std::deque<caller> pool;
  for (std::uint32_t i = 0; i < queue; ++i) pool.emplace_back(room);
  std::vector<std::pair<caller*, std::int64_t>> line;
  std::vector<std::pair<caller*, errc>> ended;
  bulkhead_snapshot counted;
  const auto serve = [&] {
    // Those who were served and have not collected are inside, too.
    const auto served = [&] {
      return static_cast<std::size_t>(
          std::count_if(ended.begin(), ended.end(), [](const auto& e) { return e.second == errc{}; }));
    };
    while (!line.empty() && inside.size() + served() < limit) {
      const auto next = order == waiting_order::oldest_first ? line.begin() : line.end() - 1;
      ended.emplace_back(next->first, errc{});
      line.erase(next);
    }
    return inside.size() + served();
  };
  splitmix64 bits(7);
  std::int64_t now = 0;
  for (int i = 0; i < 300'000; ++i) {
    const auto what = uniform_up_to(bits, 99);
    if (what < 4) {
      limit = static_cast<std::uint32_t>(1 + uniform_up_to(bits, 7));
      room.set_limit(limit);
    } else if (what < 20) {
      const bool free = line.empty() && serve() < limit;
      auto place = room.try_acquire();
      if (static_cast<bool>(place) != free) FAIL("step " << i << ": granted " << static_cast<bool>(place));
      free ? inside.push_back(std::move(place)) : static_cast<void>(++counted.refused);
    } else if (what < 45) {
      const auto spare = std::find_if(pool.begin(), pool.end(), [](const caller& c) { return !c.waits(); });
      if (spare == pool.end()) continue;
      const std::int64_t until = now + static_cast<std::int64_t>(uniform_up_to(bits, 20));
      REQUIRE(spare->wait(deadline(time_point(duration(until)))));
      line.emplace_back(&*spare, until);
    } else if (what < 55 && !line.empty()) {
      const auto gone = line.begin() + static_cast<std::ptrdiff_t>(uniform_up_to(bits, line.size() - 1));
      REQUIRE(gone->first->give_up());
      ended.emplace_back(gone->first, errc::cancelled);
      line.erase(gone);
    } else if (what < 60) {
      now += static_cast<std::int64_t>(uniform_up_to(bits, 4));
      const auto late = std::stable_partition(line.begin(), line.end(), [&](const auto& w) { return w.second > now; });
      if (room.expire(time_point(duration(now))) != line.end() - late) FAIL("step " << i << ": expire");
      for (auto it = late; it != line.end(); ++it) ended.emplace_back(it->first, errc::bulkhead_timeout);
      line.erase(late, line.end());
    } else if (what < 80 && !ended.empty()) {
      const auto which = ended.begin() + static_cast<std::ptrdiff_t>(uniform_up_to(bits, ended.size() - 1));
      auto got = which->first->collect();
      if (got.refusal != which->second) FAIL("step " << i << ": ended as " << static_cast<int>(got.refusal));
      if (got) inside.push_back(std::move(got.place));
      counted.served += which->second == errc{} ? 1U : 0U;
      counted.timed_out += which->second == errc::bulkhead_timeout ? 1U : 0U;
      counted.cancelled += which->second == errc::cancelled ? 1U : 0U;
      ended.erase(which);
    } else if (!inside.empty()) {
      const auto at = uniform_up_to(bits, inside.size() - 1);
      std::swap(inside[at], inside.back());
      inside.pop_back();
    }
    const std::size_t out = serve();
    const bulkhead_snapshot seen = room.snapshot();
    if (seen.in_flight != out || seen.waiting != line.size() || seen.limit != limit)
      FAIL("step " << i << ": in flight " << seen.in_flight << " and not " << out << ", waiting " << seen.waiting);
    for (const auto& [who, until] : line) {
      if (who->is_told()) FAIL("step " << i << ": told, and it waits");
    }
    for (const auto& [who, how] : ended) {
      if (!who->is_told()) FAIL("step " << i << ": its wait has ended, and nobody told it");
    }
    if (seen.refused != counted.refused || seen.served != counted.served || seen.timed_out != counted.timed_out ||
        seen.cancelled != counted.cancelled)
      FAIL("step " << i << ": counts");
  }
  CHECK(counted.refused > 1'000);
  CHECK(counted.served > 1'000);
  CHECK(counted.timed_out > 1'000);
  CHECK(counted.cancelled > 1'000);
  for (const auto& [who, how] : ended) static_cast<void>(who->collect());
  inside.clear();
}

TEST_CASE("the count of those who came goes round and disturbs nothing", "[bulkhead]") {
  bulkhead room({.limit = largest_bulkhead, .queue = 1});
  const auto inside = room.try_acquire();
  room.set_limit(1);
  for (std::uint32_t i = 0; i < (std::uint32_t{1} << 21U) + 3; ++i) {
    caller one(room);
    if (!one.wait()) FAIL("no room to wait");
    if (!one.give_up()) FAIL("its wait had ended");
    static_cast<void>(one.collect());
    if (room.in_flight() != 1 || room.limit() != 1) FAIL("after " << i);
  }
  room.set_limit(2);
  CHECK(room.try_acquire());
}

TEST_CASE("bulkhead options name a queue that is too long", "[bulkhead]") {
  static_assert(!validate(bulkhead_options{.queue = longest_waiting_line}));
  static_assert(validate(bulkhead_options{.queue = longest_waiting_line + 1}).field == "queue");
}
