// SPDX-License-Identifier: MIT
// The operations of a thread: each waits for its turn, makes its choice, and is carried out on the memory.
#include "model/engine/engine.hpp"

#include <algorithm>

namespace holdfast_model {

engine& engine::instance() {
  static engine only;
  return only;
}

// --- objects

void engine::must_not_be_freed(const void* object) {
  if (!any_freed_ || options_.wrong == flaw::use_after_free) return;
  for (const block& b : blocks_) {
    const auto from = reinterpret_cast<std::uintptr_t>(b.at);
    if (b.freed && reinterpret_cast<std::uintptr_t>(object) - from < b.bytes) fail("use of memory that was freed");
  }
}

void engine::constructed(const void* object, std::uint64_t initial) {
  const engine_scope scope(*this);
  // During set-up an atomic is met when it is first used, so that a thousand that nobody uses cost nothing.
  if (!in_threads_ && atomics_.find(object) == nullptr) return;
  atomic_state made;
  made.maker = current_;
  made.made_at = memory_.events_of(current_).of(current_);
  made.initial = initial;
  atomics_.put(object, made);
  memory_.step_done(current_);
}

void engine::destroyed(const void* object) {
  const engine_scope scope(*this);
  atomic_state* const state = atomics_.find(object);
  if (state == nullptr) return;
  if (!state->alive) fail("an atomic is destroyed twice");
  if (!memory_.events_of(current_).covers(state->users)) fail("an atomic is destroyed while another thread may use it");
  state->alive = false;
}

engine::atomic_state& engine::use(const void* object, std::uint64_t initial) {
  must_not_be_freed(object);
  atomic_state* state = atomics_.find(object);
  if (state == nullptr) {
    atomic_state fresh;
    fresh.initial = initial;
    state = &atomics_.put(object, fresh);
  }
  if (!state->alive) fail("use of an atomic that was destroyed");
  const vector_clock& mine = memory_.events_of(current_);
  if (!mine.covers(state->maker, state->made_at)) fail("an atomic is used before its construction is known");
  state->users.set(current_, mine.of(current_));
  return *state;
}

std::uint32_t engine::location_of(const void* object, std::uint64_t initial) {
  atomic_state& state = use(object, initial);
  if (!state.has_location) {
    state.location = memory_.make_location(state.maker, state.initial);
    state.has_location = true;
  }
  return state.location;
}

// --- orders

void engine::must_be_legal(order o, op_kind kind, bool of_failure, place where) {
  const bool reads_only = kind == op_kind::load || of_failure;
  const bool illegal = o == order::consume || (reads_only && releases(o) && o != order::seq_cst) ||
                       (kind == op_kind::store && acquires(o) && o != order::seq_cst);
  if (!illegal || options_.wrong == flaw::any_order) return;
  fail(std::string("illegal order ") + name_of(o) + " for a " + name_of(kind) + (of_failure ? "'s failure" : "") +
       " at " + where.file + ":" + std::to_string(where.line));
}

order engine::effective(order o, op_kind kind, bool of_failure, place where) {
  must_be_legal(o, kind, of_failure, where);
  if (records_sites || weakens) {
    const order_site here{where, kind, of_failure, o};
    if (records_sites && std::find(sites.begin(), sites.end(), here) == sites.end()) sites.push_back(here);
    if (weakens && here == weakened) return weakened.is;
  }
  return o;
}

// --- steps

void engine::step_begins(const operation& op) {
  doing_ = op;
  if (current_ == main_thread) return;
  threads_[current_].next = op;
  threads_[current_].stack.leave();  // until the search gives this thread its turn
  doing_ = op;
}

void engine::step_ends(const operation& op) {
  if (current_ != main_thread) {
    threads_[current_].asleep = false;
    threads_[current_].asleep_since = 0;
    threads_[current_].next = {};
  }
  memory_.step_done(current_);
  ++steps_;
  // The threads' steps are bounded by the scenario's limit; here there is nobody who could stop it.
  if (current_ == main_thread && steps_ > most_main_steps) fail("the main thread goes on for ever");
  wake_sleepers(op, current_);
}

positions engine::readable(thread_id t, const operation& op) const {
  const thread_run& thread = threads_[t];
  const std::uint64_t since = thread.asleep ? thread.asleep_since : 0;
  // A thread that has spun in vain for a while sees the newest: that is what hardware does in the end.
  const bool newest_only = t == main_thread || thread.relaxes > 2;
  return memory_.readable(t, op, since, newest_only, may_fail_weakly(t));
}

std::uint64_t engine::load(const void* object, std::uint64_t initial, order o, place where) {
  const engine_scope scope(*this);
  operation op{.kind = op_kind::load, .where = where};
  op.success = effective(o, op.kind, false, where);
  op.object = location_of(object, initial);
  step_begins(op);
  use(object, initial);
  const positions where_to = readable(current_, op);
  const std::size_t at = where_to[choice(where_to.size())];
  const std::uint64_t value = memory_.read(current_, op.object, at, op.success);
  tell(op, value, memory_.is_newest(op.object, at) ? "" : "not the newest");
  step_ends(op);
  return value;
}

void engine::store(const void* object, std::uint64_t initial, std::uint64_t value, order o, place where) {
  const engine_scope scope(*this);
  operation op{.kind = op_kind::store, .where = where};
  op.success = effective(o, op.kind, false, where);
  op.object = location_of(object, initial);
  step_begins(op);
  use(object, initial);
  const positions where_to = memory_.insertable(current_, op);
  const std::size_t at = where_to[choice(where_to.size())];
  tell(op, value, memory_.is_newest(op.object, at) ? "" : "goes in before a newer one");
  memory_.store(current_, op.object, at, value, op.success);
  step_ends(op);
}

std::size_t engine::begin_modify(const void* object, std::uint64_t initial, order o, place where) {
  const engine_scope scope(*this);
  operation op{.kind = op_kind::rmw, .where = where};
  op.success = effective(o, op.kind, false, where);
  op.object = location_of(object, initial);
  step_begins(op);
  use(object, initial);
  const positions where_to = readable(current_, op);
  return where_to[choice(where_to.size())];
}

std::uint64_t engine::end_modify(std::size_t position, std::uint64_t value) {
  const engine_scope scope(*this);
  const operation op = doing_;
  tell(op, value, "");
  const std::uint64_t seen = memory_.exchange(current_, op.object, position, value, op.success);
  step_ends(op);
  return seen;
}

bool engine::exchange_if(const void* object, std::uint64_t initial, std::uint64_t& expected, std::uint64_t desired,
                         order success, order failure, bool weak, place where) {
  const engine_scope scope(*this);
  operation op{.kind = weak ? op_kind::cas_weak : op_kind::cas_strong, .expected = expected, .where = where};
  op.success = effective(success, op.kind, false, where);
  op.failure = options_.wrong == flaw::failure_as_success && !releases(op.success)
                   ? op.success
                   : effective(failure, op.kind, true, where);
  op.object = location_of(object, initial);
  step_begins(op);
  use(object, initial);
  const positions where_to = readable(current_, op);
  const std::size_t at = where_to[choice(where_to.size())];
  thread_run& thread = threads_[current_];
  const bool may_fail = weak && may_fail_weakly(current_);
  const bool matches = memory_.value_at(op.object, at) == op.expected;
  bool done = memory_.may_exchange(current_, op, at);
  if (done && may_fail && memory_.may_refuse(current_, op, at)) done = choice(2) == 0;
  if (done) {
    tell(op, desired, "exchanged");
    memory_.exchange(current_, op.object, at, desired, op.success);
  } else {
    if (matches) ++thread.weak_failures;
    expected = memory_.read(current_, op.object, at, op.failure);
    tell(op, expected, matches ? "failed without a reason" : "failed");
  }
  step_ends(op);
  return done;
}

void engine::fence(order o, place where) {
  const engine_scope scope(*this);
  operation op{.kind = op_kind::fence, .where = where};
  op.success = effective(o, op.kind, false, where);
  if (op.success == order::relaxed) return;  // weakened away
  if (op.success == order::seq_cst) step_begins(op);
  memory_.fence(current_, op.success);
  tell(op, 0, "");
  if (op.success == order::seq_cst) {
    step_ends(op);
  } else {
    memory_.step_done(current_);
  }
}

void engine::interrupt_all(place where) {
  // The caller's own fences are around those of the others.
  for (thread_id step = 0; step <= thread_count_ + 1; ++step) {
    const bool own = step == 0 || step > thread_count_;
    if (!own && step == current_) continue;
    const engine_scope scope(*this);
    const operation op{.kind = op_kind::interrupt, .expected = own ? current_ : step, .where = where};
    step_begins(op);
    if (own || options_.wrong != flaw::interrupts_ignored) {
      memory_.fence(static_cast<thread_id>(op.expected), order::seq_cst);
      threads_[op.expected].interrupted = true;
    }
    tell(op, op.expected, "");
    step_ends(op);
  }
}

void engine::relax(place where) {
  const engine_scope scope(*this);
  if (current_ == main_thread) return;
  if (options_.spins_end) stop_here();
  thread_run& thread = threads_[current_];
  if (memory_.take_progress(current_)) return;  // the next turn of the loop may succeed
  ++thread.relaxes;
  thread.relaxed_at = memory_.births();
  const operation op{.kind = op_kind::relax, .where = where};
  step_begins(op);
  tell(op, 0, "");
  step_ends(op);
  thread.turn_began = memory_.births();
  thread.interrupted = false;
}

void engine::park(const void* object, std::uint64_t initial, std::uint64_t expected, place where, std::uint64_t mask) {
  const engine_scope scope(*this);
  operation op{.kind = op_kind::park, .expected = expected, .where = where};
  op.object = location_of(object, initial);
  step_begins(op);
  use(object, initial);
  // The kernel looks under the lock that a waker takes as well, so it sees what earlier wakers had seen there. Nothing
  // else is learned from a waker: in C++ a notification does not synchronise with a wait.
  const auto look = [&] {
    const stamp* const passed = wakers_.find(object);
    if (passed != nullptr && options_.wrong != flaw::waker_forgotten)
      memory_.known_to(current_).messages.raise(op.object, *passed);
  };
  look();
  const positions where_to = readable(current_, op);
  const std::size_t at = where_to[choice(where_to.size())];
  const std::uint64_t value = memory_.read(current_, op.object, at, order::relaxed);
  if ((value & mask) != expected) {
    tell(op, value, "changed");
    step_ends(op);
    return;
  }
  if (current_ == main_thread) fail("the main thread would sleep for ever");
  tell(op, value, "asleep");
  step_ends(op);
  operation sleeping = op;
  sleeping.kind = op_kind::parked;
  threads_[current_].woken = false;
  step_begins(sleeping);
  look();
  tell(sleeping, value, "woken");
  step_ends(sleeping);
}

void engine::wake(const void* object, std::uint64_t initial, bool all, place where) {
  const engine_scope scope(*this);
  operation op{.kind = op_kind::wake, .where = where};
  op.object = location_of(object, initial);
  step_begins(op);
  use(object, initial);
  stamp* passed = wakers_.find(object);
  if (passed == nullptr) passed = &wakers_.put(object, 0);
  *passed = std::max(*passed, memory_.known_to(current_).messages.of(op.object));
  positions sleeping;
  for (thread_id t = 1; t <= thread_count_; ++t) {
    const operation& theirs = threads_[t].next;
    if (!threads_[t].dead && theirs.kind == op_kind::parked && theirs.object == op.object && !threads_[t].woken)
      sleeping.add(t);
  }
  const std::size_t first = sleeping.empty() || all ? 0 : choice(sleeping.size());
  for (std::size_t i = first; i < sleeping.size() && (all || i == first); ++i) threads_[sleeping[i]].woken = true;
  tell(op, sleeping.size(), sleeping.empty() ? "nobody sleeps" : "sleepers there");
  step_ends(op);
}

void engine::lock(const void* mutex, place where) {
  const engine_scope scope(*this);
  operation op{.kind = op_kind::lock, .where = where};
  if (locks_.find(mutex) == nullptr) locks_.put(mutex, {});
  op.expected = reinterpret_cast<std::uintptr_t>(mutex);
  step_begins(op);
  lock_state& state = *locks_.find(mutex);
  if (state.held) fail("a mutex is locked for ever");
  state.held = true;
  memory_.known_to(current_).join(state.passed);
  tell(op, 0, "");
  step_ends(op);
}

void engine::unlock(const void* mutex, place where) {
  const engine_scope scope(*this);
  operation op{.kind = op_kind::unlock, .where = where};
  op.expected = reinterpret_cast<std::uintptr_t>(mutex);
  step_begins(op);
  lock_state& state = *locks_.find(mutex);
  state.held = false;
  state.passed = memory_.known_to(current_);
  tell(op, 0, "");
  step_ends(op);
}

// --- plain data: no step of its own, since a race is a matter of happens-before and not of turns

namespace {
std::string race(const char* what, place here, place there) {
  return std::string("data race: ") + what + " at " + here.file + ":" + std::to_string(here.line) +
         " is not ordered with the one at " + there.file + ":" + std::to_string(there.line);
}
}  // namespace

void engine::plain_made(const void* object, place where) {
  const engine_scope scope(*this);
  if (plain_state* const there = plains_.find(object)) {
    const vector_clock& mine = memory_.events_of(current_);
    if (!mine.covers(there->writer, there->written_at)) fail(race("a construction", where, there->written));
    if (!mine.covers(there->readers)) fail(race("a construction", where, there->written) + " or with a read");
  }
  plain_state made;
  made.writer = current_;
  made.written_at = memory_.events_of(current_).of(current_);
  made.written = where;
  plains_.put(object, made);
}

void engine::plain_gone(const void* object, place where) {
  plain_written(object, where);
  const engine_scope scope(*this);
  plains_.find(object)->alive = false;
}

void engine::plain_read(const void* object, place where) {
  const engine_scope scope(*this);
  must_not_be_freed(object);
  plain_state* const state = plains_.find(object);
  if (state == nullptr) fail("read of plain data that was never made");
  const vector_clock& mine = memory_.events_of(current_);
  if (!mine.covers(state->writer, state->written_at) && options_.wrong != flaw::no_race_on_read)
    fail(race("a read", where, state->written));
  if (!state->alive) fail("read of plain data that was destroyed");
  state->readers.set(current_, mine.of(current_));
}

void engine::plain_written(const void* object, place where) {
  const engine_scope scope(*this);
  must_not_be_freed(object);
  plain_state* const state = plains_.find(object);
  if (state == nullptr) fail("write to plain data that was never made");
  const vector_clock& mine = memory_.events_of(current_);
  if (!mine.covers(state->writer, state->written_at)) fail(race("a write", where, state->written));
  if (!mine.covers(state->readers) && options_.wrong != flaw::no_race_on_read)
    fail(race("a write", where, state->written) + " or with a read since");
  if (!state->alive) fail("write to plain data that was destroyed");
  state->writer = current_;
  state->written_at = mine.of(current_);
  state->written = where;
}

// --- for scenarios

unsigned engine::choose(unsigned count) {
  const engine_scope scope(*this);
  return choice(count);
}

void check(bool holds, const char* relation) {
  if (!holds) engine::instance().fail(std::string("does not hold: ") + relation);
}
void fail(const std::string& why) {
  engine::instance().fail(why);
}
unsigned choose(unsigned count) {
  return engine::instance().choose(count);
}
void spin() {
  engine::instance().relax(place{});
}
unsigned this_thread() {
  return engine::instance().current() - 1;
}
moment now() {
  const engine& e = engine::instance();
  return {e.current(), e.events().of(e.current())};
}
bool happened_before_now(moment m) {
  return engine::instance().events().covers(m.by, m.event);
}
void test_mutex::lock(place where) {
  engine::instance().lock(this, where);
}
void test_mutex::unlock(place where) {
  engine::instance().unlock(this, where);
}

std::vector<scenario>& all_scenarios() {
  static std::vector<scenario> all;
  return all;
}

}  // namespace holdfast_model
