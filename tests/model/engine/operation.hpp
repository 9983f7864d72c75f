// SPDX-License-Identifier: MIT
// operation: what a thread is about to do to something that other threads can see; the search decides who goes first.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "model/engine/clocks.hpp"
#include "model/engine/place.hpp"

namespace holdfast_model {

using order = std::memory_order;

constexpr bool acquires(order o) noexcept {
  return o == order::acquire || o == order::acq_rel || o == order::seq_cst;
}
constexpr bool releases(order o) noexcept {
  return o == order::release || o == order::acq_rel || o == order::seq_cst;
}
constexpr const char* name_of(order o) noexcept {
  switch (o) {
    case order::relaxed: return "relaxed";
    case order::consume: return "consume";
    case order::acquire: return "acquire";
    case order::release: return "release";
    case order::acq_rel: return "acq_rel";
    case order::seq_cst: return "seq_cst";
  }
  return "unknown";
}

enum class op_kind : std::uint8_t {
  none,
  load,
  store,
  rmw,
  cas_strong,
  cas_weak,
  fence,      // seq_cst only: the weaker ones concern nobody but their own thread
  interrupt,  // a seq_cst fence in another thread, as membarrier(2) makes; which one is in `expected`
  relax,      // a turn of a spin loop
  park,       // sleep while a location holds a value, as a futex does
  parked,     // asleep
  wake,
  lock,
  unlock,
};
constexpr const char* name_of(op_kind k) noexcept {
  constexpr const char* names[] = {"",          "load",  "store", "rmw",    "cas",  "cas weak", "fence",
                                   "interrupt", "relax", "park",  "parked", "wake", "lock",     "unlock"};
  return names[static_cast<int>(k)];
}

// What a run of the checker can be told to get wrong, so that its own tests can show that they would notice.
enum class flaw : std::uint8_t {
  none,
  no_release_sequence,  // an RMW does not pass on what it read
  fences_ignored,       // acquire and release fences do nothing
  order_of_execution,   // a store is always the newest of its location
  one_value_back,       // a load sees at most the last but one
  sc_is_acq_rel,        // seq_cst accesses have no order of their own
  sc_fence_is_acq_rel,  // nor have fences
  no_race_on_read,      // a read beside a write is no race
  rmw_not_atomic,       // a store may come between an RMW and what it read
  weak_never_fails,     // compare_exchange_weak without a reason
  sleeps_too_deep,      // the reduction does not wake a thread for a new message
  failure_as_success,   // a failed exchange has the order of success
  relaxed_is_acquire,   // a relaxed load learns what its message carries
  weak_needs_untaken,   // compare_exchange_weak cannot fail on a value that a read-modify-write took
  sc_steps_commute,     // the reduction does not wake a thread for the seq_cst order
  waker_forgotten,      // who goes to sleep does not see what an earlier waker had seen
  free_beside_use,      // memory may be freed while another thread uses it
  use_after_free,       // and used afterwards
  interrupts_ignored,   // a heavy fence is one in its own thread only
  interrupts_commute,   // the reduction does not wake a thread that is interrupted, nor who interrupts it
  any_order,            // a load may be release, a store acquire
};
inline constexpr std::array all_flaws{
    flaw::no_release_sequence, flaw::fences_ignored,      flaw::order_of_execution, flaw::one_value_back,
    flaw::sc_is_acq_rel,       flaw::sc_fence_is_acq_rel, flaw::no_race_on_read,    flaw::rmw_not_atomic,
    flaw::weak_never_fails,    flaw::sleeps_too_deep,     flaw::failure_as_success, flaw::relaxed_is_acquire,
    flaw::weak_needs_untaken,  flaw::sc_steps_commute,    flaw::waker_forgotten,    flaw::free_beside_use,
    flaw::use_after_free,      flaw::interrupts_ignored,  flaw::interrupts_commute, flaw::any_order};
constexpr const char* name_of(flaw f) noexcept {
  constexpr const char* names[] = {"none",
                                   "no release sequence",
                                   "fences ignored",
                                   "modification order is the order of execution",
                                   "loads look one value back",
                                   "seq_cst accesses are acq_rel",
                                   "seq_cst fences are acq_rel",
                                   "no race of a read with a write",
                                   "read-modify-writes are not atomic",
                                   "a weak exchange never fails without a reason",
                                   "the reduction does not wake for a new message",
                                   "a failed exchange has the order of success",
                                   "a relaxed load acquires",
                                   "a weak exchange cannot fail on a value that was taken",
                                   "the reduction does not wake for the seq_cst order",
                                   "who goes to sleep does not see what a waker had seen",
                                   "memory may be freed beside a use",
                                   "memory may be used after it was freed",
                                   "a heavy fence interrupts nobody",
                                   "the reduction does not wake for an interrupt",
                                   "every order is legal"};
  return names[static_cast<int>(f)];
}

struct operation {
  op_kind kind = op_kind::none;
  std::uint32_t object = 0;  // a location; for lock and unlock a mutex
  order success = order::relaxed;
  order failure = order::relaxed;  // of an exchange that does not happen
  std::uint64_t expected = 0;      // of an exchange, what a sleeper waits to see changed, or whom to interrupt
  place where{};

  [[nodiscard]] bool exchanges() const noexcept { return kind == op_kind::cas_strong || kind == op_kind::cas_weak; }
  [[nodiscard]] bool reads() const noexcept { return kind == op_kind::load || kind == op_kind::rmw || exchanges(); }
  [[nodiscard]] bool writes() const noexcept { return kind == op_kind::store || kind == op_kind::rmw || exchanges(); }
  [[nodiscard]] bool fences() const noexcept { return kind == op_kind::fence || kind == op_kind::interrupt; }
  [[nodiscard]] bool interrupts(unsigned thread) const noexcept {
    return kind == op_kind::interrupt && expected == thread;
  }
  [[nodiscard]] bool on_location() const noexcept { return reads() || writes() || kind == op_kind::park; }
};

// A few positions in a modification order. The end of a scenario's size is a mistake to be told, not to be cut off.
class positions {
 public:
  void add(std::size_t position) {
    if (size_ == at_.size()) {
      std::fputs("model checker: over 256 choices in one step; make the scenario smaller\n", stderr);
      std::abort();
    }
    at_[size_++] = static_cast<std::uint16_t>(position);
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t operator[](std::size_t i) const noexcept { return at_[i]; }

 private:
  std::array<std::uint16_t, 256> at_;  // NOLINT: filled by add
  std::size_t size_ = 0;
};

}  // namespace holdfast_model
