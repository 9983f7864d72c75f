// SPDX-License-Identifier: MIT
#include "holdfast/core/parking.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <climits>
#include <thread>

#if defined(__linux__)
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>
#endif

namespace holdfast {
inline namespace native {

#if defined(__linux__)
static_assert(sizeof(atomic<std::uint64_t>) == sizeof(std::uint64_t), "the kernel looks at the word itself");

namespace {
const std::uint32_t* lower_half(const atomic<std::uint64_t>& word) noexcept {
  return reinterpret_cast<const std::uint32_t*>(&word) + (std::endian::native == std::endian::big ? 1 : 0);
}
}  // namespace

bool park(const atomic<std::uint64_t>& word, std::uint32_t expected, parking_time until) noexcept {
  const int before = errno;  // a library call that reports nothing leaves it alone
  timespec at{};
  const bool never = until == parking_time::max();
  if (!never) {
    const auto since_boot = std::max(until.time_since_epoch(), std::chrono::nanoseconds::zero());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
    at.tv_sec = static_cast<time_t>(seconds.count());
    at.tv_nsec = static_cast<long>((since_boot - seconds).count());
  }
  const bool in_time = ::syscall(SYS_futex, lower_half(word), FUTEX_WAIT_BITSET_PRIVATE, expected,
                                 never ? nullptr : &at, nullptr, FUTEX_BITSET_MATCH_ANY) == 0 ||
                       errno != ETIMEDOUT;
  errno = before;
  return in_time;
}

void unpark(const atomic<std::uint64_t>& word, std::uint32_t sleepers) noexcept {
  const int before = errno;
  ::syscall(SYS_futex, lower_half(word), FUTEX_WAKE_PRIVATE, std::min<std::uint32_t>(sleepers, INT_MAX));
  errno = before;
}
#else
bool park(const atomic<std::uint64_t>& word, std::uint32_t expected, parking_time until) noexcept {
  // hint: a look; the caller's own decides
  if (static_cast<std::uint32_t>(word.load(mo::relaxed)) != expected) return true;
  std::this_thread::sleep_until(std::min(until, std::chrono::steady_clock::now() + std::chrono::microseconds(100)));
  return std::chrono::steady_clock::now() < until;
}
void unpark(const atomic<std::uint64_t>&, std::uint32_t) noexcept {}
#endif

void give_way() noexcept {
  std::this_thread::yield();
}

void doze(unsigned turn) noexcept {
  constexpr unsigned pauses = 64;
  constexpr unsigned yields = pauses + 16;
  if (turn < pauses) {
    cpu_relax();
  } else if (turn < yields) {
    give_way();
  } else {
    const std::chrono::microseconds longer(std::uint64_t{1} << std::min(turn - yields, 10U));
    std::this_thread::sleep_for(std::min<std::chrono::microseconds>(longer, std::chrono::milliseconds(1)));
  }
}

}  // namespace native
}  // namespace holdfast
