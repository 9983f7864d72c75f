// SPDX-License-Identifier: MIT
#include "serve/profile_handlers.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "holdfast/policy/describe.hpp"

namespace holdfast::serve {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

// When nobody knows how long a failure lasts.
constexpr std::chrono::nanoseconds retry_soon = 1s;

http_response document(int status, const profile& p) {
  http_response r;
  r.status = status;
  r.content_type = "application/json";
  r.body = p.body;
  return r;
}

// JSON by its content type, or nothing said.
bool speaks_json(std::string_view type) {
  type = type.substr(0, std::min(type.find(';'), type.size()));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  return type.empty() || type == "application/json" || (type.size() > 5 && type.substr(type.size() - 5) == "+json");
}

bool valid_key(std::string_view key) {
  return key.size() <= 255 && std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

// A new id: "p" and 128 random bits.
std::string make_id() {
  std::array<char, 33> text{'p'};
  std::fill(text.begin() + 1, text.end(), '0');
  for (int half = 0; half < 2; ++half) {
    std::array<char, 16> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + 16, random_id_bits(), 16).ptr;
    const auto length = end - digits.data();
    std::copy(digits.data(), end, text.data() + 1 + (half + 1) * 16 - length);
  }
  return {text.data(), text.size()};
}

// A write that failed: at once, clear, and honest about what is not known.
http_response write_failed(request_scope& scope, const error& why, std::string_view advice) {
  const auto wait = why.retry_after.count() > 0 ? why.retry_after : retry_soon;
  const std::string reason(describe("primary_write", why).view());
  if (why.kind == verdict::timeout && !why.not_sent) {
    scope.why = "write outcome unknown";
    return scope.refuse(
        504, "write-outcome-unknown",
        "The primary database did not confirm the write in time (" + reason + "). " + std::string(advice), wait, &why);
  }
  scope.why = "write refused";
  return scope.refuse(503, "primary-unavailable",
                      "The primary database cannot take the write (" + reason + "). Nothing was changed.", wait, &why);
}

}  // namespace

asio::awaitable<http_response> profile_handlers::get(request_scope& scope, std::string_view id) {
  if (!known_.may_contain(id)) {
    scope.why = "unknown id";
    co_return scope.refuse(404, "no-such-profile", "There is no profile with this id.");
  }
  // Two full expressions: g++ 12 destroys the arguments of a conditional's co_await too early.
  read_answer answer;
  const std::string key(id);
  if (options_.policies) {
    answer = co_await reader_.read(scope.http.io_thread, key, scope.whose);
  } else {
    answer = co_await reader_.read_naively(key);
  }
  scope.tier = name_of(answer.by);
  if (!answer.found) {
    if (answer.by == tier::primary) co_return scope.refuse(404, "no-such-profile", "There is no profile with this id.");
    co_return scope.refuse(500, "primary-unavailable", "The primary database failed: " + answer.why.code.message());
  }
  const profile& p = *answer.found;
  http_response r = document(200, p);
  r.headers.emplace_back("X-Served-By", scope.tier);
  if (answer.by == tier::fallback_default) {
    r.headers.emplace_back("Cache-Control", "no-store");
    co_return r;
  }
  const std::string etag = etag_of(p);
  if (answer.age_ms != unknown_age) {
    r.headers.emplace_back("X-Age-Ms", std::to_string(answer.age_ms));
    r.headers.emplace_back("Age", std::to_string(answer.age_ms / 1'000));
  }
  r.headers.emplace_back("ETag", etag);
  r.headers.emplace_back("Cache-Control", "no-cache");
  if (etag_listed(scope.http.header("If-None-Match"), etag, true)) {
    r.status = 304;
    r.body.clear();
    r.content_type.clear();
  }
  co_return r;
}

asio::awaitable<http_response> profile_handlers::put(request_scope& scope, std::string_view id) {
  if (!speaks_json(scope.http.header("Content-Type"))) {
    co_return scope.refuse(415, "not-json", "Send the profile as application/json.");
  }
  auto checked = check_document(scope.http.body, id);
  if (!checked) co_return scope.refuse(422, "invalid-profile", "The profile " + checked.reason + ".");
  put_request request{std::string(id), std::move(checked.body), std::string(scope.http.header("If-Match")),
                      std::string(scope.http.header("If-None-Match")), options_.writes.require_if_match};
  const auto answer = co_await writer_.put(std::move(request), scope.whose);
  scope.tier = name_of(tier::primary);
  if (!answer) {
    co_return write_failed(scope, answer.error(), "It may have been carried out; PUT may be repeated safely.");
  }
  co_return answer_put(scope, *answer);
}

http_response profile_handlers::answer_put(request_scope& scope, const put_answer& answer) const {
  const auto unmet = [&](int status, std::string_view type, std::string detail) {
    http_response r = scope.refuse(status, type, std::move(detail));
    if (!answer.now.id.empty()) r.headers.emplace_back("ETag", etag_of(answer.now));
    return r;
  };
  switch (answer.result) {
    case put_result::etag_mismatch:
      return unmet(412, "stale-etag", "The profile has changed: its ETag is none that If-Match names.");
    case put_result::missing: return unmet(412, "stale-etag", "If-Match was given, but there is no such profile.");
    case put_result::exists: return unmet(412, "exists", "If-None-Match forbids to replace the profile that exists.");
    case put_result::condition_required:
      return unmet(428, "condition-required", "Say with If-Match which version is to be replaced.");
    case put_result::created:
    case put_result::replaced:
    case put_result::unchanged: break;
  }
  http_response r = document(answer.result == put_result::created ? 201 : 200, answer.now);
  r.headers.emplace_back("X-Served-By", name_of(tier::primary));
  r.headers.emplace_back("ETag", etag_of(answer.now));
  if (r.status == 201) r.headers.emplace_back("Location", "/profiles/" + answer.now.id);
  return r;
}

asio::awaitable<http_response> profile_handlers::post(request_scope& scope) {
  if (!speaks_json(scope.http.header("Content-Type"))) {
    co_return scope.refuse(415, "not-json", "Send the profile as application/json.");
  }
  const std::string_view key = scope.http.header("Idempotency-Key");
  if (!valid_key(key)) {
    co_return scope.refuse(400, "invalid-key", "An Idempotency-Key is 1 to 255 visible ASCII characters.");
  }
  std::string id = make_id();
  auto checked = check_document(scope.http.body, id);
  if (!checked) co_return scope.refuse(422, "invalid-profile", "The profile " + checked.reason + ".");
  create_request request{std::move(id), std::move(checked.body), std::string(key), std::string(scope.http.body)};
  const auto answer = co_await writer_.create(std::move(request), scope.whose);
  scope.tier = name_of(tier::primary);
  if (!answer) {
    co_return write_failed(scope, answer.error(),
                           key.empty()
                               ? "It may have been carried out; send an Idempotency-Key to be able to repeat it."
                               : "Repeat it with the same Idempotency-Key: it is carried out once.");
  }
  co_return answer_create(scope, *answer);
}

http_response profile_handlers::answer_create(request_scope& scope, const create_answer& answer) const {
  if (answer.result == create_result::key_reused) {
    return scope.refuse(422, "key-reused", "This Idempotency-Key was used with a different request.");
  }
  http_response r = document(201, answer.made);
  r.headers.emplace_back("X-Served-By", name_of(tier::primary));
  r.headers.emplace_back("ETag", etag_of(answer.made));
  r.headers.emplace_back("Location", "/profiles/" + answer.made.id);
  if (answer.result == create_result::replayed) r.headers.emplace_back("Idempotency-Replayed", "true");
  return r;
}

}  // namespace holdfast::serve
