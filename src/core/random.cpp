// SPDX-License-Identifier: MIT
#include "holdfast/core/random.hpp"

#include <pthread.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

namespace holdfast {
namespace {

constinit shared_splitmix64 process_random{0};

void seed_from_kernel() noexcept {
  std::uint64_t seed = 0;
  if (::getrandom(&seed, sizeof seed, GRND_NONBLOCK) != static_cast<ssize_t>(sizeof seed)) {
    // Early at boot, or an old kernel: time and process id keep apart what must not act in step.
    timespec t{};
    ::clock_gettime(CLOCK_REALTIME, &t);
    seed =
        splitmix64_mix(static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(t.tv_nsec)) ^
        splitmix64_mix(static_cast<std::uint64_t>(::getpid()));
  }
  process_random.seed(seed);
}

// Before main, because a fork handler allocates and no later moment is free of it. Words asked for earlier still come,
// from seed 0.
[[maybe_unused]] const bool seeded = [] {
  seed_from_kernel();
  ::pthread_atfork(nullptr, nullptr, [] { seed_from_kernel(); });
  return true;
}();

}  // namespace

std::uint64_t shared_random() noexcept {
  return process_random();
}

void seed_shared_random(std::uint64_t seed) noexcept {
  process_random.seed(seed);
}

}  // namespace holdfast
