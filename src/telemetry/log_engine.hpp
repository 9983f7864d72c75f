// SPDX-License-Identifier: MIT
// engine: the backend of a log_sink: its lanes, and the loop that merges them by time into lines for the output.
//
// Everything below `backend` belongs to the backend's thread (or to the owner, when there is none).
#pragma once

#include <pthread.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <system_error>

#include "holdfast/core/fixed_text.hpp"
#include "holdfast/core/high_mark.hpp"
#include "holdfast/telemetry/log_lane.hpp"
#include "holdfast/telemetry/log_options.hpp"
#include "holdfast/telemetry/log_sink.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

#include "log_line.hpp"
#include "log_requests.hpp"
#include "log_writer.hpp"

namespace holdfast::log_detail {

class engine {
 public:
  // nullptr: no memory.
  static engine* make(log_sink& sink, const log_options& options) noexcept;
  static void destroy(engine* e) noexcept;

  [[nodiscard]] std::error_code start() noexcept;
  void stop() noexcept;
  bool flush(duration timeout) noexcept;
  bool poll_once() noexcept;
  // After fork(), in the child: there is no backend to join, and what waits in lanes and buffer the parent writes.
  void end_in_child() noexcept {
    thread_runs_ = false;
    stopped_ = true;
  }

  log_lane* attach() noexcept;
  std::byte* claim_when_full(log_lane& lane, std::size_t size) noexcept;
  void wake() noexcept;
  bool name_logger(std::uint32_t index, std::string_view name) noexcept;
  void add_stats(log_stats& into) const noexcept;
  [[nodiscard]] const tsc_clock& clock() const noexcept { return clock_; }

  std::uint32_t loggers_used = 1;  // written by the owner

 private:
  engine(log_sink& sink, const log_options& options, std::span<std::byte> memory) noexcept;
  ~engine() = default;

  // What the backend knows about a lane.
  struct lane_view {
    record_ring::record head{};
    std::int64_t key = 0;   // the head's place in time
    std::int64_t time = 0;  // what its line says
    bool has_head = false;
    std::size_t unreleased = 0;
    std::uint64_t full_told = 0;  // losses that a line was written about
    std::uint64_t nested_told = 0;
    fixed_text<24> thread_text{};  // ,"thread":12
    context_text context{};
  };

  static std::size_t memory_bytes(const log_options& options) noexcept;
  static void* run_thread(void* self) noexcept;
  void run() noexcept;

  bool look(std::size_t lane, std::int64_t now) noexcept;
  std::size_t drain(std::int64_t limit, std::int64_t now) noexcept;
  bool put_record(std::size_t lane) noexcept;
  bool put_loss(std::uint64_t lost, std::string_view reason, std::string_view thread, std::int64_t time) noexcept;
  bool tell_losses(std::int64_t now) noexcept;
  bool make_room() noexcept;
  bool write_out() noexcept;
  void give_up_output() noexcept;
  void recycle(std::size_t lane) noexcept;
  bool round(std::int64_t everything_until) noexcept;
  void count_left_in_lanes() noexcept;
  void end_backend() noexcept;
  void count(atomic<std::uint64_t>& counter, std::uint64_t by) noexcept;
  std::string_view thread_text(std::size_t lane) noexcept;
  void keep_time(std::int64_t now) noexcept;
  [[nodiscard]] std::uint64_t record_lines(std::size_t from, std::size_t to) const noexcept;
  [[nodiscard]] std::int64_t now_ns() const noexcept { return clock_.now().time_since_epoch().count(); }
  [[nodiscard]] std::int64_t wall(std::int64_t steady) const noexcept { return steady + wall_offset_; }
  [[nodiscard]] std::size_t lanes_in_use() const noexcept;

  log_sink& sink_;
  const log_options options_;
  std::span<std::byte> memory_;
  log_lane* lanes_ = nullptr;
  std::byte* rings_ = nullptr;
  high_mark<std::uint32_t> lanes_used_;  // by attaching threads
  tsc_clock clock_{};
  std::array<fixed_text<224>, log_sink::max_loggers>
      logger_texts_{};  // ,"logger":"..."; written before the logger is used

  pthread_t thread_{};
  bool thread_runs_ = false;
  bool opened_ = false;
  bool stopped_ = false;
  log_requests<> requests_;

  // --- backend ---
  lane_view* views_ = nullptr;
  char* buffer_ = nullptr;
  std::size_t begin_ = 0;  // of what is not written yet
  std::size_t end_ = 0;
  std::uint64_t lines_in_buffer_ = 0;  // lines of records, not of losses
  std::int64_t oldest_in_buffer_ = 0;
  bool urgent_ = false;
  bool pass_is_full_ = false;  // the last drain stopped at its bound: there is more
  bool flushing_ = false;
  std::uint32_t flush_seen_ = 0;
  std::int64_t flush_limit_ = 0;
  log_writer writer_;
  bool failing_ = false;
  std::int64_t retry_at_ = 0;
  duration retry_pause_{0};
  site_texts sites_{};
  line_writer lines_{};
  line_counts counts_{};
  std::uint64_t no_lane_told_ = 0;
  std::uint64_t no_site_told_ = 0;
  std::int64_t wall_offset_ = 0;
  std::int64_t next_calibration_ = 0;

  // Written by the backend, read by stats().
  atomic<std::uint64_t> written_{0};
  atomic<std::uint64_t> lost_output_{0};
  atomic<std::uint64_t> lost_stopped_{0};
  atomic<std::uint64_t> loss_lines_{0};
  atomic<std::uint64_t> bytes_{0};
  atomic<std::uint64_t> truncated_{0};
  atomic<std::uint64_t> invalid_utf8_{0};
  atomic<std::uint64_t> write_errors_{0};
  atomic<int> last_error_{0};
};

}  // namespace holdfast::log_detail
