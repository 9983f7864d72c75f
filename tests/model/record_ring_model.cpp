// SPDX-License-Identifier: MIT
// A record's payload is a plain<int>, so that its bytes are race-checked: made anew by the writer, read by the reader
// until it releases them.
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>

#include "holdfast/queue/record_ring.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

using number = plain<int>;

// A ring of the smallest size and both its sides. Records are numbered in order; the tag says the number as well.
struct watched_ring {
  alignas(8) std::array<std::byte, record_ring::min_storage> storage{};
  record_ring ring{storage};
  int written = 0;        // commits that have returned
  int read = 0;           // records that the reader has seen
  std::size_t bytes = 0;  // committed and not released, headers included

  static std::size_t step(std::size_t payload) { return (payload + record_ring::header_bytes + 7) / 8 * 8; }

  bool write(std::size_t payload) {
    std::byte* const at = ring.try_claim(payload);
    if (at == nullptr) return false;
    if (payload >= sizeof(number)) ::new (static_cast<void*>(at)) number(written + 1);
    bytes += step(payload);
    ring.commit(payload, static_cast<std::uint32_t>(written + 1));
    ++written;
    return true;
  }
  // The oldest record is the next number, whole; pops it.
  bool pop(record_ring::record& out) {
    record_ring::record r{nullptr, 77, 77};
    if (!ring.front(r)) {
      MODEL_CHECK(r.data == nullptr);
      MODEL_CHECK(r.bytes == 77);
      return false;
    }
    ++read;
    MODEL_CHECK(r.tag == static_cast<std::uint32_t>(read));
    look(r);
    ring.pop(r);
    out = r;
    return true;
  }
  static void look(const record_ring::record& r) {
    if (r.bytes < sizeof(number)) return;
    const auto* const there = std::launder(reinterpret_cast<const number*>(r.data));
    MODEL_CHECK(there->get() == static_cast<int>(r.tag));
  }
  void release(std::size_t payload_steps) {
    ring.release();
    bytes -= payload_steps;
  }
  bool take() {
    record_ring::record r;
    if (!pop(r)) return false;
    release(step(r.bytes));
    return true;
  }
  void drain() {
    while (take()) {
    }
    MODEL_CHECK(read == written);
    MODEL_CHECK(bytes == 0);
  }
};

// The largest records: two fill the ring. Five of them go round its end twice.
struct largest_records : watched_ring {
  static constexpr unsigned threads = 2;
  static constexpr std::size_t payload = 112;

  void run(unsigned thread) {
    for (int i = 0; i < 5; ++i) {
      if (thread == 0) {
        MODEL_CHECK(!ring.granted(payload) || bytes <= ring.capacity() - step(payload));
        static_cast<void>(write(payload));
        MODEL_CHECK(ring.backlog() >= bytes);
        MODEL_CHECK(ring.backlog() <= ring.capacity());
      } else {
        static_cast<void>(take());
      }
    }
  }
  void after() {
    MODEL_CHECK(ring.max_record() == payload);
    MODEL_CHECK(ring.try_claim(payload + 8) == nullptr);
    drain();
    MODEL_CHECK(write(payload));  // one always fits into an empty ring, wherever its positions stand
    drain();
  }
};
MODEL_SCENARIO("record_ring", largest_records, {});

// Nobody gives up: what is released is room for the writer in the end, and what is written reaches the reader.
struct handed_over : watched_ring {
  static constexpr unsigned threads = 2;
  static constexpr int count = 4;

  void run(unsigned thread) {
    if (thread == 0) {
      while (written < count) {
        if (!write(112)) spin();
      }
    } else {
      while (read < count) {
        if (!take()) spin();
      }
    }
  }
  void after() {
    MODEL_CHECK(read == count);
    drain();
  }
};
MODEL_SCENARIO("record_ring", handed_over, {});

// Sizes that put headers where payloads were, and a record of no bytes; begins near the storage's end.
struct mixed_sizes : watched_ring {
  static constexpr unsigned threads = 2;

  mixed_sizes() {
    for (int i = 0; i < 2; ++i) MODEL_CHECK(write(88) && take());
  }
  void run(unsigned thread) {
    if (thread == 0) {
      for (const std::size_t payload : {std::size_t{40}, std::size_t{0}, std::size_t{104}, std::size_t{20}}) {
        if (write(payload)) MODEL_CHECK(ring.backlog() >= bytes);
      }
      MODEL_CHECK(!ring.granted(112) || bytes <= ring.capacity() - step(112));
    } else {
      for (int i = 0; i < 4; ++i) static_cast<void>(take());
    }
  }
  void after() { drain(); }
};
MODEL_SCENARIO("record_ring", mixed_sizes, {});

// What was popped stays valid until it is released, all at once.
struct released_together : watched_ring {
  static constexpr unsigned threads = 2;

  void run(unsigned thread) {
    if (thread == 0) {
      for (int i = 0; i < 5; ++i) static_cast<void>(write(72));
      return;
    }
    for (int turn = 0; turn < 2; ++turn) {
      std::array<record_ring::record, 2> held{};
      std::size_t count = 0, steps = 0;
      while (count < held.size() && pop(held[count])) steps += step(held[count++].bytes);
      for (std::size_t i = 0; i < count; ++i) look(held[i]);
      if (count != 0) release(steps);
    }
  }
  void after() { drain(); }
};
MODEL_SCENARIO("record_ring", released_together, {});

// A claim that is not committed is forgotten, also one for which the writer went to the front; a part of a claim is enough.
struct claims_forgotten : watched_ring {
  static constexpr unsigned threads = 2;

  claims_forgotten() {
    for (int i = 0; i < 2; ++i) MODEL_CHECK(write(96) && take());
  }
  void run(unsigned thread) {
    for (int i = 0; i < 3; ++i) {
      if (thread == 1) {
        static_cast<void>(take());
        continue;
      }
      if (std::byte* const at = ring.try_claim(104)) ::new (static_cast<void*>(at)) number(-1);
      std::byte* const again = ring.try_claim(64);
      if (again == nullptr) continue;
      ::new (static_cast<void*>(again)) number(written + 1);
      bytes += step(24);
      ring.commit(24, static_cast<std::uint32_t>(written + 1));
      ++written;
    }
  }
  void after() { drain(); }
};
MODEL_SCENARIO("record_ring", claims_forgotten, {});

// Wait-free: either side dies and the other goes on. A record is there whole or not at all.
struct ring_death : watched_ring {
  static constexpr unsigned threads = 2;
  static constexpr std::size_t payload = 112;

  ring_death() { MODEL_CHECK(write(payload)); }
  void run(unsigned thread) {
    for (int i = 0; i < 3; ++i) static_cast<void>(thread == 0 ? write(payload) : take());
  }
  void after() { drain(); }
  void after_death(unsigned dead) {
    if (dead == 0) {
      while (take()) {
      }
      MODEL_CHECK(read == written || read == written + 1);
    } else {
      int more = 0;
      while (write(payload)) ++more;
      MODEL_CHECK(more <= 2);
      MODEL_CHECK(ring.backlog() <= ring.capacity());
    }
  }
};
MODEL_SCENARIO("record_ring", ring_death, {});

}  // namespace
