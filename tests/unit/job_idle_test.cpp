// SPDX-License-Identifier: MIT
#include "holdfast/exec/job_idle.hpp"

#include <thread>

#include "holdfast/core/atomic.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"

using namespace holdfast;

TEST_CASE("job_idle: one searches at a time", "[job_idle]") {
  job_idle idle;
  CHECK(idle.begin_search());
  CHECK_FALSE(idle.begin_search());
  idle.end_search([] { return false; });
  CHECK(idle.begin_search());
}

TEST_CASE("job_idle: who finds something in his last look does not sleep, and searches if nobody does", "[job_idle]") {
  job_idle idle;
  CHECK(idle.sleep(5, false, [] { return true; }));
  CHECK(idle.asleep() == 0);
  CHECK_FALSE(idle.begin_search());
  CHECK_FALSE(idle.sleep(6, false, [] { return true; }));
  idle.end_search([] { return true; });  // nobody sleeps
  CHECK(idle.begin_search());
}

TEST_CASE("job_idle: a telling wakes one, and he the next if there is more", "[job_idle]") {
  job_idle idle;
  atomic<int> work{0};
  atomic<int> woken{0};
  const auto sleeper = [&](unsigned number) {
    return [&, number] {
      const bool searches = idle.sleep(number, false, [&] { return work.load(mo::relaxed) > 0; });
      work.fetch_sub(1, mo::relaxed);
      woken.fetch_add(1, mo::relaxed);
      if (searches) idle.end_search([&] { return work.load(mo::relaxed) > 0; });
    };
  };
  std::thread one(sleeper(0));
  std::thread two(sleeper(62));
  test_support::patience waiting;
  while (idle.asleep() != 2) REQUIRE(waiting.wait());
  work.fetch_add(2, mo::seq_cst);
  idle.tell();
  while (woken.load(mo::relaxed) != 2) REQUIRE(waiting.wait());
  one.join();
  two.join();
  CHECK(idle.asleep() == 0);
}

TEST_CASE("job_idle: a change for all has all look again", "[job_idle]") {
  job_idle idle;
  atomic<bool> over{false};
  const auto sleeps = [&](unsigned number) {
    return [&, number] { static_cast<void>(idle.sleep(number, false, [&] { return over.load(mo::relaxed); })); };
  };
  std::thread one(sleeps(0));
  std::thread two(sleeps(1));
  test_support::patience waiting;
  while (idle.asleep() != 2) REQUIRE(waiting.wait());
  over.store(true, mo::relaxed);
  idle.tell_all();
  one.join();
  two.join();
  CHECK(idle.asleep() == 0);
}
