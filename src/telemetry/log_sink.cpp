// SPDX-License-Identifier: MIT
#include "holdfast/telemetry/log_sink.hpp"

#include <pthread.h>
#include <sched.h>

#include "holdfast/core/assert.hpp"

#include "log_engine.hpp"
#include "pinned_place.hpp"

namespace holdfast {
namespace {

using log_detail::lanes_of_thread;
using log_detail::max_live_sinks;

// Which sinks live, so that a thread that ends can tell whether a lane that it once took is still there. It pins the place
// while it closes the lane, and the sink is not destroyed meanwhile.
struct place {
  log_detail::pinned_place pinned;
  atomic<log_sink*> sink{nullptr};  // for fork()
};
constinit std::array<place, max_live_sinks> places{};
constinit atomic<std::uint64_t> last_id{0};

// This thread is taking a lane: a signal handler that logs meanwhile must not take a second one for the same place.
constinit thread_local bool attaching = false;

// What stands before it is in memory before what stands behind it, as a signal handler of this thread sees them.
void in_this_order() noexcept {
  asm volatile("" ::: "memory");
}

// At the end of a thread, after its thread_locals are gone: gives its lanes back.
void close_lanes(void*) noexcept {
  for (std::size_t i = 0; i < max_live_sinks; ++i) {
    const auto mine = lanes_of_thread[i];
    if (mine.sink == 0) continue;
    // First, so that a signal handler that logs from here on takes another lane: nobody writes to one that is closed.
    lanes_of_thread[i].sink = 0;
    in_this_order();
    if (!places[i].pinned.pin(mine.sink)) continue;  // that sink is gone, and its lanes with it
    mine.lane->close();
    places[i].pinned.unpin();
  }
}

bool watch_thread_end() noexcept {
  struct end_key {
    pthread_key_t key{};
    bool good = ::pthread_key_create(&key, &close_lanes) == 0;
  };
  static const end_key key;
  return key.good && ::pthread_setspecific(key.key, &lanes_of_thread) == 0;
}

}  // namespace

log_sink::log_sink(const log_options& options) noexcept {
  HOLDFAST_ASSERT(!validate(options));
  for (auto& level : levels_) {
    level.store(static_cast<std::uint8_t>(log_level::off), mo::relaxed);  // init: before the sink is shared
  }
  set_level(options.level);
  static const bool watches_forks = ::pthread_atfork(nullptr, nullptr, &log_sink::after_fork_in_child) == 0;
  static_cast<void>(watches_forks);
  id_ = last_id.fetch_add(1, mo::relaxed) + 1;  // counter: hands each number out once
  for (std::uint32_t i = 0; i < max_live_sinks; ++i) {
    if (!places[i].pinned.take(id_)) continue;
    slot_ = i;
    engine_ = log_detail::engine::make(*this, options);
    if (engine_ == nullptr) {
      static_cast<void>(places[i].pinned.leave(id_));  // no thread knows of it yet
      return;
    }
    counter_stamps_ = engine_->clock().uses_counter();
    places[i].sink.store(this, mo::relaxed);  // own: read by a forked child, which has one thread
    return;
  }
}

log_sink::~log_sink() {
  if (engine_ == nullptr) return;
  stop();
  places[slot_].sink.store(nullptr, mo::relaxed);  // own: as at construction
  // A thread that is ending may hold a pin for as long as one store takes.
  while (!places[slot_].pinned.leave(id_)) ::sched_yield();
  log_detail::engine::destroy(engine_);
}

void log_sink::after_fork_in_child() noexcept {
  for (auto& p : places) {
    log_sink* const sink = p.sink.load(mo::relaxed);  // own: one thread
    // A thread that was ending in the parent is not here to take its pin away: the destructor would wait for ever. A
    // place without a sink was being given to one, or taken from one, by a thread that is not here either.
    p.pinned.after_fork(sink != nullptr ? sink->id_ : 0);
    if (sink == nullptr) continue;
    for (std::uint32_t i = 0; i < max_loggers; ++i) sink->set_level(i, log_level::off);
    sink->engine_->end_in_child();
  }
}

std::error_code log_sink::start() noexcept {
  if (engine_ == nullptr) return std::make_error_code(std::errc::not_enough_memory);
  return engine_->start();
}

void log_sink::stop() noexcept {
  if (engine_ == nullptr) return;
  for (std::uint32_t i = 0; i < max_loggers; ++i) set_level(i, log_level::off);
  engine_->stop();
}

bool log_sink::flush(duration timeout) noexcept {
  return engine_ != nullptr && engine_->flush(timeout);
}

bool log_sink::poll_once() noexcept {
  return engine_ != nullptr && engine_->poll_once();
}

logger log_sink::make_logger(std::string_view name, log_level level) noexcept {
  if (engine_ == nullptr || engine_->loggers_used >= max_loggers) return {*this, 0};
  const std::uint32_t index = engine_->loggers_used++;
  engine_->name_logger(index, name);
  set_level(index, level);
  return {*this, index};
}

log_stats log_sink::stats() const noexcept {
  log_stats s;
  if (engine_ != nullptr) engine_->add_stats(s);
  s.lost_no_lane = lost_no_lane_.load(mo::relaxed);  // counter:
  s.lost_no_site = lost_no_site_.load(mo::relaxed);  // counter:
  return s;
}

std::uint64_t log_sink::clock_stamp() const noexcept {
  return static_cast<std::uint64_t>(steady_clock::now().time_since_epoch().count());
}

log_detail::log_lane* log_sink::attach() noexcept {
  if (engine_ != nullptr && !attaching) {
    attaching = true;
    in_this_order();
    auto& mine = lanes_of_thread[slot_];
    // A signal handler may have come in between its caller's look and this one.
    const bool have_one = mine.sink == id_;
    log_detail::log_lane* const lane = have_one ? mine.lane : watch_thread_end() ? engine_->attach() : nullptr;
    if (lane != nullptr && !have_one) {
      mine.lane = lane;
      in_this_order();
      mine.sink = id_;
    }
    in_this_order();
    attaching = false;
    if (lane != nullptr) return lane;
  }
  lost_no_lane_.fetch_add(1, mo::relaxed);  // counter:
  return nullptr;
}

std::byte* log_sink::claim_when_full(log_detail::log_lane& lane, std::size_t size) noexcept {
  return engine_->claim_when_full(lane, size);
}

void log_sink::wake() noexcept {
  engine_->wake();
}

}  // namespace holdfast
