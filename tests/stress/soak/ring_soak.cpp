// SPDX-License-Identifier: MIT
// Records of random sizes through rings from the smallest to a lane of the log, and through shared rings whose sides are
// replaced again and again: every byte arrives once and in order.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>

#include "holdfast/queue/record_ring.hpp"
#include "holdfast/queue/shared_record_ring.hpp"

#include "soak.hpp"

namespace soak {
namespace {

using holdfast::record_ring;
using holdfast::shared_record_ring;

// What records are cut from, so that every one of them starts with other bytes than its neighbours.
std::vector<std::byte> make_text(std::uint64_t seed, std::size_t bytes) {
  holdfast::splitmix64 random(seed);
  std::vector<std::byte> text(bytes);
  for (auto& b : text) b = static_cast<std::byte>(random());
  return text;
}

// A ring inside one process; its storage outlives it.
struct own_ring {
  static constexpr std::size_t beside = 0;
  explicit own_ring(std::span<std::byte> storage) : ring(storage) {}
  std::byte* try_claim(std::size_t size) { return ring.try_claim(size); }
  void commit(std::size_t size, std::uint32_t tag) { ring.commit(size, tag); }
  bool front(holdfast::record_view& out) { return ring.front(out); }
  void pop(const holdfast::record_view& done) { ring.pop(done); }
  void release() { ring.release(); }
  record_ring ring;
};

// A shared one; each side is replaced now and then, the reader where it has nothing to read twice.
struct shared_ring {
  static constexpr std::size_t beside = sizeof(holdfast::shared_ring_header);
  explicit shared_ring(std::span<std::byte> storage) : region(storage) {
    static_cast<void>(shared_record_ring::create(region));  // or no side attaches
    writer.emplace(std::move(shared_record_ring::attach_writer(region)).value());
    reader.emplace(std::move(shared_record_ring::attach_reader(region)).value());
  }
  std::byte* try_claim(std::size_t size) { return writer->try_claim(size); }
  void commit(std::size_t size, std::uint32_t tag) {
    writer->commit(size, tag);
    if (tag % 1'000 != 999) return;
    static_cast<void>(writer->try_claim(size));  // forgotten
    auto next = shared_record_ring::attach_writer(region, writer->attachment());
    if (next.ok()) writer.emplace(std::move(next).value());
  }
  bool front(holdfast::record_view& out) { return reader->front(out) == holdfast::ring_front::record; }
  void pop(const holdfast::record_view& done) { reader->pop(done); }
  void release() {
    if (!reader->release() || ++releases % 1'000 != 0) return;
    auto next = shared_record_ring::attach_reader(region, reader->attachment());
    if (next.ok()) reader.emplace(std::move(next).value());
  }
  std::span<std::byte> region;
  std::optional<shared_record_ring::writer> writer;
  std::optional<shared_record_ring::reader> reader;
  std::uint64_t releases = 0;
};

template <class Ring>
void stream(run& r, std::size_t bytes, std::size_t largest, std::uint64_t wanted, unsigned release_every) {
  const std::uint64_t seed = r.round_seed();
  const std::uint64_t records = r.at_most(2 * wanted) / 2 + 1;
  const auto text = make_text(seed, largest + 1024);
  struct alignas(holdfast::cache_line_size) line {
    std::byte bytes[holdfast::cache_line_size];
  };
  std::vector<line> lines((bytes + Ring::beside) / sizeof(line) + 1);
  Ring ring(std::span(lines.data()->bytes, bytes + Ring::beside));
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
      holdfast::record_view got;
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
    switch (kind % 6) {
      case 0: stream<own_ring>(r, 65'536, 120, 300'000, 50); break;
      case 1: stream<own_ring>(r, 1'000, 300, 5'000, 3); break;
      case 2: stream<shared_ring>(r, 65'536, 120, 300'000, 50); break;
      case 3: stream<own_ring>(r, std::size_t{1} << 20U, 64, 500'000, 200); break;
      case 4: stream<shared_ring>(r, 1'000, 300, 5'000, 3); break;
      default: stream<own_ring>(r, 256, 40, 2'000, 1); break;
    }
  }
}

}  // namespace soak
