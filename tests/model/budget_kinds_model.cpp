// SPDX-License-Identifier: MIT
// The budgets of gRPC's and of Envoy's kind: R6 and R7 in every execution of small cases.
#include <array>
#include <cstdint>

#include "holdfast/policy/flight_budget.hpp"
#include "holdfast/policy/retry_throttle.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr time_point now{std::chrono::seconds(1000)};

// R6: four tokens, and three threads that fail: one retry is allowed at most, to the one that left more than half.
struct failures_at_once {
  static constexpr unsigned threads = 3;
  retry_throttle throttle{{.max_tokens = 4, .ratio_permille = 500}};
  std::array<bool, 3> allowed{};
  void run(unsigned thread) {
    throttle.on_result(verdict::transient);
    allowed[thread] = static_cast<bool>(throttle.try_take(now));
  }
  void after() {
    MODEL_CHECK(allowed[0] + allowed[1] + allowed[2] <= 1);
    MODEL_CHECK(throttle.balance_milli() == 1'000);
    MODEL_CHECK(throttle.granted() + throttle.denied() == 3);
  }
  void after_death(unsigned) {
    MODEL_CHECK(allowed[0] + allowed[1] + allowed[2] <= 1);
    MODEL_CHECK(throttle.balance_milli() <= 2'000);
  }
};
MODEL_SCENARIO("budget_kinds", failures_at_once, {.weak_failures = 0});

// What one puts back and another takes are both there in the end, neither above the beginning nor below nothing.
struct success_and_failures {
  static constexpr unsigned threads = 3;
  retry_throttle throttle{{.max_tokens = 2, .ratio_permille = 500}};
  void run(unsigned thread) { throttle.on_result(thread == 0 ? verdict::ok : verdict::timeout); }
  void after() {
    // The success came before, between or behind the two failures; before them it found a full throttle.
    const std::uint32_t left = throttle.balance_milli();
    MODEL_CHECK(left == 0 || left == 500);
  }
};
MODEL_SCENARIO("budget_kinds", success_and_failures, {.weak_failures = 0, .dies = false});

// R7: one retry may be under way, and three threads want it: one has it, and after it has been given back another one may.
struct one_flight {
  static constexpr unsigned threads = 3;
  flight_budget budget{{.percent = 0, .min_concurrency = 1}};
  std::array<bool, 3> granted{};
  void run(unsigned thread) { granted[thread] = static_cast<bool>(budget.try_take(now)); }
  void after() {
    MODEL_CHECK(granted[0] + granted[1] + granted[2] == 1);
    MODEL_CHECK(budget.retries() == 1);
    MODEL_CHECK(budget.denied() == 2);
    budget.give_back();
    MODEL_CHECK(budget.try_take(now));
  }
};
MODEL_SCENARIO("budget_kinds", one_flight, {.weak_failures = 0, .dies = false});

// R7: half of the calls under way may be retries, while a call begins and another one ends.
struct calls_and_flights {
  static constexpr unsigned threads = 3;
  flight_budget budget{{.percent = 50, .min_concurrency = 0}};
  std::array<bool, 3> granted{};
  calls_and_flights() {
    for (int i = 0; i < 3; ++i) budget.on_first_attempt();
  }
  void run(unsigned thread) {
    if (thread == 0) {
      budget.on_first_attempt();  // four for a while
      budget.on_call_end();
    } else {
      granted[thread] = static_cast<bool>(budget.try_take(now));
    }
  }
  void after() {
    MODEL_CHECK(granted[1] || granted[2]);  // one of three calls always
    MODEL_CHECK(budget.calls() == 3);
    MODEL_CHECK(budget.retries() == static_cast<std::uint32_t>(granted[1] + granted[2]));
    MODEL_CHECK(budget.denied() == 2U - budget.retries());
  }
};
MODEL_SCENARIO("budget_kinds", calls_and_flights, {.weak_failures = 0, .dies = false});

// A retry ends while another is asked for: never two.
struct flight_ends {
  static constexpr unsigned threads = 2;
  flight_budget budget{{.percent = 0, .min_concurrency = 1}};
  bool granted = false;
  flight_ends() { MODEL_CHECK(budget.try_take(now)); }
  void run(unsigned thread) {
    if (thread == 0) {
      budget.give_back();
    } else {
      granted = static_cast<bool>(budget.try_take(now));
    }
  }
  void after() { MODEL_CHECK(budget.retries() == (granted ? 1U : 0U)); }
};
MODEL_SCENARIO("budget_kinds", flight_ends, {.weak_failures = 0, .dies = false});

}  // namespace
