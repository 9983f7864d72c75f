// SPDX-License-Identifier: MIT
// Threads with a lane and without set, move and cancel timers that become due just then, their own and each other's, while one
// thread fires them: each fires, is cancelled or is handed back, once, and none before its time.
#include <array>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/exec/timer_lanes.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t setters = 3;
constexpr std::uint32_t timers_each = 40'000;
constexpr std::uint32_t span = 2'000'000;  // ns ahead

enum ended : std::uint32_t { by_firing = 1, by_cancel = 1U << 8U, by_refusal = 1U << 16U, by_close = 1U << 24U };

struct world {
  explicit world(const timer_lanes_options& options)
      : lanes(options, steady_clock::now()), ends(std::make_unique<atomic<std::uint32_t>[]>(setters * timers_each)) {}

  void ends_by(std::uint32_t number, ended how) {
    ends[number].fetch_add(how, mo::relaxed);  // counter: read when all have ended
  }
  void turn_the_wheel() {
    while (over.load(mo::acquire) == 0) {
      const time_point now = steady_clock::now();
      lanes.run(now, 1'000, [&](auto& timer) {
        if (timer.due > now) ++early;
        ends_by(timer.what, by_firing);
        ++fired;
      });
      lanes.sleep();
    }
    lanes.close([&](std::uint32_t number, time_point) { ends_by(number, by_close); });
  }

  timer_lanes<std::uint32_t> lanes;
  std::unique_ptr<atomic<std::uint32_t>[]> ends;
  atomic<int> over{0};
  int early = 0;
  int fired = 0;
};

struct mistakes {
  int after_cancel = 0;  // a second cancel of the same timer was the one
  int before_end = 0;    // its call was not over when await_end() said so
};

void set_and_cancel(world& all, std::uint32_t who, mistakes& seen) {
  splitmix64 bits(who + 1);
  auto lane = all.lanes.join();
  std::vector<std::pair<shared_timer_id, std::uint32_t>> open;
  for (std::uint32_t i = 0; i < timers_each; ++i) {
    const std::uint32_t number = who * timers_each + i;
    const shared_timer_id id = lane.schedule(steady_clock::now() + duration(bits() % span), number);
    if (!id) {
      all.ends_by(number, by_refusal);
      continue;
    }
    open.emplace_back(id, number);
    while (open.size() > 200 || (!open.empty() && bits() % 3 == 0)) {
      const std::size_t at = bits() % open.size();
      auto [one, its] = std::exchange(open[at], open.back());
      open.pop_back();
      if (bits() % 4 == 0) {
        const time_point to = steady_clock::now() + duration(bits() % span);
        const bool moved = bits() % 2 == 0 ? lane.reschedule(one, to) : all.lanes.reschedule(one, to);
        if (moved) open.emplace_back(one, its);
        continue;
      }
      const timer_cancel answer = bits() % 2 == 0 ? lane.cancel(one) : all.lanes.cancel(one);
      if (answer == timer_cancel::cancelled) all.ends_by(its, by_cancel);
      if (answer == timer_cancel::firing) {
        all.lanes.await_end(one, deadline::never());
        if (all.ends[its].load(mo::relaxed) != by_firing) ++seen.before_end;
      }
      if (lane.cancel(one) == timer_cancel::cancelled) ++seen.after_cancel;
    }
  }
}

}  // namespace

TEST_CASE("each timer fires, is cancelled, is refused or is handed back, once, and not before its time",
          "[stress][timer_lanes]") {
  // Two of the three have a lane; places are few enough to be used again and again, and now and then not enough.
  world all({.lanes = 2, .timers_a_lane = 230, .shared_timers = 210, .tick = 16us});
  std::thread wheel([&] { all.turn_the_wheel(); });
  std::array<mistakes, setters> seen{};
  std::vector<std::thread> threads;
  for (std::uint32_t who = 0; who < setters; ++who)
    threads.emplace_back([&, who] { set_and_cancel(all, who, seen[who]); });
  for (std::thread& one : threads) one.join();
  all.over.store(1, mo::release);
  all.lanes.stir();
  wheel.join();

  std::array<std::uint64_t, 4> by{};
  for (std::uint32_t number = 0; number < setters * timers_each; ++number) {
    const std::uint32_t how = all.ends[number].load(mo::relaxed);
    REQUIRE((how == by_firing || how == by_cancel || how == by_refusal || how == by_close));
    ++by[how == by_firing ? 0U : how == by_cancel ? 1U : how == by_refusal ? 2U : 3U];
  }
  for (const mistakes& one : seen) {
    CHECK(one.after_cancel == 0);
    CHECK(one.before_end == 0);
  }
  CHECK(all.early == 0);
  const timer_counts counts = all.lanes.counts();
  CHECK(counts.fired == by[0]);
  CHECK(counts.cancelled == by[1]);
  CHECK(counts.refused == by[2]);
  CHECK(counts.closed == by[3]);
  CHECK(counts.scheduled == by[0] + by[1] + by[3]);
  CHECK(by[1] > 0);
}

TEST_CASE("no timer that is earlier than what is slept for is slept through", "[stress][timer_lanes]") {
  timer_lanes<int> lanes({.lanes = 1, .tick = 16us}, steady_clock::now());
  atomic<int> fired{0};
  atomic<int> over{0};
  std::thread wheel([&] {
    while (over.load(mo::acquire) == 0) {
      lanes.run(steady_clock::now(), 100, [&](auto&) { fired.fetch_add(1, mo::release); });
      lanes.sleep();
    }
  });
  const shared_timer_id far = lanes.schedule(steady_clock::now() + 24h, 0);
  auto lane = lanes.join();
  splitmix64 bits(7);
  constexpr int rounds = 2'000;
  int missed = 0;
  for (int i = 0; i < rounds && missed == 0; ++i) {
    cpu_pause(static_cast<unsigned>(bits() % 2'000));  // any moment of its going to sleep
    const time_point due = steady_clock::now();
    if (!(bits() % 2 == 0 ? lane.schedule(due, i) : lanes.schedule(due, i))) ++missed;
    const time_point latest = due + 60s;
    while (fired.load(mo::acquire) != i + 1 && missed == 0) {
      std::this_thread::yield();
      if (steady_clock::now() > latest) ++missed;
    }
  }
  CHECK(missed == 0);
  CHECK(lanes.cancel(far) == timer_cancel::cancelled);
  over.store(1, mo::release);
  lanes.stir();
  wheel.join();
}
