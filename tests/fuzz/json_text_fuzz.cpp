// SPDX-License-Identifier: MIT
// json_text: any bytes become the JSON string that Unicode's definitions ask for, any number reads back as itself.
#include <time.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>

#include "holdfast/telemetry/json_text.hpp"

#include "fuzz/strict_json.hpp"
#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;

// Memory of exactly the size that is promised to do, so that a sanitizer sees a write behind it.
struct exact_buffer {
  explicit exact_buffer(std::size_t size) : bytes(new char[size]) {}
  std::unique_ptr<char[]> bytes;
};

void escapes(std::string_view text) {
  const repaired_text wanted = repaired(text);
  const exact_buffer out(6 * text.size() + 16);
  std::uint64_t invalid = 0;
  const char* const end = put_escaped(out.bytes.get(), text, invalid);
  std::string back;
  expect(strict_json::unescape({out.bytes.get(), static_cast<std::size_t>(end - out.bytes.get())}, back),
         "the characters of a JSON string");
  expect(back == wanted.text, "the string reads back as it was, U+FFFD for what was no UTF-8");
  expect(invalid == wanted.replaced, "each replacement is counted");
}

void escapes_within(std::string_view text, std::size_t room) {
  const repaired_text wanted = repaired(text);
  const exact_buffer out(room);
  std::uint64_t invalid = 0;
  const bounded_put put = put_escaped_within(out.bytes.get(), out.bytes.get() + room, text, invalid);
  std::string back;
  expect(strict_json::unescape({out.bytes.get(), static_cast<std::size_t>(put.end - out.bytes.get())}, back),
         "the characters of a JSON string, whole ones");
  expect(wanted.text.compare(0, back.size(), back) == 0, "what was written is how the string begins");
  expect(put.cut == (back.size() != wanted.text.size()), "cut, and only then, if something is missing");
  expect(put.cut ? invalid <= wanted.replaced : invalid == wanted.replaced, "each replacement is counted once");
  expect(!put.cut || 6 * text.size() + 16 > room, "what certainly fits is written whole");
}

void cuts(std::string_view text, std::size_t bytes) {
  std::size_t longest = 0;
  each_piece(text, [&](const utf8_piece& piece) {
    if (piece.begin + piece.size <= bytes) longest = piece.begin + piece.size;
  });
  const std::string_view cut = cut_at_character(text, bytes);
  expect(cut.data() == text.data() && cut.size() == longest, "the longest beginning of whole characters");
}

template <class Real>
Real read(const std::string& text) {
  if constexpr (sizeof(Real) == sizeof(float)) {
    return std::strtof(text.c_str(), nullptr);
  } else {
    return std::strtod(text.c_str(), nullptr);
  }
}

// Digits from the first to the last that is not zero.
std::size_t significant(std::string_view text) {
  std::string digits;
  for (const char c : text.substr(0, text.find('e'))) {
    if (c >= '0' && c <= '9') digits += c;
  }
  const std::size_t first = digits.find_first_not_of('0');
  return first == digits.npos ? 0 : digits.find_last_not_of('0') - first + 1;
}

// Of all texts in scientific notation that read back equal, none is shorter, or what is written makes do with as few digits.
// The sign of a real number that std::to_chars leaves off an integer is not counted.
template <class Real>
void shortest(std::string_view text, Real value) {
  if (text.substr(text.size() - 2) == ".0") text.remove_suffix(2);
  // Fewer digits with zeros behind them are more digits too, so one look at the longest shorter text is enough.
  std::array<char, 64> other{};
  int digits = static_cast<int>(text.size());
  std::size_t size = 0;
  do {
    size = static_cast<std::size_t>(
        std::snprintf(other.data(), other.size(), "%.*e", --digits, static_cast<double>(value)));
  } while (size >= text.size() && (digits -= static_cast<int>(size - text.size())) > 0);
  if (size >= text.size() || read<Real>(other.data()) != value) return;
  expect(significant(text) <= significant(other.data()), "no shorter text of fewer digits reads back equal");
}

template <class Real>
void real(Real value, char* (*put)(char*, Real) noexcept) {
  const exact_buffer out(json_number_space);
  const std::string text(out.bytes.get(), put(out.bytes.get(), value));
  if (!std::isfinite(value)) return expect(text == "null", "null for what JSON cannot say");
  expect(strict_json::is_number(text), "a JSON number");
  expect(text.find_first_of(".e") != text.npos, "a number that shows that it is not an integer");
  const Real back = read<Real>(text);
  expect(back == value && std::signbit(back) == std::signbit(value), "reads back as it was");
  shortest(text, value);
}

void integers(std::uint64_t bits) {
  const exact_buffer out(json_number_space);
  std::array<char, 32> wanted{};
  std::snprintf(wanted.data(), wanted.size(), "%llu", static_cast<unsigned long long>(bits));
  expect(std::string_view(out.bytes.get(), put_unsigned(out.bytes.get(), bits)) == wanted.data(), "unsigned: exact");
  std::snprintf(wanted.data(), wanted.size(), "%lld", static_cast<long long>(bits));
  expect(
      std::string_view(out.bytes.get(), put_signed(out.bytes.get(), static_cast<std::int64_t>(bits))) == wanted.data(),
      "signed: exact");
  const auto bytes = std::as_bytes(std::span(&bits, 1));
  std::snprintf(wanted.data(), wanted.size(), "%016llx", static_cast<unsigned long long>(__builtin_bswap64(bits)));
  expect(std::string_view(out.bytes.get(), put_hex(out.bytes.get(), bytes)) == wanted.data(), "two digits a byte");
}

void times(input& in) {
  constexpr std::int64_t giga = 1'000'000'000;
  rfc3339_writer writer;  // one for several times: it keeps the second
  std::int64_t ns = 0;
  for (int i = 0; i < 4 && !in.empty(); ++i) {
    // Small steps too, so that the kept second is both used and replaced.
    const unsigned step = in.byte() % 4;
    const auto by = static_cast<std::int64_t>(in.number(step == 0 ? 8 : 4));
    if (step == 0) ns = by;
    if (step == 1 && ns < INT64_MAX - by) ns += by;
    if (step == 2 && ns > INT64_MIN + by) ns -= by;
    const std::int64_t fraction = ((ns % giga) + giga) % giga;
    const time_t second = ns / giga - (ns % giga < 0 ? 1 : 0);
    tm date{};
    ::gmtime_r(&second, &date);
    std::array<char, 64> wanted{};
    const std::size_t used = ::strftime(wanted.data(), wanted.size(), "%Y-%m-%dT%H:%M:%S", &date);
    std::snprintf(&wanted.at(used), wanted.size() - used, ".%09lldZ", static_cast<long long>(fraction));
    const exact_buffer out(rfc3339_space);
    expect(std::string_view(out.bytes.get(), writer.put(out.bytes.get(), ns)) == wanted.data(), "the calendar's date");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  switch (in.byte() % 8) {
    case 0: integers(in.number(8)); break;
    case 1: real(std::bit_cast<double>(in.number(8)), put_double); break;
    case 2: real(std::bit_cast<float>(static_cast<std::uint32_t>(in.number(4))), put_float); break;
    // Decimals of few digits have a path of their own.
    case 3: {
      const auto scale = std::pow(10.0, static_cast<double>(in.below(9)));
      real(static_cast<double>(static_cast<std::int64_t>(in.number(8)) >> in.below(64)) / scale, put_double);
      break;
    }
    case 4: times(in); break;
    case 5: {
      const std::size_t bytes = in.below(128);
      cuts(in.rest(), bytes);
      break;
    }
    case 6: {
      const std::size_t room = in.below(1024);
      escapes_within(in.rest(), room);
      break;
    }
    default: escapes(in.rest()); break;
  }
  return 0;
}
