// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdint>

#include "holdfast/queue/queue_watch.hpp"
#include "holdfast/queue/spsc_queue.hpp"

#include "model/deeds.hpp"
#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

using item = plain<int>;

// Each side counts what it is refused; across the end of the positions.
struct counted_by_each_side {
  static constexpr unsigned threads = 2;
  spsc_queue<item, 1, holdfast::watched> queue{just_before_wrap};
  deeds pushes;
  deeds pops;
  unsigned refused_pushes = 0;
  unsigned refused_pops = 0;

  void run(unsigned thread) {
    for (int i = 0; i < 3; ++i) {
      if (thread == 0) {
        pushes.begins();
        queue.try_emplace(i) ? pushes.done() : static_cast<void>(++refused_pushes);
        MODEL_CHECK(queue.refused_pushes() == refused_pushes);
      } else {
        pops.begins();
        queue.try_pop() ? pops.done() : static_cast<void>(++refused_pops);
        MODEL_CHECK(queue.refused_pops() == refused_pops);
      }
    }
  }
  void after() {
    MODEL_CHECK(queue.refused_pushes() == refused_pushes);
    MODEL_CHECK(queue.refused_pops() == refused_pops);
    MODEL_CHECK(queue.high_water() == std::min(pushes.count(), 1U));
  }
};
MODEL_SCENARIO("queue_watch", counted_by_each_side, {});

// The high-water mark is never below what the producer has put in and the consumer cannot have taken, nor above what fits;
// and an observer sees it grow only.
struct marked_and_observed {
  static constexpr unsigned threads = 3;
  spsc_queue<item, 2, holdfast::watched> queue{just_before_wrap};
  deeds pushes;
  deeds pops;

  void run(unsigned thread) {
    if (thread == 2) {
      const std::size_t before = queue.high_water();
      const std::size_t after = queue.high_water();
      MODEL_CHECK(before <= after);
      MODEL_CHECK(after <= queue.max_size());
      return;
    }
    for (int i = 0; i < 3; ++i) {
      if (thread == 1) {
        pops.begins();
        if (queue.try_pop()) pops.done();
        continue;
      }
      pushes.begins();
      if (!queue.try_emplace(i)) continue;
      pushes.done();
      MODEL_CHECK(queue.high_water() + pops.count() + 1 >= pushes.count());  // one pop may not have returned yet
      MODEL_CHECK(queue.high_water() >= 1);
      MODEL_CHECK(queue.high_water() <= pushes.count());
    }
  }
  void after() { MODEL_CHECK(queue.high_water() <= queue.max_size()); }
};
MODEL_SCENARIO("queue_watch", marked_and_observed, {});

// Several callers of one end: nothing is lost.
struct counted_by_many {
  static constexpr unsigned threads = 3;
  holdfast::watched::pushes<callers::many> pushes;

  void run(unsigned thread) {
    if (thread != 2) pushes.refused();
    pushes.holds(thread == 0 ? 5 : thread == 1 ? 7 : 6);
    MODEL_CHECK(pushes.most() >= (thread == 0 ? 5 : thread == 1 ? 7 : 6));
  }
  void after() {
    MODEL_CHECK(pushes.refusals() == 2);
    MODEL_CHECK(pushes.most() == 7);
  }
};
MODEL_SCENARIO("queue_watch", counted_by_many, {});

}  // namespace
