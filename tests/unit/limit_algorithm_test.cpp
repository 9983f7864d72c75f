// SPDX-License-Identifier: MIT
#include "holdfast/policy/limit_algorithm.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

// A window in which all that there may be was under way.
constexpr limit_window busy(duration latency, std::uint64_t drops = 0) {
  return {
      .min_rtt = latency, .p50 = latency, .p90 = latency, .samples = 1'000, .drops = drops, .in_flight_max = 1'000'000};
}
constexpr limit_window idle(duration latency) {
  return {.min_rtt = latency, .p50 = latency, .p90 = latency, .samples = 1'000, .in_flight_max = 1};
}
constexpr limit_window only_drops{.drops = 100, .in_flight_max = 1'000'000};

constexpr limit_bounds wide{.initial = 100, .smallest = 2, .largest = 1'000};

// Windows of every kind, the impossible ones among them.
limit_window any_window(splitmix64& bits) {
  const auto latency = [&] {
    const auto ns = static_cast<std::int64_t>(bits() >> (bits() % 64)) & std::numeric_limits<std::int64_t>::max();
    return duration(bits() % 8 == 0 ? 0 : ns);
  };
  const auto count = [&] { return bits() % 4 == 0 ? 0 : (bits() >> (12 + bits() % 52)); };
  return {.min_rtt = latency(),
          .p50 = latency(),
          .p90 = latency(),
          .samples = count(),
          .drops = count(),
          .in_flight_max = bits() % 3 == 0 ? 0 : bits() >> 32U};
}

template <class A>
void keeps_to_its_bounds(typename A::options options, std::uint32_t probe_limit) {
  splitmix64 bits(9);
  A algorithm(options);
  A same(options);
  std::uint32_t below = 0, above = 0, wrong_probes = 0, different = 0, moved = 0;
  std::uint32_t last = algorithm.limit();
  for (int i = 0; i < 20'000; ++i) {
    const limit_window w = any_window(bits);
    const limit_step step = algorithm.on_window(w);
    below += !step.probe && step.limit < options.bounds.smallest ? 1U : 0U;
    above += step.limit > options.bounds.largest ? 1U : 0U;
    wrong_probes += step.probe && (step.limit > probe_limit || !step.new_epoch) ? 1U : 0U;
    different += same.on_window(w).limit != step.limit || step.limit != algorithm.limit() ? 1U : 0U;
    moved += step.limit != std::exchange(last, step.limit) ? 1U : 0U;
  }
  CHECK(below == 0);
  CHECK(above == 0);
  CHECK(wrong_probes == 0);
  CHECK(different == 0);  // equal windows give equal limits
  if (options.bounds.smallest < options.bounds.largest) CHECK(moved > 500);
}

template <class A>
std::uint32_t after(A& algorithm, const limit_window& w, int windows) {
  for (int i = 0; i < windows; ++i) algorithm.on_window(w);
  return algorithm.limit();
}

}  // namespace

TEST_CASE("A4 no window, however odd, drives a limit out of its bounds", "[limit_algorithm]") {
  for (const limit_bounds bounds :
       {limit_bounds{}, wide, limit_bounds{1, 1, 1}, limit_bounds{1, 1, largest_limit}, limit_bounds{7, 7, 80}}) {
    CAPTURE(bounds.smallest, bounds.largest);
    keeps_to_its_bounds<aimd>({.bounds = bounds}, 0);
    keeps_to_its_bounds<gradient2>({.bounds = bounds}, 0);
    keeps_to_its_bounds<vegas>({.bounds = bounds, .probe_limit = 1, .probe_every = 20}, 1);
    keeps_to_its_bounds<vegas>({.bounds = bounds, .probe_limit = bounds.largest, .probe_every = 20}, bounds.largest);
    keeps_to_its_bounds<vegas>({.bounds = bounds, .probe_limit = 1, .probe_every = 0}, 1);
    keeps_to_its_bounds<gradient>({.bounds = bounds, .probe_limit = 1, .probe_every = 20}, 1);
    keeps_to_its_bounds<gradient>({.bounds = bounds, .probe_limit = 1, .probe_every = 0}, 1);
  }
}

TEST_CASE("no algorithm raises a limit that is not used", "[limit_algorithm]") {
  aimd a({.bounds = wide});
  vegas v({.bounds = wide, .probe_every = 0});
  gradient2 g({.bounds = wide});
  gradient e({.bounds = wide, .probe_every = 0});
  CHECK(after(a, idle(1ms), 100) == 100);
  CHECK(after(e, idle(1ms), 100) == 100);
  CHECK(after(v, idle(1ms), 100) == 100);
  CHECK(after(g, idle(1ms), 100) == 100);
  // Half of it is use enough.
  limit_window half = idle(1ms);
  half.in_flight_max = 50;
  CHECK(after(a, half, 1) == 101);
  CHECK(after(v, half, 1) == 112);
  CHECK(after(g, half, 2) == 101);
  CHECK(after(e, half, 1) == 135);
}

TEST_CASE("aimd gives way by a tenth to drops and to calls that are too slow, else goes up by one",
          "[limit_algorithm]") {
  aimd a({.bounds = wide, .timeout = 100ms, .tolerated_drops_permille = 10});
  CHECK(a.on_window(busy(100ms)).limit == 101);
  const limit_step cut = a.on_window(busy(101ms));
  CHECK(cut.limit == 90);
  CHECK(cut.new_epoch);  // what was under way is no reason to give way again
  CHECK_FALSE(cut.probe);
  CHECK(a.on_window(busy(1ms, 10)).limit == 91);  // 10 of 1010
  CHECK(a.on_window(busy(1ms, 11)).limit == 81);
  CHECK(a.on_window(only_drops).limit == 72);
  CHECK(after(a, only_drops, 100) == 2);
  CHECK(after(a, busy(1ms), 5'000) == 1'000);
  CHECK_FALSE(a.on_window(busy(1ms)).new_epoch);
}

TEST_CASE("aimd takes no call for too slow that is in time, though percentiles are rounded up", "[limit_algorithm]") {
  latency_counts counts;
  for (const duration took : {duration(1), duration(1ms), duration(4850ms), duration(4990ms), duration(5s)}) {
    counts = {};
    counts.counts[latency_counts::bucket_of(took)] = 1'000;
    limit_window w = busy(took);
    w.p90 = counts.percentile(900);
    CAPTURE(took.count(), w.p90.count());
    CHECK(w.p90 == latency_counts::rounded_up(took));
    aimd a({.bounds = wide, .timeout = took});
    CHECK(a.on_window(w).limit == 101);
    w.p90 += 1ns;
    CHECK(a.on_window(w).limit == 90);
  }
}

TEST_CASE("vegas keeps the queue between three and six times the number of digits", "[limit_algorithm]") {
  // At 100 the unit is 2: below a queue of 2 twelve more, below 6 two more, above 12 two less.
  const auto one_window = [](duration latency) {
    vegas v({.bounds = wide, .noise_permille = 0, .probe_every = 0});
    v.on_window(idle(98ms));  // says what a call takes without a queue
    return v.on_window(busy(latency)).limit;
  };
  CHECK(one_window(98ms) == 112);
  CHECK(one_window(100ms) == 112);  // 2 of 100
  CHECK(one_window(101ms) == 102);  // 3
  CHECK(one_window(103ms) == 102);  // 5
  CHECK(one_window(105ms) == 100);  // 7
  CHECK(one_window(111ms) == 100);  // 12
  CHECK(one_window(113ms) == 98);   // 14
  CHECK(one_window(10s) == 98);
}

TEST_CASE("vegas takes a little longer than the baseline for noise", "[limit_algorithm]") {
  vegas v({.bounds = wide, .noise_permille = 250, .probe_every = 0});
  v.on_window(idle(100ms));
  CHECK(v.on_window(busy(125ms)).limit == 112);
  CHECK(v.on_window(busy(200ms)).limit == 110);
  CHECK(v.baseline() == 100ms);
  v.on_window(busy(80ms));
  CHECK(v.baseline() == 80ms);
}

TEST_CASE("vegas gives way to drops, whether any call was answered or not", "[limit_algorithm]") {
  vegas v({.bounds = wide, .probe_every = 0});
  CHECK(v.on_window(only_drops).limit == 98);
  CHECK(v.baseline() == 0ns);
  CHECK(v.on_window(busy(1ms, 9)).limit == 104);  // from 98 one digit less, so 6 more
  CHECK(v.on_window(busy(1ms, 20)).limit == 102);
}

TEST_CASE("gradient goes by the numbers of its source", "[limit_algorithm]") {
  const auto one_window = [](const limit_window& w) {
    gradient g({.bounds = wide, .probe_every = 0});
    g.on_window(idle(100ms));
    return g.on_window(w).limit;
  };
  // At 100 there is a headroom of ten.
  CHECK(one_window(busy(125ms)) == 110);      // as it should be, with what is noise
  CHECK(one_window(busy(100ms)) == 135);      // 1.25 times
  CHECK(one_window(busy(250ms)) == 60);       // half
  CHECK(one_window(busy(10s)) == 60);         // not less than half
  CHECK(one_window(busy(1ms)) == 135);        // a window that is faster is the baseline
  CHECK(one_window(busy(125ms, 250)) == 90);  // 1000 of 1250 answered
  CHECK(one_window(only_drops) == 60);
  gradient g({.bounds = wide, .probe_every = 0});
  CHECK(g.on_window({}).limit == 100);
  CHECK(g.on_window(only_drops).limit == 60);
  CHECK(g.baseline() == 0ns);
}

TEST_CASE("gradient measures anew after five windows at the floor (Envoy 10647), and as often as it should",
          "[limit_algorithm]") {
  gradient g({.bounds = {.initial = 20, .smallest = 4, .largest = 1'000}, .probe_every = 1'000'000});
  g.on_window(idle(1ms));
  std::uint32_t windows = 0;
  while (!g.on_window(busy(50ms)).probe) REQUIRE(++windows < 100);
  CHECK(windows >= 5);
  CHECK(g.limit() == 3);
  CHECK(g.on_window(busy(50ms)).limit == 4);
  CHECK(g.baseline() == 50ms);
  CHECK(g.on_window(busy(50ms)).limit == 7);  // 4 * 1.25 + 2
  gradient often({.bounds = wide, .probe_every = 10});
  int probes = 0;
  for (int i = 0; i < 120; ++i) probes += often.on_window(busy(10ms)).probe ? 1 : 0;
  CHECK(probes >= 9);
  CHECK(probes <= 11);
  CHECK(after(often, busy(10ms), 1) == 1'000);
}

TEST_CASE("gradient measures anew however small the smallest limit is (half of four and its root are four)",
          "[limit_algorithm]") {
  const std::uint32_t smallest = GENERATE(1U, 2U, 3U, 4U, 5U, 20U);
  const duration slow = GENERATE(duration(2100us), duration(50ms));
  gradient g({.bounds = {.initial = 30, .smallest = smallest, .largest = 1'000}, .probe_every = 1'000'000});
  g.on_window(idle(1ms));
  std::uint32_t windows = 0;
  while (!g.on_window(busy(slow)).probe) REQUIRE(++windows < 30);
  CHECK(windows >= 5);
  g.on_window(busy(slow));
  CHECK(g.baseline() == slow);
}

TEST_CASE("drops are no reason to measure anew: they say nothing of what a call takes without a queue",
          "[limit_algorithm]") {
  // Two of a hundred at the latency that is usual, and windows of nothing else.
  const limit_window drops = GENERATE(busy(10ms, 20), only_drops);
  vegas v({.bounds = {.initial = 100, .smallest = 20, .largest = 200}, .probe_every = 1'000'000});
  gradient g({.bounds = {.initial = 100, .smallest = 20, .largest = 200}, .probe_every = 1'000'000});
  v.on_window(busy(10ms));
  g.on_window(busy(10ms));
  for (int i = 0; i < 300; ++i) {
    REQUIRE_FALSE(v.on_window(drops).probe);
    REQUIRE_FALSE(g.on_window(drops).probe);
  }
  CHECK(v.limit() == 20);
  // But where what was answered took too long as well, there is one.
  limit_window slow = drops;
  slow.p50 = 50ms;
  slow.samples = 100;
  slow.drops = 100;
  std::uint32_t windows = 0;
  while (!v.on_window(slow).probe) REQUIRE(++windows < 100);
  windows = 0;
  while (!g.on_window(slow).probe) REQUIRE(++windows < 100);
}

TEST_CASE("gradient2 goes by the numbers of its source", "[limit_algorithm]") {
  gradient2 g({.bounds = {.initial = 100, .smallest = 20, .largest = 200}});
  // As usual: four more, of which a fifth is taken at once.
  CHECK(after(g, busy(10ms), 10) == 108);
  CHECK(g.usual() == 10ms);
  // Up to half longer than usual is as usual.
  g.on_window(busy(14'900us));
  CHECK(g.limit() == 108);  // 108.8
  g.on_window(busy(10ms));
  CHECK(g.limit() == 109);  // 109.6
  // Four times as long: 1.5 / 4 is below the lowest gradient, a half; 109.6 * 0.8 + (54.8 + 4) * 0.2 = 99.44
  g.on_window(busy(40ms));
  CHECK(g.limit() == 99);
  // It goes down to the smallest, whatever the queue adds.
  CHECK(after(g, busy(400ms), 30) == 20);
}

TEST_CASE("gradient2 forgets a time of overload faster than it learned of it", "[limit_algorithm]") {
  gradient2 g({.bounds = wide});
  after(g, busy(10ms), 600);
  after(g, busy(100ms), 60);
  const duration learned = g.usual();
  CHECK(learned > 20ms);
  after(g, busy(10ms), 10);
  CHECK(g.usual() < 20ms);
  CHECK(g.usual() > 10ms);
}

TEST_CASE("gradient2 never grows by more than its queue allows (Netflix PR 65: a gradient above one)",
          "[limit_algorithm]") {
  gradient2 g({.bounds = wide, .smoothing_permille = 1000});
  after(g, busy(100ms), 100);
  const std::uint32_t before = g.limit();
  CHECK(g.on_window(busy(1us)).limit == before + 4);
}

TEST_CASE("gradient2 gives way to drops by their share, and by half when nothing is answered", "[limit_algorithm]") {
  gradient2 g({.bounds = wide, .queue = 1, .smoothing_permille = 1000});
  CHECK(g.on_window(busy(10ms)).limit == 101);
  CHECK(g.on_window(busy(10ms, 250)).limit == 81);  // 101 * 0.8 + 1
  CHECK(g.on_window(only_drops).limit == 41);
  CHECK(g.usual() == 10ms);
  CHECK(g.on_window({}).limit == 41);  // of nothing, nothing follows
}

TEST_CASE("A2 the limit of a probe is not the floor: each is what it is set to (Envoy 46532)", "[limit_algorithm]") {
  // A probe with many calls beside a small floor...
  vegas many({.bounds = {.initial = 100, .smallest = 2, .largest = 1'000}, .probe_limit = 50, .probe_every = 1});
  many.on_window(idle(10ms));
  while (!many.on_window(idle(10ms)).probe) {
  }
  CHECK(many.limit() == 50);
  many.on_window(busy(10ms));
  CHECK(many.limit() == 100);  // and back
  vegas sinks({.bounds = {.initial = 100, .smallest = 2, .largest = 1'000}, .probe_limit = 50, .probe_every = 0});
  sinks.on_window(idle(10ms));
  CHECK(after(sinks, only_drops, 200) == 2);
  // ...and one with few beside a large floor.
  vegas few({.bounds = {.initial = 100, .smallest = 100, .largest = 1'000}, .probe_limit = 3, .probe_every = 1});
  while (!few.on_window(idle(10ms)).probe) {
  }
  CHECK(few.limit() == 3);
  CHECK(few.on_window(busy(10ms)).limit == 100);
}

TEST_CASE("A2 a probe never raises the limit (Envoy PR 46602)", "[limit_algorithm]") {
  vegas v({.bounds = {.initial = 10, .smallest = 2, .largest = 1'000}, .probe_limit = 50, .probe_every = 1});
  while (!v.on_window(idle(10ms)).probe) {
  }
  CHECK(v.limit() == 10);
}

TEST_CASE("vegas measures anew after five windows at the floor, so a wrong baseline ends (Envoy 10647, 38338)",
          "[limit_algorithm]") {
  const std::uint32_t smallest = GENERATE(1U, 10U);
  const std::uint32_t floor =
      std::max(smallest, 6U);  // below six times one digit no latency says that there are too many
  vegas v({.bounds = {.initial = 20, .smallest = smallest, .largest = 1'000}, .probe_every = 1'000'000});
  v.on_window(idle(1ms));  // a baseline that the callee will not see again
  std::uint32_t windows = 0;
  while (!v.on_window(busy(50ms)).probe) REQUIRE(++windows < 100);
  CHECK(windows == 20 - floor + 4);  // down to the floor, and the fifth there begins the probe
  CHECK(v.limit() == 3);
  const limit_step measured = v.on_window(busy(50ms));
  CHECK_FALSE(measured.probe);
  CHECK(measured.limit == floor);
  CHECK(v.baseline() == 50ms);
  CHECK(v.on_window(busy(50ms)).limit > floor);
  // A limit at the floor that nobody uses is no reason.
  vegas unused({.bounds = {.initial = 20, .smallest = 20}, .probe_every = 1'000'000});
  for (int i = 0; i < 100; ++i) REQUIRE_FALSE(unused.on_window(idle(i == 0 ? 1ms : 50ms)).probe);
}

TEST_CASE("vegas keeps what it knows when a probe finds nobody to ask", "[limit_algorithm]") {
  vegas v({.bounds = wide, .probe_every = 1});
  v.on_window(idle(10ms));
  while (!v.on_window(idle(10ms)).probe) {
  }
  limit_window nobody = busy(1s);
  nobody.samples = 9;
  CHECK(v.on_window(nobody).limit == 100);
  CHECK(v.baseline() == 10ms);
}

TEST_CASE("limits go on changing after a probe (Envoy PR 8524)", "[limit_algorithm]") {
  vegas v({.bounds = wide, .probe_every = 10});
  v.on_window(idle(10ms));
  int probes = 0;
  std::uint32_t last = 0;
  int stuck = 0;
  for (int i = 0; i < 200 && v.limit() < 1'000; ++i) {
    probes += v.on_window(busy(10ms)).probe ? 1 : 0;
    stuck = v.limit() == last ? stuck + 1 : 0;
    last = v.limit();
    REQUIRE(stuck < 2);
  }
  CHECK(probes > 2);
  CHECK(v.limit() == 1'000);
}

TEST_CASE("services with different seeds do not probe together (Envoy 8337)", "[limit_algorithm]") {
  std::vector<int> begun;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    vegas v({.bounds = wide, .probe_every = 300, .seed = seed});
    int window = 0;
    while (!v.on_window(idle(10ms)).probe) ++window;
    begun.push_back(window);
    CHECK(window >= 299);
    CHECK(window <= 299 + 300 / 7);
  }
  std::sort(begun.begin(), begun.end());
  int together = 0;
  int most = 0;
  for (std::size_t i = 0; i < begun.size(); ++i) {
    together = i != 0 && begun[i] == begun[i - 1] ? together + 1 : 1;
    most = std::max(most, together);
  }
  CHECK(most <= 12);
}

TEST_CASE("options of limits are validated", "[limit_algorithm]") {
  static_assert(!validate(aimd_options{}) && !validate(vegas_options{}) && !validate(gradient2_options{}));
  CHECK(validate(limit_bounds{.smallest = 0}).field == "smallest");
  CHECK(validate(limit_bounds{.initial = 5, .smallest = 6, .largest = 5}).field == "largest");
  CHECK(validate(limit_bounds{.largest = largest_limit + 1}).limit == largest_limit);
  CHECK(!validate(limit_bounds{.largest = largest_limit}));
  CHECK(validate(limit_bounds{.initial = 19}).field == "initial");
  CHECK(validate(limit_bounds{.initial = 201}).relation == "at most");
  CHECK(validate(aimd_options{.timeout = 0s}).field == "timeout");
  CHECK(validate(aimd_options{.timeout = latency_counts::longest + 1ns}).relation == "at most");
  CHECK(!validate(aimd_options{.timeout = latency_counts::longest}));
  CHECK(validate(aimd_options{.keep_permille = 1'000}).field == "keep_permille");
  CHECK(validate(aimd_options{.keep_permille = 99}).limit == 100);
  CHECK(validate(aimd_options{.tolerated_drops_permille = 1'000}).field == "tolerated_drops_permille");
  CHECK(validate(vegas_options{.bounds = {.smallest = 0}}).field == "smallest");
  CHECK(validate(vegas_options{.noise_permille = 10'001}).field == "noise_permille");
  CHECK(validate(vegas_options{.probe_limit = 0}).field == "probe_limit");
  CHECK(validate(vegas_options{.probe_limit = 201}).field == "probe_limit");
  CHECK(validate(vegas_options{.probe_every = 1'000'000'001}).field == "probe_every");
  static_assert(!validate(gradient_options{}));
  CHECK(validate(gradient_options{.bounds = {.smallest = 0}}).field == "smallest");
  CHECK(validate(gradient_options{.noise_permille = 10'001}).field == "noise_permille");
  CHECK(validate(gradient_options{.probe_limit = 0}).field == "probe_limit");
  CHECK(validate(gradient_options{.probe_every = 1'000'000'001}).field == "probe_every");
  CHECK(validate(gradient2_options{.tolerance_permille = 999}).field == "tolerance_permille");
  CHECK(validate(gradient2_options{.queue = 0}).field == "queue");
  CHECK(validate(gradient2_options{.smoothing_permille = 1'001}).field == "smoothing_permille");
  CHECK(validate(gradient2_options{.long_windows = 9}).field == "long_windows");
}
