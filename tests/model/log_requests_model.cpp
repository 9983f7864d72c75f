// SPDX-License-Identifier: MIT
// The kernel's sleep is the model's here. A sleep for `for_ever` has no timeout, so a request or an answer that is slept
// through is a deadlock; a shorter one times out at once.
#include <array>
#include <chrono>
#include <cstdint>

#include "model/engine/engine.hpp"
#include "model/engine/scenario.hpp"
#include "telemetry/log_requests.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr duration for_ever = std::chrono::hours(1);
constexpr duration short_nap = std::chrono::milliseconds(1);

struct model_futex {
  static void wait(atomic<std::uint32_t>& word, std::uint32_t seen, std::chrono::nanoseconds at_most) noexcept {
    if (at_most == for_ever) engine::instance().park(&word, seen, seen, place::here());
  }
  static void wake_all(atomic<std::uint32_t>& word) noexcept { word.notify_all(); }
};
using requests = log_detail::log_requests<log_detail::basic_futex_word<model_futex>>;

// Threads that log a record and ask for it, and a backend as log_sink's.
template <std::uint32_t First>
struct asked_backend {
  atomic<std::uint32_t> parked{0};
  requests r{parked, First};
  std::array<plain<int>, 2> record;
  std::array<moment, 2> logged{};
  std::array<bool, 2> has_logged{};
  std::array<plain<int>, 2> output;
  std::array<bool, 2> is_out{};

  // Logs record `thread` and asks. True when the answer is there; then the output has it.
  bool flush(unsigned thread, duration nap, unsigned tries) {
    record[thread].set(1);
    logged[thread] = now();
    has_logged[thread] = true;
    const std::uint32_t mine = r.ask_flush();
    for (unsigned i = 0; i < tries; ++i) {
      const std::uint32_t answers = r.answers();
      if (r.is_answered(mine)) {
        MODEL_CHECK(output[thread].get() == 1);
        return true;
      }
      r.sleep_until_answer(answers, nap);
    }
    return false;
  }
  // One look of the backend; true: it answered.
  bool look() {
    const std::uint32_t newest = r.asked();
    if (r.has_answered(newest)) return false;
    for (unsigned t = 0; t < 2; ++t) {
      if (is_out[t] || !has_logged[t] || !happened_before_now(logged[t])) continue;  // not there, as far as it can see
      is_out[t] = true;
      MODEL_CHECK(record[t].get() == 1);
      output[t].set(1);
    }
    r.answer(newest);
    return true;
  }
  void serve_until(std::uint32_t last) {
    while (!r.has_answered(last)) {
      const std::uint32_t rings = r.rings();
      if (!look()) r.park(rings, for_ever);
    }
  }
};

// Whoever asks is answered, without a timeout to help: twice in a row, with tickets that wrap.
struct tickets_wrap : asked_backend<0xFFFF'FFFFU> {
  static constexpr unsigned threads = 2;

  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(flush(0, for_ever, 100));
      MODEL_CHECK(flush(1, for_ever, 100));
    } else {
      serve_until(1);
    }
  }
  void after() {
    for (const auto& o : output) MODEL_CHECK(o.get() == 1);
  }
};
MODEL_SCENARIO("log_requests", tickets_wrap, {});

// The same beside a second thread, that asks and loses patience.
struct two_flushes : asked_backend<0> {
  static constexpr unsigned threads = 3;

  void run(unsigned thread) {
    switch (thread) {
      case 0: MODEL_CHECK(flush(0, for_ever, 100)); break;
      case 1: flush(1, short_nap, 1); break;
      default: serve_until(2); break;
    }
  }
  void after() {
    for (const auto& o : output) MODEL_CHECK(o.get() == 1);
  }
};
MODEL_SCENARIO("log_requests", two_flushes, {});

// The owner stops while another thread wakes the backend for a record of its own.
struct stop_is_heard {
  static constexpr unsigned threads = 3;
  atomic<std::uint32_t> parked{0};
  requests r{parked};
  plain<int> last_record;

  void run(unsigned thread) {
    switch (thread) {
      case 0:
        last_record.set(1);
        r.ask_stop();
        break;
      case 1: r.wake_if_parked(); break;
      default:
        for (;;) {
          const std::uint32_t rings = r.rings();
          if (r.stop_is_asked()) break;
          r.park(rings, for_ever);
        }
        MODEL_CHECK(last_record.get() == 1);
        r.nap(short_nap);
        break;
    }
  }
  void after() { MODEL_CHECK(parked.load(mo::relaxed) == 0); }
};
MODEL_SCENARIO("log_requests", stop_is_heard, {});

// A backend that stands parked is woken by the first of two that want it, and by nobody twice.
struct parked_is_woken_once {
  static constexpr unsigned threads = 3;
  atomic<std::uint32_t> parked{0};
  requests r{parked};
  unsigned woken = 0;

  void run(unsigned thread) {
    if (thread == 2) {
      r.park(r.rings(), for_ever);
      ++woken;
      return;
    }
    while (woken == 0) {
      r.wake_if_parked();
      spin();
    }
  }
  void after() {
    MODEL_CHECK(woken == 1);
    MODEL_CHECK(r.rings() == 1);
    MODEL_CHECK(parked.load(mo::relaxed) == 0);
  }
};
MODEL_SCENARIO("log_requests", parked_is_woken_once, {.spins_end = true});

// Who dies while it asks is answered or not; the others go on, and what is answered is in the output.
struct death_of_an_asker : asked_backend<7> {
  static constexpr unsigned threads = 3;

  void run(unsigned thread) {
    if (thread < 2) {
      flush(thread, short_nap, 1);
      return;
    }
    for (int i = 0; i < 2; ++i) {
      const std::uint32_t rings = r.rings();
      if (!look()) r.park(rings, short_nap);
    }
  }
  void after() {
    look();
    for (const auto& o : output) MODEL_CHECK(o.get() == 1);
  }
  void after_death(unsigned dead) {
    look();
    for (unsigned t = 0; t < 2; ++t) MODEL_CHECK(t == dead || output[t].get() == 1);
  }
};
MODEL_SCENARIO("log_requests", death_of_an_asker, {});

}  // namespace
