// SPDX-License-Identifier: MIT
// intrusive_mpsc_list: a FIFO without a limit from many threads to one, of nodes that its users own.
//
//   operation          caller     progress    cost   allocates   when refused
//   push               anyone     wait-free   O(1)   never       never
//   try_pop(out)       consumer   wait-free   O(1)   never       empty or busy; `out` is as it was
//   consume_all(fn)    consumer   wait-free   O(n)   never       0; takes at most what was there when it was called
//   empty              anyone     wait-free   O(1)   never       -
//
// In short: any thread pushes, one pops | a push is wait-free; a stalled one holds up the consumer | never | empty,
// or busy: a push is under way. No limit: nodes are the users'
//
// What is wait-free, and what is not: a push is one exchange and two stores, whatever the others do, and no call ever waits.
// But the list as a whole is not lock-free. A push first takes its place in the order and then ties its node to the one
// before. A producer that is descheduled or dies between the two holds up the consumer, which is told busy for as long as
// that takes: it gets neither the nodes behind the gap, though their pushes have returned, nor the one node directly before
// it, whose hook the other one is still going to write. All that was pushed before that one still comes out.
//
// What a refusal means: empty, that no node was in the list, none whose push was under way either; it is never said by
// chance. Busy, that a push was under way during the call: so a list whose producers have all returned is never busy. As in
// any queue without a lock, what another thread has done and nothing has told this one of may not count yet; who wants to
// sleep on a refusal takes a last look after a seq_cst fence.
//
// Order: FIFO over all threads, by the order of the exchanges.
//
// Nodes: any T with mpsc_hook as a public base. The list owns none of them and never ends the life of one: a node stays alive
// and where it is from its push until it is popped, and is in one list at a time (a node that is pushed twice in a row is
// asserted). Once it is popped nobody else will touch it: it may be pushed again at once, here or elsewhere, or destroyed. All
// that its producer wrote to it before the push, the consumer sees. Nodes that are left when the list is destroyed, after
// all threads have stopped using it, are their owners' as before, and may be pushed to another list.
//
// When to use it: where each item has a home anyway (a request, a task, a connection) and goes to one thread: completions,
// the inbox of an actor or of a timer. The number of nodes is the only limit, so limit that. Not where items are values
// (fan_in, mpsc_queue), not where a producer may be killed in the middle of a call (mpmc_lockfree_queue), not for several
// consumers, not between processes.
//
// Memory: a pointer a node; the list itself is four lines. It has an address that others know, so it is neither copied nor
// moved, and neither is a hook.
//
// Method: a chain from the oldest node to the newest; a push exchanges the pointer to the newest and then links the one that
// it got to its own (Vyukov, "Intrusive MPSC node-based queue", 2010). A node of the list's own, the stub, stands in it while
// it is empty. Where Vyukov's consumer pushes the stub again to get the last node out, this one exchanges the last node for
// the stub, and only if it is still the last: so the stub is never in the middle, there is nothing to wait for but a
// producer, and whether the list is empty is one look at one pointer. Only the last node costs the consumer an exchange.
//
// Proof: model/intrusive_mpsc_list_model.cpp (every execution of small cases: order, refusals, nodes used again, deaths at
// each step), unit/intrusive_mpsc_list_test.cpp, stress/intrusive_mpsc_list_stress.cpp,
// linearizability/mpmc_windows.cpp, fuzz/intrusive_mpsc_list_fuzz.cpp.
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/queue_result.hpp"

namespace holdfast {

template <class T>
class intrusive_mpsc_list;

// What a node needs to be in a list.
class mpsc_hook {
 public:
  mpsc_hook() noexcept = default;
  mpsc_hook(const mpsc_hook&) = delete;
  mpsc_hook& operator=(const mpsc_hook&) = delete;

 private:
  template <class T>
  friend class intrusive_mpsc_list;

  atomic<mpsc_hook*> next_{nullptr};  // the node behind; written by whoever pushed that one
};

template <class T>
class intrusive_mpsc_list {
  static constexpr std::size_t spacing = 2 * cache_line_size;

 public:
  using value_type = T;

  intrusive_mpsc_list() noexcept : newest_(&stub_), oldest_(&stub_) {}
  intrusive_mpsc_list(const intrusive_mpsc_list&) = delete;
  intrusive_mpsc_list& operator=(const intrusive_mpsc_list&) = delete;
  ~intrusive_mpsc_list() = default;

  // ---- producers

  void push(T& node) noexcept {
    mpsc_hook* const mine = hook_of(node);
    // own: nobody knows the node yet; who had it before has handed it on
    mine->next_.store(nullptr, mo::relaxed);
    // [I1] acq_rel, pairs with [I1] and [I5]: the node that we get is linked to ours after its own push, or the stub's return,
    // has cleared its link
    mpsc_hook* const before = newest_.exchange(mine, mo::acq_rel);
    HOLDFAST_ASSERT(before != mine);  // pushed while it is in the list
    // [I2] release, pairs with [I3] and [I4]: the node and all that was written to it. From here on `before` is not ours to touch
    before->next_.store(mine, mo::release);
  }

  // ---- the consumer

  [[nodiscard]] queue_result try_pop(T*& out) noexcept {
    mpsc_hook* first = oldest_;
    if (first == &stub_) {
      // [I3] acquire, pairs with [I2]: the first node is whole
      mpsc_hook* const next = stub_.next_.load(mo::acquire);
      if (next == nullptr) return empty() ? queue_op_status::empty : queue_op_status::busy;
      // own: whoever linked it has done so, and nobody finds the stub before [I5] shows it again
      stub_.next_.store(nullptr, mo::relaxed);
      oldest_ = first = next;
    }
    // [I4] acquire, pairs with [I2]: the node behind is whole when its turn comes, and its producer has done with this one
    mpsc_hook* next = first->next_.load(mo::acquire);
    if (next == nullptr) {
      mpsc_hook* last = first;
      // hint: the exchange decides; without a look first, a consumer that comes too early would take the line each time
      if (newest_.load(mo::relaxed) != last) return queue_op_status::busy;
      // [I5] release, pairs with [I1]: the stub's link is cleared
      // hint: on failure another node came behind, whose link is looked for by the next call
      if (!newest_.compare_exchange_strong(last, &stub_, mo::release, mo::relaxed)) return queue_op_status::busy;
      next = &stub_;
    }
    oldest_ = next;
    out = &static_cast<T&>(*first);
    return queue_op_status::success;
  }

  // Calls fn(T&) for each node that was in the list at the call, oldest first, as far as none is held up; returns how many.
  // A node is out of the list before fn sees it, so fn may push it again or destroy it.
  template <class Function>
    requires std::invocable<Function&, T&> std::size_t consume_all(Function&& fn)
  noexcept(std::is_nothrow_invocable_v<Function&, T&>) {
    // hint: where to stop; no node is read through it
    const mpsc_hook* const last = newest_.load(mo::relaxed);
    std::size_t count = 0;
    for (bool more = last != &stub_; more;) {
      T* node = nullptr;
      if (!try_pop(node)) break;
      more = hook_of(*node) != last;
      ++count;
      fn(*node);
    }
    return count;
  }

  // ---- anyone

  // No node is in the list, none whose push is under way either.
  [[nodiscard]] bool empty() const noexcept {
    return newest_.load(mo::relaxed) == &stub_;  // hint: no node is read through it
  }

 private:
  static mpsc_hook* hook_of(T& node) noexcept {
    static_assert(std::derived_from<T, mpsc_hook>, "intrusive_mpsc_list: T has mpsc_hook as a public base");
    return &node;
  }

  alignas(spacing) atomic<mpsc_hook*> newest_;  // written by all; the stub, if the list is empty
  alignas(spacing) mpsc_hook* oldest_;          // the consumer's: the next node, or the stub before it
  mpsc_hook stub_;                              // its link, by whoever pushes to the empty list
};

}  // namespace holdfast
