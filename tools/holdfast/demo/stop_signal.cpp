// SPDX-License-Identifier: MIT
#include "demo/stop_signal.hpp"

#include <poll.h>
#include <signal.h>

#include <csignal>
#include <ctime>

namespace holdfast::demo {
namespace {

volatile std::sig_atomic_t came = 0;  // written by the handler

void handle(int signal) {
  came = signal;
}

constexpr int taken[] = {SIGINT, SIGTERM, SIGHUP};

}  // namespace

stop_signal::stop_signal() {
  struct ::sigaction action {};
  action.sa_handler = handle;  // no SA_RESTART: what waits shall look up
  for (const int s : taken) ::sigaction(s, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

stop_signal::~stop_signal() {
  for (const int s : taken) ::signal(s, SIG_DFL);
}

int stop_signal::which() noexcept {
  return came;
}

void stop_signal::sleep(std::chrono::nanoseconds time) noexcept {
  if (time.count() <= 0 || came != 0) return;
  const ::timespec length{time.count() / 1'000'000'000, time.count() % 1'000'000'000};
  ::ppoll(nullptr, 0, &length, nullptr);
}

}  // namespace holdfast::demo
