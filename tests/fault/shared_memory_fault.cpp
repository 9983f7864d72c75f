// SPDX-License-Identifier: MIT
// A process is killed while it writes to, or reads from, a queue in shared memory: the survivor finds exactly a prefix of
// what was committed, nothing torn, and is never held up.
//
// spsc_queue and record_ring promise nothing between processes: this is how it is shown that no instruction of theirs
// leaves a state that the other side cannot go on from. record_ring keeps the address of its storage, and works here
// because a forked child has the mapping at the address at which its parent has it.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "holdfast/core/random.hpp"
#include "holdfast/queue/record_ring.hpp"
#include "holdfast/queue/spsc_queue.hpp"

#include "fault.hpp"
#include "single_step.hpp"
#include "support/catch.hpp"
#include "support/proof_fact.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

enum class popped { nothing, right, wrong };

// A value that cannot be half there unnoticed: every word follows from the first.
struct item {
  std::array<std::uint64_t, 7> words{};
  static item of(std::uint64_t n) noexcept {
    item made;
    made.words[0] = n;
    for (std::size_t i = 1; i < made.words.size(); ++i) made.words[i] = splitmix64_mix(n * 8 + i);
    return made;
  }
  friend bool operator==(const item&, const item&) = default;
};

struct spsc_of_items {
  static constexpr const char* name = "spsc_queue";
  static constexpr bool writer_has_successor = true;
  static constexpr std::uint64_t most = 2 * 64;  // max_size() is not above it
  spsc_queue<item, 64> queue;
  explicit spsc_of_items(std::uint64_t first) noexcept : queue(first) {}
  bool push(std::uint64_t n) noexcept { return queue.try_push(item::of(n)); }
  // `n` comes back as the number of what was there.
  popped pop(std::uint64_t& n) noexcept {
    item out;
    if (!queue.try_pop(out)) return popped::nothing;
    n = out.words[0];
    return out == item::of(n) ? popped::right : popped::wrong;
  }
};

struct ring_of_records {
  static constexpr const char* name = "record_ring";
  static constexpr std::size_t storage_bytes = 8192;
  // It publishes a record before it moves its own position: one that died in between would write in the past.
  static constexpr bool writer_has_successor = false;
  static constexpr std::uint64_t most = storage_bytes / 16;
  alignas(8) std::array<std::byte, storage_bytes> storage{};
  record_ring ring{storage};
  // Begins somewhere else in the storage each time, so that all places of the wrap are met.
  explicit ring_of_records(std::uint64_t first) noexcept {
    for (std::uint64_t i = 0; i < first % 1024; ++i) {
      if (ring.try_claim(0) == nullptr) break;
      ring.commit(0, 0);
      record_ring::record r;
      if (ring.front(r)) ring.pop(r);
      ring.release();
    }
  }
  static std::size_t size_of(std::uint64_t n) noexcept { return 8 + splitmix64_mix(n) % 200; }
  bool push(std::uint64_t n) noexcept {
    const std::size_t size = size_of(n);
    std::byte* const out = ring.try_claim(size);
    if (out == nullptr) return false;
    std::memcpy(out, &n, 8);
    std::memset(out + 8, static_cast<int>(n & 0xFF), size - 8);
    ring.commit(size, static_cast<std::uint32_t>(n));
    return true;
  }
  popped pop(std::uint64_t& n) noexcept {
    record_ring::record r;
    if (!ring.front(r)) return popped::nothing;
    if (r.bytes < 8) return popped::wrong;
    std::memcpy(&n, r.data, 8);
    bool right = r.bytes == size_of(n) && r.tag == static_cast<std::uint32_t>(n);
    for (std::uint32_t i = 8; right && i < r.bytes; ++i) right = r.data[i] == static_cast<std::byte>(n & 0xFF);
    ring.pop(r);
    ring.release();
    return right ? popped::right : popped::wrong;
  }
};

template <class Queue>
struct arena {
  explicit arena(std::uint64_t first) noexcept : queue(first) {}
  Queue queue;
  alignas(cache_line_size) atomic<std::uint64_t> done{0};  // operations that the child saw end
  atomic<std::uint64_t> wrong{0};                          // what the child found torn or out of order
};

struct tally {
  std::uint64_t rounds = 0;
  std::uint64_t torn = 0;      // values that were not whole, or not the next
  std::uint64_t missing = 0;   // committed and not found by the survivor
  std::uint64_t phantom = 0;   // found and never begun
  std::uint64_t stuck = 0;     // the survivor could not go on
  std::uint64_t received = 0;  // by survivors
};

// What the survivor finds after `next` of a killed writer's values, of which `done` were committed for certain.
template <class Queue>
void drain_after_writer(arena<Queue>& a, std::uint64_t next, tally& t) {
  std::uint64_t n = 0;
  for (popped p = a.queue.pop(n); p != popped::nothing; p = a.queue.pop(n)) {
    t.torn += p == popped::wrong || n != next ? 1U : 0U;
    ++next;
    if (next > a.done.load(mo::acquire) + Queue::most) break;
  }
  const std::uint64_t done = a.done.load(mo::acquire);
  t.missing += next < done ? done - next : 0;
  t.phantom += next > done + 1 ? 1U : 0U;
  t.received += next;
  // And the queue still works for whoever writes next, where a dead writer can have a successor.
  if constexpr (Queue::writer_has_successor) {
    t.stuck += a.queue.push(next) && a.queue.pop(n) == popped::right && n == next ? 0U : 1U;
  }
}

// What the survivor, having pushed `pushed`, finds after a killed reader.
template <class Queue>
void go_on_after_reader(arena<Queue>& a, std::uint64_t pushed, tally& t) {
  const std::uint64_t done = a.done.load(mo::acquire);
  t.torn += a.wrong.load(mo::relaxed);
  t.phantom += done > pushed ? 1U : 0U;
  std::uint64_t room = 0;
  while (a.queue.push(pushed)) {
    ++pushed;
    if (++room > Queue::most) break;
  }
  t.stuck += room > Queue::most ? 1U : 0U;  // a dead reader's queue must refuse in the end
  std::uint64_t n = 0;
  std::uint64_t next = ~std::uint64_t{0};
  for (popped p = a.queue.pop(n); p != popped::nothing; p = a.queue.pop(n)) {
    if (next == ~std::uint64_t{0}) {
      // The reader may have died after it took one and before it said so.
      t.missing += n > done + 1 ? n - done - 1 : 0;
      t.phantom += n < done ? 1U : 0U;
      next = n;
    }
    t.torn += p == popped::wrong || n != next ? 1U : 0U;
    ++next;
    ++t.received;
  }
  if (next != ~std::uint64_t{0}) t.missing += next < pushed ? pushed - next : 0;
  t.stuck += a.queue.push(pushed) ? 0U : 1U;
}

template <class Queue>
void kill_a_writer(std::uint64_t seed, tally& t) {
  splitmix64 random(seed);
  fault::shared<arena<Queue>> a(random() % 1024);
  fault::child writer([&] {
    for (std::uint64_t n = 0;;) {
      if (a->queue.push(n)) {
        a->done.store(++n, mo::release);
      } else {
        ::sched_yield();
      }
    }
    return 0;
  });
  REQUIRE(writer.started());
  const std::uint64_t until = random() % 150;
  std::uint64_t next = 0;
  const bool came = fault::within(10s, [&] {
    std::uint64_t n = 0;
    for (int i = 0; i < 64 && next < until; ++i) {
      const popped p = a->queue.pop(n);
      if (p == popped::nothing) break;
      t.torn += p == popped::wrong || n != next ? 1U : 0U;
      ++next;
    }
    return next >= until;
  });
  t.stuck += came ? 0U : 1U;
  writer.kill();
  drain_after_writer(*a, next, t);
  ++t.rounds;
}

template <class Queue>
int read_for_ever(arena<Queue>& a) {
  for (std::uint64_t next = 0;;) {
    std::uint64_t n = 0;
    const popped p = a.queue.pop(n);
    if (p == popped::nothing) {
      ::sched_yield();
      continue;
    }
    if (p == popped::wrong || n != next) a.wrong.fetch_add(1, mo::relaxed);
    a.done.store(++next, mo::release);
  }
}

template <class Queue>
void kill_a_reader(std::uint64_t seed, tally& t) {
  splitmix64 random(seed);
  fault::shared<arena<Queue>> a(random() % 1024);
  fault::child reader([&] { return read_for_ever(*a); });
  REQUIRE(reader.started());
  const std::uint64_t until = random() % 150;
  std::uint64_t pushed = 0;
  const bool came = fault::within(10s, [&] {
    while (a->queue.push(pushed)) ++pushed;
    return a->done.load(mo::acquire) >= until;
  });
  t.stuck += came ? 0U : 1U;
  reader.kill();
  go_on_after_reader(*a, pushed, t);
  ++t.rounds;
}

void die() {
  ::kill(::getpid(), SIGKILL);
}

// The child dies at its k-th instruction, for every k. `first` varies what it meets: a wrap, a fresh look at the other side.
template <class Queue>
void kill_a_writer_at_every_instruction(std::uint64_t first, tally& t) {
  for (std::uint64_t k = 1;; ++k) {
    fault::shared<arena<Queue>> a(first);
    fault::child writer([&] {
      fault::single_step::at(k, &die, [&] {
        for (std::uint64_t n = 0; n < 2; ++n) {
          if (a->queue.push(n)) a->done.store(n + 1, mo::release);
        }
      });
      return 0;
    });
    const bool lived = writer.wait(10s) == 0;
    drain_after_writer(*a, 0, t);
    ++t.rounds;
    if (lived) {
      CHECK(k > 20);
      return;
    }
  }
}

template <class Queue>
void kill_a_reader_at_every_instruction(std::uint64_t first, tally& t) {
  // Most of a record's reading is the test's own look at its bytes.
  const std::uint64_t stride = fault::long_run() || std::is_same_v<Queue, spsc_of_items> ? 1 : 7;
  for (std::uint64_t k = 1;; k += stride) {
    fault::shared<arena<Queue>> a(first);
    std::uint64_t pushed = 0;
    while (pushed < 3 && a->queue.push(pushed)) ++pushed;
    fault::child reader([&] {
      fault::single_step::at(k, &die, [&] {
        for (std::uint64_t next = 0; next < 2; ++next) {
          std::uint64_t n = 0;
          if (a->queue.pop(n) != popped::right || n != next) a->wrong.store(1, mo::relaxed);
          a->done.store(next + 1, mo::release);
        }
      });
      return 0;
    });
    const bool lived = reader.wait(10s) == 0;
    go_on_after_reader(*a, pushed, t);
    ++t.rounds;
    if (lived) {
      CHECK(k > 20);
      return;
    }
  }
}

void judge(const char* name, const char* who, const tally& t) {
  char title[64];
  std::snprintf(title, sizeof title, "kill_%s_%s", name, who);
  fault::report(title, "rounds=%llu received=%llu torn=%llu missing=%llu phantom=%llu stuck=%llu",
                static_cast<unsigned long long>(t.rounds), static_cast<unsigned long long>(t.received),
                static_cast<unsigned long long>(t.torn), static_cast<unsigned long long>(t.missing),
                static_cast<unsigned long long>(t.phantom), static_cast<unsigned long long>(t.stuck));
  CHECK(test_support::proof_fact("faults.kill_rounds", t.rounds, "rounds"));
  CHECK(test_support::proof_fact("faults.damaged_prefixes", t.torn + t.missing + t.phantom, "rounds"));
  CHECK(t.torn == 0);
  CHECK(t.missing == 0);
  CHECK(t.phantom == 0);
  CHECK(t.stuck == 0);
}

}  // namespace

TEMPLATE_TEST_CASE("a writer is killed at a random moment", "[fault]", spsc_of_items, ring_of_records) {
  tally t;
  const int rounds = fault::rounds(1'000, 20'000);
  for (int i = 0; i < rounds; ++i) kill_a_writer<TestType>(static_cast<std::uint64_t>(i), t);
  judge(TestType::name, "writer", t);
  CHECK(t.received > 50U * t.rounds);
}

TEMPLATE_TEST_CASE("a reader is killed at a random moment", "[fault]", spsc_of_items, ring_of_records) {
  tally t;
  const int rounds = fault::rounds(1'000, 20'000);
  for (int i = 0; i < rounds; ++i) kill_a_reader<TestType>(static_cast<std::uint64_t>(i), t);
  judge(TestType::name, "reader", t);
  CHECK(t.received > t.rounds);
}

TEMPLATE_TEST_CASE("a writer is killed at each of its instructions", "[fault]", spsc_of_items, ring_of_records) {
  if (!fault::single_step::works) return fault::report("stepwise", "skipped (only x86-64 steps one by one)");
  tally t;
  const std::uint64_t starts = fault::long_run() ? 250 : 2;
  for (std::uint64_t i = 0; i < starts; ++i) kill_a_writer_at_every_instruction<TestType>(1023 - i, t);
  judge(TestType::name, "writer_stepwise", t);
}

TEMPLATE_TEST_CASE("a reader is killed at each of its instructions", "[fault]", spsc_of_items, ring_of_records) {
  if (!fault::single_step::works) return fault::report("stepwise", "skipped (only x86-64 steps one by one)");
  tally t;
  const std::uint64_t starts = fault::long_run() ? 250 : 2;
  for (std::uint64_t i = 0; i < starts; ++i) kill_a_reader_at_every_instruction<TestType>(1023 - i * 3, t);
  judge(TestType::name, "reader_stepwise", t);
}
