// SPDX-License-Identifier: MIT
// GET /admin/breakers, and POST /admin/breakers/{name} with {"action":"isolate"}, "release" or "force_close".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "serve/dependency.hpp"
#include "serve/request_scope.hpp"

namespace holdfast::serve {

class admin_handlers {
 public:
  explicit admin_handlers(std::vector<dependency*> dependencies) : dependencies_(std::move(dependencies)) {}

  http_response list() const;
  http_response act(request_scope& scope, std::string_view name);

 private:
  std::vector<dependency*> dependencies_;
};

}  // namespace holdfast::serve
