// SPDX-License-Identifier: MIT
#include "serve/problem.hpp"

#include <nlohmann/json.hpp>

#include "holdfast/policy/breaker_rules.hpp"
#include "holdfast/policy/describe.hpp"

namespace holdfast::serve {
namespace {

std::string_view words_of(int status) {
  switch (status) {
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Content";
    case 428: return "Precondition Required";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Error";
  }
}

// An extension member: what describe() says, for programs.
nlohmann::ordered_json to_json(const error& why) {
  nlohmann::ordered_json out;
  const bool own = why.code.category() == holdfast_category();
  const errc code = own ? static_cast<errc>(why.code.value()) : errc{};
  if (const auto policy = policy_of(code); !policy.empty()) out["policy"] = policy;
  out["reason"] = own ? std::string(message_of(code)) : why.code.message();
  out["verdict"] = name_of(why.kind);
  if (why.age) out["refusing_for"] = std::chrono::duration<double>(why.age.value()).count();
  if (why.cause != 0) out["cause"] = name_of(static_cast<breaker_cause>(why.cause));
  out["attempts"] = why.attempts;
  if (why.stopped_by != errc{} && why.stopped_by != code) out["stopped_by"] = message_of(why.stopped_by);
  return out;
}

}  // namespace

http_response to_response(const problem& p) {
  using namespace std::chrono;
  nlohmann::ordered_json body;
  body["type"] = p.type.empty() ? std::string("about:blank") : "/problems/" + std::string(p.type);
  body["title"] = p.title.empty() ? words_of(p.status) : p.title;
  body["status"] = p.status;
  body["detail"] = p.detail;
  if (!p.instance.empty()) body["instance"] = p.instance;
  if (!p.correlation_id.empty()) body["correlation_id"] = p.correlation_id;
  if (p.because != nullptr) body["guard"] = to_json(*p.because);
  http_response r;
  r.status = p.status;
  r.content_type = "application/problem+json";
  r.headers.emplace_back("Cache-Control", "no-store");
  if (p.retry_after.count() > 0) {
    body["retry_after"] = duration_cast<std::chrono::duration<double>>(p.retry_after).count();
    r.headers.emplace_back("Retry-After", std::to_string(ceil<seconds>(p.retry_after).count()));
  }
  r.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  return r;
}

}  // namespace holdfast::serve
