// SPDX-License-Identifier: MIT
#include "holdfast/exec/frame_arena.hpp"

#include <cstddef>
#include <memory>

#include "holdfast/exec/task.hpp"

#include "support/catch.hpp"

using namespace holdfast;

namespace {

using nested = basic_task<int, arena_frame>;

nested depth_of(arena& room, int levels) {
  if (levels == 0) co_return 0;
  co_return 1 + co_await depth_of(room, levels - 1);
}

struct counter_of_calls {
  int calls = 0;
  nested next(arena& /*room*/) {
    ++calls;
    co_return calls;
  }
};

}  // namespace

TEST_CASE("frames lie in the arena while they are, and it is empty after them", "[frame_arena]") {
  frame_arena<4096> room;
  run_loop loop;
  {
    auto waits = depth_of(room, 0);
    CHECK(room.in_use() > 0);
    CHECK(room.in_use() < sizeof room);
  }
  CHECK(room.in_use() == 0);
  CHECK(run(loop, depth_of(room, 3)) == 3);
  CHECK(room.in_use() == 0);
  CHECK(room.spilled() == 0);
}

TEST_CASE("what does not fit is allocated and counted, and the call goes on", "[frame_arena]") {
  frame_arena<512> room;
  run_loop loop;
  CHECK(run(loop, depth_of(room, 50)) == 50);
  CHECK(room.spilled() > 30);
  CHECK(room.spilled() < 51);
  CHECK(room.in_use() == 0);
  const auto before = room.spilled();
  CHECK(run(loop, depth_of(room, 0)) == 0);
  CHECK(room.spilled() == before);
}

TEST_CASE("frames that end in another order leave their room when all are back", "[frame_arena]") {
  frame_arena<4096> room;
  auto first = std::make_unique<nested>(depth_of(room, 0));
  const std::size_t one = room.in_use();
  auto second = std::make_unique<nested>(depth_of(room, 0));
  CHECK(room.in_use() == 2 * one);
  first.reset();
  CHECK(room.in_use() == 2 * one);
  second.reset();
  CHECK(room.in_use() == 0);
}

TEST_CASE("a member function takes its arena behind the object", "[frame_arena]") {
  frame_arena<> room;
  run_loop loop;
  counter_of_calls counts;
  CHECK(run(loop, counts.next(room)) == 1);
  CHECK(run(loop, counts.next(room)) == 2);
  CHECK(room.spilled() == 0);
}
