// SPDX-License-Identifier: MIT
#include <array>
#include <cstddef>
#include <memory_resource>
#include <optional>
#include <utility>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/time/timer_wheel.hpp"

#include "support/catch.hpp"
#include "support/hot_path.hpp"
#include "support/no_alloc.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::allocations_in;
using test_support::hot_path_scope;

namespace {

constexpr time_point start{1000h};
constexpr std::size_t no_limit = ~std::size_t{0};

// Counts what is asked of it.
struct counting_memory : std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    ++asked;
    asked_bytes += bytes;
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* at, std::size_t bytes, std::size_t alignment) override {
    ++given_back;
    given_back_bytes += bytes;
    std::pmr::new_delete_resource()->deallocate(at, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::size_t asked = 0;
  std::size_t asked_bytes = 0;
  std::size_t given_back = 0;
  std::size_t given_back_bytes = 0;
};

// All that a wheel does, until it has refused some.
void use(timer_wheel<int>& of, std::uint64_t seed) {
  splitmix64 bits(seed);
  std::array<timer_id, 64> ids{};
  time_point now = start;
  for (int round = 0; round < 2'000; ++round) {
    for (int i = 0; i < 8; ++i) {
      timer_id& id = ids[bits() % ids.size()];
      const time_point due = now + duration(static_cast<std::int64_t>(bits() >> (30 + bits() % 20)));
      switch (bits() % 8) {
        case 0: of.cancel(id); break;
        case 1: static_cast<void>(of.take(id)); break;
        case 2: of.reschedule(id, due); break;
        case 3: of.extend(id, due); break;
        case 4: id = of.schedule_within(due, due + 10ms, i); break;
        default: id = of.schedule(due, i);
      }
    }
    now += 3ms;
    of.advance(now, round % 3 == 0 ? 5 : no_limit, [&](const expired_timer<int>& what) {
      if (what.what == 0) of.reschedule(what.id, now + 50ms);
      if (what.what == 1) of.schedule(now + 1s, 2);
    });
    static_cast<void>(of.next_expiry());
  }
}

}  // namespace

TEST_CASE("a timer wheel asks its memory once, for what bytes_for says, and gives that back", "[alloc]") {
  counting_memory memory;
  for (const std::size_t capacity : {std::size_t{1}, std::size_t{2}, std::size_t{100}, std::size_t{5'000}}) {
    const counting_memory before = memory;
    {
      timer_wheel<int> of({.capacity = capacity}, start, &memory);
      use(of, capacity);
      CHECK((of.counts().refused > 0 || capacity > 100));
      of.drain([](timer_id, time_point, int&&) {});
      use(of, capacity + 1);
      CHECK(memory.asked == before.asked + 1);
      CHECK(memory.given_back == before.given_back);
    }
    CHECK(memory.asked == before.asked + 1);
    CHECK(memory.asked_bytes == before.asked_bytes + timer_wheel<int>::bytes_for(capacity));
    CHECK(memory.given_back == memory.asked);
    CHECK(memory.given_back_bytes == memory.asked_bytes);
  }
}

TEST_CASE("a timer wheel allocates nothing after its construction", "[alloc]") {
  timer_wheel<int> of({.capacity = 200}, start);
  CHECK(allocations_in([&] { use(of, 1); }) == 0);
  CHECK(allocations_in([&] { of.drain([](timer_id, time_point, int&&) {}); }) == 0);
  CHECK(of.counts().refused > 0);
  CHECK(of.counts().moved > 0);
  CHECK(of.counts().rearmed > 0);
}

TEST_CASE("a timer's way through a wheel is a quiet path", "[alloc][hot]") {
  timer_wheel<int> of({.capacity = 100}, start);
  const hot_path_scope scope("timer_wheel");
  time_point now = start;
  for (int i = 0; i < 1'000; ++i) {
    const timer_id cancelled = of.schedule(now + 1s, 1);
    const timer_id fires = of.schedule_within(now + 1ms, now + 2ms, 2);
    static_cast<void>(of.extend(fires, now + 3ms));
    static_cast<void>(of.cancel(cancelled));
    now += 5ms;
    static_cast<void>(of.advance(now, 100, [](const expired_timer<int>&) {}));
  }
}

TEST_CASE("a timer wheel lives in memory that its user has set apart", "[alloc]") {
  constexpr std::size_t capacity = 1'000;
  std::vector<std::byte> storage(timer_wheel<int>::bytes_for(capacity) + wheel_chunks::chunk_bytes);
  std::pmr::monotonic_buffer_resource memory(storage.data(), storage.size(), std::pmr::null_memory_resource());
  CHECK(allocations_in([&] {
          timer_wheel<int> of({.capacity = capacity}, start, &memory);
          use(of, 7);
        }) == 0);
}
