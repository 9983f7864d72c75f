// SPDX-License-Identifier: MIT
// What gives thread_slot its numbers. The model's threads are fibers of one thread, so the thread_local and the end of a
// thread that thread_slot adds are not here.
#include <array>
#include <cstdint>

#include "core/number_pool.hpp"
#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

// Places that belong to the numbers, written by their owners without an atomic.
struct numbered_places {
  number_pool<64> pool;
  std::array<plain<int>, 4> places;
  std::array<bool, 4> owned{};
  unsigned given_back = 0;

  std::uint32_t take() {
    const std::uint32_t mine = pool.take();
    MODEL_CHECK(mine < places.size());
    MODEL_CHECK(!owned[mine]);
    owned[mine] = true;
    places[mine].set(places[mine].get() + 1);
    return mine;
  }
  void give_back(std::uint32_t mine) {
    places[mine].set(places[mine].get() + 1);
    pool.give_back(mine);
    owned[mine] = false;
    ++given_back;
  }
  void all_free_again() {
    int written = 0;
    for (const auto& p : places) written += p.get();
    MODEL_CHECK(written == 2 * static_cast<int>(given_back));
    for (std::uint32_t n = 0; n < 64; ++n) MODEL_CHECK(pool.take() == n);
    MODEL_CHECK(pool.take() == pool.none);
  }
};

// Three threads; one of them comes a second time. A place has one owner at a time, who sees what the last one wrote.
struct numbers_pass_on : numbered_places {
  static constexpr unsigned threads = 3;

  void run(unsigned thread) {
    for (int i = thread == 0 ? 0 : 1; i < 2; ++i) {
      const std::uint32_t mine = take();
      MODEL_CHECK(mine < threads);
      give_back(mine);
    }
  }
  void after() { all_free_again(); }
};
MODEL_SCENARIO("number_pool", numbers_pass_on, {.weak_failures = 0});

// All but one of the numbers are taken: who finds none is told, and the last word's last bit is used like any other.
struct last_number {
  static constexpr unsigned threads = 3;
  number_pool<128> pool;
  plain<int> place{0};
  unsigned had = 0;

  last_number() {
    for (std::uint32_t n = 0; n < 127; ++n) MODEL_CHECK(pool.take() == n);
  }
  void run(unsigned) {
    const std::uint32_t mine = pool.take();
    if (mine == pool.none) return;
    MODEL_CHECK(mine == 127);
    ++had;
    place.set(place.get() + 1);
    pool.give_back(mine);
  }
  void after() {
    MODEL_CHECK(had >= 1);
    MODEL_CHECK(place.get() == static_cast<int>(had));
    MODEL_CHECK(pool.take() == 127);
  }
};
MODEL_SCENARIO("number_pool", last_number, {});

// Lock-free: who dies keeps at most the number it had or was taking.
struct death_of_an_owner : numbered_places {
  static constexpr unsigned threads = 3;

  void run(unsigned) { give_back(take()); }
  void after() { all_free_again(); }
  void after_death(unsigned) {
    unsigned free = 0;
    while (pool.take() != pool.none) ++free;
    MODEL_CHECK(free == 64 || free == 63);
  }
};
MODEL_SCENARIO("number_pool", death_of_an_owner, {.weak_failures = 0});

}  // namespace
