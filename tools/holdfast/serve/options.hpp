// SPDX-License-Identifier: MIT
// What `holdfast serve` can be told: one aggregate, every default sensible for a small service on one machine.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace holdfast::serve {

using milliseconds = std::chrono::milliseconds;

struct server_options {
  std::string address = "127.0.0.1";
  std::int64_t port = 8080;
  std::int64_t io_threads = 2;
  std::int64_t db_threads = 4;
  std::int64_t max_connections = 1024;
  std::int64_t max_header_bytes = 8192;
  std::int64_t max_body_bytes = 16384;
  milliseconds header_timeout{5'000};
  milliseconds body_timeout{10'000};
  milliseconds write_timeout{10'000};
  milliseconds idle_timeout{60'000};
  milliseconds drain_timeout{10'000};
};

struct admin_options {
  std::string address = "127.0.0.1";
  std::int64_t port = -1;  // -1: beside the service where that is bound to loopback, else a free loopback port
};

struct data_options {
  std::string dir = "holdfast-data";
  std::int64_t generate = 10'000;
  std::int64_t seed = 1;
};

struct log_options {
  std::string file;  // empty: <data>/serve.log.jsonl; "-": standard output
  std::string level = "info";
  std::int64_t sample_ok_permille = 1000;
};

// The guards of one dependency.
struct dependency_options {
  milliseconds attempt_timeout{100};
  std::int64_t bulkhead = 64;
  std::int64_t bulkhead_queue = 0;
  milliseconds bulkhead_wait{10};
  std::int64_t attempts = 2;
  milliseconds backoff_base{2};
  milliseconds backoff_cap{20};
  std::int64_t budget_permille = 100;
  std::int64_t budget_min_per_second = 10;
  std::int64_t consecutive_failures = 10;
  std::int64_t failure_permille = 500;
  milliseconds slow_call{0};
  std::int64_t slow_permille = 0;
  std::int64_t min_calls = 20;
  milliseconds window{10'000};
  std::int64_t probes = 3;
  milliseconds open_base{1'000};
  milliseconds open_max{10'000};
};

struct cache_options {
  std::int64_t entries = 16'384;
  milliseconds fresh_for{2'000};
  milliseconds stale_for{3'600'000};
};

struct follower_options {
  milliseconds replica_lag{100};
  milliseconds startup_sync{30'000};
};

struct cdn_process_options {
  bool enabled = true;
  std::int64_t port = 0;
};

struct write_options {
  milliseconds deadline{1'000};
  bool require_if_match = false;
  milliseconds key_ttl{86'400'000};
};

struct options {
  server_options server;
  admin_options admin;
  data_options data;
  log_options log;
  bool policies = true;
  milliseconds read_deadline{500};
  dependency_options primary{};
  dependency_options primary_write{.attempt_timeout = milliseconds{400},
                                   .attempts = 3,
                                   .backoff_base = milliseconds{10},
                                   .backoff_cap = milliseconds{100}};
  dependency_options replica{};
  dependency_options cdn{.attempt_timeout = milliseconds{80}, .attempts = 1};
  cache_options cache;
  follower_options follower;
  cdn_process_options cdn_process;
  write_options writes;
};

}  // namespace holdfast::serve
