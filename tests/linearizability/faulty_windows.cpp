// SPDX-License-Identifier: MIT
// Objects with a fault, to show that windows can fail: answers that are turned, and, harder, real races.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <utility>

#include "holdfast/core/atomic.hpp"
#include "holdfast/policy/breaker_rules.hpp"
#include "holdfast/policy/rate_limiter.hpp"
#include "holdfast/queue/fan_in.hpp"
#include "holdfast/queue/mpmc_queue.hpp"

#include "breaker_part.hpp"
#include "broadcast_part.hpp"
#include "budget_part.hpp"
#include "bulkhead_part.hpp"
#include "cache_part.hpp"
#include "fan_in_part.hpp"
#include "mpmc_part.hpp"
#include "parts.hpp"
#include "queue_part.hpp"
#include "rate_part.hpp"

namespace holdfast_lin {
namespace {

namespace mo = holdfast::mo;

// ---- queues whose answers are turned; one in so many calls, so that most windows are right

class sometimes {
 public:
  explicit constexpr sometimes(unsigned every) noexcept : every_(every) {}
  [[nodiscard]] bool now() noexcept { return ++calls_ % every_ == 0; }

 private:
  unsigned every_;
  unsigned calls_ = 0;
};

using right_queue = holdfast::spsc_queue<std::int64_t, 4>;

struct losing_queue : right_queue {
  using right_queue::right_queue;
  bool try_push(std::int64_t item) { return loses.now() || right_queue::try_push(item); }
  sometimes loses{7};
};

struct refusing_queue : right_queue {
  using right_queue::right_queue;
  bool try_push(std::int64_t item) { return !refuses.now() && right_queue::try_push(item); }
  sometimes refuses{4};
};

struct swapping_queue : right_queue {
  using right_queue::right_queue;
  bool try_pop(std::int64_t& out) {
    if (kept != 0) {
      out = std::exchange(kept, 0);
      return true;
    }
    if (!right_queue::try_pop(out)) return false;
    if (std::int64_t second = 0; swaps.now() && right_queue::try_pop(second)) kept = std::exchange(out, second);
    return true;
  }
  sometimes swaps{3};
  std::int64_t kept = 0;
};

// As queues of this kind are usually written: a slot in other hands is taken for the end of the room, or of the items.
struct hiding_queue : holdfast::mpmc_queue<std::int64_t, 2> {
  using base = holdfast::mpmc_queue<std::int64_t, 2>;
  using base::base;
  holdfast::queue_result try_push(std::int64_t item) {
    const holdfast::queue_result got = base::try_push(item);
    return got == holdfast::queue_op_status::busy ? holdfast::queue_op_status::full : got;
  }
  holdfast::queue_result try_pop(std::int64_t& out) {
    const holdfast::queue_result got = base::try_pop(out);
    return got == holdfast::queue_op_status::busy ? holdfast::queue_op_status::empty : got;
  }
};

// ---- races: right as long as nobody else comes in between

// Tells of an item before it has written it. (Its slots are atomic, so that only the order is wrong.)
class hasty_queue {
 public:
  explicit hasty_queue(std::uint64_t) noexcept {}
  bool try_push(std::int64_t item) {
    const std::uint64_t at = pushed_.load(mo::relaxed);  // own: the producer
    if (at - popped_.load(mo::acquire) == 4) return false;
    pushed_.store(at + 1, mo::release);
    slots_[at % 4].store(item, mo::release);
    return true;
  }
  bool try_pop(std::int64_t& out) {
    const std::uint64_t at = popped_.load(mo::relaxed);  // own: the consumer
    if (at == pushed_.load(mo::acquire)) return false;
    out = slots_[at % 4].load(mo::acquire);
    popped_.store(at + 1, mo::release);
    return true;
  }

 private:
  alignas(128) holdfast::atomic<std::uint64_t> pushed_{0};
  alignas(128) holdfast::atomic<std::uint64_t> popped_{0};
  alignas(128) std::array<holdfast::atomic<std::int64_t>, 4> slots_{};
};

// Looks whether there is a place, and then takes it.
class racy_room {
 public:
  class permit {
   public:
    permit() = default;
    explicit permit(racy_room* room) noexcept : room_(room) {}
    explicit operator bool() const noexcept { return room_ != nullptr; }
    void release() noexcept { room_->taken_.fetch_sub(1, mo::acq_rel); }

   private:
    racy_room* room_ = nullptr;
  };

  explicit racy_room(const holdfast::bulkhead_options& o) noexcept : limit_(o.limit) {}
  permit try_acquire() noexcept {
    if (taken_.load(mo::acquire) >= limit_.load(mo::acquire)) return {};
    taken_.fetch_add(1, mo::acq_rel);
    return permit(this);
  }
  void set_limit(std::uint32_t limit) noexcept { limit_.store(limit, mo::release); }
  [[nodiscard]] std::uint32_t in_flight() const noexcept { return taken_.load(mo::acquire); }
  [[nodiscard]] std::uint32_t limit() const noexcept { return limit_.load(mo::acquire); }

 private:
  holdfast::atomic<std::uint32_t> taken_{0};
  holdfast::atomic<std::uint32_t> limit_;
};

// Reads the balance, and then writes what is left of it.
class racy_budget {
 public:
  explicit racy_budget(const holdfast::retry_budget_options& o) noexcept : options_(o), milli_(full()) {}
  void on_first_attempt(holdfast::time_point now) noexcept { put(now, options_.ratio_permille); }
  void give_back(holdfast::time_point now, std::uint32_t cost) noexcept { put(now, 1000 * std::int64_t{cost}); }
  void give_back(std::uint32_t cost) noexcept { put({}, 1000 * std::int64_t{cost}); }
  bool try_take(holdfast::time_point now, std::uint32_t cost) noexcept {
    const std::int64_t left = at(now) - 1000 * std::int64_t{cost};
    if (cost == 0 || left < 0) return cost == 0;
    settle(now, left);
    return true;
  }
  [[nodiscard]] std::int64_t balance_milli(holdfast::time_point now) const noexcept { return at(now); }

 private:
  [[nodiscard]] std::int64_t full() const noexcept { return 1000 * std::int64_t{options_.burst}; }
  static std::int64_t ms_of(holdfast::time_point now) noexcept {
    return now.time_since_epoch() / std::chrono::milliseconds(1);
  }
  [[nodiscard]] std::int64_t at(holdfast::time_point now) const noexcept {
    const std::int64_t elapsed = std::max<std::int64_t>(0, ms_of(now) - noted_.load(mo::acquire));
    return std::min(full(), milli_.load(mo::acquire) + elapsed * options_.min_per_second);
  }
  void settle(holdfast::time_point now, std::int64_t milli) noexcept {
    milli_.store(milli, mo::release);
    if (noted_.load(mo::acquire) < ms_of(now)) noted_.store(ms_of(now), mo::release);
  }
  void put(holdfast::time_point now, std::int64_t milli) noexcept {
    if (milli_.load(mo::acquire) != full()) settle(now, std::min(full(), at(now) + milli));
  }

  holdfast::retry_budget_options options_;
  holdfast::atomic<std::int64_t> milli_;
  holdfast::atomic<std::int64_t> noted_{0};
};

// The library's own rule, but the word is read, changed and written instead of compared and swapped.
class racy_limiter {
 public:
  explicit racy_limiter(const holdfast::rate_limiter_options& o) noexcept : rate_(o) {}
  holdfast::rate_answer try_take(holdfast::time_point now, std::uint32_t cost) noexcept {
    const holdfast::rate_reservation r = reserve(now, {}, cost);
    return {r.code, r.retry_after};
  }
  holdfast::rate_reservation reserve(holdfast::time_point now, holdfast::duration longest,
                                     std::uint32_t cost) noexcept {
    if (cost == 0) return {.starts_at = now};
    if (cost > rate_.burst()) return {.code = holdfast::errc::rate_infeasible};
    const std::int64_t before = word_.load(mo::acquire);
    const holdfast::gcra::step step = rate_.take(before, now.time_since_epoch().count(), cost);
    const holdfast::duration wait(std::max<std::int64_t>(step.wait, 0));
    if (wait > longest) return {.code = holdfast::errc::rate_limited, .retry_after = wait - longest};
    word_.store(step.until, mo::release);
    return {.starts_at = now + wait, .taken = {before, step.from, step.until}};
  }
  bool give_back(holdfast::rate_reservation& r) noexcept {
    const holdfast::rate_span span = std::exchange(r.taken, {});
    if (span.from == span.until || word_.load(mo::acquire) != span.until) return false;
    word_.store(span.before, mo::release);
    return true;
  }
  [[nodiscard]] holdfast::rate_snapshot snapshot(holdfast::time_point now) const noexcept {
    const std::int64_t ns = now.time_since_epoch().count();
    const std::int64_t owed = std::max<std::int64_t>(word_.load(mo::acquire) - ns, 0);
    const std::int64_t held = std::max<std::int64_t>(rate_.full() - owed, 0);
    return {.available = static_cast<std::uint32_t>(held / rate_.period()), .full_in = holdfast::duration(owed)};
  }

 private:
  holdfast::gcra rate_;
  holdfast::atomic<std::int64_t> word_{0};
};

// The library's own rules, but the word is read, changed and written instead of compared and swapped.
class racy_breaker {
 public:
  class permit {
   public:
    permit() = default;
    permit(racy_breaker* owner, holdfast::breaker_word seen) noexcept : owner_(owner), seen_(seen) {}
    permit(permit&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), seen_(other.seen_) {}
    permit& operator=(permit&& other) noexcept {
      permit taken(std::move(other));
      std::swap(owner_, taken.owner_);
      std::swap(seen_, taken.seen_);
      return *this;
    }
    ~permit() {
      if (owner_ != nullptr) owner_->abandon(seen_);
    }
    explicit operator bool() const noexcept { return owner_ != nullptr; }
    [[nodiscard]] std::uint16_t generation() const noexcept { return seen_.generation(); }
    [[nodiscard]] bool is_probe() const noexcept { return seen_.state() == holdfast::breaker_state::half_open; }

   private:
    friend class racy_breaker;
    racy_breaker* owner_ = nullptr;
    holdfast::breaker_word seen_{};
  };
  struct admission {
    permit ticket{};
    holdfast::breaker_refusal refusal{};
    holdfast::breaker_transition transition{};
  };

  explicit racy_breaker(const holdfast::circuit_breaker_options& o) noexcept : rules_(o) {}
  admission admit(holdfast::time_point now) noexcept {
    const holdfast::breaker_word word = read();
    const auto step = rules_.admit(word, now);
    const auto made = write(word, step);
    if (step.refusal != holdfast::errc{}) return {.refusal = {step.refusal, step.retry_after}, .transition = made};
    return {.ticket = permit(this, step.next), .transition = made};
  }
  holdfast::circuit_breaker::report_result report(permit&& ticket, holdfast::verdict v,
                                                  holdfast::time_point now) noexcept {
    const holdfast::breaker_word seen = ticket.seen_;
    ticket.owner_ = nullptr;
    const holdfast::breaker_word word = read();
    if (!rules_.same_generation(seen, word)) return {.dropped_stale = true};
    return {.transition = write(word, rules_.report(word, rules_.effect_of(v), now))};
  }
  [[nodiscard]] holdfast::breaker_snapshot snapshot(holdfast::time_point now) const noexcept {
    const holdfast::breaker_word word = read();
    holdfast::breaker_snapshot s;
    s.state = word.state();
    s.generation = word.generation();
    s.level = word.level();
    if (s.state == holdfast::breaker_state::closed) s.failures_in_row = word.streak();
    if (s.state == holdfast::breaker_state::open) s.open_remaining = rules_.admit(word, now).retry_after;
    if (s.state == holdfast::breaker_state::half_open) {
      s.probes_issued = word.issued();
      s.probes_ok = word.succeeded();
      if (rules_.leased(word, now)) s.lease_remaining = holdfast::breaker_tick::until(word.tick(), now);
    }
    return s;
  }

 private:
  [[nodiscard]] holdfast::breaker_word read() const noexcept { return holdfast::breaker_word(word_.load(mo::acquire)); }
  holdfast::breaker_transition write(holdfast::breaker_word from, const holdfast::breaker_rules::step& step) noexcept {
    if (step.next != from) word_.store(step.next.bits(), mo::release);
    if (step.cause == holdfast::breaker_cause::none) return {};
    return {from.state(), step.next.state(), step.cause, step.next.generation()};
  }
  void abandon(holdfast::breaker_word seen) noexcept {
    const holdfast::breaker_word word = read();
    if (seen.state() == holdfast::breaker_state::half_open && rules_.same_generation(seen, word))
      word_.store(holdfast::breaker_rules::returned(word).bits(), mo::release);
  }

  holdfast::breaker_rules rules_;
  holdfast::atomic<std::uint64_t> word_{0};
};

struct forgiving_breaker : holdfast::circuit_breaker {
  using circuit_breaker::circuit_breaker;
  // Never says that a result came too late.
  report_result report(permit&& ticket, holdfast::verdict v, holdfast::time_point now) noexcept {
    report_result answer = circuit_breaker::report(std::move(ticket), v, now);
    answer.dropped_stale = false;
    return answer;
  }
};

// A value and its time side by side, without a word that says whether they belong together.
template <class Value>
class racy_cache {
 public:
  explicit racy_cache(const holdfast::cache_options&) noexcept {}
  holdfast::cache_put put(std::uint64_t key, const Value& value, holdfast::time_point now) noexcept {
    if (key != 42) return holdfast::cache_put::stored;  // a neighbour, which it does not keep
    const std::int64_t when = now.time_since_epoch().count();
    if (stored_at_.load(mo::acquire) > when) return holdfast::cache_put::older;
    value_.store(value.value, mo::release);
    again_.store(value.again, mo::release);
    stored_at_.store(when, mo::release);
    return holdfast::cache_put::stored;
  }
  [[nodiscard]] holdfast::cache_lookup<Value> get(std::uint64_t, holdfast::time_point now) const noexcept {
    holdfast::cache_lookup<Value> found{};
    const std::int64_t when = stored_at_.load(mo::acquire);
    if (when == 0) return found;
    found.state = holdfast::cache_state::fresh;
    found.age = std::max(holdfast::duration::zero(), now - holdfast::time_point(holdfast::duration(when)));
    found.value = {value_.load(mo::acquire), again_.load(mo::acquire)};
    return found;
  }
  bool erase(std::uint64_t) noexcept { return stored_at_.exchange(0, mo::acq_rel) != 0; }

 private:
  holdfast::atomic<std::int64_t> stored_at_{0};
  holdfast::atomic<std::int64_t> value_{0};
  holdfast::atomic<std::int64_t> again_{0};
};

// Looks at the writer's position before it takes a record, and not again after it.
struct racy_broadcast {
  static constexpr std::uint64_t slots = 2;
  explicit racy_broadcast(std::uint64_t first) noexcept : next(first) {}
  void write(const broadcast_pair& p) noexcept {
    const std::uint64_t number = next.load(mo::relaxed);  // own: the writer
    value[number % slots].store(p.value, mo::release);
    again[number % slots].store(p.again, mo::release);
    next.store(number + 1, mo::release);
  }
  class reader {
   public:
    explicit reader(const racy_broadcast& of) noexcept : ring_(&of), number_(of.next.load(mo::acquire)) {}
    holdfast::broadcast_read try_read(broadcast_pair& out) noexcept {
      const std::uint64_t behind = ring_->next.load(mo::acquire) - number_;
      if (behind == 0) return {};
      if (behind > slots) {
        number_ += behind - slots;
        return {holdfast::broadcast_state::overwritten, behind - slots};
      }
      out.value = ring_->value[number_ % slots].load(mo::acquire);
      out.again = ring_->again[number_ % slots].load(mo::acquire);
      ++number_;
      return {holdfast::broadcast_state::record, 0};
    }

   private:
    const racy_broadcast* ring_;
    std::uint64_t number_;
  };
  holdfast::atomic<std::uint64_t> next;
  std::array<holdfast::atomic<std::int64_t>, slots> value{};
  std::array<holdfast::atomic<std::int64_t>, slots> again{};
};

// Now and then gives up before it has looked at every lane, when some may have something and some may not.
struct hasty_fan_in : holdfast::fan_in<std::int64_t, 2, 1> {
  bool try_pop(std::int64_t& out) { return !gives_up.now() && fan_in::try_pop(out); }
  sometimes gives_up{5};
};

template <class Queue>
using faulty_queue = queue_part<Queue, 4, 4, queue_calls::single>;

}  // namespace

std::span<const window_part> faulty_parts() noexcept {
  static constexpr std::array parts{
      window_part{"queue loses an item", 1, run_part<faulty_queue<losing_queue>>},
      window_part{"queue refuses by chance", 1, run_part<faulty_queue<refusing_queue>>},
      window_part{"queue swaps two results", 1, run_part<faulty_queue<swapping_queue>>},
      window_part{"queue publishes too early", 1, run_part<faulty_queue<hasty_queue>>},
      window_part{"fan_in does not look at every lane", 1, run_part<fan_in_part<hasty_fan_in>>},
      window_part{"mpmc_queue says full or empty for busy", 1, run_part<mpmc_part<hiding_queue, 2>>},
      window_part{"bulkhead looks, then takes", 1, run_part<bulkhead_part<racy_room, 2>>},
      window_part{"budget reads, then writes", 1, run_part<budget_part<racy_budget, 2>>},
      window_part{"rate limiter reads, then writes", 1, run_part<rate_part<racy_limiter, 2>>},
      window_part{"breaker reads, then writes", 1, run_part<breaker_part<racy_breaker, 2>>},
      window_part{"breaker never says stale", 1, run_part<breaker_part<forgiving_breaker, 2>>},
      window_part{"broadcast looks, then takes", 1, run_part<broadcast_part<racy_broadcast, 2, 2>>},
      window_part{"cache has no sequence", 1, run_part<cache_part<racy_cache<cached_pair>, 2>>},
  };
  return parts;
}

}  // namespace holdfast_lin
