// SPDX-License-Identifier: MIT
#include "holdfast/core/thread_slot.hpp"

#include <pthread.h>

#include <cstdint>

#include "number_pool.hpp"

namespace holdfast {

struct thread_slot_end {
  static void run(void*) noexcept { thread_slot::give_back(); }
};

namespace {

constinit number_pool<thread_slot::limit> numbers{};
static_assert(numbers.none == thread_slot::none);

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

}  // namespace

std::uint32_t thread_slot::take() noexcept {
  const std::uint32_t number = numbers.take();
  if (number == none) return none;  // asked again next time: a number may be free by then
  // Any value but null: it makes the key's destructor run when this thread ends. Where that cannot be arranged, the
  // number could never be given back, so none is taken.
  if (!ending().usable || pthread_setspecific(ending().key, &numbers) != 0) {
    numbers.give_back(number);
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
  if (number < limit) numbers.give_back(number);
}

}  // namespace holdfast
