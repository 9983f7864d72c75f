// SPDX-License-Identifier: MIT
// Timers of one thread in virtual time.
//
//   holdfast               timer_wheel, with a number as its value; idle_reset puts off with extend
//   holdfast_rescheduled   the same, but puts off with reschedule
//   holdfast_1us           the same with a tick of 1 us
//   holdfast_heap          timer_heap, a pairing heap of intrusive timers, for which a hundred thousand are too many
//   boost_asio             the heap of Boost.Asio's timers (detail::timer_queue) with its wait operations, without its mutex
//   libuv                  uv_timer_t in its heap, the loop's time set by hand
//   heap_4ary              a dense 4-ary heap that knows where each timer lies
//   std_priority_queue     with a number of each setting: a cancelled timer stays in it until it is its turn, so it is not in
//                          idle_reset, where the queue would grow without an end that a sample sees
//   std_multimap           with iterators for handles
//
// A millisecond here is 2^20 ns: a tick of the wheel and of libuv, so that nobody pays for a division. Time moves on by one of them
// for each call of advance. A timer that fires costs every contender one call that the compiler cannot see through. Times have
// nanoseconds; libuv rounds them up.
//
// The wheels that are no packages (ratas, timeout.c, folly's) are not here.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <memory_resource>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/time/timer_heap.hpp"
#include "holdfast/time/timer_wheel.hpp"

#include "support/bench.hpp"
#include "support/heap_4ary.hpp"

// The peers' code is held to its own warnings, not to ours.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#if __has_include(<boost/asio/detail/timer_queue.hpp>)
#define HAS_ASIO 1
#include <boost/asio/detail/chrono_time_traits.hpp>
#include <boost/asio/detail/timer_queue.hpp>
#include <boost/asio/detail/wait_op.hpp>
#include <boost/asio/wait_traits.hpp>
#else
#define HAS_ASIO 0
#endif
#if HAS_LIBUV
#include <uv.h>
// Not in its header: what uv_run() does with timers, after it has read the clock.
extern "C" void uv__run_timers(uv_loop_t*);  // NOLINT(bugprone-reserved-identifier)
#endif
#pragma GCC diagnostic pop

namespace {

namespace bench = holdfast::bench;
using holdfast::duration;
using holdfast::splitmix64;
using holdfast::time_point;

constexpr std::int64_t ms = std::int64_t{1} << 20U;
constexpr std::size_t no_limit = ~std::size_t{0};

time_point at(std::int64_t ns) {
  return time_point(duration(ns));
}
std::int64_t ns_of(time_point time) {
  return time.time_since_epoch().count();
}

// ---- the contenders
//
// Of a Work: it has a member fired(contender, object).
//
//   handle set(object, due)        a timer that is not set
//   void again(object, due)        the one that fires, in its fired()
//   void cancel(handle)            one that is set
//   void put_off(handle&, due)     one that is set, to a later time
//   bool advance(now, most)        fires what is due; true: `most` were fired or moved, and more are due. Some cannot stop there.
//   std::int64_t next()            when to call advance again

template <class Contender>
void call_fired(Contender& contender, std::uint32_t object) {
  contender.work.fired(contender, object);
}
template <class Contender>
class callback {
 public:
  void operator()(Contender& contender, std::uint32_t object) const { call_(contender, object); }

 private:
  using call = void (*)(Contender&, std::uint32_t);
  static call hidden() {
    call volatile to = call_fired<Contender>;
    return to;
  }
  call call_ = hidden();
};

// Touched as a whole before it is measured, as the arrays of the others are.
class touched_memory final : public std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* const memory = std::pmr::new_delete_resource()->allocate(bytes, alignment);
    std::fill_n(static_cast<std::byte*>(memory), bytes, std::byte{1});
    return memory;
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};
touched_memory memory;

template <class Work, std::int64_t Tick, bool Extends>
struct wheel_of {
  using handle = holdfast::timer_id;
  Work& work;
  holdfast::timer_wheel<std::uint64_t> wheel;
  callback<wheel_of> fired{};
  handle firing{};
  wheel_of(std::size_t objects, Work& of)
      : work(of), wheel({.capacity = objects, .tick = duration(Tick)}, at(0), &memory) {}
  handle set(std::uint32_t object, std::int64_t due) { return wheel.schedule(at(due), object); }
  void again(std::uint32_t, std::int64_t due) { wheel.reschedule(firing, at(due)); }
  void cancel(handle timer) { wheel.cancel(timer); }
  void put_off(handle& timer, std::int64_t due) {
    if constexpr (Extends) {
      wheel.extend(timer, at(due));
    } else {
      wheel.reschedule(timer, at(due));
    }
  }
  bool advance(std::int64_t now, std::size_t most) {
    const auto fire = [this](holdfast::expired_timer<std::uint64_t>& timer) {
      firing = timer.id;
      fired(*this, static_cast<std::uint32_t>(timer.what));
    };
    return wheel.advance(at(now), most, fire).more;
  }
  [[nodiscard]] std::int64_t next() const { return ns_of(wheel.next_expiry()); }
};
template <class Work>
using wheel = wheel_of<Work, ms, true>;
template <class Work>
using wheel_rescheduled = wheel_of<Work, ms, false>;
template <class Work>
using wheel_1us = wheel_of<Work, 1024, true>;

template <class Work>
struct heap {
  using handle = std::uint32_t;
  struct one final : holdfast::timer {
    one() : timer([](timer& self) noexcept { static_cast<one&>(self).fire(); }) {}
    void fire() { of->work.fired(*of, static_cast<std::uint32_t>(this - of->timers.data())); }
    heap* of = nullptr;
  };
  Work& work;
  holdfast::timer_heap timer_heap{};
  std::vector<one> timers;
  heap(std::size_t objects, Work& with) : work(with), timers(objects) {
    for (one& timer : timers) timer.of = this;
  }
  heap(const heap&) = delete;
  heap& operator=(const heap&) = delete;
  ~heap() {
    for (one& timer : timers) timer_heap.remove(timer);
  }
  handle set(std::uint32_t object, std::int64_t due) {
    timer_heap.insert(timers[object], at(due));
    return object;
  }
  void again(std::uint32_t object, std::int64_t due) { set(object, due); }
  void cancel(handle timer) { timer_heap.remove(timers[timer]); }
  void put_off(handle timer, std::int64_t due) {
    cancel(timer);
    set(timer, due);
  }
  bool advance(std::int64_t now, std::size_t) {
    timer_heap.run_due(at(now));
    return false;
  }
  [[nodiscard]] std::int64_t next() const { return ns_of(timer_heap.next()); }
};

template <class Work>
struct four_ary {
  using handle = std::uint32_t;
  Work& work;
  bench::heap_4ary timers;
  callback<four_ary> fired{};
  four_ary(std::size_t objects, Work& of) : work(of), timers(objects) {}
  handle set(std::uint32_t object, std::int64_t due) {
    timers.insert(object, due);
    return object;
  }
  void again(std::uint32_t object, std::int64_t due) { set(object, due); }
  void cancel(handle timer) { timers.remove(timer); }
  void put_off(handle timer, std::int64_t due) { timers.move(timer, due); }
  bool advance(std::int64_t now, std::size_t most) {
    while (!timers.empty() && timers.first_due() <= now) {
      if (most-- == 0) return true;
      const std::uint32_t first = timers.first();
      timers.remove(first);
      fired(*this, first);
    }
    return false;
  }
  [[nodiscard]] std::int64_t next() const { return timers.first_due(); }
};

template <class Work>
struct priority_queue {
  using handle = std::uint32_t;
  struct entry {
    std::int64_t due;
    std::uint32_t object;
    std::uint32_t setting;
    bool operator<(const entry& other) const { return due > other.due; }
  };
  Work& work;
  std::priority_queue<entry> queue{};
  std::vector<std::uint32_t> settings;
  callback<priority_queue> fired{};
  priority_queue(std::size_t objects, Work& of) : work(of), settings(objects) {
    std::vector<entry> room;
    room.reserve(objects);
    queue = std::priority_queue<entry>(std::less<entry>{}, std::move(room));
  }
  handle set(std::uint32_t object, std::int64_t due) {
    queue.push({due, object, settings[object]});
    return object;
  }
  void again(std::uint32_t object, std::int64_t due) { set(object, due); }
  void cancel(handle timer) { ++settings[timer]; }
  void put_off(handle timer, std::int64_t due) {
    cancel(timer);
    set(timer, due);
  }
  bool advance(std::int64_t now, std::size_t most) {
    while (!queue.empty() && queue.top().due <= now) {
      if (most-- == 0) return true;
      const entry first = queue.top();
      queue.pop();
      if (settings[first.object] != first.setting) continue;
      ++settings[first.object];
      fired(*this, first.object);
    }
    return false;
  }
  [[nodiscard]] std::int64_t next() const { return queue.top().due; }
};

template <class Work>
struct multimap {
  using map = std::multimap<std::int64_t, std::uint32_t>;
  using handle = map::iterator;
  Work& work;
  map timers{};
  callback<multimap> fired{};
  multimap(std::size_t, Work& of) : work(of) {}
  handle set(std::uint32_t object, std::int64_t due) { return timers.emplace(due, object); }
  void again(std::uint32_t object, std::int64_t due) { set(object, due); }
  void cancel(handle timer) { timers.erase(timer); }
  void put_off(handle& timer, std::int64_t due) {
    auto node = timers.extract(timer);
    node.key() = due;
    timer = timers.insert(std::move(node));
  }
  bool advance(std::int64_t now, std::size_t most) {
    while (!timers.empty() && timers.begin()->first <= now) {
      if (most-- == 0) return true;
      const std::uint32_t first = timers.begin()->second;
      timers.erase(timers.begin());
      fired(*this, first);
    }
    return false;
  }
  [[nodiscard]] std::int64_t next() const { return timers.begin()->first; }
};

#if HAS_ASIO
// The time that Asio asks for.
struct virtual_clock {
  using duration = holdfast::duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = holdfast::time_point;
  [[maybe_unused]] static constexpr bool is_steady = true;
  static inline time_point time{};
  static time_point now() { return time; }
};

template <class Work>
struct asio {
  using handle = std::uint32_t;
  using traits = boost::asio::detail::chrono_time_traits<virtual_clock, boost::asio::wait_traits<virtual_clock>>;
  using timers_of_asio = boost::asio::detail::timer_queue<traits>;
  struct one final : boost::asio::detail::wait_op {
    one() : wait_op(complete_one) {}
    static void complete_one(void* owner, boost::asio::detail::operation* base, const boost::system::error_code& why,
                             std::size_t) {
      if (owner == nullptr || why) return;
      asio& of = *static_cast<asio*>(owner);
      of.work.fired(of, static_cast<std::uint32_t>(static_cast<one*>(base) - of.timers.data()));
    }
    typename timers_of_asio::per_timer_data data{};
  };
  Work& work;
  std::vector<one> timers;
  timers_of_asio queue{};
  asio(std::size_t objects, Work& of) : work(of), timers(objects) { virtual_clock::time = at(0); }
  asio(const asio&) = delete;
  asio& operator=(const asio&) = delete;
  ~asio() {
    boost::asio::detail::op_queue<boost::asio::detail::operation> left;
    queue.get_all_timers(left);
    complete(left, nullptr);
  }
  handle set(std::uint32_t object, std::int64_t due) {
    queue.enqueue_timer(at(due), timers[object].data, &timers[object]);
    return object;
  }
  void again(std::uint32_t object, std::int64_t due) { set(object, due); }
  void cancel(handle timer) {
    boost::asio::detail::op_queue<boost::asio::detail::operation> cancelled;
    queue.cancel_timer(timers[timer].data, cancelled);
    complete(cancelled, this);
  }
  void put_off(handle timer, std::int64_t due) {
    cancel(timer);
    set(timer, due);
  }
  bool advance(std::int64_t now, std::size_t) {
    virtual_clock::time = at(now);
    boost::asio::detail::op_queue<boost::asio::detail::operation> ready;
    queue.get_ready_timers(ready);
    complete(ready, this);
    return false;
  }
  [[nodiscard]] std::int64_t next() const {
    return ns_of(virtual_clock::time) + 1000 * std::int64_t{queue.wait_duration_usec(1'000'000'000)};
  }
  static void complete(boost::asio::detail::op_queue<boost::asio::detail::operation>& operations, asio* owner) {
    while (boost::asio::detail::operation* const operation = operations.front()) {
      operations.pop();
      operation->complete(owner, boost::system::error_code(static_cast<one*>(operation)->ec_), 0);
    }
  }
};
#endif

#if HAS_LIBUV
template <class Work>
struct libuv {
  using handle = std::uint32_t;
  Work& work;
  uv_loop_t loop{};
  std::vector<uv_timer_t> timers;
  libuv(std::size_t objects, Work& of) : work(of), timers(objects) {
    uv_loop_init(&loop);
    loop.time = 0;
    loop.data = this;
    for (uv_timer_t& timer : timers) uv_timer_init(&loop, &timer);
  }
  libuv(const libuv&) = delete;
  libuv& operator=(const libuv&) = delete;
  ~libuv() {
    for (uv_timer_t& timer : timers) uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
  }
  static void expired(uv_timer_t* timer) {
    libuv& of = *static_cast<libuv*>(timer->loop->data);
    of.work.fired(of, static_cast<std::uint32_t>(timer - of.timers.data()));
  }
  handle set(std::uint32_t object, std::int64_t due) {
    const auto when = static_cast<std::uint64_t>((due + ms - 1) / ms);
    uv_timer_start(&timers[object], expired, when - std::min(when, loop.time), 0);
    return object;
  }
  void again(std::uint32_t object, std::int64_t due) { set(object, due); }
  void cancel(handle timer) { uv_timer_stop(&timers[timer]); }
  void put_off(handle timer, std::int64_t due) { set(timer, due); }
  bool advance(std::int64_t now, std::size_t) {
    loop.time = static_cast<std::uint64_t>(now / ms);
    uv__run_timers(&loop);
    return false;
  }
  [[nodiscard]] std::int64_t next() const {
    return ns_of(at(static_cast<std::int64_t>(loop.time) + uv_backend_timeout(&loop)));
  }
};
#endif

// ---- the workloads

// From `least` ms to `most` ms.
std::int64_t some_time(splitmix64& random, std::int64_t least, std::int64_t most) {
  return least * ms +
         static_cast<std::int64_t>(holdfast::uniform_up_to(random, static_cast<std::uint64_t>((most - least) * ms)));
}
std::size_t million() {
  return bench::only_a_trial() ? 10'000 : 1'000'000;
}

struct counted {
  std::uint64_t fires = 0;
  template <class Contender>
  void fired(Contender&, std::uint32_t) {
    ++fires;
  }
};

// What a row needs before it is measured, kept while the same row is called again for more iterations.
class kept_base {
 public:
  kept_base() = default;
  kept_base(const kept_base&) = delete;
  kept_base& operator=(const kept_base&) = delete;
  virtual ~kept_base() = default;
};
std::unique_ptr<kept_base> kept;

template <class Row, class Contender, class Work>
struct prepared : kept_base {
  Work work{};
  Contender contender;
  splitmix64 random{7};
  std::int64_t now = 0;  // ms
  explicit prepared(std::size_t objects) : contender(objects, work) {}

  static Row& get() {
    if (auto* const mine = dynamic_cast<Row*>(kept.get()); mine != nullptr) return *mine;
    kept.reset();
    auto made = std::make_unique<Row>();
    Row& row = *made;
    kept = std::move(made);
    return row;
  }
};

// A million timers are set, and all fire.
template <template <class> class Contender>
void fire_1m(benchmark::State& state) {
  kept.reset();
  const std::size_t count = million();
  std::vector<std::int64_t> due(count);
  splitmix64 random(1);
  for (std::int64_t& one : due) one = some_time(random, 1, 60'000);
  counted work;
  std::uint64_t expected = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto contender = std::make_unique<Contender<counted>>(count, work);
    state.ResumeTiming();
    for (std::uint32_t i = 0; i < count; ++i) contender->set(i, due[i]);
    for (std::int64_t now = 1; now <= 60'001; ++now) contender->advance(now * ms, no_limit);
    expected += count;
    state.PauseTiming();
    contender.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(expected));
  if (work.fires != expected) bench::fail(state, "not every timer fired once");
}

// Tasks that always fail: eight attempts, between them a random time up to a limit that begins with 10 ms and doubles up to 10 s;
// then they begin again. They are met at rest: each in the middle of some wait, more likely of a long one.
struct attempts {
  static constexpr unsigned most = 8;
  std::int64_t now = 0;
  std::uint64_t fires = 0;
  splitmix64 random{3};
  std::vector<std::uint8_t> made = std::vector<std::uint8_t>(million());
  static std::int64_t limit(unsigned attempt) { return std::min<std::int64_t>(std::int64_t{10} << attempt, 10'000); }
  template <class Contender>
  void fired(Contender& contender, std::uint32_t object) {
    ++fires;
    std::uint8_t& attempt = made[object];
    if (++attempt == most) attempt = 0;
    contender.again(object, now + some_time(random, 0, limit(attempt)));
  }
};
template <template <class> class Contender>
struct retrying : prepared<retrying<Contender>, Contender<attempts>, attempts> {
  retrying() : prepared<retrying<Contender>, Contender<attempts>, attempts>(million()) {
    std::int64_t all = 0;
    for (unsigned i = 0; i < attempts::most; ++i) all += attempts::limit(i);
    for (std::uint32_t i = 0; i < million(); ++i) {
      std::int64_t part = some_time(this->random, 0, all) / ms;
      unsigned attempt = 0;
      while (attempt < attempts::most - 1 && part >= attempts::limit(attempt)) part -= attempts::limit(attempt++);
      this->work.made[i] = static_cast<std::uint8_t>(attempt);
      const std::int64_t limit = attempts::limit(attempt);
      const std::int64_t wait = std::max(some_time(this->random, 0, limit), some_time(this->random, 0, limit));
      this->contender.set(i, some_time(this->random, 0, wait / ms + 1));
    }
  }
};
// Timers that are set again when they fire, for 1 to 1000 ms.
struct rearmed {
  std::int64_t now = 0;
  std::uint64_t fires = 0;
  splitmix64 random{5};
  template <class Contender>
  void fired(Contender& contender, std::uint32_t object) {
    ++fires;
    contender.again(object, now + some_time(random, 1, 1000));
  }
};
template <template <class> class Contender, std::size_t Count>
struct churning : prepared<churning<Contender, Count>, Contender<rearmed>, rearmed> {
  churning() : prepared<churning<Contender, Count>, Contender<rearmed>, rearmed>(std::min(Count, million())) {
    for (std::uint32_t i = 0; i < std::min(Count, million()); ++i) {
      const std::int64_t wait = std::max(some_time(this->random, 1, 1000), some_time(this->random, 1, 1000));
      this->contender.set(i, some_time(this->random, 0, wait / ms + 1));
    }
  }
};
template <class Row>
void fire_and_set_again(benchmark::State& state) {
  Row& row = Row::get();
  const std::uint64_t before = row.work.fires;
  for (auto _ : state) {
    row.work.now = ++row.now * ms;
    row.contender.advance(row.work.now, no_limit);
  }
  const std::uint64_t fires = row.work.fires - before;
  state.SetItemsProcessed(static_cast<std::int64_t>(fires));
  if (row.now > 2000 && row.work.fires == 0) bench::fail(state, "no timer fired");
}

// Calls with a timeout of 1 to 30 s, 100 a ms. Of a hundred 99 return after 10,000 later ones: their timers are cancelled. A call's
// object is the one that was given back last. Who cancels has the handle at hand.
struct calls {
  std::vector<std::uint32_t> free;
  std::uint64_t fires = 0;
  template <class Contender>
  void fired(Contender&, std::uint32_t object) {
    ++fires;
    free.push_back(object);
  }
};
template <template <class> class Contender>
struct calling : prepared<calling<Contender>, Contender<calls>, calls> {
  static constexpr std::size_t objects = 65'536;
  static constexpr std::size_t in_flight = 10'000;
  static constexpr std::uint32_t nobody = ~std::uint32_t{0};
  using handle = typename Contender<calls>::handle;
  struct kind {
    std::int64_t timeout;
    bool returns;
  };
  struct call {
    std::uint32_t object = nobody;
    handle timeout{};
  };
  std::vector<call> returning = std::vector<call>(in_flight);
  std::vector<kind> kinds = std::vector<kind>(4096);  // few, so that they take no cache from the contenders
  std::size_t number = 0;
  std::size_t oldest = 0;
  std::uint64_t made = 0;
  std::uint64_t cancelled = 0;

  calling() : prepared<calling<Contender>, Contender<calls>, calls>(objects) {
    for (std::uint32_t i = objects; i > 0; --i) this->work.free.push_back(i - 1);
    for (kind& one : kinds)
      one = {some_time(this->random, 1000, 30'000), holdfast::uniform_up_to(this->random, 99) != 0};
    // What is left of the calls that never return, and then ten seconds of all.
    for (std::int64_t ago = 30'000; ago > 0; --ago) {
      const std::int64_t left = some_time(this->random, 1000, 30'000) - ago * ms;
      if (left > 0) make(left);
    }
    for (int i = 0; i < (bench::only_a_trial() ? 200 : 10'000); ++i) run();
  }
  call make(std::int64_t timeout) {
    const std::uint32_t object = this->work.free.back();
    this->work.free.pop_back();
    ++made;
    return {object, this->contender.set(object, this->now * ms + timeout)};
  }
  void run() {
    for (int i = 0; i < 100; ++i) {
      const kind& one = kinds[number++ % 4096];
      const call begun = make(one.timeout);
      const call ends = std::exchange(returning[oldest], one.returns ? begun : call{});
      if (++oldest == in_flight) oldest = 0;
      if (ends.object == nobody) continue;
      this->contender.cancel(ends.timeout);
      this->work.free.push_back(ends.object);
      ++cancelled;
    }
    this->contender.advance(++this->now * ms, no_limit);
  }
};
template <template <class> class Contender>
void rpc_hot(benchmark::State& state) {
  calling<Contender>& row = calling<Contender>::get();
  for (auto _ : state) row.run();
  state.SetItemsProcessed(state.iterations() * 100);
  if (row.made != row.cancelled + row.work.fires + calling<Contender>::objects - row.work.free.size())
    bench::fail(state, "a timer was lost, or fired after it was cancelled");
}

// A million are set, 99 of a hundred are cancelled in random order, the others fire. Who cancels has the handle at hand.
template <template <class> class Contender>
void cancel_cold(benchmark::State& state) {
  kept.reset();
  const std::size_t count = million();
  std::vector<std::int64_t> due(count);
  splitmix64 random(2);
  for (std::int64_t& one : due) one = some_time(random, 1, 60'000);
  std::vector<typename Contender<counted>::handle> handles(count);
  counted work;
  std::uint64_t expected = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto contender = std::make_unique<Contender<counted>>(count, work);
    state.ResumeTiming();
    for (std::uint32_t i = 0; i < count; ++i) handles[i] = contender->set(i, due[i]);
    state.PauseTiming();
    for (std::size_t i = count; i > 1; --i) std::swap(handles[i - 1], handles[holdfast::uniform_up_to(random, i - 1)]);
    state.ResumeTiming();
    for (std::size_t i = count / 100; i < count; ++i) contender->cancel(handles[i]);
    for (std::int64_t now = 1; now <= 60'001; ++now) contender->advance(now * ms, no_limit);
    expected += count / 100;
    state.PauseTiming();
    contender.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(count));
  if (work.fires != expected) bench::fail(state, "a cancelled timer fired, or another one did not");
}

// Connections that are closed when they were idle for 30 s, and of which a random one is used: 1000 uses a ms.
template <template <class> class Contender>
struct idling : prepared<idling<Contender>, Contender<counted>, counted> {
  static constexpr std::uint32_t connections = 100'000;
  std::vector<typename Contender<counted>::handle> handles{};
  idling() : prepared<idling<Contender>, Contender<counted>, counted>(connections) {
    for (std::uint32_t i = 0; i < connections; ++i)
      handles.push_back(this->contender.set(i, some_time(this->random, 29'900, 30'000)));
  }
};
template <template <class> class Contender>
void idle_reset(benchmark::State& state) {
  using row_type = idling<Contender>;
  row_type& row = row_type::get();
  for (auto _ : state) {
    for (int i = 0; i < 1000; ++i) {
      row.contender.put_off(row.handles[holdfast::uniform_up_to(row.random, row_type::connections - 1)],
                            (row.now + 30'000) * ms);
    }
    row.contender.advance(++row.now * ms, no_limit);
  }
  state.SetItemsProcessed(state.iterations() * 1000);
  // Each is used ten times in a second: that one rests for thirty is a chance of 10^-130.
  if (row.work.fires != 0) bench::fail(state, "a connection that was in use was closed");
}

// A million are due at once, or come to a lower level at once; a call may touch a thousand. The longest call.
template <template <class> class Contender, bool OneTick>
void worst_call(benchmark::State& state) {
  kept.reset();
  const std::size_t count = million();
  // In an upper slot all are due in its second half: what happens before is that they come down.
  constexpr std::int64_t slot = 65'536;
  constexpr std::int64_t begin = OneTick ? 200 : 2 * slot;
  for (auto _ : state) {
    counted work;
    splitmix64 random(4);
    Contender<counted> contender(count, work);
    for (std::uint32_t i = 0; i < count; ++i) {
      contender.set(i, OneTick ? begin * ms : some_time(random, begin + slot / 2, begin + slot - 1));
    }
    contender.advance((begin - 1) * ms, no_limit);
    std::chrono::nanoseconds longest{0};
    for (std::int64_t now = begin; now <= begin + 2; ++now) {
      bool more = true;
      while (more) {
        const auto start = holdfast::steady_clock::now();
        more = contender.advance(now * ms, 1000);
        longest = std::max(longest, std::chrono::nanoseconds(holdfast::steady_clock::now() - start));
      }
    }
    state.SetIterationTime(std::chrono::duration<double>(longest).count());
    if (work.fires != (OneTick ? count : 0)) bench::fail(state, "not every timer fired once, or one did too early");
  }
}

// When is the first one due, of a million that are in one upper slot?
template <template <class> class Contender>
struct far_away : prepared<far_away<Contender>, Contender<counted>, counted> {
  far_away() : prepared<far_away<Contender>, Contender<counted>, counted>(million()) {
    for (std::uint32_t i = 0; i < million(); ++i)
      this->contender.set(i, some_time(this->random, 2 * 65'536, 3 * 65'536));
    this->contender.advance(100 * ms, no_limit);
  }
};
template <template <class> class Contender>
void next_expiry(benchmark::State& state) {
  far_away<Contender>& row = far_away<Contender>::get();
  for (auto _ : state) {
    std::int64_t next = row.contender.next();
    benchmark::DoNotOptimize(next);
    benchmark::ClobberMemory();
  }
  if (row.work.fires != 0) bench::fail(state, "a timer fired too early");
}

// One timer, an hour ahead, and one call of advance when the hour has passed.
template <template <class> class Contender>
void jump_1h(benchmark::State& state) {
  constexpr std::int64_t hour = 3'600'000;
  kept.reset();
  counted work;
  Contender<counted> contender(16, work);
  std::int64_t now = 0;
  for (auto _ : state) {
    contender.set(0, (now + hour) * ms);
    now += hour;
    contender.advance(now * ms, no_limit);
  }
  if (work.fires != static_cast<std::uint64_t>(state.iterations())) bench::fail(state, "the timer did not fire once");
}

// ---- the rows

benchmark::internal::Benchmark* add(const char* test_case, const char* contender, void (*function)(benchmark::State&)) {
  return bench::add("timer_wheel", test_case, contender, function);
}
// With a time of their own: one iteration, as there is much to prepare.
benchmark::internal::Benchmark* add_longest(const char* test_case, const char* contender,
                                            void (*function)(benchmark::State&)) {
  const std::string name = std::string("timer_wheel/") + test_case + "/" + contender;
  return benchmark::RegisterBenchmark(name.c_str(), function)->UseManualTime()->Iterations(1);
}
// Where a sample takes a second and more, there is one in a run.
template <template <class> class Contender>
void add_slow(const char* contender) {
  add("fire_1m", contender, fire_1m<Contender>)->Repetitions(1);
  add("cancel_cold", contender, cancel_cold<Contender>)->Repetitions(1);
  add_longest("worst_call_one_tick", contender, worst_call<Contender, true>)->Repetitions(1);
}
template <template <class> class Contender>
void add_fast(const char* contender) {
  add("fire_1m", contender, fire_1m<Contender>);
  add("cancel_cold", contender, cancel_cold<Contender>);
  add_longest("worst_call_one_tick", contender, worst_call<Contender, true>);
}
template <template <class> class Contender>
void add_small(const char* contender) {
  add("rpc_hot", contender, rpc_hot<Contender>);
  add("churn_10k", contender, fire_and_set_again<churning<Contender, 10'000>>);
}
template <template <class> class Contender>
void add_large(const char* contender) {
  add_small<Contender>(contender);
  add("churn_100k", contender, fire_and_set_again<churning<Contender, 100'000>>);
  add("churn_1m", contender, fire_and_set_again<churning<Contender, 1'000'000>>);
  add("retry_1m", contender, fire_and_set_again<retrying<Contender>>);
}
template <template <class> class Contender>
void add_calls(const char* contender) {
  add("idle_reset_100k", contender, idle_reset<Contender>);
  add("jump_1h", contender, jump_1h<Contender>);
}
template <template <class> class Contender>
void add_far(const char* contender) {
  add_longest("worst_call_one_slot", contender, worst_call<Contender, false>);
  add("next_expiry_1m", contender, next_expiry<Contender>);
}

[[maybe_unused]] const bool registered = [] {
  add_fast<wheel>("holdfast");
  add_large<wheel>("holdfast");
  add_calls<wheel>("holdfast");
  add_far<wheel>("holdfast");
  add("idle_reset_100k", "holdfast_rescheduled", idle_reset<wheel_rescheduled>);
  add("fire_1m", "holdfast_1us", fire_1m<wheel_1us>);
  add("jump_1h", "holdfast_1us", jump_1h<wheel_1us>);
  add_small<heap>("holdfast_heap");
#if HAS_ASIO
  add_slow<asio>("boost_asio");
  add_large<asio>("boost_asio");
  add_calls<asio>("boost_asio");
  add_far<asio>("boost_asio");
#endif
#if HAS_LIBUV
  add_slow<libuv>("libuv");
  add_large<libuv>("libuv");
  add_calls<libuv>("libuv");
#endif
  add_fast<four_ary>("heap_4ary");
  add_large<four_ary>("heap_4ary");
  add_calls<four_ary>("heap_4ary");
  add_far<four_ary>("heap_4ary");
  add_fast<priority_queue>("std_priority_queue");
  add_large<priority_queue>("std_priority_queue");
  add_small<multimap>("std_multimap");
  add("churn_100k", "std_multimap", fire_and_set_again<churning<multimap, 100'000>>);
  return true;
}();

}  // namespace
