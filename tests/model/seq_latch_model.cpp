// SPDX-License-Identifier: MIT
// The latch: read while it is written, beside other readers, across the wrap, and after its writer died.
#include <cstdint>

#include "holdfast/core/seq_latch.hpp"

#include "model/engine/scenario.hpp"

namespace holdfast {
struct seq_latch_start {
  // The next write but one wraps the sequence.
  template <class T>
  static void at_the_wrap(seq_latch<T>& l) {
    l.sequence_.store(~std::uint64_t{0} - 1, mo::relaxed);
  }
};
}  // namespace holdfast

using namespace holdfast;
using namespace holdfast_model;

namespace {

// Two words that can be mixed up.
struct row {
  std::uint64_t n = 0;
  std::uint64_t twice = 0;
};

struct latch_scenario {
  seq_latch<row> latch{row{1, 2}};

  void write(std::uint64_t n) { latch.write({n, 2 * n}); }
  std::uint64_t read() {
    const row r = latch.read();
    MODEL_CHECK(r.twice == 2 * r.n);
    return r.n;
  }
};

// Each slot is written twice, the first one while a reader of the first value may still look. [Q1]..[Q4]
struct written_while_read : latch_scenario {
  static constexpr unsigned threads = 2;
  void run(unsigned thread) {
    if (thread == 0) {
      for (std::uint64_t n = 2; n <= 4; ++n) write(n);
      MODEL_CHECK(read() == 4);
    } else {
      const std::uint64_t first = read();
      MODEL_CHECK(first >= 1);
      MODEL_CHECK(read() >= first);
    }
  }
  void after() {
    MODEL_CHECK(read() == 4);
    MODEL_CHECK(latch.writes() == 3);
  }
  // Wherever the writer died, there is a whole value, and another thread may write on.
  void after_death(unsigned) {
    MODEL_CHECK(read() >= 1);
    write(5);
    MODEL_CHECK(read() == 5);
  }
};
MODEL_SCENARIO("seq_latch", written_while_read, {});

struct written_at_the_wrap : latch_scenario {
  static constexpr unsigned threads = 2;
  written_at_the_wrap() { seq_latch_start::at_the_wrap(latch); }
  void run(unsigned thread) {
    if (thread == 0) {
      for (std::uint64_t n = 2; n <= 4; ++n) write(n);
    } else {
      const std::uint64_t first = read();
      MODEL_CHECK(read() >= first);
    }
  }
  void after() { MODEL_CHECK(read() == 4); }
};
MODEL_SCENARIO("seq_latch", written_at_the_wrap, {});

// Two readers; whoever is told of a value by another thread sees that or a later one.
struct told_of_a_value : latch_scenario {
  static constexpr unsigned threads = 3;
  atomic<std::uint64_t> told{0};
  void run(unsigned thread) {
    switch (thread) {
      case 0:
        write(2);
        write(3);
        break;
      case 1: told.store(read(), mo::release); break;
      default:
        const std::uint64_t at_least = told.load(mo::acquire);
        MODEL_CHECK(read() >= at_least);
        break;
    }
  }
  void after() { MODEL_CHECK(read() == 3); }
};
MODEL_SCENARIO("seq_latch", told_of_a_value, {});

}  // namespace
