// SPDX-License-Identifier: MIT
// profile_store: one connection to one database of profiles, primary or replica. Belongs to one thread.
//
//   operation        file lock     answers
//   find             shared        the profile, or nothing: the row does not exist (an answer, not a failure)
//   put              exclusive     created, replaced, or why not (etag_mismatch, ...)
//   create           exclusive     the response that its idempotency key stands for, made now or before
//   changes_after    shared        what a follower has not seen yet, in order
//   apply            exclusive     takes over changes from another store
//
// A connection is opened at the first use and again after a failure that may have spoiled it; a file that was moved
// away is an error (SQLITE_CANTOPEN) until it is back. All waiting is bounded by the deadline.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/core/outcome.hpp"
#include "holdfast/time/deadline.hpp"

#include "serve/db_gate.hpp"
#include "serve/profile.hpp"
#include "serve/sqlite.hpp"

namespace holdfast::serve {

struct store_options {
  sqlite_options file;
  std::shared_ptr<db_gate> gate;  // shared by all stores of this process on the same file
};

struct change {
  std::int64_t seq = 0;
  profile row;
};

enum class put_result : std::uint8_t {
  created,
  replaced,
  unchanged,
  etag_mismatch,
  exists,
  missing,
  condition_required
};
struct put_request {
  std::string id{};
  std::string body{};
  std::string if_match{};       // the header's value; empty: not given
  std::string if_none_match{};  // likewise; "*" means create only
  bool require_if_match = false;
  bool repeated = false;  // an attempt before this one may have been carried out
};
struct put_answer {
  put_result result = put_result::created;
  profile now;  // what is stored after the call
};

struct create_request {
  std::string id{};    // made by the caller, used when the key is new
  std::string body{};  // canonical document with that id
  std::string key{};   // empty: none
  std::string request_body{};
};
enum class create_result : std::uint8_t { created, replayed, key_reused };
struct create_answer {
  create_result result = create_result::created;
  profile made;  // as it was when it was made
};

class profile_store {
 public:
  explicit profile_store(store_options options) : options_(std::move(options)) {}

  // `new_history` names the line of versions that begins when the database is made here; 0: a random one.
  outcome<> create_schema(std::int64_t new_history, deadline until);
  outcome<std::int64_t> history(deadline until);
  // Empties the database and gives it to another history.
  outcome<> restart_history(std::int64_t history, deadline until);
  outcome<std::optional<profile>> find(std::string_view id, deadline until);
  outcome<put_answer> put(const put_request& request, deadline until);
  outcome<create_answer> create(const create_request& request, deadline until);
  outcome<std::vector<change>> changes_after(std::int64_t seq, std::int64_t limit, deadline until);
  outcome<std::int64_t> last_seq(deadline until);
  outcome<std::int64_t> count(deadline until);
  outcome<> apply(const std::vector<change>& changes, deadline until);
  // One transaction for all; rows that exist are replaced. Returns how many were.
  outcome<std::int64_t> load(const std::vector<std::pair<std::string, std::string>>& rows, deadline until);
  outcome<std::int64_t> forget_keys_before(std::int64_t wall_ms, deadline until);
  void close() { open_.reset(); }

 private:
  struct opened {
    explicit opened(sqlite_connection&& c) : connection(std::move(c)) {}
    sqlite_connection connection;
    sqlite_statement find, upsert, changes, next_seq, find_key, add_key, count;
  };
  struct session;  // an open connection with its gate held

  outcome<opened*> connection(deadline until);
  outcome<> prepare_all(opened& db);
  template <class T>
  outcome<T> finish(outcome<T> result);
  template <class Work>
  auto reading(deadline until, Work work) -> decltype(work(std::declval<opened&>()));
  template <class Work>
  auto writing(deadline until, Work work) -> decltype(work(std::declval<opened&>()));

  static outcome<std::optional<profile>> find_in(opened& db, std::string_view id);
  static outcome<std::int64_t> take_seq(opened& db);
  static outcome<profile> store(opened& db, std::string_view id, std::string_view body, std::int64_t version);

  store_options options_;
  std::unique_ptr<opened> open_;
};

// Milliseconds since 1970, now.
std::int64_t wall_ms();

}  // namespace holdfast::serve
