// SPDX-License-Identifier: MIT
#include "log_line.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "holdfast/core/error_domain.hpp"

namespace holdfast::log_detail {
namespace {

char* put_text(char* out, std::string_view text) noexcept {
  if (!text.empty()) std::memcpy(out, text.data(), text.size());  // an empty view may have no data
  return out + text.size();
}

template <class T>
T take(const std::byte*& from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof value);
  from += sizeof value;
  return value;
}

// Where a line's key texts end and more is to be said about the same field: ,"key_suffix":
char* put_suffixed_key(char* out, std::string_view key, std::string_view suffix) noexcept {
  out = put_text(out, ",\"");
  out = put_text(out, key);
  out = put_text(out, suffix);
  return put_text(out, "\":");
}

// "HF-7" for our own, five characters for SQLSTATE, otherwise the category's name and the number.
char* put_code(char* out, const std::error_category& category, int value) noexcept {
  *out++ = '"';
  if (category == holdfast_category()) {
    out = put_text(out, "HF-");
    out = put_signed(out, value);
  } else {
    std::uint64_t invalid = 0;
    out = put_escaped_within(out, out + 36, category.name(), invalid).end;
    *out++ = ':';
    if (category == sqlstate_category() && value >= 0) {
      constexpr std::string_view digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
      auto rest = static_cast<std::uint32_t>(value);
      for (int i = 4; i >= 0; --i, rest /= 36) out[i] = digits[rest % 36];
      out += 5;
    } else {
      out = put_signed(out, value);
    }
  }
  *out++ = '"';
  return out;
}

char* put_failure(char* out, std::string_view key, const error& e) noexcept {
  out = put_code(out, e.code.category(), e.code.value());
  out = put_suffixed_key(out, key, "_kind");
  *out++ = '"';
  out = put_text(out, name_of(e.kind));
  *out++ = '"';
  out = put_suffixed_key(out, key, "_attempts");
  out = put_unsigned(out, e.attempts);
  out = put_suffixed_key(out, key, "_tier");
  out = put_unsigned(out, e.tier);
  if (e.retry_after.count() != 0) {
    out = put_suffixed_key(out, key, "_retry_after_ns");
    out = put_signed(out, e.retry_after.count());
  }
  if (e.age) {
    out = put_suffixed_key(out, key, "_age_ns");
    out = put_signed(out, e.age.value().count());
  }
  if (e.stopped_by != errc{}) {
    out = put_suffixed_key(out, key, "_stopped_by");
    out = put_code(out, holdfast_category(), static_cast<int>(e.stopped_by));
  }
  return out;
}

char* put_failure_context(char* out, std::string_view key, const error_context& c, std::uint64_t& invalid) noexcept {
  const auto put = [&](std::string_view suffix, std::string_view text) {
    if (text.empty()) return;
    out = put_suffixed_key(out, key, suffix);
    *out++ = '"';
    out = put_escaped(out, text, invalid);
    *out++ = '"';
  };
  put("_operation", c.operation);
  put("_instance", c.instance);
  put("_region", c.region);
  put("_correlation_id", c.correlation_id);
  return out;
}

}  // namespace

void site_texts::use(std::span<std::byte> storage) noexcept {
  index_ = reinterpret_cast<rendered_site**>(storage.data());
  arena_ = storage.data() + index_bytes;
}

std::size_t site_texts::render(const log_site& site, char* out, rendered_site& into) noexcept {
  char* const begin = out;
  std::uint64_t invalid = 0;
  char* p = put_text(out, "\",\"level\":\"");
  p = put_text(p, name_of(site.level));
  p = put_text(p, "\",\"message\":\"");
  p = put_escaped(p, site.message, invalid);
  *p++ = '"';
  into.head = {out, static_cast<std::size_t>(p - out)};
  into.bound = 64 + into.head.size();
  for (std::size_t i = 0; i < site.field_count; ++i) {
    out = p;
    p = put_text(p, ",\"");
    p = put_text(p, site.fields[i].key);
    p = put_text(p, "\":");
    into.keys[i] = {out, static_cast<std::size_t>(p - out)};
    into.bound += line_bytes(site.fields[i]);
  }
  out = p;
  p = put_text(p, ",\"file\":\"");
  p = put_escaped(p, site.file, invalid);
  p = put_text(p, "\",\"line\":");
  p = put_unsigned(p, site.line);
  p = put_text(p, "}\n");
  into.tail = {out, static_cast<std::size_t>(p - out)};
  into.bound += into.tail.size() + 64;
  return static_cast<std::size_t>(p - begin);
}

const rendered_site& site_texts::of(std::uint32_t number) noexcept {
  rendered_site*& known = index_[number];
  if (known != nullptr) [[likely]]
    return *known;
  const log_site& site = site_at(number);
  const std::size_t size = render(site, scratch_text_.data(), scratch_);
  const std::size_t needed = (sizeof(rendered_site) + size + 15) & ~std::size_t{15};
  if (arena_bytes - used_ < needed) return scratch_;
  auto* const entry = ::new (arena_ + used_) rendered_site;
  auto* const text = reinterpret_cast<char*>(arena_ + used_ + sizeof(rendered_site));
  render(site, scratch_text_.data(), *entry);
  std::memcpy(text, scratch_text_.data(), size);
  const auto moved = [&](std::string_view& view) { view = {text + (view.data() - scratch_text_.data()), view.size()}; };
  moved(entry->head);
  for (std::size_t i = 0; i < site.field_count; ++i) moved(entry->keys[i]);
  moved(entry->tail);
  used_ += needed;
  known = entry;
  return *known;
}

void context_text::render(const context& from) noexcept {
  char* p = text_.data();
  if (from.trace.valid()) {
    p = put_text(p, ",\"trace_id\":\"");
    p = put_hex(p, std::as_bytes(std::span(from.trace.trace_id)));
    p = put_text(p, "\",\"span_id\":\"");
    p = put_hex(p, std::as_bytes(std::span(from.trace.span_id)));
    *p++ = '"';
  }
  if (!from.correlation_id.empty()) {
    std::uint64_t invalid = 0;
    p = put_text(p, ",\"correlation_id\":\"");
    p = put_escaped(p, from.correlation_id.view(), invalid);
    *p++ = '"';
  }
  size_ = static_cast<std::size_t>(p - text_.data());
}

char* line_writer::put(char* out, std::size_t max_line, const log_site& site, const rendered_site& texts,
                       const line_parts& parts, std::span<const std::byte> values, line_counts& counts) noexcept {
  const std::byte* fixed = values.data();
  // The varying parts follow the fixed ones, whose size the site knows.
  std::size_t fixed_size = 0;
  for (std::size_t i = 0; i < site.field_count; ++i) fixed_size += fixed_bytes_of(site.fields[i].type);
  const std::byte* varying = values.data() + fixed_size;
  // What text values may take: the line less everything else that can be in it.
  const std::size_t others = texts.bound + parts.context.size() + parts.logger.size() + parts.thread.size() + 24;
  std::size_t budget = max_line > others ? max_line - others : 0;
  bool cut = false;

  out = put_text(out, "{\"timestamp\":\"");
  out = time_.put(out, parts.wall_ns);
  out = put_text(out, texts.head);
  out = put_text(out, parts.context);
  for (std::size_t i = 0; i < site.field_count; ++i) {
    const field_info& field = site.fields[i];
    char* const before_key = out;
    out = put_text(out, texts.keys[i]);
    switch (field.type) {
      case kind::boolean: out = put_bool(out, take<bool>(fixed)); break;
      case kind::i32: out = put_signed(out, take<std::int32_t>(fixed)); break;
      case kind::i64: out = put_signed(out, take<std::int64_t>(fixed)); break;
      case kind::u32: out = put_unsigned(out, take<std::uint32_t>(fixed)); break;
      case kind::u64: out = put_unsigned(out, take<std::uint64_t>(fixed)); break;
      case kind::f32: out = put_float(out, take<float>(fixed)); break;
      case kind::f64: out = put_double(out, take<double>(fixed)); break;
      case kind::nanoseconds: out = put_signed(out, take<std::int64_t>(fixed)); break;
      case kind::time:
        *out++ = '"';
        out = value_time_.put(out, take<std::int64_t>(fixed));
        *out++ = '"';
        break;
      case kind::text: {
        const auto word = take<std::uint32_t>(fixed);
        const std::string_view text(reinterpret_cast<const char*>(varying), word & length_mask);
        varying += text.size();
        cut |= (word & cut_bit) != 0;
        if ((word & null_bit) != 0) {
          out = put_text(out, "null");
          break;
        }
        *out++ = '"';
        char* const begin = out;
        if (text.size() * 6 + 16 <= budget) [[likely]] {
          out = put_escaped(out, text, counts.invalid_utf8);
        } else {
          const auto put = put_escaped_within(out, out + budget, text, counts.invalid_utf8);
          out = put.end;
          cut |= put.cut;
        }
        budget -= static_cast<std::size_t>(out - begin);
        *out++ = '"';
        break;
      }
      case kind::bytes: {
        const auto word = take<std::uint32_t>(fixed);
        const std::span<const std::byte> bytes(varying, word & length_mask);
        varying += bytes.size();
        cut |= (word & cut_bit) != 0;
        *out++ = '"';
        const auto fits = bytes.first(std::min(bytes.size(), budget / 2));
        cut |= fits.size() < bytes.size();
        budget -= 2 * fits.size();
        out = put_hex(out, fits);
        *out++ = '"';
        break;
      }
      case kind::code: {
        const auto* const category = take<const std::error_category*>(fixed);
        out = put_code(out, *category, take<std::int32_t>(fixed));
        break;
      }
      case kind::failure: out = put_failure(out, field.key, take<error>(fixed)); break;
      case kind::failure_context:
        out = put_failure_context(before_key, field.key, take<error_context>(fixed), counts.invalid_utf8);
        break;
    }
  }
  out = put_text(out, parts.logger);
  out = put_text(out, parts.thread);
  if (cut) [[unlikely]] {
    ++counts.truncated;
    out = put_text(out, ",\"truncated\":true");
  }
  return put_text(out, texts.tail);
}

char* line_writer::put_loss(char* out, const line_parts& parts, std::uint64_t lost, std::string_view reason) noexcept {
  out = put_text(out, "{\"timestamp\":\"");
  out = time_.put(out, parts.wall_ns);
  out = put_text(out, "\",\"level\":\"WARN\",\"message\":\"log records lost\",\"lost\":");
  out = put_unsigned(out, lost);
  out = put_text(out, ",\"reason\":\"");
  out = put_text(out, reason);
  *out++ = '"';
  out = put_text(out, parts.logger);
  out = put_text(out, parts.thread);
  return put_text(out, "}\n");
}

}  // namespace holdfast::log_detail
