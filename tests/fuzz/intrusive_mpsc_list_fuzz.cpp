// SPDX-License-Identifier: MIT
// intrusive_mpsc_list: any sequence of its operations by one thread, on two lists with the same nodes, does what two std::deques
// of pointers do.
#include <array>
#include <deque>

#include "holdfast/queue/intrusive_mpsc_list.hpp"

#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;

struct node : mpsc_hook {
  bool in_a_list = false;
};

class trial {
 public:
  void step(std::uint8_t choice) {
    const std::size_t list = choice / 4 % 2;
    const std::size_t which = choice / 8 % nodes_.size();
    switch (choice % 4) {
      case 0: push(list, nodes_.at(which)); break;
      case 1: pop(list); break;
      case 2: consume(list, which); break;
      default: move(list);
    }
    for (std::size_t i = 0; i < 2; ++i) {
      expect(lists_.at(i).empty() == oracles_.at(i).empty(), "empty when nothing is in it");
    }
  }

 private:
  void push(std::size_t list, node& one) {
    if (one.in_a_list) return;
    lists_.at(list).push(one);
    oracles_.at(list).push_back(&one);
    one.in_a_list = true;
  }
  node* popped(std::size_t list, node& one) {
    expect(!oracles_.at(list).empty() && oracles_.at(list).front() == &one, "the oldest node");
    oracles_.at(list).pop_front();
    one.in_a_list = false;
    return &one;
  }
  node* pop(std::size_t list) {
    node untouched;
    node* out = &untouched;
    const queue_result answer = lists_.at(list).try_pop(out);
    if (answer) return popped(list, *out);
    expect(oracles_.at(list).empty() && answer == queue_op_status::empty, "with nobody else, refused only when empty");
    expect(out == &untouched, "a refused pop leaves `out` as it was");
    return nullptr;
  }
  // Some of the nodes go back at once, or into the other list, while it runs.
  void consume(std::size_t list, std::size_t which) {
    const std::size_t there = oracles_.at(list).size();
    const std::size_t taken = lists_.at(list).consume_all([&](node& one) {
      popped(list, one);
      if (&one == &nodes_.at(which)) push(which % 2 == 0 ? list : 1 - list, one);
    });
    expect(taken == there, "all that was there at the call, and no more");
  }
  void move(std::size_t from) {
    if (node* const one = pop(from)) push(1 - from, *one);
  }

  std::array<node, 8> nodes_;
  std::array<intrusive_mpsc_list<node>, 2> lists_;
  std::array<std::deque<node*>, 2> oracles_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  trial lists;
  while (!in.empty()) lists.step(in.byte());
  return 0;
}
