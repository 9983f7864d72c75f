// SPDX-License-Identifier: MIT
#include "holdfast/queue/shared_record_ring.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <deque>
#include <vector>

#include "holdfast/core/random.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

constexpr std::size_t header = sizeof(shared_ring_header);

// A region of its own; tests write what they like into its header.
struct memory {
  explicit memory(std::size_t storage)
      : lines(storage / 64 + header / 64 + 1), region(as_bytes().first(header + storage)) {}
  struct alignas(64) line {
    std::byte bytes[64];
  };
  std::vector<line> lines;
  std::span<std::byte> region;

  std::span<std::byte> as_bytes() { return {lines.data()->bytes, lines.size() * 64}; }
  shared_ring_header& head() { return *reinterpret_cast<shared_ring_header*>(region.data()); }
  std::uint32_t& word(std::size_t at) { return *reinterpret_cast<std::uint32_t*>(region.data() + header + at); }
};

struct both_sides : memory {
  explicit both_sides(std::size_t storage)
      : memory(storage),
        made(shared_record_ring::create(region)),
        writer(std::move(shared_record_ring::attach_writer(region)).value()),
        reader(std::move(shared_record_ring::attach_reader(region)).value()) {}
  outcome<> made;
  shared_record_ring::writer writer;
  shared_record_ring::reader reader;

  // A new one in the place of one that was killed and left what it had done.
  void replace_writer() {
    auto next = shared_record_ring::attach_writer(region, writer.attachment());
    REQUIRE(next.ok());
    writer = std::move(next).value();
  }
  void replace_reader() {
    auto next = shared_record_ring::attach_reader(region, reader.attachment());
    REQUIRE(next.ok());
    reader = std::move(next).value();
  }
};

bool push(shared_record_ring::writer& to, std::size_t bytes, std::uint32_t tag) {
  std::byte* const at = to.try_claim(bytes);
  if (at == nullptr) return false;
  for (std::size_t i = 0; i < bytes; ++i) at[i] = static_cast<std::byte>(tag + i);
  to.commit(bytes, tag);
  return true;
}

bool holds(const record_view& r, std::size_t bytes, std::uint32_t tag) {
  if (r.bytes != bytes || r.tag != tag) return false;
  for (std::size_t i = 0; i < bytes; ++i) {
    if (r.data[i] != static_cast<std::byte>(tag + i)) return false;
  }
  return true;
}

bool pop(shared_record_ring::reader& from, std::size_t bytes, std::uint32_t tag) {
  record_view r;
  if (from.front(r) != ring_front::record || !holds(r, bytes, tag)) return false;
  from.pop(r);
  return true;
}

template <class T>
bool fails(const outcome<T>& o, errc why) {
  return !o.ok() && o.error().code == make_error_code(why);
}

}  // namespace

TEST_CASE("a record comes out at the other side as it went in", "[shared_record_ring]") {
  both_sides s(256);
  record_view r{nullptr, 7, 7};
  CHECK(s.reader.front(r) == ring_front::empty);
  CHECK(r.bytes == 7);
  REQUIRE(push(s.writer, 13, 7));
  REQUIRE(push(s.writer, 0, 8));
  REQUIRE(s.reader.front(r) == ring_front::record);
  CHECK(holds(r, 13, 7));
  CHECK(reinterpret_cast<std::uintptr_t>(r.data) % 8 == 0);
  CHECK(pop(s.reader, 13, 7));  // looking did not take it
  CHECK(pop(s.reader, 0, 8));
  CHECK(s.reader.front(r) == ring_front::empty);
  CHECK(s.reader.release());
}

TEST_CASE("the same pages may stand at different addresses", "[shared_record_ring]") {
  constexpr std::size_t bytes = 8192;
  const int file = ::memfd_create("ring", 0);
  REQUIRE(file >= 0);
  REQUIRE(::ftruncate(file, bytes) == 0);
  void* const here = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  void* const there = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  void* const seen = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, 0);
  REQUIRE(here != MAP_FAILED);
  REQUIRE(there != MAP_FAILED);
  REQUIRE(seen != MAP_FAILED);
  REQUIRE(here != there);
  {
    REQUIRE(shared_record_ring::create({static_cast<std::byte*>(here), bytes}).ok());
    auto writer = shared_record_ring::attach_writer({static_cast<std::byte*>(here), bytes});
    auto reader = shared_record_ring::attach_reader({static_cast<std::byte*>(there), bytes});
    REQUIRE(writer.ok());
    REQUIRE(reader.ok());
    for (std::uint32_t i = 0; i < 2'000; ++i) {
      REQUIRE(push(writer.value(), i % 200, i));
      const auto status = shared_record_ring::observe({static_cast<const std::byte*>(seen), bytes});
      REQUIRE(status.ok());
      CHECK(status->waiting >= (i % 200 + 15) / 8 * 8);
      CHECK(status->waiting == writer->backlog());
      REQUIRE(pop(reader.value(), i % 200, i));
      REQUIRE(reader->release());
    }
  }
  ::munmap(here, bytes);
  ::munmap(there, bytes);
  ::munmap(seen, bytes);
  ::close(file);
}

TEST_CASE("a region that cannot hold a ring is refused", "[shared_record_ring]") {
  memory m(512);
  CHECK(fails(shared_record_ring::create({}), errc::ring_region));
  CHECK(fails(shared_record_ring::create(m.region.first(shared_record_ring::min_region - 1)), errc::ring_region));
  CHECK(fails(shared_record_ring::create(m.region.subspan(8)), errc::ring_region));
  CHECK(fails(shared_record_ring::create({m.region.data(), shared_record_ring::max_region + 1}), errc::ring_region));
  CHECK(fails(shared_record_ring::attach_writer(m.region.subspan(8)), errc::ring_region));
  CHECK(fails(shared_record_ring::attach_reader(m.region.first(100)), errc::ring_region));
  CHECK(fails(shared_record_ring::observe(m.region.first(100)), errc::ring_region));
  CHECK(shared_record_ring::create(m.region.first(shared_record_ring::min_region)).ok());
  CHECK(shared_record_ring::create(m.region.first(shared_record_ring::min_region + 13)).ok());
  CHECK(m.head().capacity == record_layout::min_storage + 8);  // the rest is of no use
}

TEST_CASE("what is no ring, or another's, is refused and says which", "[shared_record_ring]") {
  memory m(512);
  const auto refused = [&](errc why) {
    return fails(shared_record_ring::attach_writer(m.region), why) &&
           fails(shared_record_ring::attach_reader(m.region), why) && fails(shared_record_ring::observe(m.region), why);
  };
  CHECK(refused(errc::ring_missing));
  REQUIRE(shared_record_ring::create(m.region).ok());
  const shared_ring_header good = m.head();
  m.head().magic ^= 1;
  CHECK(refused(errc::ring_missing));
  m.head() = good;
  m.head().magic = __builtin_bswap64(good.magic);
  CHECK(refused(errc::ring_machine));
  m.head() = good;
  m.head().version = 2;
  CHECK(refused(errc::ring_version));
  m.head() = good;
  m.head().byte_order = 0x0403'0201U;
  CHECK(refused(errc::ring_machine));
  m.head() = good;
  m.head().header_bytes = 256;
  CHECK(refused(errc::ring_machine));
  m.head() = good;
  m.head().line_bytes = 128;
  CHECK(refused(errc::ring_machine));
  m.head() = good;
  for (const std::uint64_t capacity :
       {std::uint64_t{0}, std::uint64_t{248}, std::uint64_t{508}, std::uint64_t{520}, ~std::uint64_t{7}}) {
    CAPTURE(capacity);
    m.head().capacity = capacity;
    CHECK(refused(errc::ring_capacity));
  }
  m.head() = good;
  CHECK(fails(shared_record_ring::attach_writer(m.region.first(m.region.size() - 8)), errc::ring_capacity));
  CHECK(shared_record_ring::attach_writer(m.region).ok());
}

TEST_CASE("each side is attached once, and given back", "[shared_record_ring]") {
  memory m(512);
  REQUIRE(shared_record_ring::create(m.region).ok());
  {
    auto writer = shared_record_ring::attach_writer(m.region);
    auto reader = shared_record_ring::attach_reader(m.region);
    REQUIRE(writer.ok());
    REQUIRE(reader.ok());
    CHECK(fails(shared_record_ring::attach_writer(m.region), errc::ring_attached));
    CHECK(fails(shared_record_ring::attach_reader(m.region), errc::ring_attached));
    CHECK(fails(shared_record_ring::attach_writer(m.region, writer->attachment() + 2), errc::ring_attached));
    const auto status = shared_record_ring::observe(m.region);
    REQUIRE(status.ok());
    CHECK(status->writer == writer->attachment());
    CHECK(status->reader == reader->attachment());
    CHECK(status->writer_attached());
    CHECK(status->reader_attached());
    auto moved = std::move(writer).value();  // goes on, and is given back once
    auto& itself = moved;
    moved = std::move(itself);
    CHECK(push(moved, 8, 1));
  }
  const auto status = shared_record_ring::observe(m.region);
  REQUIRE(status.ok());
  CHECK_FALSE(status->writer_attached());
  CHECK_FALSE(status->reader_attached());
  CHECK(status->waiting == 16);
  auto again = shared_record_ring::attach_reader(m.region);
  REQUIRE(again.ok());
  CHECK(pop(again.value(), 8, 1));
}

TEST_CASE("of two who would replace a dead side only one does", "[shared_record_ring]") {
  both_sides s(512);
  const auto dead = s.writer.attachment();
  auto first = shared_record_ring::attach_writer(s.region, dead);
  REQUIRE(first.ok());
  CHECK(first->attachment() > dead);
  CHECK(fails(shared_record_ring::attach_writer(s.region, dead), errc::ring_attached));
  const auto dead_reader = s.reader.attachment();
  auto second = shared_record_ring::attach_reader(s.region, dead_reader);
  REQUIRE(second.ok());
  CHECK(fails(shared_record_ring::attach_reader(s.region, dead_reader), errc::ring_attached));
}

TEST_CASE("who was replaced while alive is told, and takes nobody's place with it", "[shared_record_ring]") {
  both_sides s(512);
  REQUIRE(push(s.writer, 8, 1));
  {
    auto old = std::move(s.writer);
    auto next = shared_record_ring::attach_writer(s.region, old.attachment());
    REQUIRE(next.ok());
    s.writer = std::move(next).value();
    while (old.granted(100)) old.commit((static_cast<void>(old.try_claim(100)), 100), 0);
    CHECK(old.try_claim(100) == nullptr);
    CHECK(old.trouble() == errc::ring_taken_over);
    CHECK(old.try_claim(100) == nullptr);
  }
  CHECK(shared_record_ring::observe(s.region)->writer == s.writer.attachment());

  both_sides t(512);
  REQUIRE(push(t.writer, 8, 1));
  REQUIRE(pop(t.reader, 8, 1));
  auto next = shared_record_ring::attach_reader(t.region, t.reader.attachment());
  REQUIRE(next.ok());
  CHECK_FALSE(t.reader.release());
  CHECK(pop(next.value(), 8, 1));
  CHECK(next->release());
}

TEST_CASE("a new writer forgets the dead one's open claim, whatever bytes it left", "[shared_record_ring]") {
  for (std::size_t before = 0; before < 30; ++before) {
    CAPTURE(before);
    both_sides s(256);
    for (std::size_t i = 0; i < before; ++i) {
      REQUIRE(push(s.writer, i, 1));
      REQUIRE(pop(s.reader, i, 1));
      REQUIRE(s.reader.release());
    }
    REQUIRE(push(s.writer, 20, 2));
    std::byte* const open = s.writer.try_claim(64);
    REQUIRE(open != nullptr);
    for (std::size_t i = 0; i < 64; i += 4) {  // looks like records
      const std::uint32_t word = 16;
      std::memcpy(open + i, &word, 4);
    }
    s.replace_writer();
    CHECK(pop(s.reader, 20, 2));
    record_view r;
    CHECK(s.reader.front(r) == ring_front::empty);
    for (std::uint32_t i = 3; i < 6; ++i) {
      REQUIRE(push(s.writer, 0, i));
      CHECK(pop(s.reader, 0, i));
      CHECK(s.reader.front(r) == ring_front::empty);
    }
  }
}

TEST_CASE("a new reader reads again what was not released", "[shared_record_ring]") {
  both_sides s(512);
  for (std::uint32_t i = 0; i < 5; ++i) REQUIRE(push(s.writer, 8, i));
  CHECK(pop(s.reader, 8, 0));
  CHECK(pop(s.reader, 8, 1));
  CHECK(s.reader.release());
  CHECK(pop(s.reader, 8, 2));
  s.replace_reader();
  for (std::uint32_t i = 2; i < 5; ++i) CHECK(pop(s.reader, 8, i));
}

TEST_CASE("every sequence behaves like a list of records, with sides replaced anywhere in it", "[shared_record_ring]") {
  for (const std::size_t bytes : {256U, 264U, 512U, 1000U, 4096U}) {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      CAPTURE(bytes, seed);
      both_sides s(bytes);
      splitmix64 random(seed);
      std::deque<std::pair<std::size_t, std::uint32_t>> oracle;  // what was not released
      std::size_t popped = 0;                                    // of those
      std::size_t waiting = 0;
      std::uint32_t next = 1;
      for (int step = 0; step < 4'000; ++step) {
        switch (random() % 16) {
          case 0: s.replace_writer(); break;
          case 1:
            s.replace_reader();
            popped = 0;
            break;
          case 2: static_cast<void>(s.writer.try_claim(random() % 64)); break;  // forgotten
          case 3:
          case 4:
          case 5:
            for (; popped > 0; --popped) {
              waiting -= (oracle.front().first + 15) / 8 * 8;
              oracle.pop_front();
            }
            REQUIRE(s.reader.release());
            break;
          case 6:
          case 7:
          case 8:
          case 9:
          case 10: {
            const std::size_t size = random() % 8 == 0 ? random() % (s.writer.max_record() + 1) : random() % 48;
            if (push(s.writer, size, next)) {
              oracle.emplace_back(size, next);
              waiting += (size + 15) / 8 * 8;
            } else {
              REQUIRE(!oracle.empty());  // an empty ring refuses nothing
              REQUIRE(s.writer.trouble() == errc{});
            }
            ++next;
            break;
          }
          default: {
            record_view r;
            const ring_front found = s.reader.front(r);
            REQUIRE(found == (popped < oracle.size() ? ring_front::record : ring_front::empty));
            if (found == ring_front::record) {
              REQUIRE(holds(r, oracle[popped].first, oracle[popped].second));
              s.reader.pop(r);
              ++popped;
            }
          }
        }
        REQUIRE(s.writer.backlog() >= waiting);
        REQUIRE(s.writer.backlog() < bytes);
        REQUIRE(s.reader.waiting() == s.writer.backlog());
        REQUIRE(shared_record_ring::observe(s.region)->waiting == s.writer.backlog());
      }
    }
  }
}

TEST_CASE("the largest record fits an empty ring wherever its positions stand, after a replacement too",
          "[shared_record_ring]") {
  both_sides s(512);
  const std::size_t most = s.writer.max_record();
  CHECK(most == 512 / 2 - 16);
  CHECK(s.writer.try_claim(most + 1) == nullptr);
  CHECK(s.writer.try_claim(~std::size_t{0}) == nullptr);
  CHECK(s.writer.trouble() == errc{});
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    REQUIRE(push(s.writer, i % 61, i));
    REQUIRE(pop(s.reader, i % 61, i));
    REQUIRE(s.reader.release());
    if (i % 3 == 0) s.replace_writer();
    REQUIRE(push(s.writer, most, i));
    if (i % 3 == 1) s.replace_reader();
    REQUIRE(pop(s.reader, most, i));
    REQUIRE(s.reader.release());
  }
}

TEST_CASE("the number of laps may wrap", "[shared_record_ring]") {
  memory m(256);
  REQUIRE(shared_record_ring::create(m.region).ok());
  m.head().released = m.head().committed = std::uint64_t{0xFFFF'FFFFU} << 32U;
  auto writer = shared_record_ring::attach_writer(m.region);
  auto reader = shared_record_ring::attach_reader(m.region);
  REQUIRE(writer.ok());
  REQUIRE(reader.ok());
  for (std::uint32_t i = 0; i < 100; ++i) {
    REQUIRE(push(writer.value(), 40, i));
    CHECK(writer->backlog() >= 48);
    CHECK(writer->backlog() < 256);
    CHECK(reader->waiting() == writer->backlog());
    REQUIRE(pop(reader.value(), 40, i));
    REQUIRE(reader->release());
    if (i % 7 == 0) {
      auto next = shared_record_ring::attach_writer(m.region, writer->attachment());
      REQUIRE(next.ok());
      writer.value() = std::move(next).value();
    }
  }
  CHECK(m.head().released < std::uint64_t{100} << 32U);
}

TEST_CASE("a word that no writer wrote is corrupt, and its reader stays inside the region", "[shared_record_ring]") {
  for (const std::uint32_t word : {1U, 7U, 249U, 0x8000'0000U, 0xFFFF'FFFEU, 0xFFFF'FFFFU}) {
    CAPTURE(word);
    both_sides s(256);
    s.word(0) = word;
    record_view r;
    CHECK(s.reader.front(r) == ring_front::corrupt);
    CHECK(s.reader.front(r) == ring_front::corrupt);
    CHECK(fails(shared_record_ring::attach_writer(s.region, s.writer.attachment()), errc::ring_corrupt));
    CHECK_FALSE(shared_record_ring::observe(s.region)->writer_attached());  // what could not attach holds nothing
  }
}

TEST_CASE("a ring that sends its reader round for ever is corrupt", "[shared_record_ring]") {
  both_sides s(256);
  record_view r;
  SECTION("by marks") {
    for (std::size_t at = 0; at < 256; at += 8) s.word(at) = 0xFFFF'FFFFU;
    REQUIRE(s.reader.front(r) == ring_front::corrupt);
  }
  SECTION("by a mark where the writer cannot have gone round, because nothing was released") {
    REQUIRE(push(s.writer, 40, 1));
    REQUIRE(pop(s.reader, 40, 1));
    s.word(48) = 0xFFFF'FFFFU;
    CHECK(s.reader.front(r) == ring_front::corrupt);
  }
  SECTION("by a mark at the front too") {
    REQUIRE(push(s.writer, 40, 1));
    REQUIRE(pop(s.reader, 40, 1));
    REQUIRE(s.reader.release());
    s.word(48) = 0xFFFF'FFFFU;
    s.word(0) = 0xFFFF'FFFFU;
    CHECK(s.reader.front(r) == ring_front::corrupt);
    CHECK(s.reader.front(r) == ring_front::corrupt);
  }
  SECTION("a second time past its own release") {
    REQUIRE(push(s.writer, 40, 1));
    REQUIRE(pop(s.reader, 40, 1));
    REQUIRE(s.reader.release());
    for (std::size_t at = 0; at < 248; at += 8) s.word(at) = 16;
    s.word(240) = 0xFFFF'FFFFU;
    int records = 0;
    ring_front found = ring_front::record;
    for (; records < 100; ++records) {
      found = s.reader.front(r);
      if (found != ring_front::record) break;
      s.reader.pop(r);
    }
    CHECK(found == ring_front::corrupt);
    CHECK(records < 16);
  }
}

TEST_CASE("a position that no reader released is corrupt for the writer, and for who comes next",
          "[shared_record_ring]") {
  for (const std::uint64_t position :
       {std::uint64_t{4}, std::uint64_t{256}, std::uint64_t{0xFFFF'FFF8U}, std::uint64_t{128}, std::uint64_t{1} << 32U,
        std::uint64_t{7} << 32U, ~std::uint64_t{0}}) {
    CAPTURE(position);
    both_sides s(256);
    REQUIRE(push(s.writer, 40, 1));
    s.head().released = position;
    CHECK(s.writer.try_claim(s.writer.max_record()) == nullptr);
    CHECK(s.writer.trouble() == errc::ring_corrupt);
    CHECK(s.writer.try_claim(s.writer.max_record()) == nullptr);
    if (position % 8 != 0 || (position & 0xFFFF'FFFFU) >= 256) {
      CHECK(fails(shared_record_ring::attach_writer(s.region, s.writer.attachment()), errc::ring_corrupt));
      CHECK(fails(shared_record_ring::attach_reader(s.region, s.reader.attachment()), errc::ring_corrupt));
    }
  }
}

TEST_CASE("a position of the last lap that lies outside the storage is corrupt", "[shared_record_ring]") {
  for (const std::uint64_t offset : {std::uint64_t{256}, std::uint64_t{264}, std::uint64_t{0xFFFF'FFF8U}}) {
    CAPTURE(offset);
    both_sides s(256);
    REQUIRE(push(s.writer, 100, 1));
    REQUIRE(push(s.writer, 100, 2));
    REQUIRE(pop(s.reader, 100, 1));
    REQUIRE(s.reader.release());
    REQUIRE(push(s.writer, 60, 3));  // went to the front, and the reader has not
    s.head().released = offset;      // between where the reader was and where the writer is
    CHECK(s.writer.try_claim(s.writer.max_record()) == nullptr);
    CHECK(s.writer.trouble() == errc::ring_corrupt);
  }
}

TEST_CASE("a release that goes back is corrupt", "[shared_record_ring]") {
  both_sides s(256);
  REQUIRE(push(s.writer, 40, 1));
  REQUIRE(pop(s.reader, 40, 1));
  REQUIRE(s.reader.release());
  REQUIRE(push(s.writer, s.writer.max_record(), 2));  // for which it had to ask
  s.head().released = 8;
  CHECK(s.writer.try_claim(s.writer.max_record()) == nullptr);
  CHECK(s.writer.trouble() == errc::ring_corrupt);
}
