// SPDX-License-Identifier: MIT
// A SQLite connection whose every result is an outcome, and that notices when its file has been taken away.
//
// Not for two threads at a time. Nothing here waits by itself: a lock held by another process is SQLITE_BUSY at once
// (the retry policy does the waiting), unless `busy_wait` asks for SQLite's own blocking wait. A statement that runs
// when the deadline passes is interrupted (SQLITE_INTERRUPT, verdict timeout).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "holdfast/core/outcome.hpp"
#include "holdfast/time/deadline.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace holdfast::serve {

struct sqlite_options {
  std::string path{};
  bool create = false;
  std::chrono::milliseconds busy_wait{0};
  bool durable = true;  // false: a power cut may lose the last changes (a copy that can be made again)
};

// A prepared statement, reset when the use of it ends.
class sqlite_statement {
 public:
  sqlite_statement() = default;
  explicit sqlite_statement(sqlite3_stmt* s) : stmt_(s) {}
  sqlite_statement(sqlite_statement&& other) noexcept : stmt_(std::exchange(other.stmt_, nullptr)) {}
  sqlite_statement& operator=(sqlite_statement&& other) noexcept {
    std::swap(stmt_, other.stmt_);
    return *this;
  }
  ~sqlite_statement();

  sqlite_statement& bind(int at, std::string_view text);
  sqlite_statement& bind(int at, std::int64_t number);
  // True: a row is there; false: done.
  outcome<bool> step();
  // Steps to the end, and resets.
  outcome<> run();
  void reset();
  [[nodiscard]] std::string_view text(int column) const;  // valid until the next step or reset
  [[nodiscard]] std::int64_t number(int column) const;

 private:
  sqlite3_stmt* stmt_ = nullptr;
};

// Resets a statement at the end of a scope, so that no read lock outlives its query.
class statement_use {
 public:
  explicit statement_use(sqlite_statement& s) : s_(s) {}
  statement_use(const statement_use&) = delete;
  statement_use& operator=(const statement_use&) = delete;
  ~statement_use() { s_.reset(); }

 private:
  sqlite_statement& s_;
};

class sqlite_connection {
 public:
  static outcome<sqlite_connection> open(const sqlite_options& options);

  outcome<sqlite_statement> prepare(std::string_view sql);
  outcome<> execute(const char* sql);
  // Everything until the next call ends at this instant.
  void set_deadline(deadline until) { state_->until = until; }
  // The file under the path is not the one that was opened (SQLITE_FCNTL_HAS_MOVED).
  [[nodiscard]] bool has_moved() const;
  [[nodiscard]] std::int64_t changes() const;

 private:
  struct closer {
    void operator()(sqlite3* db) const;
  };
  struct shared_state {
    deadline until;
    std::chrono::milliseconds busy_wait{0};
  };
  static int on_progress(void* state);
  static int on_busy(void* state, int tries);

  // The callbacks hold its address, so it stays where it is when the connection moves.
  std::unique_ptr<shared_state> state_;
  std::unique_ptr<sqlite3, closer> db_;
};

// A transaction that rolls back unless it was committed.
class sqlite_transaction {
 public:
  explicit sqlite_transaction(sqlite_connection& c) : connection_(c) {}
  sqlite_transaction(const sqlite_transaction&) = delete;
  sqlite_transaction& operator=(const sqlite_transaction&) = delete;
  ~sqlite_transaction();
  outcome<> begin();
  outcome<> commit();

 private:
  sqlite_connection& connection_;
  bool open_ = false;
};

}  // namespace holdfast::serve
