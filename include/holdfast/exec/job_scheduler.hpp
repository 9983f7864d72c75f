// SPDX-License-Identifier: MIT
// job_scheduler: jobs of 2 to 64 levels for some threads, in fixed memory, each run once or told what became of it.
//
//   operation         caller       progress                  allocates    when refused
//   start             owner, once  blocking                  the threads  which option is wrong, or why no threads
//   try_submit        any thread   not blocking              never        full, level_full, closed: the job is still the caller's
//   submit_until      any thread   blocking while full       never        the same, at the deadline
//   post, on(level)   any thread   wait-free                 never        never: a runnable needs no room
//   cancel            any thread   lock-free, then as the    never        running: it is too late; gone: it has ended, or never was
//                                  job's destructor
//   pause, resume     any thread   lock-free                 never        -
//   close             any thread   blocking a moment         never        -
//   drain_until       any thread   blocking                  never        false: the deadline has passed
//   cancel_all        any thread   as the destructors        never        how many it cancelled
//   shut_down         owner        blocking                  never        -
//   metrics, stalled  any thread   wait-free                 never        -
//
// In short: any thread | submit is not blocking, a post wait-free; workers sleep | the threads, at the start | full,
// level_full, closed: the job is still the caller's
//
//   auto jobs = std::make_unique<job_scheduler<job_shape{.jobs = 4096, .levels = 4}>>(job_options{.workers = 2});
//   if (const auto wrong = jobs->start()) ...
//   const job_receipt in = jobs->try_submit(1, [page = std::move(page)]() mutable { render(page); });
//   if (in && changed_my_mind) jobs->cancel(in.job);
//   co_await jobs->on(0);      // the rest of this coroutine runs on a worker, at level 0
//   jobs->shut_down();         // nothing more comes in; all that came is run
//
// What is picked. Level 0 comes before level 1, and so on. Within a level: jobs with deadlines, the earliest first; then
// runnables (coroutines), then jobs without a deadline, each of these kinds in the order in which they came (submit had
// returned, or post). So that nobody starves, `ageing` = k: every k-th pick of a worker is offered to the levels below the
// highest in turn, and every k-th of what a worker takes from a level is of the last kind first that is there. So:
//
//   JQ1 A level that is not empty is served within k (levels - 1) picks of any one worker; its oldest job of the last kind within
//       k of those that are from it.
//   JQ2 Other picks take the highest level that has something to take at the moment of the look.
//   JQ3 What a worker takes ahead, to take it cheaply (up to 16 of one level), stays in sight: it looks at the levels above before
//       each; and others take it out of the lane of a worker that is held up by one job, first if they find nothing else, and at
//       every fourth time that they would take ahead themselves in any case. So no job waits for the end of another one while
//       a worker is free.
//
// With several workers jobs of one level start in their order, as far as JQ3 says, and end as they do. `local`: a job that is
// submitted by a job, to the level that its worker is at, goes to that worker's own lane, before the jobs that others have
// submitted to this level; up to 16 of them, of which others may help themselves. Every 64th pick there is of the others' jobs.
//
// What becomes of a job. JE1: each job that was accepted ends once: it is run; cancelled, by its handle or cancel_all; shed;
// or, with run_late = false, expired. accepted == run + cancelled + shed + expired + waiting. JE2: cancel says exactly what it did:
// after `cancelled` it is not run, after `running` or `gone` it has been claimed by a worker before, or ended otherwise. JE3: what
// a job throws, or an outcome that is an error, is told to the listener, and stops nothing. Without exceptions, nothing is thrown.
//
// Room. One store of slots for all levels, and a share of it for each level that has one (`most`). A job that was cancelled keeps
// its slot until its turn comes, or until somebody needs it while it is the oldest of its level. When all are in use: refused,
// waited for (not by a job, which might wait for itself), or (overload) the oldest job of the lowest level below makes room. A
// submit waits for nobody; but one that is stopped by the kernel between drawing its place and filling it holds up the jobs
// behind it at its level.
//
// End. close(): no submit from outside is accepted afterwards, and all that were have been counted; jobs may still submit jobs, so
// that what was begun can end. drain_until(): all that was accepted has ended. shut_down() does both and joins the
// workers. A scheduler ends shut down. Runnables are always run; nothing posts to one that has been shut down.
//
// The seam for timers and retries: whoever fires calls try_submit, which may refuse, and keeps what is refused.
//
// When to use it: for jobs of a microsecond or more of different urgency. Not for steps of one thing (work_pipeline). Not for
// loops over data (a parallel algorithm).
//
// Memory: jobs * (bytes + 16) rounded up to lines, and 8 bytes a job and level (18 with deadlines). On the heap, by make_unique.
//
// Method: levels as rings of slot numbers (job_ring), slots with one deciding word (job_slots), an ageing by picks and not by a
// thread, wake-ups by one searching worker at most (job_idle). Proof: unit/job_scheduler_test.cpp, stress/job_scheduler_stress.cpp,
// model/job_*_model.cpp, alloc/job_scheduler_alloc_test.cpp, bench/job_scheduler_bench.cpp.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <type_traits>
#include <utility>

#include "holdfast/core/assert.hpp"
#include "holdfast/core/atomic.hpp"
#include "holdfast/core/parking.hpp"
#include "holdfast/exec/crew.hpp"
#include "holdfast/exec/job_door.hpp"
#include "holdfast/exec/job_executor.hpp"
#include "holdfast/exec/job_free_list.hpp"
#include "holdfast/exec/job_idle.hpp"
#include "holdfast/exec/job_lane.hpp"
#include "holdfast/exec/job_level.hpp"
#include "holdfast/exec/job_metrics.hpp"
#include "holdfast/exec/job_options.hpp"
#include "holdfast/exec/job_slots.hpp"
#include "holdfast/exec/runnable.hpp"
#include "holdfast/queue/event_count.hpp"
#include "holdfast/time/clock.hpp"
#include "holdfast/time/deadline.hpp"

namespace holdfast {

struct job_scheduler_error {
  option_error option{};
  std::error_code system{};
  explicit operator bool() const noexcept { return static_cast<bool>(option) || static_cast<bool>(system); }
};

template <job_shape Shape = job_shape{}, clock_source Clock = steady_clock>
class job_scheduler {
  static_assert(!validate(Shape), "job_scheduler: this shape is none, see validate(job_shape)");
  using slots = job_slots<Shape.jobs, Shape.bytes>;
  using free_list = job_free_list<Shape.jobs>;
  using level = job_level<Shape>;
  static constexpr std::uint32_t none = free_list::none;

 public:
  static constexpr unsigned levels = Shape.levels;
  // So many jobs are accepted before one is refused for want of room; some more may be.
  static constexpr std::size_t capacity = free_list::capacity;
  static constexpr std::size_t taken_ahead = 16;
  static constexpr unsigned default_level = levels / 2;
  template <class F>
  static constexpr bool fits = slots::template fits<F>;

  explicit job_scheduler(const job_options& options = {}, const Clock& clock = own_clock)
      : options_(options), clock_(clock) {
    for (auto& one : levels_) one.emplace(clock_.now());
  }
  job_scheduler(const job_scheduler&) = delete;
  job_scheduler& operator=(const job_scheduler&) = delete;
  ~job_scheduler() { shut_down(); }

  [[nodiscard]] job_scheduler_error start() noexcept {
    if (const option_error wrong = validate(options_)) return {wrong, {}};
    HOLDFAST_ASSERT(workers_ == nullptr);
    workers_ = std::make_unique<worker[]>(options_.workers);
    for (unsigned i = 0; i < options_.workers; ++i) {
      workers_[i].of = this;
      workers_[i].number = i;
      workers_[i].until_turned.fill(options_.ageing);
      workers_[i].until_turn = std::max(options_.ageing, 1U);
      // Not all begin with the same level below the highest.
      workers_[i].turn = i % (levels - 1);
    }
    const std::error_code failed = threads_.start(1, options_.name, begin_work, &workers_[0]);
    std::error_code more = failed;
    for (unsigned i = 1; i < options_.workers && !more; ++i)
      more = threads_.start(1, options_.name, begin_work, &workers_[i]);
    if (more) stop_and_join();
    return {{}, more};
  }

  // ---- submitting

  template <class F>
  job_receipt try_submit(const job_order& order, F&& f) {
    return submit(order, std::forward<F>(f), deadline(time_point::min()));
  }
  template <class F>
  job_receipt try_submit(unsigned at_level, F&& f) {
    return try_submit(job_order{.level = at_level}, std::forward<F>(f));
  }
  template <class F>
  job_receipt submit_until(deadline until, const job_order& order, F&& f) {
    return submit(order, std::forward<F>(f), until);
  }
  template <class F>
  job_receipt submit_until(deadline until, unsigned at_level, F&& f) {
    return submit_until(until, job_order{.level = at_level}, std::forward<F>(f));
  }

  // An executor: at the level in the middle, or at one that is named.
  void post(runnable& what) noexcept { post(default_level, what); }
  void post(unsigned at_level, runnable& what) noexcept {
    HOLDFAST_ASSERT(at_level < levels);
    see(at_level, used_by_others_).posted.push(what);
    idle_.tell_of_any();
  }
  [[nodiscard]] job_executor<job_scheduler> on(unsigned at_level) noexcept { return {*this, at_level}; }

  cancel_answer cancel(job_handle job) noexcept {
    unsigned at = 0;
    return cancel_one(job, at);
  }

  // ---- the whole

  void pause() noexcept {
    paused_.store(true, mo::relaxed);  // hint: workers look at it before each pick
  }
  void resume() noexcept {
    paused_.store(false, mo::relaxed);  // hint: as above; who sleeps is told
    idle_.tell_all();
  }
  void close() noexcept {
    door_.close();
    room_.notify_all();
  }
  // While workers run. Submits from outside may still come unless it is closed: then it is a moment at which there was nothing.
  [[nodiscard]] bool drain_until(deadline until) noexcept {
    return over_.wait(until, [this] { return all_ended(); });
  }
  void drain() noexcept { static_cast<void>(drain_until(deadline::never())); }

  // Of those that wait at the call; those that are submitted meanwhile may be among them, or not.
  std::size_t cancel_all() noexcept {
    std::size_t cancelled = 0;
    const auto drop = [&](unsigned at, job_handle job) {
      if (slots_.claim(job)) {
        slots_.drop(job);
        ++cancelled;
        count(at_level(at).cancelled);
        tell({job, at, job_end::cancelled, {}});
        give(job.slot());
      } else {
        pass(job);
      }
    };
    for (unsigned at = 0; at < levels; ++at) {
      std::size_t most = Shape.jobs;
      std::uint32_t number = 0;
      for (; most != 0 && at_level(at).timely.pop(number); --most) drop(at, slots_.handle_of(number));
      std::uint64_t packed = 0;
      for (most = Shape.jobs; most != 0 && at_level(at).fifo.pop(std::span(&packed, 1)) != 0; --most) {
        drop(at, job_handle::unpacked(packed));
      }
    }
    // What workers have taken ahead, they come by.
    for (worker& one : workers()) {
      const auto cancel_it = [&](job_handle job) {
        unsigned at = 0;
        if (cancel_one(job, at) == cancel_answer::cancelled) {
          ++cancelled;
          tell({job, at, job_end::cancelled, {}});
        }
        return false;
      };
      static_cast<void>(one.lane.steal(cancel_it));
    }
    over_.notify_all();
    return cancelled;
  }

  // Closed, drained, and its workers joined; where it has not been started, what waits is cancelled. The owner's, and no job's.
  void shut_down() noexcept {
    close();
    if (threads_.size() == 0) {
      static_cast<void>(cancel_all());
      return;
    }
    resume();
    drain();
    stop_and_join();
  }

  // ---- observing

  [[nodiscard]] job_metrics metrics(unsigned of_level) const noexcept {
    const level& from = at_level(of_level);
    job_metrics m;
    m.refused = from.refused.load(mo::relaxed);      // counter: an observer's
    m.shed = from.shed.load(mo::relaxed);            // counter: as above
    m.cancelled = from.cancelled.load(mo::relaxed);  // counter: as above
    std::uint64_t begun = 0;
    for (const worker& one : workers()) {
      const job_counts& c = one.counts[of_level];
      m.run += c.run.load(mo::acquire);          // [JC1] acquire, pairs with [JC2]: it was submitted before
      m.failed += c.failed.load(mo::relaxed);    // counter: as above
      m.expired += c.expired.load(mo::relaxed);  // counter: as above
      m.resumed += c.resumed.load(mo::relaxed);  // counter: as above
      begun += c.begun.load(mo::relaxed);        // counter: as above
    }
    m.accepted = accepted(of_level);
    const std::uint64_t gone = std::max(begun, m.run) + m.cancelled + m.shed + m.expired;
    m.waiting = m.accepted > gone ? m.accepted - gone : 0;
    if constexpr (Shape.measured) {
      m.most_waiting = from.times.most.read();
      m.waited = from.times.waited.snapshot();
      m.ran = from.times.ran.snapshot();
    }
    return m;
  }
  [[nodiscard]] unsigned sleeping() const noexcept { return idle_.asleep(); }
  // Calls fn(worker, job, since) for each worker that was seen at the same job, or runnable, at an earlier call with this watch,
  // `longer` or more before `now`. The job is none for a runnable.
  template <class Function>
  void stalled(job_watch& watch, time_point now, duration longer, Function&& fn) const {
    for (const worker& one : workers()) {
      const std::uint64_t at = one.current.load(mo::relaxed);  // hint: an observer's
      const std::optional<time_point> since = watch.look(one.number, at, now);
      if (since && now - *since >= longer)
        fn(one.number, job_handle((at & runnable_mark) == runnable_mark ? 0 : at), *since);
    }
  }

 private:
  static constexpr std::uint64_t runnable_mark = 0xFFFF'FFFFU;
  static constexpr unsigned most_from_lane = 64;
  static constexpr unsigned spins = 4;
  static constexpr unsigned yields = 40;

  struct alignas(2 * cache_line_size) worker {
    job_scheduler* of = nullptr;
    unsigned number = 0;
    unsigned at = levels;       // the level of what it runs
    unsigned turn = 0;          // the next level to be served by ageing, less one
    unsigned until_turn = 1;    // picks until the next such one
    unsigned until_others = 0;  // times that it took ahead since it last looked at the others
    unsigned until_looks = 1;   // picks until it looks anew where the next jobs of all levels will be
    std::uint32_t apart = 1;    // pauses between looks, while it searches
    unsigned from_lane = 0;     // picks from its lane since the last from the ring beside it
    std::uint64_t resumes = 0;
    std::array<std::uint64_t, job_idle::most_workers> seen{};  // what others were at, at its last look
    std::array<unsigned, levels> until_turned{};  // others of a level until one of the last kind comes first
    std::array<std::uint64_t, taken_ahead> ahead{};
    std::array<typename job_ring<Shape.jobs>::next_place, levels> next{};
    job_lane<taken_ahead> lane;
    alignas(2 * cache_line_size) atomic<std::uint64_t> current{0};  // what it is at
    std::array<job_counts, levels> counts{};
  };
  // What a pick found.
  struct task {
    job_handle job{};
    runnable* resumes = nullptr;
    unsigned at = 0;
    bool claimed = false;
    bool timely = false;
  };

  [[nodiscard]] level& at_level(unsigned at) noexcept { return *levels_[at]; }
  [[nodiscard]] const level& at_level(unsigned at) const noexcept { return *levels_[at]; }
  // For one who puts something there.
  level& see(unsigned at, atomic<std::uint64_t>& used) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << at;
    // hint: workers look only where there ever was something; who may miss it here looks again, behind a fence, before he sleeps
    if ((used.load(mo::relaxed) & bit) == 0) [[unlikely]]
      used.fetch_or(bit, mo::relaxed);  // hint: the push behind it is seq_cst, for who looks after a search
    return at_level(at);
  }
  static void count(atomic<std::uint64_t>& one) noexcept {
    one.fetch_add(1, mo::release);  // [JC3] release, pairs with [JC4]: it was submitted before
  }
  void tell(const job_news& news) noexcept {
    if (options_.listener.tell != nullptr) options_.listener.tell(options_.listener.context, news);
  }

  // None before the start; they stay after their threads have ended, for what they have counted.
  [[nodiscard]] std::span<worker> workers() noexcept {
    return {workers_.get(), workers_ == nullptr ? 0 : options_.workers};
  }
  [[nodiscard]] std::span<const worker> workers() const noexcept {
    return {workers_.get(), workers_ == nullptr ? 0 : options_.workers};
  }

  // ---- submitting

  // Whoever comes in leaves; a job of this scheduler comes in when it is closed, too, for its worker is only joined after it.
  class visit {
   public:
    explicit visit(job_scheduler& to) noexcept
        : to_(to), inside_(to.door_.enter()), may_(inside_ || to.mine() != nullptr) {}
    visit(const visit&) = delete;
    visit& operator=(const visit&) = delete;
    ~visit() {
      if (inside_) to_.door_.leave();
    }
    explicit operator bool() const noexcept { return may_; }

   private:
    job_scheduler& to_;
    const bool inside_;
    const bool may_;
  };
  [[nodiscard]] worker* mine() const noexcept {
    worker* const me = here_;
    return me != nullptr && me->of == this ? me : nullptr;
  }
  // A slot that was taken, and goes back unless it is used.
  struct taken_slot {
    job_scheduler& from;
    std::uint32_t number;
    ~taken_slot() {
      if (number != none) from.give(number);
    }
  };

  template <class F>
  job_receipt submit(const job_order& order, F&& f, deadline until) {
    HOLDFAST_ASSERT(order.level < levels);
    job_receipt in = try_once(order, std::forward<F>(f));
    const auto answered = [&in] { return in.why == job_refusal::none || in.why == job_refusal::closed; };
    if (!answered() && until.at() != time_point::min()) [[unlikely]] {
      const auto look = [&] {
        // NOLINTNEXTLINE(bugprone-use-after-move): refused, it is as it was
        in = try_once(order, std::forward<F>(f));
        return answered();
      };
      for (;;) {
        const time_point now = steady_clock::now();
        if (room_.wait(until.tightened(now, std::chrono::milliseconds(1)), look) || until.passed(steady_clock::now()))
          break;
      }
    }
    if (!answered()) [[unlikely]]
      count(at_level(order.level).refused);
    return in;
  }
  template <class F>
  job_receipt try_once(const job_order& order, F&& f) {
    job_receipt in;
    {
      const visit inside(*this);
      if (!inside) return {{}, job_refusal::closed};
      level& to = see(order.level, order.until.is_never() ? used_ : used_by_others_);
      if (options_.most[order.level] != 0 && waiting_at(order.level) >= options_.most[order.level]) {
        return {{}, job_refusal::level_full};
      }
      std::uint32_t number = free_.take([this](std::uint32_t next) { slots_.prefetch(next); });
      if (number == none) [[unlikely]] {
        number = make_room(order.level);
        if (number == none) return {{}, job_refusal::full};
      }
      taken_slot taken{*this, number};
      // Before the job is there: it may be taken out of a lane, and then its slot's word alone shows what was written.
      if constexpr (Shape.measured) stamps_[number].set(clock_.now());
      if constexpr (Shape.deadlines) deadlines_[number].set(order.until.at());
      in.job = slots_.put(number, static_cast<std::uint8_t>(order.level), std::forward<F>(f));
      taken.number = none;
      if constexpr (Shape.deadlines) {
        if (!order.until.is_never()) {
          to.with_deadline.fetch_add(1, mo::relaxed);  // counter: before it can be run
          to.timely.insert(in.job, order.until.at());
          number = none;
        }
      } else {
        HOLDFAST_ASSERT(order.until.is_never());  // a shape with .deadlines = true is asked for
      }
      if (number != none) {
        if (put_in_my_lane(order.level, in.job)) {
          idle_.tell_of_any();
          return in;
        }
        to.fifo.push(in.job.packed());
      }
    }
    idle_.tell();
    return in;
  }
  bool put_in_my_lane(unsigned at, job_handle job) noexcept {
    if (!options_.local) return false;
    worker* const me = mine();
    if (me == nullptr || me->at != at || !me->lane.push(job, static_cast<std::uint8_t>(at))) return false;
    step(me->counts[at].local);
    return true;
  }

  // All slots are in use. Those of jobs that were cancelled, and have become the oldest of their level; then those of lower levels.
  std::uint32_t make_room(unsigned for_level) noexcept {
    for (unsigned at = levels; at-- != 0;) {
      level& from = at_level(at);
      for (unsigned tries = 0; tries < 8; ++tries) {
        const auto first = from.fifo.peek();
        if (!first.there) break;
        const bool sheds = at > for_level && options_.overload == job_overload::shed_lowest;
        const job_handle job = job_handle::unpacked(first.value);
        if (!sheds && !slots_.is_ended(job)) break;
        if (!from.fifo.pop_at(first)) continue;
        if (slots_.claim(job)) {
          slots_.drop(job);
          count(from.shed);
          tell({job, at, job_end::shed, {}});
          over_.notify_all();
          return job.slot();
        }
        if (slots_.passed(job)) return job.slot();
      }
    }
    return none;
  }

  cancel_answer cancel_one(job_handle job, unsigned& at) noexcept {
    bool mine = false;
    std::uint8_t of_level = 0;
    const cancel_answer answer = slots_.cancel(job, mine, &of_level);
    if (answer == cancel_answer::cancelled) {
      at = of_level;
      count(at_level(at).cancelled);
      over_.notify_all();
    }
    if (mine) give(job.slot());
    return answer;
  }
  void give(std::uint32_t number) noexcept {
    if (free_.give(number) && room_.awaited()) [[unlikely]]
      make_known();
  }
  // Somebody waits for room: not for a slot now and then, to be asleep again in a moment, but for many; or for when a worker has
  // nothing more to do; or for a millisecond, after which he looks by himself.
  [[gnu::noinline, gnu::cold]] void make_known() noexcept {
    if (!free_.scarce()) room_.notify_all();
  }
  // Its number has come by, and it could not be claimed.
  void pass(job_handle job) noexcept {
    if (slots_.passed(job)) give(job.slot());
  }

  // ---- a worker

  static void begin_work(void* which) noexcept {
    auto& me = *static_cast<worker*>(which);
    here_ = &me;
    me.of->work(me);
    here_ = nullptr;
  }

  void work(worker& me) noexcept {
    task next;
    for (bool searches = false;;) {
      next.resumes = nullptr;
      next.claimed = false;
      next.timely = false;
      if (pick(me, next)) {
        if (searches) {
          searches = false;
          idle_.end_search([this] { return anything_left(); });
        }
        carry_out(me, next);
        continue;
      }
      me.current.store(0, mo::relaxed);  // hint: an observer's
      look_anew(me);
      searches = searches || idle_.begin_search();
      if (searches && search(me)) continue;
      if (stopped_.load(mo::acquire)) break;  // [JS10] acquire, pairs with [JS11]: what was done before the end
      free_.empty_mine();
      if (room_.awaited()) room_.notify_all();
      over_.notify_all();
      searches = idle_.sleep(me.number, searches, [&] {
        return stopped_.load(mo::relaxed) || anything_for(me);  // hint: as anything_for
      });
    }
    free_.empty_mine();
  }

  // How far apart its looks are is learnt, as by event_count: who submits a stream is left alone for a moment.
  bool search(worker& me) noexcept {
    for (unsigned i = 0; i < spins; ++i) {
      cpu_relax();
      cpu_pause(me.apart - 1);
      const bool there = anything_for(me);
      if (i == 0) me.apart = there ? std::min(2 * me.apart, 32U) : std::max(me.apart / 2, 1U);
      if (there) return true;
    }
    for (unsigned i = 0; i < yields; ++i) {
      give_way();
      if (anything_for(me)) return true;
    }
    return false;
  }
  // Is there anything to take for this worker?
  [[nodiscard]] bool anything_for(worker& me) const noexcept {
    if (paused_.load(mo::relaxed)) return false;  // hint: resume() tells
    for (std::uint64_t left = all_used(); left != 0; left &= left - 1) {
      if (at_level(static_cast<unsigned>(std::countr_zero(left))).ready()) return true;
    }
    return lanes_hold_any(&me);
  }
  // After this worker has found something: is there more, or under way, for others?
  [[nodiscard]] bool anything_left() const noexcept {
    if (paused_.load(mo::relaxed)) return false;  // hint: as above
    for (std::uint64_t left = all_used(); left != 0; left &= left - 1) {
      if (at_level(static_cast<unsigned>(std::countr_zero(left))).any()) return true;
    }
    return lanes_hold_any(nullptr);
  }
  [[nodiscard]] std::uint64_t all_used() const noexcept {
    return used_.load(mo::relaxed) |
           used_by_others_.load(mo::relaxed);  // hint: who needs to be sure has a fence before it
  }
  [[nodiscard]] bool lanes_hold_any(const worker* but) const noexcept {
    for (const worker& other : workers()) {
      if (&other == but || !other.lane.holds_any()) continue;
      if (other.lane.any_of([this](job_handle job) { return slots_.waits(job); })) return true;
    }
    return false;
  }

  void look_anew(worker& me) noexcept {
    me.until_looks = 64;
    for (unsigned at = 0; at < levels; ++at) me.next[at].look_at(at_level(at).fifo);
  }
  [[nodiscard]] bool pick(worker& me, task& next) noexcept {
    if (--me.until_looks == 0) look_anew(me);
    if (paused_.load(mo::relaxed)) return false;                     // hint: a look before each pick
    const std::uint64_t used = used_.load(mo::relaxed);              // hint: see see()
    const std::uint64_t others = used_by_others_.load(mo::relaxed);  // hint: as above
    if (options_.ageing != 0 && --me.until_turn == 0) {
      me.until_turn = options_.ageing;
      for (unsigned i = 1; i < levels; ++i) {
        const unsigned at = 1 + me.turn;
        me.turn = me.turn + 1 == levels - 1 ? 0 : me.turn + 1;
        if (((used | others) >> at & 1U) != 0 && take(me, at, (others >> at & 1U) != 0, false, next)) return true;
      }
    }
    if (others == 0) [[likely]] {
      // What others have put above the level of the lane, or anywhere; then the lane.
      const bool has_lane = !me.lane.empty();
      const std::uint64_t first = has_lane ? used & ((std::uint64_t{1} << me.lane.level()) - 1) : used;
      for (std::uint64_t left = first; left != 0; left &= left - 1) {
        const auto at = static_cast<unsigned>(std::countr_zero(left));
        if (me.next[at].is_empty()) [[likely]]
          continue;
        next.at = at;
        if (take_from_ring(me, at, true, next)) return true;
      }
      if (has_lane) {
        next.at = me.lane.level();
        return take_from_lane(me, next.at, next);
      }
    } else {
      for (std::uint64_t left = used | others; left != 0; left &= left - 1) {
        const auto at = static_cast<unsigned>(std::countr_zero(left));
        if (take(me, at, (others >> at & 1U) != 0, true, next)) return true;
      }
    }
    return steal(me, next, true);
  }

  // One of the level; with `ahead`, more of them into the lane, if that is empty.
  bool take(worker& me, unsigned at, bool has_others, bool ahead, task& next) noexcept {
    const bool in_lane = !me.lane.empty() && me.lane.level() == at;
    if (!in_lane && !has_others && me.next[at].is_empty()) [[likely]]
      return false;
    return take_from(me, at, in_lane, has_others, ahead, next);
  }
  bool take_from(worker& me, unsigned at, bool in_lane, bool has_others, bool ahead, task& next) noexcept {
    next.at = at;
    if (!has_others) return take_first_come(me, at, in_lane, ahead, next);
    const bool turned = options_.ageing != 0 && me.until_turned[at] == 0;
    if (turned && take_first_come(me, at, in_lane, ahead, next)) {
      me.until_turned[at] = options_.ageing;
      return true;
    }
    if (take_other(at, next)) {
      if (!turned) --me.until_turned[at];
      return true;
    }
    return !turned && take_first_come(me, at, in_lane, ahead, next);
  }
  bool take_other(unsigned at, task& next) noexcept {
    level& from = at_level(at);
    if constexpr (Shape.deadlines) {
      std::uint32_t number = 0;
      if (from.timely.pop(number)) {
        next.job = slots_.handle_of(number);
        next.timely = true;
        return true;
      }
    }
    next.resumes = from.posted.pop();
    if (next.resumes == nullptr) return false;
    // What is left of the list, others may have found taken.
    if (from.posted.ready()) idle_.tell_of_any();
    return true;
  }
  bool take_first_come(worker& me, unsigned at, bool in_lane, bool ahead, task& next) noexcept {
    return in_lane ? take_from_lane(me, at, next) : take_from_ring(me, at, ahead, next);
  }
  // Every so often one that others have submitted, as jobs that submit each other may keep a lane from being empty.
  bool take_from_lane(worker& me, unsigned at, task& next) noexcept {
    if (options_.local && ++me.from_lane >= most_from_lane) {
      me.from_lane = 0;
      if (take_from_ring(me, at, false, next)) return true;
    }
    return me.lane.pop(next.job);
  }
  bool take_from_ring(worker& me, unsigned at, bool ahead, task& next) noexcept {
    level& from = at_level(at);
    me.next[at].look_at(from.fifo);
    if (!from.fifo.ready()) return false;
    ahead = ahead && me.lane.empty();
    if (ahead && ++me.until_others >= 4) {
      me.until_others = 0;
      if (steal(me, next, false)) return true;
    }
    if constexpr (Shape.measured) from.times.most.raise(from.fifo.size_approx());
    const std::size_t count = from.fifo.pop(std::span(me.ahead).first(ahead ? taken_ahead : 1));
    if (count == 0) return false;
    next.job = job_handle::unpacked(me.ahead[0]);
    if (count > 1) {
      for (std::size_t i = 0; i < count; ++i) slots_.prefetch(job_handle::unpacked(me.ahead[i]).slot());
      me.lane.refill(std::span(me.ahead).subspan(1, count - 1), static_cast<std::uint8_t>(at));
      idle_.tell_of_any();  // they are out of the ring, where a sleeper's last look may have missed them
    }
    return true;
  }
  // From the lane of a worker that is still at what it was at when this one last looked; `now`: or looks twice.
  bool steal(worker& me, task& next, bool now) noexcept {
    for (worker& other : workers()) {
      if (&other == &me || !other.lane.holds_any()) continue;
      const std::uint64_t at = other.current.load(mo::relaxed);  // hint: which job it is
      if (std::exchange(me.seen[other.number], at) != at && !now) continue;
      next.job = other.lane.steal([this](job_handle job) { return slots_.claim(job); });
      if (!next.job) continue;
      next.at = slots_.level_of(next.job.slot());
      next.claimed = true;
      return true;
    }
    return false;
  }

  void carry_out(worker& me, task& next) noexcept {
    me.at = next.at;
    if (next.resumes != nullptr) {
      me.current.store(++me.resumes << 32U | runnable_mark, mo::relaxed);  // hint: an observer's
      next.resumes->run();
      step(me.counts[next.at].resumed);
      return;
    }
    me.current.store(next.job.word(), mo::relaxed);  // hint: an observer's, and thieves'
    if (!next.claimed && !slots_.claim(next.job)) {
      pass(next.job);
      return;
    }
    job_counts& counts = me.counts[next.at];
    if constexpr (Shape.deadlines) {
      if (next.timely && !options_.run_late && deadlines_[next.job.slot()].get() <= clock_.now()) {
        slots_.drop(next.job);
        step(counts.expired);
        tell({next.job, next.at, job_end::expired, {}});
        give(next.job.slot());
        return;
      }
    }
    step(counts.begun);
    time_point begun{};
    if constexpr (Shape.measured) {
      begun = clock_.now();
      at_level(next.at).times.waited.record(begun - stamps_[next.job.slot()].get());
    }
    error why;
    const bool well = slots_.run(next.job, why);
    if constexpr (Shape.measured) at_level(next.at).times.ran.record(clock_.now() - begun);
    if (!well) [[unlikely]] {
      step(counts.failed);
      tell({next.job, next.at, job_end::failed, why});
    }
    step(counts.run);
    give(next.job.slot());
  }

  // ---- counting

  static void step(atomic<std::uint64_t>& one) noexcept {
    one.store(one.load(mo::relaxed) + 1,
              mo::release);  // own: its worker's alone; [JC2] release, pairs with [JC1]: as there
  }
  [[nodiscard]] std::uint64_t accepted(unsigned at) const noexcept {
    const level& to = at_level(at);
    std::uint64_t all = to.fifo.pushed() + to.with_deadline.load(mo::relaxed);          // counter: see all_ended
    for (const worker& one : workers()) all += one.counts[at].local.load(mo::relaxed);  // counter: as above
    return all;
  }
  [[nodiscard]] std::uint64_t waiting_at(unsigned at) const noexcept {
    const level& from = at_level(at);
    std::uint64_t gone =
        from.cancelled.load(mo::relaxed) + from.shed.load(mo::relaxed);  // counter: as far as it is known
    for (const worker& one : workers()) {
      const job_counts& c = one.counts[at];
      gone += c.begun.load(mo::relaxed) + c.expired.load(mo::relaxed);  // counter: as above
    }
    const std::uint64_t came = accepted(at);
    return came > gone ? came - gone : 0;
  }
  // Those that have ended are counted first: where as many have come by then, there was nothing at that moment, for nothing ends
  // that has not come before.
  [[nodiscard]] bool all_ended() const noexcept {
    std::uint64_t ended = 0;
    for (unsigned at = 0; at < levels; ++at) {
      // [JC4] acquire, pairs with [JC3]: what has ended was submitted before
      ended += at_level(at).cancelled.load(mo::acquire) + at_level(at).shed.load(mo::acquire);
      for (const worker& one : workers()) {
        const job_counts& c = one.counts[at];
        // [JC5] acquire, pairs with [JC2]: as above, and what it submitted itself
        ended += c.run.load(mo::acquire) + c.expired.load(mo::acquire) + c.resumed.load(mo::acquire);
      }
    }
    std::uint64_t came = 0;
    for (unsigned at = 0; at < levels; ++at) came += accepted(at) + at_level(at).posted.posts();
    return came == ended;
  }

  void stop_and_join() noexcept {
    stopped_.store(true, mo::release);  // [JS11] release, pairs with [JS10]: as there
    idle_.tell_all();
    threads_.join();
  }

  static inline const Clock own_clock{};
  static inline constinit thread_local worker* here_ = nullptr;

  const job_options options_;
  const Clock& clock_;
  slots slots_;
  free_list free_;
  std::array<std::optional<level>, levels> levels_{};
  job_idle idle_;
  job_door door_;
  event_count room_;                 // a slot is free
  event_count over_{sleep_at_once};  // something has ended
  // Levels that a job, and something else, was ever put into.
  alignas(cache_line_size) atomic<std::uint64_t> used_{0};
  atomic<std::uint64_t> used_by_others_{0};
  atomic<bool> paused_{false};
  atomic<bool> stopped_{false};
  std::unique_ptr<worker[]> workers_;
  crew threads_;
  // When a job came, and its deadline, by its slot.
  struct nothing {};
  [[no_unique_address]] std::conditional_t<Shape.measured, std::array<plain<time_point>, Shape.jobs>, nothing>
      stamps_{};
  [[no_unique_address]] std::conditional_t<Shape.deadlines, std::array<plain<time_point>, Shape.jobs>, nothing>
      deadlines_{};
};

}  // namespace holdfast
