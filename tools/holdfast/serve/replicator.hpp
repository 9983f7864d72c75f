// SPDX-License-Identifier: MIT
// replicator: carries committed changes from the primary to those that follow it: the replica, the CDN's files and the
// filter of known ids. One thread, one pass every `lag`; a follower that fails catches up when it is back.
//
// A follower's age is true: it is as old as the beginning of the last pass that found nothing left to carry over.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "serve/cdn_files.hpp"
#include "serve/id_filter.hpp"
#include "serve/options.hpp"
#include "serve/profile_store.hpp"

namespace holdfast::serve {

class follower {
 public:
  using taker = std::function<outcome<>(const std::vector<change>&)>;

  follower(std::string name, taker take) : name_(std::move(name)), take_(std::move(take)) {}
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  // Wall time at which it held all that the primary had; 0: never yet.
  [[nodiscard]] std::int64_t as_of_ms() const noexcept { return as_of_ms_.load(std::memory_order_acquire); }
  [[nodiscard]] std::int64_t seq() const noexcept { return seq_.load(std::memory_order_acquire); }
  void start_from(std::int64_t seq) noexcept { seq_.store(seq, std::memory_order_release); }
  // Takes over everything there is, in batches.
  outcome<> catch_up(profile_store& primary);

 private:
  std::string name_;
  taker take_;
  std::atomic<std::int64_t> seq_{0};       // written by the replicator's thread
  std::atomic<std::int64_t> as_of_ms_{0};  // likewise
};

struct replicator_options {
  store_options primary;
  store_options replica;
  std::string cdn_root;  // empty: no CDN
  milliseconds lag{100};
};

class replicator {
 public:
  // Hears of a follower that begins to fail (with its error) or is well again (with none). Called on its thread.
  using listener = std::function<void(const follower&, const error*)>;

  replicator(replicator_options options, id_filter& known, listener on_change);
  ~replicator() { stop(); }
  replicator(const replicator&) = delete;
  replicator& operator=(const replicator&) = delete;

  // Makes the replica and the CDN's directories, and finds out what they hold; not concurrently with anything.
  outcome<> prepare();
  void start();
  void stop();
  // True when every follower has been complete once.
  bool wait_until_complete(milliseconds within);
  [[nodiscard]] const follower& replica() const noexcept { return replica_; }
  [[nodiscard]] const follower& cdn() const noexcept { return cdn_; }
  [[nodiscard]] bool has_cdn() const noexcept { return !options_.cdn_root.empty(); }

 private:
  outcome<> prepare_replica(std::int64_t history);
  outcome<> prepare_cdn(std::int64_t history);
  outcome<> export_to_cdn(const std::vector<change>& changes);
  void run();
  void pass();
  bool complete() const;

  replicator_options options_;
  id_filter& known_;
  listener on_change_;
  profile_store primary_store_;
  profile_store replica_store_;
  cdn_exporter exporter_;
  std::int64_t history_ = 0;
  follower replica_;
  follower cdn_;
  follower ids_;
  std::vector<std::pair<follower*, bool>> followers_;  // with: is it failing?
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace holdfast::serve
