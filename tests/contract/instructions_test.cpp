// SPDX-License-Identifier: MIT
// How many instructions a push and a pop take on their way through, counted by the processor's trap flag, and that they do not
// become more. The limits are what gcc 12 makes at -O2; what another compiler makes is told and not judged.
#include <cstdint>
#include <cstdio>
#include <memory>

#include "holdfast/queue/fan_in.hpp"
#include "holdfast/queue/mpmc_lockfree_queue.hpp"
#include "holdfast/queue/mpmc_queue.hpp"
#include "holdfast/queue/spsc_queue.hpp"
#include "holdfast/queue/waiting_queue.hpp"

#include "fault/single_step.hpp"
#include "support/catch.hpp"

using namespace holdfast;

namespace {

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ == 12 && defined(__x86_64__) && defined(__OPTIMIZE__)
constexpr bool judged = true;
#else
constexpr bool judged = false;
#endif

constexpr std::uint64_t rounds = 1024;  // a lap: what is done once in a while counts in its share

template <class Queue>
[[gnu::noinline]] bool push(Queue& queue, std::uint64_t value) {
  return static_cast<bool>(queue.try_push(std::uint64_t{value}));
}
template <class Queue>
[[gnu::noinline]] bool pop(Queue& queue, std::uint64_t& value) {
  return static_cast<bool>(queue.try_pop(value));
}
// What a call costs that does nothing.
[[gnu::noinline]] bool nothing(std::uint64_t& value) {
  asm volatile("" : "+m"(value));
  return true;
}

struct per_call {
  double push = 0;
  double pop = 0;
};

template <class Queue, class Producer>
per_call count(Queue& queue, Producer& producer) {
  std::uint64_t value = 7;
  std::uint64_t pushes = 0;
  std::uint64_t pops = 0;
  std::uint64_t calls = 0;
  bool good = true;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    pushes += fault::single_step::count([&] { good &= push(producer, i); });
    pops += fault::single_step::count([&] { good &= pop(queue, value); });
    calls += fault::single_step::count([&] { good &= nothing(value); });
  }
  CHECK(good);
  const auto of = [&](std::uint64_t all) { return static_cast<double>(all - calls) / static_cast<double>(rounds); };
  return {of(pushes), of(pops)};
}

void judge(const char* name, per_call measured, per_call limit) {
  std::printf("%-30s push %6.2f (limit %5.1f)   pop %6.2f (limit %5.1f)\n", name, measured.push, limit.push,
              measured.pop, limit.pop);
  CHECK(measured.push > 0);
  CHECK(measured.pop > 0);
  if (!judged) return;
  CHECK(measured.push <= limit.push);
  CHECK(measured.pop <= limit.pop);
}
template <class Queue>
void judge(const char* name, per_call limit) {
  const auto queue = std::make_unique<Queue>();
  judge(name, count(*queue, *queue), limit);
}

}  // namespace

TEST_CASE("a push and a pop take no more instructions than they did", "[instructions]") {
  if (!fault::single_step::works) return;
  judge<spsc_queue<std::uint64_t, 1024>>("spsc_queue", {11.5, 18.4});
  judge<mpmc_queue<std::uint64_t, 1024>>("mpmc_queue", {17.1, 21.1});
  judge<mpsc_queue<std::uint64_t, 1024>>("mpsc_queue", {17.1, 20.1});
  judge<spmc_queue<std::uint64_t, 1024>>("spmc_queue", {16.1, 21.1});
  judge<spsc_slot_queue<std::uint64_t, 1024>>("spsc_slot_queue", {16.1, 20.1});
  judge<mpmc_lockfree_queue<std::uint64_t, 1024>>("mpmc_lockfree_queue", {69.1, 60.1});
  judge<waiting_queue<spsc_queue<std::uint64_t, 1024>>>("waiting_queue over spsc_queue", {21.6, 26.4});
  judge<waiting_queue<mpmc_queue<std::uint64_t, 1024>>>("waiting_queue over mpmc_queue", {24.1, 28.1});
  const auto lanes = std::make_unique<fan_in<std::uint64_t, 4, 1024>>();
  auto lane = lanes->join();
  REQUIRE(lane);
  judge("fan_in, one lane of four", count(*lanes, *lane), {11.5, 39.2});
}
