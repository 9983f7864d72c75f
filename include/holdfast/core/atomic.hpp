// SPDX-License-Identifier: MIT
// The seam: the only place where holdfast touches atomics, fences and the CPU's spin hint.
//
//   name            guarantee    allocates   notes
//   atomic<T>       lock-free    never       std::atomic with the order named at every call
//   atomic_ref<T>   lock-free    never       the same over a plain object of the caller
//   plain<T>        none         never       data another atomic publishes; free here, race-checked in a model build
//   fence           wait-free    never       see fence() for what it is under ThreadSanitizer
//   cpu_relax       wait-free    never       a pause in a loop that waits for another thread
//   cpu_pause(n)    wait-free    never       n of them where nobody is waited for: after a lost exchange
//
// The orders are the tags of core/memory_order.hpp: one that an operation must not have does not compile.
//
// Why a seam: a model checker puts a header of its own in the place of this one, and nothing else, to run the same
// templates under every execution that C++20 allows (tests/model). The names live in an inline namespace, another one
// there; the model build compiles the library's sources itself and never links the library.
//
// Proof: tests/model, which replaces it, and tests/contract/seam_cost.py: push and pop are the instructions that one
// would write by hand.
#pragma once

#include <atomic>
#include <concepts>
#include <type_traits>

#include "holdfast/core/memory_order.hpp"

namespace holdfast {

inline namespace native {

template <class T>
class atomic {
  static_assert(std::atomic<T>::is_always_lock_free, "holdfast promises no locks: this type needs one here");

 public:
  constexpr atomic() noexcept : base_(T{}) {}
  constexpr explicit atomic(T value) noexcept : base_(value) {}
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  template <std::memory_order O>
    requires mo::for_load<O>
  [[gnu::always_inline]] T load(mo::tag<O>) const noexcept { return base_.load(O); }
  template <std::memory_order O>
    requires mo::for_store<O>
  [[gnu::always_inline]] void store(T value, mo::tag<O>) noexcept { base_.store(value, O); }
  template <std::memory_order O>
  [[gnu::always_inline]] T exchange(T value, mo::tag<O>) noexcept {
    return base_.exchange(value, O);
  }
  // On failure `expected` holds what was seen, read with order F.
  template <std::memory_order S, std::memory_order F>
    requires mo::for_load<F>
  [[gnu::always_inline]] bool compare_exchange_weak(T& expected, T desired, mo::tag<S>, mo::tag<F>) noexcept {
    return base_.compare_exchange_weak(expected, desired, S, F);
  }
  template <std::memory_order S, std::memory_order F>
    requires mo::for_load<F>
  [[gnu::always_inline]] bool compare_exchange_strong(T& expected, T desired, mo::tag<S>, mo::tag<F>) noexcept {
    return base_.compare_exchange_strong(expected, desired, S, F);
  }
  template <std::memory_order O>
    requires std::integral<T>
  [[gnu::always_inline]] T fetch_add(T value, mo::tag<O>) noexcept { return base_.fetch_add(value, O); }
  template <std::memory_order O>
    requires std::integral<T>
  [[gnu::always_inline]] T fetch_sub(T value, mo::tag<O>) noexcept { return base_.fetch_sub(value, O); }
  template <std::memory_order O>
    requires std::integral<T>
  [[gnu::always_inline]] T fetch_or(T value, mo::tag<O>) noexcept { return base_.fetch_or(value, O); }
  template <std::memory_order O>
    requires std::integral<T>
  [[gnu::always_inline]] T fetch_and(T value, mo::tag<O>) noexcept { return base_.fetch_and(value, O); }
  // Blocks until the value differs from `old` and a notify is seen. The only waiting in this header.
  template <std::memory_order O>
    requires mo::for_load<O>
  void wait(T old, mo::tag<O>) const noexcept { base_.wait(old, O); }
  void notify_one() noexcept { base_.notify_one(); }
  void notify_all() noexcept { base_.notify_all(); }

 private:
  std::atomic<T> base_;
};

// An atomic here ends without a step of its own; one of a model checker is taken out of its books.
inline constexpr bool atomics_end_by_themselves = true;

// Every access to the object while any atomic_ref to it lives goes through an atomic_ref.
template <class T>
class atomic_ref {
  static_assert(std::atomic_ref<T>::is_always_lock_free, "holdfast promises no locks: this type needs one here");

 public:
  explicit atomic_ref(T& object) noexcept : base_(object) {}

  template <std::memory_order O>
    requires mo::for_load<O>
  [[gnu::always_inline]] T load(mo::tag<O>) const noexcept { return base_.load(O); }
  template <std::memory_order O>
    requires mo::for_store<O>
  [[gnu::always_inline]] void store(T value, mo::tag<O>) const noexcept { base_.store(value, O); }
  // On failure `expected` holds what was seen, read with order F.
  template <std::memory_order S, std::memory_order F>
    requires mo::for_load<F>
  [[gnu::always_inline]] bool compare_exchange_strong(T& expected, T desired, mo::tag<S>, mo::tag<F>) const noexcept {
    return base_.compare_exchange_strong(expected, desired, S, F);
  }

 private:
  std::atomic_ref<T> base_;
};

// Data whose visibility some atomic arranges. A model build checks that it really does.
template <class T>
class plain {
 public:
  constexpr plain() = default;
  constexpr explicit plain(T value) : value_(static_cast<T&&>(value)) {}
  [[gnu::always_inline]] constexpr const T& get() const noexcept { return value_; }
  [[gnu::always_inline]] constexpr T& ref() noexcept { return value_; }
  [[gnu::always_inline]] constexpr void set(T value) noexcept(std::is_nothrow_move_assignable_v<T>) {
    value_ = static_cast<T&&>(value);
  }

 private:
  T value_{};
};

#if defined(__SANITIZE_THREAD__)
#define HOLDFAST_HAS_TSAN_ 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HOLDFAST_HAS_TSAN_ 1
#endif
#endif

#ifdef HOLDFAST_HAS_TSAN_
inline constinit std::atomic<unsigned> fence_stand_in{0};
#endif

// Under ThreadSanitizer, which does not model fences and so condemns correct code, a fence is a read-modify-write of
// one global: it orders a little more than the fence would, never less. The model checker is the judge of fences.
template <std::memory_order O>
  requires(O != std::memory_order_relaxed)
[[gnu::always_inline]] inline void fence(mo::tag<O>) noexcept {
#ifdef HOLDFAST_HAS_TSAN_
  fence_stand_in.fetch_add(0, std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(O);
#endif
}
#undef HOLDFAST_HAS_TSAN_

[[gnu::always_inline]] inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  asm volatile("yield" ::: "memory");
#endif
}

// To a model checker, cpu_relax() says that the loop makes no progress by itself, and this says nothing.
[[gnu::always_inline]] inline void cpu_pause(unsigned count) noexcept {
  for (unsigned i = 0; i < count; ++i) cpu_relax();
}

}  // namespace native
}  // namespace holdfast
