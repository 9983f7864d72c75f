// SPDX-License-Identifier: MIT
// A stop is asked for while callbacks come and go: each is called once or never, and not touched once it is gone.
#include <memory>
#include <optional>

#include "holdfast/core/inplace_stop.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

struct tally {
  plain<int>* calls;
  void operator()() const { calls->set(calls->get() + 1); }
};
using counted = inplace_stop_callback<tally>;

// S2, S3: it comes and goes while a stop is asked for. What its call wrote is read without any other order.
struct comes_and_goes {
  static constexpr unsigned threads = 2;
  inplace_stop_source source;
  plain<int> before{0};
  void run(unsigned thread) {
    if (thread == 0) {
      before.set(7);
      MODEL_CHECK(source.request_stop());
      return;
    }
    plain<int> calls{0};
    auto callback = std::make_unique<counted>(source.get_token(), tally{&calls});
    const bool stopped = source.stop_requested();
    callback.reset();
    MODEL_CHECK(calls.get() == 1 || (calls.get() == 0 && !stopped));
    if (stopped || calls.get() == 1) MODEL_CHECK(before.get() == 7);
  }
  void after() { MODEL_CHECK(source.stop_requested()); }
};
MODEL_SCENARIO("inplace_stop", comes_and_goes, {.dies = false});

// S2: the one that comes too late is called by its constructor, and sees what was done before the stop.
struct comes_too_late {
  static constexpr unsigned threads = 2;
  inplace_stop_source source;
  plain<int> before{0};
  void run(unsigned thread) {
    if (thread == 0) {
      before.set(7);
      MODEL_CHECK(source.request_stop());
      return;
    }
    int seen = 0;
    const auto look = [&] { seen = before.get(); };
    // By the other thread if it comes in time: then the end of its life orders what it wrote.
    { const inplace_stop_callback<decltype(look)> callback(source.get_token(), look); }
    MODEL_CHECK(seen == 0 || seen == 7);
  }
  void after() {}
};
MODEL_SCENARIO("inplace_stop", comes_too_late, {.dies = false});

// S1: what was done before a stop is seen by whoever sees it.
struct seen_by_a_look {
  static constexpr unsigned threads = 2;
  inplace_stop_source source;
  plain<int> before{0};
  void run(unsigned thread) {
    if (thread == 0) {
      before.set(7);
      MODEL_CHECK(source.request_stop());
    } else if (source.get_token().stop_requested()) {
      MODEL_CHECK(before.get() == 7);
      MODEL_CHECK(source.stop_requested());
    }
  }
  void after() {}
};
MODEL_SCENARIO("inplace_stop", seen_by_a_look, {.dies = false});

// S1: of two who ask one is told so, and the callback is called once.
struct two_ask {
  static constexpr unsigned threads = 2;
  inplace_stop_source source;
  plain<int> calls{0};
  std::optional<counted> callback;
  bool told[threads]{};
  two_ask() { callback.emplace(source.get_token(), tally{&calls}); }
  void run(unsigned thread) { told[thread] = source.request_stop(); }
  void after() {
    callback.reset();
    MODEL_CHECK(told[0] != told[1]);
    MODEL_CHECK(calls.get() == 1);
  }
};
MODEL_SCENARIO("inplace_stop", two_ask, {.dies = false});

// S3: one of several goes while they are called, be it the first, the one in the middle or the last.
template <unsigned Which>
struct one_of_three_goes {
  static constexpr unsigned threads = 2;
  inplace_stop_source source;
  plain<int> calls[3];
  std::unique_ptr<counted> callbacks[3];
  one_of_three_goes() {
    for (unsigned i = 0; i < 3; ++i) callbacks[i] = std::make_unique<counted>(source.get_token(), tally{&calls[i]});
  }
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(source.request_stop());
    } else {
      callbacks[Which].reset();
      MODEL_CHECK(calls[Which].get() <= 1);
    }
  }
  void after() {
    for (unsigned i = 0; i < 3; ++i) {
      callbacks[i].reset();
      MODEL_CHECK(calls[i].get() == 1 || (i == Which && calls[i].get() == 0));
    }
  }
};
using oldest_goes = one_of_three_goes<0>;
using middle_goes = one_of_three_goes<1>;
using newest_goes = one_of_three_goes<2>;
MODEL_SCENARIO("inplace_stop", oldest_goes, {.weak_failures = 0, .dies = false});
MODEL_SCENARIO("inplace_stop", middle_goes, {.weak_failures = 0, .dies = false});
MODEL_SCENARIO("inplace_stop", newest_goes, {.weak_failures = 0, .dies = false});

// S3: neighbours go at the same time, and nobody has asked for a stop yet.
struct neighbours_go {
  static constexpr unsigned threads = 2;
  inplace_stop_source source;
  plain<int> calls[2];
  std::unique_ptr<counted> callbacks[2];
  neighbours_go() {
    for (unsigned i = 0; i < 2; ++i) callbacks[i] = std::make_unique<counted>(source.get_token(), tally{&calls[i]});
  }
  void run(unsigned thread) {
    callbacks[thread].reset();
    MODEL_CHECK(calls[thread].get() == 0);
  }
  void after() { MODEL_CHECK(source.request_stop()); }
};
MODEL_SCENARIO("inplace_stop", neighbours_go, {.dies = false});

// S3: one thread takes both out, in either order, while they are called.
template <bool OldestFirst>
struct both_go_while_called {
  static constexpr unsigned threads = 2;
  inplace_stop_source source;
  plain<int> calls[2];
  std::unique_ptr<counted> callbacks[2];
  both_go_while_called() {
    for (unsigned i = 0; i < 2; ++i) callbacks[i] = std::make_unique<counted>(source.get_token(), tally{&calls[i]});
  }
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(source.request_stop());
      return;
    }
    for (unsigned i = 0; i < 2; ++i) {
      const unsigned which = OldestFirst ? i : 1 - i;
      callbacks[which].reset();
      MODEL_CHECK(calls[which].get() <= 1);
    }
  }
  void after() { MODEL_CHECK(!source.request_stop()); }
};
using oldest_goes_first = both_go_while_called<true>;
using newest_goes_first = both_go_while_called<false>;
MODEL_SCENARIO("inplace_stop", oldest_goes_first, {.weak_failures = 0, .dies = false});
MODEL_SCENARIO("inplace_stop", newest_goes_first, {.weak_failures = 0, .dies = false});

// S3: one that destroys itself in its call, while the other one comes or goes.
struct ends_itself {
  static constexpr unsigned threads = 2;
  struct end {
    ends_itself& of;
    void operator()() const {
      ends_itself& all = of;
      ++all.ended;
      all.mine.reset();  // this callable as well
    }
  };
  inplace_stop_source source;
  std::unique_ptr<inplace_stop_callback<end>> mine;
  int ended = 0;
  ends_itself() { mine = std::make_unique<inplace_stop_callback<end>>(source.get_token(), end{*this}); }
  void run(unsigned thread) {
    if (thread == 0) {
      MODEL_CHECK(source.request_stop());
      MODEL_CHECK(mine == nullptr);
      return;
    }
    plain<int> calls{0};
    { const counted other(source.get_token(), tally{&calls}); }
    MODEL_CHECK(calls.get() <= 1);
  }
  void after() { MODEL_CHECK(ended == 1); }
};
MODEL_SCENARIO("inplace_stop", ends_itself, {.weak_failures = 0, .dies = false});

}  // namespace
