// SPDX-License-Identifier: MIT
#include "serve/profile.hpp"

#include <filesystem>

#include <nlohmann/json.hpp>

#include "holdfast/core/error.hpp"
#include "holdfast/policy/breaker_rules.hpp"

#include "serve/cdn_files.hpp"
#include "serve/id_filter.hpp"
#include "serve/problem.hpp"
#include "support/catch.hpp"

using namespace holdfast::serve;
using holdfast::breaker_cause;
using holdfast::coarse_age;
using holdfast::errc;
using holdfast::error;
using holdfast::verdict;

TEST_CASE("profile: a document becomes canonical, its id first, its own members kept") {
  const auto checked = check_document(" { \"name\" : \"Ada\", \"id\":\"a\", \"x\": {\"y\": [1, null]} } ", "a");
  REQUIRE(checked);
  CHECK(checked.body == R"({"id":"a","name":"Ada","x":{"y":[1,null]}})");
}

TEST_CASE("profile: what breaks a rule is refused with the rule") {
  const auto reason = [](const std::string& text) { return check_document(text, "a").reason; };
  CHECK(reason("{") == "is not JSON");
  CHECK(reason("[]") == "must be a JSON object");
  CHECK(reason(R"({"id":"b","name":"x"})").find("\"id\"") == 0);
  CHECK(reason(R"({"name":""})").find("\"name\"") == 0);
  CHECK(reason(R"({"name":3})").find("\"name\"") == 0);
  CHECK(reason(R"({"name":"x","email":"nobody"})").find("\"email\"") == 0);
  CHECK(reason(R"({"name":"x","default":true})").find("\"default\"") == 0);
  CHECK(reason("{\"name\":\"\xFF\"}") == "is not JSON");
  CHECK(reason("{\"name\":\"x\",\"bio\":\"" + std::string(960, 'b') + "\"}").find("at most 960") != std::string::npos);
  CHECK(reason(std::string(10'000, '[')) == "is not JSON");
}

TEST_CASE("profile: an ETag changes with the version and with the bytes") {
  CHECK(etag_of(1, "a") != etag_of(2, "a"));
  CHECK(etag_of(1, "a") != etag_of(1, "b"));
  CHECK(etag_of(1, "a").front() == '"');
  const std::string tag = etag_of(3, "x");
  CHECK(etag_listed(tag, tag, false));
  CHECK(etag_listed("\"1-0\", " + tag + " ,\"z\"", tag, false));
  CHECK(etag_listed("*", tag, false));
  CHECK(etag_listed("W/" + tag, tag, true));
  CHECK_FALSE(etag_listed("W/" + tag, tag, false));
  CHECK_FALSE(etag_listed("", tag, true));
  CHECK_FALSE(etag_listed(",,,", tag, true));
}

TEST_CASE("problem: has all members of RFC 9457 and Retry-After in whole seconds, rounded up") {
  const auto r = to_response({.status = 503,
                              .type = "dependency-unavailable",
                              .detail = "the primary is away",
                              .instance = "/profiles/a",
                              .correlation_id = "c-1",
                              .retry_after = std::chrono::milliseconds(1'200)});
  CHECK(r.content_type == "application/problem+json");
  const auto body = nlohmann::json::parse(r.body);
  CHECK(body["type"] == "/problems/dependency-unavailable");
  CHECK(body["title"] == "Service Unavailable");
  CHECK(body["status"] == 503);
  CHECK(body["detail"] == "the primary is away");
  CHECK(body["instance"] == "/profiles/a");
  CHECK(body["correlation_id"] == "c-1");
  CHECK(body["retry_after"] == 1.2);
  const auto& h = r.headers;
  CHECK(std::find(h.begin(), h.end(), std::pair<std::string, std::string>("Retry-After", "2")) != h.end());
}

TEST_CASE("problem: says which guard refused, why and since when") {
  error why(errc::breaker_open, std::chrono::milliseconds(3'800));
  why.age = coarse_age(std::chrono::milliseconds(1'024));
  why.cause = static_cast<std::uint8_t>(breaker_cause::failure_rate) & 7U;
  const auto body = nlohmann::json::parse(to_response({.status = 503, .because = &why}).body);
  CHECK(body["guard"]["policy"] == "circuit_breaker");
  CHECK(body["guard"]["reason"] == "circuit breaker is open");
  CHECK(body["guard"]["verdict"] == "rejected");
  CHECK(body["guard"]["refusing_for"] == 1.024);
  CHECK(body["guard"]["cause"] == "failure_rate");
  CHECK(body["guard"]["attempts"] == 0);
  CHECK_FALSE(body["guard"].contains("stopped_by"));
  error failed(std::make_error_code(std::errc::timed_out), verdict::timeout);
  failed.attempts = 2;
  failed.stopped_by = errc::attempts_exhausted;
  const auto other = nlohmann::json::parse(to_response({.status = 504, .because = &failed}).body);
  CHECK_FALSE(other["guard"].contains("policy"));
  CHECK_FALSE(other["guard"].contains("refusing_for"));
  CHECK(other["guard"]["attempts"] == 2);
  CHECK(other["guard"]["stopped_by"] == "all attempts failed");
  CHECK_FALSE(nlohmann::json::parse(to_response({.status = 404}).body).contains("guard"));
}

TEST_CASE("cdn files: a profile comes back as it was, and nothing else is taken for one") {
  const profile p{"a", R"({"id":"a","name":"Ada"})", 4, 1'700'000'000'000};
  CHECK(parse_cdn_file(cdn_file(p), "a") == p);
  CHECK_FALSE(parse_cdn_file(cdn_file(p), "b").has_value());
  for (const char* bad : {"", "{}", "[]", R"({"version":"1","as_of_ms":1,"profile":"{}"})",
                          R"({"version":1,"as_of_ms":1,"profile":"{\"name\":1}"})", "<html>"}) {
    CHECK_FALSE(parse_cdn_file(bad, "a").has_value());
  }
}

TEST_CASE("id filter: an id that was added is always known, others hardly ever") {
  id_filter known(10'000);
  for (int i = 0; i < 10'000; ++i) known.add("u" + std::to_string(i));
  int wrong = 0;
  for (int i = 0; i < 10'000; ++i) {
    REQUIRE(known.may_contain("u" + std::to_string(i)));
    wrong += known.may_contain("x" + std::to_string(i)) ? 1 : 0;
  }
  CHECK(wrong < 20);  // 1 in 2,000 is 5 expected
}
