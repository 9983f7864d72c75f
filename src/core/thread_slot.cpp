// SPDX-License-Identifier: MIT
#include "holdfast/core/thread_slot.hpp"

#include <pthread.h>

#include <array>
#include <bit>
#include <cstddef>

namespace holdfast {

struct thread_slot_end {
  static void run(void*) noexcept { thread_slot::give_back(); }
};

namespace {

// One bit a number: set, it is taken.
constinit std::array<atomic<std::uint64_t>, thread_slot::limit / 64> taken{};

// pthread keys and not thread_local destructors: registering one of those allocates, once a thread, on what may be a
// hot path. The first 32 keys of a process have their space in the thread itself.
struct end_of_thread {
  pthread_key_t key{};
  bool usable;
  end_of_thread() noexcept : usable(pthread_key_create(&key, &thread_slot_end::run) == 0) {}
};

// Made while the program starts, so that the key is an early one and no thread is the first to make it.
const end_of_thread& ending() noexcept {
  static const end_of_thread only;
  return only;
}
[[maybe_unused]] const end_of_thread& made_early = ending();

std::uint32_t lowest_free() noexcept {
  for (std::size_t i = 0; i < taken.size(); ++i) {
    // hint: the exchange below decides
    std::uint64_t seen = taken[i].load(mo::relaxed);
    while (~seen != 0) {
      const auto bit = static_cast<std::uint32_t>(std::countr_one(seen));
      // [N1] acquire, pairs with [N2]: what the former owner of the number wrote to its places is seen
      // hint: a failure is tried again
      if (taken[i].compare_exchange_weak(seen, seen | std::uint64_t{1} << bit, mo::acquire, mo::relaxed))
        return static_cast<std::uint32_t>(i * 64) + bit;
    }
  }
  return thread_slot::none;
}

void release(std::uint32_t number) noexcept {
  // [N2] release, pairs with [N1]: hands the number's places to the next owner
  taken[number / 64].fetch_and(~(std::uint64_t{1} << (number % 64)), mo::release);
}

}  // namespace

std::uint32_t thread_slot::take() noexcept {
  const std::uint32_t number = lowest_free();
  if (number == none) return none;  // asked again next time: a number may be free by then
  // Any value but null: it makes the key's destructor run when this thread ends. Where that cannot be arranged, the
  // number could never be given back, so none is taken.
  if (!ending().usable || pthread_setspecific(ending().key, &taken) != 0) {
    release(number);
    return none;
  }
  // counter: a maximum
  std::uint32_t seen = high_water_.load(mo::relaxed);
  while (seen <= number &&
         !high_water_.compare_exchange_weak(seen, number + 1, mo::relaxed, mo::relaxed)) {  // counter:
  }
  mine_ = number;
  return number;
}

void thread_slot::give_back() noexcept {
  const std::uint32_t number = mine_;
  mine_ = none;  // what still runs in this thread uses the shared places
  if (number < limit) release(number);
}

}  // namespace holdfast
