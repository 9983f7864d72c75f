// SPDX-License-Identifier: MIT
#include <sqlite3.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "holdfast/core/error_domain.hpp"

#include "serve/profile_store.hpp"
#include "serve/replicator.hpp"
#include "support/catch.hpp"

using namespace holdfast;
using namespace holdfast::serve;
namespace fs = std::filesystem;

namespace {

class temporary_directory {
 public:
  temporary_directory() {
    std::string pattern = (fs::temp_directory_path() / "holdfast-store-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~temporary_directory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;
  [[nodiscard]] fs::path operator/(const char* name) const { return path_ / name; }

 private:
  fs::path path_;
};

store_options at(const fs::path& path) {
  return {{.path = path.string(), .durable = false}, std::make_shared<db_gate>()};
}
deadline soon(std::chrono::milliseconds in = std::chrono::milliseconds(2'000)) {
  return deadline::after(steady_clock::now(), in);
}
std::string document(const std::string& id, const std::string& name) {
  return check_document(R"({"name":")" + name + "\"}", id).body;
}

// Another connection's exclusive lock: to SQLite the same as another process's.
class exclusive_lock {
 public:
  explicit exclusive_lock(const fs::path& path) {
    REQUIRE(sqlite3_open(path.c_str(), &db_) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db_, "BEGIN EXCLUSIVE", nullptr, nullptr, nullptr) == SQLITE_OK);
  }
  ~exclusive_lock() { sqlite3_close(db_); }
  exclusive_lock(const exclusive_lock&) = delete;
  exclusive_lock& operator=(const exclusive_lock&) = delete;

 private:
  sqlite3* db_ = nullptr;
};

}  // namespace

TEST_CASE("store: a profile is created, found, replaced, and an absent one is an answer") {
  const temporary_directory dir;
  profile_store store(at(dir / "p.db"));
  REQUIRE(store.create_schema(0, soon()).ok());
  const auto absent = store.find("a", soon());
  REQUIRE(absent.ok());
  CHECK_FALSE(absent->has_value());
  const auto made = store.put({.id = "a", .body = document("a", "Ada")}, soon());
  REQUIRE(made.ok());
  CHECK(made->result == put_result::created);
  CHECK(made->now.version == 1);
  const auto same = store.put({.id = "a", .body = document("a", "Ada")}, soon());
  CHECK(same->result == put_result::unchanged);
  const auto next = store.put({.id = "a", .body = document("a", "Bea")}, soon());
  CHECK(next->result == put_result::replaced);
  const auto found = store.find("a", soon());
  REQUIRE(found->has_value());
  CHECK((*found)->body == document("a", "Bea"));
  CHECK((*found)->version == 2);
}

TEST_CASE("store: conditions hold inside the transaction") {
  const temporary_directory dir;
  profile_store store(at(dir / "p.db"));
  REQUIRE(store.create_schema(0, soon()).ok());
  const auto result = [&](put_request r) { return store.put(r, soon())->result; };
  CHECK(result({.id = "a", .body = "1", .if_match = "*"}) == put_result::missing);
  CHECK(result({.id = "a", .body = "1", .if_none_match = "*"}) == put_result::created);
  CHECK(result({.id = "a", .body = "2", .if_none_match = "*"}) == put_result::exists);
  CHECK(result({.id = "a", .body = "2", .if_match = "\"9-9\""}) == put_result::etag_mismatch);
  CHECK(result({.id = "a", .body = "2", .require_if_match = true}) == put_result::condition_required);
  const std::string tag = etag_of(1, "1");
  CHECK(result({.id = "a", .body = "2", .if_match = tag, .require_if_match = true}) == put_result::replaced);
  // The first attempt was carried out but its answer was lost: the second must not be told 412.
  CHECK(result({.id = "a", .body = "2", .if_match = tag, .repeated = true}) == put_result::unchanged);
  CHECK(result({.id = "a", .body = "2", .if_match = tag}) == put_result::etag_mismatch);
}

TEST_CASE("store: an idempotency key creates once and answers the same for ever after") {
  const temporary_directory dir;
  profile_store store(at(dir / "p.db"));
  REQUIRE(store.create_schema(0, soon()).ok());
  const auto first = store.create({.id = "x1", .body = "{1}", .key = "k", .request_body = "r"}, soon());
  CHECK(first->result == create_result::created);
  const auto replay = store.create({.id = "x2", .body = "{2}", .key = "k", .request_body = "r"}, soon());
  CHECK(replay->result == create_result::replayed);
  CHECK(replay->made.id == "x1");
  CHECK(replay->made.body == "{1}");
  CHECK(store.create({.id = "x3", .body = "{3}", .key = "k", .request_body = "other"}, soon())->result ==
        create_result::key_reused);
  CHECK(*store.count(soon()) == 1);
  CHECK(*store.forget_keys_before(wall_ms() + 1, soon()) == 1);
  CHECK(store.create({.id = "x4", .body = "{4}", .key = "k", .request_body = "r"}, soon())->result ==
        create_result::created);
}

TEST_CASE("store: a lock of another process is SQLITE_BUSY at once, transient, and nothing was done") {
  const temporary_directory dir;
  profile_store store(at(dir / "p.db"));
  REQUIRE(store.create_schema(0, soon()).ok());
  {
    const exclusive_lock lock(dir / "p.db");
    const auto begun = std::chrono::steady_clock::now();
    const auto read = store.find("a", soon());
    REQUIRE_FALSE(read.ok());
    CHECK((read.error().code.value() & 0xFF) == SQLITE_BUSY);
    CHECK(read.error().kind == verdict::transient);
    const auto write = store.put({.id = "a", .body = "1"}, soon());
    REQUIRE_FALSE(write.ok());
    CHECK(write.error().not_sent);
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::milliseconds(500));
  }
  CHECK(store.find("a", soon()).ok());
}

TEST_CASE("store: the naive wait sleeps on the lock until its time is over") {
  const temporary_directory dir;
  auto options = at(dir / "p.db");
  options.file.busy_wait = std::chrono::milliseconds(100);
  profile_store store(options);
  REQUIRE(store.create_schema(0, soon()).ok());
  const exclusive_lock lock(dir / "p.db");
  const auto begun = std::chrono::steady_clock::now();
  CHECK_FALSE(store.find("a", soon()).ok());
  CHECK(std::chrono::steady_clock::now() - begun >= std::chrono::milliseconds(90));
}

TEST_CASE("store: a file that is moved away is noticed, and found again when it is back") {
  const temporary_directory dir;
  profile_store store(at(dir / "p.db"));
  REQUIRE(store.create_schema(0, soon()).ok());
  REQUIRE(store.put({.id = "a", .body = "1"}, soon()).ok());
  fs::rename(dir / "p.db", dir / "away.db");
  for (int i = 0; i < 3; ++i) {
    const auto read = store.find("a", soon());
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().kind == verdict::transient);
    CHECK((read.error().code.value() & 0xFF) == SQLITE_CANTOPEN);
  }
  CHECK_FALSE(store.put({.id = "a", .body = "2"}, soon()).ok());
  CHECK_FALSE(fs::exists(dir / "p.db"));
  fs::rename(dir / "away.db", dir / "p.db");
  const auto back = store.find("a", soon());
  REQUIRE(back.ok());
  CHECK((*back)->body == "1");
}

TEST_CASE("store: a statement that runs past its deadline is interrupted, with verdict timeout") {
  const temporary_directory dir;
  auto c = sqlite_connection::open({.path = (dir / "p.db").string(), .create = true});
  REQUIRE(c.ok());
  c->set_deadline(soon(std::chrono::milliseconds(50)));
  const auto begun = std::chrono::steady_clock::now();
  const auto endless =
      c->execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n");
  REQUIRE_FALSE(endless.ok());
  CHECK(endless.error().kind == verdict::timeout);
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::milliseconds(1'000));
}

TEST_CASE("store: threads of one process that share a gate never meet SQLITE_BUSY") {
  const temporary_directory dir;
  const auto options = at(dir / "p.db");
  profile_store first(options);
  REQUIRE(first.create_schema(0, soon()).ok());
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      profile_store store(options);
      for (int i = 0; i < 50; ++i) {
        const bool ok =
            t == 0 ? store.put({.id = "a", .body = std::to_string(i)}, soon()).ok() : store.find("a", soon()).ok();
        failures += ok ? 0 : 1;
      }
    });
  }
  for (auto& t : threads) t.join();
  CHECK(failures == 0);
}

TEST_CASE("gate: a reader that waits for a writer gives up at its deadline, and a writer is not starved") {
  db_gate gate;
  {
    const auto writer = gate.enter_alone(soon());
    REQUIRE(writer);
    CHECK_FALSE(gate.enter_shared(soon(std::chrono::milliseconds(20))));
  }
  const auto reader = gate.enter_shared(soon());
  CHECK_FALSE(gate.enter_alone(soon(std::chrono::milliseconds(20))));
  CHECK(gate.enter_shared(soon(std::chrono::milliseconds(20))));  // the writer that gave up bars nobody
}

TEST_CASE("replicator: followers get every committed change, also those made while they were away") {
  const temporary_directory dir;
  fs::create_directories(dir / "replica");
  const auto primary_options = at(dir / "p.db");
  profile_store primary(primary_options);
  REQUIRE(primary.create_schema(0, soon()).ok());
  REQUIRE(primary.load({{"a", document("a", "Ada")}, {"b", document("b", "Bo")}}, soon()).ok());
  id_filter known(1024);
  std::atomic<int> troubles{0};
  replicator r({primary_options, at(dir / "replica/r.db"), (dir / "cdn").string(), milliseconds(10)}, known,
               [&](const follower&, const error* why) { troubles += why != nullptr ? 1 : 0; });
  REQUIRE(r.prepare().ok());
  r.start();
  REQUIRE(r.wait_until_complete(milliseconds(5'000)));
  CHECK(known.may_contain("a"));
  CHECK(fs::exists(fs::path((dir / "cdn").string() + cdn_path("b"))));
  fs::rename(dir / "replica", dir / "gone");
  REQUIRE(primary.put({.id = "a", .body = document("a", "Anna")}, soon()).ok());
  for (int i = 0; i < 500 && troubles == 0; ++i) std::this_thread::sleep_for(milliseconds(10));
  CHECK(troubles > 0);
  fs::rename(dir / "gone", dir / "replica");
  profile_store copy(at(dir / "replica/r.db"));
  std::string seen;
  for (int i = 0; i < 500 && seen != document("a", "Anna"); ++i) {
    std::this_thread::sleep_for(milliseconds(10));
    const auto row = copy.find("a", soon());
    if (row.ok() && row->has_value()) seen = (*row)->body;
  }
  CHECK(seen == document("a", "Anna"));
}

TEST_CASE("replicator: a replica of another history is emptied before it follows") {
  const temporary_directory dir;
  const auto primary_options = at(dir / "p.db");
  const auto replica_options = at(dir / "r.db");
  profile_store primary(primary_options);
  profile_store replica(replica_options);
  REQUIRE(primary.create_schema(11, soon()).ok());
  REQUIRE(replica.create_schema(22, soon()).ok());
  REQUIRE(replica.load({{"old", document("old", "Old")}}, soon()).ok());
  REQUIRE(primary.load({{"new", document("new", "New")}}, soon()).ok());
  id_filter known(1024);
  replicator r({primary_options, replica_options, "", milliseconds(10)}, known, [](const auto&, const error*) {});
  REQUIRE(r.prepare().ok());
  r.start();
  REQUIRE(r.wait_until_complete(milliseconds(5'000)));
  r.stop();
  CHECK_FALSE(replica.find("old", soon())->has_value());
  CHECK(replica.find("new", soon())->has_value());
}
