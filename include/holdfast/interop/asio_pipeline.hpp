// SPDX-License-Identifier: MIT
// asio_pipeline: pipelines on Boost.Asio, and calls that end in any of its completion tokens.
//
//   operation                            caller            progress   allocates              note
//   co_await async_call(pipe, context,   a coroutine on    as `op`    as interop/asio_call   outcome<T>; served<T> where it
//                       op)              a strand                     and a frame            falls back
//   async_call(executor, callee,         any thread        as `op`    as above, and what     callee: a guard or a pipeline
//              context, op, token)                                    co_spawn allocates
//
// In short: a coroutine on a strand; with a token any thread | as the operation | as `interop/asio_call` | as `exec/pipeline`
//
//   async_call(strand, orders, context, fetch, [](outcome<order> got) { ... });            // a callback
//   outcome<order> got = co_await async_call(strand, orders, context, fetch, use_awaitable);
//   auto later = async_call(strand, orders, context, fetch, deferred);                     // begins when it is called
//
// A pipeline with with::hedge is called as interop/asio_hedge.hpp says, with stoppable_attempt for `op`.
//
// The call runs on `executor`, a strand or an io_context run by one thread, and completes on the handler's own. Its
// cancellation slot ends the call with errc::cancelled, which no breaker counts, for terminal and partial cancellation; a call
// that has begun cannot promise to have had no effect, so total is not heard. Guards and pipelines outlive the call. The handler's
// allocator is that of its completion, not of the coroutines, whose frames are Asio's.
//
// Proof: tests/unit/asio_pipeline_test.cpp.
#pragma once

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>

#include "holdfast/exec/catch_errors.hpp"
#include "holdfast/exec/pipeline.hpp"
#include "holdfast/interop/asio_call.hpp"
#include "holdfast/interop/asio_context.hpp"
#include "holdfast/interop/asio_hedge.hpp"
#include "holdfast/interop/boost_error.hpp"

namespace holdfast {

// What comes before the tiers, if there are any.
template <class... Layers, class Op, class Observer>
auto async_call_itself(const pipeline<Layers...>& pipe, const call_context& context, Op op, Observer observer) {
  if constexpr (pipeline<Layers...>::hedges != 0) {
    return async_hedge<pipeline<Layers...>::hedges>(pipe.protects(), pipe.hedging(), context, std::move(op),
                                                    std::move(observer));
  } else {
    return async_call(pipe.protects(), context, std::move(op), std::move(observer));
  }
}

template <class... Layers, class Op, class Observer = no_observer>
  requires(!pipeline<Layers...>::falls_back)
auto async_call(const pipeline<Layers...>& pipe, call_context context, Op op, Observer observer = {}) {
  pipe.judge(context);
  return async_call_itself(pipe, context, std::move(op), std::move(observer));
}

template <class... Layers, class Op, class Observer = no_observer>
requires pipeline<Layers...>::falls_back auto async_call(const pipeline<Layers...>& pipe, call_context context, Op op,
                                                         Observer observer = {})
    -> boost::asio::awaitable<
        served<typename std::invoke_result_t<Op&, const stoppable_attempt&>::value_type::value_type>> {
  pipe.judge(context);
  context.until = pipe.protects().until(steady_clock::now(), context);
  auto first = co_await async_call_itself(pipe, context, std::move(op), std::move(observer));
  if (first.ok()) co_return pipe.answered(std::move(first));
  co_return pipe.after_failure(std::move(first), context, steady_clock{});
}

// What a spawned call leaves, which Asio wants to be able to leave empty.
template <class Result>
boost::asio::awaitable<std::optional<Result>> spawned_call(boost::asio::awaitable<Result> call) {
  co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::enable_partial_cancellation());
  co_return co_await std::move(call);
}
template <class Result>
Result result_or_thrown(const std::exception_ptr& thrown, std::optional<Result>&& left) noexcept {
  if (left.has_value()) return std::move(*left);
  try {
    std::rethrow_exception(thrown);
  } catch (...) {
    return Result{error_of_current_exception(boost_translator{})};
  }
}

template <class Callee, class Op, class Token, class Observer = no_observer>
auto async_call(const boost::asio::any_io_executor& executor, const Callee& callee, const call_context& context, Op op,
                Token&& token, Observer observer = {}) {
  namespace asio = boost::asio;
  using result = typename decltype(async_call(callee, context, std::move(op), std::move(observer)))::value_type;
  const auto begin = [](auto handler, const asio::any_io_executor& where, const Callee* whom,
                        const call_context& inherits, Op asked, Observer hears) {
    const auto slot = asio::get_associated_cancellation_slot(handler);
    const auto allocator = asio::get_associated_allocator(handler);
    const auto completes_on = asio::get_associated_executor(handler, where);
    // What it ends in has the context of who began it, too, on whatever executor that runs.
    const auto in_context = carrying(where);
    auto done = [handler = std::move(handler), of = in_context.carried()](const std::exception_ptr& thrown,
                                                                          std::optional<result> left) mutable {
      // Where an executor has lent that context already, its own stays: it outlives this block, in which a coroutine may go on
      // and open scopes that end later.
      std::optional<context_scope> scope;
      const holdfast::context& has = current_context();
      if (has.trace != of->trace || has.correlation_id != of->correlation_id.view()) scope.emplace(*of);
      std::move(handler)(result_or_thrown(thrown, std::move(left)));
    };
    asio::co_spawn(in_context, spawned_call(async_call(*whom, inherits, std::move(asked), std::move(hears))),
                   asio::bind_executor(completes_on, asio::bind_allocator(allocator, asio::bind_cancellation_slot(
                                                                                         slot, std::move(done)))));
  };
  return asio::async_initiate<Token, void(result)>(begin, token, executor, &callee, context, std::move(op),
                                                   std::move(observer));
}
// It would be gone before the call is.
template <class Callee, class Op, class Token, class Observer = no_observer>
  requires(!std::is_lvalue_reference_v<Callee>)
auto async_call(const boost::asio::any_io_executor& executor, Callee&& callee, const call_context& context, Op op,
                Token&& token, Observer observer = {}) = delete;

}  // namespace holdfast
