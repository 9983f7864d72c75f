// SPDX-License-Identifier: MIT
// record_ring: any sequence of claims, commits, pops and releases, in any size from any position, gives the records back
// in order and whole; nothing is written over before it is released, and what fits is never refused.
#include <array>
#include <cstring>
#include <deque>
#include <span>

#include "holdfast/queue/record_ring.hpp"

#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;

constexpr std::size_t cell = 8;
constexpr std::size_t largest = 512;
alignas(64) std::array<std::byte, largest> storage;
static_assert(largest / cell == 64, "one bit a cell");

// The bytes of record `tag` are those from tag % 256 on.
constexpr auto pattern = [] {
  std::array<std::byte, 256 + largest> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return bytes;
}();

class trial {
 public:
  explicit trial(std::size_t bytes) : bytes_(bytes), ring_(std::span(storage).first(bytes)) {}

  // Moves both sides on by so many cells, so that what follows begins anywhere.
  void advance(std::size_t cells) {
    for (; cells > 0; --cells) {
      if (claim(0)) commit(0);
      pop();
      release();
    }
  }

  void step(input& in) {
    const std::uint8_t choice = in.byte();
    const std::size_t n = choice >> 3U;
    switch (choice % 8) {
      case 0: claim(n); break;  // perhaps never committed
      case 1: claim(n * 8 + in.byte()); break;
      case 2: claim(ring_.max_record() + n - 15); break;
      case 3:
        if (claimed_) commit(claim_bytes_ - std::min<std::size_t>(n, claim_bytes_));
        break;
      case 4:
        if (claim(n + (n > 15 ? in.byte() : 0U))) commit(claim_bytes_);
        break;
      case 5: pop(); break;
      case 6: release(); break;
      default:
        while (pop()) {
        }
        release();
    }
    check_popped();
    const std::size_t backlog = ring_.backlog();
    expect(backlog <= bytes_ && backlog >= unreleased_, "the backlog holds all that is not released");
  }

  void finish() {
    while (pop()) {
    }
    expect(committed_.empty(), "every record comes out");
    release();
    expect(ring_.backlog() == 0, "nothing is left when all is released");
  }

 private:
  struct record {
    std::size_t at = 0;  // of its header
    std::uint32_t bytes = 0;
    std::uint32_t tag = 0;
  };
  static std::size_t step_of(std::size_t bytes) { return (bytes + 8 + 7) / 8 * 8; }
  static const std::byte* content(const record& r) { return pattern.data() + r.tag % 256; }

  static std::uint64_t cells(std::size_t from, std::size_t to) {
    const std::size_t count = (to - from) / cell;
    return count == 0 ? 0 : ~std::uint64_t{0} >> (64 - count) << from / cell;
  }
  bool cells_free(std::size_t from, std::size_t to) const { return (taken_ & cells(from, to)) == 0; }
  // There is a free stretch for the record and the header behind it, where the writer stands or at the front.
  bool fits(std::size_t bytes) const {
    if (bytes > ring_.max_record()) return false;
    const std::size_t needed = step_of(bytes) + cell;
    if (writer_ + needed <= bytes_ && cells_free(writer_, writer_ + needed)) return true;
    return writer_ >= needed && cells_free(writer_, bytes_) && cells_free(0, needed);
  }

  bool claim(std::size_t bytes) {
    const bool easy = ring_.granted(bytes);
    const bool fitting = fits(bytes);
    std::byte* const at = ring_.try_claim(bytes);
    expect(at != nullptr || !easy, "what is granted is not refused");
    expect((at != nullptr) == fitting, "a claim succeeds if it fits, and only then");
    if (at == nullptr) return false;
    const auto offset = static_cast<std::size_t>(at - storage.data()) - 8;
    expect(offset % cell == 0 && offset + step_of(bytes) + cell <= bytes_, "a claim lies inside the storage");
    expect(offset == writer_ || offset == 0, "where the writer stands, or at the front");
    expect(cells_free(offset, offset + step_of(bytes) + cell), "a claim touches nothing that is not released");
    // Gone round, for the first time since the last commit: the reader is sent after it, committed or not.
    if (offset != writer_ && mark_at_ != writer_) {
      mark_ = mark_at_ = writer_;
      passed_mark_ = false;
    }
    claimed_ = true;
    claim_at_ = offset;
    claim_bytes_ = bytes;
    // All of it is the writer's; what is not committed is forgotten.
    std::fill_n(at, bytes, std::byte{0xEE});
    return true;
  }

  void commit(std::size_t used) {
    const record r{claim_at_, static_cast<std::uint32_t>(used), next_tag_++};
    std::memcpy(storage.data() + r.at + 8, content(r), used);
    ring_.commit(used, r.tag);
    taken_ |= cells(r.at, r.at + step_of(used));
    // What sends the reader round stays until the reader has been there.
    if (r.at != writer_ && mark_ != none) taken_ |= cells(mark_, mark_ + cell);
    unreleased_ += step_of(used);
    committed_.push_back(r);
    writer_ = r.at + step_of(used);
    mark_at_ = none;
    claimed_ = false;
  }

  void check_record(const record& r) const {
    expect(std::memcmp(storage.data() + r.at + 8, content(r), r.bytes) == 0, "a record is whole until it is released");
  }
  bool pop() {
    // A look at what comes next may lead the reader to the front, record or not.
    if (mark_ != none && (committed_.empty() || committed_.front().at == 0)) passed_mark_ = true;
    record_ring::record got;
    const bool there = ring_.front(got);
    expect(there == !committed_.empty(), "a record is there if one was committed");
    if (!there) return false;
    const record wanted = committed_.front();
    expect(got.data == storage.data() + wanted.at + 8 && got.bytes == wanted.bytes && got.tag == wanted.tag,
           "the oldest record, its length and its tag");
    check_record(wanted);
    ring_.pop(got);
    committed_.pop_front();
    popped_.push_back(wanted);
    return true;
  }
  void check_popped() const {
    for (const auto& r : popped_) check_record(r);
  }
  void release() {
    check_popped();
    for (const auto& r : popped_) {
      taken_ &= ~cells(r.at, r.at + step_of(r.bytes));
      unreleased_ -= step_of(r.bytes);
    }
    if (passed_mark_) {
      passed_mark_ = false;
      taken_ &= ~cells(mark_, mark_ + cell);
      mark_ = none;
    }
    popped_.clear();
    ring_.release();
  }

  std::size_t bytes_;
  record_ring ring_;
  std::uint64_t taken_ = 0;  // a bit for each cell that the writer may not touch
  std::deque<record> committed_;
  std::deque<record> popped_;
  std::size_t unreleased_ = 0;
  std::size_t writer_ = 0;  // behind the last committed record
  static constexpr std::size_t none = ~std::size_t{0};
  std::size_t mark_ = none;     // where the reader was sent round, until it has been and has released
  std::size_t mark_at_ = none;  // the same since the last commit
  bool passed_mark_ = false;
  bool claimed_ = false;
  std::size_t claim_at_ = 0;
  std::size_t claim_bytes_ = 0;
  std::uint32_t next_tag_ = 1;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  trial ring(record_ring::min_storage + in.below((largest - record_ring::min_storage) / cell + 1) * cell);
  ring.advance(in.byte() % 64);
  while (!in.empty()) ring.step(in);
  ring.finish();
  return 0;
}
