// SPDX-License-Identifier: MIT
#include "log_writer.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace holdfast::log_detail {

log_writer::log_writer(const log_output& output) noexcept : output_(output) {
  const std::size_t size = std::min(output.path.size(), path_.size() - 1);
  if (size > 0) std::memcpy(path_.data(), output.path.data(), size);
}

log_writer::~log_writer() {
  if (output_.is == log_output::form::file && descriptor_ >= 0) ::close(descriptor_);
}

std::error_code log_writer::open() noexcept {
  if (output_.is == log_output::form::descriptor) {
    descriptor_ = output_.descriptor;
    if (::fcntl(descriptor_, F_GETFL) < 0) return {errno, std::system_category()};
    return {};
  }
  if (output_.is != log_output::form::file) return {};
  do {
    descriptor_ = ::open(path_.data(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  } while (descriptor_ < 0 && errno == EINTR);
  if (descriptor_ < 0 && (errno == EACCES || errno == EINVAL || errno == ENXIO)) {
    descriptor_ = ::open(path_.data(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);  // a pipe, a device
  }
  if (descriptor_ < 0) return {errno, std::system_category()};
  // A process that was killed may have left half a line: ours start on a line of their own.
  struct stat about {};
  char last = '\n';
  if (::fstat(descriptor_, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0 &&
      ::pread(descriptor_, &last, 1, about.st_size - 1) == 1 && last != '\n') {
    static_cast<void>(write_descriptor("\n"));
  }
  return {};
}

log_writer::result log_writer::write(std::string_view text) noexcept {
  result done;
  switch (output_.is) {
    case log_output::form::callback: output_.callback(output_.user, text); return {text.size(), 0};
    case log_output::form::memory:
      done.taken = output_.memory->take(text);
      done.error = done.taken == text.size() ? 0 : ENOSPC;
      break;
    case log_output::form::descriptor:
    case log_output::form::file: done = write_descriptor(text); break;
  }
  const std::string_view taken = text.substr(0, done.taken);
  const auto end_of_line = taken.rfind('\n');
  torn_ = end_of_line == taken.npos ? torn_ + taken.size() : taken.size() - end_of_line - 1;
  return done;
}

log_writer::result log_writer::write_descriptor(std::string_view text) noexcept {
  result done;
  while (done.taken < text.size()) {
    const auto n = ::write(descriptor_, text.data() + done.taken, text.size() - done.taken);
    if (n > 0) {
      done.taken += static_cast<std::size_t>(n);
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else {
      done.error = n < 0 ? errno : ENOSPC;
      return done;
    }
  }
  return done;
}

void log_writer::drop_torn_line() noexcept {
  if (torn_ == 0 || output_.is != log_output::form::file) return;
  struct stat about {};
  if (::fstat(descriptor_, &about) != 0 || !S_ISREG(about.st_mode)) return;
  const auto torn = static_cast<off_t>(torn_);
  if (about.st_size >= torn && ::ftruncate(descriptor_, about.st_size - torn) == 0) torn_ = 0;
}

}  // namespace holdfast::log_detail
