// SPDX-License-Identifier: MIT
// log_writer: where lines go: opens, writes as much as the output takes, remembers errors, keeps to line boundaries.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <system_error>

#include "holdfast/telemetry/log_options.hpp"

namespace holdfast::log_detail {

class log_writer {
 public:
  explicit log_writer(const log_output& output) noexcept;
  ~log_writer();
  log_writer(const log_writer&) = delete;
  log_writer& operator=(const log_writer&) = delete;

  [[nodiscard]] std::error_code open() noexcept;

  struct result {
    std::size_t taken = 0;
    int error = 0;  // 0: everything was taken
  };
  // Never waits for more than the output itself does; interrupted and short writes are gone on with.
  result write(std::string_view text) noexcept;
  // The sink ends in the middle of a line: takes its beginning back where the output can do that.
  void drop_torn_line() noexcept;

 private:
  result write_descriptor(std::string_view text) noexcept;

  log_output output_;
  std::array<char, 4096> path_{};
  int descriptor_ = -1;
  std::size_t torn_ = 0;  // bytes of an unfinished line at the output's end
};

}  // namespace holdfast::log_detail
