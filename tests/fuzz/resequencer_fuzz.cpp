// SPDX-License-Identifier: MIT
// resequencer: whatever the order in which one thread gives what it has taken, it leaves in the order of the taking, as
// soon as all before it have been given. What would wait for others is not given yet.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "holdfast/queue/resequencer.hpp"

#include "fuzz/counted.hpp"
#include "fuzz/target.hpp"

namespace {

using namespace holdfast;
using namespace holdfast::fuzz;

template <class T, std::size_t Window>
class trial {
 public:
  void step(std::uint8_t choice) {
    const std::size_t which = choice >> 2U;  // up to 63
    switch (choice % 4) {
      case 0: take(true); break;
      case 1: take(which % 8 != 0); break;
      default: give(which);
    }
  }
  // All that was taken, so that nothing is left to be given; or not, and the resequencer destroys what was given.
  void end(bool all) {
    while (all && !held_.empty()) give(0);
    if (all) expect(emitted_ == next_, "all that was given has been emitted");
  }

 private:
  void take(bool is_there) {
    bool asked = false;
    const std::optional<std::uint64_t> number = order_.take([&] { return std::exchange(asked, true), is_there; });
    expect(asked, "pop is called");
    expect(number.has_value() == is_there, "a number for what was popped, and for nothing else");
    if (!number) return;
    expect(*number == next_++, "numbers have no gap");
    held_.push_back(*number);
  }
  void give(std::size_t which) {
    if (held_.empty()) return;
    const auto at = held_.begin() + static_cast<std::ptrdiff_t>(which % held_.size());
    const std::uint64_t number = *at;
    if (number - emitted_ >= Window) return;  // it would sleep until others have given
    held_.erase(at);
    order_.give(number, T(static_cast<std::uint32_t>(number)), [&](T&& item) {
      expect(number_of(item) == static_cast<std::uint32_t>(emitted_), "in the order of the taking");
      ++emitted_;
    });
    // The row ends at the first number that somebody still holds.
    expect(emitted_ == (held_.empty() ? next_ : held_.front()),
           "all before the first that is missing, and nothing behind it");
  }

  resequencer<T, Window> order_;
  std::vector<std::uint64_t> held_;  // taken and not given, as they were taken
  std::uint64_t next_ = 0;
  std::uint64_t emitted_ = 0;
};

template <class T, std::size_t Window>
void run(input& in, bool all) {
  {
    trial<T, Window> one;
    while (!in.empty()) one.step(in.byte());
    one.end(all);
  }
  expect(counted::living == 0, "each item is destroyed, and once");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  const std::uint8_t form = in.byte();
  const bool all = (form & 128U) == 0;
  switch (form % 4) {
    case 0: run<counted, 1>(in, all); break;
    case 1: run<counted, 2>(in, all); break;
    case 2: run<counted, 8>(in, all); break;
    default: run<std::uint32_t, 4>(in, all);
  }
  return 0;
}
