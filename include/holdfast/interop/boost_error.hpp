// SPDX-License-Identifier: MIT
// boost_error: what a boost::system::error_code, of Asio above all, means to a policy.
//
//   operation          caller       progress    allocates
//   from_boost         any thread   wait-free   never
//   boost_translator   any thread   wait-free   never       for exec/catch_errors.hpp
//
// In short: any thread | wait-free | never | -
//
// Codes of the operating system keep their place in the errno domain. Asio's own codes, which no errno has, become the
// errno that tells the same: a peer that closed in mid-message is ECONNRESET, a resolver that asks to be asked again is
// EAGAIN.
//
// Proof: tests/unit/asio_call_test.cpp.
#pragma once

#include <exception>
#include <optional>
#include <system_error>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include "holdfast/core/error_domain.hpp"

namespace holdfast {

inline error from_boost(const boost::system::error_code& code) noexcept {
  namespace net = boost::asio::error;
  if (code == net::operation_aborted) return errc::cancelled;
  if (code == net::eof || code == net::broken_pipe)
    return make_error(std::make_error_code(std::errc::connection_reset));
  if (code == net::host_not_found_try_again) {
    return make_error(std::make_error_code(std::errc::resource_unavailable_try_again));
  }
  return make_error(static_cast<std::error_code>(code));
}

struct boost_translator {
  std::optional<error> operator()(const std::exception_ptr& thrown) const noexcept {
    try {
      std::rethrow_exception(thrown);
    } catch (const boost::system::system_error& e) {
      return from_boost(e.code());
    } catch (...) {
      return std::nullopt;
    }
  }
};

}  // namespace holdfast
