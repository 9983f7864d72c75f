// SPDX-License-Identifier: MIT
#include "holdfast/core/random.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "support/catch.hpp"

using namespace holdfast;

TEST_CASE("the shared generator hands out the words of its seed, each once, whichever thread asks", "[random]") {
  constexpr std::size_t each = 20'000;
  shared_splitmix64 shared(42);
  std::vector<std::uint64_t> a(each), b(each);
  std::thread other([&] { std::generate(b.begin(), b.end(), [&] { return shared(); }); });
  std::generate(a.begin(), a.end(), [&] { return shared(); });
  other.join();
  a.insert(a.end(), b.begin(), b.end());
  std::vector<std::uint64_t> expected(2 * each);
  splitmix64 single(42);
  std::generate(expected.begin(), expected.end(), [&] { return single(); });
  std::sort(a.begin(), a.end());
  std::sort(expected.begin(), expected.end());
  CHECK(a == expected);
}

TEST_CASE("the process generator repeats under a seed and uses the whole range", "[random]") {
  seed_shared_random(7);
  const auto first = shared_random();
  seed_shared_random(7);
  CHECK(shared_random() == first);
  static_assert(random_bits<decltype(shared_random)&>);
  std::uint64_t low = ~std::uint64_t{0};
  std::uint64_t high = 0;
  for (int i = 0; i < 10'000; ++i) {
    const auto x = uniform_up_to(shared_random, 999);
    REQUIRE(x <= 999);
    low = std::min(low, x);
    high = std::max(high, x);
  }
  CHECK(low == 0);
  CHECK(high == 999);
}

TEST_CASE("a bound that leaves nothing out gives the generator's words as they are", "[random]") {
  splitmix64 drawn(5);
  splitmix64 words(5);
  for (int i = 0; i < 10; ++i) CHECK(uniform_up_to(drawn, ~std::uint64_t{0}) == words());
}

TEST_CASE("a forked child draws other words than its parent", "[random]") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  const std::uint64_t word = shared_random();
  if (child == 0) {
    const bool written = ::write(ends[1], &word, sizeof word) == static_cast<ssize_t>(sizeof word);
    ::_exit(written ? 0 : 1);
  }
  std::uint64_t childs = 0;
  CHECK(::read(ends[0], &childs, sizeof childs) == static_cast<ssize_t>(sizeof childs));
  int status = -1;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(childs != word);
  ::close(ends[0]);
  ::close(ends[1]);
}
