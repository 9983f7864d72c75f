// SPDX-License-Identifier: MIT
// log_field: which types a log field may have, and how a call copies them into its lane.
//
//   type of the value                      in the line
//   bool, integers                         true, -5, 18446744073709551615 (exact; a type's form never depends on its value)
//   float, double                          shortest that reads back equal, always with `.` or `e`; NaN and infinities: null
//   char, text (std::string_view, ...)     escaped, valid UTF-8; a null `const char*` is null
//   std::chrono::duration                  integer nanoseconds; the key must end in _ns
//   std::chrono::sys_time                  RFC 3339 text
//   enum with name_of(e)                   its name
//   std::error_code and its enums          "HF-7" for holdfast's own, otherwise "category:value"
//   error                                  key, key_kind, key_attempts, key_tier, and if said key_retry_after_ns, key_age_ns,
//                                          key_stopped_by
//   error_context                          key_operation, key_instance, key_region, key_correlation_id (the set ones)
//   std::span<const std::byte>             lower-case hexadecimal
//   your own T                             whatever log_value_of(const T&), found by its arguments, returns
//
// Text longer than the call's share of the lane (about 32 KiB for all fields of a call) is cut on a character boundary,
// and the line says "truncated":true. Nothing here allocates.
//
// Proof: tests/unit/log_sink_test.cpp.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <system_error>
#include <tuple>
#include <type_traits>

#include "holdfast/core/error.hpp"
#include "holdfast/telemetry/json_text.hpp"

namespace holdfast {

// A value in a HOLDFAST_LOG call: lives to the end of the call's full expression.
template <class T>
struct log_value {
  using type = T;
  constexpr explicit log_value(const T& value) noexcept : value_of(value) {}
  const T& value_of;
};

namespace log_detail {

enum class kind : std::uint8_t {
  boolean,
  i32,
  i64,
  u32,
  u64,
  f32,
  f64,
  text,
  bytes,
  nanoseconds,
  time,
  code,
  failure,
  failure_context
};

struct nanoseconds {
  std::int64_t count;
};
struct wall_time {
  std::int64_t ns;
};
// A category is named by the object that is it.
struct code {
  const std::error_category* category;
  std::int32_t value;
};

template <class T>
concept has_own_form = requires(const T& v) {
  log_value_of(v);
};
template <class T>
concept has_name = std::is_enum_v<T> && requires(const T& v) {
  { name_of(v) } -> std::convertible_to<std::string_view>;
};
template <class T>
concept is_error_code_enum = std::is_enum_v<T> && std::is_error_code_enum<T>::value;
template <class>
inline constexpr bool is_duration = false;
template <class Rep, class Period>
inline constexpr bool is_duration<std::chrono::duration<Rep, Period>> = true;
template <class>
inline constexpr bool is_sys_time = false;
template <class Duration>
inline constexpr bool is_sys_time<std::chrono::time_point<std::chrono::system_clock, Duration>> = true;
template <class>
inline constexpr bool never = false;

// What a value is copied as.
template <class T>
[[gnu::always_inline]] inline auto canonical(const T& v) noexcept {
  using std::chrono::duration_cast;
  if constexpr (has_own_form<T>) {
    using form = decltype(log_value_of(v));
    static_assert(std::is_reference_v<form> || std::is_arithmetic_v<form> || std::is_same_v<form, std::string_view> ||
                      std::is_same_v<form, const char*> || std::is_same_v<form, std::error_code> ||
                      std::is_same_v<form, error> || is_duration<form> || is_sys_time<form>,
                  "log_value_of must not return text that dies before it is copied: return a view of the value");
    return canonical(log_value_of(v));
  } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, float> || std::is_same_v<T, double> ||
                       std::is_same_v<T, error> || std::is_same_v<T, error_context>) {
    return v;
  } else if constexpr (std::is_same_v<T, char>) {
    return std::string_view(&v, 1);
  } else if constexpr (std::is_same_v<T, wchar_t> || std::is_same_v<T, char8_t> || std::is_same_v<T, char16_t> ||
                       std::is_same_v<T, char32_t>) {
    static_assert(never<T>, "a log field holds UTF-8 text as char");
  } else if constexpr (std::is_integral_v<T>) {
    if constexpr (sizeof(T) <= 4) {
      if constexpr (std::is_signed_v<T>)
        return static_cast<std::int32_t>(v);
      else
        return static_cast<std::uint32_t>(v);
    } else {
      if constexpr (std::is_signed_v<T>)
        return static_cast<std::int64_t>(v);
      else
        return static_cast<std::uint64_t>(v);
    }
  } else if constexpr (is_error_code_enum<T>) {
    const std::error_code made = make_error_code(v);
    return code{&made.category(), made.value()};
  } else if constexpr (has_name<T>) {
    return std::string_view(name_of(v));
  } else if constexpr (std::is_same_v<T, std::error_code>) {
    return code{&v.category(), v.value()};
  } else if constexpr (is_duration<T>) {
    return nanoseconds{duration_cast<std::chrono::nanoseconds>(v).count()};
  } else if constexpr (is_sys_time<T>) {
    return wall_time{duration_cast<std::chrono::nanoseconds>(v.time_since_epoch()).count()};
  } else if constexpr (std::is_convertible_v<const T&, const char*> && !std::is_array_v<T>) {
    // A null text is told from an empty one by its data.
    const char* const text = v;
    return text == nullptr ? std::string_view() : std::string_view(text);
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    const std::string_view text = v;
    return text.data() == nullptr ? std::string_view("") : text;
  } else if constexpr (std::is_convertible_v<const T&, std::span<const std::byte>>) {
    return std::span<const std::byte>(v);
  } else {
    static_assert(never<T>, "no log form for this type: write log_value_of(const T&), or name_of(T) for an enum");
  }
}

template <class T>
using canonical_t = decltype(canonical(std::declval<const T&>()));

template <class C>
constexpr kind kind_of() noexcept {
  if constexpr (std::is_same_v<C, bool>)
    return kind::boolean;
  else if constexpr (std::is_same_v<C, std::int32_t>)
    return kind::i32;
  else if constexpr (std::is_same_v<C, std::int64_t>)
    return kind::i64;
  else if constexpr (std::is_same_v<C, std::uint32_t>)
    return kind::u32;
  else if constexpr (std::is_same_v<C, std::uint64_t>)
    return kind::u64;
  else if constexpr (std::is_same_v<C, float>)
    return kind::f32;
  else if constexpr (std::is_same_v<C, double>)
    return kind::f64;
  else if constexpr (std::is_same_v<C, std::string_view>)
    return kind::text;
  else if constexpr (std::is_same_v<C, std::span<const std::byte>>)
    return kind::bytes;
  else if constexpr (std::is_same_v<C, nanoseconds>)
    return kind::nanoseconds;
  else if constexpr (std::is_same_v<C, wall_time>)
    return kind::time;
  else if constexpr (std::is_same_v<C, code>)
    return kind::code;
  else if constexpr (std::is_same_v<C, error>)
    return kind::failure;
  else
    return kind::failure_context;
}

template <class C>
inline constexpr bool varies = std::is_same_v<C, std::string_view> || std::is_same_v<C, std::span<const std::byte>>;

// Of a varying value's length word: cut at the call, and no text at all.
inline constexpr std::uint32_t cut_bit = 1U << 31U;
inline constexpr std::uint32_t null_bit = 1U << 30U;
inline constexpr std::uint32_t length_mask = null_bit - 1;

// A record in a lane: stamp, [context], [lost total], the fixed part of every field in order, the varying parts in order.
template <class C>
inline constexpr std::size_t fixed_bytes = varies<C> ? 4 : sizeof(C);
template <>
inline constexpr std::size_t fixed_bytes<code> = 12;

// The same for a reader, which has only the kind.
constexpr std::size_t fixed_bytes_of(kind k) noexcept {
  switch (k) {
    case kind::boolean: return fixed_bytes<bool>;
    case kind::i32:
    case kind::u32:
    case kind::f32:
    case kind::text:
    case kind::bytes: return 4;
    case kind::i64:
    case kind::u64:
    case kind::f64:
    case kind::nanoseconds:
    case kind::time: return 8;
    case kind::code: return fixed_bytes<code>;
    case kind::failure: return fixed_bytes<error>;
    case kind::failure_context: return fixed_bytes<error_context>;
  }
  return 0;
}

// All of a record fits into the smallest ring's largest record.
inline constexpr std::size_t record_limit = 32 * 1024 - 16;
inline constexpr std::size_t prefix_limit = 8 + 96 + 8;

template <class... C>
constexpr std::size_t text_share() noexcept {
  constexpr std::size_t varying = (std::size_t{varies<C>} + ... + 0);
  constexpr std::size_t fixed = (fixed_bytes<C> + ... + 0);
  static_assert(fixed < record_limit / 2, "the fields of this call do not fit into a record");
  return varying == 0 ? 0 : (record_limit - prefix_limit - fixed) / varying;
}

// Short copies without a call: most strings in logs are a few bytes.
[[gnu::always_inline]] inline std::byte* copy_short(std::byte* out, const void* from, std::size_t size) noexcept {
  const auto* in = static_cast<const std::byte*>(from);
  if (size <= 16) [[likely]] {
    if (size >= 8) {
      std::uint64_t a, b;
      std::memcpy(&a, in, 8);
      std::memcpy(&b, in + size - 8, 8);
      std::memcpy(out, &a, 8);
      std::memcpy(out + size - 8, &b, 8);
    } else if (size >= 4) {
      std::uint32_t a, b;
      std::memcpy(&a, in, 4);
      std::memcpy(&b, in + size - 4, 4);
      std::memcpy(out, &a, 4);
      std::memcpy(out + size - 4, &b, 4);
    } else if (size > 0) {
      out[0] = in[0];
      out[size / 2] = in[size / 2];
      out[size - 1] = in[size - 1];
    }
  } else {
    std::memcpy(out, in, size);
  }
  return out + size;
}

// A value on its way into the record: cut to its share first, so that its size is known.
template <class C>
struct part {
  C value;
  bool cut = false;
};

template <std::size_t Share, class C>
[[gnu::always_inline]] constexpr part<C> prepare(C value) noexcept {
  if constexpr (std::is_same_v<C, std::string_view>) {
    if (value.size() > Share) [[unlikely]]
      return {cut_at_character(value, Share), true};
  } else if constexpr (varies<C>) {
    if (value.size() > Share) [[unlikely]]
      return {value.first(Share), true};
  }
  return {value, false};
}

template <class C>
[[gnu::always_inline]] constexpr std::size_t varying_bytes(const part<C>& p) noexcept {
  if constexpr (varies<C>)
    return p.value.size();
  else
    return 0;
}

template <class C>
[[gnu::always_inline]] inline std::byte* put_fixed(std::byte* out, const part<C>& p) noexcept {
  if constexpr (varies<C>) {
    std::uint32_t length = static_cast<std::uint32_t>(p.value.size());
    if (p.cut) length |= cut_bit;
    if (p.value.data() == nullptr) length |= null_bit;
    std::memcpy(out, &length, 4);
  } else if constexpr (std::is_same_v<C, code>) {
    std::memcpy(out, &p.value.category, 8);
    std::memcpy(out + 8, &p.value.value, 4);
  } else {
    std::memcpy(out, &p.value, sizeof(C));
  }
  return out + fixed_bytes<C>;
}

template <class C>
[[gnu::always_inline]] inline std::byte* put_varying(std::byte* out, const part<C>& p) noexcept {
  if constexpr (varies<C>)
    return copy_short(out, p.value.data(), p.value.size());
  else
    return out;
}

}  // namespace log_detail
}  // namespace holdfast
