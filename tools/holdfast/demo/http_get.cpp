// SPDX-License-Identifier: MIT
#include "demo/http_get.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "holdfast/time/deadline.hpp"

#include "demo/http_head.hpp"

namespace holdfast::demo {
namespace {

class socket_file {
 public:
  socket_file() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {}
  ~socket_file() {
    if (fd_ >= 0) ::close(fd_);
  }
  socket_file(const socket_file&) = delete;
  socket_file& operator=(const socket_file&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool wait(short what, deadline until) const {
    for (;;) {
      const auto left = std::chrono::ceil<milliseconds>(until.remaining(steady_clock::now()));
      ::pollfd waiting{fd_, what, 0};
      const int ready = ::poll(&waiting, 1, static_cast<int>(left.count()));
      if (ready > 0) return true;
      if (ready == 0 || errno != EINTR) return false;
    }
  }

 private:
  int fd_;
};

bool connect_to(const socket_file& s, std::uint16_t port, deadline until) {
  ::sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(s.fd(), reinterpret_cast<const ::sockaddr*>(&to), sizeof(to)) == 0) return true;
  return errno == EINPROGRESS && s.wait(POLLOUT, until);
}

bool send_all(const socket_file& s, std::string_view text, deadline until) {
  while (!text.empty()) {
    const ::ssize_t n = ::send(s.fd(), text.data(), text.size(), MSG_NOSIGNAL);
    if (n > 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else if ((errno != EAGAIN && errno != EINTR) || !s.wait(POLLOUT, until)) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::optional<std::string> http_get(std::uint16_t port, const std::string& path, milliseconds within) {
  const deadline until = deadline::after(steady_clock::now(), within);
  const socket_file s;
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
  if (s.fd() < 0 || !connect_to(s, port, until) || !send_all(s, request, until)) return std::nullopt;
  std::string text;
  for (;;) {
    answer_head head;
    const head_result how = parse_head(text, head);
    if (how == head_result::malformed) return std::nullopt;
    if (how == head_result::complete && text.size() >= head.head_bytes + head.body_bytes) {
      if (head.status != 200) return std::nullopt;
      return text.substr(head.head_bytes, head.body_bytes);
    }
    std::array<char, 16'384> bytes;
    const ::ssize_t n = ::recv(s.fd(), bytes.data(), bytes.size(), 0);
    if (n > 0) {
      text.append(bytes.data(), static_cast<std::size_t>(n));
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR) || !s.wait(POLLIN, until)) {
      return std::nullopt;
    }
  }
}

}  // namespace holdfast::demo
