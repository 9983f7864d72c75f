// SPDX-License-Identifier: MIT
#include "serve/router.hpp"

#include <string>

#include "support/catch.hpp"

using namespace holdfast::serve;

TEST_CASE("router: each endpoint is found, with its argument, whatever the query") {
  CHECK(find_route("GET", "/profiles/u000001", false).to == endpoint::profile);
  CHECK(find_route("GET", "/profiles/u000001?x=/../%00", false).argument == "u000001");
  CHECK(find_route("PUT", "http://h:1/profiles/a-b_C", false).argument == "a-b_C");
  CHECK(find_route("POST", "/profiles", false).to == endpoint::profiles);
  CHECK(find_route("HEAD", "/healthz", false).to == endpoint::health);
  CHECK(find_route("GET", "/metrics", false).to == endpoint::metrics);
  CHECK(find_route("GET", "/admin/breakers", true).to == endpoint::breakers);
  CHECK(find_route("POST", "/admin/breakers/primary", true).argument == "primary");
}

TEST_CASE("router: path tricks are refused with 400") {
  for (const std::string target :
       {"/profiles/..", "/profiles/../healthz", "/profiles/%2e%2e/x", "/profiles/a%2fb", "/profiles/a%00",
        "//profiles/a", "/profiles//a", "/profiles/./a", "/profiles/a\\b", "*", "profiles/a", "http:", "",
        "/profiles/a b", "/profiles/a.json", "/profiles/a/b"}) {
    INFO(target);
    const route r = find_route("GET", target, true);
    CHECK(r.status == 400);
    CHECK(r.to == endpoint::none);
  }
  CHECK(find_route("GET", std::string("/profiles/a\0b", 13), true).status == 400);
  CHECK(find_route("GET", "/profiles/" + std::string(65, 'a'), true).status == 400);
  CHECK(find_route("GET", "/profiles/" + std::string(64, 'a'), true).status == 0);
}

TEST_CASE("router: what is not there is 404, and the admin's paths are not there for others") {
  CHECK(find_route("GET", "/", true).status == 404);
  CHECK(find_route("GET", "/profile/a", true).status == 404);
  CHECK(find_route("GET", "/.hidden", true).status == 404);
  CHECK(find_route("GET", "/admin/breakers", false).status == 404);
  CHECK(find_route("POST", "/admin/breakers/primary", false).status == 404);
}

TEST_CASE("router: a method that a path does not have is 405 with the methods it has") {
  CHECK(find_route("DELETE", "/profiles/a", false).status == 405);
  CHECK(find_route("DELETE", "/profiles/a", false).allow == "GET, HEAD, PUT");
  CHECK(find_route("GET", "/profiles", false).allow == "POST");
  CHECK(find_route("GET", "/admin/breakers/x", true).allow == "POST");
  CHECK(find_route("get", "/healthz", false).status == 405);
}
