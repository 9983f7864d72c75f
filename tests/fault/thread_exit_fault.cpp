// SPDX-License-Identifier: MIT
// A thread ends (returns, pthread_exit, detached) between its operations, holding what they gave it. What its stack held
// comes back, what it moved away lives on, numbers and lanes are given to the next.
#include <pthread.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <thread>
#include <utility>

#include "holdfast/core/thread_slot.hpp"
#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/policy/rate_limiter.hpp"
#include "holdfast/policy/retry_budget.hpp"
#include "holdfast/queue/record_ring.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/telemetry/counter.hpp"
#include "holdfast/telemetry/log_sink.hpp"

#include "fault.hpp"
#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1h};
void drop(void*, std::string_view) {}

struct all_parts {
  circuit_breaker breaker{{.consecutive_failures = 1, .probes = 2, .open_base = 1s, .jitter_permille = 0}};
  bulkhead room{{.limit = 4}};
  retry_budget budget{{.ratio_permille = 0, .min_per_second = 0, .burst = 60'000}};
  rate_limiter limiter{{.permits = 1, .per = 1ms, .burst = 2}};
  counter requests{};
  spsc_queue<std::uint64_t, 64> queue{};
  alignas(8) std::array<std::byte, 4096> storage{};
  record_ring ring{storage};
  std::unique_ptr<log_sink> sink;
  atomic<std::uint64_t> over{0};   // threads that ended
  bulkhead::permit left_inside{};  // a permit that outlives its thread
};

constexpr unsigned steps = 9;

// Ends after step `last`; what it holds then is on its stack.
void* walk(all_parts& p, unsigned last, bool by_exit) {
  struct told_at_end {
    all_parts& p;
    ~told_at_end() { p.over.fetch_add(1, mo::release); }
  } const told{p};
  const auto end_here = [&](unsigned step) {
    if (step != last) return false;
    if (by_exit) ::pthread_exit(nullptr);  // unwinds: destructors run
    return true;
  };
  const auto slot = thread_slot::current();
  static_cast<void>(slot);
  if (end_here(0)) return nullptr;
  p.requests.add();
  if (end_here(1)) return nullptr;
  auto probe = p.breaker.admit(start + 2s);
  if (end_here(2)) return nullptr;
  auto inside = p.room.try_acquire();
  const auto entry = p.limiter.admit(start);
  if (!entry) return nullptr;  // and the counts of what comes after tell
  if (end_here(3)) return nullptr;
  const bool paid = p.budget.try_take(start);
  if (end_here(4)) return nullptr;
  if (paid) p.budget.give_back(start);
  HOLDFAST_LOG(*p.sink, info, "on its way", {"step", 5});
  if (end_here(5)) return nullptr;
  static_cast<void>(p.queue.try_push(7U));
  if (end_here(6)) return nullptr;
  if (p.ring.try_claim(100) == nullptr) return nullptr;  // a claim that is never committed
  if (end_here(7)) return nullptr;
  p.left_inside = std::move(inside);
  static_cast<void>(end_here(8));
  return nullptr;
}

enum class ending { returns, exits, detached };

struct order {
  all_parts* parts;
  unsigned last;
  bool by_exit;
};
void* run(void* o) {
  const std::unique_ptr<order> mine(static_cast<order*>(o));
  return walk(*mine->parts, mine->last, mine->by_exit);
}

bool end_one(all_parts& p, unsigned last, ending how) {
  const auto before = p.over.load(mo::acquire);
  pthread_t thread{};
  auto what = std::make_unique<order>(order{&p, last, how == ending::exits});
  if (::pthread_create(&thread, nullptr, &run, what.get()) != 0) return false;
  static_cast<void>(what.release());
  if (how != ending::detached) return ::pthread_join(thread, nullptr) == 0;
  ::pthread_detach(thread);
  return fault::within(20s, [&] { return p.over.load(mo::acquire) != before; });
}

}  // namespace

TEST_CASE("a thread that ends after any step gives back what it held", "[fault]") {
  std::uint64_t threads = 0;
  std::uint64_t not_ended = 0;
  std::uint64_t probes_lost = 0;
  std::uint64_t places_lost = 0;
  std::uint64_t tokens_wrong = 0;
  std::uint64_t permits_lost = 0;
  std::uint64_t queue_wrong = 0;
  std::uint64_t lanes_lost = 0;
  for (const ending how : {ending::returns, ending::exits, ending::detached}) {
    all_parts p;
    log_options o;
    o.output = log_output::to_callback(drop, nullptr);
    o.max_threads = 2;
    p.sink = std::make_unique<log_sink>(o);
    REQUIRE_FALSE(p.sink->start());
    // Half-open with two probes to give: a probe that is not returned is missed at once.
    auto a = p.breaker.admit(start);
    REQUIRE(a);
    p.breaker.report(std::move(a.ticket), verdict::timeout, start);
    std::uint64_t taken = 0;
    std::uint64_t pushed = 0;
    for (int round = 0; round < fault::rounds(30, 1'000); ++round) {
      for (unsigned last = 0; last < steps; ++last, ++threads) {
        // A permit that its thread moved to another place is not its own any more.
        not_ended += end_one(p, last, how) ? 0U : 1U;
        const bool kept = static_cast<bool>(p.left_inside);
        places_lost += fault::within(5s, [&] { return p.room.in_flight() == (kept ? 1U : 0U); }) ? 0U : 1U;
        p.left_inside.release();
        taken += last == 4 ? 1U : 0U;
        pushed += last >= 6 ? 1U : 0U;
        std::uint64_t value = 0;
        if (last >= 6) queue_wrong += p.queue.try_pop(value) && value == 7 ? 0U : 1U;
        record_ring::record r;
        queue_wrong += p.ring.front(r) ? 1U : 0U;
        const auto s = p.breaker.snapshot(start + 2s);
        probes_lost += s.state == breaker_state::half_open ? s.probes_issued : 0U;
        tokens_wrong += p.budget.balance_milli(start) != 60'000'000 - 1'000 * taken ? 1U : 0U;
        permits_lost += p.limiter.snapshot(start).available == 2 ? 0U : 1U;
        if (last >= 5) {
          // The lane comes back to the next thread, once the backend has emptied it.
          p.sink->flush(5s);
          p.sink->flush(5s);
        }
      }
    }
    // Both lanes are there for two threads at once.
    const bool free = fault::within(20s, [&] {
      p.sink->flush(5s);
      const auto refused = p.sink->stats().lost_no_lane;
      atomic<int> in{0};
      const auto log_and_wait = [&] {
        HOLDFAST_LOG(*p.sink, info, "a lane for me");
        in.fetch_add(1, mo::relaxed);
        static_cast<void>(fault::within(10s, [&] { return in.load(mo::relaxed) == 2; }));
      };
      std::thread one(log_and_wait);
      std::thread two(log_and_wait);
      one.join();
      two.join();
      return p.sink->stats().lost_no_lane == refused;
    });
    lanes_lost += free ? 0U : 1U;
    CHECK(p.requests.value() == static_cast<std::uint64_t>(fault::rounds(30, 1'000)) * (steps - 1));
  }
  fault::report("thread_exit",
                "threads=%llu not_ended=%llu probes_lost=%llu places_lost=%llu tokens_wrong=%llu queue_wrong=%llu "
                "lanes_lost=%llu slots=%u",
                static_cast<unsigned long long>(threads), static_cast<unsigned long long>(not_ended),
                static_cast<unsigned long long>(probes_lost), static_cast<unsigned long long>(places_lost),
                static_cast<unsigned long long>(tokens_wrong), static_cast<unsigned long long>(queue_wrong),
                static_cast<unsigned long long>(lanes_lost), thread_slot::high_water());
  CHECK(not_ended == 0);
  CHECK(probes_lost == 0);
  CHECK(places_lost == 0);
  CHECK(tokens_wrong == 0);
  CHECK(permits_lost == 0);
  CHECK(queue_wrong == 0);
  CHECK(lanes_lost == 0);
  CHECK(thread_slot::high_water() < 16);  // numbers came back, of all those threads
}
