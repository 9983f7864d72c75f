// SPDX-License-Identifier: MIT
// splitmix64: the small seeded generator behind jitter and sampling. Not for secrets.
//
//   name                         guarantee    caller       allocates
//   splitmix64::operator()       wait-free    one thread   never
//   shared_splitmix64::operator()  wait-free  any thread   never
//   shared_random                wait-free    any thread   never
//   shared_random_bits           wait-free    any thread   never
//   seed_shared_random           wait-free    any thread   never
//
// Sixty-four bits of state, every seed is good, equal seeds give equal sequences: a run is repeated by its seed. The
// shared form is one counter that every thread advances, hashed: equal seeds give equal sets of words, and which thread
// gets which is the scheduler's choice. It costs one read-modify-write of a shared line, which is nothing beside the
// failed call that asks for jitter; where words are drawn on a healthy path, give each thread a splitmix64 of its own.
//
// shared_random is the process's own, seeded by the kernel at start and again in a child after fork, so that processes
// that fail together do not come back together.
//
// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
// Proof: unit/random_test.cpp, model/random_model.cpp.
#pragma once

#include <concepts>
#include <cstdint>

#include "holdfast/core/atomic.hpp"

namespace holdfast {

// Anything that yields 64 uniformly random bits a call.
template <class G>
concept random_bits = requires(G g) {
  { g() } -> std::same_as<std::uint64_t>;
};

// One step of the mix, for hashing a counter or an id into a random word.
constexpr std::uint64_t splitmix64_mix(std::uint64_t x) noexcept {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31U);
}

class splitmix64 {
 public:
  using result_type = std::uint64_t;
  constexpr explicit splitmix64(std::uint64_t seed) noexcept : state_(seed) {}
  constexpr std::uint64_t operator()() noexcept {
    const std::uint64_t out = splitmix64_mix(state_);
    state_ += 0x9E3779B97F4A7C15U;
    return out;
  }
  static constexpr std::uint64_t min() noexcept { return 0; }
  static constexpr std::uint64_t max() noexcept { return ~std::uint64_t{0}; }

 private:
  std::uint64_t state_;
};

class shared_splitmix64 {
 public:
  using result_type = std::uint64_t;
  constexpr explicit shared_splitmix64(std::uint64_t seed) noexcept : state_(seed) {}
  // counter: each word is handed out once; it publishes nothing.
  std::uint64_t operator()() noexcept { return splitmix64_mix(state_.fetch_add(0x9E3779B97F4A7C15U, mo::relaxed)); }
  void seed(std::uint64_t to) noexcept { state_.store(to, mo::relaxed); }  // counter: as above
  static constexpr std::uint64_t min() noexcept { return 0; }
  static constexpr std::uint64_t max() noexcept { return ~std::uint64_t{0}; }

 private:
  atomic<std::uint64_t> state_;
};

// A word of the process's own generator; a random_bits by itself: `delay(options, n, previous, shared_random)`.
std::uint64_t shared_random() noexcept;
// Makes what follows repeatable: for tests and simulations.
void seed_shared_random(std::uint64_t seed) noexcept;
// shared_random as a type: what a part draws from that is handed no other generator.
struct shared_random_bits {
  std::uint64_t operator()() const noexcept { return shared_random(); }
};

// Uniform in [0, bound]; the multiply-shift of Lemire 2019, whose bias (below bound / 2^64) no jitter can show.
template <random_bits G>
constexpr std::uint64_t uniform_up_to(G& bits, std::uint64_t bound) noexcept {
  if (bound == ~std::uint64_t{0}) return bits();
  __extension__ using wide = unsigned __int128;
  return static_cast<std::uint64_t>((static_cast<wide>(bits()) * (bound + 1)) >> 64U);
}

}  // namespace holdfast
