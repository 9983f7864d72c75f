// SPDX-License-Identifier: MIT
// A signal handler that uses holdfast interrupts a thread that uses the same parts: no hang, no crash, nothing counted
// twice or not at all. By a timer every 200 us, and at every single instruction of each operation.
//
// Async-signal-safe, shown here: circuit_breaker admit, report and ~permit; bulkhead try_acquire, ~permit; retry_budget;
// rate_limiter; counter, gauge, histogram; HOLDFAST_LOG (inside a log call of the same thread the record is counted as
// lost_nested, inside a thread's first log call as lost_no_lane); thread_slot. Not, by their contracts: the same end of an
// spsc_queue or record_ring (it has one caller, and a handler is a second one). cache: get is; put in a handler finds the
// set busy if it interrupted a put there, and says so.
#include <signal.h>
#include <time.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/policy/cache.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/policy/rate_limiter.hpp"
#include "holdfast/policy/retry_budget.hpp"
#include "holdfast/telemetry/counter.hpp"
#include "holdfast/telemetry/histogram.hpp"
#include "holdfast/telemetry/log_sink.hpp"

#include "fault.hpp"
#include "single_step.hpp"
#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1h};

struct part_counts {
  std::array<std::uint64_t, 7> calls{};  // of each part
  std::uint64_t admitted = 0;            // by the breaker, and reported
  std::uint64_t entered = 0;             // the bulkhead
  std::uint64_t turned_away = 0;
  std::uint64_t taken = 0;  // from the budget
  std::uint64_t denied = 0;
  std::uint64_t torn = 0;     // values of the cache
  std::uint64_t permits = 0;  // of the rate limiter, and kept
  std::uint64_t returned = 0;
  std::uint64_t limited = 0;
};

struct parts {
  circuit_breaker breaker{{.failure_permille = 1000, .min_calls = 1'000'000'000}};
  bulkhead room{{.limit = 2}};
  retry_budget budget{{.ratio_permille = 0, .min_per_second = 0, .burst = 50'000}};
  counter requests{};
  histogram latency{};
  cache<std::uint64_t, std::array<std::uint64_t, 4>> kept{{.capacity = 7}};
  rate_limiter limiter{{.permits = 1, .per = 1ms, .burst = 50'000}};
  log_sink* log = nullptr;

  static constexpr unsigned count = 7;
  void use(unsigned which, part_counts& c, std::string_view by) noexcept {
    ++c.calls[which];
    switch (which) {
      case 0:
        if (auto a = breaker.admit(start)) {
          ++c.admitted;
          breaker.report(std::move(a.ticket), verdict::ok, start);
        }
        break;
      case 1: {
        const auto inside = room.try_acquire();
        ++(inside ? c.entered : c.turned_away);
        break;
      }
      case 2: ++(budget.try_take(start) ? c.taken : c.denied); break;
      case 3:
        requests.add();
        latency.record(1ms);
        break;
      case 4: {
        const std::uint64_t n = c.calls[which];
        static_cast<void>(kept.put(n % 3, {n, n, n, n}, start));
        if (const auto hit = kept.get(n % 3, start)) {
          for (const auto word : hit.value) c.torn += word != hit.value[0] ? 1U : 0U;
        }
        break;
      }
      case 5: {
        rate_reservation r = limiter.reserve(start, 0ms);
        if (!r) {
          ++c.limited;
        } else {
          ++(c.calls[which] % 2 == 0 && limiter.give_back(r) ? c.returned : c.permits);
        }
        break;
      }
      default: HOLDFAST_LOG(*log, info, "used", {"by", by}, {"call", c.calls[which]});
    }
  }
  void use_all(part_counts& c, std::string_view by) noexcept {
    for (unsigned which = 0; which < count; ++which) use(which, c, by);
  }
};

// What the handlers work on. Written while no signal comes.
parts* used = nullptr;
part_counts in_handler;

void handler(int) {
  const int kept_errno = errno;
  used->use_all(in_handler, "handler");
  errno = kept_errno;
}
void handler_at_step() {
  handler(0);
}

void judge(const char* name, parts& p, const part_counts& main, const log_stats& log) {
  const part_counts& h = in_handler;
  const auto snapshot = p.breaker.snapshot(start);
  std::array<std::uint64_t, parts::count> calls{};
  for (unsigned i = 0; i < parts::count; ++i) calls[i] = main.calls[i] + h.calls[i];
  fault::report(
      name,
      "calls=%llu in_handler=%llu uncounted_ok=%llu turned_away=%llu log_written=%llu log_nested=%llu log_lost=%llu",
      static_cast<unsigned long long>(calls[0]), static_cast<unsigned long long>(h.calls[0]),
      static_cast<unsigned long long>(main.admitted + h.admitted - snapshot.window_ok),
      static_cast<unsigned long long>(main.turned_away + h.turned_away), static_cast<unsigned long long>(log.written),
      static_cast<unsigned long long>(log.lost_nested), static_cast<unsigned long long>(log.lost()));
  // As circuit_breaker.hpp says: a success counted inside another's counting may be lost to it, never more than that.
  CHECK(snapshot.window_ok <= main.admitted + h.admitted);
  CHECK(snapshot.window_ok >= main.admitted);
  CHECK(main.admitted + h.admitted == calls[0]);
  CHECK(main.entered + main.turned_away + h.entered + h.turned_away == calls[1]);
  CHECK(p.room.in_flight() == 0);
  CHECK(p.room.refused() == main.turned_away + h.turned_away);
  CHECK(p.budget.granted() == main.taken + h.taken);
  CHECK(p.budget.denied() == main.denied + h.denied);
  CHECK(p.budget.balance_milli(start) == 50'000'000 - 1'000 * (main.taken + h.taken));
  CHECK(p.requests.value() == calls[3]);
  CHECK(p.latency.snapshot().count() == calls[3]);
  CHECK(p.latency.snapshot().sum == calls[3] * 1ms);
  CHECK(main.torn + h.torn == 0);
  CHECK(main.permits + main.returned + main.limited + h.permits + h.returned + h.limited == calls[5]);
  CHECK(p.limiter.snapshot(start).full_in == 1ms * (main.permits + h.permits));
  CHECK(log.written + log.lost() == calls[6]);
}

void drop(void*, std::string_view) {}

// Do `lanes` threads at once each get a lane? The backend frees those of ended threads in its own time. `logged` counts
// what this logs.
bool lanes_are_free(log_sink& sink, std::uint32_t lanes, std::uint64_t& logged) {
  return fault::within(20s, [&] {
    sink.flush(5s);
    const auto refused = sink.stats().lost_no_lane;
    atomic<std::uint32_t> in{0};
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < lanes; ++i) {
      threads.emplace_back([&] {
        HOLDFAST_LOG(sink, info, "is there a lane for me");
        in.fetch_add(1, mo::relaxed);
        static_cast<void>(fault::within(10s, [&] { return in.load(mo::relaxed) == lanes; }));
      });
    }
    for (auto& t : threads) t.join();
    logged += lanes;
    return sink.stats().lost_no_lane == refused;
  });
}

}  // namespace

TEST_CASE("a timer's handler uses everything that its thread uses", "[fault]") {
  log_options o;
  o.output = log_output::to_callback(drop, nullptr);
  log_sink sink(o);
  REQUIRE_FALSE(sink.start());
  parts p;
  p.log = &sink;
  used = &p;
  in_handler = {};
  part_counts main;
  struct sigaction action {};
  action.sa_handler = &handler;
  action.sa_flags = SA_RESTART;
  REQUIRE(::sigaction(SIGALRM, &action, nullptr) == 0);
  timer_t timer{};
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGALRM;
  REQUIRE(::timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  // The backend's thread blocks all signals; so they come to this one.
  const itimerspec every{{0, 200'000}, {0, 200'000}};
  REQUIRE(::timer_settime(timer, 0, &every, nullptr) == 0);
  const auto until = steady_clock::now() + (fault::long_run() ? 60s : 2s);
  while (steady_clock::now() < until && main.calls[0] < 40'000'000) p.use_all(main, "main");
  ::timer_delete(timer);
  ::signal(SIGALRM, SIG_IGN);
  sink.flush(5s);
  sink.stop();
  judge("signal_timer", p, main, sink.stats());
  CHECK(in_handler.calls[0] > 50);
}

TEST_CASE("a handler runs at every instruction of every operation", "[fault]") {
  if (!fault::single_step::works) return fault::report("signal_stepwise", "skipped (only x86-64 steps one by one)");
  log_options o;
  o.output = log_output::to_callback(drop, nullptr);
  log_sink sink(o);
  REQUIRE_FALSE(sink.start());
  const auto p = std::make_unique<parts>();
  p->log = &sink;
  used = p.get();
  in_handler = {};
  part_counts main;
  p->use_all(main, "main");  // the thread's first calls are the next test's
  std::uint64_t steps = 0;
  for (unsigned which = 0; which < parts::count; ++which) {
    const auto work = [&] { p->use(which, main, "main"); };
    for (std::uint64_t k = 1;; ++k, ++steps) {
      const auto before = in_handler.calls[0];
      fault::single_step::at(k, &handler_at_step, work);
      if (in_handler.calls[0] == before) break;  // past the last one
      if (steps % 100 == 0) sink.flush(5s);
    }
  }
  sink.flush(5s);
  sink.stop();
  judge("signal_stepwise", *p, main, sink.stats());
  CHECK(steps > 300);
  CHECK(sink.stats().lost_nested > 20);
}

TEST_CASE("a handler logs at every instruction of its thread's end", "[fault]") {
  if (!fault::single_step::works) return fault::report("signal_thread_end", "skipped (only x86-64 steps one by one)");
  log_options o;
  o.output = log_output::to_callback(drop, nullptr);
  o.max_threads = 4;
  log_sink sink(o);
  REQUIRE_FALSE(sink.start());
  static log_sink* to = nullptr;
  to = &sink;
  static atomic<std::uint64_t> handled{0};
  handled.store(0, mo::relaxed);
  HOLDFAST_LOG(sink, info, "so that the library's key for the ends of threads is older than ours");
  // Keys are looked at in the order of their making: this one ends the stepping behind the library's.
  pthread_key_t last{};
  REQUIRE(::pthread_key_create(&last, [](void*) { fault::single_step::off(); }) == 0);
  std::uint64_t steps = 0;
  std::uint64_t threads = 0;
  const std::uint64_t stride = fault::long_run() ? 1 : 7;  // what the C library does there is most of it
  for (std::uint64_t k = 1;; k += stride) {
    const auto before = handled.load(mo::relaxed);
    std::thread([&] {
      HOLDFAST_LOG(sink, info, "takes a lane");
      ::pthread_setspecific(last, &sink);
      fault::single_step::from_here(k, [] {
        handled.fetch_add(1, mo::relaxed);
        HOLDFAST_LOG(*to, info, "in the end, from the handler");
      });
    }).join();
    ++threads;
    sink.flush(5s);
    if (handled.load(mo::relaxed) == before) break;
    ++steps;
  }
  ::pthread_key_delete(last);
  // This thread has one of the lanes.
  std::uint64_t asked = 0;
  const bool free = lanes_are_free(sink, o.max_threads - 1, asked);
  sink.stop();
  const auto s = sink.stats();
  fault::report("signal_thread_end", "instructions=%llu written=%llu lost=%llu lanes_free=%s",
                static_cast<unsigned long long>(steps), static_cast<unsigned long long>(s.written),
                static_cast<unsigned long long>(s.lost()), free ? "all" : "NOT ALL");
  CHECK(steps > 50);
  CHECK(free);
  CHECK(s.written + s.lost() == 1 + threads + steps + asked);
}

TEST_CASE("a handler's first log call interrupts its thread's first log call, at every instruction", "[fault]") {
  if (!fault::single_step::works) return fault::report("signal_first_log", "skipped (only x86-64 steps one by one)");
  log_options o;
  o.output = log_output::to_callback(drop, nullptr);
  o.max_threads = 4;
  log_sink sink(o);
  REQUIRE_FALSE(sink.start());
  static log_sink* to = nullptr;
  to = &sink;
  static atomic<std::uint64_t> handled{0};
  handled.store(0, mo::relaxed);
  const auto action = [] {
    handled.fetch_add(1, mo::relaxed);
    HOLDFAST_LOG(*to, info, "first, from the handler");
  };
  const auto work = [&] { HOLDFAST_LOG(sink, info, "first, from the thread"); };
  std::uint64_t steps = 0;
  std::uint64_t threads = 0;
  const std::uint64_t stride = fault::long_run() ? 1 : 3;  // a first call is long: its memory is made ready
  for (std::uint64_t k = 1;; k += stride) {
    const auto before = handled.load(mo::relaxed);
    std::thread([&] { fault::single_step::at(k, action, work); }).join();
    ++threads;
    sink.flush(5s);
    if (handled.load(mo::relaxed) == before) break;
    ++steps;
  }
  std::uint64_t asked = 0;
  const bool free = lanes_are_free(sink, o.max_threads, asked);
  sink.stop();
  const auto s = sink.stats();
  fault::report("signal_first_log", "instructions=%llu written=%llu lost_no_lane=%llu lost_nested=%llu lanes_free=%s",
                static_cast<unsigned long long>(steps), static_cast<unsigned long long>(s.written),
                static_cast<unsigned long long>(s.lost_no_lane), static_cast<unsigned long long>(s.lost_nested),
                free ? "all" : "NOT ALL");
  CHECK(steps > 50);
  CHECK(free);
  CHECK(s.written + s.lost() == threads + steps + asked);
}
