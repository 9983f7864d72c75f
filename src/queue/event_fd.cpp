// SPDX-License-Identifier: MIT
#include "holdfast/queue/event_fd.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace holdfast {

event_fd::event_fd() noexcept : descriptor_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (descriptor_ < 0) error_ = errno;
}

event_fd::~event_fd() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void event_fd::make_readable() noexcept {
  const int before = errno;
  const std::uint64_t one = 1;
  // Refused only where it is readable already (EAGAIN). A write of eight bytes is whole or not at all.
  while (::write(descriptor_, &one, sizeof one) < 0 && errno == EINTR) {
  }
  errno = before;
}

void event_fd::clear() noexcept {
  const int before = errno;
  std::uint64_t told = 0;
  while (::read(descriptor_, &told, sizeof told) < 0 && errno == EINTR) {
  }
  errno = before;
}

}  // namespace holdfast
