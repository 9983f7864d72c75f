// SPDX-License-Identifier: MIT
#include "holdfast/policy/cache.hpp"

#include <array>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/core/fixed_text.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {
constexpr time_point start{1h};
constexpr cache_options short_lived{.capacity = 64, .fresh_for = 1s, .stale_for = 10s};

// Every key in one set, so that a test can fill it.
struct one_set_hash {
  std::uint64_t operator()(std::uint64_t key, std::uint64_t) const noexcept { return key + 1; }
};
// Every key with one and the same hash.
struct colliding_hash {
  std::uint64_t operator()(std::uint64_t, std::uint64_t) const noexcept { return 42; }
};
// A key whose reading lets others put: the cache makes one whenever it looks into a slot.
struct meeting_key {
  static inline void (*others)() = nullptr;
  std::uint64_t id = 0;

  meeting_key() noexcept {
    if (others != nullptr) std::exchange(others, nullptr)();
  }
  explicit meeting_key(std::uint64_t n) noexcept : id(n) {}
  friend bool operator==(const meeting_key& a, const meeting_key& b) noexcept { return a.id == b.id; }
};
struct meeting_hash {
  std::uint64_t operator()(const meeting_key& key, std::uint64_t) const noexcept { return key.id + 1; }
};
using meeting_cache = cache<meeting_key, std::uint64_t, meeting_hash>;
meeting_cache* met = nullptr;
std::uint64_t met_puts = 0;
// Renews the key in a full set, where it moves to and fro between two slots: once, and it is gone from the slot that is
// being read; twice, and that slot has been overwritten. Again each time that a slot is read.
template <int Times>
void renew() {
  for (int i = 0; i < Times; ++i) static_cast<void>(met->put(meeting_key(3), ++met_puts, start));
  meeting_key::others = renew<Times>;
}
// Counts what is allocated from it.
struct counting_memory final : std::pmr::memory_resource {
  std::size_t allocations = 0;
  std::size_t live = 0;
  void* do_allocate(std::size_t size, std::size_t alignment) override {
    ++allocations;
    live += size;
    return std::pmr::new_delete_resource()->allocate(size, alignment);
  }
  void do_deallocate(void* p, std::size_t size, std::size_t alignment) override {
    live -= size;
    std::pmr::new_delete_resource()->deallocate(p, size, alignment);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};
}  // namespace

TEST_CASE("F4 a value is fresh, then stale, then expired, and its age is true", "[cache]") {
  cache<std::uint64_t, int> c(short_lived);
  CHECK(c.get(7, start).state == cache_state::miss);
  CHECK_FALSE(c.get(7, start));
  CHECK(c.put(7, 70, start) == cache_put::stored);
  struct row {
    duration after;
    cache_state state;
  };
  for (const row r :
       {row{0s, cache_state::fresh}, row{1s - 1ns, cache_state::fresh}, row{1s, cache_state::stale},
        row{11s - 1ns, cache_state::stale}, row{11s, cache_state::expired}, row{24h, cache_state::expired}}) {
    const auto found = c.get(7, start + r.after);
    CAPTURE(r.after.count(), name_of(found.state));
    CHECK(found.state == r.state);
    CHECK(found.age == r.after);
    CHECK(found.value == 70);
    CHECK(static_cast<bool>(found) == (r.state != cache_state::expired));
  }
  CHECK(c.get(7, start - 1h).age == 0ns);  // a clock behind the writer's: never a negative age
  CHECK(c.get(8, start).state == cache_state::miss);
}

TEST_CASE("a put renews the age, a late answer does not replace a younger one", "[cache]") {
  cache<std::uint64_t, int> c(short_lived);
  CHECK(c.put(1, 10, start) == cache_put::stored);
  CHECK(c.put(1, 11, start + 5s) == cache_put::stored);
  CHECK(c.put(1, 12, start + 4s) == cache_put::older);
  const auto found = c.get(1, start + 5s);
  CHECK(found.value == 11);
  CHECK(found.age == 0s);
  CHECK(found.state == cache_state::fresh);
  CHECK(c.put(1, 13, start + 5s) == cache_put::stored);
  CHECK(c.get(1, start + 5s).value == 13);
  CHECK(c.size_approx() == 1);
}

TEST_CASE("stale-if-error: failing to refresh leaves the last good value where it is", "[cache]") {
  cache<std::uint64_t, int> c(short_lived);
  static_cast<void>(c.put(1, 10, start));
  for (int second = 2; second < 11; ++second) {  // every refresh fails: there is nothing to put
    const auto found = c.get(1, start + second * 1s);
    CHECK(found.state == cache_state::stale);
    CHECK(found.value == 10);
    CHECK(found.age == second * 1s);
  }
}

TEST_CASE("erase forgets, and says whether there was anything", "[cache]") {
  cache<std::uint64_t, int> c(short_lived);
  static_cast<void>(c.put(1, 10, start));
  static_cast<void>(c.put(2, 20, start));
  CHECK(c.erase(1));
  CHECK_FALSE(c.erase(1));
  CHECK(c.get(1, start).state == cache_state::miss);
  CHECK(c.get(2, start).value == 20);
  // Younger than what was stored before the erase, or not: the key is new.
  CHECK(c.put(1, 11, start - 1s) == cache_put::stored);
  CHECK(c.get(1, start).value == 11);
}

TEST_CASE("a set keeps seven entries; what was used gets a second chance", "[cache]") {
  cache<std::uint64_t, std::uint64_t, one_set_hash> c({.capacity = 7});
  REQUIRE(c.capacity() == 7);
  for (std::uint64_t k = 0; k < 7; ++k) CHECK(c.put(k, k * 10, start) == cache_put::stored);
  for (std::uint64_t k = 0; k < 7; ++k) CHECK(c.get(k, start).value == k * 10);
  CHECK(c.evicted() == 0);
  static_cast<void>(c.put(100, 1000, start));
  CHECK(c.evicted() == 1);
  CHECK(c.size_approx() == 7);
  CHECK(c.get(100, start).value == 1000);
  // One key in constant use survives any number of others that are seen once.
  static_cast<void>(c.put(5, 50, start));
  for (std::uint64_t k = 200; k < 300; ++k) {
    REQUIRE(c.get(5, start).state != cache_state::miss);
    static_cast<void>(c.put(k, k, start));
    REQUIRE(c.size_approx() == 7);
  }
  CHECK(c.get(5, start).value == 50);
}

TEST_CASE("renewing an entry evicts nobody", "[cache]") {
  cache<std::uint64_t, int, one_set_hash> c({.capacity = 7});
  for (std::uint64_t k = 0; k < 7; ++k) static_cast<void>(c.put(k, 1, start));
  for (int i = 0; i < 1'000; ++i) CHECK(c.put(static_cast<std::uint64_t>(i % 7), i, start) == cache_put::stored);
  CHECK(c.evicted() == 0);
  for (std::uint64_t k = 0; k < 7; ++k) CHECK(c.get(k, start).value >= 993);
}

TEST_CASE("keys of equal hash are told apart", "[cache]") {
  cache<std::uint64_t, std::uint64_t, colliding_hash> c({.capacity = 70});
  for (std::uint64_t k = 0; k < 7; ++k) static_cast<void>(c.put(k, k + 100, start));
  for (std::uint64_t k = 0; k < 7; ++k) CHECK(c.get(k, start).value == k + 100);
  CHECK(c.get(7, start).state == cache_state::miss);
  CHECK(c.erase(3));
  CHECK(c.get(3, start).state == cache_state::miss);
  CHECK(c.get(4, start).value == 104);
}

TEST_CASE("a reader that puts overtake every time gives up with a miss; an erase never leaves what is older than it",
          "[cache]") {
  meeting_cache c({.capacity = 7});
  met = &c;
  met_puts = 100;
  for (std::uint64_t k = 0; k < 7; ++k) REQUIRE(c.put(meeting_key(k), k, start) == cache_put::stored);
  for (const auto others : {renew<1>, renew<2>}) {
    const auto before = met_puts;
    meeting_key::others = others;
    CHECK(c.get(meeting_key(3), start).state == cache_state::miss);
    CHECK(met_puts >= before + 8);
  }
  // Every slot that it looks into has moved on: what is left is younger than the erase.
  const auto before = met_puts;
  meeting_key::others = renew<1>;
  CHECK_FALSE(c.erase(meeting_key(3)));
  meeting_key::others = nullptr;
  CHECK(met_puts >= before + 16);
  CHECK(c.get(meeting_key(3), start).value == met_puts);
  // It cannot tell whose value is in the slot: rather one too many is forgotten.
  meeting_key::others = renew<2>;
  CHECK(c.erase(meeting_key(3)));
  meeting_key::others = nullptr;
  CHECK(c.get(meeting_key(3), start).state == cache_state::miss);
  for (std::uint64_t k = 0; k < 7; ++k) CHECK((k == 3 || c.get(meeting_key(k), start).value == k));
  CHECK(c.evicted() == 0);
}

TEST_CASE("a hash of zero, which marks a free place, is a hash like any other", "[cache]") {
  struct zero_hash {
    std::uint64_t operator()(std::uint64_t, std::uint64_t) const noexcept { return 0; }
  };
  cache<std::uint64_t, int, zero_hash> c({.capacity = 7});
  CHECK(c.get(1, start).state == cache_state::miss);
  CHECK(c.put(1, 10, start) == cache_put::stored);
  CHECK(c.get(1, start).value == 10);
  CHECK(c.size_approx() == 1);
  CHECK(c.erase(1));
}

TEST_CASE("text keys and payloads of varying length come back whole", "[cache]") {
  cache<fixed_text<40>, byte_payload<1'000>> c({.capacity = 200});
  const auto text_of = [](std::size_t n) {
    std::string text(n, ' ');
    for (std::size_t i = 0; i < n; ++i) text[i] = static_cast<char>('a' + (i * 7 + n) % 26);
    return text;
  };
  for (std::size_t n = 0; n <= 1'000; n += n < 20 ? 1 : 37) {
    byte_payload<1'000> value;
    REQUIRE(value.assign(text_of(n)));
    CHECK(c.put(std::to_string(n).c_str(), value, start) == cache_put::stored);
    // Shorter than before in the same slot, and longer.
    CHECK(c.put("always", value, start) == cache_put::stored);
    CHECK(c.get("always", start).value.view() == text_of(n));
    CHECK(c.get(std::to_string(n).c_str(), start).value.view() == text_of(n));
  }
  byte_payload<10> small;
  CHECK_FALSE(small.assign("eleven byte"));
  CHECK(small.view().empty());
  CHECK(small.assign("ten bytes!"));
  // A key assigned over a longer one holds leftover bytes; it is the same key all the same.
  fixed_text<40> key("a much longer key");
  key.assign("always");
  CHECK(c.get(key, start).state == cache_state::fresh);
}

TEST_CASE("values of every size survive the way through words", "[cache]") {
  const auto round_trip = [](auto value) {
    using value_type = decltype(value);
    cache<std::uint64_t, value_type> c({.capacity = 1});
    for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<unsigned char>(i * 31 + 7);
    static_cast<void>(c.put(1, value, start));
    CHECK(c.get(1, start).value == value);
  };
  round_trip(std::array<unsigned char, 1>{});
  round_trip(std::array<unsigned char, 7>{});
  round_trip(std::array<unsigned char, 8>{});
  round_trip(std::array<unsigned char, 9>{});
  round_trip(std::array<unsigned char, 63>{});
  round_trip(std::array<unsigned char, 1'024>{});
}

TEST_CASE("a cache holds its capacity of spread keys, nearly", "[cache]") {
  cache<std::uint64_t, std::uint64_t> c({.capacity = 7'000});
  for (std::uint64_t k = 0; k < 3'500; ++k) static_cast<void>(c.put(k, k, start));
  std::size_t kept = 0;
  for (std::uint64_t k = 0; k < 3'500; ++k) kept += c.get(k, start).state != cache_state::miss ? 1U : 0U;
  CHECK(kept == c.size_approx());
  CHECK(kept + c.evicted() == 3'500);
  CHECK(kept > 3'300);  // at half load few sets get more than seven keys
  for (std::uint64_t k = 0; k < 100'000; ++k) static_cast<void>(c.put(k, k, start));
  CHECK(c.size_approx() <= c.capacity());
  CHECK(c.size_approx() > c.capacity() * 99 / 100);
}

TEST_CASE("storage is taken at construction, once, and given back", "[cache]") {
  counting_memory memory;
  {
    cache<std::uint64_t, byte_payload<64>> c({.capacity = 100}, &memory);
    CHECK(memory.allocations == 1);
    CHECK(memory.live > 100 * 64);
    for (std::uint64_t k = 0; k < 1'000; ++k) {
      static_cast<void>(c.put(k, {}, start));
      static_cast<void>(c.get(k, start));
      static_cast<void>(c.erase(k / 2));
    }
    CHECK(memory.allocations == 1);
  }
  CHECK(memory.live == 0);
}

TEST_CASE("a seed moves keys to other sets", "[cache]") {
  const cache_hash hash;
  CHECK(hash(std::uint64_t{1}, 1) != hash(std::uint64_t{1}, 2));
  CHECK(hash(fixed_text<8>("a"), 1) != hash(fixed_text<8>("a"), 2));
  CHECK(hash(fixed_text<8>("a"), 1) == hash(fixed_text<16>("a"), 1));
}

TEST_CASE("every state of an entry has a name", "[cache]") {
  constexpr std::string_view names[] = {"miss", "fresh", "stale", "expired", "unknown"};
  for (std::size_t i = 0; i < std::size(names); ++i) CHECK(name_of(static_cast<cache_state>(i)) == names[i]);
}

TEST_CASE("cache options name what is wrong", "[cache]") {
  static_assert(!validate(cache_options{}));
  static_assert(validate(cache_options{.capacity = 0}).field == "capacity");
  static_assert(validate(cache_options{.capacity = (1U << 28U) + 1}).field == "capacity");
  static_assert(validate(cache_options{.fresh_for = -1ns}).field == "fresh_for");
  static_assert(validate(cache_options{.stale_for = -1ns}).field == "stale_for");
  static_assert(validate(cache_options{.stale_for = duration::max()}).field == "stale_for");
}

TEST_CASE("a value is erased unless it is younger than that", "[cache]") {
  cache<std::uint64_t, std::uint64_t> kept({.capacity = 16, .fresh_for = 1s, .stale_for = 1min});
  const time_point now{1000s};
  CHECK(kept.put(1, 10, now) == cache_put::stored);
  CHECK(kept.erase_until(1, now - 1ns) == cache_put::older);
  CHECK(kept.get(1, now).state == cache_state::fresh);
  CHECK(kept.erase_until(1, now) == cache_put::stored);
  CHECK(kept.get(1, now).state == cache_state::miss);
  CHECK(kept.erase_until(1, now) == cache_put::stored);  // nothing was there
  CHECK(kept.put(2, 20, now) == cache_put::stored);
  CHECK(kept.erase_until(1, now + 1h) == cache_put::stored);
  CHECK(kept.get(2, now).state == cache_state::fresh);
}
