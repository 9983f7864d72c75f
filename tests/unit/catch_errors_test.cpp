// SPDX-License-Identifier: MIT
#include "holdfast/exec/catch_errors.hpp"

#include <memory>
#include <string>

#include "support/catch.hpp"

using namespace holdfast;

TEST_CASE("a callee that returns gives its value or its own outcome", "[catch_errors]") {
  CHECK(*catch_errors([](int a) { return a + 1; })(2) == 3);
  CHECK(catch_errors([] {})().ok());
  const auto own = catch_errors([]() -> outcome<int> { return errc::rate_limited; })();
  CHECK(own.error().code == errc::rate_limited);
  CHECK(**catch_errors([] { return std::make_unique<int>(4); })() == 4);
}

TEST_CASE("a thrown system_error keeps its code and gets its verdict", "[catch_errors]") {
  const auto failed = catch_errors([]() -> int { throw std::system_error(ECONNRESET, std::system_category()); })();
  CHECK(failed.error().code.value() == ECONNRESET);
  CHECK(failed.error().kind == verdict::transient);
}

TEST_CASE("known standard exceptions keep their meaning and unknown ones are said to be unknown", "[catch_errors]") {
  CHECK(catch_errors([]() -> int { throw std::bad_alloc(); })().error().code == std::errc::not_enough_memory);
  CHECK(catch_errors([]() -> int { throw std::invalid_argument("no"); })().error().kind == verdict::permanent);
  CHECK(catch_errors([]() -> int { throw std::runtime_error("?"); })().error().code == errc::callee_threw);
  CHECK(catch_errors([]() -> int { throw 7; })().error().code == errc::callee_threw);
}

namespace {
struct query_failed {
  const char* sqlstate;
};
}  // namespace

TEST_CASE("a translator of the user's own is asked first, and may not know", "[catch_errors]") {
  const auto translate = [](const std::exception_ptr& thrown) -> std::optional<error> {
    try {
      std::rethrow_exception(thrown);
    } catch (const query_failed& e) {
      return make_error(sqlstate_error(e.sqlstate));
    } catch (...) {
      return std::nullopt;
    }
  };
  const auto known = catch_errors([]() -> int { throw query_failed{"40001"}; }, translate)();
  CHECK(known.error().code == sqlstate_error("40001"));
  CHECK(known.error().kind == verdict::transient);
  CHECK(catch_errors([]() -> int { throw std::bad_alloc(); }, translate)().error().code ==
        std::errc::not_enough_memory);
}

TEST_CASE("a translator that throws is as one that does not know", "[catch_errors]") {
  const auto rude = [](const std::exception_ptr&) -> std::optional<error> { throw 1; };
  CHECK(catch_errors([]() -> int { throw std::bad_alloc(); }, rude)().error().code == std::errc::not_enough_memory);
}
