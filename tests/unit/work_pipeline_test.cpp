// SPDX-License-Identifier: MIT
#include "holdfast/exec/work_pipeline.hpp"

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/spsc_queue.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/patience.hpp"

// A sanitizer needs more address space than any limit leaves it.
#if defined(__has_feature)
#define WITH_CLANG_SANITIZER \
  (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer))
#else
#define WITH_CLANG_SANITIZER 0
#endif

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

using test_support::gate;

// All that came is somewhere.
void check_accounts(const stage_metrics& m) {
  CHECK(m.arrived == m.done + m.filtered + m.failed + m.passed + m.shed + m.abandoned + m.depth);
}

const deadline at_once(time_point::min());

// Whose slot in turn is held by another one at the first look, and no longer.
struct held_for_a_moment : mpmc_queue<work_item<int>, 8> {
  bool looked = false;
  queue_result try_push(work_item<int>&& item) {
    if (!std::exchange(looked, true)) return queue_op_status::busy;
    return mpmc_queue::try_push(std::move(item));
  }
};

}  // namespace

TEST_CASE("work_pipeline: what is pushed comes through every stage, in order, and the end comes after the last",
          "[work_pipeline]") {
  std::vector<std::string> out;
  const auto line = make_work_pipeline(
      stage<int, 4, 4>({.name = "double"}, [](int&& n) -> outcome<int> { return 2 * n; }),
      stage<int, 4, 4>({.name = "write"}, [](int&& n) { return std::to_string(n); }),
      stage<std::string, 4>({.name = "keep"}, [&](std::string&& text) { out.push_back(std::move(text)); }));
  REQUIRE_FALSE(line->start());
  for (int i = 0; i < 100; ++i) CHECK(line->push(int{i}));
  line->close();
  CHECK(line->push(7) == queue_op_status::closed);
  line->join();
  REQUIRE(out.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(out[static_cast<std::size_t>(i)] == std::to_string(2 * i));
  for (const stage_metrics& one : line->metrics()) {
    CHECK(one.arrived == 100);
    CHECK(one.done == 100);
    CHECK(one.capacity == 4);
    CHECK(one.waited.count() == 100);
    CHECK(one.worked.count() == 100);
    check_accounts(one);
  }
  CHECK(line->metrics()[1].name == "write");
}

TEST_CASE("work_pipeline: several workers keep the order where it is asked for, though some items take longer",
          "[work_pipeline]") {
  std::vector<int> out;
  work_pipeline line(stage<int, 8, 4>({.name = "slow", .workers = 4},
                                      [](int&& n) {
                                        if (n % 5 == 0) std::this_thread::yield();
                                        return n;
                                      }),
                     stage<int, 8>({.name = "keep"}, [&](int&& n) { out.push_back(n); }));
  REQUIRE_FALSE(line.start());
  for (int i = 0; i < 2'000; ++i) CHECK(line.push(int{i}));
  line.close();
  line.join();
  REQUIRE(out.size() == 2'000);
  for (int i = 0; i < 2'000; ++i) CHECK(out[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("work_pipeline: with any order, items overtake one that takes long", "[work_pipeline]") {
  gate slow;
  std::vector<int> out;
  work_pipeline line(stage<int, 8>({.name = "work", .workers = 2, .order = work_order::any},
                                   [&](int&& n) {
                                     if (n == 0) slow.pass();
                                     return n;
                                   }),
                     stage<int, 8>({.name = "keep"}, [&](int&& n) {
                       out.push_back(n);
                       if (n == 2) slow.open();
                     }));
  REQUIRE_FALSE(line.start());
  for (int i = 0; i < 3; ++i) CHECK(line.push(int{i}));
  line.close();
  line.join();
  CHECK(out == std::vector{1, 2, 0});
}

TEST_CASE("work_pipeline: an item that fails does not stop a stage, and its error goes on in its place",
          "[work_pipeline]") {
  std::vector<int> out;
  std::vector<error> errors;
  work_pipeline line(stage<int, 8>({.name = "check", .workers = 2},
                                   [](int&& n) -> outcome<int> {
                                     if (n % 3 == 0) return errc::rate_limited;
                                     return n;
                                   }),
                     stage<int, 8>({.name = "by"}, [](int&& n) { return n; }),
                     stage<int, 8>({.name = "keep"}, [&](outcome<int>&& n) -> outcome<> {
                       if (n.ok()) {
                         out.push_back(*n);
                         return {};
                       }
                       out.push_back(-1);
                       errors.push_back(n.error());
                       return n.error();
                     }));
  REQUIRE_FALSE(line.start());
  for (int i = 0; i < 7; ++i) CHECK(line.push(int{i}));
  line.close();
  line.join();
  CHECK(out == std::vector{-1, 1, 2, -1, 4, 5, -1});
  REQUIRE(errors.size() == 3);
  CHECK(errors[0].code == errc::rate_limited);
  const auto metrics = line.metrics();
  CHECK(metrics[0].failed == 3);
  CHECK(metrics[0].done == 4);
  CHECK(metrics[1].passed == 3);
  CHECK(metrics[1].done == 4);
  CHECK(metrics[2].failed == 3);
  for (const stage_metrics& one : metrics) check_accounts(one);
}

TEST_CASE("work_pipeline: an error that reaches a last stage that takes values alone is counted", "[work_pipeline]") {
  int out = 0;
  work_pipeline line(stage<int, 8>({.name = "fail"}, [](int&&) -> outcome<int> { return errc::rate_limited; }),
                     stage<int, 8>({.name = "keep"}, [&](int&&) { ++out; }));
  REQUIRE_FALSE(line.start());
  CHECK(line.push(1));
  line.close();
  line.join();
  CHECK(out == 0);
  CHECK(line.metrics()[1].passed == 1);
  check_accounts(line.metrics()[1]);
}

TEST_CASE("work_pipeline: a stage may end an item on purpose", "[work_pipeline]") {
  std::vector<int> out;
  work_pipeline line(stage<int, 8>({.name = "even", .workers = 3},
                                   [](int&& n) { return n % 2 == 0 ? std::optional(n) : std::nullopt; }),
                     stage<int, 8>({.name = "small"},
                                   [](int&& n) -> outcome<std::optional<int>> {
                                     if (n > 6) return std::optional<int>();
                                     return std::optional(n);
                                   }),
                     stage<int, 8>({.name = "keep"}, [&](int&& n) { out.push_back(n); }));
  REQUIRE_FALSE(line.start());
  for (int i = 0; i < 10; ++i) CHECK(line.push(int{i}));
  line.close();
  line.join();
  CHECK(out == std::vector{0, 2, 4, 6});
  CHECK(line.metrics()[0].filtered == 5);
  CHECK(line.metrics()[1].filtered == 1);
  for (const stage_metrics& one : line.metrics()) check_accounts(one);
}

TEST_CASE("work_pipeline: items that can only be moved", "[work_pipeline]") {
  int sum = 0;
  work_pipeline line(stage<std::unique_ptr<int>, 8>({.name = "pass", .workers = 2},
                                                    [](std::unique_ptr<int>&& p) { return std::move(p); }),
                     stage<std::unique_ptr<int>, 8>({.name = "keep"}, [&](std::unique_ptr<int>&& p) { sum += *p; }));
  REQUIRE_FALSE(line.start());
  for (int i = 1; i <= 10; ++i) CHECK(line.push(std::make_unique<int>(i)));
  line.close();
  line.join();
  CHECK(sum == 55);
}

TEST_CASE("work_pipeline: a full stage makes its producer wait, until its deadline", "[work_pipeline]") {
  gate held;
  int out = 0;
  work_pipeline line(stage<std::string, 2>({.name = "slow"}, [&](std::string&&) {
    held.pass();
    ++out;
  }));
  REQUIRE_FALSE(line.start());
  CHECK(line.push("at work"));
  held.await(1);
  CHECK(line.push("one"));
  CHECK(line.push("two"));
  std::string refused = "three, longer than what a string keeps inside";
  CHECK(line.push(std::move(refused), at_once) == queue_op_status::full);
  CHECK(refused == "three, longer than what a string keeps inside");
  CHECK(line.metrics()[0].depth == 2);
  std::thread patient([&] { CHECK(line.push(std::move(refused))); });
  held.open();
  patient.join();
  line.close();
  line.join();
  CHECK(out == 4);
  CHECK(line.metrics()[0].shed == 0);
  check_accounts(line.metrics()[0]);
}

TEST_CASE("work_pipeline: a full stage sheds the newest", "[work_pipeline]") {
  gate held;
  std::vector<int> out;
  work_pipeline line(stage<int, 2>({.name = "slow", .overflow = work_overflow::shed_newest}, [&](int&& n) {
    held.pass();
    out.push_back(n);
  }));
  REQUIRE_FALSE(line.start());
  CHECK(line.push(0));
  held.await(1);
  CHECK(line.push(1));
  CHECK(line.push(2));
  CHECK(line.push(3) == queue_op_status::full);
  CHECK(line.push(4) == queue_op_status::full);
  held.open();
  line.close();
  line.join();
  CHECK(out == std::vector{0, 1, 2});
  CHECK(line.metrics()[0].shed == 2);
  CHECK(line.metrics()[0].arrived == 5);
  check_accounts(line.metrics()[0]);
}

TEST_CASE("work_pipeline: an item is not shed where a slot is held for a moment", "[work_pipeline]") {
  int out = 0;
  work_pipeline line(
      stage_over<held_for_a_moment>({.name = "keep", .overflow = work_overflow::shed_newest}, [&](int&&) { ++out; }));
  CHECK(line.push(1));
  REQUIRE_FALSE(line.start());
  line.close();
  line.join();
  CHECK(out == 1);
  CHECK(line.metrics()[0].shed == 0);
}

TEST_CASE("work_pipeline: a full stage sheds the oldest", "[work_pipeline]") {
  gate held;
  std::vector<int> out;
  work_pipeline line(stage<int, 2>({.name = "slow", .overflow = work_overflow::shed_oldest}, [&](int&& n) {
    held.pass();
    out.push_back(n);
  }));
  REQUIRE_FALSE(line.start());
  CHECK(line.push(0));
  held.await(1);
  for (int i = 1; i < 5; ++i) CHECK(line.push(int{i}));
  held.open();
  line.close();
  line.join();
  CHECK(out == std::vector{0, 3, 4});
  CHECK(line.metrics()[0].shed == 2);
  check_accounts(line.metrics()[0]);
}

TEST_CASE("work_pipeline: a stage in the middle sheds for the one before it, whose order is kept", "[work_pipeline]") {
  gate held;
  std::vector<int> out;
  work_pipeline line(stage<int, 8>({.name = "by", .workers = 2}, [](int&& n) { return n; }),
                     stage<int, 2>({.name = "slow", .overflow = work_overflow::shed_newest}, [&](int&& n) {
                       held.pass();
                       out.push_back(n);
                     }));
  REQUIRE_FALSE(line.start());
  CHECK(line.push(0));
  held.await(1);
  for (int i = 1; i < 6; ++i) CHECK(line.push(int{i}));
  line.close();
  test_support::patience waiting;
  while (line.metrics()[1].shed < 3) REQUIRE(waiting.wait());
  held.open();
  line.join();
  CHECK(out == std::vector{0, 1, 2});
  for (const stage_metrics& one : line.metrics()) check_accounts(one);
}

TEST_CASE("work_pipeline: over spsc_queue, which an ordered stage of several workers may use as well",
          "[work_pipeline]") {
  using lane = spsc_queue<work_item<int>, 8>;
  std::vector<int> out;
  work_pipeline line(stage_over<lane>({.name = "a", .workers = 3}, [](int&& n) { return n + 1; }),
                     stage_over<lane>({.name = "b"}, [&](int&& n) { out.push_back(n); }));
  REQUIRE_FALSE(line.start());
  for (int i = 0; i < 500; ++i) CHECK(line.push(int{i}));
  line.close();
  line.join();
  REQUIRE(out.size() == 500);
  for (int i = 0; i < 500; ++i) CHECK(out[static_cast<std::size_t>(i)] == i + 1);
}

TEST_CASE("work_pipeline: stop leaves after the item at work, counts the rest, and wakes who waits to push",
          "[work_pipeline]") {
  gate held;
  work_pipeline line(stage<int, 2>({.name = "by"}, [](int&& n) { return n; }),
                     stage<int, 2>({.name = "slow"}, [&](int&&) { held.pass(); }));
  REQUIRE_FALSE(line.start());
  std::uint64_t pushed = 0;
  // One at work, two in the last queue, one with the first stage's worker and two in its queue; then nothing more.
  test_support::patience waiting;
  while (pushed < 6) {
    if (line.push(1, at_once)) ++pushed;
    REQUIRE(waiting.wait());
  }
  queue_result refused = queue_op_status::success;
  std::thread producer([&] { refused = line.push(1); });
  line.stop();
  held.open();
  line.join();
  producer.join();
  CHECK(refused == queue_op_status::closed);
  CHECK(line.push(1) == queue_op_status::closed);
  const auto metrics = line.metrics();
  CHECK(metrics[0].arrived == 6);
  CHECK(metrics[0].done + metrics[0].abandoned == 6);
  CHECK(metrics[1].abandoned >= 1);
  for (const stage_metrics& one : metrics) {
    CHECK(one.depth == 0);
    check_accounts(one);
  }
}

TEST_CASE("work_pipeline: what is pushed before the start is worked on after it", "[work_pipeline]") {
  int sum = 0;
  work_pipeline line(stage<int, 8>({.name = "sum"}, [&](int&& n) { sum += n; }));
  CHECK(line.push(1));
  CHECK(line.push(2));
  REQUIRE_FALSE(line.start());
  line.close();
  line.join();
  CHECK(sum == 3);
}

TEST_CASE("work_pipeline: the end of one that runs drains it, and of one that never ran destroys what it has",
          "[work_pipeline]") {
  int count = 0;
  {
    work_pipeline line(stage<int, 64>({.name = "count"}, [&](int&&) { ++count; }));
    REQUIRE_FALSE(line.start());
    for (int i = 0; i < 50; ++i) CHECK(line.push(int{i}));
  }
  CHECK(count == 50);
  const auto kept = std::make_shared<int>(1);
  {
    work_pipeline line(stage<std::shared_ptr<int>, 8>({.name = "never"}, [](std::shared_ptr<int>&&) {}));
    CHECK(line.push(std::shared_ptr<int>(kept)));
    CHECK(kept.use_count() == 2);
  }
  CHECK(kept.use_count() == 1);
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !WITH_CLANG_SANITIZER
TEST_CASE("work_pipeline: where the system gives no threads, it says so, and those that it gave end",
          "[work_pipeline]") {
  auto line = make_work_pipeline(
      stage<int, 8>({.name = "first"}, [](int&& n) { return n; }),
      stage<int, 8>({.name = "many", .workers = 64, .order = work_order::any}, [](int&& n) { return n; }),
      stage<int, 8>({.name = "last"}, [](int&&) {}));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_AS, &before) == 0);
  // Room for the stacks that glibc has kept, and no more.
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  REQUIRE(statm >> pages);
  rlimit low = before;
  low.rlim_cur = pages * 4096 + (rlim_t{4} << 20U);
  REQUIRE(::setrlimit(RLIMIT_AS, &low) == 0);
  const work_pipeline_error wrong = line->start();
  REQUIRE(::setrlimit(RLIMIT_AS, &before) == 0);
  REQUIRE(wrong);
  CHECK_FALSE(wrong.option);
  CHECK(wrong.system == std::errc::resource_unavailable_try_again);
  CHECK(line->push(1) == queue_op_status::closed);
}
#endif

TEST_CASE("work_pipeline: a mistake is told with the stage, the field and the limit, and nothing is started",
          "[work_pipeline]") {
  using lane = spsc_queue<work_item<int>, 8>;
  const auto by = [](int&& n) { return n; };
  const auto drop = [](int&&) {};
  const auto check = [](auto&& line, const char* stage_name, const char* field) {
    const work_pipeline_error wrong = line.start();
    REQUIRE(wrong);
    CHECK(wrong.stage == stage_name);
    CHECK(wrong.option.field == field);
    CHECK_FALSE(wrong.system);
    CHECK(line.metrics()[0].arrived == 0);
  };
  check(work_pipeline(stage<int, 8>({.name = "none", .workers = 0}, drop)), "none", "workers");
  check(work_pipeline(stage<int, 8>({.name = "many", .workers = 65}, drop)), "many", "workers");
  check(work_pipeline(stage<int, 8>({.name = "a"}, by), stage<int, 8>({.name = "b", .workers = 2}, drop)), "b",
        "workers");
  check(work_pipeline(stage_over<lane>({.name = "a", .workers = 2, .order = work_order::any}, drop)), "a", "workers");
  check(work_pipeline(stage<int, 8>({.name = "a", .workers = 2, .order = work_order::any}, by),
                      stage_over<lane>({.name = "b"}, drop)),
        "a", "workers");
  check(work_pipeline(stage_over<lane>({.name = "a", .overflow = work_overflow::shed_oldest}, drop)), "a", "overflow");
  static_assert(!validate(stage_options{}));
  static_assert(validate(stage_options{.workers = 65}).limit == 64);
}
