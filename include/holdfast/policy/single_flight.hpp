// SPDX-License-Identifier: MIT
// single_flight: of those who want the same thing at the same time one fetches it, for as long as a lease; the others wait.
//
//   operation      caller         progress             cost                            allocates   when refused
//   join           any thread     lock-free            a line; who leads: two CAS and  never       neither a lead nor a flight to
//                                                      a fence more                                follow: busy
//   lead::end,     who leads      lock-free            one CAS; a system call where    never       false: it does not lead any
//   ~lead                                              somebody sleeps                             more, its result is not wanted
//   leads, over    any thread     wait-free            one load                        never       -
//   wait           any follower   blocking             one load, one CAS, sleep        never       false: its time is over
//   forget         any thread     lock-free            a line, and a fence             never       -
//   snapshot       any thread     wait-free            O(flights)                      never       -
//   construction   one thread     -                    O(flights)                      once        asserted
//
// In short: any thread | lock-free; who waits, sleeps | at construction | `busy`: too many other flights
//
//   F1 Of one key there is at most one lead at any time, and a lead that is not ended lasts as long as its lease: then the
//      next to ask takes it over, one of them, with the next generation. A lead that is destroyed is over at once.
//   F3 Followers share nothing with the leader but the word of the flight: one that gives up changes nothing for anybody,
//      and one whose leader dies looks again, by the end of the lease at the latest. No wake-up is lost.
//   A leader whose lease was taken over, or whose key was forgotten meanwhile, is told so by end() and leads(): what it has
//   fetched is too old to be shared. What it did before end() is seen by whoever finds the flight over, and by the next leader.
//
// A lead says who fetches, not what came of it: the result lies where the leader puts it before it ends the flight
// (policy/swr_cache.hpp puts it into a cache). A follower that finds nothing there joins again. It waits as long as it has time
// itself, whatever time the leader has.
//
// A key is known by its hash. Two keys that meet in 14 bits of it and in the set, at the same moment, are one key here: one
// waits for the other's flight, or has its own taken from it by forget(), and finds then that there is nothing for it.
// So the result must be kept by key. A set has room for eight flights at once; who comes to a full one (`busy`) fetches by itself,
// within what its own bulkhead allows. With four times as many places as there are flights at once, that is a rarity.
//
// When to use: behind a cache, or before any work whose result is the same for all who ask. Not to queue for something that
// each needs for itself: that is a lock, or a bulkhead. Not between processes.
//
// Memory: 8 bytes a flight, in sets of one line; from the memory resource given at construction. A lead and a follower are
// values and do not outlive it. At most 2^31 - 1 sleep on one flight.
//
// Method: golang.org/x/sync/singleflight, with the lease of memcached (Nishtala et al., "Scaling Memcache at Facebook", 2013).
// A flight is one word: state, generation, hash, and when its lease is over, so each step is one compare-and-swap and a thread
// that dies leaves nothing half done. Which of a set's words a key has is open, so two could begin one flight in two words: each
// claims a word, then looks at all others behind a fence, so that one of two sees the other at least; a flight, and of two claims
// the one in the lower word, stays, and the other one withdraws or is ended. Followers mark the word before they sleep on it, so
// that a flight without followers ends without a system call.
// Proof: model/single_flight_model.cpp (every execution of small cases, deaths among them), unit/single_flight_test.cpp,
// stress/swr_cache_stress.cpp (F1, F3), bench/single_flight_bench.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <new>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/parking.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/policy/packed_tick.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

struct single_flight_options {
  std::uint32_t flights = 1024;              // at once, at least; rounded up to sets of eight
  duration lease = std::chrono::seconds(5);  // longer than a fetch takes, retries and all
};
static_assert(std::is_aggregate_v<single_flight_options>);

constexpr option_error validate(const single_flight_options& o) noexcept {
  constexpr duration longest = std::chrono::hours(1);
  return first_of(at_least("flights", o.flights, 1), at_most("flights", o.flights, 1 << 24),
                  at_least("lease", o.lease.count(), 1), at_most("lease", o.lease.count(), longest.count()));
}

// A stale observer's view.
struct single_flight_snapshot {
  std::size_t under_way = 0;     // flights, overdue ones among them
  std::uint64_t busy = 0;        // who was turned away by a full set
  std::uint64_t taken_over = 0;  // leases that ended before their flights did
};

// Ways: fewer than a line has room for, so that a test can explore them all.
template <std::size_t Ways = 8>
class basic_single_flight {
  static_assert(Ways >= 1 && Ways <= 8, "single_flight: a set is one line");

 public:
  static constexpr std::size_t ways = Ways;

  // The right to fetch. Empty when somebody else has it; ends the flight when destroyed, and the next to ask may lead.
  class [[nodiscard]] lead {
   public:
    lead() noexcept = default;
    lead(lead&& other) noexcept
        : word_(std::exchange(other.word_, nullptr)), bits_(other.bits_), begun_(other.begun_) {}
    lead& operator=(lead&& other) noexcept {
      if (this == &other) return *this;
      static_cast<void>(end());
      word_ = std::exchange(other.word_, nullptr);
      bits_ = other.bits_;
      begun_ = other.begun_;
      return *this;
    }
    ~lead() { static_cast<void>(end()); }

    explicit operator bool() const noexcept { return word_ != nullptr; }
    // Is it still the one? Once false, it stays false.
    [[nodiscard]] bool leads() const noexcept {
      return word_ != nullptr && same_flight(word_->load(mo::relaxed), bits_);  // hint: end() decides
    }
    // When it began, by the `now` of who asked.
    [[nodiscard]] time_point begun() const noexcept { return begun_; }
    // True: it was the one until now. False: taken over or forgotten before, or empty.
    bool end() noexcept { return word_ != nullptr && step(*std::exchange(word_, nullptr), bits_, idle); }

   private:
    friend class basic_single_flight;
    lead(atomic<std::uint64_t>& word, std::uint64_t bits, time_point begun) noexcept
        : word_(&word), bits_(bits), begun_(begun) {}

    atomic<std::uint64_t>* word_ = nullptr;
    std::uint64_t bits_ = 0;
    time_point begun_{};
  };

  // Somebody else's flight. Needs no end: who is not interested any more drops it.
  class follower {
   public:
    follower() noexcept = default;
    explicit operator bool() const noexcept { return word_ != nullptr; }
    [[nodiscard]] bool over() const noexcept {
      return !same_flight(word_->load(mo::acquire), bits_);  // [L4] acquire, pairs with [L2]: what the leader did
    }
    // True: the flight is over, or its lease is, and it is time to look and to join again. False: it is `until`.
    // Sleeps by std::chrono::steady_clock, whatever clock `now` came from elsewhere.
    [[nodiscard]] bool wait(deadline until) const noexcept {
      const time_point at = std::min(until.at(), lease_over_);
      for (;;) {
        // [L5] acquire, pairs with [L2]: what the leader did
        std::uint64_t seen = word_->load(mo::acquire);
        if (!same_flight(seen, bits_)) return true;
        // hint: who ends the flight exchanges the word and so sees the mark, or makes this exchange fail
        if ((seen & awaited) == 0 && !word_->compare_exchange_strong(seen, seen | awaited, mo::relaxed, mo::relaxed))
          continue;
        if (!park(*word_, static_cast<std::uint32_t>(seen | awaited), at)) return at < until.at() || over();
      }
    }
    // When it began, or up to 1.05 ms before: whatever bears a later time may be of this flight.
    [[nodiscard]] time_point begun() const noexcept { return begun_; }
    [[nodiscard]] time_point lease_over() const noexcept { return lease_over_; }

   private:
    friend class basic_single_flight;
    atomic<std::uint64_t>* word_ = nullptr;
    std::uint64_t bits_ = 0;
    time_point begun_{};
    time_point lease_over_{};
  };

  // One of the two, or neither: busy.
  struct [[nodiscard]] joined {
    lead mine{};
    follower other{};
    [[nodiscard]] bool busy() const noexcept { return !mine && !other; }
  };

  explicit basic_single_flight(const single_flight_options& options,
                               std::pmr::memory_resource* memory = std::pmr::get_default_resource()) noexcept
      : options_(options), memory_(memory), set_count_((std::size_t{options.flights} + ways - 1) / ways) {
    HOLDFAST_ASSERT(!validate(options));
    sets_ = static_cast<set*>(memory_->allocate(set_count_ * sizeof(set), alignof(set)));
    for (std::size_t i = 0; i < set_count_; ++i) new (sets_ + i) set;
  }
  basic_single_flight(const basic_single_flight&) = delete;
  basic_single_flight& operator=(const basic_single_flight&) = delete;
  ~basic_single_flight() { memory_->deallocate(sets_, set_count_ * sizeof(set), alignof(set)); }

  joined join(std::uint64_t key_hash, time_point now) noexcept {
    const home at = home_of(key_hash);
    for (;;) {  // each try is lost to somebody who gets on
      std::uint64_t seen = 0;
      const std::size_t way = look(at, now, seen);
      if (way == ways) {
        busy_.fetch_add(1, mo::relaxed);  // counter:
        return {};
      }
      if (is_of(seen, at.part) && in_time(seen, now)) return {{}, follow(at.in.words[way], seen, now)};
      const std::uint64_t mine = claim(seen, at.part, now);
      // hint: on failure somebody else was quicker; what the last leader here did, [L1] makes seen
      if (!at.in.words[way].compare_exchange_strong(seen, mine, mo::relaxed, mo::relaxed)) continue;
      if (state_of(seen) != idle) {
        taken_over_.fetch_add(1, mo::relaxed);  // counter:
        wake(at.in.words[way], seen);
      }
      // [L1] seq_cst, pairs with [L2], [L3] and itself: of two claims for one key one sees the other at least
      fence(mo::seq_cst);
      if (!is_alone(at, way, now)) {
        static_cast<void>(step(at.in.words[way], mine, idle));
        cpu_relax();
      } else if (step(at.in.words[way], mine, flying)) {
        return {lead(at.in.words[way], with_state(mine, flying), now), {}};
      }
    }
  }

  // Ends the key's flight if there is one: its leader is told, its followers look again, and the next to ask leads. For
  // who has changed what is fetched: a fetch that began before is not to be shared.
  void forget(std::uint64_t key_hash) noexcept {
    const home at = home_of(key_hash);
    // [L3] seq_cst, pairs with [L1]: a claim that comes before this in one order is seen below; a later one fetches later
    fence(mo::seq_cst);
    for (atomic<std::uint64_t>& word : at.in.words) {
      for (;;) {
        // [L6] acquire, pairs with [L2]: what a leader kept that has ended before is there to be erased
        const std::uint64_t seen = word.load(mo::acquire);
        if (!is_of(seen, at.part) || drop(word, seen)) break;
      }
    }
  }

  [[nodiscard]] const single_flight_options& options() const noexcept { return options_; }
  [[nodiscard]] std::uint64_t busy() const noexcept { return busy_.load(mo::relaxed); }  // counter: sets found full
  // counter: leases that ended before their flights did
  [[nodiscard]] std::uint64_t taken_over() const noexcept { return taken_over_.load(mo::relaxed); }
  [[nodiscard]] single_flight_snapshot snapshot() const noexcept {
    single_flight_snapshot now{.busy = busy(), .taken_over = taken_over()};
    for (std::size_t i = 0; i < set_count_; ++i) {
      for (const auto& word : sets_[i].words)
        now.under_way += state_of(word.load(mo::relaxed)) == flying ? 1U : 0U;  // hint: a stale observer's view
    }
    return now;
  }

 private:
  // A word: tick : 31 | part of the hash : 14 | generation : 16 | awaited : 1 | state : 2. The lower half, on which followers
  // sleep, changes with each step of a flight and each new one. The generation says which flight of the word it is.
  enum state : std::uint64_t { idle = 0, claiming = 1, flying = 2 };
  static constexpr std::uint64_t state_mask = 3;
  static constexpr std::uint64_t awaited = 4;
  static constexpr std::uint64_t one_generation = 8;
  static constexpr std::uint64_t generation_mask = std::uint64_t{0xFFFF} << 3U;
  static constexpr unsigned part_shift = 19;
  static constexpr std::uint64_t part_mask = 0x3FFF;
  static constexpr unsigned tick_shift = 33;
  static constexpr std::uint32_t everybody = std::numeric_limits<std::int32_t>::max();

  static constexpr state state_of(std::uint64_t word) noexcept { return static_cast<state>(word & state_mask); }
  static constexpr bool is_of(std::uint64_t word, std::uint64_t part) noexcept {
    return state_of(word) != idle && (word >> part_shift & part_mask) == part;
  }
  static constexpr std::uint64_t with_state(std::uint64_t word, state to) noexcept {
    return (word & ~(state_mask | (to == idle ? awaited : 0))) | to;
  }
  // Whatever its state and who waits for it.
  static constexpr bool same_flight(std::uint64_t word, std::uint64_t other) noexcept {
    return state_of(word) != idle && ((word ^ other) & ~(state_mask | awaited)) == 0;
  }

  struct alignas(cache_line_size) set {
    std::array<atomic<std::uint64_t>, ways> words{};
  };
  struct home {
    set& in;
    std::uint64_t part;
  };

  // Mixed once more: a hash of one's own may have its information anywhere.
  [[nodiscard]] home home_of(std::uint64_t key_hash) const noexcept {
    const std::uint64_t h = splitmix64_mix(key_hash);
    return {sets_[((h >> 32U) * set_count_) >> 32U], h & part_mask};
  }
  // Of a word that is not idle: is its lease not over?
  [[nodiscard]] bool in_time(std::uint64_t word, time_point now) const noexcept {
    return packed_tick::ahead(static_cast<std::uint32_t>(word >> tick_shift), packed_tick::of(now),
                              packed_tick::span(options_.lease));
  }
  [[nodiscard]] std::uint64_t claim(std::uint64_t last, std::uint64_t part, time_point now) const noexcept {
    return std::uint64_t{packed_tick::after(now, options_.lease)} << tick_shift | part << part_shift |
           ((last + one_generation) & generation_mask) | claiming;
  }

  [[nodiscard]] follower follow(atomic<std::uint64_t>& word, std::uint64_t seen, time_point now) const noexcept {
    follower f;
    f.word_ = &word;
    f.bits_ = seen;
    f.lease_over_ = now + packed_tick::until(static_cast<std::uint32_t>(seen >> tick_shift), now);
    f.begun_ = f.lease_over_ - options_.lease - duration(packed_tick::nanoseconds);
    return f;
  }

  // The way of the key's flight, in time or overdue; else a free one; else one whose flight is overdue; else `ways`.
  [[nodiscard]] std::size_t look(const home& at, time_point now, std::uint64_t& word) const noexcept {
    std::size_t best = ways;
    bool is_free = false;
    for (std::size_t way = 0; way < ways; ++way) {
      const std::uint64_t seen =
          at.in.words[way].load(mo::relaxed);  // hint: an exchange, or the follower's look, decides
      if (is_of(seen, at.part)) {
        word = seen;
        return way;
      }
      if (is_free) continue;
      is_free = state_of(seen) == idle;
      if (!is_free && (best != ways || in_time(seen, now))) continue;
      word = seen;
      best = way;
    }
    return best;
  }

  // Behind a claim and its fence: no other flight of the key, nor a claim that goes before it.
  [[nodiscard]] bool is_alone(const home& at, std::size_t way, time_point now) const noexcept {
    for (std::size_t other = 0; other < ways; ++other) {
      if (other == way) continue;
      atomic<std::uint64_t>& word = at.in.words[other];
      for (;;) {
        // [L7] acquire, pairs with [L2]: of a flight that has just ended the new leader sees the result
        const std::uint64_t seen = word.load(mo::acquire);
        if (!is_of(seen, at.part)) break;
        if (in_time(seen, now) && (state_of(seen) == flying || other < way)) return false;
        if (drop(word, seen)) break;  // a claim that has to give way, or a flight that is overdue
      }
    }
    return true;
  }

  // From the owner's word, awaited or not, to its next. False: somebody else has ended the flight.
  static bool step(atomic<std::uint64_t>& word, std::uint64_t mine, state to) noexcept {
    std::uint64_t seen = mine;
    // [L2] release, pairs with [L1], [L4], [L5], [L6], [L7]: what the leader did before the end of its flight.
    // hint: on failure the value seen decides
    while (!word.compare_exchange_strong(seen, with_state(seen, to), mo::release, mo::relaxed)) {
      if ((seen & ~awaited) != mine) return false;
    }
    if (to == idle) wake(word, seen);
    return true;
  }
  // Another's, by force. False: it has changed meanwhile.
  static bool drop(atomic<std::uint64_t>& word, std::uint64_t seen) noexcept {
    // own: hands nothing on; part of [L2]'s release sequence
    if (!word.compare_exchange_strong(seen, with_state(seen, idle), mo::relaxed, mo::relaxed)) return false;
    wake(word, seen);
    return true;
  }
  static void wake(const atomic<std::uint64_t>& word, std::uint64_t seen) noexcept {
    if ((seen & awaited) != 0) unpark(word, everybody);
  }

  const single_flight_options options_;
  std::pmr::memory_resource* memory_;
  std::size_t set_count_;
  set* sets_ = nullptr;
  atomic<std::uint64_t> busy_{0};        // by who was turned away
  atomic<std::uint64_t> taken_over_{0};  // by who took over
};

using single_flight = basic_single_flight<>;

}  // namespace holdfast
