// SPDX-License-Identifier: MIT
// Read-modify-writes: nothing comes between what one reads and what it writes, and a failed exchange is only a load.
#include "model/self/program.hpp"

namespace holdfast_model {
namespace {
using namespace holdfast::mo;

void final_x(cells& c) {
  c.r[2] = c.x.load(relaxed);
}

template <bool Weak>
program one_winner(const char* name, const char* allowed) {
  return {.name = name,
          .threads = {[](cells& c) {
                        int e = 0;
                        c.r[0] = Weak ? c.x.compare_exchange_weak(e, 1, relaxed, relaxed)
                                      : c.x.compare_exchange_strong(e, 1, relaxed, relaxed);
                      },
                      [](cells& c) {
                        int e = 0;
                        c.r[1] = Weak ? c.x.compare_exchange_weak(e, 2, relaxed, relaxed)
                                      : c.x.compare_exchange_strong(e, 2, relaxed, relaxed);
                      }},
          .allowed = allowed,
          .after = final_x};
}

void publish(cells& c) {
  c.d.set(1);
  c.x.store(1, release);
}

// Reads what was published through an exchange that is refused because the value is not the expected one.
template <auto Success, auto Failure>
void read_by_refusal(cells& c) {
  int e = 5;
  c.x.compare_exchange_strong(e, 6, Success, Failure);
  c.r[0] = e;
  if (e == 1) c.r[1] = c.d.get();
}
template <auto Success, auto Failure>
void read_by_exchange(cells& c) {
  int e = 1;
  c.r[0] = c.x.compare_exchange_strong(e, 2, Success, Failure);
  if (c.r[0] == 1) c.r[1] = c.d.get();
}

void weak_alone(cells& c) {
  int e = 0;
  c.r[0] = c.x.compare_exchange_weak(e, 1, relaxed, relaxed);
  c.r[1] = e;
}

}  // namespace

std::vector<program> exchange_programs() {
  return {
      {.name = "RMW three add",
       .threads = {[](cells& c) { c.r[0] = c.x.fetch_add(1, relaxed); },
                   [](cells& c) { c.r[1] = c.x.fetch_add(1, relaxed); },
                   [](cells& c) { c.r[2] = c.x.fetch_add(1, relaxed); }},
       .allowed = "0123 0213 1023 1203 2013 2103",
       .after = [](cells& c) { c.r[3] = c.x.load(relaxed); }},
      {.name = "RMW and a store",
       .threads = {[](cells& c) { c.r[0] = c.x.fetch_add(1, relaxed); }, [](cells& c) { c.x.store(5, relaxed); }},
       .allowed = "05 56",
       .after = [](cells& c) { c.r[1] = c.x.load(relaxed); }},
      {.name = "RMW two exchanges",
       .threads = {[](cells& c) { c.r[0] = c.x.exchange(1, relaxed); },
                   [](cells& c) { c.r[1] = c.x.exchange(2, relaxed); }},
       .allowed = "012 201",
       .after = final_x},
      {.name = "RMW all its kinds",
       .threads = {[](cells& c) {
         c.r[0] = c.x.fetch_add(6, relaxed);
         c.r[1] = c.x.fetch_sub(1, relaxed);
         c.r[2] = c.x.fetch_or(2, relaxed);
         c.r[3] = c.x.fetch_and(4, relaxed);
         c.r[4] = c.x.exchange(9, relaxed);
         c.r[5] = c.x.load(relaxed);
       }},
       .allowed = "065749"},
      one_winner<false>("CAS strong, one wins", "101 012"),
      one_winner<true>("CAS weak, one wins at most", "000 101 012"),
      {.name = "CAS strong alone succeeds",
       .threads = {[](cells& c) {
         int e = 0;
         c.r[0] = c.x.compare_exchange_strong(e, 1, relaxed, relaxed);
         c.r[1] = e;
       }},
       .allowed = "10"},
      {.name = "CAS weak alone may fail, and leaves the expected value", .threads = {weak_alone}, .allowed = "00 10"},
      {.name = "CAS weak with no failure left",
       .threads = {weak_alone},
       .allowed = "10",
       .options = {.weak_failures = 0}},
      {.name = "CAS weak fails on a value that another one took",
       .threads = {[](cells& c) { c.r[0] = c.x.fetch_add(1, relaxed); },
                   [](cells& c) {
                     int e = 0;
                     c.r[1] = c.x.compare_exchange_weak(e, 5, relaxed, relaxed);
                     c.r[2] = e;
                     c.r[3] = c.x.load(relaxed);
                   }},
       // taken first: 5, then added to; refused for no reason: old or new afterwards; refused for the 1 that it read
       .allowed = "0000 0001 0011 5105 5106"},
      {.name = "CAS strong reads an old value",
       .threads = {[](cells& c) { c.x.store(1, relaxed); },
                   [](cells& c) {
                     int e = 1;
                     c.r[0] = c.x.compare_exchange_strong(e, 2, relaxed, relaxed);
                     c.r[1] = e;
                   }},
       .allowed = "001 112",
       .after = final_x},
      {.name = "CAS failure acquires", .threads = {publish, read_by_refusal<relaxed, acquire>}, .allowed = "07 11"},
      {.name = "CAS failure relaxed, success acquire",
       .threads = {publish, read_by_refusal<acquire, relaxed>},
       .fails = "data race"},
      {.name = "CAS failure relaxed, success acq_rel",
       .threads = {publish, read_by_refusal<acq_rel, relaxed>},
       .fails = "data race"},
      {.name = "CAS success acquires", .threads = {publish, read_by_exchange<acquire, relaxed>}, .allowed = "07 11"},
      {.name = "CAS success relaxed, failure acquire",
       .threads = {publish, read_by_exchange<relaxed, acquire>},
       .fails = "data race"},
  };
}

}  // namespace holdfast_model
