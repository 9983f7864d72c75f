// SPDX-License-Identifier: MIT
// Callers with one virtual clock, which some of them read late, call a dependency that breaks and recovers; they lose
// and drop permits and force the breaker by hand. At any time no more probes are out than allowed, no late result
// counts, and the transitions that callers were told of form one chain without a gap.
#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/time/clock.hpp"

#include "soak.hpp"

namespace soak {
namespace {

using namespace holdfast;
using std::chrono::milliseconds;

constexpr std::uint32_t threads = 4;
constexpr std::uint64_t steps = 60'000;
// Below 2^16, so that each generation is met once in a round.
constexpr std::uint64_t most_transitions = 60'000;
constexpr time_point start{std::chrono::seconds(1000)};
constexpr duration slow_call = std::chrono::milliseconds(50);

struct world {
  explicit world(const circuit_breaker_options& o) : breaker(o) {}
  circuit_breaker breaker;
  manual_clock clock{start};
  std::array<atomic<std::int32_t>, 65'536> probes{};  // of each generation: out, or succeeded
  atomic<std::uint64_t> transitions{0};
};

class caller {
 public:
  caller(world& w, std::uint64_t seed, bool sabotage) : world_(w), random_(seed), sabotage_(sabotage) {}

  void play() {
    for (std::uint64_t i = 0; i < steps; ++i) {
      if (i % 64 == 0) {
        // counter: a bound
        if (world_.transitions.load(mo::relaxed) >= most_transitions) return;
        look_around();
      }
      step();
    }
  }

  std::vector<breaker_transition> told;
  std::uint64_t operations = 0;
  std::uint64_t stale = 0;
  std::uint64_t too_many_probes = 0;
  std::uint64_t wrong_generation = 0;

 private:
  bool one_in(std::uint64_t n) { return uniform_up_to(random_, n - 1) == 0; }

  void note(const breaker_transition& made) {
    if (!made) return;
    if (!sabotage_ || told.size() != 3 || std::exchange(hidden_, true)) told.push_back(made);
    world_.transitions.fetch_add(1, mo::relaxed);  // counter:
  }

  // Every 64 calls: time passes, the dependency breaks or recovers, sometimes somebody intervenes.
  void look_around() {
    world_.clock.advance(duration(static_cast<std::int64_t>(uniform_up_to(random_, 40'000'000))));
    now_ = world_.clock.now();
    failing_ = one_in(4);
    if (!one_in(64)) return;
    switch (uniform_up_to(random_, 3)) {
      case 0: note(world_.breaker.isolate(now_)); break;
      case 1: note(world_.breaker.force_close(now_)); break;
      case 2: note(world_.breaker.metrics_only(now_)); break;
      default: break;
    }
    note(world_.breaker.release(now_, one_in(2) ? breaker_state::closed : breaker_state::half_open));
    static_cast<void>(world_.breaker.snapshot(now_));
    operations += 2;
  }

  // Before the place can go to another, so that the count is never above what is really taken.
  void give_back(const circuit_breaker::permit& p) {
    if (p.is_probe()) world_.probes[p.generation()].fetch_sub(1, mo::relaxed);  // counter:
  }

  void step() {
    auto admitted = world_.breaker.admit(now_);
    ++operations;
    note(admitted.transition);
    if (!admitted) return;
    if (admitted.ticket.is_probe()) {
      const auto before = world_.probes[admitted.ticket.generation()].fetch_add(1, mo::relaxed);  // counter:
      if (before + 1 > world_.breaker.options().probes) ++too_many_probes;
    }
    // Calls overlap: the one that ends now began up to four calls ago.
    std::swap(out_[uniform_up_to(random_, out_.size() - 1)], admitted.ticket);
    if (admitted.ticket) end(std::move(admitted.ticket));
  }

  void end(circuit_breaker::permit p) {
    ++operations;
    const std::uint64_t fate = uniform_up_to(random_, 255);
    if (fate == 0) {
      lost_.push_back(std::move(p));
      return;
    }
    if (fate < 4) {
      give_back(p);
      return;  // dropped: it says nothing
    }
    // What fails is slow, too; where slow calls are what opens, half of them succeed.
    const duration took = failing_ ? slow_call : duration(0);
    const bool fails = failing_ && (world_.breaker.options().slow_permille == 0 || fate % 2 == 0);
    const verdict v = fate < 8 ? verdict::cancelled : fails ? verdict::transient : verdict::ok;
    if (v == verdict::cancelled) give_back(p);
    const auto generation = p.generation();
    const auto result = world_.breaker.report(std::move(p), v, now_, took);
    note(result.transition);
    stale += result.dropped_stale ? 1U : 0U;
    if (result.transition && result.transition.generation != static_cast<std::uint16_t>(generation + 1))
      ++wrong_generation;
  }

  world& world_;
  splitmix64 random_;
  bool sabotage_;  // one transition is not told of
  bool hidden_ = false;
  bool failing_ = false;
  time_point now_ = start;
  std::array<circuit_breaker::permit, 4> out_{};
  std::vector<circuit_breaker::permit> lost_;  // kept until the end, never reported
};

circuit_breaker_options options_of(std::uint64_t seed) {
  splitmix64 random(seed);
  circuit_breaker_options o;
  // One rule: so many failures in a row, or a share of the window that failed or was slow.
  const std::uint64_t rule = uniform_up_to(random, 2);
  const auto share = static_cast<std::uint16_t>(100 + uniform_up_to(random, 500));
  o.consecutive_failures = rule == 0 ? static_cast<std::uint16_t>(2 + uniform_up_to(random, 6)) : 0;
  o.failure_permille = rule == 1 ? share : 0;
  o.slow_call = rule == 2 ? slow_call : duration(0);
  o.slow_permille = rule == 2 ? share : 0;
  o.min_calls = 5;
  o.window = milliseconds(200);
  o.probes = static_cast<std::uint8_t>(1 + uniform_up_to(random, 30));
  o.probe_lease = milliseconds(5 + uniform_up_to(random, 20));
  o.on_lease_over = uniform_up_to(random, 1) == 0 ? lease_expiry::renew : lease_expiry::reopen;
  o.open_base = milliseconds(2);
  o.open_max = milliseconds(2 + uniform_up_to(random, 30));
  o.healthy_decay = milliseconds(10);
  o.seed = random();
  return o;
}

void check_chain(run& r, world& w, std::vector<breaker_transition>& all, std::uint64_t stale) {
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.generation < b.generation; });
  auto at = breaker_state::closed;
  std::uint16_t generation = 0;
  bool chained = true;
  for (const auto& made : all) {
    chained = chained && made.generation == static_cast<std::uint16_t>(generation + 1) && made.from == at;
    at = made.to;
    generation = made.generation;
  }
  r.expect(chained, "I5: the transitions that callers were told of are no chain");
  const auto now_seen = w.breaker.snapshot(w.clock.now());
  r.expect(now_seen.state == at && now_seen.generation == generation,
           "I5: the chain does not end where the breaker is");
  r.expect(now_seen.stale_dropped == stale, "I2: another number of late results was dropped than callers were told of");
}

// With lost permits still out, calls that keep coming get through, and good ones close it.
void check_recovery(run& r, world& w, std::uint64_t& operations) {
  auto now = w.clock.now();
  static_cast<void>(w.breaker.release(now, breaker_state::half_open));
  for (int i = 0; i < 10'000 && w.breaker.state() != breaker_state::closed; ++i) {
    auto a = w.breaker.admit(now);
    ++operations;
    if (a) {
      static_cast<void>(w.breaker.report(std::move(a.ticket), verdict::ok, now));
      ++operations;
    } else {
      now += std::max<duration>(a.refusal.retry_after, milliseconds(1));
    }
  }
  r.expect(w.breaker.state() == breaker_state::closed, "I3: calls that kept coming did not close the breaker");
}

void round_of(run& r) {
  const auto o = options_of(r.round_seed());
  r.expect(!validate(o), "the suite made options that are not valid");
  const auto w = std::make_unique<world>(o);
  std::vector<std::unique_ptr<caller>> callers;
  std::vector<std::function<void()>> bodies;
  for (std::uint32_t t = 0; t < threads; ++t) {
    callers.push_back(std::make_unique<caller>(*w, r.round_seed() + t, r.sabotage() && t == 0));
    bodies.emplace_back([mine = callers.back().get()] { mine->play(); });
  }
  together(bodies);
  std::vector<breaker_transition> all;
  std::uint64_t operations = 0;
  std::uint64_t stale = 0;
  for (const auto& c : callers) {
    all.insert(all.end(), c->told.begin(), c->told.end());
    operations += c->operations;
    stale += c->stale;
    r.expect(c->too_many_probes == 0, "I1: more probes of a generation were out than allowed");
    r.expect(c->wrong_generation == 0, "I2: a result ended another generation than its own");
  }
  r.expect(all.size() > 10 && all.size() < 65'535, "the round had no fitting number of transitions");
  check_chain(r, *w, all, stale);
  check_recovery(r, *w, operations);
  callers.clear();  // the lost permits are destroyed before their breaker, as they must be
  r.did(operations);
}

}  // namespace

void play_breaker(run& r) {
  while (r.next_round()) round_of(r);
}

}  // namespace soak
