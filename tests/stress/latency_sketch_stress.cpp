// SPDX-License-Identifier: MIT
// L3 under threads: nothing that many record is lost, and who reads meanwhile finds no more than there is.
#include <cstdint>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/policy/latency_sketch.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {
constexpr time_point start{1h};

template <class Body>
void together(unsigned threads, Body body) {
  atomic<unsigned> ready{0};
  std::vector<std::thread> workers;
  for (unsigned t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      ready.fetch_add(1, mo::acq_rel);
      while (ready.load(mo::acquire) != threads) std::this_thread::yield();
      body(t);
    });
  }
  for (auto& w : workers) w.join();
}
}  // namespace

TEST_CASE("L3 nothing of a window is lost, with threads beyond those that have a place", "[latency_sketch]") {
  constexpr unsigned threads = 24;
  constexpr int each = 40'000;
  latency_sketch sketch({});
  atomic<unsigned> going{threads};
  std::uint64_t too_many = 0;
  std::uint64_t looked = 0;
  together(threads + 1, [&](unsigned t) {
    if (t == threads) {
      std::uint64_t before = 0;
      while (going.load(mo::acquire) != 0) {
        const std::uint64_t seen = sketch.recent(start).count();
        if (seen > std::uint64_t{threads} * each || seen < before) ++too_many;
        before = seen;
        ++looked;
      }
      return;
    }
    splitmix64 bits(t);
    for (int i = 0; i < each; ++i) sketch.record(duration(static_cast<std::int64_t>(bits() >> 40U)), start);
    going.fetch_sub(1, mo::release);
  });
  CHECK(too_many == 0);
  CHECK(looked > 0);
  CHECK(sketch.recent(start).count() == std::uint64_t{threads} * each);
}

TEST_CASE("L2 windows end under the threads: each latency counts in one window and in no third", "[latency_sketch]") {
  constexpr unsigned threads = 4;
  constexpr int windows = 400;
  constexpr int each = 200;  // of a thread in a window
  latency_sketch sketch({.window = 10ms});
  atomic<int> window{0};
  atomic<unsigned> arrived{0};
  std::vector<int> wrong(threads, 0);
  together(threads, [&](unsigned t) {
    for (int w = 0; w < windows; ++w) {
      const time_point now = start + w * 10ms + 5ms;
      for (int i = 0; i < each; ++i) sketch.record((w % 2 == 0 ? 1ms : 100ms) + i * 1us, now);
      if (arrived.fetch_add(1, mo::acq_rel) + 1 == threads) {
        // All are in this window and none is in the next yet.
        const latency_counts all = sketch.recent(now);
        if (all.count() != std::uint64_t{threads} * each * (w == 0 ? 1 : 2)) ++wrong[t];
        if (w != 0 && (all.percentile(490) > 2ms || all.percentile(510) < 100ms)) ++wrong[t];
        if (sketch.recent(now + 10ms).count() != std::uint64_t{threads} * each) ++wrong[t];
        if (sketch.recent(now + 20ms).count() != 0) ++wrong[t];
        arrived.store(0, mo::relaxed);
        window.store(w + 1, mo::release);
      } else {
        while (window.load(mo::acquire) <= w) std::this_thread::yield();
      }
    }
  });
  for (const int n : wrong) CHECK(n == 0);
}
