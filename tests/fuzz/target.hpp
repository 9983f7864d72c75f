// SPDX-License-Identifier: MIT
// What every fuzz target is made of: the entry point, numbers drawn from the input, and an expectation that ends the
// process. The same target runs under libFuzzer and, over its committed corpus, under replay.cpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace holdfast::fuzz {

// Not HOLDFAST_ASSERT: the oracle speaks in release builds too.
inline void expect(bool holds, const char* what, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (holds) [[likely]]
    return;
  std::fprintf(stderr, "%s:%d: expected: %s\n", file, line, what);
  std::abort();
}

// Takes numbers from the front of the bytes; past their end everything is zero, so each prefix of an input is one too.
class input {
 public:
  input(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}

  [[nodiscard]] bool empty() const { return at_ == end_; }
  [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }

  std::uint8_t byte() { return at_ == end_ ? std::uint8_t{0} : *at_++; }
  // Little-endian, of so many bytes.
  std::uint64_t number(unsigned bytes) {
    std::uint64_t n = 0;
    for (unsigned i = 0; i < bytes; ++i) n |= std::uint64_t{byte()} << (8 * i);
    return n;
  }
  // In [0, n), n > 0.
  std::uint64_t below(std::uint64_t n) { return number(n <= 256 ? 1 : n <= 65'536 ? 2 : 8) % n; }

  std::string_view text(std::size_t bytes) {
    const std::size_t taken = std::min(bytes, left());
    const std::string_view out(reinterpret_cast<const char*>(at_), taken);
    at_ += taken;
    return out;
  }
  std::string_view rest() { return text(left()); }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

}  // namespace holdfast::fuzz
