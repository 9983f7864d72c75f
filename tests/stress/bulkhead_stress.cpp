// SPDX-License-Identifier: MIT
// B1, B2, B5 under threads: never more inside than the limit, and every place comes back.
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/policy/bulkhead.hpp"

#include "support/catch.hpp"

using namespace holdfast;

TEST_CASE("B1 B2 four threads are never more than the limit inside, and every place comes back", "[bulkhead]") {
  constexpr std::uint32_t limit = 3;
  bulkhead room({.limit = limit});
  atomic<std::uint32_t> inside{0};
  atomic<std::uint32_t> most{0};
  std::vector<std::uint64_t> entered(4, 0);
  std::vector<std::uint64_t> refused(4, 0);
  std::vector<std::thread> workers;
  for (std::size_t t = 0; t < 4; ++t) {
    workers.emplace_back([&, t] {
      std::uint64_t in = 0;
      std::uint64_t out = 0;
      for (int i = 0; i < 100'000; ++i) {
        if (auto place = room.try_acquire()) {
          ++in;
          const std::uint32_t count = inside.fetch_add(1, mo::seq_cst) + 1;
          std::uint32_t before = most.load(mo::relaxed);
          while (before < count && !most.compare_exchange_weak(before, count, mo::relaxed, mo::relaxed)) {
          }
          if (i % 64 == 0) std::this_thread::yield();
          inside.fetch_sub(1, mo::seq_cst);
        } else {
          ++out;
        }
      }
      entered[t] = in;
      refused[t] = out;
    });
  }
  for (auto& w : workers) w.join();
  CHECK(most.load(mo::relaxed) <= limit);
  CHECK(room.in_flight() == 0);
  std::uint64_t in = 0;
  std::uint64_t out = 0;
  for (std::size_t t = 0; t < 4; ++t) {
    in += entered[t];
    out += refused[t];
  }
  CHECK(in + out == 400'000);
  CHECK(room.refused() == out);
}

TEST_CASE("a place of one hands plain data from holder to holder", "[bulkhead]") {
  bulkhead room({.limit = 1});
  std::uint64_t plain = 0;  // no atomic: ThreadSanitizer judges the hand-over
  std::vector<std::uint64_t> entered(3, 0);
  std::vector<std::thread> workers;
  for (std::size_t t = 0; t < 3; ++t) {
    workers.emplace_back([&, t] {
      for (int i = 0; i < 50'000; ++i) {
        if (auto place = room.try_acquire()) {
          ++plain;
          ++entered[t];
        }
      }
    });
  }
  // Changes of the limit between holders must not cut the hand-over.
  for (int i = 0; i < 1'000; ++i) {
    room.set_limit(1);
    std::this_thread::yield();
  }
  for (auto& w : workers) w.join();
  CHECK(plain == entered[0] + entered[1] + entered[2]);
}

TEST_CASE("B5 permits are conserved while the limit goes up and down", "[bulkhead]") {
  bulkhead room({.limit = 4});
  std::vector<std::thread> workers;
  for (int t = 0; t < 3; ++t) {
    workers.emplace_back([&] {
      for (int i = 0; i < 50'000; ++i) {
        auto a = room.try_acquire();
        auto b = room.try_acquire();
        if (i % 128 == 0) std::this_thread::yield();
      }
    });
  }
  workers.emplace_back([&] {
    for (std::uint32_t i = 0; i < 20'000; ++i) room.set_limit(1 + i % 6);
  });
  for (auto& w : workers) w.join();
  CHECK(room.in_flight() == 0);
  room.set_limit(3);
  auto a = room.try_acquire();
  auto b = room.try_acquire();
  auto c = room.try_acquire();
  CHECK((a && b && c));
  CHECK_FALSE(room.try_acquire());
}
