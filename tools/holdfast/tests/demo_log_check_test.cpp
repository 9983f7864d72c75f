// SPDX-License-Identifier: MIT
#include <sstream>

#include "demo/log_check.hpp"
#include "support/catch.hpp"

using namespace holdfast::demo;

namespace {

std::string line(const std::string& second, const std::string& rest) {
  return R"({"timestamp":"2026-01-02T03:04:)" + second + R"(.500000001Z","level":"info",)" + rest + "}\n";
}

std::string request(const std::string& id) {
  return line("05", R"("message":"request","correlation_id":")" + id + "\"");
}

}  // namespace

TEST_CASE("every id that was sent is looked for, the others are not", "[demo]") {
  std::istringstream log(request("demo-1-on-0") + request("demo-1-on-2") + request("demo-1-on-2x") +
                         request("demo-1-off-1") + request("demo-1-on-99"));
  using enum request_fate;
  const auto facts = check_log(log, "demo-1-on-", {answered, sent, answered, never_sent});
  CHECK(facts.lines == 5);
  CHECK(facts.bad_lines == 0);
  CHECK(facts.ids_sent == 3);
  CHECK(facts.ids_missing == 1);
  CHECK(facts.first_missing == "demo-1-on-1");
}

TEST_CASE("a line that is no log line is counted, and the first one named", "[demo]") {
  const std::string good = request("a");
  for (const std::string& bad : {std::string("\n"), std::string("{}\n"), std::string("[1]\n"),
                                 good.substr(0, 40) + "\n", good.substr(0, good.size() - 1), "x" + good,
                                 std::string("{\"timestamp\":\"now\"}\n"), line("05", "\"message\":\"\xC3\x28\"")}) {
    CAPTURE(bad);
    std::istringstream log(good + bad);
    const auto facts = check_log(log, "p", {});
    CHECK(facts.lines == 2);
    CHECK(facts.bad_lines == 1);
    CHECK(facts.first_bad_line == 2);
  }
}

TEST_CASE("a transition is told with the attempts of the generation that it ended", "[demo]") {
  std::string text;
  const auto failed = [](int generation, const char* verdict) {
    return line("01", R"("message":"attempt failed","dependency":"primary","verdict":")" + std::string(verdict) +
                          R"(","generation":)" + std::to_string(generation));
  };
  const auto moved = [](const char* second, const char* from, const char* to, const char* cause, int generation) {
    return line(second, R"("message":"breaker moved","breaker":"primary","from":")" + std::string(from) +
                            R"(","to":")" + to + R"(","cause":")" + cause + R"(","generation":)" +
                            std::to_string(generation));
  };
  for (int i = 0; i < 10; ++i) text += failed(0, i % 2 == 0 ? "transient" : "timeout");
  text += failed(0, "cancelled");
  // The threads' lines come in any order.
  text += moved("04", "half_open", "closed", "probes_passed", 3) +
          moved("02", "closed", "open", "consecutive_failures", 1) +
          moved("03", "open", "half_open", "open_time_over", 2);
  for (int i = 0; i < 3; ++i) {
    text += line("03", R"("message":"probe","dependency":"primary","verdict":"ok","generation":2)");
  }
  text += line("05", R"("message":"log records lost","lost":3,"reason":"lane_full")");
  text += line("05", R"("message":"stopped","log_written":17,"log_lost":3)");
  std::istringstream log(text);
  const auto facts = check_log(log, "p", {});
  REQUIRE(facts.transitions.size() == 3);
  CHECK(facts.transitions[0].to == "open");
  CHECK(facts.transitions[0].failed == 10);
  CHECK(facts.transitions[1].to == "half_open");
  CHECK(facts.transitions[2].to == "closed");
  CHECK(facts.transitions[2].probes_ok == 3);
  CHECK(facts.transitions[2].probes_not_ok == 0);
  CHECK(facts.written == 18);
  CHECK(facts.lost == 3);
  CHECK(facts.loss_lines == 1);
  CHECK(facts.lost_told == 3);
}

TEST_CASE("a timestamp is read to the millisecond, and nonsense is none", "[demo]") {
  CHECK(wall_ms_of("1970-01-01T00:00:00.000000000Z") == 0);
  CHECK(wall_ms_of("2024-02-29T23:59:59.123456789Z") == 1709251199123);
  for (const char* wrong :
       {"", "2023-02-29T00:00:00.000000000Z", "2024-13-01T00:00:00.000000000Z", "2024-01-01T24:00:00.000000000Z",
        "2024-01-01 00:00:00.000000000Z", "2024-01-01T00:00:00Z", "2024-01-01T00:-1:00.000000000Z"}) {
    CAPTURE(wrong);
    CHECK_FALSE(wall_ms_of(wrong).has_value());
  }
}
