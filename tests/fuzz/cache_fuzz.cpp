// SPDX-License-Identifier: MIT
// cache: any sequence of puts, gets and erases, with time going both ways, answers what a map of everything ever put would
// answer, or a miss that an eviction accounts for; a younger value is never replaced by an older one.
#include <array>
#include <map>
#include <memory_resource>
#include <string>

#include "holdfast/core/fixed_text.hpp"
#include "holdfast/policy/cache.hpp"

#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;

constexpr std::size_t keys = 24;
constexpr duration fresh_for{1'000};
constexpr duration stale_for{5'000};

// Few tags for many keys: an entry's tag is not its key.
struct clashing_hash {
  std::uint64_t operator()(std::uint32_t key, std::uint64_t) const noexcept {
    return (std::uint64_t{key % 2} << 63U) | (key % 3);
  }
};

// How a key of the trial looks in a cache, and what a value of so many bytes is.
struct numbers {
  using key = std::uint32_t;
  struct value {
    std::uint64_t serial;
    std::uint32_t more;
    friend bool operator==(const value&, const value&) = default;
  };
  static key key_of(std::size_t n) { return static_cast<key>(n); }
  static value value_of(std::uint32_t serial) { return {serial * 0x9E3779B97F4A7C15U, serial}; }
  static bool same(const value& a, const value& b) { return a == b; }
};
struct texts {
  using key = fixed_text<19>;
  using value = byte_payload<43>;
  static key key_of(std::size_t n) { return std::string_view("a key of some length").substr(0, n % 20); }
  static value value_of(std::uint32_t serial) {
    value v;
    v.assign(std::string(serial % 44, static_cast<char>('a' + serial % 26)));
    return v;
  }
  static bool same(const value& a, const value& b) { return a.view() == b.view(); }
};

template <class Kind, class Hash>
class trial {
 public:
  explicit trial(std::uint32_t capacity)
      : cache_({.capacity = capacity, .fresh_for = fresh_for, .stale_for = stale_for}, &memory_),
        one_set_(capacity <= 7) {}

  void step(input& in) {
    const std::uint8_t choice = in.byte();
    const std::size_t which = choice >> 3U;
    const std::size_t n = std::is_same_v<Kind, texts> ? which % 20 : which % keys;
    switch (choice % 8) {
      case 0:
      case 1:
      case 2: put(n); break;
      case 3: erase(n); break;
      case 4: now_ += duration(in.byte() * 16); break;
      case 5: now_ -= duration(in.byte() * 16); break;
      default: get(n); break;
    }
  }
  void finish() {
    for (std::size_t n = 0; n < (std::is_same_v<Kind, texts> ? 20 : keys); ++n) get(n);
    expect(lost_ == cache_.evicted(), "each eviction takes one entry, and nothing else does");
    expect(cache_.size_approx() == live_, "what is left is what was put, less what was erased and evicted");
    expect(cache_.busy() == 0, "alone, a writer is never turned away");
  }

 private:
  struct entry {
    bool there = false;
    std::uint32_t serial = 0;
    time_point at{};
  };

  void get(std::size_t n) {
    entry& e = entries_.at(n);
    const auto found = cache_.get(Kind::key_of(n), now_);
    if (found.state == cache_state::miss) return note_loss(e);
    expect(e.there, "what was never put or is erased is not found");
    expect(Kind::same(found.value, Kind::value_of(e.serial)), "the value that was put last");
    const duration age = now_ > e.at ? now_ - e.at : duration(0);
    expect(found.age == age, "its true age");
    const cache_state wanted = age < fresh_for               ? cache_state::fresh
                               : age < fresh_for + stale_for ? cache_state::stale
                                                             : cache_state::expired;
    expect(found.state == wanted, "fresh, stale or expired by its age");
  }
  void note_loss(entry& e) {
    if (!e.there) return;
    e.there = false;
    --live_;
    ++lost_;
    expect(lost_ <= cache_.evicted(), "an entry goes by eviction only");
  }

  void put(std::size_t n) {
    entry& e = entries_.at(n);
    get(n);  // so that the oracle knows whether it is there
    const std::uint64_t evicted = cache_.evicted();
    const cache_put result = cache_.put(Kind::key_of(n), Kind::value_of(next_), now_);
    if (e.there && e.at > now_) {
      expect(result == cache_put::older, "a younger value is not replaced by an older one");
      return get(n);
    }
    expect(result == cache_put::stored, "anything else is stored");
    expect(!e.there || cache_.evicted() == evicted, "renewing an entry evicts none");
    const std::size_t here = live_ - (evicted - lost_);
    if (one_set_ && !e.there) expect(cache_.evicted() == evicted + (here == 7 ? 1 : 0), "evicts only from a full set");
    if (!e.there) ++live_;
    e = {true, next_++, now_};
    get(n);
    expect(e.there, "what was just stored is there");
  }

  void erase(std::size_t n) {
    entry& e = entries_.at(n);
    get(n);
    expect(cache_.erase(Kind::key_of(n)) == e.there, "erase says whether it was there");
    if (e.there) --live_;
    e.there = false;
    get(n);
  }

  alignas(64) std::array<std::byte, 8192> room_;
  std::pmr::monotonic_buffer_resource memory_{room_.data(), room_.size(), std::pmr::null_memory_resource()};
  cache<typename Kind::key, typename Kind::value, Hash> cache_;
  bool one_set_;
  std::array<entry, keys> entries_{};
  std::size_t live_ = 0;    // entries that the oracle takes to be there
  std::uint64_t lost_ = 0;  // evictions whose victim the oracle has met
  std::uint32_t next_ = 1;
  time_point now_{std::chrono::seconds(1)};
};

template <class Kind, class Hash>
void run(std::uint32_t capacity, input& in) {
  trial<Kind, Hash> cache(capacity);
  while (!in.empty()) cache.step(in);
  cache.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  switch (in.byte() % 4) {
    case 0: run<numbers, cache_hash>(7, in); break;
    case 1: run<numbers, cache_hash>(14, in); break;
    case 2: run<numbers, clashing_hash>(14, in); break;
    default: run<texts, cache_hash>(7, in); break;
  }
  return 0;
}
