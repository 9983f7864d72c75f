// SPDX-License-Identifier: MIT
// flaws: each thing that the checker can be told to get wrong, and which of its own tests notices.
#pragma once

namespace holdfast_model {
bool seed_flaws();
}  // namespace holdfast_model
