// SPDX-License-Identifier: MIT
// shared_record_ring: any sequence of claims, commits, pops and releases gives the records back in order and whole, with
// sides replaced anywhere in it; and once somebody has written any bytes anywhere into the region, nobody reads or writes
// outside it, or goes round in it for ever.
#include <cstring>
#include <deque>
#include <memory>
#include <new>
#include <optional>
#include <span>

#include "holdfast/queue/shared_record_ring.hpp"

#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;

constexpr std::size_t header = sizeof(shared_ring_header);

// As large as the region, so that a sanitizer sees whoever leaves it.
struct aligned_delete {
  void operator()(std::byte* at) const { ::operator delete[](at, std::align_val_t{cache_line_size}); }
};

class trial {
 public:
  explicit trial(std::size_t storage)
      : bytes_(header + storage),
        memory_(static_cast<std::byte*>(::operator new[](bytes_, std::align_val_t{cache_line_size}))),
        region_(memory_.get(), bytes_) {
    std::memset(memory_.get(), 0x5A, bytes_);
    expect(shared_record_ring::create(region_).ok(), "a ring is made of any bytes");
    replace_writer();
    replace_reader();
    expect(writer_.has_value() && reader_.has_value(), "both sides of a new ring are free");
  }

  void step(input& in) {
    const std::uint8_t choice = in.byte();
    const std::size_t n = choice >> 3U;
    switch (choice % 8) {
      case 0: claim(n * 8 + in.byte() % 8); break;
      case 1:
        if (claimed_) commit(claim_bytes_ - std::min(n, claim_bytes_));
        break;
      case 2:
        if (claim(n + (n > 15 ? in.byte() : 0U))) commit(claim_bytes_);
        break;
      case 3: pop(); break;
      case 4: release(); break;
      case 5:
        while (pop()) {
        }
        release();
        break;
      case 6:
        if (n % 2 == 0) replace_writer();
        if (n % 3 == 0) replace_reader();
        break;
      default: spoil(n, in);
    }
    look_on();
  }

  void finish() {
    while (pop()) {
    }
    if (spoiled_) return;
    expect(popped_ == committed_.size(), "every record comes out");
    release();
    look_on();
    expect(reader_->waiting() == 0, "nothing is left when all is released");
  }

 private:
  struct record {
    std::uint32_t bytes = 0;
    std::uint32_t tag = 0;
  };
  static std::byte content(std::uint32_t tag, std::size_t i) { return static_cast<std::byte>(tag * 31 + i); }
  bool inside(const std::byte* at, std::size_t bytes) const {
    return at >= region_.data() + header && bytes <= bytes_ && at + bytes <= region_.data() + bytes_;
  }

  // A new one in the place of one that died.
  void replace_writer() {
    claimed_ = false;
    auto made = shared_record_ring::attach_writer(region_, dead(writer_));
    expect(made.ok() || spoiled_, "a dead writer can be replaced");
    if (made.ok()) writer_.emplace(std::move(made).value());
  }
  void replace_reader() {
    auto made = shared_record_ring::attach_reader(region_, dead(reader_));
    expect(made.ok() || spoiled_, "a dead reader can be replaced");
    if (!made.ok()) return;
    reader_.emplace(std::move(made).value());
    popped_ = 0;
    steps_ = 0;
  }
  template <class Side>
  static std::uint64_t dead(const std::optional<Side>& side) {
    return side ? side->attachment() : shared_record_ring::nobody;
  }

  bool claim(std::size_t bytes) {
    std::byte* const at = writer_->try_claim(bytes);
    claimed_ = at != nullptr;
    claim_bytes_ = bytes;
    if (!claimed_) {
      if (spoiled_) return false;
      expect(writer_->trouble() == errc{}, "a good ring is no trouble");
      expect(!committed_.empty() || bytes > writer_->max_record(), "an empty ring takes any record");
      return false;
    }
    expect(bytes <= writer_->max_record(), "no record is larger than the largest");
    expect(inside(at, bytes), "a claim lies inside the storage");
    claim_at_ = at;
    std::memset(at, 0xEE, bytes);
    return true;
  }
  void commit(std::size_t used) {
    const record r{static_cast<std::uint32_t>(used), next_tag_++};
    for (std::size_t i = 0; i < used; ++i) claim_at_[i] = content(r.tag, i);
    writer_->commit(used, r.tag);
    committed_.push_back(r);
    claimed_ = false;
  }
  bool pop() {
    record_view got;
    const ring_front found = reader_->front(got);
    if (spoiled_) {
      if (found != ring_front::record) return false;
      expect(inside(got.data, got.bytes), "a record lies inside the storage, whatever stands there");
      std::uint32_t sum = 0;
      for (std::uint32_t i = 0; i < got.bytes; ++i) sum += static_cast<std::uint32_t>(got.data[i]);
      sum_ = sum;
      reader_->pop(got);
      expect(++steps_ < bytes_ / 8, "no ring goes on for ever without a release");
      return true;
    }
    expect(found == (popped_ < committed_.size() ? ring_front::record : ring_front::empty),
           "a record is there if one was committed");
    if (found != ring_front::record) return false;
    const record& wanted = committed_[popped_];
    expect(got.bytes == wanted.bytes && got.tag == wanted.tag, "the oldest record, its length and its tag");
    for (std::uint32_t i = 0; i < got.bytes; ++i) expect(got.data[i] == content(wanted.tag, i), "a record is whole");
    reader_->pop(got);
    ++popped_;
    return true;
  }
  void release() {
    const bool mine = reader_->release();
    expect(mine || spoiled_, "who holds the place may release");
    if (mine) steps_ = 0;
    committed_.erase(committed_.begin(), committed_.begin() + static_cast<std::ptrdiff_t>(spoiled_ ? 0 : popped_));
    popped_ = 0;
  }
  // Somebody writes where he should not: a few bytes of his choice, or many.
  void spoil(std::size_t n, input& in) {
    spoiled_ = true;
    if (n == 31) {
      const std::string_view bytes = in.rest();
      std::memcpy(region_.data(), bytes.data(), std::min(bytes.size(), bytes_));
      return;
    }
    const std::size_t width = std::size_t{1} << (n % 4);
    const std::uint64_t value = in.number(static_cast<unsigned>(width));
    // The header's positions, or a word of a record.
    const std::size_t at = n < 8 ? 64 + in.below(16) * 8 : n < 12 ? in.below(64) : header + in.below(bytes_ - header);
    std::memcpy(region_.data() + std::min(at, bytes_ - width), &value, width);
  }
  void look_on() {
    const auto status = shared_record_ring::observe(region_);
    expect(status.ok() || spoiled_, "anyone may look");
    const std::size_t backlog = writer_->backlog();
    expect(backlog <= bytes_ && reader_->waiting() <= bytes_, "no more waits than there is room for");
    if (spoiled_) return;
    std::size_t unreleased = 0;
    for (const record& r : committed_) unreleased += (r.bytes + std::size_t{15}) / 8 * 8;
    expect(backlog >= unreleased && status->waiting == backlog, "all that was not released is waiting");
  }

  std::size_t bytes_;
  std::unique_ptr<std::byte[], aligned_delete> memory_;
  std::span<std::byte> region_;
  std::optional<shared_record_ring::writer> writer_;
  std::optional<shared_record_ring::reader> reader_;
  std::deque<record> committed_;  // and not released
  std::size_t popped_ = 0;        // of those
  bool spoiled_ = false;
  bool claimed_ = false;
  std::byte* claim_at_ = nullptr;
  std::size_t claim_bytes_ = 0;
  std::uint32_t next_tag_ = 1;
  std::size_t steps_ = 0;
  std::uint32_t sum_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  trial ring(record_layout::min_storage + in.below(33) * 8);
  while (!in.empty()) ring.step(in);
  ring.finish();
  return 0;
}
