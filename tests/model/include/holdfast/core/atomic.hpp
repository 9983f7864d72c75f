// SPDX-License-Identifier: MIT
// The seam of the model build: stands in for include/holdfast/core/atomic.hpp by coming first in the search path.
//
// An atomic is as large as it is in production and holds its first value; all later ones are the checker's. Outside of an
// execution (static initialisation, the test's own code) it is just a value, for one thread.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "holdfast/core/memory_order.hpp"

#include "model/engine/engine.hpp"

namespace holdfast {
inline namespace model {

namespace model_detail {
using holdfast_model::engine;
using holdfast_model::place;

template <class T>
std::uint64_t bits_of(const T& value) noexcept {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}
template <class T>
T value_of(std::uint64_t bits) noexcept {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
// An atomic number wraps, signed or not.
template <std::integral T>
T sum(T a, T b) noexcept {
  using bits = std::make_unsigned_t<T>;
  return static_cast<T>(static_cast<bits>(static_cast<bits>(a) + static_cast<bits>(b)));
}
template <std::integral T>
T difference(T a, T b) noexcept {
  using bits = std::make_unsigned_t<T>;
  return static_cast<T>(static_cast<bits>(static_cast<bits>(a) - static_cast<bits>(b)));
}
}  // namespace model_detail

template <class T>
class atomic {
  using place = model_detail::place;
  static model_detail::engine& the_engine() { return model_detail::engine::instance(); }
  static bool running() noexcept { return model_detail::engine::running(); }

 public:
  constexpr atomic() noexcept : atomic(T{}) {}
  constexpr explicit atomic(T value) noexcept : value_(value) {
    if (!std::is_constant_evaluated() && running()) the_engine().constructed(this, model_detail::bits_of(value_));
  }
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;
  constexpr ~atomic() {
    if (!std::is_constant_evaluated() && running()) the_engine().destroyed(this);
  }

  template <std::memory_order O>
    requires mo::for_load<O> T load(mo::tag<O>, place at = place::here())
  const {
    if (!running()) return value_;
    return model_detail::value_of<T>(the_engine().load(this, model_detail::bits_of(value_), O, at));
  }
  template <std::memory_order O>
    requires mo::for_store<O>
  void store(T value, mo::tag<O>, place at = place::here()) {
    if (running()) {
      the_engine().store(this, model_detail::bits_of(value_), model_detail::bits_of(value), O, at);
    } else {
      value_ = value;
    }
  }
  template <std::memory_order O>
  T exchange(T value, mo::tag<O>, place at = place::here()) {
    return modify([value](T) { return value; }, O, at);
  }
  template <std::memory_order S, std::memory_order F>
    requires mo::for_load<F>
  bool compare_exchange_weak(T& expected, T desired, mo::tag<S>, mo::tag<F>, place at = place::here()) {
    return exchange_if(expected, desired, S, F, true, at);
  }
  template <std::memory_order S, std::memory_order F>
    requires mo::for_load<F>
  bool compare_exchange_strong(T& expected, T desired, mo::tag<S>, mo::tag<F>, place at = place::here()) {
    return exchange_if(expected, desired, S, F, false, at);
  }
  template <std::memory_order O>
    requires std::integral<T> T fetch_add(T by, mo::tag<O>, place at = place::here()) {
      return modify([by](T was) { return model_detail::sum(was, by); }, O, at);
    }
  template <std::memory_order O>
    requires std::integral<T> T fetch_sub(T by, mo::tag<O>, place at = place::here()) {
      return modify([by](T was) { return model_detail::difference(was, by); }, O, at);
    }
  template <std::memory_order O>
    requires std::integral<T> T fetch_or(T by, mo::tag<O>, place at = place::here()) {
      return modify([by](T was) { return static_cast<T>(was | by); }, O, at);
    }
  template <std::memory_order O>
    requires std::integral<T> T fetch_and(T by, mo::tag<O>, place at = place::here()) {
      return modify([by](T was) { return static_cast<T>(was & by); }, O, at);
    }
  template <std::memory_order O>
    requires mo::for_load<O>
  void wait(T old, mo::tag<O> o, place at = place::here()) const {
    while (load(o, at) == old) the_engine().park(this, model_detail::bits_of(value_), model_detail::bits_of(old), at);
  }
  // As wait(), but for the bits of the mask, and returns when it was woken or they are others: for core/parking.hpp.
  void park(T expected, T mask, place at = place::here()) const {
    if (running()) the_engine().park(this, model_detail::bits_of(value_), expected, at, mask);
  }
  void notify_one(place at = place::here()) const { the_engine().wake(this, model_detail::bits_of(value_), false, at); }
  void notify_all(place at = place::here()) const { the_engine().wake(this, model_detail::bits_of(value_), true, at); }

 private:
  template <class Function>
  T modify(Function f, std::memory_order o, place at) {
    if (!running()) return std::exchange(value_, f(value_));
    return model_detail::value_of<T>(the_engine().modify(
        this, model_detail::bits_of(value_), o, at,
        [&f](std::uint64_t was) { return model_detail::bits_of(static_cast<T>(f(model_detail::value_of<T>(was)))); }));
  }
  bool exchange_if(T& expected, T desired, std::memory_order s, std::memory_order f, bool weak, place at) {
    if (!running()) {
      if (model_detail::bits_of(value_) != model_detail::bits_of(expected)) {
        expected = value_;
        return false;
      }
      value_ = desired;
      return true;
    }
    std::uint64_t seen = model_detail::bits_of(expected);
    const bool done = the_engine().exchange_if(this, model_detail::bits_of(value_), seen,
                                               model_detail::bits_of(desired), s, f, weak, at);
    expected = model_detail::value_of<T>(seen);
    return done;
  }

  T value_;
};

inline constexpr bool atomics_end_by_themselves = false;

// Its object's memory is not written: whoever reads it goes through an atomic_ref as well.
template <class T>
class atomic_ref {
  using place = model_detail::place;

 public:
  explicit atomic_ref(T& object) noexcept : object_(object) {}

  template <std::memory_order O>
    requires mo::for_load<O> T load(mo::tag<O>, place at = place::here())
  const {
    if (!model_detail::engine::running()) return object_;
    return model_detail::value_of<T>(
        model_detail::engine::instance().load(&object_, model_detail::bits_of(object_), O, at));
  }
  template <std::memory_order O>
    requires mo::for_store<O>
  void store(T value, mo::tag<O>, place at = place::here()) const {
    if (model_detail::engine::running()) {
      model_detail::engine::instance().store(&object_, model_detail::bits_of(object_), model_detail::bits_of(value), O,
                                             at);
    } else {
      object_ = value;
    }
  }
  template <std::memory_order S, std::memory_order F>
    requires mo::for_load<F>
  bool compare_exchange_strong(T& expected, T desired, mo::tag<S>, mo::tag<F>, place at = place::here()) const {
    if (!model_detail::engine::running()) {
      const bool same = object_ == expected;
      (same ? object_ : expected) = same ? desired : object_;
      return same;
    }
    std::uint64_t seen = model_detail::bits_of(expected);
    const bool done = model_detail::engine::instance().exchange_if(&object_, model_detail::bits_of(object_), seen,
                                                                   model_detail::bits_of(desired), S, F, false, at);
    expected = model_detail::value_of<T>(seen);
    return done;
  }

 private:
  T& object_;
};

template <class T>
class plain {
  using place = model_detail::place;

 public:
  constexpr explicit plain(place at = place::here()) { made(at); }
  constexpr explicit plain(T value, place at = place::here()) noexcept(std::is_nothrow_move_constructible_v<T>)
      : value_(std::move(value)) {
    made(at);
  }
  // As in production: a queue that asks for moves without exceptions takes it.
  plain(const plain& other, place at = place::here()) noexcept(std::is_nothrow_copy_constructible_v<T>)
      : value_(other.get(at)) {
    made(at);
  }
  plain& operator=(const plain& other) noexcept(std::is_nothrow_copy_assignable_v<T>) {
    set(other.get());
    return *this;
  }
  constexpr ~plain() {
    if (!std::is_constant_evaluated() && model_detail::engine::running())
      model_detail::engine::instance().plain_gone(this, place::here());
  }

  const T& get(place at = place::here()) const {
    if (model_detail::engine::running()) model_detail::engine::instance().plain_read(this, at);
    return value_;
  }
  T& ref(place at = place::here()) {
    if (model_detail::engine::running()) model_detail::engine::instance().plain_written(this, at);
    return value_;
  }
  void set(T value, place at = place::here()) { ref(at) = std::move(value); }

 private:
  constexpr void made(place at) {
    if (!std::is_constant_evaluated() && model_detail::engine::running())
      model_detail::engine::instance().plain_made(this, at);
  }
  T value_{};
};

template <std::memory_order O>
  requires(O != std::memory_order_relaxed)
inline void fence(mo::tag<O>, model_detail::place at = model_detail::place::here()) {
  if (model_detail::engine::running()) model_detail::engine::instance().fence(O, at);
}

inline void cpu_relax(model_detail::place at = model_detail::place::here()) {
  if (model_detail::engine::running()) model_detail::engine::instance().relax(at);
}

inline void cpu_pause(unsigned) {}

}  // namespace model
}  // namespace holdfast
