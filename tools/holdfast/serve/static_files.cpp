// SPDX-License-Identifier: MIT
#include "serve/static_files.hpp"

#include <cerrno>

#include "serve/cdn_files.hpp"
#include "serve/problem.hpp"
#include "serve/router.hpp"

namespace holdfast::serve {
namespace {

constexpr std::size_t largest_file = 65'536;

// What a downstream call is traced by goes back with the answer, so that both ends of a call can be matched.
void echo_trace(const http_request& request, http_response& response) {
  for (const std::string_view name : {"X-Correlation-ID", "traceparent"}) {
    const std::string_view value = request.header(name);
    if (!value.empty() && value.size() <= 128) response.headers.emplace_back(name, value);
  }
}

}  // namespace

http_response static_files::file_at(std::string_view path) const {
  // A plain path (no `..`, no `%`) whose parts do not begin with a dot cannot leave the root; read_file follows no
  // link.
  if (path.empty() || !plain_path(path) || path.find("/.") != std::string_view::npos) {
    return to_response({.status = 400, .detail = "the path is not a plain one"});
  }
  auto text = read_file(root_ / path.substr(1), largest_file);
  if (!text) {
    const int why = text.error().code.value();
    const bool absent = why == ENOENT || why == ENOTDIR || why == EISDIR || why == ELOOP;
    return to_response({.status = absent ? 404 : 503, .detail = text.error().code.message()});
  }
  http_response response;
  response.content_type = "application/json";
  response.body = std::move(*text);
  return response;
}

boost::asio::awaitable<http_response> static_files::handle(const http_request& request) {
  http_response response;
  if (request.method == "GET" || request.method == "HEAD") {
    response = file_at(path_of(request.target));
  } else {
    response = to_response({.status = 405, .detail = "files are read with GET or HEAD"});
    response.headers.emplace_back("Allow", "GET, HEAD");
  }
  echo_trace(request, response);
  co_return response;
}

http_response static_files::refuse(const http_refusal& refusal) {
  return to_response({.status = refusal.status, .detail = std::string(refusal.why)});
}

}  // namespace holdfast::serve
