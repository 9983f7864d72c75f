// SPDX-License-Identifier: MIT
// fork() while other threads push, count, log and end: parent and child both go on. The child's inherited sinks are off
// and write nothing, whatever it asks of them; it may make its own. Numbers of threads go on, trace ids do not repeat.
#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/thread_slot.hpp"
#include "holdfast/policy/bulkhead.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/telemetry/context.hpp"
#include "holdfast/telemetry/counter.hpp"
#include "holdfast/telemetry/log_sink.hpp"

#include "fault.hpp"
#include "json_line.hpp"
#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1h};

std::string contents_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct temp_file {
  std::string folder = "/tmp/holdfast-fault-XXXXXX";
  std::string path;
  temp_file() {
    REQUIRE(::mkdtemp(folder.data()) != nullptr);
    path = folder + "/log";
  }
  temp_file(const temp_file&) = delete;
  temp_file& operator=(const temp_file&) = delete;
  ~temp_file() {
    ::unlink(path.c_str());
    ::rmdir(folder.c_str());
  }
};

// What a child does with what it has inherited; the code says which of it went wrong.
struct world {
  std::unique_ptr<log_sink> sink;
  circuit_breaker breaker{};
  bulkhead room{{.limit = 1'000}};
  counter requests{};
  spsc_queue<std::uint64_t, 64> queue{};
};
int child_goes_on(world& w, std::uint32_t parents_slot, const trace_context& parents_next) {
  if (w.sink->enabled(log_level::fatal)) return 10;
  HOLDFAST_LOG(*w.sink, fatal, "the child must not be heard", {"by", "child"});
  w.sink->set_level(log_level::info);  // not even now
  HOLDFAST_LOG(*w.sink, fatal, "the child must not be heard", {"by", "child"});
  if (w.sink->flush(10ms)) return 11;
  if (w.sink->poll_once()) return 12;
  if (!w.sink->start()) return 13;
  if (thread_slot::current() != parents_slot) return 14;
  const auto a_trace = make_trace();
  if (a_trace == parents_next) return 15;
  auto a = w.breaker.admit(start);
  if (!a) return 16;
  w.breaker.report(std::move(a.ticket), verdict::ok, start);
  if (!w.room.try_acquire()) return 17;
  const auto before = w.requests.value();
  w.requests.add();
  if (w.requests.value() != before + 1) return 18;
  // New threads have numbers and lanes in the child, and a sink of its own works.
  char storage[4096];
  log_memory memory(storage);
  log_options o;
  o.output = log_output::to_memory(memory);
  log_sink own(o);
  if (own.start()) return 19;
  std::uint32_t others_slot = thread_slot::none;
  std::thread([&] {
    others_slot = thread_slot::current();
    HOLDFAST_LOG(own, info, "from a new thread of the child");
  }).join();
  if (others_slot >= thread_slot::limit || others_slot == parents_slot) return 20;
  if (!own.flush(10s)) return 21;
  own.stop();
  if (own.stats().written != 1) return 22;
  w.sink.reset();  // neither waits for a backend or a thread that is not here, nor writes
  return 0;
}

}  // namespace

TEST_CASE("a process forks while its threads push, count, log and end", "[fault]") {
  const temp_file file;
  world w;
  log_options o;
  o.output = log_output::to_file(file.path);
  o.when_full = full_policy::block;
  o.block_for = 30s;
  o.ring_bytes = 64 << 10;
  w.sink = std::make_unique<log_sink>(o);
  REQUIRE_FALSE(w.sink->start());
  HOLDFAST_LOG(*w.sink, info, "main", {"by", "parent"}, {"writer", 9}, {"n", 0});
  const auto slot = thread_slot::current();

  atomic<std::uint32_t> stop{0};
  const auto stopped = [&] { return stop.load(mo::relaxed) != 0; };
  std::uint64_t logged = 1;
  std::uint64_t popped_wrong = 0;
  std::uint64_t popped = 0;
  std::uint64_t short_lives = 0;
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    for (std::uint64_t n = 0; !stopped(); ++n) {
      HOLDFAST_LOG(*w.sink, info, "busy", {"by", "parent"}, {"writer", 0}, {"n", n});
      ++logged;
      if (n % 4 == 0) fault::pause_for(100us);  // the file would be the size of the machine
    }
  });
  threads.emplace_back([&] {
    std::uint64_t n = 0;
    while (!stopped()) {
      if (w.queue.try_push(n)) {
        ++n;
      } else {
        ::sched_yield();
      }
    }
  });
  threads.emplace_back([&] {
    std::uint64_t n = 0;
    while (!stopped()) {
      if (!w.queue.try_pop(n)) {
        ::sched_yield();
        continue;
      }
      popped_wrong += n != popped++ ? 1U : 0U;
      auto a = w.breaker.admit(start);
      if (a) w.breaker.report(std::move(a.ticket), verdict::ok, start);
      const auto inside = w.room.try_acquire();
      w.requests.add();
    }
  });
  // Threads that begin and end all the time: a fork meets them in the middle of giving their lanes and numbers back.
  threads.emplace_back([&] {
    while (!stopped()) {
      std::thread([&] {
        HOLDFAST_LOG(*w.sink, info, "short", {"by", "parent"}, {"writer", 1}, {"n", short_lives});
      }).join();
      ++short_lives;
    }
  });

  const int forks = fault::rounds(60, 3'000);
  int failed = 0;
  int first_failure = 0;
  for (int i = 0; i < forks; ++i) {
    const trace_context mine = make_trace();
    std::optional<fault::child> child;
    child.emplace([&] { return child_goes_on(w, slot, mine); });
    const int code = child->wait(30s);
    if (code != 0 && failed++ == 0) first_failure = code;
  }
  stop.store(1, mo::relaxed);
  for (auto& t : threads) t.join();
  CHECK(w.sink->flush(30s));
  w.sink->stop();
  const auto stats = w.sink->stats();

  std::uint64_t lines = 0;
  std::uint64_t told = 0;     // losses: threads come so fast that the backend has not freed their predecessors' lanes
  std::uint64_t foreign = 0;  // not whole, or not the parent's, or not in the order of its thread
  std::uint64_t next[2] = {0, 0};
  const std::string text = contents_of(file.path);
  for (std::string_view rest = text; !rest.empty();) {
    const auto end = rest.find('\n');
    const auto line = rest.substr(0, end);
    const bool ended = end != rest.npos;
    rest.remove_prefix(ended ? end + 1 : rest.size());
    ++lines;
    bool right = ended && fault::json_line::whole(line);
    const auto writer = fault::number_of(line, "writer");
    if (const auto lost = fault::number_of(line, "lost")) {
      told += *lost;
    } else {
      right &= writer && line.find("\"by\":\"parent\"") != line.npos;
      if (right && *writer < 2) {
        const auto n = fault::number_of(line, "n");
        right = n && (*writer == 0 ? *n == next[0] : *n >= next[1]);
        if (n) next[*writer] = *n + 1;
      }
    }
    foreign += right ? 0U : 1U;
  }
  fault::report("fork",
                "forks=%d failed=%d first_code=%d lines=%llu foreign=%llu lost=%llu popped=%llu short_threads=%llu",
                forks, failed, first_failure, static_cast<unsigned long long>(lines),
                static_cast<unsigned long long>(foreign), static_cast<unsigned long long>(stats.lost()),
                static_cast<unsigned long long>(popped), static_cast<unsigned long long>(short_lives));
  CHECK(failed == 0);
  CHECK(foreign == 0);
  CHECK(popped_wrong == 0);
  CHECK(stats.lost() == stats.lost_no_lane);
  CHECK(stats.lost() == told);
  CHECK(stats.written + stats.lost() == logged + short_lives);
  CHECK(stats.written + stats.loss_lines == lines);
  CHECK(popped > 0);
}

TEST_CASE("a child writes nothing that waited in its parent's sink", "[fault]") {
  const temp_file file;
  log_options o;
  o.output = log_output::to_file(file.path);
  o.own_thread = false;
  log_sink sink(o);
  REQUIRE_FALSE(sink.start());
  HOLDFAST_LOG(sink, info, "waits while its process forks");
  fault::child c([&] {
    sink.flush(10ms);
    sink.poll_once();
    sink.stop();
    return 0;
  });
  REQUIRE(c.wait(30s) == 0);
  CHECK(contents_of(file.path).empty());
  CHECK(sink.flush(10s));
  sink.stop();
  const std::string text = contents_of(file.path);
  fault::report("fork_waiting_record", "lines=%d", static_cast<int>(std::count(text.begin(), text.end(), '\n')));
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
}
