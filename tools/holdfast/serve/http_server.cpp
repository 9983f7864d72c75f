// SPDX-License-Identifier: MIT
#include "serve/http_server.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <list>
#include <optional>
#include <thread>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include "holdfast/core/error_domain.hpp"

namespace holdfast::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using parser = http::request_parser<http::string_body>;
using boost::system::error_code;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
// How often connections are looked at for their time being over: how exact a time limit is.
constexpr milliseconds sweep_every{20};
// After a refusal the client may still be sending; what it sends is read for a moment, so that the answer is not lost
// in a connection reset.
constexpr milliseconds linger_time{500};
constexpr std::size_t linger_bytes = 262'144;

std::string_view reason_phrase(int status) {
  const auto text = http::obsolete_reason(static_cast<http::status>(status));
  return {text.data(), text.size()};
}

std::string_view find_in_message(const void* message, std::string_view name) {
  const auto& fields = *static_cast<const http::request<http::string_body>*>(message);
  const auto at = fields.find(beast::string_view(name.data(), name.size()));
  return at == fields.end() ? std::string_view{} : std::string_view(at->value().data(), at->value().size());
}

void append_number(std::string& out, std::size_t number) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof(digits), number).ptr);
}

// The whole answer as bytes. A HEAD request gets the head alone, with the length that GET would have.
std::string serialize(const http_response& r, bool head_only, bool keep_alive) {
  std::string out;
  out.reserve(256 + r.body.size());
  out += "HTTP/1.1 ";
  append_number(out, static_cast<std::size_t>(r.status));
  ((out += ' ') += reason_phrase(r.status)) += "\r\nServer: holdfast\r\n";
  if (!r.content_type.empty()) ((out += "Content-Type: ") += r.content_type) += "\r\n";
  for (const auto& [name, value] : r.headers) (((out += name) += ": ") += value) += "\r\n";
  if (r.status != 204 && r.status != 304) {
    out += "Content-Length: ";
    append_number(out, r.body.size());
    out += "\r\n";
  }
  out += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  if (!head_only && r.status != 204 && r.status != 304) out += r.body;
  return out;
}

// What a parse error means to the client; an empty reason means: the connection is simply over.
http_refusal refusal_of(const error_code& ec, bool timed_out, bool in_body) {
  if (timed_out) return {408, in_body ? "the body took too long" : "the head took too long"};
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow) return {431, "the head is too large"};
  if (ec == http::error::body_limit) return {413, "the body is too large"};
  if (ec == http::error::end_of_stream || ec == asio::error::connection_reset) return {0, {}};
  if (ec == http::error::partial_message) return {400, "the request breaks off"};
  if (ec == http::error::bad_version) return {400, "only HTTP/1.0 and HTTP/1.1 are spoken"};
  if (ec.category() == http::make_error_code(http::error::bad_method).category()) {
    return {400, "the request is malformed"};
  }
  return {0, {}};
}

}  // namespace

// Holds no socket and no timer itself: each of those lives in a coroutine of its own io_context and goes with it.
struct http_server::core : std::enable_shared_from_this<http_server::core> {
  struct connection {
    explicit connection(tcp::socket&& s) : socket(std::move(s)) {}
    tcp::socket socket;
    time_point due = time_point::max();  // when the step at hand has taken too long
    bool timed_out = false;
    bool idle = true;  // between two requests
    std::string peer;

    void allow(milliseconds time) {
      timed_out = false;
      due = steady_clock::now() + time;
    }
  };
  // All that lives on one io thread, touched by that thread alone.
  struct shard {
    explicit shard(asio::io_context& c) : context(c) {}
    asio::io_context& context;
    std::list<connection*> all;
    bool draining = false;
  };

  core(io_threads& threads, const server_options& o) : limits(o) {
    for (std::size_t i = 0; i < threads.size(); ++i) shards.emplace_back(threads.at(i));
  }

  void start_sweeps();
  asio::awaitable<void> sweep(shard& s);
  asio::awaitable<void> accept(std::shared_ptr<tcp::acceptor> acceptor, http_app& app);
  asio::awaitable<void> serve(std::size_t at, tcp::socket socket, http_app& app);
  asio::awaitable<void> converse(std::size_t at, connection& c, http_app& app);
  asio::awaitable<bool> wait_for_bytes(shard& s, connection& c, beast::flat_buffer& buffer, bool first);
  asio::awaitable<bool> read_request(connection& c, beast::flat_buffer& buffer, parser& in, http_refusal& refusal);
  asio::awaitable<bool> answer(std::size_t at, connection& c, http_app& app, const parser& in, time_point begun);
  asio::awaitable<bool> send(connection& c, const std::string& bytes);
  asio::awaitable<void> refuse(connection& c, http_app& app, http_refusal refusal, time_point begun);

  const server_options limits;
  std::deque<shard> shards;
  std::vector<std::weak_ptr<tcp::acceptor>> acceptors;
  std::atomic<std::int64_t> open{0};
  std::size_t next = 0;
  bool sweeping = false;
};

void http_server::core::start_sweeps() {
  if (std::exchange(sweeping, true)) return;
  for (auto& s : shards) {
    asio::co_spawn(
        s.context, [self = shared_from_this(), &s] { return self->sweep(s); }, asio::detached);
  }
}

asio::awaitable<void> http_server::core::sweep(shard& s) {
  asio::steady_timer timer(s.context);
  for (;;) {
    timer.expires_after(sweep_every);
    const auto [ec] = co_await timer.async_wait(as_result);
    if (ec) co_return;
    const time_point now = steady_clock::now();
    for (connection* c : s.all) {
      if (now < c->due) continue;
      c->due = time_point::max();
      c->timed_out = true;
      error_code ignored;
      c->socket.cancel(ignored);
    }
  }
}

asio::awaitable<void> http_server::core::accept(std::shared_ptr<tcp::acceptor> acceptor, http_app& app) {
  asio::steady_timer pause(acceptor->get_executor());
  for (;;) {
    while (open.load(std::memory_order_relaxed) >= limits.max_connections) {  // the others wait in the kernel's backlog
      if (!acceptor->is_open()) co_return;
      pause.expires_after(milliseconds(5));
      co_await pause.async_wait(as_result);
    }
    const std::size_t at = next++ % shards.size();
    auto [ec, socket] = co_await acceptor->async_accept(shards[at].context, as_result);
    if (ec == asio::error::operation_aborted || !acceptor->is_open()) co_return;
    if (ec) {  // out of file descriptors, or the client was gone already
      pause.expires_after(milliseconds(20));
      co_await pause.async_wait(as_result);
      continue;
    }
    open.fetch_add(1, std::memory_order_relaxed);
    asio::co_spawn(
        shards[at].context,
        [self = shared_from_this(), at, s = std::move(socket), &app]() mutable {
          return self->serve(at, std::move(s), app);
        },
        asio::detached);
  }
}

asio::awaitable<void> http_server::core::serve(std::size_t at, tcp::socket socket, http_app& app) {
  const auto self = shared_from_this();
  shard& s = shards[at];
  connection c(std::move(socket));
  error_code ignored;
  c.socket.set_option(tcp::no_delay(true), ignored);
  const auto remote = c.socket.remote_endpoint(ignored);
  c.peer = remote.address().to_string() + ":" + std::to_string(remote.port());
  const auto place = s.all.insert(s.all.end(), &c);
  try {
    co_await converse(at, c, app);
  } catch (...) {  // out of memory or a defect in an app: this connection ends, the others do not notice
    c.socket.close(ignored);
  }
  s.all.erase(place);
  open.fetch_sub(1, std::memory_order_relaxed);
}

asio::awaitable<void> http_server::core::converse(std::size_t at, connection& c, http_app& app) {
  shard& s = shards[at];
  beast::flat_buffer buffer(static_cast<std::size_t>(limits.max_header_bytes + limits.max_body_bytes));
  for (bool first = true;; first = false) {
    if (!co_await wait_for_bytes(s, c, buffer, first)) co_return;
    const time_point begun = steady_clock::now();
    parser in;
    in.header_limit(static_cast<std::uint32_t>(limits.max_header_bytes));
    in.body_limit(static_cast<std::uint64_t>(limits.max_body_bytes));
    http_refusal refusal{0, {}};
    if (!co_await read_request(c, buffer, in, refusal)) {
      if (refusal.status != 0) co_await refuse(c, app, refusal, begun);
      co_return;
    }
    if (!co_await answer(at, c, app, in, begun)) co_return;
  }
}

// False: the client closed, was idle for too long, or the server is draining.
asio::awaitable<bool> http_server::core::wait_for_bytes(shard& s, connection& c, beast::flat_buffer& buffer,
                                                        bool first) {
  if (buffer.size() > 0) co_return true;
  if (s.draining && !first) co_return false;
  c.idle = true;
  c.allow(first ? limits.header_timeout : limits.idle_timeout);
  const auto [ec, bytes] = co_await c.socket.async_read_some(buffer.prepare(2048), as_result);
  c.idle = false;
  buffer.commit(bytes);
  co_return !ec && bytes > 0;
}

asio::awaitable<bool> http_server::core::read_request(connection& c, beast::flat_buffer& buffer, parser& in,
                                                      http_refusal& refusal) {
  c.allow(limits.header_timeout);
  auto [ec, head_bytes] = co_await http::async_read_header(c.socket, buffer, in, as_result);
  if (ec) {
    refusal = refusal_of(ec, c.timed_out, false);
    co_return false;
  }
  if (in.get().version() >= 11 && in.get().find(http::field::host) == in.get().end()) {
    refusal = {400, "an HTTP/1.1 request needs a Host header"};
    co_return false;
  }
  if (in.is_done()) co_return true;
  c.allow(limits.body_timeout);
  if (beast::iequals(in.get()[http::field::expect], "100-continue")) {
    const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!co_await send(c, go_on)) co_return false;
    c.allow(limits.body_timeout);
  }
  auto [body_ec, body_bytes] = co_await http::async_read(c.socket, buffer, in, as_result);
  if (body_ec) {
    refusal = refusal_of(body_ec, c.timed_out, true);
    co_return false;
  }
  co_return true;
}

// False: the connection is over.
asio::awaitable<bool> http_server::core::answer(std::size_t at, connection& c, http_app& app, const parser& in,
                                                time_point begun) {
  const auto& message = in.get();
  c.due = time_point::max();  // the app has deadlines of its own
  const std::string_view method(message.method_string().data(), message.method_string().size());
  const http_request request{
      method,         {message.target().data(), message.target().size()}, message.body(), c.peer, begun, at, &message,
      find_in_message};
  http_response response = co_await app.handle(request);
  const bool keep = message.keep_alive() && !response.close && !shards[at].draining;
  const std::string bytes = serialize(response, method == "HEAD", keep);
  const bool sent = co_await send(c, bytes);
  app.on_sent(request, response, sent);
  if (sent && !keep) {
    error_code ignored;
    c.socket.shutdown(tcp::socket::shutdown_send, ignored);
  }
  co_return sent&& keep;
}

asio::awaitable<bool> http_server::core::send(connection& c, const std::string& bytes) {
  c.allow(limits.write_timeout);
  const auto [ec, sent] = co_await asio::async_write(c.socket, asio::buffer(bytes), as_result);
  co_return !ec;
}

asio::awaitable<void> http_server::core::refuse(connection& c, http_app& app, http_refusal refusal, time_point begun) {
  refusal.peer = c.peer;
  refusal.begun = begun;
  const http_response response = app.refuse(refusal);
  const std::string bytes = serialize(response, false, false);
  if (!co_await send(c, bytes)) co_return;
  error_code ignored;
  c.socket.shutdown(tcp::socket::shutdown_send, ignored);
  std::string dropped(4096, '\0');
  c.allow(linger_time);
  for (std::size_t total = 0; total < linger_bytes;) {
    const auto [ec, count] = co_await c.socket.async_read_some(asio::buffer(dropped), as_result);
    if (ec) co_return;
    total += count;
  }
}

http_server::http_server(io_threads& threads, const server_options& limits)
    : core_(std::make_shared<core>(threads, limits)) {}

http_server::~http_server() = default;

outcome<std::uint16_t> http_server::listen(const std::string& address, std::uint16_t port, http_app& app) {
  error_code ec;
  const auto failed = [&] { return make_error(std::error_code(ec)); };
  const auto ip = asio::ip::make_address(address, ec);
  if (ec) return failed();
  auto acceptor = std::make_shared<tcp::acceptor>(core_->shards.front().context);
  const tcp::endpoint at(ip, port);
  acceptor->open(at.protocol(), ec);
  if (!ec) acceptor->set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor->bind(at, ec);
  if (!ec) acceptor->listen(1024, ec);
  if (ec) return failed();
  const std::uint16_t bound = acceptor->local_endpoint(ec).port();
  core_->acceptors.push_back(acceptor);
  core_->start_sweeps();
  asio::co_spawn(
      acceptor->get_executor(), [self = core_, acceptor, &app] { return self->accept(acceptor, app); }, asio::detached);
  return bound;
}

bool http_server::drain(milliseconds within) {
  asio::post(core_->shards.front().context, [self = core_] {
    error_code ignored;
    for (auto& listening : self->acceptors) {
      if (const auto acceptor = listening.lock()) acceptor->close(ignored);
    }
  });
  for (auto& s : core_->shards) {
    asio::post(s.context, [self = core_, &s] {
      s.draining = true;
      error_code ignored;
      for (auto* c : s.all) {
        if (c->idle) c->socket.cancel(ignored);
      }
    });
  }
  const time_point until = steady_clock::now() + within;
  while (connections() > 0 && steady_clock::now() < until) std::this_thread::sleep_for(milliseconds(2));
  return connections() == 0;
}

std::int64_t http_server::connections() const noexcept {
  return core_->open.load(std::memory_order_relaxed);
}

}  // namespace holdfast::serve
