// SPDX-License-Identifier: MIT
// Workers that sleep, and work that comes: whoever was told of finds somebody awake, in every execution.
#include <array>
#include <cstdint>

#include "holdfast/exec/job_idle.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

enum class kernel { has_membarrier, has_none };
enum class shown { by_rmw, by_store };

// Jobs that are no more than a number; a worker's turn is as the scheduler's, but for how often it looks.
struct jobs {
  job_idle idle;
  atomic<int> there{0};
  int taken = 0;
  int asked_for = 0;
  unsigned searchers = 0;

  const bool shown_by_rmw;

  explicit jobs(kernel has, shown how = shown::by_rmw) : shown_by_rmw(how == shown::by_rmw) {
    has_membarrier = has == kernel::has_membarrier;
  }

  void submit() {
    if (shown_by_rmw) {
      there.fetch_add(1, mo::seq_cst);
      idle.tell();
    } else {
      there.fetch_add(1, mo::relaxed);
      idle.tell_of_any();
    }
  }
  bool take() {
    int seen = there.load(mo::relaxed);
    while (seen > 0) {
      if (there.compare_exchange_strong(seen, seen - 1, mo::relaxed, mo::relaxed)) return true;
    }
    return false;
  }
  bool more() const { return (shown_by_rmw ? there.load(mo::seq_cst) : there.load(mo::relaxed)) > 0; }

  // Until it has got one.
  void get(unsigned worker) {
    bool searches = false;
    for (;;) {
      if (take()) {
        if (searches) end();
        return;
      }
      if (!searches && idle.begin_search()) begin();
      searches = searches || is_mine;
      is_mine = false;
      if (take()) {
        if (searches) end();
        return;
      }
      if (searches) --searchers;
      searches = idle.sleep(worker, searches, [this] { return more(); });
      if (searches) ++searchers;
      MODEL_CHECK(searchers <= 1);
    }
  }
  void begin() {
    ++searchers;
    MODEL_CHECK(searchers == 1);
    is_mine = true;
  }
  void end() {
    --searchers;
    idle.end_search([this] { return more(); });
  }
  bool is_mine = false;
};

// I2: one sleeps, one tells.
template <kernel Kernel>
struct one_sleeps : jobs {
  static constexpr unsigned threads = 2;
  one_sleeps() : jobs(Kernel) {}
  void run(unsigned thread) {
    if (thread == 0) {
      submit();
    } else {
      get(0);
    }
  }
  void after() {
    MODEL_CHECK(there.load(mo::relaxed) == 0);
    MODEL_CHECK(idle.asleep() == 0);
  }
};
using one_sleeps_interrupting = one_sleeps<kernel::has_membarrier>;
using one_sleeps_with_fences = one_sleeps<kernel::has_none>;
MODEL_SCENARIO("job_idle", one_sleeps_interrupting, {});
MODEL_SCENARIO("job_idle", one_sleeps_with_fences, {});

// I1, I2: two sleep, and two jobs come one after the other: each gets one. A job may come while the searcher has just found the
// other one: it must not be left to him alone, as he takes only one here, as if it were long.
template <kernel Kernel, shown How>
struct two_sleep : jobs {
  static constexpr unsigned threads = 3;
  two_sleep() : jobs(Kernel, How) {}
  void run(unsigned thread) {
    if (thread == 0) {
      submit();
      submit();
    } else {
      get(thread - 1);
    }
  }
  void after() {
    MODEL_CHECK(there.load(mo::relaxed) == 0);
    MODEL_CHECK(searchers == 0);
    MODEL_CHECK(idle.asleep() == 0);
  }
};
using two_sleep_interrupting = two_sleep<kernel::has_membarrier, shown::by_rmw>;
using two_sleep_with_fences = two_sleep<kernel::has_none, shown::by_rmw>;
using two_sleep_by_stores = two_sleep<kernel::has_membarrier, shown::by_store>;
MODEL_SCENARIO("job_idle", two_sleep_interrupting, {.preemptions = 2, .weak_failures = 0});
MODEL_SCENARIO("job_idle", two_sleep_with_fences, {.preemptions = 1, .weak_failures = 0});
MODEL_SCENARIO("job_idle", two_sleep_by_stores, {.preemptions = 2, .weak_failures = 0});

// Two who tell, and two who wait.
struct two_tell : jobs {
  static constexpr unsigned threads = 4;
  two_tell() : jobs(kernel::has_membarrier) {}
  void run(unsigned thread) {
    if (thread < 2) {
      submit();
    } else {
      get(thread - 2);
    }
  }
  void after() {
    MODEL_CHECK(there.load(mo::relaxed) == 0);
    MODEL_CHECK(searchers == 0);
  }
};
MODEL_SCENARIO("job_idle", two_tell, {.preemptions = 1, .weak_failures = 0});

// A change for all: each looks again.
template <kernel Kernel>
struct all_told : jobs {
  static constexpr unsigned threads = 3;
  atomic<int> over{0};
  all_told() : jobs(Kernel) {}
  void run(unsigned thread) {
    if (thread == 0) {
      over.store(1, mo::relaxed);
      idle.tell_all();
    } else {
      while (!idle.sleep(thread - 1, false, [this] { return over.load(mo::relaxed) == 1; })) {
        if (over.load(mo::relaxed) == 1) return;
      }
    }
  }
  void after() { MODEL_CHECK(idle.asleep() == 0); }
};
using all_told_interrupting = all_told<kernel::has_membarrier>;
using all_told_with_fences = all_told<kernel::has_none>;
MODEL_SCENARIO("job_idle", all_told_interrupting, {.preemptions = 2, .weak_failures = 0});
MODEL_SCENARIO("job_idle", all_told_with_fences, {.preemptions = 2, .weak_failures = 0});

// What was done before the telling is seen by who was woken, through the word alone.
struct woken_with_a_note : jobs {
  static constexpr unsigned threads = 2;
  atomic<int> note{0};
  woken_with_a_note() : jobs(kernel::has_none) {}
  void run(unsigned thread) {
    if (thread == 0) {
      note.store(1, mo::relaxed);
      idle.tell_of_any();
    } else if (idle.sleep(0, false, [this] { return note.load(mo::relaxed) == 1; })) {
      MODEL_CHECK(note.load(mo::relaxed) == 1);
    }
  }
  void after() {}
};
MODEL_SCENARIO("job_idle", woken_with_a_note, {});

}  // namespace
