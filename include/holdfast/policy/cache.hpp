// SPDX-License-Identifier: MIT
// cache: the last good value of each key, in fixed storage, told apart by age: fresh, stale, expired.
//
//   operation     caller       progress                        cost                     allocates   when refused
//   get           any thread   lock-free, bounded: see below   one line of tags, copy   never       miss
//   put           any thread   never waits                     O(ways), copy            never       busy or older
//   erase         any thread   lock-free, bounded              O(ways)                  never       false: was not there
//   erase_until   any thread   never waits                     O(ways)                  never       busy or older
//   snapshot      any thread   wait-free                       O(capacity)              never       -
//   construction  one thread   -                               O(capacity)              once        asserted
//
// In short: any thread | reads lock-free, a write never waits | at construction | a miss; `busy` for a second writer
//
// get() never waits for a writer, not even for one that was put to sleep in the middle of the same key: a new value is
// written beside the old one and then takes its place. A reader never sees an older value than it, or whoever told it, has
// seen (but while the key is being erased it may). A reader that puts to its set overtake eight times in one get() gives up
// and reports a miss. A put that finds another writer in its set gives up (`busy`), and a put whose `now` is
// older than the stored value's does nothing (`older`): a late answer never replaces a younger one. A cache may forget,
// so neither is an error. erase() never gives up, because forgetting on request is a promise; while others put, it may look
// more than once and take away what they put meanwhile, too.
//
// F4: the age is the time since the put, of the value that is returned. An error is never put: the last good value stays
// until it is too old for its user, however often refreshing fails (stale-if-error).
//
// When to use: behind a dependency, to answer from while it is down; in front of one, with a short fresh_for. Not as a
// store: entries are evicted. Not shared between processes.
//
// Keys are compared in full, not by hash. They and the values are trivially copyable; for values of varying length use
// byte_payload<MaxBytes>, of which only the bytes in use are copied. A key that strangers choose should be hashed with a
// `seed` of your own, or they can fill one set.
//
// Memory: for each 7 entries of capacity 128 + 8 * (24 + key + value) bytes, the last two rounded up to 8, the sum to
// 64; from the memory resource given at construction. Seven of a set's eight slots hold entries; the eighth is where
// the next value is written.
//
// Method: set-associative, eviction by second chance (the clock algorithm, Corbato 1968), slots under sequence words
// read word by word (Boehm, "Can seqlocks get along with programming language memory models", 2012). Failures that are
// remembered and one caller that fetches for all are policy/swr_cache.hpp's.
// Proof: model/cache_model.cpp (each operation in every execution), unit/cache_test.cpp, stress/cache_stress.cpp (no torn
// value, F2 no waiting, F4 true age), alloc/policy_alloc_test.cpp.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <new>
#include <string_view>
#include <type_traits>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

// A stale observer's view.
struct cache_snapshot {
  std::size_t capacity = 0;
  std::size_t size = 0;
  std::uint64_t evicted = 0;  // values that made room for others
  std::uint64_t busy = 0;     // puts given up for another one's
};

enum class cache_state : std::uint8_t {
  miss,     // never seen, evicted, or erased
  fresh,    // younger than fresh_for
  stale,    // usable when nothing better answers
  expired,  // older than fresh_for + stale_for; the value is there for who wants it all the same
};

constexpr std::string_view name_of(cache_state state) noexcept {
  switch (state) {
    case cache_state::miss: return "miss";
    case cache_state::fresh: return "fresh";
    case cache_state::stale: return "stale";
    case cache_state::expired: return "expired";
  }
  return "unknown";
}

enum class cache_put : std::uint8_t {
  stored,
  busy,   // another writer was in the set
  older,  // what is stored is younger than this
};

struct cache_options {
  std::uint32_t capacity = 1024;  // entries at least; rounded up to sets of seven
  duration fresh_for = std::chrono::seconds(1);
  duration stale_for = std::chrono::minutes(10);  // beyond fresh_for
  std::uint64_t seed = 0;                         // of the key hash
};
static_assert(std::is_aggregate_v<cache_options>);

constexpr option_error validate(const cache_options& o) noexcept {
  constexpr duration longest = std::chrono::hours(24 * 365);
  return first_of(
      at_least("capacity", o.capacity, 1), at_most("capacity", o.capacity, 1 << 28),
      at_least("fresh_for", o.fresh_for.count(), 0), at_most("fresh_for", o.fresh_for.count(), longest.count()),
      at_least("stale_for", o.stale_for.count(), 0), at_most("stale_for", o.stale_for.count(), longest.count()));
}

// Up to MaxBytes bytes, kept inside the object.
template <std::size_t MaxBytes>
class byte_payload {
 public:
  byte_payload() noexcept = default;  // empty; the bytes are left as they are
  // False, and empty, when `bytes` is too long.
  bool assign(std::string_view bytes) noexcept {
    size_ = bytes.size() <= MaxBytes ? static_cast<std::uint32_t>(bytes.size()) : 0;
    if (size_ != 0) std::memcpy(bytes_.data(), bytes.data(), size_);
    return bytes.size() <= MaxBytes;
  }
  [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  static constexpr std::size_t capacity() noexcept { return MaxBytes; }
  // How much of the object, from its start, has to be copied to copy the payload.
  [[nodiscard]] std::size_t used_bytes() const noexcept { return sizeof(std::uint32_t) + size_; }

 private:
  std::uint32_t size_ = 0;
  std::array<char, MaxBytes> bytes_;
};

template <class Value>
struct [[nodiscard]] cache_lookup {
  cache_state state = cache_state::miss;
  duration age{0};
  Value value;  // unless miss

  // Worth answering with.
  explicit operator bool() const noexcept { return state == cache_state::fresh || state == cache_state::stale; }
};

// The default hash: integers and enumerations, and what is text.
struct cache_hash {
  template <class Key>
  [[nodiscard]] std::uint64_t operator()(const Key& key, std::uint64_t seed) const noexcept {
    if constexpr (std::is_integral_v<Key> || std::is_enum_v<Key>) {
      return splitmix64_mix(static_cast<std::uint64_t>(key) ^ splitmix64_mix(seed));
    } else {
      static_assert(std::is_convertible_v<const Key&, std::string_view>, "give this key type a hash of its own");
      const std::string_view text = key;
      std::uint64_t h = splitmix64_mix(seed ^ text.size());
      for (std::size_t i = 0; i < text.size(); i += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data() + i, std::min<std::size_t>(8, text.size() - i));
        h = splitmix64_mix(h ^ word);
      }
      return h;
    }
  }
};

template <class Key, class Value, class Hash = cache_hash>
class cache {
  static_assert(std::is_trivially_copyable_v<Key> && std::is_trivially_copyable_v<Value>);
  static_assert(std::is_default_constructible_v<Key> && std::is_default_constructible_v<Value>);
  static_assert(!std::is_pointer_v<Key> && !std::is_same_v<Key, std::string_view>,
                "the cache keeps the key itself, not what it points to: use fixed_text");

 public:
  static constexpr std::size_t ways = 8;
  using lookup = cache_lookup<Value>;

  explicit cache(const cache_options& options,
                 std::pmr::memory_resource* memory = std::pmr::get_default_resource()) noexcept
      : options_(options), memory_(memory), set_count_((std::size_t{options.capacity} + ways - 2) / (ways - 1)) {
    HOLDFAST_ASSERT(!validate(options));
    sets_ = static_cast<set*>(memory_->allocate(bytes(), alignof(set)));
    for (std::size_t i = 0; i < set_count_; ++i) new (sets_ + i) set;
  }
  cache(const cache&) = delete;
  cache& operator=(const cache&) = delete;
  ~cache() { memory_->deallocate(sets_, bytes(), alignof(set)); }

  [[nodiscard]] lookup get(const Key& key, time_point now) const noexcept {
    const std::uint64_t tag = tag_of(key);
    set& in = set_of(tag);
    lookup found;
    for (int tries = 0; tries < most_tries; ++tries) {
      // [C1] acquire, pairs with [C6]: an unchanged version below means that no put ended in between
      const std::uint64_t version = in.writer.load(mo::acquire) >> version_shift;
      bool overtaken = false;
      std::size_t hit = ways;
      std::int64_t stored_at = 0;
      for (std::size_t way = 0; way < ways && hit == ways; ++way) {
        // [C2] acquire, pairs with [C7], [C8]: a slot that shows its tag holds that key's value
        if (in.tags[way].load(mo::acquire) != tag) continue;
        const read_result read = read_slot(in.slots[way], key, found.value, stored_at);
        if (read == read_result::other_key) continue;
        // A tag seen a while ago may have led to a value whose put has not come to its own tag yet.
        // own: ordered after the slot by [C11]
        overtaken = read == read_result::torn || in.tags[way].load(mo::relaxed) != tag;
        hit = way;
      }
      // A put that ended meanwhile may have left an older value where this scan passed before the value came: the next
      // get would find that one, and time would run backwards. And who found nothing may have missed a move.
      // own: ordered after the tags and the slot by their acquire loads
      if (overtaken || in.writer.load(mo::relaxed) >> version_shift != version) {
        cpu_relax();
        continue;
      }
      if (hit == ways) break;
      mark_used(in, hit);
      found.age = std::max(duration::zero(), now - time_point(duration(stored_at)));
      found.state = state_at(found.age);
      return found;
    }
    found.state = cache_state::miss;
    return found;
  }

  // `now` is when the value was true: the start of the call that fetched it, if you would be strict.
  cache_put put(const Key& key, const Value& value, time_point now) noexcept {
    const std::uint64_t tag = tag_of(key);
    set& in = set_of(tag);
    return alone_in(in, [&] { return write(in, tag, key, value, now.time_since_epoch().count()); });
  }

  bool erase(const Key& key) noexcept {
    const std::uint64_t tag = tag_of(key);
    set& in = set_of(tag);
    bool erased = false;
    // A put of the same key moves its value to another slot: look until none moved. A set that is rewritten all the
    // time has values that are younger than this call, and they may stay.
    for (int tries = 0; tries < 16; ++tries) {
      const std::uint64_t version =
          in.writer.load(mo::acquire) >> version_shift;  // [C5] acquire, pairs with [C6]: as [C1]
      for (std::size_t way = 0; way < ways; ++way) {
        std::uint64_t seen = in.tags[way].load(mo::acquire);  // [C9] acquire, pairs with [C7], [C8]: as [C2]
        if (seen != tag || !holds(in.slots[way], key)) continue;
        // own: taking a tag away publishes nothing
        if (in.tags[way].compare_exchange_strong(seen, 0, mo::relaxed, mo::relaxed)) {
          erased = true;
        } else {
          // A fence, because gcc 12 takes no exchange whose failure has the stronger order.
          fence(mo::acquire);  // [C17] acquire, pairs with [C8]: a faster put moved the value; the version below tells
        }
      }
      // own: ordered after the tags by their acquire loads
      if (in.writer.load(mo::relaxed) >> version_shift == version) break;
    }
    return erased;
  }

  // Of a value that was true at `last` or before; a younger one stays (`older`). `busy` as put.
  cache_put erase_until(const Key& key, time_point last) noexcept {
    const std::uint64_t tag = tag_of(key);
    set& in = set_of(tag);
    return alone_in(in, [&] {
      cache_put result = cache_put::stored;
      for (std::size_t way = 0; way < ways; ++way) {
        // own: only the lock's holder sets tags and writes slots
        if (in.tags[way].load(mo::relaxed) != tag || !holds(in.slots[way], key)) continue;
        if (in.slots[way].stored_at.load(mo::relaxed) > last.time_since_epoch().count()) {  // own: as above
          result = cache_put::older;
        } else {
          in.tags[way].store(0, mo::relaxed);  // own: taking a tag away publishes nothing
        }
      }
      return result;
    });
  }

  [[nodiscard]] std::size_t capacity() const noexcept { return set_count_ * (ways - 1); }
  // Entries now, counted one by one: for tests and metrics.
  [[nodiscard]] std::size_t size_approx() const noexcept {
    std::size_t n = 0;
    for (std::size_t i = 0; i < set_count_; ++i) {
      for (const auto& tag : sets_[i].tags) n += tag.load(mo::relaxed) != 0 ? 1U : 0U;  // hint: a stale observer's view
    }
    return n;
  }
  [[nodiscard]] std::uint64_t evicted() const noexcept { return evicted_.load(mo::relaxed); }  // counter: evictions
  [[nodiscard]] std::uint64_t busy() const noexcept { return busy_.load(mo::relaxed); }        // counter: puts given up
  [[nodiscard]] cache_snapshot snapshot() const noexcept { return {capacity(), size_approx(), evicted(), busy()}; }
  [[nodiscard]] const cache_options& options() const noexcept { return options_; }

 private:
  friend struct cache_start;  // tests/model: begins with sequence numbers that no run would reach

  static constexpr std::size_t words_for(std::size_t n) noexcept { return (n + 7) / 8; }
  static constexpr std::size_t key_words = words_for(sizeof(Key));
  static constexpr std::size_t value_words = words_for(sizeof(Value));

  // All of it written by the holder of the set's lock, between an odd and an even sequence.
  struct slot {
    atomic<std::uint64_t> sequence{0};
    atomic<std::int64_t> stored_at{0};
    atomic<std::uint64_t> extent{0};  // words of the value in use : 32 | flags : 32 (0: a value)
    std::array<atomic<std::uint64_t>, key_words> key{};
    std::array<atomic<std::uint64_t>, value_words> value{};
  };
  struct alignas(cache_line_size) set {
    std::array<atomic<std::uint64_t>, ways> tags{};  // 0: free; set by the lock's holder, cleared by anybody
    // version : 60 | clock hand : 3 | locked : 1; written by the lock's holder
    alignas(cache_line_size) atomic<std::uint64_t> writer{0};
    atomic<std::uint32_t> used{0};  // one bit a way, set by readers, cleared by the clock
    alignas(cache_line_size) std::array<slot, ways> slots{};
  };
  static constexpr int most_tries = 8;
  static constexpr std::uint64_t locked = 1;
  static constexpr std::uint64_t hand_shift = 1;
  static constexpr std::uint64_t version_shift = 4;

  enum class read_result : std::uint8_t { good, other_key, torn };

  [[nodiscard]] std::size_t bytes() const noexcept { return set_count_ * sizeof(set); }
  [[nodiscard]] std::uint64_t tag_of(const Key& key) const noexcept {
    const std::uint64_t h = Hash{}(key, options_.seed);
    return h != 0 ? h : 1;
  }
  [[nodiscard]] set& set_of(std::uint64_t tag) const noexcept { return sets_[((tag >> 32U) * set_count_) >> 32U]; }

  [[nodiscard]] cache_state state_at(duration age) const noexcept {
    if (age < options_.fresh_for) return cache_state::fresh;
    return age - options_.fresh_for < options_.stale_for ? cache_state::stale : cache_state::expired;
  }

  static bool same(const Key& a, const Key& b) noexcept {
    if constexpr (std::is_convertible_v<const Key&, std::string_view>) {
      return std::string_view(a) == std::string_view(b);
    } else {
      return a == b;
    }
  }

  template <class T, std::size_t N>
  static void load_words(const std::array<atomic<std::uint64_t>, N>& from, T& to, std::size_t words) noexcept {
    constexpr std::size_t whole = sizeof(T) / 8;
    auto* out = reinterpret_cast<unsigned char*>(&to);
    for (std::size_t i = 0; i < std::min(words, whole); ++i) {
      const std::uint64_t word = from[i].load(mo::relaxed);  // counter: judged by the sequence around it
      std::memcpy(out + i * 8, &word, 8);
    }
    if constexpr (sizeof(T) % 8 != 0) {
      if (words > whole) {
        const std::uint64_t word = from[whole].load(mo::relaxed);  // counter: as above
        std::memcpy(out + whole * 8, &word, sizeof(T) % 8);
      }
    }
  }
  template <class T, std::size_t N>
  static void store_words(std::array<atomic<std::uint64_t>, N>& to, const T& from, std::size_t words) noexcept {
    constexpr std::size_t whole = sizeof(T) / 8;
    const auto* in = reinterpret_cast<const unsigned char*>(&from);
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < std::min(words, whole); ++i) {
      std::memcpy(&word, in + i * 8, 8);
      to[i].store(word, mo::relaxed);  // counter: published by [C13]
    }
    if constexpr (sizeof(T) % 8 != 0) {
      if (words > whole) {
        word = 0;
        std::memcpy(&word, in + whole * 8, sizeof(T) % 8);
        to[whole].store(word, mo::relaxed);  // counter: published by [C13]
      }
    }
  }

  static read_result read_slot(const slot& from, const Key& key, Value& value, std::int64_t& stored_at) noexcept {
    const std::uint64_t before =
        from.sequence.load(mo::acquire);  // [C10] acquire, pairs with [C13]: that write's words
    if ((before & 1U) != 0) return read_result::torn;
    Key stored{};
    load_words(from.key, stored, key_words);
    const std::size_t words = from.extent.load(mo::relaxed) >> 32U;  // counter: judged by the sequence around it
    stored_at = from.stored_at.load(mo::relaxed);                    // counter: as above
    load_words(from.value, value, std::min(words, value_words));
    fence(mo::acquire);  // [C11] acquire, pairs with [C12]: the loads above stay above the second look
    if (from.sequence.load(mo::relaxed) != before) return read_result::torn;  // own: ordered by [C11]
    return same(stored, key) ? read_result::good : read_result::other_key;
  }

  static bool holds(const slot& in, const Key& key) noexcept {
    for (int tries = 0; tries < 4; ++tries) {
      const std::uint64_t before = in.sequence.load(mo::acquire);  // [C14] acquire, pairs with [C13]: as [C10]
      Key stored{};
      load_words(in.key, stored, key_words);
      fence(mo::acquire);  // [C15] acquire, pairs with [C12]: as [C11]
      if ((before & 1U) == 0 && in.sequence.load(mo::relaxed) == before) return same(stored, key);  // own: by [C15]
    }
    // Overwritten again and again under our eyes: forgetting another key's value is allowed, keeping this one is not.
    return true;
  }

  // A step of one writer at a time.
  template <class Step>
  cache_put alone_in(set& in, Step step) noexcept {
    std::uint64_t state = in.writer.load(mo::relaxed);  // hint: the exchange below decides
    // [C3] acquire, pairs with [C4]: this writer sees what the last one did
    // hint: on failure somebody else is at work
    if ((state & locked) != 0 || !in.writer.compare_exchange_strong(state, state | locked, mo::acquire, mo::relaxed)) {
      busy_.fetch_add(1, mo::relaxed);  // counter:
      return cache_put::busy;
    }
    const cache_put result = step();
    // [C4] release, pairs with [C3]: hands the set on
    in.writer.store(in.writer.load(mo::relaxed) & ~locked, mo::release);  // own: only the lock's holder writes it
    return result;
  }

  static void mark_used(set& in, std::size_t way) noexcept {
    const auto bit = std::uint32_t{1} << way;
    // hint: a lost mark costs an entry its second chance, no more; and most readers find it set and write nothing
    if ((in.used.load(mo::relaxed) & bit) == 0) in.used.fetch_or(bit, mo::relaxed);
  }

  // Under the set's lock.
  cache_put write(set& in, std::uint64_t tag, const Key& key, const Value& value, std::int64_t now) noexcept {
    std::size_t old_way = ways;
    std::size_t spare = ways;
    for (std::size_t way = 0; way < ways; ++way) {
      const std::uint64_t seen = in.tags[way].load(mo::relaxed);  // own: only this writer sets tags now
      if (seen == 0) {
        spare = way;
      } else if (seen == tag && holds(in.slots[way], key)) {
        old_way = way;
      }
    }
    HOLDFAST_ASSERT(spare < ways);
    if (old_way < ways && in.slots[old_way].stored_at.load(mo::relaxed) > now) return cache_put::older;  // own:
    write_slot(in.slots[spare], key, value, now);
    // A new entry has its first chance only; a renewed one keeps the mark that it earned in its old slot.
    // hint: see mark_used
    const bool keeps_mark = old_way < ways && (in.used.load(mo::relaxed) & (std::uint32_t{1} << old_way)) != 0;
    if (keeps_mark) {
      mark_used(in, spare);
    } else {
      in.used.fetch_and(~(std::uint32_t{1} << spare), mo::relaxed);  // hint: as above
    }
    in.tags[spare].store(tag, mo::release);             // [C7] release, pairs with [C2], [C9]: publishes the slot
    std::uint64_t state = in.writer.load(mo::relaxed);  // own: the lock's holder
    if (old_way == ways && count_used(in) == ways) {
      old_way = victim(in, spare, state);
      evicted_.fetch_add(1, mo::relaxed);  // counter:
    }
    // Before the old slot goes: who then finds the key in neither place sees the version move, and looks again.
    // [C6] release, pairs with [C1], [C5]: the new place is written before the version that tells of it
    in.writer.store(state + (std::uint64_t{1} << version_shift), mo::release);
    if (old_way < ways)
      in.tags[old_way].store(0, mo::release);  // [C8] release, pairs with [C2], [C9], [C17]: carries [C6]
    return cache_put::stored;
  }

  static void write_slot(slot& to, const Key& key, const Value& value, std::int64_t now) noexcept {
    std::size_t words = value_words;
    if constexpr (requires {
                    { value.used_bytes() } -> std::convertible_to<std::size_t>;
                  }) {
      words = std::min(words_for(value.used_bytes()), value_words);
    }
    const std::uint64_t s = to.sequence.load(mo::relaxed);  // own: the lock's holder
    // [C16] release, pairs with [C10], [C14]: a reader that finds an odd sequence knows the puts before this one, and so
    // looks elsewhere next time: one writer can overtake it once, not again and again by an old tag
    to.sequence.store(s + 1, mo::release);
    fence(mo::release);  // [C12] release, pairs with [C11], [C15]: who sees a new word sees an odd sequence
    store_words(to.key, key, key_words);
    to.stored_at.store(now, mo::relaxed);                       // counter: published by [C13]
    to.extent.store(std::uint64_t{words} << 32U, mo::relaxed);  // counter: as above
    store_words(to.value, value, words);
    to.sequence.store(s + 2, mo::release);  // [C13] release, pairs with [C10], [C14]: publishes the slot's words
  }

  static std::size_t count_used(const set& in) noexcept {
    std::size_t n = 0;
    for (const auto& tag : in.tags) n += tag.load(mo::relaxed) != 0 ? 1U : 0U;  // own: only this writer sets tags now
    return n;
  }

  // Second chance: the first way past the hand that nobody used since the hand last passed. Not the newest one. Moves
  // the hand in `state`, which the caller writes back.
  static std::size_t victim(set& in, std::size_t newest, std::uint64_t& state) noexcept {
    std::size_t hand = (state >> hand_shift) & (ways - 1);
    for (std::size_t step = 0; step < 2 * ways; ++step, hand = (hand + 1) % ways) {
      if (hand == newest) continue;
      const auto bit = std::uint32_t{1} << hand;
      if ((in.used.load(mo::relaxed) & bit) == 0) break;  // hint: see mark_used
      in.used.fetch_and(~bit, mo::relaxed);               // hint: as above
    }
    if (hand == newest) hand = (hand + 1) % ways;
    const std::uint64_t next = (hand + 1) % ways;
    state = (state & ~(std::uint64_t{ways - 1} << hand_shift)) | (next << hand_shift);
    return hand;
  }

  const cache_options options_;
  std::pmr::memory_resource* memory_;
  std::size_t set_count_;
  set* sets_ = nullptr;
  atomic<std::uint64_t> evicted_{0};  // written by writers
  atomic<std::uint64_t> busy_{0};     // written by writers that gave up
};

}  // namespace holdfast
