// SPDX-License-Identifier: MIT
#include "holdfast/telemetry/json_writer.hpp"

#include <cstring>

namespace holdfast {

void json_writer::give_up() noexcept {
  if (key_start_ != nullptr) out_ = key_start_;
  key_start_ = nullptr;
  truncated_ = true;
}

bool json_writer::separate() noexcept {
  if (truncated_) return false;
  if (key_start_ == nullptr && needs_comma_) {
    if (limit_ - out_ < 2) {
      give_up();
      return false;
    }
    key_start_ = out_;  // an element's comma goes with it when it does not fit
    *out_++ = ',';
  }
  return true;
}

json_writer& json_writer::key(std::string_view name) noexcept {
  HOLDFAST_ASSERT(truncated_ || depth_ > 0);
  if (truncated_) return *this;
  key_start_ = out_;
  if (limit_ - out_ < 4) {
    give_up();
    return *this;
  }
  if (needs_comma_) *out_++ = ',';
  *out_++ = '"';
  const auto put = put_escaped_within(out_, limit_, name, invalid_);
  out_ = put.end;
  if (put.cut || limit_ - out_ < 3) {
    give_up();
    return *this;
  }
  *out_++ = '"';
  *out_++ = ':';
  return *this;
}

json_writer& json_writer::value(std::string_view text) noexcept {
  if (!separate()) return *this;
  if (limit_ - out_ < 3) {
    give_up();
    return *this;
  }
  *out_++ = '"';
  const auto put = put_escaped_within(out_, limit_ - 1, text, invalid_);
  out_ = put.end;
  *out_++ = '"';
  after_value();
  truncated_ = put.cut;
  return *this;
}

json_writer& json_writer::null() noexcept {
  return scalar([](char* out) {
    std::memcpy(out, "null", 4);
    return out + 4;
  });
}

json_writer& json_writer::begin(char open, char close) noexcept {
  HOLDFAST_ASSERT(depth_ < max_depth);
  if (separate() && limit_ - out_ < 2) give_up();
  if (!truncated_) {
    *out_++ = open;
    key_start_ = nullptr;
    needs_comma_ = false;
    closers_[depth_] = close;
    written_depth_ = depth_ + 1;
  }
  ++depth_;
  return *this;
}

json_writer& json_writer::end(char close) noexcept {
  HOLDFAST_ASSERT(depth_ > 0);
  if (depth_ <= written_depth_) {
    HOLDFAST_ASSERT(closers_[depth_ - 1] == close);
    if (truncated_ && depth_ == 1 && close == '}') {
      const std::string_view text = needs_comma_ ? marker : marker.substr(1);
      std::memcpy(out_, text.data(), text.size());
      out_ += text.size();
    }
    *out_++ = close;
    needs_comma_ = true;
    written_depth_ = depth_ - 1;
  }
  --depth_;
  return *this;
}

}  // namespace holdfast
