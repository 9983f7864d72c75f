// SPDX-License-Identifier: MIT
// Submitters, cancellers, workers: each job that was accepted ends once, whoever races with whom, and the accounts are right.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/core/parking.hpp"
#include "holdfast/core/random.hpp"
#include "holdfast/exec/job_scheduler.hpp"
#include "holdfast/exec/runnable.hpp"

#include "support/catch.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

// How often each job ran, by its number.
class runs {
 public:
  explicit runs(std::size_t jobs) : of_(jobs) {}
  void note(std::size_t job) noexcept { of_[job].fetch_add(1, mo::relaxed); }  // counter: read after all has ended
  [[nodiscard]] unsigned of(std::size_t job) const noexcept { return of_[job].load(mo::relaxed); }  // counter: as above
  [[nodiscard]] std::size_t wrong() const noexcept {
    std::size_t bad = 0;
    for (const auto& one : of_) bad += one.load(mo::relaxed) == 1 ? 0U : 1U;  // counter: as above
    return bad;
  }

 private:
  std::vector<atomic<unsigned>> of_;
};

class dice {
 public:
  explicit dice(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t operator()(std::uint64_t below) noexcept {
    state_ = splitmix64_mix(state_ + 0x9E37'79B9'7F4A'7C15U);
    return state_ % below;
  }

 private:
  std::uint64_t state_;
};

// From time to time long enough that workers fall asleep, and each phase of it is met.
void gap(dice& random) {
  const std::uint64_t kind = random(256);
  if (kind == 0) {
    doze(40);
  } else if (kind < 8) {
    give_way();
  } else if (kind < 32) {
    cpu_pause(static_cast<unsigned>(random(200)));
  }
}

template <class Scheduler>
void check_accounts(const Scheduler& jobs) {
  for (unsigned at = 0; at < Scheduler::levels; ++at) {
    const job_metrics m = jobs.metrics(at);
    CHECK(m.accepted == m.run + m.cancelled + m.shed + m.expired);
    CHECK(m.waiting == 0);
  }
}

template <job_shape Shape>
void none_is_lost(const job_options& options, std::size_t each, std::uint64_t seed) {
  constexpr std::size_t submitters = 3;
  runs ran(submitters * each);
  job_scheduler<Shape> jobs(options);
  REQUIRE_FALSE(jobs.start());
  atomic<std::size_t> refused{0};
  std::vector<std::thread> threads;
  for (std::size_t s = 0; s < submitters; ++s) {
    threads.emplace_back([&, s] {
      dice random(seed * 31 + s);
      for (std::size_t i = 0; i < each; ++i) {
        job_order order{.level = static_cast<unsigned>(random(Shape.levels))};
        if (Shape.deadlines && random(2) == 0) {
          order.until = deadline(steady_clock::now() + duration(static_cast<std::int64_t>(random(100'000'000))));
        }
        const std::size_t number = s * each + i;
        if (!jobs.submit_until(deadline::never(), order, [&ran, number] { ran.note(number); })) {
          refused.fetch_add(1, mo::relaxed);  // counter: read after all has ended
        }
        gap(random);
      }
    });
  }
  for (std::thread& one : threads) one.join();
  jobs.shut_down();
  CHECK(refused.load(mo::relaxed) == 0);
  CHECK(ran.wrong() == 0);
  check_accounts(jobs);
}

struct posted : runnable {
  posted() noexcept : runnable([](runnable& me) noexcept { static_cast<posted&>(me).note(); }) {}
  void note() noexcept { times.fetch_add(1, mo::relaxed); }  // counter: read after all has ended
  atomic<unsigned> times{0};
};

}  // namespace

TEST_CASE("job_scheduler stress: of many jobs with idle gaps between them none is lost or run twice",
          "[stress][job_scheduler]") {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    none_is_lost<job_shape{.jobs = 32, .levels = 4}>({.workers = 2}, 20'000, seed);
    none_is_lost<job_shape{.jobs = 4096, .levels = 8}>({.workers = 3}, 40'000, seed);
  }
}

TEST_CASE("job_scheduler stress: the same with deadlines, and measured", "[stress][job_scheduler]") {
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    none_is_lost<job_shape{.jobs = 64, .levels = 2, .deadlines = true, .measured = true}>({.workers = 2}, 10'000, seed);
    none_is_lost<job_shape{.jobs = 1024, .levels = 4, .deadlines = true}>({.workers = 3}, 20'000, seed);
  }
}

TEST_CASE("job_scheduler stress: a job is run or cancelled, and the answer says which", "[stress][job_scheduler]") {
  constexpr std::size_t count = 60'000;
  for (const bool deadlines : {false, true}) {
    runs ran(count);
    std::vector<atomic<std::uint64_t>> handles(count);
    std::array<std::vector<std::uint8_t>, 2> cancelled{std::vector<std::uint8_t>(count),
                                                       std::vector<std::uint8_t>(count)};
    job_scheduler<job_shape{.jobs = 256, .levels = 4, .deadlines = true}> jobs({.workers = 2});
    REQUIRE_FALSE(jobs.start());
    std::vector<std::thread> threads;
    threads.emplace_back([&] {
      dice random(7);
      for (std::size_t i = 0; i < count; ++i) {
        job_order order{.level = static_cast<unsigned>(random(4))};
        if (deadlines) order.until = deadline(steady_clock::now() + 1ms);
        const job_receipt in = jobs.submit_until(deadline::never(), order, [&ran, i] { ran.note(i); });
        handles[i].store(in.job.word(), mo::relaxed);  // hint: a handle orders nothing
        gap(random);
      }
    });
    for (std::size_t c = 0; c < 2; ++c) {
      threads.emplace_back([&, c] {
        for (std::size_t i = 0; i < count; ++i) {
          std::uint64_t word = 0;
          // hint: as above
          for (unsigned turn = 0; (word = handles[i].load(mo::relaxed)) == 0; ++turn) doze(turn);
          if ((i + c) % 3 != 0) cancelled[c][i] = jobs.cancel(job_handle(word)) == cancel_answer::cancelled ? 1 : 0;
        }
      });
    }
    for (std::thread& one : threads) one.join();
    jobs.shut_down();
    std::size_t wrong = 0;
    std::size_t were_cancelled = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const unsigned times = cancelled[0][i] + cancelled[1][i];
      were_cancelled += times;
      wrong += ran.of(i) + times == 1 ? 0U : 1U;
    }
    CHECK(wrong == 0);
    std::uint64_t counted = 0;
    for (unsigned at = 0; at < 4; ++at) counted += jobs.metrics(at).cancelled;
    CHECK(counted == were_cancelled);
    check_accounts(jobs);
  }
}

TEST_CASE("job_scheduler stress: jobs that submit jobs, into their workers' lanes, some of which are long",
          "[stress][job_scheduler]") {
  constexpr std::size_t trees = 2'000;
  constexpr std::size_t children = 12;
  for (const bool local : {true, false}) {
    runs ran(trees * children);
    atomic<std::size_t> refused{0};
    job_scheduler<job_shape{.jobs = 4096, .levels = 4}> jobs({.workers = 3, .local = local});
    REQUIRE_FALSE(jobs.start());
    for (std::size_t t = 0; t < trees; ++t) {
      const auto tree = [&jobs, &ran, &refused, t] {
        dice random(t);
        for (std::size_t c = 0; c < children; ++c) {
          const std::size_t number = t * children + c;
          const auto child = [&ran, number] {
            ran.note(number);
            if (number % 97 == 0) doze(30);
          };
          // A worker does not wait for room, since it makes it.
          if (!jobs.try_submit(static_cast<unsigned>(1 + random(2)), child)) {
            refused.fetch_add(1, mo::relaxed);  // counter: read after all has ended
            ran.note(number);
          }
        }
      };
      static_cast<void>(jobs.submit_until(deadline::never(), 1, tree));
    }
    jobs.drain();
    jobs.shut_down();
    CHECK(ran.wrong() == 0);
    check_accounts(jobs);
  }
}

TEST_CASE("job_scheduler stress: closed while others submit, what was accepted is run, and nothing else",
          "[stress][job_scheduler]") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    constexpr std::size_t each = 400;
    runs ran(2 * each);
    std::vector<std::uint8_t> accepted(2 * each);
    job_scheduler<job_shape{.jobs = 64, .levels = 2}> jobs({.workers = 2});
    REQUIRE_FALSE(jobs.start());
    std::vector<std::thread> threads;
    for (std::size_t s = 0; s < 2; ++s) {
      threads.emplace_back([&, s] {
        for (std::size_t i = s * each; i < (s + 1) * each; ++i) {
          accepted[i] = jobs.submit_until(deadline::never(), i % 2, [&ran, i] { ran.note(i); }) ? 1 : 0;
        }
      });
    }
    dice random(seed);
    cpu_pause(static_cast<unsigned>(random(4000)));
    jobs.shut_down();
    for (std::thread& one : threads) one.join();
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < 2 * each; ++i) wrong += ran.of(i) == accepted[i] ? 0U : 1U;
    CHECK(wrong == 0);
    check_accounts(jobs);
  }
}

TEST_CASE("job_scheduler stress: shed, paused and cancelled at once, each job ends once", "[stress][job_scheduler]") {
  constexpr std::size_t each = 20'000;
  atomic<std::uint64_t> told{0};
  atomic<std::uint64_t> ran{0};
  atomic<std::uint64_t> accepted{0};
  const job_listener listener{
      [](void* to, const job_news&) noexcept { static_cast<atomic<std::uint64_t>*>(to)->fetch_add(1, mo::relaxed); },
      &told};
  job_scheduler<job_shape{.jobs = 64, .levels = 4}> jobs(
      {.workers = 2, .overload = job_overload::shed_lowest, .listener = listener});
  REQUIRE_FALSE(jobs.start());
  std::vector<std::thread> threads;
  for (std::uint64_t s = 0; s < 2; ++s) {
    threads.emplace_back([&, s] {
      dice random(s);
      for (std::size_t i = 0; i < each; ++i) {
        const auto job = [&ran] { ran.fetch_add(1, mo::relaxed); };
        if (jobs.try_submit(static_cast<unsigned>(random(4)), job)) accepted.fetch_add(1, mo::relaxed);
      }
    });
  }
  std::size_t cancelled = 0;
  dice random(99);
  for (int i = 0; i < 50; ++i) {
    jobs.pause();
    doze(20);
    if (random(2) == 0) cancelled += jobs.cancel_all();
    jobs.resume();
    doze(20);
  }
  for (std::thread& one : threads) one.join();
  jobs.shut_down();
  CHECK(told.load(mo::relaxed) + ran.load(mo::relaxed) == accepted.load(mo::relaxed));
  std::uint64_t counted = 0;
  std::uint64_t shed = 0;
  for (unsigned at = 0; at < 4; ++at) {
    counted += jobs.metrics(at).cancelled;
    shed += jobs.metrics(at).shed;
  }
  CHECK(counted == cancelled);
  CHECK(counted + shed == told.load(mo::relaxed));
  check_accounts(jobs);
}

TEST_CASE("job_scheduler stress: what is posted is run once each time, beside jobs, and drained",
          "[stress][job_scheduler]") {
  constexpr unsigned rounds = 200;
  job_scheduler<job_shape{.jobs = 64, .levels = 4}> jobs({.workers = 2});
  REQUIRE_FALSE(jobs.start());
  std::array<posted, 40> all;
  atomic<unsigned> ran{0};
  for (unsigned r = 0; r < rounds; ++r) {
    std::thread other([&] {
      for (std::size_t i = 0; i < 20; ++i) jobs.on(i % 4).post(all[i]);
    });
    for (std::size_t i = 20; i < 40; ++i) {
      jobs.on(i % 4).post(all[i]);
      static_cast<void>(jobs.submit_until(deadline::never(), i % 4, [&ran] { ran.fetch_add(1, mo::relaxed); }));
    }
    other.join();
    jobs.drain();
    std::size_t wrong = 0;
    for (const posted& one : all) wrong += one.times.load(mo::relaxed) == r + 1 ? 0U : 1U;
    REQUIRE(wrong == 0);
  }
  CHECK(ran.load(mo::relaxed) == 20 * rounds);
}
