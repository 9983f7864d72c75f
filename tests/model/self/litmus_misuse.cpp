// SPDX-License-Identifier: MIT
// What a program must not do, and its right counterpart: races, lifetimes, memory, orders that do not exist.
#include <new>

#include "model/engine/engine.hpp"
#include "model/self/program.hpp"

namespace holdfast_model {
namespace {
using namespace holdfast::mo;
using atomic_int = holdfast::atomic<int>;
using plain_int = holdfast::plain<int>;

void writes(cells& c) {
  c.d.set(1);
}
void reads(cells& c) {
  c.r[0] = c.d.get();
}
void nothing(cells&) {}

template <class T>
T& made_in(cells& c) {
  return *std::launder(reinterpret_cast<T*>(c.raw.data()));
}
template <class T>
void make(cells& c) {
  ::new (static_cast<void*>(c.raw.data())) T(3);
}
template <class T, auto Order>
void make_and_tell(cells& c) {
  make<T>(c);
  c.x.store(1, Order);
}
template <auto Order>
void use_atomic_when_told(cells& c) {
  c.r[0] = c.x.load(Order);
  if (c.r[0] == 1) c.r[1] = made_in<atomic_int>(c).load(relaxed);
}
void use_atomic(cells& c) {
  c.r[0] = made_in<atomic_int>(c).load(relaxed);
}
void read_made(cells& c) {
  c.r[0] = made_in<plain_int>(c).get();
}
template <class T>
void destroy(cells& c) {
  made_in<T>(c).~T();
}

struct node {
  plain_int value{1};
  atomic_int state{2};
};
node& held(cells& c) {
  return *static_cast<node*>(c.block);
}
void allocate(cells& c) {
  c.block = new node;
}
void release_block(cells& c) {
  delete static_cast<node*>(c.block);
}

// A memory block without destructors, so that only the memory's own life is watched.
void allocate_raw(cells& c) {
  c.block = ::operator new(sizeof(node));
  ::new (c.block) node;
}
void free_raw(cells& c) {
  ::operator delete(c.block);
}

program bad(const char* name, std::vector<void (*)(cells&)> threads, const char* words,
            void (*before)(cells&) = nullptr, void (*after)(cells&) = nullptr) {
  return {.name = name, .threads = std::move(threads), .fails = words, .after = after, .before = before};
}
program fine(const char* name, std::vector<void (*)(cells&)> threads, const char* allowed,
             void (*before)(cells&) = nullptr, void (*after)(cells&) = nullptr) {
  return {.name = name, .threads = std::move(threads), .allowed = allowed, .after = after, .before = before};
}

// Orders as values, as a mutation makes them.
template <order Order>
void load_with(cells& c) {
  c.r[0] = static_cast<int>(engine::instance().load(&c.r[1], 0, Order, place::here()));
}
template <order Order>
void store_with(cells& c) {
  engine::instance().store(&c.r[1], 0, 1, Order, place::here());
}
template <order Success, order Failure>
void exchange_with(cells& c) {
  std::uint64_t e = 0;
  c.r[0] = engine::instance().exchange_if(&c.r[1], 0, e, 1, Success, Failure, false, place::here()) ? 1 : 0;
}
void all_legal(cells& c) {
  engine& e = engine::instance();
  void* const at = &c.r[1];
  std::uint64_t sum = 0;
  for (const order o : {order::relaxed, order::acquire, order::seq_cst}) sum += e.load(at, 0, o, place::here());
  for (const order o : {order::relaxed, order::release, order::seq_cst}) e.store(at, 0, 0, o, place::here());
  for (const order o : {order::relaxed, order::acquire, order::release, order::acq_rel, order::seq_cst}) {
    sum += e.modify(at, 0, o, place::here(), [](std::uint64_t was) { return was; });
    if (o != order::relaxed) e.fence(o, place::here());
    for (const order f : {order::relaxed, order::acquire, order::seq_cst}) {
      std::uint64_t expected = 0;
      sum += e.exchange_if(at, 0, expected, 0, o, f, false, place::here()) ? 0U : 1U;
    }
  }
  c.r[0] = static_cast<int>(sum);
}

}  // namespace

std::vector<program> misuse_programs() {
  constexpr auto tells = make_and_tell<atomic_int, release>;
  return {
      bad("race: write and write", {writes, writes}, "data race"),
      bad("race: write and read", {writes, reads}, "data race: a read"),
      bad("race: read and write",
          {reads,
           [](cells& c) {
             c.x.store(1, relaxed);  // so that the read may come first
             writes(c);
           }},
          "data race: a write"),
      bad("race: construction and read", {make<plain_int>, read_made}, "data race", make<plain_int>),
      bad("race: destruction and read", {destroy<plain_int>, read_made}, "data race", make<plain_int>),
      bad("race: destruction and write", {destroy<plain_int>, [](cells& c) { made_in<plain_int>(c).set(4); }},
          "data race", make<plain_int>),
      bad("race: a lock on one side only",
          {[](cells& c) {
             c.a.lock();
             c.d.set(1);
             c.a.unlock();
           },
           writes},
          "data race"),
      bad("race: two locks",
          {[](cells& c) {
             c.a.lock();
             c.d.set(1);
             c.a.unlock();
           },
           [](cells& c) {
             c.b.lock();
             c.d.set(1);
             c.b.unlock();
           }},
          "data race"),
      fine("no race: two reads", {reads, reads}, "0"),
      fine("no race: set-up, threads and afterwards", {writes}, "1", nullptr, reads),
      bad("plain data never made", {read_made}, "never made"),
      bad("plain data written before it is made", {[](cells& c) { made_in<plain_int>(c).set(1); }}, "never made"),
      bad("plain data read after its end", {[](cells& c) {
            destroy<plain_int>(c);
            read_made(c);
          }},
          "destroyed", make<plain_int>),
      bad("plain data written after its end", {[](cells& c) {
            destroy<plain_int>(c);
            made_in<plain_int>(c).set(1);
          }},
          "destroyed", make<plain_int>),
      fine("an atomic made by a thread and released", {tells, use_atomic_when_told<acquire>}, "07 13"),
      bad("an atomic made by a thread, not acquired", {tells, use_atomic_when_told<relaxed>},
          "before its construction"),
      bad("an atomic made by a thread, not released",
          {make_and_tell<atomic_int, relaxed>, use_atomic_when_told<acquire>}, "before its construction"),
      bad("an atomic used after its end", {[](cells& c) {
            use_atomic(c);
            destroy<atomic_int>(c);
            use_atomic(c);
          }},
          "destroyed", make<atomic_int>),
      bad("an atomic destroyed twice", {[](cells& c) {
            use_atomic(c);
            destroy<atomic_int>(c);
            destroy<atomic_int>(c);
          }},
          "destroyed twice", make<atomic_int>),
      bad("an atomic destroyed while it is used",
          {[](cells& c) {
             use_atomic(c);
             c.x.store(1, relaxed);
           },
           [](cells& c) {
             if (c.x.load(relaxed) == 1) destroy<atomic_int>(c);
           }},
          "destroyed while", make<atomic_int>),
      bad("memory leaked", {allocate}, "leaked"),
      bad("memory leaked by set-up", {nothing}, "leaked", allocate),
      bad("memory freed twice", {free_raw, free_raw}, "freed twice", allocate_raw),
      bad("memory used after it was freed", {[](cells& c) {
            free_raw(c);
            c.r[0] = held(c).value.get();
          }},
          "freed", allocate_raw),
      bad("an atomic used after its memory was freed", {[](cells& c) {
            c.r[0] = held(c).state.load(relaxed);
            free_raw(c);
            c.r[1] = held(c).state.load(relaxed);
          }},
          "freed", allocate_raw),
      bad("memory freed while plain data in it may be read",
          {[](cells& c) {
             c.r[0] = held(c).value.get();
             c.x.store(1, relaxed);
           },
           [](cells& c) {
             if (c.x.load(relaxed) == 1) free_raw(c);
           }},
          "freed while", allocate_raw,
          [](cells& c) {
            if (c.x.load(relaxed) == 0) free_raw(c);
          }),
      bad("memory freed while an atomic in it may be used",
          {[](cells& c) {
             c.r[0] = held(c).state.load(relaxed);
             c.x.store(1, relaxed);
           },
           [](cells& c) {
             if (c.x.load(acquire) == 1) free_raw(c);
           }},
          "freed while", allocate_raw),
      fine("memory handed over and freed by the other",
           {[](cells& c) {
              allocate(c);
              c.x.store(1, release);
            },
            [](cells& c) {
              c.r[0] = c.x.load(acquire);
              if (c.r[0] == 0) return;
              c.r[1] = held(c).value.get();
              c.r[2] = held(c).state.load(relaxed);
              release_block(c);
              c.block = nullptr;
            }},
           "077 112", nullptr, release_block),
      fine("memory of set-up freed afterwards", {nothing}, "7", allocate, release_block),
      bad("illegal: load release", {load_with<order::release>}, "illegal order release for a load"),
      bad("illegal: load acq_rel", {load_with<order::acq_rel>}, "illegal order acq_rel"),
      bad("illegal: load consume", {load_with<order::consume>}, "illegal order consume"),
      bad("illegal: store acquire", {store_with<order::acquire>}, "illegal order acquire for a store"),
      bad("illegal: store acq_rel", {store_with<order::acq_rel>}, "illegal order acq_rel"),
      bad("illegal: store consume", {store_with<order::consume>}, "illegal order consume"),
      bad("illegal: exchange consume", {exchange_with<order::consume, order::relaxed>}, "illegal order consume"),
      bad("illegal: failure release", {exchange_with<order::seq_cst, order::release>},
          "illegal order release for a cas's"),
      bad("illegal: failure acq_rel", {exchange_with<order::seq_cst, order::acq_rel>}, "illegal order acq_rel"),
      fine("legal: every order where it may stand", {all_legal}, "0"),
  };
}

}  // namespace holdfast_model
