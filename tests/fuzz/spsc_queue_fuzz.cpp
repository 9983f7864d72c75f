// SPDX-License-Identifier: MIT
// spsc_queue: any sequence of its operations, at any start position, does what a std::deque does.
#include <array>
#include <deque>
#include <optional>
#include <utility>

#include "holdfast/queue/spsc_queue.hpp"

#include "fuzz/counted.hpp"
#include "fuzz/target.hpp"
#include "support/sized_queue.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;
using test_support::sized_queue;

template <class Queue>
class trial {
  using queue_type = Queue;
  using T = typename Queue::value_type;
  static constexpr std::size_t Capacity = Queue::capacity();

 public:
  explicit trial(std::uint64_t first) : queue_(first), pushed_(first), popped_(first) {}

  void step(std::uint8_t choice) {
    const std::size_t many = choice >> 4U;  // up to 15
    switch (choice % 16) {
      case 0: push(); break;
      case 1: emplace(); break;
      case 2: push_many(many); break;
      case 3: pop(); break;
      case 4: pop_optional(); break;
      case 5: pop_many(many); break;
      case 6: consume(); break;
      case 7: push_many(many + 9); break;
      case 8: pop_many(many + 9); break;
      case 9:
      case 10: write(many, choice % 16 == 9 ? many : many / 2); break;
      case 11: write(many + 16, many + 16); break;
      case 12:
      case 13: read(many, choice % 16 == 12 ? many : many / 2); break;
      case 14: read(many + 16, many + 16); break;
      default:
        for (std::size_t i = 0; i < many / 4; ++i) push(), pop();
    }
    expect(oracle_.size() <= queue_type::max_size(), "never more than max_size() items");
    const std::size_t seen = queue_.size_approx();
    expect(seen >= oracle_.size() && seen < oracle_.size() + queue_type::publish_every(),
           "size_approx is at most a group of items too high");
  }

 private:
  void pushed(bool taken) {
    expect(taken || oracle_.size() + in_hand_ >= Capacity, "a push is refused only by a full queue");
    if (taken) oracle_.push_back(next_), ++pushed_;
    ++next_;
  }
  void push() {
    T item(next_);
    const bool taken = queue_.try_push(std::move(item));
    expect(taken || number_of(item) == next_, "what was refused is still the caller's");
    pushed(taken);
  }
  void emplace() { pushed(queue_.try_emplace(next_)); }
  void push_many(std::size_t count) {
    auto items = filled<T>(next_, false, std::make_index_sequence<batch>());
    const std::size_t taken = queue_.try_push(std::span<T>(items).first(count));
    expect(taken == count || oracle_.size() + taken >= Capacity, "a batch ends early only in a full queue");
    for (std::size_t i = 0; i < batch; ++i) {
      if (i < taken) oracle_.push_back(next_), ++pushed_;
      expect(i < taken || number_of(items.at(i)) == next_, "the rest of a batch is still the caller's");
      ++next_;
    }
  }

  void popped(std::uint32_t number) {
    expect(!oracle_.empty() && number == oracle_.front(), "the oldest item");
    oracle_.pop_front();
    ++popped_;
  }
  void pop() {
    T out(untouched);
    if (queue_.try_pop(out)) return popped(number_of(out));
    refused();
    expect(number_of(out) == untouched, "a refused pop leaves `out` as it was");
  }
  void pop_optional() {
    if (const std::optional<T> out = queue_.try_pop()) return popped(number_of(*out));
    refused();
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
      in_hand_ = 1;                   // in its slot until this function returns
      if (next_ % 3 == 0) emplace();  // what comes in meanwhile is not for this call
      in_hand_ = 0;
    });
    expect(taken == there, "all that was there at the call, and no more");
  }
  // Reserves, writes all of it, and commits some; what is not committed is forgotten.
  void write(std::size_t wanted, std::size_t most) {
    if constexpr (queue_type::reservable) {
      const std::span<T> run = queue_.reserve(wanted);
      expect(run.size() <= wanted, "not more than was asked for");
      expect(oracle_.size() + run.size() <= queue_type::max_size(), "only what is free");
      expect(!run.empty() || wanted == 0 || oracle_.size() >= Capacity, "nothing only from a full queue");
      expect(run.size() == wanted || at_slots_end(pushed_ + run.size()) || oracle_.size() + run.size() >= Capacity,
             "a run is short only at the end of the slots or of the queue");
      const std::size_t committed = std::min(most, run.size());
      for (std::size_t i = 0; i < run.size(); ++i) run[i] = T(next_ + static_cast<std::uint32_t>(i));
      queue_.commit(committed / 2);
      queue_.commit(committed - committed / 2);
      for (std::size_t i = 0; i < committed; ++i) pushed(true);
    }
  }
  // Peeks, reads all of it, and releases some.
  void read(std::size_t wanted, std::size_t most) {
    const std::span<T> run = queue_.peek(wanted);
    expect(run.size() <= std::min(wanted, oracle_.size()), "only what is there");
    expect(run.size() == std::min(wanted, oracle_.size()) || at_slots_end(popped_ + run.size()),
           "a run is short only at the end of the slots or of the queue");
    for (std::size_t i = 0; i < run.size(); ++i) expect(number_of(run[i]) == oracle_[i], "the oldest items, in order");
    const std::size_t released = std::min(most, run.size());
    queue_.release(released / 2);
    queue_.release(released - released / 2);
    oracle_.erase(oracle_.begin(), oracle_.begin() + static_cast<std::ptrdiff_t>(released));
    popped_ += released;
    if (run.empty() && wanted != 0) refused();
  }
  static bool at_slots_end(std::uint64_t pos) { return (pos & (queue_type::slot_count() - 1)) == 0; }
  void refused() {
    expect(oracle_.empty(), "a pop is refused only by an empty queue");
    expect(queue_.size_approx() == 0, "and then the size is exact");
  }

  queue_type queue_;
  std::deque<std::uint32_t> oracle_;
  std::size_t in_hand_ = 0;
  std::uint32_t next_ = 0;
  std::uint64_t pushed_;  // positions, as the queue counts them
  std::uint64_t popped_;
};

template <class Queue>
void run(input& in) {
  // Everywhere in a lap, and just before the positions wrap around, of 32 and of 64 bits.
  const std::uint8_t at = in.byte();
  const std::uint64_t first = at < 128 ? at : std::uint64_t{0} - (at & 63U) - (at & 64U ? std::uint64_t{1} << 32U : 0);
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
    case 0: run<spsc_queue<std::uint32_t, 1>>(in); break;
    case 1: run<spsc_queue<std::uint32_t, 2>>(in); break;
    case 2: run<spsc_queue<std::uint32_t, 16>>(in); break;
    case 3: run<spsc_queue<std::uint32_t, 64>>(in); break;
    case 4: run<spsc_queue<counted, 1>>(in); break;
    case 5: run<spsc_queue<counted, 4>>(in); break;
    case 6: run<spsc_queue<counted, 16>>(in); break;
    case 7: run<spsc_queue<counted, 32>>(in); break;
    case 8: run<sized_queue<std::uint32_t, 2>>(in); break;
    case 9: run<sized_queue<std::uint32_t, 32>>(in); break;
    case 10: run<sized_queue<counted, 16>>(in); break;
    default: run<spsc_queue<std::uint32_t, 32, watched>>(in); break;
  }
  return 0;
}
