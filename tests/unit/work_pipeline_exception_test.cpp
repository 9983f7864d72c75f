// SPDX-License-Identifier: MIT
#include <stdexcept>
#include <system_error>
#include <vector>

#include "holdfast/exec/work_pipeline.hpp"

#include "support/catch.hpp"

using namespace holdfast;

TEST_CASE("work_pipeline: what a stage throws is the error of that item, and of no other", "[work_pipeline]") {
  std::vector<outcome<int>> out;
  work_pipeline line(stage<int, 8>({.name = "throws", .workers = 2},
                                   [](int&& n) {
                                     if (n == 1) throw std::system_error(std::make_error_code(std::errc::timed_out));
                                     if (n == 2) throw 42;
                                     return n;
                                   }),
                     stage<int, 8>({.name = "keep"}, [&](outcome<int>&& n) { out.push_back(n); }));
  REQUIRE_FALSE(line.start());
  for (int i = 0; i < 4; ++i) CHECK(line.push(int{i}));
  line.close();
  line.join();
  REQUIRE(out.size() == 4);
  CHECK(*out[0] == 0);
  CHECK(out[1].error().code == std::errc::timed_out);
  CHECK(out[2].error().code == errc::callee_threw);
  CHECK(*out[3] == 3);
  CHECK(line.metrics()[0].failed == 2);
}
