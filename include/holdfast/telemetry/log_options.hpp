// SPDX-License-Identifier: MIT
// log_options: where a log_sink writes, how much memory it takes, and what it does when that is full.
// Proof: tests/unit/log_sink_test.cpp.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/option_error.hpp"
#include "holdfast/telemetry/log_level.hpp"
#include "holdfast/time/clock.hpp"

namespace holdfast {

// Lines in memory, for tests and for a crash report. Full like a disk is full: nothing more is taken.
class log_memory {
 public:
  explicit log_memory(std::span<char> storage) noexcept : storage_(storage) {}

  // What was written so far; whole lines after flush().
  [[nodiscard]] std::string_view view() const noexcept {
    return {storage_.data(), size_.load(mo::acquire)};  // [M1] acquire, pairs with [M2]: the bytes below it
  }
  // The sink's side: how many bytes were taken.
  std::size_t take(std::string_view text) noexcept {
    const std::size_t used = size_.load(mo::relaxed);                             // own: the backend alone writes it
    const std::size_t end = std::min(storage_.size(), limit_.load(mo::relaxed));  // counter: a bound
    const std::size_t size = std::min(text.size(), end > used ? end - used : 0);
    if (size > 0) std::memcpy(storage_.data() + used, text.data(), size);
    size_.store(used + size, mo::release);  // [M2] release, pairs with [M1]: the bytes below it
    return size;
  }
  // How much of the storage may be used: a test's full disk that becomes free again.
  void limit(std::size_t bytes) noexcept { limit_.store(bytes, mo::relaxed); }  // counter: a bound, publishes nothing

 private:
  std::span<char> storage_;
  atomic<std::size_t> size_{0};                 // written by the backend
  atomic<std::size_t> limit_{~std::size_t{0}};  // written by the owner
};

// Whole lines, one or more a call, from the backend's thread.
using log_callback = void (*)(void* user, std::string_view lines);

struct log_output {
  enum class form : std::uint8_t { descriptor, file, memory, callback };
  form is = form::descriptor;
  int descriptor = 1;
  std::string_view path{};  // opened for appending, created with mode 0644 where it does not exist
  log_memory* memory = nullptr;
  log_callback callback = nullptr;
  void* user = nullptr;

  static constexpr log_output standard_output() noexcept { return {}; }
  static constexpr log_output standard_error() noexcept { return to_descriptor(2); }
  // Stays the caller's: never closed here.
  static constexpr log_output to_descriptor(int descriptor) noexcept {
    log_output o;
    o.descriptor = descriptor;
    return o;
  }
  static constexpr log_output to_file(std::string_view path) noexcept {
    log_output o;
    o.is = form::file;
    o.path = path;
    return o;
  }
  static constexpr log_output to_memory(log_memory& memory) noexcept {
    log_output o;
    o.is = form::memory;
    o.memory = &memory;
    return o;
  }
  static constexpr log_output to_callback(log_callback callback, void* user) noexcept {
    log_output o;
    o.is = form::callback;
    o.callback = callback;
    o.user = user;
    return o;
  }
};

enum class full_policy : std::uint8_t { drop_newest, block };

struct log_options {
  log_output output{};
  log_level level = log_level::info;
  std::string_view logger{};  // the name in lines that are written through the sink itself; at most 31 bytes

  std::size_t ring_bytes = std::size_t{1} << 20U;  // each logging thread's; touched when the thread logs first
  std::uint32_t max_threads = 32;                  // lanes; calls of more threads at a time are counted as lost
  full_policy when_full = full_policy::drop_newest;
  duration block_for = std::chrono::milliseconds(10);  // full_policy::block: then the record is dropped and counted

  std::size_t buffer_bytes = std::size_t{256} << 10U;  // one write(2) takes up to this
  std::size_t max_line = std::size_t{16} << 10U;
  duration grace = std::chrono::microseconds(5);     // how late a record may be committed and still find its place
  duration latency = std::chrono::milliseconds(1);   // a line waits at most this long for others to be written with it
  duration max_park = std::chrono::milliseconds(5);  // an idle backend looks again after this; latency of a rare line
  duration stop_timeout = std::chrono::seconds(1);   // how long stop() tries a failing output
  bool own_thread = true;                            // false: the owner calls poll_once()
};
static_assert(std::is_aggregate_v<log_options>);

constexpr option_error validate(const log_options& o) noexcept {
  const auto size = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  return first_of(
      at_most("logger", size(o.logger.size()), 31), at_least("ring_bytes", size(o.ring_bytes), 64 << 10),
      at_most("ring_bytes", size(o.ring_bytes), 1 << 30),
      o.ring_bytes % 4096 == 0 ? option_error{} : option_error{"ring_bytes", size(o.ring_bytes), "a multiple of", 4096},
      at_least("max_threads", o.max_threads, 1), at_most("max_threads", o.max_threads, 1024),
      at_least("block_for", o.block_for.count(), 0), at_least("max_line", size(o.max_line), 12 << 10),
      at_most("max_line", size(o.max_line), 1 << 20),
      at_least("buffer_bytes", size(o.buffer_bytes), 2 * size(o.max_line)),
      at_most("buffer_bytes", size(o.buffer_bytes), 64 << 20), at_least("grace", o.grace.count(), 0),
      at_most("grace", o.grace.count(), 1'000'000'000), at_least("latency", o.latency.count(), 0),
      at_least("max_park", o.max_park.count(), 50'000), at_least("stop_timeout", o.stop_timeout.count(), 0),
      o.output.is == log_output::form::file ? at_least("output.path", size(o.output.path.size()), 1) : option_error{},
      o.output.is == log_output::form::file ? at_most("output.path", size(o.output.path.size()), 4095)
                                            : option_error{});
}
static_assert(!validate(log_options{}));

// Calls at an enabled level = written + lost() + what still waits in the lanes and the buffer.
struct log_stats {
  std::uint64_t written = 0;       // records whose line the output took
  std::uint64_t lost_full = 0;     // no room in the thread's lane
  std::uint64_t lost_no_lane = 0;  // more threads than lanes, no memory for them, or a signal inside a first call
  std::uint64_t lost_nested = 0;   // a signal handler logged inside a log call of its thread
  std::uint64_t lost_no_site = 0;  // more call sites than the process's table holds
  std::uint64_t lost_output = 0;   // formatted, but the output was failing when the sink stopped
  std::uint64_t lost_stopped = 0;  // left in a lane after the backend's end
  std::uint64_t loss_lines = 0;    // lines that tell of losses; not part of `written`
  std::uint64_t bytes = 0;         // taken by the output
  std::uint64_t truncated = 0;     // lines with "truncated":true
  std::uint64_t invalid_utf8 = 0;  // sequences replaced by U+FFFD
  std::uint64_t write_errors = 0;  // failed writes; each is tried again
  int last_error = 0;              // errno of the latest of them

  [[nodiscard]] constexpr std::uint64_t lost() const noexcept {
    return lost_full + lost_no_lane + lost_nested + lost_no_site + lost_output + lost_stopped;
  }
};

}  // namespace holdfast
