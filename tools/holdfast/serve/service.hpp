// SPDX-License-Identifier: MIT
// service: the app behind a listener. Routes a request, gives it its context, answers it, and writes its log line.
#pragma once

#include <cstdint>
#include <string>

#include "serve/admin_handlers.hpp"
#include "serve/http_types.hpp"
#include "serve/profile_handlers.hpp"
#include "serve/request_scope.hpp"
#include "serve/service_log.hpp"
#include "serve/service_metrics.hpp"

namespace holdfast::serve {

struct service_parts {
  profile_handlers& profiles;
  admin_handlers& admin;
  service_log& log;
  service_metrics& metrics;
};

class service final : public http_app {
 public:
  // `with_admin`: this listener may be asked for /admin.
  service(service_parts parts, bool with_admin) : parts_(parts), with_admin_(with_admin) {}

  boost::asio::awaitable<http_response> handle(const http_request& request) override;
  http_response refuse(const http_refusal& refusal) override;

 private:
  boost::asio::awaitable<http_response> dispatch(request_scope& scope);
  http_response finish(const request_scope& scope, http_response response);

  service_parts parts_;
  bool with_admin_;
};

}  // namespace holdfast::serve
