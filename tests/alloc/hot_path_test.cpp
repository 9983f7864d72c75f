// SPDX-License-Identifier: MIT
// Every operation that a header calls wait-free or lock-free and says never allocates, with malloc and system calls
// watched. What a header excepts (a thread's first call, a wake-up by a warning) is done before or left out.
#include "support/hot_path.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/exec/call_events.hpp"
#include "holdfast/policy/backoff.hpp"
#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/policy/cache.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/policy/describe.hpp"
#include "holdfast/policy/fallback.hpp"
#include "holdfast/policy/flight_budget.hpp"
#include "holdfast/policy/rate_limiter.hpp"
#include "holdfast/policy/rate_table.hpp"
#include "holdfast/policy/retry.hpp"
#include "holdfast/policy/retry_budget.hpp"
#include "holdfast/policy/retry_throttle.hpp"
#include "holdfast/queue/broadcast_ring.hpp"
#include "holdfast/queue/fan_in.hpp"
#include "holdfast/queue/intrusive_mpsc_list.hpp"
#include "holdfast/queue/mpmc_lockfree_queue.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/record_ring.hpp"
#include "holdfast/queue/shared_record_ring.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/queue/waiting_queue.hpp"
#include "holdfast/telemetry/context.hpp"
#include "holdfast/telemetry/counter.hpp"
#include "holdfast/telemetry/event_listeners.hpp"
#include "holdfast/telemetry/event_ring.hpp"
#include "holdfast/telemetry/histogram.hpp"
#include "holdfast/telemetry/log_sink.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::hot_path_scope;

namespace {
constexpr time_point start{1h};
constexpr int rounds = 2'000;

struct tally {
  std::uint64_t pushed = 0;
  std::uint64_t popped = 0;
  std::uint64_t refused = 0;
};

// Everything that a queue with room for 64 and nothing in it does in all its ways, full and empty.
template <class Queue>
void push_and_pop(Queue& queue, tally& t) {
  std::array<std::uint64_t, 16> some{};
  std::uint64_t one = 0;
  for (int i = 0; i < rounds; ++i) {
    while (queue.try_push(one)) ++t.pushed;
    ++t.refused;
    while (queue.try_pop(one)) ++t.popped;
    if (!queue.try_pop()) ++t.refused;
    if (queue.try_emplace(7U)) ++t.pushed;
    t.pushed += queue.try_push(std::span<const std::uint64_t>(some));
    t.popped += queue.try_pop(std::span(some));
    t.popped += queue.consume_all([](std::uint64_t) {});
    t.refused += queue.size_approx();
  }
}
}  // namespace

TEST_CASE("spsc_queue pushes and pops, one and many, full and empty, on a quiet path", "[alloc][hot]") {
  const auto queue = std::make_unique<spsc_queue<std::uint64_t, 64>>();
  tally t;
  {
    const hot_path_scope scope("spsc_queue");
    push_and_pop(*queue, t);
  }
  CHECK(t.pushed == t.popped);
  CHECK(t.pushed > 64U * rounds);
  CHECK(t.refused == 2U * rounds);
}

TEMPLATE_TEST_CASE("waiting_queue pays neither memory nor a system call where nobody waits", "[alloc][hot]",
                   (spsc_queue<std::uint64_t, 64>), (mpmc_queue<std::uint64_t, 64>)) {
  const auto queue = std::make_unique<waiting_queue<TestType>>();
  std::uint64_t moved = 0;
  {
    const hot_path_scope scope("waiting_queue");
    std::array<std::uint64_t, 16> some{};
    std::uint64_t one = 0;
    for (int i = 0; i < rounds; ++i) {
      while (queue->try_push(std::uint64_t{1})) {
      }
      while (queue->wait_pop(one, deadline(time_point::min()))) ++moved;
      if (queue->wait_push(std::uint64_t{1}, deadline::never())) ++moved;
      moved += queue->try_push(std::span(some));
      moved += queue->try_pop(std::span(some));
      if (queue->try_pop(one)) ++moved;
    }
  }
  CHECK(moved >= 90U * rounds);
}

TEST_CASE("spsc_queue is written and read in place, watched or sized at run time, on a quiet path", "[alloc][hot]") {
  const auto watched_queue = std::make_unique<spsc_queue<std::uint64_t, 64, watched>>();
  spsc_queue<std::uint64_t> sized(64, std::pmr::new_delete_resource());
  const auto use = [](auto& queue) {
    std::uint64_t moved = 0;
    for (int i = 0; i < rounds; ++i) {
      for (std::span<std::uint64_t> run; !(run = queue.reserve(9)).empty();) {
        std::fill(run.begin(), run.end(), 7U);
        queue.commit(run.size());
      }
      for (std::span<std::uint64_t> run; !(run = queue.peek(5)).empty();) {
        moved += run[0] / 7 * run.size();
        queue.release(run.size());
      }
      std::uint64_t one = 0;
      if (queue.try_push(one) && queue.try_pop(one)) ++moved;
    }
    return moved;
  };
  std::uint64_t moved = 0;
  std::uint64_t counted = 0;
  {
    const hot_path_scope scope("spsc_queue, in place");
    moved = use(*watched_queue) + use(sized);
    counted = watched_queue->refused_pushes() + watched_queue->refused_pops() + watched_queue->high_water();
  }
  CHECK(moved > 2U * 64U * rounds);
  CHECK(counted > 2U * rounds);
}

TEMPLATE_TEST_CASE(
    "mpmc_queue and mpmc_lockfree_queue push and pop, one and many, full, empty and closed, on a quiet path",
    "[alloc][hot]", (mpmc_queue<std::uint64_t, 64>), (mpsc_queue<std::uint64_t, 64>), (spmc_queue<std::uint64_t, 64>),
    (spsc_slot_queue<std::uint64_t, 64>), (mpmc_lockfree_queue<std::uint64_t, 64>)) {
  const auto queue = std::make_unique<TestType>();
  tally t;
  {
    const hot_path_scope scope("mpmc_queue");
    push_and_pop(*queue, t);
    queue->close();
    std::uint64_t one = 0;
    t.refused += queue->closed() && queue->try_push(one) == queue_op_status::closed ? 1U : 0U;
    t.refused += queue->try_pop(one) == queue_op_status::closed ? 1U : 0U;
  }
  CHECK(t.pushed == t.popped);
  CHECK(t.pushed > 64U * rounds);
  CHECK(t.refused == 2U * rounds + 2);
}

TEST_CASE("fan_in is joined, pushed to, popped from and left on a quiet path", "[alloc][hot]") {
  const auto queue = std::make_unique<fan_in<std::uint64_t, 3, 16, 5>>();
  tally t;
  {
    const hot_path_scope scope("fan_in");
    for (int i = 0; i < rounds; ++i) {
      auto first = queue->join();
      auto second = queue->join();
      const auto third = queue->join();
      t.refused += queue->join() ? 0U : 1U;
      std::array<std::uint64_t, 16> some{};
      for (auto* mine : {&first, &second}) {
        while ((*mine)->try_push(7U)) ++t.pushed;
        ++t.refused;
      }
      std::uint64_t one = 0;
      while (queue->try_pop(one)) ++t.popped;
      t.refused += queue->try_pop() ? 0U : 1U;
      t.pushed += second->try_push(std::span<const std::uint64_t>(some));
      const std::size_t in_place = second->reserve(1).size();
      second->commit(in_place);
      t.pushed += in_place;
      t.popped += queue->try_pop(std::span(some));
      if (first->try_emplace(7U)) ++t.pushed;
      second->leave();
      t.popped += queue->consume_all([](std::uint64_t) {});
      t.refused += queue->size_approx() + queue->joined() - 2;
    }
  }
  CHECK(t.pushed == t.popped);
  CHECK(t.pushed > 48U * rounds);
  CHECK(t.refused == 4U * rounds);
}

TEST_CASE("intrusive_mpsc_list pushes and pops its users' nodes on a quiet path", "[alloc][hot]") {
  struct node : mpsc_hook {
    std::uint64_t number = 0;
  };
  std::array<node, 8> nodes;
  std::uint64_t popped = 0;
  std::uint64_t refused = 0;
  {
    const hot_path_scope scope("intrusive_mpsc_list");
    intrusive_mpsc_list<node> list;
    for (int i = 0; i < rounds; ++i) {
      for (node& one : nodes) list.push(one);
      node* out = nullptr;
      for (int k = 0; k < 3; ++k) popped += list.try_pop(out) ? 1U : 0U;
      popped += list.consume_all([](node& one) { ++one.number; });
      refused += list.try_pop(out) == queue_op_status::empty && list.empty() ? 1U : 0U;
    }
  }
  CHECK(popped == nodes.size() * rounds);
  CHECK(refused == rounds);
}

TEST_CASE("record_ring claims, commits, reads and releases on a quiet path", "[alloc][hot]") {
  std::vector<std::uint64_t> storage(128);
  record_ring ring(std::as_writable_bytes(std::span(storage)));
  std::uint64_t committed = 0;
  std::uint64_t read = 0;
  std::uint64_t refused = 0;
  {
    const hot_path_scope scope("record_ring");
    for (int i = 0; i < rounds; ++i) {
      while (ring.try_claim(40) != nullptr) {
        ring.commit(static_cast<std::size_t>(i % 41), 1);
        ++committed;
      }
      ++refused;
      record_ring::record r;
      while (ring.front(r)) {
        ring.pop(r);
        ++read;
      }
      ring.release();
      refused += ring.backlog();
    }
  }
  CHECK(committed == read);
  CHECK(committed > 10U * rounds);
  CHECK(refused == rounds);
}

TEST_CASE("broadcast_ring writes, and its readers come, read, are lapped and skip on a quiet path", "[alloc][hot]") {
  using record = std::array<std::uint64_t, 5>;
  const auto ring = std::make_unique<broadcast_ring<record, 16>>();
  std::uint64_t read = 0;
  std::uint64_t missed = 0;
  std::uint64_t skipped = 0;
  {
    const hot_path_scope scope("broadcast_ring");
    broadcast_reader<record, 16> slow(*ring);
    for (int i = 0; i < rounds; ++i) {
      broadcast_reader<record, 16> late(*ring, broadcast_from::oldest);
      for (int k = 0; k <= i % 20; ++k) ring->write({});
      ring->recover();
      record out{};
      while (late.try_read(out).state != broadcast_state::nothing) {
      }
      const broadcast_read got = slow.try_read(out);
      read += got ? 1U : 0U;
      missed += got.missed;
      if (i % 50 == 0) skipped += slow.skip_to_newest() + slow.behind();
    }
    skipped += slow.skip_to_newest();
  }
  CHECK(read + missed + skipped == ring->written());
  CHECK(read > 100);
  CHECK(missed > 100);
}

TEST_CASE("shared_record_ring is made, attached to, claims, commits, reads and releases on a quiet path",
          "[alloc][hot]") {
  struct alignas(cache_line_size) line {
    std::byte bytes[cache_line_size];
  };
  std::vector<line> lines(16);
  const std::span<std::byte> region(lines.data()->bytes, lines.size() * cache_line_size);
  std::uint64_t committed = 0;
  std::uint64_t read = 0;
  std::uint64_t wrong = 0;
  {
    const hot_path_scope scope("shared_record_ring");
    wrong += shared_record_ring::create(region).ok() ? 0U : 1U;
    auto writer = shared_record_ring::attach_writer(region);
    auto reader = shared_record_ring::attach_reader(region);
    wrong += writer.ok() && reader.ok() ? 0U : 1U;
    for (int i = 0; i < rounds && wrong == 0; ++i) {
      while (writer->try_claim(40) != nullptr) {
        writer->commit(static_cast<std::size_t>(i % 41), 1);
        ++committed;
      }
      wrong += shared_record_ring::attach_reader(region).ok() ? 1U : 0U;  // an error is no allocation
      auto next = shared_record_ring::attach_writer(region, writer->attachment());
      wrong += next.ok() ? 0U : 1U;
      if (next.ok()) writer.value() = std::move(next).value();
      record_view r;
      while (reader->front(r) == ring_front::record) {
        reader->pop(r);
        ++read;
      }
      wrong += reader->release() ? 0U : 1U;
      wrong += shared_record_ring::observe(region)->waiting + writer->backlog() + reader->waiting() != 0 ? 1U : 0U;
    }
  }
  CHECK(wrong == 0);
  CHECK(committed == read);
  CHECK(committed > 10U * rounds);
}

TEST_CASE("a breaker admits, reports, opens, refuses and probes on a quiet path, a thread's first call too",
          "[alloc][hot]") {
  circuit_breaker breaker({.consecutive_failures = 5, .slow_call = 100ms, .slow_permille = 900, .probes = 2});
  time_point now = start;
  int refused = 0;
  {
    const hot_path_scope scope("circuit_breaker");
    for (int i = 0; i < rounds; ++i, now += 11ms) {
      auto a = breaker.admit(now);
      if (!a) {
        ++refused;
        continue;
      }
      if (i % 9 == 0) continue;  // abandoned
      breaker.report(std::move(a.ticket), i % 100 < 50 ? verdict::ok : verdict::timeout, now, i % 7 * 20ms);
      static_cast<void>(breaker.state());
    }
    static_cast<void>(breaker.snapshot(now));
    breaker.isolate(now);
    breaker.release(now);
  }
  CHECK(refused > 100);
  CHECK(breaker.snapshot(now).closes > 0);
}

TEST_CASE("a bulkhead admits, refuses and changes its limit on a quiet path", "[alloc][hot]") {
  bulkhead room({.limit = 2});
  {
    const hot_path_scope scope("bulkhead");
    for (int i = 0; i < rounds; ++i) {
      const auto a = room.try_acquire();
      const auto b = room.try_acquire();
      const auto refused = room.try_acquire();
      room.set_limit(static_cast<std::uint32_t>(1 + i % 3));
    }
  }
  CHECK(room.in_flight() == 0);
  CHECK(room.refused() > 0);
}

TEST_CASE("a rate limiter grants, reserves, refuses, takes back and changes its rate on a quiet path", "[alloc][hot]") {
  rate_limiter limiter({.permits = 1'000, .per = 1s, .burst = 5});
  std::uint64_t granted = 0;
  std::uint64_t refused = 0;
  std::uint64_t given_back = 0;
  {
    const hot_path_scope scope("rate_limiter");
    for (int i = 0; i < rounds; ++i) {
      const time_point now = start + i * 1ms;
      limiter.try_take(now, 2) ? ++granted : ++refused;
      auto a = limiter.admit(now);
      if (a && i % 3 == 0) a.ticket.keep();
      rate_reservation r = limiter.reserve(now, 2ms);
      if (!r) ++refused;
      if (i % 2 == 0) given_back += limiter.give_back(r) ? 1U : 0U;
      refused += limiter.try_take(now, 6) || limiter.snapshot(now).burst == 0 ? 0U : 1U;
      if (i % 100 == 0)
        limiter.set_rate(now, {.permits = 1'000 + static_cast<std::uint32_t>(i % 200), .per = 1s, .burst = 5});
    }
  }
  CHECK(granted > 0);
  CHECK(refused > rounds);
  CHECK(given_back > 0);
}

TEST_CASE("a table of rates makes, finds, evicts and refuses, and overflows, on a quiet path", "[alloc][hot]") {
  const auto memory = std::make_unique<rate_table_memory<16>>();
  rate_table table(*memory, {.each = {.permits = 1'000, .per = 1s, .burst = 2},
                             .overflow = {.permits = 10, .per = 1s, .burst = 1},
                             .secret = {1, 2}});
  std::uint64_t granted = 0;
  std::uint64_t refused = 0;
  {
    const hot_path_scope scope("rate_table");
    for (int i = 0; i < rounds; ++i) {
      const time_point now = start + i * 40us;
      const auto n = static_cast<std::uint64_t>(i % 37);
      table.try_take(table.key(n), now) ? ++granted : ++refused;
      table.try_take("tenant-7", now, 2) ? ++granted : ++refused;
      refused += table.look(table.key(n), now).has_value() ? 0U : 1U;
    }
  }
  CHECK(granted > 0);
  CHECK(refused > 0);
  CHECK(table.totals().evicted > 0);
  CHECK(table.totals().overflowed > 0);
}

TEST_CASE("budgets of every kind grant, deny and take back on a quiet path", "[alloc][hot]") {
  retry_throttle throttle({.max_tokens = 10, .ratio_permille = 300});
  flight_budget flights({.percent = 20, .min_concurrency = 1});
  std::uint64_t denied = 0;
  {
    const hot_path_scope scope("retry_throttle and flight_budget");
    for (int i = 0; i < rounds; ++i) {
      const time_point now = start + i * 1ms;
      throttle.on_result(i % 3 == 0 ? verdict::transient : verdict::ok);
      denied += throttle.try_take(now) ? 0U : 1U;
      flights.on_first_attempt();
      const auto first = flights.try_take(now);
      const auto second = flights.try_take(now);
      denied += second ? 0U : 1U;
      flights.give_back(first.taken + second.taken);
      flights.on_call_end();
    }
  }
  CHECK(denied > 0);
  CHECK(flights.retries() == 0);
}

TEST_CASE("events are published, dropped, drained and told, and errors described, on a quiet path", "[alloc][hot]") {
  struct listener {
    std::uint64_t heard = 0;
    void on_event(const event&) noexcept { ++heard; }
  };
  const auto ring = std::make_unique<event_ring<64>>();
  event_listeners<2> listeners;
  call_events<event_ring<64>> events(*ring, {.object = 1});
  listener a;
  listener b;
  const guard g{};
  std::uint64_t refused = 0;
  std::uint64_t described = 0;
  {
    const hot_path_scope scope("event_ring, event_listeners, call_events, describe");
    const auto stays = listeners.join(a);
    for (int i = 0; i < rounds; ++i) {
      const auto goes = listeners.join(b);
      if (!listeners.join(b)) ++refused;
      while (ring->publish({.a = i})) {
      }
      ring->drain(listeners);
      events.on_transition(g, {.to = breaker_state::open, .cause = breaker_cause::manual, .generation = 1});
      events.on_refusal(g, error(errc::breaker_open, 1s));
      events.on_give_up(g, error(errc::breaker_open, 1s));
      events.on_budget_exhausted(g, error(errc::attempt_timeout), 3);
      described += describe("orders", error(errc::breaker_open, i * 1s)).view().size();
    }
  }
  CHECK(refused == rounds);
  CHECK(a.heard == b.heard);
  CHECK(a.heard >= std::uint64_t{64} * rounds);
  CHECK(ring->dropped() >= rounds);
  CHECK(described > std::uint64_t{40} * rounds);
}

TEST_CASE("retries are spaced, decided, paid for and given back on a quiet path", "[alloc][hot]") {
  retry_budget budget({.ratio_permille = 100, .min_per_second = 10, .burst = 20});
  const std::array<error, 4> errors = {error(http_error(503), verdict::transient),
                                       error(http_error(429), verdict::throttled, 1s), error(errc::bulkhead_full),
                                       error(http_error(404), verdict::permanent)};
  int retried = 0;
  int refused = 0;
  int notices = 0;
  duration longest{0};
  {
    const hot_path_scope scope("retry, backoff, retry_budget");
    for (int kind = 0; kind <= static_cast<int>(backoff_kind::smooth_exponential); ++kind) {
      const retry_options options{.max_attempts = 3, .backoff = {.kind = static_cast<backoff_kind>(kind)}};
      for (int i = 0; i < rounds; ++i) {
        const time_point now = start + i * 1ms;
        budget.on_first_attempt(now);
        const auto next = should_retry(options, errors[static_cast<std::size_t>(i) % errors.size()],
                                       static_cast<std::uint16_t>(1 + i % 3), idempotency::idempotent, now,
                                       deadline::after(now, 5s), &budget, 10ms, shared_random);
        next.retry ? ++retried : ++refused;
        notices += next.gives_notice ? 1 : 0;
        if (next.retry && i % 10 == 0) i % 20 == 0 ? budget.give_back(now) : budget.give_back(next.paid);
        longest = std::max(longest, delay(options.backoff, static_cast<std::uint32_t>(i), 5ms, shared_random));
      }
    }
  }
  CHECK(retried > 0);
  CHECK(refused > 0);
  CHECK(notices > 0);
  CHECK(longest > 0ms);
}

TEST_CASE("a cache is read, written and forgets on a quiet path", "[alloc][hot]") {
  cache<std::uint64_t, byte_payload<200>> c({.capacity = 32});
  std::uint64_t hits = 0;
  {
    const hot_path_scope scope("cache");
    byte_payload<200> value;
    value.assign("a profile");
    for (std::uint64_t i = 0; i < rounds; ++i) {
      static_cast<void>(c.put(i % 100, value, start));
      hits += c.get(i % 100, start) ? 1U : 0U;
      static_cast<void>(c.get(i * 7, start + 1h));
      if (i % 10 == 0) c.erase(i % 100);
    }
  }
  CHECK(hits > 0);
  CHECK(c.evicted() > 0);
}

TEST_CASE("a fallback walks its tiers on a quiet path", "[alloc][hot]") {
  constexpr fallback_plan plan{.tiers = {{{.name = "primary"}, {.name = "cache"}, {.name = "default"}}}};
  int answered = 0;
  {
    const hot_path_scope scope("fallback");
    for (int i = 0; i < rounds; ++i) {
      fallback_walk walk(plan, start, {});
      for (int failures = i % 4; failures > 0 && walk.has_tier(); --failures) walk.failed(errc::breaker_open, start);
      answered += (walk.has_tier() ? walk.answered(outcome<int>(i)) : walk.exhausted<int>()).ok() ? 1 : 0;
    }
  }
  CHECK(answered == rounds * 3 / 4);
}

TEST_CASE("counters, gauges and histograms are counted and read on a quiet path", "[alloc][hot]") {
  counter requests;
  gauge depth;
  histogram latency;
  {
    const hot_path_scope scope("counter, gauge, histogram");
    for (int i = 0; i < rounds; ++i) {
      requests.add();
      depth.add(1);
      latency.record(i * 1us);
    }
    static_cast<void>(latency.snapshot().quantile(990));
  }
  CHECK(requests.value() == rounds);
  CHECK(depth.value() == rounds);
}

TEST_CASE("a log call below a warning is quiet while its lane has room; off, at any level", "[alloc][hot]") {
  const auto drop = [](void*, std::string_view) {};
  log_options options;
  options.output = log_output::to_callback(drop, nullptr);
  log_sink sink(options);
  REQUIRE_FALSE(sink.start());
  HOLDFAST_LOG(sink, info, "the first call of a thread takes its lane");
  static_cast<void>(make_trace());  // and the first trace of a thread its seed
  const error_context who{"read", "db-1", "eu", "c-1"};
  const std::string_view text = "some text";
  {
    // Less than half of the lane: from there on the backend is woken, as the header says.
    const hot_path_scope scope("HOLDFAST_LOG");
    for (int i = 0; i < 1'000; ++i) {
      const context_scope of_task(accept_context("", ""));
      HOLDFAST_LOG(sink, info, "kinds", {"n", i}, {"d", 0.1 * i}, {"text", text}, {"flag", true}, {"took_ns", 5ms},
                   {"error", error(errc::breaker_open)}, {"context", who});
      HOLDFAST_LOG(sink.at(steady_clock::now()), info, "stamped");
      HOLDFAST_LOG(sink, debug, "not enabled", {"n", i});
    }
  }
  sink.stop();
  {
    const hot_path_scope scope("HOLDFAST_LOG, off");
    for (int i = 0; i < rounds; ++i) HOLDFAST_LOG(sink, fatal, "nobody listens", {"n", i});
  }
  CHECK(sink.stats().written == 2'001);
  CHECK(sink.stats().lost() == 0);
}
