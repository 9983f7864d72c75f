// SPDX-License-Identifier: MIT
// memory: what C++20 lets threads see of each other's writes. It offers choices and carries out the one that was made.
//
// A location is the list of its messages in modification order, and a thread has a view: for each location the oldest
// message that it may still read. A load reads any message that is not older; a store goes in anywhere behind its view;
// a read-modify-write directly behind the message it read, and nothing ever comes between the two. A release message
// carries all that its writer knew, and an acquiring reader takes it over; a relaxed reader keeps it for a later acquire
// fence, and a relaxed writer hands on what it knew at its last release fence. A read-modify-write also hands on what
// its message carried (release sequences, as C++20 has them). The seq_cst accesses and fences share one more view: an
// access is never older than it and raises it; a fence joins it with the thread's, both ways.
//
// Source: view-based operational semantics (Kang et al., "A promising semantics for relaxed-memory concurrency", POPL
// 2017) without promises. Not modelled: load buffering (cycles of program order and reads-from), consume, mixed sizes,
// and a seq_cst order against program order and reads-from. What the last leaves out is real on ARM: of a seq_cst store
// and the relaxed store behind it, a thread may see the second by a relaxed load and then miss the first by a seq_cst
// load. No proof may rest on that: what is published by a relaxed store is not published.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "model/engine/clocks.hpp"
#include "model/engine/operation.hpp"

namespace holdfast_model {

struct message {
  stamp at = 0;
  std::uint64_t value = 0;
  std::uint64_t born = 0;  // counts up through an execution
  bool followed = false;   // by the read-modify-write that read it
  knowledge carried;
};

class memory {
 public:
  flaw wrong = flaw::none;

  void begin();
  // The thread knows all that `parent` knows.
  void begin_thread(thread_id t, thread_id parent);
  void join_thread(thread_id t, thread_id ended) { threads_[t].now.join(threads_[ended].now); }

  std::uint32_t make_location(thread_id by, std::uint64_t value);
  [[nodiscard]] std::size_t location_count() const noexcept { return used_locations_; }

  // Where the thread's next operation may read, newest first. Messages born before `since` are not offered.
  [[nodiscard]] positions readable(thread_id t, const operation& op, std::uint64_t since, bool newest_only,
                                   bool may_fail_weakly) const;
  // Behind which messages its store may go, the newest first.
  [[nodiscard]] positions insertable(thread_id t, const operation& op) const;

  // May an exchange that reads there happen; may it not happen, for whatever reason?
  [[nodiscard]] bool may_exchange(thread_id t, const operation& op, std::size_t position) const;
  [[nodiscard]] bool may_refuse(thread_id t, const operation& op, std::size_t position) const;
  std::uint64_t read(thread_id t, std::uint32_t where, std::size_t position, order o);
  void store(thread_id t, std::uint32_t where, std::size_t position, std::uint64_t value, order o);
  // Reads at `position`, writes directly behind it.
  std::uint64_t exchange(thread_id t, std::uint32_t where, std::size_t position, std::uint64_t value, order o);
  void fence(thread_id t, order o);

  [[nodiscard]] std::uint64_t value_at(std::uint32_t where, std::size_t position) const {
    return locations_[where][position]->value;
  }
  [[nodiscard]] bool is_newest(std::uint32_t where, std::size_t position) const {
    return position + 1 == locations_[where].size();
  }
  // Has anything been written anywhere that the thread has not seen?
  [[nodiscard]] bool has_unseen(thread_id t) const;
  [[nodiscard]] std::uint64_t births() const noexcept { return births_; }
  // Has the thread seen something new since it was last asked?
  [[nodiscard]] bool take_progress(thread_id t) noexcept;

  // Happens-before, for races on plain data and for whatever else synchronises.
  knowledge& known_to(thread_id t) noexcept { return threads_[t].now; }
  [[nodiscard]] const vector_clock& events_of(thread_id t) const noexcept { return threads_[t].now.events; }
  void step_done(thread_id t) noexcept { threads_[t].now.events.advance(t); }

 private:
  using location = std::vector<message*>;
  struct thread_memory {
    knowledge now;
    knowledge read_relaxed;  // what an acquire fence takes over
    knowledge released;      // what a relaxed store hands on
    bool progress = false;
  };

  [[nodiscard]] stamp floor_of(thread_id t, std::uint32_t where, order o) const;
  [[nodiscard]] bool is_sc(order o) const noexcept { return o == order::seq_cst && wrong != flaw::sc_is_acq_rel; }
  void insert(thread_id t, std::uint32_t where, std::size_t position, std::uint64_t value, order o,
              const knowledge* chain);
  message& fresh_message();

  std::vector<location> locations_;  // those beyond the used keep their memory for the next execution
  std::size_t used_locations_ = 0;
  std::deque<message> messages_;
  std::size_t used_messages_ = 0;
  std::uint64_t births_ = 0;
  thread_memory threads_[max_threads];
  view sc_;
};

}  // namespace holdfast_model
