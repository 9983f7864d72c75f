// SPDX-License-Identifier: MIT
// record_ring and shared_record_ring beside what carries bytes of any length from one to one.
//
//   holdfast              record_ring, written and checked in place
//   holdfast_shared       shared_record_ring, the same for two processes; here for two threads
//   boost_bytes           Boost.Lockfree spsc_queue of char: the length and the bytes in one push, copied in and out by two
//                         pops
//   boost_interprocess    Boost.Interprocess message_queue in shared memory
//   unix_seqpacket        a socket pair of the kernel's that keeps records whole
//   std_mutex             a ring of bytes and a std::mutex, copied in and out
//
// All but the socket, whose memory is the kernel's, have 64 KiB. Records are of 16 to 240 bytes, each its number at both
// ends; whoever must wait backs off.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>

#include "holdfast/queue/record_ring.hpp"
#include "holdfast/queue/shared_record_ring.hpp"

#include "support/bench.hpp"
#include "support/shared.hpp"

// The peers' code is held to its own warnings, not to ours.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#if __has_include(<boost/lockfree/spsc_queue.hpp>) && __has_include(<boost/interprocess/ipc/message_queue.hpp>)
#define HAS_BOOST 1
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#else
#define HAS_BOOST 0
#endif
#pragma GCC diagnostic pop

namespace {

namespace bench = holdfast::bench;

constexpr std::size_t storage_bytes = 65536;
constexpr std::size_t most_bytes = 240;
constexpr std::size_t apart = 2 * holdfast::cache_line_size;  // what one side uses alone

constexpr std::size_t length_of(std::uint64_t number) {
  return 16 + (number * 0x9E37'79B9'7F4A'7C15U >> 56U) % (most_bytes - 15);
}
void write_record(char* to, std::uint64_t number) {
  const std::size_t bytes = length_of(number);
  std::memset(to + sizeof number, static_cast<char>(number), bytes - 2 * sizeof number);
  std::memcpy(to, &number, sizeof number);
  std::memcpy(to + bytes - sizeof number, &number, sizeof number);
}
bool is_record(const char* from, std::size_t bytes, std::uint64_t number) {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  if (bytes != length_of(number)) return false;
  std::memcpy(&first, from, sizeof first);
  std::memcpy(&last, from + bytes - sizeof last, sizeof last);
  return first == number && last == number;
}

// ---- the contenders: push(number) and pop(number, wrong), false where there is no room, or nothing

template <class Writer>
bool claim_and_write(Writer& to, std::uint64_t number) {
  std::byte* const at = to.try_claim(length_of(number));
  if (at == nullptr) return false;
  write_record(reinterpret_cast<char*>(at), number);
  to.commit(length_of(number), 0);
  return true;
}
bool holds(const holdfast::record_view& got, std::uint64_t number) {
  return is_record(reinterpret_cast<const char*>(got.data), got.bytes, number);
}

struct ours {
  alignas(64) std::array<std::byte, storage_bytes> storage{};
  holdfast::record_ring ring{storage};
  bool push(std::uint64_t number) { return claim_and_write(ring, number); }
  bool pop(std::uint64_t number, std::uint64_t& wrong) {
    holdfast::record_ring::record got;
    if (!ring.front(got)) return false;
    wrong += holds(got, number) ? 0U : 1U;
    ring.pop(got);
    ring.release();
    return true;
  }
};

struct ours_shared {
  alignas(64) std::array<std::byte, storage_bytes + sizeof(holdfast::shared_ring_header)> region{};
  holdfast::outcome<> made = holdfast::shared_record_ring::create(region);
  alignas(apart) holdfast::outcome<holdfast::shared_record_ring::writer> to =
      holdfast::shared_record_ring::attach_writer(region);
  alignas(apart) holdfast::outcome<holdfast::shared_record_ring::reader> from =
      holdfast::shared_record_ring::attach_reader(region);
  bool push(std::uint64_t number) { return claim_and_write(*to, number); }
  bool pop(std::uint64_t number, std::uint64_t& wrong) {
    holdfast::shared_record_ring::record got;
    if (from->front(got) != holdfast::ring_front::record) return false;
    wrong += holds(got, number) ? 0U : 1U;
    from->pop(got);
    return from->release();
  }
};

#if HAS_BOOST
struct boost_bytes {
  boost::lockfree::spsc_queue<char, boost::lockfree::capacity<storage_bytes>> queue{};
  alignas(apart) std::array<char, most_bytes + 1> in{};
  alignas(apart) std::array<char, most_bytes> out{};
  bool push(std::uint64_t number) {
    const std::size_t bytes = length_of(number);
    if (queue.write_available() < bytes + 1) return false;
    in[0] = static_cast<char>(bytes);
    write_record(in.data() + 1, number);
    return queue.push(in.data(), bytes + 1) == bytes + 1;
  }
  bool pop(std::uint64_t number, std::uint64_t& wrong) {
    char length = 0;
    if (!queue.pop(length)) return false;
    const std::size_t bytes = static_cast<unsigned char>(length);
    wrong += queue.pop(out.data(), bytes) == bytes && is_record(out.data(), bytes, number) ? 0U : 1U;
    return true;
  }
};

struct boost_messages {
  // Its name is the machine's, and its memory goes with the name.
  struct own_name {
    std::string text = "holdfast_bench_" + std::to_string(::getpid());
    own_name() { boost::interprocess::message_queue::remove(text.c_str()); }
    own_name(const own_name&) = delete;
    own_name& operator=(const own_name&) = delete;
    ~own_name() { boost::interprocess::message_queue::remove(text.c_str()); }
  };
  own_name name{};
  boost::interprocess::message_queue queue{boost::interprocess::create_only, name.text.c_str(),
                                           storage_bytes / most_bytes, most_bytes};
  alignas(apart) std::array<char, most_bytes> in{};
  alignas(apart) std::array<char, most_bytes> out{};
  bool push(std::uint64_t number) {
    write_record(in.data(), number);
    return queue.try_send(in.data(), length_of(number), 0);
  }
  bool pop(std::uint64_t number, std::uint64_t& wrong) {
    boost::interprocess::message_queue::size_type bytes = 0;
    unsigned priority = 0;
    if (!queue.try_receive(out.data(), out.size(), bytes, priority)) return false;
    wrong += is_record(out.data(), bytes, number) ? 0U : 1U;
    return true;
  }
};
#endif

struct unix_seqpacket {
  std::array<int, 2> ends{-1, -1};
  alignas(apart) std::array<char, most_bytes> in{};
  alignas(apart) std::array<char, most_bytes> out{};
  unix_seqpacket() {
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0) std::abort();
  }
  unix_seqpacket(const unix_seqpacket&) = delete;
  unix_seqpacket& operator=(const unix_seqpacket&) = delete;
  ~unix_seqpacket() {
    for (const int end : ends) ::close(end);
  }
  bool push(std::uint64_t number) {
    write_record(in.data(), number);
    return ::send(ends[0], in.data(), length_of(number), MSG_NOSIGNAL) > 0;
  }
  bool pop(std::uint64_t number, std::uint64_t& wrong) {
    const ssize_t bytes = ::recv(ends[1], out.data(), out.size(), 0);
    if (bytes <= 0) return false;
    wrong += is_record(out.data(), static_cast<std::size_t>(bytes), number) ? 0U : 1U;
    return true;
  }
};

struct mutex_ring {
  std::mutex lock{};
  std::array<char, storage_bytes> storage{};
  std::size_t from = 0;
  std::size_t held = 0;
  alignas(apart) std::array<char, most_bytes + 1> in{};
  alignas(apart) std::array<char, most_bytes> out{};
  bool push(std::uint64_t number) {
    const std::size_t bytes = length_of(number);
    in[0] = static_cast<char>(bytes);
    write_record(in.data() + 1, number);
    const std::lock_guard guard(lock);
    if (storage_bytes - held < bytes + 1) return false;
    const std::size_t at = (from + held) % storage_bytes;
    const std::size_t first = std::min(bytes + 1, storage_bytes - at);
    std::memcpy(storage.data() + at, in.data(), first);
    std::memcpy(storage.data(), in.data() + first, bytes + 1 - first);
    held += bytes + 1;
    return true;
  }
  bool pop(std::uint64_t number, std::uint64_t& wrong) {
    std::size_t bytes = 0;
    {
      const std::lock_guard guard(lock);
      if (held == 0) return false;
      bytes = static_cast<unsigned char>(storage[from]);
      const std::size_t at = (from + 1) % storage_bytes;
      const std::size_t first = std::min(bytes, storage_bytes - at);
      std::memcpy(out.data(), storage.data() + at, first);
      std::memcpy(out.data() + first, storage.data(), bytes - first);
      from = (at + bytes) % storage_bytes;
      held -= bytes + 1;
    }
    wrong += is_record(out.data(), bytes, number) ? 0U : 1U;
    return true;
  }
};

// ---- the case

template <class Contender>
void records(benchmark::State& state) {
  const bench::pinned pin(state);
  bench::regime regime(state);
  Contender& ring = *bench::shared<Contender>::all[0];
  std::uint64_t next = 0;
  std::uint64_t wrong = 0;
  bool lost = false;
  const bool writes = state.thread_index() == 0;
  regime.mark();
  for (auto _ : state) {
    lost = lost || !bench::waited(bench::waiter::manner::patient,
                                  [&] { return writes ? ring.push(next) : ring.pop(next, wrong); });
    ++next;
  }
  regime.mark();
  if (!writes) {
    state.SetItemsProcessed(static_cast<std::int64_t>(next));
    if (wrong != 0 || lost) bench::fail(state, "a record was lost, doubled, torn or out of order");
  }
  regime.report();
}

template <class Contender>
void add(const char* name) {
  bench::add("record_ring", "records_64k_stream", name, records<Contender>)
      ->Setup(bench::shared<Contender>::make)
      ->Teardown(bench::shared<Contender>::drop)
      ->Threads(2);
}

[[maybe_unused]] const bool registered = [] {
  add<ours>("holdfast");
  add<ours_shared>("holdfast_shared");
#if HAS_BOOST
  add<boost_bytes>("boost_bytes");
  add<boost_messages>("boost_interprocess");
#endif
  add<unix_seqpacket>("unix_seqpacket");
  add<mutex_ring>("std_mutex");
  return true;
}();

}  // namespace
