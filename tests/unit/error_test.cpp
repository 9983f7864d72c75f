// SPDX-License-Identifier: MIT
#include "holdfast/core/error.hpp"

#include <cerrno>
#include <iterator>
#include <memory>
#include <string>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/core/outcome.hpp"

#include "support/catch.hpp"

using namespace holdfast;

TEST_CASE("a code of any domain answers whether it is transient", "[error]") {
  CHECK(std::error_code(errc::breaker_open) == failure::rejected);
  CHECK(std::make_error_code(std::errc::connection_reset) == failure::transient);
  CHECK(http_error(503) == failure::transient);
  CHECK(http_error(404) == failure::permanent);
  CHECK(http_error(429) == failure::throttled);
  CHECK(sqlite_error(5) == failure::transient);
  CHECK(sqlite_error(261) == failure::transient);  // SQLITE_BUSY_RECOVERY: the low byte decides
  CHECK(sqlstate_error("40001") == failure::transient);
  CHECK(sqlstate_error("23505") == failure::permanent);
  CHECK(std::error_code(cloud_errc::throttling) == failure::throttled);
  CHECK(std::error_code(orchestrator_errc::evicted) == failure::transient);
  CHECK(std::error_code(ci_cd_errc::aborted) == failure::cancelled);
  CHECK_FALSE(http_error(503) == failure::permanent);
}

TEST_CASE("equal numbers of different domains stay different errors", "[error]") {
  CHECK(http_error(5) != sqlite_error(5));
  CHECK(verdict_of(http_error(404)) == verdict::permanent);
  CHECK(domain_of(http_error(5)) == error_domain::http);
  CHECK(domain_of(sqlite_error(5)) == error_domain::sqlite);
  CHECK(domain_of(std::make_error_code(std::errc::io_error)) == error_domain::system);
}

TEST_CASE("every own reason has a text of its own and a verdict that is an error", "[error]") {
  for (int i = 1; i <= static_cast<int>(errc::segment_corrupt); ++i) {
    const std::error_code code = static_cast<errc>(i);
    CAPTURE(i, code.message());
    CHECK(code.message() != "unknown holdfast error");
    CHECK(verdict_of(code) != verdict::ok);
  }
  CHECK(verdict_of(static_cast<errc>(999)) == verdict::permanent);  // of a later version: not understood, not repeated
}

TEST_CASE("every verdict is logged under its name", "[error]") {
  constexpr std::string_view names[] = {"ok",        "transient", "throttled", "timeout", "permanent",
                                        "cancelled", "rejected",  "stale",     "unknown"};
  for (std::size_t i = 0; i < std::size(names); ++i) CHECK(name_of(static_cast<verdict>(i)) == names[i]);
}

TEST_CASE("a code of an unknown category is permanent: what is not understood is not repeated", "[error]") {
  struct category_type final : std::error_category {
    [[nodiscard]] const char* name() const noexcept override { return "somebody's"; }
    [[nodiscard]] std::string message(int) const override { return "?"; }
  };
  static const category_type somebodys;
  CHECK(verdict_of({7, somebodys}) == verdict::permanent);
  CHECK(domain_of({7, somebodys}) == error_domain::foreign);
}

TEST_CASE("sqlstate packs five characters and refuses anything else", "[error]") {
  static_assert(sqlstate("00000") == 0);
  static_assert(sqlstate("ZZZZZ") == 36 * 36 * 36 * 36 * 36 - 1);
  static_assert(sqlstate("4000") == -1 && sqlstate("4000!") == -1 && sqlstate("40p01") == -1);
  for (const char bad : {'!', '/', ':', '@', '[', 'a', '\0'}) {  // on both sides of the digits, and of the letters
    CAPTURE(bad);
    CHECK(sqlstate(std::string("4000") + bad) == -1);
  }
  CHECK(sqlstate_error("40P01").message() == "SQLSTATE 40P01");
  CHECK(sqlstate_error("bad").message() == "SQLSTATE malformed");
  CHECK(verdict_of(sqlstate_error("bad")) == verdict::permanent);
}

TEST_CASE("success codes of a domain are ok", "[error]") {
  CHECK(verdict_of(http_error(204)) == verdict::ok);
  CHECK(verdict_of(http_error(304)) == verdict::ok);
  CHECK(verdict_of(sqlite_error(100)) == verdict::ok);
  CHECK(verdict_of(sqlite_error(101)) == verdict::ok);
  CHECK(verdict_of(std::error_code()) == verdict::ok);
}

TEST_CASE("an outcome holds a value or an error, move-only values too", "[outcome]") {
  outcome<std::unique_ptr<int>> full = std::make_unique<int>(3);
  REQUIRE(full);
  CHECK(full.kind() == verdict::ok);
  CHECK(*std::move(full).value() == 3);

  const outcome<int> empty = error(errc::breaker_open, std::chrono::seconds(2));
  REQUIRE_FALSE(empty);
  CHECK(empty.kind() == verdict::rejected);
  CHECK(empty.error().retry_after == std::chrono::seconds(2));
  CHECK(empty.value_or(9) == 9);
  CHECK(outcome<int>(4).value_or(9) == 4);
  const outcome<> nothing;
  CHECK(nothing.ok());
}

TEST_CASE("a fixed text cuts on a character boundary and says that it did", "[fixed_text]") {
  fixed_text<4> text("abc\xC3\xA9");  // the two bytes of é would end at five
  CHECK(text == "abc");
  CHECK(text.truncated());
  text.assign("abcd");
  CHECK(text == "abcd");
  CHECK_FALSE(text.truncated());
  text.assign("\x80\x80\x80\x80\x80");  // nowhere a character begins
  CHECK(text.empty());
  CHECK(text.truncated());
}
