// SPDX-License-Identifier: MIT
// wire: what callers and callees of a simulated world say to each other, and how long it takes to get there.
//
// A deadline crosses as the time that is left (deadline::to_wire), a repetition as a flag, an error as an HTTP status with
// its Retry-After and the word that there is to be no retry. What a world without policies does not send, does not arrive.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <vector>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/core/outcome.hpp"
#include "holdfast/time/deadline.hpp"

#include "timeline.hpp"

namespace sim {

using holdfast::deadline;
using holdfast::verdict;
using answer = holdfast::outcome<>;

struct request {
  std::uint64_t id = 0;       // the client's, the same at every layer and in every attempt
  std::uint16_t attempt = 1;  // of the layer that sends it
  // What travels:
  std::int64_t left_us = std::numeric_limits<std::int64_t>::max();
  bool repetition = false;
  // What the world knows and nobody in it, for its checks:
  bool first = true;          // no layer on the way has repeated it
  time_point sender_until{};  // the sender's deadline
  time_point client_until{};  // the instant after which the client does not care any more
};

// Each request gets exactly one answer, however late.
class caller {
 public:
  virtual void answered(std::uint64_t token, const answer& what) = 0;

 protected:
  ~caller() = default;
};

struct return_address {
  caller* who = nullptr;
  std::uint64_t token = 0;
};

class callee {
 public:
  virtual void serve(const request& what, return_address from) = 0;

 protected:
  ~callee() = default;
};

struct wire_options {
  duration shortest = std::chrono::microseconds(200);
  duration longest = std::chrono::microseconds(400);
  bool carries_deadline = true;
  bool carries_repetition = true;
  bool carries_no_retry = true;
  // What a policy refused crosses as 429, not as a failure: whoever asked is not to take it for one.
  bool refusals_are_429 = true;

  // What a deadline is shortened by, for the way there and back.
  [[nodiscard]] duration slack() const noexcept { return 2 * longest; }
};

class wire final : public actor {
 public:
  wire(timeline& time, world_bits bits, const wire_options& o) : time_(time), bits_(bits), options_(o) {}

  // `now` and `until` by the sender's clock.
  void send(request what, callee& to, return_address from, time_point now, deadline until) {
    what.left_us = (options_.carries_deadline ? until : deadline::never()).to_wire(now, options_.slack());
    what.repetition = what.repetition && options_.carries_repetition;
    const std::size_t place = take_place();
    messages_[place] = {.what = what, .to = &to, .from = from};
    post(place);
  }
  void reply(return_address to, const answer& what) {
    const std::size_t place = take_place();
    messages_[place] = {.from = to, .reply = as_sent(what)};
    post(place);
  }

  void on_time(std::uint64_t place) override {
    const message arrived = messages_[place];
    free_.push_back(place);
    if (arrived.to != nullptr) {
      arrived.to->serve(arrived.what, arrived.from);
    } else {
      arrived.from.who->answered(arrived.from.token, arrived.reply);
    }
  }

 private:
  struct message {
    request what{};
    callee* to = nullptr;  // null: a reply
    return_address from{};
    answer reply{};
  };

  [[nodiscard]] answer as_sent(const answer& what) const {
    if (what.ok()) return what;
    const holdfast::error& why = what.error();
    const bool not_now = why.kind == verdict::throttled || (why.kind == verdict::rejected && options_.refusals_are_429);
    const int status = not_now ? 429 : why.kind == verdict::timeout ? 504 : 503;
    auto sent = holdfast::make_error(holdfast::http_error(status), why.retry_after);
    sent.no_retry = why.no_retry && options_.carries_no_retry;
    return sent;
  }

  std::size_t take_place() {
    if (free_.empty()) {
      messages_.emplace_back();
      return messages_.size() - 1;
    }
    const std::size_t place = free_.back();
    free_.pop_back();
    return place;
  }
  void post(std::size_t place) {
    time_.at(time_.now() + options_.shortest + bits_.up_to(options_.longest - options_.shortest), *this, place);
  }

  timeline& time_;
  world_bits bits_;
  const wire_options options_;
  std::vector<message> messages_;
  std::vector<std::size_t> free_;
};

}  // namespace sim
