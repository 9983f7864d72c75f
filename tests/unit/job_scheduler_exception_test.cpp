// SPDX-License-Identifier: MIT
#include <stdexcept>
#include <vector>

#include "holdfast/exec/job_scheduler.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

struct throws_when_moved {
  throws_when_moved() = default;
  throws_when_moved(const throws_when_moved&) { throw std::runtime_error("no copy"); }
  void operator()() const noexcept {}
};

}  // namespace

TEST_CASE("job_scheduler: a job that throws is told of, and stops nothing", "[job_scheduler]") {
  std::vector<job_news> all;
  const job_listener notes{
      [](void* to, const job_news& one) noexcept { static_cast<std::vector<job_news>*>(to)->push_back(one); }, &all};
  job_scheduler<job_shape{.jobs = 16, .levels = 2}> jobs({.workers = 1, .listener = notes});
  REQUIRE_FALSE(jobs.start());
  int runs = 0;
  REQUIRE(jobs.try_submit(0, [] { throw std::runtime_error("wrong"); }));
  REQUIRE(jobs.try_submit(0, [] { throw 7; }));
  REQUIRE(jobs.try_submit(0, [&] { ++runs; }));
  jobs.shut_down();
  CHECK(runs == 1);
  REQUIRE(all.size() == 2);
  CHECK(all[0].what == job_end::failed);
  CHECK(all[0].why.code == errc::callee_threw);
  CHECK(jobs.metrics(0).failed == 2);
  CHECK(jobs.metrics(0).run == 3);
}

TEST_CASE("job_scheduler: a callable that throws while it is moved in leaves all as it was", "[job_scheduler]") {
  job_scheduler<job_shape{.jobs = 2, .levels = 2}> jobs({.workers = 1});
  REQUIRE_FALSE(jobs.start());
  const throws_when_moved bad;
  for (int i = 0; i < 10; ++i) CHECK_THROWS(jobs.try_submit(0, bad));
  int runs = 0;
  jobs.pause();
  REQUIRE(jobs.try_submit(0, [&] { ++runs; }));
  REQUIRE(jobs.try_submit(0, [&] { ++runs; }));
  jobs.shut_down();
  CHECK(runs == 2);
  CHECK(jobs.metrics(0).accepted == 2);
}
