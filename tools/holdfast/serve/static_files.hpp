// SPDX-License-Identifier: MIT
// static_files: the CDN process's whole job, files below a directory over HTTP.
#pragma once

#include <filesystem>

#include "serve/http_types.hpp"

namespace holdfast::serve {

class static_files final : public http_app {
 public:
  explicit static_files(std::filesystem::path root) : root_(std::move(root)) {}
  boost::asio::awaitable<http_response> handle(const http_request& request) override;
  http_response refuse(const http_refusal& refusal) override;

 private:
  [[nodiscard]] http_response file_at(std::string_view path) const;

  std::filesystem::path root_;
};

}  // namespace holdfast::serve
