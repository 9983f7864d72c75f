// SPDX-License-Identifier: MIT
// outcome<T>: a value or an error; what every guarded operation returns.
//
//   operation        guarantee    allocates   note
//   value, error     wait-free    never       asserted: ask ok() first
//   value_or         wait-free    never
//   kind             wait-free    never       verdict::ok for a value
//
// Trivially copyable when T is. No exception, no RTTI. Like std::expected<T, error> (C++23), which it will become.
//
// Proof: unit/error_test.cpp.
#pragma once

#include <type_traits>
#include <utility>
#include <variant>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/error.hpp"

namespace holdfast {

template <class T = void>
class [[nodiscard]] outcome {
  static_assert(!std::is_same_v<std::remove_cv_t<T>, holdfast::error> && !std::is_reference_v<T>);

 public:
  using value_type = T;

  template <class U = T>
    requires(std::is_constructible_v<T, U&&> && !std::is_same_v<std::remove_cvref_t<U>, outcome> &&
             !std::is_same_v<std::remove_cvref_t<U>, holdfast::error> && !std::is_same_v<std::remove_cvref_t<U>, errc>)
  outcome(U&& value)
  noexcept(std::is_nothrow_constructible_v<T, U&&>)  // NOLINT(google-explicit-constructor)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  outcome(const holdfast::error& why) noexcept
      : state_(std::in_place_index<1>, why) {}                         // NOLINT(google-explicit-constructor)
  outcome(errc why) noexcept : state_(std::in_place_index<1>, why) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  [[nodiscard]] T& value() & noexcept {
    HOLDFAST_ASSERT(ok());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] const T& value() const& noexcept {
    HOLDFAST_ASSERT(ok());
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] T&& value() && noexcept {
    HOLDFAST_ASSERT(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & noexcept { return value(); }
  const T& operator*() const& noexcept { return value(); }
  T&& operator*() && noexcept { return std::move(*this).value(); }
  T* operator->() noexcept { return &value(); }
  const T* operator->() const noexcept { return &value(); }

  template <class U>
  [[nodiscard]] T value_or(U&& other) const& {
    return ok() ? value() : static_cast<T>(std::forward<U>(other));
  }

  [[nodiscard]] holdfast::error& error() noexcept {
    HOLDFAST_ASSERT(!ok());
    return *std::get_if<1>(&state_);
  }
  [[nodiscard]] const holdfast::error& error() const noexcept {
    HOLDFAST_ASSERT(!ok());
    return *std::get_if<1>(&state_);
  }
  [[nodiscard]] verdict kind() const noexcept { return ok() ? verdict::ok : error().kind; }

 private:
  std::variant<T, holdfast::error> state_;
};

template <>
class [[nodiscard]] outcome<void> {
 public:
  using value_type = void;

  outcome() noexcept = default;
  outcome(const holdfast::error& why) noexcept : error_(why), ok_(false) {}  // NOLINT(google-explicit-constructor)
  outcome(errc why) noexcept : error_(why), ok_(false) {}                    // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  explicit operator bool() const noexcept { return ok_; }
  [[nodiscard]] holdfast::error& error() noexcept {
    HOLDFAST_ASSERT(!ok_);
    return error_;
  }
  [[nodiscard]] const holdfast::error& error() const noexcept {
    HOLDFAST_ASSERT(!ok_);
    return error_;
  }
  [[nodiscard]] verdict kind() const noexcept { return ok_ ? verdict::ok : error_.kind; }

 private:
  holdfast::error error_{};
  bool ok_ = true;
};
static_assert(std::is_trivially_copyable_v<outcome<int>> && std::is_trivially_copyable_v<outcome<>>);

}  // namespace holdfast
