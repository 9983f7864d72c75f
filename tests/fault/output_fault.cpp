// SPDX-License-Identifier: MIT
// Outputs that fail under the log: short and interrupted writes, errors in the middle of a line, a disk that is full and
// has room again, a file at its size limit. Every record is written or counted, lines stay whole, nothing runs for ever.
//
// write(2) is replaced in this executable: for one descriptor it does what the test says, for all others what it always
// does. So the library under test is the one that is shipped.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/telemetry/log_sink.hpp"

#include "fault.hpp"
#include "json_line.hpp"
#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

// What the descriptor does with the next write: takes `take` bytes at most, or fails with `error`, or takes nothing (0, 0).
struct answer {
  std::size_t take = ~std::size_t{0};
  int error = 0;
};
struct fake_output {
  int descriptor = -1;
  std::string taken{};
  std::uint64_t calls = 0;
  std::uint64_t short_writes = 0;
  std::uint64_t interrupted = 0;
  std::uint64_t failed = 0;
  answer (*next)(fake_output&) = nullptr;
  splitmix64 random{1};

  fake_output() : descriptor(::open("/dev/null", O_WRONLY | O_CLOEXEC)) {}
  fake_output(const fake_output&) = delete;
  fake_output& operator=(const fake_output&) = delete;
  ~fake_output() { ::close(descriptor); }

  ssize_t write(std::string_view text) {
    ++calls;
    const answer a = next(*this);
    if (a.error != 0) {
      ++(a.error == EINTR ? interrupted : failed);
      errno = a.error;
      return -1;
    }
    const std::size_t n = std::min(a.take, text.size());
    if (n == 0) ++failed;
    if (n > 0 && n < text.size()) ++short_writes;
    taken.append(text.substr(0, n));
    return static_cast<ssize_t>(n);
  }
};
fake_output* fake = nullptr;

}  // namespace

extern "C" ssize_t write(int descriptor, const void* bytes, std::size_t size) {
  if (fake != nullptr && descriptor == fake->descriptor) return fake->write({static_cast<const char*>(bytes), size});
  return ::syscall(SYS_write, descriptor, bytes, size);
}

namespace {

struct installed {
  explicit installed(fake_output& f) noexcept { fake = &f; }
  ~installed() { fake = nullptr; }
};

struct file_check {
  std::uint64_t records = 0;  // lines of records, numbered without a gap but for what a loss line before tells
  std::uint64_t told = 0;     // losses that lines tell of
  std::uint64_t loss_lines = 0;
  bool whole = true;  // every line is one JSON object and the last is ended
  bool ordered = true;
};
file_check check(std::string_view text) {
  file_check c;
  std::uint64_t next = 0;
  while (!text.empty()) {
    const auto end = text.find('\n');
    if (end == text.npos) {
      c.whole = false;
      return c;
    }
    const auto line = text.substr(0, end);
    text.remove_prefix(end + 1);
    c.whole &= fault::json_line::whole(line);
    if (const auto lost = fault::number_of(line, "lost")) {
      c.told += *lost;
      next += *lost;
      ++c.loss_lines;
      continue;
    }
    c.ordered &= fault::number_of(line, "n") == next;
    ++next;
    ++c.records;
  }
  return c;
}

log_options by_hand(const log_output& output) {
  log_options o;
  o.output = output;
  o.own_thread = false;  // the test says when the backend works: no timing in it
  o.ring_bytes = 64 << 10;
  o.latency = 0ms;
  return o;
}

struct run_result {
  log_stats stats;
  std::uint64_t logged = 0;
  bool ended = false;  // everything came through in a bounded number of rounds
};
// Logs `count` records, with the backend's turn after each few; then flushes until it works.
run_result log_through(fake_output& output, std::uint64_t count) {
  const installed in_place(output);
  log_sink sink(by_hand(log_output::to_descriptor(output.descriptor)));
  run_result r;
  if (sink.start()) return r;
  const std::string text(300, 'x');
  for (std::uint64_t n = 0; n < count; ++n, ++r.logged) {
    HOLDFAST_LOG(sink, info, "through a bad output", {"n", n},
                 {"text", std::string_view(text).substr(0, splitmix64_mix(n) % 300)});
    if (n % 7 == 0) sink.poll_once();
  }
  for (int tries = 0; tries < 200 && !r.ended; ++tries) r.ended = sink.flush(5s);
  sink.stop();
  r.stats = sink.stats();
  return r;
}

void judge(const char* name, const fake_output& output, const run_result& r) {
  const file_check c = check(output.taken);
  fault::report(name, "records=%llu written=%llu lost=%llu told=%llu writes=%llu short=%llu eintr=%llu failed=%llu",
                static_cast<unsigned long long>(r.logged), static_cast<unsigned long long>(r.stats.written),
                static_cast<unsigned long long>(r.stats.lost()), static_cast<unsigned long long>(c.told),
                static_cast<unsigned long long>(output.calls), static_cast<unsigned long long>(output.short_writes),
                static_cast<unsigned long long>(output.interrupted), static_cast<unsigned long long>(output.failed));
  CHECK(r.ended);
  CHECK(c.whole);
  CHECK(c.ordered);
  CHECK(c.records == r.stats.written);
  CHECK(r.stats.written + r.stats.lost() == r.logged);
  CHECK(c.told == r.stats.lost());
  CHECK(c.loss_lines == r.stats.loss_lines);
  CHECK(r.stats.bytes == output.taken.size());
}

std::string contents_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// What a child found out about a real file.
struct findings {
  std::uint64_t logged = 0;
  std::uint64_t written = 0;
  std::uint64_t lost = 0;
  std::uint64_t lost_output = 0;
  std::uint64_t write_errors = 0;
  int last_error = 0;
  std::uint64_t in_file = 0;
  std::uint64_t told = 0;
  bool whole = false;
  bool ordered = false;
  bool failed_first = false;  // a flush failed while the output did
  bool came_through = false;
};
void take_down(findings& f, const log_sink& sink, std::uint64_t logged, const std::string& path) {
  const auto s = sink.stats();
  const auto c = check(contents_of(path));
  f.logged = logged;
  f.written = s.written;
  f.lost = s.lost();
  f.lost_output = s.lost_output;
  f.write_errors = s.write_errors;
  f.last_error = s.last_error;
  f.in_file = c.records;
  f.told = c.told;
  f.whole = c.whole;
  f.ordered = c.ordered;
}

std::uint64_t log_some(log_sink& sink, std::uint64_t from, std::uint64_t count) {
  const std::string text(100, 'x');
  for (std::uint64_t n = from; n < from + count; ++n) {
    HOLDFAST_LOG(sink, info, "to a file", {"n", n}, {"text", text});
    if (n % 7 == 0) sink.poll_once();
  }
  return from + count;
}

// Fills the output, loses some, gets room by `make_room`, goes on; or stops while it is full.
int fill_and_go_on(findings& f, const std::string& path, bool (*make_room)(const std::string&)) {
  log_options o = by_hand(log_output::to_file(path));
  o.stop_timeout = 20ms;
  log_sink sink(o);
  if (sink.start()) return 3;
  std::uint64_t n = log_some(sink, 0, 5'000);  // more than file, buffer and lane hold together
  f.failed_first = !sink.flush(10ms);
  if (make_room != nullptr) {
    if (!make_room(path)) return 4;
    for (int tries = 0; tries < 100 && !f.came_through; ++tries) f.came_through = sink.flush(2s);
    n = log_some(sink, n, 50);
    f.came_through &= sink.flush(2s);
  }
  sink.stop();
  take_down(f, sink, n, path);
  return 0;
}

void judge_file(const char* name, const findings& f, int error, bool goes_on) {
  fault::report(name, "records=%llu written=%llu lost=%llu told=%llu write_errors=%llu errno=%d",
                static_cast<unsigned long long>(f.logged), static_cast<unsigned long long>(f.written),
                static_cast<unsigned long long>(f.lost), static_cast<unsigned long long>(f.told),
                static_cast<unsigned long long>(f.write_errors), f.last_error);
  CHECK(f.failed_first);
  CHECK(f.whole);
  CHECK(f.ordered);
  CHECK(f.in_file == f.written);
  CHECK(f.written + f.lost == f.logged);
  CHECK(f.lost > 0);
  CHECK(f.write_errors > 0);
  CHECK(f.last_error == error);
  if (goes_on) {
    CHECK(f.came_through);
    CHECK(f.lost_output == 0);
    CHECK(f.told == f.lost);
  } else {
    CHECK(f.lost_output > 0);
  }
}

struct temp_folder {
  std::string path = "/tmp/holdfast-fault-XXXXXX";
  temp_folder() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  temp_folder(const temp_folder&) = delete;
  temp_folder& operator=(const temp_folder&) = delete;
  ~temp_folder() {
    ::unlink((path + "/log").c_str());
    ::rmdir(path.c_str());
  }
};

constexpr rlim_t file_limit = 100'000;
int with_file_limit(findings& f, const std::string& path, bool goes_on) {
  ::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{file_limit, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
  return fill_and_go_on(
      f, path, !goes_on ? nullptr : +[](const std::string&) {
        const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
        return ::setrlimit(RLIMIT_FSIZE, &none) == 0;
      });
}

// A disk of 128 KiB in a mount namespace of the child's own, half of it taken by another file. 77: may not mount here.
int with_small_disk(findings& f, const std::string& folder, bool goes_on) {
  if (::unshare(CLONE_NEWNS) != 0) return 77;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
  if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=131072") != 0) return 77;
  if (goes_on) {
    // The ballast's place is more than what waits in lane and buffer once the disk is full.
    if (::mount("tmpfs", folder.c_str(), "tmpfs", MS_REMOUNT, "size=1048576") != 0) return 77;
    std::ofstream(folder + "/ballast", std::ios::binary) << std::string(917'504, 'b');
  }
  return fill_and_go_on(
      f, folder + "/log", !goes_on ? nullptr : +[](const std::string& path) {
        return ::unlink((path.substr(0, path.rfind('/')) + "/ballast").c_str()) == 0;
      });
}

}  // namespace

TEST_CASE("an output that takes a few bytes at a time, and is interrupted between, gets every line", "[fault]") {
  fake_output output;
  output.next = [](fake_output& o) {
    const auto dice = o.random() % 4;
    return dice == 0 ? answer{0, EINTR} : answer{static_cast<std::size_t>(1 + o.random() % 50), 0};
  };
  const auto r = log_through(output, 5'000);
  judge("short_and_eintr", output, r);
  CHECK(r.stats.lost() == 0);
  CHECK(r.stats.write_errors == 0);
  CHECK(output.short_writes > 1'000);
  CHECK(output.interrupted > 1'000);
}

TEST_CASE("a storm of interruptions ends in a written line", "[fault]") {
  fake_output output;
  output.next = [](fake_output& o) { return o.calls % 1'000 != 0 ? answer{0, EINTR} : answer{}; };
  const auto r = log_through(output, 200);
  judge("eintr_storm", output, r);
  CHECK(r.stats.lost() == 0);
  // Every write was interrupted 999 times; how many there were is the backend's doing.
  CHECK(output.calls >= 1'000);
  CHECK(output.calls % 1'000 == 0);
  CHECK(output.interrupted == output.calls / 1'000 * 999);
}

TEST_CASE("an output that fails at any byte resumes there, and what it cost is counted and told", "[fault]") {
  for (const int error : {EIO, ENOSPC, EAGAIN, EFBIG, EPIPE}) {
    fake_output output;
    output.random = splitmix64(static_cast<std::uint64_t>(error));
    output.taken.reserve(4'000'000);
    static int failure;
    failure = error;
    // Takes a stretch, then fails some times in a row.
    output.next = [](fake_output& o) {
      return o.random() % 3 == 0 ? answer{0, failure} : answer{static_cast<std::size_t>(o.random() % 20'000 + 1), 0};
    };
    const auto r = log_through(output, 3'000);
    judge(("errno_" + std::to_string(error)).c_str(), output, r);
    CHECK(output.failed > 10);
    CHECK((r.stats.write_errors == 0) == (error == EAGAIN));
  }
}

TEST_CASE("an output that takes nothing and says nothing is a failing one, not an endless loop", "[fault]") {
  fake_output output;
  output.next = [](fake_output& o) { return o.calls < 8 ? answer{0, 0} : answer{}; };
  const auto r = log_through(output, 100);
  judge("takes_nothing", output, r);
  CHECK(r.stats.lost() == 0);
  CHECK(output.calls < 1'000);
}

TEST_CASE("an output that fails for ever holds nobody up", "[fault]") {
  fake_output output;
  output.next = [](fake_output&) { return answer{0, EIO}; };
  const installed in_place(output);
  log_options o = by_hand(log_output::to_descriptor(output.descriptor));
  o.stop_timeout = 20ms;
  log_sink sink(o);
  REQUIRE_FALSE(sink.start());
  const std::uint64_t logged = log_some(sink, 0, 20'000);
  CHECK_FALSE(sink.flush(10ms));
  const auto begun = steady_clock::now();
  sink.stop();
  const auto took = steady_clock::now() - begun;
  const auto s = sink.stats();
  fault::report("fails_for_ever", "records=%llu lost=%llu writes=%llu", static_cast<unsigned long long>(logged),
                static_cast<unsigned long long>(s.lost()), static_cast<unsigned long long>(output.calls));
  CHECK(s.written == 0);
  CHECK(s.lost() == logged);
  CHECK(output.calls < logged);  // it pauses between its tries
  CHECK(took < 5s);
}

TEST_CASE("a file at its size limit keeps whole lines; with a higher limit it goes on", "[fault]") {
  for (const bool goes_on : {true, false}) {
    const temp_folder folder;
    fault::shared<findings> f;
    fault::child c([&] { return with_file_limit(*f, folder.path + "/log", goes_on); });
    REQUIRE(c.wait(60s) == 0);
    judge_file(goes_on ? "efbig_resumes" : "efbig_stops", *f, EFBIG, goes_on);
  }
}

TEST_CASE("a full disk keeps whole lines; with room again it goes on", "[fault]") {
  for (const bool goes_on : {true, false}) {
    const temp_folder folder;
    fault::shared<findings> f;
    fault::child c([&] { return with_small_disk(*f, folder.path, goes_on); });
    const int ended = c.wait(60s);
    if (ended == 77) return fault::report("enospc", "skipped (may not mount a tmpfs here)");
    REQUIRE(ended == 0);
    judge_file(goes_on ? "enospc_resumes" : "enospc_stops", *f, ENOSPC, goes_on);
  }
}
