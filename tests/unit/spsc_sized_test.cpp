// SPDX-License-Identifier: MIT
// spsc_queue<T>: sized at run time, in storage that is handed in.
#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <memory_resource>
#include <new>
#include <string>
#include <vector>

#include "holdfast/queue/bounded_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"

#include "support/catch.hpp"
#include "support/sized_queue.hpp"

using holdfast::option_error;
using holdfast::spsc_queue;
using test_support::sized_queue;

namespace {

using queue_of_words = spsc_queue<std::uint64_t>;

// A mistake of a constant does not compile.
static_assert(!queue_of_words::validate(1024));
static_assert(queue_of_words::validate(0).field == "capacity");
static_assert(queue_of_words::validate(1000).relation == "a power of two");
static_assert(queue_of_words::storage_bytes(1024) == 2048 * 8);
static_assert(queue_of_words::storage_alignment() == holdfast::cache_line_size);

struct alignas(256) over_aligned {
  std::uint64_t number = 0;
};
static_assert(spsc_queue<over_aligned>::storage_alignment() == 256);

// Counts what it gives and gets back, and checks that it is the same.
class counting_resource : public std::pmr::memory_resource {
 public:
  std::size_t asked = 0;
  std::size_t returned = 0;
  std::size_t bytes = 0;
  std::size_t alignment = 0;
  bool refuses = false;

 private:
  void* do_allocate(std::size_t size, std::size_t align) override {
#if defined(__cpp_exceptions)
    if (refuses) throw std::bad_alloc();
#endif
    ++asked;
    bytes = size;
    alignment = align;
    return std::pmr::new_delete_resource()->allocate(size, align);
  }
  void do_deallocate(void* at, std::size_t size, std::size_t align) override {
    ++returned;
    CHECK(size == bytes);
    CHECK(align == alignment);
    std::pmr::new_delete_resource()->deallocate(at, size, align);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override {
    return this == &other;
  }
};

}  // namespace

TEST_CASE("a capacity that is no power of two is refused by its name, with value and relation", "[spsc_queue][sized]") {
  for (const std::size_t wrong : {std::size_t{3}, std::size_t{1000}, std::size_t{1025}}) {
    const option_error error = queue_of_words::validate(wrong);
    CHECK(error.field == "capacity");
    CHECK(error.value == static_cast<std::int64_t>(wrong));
    CHECK(error.relation == "a power of two");
  }
  CHECK(queue_of_words::validate(0).relation == "at least");
  CHECK(queue_of_words::validate(0).limit == 1);
  const std::size_t most = std::size_t{1} << 58U;  // with as many again, a quarter of what has an address
  CHECK_FALSE(queue_of_words::validate(most));
  CHECK(queue_of_words::validate(most * 2).relation == "at most");
  CHECK(queue_of_words::validate(most * 2).limit == static_cast<std::int64_t>(most));
  CHECK(queue_of_words::validate(std::numeric_limits<std::size_t>::max()).relation == "at most");
}

TEST_CASE("storage that is too small or stands wrongly is refused, with what it should be", "[spsc_queue][sized]") {
  alignas(64) std::array<std::byte, 1024> storage;
  const std::span<std::byte> all(storage);
  CHECK(queue_of_words::storage_bytes(64) == 1024);
  CHECK_FALSE(queue_of_words::validate(64, all));
  const option_error small = queue_of_words::validate(64, all.first(1023));
  CHECK(small.field == "storage");
  CHECK(small.value == 1023);
  CHECK(small.relation == "at least");
  CHECK(small.limit == 1024);
  const option_error off = queue_of_words::validate(16, all.subspan(8));
  CHECK(off.field == "storage");
  CHECK(off.value == 8);
  CHECK(off.relation == "aligned to");
  CHECK(off.limit == 64);
  CHECK(queue_of_words::validate(5, all).field == "capacity");
  CHECK(queue_of_words::validate(64, {}).field == "storage");
}

TEMPLATE_TEST_CASE_SIG("a queue sized at run time has the numbers of the one sized by the compiler",
                       "[spsc_queue][sized]", ((std::size_t Capacity), Capacity), 1, 2, 8, 16, 32, 64, 1024) {
  using fixed = spsc_queue<std::uint32_t, Capacity>;
  sized_queue<std::uint32_t, Capacity> owner;
  const spsc_queue<std::uint32_t>& queue = owner;
  CHECK(queue.capacity() == fixed::capacity());
  CHECK(queue.max_size() == fixed::max_size());
  CHECK(queue.publish_every() == fixed::publish_every());
  CHECK(queue.slot_count() == fixed::slot_count());
}

TEST_CASE("a queue sized at run time is a bounded queue that is neither copied nor moved", "[spsc_queue][sized]") {
  STATIC_REQUIRE(holdfast::bounded_queue<queue_of_words>);
  STATIC_REQUIRE(holdfast::batch_queue<queue_of_words>);
  STATIC_REQUIRE_FALSE(std::is_default_constructible_v<queue_of_words>);
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<queue_of_words>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<queue_of_words>);
  STATIC_REQUIRE(std::is_nothrow_constructible_v<queue_of_words, std::size_t, std::span<std::byte>>);
  STATIC_REQUIRE_FALSE(std::is_nothrow_constructible_v<queue_of_words, std::size_t, std::pmr::memory_resource*>);
}

TEST_CASE("the caller's storage is used to its end and not beyond", "[spsc_queue][sized]") {
  constexpr std::size_t bytes = spsc_queue<std::uint32_t>::storage_bytes(32);
  alignas(64) std::array<std::byte, bytes + 128> storage;
  storage.fill(std::byte{0xA5});
  {
    spsc_queue<std::uint32_t> queue(32, std::span(storage).subspan(64, bytes));
    for (std::uint32_t i = 0; i < 500; ++i) {
      while (queue.try_push(i)) {
      }
      CHECK(queue.consume_all([](std::uint32_t) {}) >= queue.capacity());
    }
  }
  const auto untouched = [](std::byte b) { return b == std::byte{0xA5}; };
  CHECK(std::all_of(storage.begin(), storage.begin() + 64, untouched));
  CHECK(std::all_of(storage.end() - 64, storage.end(), untouched));
  CHECK(std::none_of(storage.begin() + 64, storage.end() - 64, untouched));
}

TEST_CASE("a memory resource is asked once, and gets back what it gave, after the items are gone",
          "[spsc_queue][sized]") {
  counting_resource memory;
  const auto value = std::make_shared<int>(3);
  {
    spsc_queue<std::shared_ptr<int>> queue(64, &memory);
    CHECK(memory.asked == 1);
    CHECK(memory.bytes == queue.storage_bytes(64));
    CHECK(memory.alignment == queue.storage_alignment());
    for (int i = 0; i < 1000; ++i) {
      REQUIRE(queue.try_push(value));
      if (i % 50 != 0) REQUIRE(queue.try_pop().value() == value);
    }
    CHECK(memory.asked == 1);
    CHECK(value.use_count() == 21);
  }
  CHECK(value.use_count() == 1);
  CHECK(memory.returned == 1);
}

TEST_CASE("over-aligned items stand on their alignment in memory that was asked for", "[spsc_queue][sized]") {
  spsc_queue<over_aligned> queue(16, std::pmr::new_delete_resource());
  for (std::uint64_t i = 0; i < 16; ++i) REQUIRE(queue.try_push(over_aligned{i}));
  std::uint64_t expected = 0;
  queue.consume_all([&](const over_aligned& item) {
    CHECK(reinterpret_cast<std::uintptr_t>(&item) % alignof(over_aligned) == 0);
    CHECK(item.number == expected++);
  });
  CHECK(expected == 16);
}

#if defined(__cpp_exceptions)  // this file also runs without them
TEST_CASE("a memory resource that throws does so out of the constructor, and gets nothing back",
          "[spsc_queue][sized]") {
  counting_resource memory;
  memory.refuses = true;
  CHECK_THROWS_AS(queue_of_words(64, &memory), std::bad_alloc);
  CHECK(memory.returned == 0);
}
#endif
