// SPDX-License-Identifier: MIT
// awaiter_of: what a co_await asks: of an awaitable its awaiter, of an awaiter itself.
//
// Method: [expr.await] of the standard, without an await_transform.
//
// Proof: unit/co_call_test.cpp, unit/task_context_test.cpp.
#pragma once

#include <type_traits>
#include <utility>

namespace holdfast {

template <class A>
decltype(auto) awaiter_of(A&& awaitable) {
  if constexpr (requires { std::forward<A>(awaitable).operator co_await(); }) {
    return std::forward<A>(awaitable).operator co_await();
  } else if constexpr (requires { operator co_await(std::forward<A>(awaitable)); }) {
    return operator co_await(std::forward<A>(awaitable));
  } else {
    return std::forward<A>(awaitable);
  }
}
template <class A>
using await_result = std::remove_cvref_t<decltype(awaiter_of(std::declval<A>()).await_resume())>;

}  // namespace holdfast
