// SPDX-License-Identifier: MIT
#include "holdfast/queue/look_spacing.hpp"

#include <cstdint>
#include <type_traits>

#include "holdfast/queue/spsc_queue.hpp"

#include "support/catch.hpp"

using holdfast::basic_look_spacing;

namespace {

// A counter that goes on by itself while somebody pauses, and otherwise when a test says so.
struct hand_ticks {
  static constexpr bool there = true;
  static inline std::uint64_t time = 0;
  static inline std::uint64_t each_pause = 100;
  static inline unsigned pauses = 0;
  static std::uint64_t now() noexcept { return time; }
  static void pause() noexcept {
    ++pauses;
    time += each_pause;
  }
};
struct no_ticks : hand_ticks {
  static constexpr bool there = false;
};

constexpr std::uint64_t pair_items = 16;

// A reader that takes pair after pair, each `ticks` after the one before, and looks once in each.
template <class Ticks>
class reader {
 public:
  using spacing_type = basic_look_spacing<Ticks>;

  explicit reader(std::uint64_t first = 0) : pos_(first) {
    hand_ticks::time = 1'000'000;
    hand_ticks::each_pause = 100;
    hand_ticks::pauses = 0;
  }
  // How many pauses it made after it.
  unsigned pair(std::uint64_t ticks, std::uint64_t since, std::uint64_t known) {
    const unsigned before = hand_ticks::pauses;
    hand_ticks::time += ticks;
    pos_ += pair_items;
    spacing_.looked(pos_ - since);
    spacing_.pair_ended(pos_, known, pair_items);
    return hand_ticks::pauses - before;
  }
  unsigned pairs(unsigned count, std::uint64_t ticks = 500, std::uint64_t since = 8, std::uint64_t known = 10) {
    unsigned pauses = 0;
    for (unsigned i = 0; i < count; ++i) pauses += pair(ticks, since, known);
    return pauses;
  }
  // It is far behind for so many pairs, and does not look.
  void runs(std::uint64_t count, std::uint64_t ticks_each) {
    pos_ += count * pair_items;
    hand_ticks::time += count * ticks_each;
  }

 private:
  spacing_type spacing_{};
  std::uint64_t pos_;
};

using close_reader = reader<hand_ticks>;
using spacing = close_reader::spacing_type;
constexpr unsigned a_moment = spacing::moment / 100;

}  // namespace

TEST_CASE("a reader that has followed closely for long leaves the writer alone for a moment", "[look_spacing]") {
  close_reader one;
  one.pair(500, 8, 10);  // the first is compared with nothing
  CHECK(one.pairs(spacing::patience - 1) == 0);
  CHECK(one.pair(500, 8, 10) == a_moment);
  CHECK(one.pair(500, 8, 10) == a_moment);
}

TEST_CASE("a pause behind which there is little was none, and the next one takes twice the patience",
          "[look_spacing]") {
  close_reader one;
  one.pair(500, 8, 2);
  CHECK(one.pairs(spacing::patience - 1, 500, 8, 2) == 0);
  CHECK(one.pair(500, 8, 2) == a_moment);
  unsigned patience = spacing::patience;
  for (int i = 0; i < 8; ++i) {
    patience *= 2;
    CHECK(one.pair(500, 8, 2) == 0);  // found less than `worth`: begins anew
    CHECK(one.pairs(patience - 2, 500, 8, 2) == 0);
    CHECK(one.pair(500, 8, 2) == a_moment);
  }
  CHECK(one.pair(500, 8, spacing::worth - 8) ==
        a_moment);  // this one helped, and all patience but the first is forgotten
  CHECK(one.pair(500, 8, 2) == 0);
  CHECK(one.pairs(2 * spacing::patience - 2, 500, 8, 2) == 0);
  CHECK(one.pair(500, 8, 2) == a_moment);
}

TEST_CASE("the pace is that of all that was read since, looked at or not", "[look_spacing]") {
  close_reader one;
  one.pairs(spacing::patience + 1);
  one.runs(20, 200);
  CHECK(one.pair(500, 8, 10) == a_moment);
  one.runs(20, 2 * spacing::quick_pair);
  CHECK(one.pair(500, 8, 10) == 0);
}

TEST_CASE("a reader with work to do is not kept waiting, nor is a burst", "[look_spacing]") {
  close_reader busy;
  CHECK(busy.pairs(10 * spacing::patience, spacing::quick_pair) == 0);
  close_reader burst;
  for (int i = 0; i < 100; ++i) {
    CHECK(burst.pair(1'000'000, 8, 10) == 0);
    CHECK(burst.pairs(spacing::patience - 1) == 0);
  }
}

TEST_CASE("nothing is waited for where looks find single items or many", "[look_spacing]") {
  close_reader single;
  CHECK(single.pairs(10 * spacing::patience, 500, 1, 0) == 0);
  close_reader many;
  CHECK(many.pairs(10 * spacing::patience, 500, 8, spacing::few - 8) == 0);
  close_reader long_ago;
  CHECK(long_ago.pairs(10 * spacing::patience, 500, pair_items + 1, 10) == 0);
  close_reader just;
  CHECK(just.pairs(spacing::patience + 1, 500, 1, 1) == a_moment);
  CHECK(just.pair(500, pair_items, spacing::few - pair_items) == 0);
  CHECK(just.pair(500, pair_items, spacing::few - pair_items - 1) == a_moment);
}

TEST_CASE("a reader of runs leaves the writer alone before it looks", "[look_spacing]") {
  const auto runs = [](unsigned count, std::uint64_t items, std::uint64_t ticks) {
    const close_reader clock;
    spacing one;
    unsigned pauses = 0;
    std::uint64_t pos = 0;
    for (unsigned i = 0; i < count; ++i) {
      hand_ticks::time += ticks;
      const unsigned before = hand_ticks::pauses;
      one.will_look(pos, pair_items);
      one.looked(pos);
      pos += items;
      pauses += hand_ticks::pauses - before != 0 ? 1U : 0U;
    }
    return pauses;
  };
  // The first has nothing behind it, and the second is compared with nothing.
  CHECK(runs(spacing::patience + 1, 20, 1'000) == 0);
  CHECK(runs(spacing::patience + 2, 20, 1'000) == 1);
  CHECK(runs(spacing::patience + 9, 20, 1'000) == 8);
  CHECK(runs(10 * spacing::patience, 20, 1'600) == 0);
  CHECK(runs(10 * spacing::patience, 1, 10) == 0);
  CHECK(runs(10 * spacing::patience, spacing::few, 10) == 0);
}

TEST_CASE("a pause behind which there is nothing did not help, whatever was found before it", "[look_spacing]") {
  const close_reader clock;
  spacing one;
  std::uint64_t pos = 0;
  const auto run = [&](std::uint64_t items) {
    hand_ticks::time += 1'000;
    const unsigned before = hand_ticks::pauses;
    one.will_look(pos, pair_items);
    if (items != 0) one.looked(pos);
    pos += items;
    return hand_ticks::pauses - before;
  };
  for (unsigned i = 0; i < spacing::patience + 1; ++i) CHECK(run(20) == 0);
  CHECK(run(0) == a_moment);  // a pause, and then nothing
  CHECK(run(20) == 0);        // asked again at the same place
  for (unsigned i = 0; i < 2 * spacing::patience - 2; ++i) CHECK(run(20) == 0);
}

TEST_CASE("positions and ticks may wrap", "[look_spacing]") {
  close_reader one(~std::uint64_t{0} - 10 * pair_items);
  hand_ticks::time = ~std::uint64_t{0} - 5'000;
  one.pair(500, 8, 10);
  CHECK(one.pairs(spacing::patience) == a_moment);
}

TEST_CASE("looks at once keep nothing and wait for nothing", "[look_spacing]") {
  using queue = holdfast::spsc_queue<std::uint64_t, 1024>;
  using spaced = holdfast::spsc_queue<std::uint64_t, 1024, holdfast::unwatched, holdfast::look_spacing>;
  STATIC_REQUIRE(std::is_empty_v<holdfast::looks_at_once>);
  STATIC_REQUIRE(sizeof(queue) == sizeof(spaced));
  spaced one;
  std::uint64_t out = 0;
  for (std::uint64_t i = 0; i < 5'000; ++i) {
    REQUIRE(one.try_push(i));
    REQUIRE(one.try_push(i + 1));
    REQUIRE(one.try_pop(out));
    CHECK(out == i);
    REQUIRE(one.try_pop(out));
    CHECK(out == i + 1);
  }
  CHECK_FALSE(one.try_pop(out));
}

TEST_CASE("a counter that stands still holds up nobody, and where there is none nothing is waited for",
          "[look_spacing]") {
  close_reader still;
  hand_ticks::each_pause = 0;
  still.pair(500, 8, 10);
  const unsigned pauses = still.pairs(spacing::patience);
  CHECK(pauses > 0);
  CHECK(pauses <= 256);
  reader<no_ticks> without;
  CHECK(without.pairs(10 * spacing::patience) == 0);
}
