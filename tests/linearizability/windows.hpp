// SPDX-License-Identifier: MIT
// windows: the real object between real threads, a few operations at a time, each such window checked as a history.
//
// A part says what happens in one window; this file runs many of them. Windows come in batches: the threads make the
// objects of a batch new, run its windows one after the other, meeting before each, and then check them, each thread its
// share. So checking costs no time between an operation and its neighbour's, and uses all threads.
//
// A part is:
//   using spec                         its specification
//   static constexpr unsigned threads
//   spec renew(splitmix64&, recorder&)   makes the object new and brings it to some state, noting each step; returns
//                                        what the specification begins with
//   void run(unsigned thread, splitmix64&, recorder&, const stamp_clock&)   a few operations of one thread
//   void close(recorder&)                by one thread when all have ended: looks at what is left, so that an answer
//                                        that was wrong earlier is not forgiven because nobody asks any more
//
// The scripts follow from the seed; how the threads meet is the machine's choice, so a failure is told with its whole
// history and need not come again. Waiting spins for a while and then yields, and gives up after a minute.
#pragma once

#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"

#include "explain.hpp"
#include "history.hpp"
#include "stamp.hpp"
#include "wgl.hpp"

namespace holdfast_lin {

// What one thread did in one window.
class recorder {
 public:
  static constexpr std::size_t most = 40;

  // Calls `ask`, which returns the operation with its answer.
  template <class Ask>
  void record(const stamp_clock& clock, Ask&& ask) {
    timed& made = next();
    made.called = clock.at_call();
    made.op = ask();
    made.returned = clock.at_return();
  }
  // One more link of the chain that the last record() began.
  void chain(const operation& op) {
    timed& made = next();
    made.op = op;
    made.called = made_[count_ - 2].called;
    made.returned = made_[count_ - 2].returned;
  }
  // Where there is only one thread.
  void note(const operation& op) { next().op = op; }

  void clear() noexcept { count_ = 0; }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }

  struct timed {
    operation op;
    std::uint64_t called = 0;
    std::uint64_t returned = 0;
  };
  [[nodiscard]] const timed& operator[](std::size_t i) const noexcept { return made_[i]; }

 private:
  timed& next() {
    if (count_ == most) std::abort();  // a mistake of the part
    return made_[count_++];
  }

  std::size_t count_ = 0;
  std::array<timed, most> made_{};
};

inline constexpr std::size_t window_batch = 32;

struct window_options {
  std::uint64_t windows = 10'000;
  std::uint64_t seed = 1;
  std::chrono::steady_clock::time_point end = std::chrono::steady_clock::time_point::max();
  std::uint64_t most_failures = 3;  // and then it stops
  bool tell = true;                 // prints the first failure
};

struct window_totals {
  std::uint64_t windows = 0;
  std::uint64_t overlapping = 0;
  std::uint64_t operations = 0;
  std::uint64_t failures = 0;
  double seconds = 0;
};

// Where threads meet: the last one in lets all go.
class meeting {
 public:
  explicit meeting(unsigned threads) noexcept : threads_(threads) {}
  // The n-th meeting of these threads, counted from 1.
  void wait(std::uint64_t n) {
    // [M1] acq_rel, pairs with [M1] and [M2]: what each did before the meeting is seen by all after it
    arrived_.fetch_add(1, holdfast::mo::acq_rel);
    const std::uint64_t all = n * threads_;
    // [M2] acquire, pairs with [M1]: as there
    for (std::uint64_t spins = 0; arrived_.load(holdfast::mo::acquire) < all; ++spins) {
      if (spins < 500) {
        holdfast::cpu_relax();
      } else {
        std::this_thread::yield();
        if (spins % 4096 == 0) give_up_after_a_minute(spins);
      }
    }
  }

 private:
  void give_up_after_a_minute(std::uint64_t spins) {
    thread_local std::chrono::steady_clock::time_point since;
    if (spins == 4096) since = std::chrono::steady_clock::now();
    if (std::chrono::steady_clock::now() - since < std::chrono::minutes(1)) return;
    std::fputs("a thread has not come to the meeting for a minute\n", stderr);
    std::abort();
  }

  alignas(2 * holdfast::cache_line_size) holdfast::atomic<std::uint64_t> arrived_{0};
  std::uint64_t threads_;
};

// Threads that share a core overlap only where one is interrupted: gives each its own, as far as there are enough.
inline void take_own_core(unsigned thread) noexcept {
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  unsigned skip = thread % static_cast<unsigned>(CPU_COUNT(&allowed));
  for (std::size_t core = 0; core < std::size_t{CPU_SETSIZE}; ++core) {
    if (!CPU_ISSET(core, &allowed) || skip-- != 0) continue;
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(core, &own);
    (void)sched_setaffinity(0, sizeof own, &own);  // without it the windows are as true, and overlap less
    return;
  }
#endif
}

template <class Part>
class window_run {
 public:
  window_run(const char* name, const window_options& options, const stamp_clock& clock)
      : name_(name), options_(options), clock_(clock), slots_(std::make_unique<slot[]>(window_batch)) {}

  window_totals run() {
    const auto begun = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < Part::threads; ++t) {
      threads.emplace_back([this, t] {
        take_own_core(t);
        work(t);
      });
    }
    for (std::thread& t : threads) t.join();
    window_totals sum;
    for (const checker& c : checkers_) {
      sum.windows += c.totals.windows;
      sum.overlapping += c.totals.overlapping;
      sum.operations += c.totals.operations;
      sum.failures += c.totals.failures;
    }
    sum.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    return sum;
  }

 private:
  struct slot {
    Part part;
    typename Part::spec start;
    recorder opening;
    std::array<recorder, Part::threads> made;
    recorder closing;
  };
  struct alignas(2 * holdfast::cache_line_size) checker {
    window_totals totals;
    history h;
    wgl<typename Part::spec> search;
    std::vector<const recorder::timed*> order;
  };

  [[nodiscard]] holdfast::splitmix64 bits(std::uint64_t window, unsigned thread) const noexcept {
    return holdfast::splitmix64(holdfast::splitmix64_mix(options_.seed ^ window * 64 ^ thread));
  }

  void work(unsigned thread) {
    std::uint64_t met = 0;
    for (std::uint64_t first = 0;; first += window_batch) {
      for (std::size_t i = thread; i < window_batch; i += Part::threads) renew(slots_[i], first + i);
      if (thread == 0) {
        const bool enough = first >= options_.windows || std::chrono::steady_clock::now() >= options_.end ||
                            failures_.load(holdfast::mo::relaxed) >= options_.most_failures;  // hint: stops a bit later
        over_.store(enough, holdfast::mo::relaxed);  // counter: published by the meeting
      }
      meeting_.wait(++met);
      if (over_.load(holdfast::mo::relaxed)) break;  // own: the meeting orders it
      for (std::size_t i = 0; i < window_batch; ++i) {
        holdfast::splitmix64 random = bits(first + i, thread);
        for (std::uint64_t pause = random() % 8; pause != 0; --pause) holdfast::cpu_relax();
        meeting_.wait(++met);
        slots_[i].part.run(thread, random, slots_[i].made[thread], clock_);
      }
      meeting_.wait(++met);
      for (std::size_t i = thread; i < window_batch; i += Part::threads) judge(checkers_[thread], slots_[i], first + i);
    }
  }

  void renew(slot& s, std::uint64_t window) {
    holdfast::splitmix64 random = bits(window, 63);
    for (recorder& r : s.made) r.clear();
    s.opening.clear();
    s.closing.clear();
    s.start = s.part.renew(random, s.opening);
  }

  void judge(checker& c, slot& s, std::uint64_t window) {
    ++c.totals.windows;
    s.part.close(s.closing);
    // By one thread: there is only one order, and no need to search for it.
    typename Part::spec state = s.start;
    for (std::size_t i = 0; i < s.opening.size(); ++i) {
      operation op = s.opening[i].op;
      op.id = no_operation;
      if (!state.step(op)) return failed_alone(c, s, window);
    }
    gather(c, s);
    bool overlap = false;
    for (std::size_t i = 0; i < c.h.size() && !overlap; ++i) overlap = c.h.overlapping(i) != 0;
    c.totals.overlapping += overlap ? 1U : 0U;
    c.totals.operations += c.h.size();
    if (!c.search.check(c.h, state)) failed(c, state, window);
  }

  // The window as a history, in the order in which operations were half done: nearly always one that is accepted.
  static void gather(checker& c, const slot& s) {
    c.order.clear();
    for (const recorder& r : s.made) {
      for (std::size_t i = 0; i < r.size(); ++i) c.order.push_back(&r[i]);
    }
    std::stable_sort(c.order.begin(), c.order.end(), [](const recorder::timed* a, const recorder::timed* b) {
      return a->called + a->returned < b->called + b->returned;
    });
    const std::size_t closing = c.order.size();
    for (std::size_t i = 0; i < s.closing.size(); ++i) c.order.push_back(&s.closing[i]);

    c.h.clear();
    for (const recorder::timed* t : c.order) c.h.add(t->op).thread = thread_of(s, t);
    const operation* const ops = c.h.operations().data();
    c.h.order([&](std::size_t a, std::size_t b) {
      if (a >= closing || b >= closing) return a < b;
      return ops[a].thread == ops[b].thread ? c.order[a] < c.order[b] : c.order[a]->returned < c.order[b]->called;
    });
  }

  static std::uint8_t thread_of(const slot& s, const recorder::timed* t) noexcept {
    for (std::uint8_t i = 0; i < Part::threads; ++i) {
      if (t >= &s.made[i][0] && t < &s.made[i][0] + s.made[i].size()) return i;
    }
    return Part::threads;  // the closing look
  }

  void failed_alone(checker& c, const slot& s, std::uint64_t window) {
    c.h.clear();
    for (std::size_t i = 0; i < s.opening.size(); ++i) c.h.add(s.opening[i].op);
    c.h.order([](std::size_t a, std::size_t b) { return a < b; });
    if (c.search.check(c.h, s.start)) std::abort();  // the search and the step disagree
    failed(c, s.start, window);
  }
  void failed(checker& c, const typename Part::spec& start, std::uint64_t window) {
    ++c.totals.failures;
    if (failures_.fetch_add(1, holdfast::mo::relaxed) != 0 || !options_.tell) return;  // counter:
    std::printf("LIN %s: window %llu, seed %llu: %s", name_, static_cast<unsigned long long>(window),
                static_cast<unsigned long long>(options_.seed), explain(c.h, start, c.search).c_str());
  }

  const char* name_;
  window_options options_;
  stamp_clock clock_;
  std::unique_ptr<slot[]> slots_;
  std::array<checker, Part::threads> checkers_;
  meeting meeting_{Part::threads};
  holdfast::atomic<bool> over_{false};
  holdfast::atomic<std::uint64_t> failures_{0};
};

}  // namespace holdfast_lin
