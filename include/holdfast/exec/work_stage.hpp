// SPDX-License-Identifier: MIT
// work_stage: one step of a work_pipeline: a queue, the threads that empty it, and what they do with an item.
//
// What a stage does is a function of one item, called by all of its workers, at the same time if there are several:
//
//   it takes         In&&                     for each item that has come so far without an error; what has failed before goes by
//                    outcome<In>&&            for every item, the failed ones too: to count them, to mend them, to write them down
//   it returns       Out, outcome<Out>        what goes on to the next stage, or why it does not: then the error goes on instead
//                    std::optional<Out>       (or an outcome of it) nothing: the item ends here, on purpose
//                    void, outcome<void>      of the last stage
//
// One item that fails does not stop a stage: its error, or what its function threw, goes on in its place (without
// exceptions, nothing is thrown). So for each item that is pushed one thing arrives at the end, or is counted where it ended.
//
//   stage_metrics   counts
//   arrived         items that came, whatever became of them: the sum of those below, of depth, and of those being worked on
//   done            items that went on, or ended well in the last stage
//   filtered        items that ended here, on purpose
//   failed          items whose function failed or threw: the error went on in their place
//   passed          items with an error from before, that went by
//   shed            items that found no room, or made room
//   abandoned       items that stop() kept from being worked on
//   waited, worked  how long items were in the queue, and how long the function took
//
// order: with several workers items overtake one another, unless order is kept (resequencer): then the stage is to its
// neighbours as one thread is, and takes queues for one caller on either side. overflow: what the stage does with an item that
// finds its queue full: lets the one who brings it wait, or sheds: it, or the oldest in the queue.
//
// Guarantees: work_pipeline.hpp. Proof: unit/work_pipeline_test.cpp.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string_view>
#include <type_traits>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/outcome.hpp"
#include "holdfast/core/parking.hpp"
#include "holdfast/exec/crew.hpp"
#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/queue_result.hpp"
#include "holdfast/queue/resequencer.hpp"
#include "holdfast/queue/waiting_queue.hpp"
#include "holdfast/telemetry/counter.hpp"
#include "holdfast/telemetry/histogram.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"
#if defined(__cpp_exceptions)
#include "holdfast/exec/catch_errors.hpp"
#endif

namespace holdfast {

enum class work_order : std::uint8_t { kept, any };
enum class work_overflow : std::uint8_t { wait, shed_newest, shed_oldest };

struct stage_options {
  std::string_view name{};  // of its threads and its metrics; outlives the pipeline
  unsigned workers = 1;
  work_order order = work_order::kept;
  work_overflow overflow = work_overflow::wait;
};
constexpr option_error validate(const stage_options& o) noexcept {
  return first_of(at_least("workers", o.workers, 1), at_most("workers", o.workers, crew::most));
}

// What the queues of a pipeline carry.
template <class T>
struct work_item {
  using value_type = T;
  outcome<T> what;
  time_point since{};  // when it came to the queue
};

// The usual queue of a stage. Another one that carries work_item<In> will do as well, if as many threads may call it.
template <class In, std::size_t Capacity = 1024>
using work_queue = mpmc_queue<work_item<In>, Capacity>;

struct stage_metrics {
  std::string_view name{};
  std::size_t depth = 0;
  std::size_t capacity = 0;
  std::uint64_t arrived = 0;
  std::uint64_t done = 0;
  std::uint64_t filtered = 0;
  std::uint64_t failed = 0;
  std::uint64_t passed = 0;
  std::uint64_t shed = 0;
  std::uint64_t abandoned = 0;
  histogram_snapshot waited{};
  histogram_snapshot worked{};
};

// What a stage is made of; see `stage` and `stage_over` in work_pipeline.hpp.
template <class Queue, class Function, std::size_t Window>
struct stage_plan {
  using queue_type = Queue;
  using function_type = Function;
  static constexpr std::size_t window = Window;
  stage_options options;
  Function function;
};

// Behind the last stage.
struct end_of_line {};

// What a function of an item makes of it, in one form: void for the last, or an optional of what goes on.
template <class Answer>
struct work_result {
  using type = Answer;
  static constexpr bool ends = std::is_void_v<Answer>;
  static constexpr bool filters = false;
};
template <class T>
struct work_result<std::optional<T>> {
  using type = T;
  static constexpr bool ends = false;
  static constexpr bool filters = true;
};
template <class T>
struct work_result<outcome<T>> : work_result<T> {};

template <class Plan, class Next>
class work_stage {
 public:
  using queue_type = typename Plan::queue_type;
  using item_type = typename queue_type::value_type;
  using in_type = typename item_type::value_type;

 private:
  using function_type = typename Plan::function_type;
  static constexpr bool takes_all = std::is_invocable_v<function_type&, outcome<in_type>&&>;
  static_assert(takes_all || std::is_invocable_v<function_type&, in_type&&>,
                "work_pipeline: the function of a stage takes what its queue carries, In&& or outcome<In>&&");
  using argument_type = std::conditional_t<takes_all, outcome<in_type>&&, in_type&&>;
  using answer_type = std::invoke_result_t<function_type&, argument_type>;
  using result = work_result<answer_type>;
  static constexpr bool last = std::same_as<Next, end_of_line>;
  static_assert(
      last == result::ends,
      "work_pipeline: the last stage returns nothing, or outcome<void>, and every other something that goes on");
  static_assert(std::is_nothrow_move_constructible_v<in_type> && std::is_nothrow_move_assignable_v<in_type>,
                "work_pipeline: items move without an exception");
  struct nothing {};
  using out_item = work_item<std::conditional_t<last, nothing, typename result::type>>;

 public:
  work_stage(Plan&& plan, Next& next, std::stop_token stop)
      : options_(plan.options), function_(std::move(plan.function)), next_(next), stop_(std::move(stop)) {}
  work_stage(const work_stage&) = delete;
  work_stage& operator=(const work_stage&) = delete;
  ~work_stage() = default;

  // Its own mistakes, and where it is too many for a queue.
  [[nodiscard]] option_error validate() const noexcept {
    if (const option_error wrong = holdfast::validate(options_)) return wrong;
    const std::int64_t workers = options_.workers;
    if (workers > 1 && !in_turns() && !many_consumers<queue_type>) {
      return {"workers", workers, "where order is any and the queue is for one consumer, at most", 1};
    }
    if (options_.overflow == work_overflow::shed_oldest && !many_consumers<queue_type>) {
      return {"overflow", static_cast<std::int64_t>(options_.overflow),
              "not shed_oldest over a queue for one consumer"};
    }
    if constexpr (last) {
      if (in_turns()) return {"workers", workers, "in a last stage whose order is kept, at most", 1};
    } else if (workers > 1 && !in_turns() && !many_producers<typename Next::queue_type>) {
      return {"workers", workers, "where order is any and the next queue is for one producer, at most", 1};
    }
    return {};
  }
  [[nodiscard]] std::string_view name() const noexcept { return options_.name; }

  [[nodiscard]] std::error_code start(crew& threads) noexcept {
    at_work_.store(options_.workers, mo::relaxed);  // init: its threads begin after it
    return threads.start(
        options_.workers, options_.name, [](void* of) noexcept { static_cast<work_stage*>(of)->work(); }, this);
  }

  // Success, full (the deadline has passed, or it was shed), or closed (or stopped); refused, it is still the caller's.
  [[nodiscard]] queue_result accept(item_type&& item, deadline until) {
    queue_result answer = queue_op_status::full;
    switch (options_.overflow) {
      case work_overflow::wait:
        answer = queue_.wait_push(std::move(item), until, stop_);
        if (answer == queue_op_status::full && stop_.stop_requested()) answer = queue_op_status::closed;
        break;
      case work_overflow::shed_newest: answer = push_past_busy(item); break;
      case work_overflow::shed_oldest:
        while ((answer = push_past_busy(item)) == queue_op_status::full) {
          item_type oldest{outcome<in_type>(errc::cancelled)};
          if (queue_.try_pop(oldest)) shed_.add();
        }
        break;
    }
    const bool shed = answer == queue_op_status::full && options_.overflow == work_overflow::shed_newest;
    if (shed) shed_.add();
    if (answer || shed) arrived_.add();
    return answer;
  }
  void close() noexcept { queue_.close(); }

  // One that stop() kept from coming in.
  void abandon() noexcept {
    arrived_.add();
    abandoned_.add();
  }
  // After all threads have ended: what stop() left behind.
  void abandon_rest() {
    item_type left{outcome<in_type>(errc::cancelled)};
    while (queue_.try_pop(left)) abandoned_.add();
  }

  [[nodiscard]] stage_metrics metrics() const noexcept {
    return {.name = options_.name,
            .depth = queue_.size_approx(),
            .capacity = queue_.capacity(),
            .arrived = arrived_.value(),
            .done = done_.value(),
            .filtered = filtered_.value(),
            .failed = failed_.value(),
            .passed = passed_.value(),
            .shed = shed_.value(),
            .abandoned = abandoned_.value(),
            .waited = waited_.snapshot(),
            .worked = worked_.snapshot()};
  }

 private:
  // Do its workers take turns at both ends?
  [[nodiscard]] bool in_turns() const noexcept { return options_.workers > 1 && options_.order == work_order::kept; }

  queue_result push_past_busy(item_type& item) {
    for (unsigned turn = 0;; ++turn) {
      // NOLINTNEXTLINE(bugprone-use-after-move): refused, it is as it was
      const queue_result answer = queue_.try_push(std::move(item));
      if (answer != queue_op_status::busy) return answer;
      doze(turn);
    }
  }

  bool pop(item_type& item) {
    return !stop_.stop_requested() && static_cast<bool>(queue_.wait_pop(item, deadline::never(), stop_));
  }
  void pass_on(std::optional<out_item>&& done) {
    if (!done) return;
    if (next_.accept(std::move(*done), deadline::never()) == queue_op_status::closed) next_.abandon();
  }

  void work() noexcept {
    for (;;) {
      item_type item{outcome<in_type>(errc::cancelled)};
      std::uint64_t number = 0;
      if (in_turns()) {
        const std::optional<std::uint64_t> taken = order_.take([&] { return pop(item); });
        if (!taken) break;
        number = *taken;
      } else if (!pop(item)) {
        break;
      }
      std::optional<out_item> out = work_on(item);
      if constexpr (!last) {
        if (in_turns()) {
          order_.give(number, std::move(out), [this](std::optional<out_item>&& done) { pass_on(std::move(done)); });
        } else {
          pass_on(std::move(out));
        }
      }
    }
    // [WS1] acq_rel, pairs with [WS1]: the last one closes behind what all of them have given
    if (at_work_.fetch_sub(1, mo::acq_rel) == 1) {
      if constexpr (!last) next_.close();
    }
  }

  // What goes on; nothing where the item ends here.
  std::optional<out_item> work_on(item_type& item) noexcept {
    const time_point begun = steady_clock::now();
    waited_.record(begun - item.since);
    if constexpr (takes_all) {
      return judge(call(std::move(item.what)), begun);
    } else if (item.what.ok()) {
      return judge(call(std::move(*item.what)), begun);
    } else {
      passed_.add();
      if constexpr (last) return std::nullopt;
      return out_item{outcome<typename out_item::value_type>(item.what.error()), begun};
    }
  }
  template <class Argument>
  auto call(Argument&& argument) noexcept {
#if defined(__cpp_exceptions)
    return catch_errors([this](Argument&& it) -> answer_type { return function_(std::forward<Argument>(it)); })(
        std::forward<Argument>(argument));
#else
    if constexpr (std::is_void_v<answer_type>) {
      function_(std::forward<Argument>(argument));
      return outcome<>();
    } else {
      return outcome_of(function_(std::forward<Argument>(argument)));
    }
#endif
  }
  template <class T>
  static outcome<T> outcome_of(T value) noexcept {
    return outcome<T>(std::move(value));
  }
  template <class T>
  static outcome<T> outcome_of(outcome<T>&& value) noexcept {
    return std::move(value);
  }

  template <class T>
  std::optional<out_item> judge(outcome<T>&& answer, time_point begun) noexcept {
    const time_point ended = steady_clock::now();
    worked_.record(ended - begun);
    if (!answer.ok()) {
      failed_.add();
      if constexpr (last) return std::nullopt;
      return out_item{outcome<typename out_item::value_type>(answer.error()), ended};
    }
    if constexpr (last) {
      done_.add();
      return std::nullopt;
    } else if constexpr (result::filters) {
      if (!answer->has_value()) {
        filtered_.add();
        return std::nullopt;
      }
      done_.add();
      return out_item{outcome<typename out_item::value_type>(std::move(**answer)), ended};
    } else {
      done_.add();
      return out_item{outcome<typename out_item::value_type>(std::move(*answer)), ended};
    }
  }

  const stage_options options_;
  function_type function_;
  Next& next_;
  const std::stop_token stop_;
  waiting_queue<queue_type> queue_;
  resequencer<std::optional<out_item>, Plan::window> order_;
  atomic<unsigned> at_work_{0};
  counter arrived_, done_, filtered_, failed_, passed_, shed_, abandoned_;
  histogram waited_, worked_;
};

}  // namespace holdfast
