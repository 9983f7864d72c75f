// SPDX-License-Identifier: MIT
// fan_in: any sequence of its operations by one thread, with producers that join and leave, does what a std::deque
// for each of them does.
#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "holdfast/queue/fan_in.hpp"

#include "fuzz/counted.hpp"
#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;

template <class Queue>
class trial {
  using T = typename Queue::value_type;
  static constexpr std::size_t lanes = Queue::lane_count();

 public:
  void step(std::uint8_t choice) {
    const std::size_t many = choice >> 3U;  // up to 31
    const std::size_t who = many % lanes;
    switch (choice % 8) {
      case 0: push(who); break;
      case 1: push_many(who, std::min(many, batch)); break;
      case 2: join(who); break;
      case 3: leave(who); break;
      case 4: pop(); break;
      case 5: pop_optional(); break;
      case 6: pop_many(std::min(many, batch)); break;
      default: consume();
    }
    expect(queue_.joined() == joined_, "as many have joined as did");
    const std::size_t there = held();
    expect(queue_.size_approx() >= there, "no item is left out of the size");
    expect(queue_.size_approx() < there + lanes * Queue::publish_every(), "and a group a lane is too much at most");
    expect(queue_.size_approx() <= Queue::max_size(), "never more than the most");
  }
  void end() {
    while (held() != 0) pop();
    for (std::size_t i = 0; i < lanes; ++i) leave(i);
  }

 private:
  // The number of an item says whose it is: of a handle, from its join to its end.
  [[nodiscard]] std::uint32_t number(std::size_t who) { return (handle_.at(who) << 16U) + (next_++ & 0xFFFFU); }
  [[nodiscard]] std::size_t held() const {
    std::size_t sum = 0;
    for (const auto& items : oracle_) sum += items.size();
    return sum;
  }
  void join(std::size_t who) {
    if (mine_.at(who)) return;
    std::optional<typename Queue::producer> got = queue_.join();
    expect(got.has_value() == (joined_ < lanes), "a lane, if one is free");
    if (!got) return;
    mine_.at(who).emplace(std::move(*got));
    handle_.at(who) = static_cast<std::uint32_t>(oracle_.size());
    oracle_.emplace_back();
    ++joined_;
  }
  void leave(std::size_t who) {
    if (!mine_.at(who)) return;
    mine_.at(who).reset();
    --joined_;
  }
  void push(std::size_t who) {
    if (!mine_.at(who)) return;
    const std::uint32_t n = number(who);
    T item(n);
    const bool taken = mine_.at(who)->try_push(std::move(item));
    expect(taken || number_of(item) == n, "what was refused is still the caller's");
    if (taken) oracle_.at(handle_.at(who)).push_back(n);
    expect(taken || !room_for(who, 1), "refused only where the capacity is reached");
  }
  void push_many(std::size_t who, std::size_t count) {
    if (!mine_.at(who)) return;
    std::array<std::uint32_t, batch> numbers{};
    for (std::uint32_t& n : numbers) n = number(who);
    auto items = numbered(numbers, std::make_index_sequence<batch>());
    const std::size_t taken = mine_.at(who)->try_push(std::span<T>(items).first(count));
    expect(taken == count || !room_for(who, count), "as many as fit, and the capacity always does");
    for (std::size_t i = 0; i < batch; ++i) {
      if (i < taken) oracle_.at(handle_.at(who)).push_back(numbers.at(i));
      expect(i < taken || number_of(items.at(i)) == numbers.at(i), "the rest of a batch is still the caller's");
    }
  }
  // What is in a lane may be an earlier owner's.
  [[nodiscard]] bool room_for(std::size_t who, std::size_t count) const {
    return mine_.at(who)->size_approx() + count <= Queue::lane_capacity();
  }
  template <std::size_t... I>
  static std::array<T, sizeof...(I)> numbered(const std::array<std::uint32_t, batch>& numbers,
                                              std::index_sequence<I...>) {
    return {T(numbers[I])...};
  }

  void popped(std::uint32_t n) {
    auto& items = oracle_.at(n >> 16U);
    expect(!items.empty() && n == items.front(), "the oldest item of its producer");
    items.pop_front();
  }
  void pop() {
    T out(untouched);
    if (queue_.try_pop(out)) return popped(number_of(out));
    expect(held() == 0, "a pop is refused only where every lane is empty");
    expect(number_of(out) == untouched, "a refused pop leaves `out` as it was");
  }
  void pop_optional() {
    if (const std::optional<T> out = queue_.try_pop()) return popped(number_of(*out));
    expect(held() == 0, "a pop is refused only where every lane is empty");
  }
  void pop_many(std::size_t count) {
    auto out = filled<T>(untouched, true, std::make_index_sequence<batch>());
    const std::size_t there = held();
    const std::size_t taken = queue_.try_pop(std::span<T>(out).first(count));
    expect(taken == std::min(count, there), "as many as there are and as the span takes");
    for (std::size_t i = 0; i < taken; ++i) popped(number_of(out.at(i)));
    for (std::size_t i = taken; i < batch; ++i) expect(number_of(out.at(i)) == untouched, "the rest is as it was");
  }
  void consume() {
    const std::size_t there = held();
    const std::size_t who = next_ % lanes;
    const std::size_t taken = queue_.consume_all([&](T&& item) {
      popped(number_of(item));
      if (next_ % 3 == 0) push(who);
    });
    expect(taken >= there, "all that was there at the call");
    expect(taken <= there + lanes * (Queue::publish_every() - 1),
           "and less than a group a lane of what came meanwhile");
  }

  Queue queue_;
  std::array<std::optional<typename Queue::producer>, lanes> mine_;
  std::array<std::uint32_t, lanes> handle_{};
  std::vector<std::deque<std::uint32_t>> oracle_;
  std::size_t joined_ = 0;
  std::uint32_t next_ = 0;
};

template <class Queue>
void run(input& in) {
  {
    trial<Queue> queue;
    while (!in.empty()) queue.step(in.byte());
    queue.end();
  }
  expect(counted::living == 0, "each item is destroyed, and once");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  switch (in.byte() % 5) {
    case 0: run<fan_in<std::uint32_t, 1, 4>>(in); break;
    case 1: run<fan_in<std::uint32_t, 3, 16, 2>>(in); break;
    case 2: run<fan_in<counted, 2, 1, 1>>(in); break;
    case 3: run<fan_in<counted, 4, 8, 3>>(in); break;
    default: run<fan_in<counted, 3, 4>>(in); break;
  }
  return 0;
}
