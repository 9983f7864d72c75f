// SPDX-License-Identifier: MIT
// breaker_table: a circuit breaker for each of very many keys, in storage of a fixed size.
//
//   operation     caller   progress    cost                                   allocates   when refused
//   admit         anyone   lock-free   a key that is there: loads of at most  never       an admission without a ticket;
//                                      32 slots, and what compact_breaker                 `refusal` says why, till when
//                                      asks; first in a while: one CAS more
//                                      a new key: three times as many, 3 CAS
//   report        anyone   lock-free   as compact_breaker's                   never       dropped_stale
//   isolate, force_close, metrics_only, release
//                 anyone   lock-free   as admit, and one CAS                  never       not `placed`: no room for the key
//   forget        anyone   lock-free   a look-up, one CAS                     never       false: the key is not there
//   forget_entry  anyone   lock-free   a look at every slot, one CAS          never       false: no key of that id is there
//   look          anyone   lock-free   a look-up, eleven loads                never       empty: the key is not there
//   visit         anyone   lock-free   a look at every slot                   never       -
//   totals        anyone   wait-free   seven loads                            never       -
//
// In short: any thread | lock-free | never | why, and when to come again
//
// A key is found by a keyed hash (core/siphash.hpp), or by a 64-bit number that the caller has hashed so itself. Its breaker is
// made when it is first asked for. What is promised, each with a test of that label:
//   T1 A key has one breaker at a time, whoever asks for it first.
//   T2 A breaker is given to another key only if that is as good as keeping it: closed, no opening unforgotten, nothing
//      counted and no call admitted for `keep`. One that is open, half-open or forced is never given away.
//   T3 A permit that outlives its key's place comes back dropped_stale and touches nothing of whoever has the place then.
//      (A call that lasts longer than `keep` may meet that; so may one that is admitted in the very moment of the eviction.)
//   T4 A look-up reads at most `bound` slots, whatever the keys are: who does not know the secret cannot make it longer, nor
//      choose the keys that share a place.
//   T5 A key for which there is no room among its slots shares one breaker with all others of the kind: its calls are guarded
//      together with theirs, `overflowed` says so, and `tell` is true for one of them a cool_down (E1 to E3 of
//      time/cool_down.hpp). Nothing is refused for lack of room, but what fails for others of them may open that breaker. (A
//      call whose claim was disturbed 32 times goes by it, too.)
//   T6 Memory is what was handed in: 64 bytes a slot and 128 for the table.
//   T7 A thread or process may die at any instruction: the others go on, and the slot that it was claiming is had by whoever
//      asks for the same key, or half a second later for any.
// A key that opened and is never asked for again keeps its place: that is what T2 says. forget() gives it up by hand; where the
// key is not known, visit() finds the candidates and forget_entry() gives them up.
//
// Keys are told apart by 48 bits of their hash, and by the slots that they may have. Two given keys share a breaker with a
// probability of at most 2^-48; of 100,000 keys in a table for as many some two do with 2^-27.
//
// How full it gets. A key may have one of 4 * 8 slots, and takes the first set of 8 with four to spare or else the emptiest.
// With a tenth more slots than keys, 0.02 % of the keys find no room (unit/breaker_table_test.cpp has the figure). Keys that are
// never asked for again count for `keep` if their breakers stay closed, and for ever if they opened: whoever mints keys whose
// calls fail fills a table of any size, and from then on new keys are guarded as T5 says, until places are given up by hand.
//
// When to use it: a breaker a host, tenant, shard, URL: where the number of keys is not known, or not trusted. For callees that
// are known by name, a circuit_breaker each. Where keys may be minted by an attacker, size the table for those of a `keep`; and
// when `tell` is true, visit() and forget_entry() what is open and not wanted.
//
// Memory: breaker_table_memory<slots>, or a breaker_table_shared and a span of compact_breaker that the caller has, zeroed, in
// memory that processes may share (each with a table of its own over it, by the same options and secret: shared_breaker_table holds
// all of it, for ipc/shared_segment.hpp). The table itself holds pointers and is of one process.
//
// Method: a slot is a compact_breaker whose name is {48 bits of hash, how often the place changed hands}. To give a
// place away: the word, if it is still the one that was judged, becomes `vacant` and remembers that number (from here
// on all permits are stale); the name becomes the new key's, with the next number; all slots of the key are looked through for
// one that was faster (of two pending claims the lower place wins, and a living breaker wins over both); the word becomes closed.
// Each step is one exchange that fails if another was taken meanwhile, and whoever finds a pending claim of its own key
// takes the next step itself. A reader takes the word between two looks at the name: the same name means the same hands.
//
// Proof: model/breaker_table_model.cpp (T1-T3, T5, T7), unit/breaker_table_test.cpp,
// stress/breaker_table_stress.cpp (T1-T3, T5), fault/shared_breaker_fault.cpp (T7), bench/breaker_table_bench.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/core/shared_layout.hpp"
#include "holdfast/core/siphash.hpp"
#include "holdfast/policy/breaker_answer.hpp"
#include "holdfast/policy/compact_breaker.hpp"
#include "holdfast/policy/key_places.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/cool_down.hpp"

namespace holdfast {

struct breaker_table_options {
  compact_breaker_options breaker{};
  // A key without room is told of at most this often.
  duration cool_down = std::chrono::seconds(60);
  // Of the keyed hash. Zero: drawn when the table is made. Processes that share slots share a secret too.
  siphash_key secret{};
};
static_assert(std::is_aggregate_v<breaker_table_options>);

constexpr option_error validate(const breaker_table_options& o) noexcept {
  return first_of(validate(o.breaker), at_least("cool_down", o.cool_down.count(), 1),
                  at_most("cool_down", o.cool_down.count(), duration(std::chrono::hours(24)).count()));
}
static_assert(!validate(breaker_table_options{}));

// Where a key's breaker is looked for. From breaker_table::key, or of a number that the caller hashed with a secret.
using breaker_key = table_key;

struct breaker_table_totals {
  std::size_t slots = 0;
  std::uint64_t entries = 0;     // keys that have a place, about
  std::uint64_t evicted = 0;     // places that were given to another key
  std::uint64_t forgotten = 0;   // by hand
  std::uint64_t overflowed = 0;  // admissions asked of the shared breaker, for lack of room
  std::uint64_t opens = 0;       // transitions to open
  std::uint64_t closes = 0;      // half-open to closed
};

// What all tables over the same slots have in common. All zero is one at the beginning.
struct alignas(cache_line_size) breaker_table_shared {
  compact_breaker overflow;  // of the keys for which there was no room
  atomic<std::uint64_t> placed;
  atomic<std::uint64_t> evicted;
  atomic<std::uint64_t> forgotten;
  atomic<std::uint64_t> overflowed;
  atomic<std::uint64_t> opens;
  atomic<std::uint64_t> closes;
  cool_down told;  // of an overflow
};
static_assert(sizeof(breaker_table_shared) == 128);
static_assert(std::is_standard_layout_v<breaker_table_shared>);

template <std::size_t Slots>
struct breaker_table_memory {
  breaker_table_shared shared;
  std::array<compact_breaker, Slots> slots;
};

// For memory that processes share: the options beside the slots, so that all go by the same rules and the same secret, which is
// drawn by who makes it if they have none. Each process puts a breaker_table of its own over it.
template <std::size_t Slots>
class shared_breaker_table {
 public:
  static constexpr shared_layout shared{"breaker_table", 1};

  // Asserts that the options are valid.
  explicit shared_breaker_table(const breaker_table_options& o) noexcept : options_(o) {
    HOLDFAST_ASSERT(!validate(o));
    if (options_.secret == siphash_key{}) options_.secret = {shared_random(), shared_random()};
  }
  shared_breaker_table(const shared_breaker_table&) = delete;
  shared_breaker_table& operator=(const shared_breaker_table&) = delete;

  [[nodiscard]] const breaker_table_options& options() const noexcept { return options_; }
  [[nodiscard]] breaker_table_memory<Slots>& memory() noexcept { return memory_; }
  // Could these bytes be a table's? (For memory that others may have written. A slot may have any state: none of them leads
  // outside of the table.)
  [[nodiscard]] bool sound() const noexcept { return !validate(options_) && memory_.shared.overflow.sound(); }

 private:
  breaker_table_options options_;  // by the constructor alone
  breaker_table_memory<Slots> memory_{};
};
static_assert(std::is_standard_layout_v<shared_breaker_table<8>>);

class breaker_table {
 public:
  using permit = compact_breaker::permit;
  using report_result = compact_breaker::report_result;

  static constexpr std::size_t set_size = key_places::most_in_set;
  static constexpr std::size_t ways = key_places::most_ways;
  static constexpr std::size_t bound = key_places::bound;

  struct [[nodiscard]] admission {
    permit ticket{};
    breaker_refusal refusal{};
    breaker_transition transition{};
    bool overflowed = false;      // by the breaker that all keys without room share
    bool tell = false;            // the first such in a cool_down: the moment to log it
    std::uint32_t held_back = 0;  // tell: how many such have been since the last one that was told of

    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(ticket); }
  };
  struct step {
    breaker_transition transition{};
    bool placed = false;  // the key has a breaker of its own, by which this was done
  };
  struct entry {
    std::uint64_t id = 0;  // id(key) of its key
    compact_breaker_snapshot breaker{};
  };

  // Asserts that the options are valid and that there is a slot. Fewer than eight are one set; of more, a rest of a set is
  // not used.
  breaker_table(breaker_table_shared& shared, std::span<compact_breaker> slots,
                const breaker_table_options& options) noexcept;
  template <std::size_t Slots>
  breaker_table(breaker_table_memory<Slots>& memory, const breaker_table_options& options) noexcept
      : breaker_table(memory.shared, memory.slots, options) {}
  template <std::size_t Slots>
  explicit breaker_table(shared_breaker_table<Slots>& in_common) noexcept
      : breaker_table(in_common.memory(), in_common.options()) {}
  breaker_table(const breaker_table&) = delete;
  breaker_table& operator=(const breaker_table&) = delete;

  [[nodiscard]] breaker_key key(std::string_view text) const noexcept { return {siphash13(secret_, text)}; }
  [[nodiscard]] breaker_key key(std::uint64_t number) const noexcept { return {siphash13(secret_, number)}; }
  // By this an entry() of visit() is known again.
  [[nodiscard]] static constexpr std::uint64_t id(breaker_key key) noexcept { return key.tag(); }

  // May a call for this key be made at `now`?
  [[nodiscard]] admission admit(breaker_key key, time_point now) noexcept;
  [[nodiscard]] admission admit(std::string_view text, time_point now) noexcept { return admit(key(text), now); }
  // What became of the call. The permit is used up.
  report_result report(permit&& ticket, verdict v, time_point now, duration took = duration::zero()) noexcept {
    HOLDFAST_ASSERT(static_cast<bool>(ticket));
    const report_result result = ticket.owner()->report(std::move(ticket), v, now, took);
    if (result.transition) count(result.transition);
    return result;
  }

  // By hand, as compact_breaker's.
  step isolate(breaker_key key, time_point now) noexcept { return force(key, breaker_state::forced_open, now); }
  step force_close(breaker_key key, time_point now) noexcept { return force(key, breaker_state::forced_closed, now); }
  step metrics_only(breaker_key key, time_point now) noexcept { return force(key, breaker_state::metrics_only, now); }
  step release(breaker_key key, time_point now, breaker_state to = breaker_state::closed) noexcept;
  // Gives up the key's place whatever its state. Its permits come back stale; asked for again, it begins anew.
  bool forget(breaker_key key) noexcept;
  // The same for an entry of visit(), whose key may not be known; from within the visit, too.
  bool forget_entry(std::uint64_t id) noexcept;

  [[nodiscard]] std::optional<compact_breaker_snapshot> look(breaker_key key, time_point now) const noexcept;
  // f(entry) for every key that has a place. A key that moves meanwhile may be met twice, or missed.
  template <class F>
  void visit(time_point now, F&& f) const {
    for (compact_breaker& slot : slots_) {
      if (const sight at = read(slot); at.is_live()) f(entry{tag_of(at.name), slot.snapshot_of(rules_, at.word, now)});
    }
  }
  [[nodiscard]] breaker_table_totals totals() const noexcept;
  [[nodiscard]] compact_breaker_snapshot overflow(time_point now) const noexcept {
    return shared_.overflow.snapshot(rules_, now);
  }
  [[nodiscard]] const compact_breaker_rules& rules() const noexcept { return rules_; }

 private:
  // What a slot was at one moment.
  struct sight {
    compact_breaker* slot = nullptr;
    std::uint64_t name = 0;
    breaker_word word{};
    [[nodiscard]] bool is_vacant() const noexcept { return word.state() == compact_breaker::vacant; }
    // A claim that has its name and is not closed yet. Else a vacant one is free.
    [[nodiscard]] bool is_pending() const noexcept { return is_vacant() && hands_of(word.tick()) != hands_of(name); }
    [[nodiscard]] bool is_live() const noexcept { return !is_vacant() && tag_of(name) != 0; }
  };
  struct claim_end {
    bool full = false;
    sight made{};  // the place, if this claim gave it to the key
  };
  // More than a claim is ever disturbed by chance; then the key is treated as one without room.
  static constexpr int most_claims = 32;

  static constexpr std::uint64_t tag_of(std::uint64_t name) noexcept { return name >> 16U; }
  static constexpr std::uint32_t hands_of(std::uint64_t name) noexcept { return name & 0xFFFFU; }
  static constexpr std::uint64_t name_of(std::uint64_t tag, std::uint32_t hands) noexcept {
    return tag << 16U | (hands & 0xFFFFU);
  }
  // A vacant word's tick is {when, the hands of the name that it was taken from}: as long as the name is that one the place
  // is free; then it is claimed.
  static constexpr breaker_word vacated(breaker_word word, std::uint64_t name, std::uint32_t moment) noexcept {
    return word.next(compact_breaker::vacant, 0, moment << 16U | hands_of(name));
  }
  // A quarter of a second, of 2.4 hours.
  static constexpr std::uint32_t moment_of(time_point now) noexcept { return breaker_tick::of(now) >> 8U & 0x7FFFU; }
  // Has a claim been pending for longer than a thread takes, if it lives?
  static bool is_left(const sight& at, time_point now) noexcept {
    const std::uint32_t age = (moment_of(now) - (at.word.tick() >> 16U)) & 0x7FFFU;
    return at.is_pending() && age >= 2 && age < 0x7FF0U;
  }

  static sight read(compact_breaker& slot, std::uint64_t only = 0) noexcept;
  static bool swap(const sight& at, breaker_word next) noexcept;
  [[nodiscard]] sight find(breaker_key key) const noexcept;
  [[nodiscard]] sight place(breaker_key key, time_point now) noexcept;
  claim_end claim(breaker_key key, time_point now) noexcept;
  [[nodiscard]] bool is_spare(const sight& at, time_point now) const noexcept;
  [[nodiscard]] std::optional<breaker_word> vacate(const sight& at, time_point now) noexcept;
  sight settle(breaker_key key, const sight& mine, time_point now) noexcept;
  void touch(const sight& at, time_point now) noexcept;
  admission overflow_admit(time_point now) noexcept;
  step force(breaker_key key, breaker_state to, time_point now) noexcept;
  bool give_up(const sight& at) noexcept;
  void count(const breaker_transition& made) noexcept;

  breaker_table_shared& shared_;
  std::span<compact_breaker> slots_;
  key_places places_;
  compact_breaker_rules rules_;
  duration cool_down_;
  siphash_key secret_;
};

}  // namespace holdfast
