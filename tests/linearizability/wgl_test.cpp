// SPDX-License-Identifier: MIT
// The search itself: the same verdict as brute force over every permutation, for every specification.
#include "wgl.hpp"

#include <cstdint>
#include <string>

#include "brute_force.hpp"
#include "explain.hpp"
#include "random_history.hpp"
#include "support/catch.hpp"

using namespace holdfast_lin;

namespace {

// All states collide: a search that trusted its hash would call right histories wrong.
template <class Spec>
struct colliding : Spec {
  colliding() = default;
  explicit colliding(const Spec& s) : Spec(s) {}
  [[nodiscard]] std::uint64_t hash() const noexcept { return 7; }
  friend bool operator==(const colliding& a, const colliding& b) {
    return static_cast<const Spec&>(a) == static_cast<const Spec&>(b);
  }
};

struct agreement {
  std::uint64_t yes = 0;
  std::uint64_t no = 0;
  std::uint64_t different = 0;
  std::uint64_t wrong_prefix = 0;
};

template <class Spec>
bool accepts(const history& h, const Spec& start, std::span<const std::uint8_t> order) {
  Spec state = start;
  op_mask done = 0;
  for (const std::uint8_t id : order) {
    if ((h[id].before & ~done) != 0 || !state.step(h[id])) return false;
    done |= op_mask{1} << id;
  }
  return true;
}

template <class Spec>
agreement compare(const Spec& start, std::uint64_t histories, std::uint64_t seed) {
  agreement result;
  history h;
  wgl<Spec> search;
  wgl<colliding<Spec>> hard_search;
  random_source random(seed);
  for (std::uint64_t i = 0; i < histories; ++i) {
    make_random_history(h, start, 2 + random() % 6, random);
    for (std::uint64_t n = random() % 3; n != 0; --n) mutate<Spec>(h, random);
    const bool expected = linearizable_by_brute_force(h, start);
    const bool found = search.check(h, start);
    const bool found_with_collisions = hard_search.check(h, colliding<Spec>(start));
    (expected ? result.yes : result.no) += 1;
    if (found != expected || found_with_collisions != expected) ++result.different;
    if (!accepts(h, start, search.order()) || (found && search.order().size() != h.size())) ++result.wrong_prefix;
  }
  return result;
}

template <class Spec>
void check_agreement(const Spec& start) {
  constexpr std::uint64_t histories = 20'000;
  const agreement result = compare(start, histories, 1);
  INFO(result.yes << " linearizable, " << result.no << " not");
  CHECK(result.different == 0);
  CHECK(result.wrong_prefix == 0);
  CHECK(result.yes + result.no == histories);
  // Neither verdict is rare.
  CHECK(result.yes > histories / 10);
  CHECK(result.no > histories / 10);
}

}  // namespace

TEST_CASE("the search agrees with brute force: a strict queue", "[linearizability]") {
  check_agreement(queue_spec<2>());
}
TEST_CASE("the search agrees with brute force: a queue that may hold more than its capacity", "[linearizability]") {
  check_agreement(queue_spec<2, 3>());
}
TEST_CASE("the search agrees with brute force: a queue whose refusals are as known", "[linearizability]") {
  check_agreement(queue_spec<2, 2, refusals::as_known>());
}
TEST_CASE("the search agrees with brute force: a queue that may refuse while overlapped", "[linearizability]") {
  check_agreement(queue_spec<2, 2, refusals::while_overlapped>());
}
TEST_CASE("the search agrees with brute force: a semaphore", "[linearizability]") {
  check_agreement(semaphore_spec(2));
}
TEST_CASE("the search agrees with brute force: a token budget", "[linearizability]") {
  check_agreement(budget_spec({.deposit_milli = 500, .milli_per_ms = 100, .burst = 2}));
}
TEST_CASE("the search agrees with brute force: one key of a cache", "[linearizability]") {
  check_agreement(cache_spec());
}
TEST_CASE("the search agrees with brute force: a circuit breaker", "[linearizability]") {
  check_agreement(breaker_spec({.failures = 1, .probes = 1, .lease = 2, .open_base = 1, .open_max = 4}));
}

TEST_CASE("sixty-four operations are searched, and the memo keeps a hopeless history from taking for ever",
          "[linearizability]") {
  // All overlap. 32 pushes of the same item and 31 pops of it, and a pop of what nobody pushed: 64! orders, few states.
  using spec = queue_spec<32>;
  history h;
  for (int i = 0; i < 32; ++i) h.add(spec::push(1));
  for (int i = 0; i < 31; ++i) h.add(spec::pop(true, 1));
  h.add(spec::pop(true, 2));
  wgl<queue_spec<32>> search;
  // Without any order the states are still as many as the subsets: so each side is one thread, as in a queue.
  h.order([](std::size_t a, std::size_t b) { return a < b && (a < 32) == (b < 32); });
  CHECK_FALSE(search.check(h, spec()));
  CHECK(search.nodes() < 10'000);
  CHECK(search.order().size() == 63);
  h[63].results[1] = 1;
  CHECK(search.check(h, spec()));
  CHECK(search.order().size() == 64);
}

TEST_CASE("an explanation shows the history, the longest order and what is refused then", "[linearizability]") {
  using spec = queue_spec<2>;
  history h;
  h.add(spec::push(1));
  h.add(spec::push(2)).thread = 1;
  h.add(spec::pop(true, 3));
  h.order([](std::size_t a, std::size_t b) { return b == 2 && a < 2; });
  wgl<spec> search;
  REQUIRE_FALSE(search.check(h, spec()));
  CHECK(explain(h, spec(), search) ==
        "not linearizable\n"
        "  begins with: []\n"
        "   # thread  operation and answer  overlaps\n"
        "   0    0    push 1: taken         1\n"
        "   1    1    push 2: taken         0\n"
        "   2    0    pop: 3\n"
        "  longest order found, 2 of 3: 0 1\n"
        "  which leads to: [1 2]\n"
        "  where none of these is allowed:\n"
        "     2  pop: 3\n");
}
