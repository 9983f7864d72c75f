// SPDX-License-Identifier: MIT
// One location at a time: all threads agree on its modification order. And stores alone, to two.
#include "model/self/program.hpp"

namespace holdfast_model {
namespace {
using namespace holdfast::mo;

template <auto Store, bool Fences = false>
program two_and_two_writes(const char* name, const char* allowed) {
  return {.name = name,
          .threads = {[](cells& c) {
                        c.x.store(1, Store);
                        if constexpr (Fences) holdfast::fence(seq_cst);
                        c.y.store(2, Store);
                      },
                      [](cells& c) {
                        c.y.store(1, Store);
                        if constexpr (Fences) holdfast::fence(seq_cst);
                        c.x.store(2, Store);
                      }},
          .allowed = allowed,
          .after = [](cells& c) {
            c.r[0] = c.x.load(relaxed);
            c.r[1] = c.y.load(relaxed);
          }};
}

template <auto Store, auto Load>
program write_after_write(const char* name, const char* allowed) {
  return {.name = name,
          .threads = {[](cells& c) {
                        c.x.store(1, relaxed);
                        c.y.store(1, Store);
                      },
                      [](cells& c) {
                        c.r[0] = c.y.load(Load);
                        if (c.r[0] == 1) c.x.store(2, relaxed);
                      }},
          .allowed = allowed,
          .after = [](cells& c) { c.r[1] = c.x.load(relaxed); }};
}

void read_twice(cells& c, std::size_t to) {
  c.r[to] = c.x.load(relaxed);
  c.r[to + 1] = c.x.load(relaxed);
}

// Each reader's two values are in the modification order, which is 0 1 2 or 0 2 1.
bool one_order(const std::string& word) {
  for (const std::string& order : {std::string("012"), std::string("021")}) {
    const auto in_order = [&](std::size_t at) { return order.find(word[at]) <= order.find(word[at + 1]); };
    if (in_order(0) && in_order(2)) return true;
  }
  return false;
}

}  // namespace

std::vector<program> coherence_programs() {
  return {
      {.name = "CoRR",
       .threads = {[](cells& c) {
                     c.x.store(1, relaxed);
                     c.x.store(2, relaxed);
                   },
                   [](cells& c) { read_twice(c, 0); }},
       .allowed = "00 01 02 11 12 22"},
      {.name = "CoRR two writers, two readers",
       .threads = {[](cells& c) { c.x.store(1, relaxed); }, [](cells& c) { c.x.store(2, relaxed); },
                   [](cells& c) { read_twice(c, 0); }, [](cells& c) { read_twice(c, 2); }},
       .allowed = words_where("012", 4, one_order)},
      {.name = "CoWR",
       .threads = {[](cells& c) {
                     c.x.store(1, relaxed);
                     c.r[0] = c.x.load(relaxed);
                   },
                   [](cells& c) { c.x.store(2, relaxed); }},
       .allowed = "11 12 22",
       .after = [](cells& c) { c.r[1] = c.x.load(relaxed); }},
      {.name = "CoRW",
       .threads = {[](cells& c) {
                     c.r[0] = c.x.load(relaxed);
                     c.x.store(1, relaxed);
                   },
                   [](cells& c) { c.x.store(2, relaxed); }},
       .allowed = "01 02 21",
       .after = [](cells& c) { c.r[1] = c.x.load(relaxed); }},
      {.name = "CoWW one thread",
       .threads = {[](cells& c) {
                     c.x.store(1, relaxed);
                     c.x.store(2, relaxed);
                   },
                   [](cells& c) { c.x.store(3, relaxed); }},
       .allowed = "2 3",
       .after = [](cells& c) { c.r[0] = c.x.load(relaxed); }},
      write_after_write<release, acquire>("CoWW through release and acquire", "01 12"),
      write_after_write<relaxed, acquire>("CoWW without a release", "01 11 12"),
      write_after_write<release, relaxed>("CoWW without an acquire", "01 11 12"),
      {.name = "any old value may be read",
       .threads = {[](cells& c) {
                     for (int i = 1; i <= 5; ++i) c.x.store(i, relaxed);
                   },
                   [](cells& c) { c.r[0] = c.x.load(relaxed); }},
       .allowed = "0 1 2 3 4 5"},
      {.name = "two locations are two orders",
       .threads = {[](cells& c) {
                     c.x.store(1, relaxed);
                     c.y.store(1, relaxed);
                   },
                   [](cells& c) {
                     c.r[0] = c.y.load(relaxed);
                     c.r[1] = c.x.load(relaxed);
                     c.r[2] = c.y.load(relaxed);
                   }},
       .allowed = "000 001 010 011 101 111"},
      two_and_two_writes<relaxed>("2+2W relaxed", "11 12 21 22"),
      two_and_two_writes<release>("2+2W release", "11 12 21 22"),
      two_and_two_writes<seq_cst>("2+2W seq_cst", "12 21 22"),
      two_and_two_writes<relaxed, true>("2+2W seq_cst fences", "12 21 22"),
  };
}

}  // namespace holdfast_model
