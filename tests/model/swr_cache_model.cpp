// SPDX-License-Identifier: MIT
// What an swr_cache adds to its caches and flights, each of which has scenarios of its own: results are put before flights end,
// whoever leads has looked again, and a publish that turns out to be too late takes back what it put.
#include <cstdint>
#include <utility>

#include "holdfast/policy/swr_cache.hpp"

#include "model/engine/scenario.hpp"

using namespace holdfast;
using namespace holdfast_model;

namespace {

constexpr time_point start{std::chrono::hours(1)};
constexpr duration lease = std::chrono::seconds(1);
const error not_found(std::make_error_code(std::errc::no_such_file_or_directory), verdict::permanent);

struct one_hash {
  std::uint64_t operator()(std::uint64_t, std::uint64_t) const noexcept { return 42; }
};

struct kept_numbers {
  using cache_type = swr_cache<std::uint64_t, std::uint64_t, one_hash, basic_single_flight<1>>;
  cache_type kept{{.capacity = 7, .failures = 7, .flights = 1, .lease = lease}};

  cache_type::asked ask(time_point now = start) { return kept.ask(1, now); }
  cache_type::answer look() { return kept.look(1, start); }
};

// F1, F3: two ask; one fetches, and the other has its result: at once, or when the flight is over.
template <bool Fails>
struct asked_by_two : kept_numbers {
  static constexpr unsigned threads = 2;
  unsigned fetches = 0;

  static void has_result(const cache_type::answer& found) {
    MODEL_CHECK(found.has_value() == !Fails);
    MODEL_CHECK(Fails ? found.why == not_found : found.value == 70);
  }
  void run(unsigned) {
    auto asked = ask();
    if (asked.mine) {
      ++fetches;
      const auto end = Fails ? kept.fail(std::move(asked.mine), not_found, start, start)
                             : kept.publish(std::move(asked.mine), 70, start);
      MODEL_CHECK(end == swr_publish::kept);
    } else if (asked.other) {
      if (asked.other.wait(deadline(start))) has_result(kept.landed(1, asked.other, start));
    } else {
      has_result(asked.found);
    }
  }
  void after() {
    MODEL_CHECK(fetches == 1);
    has_result(look());
  }
};
using asked_by_two_found = asked_by_two<false>;
using asked_by_two_not_found = asked_by_two<true>;
MODEL_SCENARIO("swr_cache", asked_by_two_found, {.preemptions = 1, .weak_failures = 0});
MODEL_SCENARIO("swr_cache", asked_by_two_not_found, {.preemptions = 1});

// The key is forgotten while what was fetched before is published: nothing of it is left, and who was dropped has been told.
template <bool Fails>
struct forgotten_while_published : kept_numbers {
  static constexpr unsigned threads = 2;
  cache_type::lead mine = ask().mine;
  swr_publish end{};
  void run(unsigned thread) {
    if (thread == 0) {
      end = Fails ? kept.fail(std::move(mine), not_found, start, start) : kept.publish(std::move(mine), 70, start);
    } else {
      kept.forget(1);
    }
  }
  void after() {
    MODEL_CHECK(look().state == swr_state::none);
    MODEL_CHECK(end != swr_publish::not_shared);
    MODEL_CHECK(kept.dropped() == (end == swr_publish::dropped ? 1U : 0U));
    MODEL_CHECK(ask().mine);
  }
};
using value_forgotten = forgotten_while_published<false>;
using failure_forgotten = forgotten_while_published<true>;
MODEL_SCENARIO("swr_cache", value_forgotten, {.preemptions = 1, .weak_failures = 0});
MODEL_SCENARIO("swr_cache", failure_forgotten, {.preemptions = 1, .weak_failures = 0});

// The lease is taken over while the late leader publishes: what is left is of the new one, or nothing.
struct published_late : kept_numbers {
  static constexpr unsigned threads = 2;
  cache_type::lead late = ask().mine;
  swr_publish first{};
  swr_publish second{};
  bool took_over = false;
  void run(unsigned thread) {
    if (thread == 0) {
      first = kept.publish(std::move(late), 69, start);
      return;
    }
    auto asked = ask(start + 2 * lease);
    took_over = static_cast<bool>(asked.mine);
    if (took_over) second = kept.publish(std::move(asked.mine), 70, start + 2 * lease);
  }
  void after() {
    const auto left = kept.look(1, start + 2 * lease);
    if (took_over) {
      MODEL_CHECK(second != swr_publish::dropped);
      MODEL_CHECK(left.state == swr_state::none || left.value == 70);
      MODEL_CHECK(left.state != swr_state::none || first == swr_publish::dropped);
    } else {
      MODEL_CHECK(first == swr_publish::kept);
      MODEL_CHECK(left.value == 69);
    }
  }
};
MODEL_SCENARIO("swr_cache", published_late, {.spins_end = true, .preemptions = 1, .weak_failures = 0});

}  // namespace
