// SPDX-License-Identifier: MIT
// Traffic on a breaker in any of its forms: threads call, report all kinds of verdicts, lose and abandon permits, force and
// release, change the options where the form has that, on one virtual clock that some of them read late: the number of probes
// of a generation is never above the limit, no late result counts, and all transitions that callers were told of form one
// chain without a gap.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/time/clock.hpp"

#include "support/catch.hpp"

namespace breaker_traffic {

using namespace holdfast;
using namespace std::chrono_literals;

inline constexpr std::uint32_t threads = 4;
inline constexpr int calls_a_thread = 200'000;
// Below 2^16, so that each generation is met once.
inline constexpr std::uint64_t most_transitions = 60'000;

template <class B>
struct world {
  world(const circuit_breaker_options& o, std::vector<circuit_breaker_options> rest)
      : breaker(o), others(std::move(rest)), most_probes(o.probes) {
    for (const auto& other : others) most_probes = std::max<std::int32_t>(most_probes, other.probes);
  }
  B breaker;
  std::vector<circuit_breaker_options> others;  // that it is given from time to time
  std::int32_t most_probes;
  manual_clock clock{time_point(1000s)};
  // Probes of each generation that are out or have succeeded.
  std::array<atomic<std::int32_t>, 65'536> taken{};
  atomic<std::uint64_t> transitions{0};
  atomic<std::uint64_t> too_many{0};
  atomic<std::uint64_t> wrong_generation{0};
  atomic<std::uint32_t> missing{threads};
};

template <class B>
class caller {
  using permit = typename B::permit;

 public:
  caller(world<B>& w, std::uint64_t seed) : world_(w), random_(seed) {}

  void run() {
    // [S1] acq_rel, pairs with [S2]: all begin together
    if (world_.missing.fetch_sub(1, mo::acq_rel) == 1) world_.missing.notify_all();
    // [S2] acquire, pairs with [S1]: all are here
    for (auto seen = world_.missing.load(mo::acquire); seen != 0; seen = world_.missing.load(mo::acquire))
      world_.missing.wait(seen, mo::acquire);
    for (int i = 0; i < calls_a_thread; ++i) {
      if (i % 64 == 0 && world_.transitions.load(mo::relaxed) >= most_transitions) return;  // counter: a bound
      step();
    }
  }
  const std::vector<breaker_transition>& told() const { return told_; }
  std::uint64_t stale() const { return stale_; }
  std::uint64_t changes() const { return changes_; }

 private:
  std::uint64_t up_to(std::uint64_t n) { return uniform_up_to(random_, n); }
  void note(const breaker_transition& made) {
    if (!made) return;
    told_.push_back(made);
    world_.transitions.fetch_add(1, mo::relaxed);  // counter:
  }
  // Before the place can go to another, so that the count is never above what is really taken.
  void give_back(const permit& p) {
    if (p.is_probe()) world_.taken[p.generation()].fetch_sub(1, mo::relaxed);  // counter:
  }

  void step() {
    if (up_to(9) != 0) now_ = world_.clock.now();  // else an old reading
    if (up_to(7) == 0) world_.clock.advance(duration(static_cast<std::int64_t>(up_to(3'000'000))));
    if (up_to(127) == 0) world_.clock.advance(duration(static_cast<std::int64_t>(up_to(40'000'000))));
    if (up_to(2047) == 0) by_hand();
    change();
    if (up_to(1) == 0) {
      auto a = world_.breaker.admit(now_);
      note(a.transition);
      if (!a) return;
      if (a.ticket.is_probe()) {
        const auto before = world_.taken[a.ticket.generation()].fetch_add(1, mo::relaxed);  // counter:
        if (before + 1 > world_.most_probes) world_.too_many.fetch_add(1, mo::relaxed);     // counter:
      }
      out_.push_back(std::move(a.ticket));
      if (out_.size() < 6) return;
    }
    if (out_.empty()) return;
    std::swap(out_[up_to(out_.size() - 1)], out_.back());
    auto p = std::move(out_.back());
    out_.pop_back();
    const std::uint64_t fate = up_to(63);
    if (fate == 0) {
      lost_.push_back(std::move(p));
      return;
    }
    if (fate < 4) {
      give_back(p);
      return;
    }
    const auto v = fate < 12   ? verdict::cancelled
                   : fate < 26 ? verdict::transient
                   : fate < 30 ? verdict::timeout
                               : verdict::ok;
    if (v == verdict::cancelled) give_back(p);
    const auto generation = p.generation();
    // Every fourth call takes up to twice as long as is slow, if any is.
    const duration took(static_cast<std::int64_t>(
        up_to(3) == 0 ? up_to(2 * static_cast<std::uint64_t>(world_.breaker.options().slow_call.count())) : 0));
    const auto result = world_.breaker.report(std::move(p), v, now_, took);
    note(result.transition);
    if (result.dropped_stale) ++stale_;
    // A result may end only the generation that it belongs to.
    if (result.transition && result.transition.generation != static_cast<std::uint16_t>(generation + 1))
      world_.wrong_generation.fetch_add(1, mo::relaxed);  // counter:
  }

  void change() {
    if constexpr (requires(B & b, const circuit_breaker_options& o) { b.reconfigure(o, time_point{}); }) {
      if (world_.others.empty() || up_to(255) != 0) return;
      const auto done = world_.breaker.reconfigure(world_.others[up_to(world_.others.size() - 1)], now_);
      if (done) ++changes_;
      if (!done && !done.busy) world_.wrong_generation.fetch_add(1, mo::relaxed);  // counter: valid options refused
    }
  }

  void by_hand() {
    switch (up_to(3)) {
      case 0: note(world_.breaker.isolate(now_)); break;
      case 1: note(world_.breaker.force_close(now_)); break;
      case 2: note(world_.breaker.metrics_only(now_)); break;
      default: break;
    }
    note(world_.breaker.release(now_, up_to(1) == 0 ? breaker_state::closed : breaker_state::half_open));
    static_cast<void>(world_.breaker.snapshot(now_));
  }

  world<B>& world_;
  splitmix64 random_;
  time_point now_{1000s};
  std::vector<permit> out_;
  std::vector<permit> lost_;  // kept, never reported
  std::vector<breaker_transition> told_;
  std::uint64_t stale_ = 0;
  std::uint64_t changes_ = 0;
};

template <class B>
void run(const circuit_breaker_options& o, const std::vector<circuit_breaker_options>& others = {}) {
  REQUIRE_FALSE(validate(o));
  const auto w = std::make_unique<world<B>>(o, others);
  std::vector<std::unique_ptr<caller<B>>> callers;
  for (std::uint32_t i = 0; i < threads; ++i) callers.push_back(std::make_unique<caller<B>>(*w, o.seed * 100 + i));
  std::vector<std::thread> running;
  for (auto& c : callers) running.emplace_back([&c] { c->run(); });
  for (auto& t : running) t.join();

  CHECK(w->too_many.load(mo::relaxed) == 0);          // counter: joined
  CHECK(w->wrong_generation.load(mo::relaxed) == 0);  // counter: joined

  std::vector<breaker_transition> all;
  std::uint64_t stale = 0;
  for (const auto& c : callers) {
    all.insert(all.end(), c->told().begin(), c->told().end());
    stale += c->stale();
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.generation < b.generation; });
  REQUIRE(all.size() < 65'535);
  CHECK(all.size() > 100);
  auto at = breaker_state::closed;
  std::uint16_t generation = 0;
  for (const auto& made : all) {
    REQUIRE(made.generation == static_cast<std::uint16_t>(generation + 1));
    REQUIRE(made.from == at);
    at = made.to;
    generation = made.generation;
  }
  auto now = w->clock.now();
  auto seen = w->breaker.snapshot(now);
  CHECK(seen.state == at);
  CHECK(seen.generation == generation);
  if constexpr (requires { seen.stale_dropped; }) CHECK(seen.stale_dropped == stale);  // a form may keep no books
  CHECK(stale > 0);
  std::uint64_t changes = 0;
  for (const auto& c : callers) changes += c->changes();
  CHECK((changes > 100) == !others.empty());

  // I3: with lost permits still out, calls that keep coming get through, and good ones close it.
  static_cast<void>(w->breaker.release(now, breaker_state::half_open));
  for (int i = 0; i < 10'000 && w->breaker.state() != breaker_state::closed; ++i) {
    auto a = w->breaker.admit(now);
    if (a) {
      static_cast<void>(w->breaker.report(std::move(a.ticket), verdict::ok, now));
    } else {
      now += std::max(a.refusal.retry_after, duration(1ms));
    }
  }
  CHECK(w->breaker.state() == breaker_state::closed);
  callers.clear();  // the lost permits are destroyed before their breaker, as they must be
}

}  // namespace breaker_traffic
