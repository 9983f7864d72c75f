// SPDX-License-Identifier: MIT
// layer: one service of a simulated chain, which guards its calls to the next one with the library's own policies.
//
// It is to call_machine what `run` and `async_call` are: the driver. It sends attempts over the wire, ends those that are
// not answered in time, wakes calls that wait, and keeps the room of an attempt that was given up until its answer comes
// after all. Calls go round its threads, each with its own reading of the clock.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/exec/call_machine.hpp"

#include "breaker_watch.hpp"
#include "event_log.hpp"
#include "timeline.hpp"
#include "wire.hpp"

namespace sim {

struct layer_options {
  std::string_view name{};
  std::optional<holdfast::bulkhead_options> room{};
  std::optional<holdfast::circuit_breaker_options> breaker{};
  std::optional<holdfast::retry_budget_options> budget{};
  holdfast::retry_options retry{};
  duration attempt_timeout{};
  std::vector<duration> thread_lags{duration{0}};
};

// What no call may do, counted.
struct layer_findings {
  std::uint64_t deadlines_grown = 0;       // D1: an inner deadline later than the outer one
  std::uint64_t sleeps_past_deadline = 0;  // D2: waits that end when the call's deadline has passed
  std::uint64_t sleeps_past_client = 0;    // waits that end when the client has left, deadlines or not
  std::uint64_t ends_past_deadline = 0;    // calls that end later than their deadline
  std::uint64_t unmarked = 0;              // repetitions that arrive as if they were none
};

class layer final : public callee, public caller, public actor {
 public:
  struct retry_event {
    time_point at;        // when it was decided, and paid for
    std::uint32_t price;  // in tokens; 0: the callee had not been bothered
  };
  struct send {
    time_point at;
    std::uint16_t attempt;
  };

  layer(timeline& time, wire& net, world_bits bits, event_log& log, const layer_options& o, callee& inward)
      : time_(time), net_(net), bits_(bits), log_(log), options_(o), inward_(inward) {
    if (o.room) room_.emplace(*o.room);
    if (o.breaker) breaker_.emplace(*o.breaker);
    if (o.budget) budget_.emplace(*o.budget);
    guard_ = {.name = options_.name,
              .room = room_ ? &*room_ : nullptr,
              .breaker = breaker_ ? &*breaker_ : nullptr,
              .budget = budget_ ? &*budget_ : nullptr,
              .retry = options_.retry,
              .attempt_timeout = options_.attempt_timeout};
  }
  layer(const layer&) = delete;
  layer& operator=(const layer&) = delete;

  void serve(const request& what, return_address from) override {
    const std::size_t place = take_call();
    call& c = calls_[place];
    c.clock = {.of = &time_, .lag = options_.thread_lags[next_thread_++ % options_.thread_lags.size()]};
    c.what = what;
    c.from = from;
    c.heard = {this, place};
    const time_point now = c.clock.now();
    c.until = deadline::from_wire(now, what.left_us);
    firsts_.push_back(time_.now());
    if (!what.first && !what.repetition) ++found_.unmarked;
    // (A deadline that passed on the way is one that has passed: no work is done for it.)
    if (!c.until.passed(now) && c.clock.true_time(c.until.at()) > what.sender_until) ++found_.deadlines_grown;
    c.machine.emplace(guard_,
                      holdfast::call_context{
                          .until = c.until, .safety = holdfast::idempotency::idempotent, .is_retry = what.repetition},
                      c.heard, bits_);
    drive(place, c.machine->start(now));
  }

  void answered(std::uint64_t token, const answer& what) override {
    const operation done = std::exchange(operations_[token], {});  // the room that a late one kept goes with it
    free_operations_.push_back(token);
    if (done.call == nobody) return;
    call& c = calls_[done.call];
    ++c.step;
    if (what.ok()) {
      c.machine->answered(c.clock.now());
      return end(done.call, {});
    }
    drive(done.call, c.machine->finish(what.kind(), what.error(), c.clock.now()));
  }

  // The end of an attempt or of a wait, unless something else ended it before.
  void on_time(std::uint64_t what) override {
    const auto place = static_cast<std::size_t>(what >> 32U);
    call& c = calls_[place];
    if (c.step != static_cast<std::uint32_t>(what)) return;
    ++c.step;
    if (c.operation == nobody) return drive(place, c.machine->resume(c.clock.now()));
    operations_[c.operation] = {.room = c.machine->detach_room()};
    drive(place, c.machine->finish(verdict::timeout, holdfast::errc::attempt_timeout, c.clock.now()));
  }

  // Heard from the machines, between policies.
  struct observer {
    layer* owner = nullptr;
    std::size_t place = 0;
    void on_attempt(const holdfast::guard&, const holdfast::attempt& a, verdict v, duration) noexcept {
      owner->watch_.attempt_ends(a, v);
      owner->tell(place, "attempt", a.number, name_of(v));
    }
    void on_refusal(const holdfast::guard&, const holdfast::error& why) noexcept {
      ++owner->refusals_;
      owner->tell(place, "refused", why.code.value());
    }
    void on_transition(const holdfast::guard&, const holdfast::breaker_transition& t) noexcept {
      owner->watch_.moved(*owner->breaker_, t, owner->calls_[place].clock.now(), owner->time_.now());
      owner->log_.add(owner->options_.name, "breaker", name_of(t.from), name_of(t.to), name_of(t.cause), t.generation);
    }
    void on_retry(const holdfast::guard&, const holdfast::error& why, std::uint16_t, duration wait) noexcept {
      owner->retries_.push_back({owner->time_.now(), holdfast::retry_cost(why.kind)});
      owner->tell(place, "retries in", wait.count());
    }
    void on_give_up(const holdfast::guard&, const holdfast::error& why) noexcept {
      owner->tell(place, "gives up after", why.attempts, static_cast<unsigned>(why.stopped_by));
    }
  };

  [[nodiscard]] std::string_view name() const noexcept { return options_.name; }
  [[nodiscard]] const layer_options& options() const noexcept { return options_; }
  [[nodiscard]] const layer_findings& found() const noexcept { return found_; }
  [[nodiscard]] const breaker_watch& watch() const noexcept { return watch_; }
  [[nodiscard]] const std::vector<time_point>& calls_begun() const noexcept { return firsts_; }
  [[nodiscard]] const std::vector<retry_event>& retries() const noexcept { return retries_; }
  [[nodiscard]] const std::vector<send>& sends() const noexcept { return sends_; }
  [[nodiscard]] std::uint64_t refusals() const noexcept { return refusals_; }
  [[nodiscard]] std::uint64_t calls_open() const noexcept { return calls_.size() - free_calls_.size(); }
  [[nodiscard]] std::uint32_t in_room() const noexcept { return room_ ? room_->in_flight() : 0; }
  [[nodiscard]] const holdfast::circuit_breaker* breaker() const noexcept { return breaker_ ? &*breaker_ : nullptr; }

 private:
  static constexpr std::size_t nobody = ~std::size_t{0};

  struct operation {
    std::size_t call = nobody;
    holdfast::bulkhead::permit room{};  // of an attempt that was given up
  };
  struct call {
    thread_clock clock{};
    request what{};
    return_address from{};
    deadline until{};
    observer heard{};
    std::optional<holdfast::call_machine<observer, holdfast::call_shape{}, world_bits>> machine{};
    std::size_t operation = nobody;  // of the attempt that is under way
    std::uint32_t step = 0;          // a timer that was set in an earlier one has nothing to say
  };

  void drive(std::size_t place, holdfast::call_step next) {
    call& c = calls_[place];
    c.operation = nobody;
    switch (next) {
      case holdfast::call_step::attempt: return begin_attempt(place);
      case holdfast::call_step::wait: {
        const time_point wakes = c.clock.true_time(c.machine->wake_at());
        if (c.until.passed(c.machine->wake_at())) ++found_.sleeps_past_deadline;
        if (wakes >= c.what.client_until) ++found_.sleeps_past_client;
        return time_.at(wakes, *this, timer_of(place));
      }
      case holdfast::call_step::room: std::abort();  // no guard here has a room that is waited for
      case holdfast::call_step::done: return end(place, c.machine->failure());
    }
  }

  void end(std::size_t place, const answer& what) {
    call& c = calls_[place];
    if (time_.now() > c.clock.true_time(c.until.at())) ++found_.ends_past_deadline;
    net_.reply(c.from, what);
    ++c.step;
    c.machine.reset();
    free_calls_.push_back(place);
  }

  void begin_attempt(std::size_t place) {
    call& c = calls_[place];
    const holdfast::attempt& a = c.machine->current();
    if (breaker_) watch_.attempt_begins(*breaker_, a);
    c.operation = take_operation();
    operations_[c.operation].call = place;
    sends_.push_back({time_.now(), a.number});
    const time_point ends = c.clock.true_time(a.context.until.at());
    net_.send({.id = c.what.id,
               .attempt = a.number,
               .repetition = a.context.is_retry,
               .first = c.what.first && a.number == 1,
               .sender_until = ends,
               .client_until = c.what.client_until},
              inward_, {this, c.operation}, c.clock.now(), a.context.until);
    if (!a.context.until.is_never()) time_.at(ends, *this, timer_of(place));
  }

  [[nodiscard]] std::uint64_t timer_of(std::size_t place) const noexcept {
    return std::uint64_t{place} << 32U | calls_[place].step;
  }
  template <class... Words>
  void tell(std::size_t place, const Words&... words) {
    log_.add(options_.name, calls_[place].what.id, words...);
  }

  std::size_t take_call() {
    if (free_calls_.empty()) {
      calls_.emplace_back();
      return calls_.size() - 1;
    }
    const std::size_t place = free_calls_.back();
    free_calls_.pop_back();
    return place;
  }
  std::size_t take_operation() {
    if (free_operations_.empty()) {
      operations_.emplace_back();
      return operations_.size() - 1;
    }
    const std::size_t place = free_operations_.back();
    free_operations_.pop_back();
    return place;
  }

  timeline& time_;
  wire& net_;
  world_bits bits_;
  event_log& log_;
  const layer_options options_;
  callee& inward_;
  std::optional<holdfast::bulkhead> room_;
  std::optional<holdfast::circuit_breaker> breaker_;
  std::optional<holdfast::retry_budget> budget_;
  holdfast::guard guard_{};
  std::deque<call> calls_;
  std::deque<operation> operations_;
  std::vector<std::size_t> free_calls_;
  std::vector<std::size_t> free_operations_;
  std::uint64_t next_thread_ = 0;
  breaker_watch watch_;
  layer_findings found_;
  std::vector<time_point> firsts_;
  std::vector<send> sends_;
  std::vector<retry_event> retries_;
  std::uint64_t refusals_ = 0;
};

}  // namespace sim
