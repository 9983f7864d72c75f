// SPDX-License-Identifier: MIT
// context_executor: Boost.Asio's coroutines and handlers keep the context of their request.
//
//   operation              caller    progress         allocates                    when refused
//   carrying(executor,     anyone    as operator new  the context, once            -
//     of)
//   execute                Asio      as the executor  as the executor; a pointer   -
//                                                     more in what it queues
//
// In short: as Asio's executors | as the executor | the context, once | -
//
// Whatever runs on it runs in the context that it was made with: a coroutine spawned on it, after each of its suspensions, the
// calls (interop/asio_call.hpp), timers and coroutines that it begins there, and handlers bound to it. A scope that such a
// coroutine opens ends at its next suspension as far as anybody below can see: Asio does not say where coroutines stop. So close
// it before, or have what it is for spawn on an executor of that scope. None may be open in a coroutine that is destroyed before
// its end, as those are that an io_context still has when it ends.
//
//   boost::asio::co_spawn(carrying(where), handle(request), boost::asio::detached);  // in the context that is current here
//
// Around an io_context's or a thread pool's own executor it is no larger than what any_io_executor holds without a block of its
// own.
//
// Method: an executor adaptor of P0443's kind: properties are asked of and required from the one inside.
//
// Proof: unit/asio_context_test.cpp.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>

#include "holdfast/telemetry/context.hpp"

namespace holdfast {

template <class Executor>
class context_executor {
 public:
  context_executor(Executor inner, std::shared_ptr<const context> of) noexcept
      : inner_(std::move(inner)), of_(std::move(of)) {}

  template <class Function>
  void execute(Function&& what) const {
    inner_.execute([of = of_, what = std::decay_t<Function>(std::forward<Function>(what))]() mutable {
      const context_detail::lent_scope scope(*of);  // a coroutine on it has it as long as it lives
      std::move(what)();
    });
  }

  template <class Property>
  requires boost::asio::can_query<const Executor&, Property>::value decltype(auto) query(const Property& what) const
      noexcept(boost::asio::is_nothrow_query<const Executor&, Property>::value) {
    return boost::asio::query(inner_, what);
  }
  template <class Property>
  requires boost::asio::can_require<const Executor&, Property>::value auto require(const Property& what) const
      noexcept(boost::asio::is_nothrow_require<const Executor&, Property>::value) {
    return with(boost::asio::require(inner_, what));
  }
  template <class Property>
  requires boost::asio::can_prefer<const Executor&, Property>::value auto prefer(const Property& what) const
      noexcept(boost::asio::is_nothrow_prefer<const Executor&, Property>::value) {
    return with(boost::asio::prefer(inner_, what));
  }

  [[nodiscard]] const std::shared_ptr<const context>& carried() const noexcept { return of_; }

  friend bool operator==(const context_executor& a, const context_executor& b) noexcept {
    return a.inner_ == b.inner_ && a.of_ == b.of_;
  }

 private:
  template <class Other>
  context_executor<Other> with(Other other) const noexcept {
    return {std::move(other), of_};
  }

  Executor inner_;
  std::shared_ptr<const context> of_;
};

template <class Executor>
[[nodiscard]] context_executor<Executor> carrying(Executor inner, const context& of = current_context()) {
  return {std::move(inner), std::make_shared<const context>(of)};
}

}  // namespace holdfast
