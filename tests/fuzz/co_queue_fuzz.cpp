// SPDX-License-Identifier: MIT
// Coroutines and plain calls on the two sides of one waiting_queue, in any order, with stops and an end: items come out in the
// order in which they went in, nobody waits beside what he waits for, and in the end nobody is left.
#include <array>
#include <deque>
#include <memory>
#include <stop_token>
#include <utility>
#include <vector>

#include "holdfast/exec/co_queue.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/queue/mpmc_lockfree_queue.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/queue/waiter_set.hpp"
#include "holdfast/queue/waiting_queue.hpp"

#include "fuzz/counted.hpp"
#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;

// `Places`: fewer than coroutines may wait, or enough for all.
template <class Inner, std::size_t Places>
class trial {
  using T = typename Inner::value_type;
  using queue_type = waiting_queue<Inner, waiter_set<64, Places>, waiter_set<64, Places>>;
  static constexpr std::size_t most_waiting = 16;

 public:
  void step(std::uint8_t choice) {
    const std::size_t which = choice >> 3U;  // up to 31
    switch (choice % 8) {
      case 0: push(); break;
      case 1: pop(); break;
      case 2:
        if (waiting() < most_waiting) begin(co_pop_one(which % stops_.size()));
        break;
      case 3:
        if (waiting() < most_waiting) begin(co_push_one(which % stops_.size()));
        break;
      case 4: stop(which % stops_.size()); break;
      case 5:
        if (which == 31) close();
        break;
      case 6: static_cast<void>(loop_.run_ready()); break;
      default: settle();
    }
    expect(queue_.size_approx() == oracle_.size(), "with nobody else the size is exact");
  }
  void end() {
    close();
    for (int round = 0; waiting() != 0 && round < 64; ++round) static_cast<void>(loop_.run_ready());
    expect(waiting() == 0, "the end is told to all who wait");
    static_cast<void>(loop_.run_ready());
    while (!oracle_.empty()) pop();
    T out(untouched);
    expect(queue_.try_pop(out) == queue_op_status::closed, "closed and drained");
  }

 private:
  [[nodiscard]] std::size_t waiting() const { return popping_ + pushing_; }

  void begin(task<> one) {
    ends_.push_back(std::make_unique<mark>());
    spawn(loop_, std::move(one), *ends_.back());
  }
  task<> co_pop_one(std::size_t by) {
    ++popping_;
    T out(untouched);
    const queue_result answer = co_await co_pop(queue_, out, loop_, stops_[by].get_token());
    if (answer) {
      popped(number_of(out));
    } else {
      expect(number_of(out) == untouched, "a refused pop leaves `out` as it was");
      expect(oracle_.empty(), "a pop is refused only by an empty queue");
      expect(answer == queue_op_status::closed ? closed_ : answer == queue_op_status::empty, "and by the right name");
    }
    --popping_;
  }
  task<> co_push_one(std::size_t by) {
    ++pushing_;
    const std::uint32_t n = next_++;
    T item(n);
    const queue_result answer = co_await co_push(queue_, std::move(item), loop_, stops_[by].get_token());
    if (answer) {
      oracle_.push_back(n);
    } else {
      expect(number_of(item) == n, "what was refused is still the caller's");
      expect(answer == queue_op_status::closed ? closed_ : answer == queue_op_status::full, "and by the right name");
    }
    --pushing_;
  }
  void popped(std::uint32_t n) {
    expect(!oracle_.empty() && n == oracle_.front(), "the oldest item");
    oracle_.pop_front();
  }
  void push() {
    const std::uint32_t n = next_++;
    if (queue_.try_push(T(n))) oracle_.push_back(n);
  }
  void pop() {
    T out(untouched);
    if (queue_.try_pop(out)) return popped(number_of(out));
    expect(oracle_.empty(), "a pop is refused only by an empty queue");
  }
  void stop(std::size_t which) {
    stops_.at(which).request_stop();
    settle();
    stops_.at(which) = std::stop_source();
  }
  void close() {
    queue_.close();
    closed_ = true;
  }
  // All who have been told have looked: then nobody waits beside what he waits for.
  void settle() {
    for (std::size_t round = 0; round < 4 * most_waiting && loop_.run_ready() != 0; ++round) {
    }
    expect(popping_ == 0 || (oracle_.empty() && !closed_), "nobody waits beside an item, or beside the end");
    expect(pushing_ == 0 || (oracle_.size() == queue_.capacity() && !closed_), "nobody waits beside room");
  }

  queue_type queue_;
  run_loop loop_;
  std::array<std::stop_source, 3> stops_;
  std::vector<std::unique_ptr<mark>> ends_;
  std::deque<std::uint32_t> oracle_;
  std::size_t popping_ = 0;
  std::size_t pushing_ = 0;
  bool closed_ = false;
  std::uint32_t next_ = 0;
};

template <class Queue, std::size_t Places = 64>
void run(input& in) {
  {
    trial<Queue, Places> queue;
    while (!in.empty()) queue.step(in.byte());
    queue.end();
  }
  expect(counted::living == 0, "each item is destroyed, and once");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  switch (in.byte() % 5) {
    case 0: run<mpmc_queue<std::uint32_t, 2>>(in); break;
    case 1: run<mpmc_queue<counted, 4>>(in); break;
    case 2: run<mpmc_lockfree_queue<counted, 2>>(in); break;
    case 3: run<mpmc_queue<std::uint32_t, 4>, 1>(in); break;
    default: run<spsc_queue<std::uint32_t, 1>>(in); break;
  }
  return 0;
}
