// SPDX-License-Identifier: MIT
// inplace_stop: to ask for a stop, and to be told of it, with the state in its owner's storage: std::stop_source without its
// allocation.
//
//   operation              caller       progress                          cost           allocates   when refused
//   stop_requested         any thread   wait-free                         one load       never       -
//   request_stop           any thread   blocking while another enters     two stores a   never       false: somebody has asked
//                                       or leaves; then as the callbacks  callback                   before
//   a callback's           any thread   blocking while another enters     an exchange    never       a stop was asked for: it is
//   construction                        or leaves                         and a store                called there and then
//   a callback's           any thread   the same, and while its call      the same       never       -
//   destruction                         runs on another thread
//
// In short: any thread | blocking while another enters or leaves | never | false: a stop was asked for before
//
//   S1 Of all who ask for a stop one is told true; from then on stop_requested() is true, and what that one did before is seen.
//   S2 A callback that lives when a stop is asked for is called once, if its destructor does not come before its turn; without a
//      stop, never. By the one who asks, or, when it comes after that, by its own constructor.
//   S3 Once its destructor has ended, a callback is not called, and its call has ended; but for the call that it was destroyed
//      in. Nothing of it is touched any more.
//
// As std::stop_source and std::inplace_stop_source of C++26, whose names it has: the source outlives its tokens and callbacks,
// and every call of request_stop(); the newest callback is called first; what one throws ends the program. Callbacks run under
// no lock: they may enter and leave others, and themselves.
//
// What takes any token takes `stoppable_token` and makes its callbacks with `stop_callback_for`: std::stop_token is one as well.
//
// When to use it: where who asks outlives who is asked, as a call its attempts. Where tokens may outlive the source:
// std::stop_source. A callback enters and leaves under a lock of one bit, for as long as it takes to link it: not for what
// happens millions of times a second on one source.
//
// Memory: 32 bytes; in each callback three pointers and the callable. Method: P2300's inplace_stop_source, whose state is a list
// under a bit; here the source says which callback is running, so that who waits for its end looks at nothing that may be gone.
// Proof: unit/inplace_stop_test.cpp, model/inplace_stop_model.cpp and stress/inplace_stop_stress.cpp (S1-S3),
// alloc/co_hedge_alloc_test.cpp, bench/inplace_stop_bench.cpp.
#pragma once

#include <concepts>
#include <cstdint>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/parking.hpp"
#include "holdfast/core/thread_slot.hpp"

namespace holdfast {

class inplace_stop_token;
template <std::invocable F>
class inplace_stop_callback;

// What of a callback its source knows.
class inplace_stop_hook {
 public:
  inplace_stop_hook(const inplace_stop_hook&) = delete;
  inplace_stop_hook& operator=(const inplace_stop_hook&) = delete;

 protected:
  using call = void (*)(inplace_stop_hook& self) noexcept;
  explicit inplace_stop_hook(call when_stopped) noexcept : when_stopped_(when_stopped) {}
  ~inplace_stop_hook() = default;

 private:
  friend class inplace_stop_source;

  const call when_stopped_;
  // Both under the source's lock.
  plain<inplace_stop_hook*> next_{nullptr};
  plain<plain<inplace_stop_hook*>*> link_{nullptr};  // what points at this one; null: it is not in the list
};

class inplace_stop_source {
 public:
  inplace_stop_source() noexcept = default;
  inplace_stop_source(const inplace_stop_source&) = delete;
  inplace_stop_source& operator=(const inplace_stop_source&) = delete;
  ~inplace_stop_source() { HOLDFAST_ASSERT(first_.get() == nullptr); }

  [[nodiscard]] inplace_stop_token get_token() noexcept;
  static constexpr bool stop_possible() noexcept { return true; }
  [[nodiscard]] bool stop_requested() const noexcept {
    return (word_.load(mo::acquire) & stopped) != 0;  // [IS1] acquire, pairs with [IS2]: what was done before it
  }

  bool request_stop() noexcept {
    if (!lock_unless_stopped(stopped | locked)) return false;
    requester_.set(thread_slot::self());
    for (bool has_called = false;; has_called = true) {
      inplace_stop_hook* const next = first_.get();
      if (next != nullptr) unlink(*next);
      // [IS5] release, pairs with [IS6]: the call before has ended
      running_.store(next, mo::release);
      unlock(stopped);
      if (has_called) running_.notify_all();
      if (next == nullptr) return true;
      next->when_stopped_(*next);  // and is touched no more: it may be gone
      static_cast<void>(lock());
    }
  }

 private:
  template <std::invocable F>
  friend class inplace_stop_callback;

  static constexpr std::uint32_t stopped = 1;
  static constexpr std::uint32_t locked = 2;

  // False: a stop has been asked for, and it is not in the list.
  bool enter(inplace_stop_hook& one) noexcept {
    if (!lock_unless_stopped(locked)) return false;
    inplace_stop_hook* const behind = first_.get();
    one.next_.set(behind);
    one.link_.set(&first_);
    if (behind != nullptr) behind->link_.set(&one.next_);
    first_.set(&one);
    unlock(0);
    return true;
  }
  void leave(inplace_stop_hook& one) noexcept {
    const std::uint32_t was = lock();
    if (one.link_.get() != nullptr) {
      unlink(one);
      unlock(was);
      return;
    }
    // It has been taken out to be called; if by this thread, then by a call that this one is in, or that has ended.
    const bool by_myself = requester_.get() == thread_slot::self();
    unlock(was);
    // [IS6] acquire, pairs with [IS5]: what its call did. Once another one runs there it has ended
    if (!by_myself) running_.wait(&one, mo::acquire);
  }
  static void unlink(inplace_stop_hook& one) noexcept {
    inplace_stop_hook* const behind = one.next_.get();
    one.link_.get()->set(behind);
    if (behind != nullptr) behind->link_.set(one.link_.get());
    one.link_.set(nullptr);
  }

  // False: a stop has been asked for.
  bool lock_unless_stopped(std::uint32_t to) noexcept {
    for (unsigned turn = 0;;) {
      // [IS3] acquire, pairs with [IS2]: who comes too late sees what was done before the stop
      std::uint32_t seen = word_.load(mo::acquire);
      if ((seen & stopped) != 0) return false;
      // [IS2] acq_rel, pairs with [IS1], [IS3] and [IS4]: what was done before the stop; and the list, as others left it
      // hint: on failure it is looked at again
      if (seen == 0 && word_.compare_exchange_weak(seen, to, mo::acq_rel, mo::relaxed)) return true;
      if ((seen & locked) != 0) doze(turn++);
    }
  }
  // What it was without the lock.
  std::uint32_t lock() noexcept {
    std::uint32_t seen = word_.load(mo::relaxed) & stopped;  // hint: the exchange decides
    for (unsigned turn = 0;;) {
      // [IS7] acquire, pairs with [IS4]: the list, as others left it. On failure
      // hint: it is tried again
      if (word_.compare_exchange_weak(seen, seen | locked, mo::acquire, mo::relaxed)) return seen;
      if ((seen & locked) != 0) doze(turn++);
      seen &= stopped;
    }
  }
  void unlock(std::uint32_t to) noexcept {
    word_.store(to, mo::release);  // [IS4] release, pairs with [IS2] and [IS7]: the list
  }

  atomic<std::uint32_t> word_{0};
  // Whose turn it is, of those who were in the list; written by who asked for the stop.
  atomic<inplace_stop_hook*> running_{nullptr};
  // Under the lock.
  plain<inplace_stop_hook*> first_{nullptr};
  plain<const void*> requester_{nullptr};
};

class inplace_stop_token {
 public:
  template <std::invocable F>
  using callback_type = inplace_stop_callback<F>;

  inplace_stop_token() noexcept = default;
  [[nodiscard]] bool stop_requested() const noexcept { return source_ != nullptr && source_->stop_requested(); }
  [[nodiscard]] bool stop_possible() const noexcept { return source_ != nullptr; }
  friend bool operator==(const inplace_stop_token&, const inplace_stop_token&) noexcept = default;

 private:
  friend class inplace_stop_source;
  template <std::invocable F>
  friend class inplace_stop_callback;

  explicit inplace_stop_token(inplace_stop_source& of) noexcept : source_(&of) {}

  inplace_stop_source* source_ = nullptr;
};

inline inplace_stop_token inplace_stop_source::get_token() noexcept {
  return inplace_stop_token(*this);
}

template <std::invocable F>
class inplace_stop_callback : inplace_stop_hook {
 public:
  using callback_type = F;

  template <class Init>
    requires std::constructible_from<F, Init> inplace_stop_callback(inplace_stop_token token, Init&& what)
  noexcept(std::is_nothrow_constructible_v<F, Init>)
      : inplace_stop_hook(run), what_(std::forward<Init>(what)), source_(token.source_) {
    if (source_ == nullptr || source_->enter(*this)) return;
    source_ = nullptr;
    run(*this);
  }
  ~inplace_stop_callback() {
    if (source_ != nullptr) source_->leave(*this);
  }

 private:
  static void run(inplace_stop_hook& self) noexcept {
    std::forward<F>(static_cast<inplace_stop_callback&>(self).what_)();
  }

  F what_;
  inplace_stop_source* source_;  // null: it is in no list, and was in none
};
template <class F>
inplace_stop_callback(inplace_stop_token, F) -> inplace_stop_callback<F>;

// The callback that goes with a token.
template <class Token, class F>
struct stop_callback_of {
  using type = typename Token::template callback_type<F>;
};
template <class F>
struct stop_callback_of<std::stop_token, F> {  // which has no callback_type before C++26
  using type = std::stop_callback<F>;
};
template <class Token, class F>
using stop_callback_for = typename stop_callback_of<Token, F>::type;

// What tells of a stop: std::stop_token, inplace_stop_token, or one of your own, with a callback_type.
template <class T>
concept stoppable_token = std::copyable<T> && std::equality_comparable<T> && requires(const T& token) {
  { token.stop_requested() }
  noexcept->std::same_as<bool>;
  { token.stop_possible() }
  noexcept->std::same_as<bool>;
  typename stop_callback_for<T, void (*)()>;
};
static_assert(stoppable_token<std::stop_token>);
static_assert(stoppable_token<inplace_stop_token>);

}  // namespace holdfast
