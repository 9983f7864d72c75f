// SPDX-License-Identifier: MIT
// broadcast_ring: any sequence of writes and of readers that read, come, copy themselves and skip gives each reader the
// records of a list in their turn, or the exact count of those that are gone; from any first number.
#include <array>

#include "holdfast/queue/broadcast_ring.hpp"

#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;

struct record {
  std::uint64_t number = 0;
  std::uint32_t check = 0;
  static record of(std::uint64_t n) { return {n, static_cast<std::uint32_t>(n * 0x9E37'79B9U + 1)}; }
  friend bool operator==(const record&, const record&) = default;
};

template <std::size_t Capacity>
class trial {
 public:
  explicit trial(std::uint64_t first) : first_(first), ring_(first) {}

  void step(input& in) {
    const std::uint8_t choice = in.byte();
    const std::size_t n = choice >> 3U;
    view& who = readers_[n % readers_.size()];
    switch (choice % 8) {
      case 0:
      case 1: write(1); break;
      case 2: write(n); break;
      case 3: who = {reader(ring_), written_}; break;
      case 4:
        who = {reader(ring_, broadcast_from::oldest), written_ - std::min<std::uint64_t>(written_, Capacity)};
        break;
      case 5: who = readers_[in.below(readers_.size())]; break;
      case 6:
        expect(who.reader.skip_to_newest() == written_ - who.next, "all that was not read is skipped");
        who.next = written_;
        break;
      default: read(who);
    }
    for (const view& v : readers_) {
      expect(v.reader.number() == first_ + v.next, "a reader's number is that of its next record");
      expect(v.reader.behind() == written_ - v.next, "a reader is behind by what it has not read");
    }
    expect(ring_.written() == first_ + written_, "every record counts");
  }
  void finish() {
    for (view& v : readers_) {
      while (read(v)) {
      }
      expect(v.next == written_, "every record is read or counted");
    }
  }

 private:
  using reader = broadcast_reader<record, Capacity>;
  struct view {
    broadcast_reader<record, Capacity> reader;
    std::uint64_t next;  // counted from 0
  };
  void write(std::size_t count) {
    for (; count > 0; --count) {
      if (count == 1) ring_.recover();  // nobody died: changes nothing
      ring_.write(record::of(written_++));
    }
  }
  bool read(view& who) {
    record out = record::of(~std::uint64_t{0});
    const record before = out;
    const broadcast_read got = who.reader.try_read(out);
    const std::uint64_t behind = written_ - who.next;
    if (behind == 0) {
      expect(got.state == broadcast_state::nothing && got.missed == 0, "what was not written is not there");
    } else if (behind > Capacity) {
      expect(got.state == broadcast_state::overwritten, "what was overwritten is not there");
      expect(got.missed == behind - Capacity, "the count is exact, and the rest is there");
    } else {
      expect(got.state == broadcast_state::record && got.missed == 0, "the last records are there");
      expect(out == record::of(who.next), "the record is the next one, and whole");
      ++who.next;
      return true;
    }
    expect(out == before, "only a record is written to the caller's place");
    who.next += got.missed;
    return got.state != broadcast_state::nothing;
  }

  std::uint64_t first_;
  broadcast_ring<record, Capacity> ring_;
  std::uint64_t written_ = 0;
  std::array<view, 4> readers_{view{reader(ring_), 0}, view{reader(ring_), 0}, view{reader(ring_), 0},
                               view{reader(ring_), 0}};
};

template <std::size_t Capacity>
void run(std::uint64_t first, input& in) {
  trial<Capacity> ring(first);
  while (!in.empty()) ring.step(in);
  ring.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  const std::uint8_t choice = in.byte();
  // From the beginning, and from shortly before numbers, or stamps, wrap.
  const std::uint64_t near = choice >> 4U;
  const std::uint64_t first = choice % 4 == 0   ? 0
                              : choice % 4 == 1 ? ~std::uint64_t{0} - near
                                                : (std::uint64_t{1} << 63U) - near;
  switch (choice >> 2U & 3U) {
    case 0: run<1>(first, in); break;
    case 1: run<2>(first, in); break;
    case 2: run<8>(first, in); break;
    default: run<32>(first, in);
  }
  return 0;
}
