// SPDX-License-Identifier: MIT
#include "holdfast/core/error_domain.hpp"

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>

#include "immortal.hpp"

namespace holdfast {
namespace {

// Codes of SQLite's stable C interface (sqlite.org/rescode.html), named here so that core needs no package.
enum sqlite_primary : int {
  sqlite_ok = 0,
  sqlite_internal = 2,
  sqlite_busy = 5,
  sqlite_locked = 6,
  sqlite_nomem = 7,
  sqlite_interrupt = 9,
  sqlite_ioerr = 10,
  sqlite_full = 13,
  sqlite_cantopen = 14,
  sqlite_protocol = 15,
  sqlite_schema = 17,
  sqlite_row = 100,
  sqlite_done = 101,
};

template <class Code>
struct named {
  Code code;
  const char* text;
  verdict kind;
};

constexpr std::array cloud_table{
    named<cloud_errc>{cloud_errc::throttling, "throttled by the provider", verdict::throttled},
    named<cloud_errc>{cloud_errc::quota_exceeded, "quota exceeded", verdict::permanent},
    named<cloud_errc>{cloud_errc::service_unavailable, "service unavailable", verdict::transient},
    named<cloud_errc>{cloud_errc::internal_failure, "internal failure of the provider", verdict::transient},
    named<cloud_errc>{cloud_errc::request_timeout, "request timed out at the provider", verdict::timeout},
    named<cloud_errc>{cloud_errc::region_unavailable, "region unavailable", verdict::transient},
    named<cloud_errc>{cloud_errc::credentials_expired, "credentials expired", verdict::permanent},
    named<cloud_errc>{cloud_errc::access_denied, "access denied", verdict::permanent},
    named<cloud_errc>{cloud_errc::not_found, "no such resource", verdict::permanent},
    named<cloud_errc>{cloud_errc::conflict, "conflicting change", verdict::permanent},
    named<cloud_errc>{cloud_errc::invalid_request, "invalid request", verdict::permanent},
};
// An instance that went away is replaced: another attempt may well reach its successor.
constexpr std::array orchestrator_table{
    named<orchestrator_errc>{orchestrator_errc::evicted, "instance evicted", verdict::transient},
    named<orchestrator_errc>{orchestrator_errc::out_of_memory, "instance killed: out of memory", verdict::transient},
    named<orchestrator_errc>{orchestrator_errc::unschedulable, "no node fits the instance", verdict::throttled},
    named<orchestrator_errc>{orchestrator_errc::image_unavailable, "image unavailable", verdict::permanent},
    named<orchestrator_errc>{orchestrator_errc::not_ready, "instance not ready", verdict::transient},
    named<orchestrator_errc>{orchestrator_errc::node_lost, "node lost", verdict::transient},
    named<orchestrator_errc>{orchestrator_errc::crash_loop, "instance crashes at every start", verdict::permanent},
    named<orchestrator_errc>{orchestrator_errc::scaled_to_zero, "scaled to zero", verdict::transient},
    named<orchestrator_errc>{orchestrator_errc::config_invalid, "configuration refused", verdict::permanent},
};
constexpr std::array ci_cd_table{
    named<ci_cd_errc>{ci_cd_errc::runner_lost, "runner lost", verdict::transient},
    named<ci_cd_errc>{ci_cd_errc::queue_timeout, "no runner in time", verdict::timeout},
    named<ci_cd_errc>{ci_cd_errc::checkout_failed, "checkout failed", verdict::transient},
    named<ci_cd_errc>{ci_cd_errc::registry_unavailable, "registry unavailable", verdict::transient},
    named<ci_cd_errc>{ci_cd_errc::build_failed, "build failed", verdict::permanent},
    named<ci_cd_errc>{ci_cd_errc::test_failed, "test failed", verdict::permanent},
    named<ci_cd_errc>{ci_cd_errc::gate_failed, "release gate failed", verdict::permanent},
    named<ci_cd_errc>{ci_cd_errc::rollout_stalled, "rollout stalled", verdict::transient},
    named<ci_cd_errc>{ci_cd_errc::rolled_back, "rolled back", verdict::permanent},
    named<ci_cd_errc>{ci_cd_errc::aborted, "aborted", verdict::cancelled},
};

template <class Code, std::size_t N>
constexpr const named<Code>* find(const std::array<named<Code>, N>& table, int code) noexcept {
  for (const auto& row : table) {
    if (static_cast<int>(row.code) == code) return &row;
  }
  return nullptr;
}
template <class Code, std::size_t N>
constexpr verdict kind_in(const std::array<named<Code>, N>& table, int code) noexcept {
  if (code == 0) return verdict::ok;
  const auto* row = find(table, code);
  return row != nullptr ? row->kind : verdict::permanent;
}

class http_category_type final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "http"; }
  [[nodiscard]] std::string message(int value) const override { return "HTTP status " + std::to_string(value); }
};
class sqlstate_category_type final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "sqlstate"; }
  [[nodiscard]] std::string message(int value) const override {
    if (value < 0) return "SQLSTATE malformed";
    std::string text = "SQLSTATE 00000";
    for (std::size_t i = text.size(); value > 0 && i-- > 0; value /= 36) {
      text[i] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[value % 36];
    }
    return text;
  }
};
class sqlite_category_type final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "sqlite"; }
  [[nodiscard]] std::string message(int value) const override { return "SQLite result " + std::to_string(value); }
};
template <class Code, std::size_t N>
class table_category final : public std::error_category {
 public:
  constexpr table_category(const char* name, const std::array<named<Code>, N>& table) noexcept
      : name_(name), table_(table) {}
  [[nodiscard]] const char* name() const noexcept override { return name_; }
  [[nodiscard]] std::string message(int value) const override {
    const auto* row = find(table_, value);
    return row != nullptr ? row->text : std::string(name_) + " " + std::to_string(value);
  }

 private:
  const char* name_;
  const std::array<named<Code>, N>& table_;
};

}  // namespace

const std::error_category& http_category() noexcept {
  static const immortal<http_category_type> category;
  return category.get();
}
const std::error_category& sqlstate_category() noexcept {
  static const immortal<sqlstate_category_type> category;
  return category.get();
}
const std::error_category& sqlite_category() noexcept {
  static const immortal<sqlite_category_type> category;
  return category.get();
}
const std::error_category& cloud_category() noexcept {
  static const immortal<decltype(table_category("cloud", cloud_table))> category("cloud", cloud_table);
  return category.get();
}
const std::error_category& orchestrator_category() noexcept {
  static const immortal<decltype(table_category("orchestrator", orchestrator_table))> category("orchestrator",
                                                                                               orchestrator_table);
  return category.get();
}
const std::error_category& ci_cd_category() noexcept {
  static const immortal<decltype(table_category("ci_cd", ci_cd_table))> category("ci_cd", ci_cd_table);
  return category.get();
}

verdict errno_verdict(int value) noexcept {
  switch (value) {
    case 0: return verdict::ok;
    case EINTR:
    case EAGAIN:
    case ECONNRESET:
    case ECONNREFUSED:
    case ECONNABORTED:
    case EPIPE:
    case ENETDOWN:
    case ENETUNREACH:
    case ENETRESET:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENOTCONN:
    case EIO:
    case EBUSY:
    case ESTALE: return verdict::transient;
    case ENOBUFS:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EDQUOT: return verdict::throttled;
    case ETIMEDOUT: return verdict::timeout;
    case ECANCELED: return verdict::cancelled;
    default: return verdict::permanent;
  }
}

verdict http_verdict(int status) noexcept {
  if (status == 0 || (status >= 100 && status < 400)) return verdict::ok;
  switch (status) {
    case 408:
    case 504: return verdict::timeout;
    case 429: return verdict::throttled;
    case 421:  // sent to the wrong server: another connection may reach the right one
    case 425:  // too early: meant to be repeated
    case 500:
    case 502:
    case 503: return verdict::transient;
    case 499: return verdict::cancelled;  // the client closed the request, as proxies log it
    default: return verdict::permanent;
  }
}

verdict sqlstate_verdict(int packed) noexcept {
  if (packed < 0) return verdict::permanent;
  switch (packed) {
    case sqlstate("00000"): return verdict::ok;
    case sqlstate("40001"):  // serialization failure
    case sqlstate("40P01"):  // deadlock detected
    case sqlstate("55P03"):  // lock not available
    case sqlstate("57P01"):  // admin shutdown
    case sqlstate("57P02"):  // crash shutdown
    case sqlstate("57P03"):  // cannot connect now
    case sqlstate("58030"):  // I/O error
      return verdict::transient;
    case sqlstate("53300"):  // too many connections
      return verdict::throttled;
    case sqlstate("57014"):  // query cancelled: by the server's own statement timeout
    case sqlstate("25P03"):  // idle in transaction timeout
      return verdict::timeout;
    default: break;
  }
  constexpr int class_size = 36 * 36 * 36;
  switch (packed / class_size) {
    case sqlstate("00000") / class_size:
    case sqlstate("01000") / class_size:  // warning
    case sqlstate("02000") / class_size:  // no data
      return verdict::ok;
    case sqlstate("08000") / class_size:  // connection exception
    case sqlstate("58000") / class_size:  // system error
    case sqlstate("XX000") / class_size:  // internal error
      return verdict::transient;
    case sqlstate("53000") / class_size:  // insufficient resources
      return verdict::throttled;
    default: return verdict::permanent;
  }
}

verdict sqlite_verdict(int extended_code) noexcept {
  switch (extended_code & 0xFF) {
    case sqlite_ok:
    case sqlite_row:
    case sqlite_done: return verdict::ok;
    case sqlite_busy:
    case sqlite_locked:
    case sqlite_ioerr:
    case sqlite_cantopen:
    case sqlite_protocol:
    case sqlite_schema: return verdict::transient;
    case sqlite_nomem:
    case sqlite_full: return verdict::throttled;
    case sqlite_interrupt: return verdict::timeout;  // sqlite3_interrupt is how an attempt's deadline reaches SQLite
    default: return verdict::permanent;
  }
}

verdict cloud_verdict(int code) noexcept {
  return kind_in(cloud_table, code);
}
verdict orchestrator_verdict(int code) noexcept {
  return kind_in(orchestrator_table, code);
}
verdict ci_cd_verdict(int code) noexcept {
  return kind_in(ci_cd_table, code);
}

error_domain domain_of(const std::error_code& code) noexcept {
  const auto& category = code.category();
  if (category == holdfast_category()) return error_domain::own;
  if (category == std::generic_category() || category == std::system_category()) return error_domain::system;
  if (category == http_category()) return error_domain::http;
  if (category == sqlstate_category()) return error_domain::sqlstate;
  if (category == sqlite_category()) return error_domain::sqlite;
  if (category == cloud_category()) return error_domain::cloud;
  if (category == orchestrator_category()) return error_domain::orchestrator;
  if (category == ci_cd_category()) return error_domain::ci_cd;
  return error_domain::foreign;
}

std::string_view name_of(error_domain domain) noexcept {
  switch (domain) {
    case error_domain::own: return "holdfast";
    case error_domain::system: return "system";
    case error_domain::http: return "http";
    case error_domain::sqlstate: return "sqlstate";
    case error_domain::sqlite: return "sqlite";
    case error_domain::cloud: return "cloud";
    case error_domain::orchestrator: return "orchestrator";
    case error_domain::ci_cd: return "ci_cd";
    case error_domain::foreign: return "foreign";
  }
  return "foreign";
}

verdict verdict_of(const std::error_code& code) noexcept {
  if (code.value() == 0) return verdict::ok;
  switch (domain_of(code)) {
    case error_domain::own: return verdict_of(static_cast<errc>(code.value()));
    case error_domain::system: return errno_verdict(code.value());
    case error_domain::http: return http_verdict(code.value());
    case error_domain::sqlstate: return sqlstate_verdict(code.value());
    case error_domain::sqlite: return sqlite_verdict(code.value());
    case error_domain::cloud: return cloud_verdict(code.value());
    case error_domain::orchestrator: return orchestrator_verdict(code.value());
    case error_domain::ci_cd: return ci_cd_verdict(code.value());
    case error_domain::foreign: break;
  }
  return verdict::permanent;
}

}  // namespace holdfast
