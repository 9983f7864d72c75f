// SPDX-License-Identifier: MIT
#include "log_engine.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <new>

#include "holdfast/core/assert.hpp"

namespace holdfast::log_detail {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t records_a_pass = 65'536;
constexpr std::size_t loss_line = 1024;  // more than one needs
constexpr duration shortest_park = std::chrono::microseconds(50);
constexpr std::int64_t forever = std::numeric_limits<std::int64_t>::max();

constexpr std::size_t pages(std::size_t bytes) noexcept {
  return (bytes + page - 1) & ~(page - 1);
}

}  // namespace

// --- set-up ---

std::size_t engine::memory_bytes(const log_options& o) noexcept {
  return pages(o.max_threads * sizeof(log_lane)) + pages(o.max_threads * sizeof(lane_view)) +
         pages(o.buffer_bytes + line_slack) + pages(site_texts::arena_bytes + site_texts::index_bytes) +
         o.max_threads * o.ring_bytes;
}

engine* engine::make(log_sink& sink, const log_options& options) noexcept {
  const std::size_t bytes = memory_bytes(options);
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* const made = new (std::nothrow) engine(sink, options, {static_cast<std::byte*>(memory), bytes});
  if (made == nullptr) ::munmap(memory, bytes);
  return made;
}

void engine::destroy(engine* e) noexcept {
  const auto memory = e->memory_;
  delete e;
  ::munmap(memory.data(), memory.size());
}

engine::engine(log_sink& sink, const log_options& options, std::span<std::byte> memory) noexcept
    : sink_(sink), options_(options), memory_(memory), requests_(sink.parked_), writer_(options.output) {
  std::byte* at = memory.data();
  const auto take = [&at](std::size_t bytes) {
    std::byte* const taken = at;
    at += pages(bytes);
    return taken;
  };
  lanes_ = reinterpret_cast<log_lane*>(take(options.max_threads * sizeof(log_lane)));
  views_ = reinterpret_cast<lane_view*>(take(options.max_threads * sizeof(lane_view)));
  buffer_ = reinterpret_cast<char*>(take(options.buffer_bytes + line_slack));
  const std::size_t texts = site_texts::arena_bytes + site_texts::index_bytes;
  sites_.use({take(texts), texts});
  rings_ = at;
  for (std::size_t i = 0; i < options.max_threads; ++i) {
    std::construct_at(lanes_ + i, std::span(rings_ + i * options.ring_bytes, options.ring_bytes));
    std::construct_at(views_ + i);
  }
  name_logger(0, options.logger);
  keep_time(now_ns());
}

bool engine::name_logger(std::uint32_t index, std::string_view name) noexcept {
  if (name.empty()) return true;
  std::array<char, 224> text{};
  std::uint64_t invalid = 0;
  constexpr std::string_view key = ",\"logger\":\"";
  char* p = std::copy(key.begin(), key.end(), text.data());
  p = put_escaped_within(p, text.data() + text.size() - 1, cut_at_character(name, 31), invalid).end;
  *p++ = '"';
  logger_texts_[index].assign({text.data(), static_cast<std::size_t>(p - text.data())});
  return true;
}

std::error_code engine::start() noexcept {
  if (opened_ || stopped_) return std::make_error_code(std::errc::operation_in_progress);
  if (const auto failed = writer_.open()) return failed;
  opened_ = true;
  if (!options_.own_thread) return {};
  // No signal of the process is handled on the backend's thread, and a closed pipe is an error here, not a signal.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const int failed = ::pthread_create(&thread_, nullptr, &engine::run_thread, this);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (failed != 0) return {failed, std::system_category()};
  ::pthread_setname_np(thread_, "holdfast-log");
  thread_runs_ = true;
  return {};
}

// --- the threads that log ---

log_lane* engine::attach() noexcept {
  for (std::uint32_t i = 0; i < options_.max_threads; ++i) {
    log_lane& lane = lanes_[i];
    if (!lane.try_own()) continue;
    lane.context_generation = ~std::uint64_t{0};
    lane.full_in_ring = lane.full;
    lane.busy = false;
    // own: published by the first record or loss
    lane.thread.store(static_cast<std::uint32_t>(::gettid()), mo::relaxed);
    lanes_used_.raise(i + 1);
#if defined(MADV_POPULATE_WRITE)
    // Once, and in the first call of the thread, rather than a page fault every 64 records of its first lap.
    ::madvise(rings_ + i * options_.ring_bytes, options_.ring_bytes, MADV_POPULATE_WRITE);
#endif
    return &lane;
  }
  return nullptr;
}

std::byte* engine::claim_when_full(log_lane& lane, std::size_t size) noexcept {
  std::byte* out = lane.ring.try_claim(size);
  if (lane.ring.backlog() > lane.ring.capacity() / 2) wake();
  if (out != nullptr) return out;
  if (options_.when_full == full_policy::block) {
    const auto give_up = steady_clock::now() + options_.block_for;
    for (unsigned i = 0; out == nullptr && steady_clock::now() < give_up; ++i) {
      wake();
      if (i < 16) {
        ::sched_yield();
      } else {
        const timespec nap{0, 20'000};
        ::nanosleep(&nap, nullptr);
      }
      out = lane.ring.try_claim(size);
    }
    if (out != nullptr) return out;
  }
  lane.count_full();
  return nullptr;
}

void engine::wake() noexcept {
  requests_.wake_if_parked();
}

bool engine::flush(duration timeout) noexcept {
  if (!opened_ || stopped_) return false;
  const auto give_up = deadline::after(steady_clock::now(), timeout);
  const std::uint32_t ticket = requests_.ask_flush();
  for (;;) {
    const std::uint32_t answers = requests_.answers();
    if (requests_.is_answered(ticket)) return true;
    const auto left = give_up.remaining(steady_clock::now());
    if (left <= duration::zero()) return false;
    if (thread_runs_) {
      requests_.sleep_until_answer(answers, std::min<duration>(left, std::chrono::hours(1)));
    } else {
      poll_once();
    }
  }
}

void engine::stop() noexcept {
  if (stopped_) return;
  requests_.ask_stop();
  if (thread_runs_) {
    ::pthread_join(thread_, nullptr);
    thread_runs_ = false;
  } else if (opened_ && !options_.own_thread) {
    end_backend();
  }
  stopped_ = true;
  count_left_in_lanes();
}

bool engine::poll_once() noexcept {
  if (!opened_ || stopped_ || thread_runs_) return false;
  return round(std::numeric_limits<std::int64_t>::min());
}

void engine::add_stats(log_stats& s) const noexcept {
  const auto read = [](const atomic<std::uint64_t>& c) { return c.load(mo::relaxed); };  // counter:
  s.written = read(written_);
  s.lost_output = read(lost_output_);
  s.lost_stopped = read(lost_stopped_);
  s.loss_lines = read(loss_lines_);
  s.bytes = read(bytes_);
  s.truncated = read(truncated_);
  s.invalid_utf8 = read(invalid_utf8_);
  s.write_errors = read(write_errors_);
  s.last_error = last_error_.load(mo::relaxed);  // counter:
  for (std::size_t i = 0; i < lanes_in_use(); ++i) {
    s.lost_full += read(lanes_[i].lost_full);
    s.lost_nested += read(lanes_[i].lost_nested);
  }
}

// --- the backend ---

void engine::count(atomic<std::uint64_t>& counter, std::uint64_t by) noexcept {
  counter.store(counter.load(mo::relaxed) + by, mo::relaxed);  // own: the backend alone writes its counters
}

std::size_t engine::lanes_in_use() const noexcept {
  return lanes_used_.read();
}

void engine::keep_time(std::int64_t now) noexcept {
  if (now < next_calibration_) return;
  clock_.recalibrate();
  // The wall clock is read between two reads of ours, as near to the middle as three tries bring it.
  std::int64_t best_gap = forever;
  std::int64_t offset = 0;
  for (int i = 0; i < 3; ++i) {
    const std::int64_t before = now_ns();
    const std::int64_t wall_now = wall_clock::now_ns();
    const std::int64_t gap = now_ns() - before;
    if (gap < best_gap) {
      best_gap = gap;
      offset = wall_now - before - gap / 2;
    }
  }
  // Small corrections wait until they are worth a step, so that neighbouring lines keep their order.
  if (offset - wall_offset_ > 20'000 || wall_offset_ - offset > 20'000) wall_offset_ = offset;
  next_calibration_ = now + 500'000'000;
}

bool engine::look(std::size_t i, std::int64_t now) noexcept {
  lane_view& view = views_[i];
  if (view.has_head) return true;
  if (!lanes_[i].ring.front(view.head)) return false;
  std::uint64_t stamp = 0;
  std::memcpy(&stamp, view.head.data, sizeof stamp);
  if ((view.head.tag & stamp_is_time) != 0) {
    // A caller's stamp may lie ahead of time: its line must not wait for that.
    view.time = static_cast<std::int64_t>(stamp);
    view.key = std::min(view.time, now);
  } else {
    view.time = view.key = clock_.at(stamp).time_since_epoch().count();
  }
  view.has_head = true;
  return true;
}

std::string_view engine::thread_text(std::size_t i) noexcept {
  lane_view& view = views_[i];
  if (view.thread_text.empty()) {
    std::array<char, 48> text{};
    constexpr std::string_view key = ",\"thread\":";
    char* p = std::copy(key.begin(), key.end(), text.data());
    p = put_unsigned(p, lanes_[i].thread.load(mo::relaxed));  // own: published by the lane's first record or loss
    view.thread_text.assign({text.data(), static_cast<std::size_t>(p - text.data())});
  }
  return view.thread_text;
}

// Merges all lanes by time, up to `limit`.
std::size_t engine::drain(std::int64_t limit, std::int64_t now) noexcept {
  const std::size_t lanes = lanes_in_use();
  std::size_t done = 0;
  pass_is_full_ = false;
  for (std::size_t i = 0; i < lanes; ++i) {
    if (look(i, now)) continue;
    // A closed lane that is empty after it was seen closed stays empty.
    if (lanes_[i].closed() && !look(i, now)) recycle(i);
  }
  bool stuck = false;
  while (!stuck && !pass_is_full_) {
    std::size_t first = lanes;
    std::int64_t lowest = forever;
    std::int64_t second = forever;
    for (std::size_t i = 0; i < lanes; ++i) {
      if (!views_[i].has_head) continue;
      if (first == lanes || views_[i].key < lowest) {
        second = first == lanes ? forever : lowest;
        lowest = views_[i].key;
        first = i;
      } else {
        second = std::min(second, views_[i].key);
      }
    }
    if (first == lanes || lowest > limit) break;
    lane_view& view = views_[first];
    record_ring& ring = lanes_[first].ring;
    const std::int64_t until = std::min(limit, second);
    do {
      if (!put_record(first)) {
        stuck = true;
        break;
      }
      ring.pop(view.head);
      view.has_head = false;
      view.unreleased += view.head.bytes;
      if (view.unreleased > options_.ring_bytes / 8) {
        ring.release();
        view.unreleased = 0;
      }
      pass_is_full_ = ++done >= records_a_pass;
    } while (!pass_is_full_ && look(first, now) && view.key <= until);
  }
  for (std::size_t i = 0; i < lanes; ++i) {
    if (views_[i].unreleased == 0) continue;
    lanes_[i].ring.release();
    views_[i].unreleased = 0;
  }
  count(truncated_, counts_.truncated);
  count(invalid_utf8_, counts_.invalid_utf8);
  counts_ = {};
  return done;
}

bool engine::make_room() noexcept {
  const std::size_t needed = options_.max_line + loss_line;
  if (options_.buffer_bytes - end_ >= needed) return true;
  write_out();
  return options_.buffer_bytes - end_ >= needed;
}

bool engine::put_record(std::size_t i) noexcept {
  if (!make_room()) return false;
  lane_view& view = views_[i];
  const std::byte* at = view.head.data + 8;
  const std::byte* const end = view.head.data + view.head.bytes;
  const std::uint32_t tag = view.head.tag;
  if ((tag & context_follows) != 0) {
    context brought;
    std::memcpy(&brought, at, sizeof brought);
    view.context.render(brought);
    at += sizeof brought;
  }
  if ((tag & loss_follows) != 0) {
    std::uint64_t total = 0;
    std::memcpy(&total, at, sizeof total);
    at += sizeof total;
    if (total > view.full_told) {
      put_loss(total - view.full_told, "lane_full", thread_text(i), view.time);
      view.full_told = total;
    }
  }
  const std::uint32_t number = tag & site_mask;
  const log_site& site = site_at(number);
  const line_parts parts{wall(view.time), view.context.view(),
                         logger_texts_[(tag >> logger_shift) & logger_mask].view(), thread_text(i)};
  if (end_ == begin_) oldest_in_buffer_ = now_ns();
  char* const line = buffer_ + end_;
  char* const line_end = lines_.put(line, options_.max_line, site, sites_.of(number), parts,
                                    {at, static_cast<std::size_t>(end - at)}, counts_);
  HOLDFAST_ASSERT(line_end <= line + options_.max_line);
  end_ += static_cast<std::size_t>(line_end - line);
  ++lines_in_buffer_;
  urgent_ |= site.level >= log_level::error;
  if (end_ >= options_.buffer_bytes / 4 * 3) write_out();
  return true;
}

// Room for it is part of what make_room() keeps.
bool engine::put_loss(std::uint64_t lost, std::string_view reason, std::string_view thread,
                      std::int64_t time) noexcept {
  if (options_.buffer_bytes - end_ < loss_line) return false;
  const line_parts parts{wall(time), {}, logger_texts_[0].view(), thread};
  if (end_ == begin_) oldest_in_buffer_ = now_ns();
  end_ = static_cast<std::size_t>(lines_.put_loss(buffer_ + end_, parts, lost, reason) - buffer_);
  count(loss_lines_, 1);
  return true;
}

// What no later record of its thread has brought along.
bool engine::tell_losses(std::int64_t now) noexcept {
  const auto tell = [&](std::uint64_t total, std::uint64_t& told, std::string_view reason, std::string_view thread) {
    if (total == told) return false;
    if (!make_room() || !put_loss(total - told, reason, thread, now)) return false;
    told = total;
    return true;
  };
  bool any = false;
  for (std::size_t i = 0; i < lanes_in_use(); ++i) {
    // The lane is read first: a loss is told behind the records that were there when it happened.
    if (views_[i].has_head) continue;
    const auto [full, nested] = lanes_[i].lost();
    if (full > views_[i].full_told) any |= tell(full, views_[i].full_told, "lane_full", thread_text(i));
    if (nested > views_[i].nested_told) any |= tell(nested, views_[i].nested_told, "signal_nested", thread_text(i));
  }
  any |= tell(sink_.lost_no_lane_.load(mo::relaxed), no_lane_told_, "no_lane", {});  // counter:
  any |= tell(sink_.lost_no_site_.load(mo::relaxed), no_site_told_, "no_site", {});  // counter:
  return any;
}

void engine::recycle(std::size_t i) noexcept {
  lane_view& view = views_[i];
  const std::int64_t now = now_ns();
  static_cast<void>(tell_losses(now));
  const auto [full, nested] = lanes_[i].lost();
  if (full != view.full_told || nested != view.nested_told) return;  // no room for the line yet
  if (view.unreleased != 0) {
    lanes_[i].ring.release();
    view.unreleased = 0;
  }
  view.thread_text = {};
  view.context.clear();
  lanes_[i].reopen();
}

// Every line of a record ends in "line":N}, no other does.
std::uint64_t engine::record_lines(std::size_t from, std::size_t to) const noexcept {
  constexpr std::string_view mark = ",\"line\":";
  std::uint64_t lines = 0;
  for (std::size_t i = from; i < to; ++i) {
    if (buffer_[i] != '\n') continue;
    std::size_t k = i - 1;  // the closing brace
    while (k > 0 && buffer_[k - 1] >= '0' && buffer_[k - 1] <= '9') --k;
    if (k >= mark.size() && std::string_view(buffer_ + k - mark.size(), mark.size()) == mark) ++lines;
  }
  return lines;
}

bool engine::write_out() noexcept {
  if (begin_ == end_) return true;
  if (failing_ && now_ns() < retry_at_) return false;
  const auto done = writer_.write({buffer_ + begin_, end_ - begin_});
  count(bytes_, done.taken);
  if (done.error == 0) {
    count(written_, lines_in_buffer_);
    lines_in_buffer_ = 0;
    begin_ = end_ = 0;
    failing_ = urgent_ = false;
    retry_pause_ = duration::zero();
    return true;
  }
  // What is left stays in its place, so that a line that was torn is completed by the next write.
  const std::uint64_t lines = record_lines(begin_, begin_ + done.taken);
  count(written_, lines);
  lines_in_buffer_ -= lines;
  begin_ += done.taken;
  constexpr duration first_pause = std::chrono::milliseconds(1);
  constexpr duration longest_pause = std::chrono::seconds(1);
  if (done.error == EAGAIN || done.taken > 0) {
    retry_pause_ = first_pause;  // a slow reader, or something got through
  } else {
    retry_pause_ = std::clamp<duration>(retry_pause_ * 2, first_pause, longest_pause);
  }
  if (done.error != EAGAIN) {
    count(write_errors_, 1);
    last_error_.store(done.error, mo::relaxed);  // counter:
  }
  failing_ = true;
  retry_at_ = now_ns() + retry_pause_.count();
  return false;
}

void engine::give_up_output() noexcept {
  count(lost_output_, lines_in_buffer_);
  lines_in_buffer_ = 0;
  begin_ = end_ = 0;
  writer_.drop_torn_line();
}

// One look at everything; true: something moved.
bool engine::round(std::int64_t everything_until) noexcept {
  const std::uint32_t requested = requests_.asked();
  const std::int64_t now = now_ns();
  keep_time(now);
  if (!flushing_ && !requests_.has_answered(requested)) {
    flushing_ = true;
    flush_seen_ = requested;
    flush_limit_ = now;
  }
  const std::int64_t limit =
      std::max({everything_until, now - options_.grace.count(), flushing_ ? flush_limit_ : everything_until});
  bool worked = drain(limit, now) > 0;
  const bool all = !worked || flushing_ || everything_until == forever;
  if (all) worked |= tell_losses(now);
  const bool due =
      urgent_ || flushing_ || everything_until == forever || now - oldest_in_buffer_ >= options_.latency.count();
  if (begin_ != end_ && due) {
    const std::size_t before = begin_;
    worked |= write_out() || begin_ != before;
  }
  if (flushing_ && !pass_is_full_ && begin_ == end_) {
    flushing_ = false;
    requests_.answer(flush_seen_);
    worked = true;
  }
  return worked;
}

void engine::end_backend() noexcept {
  const std::int64_t give_up = now_ns() + options_.stop_timeout.count();
  for (;;) {
    if (round(forever)) continue;
    if (begin_ == end_ && !pass_is_full_) break;
    const std::int64_t now = now_ns();
    if (now >= give_up) break;
    requests_.nap(duration(std::min<std::int64_t>(give_up - now, 1'000'000)));
  }
  give_up_output();
}

void engine::count_left_in_lanes() noexcept {
  for (std::size_t i = 0; i < lanes_in_use(); ++i) {
    record_ring& ring = lanes_[i].ring;
    views_[i].has_head = false;
    record_ring::record r;
    while (ring.front(r)) {
      ring.pop(r);
      count(lost_stopped_, 1);
    }
    ring.release();
  }
}

void* engine::run_thread(void* self) noexcept {
  static_cast<engine*>(self)->run();
  return nullptr;
}

void engine::run() noexcept {
  unsigned idle = 0;
  duration pause = shortest_park;
  for (;;) {
    const std::uint32_t rings = requests_.rings();
    if (requests_.stop_is_asked()) break;
    if (round(std::numeric_limits<std::int64_t>::min())) {
      idle = 0;
      pause = shortest_park;
      continue;
    }
    ++idle;
    if (idle < 64) {
      cpu_relax();
    } else if (idle < 72) {
      ::sched_yield();
    } else {
      duration at_most = pause;
      const std::int64_t now = now_ns();
      if (failing_) {
        at_most = std::clamp(duration(retry_at_ - now), duration(1), std::max(pause, options_.max_park));
      } else if (begin_ != end_) {
        at_most = std::min(pause, std::max(duration(1), duration(oldest_in_buffer_ - now) + options_.latency));
      }
      requests_.park(rings, at_most);
      pause = std::min<duration>(pause * 2, options_.max_park);
    }
  }
  end_backend();
}

}  // namespace holdfast::log_detail
