// SPDX-License-Identifier: MIT
// kill -9 of either side of a shared_record_ring, again and again, each time with a successor: the records that come out are
// what was committed, in order and whole, over all the lives of both sides; at most the one whose commit was not seen to end
// is in doubt, and what was popped and not released comes again.
#include <fcntl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "holdfast/core/random.hpp"
#include "holdfast/queue/shared_record_ring.hpp"

#include "fault.hpp"
#include "single_step.hpp"
#include "support/catch.hpp"
#include "support/proof_fact.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t most_bytes = std::size_t{32} << 10U;
constexpr std::size_t smallest = sizeof(shared_ring_header) + 512;  // takes the largest claim
constexpr std::size_t most_lives = 64;                              // of the writers of one ring

// A file in memory, mapped once in each process, each time somewhere else.
class ring_file {
 public:
  explicit ring_file(std::size_t bytes) : file_(::memfd_create("ring", MFD_CLOEXEC)), bytes_(bytes) {
    if (file_ < 0 || ::ftruncate(file_, static_cast<off_t>(bytes)) != 0) throw std::bad_alloc();
  }
  ring_file(const ring_file&) = delete;
  ring_file& operator=(const ring_file&) = delete;
  ~ring_file() { ::close(file_); }

  // The file opened once more, so that a lock belongs to who opened it here and to nobody whom it forks from.
  class lock {
   public:
    explicit lock(const ring_file& file) {
      char path[32];
      std::snprintf(path, sizeof path, "/proc/self/fd/%d", file.file_);
      file_ = ::open(path, O_RDWR | O_CLOEXEC);
    }
    lock(const lock&) = delete;
    lock& operator=(const lock&) = delete;
    ~lock() {
      if (file_ >= 0) ::close(file_);
    }
    [[nodiscard]] bool opened() const { return file_ >= 0; }
    // False: another one has it.
    [[nodiscard]] bool take() const {
      struct flock byte {};
      byte.l_type = F_WRLCK;
      byte.l_whence = SEEK_SET;
      byte.l_len = 1;
      return ::fcntl(file_, F_OFD_SETLK, &byte) == 0;
    }

   private:
    int file_ = -1;
  };
  class mapping {
   public:
    explicit mapping(const ring_file& file)
        : at_(::mmap(nullptr, file.bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file.file_, 0)), bytes_(file.bytes_) {
      if (at_ == MAP_FAILED) throw std::bad_alloc();
    }
    mapping(const mapping&) = delete;
    mapping& operator=(const mapping&) = delete;
    ~mapping() { ::munmap(at_, bytes_); }
    [[nodiscard]] std::span<std::byte> region() const { return {static_cast<std::byte*>(at_), bytes_}; }

   private:
    void* at_;
    std::size_t bytes_;
  };

 private:
  int file_;
  std::size_t bytes_;
};

// A record's number: which writer's life wrote it, and how many that had written before.
struct number {
  std::uint32_t life = 0;
  std::uint32_t index = 0;
  [[nodiscard]] std::uint64_t packed() const { return std::uint64_t{life} << 32U | index; }
  static number of(std::uint64_t packed) {
    return {static_cast<std::uint32_t>(packed >> 32U), static_cast<std::uint32_t>(packed)};
  }
};
constexpr number none{~std::uint32_t{0}, ~std::uint32_t{0}};

// What the processes tell each other beside the ring.
struct arena {
  std::array<atomic<std::uint32_t>, most_lives> done{};  // commits that were seen to end, a writer's life
  atomic<std::uint64_t> releasing{none.packed()};        // the last number that a reader is about to release
  atomic<std::uint64_t> released{none.packed()};         // ... and has released
  atomic<std::uint64_t> popped{none.packed()};           // the last number that a reader has looked at
  atomic<std::uint64_t> received{0};
  atomic<std::uint64_t> again{0};      // readers that began with what the last one had popped and not released
  atomic<std::uint64_t> torn{0};       // not whole
  atomic<std::uint64_t> unordered{0};  // not what comes next
  atomic<std::uint64_t> refused{0};    // attachments and releases that should have gone well
};

std::size_t size_of(number n) {
  return 8 + splitmix64_mix(n.packed()) % 200;
}

bool push(shared_record_ring::writer& to, number n) {
  const std::size_t size = size_of(n);
  std::byte* const out = to.try_claim(size + splitmix64_mix(n.index) % 32);  // more than is used, now and then
  if (out == nullptr) return false;
  const std::uint64_t packed = n.packed();
  std::memcpy(out, &packed, 8);
  std::memset(out + 8, static_cast<int>(n.index & 0xFFU), size - 8);
  to.commit(size, n.index);
  return true;
}

bool whole(const record_view& r, number& n) {
  if (r.bytes < 8) return false;
  std::uint64_t packed = 0;
  std::memcpy(&packed, r.data, 8);
  n = number::of(packed);
  bool good = r.bytes == size_of(n) && r.tag == n.index;
  for (std::uint32_t i = 8; good && i < r.bytes; ++i) good = r.data[i] == static_cast<std::byte>(n.index & 0xFFU);
  return good;
}

// May `n` come after `last`? A later life only behind all that the earlier ones had committed, one in doubt each.
bool comes_next(const arena& a, number last, number n) {
  if (n.life >= most_lives) return false;
  const bool first = last.life == none.life;
  if (!first && n.life == last.life) return n.index == last.index + 1;
  if (n.index != 0 || (!first && n.life < last.life)) return false;
  if (!first) {
    const std::uint32_t done = a.done[last.life].load(mo::acquire);
    if (last.index + 1 < done || last.index > done) return false;
  }
  for (std::uint32_t life = first ? 0 : last.life + 1; life < n.life; ++life) {
    if (a.done[life].load(mo::acquire) != 0) return false;
  }
  return true;
}

int write_for_ever(const ring_file& file, arena& a, std::uint32_t life, std::uint64_t instead_of) {
  const ring_file::mapping mapped(file);
  auto writer = shared_record_ring::attach_writer(mapped.region(), instead_of);
  if (!writer.ok()) {
    a.refused.fetch_add(1, mo::relaxed);
    return 1;
  }
  for (std::uint32_t index = 0;;) {
    if (push(writer.value(), {life, index})) {
      a.done[life].store(++index, mo::release);
    } else {
      if (writer->trouble() != errc{}) a.refused.fetch_add(1, mo::relaxed);
      ::sched_yield();
    }
  }
}

// Reads what is there, and releases every few records; checks all of it against the last that was read.
class checking_reader {
 public:
  checking_reader(shared_record_ring::reader reader, arena& a) : reader_(std::move(reader)), arena_(a) {}

  bool take() {
    record_view r;
    const ring_front found = reader_.front(r);
    if (found == ring_front::corrupt) arena_.torn.fetch_add(1, mo::relaxed);
    if (found != ring_front::record) {
      if (unreleased_ > 0) release();
      return false;
    }
    number n = none;
    if (!whole(r, n)) {
      arena_.torn.fetch_add(1, mo::relaxed);
    } else if (!began_) {
      // Behind what the last reader had released, or was about to release when it died.
      const number released = number::of(arena_.released.load(mo::acquire));
      const number releasing = number::of(arena_.releasing.load(mo::acquire));
      if (!comes_next(arena_, releasing, n) && !comes_next(arena_, released, n))
        arena_.unordered.fetch_add(1, mo::relaxed);
      const number popped = number::of(arena_.popped.load(mo::acquire));
      if (!comes_next(arena_, popped, n)) arena_.again.fetch_add(1, mo::relaxed);
    } else if (!comes_next(arena_, last_, n)) {
      arena_.unordered.fetch_add(1, mo::relaxed);
    }
    began_ = true;
    last_ = n;
    reader_.pop(r);
    arena_.popped.store(n.packed(), mo::release);
    arena_.received.fetch_add(1, mo::release);
    if (++unreleased_ == 1 + splitmix64_mix(n.index) % 8) release();
    return true;
  }
  [[nodiscard]] number last() const { return last_; }
  [[nodiscard]] bool began() const { return began_; }

 private:
  void release() {
    unreleased_ = 0;
    arena_.releasing.store(last_.packed(), mo::release);
    if (!reader_.release()) arena_.refused.fetch_add(1, mo::relaxed);
    arena_.released.store(last_.packed(), mo::release);
  }
  shared_record_ring::reader reader_;
  arena& arena_;
  number last_ = none;
  std::uint64_t unreleased_ = 0;
  bool began_ = false;
};

int read_for_ever(const ring_file& file, arena& a, std::uint64_t instead_of) {
  const ring_file::mapping mapped(file);
  auto reader = shared_record_ring::attach_reader(mapped.region(), instead_of);
  if (!reader.ok()) {
    a.refused.fetch_add(1, mo::relaxed);
    return 1;
  }
  checking_reader checked(std::move(reader).value(), a);
  for (;;) {
    if (!checked.take()) ::sched_yield();
  }
}

struct tally {
  std::uint64_t writers = 0;  // killed
  std::uint64_t readers = 0;
  std::uint64_t received = 0, again = 0, torn = 0, unordered = 0, refused = 0;
  std::uint64_t missing = 0;  // committed and not there in the end
  std::uint64_t stuck = 0;    // the survivor and the successor did not go on

  void add(const arena& a) {
    received += a.received.load(mo::acquire);
    again += a.again.load(mo::relaxed);
    torn += a.torn.load(mo::relaxed);
    unordered += a.unordered.load(mo::relaxed);
    refused += a.refused.load(mo::relaxed);
  }
  [[nodiscard]] std::uint64_t rounds() const { return writers + readers; }
  [[nodiscard]] std::uint64_t damaged() const { return torn + unordered + missing; }
};

// The last reader finds the rest, and the ring still takes records.
void read_the_rest(const ring_file& file, arena& a, std::uint32_t life, tally& t) {
  const ring_file::mapping mapped(file);
  const auto status = shared_record_ring::observe(mapped.region());
  REQUIRE(status.ok());
  auto writer = shared_record_ring::attach_writer(mapped.region(), status->writer);
  auto reader = shared_record_ring::attach_reader(mapped.region(), status->reader);
  REQUIRE(writer.ok());
  REQUIRE(reader.ok());
  number last = number::of(a.releasing.load(mo::acquire));
  checking_reader checked(std::move(reader).value(), a);
  while (checked.take()) {
  }
  if (checked.began()) last = checked.last();
  // All that was committed came, up to the last writer's life.
  const std::uint32_t done = a.done[life].load(mo::acquire);
  if (done != 0 && (last.life != life || last.index + 1 < done)) ++t.missing;
  const number next{last.life == none.life ? 0 : last.life, last.index + 1};
  if (!push(writer.value(), next) || !checked.take() || checked.last().packed() != next.packed()) ++t.stuck;
}

// One ring, and the deaths of up to `deaths` of its owners.
void one_ring(std::uint64_t seed, int deaths, tally& t) {
  splitmix64 random(seed);
  const ring_file file(smallest + random() % 4 * 1'000 + (random() % 2 == 0 ? most_bytes : 0));
  const ring_file::mapping mapped(file);
  const auto region = mapped.region();
  REQUIRE(shared_record_ring::create(region).ok());
  fault::shared<arena> a;
  std::uint32_t life = 0;
  std::optional<fault::child> writer, reader;
  const auto start_writer = [&] {
    const std::uint64_t dead = shared_record_ring::observe(region)->writer;
    writer.emplace([&] { return write_for_ever(file, *a, life, dead); });
  };
  const auto start_reader = [&] {
    const std::uint64_t dead = shared_record_ring::observe(region)->reader;
    reader.emplace([&] { return read_for_ever(file, *a, dead); });
  };
  start_writer();
  start_reader();
  while (deaths > 0) {
    const std::uint64_t before = a->received.load(mo::acquire);
    const std::uint64_t until = before + random() % 100;
    t.stuck += fault::within(10s, [&] { return a->received.load(mo::acquire) >= until; }) ? 0U : 1U;
    for (std::uint64_t i = random() % 4'000; i > 0; --i) cpu_relax();  // any moment will do
    const std::uint64_t who = random() % 5;
    const bool writer_dies = who <= 2, reader_dies = who >= 2;
    if (writer_dies) writer->kill();
    if (reader_dies) reader->kill();
    t.writers += writer_dies ? 1U : 0U;
    t.readers += reader_dies ? 1U : 0U;
    deaths -= (writer_dies ? 1 : 0) + (reader_dies ? 1 : 0);
    if (writer_dies && life + 1 == most_lives) break;
    if (writer_dies) {
      ++life;
      start_writer();
    }
    if (reader_dies) start_reader();
  }
  writer->kill();
  reader->kill();
  read_the_rest(file, *a, life, t);
  t.add(*a);
}

void judge(const char* name, const tally& t) {
  fault::report(name,
                "rounds=%llu writers=%llu readers=%llu received=%llu again=%llu torn=%llu unordered=%llu missing=%llu "
                "refused=%llu stuck=%llu",
                static_cast<unsigned long long>(t.rounds()), static_cast<unsigned long long>(t.writers),
                static_cast<unsigned long long>(t.readers), static_cast<unsigned long long>(t.received),
                static_cast<unsigned long long>(t.again), static_cast<unsigned long long>(t.torn),
                static_cast<unsigned long long>(t.unordered), static_cast<unsigned long long>(t.missing),
                static_cast<unsigned long long>(t.refused), static_cast<unsigned long long>(t.stuck));
  CHECK(test_support::proof_fact("faults.kill_rounds", t.rounds(), "rounds"));
  CHECK(test_support::proof_fact("faults.damaged_prefixes", t.damaged(), "rounds"));
  CHECK(t.torn == 0);
  CHECK(t.unordered == 0);
  CHECK(t.missing == 0);
  CHECK(t.refused == 0);
  CHECK(t.stuck == 0);
}

void die() {
  ::kill(::getpid(), SIGKILL);
}

}  // namespace

TEST_CASE("both sides of a shared ring are killed at random moments, and replaced", "[fault]") {
  tally t;
  const auto rounds = static_cast<std::uint64_t>(fault::rounds(5'200, 100'000));
  for (std::uint64_t seed = 1; t.rounds() < rounds; ++seed) one_ring(seed, 50, t);
  judge("kill_shared_ring", t);
  CHECK(t.rounds() >= rounds);
  CHECK(t.received > 20 * t.rounds());
}

TEST_CASE("a shared ring's writer is killed at each of its instructions, and replaced", "[fault]") {
  if (!fault::single_step::works) return fault::report("stepwise", "skipped (only x86-64 steps one by one)");
  tally t;
  const std::uint64_t starts = fault::long_run() ? 60 : 2;
  for (std::uint64_t start = 0; start < starts; ++start) {
    bool lived = false;
    for (std::uint64_t k = 1; !lived; ++k) {
      const ring_file file(shared_record_ring::min_region);
      const ring_file::mapping mapped(file);
      const auto region = mapped.region();
      REQUIRE(shared_record_ring::create(region).ok());
      fault::shared<arena> a;
      {
        // Records so that the two below go round the end, and one that waits.
        auto writer = shared_record_ring::attach_writer(region);
        auto reader = shared_record_ring::attach_reader(region);
        REQUIRE(writer.ok());
        REQUIRE(reader.ok());
        for (std::uint64_t i = 0; i < 20 + start; ++i) {
          REQUIRE(writer->try_claim(0) != nullptr);
          writer->commit(0, 0);
          record_view r;
          REQUIRE(reader->front(r) == ring_front::record);
          reader->pop(r);
          REQUIRE(reader->release());
        }
      }
      const std::array<std::size_t, 2> sizes{40, 72};
      fault::child child([&] {
        fault::single_step::at(k, &die, [&] {
          auto writer = shared_record_ring::attach_writer(region);
          if (!writer.ok()) return;
          for (std::uint32_t n = 0; n < 2; ++n) {
            std::byte* const at = writer->try_claim(sizes[n]);
            if (at == nullptr) return;
            std::memset(at, static_cast<int>(n + 1), sizes[n]);
            writer->commit(sizes[n], n);
            a->done[0].store(n + 1, mo::release);
          }
        });
        return 0;
      });
      REQUIRE(child.started());
      lived = child.wait(10s) == 0;
      ++t.writers;
      auto writer = shared_record_ring::attach_writer(region, shared_record_ring::observe(region)->writer);
      auto reader = shared_record_ring::attach_reader(region);
      t.refused += writer.ok() && reader.ok() ? 0U : 1U;
      REQUIRE(t.refused == 0);
      std::uint32_t n = 0;
      record_view r;
      for (; reader->front(r) == ring_front::record && n < 2; ++n) {
        bool good = r.bytes == sizes[n] && r.tag == n;
        for (std::uint32_t i = 0; good && i < r.bytes; ++i) good = r.data[i] == static_cast<std::byte>(n + 1);
        t.torn += good ? 0U : 1U;
        reader->pop(r);
      }
      const std::uint32_t done = a->done[0].load(mo::acquire);
      t.missing += n < done ? 1U : 0U;
      t.unordered += n > done + 1 ? 1U : 0U;
      t.unordered += reader->front(r) == ring_front::empty ? 0U : 1U;
      t.refused += reader->release() ? 0U : 1U;
      t.received += n;
      std::byte* const at = writer->try_claim(writer->max_record());
      if (at != nullptr) writer->commit(writer->max_record(), 77);
      t.stuck += at != nullptr && reader->front(r) == ring_front::record && r.tag == 77 ? 0U : 1U;
    }
  }
  judge("kill_shared_ring_writer_stepwise", t);
  CHECK(t.rounds() > 200);
}

// The header's advice for those who are not the dead one's parent.
TEST_CASE("who gets the lock of a dead writer may take its place", "[fault]") {
  const ring_file file(smallest);
  const ring_file::mapping mapped(file);
  REQUIRE(shared_record_ring::create(mapped.region()).ok());
  auto reader = shared_record_ring::attach_reader(mapped.region());
  REQUIRE(reader.ok());
  tally t;
  const int rounds = fault::rounds(100, 2'000);
  for (int i = 0; i < rounds; ++i) {
    fault::shared<arena> a;
    fault::child writer([&] {
      const ring_file::lock mine(file);
      if (!fault::within(10s, [&] { return mine.take(); })) return 1;
      const ring_file::mapping there(file);
      const auto status = shared_record_ring::observe(there.region());
      auto side = shared_record_ring::attach_writer(there.region(), status->writer);  // the lock says that it is dead
      if (!side.ok()) return 2;
      for (std::uint32_t n = 0;;) {
        if (push(side.value(), {0, n})) a->done[0].store(++n, mo::release);
      }
    });
    REQUIRE(writer.started());
    t.stuck += fault::within(10s, [&] { return a->done[0].load(mo::acquire) > 0; }) ? 0U : 1U;
    {
      const ring_file::lock other(file);
      REQUIRE(other.opened());
      t.refused += other.take() ? 1U : 0U;  // it lives
    }
    // Nobody waits for the process here: the lock tells.
    ::kill(writer.id(), SIGKILL);
    const ring_file::lock mine(file);
    t.stuck += fault::within(10s, [&] { return mine.take(); }) ? 0U : 1U;
    ++t.writers;
    const auto status = shared_record_ring::observe(mapped.region());
    REQUIRE(status.ok());
    auto next = shared_record_ring::attach_writer(mapped.region(), status->writer);
    t.refused += next.ok() ? 0U : 1U;
    std::uint32_t index = 0;
    record_view r;
    for (number n; reader->front(r) == ring_front::record; ++index) {
      t.torn += whole(r, n) ? 0U : 1U;
      t.unordered += n.index == index ? 0U : 1U;
      reader->pop(r);
    }
    t.refused += reader->release() ? 0U : 1U;
    const std::uint32_t done = a->done[0].load(mo::acquire);
    t.missing += index < done || index > done + 1 ? 1U : 0U;
    t.received += index;
  }
  judge("kill_shared_ring_lock", t);
  CHECK(t.received > t.rounds());
}
