// SPDX-License-Identifier: MIT
#include "holdfast/queue/waiting_queue.hpp"

#include <poll.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <thread>
#include <utility>

#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/queue/event_fd.hpp"
#include "holdfast/queue/mpmc_lockfree_queue.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"

#include "support/catch.hpp"
#include "support/sleepers.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::await_sleepers;

namespace {

deadline in(duration time) {
  return deadline::after(steady_clock::now(), time);
}

bool is_readable(int descriptor) {
  pollfd one{descriptor, POLLIN, 0};
  return ::poll(&one, 1, 0) == 1;
}

// One whose slot in turn is held by a push that never ends.
struct held_up {
  using value_type = int;
  static constexpr callers producers = callers::many;
  static constexpr callers consumers = callers::many;
  static queue_result try_push(int&&) { return queue_op_status::busy; }
  static queue_result try_pop(int&) { return queue_op_status::busy; }
  static void close() {}
  static bool closed() { return false; }
  static std::size_t capacity() { return 2; }
  static std::size_t size_approx() { return 1; }
};

// The same, of a queue that cannot be closed: what it says of itself counts all the same.
struct held_up_for_ever {
  using value_type = int;
  static constexpr callers producers = callers::many;
  static constexpr callers consumers = callers::many;
  static queue_result try_push(int&&) { return queue_op_status::busy; }
  static queue_result try_pop(int&) { return queue_op_status::busy; }
  static std::size_t capacity() { return 2; }
  static std::size_t size_approx() { return 1; }
};
struct held_up_for_one : held_up_for_ever {
  static constexpr callers producers = callers::one;
};

#define EACH_QUEUE (spsc_queue<int, 4>), (mpmc_queue<int, 4>), (mpsc_queue<int, 4>), (mpmc_lockfree_queue<int, 4>)

}  // namespace

TEMPLATE_TEST_CASE("waiting_queue is a bounded queue like the one in it", "[waiting_queue]", EACH_QUEUE) {
  using queue = waiting_queue<TestType>;
  STATIC_REQUIRE(bounded_queue<queue>);
  STATIC_REQUIRE(batch_queue<queue>);
  STATIC_REQUIRE(queue::producers == TestType::producers);
  STATIC_REQUIRE(queue::consumers == TestType::consumers);
  queue q;
  CHECK(q.capacity() == 4);
  int out = -1;
  CHECK(q.try_pop(out) == queue_op_status::empty);
  const int copied = 1;
  CHECK(q.try_push(copied));
  CHECK(q.try_push(2));
  CHECK(q.size_approx() == 2);
  std::array<int, 4> more{3, 4, 5, 6};
  CHECK(q.try_push(std::span<int>(more)) == 2);
  CHECK(q.try_push(9) == queue_op_status::full);
  CHECK(q.try_pop(out));
  CHECK(out == 1);
  std::array<int, 4> rest{};
  CHECK(q.try_pop(std::span<int>(rest)) == 3);
  CHECK(rest == std::array<int, 4>{2, 3, 4, 0});
  CHECK(q.try_pop(std::span<int>(rest)) == 0);
}

TEMPLATE_TEST_CASE("waiting_queue: a wait in vain ends at its deadline, and nothing is lost", "[waiting_queue]",
                   EACH_QUEUE) {
  waiting_queue<TestType> q;
  int out = -1;
  CHECK(q.wait_pop(out, in(-1s)) == queue_op_status::empty);
  time_point begun = steady_clock::now();
  CHECK(q.wait_pop(out, deadline::after(begun, 1ms)) == queue_op_status::empty);
  CHECK(steady_clock::now() - begun >= 1ms);
  CHECK(out == -1);
  for (int i = 0; i < 4; ++i) REQUIRE(q.wait_push(int{i}, in(1s)));
  begun = steady_clock::now();
  CHECK(q.wait_push(4, deadline::after(begun, 1ms)) == queue_op_status::full);
  CHECK(steady_clock::now() - begun >= 1ms);
  for (int i = 0; i < 4; ++i) {
    REQUIRE(q.wait_pop(out, in(1s)));
    CHECK(out == i);
  }
}

TEMPLATE_TEST_CASE("waiting_queue: who waits for an item gets the one that is pushed", "[waiting_queue]", EACH_QUEUE) {
  waiting_queue<TestType> q;
  int out = -1;
  queue_result answer = queue_op_status::busy;
  std::thread consumer([&] { answer = q.wait_pop(out, deadline::never()); });
  await_sleepers(q.items(), 1);
  CHECK(q.try_push(7));
  consumer.join();
  CHECK(answer == queue_op_status::success);
  CHECK(out == 7);
}

TEMPLATE_TEST_CASE("waiting_queue: who waits for room is woken by the pop that makes it", "[waiting_queue]",
                   (spsc_queue<int, 4>), (spsc_queue<int, 1024>), (mpmc_queue<int, 4>), (mpmc_lockfree_queue<int, 4>)) {
  const auto q = std::make_unique<waiting_queue<TestType>>();
  int pushed = 0;
  while (q->try_push(int{pushed})) ++pushed;
  queue_result answer = queue_op_status::busy;
  std::thread producer([&] { answer = q->wait_push(int{pushed}, deadline::never()); });
  await_sleepers(q->room(), 1);
  int out = -1;
  CHECK(q->try_pop(out));  // one, though an spsc_queue tells of its room in groups
  CHECK(out == 0);
  producer.join();
  CHECK(answer == queue_op_status::success);
  for (int i = 1; i <= pushed; ++i) {
    REQUIRE(q->try_pop(out));
    REQUIRE(out == i);
  }
}

TEMPLATE_TEST_CASE("waiting_queue: a batch wakes as many as it has items", "[waiting_queue]", (mpmc_queue<int, 4>),
                   (mpmc_lockfree_queue<int, 4>)) {
  waiting_queue<TestType> q;
  std::array<int, 2> outs{};
  std::thread one([&] { static_cast<void>(q.wait_pop(outs[0], deadline::never())); });
  std::thread other([&] { static_cast<void>(q.wait_pop(outs[1], deadline::never())); });
  await_sleepers(q.items(), 2);
  std::array<int, 2> batch{3, 4};
  CHECK(q.try_push(std::span<int>(batch)) == 2);
  one.join();
  other.join();
  CHECK(outs[0] + outs[1] == 7);
}

TEMPLATE_TEST_CASE("waiting_queue: closed, it is drained, and whoever waits is told", "[waiting_queue]", EACH_QUEUE) {
  waiting_queue<TestType> q;
  REQUIRE(q.try_push(1));
  CHECK_FALSE(q.closed());
  q.close();
  CHECK(q.closed());
  CHECK(q.try_push(2) == queue_op_status::closed);
  std::array<int, 2> batch{3, 4};
  CHECK(q.try_push(std::span<int>(batch)) == 0);
  CHECK(q.wait_push(2, deadline::never()) == queue_op_status::closed);
  int out = 0;
  CHECK(q.wait_pop(out, deadline::never()));
  CHECK(out == 1);
  CHECK(q.wait_pop(out, deadline::never()) == queue_op_status::closed);
  CHECK(q.try_pop(out) == queue_op_status::closed);
}

TEMPLATE_TEST_CASE("waiting_queue: close wakes a consumer that sleeps", "[waiting_queue]", EACH_QUEUE) {
  waiting_queue<TestType> q;
  queue_result answer = queue_op_status::success;
  std::thread consumer([&] {
    int out = 0;
    answer = q.wait_pop(out, deadline::never());
  });
  await_sleepers(q.items(), 1);
  q.close();
  consumer.join();
  CHECK(answer == queue_op_status::closed);
}

TEST_CASE("waiting_queue: close wakes a producer that sleeps, and its item is still its own", "[waiting_queue]") {
  waiting_queue<mpmc_queue<std::unique_ptr<int>, 1>> q;
  REQUIRE(q.try_push(std::make_unique<int>(1)));
  auto mine = std::make_unique<int>(2);
  queue_result answer = queue_op_status::success;
  std::thread producer([&] { answer = q.wait_push(std::move(mine), deadline::never()); });
  await_sleepers(q.room(), 1);
  q.close();
  producer.join();
  CHECK(answer == queue_op_status::closed);
  REQUIRE(mine != nullptr);
  CHECK(*mine == 2);
}

TEMPLATE_TEST_CASE("waiting_queue: a stop ends a wait, and what is there is taken before", "[waiting_queue]",
                   EACH_QUEUE) {
  waiting_queue<TestType> q;
  std::stop_source stop;
  queue_result answer = queue_op_status::success;
  int out = -1;
  std::thread consumer([&] { answer = q.wait_pop(out, deadline::never(), stop.get_token()); });
  await_sleepers(q.items(), 1);
  stop.request_stop();
  consumer.join();
  CHECK(answer == queue_op_status::empty);
  CHECK(out == -1);
  REQUIRE(q.try_push(5));
  CHECK(q.wait_pop(out, deadline::never(), stop.get_token()));
  CHECK(out == 5);
  while (q.try_push(1)) {
  }
  CHECK(q.wait_push(2, deadline::never(), stop.get_token()) == queue_op_status::full);
}

TEST_CASE("waiting_queue: a stop of a source in its owner's storage ends a wait as well", "[waiting_queue]") {
  waiting_queue<mpmc_queue<int, 2>> q;
  inplace_stop_source stop;
  queue_result answer = queue_op_status::success;
  int out = -1;
  std::thread consumer([&] { answer = q.wait_pop(out, deadline::never(), stop.get_token()); });
  await_sleepers(q.items(), 1);
  stop.request_stop();
  consumer.join();
  CHECK(answer == queue_op_status::empty);
  while (q.try_push(1)) {
  }
  CHECK(q.wait_push(2, deadline::never(), stop.get_token()) == queue_op_status::full);
}

TEST_CASE("waiting_queue: busy is waited for until the deadline or a stop, and is then full or empty",
          "[waiting_queue]") {
  waiting_queue<held_up> q;
  int out = -1;
  const time_point begun = steady_clock::now();
  CHECK(q.wait_pop(out, deadline::after(begun, 2ms)) == queue_op_status::empty);
  CHECK(steady_clock::now() - begun >= 2ms);
  CHECK(q.wait_push(1, in(1ms)) == queue_op_status::full);
  CHECK(q.try_pop(out) == queue_op_status::busy);
  std::stop_source stop;
  stop.request_stop();
  CHECK(q.wait_pop(out, deadline::never(), stop.get_token()) == queue_op_status::empty);
}

TEST_CASE("waiting_queue: a queue without a close may be busy too, and a waiter does not sleep on that",
          "[waiting_queue]") {
  waiting_queue<held_up_for_ever> q;
  int out = -1;
  CHECK(q.try_pop(out) == queue_op_status::busy);
  CHECK(q.try_push(1) == queue_op_status::busy);
  CHECK(q.wait_pop(out, in(2ms)) == queue_op_status::empty);
  CHECK(q.wait_push(1, in(2ms)) == queue_op_status::full);
  waiting_queue<held_up_for_one> closed;
  CHECK(closed.try_pop(out) == queue_op_status::busy);
  closed.close();
  CHECK(closed.try_pop(out) == queue_op_status::busy);  // and so not known to be drained
}

TEST_CASE("waiting_queue: a small item that only moves is waited with as any other", "[waiting_queue]") {
  struct token {
    token() = default;
    token(token&&) = default;
    token& operator=(token&&) = default;
    int id = 0;
  };
  waiting_queue<spsc_queue<token, 2>> q;
  token one;
  one.id = 7;
  CHECK(q.wait_push(std::move(one), deadline::never()));
  token out;
  CHECK(q.wait_pop(out, deadline::never()));
  CHECK(out.id == 7);
}

TEST_CASE("waiting_queue: who gives up on a busy slot has another one look", "[waiting_queue]") {
  waiting_queue<held_up> q;
  atomic<bool> there{false};
  bool found = false;
  std::thread sleeper([&] { found = q.items().wait(in(60s), [&] { return there.load(mo::acquire); }); });
  await_sleepers(q.items(), 1);
  there.store(true, mo::release);  // and the one who is told of it finds the slot before it busy
  int out = -1;
  CHECK(q.wait_pop(out, in(1ms)) == queue_op_status::empty);
  const time_point told = steady_clock::now();
  sleeper.join();
  CHECK(found);
  CHECK(steady_clock::now() - told < 30s);
}

TEST_CASE("waiting_queue: a side on which nobody waits may be silent", "[waiting_queue]") {
  waiting_queue<spsc_queue<int, 4>, event_count, silent> q;
  STATIC_REQUIRE(requires(decltype(q)& some, int out) { some.wait_pop(out, deadline()); });
  STATIC_REQUIRE_FALSE(waited_on<silent>);
  REQUIRE(q.try_push(1));
  int out = 0;
  CHECK(q.wait_pop(out, in(1s)));
  CHECK(out == 1);
}

TEST_CASE("event_fd: readable when it is armed and told, once", "[event_fd]") {
  waiting_queue<mpmc_queue<int, 4>, event_fd> q;
  event_fd& told = q.items();
  REQUIRE_FALSE(told.error());
  REQUIRE(told.descriptor() >= 0);
  CHECK(q.try_push(1));
  CHECK_FALSE(is_readable(told.descriptor()));  // not armed: nobody asked
  told.arm();
  CHECK(q.try_push(2));
  CHECK(is_readable(told.descriptor()));
  CHECK(q.try_push(3));
  told.clear();
  CHECK_FALSE(is_readable(told.descriptor()));
  CHECK(q.try_push(4));  // told already; the loop has not armed it again
  CHECK_FALSE(is_readable(told.descriptor()));
  told.clear();  // not readable: nothing to clear
  told.arm();
  q.close();
  CHECK(is_readable(told.descriptor()));
}

TEST_CASE("event_fd: of two that saw it armed, one makes it readable", "[event_fd]") {
  event_fd events;
  events.arm();
  REQUIRE(events.awaited());
  events.wake(1);
  CHECK(is_readable(events.descriptor()));
  events.clear();
  events.wake(1);  // the other one, who had seen it armed as well
  CHECK_FALSE(is_readable(events.descriptor()));
}

TEST_CASE("event_fd: a loop that sleeps in poll misses no item", "[event_fd]") {
  constexpr int items = 20'000;
  const auto q = std::make_unique<waiting_queue<spsc_queue<int, 64>, event_fd>>();
  std::thread producer([&] {
    for (int i = 0; i < items; ++i) static_cast<void>(q->wait_push(int{i}, deadline::never()));
    q->close();
  });
  int next = 0;
  const auto handle = [&](int item) { REQUIRE(item == next++); };
  int item = 0;
  for (queue_result answer = queue_op_status::empty; answer != queue_op_status::closed;) {
    while ((answer = q->try_pop(item))) handle(item);
    if (answer == queue_op_status::closed) break;
    q->items().arm();
    if ((answer = q->try_pop(item))) {
      handle(item);
    } else if (answer == queue_op_status::empty) {
      pollfd one{q->items().descriptor(), POLLIN, 0};
      REQUIRE(::poll(&one, 1, 60'000) == 1);
      q->items().clear();
    }
  }
  producer.join();
  CHECK(next == items);
}
