// SPDX-License-Identifier: MIT
#include "holdfast/queue/spsc_queue.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "holdfast/queue/bounded_queue.hpp"

#include "support/catch.hpp"
#include "support/sized_queue.hpp"

using holdfast::spsc_queue;
using test_support::sized_queue;

namespace {

// Counts lives, and objects that are used after their end.
struct lives {
  int alive = 0;
  int made = 0;
};
class counted {
 public:
  counted(lives& all, int number) : all_(&all), number_(number) { begin(); }
  counted(counted&& other) noexcept : all_(other.all_), number_(other.number_) {
    begin();
    other.number_ = -1;
  }
  counted& operator=(counted&& other) noexcept {
    REQUIRE(self_ == this);
    REQUIRE(other.self_ == &other);
    number_ = std::exchange(other.number_, -1);
    return *this;
  }
  ~counted() {
    if (self_ == this) --all_->alive;
    self_ = nullptr;
  }
  [[nodiscard]] int number() const { return number_; }

 private:
  void begin() {
    self_ = this;
    ++all_->alive;
    ++all_->made;
  }
  lives* all_;
  int number_;
  counted* self_ = nullptr;
};

// Throws when told to, counting down at each construction or assignment.
struct fuse {
  int until_throw = -1;  // -1: never
  int alive = 0;
  void burn() {
#if defined(__cpp_exceptions)
    if (until_throw >= 0 && until_throw-- == 0) throw std::runtime_error("told to");
#endif
  }
};
class fragile {
 public:
  fragile(fuse& f, int number) : fuse_(&f), number_(number) {
    f.burn();
    ++f.alive;
  }
  fragile(fragile&& other)
      : fuse_(other.fuse_), number_(other.number_) {  // NOLINT(performance-noexcept-move-constructor)
    fuse_->burn();
    ++fuse_->alive;
  }
  fragile(const fragile& other) : fuse_(other.fuse_), number_(other.number_) {
    fuse_->burn();
    ++fuse_->alive;
  }
  fragile& operator=(fragile&& other) {  // NOLINT(performance-noexcept-move-constructor)
    fuse_->burn();
    number_ = other.number_;
    return *this;
  }
  fragile& operator=(const fragile&) = delete;
  ~fragile() { --fuse_->alive; }
  [[nodiscard]] int number() const { return number_; }

 private:
  fuse* fuse_;
  int number_;
};

struct const_member {
  const int number;
};

struct alignas(256) over_aligned {
  std::uint64_t number = 0;
};

struct line {
  std::array<std::uint64_t, 8> words{};
};

template <class Queue>
std::vector<int> drained(Queue& queue) {
  std::vector<int> out;
  queue.consume_all([&](auto&& item) { out.push_back(item); });
  return out;
}

constexpr std::uint64_t just_before_wrap = std::numeric_limits<std::uint64_t>::max() - 37;
constexpr std::uint64_t just_before_32_bits = std::numeric_limits<std::uint32_t>::max() - 37ULL;

}  // namespace

TEST_CASE("spsc_queue is a bounded queue, and a batch queue, for one producer and one consumer", "[spsc_queue]") {
  using queue = spsc_queue<int, 8>;
  STATIC_REQUIRE(holdfast::bounded_queue<queue>);
  STATIC_REQUIRE(holdfast::batch_queue<queue>);
  STATIC_REQUIRE(holdfast::bounded_queue<spsc_queue<std::unique_ptr<int>, 8>>);
  STATIC_REQUIRE_FALSE(holdfast::many_producers<queue>);
  STATIC_REQUIRE_FALSE(holdfast::many_consumers<queue>);
  STATIC_REQUIRE_FALSE(holdfast::bounded_queue<std::deque<int>>);
}

TEST_CASE("spsc_queue cannot be copied or moved: other threads know its address", "[spsc_queue]") {
  using queue = spsc_queue<int, 8>;
  STATIC_REQUIRE_FALSE(std::is_copy_constructible_v<queue>);
  STATIC_REQUIRE_FALSE(std::is_move_constructible_v<queue>);
  STATIC_REQUIRE_FALSE(std::is_copy_assignable_v<queue>);
  STATIC_REQUIRE_FALSE(std::is_move_assignable_v<queue>);
}

TEST_CASE("spsc_queue promises noexcept exactly where the item does", "[spsc_queue]") {
  spsc_queue<int, 8> plain;
  spsc_queue<fragile, 8> breaking;
  fragile* item = nullptr;
  int number = 0;
  STATIC_REQUIRE(noexcept(plain.try_push(1)));
  STATIC_REQUIRE(noexcept(plain.try_pop(number)));
  STATIC_REQUIRE_FALSE(noexcept(breaking.try_push(std::move(*item))));
  STATIC_REQUIRE_FALSE(noexcept(breaking.try_pop(*item)));
  CHECK(number == 0);
}

TEST_CASE("a popped item is the oldest one pushed", "[spsc_queue]") {
  spsc_queue<int, 8> queue;
  for (int i = 0; i < 8; ++i) REQUIRE(queue.try_push(i));
  for (int i = 0; i < 8; ++i) {
    int out = -1;
    REQUIRE(queue.try_pop(out));
    CHECK(out == i);
  }
}

TEST_CASE("a pop from an empty queue is refused and leaves the output as it was", "[spsc_queue]") {
  spsc_queue<int, 8> queue;
  int out = 42;
  CHECK_FALSE(queue.try_pop(out));
  CHECK(out == 42);
  CHECK_FALSE(queue.try_pop().has_value());
  std::array<int, 3> many{1, 2, 3};
  CHECK(queue.try_pop(std::span(many)) == 0);
  CHECK(many == std::array<int, 3>{1, 2, 3});
  CHECK(queue.consume_all([](int) { FAIL("there is nothing"); }) == 0);
}

TEST_CASE("a push into a full queue is refused and the value is still the caller's", "[spsc_queue]") {
  spsc_queue<std::unique_ptr<int>, 4> queue;
  STATIC_REQUIRE(decltype(queue)::max_size() == 4);
  for (int i = 0; i < 4; ++i) REQUIRE(queue.try_push(std::make_unique<int>(i)));
  auto refused = std::make_unique<int>(99);
  CHECK_FALSE(queue.try_push(std::move(refused)));
  REQUIRE(refused != nullptr);
  CHECK(*refused == 99);
  CHECK_FALSE(queue.try_emplace(std::move(refused)));
  REQUIRE(refused != nullptr);
  std::array<std::unique_ptr<int>, 2> batch{std::make_unique<int>(7), nullptr};
  CHECK(queue.try_push(std::span(batch)) == 0);
  CHECK(batch[0] != nullptr);
}

TEMPLATE_TEST_CASE_SIG("the promised capacity always fits, and never more than max_size", "[spsc_queue]",
                       ((std::size_t Capacity), Capacity), 1, 2, 4, 8, 16, 32, 64, 1024) {
  using queue_type = spsc_queue<std::uint32_t, Capacity>;
  STATIC_REQUIRE(queue_type::capacity() == Capacity);
  STATIC_REQUIRE(queue_type::slot_count() >= queue_type::capacity() + queue_type::publish_every() - 1);
  STATIC_REQUIRE(queue_type::max_size() <= queue_type::slot_count());
  const auto owner = std::make_unique<queue_type>();
  queue_type& queue = *owner;
  std::uint32_t next_in = 0;
  std::uint32_t next_out = 0;
  const auto held = [&] { return next_in - next_out; };
  // At every phase of the lazily published position: take some without ever finding it empty, then fill to the brim.
  for (std::uint32_t round = 0; round < 3 * Capacity + 5; ++round) {
    while (held() < Capacity) REQUIRE(queue.try_push(next_in++));
    while (queue.try_push(next_in)) ++next_in;
    REQUIRE(held() >= Capacity);
    REQUIRE(held() <= queue_type::max_size());
    const std::uint32_t take = 1 + round % static_cast<std::uint32_t>(Capacity);
    for (std::uint32_t i = 0; i < take; ++i) {
      std::uint32_t out = 0;
      REQUIRE(queue.try_pop(out));
      REQUIRE(out == next_out++);
    }
  }
}

TEST_CASE("an emptied queue takes exactly max_size again, because an empty pop tells all", "[spsc_queue]") {
  spsc_queue<int, 64> queue;
  for (int round = 0; round < 10; ++round) {
    int out = 0;
    for (int i = 0; i < 5; ++i) REQUIRE(queue.try_push(i));
    for (int i = 0; i < 5; ++i) REQUIRE(queue.try_pop(out));
    REQUIRE_FALSE(queue.try_pop(out));
    CHECK(queue.size_approx() == 0);
    std::size_t taken = 0;
    while (queue.try_push(1)) ++taken;
    CHECK(taken == queue.max_size());
    CHECK(queue.size_approx() == queue.max_size());
    while (queue.try_pop(out)) {
    }
  }
}

TEST_CASE("size_approx is exact after pushes and never too high by a whole group of pops", "[spsc_queue]") {
  spsc_queue<int, 64> queue;
  for (int i = 0; i < 64; ++i) {
    REQUIRE(queue.try_push(i));
    CHECK(queue.size_approx() == static_cast<std::size_t>(i + 1));
  }
  for (std::size_t left = 63; left < 64; --left) {
    int out = 0;
    REQUIRE(queue.try_pop(out));
    CHECK(queue.size_approx() >= left);
    CHECK(queue.size_approx() < left + queue.publish_every());
  }
}

TEST_CASE("positions cross their 64-bit and 32-bit wraps without a trace", "[spsc_queue]") {
  for (const std::uint64_t first : {just_before_wrap, just_before_32_bits}) {
    spsc_queue<int, 16> queue(first);
    int next_in = 0;
    int next_out = 0;
    for (int round = 0; round < 40; ++round) {
      while (queue.try_push(next_in)) ++next_in;
      CHECK(next_in - next_out >= 16);
      CHECK(queue.size_approx() <= queue.max_size());
      for (int i = 0; i < 7; ++i) {
        int out = -1;
        REQUIRE(queue.try_pop(out));
        REQUIRE(out == next_out++);
      }
    }
    std::array<int, 40> rest{};
    const std::size_t count = queue.try_pop(std::span(rest));
    CHECK(count == static_cast<std::size_t>(next_in - next_out));
    for (std::size_t i = 0; i < count; ++i) CHECK(rest[i] == next_out++);
    CHECK(queue.size_approx() == 0);
  }
}

TEST_CASE("what is left in a destroyed queue is destroyed once", "[spsc_queue]") {
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{13}, just_before_wrap}) {
    for (int left = 0; left <= 16; ++left) {
      lives all;
      {
        spsc_queue<counted, 16> queue(first);
        // Taken ones that the lazy position has not told of must not be destroyed again.
        counted out(all, 0);
        for (int i = 0; i < 3; ++i) REQUIRE(queue.try_emplace(all, i));
        for (int i = 0; i < 3; ++i) REQUIRE(queue.try_pop(out));
        for (int i = 0; i < left; ++i) REQUIRE(queue.try_emplace(all, i));
        CHECK(all.alive == left + 1);
      }
      CHECK(all.alive == 0);
      CHECK(all.made > 0);
    }
  }
}

TEST_CASE("an item is destroyed as soon as it is popped", "[spsc_queue]") {
  const auto value = std::make_shared<int>(5);
  spsc_queue<std::shared_ptr<int>, 32> queue;
  for (int i = 0; i < 10; ++i) REQUIRE(queue.try_push(value));
  CHECK(value.use_count() == 11);
  std::shared_ptr<int> out;
  REQUIRE(queue.try_pop(out));
  CHECK(value.use_count() == 11);  // nine in the queue, one out, one here
  out.reset();
  CHECK(value.use_count() == 10);
  CHECK(queue.try_pop().value() == value);
  CHECK(value.use_count() == 9);
  CHECK(queue.consume_all([](const std::shared_ptr<int>&) {}) == 8);
  CHECK(value.use_count() == 1);
}

TEST_CASE("items need no default constructor, no copy and no assignment", "[spsc_queue]") {
  lives all;
  spsc_queue<counted, 4> no_default;
  REQUIRE(no_default.try_emplace(all, 3));
  counted out(all, 0);
  REQUIRE(no_default.try_pop(out));
  CHECK(out.number() == 3);

  spsc_queue<const_member, 4> no_assignment;
  REQUIRE(no_assignment.try_push(const_member{11}));
  const auto popped = no_assignment.try_pop();
  REQUIRE(popped.has_value());
  CHECK(popped->number == 11);
}

TEST_CASE("over-aligned items stand on their alignment", "[spsc_queue]") {
  const auto queue = std::make_unique<spsc_queue<over_aligned, 16>>();
  for (std::uint64_t i = 0; i < 16; ++i) REQUIRE(queue->try_push(over_aligned{i}));
  std::uint64_t expected = 0;
  queue->consume_all([&](const over_aligned& item) {
    CHECK(reinterpret_cast<std::uintptr_t>(&item) % alignof(over_aligned) == 0);
    CHECK(item.number == expected++);
  });
  CHECK(expected == 16);
}

#if defined(__cpp_exceptions)  // this file also runs without them
TEST_CASE("a constructor that throws leaves the queue as it was", "[spsc_queue]") {
  fuse f;
  {
    spsc_queue<fragile, 16> queue;
    REQUIRE(queue.try_emplace(f, 1));
    f.until_throw = 0;
    CHECK_THROWS_AS(queue.try_emplace(f, 2), std::runtime_error);
    f.until_throw = -1;
    fragile kept(f, 2);
    f.until_throw = 0;
    CHECK_THROWS_AS(queue.try_push(std::move(kept)), std::runtime_error);
    f.until_throw = 0;
    CHECK_THROWS_AS(queue.try_push(static_cast<const fragile&>(kept)), std::runtime_error);
    f.until_throw = -1;
    CHECK(queue.size_approx() == 1);
    REQUIRE(queue.try_push(std::move(kept)));
    std::vector<int> seen;
    queue.consume_all([&](const fragile& item) { seen.push_back(item.number()); });
    CHECK(seen == std::vector<int>{1, 2});
  }
  CHECK(f.alive == 0);
}

TEST_CASE("an assignment that throws in a pop leaves the item the oldest", "[spsc_queue]") {
  fuse f;
  {
    spsc_queue<fragile, 16> queue;
    for (int i = 1; i <= 3; ++i) REQUIRE(queue.try_emplace(f, i));
    fragile out(f, 0);
    f.until_throw = 0;
    CHECK_THROWS_AS(queue.try_pop(out), std::runtime_error);
    CHECK(out.number() == 0);
    f.until_throw = 0;
    CHECK_THROWS_AS(queue.try_pop(), std::runtime_error);
    f.until_throw = -1;
    CHECK(queue.size_approx() == 3);
    for (int i = 1; i <= 3; ++i) {
      REQUIRE(queue.try_pop(out));
      CHECK(out.number() == i);
    }
    CHECK_FALSE(queue.try_pop(out));
  }
  CHECK(f.alive == 0);
}

TEST_CASE("a pop that returns the item moves it once, so that it cannot be lost by a second move that throws",
          "[spsc_queue]") {
  fuse f;
  {
    spsc_queue<fragile, 16> queue;
    REQUIRE(queue.try_emplace(f, 7));
    f.until_throw = 1;
    const std::optional<fragile> out = queue.try_pop();
    f.until_throw = -1;
    REQUIRE(out.has_value());
    CHECK(out->number() == 7);
  }
  CHECK(f.alive == 0);
}

TEST_CASE("a batch push that throws keeps the items before the one that threw", "[spsc_queue]") {
  fuse f;
  {
    spsc_queue<fragile, 16> queue;
    std::vector<fragile> batch;
    batch.reserve(4);
    for (int i = 0; i < 4; ++i) batch.emplace_back(f, i);
    f.until_throw = 2;
    CHECK_THROWS_AS(queue.try_push(std::span(batch)), std::runtime_error);
    f.until_throw = -1;
    CHECK(queue.size_approx() == 2);
    CHECK(queue.try_push(std::span<fragile>(batch).subspan(2)) == 2);
    std::vector<int> seen;
    queue.consume_all([&](const fragile& item) { seen.push_back(item.number()); });
    CHECK(seen == std::vector<int>{0, 1, 2, 3});
  }
  CHECK(f.alive == 0);
}

TEST_CASE("a batch pop that throws has taken the items before the one that threw", "[spsc_queue]") {
  fuse f;
  {
    spsc_queue<fragile, 16> queue;
    for (int i = 1; i <= 4; ++i) REQUIRE(queue.try_emplace(f, i));
    std::vector<fragile> out;
    out.reserve(4);
    for (int i = 0; i < 4; ++i) out.emplace_back(f, 0);
    f.until_throw = 2;
    CHECK_THROWS_AS(queue.try_pop(std::span(out)), std::runtime_error);
    f.until_throw = -1;
    CHECK(out[0].number() == 1);
    CHECK(out[1].number() == 2);
    CHECK(out[2].number() == 0);
    CHECK(queue.try_pop(std::span<fragile>(out).subspan(2)) == 2);
    CHECK(out[2].number() == 3);
    CHECK(out[3].number() == 4);
  }
  CHECK(f.alive == 0);
}

TEST_CASE("a function that throws in consume_all has used up its item and no other", "[spsc_queue]") {
  spsc_queue<int, 16> queue;
  for (int i = 0; i < 5; ++i) REQUIRE(queue.try_push(i));
  int calls = 0;
  CHECK_THROWS_AS(queue.consume_all([&](int item) {
    ++calls;
    if (item == 2) throw std::runtime_error("poison");
  }),
                  std::runtime_error);
  CHECK(calls == 3);
  CHECK(drained(queue) == std::vector<int>{3, 4});
}

#endif  // __cpp_exceptions

TEST_CASE("consume_all takes what was there when it was called, and pushes from within wait for the next call",
          "[spsc_queue]") {
  spsc_queue<int, 16> queue;
  for (int i = 0; i < 3; ++i) REQUIRE(queue.try_push(i));
  CHECK(queue.consume_all([&](int item) { REQUIRE(queue.try_push(item + 10)); }) == 3);
  CHECK(drained(queue) == std::vector<int>{10, 11, 12});
}

TEST_CASE("a batch push takes what fits and a batch pop what is there", "[spsc_queue]") {
  spsc_queue<int, 8> queue;
  std::array<int, 6> in{0, 1, 2, 3, 4, 5};
  CHECK(queue.try_push(std::span<const int>(in)) == 6);
  CHECK(queue.try_push(std::span<const int>(in)) == 2);
  CHECK(queue.try_push(std::span<const int>(in)) == 0);
  std::array<int, 5> out{};
  CHECK(queue.try_pop(std::span(out)) == 5);
  CHECK(out == std::array<int, 5>{0, 1, 2, 3, 4});
  // Space that was freed since the producer last looked counts, and so does an item pushed since the consumer looked.
  CHECK(queue.try_push(std::span<const int>(in)) == 5);
  std::array<int, 12> rest{};
  CHECK(queue.try_pop(std::span(rest)) == 8);
  CHECK(std::vector<int>(rest.begin(), rest.begin() + 8) == std::vector<int>{5, 0, 1, 0, 1, 2, 3, 4});
  CHECK(queue.try_push(std::span<const int>()) == 0);
  CHECK(queue.try_pop(std::span<int>()) == 0);
}

TEST_CASE("a batch of move-only items is moved from exactly as far as it was taken", "[spsc_queue]") {
  spsc_queue<std::unique_ptr<int>, 4> queue;
  std::vector<std::unique_ptr<int>> batch;
  for (int i = 0; i < 6; ++i) batch.push_back(std::make_unique<int>(i));
  CHECK(queue.try_push(std::span(batch)) == 4);
  for (std::size_t i = 0; i < 6; ++i) CHECK((batch[i] == nullptr) == (i < 4));
  std::vector<std::unique_ptr<int>> out(6);
  CHECK(queue.try_pop(std::span(out)) == 4);
  for (int i = 0; i < 4; ++i) CHECK(*out[static_cast<std::size_t>(i)] == i);
  CHECK(out[4] == nullptr);
}

TEST_CASE("a batch copied from constant items leaves them whole", "[spsc_queue]") {
  spsc_queue<std::string, 8> queue;
  const std::vector<std::string> batch{"a long enough text to live on the heap", "b", "c"};
  CHECK(queue.try_push(std::span(batch)) == 3);
  CHECK(batch[0] == "a long enough text to live on the heap");
  std::vector<std::string> out(3);
  CHECK(queue.try_pop(std::span(out)) == 3);
  CHECK(out == batch);
}

// The queue against the plainest queue there is, with every operation in random order and at every phase of the ring.
TEMPLATE_TEST_CASE("any sequence of operations does what a deque with a limit does", "[spsc_queue]",
                   (spsc_queue<std::uint64_t, 1>), (spsc_queue<std::uint64_t, 2>), (spsc_queue<std::uint64_t, 16>),
                   (spsc_queue<std::uint64_t, 256>), (spsc_queue<line, 64>), (spsc_queue<std::string, 32>),
                   (sized_queue<std::uint64_t, 1>), (sized_queue<std::uint64_t, 16>), (sized_queue<std::uint64_t, 512>),
                   (sized_queue<line, 64>), (sized_queue<std::string, 32>),
                   (spsc_queue<std::uint64_t, 32, holdfast::watched>)) {
  using T = typename TestType::value_type;
  constexpr std::size_t Capacity = TestType::capacity();
  const auto make = [](std::uint64_t n) -> T {
    if constexpr (std::is_same_v<T, std::string>) {
      return std::to_string(n) + " with a tail that is longer than a small string";
    } else if constexpr (std::is_same_v<T, line>) {
      line l;
      l.words.fill(n);
      return l;
    } else {
      return n;
    }
  };
  const auto same = [&](const T& item, std::uint64_t n) {
    if constexpr (std::is_same_v<T, line>) {
      return item.words == make(n).words;
    } else {
      return item == make(n);
    }
  };
  for (const std::uint64_t first : {std::uint64_t{0}, just_before_wrap, just_before_32_bits}) {
    const auto owner = std::make_unique<TestType>(first);
    auto& queue = *owner;
    std::deque<std::uint64_t> oracle;
    std::uint64_t next = 0;
    std::uint64_t random = 88172645463325252ULL;
    for (int step = 0; step < 6000; ++step) {
      random ^= random << 13U;
      random ^= random >> 7U;
      random ^= random << 17U;
      const std::size_t count = (random >> 32U) % (Capacity + 3);
      switch (random % 11) {
        case 0:
        case 1: {
          const bool pushed = queue.try_push(make(next));
          if (oracle.size() < queue.capacity()) REQUIRE(pushed);
          if (oracle.size() == queue.max_size()) REQUIRE_FALSE(pushed);
          if (pushed) oracle.push_back(next++);
          break;
        }
        case 2: {
          std::vector<T> batch;
          for (std::size_t i = 0; i < count; ++i) batch.push_back(make(next + i));
          const std::size_t pushed = queue.try_push(std::span(batch));
          if (oracle.size() < queue.capacity()) REQUIRE(pushed >= std::min(count, queue.capacity() - oracle.size()));
          REQUIRE(oracle.size() + pushed <= queue.max_size());
          for (std::size_t i = 0; i < pushed; ++i) oracle.push_back(next++);
          break;
        }
        case 3:
        case 4: {
          T out{};
          REQUIRE(queue.try_pop(out) == !oracle.empty());
          if (!oracle.empty()) {
            REQUIRE(same(out, oracle.front()));
            oracle.pop_front();
          }
          break;
        }
        case 5: {
          std::vector<T> out(count);
          const std::size_t popped = queue.try_pop(std::span(out));
          REQUIRE(popped == std::min(count, oracle.size()));
          for (std::size_t i = 0; i < popped; ++i) {
            REQUIRE(same(out[i], oracle.front()));
            oracle.pop_front();
          }
          break;
        }
        case 6:
        case 7: {
          if constexpr (TestType::reservable) {
            const std::span<T> run = queue.reserve(count);
            if (count != 0 && oracle.size() < queue.capacity()) REQUIRE(!run.empty());
            REQUIRE(run.size() <= count);
            REQUIRE(oracle.size() + run.size() <= queue.max_size());
            const std::size_t committed = random % 5 == 0 ? run.size() / 2 : run.size();
            for (std::size_t i = 0; i < run.size(); ++i) run[i] = make(next + i);
            queue.commit(committed);
            for (std::size_t i = 0; i < committed; ++i) oracle.push_back(next++);
          }
          break;
        }
        case 8:
        case 9: {
          const std::span<T> run = queue.peek(count);
          REQUIRE(run.empty() == (oracle.empty() || count == 0));
          REQUIRE(run.size() <= std::min(count, oracle.size()));
          for (std::size_t i = 0; i < run.size(); ++i) REQUIRE(same(run[i], oracle[i]));
          const std::size_t released = random % 5 == 0 ? run.size() / 2 : run.size();
          queue.release(released);
          oracle.erase(oracle.begin(), oracle.begin() + static_cast<std::ptrdiff_t>(released));
          break;
        }
        default: {
          if (count > 3) break;  // seldom, so that the queue also runs full
          const std::size_t expected = oracle.size();
          REQUIRE(queue.consume_all([&](T&& item) {
            REQUIRE(same(item, oracle.front()));
            oracle.pop_front();
          }) == expected);
        }
      }
      REQUIRE(queue.size_approx() >= oracle.size());
      REQUIRE(queue.size_approx() < oracle.size() + queue.publish_every());
    }
  }
}
