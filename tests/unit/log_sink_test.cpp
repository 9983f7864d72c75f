// SPDX-License-Identifier: MIT
#include "holdfast/telemetry/log_sink.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using json = nlohmann::ordered_json;

namespace {

enum class colour : std::uint8_t { red, green };
constexpr std::string_view name_of(colour c) {
  return c == colour::red ? "red" : "green";
}
struct money {
  std::int64_t cents;
};
double log_value_of(const money& m) {
  return static_cast<double>(m.cents) / 100.0;
}

// A sink into memory, driven by the test.
struct memory_sink {
  explicit memory_sink(log_options options = {}, std::size_t bytes = 1 << 20) : storage(bytes), memory(storage) {
    options.output = log_output::to_memory(memory);
    options.own_thread = false;
    sink.emplace(options);
    REQUIRE_FALSE(sink->start());
  }
  log_sink& operator*() { return *sink; }
  std::string text() {
    REQUIRE(sink->flush());
    return std::string(memory.view());
  }
  std::vector<json> lines() { return parse(text()); }
  static std::vector<json> parse(const std::string& all) {
    std::vector<json> parsed;
    std::istringstream in(all);
    for (std::string line; std::getline(in, line);) {
      parsed.push_back(json::parse(line, nullptr, false));
      INFO(line);
      REQUIRE(parsed.back().is_object());
    }
    REQUIRE((all.empty() || all.back() == '\n'));
    return parsed;
  }

  std::vector<char> storage;
  log_memory memory;
  std::optional<log_sink> sink;
};

std::vector<std::string> keys_of(const json& line) {
  std::vector<std::string> keys;
  for (const auto& item : line.items()) keys.push_back(item.key());
  return keys;
}

log_options small() {
  log_options o;
  o.ring_bytes = 64 << 10;
  o.max_threads = 4;
  return o;
}

std::string temporary(const char* name) {
  return "/tmp/holdfast-" + std::to_string(::getpid()) + "-" + name;
}

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

}  // namespace

TEST_CASE("a line has its keys in the documented order and its values in their types", "[log]") {
  log_options o = small();
  o.logger = "profiles";
  memory_sink s(o);
  const context request = accept_context("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "req-7");
  const context_scope scope(request);
  const std::string text = "w\"ö";
  HOLDFAST_LOG(*s, info, "order \"filled\"", {"flag", true}, {"i", -5}, {"big", std::uint64_t{18446744073709551615U}},
               {"px", 100.0}, {"text", text}, {"took_ns", 5us}, {"colour", colour::green}, {"paid", money{1250}},
               {"c", 'x'}, {"least", std::numeric_limits<std::int64_t>::min()}, {"nan", std::nan("")}, {"f", 0.1F});
  const auto all = s.text();
  const auto lines = memory_sink::parse(all);
  REQUIRE(lines.size() == 1);
  const auto& l = lines[0];
  CHECK(keys_of(l) == std::vector<std::string>{"timestamp",      "level",   "message", "trace_id", "span_id",
                                               "correlation_id", "flag",    "i",       "big",      "px",
                                               "text",           "took_ns", "colour",  "paid",     "c",
                                               "least",          "nan",     "f",       "logger",   "thread",
                                               "file",           "line"});
  CHECK(l["level"] == "INFO");
  CHECK(l["message"] == "order \"filled\"");
  CHECK(l["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736");
  CHECK(l["span_id"].get<std::string>().size() == 16);
  CHECK(l["correlation_id"] == "req-7");
  CHECK(l["flag"] == true);
  CHECK(l["i"] == -5);
  CHECK(all.find("\"big\":18446744073709551615,") != all.npos);
  CHECK(all.find("\"px\":100.0,") != all.npos);
  CHECK(all.find("\"least\":-9223372036854775808,") != all.npos);
  CHECK(all.find("\"f\":0.1,") != all.npos);
  CHECK(l["text"] == text);
  CHECK(l["took_ns"] == 5000);
  CHECK(l["colour"] == "green");
  CHECK(l["paid"] == 12.5);
  CHECK(l["c"] == "x");
  CHECK(l["nan"].is_null());
  CHECK(l["logger"] == "profiles");
  CHECK(l["thread"] == ::gettid());
  CHECK(l["file"].get<std::string>().ends_with("unit/log_sink_test.cpp"));
  CHECK(l["line"].is_number_unsigned());
  CHECK(s.sink->stats().written == 1);
}

TEST_CASE("what is not there is left out, not written empty", "[log]") {
  memory_sink s(small());
  HOLDFAST_LOG(*s, warn, "alone");
  const auto lines = s.lines();
  REQUIRE(lines.size() == 1);
  CHECK(keys_of(lines[0]) == std::vector<std::string>{"timestamp", "level", "message", "thread", "file", "line"});
}

TEST_CASE("errors and their contexts are spread over fields of their own", "[log]") {
  memory_sink s(small());
  error e(sqlite_error(5), verdict::transient, 250ms);
  e.attempts = 3;
  e.tier = 1;
  e.stopped_by = errc::retry_budget_exhausted;
  e.age = coarse_age(1'024ms);
  error_context c;
  c.operation = "profiles.read";
  c.region = "eu-1";
  c.correlation_id = "req-9";
  HOLDFAST_LOG(*s, error, "call failed", {"error", e}, {"call", c}, {"own", errc::breaker_open},
               {"sql", sqlstate_error("53300")}, {"sys", std::make_error_code(std::errc::timed_out)});
  const auto lines = s.lines();
  REQUIRE(lines.size() == 1);
  const auto& l = lines[0];
  CHECK(l["error"] == "sqlite:5");
  CHECK(l["error_kind"] == "transient");
  CHECK(l["error_attempts"] == 3);
  CHECK(l["error_tier"] == 1);
  CHECK(l["error_retry_after_ns"] == 250'000'000);
  CHECK(l["error_age_ns"] == 1'024'000'000);
  CHECK(l["error_stopped_by"] == "HF-9");
  CHECK(l["call_operation"] == "profiles.read");
  CHECK_FALSE(l.contains("call_instance"));
  CHECK(l["call_region"] == "eu-1");
  CHECK(l["call_correlation_id"] == "req-9");
  CHECK(l["own"] == "HF-1");
  CHECK(l["sql"] == "sqlstate:53300");
  CHECK(l["sys"] == "generic:110");
}

TEST_CASE("values are evaluated only when the level is enabled, for each logger by itself", "[log]") {
  memory_sink s(small());
  const logger quiet = s.sink->make_logger("quiet", log_level::error);
  int evaluated = 0;
  HOLDFAST_LOG(*s, debug, "no", {"n", ++evaluated});
  HOLDFAST_LOG(quiet, info, "no", {"n", ++evaluated});
  CHECK(evaluated == 0);
  s.sink->set_level(log_level::debug);
  HOLDFAST_LOG(*s, debug, "yes", {"n", ++evaluated});
  HOLDFAST_LOG(quiet, info, "no", {"n", ++evaluated});
  quiet.set_level(log_level::info);
  HOLDFAST_LOG(quiet, info, "yes", {"n", ++evaluated});
  CHECK(evaluated == 2);
  const auto lines = s.lines();
  REQUIRE(lines.size() == 2);
  CHECK_FALSE(lines[0].contains("logger"));
  CHECK(lines[1]["logger"] == "quiet");
}

TEST_CASE("the context of each record is the one that was current, whatever came before", "[log]") {
  memory_sink s(small());
  context a;
  a.correlation_id = "a";
  context b;
  b.correlation_id = "b";
  b.trace = make_trace();
  HOLDFAST_LOG(*s, info, "none");
  {
    const context_scope outer(a);
    HOLDFAST_LOG(*s, info, "a");
    {
      const context_scope inner(b);
      HOLDFAST_LOG(*s, info, "b");
      HOLDFAST_LOG(*s, info, "b");
    }
    HOLDFAST_LOG(*s, info, "a");
  }
  HOLDFAST_LOG(*s, info, "none");
  const auto lines = s.lines();
  REQUIRE(lines.size() == 6);
  for (const auto& l : lines) {
    const auto want = l["message"].get<std::string>();
    CHECK(l.contains("correlation_id") == (want != "none"));
    if (want != "none") CHECK(l["correlation_id"] == want);
    CHECK(l.contains("trace_id") == (want == "b"));
  }
}

TEST_CASE("the time of a line is the time of its call, or the caller's", "[log]") {
  memory_sink s(small());
  const auto stamp = [](std::int64_t ns) {
    char out[rfc3339_space];
    rfc3339_writer w;
    return std::string(out, w.put(out, ns));
  };
  const auto before = wall_clock::now_ns();
  HOLDFAST_LOG(*s, info, "now");
  const auto after = wall_clock::now_ns();
  const auto now = steady_clock::now();
  HOLDFAST_LOG(s.sink->at(now - 10s), info, "then");
  const auto lines = s.lines();
  REQUIRE(lines.size() == 2);
  const auto& then = lines[0]["message"] == "then" ? lines[0] : lines[1];
  const auto& soon = lines[0]["message"] == "then" ? lines[1] : lines[0];
  CHECK(soon["timestamp"].get<std::string>() >= stamp(before - 2'000'000));
  CHECK(soon["timestamp"].get<std::string>() <= stamp(after + 2'000'000));
  CHECK(then["timestamp"].get<std::string>() < stamp(before - 9'000'000'000));
  CHECK(then["timestamp"].get<std::string>() > stamp(before - 11'000'000'000));
}

TEST_CASE("a full lane loses the newest, and says how many in the place where it happened", "[log]") {
  memory_sink s(small());
  const std::string text(1'000, 'x');
  std::uint64_t calls = 0;
  const auto fill = [&] {
    for (int i = 0; i < 200; ++i, ++calls) HOLDFAST_LOG(*s, info, "fill", {"n", calls}, {"text", text});
  };
  fill();
  const auto first = s.sink->stats();
  REQUIRE(first.lost_full > 0);
  const auto once = s.lines();
  CHECK(once.back()["message"] == "log records lost");
  CHECK(once.back()["lost"] == first.lost_full);
  CHECK(once.back()["reason"] == "lane_full");
  fill();
  const auto second = s.sink->stats();
  HOLDFAST_LOG(*s, info, "after a loss");  // full still: lost too
  ++calls;
  const auto lines = s.lines();
  const auto stats = s.sink->stats();
  std::uint64_t told = 0;
  std::uint64_t records = 0;
  for (const auto& l : lines) {
    if (l["message"] == "log records lost")
      told += l["lost"].get<std::uint64_t>();
    else
      ++records;
  }
  CHECK(second.lost_full > first.lost_full);
  CHECK(told == stats.lost_full);
  CHECK(records == stats.written);
  CHECK(calls == stats.written + stats.lost());
  CHECK(stats.loss_lines == 2);
}

TEST_CASE("a record that follows a loss brings its count along, before its own line", "[log]") {
  memory_sink s(small());
  const std::string text(20'000, 'x');
  for (int i = 0; i < 5; ++i) HOLDFAST_LOG(*s, info, "large", {"text", text});
  const auto lost = s.sink->stats().lost_full;
  REQUIRE(lost > 0);
  HOLDFAST_LOG(*s, info, "small", {"n", 1});  // fits where a large one did not
  const auto lines = s.lines();
  REQUIRE(lines.size() >= 3);
  CHECK(lines.back()["message"] == "small");
  CHECK(lines[lines.size() - 2]["message"] == "log records lost");
  CHECK(lines[lines.size() - 2]["lost"] == lost);
  CHECK(s.sink->stats().loss_lines == 1);
}

TEST_CASE("block waits for room as long as it is told, then loses and counts", "[log]") {
  log_options o = small();
  o.when_full = full_policy::block;
  o.block_for = 20ms;
  memory_sink s(o);
  const std::string text(30'000, 'x');
  HOLDFAST_LOG(*s, info, "1", {"text", text});
  const auto before = steady_clock::now();
  while (s.sink->stats().lost_full == 0 && steady_clock::now() - before < 5s) {
    HOLDFAST_LOG(*s, info, "2", {"text", text});
  }
  CHECK(s.sink->stats().lost_full == 1);
  CHECK(steady_clock::now() - before >= 20ms);
}

TEST_CASE("a line never grows beyond its limit; what was cut is marked, and the line stays JSON", "[log]") {
  log_options o = small();
  o.max_line = 12 << 10;
  memory_sink s(o);
  std::string quotes(40'000, '"');
  HOLDFAST_LOG(*s, info, "long", {"a", std::string(5'000, 'a')}, {"b", quotes}, {"c", "after"});
  HOLDFAST_LOG(*s, info, "bytes", {"raw", std::as_bytes(std::span(quotes))}, {"d", 1});
  HOLDFAST_LOG(*s, info, "short", {"c", "x"});
  const auto all = s.text();
  std::istringstream in(all);
  for (std::string line; std::getline(in, line);) CHECK(line.size() < o.max_line);
  const auto lines = memory_sink::parse(all);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0]["truncated"] == true);
  CHECK(lines[0]["a"].get<std::string>().size() == 5'000);
  CHECK(lines[0]["b"].get<std::string>().size() > 500);
  CHECK(lines[0].contains("line"));
  CHECK(lines[1]["truncated"] == true);
  CHECK(lines[1]["d"] == 1);
  CHECK_FALSE(lines[2].contains("truncated"));
  CHECK(s.sink->stats().truncated == 2);
}

TEST_CASE("text that is no UTF-8 becomes UTF-8, null stays null, and both are told apart from empty", "[log]") {
  memory_sink s(small());
  const char* const none = nullptr;
  HOLDFAST_LOG(*s, info, "x", {"bad", std::string_view("a\xFFz")}, {"none", none}, {"empty", ""},
               {"pointer", static_cast<const char*>("p")}, {"view", std::string_view()},
               {"hex", std::as_bytes(std::span("\x01\xAB", 2))});
  const auto lines = s.lines();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0]["bad"] == "a\xEF\xBF\xBDz");
  CHECK(lines[0]["none"].is_null());
  CHECK(lines[0]["empty"] == "");
  CHECK(lines[0]["pointer"] == "p");
  CHECK(lines[0]["view"] == "");
  CHECK(lines[0]["hex"] == "01ab");
  CHECK(s.sink->stats().invalid_utf8 == 1);
}

TEST_CASE("an output that is full keeps the service running, tells and loses nothing while there is room", "[log]") {
  memory_sink s(small());
  s.memory.limit(700);  // in the middle of a line
  for (int i = 0; i < 50; ++i) HOLDFAST_LOG(*s, info, "disk", {"n", i});
  CHECK_FALSE(s.sink->flush(30ms));
  CHECK(s.sink->stats().write_errors > 0);
  CHECK(s.sink->stats().last_error == ENOSPC);
  const std::string text(1'000, 'x');
  std::uint64_t calls = 50;
  for (int i = 0; i < 2'000; ++i, ++calls) {
    HOLDFAST_LOG(*s, info, "more", {"text", text});
    if (i % 100 == 0) s.sink->poll_once();
  }
  CHECK(s.sink->stats().lost_full > 0);  // the lane is the only memory that may fill
  s.memory.limit(~std::size_t{0});
  REQUIRE(s.sink->flush(5s));
  const auto lines = s.lines();
  const auto stats = s.sink->stats();
  CHECK(calls == stats.written + stats.lost());
  CHECK(lines.size() == stats.written + stats.loss_lines);
}

TEST_CASE("a sink that stops while its output fails counts what it could not write", "[log]") {
  memory_sink s([] {
    log_options o = small();
    o.stop_timeout = 20ms;
    return o;
  }());
  s.memory.limit(1'000);
  for (int i = 0; i < 300; ++i) HOLDFAST_LOG(*s, info, "disk", {"n", i});
  s.sink->stop();
  const auto stats = s.sink->stats();
  CHECK(stats.lost_output > 0);
  CHECK(stats.written > 0);
  CHECK(stats.written + stats.lost() == 300);
  HOLDFAST_LOG(*s, fatal, "after the end");
  CHECK(s.sink->stats().written == stats.written);
}

TEST_CASE("a file gets its lines, is appended to, and starts anew behind a torn line", "[log]") {
  const auto path = temporary("file.log");
  {
    std::ofstream torn(path);
    torn << "{\"torn\":";
  }
  log_options o = small();
  o.output = log_output::to_file(path);
  for (int round = 0; round < 2; ++round) {
    log_sink sink(o);
    REQUIRE_FALSE(sink.start());
    for (int i = 0; i < 1'000; ++i) HOLDFAST_LOG(sink, info, "to file", {"n", i}, {"round", round});
    sink.stop();
    CHECK(sink.stats().written + sink.stats().lost() == 1'000);
    CHECK(sink.stats().lost() == 0);
  }
  const auto all = contents(path);
  ::unlink(path.c_str());
  REQUIRE(all.substr(0, 9) == "{\"torn\":\n");
  const auto lines = memory_sink::parse(all.substr(9));
  REQUIRE(lines.size() == 2'000);
  for (std::size_t i = 0; i < 2'000; ++i) {
    CHECK(lines[i]["n"] == i % 1'000);
    CHECK(lines[i]["round"] == i / 1'000);
  }
}

TEST_CASE("a path that cannot be opened is start's answer, and logging stays harmless", "[log]") {
  log_options o = small();
  o.output = log_output::to_file("/nonexistent/dir/x.log");
  log_sink sink(o);
  const auto failed = sink.start();
  CHECK(failed.value() == ENOENT);
  for (int i = 0; i < 5'000; ++i) HOLDFAST_LOG(sink, info, "nowhere", {"n", i});
  CHECK_FALSE(sink.flush(1ms));
  sink.stop();
  CHECK(sink.stats().written == 0);
  CHECK(sink.stats().lost() == 5'000);
}

TEST_CASE("a full disk and a closed pipe are counted, never fatal", "[log]") {
  for (const bool pipe_case : {false, true}) {
    log_options o = small();
    o.stop_timeout = 10ms;
    int ends[2] = {-1, -1};
    if (pipe_case) {
      REQUIRE(::pipe(ends) == 0);
      ::close(ends[0]);
      o.output = log_output::to_descriptor(ends[1]);
    } else {
      ends[1] = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
      if (ends[1] < 0) continue;
      o.output = log_output::to_descriptor(ends[1]);
    }
    log_sink sink(o);
    REQUIRE_FALSE(sink.start());
    for (int i = 0; i < 100; ++i) HOLDFAST_LOG(sink, info, "nowhere", {"n", i});
    CHECK_FALSE(sink.flush(20ms));
    sink.stop();
    ::close(ends[1]);
    const auto stats = sink.stats();
    CHECK(stats.last_error == (pipe_case ? EPIPE : ENOSPC));
    CHECK(stats.written == 0);
    CHECK(stats.lost() == 100);
  }
}

TEST_CASE("a thread gives its lane back at its end; threads beyond the lanes are counted and told", "[log]") {
  log_options o = small();
  o.max_threads = 2;
  memory_sink s(o);
  for (int i = 0; i < 20; ++i) {
    std::thread([&] { HOLDFAST_LOG(*s, info, "one after the other", {"i", i}); }).join();
    s.sink->poll_once();
  }
  REQUIRE(s.sink->flush());
  CHECK(s.sink->stats().lost() == 0);
  std::thread first([&] {
    HOLDFAST_LOG(*s, info, "first");
    std::thread second([&] {
      HOLDFAST_LOG(*s, info, "second");
      std::thread third([&] { HOLDFAST_LOG(*s, info, "third"); });
      third.join();
    });
    second.join();
  });
  first.join();
  const auto lines = s.lines();
  const auto stats = s.sink->stats();
  CHECK(stats.lost_no_lane == 1);
  CHECK(stats.written == 22);
  CHECK(lines.size() == 23);
  CHECK(lines.back()["message"] == "log records lost");
  CHECK(lines.back()["reason"] == "no_lane");
}

TEST_CASE("a thread may outlive the sink it logged to", "[log]") {
  std::atomic<int> phase{0};
  std::optional<memory_sink> s;
  s.emplace(small());
  std::thread worker([&] {
    HOLDFAST_LOG(**s, info, "x");
    phase = 1;
    while (phase != 2) std::this_thread::yield();
    memory_sink other(small());
    HOLDFAST_LOG(*other, info, "into another sink at the same place");
    CHECK(other.lines().size() == 1);
  });
  while (phase != 1) std::this_thread::yield();
  s.reset();
  phase = 2;
  worker.join();
}

namespace {
log_sink* signal_sink = nullptr;
}

TEST_CASE("a signal handler may log; inside a call it is counted as lost", "[log]") {
  memory_sink s(small());
  signal_sink = &*s;
  struct sigaction act {};
  struct sigaction before {};
  act.sa_handler = [](int) { HOLDFAST_LOG(*signal_sink, warn, "from a handler"); };
  REQUIRE(::sigaction(SIGUSR1, &act, &before) == 0);
  std::uint64_t calls = 0;
  for (int i = 0; i < 100; ++i, calls += 2) {
    HOLDFAST_LOG(*s, info, "in the thread", {"raised", ::raise(SIGUSR1)});
  }
  ::sigaction(SIGUSR1, &before, nullptr);
  const auto lines = s.lines();
  const auto stats = s.sink->stats();
  CHECK(calls == stats.written + stats.lost_nested);
  CHECK(lines.size() == stats.written + stats.loss_lines);
}

TEST_CASE("a signal handler that logs while its thread is copying a text is counted as lost, and the text stays whole",
          "[log]") {
  memory_sink s(small());
  signal_sink = &*s;
  static void* page = nullptr;
  static std::size_t page_bytes = 0;
  page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  page = ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(page != MAP_FAILED);
  std::memset(page, 'x', 100);
  HOLDFAST_LOG(*s, info, "the lane is this thread's");
  struct sigaction act {};
  struct sigaction before {};
  act.sa_handler = [](int) {
    HOLDFAST_LOG(*signal_sink, warn, "from inside a call");
    if (::mprotect(page, page_bytes, PROT_READ) != 0) ::_exit(1);
  };
  REQUIRE(::sigaction(SIGSEGV, &act, &before) == 0);
  REQUIRE(::mprotect(page, page_bytes, PROT_NONE) == 0);
  HOLDFAST_LOG(*s, info, "copied", {"text", std::string_view(static_cast<const char*>(page), 100)});
  ::sigaction(SIGSEGV, &before, nullptr);
  ::munmap(page, page_bytes);
  const auto lines = s.lines();
  CHECK(s.sink->stats().lost_nested == 1);
  CHECK(s.sink->stats().written == 2);
  REQUIRE(lines.size() == 3);  // and one that tells of the loss
  CHECK(std::count_if(lines.begin(), lines.end(),
                      [](const json& line) { return line.value("text", "") == std::string(100, 'x'); }) == 1);
}

// Uses up the table of the whole process: hidden, for the process that the next test starts.
TEST_CASE("more call sites than the table holds", "[.log_sites]") {
  memory_sink s(small());
  static constexpr log_site filler{};
  std::vector<log_detail::site_number> numbers(log_detail::max_sites);
  for (auto& number : numbers) static_cast<void>(log_detail::register_site(filler, number));
  CHECK(log_detail::number_of(filler, numbers.back()) == 0);
  for (int i = 0; i < 3; ++i) HOLDFAST_LOG(*s, info, "nowhere to be found");
  CHECK(s.sink->stats().lost_no_site == 3);
  CHECK(s.sink->stats().written == 0);
  const auto lines = s.lines();
  REQUIRE(lines.size() == 1);  // it tells of the loss
  CHECK(lines[0].dump().find("no_site") != std::string::npos);
}

TEST_CASE("a process with more call sites than the table holds goes on, and counts what the last of them log",
          "[log]") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::execl("/proc/self/exe", "unit_tests", "[log_sites]", static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string said;
  char some[512];
  for (ssize_t size = 0; (size = ::read(ends[0], some, sizeof some)) > 0;)
    said.append(some, static_cast<std::size_t>(size));
  ::close(ends[0]);
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CAPTURE(said);
  CHECK(status == 0);
  CHECK(said.find("1 test case") != std::string::npos);  // Catch2 calls it a success when it has found none
}

TEST_CASE("a forked child has its sinks off and can end as it likes", "[log]") {
  log_options o = small();
  const auto path = temporary("fork.log");
  o.output = log_output::to_file(path);
  log_sink sink(o);
  REQUIRE_FALSE(sink.start());
  HOLDFAST_LOG(sink, info, "parent");
  REQUIRE(sink.flush());
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const bool off = !sink.enabled(log_level::fatal);
    HOLDFAST_LOG(sink, fatal, "child");
    sink.stop();
    ::_exit(off ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  HOLDFAST_LOG(sink, info, "parent again");
  sink.stop();
  const auto lines = memory_sink::parse(contents(path));
  ::unlink(path.c_str());
  CHECK(lines.size() == 2);
}

TEST_CASE("flush brings what was logged before it to the output, from any thread", "[log]") {
  std::vector<char> storage(1 << 20);
  log_memory memory(storage);
  log_options o = small();
  o.output = log_output::to_memory(memory);
  log_sink sink(o);
  REQUIRE_FALSE(sink.start());
  for (int round = 1; round <= 20; ++round) {
    for (int i = 0; i < 10; ++i) HOLDFAST_LOG(sink, info, "x", {"round", round});
    REQUIRE(sink.flush(5s));
    CHECK(memory_sink::parse(std::string(memory.view())).size() == static_cast<std::size_t>(10 * round));
    if (round % 5 == 0) std::this_thread::sleep_for(10ms);  // from a parked backend too
  }
}

namespace {
struct receiver {
  std::atomic<int> lines{0};
  std::atomic<long> thread{0};  // the backend's

  static void take(void* user, std::string_view text) {
    auto& mine = *static_cast<receiver*>(user);
    mine.thread = ::syscall(SYS_gettid);
    mine.lines += static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  }
  [[nodiscard]] bool sleeps() const {
    const std::string status = contents("/proc/self/task/" + std::to_string(thread) + "/stat");
    const std::size_t name_end = status.rfind(") ");
    return name_end != std::string::npos && status[name_end + 2] == 'S';
  }
};
}  // namespace

TEST_CASE("a warning comes to the output without being asked for, from a sleeping backend too", "[log]") {
  receiver received;
  log_options o = small();
  o.max_park = 1h;
  o.output = log_output::to_callback(receiver::take, &received);
  log_sink sink(o);
  REQUIRE_FALSE(sink.start());
  const auto limit = steady_clock::now() + 60s;
  for (int i = 1; i <= 100; ++i) {
    HOLDFAST_LOG(sink, warn, "look", {"i", i});
    while (received.lines < i && steady_clock::now() < limit) std::this_thread::yield();
    REQUIRE(received.lines == i);
    while (!received.sleeps() && steady_clock::now() < limit) std::this_thread::yield();
  }
}

TEST_CASE("lines of several threads are in the order of their stamps", "[log]") {
  memory_sink s(small(), 8 << 20);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) HOLDFAST_LOG(*s, info, "x", {"t", t}, {"i", i});
    });
  }
  for (auto& t : threads) t.join();
  const auto lines = s.lines();
  REQUIRE(lines.size() == 600);
  for (std::size_t i = 1; i < lines.size(); ++i) {
    CHECK(lines[i - 1]["timestamp"].get<std::string>() <= lines[i]["timestamp"].get<std::string>());
  }
}

TEST_CASE("random values come back equal from the line", "[log]") {
  memory_sink s(small(), 32 << 20);
  splitmix64 random(77);
  for (int i = 0; i < 3'000; ++i) {
    std::string text;
    for (auto n = random() % 60; n > 0; --n) text += static_cast<char>(random() % 128);
    const double d = std::bit_cast<double>(random());
    const auto u = random();
    HOLDFAST_LOG(*s, info, "random", {"text", text}, {"d", d}, {"u", u}, {"n", static_cast<std::int64_t>(random())});
    if (i % 50 == 49) s.sink->poll_once();
  }
  const auto lines = s.lines();
  REQUIRE(lines.size() == 3'000);
  splitmix64 again(77);
  for (const auto& l : lines) {
    std::string text;
    for (auto n = again() % 60; n > 0; --n) text += static_cast<char>(again() % 128);
    const double d = std::bit_cast<double>(again());
    CHECK(l["text"] == text);
    if (std::isfinite(d)) {
      CHECK(l["d"].get<double>() == d);
    } else {
      CHECK(l["d"].is_null());
    }
    CHECK(l["u"].get<std::uint64_t>() == again());
    CHECK(l["n"].get<std::int64_t>() == static_cast<std::int64_t>(again()));
  }
}

TEST_CASE("log options outside their limits are named", "[log]") {
  CHECK(validate(log_options{.ring_bytes = 1'000}).field == "ring_bytes");
  CHECK(validate(log_options{.max_threads = 0}).field == "max_threads");
  CHECK(validate(log_options{.buffer_bytes = 1'000}).field == "buffer_bytes");
  CHECK(validate(log_options{.output = log_output::to_file("")}).field == "output.path");
  CHECK(parse_log_level("warn") == log_level::warn);
  CHECK(parse_log_level("WARN") == log_level::warn);
  CHECK_FALSE(parse_log_level("warning"));
}

TEST_CASE("every level has its name, and what is no level logs nothing", "[log]") {
  constexpr std::string_view names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "OFF", "OFF"};
  for (std::size_t i = 0; i < std::size(names); ++i) CHECK(name_of(static_cast<log_level>(i)) == names[i]);
}
