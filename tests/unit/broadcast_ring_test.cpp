// SPDX-License-Identifier: MIT
#include "holdfast/queue/broadcast_ring.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <memory>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

namespace holdfast {
struct broadcast_ring_start {
  // As a writer leaves it that ends between a record and its count.
  template <class T, std::size_t Capacity>
  static void uncount(broadcast_ring<T, Capacity>& ring) {
    ring.position_.store(ring.written() - 1, mo::relaxed);
  }
};
}  // namespace holdfast

using namespace holdfast;

namespace {

template <std::size_t Bytes>
struct bytes_of {
  std::array<unsigned char, Bytes> all{};
  static bytes_of of(std::uint64_t n) {
    bytes_of made;
    for (std::size_t i = 0; i < Bytes; ++i) made.all[i] = static_cast<unsigned char>(splitmix64_mix(n) >> (i % 8 * 8));
    return made;
  }
  friend bool operator==(const bytes_of&, const bytes_of&) = default;
};

template <class Reader, class T>
bool reads(Reader& reader, const T& wanted) {
  T out{};
  const auto got = reader.try_read(out);
  return got && got.state == broadcast_state::record && got.missed == 0 && out == wanted;
}
template <class Reader>
broadcast_read refused(Reader& reader) {
  typename Reader::value_type out{};
  const auto before = out;
  const auto got = reader.try_read(out);
  CHECK_FALSE(got);
  CHECK(out == before);
  return got;
}

}  // namespace

TEMPLATE_TEST_CASE("each reader sees each record, whole and in order", "[broadcast_ring]", bytes_of<1>, bytes_of<3>,
                   bytes_of<8>, bytes_of<12>, bytes_of<16>, bytes_of<64>, bytes_of<201>) {
  broadcast_ring<TestType, 8> ring;
  broadcast_reader<TestType, 8> first(ring), second(ring);
  for (std::uint64_t n = 0; n < 100; ++n) {
    ring.write(TestType::of(n));
    CHECK(reads(first, TestType::of(n)));
    if (n % 5 == 4) {
      for (std::uint64_t k = n - 4; k <= n; ++k) CHECK(reads(second, TestType::of(k)));
    }
    CHECK(refused(first).state == broadcast_state::nothing);
  }
  CHECK(refused(second).state == broadcast_state::nothing);
  CHECK(ring.written() == 100);
}

TEST_CASE("a reader that is lapped is told how many it missed, and goes on with the oldest that is left",
          "[broadcast_ring]") {
  broadcast_ring<std::uint64_t, 4> ring;
  broadcast_reader<std::uint64_t, 4> reader(ring);
  for (std::uint64_t n = 0; n < 4; ++n) ring.write(n);
  CHECK(reads(reader, std::uint64_t{0}));  // as many as there are slots: nothing is lost
  for (std::uint64_t n = 4; n < 15; ++n) ring.write(n);
  const auto got = refused(reader);
  CHECK(got.state == broadcast_state::overwritten);
  CHECK(got.missed == 10);
  CHECK(reader.number() == 11);
  for (std::uint64_t n = 11; n < 15; ++n) CHECK(reads(reader, n));
  CHECK(refused(reader).state == broadcast_state::nothing);
}

TEST_CASE("a late reader begins with the newest, or with the oldest that is there", "[broadcast_ring]") {
  broadcast_ring<std::uint64_t, 4> ring(100);
  for (std::uint64_t n = 100; n < 120; ++n) {
    broadcast_reader<std::uint64_t, 4> newest(ring);
    broadcast_reader<std::uint64_t, 4> oldest(ring, broadcast_from::oldest);
    CHECK(newest.number() == n);
    CHECK(oldest.number() == std::max<std::uint64_t>(100, n < 104 ? 100 : n - 4));
    CHECK(oldest.behind() == std::min<std::uint64_t>(n - 100, 4));
    ring.write(n);
    CHECK(reads(newest, n));
    if (n < 104) {
      CHECK(reads(oldest, std::uint64_t{100}));
    } else {
      CHECK(refused(oldest).missed == 1);  // this write took it
      CHECK(reads(oldest, n - 3));
    }
  }
}

TEST_CASE("a reader can leave what it has not read", "[broadcast_ring]") {
  broadcast_ring<std::uint64_t, 4> ring;
  broadcast_reader<std::uint64_t, 4> reader(ring);
  CHECK(reader.skip_to_newest() == 0);
  for (std::uint64_t n = 0; n < 9; ++n) ring.write(n);
  CHECK(reader.behind() == 9);
  CHECK(reader.skip_to_newest() == 9);
  CHECK(reader.behind() == 0);
  CHECK(refused(reader).state == broadcast_state::nothing);
  ring.write(9);
  CHECK(reads(reader, std::uint64_t{9}));
}

TEST_CASE("a copy of a reader reads the same again", "[broadcast_ring]") {
  broadcast_ring<std::uint64_t, 4> ring;
  broadcast_reader<std::uint64_t, 4> reader(ring);
  ring.write(1);
  ring.write(2);
  CHECK(reads(reader, std::uint64_t{1}));
  auto other = reader;
  CHECK(reads(reader, std::uint64_t{2}));
  CHECK(reads(other, std::uint64_t{2}));
}

TEST_CASE("a record that is read before it counts is read once, and its writer's successor counts it",
          "[broadcast_ring]") {
  broadcast_ring<std::uint64_t, 2> ring;
  broadcast_reader<std::uint64_t, 2> reader(ring);
  ring.write(0);
  broadcast_ring_start::uncount(ring);
  CHECK(reads(reader, std::uint64_t{0}));
  CHECK(reader.behind() == 0);
  CHECK(reader.skip_to_newest() == 0);
  CHECK(refused(reader).state == broadcast_state::nothing);
  ring.recover();
  CHECK(ring.written() == 1);
  ring.write(1);
  CHECK(reads(reader, std::uint64_t{1}));
}

TEST_CASE("recover changes nothing where no writer died", "[broadcast_ring]") {
  broadcast_ring<std::uint64_t, 2> ring;
  broadcast_reader<std::uint64_t, 2> reader(ring);
  for (std::uint64_t n = 0; n < 10; ++n) {
    ring.recover();
    CHECK(ring.written() == n);
    ring.write(n);
    CHECK(reads(reader, n));
  }
}

namespace {

// What the ring should do, as a list of all that was ever written.
template <std::size_t Capacity>
void behaves_like_a_list(std::uint64_t first, std::uint64_t seed) {
  using value = bytes_of<20>;
  const auto ring = std::make_unique<broadcast_ring<value, Capacity>>(first);
  splitmix64 random(seed);
  std::uint64_t written = 0;  // counted from 0
  struct view {
    broadcast_reader<value, Capacity> reader;
    std::uint64_t next;
    std::uint64_t began;
    std::uint64_t read = 0, missed = 0, skipped = 0;
  };
  std::deque<view> views;
  views.push_back({broadcast_reader<value, Capacity>(*ring), 0, 0});
  for (int step = 0; step < 3'000; ++step) {
    switch (random() % 8) {
      case 0:
      case 1:
      case 2:
      case 3:
        for (std::uint64_t n = random() % 4 == 0 ? random() % (3 * Capacity) : 1; n > 0; --n)
          ring->write(value::of(written++));
        break;
      case 4: {
        if (views.size() > 8) views.pop_front();
        const bool oldest = random() % 2 == 0;
        const std::uint64_t begins = !oldest ? written : written < Capacity ? 0 : written - Capacity;
        views.push_back(
            {broadcast_reader<value, Capacity>(*ring, oldest ? broadcast_from::oldest : broadcast_from::newest), begins,
             begins});
        break;
      }
      default: {
        view& v = views[random() % views.size()];
        REQUIRE(v.reader.number() == first + v.next);
        REQUIRE(v.reader.behind() == written - v.next);
        if (random() % 20 == 0) {
          REQUIRE(v.reader.skip_to_newest() == written - v.next);
          v.skipped += written - v.next;
          v.next = written;
          break;
        }
        value out{};
        const broadcast_read got = v.reader.try_read(out);
        if (v.next == written) {
          REQUIRE(got.state == broadcast_state::nothing);
        } else if (written - v.next > Capacity) {
          REQUIRE(got.state == broadcast_state::overwritten);
          REQUIRE(got.missed == written - Capacity - v.next);
          v.missed += got.missed;
          v.next = written - Capacity;
        } else {
          REQUIRE(got.state == broadcast_state::record);
          REQUIRE(got.missed == 0);
          REQUIRE(out == value::of(v.next));
          ++v.read;
          ++v.next;
        }
        REQUIRE(v.began + v.read + v.missed + v.skipped == v.next);
      }
    }
  }
}

}  // namespace

TEST_CASE("every sequence of writes and reads behaves like a list", "[broadcast_ring]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    behaves_like_a_list<1>(0, seed);
    behaves_like_a_list<2>(0, seed);
    behaves_like_a_list<8>(0, seed);
    behaves_like_a_list<64>(7, seed);
  }
}

TEST_CASE("numbers and stamps may wrap", "[broadcast_ring]") {
  for (std::uint64_t before = 0; before < 40; before += 3) {
    behaves_like_a_list<1>(~std::uint64_t{0} - before, before);
    behaves_like_a_list<8>(~std::uint64_t{0} - before, before);
    behaves_like_a_list<2>((std::uint64_t{1} << 63U) - before, before);
    behaves_like_a_list<16>((std::uint64_t{1} << 63U) - before, before);
  }
}
