// SPDX-License-Identifier: MIT
// log_site: what is known about a HOLDFAST_LOG call before the program runs: level, place, message, keys and their types.
//
// Refused at compile time, with the reason in the name of the function that the error mentions: a key that appears twice
// or is one of holdfast's own, a key outside [A-Za-z0-9_.], a duration whose key does not end in _ns, more than 24 fields,
// a message over 256 bytes. A site gets its number at its first call, wait-free; 8,191 of them fit into a process, and
// calls of sites beyond that are counted as lost.
//
// Sites live as long as the code that holds them: flush the sinks before a library with HOLDFAST_LOG calls is unloaded.
//
// Proof: tests/unit/log_sink_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "holdfast/core/atomic.hpp"
#include "holdfast/telemetry/log_field.hpp"
#include "holdfast/telemetry/log_level.hpp"

namespace holdfast {

struct log_key {
  std::string_view text;
};

namespace log_detail {

struct field_info {
  std::string_view key{};
  kind type{};
};

inline constexpr std::size_t max_fields = 24;
inline constexpr std::size_t max_key = 48;
inline constexpr std::size_t max_message = 256;
inline constexpr std::size_t max_file = 96;
inline constexpr std::size_t max_fields_text = 6 * 1024;

// Not constexpr: to name one in a constant expression is the compile-time error.
void a_key_appears_twice();
void a_key_is_reserved();
void a_key_has_a_character_outside_A_Z_a_z_0_9_underscore_dot();
void a_key_is_empty_or_longer_than_48_bytes();
void the_key_of_a_duration_must_end_in_ns();
void the_message_is_longer_than_256_bytes();
void the_fields_are_too_large_for_one_line();

constexpr std::string_view reserved_keys[] = {"timestamp", "level",       "message",        "trace_id",
                                              "span_id",   "trace_flags", "correlation_id", "logger",
                                              "thread",    "file",        "line",           "truncated"};
constexpr std::string_view failure_suffixes[] = {"_kind",     "_retry_after_ns", "_age_ns",
                                                 "_attempts", "_tier",           "_stopped_by"};
constexpr std::string_view context_suffixes[] = {"_operation", "_instance", "_region", "_correlation_id"};

constexpr bool is_suffixed(std::string_view key, std::string_view base, std::string_view suffix) noexcept {
  return key.size() == base.size() + suffix.size() && key.substr(0, base.size()) == base &&
         key.substr(base.size()) == suffix;
}

// Does `field` write the key `key`?
constexpr bool writes_key(const field_info& field, std::string_view key) noexcept {
  if (field.type == kind::failure_context) {
    for (const auto suffix : context_suffixes) {
      if (is_suffixed(key, field.key, suffix)) return true;
    }
    return false;
  }
  if (field.key == key) return true;
  if (field.type == kind::failure) {
    for (const auto suffix : failure_suffixes) {
      if (is_suffixed(key, field.key, suffix)) return true;
    }
  }
  return false;
}

// Characters of a line that a field needs beside its varying part, at most.
constexpr std::size_t line_bytes(const field_info& field) noexcept {
  const std::size_t key = field.key.size() + 4;
  switch (field.type) {
    case kind::text:
    case kind::bytes: return key + 8;
    case kind::code: return key + 48;
    case kind::failure: return 7 * (key + 16) + 2 * 48 + 5 * 24;
    case kind::failure_context: return 4 * (key + 18) + 6 * (31 + 31 + 15 + 64) + 64;
    default: return key + 36;
  }
}

template <class... Values>
struct type_list {};
// Both take a first 0, so that an empty list needs no other form.
template <class... Values>
type_list<canonical_t<typename Values::type>...> types_of(int, const Values&...);
template <class... Keys>
consteval std::array<log_key, sizeof...(Keys)> keys_of(int, Keys... keys) {
  return {keys...};
}

template <class... C, std::size_t N>
  requires(sizeof...(C) == N)
consteval std::array<field_info, N> make_fields(type_list<C...>, const std::array<log_key, N>& keys) {
  static_assert(N <= max_fields, "a log call has at most 24 fields");
  std::array<field_info, N> fields{};
  const std::array<kind, N> kinds{kind_of<C>()...};
  std::size_t text = 0;
  for (std::size_t i = 0; i < N; ++i) {
    const std::string_view key = keys[i].text;
    fields[i] = field_info{key, kinds[i]};
    if (key.empty() || key.size() > max_key) a_key_is_empty_or_longer_than_48_bytes();
    for (const char c : key) {
      const bool good =
          (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
      if (!good) a_key_has_a_character_outside_A_Z_a_z_0_9_underscore_dot();
    }
    for (const auto reserved : reserved_keys) {
      if (writes_key(fields[i], reserved)) a_key_is_reserved();
    }
    if (kinds[i] == kind::nanoseconds && (key.size() < 4 || key.substr(key.size() - 3) != "_ns")) {
      the_key_of_a_duration_must_end_in_ns();
    }
    for (std::size_t k = 0; k < i; ++k) {
      if (writes_key(fields[k], key) || writes_key(fields[i], fields[k].key)) a_key_appears_twice();
      if (fields[k].key == key && fields[k].type == fields[i].type) a_key_appears_twice();
    }
    text += line_bytes(fields[i]);
  }
  if (text > max_fields_text) the_fields_are_too_large_for_one_line();
  return fields;
}

// Build systems pass paths in many forms: what stays is the part inside the project, or the last two names.
consteval std::string_view short_path(std::string_view path) {
  while (path.substr(0, 3) == "../") path.remove_prefix(3);
  if (path.substr(0, 2) == "./") path.remove_prefix(2);
  if (!path.empty() && path.front() == '/') {
    std::size_t cut = path.rfind('/');
    if (cut != path.npos && cut > 0) cut = path.rfind('/', cut - 1);
    if (cut != path.npos) path.remove_prefix(cut + 1);
  }
  return path.size() > max_file ? path.substr(path.size() - max_file) : path;
}

}  // namespace log_detail

struct log_site {
  const log_detail::field_info* fields = nullptr;
  std::size_t field_count = 0;
  std::string_view message{};
  std::string_view file{};
  std::uint32_t line = 0;
  log_level level{};
};

namespace log_detail {

template <std::size_t N>
consteval log_site make_site(log_level level, std::string_view message, std::string_view file, std::uint32_t line,
                             const std::array<field_info, N>& fields) {
  if (message.size() > max_message) the_message_is_longer_than_256_bytes();
  return log_site{fields.data(), N, message, short_path(file), line, level};
}

inline constexpr std::uint32_t max_sites = 8'192;

// The number of a site: 0 until its first call.
struct site_number {
  atomic<std::uint32_t> value{0};
};

// Gives the site its number; 0 when the table is full.
std::uint32_t register_site(const log_site& site, site_number& number) noexcept;
// Of a number that a record brought.
const log_site& site_at(std::uint32_t number) noexcept;

[[gnu::always_inline]] inline std::uint32_t number_of(const log_site& site, site_number& number) noexcept {
  const std::uint32_t n = number.value.load(mo::acquire);  // [L1] acquire, pairs with [L2]: the table's entry
  if (n == 0) [[unlikely]]
    return register_site(site, number);
  return n;
}

}  // namespace log_detail
}  // namespace holdfast
