// SPDX-License-Identifier: MIT
#include "serve/cdn_client.hpp"

#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include "holdfast/core/error_domain.hpp"

#include "serve/cdn_files.hpp"

namespace holdfast::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr std::uint64_t largest_answer = 65'536;
constexpr std::size_t kept_connections = 64;  // by io thread

struct exchange {
  error_code ec{};
  int status = 0;
  bool keep = false;
  std::string body{};
};

asio::awaitable<exchange> talk(tcp::socket& socket, const std::string& request) {
  exchange result;
  auto [write_ec, written] = co_await asio::async_write(socket, asio::buffer(request), as_result);
  if (write_ec) {
    result.ec = write_ec;
    co_return result;
  }
  beast::flat_buffer buffer(largest_answer + 8192);
  http::response_parser<http::string_body> in;
  in.body_limit(largest_answer);
  auto [read_ec, bytes] = co_await http::async_read(socket, buffer, in, as_result);
  result.ec = read_ec;
  if (read_ec) co_return result;
  result.status = static_cast<int>(in.get().result_int());
  result.keep = in.get().keep_alive() && buffer.size() == 0;
  result.body = std::move(in.get().body());
  co_return result;
}

error transport_error(const error_code& ec) {
  if (ec == asio::error::operation_aborted) return {errc::cancelled};
  // Whatever broke on the way (a reset, a close in mid-answer, an answer that is no HTTP) may be whole the next time.
  error e = make_error(std::error_code(ec));
  if (e.kind == verdict::permanent) e.kind = verdict::transient;
  return e;
}

}  // namespace

struct cdn_client::state {
  tcp::endpoint server;
  std::string host;
  std::vector<std::vector<tcp::socket>> kept;  // by io thread; each touched by that thread alone
};

cdn_client::cdn_client(std::size_t io_threads, const std::string& address, std::uint16_t port)
    : state_(std::make_shared<state>()) {
  state_->server = {asio::ip::make_address(address), port};
  state_->host = address + ":" + std::to_string(port);
  state_->kept.resize(io_threads);
}

cdn_client::~cdn_client() = default;

void cdn_client::close() {
  for (auto& sockets : state_->kept) sockets.clear();
}

asio::awaitable<outcome<std::optional<profile>>> cdn_client::get(std::size_t io_thread, cdn_request request) {
  const auto self = state_;  // an attempt may outlive its call, and its client
  std::string head = "GET " + cdn_path(request.id) + " HTTP/1.1\r\nHost: " + self->host + "\r\n";
  if (!request.correlation_id.empty()) head += "X-Correlation-ID: " + request.correlation_id + "\r\n";
  if (!request.traceparent.empty()) head += "traceparent: " + request.traceparent + "\r\n";
  head += "\r\n";
  auto& kept = self->kept[io_thread];
  for (;;) {
    tcp::socket socket(co_await asio::this_coro::executor);
    const bool reused = !kept.empty();
    if (reused) {
      socket = std::move(kept.back());
      kept.pop_back();
    } else {
      const auto [ec] = co_await socket.async_connect(self->server, as_result);
      if (ec) co_return transport_error(ec);
      error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
    }
    exchange answer = co_await talk(socket, head);
    if (answer.ec && reused && answer.ec != asio::error::operation_aborted) continue;
    if (answer.ec) co_return transport_error(answer.ec);
    if (answer.keep && kept.size() < kept_connections) kept.push_back(std::move(socket));
    if (answer.status == 404) co_return std::optional<profile>{};
    if (answer.status != 200) co_return make_error(http_error(answer.status));
    auto found = parse_cdn_file(answer.body, request.id);
    if (!found) co_return error(http_error(502), verdict::transient);  // not what we have put there
    co_return found;
  }
}

}  // namespace holdfast::serve
