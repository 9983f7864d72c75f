// SPDX-License-Identifier: MIT
// scenario: a few threads around a few objects, and what must hold in every execution that C++20 allows.
//
//   struct hand_over {
//     static constexpr unsigned threads = 2;
//     spsc_queue<item, 2> queue;
//     void run(unsigned thread);   // thread 0, 1, ...; check() what must hold
//     void after();                // once all have ended
//   };
//   MODEL_SCENARIO("spsc_queue", hand_over, {});
//
// The constructor and after() run alone. Inside run() every atomic, fence, wait and plain<T> goes through the checker.
// after_death(dead), where there is one, replaces after() in the runs in which a thread dies in the middle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <vector>

#include "model/engine/operation.hpp"

namespace holdfast_model {

struct search_options {
  bool reduce = true;            // leave out executions that differ only in the order of steps that do not meet
  bool spins_end = false;        // a turn of a pure retry loop ends the execution: another one has it succeed at once
  int preemptions = -1;          // at most so many; all, if negative. Switches the reduction off
  int weak_failures = 1;         // failures without a reason, a thread
  unsigned steps = 2000;         // of one execution, or it is taken for a livelock
  double seconds = 240;          // over that the search is not complete, and the test fails
  std::uint64_t executions = 0;  // at most so many, if not 0
  std::uint64_t random = 0;      // so many executions at random instead of all
  std::uint64_t seed = 1;
  bool dies = true;              // also run with each thread dying after each of its steps
  unsigned slots = max_threads;  // how many threads get a number from thread_slot
  thread_id victim = 0;          // dies after `victim_steps` steps
  unsigned victim_steps = 0;
  flaw wrong = flaw::none;
  bool refutes = false;  // it must fail: shows that what a header does not promise does not hold either
};

struct search_result {
  bool failed = false;
  bool complete = false;
  bool victim_died = false;  // in one execution at least
  std::string why;
  std::string trace;
  std::string replay;
  std::uint64_t executions = 0;
  std::uint64_t pruned = 0;  // of those, ended early because another covers them
  std::uint64_t steps = 0;
  double seconds = 0;
};

struct scenario {
  const char* part;
  const char* name;
  unsigned threads;
  std::size_t bytes;
  std::size_t alignment;
  void (*construct)(void*);
  void (*destroy)(void*);
  void (*run)(void*, unsigned);
  void (*after)(void*);
  void (*after_death)(void*, unsigned);  // null: deaths are not looked at
  search_options options;
};

std::vector<scenario>& all_scenarios();

template <class S>
scenario describe(const char* part, const char* name, const search_options& options) {
  scenario s{part,
             name,
             S::threads,
             sizeof(S),
             alignof(S),
             [](void* at) { ::new (at) S(); },
             [](void* at) { static_cast<S*>(at)->~S(); },
             [](void* at, unsigned thread) { static_cast<S*>(at)->run(thread); },
             [](void* at) { static_cast<S*>(at)->after(); },
             nullptr,
             options};
  if constexpr (requires(S & x) { x.after_death(0U); }) {
    s.after_death = [](void* at, unsigned dead) { static_cast<S*>(at)->after_death(dead); };
  }
  return s;
}

struct registration {
  registration(scenario s) { all_scenarios().push_back(std::move(s)); }  // NOLINT(google-explicit-constructor)
};

#define MODEL_SCENARIO(part, type, ...)                                                         \
  static_assert(type::threads < ::holdfast_model::max_threads);                                 \
  static const ::holdfast_model::registration type##_registered {                               \
    ::holdfast_model::describe<type>(part, #type, ::holdfast_model::search_options __VA_ARGS__) \
  }

// For use inside a scenario.

// What must hold. `relation` is what is printed when it does not.
void check(bool holds, const char* relation);
[[noreturn]] void fail(const std::string& why);
// Any of 0 .. count - 1: the search tries each.
unsigned choose(unsigned count);
// A turn of a loop that waits for another thread.
void spin();
// This thread: 0 for the scenario's first; the constructor and after() are not threads.
unsigned this_thread();
// Does what the other thread had done at that moment happen before what this one does now?
struct moment {
  thread_id by;
  std::uint32_t event;
};
moment now();
bool happened_before_now(moment m);

#define MODEL_CHECK(relation) ::holdfast_model::check(static_cast<bool>(relation), #relation)

// A lock for scenarios that need one around what is not lock-free in the world either.
class test_mutex {
 public:
  void lock(place where = place::here());
  void unlock(place where = place::here());
};

}  // namespace holdfast_model
