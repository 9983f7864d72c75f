// SPDX-License-Identifier: MIT
#include "holdfast/policy/adaptive_limit.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <vector>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/random.hpp"

#include "support/catch.hpp"
#include "support/simulated_callee.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::callee_options;
using test_support::simulated_callee;

namespace {

constexpr time_point start{1h};
constexpr adaptive_limit_options each_second{.window = 1s, .min_results = 10};

// An algorithm that says what it was told, and does as it is told.
struct told {
  struct options {
    std::vector<limit_window>* windows = nullptr;
    limit_step* next = nullptr;
  };
  explicit told(const options& o) : o_(o) {}
  [[nodiscard]] std::uint32_t limit() const noexcept { return 20; }
  limit_step on_window(const limit_window& w) noexcept {
    o_.windows->push_back(w);
    return *o_.next;
  }
  options o_;
};
static_assert(limit_algorithm<told>);

struct fixture {
  explicit fixture(const adaptive_limit_options& o = each_second) : limit(o, {&windows, &next}) {}
  // Calls that begin and end at once, one after the other.
  adaptive_limit::answer calls(int n, duration took, time_point ends, verdict kind = verdict::ok,
                               std::uint32_t in_flight = 1) {
    adaptive_limit::answer last;
    for (int i = 0; i < n; ++i) last = limit.end(limit.begin(ends - took, in_flight), kind, ends);
    return last;
  }
  std::vector<limit_window> windows;
  limit_step next{.limit = 33};
  adaptive_limit_by<told> limit;
};

// How many windows pass, a second each, until the limit is that high.
int windows_until(simulated_callee& callee, const adaptive_limit& limit, std::uint32_t wanted, int most) {
  int n = 0;
  for (; n < most && limit.limit() < wanted; ++n) callee.run(1s);
  return n;
}

struct recovery {
  std::uint32_t before = 0;
  std::uint32_t lowest = 0;
  int windows = 0;
};

// Two minutes as usual, one in which every call takes ten times as long, and as usual again.
template <class Algorithm>
recovery recover(const typename Algorithm::options& how, const callee_options& service) {
  adaptive_limit_by<Algorithm> limit({}, how);
  simulated_callee callee(service, limit);
  callee.run(2min);
  recovery r{.before = limit.limit()};
  callee.options.work_ms *= 10;
  callee.lowest = ~0U;
  callee.run(1min);
  callee.options.work_ms /= 10;
  r.lowest = std::min(callee.lowest, limit.limit());
  r.windows = windows_until(callee, limit, (r.before * 9 + 9) / 10, 2'000);
  CHECK(callee.timed_out > 0);
  return r;
}

constexpr limit_bounds roomy{.initial = 20, .smallest = 5, .largest = 200};
constexpr limit_bounds busy{.initial = 20, .smallest = 5, .largest = 60};

}  // namespace

TEST_CASE("a window ends with the first call after its time, and the algorithm is told what was in it",
          "[adaptive_limit]") {
  fixture f;
  CHECK(f.limit.limit() == 20);
  CHECK_FALSE(f.calls(10, 10ms, start, verdict::ok, 3).closed);
  CHECK_FALSE(f.calls(8, 100ms, start + 500ms, verdict::permanent, 7).closed);
  CHECK_FALSE(f.calls(1, 1ms, start + 999ms, verdict::permanent).closed);
  const auto last = f.calls(1, 200ms, start + 1s);
  CHECK(last.closed);
  CHECK(last.counted);
  CHECK(last.limit == 33);
  CHECK(f.limit.limit() == 33);
  REQUIRE(f.windows.size() == 1);
  const limit_window& w = f.windows.front();
  CHECK(w.samples == 20);
  CHECK(w.drops == 0);
  CHECK(w.in_flight_max == 7);
  CHECK(w.min_rtt <= 1ms);
  CHECK(w.min_rtt > 900us);
  CHECK(w.p50 >= 10ms);
  CHECK(w.p50 < 11ms);
  CHECK(w.p90 >= 100ms);
  CHECK(w.p90 < 110ms);
}

TEST_CASE("a window begins empty, whatever was in the one before", "[adaptive_limit]") {
  fixture f;
  f.calls(20, 100ms, start, verdict::ok, 50);
  f.calls(1, 100ms, start + 1s, verdict::ok, 50);
  f.calls(20, 1ms, start + 1500ms, verdict::ok, 2);
  f.calls(1, 1ms, start + 2s, verdict::ok, 2);
  REQUIRE(f.windows.size() == 2);
  CHECK(f.windows[0].samples == 21);
  CHECK(f.windows[1].samples == 21);
  CHECK(f.windows[1].in_flight_max == 2);
  CHECK(f.windows[1].p90 < 2ms);
}

TEST_CASE("what counts as a sample, as a drop and as nothing", "[adaptive_limit]") {
  fixture f({.window = 1s, .min_results = 5});
  for (const verdict kind : {verdict::ok, verdict::transient, verdict::permanent, verdict::throttled, verdict::timeout,
                             verdict::cancelled, verdict::rejected, verdict::stale}) {
    const bool nothing =
        kind == verdict::transient || kind == verdict::cancelled || kind == verdict::rejected || kind == verdict::stale;
    CAPTURE(name_of(kind));
    CHECK(f.calls(1, 10ms, start, kind, 5).counted == !nothing);
  }
  f.calls(5, 10ms, start, verdict::cancelled, 100);
  CHECK(f.calls(1, 10ms, start + 1s).closed);
  REQUIRE(f.windows.size() == 1);
  CHECK(f.windows[0].samples == 3);
  CHECK(f.windows[0].drops == 2);
  CHECK(f.windows[0].in_flight_max == 5);
  CHECK(f.limit.snapshot().drops == 2);
  CHECK(f.limit.snapshot().stale == 0);
}

namespace {
// A callee that answers in 20 ms, is down for a while, refusing in 0.3 ms, and answers again.
template <class Algorithm>
void is_down(const typename Algorithm::options& how, int seconds) {
  adaptive_limit_by<Algorithm> limit({}, how);
  time_point now = start;
  const auto second = [&](duration took, verdict kind) {
    for (int i = 0; i < 500; ++i) {
      const time_point ends = now + i * 1'900us;
      (void)limit.end(limit.begin(ends - took, limit.limit()), kind, ends);
    }
    now += 1s;
  };
  for (int i = 0; i < 300; ++i) second(20ms, verdict::ok);
  const std::uint32_t before = limit.limit();
  const std::uint64_t windows = limit.snapshot().windows;
  for (int i = 0; i < seconds; ++i) second(300us, verdict::transient);
  CHECK(limit.limit() == before);
  CHECK(limit.snapshot().windows <= windows + 1);  // the one that was open
  for (int i = 0; i < 30; ++i) {
    second(20ms, verdict::ok);
    if (limit.limit() < before) FAIL("the outage is held against the callee");
  }
}
}  // namespace

TEST_CASE("seconds of quick refusals move no limit, then or afterwards (a callee that is down is not a fast one)",
          "[adaptive_limit]") {
  const int seconds = GENERATE(2, 60);
  is_down<aimd>({.bounds = roomy}, seconds);
  is_down<vegas>({.bounds = roomy, .probe_every = 0}, seconds);
  is_down<gradient>({.bounds = roomy, .probe_every = 0}, seconds);
  is_down<gradient2>({.bounds = roomy}, seconds);
}

TEST_CASE("a callee that sheds load as throttled is found its limit", "[adaptive_limit]") {
  // It takes sixty at once and sheds the others in a millisecond.
  adaptive_limit_by<aimd> limit({}, {.bounds = {.initial = 150, .smallest = 5, .largest = 200}});
  time_point now = start;
  std::uint32_t highest = 0;
  for (int w = 0; w < 200; ++w) {
    const std::uint32_t allowed = limit.limit();
    for (std::uint32_t i = 0; i < 10 * allowed; ++i) {
      const time_point ends = now + i * 400us;
      const bool shed = i % allowed >= 60;
      (void)limit.end(limit.begin(ends - (shed ? 1ms : 20ms), allowed), shed ? verdict::throttled : verdict::ok, ends);
    }
    now += 1s;
    if (w >= 100) highest = std::max(highest, limit.limit());
  }
  CHECK(highest >= 55);
  CHECK(highest <= 63);
}

TEST_CASE("too few results go on for another window, and are not lost", "[adaptive_limit]") {
  fixture f;
  f.calls(4, 10ms, start);
  CHECK_FALSE(f.calls(5, 10ms, start + 1s).closed);
  CHECK(f.windows.empty());
  CHECK_FALSE(f.calls(1, 10ms, start + 1500ms).closed);
  CHECK(f.calls(1, 10ms, start + 2s).closed);
  REQUIRE(f.windows.size() == 1);
  CHECK(f.windows[0].samples == 11);
}

TEST_CASE("drops alone end a window, and a time without calls ends none", "[adaptive_limit]") {
  fixture f;
  f.calls(10, 1s, start, verdict::timeout);
  CHECK(f.calls(1, 1s, start + 24h, verdict::throttled).closed);
  REQUIRE(f.windows.size() == 1);
  CHECK(f.windows[0].samples == 0);
  CHECK(f.windows[0].drops == 11);
  CHECK(f.windows[0].p50 == 0ns);
  CHECK(f.windows[0].p90 == 0ns);
}

TEST_CASE("calls longer than a window are seen (gobreaker: slow failures vanish with their window)",
          "[adaptive_limit]") {
  fixture f;
  f.calls(1, 1ms, start);
  std::vector<adaptive_limit::ticket> slow;
  for (int i = 0; i < 40; ++i) slow.push_back(f.limit.begin(start + i * 10ms, 40));
  for (int w = 1; w <= 4; ++w) f.calls(20, 1ms, start + w * 1s);
  std::uint64_t counted = 0;
  for (std::size_t i = 0; i < slow.size(); ++i)
    counted += f.limit.end(slow[i], verdict::ok, start + 4500ms + static_cast<int>(i) * 10ms).counted ? 1U : 0U;
  CHECK(counted == 40);
  CHECK(f.calls(1, 1ms, start + 5s).closed);
  CHECK(f.windows.back().p50 > 4s);
}

TEST_CASE("A1 a sample that began in an older epoch is ignored, and its call is told so", "[adaptive_limit]") {
  fixture f;
  f.calls(10, 10ms, start);
  const auto before = f.limit.begin(start, 90);
  f.next = {.limit = 3, .new_epoch = true};
  CHECK(f.calls(1, 10ms, start + 1s).closed);
  CHECK(f.limit.snapshot().epoch == 1);
  f.next = {.limit = 20};
  for (int i = 0; i < 50; ++i) CHECK_FALSE(f.limit.end(before, verdict::ok, start + 1200ms).counted);
  CHECK_FALSE(f.limit.end(before, verdict::timeout, start + 1200ms).counted);
  CHECK(f.limit.snapshot().stale == 51);
  // Not by the number of samples either: the window is not over before it has enough of this epoch.
  CHECK_FALSE(f.limit.end(before, verdict::ok, start + 2s).closed);
  CHECK(f.calls(10, 10ms, start + 3s).counted);
  CHECK(f.calls(1, 10ms, start + 4s).closed);
  CHECK(f.windows.back().samples == 11);
  CHECK(f.windows.back().drops == 0);
  CHECK(f.windows.back().in_flight_max == 1);
  CHECK(f.windows.back().p90 < 11ms);
  CHECK(f.limit.snapshot().epoch == 1);
}

TEST_CASE("a probe ends as soon as it has enough results", "[adaptive_limit]") {
  fixture f;
  f.calls(10, 10ms, start);
  f.next = {.limit = 3, .new_epoch = true, .probe = true};
  CHECK(f.calls(1, 10ms, start + 1s).closed);
  CHECK(f.limit.snapshot().probing);
  CHECK(f.limit.limit() == 3);
  f.next = {.limit = 20};
  CHECK_FALSE(f.calls(10, 10ms, start + 1100ms).closed);
  CHECK(f.calls(1, 10ms, start + 1125ms).closed);
  CHECK(f.windows.back().samples == 11);
  CHECK(f.limit.limit() == 20);
  CHECK_FALSE(f.limit.snapshot().probing);
  // And then windows are as long as before.
  CHECK_FALSE(f.calls(10, 10ms, start + 2900ms).closed);
}

TEST_CASE("a probe of slow calls goes on until ten are answered, for sixteen windows at the most", "[adaptive_limit]") {
  fixture f({.window = 1s, .min_results = 50});
  f.calls(50, 10ms, start);
  f.next = {.limit = 3, .new_epoch = true, .probe = true};
  CHECK(f.calls(1, 10ms, start + 1s).closed);
  f.next = {.limit = 20};
  SECTION("ten within a window") {
    CHECK_FALSE(f.calls(12, 10ms, start + 1900ms).closed);
    CHECK(f.calls(1, 10ms, start + 2025ms).closed);
    CHECK(f.windows.back().samples == 13);
  }
  SECTION("ten later") {
    CHECK_FALSE(f.calls(9, 10ms, start + 3s).closed);
    CHECK_FALSE(f.calls(20, 10ms, start + 3100ms, verdict::timeout).closed);
    CHECK(f.limit.limit() == 3);
    CHECK(f.calls(1, 10ms, start + 3125ms).closed);
    CHECK(f.windows.back().samples == 10);
  }
  SECTION("never") {
    CHECK_FALSE(f.calls(1, 10ms, start + 16'999ms).closed);
    CHECK(f.calls(1, 10ms, start + 17'124ms).closed);
    CHECK(f.windows.back().samples == 2);
  }
  CHECK(f.limit.limit() == 20);
  CHECK_FALSE(f.limit.snapshot().probing);
}

TEST_CASE("a callee whose calls are longer than a window is measured by a probe, and used", "[adaptive_limit]") {
  adaptive_limit_by<vegas> limit({}, {.bounds = roomy});
  simulated_callee callee({.work_ms = 200, .calls_a_second = 240, .timeout_ms = 60'000}, limit);
  callee.run(2min);
  callee.options.work_ms = 2'000;
  callee.options.calls_a_second = 24;
  callee.run(20min);
  // Twenty a second is what forty workers can do; with the old baseline six calls at once would be let in, that is three.
  const std::uint64_t answered = callee.answered;
  callee.run(5min);
  CHECK(callee.answered - answered > 300 * 20 / 2);
}

TEST_CASE("the most in flight is found beyond the wrap of windows as well", "[adaptive_limit]") {
  struct opened : adaptive_limit {
    using adaptive_limit::is_above;
  };
  const auto of = [](std::uint64_t window, std::uint64_t in_flight) { return window << 32U | in_flight; };
  constexpr std::uint64_t last = 0xFFFF'FFFFU;
  for (const std::uint64_t w : {std::uint64_t{0}, std::uint64_t{7}, std::uint64_t{0x7FFF'FFFF}, last}) {
    CAPTURE(w);
    const std::uint64_t next = (w + 1) & last;
    CHECK(opened::is_above(of(w, 2), of(w, 1)));
    CHECK_FALSE(opened::is_above(of(w, 1), of(w, 1)));
    CHECK_FALSE(opened::is_above(of(w, 1), of(w, 2)));
    CHECK(opened::is_above(of(next, 1), of(w, last)));
    CHECK_FALSE(opened::is_above(of(w, last), of(next, 1)));
  }
}

TEST_CASE("a snapshot says what there is to say", "[adaptive_limit]") {
  fixture f;
  const auto first = f.limit.snapshot();
  CHECK(first.limit == 20);
  CHECK(first.windows == 0);
  CHECK(first.last.samples == 0);
  f.calls(9, 5ms, start);
  f.calls(3, 5ms, start, verdict::throttled);
  f.calls(1, 5ms, start + 1s);
  const auto then = f.limit.snapshot();
  CHECK(then.limit == 33);
  CHECK(then.windows == 1);
  CHECK(then.drops == 3);
  CHECK(then.last.samples == 10);
  CHECK(then.last.drops == 3);
  CHECK(then.last.p50 >= 5ms);
  CHECK(then.last.min_rtt <= 5ms);
  CHECK(then.last.min_rtt > 4ms);
}

// --- A3: X is the distance to 90 % by the steps that policy/limit_algorithm.hpp names, and a few windows for the queue of the
// slow minute to be worked off. The callee is so busy that all of the limit is used, else it would grow when somebody uses it.

TEST_CASE("A3 aimd comes back from a minute of tenfold latency, a step a window", "[adaptive_limit]") {
  const callee_options service{.calls_a_second = GENERATE(1'600.0, 1'900.0), .seed = GENERATE(1U, 2U)};
  const recovery r = recover<aimd>({.bounds = busy}, service);
  CAPTURE(service.calls_a_second, service.seed, r.before, r.lowest, r.windows);
  CHECK(r.before == 60);
  CHECK(r.lowest < 45);
  CHECK(r.windows <= 54 - static_cast<int>(r.lowest) + 3);
}

TEST_CASE("A3 vegas comes back from a minute of tenfold latency, six steps a window", "[adaptive_limit]") {
  const callee_options service{.calls_a_second = GENERATE(1'600.0, 1'900.0), .seed = GENERATE(1U, 2U)};
  const recovery r = recover<vegas>({.bounds = busy}, service);
  CAPTURE(service.calls_a_second, service.seed, r.before, r.lowest, r.windows);
  CHECK(r.before >= 50);
  CHECK(r.lowest < 15);
  CHECK(r.windows <= (54 - static_cast<int>(r.lowest)) / 6 + 3);
}

TEST_CASE("A3 gradient comes back from a minute of tenfold latency, by its headroom and more a window",
          "[adaptive_limit]") {
  const callee_options service{.calls_a_second = GENERATE(1'600.0, 1'900.0), .seed = GENERATE(1U, 2U)};
  const recovery r = recover<gradient>({.bounds = busy, .probe_every = 300}, service);
  CAPTURE(service.calls_a_second, service.seed, r.before, r.lowest, r.windows);
  CHECK(r.before >= 45);
  CHECK(r.lowest < 15);
  CHECK(r.windows <= (54 - static_cast<int>(r.lowest)) / 2 + 3);
}

TEST_CASE("A3 gradient2 comes back from a minute of tenfold latency, eight tenths of a step a window",
          "[adaptive_limit]") {
  const callee_options service{.calls_a_second = GENERATE(1'600.0, 1'900.0), .seed = GENERATE(1U, 2U)};
  const recovery r = recover<gradient2>({.bounds = busy}, service);
  CAPTURE(service.calls_a_second, service.seed, r.before, r.lowest, r.windows);
  CHECK(r.before == 60);
  CHECK(r.lowest < 15);
  CHECK(r.windows <= (54 - static_cast<int>(r.lowest)) * 5 / 4 + 3);
}

TEST_CASE("A3 with calls of a tenth of a window aimd and gradient2 take three windows more at the most",
          "[adaptive_limit]") {
  const callee_options service{
      .work_ms = 100, .calls_a_second = GENERATE(320.0, 380.0), .timeout_ms = 5'000, .seed = GENERATE(1U, 2U)};
  const recovery a = recover<aimd>({.bounds = busy, .timeout = 1s}, service);
  const recovery g = recover<gradient2>({.bounds = busy}, service);
  CAPTURE(service.calls_a_second, service.seed, a.lowest, a.windows, g.lowest, g.windows);
  CHECK(a.before == 60);
  CHECK(a.lowest < 15);
  CHECK(a.windows <= 54 - static_cast<int>(a.lowest) + 6);
  CHECK(g.before == 60);
  CHECK(g.lowest < 15);
  CHECK(g.windows <= (54 - static_cast<int>(g.lowest)) * 5 / 4 + 6);
}

TEST_CASE("A3 vegas lives with a latency that stays ten times as high, after it has measured it", "[adaptive_limit]") {
  adaptive_limit_by<vegas> limit({}, {.bounds = roomy, .probe_every = 1'000'000});
  simulated_callee callee({.calls_a_second = 2'200, .timeout_ms = 10'000}, limit);
  callee.run(1min);
  callee.options.work_ms *= 10;
  callee.options.calls_a_second /= 10;
  callee.run(8min);
  CHECK(callee.lowest == 3);
  CHECK(limit.snapshot().epoch >= 1);
  CHECK(limit.snapshot().epoch <= 3);
  // Forty workers of 200 ms answer 200 a second; with the old baseline six calls at once would be let in, that is 30.
  const std::uint64_t answered = callee.answered;
  callee.run(2min);
  CHECK(callee.answered - answered > 120 * 200 * 85 / 100);
}

// --- histories

// Half again as many calls as the callee can answer, with a probe every ten seconds.
template <class Algorithm>
void baseline_stays() {
  adaptive_limit_by<Algorithm> limit({}, {.bounds = roomy, .probe_every = 10});
  simulated_callee callee({.workers = 20, .calls_a_second = 1'500, .seed = 7}, limit);
  callee.run(1min);
  const std::uint32_t highest_early = callee.highest;
  const duration early = limit.snapshot().last.p50;
  callee.highest = 0;
  callee.run(9min);
  CHECK(limit.snapshot().epoch > 45);
  CHECK(limit.snapshot().stale > 1'000);
  CHECK(callee.highest <= highest_early * 3 / 2);
  CHECK(limit.snapshot().last.p50 < early * 3 / 2);
  // Twenty workers of 20 ms: a thousand a second is all there is, and nearly that is used.
  CHECK(callee.answered > 10 * 60 * 1'000 * 8 / 10);
  CHECK(callee.timed_out == 0);
}

TEST_CASE("A1 a baseline does not climb with each probe while the callee is overloaded (Envoy 11579, Netflix 165)",
          "[adaptive_limit]") {
  SECTION("of vegas") {
    baseline_stays<vegas>();
  }
  SECTION("of gradient") {
    baseline_stays<gradient>();
  }
}

TEST_CASE("A2 a floor that is high is no baseline: the probe has few calls nevertheless (Envoy 38338)",
          "[adaptive_limit]") {
  // The floor alone overloads the callee: 150 calls before four workers.
  adaptive_limit_by<vegas> limit({}, {.bounds = {.initial = 150, .smallest = 150, .largest = 300}, .probe_every = 30});
  simulated_callee callee({.workers = 4, .calls_a_second = 1'000, .timeout_ms = 5'000}, limit);
  callee.run(10min);
  CHECK(limit.snapshot().epoch > 5);
  // With a baseline measured under 150 calls it would have gone up.
  CHECK(limit.limit() == 150);
  CHECK(callee.lowest == 3);
  CHECK(callee.highest <= 168);
}

TEST_CASE("A4 a limit is within its bounds whatever comes of the calls, and in a probe what the probe may have",
          "[adaptive_limit]") {
  adaptive_limit_by<vegas> limit(
      {.window = 10ms, .min_results = 5},
      {.bounds = {.initial = 20, .smallest = 10, .largest = 40}, .probe_limit = 4, .probe_every = 7});
  splitmix64 bits(2);
  time_point now = start;
  std::vector<adaptive_limit::ticket> under_way;
  int probes = 0;
  for (int i = 0; i < 100'000; ++i) {
    now += duration(static_cast<std::int64_t>(uniform_up_to(bits, 2'000'000)));
    if (bits() % 2 == 0 || under_way.empty()) {
      under_way.push_back(limit.begin(now, static_cast<std::uint32_t>(under_way.size() + 1)));
      continue;
    }
    const std::size_t which = bits() % under_way.size();
    const auto said = limit.end(under_way[which], static_cast<verdict>(bits() % 8), now);
    under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(which));
    const bool probing = limit.snapshot().probing;
    probes += probing ? 1 : 0;
    if (probing ? said.limit != 4 : (said.limit < 10 || said.limit > 40)) {
      CAPTURE(i, said.limit, probing);
      FAIL("out of bounds");
    }
  }
  CHECK(probes > 100);
  CHECK(limit.snapshot().windows > 500);
}

TEST_CASE("the same calls give the same limits", "[adaptive_limit]") {
  const auto once = [] {
    adaptive_limit_by<vegas> limit({}, {.bounds = roomy, .probe_every = 20, .seed = 3});
    simulated_callee callee({.calls_a_second = 2'500, .seed = 5}, limit);
    std::vector<std::uint32_t> limits;
    for (int i = 0; i < 60; ++i) {
      callee.run(1s);
      limits.push_back(limit.limit());
    }
    return limits;
  };
  CHECK(once() == once());
}

#if HOLDFAST_ASSERTIONS
TEST_CASE("a ticket of which no call is under way is a programmer's error", "[adaptive_limit]") {
  fixture f;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    const rlimit no_core{};
    ::setrlimit(RLIMIT_CORE, &no_core);
    (void)f.limit.begin(start, 0);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT));
}
#endif

TEST_CASE("options of an adaptive limit are validated", "[adaptive_limit]") {
  static_assert(!validate(adaptive_limit_options{}));
  CHECK(validate(adaptive_limit_options{.window = 9ms}).field == "window");
  CHECK(validate(adaptive_limit_options{.window = 61s}).field == "window");
  CHECK(validate(adaptive_limit_options{.min_results = 0}).field == "min_results");
  CHECK(validate(adaptive_limit_options{.min_results = 1'000'001}).field == "min_results");
}
