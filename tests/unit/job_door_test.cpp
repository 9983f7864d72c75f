// SPDX-License-Identifier: MIT
#include "holdfast/exec/job_door.hpp"

#include <thread>

#include "holdfast/core/atomic.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"

using namespace holdfast;

TEST_CASE("job_door: open, closed, and open again", "[job_door]") {
  job_door door;
  CHECK(door.enter());
  CHECK(door.enter());  // within a visit
  door.leave();
  door.leave();
  door.close();
  CHECK(door.closed());
  CHECK_FALSE(door.enter());
  door.open();
  CHECK(door.enter());
  door.leave();
}

TEST_CASE("job_door: JD1 close waits for who is inside", "[job_door]") {
  job_door door;
  atomic<bool> left{false};
  atomic<bool> saw{false};
  REQUIRE(door.enter());
  std::thread closes([&] {
    door.close();
    saw.store(left.load(mo::relaxed), mo::relaxed);
  });
  test_support::patience waiting;
  while (!door.closed()) REQUIRE(waiting.wait());
  left.store(true, mo::relaxed);
  door.leave();
  closes.join();
  CHECK(saw.load(mo::relaxed));
}
