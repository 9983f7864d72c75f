// SPDX-License-Identifier: MIT
#include "serve/service.hpp"

#include "serve/router.hpp"

namespace holdfast::serve {

namespace asio = boost::asio;

asio::awaitable<http_response> service::handle(const http_request& request) {
  const std::string_view trace = request.header("traceparent");
  const std::string_view id = request.header("X-Correlation-ID");
  request_scope scope{request, parts_.log.watch().around([&] { return accept_context(trace, id); })};
  scope.path = path_of(request.target);
  http_response response;
  std::string defect;
  try {
    response = co_await dispatch(scope);
  } catch (const std::exception& e) {
    defect = e.what();
  }
  if (!defect.empty()) {
    scope.why = defect;
    response = scope.refuse(500, "defect", "The service has a defect; the correlation id finds its log lines.");
  }
  co_return finish(scope, std::move(response));
}

asio::awaitable<http_response> service::dispatch(request_scope& scope) {
  const route to = find_route(scope.http.method, scope.http.target, with_admin_);
  if (to.status != 0) {
    scope.why = to.why;
    http_response r = scope.refuse(to.status, {}, std::string(to.why));
    if (!to.allow.empty()) r.headers.emplace_back("Allow", to.allow);
    co_return r;
  }
  switch (to.to) {
    case endpoint::profile:
      if (scope.http.method == "PUT") co_return co_await parts_.profiles.put(scope, to.argument);
      co_return co_await parts_.profiles.get(scope, to.argument);
    case endpoint::profiles: co_return co_await parts_.profiles.post(scope);
    case endpoint::health: co_return http_response{.content_type = "application/json", .body = "{\"status\":\"ok\"}\n"};
    case endpoint::metrics:
      co_return http_response{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                              .body = parts_.metrics.page()};
    case endpoint::breakers: co_return parts_.admin.list();
    case endpoint::breaker: co_return parts_.admin.act(scope, to.argument);
    case endpoint::none: break;
  }
  co_return scope.refuse(404, {}, "There is nothing at this path.");
}

http_response service::finish(const request_scope& scope, http_response response) {
  response.headers.emplace_back("X-Correlation-ID", scope.whose.correlation_id.view());
  const duration took = steady_clock::now() - scope.http.begun;
  parts_.metrics.on_request(response.status, scope.tier, took);
  parts_.log.request(scope.whose, {.method = scope.http.method,
                                   .path = scope.path.empty() ? scope.http.target : scope.path,
                                   .peer = scope.http.peer,
                                   .tier = scope.tier,
                                   .why = scope.why,
                                   .status = response.status,
                                   .took = took,
                                   .bytes = response.body.size()});
  return response;
}

// Not even a request: there is nothing to route, and no id of the client's to keep.
http_response service::refuse(const http_refusal& refusal) {
  const http_request none{.peer = refusal.peer, .begun = refusal.begun};
  request_scope scope{none, accept_context({}, {})};
  scope.why = refusal.why;
  return finish(scope, scope.refuse(refusal.status, {}, std::string(refusal.why)));
}

}  // namespace holdfast::serve
