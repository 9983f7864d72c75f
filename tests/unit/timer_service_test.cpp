// SPDX-License-Identifier: MIT
#include "holdfast/exec/timer_service.hpp"

#include <array>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/patience.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

struct tally {
  atomic<int> fired{0};
  atomic<int> early{0};
};
struct count_it {
  tally* to;
  void operator()(timer_lanes<int>::fired_timer& timer) noexcept {
    if (steady_clock::now() < timer.due) to->early.fetch_add(1, mo::relaxed);
    if (timer.what == 7) timer.again(timer.due + 1ms);
    to->fired.fetch_add(1, mo::relaxed);
  }
};
using service = timer_service<int, count_it>;

bool comes_to(const tally& seen, int count) {
  test_support::patience patience;
  while (seen.fired.load(mo::relaxed) < count && patience.wait()) {
  }
  return seen.fired.load(mo::relaxed) >= count;
}

}  // namespace

TEST_CASE("a thread fires timers that any thread sets, not before their time", "[timer_service]") {
  const duration spin = GENERATE(duration(0), duration(200us));
  tally seen;
  service timers({.spin = spin}, count_it{&seen});
  REQUIRE_FALSE(timers.start());
  auto lane = timers.timers().join();
  const time_point now = steady_clock::now();
  for (int i = 0; i < 20; ++i) CHECK(lane.schedule(now + i * 500us, 1));
  CHECK(timers.timers().schedule(now + 1ms, 1));
  const shared_timer_id far = timers.timers().schedule(now + 24h, 1);
  CHECK(comes_to(seen, 21));
  CHECK(seen.early.load(mo::relaxed) == 0);
  CHECK(timers.timers().cancel(far) == timer_cancel::cancelled);
  timers.stop(timer_end::cancels);
  CHECK(timers.lateness().count() == 21);
  CHECK(timers.timers().counts().fired == 21);
}

TEST_CASE("at the end timers are cancelled, or fire at once, or at their time", "[timer_service]") {
  const timer_end how = GENERATE(timer_end::cancels, timer_end::fires, timer_end::at_their_time);
  tally seen;
  service timers({}, count_it{&seen});
  REQUIRE_FALSE(timers.start());
  const time_point now = steady_clock::now();
  CHECK(timers.timers().schedule(now + 20ms, 1));
  CHECK(timers.timers().schedule(now + 24h, 2));
  std::vector<int> back;
  timers.stop(how, deadline(now + 40ms), [&](int what, time_point due) noexcept {
    CHECK(due >= now + 20ms);
    back.push_back(what);
  });
  CHECK(seen.fired.load(mo::relaxed) + static_cast<int>(back.size()) == 2);
  if (how == timer_end::fires) CHECK(seen.fired.load(mo::relaxed) == 2);
  if (how == timer_end::cancels) CHECK(back.back() == 2);
  if (how == timer_end::at_their_time) CHECK(back == std::vector<int>{2});
  CHECK_FALSE(timers.timers().schedule(now, 3));
  const timer_counts counts = timers.timers().counts();
  CHECK(counts.scheduled == 2);
  CHECK(counts.fired + counts.closed == 2);
}

TEST_CASE("who lets timers fire at their time waits until none is left", "[timer_service]") {
  tally seen;
  service timers({}, count_it{&seen});
  REQUIRE_FALSE(timers.start());
  for (int i = 0; i < 5; ++i) CHECK(timers.timers().schedule(steady_clock::now() + i * 2ms, 1));
  timers.stop(timer_end::at_their_time);
  CHECK(seen.fired.load(mo::relaxed) == 5);
  CHECK(seen.early.load(mo::relaxed) == 0);
}

TEST_CASE("who waits until none is left does so no longer where the last one is cancelled", "[timer_service]") {
  tally seen;
  service timers({}, count_it{&seen});
  REQUIRE_FALSE(timers.start());
  const shared_timer_id id = timers.timers().schedule(steady_clock::now() + 24h, 1);
  const time_point late = steady_clock::now() + 20s;
  std::thread ends([&] { timers.stop(timer_end::at_their_time, deadline(late)); });
  test_support::patience patience;
  while (!(timers.timers().closed() && timers.timers().counts().sleeps > 2) && patience.wait()) {
  }
  CHECK(timers.timers().cancel(id) == timer_cancel::cancelled);
  ends.join();
  CHECK(steady_clock::now() < late);
}

TEST_CASE("a timer for the first time there is fires, and is late as long as can be said", "[timer_service]") {
  tally seen;
  service timers({}, count_it{&seen});
  REQUIRE_FALSE(timers.start());
  CHECK(timers.timers().schedule(time_point::min(), 1));
  CHECK(comes_to(seen, 1));
  timers.stop(timer_end::cancels);
  CHECK(timers.lateness().max > 24h);
}

TEST_CASE("a periodic timer goes on until it is cancelled", "[timer_service]") {
  tally seen;
  service timers({}, count_it{&seen});
  REQUIRE_FALSE(timers.start());
  const shared_timer_id id = timers.timers().schedule(steady_clock::now(), 7);
  CHECK(comes_to(seen, 5));
  CHECK(timers.timers().cancel(id) != timer_cancel::gone);
  CHECK(timers.timers().await_end(id, deadline::never()));
  const int then = seen.fired.load(mo::relaxed);
  timers.stop(timer_end::at_their_time);
  CHECK(seen.fired.load(mo::relaxed) == then);
}

TEST_CASE("timers can be set before the thread starts, and a service that never started ends", "[timer_service]") {
  tally seen;
  {
    service timers({}, count_it{&seen});
    CHECK(timers.timers().schedule(steady_clock::now(), 1));
  }
  CHECK(seen.fired.load(mo::relaxed) == 0);
  service timers({}, count_it{&seen});
  CHECK(timers.timers().schedule(steady_clock::now(), 1));
  REQUIRE_FALSE(timers.start());
  CHECK(comes_to(seen, 1));
}

TEST_CASE("timer_service says which option is wrong", "[timer_service]") {
  CHECK_FALSE(validate(timer_service_options{}));
  CHECK(validate(timer_service_options{.timers = {.shared_timers = 0}}).field == std::string_view("shared_timers"));
  CHECK(validate(timer_service_options{.most_a_turn = 0}).field == std::string_view("most_a_turn"));
  CHECK(validate(timer_service_options{.spin = -1ns}).field == std::string_view("spin"));
}
