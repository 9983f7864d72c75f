// SPDX-License-Identifier: MIT
// work_pipeline beside other ways to take items through three steps on several threads, in order at the end.
//
//   holdfast           parse by one worker, enrich by two, whose order is kept, write by one
//   tbb                oneTBB parallel_pipeline: serial in order, parallel, serial in order, by its pool of a thread a core; as
//                      many items under way as a queue of holdfast's has, each in a block of the heap
//   std_condition      the same threads as holdfast's, a ring with a std::mutex and two std::condition_variable between
//                      them, and a map of those that came too early before the last
//   one_thread         the three steps one after the other, without other threads
//
// A sample takes a number of items through, from the start of the threads to their end; each must arrive, in order and
// worked on.
#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "holdfast/core/random.hpp"
#include "holdfast/exec/work_pipeline.hpp"
#include "holdfast/queue/spsc_queue.hpp"

#include "support/bench.hpp"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#if HAS_TBB  // by the build, as it must be linked
#include <oneapi/tbb/parallel_pipeline.h>
#endif
#pragma GCC diagnostic pop

namespace {

namespace bench = holdfast::bench;

constexpr std::uint64_t items_a_sample = 20'000;
constexpr std::size_t capacity = 256;

struct item {
  std::uint64_t number = 0;
  std::uint64_t value = 0;
};

// So many rounds of mixing, each waiting for the last: 4 ns or so a round.
template <unsigned Rounds>
item worked(item one) {
  for (unsigned i = 0; i < Rounds; ++i) one.value = holdfast::splitmix64_mix(one.value + i);
  return one;
}
// The steps of a case: parse and write are a quarter of enrich each.
template <unsigned Rounds>
struct steps {
  static item parse(item one) { return worked<Rounds / 4>(one); }
  static item enrich(item one) { return worked<Rounds>(one); }
  static item write(item one) { return worked<Rounds / 4>(one); }
};

// The end of the line: what arrives, and whether it is what must come next.
template <class Steps>
struct arrivals {
  std::uint64_t next = 0;
  std::uint64_t sum = 0;
  void take(item one) {
    one = Steps::write(one);
    if (one.number == next) ++next;
    sum += one.value;
  }
};
item made(std::uint64_t number) {
  return {number, number * 0x9E37'79B9'7F4A'7C15U};
}

// ---- the contenders

struct ours {
  template <class Steps>
  static arrivals<Steps> run() {
    using to_one = holdfast::spsc_queue<holdfast::work_item<item>, capacity>;
    arrivals<Steps> end;
    const auto line = holdfast::make_work_pipeline(
        holdfast::stage_over<to_one>({.name = "parse"}, [](item&& one) { return Steps::parse(one); }),
        holdfast::stage_over<to_one>({.name = "enrich", .workers = 2}, [](item&& one) { return Steps::enrich(one); }),
        holdfast::stage_over<to_one>({.name = "write"}, [&end](item&& one) { end.take(one); }));
    if (line->start()) return end;
    for (std::uint64_t i = 0; i < items_a_sample; ++i) static_cast<void>(line->push(made(i)));
    line->close();
    line->join();
    return end;
  }
};

#if HAS_TBB
struct tbb_pipeline {
  template <class Steps>
  static arrivals<Steps> run() {
    namespace tbb = oneapi::tbb;
    arrivals<Steps> end;
    std::uint64_t next = 0;
    const auto parse = [&next](tbb::flow_control& control) -> item {
      if (next != items_a_sample) return Steps::parse(made(next++));
      control.stop();
      return {};
    };
    tbb::parallel_pipeline(
        capacity,
        tbb::make_filter<void, item>(tbb::filter_mode::serial_in_order, parse) &
            tbb::make_filter<item, item>(tbb::filter_mode::parallel, [](item one) { return Steps::enrich(one); }) &
            tbb::make_filter<item, void>(tbb::filter_mode::serial_in_order, [&end](item one) { end.take(one); }));
    return end;
  }
};
#endif

class condition_ring {
 public:
  void push(const item& one) {
    std::unique_lock guard(lock_);
    room_.wait(guard, [this] { return held_ != capacity; });
    items_[(from_ + held_++) % capacity] = one;
    guard.unlock();
    item_.notify_one();
  }
  std::optional<item> pop() {
    std::unique_lock guard(lock_);
    item_.wait(guard, [this] { return held_ != 0 || closed_; });
    if (held_ == 0) return std::nullopt;
    const item one = items_[from_];
    from_ = (from_ + 1) % capacity;
    --held_;
    guard.unlock();
    room_.notify_one();
    return one;
  }
  void close() {
    {
      const std::lock_guard guard(lock_);
      closed_ = true;
    }
    item_.notify_all();
  }

 private:
  std::mutex lock_{};
  std::condition_variable item_{};
  std::condition_variable room_{};
  std::array<item, capacity> items_{};
  std::size_t from_ = 0;
  std::size_t held_ = 0;
  bool closed_ = false;
};

struct condition_line {
  template <class Steps>
  static arrivals<Steps> run() {
    arrivals<Steps> end;
    std::array<condition_ring, 3> rings;
    std::thread parse([&] {
      while (const auto one = rings[0].pop()) rings[1].push(Steps::parse(*one));
      rings[1].close();
    });
    std::array<std::thread, 2> enrich;
    std::mutex lock;
    int working = 2;
    for (std::thread& worker : enrich) {
      worker = std::thread([&] {
        while (const auto one = rings[1].pop()) rings[2].push(Steps::enrich(*one));
        const std::lock_guard guard(lock);
        if (--working == 0) rings[2].close();
      });
    }
    std::thread write([&] {
      std::map<std::uint64_t, item> early;
      while (const auto one = rings[2].pop()) {
        early.emplace(one->number, *one);
        while (!early.empty() && early.begin()->first == end.next) end.take(early.extract(early.begin()).mapped());
      }
    });
    for (std::uint64_t i = 0; i < items_a_sample; ++i) rings[0].push(made(i));
    rings[0].close();
    parse.join();
    for (std::thread& worker : enrich) worker.join();
    write.join();
    return end;
  }
};

struct one_thread {
  template <class Steps>
  static arrivals<Steps> run() {
    arrivals<Steps> end;
    for (std::uint64_t i = 0; i < items_a_sample; ++i) end.take(Steps::enrich(Steps::parse(made(i))));
    return end;
  }
};

// ---- the cases

template <class Contender, class Steps>
void line(benchmark::State& state) {
  const std::uint64_t right = one_thread::run<Steps>().sum;
  bool wrong = false;
  for (auto _ : state) {
    const arrivals<Steps> end = Contender::template run<Steps>();
    wrong = wrong || end.next != items_a_sample || end.sum != right;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(items_a_sample));
  if (wrong) bench::fail(state, "an item was lost, out of order, or not worked on");
}

template <class Contender>
void add(const char* name) {
  bench::add("work_pipeline", "three_steps_short", name, line<Contender, steps<50>>);
  bench::add("work_pipeline", "three_steps_long", name, line<Contender, steps<1000>>);
}

[[maybe_unused]] const bool registered = [] {
  add<ours>("holdfast");
#if HAS_TBB
  add<tbb_pipeline>("tbb");
#endif
  add<condition_line>("std_condition");
  add<one_thread>("one_thread");
  return true;
}();

}  // namespace
