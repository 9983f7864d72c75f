// SPDX-License-Identifier: MIT
// The cache: values that are read while they are replaced, two writers in one set, erasures, evictions, and writers that
// die in the middle.
#include <array>
#include <memory>

#include "holdfast/policy/cache.hpp"

#include "model/engine/scenario.hpp"

namespace holdfast {
struct cache_start {
  // Every sequence number is about to wrap, and so is the version.
  template <class Cache>
  static void at_the_wrap(Cache& c) {
    for (std::size_t i = 0; i < c.set_count_; ++i) {
      for (auto& slot : c.sets_[i].slots) slot.sequence.store(~std::uint64_t{0} - 1, mo::relaxed);
      c.sets_[i].writer.store(~std::uint64_t{0} << Cache::version_shift, mo::relaxed);
    }
  }
};
}  // namespace holdfast

using namespace holdfast;
using namespace holdfast_model;

namespace {

// Two words, so that they can be mixed up, and the time, so that it can be false.
struct row {
  std::uint64_t a = 0;
  std::uint64_t b = 0;
};
// Keys differ and their hash does not: all in one set, all with one tag.
struct one_tag_hash {
  std::uint64_t operator()(std::uint64_t, std::uint64_t) const noexcept { return 42; }
};
// All in one set, each with a tag of its own.
struct one_set_hash {
  std::uint64_t operator()(std::uint64_t key, std::uint64_t) const noexcept { return key + 1; }
};

constexpr time_point at(std::uint64_t n) {
  return time_point(std::chrono::hours(1) + duration(static_cast<std::int64_t>(n)));
}

template <class Hash>
struct cache_scenario {
  using cache_type = cache<std::uint64_t, row, Hash>;
  cache_type kept{{.capacity = 7}};

  cache_put put(std::uint64_t key, std::uint64_t n) { return kept.put(key, row{n, key * 100 + n}, at(n)); }
  // The number of the value, or 0. F4: its age is that of the value that is returned.
  std::uint64_t get(std::uint64_t key) {
    const auto found = kept.get(key, at(50));
    if (found.state == cache_state::miss) return 0;
    MODEL_CHECK(found.value.b == key * 100 + found.value.a);
    MODEL_CHECK(found.age == duration(static_cast<std::int64_t>(50 - found.value.a)));
    return found.value.a;
  }
};

// --- readers and a writer that replaces

// The reader finds a value, wherever the writer died.
struct replaced_while_read : cache_scenario<one_set_hash> {
  static constexpr unsigned threads = 2;
  replaced_while_read() { put(1, 1); }
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(put(1, 2) == cache_put::stored);
    } else {
      MODEL_CHECK(get(1) >= 1);
    }
  }
  void after() { MODEL_CHECK(get(1) == 2); }
  void after_death(unsigned dead) {
    const std::uint64_t left = get(1);
    MODEL_CHECK(left >= 1);
    if (dead == 0) return;
    MODEL_CHECK(left == 2);
    MODEL_CHECK(put(1, 3) == cache_put::stored);
  }
};
MODEL_SCENARIO("cache", replaced_while_read, {});

// Three values of one key, so that the third is written where a reader of the first may still look. [C10]..[C15]
struct replaced_twice_while_read : cache_scenario<one_set_hash> {
  static constexpr unsigned threads = 2;
  replaced_twice_while_read() { put(1, 1); }
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(put(1, 2) == cache_put::stored);
      MODEL_CHECK(put(1, 3) == cache_put::stored);
    } else {
      const std::uint64_t first = get(1);
      MODEL_CHECK(first >= 1);  // it is always there, and no reader is overtaken eight times here
      MODEL_CHECK(first <= 3);
    }
  }
  void after() {
    MODEL_CHECK(get(1) == 3);
    MODEL_CHECK(kept.size_approx() == 1);
  }
};
struct replaced_at_the_wrap : replaced_twice_while_read {
  replaced_at_the_wrap() { cache_start::at_the_wrap(kept); }
};
MODEL_SCENARIO("cache", replaced_twice_while_read, {});
MODEL_SCENARIO("cache", replaced_at_the_wrap, {});

// The same from the slot before the last one, so that the reader may find the third value by its own tag while the version
// still stands. [C10] [C13] [C16]
struct moved_twice_while_read : cache_scenario<one_set_hash> {
  static constexpr unsigned threads = 2;
  moved_twice_while_read() {
    put(2, 1);
    put(1, 1);
    kept.erase(2);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      put(1, 2);
      put(1, 3);
    } else {
      MODEL_CHECK(get(1) >= 1);
    }
  }
  void after() { MODEL_CHECK(get(1) == 3); }
};
MODEL_SCENARIO("cache", moved_twice_while_read, {});

// Never back: who has seen a value, or knows of its put, sees that or a newer one.
struct never_back : cache_scenario<one_set_hash> {
  static constexpr unsigned threads = 2;
  never_back() { put(1, 1); }
  void run(unsigned thread) {
    if (thread == 0) {
      put(1, 2);
      MODEL_CHECK(get(1) == 2);
    } else {
      const std::uint64_t first = get(1);
      MODEL_CHECK(get(1) >= first);
    }
  }
  void after() { MODEL_CHECK(get(1) == 2); }
};
MODEL_SCENARIO("cache", never_back, {});

// The key moves twice while it is read: back into the slot where the reader still looks, or past it. What the reader finds
// there is younger than what the key's other slot still shows.
struct never_back_in_two_moves {
  static constexpr unsigned threads = 2;
  cache<std::uint64_t, std::uint64_t, one_set_hash> kept{{.capacity = 7}};

  void put(std::uint64_t key, std::uint64_t n) { kept.put(key, n, at(n)); }
  std::uint64_t get(std::uint64_t key) {
    const auto found = kept.get(key, at(50));
    return found.state == cache_state::miss ? 0 : found.value;
  }
  void reads_twice() {
    const std::uint64_t first = get(1);
    const std::uint64_t second = get(1);
    MODEL_CHECK(second >= first);
  }
  void run(unsigned thread) {
    if (thread == 1) return reads_twice();
    put(1, 2);
    put(1, 3);
  }
  void after() { MODEL_CHECK(get(1) == 3); }
};
// From the last slot to the one before, and back.
struct never_back_renewed : never_back_in_two_moves {
  never_back_renewed() { put(1, 1); }
};
// From the slot before the last one to the last, and back.
struct never_back_other_way : never_back_in_two_moves {
  never_back_other_way() {
    put(2, 1);
    put(1, 1);
    kept.erase(2);
  }
};
// Its first value comes into a free slot, and the next into the last one.
struct never_back_new : never_back_in_two_moves {
  never_back_new() { put(2, 1); }
  void run(unsigned thread) {
    if (thread == 1) return reads_twice();
    put(1, 2);
    kept.erase(2);
    put(1, 3);
  }
};
MODEL_SCENARIO("cache", never_back_renewed, {});
MODEL_SCENARIO("cache", never_back_other_way, {});
MODEL_SCENARIO("cache", never_back_new, {});

// Keys with one tag are told apart by the key in the slot, while slots change hands.
struct one_tag : cache_scenario<one_tag_hash> {
  static constexpr unsigned threads = 2;
  one_tag() { put(1, 1); }
  void run(unsigned thread) {
    if (thread == 0) {
      put(2, 2);
      put(1, 3);
    } else {
      const std::uint64_t other = get(2);
      MODEL_CHECK(other == 0 || other == 2);
      MODEL_CHECK(get(1) >= 1);
    }
  }
  void after() {
    MODEL_CHECK(get(1) == 3);
    MODEL_CHECK(get(2) == 2);
  }
};
MODEL_SCENARIO("cache", one_tag, {});

// --- writers

// Two write one key: a younger value is never replaced by an older one, and who is told `stored` has stored.
template <bool Same>
struct two_writers : cache_scenario<one_set_hash> {
  static constexpr unsigned threads = 2;
  std::array<cache_put, 2> results{};
  two_writers() { put(1, 1); }
  void run(unsigned thread) { results[thread] = put(Same ? 1 : 1 + thread, 2 + thread); }
  void after() {
    const auto stored = [&](unsigned t) { return results[t] == cache_put::stored; };
    MODEL_CHECK(stored(0) || stored(1));
    const std::uint64_t busy = (results[0] == cache_put::busy ? 1U : 0U) + (results[1] == cache_put::busy ? 1U : 0U);
    MODEL_CHECK(kept.busy() == busy);
    if (Same) {
      MODEL_CHECK(get(1) == (stored(1) ? 3U : 2U));
      MODEL_CHECK(results[1] != cache_put::older);
      if (results[0] == cache_put::older) MODEL_CHECK(stored(1));
      MODEL_CHECK(kept.size_approx() == 1);
    } else {
      MODEL_CHECK(get(1) == (stored(0) ? 2U : 1U));
      MODEL_CHECK(get(2) == (stored(1) ? 3U : 0U));
    }
  }
  // A writer that dies keeps its set from being written, no more: readers go on.
  void after_death(unsigned) { MODEL_CHECK(get(1) >= 1); }
};
using two_write_one_key = two_writers<true>;
using two_write_two_keys = two_writers<false>;
MODEL_SCENARIO("cache", two_write_one_key, {});
MODEL_SCENARIO("cache", two_write_two_keys, {});

// Two writers and a reader.
struct three_threads : cache_scenario<one_set_hash> {
  static constexpr unsigned threads = 3;
  three_threads() { put(1, 1); }
  void run(unsigned thread) {
    if (thread < 2) {
      put(1, 2 + thread);
    } else {
      MODEL_CHECK(get(1) >= 1);
    }
  }
  void after() { MODEL_CHECK(get(1) >= 2); }
};
MODEL_SCENARIO("cache", three_threads, {});

// --- erasures

// What was put before the erasure is gone; what is put meanwhile may stay, and is whole.
template <unsigned Threads>
struct erased : cache_scenario<one_set_hash> {
  static constexpr unsigned threads = Threads;
  bool found = false;
  erased() { put(1, 1); }
  void run(unsigned thread) {
    switch (thread) {
      case 0: put(1, 2); break;
      case 1:
        found = kept.erase(1);
        if (Threads == 2) MODEL_CHECK(get(1) != 1);
        break;
      default: get(1); break;
    }
  }
  void after() {
    const std::uint64_t left = get(1);
    MODEL_CHECK(left == 0 || left == 2);
    MODEL_CHECK(found);  // one value or the other was there all the time
    MODEL_CHECK(kept.size_approx() == (left != 0 ? 1U : 0U));
    MODEL_CHECK(kept.erase(1) == (left != 0));
    MODEL_CHECK(get(1) == 0);
  }
};
using erased_while_put = erased<2>;
using erased_put_and_read = erased<3>;
MODEL_SCENARIO("cache", erased_while_put, {});
MODEL_SCENARIO("cache", erased_put_and_read, {});

// The key moves to another slot and a second key of the same tag takes its old one: the erasure still finds it. [C5] [C9]
// [C14] [C15]
struct erased_while_moved : cache_scenario<one_tag_hash> {
  static constexpr unsigned threads = 2;
  bool found = false;
  erased_while_moved() { put(1, 1); }
  void run(unsigned thread) {
    if (thread == 0) {
      put(1, 2);
      put(2, 3);
    } else {
      found = kept.erase(1);
    }
  }
  void after() {
    MODEL_CHECK(found);
    MODEL_CHECK(get(1) == 0 || get(1) == 2);
  }
};
MODEL_SCENARIO("cache", erased_while_moved, {});

// The key moves away and back, so that the erasure may come to its slot while that is being written again. The steps that
// meet nobody let executions at random get there. [C13] [C14] [C15]
struct erased_while_rewritten : cache_scenario<one_set_hash> {
  static constexpr unsigned threads = 2;
  atomic<int> elsewhere{0};
  erased_while_rewritten() { put(1, 1); }
  void run(unsigned thread) {
    if (thread == 0) {
      put(1, 2);
      put(1, 3);
    } else {
      for (int i = 0; i < 24; ++i) static_cast<void>(elsewhere.load(mo::relaxed));
      static_cast<void>(kept.erase(1));
    }
  }
  void after() {
    const std::uint64_t left = get(1);
    MODEL_CHECK(left == 0 || left == 3);
  }
};
MODEL_SCENARIO("cache", erased_while_rewritten, {});

// One erases another key of the same tag, whose slot a put takes over: only the key that was named is forgotten.
struct erased_beside : cache_scenario<one_tag_hash> {
  static constexpr unsigned threads = 2;
  erased_beside() {
    put(1, 1);
    put(2, 1);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(kept.erase(1));
    } else {
      put(2, 2);
    }
  }
  void after() {
    MODEL_CHECK(get(1) == 0);
    MODEL_CHECK(get(2) == 2);
  }
};
MODEL_SCENARIO("cache", erased_beside, {});

// --- evictions

// A full set: a new key takes the place of one that a reader looks for meanwhile.
struct evicted_while_read : cache_scenario<one_set_hash> {
  static constexpr unsigned threads = 2;
  evicted_while_read() {
    for (std::uint64_t key = 1; key <= 7; ++key) put(key, 1);
  }
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(put(8, 2) == cache_put::stored);
    } else {
      for (const std::uint64_t key : {std::uint64_t{7}, std::uint64_t{8}}) {
        const std::uint64_t seen = get(key);
        MODEL_CHECK(seen <= 2);
      }
    }
  }
  void after() {
    MODEL_CHECK(get(8) == 2);
    MODEL_CHECK(kept.size_approx() == 7);
    MODEL_CHECK(kept.evicted() == 1);
  }
};
MODEL_SCENARIO("cache", evicted_while_read, {});

}  // namespace
