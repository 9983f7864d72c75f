// SPDX-License-Identifier: MIT
// One writer at full speed and readers that cannot keep up, come late, or rest: no record is torn, none comes out of its
// turn, and what each read and missed adds up to what was written.
#include <array>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/broadcast_ring.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

template <std::size_t Words>
struct counted {
  std::array<std::uint64_t, Words> copies{};
};

struct tally {
  std::uint64_t read = 0, missed = 0, skipped = 0, torn = 0, unordered = 0;
  bool ended = false;  // with all that was written
};

enum class habit { reads_all, rests, skips };

// Reads until the record that says that it is the last, which is there to stay.
template <class Ring>
tally read_all(const Ring& ring, std::uint64_t records, habit how, broadcast_from from) {
  tally t;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  broadcast_reader reader(ring, from);
  std::uint64_t next = reader.number();
  t.skipped = next;
  typename Ring::value_type out;
  for (std::uint64_t turn = 0; next < records; ++turn) {
    const broadcast_read got = reader.try_read(out);
    switch (got.state) {
      case broadcast_state::record:
        for (const auto copy : out.copies) t.torn += copy != out.copies[0] ? 1U : 0U;
        t.unordered += out.copies[0] != next ? 1U : 0U;
        ++t.read;
        ++next;
        break;
      case broadcast_state::overwritten:
        t.missed += got.missed;
        next += got.missed;
        break;
      case broadcast_state::nothing:
        if (std::chrono::steady_clock::now() > give_up) return t;
        std::this_thread::yield();
    }
    if (how == habit::rests && turn % 1'000 == 0) std::this_thread::yield();
    if (how == habit::skips && turn % 500 == 0) {
      const std::uint64_t skipped = reader.skip_to_newest();
      t.skipped += skipped;
      next += skipped;
    }
    if (reader.number() != next) ++t.unordered;
  }
  t.ended = true;
  return t;
}

template <std::size_t Words, std::size_t Capacity>
void run(std::uint64_t records, std::uint64_t pause_every) {
  using ring_type = broadcast_ring<counted<Words>, Capacity>;
  const auto ring = std::make_unique<ring_type>();
  constexpr std::array habits{habit::reads_all, habit::rests, habit::skips};
  std::array<tally, 3> seen;
  atomic<std::uint32_t> ready{0};
  std::vector<std::thread> readers;
  for (std::size_t r = 0; r < seen.size(); ++r) {
    readers.emplace_back([&, r] {
      ready.fetch_add(1, mo::relaxed);
      seen[r] = read_all(*ring, records, habits[r], r == 2 ? broadcast_from::oldest : broadcast_from::newest);
    });
  }
  while (ready.load(mo::relaxed) < 2) std::this_thread::yield();
  for (std::uint64_t n = 0; n < records; ++n) {
    counted<Words> next;
    next.copies.fill(n);
    ring->write(next);
    if (pause_every != 0 && n % pause_every == 0) std::this_thread::yield();
  }
  for (auto& r : readers) r.join();
  for (const tally& t : seen) {
    CHECK(t.torn == 0);
    CHECK(t.unordered == 0);
    CHECK(t.ended);
    CHECK(t.read + t.missed + t.skipped == records);
  }
}

}  // namespace

TEST_CASE("no reader of a broadcast sees a torn record, or loses one uncounted", "[broadcast_ring][stress]") {
  run<1, 1>(200'000, 50);
  run<6, 4>(200'000, 20);
  run<2, 64>(400'000, 40);
  run<25, 1024>(200'000, 0);
}
