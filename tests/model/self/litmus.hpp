// SPDX-License-Identifier: MIT
// litmus: judges every program with the engine as it is.
#pragma once

namespace holdfast_model {
bool judge_litmus(bool tells_all);
}  // namespace holdfast_model
