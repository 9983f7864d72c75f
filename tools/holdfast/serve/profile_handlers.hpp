// SPDX-License-Identifier: MIT
// GET, HEAD and PUT /profiles/{id}, and POST /profiles.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "serve/id_filter.hpp"
#include "serve/profile_reader.hpp"
#include "serve/profile_writer.hpp"
#include "serve/request_scope.hpp"

namespace holdfast::serve {

class profile_handlers {
 public:
  profile_handlers(profile_reader& reader, profile_writer& writer, const id_filter& known, const options& o)
      : reader_(reader), writer_(writer), known_(known), options_(o) {}

  boost::asio::awaitable<http_response> get(request_scope& scope, std::string_view id);
  boost::asio::awaitable<http_response> put(request_scope& scope, std::string_view id);
  boost::asio::awaitable<http_response> post(request_scope& scope);

 private:
  http_response answer_put(request_scope& scope, const put_answer& answer) const;
  http_response answer_create(request_scope& scope, const create_answer& answer) const;

  profile_reader& reader_;
  profile_writer& writer_;
  const id_filter& known_;
  const options& options_;
};

}  // namespace holdfast::serve
