// SPDX-License-Identifier: MIT
#include "serve/library_watch.hpp"

namespace holdfast::serve {
namespace {

struct place {
  unsigned depth = 0;
  std::uint64_t seen = 0;  // blocks of this thread that are counted already
};
constinit thread_local place here{};

}  // namespace

library_watch::visit::visit(library_watch& watch) noexcept : watch_(watch) {
  if (here.depth++ > 0) return;
  // Read before the counter is touched: a counter is a part of the library too.
  begun_ = thread_allocations();
  if (begun_ != here.seen) watch_.elsewhere_.add(begun_ - here.seen);
}

library_watch::visit::~visit() {
  if (--here.depth > 0) return;
  watch_.visits_.add();
  here.seen = thread_allocations();
  if (here.seen != begun_) watch_.inside_.add(here.seen - begun_);
}

}  // namespace holdfast::serve
