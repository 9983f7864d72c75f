// SPDX-License-Identifier: MIT
// Threads that enter and leave a source again and again, while two ask it for a stop: each callback that stood there is called
// once or goes first, none that is gone, and whoever sees the stop sees what was done before it.
#include <array>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

namespace {

using namespace holdfast;

struct shared_by_all {
  inplace_stop_source source;
  std::uint64_t before = 0;  // not atomic: the stop orders it
  atomic<unsigned> told{0};
  atomic<bool> go{false};
};

struct seen_by_one {
  std::uint64_t in_time = 0;  // callbacks that were gone without a call
  std::uint64_t called = 0;   // by who asked for the stop, or by their constructor
  std::uint64_t wrong = 0;
};

// Not atomic: the callback's end orders them.
struct counts {
  std::uint64_t calls = 0;
  std::uint64_t before = 0;
};

void enters_and_leaves(shared_by_all& with_all, std::uint64_t seed, seen_by_one& seen) {
  splitmix64 bits(seed);
  // Once more when the stop has been seen: by then they come too late, and are called by their constructors.
  for (bool stopped = false, late = false; !late;) {
    late = stopped;
    counts first;
    counts second;
    {
      const auto note = [&with_all](counts& to) {
        return [&with_all, &to] {
          ++to.calls;
          to.before = with_all.before;
        };
      };
      const inplace_stop_callback one(with_all.source.get_token(), note(first));
      const auto other =
          std::make_unique<inplace_stop_callback<decltype(note(second))>>(with_all.source.get_token(), note(second));
      for (std::uint64_t i = bits() % 8; i != 0; --i) cpu_relax();
      stopped = with_all.source.stop_requested();
      if (stopped && with_all.before != 42) ++seen.wrong;
    }
    for (const counts& each : {first, second}) {
      if (each.calls > 1 || (each.calls == 1 && each.before != 42) || (late && each.calls == 0)) ++seen.wrong;
      ++(each.calls == 0 ? seen.in_time : seen.called);
    }
  }
}

}  // namespace

TEST_CASE("S1-S3 hold while threads enter and leave, and two ask for the stop", "[inplace_stop]") {
  constexpr std::size_t threads = 3;
  seen_by_one all;
  for (std::uint64_t round = 0; round < 400; ++round) {
    const auto shared = std::make_unique<shared_by_all>();
    std::array<seen_by_one, threads> seen{};
    std::vector<std::thread> crew;
    for (std::size_t i = 0; i < threads; ++i)
      crew.emplace_back([&, i] { enters_and_leaves(*shared, round * threads + i, seen[i]); });
    const auto ask = [&] {
      shared->go.wait(false, mo::acquire);  // [1] acquire, pairs with [2]: and what is to be seen by all
      for (std::uint64_t i = round % 64; i != 0; --i) cpu_relax();
      if (shared->source.request_stop()) shared->told.fetch_add(1, mo::relaxed);  // counter:
    };
    std::thread another(ask);
    shared->before = 42;
    shared->go.store(true, mo::release);  // [2] release, pairs with [1]: as said there
    shared->go.notify_all();
    ask();
    another.join();
    for (std::thread& one : crew) one.join();
    CHECK(shared->told.load(mo::relaxed) == 1);  // counter: all have ended
    for (const seen_by_one& one : seen) {
      all.in_time += one.in_time;
      all.called += one.called;
      all.wrong += one.wrong;
    }
  }
  CHECK(all.wrong == 0);
  CHECK(all.called >= 2 * threads * 400);
  CHECK(all.in_time > 0);
}
