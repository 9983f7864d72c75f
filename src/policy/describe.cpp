// SPDX-License-Identifier: MIT
#include "holdfast/policy/describe.hpp"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>

#include "holdfast/core/verdict.hpp"
#include "holdfast/policy/breaker_rules.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {
namespace {

// A text that is longer than it may be is cut where it is made into an error_text, between two characters.
class sentence {
 public:
  sentence& operator<<(std::string_view words) noexcept {
    for (const char c : words) {
      if (size_ == bytes_.size()) break;
      bytes_[size_++] = c;
    }
    return *this;
  }
  sentence& operator<<(std::int64_t number) noexcept {
    std::array<char, 20> digits{};
    const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    return *this << std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
  }
  [[nodiscard]] error_text text() const noexcept { return std::string_view(bytes_.data(), size_); }

 private:
  std::array<char, error_text::capacity() + 4> bytes_{};  // so that what is cut is seen to be
  std::size_t size_ = 0;
};

enum class rounded : std::uint8_t { to_nearest, up };

// The unit is chosen by what comes out, so that nothing is "1000 ms" or "60.0 s".
sentence& put_time(sentence& to, duration time, rounded way) noexcept {
  const auto in = [&](std::int64_t unit_ns) {
    const std::int64_t rest = time.count() % unit_ns;
    return time.count() / unit_ns + (rest >= (way == rounded::up ? 1 : unit_ns / 2) ? 1 : 0);
  };
  if (const auto us = in(1'000); us < 1'000) return to << us << " us";
  if (const auto ms = in(1'000'000); ms < 1'000) return to << ms << " ms";
  if (const auto tenths = in(100'000'000); tenths < 600) return to << tenths / 10 << "." << tenths % 10 << " s";
  if (const auto seconds = in(1'000'000'000); seconds < 3'600)
    return to << seconds / 60 << " min " << seconds % 60 << " s";
  if (const auto minutes = in(60'000'000'000); minutes < 48 * 60)
    return to << minutes / 60 << " h " << minutes % 60 << " min";
  const auto hours = in(3'600'000'000'000);
  return to << hours / 24 << " d " << hours % 24 << " h";
}

bool is_own(const error& why) noexcept {
  return why.code.category() == holdfast_category();
}

void put_code(sentence& to, const error& why) noexcept {
  if (is_own(why)) {
    to << message_of(static_cast<errc>(why.code.value()));
  } else {
    to << why.code.category().name() << ":" << std::int64_t{why.code.value()};
  }
}

// Of a breaker its state, which has an age; of the others what they say.
void put_refusal(sentence& to, const error& why, errc code) noexcept {
  const bool half_open = code == errc::probe_quota;
  if (code == errc::breaker_open) {
    to << "open";
  } else if (code == errc::breaker_isolated) {
    to << "isolated by hand";
  } else if (half_open) {
    to << "half-open";
  } else {
    to << message_of(code);
  }
  if (why.age) put_time(to << " for ", why.age.value(), rounded::to_nearest);
  if (code == errc::breaker_open && why.cause != 0) to << " (" << name_of(static_cast<breaker_cause>(why.cause)) << ")";
  if (half_open) to << " (all its probes are out)";
}

}  // namespace

error_text describe(std::string_view dependency, const error& why) noexcept {
  sentence to;
  if (!dependency.empty()) to << dependency << ": ";
  const errc code = is_own(why) ? static_cast<errc>(why.code.value()) : errc{};
  if (why.kind == verdict::rejected && !policy_of(code).empty()) {
    put_refusal(to << policy_of(code) << " refused: ", why, code);
  } else {
    put_code(to << "failed, " << name_of(why.kind) << ": ", why);
  }
  if (why.attempts != 0)
    to << " after " << std::int64_t{why.attempts} << (why.attempts == 1 ? " attempt" : " attempts");
  if (why.stopped_by != errc{} && why.stopped_by != code) to << ", no further one: " << message_of(why.stopped_by);
  if (why.retry_after > duration::zero()) put_time(to << ", come back in ", why.retry_after, rounded::up);
  return to.text();
}

}  // namespace holdfast
