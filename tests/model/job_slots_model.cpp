// SPDX-License-Identifier: MIT
// A job is run or cancelled, and its slot comes back once, in every execution.
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "holdfast/exec/job_lane.hpp"
#include "holdfast/exec/job_slots.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

// What became of a callable, in data that the slot's word must publish.
struct fate {
  plain<int> runs{0};
  plain<int> ends{0};
};
// Counts its last end, not those of what it was moved from.
class call {
 public:
  explicit call(fate& what) noexcept : what_(&what) {}
  call(call&& other) noexcept : what_(std::exchange(other.what_, nullptr)) {}
  call& operator=(call&&) = delete;
  ~call() {
    if (what_ != nullptr) what_->ends.set(what_->ends.get() + 1);
  }
  void operator()() { what_->runs.set(what_->runs.get() + 1); }

 private:
  fate* what_;
};

using pool = job_slots<2, 16>;

// One job whose number is on its way to thread 0, as through a queue; others cancel it.
struct one_job {
  pool slots;
  fate first;
  job_handle job;
  bool ran = false;
  std::array<cancel_answer, 3> answers{cancel_answer::gone, cancel_answer::gone, cancel_answer::gone};
  std::array<int, 3> given_back{};

  one_job() { job = slots.put(0, 1, call(first)); }

  void come_by() {
    error why;
    if (slots.claim(job)) {
      ran = true;
      MODEL_CHECK(slots.run(job, why));
      ++given_back[0];
    } else if (slots.passed(job)) {
      ++given_back[0];
    }
  }
  void cancel(unsigned thread) {
    bool mine = false;
    answers[thread] = slots.cancel(job, mine);
    if (mine) ++given_back[thread];
  }
  void check() {
    const int cancelled =
        (answers[1] == cancel_answer::cancelled ? 1 : 0) + (answers[2] == cancel_answer::cancelled ? 1 : 0);
    MODEL_CHECK(cancelled + (ran ? 1 : 0) == 1);                      // JS1
    MODEL_CHECK(first.runs.get() == (ran ? 1 : 0));                   // JS1
    MODEL_CHECK(first.ends.get() == 1);                               // JS3
    MODEL_CHECK(given_back[0] + given_back[1] + given_back[2] == 1);  // JS3
    bool mine = false;
    MODEL_CHECK(slots.cancel(job, mine) == cancel_answer::gone);  // JS2
    MODEL_CHECK(!slots.claim(job));
  }
};
struct run_or_cancelled : one_job {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) {
    if (thread == 0) {
      come_by();
    } else {
      cancel(thread);
      // JS8: who is told that it has gone sees what it did.
      if (answers[1] == cancel_answer::gone) MODEL_CHECK(first.runs.get() == 1);
    }
  }
  void after() { check(); }
};
MODEL_SCENARIO("job_slots", run_or_cancelled, {});

struct cancelled_twice : one_job {
  static constexpr unsigned threads = 3;
  void run(unsigned thread) {
    if (thread == 0) {
      come_by();
    } else {
      cancel(thread);
    }
  }
  void after() { check(); }
};
MODEL_SCENARIO("job_slots", cancelled_twice, {});

// JS3: the slot is used again as soon as it comes back, also while the canceller is still at it.
struct used_again : one_job {
  static constexpr unsigned threads = 2;
  fate second;
  job_handle other;
  void run(unsigned thread) {
    if (thread == 1) {
      cancel(1);
      if (given_back[1] == 1) put_again();
    } else {
      come_by();
      if (given_back[0] == 1) put_again();
    }
  }
  void put_again() { other = slots.put(0, 1, call(second)); }
  void after() {
    MODEL_CHECK(!slots.claim(job));
    error why;
    MODEL_CHECK(slots.claim(other));
    MODEL_CHECK(slots.run(other, why));
    MODEL_CHECK(first.ends.get() == 1);
    MODEL_CHECK(second.runs.get() == 1);
    MODEL_CHECK(second.ends.get() == 1);
  }
};
MODEL_SCENARIO("job_slots", used_again, {});

// A handle that another thread has, by a word that orders nothing: it may cancel, and destroys the callable that was put.
struct handle_passed_on {
  static constexpr unsigned threads = 2;
  pool slots;
  fate first;
  atomic<std::uint64_t> handle{0};
  void run(unsigned thread) {
    if (thread == 0) {
      handle.store(slots.put(1, 0, call(first)).word(), mo::relaxed);
      return;
    }
    const job_handle job(handle.load(mo::relaxed));
    bool mine = false;
    error why;
    if (!job) return;
    if (slots.cancel(job, mine) == cancel_answer::cancelled) MODEL_CHECK(first.ends.get() == 1);
  }
  void after() {}
};
MODEL_SCENARIO("job_slots", handle_passed_on, {});
struct handle_claimed : handle_passed_on {
  void run(unsigned thread) {
    if (thread == 0) {
      handle_passed_on::run(0);
      return;
    }
    const job_handle job(handle.load(mo::relaxed));
    error why;
    if (job && slots.claim(job)) MODEL_CHECK(slots.run(job, why));
  }
};
MODEL_SCENARIO("job_slots", handle_claimed, {});

// Two jobs in a worker's lane; it pops them, a thief steals, and one cancels: each ends once, and each slot comes back once.
struct stolen_popped_or_cancelled {
  static constexpr unsigned threads = 3;
  pool slots;
  job_lane<2> lane;
  std::array<fate, 2> fates;
  std::array<job_handle, 2> jobs;
  std::array<int, 2> given_back{};
  bool cancelled = false;

  void run(unsigned thread) {
    if (thread == 0) {
      for (std::uint32_t i = 0; i < 2; ++i) {
        jobs[i] = slots.put(i, 0, call(fates[i]));
        MODEL_CHECK(lane.push(jobs[i], 0));
      }
      for (job_handle job; lane.pop(job);) {
        if (slots.claim(job)) {
          end(job);
        } else if (slots.passed(job)) {
          ++given_back[job.slot()];
        }
      }
      MODEL_CHECK(lane.empty());
    } else if (thread == 1) {
      const job_handle job = lane.steal([this](job_handle one) { return slots.claim(one); });
      if (job) end(job);
    } else {
      const job_handle guess(1, 1);
      bool mine = false;
      cancelled = slots.cancel(guess, mine) == cancel_answer::cancelled;
      if (mine) ++given_back[1];
    }
  }
  void end(job_handle job) {
    error why;
    MODEL_CHECK(slots.run(job, why));
    ++given_back[job.slot()];
  }
  void after() {
    for (std::size_t i = 0; i < 2; ++i) {
      MODEL_CHECK(fates[i].ends.get() == 1);
      MODEL_CHECK(fates[i].runs.get() == (i == 1 && cancelled ? 0 : 1));
      MODEL_CHECK(given_back[i] == 1);
      MODEL_CHECK(!slots.waits(jobs[i]));
    }
  }
};
MODEL_SCENARIO("job_slots", stolen_popped_or_cancelled, {.preemptions = 2, .weak_failures = 0});

}  // namespace
