// SPDX-License-Identifier: MIT
// job_scheduler beside other ways to run jobs of eight levels on two workers.
//
//   holdfast              8192 jobs at a time: whoever submits when they are in use waits
//   holdfast_roomy        room for all the jobs of a sample, as the peers have
//   holdfast_strict       without ageing, as the peers are
//   mutex_deques          a std::mutex, a std::condition_variable, a std::deque a level, and a word that says which are not empty
//   mutex_priority_queue  the same with one std::priority_queue, by level and by when a job came
//   moodycamel            a moodycamel::ConcurrentQueue a level and its semaphore
//   tbb                   an oneTBB concurrent_priority_queue, by level and by when a job came, and moodycamel's semaphore, or a
//                         std::counting_semaphore where there is none
//
// The peers are pools that one would write: workers that run the first job of the first level that has one, and sleep when there is
// none. Their jobs are a pointer to a function and one to its data; holdfast's are lambdas of the same size, and can be cancelled.
// A sample begins with workers that wait, and ends when every job has run; each must have run once.
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <queue>
#include <semaphore>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/exec/job_scheduler.hpp"
#include "holdfast/time/clock.hpp"

#include "support/bench.hpp"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#if __has_include(<concurrentqueue/concurrentqueue.h>)
#include <concurrentqueue/concurrentqueue.h>
#include <concurrentqueue/lightweightsemaphore.h>
#define HAS_MOODYCAMEL 1
#elif __has_include(<concurrentqueue/moodycamel/concurrentqueue.h>)
#include <concurrentqueue/moodycamel/concurrentqueue.h>
#include <concurrentqueue/moodycamel/lightweightsemaphore.h>
#define HAS_MOODYCAMEL 1
#else
#define HAS_MOODYCAMEL 0
#endif
#if HAS_TBB  // by the build, as it must be linked
#include <oneapi/tbb/concurrent_priority_queue.h>
#endif
#pragma GCC diagnostic pop

namespace {

namespace bench = holdfast::bench;
using namespace std::chrono_literals;

constexpr unsigned levels = 8;
constexpr unsigned workers = 2;
constexpr std::uint64_t jobs_a_sample = 100'000;
constexpr std::uint64_t jobs_preloaded = 1'000'000;

// The level of a job, the same for all: uniform, by its number.
unsigned level_of(std::uint64_t job) {
  return static_cast<unsigned>(holdfast::splitmix64_mix(job) % levels);
}

struct job {
  void (*call)(void* with, std::uint64_t what) noexcept = nullptr;
  void* with = nullptr;
  std::uint64_t what = 0;
};

// ---- the contenders: submit(level, job), hold(), let_go()

template <std::size_t Jobs, unsigned Ageing = 16>
class ours {
 public:
  ours() { static_cast<void>(jobs_.start()); }
  ours(const ours&) = delete;
  ours& operator=(const ours&) = delete;
  ~ours() { jobs_.shut_down(); }

  void submit(unsigned level, job what) {
    static_cast<void>(
        jobs_.submit_until(holdfast::deadline::never(), level, [what]() noexcept { what.call(what.with, what.what); }));
  }
  void hold() { jobs_.pause(); }
  void let_go() { jobs_.resume(); }

 private:
  holdfast::job_scheduler<holdfast::job_shape{.jobs = Jobs, .levels = levels}> jobs_{
      {.workers = workers, .ageing = Ageing}};
};

// Some threads that each call take(), which gives a job, or says that it is over.
template <class Pool>
class threads_of {
 public:
  explicit threads_of(Pool& pool) {
    for (unsigned i = 0; i < workers; ++i) {
      threads_.emplace_back([&pool] {
        for (job next; pool.take(next);) next.call(next.with, next.what);
      });
    }
  }
  void join() {
    for (std::thread& one : threads_) one.join();
  }

 private:
  std::vector<std::thread> threads_;
};

template <class Order>
class mutex_pool {
 public:
  mutex_pool() : threads_(*this) {}
  mutex_pool(const mutex_pool&) = delete;
  mutex_pool& operator=(const mutex_pool&) = delete;
  ~mutex_pool() {
    {
      const std::lock_guard guard(lock_);
      over_ = true;
    }
    news_.notify_all();
    threads_.join();
  }
  void submit(unsigned level, job what) {
    {
      const std::lock_guard guard(lock_);
      order_.push(level, what);
    }
    news_.notify_one();
  }
  bool take(job& next) {
    std::unique_lock guard(lock_);
    news_.wait(guard, [this] { return over_ || (!held_ && !order_.empty()); });
    if (order_.empty()) return false;
    next = order_.pop();
    return true;
  }
  void hold() {
    const std::lock_guard guard(lock_);
    held_ = true;
  }
  void let_go() {
    {
      const std::lock_guard guard(lock_);
      held_ = false;
    }
    news_.notify_all();
  }

 private:
  std::mutex lock_{};
  std::condition_variable news_{};
  Order order_{};
  bool over_ = false;
  bool held_ = false;
  threads_of<mutex_pool> threads_;
};
class deque_a_level {
 public:
  void push(unsigned level, const job& what) {
    of_[level].push_back(what);
    used_ |= 1U << level;
  }
  [[nodiscard]] bool empty() const { return used_ == 0; }
  job pop() {
    const auto level = static_cast<unsigned>(std::countr_zero(used_));
    const job first = of_[level].front();
    of_[level].pop_front();
    if (of_[level].empty()) used_ &= used_ - 1;
    return first;
  }

 private:
  std::array<std::deque<job>, levels> of_{};
  unsigned used_ = 0;
};
// Jobs by their level and then by when they came.
struct numbered_job {
  job what{};
  std::uint64_t order = 0;
  friend bool operator<(const numbered_job& a, const numbered_job& b) { return a.order > b.order; }
  static std::uint64_t ordered(unsigned level, std::uint64_t number) { return std::uint64_t{level} << 56U | number; }
};
class one_heap {
 public:
  void push(unsigned level, const job& what) { heap_.push({what, numbered_job::ordered(level, next_++)}); }
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  job pop() {
    const job first = heap_.top().what;
    heap_.pop();
    return first;
  }

 private:
  std::priority_queue<numbered_job> heap_{};
  std::uint64_t next_ = 0;
};
using mutex_deques = mutex_pool<deque_a_level>;
using mutex_heap = mutex_pool<one_heap>;

// A pool over queues that are looked at without a lock, whose jobs a semaphore counts.
template <class Order, class Semaphore>
class counted_pool {
 public:
  counted_pool() : threads_(*this) {}
  counted_pool(const counted_pool&) = delete;
  counted_pool& operator=(const counted_pool&) = delete;
  ~counted_pool() {
    over_.store(true);
    for (unsigned i = 0; i < workers; ++i) count_.signal();
    threads_.join();
  }
  void submit(unsigned level, job what) {
    order_.push(level, what);
    count_.signal();
  }
  bool take(job& next) {
    count_.wait();
    while (held_.load(std::memory_order_acquire)) std::this_thread::yield();
    while (!order_.pop(next)) {
      if (over_.load(std::memory_order_relaxed)) return false;
    }
    return true;
  }
  void hold() { held_.store(true); }
  void let_go() { held_.store(false); }

 private:
  Order order_{};
  Semaphore count_{};
  std::atomic<bool> over_{false};
  std::atomic<bool> held_{false};
  threads_of<counted_pool> threads_;
};
#if HAS_MOODYCAMEL
class moodycamel_a_level {
 public:
  void push(unsigned level, const job& what) { of_[level].enqueue(what); }
  bool pop(job& first) {
    for (auto& one : of_) {
      if (one.try_dequeue(first)) return true;
    }
    return false;
  }

 private:
  std::array<moodycamel::ConcurrentQueue<job>, levels> of_;
};
struct their_semaphore {
  moodycamel::LightweightSemaphore count{};
  void signal() { count.signal(); }
  void wait() {
    while (!count.wait()) {
    }
  }
};
using moodycamel_pool = counted_pool<moodycamel_a_level, their_semaphore>;
#else
struct their_semaphore {
  std::counting_semaphore<> count{0};
  void signal() { count.release(); }
  void wait() { count.acquire(); }
};
#endif
#if HAS_TBB
class tbb_queue {
 public:
  void push(unsigned level, const job& what) {
    queue_.push({what, numbered_job::ordered(level, next_.fetch_add(1, std::memory_order_relaxed))});
  }
  bool pop(job& first) {
    numbered_job out;
    if (!queue_.try_pop(out)) return false;
    first = out.what;
    return true;
  }

 private:
  oneapi::tbb::concurrent_priority_queue<numbered_job> queue_{};
  std::atomic<std::uint64_t> next_{0};
};
using tbb_pool = counted_pool<tbb_queue, their_semaphore>;
#endif

// ---- what the jobs do: each thread counts on a line of its own

class tally {
 public:
  static void note(void* me, std::uint64_t what) noexcept { static_cast<tally*>(me)->add(what); }
  [[nodiscard]] std::uint64_t runs() const {
    std::uint64_t all = 0;
    for (const line& one : lines_) all += one.runs.load(std::memory_order_acquire);
    return all;
  }
  [[nodiscard]] std::uint64_t sum() const {
    std::uint64_t all = 0;
    for (const line& one : lines_) all += one.sum.load(std::memory_order_relaxed);
    return all;
  }

 private:
  struct alignas(128) line {
    std::atomic<std::uint64_t> runs{0};
    std::atomic<std::uint64_t> sum{0};
  };
  void add(std::uint64_t what) {
    line& mine = lines_[holdfast::thread_slot::current() % lines_.size()];
    mine.sum.store(mine.sum.load(std::memory_order_relaxed) + what, std::memory_order_relaxed);
    mine.runs.store(mine.runs.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  std::array<line, 64> lines_{};
};
bool all_ran(const tally& done, std::uint64_t count) {
  return bench::waited(bench::waiter::manner::crowded, [&] { return done.runs() >= count; });
}
std::uint64_t sum_to(std::uint64_t count) {
  return count * (count - 1) / 2;
}

// ---- the cases

// Tiny jobs from some threads, workers running; each sample over a pool of its own that has warmed up with one.
template <class Pool, unsigned Submitters>
void stream(benchmark::State& state) {
  const auto pool = std::make_unique<Pool>();
  bool wrong = false;
  const auto once = [&] {
    tally done;
    const auto submit = [&](std::uint64_t from) {
      for (std::uint64_t i = from; i < jobs_a_sample; i += Submitters)
        pool->submit(level_of(i), {tally::note, &done, i});
    };
    std::vector<std::thread> others;
    for (unsigned s = 1; s < Submitters; ++s) others.emplace_back(submit, s);
    submit(0);
    for (std::thread& one : others) one.join();
    wrong = wrong || !all_ran(done, jobs_a_sample) || done.sum() != sum_to(jobs_a_sample);
  };
  once();
  for (auto _ : state) once();
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(jobs_a_sample));
  if (wrong) bench::fail(state, "a job was lost, or run twice");
}

// A million jobs are there before the workers begin: what it takes to put them there, and to run them.
template <class Pool>
void preloaded(benchmark::State& state) {
  const auto pool = std::make_unique<Pool>();
  bool wrong = false;
  std::chrono::duration<double, std::nano> submitting{};
  std::chrono::duration<double, std::nano> draining{};
  const auto once = [&] {
    tally done;
    pool->hold();
    const auto begun = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < jobs_preloaded; ++i) pool->submit(level_of(i), {tally::note, &done, i});
    const auto there = std::chrono::steady_clock::now();
    pool->let_go();
    wrong = wrong || !all_ran(done, jobs_preloaded) || done.sum() != sum_to(jobs_preloaded);
    submitting += there - begun;
    draining += std::chrono::steady_clock::now() - there;
  };
  once();  // all memory of the pool is touched for the first time, which is not counted
  submitting = draining = {};
  for (auto _ : state) once();
  const double jobs = static_cast<double>(jobs_preloaded) * static_cast<double>(state.iterations());
  state.counters["submit_ns"] = submitting.count() / jobs;
  state.counters["drain_ns"] = draining.count() / jobs;
  if (wrong) bench::fail(state, "a job was lost, or run twice");
}

// Jobs of one to twelve microseconds, which busy both workers.
void busy(std::chrono::nanoseconds length) {
  const auto end = std::chrono::steady_clock::now() + length;
  while (std::chrono::steady_clock::now() < end) {
  }
}

// Eight jobs of the highest level that each submit themselves again keep both workers busy; ten jobs of the lowest level are
// submitted meanwhile. How long did the last of them wait?
template <class Pool>
class flood {
 public:
  static constexpr auto length = 100ms;
  static void low(void* me, std::uint64_t) noexcept {
    auto& of = *static_cast<flood*>(me);
    of.last_low_ = std::chrono::steady_clock::now().time_since_epoch().count();
    of.lows_.fetch_add(1);
  }
  static void high(void* me, std::uint64_t) noexcept {
    auto& of = *static_cast<flood*>(me);
    busy(5us);
    of.highs_.fetch_add(1, std::memory_order_relaxed);
    if (std::chrono::steady_clock::now() < of.end_) {
      of.pool_->submit(0, {high, me, 0});
    } else {
      of.over_.fetch_add(1);
    }
  }
  bool run() {
    end_ = std::chrono::steady_clock::now() + length;
    for (int i = 0; i < 8; ++i) pool_->submit(0, {high, this, 0});
    const auto begun = std::chrono::steady_clock::now();
    for (int i = 0; i < 10; ++i) pool_->submit(levels - 1, {low, this, 0});
    const bool ended =
        bench::waited(bench::waiter::manner::crowded, [this] { return over_.load() == 8 && lows_.load() == 10; });
    waited_ = std::chrono::nanoseconds(last_low_.load()) - begun.time_since_epoch();
    return ended;
  }
  [[nodiscard]] std::chrono::nanoseconds waited() const { return waited_; }
  [[nodiscard]] std::uint64_t highs() const { return highs_.load(); }

 private:
  std::unique_ptr<Pool> pool_ = std::make_unique<Pool>();
  std::chrono::steady_clock::time_point end_{};
  std::atomic<std::int64_t> last_low_{0};
  std::atomic<int> lows_{0};
  std::atomic<int> over_{0};
  std::atomic<std::uint64_t> highs_{0};
  std::chrono::nanoseconds waited_{0};
};
template <class Pool>
void low_wait(benchmark::State& state) {
  bool wrong = false;
  double highs = 0;
  double waited = 0;
  for (auto _ : state) {
    flood<Pool> one;
    wrong = wrong || !one.run();
    waited += static_cast<double>(one.waited().count());
    highs += static_cast<double>(one.highs());
  }
  state.counters["low_wait_ns"] = waited / static_cast<double>(state.iterations());
  state.counters["highs"] = highs / static_cast<double>(state.iterations());
  if (wrong) bench::fail(state, "a job did not run");
}

// A job of the highest level over a backlog of 20,000 jobs of a microsecond in the others: how long until it begins?
template <class Pool>
void high_over_backlog(benchmark::State& state) {
  constexpr std::uint64_t backlog = 20'000;
  constexpr std::size_t probes = 100;
  bool wrong = false;
  std::vector<double> late;
  for (auto _ : state) {
    const auto pool = std::make_unique<Pool>();
    tally done;
    std::array<std::atomic<std::int64_t>, probes> began{};
    pool->hold();
    const auto slow = [](void* to, std::uint64_t what) noexcept {
      busy(1us);
      tally::note(to, what);
    };
    for (std::uint64_t i = 0; i < backlog; ++i) pool->submit(1 + level_of(i) % (levels - 1), {slow, &done, i});
    pool->let_go();
    for (std::size_t i = 0; i < probes; ++i) {
      const auto mark = [](void* at, std::uint64_t) noexcept {
        static_cast<std::atomic<std::int64_t>*>(at)->store(std::chrono::steady_clock::now().time_since_epoch().count());
      };
      const auto begun = std::chrono::steady_clock::now();
      pool->submit(0, {mark, &began[i], 0});
      wrong = wrong || !bench::waited(bench::waiter::manner::eager, [&] { return began[i].load() != 0; });
      late.push_back(static_cast<double>(began[i].load() - begun.time_since_epoch().count()));
    }
    wrong = wrong || !all_ran(done, backlog);
  }
  const auto p99 = late.begin() + static_cast<std::ptrdiff_t>(late.size() * 99 / 100);
  std::nth_element(late.begin(), p99, late.end());
  state.counters["p99_ns"] = *p99;
  if (wrong) bench::fail(state, "a job did not run");
}

// Of preloaded jobs, those that began while one of a higher level was waiting, in thousandths.
struct inversions {
  std::array<std::atomic<std::int64_t>, levels> waiting{};
  std::atomic<std::uint64_t> inverted{0};
  tally done;
  static void begin(void* me, std::uint64_t what) noexcept {
    auto& of = *static_cast<inversions*>(me);
    const unsigned level = level_of(what);
    of.waiting[level].fetch_sub(1, std::memory_order_relaxed);
    for (unsigned above = 0; above < level; ++above) {
      if (of.waiting[above].load(std::memory_order_relaxed) > static_cast<std::int64_t>(workers)) {
        of.inverted.fetch_add(1, std::memory_order_relaxed);
        break;
      }
    }
    tally::note(&of.done, what);
  }
};
template <class Pool>
void count_inversions(benchmark::State& state) {
  const auto pool = std::make_unique<Pool>();
  bool wrong = false;
  double share = 0;
  for (auto _ : state) {
    inversions of;
    pool->hold();
    for (std::uint64_t i = 0; i < jobs_a_sample; ++i) {
      of.waiting[level_of(i)].fetch_add(1);
      pool->submit(level_of(i), {inversions::begin, &of, i});
    }
    pool->let_go();
    wrong = wrong || !all_ran(of.done, jobs_a_sample);
    share += static_cast<double>(of.inverted.load()) / static_cast<double>(jobs_a_sample);
  }
  state.counters["inverted_permille"] = 1000 * share / static_cast<double>(state.iterations());
  if (wrong) bench::fail(state, "a job did not run");
}

constexpr const char* suite = "job_scheduler";

template <class Pool>
void add_streams(const char* name) {
  bench::add(suite, "stream_1_submitter", name, stream<Pool, 1>);
  bench::add(suite, "stream_2_submitters", name, stream<Pool, 2>);
}
template <class Pool>
void add_preloaded(const char* name) {
  bench::add(suite, "preloaded_1m", name, preloaded<Pool>)->Iterations(1);
  bench::add(suite, "inversions", name, count_inversions<Pool>)->Iterations(1);
}
template <class Pool>
void add_urgent(const char* name) {
  bench::add(suite, "low_wait_in_flood", name, low_wait<Pool>)->Iterations(1);
  bench::add(suite, "high_over_backlog", name, high_over_backlog<Pool>)->Iterations(1);
}
template <class Pool>
void add_all(const char* name) {
  add_streams<Pool>(name);
  add_preloaded<Pool>(name);
  add_urgent<Pool>(name);
}

[[maybe_unused]] const bool registered = [] {
  using roomy = ours<std::size_t{1} << 21U>;
  using roomy_strict = ours<std::size_t{1} << 21U, 0>;
  add_streams<ours<8192>>("holdfast");
  add_streams<roomy>("holdfast_roomy");
  add_preloaded<roomy>("holdfast");
  add_urgent<ours<32768>>("holdfast");
  add_preloaded<roomy_strict>("holdfast_strict");
  add_urgent<ours<32768, 0>>("holdfast_strict");
  add_all<mutex_deques>("mutex_deques");
  add_all<mutex_heap>("mutex_priority_queue");
#if HAS_MOODYCAMEL
  add_all<moodycamel_pool>("moodycamel");
#endif
#if HAS_TBB
  add_all<tbb_pool>("tbb");
#endif
  return true;
}();

}  // namespace
