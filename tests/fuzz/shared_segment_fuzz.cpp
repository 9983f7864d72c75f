// SPDX-License-Identifier: MIT
// shared_segment: whatever bytes stand in a shared memory object, at the beginning of a good one, in a changed one, or alone,
// judging them reads no other byte, only those of a good one are taken, and an error's words can go into a log. What is taken
// answers when it is asked.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "holdfast/ipc/shared_segment.hpp"
#include "holdfast/policy/breaker_table.hpp"
#include "holdfast/policy/rate_limiter.hpp"
#include "holdfast/policy/retry_budget.hpp"

#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;
using namespace std::chrono_literals;

using segment = shared_segment<rate_limiter, retry_budget, compact_breaker, shared_breaker_table<8>>;

// Memory without a name, of exactly these bytes.
class file {
 public:
  explicit file(std::span<const std::byte> bytes) : fd_(::memfd_create("holdfast_fuzz", MFD_CLOEXEC)) {
    expect(fd_ >= 0 && ::pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
           "the system has memory");
  }
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  ~file() { ::close(fd_); }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

// As a maker leaves it.
const std::vector<std::byte>& good() {
  static const std::vector<std::byte> bytes = [] {
    const std::string_view name = "/holdfast_fuzz_good";
    char unique[64];
    std::snprintf(unique, sizeof unique, "%s_%ld", name.data(), static_cast<long>(::getpid()));
    auto made = segment::create(unique, {}, rate_limiter_options{}, retry_budget_options{}, from_nothing{},
                                breaker_table_options{.secret = {1, 2}});
    expect(made.ok(), "a segment can be made");
    expect(segment::unlink(unique).ok(), "and unlinked");
    const auto* const first = reinterpret_cast<const std::byte*>(&made->get<0>());
    const std::byte* const begin = first - segment::plan().objects[0].offset;
    return std::vector<std::byte>(begin, begin + segment::bytes);
  }();
  return bytes;
}

void judge(std::span<const std::byte> bytes) {
  // As large as what it is, so that a sanitizer sees who reads beyond it.
  const auto own = std::make_unique<std::byte[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), own.get());
  const std::size_t head = std::min<std::size_t>(bytes.size(), segment_plan::header_bytes(segment_plan::most_objects));
  segment_text why;
  const auto got = judge_segment(std::span<const std::byte>(own.get(), head), bytes.size(), segment::plan(), &why);
  const std::size_t whole = segment_plan::header_bytes(segment::plan().objects.size());
  // Some words are of no use yet, and may be anything.
  const auto same = [&](std::size_t from, std::size_t to) {
    return std::equal(good().begin() + static_cast<std::ptrdiff_t>(from),
                      good().begin() + static_cast<std::ptrdiff_t>(to),
                      bytes.begin() + static_cast<std::ptrdiff_t>(from));
  };
  const bool is_good = bytes.size() == segment::bytes && same(0, offsetof(shared_segment_header, reserved)) &&
                       same(sizeof(shared_segment_header), whole);
  expect(got.ok() == is_good, "a segment of this plan is taken, and nothing else");
  expect(got.ok() || !why.empty(), "an error has words");
  for (const char c : why.view()) expect(c >= ' ' && c <= '~', "which can go into a log");

  const file as_file(bytes);
  auto attached = segment::attach(as_file.get(), {.why = &why});
  expect(!attached.ok() || is_good, "what is no segment is not attached");
  if (!attached.ok()) return;
  const time_point now{1000s};
  static_cast<void>(attached->get<rate_limiter>().snapshot(now));
  static_cast<void>(attached->get<rate_limiter>().try_take(now));
  static_cast<void>(attached->get<retry_budget>().try_take(now));
  attached->get<retry_budget>().on_first_attempt(now);
  breaker_table table(attached->get<shared_breaker_table<8>>());
  for (std::uint64_t key = 0; key < 3; ++key) {
    auto a = table.admit(table.key(key), now);
    if (a) table.report(std::move(a.ticket), verdict::transient, now);
  }
  static_cast<void>(table.totals());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  const std::uint8_t kind = in.byte();
  if (kind % 4 == 0) {  // alone
    const std::string_view text = in.rest();
    judge(std::as_bytes(std::span(text)));
    return 0;
  }
  std::vector<std::byte> bytes = good();
  if (kind % 4 == 1) {  // cut short, or longer
    bytes.resize(in.below(segment::bytes + 100));
  }
  while (!in.empty() && !bytes.empty()) {
    const std::size_t at = kind % 4 == 2 ? in.below(bytes.size()) : in.below(std::min<std::size_t>(bytes.size(), 320));
    const std::uint64_t value = in.number(1U + (kind >> 2U) % 8U);
    std::memcpy(bytes.data() + at, &value, std::min<std::size_t>(1U + (kind >> 2U) % 8U, bytes.size() - at));
  }
  judge(bytes);
  return 0;
}
