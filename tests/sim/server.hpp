// SPDX-License-Identifier: MIT
// server: a dependency at the end of the chain that works as fast as its workers allow, and fails when its faults say so.
//
//   fault        while it lasts
//   outage       every request is answered at once: connection refused
//   silence      no request is answered; each is reset when `silence_ends` after it came
//   brown_out    `permille` of the requests fail, after the time that an answer takes
//   slow         each takes `factor` times as long
//   flapping     an outage in the first half of each `period`
//
// Requests beyond the workers wait in a line of bounded length. One that was told deadlines does not begin work whose
// answer nobody awaits; one that was not works through it all, which is how overload outlives its cause.
#pragma once

#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "event_log.hpp"
#include "timeline.hpp"
#include "wire.hpp"

namespace sim {

enum class fault_kind : std::uint8_t { outage, silence, brown_out, slow, flapping };

constexpr std::string_view name_of(fault_kind kind) noexcept {
  switch (kind) {
    case fault_kind::outage: return "outage";
    case fault_kind::silence: return "silence";
    case fault_kind::brown_out: return "brown_out";
    case fault_kind::slow: return "slow";
    case fault_kind::flapping: return "flapping";
  }
  return "unknown";
}

struct fault {
  fault_kind kind{};
  duration from{};  // since the world began
  duration to{};
  std::uint32_t permille = 1000;
  std::uint32_t factor = 10;
  duration period = std::chrono::seconds(1);
};

struct server_options {
  std::uint32_t workers = 20;
  std::size_t line = 1'000;                               // requests that wait for a worker
  duration service_time = std::chrono::milliseconds(20);  // on average; each takes half of it to half as much again
  duration silence_ends = std::chrono::seconds(3);
  std::vector<fault> faults{};
};

class server final : public callee, public actor {
 public:
  server(timeline& time, wire& net, world_bits bits, event_log& log, server_options o)
      : time_(time), net_(net), bits_(bits), log_(log), options_(std::move(o)) {}

  void serve(const request& what, return_address from) override {
    arrivals_.push_back({time_.now(), what.attempt, what.first});
    log_.add("store", what.id, "asked", what.attempt, what.repetition ? "again" : "first");
    open_ += 1;
    most_open_ = std::max(most_open_, open_);
    const weather now = look();
    if (now.silent) {
      time_.at(time_.now() + options_.silence_ends, *this, place_of({what, from, time_point::max(), true}));
    } else if (now.down) {
      answer_with(from, refused());
    } else if (busy_ < options_.workers) {
      begin(place_of({what, from, until_of(what), false}));
    } else if (line_.size() < options_.line) {
      line_.push_back(place_of({what, from, until_of(what), false}));
    } else {
      answer_with(from, overloaded());
    }
  }

  void on_time(std::uint64_t place) override {
    const job done = jobs_[place];
    free_.push_back(place);
    if (done.silent) return answer_with(done.from, reset());
    --busy_;
    const weather now = look();
    if (now.down || now.silent) {
      answer_with(done.from, reset());
    } else if (bits_.permille(now.failing_permille)) {
      answer_with(done.from, overloaded());
    } else {
      answer_with(done.from, {});
    }
    while (!line_.empty() && busy_ < options_.workers) {
      const std::size_t next = line_.front();
      line_.pop_front();
      if (jobs_[next].until <= time_.now()) {
        answer_with(jobs_[next].from, holdfast::errc::deadline_exceeded);
        free_.push_back(next);
      } else {
        begin(next);
      }
    }
  }

  struct arrival {
    time_point at;
    std::uint16_t attempt;
    bool first;
  };
  [[nodiscard]] const std::vector<arrival>& arrivals() const noexcept { return arrivals_; }
  // The most requests that had come and were not answered, at any time.
  [[nodiscard]] std::uint64_t most_open() const noexcept { return most_open_; }
  [[nodiscard]] std::uint64_t open() const noexcept { return open_; }
  [[nodiscard]] const server_options& options() const noexcept { return options_; }

 private:
  struct job {
    request what{};
    return_address from{};
    time_point until{};
    bool silent = false;
  };
  struct weather {
    bool down = false;
    bool silent = false;
    std::uint32_t failing_permille = 0;
    std::uint32_t factor = 1;
  };

  [[nodiscard]] weather look() const noexcept {
    weather now;
    const duration since = time_.now() - timeline::zero;
    for (const fault& f : options_.faults) {
      if (since < f.from || since >= f.to) continue;
      switch (f.kind) {
        case fault_kind::outage: now.down = true; break;
        case fault_kind::silence: now.silent = true; break;
        case fault_kind::brown_out: now.failing_permille = std::max(now.failing_permille, f.permille); break;
        case fault_kind::slow: now.factor = std::max(now.factor, f.factor); break;
        case fault_kind::flapping: now.down = now.down || (since - f.from) % f.period < f.period / 2; break;
      }
    }
    return now;
  }

  static answer refused() { return holdfast::make_error(std::make_error_code(std::errc::connection_refused)); }
  static answer reset() { return holdfast::make_error(std::make_error_code(std::errc::connection_reset)); }
  static answer overloaded() { return holdfast::make_error(holdfast::http_error(503)); }

  [[nodiscard]] time_point until_of(const request& what) const {
    return deadline::from_wire(time_.now(), what.left_us).at();
  }

  void begin(std::size_t place) {
    ++busy_;
    const duration average = options_.service_time * look().factor;
    time_.at(time_.now() + average / 2 + bits_.up_to(average), *this, place);
  }
  void answer_with(return_address to, const answer& what) {
    --open_;
    net_.reply(to, what);
  }

  std::size_t place_of(const job& j) {
    if (free_.empty()) {
      jobs_.push_back(j);
      return jobs_.size() - 1;
    }
    const std::size_t place = free_.back();
    free_.pop_back();
    jobs_[place] = j;
    return place;
  }

  timeline& time_;
  wire& net_;
  world_bits bits_;
  event_log& log_;
  const server_options options_;
  std::vector<arrival> arrivals_;
  std::vector<job> jobs_;
  std::vector<std::size_t> free_;
  std::deque<std::size_t> line_;
  std::uint32_t busy_ = 0;
  std::uint64_t open_ = 0;
  std::uint64_t most_open_ = 0;
};

}  // namespace sim
