// SPDX-License-Identifier: MIT
#include "demo/chaos.hpp"

#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace holdfast::demo {
namespace {

constexpr milliseconds lock_within{3'000};
constexpr int hold_at_most_ms = 10 * 60 * 1000;
constexpr const char* aside = ".moved-away";

std::string rename_to(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) == 0) return {};
  return "cannot rename " + from + ": " + std::strerror(errno);
}

}  // namespace

std::string chaos::lock_primary() {
  locker_ = child_process({targets_.program, {"holdfast", "demo-lock", targets_.primary}, {}});
  const auto said = locker_.read_line(lock_within);
  if (said == "locked") return {};
  locker_.stop(SIGKILL, milliseconds(1'000));
  return "the primary could not be locked" + (said ? ": " + *said : std::string());
}

std::string chaos::begin(fault what) {
  std::string failure;
  switch (what) {
    case fault::primary_locked: failure = lock_primary(); break;
    case fault::primary_moved: failure = rename_to(targets_.primary, targets_.primary + aside); break;
    case fault::replica_stopped: failure = rename_to(targets_.replica_dir, targets_.replica_dir + aside); break;
    case fault::cdn_stopped:
      if (targets_.cdn <= 0 || ::kill(targets_.cdn, SIGSTOP) != 0) failure = "the CDN process could not be stopped";
      break;
  }
  broken_[static_cast<std::size_t>(what)] = failure.empty();
  return failure;
}

std::string chaos::heal(fault what) {
  bool& broken = broken_[static_cast<std::size_t>(what)];
  if (!broken) return {};
  broken = false;
  switch (what) {
    case fault::primary_locked: locker_.stop(SIGTERM, milliseconds(1'000)); return {};
    case fault::primary_moved: return rename_to(targets_.primary + aside, targets_.primary);
    case fault::replica_stopped: return rename_to(targets_.replica_dir + aside, targets_.replica_dir);
    case fault::cdn_stopped: return ::kill(targets_.cdn, SIGCONT) == 0 ? "" : "the CDN process is gone";
  }
  return {};
}

void chaos::heal_all() noexcept {
  for (std::size_t i = fault_count; i > 0; --i) static_cast<void>(heal(static_cast<fault>(i - 1)));
}

// SIGTERM ends it without a word: SQLite has written nothing, and the kernel drops a dead process's file locks.
int hold_lock(const std::string& file) {
  sqlite3* db = nullptr;
  int code = sqlite3_open_v2(file.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr);
  if (code == SQLITE_OK) {
    sqlite3_busy_timeout(db, static_cast<int>(lock_within.count()) - 500);
    code = sqlite3_exec(db, "BEGIN EXCLUSIVE", nullptr, nullptr, nullptr);
  }
  std::printf("%s\n", code == SQLITE_OK ? "locked" : sqlite3_errstr(code));
  std::fflush(stdout);
  if (code == SQLITE_OK) {
    ::pollfd input{STDIN_FILENO, POLLIN, 0};
    while (::poll(&input, 1, hold_at_most_ms) < 0 && errno == EINTR) {
    }
    sqlite3_exec(db, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  sqlite3_close(db);
  return code == SQLITE_OK ? 0 : 1;
}

}  // namespace holdfast::demo
