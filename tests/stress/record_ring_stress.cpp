// SPDX-License-Identifier: MIT
// One writer and one reader, records of random sizes: every byte arrives once, in order, under a thread sanitizer too.
#include <chrono>
#include <thread>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/queue/record_ring.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

// Returns how many records the reader saw as they had been written.
std::uint64_t run(std::size_t bytes, std::uint64_t records, std::size_t largest, unsigned release_every) {
  std::vector<std::uint64_t> words(bytes / 8);
  record_ring ring(std::as_writable_bytes(std::span(words)));
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  std::thread writer([&] {
    splitmix64 random(7);
    for (std::uint64_t i = 0; i < records; ++i) {
      const std::size_t size = random() % (largest + 1);
      std::byte* at = ring.try_claim(size);
      while (at == nullptr) {
        if (std::chrono::steady_clock::now() > give_up) return;
        std::this_thread::yield();
        at = ring.try_claim(size);
      }
      for (std::size_t k = 0; k < size; ++k) at[k] = static_cast<std::byte>(i + k);
      ring.commit(size, static_cast<std::uint32_t>(i));
    }
  });
  splitmix64 random(7);
  std::uint64_t good = 0;
  std::uint64_t seen = 0;
  while (seen < records && std::chrono::steady_clock::now() < give_up) {
    record_ring::record r;
    if (!ring.front(r)) {
      ring.release();
      std::this_thread::yield();
      continue;
    }
    const std::size_t size = random() % (largest + 1);
    bool same = r.bytes == size && r.tag == static_cast<std::uint32_t>(seen);
    for (std::size_t k = 0; same && k < size; ++k) same = r.data[k] == static_cast<std::byte>(seen + k);
    good += same ? 1 : 0;
    ring.pop(r);
    if (++seen % release_every == 0) ring.release();
  }
  writer.join();
  return good;
}

}  // namespace

TEST_CASE("record_ring: every record of a fast writer arrives whole and in order", "[record_ring][stress]") {
  CHECK(run(256, 40'000, 40, 1) == 40'000);
  CHECK(run(1'000, 40'000, 300, 3) == 40'000);
  CHECK(run(65'536, 200'000, 120, 50) == 200'000);
  CHECK(run(65'536, 5'000, 32'000, 1) == 5'000);
}
