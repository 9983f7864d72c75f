// SPDX-License-Identifier: MIT
#include "model/engine/memory.hpp"

namespace holdfast_model {
namespace {
constexpr stamp spacing = stamp{1} << 40U;
}

void memory::begin() {
  used_locations_ = 0;
  used_messages_ = 0;
  births_ = 0;
  sc_.clear();
  for (auto& thread : threads_) {
    thread.now.clear();
    thread.read_relaxed.clear();
    thread.released.clear();
    thread.progress = false;
  }
  threads_[main_thread].now.events.set(main_thread, 1);
}

void memory::begin_thread(thread_id t, thread_id parent) {
  threads_[t].now = threads_[parent].now;
  threads_[t].now.events.set(t, 1);
}

message& memory::fresh_message() {
  if (used_messages_ == messages_.size()) messages_.emplace_back();
  message& m = messages_[used_messages_++];
  m.followed = false;
  m.born = births_++;
  return m;
}

std::uint32_t memory::make_location(thread_id by, std::uint64_t value) {
  if (used_locations_ == locations_.size()) locations_.emplace_back();
  const auto number = static_cast<std::uint32_t>(used_locations_++);
  message& first = fresh_message();
  first.at = spacing;
  first.value = value;
  first.carried.clear();
  locations_[number].assign(1, &first);
  threads_[by].now.messages.raise(number, first.at);
  return number;
}

stamp memory::floor_of(thread_id t, std::uint32_t where, order o) const {
  const stamp own = threads_[t].now.messages.of(where);
  return is_sc(o) ? std::max(own, sc_.of(where)) : own;
}

bool memory::may_exchange(thread_id t, const operation& op, std::size_t position) const {
  const message& m = *locations_[op.object][position];
  return m.value == op.expected && m.at >= floor_of(t, op.object, op.success) &&
         (!m.followed || wrong == flaw::rmw_not_atomic);
}

bool memory::may_refuse(thread_id t, const operation& op, std::size_t position) const {
  const message& m = *locations_[op.object][position];
  if (wrong == flaw::weak_needs_untaken && m.followed && m.value == op.expected) return false;
  return (m.value != op.expected || op.kind == op_kind::cas_weak) && m.at >= floor_of(t, op.object, op.failure);
}

positions memory::readable(thread_id t, const operation& op, std::uint64_t since, bool newest_only,
                           bool may_fail_weakly) const {
  const location& list = locations_[op.object];
  const stamp own = threads_[t].now.messages.of(op.object);
  const stamp floor = floor_of(t, op.object, op.success);
  positions found;
  for (std::size_t i = list.size(); i-- > 0 && list[i]->at >= own;) {
    const message& m = *list[i];
    if (wrong == flaw::one_value_back && i + 2 < list.size()) break;
    if (op.exchanges()) {
      const bool refused = may_refuse(t, op, i) && (m.value != op.expected || may_fail_weakly);
      if (!may_exchange(t, op, i) && !refused) continue;
    } else if (m.at < floor || (op.kind == op_kind::rmw && m.followed && wrong != flaw::rmw_not_atomic)) {
      continue;
    }
    if (m.born >= since) found.add(i);
    if (newest_only) break;
  }
  return found;
}

positions memory::insertable(thread_id t, const operation& op) const {
  const location& list = locations_[op.object];
  const stamp floor = floor_of(t, op.object, op.success);
  positions found;
  for (std::size_t i = list.size(); i-- > 0;) {
    if (!list[i]->followed || wrong == flaw::rmw_not_atomic) found.add(i);
    if (t == main_thread || wrong == flaw::order_of_execution || list[i]->at <= floor) break;
  }
  return found;
}

std::uint64_t memory::read(thread_id t, std::uint32_t where, std::size_t position, order o) {
  thread_memory& thread = threads_[t];
  const message& m = *locations_[where][position];
  if (m.at > thread.now.messages.of(where)) {
    thread.now.messages.raise(where, m.at);
    thread.progress = true;
  }
  if (acquires(o) || wrong == flaw::relaxed_is_acquire) {
    // Also of other locations: the next turn of a loop can no longer read what the last one did.
    if (!thread.now.messages.covers(m.carried.messages)) thread.progress = true;
    thread.now.join(m.carried);
  } else {
    thread.read_relaxed.join(m.carried);
  }
  if (is_sc(o)) sc_.raise(where, m.at);
  return m.value;
}

void memory::insert(thread_id t, std::uint32_t where, std::size_t position, std::uint64_t value, order o,
                    const knowledge* chain) {
  location& list = locations_[where];
  thread_memory& thread = threads_[t];
  const stamp before = list[position]->at;
  const bool newest = position + 1 == list.size();
  message& m = fresh_message();
  m.at = newest ? before + spacing : before + (list[position + 1]->at - before) / 2;
  if (m.at == before) {
    std::fputs("model checker: over 40 stores in one gap; make the scenario smaller\n", stderr);
    std::abort();
  }
  m.value = value;
  thread.now.messages.raise(where, m.at);
  m.carried = releases(o) ? thread.now : thread.released;
  if (chain != nullptr && wrong != flaw::no_release_sequence) m.carried.join(*chain);
  m.carried.messages.raise(where, m.at);
  if (is_sc(o)) sc_.raise(where, m.at);
  list.insert(list.begin() + static_cast<std::ptrdiff_t>(position) + 1, &m);
}

void memory::store(thread_id t, std::uint32_t where, std::size_t position, std::uint64_t value, order o) {
  insert(t, where, position, value, o, nullptr);
}

std::uint64_t memory::exchange(thread_id t, std::uint32_t where, std::size_t position, std::uint64_t value, order o) {
  message& source = *locations_[where][position];
  const std::uint64_t seen = read(t, where, position, o);
  source.followed = true;
  insert(t, where, position, value, o, &source.carried);
  return seen;
}

void memory::fence(thread_id t, order o) {
  thread_memory& thread = threads_[t];
  if (acquires(o) && wrong != flaw::fences_ignored) {
    if (!thread.now.messages.covers(thread.read_relaxed.messages)) thread.progress = true;
    thread.now.join(thread.read_relaxed);
  }
  if (o == order::seq_cst && wrong != flaw::sc_fence_is_acq_rel) {
    thread.now.messages.join(sc_);
    sc_.join(thread.now.messages);
  }
  if (releases(o) && wrong != flaw::fences_ignored) thread.released = thread.now;
}

bool memory::has_unseen(thread_id t) const {
  for (std::uint32_t l = 0; l < used_locations_; ++l) {
    if (locations_[l].back()->at > threads_[t].now.messages.of(l)) return true;
  }
  return false;
}

bool memory::take_progress(thread_id t) noexcept {
  const bool seen = threads_[t].progress;
  threads_[t].progress = false;
  return seen;
}

}  // namespace holdfast_model
