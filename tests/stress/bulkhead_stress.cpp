// SPDX-License-Identifier: MIT
// B1, B2, B3, B5 under threads: never more inside than the limit, every place comes back, and nobody waits for ever.
#include <algorithm>
#include <array>
#include <mutex>
#include <numeric>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/exec/co_bulkhead.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"
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

namespace {

// What became of those who asked; read when all threads have been joined.
struct totals {
  atomic<std::uint64_t> served{0};
  atomic<std::uint64_t> refused{0};
  atomic<std::uint64_t> timed_out{0};
  atomic<std::uint64_t> cancelled{0};

  void add(const bulkhead::admission& got) {
    atomic<std::uint64_t>* which = &served;
    if (got.refusal == errc::bulkhead_full) which = &refused;
    if (got.refusal == errc::bulkhead_timeout) which = &timed_out;
    if (got.refusal == errc::cancelled) which = &cancelled;
    which->fetch_add(1, mo::relaxed);  // counter:
  }
  void check(const bulkhead& room) const {
    const bulkhead_snapshot seen = room.snapshot();
    CHECK(seen.in_flight == 0);
    CHECK(seen.waiting == 0);
    CHECK(seen.refused == refused.load(mo::relaxed));
    CHECK(seen.timed_out == timed_out.load(mo::relaxed));
    CHECK(seen.cancelled == cancelled.load(mo::relaxed));
    CHECK(seen.served <= served.load(mo::relaxed));  // some did not have to wait
    CHECK(seen.served > 0);
  }
};

class crowd {
 public:
  void use() {
    const std::uint32_t count = inside_.fetch_add(1, mo::seq_cst) + 1;
    std::uint32_t before = most_.load(mo::relaxed);
    while (before < count && !most_.compare_exchange_weak(before, count, mo::relaxed, mo::relaxed)) {
    }
    std::this_thread::yield();  // so that others come, and wait
    inside_.fetch_sub(1, mo::seq_cst);
  }
  [[nodiscard]] std::uint32_t most() const { return most_.load(mo::relaxed); }

 private:
  atomic<std::uint32_t> inside_{0};
  atomic<std::uint32_t> most_{0};
};

// The stops of one caller after the other; a mutex guards which one is waiting.
class stops {
 public:
  std::stop_token next() {
    const std::lock_guard lock(guards_);
    current_ = std::stop_source();
    return current_.get_token();
  }
  void request() {
    std::stop_source now;
    {
      const std::lock_guard lock(guards_);
      now = current_;
    }
    now.request_stop();
  }

 private:
  std::mutex guards_;
  std::stop_source current_;
};

deadline some_deadline(splitmix64& bits) {
  if (bits() % 2 == 0) return deadline::never();
  return deadline::after(steady_clock::now(), std::chrono::microseconds(bits() % 50));
}

task<> visits(bulkhead& room, run_loop& loop, int count, std::uint64_t seed, stops& stopped, crowd& in, totals& sum) {
  splitmix64 bits(seed);
  for (int i = 0; i < count; ++i) {
    const auto got = co_await co_acquire(room, loop, some_deadline(bits), stopped.next());
    sum.add(got);
    if (got) in.use();
  }
}

}  // namespace

// Whoever was forgotten would wait for ever, since half of them have no deadline: the test would not end.
TEST_CASE("B1 B2 B3 threads and coroutines wait, are late, are stopped, and are served", "[bulkhead]") {
  const auto order = GENERATE(waiting_order::oldest_first, waiting_order::newest_first);
  constexpr std::size_t waiting_threads = 3;
  constexpr std::size_t coroutines = 3;
  constexpr std::uint32_t limit = 2;
  bulkhead room({.limit = limit, .queue = 4, .order = order});
  crowd in;
  totals sum;
  std::array<stops, waiting_threads + coroutines> stopped;
  atomic<unsigned> at_work{waiting_threads + 1};
  run_loop loop;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < waiting_threads; ++t) {
    threads.emplace_back([&, t] {
      splitmix64 bits(t);
      for (int i = 0; i < 3'000; ++i) {
        const auto got = room.wait_acquire(some_deadline(bits), stopped[t].next());
        sum.add(got);
        if (got) in.use();
      }
      at_work.fetch_sub(1, mo::release);  // [1] release, pairs with [2]: nobody of this thread is to be stopped
    });
  }
  threads.emplace_back([&] {
    std::array<mark, coroutines> ended;
    for (std::size_t i = 0; i < coroutines; ++i)
      spawn(loop, visits(room, loop, 1'000, 100 + i, stopped[waiting_threads + i], in, sum), ended[i]);
    const auto over = [&] {
      return std::all_of(ended.begin(), ended.end(), [](const mark& m) { return m.was_run(); });
    };
    const auto tick = [] { return deadline::after(steady_clock::now(), std::chrono::microseconds(100)); };
    while (!loop.run_until(over, tick())) static_cast<void>(room.expire(steady_clock::now()));
    at_work.fetch_sub(1, mo::release);  // [1] release, pairs with [2]: as above
  });
  threads.emplace_back([&] {
    for (std::size_t i = 0; at_work.load(mo::acquire) != 0; ++i) {  // [2] acquire, pairs with [1]
      stopped[i % stopped.size()].request();
      std::this_thread::yield();
    }
  });
  for (auto& t : threads) t.join();
  CHECK(in.most() <= limit);
  sum.check(room);
}

TEST_CASE("a place of one hands plain data from one who waited to the next", "[bulkhead]") {
  bulkhead room({.limit = 1, .queue = 4});
  std::uint64_t plain = 0;  // no atomic: ThreadSanitizer judges the hand-over
  std::vector<std::uint64_t> entered(4, 0);
  std::vector<std::thread> workers;
  for (std::size_t t = 0; t < entered.size(); ++t) {
    workers.emplace_back([&, t] {
      splitmix64 bits(t);
      for (int i = 0; i < 3'000; ++i) {
        const auto got = room.wait_acquire(some_deadline(bits));
        if (!got) continue;
        ++plain;
        ++entered[t];
        if (i % 8 == 0) std::this_thread::yield();
      }
    });
  }
  for (auto& w : workers) w.join();
  CHECK(plain == std::accumulate(entered.begin(), entered.end(), std::uint64_t{0}));
  CHECK(room.in_flight() == 0);
}

TEST_CASE("B3 B5 those who wait are let in by limits that go up and down", "[bulkhead]") {
  bulkhead room({.limit = 1, .queue = 4});
  std::vector<std::thread> workers;
  atomic<unsigned> at_work{3};
  for (int t = 0; t < 3; ++t) {
    workers.emplace_back([&] {
      for (int i = 0; i < 3'000; ++i) {
        const auto got = room.wait_acquire(deadline::never());
        if (i % 4 == 0) std::this_thread::yield();
      }
      at_work.fetch_sub(1, mo::release);  // [3] release, pairs with [4]
    });
  }
  workers.emplace_back([&] {
    for (std::uint32_t i = 0; at_work.load(mo::acquire) != 0; ++i) {  // [4] acquire, pairs with [3]
      room.set_limit(1 + i % 3);
      std::this_thread::yield();
    }
  });
  for (auto& w : workers) w.join();
  CHECK(room.in_flight() == 0);
  CHECK(room.refused() == 0);
}
