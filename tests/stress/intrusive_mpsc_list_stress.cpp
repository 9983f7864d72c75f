// SPDX-License-Identifier: MIT
// Many threads push nodes to one: each arrives, once, whole and in the order of its producer. In the first way a node goes
// round, back to its producer through a list of that one's own; in the second it is made for its push and freed by the
// consumer, so that a thread that touched it any later would touch freed memory.
#include <array>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "holdfast/core/atomic.hpp"
#include "holdfast/queue/intrusive_mpsc_list.hpp"

#include "crowd.hpp"

using namespace holdfast;

namespace {

struct node : mpsc_hook {
  crowd::item what;
};
using list = intrusive_mpsc_list<node>;

struct producer {
  std::array<node, 16> nodes;
  list back;  // nodes that came home
};

// What the consumer does with a node that it has looked at; false ends a producer's patience.
enum class ends : std::uint8_t { goes_home, is_freed };

template <ends End>
void hand_over(unsigned producers, std::uint64_t each, bool all_at_once) {
  list nodes;
  std::vector<std::unique_ptr<producer>> homes;
  for (unsigned p = 0; p < producers; ++p) homes.push_back(std::make_unique<producer>());
  atomic<std::uint64_t> gave_up{0};
  crowd::seen_by_one seen(producers);
  std::vector<std::thread> threads;
  for (unsigned p = 0; p < producers; ++p) {
    threads.emplace_back([&, p] {
      test_support::patience patience;
      producer& me = *homes[p];
      for (std::uint64_t next = 0; next < each;) {
        node* mine = nullptr;
        if (End == ends::is_freed) {
          mine = std::make_unique<node>().release();
        } else if (next < me.nodes.size()) {
          mine = &me.nodes[next];
        } else if (!me.back.try_pop(mine)) {
          if (patience.wait()) continue;
          gave_up.fetch_add(1, mo::relaxed);  // counter: read after the threads have ended
          return;
        }
        mine->what = crowd::item(p, next++);
        nodes.push(*mine);
      }
    });
  }
  threads.emplace_back([&] {
    test_support::patience patience;
    std::uint64_t left = producers * each;
    const auto take = [&](node& one) {
      seen.saw(one.what);
      --left;
      if (End == ends::is_freed) {
        const std::unique_ptr<node> owner(&one);
      } else if (one.what.producer < producers) {
        homes[one.what.producer]->back.push(one);
      }
    };
    while (left != 0) {
      bool got = false;
      if (all_at_once) {
        got = nodes.consume_all(take) != 0;
      } else if (node* one = nullptr; nodes.try_pop(one)) {
        take(*one);
        got = true;
      }
      if (got || patience.wait()) continue;
      gave_up.fetch_add(1, mo::relaxed);  // counter: as above
      return;
    }
  });
  for (std::thread& t : threads) t.join();
  CHECK(gave_up.load(mo::relaxed) == 0);  // counter: joined
  CHECK(seen.wrong == 0);
  CHECK(seen.count == producers * each);
  CHECK(seen.sum == producers * (each * (each - 1) / 2));
  CHECK(nodes.empty());
  node* out = nullptr;
  CHECK(nodes.try_pop(out) == queue_op_status::empty);
}

}  // namespace

TEST_CASE("intrusive_mpsc_list: nodes of many threads arrive once, whole, each producer's in order, and go round",
          "[intrusive_mpsc_list][stress]") {
  hand_over<ends::goes_home>(1, 300'000, false);
  hand_over<ends::goes_home>(3, 100'000, false);
  hand_over<ends::goes_home>(4, 100'000, true);
}

TEST_CASE("intrusive_mpsc_list: nodes are freed as soon as they are out", "[intrusive_mpsc_list][stress]") {
  hand_over<ends::is_freed>(1, 100'000, false);
  hand_over<ends::is_freed>(3, 50'000, false);
  hand_over<ends::is_freed>(2, 50'000, true);
}
