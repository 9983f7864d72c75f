// SPDX-License-Identifier: MIT
#include <string>

#include "demo/http_head.hpp"
#include "demo/server_view.hpp"
#include "support/catch.hpp"

using namespace holdfast::demo;

TEST_CASE("an answer's head is read once it is complete, whatever the case of its names", "[demo]") {
  const std::string text =
      "HTTP/1.1 200 OK\r\nX-SERVED-BY: replica\r\ncontent-length:  12 \r\nETag: \"3-ab\"\r\nAge: 2\r\n"
      "X-Age-Ms: 1500\r\nx-correlation-id: demo-1-on-7\r\n\r\n{\"a\":\"b\\n\"}";
  const std::size_t head_bytes = text.find("\r\n\r\n") + 4;
  answer_head head;
  for (std::size_t n = 0; n < head_bytes; ++n) {
    REQUIRE(parse_head(std::string_view(text).substr(0, n), head) == head_result::incomplete);
  }
  REQUIRE(parse_head(text, head) == head_result::complete);
  CHECK(head.status == 200);
  CHECK(head.head_bytes == head_bytes);
  CHECK(head.body_bytes == 12);
  CHECK(head.keep_alive);
  CHECK(head.served_by == "replica");
  CHECK(head.etag == "\"3-ab\"");
  CHECK(head.age_ms == 1500);
  CHECK(head.correlation_id == "demo-1-on-7");
}

TEST_CASE("answers that nobody could read safely are malformed", "[demo]") {
  answer_head head;
  for (const char* text :
       {"HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1e3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n", "\r\n\r\n"}) {
    CAPTURE(text);
    CHECK(parse_head(text, head) == head_result::malformed);
  }
  CHECK(parse_head("HTTP/1.1 304 Not Modified\r\n\r\n", head) == head_result::complete);
  CHECK(parse_head("HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", head) == head_result::complete);
  CHECK_FALSE(head.keep_alive);
}

TEST_CASE("a metrics page is summed by name and by label", "[demo]") {
  const metrics_page page(
      "# HELP a help\n# TYPE a counter\na{dependency=\"primary\",verdict=\"ok\"} 3\na{dependency=\"cdn\"} 4.5\nb "
      "1e3\nodd\n");
  CHECK(page.sum("a") == 7.5);
  CHECK(page.sum("a", "dependency=\"cdn\"") == 4.5);
  CHECK(page.sum("b") == 1000);
  CHECK_FALSE(page.sum("c").has_value());
}

TEST_CASE("the page of breakers is read, and one that is none is refused", "[demo]") {
  std::vector<guard_view> guards;
  REQUIRE(parse_breakers(R"({"breakers":[{"name":"primary","state":"half_open","calls":7,"opens":2,
    "budget":{"balance":49.5,"granted":3,"denied":1,"ratio_permille":100,"min_per_second":10,"burst":50}}]})",
                         guards));
  REQUIRE(guards.size() == 1);
  CHECK(guards[0].name == "primary");
  CHECK(guards[0].state == "half_open");
  CHECK(guards[0].calls == 7);
  CHECK(guards[0].retries == 3);
  CHECK(guards[0].balance == 49.5);
  CHECK(guards[0].budget_ratio == 0.1);
  CHECK_FALSE(parse_breakers("{\"breakers\":[{\"name\":1}]}", guards));
  CHECK_FALSE(parse_breakers("not json", guards));
}
