// SPDX-License-Identifier: MIT
// B1, B2, B5 under threads: never more inside than the limit, every place comes back whatever the limit does meanwhile,
// and a single place hands plain data from holder to holder.
#include <array>

#include "holdfast/policy/bulkhead.hpp"

#include "soak.hpp"

namespace soak {
namespace {

using holdfast::bulkhead;

constexpr std::size_t threads = 4;
constexpr std::uint64_t rounds = 50'000;

struct counts {
  alignas(64) std::uint64_t entered = 0;
  std::uint64_t refused = 0;
};

void check(run& r, const bulkhead& room, const std::array<counts, threads>& each, std::uint64_t more = 0) {
  std::uint64_t entered = 0;
  std::uint64_t refused = 0;
  for (const auto& c : each) {
    entered += c.entered;
    refused += c.refused;
  }
  r.expect(room.in_flight() == 0, "B2: a place did not come back");
  r.expect(room.refused() == refused, "refused() is not what callers were refused");
  r.did(2 * entered + refused + more);
}

void crowd(run& r, bool limit_moves) {
  constexpr std::uint32_t largest = 3;
  bulkhead room({.limit = largest});
  holdfast::atomic<std::uint32_t> inside{0};
  std::array<counts, threads> each{};
  std::vector<std::function<void()>> bodies;
  for (std::size_t t = 0; t < threads; ++t) {
    bodies.emplace_back([&, t] {
      std::uint64_t too_many = 0;
      for (std::uint64_t i = 0; i < rounds; ++i) {
        if (auto place = room.try_acquire()) {
          ++each[t].entered;
          // counter: a read-modify-write sees the newest count, in any order
          if (inside.fetch_add(1, mo::relaxed) >= largest) ++too_many;
          if (r.sabotage() && i == rounds / 2) inside.fetch_add(largest, mo::relaxed);  // counter: as above
          if (i % 64 == 0) std::this_thread::yield();
          inside.fetch_sub(1, mo::relaxed);  // counter: as above
        } else {
          ++each[t].refused;
        }
      }
      r.expect(too_many == 0, "B1: more were inside than the limit");
    });
  }
  constexpr std::uint64_t changes = 20'000;
  if (limit_moves) {
    bodies.emplace_back([&] {
      for (std::uint64_t i = 0; i < changes; ++i) room.set_limit(1 + static_cast<std::uint32_t>(i % largest));
    });
  }
  together(bodies);
  room.set_limit(largest);
  check(r, room, each, limit_moves ? changes : 0);
}

void hand_over(run& r) {
  bulkhead room({.limit = 1});
  std::uint64_t plain = 0;  // no atomic: ThreadSanitizer judges the hand-over
  std::array<counts, threads> each{};
  std::vector<std::function<void()>> bodies;
  for (std::size_t t = 0; t < threads; ++t) {
    bodies.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < rounds; ++i) {
        if (auto place = room.try_acquire()) {
          ++plain;
          ++each[t].entered;
        } else {
          ++each[t].refused;
        }
      }
    });
  }
  together(bodies);
  std::uint64_t entered = r.sabotage() ? 1 : 0;
  for (const auto& c : each) entered += c.entered;
  r.expect(plain == entered, "a holder did not see what the one before it wrote");
  check(r, room, each);
}

}  // namespace

void play_bulkhead(run& r) {
  for (std::uint64_t kind = 0; r.next_round(); ++kind) {
    if (kind % 3 == 2) {
      hand_over(r);
    } else {
      crowd(r, kind % 3 == 1);
    }
  }
}

}  // namespace soak
