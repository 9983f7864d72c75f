// SPDX-License-Identifier: MIT
// Workers that sleep, and work that comes: whoever was told of finds somebody awake, in every execution.
#include <cstdint>
#include <span>

#include "holdfast/exec/job_idle.hpp"
#include "holdfast/exec/job_ring.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

enum class kernel { has_membarrier, has_none };
enum class shown { by_rmw, by_store };

// Where the jobs are: in no more than a number, that is changed by a seq_cst step, or by one that orders nothing.
template <shown How>
struct in_a_number {
  atomic<int> there{0};
  void put(job_idle& idle) {
    if constexpr (How == shown::by_rmw) {
      there.fetch_add(1, mo::seq_cst);
      idle.tell();
    } else {
      there.fetch_add(1, mo::relaxed);  // own: waking must not rest on what the queue happens to order
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
  bool ready() const { return there.load(mo::relaxed) > 0; }
  bool any() const { return (How == shown::by_rmw ? there.load(mo::seq_cst) : there.load(mo::relaxed)) > 0; }
};
// Or in the ring that the scheduler's levels are.
struct in_a_ring {
  job_ring<2> ring;
  void put(job_idle& idle) {
    ring.push(1);
    idle.tell();
  }
  bool take() {
    std::uint64_t out = 0;
    return ring.pop(std::span(&out, 1)) != 0;
  }
  bool ready() const { return ring.ready(); }
  bool any() const { return ring.any(); }
};

// A worker's turn is as the scheduler's, but for how often it looks.
template <class Source>
struct jobs {
  job_idle idle;
  Source source;
  unsigned searchers = 0;

  explicit jobs(kernel has) { has_membarrier = has == kernel::has_membarrier; }

  void submit() { source.put(idle); }
  // Until it has got one.
  void get(unsigned worker) {
    bool searches = false;
    for (;;) {
      if (source.take()) break;
      if (!searches && idle.begin_search()) {
        searches = true;
        ++searchers;
      }
      MODEL_CHECK(searchers <= 1);
      if (source.take()) break;
      if (searches) --searchers;
      searches = idle.sleep(worker, searches, [this] { return source.ready(); });
      if (searches) ++searchers;
      MODEL_CHECK(searchers <= 1);
    }
    if (!searches) return;
    --searchers;
    idle.end_search([this] { return source.any(); });
  }
  void all_taken() {
    MODEL_CHECK(!source.any());
    MODEL_CHECK(searchers == 0);
    MODEL_CHECK(idle.asleep() == 0);
  }
};
using by_rmw = in_a_number<shown::by_rmw>;
using by_store = in_a_number<shown::by_store>;

// I2: one sleeps, one tells.
template <kernel Kernel>
struct one_sleeps : jobs<by_rmw> {
  static constexpr unsigned threads = 2;
  one_sleeps() : jobs(Kernel) {}
  void run(unsigned thread) {
    if (thread == 0) {
      submit();
    } else {
      get(0);
    }
  }
  void after() { all_taken(); }
};
using one_sleeps_interrupting = one_sleeps<kernel::has_membarrier>;
using one_sleeps_with_fences = one_sleeps<kernel::has_none>;
MODEL_SCENARIO("job_idle", one_sleeps_interrupting, {});
MODEL_SCENARIO("job_idle", one_sleeps_with_fences, {});

// I1, I2: two sleep, and two jobs come one after the other: each gets one. A job may come while the searcher has just found the
// other one: it must not be left to him alone, as he takes only one here, as if it were long.
template <kernel Kernel, class Source>
struct two_sleep : jobs<Source> {
  static constexpr unsigned threads = 3;
  two_sleep() : jobs<Source>(Kernel) {}
  void run(unsigned thread) {
    if (thread == 0) {
      this->submit();
      this->submit();
    } else {
      this->get(thread - 1);
    }
  }
  void after() { this->all_taken(); }
};
using two_sleep_interrupting = two_sleep<kernel::has_membarrier, by_rmw>;
using two_sleep_with_fences = two_sleep<kernel::has_none, by_rmw>;
using two_sleep_by_stores = two_sleep<kernel::has_membarrier, by_store>;
using two_sleep_at_a_ring = two_sleep<kernel::has_membarrier, in_a_ring>;
MODEL_SCENARIO("job_idle", two_sleep_interrupting, {.preemptions = 2, .weak_failures = 0});
MODEL_SCENARIO("job_idle", two_sleep_with_fences, {.preemptions = 1, .weak_failures = 0});
MODEL_SCENARIO("job_idle", two_sleep_by_stores, {.preemptions = 1, .weak_failures = 0});
MODEL_SCENARIO("job_idle", two_sleep_at_a_ring, {.preemptions = 1, .weak_failures = 0});
using two_sleep_at_a_ring_with_fences = two_sleep<kernel::has_none, in_a_ring>;
MODEL_SCENARIO("job_idle", two_sleep_at_a_ring_with_fences, {.preemptions = 1, .weak_failures = 0});

// Two who tell, and two who wait.
struct two_tell : jobs<by_rmw> {
  static constexpr unsigned threads = 4;
  two_tell() : jobs(kernel::has_membarrier) {}
  void run(unsigned thread) {
    if (thread < 2) {
      submit();
    } else {
      get(thread - 2);
    }
  }
  void after() { all_taken(); }
};
MODEL_SCENARIO("job_idle", two_tell, {.preemptions = 1, .weak_failures = 0});

// A change for all: each looks again.
template <kernel Kernel>
struct all_told : jobs<by_store> {
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
template <bool OfAny>
struct woken_with_a_note : jobs<by_store> {
  static constexpr unsigned threads = 2;
  atomic<int> note{0};
  bool token = false;
  woken_with_a_note() : jobs(OfAny ? kernel::has_none : kernel::has_membarrier) {}
  void run(unsigned thread) {
    if (thread == 0) {
      note.store(1, mo::relaxed);
      if (OfAny) {
        idle.tell_of_any();
      } else {
        idle.tell();
      }
    } else {
      bool found = false;
      token = idle.sleep(0, false, [&] { return found = note.load(mo::relaxed) == 1; });
      if (token && !found) MODEL_CHECK(note.load(mo::relaxed) == 1);
    }
  }
  void after() {}
};
using woken_by_any = woken_with_a_note<true>;
using woken_by_tell = woken_with_a_note<false>;
MODEL_SCENARIO("job_idle", woken_by_any, {});
MODEL_SCENARIO("job_idle", woken_by_tell, {});

}  // namespace
