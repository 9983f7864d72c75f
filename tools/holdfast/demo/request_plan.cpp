// SPDX-License-Identifier: MIT
#include "demo/request_plan.hpp"

#include <array>
#include <cstdio>

namespace holdfast::demo {
namespace {

constexpr double popularity_exponent = 0.99;  // that of YCSB, close to what profile services see
constexpr std::uint64_t puts_of_thousand = 30;
constexpr std::uint64_t posts_of_thousand = 10;
constexpr std::uint64_t replays_of_hundred_posts = 30;

std::string profile_id(std::uint32_t number) {
  std::array<char, 16> text{};
  const int n = std::snprintf(text.data(), text.size(), "u%06u", number);
  return {text.data(), static_cast<std::size_t>(n)};
}

void add_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

request_plan::request_plan(std::uint32_t profiles, std::uint64_t seed, std::string id_prefix)
    : numbers_(profiles, popularity_exponent, seed),
      bits_(seed ^ 0x9E3779B97F4A7C15U),
      id_prefix_(std::move(id_prefix)),
      etags_(profiles),
      put_in_flight_(profiles) {}

planned_request request_plan::next() {
  const std::uint64_t draw = uniform_up_to(bits_, 999);
  if (draw < puts_of_thousand) return next_put();
  if (draw < puts_of_thousand + posts_of_thousand) return next_post();
  return {request_kind::read, numbers_(bits_), false};
}

// Two PUTs on one profile at a time would only measure how often 412 is right.
planned_request request_plan::next_put() {
  for (int tries = 0; tries < 16; ++tries) {
    const std::uint32_t number = numbers_(bits_);
    if (put_in_flight_[number - 1]) continue;
    put_in_flight_[number - 1] = true;
    return {request_kind::put, number, false};
  }
  return {request_kind::read, numbers_(bits_), false};
}

planned_request request_plan::next_post() {
  if (!posted_.empty() && uniform_up_to(bits_, 99) < replays_of_hundred_posts) {
    std::uint32_t number = 0;
    if (!unacknowledged_.empty()) {
      number = unacknowledged_.back();
      unacknowledged_.pop_back();
    } else {
      number = static_cast<std::uint32_t>(uniform_up_to(bits_, posted_.size() - 1));
    }
    posted& p = posted_[number];
    if (!p.in_flight) {
      p.in_flight = true;
      return {request_kind::post, number, !p.location.empty()};
    }
  }
  posted_.push_back({{}, true});
  return {request_kind::post, static_cast<std::uint32_t>(posted_.size() - 1), false};
}

std::string request_plan::correlation_id(std::uint64_t sequence) const {
  return id_prefix_ + std::to_string(sequence);
}

void request_plan::write(const planned_request& request, std::uint64_t sequence, std::string& out) {
  std::string body;
  switch (request.kind) {
    case request_kind::read:
      out.append("GET /profiles/").append(profile_id(request.number)).append(" HTTP/1.1\r\n");
      break;
    case request_kind::put:
      body = R"({"name":"Person )" + std::to_string(request.number) + R"(","email":"u)" +
             std::to_string(request.number) + R"(@example.org","revision":)" + std::to_string(sequence) + "}";
      out.append("PUT /profiles/").append(profile_id(request.number)).append(" HTTP/1.1\r\n");
      if (!etags_[request.number - 1].empty()) add_header(out, "If-Match", etags_[request.number - 1]);
      break;
    case request_kind::post:
      body = R"({"name":"Newcomer )" + std::to_string(request.number) + R"(","email":"n)" +
             std::to_string(request.number) + R"(@example.org"})";
      out.append("POST /profiles HTTP/1.1\r\n");
      add_header(out, "Idempotency-Key", id_prefix_ + "key-" + std::to_string(request.number));
      break;
  }
  add_header(out, "Host", "127.0.0.1");
  add_header(out, "X-Correlation-ID", correlation_id(sequence));
  if (!body.empty()) {
    add_header(out, "Content-Type", "application/json");
    add_header(out, "Content-Length", std::to_string(body.size()));
  }
  out.append("\r\n").append(body);
}

void request_plan::learn(const planned_request& request, const answer_head* head, client_counts& counts) {
  const bool ok = head != nullptr && head->status / 100 == 2;
  if (request.kind == request_kind::post) {
    posted& p = posted_[request.number];
    p.in_flight = false;
    if (request.replay) ++counts.replays;
    if (!ok) {
      if (p.location.empty()) unacknowledged_.push_back(request.number);
    } else if (p.location.empty()) {
      p.location = head->location;
    } else if (p.location != head->location) {
      ++counts.duplicates;
    }
    return;
  }
  // Only the primary's word is good for If-Match: a follower may be behind.
  std::string& etag = etags_[request.number - 1];
  if (request.kind == request_kind::put) {
    put_in_flight_[request.number - 1] = false;
    etag = ok ? std::string(head->etag) : std::string();
  } else if (ok && !put_in_flight_[request.number - 1] && tier_of(head->served_by) == tier::primary) {
    etag = head->etag;
  }
}

}  // namespace holdfast::demo
