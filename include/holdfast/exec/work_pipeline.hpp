// SPDX-License-Identifier: MIT
// work_pipeline: producers -> stages -> a last stage, each with a queue and threads of its own.
//
//   operation        caller           progress                 allocates    when refused
//   start            owner, once      blocking                 the threads  which stage and option is wrong, or why no threads
//   push(v, until)   producers        as the first stage's     never        full (the deadline has passed, or v was shed) or
//                                     overflow says                         closed; v is still the caller's
//   close            whoever may      lock-free                never        -
//                    close the first
//                    queue
//   stop             any thread       lock-free                never        -
//   join             owner            blocking                 never        -
//   metrics          any thread       wait-free                never        -
//
// In short: producers as the first queue bears them; one owner | as its queues; who finds a stage full waits, or an
// item is shed | at the start: threads | full: the deadline has passed, or it was shed; closed
//
//   work_pipeline line(
//       stage<std::string>({.name = "parse", .workers = 2}, [](std::string&& text) -> outcome<row> { ... }),
//       stage<row>({.name = "enrich", .workers = 4}, [](row&& r) { return enriched(r); }),
//       stage<row>({.name = "write"}, [](row&& r) -> outcome<> { ... }));
//   if (const auto wrong = line.start()) ...
//   line.push(text);
//   line.close();   // nothing more is pushed; each stage empties its queue, and then closes the next
//   line.join();
//
// What a stage may do with items, and what becomes of failed ones: work_stage.hpp. What a function throws is caught.
//
// Order: items leave a stage as they came if its order is kept, which is the default, or if it has one worker. So from one
// producer through such stages they arrive in the order in which they were pushed.
//
// End: close() and then join() lose nothing: no poison is pushed, each queue is drained and then says closed. stop() has every
// thread leave after the item that it works on; what is left in the queues is counted as abandoned. The end of a pipeline is
// close() and join().
//
// Back-pressure: a stage that is full makes the one before it wait, up to the producer, whose deadline holds; or it sheds,
// and counts what it shed. Besides what is in its queue a stage holds an item a worker, and where several of them keep an order
// up to Window.
//
// When to use it: for work in steps of a microsecond or more that differ in what they wait for. For less, put several items
// into one. Not for steps whose number or order is only known at run time.
//
// Memory: the queues, the counters (8 KiB a stage) and the windows of ordered stages are in the pipeline, which so is large:
// make_work_pipeline puts it on the heap. Nothing is allocated after start() but by the functions. It is neither copied nor moved.
//
// Method: SEDA (Welsh, Culler, Brewer, "SEDA: an architecture for well-conditioned, scalable Internet services", SOSP 2001).
//
// Proof: unit/work_pipeline_test.cpp, stress/work_pipeline_stress.cpp, alloc/work_pipeline_alloc_test.cpp; what orders it, queue by
// queue: waiting_queue, resequencer.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <stop_token>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#include "holdfast/core/option_error.hpp"
#include "holdfast/exec/crew.hpp"
#include "holdfast/exec/work_stage.hpp"

namespace holdfast {

// A stage over the usual queue, of so many items.
template <class In, std::size_t Capacity = 1024, std::size_t Window = 64, class Function>
stage_plan<work_queue<In, Capacity>, Function, Window> stage(const stage_options& options, Function function) {
  return {options, std::move(function)};
}
// A stage over any queue that carries work_item<In>.
template <bounded_queue Queue, std::size_t Window = 64, class Function>
stage_plan<Queue, Function, Window> stage_over(const stage_options& options, Function function) {
  return {options, std::move(function)};
}

// Why a pipeline did not start.
struct work_pipeline_error {
  std::string_view stage{};
  option_error option{};
  std::error_code system{};
  explicit operator bool() const noexcept { return static_cast<bool>(option) || static_cast<bool>(system); }
};

// Apart, since gcc 12 takes what is around an inlined one for uninitialised, and warns its user of it.
std::stop_source new_stop_source();

template <class... Plans>
class stage_chain;
template <>
class stage_chain<> {
 public:
  using stage_type = end_of_line;
  explicit stage_chain(const std::stop_token& /*stop*/) {}
  end_of_line first;
};
// A stage, and those behind it, which are there before it and longer than it.
template <class Plan, class... Plans>
class stage_chain<Plan, Plans...> {
 public:
  using stage_type = work_stage<Plan, typename stage_chain<Plans...>::stage_type>;
  explicit stage_chain(const std::stop_token& stop, Plan&& plan, Plans&&... plans)
      : rest(stop, std::move(plans)...), first(std::move(plan), rest.first, stop) {}

  // fn(stage) for each, from the first to the last.
  template <class Function>
  void each(Function&& fn) {
    fn(first);
    if constexpr (sizeof...(Plans) != 0) rest.each(fn);
  }
  template <class Function>
  void each(Function&& fn) const {
    fn(first);
    if constexpr (sizeof...(Plans) != 0) rest.each(fn);
  }

  stage_chain<Plans...> rest;
  stage_type first;
};

template <class... Plans>
class work_pipeline {
  static_assert(sizeof...(Plans) != 0, "work_pipeline: at least one stage");
  using first_stage = typename stage_chain<Plans...>::stage_type;

 public:
  using value_type = typename first_stage::in_type;
  static constexpr std::size_t stages = sizeof...(Plans);

  explicit work_pipeline(Plans... plans) : chain_(stop_.get_token(), std::move(plans)...) {}
  work_pipeline(const work_pipeline&) = delete;
  work_pipeline& operator=(const work_pipeline&) = delete;
  ~work_pipeline() {
    close();
    join();
  }

  [[nodiscard]] work_pipeline_error start() noexcept {
    work_pipeline_error wrong;
    chain_.each([&](const auto& one) { check(one, wrong); });
    if (wrong) return wrong;
    crew* threads = threads_.data();
    chain_.each([&](auto& one) { run(one, *threads++, wrong); });
    if (wrong) {
      stop();
      join();
    }
    return wrong;
  }

  // The first stage's queue says how many threads may push at the same time.
  [[nodiscard]] queue_result push(value_type&& value, deadline until = deadline::never()) {
    if (stop_.stop_requested()) return queue_op_status::closed;
    work_item<value_type> item{outcome<value_type>(std::move(value)), steady_clock::now()};
    const queue_result answer = chain_.first.accept(std::move(item), until);
    // NOLINTNEXTLINE(bugprone-use-after-move): refused, it is as it was
    if (!answer) value = std::move(*item.what);
    return answer;
  }
  void close() noexcept { chain_.first.close(); }
  void stop() noexcept { stop_.request_stop(); }

  void join() noexcept {
    for (crew& one : threads_) one.join();
    if (stop_.stop_requested()) chain_.each([](auto& one) { one.abandon_rest(); });
  }

  [[nodiscard]] std::array<stage_metrics, stages> metrics() const noexcept {
    std::array<stage_metrics, stages> all;
    std::size_t i = 0;
    chain_.each([&](const auto& one) { all[i++] = one.metrics(); });
    return all;
  }

 private:
  template <class Stage>
  static void check(const Stage& one, work_pipeline_error& wrong) noexcept {
    if (!wrong) wrong = {one.name(), one.validate(), {}};
  }
  template <class Stage>
  static void run(Stage& one, crew& threads, work_pipeline_error& wrong) noexcept {
    if (!wrong) wrong = {one.name(), {}, one.start(threads)};
  }

  std::stop_source stop_ = new_stop_source();
  stage_chain<Plans...> chain_;
  std::array<crew, stages> threads_;
};

// One on the heap, for its size.
template <class... Plans>
std::unique_ptr<work_pipeline<Plans...>> make_work_pipeline(Plans... plans) {
  return std::make_unique<work_pipeline<Plans...>>(std::move(plans)...);
}

}  // namespace holdfast
