// SPDX-License-Identifier: MIT
// shared: what the threads of one sample share, made before they start and dropped when they have ended:
// add(...)->Setup(shared<Contender>::make)->Teardown(shared<Contender>::drop).
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include <benchmark/benchmark.h>

namespace holdfast::bench {

template <class Contender, std::size_t Count = 1>
struct shared {
  static inline std::array<std::unique_ptr<Contender>, Count> all{};
  static void make(const benchmark::State& /*state*/) {
    for (auto& one : all) one = std::make_unique<Contender>();
  }
  static void drop(const benchmark::State& /*state*/) {
    for (auto& one : all) one.reset();
  }
};

}  // namespace holdfast::bench
