// SPDX-License-Identifier: MIT
// engine: one execution of a scenario at a time. The model's atomics call it; the search decides what it does.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/engine/address_map.hpp"
#include "model/engine/fiber.hpp"
#include "model/engine/memory.hpp"
#include "model/engine/operation.hpp"
#include "model/engine/scenario.hpp"

namespace holdfast_model {

// One order in the source: an operation's own, or that of an exchange's failure.
struct order_site {
  place where;
  op_kind kind = op_kind::none;
  bool of_failure = false;
  order is = order::relaxed;
  friend bool operator==(const order_site& a, const order_site& b) noexcept {
    return a.where == b.where && a.kind == b.kind && a.of_failure == b.of_failure;
  }
};

class engine {
 public:
  static engine& instance();
  // Is an execution under way? Otherwise an atomic is just its value.
  [[nodiscard]] static bool running() noexcept { return running_; }

  // --- the search (search.cpp)
  search_result explore(const scenario& s, search_options options);
  search_result replay(const scenario& s, search_options options, const std::string& path);

  // --- atomics. `initial` is the object's own value, for a location that is met for the first time.
  void constructed(const void* object, std::uint64_t initial);
  void destroyed(const void* object);
  std::uint64_t load(const void* object, std::uint64_t initial, order o, place where);
  void store(const void* object, std::uint64_t initial, std::uint64_t value, order o, place where);
  template <class Function>
  std::uint64_t modify(const void* object, std::uint64_t initial, order o, place where, Function f) {
    const std::size_t position = begin_modify(object, initial, o, where);
    return end_modify(position, f(current_value(position)));
  }
  bool exchange_if(const void* object, std::uint64_t initial, std::uint64_t& expected, std::uint64_t desired,
                   order success, order failure, bool weak, place where);
  void fence(order o, place where);
  // A seq_cst fence in each thread, one after the other: what membarrier(2) does for its caller.
  void interrupt_all(place where);
  void relax(place where);
  // Sleeps unless the location holds something else than `expected` in the mask's bits; woken by wake(). As a futex: the
  // look and the falling asleep are one step for whoever wakes.
  void park(const void* object, std::uint64_t initial, std::uint64_t expected, place where,
            std::uint64_t mask = ~std::uint64_t{0});
  void wake(const void* object, std::uint64_t initial, bool all, place where);

  // --- plain data
  void plain_made(const void* object, place where);
  void plain_gone(const void* object, place where);
  void plain_read(const void* object, place where);
  void plain_written(const void* object, place where);

  // --- memory blocks (heap.cpp)
  [[nodiscard]] bool tracks_heap() const noexcept { return in_scenario_; }
  void allocated(void* block, std::size_t bytes);
  bool freed(void* block);  // true: the engine keeps it until the execution's end

  // --- for scenarios
  [[noreturn]] void fail(const std::string& why);
  unsigned choose(unsigned count);
  [[nodiscard]] thread_id current() const noexcept { return current_; }
  [[nodiscard]] bool is_over() const noexcept { return over_; }
  [[nodiscard]] const search_options& options() const noexcept { return options_; }
  [[nodiscard]] const vector_clock& events() const noexcept { return memory_.events_of(current_); }
  void lock(const void* mutex, place where);
  void unlock(const void* mutex, place where);

  // --- mutation of orders: each site that is reached is recorded; one may be weakened
  bool records_sites = false;
  std::vector<order_site> sites;
  bool weakens = false;
  order_site weakened;  // `is` is what its order becomes

 private:
  struct thread_run {
    fiber stack;
    operation next;
    bool started = false;
    bool done = false;
    bool dead = false;
    bool woken = false;              // from a park
    bool asleep = false;             // in the sleep set: another branch has this operation first
    std::uint64_t asleep_since = 0;  // births at that time
    std::uint64_t relaxed_at = 0;    // births when a turn of a spin loop ended
    std::uint64_t turn_began = 0;    // and when the turn before it had
    bool interrupted = false;        // since then: it may see by now what this turn did not
    unsigned relaxes = 0;
    int weak_failures = 0;
    unsigned steps = 0;
  };
  struct atomic_state {
    std::uint32_t location = 0;
    bool has_location = false;
    bool alive = true;
    thread_id maker = main_thread;
    std::uint32_t made_at = 0;
    std::uint64_t initial = 0;
    vector_clock users;
  };
  struct plain_state {
    bool alive = true;
    thread_id writer = main_thread;
    std::uint32_t written_at = 0;
    place written{};
    vector_clock readers;
  };
  struct lock_state {
    bool held = false;
    knowledge passed;
  };
  struct block {
    void* at;
    std::size_t bytes;
    bool freed;
  };
  // Inside the engine allocations are its own.
  class engine_scope {
   public:
    explicit engine_scope(engine& e) noexcept : engine_(e), before_(e.in_scenario_) { e.in_scenario_ = false; }
    engine_scope(const engine_scope&) = delete;
    engine_scope& operator=(const engine_scope&) = delete;
    ~engine_scope() { engine_.in_scenario_ = before_; }

   private:
    engine& engine_;
    bool before_;
  };

  // One execution (execution.cpp)
  void execute(const scenario& s);
  bool take_turns();
  static void fiber_entry();
  void run_until_next_step(thread_id t);
  void run_main(void (engine::*part)());
  void set_up();
  void tear_down();
  [[noreturn]] void stop_here();              // leaves the fiber for good
  void fail_outside(const std::string& why);  // between the threads' turns
  void step_begins(const operation& op);
  void step_ends(const operation& op);
  void wake_sleepers(const operation& done, thread_id by);
  [[nodiscard]] bool enabled(thread_id t) const;
  [[nodiscard]] bool awake(thread_id t) const;
  [[nodiscard]] positions readable(thread_id t, const operation& op) const;
  [[nodiscard]] bool may_fail_weakly(thread_id t) const {
    return t != main_thread && threads_[t].weak_failures < options_.weak_failures &&
           options_.wrong != flaw::weak_never_fails;
  }
  unsigned choice(std::size_t count);
  bool next_path();
  void release_blocks();

  // Operations (engine.cpp)
  atomic_state& use(const void* object, std::uint64_t initial);
  std::uint32_t location_of(const void* object, std::uint64_t initial);
  [[nodiscard]] order effective(order o, op_kind kind, bool of_failure, place where);
  void must_be_legal(order o, op_kind kind, bool of_failure, place where);
  std::size_t begin_modify(const void* object, std::uint64_t initial, order o, place where);
  std::uint64_t current_value(std::size_t position) const { return memory_.value_at(doing_.object, position); }
  std::uint64_t end_modify(std::size_t position, std::uint64_t value);
  void must_not_be_freed(const void* object);

  // Telling (trace.cpp)
  void tell(const operation& op, std::uint64_t value, const char* remark);
  void tell_line(const std::string& text);
  [[nodiscard]] std::string path_text() const;
  [[nodiscard]] std::string read_how(std::string text);

  static constexpr unsigned most_main_steps = 100'000;
  static inline bool running_ = false;

  search_options options_{};
  search_result result_{};
  const scenario* scenario_ = nullptr;
  void* object_ = nullptr;  // the scenario's

  memory memory_;
  thread_run threads_[max_threads];
  unsigned thread_count_ = 0;  // without the main one
  thread_id current_ = main_thread;
  thread_id last_ = main_thread;
  int preempted_ = 0;
  unsigned steps_ = 0;
  operation doing_{};
  bool over_ = false;  // this execution ends now, for whatever reason
  bool failing_ = false;
  bool in_scenario_ = false;
  bool in_threads_ = false;
  void (engine::*main_part_)() = nullptr;  // what the main fiber does

  struct turn {
    std::uint16_t count;
    std::uint16_t taken;
  };
  std::vector<turn> path_;
  std::size_t depth_ = 0;
  std::uint64_t random_ = 1;
  bool replaying_ = false;
  std::vector<std::uint16_t> replayed_;  // beyond its end every choice is the first

  address_map<atomic_state> atomics_;
  address_map<plain_state> plains_;
  address_map<lock_state> locks_;
  address_map<stamp> wakers_;  // the newest that a waker knew, of each location that was woken
  std::vector<block> blocks_;
  bool any_freed_ = false;

  bool telling_ = false;
  std::string told_;
  unsigned told_steps_ = 0;
};

}  // namespace holdfast_model
