// SPDX-License-Identifier: MIT
// clients: who asks the first layer. They wait until their deadline and go; they repeat nothing by themselves.
//
// open_loop_clients come at a rate whatever the answers are, as the public does. closed_loop_clients are so many, each of
// which asks again some time after its last answer; one that is told when to come again may take it at its word.
#pragma once

#include <cstdint>
#include <vector>

#include "event_log.hpp"
#include "timeline.hpp"
#include "wire.hpp"

namespace sim {

// One request of a client, and what became of it.
struct wish {
  time_point sent{};
  time_point until{};
  time_point done = time_point::max();
  bool ok = false;
  std::uint64_t client = 0;

  [[nodiscard]] bool in_time() const noexcept { return ok && done <= until; }
};

class open_loop_clients final : public caller, public actor {
 public:
  struct options {
    std::uint32_t per_second = 600;
    duration patience = std::chrono::seconds(1);
    duration lasts = std::chrono::seconds(60);
  };

  open_loop_clients(timeline& time, wire& net, world_bits bits, event_log& log, const options& o, callee& front)
      : time_(time), net_(net), bits_(bits), log_(log), options_(o), front_(front) {
    time_.at(timeline::zero, *this, 0);
  }

  void on_time(std::uint64_t) override {
    const time_point now = time_.now();
    const time_point until = now + options_.patience;
    const std::uint64_t id = wishes_.size();
    wishes_.push_back({.sent = now, .until = until, .client = id});
    log_.add("client", id, "asks");
    net_.send({.id = id, .sender_until = until, .client_until = until}, front_, {this, id}, now, deadline(until));
    // Gaps between nothing and twice the mean.
    const duration next = bits_.up_to(duration(std::chrono::seconds(2)) / options_.per_second);
    if (now + next < timeline::zero + options_.lasts) time_.at(now + next, *this, 0);
  }
  void answered(std::uint64_t token, const answer& what) override {
    wish& mine = wishes_[token];
    mine.done = time_.now();
    mine.ok = what.ok();
    log_.add("client", token, mine.in_time() ? "served" : what.ok() ? "served late" : "failed");
  }

  [[nodiscard]] const std::vector<wish>& wishes() const noexcept { return wishes_; }

 private:
  timeline& time_;
  wire& net_;
  world_bits bits_;
  event_log& log_;
  const options options_;
  callee& front_;
  std::vector<wish> wishes_;
};

class closed_loop_clients final : public caller, public actor {
 public:
  struct options {
    std::size_t clients = 10'000;
    duration first_within = std::chrono::milliseconds(1);  // all begin within this
    duration thinks{};                                     // after an answer, up to so long
    bool obeys_hints = false;                              // after a refusal, comes exactly when told
    bool once = false;                                     // is content with its first answer
    duration patience = duration::max();
    duration lasts = std::chrono::seconds(60);
  };

  closed_loop_clients(timeline& time, wire& net, world_bits bits, event_log& log, const options& o, callee& front)
      : time_(time), net_(net), bits_(bits), log_(log), options_(o), front_(front), served_(o.clients) {
    for (std::size_t i = 0; i < o.clients; ++i) time_.at(timeline::zero + bits_.up_to(o.first_within), *this, i);
  }

  void on_time(std::uint64_t client) override {
    const time_point now = time_.now();
    const deadline until = deadline::after(now, options_.patience);
    const std::uint64_t token = wishes_.size();
    wishes_.push_back({.sent = now, .until = until.at(), .client = client});
    net_.send({.id = client, .sender_until = until.at(), .client_until = until.at()}, front_, {this, token}, now,
              until);
  }
  void answered(std::uint64_t token, const answer& what) override {
    wish& mine = wishes_[token];
    mine.done = time_.now();
    mine.ok = what.ok();
    served_[mine.client] += what.ok() ? 1U : 0U;
    log_.add("client", mine.client, what.ok() ? "served" : "failed");
    if (what.ok() && options_.once) return;
    const duration told = what.ok() ? duration{} : what.error().retry_after;
    const duration pause = options_.obeys_hints && told > duration{} ? told : bits_.up_to(options_.thinks);
    if (time_.now() + pause < timeline::zero + options_.lasts) time_.at(time_.now() + pause, *this, mine.client);
  }

  [[nodiscard]] const std::vector<wish>& wishes() const noexcept { return wishes_; }
  [[nodiscard]] const std::vector<std::uint32_t>& served() const noexcept { return served_; }

 private:
  timeline& time_;
  wire& net_;
  world_bits bits_;
  event_log& log_;
  const options options_;
  callee& front_;
  std::vector<wish> wishes_;
  std::vector<std::uint32_t> served_;
};

}  // namespace sim
