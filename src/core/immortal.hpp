// SPDX-License-Identifier: MIT
// immortal: an object that is made once and never destroyed, for function-local statics on paths that may not allocate.
//
// The destructor of an ordinary static is registered with the C library when the object is made, and that takes a block of
// memory every 32 registrations; and whoever still runs while the process ends would meet an object that is gone.
#pragma once

#include <cstddef>
#include <new>
#include <utility>

namespace holdfast {

template <class T>
class immortal {
 public:
  template <class... Args>
  explicit immortal(Args&&... args) noexcept
      : object_(::new (static_cast<void*>(place_)) T(std::forward<Args>(args)...)) {}
  immortal(const immortal&) = delete;
  immortal& operator=(const immortal&) = delete;

  [[nodiscard]] const T& get() const noexcept { return *object_; }

 private:
  alignas(T) std::byte place_[sizeof(T)];
  const T* object_;
};

}  // namespace holdfast
