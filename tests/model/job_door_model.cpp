// SPDX-License-Identifier: MIT
// Who comes in is seen by who closes the door, in every execution, with the kernel's help and without.
#include <array>

#include "holdfast/exec/job_door.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

enum class kernel { has_membarrier, has_none };

// JD1: what was done inside is all there once it is closed, and nothing comes after that.
template <kernel Kernel>
struct closed_on {
  job_door door;
  plain<int> inside{0};
  bool done = false;
  int seen = -1;

  closed_on() { has_membarrier = Kernel == kernel::has_membarrier; }
  void visit() {
    if (!door.enter()) return;
    inside.set(inside.get() + 1);
    done = true;
    door.leave();
  }
  void close() {
    door.close();
    seen = inside.get();
    MODEL_CHECK(!door.enter());
  }
  void after() {
    MODEL_CHECK(seen == (done ? 1 : 0));
    MODEL_CHECK(inside.get() == seen);
    MODEL_CHECK(door.closed());
  }
};
template <kernel Kernel>
struct one_visits : closed_on<Kernel> {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) {
    if (thread == 0) {
      this->visit();
    } else {
      this->close();
    }
  }
};
using one_visits_interrupting = one_visits<kernel::has_membarrier>;
using one_visits_with_fences = one_visits<kernel::has_none>;
MODEL_SCENARIO("job_door", one_visits_interrupting, {});
MODEL_SCENARIO("job_door", one_visits_with_fences, {});

// Threads without a number of their own share a place.
using one_visits_without_a_number = one_visits<kernel::has_none>;
MODEL_SCENARIO("job_door", one_visits_without_a_number, {.slots = 0});

struct two_visit {
  static constexpr unsigned threads = 3;
  job_door door;
  std::array<plain<int>, 2> inside{plain<int>(0), plain<int>(0)};
  int done = 0;
  int seen = -1;
  two_visit() { has_membarrier = false; }
  void run(unsigned thread) {
    if (thread < 2) {
      if (!door.enter()) return;
      inside[thread].set(1);
      ++done;
      door.leave();
    } else {
      door.close();
      seen = inside[0].get() + inside[1].get();
    }
  }
  void after() { MODEL_CHECK(seen == done); }
};
MODEL_SCENARIO("job_door", two_visit, {.preemptions = 2, .slots = 0});

}  // namespace
