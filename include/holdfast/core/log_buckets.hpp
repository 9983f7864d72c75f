// SPDX-License-Identifier: MIT
// log_buckets: which of a fixed number of buckets a value counts in, when their width grows with the value.
//
//   operation     caller   progress    cost                  allocates   when refused
//   index_of      anyone   wait-free   a few instructions    never       -
//   lower_bound   anyone   wait-free   the same              never       -
//   upper_bound   anyone   wait-free   the same              never       -
//   rank_of       anyone   wait-free   one division          never       -
//
// Log-linear: each power of two up to 2^TopExponent is split into 2^SubBits equal buckets, and values below 2^SubBits have one
// each. So a bucket is at most 1/2^SubBits as wide as its smallest value, and whoever answers with an upper bound is at most
// that share above the true value. Values of 2^(TopExponent + 1) and more count in the last bucket.
//
// Arithmetic alone, and not by itself: who counts is telemetry/histogram.hpp, for people, and policy/latency_sketch.hpp, for
// policies. Method: HdrHistogram (Tene).
// Proof: unit/latency_sketch_test.cpp, unit/metrics_test.cpp.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace holdfast {

template <unsigned SubBits, unsigned TopExponent>
struct log_buckets {
  static_assert(SubBits <= TopExponent && TopExponent < 63);

  static constexpr std::uint64_t linear = std::uint64_t{1} << SubBits;
  static constexpr std::size_t count = static_cast<std::size_t>(linear) * (TopExponent - SubBits + 2);

  static constexpr std::size_t index_of(std::uint64_t value) noexcept {
    if (value < linear) return static_cast<std::size_t>(value);
    const auto exponent = static_cast<unsigned>(std::bit_width(value)) - 1;
    if (exponent > TopExponent) return count - 1;
    const unsigned shift = exponent - SubBits;  // what is left after it has SubBits + 1 digits, the first of them a one
    return (std::size_t{shift} << SubBits) + static_cast<std::size_t>(value >> shift);
  }
  // The smallest value that counts in a bucket, and the largest; that of the last bucket as if nothing longer counted there.
  static constexpr std::uint64_t lower_bound(std::size_t index) noexcept {
    if (index < linear) return index;
    const auto shift = static_cast<unsigned>(index >> SubBits) - 1;
    return (linear + (index & (linear - 1))) << shift;
  }
  static constexpr std::uint64_t upper_bound(std::size_t index) noexcept { return lower_bound(index + 1) - 1; }
};

// Which of `all` values in order, counted from one, a share of `permille` thousandths does not exceed; of none: the first.
constexpr std::uint64_t rank_of(std::uint32_t permille, std::uint64_t all) noexcept {
  __extension__ using wide = unsigned __int128;
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>((wide{all} * permille + 999) / 1000));
}

}  // namespace holdfast
