// SPDX-License-Identifier: MIT
#include "holdfast/time/wheel_chunks.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/time/timer_wheel.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

// The lists of a wheel alone, with somebody who sees where everything lies and takes out what hurts most.
class adversary {
 public:
  adversary(std::size_t capacity, std::uint64_t seed)
      : bits_(seed),
        capacity_(capacity),
        memory_(wheel_chunks::bytes_for(capacity) / sizeof(line) + 1),
        lists_(reinterpret_cast<std::byte*>(memory_.data()), capacity),
        places_(capacity, wheel_chunks::none) {
    for (std::size_t i = capacity; i-- > 0;) free_.push_back(static_cast<std::uint32_t>(i));
  }

  [[nodiscard]] std::size_t set() const { return capacity_ - free_.size(); }
  [[nodiscard]] std::size_t in_use() const { return lists_.in_use(); }
  [[nodiscard]] std::size_t most_in_use() const { return most_; }
  std::uint64_t random(std::uint64_t n) { return uniform_up_to(bits_, n - 1); }

  // False: as many are in as may be.
  bool put(std::uint32_t slot) {
    if (free_.empty()) return false;
    const std::uint32_t timer = free_.back();
    free_.pop_back();
    if (!lists_.has_tail(slot)) {
      lists_.make_tail(slot, set() - 1,
                       [&](std::uint32_t which, wheel_chunks::place to) noexcept { places_[which] = to; });
    }
    places_[timer] = lists_.append(slot, timer);
    most_ = std::max(most_, lists_.in_use());
    return true;
  }
  void take_out(std::uint32_t timer) {
    const wheel_chunks::place from = std::exchange(places_[timer], wheel_chunks::none);
    free_.push_back(timer);
    if (lists_.remove(from)) lists_.tidy_up(from);
  }
  // Leaves in each chunk the first leave(chunk) that are in it.
  template <class Leave>
  void thin_out(Leave&& leave) {
    std::map<std::uint32_t, std::size_t> left;
    std::vector<std::uint32_t> gone;
    for (std::uint32_t timer = 0; timer < capacity_; ++timer) {
      if (places_[timer] == wheel_chunks::none) continue;
      const std::uint32_t chunk = places_[timer] / 16;
      if (left[chunk] >= leave(chunk)) {
        gone.push_back(timer);
      } else {
        ++left[chunk];
      }
    }
    for (const std::uint32_t timer : gone) take_out(timer);
  }
  // Every timer that is in is found once, and no other.
  [[nodiscard]] bool whole() {
    std::vector<bool> seen(capacity_);
    std::size_t found = 0;
    bool right = true;
    lists_.each([&](std::uint32_t timer) {
      right = right && !seen[timer] && places_[timer] != wheel_chunks::none;
      seen[timer] = true;
      ++found;
    });
    return right && found == set();
  }

 private:
  struct alignas(64) line {
    std::array<std::byte, 64> bytes;
  };
  splitmix64 bits_;
  std::size_t capacity_;
  std::vector<line> memory_;
  wheel_chunks lists_;
  std::vector<wheel_chunks::place> places_;
  std::vector<std::uint32_t> free_;
  std::size_t most_ = 0;
};

// In how many slots, and what is left in a chunk.
struct attack {
  const char* name;
  std::uint32_t slots;
  std::size_t (*leave)(adversary&, std::uint32_t chunk);
};
constexpr std::array<attack, 8> attacks{{
    {"one in each", 1, [](adversary&, std::uint32_t) { return std::size_t{1}; }},
    {"one in each, all slots", wheel_levels::slots, [](adversary&, std::uint32_t) { return std::size_t{1}; }},
    {"seven in each", 1, [](adversary&, std::uint32_t) { return std::size_t{7}; }},
    {"thirteen and one", 1,
     [](adversary&, std::uint32_t chunk) { return chunk % 2 == 0 ? std::size_t{13} : std::size_t{1}; }},
    {"thirteen and one, all slots", wheel_levels::slots,
     [](adversary&, std::uint32_t chunk) { return chunk % 2 == 0 ? std::size_t{13} : std::size_t{1}; }},
    {"any number", 3, [](adversary& by, std::uint32_t) { return std::size_t{1} + by.random(13); }},
    {"any number, some slots", 300, [](adversary& by, std::uint32_t) { return std::size_t{1} + by.random(8); }},
    {"one or seven", 2,
     [](adversary& by, std::uint32_t) { return by.random(2) == 0 ? std::size_t{1} : std::size_t{7}; }},
}};

}  // namespace

TEST_CASE("chunks_for(n) is enough for n timers, whatever is taken out to spread them", "[timer_wheel]") {
  for (const std::size_t capacity :
       {std::size_t{1}, std::size_t{13}, std::size_t{2'000}, std::size_t{30'000}, std::size_t{60'000}}) {
    for (const attack& with : attacks) {
      adversary by(capacity, capacity);
      for (int round = 0; round < 12; ++round) {
        // Until it is full, or a part of the way.
        for (std::uint64_t more = round % 3 == 2 ? by.random(capacity) + 1 : capacity; more != 0; --more) {
          if (!by.put(static_cast<std::uint32_t>(by.random(with.slots)))) break;
        }
        by.thin_out([&](std::uint32_t chunk) { return with.leave(by, chunk); });
        CAPTURE(with.name, capacity, round);
        REQUIRE(by.whole());
        REQUIRE(by.in_use() <= by.set());
      }
      CAPTURE(with.name, capacity);
      CHECK(by.most_in_use() <= wheel_chunks::chunks_for(capacity));
    }
  }
}

TEST_CASE("chunks_for(n) is enough where chunks behind the round are thinned while it goes on", "[timer_wheel]") {
  for (const std::size_t capacity : {std::size_t{30'000}, std::size_t{200'000}}) {
    for (const std::size_t at_once : {std::size_t{13}, std::size_t{100}, std::size_t{1'000}}) {
      adversary by(capacity, 1);
      while (by.put(0)) {
      }
      by.thin_out([](std::uint32_t) { return std::size_t{7}; });
      while (by.put(0)) {
      }
      for (int round = 0; round < 60; ++round) {
        const std::uint64_t end = 1 + by.random(wheel_chunks::chunks_for(capacity));
        const std::uint64_t begin = by.random(end);
        by.thin_out([&](std::uint32_t chunk) { return std::size_t{chunk >= begin && chunk < end ? 1U : 7U}; });
        for (std::size_t i = 0; i < at_once * 13 && by.put(static_cast<std::uint32_t>(by.random(2))); ++i) {
        }
      }
      CAPTURE(capacity, at_once, by.most_in_use());
      CHECK(by.whole());
      CHECK(by.most_in_use() <= wheel_chunks::chunks_for(capacity));
    }
  }
}

TEST_CASE("a timer with a value of 8 bytes takes less than 40, and what a wheel takes by itself is less than 256 KiB",
          "[timer_wheel]") {
  for (const std::size_t capacity :
       {std::size_t{1}, std::size_t{10'000}, std::size_t{1'000'000}, std::size_t{10'000'000}}) {
    CHECK(timer_wheel<std::uint64_t>::bytes_for(capacity) <= 40 * capacity + 256 * 1'024);
  }
  CHECK(timer_wheel<std::uint64_t>::bytes_for(1) <= 16 * 1'024);
  STATIC_REQUIRE(sizeof(timer_wheel<std::uint64_t>) <= 512);
}
