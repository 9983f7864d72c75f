// SPDX-License-Identifier: MIT
// rate_table: at most so many calls of each key in so much time and a burst of them at once, for very many keys, in 16 bytes a key.
//
//   operation   caller         progress    cost                                        allocates   when refused
//   try_take    any thread     lock-free   a key that is there: a look-up, one CAS;    never       why, and when to
//                                          refused: the look-up alone                              come again
//   look        any observer   lock-free   a look-up                                   never       empty: the key is not
//                                                                                                  there
//   totals      any observer   wait-free   four loads                                  never       -
//
// In short: any thread | lock-free | never | why, and when to come again
//
// A key is found by a keyed hash (core/siphash.hpp), or by a 64-bit number that the caller has hashed so itself. Its cell is made
// when it first takes. What is promised, each with a test of that label:
//   G1-G4 as by rate_limiter, for each key that has a cell, whatever the cells before it were. So also when a key lost its
//      cell and gets another, and when its threads bring older readings of the clock than the one it was lost by.
//      (G2: a refusal of a key that has a cell writes nothing.)
//   Q1 A key has one cell at a time, whoever asks first.
//   Q2 A cell is given to another key only when it owes nothing: all that was taken is earned, so that it is as good as new. Free
//      cells come first, and then those that have owed nothing for longest.
//   Q3 A look-up reads at most `bound` cells, whatever the keys are: who does not know the secret cannot make it longer, nor
//      choose the keys that share cells.
//   Q4 A key for which there is no room among its cells, because all of them owe, takes from one limiter that all such keys share,
//      by the rate `overflow`; `overflowed` says so, and `tell` is true for one of them a cool_down (E1 to E3 of
//      time/cool_down.hpp). (A call whose claim was disturbed 32 times goes by it, too.) There it may be granted what its own
//      cell would, once it has room, grant again.
//   Q5 Memory is what was handed in: 16 bytes a cell and 64 for the table.
//   Q6 A thread or process may die at any instruction: the others go on, and a cell that it was claiming is had by whoever asks for
//      the same key, or half a second later for any.
//
// Keys are told apart by 48 bits of their hash, and by the cells that they may have, as breaker_table's: two given keys share a
// cell with a probability of at most 2^-48.
//
// How full it gets. A cell is in use for as long as it owes: after a single call for a period, and never for longer than a burst
// takes to be earned. So a table is full when so many keys as it has cells took within that time; then new keys meet the limiter
// of Q4, and those that are there go on as before. A quarter more cells than keys that owe at once leaves hardly any key
// without (unit/rate_table_test.cpp has the figure). A clock that went back is met by new keys as G3 says: until it is again
// where it was, less the burst, when a cell last changed hands.
//
// When to use it: a limit a client, tenant, address or API key, where the number of keys is not known, or not trusted. For a
// few that are known by name, a rate_limiter each, which also waits, gives back and changes its rate. What is taken here stays so.
//
// Memory: rate_table_memory<cells>, or a rate_table_shared and a span of cells that the caller has, zeroed, in memory that
// processes may share (each with a table of its own over it, by the same options and secret: shared_rate_table holds all of it, for
// ipc/shared_segment.hpp). The table itself holds pointers and is of one process.
//
// Method: a cell is {48 bits of hash, how often it changed hands} and a word: the time of rate_limiter's algorithm, and whether it
// is anybody's. To give it away, what it last owed is noted in the table (`floor`), and the word becomes `vacant`; the name becomes
// the new key's; all cells of the key are looked through for one that was faster (of two claims the lower cell wins, and one
// in use wins over both); and the first take, which owns no time before `floor`, makes the word the key's. Each step is one
// exchange, and each moves the time in the word forwards, whoever has the cell: so an exchange that succeeds is one for
// the key that it was meant for, and what a key that returns may take begins where what it took before has ended. Who finds a
// pending claim of its own key takes the next step itself. Readings of the clock lie within 73 years behind its zero.
//
// Proof: model/rate_table_model.cpp (G1, Q1, Q2, Q4, Q6), unit/rate_table_test.cpp, stress/rate_table_stress.cpp (G1, G4, Q1, Q4),
// fault/shared_segment_fault.cpp (Q6), bench/rate_table_bench.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/error.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/core/shared_layout.hpp"
#include "holdfast/core/siphash.hpp"
#include "holdfast/policy/key_places.hpp"
#include "holdfast/policy/rate_limiter.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/cool_down.hpp"

namespace holdfast {

struct rate_table_options {
  rate_limiter_options each{};
  // Of all keys together that find no room.
  rate_limiter_options overflow{};
  // A key without room is told of at most this often.
  duration cool_down = std::chrono::seconds(60);
  // Of the keyed hash. Zero: drawn when the table is made. Processes that share cells share a secret too.
  siphash_key secret{};
};
static_assert(std::is_aggregate_v<rate_table_options>);

constexpr option_error validate(const rate_table_options& o) noexcept {
  constexpr auto within = [](std::string_view field, option_error e) {
    if (e) e.field = field;
    return e;
  };
  constexpr auto named = [within](option_error e, std::string_view permits, std::string_view per,
                                  std::string_view burst) {
    return within(e.field == "permits" ? permits : e.field == "per" ? per : burst, e);
  };
  return first_of(named(validate(o.each), "each.permits", "each.per", "each.burst"),
                  named(validate(o.overflow), "overflow.permits", "overflow.per", "overflow.burst"),
                  at_least("cool_down", o.cool_down.count(), 1),
                  at_most("cool_down", o.cool_down.count(), duration(std::chrono::hours(24)).count()));
}
static_assert(!validate(rate_table_options{}));

struct [[nodiscard]] rate_table_answer {
  errc code{};                  // errc{}: granted; rate_limited; rate_infeasible: more than a burst, and never granted
  duration retry_after{0};      // rate_limited: until the same call is granted if nobody else takes
  bool overflowed = false;      // by the limiter that all keys without room share
  bool tell = false;            // the first such in a cool_down: the moment to log it
  std::uint32_t held_back = 0;  // tell: how many such have been since the last one that was told of

  constexpr explicit operator bool() const noexcept { return code == errc{}; }
  operator error() const noexcept { return {code, retry_after}; }  // NOLINT(google-explicit-constructor): of a refusal
};

struct rate_table_totals {
  std::size_t cells = 0;
  std::uint64_t entries = 0;     // keys that have a cell, about; of those many may owe nothing any more
  std::uint64_t evicted = 0;     // cells that were given to another key
  std::uint64_t overflowed = 0;  // takes asked of the shared limiter, for lack of room
};

// All zero is one that nobody has.
struct alignas(16) rate_cell {
  atomic<std::uint64_t> name;  // tag : 48 | hands : 16
  atomic<std::int64_t> word;   // time : 62 | hands' lowest bit : 1 | vacant : 1
};
static_assert(sizeof(rate_cell) == 16);

// What all tables over the same cells have in common. All zero is one at the beginning.
struct alignas(cache_line_size) rate_table_shared {
  atomic<std::int64_t> overflow;  // the time of the limiter of keys for which there was no room
  atomic<std::int64_t> floor;     // what was owed last by a key that lost its cell: the latest of all
  atomic<std::uint64_t> placed;
  atomic<std::uint64_t> evicted;
  atomic<std::uint64_t> overflowed;
  cool_down told;  // of an overflow
};
static_assert(sizeof(rate_table_shared) == 64);
static_assert(std::is_standard_layout_v<rate_table_shared>);

template <std::size_t Cells>
struct rate_table_memory {
  rate_table_shared shared;
  std::array<rate_cell, Cells> cells;
};

// For memory that processes share: the options beside the cells, so that all go by the same rates and the same secret, which is
// drawn by who makes it if they have none. Each process puts a rate_table of its own over it.
template <std::size_t Cells>
class shared_rate_table {
 public:
  static constexpr shared_layout shared{"rate_table", 1};

  // Asserts that the options are valid.
  explicit shared_rate_table(const rate_table_options& o) noexcept : options_(o) {
    HOLDFAST_ASSERT(!validate(o));
    if (options_.secret == siphash_key{}) options_.secret = {shared_random(), shared_random()};
  }
  shared_rate_table(const shared_rate_table&) = delete;
  shared_rate_table& operator=(const shared_rate_table&) = delete;

  [[nodiscard]] const rate_table_options& options() const noexcept { return options_; }
  [[nodiscard]] rate_table_memory<Cells>& memory() noexcept { return memory_; }
  // Could these bytes be a table's? (For memory that others may have written. Any bytes could be a cell's.)
  [[nodiscard]] bool sound() const noexcept { return !validate(options_); }

 private:
  rate_table_options options_;  // by the constructor alone
  rate_table_memory<Cells> memory_{};
};
static_assert(std::is_standard_layout_v<shared_rate_table<8>>);

class rate_table {
 public:
  static constexpr std::size_t bound = key_places::bound;

  // Asserts that the options are valid and that there is a cell. Fewer than eight are one set; of more, a rest of a set is not
  // used.
  rate_table(rate_table_shared& shared, std::span<rate_cell> cells, const rate_table_options& options) noexcept;
  template <std::size_t Cells>
  rate_table(rate_table_memory<Cells>& memory, const rate_table_options& options) noexcept
      : rate_table(memory.shared, memory.cells, options) {}
  template <std::size_t Cells>
  explicit rate_table(shared_rate_table<Cells>& in_common) noexcept
      : rate_table(in_common.memory(), in_common.options()) {}
  rate_table(const rate_table&) = delete;
  rate_table& operator=(const rate_table&) = delete;

  [[nodiscard]] table_key key(std::string_view text) const noexcept { return {siphash13(secret_, text)}; }
  [[nodiscard]] table_key key(std::uint64_t number) const noexcept { return {siphash13(secret_, number)}; }

  // All or nothing. A cost of 0 is granted, and nothing is written.
  rate_table_answer try_take(table_key key, time_point now, std::uint32_t cost = 1) noexcept;
  rate_table_answer try_take(std::string_view text, time_point now, std::uint32_t cost = 1) noexcept {
    return try_take(key(text), now, cost);
  }

  // A stale observer's view. Empty: it has no cell, so a whole burst is there.
  [[nodiscard]] std::optional<rate_snapshot> look(table_key key, time_point now) const noexcept;
  [[nodiscard]] rate_table_totals totals() const noexcept;

 private:
  // A word: a time, which is what rate_limiter's word is, or of a vacant one when it became so; the lowest bit of the hands of
  // the name that it has, or became vacant under; and whether it is vacant.
  static constexpr std::int64_t time_in(std::int64_t word) noexcept { return word >> 2U; }
  static constexpr std::int64_t word_of(std::int64_t time, std::uint64_t name, bool vacant) noexcept {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(time) << 2U | (name & 1U) << 1U | (vacant ? 1U : 0U));
  }
  // What a cell was at one moment.
  struct sight {
    rate_cell* cell = nullptr;
    std::uint64_t name = 0;
    std::int64_t word = 0;
    [[nodiscard]] std::int64_t time() const noexcept { return time_in(word); }
    [[nodiscard]] bool is_vacant() const noexcept { return (word & 1) != 0; }
    // A claim that has its name and was not decided yet. Else a vacant one is free.
    [[nodiscard]] bool is_pending() const noexcept { return is_vacant() && word_of(time(), name, true) != word; }
    [[nodiscard]] bool is_live() const noexcept { return !is_vacant() && tag_of(name) != 0; }
  };
  struct claim_end {
    bool full = false;
    std::optional<rate_table_answer> answer{};
  };
  // More than a claim is ever disturbed by chance; then the key is treated as one without room.
  static constexpr int most_claims = 32;
  static constexpr std::size_t enough_free = 2;
  // Longer than a thread takes for a claim, if it lives.
  static constexpr std::int64_t left_after = 500'000'000;

  static constexpr std::uint64_t tag_of(std::uint64_t name) noexcept { return name >> 16U; }
  static constexpr std::uint64_t next_name(std::uint64_t tag, std::uint64_t name) noexcept {
    return tag << 16U | ((name + 1) & 0xFFFFU);
  }
  static std::int64_t ns_of(time_point now) noexcept {
    constexpr std::int64_t most = std::int64_t{1} << 60U;  // with a few days more it has room in a word
    const std::int64_t ns = now.time_since_epoch().count();
    HOLDFAST_ASSERT(ns >= 0);
    HOLDFAST_ASSERT(ns <= most);
    return ns;
  }
  // It is free from here on, and later than it was.
  static std::int64_t freed(const sight& at, std::int64_t now) noexcept {
    return word_of(now > at.time() ? now : at.time() + 1, at.name, true);
  }
  // It is its key's, which owes until then.
  static std::int64_t owing(const sight& at, std::int64_t until) noexcept { return word_of(until, at.name, false); }

  static sight read(rate_cell& cell, std::uint64_t only = 0) noexcept;
  static bool swap(const sight& at, std::int64_t next) noexcept;
  [[nodiscard]] sight find(table_key key) const noexcept;
  claim_end claim(table_key key, std::int64_t now, std::uint32_t cost) noexcept;
  [[nodiscard]] std::optional<std::int64_t> vacate(const sight& at, std::int64_t now) noexcept;
  std::optional<rate_table_answer> settle(table_key key, const sight& mine, std::int64_t now,
                                          std::uint32_t cost) noexcept;
  std::optional<rate_table_answer> charge(sight at, std::int64_t now, std::uint32_t cost) noexcept;
  rate_table_answer overflow_take(time_point now, std::uint32_t cost) noexcept;

  rate_table_shared& shared_;
  std::span<rate_cell> cells_;
  key_places places_;
  gcra each_;
  gcra overflow_;
  duration cool_down_;
  siphash_key secret_;
};

}  // namespace holdfast
