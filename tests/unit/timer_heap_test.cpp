// SPDX-License-Identifier: MIT
#include "holdfast/time/timer_heap.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1000s};

struct ringer : timer {
  ringer(std::vector<int>* to = nullptr, int number = 0) noexcept : timer(ring), log(to), id(number) {}
  static void ring(timer& self) noexcept {
    auto& me = static_cast<ringer&>(self);
    if (me.log != nullptr) me.log->push_back(me.id);
  }
  std::vector<int>* log;
  int id;
};

}  // namespace

TEST_CASE("timers run in the order of their times, and those of one time in the order of their insertion",
          "[timer_heap]") {
  timer_heap heap;
  std::vector<int> ran;
  std::array<ringer, 5> alarms{{ringer{&ran, 0}, ringer{&ran, 1}, ringer{&ran, 2}, ringer{&ran, 3}, ringer{&ran, 4}}};
  CHECK(heap.next() == time_point::max());
  heap.insert(alarms[0], start + 3ms);
  heap.insert(alarms[1], start + 1ms);
  heap.insert(alarms[2], start + 2ms);
  heap.insert(alarms[3], start + 1ms);
  heap.insert(alarms[4], start + 9ms);
  CHECK(heap.next() == start + 1ms);
  CHECK(heap.run_due(start) == 0);
  CHECK(heap.run_due(start + 3ms) == 4);
  CHECK(ran == std::vector<int>{1, 3, 2, 0});
  CHECK(heap.size() == 1);
  CHECK(alarms[4].pending());
  CHECK(heap.remove(alarms[4]));
  CHECK_FALSE(heap.remove(alarms[4]));
  CHECK(heap.size() == 0);
}

TEST_CASE("a timer that inserts itself again keeps nobody from going on", "[timer_heap]") {
  struct again : timer {
    explicit again(timer_heap& where) noexcept
        : timer([](timer& self) noexcept {
            auto& me = static_cast<again&>(self);
            ++me.times;
            me.heap.insert(me, start);
          }),
          heap(where) {}
    timer_heap& heap;
    int times = 0;
  };
  timer_heap heap;
  again forever(heap);
  std::vector<int> ran;
  ringer other(&ran, 1);
  heap.insert(forever, start);
  heap.insert(other, start + 1ms);
  CHECK(heap.run_due(start) == 2);
  CHECK(forever.times == 2);
  CHECK(heap.run_due(start + 1ms) == 2);
  CHECK(heap.run_due(start + 1ms) == 2);
  CHECK(forever.times == 6);  // its time is the earlier one
  heap.remove(forever);
  CHECK(heap.run_due(start + 1ms) == 1);
  CHECK(ran == std::vector<int>{1});
}

TEST_CASE("a timer may end its life, and remove others", "[timer_heap]") {
  struct removes : timer {
    removes(timer_heap& where, timer& which) noexcept
        : timer([](timer& self) noexcept {
            auto& me = static_cast<removes&>(self);
            timer_heap& from = me.heap;
            timer& victim = me.other;
            delete &me;
            from.remove(victim);
          }),
          heap(where),
          other(which) {}
    timer_heap& heap;
    timer& other;
  };
  timer_heap heap;
  std::vector<int> ran;
  ringer victim(&ran, 1);
  auto* const first = new removes(heap, victim);  // NOLINT(cppcoreguidelines-owning-memory): it deletes itself
  heap.insert(*first, start);
  heap.insert(victim, start);
  CHECK(heap.run_due(start) == 1);
  CHECK(ran.empty());
  CHECK(heap.size() == 0);
}

TEST_CASE("a heap does what a sorted map does, over 200,000 random steps", "[timer_heap]") {
  timer_heap heap;
  std::vector<int> ran;
  std::vector<int> expected;
  struct other_order {
    std::multimap<time_point, int> by_time;  // equal times in the order of insertion
    bool erase(int id) {
      const auto at = std::find_if(by_time.begin(), by_time.end(), [&](const auto& one) { return one.second == id; });
      if (at == by_time.end()) return false;
      by_time.erase(at);
      return true;
    }
  } oracle;
  std::array<ringer, 300> all{};
  for (int i = 0; i < 300; ++i) {
    all[static_cast<std::size_t>(i)].id = i;
    all[static_cast<std::size_t>(i)].log = &ran;
  }
  splitmix64 bits(7);
  time_point now = start;
  for (int step = 0; step < 200'000; ++step) {
    const auto id = static_cast<int>(bits() % 300);
    ringer& one = all[static_cast<std::size_t>(id)];
    switch (bits() % 8) {
      case 0:
      case 1:
      case 2:
      case 3:
        if (!one.pending()) {
          const time_point due = now + duration(static_cast<std::int64_t>(bits() % 1000) - 100);
          heap.insert(one, due);
          oracle.by_time.emplace(due, id);
        }
        break;
      case 4:
      case 5: CHECK(heap.remove(one) == oracle.erase(id)); break;
      default: {
        now += duration(static_cast<std::int64_t>(bits() % 100));
        heap.run_due(now);
        while (!oracle.by_time.empty() && oracle.by_time.begin()->first <= now) {
          expected.push_back(oracle.by_time.begin()->second);
          oracle.by_time.erase(oracle.by_time.begin());
        }
        if (ran != expected) FAIL("at step " << step);
        ran.clear();
        expected.clear();
      }
    }
    if (heap.size() != oracle.by_time.size()) FAIL("at step " << step);
    if (!oracle.by_time.empty() && heap.next() != oracle.by_time.begin()->first) FAIL("at step " << step);
  }
  for (ringer& one : all) heap.remove(one);
}
