// SPDX-License-Identifier: MIT
// One writer and readers of a latch: no value is torn, none is older than one that its reader has seen.
#include <array>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/seq_latch.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {
struct counted {
  std::array<std::uint64_t, 6> copies{};
};
}  // namespace

TEST_CASE("no reader sees a torn value, or an older one after a younger", "[seq_latch]") {
  constexpr std::uint64_t writes = 200'000;
  seq_latch<counted> latch(counted{});
  atomic<std::uint32_t> done{0};
  std::array<std::uint64_t, 2> torn{}, backwards{}, last{};
  std::vector<std::thread> readers;
  for (std::size_t r = 0; r < 2; ++r) {
    readers.emplace_back([&, r] {
      bool ends = false;
      while (!ends) {
        ends = done.load(mo::acquire) != 0;  // once more after that, for the last value
        const counted seen = latch.read();
        for (const auto copy : seen.copies) torn[r] += copy != seen.copies[0] ? 1U : 0U;
        backwards[r] += seen.copies[0] < last[r] ? 1U : 0U;
        last[r] = seen.copies[0];
      }
    });
  }
  for (std::uint64_t n = 1; n <= writes; ++n) {
    counted next;
    next.copies.fill(n);
    latch.write(next);
  }
  done.store(1, mo::release);
  for (auto& r : readers) r.join();
  for (std::size_t r = 0; r < 2; ++r) {
    CHECK(torn[r] == 0);
    CHECK(backwards[r] == 0);
    CHECK(last[r] == writes);
  }
}
