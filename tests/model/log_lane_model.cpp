// SPDX-License-Identifier: MIT
// The lane passes from thread to thread through the backend. What its owner and the backend write without an atomic stands
// behind `place`, which is race-checked; records carry their own payload, which is too.
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>

#include "holdfast/telemetry/log_lane.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;
using log_detail::log_lane;

namespace {

using number = plain<std::uint32_t>;

// As log_sink does it: the thread that logs, and the backend.
struct watched_lane {
  static constexpr std::size_t payload = 112;  // two fill the lane
  alignas(8) std::array<std::byte, record_ring::min_storage> storage{};
  log_lane lane{storage};
  number place{0};  // the thread that has the lane, or 0

  std::uint32_t written = 0, lost = 0;
  // The backend's.
  std::uint32_t read = 0, reopened = 0;
  std::uint64_t full_told = 0, nested_told = 0;

  static std::uint32_t me() { return this_thread() + 1; }

  bool own() {
    if (!lane.try_own()) return false;
    MODEL_CHECK(place.get() == 0);
    place.set(me());
    lane.full_in_ring = lane.full;
    lane.thread.store(me(), mo::relaxed);
    return true;
  }
  void write() {
    std::byte* const at = lane.ring.try_claim(payload);
    if (at == nullptr) {
      ++lost;
      lane.count_full();
      return;
    }
    ::new (static_cast<void*>(at)) number(written + 1);
    lane.ring.commit(payload, me());
    ++written;
  }
  void nested() {
    ++lost;
    lane.count_nested();
  }
  void close() {
    MODEL_CHECK(place.get() == me());
    lane.close();
  }

  bool take() {
    record_ring::record r;
    if (!lane.ring.front(r)) return false;
    MODEL_CHECK(std::launder(reinterpret_cast<const number*>(r.data))->get() == ++read);
    MODEL_CHECK(lane.thread.load(mo::relaxed) == r.tag);  // a line names the thread that wrote it
    lane.ring.pop(r);
    lane.ring.release();
    return true;
  }
  // A loss is told once, with the thread that had it.
  void tell_losses() {
    const auto [full, nested] = lane.lost();
    if (full == full_told && nested == nested_told) return;
    MODEL_CHECK(full >= full_told);
    MODEL_CHECK(nested >= nested_told);
    const std::uint32_t named = lane.thread.load(mo::relaxed);
    MODEL_CHECK(named != 0);
    MODEL_CHECK(last_named == 0 || last_named == named || reopened > reopened_then);
    last_named = named;
    reopened_then = reopened;
    full_told = full;
    nested_told = nested;
  }
  std::uint32_t last_named = 0, reopened_then = 0;

  bool round() {
    if (take()) return true;
    if (!lane.closed()) {
      tell_losses();
      return false;
    }
    if (take()) return true;
    // Closed and then found empty: it stays empty, and all of its owner's losses are there.
    MODEL_CHECK(read == written);
    tell_losses();
    MODEL_CHECK(full_told + nested_told == lost);
    MODEL_CHECK(place.get() == lane.thread.load(mo::relaxed));
    place.set(0);
    ++reopened;
    lane.reopen();
    return true;
  }
  void all_is_told() {
    while (round()) {
    }
    MODEL_CHECK(read == written);
    MODEL_CHECK(full_told + nested_told == lost);
  }
};

// Two threads want the lane, one after the other may have it; the third is the backend.
struct two_owners : watched_lane {
  static constexpr unsigned threads = 3;
  unsigned owners = 0;

  void run(unsigned thread) {
    if (thread == 2) {
      for (int i = 0; i < 5; ++i) round();
      return;
    }
    if (!own() && !own()) return;
    ++owners;
    write();
    close();
  }
  void after() {
    MODEL_CHECK(owners >= 1);
    all_is_told();
    MODEL_CHECK(reopened == owners);
  }
};
MODEL_SCENARIO("log_lane", two_owners, {});

// Losses before the first record and after the last, of one owner and the next.
struct losses_are_told : watched_lane {
  static constexpr unsigned threads = 2;

  void run(unsigned thread) {
    if (thread == 1) {
      for (int i = 0; i < 4; ++i) round();
      return;
    }
    nested();
    write();
    write();
    write();  // lost, unless the backend was here
    close();
  }
  losses_are_told() {
    MODEL_CHECK(lane.try_own());
    place.set(1);
    lane.thread.store(1, mo::relaxed);
  }
  void after() {
    MODEL_CHECK(lost >= 1);
    all_is_told();
  }
};
MODEL_SCENARIO("log_lane", losses_are_told, {});

// The next owner's first loss, before any record of it, is told with its own name and not with the last one's.
struct loss_names_its_thread : watched_lane {
  static constexpr unsigned threads = 2;

  loss_names_its_thread() {
    MODEL_CHECK(lane.try_own());
    lane.thread.store(7, mo::relaxed);
    lane.close();
    MODEL_CHECK(lane.closed());
    lane.reopen();
  }
  void run(unsigned thread) {
    if (thread == 0) {
      if (!own()) return;
      if (choose(2) == 0) {
        nested();
      } else {
        ++lost;
        lane.count_full();
      }
      return;
    }
    for (int i = 0; i < 2; ++i) {
      tell_losses();
      MODEL_CHECK(last_named == 0 || last_named == 1);
    }
  }
  void after() {
    tell_losses();
    MODEL_CHECK(last_named == 1);
    MODEL_CHECK(full_told + nested_told == 1);
  }
};
MODEL_SCENARIO("log_lane", loss_names_its_thread, {});

// The same lane again and again, round the end of its storage; nobody gives up.
struct owned_again : watched_lane {
  static constexpr unsigned threads = 2;
  static constexpr unsigned times = 2;

  owned_again() {  // up to the end
    MODEL_CHECK(lane.try_own());
    place.set(9);
    lane.thread.store(9, mo::relaxed);
    for (int i = 0; i < 2; ++i) {
      std::byte* const at = lane.ring.try_claim(payload);
      ::new (static_cast<void*>(at)) number(++written);
      lane.ring.commit(payload, 9);
    }
    lane.close();
    while (round()) {
    }
    MODEL_CHECK(reopened == 1);
    reopened = 0;
  }
  void run(unsigned thread) {
    if (thread == 1) {
      while (reopened < times) {
        if (!round()) spin();
      }
      return;
    }
    for (unsigned i = 0; i < times; ++i) {
      while (!own()) spin();
      write();
      close();
    }
  }
  void after() {
    MODEL_CHECK(written == times + 2);
    all_is_told();
  }
};
MODEL_SCENARIO("log_lane", owned_again, {});

// An owner that dies keeps its lane, and its whole records are read; if the backend dies, owners go on and count.
struct death_in_the_lane : watched_lane {
  static constexpr unsigned threads = 3;

  void run(unsigned thread) {
    if (thread == 2) {
      for (int i = 0; i < 4; ++i) round();
      return;
    }
    if (!own()) return;
    write();
    write();
    write();
    close();
  }
  void after() { all_is_told(); }
  void after_death(unsigned dead) {
    if (dead == 2) return;  // the others have ended: none of them waited
    while (take()) {
    }
    MODEL_CHECK(read == written || read == written + 1);
    tell_losses();
    MODEL_CHECK(full_told == lost || full_told + 1 == lost);
  }
};
MODEL_SCENARIO("log_lane", death_in_the_lane, {});

}  // namespace
