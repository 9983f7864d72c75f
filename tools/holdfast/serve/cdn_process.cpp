// SPDX-License-Identifier: MIT
#include "serve/cdn_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include <nlohmann/json.hpp>

#include "holdfast/core/error_domain.hpp"
#include "holdfast/time/deadline.hpp"

extern char** environ;

namespace holdfast::serve {
namespace {

constexpr std::chrono::seconds start_timeout{5};

error of_errno(int value) {
  return make_error({value, std::generic_category()});
}

class spawn_setup {
 public:
  explicit spawn_setup(int out) {
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::sigset_t all;
    ::sigfillset(&all);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
  }
  spawn_setup(const spawn_setup&) = delete;
  spawn_setup& operator=(const spawn_setup&) = delete;
  ~spawn_setup() {
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
  }
  ::posix_spawn_file_actions_t files{};
  ::posix_spawnattr_t attributes{};
};

}  // namespace

std::string ready_line(std::uint16_t port, ::pid_t pid) {
  return nlohmann::ordered_json{{"event", "ready"}, {"port", port}, {"pid", pid}}.dump() + "\n";
}

outcome<int> cdn_process::spawn() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return of_errno(errno);
  const spawn_setup setup(ends[1]);
  const std::string port = std::to_string(port_);
  std::string words[] = {"holdfast", "cdn", "--root", root_, "--port", port, "--die-with-parent"};
  char* argv[std::size(words) + 1] = {};
  for (std::size_t i = 0; i < std::size(words); ++i) argv[i] = words[i].data();
  const int failed = ::posix_spawn(&pid_, "/proc/self/exe", &setup.files, &setup.attributes, argv, environ);
  ::close(ends[1]);
  if (failed != 0) {
    pid_ = 0;
    ::close(ends[0]);
    return of_errno(failed);
  }
  return ends[0];
}

outcome<> cdn_process::wait_until_ready(int pipe) {
  const deadline until = deadline::after(steady_clock::now(), start_timeout);
  std::string line;
  while (line.find('\n') == std::string::npos) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until.remaining(steady_clock::now()));
    ::pollfd waiting{pipe, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return of_errno(ETIMEDOUT);
    char bytes[256];
    const ::ssize_t n = ::read(pipe, bytes, sizeof(bytes));
    if (n <= 0) return of_errno(n < 0 ? errno : ECONNRESET);  // it ended: its own message is on standard error
    line.append(bytes, static_cast<std::size_t>(n));
  }
  const auto said = nlohmann::json::parse(line.substr(0, line.find('\n')), nullptr, false);
  if (!said.is_object() || !said.contains("port") || !said["port"].is_number_unsigned()) return of_errno(EPROTO);
  port_ = said["port"].get<std::uint16_t>();
  return {};
}

outcome<> cdn_process::start() {
  const auto pipe = spawn();
  if (!pipe) return pipe.error();
  const auto ready = wait_until_ready(*pipe);
  ::close(*pipe);
  if (!ready) stop();
  return ready;
}

bool cdn_process::has_died() {
  if (pid_ == 0) return false;
  if (::waitpid(pid_, nullptr, WNOHANG) != pid_) return false;
  pid_ = 0;
  return true;
}

// Not SIGTERM: a process that is stopped would keep it until it is continued. The child has nothing to lose.
void cdn_process::stop() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

}  // namespace holdfast::serve
