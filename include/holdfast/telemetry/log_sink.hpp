// SPDX-License-Identifier: MIT
// log_sink: typed log records from any thread, written as one JSON object a line by one background thread.
//
//   operation              caller         progress        cost                    allocates    when refused
//   HOLDFAST_LOG           any thread     wait-free (*)   a stamp and a copy      never        counted, and told in the log
//   enabled, set_level     any thread     wait-free       one load or store       never
//   stats                  any thread     wait-free       O(max_threads)          never
//   flush(timeout)         any thread     waits           until it is written     never        false: too late, or failing
//   start                  owner, once    blocking        opens, makes a thread   the thread   the system's reason
//   stop, destructor       owner          waits           drains, joins           never        what is left is counted
//   construction           owner          blocking        10 ms (clock)           all memory   start() says so
//   make_logger            owner          wait-free       O(1)                    never        the sink's own logger
//
// In short: any thread | wait-free (or waits, if told to) | at construction | counted, and told in the log
//
//   (*) drop_newest: no loop, no lock, no system call. full_policy::block waits up to block_for when the lane is full. The
//   first call of a thread takes a lane and lets the kernel back its memory. A line from warn upwards, or a lane that
//   is half full, wakes a parked backend (one system call).
//
//     log_sink log({.output = log_output::to_file("service.log"), .logger = "profiles"});
//     if (auto failed = log.start()) ...
//     HOLDFAST_LOG(log, info, "order filled", {"qty", qty}, {"price", price}, {"took_ns", took});
//
//   {"timestamp":"2026-11-23T20:18:06.123456789Z","level":"INFO","message":"order filled","trace_id":"...",
//    "span_id":"...","correlation_id":"...","qty":5,"price":100.25,"took_ns":1200,"logger":"profiles","thread":4711,
//    "file":"orders.cpp","line":12}
//
// Field values are evaluated only when the level is enabled; log_field.hpp lists their types. Keys and types are fixed
// at compile time. The current_context() of the thread goes into every line. A value expression with a comma outside
// parentheses needs parentheses. At most 16 sinks live in a process at a time.
//
// Lines are in the order of their stamps as far as records are committed within `grace`; per thread always, except for
// stamps that callers gave. Nothing is lost silently: a lane that is full, a thread without a lane, an output that fails:
// each loss is counted by reason, and a line {"message":"log records lost","lost":N,"reason":...} stands where it happened.
// An output that fails (disk full, EIO, a closed pipe) is tried again with growing pauses; meanwhile records wait in the
// lanes. Half-written lines are completed, or cut off again if the sink stops first.
//
// When to use it: everywhere in a service. When not: for an audit trail that must be on disk before the answer goes out.
// After fork() the child's sinks are off and write nothing more: it has no backend, and what waits is its parent's to
// write. No thread may log while its sink is destroyed. A signal handler may log: inside a log call of its thread the
// record is counted in lost_nested, inside its thread's first in lost_no_lane.
//
// Memory: max_threads * ring_bytes of address space (touched by the threads that log), buffer_bytes, and about 1 MiB.
// Proof: tests/unit/log_sink_test.cpp, tests/stress/log_sink_stress.cpp, tests/alloc/log_alloc_test.cpp, tests/fault,
// tests/tools/log_lines_test.py, bench/log_sink_bench.cpp; its protocols between threads: tests/model/log_lane_model.cpp,
// tests/model/log_requests_model.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "holdfast/core/atomic.hpp"
#include "holdfast/telemetry/context.hpp"
#include "holdfast/telemetry/log_field.hpp"
#include "holdfast/telemetry/log_lane.hpp"
#include "holdfast/telemetry/log_level.hpp"
#include "holdfast/telemetry/log_macro.hpp"
#include "holdfast/telemetry/log_options.hpp"
#include "holdfast/telemetry/log_site.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

class log_sink;
namespace log_detail {
class engine;
}

// A named part of a service: its lines carry its name, and its level is its own. A handle of 16 bytes; the sink outlives it.
class logger {
 public:
  [[nodiscard]] bool enabled(log_level level) const noexcept;
  void set_level(log_level level) const noexcept;
  [[nodiscard]] log_sink& sink() const noexcept { return *sink_; }

  template <class... Values>
  void write(const log_site& site, log_detail::site_number& number, const Values&... values) const noexcept;

 private:
  friend class log_sink;
  logger(log_sink& sink, std::uint32_t index) noexcept : sink_(&sink), index_(index) {}
  log_sink* sink_;
  std::uint32_t index_;
};

// A logger whose caller has read the clock already: logging then costs no stamp.
class stamped_logger {
 public:
  [[nodiscard]] bool enabled(log_level level) const noexcept;
  template <class... Values>
  void write(const log_site& site, log_detail::site_number& number, const Values&... values) const noexcept;

 private:
  friend class log_sink;
  stamped_logger(log_sink& sink, time_point at) noexcept : sink_(&sink), at_(at) {}
  log_sink* sink_;
  time_point at_;
};

class log_sink {
 public:
  static constexpr std::size_t max_loggers = 64;

  explicit log_sink(const log_options& options) noexcept;
  ~log_sink();
  log_sink(const log_sink&) = delete;
  log_sink& operator=(const log_sink&) = delete;

  // Opens the output and starts the backend. Records that were logged before wait in the lanes.
  [[nodiscard]] std::error_code start() noexcept;
  // Writes what was logged before the call and ends the backend. Levels are off from then on.
  void stop() noexcept;
  // All that was logged before the call is with the output when it returns true.
  bool flush(duration timeout = std::chrono::seconds(1)) noexcept;
  // One round of the backend, for owners that run it themselves (own_thread = false): true if there was work.
  bool poll_once() noexcept;

  [[nodiscard]] bool enabled(log_level level) const noexcept { return enabled(0, level); }
  [[nodiscard]] log_level level() const noexcept {
    return static_cast<log_level>(levels_[0].load(mo::relaxed));  // hint: publishes nothing
  }
  void set_level(log_level level) noexcept { set_level(0, level); }

  [[nodiscard]] logger make_logger(std::string_view name, log_level level = log_level::info) noexcept;
  [[nodiscard]] stamped_logger at(time_point now) noexcept { return {*this, now}; }

  [[nodiscard]] log_stats stats() const noexcept;

  template <class... Values>
  [[gnu::always_inline]] void write(const log_site& site, log_detail::site_number& number,
                                    const Values&... values) noexcept {
    write_parts<false>(site, number, 0, 0, log_detail::canonical(values.value_of)...);
  }

 private:
  friend class logger;
  friend class stamped_logger;
  friend class log_detail::engine;

  [[nodiscard]] bool enabled(std::uint32_t logger, log_level level) const noexcept {
    return static_cast<std::uint8_t>(level) >= levels_[logger].load(mo::relaxed);  // hint: publishes nothing
  }
  void set_level(std::uint32_t logger, log_level level) noexcept {
    levels_[logger].store(static_cast<std::uint8_t>(level), mo::relaxed);  // hint: publishes nothing
  }

  [[nodiscard, gnu::always_inline]] std::uint64_t stamp() const noexcept {
#if defined(__x86_64__)
    if (counter_stamps_) return __rdtsc();
#endif
    return clock_stamp();
  }
  [[nodiscard]] std::uint64_t clock_stamp() const noexcept;

  template <bool Stamped, class... C>
  [[gnu::always_inline]] void write_parts(const log_site& site, log_detail::site_number& number, std::uint32_t logger,
                                          std::uint64_t given, C... canonical) noexcept {
    [[maybe_unused]] constexpr std::size_t share = log_detail::text_share<C...>();
    write_record<Stamped>(site, number, logger, given, log_detail::prepare<share>(canonical)...);
  }

  template <bool Stamped, class... Part>
  [[gnu::always_inline]] void write_record(const log_site& site, log_detail::site_number& number, std::uint32_t logger,
                                           std::uint64_t given, const Part&... parts) noexcept {
    using namespace log_detail;
    const lane_ref& mine = lanes_of_thread[slot_];
    log_lane* lane = nullptr;
    if (mine.sink == id_) [[likely]] {
      asm volatile("" ::: "memory");  // a signal handler may attach this thread: the lane is good once the number is
      lane = mine.lane;
    } else {
      lane = attach();
      if (lane == nullptr) return;  // counted there
    }
    const std::uint32_t site_index = number_of(site, number);
    if (site_index == 0) [[unlikely]] {
      lost_no_site_.fetch_add(1, mo::relaxed);  // counter:
      return;
    }
    if (lane->busy) [[unlikely]] {
      lane->count_nested();
      return;
    }
    lane->busy = true;
    asm volatile("" ::: "memory");  // a signal handler of this thread must see it before the ring changes

    std::uint32_t tag = site_index | logger << logger_shift | (Stamped ? stamp_is_time : 0U);
    std::size_t size = 8 + (fixed_bytes<decltype(parts.value)> + ... + 0) + (varying_bytes(parts) + ... + 0);
    const std::uint64_t generation = context_generation();
    if (generation != lane->context_generation) {
      tag |= context_follows;
      size += sizeof(context);
    }
    if (lane->full != lane->full_in_ring) [[unlikely]] {
      tag |= loss_follows;
      size += sizeof lane->full;
    }
    std::byte* out = nullptr;
    if (lane->ring.granted(size)) [[likely]] {
      out = lane->ring.try_claim(size);
    } else {
      out = claim_when_full(*lane, size);
    }
    if (out != nullptr) [[likely]] {
      const std::uint64_t stamped = Stamped ? given : stamp();
      std::memcpy(out, &stamped, 8);
      out += 8;
      if ((tag & context_follows) != 0) {
        std::memcpy(out, &current_context(), sizeof(context));
        out += sizeof(context);
        lane->context_generation = generation;
      }
      if ((tag & loss_follows) != 0) [[unlikely]] {
        std::memcpy(out, &lane->full, sizeof lane->full);
        out += sizeof lane->full;
        lane->full_in_ring = lane->full;
      }
      ((out = put_fixed(out, parts)), ...);
      ((out = put_varying(out, parts)), ...);
      lane->ring.commit(size, tag);
    }
    asm volatile("" ::: "memory");  // as above
    lane->busy = false;
    if (site.level >= log_level::warn && parked_.load(mo::relaxed) != 0) wake();  // hint: a parked backend looks again
  }

  [[nodiscard]] log_detail::log_lane* attach() noexcept;
  // The lane's grant is used up: asks for another, wakes the backend when the lane is half full, waits when the policy
  // says so. nullptr: the record is lost and counted.
  [[nodiscard]] std::byte* claim_when_full(log_detail::log_lane& lane, std::size_t size) noexcept;
  void wake() noexcept;
  static void after_fork_in_child() noexcept;

  // Read by every call, written when something is set up.
  alignas(cache_line_size) std::array<atomic<std::uint8_t>, max_loggers> levels_{};
  alignas(cache_line_size) std::uint64_t id_ = 0;
  std::uint32_t slot_ = 0;
  bool counter_stamps_ = false;
  log_detail::engine* engine_ = nullptr;
  atomic<std::uint32_t> parked_{0};  // written by the backend around a park

  alignas(cache_line_size) atomic<std::uint64_t> lost_no_lane_{0};  // written by threads that got none
  atomic<std::uint64_t> lost_no_site_{0};
};

inline bool logger::enabled(log_level level) const noexcept {
  return sink_->enabled(index_, level);
}
inline void logger::set_level(log_level level) const noexcept {
  sink_->set_level(index_, level);
}
template <class... Values>
[[gnu::always_inline]] inline void logger::write(const log_site& site, log_detail::site_number& number,
                                                 const Values&... values) const noexcept {
  sink_->write_parts<false>(site, number, index_, 0, log_detail::canonical(values.value_of)...);
}
inline bool stamped_logger::enabled(log_level level) const noexcept {
  return sink_->enabled(level);
}
template <class... Values>
[[gnu::always_inline]] inline void stamped_logger::write(const log_site& site, log_detail::site_number& number,
                                                         const Values&... values) const noexcept {
  sink_->write_parts<true>(site, number, 0, static_cast<std::uint64_t>(at_.time_since_epoch().count()),
                           log_detail::canonical(values.value_of)...);
}

}  // namespace holdfast
