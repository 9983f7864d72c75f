// SPDX-License-Identifier: MIT
#include "holdfast/policy/retry_after.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>

namespace holdfast {
namespace {

constexpr std::array<std::string_view, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> days = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                  "Thursday", "Friday", "Saturday"};

constexpr bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

// Takes from the front of `text`; once something did not fit, everything after it fails too.
struct reader {
  std::string_view text;
  bool good = true;

  void literal(std::string_view expected) noexcept {
    good = good && text.starts_with(expected);
    if (good) text.remove_prefix(expected.size());
  }
  int digits(std::size_t count) noexcept {
    good = good && text.size() >= count;
    int value = 0;
    for (std::size_t i = 0; good && i < count; ++i) {
      good = is_digit(text[i]);
      value = value * 10 + (text[i] - '0');
    }
    if (good) text.remove_prefix(count);
    return value;
  }
  unsigned month() noexcept {
    for (unsigned m = 0; good && m < months.size(); ++m) {
      if (text.starts_with(months[m])) {
        text.remove_prefix(3);
        return m + 1;
      }
    }
    good = false;
    return 0;
  }
  // The index of a day's name, whole or its first three letters.
  unsigned weekday(bool whole) noexcept {
    for (unsigned d = 0; good && d < days.size(); ++d) {
      const std::string_view name = whole ? days[d] : days[d].substr(0, 3);
      if (text.starts_with(name)) {
        text.remove_prefix(name.size());
        return d;
      }
    }
    good = false;
    return 0;
  }
};

// A date that seems more than 50 years ahead is the last one in the past with these two digits (RFC 9110, 5.6.7), and one of
// the next century may well be less than that ahead. Counted in whole years.
int whole_year(int two_digits, std::int64_t wall_now_s) noexcept {
  using namespace std::chrono;
  // Clocks that are farther off than HTTP's years of four digits.
  constexpr std::int64_t first_century = -62'000'000'000;
  constexpr std::int64_t last_century = 250'000'000'000;
  const sys_seconds now{seconds(std::clamp(wall_now_s, first_century, last_century))};
  const int this_year = static_cast<int>(year_month_day(floor<std::chrono::days>(now)).year());
  int year_number = this_year / 100 * 100 + 100 + two_digits;
  while (year_number > this_year + 50) year_number -= 100;
  return year_number;
}

}  // namespace

std::optional<std::int64_t> parse_http_date(std::string_view text, std::int64_t wall_now_s) noexcept {
  using namespace std::chrono;
  reader in{text};
  int year_number = 0;
  unsigned month_number = 0;
  int day_number = 0;
  std::int64_t time_of_day = 0;
  bool short_year = false;
  const auto read_time = [&] {
    const int h = in.digits(2);
    in.literal(":");
    const int m = in.digits(2);
    in.literal(":");
    const int s = in.digits(2);
    in.good = in.good && h < 24 && m < 60 && s <= 60;  // 60: a leap second
    time_of_day = h * 3600 + m * 60 + s;
  };
  const std::size_t comma = text.find(',');
  const unsigned named_day = in.weekday(comma != text.npos && comma > 3);
  if (comma == 3) {  // Sun, 06 Nov 1994 08:49:37 GMT
    in.literal(", ");
    day_number = in.digits(2);
    in.literal(" ");
    month_number = in.month();
    in.literal(" ");
    year_number = in.digits(4);
    in.literal(" ");
    read_time();
    in.literal(" GMT");
  } else if (comma != text.npos) {  // Sunday, 06-Nov-94 08:49:37 GMT
    in.literal(", ");
    day_number = in.digits(2);
    in.literal("-");
    month_number = in.month();
    in.literal("-");
    year_number = in.digits(2);
    short_year = true;
    in.literal(" ");
    read_time();
    in.literal(" GMT");
  } else {  // Sun Nov  6 08:49:37 1994
    in.literal(" ");
    month_number = in.month();
    in.literal(" ");
    if (in.text.starts_with(' ')) {
      in.literal(" ");
      day_number = in.digits(1);
    } else {
      day_number = in.digits(2);
    }
    in.literal(" ");
    read_time();
    in.literal(" ");
    year_number = in.digits(4);
  }
  if (!in.good || !in.text.empty()) return std::nullopt;
  if (short_year) year_number = whole_year(year_number, wall_now_s);
  const year_month_day date(year(year_number), month(month_number), day(static_cast<unsigned>(day_number)));
  if (!date.ok() || weekday(sys_days(date)).c_encoding() != named_day) return std::nullopt;
  return duration_cast<seconds>(sys_days(date).time_since_epoch()).count() + time_of_day;
}

std::optional<duration> parse_retry_after(std::string_view value, std::int64_t wall_now_ns) noexcept {
  if (value.empty()) return std::nullopt;
  constexpr std::int64_t second = 1'000'000'000;
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / second;
  if (is_digit(value.front())) {
    std::int64_t total = 0;
    for (const char c : value) {
      if (!is_digit(c)) return std::nullopt;
      if (total <= most) total = total * 10 + (c - '0');
    }
    return total > most ? duration::max() : duration(total * second);
  }
  const auto at = parse_http_date(value, wall_now_ns / second);
  if (!at) return std::nullopt;
  // Years 0 to 9999 do not all fit into nanoseconds.
  __extension__ using wide = __int128;
  constexpr wide longest = duration::max().count();
  return duration(static_cast<std::int64_t>(std::clamp<wide>(wide{*at} * second - wall_now_ns, 0, longest)));
}

retry_pushback parse_retry_pushback(std::string_view value) noexcept {
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  std::int64_t total = 0;
  for (const char c : value) {
    if (!is_digit(c)) return {.never = true};  // a sign too: what is negative means never
    total = total * 10 + (c - '0');
    if (total > most) return {.never = true};
  }
  if (value.empty()) return {.never = true};
  return {.retry_after = std::chrono::milliseconds(total)};
}

}  // namespace holdfast
