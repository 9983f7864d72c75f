// SPDX-License-Identifier: MIT
// broadcast_ring beside what hands each record to several readers, and does not wait for a slow one.
//
//   holdfast      broadcast_ring
//   boost_each    a Boost.Lockfree spsc_queue for each reader
//   std_mutex     a ring that overwrites its oldest, a position for each reader, and a std::mutex
//
// The writer writes 512 records of 64 bytes and waits until all readers have them: half of what there is room for, so nobody may
// miss one. Items: records written.
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/broadcast_ring.hpp"

#include "support/bench.hpp"
#include "support/shared.hpp"

// The peer's code is held to its own warnings, not to ours.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#if __has_include(<boost/lockfree/spsc_queue.hpp>)
#define HAS_BOOST 1
#include <boost/lockfree/spsc_queue.hpp>
#else
#define HAS_BOOST 0
#endif
#pragma GCC diagnostic pop

namespace {

namespace bench = holdfast::bench;
namespace mo = holdfast::mo;

constexpr std::size_t capacity = 1024;
constexpr std::uint64_t burst = 512;

struct tick {
  std::uint64_t number = 0;
  std::array<std::uint64_t, 6> filling{};
  std::uint64_t again = 0;
};

// ---- the contenders

template <std::size_t Readers>
struct ours {
  using ring_type = holdfast::broadcast_ring<tick, capacity>;
  ring_type ring{};
  struct alignas(64) place {
    std::optional<ring_type::reader> reader{};
  };
  std::array<place, Readers> places{};
  ours() {
    for (place& one : places) one.reader.emplace(ring, holdfast::broadcast_from::oldest);
  }
  void write(const tick& one) { ring.write(one); }
  bool read(std::size_t who, tick& out) { return static_cast<bool>(places[who].reader->try_read(out)); }
};

#if HAS_BOOST
template <std::size_t Readers>
struct boost_each {
  using lane = boost::lockfree::spsc_queue<tick, boost::lockfree::capacity<capacity>>;
  std::array<lane, Readers> lanes{};
  void write(const tick& one) {
    for (lane& to : lanes) to.push(one);
  }
  bool read(std::size_t who, tick& out) { return lanes[who].pop(out); }
};
#endif

template <std::size_t Readers>
struct mutex_ring {
  std::mutex lock{};
  std::array<tick, capacity> ticks{};
  std::uint64_t written = 0;
  struct alignas(64) place {
    std::uint64_t next = 0;
  };
  std::array<place, Readers> places{};
  void write(const tick& one) {
    const std::lock_guard guard(lock);
    ticks[written++ % capacity] = one;
  }
  bool read(std::size_t who, tick& out) {
    std::uint64_t& next = places[who].next;
    const std::lock_guard guard(lock);
    if (written == next) return false;
    if (written - next > capacity) next = written - capacity;
    out = ticks[next++ % capacity];
    return true;
  }
};

// ---- the cases

// With what the readers tell the writer, each on a line of its own.
template <class Contender, std::size_t Readers>
struct crowd {
  Contender ring{};
  struct alignas(64) progress {
    holdfast::atomic<std::uint64_t> read{0};
  };
  std::array<progress, Readers> progress_of{};
};

template <class Crowd>
void broadcast(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Crowd& shared = *bench::shared<Crowd>::all[0];
  const bench::waiter::manner manner = bench::manner_for(state);
  std::uint64_t number = 0;
  bool lost = false;
  regime.mark();
  if (state.thread_index() == 0) {
    tick one;
    for (auto _ : state) {
      for (std::uint64_t i = 0; i < burst; ++i) {
        one.number = one.again = ++number;
        shared.ring.write(one);
      }
      for (const auto& reader : shared.progress_of) {
        lost = lost || !bench::waited(manner, [&] { return reader.read.load(mo::acquire) == number; });
      }
    }
    regime.mark();
    state.SetItemsProcessed(static_cast<std::int64_t>(number));
  } else {
    const auto who = static_cast<std::size_t>(state.thread_index()) - 1;
    std::uint64_t wrong = 0;
    tick one;
    for (auto _ : state) {
      for (std::uint64_t i = 0; i < burst; ++i) {
        lost = lost || !bench::waited(manner, [&] { return shared.ring.read(who, one); });
        ++number;
        wrong += one.number == number && one.again == number ? 0U : 1U;
      }
      shared.progress_of[who].read.store(number, mo::release);
    }
    regime.mark();
    if (wrong != 0) bench::fail(state, "a record was torn, or read twice");
  }
  if (lost) bench::fail(state, "a record was missed");
  regime.report();
}

template <template <std::size_t> class Contender>
void add(const char* name) {
  const auto with = [name]<std::size_t Readers>(const char* test_case) {
    using of_readers = crowd<Contender<Readers>, Readers>;
    bench::add("broadcast_ring", test_case, name, broadcast<of_readers>)
        ->Setup(bench::shared<of_readers>::make)
        ->Teardown(bench::shared<of_readers>::drop)
        ->Threads(Readers + 1);
  };
  with.template operator()<1>("line64_1024_1_reader");
  with.template operator()<3>("line64_1024_3_readers");
}

[[maybe_unused]] const bool registered = [] {
  add<ours>("holdfast");
#if HAS_BOOST
  add<boost_each>("boost_each");
#endif
  add<mutex_ring>("std_mutex");
  return true;
}();

}  // namespace
