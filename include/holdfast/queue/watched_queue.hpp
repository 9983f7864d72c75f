// SPDX-License-Identifier: MIT
// watched_queue: any bounded queue, which counts besides what was refused and remembers how many items it held at most.
//
//   operation                      caller       progress     cost                              allocates   when refused
//   try_push, try_pop, batches,    as Queue     as Queue     a push that is taken also asks    never       as Queue
//   close, closed                                            for size_approx; a refusal is
//                                                            one count
//   refused_pushes, refused_pops   anyone       wait-free    a load                            never       -
//   high_water                     anyone       wait-free    a load                            never       -
//   size_approx, capacity          anyone       as Queue     as Queue                          never       -
//
// In short: as the queue in it | as that queue | never | as that queue
//
// What counts as a refusal: queue/queue_watch.hpp. high_water is the largest size_approx() that a push saw when it had been taken:
// pops that were quicker are not in it, and with several producers it is as exact as that queue's size_approx().
//
// When to use it: to size a queue, and to see in a gauge which side is the slower one. An spsc_queue does it with less by
// itself (its parameter `watched`). A waiting_queue goes around it, and gives it back as queue(); a wait counts each look that
// finds nothing.
//
// Memory: the queue, and a line for each end.
//
// Proof: unit/queue_watch_test.cpp, unit/queue_behaviours_test.cpp; of the counts model/queue_watch_model.cpp.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/queue_watch.hpp"

namespace holdfast {

template <bounded_queue Queue>
class watched_queue {
 public:
  using value_type = typename Queue::value_type;
  static constexpr callers producers = Queue::producers;
  static constexpr callers consumers = Queue::consumers;
  static constexpr item_order order = order_of<Queue>;

  // The arguments are the queue's.
  template <class... Args>
    requires std::constructible_from<Queue, Args...>
  explicit watched_queue(Args&&... args) noexcept(std::is_nothrow_constructible_v<Queue, Args...>)
      : queue_(std::forward<Args>(args)...) {}
  watched_queue(const watched_queue&) = delete;
  watched_queue& operator=(const watched_queue&) = delete;
  ~watched_queue() = default;

  // ---- producers

  [[nodiscard]] auto try_push(value_type&& value) { return pushed(queue_.try_push(std::move(value))); }
  [[nodiscard]] auto try_push(const value_type& value) requires std::copy_constructible<value_type> {
    return pushed(queue_.try_push(value));
  }
  [[nodiscard]] std::size_t try_push(std::span<value_type> values) requires batch_queue<Queue> {
    const std::size_t count = queue_.try_push(values);
    if (count != 0) pushes_.holds(queue_.size_approx());
    if (count < values.size()) pushes_.refused();
    return count;
  }
  void close() noexcept requires requires(Queue& queue) { queue.close(); }
  { queue_.close(); }

  // ---- consumers

  [[nodiscard]] auto try_pop(value_type& out) {
    auto answer = queue_.try_pop(out);
    if (!answer) pops_.refused();
    return answer;
  }
  [[nodiscard]] std::size_t try_pop(std::span<value_type> out) requires batch_queue<Queue> {
    const std::size_t count = queue_.try_pop(out);
    if (count == 0 && !out.empty()) pops_.refused();
    return count;
  }
  void publish_pops() noexcept requires requires(Queue& queue) { queue.publish_pops(); }
  { queue_.publish_pops(); }

  // ---- anyone

  [[nodiscard]] bool closed() const noexcept requires requires(const Queue& queue) { queue.closed(); }
  { return queue_.closed(); }
  [[nodiscard]] std::size_t size_approx() const noexcept { return queue_.size_approx(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return queue_.capacity(); }
  [[nodiscard]] std::uint64_t refused_pushes() const noexcept { return pushes_.refusals(); }
  [[nodiscard]] std::uint64_t refused_pops() const noexcept { return pops_.refusals(); }
  [[nodiscard]] std::size_t high_water() const noexcept { return static_cast<std::size_t>(pushes_.most()); }

 private:
  template <class Answer>
  Answer pushed(Answer answer) noexcept {
    if (answer) {
      pushes_.holds(queue_.size_approx());
    } else {
      pushes_.refused();
    }
    return answer;
  }

  Queue queue_;
  alignas(cache_line_size) watched::pushes<producers> pushes_;
  alignas(cache_line_size) watched::pops<consumers> pops_;
};

}  // namespace holdfast
