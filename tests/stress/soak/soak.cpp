// SPDX-License-Identifier: MIT
#include "soak.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace soak {

bool run::next_round() {
  const double now = seconds();
  if (now - said_ >= 1) {
    said_ = now;
    std::printf("PROGRESS %.*s: ops=%" PRIu64 " seconds=%.1f\n", static_cast<int>(suite_.size()), suite_.data(),
                operations_, now);
    std::fflush(stdout);
  }
  // One round at least: a run that checked nothing has shown nothing.
  if (failures_ != 0 || (rounds_ != 0 && now >= chosen_.seconds) || operations_ >= chosen_.operations) return false;
  round_seed_ = next_seed_();
  ++rounds_;
  return true;
}

std::uint64_t run::at_most(std::uint64_t wanted) const {
  return std::min(wanted, chosen_.operations - std::min(chosen_.operations, operations_));
}

void run::did(std::uint64_t operations, std::uint64_t batched) {
  operations_ += operations;
  batched_ += batched;
}

void run::expect(bool holds, std::string_view what) {
  if (holds) return;
  const std::lock_guard guard(failing_);
  if (++failures_ > 10) return;
  std::printf("FAILURE %.*s: %.*s (seed %" PRIu64 ", round %" PRIu64 ")\n", static_cast<int>(suite_.size()),
              suite_.data(), static_cast<int>(what.size()), what.data(), chosen_.seed, rounds_);
  std::fflush(stdout);
}

void together(const std::vector<std::function<void()>>& bodies) {
  holdfast::atomic<std::size_t> missing{bodies.size()};
  std::vector<std::thread> threads;
  threads.reserve(bodies.size());
  for (const auto& body : bodies) {
    threads.emplace_back([&missing, &body] {
      missing.fetch_sub(1, mo::relaxed);  // counter: creating and joining the threads orders what they share
      // A spin without a yield would take the core from those that are waited for.
      while (missing.load(mo::relaxed) != 0) std::this_thread::yield();  // hint: the start, publishes nothing
      body();
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace soak
