// SPDX-License-Identifier: MIT
#include <array>
#include <cstdint>

#include "holdfast/exec/work_pipeline.hpp"

#include "support/catch.hpp"
#include "support/no_alloc.hpp"

using namespace holdfast;
using test_support::allocations_of_this_thread;
using test_support::no_alloc_scope;

namespace {

// What its thread has allocated from the first call to the last one. Not between threads: for a stage of one worker.
class watch {
 public:
  void look() noexcept {
    if (calls_++ == 0) first_ = allocations_of_this_thread();
    last_ = allocations_of_this_thread();
  }
  [[nodiscard]] std::uint64_t allocated() const noexcept { return last_ - first_; }
  [[nodiscard]] int calls() const noexcept { return calls_; }

 private:
  std::uint64_t first_ = 0;
  std::uint64_t last_ = 0;
  int calls_ = 0;
};

}  // namespace

TEST_CASE("work_pipeline allocates nothing once it runs, whatever fails or has to wait", "[alloc][work_pipeline]") {
  watch first;
  watch last;
  work_pipeline line(stage<int, 4>({.name = "fails"},
                                   [&](int&& n) -> outcome<int> {
                                     first.look();
                                     if (n % 3 == 0) return errc::rate_limited;
                                     return n;
                                   }),
                     stage<int, 4>({.name = "by", .workers = 3}, [](int&& n) { return n; }),
                     stage<int, 4>({.name = "keep"}, [&](outcome<int>&&) { last.look(); }));
  REQUIRE_FALSE(line.start());
  std::uint64_t refused = 0;
  {
    const no_alloc_scope scope("work_pipeline: push");
    for (int i = 0; i < 10'000; ++i) refused += line.push(int{i}) ? 0U : 1U;
  }
  line.close();
  line.join();
  CHECK(refused == 0);
  CHECK(first.calls() == 10'000);
  CHECK(first.allocated() == 0);
  CHECK(last.calls() == 10'000);
  CHECK(last.allocated() == 0);
}
