// SPDX-License-Identifier: MIT
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "demo/chaos.hpp"
#include "demo/child_process.hpp"
#include "demo/temp_dir.hpp"
#include "demo/terminal.hpp"
#include "support/catch.hpp"

using namespace holdfast::demo;
using namespace std::chrono_literals;

namespace {

child_process shell(const std::string& script) {
  return child_process({"/bin/sh", {"sh", "-c", script}, {}});
}

bool is_gone(::pid_t pid) {
  return ::kill(pid, 0) != 0 && errno == ESRCH;
}

}  // namespace

TEST_CASE("a child's lines are read, and its exit code", "[demo]") {
  child_process child = shell("echo one; echo two; exit 3");
  CHECK(child.read_line(5s) == "one");
  CHECK(child.read_line(5s) == "two");
  CHECK_FALSE(child.read_line(5s).has_value());
  for (int i = 0; i < 1000 && !child.ended(); ++i) std::this_thread::sleep_for(5ms);
  CHECK(child.ended() == 3);
  CHECK(child.stop(SIGTERM, 1s) == 3);
}

TEST_CASE("a child that does not want to end is killed, and none is left behind", "[demo]") {
  ::pid_t pid = 0;
  {
    child_process child = shell("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    REQUIRE(child.read_line(5s) == "ready");
    pid = child.pid();
    CHECK(child.stop(SIGTERM, 100ms) == 128 + SIGKILL);
  }
  CHECK(is_gone(pid));
  {
    const child_process child = shell("sleep 100");
    pid = child.pid();
  }
  CHECK(is_gone(pid));
}

TEST_CASE("what was moved away is back when chaos ends, however it ends", "[demo]") {
  const temp_dir dir;
  const std::string primary = (dir.path() / "primary.db").string();
  const std::string replica = (dir.path() / "replica").string();
  std::ofstream(primary) << "x";
  std::filesystem::create_directory(replica);
  {
    chaos trouble({.program = "/bin/false", .primary = primary, .replica_dir = replica, .cdn = 0});
    CHECK(trouble.begin(fault::primary_moved).empty());
    CHECK(trouble.begin(fault::replica_stopped).empty());
    CHECK_FALSE(std::filesystem::exists(primary));
    CHECK_FALSE(std::filesystem::exists(replica));
    CHECK_FALSE(trouble.begin(fault::cdn_stopped).empty());     // there is none
    CHECK_FALSE(trouble.begin(fault::primary_locked).empty());  // the program cannot
    CHECK(trouble.heal(fault::replica_stopped).empty());
    CHECK(std::filesystem::exists(replica));
  }
  CHECK(std::filesystem::exists(primary));
}

TEST_CASE("a process that was stopped goes on when chaos ends", "[demo]") {
  child_process child = shell("while :; do echo tick; sleep 0.02; done");
  REQUIRE(child.read_line(5s) == "tick");
  {
    chaos trouble({.program = "/bin/false", .primary = "", .replica_dir = "", .cdn = child.pid()});
    REQUIRE(trouble.begin(fault::cdn_stopped).empty());
    while (child.read_line(200ms)) {
    }  // what it had said before
    CHECK_FALSE(child.read_line(200ms).has_value());
  }
  CHECK(child.read_line(5s) == "tick");
}

TEST_CASE("the terminal's bars and lines keep to their columns", "[demo]") {
  CHECK(fitted("abc", 5) == "abc  ");
  CHECK(fitted("größer", 3) == "grö");
  CHECK(bar(0.5, 4) == "██  ");
  CHECK(bar(2.0, 3) == "███");
  CHECK(bar(0.0, 2) == "  ");
  CHECK(sparkline({0.0, 0.001, 1.0}, 3, 1.0) == " ▁█");
  CHECK(sparkline({1, 2, 3, 4}, 2, 4) == "▆█");
  CHECK(painter(false)(paint::bad, "x") == "x");
}

TEST_CASE("every fault of a timeline heals before it ends, and nothing heals that was not broken", "[demo]") {
  for (const bool short_mode : {false, true}) {
    const timeline plan = make_timeline(short_mode);
    std::array<int, fault_count> broken{};
    milliseconds last{0};
    for (const step& s : plan.steps) {
      CHECK(s.at >= last);
      last = s.at;
      broken[static_cast<std::size_t>(s.what)] += s.begins ? 1 : -1;
      CHECK(broken[static_cast<std::size_t>(s.what)] >= 0);
    }
    for (const int b : broken) CHECK(b == 0);
    CHECK(plan.judged_from < plan.first_fault());
    // The breakers have time to close: two waits of the longest kind.
    CHECK(plan.total - plan.last_heal() > 2 * make_breaker_times(short_mode).open_max);
  }
}
