// SPDX-License-Identifier: MIT
// Waiting for each other: sleeping and waking, locks, spinning; and waiting for ever, which must be seen.
#include "model/self/program.hpp"

namespace holdfast_model {
namespace {
using namespace holdfast::mo;

constexpr const char* for_ever = "every thread waits";

void sleeper(cells& c) {
  c.x.wait(0, acquire);
  c.r[0] = c.d.get();
}
void waker(cells& c) {
  c.d.set(1);
  c.x.store(1, release);
  c.x.notify_one();
}
void store_one_and_wake_one(cells& c) {
  c.x.store(1, release);
  c.x.notify_one();
}
void store_one_and_wake_all(cells& c) {
  c.x.store(1, release);
  c.x.notify_all();
}
template <std::size_t Result>
void sleep_and_count(cells& c) {
  c.x.wait(0, acquire);
  c.r[Result] = c.y.fetch_add(1, relaxed);
}

template <auto Load>
void spin_until_set(cells& c) {
  while (c.x.load(Load) == 0) spin();
  c.r[0] = c.d.get();
}
void publish(cells& c) {
  c.d.set(1);
  c.x.store(1, release);
}

void add_under_lock(cells& c) {
  c.a.lock();
  const int was = c.d.get();
  MODEL_CHECK(c.y.fetch_add(1, relaxed) == 0);  // alone in here
  c.d.set(was + 1);
  c.y.fetch_sub(1, relaxed);
  c.a.unlock();
}
void lock_both(test_mutex& first, test_mutex& second) {
  first.lock();
  second.lock();
  second.unlock();
  first.unlock();
}

program stuck(const char* name, std::vector<void (*)(cells&)> threads) {
  return {.name = name, .threads = std::move(threads), .fails = for_ever};
}

}  // namespace

std::vector<program> waiting_programs() {
  return {
      {.name = "wait, woken by one", .threads = {sleeper, waker}, .allowed = "1"},
      {.name = "wait, woken by all",
       .threads = {sleep_and_count<0>, sleep_and_count<1>, store_one_and_wake_all},
       .allowed = "01 10"},
      {.name = "wait, one wakes the next",
       .threads = {[](cells& c) {
                     c.x.wait(0, acquire);
                     c.x.notify_one();
                   },
                   [](cells& c) {
                     c.x.wait(0, acquire);
                     c.x.notify_one();
                   },
                   store_one_and_wake_one},
       .allowed = "7"},
      {.name = "wait for another value returns at once",
       .threads = {[](cells& c) {
         c.x.wait(1, acquire);
         c.r[0] = 0;
       }},
       .allowed = "0"},
      {.name = "wait with a relaxed load does not acquire",
       .threads = {[](cells& c) {
                     c.x.wait(0, relaxed);
                     c.r[0] = c.d.get();
                   },
                   waker},
       .fails = "data race"},
      {.name = "wait, woken for one word, learns nothing of another",
       .threads = {[](cells& c) {
                     c.x.wait(0, relaxed);
                     c.r[0] = c.y.load(relaxed);
                   },
                   [](cells& c) {
                     c.y.store(1, relaxed);
                     store_one_and_wake_one(c);
                   }},
       .allowed = "0 1"},
      stuck("wait and nobody wakes", {sleep_and_count<0>, [](cells& c) { c.x.store(1, release); }}),
      stuck("wait, woken before the value changes", {sleep_and_count<0>,
                                                     [](cells& c) {
                                                       c.x.notify_one();
                                                       c.x.store(1, release);
                                                     }}),
      stuck("wait, the value comes back", {sleep_and_count<0>,
                                           [](cells& c) {
                                             store_one_and_wake_one(c);
                                             c.x.store(0, relaxed);
                                           }}),
      stuck("wait, one is woken and two sleep", {sleep_and_count<0>, sleep_and_count<1>, store_one_and_wake_one}),
      {.name = "lock, two add",
       .threads = {add_under_lock, add_under_lock},
       .allowed = "2",
       .after = [](cells& c) { c.r[0] = c.d.get(); }},
      {.name = "lock, either order",
       .threads = {[](cells& c) {
                     c.a.lock();
                     c.d.set(1);
                     c.a.unlock();
                   },
                   [](cells& c) {
                     c.a.lock();
                     c.d.set(2);
                     c.a.unlock();
                   }},
       .allowed = "1 2",
       .after = [](cells& c) { c.r[0] = c.d.get(); }},
      stuck("lock, two in opposite order",
            {[](cells& c) { lock_both(c.a, c.b); }, [](cells& c) { lock_both(c.b, c.a); }}),
      {.name = "lock, two in one order",
       .threads = {[](cells& c) { lock_both(c.a, c.b); }, [](cells& c) { lock_both(c.a, c.b); }},
       .allowed = "7"},
      stuck("lock, taken twice", {[](cells& c) {
              c.a.lock();
              c.a.lock();
            }}),
      {.name = "spin until set", .threads = {spin_until_set<acquire>, publish}, .allowed = "1"},
      {.name = "spin until set, not acquired", .threads = {spin_until_set<relaxed>, publish}, .fails = "data race"},
      {.name = "spin that ends the execution",
       .threads = {spin_until_set<acquire>, publish},
       .allowed = "1",
       .options = {.spins_end = true}},
      stuck("livelock: spin and nobody sets", {spin_until_set<acquire>, [](cells& c) { c.y.store(1, relaxed); }}),
      stuck("livelock: each waits for the other", {[](cells& c) {
                                                     while (c.x.load(acquire) == 0) spin();
                                                     c.y.store(1, release);
                                                   },
                                                   [](cells& c) {
                                                     while (c.y.load(acquire) == 0) spin();
                                                     c.x.store(1, release);
                                                   }}),
      {.name = "livelock: a loop without a word",
       .threads = {[](cells& c) {
         while (c.x.load(relaxed) == 0) {
         }
       }},
       .fails = "livelock, or too large",
       .options = {.steps = 100}},
  };
}

}  // namespace holdfast_model
