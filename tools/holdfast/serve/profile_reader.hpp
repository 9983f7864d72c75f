// SPDX-License-Identifier: MIT
// profile_reader: a read through its tiers: primary, replica, cache, CDN, static default. Never without an answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>

#include "holdfast/core/outcome.hpp"
#include "holdfast/telemetry/context.hpp"

#include "serve/cdn_client.hpp"
#include "serve/db_pool.hpp"
#include "serve/dependency.hpp"
#include "serve/library_watch.hpp"
#include "serve/profile_cache.hpp"
#include "serve/replicator.hpp"

namespace holdfast::serve {

enum class tier : std::uint8_t { primary, replica, cache, cdn, fallback_default, none };
std::string_view name_of(tier t) noexcept;

inline constexpr std::int64_t unknown_age = -1;

struct read_answer {
  tier by = tier::none;
  std::optional<profile> found{};     // empty with tier primary: there is no such profile
  std::int64_t age_ms = unknown_age;  // since it was known to be the current version
  error why{};                        // why the primary did not serve it, when it did not
};

// What a read may use; all of it outlives every read.
struct read_parts {
  db_pool& primary_pool;
  db_pool& replica_pool;
  dependency& primary;
  dependency& replica;
  dependency& cdn;
  profile_cache& cache;
  cdn_client* cdn_calls;  // null: no CDN
  const replicator& followers;
  library_watch& watch;
  milliseconds read_deadline;
};

class profile_reader {
 public:
  explicit profile_reader(read_parts parts) : parts_(parts) {}

  boost::asio::awaitable<read_answer> read(std::size_t io_thread, std::string id, context whose);
  // As a service without policies would: ask the primary, wait for it, fail with it.
  boost::asio::awaitable<read_answer> read_naively(std::string id);

 private:
  using found = outcome<std::optional<profile>>;
  boost::asio::awaitable<found> ask(tier t, std::size_t io_thread, const std::string& id, const context& whose,
                                    deadline until);
  boost::asio::awaitable<found> ask_store(db_pool& pool, dependency& d, const std::string& id, const context& whose,
                                          deadline until);
  boost::asio::awaitable<found> ask_cdn(std::size_t io_thread, const std::string& id, const context& whose,
                                        deadline until);
  [[nodiscard]] found ask_cache(const std::string& id) const;
  read_answer served(tier by, profile&& p, std::int64_t asked_ms, const error& why);

  read_parts parts_;
};

}  // namespace holdfast::serve
