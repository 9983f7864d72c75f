// SPDX-License-Identifier: MIT
#include "holdfast/exec/crew.hpp"

#include <csignal>

namespace holdfast {

void* crew::carry_out(void* what) noexcept {
  const duty& mine = *static_cast<duty*>(what);
  mine.run(mine.of);
  return nullptr;
}

std::error_code crew::start(unsigned count, std::string_view name, work run, void* of) noexcept {
  HOLDFAST_ASSERT(count <= most - size_);
  std::array<char, 16> short_name{};  // ended by a zero, whatever its length
  name.copy(short_name.data(), short_name.size() - 1);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // a new thread has the mask of the one that made it
  int failed = 0;
  for (unsigned i = 0; i < count && failed == 0; ++i) {
    duties_[size_] = {run, of};
    failed = ::pthread_create(&threads_[size_], nullptr, &crew::carry_out, &duties_[size_]);
    if (failed != 0) break;
    ::pthread_setname_np(threads_[size_], short_name.data());
    ++size_;
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return {failed, std::system_category()};
}

void crew::join() noexcept {
  for (; size_ != 0; --size_) ::pthread_join(threads_[size_ - 1], nullptr);
}

}  // namespace holdfast
