// SPDX-License-Identifier: MIT
// words: pieces of text and numbers put together, for what a checker says about an operation.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>

namespace holdfast_lin {

template <class... Pieces>
[[nodiscard]] std::string words(const Pieces&... pieces) {
  std::string out;
  const auto add = [&](const auto& piece) {
    if constexpr (std::integral<std::remove_cvref_t<decltype(piece)>>) {
      out += std::to_string(piece);
    } else {
      out += std::string_view(piece);
    }
  };
  (add(pieces), ...);
  return out;
}

}  // namespace holdfast_lin
