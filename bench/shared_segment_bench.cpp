// SPDX-License-Identifier: MIT
// shared_segment: one opening beside Boost.Interprocess, which keeps a heap with names in its segment; and the objects in shared
// memory beside the same in the process's own. The memory is mapped twice, and the second mapping is what is measured. All
// contenders are handed the same time; the lines are warm. 32 calls are one iteration of `take` and `spend`.
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "holdfast/ipc/shared_segment.hpp"
#include "holdfast/policy/rate_limiter.hpp"
#include "holdfast/policy/retry_budget.hpp"

#include "support/bench.hpp"

#if __has_include(<boost/interprocess/managed_shared_memory.hpp>)
#include <boost/interprocess/managed_shared_memory.hpp>
#define HAS_BOOST_INTERPROCESS 1
#endif

namespace {

namespace bench = holdfast::bench;
using holdfast::rate_limiter;
using holdfast::retry_budget;
using holdfast::steady_clock;
using holdfast::time_point;
using namespace std::chrono_literals;

constexpr int batch = 32;
constexpr holdfast::rate_limiter_options rate{.permits = 1'000'000'000, .per = 1s, .burst = 4'000'000};
constexpr holdfast::retry_budget_options budget{.ratio_permille = 0, .min_per_second = 0, .burst = 1000};

using segment = holdfast::shared_segment<rate_limiter, retry_budget>;

std::string own_name(const char* of) {
  return std::string("/holdfast_bench_") + of + "_" + std::to_string(::getpid());
}

// Made once, and opened again by name.
struct ours {
  ours()
      : made(std::move(segment::open_or_create(name, {}, rate, budget)).value()),
        opened(std::move(segment::open(name)).value()) {}
  ours(const ours&) = delete;
  ours& operator=(const ours&) = delete;
  ~ours() { static_cast<void>(segment::unlink(name)); }

  bool open() {
    auto got = segment::open(name);
    if (!got.ok()) return false;
    rate_limiter* at = &got->get<rate_limiter>();
    benchmark::DoNotOptimize(at);
    return true;
  }
  rate_limiter& limiter() { return opened.get<rate_limiter>(); }
  retry_budget& purse() { return opened.get<retry_budget>(); }

  const std::string name = own_name("ours");
  segment made;
  segment opened;
};

struct own_memory {
  rate_limiter door{rate};
  retry_budget tokens{budget};
  rate_limiter& limiter() { return door; }
  retry_budget& purse() { return tokens; }
};

#ifdef HAS_BOOST_INTERPROCESS
struct boost_segment {
  boost_segment() : made(boost::interprocess::create_only, name.c_str(), 65'536) {
    made.construct<rate_limiter>("door")(rate);
  }
  boost_segment(const boost_segment&) = delete;
  boost_segment& operator=(const boost_segment&) = delete;
  ~boost_segment() { boost::interprocess::shared_memory_object::remove(name.c_str()); }

  bool open() {
    boost::interprocess::managed_shared_memory got(boost::interprocess::open_only, name.c_str());
    rate_limiter* at = got.find<rate_limiter>("door").first;
    benchmark::DoNotOptimize(at);
    return at != nullptr;
  }

  const std::string name = own_name("boost").substr(1);
  boost::interprocess::managed_shared_memory made;
};
#endif

template <class Contender>
void open_one(benchmark::State& state) {
  const bench::pinned pin(state);
  Contender contender;
  std::uint64_t failed = 0;
  for (auto _ : state) failed += contender.open() ? 0U : 1U;
  if (failed != 0) bench::fail(state, "a segment that is there was not opened");
}

template <class Contender>
void take(benchmark::State& state) {
  const bench::pinned pin(state);
  Contender contender;
  rate_limiter& limiter = contender.limiter();
  std::uint64_t refused = 0;
  for (auto _ : state) {
    time_point now = steady_clock::now();
    for (int i = 0; i < batch; ++i) {
      benchmark::DoNotOptimize(now);
      if (!limiter.try_take(now)) [[unlikely]]
        ++refused;
    }
  }
  state.SetItemsProcessed(state.iterations() * batch);
  const auto late = static_cast<std::uint64_t>(state.iterations()) / 100 + 1;
  if (refused > late * batch) bench::fail(state, "permits that were there were refused");
}

template <class Contender>
void spend(benchmark::State& state) {
  const bench::pinned pin(state);
  Contender contender;
  retry_budget& purse = contender.purse();
  time_point now{1000s};
  std::uint64_t refused = 0;
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      benchmark::DoNotOptimize(now);
      if (purse.try_take(now)) [[likely]] {
        purse.give_back(now);
      } else {
        ++refused;
      }
    }
  }
  state.SetItemsProcessed(state.iterations() * batch);
  if (refused != 0) bench::fail(state, "tokens that were there were refused");
}

[[maybe_unused]] const bool registered = [] {
  bench::add("shared_segment", "open", "holdfast", open_one<ours>);
#ifdef HAS_BOOST_INTERPROCESS
  bench::add("shared_segment", "open", "boost_interprocess", open_one<boost_segment>);
#endif
  bench::add("shared_segment", "take", "holdfast", take<ours>);
  bench::add("shared_segment", "take", "floor_private_memory", take<own_memory>);
  bench::add("shared_segment", "spend", "holdfast", spend<ours>);
  bench::add("shared_segment", "spend", "floor_private_memory", spend<own_memory>);
  return true;
}();

}  // namespace
