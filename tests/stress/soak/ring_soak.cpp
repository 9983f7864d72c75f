// SPDX-License-Identifier: MIT
// Records of random sizes through rings from the smallest to a lane of the log: every byte arrives once and in order.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

#include "holdfast/queue/record_ring.hpp"

#include "soak.hpp"

namespace soak {
namespace {

using holdfast::record_ring;

// What records are cut from, so that every one of them starts with other bytes than its neighbours.
std::vector<std::byte> make_text(std::uint64_t seed, std::size_t bytes) {
  holdfast::splitmix64 random(seed);
  std::vector<std::byte> text(bytes);
  for (auto& b : text) b = static_cast<std::byte>(random());
  return text;
}

void stream(run& r, std::size_t bytes, std::size_t largest, std::uint64_t wanted, unsigned release_every) {
  const std::uint64_t seed = r.round_seed();
  const std::uint64_t records = r.at_most(2 * wanted) / 2 + 1;
  const auto text = make_text(seed, largest + 1024);
  std::vector<std::uint64_t> storage(bytes / 8);
  record_ring ring(std::as_writable_bytes(std::span(storage)));
  const auto piece = [&](std::uint64_t i) { return text.data() + i * 7 % 1024; };
  std::uint64_t seen = 0;
  std::uint64_t wrong = 0;
  holdfast::atomic<std::uint64_t> last{records};  // of the writer; made less when the time is over
  const auto writer = [&] {
    holdfast::splitmix64 sizes(seed);
    patience patience;
    for (std::uint64_t i = 0; i < records; ++i) {
      const std::size_t size = uniform_up_to(sizes, largest);
      std::byte* at = ring.try_claim(size);
      while (at == nullptr) {
        if (!patience.wait()) return;
        if (r.time_is_over()) {
          last.store(i, mo::relaxed);  // counter: a bound
          return;
        }
        at = ring.try_claim(size);
      }
      if (size != 0) std::memcpy(at, piece(i), size);
      if (r.sabotage() && i == records / 2 && size != 0) at[size / 2] ^= std::byte{1};
      ring.commit(size, static_cast<std::uint32_t>(i) + (r.sabotage() && i == records / 2 ? 1U : 0U));
    }
  };
  const auto reader = [&] {
    holdfast::splitmix64 sizes(seed);
    patience patience;
    while (seen < last.load(mo::relaxed)) {  // counter: as above
      record_ring::record got;
      if (!ring.front(got)) {
        ring.release();
        if (!patience.wait()) return;
        continue;
      }
      const std::size_t size = uniform_up_to(sizes, largest);
      if (got.bytes != size || got.tag != static_cast<std::uint32_t>(seen) ||
          (size != 0 && std::memcmp(got.data, piece(seen), size) != 0))
        ++wrong;
      ring.pop(got);
      if (++seen % release_every == 0) ring.release();
    }
  };
  together({writer, reader});
  r.expect(seen == last.load(mo::relaxed), "not every record arrived within a minute");
  r.expect(wrong == 0, "a record was lost, torn or out of order");
  r.did(2 * seen);
}

}  // namespace

void play_ring(run& r) {
  for (std::uint64_t kind = 0; r.next_round(); ++kind) {
    switch (kind % 4) {
      case 0: stream(r, 65'536, 120, 300'000, 50); break;
      case 1: stream(r, 1'000, 300, 5'000, 3); break;
      case 2: stream(r, std::size_t{1} << 20U, 64, 500'000, 200); break;
      default: stream(r, 256, 40, 2'000, 1); break;
    }
  }
}

}  // namespace soak
