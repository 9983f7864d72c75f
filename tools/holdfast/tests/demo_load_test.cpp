// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/time/clock.hpp"

#include "demo/load.hpp"
#include "demo/request_plan.hpp"
#include "support/catch.hpp"

using namespace holdfast::demo;
using namespace std::chrono_literals;

namespace {

// Answers every request of every connection, one after the other on one thread; stands still once for so long.
class small_server {
 public:
  explicit small_server(milliseconds pause_after = 0ms, milliseconds pause = 0ms)
      : pause_after_(pause_after), pause_(pause) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    ::sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::socklen_t size = sizeof(at);
    REQUIRE(::bind(listener_, reinterpret_cast<::sockaddr*>(&at), size) == 0);
    REQUIRE(::listen(listener_, 64) == 0);
    REQUIRE(::getsockname(listener_, reinterpret_cast<::sockaddr*>(&at), &size) == 0);
    port_ = ntohs(at.sin_port);
    REQUIRE(::pipe(stop_.data()) == 0);
    thread_ = std::thread([this] { run(); });
  }
  ~small_server() {
    ::close(stop_[1]);
    thread_.join();
    ::close(stop_[0]);
    ::close(listener_);
  }
  small_server(const small_server&) = delete;
  small_server& operator=(const small_server&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  void run() {
    std::vector<::pollfd> files{{stop_[0], POLLIN, 0}, {listener_, POLLIN, 0}};
    const auto begun = std::chrono::steady_clock::now();
    bool paused = pause_ == 0ms;
    while (::poll(files.data(), files.size(), 1000) >= 0 && files[0].revents == 0) {
      if (!paused && std::chrono::steady_clock::now() - begun >= pause_after_) {
        std::this_thread::sleep_for(pause_);
        paused = true;
      }
      const std::size_t known = files.size();
      if (files[1].revents != 0) files.push_back({::accept(listener_, nullptr, nullptr), POLLIN, 0});
      for (std::size_t i = 2; i < known; ++i) {
        if (files[i].revents != 0 && !answer(files[i].fd)) {
          ::close(files[i].fd);
          files[i].fd = -1;
        }
      }
    }
    for (std::size_t i = 2; i < files.size(); ++i) ::close(files[i].fd);
  }
  static bool answer(int fd) {
    std::array<char, 4096> bytes;
    const ::ssize_t n = ::recv(fd, bytes.data(), bytes.size(), 0);
    if (n <= 0) return false;
    const std::string_view text(bytes.data(), static_cast<std::size_t>(n));
    const std::size_t at = text.find("X-Correlation-ID: ") + 18;
    const std::string id(text.substr(at, text.find('\r', at) - at));
    const std::string out = "HTTP/1.1 200 OK\r\nX-Served-By: cache\r\nX-Age-Ms: 5\r\nX-Correlation-ID: " + id +
                            "\r\nLocation: /profiles/x\r\nContent-Length: 2\r\n\r\n{}";
    return ::send(fd, out.data(), out.size(), MSG_NOSIGNAL) == static_cast<::ssize_t>(out.size());
  }

  milliseconds pause_after_, pause_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::array<int, 2> stop_{};
  std::thread thread_;
};

client_counts run_load(load& clients, milliseconds time) {
  clients.start();
  std::this_thread::sleep_for(time);
  clients.stop();
  return clients.take();
}

}  // namespace

TEST_CASE("the load asks at its rate, and every request has one end", "[demo]") {
  const small_server server;
  load clients({.port = server.port(), .rate = 400, .connections = 8, .profiles = 100, .seed = 1, .id_prefix = "t-"});
  const client_counts seen = run_load(clients, 1s);
  const std::uint64_t all = seen.reads.all() + seen.writes.all();
  CHECK(all > 300);
  CHECK(all < 520);
  CHECK(seen.reads.errors() + seen.writes.errors() == 0);
  CHECK(seen.reads_by_tier[static_cast<std::size_t>(tier::cache)] == seen.reads.ok);
  CHECK(seen.oldest_ms == 5);
  CHECK(seen.wrong_ids == 0);
  CHECK(seen.writes.ok > 0);
  CHECK(seen.read_time.count() == seen.reads.all());
  std::uint64_t answered = 0;
  for (const request_fate f : clients.fates()) answered += f == request_fate::answered ? 1U : 0U;
  CHECK(answered == all);
}

TEST_CASE("a service that stands still cannot slow the load down to hide it", "[demo]") {
  const small_server server(300ms, 400ms);
  load clients({.port = server.port(), .rate = 500, .connections = 4, .profiles = 100, .seed = 1, .id_prefix = "t-"});
  const client_counts seen = run_load(clients, 1s);
  // 400 ms of 1000 stand still: of the requests that were due then, one in two waits 200 ms and more. A client that
  // waits for its answers would have sent four in that time.
  const std::uint64_t late = seen.read_time.above(150ms);
  CHECK(seen.reads.errors() == 0);
  CHECK(late > 80);
  CHECK(seen.read_time.max() >= 350ms);
}

TEST_CASE("nobody there is an end of its own kind", "[demo]") {
  std::uint16_t port = 0;
  {
    const small_server gone;
    port = gone.port();
  }
  load clients({.port = port, .rate = 200, .connections = 4, .profiles = 100, .seed = 1, .id_prefix = "t-"});
  const client_counts seen = run_load(clients, 200ms);
  CHECK(seen.reads.ok == 0);
  CHECK(seen.reads.broken > 10);
  CHECK(seen.reads.broken == seen.reads.all());
  for (const request_fate f : clients.fates()) CHECK(f != request_fate::answered);
}

TEST_CASE("who does not answer in time is given up", "[demo]") {
  const small_server server(0ms, 600ms);
  load clients({.port = server.port(),
                .rate = 200,
                .connections = 2,
                .profiles = 100,
                .seed = 1,
                .id_prefix = "t-",
                .patience = 150ms});
  const client_counts seen = run_load(clients, 300ms);
  CHECK(seen.reads.timeouts > 10);
  // It looks every 20 ms; the rest is for a machine under load.
  CHECK(seen.read_time.max() < 600ms);
}

TEST_CASE("a POST is repeated under its own key, and another profile than before is a duplicate", "[demo]") {
  request_plan plan(10, 3, "t-");
  client_counts counts;
  planned_request post;
  std::uint64_t sequence = 0;
  answer_head other;
  other.status = 201;
  other.location = "/profiles/other";
  const auto next_post = [&](bool replay) {
    for (int i = 0; i < 20'000; ++i) {
      post = plan.next();
      if (post.kind == request_kind::post && post.replay == replay) return true;
      plan.learn(post, &other, counts);
    }
    return false;
  };
  REQUIRE(next_post(false));
  std::string first, again;
  plan.write(post, sequence++, first);
  answer_head made;
  made.status = 201;
  made.location = "/profiles/a";
  plan.learn(post, &made, counts);
  const std::uint32_t key = post.number;
  do {
    REQUIRE(next_post(true));
    if (post.number != key) plan.learn(post, &other, counts);
  } while (post.number != key);
  plan.write(post, sequence, again);
  const auto without_id = [](std::string text) {
    const std::size_t at = text.find("X-Correlation-ID");
    return text.erase(at, text.find("\r\n", at) - at);
  };
  CHECK(without_id(first) == without_id(again));
  made.location = "/profiles/b";
  CHECK(counts.duplicates == 0);
  plan.learn(post, &made, counts);
  CHECK(counts.duplicates == 1);
}
