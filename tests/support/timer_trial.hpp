// SPDX-License-Identifier: MIT
// timer_trial: a timer_wheel and its oracle through the same steps, which somebody chooses: a fuzzer's bytes, or random numbers.
// After each step they agree: what fires, when, and in which order; what is refused; sizes, counts and the next expiry.
//
// Choices: bool empty(), std::uint64_t below(n), std::uint64_t number(bytes). Expect(holds, what) says what does not hold and ends
// the test. T: int, or counted. Throws::now() may leave a call of fire(); Throws::call(advance) says if it was left so.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "holdfast/core/random.hpp"
#include "holdfast/time/timer_wheel.hpp"

#include "support/counted.hpp"
#include "support/timer_oracle.hpp"

namespace test_support {

// So many choices; as a fuzzer's bytes, zeros where they have come to their end.
class random_choices {
 public:
  random_choices(std::uint64_t seed, std::uint64_t choices) : bits_(seed), left_(choices) {}
  [[nodiscard]] bool empty() const { return left_ == 0; }
  std::uint64_t below(std::uint64_t n) {
    if (left_ == 0) return 0;
    --left_;
    return uniform_up_to(bits_, n - 1);
  }
  std::uint64_t number(unsigned bytes) { return bits_() >> (64 - 8 * bytes); }

 private:
  holdfast::splitmix64 bits_;
  std::uint64_t left_;
};

struct throws_nothing {
  static void now(int /*number*/) {}
  template <class Call>
  static bool call(Call&& advance) {
    advance();
    return false;
  }
};

template <class T, class Choices, class Expect, class Throws = throws_nothing>
class timer_trial {
  using wheel_type = holdfast::timer_wheel<T>;
  using timer_id = holdfast::timer_id;
  using oracle_type = timer_oracle<timer_id>;
  using handle = typename oracle_type::handle;

 public:
  // More is said of the wheel by who made it.
  timer_trial(wheel_type& wheel, time_point now, Choices& choices, Expect expect)
      : wheel_(wheel), choices_(choices), expect_(expect), oracle_(wheel.tick(), now), clock_(now), near_(now) {
    agree();
  }

  void step() {
    const std::uint64_t which = choices_.below(28);
    if (which < 16) {
      act(which);
    } else if (which != 27) {
      advance();
    } else if (choices_.below(16) == 0) {
      drain();
    }
    agree();
  }
  void drain() {
    std::size_t left = oracle_.size();
    wheel_.drain([&](timer_id id, time_point due, T&& value) {
      const handle of = oracle_.find(number_of(value));
      expect_(of != oracle_.none(), "each that is set is handed back, and once");
      expect_(of->second.id == id, "drain: with its id");
      expect_(of->second.due == due, "drain: with its time");
      expect_(!wheel_.is_set(id), "drain: it is set no more");
      forget(id);
      oracle_.erase(of);
      ++counts_.drained;
      --left;
    });
    expect_(left == 0, "drain: all");
  }

  [[nodiscard]] std::uint64_t operations() const { return operations_; }
  [[nodiscard]] std::size_t set() const { return oracle_.size(); }

 private:
  static constexpr int nobody = -1;
  struct firing {
    timer_id id;
    int number = nobody;
    const T* value = nullptr;
  };

  static int number_of(int value) { return value; }
  static int number_of(const counted& value) { return value.number(); }

  // ---- times

  static time_point shifted(time_point from, std::int64_t by) {
    std::int64_t sum = 0;
    if (__builtin_add_overflow(from.time_since_epoch().count(), by, &sum))
      return by < 0 ? time_point::min() : time_point::max();
    return time_point(duration(sum));
  }
  [[nodiscard]] time_point ticks_from(time_point from, std::int64_t ticks) const {
    std::int64_t by = 0;
    if (__builtin_mul_overflow(ticks, wheel_.tick().count(), &by))
      return ticks < 0 ? time_point::min() : time_point::max();
    return shifted(from, by);
  }
  std::int64_t off_by_little() { return static_cast<std::int64_t>(choices_.below(3)) - 1; }
  time_point some_time() {
    const time_point at = chosen_time();
    near_ = at;
    return at;
  }
  time_point chosen_time() {
    const time_point base = wheel_.now();
    switch (choices_.below(16)) {
      case 0: return near_;
      case 1: return shifted(near_, off_by_little());
      case 2: return ticks_from(near_, off_by_little());
      case 3: return base;
      case 4: return shifted(base, off_by_little());
      case 5: return ticks_from(base, -static_cast<std::int64_t>(choices_.below(256)));
      case 6:  // 2^8k ticks from here, and one more or less
        return ticks_from(base, (std::int64_t{1} << 8 * choices_.below(7)) + off_by_little());
      case 7: {  // the next begin of 2^8k ticks, and a tick or a nanosecond more or less
        const std::uint64_t bits = 8 * choices_.below(6);
        const std::uint64_t boundary = ((oracle_.now() >> bits) + 1) << bits;
        const time_point at = oracle_.ruler().begin_of(boundary);
        return choices_.below(2) == 0 ? shifted(at, off_by_little()) : ticks_from(at, off_by_little());
      }
      case 8: return ticks_from(base, static_cast<std::int64_t>(choices_.below(65'536)));
      case 9: return ticks_from(base, static_cast<std::int64_t>(choices_.number(3)));
      case 10: return ticks_from(base, std::int64_t{1} << choices_.below(45));
      case 11:
        switch (choices_.below(8)) {
          case 0: return time_point::max();
          case 1: return shifted(time_point::max(), -1);
          case 2: return ticks_from(time_point::max(), -1);
          case 3: return time_point::min();
          case 4: return ticks_from(time_point::min(), 1);
          case 5: return time_point(duration(-1));
          case 6: return time_point();
          default: return shifted(clock_, static_cast<std::int64_t>(choices_.number(6)));
        }
      default: {
        const auto ticks = static_cast<std::int64_t>(choices_.below(256));
        return shifted(ticks_from(base, ticks % 32), ticks / 32 * (wheel_.tick().count() / 8));
      }
    }
  }

  // ---- steps

  void advance() {
    ++operations_;
    time_point now = clock_;
    switch (choices_.below(8)) {
      case 0: now = ticks_from(clock_, static_cast<std::int64_t>(choices_.below(8))); break;
      case 1: now = std::max(clock_, some_time()); break;
      case 2: now = wheel_.next_expiry(); break;
      case 3:
        now = oracle_.first() == std::numeric_limits<std::uint64_t>::max() ? clock_
                                                                           : oracle_.ruler().begin_of(oracle_.first());
        break;
      case 4: now = ticks_from(clock_, -static_cast<std::int64_t>(choices_.below(256))); break;
      case 5:
        if (choices_.below(8) != 0) break;
        now = ticks_from(clock_, std::int64_t{1} << (40 + choices_.below(6)));
        break;
      default: now = ticks_from(clock_, static_cast<std::int64_t>(choices_.below(256)));
    }
    const std::uint64_t most = choices_.below(16);
    advance_to(now, most < 8 ? most : ~std::size_t{0});
  }
  void advance_to(time_point now, std::size_t most) {
    const std::uint64_t until = oracle_.ruler().at(now);
    const std::uint64_t began = oracle_.now();
    const std::uint64_t moved = wheel_.counts().moved;
    const std::uint64_t fired = counts_.fired;
    if (until < began) ++counts_.backward;
    holdfast::advance_result result;
    const bool thrown = Throws::call([&] {
      result = wheel_.advance(now, most, [&](holdfast::expired_timer<T>& what) {
        expect_(counts_.fired - fired < most, "no more than the limit");
        fire(what, now);
      });
    });
    // What was left of the one that was firing when the call was left.
    if (thrown && now_firing_.number != nobody) forget(now_firing_.id);
    now_firing_ = {};
    in_fire_ = false;
    if (until < began) {
      expect_(result.touched == 0 && !result.more, "an earlier tick fires nothing");
    } else if (thrown || result.more) {
      oracle_.stands_at(oracle_.ruler().at(wheel_.now()));
      expect_(oracle_.now() >= began && oracle_.now() <= until && oracle_.now() <= oracle_.first(),
              "an interrupted call stands between what it has done and what it has to do");
    } else {
      oracle_.stands_at(until);
      clock_ = now;
      expect_(oracle_.first() > until, "all that is due has fired");
    }
    if (thrown) return;
    expect_(result.touched <= most, "at most so many are touched");
    expect_(result.touched == wheel_.counts().moved - moved + counts_.fired - fired,
            "touched are those that fired or were moved");
    expect_(!result.more || result.touched == most, "more: only if the limit was reached");
  }

  void fire(holdfast::expired_timer<T>& what, time_point now) {
    const int number = number_of(what.what);
    const handle of = oracle_.next(number);
    expect_(of != oracle_.none(), "the next one in order");
    expect_(of->second.id == what.id, "fired with its id");
    expect_(of->second.due == what.due, "fired with its time");
    expect_(what.due <= now, "never early");
    expect_(of->first <= oracle_.ruler().at(now), "not before its tick has begun");
    expect_(of->first >= oracle_.now(), "ticks only rise");
    ++counts_.fired;
    oracle_.fires(of);
    expect_(wheel_.now() == oracle_.ruler().begin_of(oracle_.now()), "the wheel stands at the tick that fires");
    now_firing_ = {what.id, number, &what.what};
    in_fire_ = true;
    agree();
    for (std::uint64_t acts = choices_.below(8) % 4; acts != 0; --acts) {
      if (choices_.below(2) == 0) {
        act_on_firing();
      } else {
        act(choices_.below(16));
      }
      agree();
    }
    Throws::now(number);
    if (now_firing_.number != nobody) forget(what.id);
    now_firing_ = {};
  }
  void act_on_firing() {
    if (now_firing_.number == nobody) return;  // set again, it is one of the others
    ++operations_;
    const firing self = now_firing_;
    switch (choices_.below(4)) {
      case 0:
        expect_(!wheel_.is_set(self.id), "what fires is not set");
        expect_(!wheel_.cancel(self.id), "what fires cannot be cancelled");
        expect_(!wheel_.take(self.id).has_value(), "what fires cannot be taken");
        expect_(wheel_.find(self.id) == self.value, "what fires is found");
        return;
      case 1: {
        const time_point due = some_time();
        expect_(wheel_.extend(self.id, due), "what fires may be extended");
        oracle_.set(self.number, self.id, due);
        break;
      }
      default: {
        const time_point due = some_time();
        expect_(wheel_.reschedule(self.id, due), "what fires may be set again");
        oracle_.set(self.number, self.id, due);
      }
    }
    ++counts_.rearmed;
    now_firing_.number = nobody;
    expect_(wheel_.is_set(self.id), "set again, it is set");
  }

  void act(std::uint64_t which) {
    ++operations_;
    switch (which) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: schedule(); break;
      case 5: schedule_within(); break;
      case 6:
      case 7:
        if (const handle of = some(); of != oracle_.none()) cancel(of);
        break;
      case 8:
        if (const handle of = some(); of != oracle_.none()) take(of);
        break;
      case 9:
      case 10:
      case 11:
        if (const handle of = some(); of != oracle_.none()) {
          const time_point due = some_time();
          expect_(wheel_.reschedule(of->second.id, due), "what is set may be moved");
          oracle_.reschedule(of, due);
        }
        break;
      case 12:
      case 13:
        if (const handle of = some(); of != oracle_.none()) {
          const time_point due = some_time();
          expect_(wheel_.extend(of->second.id, due), "what is set may be extended");
          oracle_.extend(of, due);
        }
        break;
      case 14:
        if (const handle of = some(); of != oracle_.none()) {
          T* const value = wheel_.find(of->second.id);
          expect_(value != nullptr && number_of(*value) == of->second.number, "what is set is found");
          expect_(wheel_.is_set(of->second.id), "what is set is set");
        }
        break;
      default: refuse();
    }
  }
  handle some() { return oracle_.size() == 0 ? oracle_.none() : oracle_.some(choices_.below(oracle_.size())); }

  void schedule() {
    const time_point due = some_time();
    scheduled(wheel_.schedule(due, T(next_number_)), due);
  }
  void schedule_within() {
    const time_point earliest = some_time();
    const time_point latest =
        choices_.below(2) == 0 ? some_time() : ticks_from(earliest, std::int64_t{1} << choices_.below(20));
    const time_point due = oracle_.ruler().roundest(earliest, latest);
    expect_(earliest > latest || (earliest <= due && due <= latest), "within");
    scheduled(wheel_.schedule_within(earliest, latest, T(next_number_)), due);
  }
  void scheduled(timer_id id, time_point due) {
    if (places() == wheel_.capacity()) {
      expect_(!id, "refused when as many are set as may be");
      ++counts_.refused;
      return;
    }
    expect_(static_cast<bool>(id), "not refused before");
    ++counts_.scheduled;
    for (const timer_id dead : dead_) expect_(dead != id, "an id that is over is not given again");
    expect_(timer_id::of_word(id.word()) == id, "in a word and back");
    oracle_.set(next_number_++, id, due);
  }
  void cancel(handle of) {
    const timer_id id = of->second.id;
    expect_(wheel_.cancel(id), "what is set is cancelled");
    ended(of);
    expect_(!wheel_.cancel(id), "and not again");
  }
  void take(handle of) {
    const std::optional<T> value = wheel_.take(of->second.id);
    expect_(value && number_of(*value) == of->second.number, "take: its value");
    ended(of);
  }
  void ended(handle of) {
    ++counts_.cancelled;
    forget(of->second.id);
    oracle_.erase(of);
  }

  void forget(timer_id id) { dead_[dead_at_++ % dead_.size()] = id; }
  void refuse() {
    const timer_id id = dead_[choices_.below(dead_.size())];
    expect_(!wheel_.is_set(id), "over: not set");
    expect_(wheel_.find(id) == nullptr, "over: not found");
    expect_(!wheel_.cancel(id), "over: not cancelled");
    expect_(!wheel_.take(id).has_value(), "over: not taken");
    expect_(!wheel_.reschedule(id, near_), "over: not set again");
    expect_(!wheel_.extend(id, near_), "over: not extended");
  }

  // ---- after each step

  [[nodiscard]] std::size_t places() const { return oracle_.size() + (now_firing_.number != nobody ? 1 : 0); }
  void agree() {
    expect_(wheel_.size() == places(), "size()");
    const holdfast::timer_wheel_counts& c = wheel_.counts();
    expect_(c.scheduled == counts_.scheduled, "counted: scheduled");
    expect_(c.fired == counts_.fired, "counted: fired");
    expect_(c.rearmed == counts_.rearmed, "counted: rearmed");
    expect_(c.cancelled == counts_.cancelled, "counted: cancelled");
    expect_(c.drained == counts_.drained, "counted: drained");
    expect_(c.refused == counts_.refused, "counted: refused");
    expect_(c.backward == counts_.backward, "counted: backward");
    const time_point next = wheel_.next_expiry();
    const std::uint64_t first = oracle_.first();
    expect_(next <= oracle_.ruler().begin_of(first), "next_expiry: not later than the first one");
    if (in_fire_) return;  // of a slot that is walked it is not known what is left
    if (oracle_.size() == 0) {
      expect_(next == time_point::max(), "next_expiry: nothing is set");
      return;
    }
    expect_(next >= oracle_.ruler().begin_of(oracle_.now()), "next_expiry: not before the wheel");
    if (oracle_.in_strict_order() && first / 256 == oracle_.now() / 256 && !interrupted()) {
      expect_(next == oracle_.ruler().begin_of(first), "next_expiry: exact in the wheel's own 256 ticks");
    }
  }
  // Something may be left to be moved where the wheel stands.
  [[nodiscard]] bool interrupted() const { return wheel_.next_expiry() == wheel_.now(); }

  wheel_type& wheel_;
  Choices& choices_;
  Expect expect_;
  oracle_type oracle_;
  holdfast::timer_wheel_counts counts_;
  time_point clock_;  // of the last advance that was done
  time_point near_;   // the time that was chosen last
  firing now_firing_;
  bool in_fire_ = false;
  int next_number_ = 0;
  std::array<timer_id, 8> dead_{};
  std::size_t dead_at_ = 0;
  std::uint64_t operations_ = 0;
};

}  // namespace test_support
