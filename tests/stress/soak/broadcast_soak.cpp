// SPDX-License-Identifier: MIT
// Records through broadcast rings from a single slot on, to readers that read all, come late or skip: none is torn or out of
// its turn, and what each read, missed and skipped adds up to what was written.
#include <algorithm>
#include <array>
#include <memory>

#include "holdfast/queue/broadcast_ring.hpp"

#include "soak.hpp"

namespace soak {
namespace {

using holdfast::broadcast_from;
using holdfast::broadcast_state;

template <std::size_t Words>
using record = std::array<std::uint64_t, Words>;

template <std::size_t Words, std::size_t Capacity>
void stream(run& r, std::uint64_t wanted, unsigned pause_every) {
  const std::uint64_t seed = r.round_seed();
  const std::uint64_t records = r.at_most(2 * wanted) / 2 + 1;
  const auto ring = std::make_unique<holdfast::broadcast_ring<record<Words>, Capacity>>(seed);
  holdfast::atomic<std::uint64_t> last{seed + records};  // made less when the time is over
  std::array<std::uint64_t, 2> looked{};
  const auto writer = [&] {
    for (std::uint64_t i = 0; i < records; ++i) {
      if (pause_every != 0 && i % pause_every == 0) std::this_thread::yield();
      if (i % 1024 == 0 && r.time_is_over()) {
        last.store(seed + i, mo::relaxed);  // counter: a bound
        return;
      }
      record<Words> next;
      next.fill(seed + i);
      // The last one stays, so every reader comes to it.
      if (r.sabotage() && i + 1 == records) ++next.back();
      ring->write(next);
    }
  };
  const auto reader = [&](std::size_t who) {
    holdfast::splitmix64 random(seed ^ who);
    holdfast::broadcast_reader of(*ring, who == 0 ? broadcast_from::newest : broadcast_from::oldest);
    patience patience;
    std::uint64_t wrong = 0;
    std::uint64_t next = of.number();
    while (next != last.load(mo::relaxed)) {  // counter: as above
      record<Words> out{};
      const auto got = of.try_read(out);
      ++looked[who];
      next += got.missed;
      if (got) {
        wrong += std::all_of(out.begin(), out.end(), [&](std::uint64_t n) { return n == next; }) ? 0U : 1U;
        ++next;
      }
      if (who == 1 && random() % 4096 == 0) next += of.skip_to_newest();
      if (of.number() != next) {
        ++wrong;
        break;
      }
      if (got.state == broadcast_state::nothing && !patience.wait()) {
        r.expect(false, "not every record arrived, or was counted, within a minute");
        return;
      }
    }
    r.expect(wrong == 0, "a record was torn, out of order, or lost uncounted");
  };
  together({writer, [&] { reader(0); }, [&] { reader(1); }});
  r.did(ring->written() - seed + looked[0] + looked[1]);
}

}  // namespace

void play_broadcast(run& r) {
  for (std::uint64_t kind = 0; r.next_round(); ++kind) {
    switch (kind % 4) {
      case 0: stream<6, 1024>(r, 200'000, 500); break;
      case 1: stream<1, 1>(r, 20'000, 7); break;
      case 2: stream<3, 4>(r, 50'000, 20); break;
      default: stream<25, 64>(r, 100'000, 0); break;
    }
  }
}

}  // namespace soak
