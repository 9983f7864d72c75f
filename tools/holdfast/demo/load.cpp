// SPDX-License-Identifier: MIT
#include "demo/load.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <system_error>
#include <utility>

#include "holdfast/time/clock.hpp"

#include "demo/request_plan.hpp"

namespace holdfast::demo {
namespace {

constexpr std::uint64_t wake_mark = ~std::uint64_t{0};
constexpr std::uint64_t timer_mark = wake_mark - 1;
constexpr milliseconds look_for_timeouts_every{20};

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

struct waiting_request {
  planned_request plan;
  std::uint64_t sequence = 0;
  time_point due{};
};

struct connection {
  enum class state : std::uint8_t { down, idle, busy };
  int fd = -1;
  state is = state::down;
  bool wants_write = false;
  waiting_request request{};
  std::string out;
  std::size_t sent = 0;
  std::string in;
};

}  // namespace

class load::engine {
 public:
  engine(load& owner, int wake)
      : owner_(owner), plan_(owner.options_.profiles, owner.options_.seed, owner.options_.id_prefix) {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (epoll_ < 0 || timer_ < 0) fail("epoll");
    watch(wake, wake_mark, EPOLLIN, EPOLL_CTL_ADD);
    watch(timer_, timer_mark, EPOLLIN, EPOLL_CTL_ADD);
    connections_.resize(static_cast<std::size_t>(owner.options_.connections));
    for (std::size_t i = connections_.size(); i > 0; --i) idle_.push_back(static_cast<std::uint32_t>(i - 1));
  }
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;
  ~engine() {
    for (auto& c : connections_) close(c);
    ::close(timer_);
    ::close(epoll_);
  }

  void run() {
    next_due_ = steady_clock::now();
    bool stopping = false;
    time_point stop_by{};
    for (;;) {
      const time_point now = steady_clock::now();
      if (!stopping) issue_due(now);
      give_up_late(now);
      if (stopping && (busy_ == 0 || now >= stop_by)) break;
      arm(stopping ? now + look_for_timeouts_every : next_due_);
      std::array<::epoll_event, 64> events{};
      const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 1000);
      if (n < 0 && errno != EINTR) fail("epoll_wait");
      for (int i = 0; i < n; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        if (event.data.u64 == wake_mark) {
          stopping = true;
          stop_by = steady_clock::now() + owner_.options_.patience + look_for_timeouts_every;
          abandon_line();
          ::epoll_ctl(epoll_, EPOLL_CTL_DEL, owner_.wake_, nullptr);
        } else if (event.data.u64 == timer_mark) {
          std::uint64_t ticks = 0;
          static_cast<void>(!::read(timer_, &ticks, sizeof(ticks)));
        } else {
          on_event(connections_[static_cast<std::size_t>(event.data.u64)], event.events);
        }
      }
    }
  }

 private:
  void watch(int fd, std::uint64_t mark, std::uint32_t what, int how) {
    ::epoll_event event{};
    event.events = what;
    event.data.u64 = mark;
    if (::epoll_ctl(epoll_, how, fd, &event) != 0) fail("epoll_ctl");
  }
  [[nodiscard]] std::uint64_t index_of(const connection& c) const {
    return static_cast<std::uint64_t>(&c - connections_.data());
  }

  void arm(time_point at) {
    const auto ns = std::max<std::int64_t>(at.time_since_epoch().count(), 1);
    ::itimerspec spec{};
    spec.it_value.tv_sec = ns / 1'000'000'000;
    spec.it_value.tv_nsec = ns % 1'000'000'000;
    if (::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &spec, nullptr) != 0) fail("timerfd_settime");
  }

  // Half to one and a half intervals apart: paced, but in step with nothing.
  void issue_due(time_point now) {
    const std::int64_t interval = 1'000'000'000 / owner_.options_.rate;
    while (next_due_ <= now) {
      line_.push_back({plan_.next(), owner_.fates_.size(), next_due_});
      owner_.fates_.push_back(request_fate::never_sent);
      const auto jitter = static_cast<std::int64_t>(uniform_up_to(jitter_, static_cast<std::uint64_t>(interval)));
      next_due_ += std::chrono::nanoseconds(interval / 2 + jitter);
    }
    send_line(now);
  }

  void send_line(time_point now) {
    while (!line_.empty() && !idle_.empty()) {
      const waiting_request next = line_.front();
      line_.pop_front();
      if (now - next.due >= owner_.options_.patience) {
        end(next, nullptr, now, ending::timeout);
        continue;
      }
      connection& c = connections_[idle_.back()];
      idle_.pop_back();
      begin(c, next, now);
    }
  }

  // The line is in order of due times, so the late ones are in front.
  void give_up_late(time_point now) {
    if (now < next_look_) return;
    next_look_ = now + look_for_timeouts_every;
    while (!line_.empty() && now - line_.front().due >= owner_.options_.patience) {
      const waiting_request late = line_.front();
      line_.pop_front();
      end(late, nullptr, now, ending::timeout);
    }
    for (auto& c : connections_) {
      if (c.is != connection::state::busy || now - c.request.due < owner_.options_.patience) continue;
      const waiting_request late = c.request;
      close(c);
      release(c);
      end(late, nullptr, now, ending::timeout);
    }
  }

  void abandon_line() {
    for (const auto& w : line_) plan_.learn(w.plan, nullptr, unsent_);
    line_.clear();
  }

  void begin(connection& c, const waiting_request& request, time_point now) {
    c.is = connection::state::busy;
    c.request = request;
    c.out.clear();
    c.sent = 0;
    c.in.clear();
    plan_.write(request.plan, request.sequence, c.out);
    ++busy_;
    if (c.fd < 0 && !open(c)) return break_off(c, now);
    flush(c, now);
  }

  bool open(connection& c) {
    c.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c.fd < 0) return false;
    const int one = 1;
    ::setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    ::sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(owner_.options_.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(c.fd, reinterpret_cast<const ::sockaddr*>(&to), sizeof(to)) != 0 && errno != EINPROGRESS) {
      close(c);
      return false;
    }
    c.wants_write = false;
    watch(c.fd, index_of(c), EPOLLIN, EPOLL_CTL_ADD);
    return true;
  }

  void flush(connection& c, time_point now) {
    while (c.sent < c.out.size()) {
      const ::ssize_t n = ::send(c.fd, c.out.data() + c.sent, c.out.size() - c.sent, MSG_NOSIGNAL);
      if (n > 0) {
        c.sent += static_cast<std::size_t>(n);
      } else if (errno == EAGAIN || errno == EINPROGRESS || errno == ENOTCONN) {
        return want_write(c, true);
      } else if (errno != EINTR) {
        return break_off(c, now);
      }
    }
    owner_.fates_[c.request.sequence] = request_fate::sent;
    want_write(c, false);
  }

  void want_write(connection& c, bool wanted) {
    if (c.wants_write == wanted) return;
    c.wants_write = wanted;
    watch(c.fd, index_of(c), wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
  }

  void on_event(connection& c, std::uint32_t what) {
    if (c.fd < 0) return;  // closed earlier in this batch of events
    const time_point now = steady_clock::now();
    if ((what & EPOLLOUT) != 0 && c.is == connection::state::busy) flush(c, now);
    if (c.fd >= 0 && (what & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) receive(c, now);
  }

  void receive(connection& c, time_point now) {
    std::array<char, 8192> bytes;
    const ::ssize_t n = ::recv(c.fd, bytes.data(), bytes.size(), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (c.is != connection::state::busy) {
      // The service closes an idle connection, or says something that nobody asked for: a new one is opened at need.
      if (n > 0) count([](client_counts& counts) { ++counts.reads.broken; });
      return close(c);
    }
    if (n <= 0) return break_off(c, now);
    c.in.append(bytes.data(), static_cast<std::size_t>(n));
    answer_head head;
    switch (parse_head(c.in, head)) {
      case head_result::incomplete: return;
      case head_result::malformed: return break_off(c, now);
      case head_result::complete: break;
    }
    if (c.in.size() < head.head_bytes + head.body_bytes) return;
    answered(c, head, now);
  }

  void answered(connection& c, const answer_head& head, time_point now) {
    const waiting_request request = c.request;
    owner_.fates_[request.sequence] = request_fate::answered;
    end(request, &head, now, ending::answer);
    if (!head.keep_alive || c.in.size() != head.head_bytes + head.body_bytes) close(c);
    release(c);
    send_line(now);
  }

  void break_off(connection& c, time_point now) {
    const waiting_request request = c.request;
    close(c);
    release(c);
    end(request, nullptr, now, ending::broken);
  }

  void close(connection& c) {
    if (c.fd >= 0) ::close(c.fd);
    c.fd = -1;
    c.wants_write = false;
  }
  void release(connection& c) {
    c.is = connection::state::idle;
    --busy_;
    idle_.push_back(static_cast<std::uint32_t>(index_of(c)));
  }

  enum class ending : std::uint8_t { answer, timeout, broken };
  void end(const waiting_request& request, const answer_head* head, time_point now, ending how) {
    const std::string id = head != nullptr ? plan_.correlation_id(request.sequence) : std::string();
    count([&](client_counts& counts) {
      const bool read = request.plan.kind == request_kind::read;
      request_ends& ends = read ? counts.reads : counts.writes;
      (read ? counts.read_time : counts.write_time).record(now - request.due);
      if (how == ending::timeout) ++ends.timeouts;
      if (how == ending::broken) ++ends.broken;
      if (head != nullptr) count_answer(counts, ends, *head, read, id);
      plan_.learn(request.plan, head, counts);
    });
  }

  static void count_answer(client_counts& counts, request_ends& ends, const answer_head& head, bool read,
                           const std::string& id) {
    switch (head.status / 100) {
      case 5: ++ends.failed; break;
      case 4: ++ends.refused; break;
      default: ++ends.ok;
    }
    if (head.status / 100 == 5 && head.content_type.substr(0, 24) == "application/problem+json") ++counts.problems;
    if (head.correlation_id != id) ++counts.wrong_ids;
    if (read && head.status / 100 == 2) {
      ++counts.reads_by_tier[static_cast<std::size_t>(tier_of(head.served_by))];
      counts.oldest_ms = std::max(counts.oldest_ms, head.age_ms);
    }
  }

  template <class Change>
  void count(Change change) {
    const std::lock_guard lock(owner_.mutex_);
    change(owner_.counts_);
  }

  load& owner_;
  request_plan plan_;
  splitmix64 jitter_{owner_.options_.seed + 17};
  int epoll_ = -1;
  int timer_ = -1;
  std::vector<connection> connections_;
  std::vector<std::uint32_t> idle_;
  std::deque<waiting_request> line_;
  std::size_t busy_ = 0;
  time_point next_due_{};
  time_point next_look_{};
  client_counts unsent_;
};

load::load(load_options options) : options_(std::move(options)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (wake_ < 0) fail("eventfd");
}

load::~load() {
  stop();
  ::close(wake_);
}

void load::start() {
  thread_ = std::thread([this, worker = std::make_unique<engine>(*this, wake_)] {
    try {
      worker->run();
    } catch (const std::exception& e) {
      const std::lock_guard lock(mutex_);
      trouble_ = std::string("the load has ended: ") + e.what();
    }
  });
}

std::string load::trouble() {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

client_counts load::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(counts_, client_counts{});
}

void load::stop() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  static_cast<void>(!::write(wake_, &one, sizeof(one)));
  thread_.join();
}

}  // namespace holdfast::demo
