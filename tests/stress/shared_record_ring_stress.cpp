// SPDX-License-Identifier: MIT
// One writer and one reader, of two threads over one region and of two processes over a file in memory: every byte arrives
// once and in order, while each side goes and another takes its place, again and again.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/queue/shared_record_ring.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

using give_up_at = std::chrono::steady_clock::time_point;

give_up_at soon() {
  return std::chrono::steady_clock::now() + std::chrono::seconds(30);
}

struct load {
  std::uint64_t records;
  std::size_t largest;
  unsigned release_every;
  unsigned stay;  // records of one owner of a side; 0: all of them
};

// Returns how many were written.
std::uint64_t write_all(std::span<std::byte> region, const load& with, give_up_at give_up) {
  splitmix64 random(7);
  auto writer = shared_record_ring::attach_writer(region);
  if (!writer.ok()) return 0;
  for (std::uint64_t i = 0; i < with.records; ++i) {
    const std::size_t size = random() % (with.largest + 1);
    std::byte* at = writer->try_claim(size);
    while (at == nullptr) {
      if (writer->trouble() != errc{} || std::chrono::steady_clock::now() > give_up) return i;
      std::this_thread::yield();
      at = writer->try_claim(size);
    }
    for (std::size_t k = 0; k < size; ++k) at[k] = static_cast<std::byte>(i + k);
    writer->commit(size, static_cast<std::uint32_t>(i));
    if (with.stay != 0 && i % with.stay == 0) {
      static_cast<void>(writer->try_claim(random() % 2 == 0 ? with.largest : 0));  // left behind
      auto next = shared_record_ring::attach_writer(region, writer->attachment());
      if (!next.ok()) return i;
      writer.value() = std::move(next).value();
    }
  }
  return with.records;
}

// Returns how many were read as they had been written.
std::uint64_t read_all(std::span<std::byte> region, const load& with, give_up_at give_up) {
  splitmix64 random(7);
  auto reader = shared_record_ring::attach_reader(region);
  if (!reader.ok()) return 0;
  std::uint64_t good = 0;
  std::uint64_t seen = 0;
  while (seen < with.records && std::chrono::steady_clock::now() < give_up) {
    record_view r;
    const ring_front found = reader->front(r);
    if (found == ring_front::corrupt) return good;
    if (found == ring_front::empty) {
      if (!reader->release()) return good;
      std::this_thread::yield();
      continue;
    }
    const std::size_t size = random() % (with.largest + 1);
    if (with.stay != 0 && seen % with.stay == 0) static_cast<void>(random());
    bool same = r.bytes == size && r.tag == static_cast<std::uint32_t>(seen);
    for (std::size_t k = 0; same && k < size; ++k) same = r.data[k] == static_cast<std::byte>(seen + k);
    good += same ? 1 : 0;
    reader->pop(r);
    if (++seen % with.release_every == 0 && !reader->release()) return good;
    if (with.stay != 0 && seen % with.stay == 0) {
      if (!reader->release()) return good;
      auto next = shared_record_ring::attach_reader(region, reader->attachment());
      if (!next.ok()) return good;
      reader.value() = std::move(next).value();
    }
  }
  return good;
}

// In the same memory: what ThreadSanitizer sees.
std::uint64_t between_threads(std::size_t storage, const load& with) {
  struct alignas(cache_line_size) line {
    std::byte bytes[cache_line_size];
  };
  std::vector<line> lines((sizeof(shared_ring_header) + storage) / cache_line_size + 1);
  const std::span<std::byte> region(lines.data()->bytes, sizeof(shared_ring_header) + storage);
  if (!shared_record_ring::create(region).ok()) return 0;
  const give_up_at give_up = soon();
  std::uint64_t written = 0;
  std::thread writer([&] { written = write_all(region, with, give_up); });
  const std::uint64_t good = read_all(region, with, give_up);
  writer.join();
  return written == with.records ? good : 0;
}

std::uint64_t between_processes(std::size_t storage, const load& with) {
  const std::size_t bytes = sizeof(shared_ring_header) + storage;
  const int file = ::memfd_create("ring", MFD_CLOEXEC);
  if (file < 0 || ::ftruncate(file, static_cast<off_t>(bytes)) != 0) return 0;
  void* const here = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (here == MAP_FAILED) return 0;
  const std::span<std::byte> region(static_cast<std::byte*>(here), bytes);
  if (!shared_record_ring::create(region).ok()) return 0;
  const give_up_at give_up = soon();
  const pid_t writer = ::fork();
  if (writer == 0) {
    void* const there = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (there == MAP_FAILED || there == here) ::_exit(1);
    ::_exit(write_all({static_cast<std::byte*>(there), bytes}, with, give_up) == with.records ? 0 : 2);
  }
  const std::uint64_t good = writer > 0 ? read_all(region, with, give_up) : 0;
  int status = 1;
  if (writer > 0) ::waitpid(writer, &status, 0);
  ::munmap(here, bytes);
  ::close(file);
  return status == 0 ? good : 0;
}

}  // namespace

TEST_CASE("shared_record_ring: every record arrives whole and in order between threads",
          "[shared_record_ring][stress]") {
  CHECK(between_threads(256, {40'000, 40, 1, 0}) == 40'000);
  CHECK(between_threads(1'000, {40'000, 300, 3, 0}) == 40'000);
  CHECK(between_threads(65'536, {200'000, 120, 50, 0}) == 200'000);
  CHECK(between_threads(65'536, {5'000, 32'000, 1, 0}) == 5'000);
}

TEST_CASE("shared_record_ring: the same while owners come and go", "[shared_record_ring][stress]") {
  CHECK(between_threads(256, {40'000, 40, 1, 7}) == 40'000);
  CHECK(between_threads(1'000, {40'000, 300, 3, 100}) == 40'000);
  CHECK(between_threads(65'536, {200'000, 120, 50, 1'000}) == 200'000);
}

TEST_CASE("shared_record_ring: the same between processes", "[shared_record_ring][stress]") {
  CHECK(between_processes(256, {40'000, 40, 1, 7}) == 40'000);
  CHECK(between_processes(1'000, {40'000, 300, 3, 0}) == 40'000);
  CHECK(between_processes(65'536, {200'000, 120, 50, 1'000}) == 200'000);
}
