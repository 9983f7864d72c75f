// SPDX-License-Identifier: MIT
#include "serve/profile_store.hpp"

#include <sqlite3.h>

#include <random>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast::serve {
namespace {

// The deadline is looked at in the gate's own words: a lock inside this process is a wait, not a failure of SQLite.
error gate_timeout() {
  error e{errc::deadline_exceeded};
  e.not_sent = true;
  return e;
}

// After these the connection itself is in doubt: it is opened anew.
bool spoils_connection(const error& e) {
  if (e.code.category() != sqlite_category()) return false;
  switch (e.code.value() & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT:
    case SQLITE_CONSTRAINT:
    case SQLITE_FULL:
    case SQLITE_NOMEM: return false;
    default: return true;
  }
}

profile row_of(const sqlite_statement& s, int first) {
  return {std::string(s.text(first)), std::string(s.text(first + 1)), s.number(first + 2), s.number(first + 3)};
}

// The history's name lives in the header of the database file (PRAGMA user_version): 31 bits, 0 where none was given.
outcome<std::int64_t> read_history(sqlite_connection& c) {
  auto statement = c.prepare("PRAGMA user_version");
  if (!statement) return statement.error();
  const auto row = statement->step();
  if (!row) return row.error();
  return statement->number(0);
}

outcome<> write_history(sqlite_connection& c, std::int64_t history) {
  return c.execute(("PRAGMA user_version=" + std::to_string(history)).c_str());
}

std::int64_t random_history() {
  std::random_device entropy;
  return std::int64_t{1} + (entropy() & 0x3FFFFFFFU);
}

}  // namespace

std::int64_t wall_ms() {
  return wall_clock::now_ns() / 1'000'000;
}

outcome<> profile_store::prepare_all(opened& db) {
  struct entry {
    sqlite_statement& into;
    const char* sql;
  };
  const entry all[] = {
      {db.find, "SELECT id, body, version, 0 FROM profiles WHERE id = ?1"},
      {db.upsert,
       "INSERT INTO profiles(id, body, version, seq) VALUES(?1, ?2, ?3, ?4) ON CONFLICT(id) DO UPDATE SET "
       "body = excluded.body, version = excluded.version, seq = excluded.seq"},
      {db.changes, "SELECT seq, id, body, version, 0 FROM profiles WHERE seq > ?1 ORDER BY seq LIMIT ?2"},
      {db.next_seq, "SELECT coalesce(max(seq), 0) + 1 FROM profiles"},
      {db.find_key, "SELECT request, id, body, version FROM idempotency_keys WHERE key = ?1"},
      {db.add_key,
       "INSERT INTO idempotency_keys(key, request, id, body, version, at_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6)"},
      {db.count, "SELECT count(*) FROM profiles"},
  };
  for (const auto& [into, sql] : all) {
    auto statement = db.connection.prepare(sql);
    if (!statement) return statement.error();
    into = std::move(*statement);
  }
  return {};
}

outcome<profile_store::opened*> profile_store::connection(deadline until) {
  if (open_ != nullptr && open_->connection.has_moved()) {
    open_.reset();
    return make_error(sqlite_error(SQLITE_CANTOPEN));
  }
  if (open_ == nullptr) {
    auto fresh = sqlite_connection::open(options_.file);
    if (!fresh) return fresh.error();
    auto db = std::make_unique<opened>(std::move(*fresh));
    db->connection.set_deadline(until);
    const auto prepared = prepare_all(*db);
    if (!prepared) return prepared.error();
    open_ = std::move(db);
  }
  open_->connection.set_deadline(until);
  return open_.get();
}

template <class T>
outcome<T> profile_store::finish(outcome<T> result) {
  if (!result && spoils_connection(result.error())) open_.reset();
  return result;
}

template <class Work>
auto profile_store::reading(deadline until, Work work) -> decltype(work(std::declval<opened&>())) {
  const auto pass = options_.gate->enter_shared(until);
  if (!pass) return gate_timeout();
  const auto db = connection(until);
  if (!db) return db.error();
  return finish(work(**db));
}

template <class Work>
auto profile_store::writing(deadline until, Work work) -> decltype(work(std::declval<opened&>())) {
  const auto pass = options_.gate->enter_alone(until);
  if (!pass) return gate_timeout();
  const auto db = connection(until);
  if (!db) {
    error e = db.error();
    e.not_sent = true;
    return e;
  }
  const auto guarded = [&]() -> decltype(work(std::declval<opened&>())) {
    sqlite_transaction transaction((*db)->connection);
    const auto begun = transaction.begin();
    if (!begun) {
      error e = begun.error();
      e.not_sent = true;
      return e;
    }
    auto result = work(**db);
    if (!result) return result;
    const auto committed = transaction.commit();
    if (!committed) return committed.error();
    return result;
  };
  return finish(guarded());
}

outcome<> profile_store::create_schema(std::int64_t new_history, deadline until) {
  const auto pass = options_.gate->enter_alone(until);
  if (!pass) return gate_timeout();
  auto creating = options_.file;
  creating.create = true;
  auto fresh = sqlite_connection::open(creating);
  if (!fresh) return fresh.error();
  fresh->set_deadline(until);
  const auto made = fresh->execute(
      "PRAGMA journal_mode=DELETE;"
      "BEGIN IMMEDIATE;"
      "CREATE TABLE IF NOT EXISTS profiles(id TEXT PRIMARY KEY, body TEXT NOT NULL, version INTEGER NOT NULL,"
      " seq INTEGER NOT NULL) WITHOUT ROWID;"
      "CREATE UNIQUE INDEX IF NOT EXISTS profiles_by_seq ON profiles(seq);"
      "CREATE TABLE IF NOT EXISTS idempotency_keys(key TEXT PRIMARY KEY, request TEXT NOT NULL, id TEXT NOT NULL,"
      " body TEXT NOT NULL, version INTEGER NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID;"
      "CREATE INDEX IF NOT EXISTS idempotency_keys_by_age ON idempotency_keys(at_ms);"
      "COMMIT;");
  if (!made) return made;
  const auto own = read_history(*fresh);
  if (!own) return own.error();
  if (*own != 0) return {};
  return write_history(*fresh, new_history != 0 ? new_history : random_history());
}

outcome<std::int64_t> profile_store::history(deadline until) {
  return reading(until, [](opened& db) { return read_history(db.connection); });
}

outcome<> profile_store::restart_history(std::int64_t history, deadline until) {
  return writing(until, [&](opened& db) -> outcome<> {
    const auto emptied = db.connection.execute("DELETE FROM profiles; DELETE FROM idempotency_keys;");
    if (!emptied) return emptied;
    return write_history(db.connection, history);
  });
}

outcome<std::optional<profile>> profile_store::find_in(opened& db, std::string_view id) {
  const statement_use use(db.find);
  const auto row = db.find.bind(1, id).step();
  if (!row) return row.error();
  if (!*row) return std::optional<profile>{};
  return std::optional<profile>(row_of(db.find, 0));
}

outcome<std::optional<profile>> profile_store::find(std::string_view id, deadline until) {
  return reading(until, [&](opened& db) { return find_in(db, id); });
}

outcome<std::int64_t> profile_store::take_seq(opened& db) {
  const statement_use use(db.next_seq);
  const auto row = db.next_seq.step();
  if (!row) return row.error();
  return db.next_seq.number(0);
}

outcome<profile> profile_store::store(opened& db, std::string_view id, std::string_view body, std::int64_t version) {
  const auto seq = take_seq(db);
  if (!seq) return seq.error();
  const auto done = db.upsert.bind(1, id).bind(2, body).bind(3, version).bind(4, *seq).run();
  if (!done) return done.error();
  return profile{std::string(id), std::string(body), version, wall_ms()};
}

outcome<put_answer> profile_store::put(const put_request& request, deadline until) {
  return writing(until, [&](opened& db) -> outcome<put_answer> {
    auto before = find_in(db, request.id);
    if (!before) return before.error();
    const bool exists = before->has_value();
    profile old = exists ? std::move(**before) : profile{};
    const std::string tag = exists ? etag_of(old) : std::string{};
    const auto unmet = [&](put_result why) { return put_answer{why, std::move(old)}; };
    const bool same = exists && old.body == request.body;
    // A repeated attempt that finds its own work done has succeeded, whatever its conditions say by now.
    if (same && request.repeated) return unmet(put_result::unchanged);
    if (!request.if_match.empty()) {
      if (!exists) return unmet(put_result::missing);
      if (!etag_listed(request.if_match, tag, false)) return unmet(put_result::etag_mismatch);
    }
    if (exists && !request.if_none_match.empty() && etag_listed(request.if_none_match, tag, true)) {
      return unmet(put_result::exists);
    }
    if (exists && request.require_if_match && request.if_match.empty()) return unmet(put_result::condition_required);
    if (same) return unmet(put_result::unchanged);
    auto stored = store(db, request.id, request.body, old.version + 1);
    if (!stored) return stored.error();
    return put_answer{exists ? put_result::replaced : put_result::created, std::move(*stored)};
  });
}

outcome<create_answer> profile_store::create(const create_request& request, deadline until) {
  return writing(until, [&](opened& db) -> outcome<create_answer> {
    if (!request.key.empty()) {
      const statement_use use(db.find_key);
      const auto row = db.find_key.bind(1, request.key).step();
      if (!row) return row.error();
      if (*row) {
        if (db.find_key.text(0) != request.request_body) return create_answer{create_result::key_reused, {}};
        profile made{std::string(db.find_key.text(1)), std::string(db.find_key.text(2)), db.find_key.number(3), 0};
        return create_answer{create_result::replayed, std::move(made)};
      }
    }
    auto stored = store(db, request.id, request.body, 1);
    if (!stored) return stored.error();
    if (!request.key.empty()) {
      const auto kept = db.add_key.bind(1, request.key)
                            .bind(2, request.request_body)
                            .bind(3, stored->id)
                            .bind(4, stored->body)
                            .bind(5, stored->version)
                            .bind(6, stored->as_of_ms)
                            .run();
      if (!kept) return kept.error();
    }
    return create_answer{create_result::created, std::move(*stored)};
  });
}

outcome<std::vector<change>> profile_store::changes_after(std::int64_t seq, std::int64_t limit, deadline until) {
  return reading(until, [&](opened& db) -> outcome<std::vector<change>> {
    std::vector<change> all;
    const statement_use use(db.changes);
    db.changes.bind(1, seq).bind(2, limit);
    for (;;) {
      const auto row = db.changes.step();
      if (!row) return row.error();
      if (!*row) return all;
      all.push_back({db.changes.number(0), row_of(db.changes, 1)});
    }
  });
}

outcome<std::int64_t> profile_store::last_seq(deadline until) {
  return reading(until, [&](opened& db) -> outcome<std::int64_t> {
    const auto next = take_seq(db);
    if (!next) return next.error();
    return *next - 1;
  });
}

outcome<std::int64_t> profile_store::count(deadline until) {
  return reading(until, [&](opened& db) -> outcome<std::int64_t> {
    const statement_use use(db.count);
    const auto row = db.count.step();
    if (!row) return row.error();
    return db.count.number(0);
  });
}

outcome<> profile_store::apply(const std::vector<change>& changes, deadline until) {
  return writing(until, [&](opened& db) -> outcome<> {
    for (const auto& [seq, row] : changes) {
      const auto done = db.upsert.bind(1, row.id).bind(2, row.body).bind(3, row.version).bind(4, seq).run();
      if (!done) return done.error();
    }
    return {};
  });
}

outcome<std::int64_t> profile_store::load(const std::vector<std::pair<std::string, std::string>>& rows,
                                          deadline until) {
  return writing(until, [&](opened& db) -> outcome<std::int64_t> {
    std::int64_t replaced = 0;
    auto seq = take_seq(db);
    if (!seq) return seq.error();
    for (const auto& [id, body] : rows) {
      const auto old = find_in(db, id);
      if (!old) return old.error();
      const std::int64_t version = old->has_value() ? (*old)->version + 1 : 1;
      if (old->has_value()) ++replaced;
      const auto done = db.upsert.bind(1, id).bind(2, body).bind(3, version).bind(4, *seq).run();
      if (!done) return done.error();
      ++*seq;
    }
    return replaced;
  });
}

outcome<std::int64_t> profile_store::forget_keys_before(std::int64_t at_ms, deadline until) {
  return writing(until, [&](opened& db) -> outcome<std::int64_t> {
    auto statement = db.connection.prepare("DELETE FROM idempotency_keys WHERE at_ms < ?1");
    if (!statement) return statement.error();
    const auto done = statement->bind(1, at_ms).run();
    if (!done) return done.error();
    return db.connection.changes();
  });
}

}  // namespace holdfast::serve
