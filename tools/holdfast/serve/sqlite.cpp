// SPDX-License-Identifier: MIT
#include "serve/sqlite.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <thread>

#include "holdfast/core/error_domain.hpp"

namespace holdfast::serve {
namespace {

// How many of SQLite's virtual instructions run between two looks at the clock: some tens of microseconds.
constexpr int instructions_a_look = 2'000;

error failed(int code) {
  return make_error(sqlite_error(code));
}

}  // namespace

sqlite_statement::~sqlite_statement() {
  sqlite3_finalize(stmt_);
}

sqlite_statement& sqlite_statement::bind(int at, std::string_view text) {
  // SQLite copies the text; an empty view must not become NULL.
  sqlite3_bind_text64(stmt_, at, text.data() != nullptr ? text.data() : "", text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

sqlite_statement& sqlite_statement::bind(int at, std::int64_t number) {
  sqlite3_bind_int64(stmt_, at, number);
  return *this;
}

outcome<bool> sqlite_statement::step() {
  const int code = sqlite3_step(stmt_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return failed(sqlite3_extended_errcode(sqlite3_db_handle(stmt_)));
}

outcome<> sqlite_statement::run() {
  const statement_use use(*this);
  for (;;) {
    const auto row = step();
    if (!row) return row.error();
    if (!*row) return {};
  }
}

void sqlite_statement::reset() {
  sqlite3_reset(stmt_);
}

std::string_view sqlite_statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(stmt_, column));
  return bytes == nullptr ? std::string_view{}
                          : std::string_view(bytes, static_cast<std::size_t>(sqlite3_column_bytes(stmt_, column)));
}

std::int64_t sqlite_statement::number(int column) const {
  return sqlite3_column_int64(stmt_, column);
}

void sqlite_connection::closer::operator()(sqlite3* db) const {
  sqlite3_close_v2(db);
}

int sqlite_connection::on_progress(void* state) {
  return static_cast<shared_state*>(state)->until.passed(steady_clock::now()) ? 1 : 0;
}

// The naive wait of `--policies off`: sleep and look again, for as long as busy_wait.
int sqlite_connection::on_busy(void* state, int tries) {
  constexpr std::chrono::milliseconds nap{10};
  if (tries * nap >= static_cast<shared_state*>(state)->busy_wait) return 0;
  std::this_thread::sleep_for(nap);
  return 1;
}

outcome<sqlite_connection> sqlite_connection::open(const sqlite_options& options) {
  sqlite_connection c;
  sqlite3* raw = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (options.create ? SQLITE_OPEN_CREATE : 0);
  const int code = sqlite3_open_v2(options.path.c_str(), &raw, flags, nullptr);
  c.db_.reset(raw);
  if (code != SQLITE_OK) return failed(raw != nullptr ? sqlite3_extended_errcode(raw) : code);
  sqlite3_extended_result_codes(raw, 1);
  c.state_ = std::make_unique<shared_state>();
  c.state_->busy_wait = options.busy_wait;
  if (options.busy_wait.count() > 0) sqlite3_busy_handler(raw, on_busy, c.state_.get());
  sqlite3_progress_handler(raw, instructions_a_look, on_progress, c.state_.get());
  // No pragma here may need a lock: the file may be locked by another process right now.
  const auto set = c.execute(options.durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF");
  if (!set) return set.error();
  return c;
}

outcome<sqlite_statement> sqlite_connection::prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  const int code =
      sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  if (code != SQLITE_OK) return failed(sqlite3_extended_errcode(db_.get()));
  return sqlite_statement(raw);
}

outcome<> sqlite_connection::execute(const char* sql) {
  const int code = sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return failed(sqlite3_extended_errcode(db_.get()));
  return {};
}

bool sqlite_connection::has_moved() const {
  int moved = 0;
  return sqlite3_file_control(db_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0;
}

std::int64_t sqlite_connection::changes() const {
  return sqlite3_changes64(db_.get());
}

sqlite_transaction::~sqlite_transaction() {
  if (!open_) return;
  connection_.set_deadline(deadline::never());  // a rollback must not be interrupted
  static_cast<void>(connection_.execute("ROLLBACK"));
}

outcome<> sqlite_transaction::begin() {
  const auto begun = connection_.execute("BEGIN IMMEDIATE");
  open_ = begun.ok();
  return begun;
}

outcome<> sqlite_transaction::commit() {
  const auto done = connection_.execute("COMMIT");
  if (done.ok()) open_ = false;
  return done;
}

}  // namespace holdfast::serve
