// SPDX-License-Identifier: MIT
// log_line: from a record's bytes and its site's description to one line of JSON. One table-driven formatter for all
// sites: no code per call site, and what never changes is rendered once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "holdfast/telemetry/context.hpp"
#include "holdfast/telemetry/log_site.hpp"

namespace holdfast::log_detail {

// Text around the values of one site.
struct rendered_site {
  std::string_view head{};                          // ","level":"INFO","message":"..."
  std::array<std::string_view, max_fields> keys{};  // ,"key":
  std::string_view tail{};                          // ,"file":"...","line":12}\n
  std::size_t bound = 0;                            // of a line's characters beside text values, context and logger
};

class site_texts {
 public:
  static constexpr std::size_t arena_bytes = std::size_t{512} << 10U;
  static constexpr std::size_t index_bytes = max_sites * sizeof(rendered_site*);

  // Zeroed storage, at least arena_bytes + index_bytes, aligned for a pointer.
  void use(std::span<std::byte> storage) noexcept;
  // Valid until the next call.
  const rendered_site& of(std::uint32_t site) noexcept;

 private:
  static std::size_t render(const log_site& site, char* out, rendered_site& into) noexcept;

  rendered_site** index_ = nullptr;
  std::byte* arena_ = nullptr;
  std::size_t used_ = 0;
  rendered_site scratch_{};  // for sites that the arena has no room for
  std::array<char, 8192> scratch_text_{};
};

// The context's members as they stand in every line of it, commas first.
class context_text {
 public:
  static constexpr std::size_t bound = 32 + 16 + 6 * 64 + 16 + 64;
  void render(const context& from) noexcept;
  void clear() noexcept { size_ = 0; }
  [[nodiscard]] std::string_view view() const noexcept { return {text_.data(), size_}; }

 private:
  std::size_t size_ = 0;
  std::array<char, bound> text_{};
};

struct line_counts {
  std::uint64_t truncated = 0;
  std::uint64_t invalid_utf8 = 0;
};

struct line_parts {
  std::int64_t wall_ns = 0;
  std::string_view context{};  // ,"trace_id":...
  std::string_view logger{};   // ,"logger":"..."
  std::string_view thread{};   // ,"thread":12
};

// Space that a line of at most `max_line` characters needs behind it.
inline constexpr std::size_t line_slack = 64;

class line_writer {
 public:
  // Writes one line, at most max_line characters; returns its end.
  char* put(char* out, std::size_t max_line, const log_site& site, const rendered_site& texts, const line_parts& parts,
            std::span<const std::byte> values, line_counts& counts) noexcept;
  char* put_loss(char* out, const line_parts& parts, std::uint64_t lost, std::string_view reason) noexcept;

 private:
  rfc3339_writer time_{};        // of the lines
  rfc3339_writer value_time_{};  // of field values, which may be anywhere
};

}  // namespace holdfast::log_detail
