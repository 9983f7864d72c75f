// SPDX-License-Identifier: MIT
// bulkhead: at most `limit` calls at the same time, so that one slow dependency cannot take every thread there is; and at most
// `queue` callers that wait for a place.
//
//   operation      caller         progress               cost                         allocates   when refused
//   try_acquire    any thread     lock-free              one CAS                      never       an empty permit, counted in
//                                                                                                 refused()
//   wait_acquire   any thread     blocking               one CAS, or it sleeps        never       bulkhead_full, bulkhead_timeout
//                                                                                                 or cancelled, in the admission
//   ~permit        any thread     wait-free where        one RMW; see serve() for     never       -
//                                 nobody waits, else     more
//                                 lock-free
//   set_limit      any thread     lock-free              one CAS, and as ~permit      never       -
//   enter          a waiter       lock-free              waiting_line's, and a CAS    never       nothing: the queue was full
//   collect        a waiter       wait-free              waiting_line's               never       as wait_acquire
//   cancel         any thread     wait-free              waiting_line's, of end       never       false: its wait had ended
//   expire         any thread     lock-free              waiting_line's               never       0
//   in_flight,     any observer   wait-free              one load; a look at each     never       -
//   snapshot                                             who waits
//
// In short: any thread | lock-free; who waits, sleeps | never | an empty permit, or why
//
//   B1 No permit is given while `limit` or more are out, whoever changes the limit meanwhile.
//   B2 Permits out are counted exactly, at every moment; one that is on its way to who waits counts as out.
//   B3 No wake-up is lost: a place that is free while somebody waits is handed over by whoever freed it, or by whoever comes by. A
//      wait ends once, so who is late or stopped while it is handed a place has it, or else the next one has.
//   B4 At most `queue` wait. One more is refused at once.
//   B5 A smaller limit takes effect at once for new calls and for those who wait; those in flight finish, and until enough have,
//      nobody gets in. A larger one lets those who wait in at once.
//   B6 Who comes does not overtake who waits: while somebody does, a free place is theirs.
//
// What a holder of a permit wrote is seen by whoever gets that place next.
//
// A place goes to who has waited longest, or shortest (newest_first: under overload, the one whose answer is still wanted). Threads
// wait in wait_acquire(), coroutines by exec/co_bulkhead.hpp, in one line; anything else by enter(). Whoever finds a free place has
// it, though its deadline has passed or a stop was asked for.
//
// When to use: around a dependency whose slowness would otherwise pile up callers. Not for how many per second: that is
// a rate limit. A refused call waits outside, by retry's backoff, or takes the next fallback tier. A queue evens out bursts
// that are shorter than a call; a longer one only makes all callers late.
//
// Memory: 128 bytes, and 48 bytes for each that may wait, of the memory resource, asked once. A permit is one pointer, and the
// bulkhead outlives it, and every call of others on it: who hands a place over is still in its release when it is left again.
//
// Method: the places taken, the limit and a mark that somebody waits in one word, so that they are compared and a place is taken
// in one step, and a new limit holds for every step after it. Where nobody waits, every access is a read-modify-write of that one
// word: nothing beside a call to another process, too much for an inner loop.
// Who waits stands in the line first (policy/waiting_line.hpp), and then sets the mark and counts one more arrival, in one step, in
// the same word. So whoever leaves after that sees the mark, without a fence; and whoever finds nobody in the line takes the mark
// away only if nobody has arrived since before it looked. (By 21 bits: a mark would be taken away, and somebody's wake-up come as
// late as the next arrival, if exactly a multiple of 2,097,152 arrived during one look at the line.)
// A place is taken for the next in line, and then that wait is ended as served: if it had ended before, the place is free again,
// and all is repeated. There is no lock, and nobody waits for another one's step. But of a thread that is stopped between the two
// one place is out of use meanwhile, while whoever comes by serves the others: so with a queue, and only while somebody waits or
// just did, a try_acquire may be refused for the sake of a place that turns out to be free. (Without one it is refused exactly if
// there is none.)
// Proof: model/bulkhead_model.cpp (every execution of small cases, limits that change and deaths among them),
// model/bulkhead_wait_model.cpp (the same for those who wait: grants against ends, marks against arrivals),
// unit/bulkhead_test.cpp, unit/bulkhead_wait_test.cpp (B1-B6), stress/bulkhead_stress.cpp, alloc/policy_alloc_test.cpp,
// alloc/bulkhead_wait_alloc_test.cpp,
// linearizability/bulkhead_windows.cpp (without a queue, as one semaphore),
// bench/bulkhead_bench.cpp.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/error.hpp"
#include "holdfast/core/inplace_stop.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/waiter.hpp"
#include "holdfast/policy/waiting_line.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

struct bulkhead_options {
  std::uint32_t limit = 64;
  std::uint32_t queue = 0;  // so many may wait; 0: nobody, who finds no place is refused at once
  waiting_order order = waiting_order::oldest_first;
};
static_assert(std::is_aggregate_v<bulkhead_options>);

inline constexpr std::uint32_t largest_bulkhead = (std::uint32_t{1} << 21U) - 1;

constexpr option_error validate(const bulkhead_options& o) noexcept {
  return first_of(at_least("limit", o.limit, 1), at_most("limit", o.limit, largest_bulkhead),
                  at_most("queue", o.queue, longest_waiting_line));
}

struct bulkhead_snapshot {
  std::uint32_t in_flight = 0;
  std::uint32_t limit = 0;
  std::uint32_t waiting = 0;
  std::uint64_t refused = 0;    // at once: no place, and nowhere to wait
  std::uint64_t served = 0;     // got a place after having waited
  std::uint64_t timed_out = 0;  // waited in vain until their deadline
  std::uint64_t cancelled = 0;  // gave up before
};

class alignas(cache_line_size) bulkhead {
 public:
  // A place inside. Empty when none was free; leaves when destroyed.
  class [[nodiscard]] permit {
   public:
    permit() noexcept = default;
    permit(permit&& other) noexcept : room_(std::exchange(other.room_, nullptr)) {}
    permit& operator=(permit&& other) noexcept {
      if (this != &other) {
        release();
        room_ = std::exchange(other.room_, nullptr);
      }
      return *this;
    }
    ~permit() { release(); }

    explicit operator bool() const noexcept { return room_ != nullptr; }
    void release() noexcept {
      if (room_ != nullptr) std::exchange(room_, nullptr)->leave();
    }

   private:
    friend class bulkhead;
    explicit permit(bulkhead* room) noexcept : room_(room) {}
    bulkhead* room_ = nullptr;
  };

  // What came of a wait.
  struct [[nodiscard]] admission {
    permit place{};
    errc refusal{};  // bulkhead_full, bulkhead_timeout or cancelled

    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(place); }
  };

  explicit bulkhead(const bulkhead_options& options,
                    std::pmr::memory_resource* memory = std::pmr::get_default_resource()) noexcept
      : word_(options.limit), line_(options.queue, options.order, memory) {
    HOLDFAST_ASSERT(!validate(options));
  }
  bulkhead(const bulkhead&) = delete;
  bulkhead& operator=(const bulkhead&) = delete;
  ~bulkhead() { HOLDFAST_ASSERT(in_flight() == 0); }

  permit try_acquire() noexcept {
    permit mine = try_take();
    if (!mine) refused_.fetch_add(1, mo::relaxed);  // counter:
    return mine;
  }

  // Sleeps until there is a place, the clock is at `until`, or a stop is asked for (as its token's callbacks are told).
  template <stoppable_token Stop = std::stop_token>
  admission wait_acquire(deadline until, Stop stop = {}) noexcept {
    if (permit mine = try_take()) return {std::move(mine)};
    const auto mine = join(nullptr, until);
    if (!mine) return {.refusal = errc::bulkhead_full};
    {
      const auto give_up = [&]() noexcept { static_cast<void>(cancel(*mine)); };
      const stop_callback_for<Stop, decltype(give_up)> on_stop(std::move(stop), give_up);
      line_.sleep(*mine, until);
    }
    return collect(*mine);
  }

  // ---- who waits and is no thread

  using waiting_place = waiting_line::place;

  // A permit, if there is a place. Counts nothing: who is refused enters, or is refused there.
  permit try_take() noexcept {
    std::uint64_t seen = word_.load(mo::relaxed);  // hint: the exchange below decides
    for (;;) {
      while (has_room(seen)) {
        // [H1] acquire, pairs with [H2]: what the last holder of this place did is seen by the next
        // hint: on failure only the value seen counts
        if (word_.compare_exchange_weak(seen, seen + one_place, mo::acquire, mo::relaxed)) return permit(this);
      }
      if (!is_awaited(seen) || taken_of(seen) >= limit_of(seen)) [[likely]]
        return {};
      serve();
      seen = word_.load(mo::relaxed);  // hint: as above; serve() has seen it full, or nobody waiting
    }
  }
  // `who` is told once, by anybody, when its wait has ended, as soon as from within this call; then it collects. Its deadline is
  // kept by expire(), and by nobody else.
  [[nodiscard]] std::optional<waiting_place> enter(waiter& who, deadline until) noexcept { return join(&who, until); }
  // Ends its wait, if it still waits; it is told of that.
  [[nodiscard]] bool cancel(const waiting_place& which) noexcept { return line_.end(which, wait_end::cancelled); }
  // The same where it waits no longer because it is too late, for those who keep their own deadline.
  [[nodiscard]] bool time_out(const waiting_place& which) noexcept { return line_.end(which, wait_end::late); }
  admission collect(const waiting_place& mine) noexcept {
    switch (line_.collect(mine)) {
      case wait_end::served: return {permit(this)};
      case wait_end::late: return {.refusal = errc::bulkhead_timeout};
      case wait_end::cancelled: break;
    }
    return {.refusal = errc::cancelled};
  }

  // Ends the waits whose deadline has passed, those of threads among them; how many. Somebody has to call it from time to time
  // where those wait that are no threads.
  std::uint32_t expire(time_point now) noexcept { return line_.expire(now); }

  // ---- anyone

  // An adaptive limit calls this. Callers in flight are never turned out.
  void set_limit(std::uint32_t limit) noexcept {
    HOLDFAST_ASSERT(!validate(bulkhead_options{.limit = limit}));
    std::uint64_t seen = word_.load(mo::relaxed);  // hint: the exchange below decides
    // counter: publishes nothing; part of [H2]'s release sequence
    while (!word_.compare_exchange_weak(seen, (seen & ~limit_mask) | limit, mo::relaxed, mo::relaxed)) {
    }
    if (is_awaited(seen)) serve();
  }

  [[nodiscard]] std::uint32_t in_flight() const noexcept {
    return taken_of(word_.load(mo::relaxed));  // hint: a stale observer's view
  }
  [[nodiscard]] std::uint32_t limit() const noexcept { return limit_of(word_.load(mo::relaxed)); }  // hint: as above
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_.load(mo::relaxed); }       // counter: refusals
  [[nodiscard]] std::uint32_t waiting() const noexcept { return line_.waiting(); }
  [[nodiscard]] std::uint32_t queue() const noexcept { return line_.most(); }
  [[nodiscard]] bulkhead_snapshot snapshot() const noexcept {
    const std::uint64_t seen = word_.load(mo::relaxed);  // hint: as above
    return {.in_flight = taken_of(seen),
            .limit = limit_of(seen),
            .waiting = line_.waiting(),
            .refused = refused(),
            .served = line_.ended(wait_end::served),
            .timed_out = line_.ended(wait_end::late),
            .cancelled = line_.ended(wait_end::cancelled)};
  }

 private:
  // The word: somebody may wait : 1 | places taken : 21 | how many have come to wait : 21 | limit : 21. With the mark on top, the
  // places taken are more than any limit, and one comparison is both.
  static constexpr std::uint64_t awaited = std::uint64_t{1} << 63U;
  static constexpr std::uint64_t one_place = std::uint64_t{1} << 42U;
  static constexpr std::uint64_t one_arrival = std::uint64_t{1} << 21U;
  static constexpr std::uint64_t limit_mask = one_arrival - 1;
  static constexpr std::uint64_t arrivals_mask = one_place - one_arrival;
  static constexpr std::uint32_t taken_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>((word & ~awaited) / one_place);
  }
  static constexpr std::uint32_t limit_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word & limit_mask);
  }
  static constexpr bool is_awaited(std::uint64_t word) noexcept { return (word & awaited) != 0; }
  static constexpr bool has_room(std::uint64_t word) noexcept { return word / one_place < (word & limit_mask); }
  static constexpr std::uint64_t with_arrival(std::uint64_t word) noexcept {
    return (word & ~arrivals_mask) | ((word + one_arrival) & arrivals_mask) | awaited;
  }

  void leave() noexcept {
    // [H2] release, pairs with [H1], [H4] and [H5]: hands on what this holder did
    if (is_awaited(word_.fetch_sub(one_place, mo::release))) [[unlikely]]
      serve();
  }

  // Into the line first, then the mark: whoever sees the mark finds who waits.
  std::optional<waiting_place> join(waiter* who, deadline until) noexcept {
    const auto mine = line_.enter(who, until);
    if (!mine) {
      refused_.fetch_add(1, mo::relaxed);  // counter:
      return mine;
    }
    std::uint64_t seen = word_.load(mo::relaxed);  // hint: the exchange below decides
    // [H3] release, pairs with [H4]: the place in the line. On failure, hint: only the value counts
    while (!word_.compare_exchange_weak(seen, with_arrival(seen), mo::release, mo::relaxed)) {
    }
    if (taken_of(seen) < limit_of(seen)) serve();
    return mine;
  }

  // Until nobody waits, or no place is free: one look at the line and one CAS for each that is served, and what its wake-up costs.
  [[gnu::noinline]] void serve() noexcept {
    for (;;) {
      std::uint64_t seen = word_.load(mo::acquire);  // [H4] acquire, pairs with [H2] and [H3]: see there
      if (!is_awaited(seen) || taken_of(seen) >= limit_of(seen)) return;
      const auto next = line_.first();
      if (!next) {
        // own: who comes now sets the mark again, and fails this exchange if it came after the look at the word
        if (word_.compare_exchange_weak(seen, seen & ~awaited, mo::relaxed, mo::relaxed)) return;
        continue;
      }
      // [H5] acquire, pairs with [H2]: the word may be as [H4] saw it again, after others were served and have left. (Nobody has
      // come in since but the next in line, whose wait has ended then.)
      // hint: on failure all is looked at again
      if (!word_.compare_exchange_weak(seen, seen + one_place, mo::acquire, mo::relaxed)) continue;
      // own: part of [H2]'s release sequence
      if (!line_.end(*next, wait_end::served)) word_.fetch_sub(one_place, mo::relaxed);
    }
  }

  atomic<std::uint64_t> word_;        // see above; written by all
  atomic<std::uint64_t> refused_{0};  // written by refused callers
  waiting_line line_;                 // a line of its own, written by those who wait and who serve them
};
static_assert(std::is_standard_layout_v<bulkhead> && sizeof(bulkhead) == 2 * cache_line_size);

}  // namespace holdfast
