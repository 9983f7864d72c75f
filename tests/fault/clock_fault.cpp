// SPDX-License-Identifier: MIT
// Processes whose monotonic clock stands elsewhere: in a time namespace that begins near zero, after months, and after
// more than 26 days or 8.7 years, where the ticks of breaker and budget have wrapped. The log's lines have the wall's
// time, and the policies keep their spans of real time.
#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "holdfast/policy/cache.hpp"
#include "holdfast/policy/circuit_breaker.hpp"
#include "holdfast/policy/rate_limiter.hpp"
#include "holdfast/policy/retry_budget.hpp"
#include "holdfast/telemetry/log_sink.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

#include "fault.hpp"
#include "json_line.hpp"
#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr int skipped = 77;
#if !defined(CLONE_NEWTIME)
constexpr int CLONE_NEWTIME = 0x80;
#endif

struct findings {
  std::int64_t steady_ns = 0;
  std::int64_t tsc_ahead_ns = 0;
  std::uint64_t lines = 0;
  std::uint64_t bad_lines = 0;
  std::uint64_t early = 0;
  std::uint64_t late = 0;
};

// "2026-11-25T07:00:00" of a time of the wall clock.
std::string second_of(std::int64_t wall_ns) {
  const auto seconds = static_cast<time_t>(wall_ns / 1'000'000'000);
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts)};
}

// Everything that reads a clock, on the one that this process has.
int live_here(findings& f) {
  const time_point born = steady_clock::now();
  f.steady_ns = born.time_since_epoch().count();
  const tsc_clock counter;
  f.tsc_ahead_ns = (counter.now() - steady_clock::now()).count();

  // The log: its lines' times lie between those of the calls, by the wall clock.
  static char storage[64 << 10];
  log_memory memory(storage);
  log_options o;
  o.output = log_output::to_memory(memory);
  log_sink sink(o);
  if (sink.start()) return 1;
  const auto first = second_of(wall_clock::now_ns());
  for (int i = 0; i < 100; ++i) {
    HOLDFAST_LOG(sink, info, "stamped here", {"n", i});
    HOLDFAST_LOG(sink.at(steady_clock::now()), info, "stamped by the caller", {"n", i});
  }
  if (!sink.flush(10s)) return 2;
  const auto last = second_of(wall_clock::now_ns());
  sink.stop();
  for (std::string_view rest = memory.view(); !rest.empty();) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    ++f.lines;
    constexpr std::string_view before = "{\"timestamp\":\"";
    const auto stamp = line.substr(before.size(), first.size());
    const bool right = fault::json_line::whole(line) && line.starts_with(before) && first <= stamp && stamp <= last;
    f.bad_lines += right ? 0U : 1U;
  }

  // Real spans of this process's own clock.
  circuit_breaker breaker({.consecutive_failures = 1, .probes = 1, .open_base = 50ms, .jitter_permille = 0});
  auto a = breaker.admit(born);
  if (!a) return 3;
  const auto opened = steady_clock::now();
  breaker.report(std::move(a.ticket), verdict::timeout, opened);
  const bool closed_in_time = fault::within(20s, [&] {
    const auto now = steady_clock::now();
    auto probe = breaker.admit(now);
    if (!probe) return false;
    f.early += now - opened < 50ms ? 1U : 0U;
    breaker.report(std::move(probe.ticket), verdict::ok, now);
    return true;
  });
  f.late += closed_in_time && breaker.state() == breaker_state::closed ? 0U : 1U;

  retry_budget budget({.ratio_permille = 0, .min_per_second = 20, .burst = 1});
  f.late += budget.try_take(born) ? 0U : 1U;
  f.early += budget.try_take(born + 40ms) ? 1U : 0U;
  f.late += budget.try_take(born + 51ms) ? 0U : 1U;

  rate_limiter limiter({.permits = 20, .per = 1s, .burst = 1});
  f.late += limiter.try_take(born) ? 0U : 1U;
  f.early += limiter.try_take(born + 49ms) ? 1U : 0U;
  f.late += limiter.try_take(born + 50ms) ? 0U : 1U;

  cache<int, int> kept({.capacity = 7, .fresh_for = 20ms, .stale_for = 1h});
  const auto put_at = steady_clock::now();
  static_cast<void>(kept.put(1, 1, put_at));
  f.early += kept.get(1, put_at + 19ms).state == cache_state::fresh ? 0U : 1U;
  f.late += kept.get(1, put_at + 20ms).state == cache_state::stale ? 0U : 1U;
  const auto until = deadline::after(steady_clock::now(), 1h);
  f.early += until.remaining(steady_clock::now()) > 59min ? 0U : 1U;
  return 0;
}

// In a time namespace whose monotonic clock is `offset` seconds ahead. The namespace takes in children only.
int live_elsewhere(findings& f, std::int64_t offset) {
  if (::unshare(CLONE_NEWTIME) != 0) return skipped;
  const int offsets = ::open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
  if (offsets < 0) return skipped;
  char text[64];
  const int size = std::snprintf(text, sizeof text, "monotonic %lld 0", static_cast<long long>(offset));
  const bool moved = ::write(offsets, text, static_cast<std::size_t>(size)) == size;
  ::close(offsets);
  if (!moved) return skipped;
  fault::child there([&] { return live_here(f); });
  return there.wait(60s);
}

}  // namespace

TEST_CASE("a process lives with a monotonic clock that stands elsewhere", "[fault]") {
  const std::int64_t up = steady_clock::now().time_since_epoch().count() / 1'000'000'000;
  const std::int64_t breaker_wrap = (std::int64_t{1} << 51U) / 1'000'000'000;
  const std::int64_t budget_wrap = (std::int64_t{1} << 38U) / 1'000;
  // Ahead by 100,000 s; just started; just over the wraps of the ticks of breaker (26 days) and budget (8.7 years).
  for (const std::int64_t offset : {std::int64_t{100'000}, 1 - up, breaker_wrap - up - 1, budget_wrap - up + 1}) {
    fault::shared<findings> f;
    fault::child c([&] { return live_elsewhere(*f, offset); });
    const int code = c.wait(90s);
    if (code == skipped) return fault::report("clock_jump", "skipped (no time namespaces for this user here)");
    fault::report("clock_jump", "offset_s=%lld code=%d steady_s=%lld lines=%llu bad_lines=%llu early=%llu late=%llu",
                  static_cast<long long>(offset), code, static_cast<long long>(f->steady_ns / 1'000'000'000),
                  static_cast<unsigned long long>(f->lines), static_cast<unsigned long long>(f->bad_lines),
                  static_cast<unsigned long long>(f->early), static_cast<unsigned long long>(f->late));
    CHECK(code == 0);
    CHECK(f->steady_ns / 1'000'000'000 >= up + offset);
    CHECK(f->steady_ns / 1'000'000'000 < up + offset + 300);
    CHECK(f->lines == 200);
    CHECK(f->bad_lines == 0);
    CHECK(f->early == 0);
    CHECK(f->late == 0);
    CHECK(f->tsc_ahead_ns < 100'000'000);
    CHECK(f->tsc_ahead_ns > -100'000'000);
  }
}
