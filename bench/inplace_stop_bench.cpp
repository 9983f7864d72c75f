// SPDX-License-Identifier: MIT
// inplace_stop_source beside std::stop_source: what a wait pays for being stoppable, and what a call pays that asks two others to
// stop. The callbacks add to a counter of their owner's; results pass through an opaque value each time. From two threads the
// callbacks enter and leave one source, which is what its lock costs.
#include <cstdint>
#include <stop_token>
#include <utility>

#include "holdfast/core/inplace_stop.hpp"

#include "support/bench.hpp"
#include "support/shared.hpp"

namespace {

namespace bench = holdfast::bench;

constexpr int batch = 32;

struct count {
  std::uint64_t* calls;
  void operator()() const noexcept { ++*calls; }
};

template <class Source>
struct stoppable {
  using source = Source;
  using token = decltype(std::declval<Source&>().get_token());
  using callback = holdfast::stop_callback_for<token, count>;
  Source shared;
};
using ours = stoppable<holdfast::inplace_stop_source>;
using standard = stoppable<std::stop_source>;

// A wait that could be stopped, and is not.
template <class Contender>
void enter_and_leave(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  auto& source = bench::shared<Contender>::all[0]->shared;
  std::uint64_t calls = 0;
  if (state.threads() > 1) regime.mark();
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      typename Contender::callback one(source.get_token(), count{&calls});
      benchmark::DoNotOptimize(one);
    }
  }
  if (state.threads() > 1) {
    regime.mark();
    regime.report();
  }
  state.SetItemsProcessed(state.iterations() * batch);
  if (calls != 0) bench::fail(state, "a callback was called without a stop");
}

// A call of its own source, which two attempts wait for, and which stops them.
template <class Contender>
void stop_two(benchmark::State& state) {
  const bench::pinned pin(state);
  std::uint64_t calls = 0;
  for (auto _ : state) {
    typename Contender::source source;
    typename Contender::callback first(source.get_token(), count{&calls});
    typename Contender::callback second(source.get_token(), count{&calls});
    benchmark::DoNotOptimize(first);
    benchmark::DoNotOptimize(second);
    source.request_stop();
  }
  state.SetItemsProcessed(state.iterations());
  if (calls != 2 * static_cast<std::uint64_t>(state.iterations())) bench::fail(state, "a callback was not called once");
}

template <class Contender>
void rows(const char* contender) {
  for (const int threads : {1, 2}) {
    bench::add("inplace_stop", threads == 1 ? "enter_and_leave_1_thread" : "enter_and_leave_2_threads", contender,
               enter_and_leave<Contender>)
        ->Setup(bench::shared<Contender>::make)
        ->Teardown(bench::shared<Contender>::drop)
        ->Threads(threads);
  }
  bench::add("inplace_stop", "stop_two", contender, stop_two<Contender>);
}

[[maybe_unused]] const bool registered = [] {
  rows<ours>("holdfast");
  rows<standard>("std_stop_source");
  return true;
}();

}  // namespace
