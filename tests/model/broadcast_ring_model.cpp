// SPDX-License-Identifier: MIT
// The broadcast ring: readers are lapped, join late and skip while it is written, across both wraps, and after its writer
// died in the middle of a record.
#include <array>
#include <cstdint>
#include <optional>

#include "holdfast/queue/broadcast_ring.hpp"

#include "linearizability/broadcast_spec.hpp"
#include "model/engine/scenario.hpp"
#include "model/linearized.hpp"

namespace holdfast {
struct broadcast_ring_start {
  // All of write() but its last step.
  template <class T, std::size_t Capacity>
  static void write_uncounted(broadcast_ring<T, Capacity>& ring, const T& value) {
    const std::uint64_t number = ring.position_.load(mo::relaxed);
    auto& slot = ring.slot_of(number);
    slot.stamp.store(ring.whole(number) - 1, mo::release);
    fence(mo::release);
    ring.store_words(slot, value);
    slot.stamp.store(ring.whole(number), mo::release);
  }
};
}  // namespace holdfast

using namespace holdfast;
using namespace holdfast_model;

namespace {

// Two words that can be mixed up. Record number n of a ring that begins with First says n + 1 - First.
struct row {
  std::uint64_t n = 0;
  std::uint64_t twice = 0;  // and one more: a row of zeros was never written
};

template <std::size_t Capacity, std::uint64_t First>
struct broadcast_scenario {
  using ring_type = broadcast_ring<row, Capacity>;
  ring_type ring{First};

  void write(std::uint64_t n) { ring.write({n, 2 * n + 1}); }

  struct counted_reader {
    broadcast_reader<row, Capacity> reader;
    std::uint64_t began = 0;  // from 0
    std::uint64_t read = 0, missed = 0;
    std::uint64_t known = 0;  // records that it knows to be written
    bool was_lapped = false;

    explicit counted_reader(const ring_type& of, broadcast_from from = broadcast_from::newest) : reader(of, from) {
      began = reader.number() - First;
    }
    [[nodiscard]] std::uint64_t at() const { return began + read + missed; }
    void learn() { known = at() + reader.behind(); }
    // Whole, in its turn, or counted.
    broadcast_state look() {
      row out{77, 77};
      const broadcast_read got = reader.try_read(out);
      switch (got.state) {
        case broadcast_state::record:
          MODEL_CHECK(out.twice == 2 * out.n + 1);
          MODEL_CHECK(out.n == at() + 1);
          MODEL_CHECK(got.missed == 0);
          ++read;
          break;
        case broadcast_state::overwritten:
          MODEL_CHECK(got.missed > 0);
          missed += got.missed;
          break;
        case broadcast_state::nothing:
          MODEL_CHECK(!was_lapped);  // what is left of those that were overwritten is there
          MODEL_CHECK(at() >= known);
          break;
      }
      MODEL_CHECK(got.state == broadcast_state::record || (out.n == 77 && out.twice == 77));
      MODEL_CHECK(reader.number() == First + at());
      was_lapped = got.state == broadcast_state::overwritten && Capacity > 1;
      return got.state;
    }
    // All that is there, while nobody writes.
    void drain() {
      was_lapped = false;
      while (look() != broadcast_state::nothing) was_lapped = false;
    }
  };
};

// Each slot is written twice, while a reader of the first records may still look. [B1]..[B8]
template <std::uint64_t First, int Looks>
struct lapping : broadcast_scenario<2, First> {
  static constexpr unsigned threads = 2;
  static constexpr std::uint64_t writes = 4;
  typename lapping::counted_reader reader{this->ring};

  void run(unsigned thread) {
    if (thread == 0) {
      for (std::uint64_t n = 1; n <= writes; ++n) this->write(n);
    } else {
      for (int i = 0; i < Looks; ++i) {
        const std::uint64_t before = reader.at();
        static_cast<void>(reader.look());
        MODEL_CHECK(reader.at() <= writes);
        MODEL_CHECK(reader.at() >= before);
      }
    }
  }
  void after() {
    MODEL_CHECK(this->ring.written() == First + writes);
    MODEL_CHECK(reader.reader.behind() == writes - reader.at());
    reader.drain();
    MODEL_CHECK(reader.at() == writes);
    MODEL_CHECK(reader.read >= 2);  // the last two were there
  }
  // Wherever the writer died: what was written before is there, and the next one's records follow without a gap.
  void after_death(unsigned dead) {
    if (dead == 0) {
      this->ring.recover();
      const std::uint64_t next = this->ring.written() - First + 1;
      MODEL_CHECK(next >= reader.at() + 1);
      for (std::uint64_t n = next; n < next + 3; ++n) {
        this->write(n);
        reader.drain();
        MODEL_CHECK(reader.at() == n);
      }
    }
  }
};
struct lapped_reader : lapping<0, 3> {};
MODEL_SCENARIO("broadcast_ring", lapped_reader, {});
struct lapped_where_numbers_wrap : lapping<~std::uint64_t{0} - 1, 2> {};
MODEL_SCENARIO("broadcast_ring", lapped_where_numbers_wrap, {});
struct lapped_where_stamps_wrap : lapping<(std::uint64_t{1} << 63U) - 3, 2> {};
MODEL_SCENARIO("broadcast_ring", lapped_where_stamps_wrap, {});

// A single slot: each write takes the record before it.
struct single_slot : broadcast_scenario<1, 0> {
  static constexpr unsigned threads = 2;
  counted_reader reader{ring};
  void run(unsigned thread) {
    if (thread == 0) {
      for (std::uint64_t n = 1; n <= 3; ++n) write(n);
    } else {
      for (int i = 0; i < 3; ++i) static_cast<void>(reader.look());
    }
  }
  void after() {
    reader.drain();
    MODEL_CHECK(reader.at() == 3);
  }
};
MODEL_SCENARIO("broadcast_ring", single_slot, {});

// One reader was there before, one comes in the middle and begins with the newest or with the oldest.
struct late_reader : broadcast_scenario<2, 0> {
  static constexpr unsigned threads = 3;
  counted_reader first{ring};
  std::optional<counted_reader> late;
  late_reader() { write(1); }
  void run(unsigned thread) {
    switch (thread) {
      case 0:
        for (std::uint64_t n = 2; n <= 3; ++n) write(n);
        break;
      case 1: static_cast<void>(first.look()); break;
      default: {
        const bool oldest = choose(2) == 0;
        late.emplace(ring, oldest ? broadcast_from::oldest : broadcast_from::newest);
        // What was there when it came is a record, or gone; it is not to come.
        late->learn();
        static_cast<void>(late->look());
        static_cast<void>(late->look());
      }
    }
  }
  void after() {
    first.drain();
    late->drain();
    MODEL_CHECK(first.at() == 3);
    MODEL_CHECK(late->at() == 3);
  }
};
MODEL_SCENARIO("broadcast_ring", late_reader, {});

// Who is told of a record by another reader finds it.
struct told_of_a_record : broadcast_scenario<4, 0> {
  static constexpr unsigned threads = 3;
  atomic<std::uint64_t> told{0};
  counted_reader first{ring}, second{ring};
  void run(unsigned thread) {
    switch (thread) {
      case 0:
        write(1);
        write(2);
        break;
      case 1:
        while (first.look() == broadcast_state::record) told.store(first.read, mo::release);
        break;
      default: {
        const std::uint64_t there = told.load(mo::acquire);
        for (std::uint64_t i = 0; i < there; ++i) MODEL_CHECK(second.look() == broadcast_state::record);
        MODEL_CHECK(second.at() >= there);
      }
    }
  }
  void after() {
    second.drain();
    MODEL_CHECK(second.read == 2);
  }
};
MODEL_SCENARIO("broadcast_ring", told_of_a_record, {});

// A writer ended just before its record counted. Who takes its place counts it; who reads has it once, counted or not.
struct recovered : broadcast_scenario<2, 0> {
  static constexpr unsigned threads = 3;
  atomic<std::uint64_t> dead{0};
  counted_reader first{ring};
  recovered() { write(1); }
  void run(unsigned thread) {
    switch (thread) {
      case 0:
        broadcast_ring_start::write_uncounted(ring, row{2, 5});
        dead.store(1, mo::release);
        break;
      case 1:
        if (dead.load(mo::acquire) == 0) return;
        ring.recover();
        MODEL_CHECK(ring.written() == 2);
        break;
      default:
        first.learn();
        for (int i = 0; i < 2; ++i) static_cast<void>(first.look());
    }
  }
  void after() {
    ring.recover();
    MODEL_CHECK(ring.written() == 2);
    write(3);
    first.drain();
    MODEL_CHECK(first.at() == 3);
  }
};
MODEL_SCENARIO("broadcast_ring", recovered, {});

// A reader leaves what it has not read; it never goes back, also where it has read what is not counted yet.
struct skipping_reader : broadcast_scenario<2, 0> {
  static constexpr unsigned threads = 2;
  counted_reader reader{ring};
  void run(unsigned thread) {
    if (thread == 0) {
      for (std::uint64_t n = 1; n <= 3; ++n) write(n);
    } else {
      static_cast<void>(reader.look());
      const std::uint64_t skipped = reader.reader.skip_to_newest();
      MODEL_CHECK(skipped <= 3);
      reader.missed += skipped;
      reader.was_lapped = false;
      static_cast<void>(reader.look());
    }
  }
  void after() {
    reader.drain();
    MODEL_CHECK(reader.at() == 3);
  }
};
MODEL_SCENARIO("broadcast_ring", skipping_reader, {});

// All answers of a writer and two readers, as a history.
struct broadcast_history {
  static constexpr unsigned threads = 3;
  using spec = holdfast_lin::broadcast_spec<2, 2>;
  broadcast_ring<std::int64_t, 2> ring;
  broadcast_reader<std::int64_t, 2> first{ring}, second{ring};
  linearized<spec> answers;

  void read(std::size_t who) {
    answers.record([&] {
      std::int64_t out = 0;
      const broadcast_read got = (who == 0 ? first : second).try_read(out);
      return spec::read(who, got.state, out, got.missed);
    });
  }
  void run(unsigned thread) {
    if (thread == 0) {
      for (std::int64_t n = 1; n <= 4; ++n) {
        answers.record([&] {
          ring.write(n);
          return spec::write(n);
        });
      }
    } else {
      read(thread - 1);
      if (thread == 1) read(thread - 1);
    }
  }
  void after() {
    for (std::size_t who = 0; who < 2; ++who) {
      for (int i = 0; i < 4; ++i) read(who);
    }
    answers.judge();
  }
};
MODEL_SCENARIO("broadcast_ring", broadcast_history, {});

}  // namespace
