// SPDX-License-Identifier: MIT
// Error domains: whose word an error code is, and what it means to a policy.
//
// Each domain is a std::error_category of its own, so a number never changes its meaning on its way through a program:
// 503 of HTTP, errno 503 and SQLSTATE 53300 stay apart. Each has one constexpr table from code to verdict. verdict_of()
// finds the table by the code's category; a caller who knows better passes a classifier of his own to the pipeline.
//
//   domain          category                   code is
//   own             holdfast_category()        errc
//   errno           std::generic_category(), std::system_category()
//   http            http_category()            status code; 2xx and 3xx are ok, as is 1xx
//   sqlstate        sqlstate_category()        five characters packed by sqlstate()
//   sqlite          sqlite_category()          extended result code; the primary code is its low byte
//   cloud           cloud_category()           cloud_errc: what every provider's API says in its own words
//   orchestrator    orchestrator_category()    orchestrator_errc: what happened to the instance
//   ci_cd           ci_cd_category()           ci_cd_errc: what happened to a build or a rollout
//
// Unknown codes of a known domain fall to the domain's default; a code of an unknown category is permanent: what cannot
// be understood is not repeated. All functions are wait-free and allocate nothing.
//
// Proof: unit/error_test.cpp.
#pragma once

#include <cstdint>
#include <string_view>
#include <system_error>

#include "holdfast/core/error.hpp"
#include "holdfast/core/verdict.hpp"

namespace holdfast {

enum class error_domain : std::uint8_t { own, system, http, sqlstate, sqlite, cloud, orchestrator, ci_cd, foreign };

// The callee's cloud, after the words that providers share (throttling, quota, regional outage).
enum class cloud_errc : std::uint16_t {
  throttling = 1,
  quota_exceeded,
  service_unavailable,
  internal_failure,
  request_timeout,
  region_unavailable,
  credentials_expired,
  access_denied,
  not_found,
  conflict,
  invalid_request,
};
// What ran the callee.
enum class orchestrator_errc : std::uint16_t {
  evicted = 1,
  out_of_memory,
  unschedulable,
  image_unavailable,
  not_ready,
  node_lost,
  crash_loop,
  scaled_to_zero,
  config_invalid,
};
// What builds and rolls out the callee.
enum class ci_cd_errc : std::uint16_t {
  runner_lost = 1,
  queue_timeout,
  checkout_failed,
  registry_unavailable,
  build_failed,
  test_failed,
  gate_failed,
  rollout_stalled,
  rolled_back,
  aborted,
};

const std::error_category& http_category() noexcept;
const std::error_category& sqlstate_category() noexcept;
const std::error_category& sqlite_category() noexcept;
const std::error_category& cloud_category() noexcept;
const std::error_category& orchestrator_category() noexcept;
const std::error_category& ci_cd_category() noexcept;

inline std::error_code http_error(int status) noexcept {
  return {status, http_category()};
}
inline std::error_code sqlite_error(int extended_code) noexcept {
  return {extended_code, sqlite_category()};
}
inline std::error_code make_error_code(cloud_errc c) noexcept {
  return {static_cast<int>(c), cloud_category()};
}
inline std::error_code make_error_code(orchestrator_errc c) noexcept {
  return {static_cast<int>(c), orchestrator_category()};
}
inline std::error_code make_error_code(ci_cd_errc c) noexcept {
  return {static_cast<int>(c), ci_cd_category()};
}

// Five characters of [0-9A-Z] in base 36; -1 for anything else, which is permanent.
constexpr int sqlstate(std::string_view five) noexcept {
  if (five.size() != 5) return -1;
  int packed = 0;
  for (const char c : five) {
    int digit = -1;
    if (c >= '0' && c <= '9') digit = c - '0';
    if (c >= 'A' && c <= 'Z') digit = c - 'A' + 10;
    if (digit < 0) return -1;
    packed = packed * 36 + digit;
  }
  return packed;
}
inline std::error_code sqlstate_error(std::string_view five) noexcept {
  return {sqlstate(five), sqlstate_category()};
}

verdict errno_verdict(int value) noexcept;
verdict http_verdict(int status) noexcept;
verdict sqlstate_verdict(int packed) noexcept;
verdict sqlite_verdict(int extended_code) noexcept;
verdict cloud_verdict(int code) noexcept;
verdict orchestrator_verdict(int code) noexcept;
verdict ci_cd_verdict(int code) noexcept;

error_domain domain_of(const std::error_code& code) noexcept;
std::string_view name_of(error_domain domain) noexcept;

// The classifier that a pipeline uses when it is given no other. A code that is no error (value 0) is ok.
verdict verdict_of(const std::error_code& code) noexcept;

inline error make_error(std::error_code code, std::chrono::nanoseconds retry_after = {}) noexcept {
  return {code, verdict_of(code), retry_after};
}

}  // namespace holdfast

template <>
struct std::is_error_code_enum<holdfast::cloud_errc> : std::true_type {};
template <>
struct std::is_error_code_enum<holdfast::orchestrator_errc> : std::true_type {};
template <>
struct std::is_error_code_enum<holdfast::ci_cd_errc> : std::true_type {};
