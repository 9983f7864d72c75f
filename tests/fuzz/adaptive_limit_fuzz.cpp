// SPDX-License-Identifier: MIT
// adaptive_limit: any calls, by a clock that goes as it likes, against windows that remember every sample: what the algorithm is
// told, when, and what does not count. And the algorithms: any options and any windows, against their bounds.
#include <algorithm>
#include <utility>
#include <vector>

#include "holdfast/policy/adaptive_limit.hpp"

#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;

// Says what it was told, and steps as it is told.
struct told {
  struct options {
    std::vector<limit_window>* windows = nullptr;
    limit_step* next = nullptr;
  };
  explicit told(const options& o) : o_(o) {}
  [[nodiscard]] std::uint32_t limit() const noexcept { return 10; }
  limit_step on_window(const limit_window& w) noexcept {
    o_.windows->push_back(w);
    return *o_.next;
  }
  options o_;
};

struct window_of_samples {
  std::vector<std::int64_t> latencies;
  std::uint64_t drops = 0;
  std::uint64_t highest = 0;
  [[nodiscard]] std::uint64_t results() const { return latencies.size() + drops; }
};

void expect_percentile(duration said, const std::vector<std::int64_t>& sorted, std::uint32_t permille,
                       const char* what) {
  const std::size_t rank = std::max<std::size_t>(1, (sorted.size() * permille + 999) / 1000);
  const std::int64_t truth = sorted.empty() ? 0 : std::min(sorted[rank - 1], latency_counts::longest.count());
  expect(said.count() >= truth, what);
  expect(said.count() <= truth + std::max<std::int64_t>(63, truth / 16), what);
}

void calls(input& in) {
  const adaptive_limit_options o{.window = std::chrono::milliseconds(10 + in.below(100)),
                                 .min_results = 1 + static_cast<std::uint32_t>(in.below(16))};
  expect(!validate(o), "these options are good");
  std::vector<limit_window> windows;
  limit_step next{.limit = 10};
  adaptive_limit_by<told> mine(o, {&windows, &next});

  window_of_samples open;
  std::vector<adaptive_limit::ticket> under_way;
  std::int64_t now = 3'600'000'000'000;
  std::int64_t due = 0;  // when it is first looked whether the window is over
  bool begun = false;
  std::int64_t probe_until = 0;
  std::uint32_t epoch = 0;
  std::uint32_t limit = 10;
  std::uint64_t stale = 0;
  std::uint64_t drops = 0;
  while (!in.empty()) {
    const std::uint8_t choice = in.byte();
    const std::int64_t n = choice >> 3U;
    switch (choice % 8) {
      case 0: now += n * n * 1'000; break;
      case 1: now += n * o.window.count() / 8; break;
      case 2: now = std::max<std::int64_t>(now - n * o.window.count() / 8, 1); break;
      case 3: now += n * n * 100'000'000; break;
      case 4:
        next = {.limit = 1 + static_cast<std::uint32_t>(n), .new_epoch = in.byte() % 3 == 0, .probe = n % 5 == 0};
        break;
      case 5:
      case 6: under_way.push_back(mine.begin(time_point(duration(now)), static_cast<std::uint32_t>(1 + n))); break;
      default: {
        if (under_way.empty()) break;
        const std::size_t which = static_cast<std::size_t>(n) % under_way.size();
        const adaptive_limit::ticket call = under_way[which];
        under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(which));
        const auto kind = static_cast<verdict>(in.byte() % 8);
        const bool nothing = kind == verdict::transient || kind == verdict::cancelled || kind == verdict::rejected ||
                             kind == verdict::stale;
        const bool drop = kind == verdict::throttled || kind == verdict::timeout;
        const bool counts = !nothing && call.epoch == epoch;
        if (!nothing && call.epoch != epoch) ++stale;
        if (counts && drop) ++open.drops;
        if (counts && !drop)
          open.latencies.push_back(std::max<std::int64_t>(0, now - call.begun.time_since_epoch().count()));
        if (counts) open.highest = std::max<std::uint64_t>(open.highest, call.in_flight);
        const bool probed = probe_until != 0 && now >= probe_until &&
                            (open.latencies.size() >= 10 || now >= probe_until + 15 * o.window.count());
        const bool over = begun && now >= due && (open.results() >= o.min_results || probed);
        const std::size_t before = windows.size();
        const auto said = mine.end(call, kind, time_point(duration(now)));
        expect(said.counted == counts, "a call of this epoch that says something is counted, and no other");
        expect(said.closed == over, "a window ends when it is over and has enough results");
        expect(windows.size() == before + (over ? 1 : 0), "and then the algorithm is told, once");
        if (over) {
          const limit_window& w = windows.back();
          std::sort(open.latencies.begin(), open.latencies.end());
          expect(w.samples == open.latencies.size(), "of each sample");
          expect(w.drops == open.drops, "of each drop");
          expect(w.in_flight_max == open.highest, "and of the most that were under way");
          expect_percentile(w.p50, open.latencies, 500, "the median");
          expect_percentile(w.p90, open.latencies, 900, "the slow ones");
          const std::int64_t least =
              open.latencies.empty() ? 0 : std::min(open.latencies.front(), latency_counts::longest.count());
          expect(w.min_rtt.count() <= least, "the shortest");
          expect(w.min_rtt.count() >= least - std::max<std::int64_t>(63, least / 16), "nearly");
          drops += open.drops;
          open = {};
          limit = next.limit;
          epoch += next.new_epoch ? 1 : 0;
          probe_until = next.probe ? now + o.window.count() : 0;
        }
        if (!begun || now >= due) due = now + o.window.count() / (probe_until != 0 ? 8 : 1);
        begun = true;
        expect(said.limit == limit, "the limit is what the algorithm said last");
      }
    }
    const adaptive_limit_snapshot s = mine.snapshot();
    expect(s.limit == limit && s.epoch == epoch, "limit and epoch are those of the last step");
    expect(s.windows == windows.size() && s.drops == drops && s.stale == stale, "what is counted is counted");
    expect(s.probing == (probe_until != 0), "a probe lasts until its window is over");
  }
}

template <class A>
void windows(input& in, const typename A::options& o) {
  if (validate(o)) return;
  A algorithm(o);
  while (!in.empty()) {
    const auto number = [&] { return in.number(8) >> in.below(64); };
    const auto latency = [&] { return duration(static_cast<std::int64_t>(number() >> 1U)); };
    const limit_window w{.min_rtt = latency(),
                         .p50 = latency(),
                         .p90 = latency(),
                         .samples = number() >> 12U,
                         .drops = number() >> 12U,
                         .in_flight_max = number() >> 32U};
    const limit_step step = algorithm.on_window(w);
    expect(step.limit == algorithm.limit(), "a step's limit is the limit");
    expect(step.limit >= 1 && step.limit <= o.bounds.largest, "A4: it is not above the largest");
    expect(step.probe || step.limit >= o.bounds.smallest, "A4: but in a probe it is not below the smallest");
  }
}

void algorithms(input& in) {
  const auto some = [&](unsigned bytes) { return static_cast<std::uint32_t>(in.number(bytes) >> in.below(8 * bytes)); };
  const auto bound = [&] { return some(4) % (largest_limit + 2); };  // the first that is too large is to be refused
  limit_bounds bounds{.initial = bound(), .smallest = bound(), .largest = bound()};
  if (bounds.smallest > bounds.largest) std::swap(bounds.smallest, bounds.largest);
  if (in.byte() % 8 != 0) bounds.initial = std::clamp(bounds.initial, bounds.smallest, bounds.largest);
  const auto permille = static_cast<std::uint16_t>(in.below(2'000));
  switch (in.byte() % 4) {
    case 0:
      return windows<aimd>(in, {.bounds = bounds,
                                .timeout = duration(some(4)),
                                .keep_permille = permille,
                                .tolerated_drops_permille = static_cast<std::uint16_t>(in.below(1'100))});
    case 1:
      return windows<vegas>(in, {.bounds = bounds,
                                 .noise_permille = permille,
                                 .tolerated_drops_permille = static_cast<std::uint16_t>(in.below(1'100)),
                                 .probe_limit = 1 + some(4) % std::max(bounds.largest, 1U),
                                 .probe_every = some(1)});
    case 2:
      return windows<gradient>(in, {.bounds = bounds,
                                    .noise_permille = permille,
                                    .probe_limit = 1 + some(4) % std::max(bounds.largest, 1U),
                                    .probe_every = some(1)});
    default:
      return windows<gradient2>(in, {.bounds = bounds,
                                     .tolerance_permille = permille,
                                     .queue = static_cast<std::uint16_t>(some(2)),
                                     .smoothing_permille = static_cast<std::uint16_t>(in.below(1'100)),
                                     .long_windows = static_cast<std::uint16_t>(some(2))});
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  if (in.byte() % 4 == 0) {
    algorithms(in);
  } else {
    calls(in);
  }
  return 0;
}
