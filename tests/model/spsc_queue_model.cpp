// SPDX-License-Identifier: MIT
#include "holdfast/queue/spsc_queue.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

using item = plain<int>;

// Three through a queue of one, so that both sides meet a full and an empty queue and the slots are used again.
struct one_by_one {
  static constexpr unsigned threads = 2;
  spsc_queue<item, 1> queue;
  int taken = 0;

  void run(unsigned thread) {
    if (thread == 0) {
      for (int i = 1; i <= 3; ++i) {
        if (!queue.try_push(item(i))) return;
      }
    } else {
      for (int i = 0; i < 3; ++i) {
        item out;
        if (queue.try_pop(out)) MODEL_CHECK(out.get() == ++taken);
      }
    }
  }
  void after() {
    for (item out; queue.try_pop(out);) MODEL_CHECK(out.get() == ++taken);
  }
};
MODEL_SCENARIO("spsc_queue", one_by_one, {});

}  // namespace
