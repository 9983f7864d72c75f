// SPDX-License-Identifier: MIT
#include "holdfast/time/clock.hpp"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <string_view>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace holdfast {
namespace {

duration read_clock(clockid_t id) noexcept {
  timespec t{};
  ::clock_gettime(id, &t);
  return std::chrono::seconds(t.tv_sec) + duration(t.tv_nsec);
}

std::int64_t steady_ns() noexcept {
  return steady_clock::now().time_since_epoch().count();
}

// The kernel keeps time by the counter only after it has checked that all cores agree; that is the strongest word on it
// that user space can read. The first read is enough: a kernel that later distrusts it says so in the same file, which
// recalibrate() would have to poll.
bool counter_is_trusted() noexcept {
#if defined(__x86_64__)
  const int file = ::open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  char text[4096];
  const auto size = ::read(file, text, sizeof text);
  ::close(file);
  if (size <= 0) return false;
  const std::string_view flags(text, static_cast<std::size_t>(size));
  return flags.find("constant_tsc") != flags.npos && flags.find("nonstop_tsc") != flags.npos;
#else
  return false;
#endif
}

}  // namespace

time_point coarse_clock::now() noexcept {
  return time_point(read_clock(CLOCK_MONOTONIC_COARSE));
}

duration coarse_clock::resolution() noexcept {
  timespec t{};
  ::clock_getres(CLOCK_MONOTONIC_COARSE, &t);
  return std::chrono::seconds(t.tv_sec) + duration(t.tv_nsec);
}

std::int64_t wall_clock::now_ns() noexcept {
  return read_clock(CLOCK_REALTIME).count();
}

std::uint64_t tsc_clock::ticks() const noexcept {
#if defined(__x86_64__)
  if (uses_counter_) return __rdtsc();
#endif
  return static_cast<std::uint64_t>(steady_ns());
}

tsc_clock::tsc_clock() noexcept : uses_counter_(counter_is_trusted()) {
  first_ = line{ticks(), steady_ns(), std::uint64_t{1} << 32U};
  if (!uses_counter_) return;
  constexpr std::int64_t measured_ns = 10'000'000;
  while (steady_ns() - first_.base_ns < measured_ns) cpu_relax();
  recalibrate();
}

time_point tsc_clock::convert(const line& l, std::uint64_t ticks) noexcept {
  __extension__ using wide = __int128;
  const auto elapsed = static_cast<std::int64_t>(ticks - l.base_ticks);  // signed: a stamp may precede the base
  const auto scaled = (static_cast<wide>(elapsed) * static_cast<wide>(l.scale)) >> 32U;
  return time_point(duration(l.base_ns + static_cast<std::int64_t>(scaled)));
}

time_point tsc_clock::at(std::uint64_t ticks) const noexcept {
  if (!uses_counter_) return time_point(duration(static_cast<std::int64_t>(ticks)));
  return convert(line_.read(), ticks);
}

void tsc_clock::recalibrate() noexcept {
  if (!uses_counter_) return;
  const std::uint64_t t = ticks();
  const std::int64_t ns = steady_ns();
  if (t <= first_.base_ticks || ns <= first_.base_ns) return;
  __extension__ using wide = unsigned __int128;
  // The frequency comes from the whole run so far, so its error shrinks as the process lives.
  const auto scale = static_cast<std::uint64_t>(
      (static_cast<wide>(static_cast<std::uint64_t>(ns - first_.base_ns)) << 32U) / (t - first_.base_ticks));
  line next{t, ns, scale};
  if (line_.writes() != 0) {
    // Never step back: where the old line runs ahead of steady time, start the new one there and let it converge.
    const auto promised = convert(line_.read(), t).time_since_epoch().count();
    if (promised > next.base_ns) next.base_ns = promised;
  }
  line_.write(next);
}

}  // namespace holdfast
