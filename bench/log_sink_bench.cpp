// SPDX-License-Identifier: MIT
// log_sink beside spdlog's asynchronous logger with a JSON pattern. One record for both: a message, an integer, a double, a
// short text and an id of 16 characters. spdlog's pattern escapes nothing and writes no source place: less work than ours.
//
//   burst20       20 calls after a pause of 500 us, the pattern of a service between two requests: time per call; mean and
//                 the median over bursts (p50). The clock is read twice a burst, which is in the figure.
//   file_*        records per second until all lines are in the file; both block when their queue is full. Lines are counted.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/telemetry/log_sink.hpp"
#include "holdfast/time/clock.hpp"

#include "support/bench.hpp"

#if __has_include(<spdlog/async.h>)
#define HAS_SPDLOG 1
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#pragma GCC diagnostic pop
#else
#define HAS_SPDLOG 0
#endif

namespace {

namespace bench = holdfast::bench;
using namespace std::chrono_literals;

struct order {
  std::int64_t qty;
  double px;
  std::string sym;
  std::string id;
};
const order& sample(std::uint64_t n) {
  static const std::vector<order> orders = [] {
    std::vector<order> made;
    for (int i = 0; i < 64; ++i) {
      made.push_back({i * 7, 100.0 + i * 1.53, std::string("ABCDEFGH", 4 + static_cast<unsigned>(i) % 5),
                      std::string("0123456789abcdef")});
    }
    return made;
  }();
  return orders[n % 64];
}

// A file of its own for each sample, gone afterwards.
class scratch_file {
 public:
  scratch_file() {
    const char* const dir = ::getenv("TMPDIR");
    path_ = std::string(dir != nullptr ? dir : "/tmp") + "/holdfast-bench-XXXXXX";
    const int file = ::mkstemp(path_.data());
    if (file >= 0) ::close(file);
  }
  ~scratch_file() { ::unlink(path_.c_str()); }
  scratch_file(const scratch_file&) = delete;
  scratch_file& operator=(const scratch_file&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::uint64_t lines() const {
    std::uint64_t n = 0;
    const int file = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    std::vector<char> block(1 << 20);
    for (ssize_t size; file >= 0 && (size = ::read(file, block.data(), block.size())) > 0;) {
      n += static_cast<std::uint64_t>(std::count(block.begin(), block.begin() + size, '\n'));
    }
    if (file >= 0) ::close(file);
    return n;
  }

 private:
  std::string path_;
};

// ---- the contenders: log(n) and finish(), after which every line is in the file

struct ours {
  explicit ours(const std::string& path)
      : sink({.output = holdfast::log_output::to_file(path),
              .logger = "bench",
              .when_full = holdfast::full_policy::block,
              .block_for = 60s}) {
    good = !sink.start();
  }
  void log(std::uint64_t n) {
    const order& o = sample(n);
    HOLDFAST_LOG(sink, info, "order accepted", {"qty", o.qty}, {"px", o.px}, {"sym", o.sym}, {"id", o.id});
  }
  bool finish() { return sink.flush(60s); }
  holdfast::log_sink sink;
  bool good = false;
};

// The caller has the time already.
struct ours_at : ours {
  using ours::ours;
  void log(std::uint64_t n) {
    const order& o = sample(n);
    HOLDFAST_LOG(sink.at(holdfast::time_point(std::chrono::nanoseconds(n))), info, "order accepted", {"qty", o.qty},
                 {"px", o.px}, {"sym", o.sym}, {"id", o.id});
  }
};

#if HAS_SPDLOG
struct spdlog_async {
  explicit spdlog_async(const std::string& path)
      : pool(std::make_shared<spdlog::details::thread_pool>(8'192, 1)),
        sink(std::make_shared<spdlog::sinks::basic_file_sink_mt>(path)),
        logger(std::make_shared<spdlog::async_logger>("bench", sink, pool, spdlog::async_overflow_policy::block)) {
    logger->set_pattern(
        R"({"timestamp":"%Y-%m-%dT%H:%M:%S.%FZ","level":"%l","message":"%v,"logger":"%n","thread":%t})");
  }
  void log(std::uint64_t n) {
    const order& o = sample(n);
    logger->info(R"(order accepted","qty":{},"px":{},"sym":"{}","id":"{}")", o.qty, o.px, o.sym, o.id);
  }
  // The pool's end is the only point at which spdlog has written everything.
  bool finish() {
    logger.reset();
    pool.reset();
    sink->flush();
    return true;
  }
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::sinks::basic_file_sink_mt> sink;
  std::shared_ptr<spdlog::async_logger> logger;
  bool good = true;
};
#endif

// The least that a stamped record can cost: the stamps alone.
struct floor_stamp {
  explicit floor_stamp(const std::string&) {}
  void log(std::uint64_t) { benchmark::DoNotOptimize(clock.ticks()); }
  bool finish() { return true; }
  holdfast::tsc_clock clock{};
  bool good = true;
};

double seconds_since(holdfast::time_point start) {
  return std::chrono::duration<double>(holdfast::steady_clock::now() - start).count();
}

template <class Contender>
void burst20(benchmark::State& state) {
  constexpr std::uint64_t calls = 20;
  const bench::pinned pin(state);
  const scratch_file file;
  Contender contender(file.path());
  if (!contender.good) return bench::fail(state, "the log does not start");
  const holdfast::tsc_clock clock;
  std::vector<double> per_call;
  std::uint64_t n = 0;
  for (auto _ : state) {
    std::this_thread::sleep_for(500us);
    const auto start = clock.ticks();
    for (std::uint64_t i = 0; i < calls; ++i) contender.log(n++);
    const auto end = clock.ticks();
    const double each = std::chrono::duration<double>(clock.at(end) - clock.at(start)).count() / calls;
    state.SetIterationTime(each);
    per_call.push_back(each * 1e9);
  }
  std::nth_element(per_call.begin(), per_call.begin() + static_cast<std::ptrdiff_t>(per_call.size() / 2),
                   per_call.end());
  state.counters["p50_ns"] = per_call[per_call.size() / 2];
  if (!contender.finish()) bench::fail(state, "the log does not flush");
  if constexpr (!std::is_same_v<Contender, floor_stamp>) {
    if (file.lines() != n) bench::fail(state, "lines are missing");
  }
}

template <class Contender, unsigned Producers>
void to_file(benchmark::State& state) {
  constexpr std::uint64_t records = 100'000;  // of each producer
  std::uint64_t logged = 0;
  for (auto _ : state) {
    const scratch_file file;
    Contender contender(file.path());
    if (!contender.good) return bench::fail(state, "the log does not start");
    const auto start = holdfast::steady_clock::now();
    if constexpr (Producers == 1) {
      for (std::uint64_t n = 0; n < records; ++n) contender.log(n);
    } else {
      std::vector<std::thread> producers;
      for (unsigned p = 0; p < Producers; ++p) {
        producers.emplace_back([&contender] {
          for (std::uint64_t n = 0; n < records; ++n) contender.log(n);
        });
      }
      for (auto& p : producers) p.join();
    }
    const bool done = contender.finish();
    state.SetIterationTime(seconds_since(start));
    logged += Producers * records;
    if (!done || file.lines() != Producers * records) bench::fail(state, "lines are missing");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(logged));
}

// Manual time: what happens between the samples is no part of them, so the number of iterations is given.
template <class Function>
void add(const char* test_case, const char* contender, Function function, int iterations) {
  std::string name("log_sink/");
  name.append(test_case).append("/").append(contender);
  benchmark::RegisterBenchmark(name.c_str(), function)->UseManualTime()->Iterations(iterations);
}

template <class Contender>
void add_all(const char* contender) {
  add("burst20", contender, burst20<Contender>, 200);
  add("file_1_producer", contender, to_file<Contender, 1>, 2);
  add("file_2_producers", contender, to_file<Contender, 2>, 1);
}

const bool registered = [] {
  add_all<ours>("holdfast");
  add("burst20", "holdfast_at", burst20<ours_at>, 200);
  add("burst20", "floor_stamp", burst20<floor_stamp>, 200);
#if HAS_SPDLOG
  add_all<spdlog_async>("spdlog_async_json");
#endif
  return true;
}();

}  // namespace
