// SPDX-License-Identifier: MIT
// One execution: whose turn it is, who sleeps because another branch of the search has his step first, and how it ends.
#include <algorithm>
#include <cstdlib>
#include <exception>

#include "model/engine/engine.hpp"

namespace holdfast_model {

// --- turns

bool engine::enabled(thread_id t) const {
  const thread_run& thread = threads_[t];
  if (thread.done || thread.dead) return false;
  switch (thread.next.kind) {
    case op_kind::parked: return thread.woken;
    case op_kind::lock:
      return !const_cast<engine*>(this)->locks_.find(reinterpret_cast<const void*>(thread.next.expected))->held;
    case op_kind::relax:  // until there is something new to see
      // In the end only what was written after its last turn had begun: the rest it has had its chance to see.
      return thread.interrupted || memory_.births() > thread.relaxed_at ||
             (memory_.has_unseen(t) && (thread.relaxes < 8 || memory_.births() > thread.turn_began));
    default: return true;
  }
}

bool engine::awake(thread_id t) const {
  const thread_run& thread = threads_[t];
  if (!thread.asleep || !options_.reduce) return true;
  // A read that fell asleep has had every message there was then; one that came later is a new choice.
  return thread.next.reads() && options_.wrong != flaw::sleeps_too_deep && !readable(t, thread.next).empty();
}

// A sleeper's step must be tried again if it does not commute with the one just done. Reads see new messages by
// awake(), and stores need nothing: where they go in is a choice of its own.
void engine::wake_sleepers(const operation& done, thread_id by) {
  if (!options_.reduce) return;
  const auto is_sc = [](const operation& op) {
    return op.fences() || (op.on_location() && (op.success == order::seq_cst || op.failure == order::seq_cst));
  };
  const auto on_sleepers = [](const operation& op) {
    return op.kind == op_kind::park || op.kind == op_kind::parked || op.kind == op_kind::wake;
  };
  const auto on_mutex = [](const operation& op) { return op.kind == op_kind::lock || op.kind == op_kind::unlock; };
  for (thread_id t = 1; t <= thread_count_; ++t) {
    thread_run& thread = threads_[t];
    if (t == by || !thread.asleep) continue;
    const operation& theirs = thread.next;
    const bool fences = done.fences() || theirs.fences();
    const bool same = done.object == theirs.object;
    const bool meet = theirs.kind == op_kind::relax ||
                      (options_.wrong != flaw::interrupts_commute && (done.interrupts(t) || theirs.interrupts(by))) ||
                      (options_.wrong != flaw::sc_steps_commute && is_sc(done) && is_sc(theirs) && (fences || same)) ||
                      (on_sleepers(done) && on_sleepers(theirs) && same) ||
                      (done.writes() && theirs.kind == op_kind::park && same) ||
                      (on_mutex(done) && on_mutex(theirs) && done.expected == theirs.expected) ||
                      (options_.wrong == flaw::order_of_execution && done.writes() && theirs.writes() && same);
    if (!meet) continue;
    thread.asleep = false;
    thread.asleep_since = 0;
  }
}

unsigned engine::choice(std::size_t count) {
  if (count == 0) {
    std::fputs("model checker: a step without a choice; this is a mistake of the checker\n", stderr);
    std::abort();
  }
  if (count == 1) return 0;
  if (depth_ < path_.size()) {
    if (path_[depth_].count != count) {
      std::fputs("model checker: the scenario did not do the same again; it must depend on nothing but choose()\n",
                 stderr);
      std::abort();
    }
    return path_[depth_++].taken;
  }
  unsigned taken = 0;
  if (replaying_) {
    if (depth_ < replayed_.size()) taken = replayed_[depth_];
    if (taken >= count) fail("the replayed path does not fit this scenario");
  } else if (options_.random != 0) {
    random_ ^= random_ << 13U;
    random_ ^= random_ >> 7U;
    random_ ^= random_ << 17U;
    taken = static_cast<unsigned>((random_ >> 11U) % count);
  }
  path_.push_back({static_cast<std::uint16_t>(count), static_cast<std::uint16_t>(taken)});
  ++depth_;
  return taken;
}

// The next path in depth-first order; false: there is none.
bool engine::next_path() {
  path_.resize(depth_);
  while (!path_.empty() && path_.back().taken + 1U >= path_.back().count) path_.pop_back();
  if (path_.empty()) return false;
  ++path_.back().taken;
  return true;
}

// --- fibers

void engine::fiber_entry() {
  engine& e = instance();
  e.in_scenario_ = true;
  try {
    if (e.current_ == main_thread) {
      (e.*e.main_part_)();
    } else {
      e.scenario_->run(e.object_, e.current_ - 1);
    }
  } catch (const std::exception& thrown) {
    const engine_scope scope(e);
    e.fail(std::string("an exception left the scenario: ") + thrown.what());
  }
  e.in_scenario_ = false;
  e.threads_[e.current_].done = true;
  e.threads_[e.current_].next = {};
  for (;;) e.threads_[e.current_].stack.leave();
}

void engine::run_until_next_step(thread_id t) {
  current_ = t;
  threads_[t].stack.enter();
  in_scenario_ = false;
  current_ = main_thread;
}

void engine::stop_here() {
  over_ = true;
  for (;;) threads_[current_].stack.leave();
}

void engine::fail(const std::string& why) {
  const engine_scope scope(*this);
  if (!failing_) {
    failing_ = true;
    result_.failed = true;
    result_.why = why;
    if (telling_) {
      tell_line((current_ == main_thread ? "      main  " : "      T" + std::to_string(current_) + "    ") +
                why.substr(0, why.find('\n')));
    }
  }
  stop_here();
}

// --- one execution

void engine::set_up() {
  scenario_->construct(object_);
}

void engine::tear_down() {
  const bool died = std::any_of(threads_, threads_ + max_threads, [](const thread_run& t) { return t.dead; });
  if (died) {  // what the dead one held is never given back
    scenario_->after_death(object_, options_.victim - 1);
    return;
  }
  scenario_->after(object_);
  scenario_->destroy(object_);
  const engine_scope scope(*this);
  const auto leaked = std::count_if(blocks_.begin(), blocks_.end(), [](const block& b) { return !b.freed; });
  if (leaked != 0) fail(std::to_string(leaked) + " blocks of memory leaked");
}

// False: pruned, because another execution covers this one.
bool engine::take_turns() {
  for (thread_id t = 1; t <= thread_count_ && !over_; ++t) run_until_next_step(t);
  while (!over_) {
    std::array<thread_id, max_threads> may{};
    unsigned count = 0;
    bool all_done = true, some_enabled = false;
    for (thread_id t = 1; t <= thread_count_; ++t) {
      if (!threads_[t].done && !threads_[t].dead) all_done = false;
      if (!enabled(t)) continue;
      some_enabled = true;
      if (awake(t)) may[count++] = t;
    }
    if (all_done) return true;
    if (!some_enabled) fail_outside("every thread waits: deadlock or livelock");
    if (over_ || count == 0) return false;
    // The last one first, so that the first choice is to go on with it.
    const auto last = std::find(may.begin(), may.begin() + count, last_);
    const bool goes_on = last != may.begin() + count && threads_[last_].next.kind != op_kind::relax;
    if (last != may.begin() + count) std::rotate(may.begin(), last, last + 1);
    if (goes_on && options_.preemptions >= 0 && preempted_ >= options_.preemptions) count = 1;
    const unsigned taken = choice(count);
    if (goes_on && taken != 0) ++preempted_;
    if (options_.reduce) {
      for (unsigned i = 0; i < taken; ++i) {
        threads_[may[i]].asleep = true;
        threads_[may[i]].asleep_since = memory_.births();
      }
    }
    const thread_id t = may[taken];
    last_ = t;
    run_until_next_step(t);
    ++threads_[t].steps;
    if (t == options_.victim && threads_[t].steps == options_.victim_steps && !threads_[t].done && !over_) {
      threads_[t].dead = true;
      result_.victim_died = true;
      if (telling_) tell_line("  T" + std::to_string(t) + "  dies");
    }
    if (steps_ > options_.steps)
      fail_outside("over " + std::to_string(options_.steps) + " steps: livelock, or too large");
  }
  return false;
}

void engine::fail_outside(const std::string& why) {
  failing_ = true;
  over_ = true;
  result_.failed = true;
  result_.why = why;
  if (!telling_) return;
  tell_line("  " + why);
  for (thread_id t = 1; t <= thread_count_; ++t) {
    if (threads_[t].done || threads_[t].dead) continue;
    operation waiting = threads_[t].next;
    current_ = t;
    tell(waiting, waiting.expected, "waits here");
  }
  current_ = main_thread;
}

void engine::run_main(void (engine::*part)()) {
  main_part_ = part;
  threads_[main_thread].done = false;
  threads_[main_thread].stack.make(&engine::fiber_entry);
  run_until_next_step(main_thread);
}

void engine::execute(const scenario& s) {
  memory_.begin();
  memory_.wrong = options_.wrong;
  atomics_.clear();
  plains_.clear();
  locks_.clear();
  wakers_.clear();
  depth_ = 0;
  steps_ = 0;
  preempted_ = 0;
  last_ = main_thread;
  thread_count_ = s.threads;
  over_ = failing_ = in_threads_ = false;
  for (thread_run& t : threads_) {
    t.next = {};
    t.done = t.dead = t.woken = t.asleep = false;
    t.asleep_since = t.relaxed_at = t.turn_began = 0;
    t.interrupted = false;
    t.relaxes = t.steps = 0;
    t.weak_failures = 0;
  }
  running_ = true;
  run_main(&engine::set_up);
  bool whole = false;
  if (!over_) {
    memory_.step_done(main_thread);
    for (thread_id t = 1; t <= thread_count_; ++t) {
      memory_.begin_thread(t, main_thread);
      threads_[t].stack.make(&engine::fiber_entry);
    }
    in_threads_ = true;
    whole = take_turns();
    in_threads_ = false;
  }
  if (whole) {
    for (thread_id t = 1; t <= thread_count_; ++t) memory_.join_thread(main_thread, t);
    run_main(&engine::tear_down);
  }
  running_ = false;
  release_blocks();
  ++result_.executions;
  if (!whole && !failing_) ++result_.pruned;
  result_.steps += steps_;
}

}  // namespace holdfast_model
