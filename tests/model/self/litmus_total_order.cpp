// SPDX-License-Identifier: MIT
// seq_cst: the one order of its operations and fences, and what it says of the operations between them.
#include "model/self/program.hpp"

namespace holdfast_model {
namespace {
using namespace holdfast::mo;

// Relaxed: no fence there.
template <auto Order>
void fence_if() {
  if constexpr (decltype(Order)::value != std::memory_order_relaxed) holdfast::fence(Order);
}

constexpr const char* all_four = "00 01 10 11";
constexpr const char* not_both_old = "01 10 11";

template <auto Store0, auto Fence0, auto Load0, auto Store1, auto Fence1, auto Load1>
program store_buffering(const char* name, const char* allowed) {
  return {.name = name,
          .threads = {[](cells& c) {
                        c.x.store(1, Store0);
                        fence_if<Fence0>();
                        c.r[0] = c.y.load(Load0);
                      },
                      [](cells& c) {
                        c.y.store(1, Store1);
                        fence_if<Fence1>();
                        c.r[1] = c.x.load(Load1);
                      }},
          .allowed = allowed};
}
template <auto Store, auto Fence, auto Load>
program store_buffering(const char* name, const char* allowed) {
  return store_buffering<Store, Fence, Load, Store, Fence, Load>(name, allowed);
}

template <auto Store, auto Load, auto Fence = relaxed>
program iriw(const char* name, const std::string& excluded) {
  return {.name = name,
          .threads = {[](cells& c) { c.x.store(1, Store); }, [](cells& c) { c.y.store(1, Store); },
                      [](cells& c) {
                        c.r[0] = c.x.load(Load);
                        fence_if<Fence>();
                        c.r[1] = c.y.load(Load);
                      },
                      [](cells& c) {
                        c.r[2] = c.y.load(Load);
                        fence_if<Fence>();
                        c.r[3] = c.x.load(Load);
                      }},
          .allowed = all_but("01", 4, excluded)};
}

template <auto Store, auto Load, auto Fence = relaxed>
program r_shape(const char* name, const char* allowed) {
  return {.name = name,
          .threads = {[](cells& c) {
                        c.x.store(1, Store);
                        fence_if<Fence>();
                        c.y.store(1, Store);
                      },
                      [](cells& c) {
                        c.y.store(2, Store);
                        fence_if<Fence>();
                        c.r[0] = c.x.load(Load);
                      }},
          .allowed = allowed,
          .after = [](cells& c) { c.r[1] = c.y.load(relaxed); }};
}

// r0, r1 and the last y.
template <auto Store, auto Load, auto Fence = relaxed>
program z6(const char* name, bool chain) {
  return {.name = name,
          .threads = {[](cells& c) {
                        c.x.store(1, Store);
                        fence_if<Fence>();
                        c.y.store(1, Store);
                      },
                      [](cells& c) {
                        c.y.store(2, Store);
                        fence_if<Fence>();
                        c.z.store(1, Store);
                      },
                      [](cells& c) {
                        c.r[0] = c.z.load(Load);
                        fence_if<Fence>();
                        c.r[1] = c.x.load(Load);
                      }},
          .allowed = words_where("012", 3,
                                 [chain](const std::string& w) {
                                   return w[0] != '2' && w[1] != '2' && w[2] != '0' && (!chain || w != "102");
                                 }),
          .after = [](cells& c) { c.r[2] = c.y.load(relaxed); }};
}

template <auto Fence1, auto Fence2>
program read_write_causality(const char* name, const std::string& excluded) {
  return {.name = name,
          .threads = {[](cells& c) { c.x.store(1, relaxed); },
                      [](cells& c) {
                        c.r[0] = c.x.load(relaxed);
                        fence_if<Fence1>();
                        c.r[1] = c.y.load(relaxed);
                      },
                      [](cells& c) {
                        c.y.store(1, relaxed);
                        fence_if<Fence2>();
                        c.r[2] = c.x.load(relaxed);
                      }},
          .allowed = all_but("01", 3, excluded)};
}

template <auto Order>
program added_barrier(const char* name, const char* allowed) {
  return {.name = name,
          .threads = {[](cells& c) {
                        c.x.store(1, relaxed);
                        c.z.fetch_add(0, Order);
                        c.r[0] = c.y.load(relaxed);
                      },
                      [](cells& c) {
                        c.y.store(1, relaxed);
                        c.z.fetch_add(0, Order);
                        c.r[1] = c.x.load(relaxed);
                      }},
          .allowed = allowed};
}

template <auto Store, auto Add>
program loads_that_add_nothing(const char* name, const char* allowed) {
  return {.name = name,
          .threads = {[](cells& c) {
                        c.x.store(1, Store);
                        c.r[0] = c.y.fetch_add(0, Add);
                      },
                      [](cells& c) {
                        c.y.store(1, Store);
                        c.r[1] = c.x.fetch_add(0, Add);
                      }},
          .allowed = allowed};
}

template <auto Store, auto Load>
program exchanged_stores(const char* name, const char* allowed) {
  return {.name = name,
          .threads = {[](cells& c) {
                        c.x.exchange(1, Store);
                        c.r[0] = c.y.load(Load);
                      },
                      [](cells& c) {
                        c.y.exchange(1, Store);
                        c.r[1] = c.x.load(Load);
                      }},
          .allowed = allowed};
}

// The loads are exchanges that fail.
template <auto Failure>
program refused_loads(const char* name, const char* allowed) {
  return {.name = name,
          .threads = {[](cells& c) {
                        c.x.store(1, seq_cst);
                        int e = 5;
                        c.y.compare_exchange_strong(e, 6, seq_cst, Failure);
                        c.r[0] = e;
                      },
                      [](cells& c) {
                        c.y.store(1, seq_cst);
                        int e = 5;
                        c.x.compare_exchange_strong(e, 6, seq_cst, Failure);
                        c.r[1] = e;
                      }},
          .allowed = allowed};
}

}  // namespace

std::vector<program> total_order_programs() {
  return {
      store_buffering<relaxed, relaxed, relaxed>("SB relaxed", all_four),
      store_buffering<release, relaxed, acquire>("SB release, acquire", all_four),
      store_buffering<seq_cst, relaxed, seq_cst>("SB seq_cst", not_both_old),
      store_buffering<relaxed, seq_cst, relaxed>("SB seq_cst fences", not_both_old),
      store_buffering<relaxed, acq_rel, relaxed>("SB acq_rel fences", all_four),
      store_buffering<release, acq_rel, acquire>("SB all of it acq_rel", all_four),
      store_buffering<relaxed, seq_cst, relaxed, relaxed, relaxed, relaxed>("SB one fence", all_four),
      store_buffering<relaxed, seq_cst, relaxed, relaxed, acq_rel, relaxed>("SB one fence is acq_rel", all_four),
      store_buffering<relaxed, seq_cst, relaxed, seq_cst, relaxed, seq_cst>("SB fence and operations", not_both_old),
      store_buffering<seq_cst, relaxed, relaxed, seq_cst, relaxed, seq_cst>("SB one load relaxed", all_four),
      store_buffering<seq_cst, relaxed, seq_cst, release, relaxed, seq_cst>("SB one store release", all_four),
      exchanged_stores<acq_rel, acquire>("SB exchanges acq_rel, loads acquire", all_four),
      exchanged_stores<seq_cst, seq_cst>("SB exchanges seq_cst", not_both_old),
      loads_that_add_nothing<seq_cst, seq_cst>("SB loads are seq_cst RMWs", not_both_old),
      loads_that_add_nothing<release, acq_rel>("SB loads are acq_rel RMWs", all_four),
      added_barrier<acq_rel>("SB one acq_rel RMW on a third location is a barrier", not_both_old),
      added_barrier<relaxed>("SB a relaxed RMW is none", all_four),
      refused_loads<seq_cst>("SB loads are refused exchanges, seq_cst", not_both_old),
      refused_loads<acquire>("SB loads are refused exchanges, acquire", all_four),
      iriw<relaxed, relaxed>("IRIW relaxed", ""),
      iriw<release, acquire>("IRIW release, acquire", ""),
      iriw<seq_cst, acquire>("IRIW loads acquire", ""),
      iriw<seq_cst, seq_cst>("IRIW seq_cst", "1010"),
      iriw<relaxed, relaxed, seq_cst>("IRIW seq_cst fences", "1010"),
      iriw<relaxed, relaxed, acq_rel>("IRIW acq_rel fences", ""),
      r_shape<release, acquire>("R release, acquire", "01 02 11 12"),
      r_shape<seq_cst, seq_cst>("R seq_cst", "01 11 12"),
      r_shape<relaxed, relaxed, seq_cst>("R seq_cst fences", "01 11 12"),
      r_shape<relaxed, relaxed, acq_rel>("R acq_rel fences", "01 02 11 12"),
      z6<relaxed, relaxed>("Z6 relaxed", false),
      z6<release, acquire>("Z6 release, acquire", false),
      z6<seq_cst, seq_cst>("Z6 seq_cst", true),
      z6<relaxed, relaxed, seq_cst>("Z6 seq_cst fences", true),
      read_write_causality<seq_cst, seq_cst>("RWC seq_cst fences", "100"),
      read_write_causality<seq_cst, acq_rel>("RWC one fence is acq_rel", ""),
      {.name = "W+RWC one chain, two seq_cst fences",
       .threads = {[](cells& c) {
                     c.x.store(1, relaxed);
                     c.y.store(1, release);
                   },
                   [](cells& c) {
                     c.r[0] = c.y.load(acquire);
                     holdfast::fence(seq_cst);
                     c.r[1] = c.z.load(relaxed);
                   },
                   [](cells& c) {
                     c.z.store(1, relaxed);
                     holdfast::fence(seq_cst);
                     c.r[2] = c.x.load(relaxed);
                   }},
       .allowed = all_but("01", 3, "100")},
      {.name = "seq_cst data, relaxed flag (10 is not modelled)",
       .threads = {[](cells& c) {
                     c.x.store(1, seq_cst);
                     c.y.store(1, relaxed);
                   },
                   [](cells& c) {
                     c.r[0] = c.y.load(relaxed);
                     c.r[1] = c.x.load(seq_cst);
                   }},
       .allowed = "00 01 11"},
  };
}

}  // namespace holdfast_model
