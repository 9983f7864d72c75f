// SPDX-License-Identifier: MIT
// mpmc_queue and mpmc_lockfree_queue: any sequence of their operations by one thread, at any start position and in any
// form, does what a std::deque with an end does; and with nobody else under way they are never busy.
#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <span>
#include <utility>

#include "holdfast/queue/mpmc_lockfree_queue.hpp"
#include "holdfast/queue/mpmc_queue.hpp"

#include "fuzz/counted.hpp"
#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;

template <class Queue>
class trial {
  using T = typename Queue::value_type;

 public:
  explicit trial(std::uint64_t first) : queue_(first) {}

  void step(std::uint8_t choice) {
    const std::size_t many = choice >> 3U;  // up to 31
    switch (choice % 8) {
      case 0: push(); break;
      case 1: pushed(queue_.try_emplace(next_)); break;
      case 2: push_many(std::min(many, batch)); break;
      case 3: pop(); break;
      case 4: pop_optional(); break;
      case 5: pop_many(std::min(many, batch)); break;
      case 6: consume(); break;
      default:
        if (many == 31) {
          queue_.close();
          closed_ = true;
        }
        for (std::size_t i = 0; i < many / 8; ++i) push(), pop();
    }
    expect(queue_.size_approx() == oracle_.size(), "with nobody else the size is exact");
    expect(queue_.closed() == closed_, "closed once it is closed");
  }

 private:
  void pushed(queue_result answer) {
    expect(answer == (closed_                              ? queue_op_status::closed
                      : oracle_.size() < queue_.capacity() ? queue_op_status::success
                                                           : queue_op_status::full),
           "taken, or full, or closed");
    if (answer) oracle_.push_back(next_);
    ++next_;
  }
  void push() {
    T item(next_);
    const queue_result answer = queue_.try_push(std::move(item));
    expect(answer || number_of(item) == next_, "what was refused is still the caller's");
    pushed(answer);
  }
  void push_many(std::size_t count) {
    auto items = filled<T>(next_, false, std::make_index_sequence<batch>());
    const std::size_t taken = queue_.try_push(std::span<T>(items).first(count));
    expect(taken == (closed_ ? 0 : std::min(count, queue_.capacity() - oracle_.size())), "as many as fit");
    for (std::size_t i = 0; i < batch; ++i) {
      if (i < taken) oracle_.push_back(next_);
      expect(i < taken || number_of(items.at(i)) == next_, "the rest of a batch is still the caller's");
      ++next_;
    }
  }

  void popped(std::uint32_t number) {
    expect(!oracle_.empty() && number == oracle_.front(), "the oldest item");
    oracle_.pop_front();
  }
  void pop() {
    T out(untouched);
    const queue_result answer = queue_.try_pop(out);
    if (answer) return popped(number_of(out));
    expect(oracle_.empty(), "a pop is refused only by an empty queue");
    expect(answer == (closed_ ? queue_op_status::closed : queue_op_status::empty), "and by the right name");
    expect(number_of(out) == untouched, "a refused pop leaves `out` as it was");
  }
  void pop_optional() {
    if (const std::optional<T> out = queue_.try_pop()) return popped(number_of(*out));
    expect(oracle_.empty(), "a pop is refused only by an empty queue");
  }
  void pop_many(std::size_t count) {
    auto out = filled<T>(untouched, true, std::make_index_sequence<batch>());
    const std::size_t taken = queue_.try_pop(std::span<T>(out).first(count));
    expect(taken == std::min(count, oracle_.size()), "as many as there are and as the span takes");
    for (std::size_t i = 0; i < taken; ++i) popped(number_of(out.at(i)));
    for (std::size_t i = taken; i < batch; ++i) expect(number_of(out.at(i)) == untouched, "the rest is as it was");
  }
  void consume() {
    const std::size_t there = oracle_.size();
    const std::size_t taken = queue_.consume_all([&](T&& item) {
      popped(number_of(item));
      if (next_ % 3 == 0) pushed(queue_.try_emplace(next_));  // what comes in meanwhile is not for this call
    });
    expect(taken == there, "all that was there at the call, and no more");
  }

  Queue queue_;
  std::deque<std::uint32_t> oracle_;
  bool closed_ = false;
  std::uint32_t next_ = 0;
};

template <class Queue>
void run(input& in) {
  // Everywhere in a lap, and just before the positions wrap around, of 32, 63 and 64 bits.
  const std::uint8_t at = in.byte();
  const std::uint64_t wraps[] = {std::uint64_t{1} << 32U, std::uint64_t{1} << 63U, 0};
  const std::uint64_t first = at < 64 ? at : wraps[at / 64 - 1] - (at & 63U);
  {
    trial<Queue> queue(first);
    while (!in.empty()) queue.step(in.byte());
  }
  expect(counted::living == 0, "each item is destroyed, and once");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  switch (in.byte() % 12) {
    case 0: run<mpmc_queue<std::uint32_t, 1>>(in); break;
    case 1: run<mpmc_queue<std::uint32_t, 16>>(in); break;
    case 2: run<mpsc_queue<std::uint32_t, 8>>(in); break;
    case 3: run<spmc_queue<std::uint32_t, 8>>(in); break;
    case 4: run<mpmc_queue<counted, 2>>(in); break;
    case 5: run<mpsc_queue<counted, 4>>(in); break;
    case 6: run<spmc_queue<counted, 4>>(in); break;
    case 7: run<mpmc_queue<counted, 16>>(in); break;
    case 8: run<mpmc_lockfree_queue<std::uint32_t, 8>>(in); break;
    case 9: run<mpmc_lockfree_queue<counted, 1>>(in); break;
    case 10: run<mpmc_lockfree_queue<counted, 4>>(in); break;
    default: run<spsc_slot_queue<counted, 8>>(in); break;
  }
  return 0;
}
