// SPDX-License-Identifier: MIT
// bulkhead beside std::counting_semaphore, and beside what one would write with a std::mutex and a list for a place that is handed
// to who has waited longest. The floor is the least that a visit could do: one exchange in, one read-modify-write out.
//
// The loops are tight and the lines warm: these are costs of throughput. 32 visits or refusals are one iteration of a sample.
// std::counting_semaphore counts no refusals and knows no line: whoever comes first after a release has the place.
#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <semaphore>

#include "holdfast/core/atomic.hpp"
#include "holdfast/policy/bulkhead.hpp"

#include "support/bench.hpp"
#include "support/shared.hpp"

namespace {

namespace bench = holdfast::bench;
namespace mo = holdfast::mo;
using holdfast::bulkhead;
using holdfast::deadline;
using holdfast::waiting_order;

constexpr int batch = 32;

// ---- the contenders: try_enter() says whether there was a place, enter() waits for one, leave() gives it back

template <std::uint32_t Limit, std::uint32_t Queue>
struct ours {
  bulkhead room{{.limit = Limit, .queue = Queue}};
  class place {
   public:
    [[gnu::always_inline]] bool try_enter(ours& in) { return static_cast<bool>(mine_ = in.room.try_acquire()); }
    [[gnu::always_inline]] void enter(ours& in) { mine_ = in.room.wait_acquire(deadline::never()).place; }
    [[gnu::always_inline]] void leave(ours& /*in*/) { mine_.release(); }

   private:
    bulkhead::permit mine_;
  };
};

template <std::uint32_t Limit>
struct counting_semaphore {
  std::counting_semaphore<1'000'000> room{Limit};
  struct place {
    [[gnu::always_inline]] static bool try_enter(counting_semaphore& in) { return in.room.try_acquire(); }
    [[gnu::always_inline]] static void enter(counting_semaphore& in) { in.room.acquire(); }
    [[gnu::always_inline]] static void leave(counting_semaphore& in) { in.room.release(); }
  };
};

// Hands a place to who has waited longest. Each sleeps on a condition variable of its own, so that a release wakes one.
template <std::uint32_t Limit>
class mutex_list {
 public:
  struct place {
    static bool try_enter(mutex_list& in) {
      const std::lock_guard lock(in.mutex_);
      return in.taken_ < Limit && ++in.taken_ != 0;
    }
    static void enter(mutex_list& in) {
      std::unique_lock lock(in.mutex_);
      if (in.taken_ < Limit) {
        ++in.taken_;
        return;
      }
      sleeper me;
      in.line_.push_back(&me);
      me.woken.wait(lock, [&me] { return me.served; });
    }
    static void leave(mutex_list& in) {
      const std::lock_guard lock(in.mutex_);
      if (in.line_.empty()) {
        --in.taken_;
        return;
      }
      sleeper& next = *in.line_.front();
      in.line_.pop_front();
      next.served = true;
      next.woken.notify_one();  // with the lock, since the sleeper may be gone without it
    }
  };

 private:
  struct sleeper {
    std::condition_variable woken;
    bool served = false;
  };
  std::mutex mutex_;
  std::uint32_t taken_ = 0;
  std::list<sleeper*> line_;
};

// The least that it could be.
struct exchange_and_decrement {
  holdfast::atomic<std::uint64_t> word{0};
  struct place {
    [[gnu::always_inline]] static bool try_enter(exchange_and_decrement& in) {
      std::uint64_t seen = in.word.load(mo::relaxed);  // hint: the exchange decides
      // own: the floor publishes nothing
      while (!in.word.compare_exchange_weak(seen, seen + 1, mo::relaxed, mo::relaxed)) {
      }
      return true;
    }
    [[gnu::always_inline]] static void leave(exchange_and_decrement& in) {
      in.word.fetch_sub(1, mo::relaxed);  // own: as above
    }
  };
};

// ---- the cases

template <class Contender>
void visit(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& room = *bench::shared<Contender>::all[0];
  std::uint64_t refused = 0;
  if (state.threads() > 1) regime.mark();
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      typename Contender::place mine;
      if (!mine.try_enter(room)) [[unlikely]]
        ++refused;
      mine.leave(room);
    }
  }
  if (state.threads() > 1) {
    regime.mark();
    regime.report();
  }
  state.SetItemsProcessed(state.iterations() * batch);
  if (refused != 0) bench::fail(state, "a place that was free was refused");
}

template <class Contender>
void refuse(benchmark::State& state) {
  const bench::pinned pin(state);
  Contender& room = *bench::shared<Contender>::all[0];
  typename Contender::place inside;
  if (!inside.try_enter(room)) bench::fail(state, "the only place was not free");
  std::uint64_t granted = 0;
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      typename Contender::place mine;
      if (mine.try_enter(room)) [[unlikely]]
        ++granted;
    }
  }
  inside.leave(room);
  state.SetItemsProcessed(state.iterations() * batch);
  if (granted != 0) bench::fail(state, "more were let in than there are places");
}

// One place for all, who sleep until it is theirs, and keep it while they count to a few.
template <class Contender>
void take_turns(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& room = *bench::shared<Contender>::all[0];
  static std::uint64_t inside = 0;  // no atomic: by who is inside
  regime.mark();
  std::uint64_t wrong = 0;
  for (auto _ : state) {
    typename Contender::place mine;
    mine.enter(room);
    const std::uint64_t before = ++inside;
    holdfast::cpu_pause(8);
    if (inside != before) ++wrong;
    mine.leave(room);
  }
  regime.mark();
  regime.report();
  state.SetItemsProcessed(state.iterations());
  if (wrong != 0) bench::fail(state, "two were inside");
}

// So many wait and are told. Each release serves one of them, who leaves at once and stands in line again.
template <std::uint32_t Waiting>
void serve_one_of(benchmark::State& state) {
  const bench::pinned pin(state);
  struct caller : holdfast::waiter {
    caller() : waiter([](waiter& self) noexcept { static_cast<caller&>(self).is_told = true; }) {}
    bulkhead::waiting_place mine;
    bool is_told = false;
  };
  bulkhead room({.limit = 1, .queue = Waiting});
  auto inside = room.try_acquire();
  std::array<caller, Waiting> callers;
  for (caller& one : callers) one.mine = *room.enter(one, deadline::never());
  std::size_t next = 0;
  std::uint64_t wrong = 0;
  for (auto _ : state) {
    caller& one = callers[next];
    next = next + 1 == Waiting ? 0 : next + 1;
    inside.release();
    if (!one.is_told) ++wrong;
    one.is_told = false;
    inside = room.collect(one.mine).place;
    one.mine = *room.enter(one, deadline::never());
  }
  for (caller& one : callers) {
    static_cast<void>(room.cancel(one.mine));
    static_cast<void>(room.collect(one.mine));
  }
  state.SetItemsProcessed(state.iterations());
  if (wrong != 0) bench::fail(state, "another one was served than who had waited longest");
}

// ---- the rows

template <class Contender>
void row(const char* test_case, const char* contender, void (*function)(benchmark::State&), int threads = 1) {
  bench::add("bulkhead", test_case, contender, function)
      ->Setup(bench::shared<Contender>::make)
      ->Teardown(bench::shared<Contender>::drop)
      ->Threads(threads);
}

[[maybe_unused]] const bool registered = [] {
  row<ours<64, 0>>("visit_1_thread", "holdfast", visit<ours<64, 0>>);
  row<ours<64, 64>>("visit_1_thread", "holdfast_with_queue", visit<ours<64, 64>>);
  row<counting_semaphore<64>>("visit_1_thread", "std_counting_semaphore", visit<counting_semaphore<64>>);
  row<mutex_list<64>>("visit_1_thread", "std_mutex", visit<mutex_list<64>>);
  row<exchange_and_decrement>("visit_1_thread", "floor_two_exchanges", visit<exchange_and_decrement>);

  row<ours<64, 0>>("visit_2_threads", "holdfast", visit<ours<64, 0>>, 2);
  row<ours<64, 64>>("visit_2_threads", "holdfast_with_queue", visit<ours<64, 64>>, 2);
  row<counting_semaphore<64>>("visit_2_threads", "std_counting_semaphore", visit<counting_semaphore<64>>, 2);
  row<mutex_list<64>>("visit_2_threads", "std_mutex", visit<mutex_list<64>>, 2);
  row<exchange_and_decrement>("visit_2_threads", "floor_two_exchanges", visit<exchange_and_decrement>, 2);

  row<ours<1, 0>>("refuse", "holdfast", refuse<ours<1, 0>>);
  row<counting_semaphore<1>>("refuse", "std_counting_semaphore", refuse<counting_semaphore<1>>);
  row<mutex_list<1>>("refuse", "std_mutex", refuse<mutex_list<1>>);

  row<ours<1, 64>>("turns_4_threads", "holdfast", take_turns<ours<1, 64>>, 4);
  row<counting_semaphore<1>>("turns_4_threads", "std_counting_semaphore", take_turns<counting_semaphore<1>>, 4);
  row<mutex_list<1>>("turns_4_threads", "std_mutex", take_turns<mutex_list<1>>, 4);

  bench::add("bulkhead", "serve_1_of_8", "holdfast", serve_one_of<8>);
  bench::add("bulkhead", "serve_1_of_64", "holdfast", serve_one_of<64>);
  bench::add("bulkhead", "serve_1_of_1024", "holdfast", serve_one_of<1024>);
  return true;
}();

}  // namespace
