// SPDX-License-Identifier: MIT
// Readers, writers and an eraser in caches so small that slots change their keys all the time: no value is torn or of
// another key, none is older than one that its reader has seen, and what was erased by its only writer is gone.
#include <array>

#include "holdfast/policy/cache.hpp"

#include "soak.hpp"

namespace soak {
namespace {

using holdfast::cache;
using holdfast::cache_put;
using holdfast::cache_state;
using holdfast::time_point;

// A value whose every word says the same thing about it.
struct checked_value {
  std::uint64_t key = 0;
  std::uint64_t version = 0;
  std::array<std::uint64_t, 6> copies{};

  static checked_value make(std::uint64_t key, std::uint64_t version) {
    checked_value v{.key = key, .version = version};
    v.copies.fill(key * 1'000'003 + version);
    return v;
  }
  [[nodiscard]] bool is_whole() const {
    for (const auto copy : copies) {
      if (copy != key * 1'000'003 + version) return false;
    }
    return true;
  }
};

time_point at(std::uint64_t version) {
  return time_point(std::chrono::hours(1)) + holdfast::duration(static_cast<std::int64_t>(version));
}

using small_cache = cache<std::uint64_t, checked_value>;
constexpr std::uint64_t shared_keys = 24;
constexpr std::uint64_t steps = 40'000;

void read(run& r, small_cache& c, std::uint64_t seed) {
  holdfast::splitmix64 random(seed);
  std::array<std::uint64_t, shared_keys> last{};
  std::uint64_t torn = 0;
  std::uint64_t wrong = 0;
  std::uint64_t backwards = 0;
  for (std::uint64_t i = 0; i < steps; ++i) {
    const std::uint64_t key = uniform_up_to(random, shared_keys - 1);
    const auto found = c.get(key, at(0));
    if (found.state == cache_state::miss) continue;
    torn += found.value.is_whole() ? 0U : 1U;
    wrong += found.value.key != key ? 1U : 0U;
    backwards += found.value.version < last[key] ? 1U : 0U;
    last[key] = found.value.version;
  }
  r.expect(torn == 0, "a torn value was read");
  r.expect(wrong == 0, "the value of another key was read");
  r.expect(backwards == 0, "an older value was read after a younger one");
}

// A writer owns its keys, so that versions of a key only grow; sets are shared.
void write(run& r, small_cache& c, std::uint64_t seed, std::uint64_t writer, std::uint64_t& operations) {
  holdfast::splitmix64 random(seed);
  const std::uint64_t erased_key = 1'000 + writer;
  std::uint64_t survived = 0;
  std::uint64_t done = 0;
  for (std::uint64_t i = 1; i <= steps; ++i) {
    const std::uint64_t key = uniform_up_to(random, shared_keys / 2 - 1) * 2 + writer;
    auto value = checked_value::make(key, i);
    if (r.sabotage() && i > steps / 2) value.copies[3] ^= 1U;
    static_cast<void>(c.put(key, value, at(i)));
    ++done;
    if (i % 8 == 0) {
      ++done;
      if (c.put(erased_key, checked_value::make(erased_key, i), at(i)) == cache_put::stored) {
        c.erase(erased_key);
        survived += c.get(erased_key, at(i)).state != cache_state::miss ? 1U : 0U;
        done += 2;
      }
    }
  }
  operations = done;
  r.expect(survived == 0, "what was erased was found again");
}

}  // namespace

void play_cache(run& r) {
  while (r.next_round()) {
    holdfast::splitmix64 random(r.round_seed());
    small_cache c({.capacity = 7 * (1 + static_cast<std::uint32_t>(uniform_up_to(random, 2))),
                   .fresh_for = std::chrono::hours(1),
                   .seed = random()});
    const std::uint64_t seed = random();
    std::array<std::uint64_t, 2> written{};
    together({[&] { read(r, c, seed); }, [&] { write(r, c, seed + 1, 0, written[0]); }, [&] { read(r, c, seed + 2); },
              [&] { write(r, c, seed + 3, 1, written[1]); }});
    r.did(2 * steps + written[0] + written[1]);
  }
}

}  // namespace soak
