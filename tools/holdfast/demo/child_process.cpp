// SPDX-License-Identifier: MIT
#include "demo/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <utility>

#include "holdfast/time/deadline.hpp"

namespace holdfast::demo {
namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

struct child_ends {
  int in;
  int out;
  int errors;
};

// Between fork and exec, in a process that may have threads: async-signal-safe calls only.
[[noreturn]] void become(const char* program, char* const* argv, const child_ends& ends, ::pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
  ::sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(signal, SIG_DFL);
  if (::dup2(ends.in, STDIN_FILENO) < 0 || ::dup2(ends.out, STDOUT_FILENO) < 0) ::_exit(127);
  if (ends.errors >= 0 && ::dup2(ends.errors, STDERR_FILENO) < 0) ::_exit(127);
  ::execv(program, argv);
  ::_exit(127);
}

void close_all(std::initializer_list<int> files) {
  for (const int f : files) {
    if (f >= 0) ::close(f);
  }
}

}  // namespace

child_process::child_process(const child_options& options) {
  std::vector<std::string> words = options.words;
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::array<int, 2> to{-1, -1};
  std::array<int, 2> from{-1, -1};
  if (::pipe2(to.data(), O_CLOEXEC) != 0) fail("pipe");
  if (::pipe2(from.data(), O_CLOEXEC) != 0) {
    const int why = errno;
    close_all({to[0], to[1]});
    errno = why;
    fail("pipe");
  }
  const int errors = options.errors_to.empty()
                         ? -1
                         : ::open(options.errors_to.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const ::pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) become(options.program.c_str(), argv.data(), {to[0], from[1], errors}, parent);
  const int why = errno;
  close_all({to[0], from[1], errors});
  in_ = to[1];
  out_ = from[0];
  if (pid_ < 0) {
    pid_ = 0;
    close_all({std::exchange(in_, -1), std::exchange(out_, -1)});
    errno = why;
    fail("fork");
  }
  ::setpgid(pid_, pid_);
}

child_process::child_process(child_process&& other) noexcept {
  *this = std::move(other);
}

child_process& child_process::operator=(child_process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(in_, other.in_);
  std::swap(out_, other.out_);
  std::swap(exit_code_, other.exit_code_);
  read_.swap(other.read_);
  return *this;
}

child_process::~child_process() {
  if (running()) stop(SIGKILL, milliseconds(1'000));
  close_all({in_, out_});
}

std::optional<std::string> child_process::read_line(milliseconds within) {
  const deadline until = deadline::after(steady_clock::now(), within);
  for (;;) {
    const std::size_t end = read_.find('\n');
    if (end != std::string::npos) {
      std::string line = read_.substr(0, end);
      read_.erase(0, end + 1);
      return line;
    }
    const auto left = std::chrono::ceil<milliseconds>(until.remaining(steady_clock::now()));
    ::pollfd waiting{out_, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) return std::nullopt;  // a signal is a reason to look up
    if (ready <= 0) return std::nullopt;
    std::array<char, 1024> bytes;
    const ::ssize_t n = ::read(out_, bytes.data(), bytes.size());
    if (n <= 0) return std::nullopt;
    read_.append(bytes.data(), static_cast<std::size_t>(n));
  }
}

void child_process::send(int signal) const {
  if (running()) ::kill(pid_, signal);
}

std::optional<int> child_process::reap(int flags) {
  int status = 0;
  ::pid_t got = 0;
  do {
    got = ::waitpid(pid_, &status, flags);
  } while (got < 0 && errno == EINTR);
  if (got == 0) return std::nullopt;
  pid_ = 0;
  exit_code_ = got < 0 ? 127 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_;
}

std::optional<int> child_process::ended() {
  if (!running()) return exit_code_;
  return reap(WNOHANG);
}

int child_process::stop(int signal, milliseconds within) {
  if (!running()) return exit_code_;
  close_all({std::exchange(in_, -1)});
  ::kill(pid_, signal);
  const deadline until = deadline::after(steady_clock::now(), within);
  while (!until.passed(steady_clock::now())) {
    if (const auto code = reap(WNOHANG)) return *code;
    std::this_thread::sleep_for(milliseconds(2));
  }
  ::kill(pid_, SIGKILL);
  return reap(0).value_or(127);
}

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/bin:/bin";
  while (!rest.empty()) {
    const std::size_t colon = std::min(rest.find(':'), rest.size());
    std::string candidate = std::string(rest.substr(0, colon)) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return {};
}

}  // namespace holdfast::demo
