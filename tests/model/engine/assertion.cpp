// SPDX-License-Identifier: MIT
// HOLDFAST_ASSERT of the model build, where it is always on: an assertion that fails is a failed execution, and is told
// as one. Stands in for src/core/assert.cpp.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "holdfast/core/assert.hpp"

#include "model/engine/engine.hpp"

void holdfast::assertion_failed(const char* relation, const char* file, unsigned line) noexcept {
  if (!holdfast_model::engine::running()) {
    std::fprintf(stderr, "%s:%u: expected %s\n", file, line, relation);
    std::abort();
  }
  holdfast_model::engine::instance().fail(std::string("asserted: ") + relation + " at " + file + ":" +
                                          std::to_string(line));
}
