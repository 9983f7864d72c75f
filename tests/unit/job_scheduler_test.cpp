// SPDX-License-Identifier: MIT
#include "holdfast/exec/job_scheduler.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/outcome.hpp"
#include "holdfast/exec/run_loop.hpp"
#include "holdfast/exec/runnable.hpp"
#include "holdfast/exec/task.hpp"
#include "holdfast/time/clock.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/patience.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

using test_support::gate;

// What jobs wrote, one after the other: for one worker.
struct notes {
  std::vector<int> text;
  auto write(int what) {
    return [this, what] { text.push_back(what); };
  }
};

template <job_shape Shape = job_shape{.jobs = 64, .levels = 4}>
std::unique_ptr<job_scheduler<Shape>> started(const job_options& options = {.workers = 1}) {
  auto jobs = std::make_unique<job_scheduler<Shape>>(options);
  REQUIRE_FALSE(jobs->start());
  return jobs;
}

struct counted_news {
  std::vector<job_news> all;
  job_listener listener() {
    return {[](void* me, const job_news& one) noexcept { static_cast<counted_news*>(me)->all.push_back(one); }, this};
  }
};

void check_accounts(const job_metrics& m) {
  CHECK(m.accepted == m.run + m.cancelled + m.shed + m.expired + m.waiting);
}

}  // namespace

TEST_CASE("job_scheduler: a job that is submitted is run once, and counted", "[job_scheduler]") {
  const auto jobs = started({.workers = 2});
  atomic<int> runs{0};
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(
        jobs->submit_until(deadline::never(), static_cast<unsigned>(i) % 4, [&] { runs.fetch_add(1, mo::relaxed); }));
  }
  jobs->drain();
  CHECK(runs.load(mo::relaxed) == 1000);
  for (unsigned at = 0; at < 4; ++at) {
    const job_metrics m = jobs->metrics(at);
    CHECK(m.accepted == 250);
    CHECK(m.run == 250);
    CHECK(m.waiting == 0);
  }
  jobs->shut_down();
}

TEST_CASE("job_scheduler: the order of the levels, and within one that in which they came", "[job_scheduler]") {
  const auto jobs = started({.workers = 1, .ageing = 0});
  notes n;
  jobs->pause();
  for (int i = 0; i < 40; ++i) {
    const int at = (i * 7) % 4;
    REQUIRE(jobs->try_submit(static_cast<unsigned>(at), n.write(at * 100 + i)));
  }
  jobs->resume();
  jobs->drain();
  REQUIRE(n.text.size() == 40);
  CHECK(std::is_sorted(n.text.begin(), n.text.end()));
}

TEST_CASE("job_scheduler: a job of a higher level goes before those that were taken ahead", "[job_scheduler]") {
  const auto jobs = started({.workers = 1, .ageing = 0});
  notes n;
  gate g;
  int refused = 0;
  REQUIRE(jobs->try_submit(1, [&] { g.pass(); }));
  g.await(1);
  // Taken ahead by the worker after the first one: the job in the middle of them submits a higher one.
  for (int i = 0; i < 8; ++i) {
    REQUIRE(jobs->try_submit(1, [&, i] {
      n.text.push_back(i);
      if (i == 3) refused += jobs->try_submit(0, n.write(100)) ? 0 : 1;
    }));
  }
  g.open();
  jobs->drain();
  CHECK(refused == 0);
  CHECK(n.text == std::vector{0, 1, 2, 3, 100, 4, 5, 6, 7});
}

TEST_CASE("job_scheduler: JQ1 a low level is served within k (levels - 1) picks under a flood of higher ones",
          "[job_scheduler]") {
  constexpr unsigned k = 4;
  const auto jobs = started<job_shape{.jobs = 256, .levels = 4}>({.workers = 1, .ageing = k});
  std::vector<int> text;
  jobs->pause();
  for (int i = 0; i < 100; ++i) REQUIRE(jobs->try_submit(0, [&] { text.push_back(0); }));
  for (int at = 1; at < 4; ++at) {
    for (int i = 0; i < 5; ++i) REQUIRE(jobs->try_submit(static_cast<unsigned>(at), [&, at] { text.push_back(at); }));
  }
  jobs->resume();
  jobs->drain();
  for (int at = 1; at < 4; ++at) {
    std::size_t last = 0;
    int served = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != at) continue;
      CHECK(i - last <= k * 3);
      last = i;
      ++served;
    }
    CHECK(served == 5);
  }
}

TEST_CASE("job_scheduler: strict, a low job waits as long as there are higher ones", "[job_scheduler]") {
  const auto jobs = started({.workers = 1, .ageing = 0});
  notes n;
  jobs->pause();
  REQUIRE(jobs->try_submit(3, n.write(3)));
  for (int i = 0; i < 50; ++i) REQUIRE(jobs->try_submit(0, n.write(0)));
  jobs->resume();
  jobs->drain();
  CHECK(n.text.back() == 3);
}

TEST_CASE("job_scheduler: jobs with deadlines first, the earliest of them first, and then the others in their order",
          "[job_scheduler]") {
  const auto jobs = started<job_shape{.jobs = 64, .levels = 4, .deadlines = true}>({.workers = 1, .ageing = 0});
  notes n;
  const time_point now = steady_clock::now();
  jobs->pause();
  REQUIRE(jobs->try_submit(2, n.write(100)));
  REQUIRE(jobs->try_submit(2, n.write(101)));
  for (const int after : {50, 20, 40, 10, 30}) {
    REQUIRE(jobs->try_submit({.level = 2, .until = deadline(now + 1h + after * 1ms)}, n.write(after)));
  }
  REQUIRE(jobs->try_submit(1, n.write(0)));
  jobs->resume();
  jobs->drain();
  CHECK(n.text == std::vector{0, 10, 20, 30, 40, 50, 100, 101});
  check_accounts(jobs->metrics(2));
}

TEST_CASE("job_scheduler: jobs without a deadline are not starved by those of their level that have one",
          "[job_scheduler]") {
  const auto jobs = started<job_shape{.jobs = 64, .levels = 2, .deadlines = true}>({.workers = 1, .ageing = 4});
  notes n;
  jobs->pause();
  REQUIRE(jobs->try_submit(0, n.write(-1)));
  for (int i = 0; i < 40; ++i) {
    REQUIRE(jobs->try_submit({.level = 0, .until = deadline(steady_clock::now() + 1h)}, n.write(i)));
  }
  jobs->resume();
  jobs->drain();
  const auto at = std::find(n.text.begin(), n.text.end(), -1) - n.text.begin();
  CHECK(at <= 4);
}

TEST_CASE("job_scheduler: a job whose deadline has passed is run, or dropped and told of", "[job_scheduler]") {
  const bool run_late = GENERATE(true, false);
  manual_clock clock;
  counted_news news;
  constexpr job_shape shape{.jobs = 64, .levels = 2, .deadlines = true};
  job_scheduler<shape, manual_clock> jobs({.workers = 1, .run_late = run_late, .listener = news.listener()}, clock);
  REQUIRE_FALSE(jobs.start());
  notes n;
  jobs.pause();
  const job_receipt late = jobs.try_submit({.level = 1, .until = deadline(clock.now() + 1s)}, n.write(1));
  REQUIRE(jobs.try_submit({.level = 1, .until = deadline(clock.now() + 3s)}, n.write(2)));
  clock.advance(2s);
  jobs.resume();
  jobs.drain();
  jobs.shut_down();
  check_accounts(jobs.metrics(1));
  if (run_late) {
    CHECK(n.text == std::vector{1, 2});
    CHECK(news.all.empty());
  } else {
    CHECK(n.text == std::vector{2});
    REQUIRE(news.all.size() == 1);
    CHECK(news.all[0].job == late.job);
    CHECK(news.all[0].what == job_end::expired);
    CHECK(jobs.metrics(1).expired == 1);
  }
}

TEST_CASE("job_scheduler: JE2 cancel says what it did", "[job_scheduler]") {
  const auto jobs = started();
  gate g;
  notes n;
  const job_receipt running = jobs->try_submit(0, [&] { g.pass(); });
  g.await(1);
  const auto token = std::make_shared<int>(0);
  const job_receipt waiting = jobs->try_submit(0, [token, &n] { n.text.push_back(1); });
  REQUIRE(waiting);
  CHECK(token.use_count() == 2);
  CHECK(jobs->cancel(running.job) == cancel_answer::running);
  CHECK(jobs->cancel(waiting.job) == cancel_answer::cancelled);
  CHECK(token.use_count() == 1);  // at once
  CHECK(jobs->cancel(waiting.job) == cancel_answer::gone);
  CHECK(jobs->cancel({}) == cancel_answer::gone);
  CHECK(jobs->cancel(job_handle(1'000'000, 1)) == cancel_answer::gone);
  g.open();
  jobs->drain();
  CHECK(jobs->cancel(running.job) == cancel_answer::gone);
  CHECK(n.text.empty());
  CHECK(jobs->metrics(0).cancelled == 1);
  check_accounts(jobs->metrics(0));
}

TEST_CASE("job_scheduler: a job may be move-only, and what it holds ends with it", "[job_scheduler]") {
  const auto jobs = started();
  const auto token = std::make_shared<int>(7);
  atomic<int> seen{0};
  auto held = std::make_unique<std::shared_ptr<int>>(token);
  REQUIRE(jobs->try_submit(0, [held = std::move(held), &seen] { seen.store(**held, mo::relaxed); }));
  jobs->drain();
  jobs->shut_down();
  CHECK(seen.load(mo::relaxed) == 7);
  CHECK(token.use_count() == 1);
}

TEST_CASE("job_scheduler: refuses when it is full, and the job is still the caller's", "[job_scheduler]") {
  const auto jobs = started<job_shape{.jobs = 4, .levels = 2}>({.workers = 1});
  jobs->pause();
  for (int i = 0; i < 4; ++i) REQUIRE(jobs->try_submit(1, [] {}));
  auto mine = std::make_unique<int>(1);
  auto job = [mine = std::move(mine)] {};
  const job_receipt refused = jobs->try_submit(0, std::move(job));
  CHECK_FALSE(refused);
  CHECK(refused.why == job_refusal::full);
  CHECK_FALSE(refused.job);
  CHECK(jobs->submit_until(deadline(steady_clock::now()), 0, [] {}).why == job_refusal::full);
  CHECK(jobs->metrics(0).refused == 2);
  jobs->resume();
  // NOLINTNEXTLINE(bugprone-use-after-move): refused, it is as it was
  CHECK(jobs->submit_until(deadline::never(), 0, std::move(job)));
  jobs->drain();
}

TEST_CASE("job_scheduler: a level's own limit", "[job_scheduler]") {
  job_options options{.workers = 1};
  options.most[1] = 2;
  const auto jobs = started(options);
  jobs->pause();
  REQUIRE(jobs->try_submit(1, [] {}));
  REQUIRE(jobs->try_submit(1, [] {}));
  CHECK(jobs->try_submit(1, [] {}).why == job_refusal::level_full);
  CHECK(jobs->try_submit(0, [] {}));
  CHECK(jobs->metrics(1).refused == 1);
  jobs->resume();
  jobs->drain();
  CHECK(jobs->try_submit(1, [] {}));
}

TEST_CASE("job_scheduler: sheds the oldest job of the lowest level below, which is told of once", "[job_scheduler]") {
  counted_news news;
  const auto jobs = started<job_shape{.jobs = 4, .levels = 4}>(
      {.workers = 1, .overload = job_overload::shed_lowest, .listener = news.listener()});
  notes n;
  jobs->pause();
  REQUIRE(jobs->try_submit(1, n.write(1)));
  REQUIRE(jobs->try_submit(2, n.write(2)));
  const job_receipt oldest = jobs->try_submit(3, n.write(3));
  REQUIRE(jobs->try_submit(3, n.write(4)));
  CHECK(jobs->try_submit(3, n.write(5)).why == job_refusal::full);  // not for one of its own level
  CHECK(jobs->try_submit(0, n.write(0)));
  REQUIRE(news.all.size() == 1);
  CHECK(news.all[0].job == oldest.job);
  CHECK(news.all[0].level == 3);
  CHECK(news.all[0].what == job_end::shed);
  CHECK(jobs->try_submit(1, n.write(6)));
  CHECK(jobs->try_submit(1, n.write(7)));
  CHECK(jobs->try_submit(1, n.write(8)).why == job_refusal::full);
  jobs->resume();
  jobs->drain();
  CHECK(n.text == std::vector{0, 1, 6, 7});
  CHECK(jobs->metrics(3).shed == 2);
  for (unsigned at = 0; at < 4; ++at) check_accounts(jobs->metrics(at));
}

TEST_CASE("job_scheduler: the slots of cancelled jobs are used where room is needed", "[job_scheduler]") {
  const auto jobs = started<job_shape{.jobs = 4, .levels = 2}>({.workers = 1});
  jobs->pause();
  std::array<job_handle, 4> in;
  for (job_handle& one : in) one = jobs->try_submit(1, [] {}).job;
  for (const job_handle one : in) CHECK(jobs->cancel(one) == cancel_answer::cancelled);
  for (int i = 0; i < 4; ++i) CHECK(jobs->try_submit(1, [] {}));
  CHECK(jobs->try_submit(1, [] {}).why == job_refusal::full);
  jobs->resume();
  jobs->drain();
  check_accounts(jobs->metrics(1));
}

TEST_CASE("job_scheduler: a submit waits for room until its deadline", "[job_scheduler]") {
  const auto jobs = started<job_shape{.jobs = 2, .levels = 2}>({.workers = 1});
  gate g;
  REQUIRE(jobs->try_submit(0, [&] { g.pass(); }));
  g.await(1);
  REQUIRE(jobs->try_submit(0, [] {}));
  CHECK(jobs->submit_until(deadline(steady_clock::now() + 2ms), 0, [] {}).why == job_refusal::full);
  std::thread opens([&] { g.open(); });
  CHECK(jobs->submit_until(deadline::never(), 0, [] {}));
  opens.join();
  jobs->drain();
}

TEST_CASE("job_scheduler: a job that returns an error is told of, and stops nothing", "[job_scheduler]") {
  counted_news news;
  const auto jobs = started<job_shape{.jobs = 64, .levels = 2}>({.workers = 1, .listener = news.listener()});
  notes n;
  const job_receipt failed = jobs->try_submit(1, []() -> outcome<int> { return errc::rate_limited; });
  REQUIRE(jobs->try_submit(1, []() -> outcome<> { return {}; }));
  REQUIRE(jobs->try_submit(1, n.write(1)));
  jobs->drain();
  jobs->shut_down();
  CHECK(n.text == std::vector{1});
  REQUIRE(news.all.size() == 1);
  CHECK(news.all[0].job == failed.job);
  CHECK(news.all[0].what == job_end::failed);
  CHECK(news.all[0].why.code == errc::rate_limited);
  CHECK(jobs->metrics(1).failed == 1);
  CHECK(jobs->metrics(1).run == 3);
}

TEST_CASE("job_scheduler: closed, nothing comes in from outside, but jobs go on with what they began",
          "[job_scheduler]") {
  const auto jobs = started({.workers = 2});
  gate g;
  atomic<int> runs{0};
  REQUIRE(jobs->try_submit(0, [&] {
    g.pass();
    for (int i = 0; i < 10; ++i) {
      if (jobs->try_submit(1, [&] { runs.fetch_add(1, mo::relaxed); })) runs.fetch_add(100, mo::relaxed);
    }
  }));
  g.await(1);
  jobs->close();
  CHECK(jobs->try_submit(0, [] {}).why == job_refusal::closed);
  CHECK(jobs->submit_until(deadline::never(), 0, [] {}).why == job_refusal::closed);
  g.open();
  jobs->drain();
  CHECK(runs.load(mo::relaxed) == 1010);
}

TEST_CASE("job_scheduler: drain_until gives up at its deadline", "[job_scheduler]") {
  const auto jobs = started();
  gate g;
  REQUIRE(jobs->try_submit(0, [&] { g.pass(); }));
  CHECK_FALSE(jobs->drain_until(deadline(steady_clock::now() + 1ms)));
  g.open();
  CHECK(jobs->drain_until(deadline::never()));
}

TEST_CASE("job_scheduler: cancel_all ends all that wait, those taken ahead too, and tells of each once",
          "[job_scheduler]") {
  counted_news news;
  const auto jobs =
      started<job_shape{.jobs = 64, .levels = 4, .deadlines = true}>({.workers = 1, .listener = news.listener()});
  gate g;
  notes n;
  jobs->pause();
  REQUIRE(jobs->try_submit(1, [&] { g.pass(); }));
  for (int i = 0; i < 20; ++i) REQUIRE(jobs->try_submit(1, n.write(i)));
  jobs->resume();
  g.await(1);  // by now the worker has some of them in its lane
  REQUIRE(jobs->try_submit({.level = 0, .until = deadline(steady_clock::now() + 1h)}, n.write(0)));
  CHECK(jobs->cancel_all() == 21);
  CHECK(news.all.size() == 21);
  g.open();
  jobs->drain();
  CHECK(n.text.empty());
  for (unsigned at = 0; at < 4; ++at) check_accounts(jobs->metrics(at));
}

TEST_CASE("job_scheduler: others take what a worker has taken ahead while it is held up", "[job_scheduler]") {
  const auto jobs = started({.workers = 2});
  gate first;
  atomic<int> runs{0};
  jobs->pause();
  REQUIRE(jobs->try_submit(1, [&] { first.pass(); }));
  for (int i = 0; i < 10; ++i) REQUIRE(jobs->try_submit(1, [&] { runs.fetch_add(1, mo::relaxed); }));
  jobs->resume();
  first.await(1);
  test_support::patience waiting;
  while (runs.load(mo::relaxed) != 10) REQUIRE(waiting.wait());
  first.open();
  jobs->drain();
}

TEST_CASE("job_scheduler: jobs that are submitted by a job to its own level come first where that is asked for",
          "[job_scheduler]") {
  const bool local = GENERATE(true, false);
  const auto jobs = started({.workers = 1, .local = local});
  notes n;
  int refused = 0;
  jobs->pause();
  REQUIRE(jobs->try_submit(1, [&] {
    for (int i = 0; i < 3; ++i) refused += jobs->try_submit(1, n.write(i)) ? 0 : 1;
    refused += jobs->try_submit(0, n.write(-1)) ? 0 : 1;
  }));
  // More than the worker takes ahead, so that some are still in the level when the first one submits its own.
  for (int i = 0; i < 20; ++i) REQUIRE(jobs->try_submit(1, n.write(100 + i)));
  jobs->resume();
  jobs->drain();
  CHECK(refused == 0);
  REQUIRE(n.text.size() == 24);
  CHECK(n.text[0] == -1);
  const auto last = std::find(n.text.begin(), n.text.end(), 119);
  const auto own = std::find(n.text.begin(), n.text.end(), 0);
  CHECK((own < last) == local);
  check_accounts(jobs->metrics(1));
}

TEST_CASE("job_scheduler: jobs that submit each other to their lane do not keep others of their level waiting for ever",
          "[job_scheduler]") {
  using scheduler = job_scheduler<job_shape{.jobs = 64, .levels = 4}>;
  struct again {
    scheduler& jobs;
    atomic<bool>& over;
    void operator()() const {
      if (!over.load(mo::relaxed)) static_cast<void>(jobs.try_submit(1, again{*this}));
    }
  };
  const auto jobs = started({.workers = 1, .ageing = 0, .local = true});
  atomic<bool> over{false};
  REQUIRE(jobs->try_submit(1, again{*jobs, over}));
  REQUIRE(jobs->try_submit(1, again{*jobs, over}));
  REQUIRE(jobs->try_submit(1, [&] { over.store(true, mo::relaxed); }));
  jobs->drain();
  CHECK(over.load(mo::relaxed));
}

TEST_CASE("job_scheduler: what was submitted to one that was never started is cancelled at its end",
          "[job_scheduler]") {
  counted_news news;
  const auto token = std::make_shared<int>(0);
  {
    job_scheduler<job_shape{.jobs = 16, .levels = 2}> jobs({.workers = 1, .listener = news.listener()});
    REQUIRE(jobs.try_submit(1, [token] {}));
    jobs.shut_down();
    CHECK(jobs.try_submit(1, [] {}).why == job_refusal::closed);
    CHECK(jobs.metrics(1).cancelled == 1);
  }
  CHECK(token.use_count() == 1);
  REQUIRE(news.all.size() == 1);
  CHECK(news.all[0].what == job_end::cancelled);
}

TEST_CASE("job_scheduler: a coroutine goes on where it says", "[job_scheduler]") {
  using scheduler = job_scheduler<job_shape{.jobs = 64, .levels = 4}>;
  const auto jobs = started({.workers = 1});
  run_loop loop;
  const auto hops = [](scheduler& on, run_loop& back) -> task<int> {
    const auto here = std::this_thread::get_id();
    co_await on.on(0);
    const bool moved = std::this_thread::get_id() != here;
    co_await on.on(3);
    struct go_back : runnable {
      explicit go_back(run_loop& where)
          : runnable([](runnable& me) noexcept { static_cast<go_back&>(me).caller.resume(); }), to(where) {}
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> who) noexcept {
        caller = who;
        to.post(*this);
      }
      void await_resume() const noexcept {}
      run_loop& to;
      std::coroutine_handle<> caller;
    };
    co_await go_back(back);
    co_return moved ? 1 : 0;
  };
  CHECK(run(loop, hops(*jobs, loop)) == 1);
  CHECK(jobs->metrics(0).resumed == 1);
}

TEST_CASE("job_scheduler: is an executor, at the level in the middle and at each", "[job_scheduler]") {
  using scheduler = job_scheduler<job_shape{.jobs = 64, .levels = 4}>;
  static_assert(executor<scheduler>);
  static_assert(executor<job_executor<scheduler>>);
  struct flagged : runnable {
    flagged() : runnable([](runnable& me) noexcept { static_cast<flagged&>(me).done.store(true, mo::release); }) {}
    atomic<bool> done{false};
  };
  const auto jobs = started();
  flagged one;
  flagged two;
  jobs->post(one);
  auto level = jobs->on(0);
  level.post(two);
  jobs->drain();
  CHECK(one.done.load(mo::acquire));
  CHECK(two.done.load(mo::acquire));
  CHECK(jobs->metrics(0).resumed == 1);
  CHECK(jobs->metrics(2).resumed == 1);
}

TEST_CASE("job_scheduler: runnables of a level, then its jobs; and each in the order in which they came",
          "[job_scheduler]") {
  struct numbered : runnable {
    numbered(notes& to, int what)
        : runnable([](runnable& me) noexcept { static_cast<numbered&>(me).note(); }), to_(to), what_(what) {}
    void note() noexcept { to_.text.push_back(what_); }
    notes& to_;
    int what_;
  };
  const auto jobs = started({.workers = 1, .ageing = 0});
  notes n;
  numbered a(n, 1);
  numbered b(n, 2);
  jobs->pause();
  REQUIRE(jobs->try_submit(1, n.write(3)));
  jobs->on(1).post(a);
  jobs->on(1).post(b);
  REQUIRE(jobs->try_submit(1, n.write(4)));
  jobs->resume();
  jobs->drain();
  CHECK(n.text == std::vector{1, 2, 3, 4});
}

TEST_CASE("job_scheduler: an observer is told which worker has been at one job for long", "[job_scheduler]") {
  const auto jobs = started({.workers = 1});
  gate g;
  job_watch watch;
  const time_point begin = steady_clock::now();
  const auto stalled = [&](duration after) {
    std::vector<job_handle> found;
    jobs->stalled(watch, begin + after, 1s, [&](unsigned worker, job_handle job, time_point since) {
      CHECK(worker == 0);
      CHECK(since == begin + 1s);
      found.push_back(job);
    });
    return found;
  };
  CHECK(stalled(0s).empty());
  const job_receipt held = jobs->try_submit(0, [&] { g.pass(); });
  g.await(1);
  CHECK(stalled(1s).empty());
  CHECK(stalled(1500ms).empty());
  CHECK(stalled(2s) == std::vector{held.job});
  CHECK(stalled(3s) == std::vector{held.job});
  g.open();
  jobs->drain();
}

TEST_CASE("job_scheduler: what it measures of a level", "[job_scheduler]") {
  manual_clock clock;
  constexpr job_shape shape{.jobs = 64, .levels = 2, .measured = true};
  job_scheduler<shape, manual_clock> jobs({.workers = 1}, clock);
  REQUIRE_FALSE(jobs.start());
  jobs.pause();
  for (int i = 0; i < 3; ++i) REQUIRE(jobs.try_submit(0, [&] { clock.advance(5ms); }));
  clock.advance(10ms);
  jobs.resume();
  jobs.drain();
  const job_metrics m = jobs.metrics(0);
  CHECK(m.most_waiting == 3);
  CHECK(m.waited.count() == 3);
  CHECK(m.waited.max == 20ms);
  CHECK(m.ran.count() == 3);
  CHECK(m.ran.max == 5ms);
}

TEST_CASE("job_scheduler: options and shapes are checked", "[job_scheduler]") {
  CHECK(validate(job_options{.workers = 0}).field == "workers");
  CHECK(validate(job_options{.workers = 64}).field == "workers");
  CHECK_FALSE(validate(job_options{}));
  static_assert(validate(job_shape{.jobs = 3}).field == "jobs");
  static_assert(validate(job_shape{.levels = 1}).field == "levels");
  static_assert(validate(job_shape{.levels = 65}).field == "levels");
  static_assert(!validate(job_shape{}));
  job_scheduler<job_shape{.jobs = 4, .levels = 2}> jobs({.workers = 0});
  CHECK(jobs.start().option.field == "workers");
}

TEST_CASE("job_scheduler: 64 levels, and as many workers as there may be", "[job_scheduler]") {
  const auto jobs = started<job_shape{.jobs = 128, .levels = 64}>({.workers = 63});
  atomic<int> runs{0};
  for (unsigned at = 0; at < 64; ++at) {
    REQUIRE(jobs->submit_until(deadline::never(), at, [&] { runs.fetch_add(1, mo::relaxed); }));
  }
  jobs->drain();
  CHECK(runs.load(mo::relaxed) == 64);
}
