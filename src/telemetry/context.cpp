// SPDX-License-Identifier: MIT
#include "holdfast/telemetry/context.hpp"

#include <pthread.h>
#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <span>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/random.hpp"

namespace holdfast {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

constexpr int lower_hex(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

constexpr bool read_hex(std::string_view text, std::span<std::uint8_t> out) noexcept {
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = lower_hex(text[2 * i]);
    const int low = lower_hex(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return true;
}

void write_hex(std::span<const std::uint8_t> in, char* out) noexcept {
  for (const std::uint8_t byte : in) {
    *out++ = hex_digits[byte >> 4U];
    *out++ = hex_digits[byte & 0x0FU];
  }
}

// Counts forks, in the child: every thread's generator compares its own count and seeds anew.
constinit atomic<std::uint32_t> fork_count{0};

bool watch_forks() noexcept {
  return ::pthread_atfork(nullptr, nullptr, [] {
           fork_count.fetch_add(1, mo::relaxed);  // counter: the child has one thread here
         }) == 0;
}

// xoshiro256++, D. Blackman and S. Vigna, "Scrambled linear pseudorandom number generators", 2018.
struct generator {
  std::array<std::uint64_t, 4> state{};
  std::uint32_t forks = 0;
  bool seeded = false;

  void seed() noexcept {
    static const bool watched = watch_forks();
    static_cast<void>(watched);
    forks = fork_count.load(mo::relaxed);  // counter: changes in a single-threaded child only
    seeded = true;
    if (::getrandom(state.data(), sizeof state, GRND_NONBLOCK) == static_cast<ssize_t>(sizeof state) &&
        state != std::array<std::uint64_t, 4>{}) {
      return;
    }
    // The kernel's pool is not ready (early boot) or the call is filtered: time and this thread's address tell us
    // apart.
    timespec t{};
    ::clock_gettime(CLOCK_REALTIME, &t);
    splitmix64 mix(static_cast<std::uint64_t>(t.tv_nsec) ^ (static_cast<std::uint64_t>(t.tv_sec) << 30U) ^
                   std::bit_cast<std::uintptr_t>(this));
    for (auto& word : state) word = mix();
  }

  std::uint64_t next() noexcept {
    if (!seeded || forks != fork_count.load(mo::relaxed)) seed();  // counter: as in seed()
    const std::uint64_t result = std::rotl(state[0] + state[3], 23) + state[0];
    const std::uint64_t t = state[1] << 17U;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= t;
    state[3] = std::rotl(state[3], 45);
    return result;
  }
};
constinit thread_local generator ids{};

constinit atomic<std::uint64_t> threads_numbered{0};

// Never all zeros: zero means that there is no id.
void fill(std::span<std::uint8_t> out) noexcept {
  do {
    for (std::size_t i = 0; i < out.size(); i += 8) {
      std::uint64_t bits = ids.next();
      for (std::size_t k = i; k < i + 8 && k < out.size(); ++k, bits >>= 8U) out[k] = static_cast<std::uint8_t>(bits);
    }
  } while (out[0] == 0 && std::all_of(out.begin(), out.end(), [](std::uint8_t b) { return b == 0; }));
}

}  // namespace

std::uint64_t context_detail::next_thread() noexcept {
  return threads_numbered.fetch_add(1, mo::relaxed) + 1;  // counter: all that counts is that no two get the same
}

std::uint64_t random_id_bits() noexcept {
  return ids.next();
}

std::optional<trace_context> parse_traceparent(std::string_view header) noexcept {
  // version 2, '-', trace id 32, '-', span id 16, '-', flags 2
  constexpr std::size_t length = 55;
  if (header.size() < length || header[2] != '-' || header[35] != '-' || header[52] != '-') return std::nullopt;
  std::array<std::uint8_t, 1> version{};
  std::array<std::uint8_t, 1> flags{};
  trace_context trace;
  if (!read_hex(header, version) || version[0] == 0xFF) return std::nullopt;
  if (version[0] == 0 && header.size() != length) return std::nullopt;
  if (header.size() > length && header[length] != '-') return std::nullopt;
  if (!read_hex(header.substr(3), trace.trace_id) || !read_hex(header.substr(36), trace.span_id) ||
      !read_hex(header.substr(53), flags)) {
    return std::nullopt;
  }
  if (!trace.valid()) return std::nullopt;
  trace.flags = static_cast<std::uint8_t>(flags[0] & (trace_context::sampled_flag | trace_context::random_flag));
  return trace;
}

traceparent_text format_traceparent(const trace_context& trace) noexcept {
  if (!trace.valid()) return {};
  std::array<char, 55> text{};
  text[0] = text[1] = '0';
  text[2] = text[35] = text[52] = '-';
  write_hex(trace.trace_id, &text[3]);
  write_hex(trace.span_id, &text[36]);
  write_hex(std::span(&trace.flags, 1), &text[53]);
  return std::string_view(text.data(), text.size());
}

std::optional<correlation_text> parse_correlation_id(std::string_view header) noexcept {
  if (header.empty() || header.size() > correlation_text::capacity()) return std::nullopt;
  for (const char c : header) {
    if (c <= ' ' || c > '~' || c == '"' || c == '\'' || c == '`' || c == '\\') return std::nullopt;
  }
  return correlation_text(header);
}

correlation_text make_correlation_id() noexcept {
  std::array<std::uint8_t, 16> bytes{};
  fill(bytes);
  std::array<char, 32> text{};
  write_hex(bytes, text.data());
  return std::string_view(text.data(), text.size());
}

trace_context make_trace() noexcept {
  trace_context trace;
  fill(trace.trace_id);
  fill(trace.span_id);
  trace.flags = trace_context::sampled_flag;
  return trace;
}

trace_context child_of(const trace_context& parent) noexcept {
  if (!parent.valid()) return make_trace();
  trace_context child = parent;
  do {
    fill(child.span_id);
  } while (child.span_id == parent.span_id);
  return child;
}

context accept_context(std::string_view traceparent, std::string_view correlation_id) noexcept {
  context accepted;
  const auto parent = parse_traceparent(traceparent);
  accepted.trace = parent ? child_of(*parent) : make_trace();
  const auto given = parse_correlation_id(correlation_id);
  accepted.correlation_id = given ? *given : make_correlation_id();
  return accepted;
}

}  // namespace holdfast
