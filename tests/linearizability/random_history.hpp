// SPDX-License-Identifier: MIT
// random_history: histories of a few operations with random overlaps, with answers that are right, nearly right or wild.
//
// Each specification has an `ask` that draws a question; the answer is found by trying answers on the specification, at a
// moment that lies within the operation's time. So the history is linearizable by construction, until it is mutated.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "holdfast/core/random.hpp"

#include "breaker_spec.hpp"
#include "budget_spec.hpp"
#include "cache_spec.hpp"
#include "history.hpp"
#include "queue_spec.hpp"
#include "semaphore_spec.hpp"

namespace holdfast_lin {

using random_source = holdfast::splitmix64;

// Every answer that some state might give to a question drawn at random: the specification chooses among them.
template <std::size_t Capacity, std::size_t Max, refusals Refusals>
std::vector<operation> possible_answers(const queue_spec<Capacity, Max, Refusals>*, random_source& random) {
  using spec = queue_spec<Capacity, Max, Refusals>;
  const auto item = static_cast<std::int64_t>(random() % 3);  // few values, so that mistakes look alike
  std::vector<operation> answers;
  if (random() % 16 == 0) return {spec::close()};
  switch (random() % 5) {
    case 0:
    case 1: return {spec::push(item, true), spec::push(item, false), spec::push(item, queue_said::closed)};
    case 2:
      for (std::size_t n = 0; n <= Max; ++n) answers.push_back(spec::holds(static_cast<std::int64_t>(n)));
      return answers;
    default:
      answers = {spec::pop(false), spec::pop(queue_said::closed)};
      for (std::int64_t value = 0; value < 3; ++value) answers.push_back(spec::pop(true, value));
      return answers;
  }
}

inline std::vector<operation> possible_answers(const semaphore_spec*, random_source& random) {
  switch (random() % 6) {
    case 0: return {semaphore_spec::set_limit(1 + static_cast<std::int64_t>(random() % 3))};
    case 1: return {semaphore_spec::leave(), semaphore_spec::acquire(true), semaphore_spec::acquire(false)};
    case 2: {
      std::vector<operation> answers;
      for (int taken = 0; taken < 8; ++taken) {
        for (int limit = 1; limit < 4; ++limit) answers.push_back(semaphore_spec::state(taken, limit));
      }
      return answers;
    }
    default: return {semaphore_spec::acquire(true), semaphore_spec::acquire(false)};
  }
}

inline std::vector<operation> possible_answers(const budget_spec*, random_source& random) {
  const auto now = static_cast<std::int64_t>(random() % 8);
  const auto tokens = static_cast<std::int64_t>(random() % 3);
  switch (random() % 6) {
    case 0: return {budget_spec::first_attempt(now)};
    case 1: return {budget_spec::give_back(now, tokens)};
    case 2: {
      std::vector<operation> answers;
      for (int milli = 0; milli <= 2000; milli += 100) answers.push_back(budget_spec::balance(now, milli));
      return answers;
    }
    default: return {budget_spec::take(now, tokens, true), budget_spec::take(now, tokens, false)};
  }
}

inline std::vector<operation> possible_answers(const cache_spec*, random_source& random) {
  const auto now = static_cast<std::int64_t>(random() % 4);
  const auto value = static_cast<std::int64_t>(random() % 3);
  switch (random() % 5) {
    case 0: return {cache_spec::erase(true), cache_spec::erase(false)};
    case 1:
    case 2:
      return {cache_spec::put(value, now, put_answer::stored), cache_spec::put(value, now, put_answer::older),
              cache_spec::put(value, now, put_answer::busy)};
    default: {
      std::vector<operation> answers{cache_spec::miss(now)};
      for (std::int64_t v = 0; v < 3; ++v) {
        for (std::int64_t age = 0; age < 4; ++age) answers.push_back(cache_spec::found(now, v, age));
      }
      return answers;
    }
  }
}

inline std::vector<operation> possible_answers(const breaker_spec*, random_source& random) {
  const auto now = static_cast<std::int64_t>(random() % 8);
  const auto generation = static_cast<std::int64_t>(random() % 3);
  const bool probe = generation == 2 || random() % 8 == 0;
  using enum breaker_kind;
  std::vector<std::int64_t> of_admit{0};
  std::vector<std::int64_t> of_report{0};
  for (int next = 1; next < 5; ++next) {
    of_admit.push_back(transition_of(breaker_reason::open_time_over, open, half_open, next));
    of_admit.push_back(transition_of(breaker_reason::lease_over, half_open, half_open, next));
    of_report.push_back(transition_of(breaker_reason::failures, closed, open, next));
    of_report.push_back(transition_of(breaker_reason::probe_failed, half_open, open, next));
    of_report.push_back(transition_of(breaker_reason::probes_passed, half_open, closed, next));
  }
  std::vector<operation> answers;
  switch (random() % 5) {
    case 0:
    case 1:
      for (const std::int64_t made : of_admit) {
        for (int g = 0; g < 5; ++g) {
          answers.push_back(breaker_spec::admitted(now, g, g % 2 == 0 && g != 0, made));
        }
        for (int wait = -4; made == 0 && wait < 6; ++wait) {
          answers.push_back(breaker_spec::refused(now, admit_answer::open, wait));
          answers.push_back(breaker_spec::refused(now, admit_answer::quota, wait));
        }
      }
      return answers;
    case 2: return {breaker_spec::abandon(generation, probe)};
    default: {
      const auto effect = static_cast<report_effect>(random() % 8 == 0 ? 2 : random() % 3 == 0 ? 0 : 1);
      for (const std::int64_t made : of_report) {
        answers.push_back(breaker_spec::report(now, generation, probe, effect, false, made));
      }
      answers.push_back(breaker_spec::report(now, generation, probe, effect, true));
      return answers;
    }
  }
}

// Random intervals on a line: an operation takes effect in the middle of its own.
struct interval {
  std::uint64_t from;
  std::uint64_t to;
};

template <class Spec>
void make_random_history(history& h, const Spec& start, std::size_t count, random_source& random) {
  h.clear();
  std::vector<interval> times;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t middle = 20 * i + random() % 20;
    times.push_back({middle - std::min(middle, random() % 40), middle + random() % 40});
  }
  std::vector<std::size_t> by_effect(count);
  std::iota(by_effect.begin(), by_effect.end(), std::size_t{0});

  Spec state = start;
  for (const std::size_t i : by_effect) {
    const std::vector<operation> answers = possible_answers(static_cast<const Spec*>(nullptr), random);
    const std::size_t first = random() % answers.size();
    operation chosen = answers[first];
    for (std::size_t n = 0; n < answers.size(); ++n) {
      operation tried = answers[(first + n) % answers.size()];
      tried.id = static_cast<std::uint8_t>(i);
      Spec next = state;
      if (next.step(tried)) {
        chosen = tried;
        state = next;
        break;
      }
    }
    h.add(chosen);
  }
  h.order([&](std::size_t a, std::size_t b) { return times[a].to < times[b].from; });
}

// Another answer to one question, or another question: mostly wrong.
template <class Spec>
void mutate(history& h, random_source& random) {
  const std::size_t at = random() % h.size();
  const std::vector<operation> answers = possible_answers(static_cast<const Spec*>(nullptr), random);
  const operation other = answers[random() % answers.size()];
  h[at].code = other.code;
  h[at].args = other.args;
  h[at].results = other.results;
}

}  // namespace holdfast_lin
