// SPDX-License-Identifier: MIT
// broadcast_spec: what a broadcast ring may answer to readers that begin with it.
//
// A write adds a record. A read gives the next record, if it is among the last Capacity; nothing, if it was not written
// yet; or, if it is not among the last Capacity - 1, that it is gone with some after it, but none of those Capacity - 1.
// (A write first takes the oldest record away, and ends by adding its own: so the oldest may be given, or be gone.)
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "holdfast/queue/broadcast_ring.hpp"

#include "history.hpp"
#include "wgl.hpp"
#include "words.hpp"

namespace holdfast_lin {

enum class broadcast_op : std::uint8_t {
  write,  // args: value
  read,   // args: which reader; results: the state, the value, how many were missed
};

template <std::size_t Capacity, std::size_t Readers>
class broadcast_spec {
 public:
  [[nodiscard]] static operation write(std::int64_t value) noexcept { return recorded(broadcast_op::write, {value}); }
  [[nodiscard]] static operation read(std::size_t who, holdfast::broadcast_state state, std::int64_t value,
                                      std::uint64_t missed) noexcept {
    return recorded(broadcast_op::read, {static_cast<std::int64_t>(who)},
                    {static_cast<std::int64_t>(state), value, static_cast<std::int64_t>(missed)});
  }

  [[nodiscard]] bool step(const operation& op) noexcept {
    if (static_cast<broadcast_op>(op.code) == broadcast_op::write) {
      last_[written_ % Capacity] = op.args[0];
      ++written_;
      return true;
    }
    std::uint64_t& next = next_[static_cast<std::size_t>(op.args[0])];
    const auto missed = static_cast<std::uint64_t>(op.results[2]);
    switch (static_cast<holdfast::broadcast_state>(op.results[0])) {
      case holdfast::broadcast_state::nothing: return next == written_ && missed == 0;
      case holdfast::broadcast_state::record:
        if (next == written_ || next + Capacity < written_ || missed != 0) return false;
        return last_[next++ % Capacity] == op.results[1];
      case holdfast::broadcast_state::overwritten: next += missed; return missed > 0 && next + Capacity <= written_ + 1;
    }
    return false;
  }

  static void prepare(history&) noexcept {}

  friend bool operator==(const broadcast_spec&, const broadcast_spec&) = default;
  [[nodiscard]] std::uint64_t hash() const noexcept {
    std::uint64_t h = written_;
    for (const std::uint64_t n : next_) h = mixed(h + n);
    for (const std::int64_t v : last_) h = mixed(h + static_cast<std::uint64_t>(v));
    return h;
  }

  [[nodiscard]] static std::string describe(const operation& op) {
    if (static_cast<broadcast_op>(op.code) == broadcast_op::write) return words("write ", op.args[0]);
    switch (static_cast<holdfast::broadcast_state>(op.results[0])) {
      case holdfast::broadcast_state::record: return words("reader ", op.args[0], ": ", op.results[1]);
      case holdfast::broadcast_state::nothing: return words("reader ", op.args[0], ": nothing");
      case holdfast::broadcast_state::overwritten: return words("reader ", op.args[0], ": missed ", op.results[2]);
    }
    return "?";
  }
  [[nodiscard]] std::string text() const {
    std::string out = words("written ", static_cast<std::int64_t>(written_), ", readers at");
    for (const std::uint64_t n : next_) out += words(" ", static_cast<std::int64_t>(n));
    return out;
  }

 private:
  std::uint64_t written_ = 0;
  std::array<std::uint64_t, Readers> next_{};
  std::array<std::int64_t, Capacity> last_{};
};

}  // namespace holdfast_lin
