// SPDX-License-Identifier: MIT
#include "holdfast/exec/co_queue.hpp"

#include <array>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/queue/event_count.hpp"
#include "holdfast/queue/event_sources.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/queue/waiter_set.hpp"
#include "holdfast/queue/waiting_queue.hpp"

#include "support/catch.hpp"

namespace {

using holdfast::co_pop;
using holdfast::co_push;
using holdfast::mark;
using holdfast::queue_op_status;
using holdfast::queue_result;
using holdfast::run_loop;
using holdfast::task;
using holdfast::waiter_set;

template <class Queue>
using coroutines_on = holdfast::waiting_queue<Queue, waiter_set<>, waiter_set<>>;
using shared_queue = coroutines_on<holdfast::mpmc_queue<int, 4>>;

struct popped {
  queue_result answer = queue_op_status::busy;  // which none of them answers with
  int item = -1;
};

template <class Queue>
task<> pop_one(Queue& queue, run_loop& loop, popped& into, std::stop_token stop = {}) {
  into.answer = co_await co_pop(queue, into.item, loop, std::move(stop));
}
template <class Queue>
task<> push_one(Queue& queue, run_loop& loop, int item, queue_result& answer, std::stop_token stop = {}) {
  answer = co_await co_push(queue, std::move(item), loop, std::move(stop));
}
template <class Queue>
task<int> sum(Queue& queue, run_loop& loop) {
  int total = 0;
  for (int item = 0; co_await co_pop(queue, item, loop);) total += item;
  co_return total;
}
template <class Queue>
task<> feed(Queue& queue, run_loop& loop, int count) {
  for (int i = 1; i <= count; ++i) {
    if (!co_await co_push(queue, int{i}, loop)) co_return;
  }
  queue.close();
}

}  // namespace

TEST_CASE("co_queue: what is there is taken at once, and no executor is asked", "[co_queue]") {
  struct none {
    static void post(holdfast::runnable& /*what*/) noexcept { std::terminate(); }
  } nowhere;
  shared_queue queue;
  int item = 7;
  auto push = co_push(queue, std::move(item), nowhere);
  CHECK(push.await_ready());
  CHECK(push.await_resume());
  int out = 0;
  auto pop = co_pop(queue, out, nowhere);
  CHECK(pop.await_ready());
  CHECK(pop.await_resume());
  CHECK(out == 7);
}

TEST_CASE("co_queue: a coroutine waits for an item, and is resumed by its executor and not by the push", "[co_queue]") {
  shared_queue queue;
  run_loop loop;
  mark ended;
  popped got;
  holdfast::spawn(loop, pop_one(queue, loop, got), ended);
  CHECK(loop.run_ready() == 1);
  CHECK(got.answer == queue_op_status::busy);
  CHECK(queue.items().awaited());
  CHECK(queue.try_push(3));
  CHECK(got.answer == queue_op_status::busy);
  CHECK(loop.run_ready() == 1);
  CHECK(got.answer == queue_op_status::success);
  CHECK(got.item == 3);
  CHECK(loop.run_ready() == 1);
  CHECK(ended.was_run());
}

TEST_CASE("co_queue: told in vain, it is not resumed and waits on", "[co_queue]") {
  shared_queue queue;
  run_loop loop;
  mark ended;
  popped got;
  holdfast::spawn(loop, pop_one(queue, loop, got), ended);
  CHECK(loop.run_ready() == 1);
  CHECK(queue.try_push(1));
  int taken = 0;
  CHECK(queue.try_pop(taken));  // somebody else was quicker
  CHECK(loop.run_ready() == 1);
  CHECK(got.answer == queue_op_status::busy);
  CHECK(queue.items().awaited());
  CHECK(queue.try_push(2));
  CHECK(loop.run_ready() == 1);
  CHECK(got.item == 2);
  CHECK(loop.run_ready() == 1);
}

TEST_CASE("co_queue: a coroutine waits for room, and the item that was refused is still its own", "[co_queue]") {
  shared_queue queue;
  for (int i = 0; i < 4; ++i) REQUIRE(queue.try_push(int{i}));
  run_loop loop;
  mark ended;
  queue_result answer = queue_op_status::busy;
  holdfast::spawn(loop, push_one(queue, loop, 4, answer), ended);
  CHECK(loop.run_ready() == 1);
  CHECK(queue.room().awaited());
  for (int i = 0; i < 4; ++i) {
    int out = -1;
    REQUIRE(queue.try_pop(out));
    CHECK(out == i);
  }
  CHECK(loop.run_ready() == 1);
  CHECK(answer);
  int out = -1;
  CHECK(queue.try_pop(out));
  CHECK(out == 4);
  CHECK(loop.run_ready() == 1);
}

TEST_CASE("co_queue: a refused unique_ptr is not lost", "[co_queue]") {
  coroutines_on<holdfast::mpmc_queue<std::unique_ptr<int>, 4>> queue;
  queue.close();
  struct none {
    static void post(holdfast::runnable& /*what*/) noexcept { std::terminate(); }
  } nowhere;
  auto item = std::make_unique<int>(5);
  auto push = co_push(queue, std::move(item), nowhere);
  CHECK(push.await_ready());
  CHECK(push.await_resume() == queue_op_status::closed);
  REQUIRE(item);  // NOLINT(bugprone-use-after-move): refused, it is as it was
  CHECK(*item == 5);
}

TEST_CASE("co_queue: close tells all who wait, on either side", "[co_queue]") {
  shared_queue empty;
  shared_queue full;
  for (int i = 0; i < 4; ++i) REQUIRE(full.try_push(int{i}));
  run_loop loop;
  std::array<mark, 4> ended;
  std::array<popped, 2> got;
  std::array<queue_result, 2> pushed{queue_op_status::busy, queue_op_status::busy};
  for (std::size_t i = 0; i < 2; ++i) {
    holdfast::spawn(loop, pop_one(empty, loop, got[i]), ended[i]);
    holdfast::spawn(loop, push_one(full, loop, 9, pushed[i]), ended[2 + i]);
  }
  CHECK(loop.run_ready() == 4);
  empty.close();
  full.close();
  CHECK(loop.run_ready() == 4);
  CHECK(loop.run_ready() == 4);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(got[i].answer == queue_op_status::closed);
    CHECK(pushed[i] == queue_op_status::closed);
  }
}

TEST_CASE("co_queue: a stop ends the wait, on either side, and of the others none", "[co_queue]") {
  shared_queue empty;
  shared_queue full;
  for (int i = 0; i < 4; ++i) REQUIRE(full.try_push(int{i}));
  run_loop loop;
  std::array<mark, 3> ended;
  popped got;
  popped other;
  queue_result pushed = queue_op_status::busy;
  std::stop_source stop;
  holdfast::spawn(loop, pop_one(empty, loop, got, stop.get_token()), ended[0]);
  holdfast::spawn(loop, pop_one(empty, loop, other), ended[1]);
  holdfast::spawn(loop, push_one(full, loop, 9, pushed, stop.get_token()), ended[2]);
  CHECK(loop.run_ready() == 3);
  stop.request_stop();
  CHECK(loop.run_ready() == 3);
  CHECK(got.answer == queue_op_status::empty);
  CHECK(pushed == queue_op_status::full);
  CHECK(other.answer == queue_op_status::busy);
  empty.close();
  static_cast<void>(loop.run_ready());
  static_cast<void>(loop.run_ready());
  CHECK(other.answer == queue_op_status::closed);
}

TEST_CASE("co_queue: a stop that was asked for before ends it where it would wait, and what is there is taken",
          "[co_queue]") {
  shared_queue queue;
  run_loop loop;
  mark ended;
  popped got;
  std::stop_source stop;
  stop.request_stop();
  holdfast::run(loop, pop_one(queue, loop, got, stop.get_token()));
  CHECK(got.answer == queue_op_status::empty);
  CHECK(queue.try_push(4));
  holdfast::run(loop, pop_one(queue, loop, got, stop.get_token()));
  CHECK(got.answer == queue_op_status::success);
  CHECK(got.item == 4);
}

TEST_CASE("co_queue: more coroutines than the set has places take turns, and each gets its item", "[co_queue]") {
  holdfast::waiting_queue<holdfast::mpmc_queue<int, 4>, waiter_set<64, 2>, waiter_set<>> queue;
  run_loop loop;
  std::array<mark, 4> ended;
  std::array<popped, 4> got;
  for (std::size_t i = 0; i < 4; ++i) holdfast::spawn(loop, pop_one(queue, loop, got[i]), ended[i]);
  CHECK(loop.run_ready() == 4);
  CHECK(loop.run_ready() == 2);  // the two for whom there was no place look again
  CHECK(loop.run_ready() == 2);
  for (int i = 1; i <= 4; ++i) CHECK(queue.try_push(int{i}));
  for (int i = 0; i < 3; ++i) static_cast<void>(loop.run_ready());
  int total = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(ended[i].was_run());
    total += got[i].item;
  }
  CHECK(total == 10);
}

namespace {
// An answer for each look, and then the last one for ever.
struct script {
  std::vector<queue_op_status> answers;
  std::size_t next = 0;
  queue_result operator()() noexcept { return answers[next + 1 < answers.size() ? next++ : next]; }
};
task<> attempt(waiter_set<>& events, run_loop& loop, script& answers, queue_result& answer, std::stop_token stop = {}) {
  auto look = [&answers]() noexcept { return answers(); };
  answer = co_await holdfast::co_attempt(events, loop, queue_op_status::empty, std::move(stop), look);
}
}  // namespace

TEST_CASE("co_queue: where another operation is mid-way it looks again in turns, and does not wait to be told",
          "[co_queue]") {
  waiter_set<> events;
  run_loop loop;
  mark ended;
  script answers{{queue_op_status::busy}};
  queue_result answer = queue_op_status::empty;
  holdfast::spawn(loop, attempt(events, loop, answers, answer), ended);
  for (int turn = 0; turn < 3; ++turn) {
    CHECK(loop.run_ready() == 1);
    CHECK_FALSE(events.awaited());
    CHECK(answer == queue_op_status::empty);
  }
  answers = {{queue_op_status::success}};
  CHECK(loop.run_ready() == 1);
  CHECK(answer == queue_op_status::success);
  CHECK(loop.run_ready() == 1);
}

TEST_CASE("co_queue: stopped while another operation is mid-way, it says so as empty and has another one look",
          "[co_queue]") {
  waiter_set<> events;
  run_loop loop;
  run_loop elsewhere;
  std::array<mark, 2> ended;
  script busy{{queue_op_status::busy}};
  script empty{{queue_op_status::empty}};
  queue_result answer = queue_op_status::busy;
  queue_result other = queue_op_status::busy;
  std::stop_source stop;
  holdfast::spawn(loop, attempt(events, loop, busy, answer, stop.get_token()), ended[0]);
  holdfast::spawn(elsewhere, attempt(events, elsewhere, empty, other), ended[1]);
  CHECK(loop.run_ready() == 1);
  CHECK(elsewhere.run_ready() == 1);
  stop.request_stop();
  CHECK(elsewhere.run_ready() == 1);  // told of the stop, it has looked in vain
  CHECK(events.awaited());
  CHECK(loop.run_ready() == 1);
  CHECK(answer == queue_op_status::empty);
  CHECK_FALSE(events.awaited());
  empty = {{queue_op_status::success}};
  CHECK(elsewhere.run_ready() == 1);
  CHECK(other == queue_op_status::success);
  CHECK(loop.run_ready() == 1);
  CHECK(elsewhere.run_ready() == 1);
}

TEST_CASE("co_queue: what comes while it finds no place is taken at once", "[co_queue]") {
  waiter_set<64, 1> events;
  struct nobody : holdfast::waiter {
    nobody() noexcept : waiter([](waiter&) noexcept {}) {}
  } other;
  const std::optional<std::size_t> place = events.enter(other);
  REQUIRE(place);
  run_loop loop;
  script answers{{queue_op_status::empty, queue_op_status::success}};
  auto look = [&answers]() noexcept { return answers(); };
  auto waits = holdfast::co_attempt(events, loop, queue_op_status::empty, {}, look);
  CHECK_FALSE(waits.await_ready());
  CHECK_FALSE(waits.await_suspend(std::noop_coroutine()));
  CHECK(waits.await_resume());
  CHECK(loop.run_ready() == 0);
  CHECK(events.leave(*place));
}

TEST_CASE("co_queue: told while another operation is mid-way, it looks when its loop comes to it", "[co_queue]") {
  waiter_set<> events;
  run_loop loop;
  int looks = 0;
  bool through = false;
  auto look = [&]() noexcept -> queue_result {
    if (++looks == 1) return queue_op_status::empty;
    if (looks == 2) events.notify(1);  // it has entered, and is told
    return through ? queue_op_status::success : queue_op_status::busy;
  };
  auto waits = holdfast::co_attempt(events, loop, queue_op_status::empty, {}, look);
  CHECK_FALSE(waits.await_ready());
  CHECK(waits.await_suspend(std::noop_coroutine()));
  through = true;
  CHECK(loop.run_ready() == 1);
  CHECK(waits.await_resume());
  CHECK_FALSE(events.awaited());
}

// The room of an spsc_queue is told of in groups.
TEMPLATE_TEST_CASE("co_queue: both sides on one loop, and nothing is lost", "[co_queue]", shared_queue,
                   (coroutines_on<holdfast::spsc_queue<int, 64>>)) {
  TestType queue;
  run_loop loop;
  mark ended;
  holdfast::spawn(loop, feed(queue, loop, 1000), ended);
  CHECK(holdfast::run(loop, sum(queue, loop)) == 500500);
  CHECK(loop.run_until([&] { return ended.was_run(); }));
}

TEST_CASE("co_queue: several coroutines of one loop are one thread to an spsc_queue", "[co_queue]") {
  coroutines_on<holdfast::spsc_queue<int, 64>> queue;
  run_loop loop;
  std::vector<queue_result> pushed(100, queue_op_status::busy);
  std::array<mark, 100> ended;
  for (std::size_t i = 0; i < 100; ++i) {
    holdfast::spawn(loop, push_one(queue, loop, static_cast<int>(i), pushed[i]), ended[i]);
  }
  static_cast<void>(loop.run_ready());
  CHECK_FALSE(ended[99].was_run());
  int total = 0;
  for (int i = 0; i < 100; ++i) {
    popped got;
    holdfast::run(loop, pop_one(queue, loop, got));
    total += got.item;
  }
  CHECK(total == 4950);
  for (std::size_t i = 0; i < 100; ++i) {
    CHECK(loop.run_until([&] { return ended[i].was_run(); }));
    CHECK(pushed[i]);
  }
}

TEST_CASE("co_queue: threads and coroutines wait for items side by side", "[co_queue]") {
  using events = holdfast::event_sources<holdfast::event_count, waiter_set<>>;
  holdfast::waiting_queue<holdfast::mpmc_queue<int, 4>, events, events> queue;
  run_loop loop;
  mark ended;
  int by_thread = 0;
  std::thread other([&] {
    for (int item = 0; queue.wait_pop(item, holdfast::deadline::never());) by_thread += item;
  });
  holdfast::spawn(loop, feed(queue, loop, 1000), ended);
  const int by_coroutine = holdfast::run(loop, sum(queue, loop));
  other.join();
  CHECK(by_thread + by_coroutine == 500500);
  CHECK(loop.run_until([&] { return ended.was_run(); }));
}
