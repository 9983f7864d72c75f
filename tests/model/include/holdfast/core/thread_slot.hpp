// SPDX-License-Identifier: MIT
// thread_slot of the model build: a scenario's threads are fibers of one real thread, so each has its number by the
// scenario's count; options.slots says how many have one at all.
#pragma once

#include <array>
#include <cstdint>

#include "holdfast/core/atomic.hpp"

namespace holdfast {

class thread_slot {
 public:
  static constexpr std::uint32_t limit = 1024;
  static constexpr std::uint32_t none = 0xFFFF'FFFFU;
  static constexpr std::uint32_t unknown = 0xFFFF'FFFEU;

  [[nodiscard]] static std::uint32_t current() noexcept {
    const holdfast_model::engine& e = holdfast_model::engine::instance();
    // The main thread is no thread of the scenario and may not write what one of them owns.
    if (e.current() == holdfast_model::main_thread || e.current() > e.options().slots) return none;
    return e.current() - 1;
  }
  [[nodiscard]] static std::uint32_t cached() noexcept { return current(); }
  [[nodiscard]] static const void* self() noexcept {
    static const std::array<char, holdfast_model::max_threads + 1> threads{};
    return &threads[holdfast_model::engine::instance().current()];
  }
  [[nodiscard]] static std::uint32_t high_water() noexcept {
    return holdfast_model::engine::instance().options().slots;
  }
};

}  // namespace holdfast
