// SPDX-License-Identifier: MIT
#include "holdfast/core/thread_slot.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

#include "support/catch.hpp"

using holdfast::thread_slot;
namespace mo = holdfast::mo;

namespace {

// Runs `body(i)` in n threads that are all alive at the same time.
template <class Body>
void together(std::uint32_t n, Body body) {
  holdfast::atomic<std::uint32_t> arrived{0};
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < n; ++i) {
    threads.emplace_back([&, i] {
      body(i);
      if (arrived.fetch_add(1, mo::acq_rel) + 1 == n) {  // [T1] acq_rel, pairs with [T2]: all have run before one ends
        arrived.notify_all();
        return;
      }
      for (std::uint32_t seen = 0; seen < n;) {
        seen = arrived.load(mo::acquire);  // [T2] acquire, pairs with [T1]: see there
        if (seen < n) arrived.wait(seen, mo::acquire);
      }
    });
  }
  for (auto& t : threads) t.join();
}

}  // namespace

TEST_CASE("a thread keeps its number", "[thread_slot]") {
  const std::uint32_t mine = thread_slot::current();
  CHECK(mine < thread_slot::limit);
  CHECK(thread_slot::current() == mine);
  CHECK(thread_slot::cached() == mine);
  CHECK(thread_slot::high_water() > mine);
}

TEST_CASE("before it asks, a thread's number is unknown, and above every place", "[thread_slot]") {
  std::uint32_t before = 0;
  std::uint32_t after = 0;
  std::thread([&] {
    before = thread_slot::cached();
    static_cast<void>(thread_slot::current());
    after = thread_slot::cached();
  }).join();
  CHECK(before == thread_slot::unknown);
  CHECK(before >= thread_slot::limit);
  CHECK(after < thread_slot::limit);
}

TEST_CASE("no two living threads have the same number", "[thread_slot]") {
  constexpr std::uint32_t n = 40;
  for (int round = 0; round < 5; ++round) {
    std::vector<std::uint32_t> numbers(n + 1);
    together(n, [&](std::uint32_t i) { numbers[i] = thread_slot::current(); });
    numbers[n] = thread_slot::current();
    std::sort(numbers.begin(), numbers.end());
    CHECK(std::adjacent_find(numbers.begin(), numbers.end()) == numbers.end());
    CHECK(numbers.back() < thread_slot::limit);
    CHECK(thread_slot::high_water() > numbers.back());
  }
}

TEST_CASE("numbers of ended threads are given out again, the lowest first", "[thread_slot]") {
  static_cast<void>(thread_slot::current());
  std::uint32_t first = 0;
  std::thread([&] { first = thread_slot::current(); }).join();
  const std::uint32_t high = thread_slot::high_water();
  for (int i = 0; i < 200; ++i) {
    std::uint32_t number = thread_slot::none;
    std::thread([&] { number = thread_slot::current(); }).join();
    CHECK(number == first);
  }
  CHECK(thread_slot::high_water() == high);
}

TEST_CASE("the next owner of a number sees what the last one wrote with plain stores", "[thread_slot]") {
  // A counter that each owner raises without a read-modify-write, as the parts that use slots do. Threads come and go
  // without being joined in between by anything but the number itself.
  constexpr int lives = 400;
  constexpr int writes = 100;
  const auto places = std::make_unique<holdfast::plain<std::uint64_t>[]>(thread_slot::limit);
  std::vector<std::thread> threads;
  for (int life = 0; life < lives; ++life) {
    threads.emplace_back([&] {
      auto& mine = places[thread_slot::current()];
      for (int i = 0; i < writes; ++i) mine.set(mine.get() + 1);
    });
    if (threads.size() == 8) {
      for (auto& t : threads) t.join();
      threads.clear();
    }
  }
  for (auto& t : threads) t.join();
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < thread_slot::limit; ++i) sum += places[i].get();
  CHECK(sum == std::uint64_t{lives} * writes);
}

namespace {
struct asks_at_its_end {
  std::uint32_t* seen;
  ~asks_at_its_end() { *seen = thread_slot::current(); }
};
}  // namespace

TEST_CASE("a thread_local's destructor may still ask", "[thread_slot]") {
  std::uint32_t during = thread_slot::none;
  std::uint32_t at_end = thread_slot::none;
  std::thread([&] {
    thread_local asks_at_its_end late{&at_end};
    late.seen = &at_end;
    during = thread_slot::current();
  }).join();
  CHECK(during < thread_slot::limit);
  CHECK((at_end == during || at_end == thread_slot::none));
}

TEST_CASE("more threads than numbers get none, and a number again once some have ended", "[thread_slot]") {
  STATIC_REQUIRE(thread_slot::none >= thread_slot::limit);
  STATIC_REQUIRE(thread_slot::unknown >= thread_slot::limit);
  constexpr std::uint32_t n = thread_slot::limit + 8;
  std::vector<std::uint32_t> numbers(n, 0);
  holdfast::atomic<std::uint32_t> arrived{0};
  holdfast::atomic<bool> go_home{false};
  std::vector<std::thread> threads;
  try {
    for (std::uint32_t i = 0; i < n; ++i) {
      threads.emplace_back([&, i] {
        numbers[i] = thread_slot::current();
        arrived.fetch_add(1, mo::acq_rel);  // [T3] acq_rel, pairs with [T4]: has asked
        arrived.notify_one();
        go_home.wait(false, mo::acquire);  // [T5] acquire, pairs with [T6]: all have asked
      });
    }
  } catch (const std::system_error&) {
    WARN("this machine does not give us " << n << " threads");
  }
  for (std::uint32_t seen = 0; seen < threads.size();) {
    arrived.wait(seen, mo::acquire);
    seen = arrived.load(mo::acquire);  // [T4] acquire, pairs with [T3]: a number of threads has asked
  }
  go_home.store(true, mo::release);  // [T6] release, pairs with [T5]: not before all have asked
  go_home.notify_all();
  for (auto& t : threads) t.join();
  if (threads.size() == n) {
    CHECK(std::count(numbers.begin(), numbers.end(), thread_slot::none) >= 8);
  }
  std::uint32_t again = thread_slot::none;
  std::thread([&] { again = thread_slot::current(); }).join();
  CHECK(again < thread_slot::limit);
}
