// SPDX-License-Identifier: MIT
#include <array>
#include <chrono>
#include <cstdint>

#include "holdfast/core/atomic.hpp"
#include "holdfast/exec/job_scheduler.hpp"

#include "support/catch.hpp"
#include "support/no_alloc.hpp"

using namespace holdfast;
using namespace std::chrono_literals;
using test_support::allocations_of_this_thread;
using test_support::no_alloc_scope;

TEST_CASE("job_scheduler allocates nothing once it runs, whatever is submitted, cancelled, refused or shed",
          "[alloc][job_scheduler]") {
  constexpr job_shape shape{.jobs = 1024, .levels = 4, .deadlines = true, .measured = true};
  job_scheduler<shape> jobs({.workers = 1, .overload = job_overload::shed_lowest, .local = true});
  REQUIRE_FALSE(jobs.start());
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  std::array<char, 24> bytes{};
  REQUIRE(jobs.try_submit(0, [&] { before = allocations_of_this_thread(); }));
  jobs.drain();
  std::uint64_t refused = 0;
  {
    const no_alloc_scope scope("job_scheduler: submit, cancel, pause");
    for (int i = 0; i < 10'000; ++i) {
      const auto at = static_cast<unsigned>(i) % 4;
      if (i % 1000 == 0) jobs.pause();
      if (i % 1000 == 500) jobs.resume();
      const auto job = [bytes, &jobs, at] {
        if (bytes[0] == 0) static_cast<void>(jobs.try_submit(at, [] {}));
      };
      const job_receipt in = i % 3 == 0
                                 ? jobs.try_submit({.level = at, .until = deadline(steady_clock::now() + 1ms)}, [] {})
                                 : jobs.submit_until(deadline(steady_clock::now()), at, [] {});
      refused += in ? 0U : 1U;
      if (i % 5 == 0) static_cast<void>(jobs.cancel(in.job));
      static_cast<void>(jobs.try_submit(at, job));
    }
    jobs.drain();
  }
  REQUIRE(jobs.try_submit(0, [&] { after = allocations_of_this_thread(); }));
  jobs.shut_down();
  CHECK(after == before);
  CHECK(refused < 10'000);
}
