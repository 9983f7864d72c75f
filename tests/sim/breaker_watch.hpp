// SPDX-License-Identifier: MIT
// breaker_watch: keeps the books of one circuit breaker from outside, and counts what it should not have done.
#pragma once

#include <cstdint>
#include <vector>

#include "holdfast/exec/guard.hpp"

#include "timeline.hpp"

namespace sim {

using holdfast::breaker_state;

class breaker_watch {
 public:
  struct span {
    time_point from;  // true time
    breaker_state state;
  };
  // One half-open generation.
  struct trial {
    time_point begun;
    std::uint16_t generation;
    std::uint32_t probes = 0;  // begun in it
    std::uint32_t out = 0;
    std::uint32_t passed = 0;
    breaker_state ended = breaker_state::half_open;  // what came after it
  };

  // `own` is the reading of the clock of the thread that moved the breaker.
  void moved(const holdfast::circuit_breaker& breaker, const holdfast::breaker_transition& step, time_point own,
             time_point true_now) {
    const breaker_state before = spans_.empty() ? breaker_state::closed : spans_.back().state;
    chain_broken_ += step.from != before ? 1U : 0U;
    chain_broken_ += step.generation != static_cast<std::uint16_t>(generation_ + 1U) ? 1U : 0U;
    generation_ = step.generation;
    if (step.from == breaker_state::open) left_early_ += own < opens_until_ ? 1U : 0U;
    if (step.from == breaker_state::half_open && !trials_.empty()) trials_.back().ended = step.to;
    if (step.to == breaker_state::open) opens_until_ = own + breaker.snapshot(own).open_remaining;
    if (step.to == breaker_state::half_open) trials_.push_back({.begun = true_now, .generation = step.generation});
    spans_.push_back({true_now, step.to});
  }

  void attempt_begins(const holdfast::circuit_breaker& breaker, const holdfast::attempt& a) {
    begun_while_open_ += breaker.state() == breaker_state::open ? 1U : 0U;
    if (!a.probe) return;
    trial* const mine = trial_of(a);
    if (mine == nullptr) return void(++chain_broken_);
    ++mine->probes;
    ++mine->out;
    probes_over_ += mine->out + mine->passed > breaker.options().probes ? 1U : 0U;
  }
  void attempt_ends(const holdfast::attempt& a, holdfast::verdict v) {
    trial* const mine = a.probe ? trial_of(a) : nullptr;
    if (mine == nullptr) return;
    --mine->out;
    mine->passed += holdfast::is_answer(v) ? 1U : 0U;
  }

  [[nodiscard]] const std::vector<span>& spans() const noexcept { return spans_; }
  [[nodiscard]] const std::vector<trial>& trials() const noexcept { return trials_; }
  [[nodiscard]] std::uint64_t probes_over() const noexcept { return probes_over_; }            // I1
  [[nodiscard]] std::uint64_t left_early() const noexcept { return left_early_; }              // I4
  [[nodiscard]] std::uint64_t begun_while_open() const noexcept { return begun_while_open_; }  // I4
  [[nodiscard]] std::uint64_t chain_broken() const noexcept { return chain_broken_; }          // I5

 private:
  trial* trial_of(const holdfast::attempt& a) noexcept {
    for (auto t = trials_.rbegin(); t != trials_.rend(); ++t) {
      if (t->generation == a.generation) return &*t;
    }
    return nullptr;
  }

  std::vector<span> spans_;
  std::vector<trial> trials_;
  time_point opens_until_{};
  std::uint16_t generation_ = 0;
  std::uint64_t probes_over_ = 0;
  std::uint64_t left_early_ = 0;
  std::uint64_t begun_while_open_ = 0;
  std::uint64_t chain_broken_ = 0;
};

}  // namespace sim
