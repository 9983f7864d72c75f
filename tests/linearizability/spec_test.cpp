// SPDX-License-Identifier: MIT
// Known histories of each specification: what it must accept, and what it must not.
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "breaker_spec.hpp"
#include "broadcast_spec.hpp"
#include "budget_spec.hpp"
#include "cache_spec.hpp"
#include "history.hpp"
#include "lanes_spec.hpp"
#include "queue_spec.hpp"
#include "rate_spec.hpp"
#include "semaphore_spec.hpp"
#include "support/catch.hpp"
#include "wgl.hpp"

using namespace holdfast_lin;

namespace {

struct during {
  operation op;
  int from;
  int to;
};

// One thread's operations have an order even where their times do not say so, as in a batch.
operation by(std::uint8_t thread, operation op) {
  op.thread = thread;
  return op;
}

template <class Spec>
bool linearizable(const Spec& start, const std::vector<during>& operations) {
  history h;
  for (const during& d : operations) h.add(d.op);
  h.order([&](std::size_t a, std::size_t b) {
    const bool same_thread = h[a].thread != 0 && h[a].thread == h[b].thread;
    return operations[a].to < operations[b].from || (same_thread && a < b);
  });
  wgl<Spec> search;
  return search.check(h, start);
}

// One after the other.
template <class Spec>
bool in_turn(const Spec& start, const std::vector<operation>& operations) {
  std::vector<during> timed;
  for (const operation& op : operations)
    timed.push_back({op, 2 * static_cast<int>(timed.size()), 2 * static_cast<int>(timed.size())});
  return linearizable(start, timed);
}

}  // namespace

// ---- queue

using strict = queue_spec<2>;

TEST_CASE("queue: first in, first out", "[linearizability][queue]") {
  CHECK(in_turn(strict(),
                {strict::push(1), strict::push(2), strict::pop(true, 1), strict::pop(true, 2), strict::pop(false)}));
  CHECK_FALSE(in_turn(strict(), {strict::push(1), strict::push(2), strict::pop(true, 2)}));
}
TEST_CASE("queue: overlapping pushes may come in either order, but in one", "[linearizability][queue]") {
  CHECK(linearizable(
      strict(),
      {{strict::push(1), 0, 5}, {strict::push(2), 1, 4}, {strict::pop(true, 2), 6, 7}, {strict::pop(true, 1), 8, 9}}));
  CHECK_FALSE(linearizable(strict(), {{strict::push(1), 0, 1},
                                      {strict::push(2), 2, 3},
                                      {strict::pop(true, 2), 4, 9},
                                      {strict::pop(true, 1), 10, 11}}));
}
TEST_CASE("queue: a lost item, a doubled one and one from nowhere are found", "[linearizability][queue]") {
  CHECK_FALSE(in_turn(strict(), {strict::push(1), strict::pop(false)}));
  CHECK_FALSE(in_turn(strict(), {strict::push(1), strict::push(2), strict::pop(true, 2), strict::pop(false)}));
  CHECK_FALSE(in_turn(strict(), {strict::push(1), strict::pop(true, 1), strict::pop(true, 1)}));
  CHECK_FALSE(
      linearizable(strict(), {{strict::push(1), 0, 9}, {strict::pop(true, 1), 1, 2}, {strict::pop(true, 1), 3, 4}}));
  CHECK_FALSE(in_turn(strict(), {strict::push(1), strict::pop(true, 3)}));
}
TEST_CASE("queue: an item is not there before its push was called", "[linearizability][queue]") {
  CHECK(linearizable(strict(), {{strict::pop(true, 1), 0, 3}, {strict::push(1), 1, 4}}));
  CHECK_FALSE(linearizable(strict(), {{strict::pop(true, 1), 0, 1}, {strict::push(1), 2, 3}}));
}
TEST_CASE("queue: full and empty are true at some moment of the call", "[linearizability][queue]") {
  CHECK(in_turn(strict(), {strict::push(1), strict::push(2), strict::push(3, false)}));
  CHECK_FALSE(in_turn(strict(), {strict::push(1), strict::push(3, false)}));
  CHECK_FALSE(in_turn(strict(), {strict::push(1), strict::push(2), strict::push(3)}));
  CHECK(linearizable(strict(), {{strict::push(1), 0, 0},
                                {strict::push(2), 1, 1},
                                {strict::pop(true, 1), 2, 5},
                                {strict::push(3, false), 3, 4}}));
  CHECK_FALSE(linearizable(strict(), {{strict::push(1), 0, 0},
                                      {strict::push(2), 1, 1},
                                      {strict::pop(true, 1), 2, 3},
                                      {strict::push(3, false), 4, 5}}));
  CHECK(linearizable(strict(), {{strict::push(1), 0, 3}, {strict::pop(false), 1, 2}}));
}
TEST_CASE("queue: one that may hold more than its capacity may refuse or take in between", "[linearizability][queue]") {
  using lazy = queue_spec<2, 3>;
  CHECK(in_turn(lazy(), {lazy::push(1), lazy::push(2), lazy::push(3)}));
  CHECK(in_turn(lazy(), {lazy::push(1), lazy::push(2), lazy::push(3, false)}));
  CHECK_FALSE(in_turn(lazy(), {lazy::push(1), lazy::push(2, false)}));
  CHECK_FALSE(in_turn(lazy(), {lazy::push(1), lazy::push(2), lazy::push(3), lazy::push(4)}));
}
TEST_CASE("queue: two that publish and then look may both look too early, where refusals are as known",
          "[linearizability][queue]") {
  const auto history_of = [](auto spec) {
    using q = decltype(spec);
    return std::vector<during>{{q::push(1), 0, 1},
                               {q::push(2), 2, 3},
                               {q::pop(true, 1), 4, 5},
                               {by(1, q::push(3)), 6, 20},
                               {by(1, q::push(4, false)), 6, 20},
                               {by(2, q::pop(true, 2)), 7, 19},
                               {by(2, q::pop(false)), 7, 19}};
  };
  using known = queue_spec<2, 2, refusals::as_known>;
  CHECK_FALSE(linearizable(strict(), history_of(strict())));
  CHECK(linearizable(known(), history_of(known())));
  // What had returned before the call counts.
  CHECK_FALSE(in_turn(known(), {known::push(1), known::pop(false)}));
  CHECK_FALSE(in_turn(known(), {known::push(1), known::push(2), known::pop(true, 1), known::push(3, false)}));
  CHECK_FALSE(linearizable(known(), {{known::push(1), 0, 1}, {known::push(2), 2, 9}, {known::pop(false), 3, 4}}));
  CHECK(linearizable(
      known(), {{known::push(1), 0, 1}, {known::push(2), 2, 9}, {known::holds(1), 3, 4}, {known::pop(true, 1), 5, 6}}));
  CHECK_FALSE(linearizable(known(), {{known::push(1), 0, 1}, {known::push(2), 2, 9}, {known::holds(0), 3, 4}}));
}
TEST_CASE("queue: refusals without cause, while overlapped and at any time", "[linearizability][queue]") {
  using overlapped = queue_spec<2, 2, refusals::while_overlapped>;
  using any = queue_spec<2, 2, refusals::any>;
  CHECK(linearizable(overlapped(),
                     {{overlapped::push(1), 0, 1}, {overlapped::push(2), 2, 9}, {overlapped::pop(false), 3, 4}}));
  CHECK_FALSE(linearizable(overlapped(), {{overlapped::push(1), 0, 1}, {overlapped::pop(false), 3, 4}}));
  CHECK(linearizable(any(), {{any::push(1), 0, 1}, {any::pop(false), 3, 4}, {any::push(2, false), 5, 6}}));
  CHECK_FALSE(linearizable(any(), {{any::push(1), 0, 1}, {any::pop(true, 2), 3, 4}}));
}

TEST_CASE("queue: busy needs another operation at the same time, and says nothing else", "[linearizability][queue]") {
  const auto push_busy = strict::push(2, queue_said::busy);
  const auto pop_busy = strict::pop(queue_said::busy);
  CHECK(linearizable(strict(), {{strict::push(1), 0, 3}, {push_busy, 1, 2}, {strict::pop(true, 1), 4, 5}}));
  CHECK(linearizable(strict(), {{strict::push(1), 0, 3}, {pop_busy, 1, 2}, {strict::pop(true, 1), 4, 5}}));
  CHECK_FALSE(in_turn(strict(), {strict::push(1), push_busy}));
  CHECK_FALSE(in_turn(strict(), {strict::push(1), pop_busy}));
  CHECK_FALSE(linearizable(strict(), {{strict::push(1), 0, 3}, {push_busy, 1, 2}, {strict::pop(true, 2), 4, 5}}));
}
TEST_CASE("queue: one that is closed takes nothing more, is drained, and then says so", "[linearizability][queue]") {
  const auto push_closed = strict::push(2, queue_said::closed);
  const auto pop_closed = strict::pop(queue_said::closed);
  CHECK(in_turn(strict(), {strict::push(1), strict::close(), push_closed, strict::pop(true, 1), pop_closed}));
  CHECK_FALSE(in_turn(strict(), {strict::push(1), strict::close(), pop_closed}));
  CHECK_FALSE(in_turn(strict(), {strict::close(), strict::push(1)}));
  CHECK_FALSE(in_turn(strict(), {strict::close(), strict::pop(false)}));
  CHECK_FALSE(in_turn(strict(), {strict::push(1), push_closed}));
  CHECK_FALSE(in_turn(strict(), {strict::push(1), strict::pop(true, 1), pop_closed}));
  CHECK(linearizable(strict(), {{strict::close(), 0, 3}, {strict::push(1), 1, 2}, {strict::pop(true, 1), 4, 5}}));
}

// ---- lanes

using two_lanes = lanes_spec<2, 1, 1>;  // even items in one, odd ones in the other

TEST_CASE("lanes: each is a queue of its own, and a pop takes the oldest of any", "[linearizability][lanes]") {
  CHECK(in_turn(two_lanes(), {two_lanes::push(2, true), two_lanes::push(3, true), two_lanes::pop(true, 3),
                              two_lanes::pop(true, 2), two_lanes::pop(false)}));
  CHECK_FALSE(in_turn(two_lanes(), {two_lanes::push(2, true), two_lanes::pop(true, 4)}));
}

TEST_CASE("lanes: a push is refused by its own lane only, a pop by all of them", "[linearizability][lanes]") {
  CHECK(in_turn(two_lanes(), {two_lanes::push(2, true), two_lanes::push(4, false), two_lanes::push(3, true)}));
  CHECK_FALSE(in_turn(two_lanes(), {two_lanes::push(2, true), two_lanes::push(3, false)}));
  CHECK_FALSE(in_turn(two_lanes(), {two_lanes::push(2, true), two_lanes::pop(false)}));
  CHECK_FALSE(in_turn(two_lanes(), {two_lanes::push(3, true), two_lanes::pop(false)}));
}

// ---- semaphore

TEST_CASE("semaphore: as many as the limit, and no refusal without cause", "[linearizability][semaphore]") {
  using s = semaphore_spec;
  CHECK(in_turn(s(2),
                {s::acquire(true), s::acquire(true), s::acquire(false), s::leave(), s::acquire(true), s::state(2, 2)}));
  CHECK_FALSE(in_turn(s(2), {s::acquire(true), s::acquire(true), s::acquire(true)}));
  CHECK_FALSE(in_turn(s(2), {s::acquire(true), s::acquire(false)}));
  CHECK_FALSE(in_turn(s(2), {s::acquire(true), s::leave(), s::leave()}));
  CHECK_FALSE(in_turn(s(2), {s::acquire(true), s::state(2, 2)}));
}
TEST_CASE("semaphore: two at the last place cannot both have it, nor both be refused", "[linearizability][semaphore]") {
  using s = semaphore_spec;
  CHECK(linearizable(s(1), {{s::acquire(true), 0, 5}, {s::acquire(false), 1, 4}}));
  CHECK_FALSE(linearizable(s(1), {{s::acquire(true), 0, 5}, {s::acquire(true), 1, 4}}));
  CHECK_FALSE(linearizable(s(1), {{s::acquire(false), 0, 5}, {s::acquire(false), 1, 4}}));
  CHECK(linearizable(s(1, 1), {{s::leave(), 0, 5}, {s::acquire(false), 1, 4}, {s::acquire(true), 6, 7}}));
}
TEST_CASE("semaphore: a smaller limit holds at once for new calls and turns nobody out",
          "[linearizability][semaphore]") {
  using s = semaphore_spec;
  CHECK(in_turn(s(3, 3), {s::set_limit(1), s::state(3, 1), s::leave(), s::leave(), s::acquire(false), s::leave(),
                          s::acquire(true)}));
  CHECK_FALSE(in_turn(s(3, 2), {s::set_limit(2), s::acquire(true)}));
  CHECK(linearizable(s(3, 2), {{s::set_limit(2), 0, 5}, {s::acquire(true), 1, 4}, {s::acquire(false), 6, 7}}));
  CHECK_FALSE(linearizable(s(1, 1), {{s::set_limit(2), 0, 1}, {s::acquire(false), 2, 3}}));
}

// ---- token budget

TEST_CASE("budget: no more is taken than there is", "[linearizability][budget]") {
  using b = budget_spec;
  const b two({.deposit_milli = 500, .milli_per_ms = 100, .burst = 2});
  CHECK(in_turn(two, {b::take(0, 1, true), b::take(0, 1, true), b::take(0, 1, false), b::balance(0, 0)}));
  CHECK_FALSE(in_turn(two, {b::take(0, 2, true), b::take(0, 1, true)}));
  CHECK_FALSE(in_turn(two, {b::take(0, 1, true), b::take(0, 1, false)}));
  CHECK_FALSE(linearizable(two, {{b::take(0, 2, true), 0, 5}, {b::take(0, 2, true), 1, 4}}));
  CHECK(linearizable(two, {{b::take(0, 2, true), 0, 5}, {b::take(0, 2, false), 1, 4}}));
}
TEST_CASE("budget: deposits, what is given back and time fill the purse, once and not beyond its rim",
          "[linearizability][budget]") {
  using b = budget_spec;
  const b two({.deposit_milli = 500, .milli_per_ms = 100, .burst = 2});
  CHECK(in_turn(
      two, {b::take(0, 2, true), b::first_attempt(0), b::balance(0, 500), b::first_attempt(0), b::take(0, 1, true)}));
  CHECK(in_turn(two, {b::take(0, 2, true), b::give_back(0, 1), b::balance(0, 1000)}));
  CHECK(in_turn(two, {b::take(0, 2, true), b::balance(10, 1000), b::balance(100, 2000), b::balance(5, 500)}));
  CHECK(in_turn(two, {b::first_attempt(0), b::balance(0, 2000)}));
  CHECK_FALSE(in_turn(two, {b::take(0, 2, true), b::first_attempt(0), b::balance(0, 1000)}));
  CHECK_FALSE(in_turn(two, {b::take(0, 2, true), b::give_back(0, 2), b::give_back(0, 1), b::balance(0, 3000)}));
}
TEST_CASE("budget: time that an older clock tells earns nothing, and none is earned twice",
          "[linearizability][budget]") {
  using b = budget_spec;
  const b two({.deposit_milli = 500, .milli_per_ms = 100, .burst = 2});
  CHECK(in_turn(two, {b::take(10, 2, true), b::first_attempt(3), b::balance(10, 500), b::balance(12, 700)}));
  CHECK_FALSE(in_turn(two, {b::take(10, 2, true), b::first_attempt(3), b::balance(10, 1200)}));
  CHECK_FALSE(in_turn(two, {b::take(0, 2, true), b::first_attempt(5), b::first_attempt(5), b::balance(5, 2000)}));
}
TEST_CASE("budget: a lost deposit is found, whichever of two that overlap was lost", "[linearizability][budget]") {
  using b = budget_spec;
  const b empty({.deposit_milli = 500, .milli_per_ms = 0, .burst = 2});
  const std::vector<during> both{{b::take(0, 2, true), 0, 0}, {b::first_attempt(0), 1, 4}, {b::first_attempt(0), 2, 5}};
  auto right = both;
  right.push_back({b::balance(0, 1000), 6, 6});
  auto wrong = both;
  wrong.push_back({b::balance(0, 500), 6, 6});
  CHECK(linearizable(empty, right));
  CHECK_FALSE(linearizable(empty, wrong));
}

// ---- rate limiter

TEST_CASE("rate: no more is taken than there is, and who is refused is told the wait", "[linearizability][rate]") {
  using r = rate_spec;
  const r two({.period = 10, .burst = 2});
  CHECK(in_turn(
      two, {r::take(100, 1, 0), r::take(100, 2, 10), r::take(100, 1, 0), r::take(100, 1, 10), r::look(100, 0, 20)}));
  CHECK(in_turn(two, {r::take(100, 3, r::infeasible), r::look(100, 2, 0), r::take(100, 0, 0), r::look(100, 2, 0)}));
  CHECK_FALSE(in_turn(two, {r::take(100, 2, 0), r::take(100, 1, 0)}));
  CHECK_FALSE(in_turn(two, {r::take(100, 1, 0), r::take(100, 1, 10)}));
  CHECK_FALSE(in_turn(two, {r::take(100, 2, 0), r::take(100, 1, 9)}));
  CHECK_FALSE(in_turn(two, {r::take(100, 3, 10)}));
  CHECK_FALSE(linearizable(two, {{r::take(100, 2, 0), 0, 5}, {r::take(100, 1, 0), 1, 4}}));
  CHECK(linearizable(two, {{r::take(100, 2, 0), 0, 5}, {r::take(100, 1, 10), 1, 4}}));
}
TEST_CASE("rate: time earns permits, and a reading that is older finds fewer", "[linearizability][rate]") {
  using r = rate_spec;
  const r two({.period = 10, .burst = 2});
  CHECK(in_turn(
      two, {r::take(100, 2, 0), r::take(109, 1, 1), r::take(110, 1, 0), r::look(115, 0, 15), r::look(120, 1, 10)}));
  CHECK(in_turn(two, {r::take(200, 1, 0), r::take(100, 1, 100), r::take(200, 1, 0)}));
  CHECK_FALSE(in_turn(two, {r::take(200, 2, 0), r::take(100, 1, 0)}));
  CHECK_FALSE(in_turn(two, {r::take(200, 2, 0), r::take(100, 1, 110), r::take(200, 1, 0)}));
}
TEST_CASE("rate: reservations begin one after the other, and the last one can be given back",
          "[linearizability][rate]") {
  using r = rate_spec;
  const r one({.period = 10, .burst = 1});
  CHECK(in_turn(one, {r::reserve(100, 1, 0, 0, 100, 0, 110), r::reserve(100, 1, 15, 0, 110, 110, 120),
                      r::reserve(100, 1, 15, 5, 0, 0, 0), r::give_back(0, 110, false), r::give_back(110, 120, true),
                      r::give_back(110, 120, false), r::look(100, 0, 10), r::give_back(0, 0, false)}));
  // As if nobody had asked, for an earlier time too.
  CHECK(in_turn(one, {r::reserve(100, 1, 0, 0, 100, 0, 110), r::give_back(0, 110, true), r::take(50, 1, 0)}));
  CHECK_FALSE(in_turn(one, {r::reserve(100, 1, 0, 0, 100, 0, 110), r::give_back(0, 110, true), r::take(50, 1, 50)}));
  CHECK_FALSE(in_turn(one, {r::reserve(100, 1, 20, 0, 100, 0, 110), r::reserve(100, 1, 20, 0, 100, 110, 120)}));
  CHECK_FALSE(in_turn(one, {r::reserve(100, 1, 20, 0, 100, 0, 110), r::reserve(100, 1, 20, 0, 110, 110, 120),
                            r::give_back(0, 110, true)}));
  CHECK_FALSE(linearizable(
      one, {{r::reserve(100, 1, 20, 0, 100, 0, 110), 0, 5}, {r::reserve(100, 1, 20, 0, 100, 0, 110), 1, 4}}));
  CHECK(linearizable(one, {{r::reserve(100, 1, 20, 0, 100, 0, 110), 0, 5},
                           {r::reserve(100, 1, 20, 0, 110, 110, 120), 1, 4},
                           {r::give_back(0, 110, false), 6, 7}}));
}

// ---- broadcast

TEST_CASE("broadcast: each reader sees each record in its turn", "[linearizability][broadcast]") {
  using b = broadcast_spec<2, 2>;
  using holdfast::broadcast_state;
  const auto got = [](std::size_t who, std::int64_t value) { return b::read(who, broadcast_state::record, value, 0); };
  const auto nothing = [](std::size_t who) { return b::read(who, broadcast_state::nothing, 0, 0); };
  CHECK(in_turn(b(), {nothing(0), b::write(5), got(0, 5), nothing(0), got(1, 5), b::write(6), got(1, 6), got(0, 6)}));
  CHECK_FALSE(in_turn(b(), {b::write(5), nothing(0)}));
  CHECK_FALSE(in_turn(b(), {b::write(5), got(0, 6)}));
  CHECK_FALSE(in_turn(b(), {b::write(5), got(0, 5), got(0, 5)}));
  CHECK_FALSE(in_turn(b(), {b::write(5), b::write(6), got(0, 6)}));
  CHECK(linearizable(b(), {{b::write(5), 0, 9}, {got(0, 5), 1, 2}, {got(1, 5), 3, 4}}));
  CHECK(linearizable(b(), {{b::write(5), 0, 9}, {nothing(0), 1, 2}, {got(1, 5), 3, 4}}));
  CHECK_FALSE(linearizable(b(), {{b::write(5), 0, 9}, {got(0, 5), 1, 2}, {nothing(1), 3, 4}}));
}
TEST_CASE("broadcast: what is gone is counted, and no more than that", "[linearizability][broadcast]") {
  using b = broadcast_spec<2, 2>;
  using holdfast::broadcast_state;
  const auto got = [](std::int64_t value) { return b::read(0, broadcast_state::record, value, 0); };
  const auto gone = [](std::uint64_t missed) { return b::read(0, broadcast_state::overwritten, 0, missed); };
  const std::vector<operation> five{b::write(1), b::write(2), b::write(3), b::write(4), b::write(5)};
  const auto then = [&](std::initializer_list<operation> more) {
    std::vector<operation> all = five;
    all.insert(all.end(), more);
    return in_turn(b(), all);
  };
  CHECK(then({gone(3), got(4), got(5)}));
  CHECK(then({gone(4), got(5)}));  // the oldest goes when the next write begins
  CHECK(then({gone(1), gone(2), got(4)}));
  CHECK_FALSE(then({gone(5)}));  // the newest is there
  CHECK_FALSE(then({gone(0)}));
  CHECK_FALSE(then({got(1)}));
  CHECK_FALSE(then({gone(2), got(4)}));
  CHECK_FALSE(in_turn(b(), {b::write(1), gone(1)}));
}

// ---- cache

TEST_CASE("cache: a get finds the value that is there, with its true age", "[linearizability][cache]") {
  using c = cache_spec;
  CHECK(in_turn(c(), {c::miss(0), c::put(7, 5, put_answer::stored), c::found(9, 7, 4), c::found(2, 7, 0)}));
  CHECK_FALSE(in_turn(c(), {c::put(7, 5, put_answer::stored), c::found(9, 7, 3)}));
  CHECK_FALSE(in_turn(c(), {c::put(7, 5, put_answer::stored), c::found(9, 8, 4)}));
  CHECK_FALSE(in_turn(c(), {c::put(7, 5, put_answer::stored), c::miss(9)}));
}
TEST_CASE("cache: what was replaced or erased is not seen again", "[linearizability][cache]") {
  using c = cache_spec;
  const operation one = c::put(1, 1, put_answer::stored);
  const operation two = c::put(2, 2, put_answer::stored);
  CHECK(linearizable(c(), {{one, 0, 0}, {two, 1, 9}, {c::found(2, 1, 1), 2, 3}, {c::found(2, 2, 0), 4, 5}}));
  CHECK_FALSE(linearizable(c(), {{one, 0, 0}, {two, 1, 9}, {c::found(2, 2, 0), 2, 3}, {c::found(2, 1, 1), 4, 5}}));
  CHECK_FALSE(in_turn(c(), {one, c::erase(true), c::found(1, 1, 0)}));
  CHECK(in_turn(c(), {one, c::erase(true), c::erase(false), c::miss(1)}));
  CHECK_FALSE(in_turn(c(), {one, c::erase(true), c::erase(true)}));
  CHECK_FALSE(in_turn(c(), {one, c::erase(false)}));
}
TEST_CASE("cache: an older value never takes the place of a younger one", "[linearizability][cache]") {
  using c = cache_spec;
  const operation young = c::put(1, 5, put_answer::stored);
  CHECK(in_turn(c(), {young, c::put(2, 4, put_answer::older), c::found(5, 1, 0)}));
  CHECK_FALSE(in_turn(c(), {young, c::put(2, 4, put_answer::stored)}));
  CHECK_FALSE(in_turn(c(), {young, c::put(2, 5, put_answer::older)}));
}
TEST_CASE("cache: busy only beside another put, a false miss only when overtaken eight times",
          "[linearizability][cache]") {
  using c = cache_spec;
  const operation one = c::put(1, 1, put_answer::stored);
  CHECK_FALSE(in_turn(c(), {one, c::put(2, 2, put_answer::busy)}));
  CHECK(linearizable(c(), {{one, 0, 5}, {c::put(2, 2, put_answer::busy), 1, 4}, {c::found(1, 1, 0), 6, 6}}));
  CHECK_FALSE(linearizable(c(), {{one, 0, 0}, {c::put(2, 2, put_answer::stored), 1, 4}, {c::miss(2), 2, 3}}));
  CHECK(linearizable(c(), {{one, 0, 0},
                           {c::put(2, 2, put_answer::stored), 1, 3},
                           {c::put(3, 3, put_answer::stored), 4, 6},
                           {c::miss(2), 2, 5}}));
  // An erase that overlaps a put looks more than once.
  CHECK(linearizable(c(), {{one, 0, 2},
                           {c::erase(true), 1, 9},
                           {c::miss(2), 3, 4},
                           {c::put(2, 2, put_answer::stored), 5, 6},
                           {c::found(2, 2, 0), 7, 8},
                           {c::miss(2), 10, 11}}));
}

// ---- circuit breaker

namespace {
using b = breaker_spec;
constexpr auto failure = report_effect::failure;
constexpr auto success = report_effect::success;
constexpr auto neutral = report_effect::neutral;
constexpr std::int64_t opens = transition_of(breaker_reason::failures, breaker_kind::closed, breaker_kind::open, 1);
constexpr std::int64_t probes_2 =
    transition_of(breaker_reason::open_time_over, breaker_kind::open, breaker_kind::half_open, 2);
constexpr std::int64_t closes_3 =
    transition_of(breaker_reason::probes_passed, breaker_kind::half_open, breaker_kind::closed, 3);
constexpr std::int64_t reopens_3 =
    transition_of(breaker_reason::probe_failed, breaker_kind::half_open, breaker_kind::open, 3);
const operation admitted = b::admitted(0, 0, false);
// Two failures at 0, and it is open until 2.
const std::vector<operation> opened{admitted, admitted, b::report(0, 0, false, failure, false),
                                    b::report(0, 0, false, failure, false, opens)};

std::vector<operation> after(std::vector<operation> first, const std::vector<operation>& then) {
  first.insert(first.end(), then.begin(), then.end());
  return first;
}
}  // namespace

TEST_CASE("breaker: opens at so many failures in a row, and a success between begins anew",
          "[linearizability][breaker]") {
  CHECK(in_turn(b(), opened));
  CHECK(in_turn(b(), after(opened, {b::refused(1, admit_answer::open, 1)})));
  CHECK_FALSE(in_turn(b(), after(opened, {b::admitted(1, 0, false)})));
  CHECK_FALSE(in_turn(b(), after(opened, {b::refused(1, admit_answer::open, 2)})));
  CHECK_FALSE(in_turn(
      b(), {admitted, admitted, b::report(0, 0, false, failure, false), b::report(0, 0, false, failure, false)}));
  CHECK(in_turn(
      b(), {admitted, admitted, admitted, b::report(0, 0, false, failure, false),
            b::report(0, 0, false, success, false), b::report(0, 0, false, failure, false), b::admitted(0, 0, false)}));
}
TEST_CASE("breaker: a counted number of probes, and as many successes close it", "[linearizability][breaker]") {
  const auto half = after(opened, {b::admitted(2, 2, true, probes_2), b::admitted(2, 2, true)});
  CHECK(in_turn(b(), after(half, {b::refused(3, admit_answer::quota, 3)})));
  CHECK_FALSE(in_turn(b(), after(half, {b::admitted(3, 2, true)})));
  CHECK(in_turn(b(), after(half, {b::report(3, 2, true, success, false),
                                  b::report(3, 2, true, success, false, closes_3), b::admitted(3, 3, false)})));
  CHECK_FALSE(in_turn(b(), after(half, {b::report(3, 2, true, success, false, closes_3)})));
  CHECK(in_turn(b(),
                after(half, {b::report(3, 2, true, failure, false, reopens_3), b::refused(3, admit_answer::open, 4)})));
  CHECK(in_turn(b(), after(half, {b::report(3, 2, true, neutral, false), b::abandon(2, true), b::admitted(3, 2, true),
                                  b::admitted(3, 2, true), b::refused(3, admit_answer::quota, 4)})));
}
TEST_CASE("breaker: the last probe's place has one holder", "[linearizability][breaker]") {
  const b one_probe({.failures = 1, .probes = 1});
  const auto history_of = [](const operation& first, const operation& second) {
    const operation opening = b::report(0, 0, false, failure, false, opens);
    return std::vector<during>{{admitted, 0, 0}, {opening, 1, 1}, {first, 2, 5}, {second, 3, 6}};
  };
  CHECK(linearizable(one_probe, history_of(b::admitted(2, 2, true, probes_2), b::refused(2, admit_answer::quota, 4))));
  CHECK_FALSE(linearizable(one_probe, history_of(b::admitted(2, 2, true, probes_2), b::admitted(2, 2, true))));
  CHECK_FALSE(
      linearizable(one_probe, history_of(b::admitted(2, 2, true, probes_2), b::admitted(2, 2, true, probes_2))));
  CHECK_FALSE(linearizable(one_probe,
                           history_of(b::refused(2, admit_answer::quota, 4), b::refused(2, admit_answer::quota, 4))));
}
TEST_CASE("breaker: a lease that is over gives the places to others, or opens", "[linearizability][breaker]") {
  const auto half = after(opened, {b::admitted(2, 2, true, probes_2)});
  const auto renewed = transition_of(breaker_reason::lease_over, breaker_kind::half_open, breaker_kind::half_open, 3);
  const auto reopened = transition_of(breaker_reason::lease_over, breaker_kind::half_open, breaker_kind::open, 3);
  CHECK(in_turn(b(), after(half, {b::admitted(6, 3, true, renewed), b::report(6, 2, true, success, true)})));
  CHECK_FALSE(in_turn(b(), after(half, {b::admitted(5, 3, true, renewed)})));
  const b strict_lease({.reopens = true});
  CHECK(in_turn(strict_lease, after(half, {b::refused(6, admit_answer::open, 4, reopened)})));
  CHECK_FALSE(in_turn(strict_lease, after(half, {b::admitted(6, 3, true, renewed)})));
}
TEST_CASE("breaker: a result of an earlier generation changes nothing and is told so", "[linearizability][breaker]") {
  const auto three = after({admitted}, opened);
  CHECK(in_turn(b(), after(three, {b::report(1, 0, false, failure, true), b::refused(1, admit_answer::open, 1)})));
  CHECK_FALSE(in_turn(b(), after(three, {b::report(1, 0, false, failure, false)})));
  const operation fails = b::report(0, 0, false, failure, false);
  const operation opening = b::report(0, 0, false, failure, false, opens);
  // It came in before the generation ended, and found it ended when it was to be counted.
  const b at_first({.failures = 1});
  CHECK(linearizable(at_first, {{admitted, 0, 0}, {admitted, 1, 1}, {opening, 2, 5}, {fails, 3, 4}}));
  CHECK(linearizable(
      at_first, {{admitted, 0, 0}, {admitted, 1, 1}, {opening, 2, 5}, {b::report(0, 0, false, failure, true), 3, 4}}));
  CHECK_FALSE(linearizable(at_first, {{admitted, 0, 0}, {admitted, 1, 1}, {opening, 2, 3}, {fails, 4, 5}}));
  CHECK_FALSE(linearizable(at_first, {{admitted, 0, 0}, {admitted, 1, 1}, {opening, 2, 5}, {opening, 3, 4}}));
}
TEST_CASE("breaker: the open time doubles with each opening, up to its limit", "[linearizability][breaker]") {
  const b quick({.failures = 1, .probes = 1, .lease = 4, .open_base = 2, .open_max = 3});
  const auto half_4 = transition_of(breaker_reason::open_time_over, breaker_kind::open, breaker_kind::half_open, 4);
  const std::vector<operation> twice{admitted, b::report(0, 0, false, failure, false, opens),
                                     b::admitted(2, 2, true, probes_2),
                                     b::report(2, 2, true, failure, false, reopens_3)};
  CHECK(in_turn(quick, after(twice, {b::refused(4, admit_answer::open, 1), b::admitted(5, 4, true, half_4)})));
  CHECK_FALSE(in_turn(quick, after(twice, {b::admitted(4, 4, true, half_4)})));
  CHECK(in_turn(quick,
                after(twice, {b::state(3, {.kind = breaker_kind::open, .generation = 3, .level = 2, .left = 2})})));
  CHECK_FALSE(in_turn(
      quick, after(twice, {b::state(3, {.kind = breaker_kind::open, .generation = 3, .level = 1, .left = 2})})));
}
