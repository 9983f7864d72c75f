// SPDX-License-Identifier: MIT
// kill -9 of processes that write the log: what is in the file is a prefix of what was logged, line by line and thread by
// thread; at most the last line is torn, and the next process starts on a line of its own.
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/core/random.hpp"
#include "holdfast/telemetry/log_sink.hpp"

#include "fault.hpp"
#include "json_line.hpp"
#include "support/catch.hpp"
#include "support/proof_fact.hpp"

using namespace holdfast;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t writers = 2;
constexpr std::uint64_t most_lines = 2'000;  // of each writer: what a busy machine's late kill may cost

int write_until_killed(const std::string& path, std::uint64_t life, atomic<std::uint32_t>& ready) {
  log_options options;
  options.output = log_output::to_file(path);
  options.when_full = full_policy::block;  // so that the lines of a thread have no gap but the one at the end
  options.block_for = 30s;
  options.ring_bytes = 64 << 10;
  log_sink sink(options);
  if (sink.start()) return 1;
  const auto write = [&](std::uint64_t writer) {
    const std::string text(400, 'x');
    for (std::uint64_t n = 0; n < most_lines; ++n) {
      HOLDFAST_LOG(sink, info, "killed in the middle of it", {"life", life}, {"writer", writer}, {"n", n},
                   {"text", std::string_view(text).substr(0, splitmix64_mix(n) % 400)});
    }
    for (;;) ::pause();
  };
  std::thread other([&] { write(1); });
  ready.store(1, mo::release);
  write(0);
  return 0;
}

std::string contents_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct tally {
  std::uint64_t rounds = 0;
  std::uint64_t torn_tails = 0;
  std::uint64_t damaged = 0;  // lives whose lines, but for a torn last one, are not a prefix of what was logged
  std::uint64_t lines = 0;
};

// The lines of one life: whole, this life's, and each writer's numbered from 0 without a gap.
void check_life(std::string_view text, std::uint64_t life, bool after_torn, tally& t) {
  bool damaged = false;
  if (after_torn && !text.empty()) {
    damaged |= text.front() != '\n';
    text.remove_prefix(1);
  }
  std::array<std::uint64_t, writers> next{};
  while (!text.empty()) {
    const auto end = text.find('\n');
    if (end == text.npos) {
      ++t.torn_tails;
      constexpr std::string_view every_line = "{\"timestamp\":\"";
      damaged |= text.substr(0, every_line.size()) != every_line.substr(0, text.size());
      break;
    }
    const auto line = text.substr(0, end);
    text.remove_prefix(end + 1);
    const auto writer = fault::number_of(line, "writer");
    damaged |= !fault::json_line::whole(line) || fault::number_of(line, "life") != life || !writer ||
               *writer >= writers || fault::number_of(line, "n") != next[*writer];
    if (damaged) break;
    ++next[*writer];
    ++t.lines;
  }
  t.damaged += damaged ? 1U : 0U;
}

}  // namespace

TEST_CASE("the check of a life sees what is wrong with it", "[fault]") {
  const auto line = [](int life, int writer, int n) {
    return "{\"timestamp\":\"t\",\"life\":" + std::to_string(life) + ",\"writer\":" + std::to_string(writer) +
           ",\"n\":" + std::to_string(n) + "}\n";
  };
  const auto damaged = [](const std::string& text, bool after_torn = false) {
    tally t;
    check_life(text, 0, after_torn, t);
    return t.damaged != 0;
  };
  const std::string good = line(0, 0, 0) + line(0, 1, 0) + line(0, 0, 1);
  CHECK_FALSE(damaged(good));
  CHECK_FALSE(damaged(good + "{\"timest"));
  CHECK_FALSE(damaged("\n" + good, true));
  CHECK(damaged(good, true));                                     // glued to the torn line before
  CHECK(damaged(good + line(0, 0, 1)));                           // twice
  CHECK(damaged(line(0, 0, 1)));                                  // a gap
  CHECK(damaged(line(1, 0, 0)));                                  // another life's
  CHECK(damaged(good + "{\"timestamp\":\"t\n" + line(0, 0, 2)));  // torn in the middle
  CHECK(damaged(good + "half"));
  CHECK(damaged(good.substr(5)));
}

TEST_CASE("a killed writer's file is a prefix of its log, and its successor starts on a new line", "[fault]") {
  constexpr std::size_t at_once = 2;  // a sink takes a while to construct: that much of it in parallel
  constexpr std::uint64_t lives = 2;
  const int files = fault::rounds(500, 10'000);
  std::string folder = "/tmp/holdfast-fault-XXXXXX";
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  splitmix64 random(1);
  tally t;
  bool all_ready = true;
  for (int begun = 0; begun < files && all_ready;) {
    const auto batch = std::min<std::size_t>(at_once, static_cast<std::size_t>(files - begun));
    std::vector<std::size_t> sizes(batch, 0);
    for (std::uint64_t life = 0; life < lives; ++life) {
      fault::shared<std::array<atomic<std::uint32_t>, at_once>> ready;
      std::vector<fault::child> children;
      for (std::size_t i = 0; i < batch; ++i) {
        children.emplace_back([&] { return write_until_killed(folder + "/" + std::to_string(i), life, (*ready)[i]); });
      }
      for (std::size_t i = 0; i < batch; ++i) {
        all_ready &= fault::within(20s, [&] { return (*ready)[i].load(mo::acquire) != 0; });
        fault::pause_for(duration(static_cast<std::int64_t>(random() % 400'000)));  // any moment will do
        children[i].kill();
        ++t.rounds;
      }
      for (std::size_t i = 0; i < batch; ++i) {
        const std::string path = folder + "/" + std::to_string(i);
        const std::string text = contents_of(path);
        const std::size_t before = sizes[i];
        const bool after_torn = before > 0 && text[before - 1] != '\n';
        check_life(std::string_view(text).substr(before), life, after_torn, t);
        sizes[i] = text.size();
        if (life + 1 == lives) ::unlink(path.c_str());
      }
    }
    begun += static_cast<int>(batch);
  }
  ::rmdir(folder.c_str());
  fault::report("log_kill", "rounds=%llu torn_tails=%llu damaged_prefixes=%llu lines=%llu",
                static_cast<unsigned long long>(t.rounds), static_cast<unsigned long long>(t.torn_tails),
                static_cast<unsigned long long>(t.damaged), static_cast<unsigned long long>(t.lines));
  CHECK(test_support::proof_fact("faults.kill_rounds", t.rounds, "rounds"));
  CHECK(test_support::proof_fact("faults.damaged_prefixes", t.damaged, "files"));
  REQUIRE(all_ready);
  CHECK(t.rounds >= 1'000);
  CHECK(t.damaged == 0);
  CHECK(t.lines > t.rounds * 10);
}
